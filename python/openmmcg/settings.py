"""What a settings class says about itself: its options as a table and as a JSON schema."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

import docstring_parser

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True)
class Option:
    """One setting.

    Attributes
    ----------
    name : str
    type : object
        Type annotation.
    default : object
        `dataclasses.MISSING` if a value must be given.
    text : str
        Description, on one line.
    """

    name: str
    type: Any
    default: Any
    text: str


def options(settings: type[Any]) -> list[Option]:
    """List the options of a dataclass whose docstring has a section of attributes.

    Raises
    ------
    ValueError
        If the docstring and the fields do not name the same.
    """
    texts = {
        parameter.arg_name: " ".join((parameter.description or "").split())
        for parameter in docstring_parser.parse(settings.__doc__ or "").params
    }
    names = [field.name for field in fields(settings)]
    if list(texts) != names:
        raise ValueError(
            f"{settings.__name__} documents {', '.join(texts)}, but has {', '.join(names)}; "
            "describe each field in its order."
        )
    kinds = typing.get_type_hints(settings)
    return [
        Option(field.name, kinds[field.name], field.default, texts[field.name])
        for field in fields(settings)
    ]


def json_schema(settings: type[Any]) -> dict[str, Any]:
    """Make a JSON schema (draft 2020-12) of the settings in a YAML or JSON file.

    Parameters
    ----------
    settings : type
        A dataclass, see `options`.

    Returns
    -------
    dict
    """
    known = options(settings)
    properties = {}
    for option in known:
        properties[option.name] = {**_json_type(option.type), "description": option.text}
        if option.default is not MISSING:
            properties[option.name]["default"] = option.default
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": settings.__name__,
        "type": "object",
        "additionalProperties": False,
        "required": [option.name for option in known if option.default is MISSING],
        "properties": properties,
    }


def markdown(settings: type[Any]) -> str:
    """Make a Markdown table of the options."""
    rows = ["| option | default | |", "|---|---|---|"]
    for option in options(settings):
        default = "required" if option.default is MISSING else f"`{_plain(option.default)}`"
        rows.append(f"| `{option.name}` | {default} | {option.text.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _json_type(kind: Any) -> dict[str, Any]:
    if kind is type(None):
        return {"type": "null"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_json_type(argument) for argument in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (list, tuple):
        return {"type": "array", "items": _json_type(arguments[0])}
    if origin in (dict, Mapping):
        return {"type": "object"}
    return {"type": _JSON_TYPES[kind]} if kind in _JSON_TYPES else {}


def kelvins(value: str | Sequence[float]) -> list[float]:
    """Read temperatures: a list, or ``first:last:step`` with both ends.

    Parameters
    ----------
    value : str or sequence of float
        For example ``260:360:20`` or [260, 300].

    Returns
    -------
    list of float
        K, in the order given.

    Raises
    ------
    ValueError
        If there are none, two are equal, or one is not above 0.
    """
    try:
        found = _range(value) if isinstance(value, str) else [float(entry) for entry in value]
    except (TypeError, ValueError):
        found = []
    if (
        not found
        or not all(0 < entry < math.inf for entry in found)
        or len(set(found)) < len(found)
    ):
        raise ValueError(
            f"temperatures is {value!r}, expected different temperatures of more than 0 K, as a "
            "list or as first:last:step."
        )
    return found


def _range(text: str) -> list[float]:
    first, last, step = (float(part) for part in text.split(":"))
    if not step > 0 or not math.isfinite(last - first):
        raise ValueError(text)
    return [first + k * step for k in range(math.floor((last - first) / step + 1e-9) + 1)]
