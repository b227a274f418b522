"""Every kind of prior: torch against native OpenMM forces, gradients, boxes and replicas."""

from __future__ import annotations

import numpy as np
import openmm
import prior_systems as ps
import pytest
import torch
from openmmcg.priors import KINDS, BoundPriors, PriorSet, RepulsionParameters
from openmmcg.priors import bound as bound_module
from openmmcg.priors import pairs as pairs_module

ALL = sorted(KINDS)
PAIRS = ["repulsion", "tabulated-pairs"]
LISTS = ["listed", "nonbonded"]


def bind(kind: str, seed: int = 0) -> BoundPriors:
    return ps.random_priors(kind, seed).bind(ps.TYPES, ps.NAMES, ps.BONDS)


def assert_same(bound: BoundPriors, forces, x, box=None, **options) -> None:
    cell = None if box is None else torch.from_numpy(box)
    energy, native = ps.evaluate(forces, x.reshape(-1, 3), box, **options)
    frames = torch.from_numpy(x.reshape(-1, bound.n_beads, 3))
    assert bound.energy(frames, cell).sum().item() == pytest.approx(energy, rel=1e-8, abs=1e-8)
    expected = bound.forces(frames, cell).reshape(-1, 3).numpy()
    assert abs(expected).max() > 1.0
    np.testing.assert_allclose(native, expected, rtol=0, atol=1e-7 * abs(expected).max())


@pytest.mark.parametrize("kind", ALL)
def test_torch_matches_openmm(kind: str) -> None:
    bound = bind(kind)
    assert bound.terms
    for seed in range(4):
        assert_same(bound, bound.to_openmm(), ps.positions(seed))


