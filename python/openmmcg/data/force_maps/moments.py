"""What a force map is fitted to: second moments of atom forces, gathered frame by frame."""

from __future__ import annotations

import numpy as np

from openmmcg.data.systems.templates import molecule_templates
from openmmcg.mapping import Mapping

_PIECE = 1 << 22
"""Numbers (8 bytes each) of forces that are worked on at a time."""
_LARGEST = 16_000
"""Atoms of a molecule whose moments are kept: 2 GiB."""


class ForceMoments:
    """Second moments ⟨Σ f fᵀ⟩ of the forces on each template's atoms, pooled over like molecules.

    Memory does not depend on the number of frames or of molecules.

    Parameters
    ----------
    mapping : Mapping
    constraints : (n_constraints, 2) int, optional
        Pairs of rigidly connected atoms.

    Attributes
    ----------
    n_frames : int
        Frames added so far.

    Raises
    ------
    ValueError
        As `openmmcg.data.systems.templates.molecule_templates`, or if a molecule is too large.
    """

    def __init__(self, mapping: Mapping, constraints: np.ndarray | None = None) -> None:
        self.mapping = mapping
        self.constraints = constraints
        self.templates = molecule_templates(mapping, constraints)
        largest = max(template.atoms.shape[1] for template in self.templates)
        if largest > _LARGEST:
            raise ValueError(
                f"A molecule has {largest} atoms, the moments of its forces would take "
                f"{8 * largest**2 / 2**30:.0f} GiB; use the 'uniform' force map, which needs none."
            )
        self.n_frames = 0
        self._sums = [np.zeros((t.atoms.shape[1],) * 2) for t in self.templates]

    def add(self, forces: np.ndarray, first_frame: int = 0) -> None:
        """Add frames.

        Parameters
        ----------
        forces : (n_frames, n_atoms, 3)
            Atom forces in kJ/mol/nm.
        first_frame : int
            Number of the first of them, for error messages.

        Raises
        ------
        ValueError
            If the shape does not fit the mapping or a force is not finite.
        """
        sample = np.asarray(forces)
        n_atoms = self.mapping.n_atoms
        if sample.ndim != 3 or sample.shape[1:] != (n_atoms, 3):
            raise ValueError(
                f"Forces have shape {sample.shape}, expected (n_frames, {n_atoms}, 3) with at "
                "least one frame."
            )
        finite = np.isfinite(sample).all(axis=(1, 2))
        if not finite.all():
            raise ValueError(
                f"Frame {first_frame + int(finite.argmin())} has forces that are not finite; "
                "leave it out."
            )
        for template, total in zip(self.templates, self._sums, strict=True):
            frames = max(1, _PIECE // (3 * template.atoms.size))
            for start in range(0, len(sample), frames):
                part = sample[start : start + frames, template.atoms]
                columns = part.transpose(2, 0, 1, 3).reshape(template.atoms.shape[1], -1)
                columns = columns.astype(np.float64)
                total += columns @ columns.T
        self.n_frames += len(sample)

    def powers(self) -> list[np.ndarray]:
        """Return P = ⟨Σ f fᵀ⟩ (atoms, atoms) of each template, (kJ/mol/nm)².

        The mean is over frames and molecules, the sum over x, y and z.

        Raises
        ------
        ValueError
            If no frame was added.
        """
        if self.n_frames == 0:
            raise ValueError("A force map is fitted to forces of at least one frame; none given.")
        return [
            total / (self.n_frames * len(template.atoms))
            for template, total in zip(self.templates, self._sums, strict=True)
        ]

    def __add__(self, other: ForceMoments) -> ForceMoments:
        """Return the moments of the frames of both, which must be of the same mapping."""
        result = ForceMoments(self.mapping, self.constraints)
        result.n_frames = self.n_frames + other.n_frames
        result._sums = [a + b for a, b in zip(self._sums, other._sums, strict=True)]
        return result
