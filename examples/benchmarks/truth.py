"""What the benchmarks take for the truth: motion that no estimator made.

A body does not step by anybody's integrator. So plain C MuJoCo steps the true person by RK4 at 0.1 ms, excitation going
in a line from each of its samples to the next, and the estimators get its angles at 500 Hz (knee: 1 kHz), noise added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np

import mjx_msm as msm
from mjx_msm.person.personalisation import personalised_spec
from mjx_msm.recordings.replay import replay

STEP = 1e-4
"""Of the truth [s]."""


def true_motion(model: msm.Model, person: msm.Parameters, trials: Sequence[msm.Trial]) -> tuple[msm.Trial, ...]:
    """The trials' excitation and first state, and the motion that C gives them.

    **Arguments:** `trials`: of `synthetic_trials(model, person)` without noise, at any whole multiple of `STEP`.
    """
    spec, out = personalised_spec(model, person), []
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_RK4
    m = spec.compile()
    for t in trials:
        assert t.velocity is not None
        excitation = t.emg[:, [t.channels.index(muscle) for muscle in model.muscles]]
        order = [t.coordinates.index(c) for c in model.coordinates]
        held = {c: t.position[:, t.coordinates.index(c)] for c in model.prescribed}
        q, v, _ = replay(
            m,
            t.time,
            excitation,
            t.position[0, order],
            t.velocity[0, order],
            excitation[0],
            held=held,
            substeps=round(t.timestep / STEP),
        )
        back = [model.coordinates.index(c) for c in t.coordinates]
        out.append(replace(t, position=q[:, back], velocity=v[:, back]))
    return tuple(out)


def recorded(
    model: msm.Model, person: msm.Parameters, *, seed: int, angle_noise: float = 0.0, **settings: Any
) -> tuple[msm.Trial, ...]:
    """`synthetic_trials` of a person, their motion the true one; white noise on the angles of the free coordinates.

    **Arguments:** `settings`: further arguments of `synthetic_trials`.
    """
    trials = true_motion(model, person, msm.synthetic_trials(model, person, seed=seed, **settings))
    if not angle_noise:
        return trials
    rng, out = np.random.default_rng((seed, 1)), []
    for t in trials:
        noise = angle_noise * rng.standard_normal(t.position.shape)
        free = np.array([c in model.free for c in t.coordinates])
        out.append(replace(t, position=t.position + free * noise, velocity=None))
    return tuple(out)
