"""Priors: fits, energies in torch against native OpenMM forces, and their orders of beads."""

from __future__ import annotations

import json

import numpy as np
import openmm
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from openmmcg.priors import (
    HarmonicAngles,
    HarmonicBonds,
    PriorSet,
    SignedImpropers,
    fit_frames,
)
from openmmcg.priors.topology import angle_terms, bead_graph, stereocentre_terms
from openmmcg.units import KB

TYPES = np.array([0, 1, 2, 3, 0, 1])
NAMES = ["C", "N", "CA", "CB"]
BONDS = np.array([[0, 1], [1, 2], [2, 3], [2, 4], [4, 5]])
TEMPERATURE = 300.0
REFERENCE = np.array(
    [
        [0.000, 0.000, 0.000],
        [0.133, 0.010, 0.000],
        [0.200, 0.130, 0.020],
        [0.180, 0.210, 0.150],
        [0.345, 0.110, -0.010],
        [0.420, 0.215, -0.050],
    ]
)


def frames(count: int = 400, noise: float = 0.006, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return REFERENCE + rng.normal(0.0, noise, (count, *REFERENCE.shape))


@pytest.fixture(scope="module")
def priors() -> PriorSet:
    return fit_frames(frames(), TYPES, NAMES, BONDS, TEMPERATURE)


def test_matches_native_openmm(priors: PriorSet) -> None:
    bound = priors.bind(TYPES, NAMES, BONDS)
    replicas, offset = 3, 2
    system = openmm.System()
    for _ in range(offset + replicas * len(TYPES)):
        system.addParticle(12.0)
    forces = bound.to_openmm(replicas=replicas, offset=offset)
    assert [f.getName() for f in forces] == [
        "harmonic-bonds",
        "harmonic-angles",
        "signed-impropers",
    ]
    for force in forces:
        system.addForce(force)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference")
    )
    positions = frames(replicas, noise=0.03, seed=1)
    context.setPositions(np.concatenate([np.zeros((offset, 3)), positions.reshape(-1, 3)]))
    state = context.getState(energy=True, forces=True)
    energy = state.getPotentialEnergy()._value
    native = state.getForces(asNumpy=True)._value[offset:].reshape(positions.shape)
    tensor = torch.from_numpy(positions)
    assert bound.energy(tensor).sum().item() == pytest.approx(energy, rel=1e-9)
    np.testing.assert_allclose(bound.forces(tensor), native, rtol=0, atol=1e-9 * abs(native).max())
    # The same in the precision of training.
    single = bound.forces(tensor.float())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, native, rtol=0, atol=1e-5 * abs(native).max())


def test_forces_are_gradients(priors: PriorSet) -> None:
    bound = priors.bind(TYPES, NAMES, BONDS)
    positions = torch.from_numpy(frames(1, noise=0.03, seed=2)[0])
    forces = bound.forces(positions)
    step = 1e-6
    for bead in range(len(TYPES)):
        for axis in range(3):
            shift = torch.zeros_like(positions)
            shift[bead, axis] = step
            slope = (bound.energy(positions + shift) - bound.energy(positions - shift)) / (2 * step)
            assert -slope.item() == pytest.approx(
                forces[bead, axis].item(), abs=1e-6 * forces.abs().max().item()
            )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_invariant_but_not_under_mirror(priors: PriorSet, seed: int) -> None:
    bound = priors.bind(TYPES, NAMES, BONDS)
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    positions = frames(2, noise=0.004, seed=seed)
    moved = positions @ rotation.T + rng.normal(size=3)
    energy = bound.energy(torch.from_numpy(positions))
    torch.testing.assert_close(bound.energy(torch.from_numpy(moved)), energy, rtol=1e-9, atol=1e-9)
    assert (bound.energy(torch.from_numpy(-positions)) > energy + 100.0).all()


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(6)))
def test_energy_does_not_depend_on_numbering(order: list[int]) -> None:
    positions = frames(50, seed=3)
    inverse = np.argsort(order)
    first = fit_frames(positions, TYPES, NAMES, BONDS, TEMPERATURE)
    other = fit_frames(positions[:, order], TYPES[order], NAMES, inverse[BONDS], TEMPERATURE)
    assert {k: set(v) for k, v in first.parameters.items()} == {
        k: set(v) for k, v in other.parameters.items()
    }
    energy = first.bind(TYPES, NAMES, BONDS).energy(torch.from_numpy(positions))
    same = other.bind(TYPES[order], NAMES, inverse[BONDS]).energy(
        torch.from_numpy(positions[:, order])
    )
    torch.testing.assert_close(same, energy, rtol=1e-9, atol=1e-9)


