"""A set of fitted priors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike

from openmmcg.priors.base import BondedTerm, PairTerm, PriorTerm
from openmmcg.priors.bound import BoundPairs, BoundPriors, BoundTerms
from openmmcg.priors.keys import Key, Lookup, label
from openmmcg.priors.kinds import KINDS, find_kind
from openmmcg.priors.molecules import (
    MoleculePriors,
    Parameterised,
    molecule_beads,
    recognise,
)
from openmmcg.priors.pairs import PairSpace
from openmmcg.priors.topology import bead_graph, close_pairs

EXCLUDED_BONDS = 3
"""Bonds up to which pairs have no prior of pairs by default: 1-2, 1-3 and 1-4 neighbours."""
_MOST_EXCLUDED = 3


class PriorEntry(NamedTuple):
    """Parameters of one key; `molecule` is an index of `PriorSet.molecules`, -1 for all."""

    molecule: int
    key: Key
    parameters: Any


@dataclass(frozen=True)
class PriorSet:
    """Parameters of prior energies by kind and by the type names of a term's beads.

    Attributes
    ----------
    parameters : mapping of str to mapping of tuple of str to parameters
        For each kind in `KINDS`, for the type names of a term's beads. A name may be the wildcard
        ``"*"``; the entry with the fewest wildcards wins. A kind that is listed must have
        parameters for all terms of a topology.
    temperature : float
        Temperature in K at which the priors were fitted. They do not depend on temperature.
    molecules : tuple of MoleculePriors
        Priors of certain molecules, which go before `parameters`.
    excluded_bonds : int
        Bonds up to which pairs of beads have no prior of pairs, 0 to 3.

    Raises
    ------
    ValueError
        If a kind is unknown, a key has the wrong number of types, or parameters are not finite.
    """

    parameters: Parameterised
    temperature: float
    molecules: tuple[MoleculePriors, ...] = ()
    excluded_bonds: int = EXCLUDED_BONDS

    def __post_init__(self) -> None:
        """Check everything."""
        if not 0 <= self.excluded_bonds <= _MOST_EXCLUDED:
            raise ValueError(
                f"Pairs up to {self.excluded_bonds} bonds apart are to be left out, but 0 to "
                f"{_MOST_EXCLUDED} is expected."
            )
        for molecule in self.molecules:
            for name in molecule.parameters:
                if issubclass(find_kind(name), PairTerm):
                    raise ValueError(
                        f"The molecule {molecule.name} has parameters of {name}, which acts "
                        "between molecules too; give them for all molecules."
                    )
        for name in self.kinds():
            kind = find_kind(name)
            for entry in self.entries(name):
                _check_entry(kind, entry)
            kind.pack([entry.parameters for entry in self.entries(name)])

    def kinds(self) -> list[str]:
        """Kinds that have parameters."""
        names = [*self.parameters, *(name for m in self.molecules for name in m.parameters)]
        return list(dict.fromkeys(names))

    def entries(self, kind: str) -> list[PriorEntry]:
        """All entries of a kind, in the order of the rows of its table."""
        return list(self._entries(kind))

    def tables(self) -> dict[str, dict[str, np.ndarray]]:
        """Parameters of each kind, one row an entry."""
        return {
            name: KINDS[name].pack([entry.parameters for entry in self.entries(name)])
            for name in self.kinds()
        }

    def bind(
        self,
        types: ArrayLike,
        type_names: Sequence[str],
        bonds: ArrayLike,
        molecules: Sequence[int] | np.ndarray | None = None,
    ) -> BoundPriors:
        """Apply the priors to a topology.

        Parameters
        ----------
        types : array_like of int, shape (n_beads,)
            Bead types.
        type_names : sequence of str
            Names of the types.
        bonds : array_like of int, shape (n_bonds, 2)
            Bonded beads.
        molecules : array_like of int, shape (n_beads,), optional
            Molecule of every bead, to find `molecules`; by default the parts joined by bonds.

        Returns
        -------
        BoundPriors

        Raises
        ------
        ValueError
            If a term of the topology has no parameters, or two that fit equally well.
        """
        names = bead_names(types, type_names)
        graph = bead_graph(names, bonds)
        members = recognise(graph, molecule_beads(graph, molecules), self.molecules)
        bound: list[BoundTerms | BoundPairs] = []
        for name in self.kinds():
            kind = KINDS[name]
            if issubclass(kind, PairTerm):
                pairs = pair_space(graph, names, self.excluded_bonds)
                if pairs.n_pairs:
                    bound.append(self._bind_pairs(kind, pairs, names))
            elif issubclass(kind, BondedTerm):
                found = self._bind_terms(kind, graph, names, members)
                if len(found.terms):
                    bound.append(found)
        tables = self.tables()
        return BoundPriors(
            len(names), tuple(bound), {part.kind.kind: tables[part.kind.kind] for part in bound}
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able record."""
        from openmmcg.priors.record import to_record

        return to_record(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PriorSet:
        """Rebuild a set from the record of `to_dict`.

        Raises
        ------
        ValueError
            If the record holds a kind that this version does not know, or is not such a record.
        """
        from openmmcg.priors.record import from_record

        return from_record(record)

    def _entries(self, kind: str) -> Iterator[PriorEntry]:
        tables = (self.parameters, *(molecule.parameters for molecule in self.molecules))
        for index, table in enumerate(tables):
            for key, parameters in table.get(kind, {}).items():
                yield PriorEntry(index - 1, key, parameters)

    def _lookups(self, kind: type[PriorTerm]) -> dict[int, Lookup[int]]:
        """Row in the table by types, for each molecule and, under -1, for all."""
        rows: dict[int, dict[Key, Any]] = {}
        for entry in self.entries(kind.kind):
            rows.setdefault(entry.molecule, {})[entry.key] = entry.parameters
        return {molecule: Lookup(table, kind.reversible) for molecule, table in rows.items()}

    def _bind_terms(
        self, kind: type[BondedTerm], graph: nx.Graph, names: list[str], members: np.ndarray
    ) -> BoundTerms:
        row = self._row_finder(kind)
        kept, rows = [], []
        for term in kind.terms(graph).tolist():
            found = row(tuple(names[bead] for bead in term), int(members[term[0]]))
            if found is not None:
                kept.append(term)
                rows.append(found)
        terms = np.array(kept, dtype=np.int64).reshape(-1, kind.coordinate.size)
        return BoundTerms(kind, terms, np.array(rows, dtype=np.int64))

    def _bind_pairs(self, kind: type[PairTerm], pairs: PairSpace, names: list[str]) -> BoundPairs:
        row = self._row_finder(kind)
        kind_names = sorted(set(names))
        # Pairs of kinds that are always left out get a row that is never used.
        rows = np.zeros((len(kind_names), len(kind_names)), dtype=np.int64)
        for i, j in pairs.kind_pairs().tolist():
            rows[i, j] = rows[j, i] = row((kind_names[i], kind_names[j]), -1)
        return BoundPairs(kind, pairs, rows)

    def _row_finder(self, kind: type[PriorTerm]) -> Any:
        """Row of the types of a term in a molecule; None where only other molecules have one."""
        lookups = self._lookups(kind)
        place = {(e.molecule, e.key): row for row, e in enumerate(self.entries(kind.kind))}

        def find(types: Key, molecule: int) -> int | None:
            for owner in dict.fromkeys((molecule, -1)):
                key = lookups[owner].key(types) if owner in lookups else None
                if key is not None:
                    return place[owner, key]
            own = molecule >= 0 and kind.kind in self.molecules[molecule].parameters
            if kind.kind not in self.parameters and not own:
                return None
            known = dict.fromkeys(label(entry.key) for entry in self.entries(kind.kind))
            inside = f" in {self.molecules[molecule].name}" if molecule >= 0 else ""
            raise ValueError(
                f"The priors have no {kind.kind} for {label(types)}{inside}, only for "
                f"{', '.join(known) or 'nothing'}; fit them on data that contain it."
            )

        return find


def pair_space(graph: nx.Graph, names: Sequence[str], excluded_bonds: int) -> PairSpace:
    """Pairs of a bead graph; kinds of bead are numbered in the order of their sorted names."""
    order = {name: index for index, name in enumerate(sorted(set(names)))}
    return PairSpace(
        np.array([order[name] for name in names], dtype=np.int64),
        np.array(sorted(map(sorted, graph.edges)), dtype=np.int64).reshape(-1, 2),
        close_pairs(graph, excluded_bonds),
        excluded_bonds,
    )


def bead_names(types: ArrayLike, type_names: Sequence[str]) -> list[str]:
    """Type name of every bead.

    Raises
    ------
    ValueError
        If a type has no name.
    """
    indices = np.asarray(types, dtype=np.int64)
    if indices.size and not 0 <= indices.min() <= indices.max() < len(type_names):
        raise ValueError(
            f"Bead types run from {indices.min()} to {indices.max()}, but there are "
            f"{len(type_names)} type names ({', '.join(type_names)})."
        )
    return [type_names[index] for index in indices.tolist()]


def _check_entry(kind: type[PriorTerm], entry: PriorEntry) -> None:
    size = kind.coordinate.size
    if len(entry.key) != size:
        raise ValueError(
            f"The prior {kind.kind} for {label(entry.key)} names {len(entry.key)} types, but a "
            f"term has {size} beads."
        )
    if not isinstance(entry.parameters, kind.record):
        raise ValueError(
            f"The prior {kind.kind} for {label(entry.key)} has {entry.parameters!r}, but "
            f"{kind.record.__name__} is expected."
        )
    if not all(np.isfinite(column).all() for column in kind.pack([entry.parameters]).values()):
        raise ValueError(
            f"The prior {kind.kind} for {label(entry.key)} has parameters that are not finite: "
            f"{entry.parameters}; fit or give it anew."
        )
