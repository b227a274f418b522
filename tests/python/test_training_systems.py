"""Training on several systems: batches, pairs in boxes, units, vocabularies and labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from openmmcg import export
from openmmcg.data import Dataset
from openmmcg.mapping import Mapping
from openmmcg.models import build
from openmmcg.pairs import PairList
from openmmcg.training import TrainConfig, load_network, train
from openmmcg.training.batches import FrameModule, FrameSet
from openmmcg.training.checks import molecule_virial
from openmmcg.training.frames import TrainingData, load_data
from openmmcg.training.labels import noise_mixture, noised, precisions
from openmmcg.training.module import ForceMatching
from openmmcg.training.neighbours import FramePairs
from openmmcg.training.noise import KnownFloor
from openmmcg.training.sources import open_datasets
from openmmcg.units import KB
from training_systems import TEMPERATURE, chain_frames, chain_mapping, write_chains

BOX = 1.9


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A trimer, a tetramer with another type of bead, and a box of dimers."""
    folder = tmp_path_factory.mktemp("chains")
    trimer, tetramer, dimers = (
        chain_mapping("ABA"),
        chain_mapping("ABBC"),
        chain_mapping("AB", molecules=12),
    )
    return [
        str(write_chains(folder / "trimer.h5", trimer, chain_frames(trimer, 600, seed=1))),
        str(write_chains(folder / "tetramer.h5", tetramer, chain_frames(tetramer, 600, seed=2))),
        str(write_chains(folder / "dimers.h5", dimers, chain_frames(dimers, 60, BOX, seed=3))),
    ]


def settings(datasets: list[str], output: Path | str, **changes: object) -> TrainConfig:
    values = {"cutoff": 0.9, "width": 8, "rbf": 6, "epochs": 2, "batch_size": 60}
    values |= {"ema_decay": 0.5, "threads": 1, "accelerator": "cpu", "prior_plots": False}
    values |= {"learning_rate": 1e-3, "priors": ["harmonic-bonds"]}
    return TrainConfig(datasets=datasets, output=str(output), **{**values, **changes})


def loaded(config: TrainConfig, cache: Path | None = None) -> TrainingData:
    with open_datasets(config) as datasets:
        return load_data(datasets, config, cache=cache)


def network(config: TrainConfig, data: TrainingData, name: str = "schnet"):
    torch.manual_seed(3)
    return build(name, bead_types=data.type_names, cutoff=config.cutoff, width=8, rbf=6)


