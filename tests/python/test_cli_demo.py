"""The demonstration at a small scale: all stages fit together, and it goes on where it was."""

from __future__ import annotations

import json

import pytest
from openmmcg import cli
from openmmcg.demo import DemoConfig, Stages


def test_the_whole_way_and_back(tmp_path, capsys):
    """A second call keeps every stage; without its run, only that and the report are redone."""
    output = tmp_path / "demo"
    arguments = ["demo", "--output", str(output), "--scale", "0.006"]
    assert cli.main(arguments) == 0
    first = " ".join(capsys.readouterr().out.split())
    for word in ("dataset.h5", "alanine.cg.pt", "trajectory.dcd", "report.html", "GB at most"):
        assert word in first
    numbers = json.loads((output / "report" / "report.json").read_text())
    assert 0 < numbers["ramachandran"]["divergence"] <= 0.6932
    assert numbers["stability"]["broken_frames"] == 0
    assert numbers["stability"]["inverted_frames"] == 0
    assert numbers["run"]["model"]["training"]["summary"]["noise_floor"] > 0
    before = {path: path.stat().st_mtime_ns for path in output.glob("*") if path.is_file()}
    trajectory = (output / "run" / "trajectory.dcd").read_bytes()[276:]

    (output / "run" / "state.npz").unlink()
    (output / "run" / "frames.h5").unlink()
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.count("is complete, kept") == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (output / "run" / "trajectory.dcd").read_bytes()[276:] == trajectory


def test_default_settings_do_what_the_readme_says():
    """At least 3 ns of CG dynamics at 300 K, started and biased with what sampling wrote."""
    stages = Stages.of(DemoConfig())
    assert stages.run.replicas * stages.run.length >= 3.0
    assert stages.sample.temperature == 300.0
    assert stages.sample.bias == "metadynamics"
    assert stages.run.dataset == stages.train.dataset == stages.sample.output
    assert stages.run.model == stages.export.output
    assert stages.report.bins == 60


@pytest.mark.parametrize("change", [{"scale": 0.0}, {"seed": -1}])
def test_bad_settings(change):
    with pytest.raises(ValueError, match="positive factor"):
        DemoConfig(**change)
