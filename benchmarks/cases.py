"""Systems that the benchmarks evaluate: compact chains, liquids of short chains, and copies of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import torch
from openmmcg import CGForce, PairList, export, models

WIDTH, INTERACTIONS, RBF, CUTOFF = 128, 3, 50, 1.2
TYPES = list("ABCDEFGHIJKLMNOPQRST")
SPACING = 0.55  # nm between beads, as between residues of a folded protein
LIQUID_FROM = 1000
LIQUID_CHAIN = 5
MASS = 100.0  # Da


def geometry(beads: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return positions (beads, 3) and, for a liquid, box vectors, both in nm.

    A chain runs like a snake through a jittered lattice. A liquid is of such pieces of five beads, in random order, as
    they are after a while of diffusion.
    """
    side = int(np.ceil(beads ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1)
    grid[1::2] = grid[1::2, ::-1]
    grid[:, 1::2] = grid[:, 1::2, ::-1]
    random = np.random.default_rng(0)
    positions = grid.reshape(-1, 3)[:beads] * SPACING + random.normal(0, 0.05, (beads, 3))
    if beads < LIQUID_FROM:
        return positions, None
    chains = random.permutation(beads // LIQUID_CHAIN)
    order = (chains[:, None] * LIQUID_CHAIN + np.arange(LIQUID_CHAIN)).ravel()
    positions[: len(order)] = positions[order]
    return positions, np.eye(3) * side * SPACING


def untrained_network() -> models.CGNetwork:
    """Return a SchNet of the benchmarks' size; the time does not depend on the weights."""
    torch.manual_seed(0)
    return models.build(
        "schnet",
        bead_types=TYPES,
        cutoff=CUTOFF,
        width=WIDTH,
        interactions=INTERACTIONS,
        rbf=RBF,
    )


class Case:
    """One system: positions of all replicas, the network, and its file.

    Attributes
    ----------
    positions : (N, 3) array
        Of all replicas, in nm.
    box : (3, 3) array or None
        Box vectors in nm.
    path : Path
        The model file.
    """

    def __init__(self, beads: int, replicas: int, folder: Path) -> None:
        self.beads, self.replicas = beads, replicas
        single, self.box = geometry(beads)
        self.positions = np.tile(single, (replicas, 1))
        self.types = np.tile(np.arange(beads) % len(TYPES), replicas)
        self.copies = np.repeat(np.arange(replicas), beads)
        length = beads if self.box is None else LIQUID_CHAIN
        index = np.arange(len(self.types)) % beads
        self.molecules = index // length
        first = np.flatnonzero(((index + 1) % length != 0) & (index + 1 < beads))
        self.bonds = np.stack([first, first + 1], 1)
        self.network = untrained_network()
        self.path = export.save(self.network, folder / "model.cg.pt", temperature=300.0)

    def inputs(self) -> tuple[torch.Tensor, ...]:
        """Return what a network takes besides positions: types, pairs, shifts, edge types, parameters."""
        found = PairList(
            bonds=self.bonds, molecules=self.molecules, replicas=self.copies, cutoff=CUTOFF
        )
        pairs, shifts, edges, _ = found.update(self.positions, self.box)
        return (
            torch.from_numpy(self.types),
            torch.from_numpy(np.ascontiguousarray(pairs)),
            torch.from_numpy(np.ascontiguousarray(shifts)).float(),
            torch.from_numpy(np.ascontiguousarray(edges)),
            torch.tensor([300.0]),
        )

    def force(self, runner: str, threads: int) -> CGForce:
        """Return a CGForce of all beads."""
        force = CGForce(self.path)
        force.setProperty("runner", runner)
        force.setProperty("threads", str(threads))
        force.setUsesPeriodicBoundaryConditions(self.box is not None)
        for bead, kind in enumerate(self.types.tolist()):
            force.addBead(
                bead, None, kind, int(self.molecules[bead]), replica=int(self.copies[bead])
            )
        for i, j in self.bonds.tolist():
            force.addBond(i, j)
        return force

    def context(
        self,
        force: openmm.Force | None,
        threads: int,
        platform: str = "CPU",
        time_step: float = 1e-9,
    ) -> openmm.Context:
        """Return a Context; with the default time step (ps) it moves by next to nothing."""
        system = openmm.System()
        for _ in self.types:
            system.addParticle(MASS)
        if self.box is not None:
            system.setDefaultPeriodicBoxVectors(*self.box)
        if force is not None:
            system.addForce(force)
        options = {"Threads": str(threads)} if platform == "CPU" else {}
        context = openmm.Context(
            system,
            openmm.VerletIntegrator(time_step),
            openmm.Platform.getPlatformByName(platform),
            options,
        )
        context.setPositions(self.positions)
        return context
