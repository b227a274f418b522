"""The report of a small run: numbers, page and figure."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import peptide_frames
import pytest
from openmmcg.analysis import ReportConfig, report
from openmmcg.analysis.report import render
from openmmcg.simulation import RunConfig, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a finished run and its reference dataset."""
    path = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    phi, psi = rng.normal((-80, 150), 25, (400, 2)).T
    peptide_frames.write_dataset(path / "dataset.h5", peptide_frames.frames(phi, psi, rng))
    model = peptide_frames.write_model(path / "model.cg.pt")
    config = RunConfig(
        model=str(model),
        output=str(path / "run"),
        dataset=str(path / "dataset.h5"),
        replicas=4,
        length=0.002,
        frame_interval=0.04,
        equilibration=0.0,
    )
    run(config, progress=False)
    return path


def settings(folder, **changes):
    values = {
        "run": str(folder / "run"),
        "dataset": str(folder / "dataset.h5"),
        "output": str(folder / "report"),
    }
    return ReportConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def page(folder):
    return report(settings(folder), progress=False)


def test_numbers(page):
    found = json.loads((page.parent / "report.json").read_text())
    assert 0 < found["ramachandran"]["divergence"] <= np.log(2)
    assert found["ramachandran"]["bins"] == 60
    assert found["stability"]["frames"] == found["model"]["frames"] == 200
    assert found["reference"]["length"] == pytest.approx(0.04)
    assert found["model"]["walkers"] == 4
    assert len(found["distributions"]) == 10
    assert found["run"]["model"]["architecture"]["name"] == "schnet"


class Checker(HTMLParser):
    """Collects references to anything outside the page, and checks that tags are closed."""

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.images = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("img", "meta", "link"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                (self.images if value.startswith("data:") else self.outside).append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_stands_alone(page):
    text = page.read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == checker.outside == []
    assert len(checker.images) == 1
    assert "url(" not in text and "@import" not in text and "<script" not in text
    found = json.loads((page.parent / "report.json").read_text())
    assert f"{found['ramachandran']['divergence']:.4f}" in text
    for entry in found["distributions"]:
        assert entry["label"].replace("-", "–") in text


def test_figure_is_a_png_of_the_width_of_a_page(page):
    from matplotlib.image import imread

    image = imread(page.parent / "report.png")
    assert image.shape[1] == 2130
    assert len(np.unique(image[::8, ::8].reshape(-1, image.shape[2]), axis=0)) > 100


def test_title_is_escaped(page):
    numbers = json.loads((page.parent / "report.json").read_text())
    assert "<b>" not in re.findall("<h1>.*</h1>", render("<b>", numbers, b""))[0]


def test_reference_of_unknown_origin(page):
    """A dataset that another tool wrote need not tell how it was made."""
    numbers = json.loads((page.parent / "report.json").read_text())
    numbers["source"] = {"made by": "someone"}
    numbers["reference"].update(length=None, frame_interval=None)
    assert "Reference" in render("title", numbers, b"")


def test_discarding_shortens_the_run(folder):
    path = report(settings(folder, output=str(folder / "later"), discard=1.0), progress=False)
    numbers = json.loads((path.parent / "report.json").read_text())
    assert numbers["model"]["frames"] == 100
    with pytest.raises(ValueError, match="ends at 2 ps"):
        report(settings(folder, discard=2.0), progress=False)


def test_run_and_reference_must_fit(folder, tmp_path):
    frames = peptide_frames.frames([-80.0], [150.0], np.random.default_rng(1))
    hot = peptide_frames.write_dataset(tmp_path / "hot.h5", frames, temperature=350.0)
    with pytest.raises(ValueError, match="350 K"):
        report(settings(folder, dataset=str(hot)), progress=False)


def test_missing_run(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        report(settings(folder, run=str(tmp_path)), progress=False)
    with pytest.raises(FileNotFoundError, match="No dataset"):
        report(settings(folder, dataset=str(Path(tmp_path) / "none.h5")), progress=False)


@pytest.mark.parametrize("change", [{"bins": 1}, {"discard": -1.0}])
def test_bad_settings(folder, change):
    with pytest.raises(ValueError, match="expected at least 2 bins"):
        settings(folder, **change)
