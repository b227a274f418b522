"""Settings of `openmmcg.simulation.run`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from openmmcg.settings import kelvins


@dataclass(frozen=True)
class RunConfig:
    """Settings for molecular dynamics with a trained coarse-grained model.

    Attributes
    ----------
    model : str
        The model file.
    output : str
        Folder of the run; an interrupted run in it is continued.
    replicas : int
        Independent copies, all evaluated in one call to the network.
    length : float
        Production per replica, ns. A finished run is continued if this is raised.
    timestep : float
        fs.
    friction : float
        Of the LangevinMiddle integrator, 1/ps.
    temperature : float or None
        K; by default the temperature that the model was made for.
    temperatures : list of float, str or None
        Several temperatures, K: a list, or first:last:step such as 260:400:20. `replicas` copies
        run at each, and neighbours are exchanged after every frame (replica exchange).
    ramp : list of float or None
        Heating or cooling: temperatures to pass through one after the other, K, linearly in time
        and over the whole length, for example [300, 500, 300].
    frame_interval : float
        Time between frames, ps; a multiple of the time step.
    equilibration : float
        Discarded time before the first frame, ps.
    mass_scale : float
        Factor on all bead masses; larger masses allow a longer time step and change the
        dynamics but not the equilibrium.
    dataset : str or None
        Replicas start from frames drawn from this dataset, those of the nearest temperature; by
        default from the model's own.
    bias : str or None
        A bias file of `openmm-cg sample`. It stays on for all replicas, and each frame gets
        the weight that undoes it, so that rarely visited basins are sampled too.
    platform : str
        OpenMM platform; "auto" is the fastest one that can run the model.
    threads : int
        CPU threads of the network and of the CPU platform; small systems are fastest with 1.
    checkpoint_frames : int
        Frames between checkpoints; at most this many are lost when the run is killed.
    seed : int
        Of all random numbers.
    """

    model: str = "model.cg.pt"
    output: str = "run"
    replicas: int = 64
    length: float = 0.1
    timestep: float = 2.0
    friction: float = 1.0
    temperature: float | None = None
    temperatures: list[float] | str | None = None
    ramp: list[float] | None = None
    frame_interval: float = 0.2
    equilibration: float = 5.0
    mass_scale: float = 1.0
    dataset: str | None = None
    bias: str | None = None
    platform: str = "auto"
    threads: int = 1
    checkpoint_frames: int = 100
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse values that no run can have."""
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}, expected more than 0.")
        if self.equilibration < 0 or self.seed < 0:
            raise ValueError("equilibration and seed must not be negative.")
        steps = self.frame_interval * 1e3 / self.timestep
        if self.steps_per_frame < 1 or abs(steps - self.steps_per_frame) > 1e-6 * steps:
            raise ValueError(
                f"frame_interval is {self.frame_interval} ps, expected a multiple of the time "
                f"step ({self.timestep} fs)."
            )
        if self.n_frames < 1:
            raise ValueError(
                f"length {self.length} ns is shorter than frame_interval {self.frame_interval} ps."
            )

        _check_temperatures(self)

    @property
    def steps_per_frame(self) -> int:
        """Time steps between frames."""
        return round(self.frame_interval * 1e3 / self.timestep)

    @property
    def n_frames(self) -> int:
        """Frames of the whole run."""
        return round(self.length * 1e3 / self.frame_interval)


_POSITIVE = (
    "replicas",
    "length",
    "timestep",
    "friction",
    "temperature",
    "frame_interval",
    "mass_scale",
    "threads",
    "checkpoint_frames",
)


def _check_temperatures(config: RunConfig) -> None:
    names = ("temperature", "temperatures", "ramp")
    given = [name for name in names if getattr(config, name) is not None]
    if len(given) > 1:
        raise ValueError(f"Both {given[0]} and {given[1]} are given; give one of them.")
    if config.temperatures is not None:
        kelvins(config.temperatures)
    ramp = config.ramp
    if ramp is not None and (len(ramp) < 2 or not all(0 < value < math.inf for value in ramp)):
        raise ValueError(
            f"ramp is {ramp}, expected at least two temperatures of more than 0 K to pass through."
        )
