"""Sampling of one's own systems: files and their errors, ensembles, temperatures, all atoms."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import mdtraj as md
import numpy as np
import openmm
import openmm.app as app
import pytest
from openmmcg.data import (
    Dataset,
    SampleConfig,
    atoms_path,
    fit_force_map,
    recipe,
    sample,
)
from openmmcg.data.frames import LAYOUT
from openmmcg.data.sampling import pilot, walker
from openmmcg.data.sampling.barostat import Barostat
from openmmcg.data.systems.user_systems import atomistic_system, start_positions
from sampling_systems import argon, chain_topology, dimer, springs, write_files

KB = 0.00831446261815324
CHILD = """
import json, sys
from openmmcg.data import SampleConfig, sample
sample(SampleConfig(**json.loads(sys.argv[1])), progress=False)
"""


def config_of(files, folder, **options):
    """Settings of a tiny run of a toy system."""
    settings = {
        "output": str(folder / "data.h5"),
        "system": files.system,
        "topology": files.topology,
        "mapping": files.mapping,
        "force_map": "slice",
        "temperature": 300.0,
        "timestep": 2.0,
        "length": 0.001,
        "equilibration": 0.2,
        "walkers": 1,
    }
    return SampleConfig(**{**settings, **options})


def assert_same_frames(first, second):
    with Dataset.open(first) as a, Dataset.open(second) as b:
        for name in LAYOUT:
            np.testing.assert_equal(getattr(a, name), getattr(b, name), err_msg=name)


def kill_once(config, path):
    """Run a child process and kill it once a file is there."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(asdict(config))])
    try:
        deadline = time.monotonic() + 60
        while not path.exists():
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert not Path(config.output).exists()


def test_a_system_in_xml_samples_its_canonical_distribution(tmp_path):
    """A stiff bond: mean and variance of its length at two temperatures, each with its walkers."""
    files = dimer(tmp_path, length=0.3, k=20000.0)
    config = config_of(
        files,
        tmp_path,
        temperature=None,
        temperatures=[200.0, 400.0],
        walkers=2,
        length=0.05,
        frame_interval=0.2,
        friction=10.0,
    )
    with Dataset.open(sample(config, progress=False)) as data:
        assert data.name == "toy"
        assert data.temperatures.tolist() == [200.0] * 500 + [400.0] * 500
        assert data.walkers.tolist() == np.repeat([0, 1, 2, 3], 250).tolist()
        r = np.linalg.norm(data.positions[:, 0] - data.positions[:, 1], axis=1)
        energy = 0.5 * 20000 * (r - 0.3) ** 2
        np.testing.assert_allclose(data.energies, energy, atol=1e-3)
        for kelvin in (200.0, 400.0):
            rows = data.temperatures == kelvin
            grid = np.linspace(0.2, 0.4, 2001)
            weight = grid**2 * np.exp(-0.5 * 20000 * (grid - 0.3) ** 2 / (KB * kelvin))
            mean = (grid * weight).sum() / weight.sum()
            variance = ((grid - mean) ** 2 * weight).sum() / weight.sum()
            assert r[rows].mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / 500))
            assert r[rows].var() == pytest.approx(variance, rel=0.3)
        np.testing.assert_array_equal(data.weights, np.ones(1000))
        assert "toy.xml (SHA-256" in data.source["system"]


def test_a_structure_with_force_fields_is_the_system_that_openmm_makes(tmp_path):
    made = recipe("capped-alanine")
    with open(tmp_path / "ala.pdb", "w") as handle:
        app.PDBFile.writeFile(made.topology, made.positions * openmm.unit.nanometer, handle)
    names = ["amber14/protein.ff14SB.xml", "implicit/obc2.xml"]
    config = SampleConfig(
        system=str(tmp_path / "ala.pdb"), force_field=names, temperature=310.0
    ).resolved()
    found = atomistic_system(config)
    expected = recipe("capped-alanine", "hbonds", 3.0).system
    serialize = openmm.XmlSerializer.serialize
    assert serialize(found.system) == serialize(expected)
    assert found.box is None and not found.equilibrated
    assert "ala.pdb (SHA-256" in found.description


def test_walkers_take_starts_in_turn(tmp_path):
    config = SampleConfig(system="ace-ala15-nme", start=["extended", "helix"]).resolved()
    made = atomistic_system(config)
    starts = start_positions(config, made)
    np.testing.assert_array_equal(starts[0], made.starts["extended"])
    np.testing.assert_array_equal(starts[1], made.positions)
    with open(tmp_path / "start.pdb", "w") as handle:
        app.PDBFile.writeFile(made.topology, made.positions * openmm.unit.nanometer, handle)
    mine = start_positions(replace(config, start=[str(tmp_path / "start.pdb")]), made)[0]
    np.testing.assert_allclose(mine, made.positions, atol=1e-4)
    with pytest.raises(ValueError, match="'sheet'; ace-ala15-nme knows helix, extended"):
        start_positions(replace(config, start=["sheet"]), made)


