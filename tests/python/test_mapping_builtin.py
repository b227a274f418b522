"""Built-in mappings against the tables of Goerlich and Zavadlav: beads atom by atom, and types."""

from __future__ import annotations

import mdtraj as md
import numpy as np
import pytest
from mapping_systems import alkane, canonical, hexanes, peptide, water
from openmmcg.mapping import Mapping, builtins

ALA = ("ACE", "ALA", "NME")
CORE = [("ACE", "C"), ("ALA", "N"), ("ALA", "CA"), ("ALA", "C"), ("NME", "N")]
CORE_BETA = [*CORE[:3], ("ALA", "CB"), *CORE[3:]]
HEAVY = [
    *[("ACE", "CH3"), ("ACE", "C"), ("ACE", "O")],
    *[("ALA", name) for name in ("N", "CA", "CB", "C", "O")],
    *[("NME", "N"), ("NME", "CH3")],
]


def atoms_of(mapping):
    """Residue and name of the atom of every bead."""
    assert (mapping.slice_atoms >= 0).all()
    atoms = [mapping.atomistic.atom(int(i)) for i in mapping.slice_atoms]
    return [(a.residue.name, a.name) for a in atoms]


def check_centres_of_mass(mapping, members):
    """Compare M with mass-weighted rows over the given atoms."""
    masses = np.array([a.element.mass for a in mapping.atomistic.atoms])
    expected = np.zeros((len(members), mapping.n_atoms))
    for bead, atoms in enumerate(members):
        expected[bead, atoms] = masses[atoms] / masses[atoms].sum()
    np.testing.assert_allclose(mapping.matrix, expected, atol=1e-14)


# Atoms of hexane are C HHH, C HH, ...: carbon k and its hydrogens.
_UNITS = [range(4), range(4, 7), range(7, 10), range(10, 13), range(13, 16), range(16, 20)]


def carbons(*numbers):
    return [atom for k in numbers for atom in _UNITS[k - 1]]


def first(*numbers):
    return [[_UNITS[k - 1][0]] for k in numbers]


@pytest.mark.parametrize(
    ("name", "members", "types"),
    [
        ("hexane-six", first(1, 2, 3, 4, 5, 6), [2, 1, 1, 1, 1, 2]),
        ("hexane-four", first(2, 3, 4, 5), [1, 2, 2, 1]),
        ("hexane-three", [carbons(1, 2), carbons(3, 4), carbons(5, 6)], [1, 2, 1]),
        ("hexane-two", [carbons(1, 2, 3), carbons(4, 5, 6)], [1, 1]),
        ("hexane-two-map2", [carbons(1, 2, 3), carbons(4, 5, 6)], [1, 2]),
        ("hexane-a3", [carbons(1, 2, 3, 4), carbons(5, 6)], [1, 2]),
        ("hexane-a4", [carbons(1, 2, 3), carbons(4), carbons(5, 6)], [1, 2, 3]),
    ],
)
def test_hexane(name, members, types):
    mapping = Mapping.builtin(name, hexanes(1))
    check_centres_of_mass(mapping, members)
    assert canonical(mapping.types) == canonical(types)
    assert mapping.name == name
    n = len(members)
    assert mapping.bonds.tolist() == [[i, i + 1] for i in range(n - 1)]
    liquid = Mapping.builtin(name, hexanes(3))
    assert liquid.types.tolist() == mapping.types.tolist() * 3
    assert liquid.type_names == mapping.type_names
    for copy in range(3):
        block = liquid.matrix[copy * n : (copy + 1) * n, copy * 20 : (copy + 1) * 20]
        np.testing.assert_array_equal(block, mapping.matrix)


def test_hexane_carbons_are_found_along_the_chain_not_by_name_or_order():
    order = [3, 0, 5, 1, 4, 2]  # atom k of the file is carbon order[k] + 1 of the chain
    top = md.Topology()
    res = top.add_residue("LIG", top.add_chain(), 1)
    at = {chain: top.add_atom("C", md.element.carbon, res) for chain in order}
    for k in range(5):
        top.add_bond(at[k], at[k + 1])
    for k in range(6):
        for _ in range(3 if k in (0, 5) else 2):
            top.add_bond(at[k], top.add_atom("H", md.element.hydrogen, res))
    # The end with the lower index is carbon 1.
    assert Mapping.builtin("hexane-six", top).slice_atoms.tolist() == [
        order.index(k) for k in range(6)
    ]


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("core", [1, 2, 1, 1, 2]),
        ("core-single", [1] * 5),
        ("core-map2", [1, 2, 3, 4, 5]),
        ("core-beta", [1, 2, 1, 1, 1, 2]),
        ("core-beta-single", [1] * 6),
        ("core-beta-map2", [1, 2, 3, 4, 5, 6]),
        ("core-beta-map3", [1, 2, 3, 3, 2, 1]),
        ("core-beta-map4", [1, 2, 1, 1, 1, 3]),
        ("core-beta-map5", [2, 1, 1, 1, 1, 2]),
        ("heavy", [1, 1, 2, 3, 1, 1, 1, 2, 3, 1]),
        ("heavy-map2", [1, 2, 3, 4, 5, 1, 2, 3, 4, 1]),
    ],
)
def test_slices_of_capped_alanine(name, types):
    mapping = Mapping.builtin(name, peptide(*ALA))
    beads = CORE_BETA if "beta" in name else HEAVY if "heavy" in name else CORE
    assert atoms_of(mapping) == beads
    assert canonical(mapping.types) == canonical(types)


