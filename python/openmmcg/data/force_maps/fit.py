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

from openmmcg.data.force_maps.blocks import (
    check_given,
    force_block,
    mean_square,
    mixed_block,
    refuse_split,
)
from openmmcg.data.force_maps.moments import ForceMoments
from openmmcg.data.systems.templates import assemble, assemble_square, molecule_templates
from openmmcg.mapping import Mapping
from openmmcg.mapping.transform import Product
from openmmcg.units import KB

KINDS = ("slice", "uniform", "optimal", "given")
_DENSE = 0.2
"""Share of entries that are not zero from which on a dense product is faster."""


@dataclass(frozen=True, eq=False)
class ForceMap:
    """A linear force map.

    Attributes
    ----------
    sparse : (n_beads, n_atoms) scipy.sparse.csr_array of float64
        B; B Mᵀ = I for the mapping's matrix M, or B Mᵀ + V = I with noise. `matrix` is the same as
        a dense array.
    kind : str
        How it was made: "slice", "uniform", "optimal" or "given".
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

    @cached_property
    def _dense(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Atoms that are used and their columns, if most entries are not zero; else None."""
        atoms = np.unique(self.sparse.indices)
        if self.sparse.nnz < _DENSE * len(atoms) * self.sparse.shape[0]:
            return None
        return atoms, self.sparse[:, atoms].toarray()

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
        if self._dense is None:
            return self._product(atom_forces)
        # Optimal maps of one molecule: small products one by one, which BLAS does not spread over
        # threads that wait for each other.
        atoms, columns = self._dense
        used = atom_forces if len(atoms) == n_atoms else atom_forces[..., atoms, :]
        return np.matmul(columns, used.astype(np.float64))


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
    kind : {"uniform", "slice", "optimal", "given"}
        "slice": the bead's own atoms with weight 1. "uniform": also the atoms that constraints
        tie to them, directly or through others, with weight 1. "optimal": the weights with the
        smallest mean square of the mapped forces. As the mean force is the same for all maps,
        that is the map with the least noise (Krämer et al. 2023, equation of the linear map).
        "given": the force weights that the mapping's file lists (OpenMSCG's ``f-weight``).
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
        given weights are missing or differ within a cluster, two beads share a cluster, a
        constraint ties two molecules, the shape of `forces` does not fit, or forces or the
        temperature are needed and missing.
    """
    if kind not in KINDS:
        raise ValueError(f"Unknown force map {kind!r}; there are {', '.join(KINDS)}.")
    score_power = _score_power(position_noise, temperature)
    moments = _moments(mapping, forces, constraints)
    templates = moments.templates if moments else molecule_templates(mapping, constraints)
    if kind == "slice":
        refuse_split(templates)
    if kind == "given":
        check_given(mapping, templates)
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
    blocks = [mixed_block(template, kind, power, score_power) for template, power in pairs]
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
