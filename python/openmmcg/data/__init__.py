"""Reference data: sampling in OpenMM, mapped datasets (HDF5), force maps."""

from __future__ import annotations

from openmmcg.data.converters import ConvertConfig, convert
from openmmcg.data.dataset import Dataset
from openmmcg.data.force_maps.comparison import (
    ForceMapComparison,
    compare_force_maps,
    compare_moments,
    held_out_frames,
)
from openmmcg.data.force_maps.constraints import constraint_pairs, guess_constraints
from openmmcg.data.force_maps.fit import ForceMap, fit_force_map
from openmmcg.data.force_maps.moments import ForceMoments
from openmmcg.data.frames import Frames
from openmmcg.data.linting.command import LintConfig, lint_command, lint_dataset
from openmmcg.data.sampling.bias import TorsionBias, effective_frames, reweight
from openmmcg.data.sampling.config import SampleConfig
from openmmcg.data.sampling.grid_bias import GridBias
from openmmcg.data.sampling.run import atoms_path, bias_path, sample, variables_path
from openmmcg.data.systems.atomistic import AtomisticSystem
from openmmcg.data.systems.peptides import capped_alanine
from openmmcg.data.systems.recipes import recipe, recipes
from openmmcg.data.tools import (
    MergeConfig,
    NoiseConfig,
    SplitConfig,
    SubsampleConfig,
    add_noise,
    merge_datasets,
    split_dataset,
    subsample_dataset,
    verify_dataset,
)
from openmmcg.data.trajectories import AtomTrajectory, Units, open_trajectory
from openmmcg.data.trajectories.map_config import MapConfig
from openmmcg.data.trajectories.mapping import map_trajectories
from openmmcg.data.writing import dataset_writer, write_dataset

__all__ = [
    "AtomTrajectory",
    "AtomisticSystem",
    "ConvertConfig",
    "Dataset",
    "ForceMap",
    "ForceMapComparison",
    "ForceMoments",
    "Frames",
    "GridBias",
    "LintConfig",
    "MapConfig",
    "MergeConfig",
    "NoiseConfig",
    "SampleConfig",
    "SplitConfig",
    "SubsampleConfig",
    "TorsionBias",
    "Units",
    "add_noise",
    "atoms_path",
    "bias_path",
    "capped_alanine",
    "compare_force_maps",
    "compare_moments",
    "constraint_pairs",
    "convert",
    "dataset_writer",
    "effective_frames",
    "fit_force_map",
    "guess_constraints",
    "held_out_frames",
    "lint_command",
    "lint_dataset",
    "map_trajectories",
    "merge_datasets",
    "open_trajectory",
    "recipe",
    "recipes",
    "reweight",
    "sample",
    "split_dataset",
    "subsample_dataset",
    "variables_path",
    "verify_dataset",
    "write_dataset",
]
