"""Mean forces at held beads: a known answer, their errors, what is refused, resume after a kill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openmm
import pytest
import yaml
from openmmcg.data import Dataset, SampleConfig, recipe, sample
from openmmcg.data.sampling.frozen import frozen_system
from openmmcg.mapping import Mapping
from sampling_systems import GAUSSIAN_SPRINGS, dimer, gaussian_chain
from test_data_sampling_systems import assert_same_frames, config_of, kill_once

KT = 0.00831446261815324 * 300.0


def gaussian_config(folder, **options):
    settings = {
        "frozen_beads": True,
        "frozen_length": 4.0,
        "frozen_equilibration": 0.2,
        "frozen_interval": 0.02,
        "friction": 5.0,
        "length": 0.004,
        "frame_interval": 0.1,
    }
    return config_of(gaussian_chain(folder), folder, **{**settings, **options})


def test_mean_forces_of_a_gaussian_chain(tmp_path):
    """C1 - C2 - C3 with C2 integrated out: F = k1 k2 / (k1 + k2) (R3 - R1), and the held bond."""
    config = gaussian_config(tmp_path)
    with Dataset.open(sample(config, progress=False)) as data:
        r = (data.positions[:, 1] - data.positions[:, 0]).astype(float)
        first, second = GAUSSIAN_SPRINGS
        length = np.linalg.norm(r, axis=1, keepdims=True)
        expected = (first * second / (first + second) + 20000 * (length - 0.3) / length) * r
        error = data.forces[:, 0] - expected
        # The spread of one configuration's force is k1 times that of C2.
        single = first * np.sqrt(KT / (first + second))
        assert np.sqrt(np.mean(error**2)) < 0.35 * single
        # The errors are what they say: χ² per value near 1 (of 120 values with 9 degrees each).
        assert np.mean((error / data.force_errors[:, 0]) ** 2) == pytest.approx(9 / 7, rel=0.5)
        # The mean energy: springs at their mean, and three degrees of freedom of C2.
        spring = 0.5 * first * second / (first + second) * length[:, 0] ** 2
        mean = spring + 10000 * (length[:, 0] - 0.3) ** 2 + 1.5 * KT
        assert np.mean(data.mean_energies - mean) == pytest.approx(0, abs=0.3)
        assert (data.mean_energies - mean).std() < 1.5
        assert (data.energies - mean).std() > 2
        assert data.force_errors.shape == data.forces.shape


def test_held_beads_leave_the_walker_as_it_is(tmp_path):
    """The frames are those of the same run without averaging, and so are the bead positions."""
    config = gaussian_config(tmp_path, length=0.001)
    plain = replace(config, frozen_beads=False, output=str(tmp_path / "plain.h5"))
    with (
        Dataset.open(sample(config, progress=False)) as a,
        Dataset.open(sample(plain, progress=False)) as b,
    ):
        np.testing.assert_array_equal(a.positions, b.positions)
        assert b.force_errors is None
        assert np.abs(a.forces - b.forces).max() > 10


def test_a_killed_run_with_held_beads_goes_on_bit_for_bit(tmp_path):
    config = gaussian_config(tmp_path, block=4, length=0.0016, frozen_length=0.4)
    kill_once(config, tmp_path / "data.h5.parts" / "walker-0" / "block-00001.h5")
    sample(config, progress=False)
    whole = replace(config, output=str(tmp_path / "whole.h5"))
    sample(whole, progress=False)
    assert_same_frames(config.output, whole.output)


def test_capped_alanine_with_held_beads(tmp_path):
    """A molecule with a solvent model: less noise than one configuration, and averages agree."""
    config = SampleConfig(
        output=str(tmp_path / "d.h5"),
        walkers=1,
        constraints="none",
        force_map="slice",
        length=0.0005,
        equilibration=0.2,
        frozen_beads=True,
        frozen_length=0.5,
        frozen_equilibration=0.1,
        frozen_interval=0.01,
    )
    plain = replace(config, frozen_beads=False, output=str(tmp_path / "plain.h5"))
    with (
        Dataset.open(sample(config, progress=False)) as a,
        Dataset.open(sample(plain, progress=False)) as b,
    ):
        assert np.mean(a.forces**2) < 0.8 * np.mean(b.forces**2)
        assert 1 < np.median(a.force_errors) < 500


def test_a_held_system_has_massless_beads_and_no_motion_remover():
    made = recipe("capped-alanine", constraints="none")
    mapping = Mapping.builtin("core-beta", made.topology)
    held = frozen_system(made.system, mapping)
    masses = np.array([held.getParticleMass(i)._value for i in range(22)])
    np.testing.assert_array_equal(np.flatnonzero(masses == 0), np.sort(mapping.slice_atoms))
    assert not any(isinstance(force, openmm.CMMotionRemover) for force in held.getForces())
    assert held.getNumForces() == made.system.getNumForces() - 1
    assert made.system.getParticleMass(int(mapping.slice_atoms[0]))._value > 0


def test_beads_that_cannot_be_held(tmp_path):
    config = SampleConfig(output=str(tmp_path / "d.h5"), length=0.001, frozen_beads=True)
    with pytest.raises(ValueError, match="A constraint ties atoms .* constraints 'none'"):
        sample(config, progress=False)
    centres = replace(config, constraints="none", mapping="residue-com")
    with pytest.raises(ValueError, match="Bead 0 is a weighted mean .* beads are single atoms"):
        sample(centres, progress=False)
    files = dimer(tmp_path)
    with pytest.raises(ValueError, match="All atoms are beads"):
        sample(config_of(files, tmp_path, frozen_beads=True), progress=False)


def test_unmapped_atoms_may_be_constrained(tmp_path):
    """The beads are free of constraints although hydrogens elsewhere are not."""
    made = recipe("capped-alanine")
    definition = {
        "format": 1,
        "name": "carbonyl",
        "templates": [
            {"residues": "resname ALA", "beads": [{"name": "C", "select": "name C"}]},
            {"residues": "resname ACE", "beads": [{"name": "C", "select": "name C"}]},
        ],
    }
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(definition))
    mapping = Mapping.from_yaml(path, made.topology)
    held = frozen_system(made.system, mapping)
    assert held.getNumConstraints() == made.system.getNumConstraints() == 12
