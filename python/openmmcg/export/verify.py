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
from openmmcg.export.geometry import PairInputs, chain, inputs
from openmmcg.export.modelfile import load_script, read_card
from openmmcg.models import CGNetwork

Results = tuple[Tensor, ...]

_SIZES = (2, 5, 24)
_STEP = 1e-5
_CLEAN_PROCESS = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
calls = torch.load(sys.argv[2], weights_only=True)
results = []
for arguments in calls:
    module = torch.jit.load(sys.argv[1]).to(arguments[0].dtype)
    value = module(*arguments)
    results.append([t.detach() for t in (value if isinstance(value, tuple) else (value,))])
assert not any(name.split(".")[0] == "openmmcg" for name in sys.modules)
torch.save(results, sys.argv[3])
"""


def verify(
    path: str | os.PathLike[str], model: CGNetwork | None = None, tolerance: float = 1e-5
) -> dict[str, Any]:
    """Evaluate a model file in a clean process and check that what it says is consistent.

    Random beads of several numbers (and those of the topology in the file, displaced) are
    evaluated in single and double precision by a fresh Python process that imports nothing but
    torch. For a model that takes pairs the checks are: agreement with this process and with the
    network it was made from; single against double precision; forces against differences of the
    energy; the same energies under a new numbering of beads, for two copies that do not see each
    other, and with unused entries in the pair list.

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
    geometries = _geometries(card)
    cutoff = card["cutoff"]
    single, double = torch.float32, torch.float64
    calls = [
        arguments
        for beads in geometries
        for arguments in (
            beads.arguments(double),
            beads.arguments(single),
            beads.padded(7, cutoff).arguments(double),
            beads.permuted(_order(beads)).arguments(double),
            beads.doubled().arguments(double),
        )
    ]
    answers = iter(_clean_results(path, calls))
    module = load_script(path).double()
    eager = None if model is None else _double_copy(model)
    found: dict[str, list[float]] = {}
    for beads in geometries:
        reference, in_single, padded, permuted, doubled = (next(answers) for _ in range(5))
        arguments = beads.arguments(double)
        compare = [
            ("this process", reference, module(*arguments)),
            ("single precision", reference, in_single),
            ("unused pairs", reference, padded),
            ("numbering of beads", _pick(reference, _order(beads)), permuted),
            ("replicas", _twice(reference), doubled),
            ("forces", (_slope_forces(module, arguments),), (reference[1],)),
        ]
        if eager is not None:
            compare.append(("network", eager(*arguments), reference))
        for check, expected, got in compare:
            found.setdefault(check, []).append(_difference(expected, got))
    return {
        "differences": {check: max(values) for check, values in found.items()},
        "beads": [len(beads.types) for beads in geometries],
        "pairs": [beads.pairs.shape[1] for beads in geometries],
    }


def _verify_positions(path: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    module = load_script(path)
    n_beads = len(card["topology"]["types"]) if card["topology"] else 3
    names = argument_names(module)
    extra = [entry["default"] for entry in card["parameters"][1:]]
    calls = []
    for dtype in (torch.float64, torch.float32):
        positions = chain(n_beads, 1, card["cutoff"] or 1.0, [], seed=1).positions.to(dtype)
        box = [10.0 * torch.eye(3, dtype=dtype)] * (len(names) - 1 - len(extra))
        calls.append((positions, *box, *(torch.tensor(value, dtype=dtype) for value in extra)))
    reference, in_single = _clean_results(path, calls)
    here = module.double()(*calls[0])
    differences = {
        "this process": _difference(reference, here if isinstance(here, tuple) else (here,)),
        "single precision": _difference(reference, in_single),
    }
    return {"differences": differences, "beads": [n_beads], "pairs": [0]}


def _geometries(card: Mapping[str, Any]) -> list[PairInputs]:
    defaults = [entry["default"] for entry in card["parameters"]]
    n_types, cutoff = len(card["bead_types"]), card["cutoff"]
    found = [chain(size, n_types, cutoff, defaults, seed=size) for size in _SIZES]
    topology = card["topology"]
    if topology is not None:
        positions = np.array(topology["positions"], dtype=np.float64)
        noise = np.random.default_rng(0).normal(0.0, 0.003, positions.shape)
        types, bonds = np.array(topology["types"]), [(i, j) for i, j in topology["bonds"]]
        found.append(
            inputs(positions + noise, types, bonds, topology["molecules"], cutoff, defaults)
        )
    return found


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


def _order(beads: PairInputs) -> Tensor:
    generator = torch.Generator().manual_seed(len(beads.types))
    return torch.randperm(len(beads.types), generator=generator)


def _pick(results: Results, order: Tensor) -> Results:
    energy, forces, derivatives = results
    return energy[order], forces[order], derivatives[:, order]


def _twice(results: Results) -> Results:
    energy, forces, derivatives = results
    return energy.repeat(2), forces.repeat(2, 1), derivatives.repeat(1, 2)


def _slope_forces(module: torch.jit.ScriptModule, arguments: tuple[Tensor, ...]) -> Tensor:
    """Forces as central differences of the energy, one direction after the other."""
    positions, *others = arguments
    forces = torch.zeros_like(positions)
    for index in np.ndindex(*positions.shape):
        ends = []
        for sign in (1.0, -1.0):
            moved = positions.clone()
            moved[index] += sign * _STEP
            ends.append(module(moved, *others)[0].sum())
        forces[index] = (ends[1] - ends[0]) / (2.0 * _STEP)
    return forces


def _difference(expected: Sequence[Tensor], got: Sequence[Tensor]) -> float:
    """Largest difference of two results relative to the largest value of each tensor."""
    largest = 0.0
    for a, b in zip(expected, got, strict=True):
        scale = max(a.abs().max().item(), 1e-3)
        difference = (a.double() - b.double()).abs().max().item() / scale
        largest = max(largest, difference if np.isfinite(difference) else np.inf)
    return largest
