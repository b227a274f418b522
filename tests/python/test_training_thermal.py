"""Labels and trainings of the dependence on the temperature, against baths with closed forms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from openmmcg import export
from openmmcg.data import Frames
from openmmcg.models import CGNetwork
from openmmcg.training import TrainConfig, load_network, train
from openmmcg.training.frames import load_data
from openmmcg.training.labels import force_variance
from openmmcg.training.sources import open_datasets
from openmmcg.training.thermal.labels import (
    break_even,
    centred,
    response_labels,
    response_weight,
)
from openmmcg.units import KB
from thermal_toys import LINE, PLANE, Bath
from training_systems import chain_mapping, write_chains

T0 = 300.0
baths = pytest.mark.parametrize("bath", [LINE, PLANE], ids=["line", "plane"])


@baths
def test_closed_forms_obey_thermodynamics(bath: Bath) -> None:
    """What everything below is compared with: F = -dW/dx, G = dF/dT, E = W - T dW/dT."""
    x = np.random.default_rng(0).uniform(0.2, 0.4, (5, len(bath.a)))
    kelvin, step = np.full(5, 310.0), 1e-3
    w = [bath.free_energy(x, kelvin + s * step) for s in (1, -1)]
    slope = (w[0] - w[1]) / (2 * step)
    energy = bath.free_energy(x, kelvin) - kelvin * slope
    assert np.ptp(energy - bath.mean_energy(x, kelvin)) < 1e-5
    f = [bath.force(x, kelvin + s * step) for s in (1, -1)]
    assert np.allclose((f[0] - f[1]) / (2 * step), bath.response(x, kelvin), atol=1e-7)
    for axis in range(len(bath.a)):
        shift = 1e-5 * np.eye(len(bath.a))[axis]
        ends = [bath.free_energy(x + s * shift, kelvin) for s in (1, -1)]
        assert np.allclose(-(ends[0] - ends[1]) / 2e-5, bath.force(x, kelvin)[:, axis], atol=1e-5)


@baths
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), kelvin=st.floats(260.0, 400.0))
def test_response_labels_are_doubly_robust(bath: Bath, seed: int, kelvin: float) -> None:
    """Unbiased if one baseline is exact; else the bias is the product of the errors over kT."""
    rng, count, dims = np.random.default_rng(seed), 40_000, len(bath.a)
    x = np.tile(rng.uniform(0.2, 0.4, dims), (count, 1))
    temperatures = np.full(count, kelvin)
    forces, energies = bath.sample(x, temperatures, rng)
    force = bath.force(x[:1], temperatures[:1])
    energy = bath.mean_energy(x[:1], temperatures[:1])
    expected = kelvin * bath.response(x[:1], temperatures[:1])[0]
    off_force, off_energy = rng.normal(0.0, 20.0, dims), 5.0
    for wrong_force, wrong_energy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        labels = response_labels(
            torch.from_numpy(forces - force - wrong_force * off_force)[:, None],
            torch.from_numpy(energies - energy - wrong_energy * off_energy),
            torch.from_numpy(temperatures),
        ).numpy()[:, 0]
        bias = wrong_force * wrong_energy * off_force * off_energy / (KB * kelvin)
        errors = labels.std(axis=0) / np.sqrt(count)
        assert np.all(np.abs(labels.mean(axis=0) - expected - bias) < 4.5 * errors)


def test_noise_of_labels_and_break_even() -> None:
    """The weight is the inverse variance of a response relative to a force's."""
    rng = np.random.default_rng(3)
    sigma_f, sigma_u, count = 400.0, 60.0, 200_000
    forces = torch.from_numpy(rng.normal(0.0, sigma_f, (count, 1, 1)))
    energies = torch.from_numpy(rng.normal(0.0, sigma_u, count))
    labels = response_labels(forces, energies, torch.full((count,), T0))
    weight = response_weight(sigma_u, T0)
    assert float(labels.var()) * weight == pytest.approx(sigma_f**2, rel=0.02)
    # At T +- D*, forces of as many frames give dF/dT with the same variance.
    width = break_even(sigma_u, T0)
    assert width == pytest.approx(12.47, abs=0.01)
    assert (sigma_f / width) ** 2 == pytest.approx(sigma_f**2 / weight / T0**2)


