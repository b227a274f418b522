"""Histograms, divergences and free energies against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from openmmcg.analysis import free_energy, histogram2d, jensen_shannon
from openmmcg.analysis.distributions import effective_samples, histogram, weighted_moments
from openmmcg.units import KB
from scipy.stats import norm


def test_jensen_shannon_limits():
    p = np.array([1.0, 3.0, 0.0])
    assert jensen_shannon(p, 7 * p) == pytest.approx(0.0, abs=1e-15)
    assert jensen_shannon([1, 0], [0, 1]) == pytest.approx(np.log(2))


def test_jensen_shannon_value_and_symmetry():
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    m = (p + q) / 2
    expected = 0.5 * np.sum(p * np.log(p / m)) + 0.5 * np.sum(q * np.log(q / m))
    assert jensen_shannon(p, q) == pytest.approx(expected)
    assert jensen_shannon(q, p) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("p", "q"), [([0, 0], [1, 1]), ([1, -1], [1, 1]), ([1, np.nan], [1, 1]), ([1], [1, 1])]
)
def test_jensen_shannon_refuses_bad_histograms(p, q):
    with pytest.raises(ValueError, match="histogram"):
        jensen_shannon(p, q)


def test_free_energy_inverts_a_boltzmann_distribution():
    energy = np.array([0.0, 1.0, 5.0])
    result = free_energy(np.exp(-energy / (KB * 310.0)), 310.0)
    np.testing.assert_allclose(result, energy, atol=1e-12)


def test_free_energy_of_an_empty_bin_is_nan():
    assert np.isnan(free_energy([1.0, 0.0], 300.0)).tolist() == [False, True]


def test_reweighting_recovers_the_unbiased_histogram():
    """Frames of a flat (biased) distribution, weighted with exp(V/kT), give the Gaussian one."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-180, 180, (2, 400_000))
    weights = norm.pdf(x, 0, 40) * norm.pdf(y, 30, 40)
    edges = np.linspace(-180, 180, 13)
    exact = np.outer(np.diff(norm.cdf(edges, 0, 40)), np.diff(norm.cdf(edges, 30, 40)))
    found = histogram2d(x, y, weights, bins=12)
    assert jensen_shannon(found, exact) < 1e-3
    assert jensen_shannon(histogram2d(x, y, bins=12), exact) > 0.2


def test_histogram2d_has_the_first_coordinate_first():
    found = histogram2d(np.array([-170.0]), np.array([170.0]), bins=60)
    assert np.argwhere(found).tolist() == [[1, 58]]


def test_histogram2d_refuses_samples_outside():
    with pytest.raises(ValueError, match="empty"):
        histogram2d(np.array([500.0]), np.array([0.0]))


def test_histogram_keeps_what_lies_outside():
    found = histogram([-9.0, 0.5, 9.0, 9.0], [1.0, 1.0, 1.0, 1.0], np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(found, [0.5, 0.5])


def test_effective_samples():
    assert effective_samples([2.0, 2.0, 2.0]) == pytest.approx(3.0)
    assert effective_samples([1.0, 0.0, 0.0]) == pytest.approx(1.0)


def test_weighted_moments():
    assert weighted_moments(np.array([1.0, 3.0]), np.array([3.0, 1.0])) == pytest.approx(
        (1.5, np.sqrt(0.75))
    )
