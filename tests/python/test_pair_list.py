"""The pair list against brute force on random boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openmmcg import PairList


def random_box(rng: np.random.Generator, size: float) -> np.ndarray:
    """Return a reduced triclinic box."""
    ax, by, cz = size * rng.uniform(0.9, 1.4, size=3)
    bx, cx = rng.uniform(-0.5, 0.5, size=2) * ax
    return np.array([[ax, 0, 0], [bx, by, 0], [cx, rng.uniform(-0.5, 0.5) * by, cz]])


def brute_force(
    positions: np.ndarray, replicas: np.ndarray, cutoff: float, box: np.ndarray | None
) -> dict[tuple[int, int], float]:
    """Return distances of all directed pairs within the cutoff, over images within four boxes."""
    images = np.zeros((1, 3))
    if box is not None:
        images = (
            np.stack(np.meshgrid(*3 * [np.arange(-4, 5)], indexing="ij"), axis=-1).reshape(-1, 3)
            @ box
        )
    pairs = {}
    for i in range(len(positions)):
        vectors = positions[:, None] - positions[i] + images
        distances = np.linalg.norm(vectors, axis=2)
        for j, image in zip(*np.nonzero(distances < cutoff), strict=True):
            if i != j and replicas[i] == replicas[j]:
                assert (i, int(j)) not in pairs, "a pair has two images within the cutoff"
                pairs[i, int(j)] = distances[j, image]
    return pairs


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n_beads=st.integers(1, 90),
    n_replicas=st.integers(1, 3),
    periodic=st.booleans(),
    skin=st.sampled_from([0.0, 0.05, 0.3]),
)
def test_list_holds_exactly_the_pairs_within_the_cutoff(
    seed: int, n_beads: int, n_replicas: int, periodic: bool, skin: float
) -> None:
    rng = np.random.default_rng(seed)
    size = rng.uniform(1.2, 3.0)
    box = random_box(rng, size) if periodic else None
    cutoff = rng.uniform(0.2, 0.5) * (box.diagonal().min() if periodic else size)
    replicas = rng.integers(n_replicas, size=n_beads)
    positions = rng.uniform(-1, 2, size=(n_beads, 3)) * size
    pair_list = PairList([0] * n_beads, [], cutoff, replicas=replicas, skin=skin, padding=4)
    for _ in range(4):
        pairs, shifts, _, count = pair_list.update(positions, box)
        expected = brute_force(positions, replicas, cutoff, box)
        found = [(int(i), int(j)) for i, j in pairs[:, :count].T]
        assert found == sorted(expected)
        vectors = positions[pairs[1]] + shifts - positions[pairs[0]]
        np.testing.assert_allclose(
            np.linalg.norm(vectors[:count], axis=1), [expected[pair] for pair in found], atol=1e-12
        )
        assert pairs.shape[1] % 4 == 0
        np.testing.assert_array_equal(pairs[:, count:], 0)
        np.testing.assert_allclose(np.linalg.norm(vectors[count:], axis=1), 2 * cutoff)
        positions = positions + rng.uniform(-0.03, 0.03, size=positions.shape)
        if periodic and rng.uniform() < 0.3:
            box = box * 1.01


def test_skin_saves_searches_without_changing_the_pairs() -> None:
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 3, size=(200, 3))
    wide = PairList([0] * 200, [], 0.5, skin=0.3)
    none = PairList([0] * 200, [], 0.5, skin=0.0)
    for _ in range(10):
        for a, b in zip(wide.update(positions), none.update(positions), strict=True):
            np.testing.assert_array_equal(a, b)
        positions = positions + rng.uniform(-0.01, 0.01, size=positions.shape)
    assert none.n_rebuilds == 10
    assert wide.n_rebuilds < 3


def test_edge_types_follow_bonds_and_molecules() -> None:
    # A chain 0-1-2-3-4 and a bead 5 of another molecule.
    pair_list = PairList([0, 0, 0, 0, 0, 1], [(0, 1), (1, 2), (2, 3), (3, 4)], 2.0)
    pairs, _, edge_types, count = pair_list.update(np.random.default_rng(1).uniform(size=(6, 3)))
    assert count == 30
    for i, j, edge in zip(*pairs, edge_types, strict=True):
        bonds = abs(int(i) - int(j))
        assert edge == (0 if 5 in (i, j) else {1: 2, 2: 3, 3: 4}.get(bonds, 1))


@pytest.mark.parametrize(
    ("positions", "box", "message"),
    [
        (np.zeros((3, 3)), None, r"shape \(2, 3\)"),
        (np.array([[0, 0, 0], [np.nan, 0, 0]]), None, "finite"),
        (np.zeros((2, 3)), np.eye(3), "half of the box"),
        (np.zeros((2, 3)), np.array([[2, 1, 0], [0, 2, 0], [0, 0, 2]]), "rows"),
    ],
)
def test_bad_input_is_named(positions: np.ndarray, box: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairList([0, 0], [(0, 1)], 0.8).update(positions, box)


def test_bad_topology_is_named() -> None:
    with pytest.raises(ValueError, match="bond names a bead outside 0 to 1"):
        PairList([0, 0], [(0, 2)], 0.8)
    with pytest.raises(ValueError, match="2 molecule ids but 1 replica ids"):
        PairList([0, 0], [], 0.8, replicas=[0])
