"""Networks by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from openmmcg.models.base import CGNetwork
from openmmcg.models.thermal import thermal_readout

_NETWORKS = {
    "mace": "openmmcg.models.mace:MACE",
    "painn": "openmmcg.models.painn:PaiNN",
    "pair-spline": "openmmcg.models.pair_spline:PairSpline",
    "schnet": "openmmcg.models.schnet:SchNet",
    "tensornet": "openmmcg.models.tensornet:TensorNet",
}
_NEEDS = {"mace": ("mace", "mace-torch", "openmm-cg[mace]")}


def names() -> list[str]:
    """Return the names of the networks that can be built here.

    Networks that need a package that is not installed are left out.
    """
    return [name for name in sorted(_NETWORKS) if _missing(name) is None]


def _missing(name: str) -> tuple[str, str] | None:
    """Package that a network needs and what installs it, if it is not there."""
    if name not in _NEEDS:
        return None
    module, package, extra = _NEEDS[name]
    return None if find_spec(module) is not None else (package, extra)


def build(
    name: str,
    *,
    bead_types: Sequence[str],
    cutoff: float,
    thermal: str | None = None,
    **hyperparameters: Any,
) -> CGNetwork:
    """Make a network with random weights.

    Parameters
    ----------
    name : str
        One of `names()`.
    bead_types : sequence of str
        Vocabulary of bead types, without repeats.
    cutoff : float
        Range of the pair list in nm.
    thermal : {"response", "input"}, optional
        How energies depend on the temperature; see `openmmcg.models.thermal`. By default they do
        not.
    **hyperparameters
        Further arguments of the network's class, and of the thermal part: `reference_temperature`
        in K, and of "response" `heat_capacity`, of "input" `functions` and `hidden`.

    Returns
    -------
    CGNetwork

    Raises
    ------
    ValueError
        If the name, a hyperparameter or a value is not usable.
    """
    absent = _missing(name)
    if absent is not None:
        raise ValueError(
            f"The network {name!r} needs the package {absent[0]}, which is not installed; install "
            f"it with pip install '{absent[1]}'."
        )
    if name not in _NETWORKS:
        raise ValueError(f"There is no network {name!r}; choose one of {', '.join(names())}.")
    types = tuple(bead_types)
    if not types or len(set(types)) != len(types):
        raise ValueError(
            f"Bead types must be at least one name, each once, but {list(types)} were given."
        )
    if not cutoff > 0:
        raise ValueError(f"The cutoff must be a positive distance in nm, but it is {cutoff}.")
    module, _, class_name = _NETWORKS[name].partition(":")
    network = getattr(import_module(module), class_name)
    readout, others = thermal_readout(thermal, hyperparameters)
    try:
        return network(bead_types=types, cutoff=float(cutoff), thermal=readout, **others)
    except TypeError as error:
        raise ValueError(f"Network {name!r} cannot be built: {error}.") from error
