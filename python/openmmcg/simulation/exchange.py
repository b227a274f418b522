"""Exchange of configurations between copies of a run at different temperatures.

At temperatures T_i and T_j the configurations x_i and x_j have the joint density
exp(-W(x_i; T_i)/kT_i - W(x_j; T_j)/kT_j). A potential of mean force W depends on the temperature
itself, so the exchange is accepted with the probability

    min(1, exp(-[b_i W(x_j; T_i) + b_j W(x_i; T_j) - b_i W(x_i; T_i) - b_j W(x_j; T_j)])),

b = 1/kT, and not with that of energies, (b_i - b_j)(W_i - W_j), which is its value only if W is the
same at both temperatures. A constant in W that depends on T alone cancels. See Sugita and Okamoto,
Chem. Phys. Lett. 1999, 314, 141; Sugita, Kitao and Okamoto, J. Chem. Phys. 2000, 113, 6042, for
Hamiltonians that differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from openmmcg.units import KB


def neighbours(n_temperatures: int, attempt: int) -> list[tuple[int, int]]:
    """Pairs of neighbouring temperatures that are tried; even and odd ones in turn."""
    return [(low, low + 1) for low in range(attempt % 2, n_temperatures - 1, 2)]


def exponent(temperatures: tuple[float, float], energies: np.ndarray) -> np.ndarray:
    """Logarithm of the acceptance ratio of exchanges between two temperatures.

    Parameters
    ----------
    temperatures : (float, float)
        T_0 and T_1, K.
    energies : ndarray, (2, 2, replicas)
        W(x_b; T_a) at index [a, b], kJ/mol.

    Returns
    -------
    ndarray, (replicas,)
    """
    first, second = (1 / (KB * temperature) for temperature in temperatures)
    return -(first * (energies[0, 1] - energies[0, 0]) + second * (energies[1, 0] - energies[1, 1]))


def accepted(exponents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw which exchanges are accepted, by Metropolis' rule."""
    return np.asarray(np.log(rng.random(len(exponents))) < exponents)


class Ladder:
    """Which walker is at which temperature, and how well walkers get around.

    A walker is a configuration that is followed through its exchanges. It has made a round trip
    when it comes back to the lowest temperature from the highest.

    Parameters
    ----------
    n_temperatures, replicas : int

    Attributes
    ----------
    walkers : ndarray, (n_temperatures, replicas) int
        Numbers of the walkers.
    heading : ndarray, (walkers,) int
        1 for those that were last at the lowest temperature, -1 at the highest, 0 at neither.
    round_trips : int
    attempts, successes : ndarray, (n_temperatures - 1,) int
        Exchanges of each pair of neighbours.
    """

    NAMES = ("walkers", "heading", "round_trips", "attempts", "successes")

    def __init__(self, n_temperatures: int, replicas: int) -> None:
        self.walkers = np.arange(n_temperatures * replicas).reshape(n_temperatures, replicas)
        self.heading = np.zeros(n_temperatures * replicas, dtype=np.int64)
        self.round_trips = 0
        self.attempts = np.zeros(n_temperatures - 1, dtype=np.int64)
        self.successes = np.zeros(n_temperatures - 1, dtype=np.int64)
        self._arrive()

    def exchange(self, low: int, moved: np.ndarray) -> None:
        """Exchange walkers between temperatures `low` and `low` + 1 where `moved` (replicas,)."""
        self.attempts[low] += len(moved)
        self.successes[low] += int(moved.sum())
        pair = self.walkers[low : low + 2, moved]
        self.walkers[low : low + 2, moved] = pair[::-1]
        self._arrive()

    def _arrive(self) -> None:
        bottom, top = self.walkers[0], self.walkers[-1]
        self.round_trips += int(np.count_nonzero(self.heading[bottom] == -1))
        self.heading[top] = np.where(self.heading[top] == 1, -1, self.heading[top])
        self.heading[bottom] = 1

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays."""
        return {name: np.asarray(getattr(self, name)) for name in self.NAMES}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave."""
        for name in self.NAMES:
            setattr(self, name, np.array(state[name]))
        self.round_trips = int(self.round_trips)

    def numbers(self, temperatures: Sequence[float]) -> dict[str, object]:
        """Acceptance of each pair and round trips of all walkers, ready for JSON."""
        shares = self.successes / np.maximum(self.attempts, 1)
        return {
            "temperatures": list(temperatures),
            "acceptance": shares.tolist(),
            "attempts": self.attempts.tolist(),
            "round_trips": self.round_trips,
        }
