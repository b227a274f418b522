"""Mappings on capped alanine, glycine and hexane: matrices, types, bonds, masses, errors."""

from __future__ import annotations

import json
from dataclasses import replace

import mdtraj as md
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_systems import hexanes, peptide
from openmmcg.mapping import (
    ENCODINGS,
    Mapping,
    builtins,
    load_mapping,
    topology_from_dict,
    topology_to_dict,
)

ELEMENT = md.element


@pytest.fixture(scope="module")
def alanine():
    return peptide("ACE", "ALA", "NME").to_openmm()


def definition(*beads, residues="all", encoding="element"):
    return {
        "format": 1,
        "name": "test",
        "encoding": encoding,
        "templates": [{"residues": residues, "beads": list(beads)}],
    }


THREE_SITE = definition(
    {"name": "E", "select": "name C1 C2 H10 H11 H12 H20 H21"},
    {"name": "M", "select": "name C3 C4 H30 H31 H40 H41"},
    {"name": "E", "select": "name C5 C6 H50 H51 H60 H61 H62"},
)


def test_core_beta_of_capped_alanine(alanine):
    mapping = Mapping.builtin("core-beta", alanine)
    atoms = list(alanine.atoms())
    chosen = [(atoms[i].residue.name, atoms[i].name) for i in mapping.slice_atoms]
    assert chosen == [
        ("ACE", "C"),
        ("ALA", "N"),
        ("ALA", "CA"),
        ("ALA", "CB"),
        ("ALA", "C"),
        ("NME", "N"),
    ]
    assert mapping.matrix.shape == (6, 22)
    np.testing.assert_array_equal(mapping.matrix.sum(axis=1), 1)
    assert mapping.types.tolist() == [0, 1, 0, 0, 0, 1]
    assert mapping.type_names == ("C", "N")
    assert mapping.bonds.tolist() == [[0, 1], [1, 2], [2, 3], [2, 4], [4, 5]]
    assert mapping.molecules.tolist() == [0] * 6
    # C(ACE) carries O and CH3, CB its three hydrogens, N(NME) hydrogen and methyl.
    expected = [12.011 * 2 + 15.999 + 3 * 1.008, 15.015, 13.019, 15.035, 28.010, 30.049]
    np.testing.assert_allclose(mapping.masses, expected, atol=2e-3)
    np.testing.assert_allclose(
        mapping.masses.sum(), sum(a.element.mass._value for a in atoms), atol=2e-3
    )
    assert [(a.residue.name, a.residue.resSeq, a.name) for a in mapping.topology.atoms][3] == (
        "ALA",
        2,
        "CB",
    )
    assert mapping.topology.n_bonds == 5


def test_core_leaves_out_cb_and_bonds_skip_it(alanine):
    mapping = Mapping.builtin("core", alanine)
    assert [a.name for a in mapping.topology.atoms] == ["C", "N", "CA", "C", "N"]
    assert mapping.bonds.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    # CB and its hydrogens count to CA.
    assert mapping.masses[2] == pytest.approx(28.053, abs=2e-3)


def test_glycine_has_no_cb():
    mapping = Mapping.builtin("core-beta", peptide("ACE", "GLY", "NME"))
    assert [a.name for a in mapping.topology.atoms] == ["C", "N", "CA", "C", "N"]


def test_openmm_and_mdtraj_topologies_agree(alanine):
    a = Mapping.builtin("core-beta", alanine)
    b = Mapping.builtin("core-beta", md.Topology.from_openmm(alanine))
    assert a.hash == b.hash


@pytest.mark.parametrize(
    ("encoding", "types", "names"),
    [
        ("element", [0, 1, 0, 0, 0, 1], ("C", "N")),
        ("name", [0, 1, 2, 3, 0, 1], ("C", "N", "CA", "CB")),
        (
            "residue-name",
            [0, 1, 2, 3, 4, 5],
            ("ACE-C", "ALA-N", "ALA-CA", "ALA-CB", "ALA-C", "NME-N"),
        ),
        (
            "unique",
            [0, 1, 2, 3, 4, 5],
            ("ACE1-C", "ALA2-N", "ALA2-CA", "ALA2-CB", "ALA2-C", "NME3-N"),
        ),
        ("one", [0] * 6, ("bead",)),
        ({"list": [2, 1, 1, 1, 1, 2]}, [0, 1, 1, 1, 1, 0], ("2", "1")),
    ],
)
def test_encodings(alanine, encoding, types, names):
    mapping = Mapping.builtin("core-beta", alanine, encoding)
    assert mapping.types.tolist() == types
    assert mapping.type_names == names


