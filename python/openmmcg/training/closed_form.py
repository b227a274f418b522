"""Training in closed form, for networks that are linear in their weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from openmmcg.files import atomic_path
from openmmcg.models import CGNetwork
from openmmcg.training.batches import FrameModule, FrameSet, Part, pair_lists
from openmmcg.training.config import LINEAR, TrainConfig
from openmmcg.training.folder import BEST
from openmmcg.training.frames import TrainingData
from openmmcg.training.module import ForceMatching
from openmmcg.training.network import PREFIX, make_network

if TYPE_CHECKING:
    from openmmcg.models.pair_spline import PairBatch, PairSpline

BATCH_BEADS = 20_000
_SAMPLE = 2000
_MARGIN = 0.1
_UNUSED = ("prior_learning_rate", "position_noise", "decoys", "energy_weight", "frame_weights")


def is_linear(config: TrainConfig) -> bool:
    """Whether the weights are found by linear least squares: trained functions of T are not."""
    return config.network == LINEAR and config.thermal != "input"


def spline_network(
    config: TrainConfig, data: TrainingData, thermal: Mapping[str, Any]
) -> CGNetwork:
    """Make pair splines whose ranges are those of the bonded pairs in the data.

    Parameters
    ----------
    config : TrainConfig
    data : TrainingData
    thermal : mapping
        Hyperparameters of the dependence on the temperature.

    Raises
    ------
    ValueError
        If a setting is on that a least-squares fit of forces does not know.
    """
    if is_linear(config) and (config.thermal_weights or {}).get("energies"):
        raise ValueError(
            f"thermal_weights has energies, but {config.network} is fitted to forces and responses "
            "only; leave them out or choose another network."
        )
    for name in _UNUSED if is_linear(config) else ():
        if getattr(config, name):
            raise ValueError(
                f"{name} is {getattr(config, name)!r}, but {config.network} is solved in closed form and "
                "has no use for it; leave it out or choose another network."
            )
    return make_network(config, data.type_names, ranges=data_ranges(config, data), **thermal)


def fit_in_closed_form(
    output: Path, module: ForceMatching, data: TrainingData, config: TrainConfig
) -> None:
    """Solve for the weights of the module's network, write them, and record the loss.

    Parameters
    ----------
    output : Path
        Folder for the checkpoint.
    module : ForceMatching
        Its network is changed, its history gets one entry.
    data : TrainingData
        The frames.
    config : TrainConfig
        Settings.
    """
    from openmmcg.models.pair_spline import PairSpline, solve

    network = module.network
    assert isinstance(network, PairSpline)

    def batches() -> Iterator[PairBatch]:
        for part, types in _parts(data, network.n_channels):
            pairs = pair_lists(part, data.systems[part.system].template)
            yield _rows(network, part, types, pairs)

    report = solve(network, batches())
    module.record(0, report["loss"], module.residuals(FrameModule(data, config).val_dataloader()))
    state = {PREFIX + name: value for name, value in network.state_dict().items()}
    with atomic_path(output / BEST) as temporary:
        torch.save({"state_dict": state}, temporary)


def _rows(
    network: PairSpline, part: Part, types: Tensor, pairs: tuple[Tensor, Tensor, Tensor]
) -> PairBatch:
    """Forces of frames, and their responses as if these were forces of further frames."""
    from openmmcg.models.pair_spline import PairBatch

    count, beads, _ = part.positions.shape
    points, forces = part.positions.reshape(-1, 3), part.forces.reshape(-1, 3)
    if network.thermal is None:
        return PairBatch(points, forces, types.repeat(count), *pairs)
    values, slopes = network.thermal(part.temperatures.double())
    factors = values.repeat_interleave(beads, 0)
    weights = torch.ones_like(part.forces) if part.weights is None else part.weights
    weights = weights.expand_as(part.forces).reshape(-1, 3)
    label = part.thermal
    if label is None or label.responses is None or label.response_weights is None:
        return PairBatch(points, forces, types.repeat(count), *pairs, factors, weights)
    slopes = (part.temperatures[:, None] * slopes).repeat_interleave(beads, 0)
    return PairBatch(
        points.repeat(2, 1),
        torch.cat([forces, label.responses.reshape(-1, 3)]),
        types.repeat(2 * count),
        torch.cat([pairs[0], pairs[0] + len(points)], 1),
        pairs[1].repeat(2, 1),
        pairs[2].repeat(2),
        torch.cat([factors, slopes]),
        torch.cat([weights, label.response_weights.expand_as(part.forces).reshape(-1, 3)]),
    )


def _parts(data: TrainingData, channels: int) -> Iterator[tuple[Part, Tensor]]:
    """Training frames in pieces whose design matrices are of like size, with their types."""
    frames = FrameSet(data)
    beads = BATCH_BEADS if channels == 1 else BATCH_BEADS // (2 * channels)
    for index, system in enumerate(data.systems):
        numbers = torch.from_numpy(system.training + data.offsets[index])
        size = max(1, min(beads // system.n_beads, -(-len(numbers) // 2)))
        for chunk in numbers.split(size):
            (part,) = frames[chunk]
            yield part, system.types


def data_ranges(config: TrainConfig, data: TrainingData) -> list[list[float]]:
    """Range of each edge type in nm: where bonded pairs are, with a margin; else all there is."""
    from openmmcg.models import EDGE_TYPE_COUNT

    found: list[list[float]] = [[] for _ in range(EDGE_TYPE_COUNT)]
    frames = FrameSet(data)
    for index, system in enumerate(data.systems):
        some = system.training[:: 1 + len(system.training) // _SAMPLE] + data.offsets[index]
        for chunk in torch.from_numpy(some).split(max(1, BATCH_BEADS // system.n_beads)):
            (part,) = frames[chunk]
            pairs, shifts, kinds = pair_lists(part, system.template)
            points = part.positions.reshape(-1, 3)
            lengths = torch.linalg.vector_norm(points[pairs[1]] + shifts - points[pairs[0]], dim=1)
            for kind in range(2, EDGE_TYPE_COUNT):
                own = lengths[kinds == kind]
                if len(own):
                    found[kind] += [float(own.min()), float(own.max())]
    ranges = []
    for values in found:
        low, high = (min(values), max(values)) if values else (0.0, config.cutoff)
        margin = _MARGIN * max(high - low, 0.05 * high) if values else 0.0
        ranges.append([max(0.0, low - margin), min(config.cutoff, high + margin)])
    return ranges
