"""Figures of the study of water (water.py): distances of distributions, diffusion, table and picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from openmmcg.analysis.diffusion import Diffusion, self_diffusion
from openmmcg.analysis.distributions import jensen_shannon
from openmmcg.analysis.ensemble import Ensemble, from_dataset
from openmmcg.analysis.liquid import angular_distributions, first_shell, radial_distributions
from openmmcg.data import Dataset

TEMPERATURES = (280.0, 300.0, 320.0, 340.0, 360.0)
ATOMS, HALVES = "atoms", "halves of the atoms"
"""The reference, and the distance of two halves of its walkers."""
LOOKED_AT = 50
"""Frames of a walker whose pairs and angles are counted; those between are much alike."""
TITLES = {
    "rdf": "error of g(r): mean |Δg|",
    "adf": "error of angles: Jensen-Shannon divergence",
    "diffusion": "self-diffusion (10⁻⁵ cm²/s)",
}


Row = tuple[str, str, float, float, float]
"""Quantity, model, temperature in K, value, standard error."""


def by_walker(
    ensemble: Ensemble, curve: Callable[[Ensemble], tuple[np.ndarray, dict[str, np.ndarray]]]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances or angles (bins,), and distributions (walkers, bins) of each walker's own frames."""
    assert ensemble.boxes is not None
    curves = []
    for walker in np.unique(ensemble.walkers):
        own = np.flatnonzero(ensemble.walkers == walker)
        own = own[:: max(1, len(own) // LOOKED_AT)]
        parts = (ensemble.positions[own], ensemble.weights[own], ensemble.walkers[own])
        x, by_label = curve(Ensemble(*parts, boxes=ensemble.boxes[own]))
        curves += by_label.values()  # one, as there is one type of beads
    return x, np.array(curves)


def absolute(reference: np.ndarray, model: np.ndarray) -> float:
    """Mean absolute difference of radial distributions."""
    return float(np.mean(np.abs(model - reference)))


def deviation(
    reference: np.ndarray, model: np.ndarray, measure: Callable[[np.ndarray, np.ndarray], float]
) -> tuple[float, float]:
    """Distance of the means of curves (walkers, bins), and its jackknife error over walkers."""
    value = measure(reference.mean(axis=0), model.mean(axis=0))
    variance = 0.0
    for which, curves in enumerate((reference, model)):
        means = [reference.mean(axis=0), model.mean(axis=0)]
        count, without = len(curves), []
        for k in range(count):
            means[which] = np.delete(curves, k, axis=0).mean(axis=0)
            without.append(measure(means[0], means[1]))
        variance += (count - 1) * float(np.var(without))
    return value, float(np.sqrt(variance))


def matched(frictions: Iterable[float], found: Iterable[float], wanted: float) -> float:
    """Friction at which a diffusion coefficient is the wanted one.

    1/D grows linearly with the friction where forces and thermostat slow a bead independently of
    each other, so a line is fitted to it.
    """
    slope, start = np.polyfit(list(frictions), 1 / np.array(list(found)), 1)
    friction = float((1 / wanted - start) / slope)
    if friction <= 0:
        raise ValueError(f"No friction makes the model as fast as the atoms ({wanted:.3g}).")
    return friction


def compared(runs: dict[str, dict[float, Ensemble]], data: Dataset) -> list[Row]:
    """Compare all models with the atoms: (quantity, model, K, value, standard error).

    Quantities are the errors of radial and angular distributions and the diffusion coefficient.
    """
    assert data.boxes is not None
    names = [data.type_names[kind] for kind in data.types]
    molecules, masses = data.molecules.tolist(), data.masses.tolist()
    reach = 0.499 * float(data.boxes[0, 0, 0])
    radial = partial(radial_distributions, names=names, molecules=molecules, reach=reach)
    rows = []
    for kelvin in TEMPERATURES:
        atoms = from_dataset(data, kelvin)
        r, g = by_walker(atoms, radial)
        shell = first_shell(r, g.mean(axis=0))
        angular = partial(angular_distributions, names=names, molecules=molecules, shell=shell)
        for kind, curve, measure in (("rdf", radial, absolute), ("adf", angular, jensen_shannon)):
            _, own = by_walker(atoms, curve)
            rows.append((kind, HALVES, kelvin, *deviation(own[::2], own[1::2], measure)))
            for name, found in runs.items():
                _, other = by_walker(found[kelvin], curve)
                rows.append((kind, name, kelvin, *deviation(own, other, measure)))
        for name, ensemble in [(ATOMS, atoms), *((name, runs[name][kelvin]) for name in runs)]:
            moved = diffusion(ensemble, molecules, masses)
            rows.append(("diffusion", name, kelvin, moved.coefficient, moved.error))
    return rows


def diffusion(ensemble: Ensemble, molecules: list[int], masses: list[float]) -> Diffusion:
    """Self-diffusion, for which there must be enough frames."""
    found = self_diffusion(ensemble, molecules, masses)
    if found is None:
        raise ValueError("There are too few frames for self-diffusion; raise --scale.")
    return found


def table(rows: list[Row]) -> str:
    """Write all rows as Markdown tables, one a quantity."""
    lines = []
    for quantity, title in TITLES.items():
        lines += [f"\n| {title} | " + " | ".join(f"{t:g} K" for t in TEMPERATURES) + " |"]
        lines += ["|---|" + "---|" * len(TEMPERATURES)]
        own = [row for row in rows if row[0] == quantity]
        for name in dict.fromkeys(row[1] for row in own):
            values = {row[2]: f"{row[3]:.3g} ± {row[4]:.2g}" for row in own if row[1] == name}
            lines.append(f"| {name} | " + " | ".join(values[t] for t in TEMPERATURES) + " |")
    return "\n".join(lines)


def draw(rows: list[Row], path: Path) -> None:
    """Plot all rows over the temperature."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.1), layout="constrained")
    for axes, (quantity, title) in zip(figure.subplots(1, 3), TITLES.items(), strict=True):
        own = [row for row in rows if row[0] == quantity]
        for name in dict.fromkeys(row[1] for row in own):
            kelvin, values, errors = np.array([row[2:] for row in own if row[1] == name]).T
            style = "k--" if name in (ATOMS, HALVES) else "o-"
            axes.errorbar(kelvin, values, errors, fmt=style, markersize=3, linewidth=1, label=name)
        axes.set(xlabel="temperature (K)", title=title)
        axes.title.set_size(9)
        if quantity != "diffusion":
            axes.set_yscale("log")
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=130)
