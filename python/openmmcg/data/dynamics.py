"""OpenMM Contexts of the sampler: made, started, saved and restored.

A simulation that ends and goes on in a new Context does not do exactly what it would have done in
the old one: neighbour lists are older than a step, and barostats keep random numbers that no
checkpoint holds. The sampler therefore makes a new Context at every point where it could be
interrupted, interrupted or not, so that the frames are the same.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from openmmcg.data.config import SampleConfig
from openmmcg.files import write_npz

BIAS_GROUP = 31
PHYSICAL_GROUPS = set(range(32)) - {BIAS_GROUP}
_BAROSTAT_INTERVAL = 25
_DETERMINISTIC = {"DeterministicForces": "true"}  # else particle-mesh Ewald is not
_GPU = {"Precision": "mixed", **_DETERMINISTIC}
_PROPERTIES = {
    "CPU": {"Threads": "1", **_DETERMINISTIC},
    "CUDA": _GPU,
    "OpenCL": _GPU,
    "HIP": _GPU,
}


def seed_of(config: SampleConfig, walker: int, use: int, *more: int) -> int:
    """Return an independent 31-bit seed; 0 would mean a random one to OpenMM."""
    sequence = np.random.SeedSequence([config.seed, walker, use, *more])
    return int(sequence.generate_state(1)[0] % (2**31 - 1)) + 1


def platform_of(config: SampleConfig) -> openmm.Platform:
    """Return the platform of the settings.

    Raises
    ------
    ValueError
        If OpenMM has no such platform here.
    """
    names = [
        openmm.Platform.getPlatform(index).getName()
        for index in range(openmm.Platform.getNumPlatforms())
    ]
    if config.platform not in names:
        raise ValueError(
            f"There is no OpenMM platform {config.platform!r} here; there are {', '.join(names)}."
        )
    return openmm.Platform.getPlatformByName(config.platform)


def make_context(
    config: SampleConfig,
    system: openmm.System,
    temperature: float,
    seed: int,
    *,
    forces: tuple[openmm.Force, ...] = (),
    barostat_seed: int | None = None,
    thermostat: bool = True,
) -> openmm.Context:
    """Return a Context of a copy of a System.

    Parameters
    ----------
    config : SampleConfig
        Resolved settings.
    system : openmm.System
    temperature : float
        K.
    seed : int
        Of the integrator.
    forces : tuple of openmm.Force
        Added to the System.
    barostat_seed : int, optional
        With it the Context has a barostat if the ensemble does.
    thermostat : bool
        Without it the integrator has no friction.
    """
    system = copy.deepcopy(system)
    for force in forces:
        system.addForce(force)
    if config.ensemble == "npt" and barostat_seed is not None:
        barostat = openmm.MonteCarloBarostat(config.pressure, temperature, _BAROSTAT_INTERVAL)
        barostat.setRandomNumberSeed(barostat_seed)
        system.addForce(barostat)
    assert config.timestep is not None
    friction = config.friction if thermostat else 0.0
    integrator = openmm.LangevinMiddleIntegrator(temperature, friction, config.timestep * 1e-3)
    integrator.setRandomNumberSeed(seed)
    platform = platform_of(config)
    properties = _PROPERTIES.get(platform.getName(), {})
    context = openmm.Context(system, integrator, platform, properties)
    # The System must live as long as its Context, which Python does not know.
    context.system = system
    return context


def start(
    context: openmm.Context,
    positions: np.ndarray,
    box: np.ndarray | None,
    temperature: float,
    seed: int,
    minimise: bool,
) -> None:
    """Set positions and box (nm) and draw velocities; before that, minimise if asked to."""
    if box is not None:
        context.setPeriodicBoxVectors(*box)
    context.setPositions(positions)
    context.computeVirtualSites()
    if minimise:
        openmm.LocalEnergyMinimizer.minimize(context)
    else:
        context.applyConstraints(context.getIntegrator().getConstraintTolerance())
    context.setVelocitiesToTemperature(temperature, seed)


def configuration(context: openmm.Context) -> tuple[np.ndarray, np.ndarray | None]:
    """Return positions (n_atoms, 3) and box vectors (3, 3), nm; no box without boundaries."""
    state = context.getState(positions=True)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    if not context.getSystem().usesPeriodicBoundaryConditions():
        return positions, None
    return positions, box_of(state)


def box_of(state: openmm.State) -> np.ndarray:
    """Return the box vectors (3, 3) of a State as rows, nm."""
    return np.array(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer))


def forces_of(state: openmm.State) -> np.ndarray:
    """Return the forces (n_atoms, 3) of a State, kJ/mol/nm."""
    forces = state.getForces(asNumpy=True)
    return np.asarray(forces.value_in_unit(unit.kilojoules_per_mole / unit.nanometer))


def energy_of(state: openmm.State) -> float:
    """Return the potential energy of a State, kJ/mol."""
    return float(state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole))


def restore(context: openmm.Context, checkpoint: bytes, path: Path) -> None:
    """Restore a checkpoint, which came from `path`.

    Raises
    ------
    RuntimeError
        If OpenMM cannot use it.
    """
    try:
        context.loadCheckpoint(checkpoint)
    except openmm.OpenMMException as error:
        raise RuntimeError(
            f"The checkpoint {path} cannot be used ({error}); it needs the OpenMM and the platform "
            f"it was written with. Remove the folder {_parts_of(path)} to sample anew."
        ) from error


def _parts_of(path: Path) -> Path:
    return next((p for p in path.parents if p.suffix == ".parts"), path.parent)


def save_progress(path: str | os.PathLike[str], context: openmm.Context, **values: object) -> None:
    """Write a checkpoint and other values (numbers, arrays) to one file, atomically."""
    checkpoint = np.frombuffer(context.createCheckpoint(), dtype=np.uint8)
    write_npz(path, checkpoint=checkpoint, **values)


def load_progress(path: Path) -> dict[str, np.ndarray] | None:
    """Return what `save_progress` wrote, None if there is no such file.

    Raises
    ------
    RuntimeError
        If it is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            return dict(data)
    except Exception as error:  # zipfile and NumPy raise several kinds
        raise RuntimeError(
            f"The checkpoint {path} cannot be used ({error}); remove the folder "
            f"{_parts_of(path)} to sample anew."
        ) from error
