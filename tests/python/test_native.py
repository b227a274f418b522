"""The native runner against the TorchScript one: same energies and forces, any threads, conserved energy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from force_systems import TRICLINIC, chains
from hypothesis import given, settings
from hypothesis import strategies as st
from openmmcg import CGForce, export, models

TYPES = ["A", "B", "C"]
DATA = Path(__file__).parent.parent / "data"


def schnet(width: int = 24, ranges: list[list[float]] | None = None) -> bytes:
    """Return a model file of a random SchNet whose energies are of the size of kT."""
    with torch.random.fork_rng():
        torch.manual_seed(width)
        network = models.build(
            "schnet",
            bead_types=TYPES,
            cutoff=0.6,
            width=width,
            interactions=3,
            rbf=9,
            ranges=ranges,
        )
        for parameter in network.parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return export.to_bytes(network, temperature=300.0)


def pair_spline(ranges: list[list[float]] | None = None) -> bytes:
    """Return a model file of random splines."""
    network = models.build("pair-spline", bead_types=TYPES, cutoff=0.6, rbf=9, ranges=ranges)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        torch.nn.init.normal_(next(network.parameters()), std=2.0)
    return export.to_bytes(network, temperature=300.0)


BONDED = [[0.1, 0.6], [0.15, 0.6], [0.12, 0.17], [0.2, 0.3], [0.25, 0.45]]
MODELS = {
    "even": schnet(),
    "odd width, bonded ranges": schnet(19, BONDED),
    "wide": schnet(64),
    "pair splines": pair_spline(),
    "pair splines, bonded ranges": pair_spline(BONDED),
}


def evaluate(
    model: bytes,
    positions: np.ndarray,
    runner: str,
    *,
    platform: str = "Reference",
    threads: str = "1",
    box: np.ndarray | None = None,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy, forces and bead energies of chains of six beads at `positions`."""
    system, force = openmm.System(), CGForce(model)
    force.setProperty("runner", runner)
    force.setProperty("threads", threads)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box)
        force.setUsesPeriodicBoundaryConditions(True)
    for i in range(len(positions)):
        force.addBead(system.addParticle(12.0), None, i % 3, i // 6, 0)
        if i % 6:
            force.addBond(i - 1, i)
    system.addForce(force)
    integrator = openmm.VerletIntegrator(0.001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(positions)
    assert force.getContextInfo(context)["runner"] == runner
    state = context.getState(energy=True, forces=True)
    return (
        state.getPotentialEnergy()._value,
        state.getForces(asNumpy=True)._value,
        force.getBeadEnergies(context),
    )


def assert_equal(model: bytes, positions: np.ndarray, tolerance: float, **how: object) -> None:
    """Compare both runners relative to the largest force and bead energy."""
    expected = evaluate(model, positions, "torchscript", **how)  # type: ignore[arg-type]
    found = evaluate(model, positions, "native", **how)  # type: ignore[arg-type]
    for a, b in zip(expected[1:], found[1:], strict=True):
        assert np.abs(a - b).max() <= tolerance * max(np.abs(a).max(), 1e-3)
    assert found[0] == pytest.approx(expected[0], abs=tolerance * np.abs(expected[2]).sum())


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([0.02, 0.3, 0.9]), periodic=st.booleans())
def test_equals_torchscript_in_double(name: str, seed: int, size: float, periodic: bool) -> None:
    # Sizes: all beads in close contact, dense, and thin with pairs around the cutoff.
    positions = np.random.default_rng(seed).uniform(0, size, (18, 3))
    assert_equal(MODELS[name], positions, 1e-7, box=TRICLINIC if periodic else None)


@pytest.mark.parametrize("name", MODELS)
def test_equals_torchscript_in_single(name: str) -> None:
    for seed, size in ((1, 0.02), (2, 0.4), (3, 1.0)):
        positions = np.random.default_rng(seed).uniform(0, size, (60, 3))
        assert_equal(MODELS[name], positions, 2e-5, platform="CPU")


def test_pairs_at_the_cutoff_and_coincident_beads() -> None:
    for distance in (0.0, 1e-9, 0.6 - 1e-7, 0.6, 0.6 + 1e-7):
        positions = np.array([[0, 0, 0], [distance, 0, 0], [0, 0.3, 0]])
        assert_equal(MODELS["even"], positions, 1e-7)


def test_threads_do_not_change_a_bit() -> None:
    positions = np.random.default_rng(0).uniform(0, 2.2, (900, 3))
    one, two = (
        evaluate(MODELS["even"], positions, "native", platform="CPU", threads=threads)
        for threads in ("1", "2")
    )
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1], two[1])


def test_replicas_are_independent() -> None:
    """Replicas in one evaluation give what each gives alone."""
    setup = chains(DATA / "schnet-weights-v1.cg.pt", replicas=40)
    together = setup.force.getReplicaEnergies(setup.context("CPU"))
    assert setup.force.getContextInfo(setup.context("CPU"))["runner"] == "native"
    single = chains(DATA / "schnet-weights-v1.cg.pt")
    for replica in (0, 17, 39):
        single.positions = setup.positions[6 * replica : 6 * replica + 6]
        alone = single.force.getReplicaEnergies(single.context("CPU"))[0]
        assert together[replica] == pytest.approx(alone, rel=1e-5, abs=1e-6)


def drift(runner: str) -> float:
    """Largest deviation of the total energy over 2 ps, kJ/mol."""
    setup = chains(DATA / "schnet-weights-v1.cg.pt", replicas=2)
    setup.force.setProperty("runner", runner)
    context = setup.context("CPU", openmm.VerletIntegrator(0.0005))
    context.setVelocitiesToTemperature(300, 1)
    energies = []
    for _ in range(100):
        context.getIntegrator().step(40)
        state = context.getState(energy=True)
        energies.append(state.getPotentialEnergy()._value + state.getKineticEnergy()._value)
    return float(np.ptp(energies))


@pytest.mark.slow
def test_conserves_energy_as_torchscript_does() -> None:
    assert drift("native") < 1.2 * drift("torchscript") + 1e-3


def test_files_without_weights_run_through_torchscript() -> None:
    setup = chains(DATA / "schnet-v1.cg.pt")
    info = setup.force.getContextInfo(setup.context())
    assert info["runner"] == "torchscript" and "export it again" in info["runner_reason"]
    setup.force.setProperty("runner", "native")
    with pytest.raises(openmm.OpenMMException, match="'native' cannot run this model.*export"):
        setup.context()


def test_stored_weights_equal_the_scripted_network() -> None:
    positions = np.random.default_rng(4).uniform(0, 0.5, (12, 3))
    assert_equal((DATA / "schnet-weights-v1.cg.pt").read_bytes(), positions, 1e-7)
