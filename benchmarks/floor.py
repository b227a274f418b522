"""How far the native engine is from what this machine's arithmetic and memory allow.

Run: python benchmarks/floor.py [--sizes 50 500 2000] [--rounds 5]

Floating-point operations and bytes of each stage follow from the numbers of beads and pairs (see `stages`). A stage
cannot take less than its operations over the rate of a matrix product in single precision, nor less than its bytes,
each array being read and written once, over the rate at which so many bytes are copied (in the caches, if they fit);
both are measured here, in turn with the engine, on one thread. The sum over the stages is the floor. The total is CPU
time, which a busy machine spoils less than wall time; that of parts is the least wall time that CGForce records.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import openmm
import torch
from cases import INTERACTIONS, WIDTH, Case
from openmmcg import CGForce

MATRIX = 768  # rows and columns; large enough for the full rate
COPIED = 4 << 10, 64 << 20  # least and most bytes; the most is more than the caches
SECONDS = 0.5
COPY_SECONDS = 0.05
TABLE_ROWS = 4  # of which a filter is interpolated
FLOAT, DOUBLE = 4, 8
TANH = 25  # operations of a tanh and its derivative
TIMED = ("map", "list", "network", "scatter")


@dataclass(frozen=True)
class Stage:
    """What a stage has to do at least.

    Attributes
    ----------
    timer : str
        The part of CGForce's record that it is in.
    flops, bytes : float
        Operations, and bytes read and written.
    """

    name: str
    timer: str
    flops: float
    bytes: float


def stages(beads: int, pairs: int, candidates: int) -> list[Stage]:
    """Count the work of one evaluation of the SchNet of `cases`.

    Parameters
    ----------
    beads : int
        Beads.
    pairs : int
        Directed pairs within the cutoff; the network evaluates half as many.
    candidates : int
        Directed pairs that the list looks at.

    Returns
    -------
    list of Stage
    """
    features, undirected = beads * WIDTH, pairs / 2
    square = WIDTH * WIDTH
    # Sender (not in the first layer), two layers of the update, read-out; forwards and backwards.
    products = 2 * (3 * INTERACTIONS - 1 + 1)
    filter_ = 2 * TABLE_ROWS - 1  # one feature of a filter, or of its slope
    per_pair = undirected * WIDTH
    forward = INTERACTIONS * per_pair * (filter_ + 4)
    # Slope times two gradients, and, but for the first layer, the filter times both ends' gradients.
    backward = per_pair * (INTERACTIONS * (filter_ + 5) + (INTERACTIONS - 1) * (filter_ + 4))
    return [
        Stage("beads", "map", 6 * beads, 6 * DOUBLE * beads),
        Stage(
            "pair list",
            "list",
            9 * candidates + 9 * pairs,
            3 * DOUBLE * beads + 8 * candidates + (3 * 8 + 3 * DOUBLE) * pairs,
        ),
        Stage("filters", "network", 60 * undirected, 48 * pairs + 60 * undirected),
        Stage("messages", "network", forward, INTERACTIONS * 2 * FLOAT * features),
        Stage(
            "dense",
            "network",
            products * 2 * beads * square,
            products * FLOAT * (square + 2 * features),
        ),
        Stage("tanh", "network", (INTERACTIONS + 1) * TANH * features, 0),
        Stage("messages backward", "network", backward, INTERACTIONS * 4 * FLOAT * features),
        Stage("pair forces", "network", 12 * undirected, 40 * undirected + 3 * DOUBLE * beads),
        Stage("scatter", "scatter", 6 * beads, 9 * DOUBLE * beads),
    ]


def rate(work: Callable[[], object], amount: float, seconds: float) -> float:
    """Return how much of something is done in a second of CPU time, in the best of some tries."""
    best, repeats, end = 0.0, 1, time.process_time() + seconds
    while time.process_time() < end:
        start = time.process_time()
        for _ in range(repeats):
            work()
        spent = time.process_time() - start
        if spent < seconds / 50:  # too short for the clock
            repeats *= 2
        else:
            best = max(best, amount * repeats / spent)
    return best


@dataclass(frozen=True)
class Limits:
    """The least times in seconds that a stage's operations and bytes take."""

    flops: float
    bytes: float

    @property
    def floor(self) -> float:
        """Least time of the stage."""
        return max(self.flops, self.bytes)