@pytest.mark.parametrize("kind", ALL)
def test_torch_matches_openmm_in_a_triclinic_box(kind: str) -> None:
    bound = bind(kind)
    for seed in range(4):
        x = ps.positions(seed, ps.TRICLINIC)
        assert_same(bound, bound.to_openmm(periodic=True), x, ps.TRICLINIC)
    # Beads were wrapped one by one, so without the box bonds are broken.
    frames, cell = torch.from_numpy(x), torch.from_numpy(ps.TRICLINIC)
    assert abs(bound.energy(frames) - bound.energy(frames, cell)) > 0.1


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("periodic", [False, True])
def test_nonbonded_force_matches(kind: str, periodic: bool, monkeypatch) -> None:
    monkeypatch.setattr(bound_module, "LISTED_PAIRS", 0)
    bound = bind(kind)
    (force,) = bound.to_openmm(periodic=periodic)
    assert isinstance(force, openmm.CustomNonbondedForce)
    assert force.getNumInteractionGroups() == 0
    box = ps.TRICLINIC if periodic else None
    for platform in ("Reference", "CPU"):
        (force,) = bound.to_openmm(periodic=periodic)
        x = ps.positions(5, box)
        if platform == "Reference":
            assert_same(bound, [force], x, box)
        else:
            _, native = ps.evaluate([force], x, box, platform=platform)
            cell = None if box is None else torch.from_numpy(box)
            expected = bound.forces(torch.from_numpy(x), cell).numpy()
            np.testing.assert_allclose(native, expected, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("limit", [10_000, 0], ids=LISTS)
@pytest.mark.parametrize("kind", ["harmonic-bonds", "tabulated-torsions", *PAIRS])
def test_replicas_do_not_interact(kind: str, limit: int, monkeypatch) -> None:
    """Replicas on top of each other, between particles that are not ours."""
    monkeypatch.setattr(bound_module, "LISTED_PAIRS", limit)
    bound = bind(kind)
    replicas, offset, total = 3, 2, 2 + 3 * 16 + 4
    x = np.stack([ps.positions(seed) for seed in (1, 1, 2)])
    forces = bound.to_openmm(replicas, offset, n_particles=total)
    everything = np.zeros((total, 3))
    everything[offset : offset + x.size // 3] = x.reshape(-1, 3)
    energy, native = ps.evaluate(forces, everything, n_particles=total)
    frames = torch.from_numpy(x)
    assert energy == pytest.approx(bound.energy(frames).sum().item(), rel=1e-8)
    expected = bound.forces(frames).reshape(-1, 3).numpy()
    np.testing.assert_allclose(
        native[offset : offset + len(expected)], expected, atol=1e-7 * abs(expected).max()
    )
    assert not native[:offset].any() and not native[offset + len(expected) :].any()
    with pytest.raises(ValueError, match="3 copies of 16 beads"):
        bound.to_openmm(replicas, offset, n_particles=40)


@pytest.mark.parametrize("kind", ALL)
def test_forces_are_gradients(kind: str) -> None:
    bound = bind(kind, seed=1)
    cell = torch.from_numpy(ps.TRICLINIC)
    x = torch.from_numpy(ps.positions(3, ps.TRICLINIC))
    forces = bound.forces(x, cell)
    rng = np.random.default_rng(0)
    step = 1e-6
    for _ in range(5):
        direction = torch.from_numpy(rng.normal(size=x.shape))
        ahead, behind = (bound.energy(x + sign * step * direction, cell) for sign in (1, -1))
        slope = (ahead - behind) / (2 * step)
        scale = forces.norm() * direction.norm()
        assert abs(slope + (forces * direction).sum()) < 1e-6 * scale


@pytest.mark.parametrize("kind", ALL)
def test_single_precision_and_batches(kind: str) -> None:
    bound = bind(kind)
    frames = torch.from_numpy(np.stack([ps.positions(s, ps.TRICLINIC) for s in range(6)]))
    boxes = torch.from_numpy(ps.TRICLINIC) * torch.linspace(1.0, 1.1, 6)[:, None, None].double()
    forces = bound.forces(frames.reshape(2, 3, -1, 3), boxes.reshape(2, 3, 3, 3))
    assert forces.shape == (2, 3, 16, 3)
    each = [bound.forces(x, box) for x, box in zip(frames, boxes, strict=True)]
    scale = forces.abs().max()
    assert (forces.reshape(6, 16, 3) - torch.stack(each)).abs().max() < 1e-12 * scale
    single = bound.forces(frames.float(), boxes.float())
    assert single.dtype == torch.float32
    assert (single - torch.stack(each)).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("kind", PAIRS)
def test_pair_list_finds_what_all_pairs_give(kind: str, monkeypatch) -> None:
    bound = bind(kind)
    cell = torch.from_numpy(ps.TRICLINIC)
    frames = torch.from_numpy(np.stack([ps.positions(s, ps.TRICLINIC) for s in range(3)]))
    expected = [bound.forces(frames, box) for box in (None, cell)]
    monkeypatch.setattr(pairs_module, "ALL_PAIRS_BEADS", 0)
    for box, forces in zip((None, cell), expected, strict=True):
        assert (bound.forces(frames, box) - forces).abs().max() < 1e-9 * forces.abs().max()


@pytest.mark.parametrize("excluded", [0, 1, 2, 3])
@pytest.mark.parametrize("limit", [400, 0], ids=["all-pairs", "pair-list"])
def test_excluded_bonds(excluded: int, limit: int, monkeypatch) -> None:
    """A straight chain with spacing 1: all pairs reach each other, U = 1000 (1 - d/10)^2."""
    monkeypatch.setattr(pairs_module, "ALL_PAIRS_BEADS", limit)
    priors = PriorSet(
        {"repulsion": {("A", "A"): RepulsionParameters(1000.0, 10.0)}},
        300.0,
        excluded_bonds=excluded,
    )
    bound = priors.bind([0] * 6, ["A"], [[i, i + 1] for i in range(5)])
    x = torch.zeros(6, 3, dtype=torch.float64)
    x[:, 0] = torch.arange(6)
    expected = sum(1000.0 * (1 - d / 10) ** 2 * (6 - d) for d in range(excluded + 1, 6))
    assert bound.energy(x).item() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="Pairs up to 4 bonds"):
        PriorSet({}, 300.0, excluded_bonds=4)


def test_repulsion_is_soft_and_smooth() -> None:
    entry = RepulsionParameters(100.0, 0.4)
    r = np.array([0.0, 0.2, 0.4, 0.5])
    np.testing.assert_allclose(KINDS["repulsion"].curve(r, entry), [100.0, 25.0, 0.0, 0.0])


def test_restricted_bending_keeps_angles_from_being_straight() -> None:
    entry = ps.random_parameters("restricted-bending", np.random.default_rng(0))
    kind = KINDS["restricted-bending"]
    angles = np.pi - np.array([0.1, 0.01, 0.001])
    assert (np.diff(kind.curve(angles, entry)) > 0).all()
    assert kind.curve(angles, entry)[-1] > 1e6
    assert kind.curve(np.array([entry.center]), entry)[0] == pytest.approx(0.0, abs=1e-12)
    # Close to its centre it is the harmonic angle.
    near = entry.center + np.array([1e-3])
    assert kind.curve(near, entry)[0] == pytest.approx(0.5e-6 * entry.k, rel=1e-2)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.startswith("tabulated")])
def test_tables_pass_through_their_values(kind: str) -> None:
    entry = ps.random_parameters(kind, np.random.default_rng(2))
    periodic = kind == "tabulated-torsions"
    knots = np.linspace(entry.low, entry.high, len(entry.values) + periodic)
    values = [*entry.values, entry.values[0]] if periodic else entry.values
    np.testing.assert_allclose(KINDS[kind].curve(knots, entry), values, atol=1e-9)
    beyond = KINDS[kind].curve(entry.high + np.array([0.0, 0.1, 0.2]), entry)
    if kind == "tabulated-pairs":
        np.testing.assert_allclose(beyond, 0.0, atol=1e-9)
    elif kind == "tabulated-bonds":
        assert beyond[2] - beyond[1] == pytest.approx(beyond[1] - beyond[0])


def test_bad_shapes_and_boxes() -> None:
    bound = bind("repulsion")
    x = torch.from_numpy(ps.positions(0))
    with pytest.raises(ValueError, match=r"Positions have shape \(5, 3\)"):
        bound.energy(x[:5])
    with pytest.raises(ValueError, match="reduced form"):
        bound.energy(x, torch.from_numpy(ps.TRICLINIC.T))
    with pytest.raises(ValueError, match="more than half of the smallest box"):
        bound.energy(x, 0.7 * torch.eye(3, dtype=torch.float64))
