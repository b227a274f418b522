"""A run ready to start: its settings and what was made of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openmm

from openmmcg.data import TorsionBias
from openmmcg.force import CGForce
from openmmcg.settings import kelvins
from openmmcg.simulation.bias import add_bias
from openmmcg.simulation.config import RunConfig
from openmmcg.simulation.platform import choose_platform
from openmmcg.simulation.potential import CGPotential


@dataclass(frozen=True)
class Job:
    """A run ready to start.

    Attributes
    ----------
    config : RunConfig
    potential : CGPotential
    temperatures : tuple of float
        K; more than one if replicas are exchanged between them.
    ramp : tuple of float or None
        Temperatures to pass through, K.
    bias : TorsionBias or None
    system : openmm.System
        All replicas at one temperature.
    platform : openmm.Platform
    """

    config: RunConfig
    potential: CGPotential
    temperatures: tuple[float, ...]
    ramp: tuple[float, ...] | None
    bias: TorsionBias | None
    system: openmm.System
    platform: openmm.Platform

    @property
    def tempering(self) -> bool:
        """Whether replicas are exchanged between temperatures."""
        return len(self.temperatures) > 1

    @property
    def replica_time(self) -> float:
        """Time of all replicas at all temperatures in a frame, ns."""
        copies = self.config.replicas * len(self.temperatures)
        return copies * self.config.frame_interval * 1e-3

    def folder(self, rung: int) -> Path:
        """Folder of the frames at a temperature."""
        folder = Path(self.config.output)
        return folder / f"{self.temperatures[rung]:g}K" if self.tempering else folder

    def kelvin(self, rung: int, frames: np.ndarray | int) -> np.ndarray:
        """Temperature, K, while frames of the given numbers (from 1 on) are made."""
        if self.ramp is None:
            return np.full(np.shape(frames), self.temperatures[rung])
        last = max(1, self.config.n_frames - 1)
        marks = np.linspace(1, 1 + last, len(self.ramp))
        return np.asarray(np.interp(frames, marks, self.ramp))

    @property
    def network(self) -> CGForce:
        """The network's force, which answers questions on any Context of the System."""
        return next(
            CGForce.cast(force) for force in self.system.getForces() if CGForce.isinstance(force)
        )

    def context(self, temperature: float) -> openmm.Context:
        """Make a Context with a thermostat."""
        config = self.config
        integrator = openmm.LangevinMiddleIntegrator(
            temperature, config.friction, config.timestep * 1e-3
        )
        threads = {"Threads": str(config.threads)} if self.platform.getName() == "CPU" else {}
        return openmm.Context(self.system, integrator, self.platform, threads)

    def facts(self) -> dict[str, object]:
        """Provenance of the run."""
        card = self.potential.card
        kept = ("architecture", "bead_types", "cutoff", "temperature", "training", "sha256")
        return {
            "temperature": self.temperatures[0],
            "temperatures": list(self.temperatures),
            "temperature_range": card["temperature_range"],
            "box": self.potential.template.get("box"),
            "platform": self.platform.getName(),
            "model": {name: card[name] for name in kept},
            "versions": {name: version(name) for name in ("openmm-cg", "openmm", "torch")},
        }


def prepare(config: RunConfig) -> Job:
    """Read all files and make the System; raises as `openmmcg.simulation.run`."""
    potential = CGPotential.load(config.model)
    ramp = None if config.ramp is None else tuple(config.ramp)
    if config.temperatures is not None:
        temperatures = tuple(sorted(kelvins(config.temperatures)))
    else:
        temperatures = (ramp[0] if ramp else config.temperature or potential.temperature,)
    _warn_of_extrapolation(config, potential, (*temperatures, *(ramp or ())))
    bias = None if config.bias is None else TorsionBias.load(config.bias)
    system = potential.createSystem(config.replicas, mass_scale=config.mass_scale)
    if bias is not None:
        add_bias(system, bias, potential.n_beads, config.replicas)
    job = Job(config, potential, temperatures, ramp, bias, system, choose_platform(config.platform))
    job.network.setProperty("threads", str(config.threads))
    return job


def _warn_of_extrapolation(
    config: RunConfig, potential: CGPotential, temperatures: tuple[float, ...]
) -> None:
    low, high = potential.card["temperature_range"]
    outside = sorted({kelvin for kelvin in temperatures if not low <= kelvin <= high})
    if outside:
        warnings.warn(
            f"{config.model} was made for {low:g} to {high:g} K but runs at "
            f"{', '.join(f'{kelvin:g}' for kelvin in outside)} K; its free energies are "
            "extrapolated.",
            stacklevel=4,
        )
