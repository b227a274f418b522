"""Pictures of findings, one PNG each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from openmmcg.files import atomic_path
from openmmcg.mapping.linting.centres import Centre
from openmmcg.mapping.linting.constraints import ClusterPlot
from openmmcg.mapping.linting.distances import BIN, GapTable
from openmmcg.mapping.linting.finding import Finding
from openmmcg.mapping.linting.stereo import StereoPlot
from openmmcg.mapping.linting.symmetry import GraphPlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart under all common colour deficiencies.
PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#f0e442")
GREY, PALE = "#5a5a5a", "#ececec"
LARGEST_GRAPH = 120
"""Beads that are drawn of a molecule."""
PANELS = 6
# Lengths in inches; the width is that of a journal page (180 mm).
WIDTH = 7.1
PANEL = 2.2
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.linewidth": 0.6,
    "legend.frameon": False,
}
# Where the four neighbours of a centre are drawn: two in the plane, one in front, one behind.
_ARMS = np.array([[-0.9, 0.45], [0.9, 0.45], [-0.38, -0.95], [0.5, -0.9]])


def draw(findings: Sequence[Finding], folder: str | os.PathLike[str]) -> list[Finding]:
    """Draw every finding that has something to show.

    Parameters
    ----------
    findings : sequence of Finding
    folder : path-like
        Where to write; made if needed. Files are named by number and kind of the finding.

    Returns
    -------
    list of Finding
        The findings with `Finding.picture` set.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return [
        finding if finding.plot is None else _drawn(finding, path, number)
        for number, finding in enumerate(findings, start=1)
    ]


def figure(finding: Finding) -> Figure:
    """Draw a finding that has something to show (`Finding.plot`)."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        result = Figure(layout="constrained")
        plot = finding.plot
        if isinstance(plot, GapTable):
            _draw_gap(result, plot)
        elif isinstance(plot, GraphPlot):
            _draw_graph(result, plot)
        elif isinstance(plot, StereoPlot):
            _draw_centres(result, plot)
        else:
            _draw_clusters(result, plot)
        result.suptitle(f"{finding.severity}: {finding.title}", fontsize=9)
    return result


def _drawn(finding: Finding, folder: Path, number: int) -> Finding:
    import matplotlib

    picture = folder / f"{number}-{finding.kind}.png"
    drawn = figure(finding)
    with atomic_path(picture) as temporary, matplotlib.rc_context(STYLE):
        drawn.savefig(temporary, format="png", dpi=200)
    return replace(finding, picture=picture)


def _draw_gap(figure: Figure, table: GapTable) -> None:
    figure.set_size_inches(WIDTH, 2.8)
    axes = figure.add_subplot()
    for counts, colour, name in (
        (table.bond_counts, PALETTE[3], "bonded"),
        (table.inter_counts, PALETTE[4], "other molecule"),
    ):
        density = counts / max(counts.sum(), 1) / BIN
        axes.stairs(density, BIN * np.arange(len(counts) + 1), color=colour, fill=True, alpha=0.35)
        axes.stairs(density, BIN * np.arange(len(counts) + 1), color=colour, label=name)
    overall = table.overall
    axes.axvline(overall.bond_max, color=PALETTE[3], ls="--", lw=1)
    if overall.inter_min is not None and overall.gap is not None:
        axes.axvline(overall.inter_min, color=PALETTE[4], ls="--", lw=1)
        low, high = sorted((overall.bond_max, overall.inter_min))
        axes.axvspan(low, high, color=PALETTE[2] if overall.gap > 0 else PALETTE[0], alpha=0.3)
        axes.set_title(f"gap {overall.gap:+.3f} nm, {table.frames} frames")
    axes.set_xlim(max(0.0, overall.bond_min - 0.05), table.cutoff)
    axes.set_xlabel("distance (nm)")
    axes.set_ylabel("density (1/nm)")
    axes.legend()


def _draw_graph(figure: Figure, plot: GraphPlot) -> None:
    kind = plot.kind
    coloured = [bead for group in plot.groups for bead in group]
    shown = list(range(len(kind.types)))
    if len(shown) > LARGEST_GRAPH:
        near = [b for bead in coloured for b in (bead, *kind.bead_graph[bead])]
        shown = list(dict.fromkeys([*near, *shown]))[:LARGEST_GRAPH]
    graph = kind.bead_graph.subgraph(shown)
    places = _lying(nx.kamada_kawai_layout(graph))
    colour = {b: PALETTE[n % len(PALETTE)] for n, g in enumerate(plot.groups) for b in g}
    small = len(shown) > 24
    figure.set_size_inches(WIDTH, 4.5 if small else 2.8)
    axes = figure.add_subplot()
    axes.set_axis_off()
    for i, j in graph.edges:
        axes.plot(*np.array([places[i], places[j]]).T, color=GREY, lw=1.5, zorder=1)
    if plot.arrows:
        for i, j in (pair for group in plot.groups for pair in pairwise(group)):
            if i in places and j in places:
                style = {"arrowstyle": "<->", "color": colour[i], "lw": 1.2, "ls": ":"}
                style["connectionstyle"] = "arc3,rad=0.3"
                ends = (tuple(places[i].tolist()), tuple(places[j].tolist()))
                axes.annotate("", *ends, arrowprops=style, zorder=2)
    for bead in graph:
        x, y = places[bead]
        size = 45 if small else 130
        axes.scatter(x, y, s=size, color=colour.get(bead, PALE), edgecolor=GREY, zorder=3)
        text = kind.bead_labels[bead]
        if not small:
            text += f"\n({kind.type_names[bead]})"
        turn = 45 if small else 0
        axes.annotate(
            text,
            (x, y),
            xytext=(0, 5 if small else 9),
            textcoords="offset points",
            ha="left" if small else "center",
            rotation=turn,
            fontsize=4.5 if small else 6,
        )
    title = kind.name
    if len(shown) < len(kind.types):
        title += f" ({len(shown)} of {len(kind.types)} beads)"
    axes.set_title(title)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.1)


def _lying(places: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Turn a layout so that it is longest from left to right."""
    points = np.array(list(places.values())) - np.mean(list(places.values()), axis=0)
    axes = np.linalg.svd(points, full_matrices=False)[2]
    return dict(zip(places, points @ axes.T, strict=True))


