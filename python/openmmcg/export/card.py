"""The model card: what a model file says about itself."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

FORMAT = "openmmcg-model"
FORMAT_VERSION = 1
TEMPERATURE = "CGTemperature"
"""Name of the first global parameter, the temperature."""

INTERFACES = ("pairs", "positions")
UNITS = {
    "length": "nm",
    "energy": "kJ/mol",
    "time": "ps",
    "mass": "Da",
    "temperature": "K",
    "charge": "e",
}
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "interface": str,
    "architecture": dict,
    "bead_types": list,
    "cutoff": (int, float),
    "dtype": str,
    "temperature": (int, float),
    "temperature_range": list,
    "parameters": list,
    "edge_types": dict,
    "units": dict,
}


def make_card(
    *,
    interface: str,
    architecture: Mapping[str, Any] | None,
    bead_types: Sequence[str],
    cutoff: float,
    dtype: torch.dtype,
    temperature: float,
    temperature_range: Sequence[float] | None,
    parameters: Mapping[str, float] | None,
    mapping: Mapping[str, Any] | None,
    topology: Mapping[str, Any] | None,
    priors: Mapping[str, Any] | None,
    training: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Assemble and check a card; arguments as in `openmmcg.export.save`.

    Returns
    -------
    dict
        All entries but ``sha256``.

    Raises
    ------
    ValueError
        If an entry is not usable.
    """
    import torch

    from openmmcg.models import EDGE_TYPE_COUNT, EDGE_TYPE_SCHEME

    low, high = temperature_range or (temperature, temperature)
    declared = [{"name": TEMPERATURE, "default": float(temperature), "unit": "K"}]
    declared += [
        {"name": name, "default": float(default), "unit": ""}
        for name, default in (parameters or {}).items()
    ]
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "interface": interface,
        "architecture": dict(architecture or {"name": "custom", "hyperparameters": {}}),
        "bead_types": list(bead_types),
        "cutoff": float(cutoff),
        "dtype": str(dtype).removeprefix("torch."),
        "temperature": float(temperature),
        "temperature_range": [float(low), float(high)],
        "parameters": declared,
        "edge_types": {"scheme": EDGE_TYPE_SCHEME, "count": EDGE_TYPE_COUNT},
        "units": UNITS,
        "mapping": mapping,
        "topology": topology,
        "priors": priors,
        "training": training,
        "created_with": {"openmmcg": package_version(), "torch": torch.__version__},
    }
    check_card(card, "The card")
    return card


def check_format(card: Mapping[str, Any], source: str) -> None:
    """Refuse a card of another format or version; comes before anything else is read.

    Parameters
    ----------
    card : mapping
        The card.
    source : str
        What to call the file in messages.

    Raises
    ------
    ValueError
        Naming the entry, what was found and what to do.
    """
    if card.get("format") != FORMAT:
        raise ValueError(
            f"{source} has format {card.get('format')!r}, but {FORMAT!r} was expected; write the "
            "model with openmmcg.export.save."
        )
    version = card.get("format_version")
    if version != FORMAT_VERSION:
        written = (card.get("created_with") or {}).get("openmmcg", "another version")
        raise ValueError(
            f"{source} has format version {version} (written by openmmcg {written}), but openmmcg "
            f"{package_version()} reads version {FORMAT_VERSION}; upgrade with `pip install "
            "--upgrade openmm-cg` or export the model again."
        )


def check_card(card: Mapping[str, Any], source: str) -> None:
    """Refuse a card that is incomplete or contradicts itself; arguments as of `check_format`.

    Raises
    ------
    ValueError
        Naming the entry, what was found and what to do.
    """
    for key, kind in _REQUIRED.items():
        if not isinstance(card.get(key), kind):
            raise ValueError(
                f"{source}: entry {key!r} of the card is {card.get(key)!r}; export the model again."
            )
    _check_values(card, source)
    if card.get("topology") is not None:
        _check_topology(card["topology"], card["bead_types"], source)


def _check_values(card: Mapping[str, Any], source: str) -> None:
    interface, types, cutoff = card["interface"], card["bead_types"], card["cutoff"]
    if interface not in INTERFACES:
        raise ValueError(
            f"{source}: the interface is {interface!r}; it must be one of {', '.join(INTERFACES)}."
        )
    if interface == "pairs" and (not types or not cutoff > 0):
        raise ValueError(
            f"{source}: a model that takes pairs needs bead types and a positive cutoff in nm, "
            f"but these are {types} and {cutoff}."
        )
    if len(set(types)) != len(types):
        raise ValueError(f"{source}: the bead types {types} repeat a name; name each once.")
    low, high = card["temperature_range"]
    if not 0 < low <= card["temperature"] <= high:
        raise ValueError(
            f"{source}: the temperature {card['temperature']} K must be positive and within its "
            f"range, {low} to {high} K."
        )
    names = [entry["name"] for entry in card["parameters"]]
    if not names or names[0] != TEMPERATURE or len(set(names)) != len(names):
        raise ValueError(
            f"{source}: the parameters are {names}; the first must be {TEMPERATURE}, and no name "
            "may repeat."
        )
    if card["dtype"] not in ("float32", "float64"):
        raise ValueError(
            f"{source}: the model's numbers are {card['dtype']}; convert it to float32 or float64."
        )


def _check_topology(topology: Mapping[str, Any], bead_types: Sequence[str], source: str) -> None:
    n_beads = len(topology["types"])
    for key in ("names", "residues", "molecules", "masses", "positions"):
        if len(topology[key]) != n_beads:
            raise ValueError(
                f"{source}: the topology has {n_beads} types but {len(topology[key])} {key}; give "
                "one entry a bead."
            )
    for type_index in topology["types"]:
        if not 0 <= type_index < len(bead_types):
            raise ValueError(
                f"{source}: the topology has a bead of type {type_index}, but the model knows "
                f"{len(bead_types)} types ({', '.join(bead_types)})."
            )
    for i, j in topology["bonds"]:
        if i == j or not (0 <= i < n_beads and 0 <= j < n_beads):
            raise ValueError(
                f"{source}: the topology bonds bead {i} to bead {j}, but has beads 0 to "
                f"{n_beads - 1}."
            )
    _check_box(topology.get("box"), source)


def _check_box(box: Any, source: str) -> None:
    if box is None:
        return
    vectors = np.asarray(box, dtype=np.float64)
    if vectors.shape != (3, 3) or np.triu(vectors, 1).any() or not (vectors.diagonal() > 0).all():
        raise ValueError(
            f"{source}: the box of the topology is {box}, but box vectors as rows, (ax,0,0), "
            "(bx,by,0), (cx,cy,cz) with positive ax, by and cz in nm, are expected."
        )


def package_version() -> str:
    """Version of the installed package, or ``source`` for a source tree that is not installed."""
    try:
        return importlib.metadata.version("openmm-cg")
    except importlib.metadata.PackageNotFoundError:
        return "source"
