"""Pair splines and their least-squares fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_cases import BEAD_TYPES, BONDS, CUTOFF, PARAMETERS, TYPES, close, conformations
from openmmcg.models import PairTemplate
from openmmcg.models.pair_spline import PairSpline, fit_pair_spline, molecule_batches, solve
from openmmcg.models.pair_spline.design import design
from openmmcg.models.pair_spline.equations import second_differences
from openmmcg.models.pair_spline.network import spline_slopes, spline_weights
from scipy.interpolate import BSpline
from torch import Tensor

TEMPLATE = PairTemplate.from_topology(BONDS, [0] * 6)
FULL = [[0.0, CUTOFF]] * 5


def frames(count: int, seed: int = 0) -> Tensor:
    """Frames around one conformation, so that distances cover a range each."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((count, 6, 3), generator=generator, dtype=torch.float64)
    return conformations(1, seed=9) * 1.5 + 0.06 * noise


def spline(rbf: int = 10, seed: int | None = 0, ranges: list | None = None) -> PairSpline:
    network = PairSpline(BEAD_TYPES, CUTOFF, rbf=rbf, ranges=ranges).double()
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            network.coefficients.normal_(0.0, 5.0, generator=generator)
    return network


def forces_of(network: PairSpline, positions: Tensor) -> Tensor:
    leaf = positions.clone().requires_grad_(True)
    energies = network.molecule_energies(leaf, TYPES, TEMPLATE, PARAMETERS)
    return -torch.autograd.grad(energies.sum(), leaf)[0]


def test_weights_are_cubic_b_splines() -> None:
    x = torch.linspace(0.0, 1.0, 7, dtype=torch.float64)
    reference = BSpline.basis_element(np.arange(5.0), extrapolate=False)
    places = x[:, None].numpy() + np.array([3.0, 2.0, 1.0, 0.0])
    close(spline_weights(x), torch.from_numpy(reference(places)), 1e-14)
    close(spline_weights(x).sum(-1), torch.ones(7, dtype=torch.float64), 1e-14)
    close(spline_slopes(x), torch.from_numpy(reference.derivative()(places)), 1e-14)


def test_splines_are_smooth_everywhere_and_flat_at_their_ends() -> None:
    network = spline(ranges=[FULL[0], FULL[0], [0.1, 0.3], [0.2, 0.45], FULL[0]])
    pair, low, high = torch.tensor([1]), 0.2, 0.45
    points = torch.linspace(0.05, 0.6, 2201, dtype=torch.float64, requires_grad=True)
    energy = network.pair_channels(points, pair, torch.tensor([3]))[..., 0]
    (slope,) = torch.autograd.grad(energy.sum(), points, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), points)
    d = points.detach()
    assert torch.count_nonzero(energy[d > high + 1e-6]) == 0
    close(energy[d < low], network.coefficients[3, 1, 0].detach().expand(int((d < low).sum())))
    assert slope[(d < low) | (d > high + 1e-6)].abs().max() == 0.0
    # A step of the curvature would be as large as the curvature itself.
    assert curvature.diff().abs().max() < 0.05 * curvature.abs().max()


def test_energy_of_a_pair_goes_half_to_each_bead() -> None:
    network = spline()
    positions = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.4]], dtype=torch.float64)
    pairs, shifts = torch.tensor([[0, 1], [1, 0]]), torch.zeros((2, 3), dtype=torch.float64)
    edges = torch.full((2,), 2)
    energy, forces, _ = network(positions, torch.tensor([2, 1]), pairs, shifts, edges, PARAMETERS)
    row = network.pair_index[1, 2]
    whole = network.pair_channels(torch.tensor(0.4), row, torch.tensor(2))[..., 0]
    close(energy, 0.5 * whole.detach().expand(2).double(), 1e-6)
    assert network.pair_index[2, 1] == row
    assert forces[0, 2] == -forces[1, 2] and forces[0, 2] != 0.0


def test_forces_are_the_design_times_the_coefficients() -> None:
    network, positions = spline(), frames(3)
    (batch,) = molecule_batches(positions, torch.zeros_like(positions), TYPES, TEMPLATE, 3)
    splines, matrix, _ = design(network, batch)
    assert matrix.shape == (3 * 18, 10 * len(splines))
    chosen = network.coefficients.detach().flatten(0, 1)[splines].flatten()
    close((matrix @ chosen).reshape(3, 6, 3), forces_of(network, positions), 1e-12)


def test_padding_and_pairs_beyond_the_cutoff_are_left_out() -> None:
    network, positions = spline(), frames(2)
    (batch,) = molecule_batches(positions, torch.zeros_like(positions), TYPES, TEMPLATE, 2)
    far = torch.zeros((4, 3), dtype=torch.float64)
    far[:, 0] = 2.0 * CUTOFF
    padded = replace(
        batch,
        pairs=torch.cat([batch.pairs, torch.zeros((2, 4), dtype=torch.int64)], 1),
        shifts=torch.cat([batch.shifts, far]),
        edge_types=torch.cat([batch.edge_types, torch.zeros(4, dtype=torch.int64)]),
    )
    for a, b in zip(design(network, batch), design(network, padded), strict=True):
        assert torch.equal(a, b)


def test_known_splines_are_found_again() -> None:
    """Labels made by splines are fitted to rounding, however the frames are cut."""
    truth, positions = spline(), frames(300)
    labels = forces_of(truth, positions)
    losses = []
    for size in (300, 70):
        network = spline(seed=None)
        batches = molecule_batches(positions, labels, TYPES, TEMPLATE, size)
        losses.append(solve(network, batches, smoothing=0.0)["loss"])
        close(forces_of(network, positions), labels, 1e-4)
    assert max(losses) < 1e-6 * labels.square().mean().item()


