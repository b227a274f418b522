"""Stereocentres: found by constitution, judged by beads, types, priors and frames."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from lint_molecules import RESIDUES, chains, mapped, peptide
from openmmcg.mapping import Mapping, lint
from openmmcg.mapping.linting.centres import find_centres, stereocentres
from openmmcg.mapping.linting.system import molecule_kinds
from openmmcg.mapping.stereocentres import stereocentre_terms
from peptide_frames import frames


def centres(mapping, **arguments):
    """Status of each stereocentre by name."""
    (kind,) = molecule_kinds(mapping)
    return {kind.atom_labels[c.atom]: c for c in find_centres(kind, **arguments)}


def statuses(mapping, **arguments):
    return {name: centre.status for name, centre in centres(mapping, **arguments).items()}


def heavy(residue, encoding="element"):
    return mapped(peptide(residue), {f: f"name {f}" for f in ("CH3", *RESIDUES[residue])}, encoding)


@pytest.mark.parametrize(
    ("residue", "expected"),
    [
        ("GLY", []),
        ("ALA", ["ALA2:CA"]),
        ("THR", ["THR2:CA", "THR2:CB"]),
        ("PRO", ["PRO2:CA"]),
        ("PHE", ["PHE2:CA"]),
    ],
)
def test_stereocentres_of_amino_acids(residue, expected):
    (kind,) = molecule_kinds(Mapping.builtin("core", peptide(residue)))
    assert [kind.atom_labels[atom] for atom in stereocentres(kind)] == expected


def test_alkanes_have_none():
    (kind,) = molecule_kinds(mapped(chains(2), {"C": "name C3"}))
    assert stereocentres(kind) == []


@pytest.mark.parametrize(
    ("name", "encoding", "status", "points"),
    [
        ("core", "element", "lost", 3),
        ("core", "unique", "lost", 3),
        ("core-beta", "element", "told", 4),
        ("core-beta", "name", "told", 4),
        ("core-beta", "one", "alike", 4),
    ],
)
def test_capped_alanine(name, encoding, status, points):
    found = centres(Mapping.builtin(name, peptide("ALA"), encoding))["ALA2:CA"]
    assert (found.status, len(found.points)) == (status, points)


def test_findings_of_core_and_core_beta():
    core, beta = (lint(Mapping.builtin(n, peptide("ALA"))) for n in ("core", "core-beta"))
    (lost,) = core
    assert (lost.kind, lost.severity) == ("stereo", "warning")
    assert "ALA2:CA" in lost.message
    assert "ALA2:CB" in lost.cure
    assert lost.numbers["centres"][0]["mapped_points"] == 3
    assert [(f.kind, f.severity) for f in beta] == [("stereo", "info")]


def test_without_signed_priors_only_a_barrier_keeps_the_hand():
    mapping = Mapping.builtin("core-beta", peptide("ALA"))
    assert statuses(mapping, signed_priors=False) == {"ALA2:CA": "unsigned"}
    (finding,) = lint(mapping, signed_priors=False)
    assert finding.severity == "warning"
    assert "signed improper" in finding.cure


def test_a_chiral_network_needs_no_prior():
    for name in ("core", "core-beta"):
        mapping = Mapping.builtin(name, peptide("ALA"))
        assert statuses(mapping, chiral_network=True, signed_priors=False) == {"ALA2:CA": "network"}


def test_three_beads_are_their_own_mirror_image():
    (finding,) = lint(mapped(peptide("ALA"), {"CA": "name CA", "N": "name N"}, "unique"))
    assert (finding.severity, finding.numbers["status"]) == ("info", "flat")


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (Mapping.builtin("core", peptide("THR")), {"CA": "lost", "CB": "lost"}),
        # Nothing shows the hand of CB, but its surroundings are no mirror image of themselves.
        (Mapping.builtin("core-beta", peptide("THR")), {"CA": "told", "CB": "sheltered"}),
        (heavy("THR"), {"CA": "told", "CB": "told"}),
        (Mapping.builtin("core-beta", peptide("PRO")), {"CA": "told"}),
        (Mapping.builtin("core-beta", peptide("GLY")), {}),
    ],
)
def test_other_residues(mapping, expected):
    assert {name.split(":")[1]: s for name, s in statuses(mapping).items()} == expected


def test_beads_of_several_atoms_show_a_hand_too():
    """United atoms around CA, and one bead for the whole residue, which shows nothing."""
    parts = {"N": "name N HN1", "CA": "name CA HCA1", "CB": "name CB HCB1 HCB2 HCB3"}
    united = mapped(peptide("ALA"), {**parts, "C": "name C", "O": "name O"}, "name")
    assert statuses(united) == {"ALA2:CA": "told"}
    whole = mapped(peptide(*["ALA"] * 4), {"R": "all"}, "unique")
    assert set(statuses(whole).values()) == {"lost"}


def test_measured_in_frames():
    """Frames of one hand show it; frames of both say that the beads do not."""
    mapping = Mapping.builtin("core-beta", peptide("ALA"), "name")
    rng = np.random.default_rng(0)
    angles = rng.uniform(-180, 180, (2, 40))
    one, other = (frames(*angles, rng, hand) for hand in (1, -1))
    found = centres(mapping, positions=one)["ALA2:CA"]
    assert (found.status, found.minority) == ("told", 0.0)
    found = centres(mapping, positions=np.concatenate([one, other[:10]]))["ALA2:CA"]
    assert (found.status, found.minority) == ("lost", pytest.approx(0.2))


def chain_of_residues(count):
    """Positions (1, 4 count + 2, 3) of core-beta beads, all residues of one hand."""
    residue = 0.1 * np.array([[-1, 1, 0.2], [0, 0, 0], [0, -0.7, 1.2], [1, 1, -0.2]])
    beads = [residue + np.array([0.4 * k, 0, 0]) for k in range(count)]
    ends = [[[-0.4, 0.1, 0.0]], [[0.4 * count, 0.1, 0.0]]]
    return np.concatenate([ends[0], *beads, ends[1]])[None]


def test_equal_types_mean_the_other_hand_at_the_other_end():
    """With one type, beads are told apart by their distance to the ends, which changes sides."""
    one, named = (Mapping.builtin("core-beta", peptide("ALA", "ALA"), e) for e in ("one", "name"))
    positions = chain_of_residues(2)
    assert set(statuses(named, positions=positions).values()) == {"told"}
    assert set(statuses(one, positions=positions).values()) == {"alike"}


def test_a_prior_shared_with_a_centre_that_flips_keeps_nothing():
    """The second residue has both hands, and its impropers the types of the first one's."""
    mapping = Mapping.builtin("core-beta", peptide("ALA", "ALA"), "name")
    both = np.repeat(chain_of_residues(2), 2, axis=0)
    both[1, 7] += [0, 0, -0.24]  # CB to the other side
    found = centres(mapping, positions=both)
    assert {name: c.status for name, c in found.items()} == {"ALA2:CA": "alike", "ALA3:CA": "lost"}
    numbered = Mapping.builtin("core-beta", peptide("ALA", "ALA"), "unique")
    assert statuses(numbered, positions=both)["ALA2:CA"] == "told"


