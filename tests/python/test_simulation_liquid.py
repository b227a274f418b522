"""Liquids: from a model file with a box to a periodic System with periodic priors, and a run."""

from __future__ import annotations

from pathlib import Path

import mdtraj as md
import numpy as np
import openmm
import prior_systems as ps
import pytest
import torch
from openmm import unit
from openmmcg import CGForce, export, models
from openmmcg.export.geometry import inputs
from openmmcg.priors import KINDS, Parameters, PriorSet, RepulsionParameters
from openmmcg.priors import bound as bound_module
from openmmcg.simulation import CGPotential, RunConfig, load_frames, run
from openmmcg.simulation.energies import prior_energies
from openmmcg.simulation.potential import PRIOR_GROUP

CUTOFF = 0.7


def every_kind() -> PriorSet:
    parameters = {kind: dict(ps.random_priors(kind).parameters[kind]) for kind in KINDS}
    return PriorSet(parameters, 300.0, excluded_bonds=2)


def topology(types, bonds, molecules, positions, box) -> dict:
    return {
        "names": [ps.NAMES[t] for t in types],
        "residues": [["X", int(m) + 1] for m in molecules],
        "types": [int(t) for t in types],
        "bonds": np.asarray(bonds).tolist(),
        "molecules": [int(m) for m in molecules],
        "masses": [40.0] * len(types),
        "positions": positions.tolist(),
        "box": box.tolist(),
    }


def network(cutoff: float = CUTOFF) -> models.CGNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return models.build(
            "schnet", bead_types=ps.NAMES, cutoff=cutoff, width=8, interactions=1, rbf=8
        )


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> CGPotential:
    """Two branched molecules and two beads in a triclinic box, all kinds of priors."""
    path = tmp_path_factory.mktemp("liquid") / "liquid.cg.pt"
    x = ps.positions(0, ps.TRICLINIC)
    system = topology(ps.TYPES, ps.BONDS, ps.MOLECULES, x, ps.TRICLINIC)
    export.save(network(), path, temperature=300.0, priors=every_kind().to_dict(), topology=system)
    return CGPotential.load(path)


def evaluate(system: openmm.System, x: np.ndarray) -> tuple[float, np.ndarray]:
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference")
    )
    context.setPositions(x)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, np.array(state.getForces(asNumpy=True)._value)


def in_torch(potential: CGPotential, x: np.ndarray, box: np.ndarray) -> tuple[float, np.ndarray]:
    """Network and priors of one configuration over the shortest images."""
    card, template = potential.card, potential.template
    types, bonds, molecules = (template[key] for key in ("types", "bonds", "molecules"))
    beads = inputs(x, np.array(types), bonds, molecules, card["cutoff"], [300.0], box)
    arguments = beads.arguments(torch.float64)
    energies, forces, _ = export.load_script(potential.path).double()(*arguments)
    bound = potential.priors.bind(types, card["bead_types"], bonds, molecules)
    points, cell = torch.from_numpy(x), torch.from_numpy(box)
    energy = energies.sum() + bound.energy(points, cell)
    return energy.item(), (forces.detach() + bound.forces(points, cell)).numpy()


def test_the_system_has_the_box_of_the_file(potential: CGPotential) -> None:
    system = potential.createSystem(2)
    vectors = system.getDefaultPeriodicBoxVectors()
    np.testing.assert_allclose(
        [v.value_in_unit(unit.nanometer) for v in vectors], ps.TRICLINIC, rtol=1e-12
    )
    assert system.usesPeriodicBoundaryConditions()
    assert all(force.usesPeriodicBoundaryConditions() for force in system.getForces())
    box = potential.topology().getPeriodicBoxVectors().value_in_unit(unit.nanometer)
    np.testing.assert_allclose(box, ps.TRICLINIC, rtol=1e-12)
    np.testing.assert_allclose(potential.box, ps.TRICLINIC)


@pytest.mark.parametrize("limit", [500, 0], ids=["listed", "nonbonded"])
def test_openmm_and_torch_agree_across_the_boundaries(
    potential: CGPotential, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bound_module, "LISTED_PAIRS", limit)
    frames = [ps.positions(seed, ps.TRICLINIC) for seed in range(1, 5)]
    expected = [in_torch(potential, x, ps.TRICLINIC) for x in frames]
    found = [evaluate(potential.createSystem(), x) for x in frames]
    for (energy, forces), (energy_here, forces_here) in zip(expected, found, strict=True):
        assert energy_here == pytest.approx(energy, rel=1e-5)
        np.testing.assert_allclose(forces_here, forces, atol=1e-5 * np.abs(forces).max())
    # Replicas share the box and do not see each other.
    energy, forces = evaluate(potential.createSystem(4), np.concatenate(frames))
    assert energy == pytest.approx(sum(e for e, _ in expected), rel=1e-5)
    everything = np.concatenate([f for _, f in expected])
    np.testing.assert_allclose(forces, everything, atol=1e-5 * np.abs(everything).max())


