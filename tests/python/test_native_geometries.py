"""The native runner against the TorchScript one over a thousand geometries of mixed sizes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from native_models import CUTOFF, MODELS, Geometries, assert_equal, evaluate, random_model

COUNT = 1000


@cache
def thousand() -> Geometries:
    """Sets of 2 to 14 beads: in close contact, dense, thin, and in shells around the cutoff.

    Of the last, all beads lie within 1e-9 to 1e-3 nm of the cutoff from the first one.
    """
    rng = np.random.default_rng(7)
    positions, owner = [], []
    for i in range(COUNT):
        beads = int(rng.integers(2, 15))
        if i % 4 == 3:
            off = rng.choice([-1, 1], beads) * 10.0 ** rng.uniform(-9, -3, beads)
            directions = rng.normal(size=(beads, 3))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            points = directions * (CUTOFF + off)[:, None]
            points[0] = 0
        else:
            points = rng.uniform(0, [0.03, 0.4, 0.9][i % 4], (beads, 3))
        positions.append(points)
        owner += [i] * beads
    return Geometries(np.concatenate(positions), np.array(owner))


def test_geometries_are_what_they_are_meant_to_be() -> None:
    distances = [
        np.linalg.norm(points[1:] - points[0], axis=1)
        for points in np.split(thousand().positions, np.flatnonzero(np.diff(thousand().owner)) + 1)
    ]
    assert len(distances) == COUNT
    assert min(d.min() for d in distances) < 0.005
    near = np.abs(np.concatenate(distances) - CUTOFF)
    assert (near < 1e-6).sum() > 100


@pytest.mark.parametrize("name", MODELS)
def test_equals_torchscript(name: str) -> None:
    """In double precision to 1e-7 of the largest force of a geometry.

    In single precision, where what is left when large forces cancel has no digits, forces agree to 4e-5
    of the larger of that and the typical force, and on average to 1e-5.
    """
    model, geometries = random_model(name), thousand()
    expected = evaluate(model, geometries, "torchscript")
    assert_equal(expected, evaluate(model, geometries, "native"), geometries, 1e-7)
    single = evaluate(model, geometries, "native", platform="CPU")
    error = geometries.largest(single.forces - expected.forces)
    largest = geometries.largest(expected.forces)
    relative = error / np.maximum(largest, np.median(largest))
    assert relative.max() < 4e-5 and relative.mean() < 1e-5
    np.testing.assert_allclose(single.energy, expected.energy, rtol=1e-5)


@pytest.mark.parametrize("name", ["schnet", "painn", "pair-spline"])
def test_threads_do_not_change_a_bit(name: str) -> None:
    """Neither where sets of beads are shared out nor where threads share one large set."""
    beads = np.random.default_rng(0).uniform(0, 2.2, (700, 3))
    together = Geometries(beads, np.zeros(700, dtype=int))
    for geometries in (thousand(), together):
        first, *others = (
            evaluate(random_model(name), geometries, "native", platform="CPU", threads=threads)
            for threads in (1, 2, 3)
        )
        for other in others:
            assert other.energy == first.energy
            np.testing.assert_array_equal(other.forces, first.forces)
            np.testing.assert_array_equal(other.bead_energies, first.bead_energies)
