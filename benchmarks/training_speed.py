"""Training speed against SchNet in PyTorch Geometric: the same data, sizes, batches and threads, in turn.

Run: python benchmarks/training_speed.py [--threads N] [--batch-size N] [--width N] [--seconds S] [--dataset FILE]

One step is what a training does: draw a batch, energies, forces, the gradient of the squared force error, AdamW.
Ours is the data module and the Lightning module of `openmm-cg train`. The other is torch_geometric.nn.SchNet, served
by its DataLoader, with the edges of each frame made beforehand; without torch_geometric (pip install
torch_geometric), the same network written as it writes it, over one graph a batch with gather and scatter. mlcg uses
PyTorch Geometric too and is not on PyPI. The third is our network in that layout. Without a dataset, frames are capped
alanine (6 beads) with noise: the time does not depend on the forces.

Variants take turns in rounds, so that a busy machine slows all. Printed are medians over rounds of frames a second of
wall-clock time and of processor time (which other programs disturb less; it counts all threads), the share of the time
that went into drawing batches, and how much the process grew over as many steps of ours.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import openmmcg  # noqa: F401  (before torch)
import torch
from openmmcg.data import Dataset, Frames, recipe, write_dataset
from openmmcg.mapping import Mapping
from openmmcg.training import TrainConfig
from openmmcg.training.batches import Batch, FrameModule
from openmmcg.training.frames import TrainingData, load_data
from openmmcg.training.module import ForceMatching
from openmmcg.training.network import make_network
from torch import Tensor, nn

FRAMES, ROUNDS = 20_000, 8
RATE = 1e-3

Step = Callable[[Any], object]


class FilterBlock(nn.Module):
    """An interaction as in torch_geometric.nn.models.schnet: filters by a network for each directed edge."""

    def __init__(self, width: int, rbf: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.filters = nn.Sequential(nn.Linear(rbf, width), nn.Softplus(), nn.Linear(width, width))
        self.before = nn.Linear(width, width, bias=False)
        self.after = nn.Sequential(nn.Linear(width, width), nn.Softplus(), nn.Linear(width, width))

    def forward(self, x: Tensor, edges: Tensor, lengths: Tensor, basis: Tensor) -> Tensor:
        """Features (N, width) to add."""
        envelope = 0.5 * (torch.cos(lengths * torch.pi / self.cutoff) + 1.0)
        messages = self.before(x)[edges[0]] * self.filters(basis) * envelope[:, None]
        return self.after(torch.zeros_like(x).index_add(0, edges[1], messages))


class ScatterSchNet(nn.Module):
    """SchNet over one graph for a batch, written as PyTorch Geometric does."""

    def __init__(self, width: int, interactions: int, rbf: int, cutoff: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, width)
        self.register_buffer("centres", torch.linspace(0.0, cutoff, rbf))
        self.blocks = nn.ModuleList(FilterBlock(width, rbf, cutoff) for _ in range(interactions))
        self.readout = nn.Sequential(
            nn.Linear(width, width // 2), nn.Softplus(), nn.Linear(width // 2, 1)
        )

    def forward(self, types: Tensor, positions: Tensor, edges: Tensor) -> Tensor:
        """Total energy."""
        lengths = (positions[edges[0]] - positions[edges[1]]).norm(dim=-1)
        width = self.centres[1] - self.centres[0]
        basis = torch.exp(-0.5 * ((lengths[:, None] - self.centres) / width) ** 2)
        x = self.embedding(types)
        for block in self.blocks:
            x = x + block(x, edges, lengths, basis)
        return self.readout(x).sum()


class Variant:
    """A way to train: where batches come from and what a step does with one."""

    def __init__(self, name: str, batches: Callable[[], Iterator[Any]], step: Step) -> None:
        self.name, self.step = name, step
        self._new, self._batches = batches, batches()
        self.rates: list[float] = []
        self.processor_rates: list[float] = []
        self.loading: list[float] = []

    def run(self, seconds: float, batch_size: int) -> None:
        """Take steps for some time and keep frames/s and the share of the loading."""
        start, loading, steps = time.perf_counter(), 0.0, 0
        processor = time.process_time()
        while time.perf_counter() - start < seconds or steps < 2:
            begin = time.perf_counter()
            batch = next(self._batches, None)
            if batch is None:
                self._batches = self._new()
                batch = next(self._batches)
            loading += time.perf_counter() - begin
            self.step(batch)
            steps += 1
        total = time.perf_counter() - start
        self.rates.append(steps * batch_size / total)
        self.processor_rates.append(steps * batch_size / (time.process_time() - processor))
        self.loading.append(loading / total)

    def forget(self) -> None:
        """Drop what was measured, as of a first round."""
        for values in (self.rates, self.processor_rates, self.loading):
            values.clear()

    def medians(self) -> tuple[float, float]:
        """Frames a second of wall-clock and of processor time."""
        return statistics.median(self.rates), statistics.median(self.processor_rates)


def ours(data: TrainingData, config: TrainConfig) -> Variant:
    """Return what `openmm-cg train` does."""
    frames = FrameModule(data, config)
    module = ForceMatching(make_network(config, data.type_names), data, config, 10**6)
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE)
    loader = frames.train_dataloader()

    def step(batch: Batch) -> None:
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        module._train_losses.clear()

    return Variant("openmm-cg schnet", lambda: iter(loader), step)


def force_step(network: nn.Module, energy: Callable[[Any, Tensor], Tensor]) -> Step:
    """Return a step on batches with the attributes pos and forces."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)

    def step(batch: Any) -> None:
        optimizer.zero_grad()
        leaf = batch.pos.detach().requires_grad_(True)
        total = energy(batch, leaf)
        (gradient,) = torch.autograd.grad(total, leaf, create_graph=True)
        (-gradient - batch.forces).square().mean().backward()
        optimizer.step()

    return step


