"""Force maps compared on held-out frames, labels with noise, guessed constraints."""

from __future__ import annotations

import numpy as np
import pytest
from force_map_systems import (
    all_clusters,
    correlated_forces,
    liquid,
    quadratic_programme,
    rigid_water,
)
from openmmcg.data import (
    compare_force_maps,
    constraint_pairs,
    fit_force_map,
    guess_constraints,
    held_out_frames,
    recipe,
)
from openmmcg.mapping import Mapping
from openmmcg.units import KB


@pytest.fixture(scope="module")
def alanine():
    return recipe("capped-alanine")


@pytest.fixture(scope="module")
def mapping(alanine):
    return Mapping.builtin("core-beta", alanine.topology)


@pytest.fixture(scope="module")
def constraints(alanine):
    return constraint_pairs(alanine.system)


def test_comparison_on_held_out_frames(mapping, constraints):
    forces = correlated_forces(mapping, frames=1000)
    found = compare_force_maps(mapping, forces, constraints)
    marked = held_out_frames(1000)
    assert (found.fit_frames, found.held_out_frames) == (700, 300)
    assert found.biased
    for kind in ("uniform", "optimal"):
        fitted = fit_force_map(mapping, forces[~marked], kind, constraints)
        expected = np.mean(fitted.apply(forces[marked]) ** 2)
        assert found.noise[kind] == pytest.approx(expected, rel=1e-9)
    cut = np.einsum("ba,fax->fbx", mapping.matrix, forces[marked])
    assert found.noise["slice"] == pytest.approx(np.mean(cut**2), rel=1e-9)
    assert found.noise["optimal"] < found.noise["uniform"]
    few = compare_force_maps(mapping, forces[:50], constraints)
    assert few.fitted < few.noise["optimal"]
    assert found.gain("optimal") == found.noise["uniform"] / found.noise["optimal"]
    rows = list(found.table().columns[0].cells)
    assert rows == ["slice (cuts constraints: biased)", "uniform", "optimal"]
    assert not compare_force_maps(mapping, forces).biased


def test_held_out_frames_are_blocks_of_time():
    marked = held_out_frames(1000, 0.2)
    assert marked.sum() == 200
    assert np.count_nonzero(np.diff(marked.astype(int))) == 9
    for count, fraction in [(0, 0.3), (2, 0.3), (1000, 0.0), (1000, 1.0)]:
        with pytest.raises(ValueError, match="too few|held-out fraction"):
            held_out_frames(count, fraction)


TEMPERATURE = 300.0


def gaussian_atoms(mapping, frames, width, seed=0):
    """Atoms in wells of their own: positions and forces whose PMF is known."""
    positions = np.random.default_rng(seed).normal(
        scale=width[:, None], size=(frames, mapping.n_atoms, 3)
    )
    return positions, -KB * TEMPERATURE * positions / width[:, None] ** 2


@pytest.mark.parametrize("kind", ["slice", "uniform", "optimal"])
def test_noised_labels_are_unbiased(mapping, kind):
    """Beads R ~ N(0, s²) with noise σ have the mean force -kT R′/(s² + σ²)."""
    width = np.full(mapping.n_atoms, 0.02)
    positions, forces = gaussian_atoms(mapping, 40_000, width)
    sigma = 0.015
    force_map = fit_force_map(mapping, forces, kind, position_noise=sigma, temperature=TEMPERATURE)
    total = force_map.matrix @ mapping.matrix.T + force_map.score.toarray()
    np.testing.assert_allclose(total, np.eye(6), atol=1e-9)
    beads, labels = force_map.augment(mapping.apply(positions), forces, np.random.default_rng(1))
    assert np.std(beads) == pytest.approx(np.hypot(0.02, sigma), rel=0.01)
    slope = np.sum(labels * beads) / np.sum(beads**2)
    exact = -KB * TEMPERATURE / (0.02**2 + sigma**2)
    assert slope == pytest.approx(exact, rel=0.01)
    assert np.mean(labels**2) == pytest.approx(force_map.noise, rel=0.01)
    # Here B f is -kT R/s² and the best mix leaves no noise at all.
    assert np.std(labels - exact * beads) < 0.02 * np.std(labels)


