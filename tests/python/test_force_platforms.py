"""CGForce on the platforms that are present: results of the Reference platform, wherever pairs are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from force_systems import PLATFORMS, TRICLINIC, as_parameters, chains, overlapping
from openmm import unit
from openmmcg.simulation import choose_platform

DEVICES = [name for name in PLATFORMS if name not in ("Reference", "CPU")]
PRECISIONS = {"single": 2e-5, "mixed": 2e-5, "double": 1e-6}
"""Relative tolerances. In mixed precision the network is evaluated in single precision; OpenMM keeps parameters of its
own bonds in single precision everywhere."""


def energy_and_forces(context: openmm.Context) -> tuple[float, np.ndarray]:
    """Return energy in kJ/mol and forces (n, 3) in kJ/mol/nm."""
    state = context.getState(energy=True, forces=True)
    return (
        state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole),
        state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer),
    )


@pytest.mark.parametrize("where", ["auto", "device"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("device", as_parameters(DEVICES))
def test_results_are_those_of_the_reference(
    model_files: Path, device: str, precision: str, where: str
) -> None:
    tolerance = PRECISIONS[precision]
    setups = [
        chains(model_files / "schnet-v1.cg.pt", replicas=2, molecules=3, box=2.2 * np.eye(3)),
        overlapping(model_files / "pairs-v1.cg.pt", seed=8, periodic=True),
    ]
    for setup in setups:
        energy, forces = energy_and_forces(setup.context("Reference"))
        setup.force.setProperty("pairList", where)
        context = setup.context(device, Precision=precision)
        found, found_forces = energy_and_forces(context)
        assert found == pytest.approx(energy, rel=tolerance)
        assert np.abs(found_forces - forces).max() < tolerance * np.abs(forces).max()
        info = setup.force.getContextInfo(context)
        assert info["precision"] == ("double" if precision == "double" else "single")
        assert where == "auto" or info["pair_list"] == "device"


@pytest.mark.parametrize("device", as_parameters(DEVICES))
def test_precision_of_the_model_may_differ_from_that_of_the_platform(
    model_files: Path, device: str
) -> None:
    setup = chains(model_files / "schnet-v1.cg.pt", replicas=2, seed=3)
    setup.force.setProperty("precision", "double")
    context = setup.context(device, Precision="mixed")
    assert setup.force.getContextInfo(context)["precision"] == "double"
    # Corrections of positions count in mixed precision, so nothing is rounded on the way to the model.
    assert setup.force.getBeadEnergies(context).sum() == pytest.approx(
        setup.force.getBeadEnergies(setup.context("Reference")).sum(), rel=1e-9
    )


# On CUDA, PyTorch adds up the messages of a bead in any order.
@pytest.mark.parametrize("device", [name for name in DEVICES if name != "CUDA"])
def test_runs_repeat_bit_for_bit(model_files: Path, device: str) -> None:
    def run() -> np.ndarray:
        setup = chains(model_files / "schnet-v1.cg.pt", replicas=2, molecules=2, box=TRICLINIC)
        setup.force.setProperty("pairList", "device")
        context = setup.context(device, openmm.VerletIntegrator(0.001))
        context.setVelocitiesToTemperature(300, 5)
        context.getIntegrator().step(50)
        return np.asarray(context.getState(positions=True).getPositions(asNumpy=True)._value)

    assert np.array_equal(run(), run())


def test_information_has_the_same_entries_everywhere(model_files: Path) -> None:
    entries = []
    for platform in PLATFORMS:
        for where in ("host", "device"):
            if platform == "CUDA" and where == "host":
                continue
            setup = chains(model_files / "schnet-v1.cg.pt")
            setup.force.setProperty("pairList", where)
            context = setup.context(platform)
            energy_and_forces(context)
            info = setup.force.getContextInfo(context)
            on_device = where == "device" and platform in DEVICES
            assert info["pair_list"] == ("device" if on_device else "host")
            assert info["pairs"] == 30 and info["candidates"] == 30
            assert info["evaluations"] == 1 and info["list_rebuilds"] == 1
            entries.append({key: type(value) for key, value in info.items()})
    for other in entries[1:]:
        # Where the host waits for none of the parts, as on CUDA, it cannot time them.
        common = [key for key in entries[0] if key in other or not key.startswith("time_")]
        assert {key: other[key] for key in common} == {key: entries[0][key] for key in common}


def test_the_host_path_is_not_chosen_by_itself() -> None:
    assert choose_platform().getName() == ("CUDA" if "CUDA" in PLATFORMS else "CPU")
