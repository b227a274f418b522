"""Systems of one's own: an OpenMM System in XML with a structure, or a structure and force fields."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import openmm
import openmm.app as app

from openmmcg.data.sampling.config import SampleConfig
from openmmcg.data.systems.atomistic import AtomisticSystem, create_system
from openmmcg.data.systems.recipes import recipe
from openmmcg.data.systems.structures import read_structure


def atomistic_system(config: SampleConfig) -> AtomisticSystem:
    """Return the system that resolved settings ask for.

    Raises
    ------
    ValueError
        If a recipe, force field or file is unknown or damaged, or files do not go together.
    FileNotFoundError
        If a file does not exist.
    """
    if config.kind == "recipe":
        assert config.constraints is not None
        return recipe(config.system, config.constraints, config.hydrogen_mass)
    if config.kind == "structure":
        return system_from_structure(config)
    assert config.topology is not None
    return system_from_xml(config.system, config.topology)


def system_from_xml(
    path: str | os.PathLike[str], structure: str | os.PathLike[str]
) -> AtomisticSystem:
    """Return a System that was serialised in XML, with topology and positions of a structure.

    A box in the structure replaces the System's, as it belongs to the positions.

    Raises
    ------
    ValueError
        If the XML holds no System, the System has a thermostat or barostat of its own, or the
        structure has other atoms or lacks a box.
    FileNotFoundError
        If a file does not exist.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file {path}.")
    text = Path(path).read_text()
    try:
        system = openmm.XmlSerializer.deserialize(text)
    except Exception as error:  # OpenMM raises several kinds
        raise ValueError(f"{path} is not an OpenMM System in XML: {error}") from error
    if not isinstance(system, openmm.System):
        raise ValueError(
            f"{path} holds a {type(system).__name__}, expected an OpenMM System; write one with "
            "openmm.XmlSerializer.serialize(system)."
        )
    topology, positions = read_structure(structure)
    _check_same_atoms(system, path, topology, structure)
    _refuse_baths(system, path)
    for force in system.getForces():
        force.setForceGroup(0)  # group 31 is for the bias
    if topology.getPeriodicBoxVectors() is not None and system.usesPeriodicBoundaryConditions():
        system.setDefaultPeriodicBoxVectors(*topology.getPeriodicBoxVectors())
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return AtomisticSystem(
        name=Path(path).stem,
        description=f"System {Path(path).name} (SHA-256 {checksum}), structure "
        f"{Path(structure).name} (SHA-256 {digest(structure)})",
        topology=topology,
        positions=positions,
        system=system,
    )


def system_from_structure(config: SampleConfig) -> AtomisticSystem:
    """Return the system of a PDB or mmCIF file under OpenMM force fields.

    Raises
    ------
    ValueError
        If a force field is unknown or does not know the atoms, or the box is too small.
    FileNotFoundError
        If the structure does not exist.
    """
    assert config.force_field and config.constraints is not None
    topology, positions = read_structure(config.system)
    box = topology.getUnitCellDimensions()
    if box is not None and min(box)._value < 2 * config.cutoff:
        raise ValueError(
            f"The box of {config.system} is {min(box)._value:g} nm wide, less than twice the "
            f"cutoff of {config.cutoff:g} nm; choose a smaller cutoff, or remove the box from the "
            "file if it is not meant."
        )
    names = ", ".join(config.force_field)
    try:
        force_field = app.ForceField(*config.force_field)
    except Exception as error:  # OpenMM and the XML parser raise several kinds
        raise ValueError(
            f"The force field {names} cannot be loaded ({error}); give names of OpenMM's force "
            "fields or paths of XML files."
        ) from error
    try:
        system = create_system(
            force_field,
            topology,
            config.constraints,
            config.hydrogen_mass,
            None if box is None else config.cutoff,
        )
    except Exception as error:  # as above
        raise ValueError(
            f"The force field {names} does not fit {config.system} ({error}); add what is missing "
            "to the structure (hydrogens, caps) or choose another force field."
        ) from error
    return AtomisticSystem(
        name=Path(config.system).stem,
        description=f"{Path(config.system).name} (SHA-256 {digest(config.system)}), {names}, "
        + ("no cutoff" if box is None else f"particle-mesh Ewald, cutoff {config.cutoff:g} nm"),
        topology=topology,
        positions=positions,
        system=system,
    )


def start_positions(config: SampleConfig, atomistic: AtomisticSystem) -> list[np.ndarray]:
    """Return the starts (n_atoms, 3), nm, that walkers take in turn.

    Raises
    ------
    ValueError
        If a start is neither known to the recipe nor a structure of the same atoms.
    FileNotFoundError
        If a file does not exist.
    """
    if not config.start:
        return [atomistic.positions]
    starts = []
    for name in config.start:
        if name in atomistic.starts:
            starts.append(atomistic.starts[name])
            continue
        if not Path(name).suffix:
            known = ", ".join(atomistic.starts) or "(none)"
            raise ValueError(
                f"Unknown start {name!r}; {atomistic.name} knows {known}. A start of your own is "
                "the path of a PDB or mmCIF file."
            )
        topology, positions = read_structure(name)
        _check_same_atoms(atomistic.system, config.system, topology, name)
        starts.append(positions)
    return starts


def _check_same_atoms(
    system: openmm.System,
    path: str | os.PathLike[str],
    topology: app.Topology,
    structure: str | os.PathLike[str],
) -> None:
    if topology.getNumAtoms() != system.getNumParticles():
        raise ValueError(
            f"{structure} has {topology.getNumAtoms()} atoms, {path} has "
            f"{system.getNumParticles()} particles; both must be of the same system, in the same "
            "order."
        )
    for atom in topology.atoms():
        mass = system.getParticleMass(atom.index)._value
        if atom.element is None or mass == 0:
            continue
        # Bounds that no repartitioning of masses crosses.
        hydrogen = atom.element.atomic_number == 1
        if (hydrogen and mass > _HEAVIEST_HYDROGEN) or (not hydrogen and mass < _LIGHTEST_OTHER):
            raise ValueError(
                f"Atom {atom.index} is {atom.element.symbol} ({atom.name} of {atom.residue.name}) "
                f"in {structure} but has a mass of {mass:g} Da in {path}; both must be of the same "
                "system, in the same order."
            )


_HEAVIEST_HYDROGEN = 6.0
_LIGHTEST_OTHER = 2.5


def _refuse_baths(system: openmm.System, path: str | os.PathLike[str]) -> None:
    kinds = Counter(type(force).__name__ for force in system.getForces())
    baths = [name for name in kinds if "Barostat" in name or "Thermostat" in name]
    if baths:
        raise ValueError(
            f"{path} has a {' and a '.join(baths)} of its own; remove it and choose ensemble and "
            "temperature here."
        )


def digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
