"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from openmmcg.models.base import CGNetwork
from openmmcg.models.painn import PaiNN
from openmmcg.models.pair_spline import PairSpline
from openmmcg.models.schnet import SchNet
from openmmcg.models.tensornet import TensorNet

_NETWORKS: dict[str, Callable[..., CGNetwork]] = {
    network.name: network for network in (PaiNN, PairSpline, SchNet, TensorNet)
}


def names() -> list[str]:
    """Return the names that `build` knows."""
    return sorted(_NETWORKS)


def build(
    name: str, *, bead_types: Sequence[str], cutoff: float, **hyperparameters: Any
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
    **hyperparameters
        Further arguments of the network's class.

    Returns
    -------
    CGNetwork

    Raises
    ------
    ValueError
        If the name, a hyperparameter or a value is not usable.
    """
    if name not in _NETWORKS:
        raise ValueError(f"There is no network {name!r}; choose one of {', '.join(names())}.")
    types = tuple(bead_types)
    if not types or len(set(types)) != len(types):
        raise ValueError(
            f"Bead types must be at least one name, each once, but {list(types)} were given."
        )
    if not cutoff > 0:
        raise ValueError(f"The cutoff must be a positive distance in nm, but it is {cutoff}.")
    try:
        return _NETWORKS[name](bead_types=types, cutoff=float(cutoff), **hyperparameters)
    except TypeError as error:
        raise ValueError(f"Network {name!r} cannot be built: {error}.") from error
