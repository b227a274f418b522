"""Growth of time and memory of the native engine with the number of beads.

Run: python benchmarks/scaling.py [--sizes 1000 3162 10000 31623 100000] [--threads 1] [--rounds 3] [--output FOLDER]

Liquids at the same density, of chains of five beads in random order, move with velocities of 300 K by 10 fs a step,
so that the pair list is searched anew as often as in a simulation. All sizes take turns in rounds. The exponent is
the slope of a straight line through the logarithms of the median times; the time of a step of OpenMM without forces is
included. With one thread times are CPU times, which a busy machine spoils less. Memory is what the process grew by
for the largest size, between its System and after its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import openmm
from cases import Case

TIME_STEP = 0.01  # ps
TEMPERATURE = 300.0  # K
BEAD_STEPS = 100_000  # a round takes steps until so many beads have moved, but at least
LEAST_STEPS = 5


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Liquid:
    """A liquid ready to move, and the memory that its Context takes."""

    def __init__(self, beads: int, threads: int) -> None:
        self.beads = beads
        self.clock = time.process_time if threads == 1 else time.perf_counter
        with tempfile.TemporaryDirectory() as folder:
            case = Case(beads, 1, Path(folder))
            self.force = case.force("native", threads)
            before = resident()
            self.context: openmm.Context = case.context(self.force, threads, time_step=TIME_STEP)
        self.context.setVelocitiesToTemperature(TEMPERATURE, 1)
        self.context.getIntegrator().step(LEAST_STEPS)
        self.bytes = resident() - before

    def seconds(self) -> float:
        """Time of a step."""
        steps = max(LEAST_STEPS, BEAD_STEPS // self.beads)
        start = self.clock()
        self.context.getIntegrator().step(steps)
        return (self.clock() - start) / steps


def main() -> None:
    """Print a table, the exponent, and the memory per bead."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1000, 3162, 10_000, 31_623, 100_000], help="beads"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    liquids = [Liquid(beads, arguments.threads) for beads in sorted(arguments.sizes)]
    times: list[list[float]] = [[] for _ in liquids]
    for _ in range(arguments.rounds):
        for liquid, found in zip(liquids, times, strict=True):
            found.append(liquid.seconds())
    medians = [statistics.median(found) for found in times]
    print("| beads | ms a step | us a bead | list | network | steps a search | kB a bead |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for liquid, seconds in zip(liquids, medians, strict=True):
        info = liquid.force.getContextInfo(liquid.context)
        total = sum(float(info[f"time_{part}"]) for part in ("map", "list", "network", "scatter"))
        row = {
            "beads": liquid.beads,
            "ms": 1e3 * seconds,
            "list": float(info["time_list"]) / total,
            "network": float(info["time_network"]) / total,
            "steps_a_search": int(info["evaluations"]) / int(info["list_rebuilds"]),
            "bytes_a_bead": liquid.bytes / liquid.beads,
        }
        rows.append(row)
        print(
            f"| {liquid.beads} | {row['ms']:.2f} | {1e3 * row['ms'] / liquid.beads:.2f} "
            f"| {100 * row['list']:.1f} % | {100 * row['network']:.1f} % "
            f"| {row['steps_a_search']:.1f} | {row['bytes_a_bead'] / 1e3:.1f} |"
        )
    sizes = [liquid.beads for liquid in liquids]
    exponent = float(np.polyfit(np.log(sizes), np.log(medians), 1)[0]) if len(sizes) > 1 else 1.0
    print(f"growth exponent {exponent:.3f}, {arguments.threads} threads")
    print(f"memory a bead {rows[-1]['bytes_a_bead'] / 1e3:.1f} kB at {sizes[-1]} beads")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        record = {
            "command": " ".join(["python", *sys.argv]),
            "threads": arguments.threads,
            "exponent": exponent,
            "results": rows,
        }
        (arguments.output / f"scaling-{arguments.threads}.json").write_text(
            json.dumps(record, indent=1)
        )


if __name__ == "__main__":
    main()
