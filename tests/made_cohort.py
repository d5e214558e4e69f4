"""People whose results are made up, from a population that is known."""

import numpy as np
from made_result import made_result

FREE = ["muscle/*/max_isometric_force", "joint/*/damping"]
SHIFT, SLOPE, SPREAD = -0.3, 0.15, 0.08
"""Of everybody's z: the average person's, of 10 kg more, and how people of the same mass differ."""


def made_cohort(space, people: int, *, seed: int):
    """Results, traits and truths by name: each tells a little of a few parameters."""
    rng = np.random.default_rng(seed)
    results, traits, truths = {}, {}, {}
    scale = space.prior_scale
    for k in range(people):
        mass = float(rng.normal(70, 10))
        size = (np.log(mass) - np.log(70)) / np.log(80 / 70)
        z = space.prior_mean + SHIFT + SLOPE * size + rng.normal(0, SPREAD, space.size)
        z = space.clip(z)
        told = (rng.random((6, space.size)) < 0.25) * rng.normal(0, 3, (6, space.size)) / scale
        seen = told @ z + rng.normal(0, 1, 6)
        prior = np.diag(scale**-2)
        best = np.linalg.solve(told.T @ told + prior, told.T @ seen + prior @ space.prior_mean)
        name = f"p{k}"
        results[name] = made_result(space, told.T @ told, best, subject=name)
        traits[name] = {"mass": mass}
        truths[name] = z
    return results, traits, truths
