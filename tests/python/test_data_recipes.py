"""Recipes: their structures, and force-field terms against published parameters."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise

import numpy as np
import openmm
import openmm.app as app
import pytest
from openmm import unit
from openmmcg.data import recipe, recipes
from openmmcg.data.systems.liquids import HEXANE_ATOMS, hexane_topology
from openmmcg.mapping import Mapping

KCAL = 4.184
COULOMB = 138.935456  # kJ nm/mol/e²
ATOMS = {
    "ace-ala15-nme": 162,
    "capped-alanine": 22,
    "capped-alanine-tip3p": 2035,
    "capped-alanine-vacuum": 22,
    "capped-glycine": 19,
    "cln025": 175,
    "hexane": 2000,
    "water-spce": 1536,
    "water-tip3p": 1536,
}


def forces_of(system):
    return {type(force).__name__: force for force in system.getForces()}


def context_of(made):
    """A Reference context at the start."""
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(made.system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(made.positions)
    return context


def energy(context, **options):
    state = context.getState(energy=True, **options)
    return state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)


def chirality(x, n, ca, c, cb):
    """Triple product (N-CA) x (C-CA) . (CB-CA): positive for L amino acids."""
    a, b, d = (x[i] - x[ca] for i in (n, c, cb))
    return np.dot(np.cross(a, b), d)


def test_all_recipes_are_there():
    assert recipes() == sorted(ATOMS)


@pytest.mark.parametrize("name", sorted(ATOMS))
def test_a_recipe_is_consistent(name):
    made = recipe(name, constraints="hbonds")
    assert made.name == name
    assert made.topology.getNumAtoms() == made.system.getNumParticles() == ATOMS[name]
    for positions in (made.positions, *made.starts.values()):
        assert positions.shape == (ATOMS[name], 3)
        for a, b in made.topology.bonds():
            length = np.linalg.norm(positions[a.index] - positions[b.index])
            assert 0.085 < length < 0.175
    if made.box is None:
        assert not made.equilibrated
    else:
        assert made.equilibrated
        forces = [f for f in made.system.getForces() if hasattr(f, "getCutoffDistance")]
        cutoff = max(force.getCutoffDistance()._value for force in forces)
        assert 2 * cutoff < made.box.diagonal().min()
    rigid = made.system.getNumConstraints()
    assert rigid > recipe(name, constraints="none").system.getNumConstraints() or "water" in name


@pytest.mark.parametrize("name", ["capped-alanine", "cln025", "ace-ala15-nme"])
def test_peptides_are_made_of_l_amino_acids(name):
    made = recipe(name)
    for positions in (made.positions, *made.starts.values()):
        for residue in made.topology.residues():
            atoms = {atom.name: atom.index for atom in residue.atoms()}
            if "CB" in atoms and "CA" in atoms:
                assert chirality(positions, *(atoms[a] for a in ("N", "CA", "C", "CB"))) > 1e-3
            if residue.name == "THR":  # R: OG1, CA, CG2 run clockwise seen with the hydrogen behind
                assert chirality(positions, *(atoms[a] for a in ("OG1", "CB", "CA", "CG2"))) < -1e-3


def test_starts_of_peptides_differ_as_their_names_say():
    helix, strand = (recipe("ace-ala15-nme").starts[k] for k in ("helix", "extended"))
    assert np.linalg.norm(helix[0] - helix[-1]) < 3.0 < np.linalg.norm(strand[0] - strand[-1])
    made = recipe("cln025")
    alpha = [a.index for a in made.topology.atoms() if a.name == "CA"]
    ends = {k: np.linalg.norm(x[alpha[0]] - x[alpha[-1]]) for k, x in made.starts.items()}
    assert ends["hairpin"] < 0.8 < 2.5 < ends["extended"]
    np.testing.assert_array_equal(made.positions, made.starts["hairpin"])


def test_solvents_of_capped_alanine():
    energies = {}
    for name in ("capped-alanine", "capped-alanine-vacuum"):
        made = recipe(name)
        implicit = any("GB" in force for force in forces_of(made.system))
        assert implicit == (name == "capped-alanine")
        energies[name] = energy(context_of(made))
    assert energies["capped-alanine"] < energies["capped-alanine-vacuum"] - 30


# Hexane. Jorgensen, Maxwell and Tirado-Rives, J. Am. Chem. Soc. 1996, 118, 11225: charges and
# Lennard-Jones; bonds and angles from Amber (E = k x²); torsions V1, V2, V3 as revised in 1999.
# In kcal/mol, Å, degrees, e.
LJ = {"C": (3.50, 0.066), "H": (2.50, 0.030)}
BONDS = {"CC": (1.529, 268.0), "CH": (1.090, 340.0)}
ANGLES = {"CCC": (112.7, 58.35), "CCH": (110.7, 37.5), "HCH": (107.8, 33.0)}
TORSIONS = {"CCCC": (1.300, -0.050, 0.200), "CCCH": (0.0, 0.0, 0.300), "HCCH": (0.0, 0.0, 0.300)}


def kind(atoms):
    """Elements along a bond, angle or torsion, read from the end that sorts first."""
    text = "".join(HEXANE_ATOMS[atom][0] for atom in atoms)
    return min(text, text[::-1])


def charge(atom):
    name = HEXANE_ATOMS[atom]
    return 0.06 if name[0] == "H" else -0.18 if name in ("C1", "C6") else -0.12


def fourier(phi, v1, v2, v3):
    """OPLS torsion energy, kJ/mol, with 180 degrees for trans."""
    return (
        KCAL
        / 2
        * (v1 * (1 + np.cos(phi)) + v2 * (1 - np.cos(2 * phi)) + v3 * (1 + np.cos(3 * phi)))
    )


def test_hexane_terms_are_the_published_ones():
    made = recipe("hexane", constraints="none")
    forces = forces_of(made.system)
    nonbonded = forces["NonbondedForce"]
    for atom in range(20):
        q, _, epsilon = nonbonded.getParticleParameters(atom)
        assert q._value == pytest.approx(charge(atom)) and epsilon._value == 0
        a, b = forces["CustomNonbondedForce"].getParticleParameters(atom)
        sigma, depth = LJ[HEXANE_ATOMS[atom][0]]
        assert (a / b) ** (1 / 3) == pytest.approx(sigma / 10)
        assert b**4 / a**2 / 4 == pytest.approx(depth * KCAL)
    assert sum(nonbonded.getParticleParameters(i)[0]._value for i in range(20)) == pytest.approx(0)
    bonds = forces["HarmonicBondForce"]
    assert bonds.getNumBonds() == 1900
    for index in range(19):
        i, j, length, k = bonds.getBondParameters(index)
        r, strength = BONDS[kind((i, j))]
        assert length._value == pytest.approx(r / 10)
        assert k._value == pytest.approx(2 * strength * KCAL * 100)
    angles = forces["HarmonicAngleForce"]
    assert angles.getNumAngles() == 3600
    for index in range(36):
        *atoms, theta, k = angles.getAngleParameters(index)
        value, strength = ANGLES[kind(atoms)]
        assert theta._value == pytest.approx(np.radians(value))
        assert k._value == pytest.approx(2 * strength * KCAL)
    torsions = forces["RBTorsionForce"]
    assert torsions.getNumTorsions() == 4500
    phi = np.linspace(-np.pi, np.pi, 13)
    for index in range(45):
        *atoms, c0, c1, c2, c3, c4, c5 = torsions.getTorsionParameters(index)
        powers = np.cos(phi - np.pi)[:, None] ** np.arange(6)
        found = powers @ [c._value for c in (c0, c1, c2, c3, c4, c5)]
        np.testing.assert_allclose(found, fourier(phi, *TORSIONS[kind(atoms)]), atol=1e-9)
    assert made.box.diagonal() == pytest.approx([2.79573] * 3)
    mass = sum(made.system.getParticleMass(i)._value for i in range(2000))
    assert mass * 1.66053907 / 2.79573**3 == pytest.approx(655, abs=1)


def all_trans_hexane():
    """Positions (20, 3), nm, with all bonds 0.01 nm and all angles a few degrees off their minima."""
    step = 0.156 * np.array([np.sin(np.radians(57.0)), 0, 0])
    rise = 0.156 * np.cos(np.radians(57.0))
    points = []
    for k in range(6):
        carbon = k * step + [0, rise * (k % 2), 0]
        up = 1 if k % 2 else -1
        points.append(carbon)
        hydrogens = [(0, 0.6 * up, 0.8), (0, 0.6 * up, -0.8)]
        if k in (0, 5):
            hydrogens.append((-0.8 if k == 0 else 0.8, -0.6 * up, 0))
        points.extend(carbon + 0.115 * np.array(h) for h in hydrogens)
    return np.array(points)


def test_energy_of_trans_hexane_term_by_term():
    """OpenMM's terms of one molecule against sums written out here, topology from scratch."""
    x = all_trans_hexane()
    bonds = bond_list()
    neighbours = {a: [j if i == a else i for i, j in bonds if a in (i, j)] for a in range(20)}
    angles = [(a, b, c) for b in range(20) for a in neighbours[b] for c in neighbours[b] if a < c]
    torsions = [
        (a, b, c, d)
        for b, c in bonds
        for a in neighbours[b]
        for d in neighbours[c]
        if a != c and d != b
    ]
    expected = {
        "HarmonicBondForce": sum(
            KCAL * 100 * BONDS[kind(t)][1] * (distance(x, *t) - BONDS[kind(t)][0] / 10) ** 2
            for t in bonds
        ),
        "HarmonicAngleForce": sum(
            KCAL * ANGLES[kind(t)][1] * (angle(x, *t) - np.radians(ANGLES[kind(t)][0])) ** 2
            for t in angles
        ),
        "RBTorsionForce": sum(fourier(dihedral(x, *t), *TORSIONS[kind(t)]) for t in torsions),
        "NonbondedForce": 0.0,
        "CustomNonbondedForce": 0.0,
    }
    excluded = {tuple(sorted(p)) for p in bonds} | {tuple(sorted((a, c))) for a, _, c in angles}
    fourth = {tuple(sorted((t[0], t[3]))) for t in torsions} - excluded
    for i in range(20):
        for j in range(i + 1, 20):
            if (i, j) in excluded:
                continue
            r = distance(x, i, j)
            (s1, e1), (s2, e2) = (LJ[HEXANE_ATOMS[a][0]] for a in (i, j))
            ratio = np.sqrt(s1 * s2) / 10 / r
            lj = 4 * KCAL * np.sqrt(e1 * e2) * (ratio**12 - ratio**6)
            coulomb = COULOMB * charge(i) * charge(j) / r
            if (i, j) in fourth:
                expected["NonbondedForce"] += (coulomb + lj) / 2
            else:
                expected["NonbondedForce"] += coulomb
                expected["CustomNonbondedForce"] += lj
    path = files("openmmcg.data") / "recipes" / "hexane.xml"
    system = app.ForceField(str(path)).createSystem(hexane_topology(1))
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(x)
    found = {
        type(force).__name__: energy(context, groups={group})
        for group, force in enumerate(system.getForces())
    }
    for name, value in expected.items():
        assert abs(value) > 0.1, name
        assert found[name] == pytest.approx(value, rel=1e-5), name


