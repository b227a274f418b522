"""Reading the card of a model file, which needs no PyTorch."""

from __future__ import annotations

import os
from typing import Any

from openmmcg.export.archive import read_bytes, split_card
from openmmcg.export.card import check_card, check_format


def read_card(source: str | os.PathLike[str] | bytes) -> dict[str, Any]:
    """Read and check the card of a model file; no code of the model is loaded.

    Parameters
    ----------
    source : path-like or bytes
        The model file.

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, damaged, changed, or of another format version.
    """
    data, name = read_bytes(source)
    card, found = split_card(data, name)
    check_format(card, name)
    if card.get("sha256") != found:
        raise ValueError(
            f"{name} was changed after it was written: its contents have SHA-256 {found}, but "
            f"its card says {card.get('sha256')}; copy or export it again."
        )
    check_card(card, name)
    return card
