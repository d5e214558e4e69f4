"""Recorded curves driven through plain C MuJoCo: excitation linear between its samples, joints held on splines.

`mj_step` holds `data.ctrl` for a whole step. A body does not: between two samples its excitation goes from one to the
other. MuJoCo calls its control callback at every stage of an RK4 step, with `data.time` that of the stage; a `Replay`
answers it with the curves, and so C takes the very steps of `mjx_msm.rollout`:

    model = mujoco.MjModel.from_xml_path("model.xml")  # as exported, integrator="RK4"
    with Replay(model, time, excitation):
        while data.time < time[-1]:
            mujoco.mj_step(model, data)

A joint is held by the generalised force that gives it the acceleration of its curve. With the mass matrix in blocks (h
held, f free) and f all other forces,

    q̈_f = M_ff⁻¹ (f_f − M_fh q̈*),    τ_h = M_hh q̈* + M_hf q̈_f − f_h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from mjx_msm.common.errors import InputError


class Replay:
    """While it is entered, a model's muscles and chosen joints follow curves; outside, MuJoCo is as it was.

    The control callback belongs to the whole process: step one model at a time, and none of `mujoco.rollout`'s threads.

    **Arguments:**

    - `time`: of the samples, evenly spaced [s].
    - `excitation`: of the actuators, in their order; linear in between, constant outside.
    - `held`: hinges or slides by name and their positions at the samples [rad or m]; they follow the cubic spline
      through these. A state to start from has to be on it: `place` puts it there.

    **Raises:** `InputError` if a joint or shape does not fit, or joints are held in a model that needs a constraint
    solver or has another integrator than RK4.
    """

    def __init__(
        self,
        mj_model: mujoco.MjModel,
        time: Float[np.ndarray, "sample"],
        excitation: Float[np.ndarray, "sample actuator"],
        held: Mapping[str, Float[np.ndarray, "sample"]] | None = None,
    ):
        held = dict(held or {})
        if np.shape(excitation) != (len(time), mj_model.nu) or len(time) < 2:
            raise InputError(
                f"excitation has shape {np.shape(excitation)}, expected ({len(time)}, {mj_model.nu}); 2 at least"
            )
        if held:
            limited = (mj_model.jnt_limited, mj_model.tendon_limited, mj_model.dof_frictionloss, mj_model.eq_active0)
            if any(np.any(x) for x in limited):
                raise InputError("joints are held in models without limits, dry friction and equalities only")
            if mj_model.opt.integrator != mujoco.mjtIntegrator.mjINT_RK4:
                raise InputError("joints are held along a curve by RK4 only; set opt.integrator to RK4")
        names = [mj_model.joint(j).name for j in range(mj_model.njnt)]
        for joint, curve in held.items():
            if joint not in names:
                raise InputError(f"held joint '{joint}' is not in the model; it has {', '.join(names)}")
            if np.shape(curve) != (len(time),):
                raise InputError(f"held joint '{joint}' has {np.shape(curve)} positions for {len(time)} samples")
        self._start, self._gap = float(time[0]), float(time[-1] - time[0]) / (len(time) - 1)
        self._excitation = np.asarray(excitation, float)
        self._qpos = np.array([mj_model.joint(j).qposadr[0] for j in held], dtype=int)
        self._dof = np.array([mj_model.joint(j).dofadr[0] for j in held], dtype=int)
        self._free = np.setdiff1d(np.arange(mj_model.nv), self._dof)
        self._matrix = np.empty((mj_model.nv, mj_model.nv))
        self._course = CubicSpline(time, np.stack([held[j] for j in held], -1)) if held else None

    def __enter__(self) -> Self:
        self._before = mujoco.get_mjcb_control()
        mujoco.set_mjcb_control(self._drive)
        return self

    def __exit__(self, *_: object) -> None:
        mujoco.set_mjcb_control(self._before)

    def place(self, data: mujoco.MjData) -> None:
        """Put the held joints of `data` on their curves at its time."""
        if self._course is not None:
            data.qpos[self._qpos], data.qvel[self._dof] = self._course(data.time), self._course(data.time, 1)

    def _drive(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        place = (data.time - self._start) / self._gap
        k = min(max(int(place), 0), len(self._excitation) - 2)
        share = min(max(place - k, 0.0), 1.0)
        data.ctrl[:] = (1.0 - share) * self._excitation[k] + share * self._excitation[k + 1]
        if self._course is not None:
            data.qfrc_applied[self._dof] = self._holding_force(model, data, self._course(data.time, 2))

    def _holding_force(self, model: mujoco.MjModel, data: Any, wanted: Float[np.ndarray, "held"]) -> Any:
        held, free = self._dof, self._free
        data.qfrc_applied[held] = 0.0
        mujoco.mj_fwdActuation(model, data)
        mujoco.mj_fwdAcceleration(model, data)
        mujoco.mj_fullM(model, data, self._matrix)
        matrix, force = self._matrix, data.qfrc_smooth
        moving = np.linalg.solve(matrix[np.ix_(free, free)], force[free] - matrix[np.ix_(free, held)] @ wanted)
        return matrix[np.ix_(held, held)] @ wanted + matrix[np.ix_(held, free)] @ moving - force[held]


def replay(
    mj_model: mujoco.MjModel,
    time: Float[np.ndarray, "sample"],
    excitation: Float[np.ndarray, "sample actuator"],
    position: Float[np.ndarray, "coordinate"],
    velocity: Float[np.ndarray, "coordinate"],
    activation: Float[np.ndarray, "muscle"],
    *,
    held: Mapping[str, Float[np.ndarray, "sample"]] | None = None,
    substeps: int | None = None,
) -> tuple[
    Float[np.ndarray, "sample coordinate"],
    Float[np.ndarray, "sample coordinate"],
    Float[np.ndarray, "sample muscle"],
]:
    """Position, velocity and activation at the samples, by `mj_step`.

    **Arguments:** as for `Replay`, and the state to start from; `substeps`: steps from one sample to the next, by
    default as many as come nearest to the model's own timestep.
    """
    model, gap = copy(mj_model), (time[-1] - time[0]) / (len(time) - 1)
    substeps = max(1, round(gap / model.opt.timestep)) if substeps is None else substeps
    model.opt.timestep = gap / substeps
    drive, data = Replay(model, time, excitation, held), mujoco.MjData(model)
    data.time, data.qpos[:], data.qvel[:], data.act[:] = time[0], position, velocity, activation
    drive.place(data)
    out: Sequence[list[np.ndarray]] = [data.qpos.copy()], [data.qvel.copy()], [data.act.copy()]
    with drive:
        for _ in range(len(time) - 1):
            mujoco.mj_step(model, data, nstep=substeps)
            for kept, value in zip(out, (data.qpos, data.qvel, data.act), strict=True):
                kept.append(value.copy())
    q, v, a = (np.array(x) for x in out)
    return q, v, a
