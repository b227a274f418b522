"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import openmmcg  # noqa: F401  (sets up threads and loads the plugin before anything imports torch)
import pytest
import torch
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_files() -> Path:
    """Folder of the stored model files."""
    return Path(__file__).parent.parent / "data"


@pytest.fixture(scope="session")
def cpp_build() -> Path:
    """Folder of the C++ build, where its programs are."""
    folder = os.environ.get("OPENMMCG_BUILD_DIR")
    if folder is None:
        pytest.skip(
            "OPENMMCG_BUILD_DIR is not set: the C++ programs were not built (make test builds them)"
        )
    return Path(folder)
