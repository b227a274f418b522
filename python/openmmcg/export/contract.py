"""Check that a scripted module honours the interface it is saved for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from openmmcg.export._script import argument_names
from openmmcg.export.geometry import chain

PAIR_ARGUMENTS = ("positions", "types", "pairs", "shifts", "edge_types", "parameters")
_PAIR_RESULTS = ("bead_energy", "forces", "bead_parameter_derivatives")
_TRIAL_SIZES = (3, 5)


def model_dtype(module: torch.jit.ScriptModule) -> torch.dtype:
    """Type of a module's real numbers; float32 for a module without any."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32


def check_contract(
    module: torch.jit.ScriptModule, card: Mapping[str, Any], n_beads: int | None
) -> None:
    """Evaluate a module on a few beads and check what it returns.

    Parameters
    ----------
    module : torch.jit.ScriptModule
        The model, on the CPU.
    card : mapping
        Its card.
    n_beads : int, optional
        Number of beads of a model that takes positions.

    Raises
    ------
    ValueError
        If the arguments, or the results' kinds, shapes or values are not those of the interface.
    """
    if card["interface"] == "pairs":
        _check_pairs(module, card)
    else:
        _check_positions(module, card, n_beads)


def _check_pairs(module: torch.jit.ScriptModule, card: Mapping[str, Any]) -> None:
    names = argument_names(module)
    if len(names) != len(PAIR_ARGUMENTS):
        raise ValueError(
            f"forward takes {len(names)} arguments ({', '.join(names)}), but a model that takes "
            f"pairs needs {len(PAIR_ARGUMENTS)}: {', '.join(PAIR_ARGUMENTS)}; for a model of "
            "positions alone give interface='positions'."
        )
    defaults = [entry["default"] for entry in card["parameters"]]
    cutoff, dtype = card["cutoff"], model_dtype(module)
    for size in _TRIAL_SIZES:
        trial = chain(size, len(card["bead_types"]), cutoff, defaults, seed=size)
        arguments = trial.padded(2, cutoff).arguments(dtype)
        results = _call(module, arguments, f"{size} beads")
        if not isinstance(results, tuple) or len(results) != len(_PAIR_RESULTS):
            raise ValueError(
                f"forward returned {_describe(results)}, but a tuple of {len(_PAIR_RESULTS)} "
                f"tensors is expected: {', '.join(_PAIR_RESULTS)}."
            )
        shapes = ((size,), (size, 3), (len(defaults), size))
        for name, result, shape in zip(_PAIR_RESULTS, results, shapes, strict=True):
            _check_tensor(name, result, shape, dtype, f"{size} beads")


def _check_positions(
    module: torch.jit.ScriptModule, card: Mapping[str, Any], n_beads: int | None
) -> None:
    size = n_beads or (len(card["topology"]["types"]) if card["topology"] else 3)
    dtype = model_dtype(module)
    positions = chain(size, 1, card["cutoff"] or 1.0, [], seed=size).positions.to(dtype)
    extra = [entry["default"] for entry in card["parameters"][1:]]
    expected = 1 + len(extra)
    names = argument_names(module)
    if len(names) not in (expected, expected + 1):
        raise ValueError(
            f"forward takes {len(names)} arguments ({', '.join(names)}), but a model that takes "
            f"positions needs {expected}, or {expected + 1} with a box: positions[, box] and the "
            f"parameters after {card['parameters'][0]['name']}."
        )
    box = [torch.eye(3, dtype=dtype) * 10.0] if len(names) == expected + 1 else []
    arguments = (positions, *box, *(torch.tensor(value, dtype=dtype) for value in extra))
    results = _call(module, arguments, f"{size} beads")
    energy, forces = results if isinstance(results, tuple) else (results, None)
    if isinstance(energy, Tensor) and energy.numel() == 1:
        energy = energy.reshape(())
    _check_tensor("energy", energy, (), dtype, f"{size} beads")
    if forces is not None:
        _check_tensor("forces", forces, (size, 3), dtype, f"{size} beads")


def _call(module: torch.jit.ScriptModule, arguments: tuple[Tensor, ...], what: str) -> Any:
    try:
        return module(*arguments)
    except (RuntimeError, torch.jit.Error) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"The model fails on {what} in a trial evaluation: {reason}") from error


def _check_tensor(
    name: str, value: Any, shape: tuple[int, ...], dtype: torch.dtype, what: str
) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != shape or value.dtype != dtype:
        raise ValueError(
            f"On {what} the model returned {name} as {_describe(value)}, but a tensor of shape "
            f"{shape} and type {dtype} is expected."
        )
    if not torch.isfinite(value).all():
        raise ValueError(
            f"On {what} the model returned {name} that are not finite (NaN or infinite); check "
            "its weights, and that padding entries of the pair list give zero."
        )


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
    if isinstance(value, tuple | list):
        return f"{len(value)} values ({', '.join(_describe(item) for item in value)})"
    return f"a {type(value).__name__}"
