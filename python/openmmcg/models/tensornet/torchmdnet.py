"""TensorNet weights of torchmd-net."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from openmmcg.models.tensornet.layers import SELF
from openmmcg.models.tensornet.network import TensorNet

_SAME = {
    "radial_basis.means": "distance_expansion.means",
    "radial_basis.betas": "distance_expansion.betas",
    "tensor_embedding.pair_embedding.weight": "tensor_embedding.emb2.weight",
    "tensor_embedding.pair_embedding.bias": "tensor_embedding.emb2.bias",
    "tensor_embedding.norm.weight": "tensor_embedding.init_norm.weight",
    "tensor_embedding.norm.bias": "tensor_embedding.init_norm.bias",
    "norm.weight": "out_norm.weight",
    "norm.bias": "out_norm.bias",
    "linear.weight": "linear.weight",
    "linear.bias": "linear.bias",
}
_NEEDED = {
    "model": "tensornet",
    "rbf_type": "expnorm",
    "activation": "silu",
    "cutoff_lower": 0.0,
    "output_model": "Scalar",
    "reduce_op": "add",
    "output_mlp_num_layers": 0,
}


def load_torchmdnet(
    state: Mapping[str, Tensor],
    hyperparameters: Mapping[str, Any],
    *,
    types: Mapping[str, int],
    length: float = 0.1,
    energy: float = 1.0,
) -> TensorNet:
    """Make a network with the weights of a TensorNet that torchmd-net has trained.

    A checkpoint of torchmd-net is ``torch.load(path)``; its entries ``state_dict`` and
    ``hyper_parameters`` are what this function takes. Checked against torchmd-net 3.1. Every edge
    type gets the same weights, as torchmd-net knows none. A constant that torchmd-net adds to the
    energy of a whole system (its `mean`) is left out; forces do not depend on it.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Weights by torchmd-net's names, with or without the prefix ``model.``.
    hyperparameters : mapping
        torchmd-net's arguments: ``embedding_dimension``, ``num_layers``, ``num_rbf``,
        ``cutoff_upper`` and so on.
    types : mapping of str to int
        For each bead type, in the order wanted, the number by which torchmd-net knows it.
    length : float, default 0.1
        Unit of length of the checkpoint in nm; the default is the ångström.
    energy : float, default 1.0
        Unit of energy of the checkpoint in kJ/mol: 4.184 for kcal/mol, 96.4853 for eV.

    Returns
    -------
    TensorNet
        In the precision of the weights.

    Raises
    ------
    ValueError
        If the checkpoint is of another architecture, uses options that cannot be expressed, or
        misses a weight or a type.
    """
    for option, needed in _NEEDED.items():
        found = hyperparameters.get(option, needed)
        if found != needed:
            raise ValueError(
                f"The checkpoint of torchmd-net has {option} = {found!r}, but only {needed!r} can "
                "be loaded."
            )
    plain = {re.sub(r"^model\.", "", name): tensor for name, tensor in state.items()}
    # Before torchmd-net 2.4 the output network had no level "layers".
    pattern = r"^(output_model\.output_network)\.(\d)"
    plain = {re.sub(pattern, r"\1.layers.\2", name): tensor for name, tensor in plain.items()}
    if any(name.startswith("prior_model.") for name in plain):
        raise ValueError(
            "The checkpoint of torchmd-net has a prior model with weights of its own, which "
            "cannot be loaded; train without it, or add it as a prior of the model file."
        )
    network = TensorNet(
        bead_types=list(types),
        cutoff=float(hyperparameters["cutoff_upper"]) * length,
        width=int(hyperparameters["embedding_dimension"]),
        interactions=int(hyperparameters["num_layers"]),
        rbf=int(hyperparameters["num_rbf"]),
        basis="expnorm",
        envelope="cosine",
        chiral=hyperparameters.get("equivariance_invariance_group", "O(3)") == "SO(3)",
    )
    try:
        weights = _translate(plain, len(network.layers), list(types.values()))
    except (KeyError, IndexError) as error:
        raise ValueError(
            f"The checkpoint of torchmd-net does not hold what a TensorNet needs: {error}."
        ) from error
    scale = energy * plain.get("std", torch.ones(()))
    for part in ("weight", "bias"):
        weights[f"readout.2.{part}"] = weights[f"readout.2.{part}"] * scale
    network = network.to(weights["linear.weight"].dtype)
    network.load_state_dict(weights)
    return network


def _translate(plain: Mapping[str, Tensor], layers: int, types: list[int]) -> dict[str, Tensor]:
    """State of a network here from torchmd-net's."""
    old = {name.removeprefix("representation_model."): value for name, value in plain.items()}
    new = {name: old[theirs] for name, theirs in _SAME.items()}
    embedding = "tensor_embedding."
    new[embedding + "embedding.weight"] = old[embedding + "emb.weight"][types]
    projections = [f"{embedding}distance_proj{k}." for k in (1, 2, 3)]
    new[embedding + "distance_projection.weight"] = _for_edge_types(
        torch.cat([old[p + "weight"] for p in projections]).t()
    )
    new[embedding + "distance_projection.bias"] = _for_edge_types(
        torch.cat([old[p + "bias"] for p in projections])
    )
    new[embedding + "mixer.weight"] = _stack(old, embedding + "linears_tensor", 0)
    for k in (0, 1):
        for kind in ("weight", "bias"):
            new[f"{embedding}gates.{2 * k}.{kind}"] = old[f"{embedding}linears_scalar.{k}.{kind}"]
    for index in range(layers):
        layer = f"layers.{index}."
        new[layer + "first.weight"] = _for_edge_types(old[layer + "linears_scalar.0.weight"].t())
        new[layer + "first.bias"] = _for_edge_types(old[layer + "linears_scalar.0.bias"])
        for k in (1, 2):
            for kind in ("weight", "bias"):
                theirs = f"{layer}linears_scalar.{k}.{kind}"
                new[f"{layer}scalars.{2 * k - 1}.{kind}"] = old[theirs]
        new[layer + "before.weight"] = _stack(old, layer + "linears_tensor", 0)
        new[layer + "after.weight"] = _stack(old, layer + "linears_tensor", 3)
    for k in (0, 2):
        for kind in ("weight", "bias"):
            theirs = f"output_model.output_network.layers.{k}.{kind}"
            new[f"readout.{k}.{kind}"] = old[theirs]
    return new


def _stack(old: Mapping[str, Tensor], name: str, first: int) -> Tensor:
    return torch.stack([old[f"{name}.{k}.weight"] for k in range(first, first + 3)])


def _for_edge_types(tensor: Tensor) -> Tensor:
    return tensor.unsqueeze(0).repeat(SELF + 1, *([1] * tensor.dim()))
