"""Force maps: the matrix B of F = B f that turns atom forces into bead forces.

Any constant B with B Mᵀ = I gives forces whose average at fixed beads is the mean force, as long
as it agrees with the constraints: engines report forces without constraint forces, so the atoms
of one constraint cluster must carry equal weights (Krämer et al., J. Phys. Chem. Lett. 2023,
10.1021/acs.jpclett.3c00444). B is made for each template of molecules and repeated for all
molecules alike.

Noise-augmented labels (Durumeric et al., Nat. Commun. 2026, 10.1038/s41467-026-70818-0) belong to
noised beads R′ = R + σ ξ with ξ ~ N(0, 1). Their potential of mean force is the PMF smoothed with
exp(−W/kT) * N(0, σ²), and its mean force at R′ has two independent unbiased labels: B f, by
integration by parts, and −kT ξ/σ, the score of the noise. Taking (r, σ ξ) as the "atoms" and
M′ = (M, 1) as the mapping, (B, V) (f, −kT ξ/σ) is a linear force map, unbiased if
B Mᵀ + V = 1; then B need not satisfy B Mᵀ = 1 alone, and the optimal pair follows from the same
closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from openmmcg.data.force_moments import ForceMoments
from openmmcg.data.templates import Template, assemble, assemble_square, molecule_templates
from openmmcg.mapping import Mapping
from openmmcg.mapping.transform import Product
from openmmcg.units import KB

KINDS = ("slice", "uniform", "optimal")
_TOLERANCE = 1e-9
_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class ForceMap:
    """A linear force map.

    Attributes
    ----------
    sparse : (n_beads, n_atoms) scipy.sparse.csr_array of float64
        B; B Mᵀ = I for the mapping's matrix M, or B Mᵀ + V = I with noise. `matrix` is the same as
        a dense array.
    kind : str
        How it was made: "slice", "uniform" or "optimal".
    noise : float or None
        Mean square of a mapped force component over the sample given to `fit_force_map`,
        (kJ/mol/nm)²; the smaller it is, the less noise the labels carry. None without a sample.
    position_noise : float
        Standard deviation σ of the noise added to bead positions, nm; 0 for none.
    temperature : float or None
        Of the noise's force −kT ξ/σ, K; None without noise.
    score : (n_beads, n_beads) scipy.sparse.csr_array or None
        V, the weights of the noise's force; None without noise.
    """

    sparse: csr_array
    kind: str
    noise: float | None = None
    position_noise: float = 0.0
    temperature: float | None = None
    score: csr_array | None = None

    @cached_property
    def matrix(self) -> np.ndarray:
        """The matrix B (n_beads, n_atoms) as a dense float64 array."""
        return self.sparse.toarray()

    @cached_property
    def _product(self) -> Product:
        return Product.of(self.sparse)

    def apply(self, forces: np.ndarray) -> np.ndarray:
        """Map atom forces (..., n_atoms, 3) to bead forces (..., n_beads, 3), kJ/mol/nm.

        Raises
        ------
        ValueError
            If the shape does not fit, or the map is for noised positions (see `augment`).
        """
        if self.score is not None:
            raise ValueError(
                f"This force map is for positions with noise of {self.position_noise:g} nm; use "
                "its augment(positions, forces, rng), which adds it."
            )
        return self._mapped(forces)

    def augment(
        self, positions: np.ndarray, forces: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return bead positions with noise and their labels.

        Parameters
        ----------
        positions : (..., n_beads, 3)
            Mapped positions R in nm.
        forces : (..., n_atoms, 3)
            Atom forces f in kJ/mol/nm.
        rng : numpy.random.Generator
            Gives ξ.

        Returns
        -------
        positions : (..., n_beads, 3) float64
            R + σ ξ; R for a map without noise.
        forces : (..., n_beads, 3) float64
            B f − V kT ξ/σ; B f for a map without noise.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        beads = np.asarray(positions, dtype=np.float64)
        mapped = self._mapped(forces)
        if self.score is None or self.temperature is None:
            return beads, mapped
        xi = rng.standard_normal(beads.shape)
        pull = Product.of(self.score)(xi) * (KB * self.temperature / self.position_noise)
        return beads + self.position_noise * xi, mapped - pull

    def _mapped(self, forces: np.ndarray) -> np.ndarray:
        atom_forces = np.asarray(forces)
        n_atoms = self.sparse.shape[1]
        if atom_forces.ndim < 2 or atom_forces.shape[-2:] != (n_atoms, 3):
            raise ValueError(
                f"Forces have shape {atom_forces.shape}, the force map needs (..., {n_atoms}, 3)."
            )
        return self._product(atom_forces)


def fit_force_map(
    mapping: Mapping,
    forces: np.ndarray | ForceMoments | None = None,
    kind: str = "uniform",
    constraints: np.ndarray | None = None,
    *,
    position_noise: float = 0.0,
    temperature: float | None = None,
) -> ForceMap:
    """Make a force map for a mapping.

    Parameters
    ----------
    mapping : Mapping
    forces : (n_frames, n_atoms, 3) or ForceMoments, optional
        Sample of atom forces in kJ/mol/nm to measure `ForceMap.noise` on, and to fit the optimal
        map to; or its moments, gathered frame by frame.
    kind : {"uniform", "slice", "optimal"}
        "slice": the bead's own atoms with weight 1. "uniform": also the atoms that constraints
        tie to them, directly or through others, with weight 1. "optimal": the weights with the
        smallest mean square of the mapped forces. As the mean force is the same for all maps,
        that is the map with the least noise (Krämer et al. 2023, equation of the linear map).
    constraints : (n_constraints, 2) int, optional
        Pairs of rigidly connected atoms, see `constraint_pairs`.
    position_noise : float
        Standard deviation σ of noise that `ForceMap.augment` adds to the beads, nm. The labels
        then mix the mapped forces with those of the noise so that their mean square is least.
    temperature : float, optional
        Of the sample, K; needed with noise.

    Returns
    -------
    ForceMap

    Raises
    ------
    ValueError
        If the kind is unknown, a slice splits a constraint cluster (its forces would be biased),
        two beads share a cluster, a constraint ties two molecules, the shape of `forces` does not
        fit, or forces or the temperature are needed and missing.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown force map {kind!r}; there are {', '.join(KINDS)}.")
    score_power = _score_power(position_noise, temperature)
    moments = _moments(mapping, forces, constraints)
    templates = moments.templates if moments else molecule_templates(mapping, constraints)
    if kind == "slice":
        _refuse_split(templates)
    if moments is None:
        if kind == "optimal" or score_power is not None:
            raise ValueError(
                "The optimal force map and the mixing with noise are fitted to atom forces; give "
                "a sample of them."
            )
        blocks = [force_block(template, kind) for template in templates]
        return ForceMap(assemble(mapping, templates, blocks), kind)
    pairs = list(zip(templates, moments.powers(), strict=True))
    if score_power is None:
        blocks = [force_block(template, kind, power) for template, power in pairs]
        return ForceMap(assemble(mapping, templates, blocks), kind, mean_square(moments, blocks))
    blocks = [_mixed_block(template, kind, power, score_power) for template, power in pairs]
    scores = [
        np.eye(len(block)) - block @ template.matrix.T
        for template, block in zip(templates, blocks, strict=True)
    ]
    share = sum(len(t.atoms) * np.sum(v**2) for t, v in zip(templates, scores, strict=True))
    return ForceMap(
        assemble(mapping, templates, blocks),
        kind,
        mean_square(moments, blocks) + score_power * float(share) / (3 * mapping.n_beads),
        position_noise,
        temperature,
        assemble_square(mapping, templates, scores),
    )


