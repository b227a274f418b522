"""Enhanced sampling: collective variables, umbrellas, metadynamics on any of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import mdtraj as md
import numpy as np
import openmm
import pytest
from openmmcg.cli import main
from openmmcg.data import (
    Dataset,
    GridBias,
    SampleConfig,
    TorsionBias,
    bias_path,
    effective_frames,
    recipe,
    reweight,
    sample,
    variables_path,
)
from openmmcg.data.sampling.grid_bias import WellTempered
from openmmcg.data.sampling.umbrella import Umbrella, combined_weights
from openmmcg.data.sampling.variables import read_variables
from openmmcg.mapping import Mapping
from openmmcg.mapping.topology import as_mdtraj
from sampling_systems import chain_topology, dimer
from test_data_sampling_systems import CHILD, assert_same_frames, config_of

KB = 0.00831446261815324
KT = KB * 300.0


@pytest.fixture(scope="module")
def alanine():
    return recipe("capped-alanine")


def read(entries, made, bias="umbrella", width=0.3):
    if bias == "umbrella":
        entries = [{"center": 0.0, "k": 1.0, **entry} for entry in entries]
    return read_variables(entries, as_mdtraj(made.topology), made.positions, bias, width)


def value_of(variable, made, positions, periodic=False):
    """The variable by OpenMM, on a copy of the system's particles."""
    system = openmm.System()
    for _ in range(len(positions)):
        system.addParticle(1.0)
    system.addForce(variable.force(periodic))
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions)
    return context.getState(energy=True).getPotentialEnergy()._value


def test_variables_are_what_mdtraj_computes(alanine, tmp_path):
    topology = as_mdtraj(alanine.topology)
    frame = md.Trajectory(alanine.positions, topology)
    phi = md.compute_phi(frame)
    moved = alanine.positions + np.random.default_rng(0).normal(0, 0.02, (22, 3))
    heavy = topology.select("not element H")
    other = md.Trajectory(moved, topology)
    masses = np.array([atom.element.mass for atom in topology.atoms])

    def centre(selection):
        atoms = topology.select(selection)
        return masses[atoms] @ moved[atoms] / masses[atoms].sum()

    entries = [
        {"type": "torsion", "atoms": phi[0][0].tolist()},
        {"type": "angle", "atoms": [4, 6, 8]},
        {"type": "distance", "atoms": ["resname ACE and name C", 16]},
        {"type": "distance", "atoms": ["resname ACE", "resname NME"]},
        {"type": "rmsd", "atoms": "not element H"},
    ]
    found = [value_of(variable, alanine, moved) for variable in read(entries, alanine)]
    assert found[0] == pytest.approx(md.compute_phi(other)[1][0, 0], abs=1e-4)
    assert found[1] == pytest.approx(md.compute_angles(other, [[4, 6, 8]])[0, 0], abs=1e-4)
    assert found[2] == pytest.approx(md.compute_distances(other, [[4, 16]])[0, 0], abs=1e-5)
    expected = np.linalg.norm(centre("resname ACE") - centre("resname NME"))
    assert found[3] == pytest.approx(expected, abs=1e-6)
    assert found[4] == pytest.approx(md.rmsd(other, frame, atom_indices=heavy)[0], abs=1e-5)
    own = openmm.CustomExternalForce("z^2")
    own.addParticle(3)
    (tmp_path / "own.xml").write_text(openmm.XmlSerializer.serialize(own))
    variable = read([{"type": "force", "file": str(tmp_path / "own.xml")}], alanine)[0]
    assert value_of(variable, alanine, moved) == pytest.approx(moved[3, 2] ** 2)


