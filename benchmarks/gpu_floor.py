"""The least time that a SchNet can take on a device: that of its arithmetic, or of the bytes that it must move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Lanes of single precision in a multiprocessor, by the major version of the compute capability.
_LANES = {7: 64, 8: 128, 9: 128, 10: 128, 12: 128}


@dataclass
class Work:
    """What an evaluation takes at least: floating-point operations, and bytes to and from the device's memory."""

    flops: float
    bytes: float


def schnet_work(beads: int, pairs: int, width: int, interactions: int, rbf: int) -> Work:
    """Count the work of energies and forces.

    Each directed pair needs a filter (two layers) and a message in each interaction, each bead three layers; the
    gradient with respect to positions takes as much again. Of the memory, positions, pairs, weights and forces are
    moved once, as if everything in between stayed in the processor.

    Parameters
    ----------
    beads, pairs : int
        Beads and directed pairs within the cutoff.
    width, interactions, rbf : int
        Sizes of the network.
    """
    pair = 2 * rbf * width + 2 * width * width + 2 * width
    bead = 3 * 2 * width * width
    weights = interactions * (rbf * width + 4 * width * width) * 4
    pair_bytes = 2 * 8 + 3 * 4 + 8  # two indices, a shift, an edge type
    bead_bytes = 8 + 3 * 4 + 3 * 4  # a type, a position, a force
    return Work(
        flops=2.0 * interactions * (pairs * pair + beads * bead),
        bytes=float(pairs * pair_bytes + beads * bead_bytes + weights),
    )


def floor_seconds(work: Work, device: dict[str, Any]) -> float:
    """Return the larger of the times for the arithmetic and for the bytes, in s.

    Parameters
    ----------
    work : Work
        The work.
    device : dict
        ``flops`` and ``bytes``: what the device does in a second.
    """
    return max(work.flops / device["flops"], work.bytes / device["bytes"])


def device_rates(properties: Any) -> dict[str, float]:
    """Return the peak rates of a device, in single precision without tensor cores.

    Parameters
    ----------
    properties : torch.cuda.device_properties
        What ``torch.cuda.get_device_properties`` returns; clock rates in kHz.
    """
    lanes = _LANES.get(properties.major, 128)
    return {
        "flops": 2e3 * properties.multi_processor_count * lanes * properties.clock_rate,
        "bytes": 2e3 * properties.memory_clock_rate * properties.memory_bus_width / 8,
    }
