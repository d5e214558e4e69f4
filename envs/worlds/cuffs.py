"""What passes between a leg and the exoskeleton it wears: forces of straps and pads, slip, and how both are aligned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.arrays import indices, namespace
from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.leg import HIP, KNEE
from mjx_msm.envs.robots.exoskeleton import CUFFS, PADS, PREFIX, SIDES, STRAPS, Exoskeleton
from mjx_msm.envs.worlds.worn_exoskeleton import ANKLE_CENTRE, KNEE_CENTRE

_ENDS = len(CUFFS) * (2 * len(STRAPS) + len(PADS))
"""Places where something is fixed to a shell."""
_BOTH = indices(np.repeat(np.arange(len(STRAPS)), len(SIDES)))
"""A strap pulls at both its ends."""


class CuffLoads(NamedTuple):
    """What passes through the cuffs at one instant; entries in the order of `CUFFS`."""

    force: Float[Any, "cuff 3"]
    """On the limb, straps and pads together, in the world [N]."""
    moment: Float[Any, ""]
    """Of the shank cuff's force about the human knee's axis, positive in flexion [N·m]."""
    tension: Float[Any, "cuff strap"]
    """Of every strap, in the order of `STRAPS`; never negative [N]."""
    displacement: Float[Any, "cuff"]
    """How far a shell's middle is from its place on the limb [m]."""


@dataclass(frozen=True, eq=False)
class Coupling:
    """Where the straps of a worn exoskeleton are among a world's tendons and tracked points."""

    straps: Int[np.ndarray, "cuff strap"]
    pads: Int[np.ndarray, "cuff pad"]
    turn: Float[np.ndarray, "3 3"]
    """An arm times this is the knee's axis × the arm: what a unit of force does about the knee."""
    shear: Int[np.ndarray, "cuff"]
    """Coordinates along which the sleeves move."""
    lever: Float[np.ndarray, "2 2"]
    """From hip to knee, straight and turned by 90° about the hip, along the device's two slides [m]."""
    slack: Float[np.ndarray, "cuff strap"]
    """Length at which a strap begins to pull [m]."""
    device: Exoskeleton

    @staticmethod
    def sites() -> tuple[str, ...]:
        """Sites a world has to track for it: ends on the shells, ends on the skin, middles, ankle and knee, in turn."""
        ends = [end for cuff in CUFFS for end in _ends(cuff)]
        shells, limbs = ([f"{PREFIX}{cuff}_middle{of}" for cuff in CUFFS] for of in ("", "_limb"))
        return (*(e[0] for e in ends), *(e[1] for e in ends), *shells, *limbs, ANKLE_CENTRE, KNEE_CENTRE)

    @staticmethod
    def of(world: World, device: Exoskeleton) -> Coupling:
        """Of a world that `wear` made."""
        m = world.model
        if world.tracked != Coupling.sites():
            raise InputError("the world does not track the exoskeleton's sites; make it with tracked=Coupling.sites()")
        straps = indices([world.tendons([f"{PREFIX}{cuff}_{s}" for s in STRAPS]) for cuff in CUFFS])
        data = mujoco.MjData(m)
        data.qpos[:] = 0.0  # straight
        mujoco.mj_kinematics(m, data)
        hip, knee = world.coordinate(HIP), world.coordinate(KNEE)
        thigh = data.xanchor[knee] - data.xanchor[hip]
        slides = data.xaxis[world.among([f"{PREFIX}x", f"{PREFIX}z"])]
        x, y, z = data.xaxis[knee]
        return Coupling(
            straps=straps,
            pads=indices([world.tendons([f"{PREFIX}{cuff}_pad_{p}" for p in PADS]) for cuff in CUFFS]),
            turn=np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]),
            shear=world.among([f"{PREFIX}{cuff}_shear" for cuff in CUFFS]),
            lever=np.stack([slides @ thigh, slides @ np.cross(data.xaxis[hip], thigh)]),
            slack=m.tendon_lengthspring[straps, 1].copy(),
            device=device,
        )

    def loads(self, seen: Kinetics) -> CuffLoads:
        """What passes through the cuffs."""
        xp = namespace(seen.point)
        tension = self.device.strap_stiffness * xp.maximum(seen.tendon_length[self.straps] - self.slack, 0.0)
        pull = self.device.pad_damping * seen.tendon_velocity[self.pads]
        along = xp.concatenate([tension[:, _BOTH], pull], 1).reshape(-1)
        skin = seen.point[_ENDS : 2 * _ENDS]
        way = seen.point[:_ENDS] - skin
        forces = way * (along / xp.sqrt(xp.einsum("ij,ij->i", way, way)))[:, None]
        arm = (skin[_ENDS // 2 :] - seen.point[-1]) @ self.turn  # of the shank's, the second half
        moment = xp.vdot(arm, forces[_ENDS // 2 :])
        shift = seen.point[-6:-4] - seen.point[-4:-2]
        return CuffLoads(
            xp.ones(_ENDS // 2) @ forces.reshape(2, -1, 3),
            moment,
            tension,
            xp.sqrt(xp.einsum("ij,ij->i", shift, shift)),
        )

    def slip(self, seen: Kinetics, loads: CuffLoads, slipped: Float[Any, "cuff"], grip: Any) -> Float[Any, "cuff"]:
        """How far every cuff has slipped along its limb [m], after what it bears now.

        The sleeve is a spring that friction holds at its end: shear force k·(x − s) up to μ·2ΣT, since a strap that
        runs halfway around a limb presses on it with twice its tension. Beyond that s gives way (return mapping).

        **Arguments:** `slipped`: s before. `grip`: part of the friction that there is.
        """
        xp = namespace(seen.position)
        give = grip * 2.0 * self.device.friction / self.device.shear_stiffness * (loads.tension @ np.ones(len(STRAPS)))
        place = seen.position[self.shear]
        return xp.minimum(xp.maximum(slipped, place - give), place + give)

    def aligned(
        self, xp: Any, person: Float[Any, "joint"], speed: Float[Any, "joint"]
    ) -> tuple[Float[Any, "coordinate"], Float[Any, "coordinate"]]:
        """Position and velocity of a whole world with the exoskeleton on the leg without strain, moving with it.

        **Arguments:** `person`, `speed`: of hip, knee and ankle, which are 0 where the model stands straight.
        """
        # The thigh's turn about the hip takes the knee along a circle, and the device's with it.
        cosine, sine = xp.cos(person[0]), xp.sin(person[0])
        across, up = self.lever[0], self.lever[1]
        place = across * (cosine - 1.0) + up * sine
        rate = speed[0] * (up * cosine - across * sine)
        sleeves = xp.zeros(len(CUFFS))
        return xp.concatenate([person, sleeves, place, person[:2]]), xp.concatenate([speed, sleeves, rate, speed[:2]])


def _ends(cuff: str) -> list[tuple[str, str]]:
    """Sites at which straps and pads of a cuff leave the shell, and where each arrives on the skin."""
    ends = []
    for strap in STRAPS:
        name = f"{PREFIX}{cuff}_{strap}"
        ends += [(f"{name}_{SIDES[0]}", f"{name}_limb0"), (f"{name}_{SIDES[1]}", f"{name}_limb3")]
    return ends + [(f"{PREFIX}{cuff}_pad_{pad}", f"{PREFIX}{cuff}_pad_{pad}_limb") for pad in PADS]
