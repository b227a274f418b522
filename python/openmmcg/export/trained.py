"""Export of a finished training."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmcg.export.modelfile import save
from openmmcg.export.verify import verify
from openmmcg.training import load_network

if TYPE_CHECKING:
    from openmmcg.data import Dataset


@dataclass(frozen=True)
class ExportConfig:
    """How to make a model file from a training.

    Attributes
    ----------
    training : str
        Folder of a finished training.
    output : str
        Model file to write, by custom NAME.cg.pt.
    """

    training: str
    output: str


def export(config: ExportConfig, progress: bool = True) -> Path:
    """Write and verify the model file of a training.

    Parameters
    ----------
    config : ExportConfig
        From where and to where.
    progress : bool, default True
        Print what was written and checked.

    Returns
    -------
    Path
        The model file.
    """
    path, report = export_trained(config.training, config.output)
    if progress:
        worst = max(report["differences"].items(), key=lambda item: item[1])
        print(
            f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB). Verified in a process of its own "
            f"on {len(report['beads'])} geometries: the largest relative difference is "
            f"{worst[1]:.0e} ({worst[0]})."
        )
    return path


def export_trained(
    training: str | os.PathLike[str], path: str | os.PathLike[str]
) -> tuple[Path, dict[str, Any]]:
    """Write the model file of a finished training, with priors, topology and provenance.

    Parameters
    ----------
    training : path-like
        Folder that `openmmcg.training.train` wrote.
    path : path-like
        Model file to write.

    Returns
    -------
    path : Path
        The model file.
    report : dict
        What `verify` returned.

    Raises
    ------
    FileNotFoundError
        If the training is not finished or its dataset is gone.
    ValueError
        If the dataset has changed since, or the file fails a check.
    """
    from openmmcg.data import Dataset
    from openmmcg.training.frames import dataset_facts
    from openmmcg.training.run import PRIORS, RECIPE, SUMMARY

    folder = Path(training)
    network = load_network(folder)
    record = json.loads((folder / RECIPE).read_text())
    config = record["config"]
    with Dataset.open(config["dataset"], config["group"]) as dataset:
        if dataset_facts(dataset)["sha256"] != record["data"]["sha256"]:
            raise ValueError(
                f"The dataset {dataset.path} is not the one of the training in {folder}; train "
                "again or restore it."
            )
        mapping, topology = dataset.mapping, topology_record(dataset)
    written = save(
        network,
        path,
        temperature=record["temperature"],
        mapping=mapping,
        topology=topology,
        priors=json.loads((folder / PRIORS).read_text()),
        training={
            "config": config,
            "data": record["data"],
            "summary": json.loads((folder / SUMMARY).read_text()),
        },
    )
    return written, verify(written, network)


def topology_record(dataset: Dataset) -> dict[str, Any]:
    """Topology of a dataset as a model card holds it, with the most typical frame.

    Parameters
    ----------
    dataset : Dataset
        An open dataset.

    Returns
    -------
    dict
        JSON-able: names, residues, types, bonds, molecules, masses (Da), positions (nm).
    """
    atoms = list(dataset.topology.atoms)
    return {
        "names": [atom.name for atom in atoms],
        "residues": [[atom.residue.name, int(atom.residue.resSeq)] for atom in atoms],
        "types": dataset.types.tolist(),
        "bonds": dataset.bonds.tolist(),
        "molecules": dataset.molecules.tolist(),
        "masses": dataset.masses.tolist(),
        "positions": typical_frame(dataset.positions).astype(float).tolist(),
    }


def typical_frame(positions: np.ndarray, candidates: int = 2000) -> np.ndarray:
    """Frame whose distances between beads are closest to their medians, centred.

    Parameters
    ----------
    positions : numpy.ndarray, shape (F, N, 3)
        nm.
    candidates : int, default 2000
        Frames looked at, evenly spread.

    Returns
    -------
    numpy.ndarray, shape (N, 3)
        nm.
    """
    frames = positions[:: max(1, len(positions) // candidates)]
    first, second = np.triu_indices(frames.shape[1], k=1)
    distances = np.linalg.norm(frames[:, first] - frames[:, second], axis=-1)
    off = np.abs(distances - np.median(distances, axis=0)).sum(axis=1)
    chosen = frames[int(off.argmin())]
    return chosen - chosen.mean(axis=0)
