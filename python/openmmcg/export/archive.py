"""The model file as a zip: a TorchScript archive with weights and a card, and a digest of the rest."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

CARD = "extra/openmmcg.json"
"""Name of the card inside the archive, below the archive's root folder."""
WEIGHTS = "extra/weights.safetensors"
"""Name of the network's weights in a form that needs no PyTorch to read."""
_DATE = (1980, 1, 1, 0, 0, 0)


def add_card(archive: bytes, card: dict[str, Any], weights: bytes | None = None) -> bytes:
    """Append a card and weights to a TorchScript archive, with the digest of everything else.

    Parameters
    ----------
    archive : bytes
        What `torch.jit.save` wrote.
    card : dict
        JSON-able; its entry ``sha256`` is set here.
    weights : bytes, optional
        The network's parameters and buffers in the safetensors format.

    Returns
    -------
    bytes
        The model file. Plain `torch.jit.load` reads it, and the card with its ``_extra_files``.
    """
    buffer = io.BytesIO(archive)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as handle:
        root = _root(handle)
        if weights is not None:
            handle.writestr(zipfile.ZipInfo(root + WEIGHTS, _DATE), weights)
        text = json.dumps({**card, "sha256": digest(handle)}, indent=1, allow_nan=False)
        # A fixed date keeps equal models equal byte for byte.
        handle.writestr(zipfile.ZipInfo(root + CARD, _DATE), text)
    return buffer.getvalue()


def split_card(data: bytes, source: str) -> tuple[dict[str, Any], str]:
    """Read the card of a model file, and compute the digest that it should hold.

    Parameters
    ----------
    data : bytes
        The model file.
    source : str
        What to call it in messages.

    Returns
    -------
    card : dict
        The card, unchecked.
    digest : str
        Of the other entries.

    Raises
    ------
    ValueError
        If the file is truncated or no model file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as handle:
            name = _root(handle) + CARD
            if name not in handle.namelist():
                raise ValueError(
                    f"{source} is an archive without a model card ({CARD}); write the model with "
                    "openmmcg.export.save."
                )
            card = json.loads(handle.read(name))
            found = digest(handle)
    except (zipfile.BadZipFile, EOFError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{source} is not a model file, or is truncated or damaged ({len(data)} bytes: "
            f"{error}); copy or export it again."
        ) from error
    if not isinstance(card, dict):
        raise ValueError(f"{source}: the model card is not a JSON object; export the model again.")
    return card, found


def digest(handle: zipfile.ZipFile) -> str:
    """SHA-256 of all entries of an archive except the card.

    Entries come in ascending byte order of their names without the archive's root; each gives
    its name in UTF-8, one NUL byte, its length as eight bytes little-endian, and its data, as
    they lie in the file: TorchScript compresses its code, and a reader of the digest shall not
    need to inflate. The C++ reader computes the same.

    Parameters
    ----------
    handle : zipfile.ZipFile
        The open archive.

    Returns
    -------
    str
        Hexadecimal digest.
    """
    root = _root(handle)
    entries = {name[len(root) :].encode(): name for name in handle.namelist()}
    if len(entries) != len(handle.namelist()):
        raise zipfile.BadZipFile("the archive has two entries of one name")
    total = hashlib.sha256()
    for short, name in sorted(entries.items()):
        if short != CARD.encode():
            data = _stored_bytes(handle, name)
            total.update(short + b"\0" + len(data).to_bytes(8, "little") + data)
    return total.hexdigest()


def _stored_bytes(handle: zipfile.ZipFile, name: str) -> bytes:
    """Return an entry as it lies in the file, compressed or not."""
    info = handle.getinfo(name)
    stream = handle.fp
    if stream is None:
        raise ValueError("The archive is closed; open it again.")
    stream.seek(info.header_offset + 26)
    lengths = stream.read(4)
    stream.seek(sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2)), 1)
    return stream.read(info.compress_size)


def read_bytes(source: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    """Return a model file's bytes and a name for messages.

    Raises
    ------
    FileNotFoundError
        If a path does not exist or is a folder.
    """
    if isinstance(source, bytes):
        return source, "The model"
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no model file {path}; give the path of a .cg.pt file that "
            "openmmcg.export.save or `openmm-cg export` wrote."
        )
    return path.read_bytes(), str(path)


def _root(handle: zipfile.ZipFile) -> str:
    roots = {name.split("/", 1)[0] + "/" for name in handle.namelist() if "/" in name}
    if len(roots) != 1 or any("/" not in name for name in handle.namelist()):
        raise zipfile.BadZipFile("the archive is not one folder, as TorchScript writes it")
    return roots.pop()
