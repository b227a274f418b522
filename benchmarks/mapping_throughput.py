"""How fast frames are mapped, against a loop over frames with MDTraj and NumPy.

Run: python benchmarks/mapping_throughput.py [FRAMES]

Frames are float32, as trajectories hold them, and mapped in pieces of 1000; "wrapped" frames come atom by atom in a
periodic box, so that molecules must be made whole first. The loop takes each frame, makes it whole with MDTraj if it is
wrapped, and multiplies with the dense matrix.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import mdtraj as md
import numpy as np
import openmm.app as app
from openmmcg.mapping import Mapping

PIECE = 1000
LOOP = 200
SEQUENCE = ("ACE", "TYR", "TYR", "ASP", "PRO", "GLU", "THR", "GLY", "THR", "TRP", "TYR", "NME")


def hexanes(count: int) -> md.Topology:
    """Return hexane molecules in the order C HHH C HH ..."""
    top = md.Topology()
    for number in range(count):
        residue, previous = top.add_residue("HEX", top.add_chain(), number + 1), None
        for k in range(6):
            carbon = top.add_atom(f"C{k + 1}", md.element.carbon, residue)
            for _ in range(3 if k in (0, 5) else 2):
                top.add_bond(carbon, top.add_atom("H", md.element.hydrogen, residue))
            if previous is not None:
                top.add_bond(previous, carbon)
            previous = carbon
    return top


def protein() -> md.Topology:
    """Return ACE-YYDPETGTWY-NME (chignolin CLN025 with caps) from Amber's residue templates."""
    templates = app.ForceField("amber14/protein.ff14SB.xml")._templates
    top, previous = md.Topology(), None
    chain = top.add_chain()
    for number, name in enumerate(SEQUENCE, start=1):
        residue = top.add_residue(name, chain, number)
        atoms = {}
        for atom in templates[name].atoms:
            element = md.element.get_by_symbol(atom.element.symbol)
            atoms[atom.name] = top.add_atom(atom.name, element, residue)
        listed = list(atoms.values())
        for i, j in templates[name].bonds:
            top.add_bond(listed[i], listed[j])
        if previous is not None:
            top.add_bond(previous, atoms["N"])
        previous = atoms.get("C")
    return top


def loop(trajectory: md.Trajectory, matrix: np.ndarray) -> np.ndarray:
    """Map frame by frame with MDTraj and NumPy."""
    beads = np.empty((len(trajectory), len(matrix), 3))
    for i in range(len(trajectory)):
        frame = trajectory.slice(i, copy=False)
        if trajectory.unitcell_vectors is not None:
            frame = frame.make_molecules_whole()
        beads[i] = matrix @ frame.xyz[0]
    return beads


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the mean wall time of a call, after one that does not count."""
    work()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def measure(name: str, topology: md.Topology, frames: int, box_length: float) -> None:
    """Print one line for whole and one for wrapped frames."""
    mapping = Mapping.builtin(name, topology)
    rng = np.random.default_rng(0)
    whole = rng.uniform(0, 0.4, (PIECE, mapping.n_atoms, 3)).astype(np.float32)
    cut = rng.integers(-1, 2, whole.shape).astype(np.float32) * np.float32(box_length)
    boxes = np.tile(np.eye(3, dtype=np.float32) * box_length, (PIECE, 1, 1))
    for label, positions, box in (("whole", whole, None), ("wrapped", whole + cut, boxes)):
        few = md.Trajectory(positions[:LOOP], topology)
        if box is not None:
            few.unitcell_vectors = box[:LOOP]
        ours = PIECE / seconds(partial(mapping.apply, positions, box), frames // PIECE)
        theirs = LOOP / seconds(partial(loop, few, mapping.matrix), 1)
        print(
            f"{name:13} {mapping.n_atoms:5d} atoms {mapping.n_beads:4d} beads {label:8}"
            f"{ours:10.0f} frames/s ({positions[0].nbytes * ours / 1e9:5.2f} GB/s of frames)"
            f"  loop {theirs:7.0f} frames/s  x{ours / theirs:.0f}"
        )


if __name__ == "__main__":
    n_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    liquid, peptide = hexanes(100), protein()
    for builtin in ("hexane-six", "hexane-three"):
        measure(builtin, liquid, n_frames, 2.79573)
    for builtin in ("ca", "core-beta-o", "residue-com"):
        measure(builtin, peptide, n_frames, 4.0)