def test_which_variables_are_functions_of_the_beads(alanine, tmp_path):
    slices = Mapping.builtin("core-beta", alanine.topology)
    centres = Mapping.builtin("residue-com", alanine.topology)
    own = tmp_path / "own.xml"
    own.write_text(openmm.XmlSerializer.serialize(openmm.CustomExternalForce("x")))
    for entry, of_slices, of_centres in (
        ({"type": "torsion", "atoms": [4, 6, 8, 14]}, True, False),
        ({"type": "torsion", "atoms": [4, 6, 8, 9]}, False, False),
        ({"type": "distance", "atoms": ["resname ALA", "resname ACE"]}, False, None),
        ({"type": "distance", "atoms": ["name CA CB", 4]}, True, False),
        ({"type": "rmsd", "atoms": "resname ALA and name N CA C CB"}, True, False),
        ({"type": "rmsd", "atoms": "resname ALA"}, False, False),
        ({"type": "force", "file": str(own)}, False, False),
        ({"type": "force", "file": str(own), "atoms": "resname ALA and name CA"}, True, False),
    ):
        variable = read([entry], alanine)[0]
        assert variable.is_function_of(slices) == of_slices, entry
        if of_centres is not None:
            assert variable.is_function_of(centres) == of_centres, entry
    # A centre of mass that is a bead, and one of two beads.
    whole = read([{"type": "distance", "atoms": ["resname ALA", 4]}], alanine)[0]
    one, two = whole.groups
    assert replace(whole, groups=[one]).is_function_of(centres)
    assert not replace(whole, groups=[two]).is_function_of(centres)


def test_points_of_beads_that_share_atoms():
    definition = {
        "format": 2,
        "name": "overlapping",
        "shared": True,
        "templates": [
            {
                "residues": "all",
                "beads": [
                    {"name": "A", "select": "name C1 C2"},
                    {"name": "B", "select": "name C2 C3"},
                    {"name": "D", "select": "name C3 C4"},
                ],
            }
        ],
    }
    topology = as_mdtraj(chain_topology(4))
    mapping = Mapping.from_dict(definition, topology)
    for atoms, expected in (("C1 C2", True), ("C1 C2 C3 C4", True), ("C1 C4", True), ("C1", False)):
        entry = {"type": "distance", "atoms": [f"name {atoms}", "name C3 C4"], "center": 0, "k": 1}
        variable = read_variables([entry], topology, np.zeros((4, 3)), "umbrella", 0.3)[0]
        assert variable.is_function_of(mapping) == expected, atoms


def test_wrong_variables(alanine, tmp_path):
    (tmp_path / "system.xml").write_text(openmm.XmlSerializer.serialize(alanine.system))
    torsion = {"type": "torsion", "atoms": [4, 6, 8, 14]}
    distance = {"type": "distance", "atoms": [4, 8]}
    system = str(tmp_path / "system.xml")
    for entry, bias, message in (
        ({"type": "bend", "atoms": []}, "umbrella", "expected a type out of torsion, angle"),
        ({**torsion, "atoms": [4, 6, 8]}, "umbrella", "needs a list of 4 atom indices"),
        ({**torsion, "atoms": [4, 6, 8, 99]}, "umbrella", "no atom 99; .* atoms 0 to 21"),
        ({**torsion, "atoms": [4, 6, 8, "name XX"]}, "umbrella", "'name XX' matches no atom"),
        ({**torsion, "atoms": [4, 6, 8, "nam XX"]}, "umbrella", "cannot read the selection"),
        ({**torsion, "atoms": [4, 6, 8, 1.5]}, "umbrella", "1.5 is neither an atom's index"),
        ({**torsion, "centre": 1}, "umbrella", "unknown key centre; a torsion takes atoms, cen"),
        ({**torsion, "center": "x"}, "umbrella", "center is 'x', expected a number"),
        ({**torsion, "k": 0}, "umbrella", "spring constant of more than 0"),
        ({**torsion, "minimum": 0}, "metadynamics", "range of a torsion is -π to π"),
        (distance, "metadynamics", "a distance, lacks minimum, maximum, needed for metadynamics"),
        (
            {**distance, "minimum": 0.5, "maximum": 0.2},
            "metadynamics",
            "expected minimum < maximum",
        ),
        ({"type": "force", "file": system}, "umbrella", "holds a System, expected an OpenMM Force"),
    ):
        with pytest.raises(ValueError, match=message):
            read([entry], alanine, bias)
    with pytest.raises(ValueError, match="lacks center, k, needed for umbrella"):
        read_variables([torsion], as_mdtraj(alanine.topology), alanine.positions, "umbrella", 0.3)
    with pytest.raises(FileNotFoundError, match="variable 1: there is no file 'none.xml'"):
        read([{"type": "force", "file": "none.xml"}], alanine)


