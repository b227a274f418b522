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
from torch.jit.frontend import FrontendError

from openmmcg.export.wrapper import PairEnergy
from openmmcg.models import CGNetwork

Scriptable = CGNetwork | PairEnergy | torch.jit.ScriptModule | torch.jit.ScriptFunction


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
    model : CGNetwork, PairEnergy, torch.jit.ScriptModule or torch.jit.ScriptFunction
        The former two are scripted; others pass through one save and load.

    Returns
    -------
    torch.jit.ScriptModule
        In evaluation mode, its parameters frozen.

    Raises
    ------
    ValueError
        If `model` is none of these or cannot be scripted.
    """
    if isinstance(model, nn.Module) and not isinstance(model, torch.jit.ScriptModule):
        if not isinstance(model, CGNetwork | PairEnergy):
            raise ValueError(
                f"A model must be a CGNetwork or a scripted module, but a plain "
                f"{type(model).__name__} was given; wrap a module that returns energies of beads "
                "in openmmcg.export.PairEnergy, or script it with torch.jit.script."
            )
        model = _compiled(model)
    elif not isinstance(model, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        raise ValueError(
            f"A model must be a CGNetwork or a scripted module, but a {type(model).__name__} "
            "was given."
        )
    loaded = load_archive(save_archive(model)).eval()
    for parameter in loaded.parameters():
        parameter.requires_grad_(False)
    return loaded


def _compiled(model: CGNetwork | PairEnergy) -> torch.jit.ScriptModule:
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        # torch.jit writes constants in the order of a set of their names, which differs from
        # process to process, and attributes as they come; of constants only tuples must be such.
        names = getattr(module, "__constants__", ())
        tuples = [name for name in names if isinstance(getattr(module, name, None), tuple)]
        module.__dict__["__constants__"] = tuples
    try:
        with quiet_jit():
            return torch.jit.script(model)
    except (RuntimeError, OSError, FrontendError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{type(model).__name__} cannot be scripted ({reason}); write its forward in the part "
            "of Python that torch.jit.script knows, with types of all arguments that are not "
            "tensors."
        ) from error


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
