"""Force maps on capped alanine: identities, constraints, refusals."""

from __future__ import annotations

import networkx as nx
import numpy as np
import openmm
import pytest
from openmm import unit
from openmmcg.data import constraint_pairs, fit_force_map, recipe
from openmmcg.mapping import Mapping
from scipy.linalg import null_space


@pytest.fixture(scope="module")
def alanine():
    return recipe("capped-alanine")


@pytest.fixture(scope="module")
def mapping(alanine):
    return Mapping.builtin("core-beta", alanine.topology)


@pytest.fixture(scope="module")
def constraints(alanine):
    return constraint_pairs(alanine.system)


def test_constraints_of_the_system(alanine, constraints):
    atoms = list(alanine.topology.atoms())
    assert constraints.shape == (12, 2)
    assert all("H" in {atoms[i].element.symbol, atoms[j].element.symbol} for i, j in constraints)
    free = recipe("capped-alanine", constraints="none")
    assert constraint_pairs(free.system).shape == (0, 2)


def test_uniform_gives_a_cluster_equal_weights(alanine, mapping, constraints):
    force_map = fit_force_map(mapping, kind="uniform", constraints=constraints)
    atoms = list(alanine.topology.atoms())
    groups = [{atoms[i].name for i in np.flatnonzero(row)} for row in force_map.matrix]
    assert groups == [
        {"C"},
        {"N", "H"},
        {"CA", "HA"},
        {"CB", "HB1", "HB2", "HB3"},
        {"C"},
        {"N", "H"},
    ]
    np.testing.assert_allclose(force_map.matrix @ mapping.matrix.T, np.eye(6), atol=1e-9)
    for i, j in constraints:
        np.testing.assert_array_equal(force_map.matrix[:, i], force_map.matrix[:, j])


def test_uniform_force_is_the_derivative_along_rigid_cluster_moves(alanine, mapping, constraints):
    """Moving a bead with its constraint cluster changes U by minus the mapped force."""
    force_map = fit_force_map(mapping, constraints=constraints)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(alanine.system, openmm.VerletIntegrator(0.001), platform)

    def energy(positions):
        context.setPositions(positions)
        state = context.getState(energy=True)
        return state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)

    rng = np.random.default_rng(1)
    start = alanine.positions + rng.normal(scale=0.005, size=(22, 3))
    context.setPositions(start)
    forces = context.getState(forces=True).getForces(asNumpy=True)
    mapped = force_map.apply(forces.value_in_unit(unit.kilojoules_per_mole / unit.nanometer))
    for bead in range(mapping.n_beads):
        direction = rng.normal(size=3)
        move = 1e-5 * force_map.matrix[bead][:, None] * direction
        slope = (energy(start + move) - energy(start - move)) / 2e-5
        assert slope == pytest.approx(-mapped[bead] @ direction, rel=1e-5, abs=1e-2)


def test_slice_without_constraints_is_the_mapping_itself(mapping):
    force_map = fit_force_map(mapping, kind="slice")
    np.testing.assert_array_equal(force_map.matrix, mapping.matrix)


def test_slice_that_splits_a_cluster_is_refused(mapping, constraints):
    with pytest.raises(ValueError, match=r"splits 4 constraint cluster.*atoms 6, 7;.*'uniform'"):
        fit_force_map(mapping, kind="slice", constraints=constraints)


def test_centre_of_mass_map_sums_forces(alanine):
    whole = {
        "format": 1,
        "name": "residues",
        "templates": [{"residues": "all", "beads": [{"name": "R", "select": "all"}]}],
    }
    mapping = Mapping.from_dict(whole, alanine.topology)
    force_map = fit_force_map(mapping, constraints=constraint_pairs(alanine.system))
    np.testing.assert_array_equal(force_map.matrix, mapping.matrix != 0)
    np.testing.assert_allclose(force_map.matrix @ mapping.matrix.T, np.eye(3), atol=1e-12)