def test_bad_encodings(alanine):
    with pytest.raises(ValueError, match="colour.*" + ".*".join(ENCODINGS)):
        Mapping.builtin("core", alanine, "colour")
    with pytest.raises(ValueError, match="2 labels for 5 beads"):
        Mapping.builtin("core", alanine, {"list": ["a", "b"]})


def test_centre_of_mass_beads_of_two_molecules():
    top = hexanes(2)
    mapping = Mapping.from_dict(THREE_SITE, top)
    positions = np.random.default_rng(0).normal(size=(4, top.n_atoms, 3))
    np.testing.assert_allclose(mapping.matrix.sum(axis=1), 1, atol=1e-15)
    trajectory = md.Trajectory(positions, top)
    for bead, row in enumerate(mapping.matrix):
        part = trajectory.atom_slice(np.flatnonzero(row))
        centre = md.compute_center_of_mass(part)
        np.testing.assert_allclose(mapping.apply(positions)[:, bead], centre, atol=1e-6)
    assert mapping.molecules.tolist() == [0, 0, 0, 1, 1, 1]
    assert mapping.bonds.tolist() == [[0, 1], [1, 2], [3, 4], [4, 5]]
    assert mapping.type_names == ("C2H5", "C2H4")
    assert mapping.slice_atoms.tolist() == [-1] * 6
    assert mapping.topology.atom(0).element.symbol == "VS"


def test_geometric_and_listed_weights():
    top = hexanes(1)
    bead = {"name": "A", "select": "name C1 H10"}
    row = Mapping.from_dict(definition({**bead, "weights": "geometric"}), top).matrix[0]
    assert row[:2].tolist() == [0.5, 0.5]
    row = Mapping.from_dict(definition({**bead, "weights": [3, 1]}), top).matrix[0]
    assert row[:2].tolist() == [0.75, 0.25]
    with pytest.raises(ValueError, match="3 weights for the 2 atoms"):
        Mapping.from_dict(definition({**bead, "weights": [1, 1, 1]}), top)
    with pytest.raises(ValueError, match="must not be negative"):
        Mapping.from_dict(definition({**bead, "weights": [2, -1]}), top)


@pytest.mark.parametrize("shuffle", [None, 1, 2, 3])
def test_contraction_does_not_depend_on_the_order_of_bonds(shuffle):
    # C2 and C3 lie between the beads C1 and C4; C5 and C6 hang on C4.
    beads = [{"name": n, "select": f"name {n}"} for n in ("C1", "C4")]
    mapping = Mapping.from_dict(definition(*beads), hexanes(1, shuffle))
    assert mapping.bonds.tolist() == [[0, 1]]
    carbon, hydrogen = ELEMENT.carbon.mass, ELEMENT.hydrogen.mass
    np.testing.assert_allclose(
        mapping.masses, [2 * carbon + 5 * hydrogen, 4 * carbon + 9 * hydrogen]
    )


@pytest.mark.parametrize("shuffle", [None, 1, 2, 3])
def test_a_tie_goes_to_the_lower_bead(shuffle):
    beads = [{"name": n, "select": f"name {n}"} for n in ("C3", "C5")]
    mapping = Mapping.from_dict(definition(*beads), hexanes(1, shuffle))
    carbon, hydrogen = ELEMENT.carbon.mass, ELEMENT.hydrogen.mass
    np.testing.assert_allclose(
        mapping.masses, [4 * carbon + 9 * hydrogen, 2 * carbon + 5 * hydrogen]
    )


def test_a_molecule_without_beads_is_unmapped():
    top = hexanes(2)
    mapping = Mapping.from_dict(
        {**THREE_SITE, "templates": [{**THREE_SITE["templates"][0], "residues": "resid 1"}]}, top
    )
    assert mapping.molecules.tolist() == [0, 0, 0]
    assert not mapping.matrix[:, :20].any()
    assert mapping.masses.sum() == pytest.approx(sum(a.element.mass for a in top.atoms) / 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_molecules_are_made_whole_in_triclinic_boxes(seed):
    rng = np.random.default_rng(seed)
    top = hexanes(2)
    mapping = Mapping.from_dict(THREE_SITE, top)
    a, b, c = rng.uniform(1, 2, size=3)
    box = np.array(
        [
            [a, 0, 0],
            [rng.uniform(-a, a) / 2, b, 0],
            [rng.uniform(-a, a) / 2, rng.uniform(-b, b) / 2, c],
        ]
    )
    whole = rng.uniform(0, 0.2, size=(3, top.n_atoms, 3)) + rng.normal(size=(3, 1, 3))
    wrapped = whole + rng.integers(-2, 3, size=whole.shape) @ box
    # Each molecule stays where its first atom is.
    for first in (0, 20):
        molecule = slice(first, first + 20)
        whole[:, molecule] += (wrapped - whole)[:, first : first + 1]
    np.testing.assert_allclose(mapping.apply(wrapped, box), mapping.apply(whole), atol=1e-12)
    boxes = np.tile(box, (3, 1, 1))
    np.testing.assert_array_equal(mapping.apply(wrapped, boxes), mapping.apply(wrapped, box))


def test_recipe_survives_json_and_yaml(alanine, tmp_path):
    mapping = Mapping.builtin("core-beta", alanine, {"list": list("abcdef")})
    again = Mapping.from_dict(json.loads(json.dumps(mapping.to_dict())), alanine)
    assert again.hash == mapping.hash
    assert again.to_dict() == mapping.to_dict()
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(mapping.to_dict()))
    assert load_mapping(str(path), alanine).hash == mapping.hash
    assert load_mapping("core-beta", alanine, "name").type_names[2] == "CA"


