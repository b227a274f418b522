"""What came out of a training, in numbers and in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from openmmcg.training.frames import SystemData, TrainingData
from openmmcg.training.labels import squared_residuals

OBJECTIVE = "val_objective"
"""Validation loss with the terms of the dependence on the temperature, where there are any."""


def summarise(
    history: Sequence[Mapping[str, float]],
    data: TrainingData,
    notes: Sequence[str] = (),
    closed_form: bool = False,
) -> dict[str, Any]:
    """Collect the numbers of the best epoch, losses in (kJ/mol/nm)^2.

    Parameters
    ----------
    history : sequence of mappings
        One entry an epoch, as `ForceMatching` records them.
    data : TrainingData
        The frames.
    notes : sequence of str
        What to tell the user besides.
    closed_form : bool, default False
        Whether the weights are the solution already, so that longer training has no meaning.

    Returns
    -------
    dict
        JSON-able. ``explained`` is the share of the labels' mean square, less the noise floor,
        that priors and network reproduce. What needs a noise floor is None if it is not known.
    """
    best = min(history, key=lambda entry: entry.get(OBJECTIVE, entry["val_loss"]))
    loss, floor = best["val_loss"], best["noise_floor"]
    sizes = [len(system.validation) * system.n_beads for system in data.systems]
    label_ms = _mean([system.label_ms for system in data.systems], sizes)
    known = math.isfinite(floor)
    result = {
        "frames": {
            "training": len(data.frames("training")),
            "validation": len(data.frames("validation")),
        },
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "label_rms": math.sqrt(label_ms),
        "label_ms": label_ms,
        "prior_loss": _mean([_prior_loss(system, data) for system in data.systems], sizes),
        "train_loss": best["train_loss"],
        "val_loss": loss,
        "noise_floor": floor if known else None,
        "noise_floor_error": best["noise_floor_error"] if known else None,
        "above_floor": loss - floor if known else None,
        "explained": (label_ms - loss) / (label_ms - floor) if known else None,
    }
    if len(data.systems) > 1:
        result["systems"] = {
            system.name: {
                "frames": {"training": len(system.training), "validation": len(system.validation)},
                "label_ms": system.label_ms,
                "val_loss": best[f"val_loss {system.name}"],
                "noise_floor": _finite(best[f"noise_floor {system.name}"]),
            }
            for system in data.systems
        }
    kelvin = {name: best[name] for name in best if re.fullmatch(r"val_loss [\d.]+ K", name)}
    if kelvin:
        result["temperatures"] = {
            name.removeprefix("val_loss "): value for name, value in kelvin.items()
        }
    if OBJECTIVE in best:
        result |= {name: best[name] for name in (OBJECTIVE, "response_gain")}
    if closed_form:
        result["closed_form"] = True
    if notes:
        result["notes"] = list(dict.fromkeys(notes))
    return result


def verdict(summary: Mapping[str, Any]) -> str:
    """Say in words how good a model is, from the numbers of `summarise`."""
    if summary["val_loss"] > summary["prior_loss"]:
        return "The network is worse than the priors alone: lower the learning rate, add frames."
    if summary["noise_floor"] is None:
        gain = 1.0 - summary["val_loss"] / summary["prior_loss"]
        return (
            f"The network takes {gain:.1%} off the loss of the priors alone; how much more could "
            "be learned is not known without a noise floor."
        )
    above, error = summary["above_floor"], summary["noise_floor_error"]
    learned = summary["prior_loss"] - summary["noise_floor"]
    if above <= 2.0 * error:
        return (
            "The loss is at the noise floor within the error of its estimate: more frames would "
            "show more, longer training would not."
        )
    if above <= 0.1 * learned:
        return "Little is left to learn: more frames or epochs would give a slightly better model."
    cure = "train longer, widen the network, or add frames"
    if summary.get("closed_form"):
        cure = "sums over pairs cannot describe it; choose a network with many-body terms"
    return f"The network leaves {above / learned:.0%} of what the priors left to learn: {cure}."


def summary_text(summary: Mapping[str, Any], output: Path) -> str:
    """Describe a finished training for a person."""
    frames = summary["frames"]
    lines = [
        f"Wrote {output}: {summary['epochs']} epochs on {frames['training']} frames, "
        f"validated on {frames['validation']}.",
        f"  label rms       {summary['label_rms']:12.1f} kJ/mol/nm",
        f"  label mean sq.  {summary['label_ms']:12.0f} (kJ/mol/nm)^2 per component",
        f"  priors only     {summary['prior_loss']:12.0f}",
        f"  validation loss {summary['val_loss']:12.0f}",
    ]
    for name, system in summary.get("systems", {}).items():
        floor = system["noise_floor"]
        above = "" if floor is None else f" = floor {floor:.0f} + {system['val_loss'] - floor:.0f}"
        lines.append(f"    {name:30s} {system['val_loss']:12.0f}{above}")
    for name, value in summary.get("temperatures", {}).items():
        lines.append(f"    at {name:27s} {value:12.0f}")
    if summary["noise_floor"] is not None:
        lines += [
            f"  noise floor     {summary['noise_floor']:12.0f} +- "
            f"{summary['noise_floor_error']:.0f}",
            f"  above the floor {summary['above_floor']:12.0f}",
            f"  explained       {summary['explained']:12.1%} of what can be explained",
        ]
    if summary.get("response_gain"):
        lines.append(
            f"  response gain   {summary['response_gain']:12.2%} of the squares of response labels "
            "(mostly noise)"
        )
    lines += [f"  {note}" for note in summary.get("notes", ())]
    return "\n".join([*lines, f"  {verdict(summary)}"])


def _mean(values: Sequence[float], sizes: Sequence[int]) -> float:
    if len(values) == 1:
        return values[0]
    return sum(v * s for v, s in zip(values, sizes, strict=True)) / sum(sizes)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _prior_loss(system: SystemData, data: TrainingData) -> float:
    """Mean square of the labels less the fitted priors over the validation frames."""
    total = 0.0
    for frames in torch.from_numpy(system.validation).split(50_000):
        squares = squared_residuals(system, frames, data.full_labels)
        total += float(squares.mean()) * len(frames)
    return total / len(system.validation)
