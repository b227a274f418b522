"""Take frames out of datasets: split them in two, or thin them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from openmmcg.data.dataset import Dataset
from openmmcg.data.force_maps.comparison import held_out_frames
from openmmcg.data.tools.common import derived, new_output
from openmmcg.data.writing import complete_file

BY = ("time", "walker")


@dataclass(frozen=True)
class SplitConfig:
    """Settings for splitting a dataset in two.

    Attributes
    ----------
    dataset : str
        The dataset to split.
    output : str
        Gets the larger part.
    held_out : str
        Gets the rest.
    fraction : float
        Share of the frames that is held out.
    by : str
        "time" (the ends of five blocks of time of every walker) or "walker" (the last walkers).
    group : str or None
        System of the dataset; may be left out when the file holds one.
    """

    dataset: str
    output: str = "training.h5"
    held_out: str = "held-out.h5"
    fraction: float = 0.2
    by: str = "time"
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot be right; raise ValueError naming them."""
        if not 0 < self.fraction < 1:
            raise ValueError(f"fraction is {self.fraction}, expected one between 0 and 1.")
        if self.by not in BY:
            raise ValueError(f"by is {self.by!r}, expected {' or '.join(BY)}.")
        if Path(self.output) == Path(self.held_out):
            raise ValueError(f"Both parts would be written to {self.output}; name two files.")


@dataclass(frozen=True)
class SubsampleConfig:
    """Settings for taking some frames of a dataset.

    Attributes
    ----------
    dataset : str
        The dataset to take frames of.
    output : str
        The dataset to write.
    start : int
        First frame of every walker to take.
    stop : int or None
        First frame of every walker that is left out behind; None for all to the end.
    stride : int
        Take every n-th frame.
    frames : int or None
        At most this many of them, evenly spaced over all walkers.
    temperature : float or None
        Only frames at this temperature, K.
    walkers : list of int or None
        Only frames of these walkers.
    group : str or None
        System of the dataset; may be left out when the file holds one.
    """

    dataset: str
    output: str = "subsample.h5"
    start: int = 0
    stop: int | None = None
    stride: int = 1
    frames: int | None = None
    temperature: float | None = None
    walkers: list[int] | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that cannot be right; raise ValueError naming them."""
        for name, least in (("start", 0), ("stride", 1), ("frames", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, expected at least {least}.")


def split_dataset(config: SplitConfig, progress: bool = True) -> tuple[Path, Path]:
    """Split a dataset in two, such as training and test frames.

    Parameters
    ----------
    config : SplitConfig
    progress : bool
        Print a line on what was written.

    Returns
    -------
    Path, Path
        The larger part and the rest.

    Raises
    ------
    FileNotFoundError, ValueError
        If the dataset cannot be read, an output exists, or there are too few frames or walkers.
    """
    outputs = new_output(config.output), new_output(config.held_out)
    with Dataset.open(config.dataset, config.group) as dataset:
        marked = np.zeros(dataset.n_frames, dtype=bool)
        walkers = np.unique(dataset.walkers)
        if config.by == "time":
            for walker in walkers:
                own = np.flatnonzero(dataset.walkers == walker)
                marked[own] = held_out_frames(len(own), config.fraction)
        else:
            count = max(1, round(config.fraction * len(walkers)))
            if count >= len(walkers):
                raise ValueError(
                    f"{config.dataset} has {len(walkers)} walkers, which cannot be split; split by "
                    "time."
                )
            marked = np.isin(dataset.walkers, walkers[-count:])
        for output, mask in zip(outputs, (~marked, marked), strict=True):
            write_selection(dataset, output, mask, "split", fraction=config.fraction, by=config.by)
    Console(quiet=not progress, soft_wrap=True).print(
        f"Wrote {outputs[0]} ({np.sum(~marked)} frames) and {outputs[1]} ({np.sum(marked)} frames)."
    )
    return outputs


def subsample_dataset(config: SubsampleConfig, progress: bool = True) -> Path:
    """Write some frames of a dataset to a new one.

    Parameters
    ----------
    config : SubsampleConfig
    progress : bool
        Print a line on what was written.

    Returns
    -------
    Path
        The output.

    Raises
    ------
    FileNotFoundError, ValueError
        If the dataset cannot be read, the output exists, or no frame is left.
    """
    output = new_output(config.output)
    with Dataset.open(config.dataset, config.group) as dataset:
        allowed = np.ones(dataset.n_frames, dtype=bool)
        if config.temperature is not None:
            allowed &= np.isclose(dataset.temperatures, config.temperature, rtol=0, atol=1e-3)
        if config.walkers is not None:
            allowed &= np.isin(dataset.walkers, config.walkers)
        rows: list[int] = []
        for walker in np.unique(dataset.walkers):
            own = np.flatnonzero(dataset.walkers == walker)[
                config.start : config.stop : config.stride
            ]
            rows += own[allowed[own]].tolist()
        chosen = np.array(sorted(rows), dtype=np.int64)
        if config.frames is not None and len(chosen) > config.frames:
            chosen = chosen[np.linspace(0, len(chosen) - 1, config.frames).astype(np.int64)]
        if len(chosen) == 0:
            raise ValueError(
                f"None of the {dataset.n_frames} frames of {config.dataset} is left; it has the "
                f"walkers {', '.join(map(str, np.unique(dataset.walkers)))} and temperatures "
                f"{', '.join(f'{t:g}' for t in np.unique(dataset.temperatures))} K."
            )
        mask = np.zeros(dataset.n_frames, dtype=bool)
        mask[chosen] = True
        settings = {k: v for k, v in vars(config).items() if k not in {"dataset", "output"}}
        write_selection(dataset, output, mask, "subsample", **settings)
    Console(quiet=not progress, soft_wrap=True).print(f"Wrote {output}: {len(chosen)} frames.")
    return output


def write_selection(
    dataset: Dataset, output: Path, mask: np.ndarray, step: str, **settings: object
) -> None:
    """Write the marked frames of a dataset to a new file, with a note in its provenance."""
    metadata = dataset.metadata(source=derived(dataset, step, **settings))
    with complete_file(output, dataset.name, dataset.attributes(), metadata) as append:
        start = 0
        for frames in dataset.chunks():
            own = mask[start : start + frames.n_frames]
            start += frames.n_frames
            if own.any():
                append(frames.take(own))
