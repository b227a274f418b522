"""The recipes: all-atom systems that can be sampled without any input file."""

from __future__ import annotations

from collections.abc import Callable

from openmmcg.data.systems import liquids, peptides
from openmmcg.data.systems.atomistic import AtomisticSystem

Recipe = Callable[[str, "float | None"], AtomisticSystem]

RECIPES: dict[str, Recipe] = {**peptides.RECIPES, **liquids.RECIPES}


def recipes() -> list[str]:
    """Return the names of the recipes."""
    return sorted(RECIPES)


def recipe(
    name: str, constraints: str = "hbonds", hydrogen_mass: float | None = None
) -> AtomisticSystem:
    """Build a recipe by name.

    Parameters
    ----------
    name : str
        One of `recipes`.
    constraints : {"hbonds", "none"}
        "hbonds" keeps bonds to hydrogen rigid. Water is rigid in either case, as its models are
        defined.
    hydrogen_mass : float, optional
        Mass of a hydrogen in Da; what exceeds the element's is taken from its heavy atom, which
        leaves all distributions as they are and allows time steps of 4 fs at 3 Da. Water keeps
        its masses.

    Raises
    ------
    ValueError
        If there is no such recipe or the constraints are unknown.
    """
    if name not in RECIPES:
        raise ValueError(
            f"Unknown system {name!r}; recipes are {', '.join(sorted(RECIPES))}. A system of your "
            "own is the path of a System in XML or of a PDB or mmCIF file."
        )
    return RECIPES[name](constraints, hydrogen_mass)
