"""A process that runs one variant of the benchmark gpu.py and measures what it is told to, in lines of JSON.

It imports no more than its variant needs, since that of openmm-torch runs in another environment.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import openmm
import torch

STEP, TEMPERATURE, FRICTION, MASS = 0.004, 300.0, 10.0, 100.0  # ps, K, 1/ps, Da

# The kernels of OpenMM-CG on devices, by the part of a step that they do.
KERNELS = {
    "map": ("gatherBeads",),
    "list": (
        "checkDisplacement",
        "clearCells",
        "countCells",
        "allocateCells",
        "fillCells",
        "findCandidates",
        "sortCandidates",
        "countPairs",
        "scanPairs",
        "writePairs",
    ),
    "scatter": ("scatterForces",),
}


def part_of(kernel: str) -> str:
    """Return the part of a step that a kernel of the device does; ``other`` for those of OpenMM and the network."""
    name = kernel.split("(")[0].strip()
    return next((part for part, names in KERNELS.items() if name in names), "other")


def device_times(events: Iterable[Any], steps: int) -> dict[str, float]:
    """Return the time of each part of a step in s, from the events that PyTorch's profiler recorded in some steps.

    Among the events are the host's calls that started work of the device; only the work itself counts.
    """
    times = dict.fromkeys([*KERNELS, "other"], 0.0)
    for event in events:
        if event.device_type == torch.autograd.DeviceType.CUDA:
            times[part_of(event.name)] += 1e-6 * event.time_range.elapsed_us() / steps
    return times


class Variant:
    """One way of evaluating the network in OpenMM.

    Parameters
    ----------
    folder : Path
        Where gpu.py has written the case: ``model.cg.pt``, ``peer.pt``, ``case.npz``.
    kind : str
        ``CGForce``, ``PythonForce`` or ``openmm-torch``.
    options : dict
        Properties of the force.
    platform : str
        OpenMM platform.
    """

    def __init__(self, folder: Path, kind: str, options: dict[str, str], platform: str) -> None:
        self.data = dict(np.load(folder / "case.npz"))
        self.folder, self.options, self.platform = folder, options, platform
        self.force = {
            "CGForce": self.cg_force,
            "PythonForce": self.python_force,
            "openmm-torch": self.torch_force,
        }[kind]()
        system = openmm.System()
        for _ in self.data["positions"]:
            system.addParticle(MASS)
        if "box" in self.data:
            system.setDefaultPeriodicBoxVectors(*self.data["box"])
        system.addForce(self.force)
        self.integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, STEP)
        chosen = openmm.Platform.getPlatformByName(platform)
        self.context = openmm.Context(system, self.integrator, chosen)
        self.context.setPositions(self.data["positions"])
        self.run(20)  # warm up, and record graphs

    def cg_force(self) -> openmm.Force:
        """OpenMM-CG's force."""
        from openmmcg import CGForce

        force = CGForce(self.folder / "model.cg.pt")
        for name, value in self.options.items():
            force.setProperty(name, value)
        force.setUsesPeriodicBoundaryConditions("box" in self.data)
        columns = (self.data[name].tolist() for name in ("types", "molecules", "copies"))
        for bead, (kind, molecule, replica) in enumerate(zip(*columns, strict=True)):
            force.addBead(bead, None, kind, molecule, replica=replica)
        for i, j in self.data["bonds"].tolist():
            force.addBond(i, j)
        return force

    def python_force(self) -> openmm.Force:
        """OpenMM's PythonForce, calling the network on the device with the pairs of the starting positions."""
        device = "cuda" if self.platform == "CUDA" else "cpu"
        model = torch.jit.load(self.folder / "peer.pt", map_location=device)

        def compute(state: openmm.State) -> tuple[float, np.ndarray]:
            positions = torch.tensor(
                state.getPositions(asNumpy=True)._value, dtype=torch.float32, device=device
            ).requires_grad_(True)
            energy = model(positions)
            (gradient,) = torch.autograd.grad(energy, positions)
            return energy.item(), -gradient.double().cpu().numpy()

        return openmm.PythonForce(compute)

    def torch_force(self) -> openmm.Force:
        """openmm-torch's force, with the pairs of the starting positions."""
        import openmmtorch

        return openmmtorch.TorchForce(str(self.folder / "peer.pt"), self.options)

    def run(self, steps: int) -> None:
        """Do steps and wait for them."""
        self.integrator.step(steps)
        self.context.getState(positions=True)

    def time(self, seconds: float) -> float:
        """Return the wall time of a step in s, over at least `seconds`."""
        steps, count, start = 1, 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            self.run(steps)
            count += steps
            # One wait in a tenth of a second or so does not count.
            steps = max(1, int(0.1 * count / (time.perf_counter() - start)))
        return elapsed / count

    def waits(self, steps: int) -> float | None:
        """Return how often the host waited for the device in a step; None without the library that counts."""
        if "LD_PRELOAD" not in os.environ:
            return None
        counter = ctypes.CDLL(os.environ["LD_PRELOAD"]).count_waits
        counter.restype = ctypes.c_long
        before = counter()
        self.integrator.step(steps)
        return (counter() - before) / steps

    def split(self, steps: int) -> dict[str, float]:
        """Return the time of each part of a step in s: of the device where there is one, else of the host."""
        if self.platform == "CUDA":
            return self._device_split(steps)
        if not hasattr(self.force, "getContextInfo"):
            return {}
        before = self.force.getContextInfo(self.context)
        self.run(steps)
        after = self.force.getContextInfo(self.context)
        return {
            key.removeprefix("time_"): (after[key] - before[key]) / steps
            for key in after
            if key.startswith("time_")
        }

    def _device_split(self, steps: int) -> dict[str, float]:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            self.run(steps)
        return device_times(profiler.events(), steps)

    def info(self) -> dict[str, Any]:
        """Return what the force says of itself."""
        if not hasattr(self.force, "getContextInfo"):
            return {}
        return dict(self.force.getContextInfo(self.context))


def main() -> None:
    """Make the variant and answer lines of standard input: [method, arguments...]."""
    folder, kind, options, platform = json.loads(sys.argv[1])
    # Drivers print warnings to standard output, where they would be taken for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        variant = Variant(Path(folder), kind, options, platform)
        print(json.dumps("ready"), file=answers, flush=True)
        for line in sys.stdin:
            method, *arguments = json.loads(line)
            print(json.dumps(getattr(variant, method)(*arguments)), file=answers, flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error).splitlines()[0]}), file=answers, flush=True)


if __name__ == "__main__":
    main()
