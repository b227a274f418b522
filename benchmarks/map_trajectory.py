"""How fast and in how much memory `openmm-cg map` works, against a loop over frames with MDTraj and NumPy.

Run: python benchmarks/map_trajectory.py [--frames N] [--loop N] [--format trr|h5|npz] [--periodic]

Writes a random trajectory of a capped ten-residue protein (CLN025, 175 atoms) into a temporary folder and maps it to CA
beads with an optimal force map. The loop does what a script would: MDTraj reads a frame, makes it whole if it is
periodic, and NumPy multiplies positions and forces with the two matrices; it gets the matrices for nothing and runs on
fewer frames. Peak memory is that of a process that does nothing but map (Linux).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import mdtraj as md
import numpy as np
from mapping_throughput import protein
from mdtraj.formats import TRRTrajectoryFile
from openmmcg.data import Dataset, fit_force_map, open_trajectory

PIECE = 2000
BOX = 4.0
MAP = """
import re, sys, time
from openmmcg.data import MapConfig, map_trajectories
path, topology, output, periodic = sys.argv[1:]
config = MapConfig(trajectory=path, mapping="ca", topology=topology, output=output, temperature=300.0,
                   constraints="hbonds", periodic=periodic == "True")
begin = time.perf_counter()
map_trajectories(config, progress=False)
seconds = time.perf_counter() - begin
# Not ru_maxrss, which begins with that of the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(seconds, int(peak[1]) / 1024)
"""


def pieces(n_frames: int, n_atoms: int, start: np.ndarray, periodic: bool):
    """Yield positions (nm), forces (kJ/mol/nm) and boxes; wrapped atom by atom if periodic."""
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.01, size=(PIECE, n_atoms, 3)).astype("f4")
    forces = rng.normal(scale=800, size=(PIECE, n_atoms, 3)).astype("f4")
    for begin in range(0, n_frames, PIECE):
        count = min(PIECE, n_frames - begin)
        positions = start + np.roll(noise[:count], begin // PIECE, axis=1)
        if periodic:
            positions %= BOX
        boxes = np.tile(np.eye(3, dtype="f4") * (BOX if periodic else 0), (count, 1, 1))
        yield positions.astype("f4"), forces[:count], boxes


def write(path: Path, n_frames: int, start: np.ndarray, periodic: bool) -> None:
    """Write the trajectory."""
    frames = pieces(n_frames, len(start), start, periodic)
    if path.suffix == ".trr":
        with TRRTrajectoryFile(str(path), "w") as file:
            for positions, forces, boxes in frames:
                zeros = np.zeros(len(positions), "f4")
                file._write(positions, zeros, zeros.astype("i4"), boxes, zeros, None, forces)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            shape = (n_frames, len(start), 3)
            arrays = {"positions": "nm", "forces": "kJ/mol/nm"}
            for name, unit in arrays.items():
                file.create_dataset(name, shape, "f4", chunks=(100, *shape[1:])).attrs["units"] = (
                    unit
                )
            if periodic:
                file.create_dataset("boxes", (n_frames, 3, 3), "f4", chunks=(1000, 3, 3))
            begin = 0
            for positions, forces, boxes in frames:
                rows = slice(begin, begin + len(positions))
                file["positions"][rows], file["forces"][rows] = positions, forces
                if periodic:
                    file["boxes"][rows] = boxes
                begin = rows.stop
    else:
        everything = [np.concatenate(arrays) for arrays in zip(*frames, strict=True)]
        names = ("positions", "forces", "boxes")[: 3 if periodic else 2]
        units = {"length_unit": "nm", "force_unit": "kJ/mol/nm"}
        np.savez(path, **dict(zip(names, everything, strict=False)), **units)


def read_frames(path: Path, n_frames: int):
    """Yield positions, forces and box frame by frame, as MDTraj, h5py and NumPy give them."""
    if path.suffix == ".trr":
        with TRRTrajectoryFile(str(path)) as file:
            for _ in range(n_frames):
                positions, _, _, boxes, _, _, forces = file._read(1, None, False, True)
                yield positions[0], forces[0], boxes[0]
    else:
        opened = h5py.File(path) if path.suffix == ".h5" else np.load(path)
        with opened as file:
            arrays = file if path.suffix == ".h5" else {name: file[name] for name in file.files}
            for k in range(n_frames):
                box = arrays["boxes"][k] if "boxes" in arrays else None
                yield arrays["positions"][k], arrays["forces"][k], box


def loop(path: Path, n_frames: int, topology: md.Topology, matrix, force_matrix, periodic: bool):
    """Map frame by frame with MDTraj and NumPy; return positions, forces and frames per second."""
    positions, forces = [], []
    begin = time.perf_counter()
    for xyz, atom_forces, box in read_frames(path, n_frames):
        if periodic:
            frame = md.Trajectory(xyz[None], topology)
            frame.unitcell_vectors = box[None]
            xyz = frame.make_molecules_whole().xyz[0]
        positions.append(matrix @ xyz)
        forces.append(force_matrix @ atom_forces)
    return np.array(positions), np.array(forces), n_frames / (time.perf_counter() - begin)


def main() -> None:
    """Print both rates, their ratio, and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000, help="Frames to map.")
    parser.add_argument("--loop", type=int, default=5_000, help="Frames of the loop.")
    parser.add_argument("--format", choices=("trr", "h5", "npz"), default="trr")
    parser.add_argument("--periodic", action="store_true", help="Wrapped atoms in a box.")
    options = parser.parse_args()
    topology = protein()
    start = np.cumsum(
        np.random.default_rng(1).normal(scale=0.08, size=(topology.n_atoms, 3)), axis=0
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"run.{options.format}"
        pdb = Path(folder) / "protein.pdb"
        md.Trajectory(start[None], topology).save_pdb(str(pdb))
        write(path, options.frames, start, options.periodic)
        size = path.stat().st_size / 2**30
        print(
            f"{options.frames} frames of {topology.n_atoms} atoms, {size:.2f} GiB of {path.suffix}"
        )
        output = Path(folder) / "mapped.h5"
        arguments = [sys.executable, "-c", MAP, path, pdb, output, str(options.periodic)]
        done = subprocess.run(list(map(str, arguments)), check=True, capture_output=True, text=True)
        seconds, memory = map(float, done.stdout.split())
        rate = options.frames / seconds
        print(
            f"openmm-cg map       {rate:10,.0f} frames/s, {seconds:.1f} s with the fit of the force map"
        )
        print(f"                    {memory:10,.0f} MiB peak memory")
        with Dataset.open(output) as dataset:
            mapping = dataset.mapping_on_atoms()
            count = min(options.loop, options.frames)
            mapped, mapped_forces = dataset.positions[:count], dataset.forces[:count]
            with open_trajectory(path) as trajectory:  # the frames that the map was fitted to
                sample = trajectory.read(0, options.frames, max(1, options.frames // 2000)).forces
            force_map = fit_force_map(mapping, sample, "optimal", dataset.constraints)
        atomistic = mapping.atomistic
        positions, forces, slow = loop(
            path, count, atomistic, mapping.matrix, force_map.matrix, options.periodic
        )
        print(f"frame by frame      {slow:10,.0f} frames/s on {count} frames")
        print(f"ratio               {rate / slow:10.1f}")
        shift = positions - mapped
        if options.periodic:
            shift -= np.rint(shift / BOX) * BOX
        print(
            f"largest differences {np.abs(shift).max():.1e} nm, "
            f"{np.abs(forces - mapped_forces).max():.1e} kJ/mol/nm of {np.abs(forces).max():.0f}"
        )


if __name__ == "__main__":
    main()
