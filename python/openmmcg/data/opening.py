"""Open dataset files and check that they are whole, of a known format and in our units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from openmmcg.data.frames import (
    ATTRIBUTES,
    FORMAT,
    FORMAT_VERSION,
    LAYOUT,
    METADATA,
    OPTIONAL,
)


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn h5py's complaint about a file that it cannot open into a sentence (ValueError)."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{path} is not an HDF5 file or is truncated ({error}); write it again."
        ) from error


def open_file(path: Path) -> h5py.File:
    """Open a dataset file for reading.

    A file that is being written with ``append=True``, or whose writer was killed, is opened too:
    it holds all frames that were complete.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not an HDF5 file, truncated, no dataset, or of a newer format.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"No dataset {path}; `openmm-cg sample` and `openmm-cg map` write datasets."
        )
    with naming_damage(path):
        file = _open_growing(path)
    try:
        _check_format(file, path)
    except BaseException:
        file.close()
        raise
    return file


def _open_growing(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "already open for" not in str(error):
            raise
        return h5py.File(path, "r", swmr=True)


def _check_format(file: h5py.File, path: Path) -> None:
    found = file.attrs.get("format")
    if found != FORMAT:
        raise ValueError(
            f"{path} is an HDF5 file but not a dataset of openmmcg (format {found!r}); "
            "`openmm-cg sample` and `openmm-cg map` write datasets, `openmm-cg convert` reads "
            "other layouts."
        )
    version = file.attrs.get("format_version")
    if not 1 <= version <= FORMAT_VERSION:
        raise ValueError(
            f"{path} has dataset format {version}, this openmmcg reads up to {FORMAT_VERSION}; "
            "update openmmcg."
        )


def choose_group(file: h5py.File, path: Path, group: str | None) -> str:
    """Return the name of the system to read, the only one if None; raise ValueError if unclear."""
    names = list(file)
    if group is None and len(names) == 1:
        return str(names[0])
    if group is None or group not in names:
        raise ValueError(
            f"{path} holds the systems {', '.join(names) or '(none)'}; "
            f"{'name one of them' if group is None else f'there is no {group!r}'}."
        )
    return group


def check_group(node: h5py.Group, path: Path) -> None:
    """Raise ValueError if a system lacks something, or an array's shape or units are wrong."""
    metadata = node.attrs if node.file.attrs["format_version"] == 1 else node.get("metadata", ())
    lacking = [n for n, layout in LAYOUT.items() if n not in node and not layout.optional]
    lacking += [n for n in ATTRIBUTES if n not in node.attrs and n not in OPTIONAL]
    lacking += [n for n in METADATA if n not in metadata and n not in OPTIONAL]
    if lacking:
        raise ValueError(
            f"{path}: the system {node.name!r} lacks {', '.join(lacking)}; write it again."
        )
    n_frames, n_beads = (*node["positions"].shape, 0, 0)[:2]
    for name, layout in LAYOUT.items():
        if name not in node:
            continue
        shape = node[name].shape
        expected = (n_frames, *layout.frame_shape(n_beads))
        # A writer that was killed may have been between two arrays.
        if shape[1:] != expected[1:] or (shape != expected and not node.file.swmr_mode):
            raise ValueError(
                f"{path}: the array {name!r} has shape {shape}, expected {expected}; "
                "the file is damaged, write it again."
            )
        units = node[name].attrs.get("units")
        if units != layout.units:
            raise ValueError(
                f"{path}: the array {name!r} has units {units!r}, expected {layout.units!r}; "
                "convert it."
            )
