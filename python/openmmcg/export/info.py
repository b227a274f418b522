"""What a model file says of itself, in short: as a dictionary and as a page of Markdown."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmmcg.export.reading import read_card
from openmmcg.tables import flat, markdown_table

_MOST_ROWS = 60
_NOT_PARAMETERS = ("types", "values")


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Sum up a model file.

    Parameters
    ----------
    path : path-like
        The model file.

    Returns
    -------
    dict
        JSON-able. ``architecture``, ``hyperparameters``, ``weights`` (number of trained numbers, if PyTorch is
        there to count them), ``dtype``, ``interface``, ``bead_types``, ``cutoff`` (nm), ``temperature``,
        ``temperature_range`` (K), ``parameters`` (names), ``mapping``, ``beads`` (name of type to number),
        ``molecules``, ``bonds``, ``box`` (nm), ``priors`` (kind to number of entries), ``training`` (frames,
        epochs, losses and noise floor in (kJ/mol/nm)^2), ``data``, ``created_with``, ``format_version``,
        ``size`` (bytes) and ``sha256``. What the file does not have is None.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, damaged, changed, or of another format version.
    """
    card = read_card(path)
    topology = card["topology"] or {}
    types = Counter(card["bead_types"][kind] for kind in topology.get("types", ()))
    training = card["training"] or {}
    priors = card["priors"]
    return {
        "architecture": card["architecture"]["name"],
        "hyperparameters": card["architecture"]["hyperparameters"],
        "weights": _count_weights(path),
        "dtype": card["dtype"],
        "interface": card["interface"],
        "bead_types": card["bead_types"],
        "cutoff": card["cutoff"],
        "temperature": card["temperature"],
        "temperature_range": card["temperature_range"],
        "parameters": [entry["name"] for entry in card["parameters"]],
        "mapping": (card["mapping"] or {}).get("name"),
        "beads": dict(types) or None,
        "molecules": len(set(topology["molecules"])) if topology else None,
        "bonds": len(topology["bonds"]) if topology else None,
        "box": topology.get("box"),
        "priors": None if priors is None else _prior_counts(priors),
        "training": training.get("summary"),
        "data": _data(training.get("data")),
        "created_with": card["created_with"],
        "format_version": card["format_version"],
        "size": Path(path).stat().st_size,
        "sha256": card["sha256"],
    }


def markdown(path: str | os.PathLike[str]) -> str:
    """Write a model card in Markdown, as for a repository or supporting information.

    Parameters
    ----------
    path : path-like
        The model file; errors as of `info`.

    Returns
    -------
    str
        What `info` gives, every bead, every prior, and how to use the model.
    """
    facts, card = info(path), read_card(path)
    name = Path(path).name
    parts = [
        f"# {name}",
        markdown_table(("", ""), flat(facts, ("training", "data", "beads", "box"))),
    ]
    topology = card["topology"]
    if topology is not None:
        parts += ["## Beads", _beads(topology, card["bead_types"])]
    if card["priors"] is not None:
        parts += ["## Priors", _priors(card["priors"])]
    if facts["training"] is not None:
        known = {"data": facts["data"], **facts["training"]}
        parts += [
            "## Training",
            "Losses are in (kJ/mol/nm)².",
            markdown_table(("", ""), flat(known)),
        ]
    parts += ["## Use", _use(name, topology is not None)]
    return "\n\n".join(parts) + "\n"


def _count_weights(path: str | os.PathLike[str]) -> int | None:
    if importlib.util.find_spec("torch") is None:
        return None
    from openmmcg.export.modelfile import load_script

    return sum(parameter.numel() for parameter in load_script(path).parameters())


def _prior_counts(record: Mapping[str, Any]) -> dict[str, int]:
    sets = [record, *record.get("molecules", ())]
    terms = [term for entry in sets for term in entry["terms"]]
    counts: Counter[str] = Counter()
    for term in terms:
        counts[term["kind"]] += len(term["parameters"])
    return dict(counts)


def _data(record: Mapping[str, Any] | None) -> list[str] | None:
    """Where the data were and their digests; a training on several systems has several."""
    if record is None:
        return None
    systems = record.get("systems", [record])
    return [
        f"{Path(facts['path']).name}::{facts['group']} ({facts['frames']} frames, sha256 "
        f"{facts['sha256'][:16]})"
        for facts in systems
    ]


def _beads(topology: Mapping[str, Any], bead_types: Sequence[str]) -> str:
    count = len(topology["types"])
    rows = []
    for index in range(min(count, _MOST_ROWS)):
        residue, number = topology["residues"][index]
        kind, molecule = bead_types[topology["types"][index]], topology["molecules"][index]
        mass = f"{topology['masses'][index]:.3f}"
        rows.append((index, topology["names"][index], f"{residue} {number}", kind, molecule, mass))
    bonds = ", ".join(f"{i}-{j}" for i, j in topology["bonds"][:_MOST_ROWS])
    parts = [markdown_table(("bead", "name", "residue", "type", "molecule", "mass (Da)"), rows)]
    parts.append(f"Bonds: {bonds or 'none'}.")
    if count > _MOST_ROWS or len(topology["bonds"]) > _MOST_ROWS:
        parts.append(f"The first {_MOST_ROWS} of {count} beads and {len(topology['bonds'])} bonds.")
    if topology.get("box") is not None:
        box = "; ".join(" ".join(f"{x:.4f}" for x in row) for row in topology["box"])
        parts.append(f"Periodic box vectors: {box} nm.")
    return "\n\n".join(parts)


def _priors(record: Mapping[str, Any]) -> str:
    rows = []
    for entry in [record, *record.get("molecules", ())]:
        for term in entry["terms"]:
            for parameters in term["parameters"]:
                numbers = ", ".join(
                    f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in parameters.items()
                    if key not in _NOT_PARAMETERS and not isinstance(value, list)
                )
                molecule = entry.get("name", "all")
                rows.append((molecule, term["kind"], "-".join(parameters["types"]), numbers))
    return markdown_table(("molecules", "kind", "types", "parameters (nm, rad, kJ/mol)"), rows)


def _use(name: str, with_topology: bool) -> str:
    if with_topology:
        lines = [
            "from openmmcg.simulation import CGPotential",
            "",
            f'system = CGPotential.load("{name}").createSystem()',
        ]
    else:
        lines = ["from openmmcg import CGForce", "", f'force = CGForce("{name}")']
    return "\n".join(["```python", *lines, "```"])
