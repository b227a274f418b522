"""Entropy, energy and heat capacity of a model with closed forms, and the command that gives them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from openmmcg.analysis import ThermodynamicsConfig, run_thermodynamics
from openmmcg.analysis.profiles import Sample, heat_capacity, mean, profile
from openmmcg.simulation import CGPotential, RunConfig, run, thermodynamics
from openmmcg.units import KB
from thermal_models import REFERENCE, STIFFNESS, variance, write_dumbbell

# W = k(T) d²/2 + T²/10 with k(T) = k0 (T/T0)², hence E = W - T dW/dT = -k d²/2 - T²/10.


def stiffness(kelvin):
    return STIFFNESS * (kelvin / REFERENCE) ** 2


def exact_sample(kelvin, frames=4000, replicas=8, seed=0):
    """Frames of the exact ensemble with the values of the model in closed form; d (F, R)."""
    rng = np.random.default_rng(seed)
    d = np.linalg.norm(rng.normal(0, variance(kelvin) ** 0.5, (frames, replicas, 3)), axis=-1)
    k = stiffness(kelvin)
    free = 0.5 * k * d**2 + 0.1 * kelvin**2
    entropy = -k * d**2 / kelvin - 0.2 * kelvin
    capacity = -k * d**2 / kelvin - 0.2 * kelvin
    sample = Sample(kelvin, np.ones(d.shape), free, entropy, free + kelvin * entropy, capacity)
    return sample, d


def test_a_model_and_its_derivatives(tmp_path):
    potential = CGPotential.load(write_dumbbell(tmp_path / "m.cg.pt"))
    rng = np.random.default_rng(0)
    positions = rng.normal(0, 0.05, (5, 3, 2, 3)).astype(np.float32)
    kelvin = np.array([250.0, 280.0, 300.0, 350.0, 420.0])
    found = thermodynamics(potential, positions, kelvin)
    square = np.sum((positions[:, :, 1].astype(float) - positions[:, :, 0]) ** 2, axis=-1)
    t, k = kelvin[:, None], stiffness(kelvin)[:, None]
    np.testing.assert_allclose(found.free_energies, 0.5 * k * square + 0.1 * t**2, rtol=1e-6)
    np.testing.assert_allclose(found.entropies, -k * square / t - 0.2 * t, rtol=1e-6)
    np.testing.assert_allclose(found.energies, -0.5 * k * square - 0.1 * t**2, rtol=1e-6)
    np.testing.assert_allclose(found.capacities, -k * square / t - 0.2 * t, rtol=1e-5)


def test_the_heat_capacity_is_the_slope_of_the_energy():
    """<u> = -3/2 kT - T²/10: the mean capacity at fixed beads and the fluctuations add up."""
    sample, _ = exact_sample(320.0)
    value, error = heat_capacity(sample)
    expected = -1.5 * KB - 0.2 * 320.0
    assert 0 < error < 0.02 * 1.5 * KB
    assert value == pytest.approx(expected, abs=4 * error)
    samples = [exact_sample(kelvin, seed=int(kelvin))[0] for kelvin in (300.0, 340.0)]
    low, high = (mean(entry, entry.energies) for entry in samples)
    slope, spread = (high[0] - low[0]) / 40, np.hypot(high[1], low[1]) / 40
    assert value == pytest.approx(slope, abs=4 * np.hypot(spread, error))


def test_profiles_in_closed_form():
    """Along the distance r: W = k r²/2 - 2 kT ln r, E = -k r²/2, S = -k r²/T + 2 k_B ln r."""
    kelvin = 310.0
    sample, d = exact_sample(kelvin, frames=20_000)
    width = variance(kelvin) ** 0.5
    edges = np.linspace(0.5 * width, 3 * width, 31)
    found = profile(sample, d, edges)
    r, k = found.x, stiffness(kelvin)
    exact = {
        "free_energy": 0.5 * k * r**2 - 2 * KB * kelvin * np.log(r),
        "energy": -0.5 * k * r**2,
        "entropy": -k * r**2 / kelvin + 2 * KB * np.log(r),
        "solvent_entropy": -k * r**2 / kelvin,
    }
    for name, expected in exact.items():
        value, error = found.columns[name]
        offset = np.average(value - expected, weights=1 / (error**2 + 1e-12))
        scale = np.ptp(expected)
        assert np.all(np.abs(value - offset - expected) < 6 * error + 0.01 * scale), name
        assert np.all(error < 0.03 * scale), name
    columns = {name: pair[0] for name, pair in found.columns.items()}
    np.testing.assert_allclose(
        columns["free_energy"], columns["energy"] - kelvin * columns["entropy"], atol=1e-9
    )


def test_the_command(tmp_path):
    write_dumbbell(tmp_path / "m.cg.pt", high=300.0)
    config = RunConfig(
        model=str(tmp_path / "m.cg.pt"),
        output=str(tmp_path / "run"),
        temperatures=[280, 340],
        replicas=12,
        length=0.03,
        timestep=10.0,
        friction=10.0,
        frame_interval=0.2,
        platform="CPU",
    )
    with pytest.warns(UserWarning, match="340 K"):
        run(config, progress=False)
    settings = ThermodynamicsConfig(
        run=config.output, output=str(tmp_path / "t"), variables=[[0, 1]], bins=8
    )
    path = run_thermodynamics(settings, progress=False)
    found = json.loads(path.read_text())
    assert [row["extrapolated"] for row in found["temperatures"]] == [False, True]
    for row in found["temperatures"]:
        t = row["temperature"]
        for name, expected in (
            ("energy", -1.5 * KB * t - 0.1 * t**2),
            ("free_energy", 1.5 * KB * t + 0.1 * t**2),
            ("entropy", -3 * KB - 0.2 * t),
            ("heat_capacity", -1.5 * KB - 0.2 * t),
        ):
            value, error = row[name]
            assert value == pytest.approx(expected, abs=5 * error), name
            assert 0 < error < 1
        assert set(row["profiles"]) == {"distance 0-1"}
        assert len(row["profiles"]["distance 0-1"]["entropy"]["value"]) == 8
    lines = (path.parent / "thermodynamics.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 8
    assert (path.parent / "thermodynamics.png").stat().st_size > 10000
    with pytest.raises(ValueError, match="beads 0 to 1"):
        run_thermodynamics(
            ThermodynamicsConfig(run=config.output, variables=[[0, 2]]), progress=False
        )
    other = write_dumbbell(tmp_path / "other.cg.pt", power=1.0)
    with pytest.raises(ValueError, match="not the model"):
        run_thermodynamics(
            ThermodynamicsConfig(run=config.output, model=str(other)), progress=False
        )


def test_a_model_without_entropy_is_refused(tmp_path):
    write_dumbbell(tmp_path / "m.cg.pt", power=0.0)
    config = RunConfig(
        model=str(tmp_path / "m.cg.pt"),
        output=str(tmp_path / "run"),
        replicas=2,
        length=0.0002,
        timestep=10.0,
        frame_interval=0.1,
        platform="CPU",
    )
    run(config, progress=False)
    with pytest.raises(ValueError, match="does not depend on the temperature"):
        run_thermodynamics(ThermodynamicsConfig(run=config.output, variables=[]), progress=False)


@pytest.mark.parametrize(
    "change", [{"bins": 1}, {"variables": [[1]]}, {"variables": [[1, 1]]}, {"discard": -1.0}]
)
def test_bad_settings(change):
    with pytest.raises(ValueError, match="expected"):
        ThermodynamicsConfig(**change)