@pytest.mark.parametrize("name", ["schnet", "painn"])
def test_mixed_batches_give_the_forces_of_single_frames(
    sources: list[str], tmp_path: Path, name: str
) -> None:
    config = settings(sources, tmp_path)
    data = loaded(config)
    assert data.type_names == ["A", "B", "C"]
    module = ForceMatching(network(config, data, name), data, config, 10)
    offsets = data.offsets
    chosen = np.concatenate([offsets[k] + np.array([5, 0, 17]) for k in (2, 0, 1)])
    batch = FrameSet(data)[torch.from_numpy(chosen)]
    assert [part.system for part in batch] == [0, 1, 2]
    predicted = module.predict(batch, False)
    energies, forces = [one.energies for one in predicted], [one.forces for one in predicted]
    # The same frames, however they are laid out.
    many = [part for part in batch for _ in range(3)]
    again = [one.forces for one in module.predict(many, False)][::3]
    for part, found, energy, other in zip(batch, forces, energies, again, strict=True):
        system = data.systems[part.system]
        search = PairList(system.molecules.tolist(), system.bonds, config.cutoff)
        for k in range(3):
            box = None if part.boxes is None else part.boxes[k].double().numpy()
            pairs, shifts, kinds, _ = search.update(part.positions[k].numpy(), box)
            single = module.network(
                part.positions[k],
                system.types,
                torch.from_numpy(pairs),
                torch.from_numpy(shifts).float(),
                torch.from_numpy(kinds),
                torch.tensor([TEMPERATURE]),
            )
            scale = single[1].abs().max()
            torch.testing.assert_close(found[k], single[1], atol=1e-4 * scale, rtol=0)
            torch.testing.assert_close(energy[k], single[0].sum(), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(other[k], single[1], atol=1e-4 * scale, rtol=0)


def test_pairs_of_frames_in_memory_and_in_files(tmp_path: Path) -> None:
    mapping = chain_mapping("AB", molecules=12)
    frames = chain_frames(mapping, 130, BOX)
    made = [
        FramePairs.search(
            frames.positions, frames.boxes, mapping.bonds, mapping.molecules, 0.9, folder
        )
        for folder in (None, tmp_path)
    ]
    chosen = np.array([129, 3, 3])
    boxes = torch.from_numpy(frames.boxes[chosen])
    memory, files = (pairs.of(chosen, mapping.n_beads, boxes) for pairs in made)
    assert all(torch.equal(a, b) for a, b in zip(memory, files, strict=True))
    pairs, shifts, _ = memory
    points = torch.from_numpy(frames.positions[chosen]).reshape(-1, 3)
    lengths = (points[pairs[1]] + shifts - points[pairs[0]]).norm(dim=1)
    assert lengths.max() < 0.9 + 1e-4 and len(lengths) > 100
    assert (pairs[0] // 24 == pairs[1] // 24).all()


def test_large_data_are_kept_in_files_while_training(sources: list[str], tmp_path: Path) -> None:
    config = settings(sources, tmp_path / "files", memory=1e-9, epochs=1)
    small = loaded(config, tmp_path / "cache")
    assert {p.name for p in (tmp_path / "cache/2").iterdir()} >= {"positions.npy", "pairs.bin"}
    plain = loaded(settings(sources, tmp_path))
    for a, b in zip(small.systems, plain.systems, strict=True):
        assert torch.equal(a.forces, b.forces)
    files = train(config, progress=False)
    memory = train(settings(sources, tmp_path / "memory", epochs=1), progress=False)
    assert (files / "metrics.csv").read_text() == (memory / "metrics.csv").read_text()
    assert not list(files.glob("cache*"))


def test_training_on_several_systems_and_export_of_each(
    sources: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = train(settings(sources, tmp_path / "mixed", epochs=3))
    text = capsys.readouterr().out
    assert "dimers::system" in text and "noise floor of dimers::system is not known" in text
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["systems"]) == {"trimer::system", "tetramer::system", "dimers::system"}
    assert summary["noise_floor"] is None
    # Priors of bonds are nearly all there is to know: little but noise (5 kJ/mol/nm) is left.
    assert summary["prior_loss"] == pytest.approx(25.0, rel=0.5)
    with pytest.raises(ValueError, match="name one of them as system"):
        export.export_trained(folder, tmp_path / "a.cg.pt")
    path, _ = export.export_trained(folder, tmp_path / "a.cg.pt", "tetramer::system")
    card = export.read_card(path)
    assert card["bead_types"] == ["A", "B", "C"] and card["topology"]["types"] == [0, 1, 1, 2]
    path, _ = export.export_trained(folder, tmp_path / "b.cg.pt", "dimers::system")
    box = export.read_card(path)["topology"]["box"]
    assert box[0][0] == pytest.approx(BOX) and len(load_network(folder).bead_types) == 3


def test_virial_measures_kt_in_and_out_of_boxes(sources: list[str]) -> None:
    for source in sources:
        with Dataset.open(source) as dataset:
            found = molecule_virial(dataset)
        assert found is not None
        assert found.ratio == pytest.approx(1.0, abs=4 * found.error) and found.error < 0.1


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1 / 41.84, "kcal/mol/Å; multiply them by 41.84"),
        (1 / 4.184, "multiply them by 4.184"),
        (-1.0, "opposite sign"),
    ],
)
def test_forces_in_other_units_are_refused(tmp_path: Path, factor: float, words: str) -> None:
    mapping = chain_mapping("ABA")
    frames = chain_frames(mapping, 400)
    scaled = replace(frames, forces=frames.forces * np.float32(factor))
    path = write_chains(tmp_path / "units.h5", mapping, scaled)
    with pytest.raises(ValueError, match=words):
        train(settings([str(path)], tmp_path / "out"), progress=False)
    loaded(settings([str(path)], tmp_path / "out", check_units=False))


