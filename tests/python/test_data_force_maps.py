"""Force maps on capped alanine and liquids: identities, constraints, optima, noise, refusals."""

from __future__ import annotations

import networkx as nx
import numpy as np
import openmm
import pytest
from force_map_systems import (
    RIDGE,
    all_clusters,
    correlated_forces,
    liquid,
    quadratic_programme,
    rigid_water,
)
from openmm import unit
from openmmcg.data import (
    ForceMoments,
    compare_force_maps,
    constraint_pairs,
    fit_force_map,
    recipe,
)
from openmmcg.mapping import Mapping
from scipy.linalg import null_space
from scipy.optimize import minimize


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


def test_noise_of_a_sample(mapping, constraints):
    forces = np.random.default_rng(2).normal(size=(2000, 22, 3))
    force_map = fit_force_map(mapping, forces, constraints=constraints)
    # Unit white noise on 1 + 2 + 2 + 4 + 1 + 2 atoms over six beads.
    assert force_map.noise == pytest.approx(12 / 6, rel=0.05)
    assert fit_force_map(mapping, constraints=constraints).noise is None
    with pytest.raises(ValueError, match=r"\(2000, 21, 3\)"):
        fit_force_map(mapping, forces[:, 1:])


def test_unknown_kinds_and_foreign_constraints(mapping):
    with pytest.raises(ValueError, match="'best'; there are slice, uniform, optimal, given"):
        fit_force_map(mapping, kind="best")
    with pytest.raises(ValueError, match="fitted to atom forces; give a sample"):
        fit_force_map(mapping, kind="optimal")
    with pytest.raises(ValueError, match="atom 22, the mapping has 22"):
        fit_force_map(mapping, constraints=np.array([[3, 22]]))


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
    assert optimal.noise < uniform.noise


def test_beads_in_one_cluster_have_no_optimal_map(mapping):
    tied = np.array([[4, 6]])  # C of ACE and N of alanine
    with pytest.raises(ValueError, match="Beads . and . share a constraint cluster"):
        fit_force_map(mapping, correlated_forces(mapping), "optimal", tied)


def test_slices_of_two_atoms_of_a_cluster_are_refused(alanine, constraints):
    """Each bead has an atom of the cluster, so none is left out, but their weights differ."""
    beads = [{"name": n, "select": f"name {n}"} for n in ("N", "H")]
    split = {"format": 1, "name": "NH", "templates": [{"residues": "resname ALA", "beads": beads}]}
    with pytest.raises(ValueError, match=r"splits 1 constraint cluster.*atoms 6, 7\)"):
        fit_force_map(
            Mapping.from_dict(split, alanine.topology), kind="slice", constraints=constraints
        )


@pytest.mark.parametrize("bead", [0, 2, 5])
def test_optimal_map_equals_a_quadratic_programme(mapping, constraints, bead):
    forces = correlated_forces(mapping, seed=4)
    optimal = fit_force_map(mapping, forces, "optimal", constraints)
    moments = np.einsum("fax,fbx->ab", forces, forces) / len(forces)
    weights = quadratic_programme(
        moments, mapping.matrix, all_clusters(mapping.n_atoms, constraints), bead
    )
    np.testing.assert_allclose(optimal.matrix[bead], weights, atol=1e-4)


def test_a_liquid_has_one_block_for_each_kind_of_molecule():
    mapping = liquid()
    pairs = rigid_water(mapping)
    forces = correlated_forces(mapping, seed=2, frames=200)
    optimal = fit_force_map(mapping, forces, "optimal", pairs)
    np.testing.assert_allclose(optimal.matrix @ mapping.matrix.T, np.eye(11), atol=1e-9)
    for width, starts, rows in [(6, range(0, 24, 6), 2), (3, range(24, 33, 3), 1)]:
        blocks = []
        for copy, start in enumerate(starts):
            first = (0 if rows == 2 else 8) + copy * rows
            row = optimal.matrix[first : first + rows]
            blocks.append(row[:, start : start + width])
            assert np.count_nonzero(row) == np.count_nonzero(blocks[-1])
        for block in blocks[1:]:
            np.testing.assert_array_equal(block, blocks[0])
    np.testing.assert_array_equal(optimal.matrix[8:, 24:33], np.kron(np.eye(3), np.ones(3)))
    assert optimal.sparse.nnz == 4 * 12 + 9
    mapped = np.einsum("ba,fax->fbx", optimal.matrix, forces)
    assert optimal.noise == pytest.approx(np.mean(mapped**2), rel=1e-10)
    np.testing.assert_allclose(optimal.apply(forces), mapped, atol=1e-9)


