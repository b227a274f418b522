"""Compile a network ahead of time: a package NAME.pt2 beside its model file, for this machine.

A package is a zip of machine code that PyTorch's AOTInductor makes. It runs faster than
TorchScript, and only on processors like the one it was made on. It holds no other copy of what a
model file says, and names the model file it belongs to by the digest in its card.
"""

from __future__ import annotations

import copy
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from openmmcg.export._script import quiet_jit
from openmmcg.export.geometry import chain
from openmmcg.export.modelfile import load_script, read_card
from openmmcg.export.trials import largest_difference, trials
from openmmcg.files import atomic_path

METADATA_KEY = "openmmcg_model_sha256"
"""Entry of a package's metadata that holds the digest of its model file's card."""
MODELS = {"float32": torch.float32, "float64": torch.float64}
"""Name within a package of the network in each precision."""
_TOLERANCE = 1e-5


def package_path(path: str | os.PathLike[str]) -> Path:
    """Return where the package of a model file belongs: NAME.pt2 beside NAME.cg.pt."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".pt").removesuffix(".cg") + ".pt2")


def compile_package(model: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Compile the network of a model file with AOTInductor, in single and in double precision.

    `CGForce` runs it where it is told to: ``setProperty("runner", "aoti")`` and
    ``setProperty("package", "NAME.pt2")``. Any number of beads and pairs will do.

    Parameters
    ----------
    model : torch.nn.Module
        The network of the file, such as a CGNetwork or one derived from `PairEnergy`; not
        scripted.
    path : path-like
        The model file that was saved from it.

    Returns
    -------
    Path
        The package, see `package_path`.

    Raises
    ------
    RuntimeError
        If there is no C++ compiler, or PyTorch cannot compile the network.
    ValueError
        If the file's model takes positions alone, `model` is scripted, or the compiled network
        gives something else than the file.
    """
    card = read_card(path)
    if card["interface"] != "pairs" or isinstance(model, torch.jit.ScriptModule):
        raise ValueError(
            f"{path} cannot be compiled: that needs a model that takes pairs, given as it was "
            "before it was scripted."
        )
    from torch._inductor.package import package_aoti  # a second of imports

    _check_compiler()
    target = package_path(path)
    with tempfile.TemporaryDirectory(prefix="openmmcg-aot-") as folder:
        package = str(Path(folder) / "package.pt2")
        files = {name: _compile(model, card, dtype) for name, dtype in MODELS.items()}
        package_aoti(package, files)
        _check(package, card, path)
        with atomic_path(target) as temporary:
            temporary.write_bytes(Path(package).read_bytes())
    return target


def _check_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise RuntimeError(
            "No C++ compiler was found, which compiling a model needs; install one such as g++, "
            "set CXX to it, or export without compiling."
        ) from error


def _compile(model: nn.Module, card: dict[str, Any], dtype: torch.dtype) -> Any:
    """Return the files of a network compiled for any number of beads and pairs."""
    from torch.fx.experimental.proxy_tensor import make_fx

    network = copy.deepcopy(model).to(dtype).eval().requires_grad_(False)
    defaults = [entry["default"] for entry in card["parameters"]]
    beads = chain(7, len(card["bead_types"]), card["cutoff"], defaults, seed=1)
    example = beads.padded(3, card["cutoff"]).arguments(dtype)
    # Forces are differentiated in the network; the graph holds the result of that.
    free = torch.export.Dim.DYNAMIC
    shapes = ({0: free}, {0: free}, {1: free}, {0: free}, {0: free}, None)
    options = {
        "aot_inductor.package": True,
        "aot_inductor.metadata": {METADATA_KEY: card["sha256"]},
        # Threads are those of the Context, not of the machine that compiled.
        "cpp.dynamic_threads": True,
        # Two files are compiled; a pool of processes for that would take longer to start.
        "compile_threads": 1,
    }
    try:
        with quiet_jit(), warnings.catch_warnings():
            # PyTorch uses names that it has deprecated itself.
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            graph = make_fx(network, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*example)
            program = torch.export.export(graph, example, dynamic_shapes=shapes)
            return torch._inductor.aot_compile(program.module(), example, options=options)
    except Exception as error:  # whatever torch's compiler raises: it has no common class
        reason = str(error).strip().splitlines()[0]
        raise RuntimeError(
            f"PyTorch cannot compile this network ahead of time ({type(error).__name__}: "
            f"{reason}); networks with TorchScript inside, as mace, are such. Use the model file "
            "without a package."
        ) from error


def _check(package: str, card: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Compare a package that was just compiled with the model file, on beads of several sizes."""
    from torch._inductor.package import load_package

    module = load_script(path)
    for name, dtype in MODELS.items():
        compiled = load_package(package, name)
        module = module.to(dtype)
        for trial in trials(card):
            arguments = trial.beads.arguments(dtype)
            with torch.jit.optimized_execution(False):
                expected: tuple[Tensor, ...] = module(*arguments)
            difference = largest_difference(expected, compiled(*arguments))
            if not difference <= _TOLERANCE:
                raise ValueError(
                    f"The compiled network differs from {path} by {difference:.2e} relative "
                    f"({name}, {len(arguments[0])} beads), but at most {_TOLERANCE:.0e} is "
                    "accepted; is it the network that the file was saved from?"
                )
