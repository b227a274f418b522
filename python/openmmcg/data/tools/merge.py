"""Merge datasets: frames of one system, or several systems in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from openmmcg.data.dataset import Dataset
from openmmcg.data.tools.common import expand, new_output
from openmmcg.data.writing import new_file, new_system


@dataclass(frozen=True)
class MergeConfig:
    """Settings for merging datasets.

    Attributes
    ----------
    datasets : str or list of str
        Files to merge, such as "run*.h5" or [a.h5, b.h5].
    output : str
        The dataset to write.
    systems : bool
        Keep each file's system as one of its own, under the name of its file, instead of joining
        the frames of systems of the same name.
    """

    datasets: str | list[str]
    output: str = "merged.h5"
    systems: bool = False


def merge_datasets(config: MergeConfig, progress: bool = True) -> Path:
    """Merge datasets into one file.

    Frames of one system are joined in the order of the files; walkers are numbered on, so that
    none continues in another file.

    Parameters
    ----------
    config : MergeConfig
    progress : bool
        Print a line on what was written.

    Returns
    -------
    Path
        The output.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If the output exists, a file is damaged, or systems of one name differ in mapping, types,
        force map, noise, constraints, or in what their frames hold.
    """
    paths = expand(config.datasets, "datasets")
    output = new_output(config.output)
    with ExitStack() as stack:
        systems: dict[str, list[Dataset]] = {}
        for path in paths:
            names = Dataset.systems(path)
            for name in names:
                dataset = stack.enter_context(Dataset.open(path, name))
                systems.setdefault(_new_name(config, path, name, names), []).append(dataset)
        for name, datasets in systems.items():
            _check_alike(name, datasets)
        with new_file(output) as file:
            for name, datasets in systems.items():
                first = datasets[0]
                metadata = first.metadata(source=_source(datasets))
                with new_system(file, name, first.attributes(), metadata) as append:
                    walkers = 0
                    for dataset in datasets:
                        for frames in dataset.chunks():
                            append(replace(frames, walkers=frames.walkers + walkers))
                        walkers += int(dataset.walkers.max()) + 1
        counts = ", ".join(
            f"{name}: {sum(dataset.n_frames for dataset in datasets)} frames"
            for name, datasets in systems.items()
        )
    Console(quiet=not progress, soft_wrap=True).print(
        f"Wrote {output} from {len(paths)} files ({counts})."
    )
    return output


def _new_name(config: MergeConfig, path: str, name: str, names: Sequence[str]) -> str:
    if not config.systems:
        return name
    stem = Path(path).stem
    return stem if len(names) == 1 else f"{stem}-{name}"


def _check_alike(name: str, datasets: Sequence[Dataset]) -> None:
    """Raise ValueError if frames of one system cannot be joined."""
    first = datasets[0]
    for other in datasets[1:]:
        facts: dict[str, tuple[Any, Any]] = {
            "mapping": (first.mapping_hash, other.mapping_hash),
            "types": (first.type_names, other.type_names),
            "force map": (first.force_map, other.force_map),
            "position noise": (first.position_noise, other.position_noise),
            "arrays": (first.arrays(), other.arrays()),
            "constraints": (_pairs(first), _pairs(other)),
        }
        different = [fact for fact, (ours, theirs) in facts.items() if ours != theirs]
        if different:
            raise ValueError(
                f"{other.path} differs from {first.path} in {', '.join(different)}, so the frames "
                f"of {name!r} cannot be joined; keep them as systems of their own (--systems)."
            )


def _pairs(dataset: Dataset) -> list[list[int]] | None:
    """Return the constraints in an order of their own; None if they are not known."""
    if dataset.constraints is None:
        return None
    return sorted(sorted(pair) for pair in dataset.constraints.tolist())


def _source(datasets: Sequence[Dataset]) -> str:
    """Return provenance: what all sources agree on, and each file's own."""
    sources = [dataset.source for dataset in datasets]
    if len(sources) == 1:
        return json.dumps(sources[0])
    merged = [
        {"path": str(dataset.path), "frames": dataset.n_frames, "source": source}
        for dataset, source in zip(datasets, sources, strict=True)
    ]
    return json.dumps({**_common(sources), "merged": merged})


def _common(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the entries that all have, with one value; of nested ones, those that agree."""
    result: dict[str, Any] = {}
    for key, value in values[0].items():
        others = [other.get(key) for other in values[1:]]
        if all(other == value for other in others):
            result[key] = value
        elif isinstance(value, dict) and all(isinstance(other, dict) for other in others):
            result[key] = _common([value, *(other for other in others if other is not None)])
    return result
