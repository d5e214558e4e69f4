"""Passive joint moments that grow exponentially towards the ends of a range, held as native MuJoCo springs.

Ligaments, capsule and resting muscle resist the ends of a joint's range; those that cross two joints, along a sum of
their angles. Of a stretch x along such a direction, of length L, the tension is

    T(x) = M (exp(β x) − 1)/(exp(β L) − 1),        M: at the end of the stretch, β: steepness,

joined by straight lines between `PIECES` + 1 equally spaced values, and straight on beyond the end. So written, it is
exactly a sum of springs that pull from one length on: fixed tendons with a dead band, which C MuJoCo, MJX and this
package step alike. It lies above the exponential by at most (β L/`PIECES`)²/8 of its slope's part; at the knee's
literature values by 0.8 N·m, at the far end.

Where a model has such springs is told by their names, ``<joint>_<side>_passive_<k>``.

Source of the form and of the knee's values: Riener & Edrich 1999, J Biomech 32:539, doi 10.1016/S0021-9290(99)00009-3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, one_of
from mjx_msm.person.couplings import couplings

PIECES = 12
SIDES = ("lower", "upper", "biarticular")
"""Towards the lower or upper end of a joint's range, or along a sum of joint angles; the joint that names it turns by
one for one."""
SLACK = -100.0
"""Where a spring that pulls from one length on would begin to push [rad]: nowhere."""


@dataclass(frozen=True)
class Known:
    """Literature values of one curve."""

    along: Mapping[str, float]
    """Joint to coefficient: it is stretched as the sum of coefficient × angle grows."""
    begin: float
    """Sum of angles [rad] at which it begins."""
    end: float
    moment: float
    """On the joint that names it, at the end [N·m]."""
    steepness: float
    """[1/rad]."""


KNOWN: dict[str, dict[str, Known]] = {
    "knee_angle": {
        "lower": Known({"knee_angle": -1.0}, np.radians(-30.0), np.radians(5.0), 19.4, 8.59),
        "upper": Known({"knee_angle": 1.0}, np.radians(60.0), np.radians(130.0), 11.4, 2.84),
        "biarticular": Known(
            {"knee_angle": -1.0, "hip_flexion": 0.617, "ankle_angle": 1.307},
            np.radians(-90.0),
            np.radians(50.0),
            34.9,
            2.02,
        ),
    }
}
"""Riener & Edrich's knee without its constant: their steepnesses and directions, and the moments at the ends."""


@dataclass(frozen=True, eq=False)
class PassiveCurve:
    """One curve of a compiled model."""

    joint: int
    name: str
    """Of the joint."""
    side: str
    tendons: tuple[int, ...]
    along: Float[np.ndarray, "coordinate"]
    """Coefficients of the angles."""
    begin: float
    """Sum of angles [rad]."""
    span: float
    """L [rad]."""

    @property
    def knots(self) -> Float[np.ndarray, "piece"]:
        """Stretch at which every spring begins to pull [rad]."""
        return self.span * np.arange(len(self.tendons)) / len(self.tendons)

    def stretches(self, position: Any, xp: Any = np) -> Any:
        """Of every spring at positions of all coordinates [rad], springs last."""
        beyond = (xp.sum(position * self.along, -1) - self.begin)[..., None] - self.knots
        return xp.where(beyond > 0, beyond, 0.0)

    def stiffness(self, moment: Any, steepness: Any, xp: Any = np) -> Any:
        """Of every spring [N·m/rad]."""
        return spring_stiffness(moment, steepness, self.span, len(self.tendons), xp)

    def of(self, joint: Any, xp: Any = np) -> Any:
        """`stiffness` for `JointParameters`."""
        moment, steepness = (xp.asarray(getattr(joint, f))[self.joint] for f in fields_of(self.side))
        return self.stiffness(moment, steepness, xp)


def fields_of(side: str) -> tuple[str, str]:
    """Names of moment and steepness in `JointParameters`."""
    return f"{side}_passive_moment", f"{side}_passive_steepness"


def spring_stiffness(moment: Any, steepness: Any, span: float, pieces: int, xp: Any = np) -> Any:
    """Of springs whose sum goes through T at every knot [N·m/rad]."""
    at = span * np.arange(pieces + 1) / pieces
    share = xp.expm1(steepness * at) / xp.expm1(steepness * span)
    slope = moment * xp.diff(share) * (pieces / span)
    return xp.concatenate([slope[:1], xp.diff(slope)])


def knows(joint: str) -> bool:
    """Whether the literature has curves of a joint of this name, or of this name on one side."""
    return _apart(joint)[0] in KNOWN


def _apart(joint: str) -> tuple[str, str]:
    """Name of a joint and ending of its side: OpenSim's and MyoSim's legs have ``knee_angle_r``."""
    return (joint[:-2], joint[-2:]) if joint.endswith(("_r", "_l")) else (joint, "")


def _known_of(spec: mujoco.MjSpec, joint: str) -> dict[str, Known]:
    """The literature's curves along the joints of a model, which may count flexion negative, as gait2392 does.

    **Raises:** `InputError` if nothing is known of the joint.
    """
    name, ending = _apart(joint)
    out = {}
    for side, known in KNOWN[one_of("passive", name, KNOWN)].items():
        along = {f"{j}{ending}": c for j, c in known.along.items()}
        if spec.joint(joint) is not None and _bends_downwards(spec, joint):
            along[joint] = -along[joint]
            side = {"lower": "upper", "upper": "lower"}.get(side, side)
        out[side] = replace(known, along=along)
    return out


