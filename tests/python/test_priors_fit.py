"""Fits of priors: known energies behind densities, weights, boxes, keys, and what is refused."""

from __future__ import annotations

import numpy as np
import prior_systems as ps
import pytest
from openmmcg.priors import (
    KINDS,
    FourierParameters,
    MoleculePriors,
    Parameters,
    PriorSet,
    Repulsion,
    RepulsionParameters,
    SystemFrames,
    fit_frames,
    fit_priors,
    fit_systems,
)
from openmmcg.priors.topology import bead_graph, close_pairs, torsion_terms
from openmmcg.units import KB

KT = KB * 300.0
CIRCLE = np.linspace(-np.pi, np.pi, 20_001)[:-1]
ANGLES = np.linspace(0.001, np.pi - 0.001, 20_001)


def draw(grid, density, count: int = 100_000, seed: int = 0) -> np.ndarray:
    """Sample a density given on a grid."""
    rng = np.random.default_rng(seed)
    step = grid[1] - grid[0]
    return rng.choice(grid, count, p=density / density.sum()) + step * rng.uniform(-0.5, 0.5, count)


def boltzmann(kind: str, entry, grid, count: int = 100_000) -> np.ndarray:
    """Sample the density of an entry with the volume element of its coordinate."""
    energy = KINDS[kind].curve(grid, entry)
    volume = np.gradient(KINDS[kind].coordinate.volume(grid), grid)
    return draw(grid, volume * np.exp(-(energy - energy.min()) / KT), count)


@pytest.mark.parametrize(("k", "center"), [(5.0, 2.2), (30.0, 2.0), (300.0, 1.6)])
def test_restricted_bending(k: float, center: float) -> None:
    sample = boltzmann("restricted-bending", Parameters(k, center), ANGLES)
    fitted = KINDS["restricted-bending"].fit(sample, KT)
    assert fitted.k == pytest.approx(k, rel=0.02)
    assert fitted.center == pytest.approx(center, abs=5e-3)


def test_fourier_torsions() -> None:
    true = FourierParameters((2.0, 5.0, 1.0), (0.5, 2.0, -1.0))
    kind = KINDS["fourier-torsions"]
    fitted = kind.fit(boltzmann("fourier-torsions", true, CIRCLE), KT)
    np.testing.assert_allclose(fitted.k[:3], true.k, atol=0.1)
    assert max(fitted.k[3:]) < 0.1
    np.testing.assert_allclose(np.cos(np.subtract(fitted.phase[:3], true.phase)), 1.0, atol=0.01)


@pytest.mark.parametrize("width", [0.3, 0.03])
def test_fourier_torsions_of_narrow_and_empty_regions(width: float) -> None:
    """Three quarters of the circle are empty: the fit stays finite and has no well there."""
    rng = np.random.default_rng(0)
    sample = rng.normal(3.0, width, 20_000)
    kind = KINDS["fourier-torsions"]
    fitted = kind.fit((sample + np.pi) % (2 * np.pi) - np.pi, KT)
    assert max(fitted.k) <= kind.bound
    energy = kind.curve(CIRCLE, fitted)
    weight = np.exp(-(energy - energy.min()) / KT)
    mean = np.average(np.exp(1j * CIRCLE), weights=weight)
    assert np.angle(mean) == pytest.approx(3.0, abs=0.02)
    assert np.sqrt(-2 * np.log(abs(mean))) == pytest.approx(width, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "grid", "energy"),
    [
        ("tabulated-bonds", np.linspace(0.1, 0.6, 20_001), lambda r: 4000 * (r - 0.3) ** 2),
        (
            "tabulated-bonds",
            np.linspace(0.1, 0.6, 20_001),
            lambda r: (
                -KT * np.log(np.exp(-((r - 0.3) ** 2) / 6e-4) + np.exp(-((r - 0.4) ** 2) / 6e-4))
            ),
        ),
        ("tabulated-angles", ANGLES, lambda x: 30.0 * (x - 1.9) ** 2),
        ("tabulated-torsions", CIRCLE, lambda x: 3 * np.cos(x - 0.4) + 4 * np.cos(2 * x)),
        (
            "tabulated-pairs",
            np.linspace(0.2, 1.2, 20_001),
            lambda r: 8 * ((0.4 / r) ** 12 - (0.4 / r) ** 6),
        ),
    ],
)
def test_tables(kind: str, grid, energy) -> None:
    true = energy(grid)
    volume = np.gradient(KINDS[kind].coordinate.volume(grid), grid)
    sample = draw(grid, volume * np.exp(-(true - true.min()) / KT), 300_000)
    fitted = KINDS[kind].fit(sample, KT)
    tried = KINDS[kind].curve(grid, fitted)
    # In the last fifth a table of pairs is brought to zero.
    inside = (true < true.min() + 3 * KT) & (
        grid < 0.8 * grid[-1] if kind.endswith("pairs") else True
    )
    density = volume * np.exp(-true / KT) * inside
    error = tried - true - np.average(tried - true, weights=density)
    assert np.sqrt(np.average(error**2, weights=density)) < 0.05 * KT
    assert abs(error[inside]).max() < 0.25 * KT
    # Without data the energy rises, by more than twenty kT, and stays below the bound.
    if not kind.endswith("torsions"):
        assert tried[0] > 20 * KT and tried.max() <= KINDS[kind].bound


