"""A world stepped by C MuJoCo: one person at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.metabolics import Muscles, muscle_mass, slow_twitch
from mjx_msm.envs.engines.kinetics import Drive, Dynamics, Kinetics
from mjx_msm.envs.engines.world import MOTOR_STEPS, World
from mjx_msm.person.passive_curves import fields_of, passive_curves

_gain, _bias = mujoco.mju_muscleGain, mujoco.mju_muscleBias
# Peak of the native muscle's passive curve where `passive_force_scale` is 1, as `mjx_msm.person.muscle.FPMAX`.
_FPMAX = 1.3
_PERSONAL = (
    *("actuator_gainprm", "actuator_biasprm", "actuator_dynprm"),
    *(
        "body_mass",
        "body_ipos",
        "body_inertia",
        "body_iquat",
        "body_sameframe",
        "dof_damping",
        "jnt_stiffness",
        "tendon_stiffness",
    ),
)
"""What of a model a person's parameters change."""


class CState(NamedTuple):
    """An engine at the end of a control period, by value."""

    integration: Float[np.ndarray, "number"]
    """All that MuJoCo's integrator goes by (`mjSTATE_INTEGRATION`)."""
    person: Mapping[str, np.ndarray]
    """The person's part of the model."""
    nominal: bool
    torque_range: Float[np.ndarray, "motor 2"]
    """That the motors could give last [N·m]."""
    contact_force: float
    """Greatest during the last period [N]."""


