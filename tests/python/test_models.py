"""Conformance of networks: what every one of them must honour, and SchNet's own promises."""

from __future__ import annotations

import copy
import itertools

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from openmmcg import models
from openmmcg.export._script import script
from openmmcg.export.geometry import PairInputs, chain
from openmmcg.models import CGNetwork, PairTemplate
from openmmcg.models.radial import distances, envelope
from torch import Tensor

CUTOFF = 1.0
BEAD_TYPES = ["C", "N", "CA", "CB"]
BONDS = [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5)]
TYPES = torch.tensor([0, 1, 2, 3, 0, 1])
PARAMETERS = torch.tensor([300.0], dtype=torch.float64)

networks = pytest.mark.parametrize("name", models.names())


def make(name: str, seed: int = 0, **hyperparameters: object) -> CGNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = models.build(name, bead_types=BEAD_TYPES, cutoff=CUTOFF, **hyperparameters)
    return network.double()


def beads(n_beads: int = 9, seed: int = 0) -> PairInputs:
    return chain(n_beads, len(BEAD_TYPES), CUTOFF, [300.0], seed)


def call(network: CGNetwork, inputs: PairInputs) -> tuple[Tensor, Tensor, Tensor]:
    return network(*inputs.arguments(torch.float64))


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(a, b, rtol=0.0, atol=tolerance * max(1.0, b.abs().max().item()))


@networks
def test_shapes_and_parameters(name: str) -> None:
    inputs = beads()
    inputs = PairInputs(**{**vars(inputs), "parameters": torch.tensor([300.0, 0.5])})
    energy, forces, derivatives = call(make(name), inputs)
    assert energy.shape == (9,) and forces.shape == (9, 3) and derivatives.shape == (2, 9)
    assert not (energy.requires_grad or forces.requires_grad or derivatives.requires_grad)
    assert forces.abs().max() > 1e-3


@networks
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_forces_are_gradients(name: str, seed: int) -> None:
    network, inputs = make(name), beads(6, seed)
    positions, *others = inputs.arguments(torch.float64)
    forces = network(positions, *others)[1]
    direction = torch.from_numpy(np.random.default_rng(seed).normal(size=positions.shape))
    step = 1e-6
    ends = [network(positions + s * step * direction, *others)[0].sum() for s in (1.0, -1.0)]
    slope = (ends[0] - ends[1]) / (2 * step)
    scale = (forces * direction).abs().sum().item()
    assert -slope.item() == pytest.approx((forces * direction).sum().item(), abs=1e-6 * scale)


@networks
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_symmetries(name: str, seed: int) -> None:
    network, inputs = make(name), beads(7, seed)
    energy, forces, _ = call(network, inputs)
    rng = np.random.default_rng(seed)
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation = torch.from_numpy(matrix * np.sign(np.linalg.det(matrix)))
    moved = inputs.positions @ rotation.T + torch.from_numpy(rng.normal(size=3))
    turned = call(network, PairInputs(**{**vars(inputs), "positions": moved}))
    close(turned[0], energy)
    close(turned[1], forces @ rotation.T)
    close(forces.sum(0), torch.zeros(3, dtype=torch.float64))
    order = torch.from_numpy(rng.permutation(7))
    permuted = call(network, inputs.permuted(order))
    close(permuted[0], energy[order])
    close(permuted[1], forces[order])


@networks
def test_unused_pairs_contribute_exactly_nothing(name: str) -> None:
    network, inputs = make(name), beads()
    for a, b in zip(call(network, inputs.padded(11, CUTOFF)), call(network, inputs), strict=True):
        close(a, b, 1e-14)
    # With nothing else in the list there is no rounding either: bit for bit.
    none = PairInputs(
        **{
            **vars(inputs),
            "pairs": inputs.pairs[:, :0],
            "shifts": inputs.shifts[:0],
            "edge_types": inputs.edge_types[:0],
        }
    )
    empty, padded = call(network, none), call(network, none.padded(11, CUTOFF))
    assert all(torch.equal(a, b) for a, b in zip(empty, padded, strict=True))
    assert torch.count_nonzero(padded[1]) == 0


@networks
def test_replicas_add_up(name: str) -> None:
    network, inputs = make(name), beads()
    energy, forces, _ = call(network, inputs)
    twice = call(network, inputs.doubled())
    close(twice[0], energy.repeat(2), 1e-13)
    close(twice[1], forces.repeat(2, 1), 1e-13)


@networks
def test_smooth_at_the_cutoff(name: str) -> None:
    """Energy and force go to those of a lone pair; the force has no kink."""
    network = make(name)

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
def test_coincident_beads_give_finite_forces(name: str) -> None:
    inputs = beads(3)
    inputs.positions[1] = inputs.positions[0]
    assert all(torch.isfinite(result).all() for result in call(make(name), inputs))


