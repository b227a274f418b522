"""The Python class of the Force. All state is in the C++ object that it shares with OpenMM."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import openmm
from openmm import unit

from openmmcg import _openmmcg as _cpp

_EMPTY_FORCE = '<Force type="CGForce" version="1"/>'


class _CGForceMeta(type):
    """Make ``isinstance(system.getForce(i), CGForce)`` true, though OpenMM returns a plain Force."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return isinstance(instance, openmm.Force) and bool(_cpp.is_cgforce(int(instance.this)))


def _plain_number(value: Any, what: str) -> float:
    """Return a dimensionless number; a quantity with a unit is an error."""
    if unit.is_quantity(value):
        if not value.unit.is_dimensionless():
            raise TypeError(f"{what} has the unit {value.unit}; expected a number without unit.")
        value = value.value_in_unit(unit.dimensionless)
    return float(value)


def _temperature(value: Any) -> float:
    """Return a temperature in K."""
    if unit.is_quantity(value):
        if not value.unit.is_compatible(unit.kelvin):
            raise TypeError(f"The temperature has the unit {value.unit}; expected kelvin.")
        return float(value.value_in_unit(unit.kelvin))
    return float(value)


class CGForce(openmm.Force, metaclass=_CGForceMeta):
    """Evaluates a machine-learned coarse-grained model on beads.

    A bead is a weighted sum of particle positions, R = M r; forces on beads go to the particles by the transpose of
    M. Bonds between beads create no energy terms: they define the topological class of each pair, which the model may
    depend on. Beads of different replicas never interact, and all replicas are evaluated in one call to the model.

    Each parameter of the model is a Context parameter. The first is the temperature, ``CGForce.Temperature()``, in K.
    Energies are values of the potential of mean force in kJ/mol.

    Parameters
    ----------
    model : path-like, bytes or torch.jit.ScriptModule
        A model file, its content, or a scripted module. The Force keeps the content. A module whose ``forward`` takes
        pairs needs a card, whose entries are given as keywords.
    **card
        Entries of the card for a scripted module: see `openmmcg.export.save`.

    Raises
    ------
    openmm.OpenMMException
        If the file is missing, damaged, not a model, or of a newer format.
    """

    def __init__(self, model: Any, **card: Any) -> None:
        # The proxy is made by OpenMM itself, so no assumption is made on its SWIG runtime.
        self.this = openmm.XmlSerializer.deserialize(_EMPTY_FORCE).this
        if isinstance(model, str | os.PathLike):
            if card:
                raise TypeError(
                    "A model file has a card of its own; pass keywords with a scripted module only."
                )
            _cpp.set_model_file(self._address, os.fspath(model))
        elif isinstance(model, bytes | bytearray):
            if card:
                raise TypeError(
                    "A model file has a card of its own; pass keywords with a scripted module only."
                )
            _cpp.set_model_bytes(self._address, bytes(model))
        else:
            from openmmcg.export import to_bytes

            _cpp.set_model_bytes(self._address, to_bytes(model, **card))

    @classmethod
    def cast(cls, force: openmm.Force) -> CGForce:
        """Return a CGForce that shares the C++ object of a Force, such as one from ``system.getForce(i)``.

        Raises
        ------
        TypeError
            If the Force is of another class.
        """
        if not isinstance(force, cls):
            raise TypeError(
                f"Expected a CGForce, found {type(force).__name__} '{force.getName()}'."
            )
        result: CGForce = cls.__new__(cls)
        result.this = force.this
        return result

    @staticmethod
    def isinstance(force: openmm.Force) -> bool:
        """Tell whether a Force is a CGForce."""
        return bool(_cpp.is_cgforce(int(force.this)))

    @staticmethod
    def Temperature() -> str:
        """Return the name of the Context parameter that holds the temperature in K."""
        return str(_cpp.temperature_parameter())

    @property
    def _address(self) -> int:
        return int(self.this)

    def __copy__(self) -> CGForce:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> CGForce:
        clone: CGForce = type(self).__new__(type(self))
        clone.this = openmm.XmlSerializer.clone(self).this
        # XML does not carry the path of machine code; a copy in the same process is another matter.
        clone.setProperty("package", self.getProperty("package"))
        return clone

    def __getstate__(self) -> str:
        return str(openmm.XmlSerializer.serialize(self))

    def __setstate__(self, state: str) -> None:
        self.this = openmm.XmlSerializer.deserialize(state).this

    def getModelInfo(self) -> dict[str, Any]:
        """Return the card of the model: cutoff, bead types, units, training provenance and so on."""
        card: dict[str, Any] = json.loads(_cpp.model_card(self._address))
        return card

    def getModelBytes(self) -> bytes:
        """Return the content of the model file."""
        return bytes(_cpp.model_bytes(self._address))

    def _bead_arguments(
        self, particles: Any, weights: Any, type: int | str
    ) -> tuple[list[int], list[float], int]:
        indices = list(particles) if isinstance(particles, Iterable) else [particles]
        numbers = [] if weights is None else [_plain_number(w, "A bead weight") for w in weights]
        if isinstance(type, str):
            names: list[str] = _cpp.bead_types(self._address)
            if type not in names:
                raise ValueError(
                    f"Unknown bead type '{type}'; the model has the types {', '.join(names) or '(none)'}."
                )
            type = names.index(type)
        return [operator.index(i) for i in indices], numbers, operator.index(type)

    def addBead(
        self,
        particles: int | Iterable[int],
        weights: Iterable[float] | None,
        type: int | str,
        molecule: int = 0,
        replica: int = 0,
    ) -> int:
        """Add a bead.

        Parameters
        ----------
        particles : int or sequence of int
            The particles that the bead is made of.
        weights : sequence of float or None
            The weight of each particle in the bead's position. They must add up to 1 within 1e-4 and are scaled to
            add up to exactly 1. None means equal weights.
        type : int or str
            Index or name of the bead type in the model's vocabulary.
        molecule : int
            The molecule that the bead belongs to, within its replica.
        replica : int
            The independent copy that the bead belongs to.

        Returns
        -------
        int
            The index of the bead.

        Raises
        ------
        ValueError, openmm.OpenMMException
            If the type is unknown, the weights do not add up to 1, or particles repeat.
        """
        indices, numbers, number = self._bead_arguments(particles, weights, type)
        return int(_cpp.add_bead(self._address, indices, numbers, number, molecule, replica))

    def setBeadParameters(
        self,
        index: int,
        particles: int | Iterable[int],
        weights: Iterable[float] | None,
        type: int | str,
        molecule: int = 0,
        replica: int = 0,
    ) -> None:
        """Change a bead; see `addBead`. Call `updateParametersInContext` to change existing Contexts."""
        indices, numbers, number = self._bead_arguments(particles, weights, type)
        _cpp.set_bead(self._address, index, indices, numbers, number, molecule, replica)

    def getBeadParameters(self, index: int) -> tuple[list[int], list[float], int, int, int]:
        """Return (particles, weights, type, molecule, replica) of a bead."""
        particles, weights, type, molecule, replica = _cpp.get_bead(self._address, index)
        return particles, weights, type, molecule, replica

    def getNumBeads(self) -> int:
        """Return the number of beads."""
        return int(_cpp.num_beads(self._address))

    def addBond(self, bead1: int, bead2: int) -> int:
        """Add a bond between two beads of the same molecule and replica and return its index."""
        return int(_cpp.add_bond(self._address, operator.index(bead1), operator.index(bead2)))

    def getBondParameters(self, index: int) -> tuple[int, int]:
        """Return the two beads of a bond."""
        bead1, bead2 = _cpp.get_bond(self._address, index)
        return bead1, bead2

    def getNumBonds(self) -> int:
        """Return the number of bonds."""
        return int(_cpp.num_bonds(self._address))

    def setUsesPeriodicBoundaryConditions(self, periodic: bool) -> None:
        """Set whether pairs are found across the boundaries of the periodic box (default: False)."""
        _cpp.set_periodic(self._address, bool(periodic))

    def getGlobalParameters(self) -> dict[str, float]:
        """Return the model's parameters, which become Context parameters, with their default values."""
        return dict(_cpp.global_parameters(self._address))

    def setGlobalParameterDefaultValue(self, name: str, value: Any) -> None:
        """Set the value that a parameter has in new Contexts; the temperature in K or as a Quantity."""
        names = list(self.getGlobalParameters())
        if name not in names:
            raise ValueError(f"The model has no parameter '{name}'; it has {', '.join(names)}.")
        number = _temperature(value) if name == self.Temperature() else _plain_number(value, name)
        _cpp.set_global_parameter_default(self._address, names.index(name), number)

    def addEnergyParameterDerivative(self, name: str) -> None:
        """Request the derivative of the energy with respect to a parameter of the model."""
        _cpp.add_derivative(self._address, name)

    def getEnergyParameterDerivatives(self) -> list[str]:
        """Return the parameters whose derivatives have been requested."""
        return list(_cpp.derivatives(self._address))

    def setProperty(self, name: str, value: Any) -> None:
        """Set an option of the evaluation.

        They are ``runner``, ``package``, ``precision``, ``threads``, ``skin``, ``pairList`` and ``cudaGraphs``.

        ``runner`` is "auto" (native if the engine knows the architecture, else torchscript), "native", "torchscript"
        or "aoti", which runs the machine code in ``package``, the .pt2 file that `openmmcg.export.compile_package`
        made of this very model. Use none from people you do not trust; XML files and pickles do not carry it.
        ``precision`` is "auto" (double on the Reference platform and where another platform's own precision is double,
        single elsewhere), "single" or "double"; the Reference platform always uses double. ``threads`` is a number
        (default 1) or "platform". ``skin`` is in nm. ``pairList`` says where pairs are found on platforms with devices:
        "device", "host" or "auto". ``cudaGraphs`` says whether the CUDA platform records the model's work once and
        repeats it: "on" (an error if that is impossible), "off" or "auto".
        """
        if unit.is_quantity(value):
            value = value.value_in_unit(unit.nanometer)
        _cpp.set_property(
            self._address, name, os.fspath(value) if isinstance(value, os.PathLike) else str(value)
        )

    def getProperty(self, name: str) -> str:
        """Return an option of the evaluation; see `setProperty`."""
        return str(_cpp.get_property(self._address, name))

    def updateParametersInContext(self, context: openmm.Context) -> None:
        """Copy the parameters of the beads, and the bonds between them, to a Context.

        What OpenMM takes for a molecule stays as it was when the Context was created.

        Raises
        ------
        openmm.OpenMMException
            If the number of beads has changed, or bonded beads do not belong to the same molecule and replica any more.
        """
        _cpp.update_parameters(self._address, int(context.this))

    def getBeadPositions(self, context: openmm.Context) -> np.ndarray:
        """Return the positions of the beads in a Context: (n_beads, 3), nm."""
        return np.asarray(_cpp.bead_positions(self._address, int(context.this)))

    def getBeadForces(self, context: openmm.Context) -> np.ndarray:
        """Return the forces of the model on the beads: (n_beads, 3), kJ/mol/nm."""
        return np.asarray(_cpp.bead_forces(self._address, int(context.this)))

    def getBeadEnergies(self, context: openmm.Context) -> np.ndarray:
        """Return the energy of each bead: (n_beads,), kJ/mol."""
        return np.asarray(_cpp.bead_energies(self._address, int(context.this)))

    def getReplicaEnergies(self, context: openmm.Context) -> np.ndarray:
        """Return the energy of each replica in ascending order of their indices: (n_replicas,), kJ/mol."""
        return np.asarray(_cpp.replica_energies(self._address, int(context.this)))

    def getContextInfo(self, context: openmm.Context) -> dict[str, Any]:
        """Return facts about the evaluation in a Context.

        Returns
        -------
        dict
            ``runner``, ``runner_reason``, ``precision``, ``pair_list`` (str: where pairs are found); ``threads``,
            ``evaluations``, ``pairs``, ``candidates``, ``list_rebuilds`` (int); ``time_map``, ``time_list``,
            ``time_network``, ``time_scatter`` (s, so far; not on CUDA, where the host does not wait for any of them);
            on CUDA also ``cuda_graphs`` ("on" or "off") and ``cuda_graphs_reason``.
        """
        info: dict[str, Any] = dict(_cpp.context_info(self._address, int(context.this)))
        for key, text in info.items():
            if key.startswith("time_"):
                info[key] = float(text)
            elif text.isdecimal():
                info[key] = int(text)
        return info
