"""The kinds of prior by name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from openmmcg.priors.base import PriorTerm
from openmmcg.priors.harmonic import HarmonicAngles, HarmonicBonds, RestrictedBending
from openmmcg.priors.repulsion import Repulsion
from openmmcg.priors.tables import (
    TabulatedAngles,
    TabulatedBonds,
    TabulatedPairs,
    TabulatedTorsions,
)
from openmmcg.priors.torsional import FourierTorsions, SignedImpropers

KINDS: dict[str, type[PriorTerm]] = {
    kind.kind: kind
    for kind in (
        HarmonicBonds,
        HarmonicAngles,
        SignedImpropers,
        RestrictedBending,
        FourierTorsions,
        Repulsion,
        TabulatedBonds,
        TabulatedAngles,
        TabulatedTorsions,
        TabulatedPairs,
    )
}
"""Kinds of prior by name, in the order in which they are fitted and added."""

DEFAULT_KINDS = (HarmonicBonds.kind, HarmonicAngles.kind, SignedImpropers.kind)
"""Kinds that are fitted unless others are asked for."""


def find_kind(name: str) -> type[PriorTerm]:
    """Kind of prior of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in KINDS:
        close = get_close_matches(name, KINDS, n=1)
        advice = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(KINDS)}."
        raise ValueError(f"There is no kind of prior {name!r}; {advice}")
    return KINDS[name]


def choose_kinds(names: Sequence[str]) -> list[type[PriorTerm]]:
    """Kinds of prior of names, in the order of `KINDS`.

    Raises
    ------
    ValueError
        If a name is unknown, or two kinds act on the same coordinates: each would be fitted as if
        it were alone.
    """
    chosen = {find_kind(name) for name in names}
    kinds = [kind for kind in KINDS.values() if kind in chosen]
    owner: dict[str, str] = {}
    for kind in kinds:
        other = owner.setdefault(kind.acts_on, kind.kind)
        if other != kind.kind:
            raise ValueError(
                f"The priors {other} and {kind.kind} both act on {kind.acts_on}, and each would "
                "be fitted as if it were alone; choose one."
            )
    return kinds
