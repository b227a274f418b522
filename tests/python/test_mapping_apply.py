"""Frames mapped in pieces, molecules made whole, CG topologies and PDB files."""

from __future__ import annotations

import json

import mdtraj as md
import numpy as np
import openmmcg.mapping.transform as transform
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_systems import hexanes, peptide, water
from openmm import unit
from openmm.app import PDBFile
from openmmcg.mapping import (
    Mapping,
    apply_matrix,
    topology_from_dict,
    topology_to_dict,
    write_pdb,
)
from scipy import sparse

NAMES = ("hexane-six", "hexane-three")


def triclinic(rng, n_frames):
    boxes = np.zeros((n_frames, 3, 3))
    boxes[:, range(3), range(3)] = rng.uniform(1.5, 2.5, (n_frames, 3))
    boxes[:, 1, 0] = rng.uniform(-0.5, 0.5, n_frames) * boxes[:, 0, 0]
    boxes[:, 2, 0] = rng.uniform(-0.5, 0.5, n_frames) * boxes[:, 0, 0]
    boxes[:, 2, 1] = rng.uniform(-0.5, 0.5, n_frames) * boxes[:, 1, 1]
    return boxes


def solution():
    """A ring with a tail, hexanes and water."""
    top = peptide("ACE", "PRO", "TYR", "NME")
    for number in range(4):
        water(top, number)
    return top.join(hexanes(2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*NAMES, "heavy", "residue-com", "water-com"])
@pytest.mark.parametrize("pieces", [1, 7, 10**6])
def test_frames_in_pieces_equal_the_dense_product(name, dtype, pieces, monkeypatch):
    mapping = Mapping.builtin(name, solution())
    monkeypatch.setattr(transform, "_PIECE", pieces * 3 * mapping.n_atoms)
    positions = np.random.default_rng(1).normal(size=(2, 9, mapping.n_atoms, 3)).astype(dtype)
    expected = np.einsum("ba,fgax->fgbx", mapping.matrix, positions.astype(np.float64))
    for found in (mapping.apply(positions), apply_matrix(mapping.sparse, positions)):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, atol=1e-14)
    np.testing.assert_allclose(mapping.apply(positions[:, ::-2]), expected[:, ::-2], atol=1e-14)
    np.testing.assert_allclose(mapping.apply(positions[0, 0]), expected[0, 0], atol=1e-14)
    assert mapping.apply(positions[:0]).shape == (0, 9, mapping.n_beads, 3)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["heavy", "residue-com", "water-com", *NAMES]))
def test_molecules_are_made_whole(seed, name):
    """Whole molecules, cut by random box vectors atom by atom, map to images of the same beads."""
    rng = np.random.default_rng(seed)
    mapping = Mapping.builtin(name, solution())
    boxes = triclinic(rng, 3)
    whole = rng.uniform(0, 0.4, (3, mapping.n_atoms, 3)) + rng.normal(size=(3, 1, 3))
    shifts = rng.integers(-2, 3, whole.shape)
    wrapped = whole + np.einsum("fai,fij->faj", shifts, boxes)
    beads = mapping.apply(wrapped, boxes)
    # Each molecule stays where its first atom is.
    label = _molecule_of(mapping)
    for number in range(label.max() + 1):
        atoms = np.flatnonzero(label == number)
        moved = np.einsum("fi,fij->fj", shifts[:, atoms[0]], boxes)
        whole[:, atoms] += moved[:, None]
    np.testing.assert_allclose(beads, mapping.apply(whole), atol=1e-12)
    one = mapping.apply(wrapped[0], boxes[0])
    np.testing.assert_allclose(one, beads[0], atol=1e-14)
    np.testing.assert_allclose(mapping.apply(wrapped.astype(np.float32), boxes), beads, atol=1e-5)


def _molecule_of(mapping):
    label = np.full(mapping.n_atoms, -1)
    for number, atoms in enumerate(mapping.atomistic.find_molecules()):
        label[[a.index for a in atoms]] = number
    return label


