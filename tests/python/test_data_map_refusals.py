"""What cannot be mapped is refused in one sentence, and leaves nothing behind."""

from __future__ import annotations

import zipfile

import atom_files
import h5py
import numpy as np
import pytest
from atom_files import FORMATS, NPZ_UNITS, config_of, write_netcdf, write_trr
from openmmcg.data import Dataset, MapConfig, Units, map_trajectories, open_trajectory


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
