"""Recordings of made-up people's moments, with noise."""

from dataclasses import replace

import numpy as np

from mjx_msm import parameter_space, synthetic_trials
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.recordings.model_clock import record


def moved(arm, seed, duration):
    """A person's motion, EMG and moments with noise."""
    rng, space = np.random.default_rng(seed), parameter_space(arm.nominal, ["muscle/*/max_isometric_force"])
    (trial,) = synthetic_trials(arm, arm.nominal, count=1, duration=duration, rate=250, seed=seed)
    blank = replace(trial, moment_coordinates=arm.coordinates, moment=np.zeros_like(trial.position))
    fine = parameter_space(arm.nominal.with_channels(arm.muscles), ["muscle/*/max_isometric_force"])
    term = moment_term(arm, fine, [record(arm, blank, {m: {m: 1.0} for m in arm.muscles})], 250.0)
    z = space.clip(space.prior_mean + 0.5 * space.prior_scale * rng.normal(size=space.size))
    told = term.evaluate(z, np.ones(len(arm.free)))
    return replace(blank, moment=told + rng.standard_normal(told.shape))