def test_normal_equations_give_the_least_squares_solution() -> None:
    """Compare with the design and the penalty stacked, solved at once."""
    positions = frames(40)
    generator = torch.Generator().manual_seed(1)
    labels = 30.0 * torch.randn(positions.shape, generator=generator, dtype=torch.float64)
    network, smoothing = spline(6, seed=None), 0.01
    report = solve(network, molecule_batches(positions, labels, TYPES, TEMPLATE, 15), smoothing)
    (batch,) = molecule_batches(positions, labels, TYPES, TEMPLATE, 40)
    splines, matrix, _ = design(network, batch)
    spacings = network.spacing[splines // network.coefficients.shape[1]]
    weights = (smoothing * labels.numel()) ** 0.5 / spacings
    rows = torch.block_diag(*[w * second_differences(6) for w in weights])
    target = torch.cat([labels.flatten(), torch.zeros(len(rows), dtype=torch.float64)])
    expected = torch.linalg.lstsq(torch.cat([matrix, rows]), target[:, None]).solution
    found = network.coefficients.detach().flatten(0, 1)[splines].flatten()
    close(found, expected.squeeze(1), 1e-6)
    left = (matrix @ found - labels.flatten()).square().mean().item()
    assert report["loss"] == pytest.approx(left, rel=1e-9)
    unseen = torch.ones(len(network.coefficients.flatten(0, 1)), dtype=torch.bool)
    unseen[splines] = False
    assert torch.count_nonzero(network.coefficients.flatten(0, 1)[unseen]) == 0


def test_smoothing_by_cross_validation_helps_against_noise() -> None:
    # Smooth truth: few coefficients; many of them in the fit.
    truth, positions = spline(3), frames(400)
    clean = forces_of(truth, positions)
    generator = torch.Generator().manual_seed(1)
    noise = 3.0 * clean.std() * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    errors = {}
    for smoothing in (None, 1e-12, 1e3):
        network, _ = fit_pair_spline(
            positions,
            clean + noise,
            TYPES,
            TEMPLATE,
            bead_types=BEAD_TYPES,
            cutoff=CUTOFF,
            rbf=20,
            ranges=FULL,
            smoothing=smoothing,
        )
        errors[smoothing] = (forces_of(network, positions) - clean).square().mean().item()
    assert errors[None] < 0.5 * errors[1e-12]
    assert errors[None] < 0.5 * errors[1e3]


def test_where_no_data_are_splines_continue_straight() -> None:
    network = spline(16, seed=None)
    generator = torch.Generator().manual_seed(2)
    distance = 0.5 + 0.3 * torch.rand(400, generator=generator, dtype=torch.float64)
    positions = torch.zeros((400, 2, 3), dtype=torch.float64)
    positions[:, 1, 0] = distance
    labels = torch.zeros_like(positions)
    labels[:, 1, 0] = 60.0 * torch.exp(-8.0 * (distance - 0.5))
    labels[:, 0] = -labels[:, 1]
    template = PairTemplate.from_topology(np.empty((0, 2)), [0, 1])
    types = torch.tensor([0, 0])
    solve(network, molecule_batches(positions, labels, types, template, 100), smoothing=1e-6)
    probe = torch.tensor([0.15, 0.25, 0.35, 0.45], dtype=torch.float64, requires_grad=True)
    energy = network.pair_channels(probe, torch.tensor([0]), torch.tensor([0]))[..., 0]
    force = -torch.autograd.grad(energy.sum(), probe)[0]
    # Repulsive below what was seen, and not wildly so.
    assert force.min() > 20.0 and force.max() < 200.0


def test_bonded_ranges_follow_the_data() -> None:
    positions = frames(50).float()
    network, report = fit_pair_spline(
        positions, torch.ones_like(positions), TYPES, TEMPLATE, bead_types=BEAD_TYPES, cutoff=CUTOFF
    )
    assert network.coefficients.dtype == torch.float32
    ranges = network.hyperparameters["ranges"]
    first, second = TEMPLATE.pairs[:, TEMPLATE.edge_types == 2]
    distance = (positions[:, second] - positions[:, first]).norm(dim=-1)
    assert ranges[0] == ranges[1] == [0.0, CUTOFF]
    assert ranges[2][0] < distance.min() and ranges[2][1] > min(distance.max(), CUTOFF - 1e-6)
    assert set(report) == {"loss", "smoothing", "cross_validation"}


def test_bad_data() -> None:
    positions = frames(4)
    known = {"bead_types": BEAD_TYPES, "cutoff": CUTOFF}
    with pytest.raises(ValueError, match=r"shape \(frames, 6, 3\)"):
        fit_pair_spline(positions, positions[:, :5], TYPES, TEMPLATE, **known)
    broken = positions.clone()
    broken[3, 2, 1] = float("nan")
    with pytest.raises(ValueError, match="Batch 2.*not finite"):
        fit_pair_spline(positions, broken, TYPES, TEMPLATE, **known)
    with pytest.raises(ValueError, match="at least two batches"):
        solve(spline(), molecule_batches(positions, positions, TYPES, TEMPLATE, 4))
    with pytest.raises(ValueError, match="no pairs within 1.0 nm"):
        solve(spline(), iter([]))
