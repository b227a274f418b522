"""Verification of model files: what it checks, and that each check can fail."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from openmmcg import export, models
from openmmcg.export.archive import CARD, digest
from openmmcg.export.geometry import chain, inputs
from torch import Tensor, nn

FACTS = {"cutoff": 1.0, "bead_types": ["A", "B"], "temperature": 300.0}
ALWAYS = {
    "this process",
    "single precision",
    "unused pairs",
    "numbering of beads",
    "replicas",
    "boxes",
    "sizes of the box",
    "forces",
}
BOX = np.array([[2.1, 0.0, 0.0], [0.5, 2.2, 0.0], [-0.6, 0.4, 2.3]])


class Soft(nn.Module):
    """Bead energies 2.5 (d^2 - 1)^2 over pairs, with something wrong if wanted."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong = wrong

    def forward(
        self,
        positions: Tensor,
        types: Tensor,
        pairs: Tensor,
        shifts: Tensor,
        edge_types: Tensor,
        parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        vector = positions[pairs[1]] + shifts - positions[pairs[0]]
        square = (vector * vector).sum(-1)
        inside = (square < 1.0).to(positions.dtype)
        if self.wrong == "shifts":  # forgets them, though not what they say of unused entries
            vector = positions[pairs[1]] - positions[pairs[0]]
            square = (vector * vector).sum(-1)
        strength = 10.0 * inside
        if self.wrong == "indices":
            strength = strength * (1.0 + 1e-3 * (pairs[0] + pairs[1]).to(positions.dtype))
        if self.wrong == "count":
            strength = strength / positions.size(0)
        energy = torch.zeros_like(positions[:, 0])
        energy = energy.index_add(0, pairs[0], 0.25 * strength * (square - 1.0) ** 2)
        slope = (2.0 * strength * (square - 1.0)).unsqueeze(-1) * vector
        forces = torch.zeros_like(positions).index_add(0, pairs[0], slope)
        if self.wrong == "unused":
            energy = energy + pairs.size(1)
        if self.wrong == "cancellation":
            energy = (energy + 1e5) - 1e5
        if self.wrong == "gradient":
            forces = 1.001 * forces
        derivatives = positions.new_zeros([parameters.size(0), positions.size(0)])
        return energy, forces, derivatives


def network(seed: int = 0) -> models.CGNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return models.build(
            "schnet", bead_types=["A", "B"], cutoff=1.0, width=8, interactions=2, rbf=6
        )


def liquid(count: int = 15) -> dict:
    """Trimers in a triclinic box, wrapped bead by bead."""
    rng = np.random.default_rng(1)
    starts = rng.uniform(0.0, 1.0, (count, 1, 3)) @ BOX
    beads = (starts + 0.25 * rng.normal(size=(count, 3, 3)).cumsum(1)).reshape(-1, 3)
    beads -= np.floor(beads @ np.linalg.inv(BOX)) @ BOX
    n = 3 * count
    return {
        "names": ["X"] * n,
        "residues": [["R", i // 3] for i in range(n)],
        "types": [0, 1, 0] * count,
        "bonds": [[i, i + 1] for i in range(n) if i % 3 != 2],
        "molecules": [i // 3 for i in range(n)],
        "masses": [12.0] * n,
        "positions": beads.tolist(),
        "box": BOX.tolist(),
    }


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("boxed") / "liquid.cg.pt"
    return export.save(network(), path, temperature=300.0, topology=liquid())


def test_every_check_is_reported(tmp_path: Path) -> None:
    path = export.save(network(), tmp_path / "a.cg.pt", temperature=300.0)
    report = export.verify(path, network())
    assert set(report["differences"]) == ALWAYS | {"network"}
    assert all(0.0 <= value < 1e-5 for value in report["differences"].values())
    assert report["differences"]["forces"] > 0.0
    assert report["beads"] == [2, 5, 24, 24]
    assert report["boxes"] == [False, False, False, True]
    with pytest.raises(ValueError, match="failed the check 'network'.*do not run"):
        export.verify(path, network(seed=1))


def test_a_liquid_is_verified_in_its_own_box(boxed: Path) -> None:
    report = export.verify(boxed, network())
    assert set(report["differences"]) == ALWAYS | {"network", "stored results"}
    assert report["beads"][:2] == [45, 45] and report["boxes"][:2] == [True, True]
    # The stored pairs are those within the cutoff over the shortest images.
    x = np.array(liquid()["positions"])
    vectors = (x[:, None] - x[None]).reshape(-1, 3)
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3) @ BOX
    near = (np.linalg.norm(vectors[:, None] + images, axis=-1) < 1.0).sum() - len(x)
    assert report["pairs"][0] == near


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ("shifts", "boxes"),
        ("indices", "numbering of beads"),
        ("count", "replicas"),
        ("unused", "unused pairs"),
        ("cancellation", "single precision"),
        ("gradient", "forces"),
    ],
)
def test_every_check_can_fail(wrong: str, check: str, tmp_path: Path) -> None:
    path = export.save(torch.jit.script(Soft(wrong)), tmp_path / "wrong.cg.pt", **FACTS)
    with pytest.raises(ValueError, match=f"failed the check '{check}'"):
        export.verify(path)


def test_a_sound_foreign_model_passes(tmp_path: Path) -> None:
    path = export.save(
        torch.jit.script(Soft()), tmp_path / "soft.cg.pt", topology=liquid(), **FACTS
    )
    assert set(export.verify(path)["differences"]) == ALWAYS | {"stored results"}


def test_results_that_differ_from_the_stored_ones(boxed: Path, tmp_path: Path) -> None:
    """As when a file gives something else on another machine or with another PyTorch."""
    card = export.read_card(boxed)
    card["reference"]["forces"][3][1] += 1e-3 * np.abs(card["reference"]["forces"]).max()
    result = io.BytesIO()
    with zipfile.ZipFile(boxed) as old, zipfile.ZipFile(result, "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(CARD):
                new.writestr(entry, old.read(entry))
        root = old.namelist()[0].split("/")[0]
        new.writestr(f"{root}/{CARD}", json.dumps({**card, "sha256": digest(new)}))
    path = tmp_path / "other.cg.pt"
    path.write_bytes(result.getvalue())
    with pytest.raises(ValueError, match="failed the check 'stored results'.*1.00e-03"):
        export.verify(path)


def test_models_of_positions(tmp_path: Path) -> None:
    class Trap(nn.Module):
        def forward(self, positions: Tensor, box: Tensor, k: Tensor) -> Tensor:
            return 0.5 * k * (positions * positions).sum() / box[0, 0]

    path = export.save(
        torch.jit.script(Trap()),
        tmp_path / "p.cg.pt",
        interface="positions",
        temperature=300.0,
        parameters={"k": 10.0},
    )
    assert set(export.verify(path)["differences"]) == {"this process", "single precision"}


def test_supercell_and_images_are_the_lists_of_their_own_boxes() -> None:
    """Against a search in the larger box and at the other images."""
    trial = chain(24, 2, 1.0, [300.0], seed=3, box=BOX)
    cell = torch.from_numpy(BOX)
    bonds, molecules = [(i, i + 1) for i in range(11)], [0] * 12 + list(range(1, 13))

    def search(positions: Tensor, copies: int, box: np.ndarray) -> list[tuple]:
        molecule = [m + 100 * copy for copy in range(copies) for m in molecules]
        bonded = [(i + 24 * c, j + 24 * c) for c in range(copies) for i, j in bonds]
        types = np.arange(24 * copies) % 2
        return vectors(inputs(positions.numpy(), types, bonded, molecule, 1.0, [300.0], box))

    def vectors(beads) -> list[tuple]:
        found = beads.positions[beads.pairs[1]] + beads.shifts - beads.positions[beads.pairs[0]]
        rows = zip(beads.pairs[0].tolist(), beads.pairs[1].tolist(), found.tolist(), strict=True)
        return sorted((i, j, *(round(x, 9) + 0.0 for x in v)) for i, j, v in rows)

    turns = torch.randint(-2, 3, (24, 3), generator=torch.Generator().manual_seed(0))
    moved = trial.imaged(cell, turns)
    assert vectors(moved) == search(moved.positions, 1, BOX) == vectors(trial)
    twice = trial.supercell(cell)
    larger = BOX * np.array([[2.0], [1.0], [1.0]])
    assert vectors(twice) == search(twice.positions, 2, larger)
    assert len(vectors(twice)) == 2 * len(vectors(trial))