def test_energies_count_up_to_a_constant_of_each_temperature() -> None:
    groups = torch.tensor([0, 0, 2, 2, 2])
    values = torch.tensor([1.0, 3.0, 5.0, 6.0, 10.0])
    assert centred(values, groups).tolist() == [-1.0, 1.0, -2.0, -1.0, 3.0]


def diatomics(path: Path, count: int, kelvin: list[float], **changes: object) -> str:
    """Write frames of two bonded beads at x = their distance, in the bath of a line."""
    rng = np.random.default_rng(11)
    distance = rng.uniform(0.2, 0.4, (count, 1))
    temperatures = np.tile(kelvin, count)[:count]
    forces, energies = LINE.sample(distance, temperatures, rng)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    along = np.stack([-0.5 * direction, 0.5 * direction], 1)
    values = {
        "positions": (along * distance[:, None]).astype("f4"),
        "forces": (2.0 * along * forces[:, None]).astype("f4"),
        "energies": energies,
        "temperatures": temperatures,
        "bias_energies": np.zeros(count),
        "walkers": np.arange(count) % 4,
    }
    made = {
        name: change(along, distance, temperatures) if callable(change) else change
        for name, change in changes.items()
    }
    return str(write_chains(path, chain_mapping("AA"), Frames(**{**values, **made})))


def mean_forces(along: np.ndarray, distance: np.ndarray, kelvin: np.ndarray) -> np.ndarray:
    """Exact labels of `diatomics`, (count, 2, 3)."""
    return np.asarray(2.0 * along * LINE.force(distance, kelvin)[:, None], dtype="f4")


def thermal_forces(along: np.ndarray, distance: np.ndarray, kelvin: np.ndarray) -> np.ndarray:
    """Their derivatives with respect to temperature, (count, 2, 3)."""
    return np.asarray(2.0 * along * LINE.response(distance, kelvin)[:, None], dtype="f4")


def small(dataset: str, output: Path, **changes: object) -> TrainConfig:
    values = {"network": "pair-spline", "thermal": "response", "rbf": 24, "priors": []}
    values |= {"lint": False, "check_units": False, "prior_plots": False, "threads": 1}
    return TrainConfig(dataset, str(output), **{**values, "accelerator": "cpu", **changes})


def along_bond(network: CGNetwork, distance: np.ndarray, kelvin: float) -> dict[str, np.ndarray]:
    """Force and response along the distance, and the mean energy, of a pair at each distance."""
    energy, force, response = [], [], []
    for value in distance:
        positions = torch.tensor([[0.0, 0.0, 0.0], [value, 0.0, 0.0]], dtype=torch.float64)
        pairs = torch.tensor([[0, 1], [1, 0]])
        zeros = torch.zeros((2, 3), dtype=torch.float64)
        results = [
            network(positions, torch.zeros(2).long(), pairs, zeros, torch.full((2,), 2),
                    torch.tensor([t], dtype=torch.float64))
            for t in (kelvin, kelvin + 0.05, kelvin - 0.05)
        ]  # fmt: skip
        force.append(float(results[0][1][1, 0]))
        response.append(float(results[1][1][1, 0] - results[2][1][1, 0]) / 0.1)
        energy.append(float(results[0][0].sum() - kelvin * results[0][2][0].sum()))
    return {"force": np.array(force), "response": np.array(response), "energy": np.array(energy)}


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Root of the mean square of the difference over that of what is expected."""
    return float(np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)))


GRID = np.linspace(0.24, 0.36, 7)


def test_entropy_from_one_temperature(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Responses of single frames teach the gradient of the entropy; the note says what they pay."""
    path = diatomics(tmp_path / "d.h5", 12_000, [T0])
    folder = train(small(path, tmp_path / "out"))
    network = load_network(folder).double()
    assert network.hyperparameters["heat_capacity"] is False
    assert network.hyperparameters["reference_temperature"] == T0
    found, at = along_bond(network, GRID, T0), np.full(len(GRID), T0)
    assert error(found["force"], LINE.force(GRID[:, None], at)[:, 0]) < 0.03
    response = LINE.response(GRID[:, None], at)[:, 0]
    assert error(found["response"], response) < 0.15
    text = capsys.readouterr().out
    assert "sigma_u" in text and "D* =" in text and "pays for a system of this size" in text
    assert "baselines explain" in text and "response gain" in text
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["response_gain"] > 0.1
    exported, report = export.export_trained(folder, tmp_path / "m.cg.pt")
    card = export.read_card(exported)
    assert card["temperature"] == T0 and card["temperature_range"] == [T0, T0]
    assert card["architecture"]["hyperparameters"]["thermal"] == "response"
    assert report["differences"]["network"] < 1e-6


