"""Mean forces at held beads: each frame's beads stay where they are while other atoms move.

The average of a mapped force at fixed beads is the mean force itself, whose single-configuration
values carry all the noise of force matching (Park, Chennakesavalu and Rotskoff, arXiv 2602.14531).
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import openmm

from openmmcg.data.force_maps.fit import ForceMap
from openmmcg.data.frames import Frames
from openmmcg.data.sampling.all_atom import AtomFrames
from openmmcg.data.sampling.config import MEAN_BLOCKS, SampleConfig
from openmmcg.data.sampling.dynamics import Dynamics, energy_of, forces_of, seed_of
from openmmcg.mapping import Mapping


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
    ) -> None:
        self._config = config
        self._walker = walker
        self._block = block
        self._frame = 0
        self._dynamics = Dynamics(
            config,
            frozen_system(system, mapping),
            config.walker_temperature(walker),
            seed_of(config, walker, 9, block),
        )

    def averaged(self, force_map: ForceMap, atoms: AtomFrames, frames: Frames) -> Frames:
        """Return frames with mean forces, their standard errors and mean energies.

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
        forces = np.empty(frames.positions.shape)
        errors = np.empty_like(forces)
        energies = np.empty(frames.n_frames)
        for k, positions in enumerate(atoms.positions):
            box = None if atoms.boxes is None else atoms.boxes[k]
            means, energies[k] = self._run(positions, box)
            mapped = force_map.apply(means)
            forces[k] = mapped.mean(axis=0)
            errors[k] = mapped.std(axis=0, ddof=1) / np.sqrt(len(mapped))
        return replace(frames, forces=forces, force_errors=errors, energies=energies)

    def _run(self, positions: np.ndarray, box: np.ndarray | None) -> tuple[np.ndarray, float]:
        """Return mean atom forces (MEAN_BLOCKS, n_atoms, 3) of parts of a run, and mean energy."""
        config = self._config
        seed = seed_of(config, self._walker, 10, self._block, self._frame)
        self._frame += 1
        self._dynamics.start(positions, box, seed, minimise=False)
        self._dynamics.step(config.steps(config.frozen_equilibration))
        samples = config.frozen_samples // MEAN_BLOCKS
        sums = np.zeros((MEAN_BLOCKS, *positions.shape))
        energy = 0.0
        for part in range(MEAN_BLOCKS):
            for _ in range(samples):
                self._dynamics.step(config.steps(config.frozen_interval))
                state = self._dynamics.context.getState(forces=True, energy=True)
                sums[part] += forces_of(state)
                energy += energy_of(state)
        if not np.isfinite(energy):
            raise FloatingPointError(f"the mean potential energy with held beads is {energy}")
        return sums / samples, energy / (samples * MEAN_BLOCKS)
