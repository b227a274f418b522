"""Readers of trajectories with forces: all formats, units and boxes."""

from __future__ import annotations

import atom_files
import numpy as np
import pytest
from atom_files import FORMATS, FRAMES, NPZ_UNITS, assert_close, write_trr
from hypothesis import given
from hypothesis import strategies as st
from mdtraj.formats import TRRTrajectoryFile
from openmmcg.data import Units, open_trajectory
from openmmcg.data.trajectories.base import boxes_from_angles, reduced_boxes
from openmmcg.data.trajectories.units import energy_factor, force_factor, length_factor
from scipy.io import netcdf_file


@pytest.fixture(scope="module")
def alanine():
    return atom_files.Alanine()


@pytest.fixture(scope="module")
def trajectory(alanine):
    return alanine.frames


@pytest.fixture(scope="module")
def topology(alanine):
    return alanine.topology


@pytest.fixture(params=list(FORMATS))
def written(request, tmp_path, trajectory, topology):
    path = FORMATS[request.param](tmp_path, trajectory, topology)
    return path, NPZ_UNITS if "npz" in request.param else Units()


def test_every_format_gives_the_same_frames(written, trajectory):
    path, units = written
    positions, forces, boxes, energies = trajectory
    with open_trajectory(path, units) as found:
        assert (found.n_frames, found.n_atoms) == (FRAMES, 22)
        for rows in ((0, FRAMES, 1), (3, 40, 7), (58, 60, 1), (0, 1, 1)):
            frames = found.read(*rows)
            picked = slice(*rows)
            assert_close(frames.positions, positions[picked])
            assert_close(frames.forces, forces[picked])
            assert_close(frames.boxes, boxes[picked])
            if "energies" in found.holds:
                assert_close(frames.energies, energies[picked])
            assert (frames.energies is None) == (path.suffix in {".trr", ".nc"})


def test_trr_is_read_as_mdtraj_reads_it(tmp_path, trajectory):
    path = write_trr(tmp_path / "a.trr", trajectory, velocities=True)
    with TRRTrajectoryFile(str(path)) as file:
        positions, _, _, boxes, _, _, forces = file._read(FRAMES, None, True, True)
    with open_trajectory(path) as found:
        frames = found.read(0, FRAMES)
    np.testing.assert_array_equal(frames.positions, positions)
    np.testing.assert_array_equal(frames.forces, forces)
    np.testing.assert_array_equal(frames.boxes, boxes)


def test_trr_of_several_layouts(tmp_path, trajectory):
    """GROMACS writes positions, velocities and forces at intervals of their own."""
    part = tuple(a[:10] for a in trajectory)
    pieces = [
        write_trr(tmp_path / "both.trr", part).read_bytes(),
        write_trr(tmp_path / "without.trr", part, forces=False).read_bytes(),
        write_trr(tmp_path / "all.trr", part, velocities=True).read_bytes(),
    ]
    mixed = tmp_path / "mixed.trr"
    mixed.write_bytes(b"".join(pieces))
    with open_trajectory(mixed) as found:
        assert (found.n_frames, found.left_out) == (20, 10)
        frames = found.read(8, 14, 2)
        np.testing.assert_array_equal(frames.forces, part[1][[8, 0, 2]])
        np.testing.assert_array_equal(frames.positions, part[0][[8, 0, 2]])
    with pytest.raises(ValueError, match="No frame .* has both positions and forces"):
        open_trajectory(tmp_path / "without.trr")


def test_double_precision_trr(tmp_path):
    """A frame put together by hand from the format's description."""
    values = np.arange(9.0) + 0.1
    sizes = [0, 0, 72, 0, 0, 0, 0, 72, 0, 72, 3, 5, 0]
    frame = np.array([1993, 13, 12], ">i4").tobytes() + b"GMX_trn_file"
    frame += np.array(sizes, ">i4").tobytes() + np.zeros(2, ">f8").tobytes()
    frame += (np.eye(3) * 2).astype(">f8").tobytes()
    frame += values.astype(">f8").tobytes() + (-values).astype(">f8").tobytes()
    path = tmp_path / "double.trr"
    path.write_bytes(frame * 3)
    with open_trajectory(path) as found:
        frames = found.read(0, 3)
        np.testing.assert_array_equal(frames.positions[2], values.reshape(3, 3))
        np.testing.assert_array_equal(frames.forces[1], -values.reshape(3, 3))


@pytest.mark.parametrize("version", [1, 2])
def test_netcdf_is_read_as_scipy_reads_it(tmp_path, version):
    """Two versions; variables that need padding, and one that is alone and gets none."""
    rng = np.random.default_rng(0)
    for others in (True, False):
        path = tmp_path / f"{others}.nc"
        values = rng.normal(size=(5, 7, 3))
        with netcdf_file(str(path), "w", version=version) as file:
            file.createDimension("frame", None)
            file.createDimension("atom", 7)
            file.createDimension("spatial", 3)
            if others:
                label = file.createVariable("label", "i1", ("frame", "spatial"))
                label[:5] = np.ones((5, 3))
            forces = file.createVariable("forces", "f8", ("frame", "atom", "spatial"))
            forces[:5] = values
            forces.units = "eV/angstrom"
        with open_trajectory(path) as found:
            assert found.holds == {"forces"}
            np.testing.assert_allclose(
                found.read(1, 5, 2).forces, values[[1, 3]] * force_factor("eV/A"), rtol=1e-12
            )


def test_units():
    assert length_factor("Angstroms") == length_factor("Å") == length_factor("A") == 0.1
    assert length_factor("nanometers") == 1.0
    for text in ("kcal/mol/A", "kilocalorie/mole/angstrom", "kcal mol^-1 Å^-1", "kcal/(mol*Å)"):
        assert force_factor(text) == pytest.approx(41.84)
    for text in ("kJ/mol/nm", "kilojoules_per_mole/nanometer", "kJ mol-1 nm-1", "kJ/(mol nm)"):
        assert force_factor(text) == 1.0
    assert force_factor("eV/A") == pytest.approx(964.853, abs=1e-3)
    assert force_factor("hartree/bohr") == pytest.approx(49614.75, rel=1e-6)
    assert energy_factor("kcal/mol") == 4.184
    for function, text in ((force_factor, "kcal/mol"), (energy_factor, "K"), (length_factor, "")):
        with pytest.raises(ValueError, match="Unknown unit of"):
            function(text)


@given(
    st.lists(st.floats(0.5, 5.0), min_size=3, max_size=3),
    st.lists(st.floats(65.0, 110.0), min_size=3, max_size=3),
)
def test_boxes(lengths, angles):
    """Edges and angles come back from the vectors; reducing keeps lattice and volume."""
    boxes = boxes_from_angles(np.array([lengths]), np.array([angles]))
    a, b, c = boxes[0]
    edges = [np.linalg.norm(v) for v in (a, b, c)]
    np.testing.assert_allclose(edges, lengths, rtol=1e-9)
    found = [
        np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))
        for u, v in ((b, c), (a, c), (a, b))
    ]
    np.testing.assert_allclose(found, angles, rtol=1e-9)
    reduced = reduced_boxes(boxes)
    combination = reduced[0] @ np.linalg.inv(boxes[0])
    np.testing.assert_allclose(combination, np.rint(combination), atol=1e-9)
    assert np.linalg.det(reduced[0]) == pytest.approx(np.linalg.det(boxes[0]))
    assert abs(reduced[0, 1, 0]) <= reduced[0, 0, 0] / 2 * (1 + 1e-12)
    assert abs(reduced[0, 2, 1]) <= reduced[0, 1, 1] / 2 * (1 + 1e-12)