def test_different_starts_end_up_in_the_dataset(tmp_path):
    files = dimer(tmp_path)
    topology = chain_topology(2)
    for name, length in (("near", 0.28), ("far", 0.9)):
        with open(tmp_path / f"{name}.pdb", "w") as handle:
            positions = np.array([[0, 0, 0], [length, 0, 0]]) * openmm.unit.nanometer
            app.PDBFile.writeFile(topology, positions, handle)
    config = config_of(
        files,
        tmp_path,
        start=[str(tmp_path / "near.pdb"), str(tmp_path / "far.pdb")],
        minimise=False,
        walkers=2,
        length=0.0001,
        frame_interval=0.002,
        equilibration=0.0,
    )
    with Dataset.open(sample(config, progress=False)) as data:
        r = np.linalg.norm(data.positions[:, 0] - data.positions[:, 1], axis=1)
        assert r[data.walkers == 0][0] == pytest.approx(0.28, abs=0.02)
        assert r[data.walkers == 1][0] == pytest.approx(0.9, abs=0.02)


def test_wrong_systems(tmp_path):
    files = dimer(tmp_path)
    (tmp_path / "force.xml").write_text(openmm.XmlSerializer.serialize(openmm.HarmonicBondForce()))
    (tmp_path / "text.xml").write_text("<System>")
    three = chain_topology(3)
    with open(tmp_path / "three.pdb", "w") as handle:
        app.PDBFile.writeFile(three, np.eye(3) * openmm.unit.nanometer, handle)
    heavy = springs(2, {(0, 1): (0.1, 1.0)})
    heavy.setParticleMass(1, 1.0)
    light = write_files(tmp_path / ".", heavy, chain_topology(2), np.eye(3)[:2], {"A": "all"})
    Path(light.system).rename(tmp_path / "light.xml")
    coupled = springs(2, {(0, 1): (0.1, 1.0)})
    coupled.addForce(openmm.AndersenThermostat(300, 1))
    (tmp_path / "coupled.xml").write_text(openmm.XmlSerializer.serialize(coupled))
    (tmp_path / "broken.pdb").write_text("ATOM  what\n")
    dimer(tmp_path)
    for change, error, message in (
        ({"system": "none.xml"}, FileNotFoundError, "no file .*none.xml"),
        ({"topology": "none.pdb"}, FileNotFoundError, "no file .*none.pdb"),
        (
            {"system": "force.xml"},
            ValueError,
            "holds a HarmonicBondForce, expected an OpenMM System",
        ),
        ({"system": "text.xml"}, ValueError, "not an OpenMM System in XML"),
        ({"topology": "three.pdb"}, ValueError, "three.pdb has 3 atoms, .*toy.xml has 2 particles"),
        ({"topology": "broken.pdb"}, ValueError, "not a readable PDB or mmCIF file"),
        ({"system": "light.xml"}, ValueError, "Atom 1 is C .* has a mass of 1 Da"),
        ({"system": "coupled.xml"}, ValueError, "has a AndersenThermostat of its own"),
    ):
        paths = {key: str(tmp_path / value) for key, value in change.items()}
        with pytest.raises(error, match=message):
            sample(config_of(files, tmp_path, **paths), progress=False)


def test_wrong_force_fields(tmp_path):
    made = recipe("capped-alanine")
    with open(tmp_path / "ala.pdb", "w") as handle:
        app.PDBFile.writeFile(made.topology, made.positions * openmm.unit.nanometer, handle)
    for names, message in (
        (["amber77.xml"], "force field amber77.xml cannot be loaded"),
        (["tip3p.xml"], "tip3p.xml does not fit .*ala.pdb .*add what is missing"),
    ):
        config = SampleConfig(
            output=str(tmp_path / "d.h5"),
            system=str(tmp_path / "ala.pdb"),
            force_field=names,
            temperature=300.0,
        )
        with pytest.raises(ValueError, match=message):
            sample(config, progress=False)
    made.topology.setPeriodicBoxVectors(np.diag([1.5] * 3))
    with open(tmp_path / "ala.pdb", "w") as handle:
        app.PDBFile.writeFile(made.topology, made.positions * openmm.unit.nanometer, handle)
    with pytest.raises(ValueError, match="1.5 nm wide, less than twice the cutoff of 1 nm"):
        sample(config, progress=False)