@networks
def test_edge_types_and_bead_types_matter(name: str) -> None:
    network, inputs = make(name), beads()
    energy = call(network, inputs)[0].sum()
    for field in ("edge_types", "types"):
        changed = (getattr(inputs, field) + 1) % 4
        other = call(network, PairInputs(**{**vars(inputs), field: changed}))[0].sum()
        assert abs(other - energy) > 1e-6


@networks
def test_script_gives_the_same(name: str) -> None:
    network = make(name)
    scripted = script(network)
    for n_beads in (2, 5, 9):
        arguments = beads(n_beads).arguments(torch.float64)
        for a, b in zip(scripted(*arguments), network(*arguments), strict=True):
            close(a, b, 1e-14)
    assert all(parameter.requires_grad for parameter in network.parameters())


@networks
def test_built_again_from_its_record(name: str) -> None:
    network = make(name)
    again = models.build(
        name, bead_types=BEAD_TYPES, cutoff=network.cutoff, **network.hyperparameters
    ).double()
    again.load_state_dict(network.state_dict())
    assert torch.equal(call(again, beads())[1], call(network, beads())[1])


@networks
def test_batches_of_molecules_equal_single_calls(name: str) -> None:
    """The fast way of training is the same function as what is exported."""
    network = make(name)
    template = PairTemplate.from_topology(BONDS, [0] * 6)
    frames = torch.rand((4, 6, 3), generator=torch.Generator().manual_seed(0)).double() * 0.4
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
    general = CGNetwork.molecule_energies(network, frames, TYPES, template, PARAMETERS)
    close(general.detach(), energies.detach())


@networks
def test_force_loss_can_be_differentiated_by_weights(name: str) -> None:
    """Training differentiates forces: compare with differences of the loss."""
    network = make(name, width=6, rbf=5) if name == "schnet" else make(name)
    template = PairTemplate.from_topology(BONDS, [0] * 6)
    frames = torch.rand((3, 6, 3), generator=torch.Generator().manual_seed(1)).double() * 0.4

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
        moved = copy.deepcopy(network)
        with torch.no_grad():
            for parameter, direction in zip(moved.parameters(), directions, strict=True):
                parameter += sign * step * direction
        ends.append(loss(moved).item())
    slope = (ends[0] - ends[1]) / (2 * step)
    products = [(g * d).sum().item() for g, d in zip(gradients, directions, strict=True)]
    assert slope == pytest.approx(sum(products), rel=1e-5)


def test_edge_types_count_bonds() -> None:
    bonds = [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)]
    molecules = [0, 0, 0, 0, 0, 1, 1, 0]
    pairs = [[0, 0, 0, 0, 0, 5, 1, 0], [1, 2, 3, 4, 5, 6, 0, 7]]
    assert models.edge_types(bonds, molecules, pairs).tolist() == [2, 3, 4, 1, 0, 2, 2, 1]
    with pytest.raises(ValueError, match="bond names bead 9.*8 beads"):
        models.edge_types([(0, 9)], molecules, pairs)
    assert models.edge_types([], [0], np.empty((2, 0))).shape == (0,)


def test_edge_types_take_the_shortest_way_in_rings() -> None:
    ring = list(nx.cycle_graph(5).edges)
    pairs = np.array(list(itertools.permutations(range(5), 2))).T
    assert set(models.edge_types(ring, [0] * 5, pairs).tolist()) == {2, 3}


def test_template_lists_every_pair() -> None:
    template = PairTemplate.from_topology(BONDS, [0] * 6)
    assert template.directed.T.tolist() == [list(p) for p in itertools.permutations(range(6), 2)]
    ends = template.pairs[:, template.undirected]
    torch.testing.assert_close(ends.sort(0).values, template.directed.sort(0).values)
    assert torch.equal(template.edge_types[template.undirected], template.directed_edge_types)


def test_envelope_has_two_continuous_derivatives() -> None:
    x = torch.tensor([1e-12, 1.0 - 1e-7, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    value = envelope(x, 1.0)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    assert value[2:].tolist() == [0.0, 0.0] and slope[2:].tolist() == [0.0, 0.0]
    close(value.detach(), torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    assert slope.abs().max() < 1e-10 and curvature.abs().max() < 1e-5
    assert torch.isfinite(distances(torch.zeros(2, 3))).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "magic"}, "no network 'magic'.*schnet"),
        ({"bead_types": []}, "at least one name"),
        ({"bead_types": ["A", "A"]}, "each once"),
        ({"cutoff": 0.0}, "positive distance in nm"),
        ({"width": 0}, "width of at least 1"),
        ({"rbf": 1}, "rbf of at least 2"),
        ({"ranges": [[0.0, 1.0]]}, "5 ranges"),
        ({"depth": 3}, "cannot be built.*depth"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.build(**{"name": "schnet", "bead_types": ["A"], "cutoff": 1.0, **arguments})
