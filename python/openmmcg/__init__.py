"""Machine-learned coarse-grained models in OpenMM: from an atomistic run to validated CG MD."""

from __future__ import annotations

from importlib.metadata import version as _version

from openmmcg import _plugin

_binding = _plugin.load()

from openmmcg.force import CGForce  # noqa: E402  (needs the libraries loaded)

__version__ = _version("openmm-cg")


def runners() -> list[str]:
    """Return the names of the model runners that are loaded, such as ``torchscript``."""
    return list(_binding.runners())


__all__ = ["CGForce", "__version__", "runners"]
