"""Everything that a report on one temperature shows, before it is drawn or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmcg.analysis.compare import (
    Distribution,
    Ramachandran,
    Stability,
    check_stability,
    compare_coordinates,
    compare_ramachandran,
)
from openmmcg.analysis.diffusion import Diffusion, self_diffusion
from openmmcg.analysis.ensemble import SAME_TEMPERATURE, Ensemble, from_dataset, from_run
from openmmcg.analysis.liquid import Curve, compare_liquid
from openmmcg.data import Dataset
from openmmcg.simulation.frames import load_frames


@dataclass(frozen=True, eq=False)
class Comparison:
    """All results of a report, before they are drawn or written.

    Attributes
    ----------
    temperature : float
        K.
    reference, model : Ensemble
        What is compared.
    ramachandran : Ramachandran or None
        None if the beads define no (phi, psi).
    distributions : list of Distribution
        Bonds, angles and impropers by bead types.
    stability : Stability
        Broken bonds and inverted stereocentres.
    liquid : list of Curve
        Radial and angular distributions between molecules; empty without a box.
    diffusion : (Diffusion, Diffusion) or None
        Self-diffusion in reference and model; None where one cannot be had.
    trained : (float, float) or None
        Temperatures that the model was trained for, K; None if the run does not tell.
    """

    temperature: float
    reference: Ensemble
    model: Ensemble
    ramachandran: Ramachandran | None
    distributions: list[Distribution]
    stability: Stability
    liquid: list[Curve]
    diffusion: tuple[Diffusion, Diffusion] | None
    trained: tuple[float, float] | None

    @property
    def extrapolated(self) -> bool | None:
        """Whether the temperature is outside of those that the model was trained for."""
        if self.trained is None:
            return None
        low, high = self.trained
        return not low - SAME_TEMPERATURE <= self.temperature <= high + SAME_TEMPERATURE

    def numbers(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "temperature": self.temperature,
            "temperature_range": self.trained,
            "extrapolated": self.extrapolated,
            "ramachandran": None if self.ramachandran is None else self.ramachandran.numbers(),
            "distributions": [entry.numbers() for entry in self.distributions],
            "stability": self.stability.numbers(),
            "liquid": [curve.numbers() for curve in self.liquid],
            "diffusion": None
            if self.diffusion is None
            else {
                name: {"coefficient": found.coefficient, "error": found.error}
                for name, found in zip(("reference", "model"), self.diffusion, strict=True)
            },
            "reference": _facts(self.reference),
            "model": _facts(self.model),
        }


def compare(
    run: Path, record: Mapping[str, Any], dataset: Dataset, bins: int, discard: float
) -> Comparison:
    """Compute everything that a report shows.

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    record : mapping
        Of the run, see `openmmcg.simulation.record.read_record`.
    dataset : Dataset
        The reference; its frames of the run's temperature are used.
    bins : int
        Bins along each axis of the Ramachandran histograms.
    discard : float
        Time at the start of every replica to leave out, ps.

    Raises
    ------
    FileNotFoundError, ValueError
        If the run is not finished, or does not go with the dataset.
    """
    model = from_run(load_frames(run), discard)
    temperature = float(record["temperature"])
    if model.positions.shape[1] != dataset.n_beads:
        raise ValueError(
            f"{run} has {model.positions.shape[1]} beads a molecule, {dataset.path} has "
            f"{dataset.n_beads}; compare a run with the dataset that its model was trained on."
        )
    reference = from_dataset(dataset, temperature)
    names = [dataset.type_names[kind] for kind in dataset.types]
    molecules, masses = dataset.molecules.tolist(), dataset.masses.tolist()
    before, after = (self_diffusion(entry, molecules, masses) for entry in (reference, model))
    trained = record.get("temperature_range")
    return Comparison(
        temperature,
        reference,
        model,
        compare_ramachandran(reference, model, dataset.topology, temperature, bins),
        compare_coordinates(reference, model, dataset.bonds, names),
        check_stability(reference, model, dataset.bonds, names),
        compare_liquid(reference, model, names, molecules),
        None if before is None or after is None else (before, after),
        None if trained is None else (float(trained[0]), float(trained[1])),
    )


def _facts(ensemble: Ensemble) -> dict[str, Any]:
    return {
        "frames": ensemble.n_frames,
        "effective_frames": ensemble.effective_frames,
        "walkers": ensemble.n_walkers,
        "frame_interval": ensemble.frame_interval,
        "length": ensemble.length,
    }
