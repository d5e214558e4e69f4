"""Motion of chosen joints prescribed exactly, in C MuJoCo and without a constraint solver.

MuJoCo's Euler step, with joint damping implicit, is (M + h·D) q̈ = f, q̇ ← q̇ + h q̈, q ← q + h q̇. For a held joint to
arrive at q* its acceleration has to be q̈* = ((q* − q)/h − q̇)/h. With A = M + h·D in blocks (h held, f free), the
generalised force that makes it so is

    q̈_f = A_ff⁻¹ (f_f − A_fh q̈*),    τ_h = A_hh q̈* + A_hf q̈_f − f_h

which is what `mjx_msm.dynamics.simulation` does on the device; here τ_h goes into `qfrc_applied`, and MuJoCo does the
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.linalg import get_lapack_funcs

from mjx_msm.common.errors import InputError


def constraint_reason(mj_model: mujoco.MjModel) -> str | None:
    """What in this model needs a constraint solver to step, in words; None if nothing does."""
    m = mj_model
    flags = m.opt.disableflags
    if flags & mujoco.mjtDisableBit.mjDSBL_CONSTRAINT:
        return None
    if m.neq and np.any(m.eq_active0):
        return "an equality constraint"
    if np.any(m.jnt_limited) or np.any(m.tendon_limited):
        return "a joint or tendon limit"
    if np.any(m.dof_frictionloss) or np.any(m.tendon_frictionloss):
        return "dry friction"
    if not flags & mujoco.mjtDisableBit.mjDSBL_CONTACT and (m.npair or np.any(m.geom_contype)):
        return "contacts"
    return None


class PrescribedMotion:
    """Steps one model while chosen joints follow given positions.

        motion = PrescribedMotion(mj_model, ["hip_flexion", "ankle_angle"])
        data.ctrl[:] = excitation
        force = motion.step(data, [hip_next, ankle_next])  # instead of mj_step

    **Arguments:** `joints`: hinges or slides; may be none, then a step is MuJoCo's own.

    **Raises:** `InputError` for a joint that is not there or is neither, for a model that needs a constraint solver,
    and for an integrator other than Euler, whose steps the equations above do not describe.
    """

    def __init__(self, mj_model: mujoco.MjModel, joints: Sequence[str]):
        names = [mj_model.joint(j).name for j in range(mj_model.njnt)]
        for joint in joints:
            if joint not in names:
                raise InputError(f"prescribed joint '{joint}' is not in the model; it has {', '.join(names)}")
            if joints.count(joint) > 1:
                raise InputError(f"prescribed joint '{joint}' is named twice; name it once")
            kind = mujoco.mjtJoint(mj_model.joint(joint).type[0])
            if kind not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
                raise InputError(
                    f"prescribed joint '{joint}' is a ball or free joint; prescribe hinges and slides only"
                )
        reason = constraint_reason(mj_model)
        if reason is not None:
            raise InputError(f"the model has {reason}, under which motion cannot be prescribed exactly; remove it")
        if mj_model.opt.integrator != mujoco.mjtIntegrator.mjINT_EULER:
            raise InputError("the model's integrator is not Euler; set opt.integrator to Euler to prescribe motion")
        self._model = mj_model
        self._dof = np.array([mj_model.joint(j).dofadr[0] for j in joints], dtype=int)
        self._qpos = np.array([mj_model.joint(j).qposadr[0] for j in joints], dtype=int)
        free = np.setdiff1d(np.arange(mj_model.nv), self._dof)
        self._free = free
        self._solve: Any = get_lapack_funcs("posv", dtype=np.float64)
        self._h = float(mj_model.opt.timestep)
        self._matrix = np.empty((mj_model.nv, mj_model.nv))
        implicit = not mj_model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EULERDAMP
        self._added = np.diag(self._h * mj_model.dof_damping) if implicit else np.zeros_like(self._matrix)
        flat = np.arange(mj_model.nv**2).reshape(mj_model.nv, mj_model.nv)
        self._ff, self._hf, self._hh = (
            flat[np.ix_(r, c)] for r, c in ((free, free), (self._dof, free), (self._dof, self._dof))
        )

    def step(self, data: mujoco.MjData, position: ArrayLike) -> Float[np.ndarray, "held"]:
        """Advance `data` by one timestep; afterwards the held joints are at `position` (held,) [rad or m].

        `data.ctrl`, `xfrc_applied` and `qfrc_applied` of the free joints act as in `mj_step`; a non-finite state is
        left as it is for the caller to see, never reset.

        **Returns:** the generalised forces that held the motion [N·m or N]. They are also left in `data.qfrc_applied`,
        which to clear when a joint is let go.
        """
        m, dof = self._model, self._dof
        data.qfrc_applied[dof] = 0.0
        mujoco.mj_fwdPosition(m, data)
        mujoco.mj_fwdVelocity(m, data)
        mujoco.mj_fwdActuation(m, data)
        mujoco.mj_fwdAcceleration(m, data)
        force = np.zeros(0)
        if dof.size:
            force = self._holding_force(data, np.asarray(position, float))
            data.qfrc_applied[dof] = force
            mujoco.mj_fwdAcceleration(m, data)
        mujoco.mj_fwdConstraint(m, data)
        mujoco.mj_Euler(m, data)
        return force

    def _holding_force(self, data: Any, position: Float[np.ndarray, "held"]) -> Float[np.ndarray, "held"]:
        h, dof, smooth = self._h, self._dof, data.qfrc_smooth
        wanted = ((position - data.qpos[self._qpos]) / h - data.qvel[dof]) / h
        mujoco.mj_fullM(self._model, data, self._matrix)
        a = self._matrix + self._added
        coupling = a.take(self._hf)
        force = a.take(self._hh) @ wanted - smooth[dof]
        if self._free.size:
            _, moving, failed = self._solve(a.take(self._ff), smooth[self._free] - wanted @ coupling)
            force += coupling @ moving if not failed else np.nan
        return force
