"""The report's figure: Ramachandran free energies and internal-coordinate histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmcg.analysis.compare import Distribution, Ramachandran
from openmmcg.analysis.distributions import free_energy
from openmmcg.analysis.liquid import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart under all common colour deficiencies.
REFERENCE_COLOUR = "#5a5a5a"
MODEL_COLOUR = "#d55e00"
UNVISITED_COLOUR = "#ececec"
COLUMNS = 5
MAX_PANELS = 20
MAX_CURVES = 10
ORDER = ("bond", "improper", "angle")
ENERGY_STEP = 4.0
"""Spacing of contour lines, kJ/mol."""
TICKS = (-120, -60, 0, 60, 120)
# Lengths in inches; the width is that of a journal page (180 mm).
WIDTH = 7.1
MAP_SIDE = 1.72
MAP_TOP = 0.25
MAP_HEIGHT = 2.4
MAP_COLUMNS = ((0.5, 1.72), (2.34, 1.72), (4.12, 0.09), (4.75, 1.72), (6.53, 0.09))
ROW_HEIGHT = 1.36
LEGEND_HEIGHT = 0.45
HISTOGRAM_MARGIN = 0.42
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.titlepad": 4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
}


def draw(
    ramachandran: Ramachandran | None,
    distributions: list[Distribution],
    temperature: float,
    liquid: Sequence[Curve] = (),
) -> Figure:
    """Draw the figure of a comparison.

    Parameters
    ----------
    ramachandran : Ramachandran or None
        Left out when None.
    distributions : list of Distribution
        One panel each, at most 20.
    temperature : float
        K.
    liquid : sequence of Curve
        One panel each, at most 10, after the others.

    Returns
    -------
    matplotlib.figure.Figure
        180 mm wide, the width of a journal page.
    """
    import matplotlib
    from matplotlib.figure import Figure

    own = sorted(distributions, key=lambda panel: ORDER.index(panel.coordinate.kind))
    panels: list[Distribution | Curve] = [*own[:MAX_PANELS], *liquid[:MAX_CURVES]]
    rows = -(-len(panels) // COLUMNS)
    heights = MAP_HEIGHT * bool(ramachandran), ROW_HEIGHT * rows + LEGEND_HEIGHT * bool(rows)
    total = sum(heights)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, total))
        if ramachandran:
            _draw_maps(figure, ramachandran, temperature)
        if panels:
            top = 1 - (heights[0] + LEGEND_HEIGHT) / total
            _draw_histograms(figure, panels, rows, top)
        figure.draw_without_rendering()  # tick labels take their style from the context
    return figure


def _draw_maps(figure: Figure, ramachandran: Ramachandran, temperature: float) -> None:
    reference = free_energy(ramachandran.reference, temperature)
    model = free_energy(ramachandran.model, temperature)
    shared = ramachandran.reference * np.isfinite(model)
    difference = model - reference
    if shared.sum() > 0:
        difference = difference - np.nansum(difference * shared) / shared.sum()
    highest = max(np.nanmax(reference), np.nanmax(model))
    top = max(ENERGY_STEP, ENERGY_STEP * np.ceil(highest / ENERGY_STEP))

    def place(left: float, width: float) -> Axes:
        """Add axes as high as a map; all lengths in inches."""
        height = figure.get_figheight()
        bottom = height - MAP_TOP - MAP_SIDE
        return figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, MAP_SIDE / height))

    first, second, bar, last, last_bar = (place(left, width) for left, width in MAP_COLUMNS)
    image = _map(first, reference, "Reference (all-atom)", "viridis", (0, top))
    _map(second, model, "CG model", "viridis", (0, top))
    for axes, energy in ((first, reference), (second, model), (last, reference)):
        _contours(axes, energy, top)
    figure.colorbar(image, cax=bar).set_label("Free energy (kJ/mol)")
    image = _map(last, difference, "CG model − reference", "PuOr_r", (-8, 8))
    figure.colorbar(image, cax=last_bar, extend="both").set_label("Difference (kJ/mol)")
    first.set_ylabel("ψ (degrees)")
    for axes in (second, last):
        axes.set_yticklabels([])


def _map(
    axes: Axes, energy: np.ndarray, title: str, colours: str, limits: tuple[float, float]
) -> Any:
    """Draw one (phi, psi) map; bins that were never visited keep the background's grey."""
    axes.set_facecolor(UNVISITED_COLOUR)
    image = axes.imshow(
        energy.T,
        origin="lower",
        extent=(-180, 180, -180, 180),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        aspect="auto",
        interpolation="nearest",
    )
    axes.set(title=title, xlabel="φ (degrees)", xticks=TICKS, yticks=TICKS)
    return image


def _contours(axes: Axes, energy: np.ndarray, top: float) -> None:
    edges = np.linspace(-180, 180, len(energy) + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    levels = np.arange(ENERGY_STEP, top, 2 * ENERGY_STEP)
    axes.contour(centres, centres, energy.T, levels, colors="black", linewidths=0.35, alpha=0.6)


def _draw_histograms(
    figure: Figure, panels: list[Distribution | Curve], rows: int, top: float
) -> None:
    height = figure.get_figheight()
    grid = figure.add_gridspec(
        rows,
        COLUMNS,
        left=MAP_COLUMNS[0][0] / WIDTH,
        right=0.985,
        top=top,
        bottom=HISTOGRAM_MARGIN / height,
        wspace=0.16,
        hspace=0.8,
    )
    drawn = [figure.add_subplot(grid[k // COLUMNS, k % COLUMNS]) for k in range(len(panels))]
    for axes, panel in zip(drawn, panels, strict=True):
        if isinstance(panel, Curve):
            _curve(axes, panel)
        else:
            _histogram(axes, panel)
    for axes in drawn[::COLUMNS]:
        axes.set_ylabel(axes.get_ylabel() or "Probability density")
    figure.legend(
        *drawn[0].get_legend_handles_labels(),
        loc="lower center",
        bbox_to_anchor=(0.5, top + 0.2 / height),
        ncols=2,
    )


def _histogram(axes: Axes, panel: Distribution) -> None:
    coordinate = panel.coordinate
    width = np.diff(panel.edges)
    axes.stairs(
        panel.reference / width,
        panel.edges,
        fill=True,
        color=REFERENCE_COLOUR,
        alpha=0.35,
        linewidth=0,
        label="Reference (all-atom)",
    )
    axes.stairs(
        panel.model / width, panel.edges, color=MODEL_COLOUR, linewidth=1.1, label="CG model"
    )
    unit = {"nm": "nm", "deg": "degrees"}[coordinate.unit]
    axes.set_xlabel(f"{coordinate.kind.capitalize()} ({unit})")
    _finish(axes, coordinate.label, panel.edges[0], panel.edges[-1])


def _curve(axes: Axes, curve: Curve) -> None:
    """Draw a radial or angular distribution."""
    axes.fill_between(
        curve.x,
        curve.reference,
        color=REFERENCE_COLOUR,
        alpha=0.35,
        linewidth=0,
        label="Reference (all-atom)",
    )
    axes.plot(curve.x, curve.model, color=MODEL_COLOUR, linewidth=1.1, label="CG model")
    radial = curve.kind == "rdf"
    axes.set_xlabel("r (nm)" if radial else "Angle (degrees)")
    if radial:
        axes.axhline(1, color="black", linewidth=0.35)
        axes.set_ylabel("g(r)")
    _finish(axes, curve.label, 0, curve.x[-1] if radial else 180)


def _finish(axes: Axes, label: str, low: float, high: float) -> None:
    axes.set(title=label.replace("-", "–"), yticks=[])
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
