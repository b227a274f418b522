"""The contract that every network must honour."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import (
    BEAD_TYPES,
    BONDS,
    CUTOFF,
    PARAMETERS,
    TYPES,
    Case,
    beads,
    call,
    close,
    conformations,
    make,
    moved,
    networks,
)
from openmmcg import models
from openmmcg.export._script import script
from openmmcg.export.geometry import inputs as build_inputs
from openmmcg.models import CGNetwork, PairTemplate
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
def test_systems_of_a_batch_equal_single_calls(case: Case) -> None:
    """Different systems side by side, one of them periodic."""
    network = make(case)
    systems = [beads(4, 1), beads(7, 2), beads(5, 3)]
    box = torch.tensor([2.5, 0.0, 0.0], dtype=torch.float64)
    first, second = systems[0].pairs
    crossing = (first == 0) | (second == 0)
    sign = torch.where(first == 0, 1.0, -1.0)[:, None] * crossing[:, None]
    systems[0] = replace(
        moved(systems[0], systems[0].positions + box * (torch.arange(4) == 0)[:, None]),
        shifts=sign * box,
    )
    sizes = [len(system.types) for system in systems]
    offsets = np.cumsum([0, *sizes])
    joined = replace(
        systems[0],
        positions=torch.cat([s.positions for s in systems]),
        types=torch.cat([s.types for s in systems]),
        pairs=torch.cat([s.pairs + o for s, o in zip(systems, offsets, strict=False)], 1),
        shifts=torch.cat([s.shifts for s in systems]),
        edge_types=torch.cat([s.edge_types for s in systems]),
    )
    system = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    *arguments, parameters = joined.arguments(torch.float64)
    channels = network.system_channels(*arguments, system, 3)
    energies = network.at_temperatures(channels, parameters)[0]
    single = [call(network, s)[0].sum() for s in systems]
    close(energies.detach(), torch.stack(single), 1e-12)
    close(single[0], call(network, beads(4, 1))[0].sum(), 1e-12)


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
def test_script_gives_the_same(case: Case) -> None:
    network = make(case)
    scripted = script(network)
    for n_beads in (2, 5, 9, 5):
        arguments = beads(n_beads).arguments(torch.float64)
        for a, b in zip(scripted(*arguments), network(*arguments), strict=True):
            close(a, b, 1e-13)
    assert all(parameter.requires_grad for parameter in network.parameters())


@networks
def test_single_precision_is_close_to_double(case: Case) -> None:
    network = make(case)
    single, double = copy.deepcopy(network).float(), call(network, beads())
    for a, b in zip(single(*beads().arguments(torch.float32)), double, strict=True):
        assert a.dtype == torch.float32
        close(a.double(), b, 3e-5)


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


@networks
def test_batches_of_molecules_equal_single_calls(case: Case) -> None:
    """The fast way of training is the same function as what is exported."""
    network = make(case)
    template = PairTemplate.from_topology(BONDS, [0] * 6)
    frames = conformations(3)
    leaf = frames.clone().requires_grad_(True)
    energies = network.molecule_energies(leaf, TYPES, template, PARAMETERS)
    (gradient,) = torch.autograd.grad(energies.sum(), leaf)
    shifts = torch.zeros((30, 3), dtype=torch.float64)
    for frame, energy, slope in zip(frames, energies, gradient, strict=True):
        single = network(
            frame, TYPES, template.directed, shifts, template.directed_edge_types, PARAMETERS
        )
        close(single[0].sum(), energy.detach())
        close(single[1], -slope)
    general = CGNetwork.molecule_channels(network, frames, TYPES, template)
    close(general.detach(), network.molecule_channels(frames, TYPES, template).detach())


@networks
def test_second_derivatives_by_positions(case: Case) -> None:
    network = make(case)
    template = PairTemplate.from_topology(BONDS[:2], [0] * 3)
    frames = conformations(1, seed=4)[:, :3].clone().requires_grad_(True)

    def energy(positions: Tensor) -> Tensor:
        return network.molecule_energies(positions, TYPES[:3], template, PARAMETERS)

    assert torch.autograd.gradgradcheck(energy, (frames,), atol=1e-4, rtol=1e-3)


@networks
def test_force_loss_can_be_differentiated_by_weights(case: Case) -> None:
    """Training differentiates forces: compare with differences of the loss."""
    network = make(case)
    template = PairTemplate.from_topology(BONDS, [0] * 6)
    frames = conformations(3, seed=1)

    def loss(module: CGNetwork) -> Tensor:
        leaf = frames.clone().requires_grad_(True)
        energies = module.molecule_energies(leaf, TYPES, template, PARAMETERS)
        (gradient,) = torch.autograd.grad(energies.sum(), leaf, create_graph=True)
        return (gradient - 1.0).square().mean()

    gradients = torch.autograd.grad(
        loss(network), list(network.parameters()), allow_unused=True, materialize_grads=True
    )
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(p.shape, generator=generator).double() for p in network.parameters()]
    step, ends = 1e-5, []
    for sign in (1.0, -1.0):
        displaced = copy.deepcopy(network)
        with torch.no_grad():
            for parameter, direction in zip(displaced.parameters(), directions, strict=True):
                parameter += sign * step * direction
        ends.append(loss(displaced).item())
    slope = (ends[0] - ends[1]) / (2 * step)
    products = [(g * d).sum().item() for g, d in zip(gradients, directions, strict=True)]
    assert slope == pytest.approx(sum(products), rel=1e-5)


@networks
def test_every_weight_takes_part(case: Case) -> None:
    """No weight is left without a gradient by types and edge types that all occur."""
    network = make(case)
    positions, *others = beads(12, 1).arguments(torch.float64)
    leaf = positions.requires_grad_(True)
    energy = network.bead_energies(leaf, *others)
    (gradient,) = torch.autograd.grad(energy.square().sum(), leaf, create_graph=True)
    used = torch.autograd.grad(
        gradient.square().sum() + energy.square().sum(),
        list(network.parameters()),
        allow_unused=True,
    )
    names = [name for name, _ in network.named_parameters()]
    unused = [name for name, value in zip(names, used, strict=True) if value is None]
    assert not unused
