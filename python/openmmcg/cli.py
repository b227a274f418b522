"""The command ``openmm-cg``: one sub-command a stage, built from the stage's settings."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import Any

import jsonargparse
import openmm
from rich.console import Console
from rich.table import Table

import openmmcg
from openmmcg.settings import json_schema
from openmmcg.tables import flat, markdown_table

ERROR = 2
_UNKNOWN = re.compile(
    r"not accept option '([\w.]+)'|[Uu]nrecognized arguments: --([\w.=]+)|Key '([\w.]+)' is not"
)
INTERRUPTED = 130
USER_ERRORS = (
    jsonargparse.ArgumentError,
    ValueError,
    FileNotFoundError,
    RuntimeError,
    openmm.OpenMMException,
)


@dataclass(frozen=True)
class Stage:
    """A sub-command that runs a function on its settings.

    Attributes
    ----------
    help : str
        One line for ``openmm-cg --help``.
    module : str
        Imported only when the stage is used, as some take seconds.
    config, function : str
        Names of the settings' class and of the function in the module.
    """

    help: str
    module: str
    config: str
    function: str


STAGES = {
    "sample": Stage(
        "Sample an all-atom system in OpenMM into a mapped dataset.",
        "openmmcg.data",
        "SampleConfig",
        "sample",
    ),
    "lint": Stage(
        "Check a mapping: bonds that can permute, false symmetries, stereocentres, constraints.",
        "openmmcg.data",
        "LintConfig",
        "lint_command",
    ),
    "map": Stage(
        "Map trajectories with forces into a dataset.",
        "openmmcg.data",
        "MapConfig",
        "map_trajectories",
    ),
    "merge": Stage(
        "Join datasets: frames of one system, or several systems.",
        "openmmcg.data",
        "MergeConfig",
        "merge_datasets",
    ),
    "split": Stage(
        "Split a dataset in two, by blocks of time or by walkers.",
        "openmmcg.data",
        "SplitConfig",
        "split_dataset",
    ),
    "subsample": Stage(
        "Take some frames of a dataset.", "openmmcg.data", "SubsampleConfig", "subsample_dataset"
    ),
    "add-noise": Stage(
        "Add noise to a dataset: labels with less noise, for beads smeared a little.",
        "openmmcg.data",
        "NoiseConfig",
        "add_noise",
    ),
    "convert": Stage(
        "Convert datasets to and from mlcg HDF5, npz and extended XYZ.",
        "openmmcg.data",
        "ConvertConfig",
        "convert",
    ),
    "train": Stage(
        "Fit priors and train a network on a dataset.", "openmmcg.training", "TrainConfig", "train"
    ),
    "export": Stage(
        "Write a trained model to a model file and verify it.",
        "openmmcg.export",
        "ExportConfig",
        "export",
    ),
    "run": Stage(
        "Run coarse-grained molecular dynamics of many replicas.",
        "openmmcg.simulation",
        "RunConfig",
        "run",
    ),
    "report": Stage(
        "Compare a run with its reference: figure, page and numbers.",
        "openmmcg.analysis",
        "ReportConfig",
        "report",
    ),
    "thermodynamics": Stage(
        "Entropy, energy and heat capacity of a run whose model depends on the temperature.",
        "openmmcg.analysis",
        "ThermodynamicsConfig",
        "run_thermodynamics",
    ),
    "demo": Stage("Do all of this for capped alanine.", "openmmcg.demo", "DemoConfig", "demo"),
}
FILE_COMMANDS = {
    "verify": "Check that a model file gives the same forces without this package, or that a dataset "
    "is whole and its forces fit its positions and temperature.",
    "info": "Show what a model file or dataset holds; with --markdown as a page.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; `openmm-cg lint` returns 1 if it finds an error.

    Errors in what the user gave are printed as one sentence (status 2), or with a traceback
    when ``--debug`` is among the arguments.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = _with_config([argument for argument in given if argument != "--debug"])
    warnings.showwarning = _print_warning
    if given == ["--version"]:
        print(versions())
        return 0
    command = "openmm-cg"
    try:
        if given[:1] and given[0] in STAGES and "--schema" in given:
            print(json.dumps(json_schema(_load(STAGES[given[0]])[0]), indent=1))
            return 0
        parsed = _parser(given).parse_args(given)
        command = f"openmm-cg {parsed.command}"
        return _command(parsed.command, parsed[parsed.command])
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
        return INTERRUPTED
    except USER_ERRORS as error:
        if debug:
            raise
        print(f"{command}: {_sentence(error)}{_advice(error, given)}", file=sys.stderr)
        return ERROR
    except ModuleNotFoundError as error:
        if error.name != "torch" or debug:
            raise
        print(
            f"{command}: this needs PyTorch, which is not installed. Install it, and OpenMM-CG again for it.",
            file=sys.stderr,
        )
        return ERROR


def versions() -> str:
    """Return versions, OpenMM platforms and model runners, one a line."""
    with_torch = importlib.util.find_spec("torch") is not None
    platforms = [
        openmm.Platform.getPlatform(index).getName()
        for index in range(openmm.Platform.getNumPlatforms())
    ]
    return "\n".join(
        (
            f"openmm-cg {openmmcg.__version__}",
            f"OpenMM    {openmm.Platform.getOpenMMVersion()}",
            f"PyTorch   {version('torch') if with_torch else 'not installed'}",
            f"platforms {', '.join(platforms)}",
            f"runners   {', '.join(openmmcg.runners())}",
        )
    )


def _with_config(given: list[str]) -> list[str]:
    """Take ``openmm-cg STAGE FILE.yaml`` for ``openmm-cg STAGE --config FILE.yaml``."""
    if len(given) > 1 and given[0] in STAGES and given[1].endswith((".yaml", ".yml")):
        return [given[0], "--config", *given[1:]]
    return given


def _advice(error: BaseException, given: Sequence[str]) -> str:
    """Name the option that an unknown one resembles."""
    found = _UNKNOWN.search(str(error))
    if found is None or not isinstance(error, jsonargparse.ArgumentError):
        return ""
    if not given or given[0] not in STAGES:
        return ""
    unknown = next(name for name in found.groups() if name).split(".")[-1].split("=")[0]
    known = [field.name for field in fields(_load(STAGES[given[0]])[0])]
    close = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"openmm-cg {given[0]} --help lists them."
    return f"; {hint}"


def _parser(given: Sequence[str]) -> jsonargparse.ArgumentParser:
    """Make the parser; only the stage that is asked for is imported and gets its options."""
    parser = jsonargparse.ArgumentParser(
        prog="openmm-cg",
        exit_on_error=False,
        allow_abbrev=False,
        description="Machine-learned coarse-grained models in OpenMM. "
        "Each command's options: openmm-cg COMMAND --help.",
    )
    parser.add_argument(
        "--version", action="store_true", help="Show versions, platforms and model runners."
    )
    parser.add_argument("--debug", action="store_true", help="Show the full traceback of an error.")
    commands = parser.add_subcommands(dest="command")
    chosen = next((argument for argument in given if not argument.startswith("-")), None)
    for name, stage in STAGES.items():
        options = jsonargparse.ArgumentParser(
            description=stage.help, exit_on_error=False, allow_abbrev=False
        )
        if name == chosen:
            options.add_argument(
                "--config",
                action="config",
                help="YAML file of settings, which may also stand first; options override it.",
            )
            options.add_argument(
                "--schema", action="store_true", help="Print a JSON schema of the settings."
            )
            config = _load(stage)[0]
            options.add_class_arguments(config)
            _allow_bare_flags(options, config)
        commands.add_subcommand(name, options, help=stage.help)
    for name, text in FILE_COMMANDS.items():
        options = jsonargparse.ArgumentParser(description=text, exit_on_error=False)
        options.add_argument("file", type=str, help="The file.")
        if name == "info":
            options.add_argument("--markdown", action="store_true", help="Print Markdown.")
        commands.add_subcommand(name, options, help=text)
    return parser


def _allow_bare_flags(options: jsonargparse.ArgumentParser, config: type[Any]) -> None:
    """Let `--flag` mean `--flag true`."""
    flags = {field.name for field in fields(config) if isinstance(field.default, bool)}
    for action in options._actions:
        if action.dest in flags:
            action.nargs, action.const = "?", True


def _load(stage: Stage) -> tuple[type[Any], Callable[[Any], Any]]:
    module = importlib.import_module(stage.module)
    return getattr(module, stage.config), getattr(module, stage.function)


def _command(name: str, options: jsonargparse.Namespace) -> int:
    """Run a command; a stage's function may return an exit status."""
    if name in STAGES:
        config, function = _load(STAGES[name])
        done = function(config(**{field.name: options[field.name] for field in fields(config)}))
        return done if isinstance(done, int) else 0
    if name == "verify":
        verify(options.file)
    else:
        info(options.file, options.markdown)
    return 0