def test_noised_labels_are_less_noisy_than_either_part(mapping, constraints):
    forces = correlated_forces(mapping, frames=2000)
    sigma = 0.2
    plain = fit_force_map(mapping, forces, "optimal", constraints)
    mixed = fit_force_map(
        mapping, forces, "optimal", constraints, position_noise=sigma, temperature=TEMPERATURE
    )
    assert mixed.noise < min(plain.noise, (KB * TEMPERATURE / sigma) ** 2)
    for i, j in constraints:
        np.testing.assert_array_equal(mixed.matrix[:, i], mixed.matrix[:, j])
    faint = fit_force_map(
        mapping, forces, "optimal", constraints, position_noise=1e-6, temperature=TEMPERATURE
    )
    np.testing.assert_allclose(faint.matrix, plain.matrix, atol=1e-6)
    with pytest.raises(ValueError, match=r"augment\(positions"):
        mixed.apply(forces)


def test_optimal_mix_equals_a_quadratic_programme(mapping, constraints):
    """Atoms and noise are one set of sites to the independent solver."""
    forces = correlated_forces(mapping, seed=5)
    sigma = 0.3
    mixed = fit_force_map(
        mapping, forces, "optimal", constraints, position_noise=sigma, temperature=TEMPERATURE
    )
    moments = np.einsum("fax,fbx->ab", forces, forces) / len(forces)
    joint = np.zeros((28, 28))
    joint[:22, :22] = moments
    joint[22:, 22:] = 3 * (KB * TEMPERATURE / sigma) ** 2 * np.eye(6)
    matrix = np.column_stack([mapping.matrix, np.eye(6)])
    weights = quadratic_programme(joint, matrix, all_clusters(28, constraints), 2)
    np.testing.assert_allclose(mixed.matrix[2], weights[:22], atol=1e-4)
    np.testing.assert_allclose(mixed.score.toarray()[2], weights[22:], atol=1e-4)


def test_what_noise_needs(mapping):
    forces = correlated_forces(mapping, frames=20)
    for options, message in [
        ({"position_noise": -1.0}, "expected 0 or more"),
        ({"position_noise": 0.01}, "The temperature is None"),
        ({"position_noise": 0.01, "temperature": 0.0}, "The temperature is 0.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            fit_force_map(mapping, forces, **options)
    with pytest.raises(ValueError, match="give a sample"):
        fit_force_map(mapping, position_noise=0.01, temperature=300.0)


def test_without_noise_augment_changes_nothing(mapping):
    forces = correlated_forces(mapping, frames=3)
    force_map = fit_force_map(mapping)
    rng = np.random.default_rng(0)
    beads = rng.normal(size=(3, 6, 3))
    positions, labels = force_map.augment(beads, forces, rng)
    np.testing.assert_array_equal(positions, beads)
    np.testing.assert_array_equal(labels, force_map.apply(forces))


def vibrating(topology, rigid, frames=50, box=None):
    """Atoms that shake by 5 pm, but for those in rigid groups, which also turn as one."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 1, size=(topology.n_atoms, 3))
    positions = start + rng.normal(scale=0.005, size=(frames, topology.n_atoms, 3))
    for group in rigid:
        axis = rng.normal(size=(frames, 3, 3))
        turn = np.linalg.qr(axis)[0]
        centre = start[group].mean(axis=0)
        positions[:, group] = np.einsum("fxy,ay->fax", turn, start[group] - centre) + centre
    if box is not None:
        positions %= box
    return positions.astype(np.float32)


@pytest.mark.parametrize("box", [None, 1.0])
def test_constraints_are_guessed_from_motion(box):
    topology = liquid().atomistic
    waters = [[a.index for a in r.atoms] for r in topology.residues if r.name == "HOH"]
    rigid = [*waters, [0, 4]]
    if box is None:
        positions, boxes = vibrating(topology, rigid), None
    else:  # small molecules, so that the nearest image is the bonded one
        positions = vibrating(topology, rigid)
        inner = 0.2 * positions
        positions = ((inner + np.float32(0.9)) % 1.0).astype(np.float32)
        boxes = np.tile(np.eye(3), (len(positions), 1, 1))
    found = guess_constraints(positions, topology, boxes, threshold=3e-4 if box is None else 2e-4)
    expected = sorted([*rigid_water(liquid()).tolist(), [0, 4]])
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="10 frames or more"):
        guess_constraints(positions[:5], topology)
