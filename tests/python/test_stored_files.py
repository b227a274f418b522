"""Files of every format version are in the repository and keep loading with the same content."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openmm
import peptide_frames
import prior_systems as ps
import pytest
import torch
from openmmcg import export
from openmmcg.data import Dataset, recipe
from openmmcg.data.frames import FORMAT_VERSION as DATASET_VERSION
from openmmcg.export.card import FORMAT_VERSION as MODEL_VERSION
from openmmcg.mapping import Mapping
from openmmcg.mapping.definition import FORMAT as MAPPING_VERSION
from openmmcg.priors import PriorSet
from openmmcg.priors.record import VERSION as PRIORS_VERSION
from openmmcg.simulation import CGPotential

ENERGY = 2311.5739177242995
"""Of the stored priors at a fixed configuration when they were written, kJ/mol."""


@pytest.mark.parametrize(
    ("name", "newest"),
    [
        ("liquid-v{}.cg.pt", MODEL_VERSION),
        ("dataset-v{}.h5", DATASET_VERSION),
        ("mapping-v{}.yaml", MAPPING_VERSION),
        ("priors-v{}.json", PRIORS_VERSION),
    ],
)
def test_there_is_a_file_of_every_version(model_files: Path, name: str, newest: int) -> None:
    """A new version needs a stored file, and a test here."""
    for version in range(1, newest + 1):
        assert (model_files / name.format(version)).is_file()
    assert not (model_files / name.format(newest + 1)).exists()


def test_model_of_version_1(model_files: Path) -> None:
    """With what cards have come to hold: a box, and results that are found again."""
    path = model_files / "liquid-v1.cg.pt"
    assert export.read_card(path)["format_version"] == 1
    assert export.verify(path)["differences"]["stored results"] < 1e-5
    potential = CGPotential.load(path)
    context = openmm.Context(
        potential.createSystem(),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatform("Reference"),
    )
    context.setPositions(potential.initial_positions())
    state = context.getState(energy=True, forces=True)
    reference = potential.card["reference"]
    energy = sum(reference["bead_energies"])
    assert state.getPotentialEnergy()._value == pytest.approx(energy, rel=1e-5)
    forces = np.array(reference["forces"])
    found = np.array(state.getForces(asNumpy=True)._value)
    np.testing.assert_allclose(found, forces, atol=1e-5 * np.abs(forces).max())


@pytest.mark.parametrize("version", range(1, DATASET_VERSION + 1))
def test_datasets(model_files: Path, version: int) -> None:
    with Dataset.open(model_files / f"dataset-v{version}.h5") as dataset:
        assert dataset.n_beads == 6 and dataset.mapping["name"] == "core-beta"
        frames = dataset.frames()
        assert np.isfinite(frames.positions).all() and (frames.temperatures == 300.0).all()
        assert frames.positions.shape == (dataset.n_frames, 6, 3)
        bonds = np.linalg.norm(np.diff(frames.positions[:, dataset.bonds], axis=2), axis=-1)
        assert bonds.min() > 0.12 and bonds.max() < 0.17


def test_dataset_of_version_2_exactly(model_files: Path) -> None:
    expected = peptide_frames.frames(
        [-80.0, 60.0, 150.0], [150.0, 30.0, -60.0], np.random.default_rng(0)
    )
    with Dataset.open(model_files / "dataset-v2.h5") as dataset:
        np.testing.assert_array_equal(dataset.positions, expected.astype("f4"))


@pytest.mark.parametrize(
    ("version", "types"),
    [(1, ["C", "N", "CA", "CB", "C", "N"]), (2, ["C", "N", "C", "C", "C", "N-end"])],
)
def test_mappings(model_files: Path, version: int, types: list[str]) -> None:
    topology = recipe("capped-alanine").topology
    mapping = Mapping.from_yaml(model_files / f"mapping-v{version}.yaml", topology)
    assert [mapping.type_names[kind] for kind in mapping.types] == types
    np.testing.assert_allclose(mapping.matrix.sum(axis=1), 1.0)
    beads = np.count_nonzero(mapping.matrix, axis=1)
    assert beads.tolist() == [1, 1, 1, 4 if version == 1 else 1, 1, 1]


def test_priors_of_version_2(model_files: Path) -> None:
    priors = PriorSet.from_dict(json.loads((model_files / "priors-v2.json").read_text()))
    bound = priors.bind(ps.TYPES, ps.NAMES, ps.BONDS, ps.MOLECULES)
    x = torch.from_numpy(ps.positions(0))
    assert bound.energy(x).item() == pytest.approx(ENERGY, rel=1e-9)
