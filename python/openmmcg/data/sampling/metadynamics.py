"""The stage before a biased production: every walker builds a bias by metadynamics."""

from __future__ import annotations

from dataclasses import replace

from openmmcg.data.sampling.dynamics import BIAS_GROUP, Dynamics, load_progress, seed_of
from openmmcg.data.sampling.grid_bias import GridBias, WellTempered
from openmmcg.data.sampling.job import Job, Tick, naming
from openmmcg.files import write_npz


def build_bias(job: Job, walker: int, tick: Tick) -> None:
    """Run well-tempered metadynamics and save the bias and the last positions.

    It is saved after each piece of time; a walker that was interrupted goes on from there.
    """
    config = job.config
    hills = round(config.bias_length * 1e3 / config.bias_interval)
    if job.bias_path(walker).exists():
        tick(config.bias_length * 1e3)
        return
    per_piece = max(1, round(job.piece / config.bias_interval))
    path = job.folder(walker) / "metadynamics.npz"
    bias = GridBias.empty(job.variables, job.entries)
    saved = load_progress(path) if path.exists() else None
    done = int(saved["hills"]) if saved else 0
    tick(done * config.bias_interval)
    while True:
        if saved is not None:
            bias = replace(bias, energies=saved["energies"])
        simulation, growth = _simulation(job, bias, walker, done)
        with naming(walker, config):
            if saved is None:
                start = job.starts[walker % len(job.starts)]
                seed = seed_of(config, walker, 1)
                simulation.start(start, job.atomistic.box, seed, job.minimise)
            else:
                simulation.restore(saved, path)
            for _ in range(min(per_piece, hills - done)):
                simulation.step(config.steps(config.bias_interval))
                growth.deposit(simulation.context)
                done += 1
                tick(config.bias_interval)
        if done >= hills:
            break
        simulation.save(path, hills=done, energies=growth.bias.energies)
        saved = load_progress(path)
    positions, box = simulation.configuration()
    boxes = {} if box is None else {"box": box}
    write_npz(job.start_path(walker), positions=positions, **boxes)
    growth.bias.save(job.bias_path(walker))


def _simulation(job: Job, bias: GridBias, walker: int, done: int) -> tuple[Dynamics, WellTempered]:
    config = job.config
    temperature = config.walker_temperature(walker)
    growth = WellTempered(
        bias,
        job.variables,
        temperature,
        config.bias_factor,
        config.bias_height,
        job.periodic,
        BIAS_GROUP,
    )
    simulation = Dynamics(
        config,
        job.atomistic.system,
        temperature,
        seed_of(config, walker, 0),
        forces=(growth.force,),
        barostat_seed=seed_of(config, walker, 6, done),
    )
    return simulation, growth
