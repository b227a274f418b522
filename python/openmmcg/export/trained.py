"""Export of a finished training."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmcg.export.aot import compile_package
from openmmcg.export.modelfile import save
from openmmcg.export.verification import verify
from openmmcg.training import load_network

if TYPE_CHECKING:
    from openmmcg.data import Dataset

MOST_BEADS = 300
"""Beads up to which the most typical of all frames is searched."""


@dataclass(frozen=True)
class ExportConfig:
    """How to make a model file from a training.

    Attributes
    ----------
    training : str
        Folder of a finished training.
    output : str
        Model file to write, by custom NAME.cg.pt.
    system : str or None
        Of a training on several systems: the one whose beads, mapping and masses go into the
        file, as named in summary.json (FILE::GROUP). The network and the priors are the same in
        all files.
    aot : bool
        Also compile the network with PyTorch's AOTInductor for this machine's processor, into
        NAME.pt2 beside the model file; needs a C++ compiler and some minutes.
    """

    training: str
    output: str
    system: str | None = None
    aot: bool = False


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
    path, report = export_trained(config.training, config.output, config.system)
    if progress:
        worst = max(report["differences"].items(), key=lambda item: item[1])
        print(
            f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB). Verified in a process of its own "
            f"on {len(report['beads'])} geometries: the largest relative difference is "
            f"{worst[1]:.0e} ({worst[0]})."
        )
    if config.aot:
        package = compile_package(load_network(Path(config.training)), path)
        if progress:
            print(
                f"Wrote {package} ({package.stat().st_size / 1e6:.1f} MB), machine code for the "
                "runner 'aoti'; it gives the same on these geometries."
            )
    return path


def export_trained(
    training: str | os.PathLike[str], path: str | os.PathLike[str], system: str | None = None
) -> tuple[Path, dict[str, Any]]:
    """Write the model file of a finished training, with priors, topology and provenance.

    Parameters
    ----------
    training : path-like
        Folder that `openmmcg.training.train` wrote.
    path : path-like
        Model file to write.
    system : str, optional
        As of `ExportConfig`; needed if there are several.

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
        If the dataset has changed since, it is not clear which system is meant, or the file fails
        a check.
    """
    from openmmcg.training.folder import PRIORS, RECIPE, SUMMARY

    folder = Path(training)
    network = load_network(folder)
    record = json.loads((folder / RECIPE).read_text())
    with _dataset(record["data"], system, folder) as dataset:
        mapping, topology = dataset.mapping, topology_record(dataset, network.bead_types)
    written = save(
        network,
        path,
        temperature=record["temperature"],
        temperature_range=record.get("temperature_range"),
        mapping=mapping,
        topology=topology,
        priors=json.loads((folder / PRIORS).read_text()),
        training={
            "config": record["config"],
            "data": record["data"],
            "summary": json.loads((folder / SUMMARY).read_text()),
        },
    )
    return written, verify(written, network)


@contextmanager
def _dataset(data: Mapping[str, Any], system: str | None, folder: Path) -> Iterator[Dataset]:
    """Open the dataset of a system of a training and check that it is the same still."""
    from openmmcg.data import Dataset
    from openmmcg.training.sources import dataset_facts

    known = {
        f"{Path(facts['path']).stem}::{facts['group']}": facts
        for facts in data.get("systems", [data])
    }
    if system is None and len(known) == 1:
        (system,) = known
    if system is None or system not in known:
        found = "name one of them as system" if system is None else f"there is no {system!r}"
        raise ValueError(f"The training in {folder} is on the systems {', '.join(known)}; {found}.")
    facts = known[system]
    with Dataset.open(facts["path"], facts["group"]) as dataset:
        if dataset_facts(dataset)["sha256"] != facts["sha256"]:
            raise ValueError(
                f"The dataset {dataset.path} is not the one of the training in {folder}; train "
                "again or restore it."
            )
        yield dataset


def topology_record(dataset: Dataset, bead_types: Sequence[str]) -> dict[str, Any]:
    """Topology of a dataset as a model card holds it, with the most typical frame.

    Parameters
    ----------
    dataset : Dataset
        An open dataset.
    bead_types : sequence of str
        Vocabulary of the model.

    Returns
    -------
    dict
        JSON-able: names, residues, types, bonds, molecules, masses (Da), positions (nm) and, with
        periodic boundaries, box (nm).
    """
    atoms = list(dataset.topology.atoms)
    record = {
        "names": [atom.name for atom in atoms],
        "residues": [[atom.residue.name, int(atom.residue.resSeq)] for atom in atoms],
        "types": [bead_types.index(dataset.type_names[kind]) for kind in dataset.types],
        "bonds": dataset.bonds.tolist(),
        "molecules": dataset.molecules.tolist(),
        "masses": dataset.masses.tolist(),
    }
    if dataset.boxes is not None or dataset.n_beads > MOST_BEADS:
        # All configurations of a liquid are alike, and the last one is equilibrated.
        last = dataset.frames(dataset.n_frames - 1)
        record["positions"] = last.positions[0].astype(float).tolist()
        if last.boxes is not None:
            record["box"] = last.boxes[0].astype(float).tolist()
        return record
    record["positions"] = typical_frame(dataset.positions).astype(float).tolist()
    return record


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
