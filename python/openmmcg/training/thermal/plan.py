"""What the data can teach of the dependence on the temperature, and what of it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmcg.training.config import TERMS, TrainConfig
from openmmcg.training.frames import TrainingData
from openmmcg.training.thermal.labels import break_even

if TYPE_CHECKING:
    from openmmcg.data import Dataset

_POOR = 20.0
_SMALL_SHARE = 3.0


@dataclass(frozen=True)
class ThermalPlan:
    """How a network shall depend on the temperature, and what teaches it.

    Attributes
    ----------
    hyperparameters : dict
        For `openmmcg.models.build`.
    terms : dict of str to float
        Terms of the loss and factors on their inverse-variance weights.
    deviations : dict of int to float
        For systems with energies of single configurations: standard deviation of the energy at
        one temperature, kJ/mol.
    notes : list of str
        What a user should know, in sentences.
    """

    hyperparameters: dict[str, Any]
    terms: dict[str, float]
    deviations: dict[int, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def make_plan(
    config: TrainConfig, data: TrainingData, datasets: Sequence[Dataset]
) -> ThermalPlan | None:
    """Look at the data and decide.

    Parameters
    ----------
    config : TrainConfig
    data : TrainingData
    datasets : sequence of Dataset
        Those of the data's systems, open.

    Returns
    -------
    ThermalPlan or None
        None for a network that does not depend on the temperature.

    Raises
    ------
    ValueError
        If the data cannot teach what is asked for.
    """
    if config.thermal is None:
        return None
    temperatures = np.concatenate([system.temperatures for system in data.systems])
    count = len(np.unique(temperatures.round(2)))
    deviations = {
        index: _deviation(dataset)
        for index, dataset in enumerate(datasets)
        if has_single_energies(dataset)
    }
    notes = [
        _advice(data.systems[index].name, deviation, temperatures)
        for index, deviation in deviations.items()
    ]
    terms = config.thermal_weights
    if terms is None:
        terms = _automatic(datasets, deviations, temperatures)
    terms = {name: weight for name, weight in terms.items() if weight > 0}
    _check(config, terms, datasets, deviations, count)
    reference = config.reference_temperature or data.priors.temperature
    hyperparameters: dict[str, Any] = {
        "thermal": config.thermal,
        "reference_temperature": float(reference),
    }
    if config.thermal == "response":
        # Functions of the beads that the data fix: forces at each temperature, and slopes there.
        known = count * (2 if terms else 1)
        hyperparameters["heat_capacity"] = known >= 3 and count >= 2
    used = ", ".join(f"{name} ({weight:g})" for name, weight in terms.items())
    forces = f"forces at {count} temperatures" if count > 1 else "forces at one temperature"
    notes.append(
        f"The dependence on the temperature is learned from {forces}"
        + (f" and from {used}, times inverse-variance weights" if used else "")
        + f"; the reference temperature is {reference:g} K, and priors do not depend on it."
    )
    return ThermalPlan(hyperparameters, terms, deviations, notes)


def has_single_energies(dataset: Dataset) -> bool:
    """Whether a dataset holds energies of the configurations whose forces it holds."""
    single = dataset.force_errors is None and dataset.mean_energies is None
    return single and dataset.energies is not None and bool(np.isfinite(dataset.energies).all())


def energies_by_temperature(energies: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Energies (F,) in kJ/mol less their mean at each of the temperatures (F,)."""
    result = np.array(energies, dtype=np.float64)
    kelvin = np.asarray(temperatures).round(2)
    for temperature in np.unique(kelvin):
        own = kelvin == temperature
        result[own] -= result[own].mean()
    return result


def _deviation(dataset: Dataset) -> float:
    assert dataset.energies is not None
    rest = energies_by_temperature(dataset.energies, dataset.temperatures)
    return float(np.sqrt(np.mean(rest**2)))


def _advice(name: str, deviation: float, temperatures: np.ndarray) -> str:
    """Say which labels pay for a system."""
    middle, spread = float(temperatures.mean()), float(temperatures.std())
    width = break_even(deviation, middle)
    text = (
        f"{name}: energies vary by sigma_u = {deviation:.1f} kJ/mol at one temperature, so D* = "
        f"k T^2 / sigma_u = {width:.0f} K: thermal response of single frames tells as much as forces "
        f"at T +- {width:.0f} K from as many frames."
    )
    if spread > 0:
        ratio = (spread / width) ** 2
        return (
            f"{text} These temperatures spread by {spread:.0f} K and tell {ratio:.1f} times as much "
            f"as responses; {'both count' if ratio < _SMALL_SHARE**2 else 'responses add nothing'}."
        )
    if width < _POOR:
        return (
            f"{text} That is little: sample at several temperatures, further apart than that "
            "(openmm-cg sample --temperatures), or hold the beads (--frozen_beads)."
        )
    return (
        f"{text} With hundreds of thousands of frames that pays for a system of this size; few are "
        "better spent on held beads (--frozen_beads) or on other temperatures."
    )


def _automatic(
    datasets: Sequence[Dataset], deviations: dict[int, float], temperatures: np.ndarray
) -> dict[str, float]:
    """Use labels of held beads where there are some, and responses where they pay."""
    terms = {}
    if any(dataset.thermal_forces is not None for dataset in datasets):
        terms["frozen"] = 1.0
    widths = [break_even(value, float(temperatures.mean())) for value in deviations.values()]
    if widths and float(temperatures.std()) < _SMALL_SHARE * max(widths):
        terms["response"] = 1.0
    return terms


def _check(
    config: TrainConfig,
    terms: dict[str, float],
    datasets: Sequence[Dataset],
    deviations: dict[int, float],
    count: int,
) -> None:
    noisy = config.position_noise or any(dataset.position_noise for dataset in datasets)
    if noisy and terms:
        raise ValueError(
            f"thermal_weights asks for {', '.join(terms)}, but labels of noised beads have another "
            "dependence on the temperature; set thermal_weights: {} to use forces alone, or leave "
            "out the noise."
        )
    missing = {
        "response": not deviations,
        "frozen": all(dataset.thermal_forces is None for dataset in datasets),
        "energies": all(
            dataset.mean_energies is None and not has_single_energies(dataset)
            for dataset in datasets
        ),
    }
    needed = {
        "response": "energies of the configurations of its frames",
        "frozen": "thermal_forces (openmm-cg sample --frozen_beads)",
        "energies": "energies of all frames",
    }
    for name in TERMS:
        if name in terms and missing[name]:
            raise ValueError(
                f"thermal_weights asks for {name}, but no dataset holds {needed[name]}; leave it "
                "out or sample such data."
            )
    if count == 1 and (not terms or config.thermal == "input"):
        what = "thermal: input needs" if terms else "its dependence on the temperature needs"
        raise ValueError(
            f"The data are at one temperature, but {what} several temperatures"
            + ("" if terms else ", energies, or held beads")
            + "; sample more, or leave out thermal."
        )
