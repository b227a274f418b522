"""Settings of `openmmcg.data.sample`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

BIASES = ("none", "metadynamics")


@dataclass(frozen=True)
class SampleConfig:
    """Settings for sampling an all-atom reference system into a mapped dataset.

    Attributes
    ----------
    output : str
        The HDF5 dataset to write. While sampling runs, its pieces lie in `<output>.parts`.
    system : str
        Name of a recipe, see `openmmcg.data.recipes`.
    mapping : str
        Name of a built-in mapping, or the path of a YAML file.
    encoding : str or None
        How beads get their types, see `openmmcg.mapping.ENCODINGS`; None leaves it to the
        mapping ("element" for the built-in ones, as in the paper they come from).
    force_map : str
        Kind of the force map: "optimal" (least noise; fitted to a short run without bias),
        "uniform" (the bead's atoms and those that constraints tie to them), or "slice" (the
        bead's atoms alone; not allowed where that cuts a constraint).
    temperature : float
        Of the thermostat, K.
    length : float
        Production per walker, ns.
    walkers : int
        Independent copies, each in a thread of its own.
    timestep : float
        Of the integrator, fs.
    friction : float
        Of the LangevinMiddle integrator, 1/ps.
    frame_interval : float
        Time between frames, ps; a multiple of the time step.
    equilibration : float
        Discarded time at the start of the production, ps.
    constraints : str
        "hbonds" or "none".
    hydrogen_mass : float
        Mass of hydrogen atoms, Da; 3 together with "hbonds" allows 4 fs.
    bias : str
        "none", or "metadynamics": each walker first builds a well-tempered bias over (phi, psi);
        the mean of these biases then stays on during the production. Forces and energies are
        recorded without it, and weights undo it.
    bias_length : float
        Metadynamics per walker, ns.
    bias_factor : float
        Well-tempered bias factor. Measured on capped alanine with 2 x 1 ns: 10 crosses between
        phi < 0 and phi > 0 ten times as often as 4 and keeps 16 % instead of 18 % effective
        frames.
    bias_height : float
        Initial height of a Gaussian, kJ/mol.
    bias_width : float
        Standard deviation of a Gaussian, rad.
    bias_interval : float
        Time between Gaussians, ps.
    block : int
        Frames per piece on disk; at most this many are lost per walker when killed.
    seed : int
        Of all random numbers; equal settings and seed give equal frames.
    """

    output: str = "dataset.h5"
    system: str = "capped-alanine"
    mapping: str = "core-beta"
    encoding: str | None = "name"
    force_map: str = "optimal"
    temperature: float = 300.0
    length: float = 1.0
    walkers: int = 2
    timestep: float = 4.0
    friction: float = 1.0
    frame_interval: float = 0.1
    equilibration: float = 10.0
    constraints: str = "hbonds"
    hydrogen_mass: float = 3.0
    bias: str = "none"
    bias_length: float = 0.5
    bias_factor: float = 10.0
    bias_height: float = 1.5
    bias_width: float = 0.35
    bias_interval: float = 0.5
    block: int = 1000
    seed: int = 1

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0.")
        if self.equilibration < 0 or self.seed < 0:
            raise ValueError("equilibration and seed must not be negative.")
        if self.bias not in BIASES:
            raise ValueError(f"Unknown bias {self.bias!r}; expected one of {', '.join(BIASES)}.")
        if self.bias_factor <= 1:
            raise ValueError(f"bias_factor is {self.bias_factor}, expected more than 1.")
        for name in ("frame_interval", "bias_interval"):
            steps = self.steps(getattr(self, name))
            if steps < 1 or abs(steps * self.timestep * 1e-3 / getattr(self, name) - 1) > 1e-9:
                raise ValueError(
                    f"{name} is {getattr(self, name)} ps, expected a multiple of the time step "
                    f"({self.timestep} fs)."
                )
        if self.n_frames < 1:
            raise ValueError(
                f"length {self.length} ns is shorter than frame_interval {self.frame_interval} ps."
            )

    def steps(self, time: float) -> int:
        """Return the number of time steps nearest to `time` in ps."""
        return round(time * 1e3 / self.timestep)

    @property
    def n_frames(self) -> int:
        """Number of frames per walker."""
        return round(self.length * 1e3 / self.frame_interval)

    def fingerprint(self) -> dict[str, Any]:
        """Return all settings that decide the frames' values: everything but `output`."""
        settings = asdict(self)
        del settings["output"]
        return settings


_POSITIVE = (
    "temperature",
    "length",
    "walkers",
    "timestep",
    "friction",
    "frame_interval",
    "hydrogen_mass",
    "bias_length",
    "bias_height",
    "bias_width",
    "bias_interval",
    "block",
)