class Machine:
    """What this machine's arithmetic and memory can do."""

    def __init__(self) -> None:
        self.a, self.b = torch.rand(2, MATRIX, MATRIX)
        self.product = torch.empty(MATRIX, MATRIX)
        self.source = np.ones(COPIED[1] // DOUBLE)
        self.target = np.empty_like(self.source)

    def flop_rate(self) -> float:
        """Single-precision operations a second."""
        work = 2.0 * MATRIX**3
        return rate(lambda: torch.mm(self.a, self.b, out=self.product), work, SECONDS)

    def byte_rate(self, amount: float) -> float:
        """Bytes read and written a second, when an array of half of them is copied."""
        count = int(np.clip(amount, *COPIED)) // (2 * DOUBLE)
        source, target = self.source[:count], self.target[:count]
        return rate(lambda: np.copyto(target, source), 2.0 * DOUBLE * count, COPY_SECONDS)

    def limits(self, work: list[Stage]) -> list[Limits]:
        """Measure now, and return what it means for each stage."""
        flop_rate = self.flop_rate()
        return [
            Limits(stage.flops / flop_rate, stage.bytes / self.byte_rate(stage.bytes))
            for stage in work
        ]


class Engine:
    """The native engine on one system."""

    def __init__(self, beads: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(beads, 1, Path(folder))
            self.force: CGForce = case.force("native", 1)
            self.context: openmm.Context = case.context(self.force, 1)
        self.alone = case.context(None, 1)
        for context in (self.context, self.alone):
            context.getIntegrator().step(2)

    def seconds(self, context: openmm.Context) -> float:
        """CPU time of a step."""
        count, start = 0, time.process_time()
        while time.process_time() - start < SECONDS:
            context.getIntegrator().step(1)
            count += 1
        return (time.process_time() - start) / count

    def parts(self, before: dict[str, str]) -> dict[str, float]:
        """Wall time of each part of a step since an earlier record."""
        now = self.record()
        count = int(now["evaluations"]) - int(before["evaluations"])
        return {
            name: (float(now[f"time_{name}"]) - float(before[f"time_{name}"])) / count
            for name in TIMED
        }

    def record(self) -> dict[str, str]:
        """Return what CGForce records."""
        return self.force.getContextInfo(self.context)


def report(beads: int, rounds: int, machine: Machine) -> None:
    """Measure one size in rounds and print its table."""
    engine = Engine(beads)
    info = engine.record()
    work = stages(beads, int(info["pairs"]), int(info["candidates"]))
    samples: list[tuple[float, float, list[Limits]]] = []
    parts = dict.fromkeys(TIMED, float("inf"))
    for _ in range(rounds):
        limits, before = machine.limits(work), engine.record()
        total = engine.seconds(engine.context)
        found = engine.parts(before)
        parts = {name: min(parts[name], found[name]) for name in TIMED}
        ours = total - engine.seconds(engine.alone)
        samples.append((ours / sum(limit.floor for limit in limits), ours, limits))
    distance, ours, limits = sorted(samples, key=lambda sample: sample[0])[len(samples) // 2]
    print(f"\n{beads} beads, {info['pairs']} directed pairs, {info['candidates']} candidates")
    print("| stage | Mflop | MB | arithmetic, ms | memory, ms | measured, ms | distance |")
    print("|---|---|---|---|---|---|---|")
    for stage, limit in zip(work, limits, strict=True):
        print(
            f"| {stage.name} | {stage.flops / 1e6:.2f} | {stage.bytes / 1e6:.2f} "
            f"| {1e3 * limit.flops:.4f} | {1e3 * limit.bytes:.4f} | | |"
        )
    for name, seconds in parts.items():
        pairs = zip(work, limits, strict=True)
        floor = sum(limit.floor for stage, limit in pairs if stage.timer == name)
        print(
            f"| **{name}**, floor {1e3 * floor:.4f} ms | | | | | {1e3 * seconds:.4f} "
            f"| {seconds / floor:.1f} |"
        )
    floor = ours / distance
    print(f"| **all**, floor {1e3 * floor:.4f} ms | | | | | {1e3 * ours:.4f} | {distance:.2f} |")
    others = ", ".join(f"{sample[0]:.2f}" for sample in samples)
    print(f"distance from the floor {distance:.2f} (rounds: {others})")


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 500, 2000])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    machine = Machine()
    for beads in arguments.sizes:
        report(beads, arguments.rounds, machine)


if __name__ == "__main__":
    main()
