"""The study of water: its comparisons on walks and lattices whose answers are known."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import training_systems as ts
from openmmcg.analysis.ensemble import Ensemble, from_dataset
from openmmcg.data import Dataset, Frames, write_dataset

FOLDER = Path(__file__).parents[2] / "examples" / "temperature"
BEADS, SIDE, WALKERS, FRAMES = 64, 2.0, 4, 60
INTERVAL = 0.1


@pytest.fixture(scope="module")
def study() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        import water
    finally:
        sys.path.remove(str(FOLDER))
    return water


@pytest.fixture(scope="module")
def analysis(study: ModuleType) -> ModuleType:
    return sys.modules["water_analysis"]


def coefficient(kelvin: float) -> float:
    """Of the walks, 1e-5 cm²/s."""
    return kelvin / 100


def walks(kelvin: float, seed: int) -> np.ndarray:
    """Random walks (F, N, 3) of pairs of beads in a periodic box, <Δx²> = 2 D t along each axis.

    The second bead of a pair is 0.3 nm from the first in directions that have no memory, which gives
    the liquid a first shell and adds a constant to the displacement.
    """
    rng = np.random.default_rng(seed)
    size = (FRAMES, BEADS // 2, 3)
    steps = rng.normal(scale=np.sqrt(2e-3 * coefficient(kelvin) * INTERVAL), size=size)
    first = rng.uniform(0, SIDE, size[1:]) + steps.cumsum(axis=0)
    directions = rng.normal(size=size)
    directions *= 0.3 / np.linalg.norm(directions, axis=-1, keepdims=True)
    return np.concatenate([first, first + directions], axis=1) % SIDE


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, analysis: ModuleType) -> Path:
    """Pairs of beads at all temperatures of the study."""
    kelvins = np.repeat(analysis.TEMPERATURES, WALKERS)
    positions = np.concatenate([walks(kelvin, seed) for seed, kelvin in enumerate(kelvins)])
    count = len(positions)
    frames = Frames(
        positions=positions.astype("f4"),
        forces=np.zeros(positions.shape, dtype="f4"),
        energies=np.zeros(count),
        temperatures=np.repeat(kelvins, FRAMES),
        bias_energies=np.zeros(count),
        walkers=np.repeat(np.arange(len(kelvins)), FRAMES),
        boxes=np.tile(SIDE * np.eye(3, dtype="f4"), (count, 1, 1)),
    )
    path = tmp_path_factory.mktemp("water") / "water.h5"
    source = {"config": {"frame_interval": INTERVAL}}
    mapping = ts.chain_mapping("W", BEADS)
    return write_dataset(path, mapping, frames, force_map="uniform", source=source)


def lattice(like: Ensemble) -> Ensemble:
    """Beads near the points of a cubic lattice that fills a part of the box."""
    points = np.stack(np.meshgrid(*[np.arange(4) * 0.3] * 3), axis=-1).reshape(-1, 3)
    noise = np.random.default_rng(0).normal(scale=0.03, size=like.positions.shape)
    return replace(like, positions=points + noise)


def test_models_are_compared_with_the_atoms_at_their_temperature(
    analysis: ModuleType, dataset: Path
) -> None:
    with Dataset.open(dataset) as data:
        atoms = {kelvin: from_dataset(data, kelvin) for kelvin in analysis.TEMPERATURES}
        ordered = {kelvin: lattice(ensemble) for kelvin, ensemble in atoms.items()}
        rows = analysis.compared({"same": atoms, "lattice": ordered}, data)
    found = {row[:3]: row[3:] for row in rows}
    assert len(found) == len(rows) == 5 * (3 + 3 + 3)
    for kelvin in analysis.TEMPERATURES:
        for kind in ("rdf", "adf"):
            assert found[kind, "same", kelvin][0] == pytest.approx(0, abs=1e-12)
            value, error = found[kind, "lattice", kelvin]
            assert value > 5 * error > 0
            assert value > 3 * found[kind, analysis.HALVES, kelvin][0]
        value, error = found["diffusion", analysis.ATOMS, kelvin]
        assert abs(value - coefficient(kelvin)) < 5 * error < coefficient(kelvin)
        assert found["diffusion", "same", kelvin] == (value, error)


def test_the_jackknife_gives_the_error_of_a_difference_of_means(analysis: ModuleType) -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(5, 1)), rng.normal(2.0, 1.0, size=(8, 1))
    value, error = analysis.deviation(first, second, lambda a, b: float((b - a)[0]))
    assert value == pytest.approx(second.mean() - first.mean())
    assert error == pytest.approx(np.sqrt(first.var(ddof=1) / 5 + second.var(ddof=1) / 8))


def test_the_friction_is_matched(analysis: ModuleType) -> None:
    frictions = np.array([3.0, 6.0, 12.0])
    assert analysis.matched(frictions, 1 / (0.05 + 0.02 * frictions), 4.0) == pytest.approx(10.0)
    with pytest.raises(ValueError, match="No friction makes the model as fast"):
        analysis.matched(frictions, 1 / (0.05 + 0.02 * frictions), 40.0)


def test_all_models_learn_from_as_many_frames(
    study: ModuleType, dataset: Path, tmp_path: Path
) -> None:
    settings = study.Study(tmp_path, FRAMES / 500, "CPU", "schnet")
    temperatures = {}
    for name, path in study.training_frames(settings, dataset).items():
        with Dataset.open(path) as data:
            temperatures[name] = sorted(data.temperatures.tolist())
    third = WALKERS * FRAMES // 3
    assert temperatures["multi-T"] == sorted(third * study.TAUGHT)
    for name in ("blind", "response", "energy"):
        assert temperatures[name] == [study.MIDDLE] * 3 * third


def test_tables_and_pictures_hold_all_rows(analysis: ModuleType, tmp_path: Path) -> None:
    rows = [
        (kind, name, kelvin, 1.25, 0.5)
        for kind in analysis.TITLES
        for name in (analysis.ATOMS, "blind")
        for kelvin in analysis.TEMPERATURES
    ]
    text = analysis.table(rows)
    assert text.count("1.25 ± 0.5") == len(rows)
    assert all(title in text for title in analysis.TITLES.values())
    analysis.draw(rows, tmp_path / "water.png")
    assert (tmp_path / "water.png").stat().st_size > 10_000
