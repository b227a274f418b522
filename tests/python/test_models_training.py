"""What training and export ask of every network: batches, derivatives, scripts, precision."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_cases import (
    BONDS,
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
from openmmcg.export._script import script
from openmmcg.models import CGNetwork, PairTemplate
from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.filters import Filters
from torch import Tensor


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


@pytest.mark.parametrize("kind", range(EDGE_TYPE_COUNT))
def test_filters_of_pairs_of_one_class_have_the_gradients_of_those_of_many(kind: int) -> None:
    """Training takes a short cut where all pairs are of one class."""
    torch.manual_seed(kind)
    filters = Filters(6, 4, 2, 1.0).double()
    basis = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    types = torch.full((5,), kind)
    found = []
    for training in (True, False):
        filters.train(training)
        values = filters(basis, types)
        slopes = torch.autograd.grad(values.sin().sum(), [basis], create_graph=True)
        found.append(
            [values, *slopes, *torch.autograd.grad(slopes[0].square().sum(), filters.coefficients)]
        )
    for short, full in zip(*found, strict=True):
        torch.testing.assert_close(short, full)
