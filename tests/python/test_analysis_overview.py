"""Reports over several temperatures."""

from __future__ import annotations

import json

import numpy as np
import peptide_frames
import pytest
from openmmcg.analysis import ReportConfig, report
from openmmcg.simulation import RunConfig, run
from test_analysis_report import Checker


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
