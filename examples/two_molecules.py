"""Capped alanine and capped glycine in one model, against a model for each of them.

    python examples/two_molecules.py --output two-molecules

Both molecules are sampled with all atoms and mapped to the backbone and CB. Their beads have the same
names, so a network that has learned both must tell them by their neighbours. Glycine has no CB and no
handedness: phi < 0 and phi > 0 are equally populated, with the same priors and the same network that
keep alanine left-handed. Three trainings (each molecule alone, and both together) give four models,
each of which runs under the bias of the sampling and is compared with its reference. What is complete
in the output folder is kept. About half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from openmmcg.analysis import ReportConfig, report
from openmmcg.data import SampleConfig, bias_path, sample
from openmmcg.export import ExportConfig, export
from openmmcg.simulation import RunConfig, run
from openmmcg.training import TrainConfig, train

SYSTEMS = ("capped-alanine", "capped-glycine")
EPOCHS = 20
"""Passes over the frames of a molecule, the same number in all trainings."""


def reference(system: str, folder: Path, scale: float) -> Path:
    """Sample a molecule with all atoms under well-tempered metadynamics in phi and psi."""
    return sample(
        SampleConfig(
            output=str(folder / f"{system}.h5"),
            system=system,
            encoding="name",
            length=1.6 * scale,
            frame_interval=0.06,
            bias="metadynamics",
            bias_length=0.5 * scale,
        )
    )


def trained(datasets: list[Path], output: Path, scale: float) -> Path:
    """Train one network, on one molecule or on several."""
    return train(
        TrainConfig(
            datasets=[str(path) for path in datasets],
            output=str(output),
            epochs=max(1, round(EPOCHS * scale)),
        )
    )


def scored(training: Path, system: str, dataset: Path, scale: float) -> dict[str, float]:
    """Export a training for a molecule, run it and compare (phi, psi) with the reference."""
    folder = training / system
    folder.mkdir(exist_ok=True)
    model = folder / f"{system}.cg.pt"
    if not model.exists():
        export(ExportConfig(str(training), str(model), system=f"{dataset.stem}::{system}"))
    simulation = RunConfig(
        model=str(model),
        output=str(folder / "run"),
        dataset=str(dataset),
        bias=str(bias_path(str(dataset))),
        length=0.12 * scale,
        timestep=4.0,
    )
    run(simulation)
    report(ReportConfig(run=simulation.output, dataset=str(dataset), output=str(folder / "report")))
    found = json.loads((folder / "report" / "report.json").read_text())["ramachandran"]
    reference_phi, model_phi = found["populations"]["phi > 0 (alpha-L, C7ax)"]
    return {
        "divergence": found["divergence"],
        "reference_halves": found["baseline"]["reference_halves_in_time"],
        "model_halves": found["baseline"]["model_halves_in_time"],
        "reference_phi": reference_phi,
        "model_phi": model_phi,
    }


def main() -> None:
    """Read the command line, do everything and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="two-molecules", help="folder for everything")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all lengths")
    arguments = parser.parse_args()
    folder, scale = Path(arguments.output), arguments.scale
    folder.mkdir(parents=True, exist_ok=True)
    datasets = {system: reference(system, folder, scale) for system in SYSTEMS}
    together = trained(list(datasets.values()), folder / "together", scale)
    rows = []
    for system, dataset in datasets.items():
        alone = trained([dataset], folder / system, scale)
        for name, training in (("alone", alone), ("together", together)):
            rows.append((system, name, scored(training, system, dataset, scale)))
    print(
        "| molecule | trained | JSD(phi, psi) | halves of the reference | halves of the run "
        "| phi > 0: reference, % | model, % |\n|---|---|---|---|---|---|---|"
    )
    for system, name, row in rows:
        print(
            f"| {system} | {name} | {row['divergence']:.4f} | {row['reference_halves']:.4f} "
            f"| {row['model_halves']:.4f} | {100 * row['reference_phi']:.1f} "
            f"| {100 * row['model_phi']:.1f} |"
        )


if __name__ == "__main__":
    main()