def test_wrong_ensembles_and_platforms(tmp_path):
    files = dimer(tmp_path)
    with pytest.raises(ValueError, match="no periodic box, so it has no pressure"):
        sample(config_of(files, tmp_path, ensemble="npt"), progress=False)
    with pytest.raises(ValueError, match="no OpenMM platform 'Quantum' here; there are Reference"):
        sample(config_of(files, tmp_path, platform="Quantum"), progress=False)


def argon_config(folder, **options):
    files = argon(folder)
    settings = {"temperature": 120.0, "timestep": 4.0, "length": 0.004, "equilibration": 1.0}
    return config_of(files, folder, **{**settings, **options})


def ideal_gas(molecules=12, length=2.0):
    """Diatomic molecules without forces between them, in a Context of a periodic System."""
    system = openmm.System()
    bonds, nothing = openmm.HarmonicBondForce(), openmm.NonbondedForce()
    for molecule in range(molecules):
        for _ in range(2):
            system.addParticle(10.0)
            nothing.addParticle(0.0, 0.1, 0.0)
        bonds.addBond(2 * molecule, 2 * molecule + 1, 0.15, 5000.0)
    nothing.setNonbondedMethod(nothing.CutoffPeriodic)
    nothing.setCutoffDistance(0.01)
    system.addForce(bonds)
    system.addForce(nothing)
    tilted = [[length, 0, 0], [0.3, length, 0], [-0.2, 0.4, length]]
    system.setDefaultPeriodicBoxVectors(*np.array(tilted))
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    rng = np.random.default_rng(5)
    centres = np.repeat(rng.uniform(-length, 2 * length, (molecules, 3)), 2, axis=0)
    context.setPositions(centres + np.tile([[0.0, 0, 0], [0.15, 0, 0]], (molecules, 1)))
    return context


def test_the_barostat_samples_volumes_of_an_ideal_gas():
    """p(V) ~ V^N exp(-PV/kT): mean (N+1) kT/P, variance (N+1) (kT/P)²; bonds keep their length."""
    context = ideal_gas()
    barostat = Barostat(context, pressure=60.0, temperature=300.0, seed=1)
    volumes = []
    for _ in range(6000):
        barostat.attempt()
        box = np.array(context.getState().getPeriodicBoxVectors(asNumpy=True)._value)
        volumes.append(np.prod(np.diag(box)))
    ratio = KB * 300 / (60 * 0.0602214076)
    sample = np.array(volumes[500:])
    assert sample.mean() == pytest.approx(13 * ratio, rel=0.08)
    assert sample.std() == pytest.approx(np.sqrt(13) * ratio, rel=0.15)
    assert barostat.size > 0.05 * sample.mean()  # grown from a hundredth
    positions = context.getState(positions=True).getPositions(asNumpy=True)._value
    lengths = np.linalg.norm(positions[::2] - positions[1::2], axis=1)
    np.testing.assert_allclose(lengths, 0.15, rtol=1e-9)
    assert box[1, 0] / box[0, 0] == pytest.approx(0.15)  # the box keeps its shape


def test_npt_records_boxes_and_goes_on_bit_for_bit(tmp_path):
    """Neighbour lists and random numbers of the barostat are where a resumed run could differ."""
    config = argon_config(
        tmp_path, ensemble="npt", pressure=100.0, walkers=2, block=8, all_atom=True
    )
    kill_once(config, tmp_path / "data.h5.parts" / "walker-0" / "block-00001.h5")
    sample(config, progress=False)
    whole = replace(config, output=str(tmp_path / "whole.h5"))
    sample(whole, progress=False)
    assert_same_frames(config.output, whole.output)
    with Dataset.open(config.output) as data:
        assert data.boxes.shape == (80, 3, 3)
        volumes = np.linalg.det(data.boxes)
        assert volumes.std() / volumes.mean() > 1e-3
        assert volumes.mean() == pytest.approx(1.68**3, rel=0.3)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["data.atoms.h5", "data.h5", "toy.pdb", "toy.xml", "toy.yaml", "whole.atoms.h5", "whole.h5"]
    )
    with h5py.File(atoms_path(config.output)) as a, h5py.File(atoms_path(whole.output)) as b:
        assert set(a) == set(b) >= {"coordinates", "forces", "cell_lengths"}
        for name in a:
            np.testing.assert_array_equal(a[name][...], b[name][...])


