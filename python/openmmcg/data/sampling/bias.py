"""A static bias on a pair of backbone torsions: made by metadynamics, kept as a CMAP force.

Force matching needs correct averages at fixed beads only. A bias that is a function of the beads
leaves these as they are, so biased frames may be used as they come; the forces must be recorded
without the bias (Chen, Görlich, Fuchs and Zavadlav, J. Chem. Theory Comput. 2026, 22, 219).
Distributions need the weights of `reweight`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mdtraj as md
import numpy as np
from mdtraj.geometry.dihedral import indices_phi, indices_psi

from openmmcg.files import write_npz
from openmmcg.mapping import Mapping
from openmmcg.units import KB

if TYPE_CHECKING:
    import openmm

GRID = 60
FORCE_NAME = "torsion bias"


@dataclass(frozen=True, eq=False)
class TorsionBias:
    """An energy on a periodic grid over two torsions.

    Attributes
    ----------
    energies : (n, n) float64
        kJ/mol at first torsion -π + 2πa/n and second torsion -π + 2πb/n for index [a, b]; n is
        even.
    atoms : (2, 4) int64
        Atoms of the two torsions.
    beads : (2, 4) int64 or None
        Beads of the same torsions; None unless every atom is a bead of its own, and then the
        bias is no function of the beads.
    """

    energies: np.ndarray
    atoms: np.ndarray
    beads: np.ndarray | None = None

    def force(self, torsions: Iterable[np.ndarray]) -> openmm.CMAPTorsionForce:
        """Return an OpenMM force that adds the bias to each (2, 4) array of particle indices.

        OpenMM interpolates the grid with bicubic splines; at grid points it is exact.
        """
        import openmm

        size = len(self.energies)
        # OpenMM's grid starts at 0 instead of -π, and its first torsion runs fastest.
        rolled = np.roll(self.energies, -(size // 2), axis=(0, 1))
        force = openmm.CMAPTorsionForce()
        force.setName(FORCE_NAME)
        force.addMap(size, rolled.T.ravel().tolist())
        for torsion in torsions:
            force.addTorsion(0, *np.asarray(torsion).ravel().tolist())
        return force

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bias to an .npz file, atomically."""
        beads = np.empty((0, 4), dtype=np.int64) if self.beads is None else self.beads
        write_npz(path, energies=self.energies, atoms=self.atoms, beads=beads)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TorsionBias:
        """Read a bias that `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged or holds something else.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"No bias file {path}; sampling with a bias writes one.")
        try:
            with np.load(path, allow_pickle=False) as data:
                energies = np.array(data["energies"], dtype=np.float64)
                atoms = np.array(data["atoms"], dtype=np.int64).reshape(2, 4)
                beads = np.array(data["beads"], dtype=np.int64).reshape(-1, 4)
        except Exception as error:  # zipfile, NumPy and key errors all mean the same here
            raise ValueError(f"{path} is not a readable bias file: {error}") from error
        size = len(energies)
        if size % 2 or energies.shape != (size, size) or not np.isfinite(energies).all():
            raise ValueError(
                f"{path}: the grid has shape {energies.shape}, expected a square one of even "
                "size with finite energies."
            )
        return cls(energies, atoms, beads if len(beads) else None)


def backbone_torsions(topology: md.Topology) -> np.ndarray:
    """Return the atoms (2, 4) of the one (φ, ψ) pair of a peptide.

    Raises
    ------
    ValueError
        If the topology has none or several such pairs.
    """
    phi, psi = indices_phi(topology), indices_psi(topology)
    # φ is C-N-CA-C and ψ N-CA-C-N: a pair shares N, CA and C.
    pairs = [(a, b) for a in phi for b in psi if tuple(a[1:]) == tuple(b[:3])]
    if len(pairs) != 1:
        raise ValueError(
            f"The metadynamics bias needs exactly one (phi, psi) pair, this system has "
            f"{len(pairs)}; sample it with bias 'none'."
        )
    return np.array(pairs[0], dtype=np.int64)


def torsion_beads(mapping: Mapping, atoms: np.ndarray) -> np.ndarray | None:
    """Return the bead of each torsion atom, or None if one of them is not a bead of its own."""
    bead_of = {int(atom): bead for bead, atom in enumerate(mapping.slice_atoms) if atom >= 0}
    if not all(int(atom) in bead_of for atom in atoms.ravel()):
        return None
    return np.array([[bead_of[int(a)] for a in row] for row in atoms], dtype=np.int64)


def average(energies: list[np.ndarray]) -> np.ndarray:
    """Return the mean of several grids, each shifted to minimum 0 first, as is the result."""
    mean = np.mean([grid - grid.min() for grid in energies], axis=0)
    return np.asarray(mean - mean.min())


def reweight(bias_energies: np.ndarray, temperature: float) -> np.ndarray:
    """Return weights exp(V/kT), scaled to mean 1, that undo a static bias V.

    Parameters
    ----------
    bias_energies : (n_frames,)
        kJ/mol.
    temperature : float
        K.
    """
    exponent = np.asarray(bias_energies, dtype=np.float64) / (KB * temperature)
    weights = np.exp(exponent - exponent.max())
    return np.asarray(weights / weights.mean())


def effective_frames(weights: np.ndarray) -> float:
    """Return Kish's effective number of frames, (Σw)² / Σw²."""
    return float(np.sum(weights) ** 2 / np.sum(np.square(weights)))
