"""Writing and reading model files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from openmmcg.export._script import Scriptable, load_archive, save_archive, script
from openmmcg.export.archive import add_card, read_bytes
from openmmcg.export.card import make_card
from openmmcg.export.contract import check_contract, model_dtype
from openmmcg.export.geometry import stored
from openmmcg.export.reading import read_card
from openmmcg.files import atomic_path
from openmmcg.models import CGNetwork


def to_bytes(
    model: Scriptable,
    *,
    cutoff: float | None = None,
    bead_types: Sequence[str] | None = None,
    temperature: float,
    interface: str = "pairs",
    parameters: Mapping[str, float] | None = None,
    temperature_range: Sequence[float] | None = None,
    architecture: Mapping[str, Any] | None = None,
    mapping: Mapping[str, Any] | None = None,
    topology: Mapping[str, Any] | None = None,
    priors: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    n_beads: int | None = None,
) -> bytes:
    """Make a model file in memory.

    Parameters
    ----------
    model : CGNetwork, PairEnergy, torch.jit.ScriptModule or torch.jit.ScriptFunction
        Anything whose ``forward`` honours the interface. It is tried on a few beads first.
    cutoff : float
        Range of the pair list in nm; 0 for a model of positions. A CGNetwork knows its own.
    bead_types : sequence of str
        Vocabulary of bead types. A CGNetwork knows its own.
    temperature : float
        Temperature of the data in K; the default of the Context parameter.
    interface : {"pairs", "positions"}
        ``pairs``: the call of `CGNetwork.forward`. ``positions``: ``forward(positions[, box][,
        parameters...])`` giving the energy, or energy and forces.
    parameters : mapping of str to float, optional
        Global parameters beyond the temperature with their defaults.
    temperature_range : pair of float, optional
        Temperatures in K for which the model is meant.
    architecture : mapping, optional
        Name and hyperparameters. A CGNetwork knows its own.
    mapping, topology, priors, training : mapping, optional
        JSON-able records: recipe of the mapping, one molecule's topology, priors as of
        `PriorSet.to_dict`, provenance.
    n_beads : int, optional
        Number of beads that a model of positions takes, if that is fixed.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If the model does not honour the interface or an entry is not usable.
    """
    if isinstance(model, CGNetwork):
        cutoff, bead_types, architecture = _network_facts(model, cutoff, bead_types, architecture)
    if interface == "positions":
        cutoff, bead_types = cutoff or 0.0, bead_types or []
    if cutoff is None or bead_types is None:
        raise ValueError("A scripted model needs cutoff (nm) and bead_types; give both.")
    module = script(model)
    card = make_card(
        interface=interface,
        architecture=architecture,
        bead_types=bead_types,
        cutoff=cutoff,
        dtype=model_dtype(module),
        temperature=temperature,
        temperature_range=temperature_range,
        parameters=parameters,
        mapping=mapping,
        topology=topology,
        priors=priors,
        training=training,
    )
    check_contract(module, card, n_beads)
    if interface == "pairs" and topology is not None:
        card["reference"] = reference(module, card)
    return add_card(save_archive(module), card, _weights(model))


def save(model: Scriptable, path: str | os.PathLike[str], **card: Any) -> Path:
    """Write a model file; keyword arguments and errors as of `to_bytes`.

    The file is a TorchScript archive that plain `torch.jit.load` opens, in Python or C++, with
    neither the network's class nor this package.

    Parameters
    ----------
    model : CGNetwork, PairEnergy, torch.jit.ScriptModule or torch.jit.ScriptFunction
        The model.
    path : path-like
        Where to write, by custom ``NAME.cg.pt``.
    **card
        What `to_bytes` takes.

    Returns
    -------
    Path
        The file.
    """
    data = to_bytes(model, **card)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def load_script(source: str | os.PathLike[str] | bytes) -> torch.jit.ScriptModule:
    """Load the network of a model file onto the CPU, in evaluation mode.

    Parameters
    ----------
    source : path-like or bytes
        The model file; checked as by `read_card`.

    Returns
    -------
    torch.jit.ScriptModule
    """
    read_card(source)
    return load_archive(read_bytes(source)[0]).eval()


def reference(module: torch.jit.ScriptModule, card: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate the configuration of a card in double precision, to be found again anywhere.

    Returns
    -------
    dict
        ``bead_energies`` (N,) in kJ/mol and ``forces`` (N, 3) in kJ/mol/nm, to ten digits.
    """
    double = load_archive(save_archive(module)).double()
    energies, forces, _ = double(*stored(card).arguments(torch.float64))
    return {
        "bead_energies": [_rounded(energy) for energy in energies.tolist()],
        "forces": [[_rounded(component) for component in force] for force in forces.tolist()],
    }


def _rounded(value: float) -> float:
    return float(f"{value:.10g}")


def _weights(model: Scriptable) -> bytes | None:
    """Parameters and buffers of a network of ours; of a foreign module nobody could use them."""
    if not isinstance(model, CGNetwork):
        return None
    from safetensors.torch import save as to_safetensors

    return to_safetensors({name: t.contiguous() for name, t in model.state_dict().items()})


def _network_facts(
    model: CGNetwork,
    cutoff: float | None,
    bead_types: Sequence[str] | None,
    architecture: Mapping[str, Any] | None,
) -> tuple[float, Sequence[str], Mapping[str, Any]]:
    if cutoff is not None and cutoff != model.cutoff:
        raise ValueError(
            f"The cutoff was given as {cutoff} nm, but the network was made for {model.cutoff} nm."
        )
    if bead_types is not None and tuple(bead_types) != model.bead_types:
        raise ValueError(
            f"The bead types were given as {list(bead_types)}, but the network was made for "
            f"{list(model.bead_types)}."
        )
    known = {"name": model.name, "hyperparameters": model.hyperparameters}
    return model.cutoff, model.bead_types, architecture or known
