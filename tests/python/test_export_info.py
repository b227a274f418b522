"""What a model file says of itself: facts, Markdown, and the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import peptide_frames
import pytest
from openmmcg import cli, export
from openmmcg.export.modelfile import load_script


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(peptide_frames.write_model(tmp_path_factory.mktemp("info") / "ala.cg.pt"))


def test_facts(model: Path) -> None:
    facts, card = export.info(model), export.read_card(model)
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["architecture"], facts["cutoff"], facts["temperature"]) == ("schnet", 1.0, 300.0)
    assert facts["beads"] == {"C": 2, "N": 2, "CA": 1, "CB": 1}
    assert (facts["molecules"], facts["bonds"], facts["box"]) == (1, 5, None)
    assert facts["priors"] == {
        term["kind"]: len(term["parameters"]) for term in card["priors"]["terms"]
    }
    assert facts["weights"] == sum(p.numel() for p in load_script(model).parameters()) > 100
    assert facts["size"] == model.stat().st_size
    assert facts["sha256"] == card["sha256"]
    assert facts["training"] is facts["data"] is facts["mapping"] is None


def test_model_without_topology_and_priors(model_files: Path) -> None:
    facts = export.info(model_files / "positions-v1.cg.pt")
    assert (facts["interface"], facts["beads"], facts["priors"]) == ("positions", None, None)
    page = export.markdown(model_files / "positions-v1.cg.pt")
    assert "## Beads" not in page and "## Priors" not in page
    assert 'CGForce("positions-v1.cg.pt")' in page


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head."""
    section = page.split(f"{heading}\n", 1)[1].split("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_markdown_has_every_bead_and_prior(model: Path) -> None:
    page, card = export.markdown(model), export.read_card(model)
    beads = rows(page, "## Beads")
    assert [row[1] for row in beads] == peptide_frames.NAMES
    assert [float(row[5]) for row in beads] == card["topology"]["masses"]
    priors = rows(page, "## Priors")
    expected = [entry for term in card["priors"]["terms"] for entry in term["parameters"]]
    assert len(priors) == len(expected)
    for row, entry in zip(priors, expected, strict=True):
        assert row[2] == "-".join(entry["types"])
        numbers = dict(part.split(" ") for part in row[3].split(", "))
        assert float(numbers["k"]) == pytest.approx(entry["k"], rel=1e-5)
    widths = {line.count("|") for line in page.split("## Beads")[1].split("##")[0].splitlines()}
    assert widths == {0, 7}


def test_the_use_in_the_page_runs(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    code = re.search(r"```python\n(.*?)```", export.markdown(model), re.DOTALL)
    assert code is not None
    space: dict[str, object] = {}
    exec(code[1], space)
    assert space["system"].getNumParticles() == 6  # type: ignore[attr-defined]


def test_command_prints_markdown(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["info", str(model), "--markdown"]) == 0
    assert capsys.readouterr().out == export.markdown(model)
    frames = peptide_frames.frames([-80.0] * 3, [150.0] * 3, np.random.default_rng(0))
    data = peptide_frames.write_dataset(tmp_path / "dataset.h5", frames)
    assert cli.main(["info", "--markdown", str(data)]) == 0
    assert "| mapping | core-beta |" in capsys.readouterr().out
