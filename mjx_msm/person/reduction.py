"""A part of a model: some joints, the muscles that move them, the rest held in a posture and made one with it.

A body's pose is T J₁ J₂ …, from its place in its parent through its joints. A joint that is held is a constant turn or
shift H; with T J₁ H = (T H) (H⁻¹ J₁ H) it goes into the body's place, and joints before it are seen through it. Bodies
that are left without joints are fused with their parents by MuJoCo's compiler (`fusestatic`). What was derived from the
whole (length ranges, automatic forces) is written out first, so that parameters mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import mujoco
import numpy as np

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.patterns import named
from mjx_msm.person.couplings import is_coupling
from mjx_msm.person.inputs import is_muscle
from mjx_msm.person.obstacles import muscle_force
from mjx_msm.person.plain_mjcf import plain

_JOINT = mujoco.mjtJoint
_WRAP = mujoco.mjtWrap


@dataclass(frozen=True)
class Part:
    """What of a file a model is, as `load_model` was asked for it."""

    joints: tuple[str, ...] = ("*",)
    muscles: tuple[str, ...] = ("*",)
    posture: Mapping[str, float] = field(default_factory=dict)
    """[rad or m]."""
    engine: str = ""
    """Asked for by name; "": by what the file holds."""
    side: str = ""
    """To which it was mirrored where it is of the other one; "": as the file has it."""

    @property
    def arguments(self) -> dict[str, Any]:
        """Of `load_model`; none where the model is the whole file."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in own.items() if v and v != ("*",)}


def reduced(
    spec: mujoco.MjSpec,
    source: str,
    *,
    joints: Iterable[str] | None = None,
    muscles: Iterable[str] | None = None,
    posture: Mapping[str, float] | None = None,
) -> tuple[mujoco.MjSpec, list[str]]:
    """Keep some joints and muscles of a model, and hold the rest.

    **Arguments:**

    - `joints`: names or patterns of those to keep, by default all; joints that an equality couples to a kept one stay
      with it.
    - `muscles`: names or patterns of those to keep; by default all that a kept joint moves.
    - `posture`: where joints are held [rad or m]; by default at the file's reference. Coupled ones follow.

    **Returns:** an ordinary specification, and in words what was done.

    **Raises:** `InputError` naming a joint or muscle that is not there.
    """
    spec = plain(spec)
    m = spec.compile()
    every = [m.joint(j).name for j in range(m.njnt)]
    chosen = set(every if joints is None else _chosen(joints, every, "joint", source))
    coupled = _couplings(m)
    for joint, (driver, _) in coupled.items():  # a coupled joint goes with the one that drives it
        if driver in chosen:
            chosen.add(joint)
        elif driver is not None:
            chosen.discard(joint)
    held = {j: None for j in every if j not in chosen}
    values = _posture(m, held, coupled, posture or {}, source)
    _write_out(spec, m)
    _drop_references(spec, m, set(held))
    for name in held:
        if _JOINT(m.joint(name).type[0]) != _JOINT.mjJNT_FREE:
            _hold(spec, m, name, values[name])
    _hold_in_tendons(spec, m, values)
    for name in held:
        spec.delete(spec.joint(name))
    kept = _keep_muscles(spec, m, muscles, source)
    _drop_exclusions(spec)
    spec.compiler.fusestatic = True
    spec.compile()
    spec.compiler.fusestatic = False
    left = [j.name for j in spec.joints]
    notes = []
    if held:
        notes.append(f"reduced to the joints {', '.join(left)}; {len(held)} others held and their bodies fused")
    dropped = sum(is_muscle(m, i) for i in range(m.nu)) - len(kept)
    if dropped:
        notes.append(f"{dropped} of {dropped + len(kept)} muscles left out: not asked for, or moved by no kept joint")
    return spec, notes


