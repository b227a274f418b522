"""Capped alanine at 260 to 400 K, from data at 300 K and from data at all of these temperatures.

    python examples/temperature/alanine.py --output alanine

The beads are the backbone and CB. Six models learn from equally many frames in two families:

    frames   forces (and energies) of single frames
    held     means over 12 ps with held beads, of 800 frames

and in each family three ways:

    blind      data at 300 K, a network that knows no temperature
    response   the same data and their thermal response: Cov(B f, u) at 300 K
    several    forces at 260, 280, 320, 340 and 400 K

Printed are, for each model and temperature, how far its forces are from mean forces of 24 other
frames with held beads, how far their change from 300 K is from that of these mean forces, and the
Jensen-Shannon divergence of its (phi, psi) distribution from the atomistic one. What is complete in
the output folder is kept. About two hours on two cores; --scale shortens it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from openmmcg import CGForce
from openmmcg.analysis import ReportConfig, report
from openmmcg.data import Dataset, SampleConfig, atoms_path, bias_path, sample
from openmmcg.export import ExportConfig, export
from openmmcg.simulation import CGPotential, RunConfig, run
from openmmcg.training import TrainConfig, train

MIDDLE = 300.0
OTHERS = (260.0, 280.0, 320.0, 340.0, 400.0)
WAYS: dict[str, dict[str, Any]] = {
    "blind": {},
    "response": {"thermal": "response", "reference_temperature": MIDDLE},
    "several": {"thermal": "response", "reference_temperature": MIDDLE, "thermal_weights": {}},
}
FAMILIES = {"frames": 12, "held": 240}
"""Epochs of both families."""


class Study:
    """The stages of the study in one folder, each of which is left alone where it is complete."""

    def __init__(self, folder: Path, scale: float, platform: str) -> None:
        self.folder = folder
        self.scale = scale
        self.platform = platform

    def sampled(self, name: str, temperatures: Sequence[float], **options: Any) -> Path:
        """Sample with all atoms; heavy hydrogens change no average over configurations."""
        settings: dict[str, Any] = {
            "temperatures": list(temperatures),
            "constraints": "none",
            "hydrogen_mass": 4.0,
            "timestep": 2.0,
            "minimise": False,
            "encoding": "name",
            "platform": self.platform,
        }
        return sample(SampleConfig(output=str(self.folder / f"{name}.h5"), **settings, **options))

    def biased(
        self, name: str, temperatures: Sequence[float], length: float, interval: float, **more: Any
    ) -> Path:
        """Sample under metadynamics in phi and psi; length in ns per walker, interval in ps."""
        bias: dict[str, Any] = {"bias": "metadynamics", "bias_length": 0.3 * self.scale}
        length = max(length * self.scale, 4 * interval * 1e-3)
        return self.sampled(
            name, temperatures, length=length, frame_interval=interval, **bias, **more
        )

    def held(self, name: str, temperatures: Sequence[float], frames: int) -> Path:
        """Mean forces of many frames, each of them held for 12 ps."""
        walkers = 2 * len(temperatures)
        return self.biased(
            name,
            temperatures,
            frames * 0.002 / walkers,
            2.0,
            frozen_beads=True,
            frozen_length=12.0,
            frozen_equilibration=0.5,
            frozen_interval=0.02,
        )

    def tested(self) -> Path:
        """Mean forces of a few frames at all temperatures, held for long."""
        frames = self.biased("test-frames", [MIDDLE], 0.06, 5.0, all_atom=True, seed=2)
        return self.sampled(
            "test",
            sorted((MIDDLE, *OTHERS)),
            frozen_beads=True,
            frozen_frames=str(atoms_path(str(frames))),
            frozen_length=80.0 * self.scale,
            frozen_equilibration=2.0,
            frozen_interval=0.02,
        )

    def model(self, family: str, way: str, datasets: dict[str, Path]) -> Path:
        """Train and export a model."""
        data = datasets[f"{family}-{'several' if way == 'several' else 'one'}"]
        folder = self.folder / f"{family}-{way}"
        model = folder / "model.cg.pt"
        epochs = max(1, round(FAMILIES[family] * min(1.0, self.scale)))
        training = TrainConfig(
            dataset=str(data),
            output=str(folder / "training"),
            epochs=epochs,
            batch_size=256 if family == "frames" else 64,
            **WAYS[way],
        )
        if not model.exists():
            export(ExportConfig(str(train(training)), str(model)))
        return model

    def divergence(self, model: Path, temperature: float, reference: Path, bias: Path) -> dict:
        """Run a model at a temperature and compare (phi, psi) with the reference."""
        folder = model.parent / f"run-{temperature:g}"
        settings = RunConfig(
            model=str(model),
            output=str(folder),
            temperature=temperature,
            dataset=str(reference),
            bias=str(bias),
            replicas=48,
            length=0.1 * self.scale,
            timestep=4.0,
        )
        run(settings)
        report(ReportConfig(str(folder), str(reference), str(folder / "report")))
        found = json.loads((folder / "report" / "report.json").read_text())["ramachandran"]
        return {
            "divergence": found["divergence"],
            "reference_halves": found["baseline"]["reference_halves_in_time"],
            "model_halves": found["baseline"]["model_halves_in_time"],
        }


def forces_at(model: Path, positions: np.ndarray, temperature: float) -> np.ndarray:
    """Forces (F, N, 3) of a model on frames (F, N, 3), nm, at a temperature."""
    potential = CGPotential.load(model)
    frames, beads, _ = positions.shape
    context = openmm.Context(
        potential.createSystem(frames),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName("CPU"),
    )
    context.setPositions(positions.reshape(-1, 3))
    context.setParameter(CGForce.Temperature(), temperature)
    state = context.getState(forces=True)
    return np.asarray(state.getForces(asNumpy=True)._value).reshape(frames, beads, 3)


def force_errors(model: Path, test: Path) -> dict[str, dict[str, list[float]]]:
    """Root mean squares over test frames, with errors by the jackknife over frames.

    The variance that the labels' own noise has is taken off.
    """
    with Dataset.open(test) as data:
        kelvin = np.asarray(data.temperatures)
        own = {t: np.flatnonzero(np.abs(kelvin - t) < 0.01) for t in np.unique(kelvin.round(2))}
        positions = {t: np.asarray(data.positions[rows]) for t, rows in own.items()}
        labels = {t: np.asarray(data.forces[rows], dtype=float) for t, rows in own.items()}
        noise = {t: np.asarray(data.force_errors[rows]) ** 2 for t, rows in own.items()}
    found = {t: forces_at(model, positions[t], t) for t in own}
    result: dict[str, dict[str, list[float]]] = {}
    for t in own:
        change = found[t] - found[MIDDLE] - (labels[t] - labels[MIDDLE])
        result[f"{t:g}"] = {
            "force": rms((found[t] - labels[t]) ** 2 - noise[t]),
            "change": rms(change**2 - noise[t] - noise[MIDDLE]),
            "size_of_change": rms((labels[t] - labels[MIDDLE]) ** 2 - noise[t] - noise[MIDDLE]),
        }
    return result


def rms(squares: np.ndarray) -> list[float]:
    """Root of the mean of squares (F, N, 3), and its standard error by the jackknife over frames."""
    each = squares.reshape(len(squares), -1).mean(axis=1)
    count = len(each)
    without = np.sqrt(np.maximum((each.sum() - each) / (count - 1), 0.0))
    error = np.sqrt((count - 1) * np.mean((without - without.mean()) ** 2))
    return [float(np.sqrt(max(each.mean(), 0.0))), float(error)]


def table(results: dict[str, Any], value: str) -> str:
    """A row for each model and a column for each temperature."""
    columns = [f"{t:g}" for t in sorted((MIDDLE, *OTHERS))]
    lines = ["| model | " + " | ".join(f"{t} K" for t in columns) + " |", "|---" * 7 + "|"]
    for name, numbers in results.items():
        cells = []
        for t in columns:
            found = numbers.get("divergences" if value == "divergence" else "forces", {}).get(t)
            if found is None:
                cells.append("")
            elif value == "divergence":
                cells.append(f"{found['divergence']:.4f}")
            else:
                cells.append("{:.1f} ± {:.1f}".format(*found[value]))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Do everything, print the tables and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("alanine"))
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all lengths")
    parser.add_argument("--platform", default="CPU", help="of OpenMM, for sampling")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    study = Study(options.output, options.scale, options.platform)
    datasets = {
        "held-one": study.held("held-one", [MIDDLE], 800),
        "held-several": study.held("held-several", OTHERS, 800),
        "test": study.tested(),
        "frames-several": study.biased("frames-several", OTHERS, 0.72, 0.06),
        "frames-one": study.biased("frames-one", [MIDDLE], 3.6, 0.06),
    }


if __name__ == "__main__":
    main()
