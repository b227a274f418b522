"""Lint of a mapping on a dataset, a trajectory or a topology alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import mdtraj as md

from openmmcg.data.dataset import Dataset
from openmmcg.data.linting.inputs import read_atoms
from openmmcg.data.linting.tables import print_findings
from openmmcg.files import atomic_path
from openmmcg.mapping import Finding, Mapping, lint, load_mapping
from openmmcg.mapping.linting import (
    ERROR,
    INFO,
    by_severity,
    check_gap,
    chosen_frames,
    draw,
)

REPORT = "lint.json"


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
        May be left out if the trajectory holds it.
    trajectory : str or None
        Frames of the atoms, in any format that MDTraj reads; without them the gap is not checked.
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
        if self.dataset is None and not ("mapping" in given and given & {"topology", "trajectory"}):
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
        Of files without the atomistic topology, or whose mapping cannot be made again, the gap
        alone, and an info that says why.
    """
    if dataset.n_frames == 0:
        raise ValueError(f"{dataset.path} has no frames; sample some.")
    rows = slice(0, dataset.n_frames, max(1, dataset.n_frames // frames))
    positions = dataset._read("positions", rows)
    boxes = dataset._read("boxes", rows) if "boxes" in dataset._node else None
    try:
        mapping = dataset.mapping_on_atoms()
    except ValueError as error:
        chosen = chosen_frames(dataset, positions, boxes, frames)
        return by_severity([*check_gap(dataset, *chosen), _not_checked(error)])
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


def _lint_atoms(config: LintConfig) -> tuple[list[Finding], str]:
    def make(topology: md.Topology) -> Mapping:
        assert config.mapping is not None
        return load_mapping(config.mapping, topology, config.encoding)

    inputs = read_atoms(make, config.topology, config.trajectory, config.constraints, config.frames)
    findings = lint(
        inputs.mapping,
        inputs.positions,
        inputs.boxes,
        inputs.constraints,
        config.force_map,
        config.signed_priors,
        config.chiral_network,
        config.frames,
    )
    if inputs.constraints is None:
        findings.append(_unknown_constraints("--constraints is not given"))
    return findings, inputs.mapping.name


def _not_checked(reason: ValueError) -> Finding:
    return Finding(
        INFO,
        "symmetry",
        "The gap alone is checked",
        f"Symmetries, stereocentres and constraints need the mapping on its atoms. {reason}",
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
