"""Fitting priors to sampled frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike

from openmmcg.priors.base import BondedTerm, DegenerateError, PairTerm, PriorTerm
from openmmcg.priors.keys import Key, Lookup, label
from openmmcg.priors.kinds import DEFAULT_KINDS, choose_kinds
from openmmcg.priors.molecules import (
    MoleculePriors,
    Parameterised,
    describe_molecules,
    molecule_beads,
    recognise,
)
from openmmcg.priors.prior_set import EXCLUDED_BONDS, PriorSet, bead_names, pair_space
from openmmcg.priors.samples import (
    Samples,
    SystemFrames,
    pair_samples,
    single_temperature,
    term_samples,
)
from openmmcg.priors.topology import bead_graph
from openmmcg.units import KB

if TYPE_CHECKING:
    from openmmcg.data import Dataset

Label = tuple[int, Key]
"""Molecule (-1 for all) and type names that samples belong to."""


def fit_priors(
    dataset: Dataset | Sequence[Dataset],
    temperature: float | None = None,
    kinds: Sequence[str] = DEFAULT_KINDS,
    *,
    reweight: bool = False,
    **options: Any,
) -> PriorSet:
    """Fit the priors of one or several datasets by Boltzmann inversion.

    Fits use the frames as they were sampled, whatever their weights: a prior shall keep a run
    in the region where the network has seen data, and the network learns the rest.

    Parameters
    ----------
    dataset : Dataset or sequence of Dataset
        Each is one molecule or system.
    temperature : float, optional
        In K; by default that of the frames. Frames of other temperatures are left out.
    kinds : sequence of str
        Names of `KINDS`.
    reweight : bool, default False
        Use the thermodynamic weights of the frames.
    **options
        Of `fit_systems`.

    Returns
    -------
    PriorSet

    Raises
    ------
    ValueError
        If frames have several temperatures and none is given, none has the one given, or a term
        (named) cannot be fitted.
    """
    datasets = list(dataset) if isinstance(dataset, Sequence) else [dataset]
    if temperature is None:
        found = [np.asarray(one.temperatures) for one in datasets]
        temperature = single_temperature(np.concatenate(found) if found else np.empty(0))
    systems = [SystemFrames.of_dataset(one, temperature, reweight) for one in datasets]
    return fit_systems(systems, temperature, kinds, **options)


def fit_frames(
    positions: np.ndarray,
    types: ArrayLike,
    type_names: Sequence[str],
    bonds: ArrayLike,
    temperature: float,
    kinds: Sequence[str] = DEFAULT_KINDS,
    *,
    boxes: np.ndarray | None = None,
    molecules: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    **options: Any,
) -> PriorSet:
    """Fit priors to positions of one topology, see `fit_systems`.

    Parameters
    ----------
    positions : numpy.ndarray, shape (F, n_beads, 3)
        Frames in nm; molecules whole if there are no boxes.
    types : array_like of int, shape (n_beads,)
        Bead types.
    type_names : sequence of str
        Names of the types.
    bonds : array_like of int, shape (n_bonds, 2)
        Bonded beads.
    temperature : float
        K.
    kinds : sequence of str
        Names of `KINDS`.
    boxes, molecules, weights : optional
        As of `SystemFrames`.
    **options
        Of `fit_systems`.

    Returns
    -------
    PriorSet
    """
    system = SystemFrames(positions, types, type_names, bonds, boxes, molecules, weights)
    return fit_systems([system], temperature, kinds, **options)


def fit_systems(
    systems: Sequence[SystemFrames],
    temperature: float,
    kinds: Sequence[str] = DEFAULT_KINDS,
    *,
    given: Parameterised | None = None,
    pool: Mapping[str, Sequence[Key]] | None = None,
    per_molecule: bool = False,
    excluded_bonds: int = EXCLUDED_BONDS,
) -> PriorSet:
    """Fit priors to frames of one or several systems.

    Terms of the same bead types share their parameters, in all systems.

    Parameters
    ----------
    systems : sequence of SystemFrames
        All at the same temperature.
    temperature : float
        K.
    kinds : sequence of str
        Names of `KINDS`, at most one for bonds, angles, torsions, impropers and pairs each.
    given : mapping of str to mapping of tuple of str to parameters, optional
        By kind and type names, which may be ``"*"``: parameters that are not fitted.
    pool : mapping of str to sequence of tuple of str, optional
        By kind: type names with wildcards. All terms that fit one share its parameters; the
        others are fitted by their types.
    per_molecule : bool, default False
        Fit the terms of every different molecule on their own; pairs are always fitted together.
    excluded_bonds : int, default 3
        Bonds up to which pairs have no prior of pairs.

    Returns
    -------
    PriorSet

    Raises
    ------
    ValueError
        If a kind is unknown, two act on the same coordinates, or a term cannot be fitted.
    """
    chosen = choose_kinds([*kinds, *(given or {})])
    graphs = [bead_graph(bead_names(s.types, s.type_names), s.bonds) for s in systems]
    split = [
        molecule_beads(graph, None if s.molecules is None else np.asarray(s.molecules))
        for graph, s in zip(graphs, systems, strict=True)
    ]
    templates: list[MoleculePriors] = []
    if per_molecule:
        parts = [describe_molecules(g, m) for g, m in zip(graphs, split, strict=True)]
        templates = _different([part for found in parts for part in found])
    fitted: list[dict[str, dict[Key, Any]]] = [{} for _ in range(len(templates) + 1)]
    for kind in chosen:
        known = dict((given or {}).get(kind.kind, {}))
        fitted[0][kind.kind] = known
        gathered = _Gathered(kind, known, list((pool or {}).get(kind.kind, ())), templates)
        for system, graph, molecules in zip(systems, graphs, split, strict=True):
            gathered.add(system, graph, molecules, excluded_bonds)
        for (molecule, key), samples in gathered.merged():
            name = templates[molecule].name if molecule >= 0 else None
            entry = _fit(kind, key, samples, KB * temperature, name)
            fitted[molecule + 1].setdefault(kind.kind, {})[key] = entry
    return PriorSet(
        fitted[0],
        temperature,
        tuple(
            MoleculePriors(t.name, t.types, t.bonds, table)
            for t, table in zip(templates, fitted[1:], strict=True)
        ),
        excluded_bonds,
    )


class _Gathered:
    """Samples of one kind by what they belong to."""

    def __init__(
        self,
        kind: type[PriorTerm],
        given: Mapping[Key, Any],
        pool: Sequence[Key],
        templates: list[MoleculePriors],
    ) -> None:
        self._kind = kind
        self._given: Lookup[Any] = Lookup(given, kind.reversible)
        self._pool = Lookup({key: key for key in pool}, kind.reversible)
        self._templates = templates
        self._samples: dict[Label, list[Samples]] = {}

    def add(
        self,
        system: SystemFrames,
        graph: nx.Graph,
        molecules: list[list[int]],
        excluded_bonds: int,
    ) -> None:
        """Sample one system."""
        names = [graph.nodes[bead]["name"] for bead in range(len(graph))]
        if issubclass(self._kind, PairTerm):
            found = self._pairs(system, graph, names, excluded_bonds)
        else:
            found = self._terms(system, graph, names, recognise(graph, molecules, self._templates))
        for owner, samples in found:
            self._samples.setdefault(owner, []).append(samples)

    def merged(self) -> Iterator[tuple[Label, Samples]]:
        """Yield what was sampled, sorted."""
        for owner, parts in sorted(self._samples.items()):
            values = np.concatenate([part.values for part in parts])
            weights = None
            if any(part.weights is not None for part in parts):
                weights = np.concatenate(
                    [np.ones(len(p.values)) if p.weights is None else p.weights for p in parts]
                )
            yield owner, Samples(values, weights)

    def _key(self, types: Key) -> Key | None:
        return None if self._given.key(types) is not None else self._pool.key(types) or types

    def _terms(
        self, system: SystemFrames, graph: nx.Graph, names: list[str], members: np.ndarray
    ) -> Iterator[tuple[Label, Samples]]:
        assert issubclass(self._kind, BondedTerm)
        owners: dict[Label, int] = {}
        terms, rows = [], []
        for term in self._kind.terms(graph).tolist():
            key = self._key(tuple(names[bead] for bead in term))
            if key is not None:
                terms.append(term)
                rows.append(owners.setdefault((int(members[term[0]]), key), len(owners)))
        samples = term_samples(system, self._kind, np.array(terms), np.array(rows))
        return ((owner, samples[row]) for owner, row in owners.items())

    def _pairs(
        self, system: SystemFrames, graph: nx.Graph, names: list[str], excluded_bonds: int
    ) -> Iterator[tuple[Label, Samples]]:
        space = pair_space(graph, names, excluded_bonds)
        kind_names = sorted(set(names))
        owners: dict[Label, int] = {}
        rows = np.full((len(kind_names), len(kind_names)), -1, dtype=np.int64)
        for i, j in space.kind_pairs().tolist():
            key = self._key((kind_names[i], kind_names[j]))
            if key is not None:
                rows[i, j] = rows[j, i] = owners.setdefault((-1, key), len(owners))
        samples = pair_samples(system, space, rows) if owners else {}
        return ((owner, samples[row]) for owner, row in owners.items())


def _fit(kind: type[PriorTerm], key: Key, samples: Samples, kt: float, molecule: str | None) -> Any:
    try:
        return kind.fit(samples.values, kt, samples.weights)
    except DegenerateError as error:
        inside = f" in {molecule}" if molecule else ""
        raise ValueError(
            f"The prior {kind.kind} for {label(key)}{inside} cannot be fitted: {error}; check the "
            "dataset and the mapping, give its parameters (given=), or leave the kind out."
        ) from error


def _different(molecules: list[MoleculePriors]) -> list[MoleculePriors]:
    """Drop molecules that are alike, and tell apart names that are."""
    kept: list[MoleculePriors] = []
    for molecule in molecules:
        graph = molecule.graph()
        if (recognise(graph, [list(range(len(graph)))], kept) < 0).all():
            same = sum(other.name.split("#")[0] == molecule.name for other in kept)
            name = f"{molecule.name}#{same + 1}" if same else molecule.name
            kept.append(MoleculePriors(name, molecule.types, molecule.bonds))
    return kept
