"""Model files: write, read, verify.

A model file ``NAME.cg.pt`` is a TorchScript archive with one extra entry, the card
``extra/openmmcg.json``. It holds all that a simulation needs and runs no Python code on loading.
"""

from __future__ import annotations

from openmmcg.export.info import info, markdown
from openmmcg.export.modelfile import load_script, read_card, save, to_bytes
from openmmcg.export.trained import ExportConfig, export, export_trained
from openmmcg.export.verify import verify

__all__ = [
    "ExportConfig",
    "export",
    "export_trained",
    "info",
    "load_script",
    "markdown",
    "read_card",
    "save",
    "to_bytes",
    "verify",
]
