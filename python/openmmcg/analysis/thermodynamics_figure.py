"""The picture of profiles: free energy, energy and entropy along each variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmcg.analysis.figure import STYLE, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW = 1.8
_COLUMNS = {
    "free_energy": "Free energy (kJ/mol)",
    "energy": "Mean energy (kJ/mol)",
    "entropy": "T × entropy (kJ/mol)",
}


def draw_profiles(results: Sequence[dict[str, Any]]) -> Figure:
    """Draw one row a variable, one line a temperature, with bands of one standard error.

    Parameters
    ----------
    results : sequence of dict
        With ``temperature`` and ``profiles``, a `Profile` for each name.
    """
    import matplotlib
    from matplotlib.figure import Figure

    names = list(results[0]["profiles"])
    kelvin = [row["temperature"] for row in results]
    span = max(kelvin) - min(kelvin) or 1.0
    colours = matplotlib.colormaps["plasma"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, max(1, len(names)) * _ROW), layout="constrained")
        grid = figure.subplots(max(1, len(names)), len(_COLUMNS), squeeze=False)
        for line, name in zip(grid, names, strict=False):
            for axes, (key, label) in zip(line, _COLUMNS.items(), strict=True):
                for row in results:
                    found = row["profiles"][name]
                    factor = row["temperature"] if key == "entropy" else 1.0
                    value, error = (factor * part for part in found.columns[key])
                    shade = colours(0.85 * (row["temperature"] - min(kelvin)) / span)
                    axes.plot(
                        found.x,
                        value,
                        color=shade,
                        linewidth=1.0,
                        label=f"{row['temperature']:g} K",
                    )
                    band = np.isfinite(error)
                    axes.fill_between(
                        found.x[band],
                        (value - error)[band],
                        (value + error)[band],
                        color=shade,
                        alpha=0.25,
                        linewidth=0,
                    )
                axes.set(xlabel=name, ylabel=label)
                axes.spines[["top", "right"]].set_visible(False)
        if names:
            grid[0, 0].legend()
        figure.draw_without_rendering()
    return figure
