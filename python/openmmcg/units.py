"""Physical constants in the package's units: nm, ps, Da, kJ/mol, K."""

from __future__ import annotations

KB: float = 0.00831446261815324
"""Boltzmann constant times Avogadro's number, kJ/mol/K (CODATA 2018, exact)."""

BAR: float = 0.0602214076
"""Of pressure, kJ/mol/nm³."""
