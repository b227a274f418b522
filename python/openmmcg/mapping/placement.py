"""Where a mapping's templates put beads on a topology."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import mdtraj as md
import networkx as nx
import numpy as np

from openmmcg.mapping.chains import carbon_chains, with_hydrogens
from openmmcg.mapping.definition import MappingDefinition, Template
from openmmcg.mapping.openmscg import SystemTemplate
from openmmcg.mapping.templates import BeadTemplate, MoleculeTemplate, ResidueTemplate


@dataclass(frozen=True, eq=False)
class PlacedBead:
    """A bead with its atoms.

    Attributes
    ----------
    name, type : str
        As in `BeadTemplate`.
    atoms : (n,) int64
        Sorted indices.
    weights : (n,) float64
        Sum 1.
    shared : bool
        Whether its atoms may lie in other beads.
    force_weights : dict or None
        Weight of each atom's force, if the definition gives any.
    """

    name: str
    type: str
    atoms: np.ndarray
    weights: np.ndarray
    shared: bool = False
    force_weights: dict[int, float] | None = None


@dataclass
class _Atoms:
    """A topology as arrays, with selections and chains evaluated once."""

    topology: md.Topology
    graph: nx.Graph
    components: np.ndarray
    residues: np.ndarray = field(init=False)
    elements: list[str] = field(init=False)
    masses: np.ndarray = field(init=False)
    _masks: dict[str, np.ndarray] = field(default_factory=dict)
    _chains: dict[int, list[int]] | None = None

    def __post_init__(self) -> None:
        atoms = list(self.topology.atoms)
        self.residues = np.array([atom.residue.index for atom in atoms], dtype=np.int64)
        self.elements = [atom.element.symbol for atom in atoms]
        self.masses = np.array([atom.element.mass for atom in atoms], dtype=np.float64)

    def mask(self, selection: str) -> np.ndarray:
        """Return which atoms an MDTraj selection finds."""
        if selection not in self._masks:
            mask = np.zeros(self.topology.n_atoms, dtype=bool)
            try:
                mask[np.asarray(self.topology.select(selection), dtype=np.int64)] = True
            except Exception as error:  # MDTraj raises whatever its parser met
                raise ValueError(
                    f"MDTraj cannot read the selection {selection!r}: {str(error).splitlines()[0]}"
                ) from error
            self._masks[selection] = mask
        return self._masks[selection]

    def chains(self, atoms: np.ndarray) -> list[list[int]]:
        """Return the carbon chains among atoms."""
        if self._chains is None:
            found = carbon_chains(self.graph, self.elements)
            self._chains = {min(chain): chain for chain in found}
        inside = set(atoms.tolist())
        chains = [self._chains[a] for a in atoms.tolist() if a in self._chains]
        for chain in chains:
            if not inside.issuperset(chain):
                raise ValueError(
                    f"The carbon chain from {self.name(chain[0])} goes on in another residue; use "
                    "a template for 'molecules' instead of 'residues'."
                )
        return chains

    def name(self, atom: int) -> str:
        """Return an atom's name with its residue, for messages."""
        return str(self.topology.atom(int(atom)))