def test_repulsion_lies_at_the_edge_of_the_data() -> None:
    rng = np.random.default_rng(0)
    far = rng.uniform(0.45, 1.5, 100_000) ** (1 / 1.5)
    fitted = Repulsion.fit(far, KT)
    assert fitted.epsilon == pytest.approx(1000 * KT)
    # p(r) / r^2 of a liquid with a first shell at 0.5: the edge does not depend on the range.
    grid = np.linspace(0.3, 2.0, 20_001)
    density = grid**2 * (
        1 / (1 + np.exp(-(grid - 0.45) / 0.01)) + np.exp(-((grid - 0.5) ** 2) / 0.005)
    )
    for longest in (0.8, 2.0):
        own = grid < longest
        sigma = Repulsion.fit(draw(grid[own], density[own]), KT).sigma
        assert 0.33 < sigma < 0.41
    # Pairs that are always far apart may still meet: not beyond 1 nm.
    assert Repulsion.fit(np.linspace(3.0, 4.0, 1000), KT).sigma == 1.0


def test_weights_turn_one_ensemble_into_another() -> None:
    sample = np.random.default_rng(0).normal(0.3, 0.02, 400_000)
    # Weights exp(-(r - 0.31)^2 / (2 0.02^2)) r^2: variance halved, centre between the two.
    weights = np.exp(-((sample - 0.31) ** 2) / (2 * 0.02**2)) * sample**2
    fitted = KINDS["harmonic-bonds"].fit(sample, KT, weights)
    assert fitted.center == pytest.approx(0.305, abs=1e-4)
    assert fitted.k == pytest.approx(KT / (0.5 * 0.02**2), rel=0.01)
    for kind, values in {
        "signed-impropers": sample * 5,
        "harmonic-angles": sample * 5,
        "restricted-bending": sample * 5,
        "fourier-torsions": sample * 5,
        "repulsion": sample,
    }.items():
        values, integer = values[:2000], 1 + np.arange(2000) % 3
        weighted = KINDS[kind].fit(values, KT, integer.astype(float))
        repeated = KINDS[kind].fit(np.repeat(values, integer), KT)
        np.testing.assert_allclose(
            np.hstack([*weighted]), np.hstack([*repeated]), rtol=1e-3, atol=1e-3, err_msg=kind
        )


def chains(count: int, seed: int = 0) -> np.ndarray:
    x = np.stack([ps.positions(seed + s) for s in range(count)])
    return x + np.random.default_rng(seed).normal(0.0, 0.005, x.shape)


def test_wrapped_frames_give_the_fit_of_whole_ones() -> None:
    x = chains(40)
    box = 4.0 * ps.TRICLINIC
    moved = x + np.random.default_rng(1).normal(size=(40, 1, 3))
    wrapped = moved - np.floor(moved @ np.linalg.inv(box)) @ box
    assert abs(wrapped - moved).max() > 1
    kinds = ("harmonic-bonds", "harmonic-angles", "fourier-torsions", "repulsion")
    args = ps.TYPES, ps.NAMES, ps.BONDS, 300.0, kinds
    whole, found = fit_frames(x, *args), fit_frames(wrapped, *args, boxes=np.tile(box, (40, 1, 1)))
    # Distances of free beads may be those of nearer images, so only bonded terms agree in all.
    for kind in kinds[:3]:
        one, other = whole.parameters[kind], found.parameters[kind]
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_allclose(np.ravel(one[key]), np.ravel(other[key]), rtol=1e-5)
    with pytest.raises(ValueError, match="boxes of shape"):
        fit_frames(wrapped, *args, boxes=box)


