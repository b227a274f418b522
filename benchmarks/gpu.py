"""Steps on a GPU: CGForce with and without CUDA graphs, PythonForce and openmm-torch, on the same weights in one run.

Run: python benchmarks/gpu.py [--cases 1x10 64x269 liquid1000 ...] [--openmm-torch PYTHON] [--output FOLDER]

An untrained SchNet moves replicas of a chain, or a liquid of short chains, at 300 K in steps of 4 fs. Every variant has
a process of its own, and they take turns in rounds. The peers get the pairs of our list for the starting positions, and
do not look for any. `--openmm-torch` is the Python of an environment with openmm-torch for CUDA and its OpenMM.
Without a GPU, `--platform CPU` or `OpenCL` runs the same, for small cases, without the figures of the device.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from cases import INTERACTIONS, LIQUID_FROM, RBF, WIDTH, Case
from gpu_floor import device_rates, floor_seconds, schnet_work
from gpu_worker import KERNELS, STEP
from openmmcg.simulation import choose_platform
from variants import ForOpenMMTorch

HERE = Path(__file__).resolve().parent
CASES = ["1x10", "64x10", "1x269", "64x269", "liquid1000", "liquid10000", "liquid100000"]
ROUNDS, ROUND_SECONDS, COUNTED_STEPS = 5, 0.5, 100
# What it takes to be called a variant: kind of force, its properties.
VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    "CGForce, graphs": ("CGForce", {"runner": "torchscript", "cudaGraphs": "on"}),
    "CGForce": ("CGForce", {"runner": "torchscript", "cudaGraphs": "off"}),
    "PythonForce": ("PythonForce", {}),
    "openmm-torch": ("openmm-torch", {}),
    "openmm-torch, graphs": ("openmm-torch", {"useCUDAGraphs": "true"}),
}


def parse_case(name: str) -> tuple[int, int]:
    """Return (beads, replicas) of a case: ``REPLICASxBEADS``, or ``liquidBEADS``."""
    if match := re.fullmatch(r"(\d+)x(\d+)", name):
        return int(match[2]), int(match[1])
    if (match := re.fullmatch(r"liquid(\d+)", name)) and int(match[1]) >= LIQUID_FROM:
        return int(match[1]), 1
    raise SystemExit(
        f"There is no case {name!r}; expected REPLICASxBEADS, or liquidBEADS with {LIQUID_FROM} beads or more."
    )


def write_case(case: Case, folder: Path) -> None:
    """Write what the workers read besides the model file."""
    torch.jit.script(ForOpenMMTorch(case)).save(str(folder / "peer.pt"))
    box = {} if case.box is None else {"box": case.box}
    np.savez(
        folder / "case.npz",
        positions=case.positions,
        types=case.types,
        molecules=case.molecules,
        copies=case.copies,
        bonds=case.bonds,
        **box,
    )


class Worker:
    """A process that runs a variant; see gpu_worker.py."""

    def __init__(
        self, python: str, arguments: list[Any], environment: dict[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [python, str(HERE / "gpu_worker.py"), json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._read()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the variant."""
        assert self.process.stdin is not None
        print(json.dumps([method, *arguments]), file=self.process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process has ended"}
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


def counting_library(folder: Path) -> dict[str, str]:
    """Compile the library that counts waits and return the environment that preloads it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("There is no C compiler (cc), which the count of host waits needs.")
    library = folder / "libcountwaits.so"
    source = str(HERE / "count_waits.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), source, "-ldl"], check=True
    )
    return {**os.environ, "LD_PRELOAD": str(library)}


def measure(
    case: Case, folder: Path, platform: str, peer: str | None, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Run all variants of a case in turns and return the figures of each."""
    on_device = platform == "CUDA"
    environment = counting_library(folder) if on_device else None
    workers: dict[str, Worker] = {}
    for name, (kind, options) in VARIANTS.items():
        python = peer if kind == "openmm-torch" else sys.executable
        if python is None or ("graphs" in name and not on_device):
            continue
        try:
            workers[name] = Worker(python, [str(folder), kind, options, platform], environment)
        except RuntimeError as error:
            print(f"  {name} does not run: {error}", file=sys.stderr)
    times: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            times[name].append(worker.ask("time", seconds))
    found = {}
    for name, worker in workers.items():
        found[name] = {
            "seconds": statistics.median(times[name]),
            "waits": worker.ask("waits", COUNTED_STEPS),
            "split": worker.ask("split", COUNTED_STEPS),
            "info": worker.ask("info"),
        }
        worker.close()
    return found


def share(figures: dict[str, Any]) -> float | None:
    """Return the share of map, list and scatter in a step, or None for others than CGForce."""
    if not figures["info"]:
        return None
    return sum(figures["split"].get(part, 0.0) for part in KERNELS) / figures["seconds"]


def table(results: list[dict[str, Any]]) -> str:
    """Return all results as a Markdown table."""
    lines = [
        "| case | pairs | variant | µs/step | ns/day | host waits/step | map+list+scatter | floor µs | x CGForce |",
        "|" + "---|" * 9,
    ]
    for row in results:
        reference = row["variants"].get("CGForce", {}).get("seconds")
        floor = f"{1e6 * row['floor']:.2f}" if row["floor"] is not None else ""
        for name, figures in row["variants"].items():
            part = share(figures)
            cells = [
                row["case"],
                str(row["pairs"]),
                name,
                f"{1e6 * figures['seconds']:.1f}",
                f"{row['replicas'] * 86400 * STEP * 1e-3 / figures['seconds']:.1f}",
                "" if figures["waits"] is None else f"{figures['waits']:.2f}",
                "" if part is None else f"{100 * part:.1f} %",
                floor,
                f"{figures['seconds'] / reference:.2f}" if reference else "",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table, write it and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="CASE")
    parser.add_argument("--platform", default="CUDA")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=ROUND_SECONDS, help="a round takes")
    parser.add_argument("--openmm-torch", metavar="PYTHON")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    cases = {name: parse_case(name) for name in arguments.cases}
    check_platform(arguments.platform)
    rates = None
    device = arguments.platform
    if arguments.platform == "CUDA":
        properties = torch.cuda.get_device_properties(0)
        rates, device = device_rates(properties), properties.name
        if not all(rates.values()):
            print(f"{device} does not tell its clock rates, so there is no floor.", file=sys.stderr)
            rates = None
    results: list[dict[str, Any]] = []
    for name, (beads, replicas) in cases.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            case = Case(beads, replicas, folder)
            write_case(case, folder)
            variants = measure(
                case,
                folder,
                arguments.platform,
                arguments.openmm_torch,
                arguments.rounds,
                arguments.seconds,
            )
            pairs = int(case.inputs()[1].shape[1])
        work = schnet_work(len(case.types), pairs, WIDTH, INTERACTIONS, RBF)
        results.append(
            {
                "case": name,
                "beads": beads,
                "replicas": replicas,
                "pairs": pairs,
                "floor": None if rates is None else floor_seconds(work, rates),
                "flops": work.flops,
                "bytes": work.bytes,
                "variants": variants,
            }
        )
    text = table(results)
    print(text)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        record = {
            "command": " ".join(["python", *sys.argv]),
            "device": device,
            "rates": rates,
            "versions": {"openmm": openmm.Platform.getOpenMMVersion(), "torch": torch.__version__},
            "results": results,
        }
        (arguments.output / "gpu.json").write_text(json.dumps(record, indent=1))
        (arguments.output / "gpu.md").write_text(text)


def check_platform(name: str) -> None:
    """Stop with one sentence if the platform cannot be used here."""
    try:
        choose_platform(name)
    except ValueError as error:
        raise SystemExit(f"{error} Without a GPU, small cases run on --platform CPU.") from None


if __name__ == "__main__":
    main()