def test_types_and_mappings_must_agree(sources: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="type 'C', which is not among bead_types"):
        loaded(settings(sources, tmp_path, bead_types=["A", "B"]))
    assert loaded(settings(sources, tmp_path, bead_types=["Z", "C", "B", "A"])).systems[
        1
    ].types.tolist() == [3, 2, 2, 1]
    other = chain_mapping("ABC", mapping_name="another")
    path = write_chains(tmp_path / "other.h5", other, chain_frames(other, 100))
    with pytest.raises(ValueError, match="both have beads of the type 'A'.*chain.*another"):
        loaded(settings([*sources, str(path)], tmp_path))
    # The same atoms with other types of beads.
    same = chain_mapping("ABA")
    definition = same.definition.to_dict()
    definition["templates"][0]["beads"][2]["type"] = "B"
    changed = Mapping.from_dict(definition, same.atomistic)
    path = write_chains(tmp_path / "changed.h5", changed, chain_frames(changed, 100))
    with pytest.raises(ValueError, match="same molecule with different mappings"):
        loaded(settings([sources[0], str(path)], tmp_path))


def test_cutoff_below_a_bond_and_empty_data(sources: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shorter than the bond between beads \d and \d .\w-\w,"):
        loaded(settings(sources, tmp_path, cutoff=0.25))
    mapping = chain_mapping("ABA")
    empty = chain_frames(mapping, 0)
    path = write_chains(tmp_path / "empty.h5", mapping, empty)
    with pytest.raises(ValueError, match="has no frames"):
        loaded(settings([str(path)], tmp_path))


def test_all_systems_of_a_file(tmp_path: Path, sources: list[str]) -> None:
    with open_datasets(settings([f"{sources[0]}::system", sources[1]], tmp_path)) as opened:
        assert [dataset.n_beads for dataset in opened] == [3, 4]
    with (
        pytest.raises(ValueError, match="there is no 'missing'"),
        open_datasets(settings([f"{sources[0]}::missing"], tmp_path)),
    ):
        pass


def test_absent_gpu(sources: list[str], tmp_path: Path) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="finds no such device"):
        loaded(settings(sources, tmp_path, accelerator="gpu"))


def test_several_temperatures(tmp_path: Path) -> None:
    mapping = chain_mapping("ABA")
    frames = chain_frames(mapping, 400, temperatures=np.repeat([300.0, 320.0], 200))
    path = write_chains(tmp_path / "t.h5", mapping, frames)
    config = settings([str(path)], tmp_path / "out", check_units=False, epochs=1)
    folder = train(config, progress=False)
    notes = " ".join(json.loads((folder / "summary.json").read_text())["notes"])
    assert "2 temperatures (300 to 320 K)" in notes and "learns the mean" in notes
    assert json.loads((folder / "training.json").read_text())["temperature"] == 310.0
    data = loaded(config)
    (part,) = FrameSet(data)[torch.tensor([10, 390, 20])]
    assert part.temperatures.tolist() == [300.0, 320.0, 300.0]


def test_standard_errors_weight_labels_and_give_the_floor(tmp_path: Path) -> None:
    mapping = chain_mapping("ABA")
    rng = np.random.default_rng(5)
    errors = rng.uniform(1.0, 9.0, (800, 3, 3))
    frames = chain_frames(mapping, 800, noise=0.0)
    noise = rng.normal(0.0, errors)
    forces = frames.forces + noise
    frames = replace(frames, forces=forces.astype("f4"), force_errors=errors.astype("f4"))
    path = write_chains(tmp_path / "mean.h5", mapping, frames)
    data = loaded(settings([str(path)], tmp_path))
    system = data.systems[0]
    weights = precisions(torch.from_numpy(errors))
    assert weights.mean() == pytest.approx(1.0) and weights.flatten()[errors.argmin()] > 1.5
    assert torch.allclose(system.weights.double(), weights, rtol=1e-3)
    floor = KnownFloor(errors[system.validation], system.weights.numpy()[system.validation])
    found = floor.estimate(noise[system.validation])
    assert found.floor < (errors**2).mean()
    assert abs(found.loss - found.floor) < 4 * found.error


def test_labels_of_noised_beads_are_unbiased_and_less_noisy() -> None:
    # One bead in a harmonic well: noise makes the well wider, k' = 1 / (1 / k + sigma^2 / kT).
    rng = np.random.default_rng(6)
    kt, stiffness, sigma = KB * TEMPERATURE, 500.0, 0.04
    count = 400_000
    points = rng.normal(0.0, np.sqrt(kt / stiffness), (count, 1, 3))
    forces = -stiffness * points + rng.normal(0.0, 100.0, points.shape)
    share = torch.from_numpy(noise_mixture(forces, sigma, TEMPERATURE))
    assert 0.1 < share.item() < 0.9
    moved, labels = noised(
        torch.from_numpy(points),
        torch.from_numpy(forces),
        share,
        sigma,
        torch.full((count,), TEMPERATURE),
        torch.Generator().manual_seed(1),
    )
    slope = float((moved * labels).sum() / (moved * moved).sum())
    wide = 1.0 / (1.0 / stiffness + sigma**2 / kt)
    assert slope == pytest.approx(-wide, rel=0.02)
    assert labels.square().mean() < np.mean(forces**2)