def test_a_liquids_map_equals_a_brute_force_fit_of_shared_weights():
    """Minimise the mean square of all mapped forces themselves, over weights that chains share."""
    mapping = liquid(n_waters=0)
    forces = correlated_forces(mapping, seed=3, frames=60)
    optimal = fit_force_map(mapping, forces, "optimal")
    chains = forces[:, :24].reshape(60, 4, 6, 3)
    scale = np.mean(np.einsum("fcax,fcax->fca", chains, chains))
    local = mapping.matrix[:2, :6]

    def objective(weights):
        mapped = np.einsum("ba,fcax->fcbx", weights.reshape(2, 6), chains)
        return np.sum(mapped**2) / (60 * 4 * scale) + RIDGE * np.sum(weights**2)

    result = minimize(
        objective,
        np.zeros(12),
        constraints={
            "type": "eq",
            "fun": lambda w: (w.reshape(2, 6) @ local.T - np.eye(2)).ravel(),
        },
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert result.success
    np.testing.assert_allclose(optimal.matrix[:2, :6].ravel(), result.x, atol=1e-4)


def test_molecules_with_other_constraints_have_their_own_block():
    mapping = liquid(n_waters=2)
    pairs = rigid_water(mapping)[:3]  # of the first water only
    uniform = fit_force_map(mapping, constraints=pairs)
    np.testing.assert_array_equal(uniform.matrix[8, 24:27], [1, 1, 1])
    np.testing.assert_array_equal(uniform.matrix[9, 27:30], [1, 0, 0])


def test_a_constraint_between_molecules_is_refused():
    with pytest.raises(ValueError, match="ties atoms 5 and 6, which bonds do not connect"):
        fit_force_map(liquid(), constraints=np.array([[5, 6]]))
    with pytest.raises(ValueError, match="names atom -1"):
        fit_force_map(liquid(), constraints=np.array([[-1, 6]]))


def test_moments_in_pieces_are_those_of_the_whole():
    mapping = liquid()
    pairs = rigid_water(mapping)
    forces = correlated_forces(mapping, frames=50).astype(np.float32)
    halves = [ForceMoments(mapping, pairs) for _ in range(2)]
    for start in range(0, 50, 7):
        halves[start % 2].add(forces[start : start + 7], start)
    streamed = fit_force_map(mapping, halves[0] + halves[1], "optimal")
    whole = fit_force_map(mapping, forces, "optimal", pairs)
    np.testing.assert_allclose(streamed.matrix, whole.matrix, atol=1e-9)
    assert streamed.noise == pytest.approx(whole.noise, rel=1e-12)
    with pytest.raises(ValueError, match="other constraints"):
        fit_force_map(mapping, halves[0], "optimal", pairs[:3])
    with pytest.raises(ValueError, match="another mapping"):
        fit_force_map(liquid(n_waters=1), halves[0], "optimal")
    with pytest.raises(ValueError, match="at least one frame; none"):
        fit_force_map(mapping, ForceMoments(mapping), "optimal")


def test_bad_forces(mapping):
    forces = correlated_forces(mapping, frames=20)
    forces[7, 3, 1] = np.nan
    with pytest.raises(ValueError, match="Frame 107 has forces that are not finite"):
        ForceMoments(mapping).add(forces, first_frame=100)
    with pytest.raises(ValueError, match="all forces .*zero|All forces .* zero"):
        fit_force_map(mapping, np.zeros((5, 22, 3)), "optimal")
    with pytest.raises(ValueError, match=r"shape \(5, 21, 3\)"):
        fit_force_map(mapping).apply(np.zeros((5, 21, 3)))


def test_given_force_weights(tmp_path):
    """Weights of an OpenMSCG file: kept, compared, refused where they disagree with constraints."""
    chains = liquid(n_waters=0)
    pairs = np.array([[m * 6, m * 6 + 4] for m in range(4)])  # X0 and its first hydrogen
    fitted = fit_force_map(chains, correlated_forces(chains), "optimal", pairs)
    chains.to_openmscg(tmp_path / "map.yaml", fitted.sparse)
    mapping = Mapping.from_yaml(tmp_path / "map.yaml", chains.atomistic)
    given = fit_force_map(mapping, correlated_forces(chains), "given", pairs)
    np.testing.assert_allclose(given.matrix, fitted.matrix, atol=1e-9)
    assert given.noise == pytest.approx(fitted.noise, rel=1e-9)
    found = compare_force_maps(mapping, correlated_forces(chains), pairs)
    assert found.noise["given"] < found.noise["uniform"]
    with pytest.raises(ValueError, match=r"differ within a constraint cluster \(atoms 2, 3\)"):
        fit_force_map(mapping, None, "given", np.array([[2, 3]]))
    with pytest.raises(ValueError, match="'liquid' lists no force weights"):
        fit_force_map(chains, None, "given")


def test_beads_that_share_atoms(alanine):
    """Only the optimal map tells them apart."""
    beads = [{"name": "A", "select": "name CA C"}, {"name": "B", "select": "name CA CB"}]
    templates = [{"residues": "resname ALA", "beads": beads}]
    shared = {"format": 2, "name": "shared", "shared": True, "templates": templates}
    mapping = Mapping.from_dict(shared, alanine.topology)
    forces = correlated_forces(mapping)
    for kind in ("slice", "uniform"):
        with pytest.raises(ValueError, match="Beads 0 and 1 share atoms.*use the 'optimal'"):
            fit_force_map(mapping, kind=kind)
    optimal = fit_force_map(mapping, forces, "optimal")
    np.testing.assert_allclose(optimal.matrix @ mapping.matrix.T, np.eye(2), atol=1e-9)
    found = compare_force_maps(mapping, forces)
    assert list(found.noise) == ["optimal"]
    assert np.isnan(found.gain("optimal"))
