"""Cross-validation: the results of all folds together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from openmmcg.training.folder import SUMMARY


def join_folds(output: Path, folds: int) -> dict[str, Any]:
    """Mean of the folds' numbers with standard errors, losses in (kJ/mol/nm)^2.

    Parameters
    ----------
    output : Path
        Folder with the folds' folders.
    folds : int
        Their number.

    Returns
    -------
    dict
        JSON-able.
    """
    summaries = [
        json.loads((output / f"fold-{index + 1}" / SUMMARY).read_text()) for index in range(folds)
    ]
    result: dict[str, Any] = {"folds": folds}
    for name in ("val_loss", "noise_floor", "above_floor", "prior_loss", "label_ms"):
        values = [summary[name] for summary in summaries]
        if None in values:
            result[name] = result[f"{name}_error"] = None
            continue
        result[name] = float(np.mean(values))
        result[f"{name}_error"] = float(np.std(values, ddof=1) / math.sqrt(folds))
    result["fold_losses"] = [summary["val_loss"] for summary in summaries]
    return result


def joined_text(joined: Mapping[str, Any], output: Path) -> str:
    """Describe a finished cross-validation for a person."""
    losses = ", ".join(f"{loss:.0f}" for loss in joined["fold_losses"])
    lines = [
        f"Wrote {output}: {joined['folds']} folds with losses of {losses} (kJ/mol/nm)^2.",
        f"  cross-validated {joined['val_loss']:12.0f} +- {joined['val_loss_error']:.0f}",
    ]
    if joined["noise_floor"] is not None:
        above, error = joined["above_floor"], joined["above_floor_error"]
        lines += [
            f"  noise floor     {joined['noise_floor']:12.0f} +- {joined['noise_floor_error']:.0f}",
            f"  above the floor {above:12.0f} +- {error:.0f}",
        ]
    return "\n".join(lines)
