"""Datasets merged, split, thinned, noised and verified."""

from __future__ import annotations

import h5py
import mdtraj as md
import numpy as np
import pytest
from openmmcg import cli
from openmmcg.data import (
    Dataset,
    Frames,
    MergeConfig,
    NoiseConfig,
    SplitConfig,
    SubsampleConfig,
    add_noise,
    merge_datasets,
    split_dataset,
    subsample_dataset,
    verify_dataset,
    write_dataset,
)
from openmmcg.mapping import Mapping
from openmmcg.units import KB

TEMPERATURE = 300.0
SPREAD = 0.01  # nm, of a bond in the dumbbells
STIFFNESS = KB * TEMPERATURE / SPREAD**2


def dumbbells(count, weights="mass"):
    """Molecules of two carbons, each a bead."""
    topology = md.Topology()
    chain = topology.add_chain()
    for _ in range(count):
        residue = topology.add_residue("DUM", chain)
        ends = [topology.add_atom(name, md.element.carbon, residue) for name in ("A", "B")]
        topology.add_bond(*ends)
    beads = [{"name": name, "select": f"name {name}"} for name in ("A", "B")]
    templates = [{"residues": "resname DUM", "beads": beads}]
    definition = {"format": 1, "name": "dumbbells", "encoding": "name", "templates": templates}
    return Mapping.from_dict(definition, topology)


def dumbbell_frames(n_frames, count=2, seed=0, temperatures=None, **changes):
    """Ideal dumbbells with three-dimensional harmonic bonds: the canonical ensemble itself."""
    rng = np.random.default_rng(seed)
    temperatures = np.full(n_frames, TEMPERATURE) if temperatures is None else temperatures
    width = np.sqrt(KB * temperatures / STIFFNESS)[:, None, None]
    centre = rng.uniform(0, 3, size=(n_frames, count, 3))
    bond = width * rng.standard_normal((n_frames, count, 3))
    positions = np.stack([centre, centre + bond], axis=2).reshape(n_frames, 2 * count, 3)
    pull = STIFFNESS * bond
    noise = rng.normal(scale=20, size=pull.shape)
    forces = np.stack([pull + noise, -pull - noise], axis=2).reshape(positions.shape)
    values = {
        "positions": positions,
        "forces": forces,
        "energies": rng.normal(size=n_frames),
        "temperatures": temperatures,
        "bias_energies": np.zeros(n_frames),
        "walkers": np.zeros(n_frames, dtype=int),
        "weights": None,
    }
    return Frames(**{**values, **changes})


def write(path, frames, count=2, source=None, **options):
    given = {"force_map": "uniform", "source": source or {}, **options}
    return write_dataset(path, dumbbells(count), frames, **given)


@pytest.fixture
def dataset(tmp_path):
    return write(tmp_path / "d.h5", dumbbell_frames(2000))


def arrays_of(path, group=None):
    with Dataset.open(path, group) as data:
        return data.frames().arrays()


# --- merge


def test_merge_joins_frames_of_a_system(tmp_path):
    parts = [dumbbell_frames(5, seed=seed, walkers=np.array([0, 0, 1, 1, 1])) for seed in range(3)]
    for number, part in enumerate(parts):
        source = {"config": {"seed": number, "length": 1.0}, "system": "dumbbells"}
        write(tmp_path / f"run{number}.h5", part, source=source, constraints=[[0, 1]])
    output = merge_datasets(
        MergeConfig(str(tmp_path / "run*.h5"), str(tmp_path / "all.h5")), progress=False
    )
    merged = arrays_of(output)
    for name in ("positions", "forces", "energies", "weights"):
        expected = np.concatenate([part.arrays()[name] for part in parts])
        np.testing.assert_array_equal(merged[name], expected.astype(merged[name].dtype))
    np.testing.assert_array_equal(merged["walkers"], [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5])
    with Dataset.open(output) as data:
        assert data.source["config"] == {"length": 1.0}
        assert data.source["system"] == "dumbbells"
        assert [entry["source"]["config"]["seed"] for entry in data.source["merged"]] == [0, 1, 2]
        assert data.mapping_on_atoms().hash == data.mapping_hash
        np.testing.assert_array_equal(data.constraints, [[0, 1]])


