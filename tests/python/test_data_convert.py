"""Datasets to other layouts and back: the same frames, in the units stated, or one sentence."""

from __future__ import annotations

import h5py
import numpy as np
import openmm
import pytest
from openmmcg import cli
from openmmcg.data import (
    ConvertConfig,
    Dataset,
    Frames,
    convert,
    open_trajectory,
    recipe,
    write_dataset,
)
from openmmcg.mapping import Mapping

KCAL, EV = 4.184, 96.48533212
N = 5


@pytest.fixture(scope="module")
def alanine():
    return recipe("capped-alanine")


@pytest.fixture(scope="module")
def mapping(alanine):
    return Mapping.builtin("core-beta", alanine.topology, "name")


def make_frames(boxes=True, n_frames=N):
    rng = np.random.default_rng(0)
    return Frames(
        positions=rng.normal(size=(n_frames, 6, 3)).astype("f4"),
        forces=rng.normal(scale=500, size=(n_frames, 6, 3)).astype("f4"),
        energies=rng.normal(size=n_frames) - 100,
        temperatures=np.full(n_frames, 310.0),
        bias_energies=np.zeros(n_frames),
        walkers=np.arange(n_frames) // 3,
        weights=np.linspace(0.5, 1.5, n_frames),
        boxes=np.tile([[3, 0, 0], [0.5, 3, 0], [0, 0.2, 4]], (n_frames, 1, 1)) if boxes else None,
    )


@pytest.fixture(params=[True, False], ids=["box", "no box"])
def dataset(request, tmp_path, mapping):
    return write_dataset(
        tmp_path / "d.h5", mapping, make_frames(request.param), force_map="optimal", source={}
    )


def run(source, output, **options):
    return convert(ConvertConfig(str(source), str(output), **options), progress=False)


ROUND_TRIPS = {
    "npz": ("x.npz", {}, {}),
    "npz in kcal": (
        "x.npz",
        {"length_unit": "angstrom", "force_unit": "kcal/mol/angstrom", "energy_unit": "kcal/mol"},
        {},
    ),
    "extxyz": ("x.extxyz", {}, {}),
    "extxyz in kJ": (
        "x.xyz",
        {"length_unit": "nm", "force_unit": "kJ/mol/nm", "energy_unit": "kJ/mol"},
        {},
    ),
    "extxyz by type": ("x.extxyz", {"species": "type"}, {}),
    "mlcg": ("x.h5", {}, {"temperature": 310.0}),
    "mlcg in kJ": (
        "x.h5",
        {"length_unit": "nm", "force_unit": "kJ/mol/nm"},
        {"temperature": 310.0},
    ),
}


