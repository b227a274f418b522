"""The geometric combining rule of OPLS for OpenMM Systems, which know only Lorentz-Berthelot."""

from __future__ import annotations

import math

import openmm
from openmm import unit

LENNARD_JONES = "a1*a2*x*x - b1*b2*x; x = 1/r^6"


def use_geometric_combining(system: openmm.System) -> None:
    """Make Lennard-Jones parameters combine as σ = √(σ₁σ₂), ε = √(ε₁ε₂), as OPLS needs.

    The Lennard-Jones part of the NonbondedForce moves to a CustomNonbondedForce with the same
    cutoff, switching function and long-range correction; charges and 1-4 interactions stay.
    Under this rule 4ε[(σ/r)¹² - (σ/r)⁶] is a product of what each atom contributes.

    Parameters
    ----------
    system : openmm.System
        Changed in place.

    Raises
    ------
    ValueError
        If the System has not exactly one NonbondedForce.
    """
    found = [f for f in system.getForces() if isinstance(f, openmm.NonbondedForce)]
    if len(found) != 1:
        raise ValueError(
            f"The System has {len(found)} NonbondedForces; geometric combining needs exactly one."
        )
    coulomb = found[0]
    force = openmm.CustomNonbondedForce(LENNARD_JONES)
    force.setName("LennardJones")
    force.addPerParticleParameter("a")
    force.addPerParticleParameter("b")
    method = coulomb.getNonbondedMethod()
    periodic = coulomb.usesPeriodicBoundaryConditions()
    force.setNonbondedMethod(force.CutoffPeriodic if periodic else min(method, 1))
    force.setCutoffDistance(coulomb.getCutoffDistance())
    force.setUseLongRangeCorrection(periodic and coulomb.getUseDispersionCorrection())
    force.setUseSwitchingFunction(coulomb.getUseSwitchingFunction())
    force.setSwitchingDistance(coulomb.getSwitchingDistance())
    coulomb.setUseDispersionCorrection(False)
    sigmas = []
    for atom in range(coulomb.getNumParticles()):
        charge, sigma, epsilon = coulomb.getParticleParameters(atom)
        sigmas.append(sigma.value_in_unit(unit.nanometer))
        root = math.sqrt(4 * epsilon.value_in_unit(unit.kilojoules_per_mole))
        force.addParticle([root * sigmas[-1] ** 6, root * sigmas[-1] ** 3])
        coulomb.setParticleParameters(atom, charge, 1.0, 0.0)
    for exception in range(coulomb.getNumExceptions()):
        i, j, charge, _, epsilon = coulomb.getExceptionParameters(exception)
        force.addExclusion(i, j)
        coulomb.setExceptionParameters(
            exception, i, j, charge, math.sqrt(sigmas[i] * sigmas[j]), epsilon
        )
    system.addForce(force)
