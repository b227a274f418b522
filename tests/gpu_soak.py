"""A long run on a GPU: energies must stay numbers, and memory must not grow.

Run: python tests/gpu_soak.py [--steps 1000000] [--platform CUDA]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from openmmcg import CGForce

MODEL = Path(__file__).resolve().parent / "data" / "schnet-v1.cg.pt"
REPLICAS, BEADS, SPACING, PARTS = 64, 10, 0.4, 100
ALLOWED_GROWTH = 32 << 20  # bytes: allocators settle during the first part


def make_context(platform: str) -> tuple[CGForce, openmm.Context]:
    """Return replicas of a chain held together by springs, so that it neither collapses nor flies apart."""
    force, springs = CGForce(MODEL), openmm.HarmonicBondForce()
    force.setProperty("runner", "torchscript")
    system = openmm.System()
    rng = np.random.default_rng(0)
    positions = np.tile(np.outer(np.arange(BEADS), [SPACING, 0, 0]), (REPLICAS, 1))
    for bead in range(REPLICAS * BEADS):
        system.addParticle(100.0)
        force.addBead(bead, None, bead % 2, replica=bead // BEADS)
        for near, constant in ((1, 5000.0), (2, 500.0)):
            if bead % BEADS >= near:
                springs.addBond(bead - near, bead, near * SPACING, constant)
        if bead % BEADS:
            force.addBond(bead - 1, bead)
    for item in (force, springs, openmm.CMMotionRemover()):
        system.addForce(item)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.004)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(positions + rng.normal(0, 0.02, positions.shape))
    return force, context


def memory(platform: str) -> dict[str, int]:
    """Return the memory in use in bytes: of the process at most so far, and of the device now."""
    used = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if platform == "CUDA":
        import torch

        free, total = torch.cuda.mem_get_info()
        used["device"] = total - free
    return used


def main() -> None:
    """Run, and end with an error if memory has grown or an energy is not a number."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--platform", default="CUDA")
    arguments = parser.parse_args()
    force, context = make_context(arguments.platform)
    start, first = time.perf_counter(), None
    for _ in range(PARTS):
        context.getIntegrator().step(max(1, arguments.steps // PARTS))
        energy = context.getState(energy=True).getPotentialEnergy()
        if not np.isfinite(energy.value_in_unit(unit.kilojoule_per_mole)):
            sys.exit(f"The energy after {context.getStepCount()} steps is {energy}.")
        first = first or memory(arguments.platform)
    last = memory(arguments.platform)
    print(f"{context.getStepCount()} steps in {time.perf_counter() - start:.0f} s")
    print(force.getContextInfo(context))
    for kind, used in last.items():
        print(f"{kind} memory: {first[kind] / 2**20:.0f} MiB, at the end {used / 2**20:.0f} MiB")
        if used > first[kind] + ALLOWED_GROWTH:
            sys.exit(f"The {kind} memory has grown.")


if __name__ == "__main__":
    main()
