"""Mapped datasets: one HDF5 file, one group a system, units as attributes.

Layout of a group: the arrays of `openmmcg.data.frames.LAYOUT`, each with the attribute "units",
and the attributes types, type_names, bonds, molecules, masses, mapping (JSON), mapping_hash,
force_map, source (JSON) and topology (JSON). Forces are full mapped forces: priors are subtracted
by whoever trains.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import mdtraj as md
import numpy as np

from openmmcg.data.frames import ATTRIBUTES, FORMAT, FORMAT_VERSION, LAYOUT, Frames
from openmmcg.mapping import topology_from_dict


class Dataset:
    """One system of a dataset file, open for reading; a context manager.

    Arrays are read when first asked for and kept. Use `Dataset.open`.

    Attributes
    ----------
    path : Path
    name : str
        Name of the group.
    """

    def __init__(self, path: Path, file: h5py.File, name: str) -> None:
        self.path = path
        self.name = name
        self._file = file

    @classmethod
    def open(cls, path: str | os.PathLike[str], group: str | None = None) -> Dataset:
        """Open a dataset file.

        Parameters
        ----------
        path : path-like
        group : str, optional
            Name of the system; may be left out when the file holds one.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no dataset, damaged, of a newer format, or the group is missing or needed.
        """
        file_path = Path(path)
        if not file_path.is_file():
            raise FileNotFoundError(f"No dataset {file_path}; `openmm-cg sample` writes one.")
        try:
            file = h5py.File(file_path, "r")
        except OSError as error:
            raise ValueError(
                f"{file_path} is not an HDF5 file or is truncated ({error}); write it again."
            ) from error
        try:
            _check_format(file, file_path)
            name = _choose_group(file, file_path, group)
            _check_group(file[name], file_path)
        except BaseException:
            file.close()
            raise
        return cls(file_path, file, name)

    def close(self) -> None:
        """Close the file; arrays read before stay available."""
        self._file.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _node(self) -> h5py.Group:
        if not self._file:
            raise ValueError(f"{self.path} is closed; read what you need before closing it.")
        return self._file[self.name]

    @cached_property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self._node["positions"].shape[0])

    @cached_property
    def n_beads(self) -> int:
        """Number of beads."""
        return int(self._node["positions"].shape[1])

    @cached_property
    def positions(self) -> np.ndarray:
        """Bead positions (n_frames, n_beads, 3) float32, nm."""
        return self._read("positions")

    @cached_property
    def forces(self) -> np.ndarray:
        """Full mapped forces (n_frames, n_beads, 3) float32, kJ/mol/nm, without any bias."""
        return self._read("forces")

    @cached_property
    def energies(self) -> np.ndarray:
        """Atomistic potential energies (n_frames,), kJ/mol, without any bias."""
        return self._read("energies")

    @cached_property
    def temperatures(self) -> np.ndarray:
        """Thermostat temperatures (n_frames,), K."""
        return self._read("temperatures")

    @cached_property
    def boxes(self) -> np.ndarray | None:
        """Box vectors as rows (n_frames, 3, 3) float32, nm; None without a box."""
        return self._read("boxes") if "boxes" in self._node else None

    @cached_property
    def weights(self) -> np.ndarray:
        """Thermodynamic weights (n_frames,), mean 1; all 1 when sampled without a bias."""
        return self._read("weights")

    @cached_property
    def bias_energies(self) -> np.ndarray:
        """Bias energies (n_frames,), kJ/mol."""
        return self._read("bias_energies")

    @cached_property
    def walkers(self) -> np.ndarray:
        """Walker of every frame (n_frames,) int32; frames of a walker follow in time order."""
        return self._read("walkers")

    @cached_property
    def force_errors(self) -> np.ndarray | None:
        """Standard errors (n_frames, n_beads, 3) float32, kJ/mol/nm, of mean forces at fixed beads.

        None if the forces are those of single configurations.
        """
        return self._read("force_errors") if "force_errors" in self._node else None

    @cached_property
    def types(self) -> np.ndarray:
        """Bead types (n_beads,) int64, 0-based index into `type_names`."""
        return np.array(self._node.attrs["types"], dtype=np.int64)

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """Vocabulary of bead types."""
        return tuple(str(name) for name in self._node.attrs["type_names"])

    @cached_property
    def bonds(self) -> np.ndarray:
        """CG bonds (n_bonds, 2) int64."""
        return np.array(self._node.attrs["bonds"], dtype=np.int64).reshape(-1, 2)

    @cached_property
    def molecules(self) -> np.ndarray:
        """Molecule of every bead (n_beads,) int64."""
        return np.array(self._node.attrs["molecules"], dtype=np.int64)

    @cached_property
    def masses(self) -> np.ndarray:
        """Bead masses (n_beads,), Da."""
        return np.array(self._node.attrs["masses"], dtype=np.float64)

    @cached_property
    def mapping(self) -> dict[str, Any]:
        """Definition of the mapping, see `openmmcg.mapping.Mapping.from_dict`."""
        return dict(json.loads(self._node.attrs["mapping"]))

    @cached_property
    def mapping_hash(self) -> str:
        """SHA-256 of the mapping, see `openmmcg.mapping.Mapping.hash`."""
        return str(self._node.attrs["mapping_hash"])

    @cached_property
    def force_map(self) -> str:
        """Kind of the force map."""
        return str(self._node.attrs["force_map"])

    @cached_property
    def source(self) -> dict[str, Any]:
        """Provenance: configuration, versions, force field."""
        return dict(json.loads(self._node.attrs["source"]))

    @cached_property
    def topology(self) -> md.Topology:
        """CG topology: bead names, residues, bonds."""
        return topology_from_dict(json.loads(self._node.attrs["topology"]))

    def frames(self) -> Frames:
        """Return all arrays over frames."""
        return Frames(**{name: getattr(self, name) for name in LAYOUT})

    def _read(self, name: str) -> np.ndarray:
        node = self._node
        try:
            return np.asarray(node[name][...])
        except OSError as error:
            raise ValueError(
                f"{self.path}: the array {name!r} cannot be read, the file is damaged; "
                "write it again."
            ) from error


def _check_format(file: h5py.File, path: Path) -> None:
    found = file.attrs.get("format")
    if found != FORMAT:
        raise ValueError(
            f"{path} is an HDF5 file but not a dataset of openmmcg (format {found!r}); "
            "`openmm-cg sample` writes one."
        )
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has dataset format {version}, this openmmcg reads {FORMAT_VERSION}; "
            "update openmmcg."
        )


def _choose_group(file: h5py.File, path: Path, group: str | None) -> str:
    names = list(file)
    if group is None and len(names) == 1:
        return str(names[0])
    if group is None or group not in names:
        raise ValueError(
            f"{path} holds the systems {', '.join(names) or '(none)'}; "
            f"{'name one of them' if group is None else f'there is no {group!r}'}."
        )
    return group


def _check_group(node: h5py.Group, path: Path) -> None:
    lacking = [n for n, layout in LAYOUT.items() if n not in node and not layout.optional]
    lacking += [n for n in ATTRIBUTES if n not in node.attrs]
    if lacking:
        raise ValueError(
            f"{path}: the system {node.name!r} lacks {', '.join(lacking)}; write it again."
        )
    n_frames, n_beads = (*node["positions"].shape, 0, 0)[:2]
    for name, layout in LAYOUT.items():
        if name not in node:
            continue
        expected = (n_frames, *layout.frame_shape(n_beads))
        if node[name].shape != expected:
            raise ValueError(
                f"{path}: the array {name!r} has shape {node[name].shape}, expected {expected}; "
                "the file is damaged, write it again."
            )
        units = node[name].attrs.get("units")
        if units != layout.units:
            raise ValueError(
                f"{path}: the array {name!r} has units {units!r}, expected {layout.units!r}; "
                "convert it."
            )
