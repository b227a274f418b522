"""MACE: messages of many-body spherical tensors, from the layers of mace-torch."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openmmcg.models.base import CGNetwork
from openmmcg.models.edge_types import EDGE_TYPE_COUNT
from openmmcg.models.options import Ranges, check_sizes, radial_basis
from openmmcg.models.radial import distances
from openmmcg.models.thermal import ThermalReadout


class MACE(CGNetwork):
    """Higher-order equivariant messages.

    Each bead gathers spherical harmonics of its neighbours, weighted by radial functions, and
    takes products of up to `correlation` of what it gathered, so that one layer knows
    (`correlation` + 1)-body terms (Batatia et al., NeurIPS 2022, arXiv:2206.07697). Used for
    coarse-grained models by Görlich & Zavadlav. The layers are those of the package mace-torch,
    with bead types as its chemical elements.

    MACE has no edge types: a pair is known by its length, direction and elements. Here the first
    layer of each radial network gets the radial basis once for every edge type, that of the other
    edge types zero, which is a separate first layer for each. The rest is MACE.

    Constants of mace-torch are held in the precision in which the network is made; a network made
    in single precision and used in double keeps symmetries to about 1e-7.

    Parameters
    ----------
    bead_types : sequence of str
        Vocabulary of bead types.
    cutoff : float
        Range in nm.
    width : int, default 32
        Number of channels.
    interactions : int, default 2
        Rounds of messages.
    rbf : int, default 8
        Number of radial basis functions, at least 2.
    ranges : sequence of pairs of float, optional
        For each edge type the distances in nm that its Gaussians cover; for the basis gaussian
        only.
    basis : {"bessel", "gaussian", "expnorm"}, default "bessel"
        Radial basis functions, see `openmmcg.models.radial`; the paper has bessel.
    envelope : {"quintic", "cosine"}, default "quintic"
        How messages go to zero at the cutoff; the paper has a polynomial like the quintic.
    correlation : int, default 2
        Number of factors in a product, 1 to 3.
    max_l : int, default 2
        Highest order of the spherical harmonics of directions.
    hidden_l : int, default 1
        Highest order of what beads send after the first round.
    neighbours : float, default 8.0
        Typical number of neighbours, by which sums are divided.
    radial_width : int, default 64
        Width of the three hidden layers of the radial networks.
    chiral : bool, default False
        Treat all spherical harmonics as even, which SO(3) allows: mirror images differ then.
        Needs two interactions and `hidden_l` of at least 1.
    thermal : ThermalReadout, optional
        How energies depend on the temperature; see `openmmcg.models.build`.
    """

    name = "mace"

    def __init__(
        self,
        bead_types: Sequence[str],
        cutoff: float,
        width: int = 32,
        interactions: int = 2,
        rbf: int = 8,
        ranges: Ranges | None = None,
        basis: str = "bessel",
        envelope: str = "quintic",
        correlation: int = 2,
        max_l: int = 2,
        hidden_l: int = 1,
        neighbours: float = 8.0,
        radial_width: int = 64,
        chiral: bool = False,
        thermal: ThermalReadout | None = None,
    ) -> None:
        check_sizes(
            "MACE",
            width=(width, 1),
            interactions=(interactions, 1),
            rbf=(rbf, 2),
            correlation=(correlation, 1),
            max_l=(max_l, 0),
            hidden_l=(hidden_l, 0),
            radial_width=(radial_width, 1),
        )
        if hidden_l > max_l:
            raise ValueError(
                f"MACE needs hidden_l of at most max_l = {max_l}, but it is {hidden_l}."
            )
        if chiral and (hidden_l < 1 or interactions < 2):
            raise ValueError(
                "A chiral MACE needs two interactions and hidden_l of at least 1, but they are "
                f"{interactions} and {hidden_l}."
            )
        functions, radial = radial_basis("MACE", basis, rbf, cutoff, ranges, envelope)
        hyperparameters = {
            "width": width,
            "interactions": interactions,
            **radial,
            "correlation": correlation,
            "max_l": max_l,
            "hidden_l": hidden_l,
            "neighbours": neighbours,
            "radial_width": radial_width,
            "chiral": chiral,
        }
        super().__init__(bead_types, cutoff, hyperparameters, thermal)
        self.radial_basis = functions
        self.n_types = len(self.bead_types)
        self.edge_type_count = EDGE_TYPE_COUNT
        layers = _mace_layers(self.n_types, cutoff, self.n_channels, hyperparameters)
        self.node_embedding: nn.Module = layers.node_embedding
        self.spherical_harmonics: nn.Module = layers.spherical_harmonics
        self.interactions: nn.ModuleList = layers.interactions
        self.products: nn.ModuleList = layers.products
        self.readouts: nn.ModuleList = layers.readouts

    def bead_channels(
        self, positions: Tensor, types: Tensor, pairs: Tensor, shifts: Tensor, edge_types: Tensor
    ) -> Tensor:
        """Channels of every bead in kJ/mol, shape (N, n_channels); see `CGNetwork.forward`."""
        ends = positions.index_select(0, pairs[1]) + shifts
        vectors = ends - positions.index_select(0, pairs[0])
        basis = self.radial_basis(distances(vectors), edge_types)
        chosen = torch.nn.functional.one_hot(edge_types, self.edge_type_count).to(basis.dtype)
        radial = (chosen.unsqueeze(2) * basis.unsqueeze(1)).flatten(1)
        # In mace-torch an edge leads from the sender to the receiver, here the first bead.
        directions = self.spherical_harmonics(-vectors)
        edges = pairs.flip(0)
        species = torch.nn.functional.one_hot(types, self.n_types).to(basis.dtype)
        features = self.node_embedding(species)
        channels = positions.new_zeros([positions.size(0), self.n_channels])
        for interaction, product, readout in zip(  # noqa: B905 (TorchScript knows no strict)
            self.interactions, self.products, self.readouts
        ):
            messages, kept = interaction(species, features, directions, radial, edges)
            features = product(messages, kept, species)
            channels = channels + readout(features)
        return channels

    def __prepare_scriptable__(self) -> nn.Module:
        """Return a copy whose e3nn modules are compiled as they need to be; for torch.jit."""
        from e3nn.util.jit import compile as compile_e3nn

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile_e3nn(copy.deepcopy(self))


def _mace_layers(n_types: int, cutoff: float, channels: int, options: dict[str, Any]) -> Any:
    """Build mace-torch's own network, of which the layers are taken."""
    with _importing_mace():
        try:
            from e3nn import o3
            from mace.modules import MACE as MaceTorch
            from mace.modules import RealAgnosticResidualInteractionBlock
        except ImportError as error:
            raise ImportError(
                f"The network mace needs the package mace-torch ({error}); install it with "
                "pip install 'openmm-cg[mace]'."
            ) from error
        width, chiral = options["width"], options["chiral"]
        parity = [1 if chiral else (-1) ** order for order in range(options["hidden_l"] + 1)]
        return MaceTorch(
            r_max=cutoff,
            # One block of radial functions for each edge type.
            num_bessel=options["rbf"] * EDGE_TYPE_COUNT,
            num_polynomial_cutoff=5,
            max_ell=options["max_l"],
            interaction_cls=RealAgnosticResidualInteractionBlock,
            interaction_cls_first=RealAgnosticResidualInteractionBlock,
            num_interactions=options["interactions"],
            num_elements=n_types,
            hidden_irreps=o3.Irreps([(width, (order, p)) for order, p in enumerate(parity)]),
            MLP_irreps=o3.Irreps([(max(1, width // 2), (0, 1))]),
            # What mace-torch calls a head is a channel here; atomic energies are not used.
            heads=[str(channel) for channel in range(channels)],
            atomic_energies=np.zeros((channels, n_types)),
            avg_num_neighbors=options["neighbours"],
            atomic_numbers=list(range(n_types)),
            correlation=options["correlation"],
            gate=torch.nn.functional.silu,
            radial_MLP=[options["radial_width"]] * 3,
            use_so3=chiral,
        )


@contextlib.contextmanager
def _importing_mace() -> Iterator[None]:
    """Import e3nn and mace-torch, and build with them, without their side effects.

    They tell of packages that they would like and of torch.jit, e3nn reads a file of its own that
    holds a slice, and mace-torch turns off the safety of `torch.load` for the whole process.
    """
    before, switch = logging.root.manager.disable, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    setting = os.environ.get(switch)
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            torch.serialization.safe_globals([slice]),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if setting is None:
            os.environ.pop(switch, None)
        else:
            os.environ[switch] = setting
