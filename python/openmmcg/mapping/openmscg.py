"""Mappings by atom number in the YAML format of OpenMSCG: ``site-types`` and ``system``.

A site type lists atoms relative to an anchor atom, with weights for positions (normalised when
used) and for forces (not normalised). A group of the system repeats its sites, or groups within
it, at anchors that are `offset` atoms apart; see the documentation of OpenMSCG's ``cgmap``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmcg.mapping.schema import check_keys, closest, entries, numbers, text, whole


@dataclass(frozen=True)
class SiteType:
    """A kind of bead.

    Attributes
    ----------
    name : str
        Name in the file. "NAME@2", "NAME@3", ... are of the bead type "NAME" with other atoms.
    index : tuple of int
        Atoms relative to the anchor.
    x_weight : tuple of float
        Weight of each atom's position; divided by the sum.
    f_weight : tuple of float
        Weight of each atom's force; empty if the file has none.
    """

    name: str
    index: tuple[int, ...]
    x_weight: tuple[float, ...]
    f_weight: tuple[float, ...] = ()

    @property
    def bead_type(self) -> str:
        """The name without "@" and number."""
        return re.sub(r"(?<=.)@\d+$", "", self.name)


@dataclass(frozen=True)
class SiteGroup:
    """Sites, or groups within it, repeated at anchors that are `offset` atoms apart.

    Attributes
    ----------
    anchor, repeat, offset : int
        First anchor (0-based, relative to the group around it), number of anchors, atoms between.
    sites : tuple of (str, int)
        Site type and anchor of every site, relative to the group's anchor.
    groups : tuple of SiteGroup
        Empty if there are sites.
    """

    anchor: int
    repeat: int
    offset: int
    sites: tuple[tuple[str, int], ...] = ()
    groups: tuple[SiteGroup, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the group as in a file."""
        inside: dict[str, Any]
        if self.groups:
            inside = {"groups": [group.to_dict() for group in self.groups]}
        else:
            inside = {"sites": [list(site) for site in self.sites]}
        return {"anchor": self.anchor, "repeat": self.repeat, "offset": self.offset, **inside}


@dataclass(frozen=True)
class SystemTemplate:
    """The beads of a whole system by atom number."""

    site_types: tuple[SiteType, ...]
    system: tuple[SiteGroup, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of a file, the inverse of `from_dict`."""
        types = {}
        for site in self.site_types:
            types[site.name] = {"index": list(site.index), "x-weight": list(site.x_weight)}
            if site.f_weight:
                types[site.name]["f-weight"] = list(site.f_weight)
        return {"site-types": types, "system": [group.to_dict() for group in self.system]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str) -> SystemTemplate:
        """Check and take over the content of a file.

        Raises
        ------
        ValueError
            If keys are missing or unknown, lists differ in length, or a site has no type.
        """
        check_keys(data, {"site-types", "system"}, set(), where)
        types = data["site-types"]
        if not isinstance(types, Mapping) or not types:
            raise ValueError(f"{where}: 'site-types' is {types!r}, expected named site types.")
        site_types = tuple(
            _site_type(str(name), entry, f"{where}, site type {name}")
            for name, entry in types.items()
        )
        known = {site.name for site in site_types}
        system = tuple(
            _group(entry, known, f"{where}, group {number}")
            for number, entry in enumerate(entries(data, "system", where), start=1)
        )
        return cls(site_types, system)

    def sites(self, n_atoms: int) -> Iterator[tuple[SiteType, np.ndarray]]:
        """Yield the site type and the atoms of every bead, in the order of the file.

        Raises
        ------
        ValueError
            If an atom's number lies outside the topology.
        """
        by_name = {site.name: site for site in self.site_types}
        for group in self.system:
            for name, anchor in _sites(group, 0):
                site = by_name[name]
                atoms = anchor + np.array(site.index, dtype=np.int64)
                if atoms.min() < 0 or atoms.max() >= n_atoms:
                    outside = atoms.min() if atoms.min() < 0 else atoms.max()
                    raise ValueError(
                        f"Site {name} at anchor {anchor} names atom {outside}, the topology has "
                        f"the atoms 0 to {n_atoms - 1}; correct anchor, repeat or offset, or take "
                        "the topology that the file was made for."
                    )
                yield site, atoms


def _sites(group: SiteGroup, origin: int) -> Iterator[tuple[str, int]]:
    for copy in range(group.repeat):
        anchor = origin + group.anchor + copy * group.offset
        for name, shift in group.sites:
            yield name, anchor + shift
        for inner in group.groups:
            yield from _sites(inner, anchor)


def _site_type(name: str, entry: Any, where: str) -> SiteType:
    check_keys(entry, {"index", "x-weight"}, {"f-weight"}, where)
    index = tuple(whole(i, "index", where) for i in entries(entry, "index", where))
    if len(set(index)) < len(index):
        twice = next(i for i in index if index.count(i) > 1)
        raise ValueError(f"{where}: 'index' lists {twice} twice; list each atom of a site once.")
    weights = {
        key: numbers(entry[key], key, where) for key in ("x-weight", "f-weight") if key in entry
    }
    for key, values in weights.items():
        if len(values) != len(index):
            raise ValueError(
                f"{where}: {key!r} has {len(values)} numbers for {len(index)} atoms in 'index'; "
                "give one per atom."
            )
    return SiteType(name, index, weights["x-weight"], weights.get("f-weight", ()))


def _group(entry: Any, known: set[str], where: str) -> SiteGroup:
    inside = "groups" if isinstance(entry, Mapping) and "groups" in entry else "sites"
    check_keys(entry, {"anchor", "repeat", "offset", inside}, set(), where)
    anchor, offset = (whole(entry[key], key, where) for key in ("anchor", "offset"))
    repeat = whole(entry["repeat"], "repeat", where, 1)
    listed = entries(entry, inside, where)
    if inside == "groups":
        groups = tuple(
            _group(inner, known, f"{where}, group {number}")
            for number, inner in enumerate(listed, start=1)
        )
        return SiteGroup(anchor, repeat, offset, groups=groups)
    sites = []
    for site in listed:
        if not isinstance(site, list | tuple) or len(site) != 2:
            raise ValueError(f"{where}: a site is {site!r}, expected [site type, anchor].")
        name = text({"site type": site[0]}, "site type", where)
        if name not in known:
            raise ValueError(
                f"{where}: there is no site type {name!r}{closest(name, known)}; site types are "
                f"{', '.join(sorted(known))}."
            )
        sites.append((name, whole(site[1], "anchor of a site", where)))
    return SiteGroup(anchor, repeat, offset, tuple(sites))
