"""Datasets: what is written is read, and damaged or foreign files are refused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import mdtraj as md
import numpy as np
import pytest
from openmmcg.data import Dataset, Frames, dataset_writer, recipe, write_dataset
from openmmcg.mapping import Mapping


def alanine_mapping():
    return Mapping.builtin("core-beta", recipe("capped-alanine").topology, "name")


@pytest.fixture(scope="module")
def mapping():
    return alanine_mapping()


@pytest.fixture
def version_1():
    return Path(__file__).parent.parent / "data" / "dataset-v1.h5"


WATER = {
    "format": 1,
    "name": "water",
    "templates": [{"residues": "resname HOH", "beads": [{"name": "O", "select": "name O"}]}],
}


def water_topology(count):
    topology = md.Topology()
    chain = topology.add_chain()
    for _ in range(count):
        residue = topology.add_residue("HOH", chain)
        oxygen = topology.add_atom("O", md.element.oxygen, residue)
        for name in ("H1", "H2"):
            topology.add_bond(oxygen, topology.add_atom(name, md.element.hydrogen, residue))
    return topology


def random_frames(n_frames, seed=0, boxes=False, n_beads=6):
    rng = np.random.default_rng(seed)
    return Frames(
        positions=rng.normal(size=(n_frames, n_beads, 3)).astype("f4"),
        forces=rng.normal(size=(n_frames, n_beads, 3)).astype("f4"),
        energies=rng.normal(size=n_frames),
        temperatures=np.full(n_frames, 300.0),
        bias_energies=rng.normal(size=n_frames),
        walkers=rng.integers(0, 2, size=n_frames),
        weights=rng.random(n_frames),
        boxes=rng.random((n_frames, 3, 3)).astype("f4") if boxes else None,
    )


def write(path, mapping, frames, **options):
    return write_dataset(
        path, mapping, frames, force_map="uniform", source={"made by": "a test"}, **options
    )


@pytest.fixture
def written(tmp_path, mapping):
    return write(tmp_path / "d.h5", mapping, random_frames(5))


@pytest.mark.parametrize("boxes", [False, True])
def test_round_trip(tmp_path, mapping, boxes):
    frames = random_frames(7, boxes=boxes)
    pairs = np.array([[0, 1], [4, 5]])
    path = tmp_path / "new" / "d.h5"
    write(path, mapping, frames, group="alanine", constraints=pairs, position_noise=0.01)
    with Dataset.open(path) as data:
        assert (data.n_frames, data.n_beads, data.name) == (7, 6, "alanine")
        for name, array in frames.arrays().items():
            np.testing.assert_array_equal(getattr(data, name), array)
        assert (data.boxes is not None) == boxes
        np.testing.assert_array_equal(data.types, mapping.types)
        np.testing.assert_array_equal(data.bonds, mapping.bonds)
        np.testing.assert_array_equal(data.molecules, mapping.molecules)
        np.testing.assert_array_equal(data.masses, mapping.masses)
        assert data.type_names == mapping.type_names
        assert data.topology == mapping.topology
        assert data.mapping == mapping.to_dict()
        assert data.mapping_hash == mapping.hash
        assert data.force_map == "uniform"
        assert data.source == {"made by": "a test"}
        assert data.atomistic == mapping.atomistic
        np.testing.assert_array_equal(data.constraints, pairs)
        assert data.position_noise == 0.01
        np.testing.assert_array_equal(data.frames().forces, frames.forces)


def test_units_and_format_are_in_the_file(written):
    with h5py.File(written) as file:
        assert file.attrs["format"] == "openmmcg-dataset"
        assert file.attrs["format_version"] == 2
        arrays = {name: node for name, node in file["system"].items() if name != "metadata"}
        units = {name: array.attrs["units"] for name, array in arrays.items()}
    assert units == {
        "positions": "nm",
        "forces": "kJ/mol/nm",
        "energies": "kJ/mol",
        "temperatures": "K",
        "weights": "1",
        "bias_energies": "kJ/mol",
        "walkers": "1",
    }


def test_pieces_make_the_same_file(tmp_path, mapping):
    frames = random_frames(3000)
    with dataset_writer(tmp_path / "d.h5", mapping, force_map="uniform", source={}) as append:
        for part in np.array_split(np.arange(3000), 7):
            append(Frames(**{name: array[part] for name, array in frames.arrays().items()}))
    with Dataset.open(tmp_path / "d.h5") as data:
        for name, array in frames.arrays().items():
            np.testing.assert_array_equal(getattr(data, name), array)


def test_missing_weights_are_one(tmp_path, mapping):
    frames = random_frames(3)
    values = {**frames.arrays(), "weights": None}
    with Dataset.open(write(tmp_path / "d.h5", mapping, Frames(**values))) as data:
        np.testing.assert_array_equal(data.weights, np.ones(3))


def test_a_failed_write_leaves_the_old_file(written, mapping):
    before = written.read_bytes()
    options = {"force_map": "uniform", "source": {}}
    with pytest.raises(KeyboardInterrupt), dataset_writer(written, mapping, **options) as append:
        append(random_frames(3))
        raise KeyboardInterrupt
    empty = pytest.raises(ValueError, match="at least one frame")
    with empty, dataset_writer(written, mapping, **options):
        pass
    assert written.read_bytes() == before
    assert [p.name for p in written.parent.iterdir()] == ["d.h5"]


def test_arrays_that_disagree(tmp_path, mapping):
    good = random_frames(4).arrays()
    for name, bad in {
        "forces": good["forces"][:3],
        "positions": good["positions"][:, :, :2],
        "energies": good["energies"][None],
        "boxes": np.zeros((4, 3)),
    }.items():
        with pytest.raises(ValueError, match="has shape"):
            write(tmp_path / "d.h5", mapping, Frames(**{**good, name: bad}))
    with pytest.raises(ValueError, match="the mapping has 6 beads"):
        write(tmp_path / "d.h5", mapping, random_frames(2, n_beads=5))
    mixed = pytest.raises(ValueError, match="boxes or none")
    target = tmp_path / "d.h5"
    with mixed, dataset_writer(target, mapping, force_map="uniform", source={}) as append:
        append(random_frames(2))
        append(random_frames(2, boxes=True))
    assert not (tmp_path / "d.h5").exists()


def test_arrays_stay_after_closing(written):
    data = Dataset.open(written)
    positions = data.positions
    data.close()
    assert data.positions is positions
    with pytest.raises(ValueError, match=r"d\.h5 is closed"):
        _ = data.forces
    with pytest.raises(ValueError, match=r"d\.h5 is closed"):
        _ = data.topology


def test_several_systems_need_a_name(written):
    with h5py.File(written, "a") as file:
        file.copy("system", "other")
    with pytest.raises(ValueError, match="other, system; name one"):
        Dataset.open(written)
    with pytest.raises(ValueError, match="there is no 'third'"):
        Dataset.open(written, "third")
    with Dataset.open(written, "other") as data:
        assert data.name == "other"


def test_missing_foreign_and_truncated_files(written, tmp_path):
    with pytest.raises(FileNotFoundError, match="openmm-cg sample"):
        Dataset.open(tmp_path / "none.h5")
    content = written.read_bytes()
    for cut in (0, 100, len(content) // 2, len(content) - 1):
        written.write_bytes(content[:cut])
        with pytest.raises(ValueError, match="not an HDF5 file or is truncated"):
            Dataset.open(written)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match="not a dataset of openmmcg"):
        Dataset.open(tmp_path / "foreign.h5")


def edit_version(file):
    file.attrs["format_version"] = 3


def edit_units(file):
    file["system/positions"].attrs["units"] = "angstrom"


def edit_length(file):
    file["system/energies"].resize(4, axis=0)


def drop_array(file):
    del file["system/forces"]


def drop_topology(file):
    del file["system/metadata/topology"]


def drop_hash(file):
    del file["system"].attrs["mapping_hash"]


def replace_positions(file):
    del file["system/positions"]
    file["system/positions"] = 1.0


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edit_version, "format 3, this openmmcg reads up to 2; update"),
        (edit_units, "'positions' has units 'angstrom', expected 'nm'"),
        (edit_length, r"'energies' has shape \(4,\), expected \(5,\)"),
        (drop_array, "lacks forces"),
        (drop_topology, "lacks topology"),
        (drop_hash, "lacks mapping_hash"),
        (replace_positions, r"'positions' has shape \(\)"),
    ],
)
def test_tampered_files(written, edit, message):
    with h5py.File(written, "a") as file:
        edit(file)
    with pytest.raises(ValueError, match=message):
        Dataset.open(written)


def test_metadata_are_plain_values(written):
    """Other languages can read them: integers, text and JSON."""
    with h5py.File(written) as file:
        node = file["system/metadata"]
        assert json.loads(node["mapping"].asstr()[()])["name"] == "core-beta"
        assert node["type_names"].asstr()[...].tolist() == ["C", "N", "CA", "CB"]
        assert json.loads(node["topology"].asstr()[()])["beads"][3] == ["CB", "C", 1]


def test_version_1_keeps_loading(version_1):
    """A file that openmmcg 0.1 wrote."""
    with Dataset.open(version_1) as data:
        assert (data.name, data.n_frames, data.n_beads) == ("capped-alanine", 8, 6)
        assert data.mapping_hash == (
            "a8973741cea3bc91d50994bed149f70f5e7e001a7873e03bc684761538451c97"
        )
        assert data.type_names == ("C", "N", "CA", "CB")
        np.testing.assert_array_equal(data.types, [0, 1, 2, 3, 0, 1])
        np.testing.assert_array_equal(data.bonds, [[0, 1], [1, 2], [2, 3], [2, 4], [4, 5]])
        np.testing.assert_array_equal(data.molecules, np.zeros(6))
        assert data.masses.sum() == pytest.approx(144.17, abs=0.01)
        assert [bead.name for bead in data.topology.atoms] == ["C", "N", "CA", "CB", "C", "N"]
        assert data.mapping["name"] == "core-beta"
        assert data.source["config"] == {"temperature": 300.0}
        assert (data.force_map, data.position_noise) == ("uniform", 0.0)
        assert data.atomistic is None and data.constraints is None
        np.testing.assert_allclose(
            data.positions[0, 0], [-0.1855729, -0.0956258, -0.0619642], rtol=1e-6
        )
        np.testing.assert_allclose(data.forces[7, 5], [-1458.1522, -276.4447, -1609.127], rtol=1e-6)
        np.testing.assert_array_equal(data.energies, np.arange(8) - 100.0)
        np.testing.assert_array_equal(data.walkers, [0, 0, 0, 0, 1, 1, 1, 1])
        np.testing.assert_array_equal(data.boxes[3], 3 * np.eye(3))
        np.testing.assert_array_equal(data.frames(2, 4).energies, [-98.0, -97.0])
        with pytest.raises(ValueError, match="does not hold the atomistic topology"):
            data.mapping_on_atoms()


def test_the_mapping_of_an_old_file_has_the_same_hash(version_1):
    topology = recipe("capped-alanine").topology
    with Dataset.open(version_1) as data:
        assert Mapping.from_dict(data.mapping, topology).hash == data.mapping_hash


def test_the_mapping_comes_back(written, mapping):
    with Dataset.open(written) as data:
        again = data.mapping_on_atoms()
    np.testing.assert_array_equal(again.matrix, mapping.matrix)
    assert again.topology == mapping.topology
    with h5py.File(written, "a") as file:
        file["system"].attrs["mapping_hash"] = "0" * 64
    with Dataset.open(written) as data, pytest.raises(ValueError, match="hashes differ"):
        data.mapping_on_atoms()


def test_big_systems_fit(tmp_path):
    """Version 1 ended at 64 KiB of metadata."""
    topology = water_topology(1500)
    mapping = Mapping.from_dict(WATER, topology)
    path = write(tmp_path / "d.h5", mapping, random_frames(2, n_beads=1500))
    with Dataset.open(path) as data:
        assert data.topology == mapping.topology
        assert data.atomistic == topology


def test_energies_may_be_unknown(tmp_path, mapping):
    frames = replace(random_frames(3), energies=None)
    with Dataset.open(write(tmp_path / "d.h5", mapping, frames)) as data:
        assert data.energies is None
        assert data.frames(0, 2).energies is None


def test_parts_of_the_frames(written):
    with Dataset.open(written) as data:
        everything = data.frames()
        parts = list(data.chunks(2))
        assert [part.n_frames for part in parts] == [2, 2, 1]
        for name, array in everything.arrays().items():
            pieces = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(pieces, array)


def append_to(path, mapping, *pieces, **options):
    given = {"force_map": "uniform", "source": {}, **options}
    with dataset_writer(path, mapping, append=True, **given) as append:
        for frames in pieces:
            append(frames)


def test_an_appending_writer_continues_a_file(tmp_path, mapping):
    path = tmp_path / "d.h5"
    parts = [random_frames(3, seed) for seed in range(5)]
    append_to(path, mapping, parts[0])
    append_to(path, mapping, *parts[1:3])
    append_to(path, mapping)
    append_to(path, mapping, *parts[3:])
    with Dataset.open(path) as data:
        assert not data.growing
        for name in ("positions", "energies", "walkers"):
            expected = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(getattr(data, name), expected)
    h5py.File(path).close()  # any program can read it


def test_an_appending_writer_continues_what_the_other_one_wrote(written, mapping):
    append_to(written, mapping, random_frames(2))
    with Dataset.open(written) as data:
        assert data.n_frames == 7


def test_an_appending_writer_refuses_other_data(tmp_path, mapping):
    path = tmp_path / "d.h5"
    append_to(path, mapping, random_frames(1))
    other = Mapping.builtin("core-beta", recipe("capped-alanine").topology, "unique")
    for options, message in [
        ({"mapping": other}, "another mapping_hash"),
        ({"force_map": "optimal"}, "another force_map"),
        ({"constraints": [[0, 1]], "position_noise": 0.1}, "another position_noise, constraints"),
    ]:
        with pytest.raises(ValueError, match=message):
            append_to(path, options.pop("mapping", mapping), random_frames(1), **options)
    with pytest.raises(ValueError, match="at least one frame"):
        append_to(tmp_path / "new.h5", mapping)


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_data_dataset import append_to, alanine_mapping, random_frames
from openmmcg.data import writing
mapping = alanine_mapping()
append_to(sys.argv[1], mapping, random_frames(4, 0))
original = writing._append
def dying(node, frames):
    if len(node["positions"]) == 12:
        node["positions"].resize(16, axis=0)  # between two arrays of a piece
        node["positions"].flush()
        os.kill(os.getpid(), 9)
    original(node, frames)
writing._append = dying
append_to(sys.argv[1], mapping, *(random_frames(4, seed) for seed in range(1, 9)))
"""


def test_a_killed_writer_leaves_a_readable_file(tmp_path, mapping):
    path = tmp_path / "d.h5"
    arguments = [sys.executable, "-c", KILLED, path, Path(__file__).parent]
    assert subprocess.run(arguments).returncode == -signal.SIGKILL
    expected = np.concatenate([random_frames(4, seed).forces for seed in range(3)])
    with Dataset.open(path) as data:
        assert data.growing
        assert data.n_frames == 12
        np.testing.assert_array_equal(data.forces, expected)
        assert len(data.positions) == 12
    append_to(path, mapping, random_frames(1))
    with Dataset.open(path) as data:
        assert not data.growing
        assert data.n_frames == 13
        np.testing.assert_array_equal(data.forces[:12], expected)