def test_pairs_beyond_the_exclusions_are_fitted() -> None:
    x = chains(60)
    graph = bead_graph([ps.NAMES[t] for t in ps.TYPES], ps.BONDS)
    excluded = {tuple(pair) for pair in close_pairs(graph, 3).tolist()}
    pairs = [(i, j) for i in range(16) for j in range(i + 1, 16) if (i, j) not in excluded]
    expected: dict[tuple[str, str], float] = {}
    for i, j in pairs:
        key = tuple(sorted((ps.NAMES[ps.TYPES[i]], ps.NAMES[ps.TYPES[j]])))
        nearest = np.linalg.norm(x[:, i] - x[:, j], axis=-1).min()
        expected[key] = min(expected.get(key, 9.0), nearest)
    found = fit_frames(x, ps.TYPES, ps.NAMES, ps.BONDS, 300.0, ["repulsion"]).parameters[
        "repulsion"
    ]
    assert found.keys() == expected.keys()
    for key, entry in found.items():
        assert expected[key] <= entry.sigma + 1e-12 < expected[key] + 0.2
    assert len(torsion_terms(graph)) == 2 * 4


def test_kinds_by_name() -> None:
    x = chains(40)
    args = x, ps.TYPES, ps.NAMES, ps.BONDS, 300.0
    assert list(fit_frames(*args).parameters) == [
        "harmonic-bonds",
        "harmonic-angles",
        "signed-impropers",
    ]
    chosen = fit_frames(*args, ["repulsion", "restricted-bending"])
    assert list(chosen.parameters) == ["restricted-bending", "repulsion"]
    with pytest.raises(ValueError, match="'harmonic-bond'; did you mean 'harmonic-bonds'"):
        fit_frames(*args, ["harmonic-bond"])
    with pytest.raises(ValueError, match="both act on bonds"):
        fit_frames(*args, ["harmonic-bonds", "tabulated-bonds"])


def test_most_specific_key_wins() -> None:
    table = {
        ("*", "*"): Parameters(1.0, 0.1),
        ("*", "B"): Parameters(2.0, 0.1),
        ("A", "B"): Parameters(3.0, 0.1),
    }
    bound = PriorSet({"harmonic-bonds": table}, 300.0).bind(
        [0, 1, 2, 2, 1], ps.NAMES, [[1, 0], [1, 2], [2, 3], [3, 4]]
    )
    (part,) = bound.terms
    k = bound.tables["harmonic-bonds"]["k"][part.rows]
    found = {tuple(term): value for term, value in zip(part.terms.tolist(), k, strict=True)}
    assert found == {(0, 1): 3.0, (1, 2): 2.0, (2, 3): 1.0, (4, 3): 2.0}
    table = {("A", "*"): Parameters(1.0, 0.1), ("*", "B"): Parameters(2.0, 0.1)}
    with pytest.raises(ValueError, match=r"A-\* and \*-B fit A-B equally well.*add one for A-B"):
        PriorSet({"harmonic-bonds": table}, 300.0).bind([0, 1], ps.NAMES, [[0, 1]])
    # Impropers have a sign, so they are not read backwards.
    improper = {"signed-impropers": {("*", "A", "B", "C"): Parameters(1.0, 0.1)}}
    with pytest.raises(ValueError, match="no signed-impropers for A-B-C-D"):
        PriorSet(improper, 300.0).bind([0, 1, 2, 3], ["A", "B", "C", "D"], [[0, 1], [1, 2], [1, 3]])


def test_pooled_and_given_terms() -> None:
    x = chains(40)
    args = x, ps.TYPES, ps.NAMES, ps.BONDS, 300.0, ["harmonic-bonds"]
    plain = fit_frames(*args).parameters["harmonic-bonds"]
    assert set(plain) == {("A", "B"), ("A", "C"), ("B", "C")}
    fixed = Parameters(123.0, 0.25)
    found = fit_frames(
        *args,
        given={"harmonic-bonds": {("B", "C"): fixed}},
        pool={"harmonic-bonds": [("A", "*")]},
    ).parameters["harmonic-bonds"]
    assert set(found) == {("A", "*"), ("B", "C")}
    assert found["B", "C"] == fixed
    assert found["A", "*"].center == pytest.approx(plain["A", "B"].center, abs=1e-3)