def test_merge_keeps_systems_apart(tmp_path):
    write(tmp_path / "two.h5", dumbbell_frames(3))
    write(tmp_path / "three.h5", dumbbell_frames(4, 3), 3)
    write(tmp_path / "named.h5", dumbbell_frames(2), group="other")
    files = [str(tmp_path / f"{name}.h5") for name in ("two", "three", "named")]
    output = tmp_path / "all.h5"
    merge_datasets(MergeConfig(files, str(output), systems=True), progress=False)
    assert Dataset.systems(output) == ["named", "three", "two"]
    np.testing.assert_array_equal(
        arrays_of(output, "three")["forces"], arrays_of(files[1])["forces"]
    )
    joined = tmp_path / "joined.h5"
    merge_datasets(MergeConfig([files[0], files[2]], str(joined)), progress=False)
    assert Dataset.systems(joined) == ["other", "system"]
    # Files of several systems can be merged again.
    again = tmp_path / "again.h5"
    merge_datasets(MergeConfig([str(joined), files[0]], str(again)), progress=False)
    assert len(arrays_of(again, "system")["forces"]) == 6
    assert cli.main(["info", str(again)]) == 0


def test_merge_refuses_what_differs(tmp_path):
    base = write(tmp_path / "a.h5", dumbbell_frames(3))
    boxes = np.tile(3 * np.eye(3), (3, 1, 1))
    others = {
        "mapping": write(tmp_path / "b.h5", dumbbell_frames(3, 3), 3),
        "force map": write(tmp_path / "c.h5", dumbbell_frames(3), force_map="optimal"),
        "position noise": write(tmp_path / "d.h5", dumbbell_frames(3), position_noise=0.01),
        "arrays": write(tmp_path / "e.h5", dumbbell_frames(3, boxes=boxes)),
        "constraints": write(tmp_path / "f.h5", dumbbell_frames(3), constraints=[[0, 1]]),
    }
    for fact, path in others.items():
        config = MergeConfig([str(base), str(path)], str(tmp_path / "out.h5"))
        with pytest.raises(ValueError, match=f"differs from .* in {fact}, so"):
            merge_datasets(config, progress=False)
        assert not (tmp_path / "out.h5").exists()
    with pytest.raises(FileNotFoundError, match="No file matches"):
        merge_datasets(MergeConfig(str(tmp_path / "x*.h5")), progress=False)
    with pytest.raises(ValueError, match="exists already"):
        merge_datasets(MergeConfig(str(base), str(base)), progress=False)
    cut = base.read_bytes()
    (tmp_path / "cut.h5").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(ValueError, match="truncated"):
        merge_datasets(
            MergeConfig([str(base), str(tmp_path / "cut.h5")], str(tmp_path / "out.h5")),
            progress=False,
        )


# --- split and subsample


def test_split_by_time(tmp_path):
    walkers = np.repeat([0, 1], 100)
    path = write(tmp_path / "d.h5", dumbbell_frames(200, walkers=walkers))
    config = SplitConfig(str(path), str(tmp_path / "a.h5"), str(tmp_path / "b.h5"), fraction=0.25)
    outputs = split_dataset(config, progress=False)
    large, small = map(arrays_of, outputs)
    assert (len(large["forces"]), len(small["forces"])) == (150, 50)
    np.testing.assert_array_equal(np.bincount(small["walkers"]), [25, 25])
    energies = arrays_of(path)["energies"]
    together = np.concatenate([large["energies"], small["energies"]])
    np.testing.assert_array_equal(np.sort(together), np.sort(energies))
    # Five blocks of twenty frames, of each the last five.
    np.testing.assert_array_equal(small["energies"][:5], energies[15:20])
    with Dataset.open(outputs[0]) as data:
        assert data.source["steps"][0]["step"] == "split"