def test_a_molecule_of_a_file_without_a_box_in_somebody_elses_box(
    potential: CGPotential, tmp_path: Path
) -> None:
    template = {key: value for key, value in potential.template.items() if key != "box"}
    path = export.save(
        network(),
        tmp_path / "open.cg.pt",
        temperature=300.0,
        priors=every_kind().to_dict(),
        topology=template,
    )
    alone = CGPotential.load(path)
    assert alone.box is None and not alone.createSystem().usesPeriodicBoundaryConditions()
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*ps.TRICLINIC)
    for _ in range(len(ps.TYPES)):
        system.addParticle(1.0)
    alone.addToSystem(system, periodic=True)
    x = ps.positions(1, ps.TRICLINIC)
    assert evaluate(system, x)[0] == pytest.approx(
        in_torch(potential, x, ps.TRICLINIC)[0], rel=1e-5
    )


@pytest.mark.parametrize(
    "box",
    [[2.0, 2.0, 2.0], [[2.0, 0, 0], [0, 0, 0], [0, 0, 2.0]], [[2.0, 1, 0], [0, 2, 0], [0, 0, 2]]],
)
def test_boxes_that_are_none_are_refused(potential: CGPotential, box: list) -> None:
    with pytest.raises(ValueError, match="the box of the topology is .* are expected"):
        export.to_bytes(network(), temperature=300.0, topology={**potential.template, "box": box})


def test_a_cutoff_beyond_half_of_the_box_is_refused(potential: CGPotential) -> None:
    with pytest.raises(ValueError, match="more than half of the box"):
        export.to_bytes(network(0.9), temperature=300.0, topology=potential.template)


def test_a_run_in_a_box_is_killed_and_continued(tmp_path: Path) -> None:
    """Soft dimers: frames carry the box, and a continued run is the uninterrupted one."""
    rng = np.random.default_rng(0)
    box, count = np.eye(3) * 1.6, 6
    grid = np.stack(np.meshgrid(*[[0.1, 0.9]] * 3, indexing="ij"), -1).reshape(-1, 3)[:count]
    x = (grid[:, None] + np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.25]])).reshape(-1, 3)
    x = (x + rng.normal(0.0, 0.01, x.shape) - 0.2) % 1.6
    priors = PriorSet(
        {
            "harmonic-bonds": {("A", "A"): Parameters(5000.0, 0.25)},
            "repulsion": {("A", "A"): RepulsionParameters(100.0, 0.4)},
        },
        300.0,
    )
    bonds, molecules = [[2 * i, 2 * i + 1] for i in range(count)], np.arange(2 * count) // 2
    system = topology([0] * (2 * count), bonds, molecules, x, box)
    path = tmp_path / "dimers.cg.pt"
    export.save(network(), path, temperature=300.0, priors=priors.to_dict(), topology=system)
    settings = {
        "model": str(path),
        "replicas": 1,
        "timestep": 5.0,
        "frame_interval": 0.05,
        "equilibration": 0.5,
        "checkpoint_frames": 2,
        "platform": "Reference",
    }
    run(RunConfig(output=str(tmp_path / "a"), length=0.0003, **settings), progress=False)
    run(RunConfig(output=str(tmp_path / "b"), length=0.0001, **settings), progress=False)
    with open(tmp_path / "b" / "trajectory.dcd", "ab") as handle:
        handle.write(b"half a frame")
    run(RunConfig(output=str(tmp_path / "b"), length=0.0003, **settings), progress=False)
    first, second = (load_frames(tmp_path / name).positions for name in "ab")
    assert first.shape == (6, 1, 12, 3)
    np.testing.assert_array_equal(first, second)
    trajectory = md.load_dcd(
        str(tmp_path / "b" / "trajectory.dcd"), top=str(tmp_path / "b" / "replica.pdb")
    )
    np.testing.assert_allclose(trajectory.unitcell_vectors, np.tile(box, (6, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(trajectory.xyz, first[:, 0], atol=1e-5)
    assert CGForce.cast(CGPotential.load(path).createSystem().getForce(0)).getNumBeads() == 12


def test_prior_energies_of_each_replica(potential: CGPotential) -> None:
    """Those that exchanges of temperature use, against OpenMM's, in the box."""
    frames = np.stack([ps.positions(seed, ps.TRICLINIC) for seed in range(3)])
    found = prior_energies(potential)(frames)
    system = potential.createSystem(1)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference")
    )
    for x, energy in zip(frames, found, strict=True):
        context.setPositions(x)
        state = context.getState(energy=True, groups={PRIOR_GROUP})
        assert energy == pytest.approx(state.getPotentialEnergy()._value, rel=1e-5)
