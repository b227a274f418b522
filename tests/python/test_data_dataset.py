"""Datasets: what is written is read, and damaged or foreign files are refused."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from openmmcg.data import Dataset, Frames, dataset_writer, recipe, write_dataset
from openmmcg.mapping import Mapping


@pytest.fixture(scope="module")
def mapping():
    return Mapping.builtin("core-beta", recipe("capped-alanine").topology, "name")


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
    path = write(tmp_path / "new" / "d.h5", mapping, frames, group="alanine")
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
        np.testing.assert_array_equal(data.frames().forces, frames.forces)


def test_units_and_format_are_in_the_file(written):
    with h5py.File(written) as file:
        assert file.attrs["format"] == "openmmcg-dataset"
        assert file.attrs["format_version"] == 1
        units = {name: array.attrs["units"] for name, array in file["system"].items()}
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
    file.attrs["format_version"] = 2


def edit_units(file):
    file["system/positions"].attrs["units"] = "angstrom"


def edit_length(file):
    file["system/energies"].resize(4, axis=0)


def drop_array(file):
    del file["system/forces"]


def drop_attribute(file):
    del file["system"].attrs["topology"]


def replace_positions(file):
    del file["system/positions"]
    file["system/positions"] = 1.0


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edit_version, "format 2, this openmmcg reads 1; update"),
        (edit_units, "'positions' has units 'angstrom', expected 'nm'"),
        (edit_length, r"'energies' has shape \(4,\), expected \(5,\)"),
        (drop_array, "lacks forces"),
        (drop_attribute, "lacks topology"),
        (replace_positions, r"'positions' has shape \(\)"),
    ],
)
def test_tampered_files(written, edit, message):
    with h5py.File(written, "a") as file:
        edit(file)
    with pytest.raises(ValueError, match=message):
        Dataset.open(written)


def test_attributes_are_plain_values(written):
    """Other languages can read them: integers, text and JSON."""
    with h5py.File(written) as file:
        attributes = dict(file["system"].attrs)
    assert json.loads(attributes["mapping"])["name"] == "core-beta"
    assert list(attributes["type_names"]) == ["C", "N", "CA", "CB"]
    assert json.loads(attributes["topology"])["beads"][3] == ["CB", "C", 1]
