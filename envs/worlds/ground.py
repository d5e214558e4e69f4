"""What a recorded world did to a knee besides muscles and passive joint: the ground pushed, and the pelvis moved.

The environment's pelvis stands still and nothing pushes against the foot. Both made a moment about the recorded knee,
which the muscles' carried. Together they are what is missing from the equation of motion of the leg, hung from a pelvis
at rest, along the recorded motion::

    M(q) q̈ + c(q, q̇) = τ_recorded + τ_external

with τ_recorded the net moment of muscles and passive joint, as inverse dynamics gives it and identification takes it,
and on the left the leg's own inverse dynamics (Featherstone 2008, doi 10.1007/978-1-4899-7560-7) by C MuJoCo.
"""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.leg import KNEE
from mjx_msm.envs.human.recording import Recording


def external_moment(recording: Recording, leg: mujoco.MjModel, period: float) -> Float[np.ndarray, "period"]:
    """τ_external about the knee in the middle of every control period [N·m], positive in flexion.

    **Arguments:** `leg`: hip, knee and ankle of the person who was recorded, without the exoskeleton. `period`: of
    control [s].

    **Raises:** `InputError` if the knee's moment was not recorded.
    """
    if recording.moment is None:
        raise InputError(f"{recording.source}: no column moment/{KNEE}; identify from a recording with moments")
    clock = recording.middles(period)
    motion, data, knee = recording.at(clock), mujoco.MjData(leg), leg.joint(KNEE).dofadr[0]
    needed = np.empty(len(clock))
    for i, (data.qpos[:], data.qvel[:], data.qacc[:]) in enumerate(zip(*motion, strict=True)):
        mujoco.mj_inverse(leg, data)
        # What MuJoCo returns is on top of the passive forces, which the recorded moment has in it.
        needed[i] = data.qfrc_inverse[knee] + data.qfrc_passive[knee]
    return needed - np.interp(clock, recording.time, recording.moment)
