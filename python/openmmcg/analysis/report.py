"""The validation report of a CG run: a figure, a page and a JSON file with all numbers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from openmmcg.analysis.compare import (
    Distribution,
    Ramachandran,
    Stability,
    check_stability,
    compare_coordinates,
    compare_ramachandran,
)
from openmmcg.analysis.ensemble import Ensemble, from_dataset, from_run
from openmmcg.data import Dataset
from openmmcg.files import atomic_path
from openmmcg.simulation.frames import load_frames
from openmmcg.simulation.record import read_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESOLUTION = 300
"""Of the figure, dots per inch."""

_LOSS = "kJ²/mol²/nm²"
QUANTITIES = {
    "length": ("length", "ns"),
    "timestep": ("time step", "fs"),
    "friction": ("friction", "1/ps"),
    "temperature": ("temperature", "K"),
    "frame_interval": ("frame interval", "ps"),
    "equilibration": ("equilibration", "ps"),
    "hydrogen_mass": ("hydrogen mass", "Da"),
    "bias_length": ("bias length", "ns"),
    "bias_height": ("bias height", "kJ/mol"),
    "bias_width": ("bias width", "rad"),
    "bias_interval": ("bias interval", "ps"),
    "cutoff": ("cutoff", "nm"),
    "label_rms": ("root mean square of the force labels", "kJ/mol/nm"),
    "label_ms": ("mean square of the force labels", _LOSS),
    "prior_loss": ("validation loss of the priors alone", _LOSS),
    "train_loss": ("training loss", _LOSS),
    "val_loss": ("validation loss", _LOSS),
    "noise_floor": ("noise floor", _LOSS),
    "noise_floor_error": ("standard error of the noise floor", _LOSS),
    "above_floor": ("validation loss above the floor", _LOSS),
    "explained": ("explained share of what is not noise", ""),
}
"""How the page calls settings and results, and their units."""


@dataclass(frozen=True)
class ReportConfig:
    """Settings of the report that compares a CG run with its all-atom reference.

    Attributes
    ----------
    run : str
        Folder of a finished run.
    dataset : str
        Reference dataset, used with its thermodynamic weights.
    output : str
        Folder for report.html, report.png and report.json.
    bins : int
        Bins along each axis of the Ramachandran histograms.
    discard : float
        Time at the start of every replica to leave out, ps.
    title : str
        Heading of the page.
    """

    run: str = "run"
    dataset: str = "dataset.h5"
    output: str = "report"
    bins: int = 60
    discard: float = 0.0
    title: str = "Coarse-grained model against its all-atom reference"

    def __post_init__(self) -> None:
        """Refuse values that no report can have."""
        if self.bins < 2 or self.discard < 0:
            raise ValueError(
                f"bins is {self.bins} and discard {self.discard} ps; expected at least 2 bins "
                "and no negative time."
            )


@dataclass(frozen=True, eq=False)
class Comparison:
    """All results of a report, before they are drawn or written.

    Attributes
    ----------
    temperature : float
        K.
    reference, model : Ensemble
        What is compared.
    ramachandran : Ramachandran or None
        None if the beads define no (phi, psi).
    distributions : list of Distribution
        Bonds, angles and impropers by bead types.
    stability : Stability
        Broken bonds and inverted stereocentres.
    """

    temperature: float
    reference: Ensemble
    model: Ensemble
    ramachandran: Ramachandran | None
    distributions: list[Distribution]
    stability: Stability

    def numbers(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "temperature": self.temperature,
            "ramachandran": None if self.ramachandran is None else self.ramachandran.numbers(),
            "distributions": [entry.numbers() for entry in self.distributions],
            "stability": self.stability.numbers(),
            "reference": _facts(self.reference),
            "model": _facts(self.model),
        }


def report(config: ReportConfig, progress: bool = True) -> Path:
    """Compare a CG run with its reference and write the report.

    Parameters
    ----------
    config : ReportConfig
    progress : bool
        Print what was found and written.

    Returns
    -------
    Path
        The page, report.html; it needs no other file.

    Raises
    ------
    FileNotFoundError
        If the run is not finished or a file is missing.
    ValueError
        If run and dataset do not have the same beads and temperature.
    """
    console = Console(quiet=not progress)
    folder = Path(config.output)
    record = read_record(Path(config.run))
    with console.status("Comparing distributions"), Dataset.open(config.dataset) as dataset:
        comparison = compare(config, record, dataset)
        source = dataset.source
    image = _png(_draw(comparison))
    numbers = {
        "openmmcg_report": 1,
        "config": asdict(config),
        **comparison.numbers(),
        "run": record,
        "source": source,
        "versions": {name: version(name) for name in ("openmm-cg", "openmm", "torch", "mdtraj")},
    }
    page = render(config.title, numbers, image)
    for name, content in (
        ("report.png", image),
        ("report.json", json.dumps(numbers, indent=1, default=_plain).encode()),
        ("report.html", page.encode()),
    ):
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
    if comparison.ramachandran is not None:
        console.print(summary(comparison.ramachandran), soft_wrap=True)
    console.print(f"Wrote {folder / 'report.html'}, report.png and report.json.", soft_wrap=True)
    return folder / "report.html"


def compare(config: ReportConfig, record: Mapping[str, Any], dataset: Dataset) -> Comparison:
    """Compute everything that a report shows.

    Parameters
    ----------
    config : ReportConfig
    record : mapping
        Of the run, see `openmmcg.simulation.record.read_record`.
    dataset : Dataset
        The reference.
    """
    model = from_run(load_frames(config.run), config.discard)
    reference = from_dataset(dataset)
    temperature = float(record["temperature"])
    if model.positions.shape[1] != dataset.n_beads:
        raise ValueError(
            f"{config.run} has {model.positions.shape[1]} beads a molecule, {config.dataset} has "
            f"{dataset.n_beads}; compare a run with the dataset that its model was trained on."
        )
    found = np.unique(dataset.temperatures)
    if not np.allclose(found, temperature, rtol=0, atol=0.01):
        raise ValueError(
            f"{config.dataset} was sampled at {', '.join(f'{t:g}' for t in found)} K, the run at "
            f"{temperature:g} K; compare at one temperature."
        )
    names = [dataset.type_names[kind] for kind in dataset.types]
    return Comparison(
        temperature,
        reference,
        model,
        compare_ramachandran(reference, model, dataset.topology, temperature, config.bins),
        compare_coordinates(reference, model, dataset.bonds, names),
        check_stability(reference, model, dataset.bonds, names),
    )


def summary(ramachandran: Ramachandran) -> str:
    """Return one line with the divergence and what sampling alone would give."""
    bins = len(ramachandran.reference)
    baseline = ramachandran.baseline
    halves = [
        f"{name.split('_')[0]} {value:.4f}"
        for name, value in baseline.items()
        if name.endswith("in_time")
    ]
    return (
        f"Jensen-Shannon divergence over (phi, psi), {bins} x {bins} bins, natural log: "
        f"{ramachandran.divergence:.4f} (first half against second half: {', '.join(halves)})."
    )


def render(title: str, numbers: Mapping[str, Any], image: bytes) -> str:
    """Return the page with its figure inside.

    Parameters
    ----------
    title : str
        Heading.
    numbers : mapping
        Content of report.json.
    image : bytes
        The figure as PNG.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("openmmcg.analysis", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    picture = base64.b64encode(image).decode()
    template = environment.get_template("report.html")
    return template.render(title=title, picture=picture, quantities=QUANTITIES, **numbers)


def _draw(comparison: Comparison) -> Figure:
    from openmmcg.analysis.figure import draw

    return draw(comparison.ramachandran, comparison.distributions, comparison.temperature)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=RESOLUTION)
    return buffer.getvalue()


def _facts(ensemble: Ensemble) -> dict[str, Any]:
    return {
        "frames": ensemble.n_frames,
        "effective_frames": ensemble.effective_frames,
        "walkers": ensemble.n_walkers,
        "frame_interval": ensemble.frame_interval,
        "length": ensemble.length,
    }


def _plain(value: Any) -> Any:
    """Turn NumPy scalars into what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"Cannot write {type(value).__name__} to JSON.")
