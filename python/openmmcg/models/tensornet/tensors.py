"""3 x 3 tensors as nine components: trace, antisymmetric and symmetric traceless part.

Components t, (a, b, c) and (p, q, r, u, v) stand for the tensor::

        | t + u    p - c    q + b     |
        | p + c    t + v    r - a     |
        | q - b    r + a    t - u - v |

The matrices that lead back and forth hold whole numbers only, so that they are exact in every
precision and symmetries hold to rounding. Components are the first axis of all arrays, so that
these matrices and the mixing of features work on long rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_COMPONENTS = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((0, 0, 1), (0, 0, 0), (-1, 0, 0)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 0)),
    ((0, 1, 0), (1, 0, 0), (0, 0, 0)),
    ((0, 0, 1), (0, 0, 0), (1, 0, 0)),
    ((0, 0, 0), (0, 0, 1), (0, 1, 0)),
    ((1, 0, 0), (0, 0, 0), (0, 0, -1)),
    ((0, 0, 0), (0, 1, 0), (0, 0, -1)),
)


_PART_OF_COMPONENT = (0, 1, 1, 1, 2, 2, 2, 2, 2)


class TensorAlgebra(nn.Module):
    """Products and norms of tensors given by their components.

    Parameters
    ----------
    chiral : bool
        Whether `product` is twice the plain matrix product, which mixes parities; otherwise it is
        the anticommutator, which keeps the antisymmetric part odd under reflection and the rest
        even.
    """

    def __init__(self, chiral: bool) -> None:
        super().__init__()
        self.chiral = chiral
        compose = torch.tensor(_COMPONENTS, dtype=torch.float64).flatten(1).t()
        six_times_inverse = (6.0 * torch.linalg.inv(compose)).round()
        real = torch.get_default_dtype()
        self.compose: Tensor
        self.decompose: Tensor
        self.metric: Tensor
        self.register_buffer("compose", compose.to(real), persistent=False)
        self.register_buffer("decompose", six_times_inverse.to(real), persistent=False)
        self.register_buffer("metric", (compose.t() @ compose).to(real), persistent=False)

    def of_directions(self, directions: Tensor) -> Tensor:
        """Components (9, ...) of 1 + skew(r) + (r r - 1/3) for unit vectors r (..., 3)."""
        x, y, z = directions.unbind(-1)
        one, third = torch.ones_like(x), 1.0 / 3.0
        return torch.stack([one, x, y, z, x * y, x * z, y * z, x * x - third, y * y - third])

    def matrices(self, components: Tensor) -> Tensor:
        """Matrices (3, 3, ...) of components (9, ...)."""
        flat = self.compose @ components.flatten(1)
        return flat.reshape(components.shape).unflatten(0, [3, 3])

    def components(self, matrices: Tensor) -> Tensor:
        """Components (9, ...) of matrices (3, 3, ...)."""
        rows = matrices.flatten(0, 1)
        return (self.decompose @ rows.flatten(1) / 6.0).reshape(rows.shape)

    def square(self, components: Tensor) -> Tensor:
        """Components of the matrix product of tensors with themselves."""
        matrices = self.matrices(components)
        return self.components(multiply(matrices, matrices))

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Components of left right + right left, or of 2 left right if chiral."""
        a, b = self.matrices(left), self.matrices(right)
        matrices = multiply(a, b)
        matrices = 2.0 * matrices if self.chiral else matrices + multiply(b, a)
        return self.components(matrices)

    def squares(self, components: Tensor) -> Tensor:
        """Parts (9, ...) of the squared Frobenius norm, one for each component."""
        return (self.metric @ components.flatten(1)).reshape(components.shape) * components

    def norm(self, components: Tensor) -> Tensor:
        """Squared Frobenius norms (...) of components (9, ...)."""
        return self.squares(components).sum(0)

    def part_norms(self, components: Tensor) -> Tensor:
        """Squared norms (..., 3 width) of the three parts of components (9, ..., width)."""
        trace, vector, tensor = self.squares(components).split([1, 3, 5])
        return torch.cat([trace.squeeze(0), vector.sum(0), tensor.sum(0)], -1)


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """Product of matrices (3, 3, ...), one for each place on the further axes."""
    columns, rows = left.unsqueeze(2).unbind(1), right.unsqueeze(0).unbind(1)
    return columns[0] * rows[0] + columns[1] * rows[1] + columns[2] * rows[2]


def gather(pairs: Tensor, senders: list[Tensor], factors: Tensor, n_beads: int) -> Tensor:
    """Sum the parts of tensors times factors over the pairs of each first bead.

    Parameters
    ----------
    pairs : torch.Tensor of int64, shape (2, P)
        Directed pairs.
    senders : list of three torch.Tensor, shapes (1 | 3 | 5, P, F, width or 1)
        Parts of what second beads send.
    factors : torch.Tensor, shape (P, F, 3 width)
        One factor for each part.
    n_beads : int
        Number of beads.

    Returns
    -------
    torch.Tensor, shape (9, n_beads, F, width)
    """
    of_trace, of_vector, of_tensor = factors.chunk(3, -1)
    return torch.cat(
        [
            _sum(pairs, senders[0] * of_trace, n_beads),
            _sum(pairs, senders[1] * of_vector, n_beads),
            _sum(pairs, senders[2] * of_tensor, n_beads),
        ]
    )


def _sum(pairs: Tensor, messages: Tensor, n_beads: int) -> Tensor:
    shape = [messages.size(0), n_beads, messages.size(2), messages.size(3)]
    return messages.new_zeros(shape).index_add(1, pairs[0], messages)


class Parts(nn.Module):
    """Operations that treat the three parts alike, as equivariance asks."""

    def __init__(self) -> None:
        super().__init__()
        self.part: Tensor
        self.register_buffer("part", torch.tensor(_PART_OF_COMPONENT), persistent=False)

    def scale(self, components: Tensor, factors: Tensor) -> Tensor:
        """Multiply (9, ..., width) by factors (..., 3 width), `width` of them for each part."""
        by_part = torch.stack(factors.chunk(3, -1))
        return components * by_part.index_select(0, self.part)


class PartMixer(Parts):
    """Linear mixtures of features, one for each part, as equivariance allows.

    Parameters
    ----------
    width : int
        Number of features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(3, width, width))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, components: Tensor) -> Tensor:
        """Mixed components (9, N, F, width)."""
        weight = self.weight.index_select(0, self.part)
        return torch.bmm(components.flatten(1, 2), weight.transpose(1, 2)).reshape(components.shape)
