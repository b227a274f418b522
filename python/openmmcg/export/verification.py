"""Check a model file where it will be used: in a process that knows nothing of this package."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from openmmcg.export._script import argument_names
from openmmcg.export.archive import read_bytes
from openmmcg.export.geometry import chain
from openmmcg.export.modelfile import load_script, read_card
from openmmcg.export.trials import Results, largest_difference, trials
from openmmcg.models import CGNetwork

_STEP = 1e-5
_SLOPES = 72
_LARGE_BOX = [[10.0, 0.0, 0.0], [0.0, 10.0, 0.0], [0.0, 0.0, 10.0]]
_CLEAN_PROCESS = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
calls = torch.load(sys.argv[2], weights_only=True)
modules = {d: torch.jit.load(sys.argv[1]).to(d) for d in (torch.float32, torch.float64)}
results = []
for arguments in calls:
    # As CGForce does: optimising the code for each new shape would take longer than running it.
    with torch.jit.optimized_execution(False):
        value = modules[arguments[0].dtype](*arguments)
    results.append([t.detach() for t in (value if isinstance(value, tuple) else (value,))])
assert not any(name.split(".")[0] == "openmmcg" for name in sys.modules)
torch.save(results, sys.argv[3])
"""


def verify(
    path: str | os.PathLike[str], model: CGNetwork | None = None, tolerance: float = 1e-5
) -> dict[str, Any]:
    """Evaluate a model file in a clean process and check that what it says is consistent.

    The configuration stored in the file, the same displaced, and random beads of several numbers,
    also across the boundaries of a triclinic box, are evaluated in single and double precision by
    a fresh Python process that imports nothing but torch. For a model that takes pairs the checks
    are: agreement with the energy and forces that were stored when it was saved, with this process
    and with the network it was made from; single against double precision; forces against
    differences of the energy; the same results under a new numbering of beads, at other periodic
    images, for two copies that do not see each other, for a box twice as large, and with unused
    entries in the pair list.

    Parameters
    ----------
    path : path-like
        The model file.
    model : CGNetwork, optional
        The network from which the file was made.
    tolerance : float, default 1e-5
        Largest accepted difference relative to the largest force, energy or derivative.

    Returns
    -------
    dict
        JSON-able: largest relative difference of each check, and the geometries.

    Raises
    ------
    ValueError
        If a difference is above the tolerance; the check and numbers are named.
    RuntimeError
        If the clean process fails.
    """
    card = read_card(path)
    if card["interface"] == "pairs":
        with torch.jit.optimized_execution(False):
            report = _verify_pairs(Path(path), card, model)
    else:
        report = _verify_positions(Path(path), card)
    for check, difference in report["differences"].items():
        if not difference <= tolerance:
            raise ValueError(
                f"{path} failed the check {check!r}: the relative difference is {difference:.2e}, "
                f"but at most {tolerance:.0e} is accepted; do not run this model."
            )
    return report


def _verify_pairs(path: Path, card: Mapping[str, Any], model: CGNetwork | None) -> dict[str, Any]:
    cutoff, tried = card["cutoff"], trials(card)
    single, double = torch.float32, torch.float64
    variants = [trial.variants(cutoff) for trial in tried]
    calls = []
    for trial, others in zip(tried, variants, strict=True):
        calls += [trial.beads.arguments(double), trial.beads.arguments(single)]
        calls += [other.arguments(double) for other in others.values()]
    answers = iter(_clean_results(path, calls))
    module = load_script(path).double()
    eager = None if model is None else _double_copy(model)
    found: dict[str, list[float]] = {}
    for trial, others in zip(tried, variants, strict=True):
        arguments = trial.beads.arguments(double)
        got = next(answers)
        compare = [
            ("this process", got, module(*arguments)),
            ("single precision", got, next(answers)),
            *((check, trial.expected(check, got), next(answers)) for check in others),
            ("forces", (_slope_forces(module, arguments, got[1]),), (got[1],)),
        ]
        if trial.beads is tried[0].beads and card.get("reference") is not None:
            compare.append(("stored results", _reference(card), got[:2]))
        if eager is not None:
            compare.append(("network", eager(*arguments), got))
        for check, expected, result in compare:
            found.setdefault(check, []).append(largest_difference(expected, result))
    return {
        "differences": {check: max(values) for check, values in found.items()},
        "beads": [len(trial.beads.types) for trial in tried],
        "pairs": [trial.beads.pairs.shape[1] for trial in tried],
        "boxes": [trial.box is not None for trial in tried],
    }


def _reference(card: Mapping[str, Any]) -> Results:
    """Bead energies and forces that were written into the card when the model was saved."""
    names = ("bead_energies", "forces")
    return tuple(torch.tensor(card["reference"][name], dtype=torch.float64) for name in names)


def _verify_positions(path: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    module, topology = load_script(path), card["topology"]
    if topology is None:
        positions = chain(3, 1, card["cutoff"] or 1.0, [], seed=1).positions
        box = torch.tensor(_LARGE_BOX, dtype=torch.float64)
    else:
        positions = torch.tensor(topology["positions"], dtype=torch.float64)
        box = torch.tensor(topology.get("box") or _LARGE_BOX, dtype=torch.float64)
    extra = [torch.tensor(entry["default"]).double() for entry in card["parameters"][1:]]
    takes_box = len(argument_names(module)) > 1 + len(extra)
    arguments = (positions, *([box] if takes_box else []), *extra)
    calls = [tuple(t.to(dtype) for t in arguments) for dtype in (torch.float64, torch.float32)]
    reference, in_single = _clean_results(path, calls)
    here = module.double()(*calls[0])
    differences = {
        "this process": largest_difference(reference, here if isinstance(here, tuple) else (here,)),
        "single precision": largest_difference(reference, in_single),
    }
    return {"differences": differences, "beads": [len(positions)], "pairs": [0]}


def _clean_results(path: Path, calls: Sequence[tuple[Tensor, ...]]) -> list[Results]:
    """Evaluate calls in a process that imports nothing but torch."""
    with tempfile.TemporaryDirectory() as folder:
        model, asked, answered = (Path(folder) / name for name in ("model", "calls", "results"))
        model.write_bytes(read_bytes(path)[0])
        torch.save([list(call) for call in calls], asked)
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CLEAN_PROCESS, str(model), str(asked), str(answered)],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"{path} cannot be evaluated in a process without openmmcg: "
                f"{(done.stderr.strip().splitlines() or ['no message'])[-1]}"
            )
        return [tuple(results) for results in torch.load(answered, weights_only=True)]


def _double_copy(model: CGNetwork) -> torch.nn.Module:
    return copy.deepcopy(model).double().eval()


def _slope_forces(
    module: torch.jit.ScriptModule, arguments: tuple[Tensor, ...], forces: Tensor
) -> Tensor:
    """Forces with some of their components as central differences of the energy."""
    positions, *others = arguments
    slopes = forces.clone()
    chosen = np.random.default_rng(0).permutation(positions.numel())[:_SLOPES]
    for index in zip(*np.unravel_index(chosen, positions.shape), strict=True):
        ends = []
        for sign in (1.0, -1.0):
            moved = positions.clone()
            moved[index] += sign * _STEP
            ends.append(module(moved, *others)[0].sum())
        slopes[index] = (ends[1] - ends[0]) / (2.0 * _STEP)
    return slopes