def test_united_atoms_of_capped_alanine():
    top = peptide(*ALA)
    mapping = Mapping.builtin("united-atom", top)
    index = {(a.residue.name, a.name): a.index for a in top.atoms}
    members = [
        sorted(index[key] for key in group)
        for group in (
            [("ACE", n) for n in ("CH3", "HH31", "HH32", "HH33")],
            [("ACE", "C")],
            [("ACE", "O")],
            [("ALA", "N"), ("ALA", "H")],
            [("ALA", "CA"), ("ALA", "HA")],
            [("ALA", n) for n in ("CB", "HB1", "HB2", "HB3")],
            [("ALA", "C")],
            [("ALA", "O")],
            [("NME", "N"), ("NME", "H")],
            [("NME", n) for n in ("CH3", "HH31", "HH32", "HH33")],
        )
    ]  # fmt: skip
    check_centres_of_mass(mapping, members)
    # 1 CH3, 2 C, 3 O, 4 NH, 5 CH
    assert canonical(mapping.types) == canonical([1, 2, 3, 4, 5, 1, 2, 3, 4, 1])
    assert mapping.type_names == ("CH3", "C", "O", "HN", "CH")


@pytest.mark.parametrize(
    ("residue", "heavy"),
    [
        ("GLY", ["N", "CA", "C", "O"]),
        ("PRO", ["N", "CD", "CG", "CB", "CA", "C", "O"]),
        ("THR", ["N", "CA", "CB", "CG2", "OG1", "C", "O"]),
    ],
)
def test_glycine_proline_and_threonine(residue, heavy):
    top = peptide("ACE", residue, "NME")
    ends = [("ACE", "C")], [("NME", "N")]

    def beads(*names):
        inside = [(residue, name) for name in names if name != "CB" or residue != "GLY"]
        return [*ends[0], *inside, *ends[1]]

    assert atoms_of(Mapping.builtin("core", top)) == beads("N", "CA", "C")
    assert atoms_of(Mapping.builtin("core-beta", top)) == beads("N", "CA", "CB", "C")
    whole = atoms_of(Mapping.builtin("heavy", top))
    assert whole == [
        *[("ACE", n) for n in ("CH3", "C", "O")],
        *[(residue, n) for n in heavy],
        *[("NME", n) for n in ("N", "CH3")],
    ]
    united = Mapping.builtin("united-atom", top)
    assert [(a.residue.name, a.name) for a in united.topology.atoms] == whole
    assert united.masses.sum() == pytest.approx(sum(a.element.mass for a in top.atoms))
    assert (np.diff(united.sparse.tocsc().indptr) == 1).all()  # each atom in one bead


def test_the_proline_ring_is_closed_in_heavy_atoms():
    mapping = Mapping.builtin("heavy", peptide("ACE", "PRO", "NME"))
    names = [a.name for a in mapping.topology.atoms]
    ring = {frozenset(names[i] for i in bond) for bond in mapping.bonds}
    assert frozenset(("N", "CD")) in ring and frozenset(("CD", "CG")) in ring
    assert len(mapping.bonds) == mapping.n_beads  # one ring


@pytest.mark.parametrize(
    ("name", "n_beads", "types"),
    [
        ("core", 47, [1, *[2, 1, 1] * 15, 2]),
        ("core-map2", 47, [1, *[2, 3, 4] * 15, 5]),
        ("core-beta", 62, [1, *[2, 1, 1, 1] * 15, 2]),
        ("core-beta-map2", 62, [1, *[2, 3, 4, 5] * 15, 6]),
        ("ca", 15, [1] * 15),
        ("ca-map2", 15, list(range(15))),
        ("ca-map3", 15, [*range(1, 8), 8, *range(7, 0, -1)]),
        ("ca-map4", 15, [1, 2] * 7 + [1]),
    ],
)
def test_fifteen_alanines(name, n_beads, types):
    mapping = Mapping.builtin(name, peptide("ACE", *["ALA"] * 15, "NME"))
    assert mapping.n_beads == n_beads
    assert canonical(mapping.types) == canonical(types)
    if name.startswith("ca"):
        assert {a for _, a in atoms_of(mapping)} == {"CA"}
        assert mapping.bonds.tolist() == [[i, i + 1] for i in range(14)]


