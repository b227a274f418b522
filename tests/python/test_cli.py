"""The command line: stages from settings, facts about files, errors in one sentence."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import peptide_frames
import pytest
import yaml
from openmmcg import cli
from openmmcg.simulation import load_frames


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return peptide_frames.write_model(tmp_path_factory.mktemp("cli") / "model.cg.pt")


def command(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_version(capsys):
    status, out, _ = command(capsys, "--version")
    assert status == 0
    for word in ("openmm-cg", "OpenMM", "PyTorch", "Reference", "CPU", "torchscript"):
        assert word in out


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for name in (*cli.STAGES, *cli.FILE_COMMANDS):
        assert f"    {name} " in out


@pytest.mark.parametrize("name", list(cli.STAGES))
def test_every_setting_is_an_option_with_a_text(capsys, name):
    """All fields are options, and each is described in the docstring of the settings."""
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    config, function = cli._load(cli.STAGES[name])
    assert callable(function)
    for field in fields(config):
        entry = out.split(f"\n  --{field.name} ", 1)[1].split("\n  --")[0]
        text = re.split(r"\((required, )?type:", entry.split(None, 1)[1])[0].strip()
        assert len(text) > 1, field.name


def test_run_from_options_and_file(capsys, model, tmp_path):
    """Options override the file of settings, and the run is what was asked for."""
    settings = {"replicas": 5, "length": 0.0002, "frame_interval": 0.02, "equilibration": 0.0}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    output = tmp_path / "run"
    arguments = ["run", "--config", tmp_path / "run.yaml", "--replicas", 2]
    status, out, _ = command(capsys, *arguments, "--model", model, "--output", output)
    assert status == 0
    assert "10 frames of 2 replicas" in " ".join(out.split())
    assert load_frames(output).positions.shape == (10, 2, 6, 3)


def test_info_on_a_model_and_a_dataset(capsys, model, tmp_path):
    status, out, _ = command(capsys, "info", model)
    assert status == 0
    for word in ("schnet", "harmonic-bonds", "CGTemperature", "beads"):
        assert word in out
    frames = peptide_frames.frames([-80.0] * 3, [150.0] * 3, np.random.default_rng(0))
    data = peptide_frames.write_dataset(tmp_path / "dataset.h5", frames)
    status, out, _ = command(capsys, "info", data)
    assert status == 0
    assert "core-beta" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--model", "nothing.cg.pt"], "no model file nothing.cg.pt"),
        (["run", "--replicas", "0"], "replicas is 0"),
        (["run", "--replicas", "many"], "replicas"),
        (["run", "--colour", "red"], "--colour"),
        (["report", "--run", "nothing"], "nothing is not a run folder"),
        (["info", "nothing"], "no file nothing"),
        (["sample", "--system", "kryptonite"], "kryptonite"),
        (["dance"], "dance"),
        ([], "command"),
    ],
)
def test_errors_are_one_sentence(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(capsys, *arguments)
    assert status == 2
    assert err.count("\n") == 1
    assert words in err
    assert "Traceback" not in out + err


def test_truncated_model(capsys, model, tmp_path):
    path = tmp_path / "short.cg.pt"
    path.write_bytes(model.read_bytes()[:-3000])
    status, _, err = command(capsys, "info", path)
    assert status == 2
    assert "truncated" in err


def test_debug_shows_the_traceback():
    with pytest.raises(FileNotFoundError):
        cli.main(["run", "--model", "nothing.cg.pt", "--debug"])


def test_an_interrupt_tells_how_to_go_on(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_command", interrupt)
    status, _, err = command(capsys, "info", "x")
    assert status == 130
    assert "goes on" in err