def verify(path: str) -> None:
    """Verify a model file or all systems of a dataset, and print what was found."""
    if _is_hdf5(path):
        from openmmcg.data import Dataset, verify_dataset

        for name in Dataset.systems(path):
            _print_table(f"{path} is verified", verify_dataset(path, name))
        return
    from openmmcg import export

    found = export.verify(path)
    _print_table(f"{path} is verified", found)


def info(path: str, markdown: bool = False) -> None:
    """Print what a model file or a dataset holds, as a table or in Markdown."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file {path}.")
    from openmmcg import export

    if not _is_hdf5(path):
        if markdown:
            print(export.markdown(path), end="")
        else:
            _print_table(path, export.info(path))
        return
    from openmmcg.data import Dataset

    for name in Dataset.systems(path):
        with Dataset.open(path, name) as dataset:
            facts = _dataset_facts(dataset)
        if markdown:
            print(
                f"# {path}::{name}", markdown_table(("", ""), flat(facts)), sep="\n\n", end="\n\n"
            )
        else:
            _print_table(path, facts)


def _is_hdf5(path: str) -> bool:
    import h5py

    return os.path.isfile(path) and bool(h5py.is_hdf5(path))


def _dataset_facts(dataset: Any) -> dict[str, Any]:
    types = Counter(dataset.type_names[kind] for kind in dataset.types)
    return {
        "system": dataset.name,
        "frames": dataset.n_frames,
        "beads": dataset.n_beads,
        "bead types": [f"{name} ({count})" for name, count in types.items()],
        "molecules": int(dataset.molecules.max()) + 1,
        "bonds": len(dataset.bonds),
        "arrays": sorted(dataset.arrays()),
        "walkers": int(dataset.walkers.max()) + 1,
        "temperature (K)": sorted({float(value) for value in dataset.temperatures}),
        "mapping": dataset.mapping.get("name"),
        "mapping hash": dataset.mapping_hash,
        "atoms": None if dataset.atomistic is None else dataset.atomistic.n_atoms,
        "constraints": None if dataset.constraints is None else len(dataset.constraints),
        "force map": dataset.force_map,
        "position noise (nm)": dataset.position_noise or None,
        "source": dataset.source,
    }


def _print_table(title: str, facts: dict[str, Any]) -> None:
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in flat(facts):
        table.add_row(name, value)
    Console().print(table)


def _sentence(error: BaseException) -> str:
    """Return an error's message on one line; a message must not be empty."""
    return " ".join(str(error).split()) or type(error).__name__


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
