"""Runs at several temperatures: exchange with a PMF that depends on them, ramps, resumption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openmmcg.settings import markdown
from openmmcg.simulation import RunConfig, load_frames, run, tempering
from openmmcg.simulation.exchange import Ladder, accepted, exponent, neighbours
from openmmcg.units import KB
from thermal_models import variance, write_dumbbell


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tempering")
    write_dumbbell(path / "model.cg.pt")
    return path


def settings(folder, name, **changes):
    values = {
        "model": str(folder / "model.cg.pt"),
        "output": str(folder / name),
        "replicas": 4,
        "length": 0.008,
        "timestep": 10.0,
        "friction": 10.0,
        "frame_interval": 0.2,
        "equilibration": 1.0,
        "checkpoint_frames": 15,
        "platform": "CPU",
    }
    return RunConfig(**{**values, **changes})


def separations(frames):
    return frames.positions[:, :, 1].astype(float) - frames.positions[:, :, 0]


def test_exchange_keeps_both_ensembles():
    """Samples of both Gaussians stay such samples; the criterion of energies alone spoils them."""
    rng = np.random.default_rng(0)
    kelvin = (250.0, 400.0)
    springs = [KB * t / variance(t) for t in kelvin]
    x = np.array([rng.normal(0, variance(t) ** 0.5, 200_000) for t in kelvin])
    energies = np.array(
        [
            [0.5 * k * x[b] ** 2 + 7 * t for b in (0, 1)]
            for k, t in zip(springs, kelvin, strict=True)
        ]
    )
    moved = accepted(exponent(kelvin, energies), rng)
    assert 0.1 < moved.mean() < 0.99
    after = np.where(moved, x[::-1], x)
    for values, t in zip(after, kelvin, strict=True):
        assert np.var(values) == pytest.approx(variance(t), rel=0.015)
    blind = np.array([[energies[b, b] - 7 * kelvin[b] for b in (0, 1)]] * 2)
    after = np.where(accepted(exponent(kelvin, blind), rng), x[::-1], x)
    assert abs(np.var(after[0]) / variance(kelvin[0]) - 1) > 0.1


def test_exchange_with_equal_free_energies_is_that_of_energies():
    rng = np.random.default_rng(1)
    w = rng.normal(0, 10, (2, 5))
    found = exponent((300.0, 350.0), np.array([w, w]))
    expected = (1 / 300.0 - 1 / 350.0) / KB * (w[0] - w[1])
    np.testing.assert_allclose(found, expected)


def test_all_neighbours_are_tried_in_turn():
    assert neighbours(4, 2) == [(0, 1), (2, 3)]
    assert neighbours(4, 3) == [(1, 2)]
    assert neighbours(2, 1) == []


def test_round_trips():
    ladder = Ladder(3, 1)
    yes, no = np.array([True]), np.array([False])
    for low in (0, 1, 1, 0):
        ladder.exchange(low, yes)
        ladder.exchange(low, no)
    assert ladder.walkers[:, 0].tolist() == [0, 1, 2]
    assert ladder.round_trips == 1
    np.testing.assert_array_equal(ladder.successes, [2, 2])
    np.testing.assert_array_equal(ladder.attempts, [4, 4])
    again = Ladder(3, 1)
    again.restore(ladder.state())
    assert again.numbers([1, 2, 3]) == ladder.numbers([1, 2, 3])


def test_temperatures_too_far_apart_are_told():
    numbers = {"temperatures": [300, 330, 500], "acceptance": [0.3, 0.01]}
    with pytest.warns(UserWarning, match=r"Only 1\.0% .* between 330 and 500 K"):
        tempering.warn_of_few_exchanges(numbers)


def test_each_temperature_has_its_own_ensemble(folder):
    kelvin = (250.0, 315.0, 400.0)
    config = settings(folder, "three", temperatures=[315, 250, 400], replicas=24, length=0.05)
    run(config, progress=False)
    numbers = json.loads((Path(config.output) / "exchanges.json").read_text())
    assert numbers["temperatures"] == list(kelvin)
    assert all(0.2 < share < 0.99 for share in numbers["acceptance"])
    assert numbers["round_trips"] > 20
    for t in kelvin:
        frames = load_frames(folder / "three" / f"{t:g}K")
        assert set(frames.temperatures) == {t}
        assert np.mean(separations(frames) ** 2) == pytest.approx(variance(t), rel=0.08)
        log = np.loadtxt(folder / "three" / f"{t:g}K" / "log.csv", delimiter=",", skiprows=1)
        assert log[:, 1].mean() == pytest.approx(t, rel=0.03)
    with pytest.raises(ValueError, match="one of its folders 250K, 315K, 400K"):
        load_frames(config.output)
    with pytest.raises(ValueError, match="temperatures"):
        run(replace(config, temperatures=[250, 400]), progress=False)


def test_a_stopped_run_goes_on_bit_for_bit(folder, monkeypatch):
    config = settings(folder, "stopped", temperatures="250:350:50")
    attempt = tempering.Tempering.attempt

    def stop(self, rungs, frame):
        if frame == 20:
            raise KeyboardInterrupt
        attempt(self, rungs, frame)

    with monkeypatch.context() as patch:
        patch.setattr(tempering.Tempering, "attempt", stop)
        with pytest.raises(KeyboardInterrupt):
            run(config, progress=False)
    run(config, progress=False)
    whole = replace(config, output=str(folder / "unstopped"))
    run(whole, progress=False)
    for name in ("250K", "300K", "350K"):
        one, other = (load_frames(Path(c.output) / name) for c in (config, whole))
        np.testing.assert_array_equal(one.positions, other.positions)
    one, other = ((Path(c.output) / "exchanges.json").read_text() for c in (config, whole))
    assert one == other
    assert json.loads(one)["attempts"] == [80, 80]


def test_a_ramp_takes_model_and_thermostat_along(folder):
    config = settings(folder, "ramp", ramp=[250, 400, 250], length=0.06, replicas=16)
    run(config, progress=False)
    frames = load_frames(config.output)
    np.testing.assert_allclose(frames.temperatures[[0, -1]], 250)
    assert frames.temperatures.max() == pytest.approx(400, abs=1)
    log = np.loadtxt(Path(config.output) / "log.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(log[:, 4], frames.temperatures, rtol=1e-6)
    hot = frames.temperatures > 350
    assert log[hot, 1].mean() == pytest.approx(log[hot, 4].mean(), rel=0.08)
    # d follows the ramp quasi-statically: it forgets within a quarter of a ps.
    scaled = separations(frames) ** 2 / variance(frames.temperatures)[:, None, None]
    assert scaled[hot].mean() == pytest.approx(1, abs=0.13)
    assert scaled[~hot].mean() == pytest.approx(1, abs=0.13)
    with pytest.raises(ValueError, match="cannot be made"):
        run(replace(config, length=0.07), progress=False)


def test_extrapolation_is_told_once_however_many_blocks(folder, capfd):
    config = settings(
        folder, "hot", temperature=600.0, length=0.001, equilibration=0.0, checkpoint_frames=1
    )
    with pytest.warns(UserWarning, match="made for 200 to 500 K but runs at 600 K"):
        run(config, progress=False)
    text = capfd.readouterr().err
    assert text.count("extrapolated") == 1
    assert "thermostat" not in text


def test_a_model_of_one_temperature_is_told(tmp_path):
    """Its energy has a constant that depends on the temperature, its forces do not."""
    write_dumbbell(tmp_path / "model.cg.pt", power=0.0)
    config = settings(tmp_path, "blind", temperatures=[300, 320], length=0.0004, equilibration=0.2)
    with pytest.warns(UserWarning, match="the same at 300 and 320 K: it holds at 300 K"):
        run(config, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 300.0, "ramp": [300, 400]}, "Both temperature and ramp"),
        ({"temperatures": "300:400:50", "ramp": [300, 400]}, "Both temperatures and ramp"),
        ({"temperatures": [300, -1]}, "different temperatures"),
        ({"ramp": [300]}, "at least two temperatures"),
    ],
)
def test_bad_settings(folder, change, message):
    with pytest.raises(ValueError, match=message):
        settings(folder, "bad", **change)


def test_options_are_documented():
    page = Path(__file__).parents[2] / "docs" / "runs.md"
    assert markdown(RunConfig) in page.read_text()
