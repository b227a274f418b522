"""Native engine against TorchScript, PythonForce, AOTInductor and openmm-torch: the same weights, step by step in turn.

Run: python benchmarks/engines.py [--sizes 5 50 500] [--replicas 1 64] [--threads 1 2] [--output FOLDER]
     [--openmm-torch PYTHON]

A compact chain (and, from 2000 beads on, a periodic liquid) of the wanted size is evaluated by an untrained SchNet of
three interactions of width 128 with a cutoff of 1.2 nm: the time does not depend on the weights. All variants take
turns in rounds, so that a busy machine slows all of them; the table gives medians in ms a step and ratios to ours.
The peers get the pairs of our list, which is faster than what they would do. `--openmm-torch` is the Python of an
environment with acellera-openmmtorch-cpu and the OpenMM that it wants; without it that column is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import openmm
import torch
from openmmcg import CGForce, PairList, export, models

WIDTH, INTERACTIONS, RBF, CUTOFF = 128, 3, 50, 1.2
TYPES = list("ABCDEFGHIJKLMNOPQRST")
SPACING = 0.55  # nm between beads, as between residues of a folded protein
LIQUID_FROM = 2000
ROUND_SECONDS = 0.4

Step = Callable[[], object]


def geometry(beads: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions (beads, 3) on a snake through a jittered lattice, and box vectors for a liquid."""
    side = int(np.ceil(beads ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1)
    grid[1::2] = grid[1::2, ::-1]
    grid[:, 1::2] = grid[:, 1::2, ::-1]
    jitter = np.random.default_rng(0).normal(0, 0.05, (beads, 3))
    positions = grid.reshape(-1, 3)[:beads] * SPACING + jitter
    return positions, np.eye(3) * side * SPACING if beads >= LIQUID_FROM else None


class Case:
    """One system: positions of all replicas, the network, and its file."""

    def __init__(self, beads: int, replicas: int, folder: Path) -> None:
        self.beads, self.replicas = beads, replicas
        single, self.box = geometry(beads)
        self.positions = np.tile(single, (replicas, 1))
        self.types = np.tile(np.arange(beads) % len(TYPES), replicas)
        self.copies = np.repeat(np.arange(replicas), beads)
        # A liquid is of chains of five beads.
        length = 5 if self.box is not None else beads
        self.molecules = np.arange(len(self.types)) % beads // length
        first = np.flatnonzero((np.arange(len(self.types)) % beads + 1) % length != 0)
        self.bonds = np.stack([first, first + 1], 1)[first + 1 < len(self.types)]
        torch.manual_seed(0)
        self.network = models.build(
            "schnet",
            bead_types=TYPES,
            cutoff=CUTOFF,
            width=WIDTH,
            interactions=INTERACTIONS,
            rbf=RBF,
        )
        self.path = export.save(self.network, folder / "model.cg.pt", temperature=300.0)
        pairs, shifts, edges = PairList(
            bonds=self.bonds, molecules=self.molecules, replicas=self.copies, cutoff=CUTOFF
        ).update(self.positions, self.box)[:3]
        self.inputs = (
            torch.from_numpy(self.types),
            torch.from_numpy(np.ascontiguousarray(pairs)),
            torch.from_numpy(np.ascontiguousarray(shifts)).float(),
            torch.from_numpy(np.ascontiguousarray(edges)),
            torch.tensor([300.0]),
        )

    def system(self) -> openmm.System:
        """Return a System of the beads without forces."""
        system = openmm.System()
        for _ in self.types:
            system.addParticle(100.0)
        if self.box is not None:
            system.setDefaultPeriodicBoxVectors(*self.box)
        return system

    def context(self, force: openmm.Force, threads: int) -> openmm.Context:
        """Return a Context on the CPU platform that moves by next to nothing."""
        system = self.system()
        system.addForce(force)
        cpu = openmm.Platform.getPlatformByName("CPU")
        context = openmm.Context(
            system, openmm.VerletIntegrator(1e-9), cpu, {"Threads": str(threads)}
        )
        context.setPositions(self.positions)
        return context


def ours(case: Case, runner: str, threads: int) -> Step:
    """One step with CGForce."""
    force = CGForce(case.path)
    force.setProperty("runner", runner)
    force.setProperty("threads", str(threads))
    force.setUsesPeriodicBoundaryConditions(case.box is not None)
    for bead, kind in enumerate(case.types.tolist()):
        force.addBead(bead, None, kind, int(case.molecules[bead]), replica=int(case.copies[bead]))
    for i, j in case.bonds.tolist():
        force.addBond(i, j)
    context = case.context(force, threads)
    return lambda: context.getIntegrator().step(1)


def python_force(case: Case, threads: int, compiled: bool) -> Step:
    """One step with OpenMM's PythonForce calling the network in PyTorch."""
    energies = case.network.bead_energies
    if compiled:
        energies = torch.compile(energies)

    def compute(state: openmm.State) -> tuple[float, np.ndarray]:
        positions = torch.from_numpy(state.getPositions(asNumpy=True)._value).float()
        positions.requires_grad_(True)
        energy = energies(positions, *case.inputs).sum()
        (gradient,) = torch.autograd.grad(energy, positions)
        return energy.item(), -gradient.double().numpy()

    context = case.context(openmm.PythonForce(compute), threads)
    return lambda: context.getIntegrator().step(1)


def inductor(case: Case, folder: Path) -> Step:
    """One call of the network compiled ahead of time, from Python and without OpenMM."""
    from torch.fx.experimental.proxy_tensor import make_fx

    def compute(positions: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energy = case.network.bead_energies(positions, *rest)
        (gradient,) = torch.autograd.grad(energy.sum(), positions)
        return energy.detach(), -gradient

    positions = torch.from_numpy(case.positions).float().requires_grad_(True)
    inputs = (positions, *case.inputs)
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
        for name, value in zip(
            ("types", "pairs", "shifts", "edges", "constants"), case.inputs, strict=True
        ):
            self.register_buffer(name, value)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        return self.network.bead_energies(
            positions.float(), self.types, self.pairs, self.shifts, self.edges, self.constants
        ).sum()


class OpenMMTorch:
    """A process of another environment that times rounds of steps when asked to."""

    def __init__(self, python: str, case: Case, threads: int, folder: Path) -> None:
        torch.jit.script(ForOpenMMTorch(case)).save(str(folder / "peer.pt"))
        np.savez(folder / "peer.npz", positions=case.positions)
        self.process = subprocess.Popen(
            [
                python,
                "-c",
                PEER,
                str(folder / "peer.pt"),
                str(threads),
                str(folder / "peer.npz"),
                str(ROUND_SECONDS),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def round(self) -> float:
        """Seconds a step."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print("go", file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("openmm-torch ended")
        return float(json.loads(line))


def timed_round(step: Step) -> float:
    """Seconds a step over a round."""
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < ROUND_SECONDS:
        step()
        count += 1
    return (time.perf_counter() - start) / count


def measure(
    case: Case, threads: int, rounds: int, peer: str | None, folder: Path
) -> dict[str, float]:
    """Median ms a step of every variant that runs."""
    torch.set_num_threads(threads)
    made: dict[str, Callable[[], Callable[[], float]]] = {
        "native": lambda: _rounds(ours(case, "native", threads)),
        "torchscript": lambda: _rounds(ours(case, "torchscript", threads)),
        "PythonForce": lambda: _rounds(python_force(case, threads, False)),
        "PythonForce compiled": lambda: _rounds(python_force(case, threads, True)),
        "AOTInductor": lambda: _rounds(inductor(case, folder)),
    }
    if peer:
        made["openmm-torch"] = lambda: OpenMMTorch(peer, case, threads, folder).round
    variants: dict[str, Callable[[], float]] = {}
    for name, make in made.items():
        try:
            variants[name] = make()
            variants[name]()
            variants[name]()  # TorchScript specialises in its first calls
        except Exception as error:
            variants.pop(name, None)
            print(f"  {name} does not run: {str(error).splitlines()[0][:120]}", file=sys.stderr)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, one in variants.items():
            times[name].append(1e3 * one())
    return {name: statistics.median(values) for name, values in times.items()}


def _rounds(step: Step) -> Callable[[], float]:
    return lambda: timed_round(step)


def main() -> None:
    """Measure, print a table, write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--openmm-torch", metavar="PYTHON")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results = []
    for size in arguments.sizes:
        for replicas in arguments.replicas:
            if size * replicas > 20_000:
                continue
            for threads in arguments.threads:
                with tempfile.TemporaryDirectory() as name:
                    case = Case(size, replicas, Path(name))
                    found = measure(
                        case, threads, arguments.rounds, arguments.openmm_torch, Path(name)
                    )
                pairs = case.inputs[1].shape[1]
                results.append(
                    {
                        "beads": size,
                        "replicas": replicas,
                        "threads": threads,
                        "pairs": pairs,
                        "ms": found,
                    }
                )
                print(f"{size} beads x {replicas}, {threads} threads, {pairs} pairs:", flush=True)
                for variant, value in found.items():
                    print(
                        f"  {variant:22s} {value:10.4f} ms/step {value / found['native']:8.1f} x native",
                        flush=True,
                    )
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        record = {
            "command": " ".join(["python", *sys.argv]),
            "machine": platform.processor() or platform.machine(),
            "versions": {"openmm": openmm.Platform.getOpenMMVersion(), "torch": torch.__version__},
            "results": results,
        }
        (arguments.output / "engines.json").write_text(json.dumps(record, indent=1))
        (arguments.output / "engines.md").write_text(markdown(results))
        plot(results, arguments.output / "engines.png")


def markdown(results: list[dict[str, object]]) -> str:
    """Return the table of all results."""
    names = list(dict.fromkeys(name for row in results for name in row["ms"]))  # type: ignore[attr-defined]
    lines = [
        "| beads | replicas | threads | " + " | ".join(names) + " |",
        "|" + "---|" * (3 + len(names)),
    ]
    for row in results:
        ms: dict[str, float] = row["ms"]  # type: ignore[assignment]
        cells = [f"{ms[n]:.3g} ({ms[n] / ms['native']:.1f}x)" if n in ms else "" for n in names]
        lines.append(
            f"| {row['beads']} | {row['replicas']} | {row['threads']} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def plot(results: list[dict[str, object]], path: Path) -> None:
    """Draw ms a step over the number of beads for one thread."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    rows = [r for r in results if r["threads"] == 1 and r["replicas"] == 1]
    for name in dict.fromkeys(name for row in rows for name in row["ms"]):  # type: ignore[attr-defined]
        points = [(r["beads"], r["ms"][name]) for r in rows if name in r["ms"]]  # type: ignore[index,operator]
        axes.loglog(*zip(*points, strict=True), "o-", label=name)
    axes.set(xlabel="beads", ylabel="ms a step, 1 thread")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=200)


if __name__ == "__main__":
    main()
