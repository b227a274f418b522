"""Make the start structures of the recipes, from internal coordinates and lattices alone.

Run ``python make_structures.py [NAME ...]``; all seeds are fixed. Peptides are
written as PDB files, liquids as compressed arrays of positions and box (see
`openmmcg.data.systems.liquids`). One liquid takes minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import mdtraj as md
import numpy as np
import openmm
import openmm.app as app
from openmm import unit
from openmmcg.data.systems import liquids
from openmmcg.mapping.topology import as_mdtraj

HERE = Path(__file__).parent
SEED = 1
FORCE_FIELD = ("amber14/protein.ff14SB.xml", "implicit/obc2.xml")

# Side chains: atom, the three atoms it is placed from, length (Å), angle and torsion (degrees).
# Ideal values, to about 0.02 Å and 3 degrees; the minimisation does the rest.
_RING = [
    ("CD1", ("CA", "CB", "CG"), 1.40, 120.8, 90.0),
    ("CD2", ("CA", "CB", "CG"), 1.40, 120.8, -90.0),
    ("CE1", ("CB", "CG", "CD1"), 1.40, 120.8, 180.0),
    ("CE2", ("CB", "CG", "CD2"), 1.40, 120.8, 180.0),
    ("CZ", ("CG", "CD1", "CE1"), 1.40, 119.8, 0.0),
]
SIDE_CHAINS: dict[str, list[tuple[str, tuple[str, str, str], float, float, float]]] = {
    "GLY": [],
    "ALA": [],
    "PRO": [
        ("CG", ("N", "CA", "CB"), 1.50, 104.0, 30.0),
        ("CD", ("CA", "CB", "CG"), 1.50, 105.0, -35.0),
    ],
    "ASP": [
        ("CG", ("N", "CA", "CB"), 1.52, 113.0, -65.0),
        ("OD1", ("CA", "CB", "CG"), 1.25, 118.0, -20.0),
        ("OD2", ("CA", "CB", "CG"), 1.25, 118.0, 160.0),
    ],
    "GLU": [
        ("CG", ("N", "CA", "CB"), 1.52, 114.0, -65.0),
        ("CD", ("CA", "CB", "CG"), 1.52, 113.0, 180.0),
        ("OE1", ("CB", "CG", "CD"), 1.25, 118.0, 0.0),
        ("OE2", ("CB", "CG", "CD"), 1.25, 118.0, 180.0),
    ],
    "THR": [  # the R form of CB: CG2 is 120 degrees behind OG1
        ("OG1", ("N", "CA", "CB"), 1.43, 109.0, -60.0),
        ("CG2", ("N", "CA", "CB"), 1.52, 111.0, 180.0),
    ],
    "TYR": [
        ("CG", ("N", "CA", "CB"), 1.51, 114.0, -65.0),
        *_RING,
        ("OH", ("CD1", "CE1", "CZ"), 1.37, 120.0, 180.0),
    ],
    "TRP": [
        ("CG", ("N", "CA", "CB"), 1.50, 114.0, -65.0),
        ("CD1", ("CA", "CB", "CG"), 1.37, 127.0, -90.0),
        ("CD2", ("CA", "CB", "CG"), 1.43, 126.6, 90.0),
        ("NE1", ("CB", "CG", "CD1"), 1.37, 110.0, 180.0),
        ("CE2", ("CB", "CG", "CD2"), 1.41, 107.3, 180.0),
        ("CE3", ("CB", "CG", "CD2"), 1.40, 133.9, 0.0),
        ("CZ2", ("CG", "CD2", "CE2"), 1.39, 122.4, 180.0),
        ("CZ3", ("CG", "CD2", "CE3"), 1.38, 118.6, 180.0),
        ("CH2", ("CD2", "CE2", "CZ2"), 1.37, 117.5, 0.0),
    ],
}
HAIRPIN = [  # (φ, ψ): two strands and a 4-residue turn closed by a left-handed glycine
    ("TYR", -120, 135),
    ("TYR", -115, 135),
    ("ASP", -85, 115),
    ("PRO", -60, -25),
    ("GLU", -75, -30),
    ("THR", -105, -5),
    ("GLY", 85, 15),
    ("THR", -110, 135),
    ("TRP", -115, 135),
    ("TYR", -120, 135),
]
CONTACTS = [("N", 3, "O", 8), ("O", 3, "N", 7), ("N", 1, "O", 10), ("O", 1, "N", 10)]
"""Backbone hydrogen bonds of the hairpin (residue numbers without caps)."""


def place(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, r: float, angle: float, torsion: float
) -> np.ndarray:
    """Return the point at distance r from c, with the angle b-c-d and torsion a-b-c-d (degrees)."""
    angle, torsion = np.radians([angle, torsion])
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    side = np.cross(normal, axis)
    return c + r * (
        -np.cos(angle) * axis + np.sin(angle) * (np.cos(torsion) * side + np.sin(torsion) * normal)
    )


def _carbonyl(c: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    u = [(p - c) / np.linalg.norm(p - c) for p in (before, after)]
    return c - 1.23 * (u[0] + u[1]) / np.linalg.norm(u[0] + u[1])


def _beta_carbon(n: np.ndarray, ca: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Place CB so that the residue is an L amino acid."""
    u, v = (n - ca) / np.linalg.norm(n - ca), (c - ca) / np.linalg.norm(c - ca)
    bisector, normal = u + v, np.cross(u, v)
    return ca + 1.53 * (
        -np.cos(np.radians(54.75)) * bisector / np.linalg.norm(bisector)
        + np.sin(np.radians(54.75)) * normal / np.linalg.norm(normal)
    )


