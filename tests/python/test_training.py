"""Training: splits, noise floor, learning a known energy, exact resume, and export."""

from __future__ import annotations

import csv
import dataclasses
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from openmmcg import export
from openmmcg.data import Dataset, Frames, recipe, write_dataset
from openmmcg.mapping import Mapping
from openmmcg.models import PairTemplate
from openmmcg.priors import PriorSet
from openmmcg.training import NoiseFloor, TrainConfig, load_network, train
from openmmcg.training.frames import load_data
from openmmcg.training.module import ForceMatching
from openmmcg.training.sources import open_datasets
from openmmcg.training.split import Fold, ShuffledBatches, times_of, validation_mask
from openmmcg.training.summary import verdict
from peptide_frames import frames as peptide

NOISE = 60.0
RNG_SEED = 7


def soft_energy(positions: torch.Tensor) -> torch.Tensor:
    """A soft energy (kJ/mol) of three distances, beyond what priors know."""
    d04, d15, d05 = (
        torch.linalg.vector_norm(positions[..., i, :] - positions[..., j, :], dim=-1)
        for i, j in ((0, 4), (1, 5), (0, 5))
    )
    return 8.0 * torch.cos(40.0 * d04) + 8.0 * torch.cos(40.0 * d15) + 200.0 * (d05 - 0.4) ** 2