class Graph:
    """A batch of frames as one graph."""

    def __init__(self, pos: Tensor, forces: Tensor, types: Tensor, edges: Tensor) -> None:
        count, beads, _ = pos.shape
        starts = (torch.arange(count) * beads)[None, :, None]
        self.pos, self.forces = pos.reshape(-1, 3), forces.reshape(-1, 3)
        self.z = types.repeat(count)
        self.edge_index = (edges[:, None, :] + starts).reshape(2, -1)


def graphs(data: TrainingData, batch_size: int) -> Iterator[Graph]:
    """Yield batches as graphs."""
    (system,) = data.systems
    assert system.template is not None
    for rows in torch.randperm(len(system.positions)).split(batch_size)[:-1]:
        yield Graph(
            system.positions[rows], system.forces[rows], system.types, system.template.directed
        )


def same_network(data: TrainingData, config: TrainConfig) -> Variant:
    """Return our network in the layout of one graph a batch."""
    network = make_network(config, data.type_names)
    (system,) = data.systems
    assert system.template is not None
    kinds = system.template.directed_edge_types.repeat(config.batch_size)
    temperature = torch.tensor([data.temperature])

    def energy(batch: Graph, leaf: Tensor) -> Tensor:
        shifts = torch.zeros(batch.edge_index.shape[1], 3)
        return network.bead_energies(
            leaf, batch.z, batch.edge_index, shifts, kinds, temperature
        ).sum()

    return Variant(
        "our network, one graph a batch",
        lambda: graphs(data, config.batch_size),
        force_step(network, energy),
    )


