"""Production runs: what they write, that they resume exactly, and that they sample rightly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import openmm
import peptide_frames
import pytest
from openmm import unit
from openmmcg.analysis import torsions
from openmmcg.data import TorsionBias
from openmmcg.simulation import CGPotential, RunConfig, bias_energies, load_frames, run
from openmmcg.simulation.start import starting_positions
from openmmcg.simulation.trajectory import DCDTrajectory, Log, read_dcd, truncate_dcd
from openmmcg.units import KB

TORSIONS = np.array([[0, 1, 2, 4], [1, 2, 4, 5]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model and a bias file."""
    path = tmp_path_factory.mktemp("run")
    peptide_frames.write_model(path / "model.cg.pt")
    smooth_bias().save(path / "bias.npz")
    return path


def smooth_bias(size=24):
    angles = -np.pi + 2 * np.pi * np.arange(size) / size
    energies = 6 * np.cos(angles)[:, None] + 4 * np.sin(2 * angles + 0.3)[None, :] + 10
    return TorsionBias(energies, np.zeros((2, 4), dtype=np.int64), TORSIONS)


def settings(folder, name, **changes):
    values = {
        "model": str(folder / "model.cg.pt"),
        "output": str(folder / name),
        "bias": str(folder / "bias.npz"),
        "replicas": 3,
        "length": 0.0012,
        "frame_interval": 0.02,
        "equilibration": 0.04,
        "checkpoint_frames": 20,
        "platform": "CPU",
    }
    return RunConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def finished(folder):
    """Config of an uninterrupted run of 60 frames in three blocks."""
    config = settings(folder, "whole")
    run(config, progress=False)
    return config


def content(path):
    """Everything of a run that must not depend on interruptions."""
    log = np.loadtxt(path / "log.csv", delimiter=",", skiprows=1)[:, :3]
    return (path / "trajectory.dcd").read_bytes()[276:], log.tobytes()


def test_what_a_run_writes(finished):
    path = Path(finished.output)
    frames = load_frames(path)
    assert frames.positions.shape == (60, 3, 6, 3)
    np.testing.assert_allclose(frames.times, 0.02 * np.arange(1, 61))
    energies = bias_energies(smooth_bias(), frames.positions)
    weights = np.exp(energies / (KB * 300.0))
    np.testing.assert_allclose(frames.weights, weights / weights.mean(), rtol=1e-6)
    log = np.loadtxt(path / "log.csv", delimiter=",", skiprows=1)
    assert log.shape == (60, 4)
    assert np.isfinite(log).all()
    record = json.loads((path / "run.json").read_text())
    assert record["temperature"] == 300.0
    assert record["model"]["architecture"]["name"] == "schnet"


def test_the_trajectory_is_read_by_mdtraj(finished):
    import mdtraj as md

    path = Path(finished.output)
    loaded = md.load_dcd(str(path / "trajectory.dcd"), top=str(path / "system.pdb"))
    positions = load_frames(path).positions
    np.testing.assert_allclose(loaded.xyz.reshape(positions.shape), positions, atol=1e-6)


def test_the_temperature_is_kept(folder):
    config = settings(
        folder, "warm", friction=20.0, replicas=8, length=0.004, equilibration=0.5, bias=None
    )
    run(config, progress=False)
    log = np.loadtxt(Path(config.output) / "log.csv", delimiter=",", skiprows=1)
    assert log[:, 1].mean() == pytest.approx(300.0, abs=15.0)


def test_finished_run_is_kept(finished):
    path = Path(finished.output) / "trajectory.dcd"
    before = path.stat().st_mtime_ns
    run(finished, progress=False)
    assert path.stat().st_mtime_ns == before


def test_a_longer_run_begins_with_the_shorter_one(folder, finished):
    short = settings(folder, "extended", length=0.0008)
    run(short, progress=False)
    run(replace(short, length=finished.length), progress=False)
    assert content(Path(short.output)) == content(Path(finished.output))
    with pytest.raises(ValueError, match="longer than"):
        run(short, progress=False)


