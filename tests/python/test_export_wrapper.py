"""Somebody else's energy module as a model: forces, derivatives, refusals, and the worked example."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from openmmcg import export
from openmmcg.export.geometry import chain
from torch import Tensor, nn

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_network.py"


class Thermal(nn.Module):
    """Energies that depend on both parameters: sum over pairs of (1 - d^2)^3 (p0/300 + p1^2)."""

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
        soft = torch.relu(1.0 - (vectors * vectors).sum(-1)) ** 3
        scale = parameters[0] / 300.0 + parameters[1] ** 2 * (1 + types[pairs[0]])
        return torch.zeros_like(positions[:, 0]).index_add(0, pairs[0], soft * scale)


class Nothing(nn.Module):
    """Energies that depend on nothing."""

    def forward(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> Tensor:
        return torch.zeros_like(types, dtype=positions.dtype)


class Unscriptable(nn.Module):
    def forward(self, *arguments: Tensor) -> Tensor:
        return sum(arguments)


@pytest.mark.parametrize("scripted", [False, True])
def test_derivatives_are_those_of_the_energies(scripted: bool) -> None:
    model = torch.jit.script(export.PairEnergy(Thermal())) if scripted else None
    model = model or export.PairEnergy(Thermal())
    positions, *others, parameters = chain(9, 2, 1.0, [310.0, 0.7], seed=2).arguments(torch.float64)
    energies, forces, derivatives = model(positions, *others, parameters)
    exact = torch.autograd.functional.jacobian(
        lambda x, p: Thermal()(x, *others, p), (positions, parameters)
    )
    torch.testing.assert_close(energies, Thermal()(positions, *others, parameters))
    torch.testing.assert_close(forces, -exact[0].sum(0))
    torch.testing.assert_close(derivatives, exact[1].T)
    assert derivatives.abs().min() >= 0.0 and derivatives.abs().max() > 0.1
    assert not any(result.requires_grad for result in (energies, forces, derivatives))


def test_energies_of_nothing_have_no_derivatives() -> None:
    model = torch.jit.script(export.PairEnergy(Nothing()))
    for result in model(*chain(5, 2, 1.0, [300.0], seed=0).arguments(torch.float32)):
        assert not result.any()


def test_parameters_reach_the_file(tmp_path: Path) -> None:
    path = export.save(
        export.PairEnergy(Thermal()),
        tmp_path / "thermal.cg.pt",
        cutoff=1.0,
        bead_types=["A", "B"],
        temperature=300.0,
        parameters={"field": 0.5},
    )
    assert max(export.verify(path)["differences"].values()) < 1e-5


def test_what_cannot_be_scripted() -> None:
    facts = {"cutoff": 1.0, "bead_types": ["A"], "temperature": 300.0}
    with pytest.raises(ValueError, match="PairEnergy cannot be scripted .*torch.jit.script"):
        export.to_bytes(export.PairEnergy(Unscriptable()), **facts)
    with pytest.raises(ValueError, match="plain Thermal was given; wrap a module"):
        export.to_bytes(Thermal(), **facts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_network", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_runs(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = example.main(["--output", str(tmp_path), "--steps", "20"])
    printed = capsys.readouterr().out
    assert "largest relative difference" in printed and "20 steps" in printed
    assert "runner torchscript" in printed
    card = export.read_card(path)
    assert card["architecture"]["name"] == "symmetry-functions"
    # The file gives what the plain module gives, whose class a reader does not have.
    torch.manual_seed(0)
    network = example.SymmetryFunctions(2, example.CUTOFF).double()
    beads = chain(8, 2, example.CUTOFF, [300.0], seed=4).arguments(torch.float64)
    found = export.load_script(path).double()(*beads)[0]
    np.testing.assert_allclose(found, network(*beads).detach(), rtol=1e-6)
