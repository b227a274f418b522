"""What single networks promise beyond the contract, and what they share."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from model_cases import BEAD_TYPES, CUTOFF, Case, beads, call, close, make, moved
from openmmcg import export, models
from openmmcg.export.geometry import inputs as build_inputs
from openmmcg.models import PairTemplate
from openmmcg.models.radial import BASES, distances, envelope
from openmmcg.models.tensornet import load_torchmdnet
from openmmcg.models.tensornet.tensors import TensorAlgebra

BONDS = [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5)]
with_basis = pytest.mark.parametrize("name", [n for n in models.names() if n != "pair-spline"])


def test_edge_types_count_bonds() -> None:
    bonds = [(0, 1), (1, 2), (2, 3), (3, 4), (5, 6)]
    molecules = [0, 0, 0, 0, 0, 1, 1, 0]
    pairs = [[0, 0, 0, 0, 0, 5, 1, 0], [1, 2, 3, 4, 5, 6, 0, 7]]
    assert models.edge_types(bonds, molecules, pairs).tolist() == [2, 3, 4, 1, 0, 2, 2, 1]
    with pytest.raises(ValueError, match="bond names bead 9.*8 beads"):
        models.edge_types([(0, 9)], molecules, pairs)
    assert models.edge_types([], [0], np.empty((2, 0))).shape == (0,)


def test_edge_types_take_the_shortest_way_in_rings() -> None:
    ring = list(nx.cycle_graph(5).edges)
    pairs = np.array(list(itertools.permutations(range(5), 2))).T
    assert set(models.edge_types(ring, [0] * 5, pairs).tolist()) == {2, 3}


def test_template_lists_every_pair() -> None:
    template = PairTemplate.from_topology(BONDS, [0] * 6)
    assert template.directed.T.tolist() == [list(p) for p in itertools.permutations(range(6), 2)]
    ends = template.pairs[:, template.undirected]
    torch.testing.assert_close(ends.sort(0).values, template.directed.sort(0).values)
    assert torch.equal(template.edge_types[template.undirected], template.directed_edge_types)


def test_quintic_envelope_has_two_continuous_derivatives() -> None:
    x = torch.tensor([1e-12, 1.0 - 1e-7, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    value = envelope(x, 1.0)
    (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    assert value[2:].tolist() == [0.0, 0.0] and slope[2:].tolist() == [0.0, 0.0]
    close(value.detach(), torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64))
    assert slope.abs().max() < 1e-10 and curvature.abs().max() < 1e-5
    assert torch.isfinite(distances(torch.zeros(2, 3))).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosine_envelope_ends_at_exactly_nothing(dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, 0.5, 0.999999, 1.0, 1.7], dtype=dtype, requires_grad=True)
    value = envelope(x, 1.0, "cosine")
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert value[3:].tolist() == [0.0, 0.0] and slope[3:].tolist() == [0.0, 0.0]
    close(value.detach()[:2], torch.tensor([1.0, 0.5], dtype=dtype), 1e-6)
    assert slope[1].item() == pytest.approx(-np.pi / 2, rel=1e-6)


@with_basis
@pytest.mark.parametrize(
    ("basis", "shape"),
    [(b, e) for b, e in zip(BASES, ["cosine", "quintic", "cosine"], strict=True)],
)
def test_every_basis_and_envelope(name: str, basis: str, shape: str) -> None:
    """They change the function, are recorded, and fall to zero at the cutoff."""
    network = make(Case(name, {"basis": basis, "envelope": shape}))
    assert network.hyperparameters["basis"] == basis
    assert network.hyperparameters["envelope"] == shape
    inputs = beads(5)
    energy, forces, _ = call(network, inputs)
    assert torch.isfinite(energy).all() and forces.abs().max() > 1e-4
    far = moved(inputs, inputs.positions * 40.0)
    assert torch.count_nonzero(call(network, far)[1]) == 0


def test_functions_of_each_basis_cover_the_range() -> None:
    """Each function is the largest somewhere, so that none of them is wasted."""
    distance = torch.linspace(0.0, CUTOFF, 400, dtype=torch.float64)[1:-1]
    for basis in ("gaussian", "expnorm"):
        functions = make(Case("schnet", {"basis": basis})).radial_basis
        values = functions(distance, torch.zeros(398, dtype=torch.int64))
        without = values / envelope(distance, CUTOFF)[:, None]
        assert set(without.argmax(1).tolist()) == set(range(values.shape[1]))


def test_bessel_functions_are_orthogonal() -> None:
    functions = make(Case("schnet", {"basis": "bessel"})).radial_basis
    distance = torch.linspace(0.0, CUTOFF, 20_001, dtype=torch.float64)[1:]
    values = functions(distance, torch.zeros(20_000, dtype=torch.int64))[:-1]
    values = values / envelope(distance, CUTOFF)[:-1, None] * distance[:-1, None]
    close(values.T @ values / 20_000, torch.eye(values.shape[1], dtype=torch.float64), 1e-3)


def test_ranges_place_the_gaussians_of_each_edge_type() -> None:
    spans = [[0.0, 1.0], [0.0, 1.0], [0.1, 0.2], [0.2, 0.3], [0.2, 0.4]]
    network = make(Case("painn", {"ranges": spans}))
    assert network.hyperparameters["ranges"] == spans
    assert network.radial_basis.centers[2, [0, -1]].tolist() == pytest.approx([0.1, 0.2])
    # Beyond its range an edge type knows little, within it much.
    basis = network.radial_basis(torch.tensor([0.15, 0.6]).double(), torch.tensor([2, 2]))
    assert basis[0].max() > 0.5 and basis[1].max() < 1e-10


def test_stored_schnet_keeps_its_names_and_shapes(model_files: Path) -> None:
    """Readers of weights, the native engine among them, rely on these."""
    network = models.build("schnet", bead_types=["A", "B", "C"], cutoff=0.6, width=16, rbf=12)
    stored = dict(export.load_script(model_files / "schnet-weights-v1.cg.pt").state_dict())
    ours = network.state_dict()
    assert {k: v.shape for k, v in stored.items()} == {k: v.shape for k, v in ours.items()}
    network.load_state_dict(stored)
    inputs = build_inputs(
        beads(6).positions.numpy() * 0.5, np.arange(6) % 3, [(0, 1)], [0] * 6, 0.6, [300.0]
    )
    old = export.load_script(model_files / "schnet-weights-v1.cg.pt").double()
    arguments = inputs.arguments(torch.float64)
    close(network.double()(*arguments)[1], old(*arguments)[1], 1e-12)


def test_several_molecules_share_one_schnet() -> None:
    """Weights belong to bead types, so molecules of other sizes are just other templates."""
    network = make(Case("schnet"))
    for bonds, types in ((BONDS, [0, 1, 2, 3, 0, 1]), (BONDS[:3], [2, 0, 0, 1])):
        count = len(types)
        template = PairTemplate.from_topology(bonds, [0] * count)
        frames = torch.rand((2, count, 3)).double()
        energies = network.molecule_energies(
            frames, torch.tensor(types), template, torch.tensor([300.0]).double()
        )
        for frame, energy in zip(frames, energies, strict=True):
            inputs = build_inputs(
                frame.numpy(), np.array(types), bonds, [0] * count, CUTOFF, [300.0]
            )
            close(call(network, inputs)[0].sum(), energy.detach())


def test_painn_and_tensornet_see_angles() -> None:
    """Two geometries with the same distances of each bead to its neighbours within the cutoff."""

    def star(angle: float) -> np.ndarray:
        ends = 0.7 * np.array([[np.cos(a), np.sin(a), 0.0] for a in (0.0, angle)])
        return np.concatenate([np.zeros((1, 3)), ends])

    # The ends are beyond the cutoff of each other in both.
    geometries = [
        build_inputs(star(np.deg2rad(angle)), np.array([0, 1, 1]), [], [0] * 3, CUTOFF, [300.0])
        for angle in (100.0, 170.0)
    ]
    assert all(g.pairs.shape[1] == 4 for g in geometries)
    for name in ("painn", "tensornet"):
        energies = [call(make(Case(name)), g)[0].sum().item() for g in geometries]
        assert abs(energies[0] - energies[1]) > 1e-8
    energies = [call(make(Case("schnet")), g)[0].sum().item() for g in geometries]
    assert energies[0] == pytest.approx(energies[1], abs=1e-12)


def test_tensor_algebra_is_that_of_matrices() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn((2, 9, 5, 4), generator=generator, dtype=torch.float64)
    for chiral in (False, True):
        algebra = TensorAlgebra(chiral).double()
        a, b = (algebra.matrices(t).permute(2, 3, 0, 1) for t in (left, right))
        close(algebra.components(algebra.matrices(left)), left, 1e-14)
        product = algebra.matrices(algebra.product(left, right)).permute(2, 3, 0, 1)
        close(product, 2 * a @ b if chiral else a @ b + b @ a, 1e-13)
        close(algebra.matrices(algebra.square(left)).permute(2, 3, 0, 1), a @ a, 1e-13)
        close(algebra.norm(left), (a * a).sum((2, 3)), 1e-13)
        close(algebra.part_norms(left).unflatten(-1, (3, 4)).sum(1), algebra.norm(left), 1e-13)
    unit = torch.tensor([0.48, 0.6, 0.64], dtype=torch.float64)
    x, y, z = unit
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    one = torch.eye(3, dtype=torch.float64)
    expected = one + skew + torch.outer(unit, unit) - one / 3
    close(algebra.matrices(algebra.of_directions(unit[None]))[..., 0], expected, 1e-14)


@pytest.fixture(scope="module")
def torchmdnet(model_files: Path) -> dict:
    return torch.load(model_files / "torchmdnet-tensornet.pt", weights_only=True)


ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8}


@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
def test_weights_of_torchmdnet_give_its_energies_and_forces(torchmdnet: dict, group: str) -> None:
    """The stored values were computed by torchmd-net 3.1.0, in ångström."""
    stored = torchmdnet["cases"][group]
    network = load_torchmdnet(
        stored["state_dict"], stored["hyper_parameters"], types=ELEMENTS, energy=4.184
    )
    types = np.array([list(ELEMENTS.values()).index(z) for z in torchmdnet["z"].tolist()])
    positions = 0.1 * torchmdnet["positions"].numpy()
    inputs = build_inputs(positions, types, [(0, 1)], [0] * 3 + [1] * 3, network.cutoff, [300.0])
    energy, forces, _ = call(network, inputs)
    # torchmd-net adds its mean, 0.5, to the energy of the whole.
    assert energy.sum().item() == pytest.approx((stored["energy"].item() - 0.5) * 4.184, rel=1e-7)
    close(forces, stored["forces"] * 41.84, 1e-7)
    assert network.hyperparameters["chiral"] == (group == "SO(3)")


def test_torchmdnet_checkpoints_that_cannot_be_loaded(torchmdnet: dict) -> None:
    stored = torchmdnet["cases"]["O(3)"]
    state, options = stored["state_dict"], stored["hyper_parameters"]
    for change, message in (
        ({"model": "graph-network"}, "model = 'graph-network'.*'tensornet'"),
        ({"rbf_type": "gauss"}, "rbf_type = 'gauss'"),
        ({"num_layers": 3}, "does not hold"),
    ):
        with pytest.raises(ValueError, match=message):
            load_torchmdnet(state, {**options, **change}, types=ELEMENTS)
    with pytest.raises(ValueError, match="prior model"):
        load_torchmdnet({**state, "model.prior_model.0.x": torch.ones(1)}, options, types=ELEMENTS)
    with pytest.raises(ValueError, match="does not hold"):
        load_torchmdnet(state, options, types={"X": 99})


def test_mace_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmmcg.models.registry.find_spec", lambda name: None)
    assert models.names() == ["painn", "pair-spline", "schnet", "tensornet"]
    with pytest.raises(ValueError, match=re.escape("pip install 'openmm-cg[mace]'")):
        models.build("mace", bead_types=["A"], cutoff=1.0)


@pytest.mark.skipif("mace" not in models.names(), reason="mace-torch is not installed")
def test_mace_leaves_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Importing mace-torch must not turn off the safety of torch.load, nor print."""
    for module in [m for m in sys.modules if m == "mace" or m.startswith("mace.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", raising=False)
    models.build("mace", bead_types=["A"], cutoff=1.0, width=2, rbf=2)
    assert capfd.readouterr() == ("", "")
    torch.save(Path("x"), tmp_path / "x.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "magic"}, "no network 'magic'.*schnet"),
        ({"bead_types": []}, "at least one name"),
        ({"bead_types": ["A", "A"]}, "each once"),
        ({"cutoff": 0.0}, "positive distance in nm"),
        ({"width": 0}, "width of at least 1"),
        ({"width": 2.5}, "width of at least 1, but it is 2.5"),
        ({"rbf": 1}, "rbf of at least 2"),
        ({"ranges": [[0.0, 1.0]]}, "5 ranges"),
        ({"depth": 3}, "cannot be built.*depth"),
        ({"basis": "sine"}, "basis of gaussian, bessel, expnorm, but it is 'sine'"),
        ({"envelope": "step"}, "envelope of quintic, cosine"),
        ({"basis": "bessel", "ranges": [[0.0, 1.0]] * 5}, "gaussian only"),
        ({"name": "pair-spline", "ranges": [[0.0, 2.0]] * 5}, "within the cutoff of 1.0 nm"),
        ({"name": "painn", "interactions": 0}, "PaiNN needs interactions"),
        ({"name": "tensornet", "width": 1}, "TensorNet needs width of at least 2"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.build(**{"name": "schnet", "bead_types": ["A"], "cutoff": 1.0, **arguments})


@pytest.mark.skipif("mace" not in models.names(), reason="mace-torch is not installed")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_l": 3}, "hidden_l of at most max_l = 2"),
        ({"chiral": True, "hidden_l": 0}, "chiral MACE needs two interactions"),
        ({"correlation": 0}, "correlation of at least 1"),
    ],
)
def test_bad_arguments_of_mace(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.build("mace", bead_types=BEAD_TYPES, cutoff=1.0, **options)
