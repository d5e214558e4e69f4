"""The sagittal leg that leg environments are about: its joints by name, and which models are one."""

from __future__ import annotations

import mujoco

from mjx_msm.common.errors import InputError

HIP, KNEE, ANKLE = JOINTS = ("hip_flexion", "knee_angle", "ankle_angle")


def check_leg(mj_model: mujoco.MjModel) -> None:
    """Refuse a model that is not a sagittal leg with muscles.

    **Raises:** `InputError` naming what is missing.
    """
    for kind, wanted, count in (("body", ("femur", "tibia", "foot"), mj_model.nbody), ("joint", JOINTS, mj_model.njnt)):
        have = [getattr(mj_model, kind)(i).name for i in range(count)]
        for name in wanted:
            if name not in have:
                raise InputError(
                    f"the subject's model has no {kind} '{name}'; KneeExo takes models identified on 'knee' "
                    f"(this one has {', '.join(n or '?' for n in have)})"
                )
    names = [mj_model.joint(j).name for j in range(mj_model.njnt)]
    if tuple(names) != JOINTS:
        raise InputError(
            f"the subject's model has joints {', '.join(names)}; KneeExo needs {', '.join(JOINTS)}, in this order"
        )
    if not mj_model.nu:
        raise InputError("the subject's model has no muscles; export it from a model with muscle actuators")
    for i in range(mj_model.nu):
        if mj_model.actuator_dyntype[i] != mujoco.mjtDyn.mjDYN_MUSCLE:
            raise InputError(
                f"actuator '{mj_model.actuator(i).name}' of the subject's model is not a muscle; remove it"
            )