def test_killed_run_resumes_bit_for_bit(folder, finished):
    """A process killed with SIGKILL inside a block leaves a folder that goes on exactly."""
    config = settings(folder, "killed")
    script = (
        "import json, sys; from openmmcg.simulation import RunConfig, run; "
        "import openmmcg.simulation.rung as rung; import time; "
        # Slow enough to be caught in the middle of a block.
        "check = rung.check_frame; "
        "rung.check_frame = lambda *a: (time.sleep(0.05 * (a[3] > 25)), check(*a)); "
        "run(RunConfig(**json.loads(sys.argv[1])), progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, json.dumps(asdict(config))])
    log = Path(config.output) / "log.csv"
    trajectory = Path(config.output) / "trajectory.dcd"
    frame = 3 * (4 * 18 + 8)
    deadline = time.monotonic() + 300
    while not (trajectory.exists() and trajectory.stat().st_size >= 276 + 30 * frame):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with open(log, "a") as handle:  # a row cut off in the middle
        handle.write("0.6,29")
    with np.load(Path(config.output) / "state.npz") as state:
        assert int(state["frames"]) == 20
    assert len(read_dcd(trajectory)) >= 30
    with pytest.raises(FileNotFoundError, match="no finished run"):
        load_frames(config.output)
    run(config, progress=False)
    assert content(Path(config.output)) == content(Path(finished.output))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"seed": 2}, "seed 1 instead of 2"), ({"bias": None}, "bias"), ({"replicas": 2}, "replicas")],
)
def test_other_settings_do_not_overwrite_a_run(finished, change, message):
    with pytest.raises(ValueError, match=message):
        run(replace(finished, **change), progress=False)


def test_another_model_does_not_continue_a_run(folder, finished):
    other = peptide_frames.write_model(folder / "other.cg.pt", seed=5)
    with pytest.raises(ValueError, match="model_sha256"):
        run(replace(finished, model=str(other)), progress=False)


def test_damaged_checkpoint(folder):
    config = settings(folder, "damaged", length=0.0002, checkpoint_frames=5)
    run(config, progress=False)
    (Path(config.output) / "frames.h5").unlink()
    (Path(config.output) / "state.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="checkpoint"):
        run(config, progress=False)


def test_unstable_run_names_the_replica(folder):
    config = settings(folder, "unstable", timestep=20.0, friction=0.01, bias=None)
    with pytest.raises(RuntimeError, match=r"Replica \d+ became unstable"):
        run(config, progress=False)


def test_temperature_outside_the_model_is_told(folder):
    config = settings(folder, "hot", temperature=400.0, length=0.0001)
    with pytest.warns(UserWarning, match="extrapolated"):
        run(config, progress=False)
    assert json.loads((Path(config.output) / "run.json").read_text())["temperature"] == 400.0


@pytest.mark.parametrize("name", ["model", "bias", "dataset"])
def test_missing_file(folder, name):
    with pytest.raises(FileNotFoundError, match=name):
        run(settings(folder, "missing", **{name: str(folder / "nothing")}), progress=False)


def test_bias_of_other_beads(folder):
    path = folder / "far.npz"
    replace(smooth_bias(), beads=TORSIONS + 3).save(path)
    with pytest.raises(ValueError, match="not beads"):
        run(settings(folder, "far", bias=str(path)), progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicas": 0}, "replicas"),
        ({"timestep": -1.0}, "timestep"),
        ({"frame_interval": 0.021}, "multiple"),
        ({"length": 1e-6}, "shorter"),
        ({"temperature": 0.0}, "temperature"),
        ({"equilibration": -1.0}, "negative"),
    ],
)
def test_bad_settings(folder, change, message):
    with pytest.raises(ValueError, match=message):
        settings(folder, "bad", **change)


