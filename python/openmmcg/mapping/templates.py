"""Templates of a mapping: which atoms make a bead, and where a template applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openmmcg.mapping.schema import check_keys, entries, flag, numbers, text, whole

WEIGHTS = ("mass", "geometric", "slice")
_SOURCES = ("select", "each", "carbons", "every")


@dataclass(frozen=True)
class BeadTemplate:
    """One bead, or a series of beads, of a residue or molecule.

    Exactly one of `select`, `each`, `carbons` and `every` says which atoms. The last three take
    the hydrogens bonded to an atom along with it, unless the weights are "slice".

    Attributes
    ----------
    name : str
        Bead name. Beads of `each` are called after their atom if it is empty; those of `every`
        are numbered, "C1", "C2", ...
    select : str
        MDTraj selection of the bead's atoms, applied within the residue or molecule.
    optional : bool
        Leave the bead out where there are no such atoms, instead of raising an error.
    weights : str or tuple of float
        "mass" (centre of mass), "geometric" (mean position), "slice" (the bead is one atom), or
        one weight per selected atom in the order of the topology; weights are divided by their
        sum. One atom always gets 1.
    each : str
        MDTraj selection: every atom of it makes a bead.
    carbons : tuple of int
        Carbons counted from 1 along the chain of a molecule or residue, see
        `openmmcg.mapping.chains.carbon_chains`.
    every : int
        Cuts all carbon chains into beads of so many carbons; the last one takes what is left.
    type : str
        Label for the encoding "type"; the name if it is empty.
    shared : bool
        Whether atoms of this bead may also lie in other beads that are shared.
    """

    name: str
    select: str = ""
    optional: bool = False
    weights: str | tuple[float, ...] = "mass"
    each: str = ""
    carbons: tuple[int, ...] = ()
    every: int = 0
    type: str = ""
    shared: bool = False

    def __post_init__(self) -> None:
        """Check that there is one source of atoms, and weights that suit it."""
        given = [key for key in _SOURCES if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"Bead {self.name!r} has {found} of {', '.join(_SOURCES)}; give exactly one."
            )
        if not self.name and not self.each:
            raise ValueError(f"A bead with {given[0]!r} needs a name.")
        if isinstance(self.weights, tuple) and not self.select:
            raise ValueError(
                f"Bead {self.name!r} has a list of weights, which needs 'select'; use "
                f"{', '.join(WEIGHTS)}."
            )
        if self.weights == "slice" and (len(self.carbons) > 1 or self.every > 1):
            raise ValueError(
                f"Bead {self.name!r} is a slice of several carbons; a slice is one atom, so give "
                "one carbon or the weights 'mass'."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values, the inverse of `from_dict`."""
        result: dict[str, Any] = {"name": self.name} if self.name else {}
        for key in _SOURCES:
            value = getattr(self, key)
            if value:
                result[key] = list(value) if isinstance(value, tuple) else value
        result["optional"] = self.optional
        weights = self.weights
        result["weights"] = weights if isinstance(weights, str) else list(weights)
        if self.type:
            result["type"] = self.type
        if self.shared:
            result["shared"] = True
        return result

    @classmethod
    def from_dict(cls, entry: Any, where: str, new: bool = True) -> BeadTemplate:
        """Check and take over an entry of ``beads``; `new` allows what format 1 has not."""
        optional = {"optional", "weights"}
        if not new:
            check_keys(entry, {"name", "select"}, optional, where)
        else:
            check_keys(entry, set(), {"name", "type", "shared", *_SOURCES, *optional}, where)
        weights = entry.get("weights", "mass")
        if isinstance(weights, list | tuple):
            weights = numbers(weights, "weights", where)
        elif weights not in WEIGHTS:
            raise ValueError(
                f"{where}: 'weights' is {weights!r}, expected {', '.join(WEIGHTS)} or a list."
            )
        words = {
            key: text(entry, key, where)
            for key in ("name", "select", "each", "type")
            if key in entry
        }
        try:
            return cls(
                **{"name": "", **words},
                optional=flag(entry, "optional", where),
                weights=weights,
                carbons=_positions(entry["carbons"], where) if "carbons" in entry else (),
                every=whole(entry["every"], "every", where, 1) if "every" in entry else 0,
                shared=flag(entry, "shared", where),
            )
        except ValueError as error:
            if str(error).startswith(where):
                raise
            raise ValueError(f"{where}: {error}") from error


@dataclass(frozen=True)
class ResidueTemplate:
    """The beads of all residues that an MDTraj selection touches.

    Attributes
    ----------
    residues : str
        MDTraj selection.
    beads : tuple of BeadTemplate
    optional : bool
        Whether the selection may match nothing.
    """

    residues: str
    beads: tuple[BeadTemplate, ...]
    optional: bool = False


@dataclass(frozen=True)
class MoleculeTemplate:
    """The beads of all molecules (connected by bonds) that an MDTraj selection touches.

    Attributes
    ----------
    molecules : str
        MDTraj selection.
    beads : tuple of BeadTemplate
        Their selections apply within the molecule.
    chain : int
        If not 0, take only molecules that are an unbranched chain of so many carbons with their
        hydrogens.
    optional : bool
        Whether the selection may match nothing.
    """

    molecules: str
    beads: tuple[BeadTemplate, ...]
    chain: int = 0
    optional: bool = False


def template_from_dict(
    entry: Any, where: str, new: bool = True
) -> ResidueTemplate | MoleculeTemplate:
    """Check and take over a residue or molecule template; `new` allows what format 1 has not."""
    kind = (
        "molecules" if new and isinstance(entry, Mapping) and "molecules" in entry else "residues"
    )
    extra = {"optional"} if new else set()
    if kind == "molecules":
        extra.add("chain")
    check_keys(entry, {kind, "beads"}, extra, where)
    beads = tuple(
        BeadTemplate.from_dict(bead, f"{where}, bead {number}", new)
        for number, bead in enumerate(entries(entry, "beads", where), start=1)
    )
    optional = flag(entry, "optional", where) if new else True
    if kind == "residues":
        return ResidueTemplate(text(entry, kind, where), beads, optional)
    chain = whole(entry["chain"], "chain", where, 1) if "chain" in entry else 0
    return MoleculeTemplate(text(entry, kind, where), beads, chain, optional)


def template_to_dict(template: ResidueTemplate | MoleculeTemplate) -> dict[str, Any]:
    """Return JSON-able values, the inverse of `template_from_dict`."""
    result: dict[str, Any]
    if isinstance(template, MoleculeTemplate):
        result = {"molecules": template.molecules}
        if template.chain:
            result["chain"] = template.chain
    else:
        result = {"residues": template.residues}
    return {
        **result,
        "optional": template.optional,
        "beads": [bead.to_dict() for bead in template.beads],
    }


def _positions(value: Any, where: str) -> tuple[int, ...]:
    """Return places along a chain, given as 3, "1-3" or [1, 2, 3]."""
    if isinstance(value, str):
        first, _, last = value.partition("-")
        if first.strip().isdigit() and last.strip().isdigit():
            value = list(range(int(first), int(last) + 1))
    places = value if isinstance(value, list | tuple) else [value]
    if places and all(isinstance(p, int) and not isinstance(p, bool) and p > 0 for p in places):
        return tuple(places)
    raise ValueError(
        f"{where}: 'carbons' is {value!r}, expected places counted from 1, such as 2, 1-3 or "
        "[1, 2, 3]."
    )
