"""Reference data: sampling in OpenMM, mapped datasets (HDF5), force maps."""

from __future__ import annotations

from openmmcg.data.bias import TorsionBias, effective_frames, reweight
from openmmcg.data.config import SampleConfig
from openmmcg.data.constraints import constraint_pairs, guess_constraints
from openmmcg.data.dataset import Dataset
from openmmcg.data.force_maps import ForceMap, fit_force_map
from openmmcg.data.force_moments import ForceMoments
from openmmcg.data.frames import Frames
from openmmcg.data.map_comparison import (
    ForceMapComparison,
    compare_force_maps,
    compare_moments,
    held_out_frames,
)
from openmmcg.data.sampling import bias_path, sample
from openmmcg.data.systems import AtomisticSystem, capped_alanine, recipe, recipes
from openmmcg.data.writing import dataset_writer, write_dataset

__all__ = [
    "AtomisticSystem",
    "Dataset",
    "ForceMap",
    "ForceMapComparison",
    "ForceMoments",
    "Frames",
    "SampleConfig",
    "TorsionBias",
    "bias_path",
    "capped_alanine",
    "compare_force_maps",
    "compare_moments",
    "constraint_pairs",
    "dataset_writer",
    "effective_frames",
    "fit_force_map",
    "guess_constraints",
    "held_out_frames",
    "recipe",
    "recipes",
    "reweight",
    "sample",
    "write_dataset",
]
