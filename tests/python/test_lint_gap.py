"""The gap between bonded and intermolecular distances, against brute force and by construction."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lint_molecules import chains, dimers, halves
from openmmcg.mapping import lint
from openmmcg.mapping.linting import check_gap, measure_gap


def system(bonds, molecules, types=None):
    """Beads as the lint needs them."""
    types = np.zeros(len(molecules), dtype=np.int64) if types is None else np.asarray(types)
    return SimpleNamespace(
        types=types,
        type_names=tuple("ABC"[: types.max() + 1]),
        bonds=np.asarray(bonds, dtype=np.int64).reshape(-1, 2),
        molecules=np.asarray(molecules, dtype=np.int64),
    )


def pairs_of(count):
    return np.arange(2 * count).reshape(-1, 2)


def triclinic(rng, size):
    ax, by, cz = size * rng.uniform(0.9, 1.3, size=3)
    bx, cx = rng.uniform(-0.5, 0.5, size=2) * ax
    return np.array([[ax, 0, 0], [bx, by, 0], [cx, rng.uniform(-0.5, 0.5) * by, cz]])


def distances(frame, box):
    """Distance matrix over all images within two boxes."""
    images = np.stack(np.meshgrid(*3 * [np.arange(-2, 3)], indexing="ij"), -1).reshape(-1, 3) @ box
    vectors = frame[None, :, None] - frame[:, None, None] + images
    lengths = np.linalg.norm(vectors, axis=-1)
    return np.where(np.eye(len(frame), dtype=bool), np.inf, lengths.min(axis=-1))


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 12))
def test_distances_against_brute_force(seed, count):
    rng = np.random.default_rng(seed)
    boxes = np.array([triclinic(rng, 2.0) for _ in range(3)])
    centres = rng.uniform(0, 1, size=(3, count, 1, 3)) @ boxes[:, None]
    positions = centres + rng.normal(0, 0.1, size=(3, count, 2, 3))
    positions[:, :, 1] += boxes[0, 1]  # a bond across the boundary of the first frame
    positions[1:, :, 1] -= boxes[0, 1]
    positions = positions.reshape(3, -1, 3)
    types = rng.integers(0, 3, size=2 * count)
    types[:3] = 0, 1, 2
    beads = system(pairs_of(count), np.arange(2 * count) // 2, types)
    table = measure_gap(beads, positions, boxes)
    all_bonds, nearest = {}, {}
    foreign = []
    for frame, box in zip(positions, boxes, strict=True):
        lengths = distances(frame, box)
        same = beads.molecules[:, None] == beads.molecules
        foreign.append(
            np.where(same, np.inf, lengths).min(1) < np.where(same, lengths, np.inf).min(1)
        )
        for i, j in np.argwhere(np.triu(np.ones_like(same), 1)):
            key = tuple(sorted((types[i], types[j])))
            if same[i, j]:
                all_bonds.setdefault(key, []).append(lengths[i, j])
            else:
                nearest[key] = min(lengths[i, j], nearest.get(key, np.inf))
    everything = np.concatenate(list(all_bonds.values()))
    assert table.overall.bond_mean == pytest.approx(everything.mean())
    assert table.overall.bond_min == pytest.approx(everything.min())
    assert table.overall.bond_max == pytest.approx(everything.max())
    found = min(nearest.values())
    if found < table.cutoff:
        assert table.overall.inter_min == pytest.approx(found)
        assert table.overall.gap == pytest.approx(found - everything.max())
    else:
        assert table.overall.inter_min is None
    assert set(table.pairs) == set(all_bonds)
    for key, pair in table.pairs.items():
        assert pair.bond_mean == pytest.approx(np.mean(all_bonds[key]))
        assert (pair.bond_min, pair.bond_max) == pytest.approx(
            (min(all_bonds[key]), max(all_bonds[key]))
        )
        expected = nearest.get(key, np.inf)
        assert pair.inter_min == (pytest.approx(expected) if expected < table.cutoff else None)
    assert table.foreign == pytest.approx(np.mean(foreign))


@pytest.mark.parametrize(("separation", "gap"), [(0.35, -0.08), (0.5, 0.07)])
def test_sign_of_the_gap_of_parallel_dimers(separation, gap):
    """Bonds of 0.37 to 0.43 nm, molecules 0.35 or 0.5 nm apart."""
    positions, boxes = dimers(separation, bond=0.4, spread=0.03)
    (finding,) = check_gap(halves(chains(64)), positions, boxes)
    assert finding.kind == "gap"
    assert finding.severity == ("warning" if gap < 0 else "info")
    numbers = finding.numbers
    assert numbers["gap"] == pytest.approx(gap)
    assert numbers["bond_max"] == pytest.approx(0.43)
    assert numbers["inter_min"] == pytest.approx(separation)
    # The centre of the bin that holds the separation.
    assert abs(numbers["onset"] - separation) <= 0.0051
    assert numbers["pairs"][0]["types"] == ["bead", "bead"]
    assert bool(finding.cure) == (gap < 0)
    if gap < 0:
        assert finding.beads == (0, 1)
        assert numbers["foreign_neighbour_fraction"] > 0.5
    else:
        assert numbers["foreign_neighbour_fraction"] == 0


def test_whole_molecules_may_sit_in_any_image():
    positions, boxes = dimers(0.5, spread=0.02)
    moved = positions + np.repeat(np.arange(64) % 3 - 1, 2)[None, :, None] * boxes[:, :1]
    beads = system(pairs_of(64), np.arange(128) // 2)
    expected, found = (measure_gap(beads, x, boxes) for x in (positions, moved))
    np.testing.assert_allclose(
        list(found.overall.numbers().values()), list(expected.overall.numbers().values())
    )


def test_only_types_of_bonds_count():
    """A-B bonds of 0.4 nm; A-A pairs come as close as 0.3 nm, A-B pairs only 0.5 nm."""
    positions = np.array([[0.3 * k, 0.0, z] for k in range(6) for z in (0.0, 0.4)])[None]
    beads = system(pairs_of(6), np.arange(12) // 2, [0, 1] * 6)
    table = measure_gap(beads, positions)
    (pair,) = table.pairs.values()
    assert table.overall.gap == pytest.approx(-0.1)
    assert pair.inter_min == pytest.approx(0.5)
    assert check_gap(beads, positions)[0].severity == "info"


def test_rare_contacts_do_not_start_the_distribution():
    """One contact at 0.3 nm is less than 1 % of an ideal gas, two are more."""
    positions, boxes = dimers(0.5, frames=20)
    beads = system(pairs_of(64), np.arange(128) // 2)
    shell = 4 / 3 * np.pi * (0.31**3 - 0.30**3)
    ideal = 20 * 128 * 126 / 2 * shell / np.linalg.det(boxes[0])
    assert 1 / ideal < 0.01 < 2 / ideal
    for contacts, onset in ((1, 0.505), (2, 0.305)):
        close = positions.copy()
        close[:contacts, 0, 0] += 0.195
        assert measure_gap(beads, close, boxes).overall.onset == pytest.approx(onset)


def test_the_search_reaches_further_where_molecules_are_far_apart():
    positions, boxes = dimers(1.2, bond=0.15)
    table = measure_gap(system(pairs_of(64), np.arange(128) // 2), positions, boxes)
    assert table.overall.inter_min == pytest.approx(1.2)
    assert table.overall.gap == pytest.approx(1.05)


@pytest.mark.parametrize(
    ("beads", "reason"),
    [
        (system([[0, 1]], [0, 0]), "one molecule only"),
        (system([], [0, 1]), "no bonds"),
    ],
)
def test_not_applicable(beads, reason):
    (finding,) = check_gap(beads, np.zeros((1, 2, 3)))
    assert (finding.severity, finding.title) == ("info", "Not applicable")
    assert reason in finding.message


def test_frames_are_chosen_evenly():
    positions, boxes = dimers(0.5, frames=7)
    positions[2, 1, 2] += 0.1  # the longest bond is in a frame that is left out
    mapping = halves(chains(64))
    few, every = (lint(mapping, positions, boxes, frames=n)[0] for n in (2, 7))
    assert few.numbers["frames"] == 2
    assert few.numbers["bond_max"] == pytest.approx(0.4)
    assert every.numbers["bond_max"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": np.zeros((4, 3, 3))}, r"expected \(frames, 128, 3\)"),
        ({"boxes": np.zeros((3, 3, 3))}, r"Boxes have shape \(3, 3, 3\)"),
        ({"frames": 0}, "expected at least 1"),
        ({"positions": np.full((4, 128, 3), np.nan)}, "finite"),
    ],
)
def test_bad_input(change, message):
    positions, boxes = dimers(0.5)
    arguments = {"positions": positions, "boxes": boxes, **change}
    with pytest.raises(ValueError, match=message):
        lint(halves(chains(64)), **arguments)
