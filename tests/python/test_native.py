"""The native runner against the TorchScript one: boxes, the cutoff, replicas, old files, conserved energy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from force_systems import TRICLINIC, chains
from hypothesis import given, settings
from hypothesis import strategies as st
from native_models import CUTOFF, Engine, assert_equal, evaluate, one, random_model

DATA = Path(__file__).parent.parent / "data"
RUNNERS = ("torchscript", "native")


@pytest.mark.parametrize("name", ["schnet, odd width, bonded ranges", "painn", "pair-spline"])
def test_equals_torchscript_in_a_box(name: str) -> None:
    beads = one(np.zeros((18, 3)))
    engines = [Engine(random_model(name), beads, runner, box=TRICLINIC) for runner in RUNNERS]

    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 10**6), size=st.sampled_from([0.3, 0.9, 2.0]))
    def check(seed: int, size: float) -> None:
        positions = np.random.default_rng(seed).uniform(0, size, (18, 3))
        expected, found = (engine.evaluate(positions) for engine in engines)
        assert_equal(expected, found, beads, 1e-7)

    check()


@pytest.mark.parametrize("name", ["schnet", "schnet, bessel, cosine, chiral", "painn"])
def test_pairs_at_the_cutoff_and_coincident_beads(name: str) -> None:
    beads = one(np.zeros((3, 3)))
    torchscript, native = (Engine(random_model(name), beads, runner) for runner in RUNNERS)
    for distance in (0.0, 1e-9, CUTOFF - 1e-7, CUTOFF, CUTOFF + 1e-7):
        positions = np.array([[0, 0, 0], [distance, 0, 0], [0, 0.3, 0]])
        assert_equal(torchscript.evaluate(positions), native.evaluate(positions), beads, 1e-7)


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


def drift(model: bytes, runner: str, platform: str) -> float:
    """Largest deviation of the total energy over 0.5 ps, kJ/mol."""
    setup = chains(model)
    setup.force.setProperty("runner", runner)
    context = setup.context(platform, openmm.VerletIntegrator(0.001))
    context.setVelocitiesToTemperature(300, 1)
    energies = []
    for _ in range(100):
        context.getIntegrator().step(5)
        state = context.getState(energy=True)
        energies.append(state.getPotentialEnergy()._value + state.getKineticEnergy()._value)
    return float(np.ptp(energies))


@pytest.mark.parametrize("name", ["schnet", "painn", "pair-spline"])
def test_conserves_energy_as_torchscript_does(name: str) -> None:
    expected = drift(random_model(name), "torchscript", "Reference")
    assert drift(random_model(name), "native", "Reference") == pytest.approx(expected, rel=1e-3)
    assert drift(random_model(name), "native", "CPU") < 1.05 * expected  # in single precision


def test_files_without_weights_run_through_torchscript() -> None:
    setup = chains(DATA / "schnet-v1.cg.pt")
    info = setup.force.getContextInfo(setup.context())
    assert info["runner"] == "torchscript" and "export it again" in info["runner_reason"]
    setup.force.setProperty("runner", "native")
    with pytest.raises(openmm.OpenMMException, match="'native' cannot run this model.*export"):
        setup.context()


def test_stored_weights_equal_the_scripted_network() -> None:
    beads = one(np.random.default_rng(4).uniform(0, 0.5, (12, 3)))
    for name in ("schnet-weights-v1.cg.pt", "painn-v1.cg.pt"):
        model = (DATA / name).read_bytes()
        expected, found = (evaluate(model, beads, runner) for runner in RUNNERS)
        assert_equal(expected, found, beads, 1e-7)
