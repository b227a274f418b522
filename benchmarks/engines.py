"""Native engine against TorchScript, PythonForce, AOTInductor and openmm-torch: the same weights, step by step in turn.

Run: python benchmarks/engines.py [--sizes 5 50 500] [--replicas 1 64] [--threads 1 2] [--output FOLDER]
     [--openmm-torch PYTHON]

A compact chain (from 1000 beads on, a periodic liquid) of the wanted size is evaluated by an untrained SchNet of
three interactions of width 128 with a cutoff of 1.2 nm: the time does not depend on the weights. All variants take
turns in rounds, so that a busy machine slows all of them; the table gives medians in ms a step, and medians of the
ratios to ours in the same round. The peers get the pairs of our list, which is faster than what they would do.
`--openmm-torch` is the Python of an environment with acellera-openmmtorch-cpu and the OpenMM that it wants; without
it that column is left out. What would take minutes is skipped, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import openmm
import torch
from cases import Case
from variants import OpenMMTorch, Step, inductor, openmm_alone, ours, python_force

ROUND_SECONDS = 0.3
MOST_BEADS = 40_000
MOST_PAIRS = 200_000  # directed; above, a step of the peers takes seconds and gigabytes
MOST_COMPILED_PAIRS = 50_000
OURS = "native"
PLATFORM_ALONE, REFERENCE = "OpenMM alone", "native, Reference"
COMPILED = ("PythonForce compiled", "AOTInductor")
SKIPPED = "skipped"

Round = Callable[[], float]


def timed_round(step: Step) -> float:
    """Seconds a step over a round."""
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < ROUND_SECONDS:
        step()
        count += 1
    return (time.perf_counter() - start) / count


def makers(
    case: Case, threads: int, peer: str | None, folder: Path, stack: ExitStack
) -> dict[str, Callable[[], Round]]:
    """Return a function for each variant that makes it ready and returns what times a round."""

    def of(make: Callable[..., Step], *arguments: Any) -> Callable[[], Round]:
        return lambda: partial(timed_round, make(*arguments))

    def other_process() -> Round:
        assert peer is not None
        process = OpenMMTorch(peer, case, threads, folder, ROUND_SECONDS)
        stack.callback(process.close)
        return process.round

    made = {
        OURS: of(ours, case, "native", threads),
        PLATFORM_ALONE: of(openmm_alone, case, threads),
        REFERENCE: of(ours, case, "native", 1, "Reference"),
        "torchscript": of(ours, case, "torchscript", threads),
        "PythonForce": of(python_force, case, threads, False),
        "PythonForce compiled": of(python_force, case, threads, True),
        "AOTInductor": of(inductor, case, folder),
    }
    return made | ({"openmm-torch": other_process} if peer else {})


def is_skipped(name: str, case: Case, threads: int, pairs: int) -> bool:
    """Whether a variant would take minutes here, to compile or to run."""
    if name in COMPILED:
        return threads > 1 or case.replicas > 1 or pairs > MOST_COMPILED_PAIRS
    return name not in (OURS, PLATFORM_ALONE, REFERENCE) and pairs > MOST_PAIRS


def measure(
    case: Case, threads: int, rounds: int, peer: str | None, folder: Path, without: list[str]
) -> dict[str, dict[str, float] | str]:
    """Return ``ms`` a step and ``ratio`` to ours of every variant, or why there is none."""
    torch.set_num_threads(threads)
    pairs = case.inputs()[1].shape[1]
    found: dict[str, dict[str, float] | str] = {}
    ready: dict[str, Round] = {}
    with ExitStack() as stack:
        for name, make in makers(case, threads, peer, folder, stack).items():
            if name in without:
                continue
            if is_skipped(name, case, threads, pairs):
                found[name] = SKIPPED
                continue
            try:
                one = make()
                one()
                one()  # TorchScript specialises in its first calls
                ready[name] = one
            except Exception as error:
                if name == OURS:
                    raise
                found[name] = f"fails: {str(error).splitlines()[0][:80]}"
                print(f"  {name} {found[name]}", file=sys.stderr)
        times: dict[str, list[float]] = {name: [] for name in ready}
        for _ in range(rounds):
            for name, one in ready.items():
                times[name].append(1e3 * one())
    for name, values in times.items():
        ratios = [value / base for value, base in zip(values, times[OURS], strict=True)]
        found[name] = {"ms": statistics.median(values), "ratio": statistics.median(ratios)}
    return found


def markdown(results: list[dict[str, Any]]) -> str:
    """Return the table of all results."""
    names = list(dict.fromkeys(name for row in results for name in row["variants"]))
    lines = [
        "| beads | replicas | threads | " + " | ".join(names) + " |",
        "|" + "---|" * (3 + len(names)),
    ]
    for row in results:
        cells = []
        for name in names:
            entry = row["variants"].get(name, SKIPPED)
            cells.append(
                entry if isinstance(entry, str) else f"{entry['ms']:.3g} ({entry['ratio']:.1f}x)"
            )
        lines.append(
            f"| {row['beads']} | {row['replicas']} | {row['threads']} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines) + "\n"


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw ms a step over the number of beads for one replica and one thread."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    rows = [row for row in results if row["threads"] == 1 and row["replicas"] == 1]
    for name in dict.fromkeys(name for row in rows for name in row["variants"]):
        points = [
            (row["beads"], row["variants"][name]["ms"])
            for row in rows
            if isinstance(row["variants"].get(name), dict)
        ]
        if points:
            axes.loglog(*zip(*points, strict=True), "o-", label=name, markersize=4)
    axes.set(xlabel="beads", ylabel="ms a step, 1 thread")
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)


def write(results: list[dict[str, Any]], folder: Path, peer: str | None) -> None:
    """Write engines.json and engines.md, without the path of the peer's Python."""
    words = ["PYTHON" if word == peer else word for word in sys.argv]
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "command": " ".join(["python", *words]),
        "machine": platform.processor() or platform.machine(),
        "versions": {"openmm": openmm.Platform.getOpenMMVersion(), "torch": torch.__version__},
        "results": results,
    }
    (folder / "engines.json").write_text(json.dumps(record, indent=1))
    (folder / "engines.md").write_text(markdown(results))