@pytest.mark.parametrize(
    "options",
    [
        {"position_noise": 0.005, "decoys": 0.5},
        {"energy_weight": 0.1},
        {"frame_weights": True, "schedule": "plateau"},
        {"schedule": "cosine", "prior_learning_rate": 1e-2},
        {"schedule": "constant", "network": "pair-spline"},
    ],
    ids=str,
)
def test_options_train(sources: list[str], tmp_path: Path, options: dict) -> None:
    mapping = chain_mapping("AB", molecules=12)
    energies = np.random.default_rng(0).normal(size=60)
    frames = chain_frames(mapping, 60, BOX, energies=energies, weights=np.linspace(0.5, 1.5, 60))
    box = str(write_chains(tmp_path / "box.h5", mapping, frames))
    mapping = chain_mapping("ABA")
    frames = chain_frames(mapping, 300, energies=np.random.default_rng(1).normal(size=300))
    chain = str(write_chains(tmp_path / "chain.h5", mapping, frames))
    folder = train(settings([chain, box], tmp_path / "out", **options), progress=False)
    summary = json.loads((folder / "summary.json").read_text())
    assert np.isfinite(summary["val_loss"]) and summary["val_loss"] < 2.0 * summary["label_ms"]
    priors = json.loads((folder / "priors.json").read_text())
    fitted = loaded(settings([chain, box], tmp_path)).priors.to_dict()
    trained = "prior_learning_rate" in options
    assert (priors != fitted) == trained
    load_network(folder)


def test_a_loss_that_is_not_finite_ends_the_training(sources: list[str], tmp_path: Path) -> None:
    config = settings(sources, tmp_path)
    data = loaded(config)
    module = ForceMatching(network(config, data), data, config, 10)
    residuals = [np.full((len(s.validation), s.n_beads, 3), np.nan) for s in data.systems]
    with pytest.raises(RuntimeError, match="not finite after epoch 4; use a smaller learning_rate"):
        module.record(4, 1.0, residuals)


def test_priors_are_trained_towards_the_forces(tmp_path: Path) -> None:
    """A prior fitted to frames without equilibrium is wrong; training finds the force constant."""
    mapping = chain_mapping("AA")
    rng = np.random.default_rng(8)
    positions = np.zeros((600, 2, 3))
    positions[:, 1, 0] = rng.uniform(0.25, 0.35, 600)
    forces = np.zeros_like(positions)
    forces[:, 0, 0] = 2000.0 * (positions[:, 1, 0] - 0.3)
    forces[:, 1] = -forces[:, 0]
    frames = chain_frames(
        mapping, 600, positions=positions.astype("f4"), forces=forces.astype("f4")
    )
    path = str(write_chains(tmp_path / "a.h5", mapping, frames))
    config = settings(
        [path],
        tmp_path / "out",
        prior_learning_rate=0.1,
        learning_rate=1e-6,
        check_units=False,
        epochs=20,
        schedule="constant",
    )
    folder = train(config, progress=False)
    (term,) = json.loads((folder / "priors.json").read_text())["terms"]
    assert term["parameters"][0]["k"] == pytest.approx(2000.0, rel=0.1)
    assert term["parameters"][0]["center"] == pytest.approx(0.3, abs=0.01)


def test_batches_are_shared_between_processes(sources: list[str], tmp_path: Path) -> None:
    from openmmcg.training.split import ShuffledBatches

    whole = list(ShuffledBatches(np.arange(100), 30, 1))
    halves = [list(ShuffledBatches(np.arange(100), 30, 1, rank, 2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert sorted(batch.tolist()) == sorted([*first.tolist(), *second.tolist()])
    with pytest.raises(ValueError, match="cannot be shared by 4 devices"):
        ShuffledBatches(np.arange(3), 30, 1, 0, 4)
    config = settings(sources, tmp_path)
    assert FrameModule(loaded(config), config).steps_per_epoch == 18
