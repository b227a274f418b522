"""The terms of the loss that belong to the dependence on the temperature."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from openmmcg.training.thermal.labels import ThermalLabels, centred


def thermal_loss(
    labels: Sequence[ThermalLabels | None],
    responses: Sequence[Tensor],
    mean_energies: Sequence[Tensor],
) -> Tensor:
    """Weighted squares of all terms, over the number of force components of the batch.

    Parameters
    ----------
    labels : sequence of ThermalLabels or None
        Of each part of a batch.
    responses : sequence of torch.Tensor, shape (F, N, 3)
        T dF/dT of the network, kJ/mol/nm.
    mean_energies : sequence of torch.Tensor, shape (F,)
        W - T dW/dT, kJ/mol.

    Returns
    -------
    torch.Tensor
        (kJ/mol/nm)^2, to be added to the mean square of force components.
    """
    total = responses[0].new_zeros(())
    for label, response, energy in zip(labels, responses, mean_energies, strict=True):
        if label is None:
            continue
        if label.responses is not None and label.response_weights is not None:
            squares = (response - label.responses).square()
            total = total + (squares * label.response_weights).sum()
        if label.energies is not None and label.energy_weights is not None:
            errors = centred(energy - label.energies, label.groups)
            total = total + (errors.square() * label.energy_weights).sum()
    return total / sum(response.numel() for response in responses)


def needs_responses(labels: Sequence[ThermalLabels | None]) -> bool:
    """Whether a batch has labels of responses, which take one more gradient."""
    return any(label is not None and label.responses is not None for label in labels)


def response_gain(
    labels: Sequence[ThermalLabels | None], responses: Sequence[Tensor]
) -> tuple[float, float]:
    """Weighted squares of response labels less those of the errors, and of the labels alone.

    On frames that were not trained on, the first one is positive if the network knows more than
    that forces do not depend on the temperature.
    """
    gain = whole = 0.0
    for label, response in zip(labels, responses, strict=True):
        if label is None or label.responses is None or label.response_weights is None:
            continue
        own = (label.responses.square() * label.response_weights).sum()
        error = ((response - label.responses).square() * label.response_weights).sum()
        gain, whole = gain + float(own - error), whole + float(own)
    return gain, whole
