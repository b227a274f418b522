"""Noise-augmented labels for a dataset that is mapped already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from openmmcg.data.dataset import Dataset
from openmmcg.data.tools.common import derived, new_output
from openmmcg.data.writing import complete_file
from openmmcg.units import KB


@dataclass(frozen=True)
class NoiseConfig:
    """Settings for adding noise to a dataset.

    Attributes
    ----------
    dataset : str
        The dataset to add noise to.
    output : str
        The dataset to write.
    position_noise : float
        Standard deviation of the noise on bead positions, nm; well below the width of bonds.
    seed : int
        Of the noise.
    group : str or None
        System of the dataset; may be left out when the file holds one.
    """

    dataset: str
    position_noise: float
    output: str = "noised.h5"
    seed: int = 1
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot be right; raise ValueError naming them."""
        if not self.position_noise > 0:
            raise ValueError(f"position_noise is {self.position_noise} nm, expected more than 0.")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more.")


def add_noise(config: NoiseConfig, progress: bool = True) -> Path:
    """Write a dataset with noise on positions, and labels that mix forces with the noise's own.

    Positions become R + σ ξ with ξ ~ N(0, 1), forces α F − (1 − α) kT ξ/σ. Both parts are unbiased
    labels of the potential of mean force of the noised beads, hence any mix is (Durumeric et al.,
    Nat. Commun. 2026, 10.1038/s41467-026-70818-0). The mix is least noisy at
    α = N / (N + ⟨F²⟩) with N = (kT/σ)², taken for each bead type. `openmm-cg map` with
    ``position_noise`` does better, as it also fits the force map anew.

    Parameters
    ----------
    config : NoiseConfig
    progress : bool
        Print a line on what was written.

    Returns
    -------
    Path
        The output.

    Raises
    ------
    FileNotFoundError, ValueError
        If the dataset cannot be read or has noise already, or the output exists.
    """
    output = new_output(config.output)
    sigma = config.position_noise
    with Dataset.open(config.dataset, config.group) as dataset:
        if dataset.position_noise or "force_errors" in dataset.arrays():
            raise ValueError(
                f"{config.dataset} has noise or mean forces already; take the dataset of single "
                "frames that it was made from."
            )
        pull = float(np.mean((KB * dataset.temperatures / sigma) ** 2))
        share = (pull / (pull + _mean_squares(dataset)))[dataset.types, None]
        attributes = {**dataset.attributes(), "position_noise": sigma}
        settings = {"position_noise": sigma, "seed": config.seed}
        metadata = dataset.metadata(source=derived(dataset, "noise", **settings))
        rng = np.random.default_rng(config.seed)
        before = after = 0.0
        with complete_file(output, dataset.name, attributes, metadata) as append:
            for frames in dataset.chunks():
                xi = rng.standard_normal(frames.positions.shape)
                force = xi * (KB * frames.temperatures / sigma)[:, None, None]
                labels = share * frames.forces - (1 - share) * force
                before += float(np.sum(frames.forces.astype(np.float64) ** 2))
                after += float(np.sum(labels**2))
                append(replace(frames, positions=frames.positions + sigma * xi, forces=labels))
        count = 3 * dataset.n_frames * dataset.n_beads
    Console(quiet=not progress, soft_wrap=True).print(
        f"Wrote {output}: mean square of a label {after / count:,.0f} (kJ/mol/nm)², "
        f"{before / count:,.0f} without noise."
    )
    return output


def _mean_squares(dataset: Dataset) -> np.ndarray:
    """Return the mean square of a force component for each bead type, (kJ/mol/nm)²."""
    totals = np.zeros(dataset.n_beads)
    for frames in dataset.chunks():
        totals += np.sum(frames.forces.astype(np.float64) ** 2, axis=(0, 2))
    counts = np.bincount(dataset.types, minlength=len(dataset.type_names))
    sums = np.bincount(dataset.types, weights=totals, minlength=len(dataset.type_names))
    return sums / np.maximum(3 * dataset.n_frames * counts, 1)
