"""Trajectories with forces become the dataset they should."""

from __future__ import annotations

import json
from itertools import product

import atom_files
import h5py
import numpy as np
import openmm
import pytest
from atom_files import (
    FORMATS,
    FRAMES,
    KCAL,
    NPZ_UNITS,
    assert_close,
    config_of,
    write_hdf5,
    write_netcdf,
    write_npz,
    write_trr,
)
from openmmcg import cli
from openmmcg.data import Dataset, Units, fit_force_map, map_trajectories
from openmmcg.data.sampling.all_atom import AtomFrames, atom_writer
from openmmcg.mapping import Mapping, topology_to_dict


@pytest.fixture(scope="module")
def alanine():
    return atom_files.Alanine()


@pytest.fixture(scope="module")
def trajectory(alanine):
    return alanine.frames


@pytest.fixture(scope="module")
def topology(alanine):
    return alanine.topology


@pytest.fixture(scope="module")
def pdb(alanine, tmp_path_factory):
    return alanine.write_pdb(tmp_path_factory.mktemp("map") / "alanine.pdb")


@pytest.fixture(params=list(FORMATS))
def written(request, tmp_path, trajectory, topology):
    path = FORMATS[request.param](tmp_path, trajectory, topology)
    return path, NPZ_UNITS if "npz" in request.param else Units()


def test_every_format_becomes_the_same_dataset(
    written, tmp_path, trajectory, alanine, topology, pdb
):
    path, units = written
    own = "atoms" if path.suffix == ".h5" and "topology" in h5py.File(path) else str(pdb)
    options = {} if own == "atoms" else {"topology": own}
    map_trajectories(config_of(path, tmp_path, units, **options), progress=False)
    positions, forces, boxes, energies = trajectory
    mapping = Mapping.builtin("core-beta", topology)
    pairs = alanine.constraints
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
        monkeypatch.setattr("openmmcg.data.trajectories.map_inputs._PIECE", size)
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
    expected = sorted(tuple(sorted(pair)) for pair in alanine.constraints.tolist())
    given = source
    if source == "system.xml":
        given = str(tmp_path / source)
        (tmp_path / source).write_text(openmm.XmlSerializer.serialize(alanine.recipe.system))
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
    pairs = alanine.constraints
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


def test_a_molecule_too_large_for_moments(tmp_path, trajectory, pdb, monkeypatch):
    """The optimal map is refused; a uniform one is made without a comparison."""
    monkeypatch.setattr("openmmcg.data.force_maps.moments._LARGEST", 21)
    path = write_trr(tmp_path / "a.trr", trajectory)
    top = {"topology": str(pdb)}
    with pytest.raises(ValueError, match="22 atoms, .* use the 'uniform' force map"):
        map_trajectories(config_of(path, tmp_path, force_map="optimal", **top), progress=False)
    with Dataset.open(map_trajectories(config_of(path, tmp_path, **top), progress=False)) as data:
        assert data.source["force_map_noise"] is None
