"""Forces between hand, gripper, beam and obstacle, from what a model or an engine shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.arrays import indices, namespace
from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.arm import SAGITTAL
from mjx_msm.envs.robots.cobot_kinematics import TOOL_ANGLE
from mjx_msm.envs.worlds.transport import BEAM, CLAMP, HANDLES, OBSTACLE, RING_RADIUS, SPOKES


@dataclass(frozen=True, eq=False)
class Handles:
    """Both handles, in the order of `HANDLES`, among a world's tendons and tracked points."""

    spokes: Int[np.ndarray, "handle spoke"]
    """Tendons."""
    stiffness: Float[np.ndarray, "handle spoke"]
    """[N/m]."""
    damping: Float[np.ndarray, "handle spoke"]
    """[N·s/m]."""
    rest: Float[np.ndarray, "handle spoke"]
    """Length without tension [m]."""

    @staticmethod
    def sites() -> tuple[str, ...]:
        """Sites a world has to track for it: what is held in each, then where its spokes end on the beam."""
        return (*HANDLES.values(), *(f"{BEAM}{handle}_{i}" for handle in HANDLES for i in range(SPOKES)))

    @staticmethod
    def of(world: World) -> Handles:
        """Of a world with a beam that tracks `sites` first."""
        m = world.model
        spokes = indices([world.tendons([f"{BEAM}{h}_{i}" for i in range(SPOKES)]) for h in HANDLES])
        return Handles(
            spokes,
            np.ravel(m.tendon_stiffness)[spokes],
            np.ravel(m.tendon_damping)[spokes],
            m.tendon_lengthspring[spokes, 0],
        )

    def force(self, seen: Kinetics) -> Float[Any, "handle 2"]:
        """On hand and gripper, x and z in the world [N]; on the beam they are the opposite."""
        xp = namespace(seen.point)
        pull = self.stiffness * (seen.tendon_length[self.spokes] - self.rest)
        pull = pull + self.damping * seen.tendon_velocity[self.spokes]
        hubs, rims = seen.point[:2], seen.point[2:].reshape(2, SPOKES, 3)
        span = rims - hubs[:, None]
        scale = pull / xp.sqrt(xp.einsum("hsi,hsi->hs", span, span))
        return xp.einsum("hs,hsi->hi", scale, span)[:, SAGITTAL]

    def lost(self, seen: Kinetics) -> Any:
        """Whether what is held has come out of its ring."""
        return namespace(seen.point).any(seen.tendon_length[self.spokes] > 2.0 * RING_RADIUS)


@dataclass(frozen=True, eq=False)
class Handle:
    """One handle of a compiled model: which sites and tendons it is made of, and what they are like."""

    hub: int
    """The site that is held."""
    rim: Int[np.ndarray, "spoke"]
    """Sites where the spokes end on the beam."""
    spoke: Int[np.ndarray, "spoke"]
    """Tendons."""
    stiffness: Float[np.ndarray, "spoke"]
    """[N/m]."""
    damping: Float[np.ndarray, "spoke"]
    """[N·s/m]."""
    rest: Float[np.ndarray, "spoke"]
    """Length without tension [m]."""

    @staticmethod
    def of(m: mujoco.MjModel, handle: str) -> Handle:
        """Handle ``"hand"`` or ``"tool"`` of a model that `couple` made."""
        names = [f"{BEAM}{handle}_{i}" for i in range(SPOKES)]
        spoke = np.array([m.tendon(name).id for name in names])
        return Handle(
            hub=m.site(HANDLES[handle]).id,
            rim=np.array([m.site(name).id for name in names]),
            spoke=spoke,
            stiffness=np.ravel(m.tendon_stiffness[spoke]),
            damping=np.ravel(m.tendon_damping[spoke]),
            rest=m.tendon_lengthspring[spoke, 0].copy(),
        )

    def tension(
        self, length: Float[Any, "*batch tendon"], velocity: Float[Any, "*batch tendon"]
    ) -> Float[Any, "*batch spoke"]:
        """Of every spoke [N], negative where it pushes. **Arguments:** of all tendons of the model [m, m/s]."""
        stretch = length[..., self.spoke] - self.rest
        return self.stiffness * stretch + self.damping * velocity[..., self.spoke]

    def force(
        self,
        site: Float[Any, "*batch site 3"],
        length: Float[Any, "*batch tendon"],
        velocity: Float[Any, "*batch tendon"],
    ) -> Float[Any, "*batch 3"]:
        """Force on what is held, the hand or the gripper, in the world [N]; on the beam it is the opposite.

        Both act in the same point, the held site: all spokes meet there, so the handle carries no moment about it.

        **Arguments:** positions of all sites, lengths and velocities of all tendons of the model at the same state.
        """
        xp = namespace(site)
        span = site[..., self.rim, :] - site[..., self.hub, :][..., None, :]
        direction = span / xp.linalg.norm(span, axis=-1, keepdims=True)
        return xp.sum(self.tension(length, velocity)[..., None] * direction, axis=-2)


@dataclass(frozen=True, eq=False)
class Clamp:
    """The gripper's resistance to turning in a compiled model."""

    tendon: int
    stiffness: float
    """[N·m/rad]."""
    damping: float
    """[N·m·s/rad]."""

    @staticmethod
    def of(m: mujoco.MjModel) -> Clamp:
        """Of a model that `couple` made."""
        t = m.tendon(CLAMP).id
        return Clamp(t, float(np.ravel(m.tendon_stiffness[t])[0]), float(np.ravel(m.tendon_damping[t])[0]))

    def moment(
        self, length: Float[Any, "*batch tendon"], velocity: Float[Any, "*batch tendon"]
    ) -> Float[Any, "*batch"]:
        """On the gripper [N·m], positive as the joints are, about −y; on the beam it is the opposite.

        **Arguments:** of all tendons of the model.
        """
        return self.stiffness * (TOOL_ANGLE - length[..., self.tendon]) - self.damping * velocity[..., self.tendon]


def contact_force(m: mujoco.MjModel, data: mujoco.MjData) -> Float[np.ndarray, "3"]:
    """Force of the obstacle on the beam in the world [N], zero while they do not touch. C MuJoCo, after a step."""
    total, local = np.zeros(3), np.zeros(6)
    bar = m.geom(f"{OBSTACLE}_bar").id
    for c in range(data.ncon):
        mujoco.mj_contactForce(m, data, c, local)
        push = data.contact[c].frame.reshape(3, 3).T @ local[:3]  # on the second geom
        total += push if data.contact[c].geom[0] == bar else -push
    return total
