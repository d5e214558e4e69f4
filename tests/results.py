"""Small results for tests of what is said and drawn of them; nobody was identified."""

import math

import numpy as np

from mjx_msm.knowledge.records import Direction, Estimate, Fit, Outcome, Stage, Unknown
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.uncertainty import Knowledge

PATHS = ("muscle/BRA/max_isometric_force", "muscle/BRA/optimal_fiber_length", "joint/elbow_flex/damping")


UNITS = {"moment": "N·m", "motion": "rad"}


def estimate(path, value=1.1, *, share=0.99, bound=""):
    """What is at a bound was pushed there: its interval does not hold the generic value, 1."""
    return Estimate(path, "N", 1.0, value, 0.05, value - (0.05 if bound else 0.1), value + 0.1, share, bound)


def fit(role="held-out", identified=2.0, trial="reach", kind="moment", generic=8.0, spread=10.0, **beside):
    """Of a held-out moment the band holds what it should."""
    names = {name.replace("_", " "): x for name, x in beside.items()}
    band = 0.95 if (role, kind) == ("held-out", "moment") else None
    return Fit(trial, role, kind, "elbow_flex", UNITS[kind], generic, identified, 0.97, spread, names, band=band)


def result(*fits, shares=(0.99, 0.99, 0.99), bounds=("", "", ""), outcome=Outcome.CONVERGED, **changed):
    """A result with three parameters; `changed`: fields of `Identification`."""
    estimates = tuple(estimate(p, share=s, bound=b) for p, s, b in zip(PATHS, shares, bounds, strict=True))
    z = math.log(1.1)
    fields = dict(
        subject="anna", source="arm", muscle_model="mujoco", timestep=0.002, free=("elbow_flex",), prescribed=(),
        locked={}, channels=("biceps",), emg_map={"BRA": {"biceps": 1.0}}, outcome=outcome, parameters={},
        estimates=estimates, z=(z,) * 3,
        covariance=tuple(map(tuple, 0.01 * (0.5 * np.eye(3) + 0.5))), fits=fits,
        stages=(Stage("moment", 1.0, 12, 3.4, {"moment/elbow_flex": 1.5}),), seed=7, versions={"jax": "0.10"},
        hashes={"subject.toml": "ab" * 32},
        unknowns=tuple(Unknown((p,), -1.0, 1.0, 0.0, 0.2) for p in PATHS),
        directions=(Direction("gain of biceps and force of BRA (opposed)", Knowledge.PRIOR, 0.1, {PATHS[0]: 1.0}),),
        residuals=("moment",), rate=50.0,
    ) | changed  # fmt: skip
    return Identification(**fields)
