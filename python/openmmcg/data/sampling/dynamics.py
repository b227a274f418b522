"""Simulations of the sampler: made, started, saved and restored.

A simulation that ends and goes on in a new Context does not do exactly what it would have done in
the old one, as neighbour lists are older than a step. The sampler therefore makes a new Context
at every point where it could be interrupted, interrupted or not, so that the frames are the same.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmm import unit

from openmmcg.data.sampling.barostat import INTERVAL, Barostat
from openmmcg.data.sampling.config import SampleConfig
from openmmcg.files import write_npz

BIAS_GROUP = 31
PHYSICAL_GROUPS = set(range(32)) - {BIAS_GROUP}
_DETERMINISTIC = {"DeterministicForces": "true"}  # else particle-mesh Ewald is not
_PROPERTIES = {
    "CPU": {"Threads": "1", **_DETERMINISTIC},
    "CUDA": {"Precision": "mixed", **_DETERMINISTIC},
    "HIP": {"Precision": "mixed", **_DETERMINISTIC},
    "OpenCL": {"Precision": "mixed"},
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


class Dynamics:
    """A Context of a copy of a System, with a barostat if the ensemble has one.

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
        Without it there is no barostat in any ensemble.
    friction : float, optional
        Of the thermostat, 1/ps; that of the settings if it is not given.

    Attributes
    ----------
    context : openmm.Context
    temperature : float
        K.
    """

    def __init__(
        self,
        config: SampleConfig,
        system: openmm.System,
        temperature: float,
        seed: int,
        *,
        forces: tuple[openmm.Force, ...] = (),
        barostat_seed: int | None = None,
        friction: float | None = None,
    ) -> None:
        assert config.timestep is not None
        self.temperature = temperature
        self._system = copy.deepcopy(system)  # must live as long as its Context
        for force in forces:
            self._system.addForce(force)
        self._integrator = openmm.LangevinMiddleIntegrator(
            temperature,
            config.friction if friction is None else friction,
            config.timestep * 1e-3,
        )
        self._integrator.setRandomNumberSeed(seed)
        platform = platform_of(config)
        properties = _PROPERTIES.get(platform.getName(), {})
        self.context = openmm.Context(self._system, self._integrator, platform, properties)
        self._barostat: Barostat | None = None
        if config.ensemble == "npt" and barostat_seed is not None:
            self._barostat = Barostat(self.context, config.pressure, temperature, barostat_seed)

    def start(
        self, positions: np.ndarray, box: np.ndarray | None, seed: int, minimise: bool
    ) -> None:
        """Set positions and box (nm) and draw velocities; before that, minimise if asked to."""
        if box is not None:
            self.context.setPeriodicBoxVectors(*box)
        self.context.setPositions(positions)
        self.context.computeVirtualSites()
        if minimise:
            openmm.LocalEnergyMinimizer.minimize(self.context)
        else:
            self.context.applyConstraints(self._integrator.getConstraintTolerance())
        self.context.setVelocitiesToTemperature(self.temperature, seed)

    def step(self, steps: int) -> None:
        """Advance by a number of time steps."""
        if self._barostat is None:
            self._integrator.step(steps)
            return
        end = self.context.getStepCount() + steps
        while (now := self.context.getStepCount()) < end:
            self._integrator.step(min(end - now, INTERVAL - now % INTERVAL))
            if self.context.getStepCount() % INTERVAL == 0:
                self._barostat.attempt()

    def configuration(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return positions (n_atoms, 3) and box vectors (3, 3), nm; no box without boundaries."""
        state = self.context.getState(positions=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        return positions, box_of(state) if self._system.usesPeriodicBoundaryConditions() else None

    def save(self, path: str | os.PathLike[str], **values: Any) -> None:
        """Write a checkpoint and other values (numbers, arrays) to one file, atomically."""
        if self._barostat is not None and self._barostat.size is not None:
            values["barostat"] = self._barostat.size
        checkpoint = np.frombuffer(self.context.createCheckpoint(), dtype=np.uint8)
        write_npz(path, checkpoint=checkpoint, **values)

    def restore(self, saved: dict[str, np.ndarray], path: Path) -> None:
        """Restore what `save` wrote and `load_progress` read from `path`.

        Raises
        ------
        RuntimeError
            If OpenMM cannot use it.
        """
        try:
            self.context.loadCheckpoint(saved["checkpoint"].tobytes())
        except (openmm.OpenMMException, KeyError) as error:
            raise _unusable(path, error) from error
        if self._barostat is not None and "barostat" in saved:
            self._barostat.size = float(saved["barostat"])


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


def load_progress(path: Path) -> dict[str, np.ndarray]:
    """Return what `Dynamics.save` wrote.

    Raises
    ------
    RuntimeError
        If it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            return dict(data)
    except Exception as error:  # zipfile and NumPy raise several kinds
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> RuntimeError:
    folder = next((p for p in path.parents if p.suffix == ".parts"), path.parent)
    return RuntimeError(
        f"The checkpoint {path} cannot be used ({error}); it needs the OpenMM and the platform it "
        f"was written with. Remove the folder {folder} to sample anew."
    )