def main() -> None:
    """Measure and print; write JSON and Markdown after every row, and the plot in the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[5, 10, 50, 200, 500, 2000, 10_000], help="beads"
    )
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--openmm-torch", metavar="PYTHON")
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        choices=["torchscript", "PythonForce", *COMPILED],
        help="columns to leave out; compiling takes most of the time",
    )
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    for size in arguments.sizes:
        for replicas in arguments.replicas:
            if size * replicas > MOST_BEADS:
                print(f"{size} beads x {replicas}: skipped, more than {MOST_BEADS} beads")
                continue
            for threads in arguments.threads:
                with tempfile.TemporaryDirectory() as name:
                    case = Case(size, replicas, Path(name))
                    found = measure(
                        case,
                        threads,
                        arguments.rounds,
                        arguments.openmm_torch,
                        Path(name),
                        arguments.without,
                    )
                row = {"beads": size, "replicas": replicas, "threads": threads, "variants": found}
                results.append(row)
                print(f"{size} beads x {replicas}, {threads} threads:", flush=True)
                for variant, entry in found.items():
                    text = (
                        entry
                        if isinstance(entry, str)
                        else f"{entry['ms']:10.4f} ms/step {entry['ratio']:8.1f} x native"
                    )
                    print(f"  {variant:22s} {text}", flush=True)
                if arguments.output:
                    write(results, arguments.output, arguments.openmm_torch)
    if arguments.output:
        plot(results, arguments.output / "engines.png")


if __name__ == "__main__":
    main()