def stiff(folder, **options):
    """A dimer whose bond is sampled quickly: variable, settings."""
    files = dimer(folder, length=0.3, k=20000.0)
    variables = [{"type": "distance", "atoms": [0, 1], "center": 0.34, "k": 30000.0}]
    settings = {
        "bias": "umbrella",
        "variables": variables,
        "friction": 10.0,
        "length": 0.05,
        "frame_interval": 0.1,
        "equilibration": 1.0,
    }
    return config_of(files, folder, **{**settings, **options})


def moments(energy, kt=KT):
    """Mean and variance of the bond length under an energy of it."""
    grid = np.linspace(0.15, 0.5, 20001)
    weight = grid**2 * np.exp(-energy(grid) / kt)
    mean = (grid * weight).sum() / weight.sum()
    return mean, ((grid - mean) ** 2 * weight).sum() / weight.sum()


def test_an_umbrella_samples_its_biased_distribution(tmp_path):
    config = stiff(tmp_path)
    with Dataset.open(sample(config, progress=False)) as data:
        r = np.linalg.norm(data.positions[:, 0] - data.positions[:, 1], axis=1)
        mean, variance = moments(lambda x: 10000 * (x - 0.3) ** 2 + 15000 * (x - 0.34) ** 2)
        assert r.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / 500))
        assert r.var() == pytest.approx(variance, rel=0.3)
        # Forces and energies are those of the bond alone.
        np.testing.assert_allclose(data.energies, 10000 * (r - 0.3) ** 2, atol=2e-3)
        pull = np.linalg.norm(data.forces[:, 0], axis=1)
        np.testing.assert_allclose(pull, 20000 * np.abs(r - 0.3), atol=0.1)
        np.testing.assert_allclose(data.bias_energies, 15000 * (r - 0.34) ** 2, atol=4e-3)
        np.testing.assert_allclose(data.weights, reweight(data.bias_energies, 300.0), rtol=1e-9)
    with np.load(variables_path(config.output)) as stored:
        np.testing.assert_allclose(stored["values"][:, 0], r, atol=1e-6)
        assert stored["centers"].tolist() == [[0.34]] and stored["k"].tolist() == [30000.0]


def test_windows_combine_to_the_unbiased_distribution(tmp_path):
    """MBAR over three windows of one wide well: free energies and weights undo the bias."""
    variables = [{"type": "distance", "atoms": [0, 1], "center": [0.25, 0.3, 0.35], "k": 8000.0}]
    config = stiff(tmp_path, variables=variables, walkers=3, length=0.025)
    dimer(tmp_path, length=0.3, k=4000.0)  # in the place of the stiff one
    with Dataset.open(sample(config, progress=False)) as data:
        r = np.linalg.norm(data.positions[:, 0] - data.positions[:, 1], axis=1)
        mean, variance = moments(lambda x: 2000 * (x - 0.3) ** 2)
        effective = effective_frames(data.weights) / 3
        assert effective > 50
        found = np.average(r, weights=data.weights)
        assert found == pytest.approx(mean, abs=5 * np.sqrt(variance / effective))
        spread = np.average((r - found) ** 2, weights=data.weights)
        assert spread == pytest.approx(variance, rel=0.3)
        means = [r[data.walkers == walker].mean() for walker in range(3)]
        assert means[0] < 0.28 < means[1] < 0.32 < means[2]
        # One window's weights alone would put every window on the same footing.
        naive = np.average(r, weights=reweight(data.bias_energies, 300.0))
        assert abs(naive - mean) < 0.1
    with pytest.raises(ValueError, match="3 windows for 2 walkers"):
        sample(replace(config, walkers=2, output=str(tmp_path / "x.h5")), progress=False)


