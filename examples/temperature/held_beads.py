"""Thermal response of capped alanine: fluctuations at one temperature against forces at two.

    python examples/temperature/held_beads.py --output held-beads

The beads (backbone and CB) of some configurations are held while all other atoms move, at 260, 300 and
340 K. The thermal response force of each bead, Cov(B f, u)/(kT²) at 300 K, needs no other temperature;
it must be the change of the mean force, [F(340 K) - F(260 K)]/80 K, but for the curvature of F over
this range. Printed are their correlation over all beads and axes, with the one that their standard
errors allow, and χ² of their difference; a picture goes beside. What is complete in the output folder
is kept. About an hour on two cores; --scale shortens it, and --platform OpenCL may be faster.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from openmmcg.data import Dataset, SampleConfig, atoms_path, sample

LOW, MIDDLE, HIGH = 260.0, 300.0, 340.0
NAMES = ("response", "difference")
FLEXIBLE = {"constraints": "none", "hydrogen_mass": 4.0, "timestep": 2.0}
"""For beads that are held. Heavy hydrogens allow a longer time step and change no average."""


def held(folder: Path, frames: int, length: float, platform: str) -> Path:
    """Sample configurations and hold the beads of each for `length` ps at every temperature."""
    settings: dict[str, Any] = {**FLEXIBLE, "minimise": False, "platform": platform, "walkers": 2}
    start = SampleConfig(
        output=str(folder / "frames.h5"),
        **settings,
        length=frames * 0.005 / 2,
        frame_interval=5.0,
        equilibration=20.0,
        all_atom=True,
    )
    sample(start)
    return sample(
        SampleConfig(
            output=str(folder / "held.h5"),
            **settings,
            frozen_beads=True,
            frozen_frames=str(atoms_path(start.output)),
            frozen_length=length,
            frozen_equilibration=5.0,
            frozen_interval=0.02,
            temperatures=[LOW, MIDDLE, HIGH],
            block=1,
        )
    )


def compared(path: Path) -> dict[str, np.ndarray]:
    """Response (frames, values) from fluctuations and from differences, with their errors."""
    with Dataset.open(path) as data:
        rows = [data.temperatures == kelvin for kelvin in (LOW, MIDDLE, HIGH)]
        forces, errors, response, spread = (
            np.asarray(values, dtype=np.float64).reshape(data.n_frames, -1)
            for values in (
                data.forces,
                data.force_errors,
                data.thermal_forces,
                data.thermal_force_errors,
            )
        )
    low, middle, high = rows
    return {
        "response": response[middle],
        "response_error": spread[middle],
        "difference": (forces[high] - forces[low]) / (HIGH - LOW),
        "difference_error": np.hypot(errors[high], errors[low]) / (HIGH - LOW),
    }


def correlation(found: dict[str, np.ndarray], frames: np.ndarray) -> np.ndarray:
    """Correlation over some frames, and the one that two noisy measures of one quantity have."""
    pairs = [(found[name][frames], found[f"{name}_error"][frames]) for name in NAMES]
    shares = [1 - np.mean(error**2) / np.var(value) for value, error in pairs]
    values = [value.ravel() for value, _ in pairs]
    return np.array([np.corrcoef(values)[0, 1], np.sqrt(np.prod(np.maximum(shares, 0)))])


def summary(found: dict[str, np.ndarray]) -> dict[str, float]:
    """Numbers of the comparison; the error of the correlation is that of the jackknife over frames."""
    frames = np.arange(len(found["response"]))
    value, expected = correlation(found, frames)
    without = [correlation(found, np.delete(frames, k))[0] for k in frames]
    error = np.sqrt((len(frames) - 1) * np.var(without)) if len(frames) > 2 else np.nan
    noise = np.mean(found["response_error"] ** 2 + found["difference_error"] ** 2)
    change = found["response"] - found["difference"]
    rms = {name: float(np.sqrt(np.mean(values**2))) for name, values in found.items()}
    return {
        "frames": len(frames),
        "correlation": float(value),
        "correlation_error": float(error),
        "correlation_of_measures_so_noisy": float(expected),
        "chi2": float(np.mean(change**2) / noise),
        **{f"rms_{name}": size for name, size in rms.items()},
    }


def draw(found: dict[str, np.ndarray], path: Path) -> None:
    """Plot one against the other, with errors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 3.9), layout="constrained")
    axes = figure.add_subplot()
    axes.errorbar(
        found["difference"].ravel(),
        found["response"].ravel(),
        found["response_error"].ravel(),
        found["difference_error"].ravel(),
        fmt="o",
        markersize=2,
        linewidth=0.5,
    )
    axes.axline((0, 0), slope=1, color="black", linewidth=0.6)
    axes.set(
        xlabel="[F(340 K) − F(260 K)]/80 K (kJ/mol/nm/K)",
        ylabel="Cov(B f, u)/(kT²) at 300 K (kJ/mol/nm/K)",
    )
    figure.savefig(path, dpi=200)


def main() -> None:
    """Sample, compare, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("held-beads"))
    parser.add_argument("--frames", type=int, default=4, help="configurations, an even number")
    parser.add_argument("--platform", default="CPU", help="of OpenMM, for sampling")
    parser.add_argument("--scale", type=float, default=1.0, help="of the time that beads are held")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    found = compared(held(options.output, options.frames, 2500.0 * options.scale, options.platform))
    numbers = summary(found)
    for name, value in numbers.items():
        print(f"{name.replace('_', ' '):35} {value:.3g}")
    (options.output / "held-beads.json").write_text(json.dumps(numbers, indent=1))
    draw(found, options.output / "held-beads.png")


if __name__ == "__main__":
    main()
