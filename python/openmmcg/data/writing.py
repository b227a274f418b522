"""Write datasets, whole or in pieces."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingABC
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from openmmcg.data.dataset import Dataset
from openmmcg.data.frames import FORMAT, FORMAT_VERSION, LAYOUT, Frames
from openmmcg.files import atomic_path
from openmmcg.mapping import Mapping, topology_to_dict

_CHUNK_FRAMES = 1024
_CHUNK_BYTES = 1 << 20
_GROWING = ("v110", "v110")  # the first version of HDF5's format that can be read while written
_GROWING_SUPERBLOCK = 3

Append = Callable[[Frames], None]


@contextmanager
def dataset_writer(
    path: str | os.PathLike[str],
    mapping: Mapping,
    *,
    force_map: str,
    source: MappingABC[str, Any],
    constraints: np.ndarray | None = None,
    position_noise: float = 0.0,
    group: str = "system",
    append: bool = False,
) -> Iterator[Append]:
    """Write one system's frames in pieces.

    Parameters
    ----------
    path : path-like
        The HDF5 file.
    mapping : Mapping
        The mapping that made the frames.
    force_map : str
        Kind of the force map that made the forces.
    source : dict
        JSON-able provenance.
    constraints : (n_constraints, 2) int, optional
        Pairs of atoms that were kept rigid, see `openmmcg.data.constraint_pairs`.
    position_noise : float
        Standard deviation of noise added to the positions, nm.
    group : str
        Name of the system.
    append : bool
        False: the file appears, or replaces an older one, when the block ends without error.
        True: the file is there from the first frames on and holds all that ``append`` has
        returned for, even if the process is killed; an existing file is continued.

    Yields
    ------
    callable
        ``append(frames)``; the first frames decide whether the dataset has boxes, energies and
        errors of the forces.

    Raises
    ------
    ValueError
        If the arrays disagree with each other or with the mapping, nothing was appended, or an
        existing file to be continued has another mapping, force map, noise, constraints or group.
    """
    metadata = {
        "types": mapping.types,
        "type_names": list(mapping.type_names),
        "bonds": mapping.bonds,
        "molecules": mapping.molecules,
        "masses": mapping.masses,
        "mapping": json.dumps(mapping.to_dict()),
        "topology": json.dumps(topology_to_dict(mapping.topology)),
        "atomistic": json.dumps(topology_to_dict(mapping.atomistic)),
        "source": json.dumps(source),
    }
    if constraints is not None:
        metadata["constraints"] = np.asarray(constraints, dtype=np.int64).reshape(-1, 2)
    attributes = {
        "mapping_hash": mapping.hash,
        "force_map": force_map,
        "position_noise": position_noise,
    }
    if append:
        writer = growing_file(Path(path), group, attributes, metadata)
    else:
        writer = complete_file(path, group, attributes, metadata)
    with writer as write:
        yield write


def write_dataset(
    path: str | os.PathLike[str],
    mapping: Mapping,
    frames: Frames,
    *,
    force_map: str,
    source: MappingABC[str, Any],
    constraints: np.ndarray | None = None,
    position_noise: float = 0.0,
    group: str = "system",
) -> Path:
    """Write a dataset that fits in memory; parameters and errors as `dataset_writer`."""
    with dataset_writer(
        path,
        mapping,
        force_map=force_map,
        source=source,
        constraints=constraints,
        position_noise=position_noise,
        group=group,
    ) as append:
        append(frames)
    return Path(path)


@contextmanager
def complete_file(
    path: str | os.PathLike[str],
    group: str,
    attributes: MappingABC[str, Any],
    metadata: MappingABC[str, Any],
    library: tuple[str, str] | None = None,
) -> Iterator[Append]:
    """Write a file that appears once it is whole; see `dataset_writer`.

    Parameters
    ----------
    path : path-like
    group : str
    attributes, metadata : dict
        Values of `openmmcg.data.frames.ATTRIBUTES` and `METADATA`, JSON as text.
    library : tuple, optional
        Oldest and newest version of HDF5's format to use.
    """
    with (
        new_file(path, library) as file,
        new_system(file, group, attributes, metadata) as append,
    ):
        yield append


@contextmanager
def new_file(
    path: str | os.PathLike[str], library: tuple[str, str] | None = None
) -> Iterator[h5py.File]:
    """Write a file without systems yet; it appears when the block ends without error."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w", libver=library) as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION)
        yield file


