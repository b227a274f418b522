"""Mapped datasets: one HDF5 file, one group a system, units as attributes.

Layout of a group: the arrays of `openmmcg.data.frames.LAYOUT`, each with the attribute "units",
the attributes mapping_hash, force_map and position_noise, and the subgroup "metadata" with types,
type_names, bonds, molecules, masses, constraints and, as JSON, mapping, topology, atomistic and
source. Forces are full mapped forces: priors are subtracted by whoever trains.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import mdtraj as md
import numpy as np

from openmmcg.data.frames import ATTRIBUTES, LAYOUT, METADATA, Frames
from openmmcg.data.opening import check_group, choose_group, open_file
from openmmcg.mapping import Mapping, topology_from_dict
from openmmcg.units import BAR


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

    @staticmethod
    def systems(path: str | os.PathLike[str]) -> list[str]:
        """Return the names of the systems in a file; raises as `open`."""
        with open_file(Path(path)) as file:
            return [str(name) for name in file]

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
        file = open_file(file_path)
        try:
            name = choose_group(file, file_path, group)
            check_group(file[name], file_path)
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

    @property
    def growing(self) -> bool:
        """Whether a writer that appends has the file open or was killed; see `dataset_writer`."""
        return bool(self._node.file.swmr_mode)

    @cached_property
    def n_frames(self) -> int:
        """Number of frames; of a file whose writer was killed, those that are complete."""
        return min(len(self._node[name]) for name in self.arrays())

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
    def energies(self) -> np.ndarray | None:
        """Atomistic potential energies (n_frames,), kJ/mol, without any bias; None if unknown."""
        return self._optional("energies")

    @property
    def pressure(self) -> float | None:
        """Pressure of the barostat, bar; None at constant volume or where the source is silent."""
        config = self.source.get("config", {})
        return float(config.get("pressure", 1.0)) if config.get("ensemble") == "npt" else None

    @cached_property
    def enthalpies(self) -> np.ndarray | None:
        """Energies and, at constant pressure, the work against it: u + p V (n_frames,), kJ/mol.

        The exponent of the ensemble of all atoms and the box. Averages at fixed beads *and* box
        go with `energies`, those at fixed beads in any box with this. None if energies are unknown.
        """
        if self.energies is None or self.pressure is None or self.boxes is None:
            return self.energies
        volumes = np.linalg.det(self.boxes.astype(np.float64))
        return np.asarray(self.energies + self.pressure * BAR * volumes)

    @cached_property
    def temperatures(self) -> np.ndarray:
        """Thermostat temperatures (n_frames,), K."""
        return self._read("temperatures")

    @cached_property
    def boxes(self) -> np.ndarray | None:
        """Box vectors as rows (n_frames, 3, 3) float32, nm; None without a box."""
        return self._optional("boxes")

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
        return self._optional("force_errors")

    @cached_property
    def thermal_forces(self) -> np.ndarray | None:
        """Thermal response forces dF/dT at fixed beads (and box), where they were sampled.

        (n_frames, n_beads, 3) float32, kJ/mol/nm/K.
        """
        return self._optional("thermal_forces")

    @cached_property
    def thermal_force_errors(self) -> np.ndarray | None:
        """Standard errors (n_frames, n_beads, 3) float32, kJ/mol/nm/K, of `thermal_forces`."""
        return self._optional("thermal_force_errors")

    @cached_property
    def mean_energies(self) -> np.ndarray | None:
        """Mean atomistic potential energies at fixed beads (n_frames,), kJ/mol, if sampled."""
        return self._optional("mean_energies")

    @cached_property
    def mean_energy_errors(self) -> np.ndarray | None:
        """Standard errors (n_frames,), kJ/mol, of `mean_energies`."""
        return self._optional("mean_energy_errors")

    @cached_property
    def types(self) -> np.ndarray:
        """Bead types (n_beads,) int64, 0-based index into `type_names`."""
        return np.array(self._metadata("types"), dtype=np.int64)

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """Vocabulary of bead types."""
        return tuple(str(name) for name in self._metadata("type_names"))

    @cached_property
    def bonds(self) -> np.ndarray:
        """CG bonds (n_bonds, 2) int64."""
        return np.array(self._metadata("bonds"), dtype=np.int64).reshape(-1, 2)

    @cached_property
    def molecules(self) -> np.ndarray:
        """Molecule of every bead (n_beads,) int64."""
        return np.array(self._metadata("molecules"), dtype=np.int64)

    @cached_property
    def masses(self) -> np.ndarray:
        """Bead masses (n_beads,), Da."""
        return np.array(self._metadata("masses"), dtype=np.float64)

    @cached_property
    def mapping(self) -> dict[str, Any]:
        """Definition of the mapping, see `openmmcg.mapping.Mapping.from_dict`."""
        return dict(json.loads(self._metadata("mapping")))

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
        return dict(json.loads(self._metadata("source")))

    @cached_property
    def topology(self) -> md.Topology:
        """CG topology: bead names, residues, bonds."""
        return topology_from_dict(json.loads(self._metadata("topology")))

    @cached_property
    def atomistic(self) -> md.Topology | None:
        """Topology of the atoms that were mapped; None in files that do not hold it."""
        text = self._metadata("atomistic")
        return None if text is None else topology_from_dict(json.loads(text))

    @cached_property
    def constraints(self) -> np.ndarray | None:
        """Atom pairs (n_constraints, 2) int64 that were kept rigid; None if not recorded."""
        pairs = self._metadata("constraints")
        return None if pairs is None else np.array(pairs, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def position_noise(self) -> float:
        """Standard deviation of noise that was added to the positions, nm; 0 if none was.

        The forces then are labels of the potential of mean force of the noised beads.
        """
        return float(self._node.attrs.get("position_noise", 0.0))

    def mapping_on_atoms(self) -> Mapping:
        """Return the mapping on the atomistic topology, as it was when the dataset was made.

        Raises
        ------
        ValueError
            If the file holds no atomistic topology, or the definition gives another mapping
            now.
        """
        if self.atomistic is None:
            raise ValueError(
                f"{self.path} does not hold the atomistic topology; make the mapping with "
                "Mapping.from_dict(dataset.mapping, topology)."
            )
        mapping = Mapping.from_dict(self.mapping, self.atomistic)
        if mapping.hash != self.mapping_hash:
            raise ValueError(
                f"{self.path}: the mapping {mapping.name!r} made from its definition is not the "
                "one that made the frames (their hashes differ); the file was changed or its "
                "definition is read differently now, write it again."
            )
        return mapping

    def arrays(self) -> set[str]:
        """Return the names of the arrays over frames that the file holds."""
        return {name for name in LAYOUT if name in self._node}

    def attributes(self) -> dict[str, Any]:
        """Return the group's attributes for a writer; see `openmmcg.data.frames.ATTRIBUTES`."""
        return {name: getattr(self, name) for name in ATTRIBUTES}

    def metadata(self, **changes: Any) -> dict[str, Any]:
        """Return the metadata for a writer, JSON as text; `changes` replaces some."""
        stored = {name: self._metadata(name) for name in METADATA}
        stored["type_names"] = list(self.type_names)
        stored.update(changes)
        return {name: value for name, value in stored.items() if value is not None}

    def frames(self, start: int = 0, stop: int | None = None) -> Frames:
        """Return all arrays over frames, or those of the frames from `start` up to `stop`.

        A part is read anew at each call and not kept.
        """
        if start == 0 and stop is None:
            return Frames(**{name: getattr(self, name) for name in LAYOUT})
        rows = slice(*slice(start, stop).indices(self.n_frames))
        parts: dict[str, Any] = dict.fromkeys(LAYOUT)
        parts.update({name: self._read(name, rows) for name in self.arrays()})
        return Frames(**parts)

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Return some frames of an array by its name, see `arrays`; read anew at each call."""
        return self._read(name, rows)

    def chunks(self, n_frames: int = 1000) -> Iterator[Frames]:
        """Yield all frames in pieces of at most `n_frames`."""
        for start in range(0, self.n_frames, n_frames):
            yield self.frames(start, start + n_frames)

    def _read(self, name: str, rows: slice | None = None) -> np.ndarray:
        node = self._node
        try:
            return np.asarray(node[name][rows or slice(self.n_frames)])
        except OSError as error:
            raise ValueError(
                f"{self.path}: the array {name!r} cannot be read, the file is damaged; "
                "write it again."
            ) from error

    def _optional(self, name: str) -> np.ndarray | None:
        return self._read(name) if name in self._node else None

    def _metadata(self, name: str) -> Any:
        """Return an array, a list of names or a text of JSON; None if it is not in the file."""
        node = self._node
        if "metadata" not in node:  # format version 1
            return node.attrs.get(name)
        if name not in node["metadata"]:
            return None
        data = node["metadata"][name]
        return data.asstr()[()] if h5py.check_string_dtype(data.dtype) else data[()]
