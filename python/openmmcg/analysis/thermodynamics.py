"""Entropy, energy and heat capacity of a run with a model that depends on the temperature."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mdtraj as md
import numpy as np
from rich.console import Console
from rich.table import Table

from openmmcg.analysis.ensemble import SAME_TEMPERATURE
from openmmcg.analysis.geometry import angles, backbone_torsions, distances, torsions
from openmmcg.analysis.profiles import Profile, Sample, heat_capacity, mean, profile
from openmmcg.files import atomic_path
from openmmcg.simulation.energies import thermodynamics
from openmmcg.simulation.frames import load_frames, run_folders
from openmmcg.simulation.potential import CGPotential
from openmmcg.simulation.record import read_record

_FUNCTIONS = {2: distances, 3: angles, 4: torsions}
_KINDS = {2: "distance", 3: "angle", 4: "torsion"}


@dataclass(frozen=True)
class ThermodynamicsConfig:
    """Settings of the thermodynamics of a run, for a model that depends on the temperature.

    Attributes
    ----------
    run : str
        Folder of a finished run; one of several temperatures stands for all of them.
    model : str or None
        The model file; by default where the run found it.
    output : str
        Folder for thermodynamics.json, thermodynamics.csv and thermodynamics.png.
    variables : list of list of int or None
        Beads of distances (two), angles (three) and torsions (four) to make profiles along; by
        default the backbone torsions phi and psi if the beads have them.
    bins : int
        Of a profile.
    frames : int
        Most frames of each temperature to evaluate the model for.
    discard : float
        Time at the start of every replica to leave out, ps.
    threads : int
        CPU threads of the network.
    """

    run: str = "run"
    model: str | None = None
    output: str = "thermodynamics"
    variables: list[list[int]] | None = None
    bins: int = 36
    frames: int = 500
    discard: float = 0.0
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse values that cannot be used."""
        if self.bins < 2 or self.frames < 1 or self.discard < 0 or self.threads < 1:
            raise ValueError(
                f"bins is {self.bins}, frames {self.frames}, discard {self.discard} ps and threads "
                f"{self.threads}; expected at least 2 bins, 1 frame, 1 thread and no negative time."
            )
        for beads in self.variables or []:
            if len(beads) not in _KINDS or len(set(beads)) < len(beads):
                raise ValueError(
                    f"variables has {beads}, expected two, three or four different beads."
                )


def run_thermodynamics(config: ThermodynamicsConfig, progress: bool = True) -> Path:
    """Evaluate entropies and energies of a run's frames, and write averages and profiles.

    Parameters
    ----------
    config : ThermodynamicsConfig
    progress : bool
        Print a table of what was found.

    Returns
    -------
    Path
        thermodynamics.json.

    Raises
    ------
    FileNotFoundError
        If the run is not finished, or there is no model.
    ValueError
        If the model is another one than the run's or does not depend on the temperature, or a
        variable names a bead that is not there.
    """
    console = Console(quiet=not progress, soft_wrap=True)
    folders, output = run_folders(config.run), Path(config.output)
    record = read_record(folders[0])
    path = config.model or record["settings"]["model"]
    potential = CGPotential.load(path)
    if potential.card["sha256"] != record["model"]["sha256"]:
        raise ValueError(f"{path} is not the model of {config.run}; give model the right file.")
    variables = _variables(config, potential)
    low, high = potential.card["temperature_range"]
    results = []
    for folder in folders:
        with console.status(f"Evaluating {folder}"):
            sample, frames = _sample(config, folder, potential)
        results.append(
            {
                "temperature": sample.temperature,
                "extrapolated": not low <= sample.temperature <= high,
                "free_energy": mean(sample, sample.free_energies),
                "energy": mean(sample, sample.energies),
                "entropy": mean(sample, sample.entropies),
                "heat_capacity": heat_capacity(sample),
                "profiles": _profiles(config, sample, frames, variables),
            }
        )
    _write(config, output, results)
    console.print(_table(results))
    console.print(f"Wrote {output / 'thermodynamics.json'}, .csv and .png.")
    return output / "thermodynamics.json"


def _variables(config: ThermodynamicsConfig, potential: CGPotential) -> dict[str, list[int]]:
    """Beads of each variable by its name."""
    if config.variables is None:
        pairs = backbone_torsions(md.Topology.from_openmm(potential.topology()))
        names = [
            f"{name}{'' if len(pairs) == 1 else k + 1}"
            for k in range(len(pairs))
            for name in ("phi", "psi")
        ]
        return dict(zip(names, pairs.reshape(-1, 4).tolist(), strict=True))
    found = {}
    for beads in config.variables:
        if not all(0 <= bead < potential.n_beads for bead in beads):
            raise ValueError(
                f"The variable {beads} names a bead that is not there; the model has beads 0 to "
                f"{potential.n_beads - 1}."
            )
        found[f"{_KINDS[len(beads)]} {'-'.join(map(str, beads))}"] = list(beads)
    return found