@contextmanager
def new_system(
    file: h5py.File, group: str, attributes: MappingABC[str, Any], metadata: MappingABC[str, Any]
) -> Iterator[Append]:
    """Add a system to an open file; raises ValueError if no frame is appended."""
    node = file.create_group(group)
    node.attrs.update(attributes)
    for name, value in metadata.items():
        node.create_dataset(f"metadata/{name}", data=value)
    yield partial(_append, node)
    if "positions" not in node:
        raise ValueError("A dataset needs at least one frame; none was appended.")


@contextmanager
def growing_file(
    path: Path, group: str, attributes: MappingABC[str, Any], metadata: MappingABC[str, Any]
) -> Iterator[Append]:
    """Write or continue a file that can be read at any time; parameters as `complete_file`.

    This is HDF5's single-writer, multiple-readers mode: the file on disk is consistent after every
    write, at the price that its arrays must exist before. The first frames are therefore written
    as a complete file, which is then opened again.
    """
    file: h5py.File | None = None

    def write(frames: Frames) -> None:
        nonlocal file
        if file is None and not path.exists():
            with complete_file(path, group, attributes, metadata, _GROWING) as append:
                append(frames)
            return
        if file is None:
            _prepare_to_continue(path, group, attributes, metadata)
            file = h5py.File(path, "r+", libver=_GROWING)
            file.swmr_mode = True
        _append(file[group], frames)
        file.flush()

    try:
        yield write
        if not path.exists():
            raise ValueError("A dataset needs at least one frame; none was appended.")
    finally:
        if file is not None:
            file.close()


def _prepare_to_continue(
    path: Path, group: str, attributes: MappingABC[str, Any], metadata: MappingABC[str, Any]
) -> None:
    """Raise ValueError if a file belongs to something else; rewrite one that cannot grow."""
    with Dataset.open(path, group) as found:
        pairs = metadata.get("constraints")
        equal = {name: getattr(found, name) == value for name, value in attributes.items()}
        equal["constraints"] = np.array_equal(
            np.zeros(0) if pairs is None else pairs,
            np.zeros(0) if found.constraints is None else found.constraints,
        )
        if different := [name for name, same in equal.items() if not same]:
            raise ValueError(
                f"{path} holds frames with another {', '.join(different)}, so it cannot be "
                "continued; choose another file or remove it."
            )
        if found.growing or _superblock(path) < _GROWING_SUPERBLOCK:
            # A killed writer's arrays may differ in length, and its mark stays in the file.
            with complete_file(path, group, attributes, metadata, _GROWING) as append:
                for frames in found.chunks():
                    append(frames)


def _superblock(path: Path) -> int:
    with h5py.File(path, "r") as file:
        return int(file.id.get_create_plist().get_version()[0])


def _append(node: h5py.Group, frames: Frames) -> None:
    arrays = frames.arrays()
    n_beads = len(node["metadata/types"])
    if arrays["positions"].shape[1:] != (n_beads, 3):
        raise ValueError(
            f"Positions have shape {arrays['positions'].shape}, the mapping has {n_beads} beads; "
            "expected (n_frames, n_beads, 3)."
        )
    present = {name for name in LAYOUT if name in node}
    if present and set(arrays) != present:
        different = ", ".join(sorted(set(arrays) ^ present))
        raise ValueError(f"Either all frames of a dataset have {different} or none.")
    for name, array in arrays.items():
        layout = LAYOUT[name]
        shape = layout.frame_shape(n_beads)
        if name not in node:
            frame_bytes = np.dtype(layout.dtype).itemsize * int(np.prod(shape))
            node.create_dataset(
                name,
                shape=(0, *shape),
                maxshape=(None, *shape),
                chunks=(max(1, min(_CHUNK_FRAMES, _CHUNK_BYTES // frame_bytes)), *shape),
                dtype=layout.dtype,
            ).attrs["units"] = layout.units
        data = node[name]
        start = len(data)
        data.resize(start + len(array), axis=0)
        data[start:] = array