def capped_peptide(residues: list[tuple[str, float, float]]) -> app.Modeller:
    """Return ACE-(residues)-NME with all hydrogens, from residue names, φ and ψ in degrees."""
    topology, points = app.Topology(), []
    chain = topology.addChain()

    def add(residue: app.topology.Residue, name: str, point: np.ndarray) -> np.ndarray:
        topology.addAtom(name, app.Element.getBySymbol(name[0]), residue)
        points.append(point)
        return point

    cap = topology.addResidue("ACE", chain)
    before = add(cap, "CH3", np.zeros(3))
    carbon = add(cap, "C", np.array([1.51, 0.0, 0.0]))
    nitrogen = place(np.array([0.0, 1.0, 0.0]), before, carbon, 1.335, 116.6, 180.0)
    add(cap, "O", _carbonyl(carbon, before, nitrogen))
    for name, phi, psi in residues:
        residue = topology.addResidue(name, chain)
        alpha = place(before, carbon, nitrogen, 1.458, 121.7, 180.0)
        last = place(carbon, nitrogen, alpha, 1.525, 111.0, phi)
        following = place(nitrogen, alpha, last, 1.335, 116.6, psi)
        atoms = {"N": nitrogen, "CA": alpha, "C": last}
        atoms["O"] = _carbonyl(last, alpha, following)
        if name != "GLY":
            atoms["CB"] = _beta_carbon(nitrogen, alpha, last)
        for atom, (a, b, c), r, angle, torsion in SIDE_CHAINS[name]:
            atoms[atom] = place(atoms[a], atoms[b], atoms[c], r, angle, torsion)
        for atom, point in atoms.items():
            add(residue, atom, point)
        before, carbon, nitrogen = alpha, last, following
    cap = topology.addResidue("NME", chain)
    add(cap, "N", nitrogen)
    add(cap, "C", place(before, carbon, nitrogen, 1.449, 121.7, 180.0))
    topology.createStandardBonds()
    modeller = app.Modeller(topology, np.array(points) * unit.angstrom)
    modeller.addHydrogens(
        app.ForceField(*FORCE_FIELD), platform=openmm.Platform.getPlatform("Reference")
    )
    return modeller


def relaxed(modeller: app.Modeller, contacts: list[tuple[int, int]], time: float) -> np.ndarray:
    """Minimise; with contacts, run `time` ps in which they are pulled to 0.29 nm, then minimise.

    Meanwhile the backbone's torsions are held near where they were built.
    """
    system = app.ForceField(*FORCE_FIELD).createSystem(
        modeller.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds
    )
    # At most 60 kJ/mol/nm: pulled harder, an amino acid turns over into its mirror image.
    pull = openmm.CustomBondForce("pull * 6 * (sqrt(1 + 100*max(0, r - 0.29)^2) - 1)")
    pull.addGlobalParameter("pull", 0.0)
    for i, j in contacts:
        pull.addBond(i, j)
    hold = openmm.CustomTorsionForce("-pull * 100 * cos(theta - built)")
    hold.addGlobalParameter("pull", 0.0)
    hold.addPerTorsionParameter("built")
    start = md.Trajectory(
        np.array(modeller.positions.value_in_unit(unit.nanometer)), as_mdtraj(modeller.topology)
    )
    for compute in (md.compute_phi, md.compute_psi):
        atoms, angles = compute(start)
        for torsion, angle in zip(atoms.tolist(), angles[0].tolist(), strict=True):
            hold.addTorsion(*torsion, [angle])
    system.addForce(pull)
    system.addForce(hold)
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.002)
    integrator.setRandomNumberSeed(SEED)
    platform = openmm.Platform.getPlatform("CPU")
    context = openmm.Context(system, integrator, platform, {"Threads": "1"})
    context.setPositions(modeller.positions)
    openmm.LocalEnergyMinimizer.minimize(context)
    if contacts:
        context.setParameter("pull", 1.0)
        context.setVelocitiesToTemperature(300, SEED)
        integrator.step(round(time / 0.002))
        context.setParameter("pull", 0.0)
    openmm.LocalEnergyMinimizer.minimize(context)
    return _positions(context)