def test_hands_are_measured_across_the_boundary():
    mapping = Mapping.builtin("core-beta", peptide("ALA", "ALA"), "name")
    box = np.array([[2.0, 0, 0], [0.5, 2.0, 0], [0.3, -0.6, 2.0]])
    positions = chain_of_residues(2)
    positions[:, ::2] += box[2] - box[0]
    assert set(statuses(mapping, positions=positions, boxes=box[None]).values()) == {"told"}


def test_beads_further_away_can_stand_in():
    """CA and CB of neighbouring residues are four points around a CA."""
    mapping = mapped(peptide("ALA", "ALA", "ALA"), {"CA": "name CA", "CB": "name CB"}, "name")
    found = centres(mapping)
    assert {name: c.status for name, c in found.items()} == {
        "ALA2:CA": "lost",
        "ALA3:CA": "alike",  # both neighbours are a CA with a CB
        "ALA4:CA": "lost",
    }
    assert sorted(arm.steps for arm in found["ALA3:CA"].arms if arm.bead is not None) == [0, 2, 2]


def test_heavy_atoms_alone_cannot_be_judged():
    findings = lint(Mapping.builtin("core", peptide("ALA", hydrogens=False)))
    (finding,) = (f for f in findings if f.kind == "stereo")
    assert finding.severity == "info"
    assert "no hydrogens" in finding.message


def test_the_priors_define_impropers_as_before():
    """Branches are compared layer by layer; rings and chains that are alike give none."""

    def terms(names, bonds):
        graph = nx.Graph()
        graph.add_nodes_from((i, {"name": name}) for i, name in enumerate(names))
        graph.add_edges_from(bonds)
        return stereocentre_terms(graph).tolist()

    star = [(0, 1), (0, 2), (0, 3)]
    assert terms("XCAB", star) == [[2, 0, 3, 1]]
    assert terms("XAAB", star) == []
    # The longer of two branches comes later, however far away the difference is.
    tails = [(1, 4), (4, 6), (2, 5), (5, 7), (7, 8)]
    assert terms("XAABAAAAA", star + tails) == [[1, 0, 2, 3]]
    # The ring behind beads 1 and 2 is the same from both sides.
    assert terms("XAABA", [*star, (1, 4), (2, 4)]) == []
