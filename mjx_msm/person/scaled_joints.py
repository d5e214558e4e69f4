"""What an MJCF says along joints and tendons, at another size: travel of slides, what follows it, lengths, arms.

A slide moves a body in its parent, and goes as far as the parent is large along its axis. Its reference, range, spring,
stops and keyframes are metres, and so are the powers by which it follows an angle; one that is followed is a metre to
the power. A muscle's arm about a hinge that it pulls without a path goes with the hinge's body.
"""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.person.inputs import is_muscle
from mjx_msm.person.reduction import with_terms

Factors = Mapping[str, Float[np.ndarray, "3"]]
_EQ, _SLIDE, _HINGE = mujoco.mjtEq, mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
_ON_JOINT = (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
_SAME = 1e-9


def travel_factors(spec: mujoco.MjSpec, m: mujoco.MjModel, factors: Factors) -> dict[str, float]:
    """Of every slide: how far it goes, over how far it went; `spec` compiled before, into `m`."""
    out = {}
    for joint in spec.joints:
        if joint.type == _SLIDE:
            above = factors.get(joint.parent.parent.name, np.ones(3))
            rotation = np.zeros(9)
            mujoco.mju_quat2Mat(rotation, m.body_quat[joint.parent.id])
            along = rotation.reshape(3, 3) @ (joint.axis / np.linalg.norm(joint.axis))
            out[joint.name] = float(np.linalg.norm(above * along))
    return out


def scale_joints(spec: mujoco.MjSpec, m: mujoco.MjModel, factors: Factors, locked: Mapping[str, float]) -> None:
    """Slides, equalities, and moment arms that are numbers of a joint.

    **Arguments:** `spec`: changed; compiled before, into `m`; `locked`: coordinates held at a value [rad or m].

    **Raises:** `InputError` naming what cannot be scaled.
    """
    travel = travel_factors(spec, m, factors)
    for joint in (spec.joint(name) for name in travel):
        by = travel[joint.name]
        if locked.get(joint.name, 0.0) and abs(by - 1) > _SAME:
            raise InputError(
                f"coordinate '{joint.name}' is locked at {locked[joint.name]:g} m in a model of the old size; scale "
                "the model without locking it, export that, and lock it when loading the export"
            )
        joint.ref, joint.springref, joint.range = joint.ref * by, joint.springref * by, np.asarray(joint.range) * by
        for key in spec.keys:
            if len(key.qpos):
                at = int(m.jnt_qposadr[m.joint(joint.name).id])
                qpos = np.array(key.qpos)
                qpos[at] *= by
                key.qpos = qpos
    for equality in spec.equalities:
        equality.data = _of_an_equality(equality, travel, factors)
    pulled = {int(m.actuator_trnid[i, 0]) for i in _muscles_on(m, mujoco.mjtTrn.mjTRN_TENDON)}
    for tendon in spec.tendons:
        if is_fixed(m, tendon.id) and tendon.id not in pulled:
            _scale_stop(tendon, travel)
    for i in _muscles_on(m, *_ON_JOINT):
        spec.actuators[i].gear = np.asarray(spec.actuators[i].gear) * _arm(
            spec.joint(spec.actuators[i].target), factors
        )


def scale_lengths(
    spec: mujoco.MjSpec, m: mujoco.MjModel, before: Float[np.ndarray, "muscle"], factors: Factors
) -> None:
    """Length ranges of muscles, springs and limits of tendons, by how their paths grew.

    **Arguments:** `spec`: scaled but for these; `m`: before it was; `before`: `tendon_lengths` then [m].
    """
    after = tendon_lengths(spec.compile())
    pulled = {int(m.actuator_trnid[i, 0]) for i in _muscles_on(m, mujoco.mjtTrn.mjTRN_TENDON)}
    travel, grown, sums = travel_factors(spec, m, factors), np.ones(m.ntendon), []
    for tendon in spec.tendons:
        t, rest = tendon.id, np.asarray(tendon.springlength)
        if not is_fixed(m, t):
            grown[t] = after[t] / before[t] if before[t] > 0 else 1.0
        elif t in pulled:  # the mean of its terms, by how much each pulls
            terms = [(w.target, float(w.coef)) for w in tendon.path]
            by = [travel[j.name] if j.type == _SLIDE else _arm(j, factors) for j, _ in terms]
            grown[t] = np.average(by, weights=[abs(c) for _, c in terms])
            sums.append((tendon, [(j.name, c * _arm(j, factors)) for j, c in terms]))
        else:
            continue
        tendon.range = np.asarray(tendon.range) * grown[t]
        tendon.springlength = rest if (rest == -1).all() else rest * grown[t]  # -1: at rest in the reference posture
    for i in _muscles_on(m, mujoco.mjtTrn.mjTRN_TENDON):
        spec.actuators[i].lengthrange = m.actuator_lengthrange[i] * grown[m.actuator_trnid[i, 0]]
    for i in _muscles_on(m, *_ON_JOINT):
        joint = spec.joint(spec.actuators[i].target)
        by = travel[joint.name] if joint.type == _SLIDE else _arm(joint, factors)
        spec.actuators[i].lengthrange = m.actuator_lengthrange[i] * by
    for tendon, terms in sums:
        with_terms(spec, tendon, terms)


def tendon_lengths(m: mujoco.MjModel) -> Float[np.ndarray, "tendon"]:
    """[m, or rad of a stop] in an imported model's keyframe "default", else in the reference posture."""
    d = mujoco.MjData(m)
    if any(m.key(k).name == "default" for k in range(m.nkey)):
        d.qpos[:] = m.key("default").qpos
    mujoco.mj_forward(m, d)
    return d.ten_length.copy()


def is_fixed(m: mujoco.MjModel, t: int) -> bool:
    """Whether a tendon's length is a sum of joints'."""
    return mujoco.mjtWrap(m.wrap_type[m.tendon_adr[t]]) == mujoco.mjtWrap.mjWRAP_JOINT


def _muscles_on(m: mujoco.MjModel, *kinds: mujoco.mjtTrn) -> list[int]:
    return [i for i in range(m.nu) if is_muscle(m, i) and mujoco.mjtTrn(m.actuator_trntype[i]) in kinds]


def _arm(joint: mujoco.MjsJoint, factors: Factors) -> float:
    """Of what a muscle's length changes by when the joint moves by 1; a slide's is a pure number."""
    return float(np.prod(factors[joint.parent.name]) ** (1 / 3)) if joint.type == _HINGE else 1.0


def _of_an_equality(equality: mujoco.MjsEquality, travel: Mapping[str, float], factors: Factors) -> np.ndarray:
    data = np.array(equality.data)
    name = equality.name or f"{equality.name1}-{equality.name2}"
    if equality.type == _EQ.mjEQ_JOINT:
        data[:5] *= travel.get(equality.name1, 1.0) / travel.get(equality.name2, 1.0) ** np.arange(5)
    elif equality.type in (_EQ.mjEQ_CONNECT, _EQ.mjEQ_WELD):
        if equality.objtype == mujoco.mjtObj.mjOBJ_BODY:  # between sites, they have moved
            first, second = (factors.get(n, np.ones(3)) for n in (equality.name1, equality.name2))
            data[:3] *= first if equality.type == _EQ.mjEQ_CONNECT else second
            if equality.type == _EQ.mjEQ_WELD:
                data[3:6] *= first
    elif equality.active and any(np.abs(f - 1).max() > _SAME for f in factors.values()):
        raise InputError(f"equality '{name}' is of lengths that scaling does not know; remove it before scaling")
    return data


def _scale_stop(tendon: mujoco.MjsTendon, travel: Mapping[str, float]) -> None:
    """Springs and limits of a sum of joints: of slides, they are metres."""
    by = {travel.get(w.target.name, 1.0) for w in tendon.path}
    one = by.pop()
    if any(abs(other - one) > _SAME for other in by):
        if tendon.stiffness[0] or tendon.limited == mujoco.mjtLimited.mjLIMITED_TRUE:
            raise InputError(
                f"tendon '{tendon.name}' has a spring or limit over joints that scale differently; remove it, or give "
                "their bodies one factor"
            )
        return
    rest = np.asarray(tendon.springlength)
    tendon.springlength = rest if (rest == -1).all() else rest * one
    tendon.range = np.asarray(tendon.range) * one
