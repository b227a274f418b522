"""Capped alanine at 260 to 400 K, from data at 300 K and from data at all of these temperatures.

    python examples/temperature/alanine.py --output alanine

The beads are the backbone and CB. Three models learn from mean forces over 12 ps of 800 frames whose
beads are held:

    blind      frames at 300 K, a network that knows no temperature
    response   the same frames, and their thermal response at 300 K: Cov(B f, u)/(kT²)
    several    frames at 260, 280, 320, 340 and 400 K, forces alone

Printed are, for each model and temperature, how far its forces are from mean forces of 16 other
frames with held beads, how far their change from 300 K is from that of these mean forces, and the
Jensen-Shannon divergence of its (phi, psi) distribution from the atomistic one. What is complete in
the output folder is kept. An hour or two on two cores; --scale shortens it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from held_beads import FLEXIBLE
from openmmcg import CGForce
from openmmcg.analysis import ReportConfig, report
from openmmcg.data import Dataset, SampleConfig, atoms_path, bias_path, sample
from openmmcg.export import ExportConfig, export
from openmmcg.simulation import CGPotential, RunConfig, run
from openmmcg.training import TrainConfig, train

MIDDLE = 300.0
OTHERS = (260.0, 280.0, 320.0, 340.0, 400.0)
THERMAL = {"thermal": "response", "reference_temperature": MIDDLE}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "blind": ("one", {}),
    "response": ("one", THERMAL),
    "several": ("several", {**THERMAL, "thermal_weights": {}}),
}
"""Which data a model learns from, and how."""
EPOCHS = 240


class Study:
    """The stages of the study in one folder, each of which is left alone where it is complete."""

    def __init__(self, folder: Path, scale: float, platform: str) -> None:
        self.folder = folder
        self.scale = scale
        self.platform = platform

    def sampled(self, name: str, temperatures: Sequence[float], **options: Any) -> Path:
        """Sample with all atoms."""
        settings: dict[str, Any] = {
            "temperatures": list(temperatures),
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
        return self.biased(
            name,
            temperatures,
            frames * 0.002 / (2 * len(temperatures)),
            2.0,
            frozen_beads=True,
            frozen_length=12.0,
            frozen_equilibration=0.5,
            frozen_interval=0.02,
            **FLEXIBLE,
        )

    def tested(self) -> Path:
        """Mean forces of a few frames at all temperatures, held for long."""
        frames = self.biased("test-frames", [MIDDLE], 0.04, 5.0, all_atom=True, seed=2, **FLEXIBLE)
        return self.sampled(
            "test",
            sorted((MIDDLE, *OTHERS)),
            frozen_beads=True,
            frozen_frames=str(atoms_path(str(frames))),
            frozen_length=60.0 * self.scale,
            frozen_equilibration=2.0,
            frozen_interval=0.02,
            **FLEXIBLE,
        )

    def datasets(self) -> dict[str, Path]:
        """All that is sampled."""
        return {
            "held-one": self.held("held-one", [MIDDLE], 800),
            "held-several": self.held("held-several", OTHERS, 800),
            "test": self.tested(),
            "reference": self.biased("reference", OTHERS, 1.5, 0.12),
        }

    def model(self, way: str, datasets: dict[str, Path]) -> Path:
        """Train and export a model."""
        data, options = WAYS[way]
        folder = self.folder / way
        model = folder / "model.cg.pt"
        training = TrainConfig(
            dataset=str(datasets[f"held-{data}"]),
            output=str(folder / "training"),
            epochs=max(1, round(EPOCHS * min(1.0, self.scale))),
            batch_size=64,
            **options,
        )
        if not model.exists():
            export(ExportConfig(str(train(training)), str(model)))
        return model

    def comparison(
        self, model: Path, temperature: float, reference: Path, bias: Path
    ) -> tuple[list[float], float]:
        """Run a model at a temperature and compare (phi, psi) with the reference.

        Returns the divergence and that of halves of the run, and that of halves of the reference:
        what sampling alone gives.
        """
        folder = model.parent / f"run-{temperature:g}"
        run(
            RunConfig(
                model=str(model),
                output=str(folder),
                temperature=temperature,
                dataset=str(reference),
                bias=str(bias),
                replicas=48,
                length=0.1 * self.scale,
                timestep=4.0,
            )
        )
        report(ReportConfig(run=str(folder), dataset=str(reference), output=str(folder / "report")))
        found = json.loads((folder / "report" / "report.json").read_text())["ramachandran"]
        halves = found["baseline"]
        return (
            [found["divergence"], halves["model_halves_in_time"]],
            halves["reference_halves_in_time"],
        )


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
        errors = np.asarray(data.force_errors)
        noise = {t: errors[rows] ** 2 for t, rows in own.items()}
    found = {t: forces_at(model, positions[t], t) for t in own}
    result: dict[str, dict[str, list[float]]] = {"force": {}, "change": {}, "size_of_change": {}}
    for t in own:
        label, both = labels[t] - labels[MIDDLE], noise[t] + noise[MIDDLE]
        change = found[t] - found[MIDDLE] - label
        result["force"][f"{t:g}"] = rms((found[t] - labels[t]) ** 2 - noise[t])
        result["change"][f"{t:g}"] = rms(change**2 - both)
        result["size_of_change"][f"{t:g}"] = rms(label**2 - both)
    return result


def rms(squares: np.ndarray) -> list[float]:
    """Root of the mean of squares (F, N, 3), and its standard error by the jackknife over frames."""
    each = squares.reshape(len(squares), -1).mean(axis=1)
    count = len(each)
    without = np.sqrt(np.maximum((each.sum() - each) / (count - 1), 0.0))
    error = np.sqrt((count - 1) * np.mean((without - without.mean()) ** 2))
    return [float(np.sqrt(max(each.mean(), 0.0))), float(error)]


def score(study: Study, datasets: dict[str, Path]) -> dict[str, Any]:
    """Train and measure all models."""
    reference = datasets["reference"]
    bias = bias_path(str(datasets["held-one"]))
    results: dict[str, Any] = {}
    for way in WAYS:
        model = study.model(way, datasets)
        found = {t: study.comparison(model, t, reference, bias) for t in OTHERS}
        results[way] = force_errors(model, datasets["test"]) | {
            "divergence": {f"{t:g}": value for t, (value, _) in found.items()},
            "reference_halves": {f"{t:g}": halves for t, (_, halves) in found.items()},
        }
    return results


QUANTITIES = {
    "force": "error of the mean force, kJ/mol/nm",
    "change": "error of its change from 300 K, kJ/mol/nm",
    "divergence": "JSD of (phi, psi) (of two halves of the run)",
}


def tables(results: dict[str, Any]) -> str:
    """A table for each quantity, with a row for each model and a column for each temperature."""
    columns = [f"{t:g}" for t in sorted(OTHERS)]
    lines = []
    for name, title in QUANTITIES.items():
        heads = [*columns[:2], "300", *columns[2:]] if name == "force" else columns
        lines += ["", f"| {title} | " + " | ".join(f"{t} K" for t in heads) + " |"]
        lines += ["|---" * (len(heads) + 1) + "|"]
        for model, found in results.items():
            form = "{:.3f} ({:.3f})" if name == "divergence" else "{:.1f} ± {:.1f}"
            cells = " | ".join(form.format(*found[name][t]) for t in heads)
            lines.append(f"| {model} | {cells} |")
        known = {"change": "size_of_change", "divergence": "reference_halves"}.get(name)
        if known is not None:
            first = next(iter(results.values()))[known]
            cells = " | ".join(f"{np.atleast_1d(first[t])[0]:.3g}" for t in heads)
            lines.append(f"| {known.replace('_', ' ')} | {cells} |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: Path) -> None:
    """Errors over temperatures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 2.9), layout="constrained")
    panels = figure.subplots(1, 2)
    kelvin = np.array(sorted(OTHERS))
    for axes, name in zip(panels, ("change", "divergence"), strict=True):
        for way, found in results.items():
            values = np.array([found[name][f"{t:g}"] for t in kelvin])
            errors = values[:, 1] if name == "change" else None
            axes.errorbar(kelvin, values[:, 0], errors, label=way, marker="o", markersize=3)
        axes.set(xlabel="temperature (K)", ylabel=QUANTITIES[name].split(" (of")[0])
    first = next(iter(results.values()))
    sizes = [first["size_of_change"][f"{t:g}"][0] for t in kelvin]
    panels[0].plot(kelvin, sizes, "k:", label="its size")
    halves = [first["reference_halves"][f"{t:g}"] for t in kelvin]
    panels[1].plot(kelvin, halves, "k:", label="halves of the reference")
    for axes in panels:
        axes.set_ylim(0, None)
        axes.yaxis.label.set_size(8)
        axes.legend(fontsize=6)
    figure.savefig(path, dpi=160)


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
    results = score(study, study.datasets())
    (options.output / "alanine.json").write_text(json.dumps(results, indent=1))
    print(tables(results))
    draw(results, options.output / "alanine.png")


if __name__ == "__main__":
    main()
