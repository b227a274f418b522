"""Mean forces at held beads: each frame's beads stay where they are while other atoms move.

The average of a mapped force at fixed beads is the mean force itself, whose single-configuration
values carry all the noise of force matching (Park, Chennakesavalu and Rotskoff, arXiv 2602.14531).

Why holding gives the right ensemble: beads that are single atoms are Cartesian coordinates of
their own, so the configurations of the other atoms at fixed beads have the density exp(-u/kT),
without a factor from masses (Fixman's potential is that of constraints on curvilinear
coordinates). Rigid bonds among the other atoms bring their own factor, which depends on these
atoms alone and is the same whether beads move or not; rigid bonds that tie a bead are refused. The
box stays as the frame has it, so u is the complete energy at constant pressure too: averages are
those at fixed beads and fixed box.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import openmm

from openmmcg.data.force_maps.fit import ForceMap
from openmmcg.data.frames import Frames
from openmmcg.data.sampling.all_atom import AtomFrames
from openmmcg.data.sampling.averages import MEAN_BLOCKS, Averages, averages, memory
from openmmcg.data.sampling.config import SampleConfig
from openmmcg.data.sampling.dynamics import Dynamics, energy_of, forces_of, seed_of
from openmmcg.mapping import Mapping

LONGEST_MEMORY = 0.3
"""Of `openmmcg.data.sampling.averages.memory`; errors are then raised by a third."""


def frozen_system(system: openmm.System, mapping: Mapping) -> openmm.System:
    """Return a copy of a System whose beads have no mass, which OpenMM takes for not moving.

    Motion of the centre of mass is no longer removed, as held atoms take up momentum.

    Raises
    ------
    ValueError
        If a bead is not one atom, a constraint ties a bead, or nothing would move.
    """
    beads = mapping.slice_atoms
    if (beads < 0).any():
        raise ValueError(
            f"Bead {int((beads < 0).argmax())} is a weighted mean of several atoms, which cannot "
            "be held by holding atoms; frozen_beads needs a mapping whose beads are single atoms."
        )
    held = np.zeros(system.getNumParticles(), dtype=bool)
    held[beads] = True
    if held.all():
        raise ValueError("All atoms are beads, so that nothing moves when beads are held.")
    for index in range(system.getNumConstraints()):
        i, j, _ = system.getConstraintParameters(index)
        if held[i] or held[j]:
            raise ValueError(
                f"A constraint ties atoms {i} and {j}, one of which is a bead, and OpenMM cannot "
                "hold one end of a constraint; sample with constraints 'none', or with a mapping "
                "whose beads are free of constraints."
            )
    result = copy.deepcopy(system)
    for atom in beads.tolist():
        result.setParticleMass(atom, 0.0)
    for index in reversed(range(result.getNumForces())):
        if isinstance(result.getForce(index), openmm.CMMotionRemover):
            result.removeForce(index)
    return result


class FrozenBeads:
    """Runs with held beads, one for every frame.

    Parameters
    ----------
    config : SampleConfig
        Resolved settings.
    system : openmm.System
        Without bias.
    mapping : Mapping
    walker, block : int
        For seeds: a block's frames do not depend on what was run before.
    done : callable
        Called after each run; may raise to stop.

    Raises
    ------
    ValueError
        As `frozen_system`.
    """

    def __init__(
        self,
        config: SampleConfig,
        system: openmm.System,
        mapping: Mapping,
        walker: int,
        block: int,
        done: Callable[[], None],
    ) -> None:
        self._config = config
        self._walker = walker
        self._block = block
        self._frame = 0
        self._done = done
        self._dynamics = Dynamics(
            config,
            frozen_system(system, mapping),
            config.walker_temperature(walker),
            seed_of(config, walker, 9, block),
        )

    def averaged(self, force_map: ForceMap, atoms: AtomFrames, frames: Frames) -> Frames:
        """Return frames with what `Averages` holds instead of forces of one configuration.

        Parameters
        ----------
        force_map : ForceMap
        atoms : AtomFrames
            Where the runs start.
        frames : Frames
            The same frames, mapped.

        Raises
        ------
        FloatingPointError
            If a run became unstable.
        """
        found: list[Averages] = []
        memories = []
        for k, positions in enumerate(atoms.positions):
            box = None if atoms.boxes is None else atoms.boxes[k]
            forces, energies = self._run(force_map, positions, box)
            found.append(averages(forces, energies, self._dynamics.temperature))
            memories.append(memory(forces))
            self._done()
        correlation = float(np.mean(memories))
        if correlation > LONGEST_MEMORY:
            warnings.warn(
                f"Forces are remembered for a tenth of frozen_length, "
                f"{0.1 * self._config.frozen_length:g} ps, so that standard errors of their means "
                "are rough; choose a longer frozen_length.",
                stacklevel=2,
            )
        found = [entry.with_memory(correlation) for entry in found]
        return replace(
            frames,
            forces=np.array([entry.force for entry in found]),
            force_errors=np.array([entry.force_error for entry in found]),
            thermal_forces=np.array([entry.thermal_force for entry in found]),
            thermal_force_errors=np.array([entry.thermal_force_error for entry in found]),
            mean_energies=np.array([entry.energy for entry in found]),
            mean_energy_errors=np.array([entry.energy_error for entry in found]),
        )

    def _run(
        self, force_map: ForceMap, positions: np.ndarray, box: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mapped forces (n_samples, n_beads, 3) and energies (n_samples,) of a run."""
        config, dynamics = self._config, self._dynamics
        seed = seed_of(config, self._walker, 10, self._block, self._frame)
        self._frame += 1
        dynamics.start(positions, box, seed, minimise=False)
        dynamics.step(config.steps(config.frozen_equilibration))
        n_samples = config.frozen_samples // MEAN_BLOCKS * MEAN_BLOCKS
        forces = np.empty((n_samples, force_map.sparse.shape[0], 3))
        energies = np.empty(n_samples)
        for sample in range(n_samples):
            dynamics.step(config.steps(config.frozen_interval))
            state = dynamics.context.getState(forces=True, energy=True)
            forces[sample] = force_map.apply(forces_of(state))
            energies[sample] = energy_of(state)
        if not np.isfinite(energies.sum()):
            raise FloatingPointError(
                f"the mean potential energy with held beads is {energies.mean()}"
            )
        return forces, energies