def test_weights_of_windows_are_exact_for_two_states():
    """Frames drawn in the exact biased proportions give the exact unbiased ones back."""
    energies = KT * np.array([[0.0, 2.0], [2.0, 0.0]])  # of states (rows) in windows
    unbiased = np.array([0.3, 0.7])
    states, windows = [], []
    for window, count in enumerate((40000, 10000)):
        share = unbiased * np.exp(-energies[:, window] / KT)
        first = round(count * share[0] / share.sum())
        states += [0] * first + [1] * (count - first)
        windows += [window] * count
    weights = combined_weights(energies[states], np.array(windows), 300.0)
    assert weights.mean() == pytest.approx(1)
    assert weights[np.array(states) == 0].sum() / weights.sum() == pytest.approx(0.3, abs=1e-4)
    apart = KT * np.array([[0.0, 1e4], [1e4, 0.0]])
    with pytest.raises(RuntimeError, match="do not overlap"):
        combined_weights(apart[[0, 0, 1, 1]] + 0, np.array([0, 0, 1, 1]), 300.0)


def test_the_torsion_umbrella_is_periodic(alanine):
    entry = {"type": "torsion", "atoms": [4, 6, 8, 14], "center": 3.0, "k": 10.0}
    umbrella = Umbrella(read([entry], alanine))
    for angle in (-3.0, 3.1, 0.5):
        expected = 5 * min((angle - 3.0 + 2 * np.pi * n) ** 2 for n in (-1, 0, 1))
        assert umbrella.energies([[angle]])[0, 0] == pytest.approx(expected)
    value = value_of(umbrella.variables[0], alanine, alanine.positions)
    system = openmm.System()
    for _ in range(22):
        system.addParticle(1.0)
    system.addForce(umbrella.force(0, False))
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(alanine.positions)
    found = context.getState(energy=True).getPotentialEnergy()._value
    assert found == pytest.approx(umbrella.energies([[value]])[0, 0], rel=1e-6)
    assert value < 0  # so that the short way round crosses π


def test_umbrellas_that_do_not_fit_together(alanine):
    first = {"type": "distance", "atoms": [4, 8], "center": [0.1, 0.2], "k": 1.0}
    second = {"type": "distance", "atoms": [4, 9], "center": [0.1, 0.2, 0.3], "k": 1.0}
    with pytest.raises(ValueError, match="have 2, 3 centers"):
        Umbrella(read([first, second], alanine))
    third = {**second, "center": 0.4}
    assert Umbrella(read([first, third], alanine)).centers.tolist() == [[0.1, 0.4], [0.2, 0.4]]


GRIDS = [
    [{"type": "torsion", "atoms": [4, 6, 8, 14]}],
    [{"type": "torsion", "atoms": a} for a in ([4, 6, 8, 14], [6, 8, 14, 16])],
    [
        {"type": "distance", "atoms": [4, 16], "minimum": 0.2, "maximum": 0.9, "width": 0.1},
        {"type": "angle", "atoms": [4, 8, 16], "width": 0.4},
        {"type": "distance", "atoms": [4, 8], "minimum": 0.1, "maximum": 0.4, "width": 0.1},
    ],
]


