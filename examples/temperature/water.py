"""Water as one bead a molecule at 280 to 360 K: what teaches a model to hold at all temperatures?

    python examples/temperature/water.py --output water

217 TIP3P waters in one box are sampled at five temperatures. Four models learn from as many frames each:

    blind     forces at 320 K; nothing tells it of the temperature
    response  forces and thermal responses of single frames at 320 K
    energy    forces and mean energies at 320 K ("energy matching")
    multi-T   forces at 280, 320 and 360 K, a third of the frames at each; 300 and 340 K are new to it

Each runs at all five temperatures and is compared with the atoms: radial distributions, angles between
neighbours in the first shell and self-diffusion. The friction of the thermostat is chosen such that the
blind model diffuses like the atoms at 320 K, and kept for all models and temperatures. A table, a
picture and all numbers (JSON) go into the output folder; what is complete there is kept. About an hour
of processor time; --scale shortens everything, and --network pair-spline trains in seconds (without
energies, which that network cannot learn).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import openmm
import openmm.app as app
from openmm import unit
from openmmcg.analysis.ensemble import Ensemble, from_dataset, from_run
from openmmcg.data import (
    Dataset,
    MergeConfig,
    SampleConfig,
    SubsampleConfig,
    merge_datasets,
    sample,
    subsample_dataset,
)
from openmmcg.export import ExportConfig, export
from openmmcg.simulation import RunConfig, load_frames, run
from openmmcg.training import TrainConfig, train
from water_analysis import TEMPERATURES, compared, diffusion, draw, matched, table

MIDDLE = 320.0
TAUGHT = (280.0, 320.0, 360.0)
"""Temperatures of the frames that the multi-T model learns from, K."""
FORCE_FIELD = "amber14/tip3p.xml"
DENSITY = 0.985
"""g/cm³, about that of TIP3P at 300 K and 1 bar."""
ATOMIC_CUTOFF = 0.9
"""nm."""
FRAME_INTERVAL = 0.06
"""Of the atoms, ps."""
SIDE = 1.9
"""Of the box that is filled with water before it is brought to the density, nm."""
WALKERS = 4
FRICTIONS = (4.0, 10.0, 25.0)
"""Tried for the diffusion at 320 K, 1/ps."""
MODELS: dict[str, dict[str, object]] = {
    "blind": {"thermal": None},
    "response": {"thermal": "response", "thermal_weights": {"response": 1.0}},
    "energy": {"thermal": "response", "thermal_weights": {"energies": 1.0}},
    "multi-T": {"thermal": "response", "thermal_weights": {}},
}


@dataclass(frozen=True)
class Study:
    """Settings of everything, and where it goes."""

    folder: Path
    scale: float
    platform: str
    network: str

    @property
    def models(self) -> list[str]:
        """Names of the models that the network can be."""
        return [name for name in MODELS if (name, self.network) != ("energy", "pair-spline")]

    def frames(self, walker: int) -> int:
        """Scale a number of frames of a walker; below 60 training and diffusion have too few."""
        return max(60, round(walker * self.scale))


def waters(path: Path, platform: str) -> None:
    """Write a cubic box of water at the density and at about 320 K as PDB."""
    force_field = app.ForceField(FORCE_FIELD)
    model = app.Modeller(app.Topology(), [] * unit.nanometer)
    size = openmm.Vec3(SIDE, SIDE, SIDE) * unit.nanometer
    model.addSolvent(force_field, model="tip3p", boxSize=size)
    molecules = model.topology.getNumResidues()
    side = (molecules * 18.0153 / (602.214 * DENSITY)) ** (1 / 3)
    model.topology.setUnitCellDimensions(openmm.Vec3(side, side, side) * unit.nanometer)
    system = force_field.createSystem(
        model.topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=ATOMIC_CUTOFF,
        constraints=app.HBonds,
    )
    context = openmm.Context(
        system,
        openmm.LangevinMiddleIntegrator(MIDDLE, 5.0, 0.002),
        openmm.Platform.getPlatform(platform),
    )
    context.setPositions(model.positions)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(MIDDLE, 1)
    context.getIntegrator().step(5000)
    positions = context.getState(positions=True).getPositions()
    with path.open("w") as handle:
        app.PDBFile.writeFile(model.topology, positions, handle)


def reference(study: Study) -> Path:
    """Sample at all temperatures.

    The friction is low beside water's own, kT / (m D) or 20 to 40/ps, so that the diffusion is that
    of the atoms within some percent. Hydrogens of 3 Da slow it too, but allow a time step of 4 fs.
    """
    box = study.folder / "water.pdb"
    if not box.exists():
        waters(box, study.platform)
    return sample(
        SampleConfig(
            output=str(study.folder / "water.h5"),
            system=str(box),
            force_field=[FORCE_FIELD],
            cutoff=ATOMIC_CUTOFF,
            minimise=False,
            mapping="water-com",
            force_map="uniform",
            temperatures=list(TEMPERATURES),
            platform=study.platform,
            friction=0.5,
            walkers=WALKERS,
            length=study.frames(500) * FRAME_INTERVAL * 1e-3,
            frame_interval=FRAME_INTERVAL,
            equilibration=9.0,
        )
    )


def training_frames(study: Study, dataset: Path) -> dict[str, Path]:
    """Write as many frames at one temperature and at several, by name of the model."""

    def taken(name: str, kelvin: float, frames: int) -> Path:
        path = study.folder / name
        if not path.exists():
            subsample_dataset(
                SubsampleConfig(str(dataset), str(path), frames=frames, temperature=kelvin)
            )
        return path

    third = WALKERS * study.frames(500) // len(TAUGHT)
    single = taken("single-t.h5", MIDDLE, third * len(TAUGHT))
    parts = [str(taken(f"part-{kelvin:g}K.h5", kelvin, third)) for kelvin in TAUGHT]
    several = study.folder / "multi-t.h5"
    if not several.exists():
        merge_datasets(MergeConfig(parts, str(several)))
    return {name: several if name == "multi-T" else single for name in MODELS}


def trained(study: Study, name: str, dataset: Path) -> Path:
    """Train and export a model."""
    folder = study.folder / study.network / name
    train(
        TrainConfig(
            dataset=str(dataset),
            output=str(folder / "training"),
            network=study.network,
            cutoff=0.6,
            width=32,
            rbf=20,
            batch_size=4,
            epochs=3,
            priors=["repulsion"],
            reference_temperature=MIDDLE if name != "blind" else None,
            threads=1,
            **MODELS[name],  # type: ignore[arg-type]
        )
    )
    model = folder / f"water-{name}.cg.pt"
    if not model.exists():
        export(ExportConfig(str(folder / "training"), str(model)))
    return model


def simulated(study: Study, model: Path, kelvin: float, friction: float) -> Ensemble:
    """Run a model at a temperature and a friction (1/ps)."""
    output = model.parent / f"run-{kelvin:g}K-{friction:.3g}"
    run(
        RunConfig(
            model=str(model),
            output=str(output),
            dataset=str(study.folder / "water.h5"),
            temperature=kelvin,
            replicas=WALKERS,
            length=study.frames(200) * 1e-4,
            timestep=4.0,
            friction=friction,
            frame_interval=0.1,
            equilibration=4 * study.scale,
            platform=study.platform,
        )
    )
    return from_run(load_frames(output))


def friction_of_atoms(study: Study, model: Path, data: Dataset) -> tuple[float, dict[float, float]]:
    """Friction at which a model diffuses like the atoms at 320 K, 1/ps, and D at those tried."""
    beads = data.molecules.tolist(), data.masses.tolist()
    tried = {
        friction: diffusion(simulated(study, model, MIDDLE, friction), *beads).coefficient
        for friction in FRICTIONS
    }
    wanted = diffusion(from_dataset(data, MIDDLE), *beads).coefficient
    return float(f"{matched(tried.keys(), tried.values(), wanted):.2g}"), tried


def main() -> None:
    """Sample, train, run, compare, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("water"))
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all lengths")
    parser.add_argument("--platform", default="CPU", help="of OpenMM")
    parser.add_argument("--network", default="schnet", help="see openmmcg.models.names")
    options = parser.parse_args()
    study = Study(options.output, options.scale, options.platform, options.network)
    study.folder.mkdir(parents=True, exist_ok=True)
    dataset = reference(study)
    frames = training_frames(study, dataset)
    models = {name: trained(study, name, frames[name]) for name in study.models}
    with Dataset.open(dataset) as data:
        friction, tried = friction_of_atoms(study, models["blind"], data)
        runs = {
            name: {kelvin: simulated(study, model, kelvin, friction) for kelvin in TEMPERATURES}
            for name, model in models.items()
        }
        rows = compared(runs, data)
    print(table(rows))
    print(f"\nfriction {friction:.3g}/ps; tried, with D: {tried}")
    keys = ("quantity", "model", "temperature", "value", "error")
    numbers = {"friction": friction, "tried": tried}
    numbers["rows"] = [dict(zip(keys, row, strict=True)) for row in rows]
    folder = study.folder / study.network
    (folder / "water.json").write_text(json.dumps(numbers, indent=1))
    draw(rows, folder / "water.png")


if __name__ == "__main__":
    main()
