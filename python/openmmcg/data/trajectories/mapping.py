"""Map atomistic trajectories with forces into a dataset, in pieces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from openmmcg.data.force_maps.comparison import (
    ForceMapComparison,
    compare_moments,
    held_out_frames,
)
from openmmcg.data.force_maps.fit import ForceMap, fit_force_map
from openmmcg.data.force_maps.moments import ForceMoments
from openmmcg.data.frames import Frames
from openmmcg.data.provenance import input_file, versions
from openmmcg.data.trajectories import AtomFrames
from openmmcg.data.trajectories.map_config import MapConfig
from openmmcg.data.trajectories.map_inputs import (
    TrajectoryPart,
    check_atoms,
    every_nth,
    find_constraints,
    find_topology,
    open_parts,
)
from openmmcg.data.writing import dataset_writer
from openmmcg.mapping import Mapping, load_mapping

_FEWEST = 20
"""Frames below which force maps are not compared."""


def map_trajectories(config: MapConfig, progress: bool = True) -> Path:
    """Map trajectories into a dataset; the file appears once it is whole.

    A first pass over a part of the frames fits the force map, and compares force maps on frames
    held out; a second one maps all frames. Both read in pieces, so that memory does not depend on
    the number of frames.

    Parameters
    ----------
    config : MapConfig
    progress : bool
        Show a progress bar, the comparison of force maps, and a line on what was written.

    Returns
    -------
    Path
        The dataset.

    Raises
    ------
    FileNotFoundError
        If an input file does not exist.
    ValueError
        If the output exists, or inputs are damaged, lack forces, units or the temperature, do not
        fit together, or hold numbers that are not finite.
    """
    console = Console(quiet=not progress, soft_wrap=True)
    output = Path(config.output)
    if output.exists():
        raise ValueError(f"{output} exists already; remove it or choose another output.")
    begin = time.perf_counter()
    with ExitStack() as stack:
        parts = open_parts(config, stack, console)
        mapping = load_mapping(config.mapping, find_topology(config, parts), config.encoding)
        check_atoms(parts, mapping)
        constraints, origin = find_constraints(config, parts, mapping)
        console.print(f"{len(constraints)} rigid distances ({origin}).")
        force_map, comparison = _fit(config, parts, mapping, constraints)
        if comparison is not None:
            console.print(comparison.table())
        source = {
            "config": config.settings(),
            "inputs": [input_file(part.trajectory.path) for part in parts],
            "constraints": origin,
            "force_map_noise": None if comparison is None else comparison.noise,
            "versions": versions("mdtraj", "numpy"),
        }
        with (
            Progress(console=console) as bar,
            dataset_writer(
                output,
                mapping,
                force_map=force_map.kind,
                source=source,
                constraints=constraints,
                position_noise=force_map.position_noise,
            ) as append,
        ):
            total = sum(len(part.rows) for part in parts)
            task = bar.add_task("mapping", total=total)
            walker = 0
            for number, part in enumerate(parts):
                rng = np.random.default_rng([config.seed, number])
                last = walker
                for rows, atoms in part.pieces():
                    frames = _map(config, part, walker, rows, atoms, mapping, force_map, rng)
                    append(frames)
                    bar.advance(task, len(rows))
                    last = max(last, int(frames.walkers.max()))
                walker = last + 1
    seconds = time.perf_counter() - begin
    console.print(
        f"Wrote {output}: {total} frames of {mapping.n_beads} beads from {mapping.n_atoms} atoms "
        f"in {seconds:.1f} s."
    )
    return output


def _map(
    config: MapConfig,
    part: TrajectoryPart,
    walker: int,
    rows: range,
    atoms: AtomFrames,
    mapping: Mapping,
    force_map: ForceMap,
    rng: np.random.Generator,
) -> Frames:
    assert atoms.positions is not None and atoms.forces is not None
    boxes = atoms.boxes if config.periodic else None
    beads = mapping.apply(atoms.positions, boxes)
    positions, forces = force_map.augment(beads, atoms.forces, rng)
    for name, values in (
        ("positions", positions),
        ("forces", forces),
        ("energies", atoms.energies),
    ):
        _check_finite(part.trajectory.path, rows, name, values)
    temperatures = atoms.temperatures
    if temperatures is None:
        temperatures = np.full(len(rows), config.temperature)
    return Frames(
        positions=positions,
        forces=forces,
        energies=atoms.energies,
        temperatures=temperatures,
        bias_energies=np.zeros(len(rows)),
        walkers=walker + (np.zeros(len(rows), int) if atoms.walkers is None else atoms.walkers),
        weights=atoms.weights,
        boxes=boxes,
    )


def _check_finite(path: Path, rows: range, name: str, values: np.ndarray | None) -> None:
    if values is None or np.isfinite(values).all():
        return
    finite = np.isfinite(values.reshape(len(rows), -1)).all(axis=1)
    raise ValueError(
        f"Frame {rows[int(finite.argmin())]} of {path} has {name} that are not finite; leave it "
        "out with start and stop, or repair the file."
    )


def _fit(
    config: MapConfig, parts: Sequence[TrajectoryPart], mapping: Mapping, constraints: np.ndarray
) -> tuple[ForceMap, ForceMapComparison | None]:
    """Gather moments of forces in a first pass; fit the force map to them and compare kinds."""
    every = every_nth(parts, config.fit_frames)
    count = sum(len(part.rows[::every]) for part in parts)
    options: dict[str, Any] = {
        "position_noise": config.position_noise,
        "temperature": config.temperature,
    }
    if count < _FEWEST:
        if config.force_map == "optimal" or config.position_noise:
            raise ValueError(
                f"{count} frames are too few to fit a force map to; map {_FEWEST} or more, or "
                "choose the force map 'uniform'."
            )
        return fit_force_map(mapping, None, config.force_map, constraints), None
    marked = held_out_frames(count)
    try:
        fit, held_out = ForceMoments(mapping, constraints), ForceMoments(mapping, constraints)
    except ValueError:
        # A molecule too large to compare maps on can still be mapped; other errors come again.
        if config.force_map == "optimal" or config.position_noise:
            raise
        return fit_force_map(mapping, None, config.force_map, constraints), None
    done = 0
    for part in parts:
        for rows, frames in part.pieces(every):
            assert frames.forces is not None
            _check_finite(part.trajectory.path, rows, "forces", frames.forces)
            own = marked[done : done + len(rows)]
            fit.add(frames.forces[~own])
            held_out.add(frames.forces[own])
            done += len(rows)
    total = fit + held_out
    force_map = fit_force_map(mapping, total, config.force_map, constraints, **options)
    return force_map, compare_moments(fit, held_out)
