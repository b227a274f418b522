"""Physics of CGForce: exact forces, symmetries, conserved energy, independence of replicas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
import pytest
from force_systems import PLATFORMS, TRICLINIC, as_parameters, chains, overlapping
from hypothesis import given, settings
from hypothesis import strategies as st
from openmm import unit
from openmmcg import CGForce
from openmmcg.units import KB
from scipy.spatial.transform import Rotation

MODELS = ("pairs-v1.cg.pt", "schnet-v1.cg.pt")


def energy_and_forces(context: openmm.Context) -> tuple[float, np.ndarray]:
    """Return energy in kJ/mol and forces (n, 3) in kJ/mol/nm."""
    state = context.getState(energy=True, forces=True)
    return (
        state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole),
        state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer),
    )


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_forces_are_differences_of_the_energy(
    model_files: Path, model: str, periodic: bool, seed: int
) -> None:
    setup = overlapping(model_files / model, seed, periodic)
    context = setup.context()
    _, forces = energy_and_forces(context)
    rng = np.random.default_rng(seed)
    step = 2e-5
    for _ in range(4):
        direction = rng.normal(size=setup.positions.shape)
        direction /= np.linalg.norm(direction)

        def energy(factor: float, along: np.ndarray = direction) -> float:
            context.setPositions(setup.positions + factor * step * along)
            return energy_and_forces(context)[0]

        # Fourth-order differences: the truncation error is far below 1e-6.
        slope = (8 * (energy(1) - energy(-1)) - (energy(2) - energy(-2))) / (12 * step)
        assert abs(slope + np.sum(forces * direction)) <= 1e-6 * np.linalg.norm(forces)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_energy_does_not_change_under_rotation_and_translation(
    model_files: Path, seed: int
) -> None:
    setup = overlapping(model_files / "schnet-v1.cg.pt", seed, periodic=False)
    context = setup.context()
    energy, forces = energy_and_forces(context)
    rotation = Rotation.random(random_state=seed).as_matrix()
    context.setPositions(setup.positions @ rotation.T + np.array([3.0, -40.0, 0.7]))
    moved_energy, moved_forces = energy_and_forces(context)
    assert moved_energy == pytest.approx(energy, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(moved_forces, forces @ rotation.T, atol=1e-8 * np.abs(forces).max())


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_periodic_energy_does_not_change_under_lattice_translations(
    model_files: Path, seed: int
) -> None:
    setup = overlapping(model_files / "schnet-v1.cg.pt", seed, periodic=True)
    rng = np.random.default_rng(seed)
    # Whole beads move together only if all particles do, so move one connected System by a lattice vector
    # and another by an arbitrary one.
    context = setup.context()
    energy, _ = energy_and_forces(context)
    for shift in (rng.integers(-3, 4, size=3) @ TRICLINIC, rng.normal(size=3)):
        context.setPositions(setup.positions + shift)
        assert energy_and_forces(context)[0] == pytest.approx(energy, rel=1e-9, abs=1e-9)


def test_molecules_may_lie_in_any_image(model_files: Path) -> None:
    setup = chains(model_files / "schnet-v1.cg.pt", molecules=2, box=TRICLINIC)
    context = setup.context()
    energy, _ = energy_and_forces(context)
    moved = setup.positions.copy()
    moved[6:] += np.array([2, -1, 3]) @ TRICLINIC
    context.setPositions(moved)
    assert energy_and_forces(context)[0] == pytest.approx(energy, rel=1e-9)


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_order_of_beads_does_not_matter(model_files: Path, seed: int) -> None:
    setup = chains(model_files / "schnet-v1.cg.pt", molecules=3, seed=seed)
    energy, forces = energy_and_forces(setup.context())
    order = np.random.default_rng(seed).permutation(18)
    place = np.argsort(order)
    permuted = CGForce(model_files / "schnet-v1.cg.pt")
    for bead in order:
        permuted.addBead(*setup.force.getBeadParameters(int(bead)))
    for bond in range(setup.force.getNumBonds()):
        i, j = setup.force.getBondParameters(bond)
        permuted.addBond(int(place[i]), int(place[j]))
    setup.system.removeForce(0)
    setup.system.addForce(permuted)
    again, forces_again = energy_and_forces(setup.context())
    assert again == pytest.approx(energy, rel=1e-10)
    np.testing.assert_allclose(forces_again, forces, atol=1e-9 * np.abs(forces).max())


def test_replicas_equal_separate_systems(model_files: Path) -> None:
    model = model_files / "schnet-v1.cg.pt"
    together = chains(model, replicas=3, seed=4)
    context = together.context()
    energies = together.force.getReplicaEnergies(context)
    forces = together.force.getBeadForces(context)
    for replica in range(3):
        alone = chains(model)
        alone.positions = together.positions[6 * replica : 6 * replica + 6]
        single = alone.context()
        assert alone.force.getReplicaEnergies(single)[0] == pytest.approx(
            energies[replica], rel=1e-12
        )
        np.testing.assert_allclose(
            alone.force.getBeadForces(single),
            forces[6 * replica : 6 * replica + 6],
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize("platform", as_parameters(PLATFORMS))
def test_energy_is_conserved(model_files: Path, platform: str) -> None:
    setup = chains(model_files / "schnet-v1.cg.pt", replicas=2, molecules=2)
    setup.force.setProperty("skin", 0.05)
    context = setup.context(platform, openmm.VerletIntegrator(0.0005))
    context.setVelocitiesToTemperature(300, 7)
    context.getIntegrator().step(20)
    totals = []
    for _ in range(40):
        context.getIntegrator().step(20)
        state = context.getState(energy=True)
        totals.append((state.getPotentialEnergy() + state.getKineticEnergy())._value)
    kinetic = state.getKineticEnergy()._value
    assert np.ptp(totals) < 5e-3 * kinetic
    drift = np.polyfit(np.arange(40), totals, 1)[0] * 40
    assert abs(drift) < 2e-3 * kinetic


def test_platforms_and_precisions_agree(model_files: Path) -> None:
    setup = chains(model_files / "schnet-v1.cg.pt", replicas=2, molecules=3, box=2.2 * np.eye(3))
    energy, forces = energy_and_forces(setup.context("Reference"))
    for precision, tolerance in (("single", 2e-5), ("double", 1e-5)):
        setup.force.setProperty("precision", precision)
        context = setup.context("CPU")
        assert setup.force.getContextInfo(context)["precision"] == precision
        other, other_forces = energy_and_forces(context)
        assert other == pytest.approx(energy, rel=tolerance)
        assert np.abs(other_forces - forces).max() < tolerance * np.abs(forces).max()


def test_cpu_run_repeats_bit_for_bit(model_files: Path) -> None:
    def run() -> np.ndarray:
        integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.001)
        integrator.setRandomNumberSeed(3)
        setup = chains(model_files / "schnet-v1.cg.pt", replicas=4)
        context = openmm.Context(
            setup.system, integrator, openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"}
        )
        context.setPositions(setup.positions)
        context.setVelocitiesToTemperature(300, 5)
        integrator.step(100)
        return np.asarray(context.getState(positions=True).getPositions(asNumpy=True)._value)

    assert np.array_equal(run(), run())


def test_pressure_coupling_samples_the_ideal_gas_law(model_files: Path) -> None:
    """Replicas do not interact, so chains in a common box are an ideal gas: ⟨V⟩ = (N + 1) kT / p."""
    n_chains, pressure = 24, 9.0  # bar
    setup = chains(model_files / "pairs-v1.cg.pt", replicas=n_chains, box=5.0 * np.eye(3))
    barostat = openmm.MonteCarloBarostat(pressure, 300, 1)
    barostat.setRandomNumberSeed(2)
    setup.system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(300, 5, 0.002)
    integrator.setRandomNumberSeed(1)
    context = setup.context("CPU", integrator)
    assert len(context.getMolecules()) == n_chains
    integrator.step(500)
    volumes = []
    for _ in range(2500):
        integrator.step(1)
        volumes.append(context.getState().getPeriodicBoxVolume()._value)
    bar = 0.0602214  # kJ/mol/nm³
    expected = (n_chains + 1) * 300 * KB / (pressure * bar)
    blocks = np.reshape(volumes, (10, -1)).mean(axis=1)
    assert abs(np.mean(volumes) - expected) < 4 * blocks.std(ddof=1) / np.sqrt(10)
