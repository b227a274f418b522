"""Mappings written in the YAML format of OpenMSCG."""

from __future__ import annotations

import os
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import yaml
from scipy import sparse as sp

from openmmcg.files import atomic_path
from openmmcg.mapping.openmscg import SiteGroup, SiteType, SystemTemplate

if TYPE_CHECKING:
    from openmmcg.mapping.mapping import Mapping


def write_openmscg(
    path: str | os.PathLike[str],
    mapping: Mapping,
    force_map: sp.csr_array | np.ndarray | None = None,
) -> None:
    """Write a mapping as an OpenMSCG file; see `Mapping.to_openmscg`.

    Raises
    ------
    ValueError
        If the shape of the force map is not that of the mapping's matrix.
    """
    template = system_template(mapping, force_map)
    text = yaml.safe_dump(template.to_dict(), sort_keys=False, default_flow_style=None, width=100)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def system_template(
    mapping: Mapping, force_map: sp.csr_array | np.ndarray | None = None
) -> SystemTemplate:
    """Return a mapping by atom numbers, equal molecules in a row as one repeated group."""
    forces = sp.csr_array(force_map if force_map is not None else _force_weights(mapping))
    forces.sum_duplicates()
    if forces.shape != mapping.sparse.shape:
        raise ValueError(
            f"The force map has shape {forces.shape}, the mapping {mapping.sparse.shape}; fit it "
            "to this mapping."
        )
    masses = np.array([atom.element.mass for atom in mapping.atomistic.atoms])
    names: dict[tuple, str] = {}
    used: dict[str, int] = {}
    sites: list[tuple[int, str]] = []
    for bead in range(mapping.n_beads):
        anchor, index, x_weight, f_weight = _site(mapping.sparse, forces, masses, bead)
        bead_type = mapping.type_names[mapping.types[bead]]
        key = (bead_type, index, x_weight, f_weight)
        if key not in names:
            used[bead_type] = used.get(bead_type, 0) + 1
            names[key] = bead_type + (f"@{used[bead_type]}" if used[bead_type] > 1 else "")
        sites.append((anchor, names[key]))
    site_types = tuple(SiteType(name, *key[1:]) for key, name in names.items())
    return SystemTemplate(site_types, _groups(sites, mapping.molecules))


def _force_weights(mapping: Mapping) -> sp.csr_array:
    if mapping.force_weights is not None:
        return mapping.force_weights
    ones = mapping.sparse.copy()
    ones.data = np.ones_like(ones.data)
    return ones


def _site(
    matrix: sp.csr_array, forces: sp.csr_array, masses: np.ndarray, bead: int
) -> tuple[int, tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """Return anchor, relative atoms and weights of a bead; the anchor is its first atom."""
    inside, weights = _row(matrix, bead)
    pulled, pulls = _row(forces, bead)
    atoms = np.union1d(inside, pulled)
    x_weight, f_weight, by_mass = np.zeros((3, len(atoms)))
    place = np.searchsorted(atoms, inside)
    x_weight[place] = weights
    by_mass[place] = masses[inside]
    f_weight[np.searchsorted(atoms, pulled)] = pulls
    if np.allclose(by_mass, x_weight * by_mass.sum(), rtol=1e-12, atol=0.0):
        # Masses read better than their shares, and give the same shares.
        x_weight = by_mass
    anchor = int(inside.min())
    return (
        anchor,
        tuple((atoms - anchor).tolist()),
        tuple(x_weight.tolist()),
        tuple(f_weight.tolist()),
    )


def _row(matrix: sp.csr_array, row: int) -> tuple[np.ndarray, np.ndarray]:
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[part], matrix.data[part]


def _groups(sites: list[tuple[int, str]], molecules: np.ndarray) -> tuple[SiteGroup, ...]:
    """Return the sites as repeated groups, one copy for each molecule of a row of equal ones."""
    blocks: list[tuple[int, tuple[tuple[str, int], ...]]] = []
    for _, beads in groupby(range(len(sites)), key=lambda bead: molecules[bead]):
        members = [sites[bead] for bead in beads]
        first = min(anchor for anchor, _ in members)
        blocks.append((first, tuple((name, anchor - first) for anchor, name in members)))
    result: list[SiteGroup] = []
    for first, block in blocks:
        last = result[-1] if result else None
        if last is not None and last.sites == block:
            step = first - last.anchor if last.repeat == 1 else last.offset
            if first == last.anchor + last.repeat * step:
                result[-1] = SiteGroup(last.anchor, last.repeat + 1, step, block)
                continue
        result.append(SiteGroup(first, 1, 0, block))
    return tuple(result)