def _bends_downwards(spec: mujoco.MjSpec, joint: str) -> bool:
    """Whether a knee's range lies below zero, by its limits or by stops that stand for them."""
    m = spec.compile()
    j = m.joint(joint).id
    ends = [m.jnt_range[j]] if m.jnt_limited[j] else []
    for t in range(m.ntendon):
        w = m.tendon_adr[t]
        if m.tendon_num[t] == 1 and m.wrap_type[w] == mujoco.mjtWrap.mjWRAP_JOINT and m.wrap_objid[w] == j:
            ends += [m.tendon_lengthspring[t] / m.wrap_prm[w]]
    return bool(ends) and float(np.sum(ends[0])) < 0


def add_passive_curves(spec: mujoco.MjSpec, joints: Iterable[str]) -> None:
    """Give joints their literature curves, where the model has none of its own.

    **Raises:** `InputError` if nothing is known of a joint.
    """
    taken = {t.name for t in spec.tendons}
    for joint in joints:
        for side, known in _known_of(spec, joint).items():
            names = [f"{joint}_{side}_passive_{k}" for k in range(PIECES)]
            if taken & set(names):
                continue
            for name in known.along:
                if spec.joint(name) is None:
                    raise InputError(f"passive: the model has no joint '{name}'; leave '{joint}' out")
            span = known.end - known.begin
            stiffness = spring_stiffness(known.moment, known.steepness, span, PIECES)
            for k, name in enumerate(names):
                spring = spec.add_tendon(
                    name=name,
                    springlength=[SLACK, known.begin + span * k / PIECES],
                    rgba=[0, 0, 0, 0],
                    stiffness=[stiffness[k], 0, 0],
                    damping=[0, 0, 0],  # this and the rest may be set by the file's defaults
                    armature=0,
                    frictionloss=0,
                    limited=mujoco.mjtLimited.mjLIMITED_FALSE,
                )
                for along, coefficient in known.along.items():
                    spring.wrap_joint(along, coefficient)


def passive_curves(m: mujoco.MjModel) -> tuple[PassiveCurve, ...]:
    """The curves of a compiled model, by the names of their springs."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    if m.nq != m.njnt or couplings(m):
        return ()  # in models of hinges and slides alone, where every joint is a coordinate
    for t in range(m.ntendon):
        match = re.fullmatch(rf"(.+)_({'|'.join(SIDES)})_passive_(\d+)", m.tendon(t).name)
        if match:
            found.setdefault((match[1], match[2]), {})[int(match[3])] = t
    curves = (_curve(m, joint, side, springs) for (joint, side), springs in found.items())
    return tuple(c for c in curves if c is not None)


def nominal_curve(m: mujoco.MjModel, curve: PassiveCurve) -> tuple[float, float]:
    """M [N·m] and β [1/rad] of the springs of a compiled model: the inverse of `PassiveCurve.stiffness`."""
    slope = np.cumsum([float(np.ravel(m.tendon_stiffness[t])[0]) for t in curve.tendons])
    piece = curve.span / len(slope)
    return float(slope.sum() * piece), float(np.log(slope[-1] / slope[0]) / (piece * (len(slope) - 1)))


def _curve(m: mujoco.MjModel, joint: str, side: str, springs: dict[int, int]) -> PassiveCurve | None:
    """None where the springs are no curve of this form, whatever their names: then they are what they are."""
    tendons = [springs[k] for k in sorted(springs)]
    begins = m.tendon_lengthspring[tendons, 1]
    steps, stiffness = np.diff(begins), np.array([np.ravel(m.tendon_stiffness[t])[0] for t in tendons])
    directions = [_direction(m, t) for t in tendons]
    names = [m.joint(j).name for j in range(m.njnt)]
    if len(tendons) < 2 or joint not in names or any(d is None for d in directions) or (stiffness <= 0).any():
        return None
    even = steps.min() > 0 and np.ptp(steps) < 1e-4 * steps.mean()
    along, j = np.array(directions), names.index(joint)
    if not even or np.ptp(along, axis=0).any() or abs(along[0, j]) != 1.0:
        return None
    curve = PassiveCurve(j, joint, side, tuple(tendons), along[0], float(begins[0]), float(steps.mean() * len(tendons)))
    moment, steepness = nominal_curve(m, curve)
    exact = steepness > 0 and np.allclose(curve.stiffness(moment, steepness), stiffness, rtol=1e-4)
    return curve if exact and (m.tendon_lengthspring[tendons, 0] == SLACK).all() else None


def _direction(m: mujoco.MjModel, t: int) -> Float[np.ndarray, "joint"] | None:
    """Coefficients of a tendon over joints; None of another."""
    out = np.zeros(m.njnt)
    for w in range(m.tendon_adr[t], m.tendon_adr[t] + m.tendon_num[t]):
        if m.wrap_type[w] != int(mujoco.mjtWrap.mjWRAP_JOINT):
            return None
        out[m.wrap_objid[w]] += m.wrap_prm[w]
    return out