@pytest.mark.parametrize("weights", [{}, None], ids=["forces", "forces and responses"])
def test_heat_capacity_from_several_temperatures(
    tmp_path: Path, weights: dict[str, float] | None
) -> None:
    """Forces at four temperatures teach A, S and C: forces and energies at another one."""
    path = diatomics(tmp_path / "d.h5", 16_000, [260.0, 300.0, 340.0, 380.0])
    folder = train(small(path, tmp_path / "out", thermal_weights=weights), progress=False)
    network = load_network(folder).double()
    assert network.hyperparameters["heat_capacity"] is True
    losses = json.loads((folder / "summary.json").read_text())["temperatures"]
    assert list(losses) == ["260 K", "300 K", "340 K", "380 K"] and min(losses.values()) > 0
    at = np.full(len(GRID), 420.0)
    found = along_bond(network, GRID, 420.0)
    assert error(found["force"], LINE.force(GRID[:, None], at)[:, 0]) < 0.05
    frozen = LINE.force(GRID[:, None], np.full(len(GRID), 340.0))[:, 0]
    assert error(frozen, LINE.force(GRID[:, None], at)[:, 0]) > 0.1
    at = np.full(len(GRID), 320.0)
    energy, expected = (
        along_bond(network, GRID, 320.0)["energy"],
        LINE.mean_energy(GRID[:, None], at),
    )
    # T S varies by 20 kJ/mol over the same distances.
    assert np.abs(energy - energy.mean() - expected + expected.mean()).max() < 0.5


def test_labels_of_held_beads(tmp_path: Path) -> None:
    """Thermal forces with errors at one temperature; wrong ones with large errors do not count."""
    rng = np.random.default_rng(2)

    def noisy(along: np.ndarray, distance: np.ndarray, kelvin: np.ndarray, errors: np.ndarray):
        exact = thermal_forces(along, distance, kelvin)
        return (exact + rng.normal(size=exact.shape) * errors).astype("f4")

    errors = np.where(np.arange(1500) % 3 == 0, 3.0, 0.01)[:, None, None] * np.ones((1, 2, 3))
    path = diatomics(
        tmp_path / "d.h5",
        1500,
        [T0],
        forces=mean_forces,
        force_errors=np.full((1500, 2, 3), 1.0, dtype="f4"),
        thermal_forces=lambda along, r, t: noisy(along, r, t, errors),
        thermal_force_errors=errors.astype("f4"),
        mean_energies=lambda _, r, t: LINE.mean_energy(r, t),
        mean_energy_errors=np.full(1500, 0.1),
    )
    folder = train(small(path, tmp_path / "out"), progress=False)
    found = along_bond(load_network(folder).double(), GRID, T0)["response"]
    assert error(found, LINE.response(GRID[:, None], np.full(len(GRID), T0))[:, 0]) < 0.03


def test_single_frames_and_held_beads_count_by_what_they_tell(tmp_path: Path) -> None:
    """Thousands of noisy frames beside a few mean forces do not spoil them."""
    single = diatomics(tmp_path / "single.h5", 4000, [T0])
    held = diatomics(
        tmp_path / "held.h5",
        400,
        [T0],
        forces=mean_forces,
        force_errors=np.full((400, 2, 3), 0.1, dtype="f4"),
        thermal_forces=thermal_forces,
        thermal_force_errors=np.full((400, 2, 3), 0.001, dtype="f4"),
        energies=np.full(400, np.nan),
    )
    config = replace(small("", tmp_path / "out"), dataset=None, datasets=[single, held])
    with open_datasets(config) as datasets:
        systems = load_data(datasets, config).systems
    weights = [float(system.weights.mean()) for system in systems]
    counts = [len(system.training) for system in systems]
    assert np.average(weights, weights=counts) == pytest.approx(1.0)
    noise = force_variance(systems[0], False) / weights[0]
    assert weights[1] / weights[0] == pytest.approx(noise / 0.02, rel=1e-3)  # errors and median
    network = load_network(train(config, progress=False)).double()
    found, at = along_bond(network, GRID, T0), np.full(len(GRID), T0)
    assert error(found["force"], LINE.force(GRID[:, None], at)[:, 0]) < 0.01
    assert error(found["response"], LINE.response(GRID[:, None], at)[:, 0]) < 0.01


