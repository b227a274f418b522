"""Checks the installation and loads the C++ libraries, in the one order that works.

PyTorch and OpenMM are imported first, so that our libraries find theirs already loaded, whichever folder they are in.
Without PyTorch everything loads but the TorchScript runner.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

# libgomp's threads spin while they wait, which makes PyTorch 50 times slower as soon as one core is busy with something
# else. The setting is read when libgomp is loaded.
if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

LIBRARIES = Path(__file__).resolve().parent / "lib"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _check_versions(built: dict[str, str], installed: dict[str, str]) -> None:
    """Refuse other minor versions than those built for: they crash or corrupt memory."""
    if all(_minor(built[name]) == _minor(installed[name]) for name in built):
        return
    wanted = " and ".join(f"{name} {_minor(built[name])}" for name in built)
    found = " and ".join(f"{name} {installed[name]}" for name in built)
    pins = " ".join(f'"{name}=={_minor(built[name])}.*"' for name in built)
    raise ImportError(
        f"This OpenMM-CG was built for {wanted}, but {found} are installed. Either build it again "
        f"for what is installed (pip install --force-reinstall --no-deps . in its source folder), "
        f"or install the versions that it was built for (pip install {pins})."
    )


def _built_versions() -> dict[str, str]:
    """Read what the libraries were built for without loading any of them."""
    text = (LIBRARIES / "versions.txt").read_text()
    return dict(line.split("==") for line in text.split())


def load() -> ModuleType:
    """Load the libraries and return the binding module.

    Raises
    ------
    ImportError
        If OpenMM or PyTorch (where there is one) has another minor version than the one that the libraries were built
        for, or a library cannot be loaded. The message names the remedy.
    """
    if not (LIBRARIES / "versions.txt").is_file():
        raise ImportError(
            f"The C++ part of OpenMM-CG is missing from {LIBRARIES.parent}. Install the package with pip "
            "(pip install . in a clone) rather than importing it from the source tree."
        )
    import openmm.version

    built = _built_versions()
    installed = {"openmm": openmm.version.short_version}
    if "torch" in built:
        try:
            import torch

            installed["torch"] = str(torch.__version__)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            del built["torch"]  # models that the native engine knows run all the same
    _check_versions(built, installed)
    from openmm import Platform

    from openmmcg import _openmmcg

    Platform.loadPluginsFromDirectory(str(LIBRARIES / "plugins"))
    failures = [text for text in Platform.getPluginLoadFailures() if "OpenMMCG" in text]
    needed = ("OpenMMCGReference", "OpenMMCGTorch") if "torch" in built else ("OpenMMCGReference",)
    required = [text for text in failures if any(name in text for name in needed)]
    if required:
        raise ImportError(
            f"A library of OpenMM-CG cannot be loaded: {'; '.join(required)}. Build OpenMM-CG again "
            "(pip install --force-reinstall --no-deps . in its source folder)."
        )
    return _openmmcg