def force_block(template: Template, kind: str, power: np.ndarray | None = None) -> np.ndarray:
    """Return a template's block (beads, atoms) of a force map without noise.

    Parameters
    ----------
    template : Template
    kind : str
        A "slice" that splits clusters is made too; `fit_force_map` refuses it before.
    power : (atoms, atoms), optional
        P of `ForceMoments.powers`; for "optimal".

    Raises
    ------
    ValueError
        If two beads share a constraint cluster, or all forces are zero.
    """
    if kind == "optimal" and power is not None:
        block = _optimal(template, power)
    else:
        block = (template.matrix != 0).astype(np.float64)
        if kind == "uniform":
            block = np.minimum(block @ template.spread, 1.0) @ template.spread.T
    error = np.abs(block @ template.matrix.T - np.eye(len(block)))
    if error.max() > _TOLERANCE:
        i, j = template.beads[0][list(np.unravel_index(int(error.argmax()), error.shape))]
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


def split_clusters(templates: list[Template]) -> list[list[int]]:
    """Return the constraint clusters (atoms) of which a bead's slice would take some atoms only."""
    split = []
    for template in templates:
        taken = (template.matrix != 0) @ template.spread
        cut = ((taken > 0) & (taken < template.spread.sum(axis=0))).any(axis=0)
        for atoms in template.atoms:
            split += [atoms[template.clusters == k].tolist() for k in np.flatnonzero(cut)]
    return split


def _refuse_split(templates: list[Template]) -> None:
    if split := split_clusters(templates):
        atoms = "; ".join(", ".join(map(str, cluster)) for cluster in split[:5])
        raise ValueError(
            f"A slice force map splits {len(split)} constraint cluster(s) (atoms {atoms}"
            f"{'; ...' if len(split) > 5 else ''}), which biases the forces; use the 'uniform' "
            "force map or sample without constraints."
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


def _mixed_block(
    template: Template, kind: str, power: np.ndarray, score_power: float
) -> np.ndarray:
    """Return the block B that goes with noise; slices and uniform maps are scaled bead by bead.

    For an unbiased block, the noise of α B f − (1 − α) kT ξ/σ is least at α = N / (N + |B f|²).
    """
    if kind == "optimal":
        return _optimal(template, power, score_power)
    block = force_block(template, kind)
    squares = np.sum((block @ power) * block, axis=1, keepdims=True)
    return block * (score_power / (score_power + squares))


def _score_power(position_noise: float, temperature: float | None) -> float | None:
    """Return the mean square of the noise's force kT ξ/σ, summed over x, y, z; None without."""
    if position_noise == 0:
        return None
    if not position_noise > 0:
        raise ValueError(f"position_noise is {position_noise} nm, expected 0 or more.")
    if temperature is None or not temperature > 0:
        raise ValueError(
            f"The temperature is {temperature}; labels with noise need that of the sample, in K."
        )
    return 3 * (KB * temperature / position_noise) ** 2


def _moments(
    mapping: Mapping, forces: np.ndarray | ForceMoments | None, constraints: np.ndarray | None
) -> ForceMoments | None:
    if forces is None:
        return None
    if isinstance(forces, ForceMoments):
        if forces.mapping.hash != mapping.hash:
            raise ValueError("The moments of the forces were gathered for another mapping.")
        known = np.zeros(0) if forces.constraints is None else forces.constraints
        if constraints is not None and not np.array_equal(np.ravel(constraints), np.ravel(known)):
            raise ValueError("The moments of the forces were gathered with other constraints.")
        return forces
    moments = ForceMoments(mapping, constraints)
    moments.add(forces)
    moments.powers()  # refuses a sample without frames
    return moments
