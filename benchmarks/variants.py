"""The ways to evaluate a network that `engines.py` compares; each makes a function that takes one step."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
import torch
from cases import Case

Step = Callable[[], object]


def stepper(context: openmm.Context) -> Step:
    """Return what takes one step, and keeps the Context alive."""
    return lambda: context.getIntegrator().step(1)


def ours(case: Case, runner: str, threads: int, platform: str = "CPU") -> Step:
    """One step with CGForce."""
    return stepper(case.context(case.force(runner, threads), threads, platform))


def openmm_alone(case: Case, threads: int) -> Step:
    """One step of a System without forces."""
    return stepper(case.context(None, threads))


def python_force(case: Case, threads: int, compiled: bool) -> Step:
    """One step with OpenMM's PythonForce calling the network in PyTorch."""
    energies, inputs = case.network.bead_energies, case.inputs()
    if compiled:
        energies = torch.compile(energies)

    def compute(state: openmm.State) -> tuple[float, np.ndarray]:
        positions = torch.from_numpy(state.getPositions(asNumpy=True)._value).float()
        positions.requires_grad_(True)
        energy = energies(positions, *inputs).sum()
        (gradient,) = torch.autograd.grad(energy, positions)
        return energy.item(), -gradient.double().numpy()

    return stepper(case.context(openmm.PythonForce(compute), threads))


def inductor(case: Case, folder: Path) -> Step:
    """One call of the network compiled ahead of time, from Python and without OpenMM."""
    from torch.fx.experimental.proxy_tensor import make_fx

    def compute(positions: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energy = case.network.bead_energies(positions, *rest)
        (gradient,) = torch.autograd.grad(energy.sum(), positions)
        return energy.detach(), -gradient

    positions = torch.from_numpy(case.positions).float().requires_grad_(True)
    inputs = (positions, *case.inputs())
    graph = make_fx(compute, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    program = torch.export.export(graph, inputs)
    package = torch._inductor.aoti_compile_and_package(
        program, package_path=str(folder / "model.pt2")
    )
    model = torch._inductor.aoti_load_package(package)
    return lambda: model(*inputs)


PEER = """
import json, sys, time, numpy as np, openmm, openmmtorch, torch
model, threads, data, seconds = sys.argv[1], int(sys.argv[2]), np.load(sys.argv[3]), float(sys.argv[4])
torch.set_num_threads(threads)
system = openmm.System()
for _ in data["positions"]: system.addParticle(100.0)
system.addForce(openmmtorch.TorchForce(model))
cpu = openmm.Platform.getPlatformByName("CPU")
context = openmm.Context(system, openmm.VerletIntegrator(1e-9), cpu, {"Threads": str(threads)})
context.setPositions(data["positions"])
for line in sys.stdin:
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < seconds:
        context.getIntegrator().step(1); count += 1
    print(json.dumps((time.perf_counter() - start) / count), flush=True)
"""


class ForOpenMMTorch(torch.nn.Module):
    """The network behind openmm-torch's interface, with the pairs of the starting positions."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.network = case.network
        names = ("types", "pairs", "shifts", "edges", "constants")
        for name, value in zip(names, case.inputs(), strict=True):
            self.register_buffer(name, value)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        return self.network.bead_energies(
            positions.float(), self.types, self.pairs, self.shifts, self.edges, self.constants
        ).sum()


class OpenMMTorch:
    """A process of another environment that times rounds of steps when asked to."""

    def __init__(self, python: str, case: Case, threads: int, folder: Path, seconds: float) -> None:
        torch.jit.script(ForOpenMMTorch(case)).save(str(folder / "peer.pt"))
        np.savez(folder / "peer.npz", positions=case.positions)
        files = [str(folder / "peer.pt"), str(threads), str(folder / "peer.npz"), str(seconds)]
        self.process = subprocess.Popen(
            [python, "-c", PEER, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def round(self) -> float:
        """Seconds a step."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print("go", file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("openmm-torch ended")
        return float(json.loads(line))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
