"""The overview of several temperatures: one row of numbers each, and how they go with temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmcg.analysis.comparison import Comparison
from openmmcg.analysis.figure import MODEL_COLOUR, REFERENCE_COLOUR, STYLE, UNVISITED_COLOUR, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURES = {
    "divergence": "JSD over (φ, ψ)",
    "free_energy_error": "Free-energy error (kJ/mol)",
    "coordinate_divergence": "Mean JSD, coordinates",
    "rdf_error": "Mean error of g(r)",
    "adf_divergence": "Mean JSD, neighbour angles",
}
"""What may be in a row, and what it is called."""
_HEIGHT = 2.0


def overview_rows(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Numbers of each temperature, in ascending order; None where there are none.

    Parameters
    ----------
    comparisons : sequence of Comparison

    Returns
    -------
    list of dict
        ``temperature``, ``extrapolated``, frames, the `MEASURES`, ``sampling``, the divergence over
        (phi, psi) of two halves of the reference, and ``diffusion``, (value, error) in reference
        and model.
    """
    return [_row(entry) for entry in sorted(comparisons, key=lambda entry: entry.temperature)]


def _row(entry: Comparison) -> dict[str, Any]:
    ramachandran = entry.ramachandran
    return {
        "temperature": entry.temperature,
        "extrapolated": entry.extrapolated,
        "reference_frames": entry.reference.n_frames,
        "model_frames": entry.model.n_frames,
        "divergence": None if ramachandran is None else ramachandran.divergence,
        "sampling": None
        if ramachandran is None
        else ramachandran.baseline.get("reference_halves_in_time"),
        "free_energy_error": None if ramachandran is None else ramachandran.free_energy_error,
        "coordinate_divergence": _mean([found.divergence for found in entry.distributions]),
        "diffusion": None
        if entry.diffusion is None
        else [(found.coefficient, found.error) for found in entry.diffusion],
        "rdf_error": _mean([curve.error for curve in entry.liquid if curve.kind == "rdf"]),
        "adf_divergence": _mean([curve.error for curve in entry.liquid if curve.kind == "adf"]),
    }


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def draw_overview(rows: Sequence[dict[str, Any]], trained: tuple[float, float] | None) -> Figure:
    """Draw each measure over the temperature; those outside of the trained range are hollow.

    Parameters
    ----------
    rows : sequence of dict
        Of `overview_rows`.
    trained : (float, float) or None
        K; shaded.
    """
    import matplotlib
    from matplotlib.figure import Figure

    shown = [name for name in MEASURES if any(row[name] is not None for row in rows)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, _HEIGHT), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            if trained is not None:
                axes.axvspan(*trained, color=UNVISITED_COLOUR, linewidth=0)
            found = [row for row in rows if row[name] is not None]
            kelvin, values = ([row[key] for row in found] for key in ("temperature", name))
            fills = ["white" if row["extrapolated"] else MODEL_COLOUR for row in found]
            axes.plot(kelvin, values, color=MODEL_COLOUR, linewidth=1.1)
            axes.scatter(kelvin, values, 14, c=fills, edgecolors=MODEL_COLOUR, zorder=3)
            halves = [row for row in rows if row["sampling"] is not None]
            if name == "divergence" and halves:
                axes.plot(
                    [row["temperature"] for row in halves],
                    [row["sampling"] for row in halves],
                    color=REFERENCE_COLOUR,
                    linewidth=0.8,
                    linestyle="--",
                )
            axes.set(xlabel="Temperature (K)", ylabel=MEASURES[name])
            axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
            axes.spines[["top", "right"]].set_visible(False)
        figure.draw_without_rendering()
    return figure
