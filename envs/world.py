"""A person and a robot in one MuJoCo model, and what both engines have to know about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mjx_msm.envs.arrays import namespace
from mjx_msm.errors import InputError

TIMESTEP = 0.001
"""Of every simulation [s]; the stiffest strap or handle swings in about 40 of them."""
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
    contact: tuple[str, str] | None = None
    """Two capsules that may touch: one of a moving body, and one that stands still across its plane."""

    @staticmethod
    def of(
        spec: mujoco.MjSpec,
        person: Sequence[str],
        *,
        tracked: Sequence[str] = (),
        led: Sequence[str] = (),
        contact: tuple[str, str] | None = None,
    ) -> World:
        """Compile a world.

        **Arguments:** `person`: names of the person's joints, the first in `spec`. `led`: joints whose acceleration is
        given, see `LEADING_INERTIA`. `tracked`, `contact`: as the fields.

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
        return World(spec, model, len(person), tuple(tracked), contact)

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

    def coordinate(self, name: str) -> int:
        """Where a joint is among the coordinates."""
        return self.coordinates.index(name)

    def points(self, names: Sequence[str]) -> Int[np.ndarray, "point"]:
        """Where sites are among the tracked ones."""
        return np.array([self.tracked.index(name) for name in names], dtype=int)

    def tendons(self, names: Sequence[str]) -> Int[np.ndarray, "tendon"]:
        """Numbers of tendons."""
        return np.array([self.model.tendon(name).id for name in names], dtype=int)

    @property
    def timestep(self) -> float:
        """[s]."""
        return float(self.model.opt.timestep)

    @cached_property
    def start(self) -> Float[np.ndarray, "coordinate"]:
        """The model's reference position."""
        return np.array(self.model.qpos0)

    @cached_property
    def stops(self) -> tuple[Int[np.ndarray, "stop"], Float[np.ndarray, "stop"], Float[np.ndarray, "stop"]]:
        """Tendons that stand for the limits of one joint, and where these are [rad or m]."""
        m, one = self.model, mujoco.mjtWrap.mjWRAP_JOINT
        found = [
            t
            for t in range(m.ntendon)
            if m.tendon_num[t] == 1
            and m.wrap_type[m.tendon_adr[t]] == int(one)
            and m.tendon_lengthspring[t, 0] < m.tendon_lengthspring[t, 1]
        ]
        low, high = m.tendon_lengthspring[found].T
        return np.array(found, dtype=int), low.copy(), high.copy()

    def beyond_limits(self, tendon_length: Float[Any, "tendon"]) -> Any:
        """Whether a joint of person or robot is beyond its limits: 0 or 1."""
        stops, low, high = self.stops
        length = tendon_length[stops]
        return 1.0 * namespace(length).any((length < low) | (length > high))

    # The differentiable twin ---------------------------------------------------------------------------------

    @cached_property
    def twin(self) -> Any:
        """The same mechanics as a `mjx_msm.Model`: without motors and contact, which the JAX engine adds."""
        from mjx_msm.model import model_of

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