def test_beads_that_share_a_cluster_are_refused(alanine, constraints):
    beads = [{"name": n, "select": f"name {n}"} for n in ("N", "H")]
    split = {"format": 1, "name": "NH", "templates": [{"residues": "resname ALA", "beads": beads}]}
    mapping = Mapping.from_dict(split, alanine.topology)
    with pytest.raises(ValueError, match="Beads 0 and 1 share a constraint cluster"):
        fit_force_map(mapping, constraints=constraints)


def test_mean_square_of_a_sample(mapping, constraints):
    forces = np.random.default_rng(2).normal(size=(2000, 22, 3))
    force_map = fit_force_map(mapping, forces, constraints=constraints)
    # Unit white noise on 1 + 2 + 2 + 4 + 1 + 2 atoms over six beads.
    assert force_map.mean_square == pytest.approx(12 / 6, rel=0.05)
    assert fit_force_map(mapping, constraints=constraints).mean_square is None
    with pytest.raises(ValueError, match=r"\(2000, 21, 3\)"):
        fit_force_map(mapping, forces[:, 1:])


def test_unknown_kinds_and_foreign_constraints(mapping):
    with pytest.raises(ValueError, match="'best'; there are slice, uniform, optimal"):
        fit_force_map(mapping, kind="best")
    with pytest.raises(ValueError, match="fitted to atom forces; give a sample"):
        fit_force_map(mapping, kind="optimal")
    with pytest.raises(ValueError, match="atom 22, the mapping has 22"):
        fit_force_map(mapping, constraints=np.array([[3, 22]]))


def correlated_forces(mapping, seed=0, frames=400):
    """Forces with a random covariance and, as in a molecule, no net force."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(mapping.n_atoms, mapping.n_atoms))
    forces = np.einsum("ab,fbx->fax", mixing, rng.normal(size=(frames, mapping.n_atoms, 3)))
    return forces - forces.mean(axis=1, keepdims=True)


def test_optimal_map_obeys_the_constraints(mapping, constraints):
    optimal = fit_force_map(mapping, correlated_forces(mapping), "optimal", constraints)
    np.testing.assert_allclose(optimal.matrix @ mapping.matrix.T, np.eye(6), atol=1e-9)
    for i, j in constraints:
        np.testing.assert_array_equal(optimal.matrix[:, i], optimal.matrix[:, j])


def test_optimal_map_equals_a_least_squares_solution(mapping, constraints):
    """The map by elimination of the constraints and lstsq on the frames, without normal equations."""
    forces = correlated_forces(mapping, seed=1)
    optimal = fit_force_map(mapping, forces, "optimal", constraints)
    uniform = fit_force_map(mapping, forces, "uniform", constraints)
    graph = nx.Graph(constraints.tolist())
    graph.add_nodes_from(range(mapping.n_atoms))
    spread = np.zeros((mapping.n_atoms, 0))
    for group in nx.connected_components(graph):
        spread = np.column_stack([spread, np.isin(np.arange(mapping.n_atoms), list(group))])
    free = spread @ null_space(mapping.matrix @ spread)
    columns = np.einsum("ak,fax->fxk", free, forces).reshape(-1, free.shape[1])
    for bead in range(mapping.n_beads):
        target = -np.einsum("a,fax->fx", uniform.matrix[bead], forces).ravel()
        step = np.linalg.lstsq(columns, target, rcond=None)[0]
        best = np.mean((columns @ step - target) ** 2)
        found = np.mean(np.einsum("a,fax->fx", optimal.matrix[bead], forces) ** 2)
        assert found == pytest.approx(best, rel=1e-4)
    assert optimal.mean_square < uniform.mean_square


def test_beads_in_one_cluster_have_no_optimal_map(mapping):
    tied = np.array([[4, 6]])  # C of ACE and N of alanine
    with pytest.raises(ValueError, match="Beads . and . share a constraint cluster"):
        fit_force_map(mapping, correlated_forces(mapping), "optimal", tied)
