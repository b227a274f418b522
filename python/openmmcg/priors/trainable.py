"""Priors whose parameters are trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from openmmcg.priors.base import Field
from openmmcg.priors.bound import BoundPriors
from openmmcg.priors.kinds import KINDS
from openmmcg.priors.molecules import MoleculePriors
from openmmcg.priors.prior_set import PriorSet


class TrainablePriors(nn.Module):
    """Parameters of a set of priors as an `nn.Module`.

    What the optimiser sees is zero at the start and of order one, for all kinds alike: a positive
    parameter is its first value times softplus(x)/ln 2, up to the kind's bound; an angle runs
    between its limits along a sigmoid; torsion centres, Fourier amplitudes (cosine and sine
    parts) and table values are shifted by x times 0.1 rad or 1 kJ/mol.

    Parameters
    ----------
    priors : PriorSet
        Where training starts.
    kinds : sequence of str, optional
        Kinds to train; by default all. The others stay.

    Raises
    ------
    ValueError
        If the set has no such kind.
    """

    def __init__(self, priors: PriorSet, kinds: Sequence[str] | None = None) -> None:
        super().__init__()
        trained = priors.kinds() if kinds is None else list(kinds)
        for kind in trained:
            if kind not in priors.kinds():
                raise ValueError(
                    f"The priors have no {kind} to train, only {', '.join(priors.kinds())}; "
                    "fit it first."
                )
        self._priors = priors
        self.columns = nn.ModuleDict(
            {
                f"{kind}/{name}": _Column(torch.from_numpy(values), _rule(kind, name, trained))
                for kind, table in priors.tables().items()
                if priors.entries(kind)
                for name, values in table.items()
            }
        )

    def tables(self) -> dict[str, dict[str, Tensor]]:
        """Parameters now, by kind and name, one row an entry; differentiable."""
        tables: dict[str, dict[str, Tensor]] = {}
        for path, column in self.columns.items():
            kind, name = path.split("/")
            tables.setdefault(kind, {})[name] = column()
        return tables

    def bind(
        self,
        types: Sequence[int] | np.ndarray,
        type_names: Sequence[str],
        bonds: Sequence[Sequence[int]] | np.ndarray,
        molecules: Sequence[int] | np.ndarray | None = None,
    ) -> BoundPriors:
        """Apply the priors to a topology, for `forward`; see `PriorSet.bind`."""
        return self._priors.bind(types, type_names, bonds, molecules)

    def forward(self, bound: BoundPriors, positions: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Energy with the parameters of now.

        Parameters
        ----------
        bound : BoundPriors
            What `bind` returned.
        positions : torch.Tensor, shape (..., n_beads, 3)
            nm.
        boxes : torch.Tensor, shape (3, 3) or (..., 3, 3), optional
            nm.

        Returns
        -------
        torch.Tensor, shape (...,)
            kJ/mol; differentiable in positions and parameters.
        """
        tables = {
            kind: {name: values.to(positions) for name, values in table.items()}
            for kind, table in self.tables().items()
        }
        return bound.energy(positions, boxes, tables)

    def forces(self, bound: BoundPriors, positions: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Forces (..., n_beads, 3) in kJ/mol/nm, differentiable in the parameters."""
        leaf = positions if positions.requires_grad else positions.detach().requires_grad_(True)
        with torch.enable_grad():
            energy = self(bound, leaf, boxes).sum()
            if not energy.requires_grad:
                return torch.zeros_like(positions)
            (gradient,) = torch.autograd.grad(
                energy, leaf, create_graph=True, allow_unused=True, materialize_grads=True
            )
        return -gradient

    def prior_set(self) -> PriorSet:
        """Give the priors with the parameters of now."""
        values = {
            kind: iter(
                KINDS[kind].unpack({k: v.detach().double().cpu().numpy() for k, v in table.items()})
            )
            for kind, table in self.tables().items()
        }
        # Rows follow the entries: first those for all molecules, then each molecule's own.
        owners = [self._priors.parameters, *(m.parameters for m in self._priors.molecules)]
        filled = [
            {kind: {key: next(values[kind]) for key in table} for kind, table in owner.items()}
            for owner in owners
        ]
        molecules = (
            MoleculePriors(old.name, old.types, old.bonds, table)
            for old, table in zip(self._priors.molecules, filled[1:], strict=True)
        )
        return replace(self._priors, parameters=filled[0], molecules=tuple(molecules))


class _Column(nn.Module):
    """Values of one parameter of a kind."""

    first: Tensor

    def __init__(self, first: Tensor, field: Field) -> None:
        super().__init__()
        self._field = field
        self.register_buffer("first", first)
        if field.rule != "fixed":
            self.raw = nn.Parameter(torch.zeros(first.shape, dtype=torch.get_default_dtype()))

    def forward(self) -> Tensor:
        """Values now."""
        field = self._field
        if field.rule == "fixed":
            return self.first
        raw = self.raw.to(self.first)
        if field.rule == "free":
            return self.first + field.scale * raw
        if field.rule == "positive":
            factor = nn.functional.softplus(raw) / math.log(2.0)
            return (self.first * factor).clamp_max(field.high)
        share = ((self.first - field.low) / (field.high - field.low)).clamp(1e-6, 1.0 - 1e-6)
        return field.low + (field.high - field.low) * torch.sigmoid(torch.logit(share) + raw)


def _rule(kind: str, name: str, trained: Sequence[str]) -> Field:
    return KINDS[kind].fields[name] if kind in trained else Field("fixed")
