"""What came out of a training, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmmcg.training.frames import TrainingData


def summarise(history: Sequence[Mapping[str, float]], data: TrainingData) -> dict[str, Any]:
    """Collect the numbers of the best epoch, losses in (kJ/mol/nm)^2.

    Parameters
    ----------
    history : sequence of mappings
        One entry an epoch, as `ForceMatching` records them.
    data : TrainingData
        The frames.

    Returns
    -------
    dict
        JSON-able. ``explained`` is the share of the labels' mean square, less the noise floor,
        that priors and network reproduce.
    """
    best = min(history, key=lambda entry: entry["val_loss"])
    loss, floor = best["val_loss"], best["noise_floor"]
    return {
        "frames": {"training": len(data.training), "validation": len(data.validation)},
        "epochs": len(history),
        "best_epoch": int(best["epoch"]),
        "label_rms": math.sqrt(data.label_ms),
        "label_ms": data.label_ms,
        "prior_loss": float((data.residuals[data.validation].double() ** 2).mean()),
        "train_loss": best["train_loss"],
        "val_loss": loss,
        "noise_floor": floor,
        "noise_floor_error": best["noise_floor_error"],
        "above_floor": loss - floor,
        "explained": (data.label_ms - loss) / (data.label_ms - floor),
    }


def verdict(summary: Mapping[str, Any]) -> str:
    """Say in words how good a model is, from the numbers of `summarise`."""
    above, error = summary["above_floor"], summary["noise_floor_error"]
    learned = summary["prior_loss"] - summary["noise_floor"]
    if summary["val_loss"] > summary["prior_loss"]:
        return "The network is worse than the priors alone: lower the learning rate, add frames."
    if above <= 2.0 * error:
        return (
            "The loss is at the noise floor within the error of its estimate: more frames would "
            "show more, longer training would not."
        )
    if above <= 0.1 * learned:
        return "Little is left to learn: more frames or epochs would give a slightly better model."
    return (
        f"The network leaves {above / learned:.0%} of what the priors left to learn: train "
        "longer, widen the network, or add frames."
    )


def summary_text(summary: Mapping[str, Any], output: Path) -> str:
    """Describe a finished training for a person."""
    frames = summary["frames"]
    return "\n".join(
        [
            f"Wrote {output}: {summary['epochs']} epochs on {frames['training']} frames, "
            f"validated on {frames['validation']}.",
            f"  label rms       {summary['label_rms']:12.1f} kJ/mol/nm",
            f"  label mean sq.  {summary['label_ms']:12.0f} (kJ/mol/nm)^2 per component",
            f"  priors only     {summary['prior_loss']:12.0f}",
            f"  validation loss {summary['val_loss']:12.0f}",
            f"  noise floor     {summary['noise_floor']:12.0f} +- "
            f"{summary['noise_floor_error']:.0f}",
            f"  above the floor {summary['above_floor']:12.0f}",
            f"  explained       {summary['explained']:12.1%} of what can be explained",
            f"  {verdict(summary)}",
        ]
    )
