"""Settings of `openmmcg.data.sample`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from openmmcg.data.sampling.averages import MEAN_BLOCKS
from openmmcg.settings import kelvins

BIASES = ("none", "metadynamics", "umbrella")
ENSEMBLES = ("nvt", "npt", "nve")
SYSTEM_FILES = (".xml",)
STRUCTURE_FILES = (".pdb", ".cif", ".pdbx", ".mmcif")


@dataclass(frozen=True)
class SampleConfig:
    """Settings for sampling an all-atom reference system into a mapped dataset.

    Attributes
    ----------
    output : str
        The HDF5 dataset to write. While sampling runs, its pieces lie in `<output>.parts`.
    system : str
        Name of a recipe (see `openmmcg.data.recipes`); or the path of an OpenMM System in XML,
        with `topology`; or the path of a PDB or mmCIF file, with `force_field`.
    topology : str or None
        PDB or mmCIF file with atoms, bonds and start positions of a System in XML.
    force_field : list of str or None
        OpenMM force fields, by name or path, for a system from a PDB or mmCIF file, such as
        amber14-all.xml and implicit/obc2.xml.
    cutoff : float
        Of a system from a PDB or mmCIF file that has a box, nm; particle-mesh Ewald beyond it.
        Without a box there is no cutoff.
    start : list of str or None
        Where walkers start, taken in turn: names that the recipe knows ("hairpin" and "extended"
        for cln025, "helix" and "extended" for ace-ala15-nme) or PDB or mmCIF files.
    minimise : bool or None
        Minimise the energy of starts first; by default unless the recipe's start is equilibrated.
    mapping : str
        Name of a built-in mapping, or the path of a YAML file.
    encoding : str or None
        How beads get their types, see `openmmcg.mapping.ENCODINGS`; None leaves it to the
        mapping.
    force_map : str
        Kind of the force map: "optimal" (least noise; fitted to a short run without bias),
        "uniform" (the bead's atoms and those that constraints tie to them), or "slice" (the
        bead's atoms alone; not allowed where that cuts a constraint).
    all_atom : bool
        Also write positions and forces of all atoms, to NAME.atoms.h5.
    ensemble : str
        "nvt" (thermostat), "npt" (thermostat and barostat), or "nve" (thermostat during
        equilibration only).
    temperature : float or None
        Of the thermostat, K; 300 for a recipe, to be given for another system.
    temperatures : list of float, str or None
        Several temperatures, K, instead of one: a list, or first:last:step such as 260:360:20.
    pressure : float
        Of the Monte Carlo barostat, bar.
    length : float
        Production per walker, ns.
    walkers : int
        Independent copies for each temperature; as many run at a time as there are cores.
    platform : str
        OpenMM platform. On CPU each walker has one thread, and equal settings and seed give equal
        frames.
    timestep : float or None
        Of the integrator, fs; by default 4 with rigid bonds to hydrogens of 3 Da, 2 with rigid
        bonds, else 1. To be given for a System in XML.
    friction : float
        Of the LangevinMiddle integrator, 1/ps; during equilibration at least 1.
    frame_interval : float
        Time between frames, ps; a multiple of the time step.
    equilibration : float
        Discarded time at the start of the production, ps.
    constraints : str or None
        "hbonds" (the default) or "none". A System in XML has its own.
    hydrogen_mass : float or None
        Mass of hydrogen atoms, Da; by default 3 with "hbonds" and the element's without. A
        System in XML has its own.
    bias : str
        "none"; "metadynamics": each walker first builds a well-tempered bias, and the mean of
        these biases then stays on during the production; or "umbrella": harmonic restraints.
        Forces and energies are recorded without the bias, and weights undo it.
    variables : list of dict or None
        Collective variables of the bias, see `openmmcg.data.sampling.variables`; metadynamics without
        them acts on the one (phi, psi) of a capped amino acid.
    bias_length : float
        Metadynamics per walker, ns.
    bias_factor : float
        Well-tempered bias factor. Measured on capped alanine with 2 x 1 ns: 10 crosses between
        phi < 0 and phi > 0 ten times as often as 4 and keeps 16 % instead of 18 % effective
        frames.
    bias_height : float
        Initial height of a Gaussian, kJ/mol.
    bias_width : float
        Standard deviation of a Gaussian, rad, where a variable has no width of its own.
    bias_interval : float
        Time between Gaussians, ps.
    frozen_beads : bool
        Hold the beads of every frame and average over the motion of the other atoms: mean forces
        instead of forces of one configuration, thermal response forces and mean energies, all
        with standard errors.
    frozen_frames : str or None
        Hold the beads of the frames in this file (NAME.atoms.h5, of `all_atom`) instead of
        sampling frames: at each temperature all of them, shared by the walkers. `length`,
        `frame_interval` and `equilibration` then have no meaning.
    frozen_length : float
        Time averaged over for each frame, ps.
    frozen_equilibration : float
        Discarded time with held beads before it, ps.
    frozen_interval : float
        Time between the configurations that are averaged over, ps.
    block : int or None
        Frames per piece on disk; at most this many are lost per walker when killed. By default
        1000, or 10 with `frozen_beads`.
    seed : int
        Of all random numbers.
    """

    output: str = "dataset.h5"
    system: str = "capped-alanine"
    topology: str | None = None
    force_field: list[str] | None = None
    cutoff: float = 1.0
    start: list[str] | None = None
    minimise: bool | None = None
    mapping: str = "core-beta"
    encoding: str | None = None
    force_map: str = "optimal"
    all_atom: bool = False
    ensemble: str = "nvt"
    temperature: float | None = None
    temperatures: list[float] | str | None = None
    pressure: float = 1.0
    length: float = 1.0
    walkers: int = 2
    platform: str = "CPU"
    timestep: float | None = None
    friction: float = 1.0
    frame_interval: float = 0.1
    equilibration: float = 10.0
    constraints: str | None = None
    hydrogen_mass: float | None = None
    bias: str = "none"
    variables: list[dict[str, Any]] | None = None
    bias_length: float = 0.5
    bias_factor: float = 10.0
    bias_height: float = 1.5
    bias_width: float = 0.35
    bias_interval: float = 0.5
    frozen_beads: bool = False
    frozen_frames: str | None = None
    frozen_length: float = 10.0
    frozen_equilibration: float = 1.0
    frozen_interval: float = 0.1
    block: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}, expected more than 0.")
        for name in ("equilibration", "frozen_equilibration", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more.")
        for name, allowed in (("bias", BIASES), ("ensemble", ENSEMBLES)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"Unknown {name} {getattr(self, name)!r}; expected one of {', '.join(allowed)}."
                )
        if self.bias_factor <= 1:
            raise ValueError(f"bias_factor is {self.bias_factor}, expected more than 1.")
        if self.n_frames < 1:
            raise ValueError(
                f"length {self.length} ns is shorter than frame_interval {self.frame_interval} ps."
            )
        _check_temperatures(self)
        _check_frozen(self)
        _check_source(self)
        if self.timestep is not None:
            _check_intervals(self)

    @property
    def kind(self) -> str:
        """Where the system comes from: "recipe", "system" (XML) or "structure" (PDB, mmCIF)."""
        suffix = Path(self.system).suffix.lower()
        if suffix in SYSTEM_FILES:
            return "system"
        return "structure" if suffix in STRUCTURE_FILES else "recipe"

    def resolved(self) -> SampleConfig:
        """Return the settings with all defaults filled in that depend on other settings.

        Raises
        ------
        ValueError
            If a setting is missing for a system of one's own.
        """
        found: dict[str, Any] = {}
        if self.temperature is None and self.temperatures is None:
            if self.kind != "recipe":
                raise ValueError(
                    f"The temperature is missing: {self.system} has none; give temperature in K."
                )
            found["temperature"] = 300.0
        if self.kind != "system":
            found["constraints"] = self.constraints or "hbonds"
            rigid = found["constraints"] == "hbonds"
            mass = self.hydrogen_mass or (3.0 if rigid else None)
            found["hydrogen_mass"] = mass
            if self.timestep is None:
                found["timestep"] = 1.0 if not rigid else 4.0 if (mass or 0) >= 3 else 2.0
        elif self.timestep is None:
            raise ValueError(
                f"The time step is missing: what {self.system} allows depends on its constraints "
                "and masses; give timestep in fs."
            )
        if self.temperatures is not None:
            found["temperatures"] = kelvins(self.temperatures)
        if self.block is None:
            found["block"] = 10 if self.frozen_beads else 1000
        return replace(self, **found)

    @property
    def kelvins(self) -> list[float]:
        """All temperatures, K; of resolved settings."""
        if self.temperatures is not None:
            return kelvins(self.temperatures)
        assert self.temperature is not None
        return [self.temperature]

    @property
    def n_walkers(self) -> int:
        """Number of walkers at all temperatures."""
        return self.walkers * len(self.kelvins)

    def walker_temperature(self, walker: int) -> float:
        """Return the temperature of a walker, K; `walkers` of them follow for each."""
        return self.kelvins[walker // self.walkers]

    def steps(self, time: float) -> int:
        """Return the number of time steps nearest to `time` in ps; of resolved settings."""
        assert self.timestep is not None
        return round(time * 1e3 / self.timestep)

    @property
    def n_frames(self) -> int:
        """Number of frames per walker."""
        return round(self.length * 1e3 / self.frame_interval)

    @property
    def frozen_samples(self) -> int:
        """Number of configurations that a mean force is averaged over."""
        return round(self.frozen_length / self.frozen_interval)

    def fingerprint(self) -> dict[str, Any]:
        """Return all settings that decide the frames' values.

        Settings that later versions added are left out where they have their default values, so
        that datasets made before are recognised.
        """
        settings = asdict(self)
        del settings["output"]
        for field in fields(self):
            if field.name in _ADDED and settings[field.name] == field.default:
                del settings[field.name]
        return settings


_POSITIVE = (
    "temperature",
    "length",
    "walkers",
    "timestep",
    "friction",
    "frame_interval",
    "hydrogen_mass",
    "cutoff",
    "bias_length",
    "bias_height",
    "bias_width",
    "bias_interval",
    "frozen_length",
    "frozen_interval",
    "block",
)
_ADDED = (
    "topology",
    "force_field",
    "cutoff",
    "start",
    "minimise",
    "all_atom",
    "ensemble",
    "temperatures",
    "pressure",
    "platform",
    "variables",
    "frozen_beads",
    "frozen_frames",
    "frozen_length",
    "frozen_equilibration",
    "frozen_interval",
)


def _check_temperatures(config: SampleConfig) -> None:
    if config.temperatures is None:
        return
    if config.temperature is not None:
        raise ValueError("Both temperature and temperatures are given; give one of them.")
    kelvins(config.temperatures)


def _check_frozen(config: SampleConfig) -> None:
    if config.frozen_beads and config.frozen_samples < MEAN_BLOCKS:
        raise ValueError(
            f"frozen_length {config.frozen_length} ps holds {config.frozen_samples} "
            f"configurations {config.frozen_interval} ps apart, expected at least {MEAN_BLOCKS} "
            "for a standard error."
        )
    if config.frozen_frames is None:
        return
    for name, wrong in (
        ("frozen_beads", not config.frozen_beads),
        ("bias", config.bias != "none"),
        ("all_atom", config.all_atom),
    ):
        if wrong:
            raise ValueError(
                f"{name} is {getattr(config, name)!r}, which does not go with frozen_frames: the "
                "beads of given frames are held, and nothing else is sampled."
            )


def _check_source(config: SampleConfig) -> None:
    """Raise ValueError for settings that do not go with where the system comes from."""
    needed = {"system": "topology", "structure": "force_field"}.get(config.kind)
    for name in ("topology", "force_field"):
        given = bool(getattr(config, name))
        if given and name != needed:
            raise ValueError(
                f"{name} does not go with system {config.system!r}; topology belongs to a System "
                "in XML, force_field to a PDB or mmCIF file."
            )
        if name == needed and not given:
            raise ValueError(
                f"The {name} of {config.system} is missing; give "
                + (
                    "a PDB or mmCIF file with its atoms and bonds."
                    if name == "topology"
                    else "OpenMM force fields, such as [amber14-all.xml, implicit/obc2.xml]."
                )
            )
    if config.kind == "system":
        for name in ("constraints", "hydrogen_mass"):
            if getattr(config, name) is not None:
                raise ValueError(
                    f"{name} cannot be chosen for {config.system}: a System in XML has its own; "
                    "leave it out, or make the System with others."
                )


def _check_intervals(config: SampleConfig) -> None:
    """Raise ValueError for times that are no multiples of the time step."""
    names = ["frame_interval"]
    names += ["bias_interval"] if config.bias == "metadynamics" else []
    names += ["frozen_interval"] if config.frozen_beads else []
    for name in names:
        time = getattr(config, name)
        steps = config.steps(time)
        assert config.timestep is not None
        if steps < 1 or abs(steps * config.timestep * 1e-3 / time - 1) > 1e-9:
            raise ValueError(
                f"{name} is {time} ps, expected a multiple of the time step ({config.timestep} fs)."
            )
