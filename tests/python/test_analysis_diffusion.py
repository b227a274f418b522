"""Self-diffusion: displacements by hand, random walks, periodic images."""

from __future__ import annotations

import numpy as np
import pytest
from openmmcg.analysis.diffusion import mean_square_displacement, self_diffusion
from openmmcg.analysis.ensemble import Ensemble

BOX = np.array([[2.0, 0, 0], [0.6, 2.2, 0], [-0.4, 0.5, 2.4]])


def walk(frames, molecules, coefficient, interval, seed=0):
    """Brownian paths (frames, molecules, 3) with D in 1e-5 cm²/s, interval in ps."""
    rng = np.random.default_rng(seed)
    step = np.sqrt(2 * coefficient * 1e-3 * interval)
    return np.cumsum(rng.normal(0, step, (frames, molecules, 3)), axis=0)


def ensemble(paths, interval, **changes):
    """Walkers (W, F, N, 3) as an ensemble, frame by frame as runs have them."""
    walkers, frames, beads, _ = paths.shape
    values = {
        "positions": paths.swapaxes(0, 1).reshape(-1, beads, 3),
        "weights": np.ones(walkers * frames),
        "walkers": np.tile(np.arange(walkers), frames),
        "frame_interval": interval,
        "boxes": np.broadcast_to(BOX, (walkers * frames, 3, 3)),
    }
    return Ensemble(**{**values, **changes})


def test_displacements_are_those_of_the_definition():
    x = walk(30, 4, 2.0, 1.0)
    expected = [0.0] + [np.mean(np.sum((x[k:] - x[:-k]) ** 2, -1)) for k in range(1, 30)]
    np.testing.assert_allclose(mean_square_displacement(x), expected, atol=1e-12)


@pytest.mark.parametrize("walkers", [1, 6])
def test_random_walks(walkers):
    """The centre of mass that is taken out moves with 1/M of the displacement."""
    paths = np.stack([walk(800, 60, 2.3, 0.5, seed) for seed in range(walkers)])
    found = self_diffusion(ensemble(paths, 0.5), range(60), [18.0] * 60)
    expected = 2.3 * (1 - 1 / 60)
    assert found.coefficient == pytest.approx(expected, abs=4 * found.error)
    assert 0 < found.error < 0.1 * expected
    assert found.displacement[2] == pytest.approx(6 * expected * 1e-3 * found.times[2], rel=0.05)


def test_images_and_drift_do_not_count():
    paths = walk(200, 20, 1.0, 1.0)[None]
    beads = np.repeat(paths, 2, axis=2)  # molecules of two beads
    beads[:, :, 1::2] += 0.1
    molecules, masses = np.repeat(np.arange(20), 2), [1.0, 3.0] * 20
    plain = self_diffusion(ensemble(beads, 1.0), molecules, masses)
    images = np.random.default_rng(1).integers(-2, 3, (1, 200, 20, 3)) @ BOX
    drift = np.linspace(0, 3, 200)[None, :, None, None] * np.ones(3)
    moved = beads + np.repeat(images, 2, axis=2) + drift
    again = self_diffusion(ensemble(moved, 1.0), molecules, masses)
    np.testing.assert_allclose(again.displacement, plain.displacement, atol=1e-9)
    assert again.coefficient == pytest.approx(plain.coefficient)


def test_where_there_is_no_estimate():
    paths = walk(200, 5, 1.0, 1.0)[None]
    assert self_diffusion(ensemble(paths, 1.0), range(5), [1.0] * 5) is not None
    for changes in (
        {"boxes": None},
        {"frame_interval": None},
        {"continuous": False},
        {"weights": np.linspace(1, 2, 200)},
    ):
        assert self_diffusion(ensemble(paths, 1.0, **changes), range(5), [1.0] * 5) is None
    assert self_diffusion(ensemble(paths[:, :150], 1.0), range(5), [1.0] * 5) is None
