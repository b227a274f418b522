"""Systems made of model files."""

from __future__ import annotations

import io

import mdtraj as md
import numpy as np
import openmm
import peptide_frames
import pytest
import torch
from openmm import unit
from openmm.app import PDBFile
from openmmcg import CGForce, export, models
from openmmcg.mapping.pdb import write_topology_pdb
from openmmcg.simulation import CGPotential, choose_platform


@pytest.fixture(scope="module")
def potential(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.cg.pt"
    return CGPotential.load(peptide_frames.write_model(path))


def evaluate(system, positions):
    integrator = openmm.VerletIntegrator(0.001)
    context = openmm.Context(system, integrator, choose_platform("Reference"))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole), np.array(forces)


def test_energy_is_network_plus_priors(potential):
    """The System gives what the model's own network and priors give in torch."""
    rng = np.random.default_rng(0)
    frames = peptide_frames.frames([-80.0, 60.0, 150.0], [150.0, 30.0, -60.0], rng)
    card = potential.card
    priors = potential.priors.bind(
        potential.template["types"], card["bead_types"], potential.template["bonds"]
    )
    script = export.load_script(potential.path).double()
    pairs = np.array([[i, j] for i in range(6) for j in range(6) if i != j]).T
    kinds = models.edge_types(peptide_frames.BONDS, np.zeros(6, dtype=int), pairs)
    expected_energy, expected_forces = 0.0, []
    for frame in torch.from_numpy(frames):
        energies, forces, _ = script(
            frame,
            torch.tensor(potential.template["types"]),
            torch.from_numpy(pairs),
            torch.zeros(pairs.shape[1], 3, dtype=torch.float64),
            torch.as_tensor(kinds),
            torch.tensor([300.0], dtype=torch.float64),
        )
        expected_energy += float(energies.sum() + priors.energy(frame))
        expected_forces.append((forces + priors.forces(frame)).detach().numpy())
    energy, forces = evaluate(potential.createSystem(3), frames.reshape(-1, 3))
    assert energy == pytest.approx(expected_energy, rel=1e-6)
    np.testing.assert_allclose(forces, np.concatenate(expected_forces), rtol=1e-5, atol=1e-3)


def test_replicas_are_independent(potential):
    frame = potential.initial_positions(1)
    single, forces = evaluate(potential.createSystem(1), frame)
    several, all_forces = evaluate(potential.createSystem(3), potential.initial_positions(3))
    assert several == pytest.approx(3 * single, rel=1e-6)
    np.testing.assert_allclose(all_forces, np.tile(forces, (3, 1)), rtol=1e-4, atol=1e-2)


def test_system_has_masses_groups_and_names(potential):
    system = potential.createSystem(2, mass_scale=3.0)
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(12)]
    assert masses == [3 * mass for mass in potential.template["masses"]] * 2
    groups = {force.getName(): force.getForceGroup() for force in system.getForces()}
    assert groups.pop("network") == 0
    assert set(groups.values()) == {1}
    assert len(groups) == 3
    (network,) = (CGForce.cast(f) for f in system.getForces() if CGForce.isinstance(f))
    assert (network.getNumBeads(), network.getNumBonds()) == (12, 10)


def test_without_priors_only_the_network_is_left(potential):
    assert potential.createSystem(priors=False).getNumForces() == 1


def test_add_to_an_existing_system(potential):
    system = openmm.System()
    for _ in range(9):
        system.addParticle(10.0)
    potential.addToSystem(system, offset=3)
    frame = potential.initial_positions(1)
    energy, forces = evaluate(system, np.concatenate([np.zeros((3, 3)), frame]))
    expected, expected_forces = evaluate(potential.createSystem(1), frame)
    assert energy == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(forces[3:], expected_forces, rtol=1e-4, atol=1e-3)
    assert not forces[:3].any()
    with pytest.raises(ValueError, match="9 particles"):
        potential.addToSystem(system, replicas=2)


def test_no_replicas_is_an_error(potential):
    with pytest.raises(ValueError, match="at least 1"):
        potential.createSystem(0)


def test_model_without_topology(tmp_path):
    network = models.build("schnet", bead_types=["A"], cutoff=1.0, width=8, interactions=1, rbf=8)
    path = export.save(network, tmp_path / "bare.cg.pt", temperature=300.0)
    with pytest.raises(ValueError, match="no CG topology"):
        CGPotential.load(path).createSystem()


def test_topology_of_replicas(potential):
    topology = potential.topology(3)
    assert [chain.id for chain in topology.chains()] == ["A", "B", "C"]
    residues = [(residue.name, residue.id) for residue in topology.residues()]
    assert residues == [("ACE", "1"), ("ALA", "2"), ("NME", "3")] * 3
    assert topology.getNumBonds() == 15
    assert [atom.name for atom in topology.atoms()] == peptide_frames.NAMES * 3


def test_pdb_keeps_every_bond(potential, tmp_path):
    path = tmp_path / "system.pdb"
    positions = potential.initial_positions(2)
    write_topology_pdb(path, potential.topology(2), positions)
    records = [line for line in path.read_text().splitlines() if line.startswith("CONECT")]
    assert len(records) == 12
    bonds = {(first.index, second.index) for first, second in md.load_pdb(str(path)).topology.bonds}
    expected = {(int(i) + 6 * r, int(j) + 6 * r) for i, j in peptide_frames.BONDS for r in (0, 1)}
    assert bonds == expected
    again = PDBFile(io.StringIO(path.read_text()))
    read = again.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    np.testing.assert_allclose(read, positions, atol=1e-4)


def test_unknown_platform():
    with pytest.raises(ValueError, match="Reference"):
        choose_platform("Abacus")
