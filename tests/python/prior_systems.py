"""Small systems and priors of every kind, for tests."""

from __future__ import annotations

import itertools
import math

import numpy as np
import openmm
from openmmcg.priors import (
    KINDS,
    FourierParameters,
    Parameters,
    PriorSet,
    RepulsionParameters,
    TableParameters,
)

NAMES = ["A", "B", "C"]
# Two branched molecules of seven beads and two free beads.
TYPES = np.array([0, 1, 2, 0, 1, 0, 2] * 2 + [1, 2])
ONE = [[0, 1], [1, 2], [1, 3], [3, 4], [4, 5], [5, 6]]
BONDS = np.array(ONE + [[i + 7, j + 7] for i, j in ONE])
MOLECULES = np.array([0] * 7 + [1] * 7 + [2, 3])
TRICLINIC = np.array([[1.6, 0.0, 0.0], [0.4, 1.5, 0.0], [-0.5, 0.3, 1.7]])


def positions(seed: int, box: np.ndarray | None = None) -> np.ndarray:
    """Random chains (16, 3) in nm without straight angles; wrapped bead by bead into a box."""
    rng = np.random.default_rng(seed)
    while True:
        x = np.zeros((len(TYPES), 3))
        for bead in range(len(TYPES)):
            owner = [i for i, j in BONDS if j == bead]
            start = x[owner[0]] if owner else rng.uniform(0.0, 0.8, 3)
            step = rng.normal(size=3)
            x[bead] = start + 0.25 * step / np.linalg.norm(step)
        if _bent(x):
            break
    if box is not None:
        x = x - np.floor(x @ np.linalg.inv(box)) @ box
    return x


def _bent(x: np.ndarray) -> bool:
    for (i, j), (m, n) in itertools.combinations(BONDS.tolist(), 2):
        shared = {i, j} & {m, n}
        if shared:
            middle = shared.pop()
            a, b = (x[({*pair} - {middle}).pop()] - x[middle] for pair in ((i, j), (m, n)))
            if np.linalg.norm(np.cross(a, b)) < 0.4 * 0.25**2:
                return False
    return True


def random_parameters(kind: str, rng: np.random.Generator):
    """One entry of a kind."""
    if kind.startswith("tabulated"):
        low, high = {"bonds": (0.1, 0.4), "angles": (0.0, math.pi), "pairs": (0.0, 0.55)}.get(
            kind.split("-")[1], (-math.pi, math.pi)
        )
        values = rng.normal(0.0, 5.0, 20)
        if kind == "tabulated-pairs":
            values[-1] = 0.0
        return TableParameters(low, high, tuple(values.tolist()))
    if kind == "fourier-torsions":
        return FourierParameters(tuple(rng.uniform(0, 5, 3)), tuple(rng.uniform(-3, 3, 3)))
    if kind == "repulsion":
        return RepulsionParameters(rng.uniform(100, 900), rng.uniform(0.3, 0.6))
    if kind == "harmonic-bonds":
        return Parameters(rng.uniform(100, 900), rng.uniform(0.2, 0.3))
    return Parameters(rng.uniform(5, 50), rng.uniform(1.0, 2.5))


def random_priors(kind: str, seed: int = 0) -> PriorSet:
    """Entries of a kind for every tuple of types."""
    rng = np.random.default_rng(seed)
    size = KINDS[kind].coordinate.size
    keys = itertools.product(NAMES, repeat=size)
    if KINDS[kind].reversible:
        keys = (key for key in keys if key <= key[::-1])
    return PriorSet({kind: {key: random_parameters(kind, rng) for key in keys}}, 300.0)


def evaluate(forces, x, box=None, n_particles=None, platform="Reference"):
    """Energy (kJ/mol) and forces (N, 3) of OpenMM forces."""
    system = openmm.System()
    for _ in range(n_particles or len(x)):
        system.addParticle(12.0)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box.tolist())
    for force in forces:
        system.addForce(force)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform(platform)
    )
    context.setPositions(x)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, np.array(state.getForces(asNumpy=True)._value)
