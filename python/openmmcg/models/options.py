"""Checks of hyperparameters that several networks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.radial import BASES, ENVELOPES, BesselBasis, ExpNormBasis, RadialBasis

Ranges = Sequence[Sequence[float]]


def check_sizes(network: str, **sizes: tuple[int, int]) -> None:
    """Refuse sizes that are too small.

    Parameters
    ----------
    network : str
        Name for the message.
    **sizes : (int, int)
        Value and least accepted value of each hyperparameter.

    Raises
    ------
    ValueError
        Naming the first one that is too small or no whole number.
    """
    for what, (value, least) in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{network} needs {what} of at least {least}, but it is {value!r}.")


def check_choice(network: str, what: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices.

    Raises
    ------
    ValueError
        Naming the choices.
    """
    known = tuple(choices)
    if value not in known:
        raise ValueError(f"{network} knows {what} of {', '.join(known)}, but it is {value!r}.")


def full_ranges(network: str, ranges: Ranges | None, cutoff: float) -> list[list[float]]:
    """Return one range for each edge type; by default from 0 to the cutoff.

    Parameters
    ----------
    network : str
        Name for the message.
    ranges : sequence of pairs of float or None
        For each edge type the distances in nm that its functions cover.
    cutoff : float
        nm.

    Returns
    -------
    list of [float, float]

    Raises
    ------
    ValueError
        If there is not one increasing pair for each edge type.
    """
    spans = [[float(low), float(high)] for low, high in ranges or []]
    spans = spans or [[0.0, cutoff]] * EDGE_TYPE_COUNT
    if len(spans) != EDGE_TYPE_COUNT or any(not 0 <= low < high for low, high in spans):
        raise ValueError(
            f"{network} needs {EDGE_TYPE_COUNT} ranges (one for each edge type) of increasing "
            f"distances in nm, but they are {spans}."
        )
    return spans


def radial_basis(
    network: str, kind: str, count: int, cutoff: float, ranges: Ranges | None, envelope: str
) -> tuple[RadialBasis | BesselBasis | ExpNormBasis, dict[str, Any]]:
    """Make a radial basis from hyperparameters.

    Parameters
    ----------
    network : str
        Name for messages.
    kind : str
        One of `openmmcg.models.radial.BASES`.
    count : int
        Number of functions.
    cutoff : float
        nm.
    ranges : sequence of pairs of float or None
        Of Gaussians, see `full_ranges`.
    envelope : str
        One of `openmmcg.models.radial.ENVELOPES`.

    Returns
    -------
    basis : RadialBasis, BesselBasis or ExpNormBasis
    record : dict
        The hyperparameters with which `openmmcg.models.build` makes the same.

    Raises
    ------
    ValueError
        If an argument is not usable.
    """
    check_choice(network, "basis", kind, BASES)
    check_choice(network, "envelope", envelope, ENVELOPES)
    record = {"rbf": count, "ranges": None, "basis": kind, "envelope": envelope}
    if kind == "gaussian":
        spans = full_ranges(network, ranges, cutoff)
        return RadialBasis(count, cutoff, spans, envelope), {**record, "ranges": spans}
    if ranges is not None:
        raise ValueError(
            f"{network} takes ranges for each edge type with the basis gaussian only, but it is "
            f"{kind}; leave them out."
        )
    functions = BesselBasis if kind == "bessel" else ExpNormBasis
    return functions(count, cutoff, envelope), record
