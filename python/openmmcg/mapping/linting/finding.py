"""What the lint has to say: one finding a subject."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that the lint found.

    Attributes
    ----------
    severity : str
        "error": forces or models would be wrong. "warning": a model may do what the molecule
        cannot. "info": checked and fine, or why it could not be checked.
    kind : str
        "gap", "symmetry", "stereo" or "constraints".
    title : str
        A few words.
    message : str
        What was found, with names of beads.
    cure : str
        What to do; empty if there is nothing to do.
    numbers : dict
        JSON-able values behind the message.
    beads : tuple of int
        Beads (indices of the mapping) that it is about; of equal molecules those of the first.
    picture : Path or None
        PNG, once `openmmcg.mapping.linting.draw` has drawn it.
    plot : object
        What a picture needs besides.
    """

    severity: str
    kind: str
    title: str
    message: str
    cure: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    beads: tuple[int, ...] = ()
    picture: Path | None = None
    plot: Any = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all but `plot` as JSON-able values."""
        return {
            "severity": self.severity,
            "kind": self.kind,
            "title": self.title,
            "message": self.message,
            "cure": self.cure,
            "numbers": self.numbers,
            "beads": list(self.beads),
            "picture": None if self.picture is None else str(self.picture),
        }

    def line(self) -> str:
        """Return the finding on one line."""
        text = f"{self.severity} ({self.kind}): {self.title}. {self.message}"
        return f"{text} Cure: {self.cure}" if self.cure else text
