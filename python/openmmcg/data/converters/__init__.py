"""Datasets from and to other layouts: mlcg HDF5, npz, extended XYZ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
from rich.console import Console

from openmmcg.data.converters.extxyz import ExtxyzTrajectory, write_extxyz
from openmmcg.data.converters.mlcg import MlcgTrajectory, is_mlcg, write_mlcg
from openmmcg.data.converters.npz import write_npz
from openmmcg.data.dataset import Dataset
from openmmcg.data.frames import FORMAT, Frames
from openmmcg.data.inputs import read_topology
from openmmcg.data.provenance import input_file, versions
from openmmcg.data.tools.common import new_output
from openmmcg.data.trajectories import AtomTrajectory, Units, open_trajectory
from openmmcg.data.writing import Append, complete_file, dataset_writer
from openmmcg.mapping import load_mapping

__all__ = ["ConvertConfig", "convert"]

_TEXT = {".extxyz", ".xyz"}
_HDF5 = {".h5", ".hdf5"}
_CHUNK = 1000
SPECIES = ("element", "type")


@dataclass(frozen=True)
class ConvertConfig:
    """Settings for converting a dataset to another layout, or beads in another layout to a dataset.

    Attributes
    ----------
    source : str
        What to convert: a dataset; or beads with forces in mlcg's HDF5 layout, npz or extended
        XYZ.
    output : str
        What to write: from a dataset .h5 (mlcg's layout), .npz or .extxyz; else a dataset.
    group : str or None
        System of a dataset, or METASET/MOLECULE of an mlcg file; may be left out if there is one.
    like : str or None
        Dataset of the same beads, whose mapping and topology the new dataset gets.
    mapping : str or None
        Else: name of a built-in mapping, or the path of a YAML file, that makes the beads ...
    topology : str or None
        ... of these atoms (PDB, GRO, PRMTOP ...).
    encoding : str or None
        How beads get their types; None leaves it to the mapping.
    temperature : float or None
        Of the frames, K; needed unless the source holds it.
    force_map : str or None
        Kind of the force map that made the forces, for the record; that of `like` by default.
    length_unit : str or None
        Of a source that does not state it, or of the output; angstrom by convention for mlcg and
        extended XYZ.
    force_unit : str or None
        The same for forces; kcal/mol/angstrom for mlcg, eV/angstrom for extended XYZ.
    energy_unit : str or None
        The same for energies; eV for extended XYZ.
    full_forces : bool
        The forces of an mlcg file have no prior subtracted.
    species : str
        First column of extended XYZ: "element" (X for beads of several atoms) or "type".
    """

    source: str
    output: str
    group: str | None = None
    like: str | None = None
    mapping: str | None = None
    topology: str | None = None
    encoding: str | None = None
    temperature: float | None = None
    force_map: str | None = None
    length_unit: str | None = None
    force_unit: str | None = None
    energy_unit: str | None = None
    full_forces: bool = False
    species: str = "element"

    def __post_init__(self) -> None:
        """Refuse settings that cannot be right; raise ValueError naming them."""
        if self.species not in SPECIES:
            raise ValueError(f"species is {self.species!r}, expected {' or '.join(SPECIES)}.")
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature} K, expected more than 0.")

    @property
    def units(self) -> Units:
        """The three units."""
        return Units(self.length_unit, self.force_unit, self.energy_unit)


def convert(config: ConvertConfig, progress: bool = True) -> Path:
    """Convert a dataset to another layout, or beads in another layout to a dataset.

    Weights, bias energies, walkers and standard errors have no place in mlcg's layout and in
    extended XYZ, boxes and energies none in mlcg's; npz holds all.

    Parameters
    ----------
    config : ConvertConfig
    progress : bool
        Print a line on what was written.

    Returns
    -------
    Path
        The output.

    Raises
    ------
    FileNotFoundError
        If an input does not exist.
    ValueError
        If the output exists, a layout is not known, or the source is damaged, lacks forces, units
        or the temperature, has other beads than the mapping, or numbers that are not finite.
    """
    source, output = Path(config.source), new_output(config.output)
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {source}.")
    count = _export(config, output) if _is_dataset(source) else _import(config, source, output)
    Console(quiet=not progress, soft_wrap=True).print(f"Wrote {output}: {count} frames.")
    return output


def _is_dataset(path: Path) -> bool:
    if path.suffix.lower() not in _HDF5:
        return False
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError as error:
        return "already open for" in str(error)  # a dataset whose writer was killed


def _export(config: ConvertConfig, output: Path) -> int:
    suffix = output.suffix.lower()
    with Dataset.open(config.source, config.group) as dataset:
        if suffix in _HDF5:
            write_mlcg(dataset, output, config.units)
        elif suffix == ".npz":
            write_npz(dataset, output, config.units)
        elif suffix in _TEXT:
            write_extxyz(dataset, output, config.units, config.species)
        else:
            raise ValueError(
                f"{output}: datasets are written as .h5 (mlcg's layout), .npz or .extxyz."
            )
        return dataset.n_frames


def _import(config: ConvertConfig, source: Path, output: Path) -> int:
    if output.suffix.lower() not in _HDF5:
        raise ValueError(
            f"{source} is no dataset, so it can only become one: choose an output ending in .h5."
        )
    with _open(config, source) as beads:
        for name in ("positions", "forces"):
            if name not in beads.holds:
                raise ValueError(f"{source} holds no {name}; a dataset needs both.")
        if config.temperature is None and "temperatures" not in beads.holds:
            raise ValueError(
                f"The temperature of {source} is missing; give that of the thermostat "
                "(temperature, K)."
            )
        if beads.damage:
            raise ValueError(f"{beads.damage}; repair it first.")
        with _writer(config, output, beads) as append:
            for start in range(0, beads.n_frames, _CHUNK):
                append(_frames(config, beads, start))
        return beads.n_frames


def _open(config: ConvertConfig, source: Path) -> AtomTrajectory:
    suffix = source.suffix.lower()
    if suffix in _TEXT:
        return ExtxyzTrajectory(source, config.units)
    if suffix in _HDF5 and is_mlcg(source):
        return MlcgTrajectory(source, config.units, config.group, config.full_forces)
    return open_trajectory(source, config.units)


@contextmanager
def _writer(config: ConvertConfig, output: Path, beads: AtomTrajectory) -> Iterator[Append]:
    """Write a dataset with the mapping of another one, or with a mapping made now."""
    source = {
        "config": {k: v for k, v in asdict(config).items() if k != "output"},
        "inputs": [input_file(beads.path)],
        "versions": versions(),
    }
    if config.like is not None:
        if config.mapping is not None or config.topology is not None:
            raise ValueError("Give either like, or mapping and topology, not both.")
        with Dataset.open(config.like) as like:
            _check_beads(beads, like.n_beads, config.like)
            attributes = {**like.attributes(), "position_noise": 0.0}
            attributes["force_map"] = config.force_map or like.force_map
            metadata = like.metadata(source=json.dumps(source))
            with complete_file(output, like.name, attributes, metadata) as append:
                yield append
        return
    if config.mapping is None or config.topology is None:
        raise ValueError(
            "What the beads are is not known; give like (a dataset of the same beads), or mapping "
            "and topology (of the atoms)."
        )
    mapping = load_mapping(config.mapping, read_topology(config.topology), config.encoding)
    _check_beads(beads, mapping.n_beads, config.mapping)
    kind = config.force_map or "unknown"
    with dataset_writer(output, mapping, force_map=kind, source=source) as append:
        yield append


def _check_beads(beads: AtomTrajectory, expected: int, name: str) -> None:
    if beads.n_atoms != expected:
        raise ValueError(
            f"{beads.path} has {beads.n_atoms} beads, {name} has {expected}; give the mapping that "
            "made them."
        )


def _frames(config: ConvertConfig, beads: AtomTrajectory, start: int) -> Frames:
    found = beads.read(start, min(start + _CHUNK, beads.n_frames))
    assert found.positions is not None and found.forces is not None
    count = len(found.positions)
    for name in ("positions", "forces", "energies"):
        values = getattr(found, name)
        if values is not None and not np.isfinite(values).all():
            finite = np.isfinite(values.reshape(count, -1)).all(axis=1)
            raise ValueError(
                f"Frame {start + int(finite.argmin())} of {beads.path} has {name} that are not "
                "finite; leave it out."
            )
    temperatures = found.temperatures
    if temperatures is None:
        temperatures = np.full(count, config.temperature)
    return Frames(
        positions=found.positions,
        forces=found.forces,
        energies=found.energies,
        temperatures=temperatures,
        bias_energies=np.zeros(count),
        walkers=np.zeros(count, int) if found.walkers is None else found.walkers,
        weights=found.weights,
        boxes=found.boxes,
    )
