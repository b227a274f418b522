"""Internal coordinates and comparisons of ensembles made to known torsions."""

from __future__ import annotations

import mdtraj as md
import numpy as np
import peptide_frames
import pytest
from openmmcg.analysis import (
    Ensemble,
    backbone_torsions,
    check_stability,
    compare_coordinates,
    compare_ramachandran,
    torsions,
)
from openmmcg.analysis.compare import basin_crossings, free_energy_error
from openmmcg.analysis.geometry import bonded_coordinates
from openmmcg.units import KB


def ensemble(phi, psi, rng, walkers=4, hand=1):
    positions = peptide_frames.frames(phi, psi, rng, hand)
    frames = len(positions)
    return Ensemble(positions, np.ones(frames), np.arange(frames) * walkers // frames, 0.1)


def two_basins(rng, frames, left):
    """Torsions of which a share `left` is in the phi < 0 basin."""
    sign = rng.random(frames) < left
    phi = np.where(sign, rng.normal(-80, 12, frames), rng.normal(60, 12, frames))
    return phi, rng.normal(60, 20, frames)


def test_torsions_are_those_the_frames_were_built_with():
    rng = np.random.default_rng(1)
    phi, psi = rng.uniform(-180, 180, (2, 50))
    pairs = backbone_torsions(peptide_frames.topology())
    assert pairs.tolist() == [[[0, 1, 2, 4], [1, 2, 4, 5]]]
    positions = peptide_frames.frames(phi, psi, rng)
    for indices, expected in zip(pairs[0], (phi, psi), strict=True):
        found = torsions(positions, indices[None])[:, 0]
        difference = (found - expected + 180) % 360 - 180
        np.testing.assert_allclose(difference, 0, atol=1e-2)


def test_no_backbone_torsions_without_backbone():
    topology = md.Topology()
    residue = topology.add_residue("UNK", topology.add_chain())
    for _ in range(4):
        topology.add_atom("B", md.element.virtual, residue)
    assert backbone_torsions(topology).shape == (0, 2, 4)


def test_coordinates_are_grouped_by_type():
    found = bonded_coordinates(peptide_frames.BONDS, peptide_frames.NAMES)
    counts = {entry.kind: 0 for entry in found}
    for entry in found:
        counts[entry.kind] += len(entry.indices)
    assert counts == {"bond": 5, "angle": 5, "improper": 1}
    (carbonyl,) = (e for e in found if e.kind == "bond" and e.label == "C-N")
    assert sorted(map(sorted, carbonyl.indices.tolist())) == [[0, 1], [4, 5]]


def test_ramachandran_comparison():
    rng = np.random.default_rng(2)
    reference = ensemble(*two_basins(rng, 8000, 0.9), rng)
    same = ensemble(*two_basins(rng, 8000, 0.9), rng)
    other = ensemble(*two_basins(rng, 8000, 0.5), rng)
    topology = peptide_frames.topology()
    close = compare_ramachandran(reference, same, topology, 300.0, bins=30)
    far = compare_ramachandran(reference, other, topology, 300.0, bins=30)
    assert close.divergence < 0.02
    assert far.divergence > 0.08
    assert close.divergence < close.baseline["reference_halves_in_time"] * 1.5
    populations = far.populations["phi > 0 (alpha-L, C7ax)"]
    assert populations == pytest.approx((0.1, 0.5), abs=0.02)
    assert sum(shares[0] for shares in far.populations.values()) == pytest.approx(1.0)
    assert set(close.baseline) == {
        f"{side}_{halves}"
        for side in ("reference", "model")
        for halves in ("halves_in_time", "halves_of_walkers")
    }


def test_weights_make_a_biased_sample_right():
    """Half and half in two basins, weighted 9:1, is the ensemble with 90 % in one."""
    rng = np.random.default_rng(3)
    reference = ensemble(*two_basins(rng, 8000, 0.9), rng)
    phi, psi = two_basins(rng, 8000, 0.5)
    biased = ensemble(phi, psi, rng)
    weights = np.where(phi < 0, 1.8, 0.2)
    weighted = Ensemble(biased.positions, weights, biased.walkers)
    found = compare_ramachandran(reference, weighted, peptide_frames.topology(), 300.0, bins=30)
    assert found.divergence < 0.02
    assert weighted.effective_frames < 0.7 * weighted.n_frames


def test_free_energy_error_ignores_the_constant():
    reference = np.array([0.5, 0.5, 0.0])
    assert free_energy_error(reference, np.array([0.1, 0.1, 0.8]), 300.0) == pytest.approx(0.0)
    shifted = np.array([0.5, 0.5 * np.exp(-2.0), 0.0])
    assert free_energy_error(reference, shifted, 300.0) == pytest.approx(KB * 300.0)
    assert free_energy_error(reference, np.array([0.0, 0.0, 1.0]), 300.0) is None


def test_crossings_count_only_passages_between_cores():
    phi = np.array([-80, 10, -80, 60, 10, 60, -100, 60.0])[:, None]
    assert basin_crossings(phi, np.zeros(8)) == 3
    assert basin_crossings(phi, np.array([0, 0, 0, 1, 1, 1, 2, 2])) == 1


def test_internal_coordinates_of_a_stretched_model():
    rng = np.random.default_rng(4)
    reference = ensemble(*two_basins(rng, 2000, 0.9), rng)
    model = Ensemble(reference.positions * 1.05, reference.weights, reference.walkers)
    found = compare_coordinates(reference, model, peptide_frames.BONDS, peptide_frames.NAMES)
    for entry in found:
        mean, spread, model_mean, model_spread = entry.moments
        if entry.coordinate.kind == "bond":
            assert model_mean == pytest.approx(1.05 * mean, rel=1e-4)
            assert model_spread == pytest.approx(1.05 * spread, rel=1e-3)
            assert entry.divergence > 0.2
        else:
            assert model_mean == pytest.approx(mean, abs=1e-2)
            assert entry.divergence < 1e-3
        assert entry.reference.sum() == pytest.approx(1.0)


def test_stability_sees_broken_bonds_and_mirror_images():
    rng = np.random.default_rng(5)
    phi, psi = two_basins(rng, 400, 0.9)
    reference = ensemble(phi, psi, rng)
    bonds, names = peptide_frames.BONDS, peptide_frames.NAMES
    sound = check_stability(reference, reference, bonds, names)
    assert (sound.broken_frames, sound.inverted_frames) == (0, 0)
    positions = reference.positions.copy()
    positions[7:10, 5] += 0.2
    positions[100:120] = peptide_frames.frames(phi[100:120], psi[100:120], rng, hand=-1)
    model = Ensemble(positions, reference.weights, reference.walkers)
    found = check_stability(reference, model, bonds, names)
    assert (found.broken_frames, found.broken_replicas, found.inverted_frames) == (3, 1, 20)
    assert found.largest_bond_deviation > 0.1


def test_handedness_is_left_out_when_the_reference_has_both():
    rng = np.random.default_rng(6)
    phi, psi = two_basins(rng, 200, 0.9)
    both = np.concatenate([peptide_frames.frames(phi, psi, rng, hand) for hand in (1, -1)])
    mixed = Ensemble(both, np.ones(400), np.zeros(400))
    found = check_stability(mixed, mixed, peptide_frames.BONDS, peptide_frames.NAMES)
    assert found.inverted_frames is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones(3)}, "weights"),
        ({"weights": np.array([1.0, np.nan])}, "finite"),
        ({"positions": np.full((2, 6, 3), np.nan)}, "NaN"),
        ({"positions": np.zeros((0, 6, 3))}, "at least 1"),
    ],
)
def test_ensemble_refuses_bad_arrays(change, message):
    arrays = {"positions": np.zeros((2, 6, 3)), "weights": np.ones(2), "walkers": np.zeros(2)}
    with pytest.raises(ValueError, match=message):
        Ensemble(**{**arrays, **change})


def test_halves_are_within_walkers():
    walkers = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    frames = Ensemble(np.zeros((8, 1, 3)), np.ones(8), walkers)
    assert frames.later_half().tolist() == [False] * 4 + [True] * 4
    assert frames.odd_walkers().tolist() == [False, True] * 4
