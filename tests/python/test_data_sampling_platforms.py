"""Sampling on every platform that OpenMM has here."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import openmm
import pytest
from openmmcg.data import Dataset, SampleConfig, atoms_path, recipe, sample

PLATFORMS = [
    openmm.Platform.getPlatform(index).getName()
    for index in range(openmm.Platform.getNumPlatforms())
]


@pytest.mark.parametrize("platform", ["Reference", "CPU", "OpenCL", "CUDA", "HIP"])
def test_energies_and_forces_are_those_of_the_reference_platform(
    tmp_path: Path, platform: str
) -> None:
    if platform not in PLATFORMS:
        pytest.skip(f"OpenMM has no platform {platform} here")
    path = sample(
        SampleConfig(
            output=str(tmp_path / "d.h5"),
            platform=platform,
            length=0.002,
            equilibration=0.2,
            walkers=1,
            force_map="uniform",
            all_atom=True,
            minimise=False,
        ),
        progress=False,
    )
    with Dataset.open(path) as dataset:
        energies = np.asarray(dataset.energies)
    with h5py.File(atoms_path(str(path)), "r") as file:
        positions, forces = file["coordinates"][...], file["forces"][...]
    context = openmm.Context(
        recipe("capped-alanine", constraints="hbonds", hydrogen_mass=3.0).system,
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName("Reference"),
    )
    assert len(positions) == 20
    for frame, energy, force in zip(positions, energies, forces, strict=True):
        context.setPositions(frame)
        state = context.getState(energy=True, forces=True)
        assert energy == pytest.approx(state.getPotentialEnergy()._value, abs=0.02)
        expected = np.asarray(state.getForces(asNumpy=True)._value)
        assert np.abs(force - expected).max() < 1e-3 * np.abs(expected).max()
