"""Thermal response forces at held beads: estimators, a bath with a known answer, stored frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from openmmcg.data import Dataset, SampleConfig, sample
from openmmcg.data.sampling.averages import averages, memory
from openmmcg.settings import kelvins
from openmmcg.units import KB
from sampling_systems import (
    BATH,
    argon,
    chain_topology,
    dimer,
    soft_bath,
    springs,
    write_files,
)
from test_data_sampling_systems import assert_same_frames, config_of, kill_once


def series(rng, n_samples, n_beads, decay):
    """Forces and energies of unit variance and covariance 0.5, correlated in time."""
    noise = rng.normal(size=(n_samples, 3 * n_beads + 1))
    for k in range(1, n_samples):
        noise[k] = decay * noise[k - 1] + np.sqrt(1 - decay**2) * noise[k]
    energies = noise[:, 0]
    forces = 0.5 * energies[:, None] + np.sqrt(0.75) * noise[:, 1:]
    return forces.reshape(n_samples, n_beads, 3), energies


@pytest.mark.parametrize(("decay", "n_samples"), [(0.0, 50), (0.8, 600)])
def test_averages_are_unbiased_and_their_errors_true(decay, n_samples):
    """Over many short series: no bias of mean and covariance, and χ² of errors near 1."""
    rng = np.random.default_rng(3)
    temperature = 300.0
    found = [averages(*series(rng, n_samples, 8, decay), temperature) for _ in range(120)]
    covariance = np.array([entry.thermal_force for entry in found]) * KB * temperature**2
    errors = np.array([entry.thermal_force_error for entry in found]) * KB * temperature**2
    spread = covariance.mean(axis=(1, 2)).std() / np.sqrt(len(found))
    assert covariance.mean() == pytest.approx(0.5, abs=4 * spread)
    assert spread < 0.01
    chi = np.mean((covariance - 0.5) ** 2) / np.mean(errors**2)
    assert chi == pytest.approx(1.0, abs=0.25)
    for value, error, expected in (("force", "force_error", 0), ("energy", "energy_error", 0)):
        means = np.array([getattr(entry, value) for entry in found])
        stated = np.array([getattr(entry, error) for entry in found])
        assert np.mean((means - expected) ** 2) / np.mean(stated**2) == pytest.approx(1, abs=0.35)


def test_averages_do_not_depend_on_the_zero_of_energies():
    rng = np.random.default_rng(0)
    forces, energies = series(rng, 40, 2, 0.0)
    a, b = averages(forces, energies, 300.0), averages(forces + 1e4, energies - 1e6, 300.0)
    np.testing.assert_allclose(a.thermal_force, b.thermal_force, atol=1e-7)
    with pytest.raises(ValueError, match="multiple of 10"):
        averages(forces[:35], energies[:35], 300.0)


def test_memory_tells_correlated_parts():
    rng = np.random.default_rng(1)
    short = np.mean([memory(series(rng, 100, 4, 0.0)[0]) for _ in range(40)])
    long = np.mean([memory(series(rng, 100, 4, 0.97)[0]) for _ in range(40)])
    assert abs(short) < 0.05 < 0.3 < long


def test_errors_of_samples_that_remember_the_part_before():
    """Parts of six samples and a memory of twelve: without the correction χ² is far from 1."""
    rng = np.random.default_rng(5)
    runs = [series(rng, 60, 8, np.exp(-1 / 12))[0] for _ in range(200)]
    found = [averages(forces, forces[:, 0, 0], 300.0) for forces in runs]
    correlation = float(np.mean([memory(forces) for forces in runs]))
    square = np.mean([entry.force**2 for entry in found])
    plain = square / np.mean([entry.force_error**2 for entry in found])
    raised = [entry.with_memory(correlation).force_error ** 2 for entry in found]
    assert plain > 2
    assert square / np.mean(raised) < 1 + 0.5 * (plain - 1)
    assert averages(runs[0], runs[0][:, 0, 0], 300.0).with_memory(-0.3).energy_error == (
        found[0].energy_error
    )


def bath_config(folder, **options):
    settings = {
        "frozen_beads": True,
        "frozen_length": 4.5,
        "frozen_equilibration": 0.2,
        "frozen_interval": 0.03,
        "friction": 20.0,
        "length": 0.002,
        "frame_interval": 0.1,
        "force_map": "slice",
    }
    return config_of(soft_bath(folder), folder, **{**settings, **options})


def along(data, values):
    """Component of the second bead's vectors along the bond, and the bond's length."""
    bond = (data.positions[:, 1] - data.positions[:, 0]).astype(float)
    length = np.linalg.norm(bond, axis=1)
    return np.sum(values[:, 1] * bond, axis=1) / length, length


def test_a_bath_with_a_known_answer_at_several_temperatures(tmp_path):
    """Stored frames held at 260, 300 and 340 K: G, F and <u> in closed form, and G = ΔF/ΔT."""
    plain = bath_config(tmp_path, frozen_beads=False, all_atom=True, output=str(tmp_path / "p.h5"))
    sample(plain, progress=False)
    held = bath_config(
        tmp_path,
        frozen_frames=str(tmp_path / "p.atoms.h5"),
        temperature=None,
        temperatures="260:340:40",
    )
    with Dataset.open(sample(held, progress=False)) as data, Dataset.open(plain.output) as frames:
        kelvin = data.temperatures
        assert np.unique(kelvin).tolist() == [260.0, 300.0, 340.0]
        for temperature in (260.0, 300.0, 340.0):
            rows = kelvin == temperature
            np.testing.assert_array_equal(data.positions[rows], frames.positions)
        slope, length = along(data, data.thermal_forces)
        force, _ = along(data, data.forces)
        # The force on C3 points along the bond in every configuration, hence so do its errors.
        slope_error = np.linalg.norm(data.thermal_force_errors[:, 1], axis=1)
        force_error = np.linalg.norm(data.force_errors[:, 1], axis=1)
        k0, k1 = BATH
        entropic = -1.5 * KB * k1 / (k0 + k1 * length)
        mean_force = -20000.0 * (length - 0.3) + kelvin * entropic
        energy = 0.5 * 20000 * (length - 0.3) ** 2 + 1.5 * KB * kelvin
        for found, error, exact in (
            (slope, slope_error, entropic),
            (force, force_error, mean_force),
            (data.mean_energies, data.mean_energy_errors, energy),
        ):
            assert np.mean((found - exact) ** 2) / np.mean(error**2) == pytest.approx(1, abs=0.5)
        # The slice force on C1 has the bath's noise, but the same mean and response.
        bond = (data.positions[:, 1] - data.positions[:, 0]) / length[:, None]
        for found, error, exact in (
            (data.forces, data.force_errors, mean_force),
            (data.thermal_forces, data.thermal_force_errors, entropic),
        ):
            chi = np.mean((found[:, 0] + exact[:, None] * bond) ** 2) / np.mean(error[:, 0] ** 2)
            assert chi == pytest.approx(1, abs=0.5)
        combined = float(np.sqrt(np.mean(slope_error**2) / len(slope)))
        assert combined < 0.1 * abs(entropic.mean())
        assert slope.mean() == pytest.approx(entropic.mean(), abs=4 * combined)
        cold, warm = (force[kelvin == temperature] for temperature in (260.0, 340.0))
        difference = 4 * float(np.sqrt(2 * np.mean(force_error**2) / len(cold))) / 80
        assert np.mean(warm - cold) / 80 == pytest.approx(slope.mean(), abs=difference)


def test_a_killed_run_with_stored_frames_goes_on_bit_for_bit(tmp_path):
    plain = bath_config(
        tmp_path, frozen_beads=False, all_atom=True, output=str(tmp_path / "p.h5"), length=0.0007
    )
    sample(plain, progress=False)
    stored = str(tmp_path / "p.atoms.h5")
    config = bath_config(tmp_path, frozen_frames=stored, block=2, frozen_length=0.3)
    kill_once(config, tmp_path / "data.h5.parts" / "walker-0" / "block-00001.h5")
    sample(config, progress=False)
    whole = replace(config, output=str(tmp_path / "whole.h5"))
    sample(whole, progress=False)
    assert_same_frames(config.output, whole.output)


def test_stored_frames_that_cannot_be_held(tmp_path):
    with pytest.raises(ValueError, match="frozen_beads is False"):
        SampleConfig(frozen_frames="x.atoms.h5")
    config = bath_config(tmp_path, frozen_frames=str(tmp_path / "nothing.h5"))
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        sample(config, progress=False)
    (tmp_path / "damaged.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match="does not hold frames of all atoms"):
        sample(replace(config, frozen_frames=str(tmp_path / "damaged.h5")), progress=False)
    other = tmp_path / "other"
    other.mkdir()
    made = config_of(dimer(other), other, all_atom=True, length=0.0002, frame_interval=0.1)
    sample(made, progress=False)
    atoms = made.output.replace(".h5", ".atoms.h5")
    with pytest.raises(ValueError, match="other atoms"):
        sample(replace(config, frozen_frames=atoms), progress=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("260:360:20", [260, 280, 300, 320, 340, 360]),
        ("300:300:5", [300]),
        ("0.1:0.31:0.1", [0.1, 0.2, 0.30000000000000004]),
        ([300, 250.0], [300, 250]),
    ],
)
def test_temperatures(value, expected):
    assert kelvins(value) == pytest.approx(expected)


@pytest.mark.parametrize("value", ["", "260", "260:200:20", "1:2:-1", "0:9:3", "a:b:c", [], [5, 5]])
def test_no_temperatures(value):
    with pytest.raises(ValueError, match="different temperatures"):
        kelvins(value)


def test_enthalpies_at_constant_pressure(tmp_path):
    """u + p V with p V in SI units; u at constant volume."""
    settings = {"timestep": 4.0, "length": 0.0006, "equilibration": 0.1}
    npt = config_of(argon(tmp_path), tmp_path, ensemble="npt", pressure=500.0, **settings)
    with Dataset.open(sample(npt, progress=False)) as data:
        volumes = np.prod(np.diagonal(data.boxes.astype(float), axis1=1, axis2=2), axis=1)
        work = 500e5 * volumes * 1e-27 * 6.02214076e23 * 1e-3
        np.testing.assert_allclose(data.enthalpies, data.energies + work, rtol=1e-6)
        assert data.pressure == 500
    nvt = replace(npt, ensemble="nvt", output=str(tmp_path / "nvt.h5"))
    with Dataset.open(sample(nvt, progress=False)) as data:
        np.testing.assert_array_equal(data.enthalpies, data.energies)
        assert data.pressure is None


@pytest.mark.parametrize("ensemble", ["nvt", "nve"])
def test_a_weak_thermostat_does_not_leave_a_minimised_start_cold(tmp_path, ensemble):
    """Springs without length hold 3/2 kT each; half of it if only the velocities were drawn."""
    atoms = 61
    system = springs(atoms, {(k, k + 1): (0.0, 1000.0) for k in range(atoms - 1)})
    line = np.arange(atoms)[:, None] * [0.01, 0.0, 0.0]
    beads = {"A": "name C1", "B": f"name C{atoms}"}
    files = write_files(tmp_path, system, chain_topology(atoms), line, beads)
    config = config_of(
        files,
        tmp_path,
        ensemble=ensemble,
        friction=0.01,
        walkers=4,
        timestep=4.0,
        equilibration=6.0,
        length=0.002,
        frame_interval=0.1,
    )
    with Dataset.open(sample(config, progress=False)) as data:
        expected = 1.5 * (atoms - 1) * KB * float(data.temperatures[0])
        assert data.energies.mean() == pytest.approx(expected, rel=0.2)
