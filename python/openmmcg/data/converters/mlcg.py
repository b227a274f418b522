"""mlcg's HDF5 layout: /METASET/MOLECULE with cg_coords, cg_delta_forces and attributes.

mlcg (https://github.com/ClementiGroup/mlcg) trains on delta forces, forces less those of the
priors. What is written here are full forces under that name, as its loaders look for it; the
attribute "content" says so. Å and kcal/mol/Å.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from openmmcg.data.dataset import Dataset
from openmmcg.data.opening import naming_damage
from openmmcg.data.trajectories.base import Arrays, AtomTrajectory, Units, expect_shapes
from openmmcg.data.trajectories.units import force_factor, length_factor
from openmmcg.files import atomic_path

LENGTH, FORCE = "angstrom", "kcal/mol/angstrom"
_FULL = "full forces, no prior subtracted"


class MlcgTrajectory(AtomTrajectory):
    """Beads of one molecule of an mlcg file.

    Parameters
    ----------
    path : Path
    given : Units
        Of files whose units are not mlcg's.
    group : str or None
        "METASET/MOLECULE"; None if the file holds one.
    full_forces : bool
        The user's word that the forces are full ones, where the file does not say so.

    Raises
    ------
    ValueError
        If the file is damaged or in another layout, a group is missing or needed, or its forces
        are delta forces.
    """

    def __init__(self, path: Path, given: Units, group: str | None, full_forces: bool) -> None:
        self.path = path
        with naming_damage(path):
            self._file = h5py.File(path, "r")
        try:
            self._open(given, group, full_forces)
        except BaseException:
            self._file.close()
            raise

    def _open(self, given: Units, group: str | None, full_forces: bool) -> None:
        node = self._node = self._file[_choose(self._file, self.path, group)]
        keys = ("cg_forces", "cg_delta_forces")
        self._key = next((key for key in keys if key in node), keys[1])
        if "cg_coords" not in node or self._key not in node:
            raise ValueError(f"{self.path}: {node.name} lacks cg_coords or cg_delta_forces.")
        stated = node[self._key].attrs.get("content") == _FULL or self._key == "cg_forces"
        if not (stated or full_forces):
            raise ValueError(
                f"{self.path} holds delta forces, but datasets hold full ones; map the trajectory "
                "again, or say that no prior was subtracted (--full_forces)."
            )
        shapes = {"positions": node["cg_coords"].shape, "forces": node[self._key].shape}
        expect_shapes(self.path, shapes)
        self.n_frames, self.n_atoms = shapes["positions"][:2]
        self.holds = frozenset(shapes)
        self.embeds = np.array(node.attrs.get("cg_embeds", np.zeros(0)), dtype=np.int64)
        units = Units(
            node["cg_coords"].attrs.get("units") or (None if given.length else LENGTH),
            node[self._key].attrs.get("units") or (None if given.force else FORCE),
        )
        self._set_units(units, given)

    def close(self) -> None:
        self._file.close()

    def _read(self, start: int, stop: int, stride: int) -> Arrays:
        rows = slice(start, stop, stride)
        try:
            return {
                "positions": self._node["cg_coords"][rows],
                "forces": self._node[self._key][rows],
            }
        except OSError as error:
            raise ValueError(f"{self.path} is damaged ({error}); write it again.") from error


def is_mlcg(path: Path) -> bool:
    """Return whether an HDF5 file is in mlcg's layout."""
    try:
        with h5py.File(path, "r") as file:
            return bool(_molecules(file))
    except OSError:
        return False


def _molecules(file: h5py.File) -> list[str]:
    return [
        f"{name}/{inner}"
        for name, node in file.items()
        if isinstance(node, h5py.Group)
        for inner, child in node.items()
        if isinstance(child, h5py.Group) and "cg_coords" in child
    ]


def _choose(file: h5py.File, path: Path, group: str | None) -> str:
    names = _molecules(file)
    if group is None and len(names) == 1:
        return names[0]
    if group is None or group not in names:
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise ValueError(
            f"{path} holds {listed or 'no molecules'}; "
            + ("name one of them (--group)." if group is None else f"there is no {group!r}.")
        )
    return group


def write_mlcg(dataset: Dataset, path: Path, units: Units) -> None:
    """Write a dataset as /NAME/NAME; types count from 1, as 0 is padding.

    Parameters
    ----------
    dataset : Dataset
    path : Path
        Replaced in one step.
    units : Units
        mlcg's if None.
    """
    length, force = units.length or LENGTH, units.force or FORCE
    scales = {"cg_coords": (1 / length_factor(length), length, "positions")}
    scales["cg_delta_forces"] = (1 / force_factor(force), force, "forces")
    shape = (dataset.n_frames, dataset.n_beads, 3)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        node = file.create_group(f"{dataset.name}/{dataset.name}")
        node.attrs["cg_embeds"] = dataset.types + 1
        node.attrs["N_frames"] = dataset.n_frames
        for key, (_, unit, _) in scales.items():
            node.create_dataset(key, shape, "<f4").attrs["units"] = unit
        node["cg_delta_forces"].attrs["content"] = _FULL
        start = 0
        for frames in dataset.chunks():
            rows = slice(start, start + frames.n_frames)
            for key, (scale, _, name) in scales.items():
                node[key][rows] = getattr(frames, name) * np.float32(scale)
            start = rows.stop
