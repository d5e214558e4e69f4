"""Where arm and robot are when the beam rests in its handles."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.arm import reach
from mjx_msm.envs.robots.cobot import JOINTS as COBOT_JOINTS
from mjx_msm.envs.robots.cobot import PREFIX as COBOT
from mjx_msm.envs.robots.cobot_kinematics import TOOL_ANGLE, CobotKinematics
from mjx_msm.envs.worlds.handles import Handle
from mjx_msm.envs.worlds.transport import BEAM, HANDLES


def assemble(m: mujoco.MjModel, pose: Float[np.ndarray, "3"]) -> Float[np.ndarray, "coordinate"]:
    """Joint positions with the beam at rest in its handles: each bears the share of the weight that statics gives it.

    Hand and gripper are a few millimetres above the middles of their rings; the gripper is at right angles to the beam.

    **Arguments:** `m`: a compiled `couple`; `pose`: of the beam, x and z [m] and pitch [rad].

    **Raises:** `InputError` if hand or robot cannot reach the handles.
    """
    pose = np.asarray(pose, dtype=float)
    data, robot = mujoco.MjData(m), CobotKinematics.of(m)
    handles = {name: Handle.of(m, name) for name in HANDLES}
    beam, first = m.body("beam").id, m.joint(f"{BEAM}x").qposadr[0]
    weight = -m.opt.gravity[2] * m.body_mass[beam]
    data.qpos[first : first + 3] = pose
    mujoco.mj_kinematics(m, data)
    middle = {name: data.site_xpos[handle.rim].mean(axis=0)[[0, 2]] for name, handle in handles.items()}
    rise = {name: np.zeros(2) for name in handles}
    wrist = m.joint(COBOT + COBOT_JOINTS[0]).qposadr[0]
    for _ in range(30):
        reach(m, data, middle["hand"] + rise["hand"])
        tool = np.array([*(middle["tool"] + rise["tool"]), TOOL_ANGLE + pose[2]])
        data.qpos[wrist : wrist + 3] = robot.reach(tool)
        mujoco.mj_fwdPosition(m, data)
        lever = {name: data.site_xpos[handle.hub][0] - pose[0] for name, handle in handles.items()}
        share = {
            "hand": weight * lever["tool"] / (lever["tool"] - lever["hand"]),
            "tool": weight * lever["hand"] / (lever["hand"] - lever["tool"]),
        }
        miss = 0.0
        for name, handle in handles.items():
            force = handle.force(data.site_xpos, data.ten_length, np.zeros(m.ntendon))[[0, 2]]
            missing = force + np.array((0.0, share[name]))
            rise[name] += missing / (0.5 * handle.stiffness.sum())
            miss = max(miss, float(np.abs(missing).max()))
        if miss < 1e-9 * weight:
            return data.qpos.copy()
    raise InputError(f"the handles cannot bear the beam at x, z, pitch = {pose}; make them stiffer or the beam lighter")
