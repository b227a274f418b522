"""Packages of AOTInductor: compiled for any size, run in CGForce on request only, bound to their model."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path

import numpy as np
import openmm
import pytest
import torch
from force_systems import chains
from openmmcg import CGForce, export
from openmmcg.export.aot import package_path
from torch import Tensor, nn

TYPES = ["A", "B", "C"]


FACTS = {"cutoff": 0.6, "bead_types": TYPES, "temperature": 300.0}


class Soft(nn.Module):
    """Soft pairs with weights of the types, stronger where it is hot: little to compile."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(1.0 + torch.rand(len(TYPES), generator=generator))

    def forward(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> Tensor:
        vectors = positions[pairs[1]] + shifts - positions[pairs[0]]
        soft = torch.relu(1.0 - (vectors * vectors).sum(-1) / 0.36) ** 3
        strength = self.weight[types[pairs[0]]] * self.weight[types[pairs[1]]] * (1 + edge_types)
        energies = torch.zeros_like(positions[:, 0]).index_add(0, pairs[0], soft * strength)
        return (energies + self.weight[types]) * (parameters[0] / 300.0) ** 2


def network(seed: int = 0) -> export.PairEnergy:
    return export.PairEnergy(Soft(seed))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model file and its package."""
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("there is no C++ compiler (g++ or clang++) to compile a model with")
    path = tmp_path_factory.mktemp("aoti") / "small.cg.pt"
    export.save(network(), path, **FACTS)
    return path, export.compile_package(network(), path)


def prepared(path: Path, runner: str, package: Path | str = "", **options):
    setup = chains(path, **options)
    setup.force.setProperty("runner", runner)
    setup.force.setProperty("package", package)
    return setup


def test_the_package_lies_beside_the_model(compiled: tuple[Path, Path]) -> None:
    path, package = compiled
    assert package == path.parent / "small.pt2" == package_path(path)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["small.cg.pt", "small.pt2"]
    assert package_path("a/b.pt") == Path("a/b.pt2") and package_path("c") == Path("c.pt2")


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("box", [None, 2.2 * np.eye(3)], ids=["open", "periodic"])
def test_same_as_torchscript_for_any_size(
    compiled: tuple[Path, Path], platform: str, box: np.ndarray | None
) -> None:
    tolerance = 1e-10 if platform == "Reference" else 2e-6
    for replicas, molecules in ((1, 1), (1, 4), (5, 2)):
        found = []
        for runner in ("torchscript", "aoti"):
            setup = prepared(
                compiled[0], runner, compiled[1], replicas=replicas, molecules=molecules, box=box
            )
            setup.force.addEnergyParameterDerivative(CGForce.Temperature())
            context = setup.context(platform)
            info = setup.force.getContextInfo(context)
            assert info["runner"] == runner and "asks for it" in info["runner_reason"]
            assert info["precision"] == ("double" if platform == "Reference" else "single")
            found.append((setup.force.getBeadEnergies(context), setup.force.getBeadForces(context)))
        for expected, got in zip(*found, strict=True):
            assert np.abs(expected).max() > 0.01
            np.testing.assert_allclose(got, expected, atol=tolerance * np.abs(expected).max())


def test_a_single_bead(compiled: tuple[Path, Path]) -> None:
    energies = []
    for runner in ("torchscript", "aoti"):
        force = CGForce(compiled[0])
        force.addBead(0, None, "B")
        force.setProperty("runner", runner)
        force.setProperty("package", compiled[1])
        system = openmm.System()
        system.addParticle(1.0)
        system.addForce(force)
        reference = openmm.Platform.getPlatform("Reference")
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), reference)
        context.setPositions([[0.0, 0.0, 0.0]])
        energies.append(context.getState(energy=True).getPotentialEnergy()._value)
    assert energies[0] == pytest.approx(energies[1], abs=1e-12)


def test_it_is_never_chosen_by_itself(compiled: tuple[Path, Path]) -> None:
    setup = prepared(compiled[0], "auto", compiled[1])
    assert setup.force.getContextInfo(setup.context())["runner"] == "torchscript"


def test_another_model_s_package_is_refused(compiled: tuple[Path, Path], tmp_path: Path) -> None:
    other = export.save(network(seed=1), tmp_path / "other.cg.pt", **FACTS)
    with pytest.raises(openmm.OpenMMException, match="compiled from the model with the SHA-256"):
        prepared(other, "aoti", compiled[1]).context()
    with pytest.raises(ValueError, match="is it the network that the file was saved from"):
        # What was compiled for the first file gives something else than the second.
        from openmmcg.export.aot import _check

        _check(str(compiled[1]), export.read_card(other), other)


def test_packages_that_cannot_be_used(compiled: tuple[Path, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.pt2"
    broken.write_bytes(compiled[1].read_bytes()[:1000])
    for package, message in (
        ("", "takes only from the file that the property 'package' names"),
        (tmp_path / "missing.pt2", "Cannot open the package .*missing.pt2"),
        (broken, "broken.pt2' cannot be read"),
    ):
        with pytest.raises(openmm.OpenMMException, match=message):
            prepared(compiled[0], "aoti", package).context()


def test_models_that_cannot_be_compiled(model_files: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a model that takes pairs"):
        export.compile_package(network(), model_files / "positions-v1.cg.pt")
    path = export.save(network(), tmp_path / "a.cg.pt", **FACTS)
    with pytest.raises(ValueError, match="before it was scripted"):
        export.compile_package(export.load_script(path), path)


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder

    def missing() -> str:
        from torch._inductor.exc import InvalidCxxCompiler

        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    path = export.save(network(), tmp_path / "a.cg.pt", **FACTS)
    with pytest.raises(RuntimeError, match="No C\\+\\+ compiler was found"):
        export.compile_package(network(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.cg.pt"]


def test_no_xml_file_can_have_code_run(compiled: tuple[Path, Path]) -> None:
    setup = prepared(compiled[0], "aoti", compiled[1])
    force = setup.force
    text = openmm.XmlSerializer.serialize(force)
    assert "small.pt2" not in text and 'value="aoti"' in text
    read = CGForce.cast(openmm.XmlSerializer.deserialize(text))
    assert (read.getProperty("runner"), read.getProperty("package")) == ("aoti", "")
    assert pickle.loads(pickle.dumps(force)).getProperty("package") == ""
    assert copy.deepcopy(force).getProperty("package") == str(compiled[1])
    forged = text.replace(
        "<Properties>", '<Properties><Property name="package" value="evil.pt2"/>', 1
    )
    assert forged != text
    with pytest.raises(openmm.OpenMMException, match="names the compiled code 'evil.pt2'"):
        openmm.XmlSerializer.deserialize(forged)
