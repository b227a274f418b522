"""Lint of a mapping on a dataset, a trajectory or a topology alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mdtraj as md
import numpy as np
from rich.console import Console
from rich.table import Table

from openmmcg.data.constraints import constraint_pairs
from openmmcg.data.dataset import Dataset
from openmmcg.files import atomic_path
from openmmcg.mapping import Finding, Mapping, lint, load_mapping
from openmmcg.mapping.linting import (
    ERROR,
    INFO,
    by_severity,
    check_gap,
    chosen_frames,
    draw,
    hydrogen_constraints,
)

REPORT = "lint.json"
_CHUNK = 50
_COLOURS = {"error": "bold red", "warning": "yellow", "info": "green"}


@dataclass(frozen=True)
class LintConfig:
    """What to lint: a dataset, or a mapping on a topology.

    Attributes
    ----------
    dataset : str or None
        Mapped dataset (HDF5): its own mapping, frames, constraints and force map are checked.
    group : str or None
        System of the dataset; may be left out when the file holds one.
    mapping : str or None
        Instead of a dataset: name of a built-in mapping, or the path of a YAML file.
    topology : str or None
        Atoms with bonds for the mapping, in any format that MDTraj reads (PDB, PRMTOP, GRO ...).
    trajectory : str or None
        Frames of the topology, in any format that MDTraj reads; without them the gap is not
        checked.
    encoding : str or None
        How beads get their types; None leaves it to the mapping.
    constraints : str or None
        Bonds that the simulation keeps rigid: "none", "hbonds" (all bonds of hydrogens, and rigid
        water), or the XML file of its OpenMM System. A dataset knows them. If they are not known,
        the force map is not checked.
    force_map : str or None
        How forces are mapped: "slice", "uniform" or "optimal". By default as the dataset says; else
        each bead is taken to get the forces on its own atoms, as with "slice".
    signed_priors : bool
        Whether models get signed improper priors, as `openmm-cg train` gives them.
    chiral_network : bool
        Whether the network tells mirror images apart.
    frames : int
        At most this many frames, evenly spaced, are looked at.
    output : str or None
        Folder for pictures (PNG) and `lint.json`.
    json : bool
        Print JSON instead of tables.
    """

    dataset: str | None = None
    group: str | None = None
    mapping: str | None = None
    topology: str | None = None
    trajectory: str | None = None
    encoding: str | None = None
    constraints: str | None = None
    force_map: str | None = None
    signed_priors: bool = True
    chiral_network: bool = False
    frames: int = 200
    output: str | None = None
    json: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that do not say what to lint.

        Raises
        ------
        ValueError
            Naming the settings.
        """
        given = {name for name in _ON_ATOMS if getattr(self, name) is not None}
        if self.dataset is not None and given:
            raise ValueError(
                f"A dataset has a mapping of its own, but {', '.join(sorted(given))} is given too; "
                "leave out one or the other."
            )
        if self.dataset is None and not {"mapping", "topology"} <= given:
            raise ValueError(
                "There is nothing to lint: give --dataset, or --mapping and --topology."
            )
        if self.frames < 1:
            raise ValueError(f"frames is {self.frames}, expected at least 1.")


_ON_ATOMS = ("mapping", "topology", "trajectory", "encoding", "constraints")


def lint_command(config: LintConfig) -> int:
    """Lint, print the findings, and draw them if there is an output folder.

    Returns
    -------
    int
        1 if there is an error among the findings, else 0: the command's exit status.

    Raises
    ------
    FileNotFoundError
        If an input file is missing.
    ValueError
        If inputs cannot be read or do not fit together.
    """
    if config.dataset is not None:
        with Dataset.open(config.dataset, config.group) as dataset:
            findings = lint_dataset(
                dataset,
                force_map=config.force_map,
                signed_priors=config.signed_priors,
                chiral_network=config.chiral_network,
                frames=config.frames,
            )
            name = str(dataset.mapping.get("name"))
    else:
        findings, name = _lint_atoms(config)
    if config.output is not None:
        findings = draw(findings, config.output)
    report = {"mapping": name, "findings": [finding.to_dict() for finding in findings]}
    if config.output is not None:
        with atomic_path(Path(config.output) / REPORT) as temporary:
            temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    if config.json:
        print(json.dumps(report, indent=1, allow_nan=False))
    else:
        print_findings(findings, f"Mapping {name}")
    return int(any(finding.severity == ERROR for finding in findings))


