"""Machine-learned coarse-grained models in OpenMM: from an atomistic run to validated CG MD."""

from __future__ import annotations

from importlib.metadata import version as _version

from openmmcg import _plugin

_binding = _plugin.load()

from openmmcg.force import CGForce  # noqa: E402  (these need the libraries loaded)
from openmmcg.pairs import PairList  # noqa: E402

__version__ = _version("openmm-cg")


def runners() -> list[str]:
    """Return the names of the model runners that are loaded, such as ``torchscript``."""
    return list(_binding.runners())


__all__ = ["CGForce", "PairList", "__version__", "runners"]
