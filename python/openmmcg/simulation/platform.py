"""Choice of the OpenMM platform."""

from __future__ import annotations

import openmm

_KERNEL = "CalcCGForce"
# Models are evaluated on the host on these, for which the CPU platform has the beads at hand.
_HOST_PATH = ("OpenCL", "HIP")
_INSTALL = {
    "CUDA": 'install OpenMM\'s part for it (pip install "openmm[cuda13]") and build OpenMM-CG again',
}


def choose_platform(name: str = "auto") -> openmm.Platform:
    """Return an OpenMM platform that can evaluate a CG model.

    Parameters
    ----------
    name : str
        A platform's name, or ``auto`` for the fastest one; OpenCL and HIP, which evaluate models on the host, count
        less than the CPU platform.

    Raises
    ------
    ValueError
        If there is no such platform or it cannot run CG models here. The message tells why.
    """
    platforms = [openmm.Platform.getPlatform(i) for i in range(openmm.Platform.getNumPlatforms())]
    obstacles = {platform.getName(): _find_obstacle(platform) for platform in platforms}
    usable = {p.getName(): p for p in platforms if obstacles[p.getName()] is None}
    if name == "auto":
        return max(usable.values(), key=lambda p: (p.getName() not in _HOST_PATH, p.getSpeed()))
    if name not in usable:
        remedy = f"; {_INSTALL[name]}" if name in _INSTALL else ""
        why = obstacles.get(name, f"OpenMM has no such platform here{remedy}")
        raise ValueError(
            f"The platform {name!r} cannot run CG models here ({why}); choose auto or one of "
            f"{', '.join(usable)}."
        )
    return usable[name]


def _find_obstacle(platform: openmm.Platform) -> str | None:
    """Return why a platform cannot evaluate CG models here, or None if it can."""
    name = platform.getName()
    if not platform.supportsKernels([_KERNEL]):
        return f"OpenMM-CG was built without it; {_INSTALL.get(name, 'build OpenMM-CG again')}"
    try:
        devices = platform.getDevices()
    except openmm.OpenMMException as error:
        return f"OpenMM finds no device for it: {error}"
    if not devices:
        return "OpenMM finds no device for it"
    return _find_torch_obstacle() if name == "CUDA" else None


def _find_torch_obstacle() -> str | None:
    """Return why PyTorch, which evaluates models on CUDA, cannot use it, or None if it can."""
    import torch

    if torch.cuda.is_available():
        return None
    return (
        f"PyTorch {torch.__version__}, which evaluates models on it, finds no CUDA device; install a "
        "PyTorch for CUDA and build OpenMM-CG again"
    )
