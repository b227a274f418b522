"""Priors as a JSON-able record, in the model file and in priors.json.

Version 1 had no version number, and ``k`` and ``center`` as all parameters of a term.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmcg.priors.keys import Key
from openmmcg.priors.kinds import KINDS
from openmmcg.priors.molecules import MoleculePriors, Parameterised
from openmmcg.priors.prior_set import EXCLUDED_BONDS, PriorSet

VERSION = 2


def to_record(priors: PriorSet) -> dict[str, Any]:
    """Return the record of a set."""
    record: dict[str, Any] = {
        "version": VERSION,
        "temperature": priors.temperature,
        "excluded_bonds": priors.excluded_bonds,
        "terms": _write_terms(priors.parameters),
    }
    if priors.molecules:
        record["molecules"] = [
            {
                "name": molecule.name,
                "types": list(molecule.types),
                "bonds": [list(bond) for bond in molecule.bonds],
                "terms": _write_terms(molecule.parameters),
            }
            for molecule in priors.molecules
        ]
    return record


def from_record(record: Mapping[str, Any]) -> PriorSet:
    """Rebuild a set.

    Raises
    ------
    ValueError
        If the record is of a newer version, holds an unknown kind, or is incomplete.
    """
    try:
        version = record.get("version", 1)
        if version > VERSION:
            raise ValueError(
                f"The priors' record has version {version}, but this version of openmm-cg reads "
                f"up to {VERSION}; upgrade openmm-cg."
            )
        molecules = tuple(
            MoleculePriors(
                entry["name"],
                tuple(entry["types"]),
                tuple((int(i), int(j)) for i, j in entry["bonds"]),
                _read_terms(entry["terms"]),
            )
            for entry in record.get("molecules", ())
        )
        return PriorSet(
            _read_terms(record["terms"]),
            float(record["temperature"]),
            molecules,
            int(record.get("excluded_bonds", EXCLUDED_BONDS)),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"The priors' record is incomplete: {error!r} is missing.") from error


def _write_terms(parameters: Parameterised) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "unit": KINDS[kind].unit,
            "parameters": [
                {"types": list(key), **{name: _plain(x) for name, x in entry._asdict().items()}}
                for key, entry in table.items()
            ],
        }
        for kind, table in parameters.items()
    ]


def _read_terms(entries: list[Mapping[str, Any]]) -> dict[str, dict[Key, Any]]:
    parameters: dict[str, dict[Key, Any]] = {}
    for entry in entries:
        kind = entry["kind"]
        if kind not in KINDS:
            raise ValueError(
                f"The priors contain the kind {kind!r}, but this version knows "
                f"{', '.join(KINDS)}; upgrade openmm-cg."
            )
        record = KINDS[kind].record
        parameters[kind] = {
            tuple(term["types"]): record(*(_number(term[name]) for name in record._fields))
            for term in entry["parameters"]
        }
    return parameters


def _plain(value: float | tuple[float, ...]) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value


def _number(value: Any) -> float | tuple[float, ...]:
    return tuple(float(x) for x in value) if isinstance(value, list | tuple) else float(value)
