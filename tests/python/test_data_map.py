"""Trajectories with forces, in all formats, units and boxes, become the dataset they should."""

from __future__ import annotations

import json
import zipfile
from itertools import product

import h5py
import mdtraj as md
import numpy as np
import openmm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mdtraj.formats import TRRTrajectoryFile
from openmmcg import cli
from openmmcg.data import (
    Dataset,
    MapConfig,
    Units,
    constraint_pairs,
    fit_force_map,
    map_trajectories,
    open_trajectory,
    recipe,
)
from openmmcg.data.all_atom import AtomFrames, atom_writer
from openmmcg.data.trajectories.base import boxes_from_angles, reduced_boxes
from openmmcg.data.trajectories.units import energy_factor, force_factor, length_factor
from openmmcg.mapping import Mapping, topology_to_dict
from scipy.io import netcdf_file

FRAMES = 60
KCAL = 4.184


@pytest.fixture(scope="module")
def alanine():
    return recipe("capped-alanine")


@pytest.fixture(scope="module")
def topology(alanine):
    return md.Topology.from_openmm(alanine.topology)


@pytest.fixture(scope="module")
def pdb(alanine, tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "alanine.pdb"
    with open(path, "w") as file:
        openmm.app.PDBFile.writeFile(alanine.topology, alanine.positions * 10, file)
    return path


@pytest.fixture(scope="module")
def trajectory(alanine):
    """Positions (nm), forces (kJ/mol/nm), boxes (nm), energies (kJ/mol); rigid hydrogens."""
    rng = np.random.default_rng(0)
    positions = alanine.positions + rng.normal(scale=0.01, size=(FRAMES, 22, 3))
    for i, j in constraint_pairs(alanine.system):
        heavy, hydrogen = (j, i) if 6 in (i, j) and i == 6 else (i, j)
        step = positions[:, hydrogen] - positions[:, heavy]
        length = np.linalg.norm(alanine.positions[i] - alanine.positions[j])
        positions[:, hydrogen] = (
            positions[:, heavy] + length * step / np.linalg.norm(step, axis=1)[:, None]
        )
    forces = rng.normal(scale=500, size=(FRAMES, 22, 3))
    boxes = np.tile(np.diag([3.0, 3.1, 3.2]), (FRAMES, 1, 1)) + rng.random((FRAMES, 1, 1)) * np.eye(
        3
    )
    energies = rng.normal(size=FRAMES) - 100
    return positions.astype("f4"), forces.astype("f4"), boxes.astype("f4"), energies


def write_trr(path, trajectory, box=True, forces=True, velocities=False):
    positions, atom_forces, boxes, _ = trajectory
    zeros = np.zeros(len(positions), "f4")
    with TRRTrajectoryFile(str(path), "w") as file:
        file._write(
            positions,
            zeros,
            zeros.astype("i4"),
            boxes if box else np.zeros_like(boxes),
            zeros,
            positions if velocities else None,
            atom_forces if forces else None,
        )
    return path


def write_npz(path, trajectory, save=np.savez, **extra):
    positions, forces, boxes, energies = trajectory
    save(
        path,
        coords=positions * 10,
        forces=forces / KCAL / 10,
        box=boxes * 10,
        energies=energies / KCAL,
        **extra,
    )
    return path


def write_hdf5(path, trajectory):
    positions, forces, boxes, energies = trajectory
    with h5py.File(path, "w") as file:
        arrays = {
            "positions": (positions * 10, "angstroms"),
            "forces": (forces, "kilojoules_per_mole/nanometer"),
            "boxes": (boxes * 10, "angstroms"),
            "energies": (energies / KCAL, "kcal/mol"),
        }
        for name, (array, unit) in arrays.items():
            file[name] = array
            file[name].attrs["units"] = unit
    return path


def write_mdtraj_hdf5(path, trajectory, topology):
    """The layout of MDTraj's HDF5 files, with forces beside the coordinates."""
    positions, forces, boxes, energies = trajectory
    chains = [
        {
            "index": c.index,
            "residues": [
                {
                    "index": r.index,
                    "name": r.name,
                    "resSeq": r.resSeq,
                    "segmentID": r.segment_id,
                    "atoms": [
                        {"index": a.index, "name": a.name, "element": a.element.symbol}
                        for a in r.atoms
                    ],
                }
                for r in c.residues
            ],
        }
        for c in topology.chains
    ]
    bonds = [[a.index, b.index] for a, b in topology.bonds]
    with h5py.File(path, "w") as file:
        for name, array, unit in [
            ("coordinates", positions, b"nanometers"),
            ("forces", forces, b"kilojoules_per_mole/nanometers"),
            ("cell_lengths", boxes[:, range(3), range(3)], b"nanometers"),
            ("cell_angles", np.full((FRAMES, 3), 90.0, "f4"), b"degrees"),
            ("potentialEnergy", energies, b"kilojoules_per_mole"),
        ]:
            file[name] = array
            file[name].attrs["units"] = unit
        text = json.dumps({"chains": chains, "bonds": bonds}).encode()
        file["topology"] = np.array([text])
    return path


def write_netcdf(path, trajectory, forces=True, positions=True):
    atom_positions, atom_forces, boxes, _ = trajectory
    with netcdf_file(str(path), "w", version=2) as file:
        file.Conventions = "AMBER"
        file.createDimension("frame", None)
        for name, size in (("atom", 22), ("spatial", 3), ("cell_spatial", 3)):
            file.createDimension(name, size)

        def add(name, dimensions, values, unit):
            variable = file.createVariable(name, "f4", dimensions)
            variable.units = unit
            variable[: len(values)] = values

        if positions:
            add("coordinates", ("frame", "atom", "spatial"), atom_positions * 10, "angstrom")
        if forces:
            values = atom_forces / KCAL / 10
            add("forces", ("frame", "atom", "spatial"), values, "kilocalorie/mole/angstrom")
        lengths = boxes[:, range(3), range(3)] * 10
        add("cell_lengths", ("frame", "cell_spatial"), lengths, "angstrom")
        add("cell_angles", ("frame", "cell_spatial"), np.full((FRAMES, 3), 90.0), "degree")
    return path


FORMATS = {
    "trr": lambda folder, t, top: write_trr(folder / "a.trr", t),
    "trr with velocities": lambda folder, t, top: write_trr(folder / "a.trr", t, velocities=True),
    "npz": lambda folder, t, top: write_npz(folder / "a.npz", t),
    "compressed npz": lambda folder, t, top: write_npz(folder / "a.npz", t, np.savez_compressed),
    "hdf5": lambda folder, t, top: write_hdf5(folder / "a.h5", t),
    "mdtraj hdf5": lambda folder, t, top: write_mdtraj_hdf5(folder / "a.h5", t, top),
    "netcdf": lambda folder, t, top: write_netcdf(folder / "a.nc", t),
}
NPZ_UNITS = Units("angstrom", "kcal/mol/angstrom", "kcal/mol")


@pytest.fixture(params=list(FORMATS))
def written(request, tmp_path, trajectory, topology):
    path = FORMATS[request.param](tmp_path, trajectory, topology)
    return path, NPZ_UNITS if "npz" in request.param else Units()


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_every_format_gives_the_same_frames(written, trajectory):
    path, units = written
    positions, forces, boxes, energies = trajectory
    with open_trajectory(path, units) as found:
        assert (found.n_frames, found.n_atoms) == (FRAMES, 22)
        for rows in ((0, FRAMES, 1), (3, 40, 7), (58, 60, 1), (0, 1, 1)):
            frames = found.read(*rows)
            picked = slice(*rows)
            assert_close(frames.positions, positions[picked])
            assert_close(frames.forces, forces[picked])
            assert_close(frames.boxes, boxes[picked])
            if "energies" in found.holds:
                assert_close(frames.energies, energies[picked])
            assert (frames.energies is None) == (path.suffix in {".trr", ".nc"})


def config_of(path, tmp_path, units=None, **options):
    units = units or Units()
    given = {
        "mapping": "core-beta",
        "temperature": 300.0,
        "output": str(tmp_path / "out.h5"),
        "force_map": "uniform",
        "length_unit": units.length,
        "force_unit": units.force,
        "energy_unit": units.energy,
    }
    return MapConfig(trajectory=str(path), **{**given, **options})


def test_every_format_becomes_the_same_dataset(
    written, tmp_path, trajectory, alanine, topology, pdb
):
    path, units = written
    own = "atoms" if path.suffix == ".h5" and "topology" in h5py.File(path) else str(pdb)
    options = {} if own == "atoms" else {"topology": own}
    map_trajectories(config_of(path, tmp_path, units, **options), progress=False)
    positions, forces, boxes, energies = trajectory
    mapping = Mapping.builtin("core-beta", topology)
    pairs = constraint_pairs(alanine.system)
    with Dataset.open(tmp_path / "out.h5") as data:
        assert data.mapping_hash == mapping.hash
        assert data.mapping_on_atoms().hash == mapping.hash
        assert data.force_map == "uniform"
        assert sorted(map(tuple, data.constraints)) == sorted(tuple(sorted(p)) for p in pairs)
        assert_close(data.positions, mapping.apply(positions.astype(float)))
        expected = fit_force_map(mapping, kind="uniform", constraints=pairs).apply(forces)
        np.testing.assert_allclose(data.forces, expected, rtol=2e-6, atol=1e-3)
        assert_close(data.boxes, boxes)
        np.testing.assert_array_equal(data.temperatures, np.full(FRAMES, 300.0))
        np.testing.assert_array_equal(data.weights, np.ones(FRAMES))
        if data.energies is not None:
            assert_close(data.energies, energies)
        assert data.source["inputs"][0]["bytes"] == path.stat().st_size
        assert data.source["constraints"].startswith("guessed from")


def test_trr_is_read_as_mdtraj_reads_it(tmp_path, trajectory):
    path = write_trr(tmp_path / "a.trr", trajectory, velocities=True)
    with TRRTrajectoryFile(str(path)) as file:
        positions, _, _, boxes, _, _, forces = file._read(FRAMES, None, True, True)
    with open_trajectory(path) as found:
        frames = found.read(0, FRAMES)
    np.testing.assert_array_equal(frames.positions, positions)
    np.testing.assert_array_equal(frames.forces, forces)
    np.testing.assert_array_equal(frames.boxes, boxes)


def test_trr_of_several_layouts(tmp_path, trajectory):
    """GROMACS writes positions, velocities and forces at intervals of their own."""
    part = tuple(a[:10] for a in trajectory)
    pieces = [
        write_trr(tmp_path / "both.trr", part).read_bytes(),
        write_trr(tmp_path / "without.trr", part, forces=False).read_bytes(),
        write_trr(tmp_path / "all.trr", part, velocities=True).read_bytes(),
    ]
    mixed = tmp_path / "mixed.trr"
    mixed.write_bytes(b"".join(pieces))
    with open_trajectory(mixed) as found:
        assert (found.n_frames, found.left_out) == (20, 10)
        frames = found.read(8, 14, 2)
        np.testing.assert_array_equal(frames.forces, part[1][[8, 0, 2]])
        np.testing.assert_array_equal(frames.positions, part[0][[8, 0, 2]])
    with pytest.raises(ValueError, match="No frame .* has both positions and forces"):
        open_trajectory(tmp_path / "without.trr")


def test_double_precision_trr(tmp_path):
    """A frame put together by hand from the format's description."""
    values = np.arange(9.0) + 0.1
    sizes = [0, 0, 72, 0, 0, 0, 0, 72, 0, 72, 3, 5, 0]
    frame = np.array([1993, 13, 12], ">i4").tobytes() + b"GMX_trn_file"
    frame += np.array(sizes, ">i4").tobytes() + np.zeros(2, ">f8").tobytes()
    frame += (np.eye(3) * 2).astype(">f8").tobytes()
    frame += values.astype(">f8").tobytes() + (-values).astype(">f8").tobytes()
    path = tmp_path / "double.trr"
    path.write_bytes(frame * 3)
    with open_trajectory(path) as found:
        frames = found.read(0, 3)
        np.testing.assert_array_equal(frames.positions[2], values.reshape(3, 3))
        np.testing.assert_array_equal(frames.forces[1], -values.reshape(3, 3))


@pytest.mark.parametrize("version", [1, 2])
def test_netcdf_is_read_as_scipy_reads_it(tmp_path, version):
    """Two versions; variables that need padding, and one that is alone and gets none."""
    rng = np.random.default_rng(0)
    for others in (True, False):
        path = tmp_path / f"{others}.nc"
        values = rng.normal(size=(5, 7, 3))
        with netcdf_file(str(path), "w", version=version) as file:
            file.createDimension("frame", None)
            file.createDimension("atom", 7)
            file.createDimension("spatial", 3)
            if others:
                label = file.createVariable("label", "i1", ("frame", "spatial"))
                label[:5] = np.ones((5, 3))
            forces = file.createVariable("forces", "f8", ("frame", "atom", "spatial"))
            forces[:5] = values
            forces.units = "eV/angstrom"
        with open_trajectory(path) as found:
            assert found.holds == {"forces"}
            np.testing.assert_allclose(
                found.read(1, 5, 2).forces, values[[1, 3]] * force_factor("eV/A"), rtol=1e-12
            )


def test_positions_and_forces_in_two_files(tmp_path, trajectory, pdb):
    positions, forces, _, energies = trajectory
    np.save(tmp_path / "x.npy", positions * 10)
    np.save(tmp_path / "f.npy", forces / KCAL / 10)
    np.save(tmp_path / "e.npy", energies / KCAL)
    write_netcdf(tmp_path / "x.nc", trajectory, forces=False)
    write_netcdf(tmp_path / "f.nc", trajectory, positions=False)
    rows = "\n".join(f"{k},{energy},300" for k, energy in enumerate(energies))
    head = '#"Step","Potential Energy (kJ/mole)","Temperature (K)"'
    (tmp_path / "e.csv").write_text(f"{head}\n{rows}\n")
    xvg = "\n".join(f"{k} {energy}" for k, energy in enumerate(energies))
    (tmp_path / "e.xvg").write_text(f"# gmx energy\n@ title\n{xvg}\n&\n")
    found = []
    for (x, f), e in product((("x.npy", "f.npy"), ("x.nc", "f.nc")), ("npy", "csv", "xvg")):
        output = tmp_path / f"{x}-{e}.h5"
        config = config_of(
            tmp_path / x,
            tmp_path,
            NPZ_UNITS,
            forces=str(tmp_path / f),
            energies=str(tmp_path / f"e.{e}"),
            topology=str(pdb),
            output=str(output),
        )
        with Dataset.open(map_trajectories(config, progress=False)) as data:
            found.append((data.positions, data.forces, data.energies))
            assert_close(data.energies, energies)
    for positions_, forces_, _ in found[1:]:
        assert_close(positions_, found[0][0])
        np.testing.assert_allclose(forces_, found[0][1], rtol=1e-5, atol=1e-2)


def test_molecules_are_made_whole(tmp_path, trajectory, pdb):
    positions, forces, boxes, energies = trajectory
    sheared = boxes.copy()
    sheared[:, 1, 0] = 0.5
    sheared[:, 2, :2] = (-0.4, 0.7)
    shifts = np.random.default_rng(0).integers(-1, 2, size=(FRAMES, 22, 3)).astype("f4")
    shifts[:, 0] = 0
    broken = positions + np.einsum("fak,fkx->fax", shifts, sheared)
    write_trr(tmp_path / "whole.trr", trajectory)
    write_trr(tmp_path / "broken.trr", (broken, forces, sheared, energies))
    results = []
    for name, options in (("whole", {}), ("broken", {}), ("broken", {"periodic": False})):
        config = config_of(
            tmp_path / f"{name}.trr",
            tmp_path,
            topology=str(pdb),
            output=str(tmp_path / f"{name}{len(results)}.h5"),
            constraints="hbonds",
            **options,
        )
        with Dataset.open(map_trajectories(config, progress=False)) as data:
            results.append((data.positions, data.boxes))
    np.testing.assert_allclose(results[1][0], results[0][0], atol=3e-6)
    assert_close(results[1][1], sheared)
    assert np.abs(results[2][0] - results[0][0]).max() > 1.0
    assert results[2][1] is None


def test_rows_and_walkers(tmp_path, trajectory, pdb):
    for name in ("run1", "run2"):
        write_trr(tmp_path / f"{name}.trr", trajectory)
    config = config_of(
        tmp_path / "run*.trr", tmp_path, topology=str(pdb), start=2, stop=50, stride=4
    )
    with Dataset.open(map_trajectories(config, progress=False)) as data:
        assert data.n_frames == 24
        np.testing.assert_array_equal(data.walkers, np.repeat([0, 1], 12))
        np.testing.assert_array_equal(data.positions[:12], data.positions[12:])
        assert_close(data.boxes[:12], trajectory[2][2:50:4])


def test_pieces_do_not_matter(tmp_path, trajectory, pdb, monkeypatch):
    path = write_trr(tmp_path / "a.trr", trajectory)
    results = []
    for size in (1, 12 * 22 * 7, 1 << 20):
        monkeypatch.setattr("openmmcg.data.map_inputs._PIECE", size)
        config = config_of(
            path,
            tmp_path,
            topology=str(pdb),
            output=str(tmp_path / f"{size}.h5"),
            force_map="optimal",
            position_noise=0.01,
        )
        with Dataset.open(map_trajectories(config, progress=False)) as data:
            results.append((data.positions, data.forces))
            assert data.position_noise == 0.01
    for positions, forces in results[1:]:
        np.testing.assert_array_equal(positions, results[0][0])
        np.testing.assert_allclose(forces, results[0][1], rtol=1e-4, atol=1e-2)


def test_noise_is_added(tmp_path, trajectory, pdb):
    path = write_trr(tmp_path / "a.trr", trajectory)
    results = {}
    for sigma in (0.0, 0.02):
        config = config_of(
            path,
            tmp_path,
            topology=str(pdb),
            output=str(tmp_path / f"{sigma}.h5"),
            position_noise=sigma,
        )
        with Dataset.open(map_trajectories(config, progress=False)) as data:
            results[sigma] = data.positions
    shift = results[0.02] - results[0.0]
    assert np.std(shift) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("source", ["system.xml", "hbonds", "none", "stated"])
def test_constraints_that_are_known(tmp_path, trajectory, alanine, pdb, source):
    path = write_hdf5(tmp_path / "a.h5", trajectory)
    expected = sorted(tuple(sorted(pair)) for pair in constraint_pairs(alanine.system).tolist())
    given = source
    if source == "system.xml":
        given = str(tmp_path / source)
        (tmp_path / source).write_text(openmm.XmlSerializer.serialize(alanine.system))
    elif source == "stated":
        given, expected = "guess", [(4, 5)]
        with h5py.File(path, "a") as file:
            file["constraints"] = np.array([[4, 5]])
    elif source == "none":
        expected = []
    config = config_of(path, tmp_path, topology=str(pdb), constraints=given)
    with Dataset.open(map_trajectories(config, progress=False)) as data:
        assert sorted(tuple(sorted(pair)) for pair in data.constraints.tolist()) == expected


def test_a_dataset_gives_the_topology(tmp_path, trajectory, pdb):
    path = write_trr(tmp_path / "a.trr", trajectory)
    first = map_trajectories(config_of(path, tmp_path, topology=str(pdb)), progress=False)
    again = config_of(path, tmp_path, topology=str(first), output=str(tmp_path / "again.h5"))
    with Dataset.open(map_trajectories(again, progress=False)) as data, Dataset.open(first) as old:
        assert data.atomistic == old.atomistic
        np.testing.assert_array_equal(data.forces, old.forces)


def test_our_own_topology_in_hdf5(tmp_path, trajectory, topology):
    path = write_hdf5(tmp_path / "a.h5", trajectory)
    with h5py.File(path, "a") as file:
        file["atomistic"] = json.dumps(topology_to_dict(topology))
        file["temperatures"] = np.full(FRAMES, 310.0)
    config = config_of(path, tmp_path, temperature=None)
    with Dataset.open(map_trajectories(config, progress=False)) as data:
        assert data.atomistic == topology
        np.testing.assert_array_equal(data.temperatures, np.full(FRAMES, 310.0))


def test_all_atoms_of_a_sampled_dataset(tmp_path, trajectory, topology, alanine):
    """`NAME.atoms.h5` of `openmm-cg sample` knows everything that is needed."""
    positions, forces, boxes, energies = trajectory
    pairs = constraint_pairs(alanine.system)
    path = tmp_path / "a.atoms.h5"
    with atom_writer(path, topology, pairs) as write:
        write(
            AtomFrames(
                positions=positions,
                forces=forces,
                energies=energies,
                temperatures=np.full(FRAMES, 320.0),
                walkers=np.repeat([0, 1, 2], FRAMES // 3),
                boxes=boxes,
                weights=np.linspace(0.5, 1.5, FRAMES),
            )
        )
    config = config_of(tmp_path / "a*.h5", tmp_path, temperature=None)
    with Dataset.open(map_trajectories(config, progress=False)) as data:
        assert data.atomistic == topology
        assert data.constraints.tolist() == pairs.tolist()
        np.testing.assert_array_equal(data.temperatures, np.full(FRAMES, 320.0))
        np.testing.assert_array_equal(data.walkers, np.repeat([0, 1, 2], FRAMES // 3))
        np.testing.assert_allclose(data.weights, np.linspace(0.5, 1.5, FRAMES))
        np.testing.assert_allclose(data.energies, energies)
        assert_close(data.boxes, boxes)


def test_the_command_prints_the_comparison(tmp_path, trajectory, pdb, capsys):
    path = write_npz(
        tmp_path / "a.npz",
        trajectory,
        length_unit="angstrom",
        force_unit="kcal/mol/angstrom",
        energy_unit="kcal/mol",
    )
    output = tmp_path / "out.h5"
    arguments = ["map", "--trajectory", path, "--topology", pdb, "--mapping", "core-beta"]
    assert cli.main([*map(str, arguments), "--temperature", "300", "--output", str(output)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("12 rigid distances (guessed", "slice (cuts constraints", "optimal", "60 frames"):
        assert words in printed
    with Dataset.open(output) as data:
        assert data.force_map == "optimal"
        assert data.source["force_map_noise"]["uniform"] > 0


def refused(path, tmp_path, message, **options):
    """Map and expect a ValueError or FileNotFoundError of one sentence; nothing is left behind."""
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        map_trajectories(config_of(path, tmp_path, **options), progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.h5").exists()
    assert not list(tmp_path.glob(".*.tmp"))


def test_bad_trajectories(tmp_path, trajectory, pdb):
    positions, forces, _, _ = trajectory
    top = {"topology": str(pdb)}
    good = write_trr(tmp_path / "good.trr", trajectory)
    np.savez(tmp_path / "x.npz", positions=positions, length_unit="nm")
    refused(tmp_path / "x.npz", tmp_path, "holds no forces; write forces", **top)
    np.savez(tmp_path / "f.npz", forces=forces, force_unit="kJ/mol/nm")
    refused(tmp_path / "f.npz", tmp_path, "holds no positions", **top)
    np.savez(tmp_path / "u.npz", positions=positions, forces=forces)
    refused(tmp_path / "u.npz", tmp_path, "does not say its unit of length and force", **top)
    refused(good, tmp_path, "already nm|has the unit of length 'nm'", length_unit="pm", **top)
    refused(good, tmp_path, "Unknown unit of length 'parsec'", length_unit="parsec", **top)
    refused(good, tmp_path, "temperature of .* is missing", temperature=None, **top)
    refused(good, tmp_path, "holds no topology; give one")
    refused(good, tmp_path, "none of them between", start=100, **top)
    refused(tmp_path / "no.trr", tmp_path, "There is no trajectory", **top)
    refused(tmp_path / "no*.trr", tmp_path, "No file matches", **top)
    (tmp_path / "a.xtc").write_bytes(b"x")
    refused(tmp_path / "a.xtc", tmp_path, "that format holds no forces", **top)
    (tmp_path / "a.foo").write_bytes(b"x")
    refused(tmp_path / "a.foo", tmp_path, "unknown format", **top)
    (tmp_path / "a.trr").write_bytes(b"not a trajectory" * 10)
    refused(tmp_path / "a.trr", tmp_path, "not a TRR file", **top)
    half = tuple(
        np.ascontiguousarray(a[:, :21]) if a.ndim == 3 and a.shape[1] == 22 else a
        for a in trajectory
    )
    write_trr(tmp_path / "half.trr", half)
    refused(tmp_path / "half.trr", tmp_path, "has 21 atoms, the topology 22", **top)
    refused(good, tmp_path, "no bead|matches nothing|makes no bead", mapping="water-o", **top)
    (tmp_path / "out2.h5").write_bytes(b"old")
    with pytest.raises(ValueError, match="exists already"):
        map_trajectories(
            config_of(good, tmp_path, output=str(tmp_path / "out2.h5"), **top), progress=False
        )
    assert (tmp_path / "out2.h5").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["positions", "forces", "energies"])
def test_frames_that_are_not_finite_are_named(tmp_path, trajectory, pdb, name):
    arrays = dict(zip(("positions", "forces", "boxes", "energies"), trajectory, strict=True))
    arrays[name] = arrays[name].copy()
    arrays[name][37] = np.nan
    units = {"length_unit": "nm", "force_unit": "kJ/mol/nm", "energy_unit": "kJ/mol"}
    np.savez(tmp_path / "a.npz", **arrays, **units)
    options = {"topology": str(pdb), "constraints": "hbonds"}
    refused(tmp_path / "a.npz", tmp_path, f"Frame 37 of .* has {name}", start=3, **options)


def test_truncated_trajectories(tmp_path, trajectory, topology, pdb):
    top = {"topology": str(pdb)}
    for number, make in enumerate(FORMATS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = make(folder, trajectory, topology)
        content = path.read_bytes()
        units = NPZ_UNITS if path.suffix == ".npz" else Units()
        for cut in (len(content) - 50, len(content) // 2 - 7, 10, 0):
            path.write_bytes(content[:cut])
            refused(path, tmp_path, "truncated|not a|damaged", units=units, **top)
    path = write_trr(tmp_path / "a.trr", trajectory)
    path.write_bytes(path.read_bytes()[:-50])
    refused(path, tmp_path, "truncated in frame 59; repair it, or map its 59 whole frames", **top)
    config = config_of(path, tmp_path, stop=59, **top)
    with Dataset.open(map_trajectories(config, progress=False)) as data:
        assert data.n_frames == 59
    (tmp_path / "out.h5").unlink()
    path = write_netcdf(tmp_path / "a.nc", trajectory)
    path.write_bytes(path.read_bytes()[:-50])
    refused(path, tmp_path, "truncated in frame 59 of 60; repair it, or map its 59", **top)
    np.save(tmp_path / "x.npy", trajectory[0])
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content[:-50])
    found = open_trajectory(tmp_path / "x.npy", Units("nm"))
    with found, pytest.raises(ValueError, match="truncated in row 50"):
        found.read(50, 60)


def test_files_that_do_not_belong_together(tmp_path, trajectory, pdb):
    positions, forces, _, energies = trajectory
    np.save(tmp_path / "x.npy", positions)
    np.save(tmp_path / "f.npy", forces[:-1])
    np.save(tmp_path / "e.npy", energies[:-1])
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(forces))
    write_trr(tmp_path / "a.trr", trajectory)
    write_trr(tmp_path / "vacuum.trr", trajectory, box=False)
    top = {"topology": str(pdb), "units": Units("nm", "kJ/mol/nm", "kJ/mol")}
    x = tmp_path / "x.npy"
    for name, message in [
        ("f.npy", "has 59 frames of 22 atoms, .* do not belong together"),
        ("objects.npy", "Python objects"),
        ("fortran.npy", "Fortran order"),
    ]:
        refused(x, tmp_path, message, forces=str(tmp_path / name), **top)
    refused(x, tmp_path, "2 files of forces for 1", forces=[str(x), str(x)], **top)
    trr = {"topology": str(pdb)}
    energies = {"energies": str(tmp_path / "e.npy")}
    refused(
        tmp_path / "a.trr", tmp_path, "59 energies for the 60", energy_unit="eV", **energies, **trr
    )
    refused(tmp_path / "a.trr", tmp_path, "give energy_unit", **energies, **trr)
    refused(tmp_path / "a.trr", tmp_path, "expected a .npy", energies=str(pdb), **trr)
    refused(tmp_path / "*.trr", tmp_path, "differ in what they hold .boxes", **trr)
    refused(tmp_path / "a.trr", tmp_path, "expected none, hbonds", constraints="all", **trr)
    refused(tmp_path / "a.trr", tmp_path, "not a System", constraints=str(pdb), **trr)


def test_other_hdf5_files(tmp_path, trajectory, pdb):
    top = {"topology": str(pdb)}
    mapped = map_trajectories(
        config_of(write_trr(tmp_path / "a.trr", trajectory), tmp_path, **top), progress=False
    )
    mapped.rename(tmp_path / "mapped.h5")
    refused(tmp_path / "mapped.h5", tmp_path, "is a mapped dataset already", **top)
    with h5py.File(tmp_path / "mlcg.h5", "w") as file:
        file["set/ala/cg_coords"] = np.zeros((2, 6, 3))
    refused(tmp_path / "mlcg.h5", tmp_path, "beads in mlcg's layout.*convert", **top)
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["x"] = 1
    refused(tmp_path / "empty.h5", tmp_path, "no groups with positions", **top)
    with zipfile.ZipFile(tmp_path / "empty.npz", "w") as archive:
        archive.writestr("readme.txt", "x")
    refused(tmp_path / "empty.npz", tmp_path, "no array of positions", **top)


def test_few_frames(tmp_path, trajectory, pdb):
    path = write_trr(tmp_path / "a.trr", tuple(a[:5] for a in trajectory))
    top = {"topology": str(pdb), "constraints": "hbonds"}
    refused(path, tmp_path, "5 frames are too few to fit", force_map="optimal", **top)
    refused(path, tmp_path, "10 frames or more to guess", topology=str(pdb))
    with Dataset.open(map_trajectories(config_of(path, tmp_path, **top), progress=False)) as data:
        assert data.n_frames == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"force_map": "best"}, "Unknown force map"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"stride": 0}, "stride is 0"),
        ({"start": 5, "stop": 5}, "stop is 5"),
        ({"position_noise": -1.0}, "position_noise"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        MapConfig(**{"trajectory": "a.trr", "mapping": "core", **options})


def test_units():
    assert length_factor("Angstroms") == length_factor("Å") == length_factor("A") == 0.1
    assert length_factor("nanometers") == 1.0
    for text in ("kcal/mol/A", "kilocalorie/mole/angstrom", "kcal mol^-1 Å^-1", "kcal/(mol*Å)"):
        assert force_factor(text) == pytest.approx(41.84)
    for text in ("kJ/mol/nm", "kilojoules_per_mole/nanometer", "kJ mol-1 nm-1", "kJ/(mol nm)"):
        assert force_factor(text) == 1.0
    assert force_factor("eV/A") == pytest.approx(964.853, abs=1e-3)
    assert force_factor("hartree/bohr") == pytest.approx(49614.75, rel=1e-6)
    assert energy_factor("kcal/mol") == 4.184
    for function, text in ((force_factor, "kcal/mol"), (energy_factor, "K"), (length_factor, "")):
        with pytest.raises(ValueError, match="Unknown unit of"):
            function(text)


@given(
    st.lists(st.floats(0.5, 5.0), min_size=3, max_size=3),
    st.lists(st.floats(65.0, 110.0), min_size=3, max_size=3),
)
def test_boxes(lengths, angles):
    """Edges and angles come back from the vectors; reducing keeps lattice and volume."""
    boxes = boxes_from_angles(np.array([lengths]), np.array([angles]))
    a, b, c = boxes[0]
    edges = [np.linalg.norm(v) for v in (a, b, c)]
    np.testing.assert_allclose(edges, lengths, rtol=1e-9)
    found = [
        np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
        for u, v in ((b, c), (a, c), (a, b))
    ]
    np.testing.assert_allclose(found, angles, rtol=1e-9)
    reduced = reduced_boxes(boxes)
    combination = reduced[0] @ np.linalg.inv(boxes[0])
    np.testing.assert_allclose(combination, np.rint(combination), atol=1e-9)
    assert np.linalg.det(reduced[0]) == pytest.approx(np.linalg.det(boxes[0]))
    assert abs(reduced[0, 1, 0]) <= reduced[0, 0, 0] / 2 * (1 + 1e-12)
    assert abs(reduced[0, 2, 1]) <= reduced[0, 1, 1] / 2 * (1 + 1e-12)