def test_split_by_walker(tmp_path):
    walkers = np.repeat([0, 1, 2, 5], 10)
    path = write(tmp_path / "d.h5", dumbbell_frames(40, walkers=walkers))
    config = SplitConfig(
        str(path), str(tmp_path / "a.h5"), str(tmp_path / "b.h5"), fraction=0.3, by="walker"
    )
    large, small = map(arrays_of, split_dataset(config, progress=False))
    assert set(large["walkers"]) == {0, 1, 2}
    assert set(small["walkers"]) == {5}
    one = write(tmp_path / "one.h5", dumbbell_frames(10))
    config = SplitConfig(str(one), str(tmp_path / "c.h5"), str(tmp_path / "d2.h5"), by="walker")
    with pytest.raises(ValueError, match="1 walkers, which cannot be split"):
        split_dataset(config, progress=False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"start": 2, "stop": 8, "stride": 3}, [2, 5, 12, 15]),
        ({"frames": 3}, [0, 9, 19]),
        ({"temperature": 350.0}, list(range(10, 20))),
        ({"walkers": [1], "stride": 5}, [10, 15]),
        ({"stop": 2, "frames": 100}, [0, 1, 10, 11]),
    ],
)
def test_subsample(tmp_path, options, expected):
    temperatures = np.repeat([300.0, 350.0], 10)
    frames = dumbbell_frames(20, temperatures=temperatures, walkers=np.repeat([0, 1], 10))
    path = write(tmp_path / "d.h5", frames)
    config = SubsampleConfig(str(path), str(tmp_path / "out.h5"), **options)
    found = arrays_of(subsample_dataset(config, progress=False))
    np.testing.assert_array_equal(found["energies"], frames.energies[expected])
    np.testing.assert_array_equal(found["forces"], frames.forces.astype("f4")[expected])


