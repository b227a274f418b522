"""The recipe of a mapping: templates of beads and an encoding, read from YAML or a dict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openmmcg.mapping.encoding import Encoding, check_encoding, encoding_to_dict
from openmmcg.mapping.openmscg import SystemTemplate
from openmmcg.mapping.schema import check_keys, entries, flag, read_yaml, text
from openmmcg.mapping.templates import (
    MoleculeTemplate,
    ResidueTemplate,
    template_from_dict,
    template_to_dict,
)

FORMAT = 2
"""Version written; 1 (residue templates with selections alone) is read and, where it suffices,
written."""

Template = ResidueTemplate | MoleculeTemplate | SystemTemplate


@dataclass(frozen=True)
class MappingDefinition:
    """A mapping before it meets a topology.

    Attributes
    ----------
    name : str
        Name of the mapping.
    templates : tuple of ResidueTemplate, MoleculeTemplate or SystemTemplate
        The first template that applies to a residue is used; a residue with none is unmapped. A
        SystemTemplate (of OpenMSCG, by atom number) stands alone.
    encoding : str or dict
        How beads get their types, see `openmmcg.mapping.ENCODINGS`.
    shared : bool
        Whether an atom may lie in several beads.
    """

    name: str
    templates: tuple[Template, ...]
    encoding: Encoding = field(default="element")
    shared: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as plain JSON-able values, the inverse of `from_dict`."""
        version = 1 if self._suits_format_1() else FORMAT
        templates = [
            template.to_dict()
            if isinstance(template, SystemTemplate)
            else template_to_dict(template)
            for template in self.templates
        ]
        if version == 1:
            for template in templates:
                template.pop("optional")
        result: dict[str, Any] = {"format": version, "name": self.name}
        result["encoding"] = encoding_to_dict(self.encoding)
        if self.shared:
            result["shared"] = True
        return {**result, "templates": templates}

    def _suits_format_1(self) -> bool:
        """Whether versions of this package that read format 1 alone understand the definition."""
        if self.shared or not (isinstance(self.encoding, Mapping) or self.encoding in _FORMAT_1):
            return False
        if isinstance(self.encoding, Mapping) and set(self.encoding) != {"list"}:
            return False
        return all(
            isinstance(template, ResidueTemplate)
            and template.optional
            and all(
                bead.select and bead.weights != "slice" and not bead.type and not bead.shared
                for bead in template.beads
            )
            for template in self.templates
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "mapping") -> MappingDefinition:
        """Check and take over a definition.

        Parameters
        ----------
        data : dict
            As in a mapping's YAML file: format, name, encoding, templates.
        where : str
            Names the source in error messages.

        Raises
        ------
        ValueError
            If a key is missing or unknown, a value has the wrong type, or the format is newer
            than this package reads.
        """
        version = data.get("format", FORMAT) if isinstance(data, Mapping) else FORMAT
        if version not in range(1, FORMAT + 1):
            raise ValueError(
                f"{where} has format {version!r}, this openmmcg reads the formats 1 to {FORMAT}; "
                "update openmmcg or correct the 'format' key."
            )
        new = version > 1
        known = {"encoding", "shared"} if new else {"encoding"}
        check_keys(data, {"format", "name", "templates"}, known, where)
        templates = tuple(
            _template(entry, f"{where}, template {number}", new)
            for number, entry in enumerate(entries(data, "templates", where), start=1)
        )
        if len(templates) > 1 and any(isinstance(t, SystemTemplate) for t in templates):
            raise ValueError(
                f"{where} has a template by atom numbers (site-types) beside others; it must "
                "stand alone."
            )
        encoding = data.get("encoding", _default_encoding(templates))
        if not isinstance(encoding, str | Mapping):
            raise ValueError(f"{where}: 'encoding' is {encoding!r}, expected a name or a list.")
        check_encoding(encoding)
        return cls(text(data, "name", where), templates, encoding, flag(data, "shared", where))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MappingDefinition:
        """Read a definition from a YAML file of openmmcg or of OpenMSCG (``site-types``).

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not YAML or not a valid definition.
        """
        data = read_yaml(path)
        if isinstance(data, Mapping) and "site-types" in data:
            return cls.from_openmscg(data, Path(path).stem, where=str(path))
        return cls.from_dict(data, where=str(path))

    @classmethod
    def from_openmscg(
        cls, data: Mapping[str, Any], name: str, where: str = "mapping"
    ) -> MappingDefinition:
        """Take over the content of an OpenMSCG mapping file; site names become bead types.

        Raises
        ------
        ValueError
            If keys are missing or unknown, or values do not fit.
        """
        return cls(name, (SystemTemplate.from_dict(data, where),), "type")

    def with_encoding(self, encoding: Encoding | None) -> MappingDefinition:
        """Return the definition with another encoding; None leaves it as it is."""
        return self if encoding is None else replace(self, encoding=encoding)


_FORMAT_1 = ("element", "name", "residue-name", "unique", "one")


def _template(entry: Any, where: str, new: bool) -> Template:
    if new and isinstance(entry, Mapping) and "site-types" in entry:
        return SystemTemplate.from_dict(entry, where)
    return template_from_dict(entry, where, new)


def _default_encoding(templates: tuple[Template, ...]) -> str:
    """Return "type" if a bead has a type of its own, else "element"."""
    for template in templates:
        if isinstance(template, SystemTemplate) or any(bead.type for bead in template.beads):
            return "type"
    return "element"