@pytest.mark.parametrize("layout", list(ROUND_TRIPS))
def test_round_trips(tmp_path, dataset, mapping, layout):
    name, out_options, back_options = ROUND_TRIPS[layout]
    run(dataset, tmp_path / name, **out_options)
    run(tmp_path / name, tmp_path / "back.h5", like=str(dataset), **back_options)
    with Dataset.open(dataset) as old, Dataset.open(tmp_path / "back.h5") as new:
        assert new.mapping_on_atoms().hash == mapping.hash
        assert new.force_map == "optimal"
        np.testing.assert_allclose(new.positions, old.positions, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(new.forces, old.forces, rtol=1e-6, atol=1e-4)
        np.testing.assert_array_equal(new.temperatures, old.temperatures)
        if "mlcg" in layout:
            assert new.boxes is None and new.energies is None
            return
        np.testing.assert_allclose(new.energies, old.energies, rtol=1e-9)
        assert (new.boxes is None) == (old.boxes is None)
        if old.boxes is not None:
            np.testing.assert_allclose(new.boxes, old.boxes, rtol=1e-6, atol=1e-7)
        if "npz" in layout:
            np.testing.assert_allclose(new.weights, old.weights)
            np.testing.assert_array_equal(new.walkers, old.walkers)


def test_npz_is_plain(tmp_path, dataset, mapping):
    run(dataset, tmp_path / "x.npz", length_unit="angstrom")
    frames = make_frames()
    with np.load(tmp_path / "x.npz") as data:
        np.testing.assert_allclose(data["positions"], frames.positions * 10, rtol=1e-6)
        np.testing.assert_array_equal(data["forces"], frames.forces)
        np.testing.assert_array_equal(data["types"], mapping.types)
        assert data["type_names"].tolist() == list(mapping.type_names)
        assert str(data["length_unit"]) == "angstrom"
        assert str(data["force_unit"]) == "kJ/mol/nm"


def test_mlcg_layout(tmp_path, mapping):
    """What mlcg's H5Dataset reads: names, types from 1, number of frames, its units."""
    path = tmp_path / "d.h5"
    options = {"force_map": "uniform", "source": {}, "group": "ala"}
    write_dataset(path, mapping, make_frames(), **options)
    run(path, tmp_path / "m.h5")
    frames = make_frames()
    with h5py.File(tmp_path / "m.h5") as file:
        node = file["ala/ala"]
        assert node["cg_coords"].dtype == node["cg_delta_forces"].dtype == np.float32
        np.testing.assert_allclose(node["cg_coords"], frames.positions * 10, rtol=1e-6)
        np.testing.assert_allclose(node["cg_delta_forces"], frames.forces / KCAL / 10, rtol=1e-6)
        np.testing.assert_array_equal(node.attrs["cg_embeds"], mapping.types + 1)
        assert node.attrs["N_frames"] == N


def test_extxyz_text(tmp_path, mapping):
    frames = make_frames(n_frames=2)
    write_dataset(tmp_path / "d.h5", mapping, frames, force_map="uniform", source={})
    run(tmp_path / "d.h5", tmp_path / "x.extxyz")
    lines = (tmp_path / "x.extxyz").read_text().splitlines()
    assert len(lines) == 2 * 8
    assert lines[0] == lines[8] == "6"
    assert 'Lattice="30 0 0 5 30 0 0 2 40"' in lines[1]
    assert "Properties=species:S:1:pos:R:3:forces:R:3" in lines[1]
    assert "force_unit=eV/angstrom" in lines[1]
    assert [line.split()[0] for line in lines[2:8]] == ["C", "N", "C", "C", "C", "N"]
    row = np.array(lines[10].split()[1:], dtype=float)
    np.testing.assert_allclose(row[:3], frames.positions[1, 0] * 10, rtol=1e-6)
    np.testing.assert_allclose(row[3:], frames.forces[1, 0] / (EV * 10), rtol=1e-6)


def test_extxyz_of_others(tmp_path, dataset):
    """Columns in another order, no units: the convention's, or the user's."""
    text = ""
    rng = np.random.default_rng(1)
    positions, forces = rng.normal(size=(2, 3, 6, 3))
    for k in range(3):
        text += f"6\nProperties=id:I:1:forces:R:3:pos:R:3:species:S:1 energy={k}.5\n"
        for bead in range(6):
            numbers = [*forces[k, bead], *positions[k, bead]]
            text += f"{bead} {' '.join(map(repr, map(float, numbers)))} C\n"
    (tmp_path / "x.xyz").write_text(text)
    like = {"like": str(dataset), "temperature": 300.0}
    with Dataset.open(run(tmp_path / "x.xyz", tmp_path / "a.h5", **like)) as data:
        np.testing.assert_allclose(data.positions, positions / 10, rtol=1e-6)
        np.testing.assert_allclose(data.forces, forces * EV * 10, rtol=1e-6)
        np.testing.assert_allclose(data.energies, np.array([0.5, 1.5, 2.5]) * EV, rtol=1e-8)
        assert data.boxes is None
    options = {"force_unit": "kcal/mol/A", "energy_unit": "kcal/mol", **like}
    with Dataset.open(run(tmp_path / "x.xyz", tmp_path / "b.h5", **options)) as data:
        np.testing.assert_allclose(data.forces, forces * KCAL * 10, rtol=1e-6)


def test_a_mapping_instead_of_a_dataset(tmp_path, dataset, alanine, mapping):
    run(dataset, tmp_path / "x.npz")
    pdb = tmp_path / "ala.pdb"
    with open(pdb, "w") as file:
        openmm.app.PDBFile.writeFile(alanine.topology, alanine.positions * 10, file)
    options = {"mapping": "core-beta", "encoding": "name", "topology": str(pdb)}
    with Dataset.open(run(tmp_path / "x.npz", tmp_path / "new.h5", **options)) as data:
        assert data.mapping_hash == mapping.hash
        assert data.force_map == "unknown"
        assert data.source["inputs"][0]["path"].endswith("x.npz")


def test_the_reader_jumps(tmp_path, dataset):
    """Frames of extended XYZ are found at once, in any order."""
    from openmmcg.data import Units
    from openmmcg.data.converters.extxyz import ExtxyzTrajectory

    run(dataset, tmp_path / "x.extxyz")
    frames = make_frames()
    with ExtxyzTrajectory(tmp_path / "x.extxyz", Units()) as found:
        np.testing.assert_allclose(found.read(3, 5).positions, frames.positions[3:5], atol=1e-6)
        np.testing.assert_allclose(found.read(0, 5, 2).positions, frames.positions[::2], atol=1e-6)


def refused(source, output, message, **options):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        run(source, output, **options)
    assert "\n" not in str(caught.value)
    assert not output.exists()


def test_refusals(tmp_path, mapping, alanine):
    dataset = write_dataset(
        tmp_path / "d.h5", mapping, make_frames(), force_map="optimal", source={}
    )
    out = tmp_path / "out.h5"
    like = {"like": str(dataset)}
    refused(tmp_path / "none.npz", out, "There is no file")
    refused(dataset, tmp_path / "out.dcd", "datasets are written as")
    run(dataset, tmp_path / "x.npz")
    refused(tmp_path / "x.npz", tmp_path / "out.extxyz", "it can only become one")
    refused(tmp_path / "x.npz", out, "What the beads are is not known")
    refused(tmp_path / "x.npz", out, "not both", mapping="core", **like)
    refused(tmp_path / "x.npz", out, "not both", topology="a.pdb", **like)
    with pytest.raises(ValueError, match="exists already"):
        run(dataset, dataset)
    positions = make_frames().positions
    np.savez(tmp_path / "p.npz", positions=positions, length_unit="nm")
    refused(tmp_path / "p.npz", out, "holds no forces; a dataset needs both", **like)
    units = {"length_unit": "nm", "force_unit": "kJ/mol/nm"}
    np.savez(tmp_path / "t.npz", positions=positions, forces=positions, **units)
    refused(tmp_path / "t.npz", out, "temperature of .* is missing", **like)
    np.savez(tmp_path / "u.npz", positions=positions, forces=positions)
    refused(tmp_path / "u.npz", out, "does not say its unit", temperature=300.0, **like)
    five = positions[:, :5]
    np.savez(tmp_path / "b.npz", positions=five, forces=five, **units)
    refused(tmp_path / "b.npz", out, "has 5 beads, .* has 6", temperature=300.0, **like)
    bad = positions.copy()
    bad[3, 2, 1] = np.nan
    np.savez(tmp_path / "n.npz", positions=positions, forces=bad, **units)
    refused(tmp_path / "n.npz", out, "Frame 3 of .* has forces", temperature=300.0, **like)
    with pytest.raises(ValueError, match="species is 'colour'"):
        ConvertConfig("a", "b", species="colour")


def test_delta_forces_are_not_taken_for_forces(tmp_path, mapping):
    dataset = write_dataset(
        tmp_path / "d.h5", mapping, make_frames(), force_map="optimal", source={}
    )
    frames = make_frames()
    path = tmp_path / "mlcg.h5"
    with h5py.File(path, "w") as file:
        for name in ("a", "b"):
            node = file.create_group(f"set/{name}")
            node["cg_coords"], node["cg_delta_forces"] = frames.positions, frames.forces
            node.attrs["cg_embeds"] = mapping.types
    options = {"like": str(dataset), "temperature": 300.0}
    out = tmp_path / "out.h5"
    refused(path, out, "holds set/a, set/b; name one", **options)
    refused(path, out, "there is no 'set/c'", group="set/c", **options)
    refused(path, out, "holds delta forces, but datasets hold full", group="set/b", **options)
    run(path, out, group="set/b", full_forces=True, **options)
    with Dataset.open(out) as data:
        np.testing.assert_allclose(data.forces, frames.forces * KCAL * 10, rtol=1e-6)


def test_truncated_files(tmp_path, mapping):
    dataset = write_dataset(
        tmp_path / "d.h5", mapping, make_frames(), force_map="optimal", source={}
    )
    options = {"like": str(dataset), "temperature": 310.0}
    for name in ("x.npz", "x.extxyz", "x.h5"):
        content = run(dataset, tmp_path / name).read_bytes()
        for cut in (len(content) - 60, len(content) // 2, 3, 0):
            (tmp_path / name).write_bytes(content[:cut])
            refused(tmp_path / name, tmp_path / "out.h5", "truncated|not an|damaged", **options)
        (tmp_path / name).unlink()
    content = dataset.read_bytes()
    dataset.write_bytes(content[: len(content) // 2])
    refused(dataset, tmp_path / "y.npz", "truncated")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("six\n", "begins with 'six', expected a number"),
        ("1\npbc=F\nC 1 2 3\n2\n\nC 1 2 3\nC 1 2 3\n", "2 atoms in frame 1, 1 before"),
        ("1\nProperties=species:S:1\nC\n", "no column 'pos'"),
        ("1\n\nC 1 2 3\n\n1\n\nC 1 2 3\n", "empty line at frame 1"),
    ],
)
def test_bad_extxyz(tmp_path, text, message):
    (tmp_path / "x.xyz").write_text(text)
    refused(tmp_path / "x.xyz", tmp_path / "out.h5", message)


def test_one_bad_number(tmp_path, dataset):
    path = run(dataset, tmp_path / "x.extxyz")
    lines = path.read_text().splitlines()
    lines[2 * 8 + 4] = "C 1 2 x 4 5 6"
    path.write_text("\n".join(lines) + "\n")
    refused(path, tmp_path / "out.h5", "frame 2 is not complete", like=str(dataset))


def test_the_command(tmp_path, dataset, capsys):
    output = tmp_path / "x.npz"
    assert cli.main(["convert", "--source", str(dataset), "--output", str(output)]) == 0
    assert f"{N} frames" in capsys.readouterr().out
    with open_trajectory(output) as found:
        assert found.n_frames == N
    arguments = ["convert", "--source", str(output), "--output", str(tmp_path / "b.h5")]
    assert cli.main(arguments) == 2
    assert "not known" in capsys.readouterr().err
    assert cli.main([*arguments, "--like", str(dataset)]) == 0