@pytest.mark.parametrize("kind", ["response", "input"])
def test_all_terms_in_one_loss_of_a_network(tmp_path: Path, kind: str) -> None:
    path = diatomics(tmp_path / "d.h5", 2000, [260.0, 300.0, 340.0])
    config = small(
        path,
        tmp_path / "out",
        network="schnet",
        thermal=kind,
        thermal_weights={"response": 1.0, "energies": 1.0},
        response_baseline="network" if kind == "response" else "spline",
        width=16,
        rbf=12,
        epochs=15,
        batch_size=64,
        learning_rate=1e-2,
        ema_decay=0.9,
        network_options={"ranges": [[0, 1], [0, 1], [0.2, 0.4], [0, 1], [0, 1]]},
    )
    folder = train(config, progress=False)
    history = (folder / "metrics.csv").read_text().splitlines()
    assert history[0].split(",")[-2:] == ["val_objective", "response_gain"]
    assert (folder / "baseline-2" / "best.ckpt").exists() == (kind == "response")
    summary = json.loads((folder / "summary.json").read_text())
    assert "baselines explain" in " ".join(summary["notes"])
    network = load_network(folder).double()
    for kelvin in (270.0, 330.0):
        at = np.full(len(GRID), kelvin)
        found = along_bond(network, GRID, kelvin)
        assert error(found["force"], LINE.force(GRID[:, None], at)[:, 0]) < 0.1
        assert error(found["response"], LINE.response(GRID[:, None], at)[:, 0]) < 0.5


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_network_baselines_are_cross_fitted(tmp_path: Path) -> None:
    """Residuals are of frames that the network was not trained on: as large as the noise."""
    from openmmcg.training.thermal.networks import network_residuals

    path = diatomics(tmp_path / "d.h5", 400, [T0])
    config = small(path, tmp_path / "out", network="schnet", width=32, rbf=24, epochs=40,
                   batch_size=32, schedule="constant", learning_rate=3e-3)  # fmt: skip
    with open_datasets(config) as datasets:
        data = load_data(datasets, config)
    (left,) = network_residuals(data, config, tmp_path / "out", False)
    system = data.systems[0]
    distance = (system.positions[:, 1] - system.positions[:, 0]).norm(dim=1, keepdim=True)
    direction = (system.positions[:, 1] - system.positions[:, 0]) / distance
    kelvin = np.full(400, T0)
    exact = torch.from_numpy(LINE.force(distance.numpy().astype(float), kelvin)) * direction
    noise = (system.forces[:, 1] - exact).square().mean()
    # A fit to the same frames would leave less than the noise.
    assert float(left.square()[:, 1].mean()) > 0.98 * float(noise)
    assert float(left.square().mean()) < 0.5 * float(system.forces.square().mean())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thermal": None, "thermal_weights": {}}, "no meaning without thermal"),
        ({"thermal_weights": {"frozen": -1.0}}, "frozen: -1.0.*not negative"),
        ({"thermal_weights": {"heat": 1.0}}, "any of response, frozen, energies"),
        ({"energy_weight": 1.0}, "thermal_weights: {energies: 1} instead"),
        ({"reference_temperature": -3.0}, "must be positive"),
        ({"response_baseline": "network"}, "pair-spline is not trained step by step; set spline"),
    ],
    ids=str,
)
def test_settings_that_contradict_each_other(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small("d.h5", Path("out"), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thermal_weights": {}}, "at one temperature, but its dependence.*needs several"),
        ({"thermal": "input", "network": "schnet"}, "thermal: input needs several temperatures"),
        ({"thermal_weights": {"frozen": 1.0}}, "no dataset holds thermal_forces"),
        ({"position_noise": 0.01, "network": "schnet"}, "labels of noised beads"),
        ({"thermal_weights": {"response": 1.0, "energies": 1.0}}, "forces and responses only"),
    ],
    ids=str,
)
def test_data_that_cannot_teach_it(tmp_path: Path, changes: dict, message: str) -> None:
    path = diatomics(tmp_path / "d.h5", 200, [T0])
    with pytest.raises(ValueError, match=message):
        train(small(path, tmp_path / "out", **changes), progress=False)
