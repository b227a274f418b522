"""Plots of priors against the data they were fitted to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from openmmcg.files import atomic_path
from openmmcg.priors.base import PriorTerm
from openmmcg.priors.bound import BoundPairs
from openmmcg.priors.geometry import Bond, Coordinate
from openmmcg.priors.keys import label
from openmmcg.priors.kinds import KINDS
from openmmcg.priors.prior_set import PriorEntry, PriorSet
from openmmcg.priors.samples import Samples, SystemFrames, pair_samples, term_samples
from openmmcg.units import KB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4
PANEL = (2.3, 1.9)
MOST_PANELS = 200
_BINS = 80
_HIGHEST = 12.0
"""Energy in kT where panels end."""
_NARROW = 0.9
"""Mean of exp(i phi) beyond which a torsion is shown around its mean, not on the full circle."""
_COLOURS = {"histogram": "#d5d5d5", "data": "#5a5a5a", "prior": "#d55e00"}
_STYLE: Any = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
}


class Panel(NamedTuple):
    """One entry of the priors with the samples it describes."""

    kind: type[PriorTerm]
    title: str
    entry: PriorEntry
    samples: Samples


def plot_fits(
    priors: PriorSet,
    systems: SystemFrames | Sequence[SystemFrames],
    path: str | os.PathLike[str],
) -> Path:
    """Plot every prior over the data: histogram, -kT ln of the density per volume, and prior.

    Parameters
    ----------
    priors : PriorSet
        What to plot.
    systems : SystemFrames or sequence of SystemFrames
        Frames, as of the fit.
    path : path-like
        Image to write, by its suffix a PNG, PDF or SVG.

    Returns
    -------
    Path
        The image. It shows at most 200 entries.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frames = [systems] if isinstance(systems, SystemFrames) else list(systems)
    panels = list(_panels(priors, frames))
    shown = panels[:MOST_PANELS]
    rows = max(1, -(-len(shown) // COLUMNS))
    target = Path(path)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(COLUMNS * PANEL[0], rows * PANEL[1] + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for panel, place in zip(shown, axes, strict=False):
            _draw(place, panel, KB * priors.temperature)
        for empty in axes[len(shown) :]:
            empty.set_axis_off()
        left_out = (
            f", {len(panels) - len(shown)} more not shown" if len(panels) > len(shown) else ""
        )
        figure.suptitle(f"Priors at {priors.temperature:g} K{left_out}")
        if shown:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format=target.suffix.lstrip(".") or "png", dpi=150)
    return target


def _panels(priors: PriorSet, systems: Sequence[SystemFrames]) -> Iterator[Panel]:
    """Entries that occur in the systems, in the order of the set."""
    found: dict[tuple[str, int], list[Samples]] = {}
    for system in systems:
        molecules = None if system.molecules is None else np.asarray(system.molecules)
        bound = priors.bind(system.types, system.type_names, system.bonds, molecules)
        for part in bound.terms:
            if isinstance(part, BoundPairs):
                samples = pair_samples(system, part.space, part.kind_rows)
            else:
                samples = term_samples(system, part.kind, part.terms, part.rows)
            for row, values in samples.items():
                if len(values.values):
                    found.setdefault((part.kind.kind, row), []).append(values)
    for name in priors.kinds():
        for row, entry in enumerate(priors.entries(name)):
            parts = found.get((name, row))
            if parts:
                weights = [
                    np.ones(len(part.values)) if part.weights is None else part.weights
                    for part in parts
                ]
                merged = Samples(
                    np.concatenate([part.values for part in parts]), np.concatenate(weights)
                )
                title = f"{name}\n{label(entry.key)}"
                if entry.molecule >= 0:
                    title += f" in {priors.molecules[entry.molecule].name}"
                yield Panel(KINDS[name], title, entry, merged)


def _draw(axes: Axes, panel: Panel, kt: float) -> None:
    coordinate = panel.kind.coordinate
    values = _unwrapped(panel)
    low, high = _window(coordinate, values)
    edges = np.linspace(low, high, _BINS + 1)
    places = 0.5 * (edges[1:] + edges[:-1])
    masses, _ = np.histogram(values, edges, weights=panel.samples.weights)
    volumes = np.diff(coordinate.volume(edges))
    scale = 1.0 if issubclass(coordinate, Bond) else 180.0 / np.pi
    background = axes.twinx()
    background.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)
    background.fill_between(scale * places, masses, step="mid", color=_COLOURS["histogram"])
    background.set_ylim(0, 1.05 * masses.max())
    background.set_yticks([])
    filled = (masses > 0) & (volumes > 0)
    energy = -kt * np.log(masses[filled] / volumes[filled])
    fine = np.linspace(low, high, 400)
    with np.errstate(divide="ignore", invalid="ignore"):
        curve = panel.kind.curve(fine, panel.entry.parameters)
        prior = panel.kind.curve(places[filled], panel.entry.parameters)
    # Energies have no zero: put the data on the curve where most of the samples are.
    offset = np.average(prior - energy, weights=np.where(np.isfinite(prior), masses[filled], 0.0))
    least = float(min(np.nanmin(curve), (energy + offset).min()))
    axes.fill_between([], [], color=_COLOURS["histogram"], label="histogram")
    points: Any = {"marker": ".", "ls": "", "ms": 3, "color": _COLOURS["data"]}
    axes.plot(scale * places[filled], energy + offset - least, label="data, −kT ln p", **points)
    axes.plot(scale * fine, curve - least, color=_COLOURS["prior"], lw=1.2, label="prior")
    axes.set_ylim(-0.5 * kt, _HIGHEST * kt)
    axes.set_xlim(scale * low, scale * high)
    axes.set_title(panel.title)
    axes.set_xlabel("nm" if scale == 1.0 else "degrees")
    axes.set_ylabel("kJ/mol")


def _unwrapped(panel: Panel) -> np.ndarray:
    """Values; those of a narrow torsion in one piece."""
    values = panel.samples.values
    if not panel.kind.coordinate.periodic:
        return values
    mean = np.average(np.exp(1j * values), weights=panel.samples.weights)
    center = np.angle(mean) if abs(mean) > _NARROW else 0.0
    return center + np.angle(np.exp(1j * (values - center)))


def _window(coordinate: type[Coordinate], values: np.ndarray) -> tuple[float, float]:
    margin = 0.15 * float(np.ptp(values)) + 1e-3
    low, high = float(values.min()) - margin, float(values.max()) + margin
    if coordinate.periodic:
        return (low, high) if high - low < np.pi else (-np.pi, np.pi)
    return max(0.0, low), high if issubclass(coordinate, Bond) else min(np.pi, high)
