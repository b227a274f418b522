"""The stage before a biased production: every walker builds a bias by metadynamics."""

from __future__ import annotations

import openmm

from openmmcg.data import dynamics
from openmmcg.data.grid_bias import GridBias, WellTempered
from openmmcg.data.job import Job, Tick, naming, start_walker
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
    saved = dynamics.load_progress(path)
    done = int(saved["hills"]) if saved else 0
    tick(done * config.bias_interval)
    while done < hills:
        if saved is not None:
            bias = GridBias(saved["energies"], bias.ranges, bias.periodic, bias.variables)
        context, growth = _metadynamics_context(job, bias, walker, done)
        with naming(walker, config):
            if saved is None:
                start_walker(job, context, walker, job.starts[walker % len(job.starts)], None, 1)
            else:
                dynamics.restore(context, saved["checkpoint"].tobytes(), path)
            for _ in range(min(per_piece, hills - done)):
                context.getIntegrator().step(config.steps(config.bias_interval))
                growth.deposit(context)
                done += 1
                tick(config.bias_interval)
        bias = growth.bias
        dynamics.save_progress(path, context, hills=done, energies=bias.energies)
        saved = dynamics.load_progress(path)
    positions, box = dynamics.configuration(context)
    boxes = {} if box is None else {"box": box}
    write_npz(job.start_path(walker), positions=positions, **boxes)
    bias.save(job.bias_path(walker))


def _metadynamics_context(
    job: Job, bias: GridBias, walker: int, done: int
) -> tuple[openmm.Context, WellTempered]:
    config = job.config
    temperature = config.walker_temperature(walker)
    growth = WellTempered(
        bias,
        job.variables,
        temperature,
        config.bias_factor,
        config.bias_height,
        job.periodic,
        dynamics.BIAS_GROUP,
    )
    context = dynamics.make_context(
        config,
        job.atomistic.system,
        temperature,
        dynamics.seed_of(config, walker, 0),
        forces=(growth.force,),
        barostat_seed=dynamics.seed_of(config, walker, 6, done),
    )
    return context, growth
