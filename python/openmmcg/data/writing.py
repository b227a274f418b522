"""Write datasets, whole or in pieces; the file appears only once it is complete."""

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

from openmmcg.data.frames import FORMAT, FORMAT_VERSION, LAYOUT, Frames
from openmmcg.files import atomic_path
from openmmcg.mapping import Mapping, topology_to_dict

_CHUNK = 1024


@contextmanager
def dataset_writer(
    path: str | os.PathLike[str],
    mapping: Mapping,
    *,
    force_map: str,
    source: MappingABC[str, Any],
    group: str = "system",
) -> Iterator[Callable[[Frames], None]]:
    """Write one system's frames in pieces; the file appears when the block ends without error.

    Parameters
    ----------
    path : path-like
        The HDF5 file, replaced atomically.
    mapping : Mapping
        The mapping that made the frames.
    force_map : str
        Kind of the force map that made the forces.
    source : dict
        JSON-able provenance.
    group : str
        Name of the system.

    Yields
    ------
    callable
        ``append(frames)``; the first frames decide whether the dataset has boxes.

    Raises
    ------
    ValueError
        If the arrays disagree with each other or with the mapping, or nothing was appended.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION)
        node = file.create_group(group)
        node.attrs.update(
            types=mapping.types,
            type_names=list(mapping.type_names),
            bonds=mapping.bonds,
            molecules=mapping.molecules,
            masses=mapping.masses,
            mapping=json.dumps(mapping.to_dict()),
            mapping_hash=mapping.hash,
            topology=json.dumps(topology_to_dict(mapping.topology)),
            force_map=force_map,
            source=json.dumps(source),
        )
        yield partial(_append, node, mapping.n_beads)
        if not len(node):
            raise ValueError("A dataset needs at least one frame; none was appended.")


def write_dataset(
    path: str | os.PathLike[str],
    mapping: Mapping,
    frames: Frames,
    *,
    force_map: str,
    source: MappingABC[str, Any],
    group: str = "system",
) -> Path:
    """Write a dataset that fits in memory; parameters and errors as `dataset_writer`."""
    with dataset_writer(path, mapping, force_map=force_map, source=source, group=group) as append:
        append(frames)
    return Path(path)


def _append(node: h5py.Group, n_beads: int, frames: Frames) -> None:
    arrays = frames.arrays()
    if arrays["positions"].shape[1:] != (n_beads, 3):
        raise ValueError(
            f"Positions have shape {arrays['positions'].shape}, the mapping has {n_beads} beads; "
            "expected (n_frames, n_beads, 3)."
        )
    if len(node) and set(arrays) != set(node):
        different = ", ".join(sorted(set(arrays) ^ set(node)))
        raise ValueError(f"Either all frames of a dataset have {different} or none.")
    for name, array in arrays.items():
        layout = LAYOUT[name]
        shape = layout.frame_shape(n_beads)
        if name not in node:
            node.create_dataset(
                name,
                shape=(0, *shape),
                maxshape=(None, *shape),
                chunks=(_CHUNK, *shape),
                dtype=layout.dtype,
            ).attrs["units"] = layout.units
        data = node[name]
        start = len(data)
        data.resize(start + len(array), axis=0)
        data[start:] = array