class CEngine:
    """Steps a world in plain MuJoCo, a control period at a call.

    MuJoCo's derived quantities belong to the state before a step. A period therefore ends with the first half of the
    next step (`mj_step1`), whose second half the next period begins with: what is observed is up to date, at no cost.
    """

    def __init__(self, world: World):
        self.world = world
        self.model = copy.copy(world.model)
        self.data = mujoco.MjData(self.model)
        m = self.model
        self._sites = np.array([m.site(name).id for name in world.tracked], dtype=int)
        self._muscles = len(world.muscles)
        self._matrix = np.empty((m.nv, m.nv))
        self._moment = np.empty((m.nu, m.nv))
        self._contact_force = 0.0
        self._limited = bool(np.isfinite(world.no_load_speed).any())
        self._motor_joint = m.jnt_dofadr[m.actuator_trnid[self._muscles :, 0]]
        self._nominal = True
        self._prepare()

    def _prepare(self) -> None:
        """What follows from the person."""
        m, n = self.model, self._muscles
        gain = m.actuator_gainprm[:n]
        length = m.actuator_lengthrange[:n]
        optimal = (length[:, 1] - length[:, 0]) / (gain[:, 1] - gain[:, 0])
        force = gain[:, 2].copy()
        self._inverse_optimal = 1.0 / optimal
        self._slack = length[:, 0] - gain[:, 0] * optimal
        self.muscles = Muscles(
            force, optimal, gain[:, 6].copy(), slow_twitch(self.world.muscles), muscle_mass(force, optimal)
        )
        # Rows as separate arrays, which MuJoCo's functions take without a copy.
        self._curves = [(length[i].copy(), float(m.actuator_acc0[i]), gain[i, :9].copy()) for i in range(n)]

    def become(self, person: Any) -> None:
        """Put a person's parameters (`mjx_msm.Parameters` of the native muscle) into the model, by name.

        None is the nominal person; so is what parameters leave out.

        Constants that MuJoCo's compiler derives stay the nominal person's: only joint limits and contacts of the
        person would use them, and there are none.
        """
        if person is None and self._nominal:
            return
        if person is not None and not hasattr(person, "names"):
            raise InputError(f"person {person!r}: give Parameters, or which of the posterior's draws")
        m, nominal = self.model, self.world.model
        for field in _PERSONAL:
            getattr(m, field)[:] = getattr(nominal, field)
        self._nominal = person is None
        if person is not None:
            self._put(person)
        self._prepare()

    def _put(self, person: Any) -> None:
        m, nominal, names = self.model, self.world.model, person.names
        for i, name in enumerate(names.muscle):
            k = m.actuator(name).id
            muscle = {field: float(values[i]) for field, values in vars(person.muscle).items()}
            slack, optimal = muscle["tendon_slack_length"], muscle["optimal_fiber_length"]
            gain = m.actuator_gainprm[k]
            gain[:2] = (nominal.actuator_lengthrange[k] - slack) / optimal
            gain[2], gain[6] = muscle["max_isometric_force"], muscle["max_contraction_velocity"]
            gain[7] = muscle["passive_force_scale"] * _FPMAX
            m.actuator_biasprm[k, :9] = gain[:9]
            m.actuator_dynprm[k, :2] = muscle["activation_time_constant"], muscle["deactivation_time_constant"]
        for i, name in enumerate(names.body):
            b = m.body(name).id
            xx, yy, zz, xy, xz, yz = np.asarray(person.body.inertia[i], dtype=float)
            moments, axes = np.linalg.eigh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
            axes = axes[:, ::-1] * np.sign(np.linalg.det(axes[:, ::-1]))
            m.body_mass[b], m.body_ipos[b] = float(person.body.mass[i]), np.asarray(person.body.com[i])
            m.body_inertia[b] = moments[::-1]
            m.body_sameframe[b] = int(mujoco.mjtSameFrame.mjSAMEFRAME_NONE)  # else MuJoCo spares itself the turn
            mujoco.mju_mat2Quat(m.body_iquat[b], np.ascontiguousarray(axes).ravel())
        for i, name in enumerate(names.joint):
            j = m.joint(name)
            m.dof_damping[j.dofadr[0]] = float(person.joint.damping[i])
            m.jnt_stiffness[j.id] = float(person.joint.stiffness[i])
        for curve in passive_curves(m):
            i = names.joint.index(curve.name)
            moment, steepness = (float(getattr(person.joint, f)[i]) for f in fields_of(curve.side))
            m.tendon_stiffness[list(curve.tendons)] = curve.stiffness(moment, steepness)

    def get_state(self) -> CState:
        """The present state and person, by value."""
        m, d, all_of_it = self.model, self.data, mujoco.mjtState.mjSTATE_INTEGRATION
        integration = np.empty(mujoco.mj_stateSize(m, all_of_it))
        mujoco.mj_getState(m, d, integration, all_of_it)
        person = {field: getattr(m, field).copy() for field in _PERSONAL}
        limits = m.actuator_forcerange[self._muscles :].copy()
        return CState(integration, person, self._nominal, limits, self._contact_force)

    def takes(self, state: CState) -> bool:
        """Whether a state is of such a world."""
        size = mujoco.mj_stateSize(self.model, mujoco.mjtState.mjSTATE_INTEGRATION)
        return state.integration.shape == (size,) and all(
            values.shape == getattr(self.model, field).shape for field, values in state.person.items()
        )

    def set_state(self, state: CState) -> None:
        """Go on from there, to the bit: what MuJoCo derives from a state is derived again."""
        m, d = self.model, self.data
        for field, values in state.person.items():
            getattr(m, field)[:] = values
        self._nominal = state.nominal
        self._prepare()
        m.actuator_forcerange[self._muscles :] = state.torque_range
        mujoco.mj_setState(m, d, state.integration, mujoco.mjtState.mjSTATE_INTEGRATION)
        self._contact_force = state.contact_force
        mujoco.mj_step1(m, d)
        mujoco.mj_fwdActuation(m, d)

    def start(
        self,
        position: Float[np.ndarray, "coordinate"],
        velocity: Float[np.ndarray, "coordinate"],
        activation: Float[np.ndarray, "muscle"],
        motor: Float[np.ndarray, "motor"],
    ) -> None:
        """Begin at a state; `motor`: the input that every motor has had for long."""
        m, d = self.model, self.data
        mujoco.mj_resetData(m, d)
        d.qpos[:], d.qvel[:], d.act[: self._muscles] = position, velocity, activation
        d.ctrl[self._muscles :] = motor
        lagged = m.actuator_actadr[self._muscles :]
        d.act[lagged[lagged >= 0]] = motor[lagged >= 0]
        self._contact_force = 0.0
        if self._limited:
            self._limit_motors()
        mujoco.mj_step1(m, d)
        mujoco.mj_fwdActuation(m, d)

    def advance(self, drive: Drive, substeps: int) -> None:
        """One control period."""
        m, d = self.model, self.data
        d.ctrl[: self._muscles], d.ctrl[self._muscles :] = drive.excitation, drive.control
        d.qfrc_applied[:] = drive.applied
        self._contact_force = 0.0
        stretch = MOTOR_STEPS if self._limited else substeps
        for begun in range(0, substeps, stretch):
            if self._limited:
                self._limit_motors()
            steps = min(stretch, substeps - begun)
            if begun == 0:
                mujoco.mj_step2(m, d)
                self._feel_contact()
                steps -= 1
            if self.world.contact is None:
                mujoco.mj_step(m, d, nstep=steps)
            else:
                for _ in range(steps):
                    mujoco.mj_step(m, d)
                    self._feel_contact()
        mujoco.mj_step1(m, d)
        mujoco.mj_fwdActuation(m, d)

    def _feel_contact(self) -> None:
        """What pressed during the last step: the model's only constraint."""
        if self.data.nefc:
            self._contact_force = max(self._contact_force, float(self.data.efc_force[0]))

    def _limit_motors(self) -> None:
        able = self.world.torque_range(self.data.qvel[self._motor_joint])
        self.model.actuator_forcerange[self._muscles :] = able

    @property
    def finite(self) -> bool:
        """Whether the state is a number everywhere."""
        d = self.data
        return math.isfinite(d.qpos @ d.qpos + d.qvel @ d.qvel + d.act @ d.act)

    def kinetics(self) -> Kinetics:
        """What is to be seen of the present state, until the next `advance`: some of it is MuJoCo's own memory."""
        d, n = self.data, self._muscles
        path = d.actuator_length[:n].tolist()
        isometric = [-_gain(x, 0.0, *curve) for x, curve in zip(path, self._curves, strict=True)]
        passive = [-_bias(x, *curve) for x, curve in zip(path, self._curves, strict=True)]
        return Kinetics(
            position=d.qpos,
            velocity=d.qvel,
            activation=d.act[:n].copy(),
            motor=d.actuator_force[n:].copy(),
            fiber_length=(d.actuator_length[:n] - self._slack) * self._inverse_optimal,
            fiber_velocity=d.actuator_velocity[:n] * self._inverse_optimal,
            isometric=np.array(isometric),
            passive_tension=np.array(passive),
            tension=-d.actuator_force[:n],
            actuation=d.qfrc_actuator,
            tendon_length=d.ten_length,
            tendon_velocity=d.ten_velocity,
            point=d.site_xpos[self._sites],
            contact=np.float64(self._contact_force),
            muscles=self.muscles,
        )

    def dynamics(self) -> Dynamics:
        """What a controller of muscles has to know of its own body."""
        m, d, n = self.model, self.data, self._muscles
        mujoco.mj_fullM(m, d, self._matrix)
        mujoco.mju_sparse2dense(self._moment, d.actuator_moment, d.moment_rownnz, d.moment_rowadr, d.moment_colind)
        path, speed = d.actuator_length[:n].tolist(), d.actuator_velocity[:n].tolist()
        capacity = [-_gain(x, v, *curve) for x, v, curve in zip(path, speed, self._curves, strict=True)]
        passive = -m.dof_damping * d.qvel - m.jnt_stiffness * (d.qpos - m.qpos_spring)
        return Dynamics(self._matrix, d.qfrc_bias, passive, -self._moment[:n], np.array(capacity))