def _positions(context: openmm.Context) -> np.ndarray:
    state = context.getState(positions=True)
    return state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)


def write_peptide(name: str, residues: list, note: str, contacts: list = CONTACTS[:0]) -> None:
    """Build, relax and write a peptide."""
    modeller = capped_peptide(residues)
    atoms = {(a.name, a.residue.index): a.index for a in modeller.topology.atoms()}
    pairs = [(atoms[a, i], atoms[b, j]) for a, i, b, j in contacts]
    positions = relaxed(modeller, pairs, 80.0)
    _check_handedness(modeller.topology, positions)
    positions = positions - positions.mean(axis=0)
    with open(HERE / f"{name}.pdb", "w") as handle:
        handle.write(f"REMARK   1 {note}, from ideal internal coordinates,\n")
        handle.write("REMARK   1 hydrogens by openmm.app.Modeller, minimised with ff14SB/OBC2\n")
        app.PDBFile.writeModel(modeller.topology, positions * unit.angstrom * 10, handle)
        app.PDBFile.writeFooter(modeller.topology, handle)


def _check_handedness(topology: app.Topology, positions: np.ndarray) -> None:
    for residue in topology.residues():
        x = {atom.name: positions[atom.index] for atom in residue.atoms()}
        if "CA" in x and "CB" in x:
            a, b, c = (x[name] - x["CA"] for name in ("N", "C", "CB"))
            assert np.dot(np.cross(a, b), c) > 1e-3, f"{residue.name} {residue.id} is not L"


def peptides() -> None:
    """Write the starts of the peptides."""
    names = [name for name, _, _ in HAIRPIN]
    write_peptide("cln025-hairpin", HAIRPIN, "CLN025 as a hairpin", CONTACTS)
    write_peptide(
        "cln025-extended",
        [(name, -65 if name == "PRO" else -135, 140) for name in names],
        "CLN025, extended (phi -135, psi 140)",
    )
    write_peptide("ace-ala15-nme-helix", [("ALA", -60, -45)] * 15, "ACE-Ala15-NME, helix")
    write_peptide("ace-ala15-nme-extended", [("ALA", -135, 140)] * 15, "ACE-Ala15-NME, extended")
    write_peptide("capped-glycine", [("GLY", -75, 75)], "ACE-Gly-NME")


class Liquid:
    """A box of molecules that is being equilibrated at 300 K."""

    def __init__(
        self, topology: app.Topology, positions: np.ndarray, length: float, *files: str
    ) -> None:
        topology.setPeriodicBoxVectors(np.diag([length] * 3))
        self.topology = topology
        self.system = app.ForceField(*files).createSystem(
            topology, nonbondedMethod=app.PME, nonbondedCutoff=1.0, constraints=app.HBonds
        )
        self.context = self._context(positions)
        openmm.LocalEnergyMinimizer.minimize(self.context, 10, 200)
        self.context.setVelocitiesToTemperature(300, SEED)

    def _context(self, positions: np.ndarray) -> openmm.Context:
        integrator = openmm.LangevinMiddleIntegrator(300, 2.0, 0.002)
        integrator.setRandomNumberSeed(SEED)
        platform = openmm.Platform.getPlatform("CPU")
        context = openmm.Context(self.system, integrator, platform, {"Threads": "1"})
        context.setPositions(positions)
        return context

    @property
    def length(self) -> float:
        """Edge of the cubic box, nm."""
        return float(self.context.getState().getPeriodicBoxVectors()[0][0]._value)

    def step(self, time: float) -> None:
        """Run `time` ps."""
        self.context.getIntegrator().step(round(time / 0.002))

    def add_barostat(self, pressure: float) -> None:
        """Go on at a pressure in bar."""
        state = self.context.getState(positions=True, velocities=True)
        barostat = openmm.MonteCarloBarostat(pressure, 300.0, 25)
        barostat.setRandomNumberSeed(SEED)
        self.system.addForce(barostat)
        self.context = self._context(_positions(self.context))
        self.context.setState(state)

    def scale(self, length: float) -> None:
        """Give the box another edge; molecules move with their centres."""
        positions, factor = _positions(self.context), length / self.length
        for molecule in self.context.getMolecules():
            centre = positions[list(molecule)].mean(axis=0)
            positions[list(molecule)] += (factor - 1) * centre
        self.context.setPeriodicBoxVectors(*np.diag([length] * 3))
        self.context.setPositions(positions)

    def write(self, name: str) -> None:
        """Write positions and box, with whole molecules inside the box."""
        state = self.context.getState(positions=True, enforcePeriodicBox=True)
        positions = state.getPositions(asNumpy=True)._value
        box = np.diag([round(self.length, 5)] * 3)
        np.savez_compressed(
            HERE / f"{name}.npz", positions=positions.round(4).astype(np.float32), box=box
        )
        print(f"{name}: {len(positions)} atoms, edge {self.length:.5f} nm", flush=True)