def test_stereocentres_are_found_by_surroundings() -> None:
    # With one name for all carbons the branches still tell the methyl from the carbonyl.
    element = ["C", "N", "C", "C", "C", "N"]
    assert stereocentre_terms(bead_graph(element, BONDS)).tolist() == [[3, 2, 4, 1]]
    # Two equal branches: no stereocentre.
    assert len(stereocentre_terms(bead_graph(["A", "X", "A", "B"], [[0, 1], [1, 2], [1, 3]]))) == 0
    assert angle_terms(bead_graph(element, BONDS)).shape == (5, 3)


def test_every_residue_of_a_chain_gets_the_same_order() -> None:
    names, bonds = ["C"], []
    for _ in range(5):
        start = len(names)
        names += ["N", "CA", "CB", "C"]
        bonds += [
            (start - 1, start),
            (start, start + 1),
            (start + 1, start + 2),
            (start + 1, start + 3),
        ]
    names.append("N")
    bonds.append((len(names) - 2, len(names) - 1))
    for element in (False, True):
        labels = [name[0] for name in names] if element else names
        terms = stereocentre_terms(bead_graph(labels, bonds))
        assert [tuple(names[bead] for bead in term) for term in terms] == [terms_of(element)] * 5


def terms_of(element: bool) -> tuple[str, ...]:
    return ("CB", "CA", "C", "N") if element else ("C", "CA", "CB", "N")


@pytest.mark.parametrize(
    ("kind", "grid", "jacobian"),
    [
        (HarmonicBonds, np.linspace(0.05, 0.6, 20_001), lambda r: r**2),
        (HarmonicAngles, np.linspace(0.01, np.pi - 0.01, 20_001), np.sin),
    ],
)
def test_fit_recovers_the_energy_behind_a_density(kind, grid, jacobian) -> None:
    kt, k, center = KB * 300.0, {"harmonic-bonds": 800.0}.get(kind.kind, 60.0), 0.3
    if kind is HarmonicAngles:
        center = 1.9
    density = jacobian(grid) * np.exp(-0.5 * k * (grid - center) ** 2 / kt)
    sample = np.random.default_rng(0).choice(grid, 200_000, p=density / density.sum())
    fitted = kind.fit(sample, kt)
    assert fitted.center == pytest.approx(center, abs=2e-3)
    assert fitted.k == pytest.approx(k, rel=0.02)
    # Plain moments would not pass: the Jacobian moves the centre by more than that.
    assert abs(sample.mean() - center) > 4e-3


def test_improper_fit_is_circular() -> None:
    sample = np.random.default_rng(0).vonmises(np.pi - 0.05, 40.0, 100_000)
    fitted = SignedImpropers.fit(sample, KB * 300.0)
    assert np.cos(fitted.center - (np.pi - 0.05)) == pytest.approx(1.0, abs=1e-5)
    assert fitted.k == pytest.approx(40.0 * KB * 300.0, rel=0.02)


def test_force_constants_are_bounded() -> None:
    sample = 0.15 + np.random.default_rng(0).normal(0.0, 1e-5, 1000)
    assert HarmonicBonds.fit(sample, KB * 300.0).k == HarmonicBonds.bound


def test_round_trip_through_json(priors: PriorSet) -> None:
    assert PriorSet.from_dict(json.loads(json.dumps(priors.to_dict()))) == priors


def test_bad_data_name_the_term(priors: PriorSet) -> None:
    with pytest.raises(ValueError, match="harmonic-bonds for C-CA .*too few"):
        fit_frames(frames(0), TYPES, NAMES, BONDS, TEMPERATURE)
    rigid = np.repeat(REFERENCE[None], 10, axis=0)
    with pytest.raises(ValueError, match="harmonic-bonds for C-CA .*do not vary"):
        fit_frames(rigid, TYPES, NAMES, BONDS, TEMPERATURE)
    broken = frames(10)
    broken[3, 5] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        fit_frames(broken, TYPES, NAMES, BONDS, TEMPERATURE)
    with pytest.raises(ValueError, match="no harmonic-bonds for C-X.*only for .*C-N"):
        priors.bind([0, 1], ["C", "X"], [[0, 1]])
    with pytest.raises(ValueError, match="kind 'magic'"):
        PriorSet.from_dict({"temperature": 1, "terms": [{"kind": "magic", "parameters": []}]})
    with pytest.raises(ValueError, match="2 type names"):
        priors.bind([0, 5], ["C", "N"], [[0, 1]])
    with pytest.raises(ValueError, match="Bond 0-7"):
        priors.bind(TYPES, NAMES, [[0, 7]])
