"""Reference data: sampling in OpenMM, mapped datasets (HDF5), force maps."""

from __future__ import annotations

from openmmcg.data.bias import TorsionBias, effective_frames, reweight
from openmmcg.data.config import SampleConfig
from openmmcg.data.dataset import Dataset
from openmmcg.data.force_maps import ForceMap, constraint_pairs, fit_force_map
from openmmcg.data.frames import Frames
from openmmcg.data.sampling import bias_path, sample
from openmmcg.data.systems import AtomisticSystem, capped_alanine, recipe, recipes
from openmmcg.data.writing import dataset_writer, write_dataset

__all__ = [
    "AtomisticSystem",
    "Dataset",
    "ForceMap",
    "Frames",
    "SampleConfig",
    "TorsionBias",
    "bias_path",
    "capped_alanine",
    "constraint_pairs",
    "dataset_writer",
    "effective_frames",
    "fit_force_map",
    "recipe",
    "recipes",
    "reweight",
    "sample",
    "write_dataset",
]