def test_topology_survives_json(alanine):
    topology = Mapping.builtin("core-beta", alanine).topology
    again = topology_from_dict(json.loads(json.dumps(topology_to_dict(topology))))
    assert again == topology
    assert again.n_bonds == 5


def test_hash_sees_matrix_types_and_bonds(alanine):
    top = hexanes(1)
    base = Mapping.from_dict(THREE_SITE, top)
    changed = json.loads(json.dumps(THREE_SITE))
    changed["templates"][0]["beads"][0]["weights"] = "geometric"
    hashes = {
        base.hash,
        Mapping.from_dict(changed, top).hash,
        Mapping.from_dict({**THREE_SITE, "encoding": "name"}, top).hash,
        Mapping.from_dict({**THREE_SITE, "encoding": "one"}, top).hash,
        replace(base, bonds=base.bonds[:1]).hash,
    }
    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"format": 3}, "format 3.*reads the formats 1 to 2"),
        ({"templates": []}, "'templates' is \\[\\]"),
        ({"colour": "red"}, "unknown key colour"),
        ({"name": True}, "'name' is True"),
        ({"encoding": 3}, "'encoding' is 3"),
        ({"templates": [{"residues": "all"}]}, "template 1 lacks beads"),
        ({"templates": ["all"]}, "template 1 is str"),
    ],
)
def test_malformed_definitions_say_where(bad, message):
    with pytest.raises(ValueError, match=message):
        Mapping.from_dict({**THREE_SITE, **bad}, hexanes(1))


@pytest.mark.parametrize(
    ("bead", "message"),
    [
        ({"name": "A"}, "bead 1 lacks select"),
        ({"name": "A", "select": "name C1", "weights": "heavy"}, "'weights' is 'heavy'"),
        ({"name": "A", "select": "name C1", "weights": ["x"]}, "expected numbers"),
        ({"name": "A", "select": "name C1", "optional": "maybe"}, "true or false"),
        ({"name": "A", "select": "name Q"}, "'A' of residue HEX1 selects no atom"),
        ({"name": "A", "select": "name ("}, "cannot read the selection"),
    ],
)
def test_bad_beads_say_where(bead, message):
    with pytest.raises(ValueError, match=message):
        Mapping.from_dict(definition(bead), hexanes(1))


def test_an_atom_belongs_to_one_bead():
    beads = [{"name": n, "select": "name C1"} for n in "AB"]
    with pytest.raises(ValueError, match="HEX1-C1 is claimed by the beads 'A' and 'B'"):
        Mapping.from_dict(definition(*beads), hexanes(1))


def test_mappings_that_do_not_fit(alanine, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'core-beta-single'.*core, core-beta"):
        Mapping.builtin("core-beta-singel", alanine)
    assert {"core", "core-beta"} < set(builtins())
    with pytest.raises(ValueError, match=r"makes no bead.*HEX"):
        Mapping.builtin("core", hexanes(1))
    with pytest.raises(FileNotFoundError, match=r"mine\.yaml"):
        load_mapping(str(tmp_path / "mine.yaml"), alanine)
    (tmp_path / "bad.yaml").write_text("name: [")
    with pytest.raises(ValueError, match="not a readable YAML"):
        load_mapping(str(tmp_path / "bad.yaml"), alanine)
    with pytest.raises(ValueError, match="MDTraj or OpenMM topology, found str"):
        Mapping.builtin("core", "alanine.pdb")
    bare = hexanes(1)
    bare._bonds.clear()
    with pytest.raises(ValueError, match="no bonds"):
        Mapping.from_dict(THREE_SITE, bare)


def test_wrong_number_of_atoms(alanine):
    mapping = Mapping.builtin("core", alanine)
    with pytest.raises(ValueError, match=r"\(5, 3\).*22, 3"):
        mapping.apply(np.zeros((5, 3)))
