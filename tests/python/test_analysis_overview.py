"""Reports over several temperatures."""

from __future__ import annotations

import json

import numpy as np
import peptide_frames
import pytest
from openmmcg import export, models
from openmmcg.analysis import ReportConfig, report
from openmmcg.data import Frames, write_dataset
from openmmcg.simulation import RunConfig, load_frames, run
from test_analysis_report import Checker
from training_systems import chain_mapping


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tempering run at three temperatures; the reference has two of them."""
    path = tmp_path_factory.mktemp("overview")
    rng = np.random.default_rng(0)
    phi, psi = rng.normal((-80, 150), 25, (400, 2)).T
    frames = peptide_frames.frames(phi, psi, rng)
    kelvin = np.repeat([300.0, 360.0], 200)
    peptide_frames.write_dataset(path / "dataset.h5", frames, temperature=kelvin)
    config = RunConfig(
        model=str(peptide_frames.write_model(path / "model.cg.pt")),
        output=str(path / "run"),
        temperatures="300:360:30",
        replicas=3,
        length=0.0004,
        frame_interval=0.02,
        equilibration=0.0,
        platform="CPU",
    )
    with pytest.warns(UserWarning, match="extrapolated"):
        run(config, progress=False)
    return path


def settings(folder, **changes):
    values = {
        "run": str(folder / "run"),
        "dataset": str(folder / "dataset.h5"),
        "output": str(folder / "report"),
    }
    return ReportConfig(**{**values, **changes})


def test_a_run_at_several_temperatures(folder):
    page = report(settings(folder), progress=False)
    found = json.loads((page.parent / "report.json").read_text())
    assert [row["temperature"] for row in found["temperatures"]] == [300, 360]
    assert [row["extrapolated"] for row in found["temperatures"]] == [False, True]
    assert found["without_reference"] == [330]
    for row in found["temperatures"]:
        own = json.loads((page.parent / f"{row['temperature']:g}K" / "report.json").read_text())
        assert own["temperature"] == row["temperature"]
        assert own["extrapolated"] == row["extrapolated"]
        assert own["ramachandran"]["divergence"] == row["divergence"]
        assert own["reference"]["frames"] == 200
        assert own["model"]["frames"] == 60
        assert row["rdf_error"] is None
        assert own["ramachandran"]["crossings"]["model"] is None  # replicas are exchanged
    checker = Checker()
    checker.feed(page.read_text())
    assert checker.open == checker.outside == []
    assert len(checker.images) == 1
    assert "extrapolated" in (page.parent / "report.html").read_text()
    assert "outside of the 300 to 300 K" in (page.parent / "360K" / "report.html").read_text()


def test_runs_that_are_named(folder):
    names = [str(folder / "run" / name) for name in ("360K", "300K")]
    page = report(settings(folder, runs=names, output=str(folder / "named")), progress=False)
    found = json.loads((page.parent / "report.json").read_text())
    assert [row["temperature"] for row in found["temperatures"]] == [300, 360]
    one = report(settings(folder, runs=names[:1], output=str(folder / "one")), progress=False)
    assert json.loads((one.parent / "report.json").read_text())["temperature"] == 360


def test_no_common_temperature(folder, tmp_path):
    frames = peptide_frames.frames([-80.0], [150.0], np.random.default_rng(1))
    cold = peptide_frames.write_dataset(tmp_path / "cold.h5", frames, temperature=250.0)
    with pytest.raises(ValueError, match="sampled at 250 K, the runs are at 300, 330, 360 K"):
        report(settings(folder, dataset=str(cold)), progress=False)


def test_a_ramp_is_no_ensemble(folder):
    config = RunConfig(
        model=str(folder / "model.cg.pt"),
        output=str(folder / "ramp"),
        ramp=[300, 300.5],
        replicas=1,
        length=0.0001,
        frame_interval=0.02,
        equilibration=0.0,
        platform="CPU",
    )
    with pytest.warns(UserWarning):
        run(config, progress=False)
    with pytest.raises(ValueError, match=r"passed from 300 to 300\.5 K"):
        report(settings(folder, run=str(folder / "ramp")), progress=False)


def test_a_liquid_in_its_box(tmp_path):
    """One bead a molecule: no bonds to compare, but the structure between molecules."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = (0.4 * grid + rng.normal(0, 0.03, (20, 64, 3))).astype(np.float32)
    box = 1.6 * np.eye(3)
    mapping = chain_mapping("A", molecules=64)
    frames = Frames(
        positions=positions,
        forces=np.zeros_like(positions),
        energies=None,
        temperatures=np.full(20, 300.0),
        bias_energies=np.zeros(20),
        walkers=np.zeros(20, dtype=np.int32),
        boxes=np.broadcast_to(box, (20, 3, 3)),
    )
    write_dataset(tmp_path / "d.h5", mapping, frames, force_map="slice", source={})
    network = models.build("schnet", bead_types=["A"], cutoff=0.6, width=8, interactions=1, rbf=8)
    topology = {
        "names": ["A0"] * 64,
        "residues": [["CHN", str(k + 1)] for k in range(64)],
        "types": [0] * 64,
        "bonds": [],
        "molecules": list(range(64)),
        "masses": [18.0] * 64,
        "positions": positions[0].tolist(),
        "box": box.tolist(),
    }
    export.save(network, tmp_path / "m.cg.pt", temperature=300.0, topology=topology)
    config = RunConfig(
        model=str(tmp_path / "m.cg.pt"),
        output=str(tmp_path / "run"),
        replicas=2,
        length=0.0002,
        frame_interval=0.02,
        equilibration=0.0,
        platform="CPU",
    )
    run(config, progress=False)
    np.testing.assert_allclose(load_frames(config.output).box, box)
    page = report(
        settings(tmp_path, run=config.output, dataset=str(tmp_path / "d.h5")), progress=False
    )
    found = json.loads((page.parent / "report.json").read_text())
    assert [(curve["kind"], curve["label"]) for curve in found["liquid"]] == [
        ("rdf", "A-A"),
        ("adf", "A"),
    ]
    assert 0 < found["liquid"][0]["error"] < 2
    assert found["distributions"] == []
    assert "Structure of the liquid" in page.read_text()