@pytest.mark.parametrize("entries", GRIDS)
def test_a_grown_bias_is_the_sum_of_its_gaussians(alanine, entries, tmp_path):
    """Deposits at random configurations: the force's energy against Gaussians written out here."""
    rng = np.random.default_rng(3)
    variables = read(entries, alanine, "metadynamics")
    growth = WellTempered(GridBias.empty(variables, entries), variables, 300.0, 5.0, 2.0, False, 7)
    system = openmm.System()
    for _ in range(22):
        system.addParticle(1.0)
    system.addForce(growth.force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    centres, heights = [], []

    def bias_at(values):
        total = 0.0
        for centre, height in zip(centres, heights, strict=True):
            difference = np.array(values) - centre
            if variables[0].periodic:
                difference -= 2 * np.pi * np.round(difference / (2 * np.pi))
            widths = np.array([variable.width for variable in variables])
            total += height * np.exp(-0.5 * np.sum((difference / widths) ** 2))
        return total

    for _ in range(6):
        context.setPositions(alanine.positions + rng.normal(0, 0.02, (22, 3)))
        values = growth.force.getCollectiveVariableValues(context)
        heights.append(2.0 * np.exp(-bias_at(values) / (KT * 4.0)))
        centres.append(np.array(values))
        growth.deposit(context)
        energy = context.getState(energy=True).getPotentialEnergy()._value
        assert energy == pytest.approx(bias_at(values), rel=0.02)
    growth.bias.save(tmp_path / "b.npz")
    again = GridBias.load(tmp_path / "b.npz")
    np.testing.assert_array_equal(again.energies, growth.bias.energies)
    np.testing.assert_array_equal(again.ranges, growth.bias.ranges)
    assert (again.periodic, again.variables) == (growth.bias.periodic, entries)
    system.addForce(again.force(read(again.variables, alanine, "metadynamics"), False))
    system.getForce(1).setForceGroup(9)
    context.reinitialize(preserveState=True)
    found = context.getState(energy=True, groups={9}).getPotentialEnergy()._value
    assert found == pytest.approx(energy, rel=1e-9)


def test_wrong_grids(alanine, tmp_path):
    torsion, distance = GRIDS[0][0], GRIDS[2][0]
    for entries, message in (
        ([torsion] * 4, "got 4 variables"),
        ([torsion, distance], "cannot mix periodic variables"),
        ([{**distance, "width": 0.0001}] * 2, "more than 1,000,000"),
    ):
        with pytest.raises(ValueError, match=message):
            GridBias.empty(read(entries, alanine, "metadynamics"), entries)
    (tmp_path / "b.npz").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a readable bias file"):
        GridBias.load(tmp_path / "b.npz")
    with pytest.raises(FileNotFoundError, match="No bias file"):
        GridBias.load(tmp_path / "none.npz")


def test_beyond_its_range_a_bias_stays_what_it_is_at_the_edge(alanine):
    entries = [{**GRIDS[2][0], "minimum": 0.2, "maximum": 0.3, "width": 0.05}]
    variables = read(entries, alanine, "metadynamics")
    bias = GridBias.empty(variables, entries).add_gaussian([0.3], 4.0, [0.05])
    system = openmm.System()
    for _ in range(22):
        system.addParticle(1.0)
    system.addForce(bias.force(variables, False))
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    assert value_of(variables[0], alanine, alanine.positions) > 0.3
    context.setPositions(alanine.positions)
    state = context.getState(energy=True, forces=True)
    assert state.getPotentialEnergy()._value == pytest.approx(4.0)
    assert np.abs(state.getForces(asNumpy=True)._value).max() == 0


def test_metadynamics_on_a_distance(tmp_path):
    """The grid bias stays on, and weights bring the unbiased distribution back."""
    variables = [
        {"type": "distance", "atoms": [0, 1], "minimum": 0.2, "maximum": 0.4, "width": 0.01}
    ]
    config = stiff(
        tmp_path,
        bias="metadynamics",
        variables=variables,
        bias_length=0.03,
        bias_interval=0.1,
        bias_factor=6.0,
        bias_height=0.3,
    )
    with Dataset.open(sample(config, progress=False)) as data:
        r = np.linalg.norm(data.positions[:, 0] - data.positions[:, 1], axis=1)
        mean, variance = moments(lambda x: 10000 * (x - 0.3) ** 2)
        assert r.var() > 1.5 * variance
        found = np.average(r, weights=data.weights)
        assert found == pytest.approx(mean, abs=5 * np.sqrt(variance / 300))
        assert np.average((r - found) ** 2, weights=data.weights) == pytest.approx(
            variance, rel=0.3
        )
        np.testing.assert_allclose(data.energies, 10000 * (r - 0.3) ** 2, atol=3e-3)
    bias = GridBias.load(bias_path(config.output))
    assert bias.energies.min() == 0 and bias.energies.max() > 1
    with pytest.raises(ValueError, match="not a readable bias file"):
        TorsionBias.load(bias_path(config.output))


def test_killed_metadynamics_goes_on_bit_for_bit(tmp_path):
    variables = [{"type": "torsion", "atoms": [6, 8, 14, 16]}]
    config = SampleConfig(
        output=str(tmp_path / "killed.h5"),
        walkers=1,
        force_map="uniform",
        length=0.001,
        equilibration=0.5,
        bias="metadynamics",
        variables=variables,
        bias_length=0.006,
        bias_interval=0.1,
        block=10,
    )
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(asdict(config))])
    path = tmp_path / "killed.h5.parts" / "walker-0" / "metadynamics.npz"
    try:
        deadline = time.monotonic() + 60
        while not path.exists():
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with np.load(path) as saved:
        hills = int(saved["hills"])
    assert 10 <= hills < 60
    assert not (tmp_path / "killed.h5.parts" / "bias-0.npz").exists()
    sample(config, progress=False)
    whole = replace(config, output=str(tmp_path / "whole.h5"))
    sample(whole, progress=False)
    assert_same_frames(config.output, whole.output)
    first, second = (GridBias.load(bias_path(c.output)) for c in (config, whole))
    np.testing.assert_array_equal(first.energies, second.energies)


