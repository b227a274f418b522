"""Choice of the OpenMM platform."""

from __future__ import annotations

import openmm

_KERNEL = "CalcCGForce"
# Models are evaluated on the host on these, for which the CPU platform has the beads at hand.
_HOST_PATH = ("OpenCL", "HIP")


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
        If there is no such platform or it cannot run CG models here.
    """
    platforms = [openmm.Platform.getPlatform(i) for i in range(openmm.Platform.getNumPlatforms())]
    usable = {p.getName(): p for p in platforms if p.supportsKernels([_KERNEL])}
    if name == "auto":
        return max(usable.values(), key=lambda p: (p.getName() not in _HOST_PATH, p.getSpeed()))
    if name not in usable:
        raise ValueError(
            f"The platform {name!r} cannot run CG models here; choose auto or one of "
            f"{', '.join(usable)}."
        )
    return usable[name]