def test_translation_and_rotation_pass_through():
    rng = np.random.default_rng(3)
    mapping = Mapping.builtin("hexane-three", hexanes(2))
    positions = rng.normal(size=(4, 40, 3))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = positions @ rotation + [1.0, -2.0, 3.0]
    np.testing.assert_allclose(
        mapping.apply(moved), mapping.apply(positions) @ rotation + [1.0, -2.0, 3.0], atol=1e-13
    )


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (np.eye(3) * 0, "not finite or of no length"),
        (np.eye(3) * np.nan, "not finite or of no length"),
        (np.eye(3) + np.eye(3, k=1), "lower triangular"),
        (np.ones((2, 3, 3)), r"shape \(2, 3, 3\), expected \(3, 3\) or one box for each frame"),
        (np.ones(3), "not lengths"),
    ],
)
def test_bad_boxes(box, message):
    mapping = Mapping.builtin("hexane-three", hexanes(1))
    with pytest.raises(ValueError, match=message):
        mapping.apply(np.zeros((5, 20, 3)), box)


def test_wrong_number_of_atoms():
    mapping = Mapping.builtin("hexane-three", hexanes(1))
    with pytest.raises(ValueError, match=r"shape \(5, 22, 3\).*\(..., 20, 3\)"):
        mapping.apply(np.zeros((5, 22, 3)))


def test_dense_rows_take_the_dense_way():
    rng = np.random.default_rng(4)
    matrix = sparse.csr_array(rng.normal(size=(4, 30)))
    vectors = rng.normal(size=(6, 30, 3))
    np.testing.assert_allclose(
        apply_matrix(matrix, vectors), matrix.toarray() @ vectors, atol=1e-13
    )


def test_openmm_topology_and_pdb_keep_bonds_and_residues(tmp_path):
    mapping = Mapping.builtin("core-beta", peptide("ACE", "ALA", "GLY", "NME"))
    positions = np.random.default_rng(5).uniform(0, 2, size=(3, mapping.n_beads, 3))
    box = np.diag([2.0, 3.0, 4.0])
    box[1, 0] = 0.5
    path = tmp_path / "beads.pdb"
    write_pdb(mapping, positions[0], path, box)
    pdb = PDBFile(str(path))
    read = md.load(str(path))
    assert pdb.topology.getNumBonds() == len(mapping.bonds)
    openmm_bonds = sorted(sorted((a.index, b.index)) for a, b in mapping.openmm_topology().bonds())
    for bonds in (
        sorted(sorted((a.index, b.index)) for a, b in read.topology.bonds),
        sorted(sorted((a.index, b.index)) for a, b in pdb.topology.bonds()),
        openmm_bonds,
    ):
        assert bonds == mapping.bonds.tolist()
    assert [str(a) for a in read.topology.atoms] == [str(a) for a in mapping.topology.atoms]
    np.testing.assert_allclose(read.xyz[0], positions[0], atol=1e-4)
    np.testing.assert_allclose(read.unitcell_vectors[0], box, atol=1e-3)
    vectors = pdb.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer)
    np.testing.assert_allclose(np.array(vectors), box, atol=1e-3)


def test_pdb_of_a_liquid_with_centres_of_mass_and_models(tmp_path):
    mapping = Mapping.builtin("hexane-three", hexanes(4))
    positions = np.random.default_rng(6).uniform(0, 2, size=(2, mapping.n_beads, 3))
    path = tmp_path / "liquid.pdb"
    write_pdb(mapping, positions, path)
    read = md.load(str(path))
    assert read.n_frames == 2
    np.testing.assert_allclose(read.xyz, positions, atol=1e-4)
    assert "CRYST1" not in path.read_text()
    assert path.read_text().count("CONECT") == mapping.n_beads
    with pytest.raises(ValueError, match=r"shape \(5, 3\), expected \(12, 3\)"):
        write_pdb(mapping, np.zeros((5, 3)), path)


def test_atomistic_topologies_survive_json():
    top = solution()
    again = topology_from_dict(json.loads(json.dumps(topology_to_dict(top))))
    assert again == top
    assert [c.chain_id for c in again.chains] == [c.chain_id for c in top.chains]
    mapping = Mapping.builtin("heavy", top)
    assert Mapping.from_dict(mapping.to_dict(), again).hash == mapping.hash
