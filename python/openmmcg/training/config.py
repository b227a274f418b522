"""Configuration of a training run."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal

SCHEDULES = ("onecycle", "cosine", "constant", "plateau")
TERMS = ("response", "frozen", "energies")
"""Terms of the loss that teach the dependence on the temperature, besides forces."""
LINEAR = "pair-spline"
"""Network that is linear in its weights."""
_PLACES = (
    "output",
    "threads",
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
    "memory",
    "tensorboard",
    "prior_plots",
    "lint",
)
"""Fields that say where to run and what to write, and do not decide the result."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train a network on one or several datasets.

    Attributes
    ----------
    dataset : str or None
        Mapped dataset (HDF5) to train on.
    output : str
        Folder for checkpoints, metrics, priors and the summary. A run that was interrupted
        continues from it.
    group : str or None
        System of the dataset; may be left out when the file holds one.
    datasets : list of str or None
        Instead of `dataset`: several datasets, each PATH (all systems in the file) or
        PATH::GROUP (one of them). Molecules and boxes may differ; beads of the same type name
        must mean the same.
    bead_types : list of str or None
        Vocabulary of bead types; by default all that occur. A dataset with other types is
        refused.
    network : str
        Name of the network, see `openmmcg.models.names`.
    cutoff : float
        Range of the network in nm.
    width : int
        Number of features.
    interactions : int
        Rounds of messages.
    rbf : int
        Number of radial basis functions.
    network_options : dict or None
        Further hyperparameters of the network, such as {chiral: true}.
    thermal : str or None
        How the network depends on the temperature: response (free energy, entropy and, if the data
        tell it, heat capacity at a reference temperature), or input (trained functions of the
        temperature, which need several). By default it does not.
    reference_temperature : float or None
        Of a network that depends on the temperature, K; by default that of the priors, the middle
        one of the data.
    thermal_weights : dict or None
        What teaches the dependence on the temperature besides forces at several temperatures, each
        term with a factor on its inverse-variance weight: response (covariance of force and energy
        of single frames), frozen (thermal forces of held beads) and energies (mean energies).
        By default frozen and response at 1, if the data have them and they pay. {} uses none.
    response_baseline : str or None
        What is subtracted from forces before they are multiplied with energies: network (two
        networks like the one that is trained, each trained on half of the frames and used for the
        other), or spline (pair splines, quick). By default network, and spline for pair-spline.
    priors : list of str or None
        Kinds of priors, see `openmmcg.priors.KINDS`; by default bonds, angles and signed
        impropers. An empty list trains without priors.
    prior_learning_rate : float
        Largest learning rate of the priors' parameters, which are then trained with the network;
        0 keeps them as they were fitted.
    prior_plots : bool
        Plot each prior over the data it was fitted to (priors.png).
    epochs : int
        Epochs: passes over the training frames, or as long as `epoch_steps` says.
    epoch_steps : int or None
        Steps of an epoch, after which the network is validated and saved; by default one pass
        over the training frames. For large data.
    batch_size : int
        Frames in a step, over all devices together.
    learning_rate : float
        Largest learning rate of the schedule.
    schedule : str
        Learning rate over the steps: onecycle (up in the first tenth, then down to zero), cosine
        (down to zero), constant, or plateau (halved when the validation loss has not fallen for
        `plateau_patience` epochs).
    plateau_patience : int
        Of the schedule plateau.
    early_stopping : int or None
        Stop after this many epochs without a lower validation loss.
    weight_decay : float
        Of AdamW.
    gradient_clip : float
        Largest norm of the gradient of the loss, which is measured in units of the labels' mean
        square less the priors.
    ema_decay : float
        Decay per step of the running average of the weights, which is what is validated and
        exported.
    frame_weights : bool
        Weight frames in the loss by their thermodynamic weights. Off by default: the mean force
        at given beads is the same whatever bias chose them.
    energy_weight : float
        Weight of the squared error of energies against that of forces, each in units of its
        labels' mean square; energies of a system count up to a constant. 0: forces only.
    position_noise : float
        Standard deviation in nm of noise that is added to the beads anew at each step. Labels
        then mix the mapped force with the noise's own so that their noise is least, and the
        network learns the potential of mean force of the noised beads.
    decoys : float
        Decoys for each frame: copies with `decoy_noise` for which the network shall add nothing
        to the priors. They keep it quiet where there are no data.
    decoy_noise : float
        Standard deviation of the decoys' noise in nm.
    validation_fraction : float
        Share of the frames, in blocks of time, kept from training.
    folds : int
        With 2 or more: cross-validation. As many networks are trained, each validated on
        another part of the frames, into folders fold-1, fold-2, ...
    lint : bool
        Check the mappings first (see `openmm-cg lint`): warnings are printed, errors stop.
    check_units : bool
        Refuse forces whose virial shows that they are in other units or have the wrong sign.
    seed : int
        Of the initial weights and the order of frames.
    threads : int or None
        Threads of torch; by default what torch chooses.
    memory : float
        Frames and pairs that take more than this many GB are kept in memory-mapped files in the
        output folder while training.
    accelerator : str
        Where to train, as Lightning names it: auto, cpu, gpu.
    devices : int
        Devices of each node, as Lightning takes it.
    num_nodes : int
        Number of nodes.
    strategy : str
        How devices work together, as Lightning names it: auto, ddp.
    tensorboard : bool
        Log to TensorBoard too, in the folder tensorboard.
    """

    dataset: str | None = None
    output: str = "training"
    group: str | None = None
    datasets: list[str] | None = None
    bead_types: list[str] | None = None
    network: str = "schnet"
    cutoff: float = 1.0
    width: int = 64
    interactions: int = 2
    rbf: int = 24
    network_options: dict[str, Any] | None = None
    thermal: Literal["response", "input"] | None = None
    reference_temperature: float | None = None
    thermal_weights: dict[str, float] | None = None
    response_baseline: Literal["network", "spline"] | None = None
    priors: list[str] | None = None
    prior_learning_rate: float = 0.0
    prior_plots: bool = True
    epochs: int = 25
    epoch_steps: int | None = None
    batch_size: int = 256
    learning_rate: float = 3e-3
    schedule: Literal["onecycle", "cosine", "constant", "plateau"] = "onecycle"
    plateau_patience: int = 5
    early_stopping: int | None = None
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    ema_decay: float = 0.995
    frame_weights: bool = False
    energy_weight: float = 0.0
    position_noise: float = 0.0
    decoys: float = 0.0
    decoy_noise: float = 0.03
    validation_fraction: float = 0.1
    folds: int = 1
    lint: bool = True
    check_units: bool = True
    seed: int = 1
    threads: int | None = None
    memory: float = 4.0
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises
        ------
        ValueError
            Naming the field.
        """
        positive = ("epochs", "batch_size", "learning_rate", "gradient_clip", "cutoff", "folds")
        for name in (*positive, "decoy_noise", "memory", "devices", "num_nodes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, but it is {getattr(self, name)}.")
        least = ("prior_learning_rate", "weight_decay", "energy_weight", "position_noise", "decoys")
        for name in (*least, "plateau_patience"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, but it is {getattr(self, name)}.")
        if not 0.0 < self.validation_fraction < 0.5:
            raise ValueError(
                "validation_fraction must lie between 0 and 0.5, but it is "
                f"{self.validation_fraction}."
            )
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay must be in [0, 1), but it is {self.ema_decay}.")
        for name in ("early_stopping", "epoch_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, but it is {value}.")
        if self.schedule not in SCHEDULES:
            raise ValueError(
                f"There is no schedule {self.schedule!r}; choose one of {', '.join(SCHEDULES)}."
            )
        self._check_thermal()
        self._check_sources()

    def _check_thermal(self) -> None:
        for name, weight in (self.thermal_weights or {}).items():
            if name not in TERMS or not weight >= 0:
                raise ValueError(
                    f"thermal_weights has {name}: {weight}; expected factors, not negative, for any "
                    f"of {', '.join(TERMS)}."
                )
        if self.thermal is None:
            for name in ("reference_temperature", "thermal_weights", "response_baseline"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} has no meaning without thermal: response or input.")
            return
        if self.response_baseline == "network" and self.network == LINEAR:
            raise ValueError(
                f"response_baseline is network, but {LINEAR} is not trained step by step; set spline."
            )
        if self.reference_temperature is not None and not self.reference_temperature > 0:
            raise ValueError(
                f"reference_temperature must be positive, but it is {self.reference_temperature}."
            )
        if self.energy_weight:
            raise ValueError(
                "energy_weight compares energies with the potential of mean force; a network that "
                "depends on the temperature takes thermal_weights: {energies: 1} instead."
            )

    def _check_sources(self) -> None:
        if (self.dataset is None) == (not self.datasets):
            raise ValueError(
                "Give either dataset (one system) or datasets (a list), and not both: dataset is "
                f"{self.dataset!r} and datasets is {self.datasets!r}."
            )
        if self.datasets and self.group is not None:
            raise ValueError(
                "group goes with dataset; in datasets, write PATH::GROUP to choose a system."
            )

    def sources(self) -> list[tuple[str, str | None]]:
        """Path and group of each dataset; the group is None if it was not given."""
        if self.dataset is not None:
            return [(self.dataset, self.group)]
        found = []
        for source in self.datasets or ():
            path, _, group = source.partition("::")
            found.append((path, group or None))
        return found

    def recipe(self) -> dict[str, Any]:
        """What decides the result: all fields but those that say where to run and to write."""
        values = asdict(self)
        for name in _PLACES:
            del values[name]
        return values


def complete_recipe(record: dict[str, Any]) -> dict[str, Any]:
    """Fill in the defaults of options that did not exist when a recipe was written."""
    defaults = {
        field.name: field.default
        for field in fields(TrainConfig)
        if field.default is not MISSING and field.name not in _PLACES
    }
    return {**defaults, **record}