def _chosen(patterns: Iterable[str], names: list[str], kind: str, source: str) -> tuple[str, ...]:
    if isinstance(patterns, str):
        raise InputError(f"{kind}s is a list of names, e.g. {kind}s=['{patterns}']")
    return named(map(str, patterns), names, f"model '{source}' has no {kind}")


def _couplings(m: mujoco.MjModel) -> dict[str, tuple[str | None, np.ndarray]]:
    """Joint to the one it follows and the coefficients."""
    out = {}
    for e in range(m.neq):
        if is_coupling(m, e):
            driver = m.joint(int(m.eq_obj2id[e])).name if m.eq_obj2id[e] >= 0 else None
            out[m.joint(int(m.eq_obj1id[e])).name] = (driver, m.eq_data[e, :5].copy())
    return out


def _posture(
    m: mujoco.MjModel, held: Iterable[str], coupled: Mapping[str, Any], posture: Mapping[str, float], source: str
) -> dict[str, np.ndarray]:
    """Value of every held joint: one number, of a ball four, of a free joint none that is used."""
    held = list(held)
    for name, wanted in posture.items():
        if name not in held:
            names = [m.joint(j).name for j in range(m.njnt)]
            why = "is kept, not held; leave it out of posture" if name in names else "is not in the model"
            raise InputError(
                f"posture: joint '{name}' of model '{source}' {why}{'' if name in names else suggest(name, names)}"
            )
        if not isinstance(wanted, int | float) or not np.isfinite(wanted):
            raise InputError(f"posture of joint '{name}' must be a number [rad or m], got {wanted!r}")
        if _JOINT(m.joint(name).type[0]) not in (_JOINT.mjJNT_HINGE, _JOINT.mjJNT_SLIDE):
            raise InputError(f"posture: joint '{name}' is a free or ball joint, which stays at the file's reference")
    out: dict[str, np.ndarray] = {}

    def value(name: str, depth: int = 0) -> np.ndarray:
        joint = m.joint(name)
        reference = np.array(
            m.qpos0[joint.qposadr[0] : joint.qposadr[0] + (4 if joint.type[0] == _JOINT.mjJNT_BALL else 1)]
        )
        if name in posture:
            return np.array([float(posture[name])])
        if name in coupled and depth < m.njnt:
            driver, powers = coupled[name]
            if driver is None:
                return reference + powers[0]
            if driver in held:
                travel = value(driver, depth + 1) - m.qpos0[m.joint(driver).qposadr[0]]
                return reference + np.polynomial.polynomial.polyval(travel, powers)
        return reference

    for name in held:
        out[name] = value(name)
    return out


def _write_out(spec: mujoco.MjSpec, m: mujoco.MjModel) -> None:
    """What the compiler would work out anew from what is left."""
    for actuator in spec.actuators:
        i = m.actuator(actuator.name).id
        if is_muscle(m, i):
            for own, prm in ((actuator.gainprm, m.actuator_gainprm[i]), (actuator.biasprm, m.actuator_biasprm[i])):
                own[2] = muscle_force(m, i, prm)
        actuator.lengthrange = m.actuator_lengthrange[i]
    spec.compiler.LRopt.useexisting = 1
    for tendon in spec.tendons:  # a rest length that is automatic is that of the reference posture
        if tendon.springlength[0] < 0:
            tendon.springlength = m.tendon_lengthspring[m.tendon(tendon.name).id]
    for joint in spec.joints:
        if np.any(np.asarray(joint.springdamper) > 0):
            j = m.joint(joint.name).id
            joint.stiffness[0], joint.damping[0] = m.jnt_stiffness[j], m.dof_damping[m.jnt_dofadr[j]]
            joint.springdamper = [0.0, 0.0]


