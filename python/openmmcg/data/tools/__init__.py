"""Work on datasets: merge, split, thin out, add noise, verify."""

from __future__ import annotations

from openmmcg.data.tools.merge import MergeConfig, merge_datasets
from openmmcg.data.tools.noise import NoiseConfig, add_noise
from openmmcg.data.tools.select import (
    SplitConfig,
    SubsampleConfig,
    split_dataset,
    subsample_dataset,
)
from openmmcg.data.tools.verify import verify_dataset

__all__ = [
    "MergeConfig",
    "NoiseConfig",
    "SplitConfig",
    "SubsampleConfig",
    "add_noise",
    "merge_datasets",
    "split_dataset",
    "subsample_dataset",
    "verify_dataset",
]