def soft_forces(positions: np.ndarray) -> np.ndarray:
    leaf = torch.from_numpy(positions.astype(np.float64)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(soft_energy(leaf).sum(), leaf)
    return -gradient.numpy()


def sampled(count: int, **changes: np.ndarray | None) -> Frames:
    """Frames with forces of fitted priors, the soft energy and Gaussian noise."""
    from openmmcg.priors import fit_frames

    rng = np.random.default_rng(RNG_SEED)
    positions = peptide(rng.uniform(-180, 180, count), rng.uniform(-180, 180, count), rng)
    mapping = Mapping.builtin("core-beta", recipe("capped-alanine").topology, "name")
    names = list(mapping.type_names)
    priors = fit_frames(positions, mapping.types, names, mapping.bonds, 300.0)
    bound = priors.bind(mapping.types, names, mapping.bonds)
    forces = bound.forces(torch.from_numpy(positions)).numpy() + soft_forces(positions)
    values = {
        "positions": positions.astype("f4"),
        "forces": (forces + rng.normal(0.0, NOISE, forces.shape)).astype("f4"),
        "energies": np.zeros(count),
        "temperatures": np.full(count, 300.0),
        "bias_energies": np.zeros(count),
        "walkers": np.repeat([0, 1], [count // 2, count - count // 2]),
    }
    return Frames(**{**values, **changes})


def written(path: Path, frames: Frames) -> Path:
    mapping = Mapping.builtin("core-beta", recipe("capped-alanine").topology, "name")
    return write_dataset(path, mapping, frames, force_map="uniform", source={"by": "a test"})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("data") / "d.h5", sampled(2400))


def small(dataset: Path, output: Path, **changes: object) -> TrainConfig:
    values = {"width": 24, "rbf": 12, "epochs": 30, "batch_size": 128, "learning_rate": 1e-2}
    values |= {"ema_decay": 0.9, "threads": 1, "accelerator": "cpu", "prior_plots": False}
    return TrainConfig(str(dataset), str(output), **{**values, **changes})


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    return train(small(dataset, folder, prior_plots=True), progress=False)


def test_learns_a_known_energy_down_to_the_noise(trained: Path, dataset: Path) -> None:
    summary = json.loads((trained / "summary.json").read_text())
    signal = float((soft_forces(sampled(2400).positions) ** 2).mean())
    above = summary["val_loss"] - NOISE**2
    assert above < 0.03 * signal, (summary, signal)
    assert summary["explained"] > 0.95
    # And the forces themselves, on frames and in an orientation never seen.
    rng = np.random.default_rng(99)
    positions = peptide(rng.uniform(-180, 180, 200), rng.uniform(-180, 180, 200), rng)
    with Dataset.open(dataset) as data:
        template = PairTemplate.from_topology(data.bonds, data.molecules)
        types = torch.from_numpy(data.types)
    leaf = torch.from_numpy(positions.astype("f4")).requires_grad_(True)
    energies = load_network(trained).molecule_energies(leaf, types, template, torch.tensor([300.0]))
    (gradient,) = torch.autograd.grad(energies.sum(), leaf)
    expected = soft_forces(positions)
    assert np.mean((-gradient.numpy() - expected) ** 2) < 0.05 * np.mean(expected**2)


def test_writes_what_it_says(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "training.json",
        "priors.json",
        "priors.png",
        "summary.json",
        "metrics.csv",
        "best.ckpt",
        "last.ckpt",
    }
    with open(trained / "metrics.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    losses = [float(row["val_loss"]) for row in rows]
    assert [int(row["epoch"]) for row in rows] == list(range(30))
    assert losses[-1] < losses[0]
    summary = json.loads((trained / "summary.json").read_text())
    assert summary["val_loss"] == pytest.approx(min(losses))
    assert PriorSet.from_dict(json.loads((trained / "priors.json").read_text())).temperature == 300


def test_a_finished_run_is_kept_and_another_refused(trained: Path, dataset: Path) -> None:
    before = (trained / "best.ckpt").stat().st_mtime_ns
    assert train(small(dataset, trained, threads=None), progress=False) == trained
    assert (trained / "best.ckpt").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="another training .config.epochs is 30 there and 31 here"):
        train(small(dataset, trained, epochs=31), progress=False)


def test_resumes_exactly(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    options = {"epochs": 4, "width": 8, "rbf": 6}
    whole = train(small(dataset, tmp_path / "whole", **options), progress=False)
    started = ForceMatching.on_train_epoch_start

    def fail(self: ForceMatching) -> None:
        if self.current_epoch == 2:
            raise RuntimeError("power cut")

    monkeypatch.setattr(ForceMatching, "on_train_epoch_start", fail)
    config = small(dataset, tmp_path / "parts", **options)
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, progress=False)
    assert not (tmp_path / "parts" / "summary.json").exists()
    with pytest.raises(FileNotFoundError, match="no finished training"):
        load_network(tmp_path / "parts")
    monkeypatch.setattr(ForceMatching, "on_train_epoch_start", started)
    parts = train(config, progress=True)
    assert "explained" in capsys.readouterr().out
    for name in ("metrics.csv", "summary.json", "priors.json"):
        assert (parts / name).read_text() == (whole / name).read_text()
    a, b = (load_network(folder).state_dict() for folder in (whole, parts))
    assert all(torch.equal(a[key], b[key]) for key in a)
    # The checkpoints hold numbers only.
    torch.load(parts / "last.ckpt", weights_only=True)


KILLED = """
import sys
from openmmcg.training import TrainConfig, train
dataset, output = sys.argv[1:]
train(TrainConfig(dataset, output, width=8, rbf=6, epochs=10, batch_size=64, threads=1,
                  accelerator="cpu", prior_plots=False, lint=False), progress=False)
"""


@pytest.mark.slow
def test_killed_and_resumed_training_ends_with_the_same_bits(dataset: Path, tmp_path: Path) -> None:
    """kill -9 at a random moment of a real process, then the same command again."""
    options = {"width": 8, "rbf": 6, "epochs": 10, "batch_size": 64}
    options |= {"learning_rate": 3e-3, "ema_decay": 0.995, "lint": False}
    whole = train(small(dataset, tmp_path / "whole", **options), progress=False)
    parts = tmp_path / "parts"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(dataset), str(parts)])
    end = time.monotonic() + 120.0
    while not (parts / "last.ckpt").exists() and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.1)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (parts / "summary.json").exists()
    done = torch.load(parts / "last.ckpt", weights_only=True)["epoch"]
    assert 0 <= done < 9
    train(small(dataset, parts, **options), progress=False)
    states = [torch.load(f / "last.ckpt", weights_only=True) for f in (whole, parts)]
    for key, value in states[0]["state_dict"].items():
        assert torch.equal(value, states[1]["state_dict"][key]), key
    assert (parts / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


SHARED = """
import sys
from openmmcg.training import TrainConfig, train
dataset, output = sys.argv[1:]
train(TrainConfig(dataset, output, width=8, rbf=6, epochs=2, batch_size=128, threads=1, devices=2,
                  accelerator="cpu", prior_plots=False, lint=False), progress=False)
"""


@pytest.mark.slow
def test_two_processes_train_as_one(dataset: Path, tmp_path: Path) -> None:
    options = {"width": 8, "rbf": 6, "epochs": 2, "lint": False}
    options |= {"learning_rate": 3e-3, "ema_decay": 0.995}
    alone = train(small(dataset, tmp_path / "alone", **options), progress=False)
    script = tmp_path / "shared.py"
    script.write_text(SHARED)
    output = tmp_path / "shared"
    subprocess.run([sys.executable, script, dataset, output], check=True, timeout=300)
    losses = [
        json.loads((folder / "summary.json").read_text())["val_loss"] for folder in (alone, output)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_cross_validation_from_one_command(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = {"epochs": 3, "width": 8, "rbf": 6, "folds": 3}
    folder = train(small(dataset, tmp_path / "folds", **options))
    text = capsys.readouterr().out
    joined = json.loads((folder / "cross-validation.json").read_text())
    losses = joined["fold_losses"]
    assert joined["val_loss"] == pytest.approx(np.mean(losses)) and len(losses) == 3
    assert joined["val_loss_error"] == pytest.approx(np.std(losses, ddof=1) / np.sqrt(3))
    assert f"cross-validated {joined['val_loss']:12.0f} +- {joined['val_loss_error']:.0f}" in text
    with pytest.raises(FileNotFoundError, match="cross-validation.*fold-1"):
        load_network(folder)
    load_network(folder / "fold-3")
    masks = [
        validation_mask(np.zeros(100), np.arange(100), 0.1, Fold(number, 3)) for number in range(3)
    ]
    assert np.array_equal(sum(mask.astype(int) for mask in masks), np.ones(100))


def test_stops_early(dataset: Path, tmp_path: Path) -> None:
    options = {"epochs": 50, "width": 8, "rbf": 6, "learning_rate": 1e-9, "ema_decay": 0.0}
    options |= {"early_stopping": 2, "schedule": "constant"}
    folder = train(small(dataset, tmp_path / "early", **options), progress=False)
    assert json.loads((folder / "summary.json").read_text())["epochs"] < 50


def test_full_disk_loses_nothing(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second checkpoint meets a limit of the system; later the run goes on, bit for bit."""
    from lightning.pytorch import Trainer

    save, calls = Trainer.save_checkpoint, []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fail(self: Trainer, path: str, *arguments: object) -> None:
        calls.append(path)
        if len(calls) == 3:  # the best and the last one of the first epoch were written
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            save(self, path, *arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    options = {"width": 8, "rbf": 6, "epochs": 3}
    whole = train(small(dataset, tmp_path / "whole", **options), progress=False)
    monkeypatch.setattr(Trainer, "save_checkpoint", fail)
    with pytest.raises(RuntimeError, match="disk of .* is full .File too large.*continue from"):
        train(small(dataset, tmp_path / "full", **options), progress=False)
    assert len(calls) == 3
    assert torch.load(tmp_path / "full" / "last.ckpt", weights_only=True)["epoch"] == 0
    monkeypatch.setattr(Trainer, "save_checkpoint", save)
    resumed = train(small(dataset, tmp_path / "full", **options), progress=False)
    found, expected = (load_network(folder).state_dict() for folder in (resumed, whole))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_checkpoint_of_another_architecture(trained: Path, dataset: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(trained, copied)
    state = torch.load(copied / "best.ckpt", weights_only=True)
    state["state_dict"]["network.embedding.weight"] = torch.zeros(4, 7)
    torch.save(state, copied / "best.ckpt")
    with pytest.raises(ValueError, match="another architecture: embedding.weight has shape .4, 7."):
        load_network(copied)
    (copied / "best.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="no checkpoint of a training"):
        load_network(copied)


def test_tensorboard_log_or_a_sentence(dataset: Path, tmp_path: Path) -> None:
    config = small(dataset, tmp_path / "tb", width=8, rbf=6, epochs=1, tensorboard=True)
    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        with pytest.raises(ValueError, match="pip install tensorboard"):
            train(config, progress=False)
    else:
        folder = train(config, progress=False)
        assert list((folder / "tensorboard").glob("events*"))


def test_exported_training_runs_anywhere(trained: Path, dataset: Path, tmp_path: Path) -> None:
    path, report = export.export_trained(trained, tmp_path / "a.cg.pt")
    assert set(report["differences"]) >= {"network", "forces", "replicas"} and 6 in report["beads"]
    card = export.read_card(path)
    with Dataset.open(dataset) as data:
        assert card["mapping"] == data.mapping
        assert card["topology"]["types"] == data.types.tolist()
        assert card["topology"]["names"] == ["C", "N", "CA", "CB", "C", "N"]
        frame = np.array(card["topology"]["positions"])
        gaps = np.linalg.norm(
            data.positions - data.positions.mean(1, keepdims=True) - frame, axis=-1
        )
        assert gaps.max(axis=1).min() < 1e-6
    assert card["training"]["data"]["frames"] == 2400
    assert card["training"]["summary"]["noise_floor"] > 0
    assert PriorSet.from_dict(card["priors"]).parameters["signed-impropers"]

    copied = tmp_path / "copy"
    shutil.copytree(trained, copied)
    record = json.loads((copied / "training.json").read_text())
    record["data"]["sha256"] = "0" * 64
    (copied / "training.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="not the one of the training"):
        export.export_trained(copied, tmp_path / "b.cg.pt")


def test_noise_floor_of_known_noise_and_error() -> None:
    rng = np.random.default_rng(0)
    count, sigma = 4000, 300.0
    phi = rng.uniform(-180.0, 180.0, count)
    positions = peptide(phi, np.full(count, 60.0), rng)
    noise = rng.normal(0.0, sigma, positions.shape)
    estimator = NoiseFloor(positions, np.zeros(count), np.arange(count))
    perfect = estimator.estimate(noise)
    assert perfect.loss == pytest.approx((noise**2).mean())
    assert abs(perfect.floor - sigma**2) < 0.02 * sigma**2
    # A model with a smooth error: found among the noise, although ten times smaller.
    error = soft_forces(positions)
    error *= 0.3 * sigma / np.sqrt((error**2).mean())
    found = estimator.estimate(noise + error)
    assert found.loss - found.floor == pytest.approx(0.09 * sigma**2, rel=0.15)
    assert abs(found.floor - sigma**2) < 0.02 * sigma**2
    assert 0.0 < found.error < 0.02 * sigma**2


def test_noise_floor_turns_frames_but_does_not_mirror_them() -> None:
    rng = np.random.default_rng(1)
    shape = peptide([-80.0], [150.0], rng)[0]
    count = 60
    frames, vectors = np.empty((count, 6, 3)), np.empty((count, 6, 3))
    hand = rng.integers(0, 2, count) * 2 - 1
    pattern = rng.normal(size=(6, 3))
    for k in range(count):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.sign(np.linalg.det(rotation))
        mirror = np.diag([1.0, 1.0, hand[k]])
        frames[k] = shape @ mirror @ rotation.T + rng.normal(0, 1e-4, (6, 3))
        vectors[k] = hand[k] * pattern @ mirror @ rotation.T
    found = NoiseFloor(frames, np.arange(count), np.zeros(count)).estimate(vectors)
    # Frames of one hand share their vectors; those of the other hand have the opposite ones.
    assert found.floor == pytest.approx(0.0, abs=1e-3)


def test_noise_floor_does_not_pair_frames_close_in_time() -> None:
    rng = np.random.default_rng(2)
    positions = rng.normal(size=(400, 5, 3))
    runs, times = np.repeat([0, 1], 200), np.tile(np.arange(200), 2)
    estimator = NoiseFloor(positions, runs, times, exclude=30)
    same = runs[estimator.first] == runs[estimator.second]
    gaps = np.abs(times[estimator.first] - times[estimator.second])
    assert same.any() and gaps[same].min() >= 30
    with pytest.raises(ValueError, match="only 0 pairs"):
        NoiseFloor(positions[:20], np.zeros(20), np.arange(20), exclude=30)


def test_split_is_by_blocks_of_every_run() -> None:
    runs = np.repeat([3, 5], [1000, 400])
    times = times_of(runs)
    assert times[[0, 999, 1000, 1399]].tolist() == [0, 999, 0, 399]
    mask = validation_mask(runs, times, 0.1)
    for run in (3, 5):
        own = mask[runs == run]
        assert own.mean() == pytest.approx(0.1, abs=0.02)
        assert (np.diff(own.astype(int)) == 1).sum() == 4


def test_batches_depend_on_seed_and_epoch_only() -> None:
    def batches(seed: int, epoch: int) -> list[list[int]]:
        sampler = ShuffledBatches(np.arange(10, 21), 4, seed)
        sampler.set_epoch(epoch)
        assert len(sampler) == 2
        return [batch.tolist() for batch in sampler]

    assert batches(1, 3) == batches(1, 3)
    assert batches(1, 3) != batches(1, 4) and batches(1, 3) != batches(2, 3)
    flat = [index for batch in batches(1, 3) for index in batch]
    assert len(set(flat)) == 8 and set(flat) <= set(range(10, 21))
    assert len(ShuffledBatches(np.arange(3), 100, 0)) == 1


def test_short_epochs_go_on_in_the_same_pass() -> None:
    def batches(epoch: int, steps: int | None) -> list[list[int]]:
        sampler = ShuffledBatches(np.arange(20), 4, 1, steps=steps)
        sampler.set_epoch(epoch)
        return [batch.tolist() for batch in sampler]

    passes = batches(0, None) + batches(1, None) + batches(2, None)
    assert len(passes) == 15
    assert [batch for epoch in range(5) for batch in batches(epoch, 3)] == passes
    assert batches(0, 15) == passes


def test_priors_come_from_the_training_part_and_are_subtracted(dataset: Path) -> None:
    config = TrainConfig(str(dataset), "out")
    with open_datasets(config) as datasets:
        (data,) = datasets
        loaded = load_data(datasets, config)
        (frames,) = loaded.systems
        bound = loaded.priors.bind(data.types, list(data.type_names), data.bonds)
        back = frames.forces + bound.forces(frames.positions)
        np.testing.assert_allclose(back, data.forces, atol=1e-3 * np.abs(data.forces).max())
    assert not set(frames.training) & set(frames.validation)
    assert len(frames.training) + len(frames.validation) == 2400
    assert frames.forces.std() < 0.5 * back.std()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.tile(np.eye(3, dtype="f4"), (200, 1, 1))}, "more than half of the box"),
        ({"weights": np.full(200, -1.0)}, "negative weights"),
        ({"forces": np.full((200, 6, 3), np.nan, "f4")}, "forces of .* not all finite"),
    ],
)
def test_unusable_data(tmp_path: Path, changes: dict, message: str) -> None:
    path = written(tmp_path / "bad.h5", sampled(200, **changes))
    with pytest.raises(ValueError, match=message):
        train(small(path, tmp_path / "out"), progress=False)
    assert not (tmp_path / "out").exists()


def test_too_few_frames(tmp_path: Path) -> None:
    few = {f.name: getattr(sampled(8), f.name) for f in dataclasses.fields(Frames)}
    with pytest.raises(ValueError, match="too few"):
        train(small(written(tmp_path / "few.h5", Frames(**few)), tmp_path / "out"), progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be positive"),
        ({"validation_fraction": 0.7}, "validation_fraction"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"schedule": "cosin"}, "no schedule 'cosin'"),
        ({"datasets": ["e.h5"]}, "either dataset"),
        ({"decoys": -1.0}, "decoys must not be negative"),
        ({"early_stopping": 0}, "early_stopping"),
    ],
)
def test_bad_configuration(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig("d.h5", "out", **changes)


def test_verdicts() -> None:
    numbers = {"prior_loss": 200.0, "noise_floor": 100.0, "noise_floor_error": 2.0}
    for loss, words in (
        (210.0, "worse than the priors"),
        (103.0, "at the noise floor"),
        (108.0, "Little is left"),
        (150.0, "leaves 50%"),
    ):
        assert words in verdict({**numbers, "val_loss": loss, "above_floor": loss - 100.0})
    linear = {**numbers, "val_loss": 150.0, "above_floor": 50.0, "closed_form": True}
    assert "many-body" in verdict(linear) and "longer" not in verdict(linear)
    unknown = {**numbers, "noise_floor": None, "val_loss": 150.0, "above_floor": None}
    assert "takes 25.0% off" in verdict(unknown)
