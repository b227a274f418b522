"""Shares of each bead in free energy, entropy and mean energy."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from openmmcg.simulation import CGPotential, bead_thermodynamics, thermodynamics
from thermal_models import REFERENCE, STIFFNESS, write_dumbbell


def test_shares_add_up_to_the_totals_and_the_closed_form(tmp_path: Path) -> None:
    potential = CGPotential.load(write_dumbbell(tmp_path / "d.cg.pt"))
    positions = np.array([[0.0, 0.0, 0.0], [0.03, 0.04, 0.0]])
    kelvin = 330.0
    found = bead_thermodynamics(potential, positions, kelvin)
    total = thermodynamics(potential, positions[None, None], np.array([kelvin]))
    assert found.free_energies.sum() == pytest.approx(total.free_energies[0, 0], rel=1e-9)
    assert found.entropies.sum() == pytest.approx(total.entropies[0, 0], abs=1e-6)
    assert found.energies.sum() == pytest.approx(total.energies[0, 0], abs=1e-3)
    # W = k/2 d^2 + T^2 / 10 with k = k0 (T / T0)^2, half of it each bead's.
    spring = 0.5 * STIFFNESS * (kelvin / REFERENCE) ** 2 * 0.05**2
    assert found.free_energies == pytest.approx([0.5 * spring + 0.05 * kelvin**2] * 2)
    assert found.entropies == pytest.approx([-spring / kelvin - 0.1 * kelvin] * 2)


def test_extrapolation_and_wrong_positions(tmp_path: Path) -> None:
    potential = CGPotential.load(write_dumbbell(tmp_path / "d.cg.pt"))
    positions = np.array(potential.template["positions"])
    with pytest.warns(UserWarning, match="trained at 200 to 500 K; at 550 K it extrapolates"):
        bead_thermodynamics(potential, positions, 550.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bead_thermodynamics(potential, positions).temperature == REFERENCE
    with pytest.raises(ValueError, match=r"the model has 2 beads, expected .2, 3."):
        bead_thermodynamics(potential, positions[:1])
