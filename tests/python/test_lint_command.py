"""Constraints, the command `openmm-cg lint`, datasets, pictures, and the lint before a training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mdtraj as md
import numpy as np
import openmm
import peptide_frames
import pytest
from lint_molecules import chains, dimers, halves, mapped, peptide
from openmm import app
from openmmcg import cli
from openmmcg.data import Dataset, Frames, fit_force_map, recipe, write_dataset
from openmmcg.data.linting.command import LintConfig, lint_dataset
from openmmcg.data.sampling.all_atom import AtomFrames, atom_writer
from openmmcg.mapping import Mapping, lint
from openmmcg.mapping.linting import (
    check_constraints,
    draw,
    hydrogen_constraints,
)
from openmmcg.training import TrainConfig, train

TWO_SITE = """
format: 1
name: hexane-halves
encoding: one
templates:
  - residues: all
    beads:
      - {name: A, select: "name =~ 'C[123]|H[123].*'"}
      - {name: B, select: "name =~ 'C[456]|H[456].*'"}
"""


def command(capsys, *arguments):
    status = cli.main(["lint", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def alanine(tmp_path_factory):
    """PDB file and System (XML) of capped alanine."""
    folder = tmp_path_factory.mktemp("alanine")
    molecule = recipe("capped-alanine")
    with open(folder / "ala.pdb", "w") as file:
        app.PDBFile.writeFile(molecule.topology, molecule.positions, file)
    forcefield = app.ForceField("amber14-all.xml")
    system = forcefield.createSystem(molecule.topology, constraints=app.HBonds)
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(system))
    return folder


def hexane_dataset(path, separation):
    """Dataset of hexane halves on a grid."""
    mapping = halves(chains(64))
    positions, boxes = dimers(separation, spread=0.02)
    return write(path, mapping, positions, boxes)


def write(path, mapping, positions, boxes=None, force_map="uniform", constraints=None):
    count = len(positions)
    frames = Frames(
        positions=positions.astype("f4"),
        forces=np.random.default_rng(0).normal(size=positions.shape).astype("f4"),
        energies=np.zeros(count),
        temperatures=np.full(count, 300.0),
        bias_energies=np.zeros(count),
        walkers=np.arange(count) * 2 // count,
        boxes=None if boxes is None else boxes.astype("f4"),
    )
    source = {"by": "a test"}
    return write_dataset(
        path, mapping, frames, force_map=force_map, source=source, constraints=constraints
    )


# Constraints


def test_hydrogen_constraints_are_those_of_openmm(alanine):
    molecule = recipe("capped-alanine")
    topology = md.Topology.from_openmm(molecule.topology)
    system = openmm.XmlSerializer.deserialize((alanine / "system.xml").read_text())
    expected = {
        tuple(sorted(system.getConstraintParameters(k)[:2]))
        for k in range(system.getNumConstraints())
    }
    assert {tuple(sorted(pair)) for pair in hydrogen_constraints(topology).tolist()} == expected


def water(beads, count=2):
    top = md.Topology()
    for number in range(count):
        res = top.add_residue("HOH", top.add_chain(), number + 1)
        oxygen = top.add_atom("O", md.element.oxygen, res)
        for name in ("H1", "H2"):
            top.add_bond(oxygen, top.add_atom(name, md.element.hydrogen, res))
    return mapped(top, {name: f"name {name}" for name in beads}, "name")


def test_rigid_water_is_a_triangle():
    assert hydrogen_constraints(water(["O"]).atomistic).tolist() == [
        [0, 1],
        [0, 2],
        [1, 2],
        [3, 4],
        [3, 5],
        [4, 5],
    ]


@pytest.mark.parametrize(
    ("name", "force_map", "severity"),
    [
        ("ca", "slice", "error"),
        ("ca", None, "error"),
        ("ca", "uniform", "info"),
        ("ca", "optimal", "info"),
        ("core-beta", "slice", "error"),
        ("core-beta", "uniform", "info"),
        ("united-atom", "slice", "info"),
    ],
)
def test_slices_that_cut_constraints(name, force_map, severity):
    mapping = Mapping.builtin(name, recipe("capped-alanine").topology)
    constraints = hydrogen_constraints(mapping.atomistic)
    (finding,) = check_constraints(mapping, constraints, force_map)
    assert (finding.kind, finding.severity) == ("constraints", severity)
    assert bool(finding.cure) == (severity == "error")
    # fit_force_map refuses exactly the same.
    if severity == "error":
        with pytest.raises(ValueError, match="splits"):
            fit_force_map(mapping, kind="slice", constraints=constraints)
        assert finding.numbers["examples"][-1]["bead"] in {"ALA2:CA", "NME3:N"}
    else:
        fit_force_map(
            mapping, kind="slice" if force_map == "slice" else "uniform", constraints=constraints
        )


def test_force_maps_themselves_are_checked():
    mapping = Mapping.builtin("ca", recipe("capped-alanine").topology)
    constraints = hydrogen_constraints(mapping.atomistic)
    good = fit_force_map(mapping, kind="uniform", constraints=constraints)
    bad = fit_force_map(mapping, kind="uniform")
    assert [f.severity for f in check_constraints(mapping, constraints, good)] == ["info"]
    (finding,) = check_constraints(mapping, constraints, bad)
    assert finding.severity == "error"
    assert finding.numbers["examples"][0]["cluster"] == ["ALA2:CA", "ALA2:HA"]


def test_beads_that_share_a_cluster():
    mapping = water(["O", "H1"])
    (finding,) = check_constraints(mapping, hydrogen_constraints(mapping.atomistic), "optimal")
    assert finding.severity == "error"
    assert finding.numbers["shared"] == 2
    assert finding.beads == (0, 1, 2, 3)


def test_no_constraints_and_foreign_ones():
    mapping = water(["O"])
    (finding,) = check_constraints(mapping, np.zeros((0, 2), int), "slice")
    assert (finding.severity, finding.title) == ("info", "No constraints")
    with pytest.raises(ValueError, match="atom 6, the mapping has 6 atoms"):
        check_constraints(mapping, np.array([[0, 6]]))


# Pictures


def test_every_finding_has_its_picture(tmp_path):
    positions, boxes = dimers(0.35, spread=0.02)
    findings = lint(halves(chains(64)), positions, boxes)
    findings += lint(halves(chains(64), {"list": [1, 2] * 64}))
    long = Mapping.builtin("core", peptide(*["ALA"] * 45), "one")
    findings += lint(long, constraints=hydrogen_constraints(long.atomistic))
    drawn = draw(findings, tmp_path / "pictures")
    assert {f.kind for f in drawn} == {"gap", "symmetry", "stereo", "constraints"}
    for number, finding in enumerate(drawn, start=1):
        assert finding.picture == tmp_path / "pictures" / f"{number}-{finding.kind}.png"
        content = finding.picture.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(content) > 5000
    assert len(list((tmp_path / "pictures").iterdir())) == len(drawn)


# Command


def test_mapping_on_a_topology(capsys, alanine):
    arguments = ("--mapping", "core", "--topology", alanine / "ala.pdb", "--constraints", "none")
    status, out, _ = command(capsys, *arguments)
    text = " ".join(out.replace("│", " ").split())
    assert status == 0
    assert "Mapping core" in text
    assert "stereo" in text
    assert "No constraints" in text


@pytest.mark.parametrize("constraints", ["hbonds", "system.xml"])
def test_an_error_is_the_exit_status(capsys, alanine, tmp_path, constraints):
    source = alanine / constraints if constraints.endswith("xml") else constraints
    arguments = ["--mapping", "ca", "--topology", alanine / "ala.pdb", "--constraints", source]
    status, out, _ = command(capsys, *arguments, "--output", tmp_path / "lint", "--json")
    assert status == 1
    report = json.loads(out)
    assert report == json.loads((tmp_path / "lint" / "lint.json").read_text())
    assert [f["kind"] for f in report["findings"]] == ["constraints", "stereo"]
    assert report["findings"][0]["severity"] == "error"
    for finding in report["findings"]:
        assert Path(finding["picture"]).is_file()
    status, _, _ = command(capsys, *arguments, "--force_map", "optimal")
    assert status == 0


def test_unknown_constraints_are_said_to_be_unknown(capsys, alanine):
    status, out, _ = command(
        capsys, "--mapping", "core-beta", "--topology", alanine / "ala.pdb", "--json"
    )
    (finding,) = (f for f in json.loads(out)["findings"] if f["kind"] == "constraints")
    assert status == 0
    assert "--constraints is not given" in finding["message"]


def test_trajectory(capsys, tmp_path):
    """Atoms of each half at its bead: the distances are those of the beads; frames thin out."""
    positions, boxes = dimers(0.35, spread=0.02, frames=130)
    topology = chains(64)
    half = np.repeat(np.arange(128), 10)
    lengths = boxes[:, range(3), range(3)]
    atoms = np.mod(positions[:, half], lengths[:, None])
    trajectory = md.Trajectory(
        atoms, topology, unitcell_lengths=lengths, unitcell_angles=np.full((130, 3), 90.0)
    )
    trajectory.save_dcd(str(tmp_path / "hexane.dcd"))
    trajectory[0].save_pdb(str(tmp_path / "hexane.pdb"))
    (tmp_path / "two.yaml").write_text(TWO_SITE)
    arguments = ["--mapping", tmp_path / "two.yaml", "--topology", tmp_path / "hexane.pdb"]
    arguments += ["--trajectory", tmp_path / "hexane.dcd", "--frames", 30]
    status, out, _ = command(capsys, *arguments, "--json")
    (gap,) = (f for f in json.loads(out)["findings"] if f["kind"] == "gap")
    assert status == 0
    assert gap["severity"] == "warning"
    assert gap["numbers"]["inter_min"] == pytest.approx(0.35, abs=1e-4)
    assert gap["numbers"]["bond_max"] == pytest.approx(0.42, abs=1e-4)
    assert gap["numbers"]["frames"] == 30
    status, out, _ = command(capsys, *arguments)
    assert "0.35" in out
    assert "gap" in out


def test_trajectory_that_knows_atoms_and_constraints(capsys, tmp_path):
    """All-atom frames of `openmm-cg sample` need nothing besides."""
    topology = peptide("ALA")
    constraints = hydrogen_constraints(topology)
    positions = np.random.default_rng(0).normal(size=(4, topology.n_atoms, 3)).astype("f4")
    values = np.zeros(4)
    frames = AtomFrames(positions, positions, values, values + 300.0, np.zeros(4, dtype="i4"))
    path = tmp_path / "d.atoms.h5"
    with atom_writer(path, topology, constraints) as write_frames:
        write_frames(frames)
    status, out, _ = command(capsys, "--mapping", "ca", "--trajectory", path, "--json")
    assert status == 1
    kinds = {f["kind"]: f for f in json.loads(out)["findings"]}
    assert kinds["constraints"]["numbers"]["cut"] == 1
    assert "No force map is named" in kinds["constraints"]["message"]
    arguments = ["--mapping", "ca", "--trajectory", path, "--topology"]
    other = md.Trajectory(np.zeros((1, 20, 3)), chains(1))
    other.save_pdb(str(tmp_path / "other.pdb"))
    status, _, err = command(capsys, *arguments, tmp_path / "other.pdb")
    assert status == 2
    assert "has 22 atoms, the topology 20" in err


def test_dataset(capsys, tmp_path):
    path = hexane_dataset(tmp_path / "hexane.h5", 0.5)
    status, out, _ = command(capsys, "--dataset", path, "--json")
    report = json.loads(out)
    assert status == 0
    assert report["mapping"] == "test"
    kinds = {f["kind"]: f for f in report["findings"]}
    assert set(kinds) == {"gap", "constraints"}
    assert kinds["gap"]["numbers"]["gap"] == pytest.approx(0.08, abs=1e-5)
    assert "not known" in kinds["constraints"]["message"]


def test_dataset_of_the_first_format_gets_the_gap_alone():
    with Dataset.open(Path(__file__).parent.parent / "data" / "dataset-v1.h5") as dataset:
        findings = lint_dataset(dataset)
    assert [f.title for f in findings] == ["Not applicable", "The gap alone is checked"]
    assert "does not hold the atomistic topology" in findings[1].message


def test_dataset_with_another_mapping_than_its_definition(tmp_path):
    """Types were changed after the mapping was made: what was mapped how is not known."""
    made = halves(chains(64))
    changed = replace(made, types=np.arange(128) % 2, type_names=("A", "B"))
    positions, boxes = dimers(0.35)
    with Dataset.open(write(tmp_path / "d.h5", changed, positions, boxes)) as dataset:
        findings = lint_dataset(dataset)
    assert [(f.kind, f.severity) for f in findings] == [("gap", "warning"), ("symmetry", "info")]
    assert findings[0].numbers["pairs"][0]["types"] == ["A", "B"]
    assert "hashes differ" in findings[1].message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "nothing to lint"),
        ({"mapping": "core"}, "nothing to lint"),
        ({"dataset": "a.h5", "mapping": "core"}, "mapping is given too"),
        ({"dataset": "a.h5", "frames": 0}, "expected at least 1"),
    ],
)
def test_settings_that_say_nothing(settings, message):
    with pytest.raises(ValueError, match=message):
        LintConfig(**settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--topology": "missing.pdb"}, "There is no topology file missing.pdb"),
        ({"--trajectory": "missing.dcd"}, "There is no trajectory missing.dcd"),
        ({"--trajectory": "ala.pdb.txt"}, "cannot be read"),
        ({"--trajectory": "missing.h5"}, "There is no trajectory missing.h5"),
        ({"--constraints": "angles"}, "expected none, hbonds, or the XML file"),
        ({"--topology": "system.xml"}, "MDTraj cannot read a topology"),
    ],
)
def test_bad_input_is_a_sentence(capsys, alanine, monkeypatch, changes, message):
    monkeypatch.chdir(alanine)
    (alanine / "ala.pdb.txt").write_text("nothing")
    arguments = {"--mapping": "core", "--topology": "ala.pdb", **changes}
    status, _, err = command(capsys, *(word for pair in arguments.items() for word in pair))
    assert status == 2
    assert message in err
    assert "Traceback" not in err


# Training


def peptide_dataset(path, force_map, encoding="name"):
    molecule = recipe("capped-alanine")
    mapping = Mapping.builtin("core-beta", molecule.topology, encoding)
    rng = np.random.default_rng(1)
    positions = peptide_frames.frames(*rng.uniform(-180, 180, (2, 60)), rng)
    return write(path, mapping, positions, None, force_map, hydrogen_constraints(mapping.atomistic))


def settings(dataset, output, **changes):
    values = {"width": 8, "rbf": 4, "interactions": 1, "epochs": 1, "batch_size": 8}
    return TrainConfig(str(dataset), str(output), **{**values, "accelerator": "cpu", **changes})


def test_training_prints_warnings(capsys, tmp_path):
    data = peptide_dataset(tmp_path / "d.h5", "uniform", {"list": [1, 2, 3, 3, 2, 1]})
    train(settings(data, tmp_path / "t"))
    out = capsys.readouterr().out
    assert "warning (symmetry): Beads of ACE-ALA-NME can change places" in out
    assert "warning (stereo)" in out
    assert "info (" not in out
    # A run that goes on may leave the lint out.
    train(settings(data, tmp_path / "t", lint=False))
    assert "warning (" not in capsys.readouterr().out


def test_an_error_stops_the_training(tmp_path):
    data = peptide_dataset(tmp_path / "d.h5", "slice")
    with pytest.raises(ValueError, match="constraint cluster.*'uniform' or 'optimal'.*lint=false"):
        train(settings(data, tmp_path / "t"))
    assert not (tmp_path / "t").exists()
    assert train(settings(data, tmp_path / "t", lint=False), progress=False).is_dir()
