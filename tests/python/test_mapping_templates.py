"""Residue and molecule templates, shared atoms, encodings per molecule, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import mdtraj as md
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_systems import alkane, canonical, hexanes, peptide, water
from openmmcg.mapping import BeadTemplate, Mapping, MappingDefinition, MoleculeTemplate


def recipe(*templates, **more):
    return {"format": 2, "name": "test", "templates": list(templates), **more}


def molecules(*beads, select="all", **more):
    return {"molecules": select, "beads": list(beads), **more}


def residues(*beads, select="all", **more):
    return {"residues": select, "beads": list(beads), **more}


def bead(name="A", **more):
    return {"name": name, **more}


HALVES = molecules(bead(carbons="1-3"), bead("B", carbons=[4, 5, 6]), chain=6)


def test_molecule_templates_span_residues():
    top = peptide("ACE", "ALA", "NME")
    data = recipe(molecules(bead("W", select="name C N"), bead("X", select="name CA", type="x")))
    mapping = Mapping.from_dict(data, top)
    assert [len(np.flatnonzero(row)) for row in mapping.matrix] == [4, 1]
    assert mapping.type_names == ("W", "x")
    assert [str(a) for a in mapping.topology.atoms] == ["ACE1-W", "ALA2-X"]


def test_a_mixture_with_unmapped_solvent():
    top = hexanes(2)
    water(top)
    top = top.join(peptide("ACE", "ALA", "NME"))
    data = recipe(HALVES, residues(bead("CA", select="name CA"), select="resname ALA"))
    mapping = Mapping.from_dict(data, top)
    assert [g.name for g in mapping.molecule_groups] == ["HEX", "ACE-ALA-NME"]
    liquid, solute = mapping.molecule_groups
    assert liquid.atoms.shape == (2, 20) and liquid.beads.tolist() == [[0, 1], [2, 3]]
    assert solute.atoms.tolist() == [list(range(43, 65))] and solute.beads.tolist() == [[4]]
    assert not mapping.matrix[:, 40:43].any()


def test_the_first_template_that_applies_is_used():
    top = hexanes(2)
    one = residues(bead("M", select="all"), select="resid 0")
    mapping = Mapping.from_dict(recipe(one, HALVES), top)
    assert [a.name for a in mapping.topology.atoms] == ["M", "A", "B"]
    part = residues(bead("CB", select="name CB"), select="resname ALA")
    with pytest.raises(ValueError, match="Template 2 .* molecule ACE1, of which template 1 maps"):
        Mapping.from_dict(recipe(part, molecules(bead(select="all"))), peptide("ACE", "ALA"))


def test_chain_beads_take_hydrogens_along_unless_they_are_slices():
    top = hexanes(1)
    data = recipe(molecules(bead(carbons=2), bead("B", carbons=3, weights="slice")))
    rows = [np.flatnonzero(row).tolist() for row in Mapping.from_dict(data, top).matrix]
    assert rows == [[4, 5, 6], [7]]
    each = Mapping.from_dict(recipe(residues({"each": "element C", "weights": "geometric"})), top)
    assert [a.name for a in each.topology.atoms] == [f"C{k}" for k in range(1, 7)]
    np.testing.assert_allclose(each.matrix[0, :4], 0.25)


def test_explicit_types_are_the_default_encoding_if_there_are_any():
    beads = bead(carbons=1, type="end"), bead("B", carbons=2), bead("C", carbons=6, type="end")
    mapping = Mapping.from_dict(recipe(molecules(*beads)), hexanes(1))
    assert [mapping.type_names[t] for t in mapping.types] == ["end", "B", "end"]
    assert Mapping.from_dict(recipe(molecules(*beads), encoding="one"), hexanes(1)).type_names == (
        "bead",
    )


@pytest.mark.parametrize(
    ("encoding", "one_molecule"),
    [
        ("unique", [0, 1, 2, 3, 4, 5]),
        ("palindromic", [0, 1, 2, 2, 1, 0]),
        ("alternating", [0, 1, 0, 1, 0, 1]),
        ("united", [0, 1, 1, 1, 1, 0]),
        ({"list": list("abccba")}, [0, 1, 2, 2, 1, 0]),
        ({"unique": {"HEX-C2": "x", "HEX-C4": "x"}}, [0, 1, 2, 1, 3, 4]),
    ],
)
def test_encodings_repeat_with_equal_molecules(encoding, one_molecule):
    top = hexanes(100)
    mapping = Mapping.builtin("hexane-six", top, encoding)
    assert canonical(mapping.types) == one_molecule * 100
    assert len(mapping.type_names) == len(set(one_molecule))
    assert mapping.type_names == Mapping.builtin("hexane-six", hexanes(1), encoding).type_names


def test_unlike_molecules_do_not_share_numbered_types():
    top = hexanes(2)
    alkane(top, 5, "HEX", number=1)
    data = recipe(molecules(bead("C", every=2)), encoding="unique")
    mapping = Mapping.from_dict(data, top)
    assert canonical(mapping.types) == [0, 1, 2, 0, 1, 2, 3, 4, 5]
    assert mapping.type_names[0] == "HEX1-C1#0"  # both kinds have a HEX1-C1
    with pytest.raises(ValueError, match="3 labels for 9 beads"):
        Mapping.from_dict({**data, "encoding": {"list": list("abc")}}, top)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 5))
def test_groups_and_masses_of_alkane_mixtures(lengths, every):
    top = md.Topology()
    for number, length in enumerate(lengths, start=1):
        alkane(top, length, f"C{length}", number)
    mapping = Mapping.from_dict(recipe(molecules(bead("C", every=every))), top)
    assert mapping.n_beads == sum(-(-length // every) for length in lengths)
    assert {g.name: len(g.atoms) for g in mapping.molecule_groups} == {
        f"C{n}": lengths.count(n) for n in lengths
    }
    masses = np.array([a.element.mass for a in top.atoms])
    # All atoms lie in beads, so a bead weighs what its atoms weigh.
    np.testing.assert_allclose(mapping.masses, (mapping.matrix != 0) @ masses)
    for group in mapping.molecule_groups:
        for atoms, beads in zip(group.atoms, group.beads, strict=True):
            block = mapping.matrix[np.ix_(beads, atoms)]
            np.testing.assert_array_equal(
                block, mapping.matrix[np.ix_(group.beads[0], group.atoms[0])]
            )
            assert (
                mapping.matrix[np.ix_(beads, np.delete(np.arange(top.n_atoms), atoms))].sum() == 0
            )


SHARED = [bead(carbons="1-3"), bead("B", carbons="3-4"), bead("C", carbons="5-6")]


@pytest.mark.parametrize("whole", [True, False])
def test_shared_atoms(whole):
    beads = SHARED if whole else [{**b, "shared": True} for b in SHARED[:2]] + SHARED[2:]
    data = recipe(molecules(*beads), **({"shared": True} if whole else {}))
    mapping = Mapping.from_dict(data, hexanes(1))
    assert mapping.bonds.tolist() == [[0, 1], [1, 2]]
    np.testing.assert_allclose(mapping.matrix.sum(axis=1), 1)
    mass = {s: md.element.get_by_symbol(s).mass for s in "CH"}
    ch2 = mass["C"] + 2 * mass["H"]
    total = 6 * mass["C"] + 14 * mass["H"]
    # The CH2 of both is divided by its weights in A (of 43 Da) and B (of 28 Da).
    a, b = 1 / (3 * mass["C"] + 7 * mass["H"]), 1 / (2 * ch2)
    expected = 2 * ch2 + mass["H"] + ch2 * a / (a + b)
    np.testing.assert_allclose(mapping.masses[0], expected)
    np.testing.assert_allclose(mapping.masses.sum(), total)
    again = Mapping.from_dict(json.loads(json.dumps(mapping.to_dict())), hexanes(1))
    assert again.hash == mapping.hash


def test_beads_within_shared_ones_are_bonded_and_have_mass():
    inner = bead("B", carbons=2, weights="slice")
    mapping = Mapping.from_dict(
        recipe(molecules(bead(carbons="1-6"), inner), shared=True), hexanes(1)
    )
    assert mapping.bonds.tolist() == [[0, 1]]
    assert mapping.masses[1] > 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (recipe(molecules(*SHARED)), "HEX1-C3 is claimed by the beads 'A' and 'B'.*shared: true"),
        (
            recipe(molecules(bead(carbons=1, shared=True), bead("B", carbons=1))),
            "HEX1-C1 is claimed by the beads 'A' and 'B'",
        ),
        (
            recipe(molecules(*(bead(n, carbons=1) for n in "AB")), shared=True),
            "The 2 beads HEX1-A, HEX1-B share atoms in such a way that 1 of them",
        ),
        (recipe(molecules(bead(carbons=7))), "takes carbon 7 of its one .* chains of 6"),
        (recipe(molecules(bead(carbons="1-"))), "'carbons' is '1-', expected places"),
        (recipe(molecules(bead(carbons=0))), "'carbons' is 0, expected places"),
        (recipe(molecules(bead(every=0))), "'every' is 0, expected a whole number of at least 1"),
        (recipe(molecules(bead(every=2, weights=[1, 2]))), "list of weights, which needs 'select'"),
        (recipe(molecules(bead(every=2, weights="slice"))), "slice of several carbons"),
        (recipe(molecules(bead(select="all", every=2))), "has select and every of select, each"),
        (recipe(molecules(bead())), "has none of select, each, carbons, every"),
        (recipe(molecules({"every": 2})), "A bead with 'every' needs a name"),
        (
            recipe(molecules(bead(select="name C1 C2", weights="slice"))),
            "is a slice, but 'name C1 C2' selects 2 atoms .HEX1-C1, HEX1-C2.",
        ),
        (recipe(molecules(bead(select="name C9"))), "'A' of molecule HEX1 selects no atom with"),
        (recipe(molecules(bead(select="all"), select="name Q")), "no molecule with 'name Q'"),
        (recipe(residues(bead(select="all"), select="resname Q")), "no residue with 'resname Q'"),
        (recipe(molecules(bead(every=1), chain=5)), "unbranched chain of 5 carbons"),
        (recipe(molecules(bead(wieghts="mass"))), "key wieghts .did you mean 'weights'"),
        (recipe(molecules(bead(select="all")), encodign="one"), "did you mean 'encoding'"),
        (recipe(molecules(bead(select="all")), encoding="uniqe"), "did you mean 'unique'"),
        (recipe(molecules(bead(select="all")), shared=1), "'shared' is 1, expected true or false"),
        (
            recipe(molecules(bead(select="all")), encoding={"one": {"HEX-B": "x"}}),
            "names the bead HEX-B.*did you mean 'HEX-A'",
        ),
        ({**recipe(HALVES), "format": 1}, "template 1 has the unknown key .*molecules"),
    ],
)
def test_bad_recipes(data, message):
    with pytest.raises(ValueError, match=message) as error:
        Mapping.from_dict(data, hexanes(1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("weights", [[0, 0], [np.nan, 1.0], [np.inf, 1.0], [-1, 2]])
def test_bad_weights(weights):
    data = recipe(residues(bead(select="name C1 C2", weights=weights)))
    with pytest.raises(ValueError, match="weights must be finite and must not be negative"):
        Mapping.from_dict(data, hexanes(1))


def test_a_bead_needs_mass_and_one_molecule():
    top = md.Topology()
    water(top, site=True)
    top._bonds = top._bonds[:-1]
    with pytest.raises(ValueError, match="Bead HOH1-M has no mass"):
        Mapping.from_dict(recipe(residues(bead("M", select="name M"))), top)
    top._bonds = top._bonds[:-1]
    with pytest.raises(ValueError, match="atoms in two molecules.*bonds missing"):
        Mapping.from_dict(recipe(residues(bead("W", select="all"))), top)


def test_templates_from_python():
    template = MoleculeTemplate("all", (BeadTemplate("C", every=2),))
    definition = MappingDefinition("mine", (template,))
    mapping = Mapping.from_definition(definition, hexanes(1))
    assert mapping.n_beads == 3
    assert MappingDefinition.from_dict(definition.to_dict()) == definition
    with pytest.raises(ValueError, match="give exactly one"):
        BeadTemplate("C")


def test_the_example_of_the_documentation():
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
    example = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    top = peptide("ACE", "GLY", "TYR", "NME").join(hexanes(2))
    # The lipid is not optional in the example.
    example["templates"][1]["optional"] = True
    mapping = Mapping.from_dict(example, top)
    names = [f"{a.residue.name}-{a.name}" for a in mapping.topology.atoms]
    assert names == ["GLY-CA", "TYR-CA", "TYR-CB", *["HEX-A", "HEX-B"] * 2]
