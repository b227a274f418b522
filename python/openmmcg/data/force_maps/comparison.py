"""Force maps side by side: the noise their labels carry on frames they were not fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.table import Table

from openmmcg.data.force_maps.blocks import (
    force_block,
    has_shared_atoms,
    mean_square,
    split_clusters,
)
from openmmcg.data.force_maps.moments import ForceMoments
from openmmcg.mapping import Mapping

_BLOCKS = 5


@dataclass(frozen=True)
class ForceMapComparison:
    """Held-out noise of all kinds of force maps.

    Attributes
    ----------
    noise : dict of str to float
        Mean square of a mapped force component on the held-out frames, (kJ/mol/nm)², by kind. The
        mean force is a part of it that all maps share. Kinds that cannot be made for the mapping
        are left out.
    fitted : float
        Noise of the optimal map on the frames it was fitted to, (kJ/mol/nm)²; much less than on
        the held-out frames if they were too few.
    fit_frames, held_out_frames : int
    biased : bool
        Whether the slice cuts constraint clusters: its forces are then wrong on average.
    """

    noise: dict[str, float]
    fitted: float
    fit_frames: int
    held_out_frames: int
    biased: bool

    def gain(self, kind: str) -> float:
        """Return how many times less noise than the uniform map a kind has; NaN without one."""
        return self.noise.get("uniform", np.nan) / self.noise[kind]

    def table(self) -> Table:
        """Return a table to print with rich."""
        result = Table(
            title="Noise of force maps on held-out frames",
            title_justify="left",
            caption_justify="left",
        )
        result.add_column("force map")
        result.add_column("mean square, (kJ/mol/nm)²", justify="right")
        result.add_column("uniform / this", justify="right")
        for kind, value in self.noise.items():
            note = " (cuts constraints: biased)" if kind == "slice" and self.biased else ""
            result.add_row(kind + note, f"{value:,.0f}", f"{self.gain(kind):.2f}")
        result.caption = (
            f"fitted to {self.fit_frames} frames, where the optimal map has {self.fitted:,.0f}; "
            f"{self.held_out_frames} held out"
        )
        return result


def held_out_frames(n_frames: int, fraction: float = 0.3) -> np.ndarray:
    """Mark frames (n_frames,) to hold out: the end of each of five blocks of time.

    Neighbouring frames are alike, so frames picked at random would not be independent of those
    that a map is fitted to; blocks are, but for their ends.

    Raises
    ------
    ValueError
        If there are too few frames to split.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"The held-out fraction is {fraction}, expected one between 0 and 1.")
    marked = np.arange(n_frames) * _BLOCKS % max(n_frames, 1) >= (1.0 - fraction) * n_frames
    if not marked.any() or marked.all():
        raise ValueError(
            f"{n_frames} frames are too few to fit a force map and hold {fraction:.0%} of them "
            f"out; give {2 * _BLOCKS} or more."
        )
    return marked


def compare_force_maps(
    mapping: Mapping,
    forces: np.ndarray,
    constraints: np.ndarray | None = None,
    fraction: float = 0.3,
) -> ForceMapComparison:
    """Compare the force maps on held-out frames.

    Parameters
    ----------
    mapping : Mapping
    forces : (n_frames, n_atoms, 3)
        Sample of atom forces in the order of time, kJ/mol/nm.
    constraints : (n_constraints, 2) int, optional
        Pairs of rigidly connected atoms.
    fraction : float
        Share of the frames to hold out, see `held_out_frames`.

    Raises
    ------
    ValueError
        As `fit_force_map`, or if the frames are too few.
    """
    marked = held_out_frames(len(forces), fraction)
    fit, held_out = ForceMoments(mapping, constraints), ForceMoments(mapping, constraints)
    fit.add(np.asarray(forces)[~marked])
    held_out.add(np.asarray(forces)[marked])
    return compare_moments(fit, held_out)


def compare_moments(fit: ForceMoments, held_out: ForceMoments) -> ForceMapComparison:
    """Compare the force maps of a mapping by moments, gathered frame by frame.

    Parameters
    ----------
    fit, held_out : ForceMoments
        Of frames to fit the optimal map to, and of other ones, see `held_out_frames`.

    Raises
    ------
    ValueError
        As `fit_force_map`.
    """
    kinds = ["optimal"] if has_shared_atoms(fit.templates) else ["slice", "uniform", "optimal"]
    if fit.mapping.force_weights is not None:
        kinds.append("given")
    blocks = {
        kind: [
            force_block(template, kind, power)
            for template, power in zip(fit.templates, fit.powers(), strict=True)
        ]
        for kind in kinds
    }
    return ForceMapComparison(
        noise={kind: mean_square(held_out, own) for kind, own in blocks.items()},
        fitted=mean_square(fit, blocks["optimal"]),
        fit_frames=fit.n_frames,
        held_out_frames=held_out.n_frames,
        biased=bool(split_clusters(fit.templates)),
    )