def test_water_with_particle_mesh_ewald_goes_on_bit_for_bit(tmp_path, monkeypatch):
    """Whose sums have an order of their own in every run, unless OpenMM is told otherwise."""
    config = SampleConfig(
        output=str(tmp_path / "stopped.h5"),
        system="water-tip3p",
        mapping="water-o",
        force_map="uniform",
        ensemble="npt",
        length=0.0004,
        equilibration=0.05,
        walkers=1,
        block=2,
    )
    original = walker.write_dataset

    def write_and_stop(*args, **options):
        original(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(walker, "write_dataset", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            sample(config, progress=False)
    sample(config, progress=False)
    whole = replace(config, output=str(tmp_path / "whole.h5"))
    sample(whole, progress=False)
    assert_same_frames(config.output, whole.output)


def test_the_structures_box_counts(tmp_path):
    config = argon_config(tmp_path, length=0.0005)
    with Dataset.open(sample(config, progress=False)) as data:
        np.testing.assert_allclose(data.boxes, np.broadcast_to(1.68 * np.eye(3), (5, 3, 3)))


def test_nve_keeps_the_energy_after_equilibration(tmp_path):
    """Total energy of the dimer, from positions and finite differences, is constant."""
    files = dimer(tmp_path)
    config = config_of(
        files, tmp_path, ensemble="nve", timestep=0.5, frame_interval=0.0005, length=0.0005
    )
    with Dataset.open(sample(config, progress=False)) as data:
        x = data.positions.astype(float)
        velocities = (x[2:] - x[:-2]) / (2 * 0.0005)
        total = data.energies[1:-1] + 6.0 * np.sum(velocities**2, axis=(1, 2))
        potential = data.energies
        assert potential.std() > 20 * total.std()


def test_all_atoms_are_those_the_dataset_was_mapped_from(tmp_path):
    config = SampleConfig(
        output=str(tmp_path / "ala.h5"),
        length=0.002,
        walkers=2,
        equilibration=0.2,
        force_map="uniform",
        all_atom=True,
        block=8,
    )
    sample(config, progress=False)
    with h5py.File(tmp_path / "ala.atoms.h5") as file, Dataset.open(config.output) as data:
        assert file["coordinates"].shape == (40, 22, 3)
        assert file["forces"].attrs["units"] == b"kilojoules/mole/nanometer"
        mapping = data.mapping_on_atoms()
        mapped = mapping.apply(file["coordinates"][...])
        np.testing.assert_allclose(mapped, data.positions, atol=1e-6)
        force_map = fit_force_map(mapping, kind="uniform", constraints=file["constraints"][...])
        forces = force_map.apply(file["forces"][...])
        np.testing.assert_allclose(forces, data.forces, atol=2e-3, rtol=1e-5)
        np.testing.assert_array_equal(file["potentialEnergy"][...], data.energies)
        np.testing.assert_array_equal(file["walkers"][...], data.walkers)
        np.testing.assert_array_equal(file["constraints"][...], data.constraints)


def test_all_atom_files_are_trajectories_that_can_be_mapped(tmp_path):
    from openmmcg.data.trajectories import open_trajectory

    config = argon_config(tmp_path, length=0.0005, all_atom=True)
    sample(config, progress=False)
    trajectory = open_trajectory(atoms_path(config.output))
    assert trajectory.holds >= {"positions", "forces", "boxes", "energies", "temperatures"}
    assert trajectory.topology.n_atoms == 64
    assert isinstance(trajectory.topology, md.Topology)


def test_the_pilot_run_is_not_repeated(tmp_path, monkeypatch):
    config = SampleConfig(
        output=str(tmp_path / "ala.h5"), length=0.001, walkers=1, equilibration=0.2
    )
    monkeypatch.setattr(pilot, "PILOT_FRAMES", (30, 30))
    calls = []

    def stop(*args, **options):
        calls.append(args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("openmmcg.data.sampling.run.walkers.record", stop)
        with pytest.raises(KeyboardInterrupt):
            sample(config, progress=False)
    stored = tmp_path / "ala.h5.parts" / "force-map.npz"
    assert calls and stored.exists()
    monkeypatch.setattr(pilot, "pilot_forces", stop)
    content = stored.read_bytes()
    stored.write_bytes(content[:100])
    with pytest.raises(RuntimeError, match="force-map.npz cannot be read .* remove the folder"):
        sample(config, progress=False)
    stored.write_bytes(content)
    with Dataset.open(sample(config, progress=False)) as data:
        assert data.force_map == "optimal"


def test_many_molecules_need_few_pilot_frames():
    class Group:
        def __init__(self, copies):
            self.atoms = np.zeros((copies, 2))

    class Job:
        class mapping:
            molecule_groups = (Group(100), Group(300))

    assert pilot._n_frames(Job) == 30
    Job.mapping.molecule_groups = (Group(1),)
    assert pilot._n_frames(Job) == 300
    Job.mapping.molecule_groups = (Group(5000),)
    assert pilot._n_frames(Job) == 20
