"""Model files: write, read, verify.

A model file ``NAME.cg.pt`` is a TorchScript archive with one extra entry, the card
``extra/openmmcg.json``. It holds all that a simulation needs and runs no Python code on loading.
Reading a card needs no PyTorch, so what does is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from openmmcg.export.info import info, markdown
from openmmcg.export.reading import read_card

if TYPE_CHECKING:
    from openmmcg.export.aot import compile_package, package_path
    from openmmcg.export.modelfile import load_script, save, to_bytes
    from openmmcg.export.trained import ExportConfig, export, export_trained
    from openmmcg.export.verification import verify
    from openmmcg.export.wrapper import PairEnergy

_MODULES = {
    "ExportConfig": "trained",
    "PairEnergy": "wrapper",
    "compile_package": "aot",
    "export": "trained",
    "export_trained": "trained",
    "load_script": "modelfile",
    "package_path": "aot",
    "save": "modelfile",
    "to_bytes": "modelfile",
    "verify": "verification",
}

__all__ = [
    "ExportConfig",
    "PairEnergy",
    "compile_package",
    "export",
    "export_trained",
    "info",
    "load_script",
    "markdown",
    "package_path",
    "read_card",
    "save",
    "to_bytes",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
