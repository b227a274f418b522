"""The force map of a sampling run, fitted to a short pilot run and kept for when it goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from scipy import sparse

from openmmcg.data.force_maps.comparison import compare_force_maps
from openmmcg.data.force_maps.fit import ForceMap, fit_force_map
from openmmcg.data.sampling.dynamics import Dynamics, forces_of, seed_of
from openmmcg.data.sampling.job import PILOT, Job, naming
from openmmcg.files import atomic_path

PILOT_INTERVAL = 0.2  # ps; forces have forgotten each other
PILOT_FRAMES = (20, 300)
"""Least and most frames; between them as many as give a template this many samples:"""
PILOT_SAMPLES = 3000


def job_force_map(job: Job, console: Console) -> ForceMap:
    """Return the force map of a job: read from its folder, or fitted and stored there."""
    kind = job.config.force_map
    if kind != "optimal":
        return fit_force_map(job.mapping, kind=kind, constraints=job.constraints)
    path = job.parts / "force-map.npz"
    if path.exists():
        return _load(path, kind)
    with console.status("Fitting the force map to a pilot run"):
        forces = pilot_forces(job, _n_frames(job))
    optimal = fit_force_map(job.mapping, forces, kind, job.constraints)
    console.print(compare_force_maps(job.mapping, forces, job.constraints).table())
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        sparse.save_npz(handle, optimal.sparse)
    return optimal


def _load(path: Path, kind: str) -> ForceMap:
    try:
        return ForceMap(sparse.csr_array(sparse.load_npz(path)), kind)
    except Exception as error:  # zipfile and NumPy raise several kinds
        raise RuntimeError(
            f"The force map {path} cannot be read ({error}); remove the folder {path.parent} to "
            "sample anew."
        ) from error


def _n_frames(job: Job) -> int:
    """Return the number of pilot frames: fewer where there are many molecules of a kind."""
    copies = min(len(group.atoms) for group in job.mapping.molecule_groups)
    least, most = PILOT_FRAMES
    return min(most, max(least, PILOT_SAMPLES // copies))


def pilot_forces(job: Job, n_frames: int) -> np.ndarray:
    """Return atom forces (n_frames, n_atoms, 3), kJ/mol/nm, of a short run without bias."""
    config = job.config
    simulation = Dynamics(
        config, job.atomistic.system, config.kelvins[0], seed_of(config, PILOT, 0)
    )
    forces = np.empty((n_frames, *job.atomistic.positions.shape))
    with naming(PILOT, config):
        seed = seed_of(config, PILOT, 1)
        simulation.start(job.starts[0], job.atomistic.box, seed, job.minimise)
        simulation.step(config.steps(config.equilibration))
        for frame in range(n_frames):
            simulation.step(config.steps(PILOT_INTERVAL))
            forces[frame] = forces_of(simulation.context.getState(forces=True))
    return forces
