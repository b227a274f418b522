"""Units that trajectories come in, as factors to nm, kJ/mol and kJ/mol/nm."""

from __future__ import annotations

import re

LENGTHS = {"nm": 1.0, "angstrom": 0.1, "pm": 1e-3, "bohr": 0.0529177210903}
ENERGIES = {"kJ/mol": 1.0, "kcal/mol": 4.184, "eV": 96.4853321233, "hartree": 2625.49963948}
"""Factors by the names that errors propose (CODATA 2018)."""

_SPELLINGS = {
    "nanometer": "nm",
    "nanometre": "nm",
    "a": "angstrom",
    "å": "angstrom",
    "ang": "angstrom",
    "picometer": "pm",
    "picometre": "pm",
    "a0": "bohr",
    "kilojoule/mole": "kj/mol",
    "kilojoule/mol": "kj/mol",
    "kj/mole": "kj/mol",
    "kilocalorie/mole": "kcal/mol",
    "kilocalorie/mol": "kcal/mol",
    "kcal/mole": "kcal/mol",
    "electronvolt": "ev",
    "ha": "hartree",
}


def length_factor(unit: str) -> float:
    """Return what one `unit` of length is in nm.

    Raises
    ------
    ValueError
        If the unit is not known.
    """
    return _factor(unit, _plain(unit), LENGTHS, "length", "angstrom")


def energy_factor(unit: str) -> float:
    """Return what one `unit` of energy is in kJ/mol; raise ValueError if it is not known."""
    return _factor(unit, _plain(unit), ENERGIES, "energy", "kcal/mol")


def force_factor(unit: str) -> float:
    """Return what one `unit` of force, energy/length, is in kJ/mol/nm.

    Raises
    ------
    ValueError
        If the unit is not known.
    """
    energy, _, length = _plain(unit).rpartition("/")
    example = "kcal/mol/angstrom"
    return _factor(unit, energy, ENERGIES, "force", example) / _factor(
        unit, length, LENGTHS, "force", example
    )


def _factor(given: str, unit: str, known: dict[str, float], kind: str, example: str) -> float:
    factors = {name.lower(): value for name, value in known.items()}
    unit = unit[:-1] if unit.endswith("s") and unit[:-1] in {*factors, *_SPELLINGS} else unit
    unit = _SPELLINGS.get(unit, unit)
    if unit not in factors:
        names = ", ".join([*LENGTHS] if kind == "length" else [*ENERGIES])
        raise ValueError(
            f"Unknown unit of {kind} {given!r}; expected {names}"
            + (f" over {', '.join(LENGTHS)}" if kind == "force" else "")
            + f", such as {example}."
        )
    return factors[unit]


def _plain(unit: str) -> str:
    """Return a unit in lower case, without blanks, with slashes only: "kJ mol^-1" → "kj/mol"."""
    text = unit.strip().lower().replace("_per_", "/").replace("kilojoules", "kilojoule")
    text = text.replace("kilocalories", "kilocalorie").replace("(", "").replace(")", "")
    text = re.sub(r"[\s*·]*([a-zå]+)\^?-1", r"/\1", text)
    return re.sub(r"[\s*·]+", "/", text)
