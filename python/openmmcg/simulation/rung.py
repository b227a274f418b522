"""One temperature of a run: the replicas' Context, and the files of their frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from openmmcg.data import reweight
from openmmcg.force import CGForce
from openmmcg.mapping.pdb import write_topology_pdb
from openmmcg.simulation.bias import bias_energies
from openmmcg.simulation.frames import TRAJECTORY, read_positions, write_weights
from openmmcg.simulation.job import Job
from openmmcg.simulation.potential import NETWORK_GROUP, PRIOR_GROUP
from openmmcg.simulation.stability import check_frame, explain_failure
from openmmcg.simulation.start import starting_positions
from openmmcg.simulation.trajectory import DCDTrajectory, Log
from openmmcg.units import KB

LOG = "log.csv"
COLUMNS = (
    "time (ps)",
    "temperature (K)",
    "potential of mean force per replica (kJ/mol)",
    "speed (ns/day; all replicas)",
)
RAMP_COLUMN = "thermostat (K)"
_MODEL_ENERGY = {NETWORK_GROUP, PRIOR_GROUP}


class Rung:
    """All replicas at one temperature.

    Parameters
    ----------
    job : Job
    number : int
        Which of the temperatures.
    frames : int
        Frames that its files hold already.

    Attributes
    ----------
    context : openmm.Context
    folder : Path
    temperature : float
        K; now, if the run passes through several.
    """

    def __init__(self, job: Job, number: int, frames: int) -> None:
        self._job = job
        self._number = number
        self.folder = job.folder(number)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.temperature = float(job.kelvin(number, frames + 1))
        self.context = job.context(self.temperature)
        config = job.config
        self._trajectory = DCDTrajectory(
            self.folder / TRAJECTORY,
            job.potential.topology(config.replicas),
            config.timestep * 1e-3,
            config.steps_per_frame,
            frames,
        )
        columns = COLUMNS if job.ramp is None else (*COLUMNS, RAMP_COLUMN)
        self._log = Log(self.folder / LOG, columns, frames)

    def begin(self, state: tuple[np.ndarray, np.ndarray] | None, frames: int) -> None:
        """Begin a block after a number of frames, with seeds that depend on nothing else.

        Parameters
        ----------
        state : (positions, velocities) or None
            nm and nm/ps; None places all replicas and equilibrates them.
        frames : int
        """
        config, several = self._job.config, self._job.tempering
        own = (self._number,) if several else ()
        generator = np.random.default_rng((config.seed, frames, *own))
        self.context.getIntegrator().setRandomNumberSeed(_seed(generator))
        self.context.reinitialize()
        self.set_temperature(float(self._job.kelvin(self._number, frames + 1)))
        if state is not None:
            self.place(*state)
            return
        positions = starting_positions(
            self._job.potential,
            config.replicas,
            generator,
            config.dataset,
            self._job.bias,
            self.temperature,
        )
        self.context.setPositions(positions)
        self.context.setVelocitiesToTemperature(self.temperature, _seed(generator))
        for _ in range(round(config.equilibration / config.frame_interval)):
            self._advance(0)

    def set_temperature(self, kelvin: float) -> None:
        """Set the temperature of thermostat and model together."""
        self.temperature = kelvin
        self.context.getIntegrator().setTemperature(kelvin)
        self.context.setParameter(CGForce.Temperature(), kelvin)

    def advance(self, frame: int, clock: float, made: int) -> None:
        """Integrate to a frame and write it.

        Parameters
        ----------
        frame : int
            Its number.
        clock : float
            When the block began, s.
        made : int
            Frames of the block, this one among them.
        """
        config = self._job.config
        kelvin = float(self._job.kelvin(self._number, frame))
        if kelvin != self.temperature:
            self.set_temperature(kelvin)
        positions, energy, temperature = self._advance(frame)
        self._trajectory.write(positions)
        elapsed = (time.perf_counter() - clock) / 86400
        speed = made * self._job.replica_time / elapsed
        more = () if self._job.ramp is None else (kelvin,)
        self._log.write(frame * config.frame_interval, temperature, energy, speed, *more)

    def _advance(self, frame: int) -> tuple[np.ndarray, float, float]:
        """Integrate to the next frame: positions (nm), energy per replica (kJ/mol), temperature."""
        replicas, template = self._job.config.replicas, self._job.potential.template
        try:
            self.context.getIntegrator().step(self._job.config.steps_per_frame)
            state = self.context.getState(positions=True, energy=True, groups=_MODEL_ENERGY)
        except openmm.OpenMMException as error:
            positions = _positions(self.context.getState(positions=True))
            raise explain_failure(positions, replicas, template, frame, str(error)) from error
        positions = _positions(state)
        check_frame(positions, replicas, template, frame)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        return positions, energy / replicas, 2 * kinetic / (KB * positions.size)

    def place(self, positions: np.ndarray, velocities: np.ndarray) -> None:
        """Set all positions (nm) and velocities (nm/ps)."""
        self.context.setPositions(positions)
        self.context.setVelocities(velocities)

    def configuration(self) -> tuple[np.ndarray, np.ndarray]:
        """All positions (nm) and velocities (nm/ps), (replicas n_beads, 3)."""
        state = self.context.getState(positions=True, velocities=True)
        velocities = state.getVelocities(asNumpy=True)
        return _positions(state), np.asarray(
            velocities.value_in_unit(unit.nanometer / unit.picosecond)
        )

    @contextmanager
    def model_at(self, kelvin: float) -> Iterator[openmm.Context]:
        """Give the model another temperature, K, to ask for its energies or forces there."""
        self.context.setParameter(CGForce.Temperature(), kelvin)
        yield self.context
        self.context.setParameter(CGForce.Temperature(), self.temperature)

    def sync(self) -> None:
        """Have all frames on disk before a checkpoint refers to them."""
        self._trajectory.sync()
        self._log.sync()

    def close(self) -> None:
        """Close the files."""
        self._trajectory.close()
        self._log.close()


def write_structures(job: Job, folder: Path) -> None:
    """Write system.pdb, all replicas at one temperature, and replica.pdb, one of them."""
    for name, replicas in (("system.pdb", job.config.replicas), ("replica.pdb", 1)):
        potential = job.potential
        write_topology_pdb(
            folder / name,
            potential.topology(replicas),
            potential.initial_positions(replicas),
            potential.box,
        )


def write_frame_weights(job: Job, number: int) -> None:
    """Write temperatures, bias energies and weights of all frames at one temperature."""
    folder = job.folder(number)
    positions = read_positions(folder, job.config.replicas)
    kelvin = job.kelvin(number, np.arange(1, len(positions) + 1))
    energies = np.zeros(positions.shape[:2])
    if job.bias is not None:
        energies = bias_energies(job.bias, positions)
    weights = reweight(energies / kelvin[:, None], 1.0)
    write_weights(folder, job.config.frame_interval, kelvin, energies, weights)


def _seed(generator: np.random.Generator) -> int:
    """Draw a seed for OpenMM; 0 would mean a random one."""
    return int(generator.integers(1, 2**31 - 1))


def _positions(state: openmm.State) -> np.ndarray:
    return np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
