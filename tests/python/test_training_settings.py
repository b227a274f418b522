"""Settings of a training: the documentation, the schema, and advice about unknown options."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from openmmcg.cli import main
from openmmcg.settings import json_schema, markdown, options
from openmmcg.training import TrainConfig
from openmmcg.training.config import complete_recipe

DOCS = Path(__file__).parents[2] / "docs/training.md"


def test_documentation_lists_all_options() -> None:
    table = markdown(TrainConfig)
    assert len(table.splitlines()) == 2 + len(dataclasses.fields(TrainConfig))
    assert "| `cutoff` | `1.0` |" in table and "| `group` | `null` |" in table
    assert "| `lint` | `true` |" in table and "| `schedule` | `onecycle` |" in table
    assert DOCS.read_text().endswith(table), "write the table of docs/training.md anew"


def test_schema_accepts_good_settings_only() -> None:
    schema = json_schema(TrainConfig)
    assert schema["properties"]["epochs"]["type"] == "integer"
    assert schema["properties"]["epochs"]["default"] == TrainConfig(dataset="d").epochs
    assert schema["properties"]["schedule"]["enum"][0] == "onecycle"
    assert schema["additionalProperties"] is False
    assert {"type": "null"} in schema["properties"]["datasets"]["anyOf"]
    assert all(entry["description"] for entry in schema["properties"].values())


def test_every_field_must_be_described() -> None:
    @dataclasses.dataclass
    class Settings:
        """Settings.

        Attributes
        ----------
        a : int
            A.
        """

        a: int
        b: int

    with pytest.raises(ValueError, match="Settings documents a, but has a, b"):
        options(Settings)


def test_unknown_options_name_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("dataset: d.h5\nepoch: 3\n")
    assert main(["train", str(path)]) == 2
    assert "'epoch'; did you mean 'epochs'?" in capsys.readouterr().err
    assert main(["train", "--dataset", "d.h5", "--learning_rat", "1"]) == 2
    assert "did you mean 'learning_rate'?" in capsys.readouterr().err
    assert main(["train", "--dataset", "d.h5", "--qqq", "1"]) == 2
    assert "openmm-cg train --help lists them" in capsys.readouterr().err
    path.write_text(f"dataset: {tmp_path / 'missing.h5'}\n")
    assert main(["train", str(path)]) == 2
    assert "No dataset" in capsys.readouterr().err


def test_schema_from_the_command_line(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--schema"]) == 0
    assert '"title": "TrainConfig"' in capsys.readouterr().out


def test_old_recipes_get_the_defaults_of_new_options() -> None:
    config = TrainConfig(dataset="d.h5", epochs=7)
    old = {name: config.recipe()[name] for name in ("dataset", "group", "network", "epochs")}
    assert complete_recipe(old) == config.recipe()
