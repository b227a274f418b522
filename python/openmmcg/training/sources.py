"""The datasets of a training: opened by the settings, and what is remembered of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmcg.training.checks import chunk_frames
from openmmcg.training.config import TrainConfig

if TYPE_CHECKING:
    from openmmcg.data import Dataset


@contextmanager
def open_datasets(config: TrainConfig) -> Iterator[list[Dataset]]:
    """Open all systems that a configuration names.

    Raises
    ------
    FileNotFoundError, ValueError
        As `Dataset.open`.
    """
    from openmmcg.data import Dataset
    from openmmcg.data.opening import open_file

    with ExitStack() as stack:
        opened = []
        for path, group in config.sources():
            groups: list[str | None] = [group]
            if group is None and config.dataset is None:
                with open_file(Path(path)) as file:
                    groups = list(file) or [None]
            opened += [stack.enter_context(Dataset.open(path, name)) for name in groups]
        yield opened


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """What a model file remembers of its data, among it a hash of positions and forces."""
    content = hashlib.sha256()
    size = chunk_frames(dataset.n_beads)
    for name in ("positions", "forces"):
        for chunk in dataset.chunks(size):
            content.update(np.ascontiguousarray(getattr(chunk, name)).data)
    return {
        "path": str(dataset.path),
        "group": dataset.name,
        "sha256": content.hexdigest(),
        "frames": dataset.n_frames,
        "mapping_hash": dataset.mapping_hash,
        "force_map": dataset.force_map,
        "source": dataset.source,
    }


def facts_of(datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Facts of a dataset, or of all together if there are several."""
    systems = [dataset_facts(dataset) for dataset in datasets]
    if len(systems) == 1:
        return systems[0]
    joined = hashlib.sha256("".join(system["sha256"] for system in systems).encode())
    return {
        "sha256": joined.hexdigest(),
        "frames": sum(system["frames"] for system in systems),
        "systems": systems,
    }