def _drop_references(spec: mujoco.MjSpec, m: mujoco.MjModel, held: set[str]) -> None:
    """Keyframes, and sensors, equalities and actuators of joints that are held."""
    gone = [*spec.keys]
    for e in spec.equalities:
        if e.type == mujoco.mjtEq.mjEQ_JOINT and (e.name1 in held or e.name2 in held):
            gone.append(e)
    lost = {a.name for a in spec.actuators if a.trntype in _ON_JOINT and a.target in held}
    gone += [a for a in spec.actuators if a.name in lost]
    for s in spec.sensors:
        of_joint = s.objtype == mujoco.mjtObj.mjOBJ_JOINT and s.objname in held
        if of_joint or (s.objtype == mujoco.mjtObj.mjOBJ_ACTUATOR and s.objname in lost):
            gone.append(s)
    for element in gone:
        spec.delete(element)


_ON_JOINT = (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)


def _drop_exclusions(spec: mujoco.MjSpec) -> None:
    """Contacts excluded between bodies that are one now, of which there are none; named by one, a body is not fused."""
    now = spec.compile()
    for pair in list(spec.excludes):
        if now.body(pair.bodyname1).weldid == now.body(pair.bodyname2).weldid:
            spec.delete(pair)


def _hold(spec: mujoco.MjSpec, m: mujoco.MjModel, name: str, value: np.ndarray) -> None:
    """Take a joint's constant turn or shift into its body's place, and through the joints before it."""
    joint = spec.joint(name)
    body, j = joint.parent, m.joint(name).id
    kind, axis, anchor = _JOINT(m.jnt_type[j]), np.array(joint.axis), np.array(joint.pos)
    axis = axis / np.linalg.norm(axis)
    turn, shift = np.array([1.0, 0, 0, 0]), np.zeros(3)
    if kind == _JOINT.mjJNT_SLIDE:
        shift = (value[0] - m.qpos0[m.jnt_qposadr[j]]) * axis
    else:
        if kind == _JOINT.mjJNT_HINGE:
            mujoco.mju_axisAngle2Quat(turn, axis, value[0] - m.qpos0[m.jnt_qposadr[j]])
        else:
            turn = value / np.linalg.norm(value)
        shift = anchor - _turned(anchor, turn)
    place, own = np.array(body.pos), np.array(body.quat)
    total = np.zeros(4)
    mujoco.mju_mulQuat(total, own, turn)
    body.pos, body.quat = place + _turned(shift, own), total
    back = turn * [1, -1, -1, -1]
    for before in body.joints:
        if before.name == name:
            break
        if before.name in (k.name for k in body.joints):
            before.axis = _turned(np.array(before.axis), back)
            before.pos = _turned(np.array(before.pos) - shift, back)


