"""The mappings that come with the package: one YAML file for beads that several encodings share."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from openmmcg.mapping.definition import MappingDefinition
from openmmcg.mapping.encoding import check_encoding
from openmmcg.mapping.schema import closest, read_yaml

_FOLDER = Path(str(files("openmmcg.mapping") / "builtin"))


def builtins() -> list[str]:
    """Return the names of the built-in mappings."""
    return sorted(_library())


def builtin_definition(name: str) -> MappingDefinition:
    """Return the definition of a built-in mapping.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in _library():
        raise ValueError(
            f"Unknown mapping {name!r}{closest(name, _library())}; built-in mappings are "
            f"{', '.join(builtins())}. Your own mapping is read from a YAML file."
        )
    path, encoding = _library()[name]
    data = read_yaml(path)
    data.pop("variants", None)
    definition = MappingDefinition.from_dict(data, where=str(path))
    return definition if encoding is None else replace(definition, name=name, encoding=encoding)


@lru_cache(maxsize=1)
def _library() -> dict[str, tuple[Path, Any]]:
    """Return file and encoding (None for the file's own) of every built-in mapping."""
    found: dict[str, tuple[Path, Any]] = {}
    for path in sorted(_FOLDER.glob("*.yaml")):
        found[path.stem] = (path, None)
        for name, encoding in read_yaml(path).get("variants", {}).items():
            check_encoding(encoding)
            found[name] = (path, encoding)
    return found