def place_beads(
    definition: MappingDefinition,
    topology: md.Topology,
    graph: nx.Graph,
    components: np.ndarray,
) -> list[PlacedBead]:
    """Return the beads that a definition makes of a topology.

    Parameters
    ----------
    definition : MappingDefinition
    topology : mdtraj.Topology
    graph : networkx.Graph
        Its molecular graph.
    components : (n_atoms,) int64
        Molecule of every atom.

    Returns
    -------
    list of PlacedBead
        In the order of residues, within a residue in that of the template.

    Raises
    ------
    ValueError
        If a selection cannot be read, or is empty and not optional, weights do not fit, templates
        overlap, or there is no bead.
    """
    atoms = _Atoms(topology, graph, components)
    beads: list[PlacedBead] = []
    for template, label, unit in _units(definition, atoms):
        if isinstance(template, SystemTemplate):
            beads += _numbered_beads(template, definition.shared, atoms)
            continue
        for bead in template.beads:
            placed = list(_cut(bead, label, unit, atoms, definition.shared))
            if not placed and not bead.optional:
                selection = bead.select or bead.each
                sought = f"with {selection!r}" if selection else "of a carbon chain"
                raise ValueError(
                    f"Bead {bead.name!r} of {label} selects no atom {sought}; correct the "
                    "selection or mark the bead optional."
                )
            beads += placed
    if not beads:
        raise ValueError(
            f"The mapping {definition.name!r} makes no bead of this topology: its residue and "
            "molecule selections match nothing. Residues found: "
            + ", ".join(sorted({r.name for r in topology.residues}))
            + "."
        )
    return sorted(beads, key=lambda bead: atoms.residues[bead.atoms[0]])


def _units(
    definition: MappingDefinition, atoms: _Atoms
) -> Iterator[tuple[Template, str, np.ndarray]]:
    """Yield every residue or molecule that a template applies to, with its atoms."""
    taken = np.zeros(atoms.topology.n_residues, dtype=np.int64)
    for number, template in enumerate(definition.templates, start=1):
        if isinstance(template, SystemTemplate):
            yield template, "", np.arange(len(atoms.residues))
            continue
        units = _matches(template, atoms)
        if not units and not template.optional:
            raise ValueError(
                f"Template {number} of the mapping {definition.name!r} matches nothing: there is "
                f"no {_sought(template)}; correct the selection or mark the template optional."
            )
        for unit in units:
            residues = np.unique(atoms.residues[unit])
            before = taken[residues]
            if before.all():
                continue
            kind = "residue" if isinstance(template, ResidueTemplate) else "molecule"
            label = f"{kind} {atoms.topology.residue(int(residues[0]))}"
            if before.any():
                raise ValueError(
                    f"Template {number} of the mapping {definition.name!r} applies to the {label}, "
                    f"of which template {before.max()} maps a part; let their selections differ."
                )
            taken[residues] = number
            yield template, label, unit


def _matches(template: ResidueTemplate | MoleculeTemplate, atoms: _Atoms) -> list[np.ndarray]:
    """Return the atoms of each residue or molecule that a template applies to."""
    if isinstance(template, ResidueTemplate):
        return _split(atoms.residues, atoms.mask(template.residues))
    molecules = _split(atoms.components, atoms.mask(template.molecules))
    if not template.chain:
        return molecules
    return [unit for unit in molecules if _is_alkane(unit, template.chain, atoms)]