def lint_dataset(
    dataset: Dataset,
    force_map: str | None = None,
    signed_priors: bool = True,
    chiral_network: bool = False,
    frames: int = 200,
) -> list[Finding]:
    """Lint the mapping of a dataset on its frames, constraints and force map.

    Parameters
    ----------
    dataset : Dataset
        Open.
    force_map : str, optional
        By default that of the dataset.
    signed_priors, chiral_network, frames
        See `openmmcg.mapping.lint`.

    Returns
    -------
    list of Finding
        Of files without the atomistic topology the gap alone, and an info that says so.
    """
    if dataset.n_frames == 0:
        raise ValueError(f"{dataset.path} has no frames; sample some.")
    rows = slice(0, dataset.n_frames, max(1, dataset.n_frames // frames))
    positions = dataset._read("positions", rows)
    boxes = dataset._read("boxes", rows) if "boxes" in dataset._node else None
    if dataset.atomistic is None:
        chosen = chosen_frames(dataset, positions, boxes, frames)
        return by_severity([*check_gap(dataset, *chosen), _not_checked(dataset)])
    mapping = dataset.mapping_on_atoms()
    findings = lint(
        mapping,
        positions,
        boxes,
        dataset.constraints,
        force_map or dataset.force_map,
        signed_priors,
        chiral_network,
        frames,
    )
    if dataset.constraints is None:
        findings.append(_unknown_constraints(str(dataset.path)))
    return findings


def print_findings(findings: list[Finding], title: str) -> None:
    """Print the findings as tables."""
    console = Console()
    table = Table(title=title, title_justify="left", show_lines=True)
    for column in ("severity", "check"):
        table.add_column(column, no_wrap=True)
    for column in ("finding", "cure"):
        table.add_column(column, overflow="fold", ratio=1)
    for finding in findings:
        severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
        text = f"{finding.title}. {finding.message}"
        if finding.picture is not None:
            text += f" [{finding.picture}]"
        table.add_row(severity, finding.kind, _plain(text), _plain(finding.cure))
    console.print(table)
    for finding in findings:
        if finding.kind == "gap" and "pairs" in finding.numbers:
            console.print(_gap_table(finding.numbers))


def _gap_table(numbers: dict[str, Any]) -> Table:
    table = Table(title="Distances in nm", title_justify="left")
    heads = ("types", "bond mean (min-max)", "inter min", "g(r)>0.01 at", "gap")
    for head in (*heads, "nearest neighbour in another molecule"):
        table.add_column(head)
    rows = [("all", numbers), *(("-".join(row["types"]), row) for row in numbers["pairs"])]
    for name, row in rows:
        share = row.get("foreign_neighbour_fraction")
        table.add_row(
            _plain(name),
            f"{row['bond_mean']:.3f} ({row['bond_min']:.3f}-{row['bond_max']:.3f})",
            *(
                "-" if row[key] is None else format(row[key], form)
                for key, form in (("inter_min", ".3f"), ("onset", ".3f"), ("gap", "+.3f"))
            ),
            "" if share is None else f"{100 * share:.3g} %",
        )
    return table


def _lint_atoms(config: LintConfig) -> tuple[list[Finding], str]:
    assert config.mapping is not None
    assert config.topology is not None
    topology = _read_topology(config.topology)
    mapping = load_mapping(config.mapping, topology, config.encoding)
    positions = boxes = None
    if config.trajectory is not None:
        positions, boxes = _read_frames(config.trajectory, mapping, topology, config.frames)
    constraints = _read_constraints(config.constraints, topology)
    findings = lint(
        mapping,
        positions,
        boxes,
        constraints,
        config.force_map,
        config.signed_priors,
        config.chiral_network,
        config.frames,
    )
    if constraints is None:
        findings.append(_unknown_constraints("--constraints is not given"))
    return findings, mapping.name


def _read_topology(path: str) -> md.Topology:
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no topology file {path}.")
    try:
        return md.load_topology(path)
    except Exception as error:  # each of MDTraj's readers raises its own
        raise ValueError(f"MDTraj cannot read a topology from {path}: {error}") from error


def _read_frames(
    path: str, mapping: Mapping, topology: md.Topology, frames: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Map evenly spaced frames of a trajectory of any length, in little memory.

    The number of frames is not known before the end: whenever twice as many as wanted are kept,
    every second one is dropped.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no trajectory {path}.")
    kept: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    stride, number = 1, 0
    try:
        for chunk in md.iterload(path, top=topology, chunk=_CHUNK):
            rows = np.flatnonzero((number + np.arange(len(chunk))) % stride == 0)
            number += len(chunk)
            vectors = chunk.unitcell_vectors
            box = None if vectors is None else vectors[rows]
            kept += list(mapping.apply(chunk.xyz[rows], box))
            boxes += [] if box is None else list(box)
            while len(kept) >= 2 * frames:
                kept, boxes, stride = kept[::2], boxes[::2], 2 * stride
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"The trajectory {path} cannot be read with the topology "
            f"({topology.n_atoms} atoms): {error}"
        ) from error
    if not kept:
        raise ValueError(f"The trajectory {path} has no frames.")
    return np.array(kept), np.array(boxes) if len(boxes) == len(kept) else None


def _read_constraints(source: str | None, topology: md.Topology) -> np.ndarray | None:
    if source is None:
        return None
    if source == "none":
        return np.zeros((0, 2), dtype=np.int64)
    if source == "hbonds":
        return hydrogen_constraints(topology)
    if not Path(source).is_file():
        raise ValueError(
            f"constraints is {source!r}, expected none, hbonds, or the XML file of a System."
        )
    import openmm

    system = openmm.XmlSerializer.deserialize(Path(source).read_text())
    if not isinstance(system, openmm.System):
        raise ValueError(f"{source} holds {type(system).__name__}, expected an OpenMM System.")
    return constraint_pairs(system)


def _not_checked(dataset: Dataset) -> Finding:
    return Finding(
        INFO,
        "symmetry",
        "The gap alone is checked",
        f"{dataset.path} does not hold the atomistic topology, so symmetries, stereocentres and "
        "constraints are not.",
        "Lint the mapping on its topology, or write the dataset again with this version.",
    )


def _unknown_constraints(reason: str) -> Finding:
    return Finding(
        INFO,
        "constraints",
        "The force map is not checked",
        f"It is not known what the simulation kept rigid ({reason}).",
        "Give the constraints: none, hbonds, or the XML file of the OpenMM System.",
    )


def _plain(text: str) -> str:
    """Escape what rich would take for markup."""
    from rich.markup import escape

    return escape(text)