def _draw_centres(figure: Figure, plot: StereoPlot) -> None:
    for axes, centre in zip(_panels(figure, len(plot.centres)), plot.centres, strict=False):
        _draw_centre(axes, plot, centre)


def _draw_centre(axes: Axes, plot: StereoPlot, centre: Centre) -> None:
    """Draw a centre with its neighbours: beads are filled, what no bead shows is hollow."""
    kind = plot.kind
    # The hand drawn is not that of the molecule, only that it has one.
    for number, (arm, place) in enumerate(zip(centre.arms, _ARMS, strict=True)):
        side = 0.07 * np.array([-place[1], place[0]]) / np.linalg.norm(place)
        if number == 2:
            axes.fill(*np.array([[0, 0], place + side, place - side]).T, color=GREY, zorder=1)
        elif number == 3:
            for share in np.linspace(0.25, 1.0, 7):
                ends = np.array([place + side, place - side]) * share
                axes.plot(*ends.T, color=GREY, lw=1, zorder=1)
        else:
            axes.plot(*np.array([[0, 0], place]).T, color=GREY, lw=1.5, zorder=1)
        used = arm.bead is not None and arm.bead in centre.points
        text = kind.atom_labels[arm.atom].split(":")[1]
        if used and arm.steps and arm.bead is not None:
            text += f"\n→ {kind.bead_labels[arm.bead]}"
        _spot(axes, place, used and not arm.steps, PALETTE[1] if used else "white", text)
    _spot(axes, np.zeros(2), centre.own is not None, PALETTE[0], "")
    axes.set_title(f"{kind.atom_labels[centre.atom]}: {len(centre.points)} of 4 points")
    axes.set_xlim(-1.6, 1.6)
    axes.set_ylim(-1.6, 1.2)


def _draw_clusters(figure: Figure, plot: ClusterPlot) -> None:
    for axes, cluster in zip(_panels(figure, len(plot.clusters)), plot.clusters, strict=False):
        graph = nx.Graph()
        graph.add_nodes_from(cluster)
        inside = np.isin(plot.constraints, cluster).all(axis=1)
        graph.add_edges_from(plot.constraints[inside].tolist())
        places = nx.kamada_kawai_layout(graph)
        for i, j in graph.edges:
            axes.plot(*np.array([places[i], places[j]]).T, color=GREY, lw=3, zorder=1)
        for atom in cluster:
            used = atom in plot.weighted
            name = plot.topology.atom(atom).name
            _spot(axes, places[atom], used, PALETTE[3] if used else "white", name)
        residue = plot.topology.atom(cluster[0]).residue
        axes.set_title(f"{residue.name}{residue.resSeq}: filled atoms count")
        axes.set_xlim(-1.6, 1.6)
        axes.set_ylim(-1.6, 1.6)


def _spot(axes: Axes, place: np.ndarray, filled: bool, colour: str, text: str) -> None:
    face = colour if filled else "white"
    edge = GREY if colour == "white" else colour
    x, y = place.tolist()
    axes.scatter(x, y, s=150, color=face, edgecolor=edge, linewidth=1.5, zorder=3)
    # Outwards, so that no bond is under the text.
    offset = 14 * place / max(float(np.linalg.norm(place)), 1e-9)
    axes.annotate(
        text,
        (x, y),
        xytext=offset.tolist(),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=7,
        zorder=4,
    )


def _panels(figure: Figure, count: int) -> list[Axes]:
    count = min(count, PANELS)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure.set_size_inches(max(PANEL * columns, 0.55 * WIDTH), PANEL * rows + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.remove()
    return [_bare(axes) for axes in grid[:count]]


def _bare(axes: Axes) -> Axes:
    axes.set_axis_off()
    axes.set_aspect("equal")
    return axes