def _sample(
    config: ThermodynamicsConfig, folder: Path, potential: CGPotential
) -> tuple[Sample, np.ndarray]:
    """Evaluate frames, evenly over a run: what they give, and their positions (F, R, N, 3)."""
    frames = load_frames(folder)
    kept = np.flatnonzero(frames.times > config.discard)
    if len(kept) == 0:
        raise ValueError(
            f"{folder} has no frames after the first {config.discard:g} ps; discard less."
        )
    kept = kept[:: max(1, -(-len(kept) // config.frames))]
    temperatures = frames.temperatures[kept]
    if np.ptp(temperatures) > SAME_TEMPERATURE:
        raise ValueError(f"{folder} passed through temperatures, so its frames are no ensemble.")
    positions = frames.positions[kept]
    found = thermodynamics(potential, positions, temperatures, config.threads)
    if not np.ptp(found.entropies) > 1e-9 * np.ptp(found.free_energies) / temperatures[0]:
        raise ValueError(
            f"{potential.path} does not depend on the temperature, so it says nothing of entropies; "
            "train one that does."
        )
    sample = Sample(
        float(temperatures[0]),
        frames.weights[kept],
        found.free_energies,
        found.entropies,
        found.energies,
        found.capacities,
    )
    return sample, positions


def _profiles(
    config: ThermodynamicsConfig,
    sample: Sample,
    positions: np.ndarray,
    variables: dict[str, list[int]],
) -> dict[str, Profile]:
    found = {}
    for name, beads in variables.items():
        size = len(beads)
        flat = positions.reshape(-1, *positions.shape[-2:])
        values = _FUNCTIONS[size](flat, np.array([beads]))[:, 0].reshape(positions.shape[:2])
        ends = -180.0, 180.0
        if size != 4:
            ends = float(values.min()), float(np.nextafter(values.max(), np.inf))
        found[name] = profile(sample, values, np.linspace(*ends, config.bins + 1))
    return found


def _write(config: ThermodynamicsConfig, output: Path, results: list[dict[str, Any]]) -> None:
    """Write all numbers as JSON, the profiles as a table, and their picture."""
    from openmmcg.analysis.thermodynamics_figure import draw_profiles

    plain = [
        {
            **row,
            "profiles": {
                name: {
                    "x": entry.x.tolist(),
                    **{key: _numbers(pair) for key, pair in entry.columns.items()},
                }
                for name, entry in row["profiles"].items()
            },
        }
        for row in results
    ]
    content = {
        "openmmcg_thermodynamics": 1,
        "config": asdict(config),
        "units": {"energy": "kJ/mol", "entropy": "kJ/mol/K", "temperature": "K"},
        "temperatures": plain,
    }
    with atomic_path(output / "thermodynamics.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1))
    with atomic_path(output / "thermodynamics.csv") as temporary:
        temporary.write_text("\n".join(_csv(results)) + "\n")
    with atomic_path(output / "thermodynamics.png") as temporary:
        draw_profiles(results).savefig(temporary, format="png", dpi=300)


def _numbers(pair: tuple[np.ndarray, np.ndarray]) -> dict[str, list[float | None]]:
    """Value and error as JSON, which knows no NaN."""
    return {
        name: [float(x) if np.isfinite(x) else None for x in column]
        for name, column in zip(("value", "error"), pair, strict=True)
    }


def _csv(results: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for row in results:
        for name, entry in row["profiles"].items():
            if not lines:
                heads = [f"{key},{key}_error" for key in entry.columns]
                lines.append(",".join(["temperature", "variable", "x", *heads]))
            columns = np.array([part for pair in entry.columns.values() for part in pair])
            for x, values in zip(entry.x, columns.T, strict=True):
                numbers = ",".join(f"{value:.6g}" for value in values)
                lines.append(f"{row['temperature']:g},{name},{x:.6g},{numbers}")
    return lines


def _table(results: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Averages with standard errors", title_justify="left")
    for head in ("T (K)", "<W> (kJ/mol)", "<u> (kJ/mol)", "<S> (kJ/mol/K)", "d<u>/dT (kJ/mol/K)"):
        table.add_column(head, justify="right")
    for row in results:
        cells = [
            f"{row[name][0]:.4g} ± {row[name][1]:.2g}"
            for name in ("free_energy", "energy", "entropy", "heat_capacity")
        ]
        table.add_row(f"{row['temperature']:g}{' *' if row['extrapolated'] else ''}", *cells)
    if any(row["extrapolated"] for row in results):
        table.caption = "* outside of the temperatures that the model was trained for"
    return table
