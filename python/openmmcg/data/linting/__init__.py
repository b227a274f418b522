"""The command `openmm-cg lint`: its inputs and tables."""
