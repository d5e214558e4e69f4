"""A person and a robot in one MuJoCo model, and what both engines have to know about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.arrays import indices, namespace
from mjx_msm.common.errors import InputError
from mjx_msm.person.passive_curves import passive_curves

TIMESTEP = 0.001
"""Of every simulation [s]; the stiffest strap or handle swings in about 40 of them."""
GRAVITY = 9.80665
"""Standard acceleration of gravity [m/s²], as in all the bundled models."""
MOTOR_STEPS = 5
"""Steps after which a motor's torque–speed limit is taken anew."""
LEADING_INERTIA = 1e3
"""What a joint whose motion is led weighs in addition [kg·m²]: nothing that pulls on it then makes a difference."""


@dataclass(frozen=True, eq=False)
class World:
    """Compiled once; every engine and every person shares it.

    The person's bodies, joints and muscles come first, with their own names; the robot's follow. Actuators that are not
    muscles are motors on joints.
    """

    spec: mujoco.MjSpec
    """Not to be changed."""
    model: mujoco.MjModel
    """The nominal person in it; an engine that changes the person does so on a copy."""
    person: int
    """Number of coordinates that are the person's."""
    tracked: tuple[str, ...]
    """Sites whose places are observed."""
    no_load_speed: Float[np.ndarray, "motor"]
    """Where a motor's torque in the direction of motion has fallen to zero, linearly from standstill [rad/s]."""
    contact: tuple[str, str] | None = None
    """Two capsules that may touch: one of a moving body, and one that stands still across its plane."""

    @staticmethod
    def of(
        spec: mujoco.MjSpec,
        person: Sequence[str],
        *,
        tracked: Sequence[str] = (),
        led: Sequence[str] = (),
        no_load_speed: Mapping[str, float] | None = None,
        contact: tuple[str, str] | None = None,
    ) -> World:
        """Compile a world.

        **Arguments:** `person`: names of the person's joints, the first in `spec`. `led`: joints whose acceleration is
        given, see `LEADING_INERTIA`. `no_load_speed`: of motors by name; others have their torque at every speed.
        `tracked`, `contact`: as the fields.

        **Raises:** `InputError` if a name is missing or the model is not one both engines can step.
        """
        spec = spec.copy()
        spec.option.timestep = TIMESTEP
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
        # A state that runs away is ours to report; MuJoCo would put the model back to its start without a word.
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        for joint in led:
            spec.joint(joint).armature = LEADING_INERTIA
        model = spec.compile()
        names = tuple(model.joint(j).name for j in range(model.njnt))
        if names[: len(person)] != tuple(person):
            raise InputError(f"the person's joints are {', '.join(names[: len(person)])}, not {', '.join(person)}")
        kinds = [mujoco.mjtDyn(d) == mujoco.mjtDyn.mjDYN_MUSCLE for d in model.actuator_dyntype]
        if not any(kinds):
            raise InputError("the person has no muscles; export the model with muscle actuators")
        if kinds != sorted(kinds, reverse=True):
            raise InputError("the world's motors come before its muscles; put the person first")
        sites = {model.site(s).name for s in range(model.nsite)}
        missing = [name for name in tracked if name not in sites]
        if missing:
            raise InputError(f"the model has no site '{missing[0]}'; it is where the robot touches the person")
        motors = [model.actuator(i).name for i in range(sum(kinds), model.nu)]
        speeds = np.array([(no_load_speed or {}).get(name, np.inf) for name in motors])
        return World(spec, model, len(person), tuple(tracked), speeds, contact)

    # Names -------------------------------------------------------------------------------------------------

    @cached_property
    def coordinates(self) -> tuple[str, ...]:
        return tuple(self.model.joint(j).name for j in range(self.model.njnt))

    @cached_property
    def muscles(self) -> tuple[str, ...]:
        m = self.model
        muscle = int(mujoco.mjtDyn.mjDYN_MUSCLE)
        return tuple(m.actuator(i).name for i in range(m.nu) if m.actuator_dyntype[i] == muscle)

    @cached_property
    def motors(self) -> tuple[str, ...]:
        return tuple(self.model.actuator(i).name for i in range(len(self.muscles), self.model.nu))

    def torque_range(self, speed: Float[Any, "motor"]) -> Float[Any, "motor 2"]:
        """Least and greatest torque that every motor can give at the speed of its joint [N·m].

        Driving, a motor loses torque linearly with speed, down to zero at its `no_load_speed`; braking, it has all.
        """
        xp, (peak, loss) = namespace(speed), self._motor_limits
        return peak * xp.minimum(xp.maximum(1.0 + speed[:, None] * loss, 0.0), 1.0)

    @cached_property
    def _motor_limits(self) -> tuple[Float[np.ndarray, "motor 2"], Float[np.ndarray, "motor 2"]]:
        """Torque at standstill [N·m], and the part of it that is lost with speed [s/rad]."""
        first = len(self.muscles)
        bounded = self.model.actuator_forcelimited[first:, None].astype(bool)
        peak = np.where(bounded, self.model.actuator_forcerange[first:], np.array([-np.inf, np.inf]))
        return peak, np.array([1.0, -1.0]) / self.no_load_speed[:, None]

    def coordinate(self, name: str) -> int:
        """Where a joint is among the coordinates."""
        return self.coordinates.index(name)

    def among(self, names: Sequence[str]) -> Int[np.ndarray, "joint"]:
        """Where joints are among the coordinates."""
        return indices([self.coordinate(name) for name in names])

    def points(self, names: Sequence[str]) -> Int[np.ndarray, "point"]:
        """Where sites are among the tracked ones."""
        return indices([self.tracked.index(name) for name in names])

    def tendons(self, names: Sequence[str]) -> Int[np.ndarray, "tendon"]:
        """Numbers of tendons."""
        return indices([self.model.tendon(name).id for name in names])

    @property
    def timestep(self) -> float:
        """[s]."""
        return float(self.model.opt.timestep)

    @cached_property
    def start(self) -> Float[np.ndarray, "coordinate"]:
        """The model's reference position."""
        return np.array(self.model.qpos0)

    def antagonists(self, joint: str) -> Float[np.ndarray, "muscle"]:
        """1 for muscles that drive a joint up, −1 for those that drive it down, halfway between its limits."""
        m = self.model
        data, moment = mujoco.MjData(m), np.zeros((m.nu, m.nv))
        stops, low, high = self.stops
        data.qpos[:] = self.start
        for t, a, b in zip(stops, low, high, strict=True):
            if m.wrap_objid[m.tendon_adr[t]] == m.joint(joint).id:
                data.qpos[self.coordinate(joint)] = 0.5 * (a + b)
        mujoco.mj_forward(m, data)
        mujoco.mju_sparse2dense(
            moment, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind
        )
        return -np.sign(moment[: len(self.muscles), self.coordinate(joint)])

    @cached_property
    def stops(self) -> tuple[Int[np.ndarray, "stop"], Float[np.ndarray, "stop"], Float[np.ndarray, "stop"]]:
        """Tendons that stand for the limits of one joint, and where these are [rad or m]."""
        m, one = self.model, mujoco.mjtWrap.mjWRAP_JOINT
        curves = {t for curve in passive_curves(m) for t in curve.tendons}  # pull well inside the range
        found = [
            t
            for t in range(m.ntendon)
            if m.tendon_num[t] == 1
            and t not in curves
            and m.wrap_type[m.tendon_adr[t]] == int(one)
            and m.tendon_lengthspring[t, 0] < m.tendon_lengthspring[t, 1]
        ]
        low, high = m.tendon_lengthspring[found].T
        return indices(found), low.copy(), high.copy()

    def beyond_limits(self, tendon_length: Float[Any, "tendon"]) -> Any:
        """Whether a joint of person or robot is beyond its limits: 0 or 1."""
        stops, low, high = self.stops
        length = tendon_length[stops]
        return 1.0 * namespace(length).any((length < low) | (length > high))

    # The differentiable twin ---------------------------------------------------------------------------------

    @cached_property
    def twin(self) -> Any:
        """The same mechanics as a `mjx_msm.Model`: without motors and contact, which the JAX engine adds."""
        from mjx_msm.person.model import model_of

        spec = self.spec.copy()
        spec.compile()
        for name in self.motors:
            spec.delete(spec.actuator(name))
        return model_of(spec, "world")

    def person_in(self, person: Any) -> Any:
        """`Parameters` of the whole world with a person's in their place, by name; batched if the person is.

        What the world does not have is left out.
        """
        import equinox as eqx
        import jax

        batch = np.shape(person.joint.damping)[:-1]
        whole = jax.tree.map(lambda x: np.broadcast_to(x, (*batch, *np.shape(x))), self.twin.nominal)
        for group in ("muscle", "body", "joint"):
            own, theirs = getattr(whole.names, group), getattr(person.names, group)
            shared = [name for name in own if name in theirs]
            to, of = [own.index(n) for n in shared], [theirs.index(n) for n in shared]
            part = getattr(whole, group)
            for field in part.__dataclass_fields__:
                new = np.array(getattr(part, field), dtype=float)
                axis = len(batch)
                source = np.asarray(getattr(getattr(person, group), field), dtype=float)
                new[(slice(None),) * axis + (to,)] = source[(slice(None),) * axis + (of,)]
                whole = eqx.tree_at(lambda w, g=group, f=field: getattr(getattr(w, g), f), whole, new)
        return whole
