"""Mapping files of OpenMSCG, read and written."""

from __future__ import annotations

import copy

import mdtraj as md
import numpy as np
import pytest
import yaml
from mapping_systems import alkane, hexanes, peptide, water
from openmmcg.mapping import Mapping, load_mapping

METHANOL = """
site-types:
  CH3:
    index:    [   0,   1,   2,   3]
    x-weight: [12.0, 1.0, 1.0, 1.0]
    f-weight: [ 1.0, 1.0, 1.0, 1.0]
  OH:
    index:    [   0,   1]
    x-weight: [16.0, 1.0]
    f-weight: [ 1.0, 1.0]
system:
  - anchor: 0
    repeat: 10
    offset: 6
    sites:
      - [CH3, 0]
      - [OH,  4]
"""


def methanol(count):
    top = md.Topology()
    for number in range(count):
        res = top.add_residue("MOH", top.add_chain(), number + 1)
        symbols = ("C", "H", "H", "H", "O", "H")
        atoms = [
            top.add_atom(f"{s}{i}", md.element.get_by_symbol(s), res) for i, s in enumerate(symbols)
        ]
        for i, j in ((0, 1), (0, 2), (0, 3), (0, 4), (4, 5)):
            top.add_bond(atoms[i], atoms[j])
    return top


def written(tmp_path, data):
    path = tmp_path / "map.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


def test_methanol(tmp_path):
    path = written(tmp_path, METHANOL)
    top = methanol(10)
    mapping = Mapping.from_openmscg(path, top)
    assert mapping.n_beads == 20
    assert mapping.type_names == ("CH3", "OH")
    assert mapping.types.tolist() == [0, 1] * 10
    np.testing.assert_allclose(mapping.matrix[2, 6:10], np.array([12, 1, 1, 1]) / 15)
    np.testing.assert_allclose(mapping.matrix[3, 10:12], np.array([16, 1]) / 17)
    assert mapping.bonds.tolist() == [[2 * i, 2 * i + 1] for i in range(10)]
    # The sum of forces, which is what the file says.
    np.testing.assert_array_equal(mapping.force_weights.toarray(), mapping.matrix != 0)
    # Recognised without being told, and rebuilt from what a dataset keeps.
    for again in (Mapping.from_yaml(path, top), load_mapping(str(path), top)):
        assert again.hash == mapping.hash
    again = Mapping.from_dict(mapping.to_dict(), top)
    assert again.hash == mapping.hash
    np.testing.assert_array_equal(again.force_weights.toarray(), mapping.force_weights.toarray())


def test_beads_come_in_the_order_of_residues(tmp_path):
    data = yaml.safe_load(METHANOL)
    data["system"] = [
        {"anchor": 0, "repeat": 10, "offset": 6, "sites": [["CH3", 0]]},
        {"anchor": 4, "repeat": 10, "offset": 6, "sites": [["OH", 0]]},
    ]
    top = methanol(10)
    mapping = Mapping.from_openmscg(written(tmp_path, data), top)
    assert mapping.hash == Mapping.from_openmscg(written(tmp_path, METHANOL), top).hash


def test_nested_groups_repeat_from_the_anchor_around_them(tmp_path):
    data = {
        "site-types": {
            "E": {"index": [-1, 0], "x-weight": [1, 3]},
            "M": {"index": [0], "x-weight": [2]},
        },
        "system": [
            {
                "anchor": 20,
                "repeat": 2,
                "offset": 20,
                "groups": [
                    {"anchor": 0, "repeat": 1, "offset": 0, "sites": [["E", 1]]},
                    {"anchor": 4, "repeat": 3, "offset": 3, "sites": [["M", 0]]},
                ],
            }
        ],
    }
    mapping = Mapping.from_openmscg(written(tmp_path, data), hexanes(3))
    rows = [np.flatnonzero(row).tolist() for row in mapping.matrix]
    assert rows == [[20, 21], [24], [27], [30], [40, 41], [44], [47], [50]]
    np.testing.assert_allclose(mapping.matrix[0, 20:22], [0.25, 0.75])
    assert mapping.force_weights is None
    assert mapping.types.tolist() == [0, 1, 1, 1] * 2


