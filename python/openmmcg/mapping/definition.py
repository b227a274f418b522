"""The recipe of a mapping: residue templates of beads, read from YAML or a dict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from openmmcg.mapping.encoding import Encoding, check_encoding

FORMAT = 1
WEIGHTS = ("mass", "geometric")


@dataclass(frozen=True)
class BeadTemplate:
    """One bead of a residue.

    Attributes
    ----------
    name : str
        Bead name.
    select : str
        MDTraj selection of the bead's atoms, applied within the residue.
    optional : bool
        Leave the bead out where the selection is empty, instead of raising an error.
    weights : str or tuple of float
        "mass" (centre of mass), "geometric" (mean position), or one weight per selected atom in
        the order of the topology; weights are divided by their sum. One atom always gets 1.
    """

    name: str
    select: str
    optional: bool = False
    weights: str | tuple[float, ...] = "mass"


@dataclass(frozen=True)
class ResidueTemplate:
    """The beads of all residues that an MDTraj selection touches."""

    residues: str
    beads: tuple[BeadTemplate, ...]


@dataclass(frozen=True)
class MappingDefinition:
    """A mapping before it meets a topology.

    Attributes
    ----------
    name : str
        Name of the mapping.
    templates : tuple of ResidueTemplate
        The first template that applies to a residue is used; a residue with none is unmapped.
    encoding : str or dict
        How beads get their types, see `openmmcg.mapping.ENCODINGS`.
    """

    name: str
    templates: tuple[ResidueTemplate, ...]
    encoding: Encoding = field(default="element")

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain JSON-able values, the inverse of `from_dict`."""
        return {
            "format": FORMAT,
            "name": self.name,
            "encoding": self.encoding
            if isinstance(self.encoding, str)
            else {"list": list(self.encoding["list"])},
            "templates": [
                {"residues": t.residues, "beads": [_bead_to_dict(b) for b in t.beads]}
                for t in self.templates
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "mapping") -> MappingDefinition:
        """Check and take over a definition.

        Parameters
        ----------
        data : dict
            As in a mapping's YAML file: format, name, encoding, templates.
        where : str
            Names the source in error messages.

        Raises
        ------
        ValueError
            If a key is missing or unknown, a value has the wrong type, or the format is newer
            than this package reads.
        """
        _check_keys(data, {"format", "name", "templates"}, {"encoding"}, where)
        if data["format"] != FORMAT:
            raise ValueError(
                f"{where} has format {data['format']!r}, this openmmcg reads format {FORMAT}; "
                "update openmmcg or correct the 'format' key."
            )
        encoding = data.get("encoding", "element")
        if not isinstance(encoding, str | Mapping):
            raise ValueError(f"{where}: 'encoding' is {encoding!r}, expected a name or a list.")
        check_encoding(encoding)
        templates = tuple(
            _template(entry, f"{where}, template {number}")
            for number, entry in enumerate(_entries(data, "templates", where), start=1)
        )
        return cls(_text(data, "name", where), templates, encoding)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MappingDefinition:
        """Read a definition from a YAML file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not YAML or not a valid definition.
        """
        file = Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"No mapping file {file}.")
        try:
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is not a readable YAML file: {error}") from error
        return cls.from_dict(data, where=str(file))


def _template(entry: Any, where: str) -> ResidueTemplate:
    _check_keys(entry, {"residues", "beads"}, set(), where)
    beads = tuple(
        _bead(bead, f"{where}, bead {number}")
        for number, bead in enumerate(_entries(entry, "beads", where), start=1)
    )
    return ResidueTemplate(_text(entry, "residues", where), beads)


def _bead(entry: Any, where: str) -> BeadTemplate:
    _check_keys(entry, {"name", "select"}, {"optional", "weights"}, where)
    optional = entry.get("optional", False)
    if not isinstance(optional, bool):
        raise ValueError(f"{where}: 'optional' is {optional!r}, expected true or false.")
    weights = entry.get("weights", "mass")
    if isinstance(weights, list | tuple):
        if not all(isinstance(w, int | float) and not isinstance(w, bool) for w in weights):
            raise ValueError(f"{where}: 'weights' is {weights!r}, expected numbers.")
        weights = tuple(float(w) for w in weights)
    elif weights not in WEIGHTS:
        raise ValueError(
            f"{where}: 'weights' is {weights!r}, expected {', '.join(WEIGHTS)} or a list."
        )
    return BeadTemplate(
        _text(entry, "name", where), _text(entry, "select", where), optional, weights
    )


def _bead_to_dict(bead: BeadTemplate) -> dict[str, Any]:
    weights = bead.weights if isinstance(bead.weights, str) else list(bead.weights)
    return {
        "name": bead.name,
        "select": bead.select,
        "optional": bead.optional,
        "weights": weights,
    }


def _check_keys(entry: Any, required: set[str], optional: set[str], where: str) -> None:
    expected = f"expected {', '.join(sorted(required))}"
    if optional:
        expected += f" (optional: {', '.join(sorted(optional))})"
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} is {type(entry).__name__}, not a set of keys; {expected}.")
    if missing := required - set(entry):
        raise ValueError(f"{where} lacks {', '.join(sorted(missing))}; {expected}.")
    if unknown := set(entry) - required - optional:
        names = ", ".join(sorted(map(str, unknown)))
        raise ValueError(f"{where} has the unknown key {names}; {expected}.")


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    # YAML reads an unquoted N as text but no or on as a boolean: say so instead of guessing.
    value = entry[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {key!r} is {value!r}, expected text (put it in quotes).")
    return value


def _entries(entry: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = entry[key]
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{where}: {key!r} is {value!r}, expected a list with entries.")
    return list(value)
