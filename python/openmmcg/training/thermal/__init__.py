"""What teaches a network how energies depend on the temperature; see docs/temperature.md."""
