"""What a dataset stores: arrays over frames, their types, shapes and units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FORMAT = "openmmcg-dataset"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Layout:
    """How an array is stored: type, units, and whether it has 3-vectors per bead or box rows."""

    dtype: str
    units: str
    shape: str = ""
    optional: bool = False

    def frame_shape(self, n_beads: int) -> tuple[int, ...]:
        """Return the shape of one frame's entry."""
        return {"": (), "beads": (n_beads, 3), "box": (3, 3)}[self.shape]


LAYOUT = {
    "positions": Layout("<f4", "nm", "beads"),
    "forces": Layout("<f4", "kJ/mol/nm", "beads"),
    "energies": Layout("<f8", "kJ/mol", optional=True),
    "temperatures": Layout("<f8", "K"),
    "boxes": Layout("<f4", "nm", "box", optional=True),
    "weights": Layout("<f8", "1"),
    "bias_energies": Layout("<f8", "kJ/mol"),
    "walkers": Layout("<i4", "1"),
    "force_errors": Layout("<f4", "kJ/mol/nm", "beads", optional=True),
    "thermal_forces": Layout("<f4", "kJ/mol/nm/K", "beads", optional=True),
    "thermal_force_errors": Layout("<f4", "kJ/mol/nm/K", "beads", optional=True),
    "mean_energies": Layout("<f8", "kJ/mol", optional=True),
    "mean_energy_errors": Layout("<f8", "kJ/mol", optional=True),
}

ATTRIBUTES = ("mapping_hash", "force_map", "position_noise")
"""Short values, attributes of the group."""

METADATA = (
    "types",
    "type_names",
    "bonds",
    "molecules",
    "masses",
    "mapping",
    "source",
    "topology",
    "atomistic",
    "constraints",
)
"""Values that grow with the system, arrays and JSON in the subgroup "metadata": attributes of an
HDF5 object must not exceed 64 KiB. Version 1 kept them in attributes all the same."""

OPTIONAL = ("atomistic", "constraints", "position_noise")
"""Those of `ATTRIBUTES` and `METADATA` that may be missing; version 1 has none of them."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Arrays over frames, see `Dataset` for their meaning and units.

    Attributes
    ----------
    positions, forces : (n_frames, n_beads, 3)
    energies : (n_frames,) or None
    temperatures, bias_energies : (n_frames,)
    walkers : (n_frames,) int
    weights : (n_frames,), optional
        1 if not given.
    boxes : (n_frames, 3, 3), optional
    force_errors, thermal_forces, thermal_force_errors : (n_frames, n_beads, 3), optional
        Of averages at fixed beads: standard errors of the forces, thermal response forces dF/dT
        and their standard errors.
    mean_energies, mean_energy_errors : (n_frames,), optional
        Averages of the energy at fixed beads, and their standard errors.
    """

    positions: np.ndarray
    forces: np.ndarray
    energies: np.ndarray | None
    temperatures: np.ndarray
    bias_energies: np.ndarray
    walkers: np.ndarray
    weights: np.ndarray | None = None
    boxes: np.ndarray | None = None
    force_errors: np.ndarray | None = None
    thermal_forces: np.ndarray | None = None
    thermal_force_errors: np.ndarray | None = None
    mean_energies: np.ndarray | None = None
    mean_energy_errors: np.ndarray | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.positions)

    def take(self, rows: np.ndarray) -> Frames:
        """Return the frames that `rows`, indices or a mask, selects."""
        values = {name: getattr(self, name) for name in LAYOUT}
        taken: dict[str, Any] = {
            name: None if value is None else np.asarray(value)[rows]
            for name, value in values.items()
        }
        return Frames(**taken)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by name, with weights filled in; raise ValueError if they disagree."""
        values = {name: getattr(self, name) for name in LAYOUT}
        if values["weights"] is None:
            values["weights"] = np.ones(self.n_frames)
        arrays = {name: np.asarray(v) for name, v in values.items() if v is not None}
        n_beads = arrays["positions"].shape[1] if arrays["positions"].ndim == 3 else 0
        for name, array in arrays.items():
            expected = (self.n_frames, *LAYOUT[name].frame_shape(n_beads))
            if array.shape != expected:
                raise ValueError(
                    f"The array {name!r} has shape {array.shape}, expected {expected} to go with "
                    f"positions of shape {arrays['positions'].shape}."
                )
        return arrays
