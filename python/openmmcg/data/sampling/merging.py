"""The end of a sampling run: pieces of all walkers become one dataset, and get their weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from openmmcg.data.dataset import Dataset
from openmmcg.data.sampling.all_atom import merge_atoms
from openmmcg.data.sampling.bias import reweight
from openmmcg.data.sampling.job import Job
from openmmcg.data.sampling.umbrella import Umbrella, combined_weights
from openmmcg.data.writing import dataset_writer
from openmmcg.files import write_npz


def merge(
    job: Job,
    force_map: str,
    umbrella: Umbrella | None,
    output: Path,
    atoms: Path | None,
    variables: Path,
) -> np.ndarray:
    """Write all blocks, walker after walker, to the output's files, the dataset last.

    Parameters
    ----------
    job : Job
    force_map : str
        Kind of the force map.
    umbrella : Umbrella or None
    output, atoms, variables : Path
        Where to write the dataset; positions and forces of all atoms (None: nowhere); and the
        bias's variables, if walkers recorded them.

    Returns
    -------
    (n_frames,) array
        The weights, whose mean is 1 at each temperature.
    """
    blocks = [
        (walker, block)
        for walker in range(job.config.n_walkers)
        for block in range(len(job.blocks()))
    ]
    paths = [job.block_path(*block) for block in blocks]
    values = _values(job, blocks)
    weights = _weights(job, umbrella, paths, values)
    if values is not None:
        _write_variables(job, umbrella, variables, values)
    if atoms is not None:
        pieces = [job.block_path(*block, ".atoms.h5") for block in blocks]
        merge_atoms(pieces, atoms, job.mapping.atomistic, job.constraints, weights)
    start = 0
    with dataset_writer(
        output,
        job.mapping,
        force_map=force_map,
        source=job.source,
        constraints=job.constraints,
        group=job.atomistic.name,
    ) as append:
        for path in paths:
            with Dataset.open(path) as block:
                frames = block.frames()
            append(replace(frames, weights=weights[start : start + frames.n_frames]))
            start += frames.n_frames
    return weights


def _values(job: Job, blocks: list[tuple[int, int]]) -> np.ndarray | None:
    """Return the variables (n_frames, n_variables) that walkers recorded, None if none did."""
    paths = [job.block_path(*block, ".cv.npy") for block in blocks]
    if not paths[0].exists():
        return None
    return np.concatenate([np.load(path) for path in paths])


def _weights(
    job: Job, umbrella: Umbrella | None, paths: list[Path], values: np.ndarray | None
) -> np.ndarray:
    energies, temperatures, walkers = [], [], []
    for path in paths:
        with Dataset.open(path) as block:
            energies.append(block.bias_energies)
            temperatures.append(block.temperatures)
            walkers.append(block.walkers)
    bias_energies = np.concatenate(energies)
    kelvins = np.concatenate(temperatures)
    windows = np.concatenate(walkers) % (umbrella.n_windows if umbrella else 1)
    weights = np.empty(len(kelvins))
    for kelvin in np.unique(kelvins):
        rows = kelvins == kelvin
        if umbrella is None or values is None:
            weights[rows] = reweight(bias_energies[rows], kelvin)
        else:
            reduced = umbrella.energies(values[rows])
            weights[rows] = combined_weights(reduced, windows[rows], kelvin)
    return weights


def _write_variables(job: Job, umbrella: Umbrella | None, path: Path, values: np.ndarray) -> None:
    """Write the variables of each frame, and an umbrella's windows."""
    arrays: dict[str, np.ndarray] = {"values": values}
    if umbrella is not None:
        walkers = np.repeat(np.arange(job.config.n_walkers), job.n_frames)
        arrays["windows"] = walkers % umbrella.n_windows
        arrays["centers"] = umbrella.centers
        arrays["k"] = np.array([variable.k for variable in job.variables])
    write_npz(path, **arrays)
