"""Model files: round trips, the contract, tampering, and verification."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from openmmcg import export, models
from openmmcg.export.archive import CARD, digest
from openmmcg.export.geometry import chain
from torch import Tensor, nn

FACTS = {"cutoff": 1.0, "bead_types": ["A", "B"], "temperature": 300.0}


class Constant(nn.Module):
    """Bead energies k d^2 / 4 over pairs, as somebody else would write it."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.k = nn.Parameter(torch.tensor(10.0))
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
        energy = torch.zeros_like(positions[:, 0])
        energy = energy.index_add(0, pairs[0], 0.25 * self.k * (square - 1.0) ** 2 * inside)
        slope = (2.0 * self.k * (square - 1.0) * inside).unsqueeze(-1) * vector
        forces = torch.zeros_like(positions).index_add(0, pairs[0], slope)
        derivatives = positions.new_zeros([parameters.size(0), positions.size(0)])
        if self.wrong == "shape":
            return energy, forces[:, :2], derivatives
        if self.wrong == "nan":
            return energy, forces / 0.0, derivatives
        if self.wrong == "size":
            return energy, forces + torch.ones(3, 3), derivatives
        if self.wrong == "sign":
            return energy, -forces, derivatives
        return energy, forces, derivatives


class Spring(nn.Module):
    """A model of positions alone, as of openmm-torch."""

    def forward(self, positions: Tensor) -> Tensor:
        return 5.0 * (positions * positions).sum()


def network(seed: int = 0) -> models.CGNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return models.build(
            "schnet", bead_types=["A", "B"], cutoff=1.0, width=8, interactions=2, rbf=6
        )


