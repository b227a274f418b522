"""The one place that touches `torch.jit`, so that a later file format has one seam to replace."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from openmmcg.models import CGNetwork

Scriptable = CGNetwork | torch.jit.ScriptModule | torch.jit.ScriptFunction


@contextmanager
def quiet_jit() -> Iterator[None]:
    """Silence the deprecation warnings of `torch.jit`, and no others."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"`torch\.jit\.\w+` is", category=DeprecationWarning
        )
        yield


def script(model: Scriptable) -> torch.jit.ScriptModule:
    """Turn a model into a script module for inference on the CPU; the model is left as it is.

    Parameters
    ----------
    model : CGNetwork, torch.jit.ScriptModule or torch.jit.ScriptFunction
        A network is scripted; others pass through one save and load.

    Returns
    -------
    torch.jit.ScriptModule
        In evaluation mode, its parameters frozen.

    Raises
    ------
    ValueError
        If `model` is none of these.
    """
    if isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        if not isinstance(model, CGNetwork):
            raise ValueError(
                f"A model must be a CGNetwork or a scripted module, but a plain "
                f"{type(model).__name__} was given; script it first with torch.jit.script."
            )
        with quiet_jit():
            model = torch.jit.script(copy.deepcopy(model).eval())
    elif not isinstance(model, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        raise ValueError(
            f"A model must be a CGNetwork or a scripted module, but a {type(model).__name__} "
            "was given."
        )
    loaded = load_archive(save_archive(model)).eval()
    for parameter in loaded.parameters():
        parameter.requires_grad_(False)
    return loaded


def save_archive(model: torch.jit.ScriptModule | torch.jit.ScriptFunction) -> bytes:
    """Return the TorchScript archive of a module or function."""
    buffer = io.BytesIO()
    with quiet_jit():
        torch.jit.save(model, buffer)
    return buffer.getvalue()


def load_archive(data: bytes) -> torch.jit.ScriptModule:
    """Load a TorchScript archive onto the CPU.

    Raises
    ------
    ValueError
        If `data` is not a TorchScript archive.
    """
    try:
        with quiet_jit():
            return torch.jit.load(io.BytesIO(data), map_location="cpu")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"The file is not a TorchScript archive that this PyTorch can load ({reason}); "
            "write models with openmmcg.export.save."
        ) from error


def argument_names(module: torch.jit.ScriptModule) -> list[str]:
    """Names of the arguments of a script module's forward."""
    schema: Any = module.forward.schema  # type: ignore[attr-defined]
    return [argument.name for argument in schema.arguments[1:]]
