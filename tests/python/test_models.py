"""The contract that every network must honour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import (
    BEAD_TYPES,
    CUTOFF,
    PARAMETERS,
    Case,
    beads,
    call,
    close,
    make,
    moved,
    networks,
)
from openmmcg import models
from openmmcg.export.geometry import inputs as build_inputs
from torch import Tensor

seeds = st.integers(0, 10_000)


def orthogonal(rng: np.random.Generator, determinant: float) -> Tensor:
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return torch.from_numpy(matrix * np.sign(np.linalg.det(matrix)) * determinant)


@networks
def test_shapes_and_parameters(case: Case) -> None:
    inputs = replace(beads(), parameters=torch.tensor([300.0, 0.5]))
    energy, forces, derivatives = call(make(case), inputs)
    assert energy.shape == (9,) and forces.shape == (9, 3) and derivatives.shape == (2, 9)
    assert not (energy.requires_grad or forces.requires_grad or derivatives.requires_grad)
    assert forces.abs().max() > 1e-3


@networks
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_forces_are_gradients(case: Case, seed: int) -> None:
    network = make(case)
    positions, *others = beads(6, seed).arguments(torch.float64)
    forces = network(positions, *others)[1]
    direction = torch.from_numpy(np.random.default_rng(seed).normal(size=positions.shape))
    step = 1e-6
    ends = [network(positions + s * step * direction, *others)[0].sum() for s in (1.0, -1.0)]
    slope = (ends[0] - ends[1]) / (2 * step)
    scale = (forces * direction).abs().sum().item()
    assert -slope.item() == pytest.approx((forces * direction).sum().item(), abs=1e-6 * scale)


@networks
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_symmetries(case: Case, seed: int) -> None:
    """Rotation, translation, reflection where it is a symmetry, and numbering."""
    network, inputs, rng = make(case), beads(7, seed), np.random.default_rng(seed)
    energy, forces, _ = call(network, inputs)
    for determinant in (1.0,) if case.chiral else (1.0, -1.0):
        matrix = orthogonal(rng, determinant)
        shift = torch.from_numpy(rng.normal(size=3))
        turned = call(network, moved(inputs, inputs.positions @ matrix.T + shift))
        close(turned[0], energy)
        close(turned[1], forces @ matrix.T)
    close(forces.sum(0), torch.zeros(3, dtype=torch.float64))
    order = torch.from_numpy(rng.permutation(7))
    permuted = call(network, inputs.permuted(order))
    close(permuted[0], energy[order])
    close(permuted[1], forces[order])


@networks
def test_mirror_images_differ_only_if_chiral(case: Case) -> None:
    network, inputs = make(case), beads(7, 3)
    mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    energy = call(network, inputs)[0]
    reflected = call(network, moved(inputs, inputs.positions * mirror))[0]
    difference = (energy.sum() - reflected.sum()).abs().item()
    if case.chiral:
        assert difference > 1e-5
        # What lies in a plane is its own mirror image.
        flat = inputs.positions * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
        ends = [call(network, moved(inputs, flat * s))[0] for s in (1.0, mirror)]
        close(ends[0], ends[1])
    else:
        assert difference < 1e-10


@networks
def test_distant_molecules_add_up(case: Case) -> None:
    """Extensive: two molecules beyond the cutoff are the sum of each alone."""
    rng, network = np.random.default_rng(5), make(case)
    types = np.arange(10) % len(BEAD_TYPES)
    positions = rng.uniform(0.0, 0.6, (10, 3))
    positions[5:] += 5.0 * CUTOFF
    bonds = [(i, i + 1) for i in range(9) if i != 4]
    parts = (
        call(network, build_inputs(positions[:5], types[:5], bonds[:4], [0] * 5, CUTOFF, [300.0])),
        call(
            network,
            build_inputs(
                positions[5:],
                types[5:],
                [(i - 5, j - 5) for i, j in bonds[4:]],
                [0] * 5,
                CUTOFF,
                [300.0],
            ),
        ),
    )
    both = call(network, build_inputs(positions, types, bonds, [0] * 5 + [1] * 5, CUTOFF, [300.0]))
    close(both[0], torch.cat([part[0] for part in parts]), 1e-13)
    close(both[1], torch.cat([part[1] for part in parts]), 1e-13)


@networks
def test_unused_pairs_contribute_exactly_nothing(case: Case) -> None:
    network, inputs = make(case), beads()
    for a, b in zip(call(network, inputs.padded(11, CUTOFF)), call(network, inputs), strict=True):
        close(a, b, 1e-13)
    # With nothing else in the list there is no rounding either: bit for bit.
    none = replace(
        inputs,
        pairs=inputs.pairs[:, :0],
        shifts=inputs.shifts[:0],
        edge_types=inputs.edge_types[:0],
    )
    empty, padded = call(network, none), call(network, none.padded(11, CUTOFF))
    for a, b in zip(empty, padded, strict=True):
        close(a, b, 1e-14)
    assert torch.count_nonzero(padded[1]) == 0


@networks
def test_replicas_add_up(case: Case) -> None:
    network, inputs = make(case), beads()
    energy, forces, _ = call(network, inputs)
    twice = call(network, inputs.doubled())
    close(twice[0], energy.repeat(2), 1e-13)
    close(twice[1], forces.repeat(2, 1), 1e-13)


@networks
def test_smooth_at_the_cutoff(case: Case) -> None:
    """Energy and force go to those of a lone pair; the force has no kink."""
    network = make(case)

    def pair(distance: float) -> tuple[float, float]:
        positions = torch.tensor([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]], dtype=torch.float64)
        pairs = torch.tensor([[0, 1], [1, 0]])
        edges = torch.zeros(2, dtype=torch.int64)
        shifts = torch.zeros((2, 3), dtype=torch.float64)
        energy, forces, _ = network(
            positions, torch.tensor([0, 1]), pairs, shifts, edges, PARAMETERS
        )
        return energy.sum().item(), forces[1, 0].item()

    beyond = pair(CUTOFF + 0.1)
    assert beyond[1] == 0.0
    near = np.array([pair(CUTOFF - gap) for gap in (1e-2, 1e-3, 1e-4)])
    assert np.all(np.abs(near[:, 0] - beyond[0]) < np.array([1e-3, 1e-6, 1e-9]))
    # The force falls at least as the square of the distance to the cutoff.
    ratios = np.abs(near[1:, 1] / near[:-1, 1])
    assert np.all(ratios < 0.02), ratios
    assert abs(near[0, 1]) > 0.0


@networks
def test_coincident_beads_give_finite_forces(case: Case) -> None:
    inputs = beads(3)
    inputs.positions[1] = inputs.positions[0]
    assert all(torch.isfinite(result).all() for result in call(make(case), inputs))


@networks
def test_edge_types_and_bead_types_matter(case: Case) -> None:
    network, inputs = make(case), beads()
    energy = call(network, inputs)[0].sum()
    for what in ("edge_types", "types"):
        changed = (getattr(inputs, what) + 1) % 4
        other = call(network, replace(inputs, **{what: changed}))[0].sum()
        assert abs(other - energy) > 1e-6


@networks
def test_same_twice(case: Case) -> None:
    first, second = (call(make(case), beads()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@networks
def test_built_again_from_its_record(case: Case) -> None:
    network = make(case)
    again = models.build(
        case.name, bead_types=BEAD_TYPES, cutoff=network.cutoff, **network.hyperparameters
    ).double()
    again.load_state_dict(network.state_dict())
    close(call(again, beads())[1], call(network, beads())[1], 1e-7)
    assert again.hyperparameters == network.hyperparameters