def bond_list():
    carbons = [i for i, name in enumerate(HEXANE_ATOMS) if name[0] == "C"]
    pairs = list(pairwise(carbons))
    for i, name in enumerate(HEXANE_ATOMS):
        if name[0] == "H":
            pairs.append((HEXANE_ATOMS.index("C" + name[1]), i))
    return pairs


def distance(x, i, j):
    return np.linalg.norm(x[i] - x[j])


def angle(x, i, j, k):
    a, b = x[i] - x[j], x[k] - x[j]
    return np.arccos(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def dihedral(x, i, j, k, m):
    b1, b2, b3 = x[j] - x[i], x[k] - x[j], x[m] - x[k]
    n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
    return np.arctan2(np.dot(np.cross(n1, n2), b2) / np.linalg.norm(b2), np.dot(n1, n2))


def test_the_long_range_correction_of_hexane_is_on():
    """Switched off, the energy rises by what lies beyond the cutoff at uniform density."""
    made = recipe("hexane")
    force = forces_of(made.system)["CustomNonbondedForce"]
    assert force.getUseLongRangeCorrection()
    with_tail = energy(context_of(made))
    force.setUseLongRangeCorrection(False)
    b = np.array([force.getParticleParameters(i)[1] for i in range(2000)])
    # -2π/V Σ_ij b_i b_j ∫ r⁻⁴ dr over all pairs, the repulsion being negligible.
    tail = -2 * np.pi / (3 * 1.22**3 * 2.79573**3) * b.sum() ** 2
    assert with_tail - energy(context_of(made)) == pytest.approx(tail, rel=0.01)


# Jorgensen et al., J. Chem. Phys. 1983, 79, 926 (A = 582000, C = 595 in kcal/mol and Å);
# Berendsen, Grigera and Straatsma, J. Phys. Chem. 1987, 91, 6269 (A and B in nm and kJ/mol).
WATERS = {
    "water-tip3p": (0.417, 0.09572, 104.52, 582.0e3 * KCAL * 1e-12, 595.0 * KCAL * 1e-6),
    "water-spce": (0.4238, 0.1, 109.47, 0.3428**12, 0.37122**6),
}


@pytest.mark.parametrize("name", sorted(WATERS))
def test_waters_are_the_published_ones(name):
    hydrogen, length, angle_, a12, c6 = WATERS[name]
    made = recipe(name)
    force = forces_of(made.system)["NonbondedForce"]
    q, sigma, epsilon = (value._value for value in force.getParticleParameters(0))
    assert q == pytest.approx(-2 * hydrogen)
    assert 4 * epsilon * sigma**12 == pytest.approx(a12, rel=2e-3)
    assert 4 * epsilon * sigma**6 == pytest.approx(c6, rel=2e-3)
    for atom in (1, 2):
        q, _, epsilon = force.getParticleParameters(atom)
        assert q._value == pytest.approx(hydrogen) and epsilon._value == 0
    constraints = {
        tuple(sorted((i, j))): d._value
        for i, j, d in map(made.system.getConstraintParameters, range(1536))
    }
    base = 2 * length * np.sin(np.radians(angle_ / 2))
    assert [constraints[p] for p in ((0, 1), (0, 2), (1, 2))] == pytest.approx(
        [length, length, base], rel=1e-4
    )
    assert made.system.getNumConstraints() == 1536
    density = 512 * 18.0154 * 1.66053907 / np.linalg.det(made.box)
    assert 960 < density < 1030


def test_start_of_the_liquids_is_a_frame_of_their_ensemble():
    """Not minimised: the potential energy is what experiment's heat of vaporisation implies."""
    # TIP3P: -9.6 to -9.8 kcal/mol per molecule (Jorgensen 1983); SPC/E: -46.7 kJ/mol (without the
    # polarisation correction). The published values have a cutoff, so only roughly the same.
    for name, expected in (("water-tip3p", -9.7 * KCAL), ("water-spce", -46.7)):
        assert energy(context_of(recipe(name))) / 512 == pytest.approx(expected, rel=0.04)


def test_recipes_go_with_the_built_in_mappings():
    pairs = [("hexane", "hexane-three", 300), ("water-tip3p", "water-o", 512), ("cln025", "ca", 10)]
    for system, mapping, beads in pairs:
        assert Mapping.builtin(mapping, recipe(system).topology).n_beads == beads
