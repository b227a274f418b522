"""Radial and angular distributions: ideal gas, lattice, molecules, invariances."""

from __future__ import annotations

import numpy as np
import pytest
from openmmcg.analysis.ensemble import Ensemble
from openmmcg.analysis.liquid import (
    angular_distributions,
    compare_liquid,
    first_shell,
    radial_distributions,
)

BOX = np.array([[2.0, 0, 0], [0.6, 2.2, 0], [-0.4, 0.5, 2.4]])


def ensemble(positions, box=BOX, weights=None):
    frames = len(positions)
    weights = np.ones(frames) if weights is None else weights
    boxes = np.broadcast_to(box, (frames, 3, 3))
    return Ensemble(positions, weights, np.zeros(frames, dtype=int), boxes=boxes)


def gas(frames, beads, seed=0):
    return np.random.default_rng(seed).random((frames, beads, 3)) @ BOX


def test_an_ideal_gas_has_no_structure():
    found = ensemble(gas(60, 120))
    r, g = radial_distributions(found, ["A"] * 60 + ["B"] * 60, range(120), 0.9)
    assert set(g) == {"A-A", "A-B", "B-B"}
    for values in g.values():
        assert np.average(values, weights=r**2) == pytest.approx(1, abs=0.02)
    theta, density = angular_distributions(found, ["A"] * 120, range(120), 0.5)
    exact = 0.5 * np.sin(np.radians(theta)) * np.pi / 180
    assert np.abs(density["A"] - exact).max() < 0.15 * exact.max()
    assert density["A"].sum() * 2 == pytest.approx(1)


def test_a_simple_cubic_lattice():
    """Six neighbours; of the 15 angles between them twelve are right and three straight."""
    spacing, cells = 0.4, 5
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 3)
    noise = np.random.default_rng(1).normal(0, 0.003, (4, *grid.shape))
    found = ensemble(spacing * grid + noise, spacing * cells * np.eye(3))
    names, molecules = ["A"] * len(grid), range(len(grid))
    r, g = radial_distributions(found, names, molecules, 0.9)
    shell = 0.48
    density = len(grid) / (spacing * cells) ** 3
    first = r < shell
    neighbours = (
        density * (len(grid) - 1) / len(grid) * np.sum(4 * np.pi * r**2 * g["A-A"] * 0.005 * first)
    )
    assert neighbours == pytest.approx(6, rel=0.01)
    theta, angles = angular_distributions(found, names, molecules, shell)
    assert angles["A"][np.abs(theta - 90) < 8].sum() * 2 == pytest.approx(12 / 15, abs=0.01)
    assert angles["A"][theta > 165].sum() * 2 == pytest.approx(3 / 15, abs=0.01)


def test_beads_of_one_molecule_do_not_count():
    """Dimers placed at random: their bond is no peak, and the rest is an ideal gas."""
    rng = np.random.default_rng(2)
    first = gas(80, 80)
    bond = rng.normal(size=first.shape)
    second = first + 0.2 * bond / np.linalg.norm(bond, axis=-1, keepdims=True)
    positions = np.concatenate([first, second], axis=1)
    molecules = [*range(80), *range(80)]
    r, g = radial_distributions(ensemble(positions), ["A"] * 80 + ["B"] * 80, molecules, 0.9)
    for values in g.values():
        assert np.average(values, weights=r**2) == pytest.approx(1, abs=0.02)
        bin_at_bond = values[np.abs(r - 0.2) < 0.01]
        assert np.all(bin_at_bond < 3)


def test_weights_and_images():
    """Frames of weight 0 do not count; neither do shifts by box vectors, nor a common shift."""
    positions = gas(6, 40, seed=3)
    names, molecules = ["A"] * 40, range(40)
    half = np.array([1.0, 1, 1, 0, 0, 0])
    _, one = radial_distributions(ensemble(positions, weights=half), names, molecules, 0.9)
    _, other = radial_distributions(ensemble(positions[:3]), names, molecules, 0.9)
    np.testing.assert_allclose(one["A-A"], other["A-A"])
    images = np.random.default_rng(4).integers(-2, 3, (40, 3)) @ BOX
    moved = ensemble(positions[:3] + images + 0.37)
    _, again = radial_distributions(moved, names, molecules, 0.9)
    assert np.abs(again["A-A"] - other["A-A"]).sum() < 1e-3 * other["A-A"].sum()
    _, a = angular_distributions(ensemble(positions[:3]), names, molecules, 0.6)
    _, b = angular_distributions(moved, names, molecules, 0.6)
    np.testing.assert_allclose(a["A"], b["A"], atol=1e-3)


def test_the_first_shell_ends_at_the_minimum_after_the_peak():
    r = np.arange(0.0025, 1, 0.005)
    g = 1 + 2 * np.exp(-(((r - 0.28) / 0.03) ** 2)) - 0.3 * np.exp(-(((r - 0.36) / 0.05) ** 2))
    assert first_shell(r, np.where(r < 0.22, 0, g)) == pytest.approx(0.36, abs=0.02)


def test_comparison():
    grid = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    one, other = (
        ensemble(0.4 * grid + np.random.default_rng(k).normal(0, 0.05, (10, 125, 3)), 2 * np.eye(3))
        for k in (0, 1)
    )
    names, molecules = ["A"] * 60 + ["B"] * 65, list(range(125))
    same = compare_liquid(one, one, names, molecules)
    assert [(c.kind, c.label) for c in same] == [
        ("rdf", "A-A"),
        ("rdf", "A-B"),
        ("rdf", "B-B"),
        ("adf", "A"),
        ("adf", "B"),
    ]
    assert all(curve.error == 0 for curve in same)
    assert all(curve.error > 0 for curve in compare_liquid(one, other, names, molecules))
    without = Ensemble(one.positions, one.weights, one.walkers)
    assert compare_liquid(without, without, names, molecules) == []
    assert compare_liquid(one, one, names, [0] * 125) == []
