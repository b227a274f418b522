"""Blocks of force maps: the weights of one template's beads, and checks of them."""

from __future__ import annotations

import numpy as np

from openmmcg.data.force_maps.moments import ForceMoments
from openmmcg.data.systems.templates import Template, assemble
from openmmcg.mapping import Mapping

_TOLERANCE = 1e-9
_RIDGE = 1e-6


def force_block(template: Template, kind: str, power: np.ndarray | None = None) -> np.ndarray:
    """Return a template's block (beads, atoms) of a force map without noise.

    Parameters
    ----------
    template : Template
    kind : str
        A "slice" that splits clusters is made too; `refuse_split` does not.
    power : (atoms, atoms), optional
        P of `ForceMoments.powers`; for "optimal".

    Raises
    ------
    ValueError
        If two beads share atoms (but for "optimal") or a constraint cluster, or all forces are
        zero.
    """
    if kind == "optimal" and power is not None:
        block = _optimal(template, power)
    elif kind == "given" and template.given is not None:
        block = template.given
    else:
        block = (template.matrix != 0).astype(np.float64)
        if kind == "uniform":
            block = np.minimum(block @ template.spread, 1.0) @ template.spread.T
    error = np.abs(block @ template.matrix.T - np.eye(len(block)))
    if error.max() > _TOLERANCE:
        pair = np.array(np.unravel_index(int(error.argmax()), error.shape))
        i, j = template.beads[0][pair]
        if kind != "optimal" and (template.matrix[pair] != 0).all(axis=0).any():
            raise ValueError(
                f"Beads {i} and {j} share atoms, which a {kind!r} force map cannot separate; use "
                "the 'optimal' force map."
            )
        raise ValueError(
            f"Beads {i} and {j} share a constraint cluster, so no such force map separates them "
            f"(B Mᵀ is off by {error.max():.2g}); change the mapping or sample without "
            "constraints."
        )
    return block


def mean_square(moments: ForceMoments, blocks: list[np.ndarray]) -> float:
    """Return the mean square of a force component mapped with `blocks`, (kJ/mol/nm)²."""
    parts = zip(moments.templates, blocks, moments.powers(), strict=True)
    total = sum(len(t.atoms) * float(np.sum((b @ p) * b)) for t, b, p in parts)
    return total / (3 * moments.mapping.n_beads)


def has_shared_atoms(templates: list[Template]) -> bool:
    """Return whether an atom belongs to several beads: only optimal maps can tell them apart."""
    return any((template.matrix != 0).sum(axis=0).max() > 1 for template in templates)


def split_clusters(templates: list[Template]) -> list[list[int]]:
    """Return the constraint clusters (atoms) of which a bead's slice would take some atoms only."""
    split = []
    for template in templates:
        taken = (template.matrix != 0) @ template.spread
        cut = ((taken > 0) & (taken < template.spread.sum(axis=0))).any(axis=0)
        for atoms in template.atoms:
            split += [atoms[template.clusters == k].tolist() for k in np.flatnonzero(cut)]
    return split


def refuse_split(templates: list[Template]) -> None:
    """Raise ValueError if a slice takes some atoms of a constraint cluster only."""
    if split := split_clusters(templates):
        atoms = "; ".join(", ".join(map(str, cluster)) for cluster in split[:5])
        raise ValueError(
            f"A slice force map splits {len(split)} constraint cluster(s) (atoms {atoms}"
            f"{'; ...' if len(split) > 5 else ''}), which biases the forces; use the 'uniform' "
            "force map or sample without constraints."
        )


def check_given(mapping: Mapping, templates: list[Template]) -> None:
    """Raise ValueError unless the mapping lists force weights that agree with constraints."""
    listed = mapping.force_weights
    if listed is None:
        raise ValueError(
            f"The mapping {mapping.name!r} lists no force weights; choose the 'optimal' or "
            "'uniform' force map."
        )
    blocks = [template.given for template in templates if template.given is not None]
    if abs(assemble(mapping, templates, blocks) - listed).max() > _TOLERANCE:
        raise ValueError(
            "Molecules that are alike have different force weights; give them the same ones."
        )
    for template, block in zip(templates, blocks, strict=True):
        mean = (block @ template.spread) / template.spread.sum(axis=0)
        uneven = np.abs(block - mean @ template.spread.T).max(axis=0)
        if uneven.max() > _TOLERANCE:
            atoms = template.atoms[0][template.clusters == template.clusters[uneven.argmax()]]
            raise ValueError(
                f"The given force weights differ within a constraint cluster (atoms "
                f"{', '.join(map(str, atoms))}), which biases the forces; use the 'uniform' or "
                "'optimal' force map or sample without constraints."
            )


def _optimal(template: Template, power: np.ndarray, score_power: float | None = None) -> np.ndarray:
    """Minimise the mean square of B f under B Mᵀ = I, with equal weights within clusters.

    With C the matrix that spreads one weight per cluster over its atoms, P = Cᵀ⟨Σ f fᵀ⟩C and
    A = M C, the solution is B = [C P⁻¹Aᵀ (A P⁻¹Aᵀ)⁻¹]ᵀ. The net force on a molecule is zero, so P
    is nearly singular; a small ridge λ CᵀC keeps B Mᵀ exact and costs nothing.

    With noise, P′ = diag(P, N) for the mean square N of the noise's forces (summed over x, y, z)
    and A′ = (A, 1), so that the Gram matrix becomes A P⁻¹Aᵀ + N⁻¹.
    """
    spread = template.spread
    reduced = spread.T @ power @ spread
    scale = np.trace(reduced) / len(reduced)
    if scale == 0:
        raise ValueError("All forces of the sample are zero; give the forces of the simulation.")
    reduced += _RIDGE * scale * (spread.T @ spread)
    beads = template.matrix @ spread
    response = np.linalg.solve(reduced, beads.T)
    gram = beads @ response
    if score_power is not None:
        gram += np.eye(len(gram)) / score_power
    # Beads that share a cluster make the Gram matrix singular; force_block names them.
    return np.asarray((spread @ response @ np.linalg.pinv(gram, hermitian=True)).T)


def mixed_block(template: Template, kind: str, power: np.ndarray, score_power: float) -> np.ndarray:
    """Return the block B that goes with noise; slices and uniform maps are scaled bead by bead.

    For an unbiased block, the noise of α B f − (1 − α) kT ξ/σ is least at α = N / (N + |B f|²).
    """
    if kind == "optimal":
        return _optimal(template, power, score_power)
    block = force_block(template, kind)
    squares = np.sum((block @ power) * block, axis=1, keepdims=True)
    return block * (score_power / (score_power + squares))