def test_bias_energies_are_those_of_openmm():
    """The spline over stored frames equals OpenMM's interpolation, also far from grid points."""
    bias = smooth_bias()
    rng = np.random.default_rng(0)
    frames = peptide_frames.frames(*rng.uniform(-180, 180, (2, 40)), rng)
    system = openmm.System()
    for _ in range(6):
        system.addParticle(1.0)
    system.addForce(bias.force([TORSIONS]))
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    expected = []
    for frame in frames:
        context.setPositions(frame)
        energy = context.getState(energy=True).getPotentialEnergy()
        expected.append(energy.value_in_unit(unit.kilojoule_per_mole))
    np.testing.assert_allclose(bias_energies(bias, frames), expected, atol=2e-4)
    assert bias_energies(bias, frames.reshape(8, 5, 6, 3)).shape == (8, 5)


def test_replicas_start_from_the_biased_ensemble(folder, tmp_path):
    """A dataset that is flat in phi, weighted by w: starts have density w exp(-V/kT)."""
    rng = np.random.default_rng(1)
    count = 4000
    phi = rng.uniform(-180, 180, count)
    frames = peptide_frames.frames(phi, np.full(count, 60.0), rng)
    path = peptide_frames.write_dataset(
        tmp_path / "data.h5", frames, weights=np.where(phi > 0, 1.5, 0.5)
    )
    size = 24
    angles = -np.pi + 2 * np.pi * np.arange(size) / size
    bias = TorsionBias(np.repeat(3 * np.sin(angles)[:, None], size, axis=1), TORSIONS, TORSIONS)
    potential = CGPotential.load(folder / "model.cg.pt")
    start = starting_positions(potential, 3000, rng, path, bias, 300.0).reshape(3000, 6, 3)
    np.testing.assert_allclose(start.mean(axis=1), 0, atol=1e-9)
    boltzmann = np.exp(-3 * np.sin(np.radians(phi)) / (KB * 300.0))
    expected = np.average(phi > 0, weights=np.where(phi > 0, 1.5, 0.5) * boltzmann)
    found = np.mean(torsions(start, TORSIONS[:1]) > 0)
    assert found == pytest.approx(expected, abs=0.04)
    assert abs(expected - 0.75) > 0.1


def test_start_from_a_dataset_of_other_beads(folder, tmp_path):
    rng = np.random.default_rng(2)
    frames = peptide_frames.frames([-80.0], [150.0], rng)
    path = peptide_frames.write_dataset(tmp_path / "data.h5", frames, encoding="element")
    with pytest.raises(ValueError, match="bead types"):
        run(settings(folder, "beads", dataset=str(path)), progress=False)


def test_dcd_is_cut_back_and_continued(tmp_path):
    topology = CGPotential.load(peptide_frames.write_model(tmp_path / "model.cg.pt")).topology()
    path = tmp_path / "trajectory.dcd"
    frames = np.random.default_rng(3).normal(size=(7, 6, 3))
    first = DCDTrajectory(path, topology, 0.002, 10, 0)
    for frame in frames[:5]:
        first.write(frame)
    first.close()
    with open(path, "ab") as handle:
        handle.write(b"half a frame")
    second = DCDTrajectory(path, topology, 0.002, 10, 3)
    for frame in frames[3:]:
        second.write(frame)
    second.close()
    np.testing.assert_allclose(read_dcd(path), frames, atol=1e-6)
    with pytest.raises(ValueError, match="shorter than the 9 frames"):
        truncate_dcd(path, 6, 9)
    with pytest.raises(ValueError, match="6 beads"):
        truncate_dcd(path, 5, 2)
    with pytest.raises(FileNotFoundError, match="missing"):
        truncate_dcd(tmp_path / "nothing.dcd", 6, 2)


def test_log_refuses_to_invent_rows(tmp_path):
    path = tmp_path / "log.csv"
    log = Log(path, ("a", "b"), 0)
    log.write(1.0, 2.0)
    log.close()
    with pytest.raises(ValueError, match="fewer than the 2 rows"):
        Log(path, ("a", "b"), 2)
