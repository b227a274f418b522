"""Every network on the same molecule: what it costs to train and to run, and what it gets right.

    python benchmarks/networks.py --dataset demo-output/dataset.h5 --output networks

trains each registered network on a dataset of capped alanine (that of `openmm-cg demo`, six beads),
exports it, runs coarse-grained molecular dynamics under the dataset's bias, compares (phi, psi) with
the reference, and prints a table. The lengths of the trainings are set so that each takes at most
ten minutes on two cores. What is complete in the output folder is kept, as with every stage.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import openmm
from openmmcg.analysis import ReportConfig, report
from openmmcg.data import bias_path
from openmmcg.export import ExportConfig, export, read_card
from openmmcg.files import atomic_path
from openmmcg.force import CGForce
from openmmcg.simulation import CGPotential, RunConfig, run
from openmmcg.training import TrainConfig, load_network, train

SETTINGS: dict[str, dict[str, Any]] = {
    "schnet": {"epochs": 40},
    "painn": {"epochs": 14},
    "tensornet": {"width": 32, "interactions": 1, "epochs": 13},
    "mace": {"width": 16, "epochs": 8, "learning_rate": 0.01},
    "pair-spline": {},
}
"""What differs from the defaults of `TrainConfig`: sizes that suit the network, and the time."""
LENGTH = 0.08
REPLICAS = 64
STEPS = 1000


def study(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, export, run and compare one network; return its row without the time of a step."""
    folder = Path(arguments.output) / name
    folder.mkdir(parents=True, exist_ok=True)
    dataset, model = arguments.dataset, folder / f"{name}.cg.pt"
    training = TrainConfig(
        dataset=dataset,
        output=str(folder / "training"),
        network=name,
        prior_plots=False,
        threads=arguments.threads,
        **SETTINGS[name],
    )
    duration = _timed(folder / "training-time.json", lambda: train(training))
    if not model.exists():
        export(ExportConfig(training=training.output, output=str(model)))
    simulation = RunConfig(
        model=str(model),
        output=str(folder / "run"),
        dataset=dataset,
        bias=str(bias_path(dataset)),
        replicas=REPLICAS,
        length=arguments.length,
        timestep=4.0,
        threads=arguments.threads,
    )
    run(simulation)
    report(ReportConfig(run=simulation.output, dataset=dataset, output=str(folder / "report")))
    found = json.loads((folder / "report" / "report.json").read_text())["ramachandran"]
    summary = json.loads((folder / "training" / "summary.json").read_text())
    network = load_network(Path(training.output))
    return {
        "network": name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "training_minutes": duration / 60,
        "summary": summary,
        "divergence": found["divergence"],
        "baseline": found["baseline"]["reference_halves_in_time"],
        "populations": found["populations"],
    }


def _timed(record: Path, work: Any) -> float:
    """Do the work and return its seconds; of work that was complete, those it took then."""
    begin = time.monotonic()
    work()
    duration = time.monotonic() - begin
    if not record.exists():
        with atomic_path(record) as path:
            path.write_text(json.dumps(duration))
    return float(json.loads(record.read_text()))


def step_times(models: dict[str, Path], replicas: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Median ms of a step on one thread of the CPU platform, all models in turn, and the runner."""
    contexts = {name: _context(path, replicas) for name, path in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, (context, _) in contexts.items():
            steps = max(10, STEPS // replicas)
            begin = time.perf_counter()
            context.getIntegrator().step(steps)
            times[name].append(1e3 * (time.perf_counter() - begin) / steps)
    return {
        name: {"ms": statistics.median(times[name]), "runner": contexts[name][1]} for name in models
    }


def _context(path: Path, replicas: int) -> tuple[openmm.Context, str]:
    potential = CGPotential.load(str(path))
    system = potential.createSystem(replicas=replicas)
    integrator = openmm.LangevinMiddleIntegrator(potential.temperature, 1.0, 0.004)
    integrator.setRandomNumberSeed(1)
    platform = openmm.Platform.getPlatform("CPU")
    context = openmm.Context(system, integrator, platform, {"Threads": "1"})
    context.setPositions(potential.initial_positions(replicas))
    integrator.step(10)
    force = next(CGForce.cast(f) for f in system.getForces() if CGForce.isinstance(f))
    return context, force.getContextInfo(context)["runner"]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown table of the rows."""
    lines = [
        "| network | parameters | training, min | loss | above the floor | JSD(phi, psi) | phi > 0, % "
        f"| ms/step, 1 replica | {REPLICAS} replicas | runner |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        summary = row["summary"]
        positive = row["populations"]["phi > 0 (alpha-L, C7ax)"]
        lines.append(
            f"| `{row['network']}` | {row['parameters']:,} | {row['training_minutes']:.1f} "
            f"| {summary['val_loss']:,.0f} | {summary['above_floor']:,.0f} "
            f"| {row['divergence']:.4f} | {100 * positive[1]:.2f} "
            f"| {row['step'][1]['ms']:.3f} | {row['step'][REPLICAS]['ms']:.2f} "
            f"| {row['step'][1]['runner']} |"
        )
    lines.append(
        f"\nJSD between the halves of the reference: {rows[0]['baseline']:.4f}; phi > 0 in the "
        f"reference: {100 * rows[0]['populations']['phi > 0 (alpha-L, C7ax)'][0]:.2f} %."
    )
    return "\n".join(lines)


def main() -> None:
    """Read the command line, do the studies, write networks.json and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="demo-output/dataset.h5", help="dataset with its bias")
    parser.add_argument("--output", default="networks", help="folder for everything")
    parser.add_argument("--networks", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--length", type=float, default=LENGTH, help="ns of each replica")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="of timing steps")
    arguments = parser.parse_args()
    rows = [study(name, arguments) for name in arguments.networks]
    models = {name: Path(arguments.output) / name / f"{name}.cg.pt" for name in arguments.networks}
    for name in models:
        assert read_card(models[name])["architecture"]["name"] == name
    timed = {count: step_times(models, count, arguments.rounds) for count in (1, REPLICAS)}
    for row in rows:
        row["step"] = {count: timed[count][row["network"]] for count in timed}
    with atomic_path(Path(arguments.output) / "networks.json") as path:
        path.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
