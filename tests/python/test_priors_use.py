"""Priors in files, in joint training and in plots."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import peptide_frames
import prior_systems as ps
import pytest
import torch
from openmmcg.priors import (
    KINDS,
    FourierParameters,
    Parameters,
    PriorSet,
    RepulsionParameters,
    SystemFrames,
    TableParameters,
    TrainablePriors,
    fit_systems,
    plot_fits,
)

VOCABULARY = ["C", "N", "CA", "CB"]
PEPTIDE = [VOCABULARY.index(name) for name in peptide_frames.NAMES]


def everything(seed: int = 0) -> PriorSet:
    """All kinds at once, and a molecule with an angle of its own."""
    parameters = {kind: dict(ps.random_priors(kind, seed).parameters[kind]) for kind in KINDS}
    base = PriorSet(parameters, 300.0, excluded_bonds=2)
    x = np.stack([ps.positions(s) for s in range(4)]) + np.random.default_rng(0).normal(
        0, 0.01, (4, 16, 3)
    )
    own = fit_systems(
        [SystemFrames(x, ps.TYPES, ps.NAMES, ps.BONDS)],
        300.0,
        ["harmonic-angles"],
        per_molecule=True,
    ).molecules
    return PriorSet(parameters, 300.0, own, base.excluded_bonds)


def test_round_trip_through_json() -> None:
    priors = everything()
    record = json.loads(json.dumps(priors.to_dict()))
    assert record["version"] == 2
    assert PriorSet.from_dict(record) == priors
    assert priors.molecules[0].parameters["harmonic-angles"]


def test_records_of_version_1_keep_loading(model_files: Path) -> None:
    record = json.loads((model_files / "priors-v1.json").read_text())
    assert "version" not in record
    priors = PriorSet.from_dict(record)
    bound = priors.bind(PEPTIDE, VOCABULARY, peptide_frames.BONDS)
    x = torch.tensor(
        [
            [-0.076, 0.111, 0.0],
            [0.0, 0.0, 0.0],
            [0.148, 0.0, 0.0],
            [0.197, -0.136, 0.055],
            [0.208, 0.024, -0.134],
            [0.329, 0.086, -0.141],
        ],
        dtype=torch.float64,
    )
    assert bound.energy(x).item() == pytest.approx(7.240263653036568, rel=1e-12)
    assert PriorSet.from_dict(priors.to_dict()) == priors


def test_records_that_cannot_be_read() -> None:
    record = everything().to_dict()
    with pytest.raises(ValueError, match="version 3.*reads up to 2; upgrade"):
        PriorSet.from_dict({**record, "version": 3})
    del record["terms"][0]["parameters"][0]["k"]
    with pytest.raises(ValueError, match="incomplete: KeyError\\('k'\\)"):
        PriorSet.from_dict(record)
    with pytest.raises(ValueError, match="incomplete"):
        PriorSet.from_dict({"temperature": 300.0})


@pytest.mark.parametrize(
    ("kind", "key", "entry", "sentence"),
    [
        ("harmonic-bonds", ("A",), Parameters(1.0, 1.0), "A names 1 types, but a term has 2"),
        ("harmonic-bonds", ("A", "B"), Parameters(np.inf, 1.0), "A-B .*not finite"),
        ("repulsion", ("A", "B"), Parameters(1.0, 1.0), "RepulsionParameters is expected"),
        ("bonds", ("A", "B"), Parameters(1.0, 1.0), "no kind of prior 'bonds'"),
        (
            "fourier-torsions",
            ("A",) * 4,
            FourierParameters((1.0,), ()),
            "1 amplitudes and 0 phases",
        ),
        ("tabulated-bonds", ("A", "B"), TableParameters(0.0, 1.0, (1.0, 2.0)), "at least 4"),
    ],
)
def test_wrong_parameters_are_refused(kind, key, entry, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        PriorSet({kind: {key: entry}}, 300.0)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_trainable_priors_start_as_they_were_and_learn(kind: str) -> None:
    priors = ps.random_priors(kind)
    module = TrainablePriors(priors)
    bound = module.bind(ps.TYPES, ps.NAMES, ps.BONDS)
    cell = torch.from_numpy(ps.TRICLINIC)
    frames = torch.from_numpy(np.stack([ps.positions(s, ps.TRICLINIC) for s in range(4)]))
    torch.testing.assert_close(module(bound, frames, cell), bound.energy(frames, cell))
    torch.testing.assert_close(module.forces(bound, frames, cell), bound.forces(frames, cell))
    before, after = priors.tables()[kind], module.prior_set().tables()[kind]
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, atol=1e-9)
    # Force matching on other parameters of the same kind.
    target = ps.random_priors(kind, seed=1).bind(ps.TYPES, ps.NAMES, ps.BONDS)
    labels = target.forces(frames, cell)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = (module.forces(bound, frames, cell) - labels).square().mean()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in module.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.97 * losses[0]
    trained = module.prior_set()
    assert trained.parameters[kind].keys() == priors.parameters[kind].keys()
    again = trained.bind(ps.TYPES, ps.NAMES, ps.BONDS)
    torch.testing.assert_close(
        again.energy(frames, cell), module(bound, frames, cell).detach(), rtol=1e-6, atol=1e-6
    )
    assert PriorSet.from_dict(json.loads(json.dumps(trained.to_dict()))) == trained


def test_trained_parameters_stay_within_bounds() -> None:
    priors = PriorSet(
        {
            "harmonic-bonds": {("A", "B"): Parameters(9e5, 0.2)},
            "harmonic-angles": {("A", "B", "A"): Parameters(10.0, 3.0)},
            "repulsion": {("A", "A"): RepulsionParameters(100.0, 0.5)},
        },
        300.0,
    )
    for push in (-50.0, 50.0):
        module = TrainablePriors(priors)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(push)
        found = module.prior_set().parameters
        bond, angle = found["harmonic-bonds"]["A", "B"], found["harmonic-angles"]["A", "B", "A"]
        assert 0.0 <= bond.k <= 1e6 and bond.center >= 0.0
        assert 0.0 <= angle.center <= np.pi
        assert found["repulsion"]["A", "A"].sigma <= 1.0


def test_some_kinds_can_stay_and_molecules_are_kept() -> None:
    priors = everything()
    module = TrainablePriors(priors, ["harmonic-angles"])
    assert len(list(module.parameters())) == 2
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.1)
    trained = module.prior_set()
    for owner, old in zip(
        [trained.parameters, *(m.parameters for m in trained.molecules)],
        [priors.parameters, *(m.parameters for m in priors.molecules)],
        strict=True,
    ):
        for kind in owner:
            for key, entry in owner[kind].items():
                same = np.allclose(np.hstack([*entry]), np.hstack([*old[kind][key]]), rtol=1e-4)
                assert same != (kind == "harmonic-angles")
    with pytest.raises(ValueError, match="no magic to train"):
        TrainablePriors(priors, ["magic"])
    # What an optimiser's checkpoint needs.
    other = TrainablePriors(priors, ["harmonic-angles"])
    other.load_state_dict(module.state_dict())
    assert other.prior_set() == trained


def test_plot_of_fits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = peptide_frames.frames(rng.uniform(-180, 180, 500), rng.uniform(-180, 180, 500), rng)
    system = SystemFrames(
        x, PEPTIDE, VOCABULARY, peptide_frames.BONDS, weights=rng.uniform(size=500)
    )
    kinds = (
        "tabulated-bonds",
        "harmonic-angles",
        "signed-impropers",
        "fourier-torsions",
        "repulsion",
    )
    priors = fit_systems([system], 300.0, kinds)
    loaded = "matplotlib.pyplot" in sys.modules
    path = plot_fits(priors, system, tmp_path / "plots" / "priors.png")
    assert ("matplotlib.pyplot" in sys.modules) == loaded
    assert path.read_bytes().startswith(b"\x89PNG")
    # A panel for each entry: the image grows with their number.
    few = plot_fits(fit_systems([system], 300.0, kinds[:1]), [system], tmp_path / "few.png")
    assert _height(few) < _height(path)


@pytest.mark.parametrize("limit", [500, 0], ids=["listed", "nonbonded"])
def test_model_file_runs_all_kinds_in_openmm(limit: int, tmp_path: Path, monkeypatch) -> None:
    """CGPotential puts pair priors into a System that has other particles too."""
    import openmm
    from openmmcg import export, models
    from openmmcg.priors import bound as bound_module
    from openmmcg.simulation import CGPotential

    monkeypatch.setattr(bound_module, "LISTED_PAIRS", limit)
    priors = everything()
    network = models.build(
        "schnet", bead_types=ps.NAMES, cutoff=1.0, width=8, interactions=1, rbf=8
    )
    x = np.stack([ps.positions(seed) for seed in (0, 1)])
    path = export.save(
        network,
        tmp_path / "all.cg.pt",
        temperature=300.0,
        priors=priors.to_dict(),
        topology={
            "names": [ps.NAMES[t] for t in ps.TYPES],
            "residues": [["X", "1"]] * 16,
            "types": ps.TYPES.tolist(),
            "bonds": ps.BONDS.tolist(),
            "molecules": ps.MOLECULES.tolist(),
            "masses": [12.0] * 16,
            "positions": x[0].tolist(),
        },
    )
    system = openmm.System()
    for _ in range(3 + 32 + 2):
        system.addParticle(12.0)
    CGPotential.load(path).addToSystem(system, replicas=2, offset=3)
    system.removeForce(0)  # the network
    assert {force.getName() for force in system.getForces()} == set(KINDS)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference")
    )
    context.setPositions(np.concatenate([np.zeros((3, 3)), x.reshape(-1, 3), np.zeros((2, 3))]))
    energy = context.getState(energy=True).getPotentialEnergy()._value
    bound = priors.bind(ps.TYPES, ps.NAMES, ps.BONDS, ps.MOLECULES)
    expected = bound.energy(torch.from_numpy(x)).sum().item()
    assert energy == pytest.approx(expected, rel=1e-8)


def _height(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[20:24], "big")