def _split(labels: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Return, for every label that occurs within a mask, all atoms that carry it."""
    found = np.unique(labels[mask])
    order = np.argsort(labels, kind="stable")
    starts, ends = np.searchsorted(labels[order], [found, found + 1])
    return [order[start:end] for start, end in zip(starts, ends, strict=True)]


def _sought(template: ResidueTemplate | MoleculeTemplate) -> str:
    if isinstance(template, ResidueTemplate):
        return f"residue with {template.residues!r}"
    kind = f" that is an unbranched chain of {template.chain} carbons" if template.chain else ""
    return f"molecule with {template.molecules!r}{kind}"


def _is_alkane(unit: np.ndarray, length: int, atoms: _Atoms) -> bool:
    heavy = [atom for atom in unit.tolist() if atoms.elements[atom] != "H"]
    if len(heavy) != length:
        return False
    chains = atoms.chains(unit)
    return len(chains) == 1 and len(chains[0]) == length


def _cut(
    bead: BeadTemplate, label: str, unit: np.ndarray, atoms: _Atoms, shared: bool
) -> Iterator[PlacedBead]:
    """Yield the beads that a template cuts out of a residue or molecule."""
    for name, members in _pieces(bead, label, unit, atoms):
        place = f"Bead {name!r} of {label}"
        if bead.weights == "slice" and len(members) > 1:
            raise ValueError(
                f"{place} is a slice, but {bead.select!r} selects {len(members)} atoms "
                f"({', '.join(atoms.name(a) for a in members[:5])}); a slice is one atom."
            )
        yield PlacedBead(
            name,
            bead.type or name,
            members,
            _weights(bead, members, atoms, place),
            bead.shared or shared,
        )


def _pieces(
    bead: BeadTemplate, label: str, unit: np.ndarray, atoms: _Atoms
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and atoms of every bead that a template makes of a residue or molecule."""
    if bead.select:
        if len(members := unit[atoms.mask(bead.select)[unit]]):
            yield bead.name, members
    elif bead.each:
        for atom in unit[atoms.mask(bead.each)[unit]].tolist():
            name = bead.name or atoms.topology.atom(atom).name
            yield name, _grown(bead, [atom], atoms)
    elif bead.every:
        chains = atoms.chains(unit)
        cuts = [c[i : i + bead.every] for c in chains for i in range(0, len(c), bead.every)]
        for number, carbons in enumerate(cuts, start=1):
            yield f"{bead.name}{number}", _grown(bead, carbons, atoms)
    else:
        chains = atoms.chains(unit)
        if not chains and bead.optional:
            return
        if len(chains) != 1 or len(chains[0]) < max(bead.carbons):
            found = f"chains of {', '.join(str(len(c)) for c in chains)}" if chains else "none"
            raise ValueError(
                f"Bead {bead.name!r} of {label} takes carbon {max(bead.carbons)} of its one "
                f"carbon chain, but there are {found}; use 'every' or 'select'."
            )
        yield bead.name, _grown(bead, [chains[0][i - 1] for i in bead.carbons], atoms)


def _grown(bead: BeadTemplate, members: list[int], atoms: _Atoms) -> np.ndarray:
    """Return atoms with their hydrogens, unless the bead is a slice."""
    if bead.weights != "slice":
        members = with_hydrogens(atoms.graph, atoms.elements, members)
    return np.array(sorted(members), dtype=np.int64)


def _weights(bead: BeadTemplate, members: np.ndarray, atoms: _Atoms, place: str) -> np.ndarray:
    if len(members) == 1:
        return np.ones(1)
    if isinstance(bead.weights, str):
        raw = atoms.masses[members] if bead.weights == "mass" else np.ones(len(members))
    else:
        raw = np.array(bead.weights, dtype=np.float64)
        if len(raw) != len(members):
            raise ValueError(
                f"{place} has {len(raw)} weights for the {len(members)} atoms of "
                f"{bead.select!r}; give one weight per atom."
            )
    return _normalised(raw, place)


def _normalised(raw: np.ndarray, place: str) -> np.ndarray:
    if not (np.isfinite(raw).all() and (raw >= 0).all() and raw.sum() > 0):
        raise ValueError(
            f"{place} has weights {raw.tolist()}; weights must be finite and must not be "
            "negative, and their sum must be positive."
        )
    return np.asarray(raw / raw.sum())


def _numbered_beads(template: SystemTemplate, shared: bool, atoms: _Atoms) -> Iterator[PlacedBead]:
    """Yield the beads of a definition by atom number."""
    forces = any(site.f_weight for site in template.site_types)
    for site, members in template.sites(len(atoms.residues)):
        order = np.argsort(members)
        raw = np.array(site.x_weight)[order]
        weights = _normalised(raw, f"Site {site.name}")
        positive = weights > 0
        # A site without force weights takes the sum over its atoms.
        f_weight = site.f_weight or tuple(float(w > 0) for w in site.x_weight)
        yield PlacedBead(
            site.bead_type,
            site.bead_type,
            members[order][positive],
            weights[positive],
            shared,
            dict(zip(members.tolist(), f_weight, strict=True)) if forces else None,
        )
