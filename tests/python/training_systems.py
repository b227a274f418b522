"""Small synthetic datasets for tests of training: chains of beads, alone and in a box."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import mdtraj as md
import numpy as np
from openmmcg.data import Frames, write_dataset
from openmmcg.mapping import Mapping
from openmmcg.units import KB

BOND, STIFFNESS = 0.3, 2000.0
TEMPERATURE = 300.0


def chain_mapping(names: str, molecules: int = 1, mapping_name: str = "chain") -> Mapping:
    """Chains with one bead an atom; a letter of `names` is the type of a bead."""
    top = md.Topology()
    for number in range(molecules):
        residue = top.add_residue("CHN", top.add_chain(), number + 1)
        atoms = [top.add_atom(f"{n}{i}", md.element.carbon, residue) for i, n in enumerate(names)]
        for i, j in pairwise(atoms):
            top.add_bond(i, j)
    beads = [{"name": f"{n}{i}", "select": f"name {n}{i}", "type": n} for i, n in enumerate(names)]
    definition = {
        "format": 2,
        "name": mapping_name,
        "encoding": "type",
        "templates": [{"residues": "all", "beads": beads}],
    }
    return Mapping.from_dict(definition, top)


def chain_frames(
    mapping: Mapping,
    count: int,
    box: float | None = None,
    seed: int = 0,
    noise: float = 5.0,
    **changes: np.ndarray | None,
) -> Frames:
    """Frames of chains with harmonic bonds in equilibrium, and their forces with noise.

    Bond vectors are drawn from exp(-k (|b| - b0)^2 / 2 kT) (as a vector, so with the Jacobian), in
    directions that are all alike; molecules do not see each other and wrap around the box.
    """
    rng = np.random.default_rng(seed)
    molecules = mapping.molecules
    kt = KB * TEMPERATURE
    sigma = np.sqrt(kt / STIFFNESS)
    positions = np.zeros((count, mapping.n_beads, 3))
    forces = np.zeros_like(positions)
    for molecule in np.unique(molecules):
        beads = np.flatnonzero(molecules == molecule)
        positions[:, beads[0]] = rng.uniform(0.0, box or 1.0, (count, 3))
        for i, j in pairwise(beads):
            grid = np.linspace(BOND - 6 * sigma, BOND + 6 * sigma, 2001)
            density = grid**2 * np.exp(-0.5 * ((grid - BOND) / sigma) ** 2)
            length = np.interp(rng.uniform(size=count), np.cumsum(density) / density.sum(), grid)
            direction = rng.normal(size=(count, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            positions[:, j] = positions[:, i] + length[:, None] * direction
            pull = (STIFFNESS * (length - BOND))[:, None] * direction
            forces[:, i] += pull
            forces[:, j] -= pull
    if box is not None:
        positions %= box
    values: dict = {
        "positions": positions.astype("f4"),
        "forces": (forces + rng.normal(0.0, noise, forces.shape)).astype("f4"),
        "energies": np.zeros(count),
        "temperatures": np.full(count, TEMPERATURE),
        "bias_energies": np.zeros(count),
        "walkers": np.zeros(count, dtype=int),
        "boxes": None if box is None else np.tile(np.eye(3, dtype="f4") * box, (count, 1, 1)),
    }
    return Frames(**{**values, **changes})


def write_chains(path: Path, mapping: Mapping, frames: Frames, group: str = "system") -> Path:
    """Write them as a dataset."""
    return write_dataset(
        path, mapping, frames, force_map="uniform", source={"by": "a test"}, group=group
    )
