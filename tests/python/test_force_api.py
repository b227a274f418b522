"""CGForce as an OpenMM Force: construction, System, copies, XML, errors."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from force_systems import Setup, chains
from openmm import unit
from openmmcg import CGForce, _plugin


@pytest.fixture
def model(model_files: Path) -> Path:
    """Return a stored model file."""
    return model_files / "schnet-v1.cg.pt"


def energy(context: openmm.Context) -> float:
    return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)


def test_model_from_path_bytes_and_module(model: Path) -> None:
    module = torch.jit.load(str(model))
    card = CGForce(model).getModelInfo()
    forces = [
        CGForce(model),
        CGForce(str(model)),
        CGForce(model.read_bytes()),
        CGForce(module, cutoff=card["cutoff"], bead_types=card["bead_types"], temperature=300.0),
    ]
    energies = []
    for force in forces:
        setup = chains(model)
        for bead in range(6):
            force.addBead(*setup.force.getBeadParameters(bead))
        for bond in range(5):
            force.addBond(*setup.force.getBondParameters(bond))
        setup.system.removeForce(0)
        setup.system.addForce(force)
        energies.append(energy(setup.context()))
    assert energies == pytest.approx(4 * [energies[0]], rel=1e-12)
    assert energies[0] != 0


def test_it_is_an_openmm_force(model: Path) -> None:
    setup = chains(model)
    force = setup.system.getForce(0)
    assert isinstance(setup.force, openmm.Force)
    assert isinstance(force, CGForce)
    assert CGForce.isinstance(force)
    assert not isinstance(setup.system.getForce(1), CGForce)
    cast = CGForce.cast(force)
    assert cast.getNumBeads() == 6 and cast.getNumBonds() == 5
    assert cast.getBeadParameters(2) == ([2], [1.0], 2, 0, 0)
    assert cast.getBondParameters(0) == (0, 1)
    with pytest.raises(TypeError, match="Expected a CGForce, found HarmonicBondForce"):
        CGForce.cast(setup.system.getForce(1))


def test_names_groups_and_periodicity(model: Path) -> None:
    setup = chains(model)
    setup.force.setName("network")
    setup.force.setForceGroup(4)
    assert not setup.force.usesPeriodicBoundaryConditions()
    context = setup.context()
    assert context.getState(energy=True, groups={4}).getPotentialEnergy()._value == pytest.approx(
        setup.force.getBeadEnergies(context).sum()
    )
    assert context.getState(energy=True, groups={3}).getPotentialEnergy()._value == 0.0
    assert setup.system.getForce(0).getName() == "network"


def test_xml_copy_and_pickle_give_the_same_system(model: Path) -> None:
    setup = chains(model, replicas=2)
    setup.force.setProperty("precision", "double")
    setup.force.addEnergyParameterDerivative(CGForce.Temperature())
    setup.force.setGlobalParameterDefaultValue(CGForce.Temperature(), 320 * unit.kelvin)
    xml = openmm.XmlSerializer.serialize(setup.system)
    expected = energy(setup.context())
    systems = [
        openmm.XmlSerializer.deserialize(xml),
        copy.deepcopy(setup.system),
        pickle.loads(pickle.dumps(setup.system)),
    ]
    for system in systems:
        assert openmm.XmlSerializer.serialize(system) == xml
        context = Setup(system, CGForce.cast(system.getForce(0)), setup.positions).context()
        assert energy(context) == expected
        assert context.getParameter(CGForce.Temperature()) == 320
    for clone in (
        copy.deepcopy(setup.force),
        copy.copy(setup.force),
        pickle.loads(pickle.dumps(setup.force)),
    ):
        assert type(clone) is CGForce
        assert clone.getNumBeads() == 12
        assert clone.getModelBytes() == setup.force.getModelBytes()


def test_tampered_and_newer_xml_is_refused(model: Path) -> None:
    xml = openmm.XmlSerializer.serialize(chains(model).system)
    start = xml.index('base64="') + 2000
    letter = "A" if xml[start] != "A" else "B"
    with pytest.raises(
        openmm.OpenMMException, match="changed or cut off.*Serialize the System again"
    ):
        openmm.XmlSerializer.deserialize(xml[:start] + letter + xml[start + 1 :])
    newer = xml.replace(
        'name="CGForce" type="CGForce" usesPeriodic="0" version="1"',
        'name="CGForce" type="CGForce" usesPeriodic="0" version="2"',
    )
    assert newer != xml
    with pytest.raises(openmm.OpenMMException, match="version 2.*Upgrade OpenMM-CG"):
        openmm.XmlSerializer.deserialize(newer)


def test_two_contexts_at_once_and_a_minimiser(model: Path) -> None:
    first, second = chains(model, seed=1), chains(model, replicas=2, seed=2)
    contexts = [first.context("CPU"), second.context("Reference"), first.context("CPU")]
    energies = [energy(context) for context in contexts]
    for _ in range(3):
        assert [energy(context) for context in contexts] == energies
    assert energies[0] == energies[2]
    seen = []

    class Reporter(openmm.MinimizationReporter):
        def report(self, iteration: int, x: object, grad: object, args: dict) -> bool:
            seen.append(args["system energy"])
            return False

    # OpenMM keeps Python's lock while it minimises with a reporter; autograd must run all the same.
    openmm.LocalEnergyMinimizer.minimize(contexts[0], 1.0, 20, Reporter())
    assert seen and energy(contexts[0]) < energies[0]


def test_parameters_and_derivatives(model_files: Path) -> None:
    setup = chains(model_files / "pairs-v1.cg.pt")
    assert setup.force.getGlobalParameters() == {"CGTemperature": 300.0, "slope": 0.25}
    setup.force.addEnergyParameterDerivative("slope")
    setup.system.removeForce(1)
    context = setup.context()
    context.setParameter(CGForce.Temperature(), 330.0)
    derivative = context.getState(parameterDerivatives=True).getEnergyParameterDerivatives()[
        "slope"
    ]
    low = energy(context)
    context.setParameter("slope", 1.25)
    assert energy(context) - low == pytest.approx(derivative, rel=1e-6)


def test_queries(model: Path) -> None:
    setup = chains(model, replicas=3)
    context = setup.context()
    np.testing.assert_allclose(setup.force.getBeadPositions(context), setup.positions, atol=1e-12)
    assert setup.force.getReplicaEnergies(context).sum() == pytest.approx(
        setup.force.getBeadEnergies(context).sum()
    )
    assert setup.force.getModelInfo()["units"]["length"] == "nm"
    info = setup.force.getContextInfo(context)
    assert info["runner"] == "torchscript" and info["pairs"] == 3 * 30
    assert info["time_network"] > 0


def test_units_and_number_kinds(model: Path) -> None:
    force = CGForce(model)
    assert force.addBead(np.int64(3), None, "B") == 0
    assert force.addBead((0, 1), np.array([0.25, 0.75]), np.int32(2), molecule=1) == 1
    assert force.getBeadParameters(1) == ([0, 1], [0.25, 0.75], 2, 1, 0)
    assert force.addBead([4, 5], [1 / 3, 0.66667], 0) == 2
    assert sum(force.getBeadParameters(2)[1]) == pytest.approx(1, abs=1e-15)
    force.addBead([4, 5], [0.5 * unit.dimensionless, 0.5], 0)
    with pytest.raises(TypeError, match="unit nanometer"):
        force.addBead([4, 5], [0.5 * unit.nanometer, 0.5], 0)
    with pytest.raises(TypeError, match="unit nanometer; expected kelvin"):
        force.setGlobalParameterDefaultValue("CGTemperature", 300 * unit.nanometer)
    with pytest.raises(TypeError):
        force.addBead(0.5, None, 0)
    force.setProperty("skin", 1 * unit.angstrom)
    assert float(force.getProperty("skin")) == pytest.approx(0.1)


class TestBadInput:
    """One sentence with the remedy, and no crash."""

    def test_missing_file(self) -> None:
        with pytest.raises(openmm.OpenMMException, match="Cannot open the model file 'no.cg.pt'"):
            CGForce("no.cg.pt")

    def test_truncated_file(self, model: Path, tmp_path: Path) -> None:
        short = tmp_path / "short.cg.pt"
        short.write_bytes(model.read_bytes()[:-100])
        with pytest.raises(openmm.OpenMMException, match="truncated or damaged"):
            CGForce(short)

    def test_not_torchscript(self, tmp_path: Path) -> None:
        text = tmp_path / "text.cg.pt"
        text.write_text("not a model")
        with pytest.raises(openmm.OpenMMException, match="not a TorchScript archive"):
            CGForce(text)
        torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pt")
        with pytest.raises(openmm.OpenMMException, match="no constants.pkl"):
            CGForce(tmp_path / "state.pt")

    def test_newer_format_and_changed_weights(self, model: Path) -> None:
        data = model.read_bytes()
        with pytest.raises(openmm.OpenMMException, match="format version 7.*Upgrade"):
            CGForce(data.replace(b'"format_version": 1', b'"format_version": 7'))
        weights = data.index(b"archive/data/2") + 64
        with pytest.raises(openmm.OpenMMException, match="changed since it was exported"):
            CGForce(data[:weights] + bytes([data[weights] ^ 1]) + data[weights + 1 :])

    def test_unknown_type(self, model: Path) -> None:
        with pytest.raises(
            openmm.OpenMMException, match="unknown bead type 3; the model has 3 types.*A, B, C"
        ):
            CGForce(model).addBead(0, None, 3)
        with pytest.raises(
            ValueError, match="Unknown bead type 'Z'; the model has the types A, B, C"
        ):
            CGForce(model).addBead(0, None, "Z")

    def test_weights(self, model: Path) -> None:
        with pytest.raises(openmm.OpenMMException, match="add up to 0.9"):
            CGForce(model).addBead([0, 1], [0.5, 0.4], 0)

    def test_missing_particle(self, model: Path) -> None:
        setup = chains(model)
        setup.force.addBead(77, None, 0)
        with pytest.raises(openmm.OpenMMException, match="names particle 77, but the System has 6"):
            setup.context()

    def test_bond_between_replicas(self, model: Path) -> None:
        setup = chains(model, replicas=2)
        with pytest.raises(openmm.OpenMMException, match="connects replicas 0 and 1"):
            setup.force.addBond(0, 6)

    def test_box_too_small(self, model: Path) -> None:
        setup = chains(model, box=1.1 * np.eye(3))
        with pytest.raises(
            openmm.OpenMMException, match="more than half of the default periodic box"
        ):
            setup.context()

    def test_nan_positions(self, model: Path) -> None:
        setup = chains(model)
        context = setup.context()
        setup.positions[4, 1] = np.nan
        context.setPositions(setup.positions)
        with pytest.raises(openmm.OpenMMException, match="position of bead 4 .type B, replica 0."):
            energy(context)

    def test_wrong_shapes_from_the_model(self, model_files: Path) -> None:
        class Wrong(torch.nn.Module):
            def forward(
                self,
                positions: torch.Tensor,
                types: torch.Tensor,
                pairs: torch.Tensor,
                shifts: torch.Tensor,
                edge_types: torch.Tensor,
                parameters: torch.Tensor,
            ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
                # Right for the sizes that are tried when it is saved, wrong for others.
                n = min(positions.shape[0], 5)
                return positions[:n, 0], positions, torch.zeros_like(positions[:, 0]).unsqueeze(0)

        wrong = torch.jit.script(Wrong())
        force = CGForce(wrong, cutoff=0.6, bead_types=["A", "B", "C"], temperature=300.0)
        setup = chains(model_files / "schnet-v1.cg.pt")
        for bead in range(6):
            force.addBead(*setup.force.getBeadParameters(bead))
        setup.system.removeForce(0)
        setup.system.addForce(force)
        with pytest.raises(
            openmm.OpenMMException, match=r"bead energies as Double \[5\]; expected the shape \[6\]"
        ):
            energy(setup.context())

    def test_module_of_the_wrong_signature(self) -> None:
        class Plain(torch.nn.Module):
            def forward(self, positions: torch.Tensor) -> torch.Tensor:
                return positions.sum()

        with pytest.raises(ValueError, match="forward takes 1 argument"):
            CGForce(torch.jit.script(Plain()), cutoff=0.6, bead_types=["A"], temperature=300.0)

    def test_no_model_no_beads(self, model: Path) -> None:
        system = openmm.System()
        system.addForce(CGForce(model))
        system.addParticle(1.0)
        with pytest.raises(openmm.OpenMMException, match="there are no beads"):
            openmm.Context(system, openmm.VerletIntegrator(0.001))

    def test_properties(self, model: Path) -> None:
        force = CGForce(model)
        with pytest.raises(openmm.OpenMMException, match="expected auto, single or double"):
            force.setProperty("precision", "half")
        with pytest.raises(openmm.OpenMMException, match="unknown property 'speed'"):
            force.setProperty("speed", "high")
        setup = chains(model)
        setup.force.setProperty("runner", "abacus")
        with pytest.raises(
            openmm.OpenMMException,
            match="no model runner 'abacus'; available: aoti, native, torchscript",
        ):
            setup.context()


def test_plain_torchscript_file_without_card(tmp_path: Path) -> None:
    """What people bring from openmm-torch: forward(positions) -> energy, no card."""

    class Trap(torch.nn.Module):
        def forward(self, positions: torch.Tensor) -> torch.Tensor:
            return 50 * (positions**2).sum()

    path = tmp_path / "trap.pt"
    torch.jit.script(Trap()).save(str(path))
    force = CGForce(path)
    system = openmm.System()
    for i in range(3):
        system.addParticle(1.0)
        force.addBead(i, None, 0)
    system.addForce(force)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    positions = np.random.default_rng(0).normal(size=(3, 3))
    context.setPositions(positions)
    assert energy(context) == pytest.approx(50 * (positions**2).sum())
    np.testing.assert_allclose(force.getBeadForces(context), -100 * positions)


def test_other_versions_are_refused_by_name() -> None:
    with pytest.raises(
        ImportError,
        match=r"built for openmm 8\.6 and torch 2\.13, but openmm 8\.5\.2 and torch 2\.13\.1",
    ):
        _plugin._check_versions(
            {"openmm": "8.6.1", "torch": "2.13.0+cpu"}, {"openmm": "8.5.2", "torch": "2.13.1"}
        )
    _plugin._check_versions(
        {"openmm": "8.6.1", "torch": "2.13.0+cpu"}, {"openmm": "8.6.0", "torch": "2.13.4"}
    )


def test_import_sets_the_wait_policy() -> None:
    code = "import os; os.environ.pop('OMP_WAIT_POLICY', None); import openmmcg; print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "PASSIVE"


def test_cpp_program_gives_the_same_energy(model: Path, cpp_build: Path, tmp_path: Path) -> None:
    setup = chains(model)
    setup.system.removeForce(1)
    lines = ["beads 6"]
    lines += [
        " ".join(map(repr, [kind, *map(float, xyz)]))
        for kind, xyz in zip((0, 1, 2, 0, 1, 2), setup.positions, strict=True)
    ]
    lines += ["bonds 5", "0 1", "1 2", "2 3", "2 4", "4 5"]
    beads = tmp_path / "beads.txt"
    beads.write_text("\n".join(lines))
    program = [
        cpp_build / "tests" / "cpp" / "EvaluateModel",
        model,
        beads,
        cpp_build / "test-plugins",
    ]
    done = subprocess.run(
        [str(word) for word in program], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == pytest.approx(energy(setup.context()), rel=1e-9)
