"""The validation report of a CG run: a figure, a page and a JSON file with all numbers."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from openmmcg.analysis.compare import Ramachandran
from openmmcg.analysis.comparison import Comparison, compare
from openmmcg.analysis.ensemble import SAME_TEMPERATURE
from openmmcg.data import Dataset
from openmmcg.files import atomic_path
from openmmcg.simulation.frames import run_folders
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
        Folder of a finished run; one of several temperatures stands for all of them.
    runs : list of str or None
        Instead of `run`: runs at different temperatures.
    dataset : str
        Reference dataset, used with its thermodynamic weights; each run is compared with its
        frames of the run's temperature.
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
    runs: list[str] | None = None
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


def report(config: ReportConfig, progress: bool = True) -> Path:
    """Compare a CG run with its reference and write the report.

    With several temperatures there is a report for each that the reference has, in folders like
    300K, and report.html compares them.

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
    console = Console(quiet=not progress, soft_wrap=True)
    folders = [found for run in config.runs or [config.run] for found in run_folders(run)]
    output = Path(config.output)
    if len(folders) == 1:
        comparison = _report_one(config, folders[0], output, console)
        if comparison.ramachandran is not None:
            console.print(summary(comparison.ramachandran))
    else:
        _report_several(config, folders, output, console)
    console.print(f"Wrote {output / 'report.html'}, report.png and report.json.")
    return output / "report.html"


def _report_one(config: ReportConfig, run: Path, output: Path, console: Console) -> Comparison:
    """Compare at one temperature and write page, figure and numbers to a folder."""
    record = read_record(run)
    with console.status("Comparing distributions"), Dataset.open(config.dataset) as dataset:
        comparison = compare(run, record, dataset, config.bins, config.discard)
        source = dataset.source
    image = _png(_draw(comparison))
    numbers = {
        "openmmcg_report": 1,
        "config": asdict(config),
        **comparison.numbers(),
        "run": record,
        "source": source,
        "versions": _versions(),
    }
    _write(output, numbers, render(config.title, numbers, image), image)
    return comparison


def _report_several(
    config: ReportConfig, folders: Sequence[Path], output: Path, console: Console
) -> None:
    """Compare at each temperature that the reference has, and write an overview of all."""
    from openmmcg.analysis.overview import draw_overview, overview_rows

    with Dataset.open(config.dataset) as dataset:
        known = np.unique(dataset.temperatures)
    kelvins = [float(read_record(folder)["temperature"]) for folder in folders]
    compared = [k for k, t in enumerate(kelvins) if np.abs(known - t).min() < SAME_TEMPERATURE]
    if not compared:
        raise ValueError(
            f"{config.dataset} was sampled at {', '.join(f'{t:g}' for t in known)} K, the runs are "
            f"at {', '.join(f'{t:g}' for t in kelvins)} K; compare at a temperature of both."
        )
    comparisons = []
    for index in compared:
        place = output / f"{kelvins[index]:g}K"
        comparisons.append(_report_one(config, folders[index], place, console))
    rows = overview_rows(comparisons)
    left_out = sorted(set(kelvins) - {kelvins[index] for index in compared})
    numbers = {
        "openmmcg_report": 1,
        "config": asdict(config),
        "temperatures": rows,
        "without_reference": left_out,
        "temperature_range": comparisons[0].trained,
        "versions": _versions(),
    }
    image = _png(draw_overview(rows, comparisons[0].trained))
    _write(output, numbers, render(config.title, numbers, image, "overview.html"), image)


def _write(folder: Path, numbers: Mapping[str, Any], page: str, image: bytes) -> None:
    for name, content in (
        ("report.png", image),
        ("report.json", json.dumps(numbers, indent=1, default=_plain).encode()),
        ("report.html", page.encode()),
    ):
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("openmm-cg", "openmm", "torch", "mdtraj")}


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


def render(
    title: str, numbers: Mapping[str, Any], image: bytes, template: str = "report.html"
) -> str:
    """Return the page with its figure inside.

    Parameters
    ----------
    title : str
        Heading.
    numbers : mapping
        Content of report.json.
    image : bytes
        The figure as PNG.
    template : str
        File of the page's template.
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
    return environment.get_template(template).render(
        title=title, picture=picture, quantities=QUANTITIES, **numbers
    )


def _draw(comparison: Comparison) -> Figure:
    from openmmcg.analysis.figure import draw

    return draw(
        comparison.ramachandran,
        comparison.distributions,
        comparison.temperature,
        comparison.liquid,
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=RESOLUTION)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Turn NumPy scalars into what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"Cannot write {type(value).__name__} to JSON.")