def arguments(n_beads: int = 5, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return chain(n_beads, 2, 1.0, [300.0], seed=n_beads).arguments(dtype)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export.save(network(), tmp_path_factory.mktemp("models") / "a.cg.pt", temperature=300.0)


def test_round_trip(saved: Path) -> None:
    card = export.read_card(saved)
    assert card["architecture"] == {"name": "schnet", "hyperparameters": network().hyperparameters}
    assert (card["bead_types"], card["cutoff"], card["dtype"]) == (["A", "B"], 1.0, "float32")
    assert card["parameters"] == [{"name": "CGTemperature", "default": 300.0, "unit": "K"}]
    assert export.read_card(saved.read_bytes()) == card
    loaded = export.load_script(saved)
    for a, b in zip(loaded(*arguments()), network()(*arguments()), strict=True):
        assert torch.equal(a, b)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_plain_torch_reads_model_and_card(saved: Path) -> None:
    extra = {"openmmcg.json": ""}
    loaded = torch.jit.load(str(saved), _extra_files=extra)
    assert json.loads(extra["openmmcg.json"]) == export.read_card(saved)
    assert torch.equal(loaded(*arguments())[1], network()(*arguments())[1])


def test_digest_is_the_documented_one(saved: Path) -> None:
    """Written out again from the format's description, as another reader would."""
    content, total = saved.read_bytes(), hashlib.sha256()
    with zipfile.ZipFile(saved) as archive:
        entries = {info.filename.split("/", 1)[1].encode(): info for info in archive.infolist()}
    for name, info in sorted(entries.items()):
        if name != b"extra/openmmcg.json":
            start = info.header_offset
            start += 30 + sum(struct.unpack_from("<HH", content, start + 26))
            data = content[start : start + info.compress_size]
            total.update(name + b"\x00" + struct.pack("<Q", len(data)) + data)
    assert total.hexdigest() == export.read_card(saved)["sha256"]


def test_scripted_modules_and_functions_of_others(tmp_path: Path) -> None:
    module = torch.jit.script(Constant())
    path = export.save(module, tmp_path / "b.cg.pt", parameters={"field": 0.5}, **FACTS)
    assert export.read_card(path)["parameters"][1]["name"] == "field"
    assert torch.equal(export.load_script(path)(*arguments())[0], module(*arguments())[0])
    assert module.k.requires_grad  # the given module is left as it was

    spring = torch.jit.script(lambda_spring)
    path = export.save(spring, tmp_path / "c.cg.pt", interface="positions", temperature=300.0)
    assert export.read_card(path)["interface"] == "positions"
    assert export.load_script(path)(torch.ones(2, 3)).item() == 30.0


def lambda_spring(positions: Tensor) -> Tensor:
    return 5.0 * (positions * positions).sum()


def test_double_precision_is_kept() -> None:
    data = export.to_bytes(network().double(), temperature=300.0)
    assert export.read_card(data)["dtype"] == "float64"
    assert export.load_script(data)(*arguments(dtype=torch.float64))[1].dtype == torch.float64


def test_writing_is_atomic_and_warns_of_nothing(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "d.cg.pt"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="temperature"):
        export.save(network(), path, temperature=-1.0)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    export.save(network(), path, temperature=300.0)
    assert list(tmp_path.iterdir()) == [path]
    assert not [w for w in recwarn if "torch.jit" in str(w.message)]


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = export.save(network(), tmp_path / "e.cg.pt", temperature=300.0)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            RuntimeError, match="disk of .*e.cg.pt is full .*older file.* as it was"
        ):
            export.save(network(seed=1), path, temperature=300.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_equal_models_are_equal_files_in_any_process(tmp_path: Path) -> None:
    """Sets of names have another order in every process, files have not."""
    program = (
        "import sys, torch; from openmmcg import export, models; torch.manual_seed(0); "
        "make = lambda name: models.build(name, bead_types=['A'], cutoff=1.0, width=8, rbf=6); "
        "[export.save(make(name), f'{sys.argv[1]}-{name}', temperature=300.0) "
        "for name in ('schnet', 'tensornet')]"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / seed)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
    for name in ("schnet", "tensornet"):
        assert (tmp_path / f"1-{name}").read_bytes() == (tmp_path / f"2-{name}").read_bytes()


@pytest.mark.parametrize(
    ("model", "card", "message"),
    [
        (Constant(), {}, "plain Constant was given; wrap a module"),
        (3.0, {}, "a float was given"),
        (torch.jit.script(Spring()), {}, "takes 1 arguments .positions.*interface='positions'"),
        (torch.jit.script(Constant()), {"interface": "positions"}, "needs 1, or 2 with a box"),
        (torch.jit.script(Constant("shape")), {}, r"forces as a tensor of shape \(3, 2\)"),
        (torch.jit.script(Constant("nan")), {}, "forces that are not finite"),
        (torch.jit.script(Constant("size")), {}, "fails on 5 beads"),
        (torch.jit.script(Constant().half()), {}, "numbers are float16"),
        (torch.jit.script(Constant()), {"cutoff": None}, "needs cutoff"),
        (torch.jit.script(Constant()), {"cutoff": 0.0}, "positive cutoff in nm"),
        (torch.jit.script(Constant()), {"bead_types": ["A", "A"]}, "repeat a name"),
        (torch.jit.script(Constant()), {"interface": "graph"}, "one of pairs, positions"),
        (torch.jit.script(Constant()), {"temperature_range": [310, 350]}, "310.0 to 350.0 K"),
        (torch.jit.script(Constant()), {"parameters": {"CGTemperature": 1.0}}, "no name may"),
        (network(), {"cutoff": 2.0}, "made for 1.0 nm"),
        (network(), {"bead_types": ["X"]}, r"made for \['A', 'B'\]"),
    ],
)
def test_what_cannot_be_saved(model: object, card: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export.to_bytes(model, **{**FACTS, **card})


def test_topology_is_checked() -> None:
    topology = {
        "names": ["X", "Y"],
        "residues": [["R", 1], ["R", 1]],
        "types": [0, 1],
        "bonds": [[0, 1]],
        "molecules": [0, 0],
        "masses": [12.0, 12.0],
        "positions": [[0.0, 0.0, 0.0], [0.15, 0.0, 0.0]],
    }
    data = export.to_bytes(network(), temperature=300.0, topology=topology)
    assert export.read_card(data)["topology"] == topology
    for change, message in (
        ({"types": [0, 2]}, "bead of type 2.*2 types .A, B"),
        ({"masses": [12.0]}, "2 types but 1 masses"),
        ({"bonds": [[0, 2]]}, "bonds bead 0 to bead 2"),
    ):
        with pytest.raises(ValueError, match=message):
            export.to_bytes(network(), temperature=300.0, topology={**topology, **change})


def rewritten(data: bytes, card: object = None, **entries: bytes) -> bytes:
    """Copy an archive with another card, or other contents of entries that keep the old digest."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(result, "w") as new:
        for info in old.infolist():
            name = info.filename.split("/", 1)[1]
            if name != CARD:
                new.writestr(info, entries.get(name.replace("/", "_"), old.read(info)))
        if isinstance(card, dict):
            card = {**card, "sha256": digest(new)}
        name = f"{old.namelist()[0].split('/')[0]}/{CARD}"
        new.writestr(name, old.read(name) if card is None else json.dumps(card))
    return result.getvalue()


def test_damaged_files_are_refused(saved: Path, tmp_path: Path) -> None:
    data, card = saved.read_bytes(), export.read_card(saved)
    newer = {**card, "format_version": 2, "created_with": {"openmmcg": "9.0"}}
    foreign = {**card, "format": "other"}
    cases = {
        "truncated or damaged": data[: len(data) // 2],
        "is not a model file": b"hello",
        "format version 2 .written by openmmcg 9.0.*pip install --upgrade": rewritten(data, newer),
        "has format 'other'": rewritten(data, foreign),
        "changed after it was written": rewritten(data, data_0=b"\x00" * 32),
        "card is not a JSON object": rewritten(data, []),
        "entry 'cutoff' of the card is None": rewritten(data, {**card, "cutoff": None}),
    }
    for message, content in cases.items():
        path = tmp_path / "damaged.cg.pt"
        path.write_bytes(content)
        for read in (export.read_card, export.load_script):
            with pytest.raises(ValueError, match=message):
                read(path)
    with pytest.raises(FileNotFoundError, match="no model file"):
        export.read_card(tmp_path / "missing.cg.pt")
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Spring()), buffer)
    with pytest.raises(ValueError, match="without a model card"):
        export.read_card(buffer.getvalue())


def test_loading_needs_neither_our_class_nor_our_package(saved: Path) -> None:
    program = (
        "import sys, torch; m = torch.jit.load(sys.argv[1]); "
        "p = torch.tensor([[0., 0, 0], [.3, 0, 0]]); i = torch.tensor([[0, 1], [1, 0]]); "
        "e = m(p, torch.tensor([0, 1]), i, torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), "
        "torch.tensor([300.]))[0]; assert 'openmmcg' not in sys.modules; print(float(e.sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", program, str(saved)],
        capture_output=True,
        text=True,
        check=True,
    )
    positions = torch.tensor([[0.0, 0, 0], [0.3, 0, 0]])
    pairs = torch.tensor([[0, 1], [1, 0]])
    edges, shifts = torch.zeros(2, dtype=torch.int64), torch.zeros(2, 3)
    energy = network()(
        positions, torch.tensor([0, 1]), pairs, shifts, edges, torch.tensor([300.0])
    )[0]
    assert float(done.stdout) == pytest.approx(energy.sum().item(), rel=1e-6)