def test_molecules_have_parameters_of_their_own() -> None:
    """A short and a long dimer of the same types in one model, and a mixture of both."""
    rng = np.random.default_rng(0)

    def dimers(length: float, tail: bool) -> SystemFrames:
        x = np.zeros((500, 2 + tail, 3))
        x[:, 1, 0] = rng.normal(length, 0.01, 500)
        if tail:
            x[:, 2] = x[:, 1] + [0.0, 0.3, 0.0] + rng.normal(0, 0.01, (500, 3))
        return SystemFrames(x, [0, 1, 1][: 2 + tail], ps.NAMES, [[0, 1], [1, 2]][: 1 + tail])

    systems = [dimers(0.2, False), dimers(0.4, True)]
    shared = fit_systems(systems, 300.0, ["harmonic-bonds"])
    assert shared.parameters["harmonic-bonds"]["A", "B"].center == pytest.approx(0.26, abs=0.03)
    own = fit_systems(systems, 300.0, ["harmonic-bonds"], per_molecule=True)
    assert own.parameters == {"harmonic-bonds": {}}
    assert [molecule.name for molecule in own.molecules] == ["A-B", "A-B2"]
    # The mixture numbers its beads in another order.
    bound = own.bind([1, 1, 0, 1, 0], ps.NAMES, [[2, 1], [1, 0], [3, 4]])
    (part,) = bound.terms
    center = bound.tables["harmonic-bonds"]["center"][part.rows]
    found = {tuple(t): c for t, c in zip(part.terms.tolist(), center, strict=True)}
    assert found[4, 3] == pytest.approx(0.2, abs=0.01)
    assert found[2, 1] == pytest.approx(0.4, abs=0.01)
    with pytest.raises(ValueError, match="no harmonic-bonds for A-B, only for A-B, B-B"):
        own.bind([0, 1, 0], ps.NAMES, [[0, 1], [1, 2]])
    # By hand: a kind that only one molecule has asks nothing of the others.
    stiff = MoleculePriors("pair", ("A", "B"), ((0, 1),), own.molecules[0].parameters)
    alone = PriorSet({}, 300.0, (stiff,)).bind([0, 1, 1], ps.NAMES, [[0, 1], [1, 2]])
    assert not alone.terms
    with pytest.raises(ValueError, match="acts between molecules"):
        pairs = {"repulsion": {("A", "A"): RepulsionParameters(1.0, 1.0)}}
        PriorSet({}, 300.0, (MoleculePriors("pair", ("A",), (), pairs),))


class FakeDataset:
    """What fit_priors reads of a dataset."""

    path, boxes, type_names = "frames.h5", None, ps.NAMES
    types, bonds, molecules = ps.TYPES, ps.BONDS, ps.MOLECULES

    def __init__(self, temperatures) -> None:
        self.temperatures = np.array(temperatures, dtype=float)
        rng = np.random.default_rng(0)
        x = chains(len(temperatures))
        self.positions = x + rng.normal(0, 0.01, x.shape) * (self.temperatures[:, None, None] / 300)
        self.weights = np.linspace(0.5, 1.5, len(temperatures))


def test_temperatures_and_weights_of_datasets() -> None:
    several = FakeDataset([300.0] * 20 + [400.0] * 20)
    with pytest.raises(ValueError, match=r"2 temperatures \(300, 400 K\).*give the temperature"):
        fit_priors(several)
    with pytest.raises(ValueError, match=r"No frame has 350 K.*frames.h5 have 300, 400 K"):
        fit_priors(several, 350.0)
    with pytest.raises(ValueError, match="no frames"):
        fit_priors([])
    one = fit_priors(several, 300.0)
    assert one.temperature == 300.0
    args = several.positions[:20], ps.TYPES, ps.NAMES, ps.BONDS, 300.0
    assert one == fit_frames(*args)
    weighted = fit_priors(several, 300.0, reweight=True)
    assert weighted == fit_frames(*args, weights=several.weights[:20])
    assert weighted != one
    assert fit_priors([several, several], 300.0) != weighted


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.ones(3), "weights of shape"),
        (np.full(20, np.nan), "must be finite"),
        (np.zeros(20), "not all zero"),
        (-np.ones(20), "not negative"),
    ],
)
def test_bad_weights(weights, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit_frames(chains(20), ps.TYPES, ps.NAMES, ps.BONDS, 300.0, weights=weights)


@pytest.mark.parametrize("kind", ["harmonic-bonds", "tabulated-bonds"])
def test_constraints_are_refused_with_advice(kind: str) -> None:
    x = np.repeat(ps.positions(0)[None], 200, axis=0)
    with pytest.raises(
        ValueError, match=r"do not vary, all are .*constraint.*given=.*leave the kind"
    ):
        fit_frames(x, ps.TYPES, ps.NAMES, ps.BONDS, 300.0, [kind])
    if kind == "harmonic-bonds":
        given = {kind: {("*", "*"): Parameters(1e5, 0.25)}}
        assert fit_frames(
            x, ps.TYPES, ps.NAMES, ps.BONDS, 300.0, [kind], given=given
        ).parameters == {kind: given[kind]}


def test_too_few_samples_for_a_table() -> None:
    with pytest.raises(
        ValueError, match="tabulated-pairs for .*too few for a table, which needs 100"
    ):
        fit_frames(chains(2), ps.TYPES, ps.NAMES, ps.BONDS, 300.0, ["tabulated-pairs"])
    broken = chains(20)
    broken[3, 1, 0] = np.inf
    with pytest.raises(
        ValueError, match="harmonic-bonds for A-B cannot be fitted: 2 of its .* not finite"
    ):
        fit_frames(broken, ps.TYPES, ps.NAMES, ps.BONDS, 300.0)