def test_any_protein():
    top = peptide("ACE", "GLY", "TYR", "ALA", "NME")
    assert [f"{a.residue.name}-{a.name}" for a in Mapping.builtin("ca-cb", top).topology.atoms] == [
        "GLY-CA",
        "TYR-CA",
        "TYR-CB",
        "ALA-CA",
        "ALA-CB",
    ]
    five = Mapping.builtin("core-beta-o", top)
    assert [a.name for a in five.topology.atoms] == [
        *("C", "O"),
        *("N", "CA", "C", "O"),
        *("N", "CA", "CB", "C", "O") * 2,
        "N",
    ]
    com = Mapping.builtin("residue-com", top)
    check_centres_of_mass(com, [[a.index for a in r.atoms] for r in top.residues])
    assert com.type_names == ("ACE-COM", "GLY-COM", "TYR-COM", "ALA-COM", "NME-COM")


def test_water_with_solute_and_virtual_sites():
    top = peptide(*ALA)
    for number in range(3):
        water(top, number + 10, site=number == 1)
    for name in ("water-o", "water-com"):
        mapping = Mapping.builtin(name, top)
        assert mapping.n_beads == 3
        assert mapping.molecules.tolist() == [0, 1, 2]
        assert mapping.bonds.shape == (0, 2)
        np.testing.assert_allclose(mapping.masses, 18.015, atol=1e-3)
        assert not mapping.matrix[:, :22].any()
        assert len(mapping.type_names) == 1
        assert [len(g.beads) for g in mapping.molecule_groups] == [2, 1]
    assert Mapping.builtin("water-com", top, "element").type_names == ("H2O",)
    assert Mapping.builtin("water-o", top).slice_atoms.tolist() == [22, 25, 29]


def test_alkanes_of_several_lengths_leave_water_and_protein_out():
    top = peptide(*ALA)
    water(top)
    alkane(top, 7, "HEP")
    alkane(top, 6, "HEX")
    mapping = Mapping.builtin("alkane-3", top)
    formulas = [mapping.type_names[t] for t in mapping.types]
    assert formulas == ["C3H7", "C3H6", "CH3", "C3H7", "C3H7"]
    assert [a.name for a in mapping.topology.atoms] == ["C1", "C2", "C3", "C1", "C2"]
    assert mapping.bonds.tolist() == [[0, 1], [1, 2], [3, 4]]
    assert mapping.sparse.indices.min() == 25  # after the peptide and water
    assert [g.name for g in mapping.molecule_groups] == ["HEP", "HEX"]


def test_tails_of_a_lipid_start_at_its_head():
    # Two acyl chains of 8 and 6 carbons behind the carbonyl on glycol, numbered from the methyl.
    top = md.Topology()
    res = top.add_residue("LIP", top.add_chain(), 1)
    element = md.element
    head = [top.add_atom(f"G{i}", element.carbon, res) for i in range(2)]
    top.add_bond(*head)
    tails = []
    for carbon, length in zip(head, (8, 6), strict=True):
        tail = [top.add_atom("T", element.carbon, res) for _ in range(length)]
        oxygen, carbonyl = (
            top.add_atom("O", element.oxygen, res),
            top.add_atom("C", element.carbon, res),
        )
        top.add_bond(carbonyl, top.add_atom("O", element.oxygen, res))
        for a, b in zip(
            [carbon, oxygen, carbonyl, *tail[::-1]], [oxygen, carbonyl, *tail[::-1]], strict=False
        ):
            top.add_bond(a, b)
        tails.append([a.index for a in tail[::-1]])
    mapping = Mapping.builtin("alkane-4", top)
    rows = [np.flatnonzero(row).tolist() for row in mapping.matrix]
    expected = [sorted(t[i : i + 4]) for t in tails for i in range(0, len(t), 4)]
    assert rows == expected
    # The heads count to the first beads, which are bonded through them.
    assert [0, 1] in mapping.bonds.tolist() and [0, 2] in mapping.bonds.tolist()
    assert mapping.masses.sum() == pytest.approx(sum(a.element.mass for a in top.atoms))


def test_every_built_in_mapping_fits_its_system():
    mixture = peptide("ACE", "TYR", "ALA", "NME")
    water(mixture)
    alkane(mixture, 6)
    names = builtins()
    assert len(names) == len(set(names)) >= 30
    for name in names:
        mapping = Mapping.builtin(name, mixture)
        np.testing.assert_allclose(mapping.matrix.sum(axis=1), 1, atol=1e-14)
        assert mapping.name == name
        again = Mapping.from_dict(mapping.to_dict(), mixture)
        assert again.hash == mapping.hash and again.definition == mapping.definition


def test_built_in_mappings_of_other_molecules():
    with pytest.raises(ValueError, match="no molecule with 'all' that is an unbranched chain of 6"):
        Mapping.builtin("hexane-three", peptide(*ALA))
    with pytest.raises(ValueError, match=r"makes no bead.*HEX"):
        Mapping.builtin("water-o", hexanes(1))
    with pytest.raises(ValueError, match="did you mean 'hexane-three'"):
        Mapping.builtin("hexan-three", hexanes(1))
    with pytest.raises(ValueError, match="names the bead ACE-C.*, which this mapping has not"):
        Mapping.builtin("core-beta-map5", peptide("ALA", "ALA"))
