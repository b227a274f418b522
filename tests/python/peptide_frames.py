"""Frames of a six-bead capped alanine with given backbone torsions, for tests."""

from __future__ import annotations

import mdtraj as md
import numpy as np

BONDS = np.array([[0, 1], [1, 2], [2, 3], [2, 4], [4, 5]])
NAMES = ["C", "N", "CA", "CB", "C", "N"]


def topology() -> md.Topology:
    """Beads C(ACE) N CA CB C N(NME) in their residues, with bonds."""
    result = md.Topology()
    chain = result.add_chain()
    residues = [result.add_residue(name, chain) for name in ("ACE", "ALA", "NME")]
    for name, residue in zip(NAMES, (0, 1, 1, 1, 1, 2), strict=True):
        result.add_atom(name, md.element.virtual, residues[residue])
    atoms = list(result.atoms)
    for first, second in BONDS:
        result.add_bond(atoms[first], atoms[second])
    return result


def place(a, b, c, length, angle, torsion):
    """Put a fourth bead behind a, b, c (each (F, 3), nm) at the given internal coordinates."""
    bc = (c - b) / np.linalg.norm(c - b, axis=-1, keepdims=True)
    normal = np.cross(b - a, bc)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    side = np.cross(normal, bc)
    angle, torsion = np.radians(angle)[:, None], np.radians(torsion)[:, None]
    step = (
        -np.cos(angle) * bc
        + np.sin(angle) * np.cos(torsion) * side
        + np.sin(angle) * np.sin(torsion) * normal
    )
    return c + length[:, None] * step


def frames(phi, psi, rng, hand=1):
    """Positions (F, 6, 3) in nm of an L-residue (hand=1) or its mirror image (hand=-1)."""
    phi, psi = np.asarray(phi, dtype=float), np.asarray(psi, dtype=float)
    count = len(phi)

    def length(mean):
        return rng.normal(mean, 0.003, count)

    def angle(mean):
        return rng.normal(mean, 3.0, count)

    n = np.zeros((count, 3))
    ca = n + np.array([1.0, 0.0, 0.0]) * length(0.147)[:, None]
    bend = np.radians(angle(122.0))
    c0 = np.stack([np.cos(bend), np.sin(bend), np.zeros(count)], -1) * length(0.134)[:, None]
    c = place(c0, n, ca, length(0.153), angle(111.0), phi)
    cb = place(c0, n, ca, length(0.153), angle(110.0), phi - hand * 122.0)
    n2 = place(n, ca, c, length(0.134), angle(117.0), psi)
    return np.stack([c0, n, ca, cb, c, n2], axis=1)


def write_model(path, width=8, interactions=1, seed=0):
    """Write a model file of the molecule: fitted priors under a small untrained network."""
    import torch
    from openmmcg import export, models
    from openmmcg.priors import fit_frames

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sampled = frames(rng.uniform(-180, 180, 400), rng.uniform(-180, 180, 400), rng)
    vocabulary = ["C", "N", "CA", "CB"]
    types = [vocabulary.index(name) for name in NAMES]
    network = models.build(
        "schnet",
        bead_types=vocabulary,
        cutoff=1.0,
        width=width,
        interactions=interactions,
        rbf=12,
    )
    residues = [[atom.residue.name, str(atom.residue.index + 1)] for atom in topology().atoms]
    return export.save(
        network,
        path,
        temperature=300.0,
        priors=fit_frames(sampled, types, vocabulary, BONDS, 300.0).to_dict(),
        topology={
            "names": NAMES,
            "residues": residues,
            "types": types,
            "bonds": BONDS.tolist(),
            "molecules": [0] * 6,
            "masses": [28.0, 15.0, 13.0, 15.0, 28.0, 15.0],
            "positions": frames([-80.0], [150.0], rng)[0].tolist(),
        },
    )


def write_dataset(path, positions, weights=None, encoding="name", temperature=300.0):
    """Write a dataset of frames of the molecule, without meaningful forces."""
    from openmmcg.data import Frames, recipe
    from openmmcg.data import write_dataset as write
    from openmmcg.mapping import load_mapping

    count = len(positions)
    mapping = load_mapping("core-beta", recipe("capped-alanine").topology, encoding)
    frames = Frames(
        positions=positions.astype(np.float32),
        forces=np.zeros_like(positions, dtype=np.float32),
        energies=np.zeros(count),
        temperatures=np.full(count, temperature),
        boxes=None,
        weights=np.ones(count) if weights is None else weights,
        bias_energies=np.zeros(count),
        walkers=np.arange(count, dtype=np.int32) * 2 // count,
    )
    source = {"config": {"frame_interval": 0.1, "length": 0.02}, "system": "capped alanine"}
    write(path, mapping, frames, force_map="uniform", source=source)
    return path