def _turned(vector: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    out = np.zeros(3)
    mujoco.mju_rotVecQuat(out, vector, quaternion)
    return out


def _hold_in_tendons(spec: mujoco.MjSpec, m: mujoco.MjModel, values: Mapping[str, np.ndarray]) -> None:
    """Tendons over joints lose the held ones' constant part, and their lengths are counted from there."""
    for t in range(m.ntendon):
        at = range(m.tendon_adr[t], m.tendon_adr[t] + m.tendon_num[t])
        terms = [
            (m.joint(int(m.wrap_objid[w])).name, float(m.wrap_prm[w])) for w in at if _is(m, w, _WRAP.mjWRAP_JOINT)
        ]
        constant = sum(c * float(values[j][0]) for j, c in terms if j in values)
        if not any(j in values for j, _ in terms):
            continue
        old = spec.tendon(m.tendon(t).name)
        kept = [(j, c) for j, c in terms if j not in values]
        pulled = [a for a in spec.actuators if a.trntype == mujoco.mjtTrn.mjTRN_TENDON and a.target == old.name]
        if kept:
            ends = np.array(old.springlength) - constant, np.array(old.range) - constant
            new = with_terms(spec, old, kept)
            new.springlength, new.range = ends
            for actuator in pulled:
                gear = actuator.gear[0]
                actuator.lengthrange = np.array(actuator.lengthrange) - gear * constant
        else:
            spec.delete(old)
            for actuator in pulled:
                spec.delete(actuator)


def with_terms(spec: mujoco.MjSpec, old: Any, terms: Iterable[tuple[str, float]]) -> Any:
    """A tendon over joints anew, as the last one, with other coefficients [m/rad or 1]; they cannot be set."""
    name, own = old.name, {f: _copy(getattr(old, f)) for f in (*_TENDON_FIELDS, "springlength", "range")}
    spec.delete(old)
    new = spec.add_tendon(name=name, **own)
    for joint, coefficient in terms:
        new.wrap_joint(joint, coefficient)
    return new


_TENDON_FIELDS = (
    "limited",
    "width",
    "rgba",
    "group",
    "margin",
    "armature",
    "frictionloss",
    "stiffness",
    "damping",
    "material",
)


def _copy(value: Any) -> Any:
    return np.array(value) if isinstance(value, np.ndarray) else value


def _is(m: mujoco.MjModel, w: int, kind: mujoco.mjtWrap) -> bool:
    return _WRAP(m.wrap_type[w]) == kind


def _keep_muscles(spec: mujoco.MjSpec, m: mujoco.MjModel, muscles: Iterable[str] | None, source: str) -> list[str]:
    """Leave out muscles that were not asked for or that nothing moves, and tendons that then do nothing."""
    now = spec.compile()
    names = [a.name for a in spec.actuators if is_muscle(now, now.actuator(a.name).id)]
    every = [m.actuator(i).name for i in range(m.nu) if is_muscle(m, i)]
    still = {now.tendon(t).name for t in range(now.ntendon) if _is_still(now, t)}
    moved = [n for n in names if spec.actuator(n).trntype in _ON_JOINT or spec.actuator(n).target not in still]
    if muscles is None:
        wanted = moved
    else:
        wanted = list(_chosen(muscles, every, "muscle", source))
        if not set(wanted) & set(moved):
            raise InputError(
                f"model '{source}': none of the muscles crosses a kept joint; keep other joints or muscles"
            )
        wanted = [n for n in wanted if n in moved]
    if not wanted:
        raise InputError(f"model '{source}': no muscle crosses the kept joints; keep others, or lengthen the list")
    lost = [n for n in names if n not in wanted]
    for s in list(spec.sensors):
        if s.objtype == mujoco.mjtObj.mjOBJ_ACTUATOR and s.objname in lost:
            spec.delete(s)
    for name in lost:
        spec.delete(spec.actuator(name))
    used = {a.target for a in spec.actuators if a.trntype == mujoco.mjtTrn.mjTRN_TENDON}
    used |= {s.objname for s in spec.sensors if s.objtype == mujoco.mjtObj.mjOBJ_TENDON}
    for tendon in list(spec.tendons):
        acts = now.tendon(tendon.name).id
        forced = now.tendon_stiffness[acts] or np.any(now.tendon_damping[acts]) or now.tendon_limited[acts]
        passive = forced or now.tendon_armature[acts] or now.tendon_frictionloss[acts]
        if tendon.name not in used and (tendon.name in still or not passive):
            spec.delete(tendon)
    return wanted


def _is_still(m: mujoco.MjModel, t: int) -> bool:
    """Whether a tendon runs within bodies that no joint moves apart."""
    welds = set()
    for w in range(m.tendon_adr[t], m.tendon_adr[t] + m.tendon_num[t]):
        kind = _WRAP(m.wrap_type[w])
        if kind == _WRAP.mjWRAP_JOINT:
            return False
        if kind == _WRAP.mjWRAP_SITE:
            welds.add(int(m.body_weldid[m.site_bodyid[m.wrap_objid[w]]]))
        elif kind in (_WRAP.mjWRAP_SPHERE, _WRAP.mjWRAP_CYLINDER):
            welds.add(int(m.body_weldid[m.geom_bodyid[m.wrap_objid[w]]]))
    return len(welds) < 2