def geometric(data: TrainingData, config: TrainConfig) -> Variant:
    """Return PyTorch Geometric's SchNet, or the same written here."""
    sizes = (config.width, config.interactions, config.rbf, config.cutoff)
    try:
        from torch_geometric.data import Data
        from torch_geometric.loader import DataLoader
        from torch_geometric.nn import SchNet
    except ImportError:
        network = ScatterSchNet(*sizes)
        step = force_step(network, lambda batch, leaf: network(batch.z, leaf, batch.edge_index))
        return Variant(
            "scatter SchNet (no torch_geometric)", lambda: graphs(data, config.batch_size), step
        )
    (system,) = data.systems
    assert system.template is not None
    edges = system.template.directed
    made = [
        Data(z=system.types, pos=positions, forces=forces, edge_index=edges)
        for positions, forces in zip(system.positions, system.forces, strict=True)
    ]
    current: list[Any] = []

    def known_edges(positions: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        row, column = current[-1].edge_index
        return current[-1].edge_index, (positions[row] - positions[column]).norm(dim=-1)

    schnet = SchNet(
        sizes[0], sizes[0], sizes[1], sizes[2], cutoff=sizes[3], interaction_graph=known_edges
    )

    def energy(batch: Any, leaf: Tensor) -> Tensor:
        current[:] = [batch]
        total: Tensor = schnet(batch.z, leaf, batch.batch).sum()
        return total

    loader = DataLoader(made, batch_size=config.batch_size, shuffle=True, drop_last=True)
    return Variant("torch_geometric.nn.SchNet", lambda: iter(loader), force_step(schnet, energy))


def noisy_alanine(path: Path) -> Path:
    """Write frames of capped alanine with noise on the beads."""
    system = recipe("capped-alanine")
    mapping = Mapping.builtin("core-beta", system.topology, "name")
    rng = np.random.default_rng(0)
    beads = mapping.apply(np.asarray(system.positions))
    positions = beads + rng.normal(0.0, 0.01, (FRAMES, *beads.shape))
    frames = Frames(
        positions=positions.astype("f4"),
        forces=rng.normal(0.0, 300.0, positions.shape).astype("f4"),
        energies=None,
        temperatures=np.full(FRAMES, 300.0),
        bias_energies=np.zeros(FRAMES),
        walkers=np.zeros(FRAMES, dtype=np.int32),
    )
    return write_dataset(path, mapping, frames, force_map="uniform", source={"by": "a benchmark"})


def resident() -> float:
    """Memory of the process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--interactions", type=int, default=2)
    parser.add_argument("--rbf", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each variant in a round")
    parser.add_argument("--dataset", help="one molecule without a box")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            dataset=given.dataset or str(noisy_alanine(Path(folder) / "frames.h5")),
            width=given.width,
            interactions=given.interactions,
            rbf=given.rbf,
            batch_size=given.batch_size,
            priors=[],
            check_units=False,
        )
        with Dataset.open(config.sources()[0][0]) as dataset:
            data = load_data([dataset], config)
    variants = [make(data, config) for make in (ours, geometric, same_network)]
    for _ in range(3):
        variants[0].run(given.seconds, given.batch_size)
    memory = resident()
    for _ in range(ROUNDS):
        variants[0].run(given.seconds, given.batch_size)
    growth = resident() - memory
    for variant in variants:
        variant.run(given.seconds, given.batch_size)
        variant.forget()
    for _ in range(ROUNDS):
        for variant in variants:
            variant.run(given.seconds, given.batch_size)
    (system,) = data.systems
    print(
        f"{system.n_beads} beads, width {given.width}, {given.interactions} interactions, "
        f"{given.rbf} rbf, batches of {given.batch_size}, {given.threads} threads, "
        f"torch {torch.__version__}"
    )
    print(f"{'':34s} frames/s  (ours is)  frames/CPU s  (ours is)  loading")
    rate, processor_rate = variants[0].medians()
    for variant in variants:
        own, processor = variant.medians()
        print(
            f"  {variant.name:32s} {own:8.0f} {rate / own:9.1f}x {processor:13.0f} "
            f"{processor_rate / processor:9.1f}x {statistics.median(variant.loading):8.1%}"
        )
    print(f"  memory {memory:.0f} MB, {growth:+.1f} MB over {ROUNDS} rounds of ours")


if __name__ == "__main__":
    main()