def test_subsample_of_nothing(dataset, tmp_path):
    config = SubsampleConfig(str(dataset), str(tmp_path / "out.h5"), temperature=400.0)
    with pytest.raises(ValueError, match="None of the 2000 frames .* temperatures 300 K"):
        subsample_dataset(config, progress=False)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (SplitConfig, {"fraction": 1.0}, "fraction is 1.0"),
        (SplitConfig, {"by": "luck"}, "expected time or walker"),
        (SplitConfig, {"output": "a", "held_out": "a"}, "name two files"),
        (SubsampleConfig, {"stride": 0}, "stride is 0"),
        (SubsampleConfig, {"frames": 0}, "frames is 0"),
        (NoiseConfig, {"position_noise": 0.0}, "position_noise is 0.0"),
        (NoiseConfig, {"position_noise": 0.1, "seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings(config, options, message):
    with pytest.raises(ValueError, match=message):
        config(dataset="d.h5", **options)


# --- noise


def test_noised_labels_have_the_right_mean_and_less_noise(tmp_path):
    """The bond of noised dumbbells is harmonic with the variances added."""
    sigma = 0.02
    frames = dumbbell_frames(20_000)
    noisy = np.random.default_rng(9).normal(scale=2000, size=frames.forces.shape)
    path = write(tmp_path / "d.h5", dumbbell_frames(20_000, forces=frames.forces + noisy))
    config = NoiseConfig(str(path), sigma, str(tmp_path / "n.h5"))
    with Dataset.open(add_noise(config, progress=False)) as data:
        assert data.position_noise == sigma
        bond = data.positions[:, 1::2] - data.positions[:, ::2]
        pull = (data.forces[:, 1::2] - data.forces[:, ::2]) / 2
        slope = np.sum(pull * bond) / np.sum(bond**2)
        exact = -KB * TEMPERATURE / (SPREAD**2 + 2 * sigma**2)
        assert slope == pytest.approx(exact, rel=0.05)
        square = np.mean(data.forces.astype(float) ** 2)
    assert square < min(np.mean((frames.forces + noisy) ** 2), (KB * TEMPERATURE / sigma) ** 2)
    verify_dataset(tmp_path / "n.h5")
    with pytest.raises(ValueError, match="noise or mean forces already"):
        add_noise(NoiseConfig(str(tmp_path / "n.h5"), 0.1, str(tmp_path / "m.h5")), progress=False)


# --- verify


def test_verify_finds_the_temperature(dataset):
    facts = verify_dataset(dataset)
    value, error = map(float, facts["virial temperature (K)"].split(" ± "))
    assert error < 15
    assert abs(value - TEMPERATURE) < 4 * error
    assert facts["mapping"] == "as its definition makes it"
    assert facts["frames"] == 2000


def test_verify_uses_weights(tmp_path):
    """Frames of a stiffer bond, weighted back to the softer one."""
    frames = dumbbell_frames(20_000, 1)
    bond = frames.positions[:, 1] - frames.positions[:, 0]
    weights = np.exp(STIFFNESS * np.sum(bond**2, axis=-1) * 0.1 / (2 * KB * TEMPERATURE))
    weights /= weights.mean()
    pull = 0.9 * STIFFNESS * bond[:, None]
    forces = np.concatenate([pull, -pull], axis=1)
    path = tmp_path / "d.h5"
    write(path, dumbbell_frames(20_000, 1, forces=forces, weights=weights), 1)
    value, error = map(float, verify_dataset(path)["virial temperature (K)"].split(" ± "))
    assert abs(value - TEMPERATURE) < 4 * error < 20


@pytest.mark.parametrize("factor", [-1.0, 1 / 4.184, 10.0, 0.0])
def test_verify_finds_wrong_units(tmp_path, factor):
    frames = dumbbell_frames(2000)
    path = write(tmp_path / "d.h5", dumbbell_frames(2000, forces=factor * frames.forces))
    with pytest.raises(ValueError, match="virial temperature is .* do not belong together"):
        verify_dataset(path)


def test_verify_finds_forces_of_other_frames(tmp_path):
    frames = dumbbell_frames(2000)
    path = write(tmp_path / "d.h5", dumbbell_frames(2000, forces=np.roll(frames.forces, 1, axis=0)))
    with pytest.raises(ValueError, match="virial temperature"):
        verify_dataset(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("positions", np.nan),
        ("forces", np.inf),
        ("energies", np.nan),
        ("temperatures", 0.0),
        ("weights", -1.0),
        ("boxes", 0.0),
    ],
)
def test_verify_names_bad_frames(tmp_path, name, value):
    boxes = np.tile(9 * np.eye(3), (1500, 1, 1))
    path = write(tmp_path / "d.h5", dumbbell_frames(1500, boxes=boxes))
    with h5py.File(path, "a") as file:
        array = file["system"][name]
        array[1234] = np.full(array.shape[1:], value)
    with pytest.raises(ValueError, match=f"frame 1234 has {name} that are not finite or out"):
        verify_dataset(path)


def test_verify_finds_broken_molecules(tmp_path):
    frames = dumbbell_frames(50)
    boxes = np.tile(3 * np.eye(3), (50, 1, 1))
    positions = frames.positions.copy()
    positions[33, 3] += (3.0, 0, 0)
    path = write(tmp_path / "d.h5", dumbbell_frames(50, positions=positions, boxes=boxes))
    with pytest.raises(ValueError, match="beads 2 and 3 .* in frame 33.*must be whole"):
        verify_dataset(path)


def test_verify_finds_changed_metadata(tmp_path):
    def change_types(node):
        node["metadata/types"][...] = [1, 0, 1, 0]

    def change_masses(node):
        node["metadata/masses"][0] = 1.0

    def change_definition(node):
        text = node["metadata/mapping"].asstr()[()]
        node["metadata/mapping"][()] = text.replace("name B", "name A").replace('"A"', '"C"', 1)

    def change_weights(node):
        node["weights"][...] = 2.0

    for number, (edit, message) in enumerate(
        [
            (change_types, "its types are not those of its mapping"),
            (change_masses, "its masses are not those"),
            (change_definition, "hashes differ|claimed by|belong"),
            (change_weights, "weights have the mean 2"),
        ]
    ):
        path = write(tmp_path / f"{number}.h5", dumbbell_frames(20))
        with h5py.File(path, "a") as file:
            edit(file["system"])
        with pytest.raises(ValueError, match=message):
            verify_dataset(path)


def test_the_commands(dataset, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["verify", "d.h5"],
        ["info", "d.h5"],
        ["subsample", "--dataset", "d.h5", "--frames", "100", "--output", "s.h5"],
        ["split", "--dataset", "d.h5", "--output", "a.h5", "--held_out", "b.h5"],
        ["merge", "--datasets", "[a.h5, b.h5]", "--output", "m.h5"],
        ["add-noise", "--dataset", "d.h5", "--position_noise", "0.005", "--output", "n.h5"],
        ["verify", "m.h5"],
    ):
        assert cli.main(arguments) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    for words in ("virial temperature", "m.h5 is verified", "A (2), B (2)", "100 frames"):
        assert words in out
    assert cli.main(["merge", "--datasets", "x*.h5"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No file matches" in error
