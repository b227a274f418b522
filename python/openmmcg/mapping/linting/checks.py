"""The lint of a mapping: all checks that the given data allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openmmcg.mapping.linting.constraints import ForceMapLike, check_constraints
from openmmcg.mapping.linting.finding import SEVERITIES, Finding
from openmmcg.mapping.linting.gap import check_gap
from openmmcg.mapping.linting.stereo import check_stereo
from openmmcg.mapping.linting.symmetry import check_symmetry
from openmmcg.mapping.linting.system import BeadSystem, molecule_kinds

if TYPE_CHECKING:
    from openmmcg.mapping.mapping import Mapping


def lint(
    mapping: Mapping,
    positions: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    constraints: np.ndarray | None = None,
    force_map: str | ForceMapLike | None = None,
    signed_priors: bool = True,
    chiral_network: bool = False,
    frames: int = 200,
) -> list[Finding]:
    """Check whether a mapping can lead to a model of its molecule.

    Parameters
    ----------
    mapping : Mapping
    positions : (F, n_beads, 3) or (n_beads, 3), optional
        Bead positions (`Mapping.apply`) in nm. Without them the gap is not checked.
    boxes : (F, 3, 3) or (3, 3), optional
        Box vectors as rows in reduced form, nm.
    constraints : (n, 2) int, optional
        Pairs of atoms that the atomistic simulation keeps rigid. Without them the force map is
        not checked; an empty array means that there are none.
    force_map : str or ForceMap, optional
        "slice", "uniform", "optimal", or the map itself. If it is not given, beads are taken to
        get the forces on their own atoms, as with "slice".
    signed_priors : bool
        Whether the model gets signed impropers, as `openmmcg.priors.fit_priors` makes them.
    chiral_network : bool
        Whether the network's energy tells mirror images apart.
    frames : int
        At most this many frames, evenly spaced, are looked at.

    Returns
    -------
    list of Finding
        Errors first, then warnings, then infos.

    Raises
    ------
    ValueError
        If shapes do not fit the mapping or numbers are not finite.
    """
    findings: list[Finding] = []
    if positions is not None:
        positions, boxes = chosen_frames(mapping, positions, boxes, frames)
        findings += check_gap(mapping, positions, boxes)
    kinds = molecule_kinds(mapping)
    findings += check_symmetry(kinds)
    findings += check_stereo(kinds, positions, boxes, signed_priors, chiral_network)
    if constraints is not None:
        findings += check_constraints(mapping, constraints, force_map)
    return by_severity(findings)


def chosen_frames(
    system: BeadSystem, positions: np.ndarray, boxes: np.ndarray | None, frames: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return at most `frames` evenly spaced frames of checked shapes.

    Raises
    ------
    ValueError
        If a shape does not fit, numbers are not finite, there are no frames, or `frames` is not
        positive.
    """
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected at least 1.")
    n_beads = len(system.types)
    array = np.asarray(positions)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[1:] != (n_beads, 3) or len(array) == 0:
        raise ValueError(
            f"Positions have shape {np.shape(positions)}, expected (frames, {n_beads}, 3): the "
            "beads' positions, as Mapping.apply gives them."
        )
    chosen = even_rows(len(array), frames)
    if not np.isfinite(array[chosen]).all():
        raise ValueError("Some bead positions are not finite numbers; leave out such frames.")
    if boxes is None:
        return array[chosen], None
    try:
        vectors = np.broadcast_to(np.asarray(boxes), (len(array), 3, 3))
    except ValueError:
        raise ValueError(
            f"Boxes have shape {np.shape(boxes)}, expected (3, 3) or ({len(array)}, 3, 3)."
        ) from None
    return array[chosen], vectors[chosen]


def even_rows(total: int, wanted: int) -> np.ndarray:
    """Return at most `wanted` evenly spaced indices below `total`."""
    count = min(total, wanted)
    return (np.arange(count) * total // max(count, 1)).astype(np.int64)


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Return errors first, then warnings, then infos."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
