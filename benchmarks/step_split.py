"""Where the time of a step goes: beads, pair list, network, forces.

Run: python benchmarks/step_split.py [MODEL.cg.pt] [--runner torchscript]

Without a model file, an untrained SchNet of the demo's size is used: the time does not depend on the weights. Prints,
for the 6-bead molecule and for larger sets of replicas, the wall time of each stage per step as measured inside the
Force.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import openmm
from openmmcg import CGForce, export, models

BEADS = np.array(
    [[0, 0, 0], [0.13, 0, 0], [0.2, 0.12, 0], [0.15, 0.2, 0.12], [0.34, 0.14, 0], [0.4, 0.25, 0.03]]
)
BONDS = ((0, 1), (1, 2), (2, 3), (2, 4), (4, 5))
TYPES = ("C", "N", "CA", "CB")
SEQUENCE = ("C", "N", "CA", "CB", "C", "N")
STAGES = ("map", "list", "network", "scatter")


def untrained_model(folder: Path) -> Path:
    """Write a SchNet with the demo's default size."""
    network = models.build("schnet", bead_types=list(TYPES), cutoff=1.0)
    return export.save(network, folder / "untrained.cg.pt", temperature=300.0)


def measure(model: Path, replicas: int, steps: int, runner: str) -> tuple[float, dict[str, float]]:
    """Return ms per step and each stage's ms per evaluation on the CPU platform with one thread."""
    system, force = openmm.System(), CGForce(model)
    force.setProperty("runner", runner)
    for replica in range(replicas):
        first = system.getNumParticles()
        for name in SEQUENCE:
            force.addBead(system.addParticle(12.0), None, name, 0, replica)
        for i, j in BONDS:
            force.addBond(first + i, first + j)
    system.addForce(force)
    # With such a time step, beads stay where they are, whatever an untrained network makes of them.
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 1e-5)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(np.tile(BEADS, (replicas, 1)))
    integrator.step(20)
    before, start = force.getContextInfo(context), time.perf_counter()
    integrator.step(steps)
    wall, after = time.perf_counter() - start, force.getContextInfo(context)
    count = after["evaluations"] - before["evaluations"]
    stages = {
        name: 1e3 * (after[f"time_{name}"] - before[f"time_{name}"]) / count for name in STAGES
    }
    return 1e3 * wall / steps, stages


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", nargs="?", type=Path, help="model file with the bead types C, N, CA and CB"
    )
    parser.add_argument("--runner", default="auto", help="native, torchscript or auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or untrained_model(Path(folder))
        print(
            "replicas  ms/step  "
            + "  ".join(f"{name:>9}" for name in STAGES)
            + "  (ms)   network share of the Force"
        )
        for replicas, steps in ((1, 1000), (8, 400), (64, 100)):
            total, stages = measure(model, replicas, steps, arguments.runner)
            share = stages["network"] / sum(stages.values())
            cells = "  ".join(f"{stages[name]:9.4f}" for name in STAGES)
            print(f"{replicas:8d}  {total:7.3f}  {cells}         {100 * share:.1f} %")


if __name__ == "__main__":
    main()
