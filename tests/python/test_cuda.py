"""CGForce on the CUDA platform. Most of this needs a GPU; the rest tells what is missing without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from force_systems import PLATFORMS, Setup, chains, overlapping
from openmm import unit
from openmmcg.simulation import choose_platform

HAS_CUDA = "CUDA" in PLATFORMS
needs_gpu = pytest.mark.skipif(not HAS_CUDA, reason="the platform CUDA cannot be used here")


@pytest.mark.skipif(HAS_CUDA, reason="the platform CUDA can be used here")
def test_what_is_missing_is_told_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="'CUDA' cannot run CG models here") as error:
        choose_platform("CUDA")
    text = str(error.value)
    assert any(
        reason in text for reason in ("OpenMM has no such platform", "built without it", "finds no")
    )
    assert "\n" not in text


def test_the_fastest_platform_is_one_that_can_be_used() -> None:
    name = choose_platform("auto").getName()
    assert name != "CUDA" or torch.cuda.is_available()
    assert choose_platform(name).getName() == name


def evaluate(
    setup: Setup, platform: str, properties: dict[str, str] | None = None
) -> tuple[float, np.ndarray]:
    """Return energy (kJ/mol) and forces (kJ/mol/nm) of a setup on a platform, after some repetitions."""
    integrator = openmm.VerletIntegrator(1e-9)
    chosen = openmm.Platform.getPlatformByName(platform)
    context = openmm.Context(setup.system, integrator, chosen, properties or {})
    context.setPositions(setup.positions)
    for _ in range(6):  # with CUDA graphs, these are done, recorded, and repeated
        state = context.getState(energy=True, forces=True)
    return (
        state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole),
        state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer),
    )


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("graphs", ["on", "off"])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("single", 2e-5), ("mixed", 2e-5), ("double", 1e-8)]
)
@pytest.mark.parametrize("periodic", [False, True])
def test_a_network_is_the_same_on_cuda_and_reference(
    model_files: Path, periodic: bool, precision: str, tolerance: float, graphs: str
) -> None:
    setup = overlapping(model_files / "schnet-v1.cg.pt", 3, periodic)
    expected = evaluate(setup, "Reference")
    setup.force.setProperty("runner", "torchscript")
    setup.force.setProperty("cudaGraphs", graphs)
    energy, forces = evaluate(setup, "CUDA", {"Precision": precision})
    assert abs(energy - expected[0]) < tolerance * max(1.0, abs(expected[0]))
    scale = np.abs(expected[1]).max()
    np.testing.assert_allclose(forces, expected[1], atol=10 * tolerance * scale, rtol=0)


@pytest.mark.gpu
@needs_gpu
def test_a_device_that_is_not_there_is_refused(model_files: Path) -> None:
    setup = chains(model_files / "pairs-v1.cg.pt")
    with pytest.raises(openmm.OpenMMException) as error:
        evaluate(setup, "CUDA", {"DeviceIndex": "99"})
    assert "DeviceIndex" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.gpu
@needs_gpu
def test_contexts_share_a_device(model_files: Path) -> None:
    """Evaluations of several Contexts in turns, each with its own copy of the model and its own recording."""
    setups = [chains(model_files / "pairs-v1.cg.pt", replicas=n) for n in (1, 2, 3)]
    expected = [evaluate(setup, "Reference")[0] for setup in setups]
    contexts = []
    for setup in setups:
        context = openmm.Context(
            setup.system, openmm.VerletIntegrator(1e-9), openmm.Platform.getPlatformByName("CUDA")
        )
        context.setPositions(setup.positions)
        contexts.append(context)
    for _ in range(6):
        for context, value in zip(contexts, expected, strict=True):
            energy = context.getState(energy=True).getPotentialEnergy()
            assert energy.value_in_unit(unit.kilojoule_per_mole) == pytest.approx(value, rel=2e-5)
