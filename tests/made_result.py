"""A result without an identification, for tests that read, write or draw from one."""

import numpy as np

from mjx_msm.common.compiled import float64
from mjx_msm.knowledge.posterior import posterior_record
from mjx_msm.knowledge.records import Estimate, Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.uncertainty import uncertainty


def made_result(space, fisher, z=None, *, seed=3, **fields) -> Identification:
    """A result about z, as the estimator would write it for this information."""
    z = space.clip(space.prior_mean if z is None else z)
    known = uncertainty(fisher, space.prior_scale, width=space.upper - space.lower)
    sd = np.sqrt(np.diag(known.covariance))
    value, low, high = (space.physical(x) for x in (z, z - 1.96 * sd, z + 1.96 * sd))
    spread = np.where([k.transform == "log" for k in space.kinds], value * sd, sd)
    columns = (x.tolist() for x in (value, spread, low, high, known.data_share))
    rows = zip(space.paths, space.kinds, *columns, strict=True)
    with float64():
        parameters = space.unpack(z).to_dict()
    made = {
        "subject": "one",
        "source": "arm",
        "muscle_model": "mujoco",
        "timestep": 0.002,
        "integrator": "RK4",
        "free": ("shoulder_elev", "elbow_flex"),
        "prescribed": (),
        "locked": {},
        "channels": (),
        "emg_map": {},
        "outcome": Outcome.CONVERGED,
        "parameters": parameters,
        "estimates": tuple(Estimate(p, k.unit, v, v, s, a, b, share) for p, k, v, s, a, b, share in rows),
        "fits": (),
        "stages": (),
        "seed": seed,
        "versions": {},
        "residuals": ("motion",),
        "rate": 200.0,
        "horizon": 500,
    }
    return Identification(**{**made, **fields}, **posterior_record(space, z, known, seed))
