"""Motors and position servos beside the muscles: known inputs of a simulation, not part of the person.

A servo's force is gain · u + b₀ + b₁ l + b₂ l̇, with l the joint's coordinate times its gear: u is zero unless it is
given, and what remains is a known spring and damper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np


@dataclass(frozen=True)
class KnownInput:
    """A motor or servo on a joint."""

    name: str
    coordinate: str
    gear: float
    gain: float
    bias: tuple[float, float, float]
    """b₀ [N·m], b₁ [N·m/rad], b₂ [N·m·s/rad]."""
    control_range: tuple[float, float]
    force_range: tuple[float, float]
    """[N·m]; of motors only."""

    @property
    def at_rest(self) -> float:
        """Moment about the coordinate at zero control, apart from its dependence on the state [N·m]."""
        low, high = self.control_range
        drive = self.gain * min(max(0.0, low), high)
        if not any(self.bias):
            drive = min(max(drive, self.force_range[0]), self.force_range[1])
        return self.gear * (drive + self.bias[0])


def is_muscle(m: mujoco.MjModel, i: int) -> bool:
    """Whether an actuator is MuJoCo's muscle, activation included."""
    gain, bias, dynamics = _kinds(m, i)
    of_muscle = gain == mujoco.mjtGain.mjGAIN_MUSCLE and bias == mujoco.mjtBias.mjBIAS_MUSCLE
    return of_muscle and dynamics == mujoco.mjtDyn.mjDYN_MUSCLE


def _kinds(m: mujoco.MjModel, i: int) -> tuple[mujoco.mjtGain, mujoco.mjtBias, mujoco.mjtDyn]:
    gain, bias, dynamics = m.actuator_gaintype[i], m.actuator_biastype[i], m.actuator_dyntype[i]
    return mujoco.mjtGain(gain), mujoco.mjtBias(bias), mujoco.mjtDyn(dynamics)


def obstacles_of_inputs(m: mujoco.MjModel, i: int) -> Iterator[tuple[str, str]]:
    """What keeps an actuator that is not a muscle from being a known input: what, and the fix."""
    fix = "remove it, or make it a motor or position servo on a joint"
    gain, bias, dynamics = _kinds(m, i)
    if dynamics != mujoco.mjtDyn.mjDYN_NONE:
        yield "is neither a muscle nor a motor or servo without dynamics of its own", fix
    elif gain != mujoco.mjtGain.mjGAIN_FIXED or bias not in (mujoco.mjtBias.mjBIAS_NONE, mujoco.mjtBias.mjBIAS_AFFINE):
        yield "is neither a muscle nor a motor or servo of fixed gain", fix
    if mujoco.mjtTrn(m.actuator_trntype[i]) not in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
        yield "is not a muscle, and does not act on a joint", fix
    if bias == mujoco.mjtBias.mjBIAS_AFFINE and m.actuator_biasprm[i, :3].any() and m.actuator_forcelimited[i]:
        yield "is a servo whose force is limited", "remove forcerange"
    if m.actuator_actearly[i] or m.actuator_damping[i].any() or m.actuator_armature[i].any() or m.actuator_delay[i]:
        yield "uses actearly, damping, armature or delay, which MJX ignores", "remove them"


def known_inputs(m: mujoco.MjModel) -> tuple[KnownInput, ...]:
    """The actuators that are not muscles, in the file's order."""
    clamps = not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CLAMPCTRL
    out = []
    for i in (i for i in range(m.nu) if not is_muscle(m, i)):
        anywhere = (-np.inf, np.inf)
        affine = _kinds(m, i)[1] == mujoco.mjtBias.mjBIAS_AFFINE
        b0, b1, b2 = map(float, m.actuator_biasprm[i, :3] if affine else np.zeros(3))
        limits = []
        for limited, values in (
            (clamps and m.actuator_ctrllimited[i], m.actuator_ctrlrange[i]),
            (m.actuator_forcelimited[i], m.actuator_forcerange[i]),
        ):
            limits.append((float(values[0]), float(values[1])) if limited else anywhere)
        joint = m.joint(int(m.actuator_trnid[i, 0])).name
        gear, gain = float(m.actuator_gear[i, 0]), float(m.actuator_gainprm[i, 0])
        out.append(KnownInput(m.actuator(i).name, joint, gear, gain, (b0, b1, b2), limits[0], limits[1]))
    return tuple(out)