def hexane() -> None:
    """Put straight molecules on a lattice in random orientations, compress to 655 kg/m³."""
    rng = np.random.default_rng(SEED)
    molecule = _straight_hexane()
    edge, target = 4.75, 2.79573
    sites = np.array([(i, j, k) for i in range(5) for j in range(5) for k in range(4)])
    positions = np.concatenate(
        [site * (0.95, 0.95, 1.18) + molecule @ _rotation(rng).T for site in sites]
    )
    force_field = str(HERE / "hexane.xml")
    topology = liquids.hexane_topology(len(sites))
    liquid = Liquid(topology, positions, edge, force_field)
    while liquid.length > target:
        liquid.scale(max(target, 0.985 * liquid.length))
        liquid.step(0.6)
    liquid.step(60)
    liquid.write("hexane")


def _straight_hexane() -> np.ndarray:
    points = [np.zeros(3), np.array([0.1529, 0, 0])]
    before = np.array([0.0, 1.0, 0.0])
    while len(points) < 6:
        points.append(place(before, points[-2], points[-1], 0.1529, 112.7, 180.0))
        before = points[-3]
    carbons = np.array(points)
    ends = [2 * carbons[0] - carbons[1], 2 * carbons[-1] - carbons[-2]]
    chain = [carbons[2] + (carbons[0] - carbons[1]), *carbons, carbons[3] + ends[1] - carbons[4]]
    atoms = []
    for k, carbon in enumerate(carbons, start=1):
        before, after = chain[k - 1], chain[k + 1]
        atoms.append(carbon)
        u = [(p - carbon) / np.linalg.norm(p - carbon) for p in (before, after)]
        out, normal = -(u[0] + u[1]), np.cross(u[0], u[1])
        out, normal = out / np.linalg.norm(out), normal / np.linalg.norm(normal)
        for sign in (1, -1):
            atoms.append(carbon + 0.109 * (0.589 * out + sign * 0.808 * normal))
        if k == 1:
            atoms.append(carbon + 0.109 * u[0])
        if k == 6:
            atoms.append(carbon + 0.109 * u[1])
    return np.array(atoms) - carbons.mean(axis=0)


def _rotation(rng: np.random.Generator) -> np.ndarray:
    matrix, triangle = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(triangle))
    return matrix * np.sign(np.linalg.det(matrix))


def water(name: str, model: str, file: str, count: int = 512) -> None:
    """Equilibrate a box of waters at 300 K and 1 bar."""
    force_field = app.ForceField(file)
    modeller = app.Modeller(app.Topology(), np.empty((0, 3)) * unit.nanometer)
    modeller.addSolvent(force_field, model=model, numAdded=count)
    length = (count / 33.0) ** (1 / 3)
    liquid = Liquid(modeller.topology, modeller.positions, 1.02 * length, file)
    liquid.add_barostat(1.0)
    liquid.step(60)
    liquid.write(name)


def capped_alanine_tip3p() -> None:
    """Solvate capped alanine, 0.8 nm from the walls, and equilibrate at 300 K and 1 bar."""
    force_fields = (FORCE_FIELD[0], liquids.TIP3P)
    pdb = app.PDBFile(str(HERE / "capped-alanine.pdb"))
    modeller = app.Modeller(pdb.topology, pdb.positions)
    modeller.addSolvent(
        app.ForceField(*force_fields), model="tip3p", boxSize=openmm.Vec3(2.8, 2.8, 2.8)
    )
    liquid = Liquid(modeller.topology, modeller.positions, 2.8, *force_fields)
    liquid.add_barostat(1.0)
    liquid.step(60)
    liquid.write("capped-alanine-tip3p")


MAKERS: dict[str, Callable[[], None]] = {
    "peptides": peptides,
    "hexane": hexane,
    "water-tip3p": lambda: water("water-tip3p", "tip3p", liquids.TIP3P),
    "water-spce": lambda: water("water-spce", "spce", liquids.SPCE),
    "capped-alanine-tip3p": capped_alanine_tip3p,
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or MAKERS:
        MAKERS[chosen]()
