"""Which muscle law do recordings prefer, and does it keep its truth: four laws on recorded walks, and on known ones.

    python examples/benchmarks/laws.py [--quick] [--json FILE] [--only walks|truth|export]

`walks`: MuJoCo's native muscle and De Groote and Fregly's, each behind a rigid tendon and one that yields, identified
from eight recorded strides of two walks (doi 10.5281/zenodo.6457662; MJX_MSM_DATA names the recordings) and judged by
eight later ones; `mjx_msm.compare_laws` prints them side by side. 41 unknowns, all laws alike: tendons yield by 4.9 %
at F0.

`truth`: moments of known muscles along the same strides with 0.3 N·m of noise, tendon strains among the unknowns.

`export`: how far the nearest native muscles are from a law, and how far C MuJoCo with the law's own file is from our
rollout.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import mujoco
import numpy as np
from rich.console import Console
from table import Row, row, run
from treadmill import ACROSS_THE_KNEE, strides

from mjx_msm.common.compiled import float64
from mjx_msm.dynamics.simulation import initial_state, rollout
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.identify import identify
from mjx_msm.identification.problem import Problem
from mjx_msm.knowledge.law_comparison import compare_laws
from mjx_msm.knowledge.records import Outcome
from mjx_msm.person.model import MUSCLES, Model, load_model
from mjx_msm.person.native_fit import fitted_native
from mjx_msm.person.personalisation import FORCE_ERROR, export
from mjx_msm.recordings.replay import Replay
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.study.settings import settings, study_model

LAWS = ("mujoco", "degroote", "mujoco-compliant", "degroote-compliant")
NOISE = 0.3
"""Of the moments with a known truth [N·m]."""


def under(study: Study, law: str) -> tuple[Study, Model]:
    study = replace(study, model=replace(study.model, muscle=law))
    return study, study_model(study)


def walks(quick: bool) -> Iterator[Row]:
    results = {}
    for law in LAWS:
        study, model = under(strides(), law)
        asked = settings(study, model)
        found = identify(model, study.trials, settings=asked, held_out=study.held_out, held="exact")
        results[law] = found
        yield row(f"{law}: converged", float(found.outcome is Outcome.CONVERGED), at_least=1.0)
        yield row(f"{law}: evaluations", sum(s.evaluations for s in found.stages))
    table = compare_laws(results)
    Console(width=130, stderr=True).print(table)
    for c in table.candidates:
        yield row(f"{c.name}: error, eight strides identified from", c.errors["identify", "moment"], "N·m", n=8)
        yield row(f"{c.name}: error, eight strides unseen", c.errors["held-out", "moment"], "N·m", n=8)
        yield row(f"{c.name}: ln p(recordings)", c.log_marginal_likelihood)


def truth(quick: bool) -> Iterator[Row]:
    """How many intervals hold the truth, and how near determined estimates come to it."""
    held, errors, before, unknowns, draws = 0, [], [], 0, 1 if quick else 5
    for seed in range(draws):
        study, model = under(strides(), "degroote-compliant")
        fields = ("optimal_fiber_length", "tendon_slack_length", "tendon_strain")
        free = [f"muscle/{m}/{f}" for m in ACROSS_THE_KNEE for f in fields]
        asked = replace(settings(study, model), free=tuple(free), tied=(), bounds={}, priors={})
        rng, problem = np.random.default_rng(seed), Problem.build(model, study.trials, asked)
        space = problem.space
        real = space.clip(space.prior_mean + space.prior_scale * rng.normal(size=space.size), 1e-2)
        term = moment_term(model, space, problem.recordings, asked.rate)
        moments = term.evaluate(real, np.ones(1)) + term.target
        trials = []
        for i, (trial, recording) in enumerate(zip(study.trials, problem.recordings, strict=True)):
            rows = term.trial == i
            clock = recording.start + model.timestep * term.sample[rows]
            known = np.interp(trial.time, clock, moments[rows, 0], left=np.nan, right=np.nan)
            known = known + NOISE * rng.normal(size=known.shape)
            column = trial.moment_coordinates.index("knee_angle")
            moment = np.full((len(trial.time), len(trial.moment_coordinates)), np.nan)
            moment[:, column] = known
            trials.append(replace(trial, moment=moment))
        unknowns += space.size
        found = identify(model, trials, settings=asked, held="exact")
        for e, value in zip(found.estimates, space.physical(real), strict=True):
            if e.determined:
                held += e.low <= value <= e.high
                errors.append(abs(e.value / value - 1))
                before.append(abs(e.start / value - 1))
    yield row("known tendons: determined of the unknowns", len(errors) / unknowns, n=draws)
    yield row("known tendons: intervals of determined ones that hold", held / len(errors), at_least=0.9, n=len(errors))
    yield row("known tendons: error of determined ones", 100 * float(np.mean(errors)), "%", n=len(errors))
    yield row("known tendons: the same at the start", 100 * float(np.mean(before)), "%", n=len(errors))


def exports(quick: bool) -> Iterator[Row]:
    for law in (name for name in MUSCLES if name != "mujoco"):
        for name in ("arm", "knee"):
            model = load_model(name, muscle=law)
            rms = 100 * fitted_native(model, model.nominal).rms
            yield row(f"{law}, {name}: nearest native muscles, force error", float(rms.max()), "% F0",
                      at_most=100 * FORCE_ERROR, n=len(rms))  # fmt: skip
        yield row(f"{law}: C MuJoCo with the law's file less our rollout", _followed(law), "rad", at_most=1e-9)


def _followed(law: str) -> float:
    """Largest difference over a second of the arm's motion [rad]."""
    model = load_model("arm", muscle=law, integrator="RK4")
    steps = round(1.0 / model.timestep)
    time = model.timestep * np.arange(steps + 1)
    drive = 0.3 + 0.25 * np.sin(12 * time[:-1, None] + np.arange(len(model.muscles)))
    with tempfile.TemporaryDirectory() as folder:
        path = export(model, model.nominal, Path(folder) / "arm.xml", allow_approximation=True)
        spec: Any = importlib.util.spec_from_file_location("arm_muscles", path.with_name("arm_muscles.py"))
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        exact, compiled = made.load(path.name)
    with float64():
        start = initial_state(model, {"elbow_flex": 0.8}, 0.3)
        ours = np.asarray(rollout(model, model.nominal, start, jnp.asarray(drive)).position)
    data, found = mujoco.MjData(compiled), [ours[0]]
    data.qpos[:], data.act[:] = ours[0], 0.3
    with exact, Replay(compiled, time, np.concatenate([drive, drive[-1:]])):
        for _ in range(steps):
            mujoco.mj_step(compiled, data)
            found.append(data.qpos.copy())
    return float(np.abs(np.array(found) - ours).max())


def rows(quick: bool) -> Iterator[Row]:
    for part in PARTS.values():
        yield from part(quick)


PARTS = {"walks": walks, "truth": truth, "export": exports}

if __name__ == "__main__":
    run(__doc__, rows, PARTS)