def test_a_bias_that_no_bead_sees_warns(tmp_path):
    config = SampleConfig(
        output=str(tmp_path / "d.h5"),
        walkers=1,
        force_map="uniform",
        length=0.0005,
        equilibration=0.1,
        bias="umbrella",
        variables=[{"type": "distance", "atoms": [5, 17], "center": 0.4, "k": 100.0}],
    )
    with pytest.warns(UserWarning, match=r"variable 1\), so it changes averages at fixed beads"):
        sample(config, progress=False)
    for change, message in (
        ({"variables": None}, "An umbrella needs variables"),
        ({"bias": "none"}, "There are variables but no bias"),
    ):
        with pytest.raises(ValueError, match=message):
            sample(replace(config, **change), progress=False)


def test_a_settings_file_with_variables_runs_from_the_command_line(tmp_path):
    files = dimer(tmp_path)
    (tmp_path / "umbrella.yaml").write_text(
        f"""
output: {tmp_path}/data.h5
system: {files.system}
topology: {files.topology}
mapping: {files.mapping}
force_map: slice
temperatures: [250, 300.0]
timestep: 2
length: 0.0002
frame_interval: 0.1
equilibration: 0
bias: umbrella
variables:
  - {{type: distance, atoms: [name C1, 1], center: [0.3, 0.31], k: 5000}}
"""
    )
    assert main(["sample", "--config", str(tmp_path / "umbrella.yaml"), "--seed", "3"]) == 0
    with Dataset.open(tmp_path / "data.h5") as data:
        assert data.temperatures.tolist() == [250.0] * 4 + [300.0] * 4
        assert data.source["config"]["variables"] == [
            {"type": "distance", "atoms": ["name C1", 1], "center": [0.3, 0.31], "k": 5000}
        ]
        assert data.source["config"]["seed"] == 3