@pytest.mark.parametrize(
    ("name", "topology"),
    [
        ("hexane-three", hexanes(5)),
        ("hexane-six", hexanes(3)),
        ("core-beta-map2", peptide("ACE", "ALA", "GLY", "PRO", "NME")),
        ("united-atom", peptide("ACE", "THR", "NME")),
    ],
)
def test_round_trip(name, topology, tmp_path):
    mapping = Mapping.builtin(name, topology)
    path = tmp_path / "out.yaml"
    mapping.to_openmscg(path)
    again = Mapping.from_openmscg(path, topology)
    assert again.hash == mapping.hash
    np.testing.assert_array_equal(again.masses, mapping.masses)
    again.to_openmscg(tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_text() == path.read_text()


def test_a_liquid_is_written_as_one_repeated_group(tmp_path):
    top = hexanes(50)
    for number in range(3):
        alkane(top, 5, "PEN", number)
        water(top)  # unmapped, between the pentanes
    path = tmp_path / "out.yaml"
    Mapping.builtin("alkane-3", top).to_openmscg(path)
    data = yaml.safe_load(path.read_text())
    groups = [(g["anchor"], g["repeat"], g["offset"]) for g in data["system"]]
    assert groups == [(0, 50, 20), (1000, 3, 20)]
    assert "C3H7@2" in data["site-types"]  # the other half of hexane has another order of atoms
    masses = data["site-types"]["C3H7"]["x-weight"]
    assert masses[:2] == [md.element.carbon.mass, md.element.hydrogen.mass]


def test_force_maps_are_written_and_kept(tmp_path):
    top = hexanes(2)
    mapping = Mapping.builtin("hexane-six", top)
    force_map = mapping.matrix.copy()
    force_map[0, 1:4] = [0.5, 0.25, 1.0]  # hydrogens of the first carbon: any weight will do
    path = tmp_path / "out.yaml"
    mapping.to_openmscg(path, force_map)
    again = Mapping.from_openmscg(path, top)
    assert again.hash == mapping.hash
    np.testing.assert_array_equal(again.force_weights.toarray(), force_map)
    with pytest.raises(ValueError, match=r"force map has shape \(3, 40\)"):
        mapping.to_openmscg(path, force_map[:3])


def test_force_weights_that_are_no_force_map(tmp_path):
    data = yaml.safe_load(METHANOL)
    data["site-types"]["CH3"]["f-weight"] = [12 / 15, 1 / 15, 1 / 15, 1 / 15]
    with pytest.raises(ValueError, match=r"f-weight\) of bead MOH1-CH3 are no force map.*leave"):
        Mapping.from_openmscg(written(tmp_path, data), methanol(10))


def test_shared_atoms_must_be_allowed(tmp_path):
    data = yaml.safe_load(METHANOL)
    for site in data["site-types"].values():
        del site["f-weight"]
    data["system"][0]["sites"] = [["CH3", 0], ["OH", 0]]
    path = written(tmp_path, data)
    with pytest.raises(ValueError, match="MOH1-C0 is claimed by the beads 'CH3' and 'OH'"):
        Mapping.from_openmscg(path, methanol(10))
    mapping = Mapping.from_openmscg(path, methanol(10), shared=True)
    assert mapping.bonds.tolist() == [[2 * i, 2 * i + 1] for i in range(10)]


def changed(*keys, value):
    data = copy.deepcopy(yaml.safe_load(METHANOL))
    inner = data
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed("system", 0, "repeat", value=11), "Site CH3 at anchor 60 names atom 63.*0 to 59"),
        (changed("system", 0, "anchor", value=-1), "Site CH3 at anchor -1 names atom -1"),
        (changed("system", 0, "repeat", value=0), "group 1: 'repeat' is 0, expected a whole"),
        (changed("system", 0, "ofset", value=1), "unknown key ofset .did you mean 'offset'"),
        (
            changed("site-types", "OH", "weight", value=[1]),
            "site type OH has the unknown key weight",
        ),
        (changed("site-types", "OH", "index", value=[0]), "'x-weight' has 2 numbers for 1 atoms"),
        (changed("site-types", "OH", "index", value=[0, 0]), "'index' lists 0 twice"),
        (changed("site-types", "OH", "index", value=[0, 0.5]), "'index' is 0.5, expected a whole"),
        (changed("site-types", "OH", "x-weight", value=[-1, 2]), "Site OH has weights"),
        (
            changed("system", 0, "sites", value=[["OHH", 0]]),
            "no site type 'OHH' .did you mean 'OH'",
        ),
        (changed("system", 0, "sites", value=["OH"]), "a site is 'OH', expected"),
        (changed("system", value=[]), "'system' is \\[\\], expected a list with entries"),
        (changed("site-types", value=[]), "'site-types' is \\[\\], expected named"),
    ],
)
def test_malformed_files(data, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        Mapping.from_openmscg(written(tmp_path, data), methanol(10))
    assert "\n" not in str(error.value)
