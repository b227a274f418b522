"""Sampling: recipes, the bias and its weights, recorded values, resume after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import openmm
import pytest
import yaml
from openmmcg.data import (
    Dataset,
    SampleConfig,
    TorsionBias,
    bias_path,
    effective_frames,
    recipe,
    reweight,
    sample,
)
from openmmcg.data.sampling import pilot, walker
from openmmcg.data.sampling.bias import average, backbone_torsions, torsion_beads
from openmmcg.mapping import Mapping
from openmmcg.mapping.topology import as_mdtraj

KT = 0.00831446261815324 * 300.0
RESIDUES = {
    "format": 1,
    "name": "residues",
    "templates": [{"residues": "all", "beads": [{"name": "R", "select": "all"}]}],
}
TINY = SampleConfig(
    length=0.002, walkers=1, equilibration=0.2, bias_length=0.004, block=8, force_map="uniform"
)


def chirality(positions, n, ca, c, cb):
    """Triple product (N-CA) x (C-CA) . (CB-CA): positive for L amino acids."""
    a, b, d = (positions[..., i, :] - positions[..., ca, :] for i in (n, c, cb))
    return np.sum(np.cross(a, b) * d, axis=-1)


def dihedral(positions, atoms):
    """IUPAC dihedral angle in radians."""
    p = [positions[..., a, :] for a in atoms]
    b1, b2, b3 = p[1] - p[0], p[2] - p[1], p[3] - p[2]
    n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
    y = np.sum(np.cross(n1, n2) * b2, axis=-1) / np.linalg.norm(b2, axis=-1)
    return np.arctan2(y, np.sum(n1 * n2, axis=-1))


def test_heavy_hydrogens_keep_the_total_mass():
    def masses(**options):
        system = recipe("capped-alanine", **options).system
        return [system.getParticleMass(i)._value for i in range(22)]

    plain, heavy = masses(), masses(hydrogen_mass=3.0)
    assert sum(heavy) == pytest.approx(sum(plain))
    assert heavy[1] == pytest.approx(3.0)


def test_unknown_recipes():
    with pytest.raises(ValueError, match="'chignolin'; recipes are ace-ala15-nme, capped-alanine"):
        recipe("chignolin")
    with pytest.raises(ValueError, match="'angles'; expected one of none, hbonds"):
        recipe("capped-alanine", constraints="angles")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 0.0}, "length is 0.0"),
        ({"walkers": 0}, "walkers is 0"),
        ({"bias": "flat"}, "'flat'; expected one of none, metadynamics"),
        ({"bias_factor": 1.0}, "bias_factor is 1.0"),
        ({"frame_interval": 0.003}, "multiple of the time step"),
        ({"bias_interval": 0.01, "bias": "metadynamics"}, "multiple of the time step"),
        ({"length": 1e-6}, "shorter than frame_interval"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
        ({"ensemble": "nph"}, "'nph'; expected one of nvt, npt, nve"),
        ({"temperature": 0.0}, "temperature is 0.0, expected more than 0"),
        ({"temperatures": [300.0, -1.0]}, "different temperatures of more than 0 K"),
        ({"temperatures": [300.0, 300.0]}, "different temperatures"),
        ({"temperature": 300.0, "temperatures": [310.0]}, "Both temperature and temperatures"),
        ({"frozen_beads": True, "frozen_length": 0.5}, "at least 10 for a standard error"),
        ({"topology": "a.pdb"}, "topology does not go with system 'capped-alanine'"),
        ({"system": "a.xml"}, "topology of a.xml is missing"),
        ({"system": "a.xml", "topology": "a.pdb"}, "temperature is missing: a.xml has none"),
        ({"system": "a.xml", "topology": "a.pdb", "temperature": 1}, "time step is missing"),
        (
            {"system": "a.xml", "topology": "a.pdb", "constraints": "none"},
            "constraints cannot be chosen for a.xml",
        ),
        ({"system": "a.pdb"}, "force_field of a.pdb is missing"),
        ({"system": "a.pdb", "force_field": ["f.xml"]}, "temperature is missing"),
    ],
)
def test_wrong_settings(change, message):
    with pytest.raises(ValueError, match=message):
        SampleConfig(**change).resolved()


def test_defaults_follow_from_other_settings():
    def found(**options):
        made = SampleConfig(**options).resolved()
        return made.constraints, made.hydrogen_mass, made.timestep, made.block

    assert found() == ("hbonds", 3.0, 4.0, 1000)
    assert found(constraints="none") == ("none", None, 1.0, 1000)
    assert found(hydrogen_mass=1.008) == ("hbonds", 1.008, 2.0, 1000)
    assert found(frozen_beads=True, constraints="none") == ("none", None, 1.0, 10)


@pytest.fixture(scope="module")
def torsions():
    return backbone_torsions(as_mdtraj(recipe("capped-alanine").topology))


def random_bias(torsions, size=60, seed=0):
    """Smooth on the grid, without any symmetry that could hide a swapped or shifted axis."""
    rng = np.random.default_rng(seed)
    x = 2 * np.pi * np.arange(size) / size
    energies = sum(
        rng.normal() * np.cos(k * x[:, None] + m * x + rng.uniform(0, 6))
        for k in range(3)
        for m in range(3)
    )
    return TorsionBias(5 * energies, torsions)


def test_bias_force_equals_its_grid(torsions):
    """Particles placed at random grid points, for two copies in one force."""
    bias = random_bias(torsions)
    rng = np.random.default_rng(1)
    pairs = np.array([[[0, 1, 2, 3], [1, 2, 3, 4]], [[5, 6, 7, 8], [6, 7, 8, 9]]])
    system = openmm.System()
    for _ in range(10):
        system.addParticle(1.0)
    system.addForce(bias.force(pairs))
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    for _ in range(10):
        index = rng.integers(0, 60, size=(2, 2))
        angles = -np.pi + 2 * np.pi * index / 60
        positions = np.concatenate([chain(phi, psi) for phi, psi in angles])
        np.testing.assert_allclose(
            np.exp(1j * dihedral(positions, pairs[0, 0])), np.exp(1j * angles[0, 0])
        )
        context.setPositions(positions)
        energy = context.getState(energy=True).getPotentialEnergy()._value
        expected = bias.energies[index[0, 0], index[0, 1]] + bias.energies[index[1, 0], index[1, 1]]
        assert energy == pytest.approx(expected, abs=1e-6)


def chain(phi, psi):
    """Five points with the given torsions, bond lengths 0.15 nm and bond angles 110 degrees."""
    points = [np.zeros(3), np.array([0.15, 0, 0]), np.array([0.2, 0.14, 0])]
    for torsion in (phi, psi):
        b, c = points[-2] - points[-3], points[-1] - points[-2]
        c = c / np.linalg.norm(c)
        normal = np.cross(b, c) / np.linalg.norm(np.cross(b, c))
        angle = np.radians(70)
        side = np.cos(torsion) * np.cross(normal, c) + np.sin(torsion) * normal
        points.append(points[-1] + 0.15 * (np.cos(angle) * c + np.sin(angle) * side))
    return np.array(points)


def test_bias_file(torsions, tmp_path):
    bias = random_bias(torsions, size=4)
    for beads in (None, np.array([[0, 1, 2, 4], [1, 2, 4, 5]])):
        replace(bias, beads=beads).save(tmp_path / "b.npz")
        again = TorsionBias.load(tmp_path / "b.npz")
        np.testing.assert_array_equal(again.energies, bias.energies)
        np.testing.assert_array_equal(again.atoms, torsions)
        np.testing.assert_equal(again.beads, beads)
    with pytest.raises(FileNotFoundError):
        TorsionBias.load(tmp_path / "none.npz")
    content = (tmp_path / "b.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="not a readable bias file"):
        TorsionBias.load(tmp_path / "b.npz")
    random_bias(torsions, size=5).save(tmp_path / "odd.npz")
    with pytest.raises(ValueError, match="even size"):
        TorsionBias.load(tmp_path / "odd.npz")


def test_average_ignores_constants(torsions):
    a, b = random_bias(torsions, seed=1), random_bias(torsions, seed=2)
    mean = average([a.energies, b.energies + 100])
    assert mean.min() == 0
    difference = mean - (a.energies + b.energies) / 2
    np.testing.assert_allclose(difference, difference[0, 0])


def test_torsions_of_capped_alanine_and_their_beads(torsions):
    atoms = list(recipe("capped-alanine").topology.atoms())
    assert [[atoms[i].name for i in row] for row in torsions] == [
        ["C", "N", "CA", "C"],
        ["N", "CA", "C", "N"],
    ]
    topology = recipe("capped-alanine").topology
    mapping = Mapping.builtin("core-beta", topology)
    assert torsion_beads(mapping, torsions).tolist() == [[0, 1, 2, 4], [1, 2, 4, 5]]
    assert torsion_beads(Mapping.from_dict(RESIDUES, topology), torsions) is None


def test_weights_undo_a_bias():
    """Two states at 0 and 3 kT, sampled equally often under a bias that levels them."""
    energies = KT * np.array([0.0, 3.0])
    state = np.repeat([0, 1], 500)
    weights = reweight(-energies[state], 300.0)
    assert weights.mean() == pytest.approx(1)
    assert weights[500:].sum() / weights[:500].sum() == pytest.approx(np.exp(-3))
    assert effective_frames(weights) == pytest.approx(
        500 * (1 + np.exp(-3)) ** 2 / (1 + np.exp(-6))
    )
    np.testing.assert_array_equal(reweight(np.full(4, 1e5), 300.0), np.ones(4))


@pytest.fixture(scope="module")
def all_atom_yaml(tmp_path_factory):
    """Every atom a bead: the dataset then holds what a check must recompute."""
    names = sorted({a.name for a in recipe("capped-alanine").topology.atoms()})
    beads = [{"name": n, "select": f"name {n}", "optional": True} for n in names]
    mapping = {
        "format": 1,
        "name": "all-atom",
        "encoding": "unique",
        "templates": [{"residues": "all", "beads": beads}],
    }
    path = tmp_path_factory.mktemp("mapping") / "all.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return str(path)


@pytest.fixture(scope="module")
def biased(tmp_path_factory, all_atom_yaml):
    """A tiny biased run of two walkers without constraints, all atoms kept."""
    config = replace(
        TINY,
        output=str(tmp_path_factory.mktemp("biased") / "data.h5"),
        mapping=all_atom_yaml,
        encoding="unique",
        constraints="none",
        timestep=1.0,
        walkers=2,
        length=0.001,
        bias_length=0.002,
        bias="metadynamics",
        bias_height=8.0,
        bias_interval=0.1,
    )
    sample(config, progress=False)
    with Dataset.open(config.output) as data:
        yield config, data


def test_recorded_values_are_those_of_the_unbiased_system(biased):
    config, data = biased
    bias = TorsionBias.load(bias_path(config.output))
    made = recipe("capped-alanine", constraints="none")
    mapping = Mapping.from_yaml(config.mapping, made.topology)
    bias_force = bias.force([bias.atoms])
    bias_force.setForceGroup(1)
    made.system.addForce(bias_force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(made.system, openmm.VerletIntegrator(0.001), platform)
    largest = 0.0
    for frame in range(0, data.n_frames, 3):
        context.setPositions(mapping.matrix.T @ data.positions[frame].astype(float))
        state = context.getState(energy=True, forces=True, groups={0})
        forces = mapping.matrix @ state.getForces(asNumpy=True)._value
        # Positions are stored in single precision: 1e-7 nm at 5e5 kJ/mol/nm^2.
        np.testing.assert_allclose(data.forces[frame], forces, atol=0.5, rtol=1e-4)
        assert data.energies[frame] == pytest.approx(state.getPotentialEnergy()._value, abs=0.02)
        bias_state = context.getState(energy=True, forces=True, groups={1})
        energy = bias_state.getPotentialEnergy()._value
        assert data.bias_energies[frame] == pytest.approx(energy, abs=1e-3)
        largest = max(largest, np.abs(bias_state.getForces(asNumpy=True)._value).max())
    assert largest > 20  # so a bias that leaked into the forces would have shown


def test_weights_walkers_and_provenance(biased):
    config, data = biased
    np.testing.assert_allclose(data.weights, reweight(data.bias_energies, 300.0))
    assert data.walkers.tolist() == [0] * 10 + [1] * 10
    assert np.abs(data.positions[:10] - data.positions[10:]).max() > 0.01
    assert set(data.temperatures) == {300.0}
    assert data.boxes is None
    settings = config.resolved().fingerprint()
    assert data.source["config"] == {**settings, "mapping_hash": data.mapping_hash}
    assert (settings["temperature"], settings["hydrogen_mass"]) == (300.0, None)
    assert "output" not in settings and "pressure" not in settings
    assert data.force_map == "uniform"


def test_metadynamics_fills_where_the_walker_was(biased):
    """The bias is highest near the torsions it started from: axes and origin are right."""
    config, data = biased
    bias = TorsionBias.load(bias_path(config.output))
    top = np.unravel_index(bias.energies.argmax(), bias.energies.shape)
    angles = [dihedral(recipe("capped-alanine").positions, row) for row in bias.atoms]
    for index, angle in zip(top, angles, strict=True):
        assert np.cos(-np.pi + 2 * np.pi * index / 60 - angle) > np.cos(np.radians(75))
    np.testing.assert_array_equal(
        [[data.topology.atom(int(b)).name for b in row] for row in bias.beads],
        [["C", "N", "CA", "C"], ["N", "CA", "C", "N"]],
    )


def test_plain_sampling_keeps_the_l_form(tmp_path):
    config = replace(TINY, output=str(tmp_path / "d.h5"))
    assert sample(config, progress=False) == tmp_path / "d.h5"
    assert [p.name for p in tmp_path.iterdir()] == ["d.h5"]
    with Dataset.open(config.output) as data:
        assert data.n_frames == 20
        np.testing.assert_array_equal(data.weights, np.ones(20))
        np.testing.assert_array_equal(data.bias_energies, np.zeros(20))
        assert chirality(data.positions, 1, 2, 4, 3).min() > 1e-3
        assert data.energies.std() > 3


def test_finished_output_is_kept_or_refused(tmp_path, capsys):
    config = replace(TINY, output=str(tmp_path / "d.h5"), length=0.0005)
    sample(config, progress=False)
    before = (tmp_path / "d.h5").read_bytes()
    assert capsys.readouterr().out == ""
    sample(config)
    assert "complete, kept" in capsys.readouterr().out.replace("\n", " ")
    assert (tmp_path / "d.h5").read_bytes() == before
    with pytest.raises(ValueError, match=r"other settings \(seed 1 instead of 2\); remove it"):
        sample(replace(config, seed=2), progress=False)


CHILD = """
import json, sys
from openmmcg.data import SampleConfig, sample
sample(SampleConfig(**json.loads(sys.argv[1])), progress=False)
"""


def count_calls(patch, module, name):
    """Replace a function by one that notes its calls; return the list of notes."""
    original, calls = getattr(module, name), []

    def counted(*args, **options):
        calls.append(args)
        return original(*args, **options)

    patch.setattr(module, name, counted)
    return calls


def test_a_killed_run_goes_on_bit_for_bit(tmp_path, monkeypatch):
    config = replace(
        TINY,
        output=str(tmp_path / "killed.h5"),
        length=0.005,
        bias="metadynamics",
        bias_length=0.001,
        block=5,
    )
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(asdict(config))])
    blocks = tmp_path / "killed.h5.parts" / "walker-0"
    try:
        deadline = time.monotonic() + 60
        while not (blocks / "block-00001.h5").exists():
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    done = sorted(p.name for p in blocks.glob("*.h5"))
    assert 2 <= len(done) < 10
    assert not (tmp_path / "killed.h5").exists()
    with pytest.raises(ValueError, match=r"killed\.h5\.parts was made with other settings \(seed"):
        sample(replace(config, seed=2), progress=False)
    with monkeypatch.context() as patch:
        rewritten = count_calls(patch, walker, "write_dataset")
        sample(config, progress=False)
    assert len(rewritten) == 10 - len(done)
    assert not (tmp_path / "killed.h5.parts").exists()
    whole = replace(config, output=str(tmp_path / "whole.h5"))
    sample(whole, progress=False)
    with Dataset.open(config.output) as a, Dataset.open(whole.output) as b:
        assert a.n_frames == 50
        for name in a.arrays():
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_an_unusable_checkpoint_says_what_to_remove(tmp_path, monkeypatch):
    config = replace(TINY, output=str(tmp_path / "d.h5"))
    written = []

    def write_one(path, *args, **options):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        return original(path, *args, **options)

    original = walker.write_dataset
    with monkeypatch.context() as patch:
        patch.setattr(walker, "write_dataset", write_one)
        with pytest.raises(KeyboardInterrupt):
            sample(config, progress=False)
    checkpoint = tmp_path / "d.h5.parts" / "walker-0" / "block-00000.chk.npz"
    checkpoint.write_bytes(b"nonsense")
    with pytest.raises(
        RuntimeError, match=r"block-00000\.chk\.npz cannot be used.*Remove the folder"
    ):
        sample(config, progress=False)


def test_an_unstable_walker_is_named(tmp_path):
    config = replace(
        TINY, output=str(tmp_path / "d.h5"), timestep=20.0, constraints="none", hydrogen_mass=1.0
    )
    with pytest.raises(RuntimeError, match=r"Walker 0 became unstable.*smaller time step than 20"):
        sample(config, progress=False)


def test_a_bias_that_is_no_function_of_the_beads_warns(tmp_path):
    beads = [{"name": "CA", "select": "name CA"}]
    path = tmp_path / "ca.yaml"
    templates = [{"residues": "resname ALA", "beads": beads}]
    path.write_text(yaml.safe_dump({**RESIDUES, "templates": templates}))
    config = replace(
        TINY,
        output=str(tmp_path / "d.h5"),
        mapping=str(path),
        length=0.0005,
        bias="metadynamics",
        bias_length=0.001,
    )
    with pytest.warns(UserWarning, match="train with the dataset's weights"):
        sample(config, progress=False)
    assert TorsionBias.load(bias_path(config.output)).beads is None


def test_optimal_labels_are_those_of_the_map_fitted_to_the_pilot_run(tmp_path, monkeypatch):
    monkeypatch.setattr(pilot, "PILOT_FRAMES", (100, 100))
    config = replace(TINY, output=str(tmp_path / "a.h5"), force_map="optimal")
    with Dataset.open(sample(config, progress=False)) as optimal:
        labels, force_map = optimal.forces, optimal.force_map
    with Dataset.open(
        sample(replace(TINY, output=str(tmp_path / "b.h5")), progress=False)
    ) as uniform:
        others, same = uniform.forces, uniform.positions
    with Dataset.open(tmp_path / "a.h5") as optimal:
        np.testing.assert_array_equal(optimal.positions, same)
    assert force_map == "optimal"
    assert np.mean(labels**2) < 0.9 * np.mean(others**2)
