"""What an MJCF file may not hold: everything that a step here would leave out, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import mujoco
import numpy as np

from mjx_msm.common.errors import InputError, one_of
from mjx_msm.person.couplings import bad_couplings, couplings, is_coupling
from mjx_msm.person.inputs import is_muscle, obstacles_of_inputs

_NO_ARM = 1e-9
"""Acceleration by a unit force that is rounding error."""


class Obstacle(NamedTuple):
    """Something in a file that stands in the way."""

    kind: str
    """"joint", "muscle", …; "" for the model itself."""
    name: str
    what: str
    fix: str
    solver: bool = False
    """Whether a constraint solver takes it, as MJX has one."""


TREE, MJX = "tree", "mjx"
"""The engines: this package's own, for trees of hinges and slides, and MJX, which has a constraint solver."""


def engine_for(m: mujoco.MjModel, source: str, wanted: str | None = None) -> str:
    """Which engine steps a model as C does: our own if it can, else MJX.

    **Raises:** `InputError` with all that stands in the way.
    """
    if wanted is not None:
        one_of("engine", wanted, (TREE, MJX))
    every = [*_of_the_model(m), *_of_joints(m), *_of_actuators(m), *_of_tendons(m), *_of_constraints(m)]
    hard = [o for o in every if not o.solver]
    engine = wanted or (MJX if len(hard) < len(every) else TREE)
    every = hard if engine == MJX else every
    if not every:
        return engine
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for o in every:
        grouped.setdefault((o.kind, o.what, o.fix), []).append(o.name)
    reasons = [f"{_named(kind, names)}{what}; {fix}" for (kind, what, fix), names in grouped.items()]
    if len(reasons) == 1:
        raise InputError(f"model '{source}': {reasons[0]}")
    counted = "; ".join(f"({k + 1}) {reason}" for k, reason in enumerate(reasons))
    raise InputError(f"model '{source}' has {len(reasons)} obstacles: {counted}")


def _named(kind: str, names: list[str]) -> str:
    if not kind:
        return ""
    more = len(names) - 1
    return f"{kind} '{names[0]}'{f' (and {more} more)' if more else ''} "


def _of_the_model(m: mujoco.MjModel) -> Iterator[Obstacle]:
    flags = mujoco.mjtDisableBit
    for bit, name in (
        (flags.mjDSBL_ACTUATION, "actuation"),
        (flags.mjDSBL_SPRING, "spring"),
        (flags.mjDSBL_DAMPER, "damper"),
        (flags.mjDSBL_EULERDAMP, "eulerdamp"),
    ):
        if m.opt.disableflags & bit:
            yield Obstacle("", "", f'its option flag {name}="disable" is not followed here', "remove the flag")
    if m.opt.disableactuator:
        yield Obstacle("", "", "it disables actuator groups", "remove actuatorgroupdisable")
    if m.opt.density or m.opt.viscosity:
        what = "it moves in a fluid, whose forces use inertias that are not personalised"
        yield Obstacle("", "", what, "set density and viscosity 0")
    if m.nplugin or m.nflex:
        yield Obstacle("", "", "it uses plugins or flexes", "remove them")
    if m.nu == 0:
        yield Obstacle(
            "", "", "it has no actuators", "a musculoskeletal model needs muscle actuators (<muscle tendon=...>)"
        )
    elif not any(is_muscle(m, i) for i in range(m.nu)):
        yield Obstacle("", "", "none of its actuators is a muscle", "add muscles (<muscle tendon=...>)")


def _of_joints(m: mujoco.MjModel) -> Iterator[Obstacle]:
    for j in range(m.njnt):
        name, dof = m.joint(j).name, m.jnt_dofadr[j]
        if mujoco.mjtJoint(m.jnt_type[j]) not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            yield Obstacle("joint", name, "is a free or ball joint", "use hinges and slides", True)
        if np.any(m.jnt_stiffnesspoly[j]) or np.any(m.dof_dampingpoly[dof]):
            yield Obstacle("joint", name, "has polynomial stiffness or damping, which MJX ignores", "use linear ones")
        if m.dof_frictionloss[dof]:
            what = "has dry friction, which needs a constraint solver"
            yield Obstacle("joint", name, what, "use damping instead of frictionloss", True)
        if m.jnt_actfrclimited[j]:
            yield Obstacle("joint", name, "limits its actuator force", "remove actuatorfrcrange")
        if m.jnt_actgravcomp[j]:
            yield Obstacle("joint", name, "compensates gravity by its actuators", "remove actuatorgravcomp")


def _of_actuators(m: mujoco.MjModel) -> Iterator[Obstacle]:
    for i in range(m.nu):
        name = m.actuator(i).name
        if not is_muscle(m, i):
            yield from (Obstacle("actuator", name, *o) for o in obstacles_of_inputs(m, i))
            continue
        on = mujoco.mjtTrn(m.actuator_trntype[i])
        if on not in (mujoco.mjtTrn.mjTRN_TENDON, mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            yield Obstacle("muscle", name, "acts neither on a tendon nor on a joint", "give it a spatial tendon")
        if m.actuator_gainprm[i, 2] < 0 and m.actuator_acc0[i] < _NO_ARM:
            what = "has an automatic force, but no moment arm to make it from at the reference posture"
            yield Obstacle("muscle", name, what, 'write force="F0" [N]')
        if m.actuator_actearly[i] or m.actuator_damping[i].any() or m.actuator_armature[i].any() or m.actuator_delay[i]:
            what = "uses actearly, damping, armature or delay, which MJX ignores"
            yield Obstacle("muscle", name, what, "remove them")
        if m.actuator_forcelimited[i] or m.actuator_actlimited[i]:
            yield Obstacle("muscle", name, "limits its force or activation", "remove forcerange and actrange")
        if m.actuator_lengthrange[i, 1] <= m.actuator_lengthrange[i, 0]:
            yield Obstacle("muscle", name, "has no length range", 'write lengthrange="lo hi" [m]')


def muscle_force(m: mujoco.MjModel, i: int, prm: np.ndarray) -> float:
    """F0 of `gainprm` or `biasprm`; automatic where it is negative: scale / acc0 [N]."""
    return float(prm[2] if prm[2] >= 0 else prm[3] / m.actuator_acc0[i])


def passive_share(m: mujoco.MjModel, i: int) -> float | None:
    """Passive force at lmax over the F0 of `gainprm`, which is what gainprm's `fpmax` would have to be.

    None where the passive force has a length range or lmax of its own, or gainprm no strength: strength and fpmax come
    in as a product, but no number of gainprm makes one curve of two.
    """
    gain, bias = m.actuator_gainprm[i], m.actuator_biasprm[i]
    if np.array_equal(gain[:9], bias[:9]):
        return float(gain[7])
    force = muscle_force(m, i, gain)
    passive = muscle_force(m, i, bias) * bias[7]
    if passive and (not np.array_equal(gain[[0, 1, 5]], bias[[0, 1, 5]]) or force <= 0):
        return None
    return passive / force if passive else 0.0


def passive_difference(m: mujoco.MjModel, i: int) -> float:
    """Most that a muscle's passive force changes over its length range where gainprm's numbers make it [N]."""
    (low, high), worst = m.actuator_lengthrange[i], 0.0
    for length in np.linspace(low, high, 101):
        forces = []
        for prm in (m.actuator_gainprm[i, :9].copy(), m.actuator_biasprm[i, :9].copy()):
            prm[2] = muscle_force(m, i, prm)
            forces.append(mujoco.mju_muscleBias(length, m.actuator_lengthrange[i], m.actuator_acc0[i], prm))
        worst = max(worst, abs(forces[1] - forces[0]))
    return worst


def _of_tendons(m: mujoco.MjModel) -> Iterator[Obstacle]:
    wraps, d = (mujoco.mjtWrap.mjWRAP_SPHERE, mujoco.mjtWrap.mjWRAP_CYLINDER), mujoco.MjData(m)
    mujoco.mj_kinematics(m, d)
    for t in range(m.ntendon):
        name = m.tendon(t).name
        if m.tendon_frictionloss[t]:
            what = "has dry friction, which needs a constraint solver"
            yield Obstacle("tendon", name, what, "use damping instead of frictionloss", True)
        if m.tendon_limited[t] and m.tendon_stiffness[t] > 0:
            what = "has a limit, which needs a constraint solver, and a spring of its own"
            yield Obstacle("tendon", name, what, "use a springlength deadband with stiffness", True)
        if np.any(m.tendon_stiffnesspoly[t]) or np.any(m.tendon_dampingpoly[t]):
            yield Obstacle("tendon", name, "has polynomial stiffness or damping, which MJX ignores", "use linear ones")
        for w in range(m.tendon_adr[t], m.tendon_adr[t] + m.tendon_num[t]):
            side, geom = round(float(m.wrap_prm[w])), int(m.wrap_objid[w])
            if mujoco.mjtWrap(m.wrap_type[w]) not in wraps or side < 0 or m.site_bodyid[side] == m.geom_bodyid[geom]:
                continue
            if np.linalg.norm(d.site_xpos[side] - d.geom_xpos[geom]) < m.geom_size[geom, 0]:
                what = f"wraps inside geom '{m.geom(geom).name}' by a side site of another body"
                yield Obstacle("tendon", name, what, "put the side site on the geom's body")


def _of_constraints(m: mujoco.MjModel) -> Iterator[Obstacle]:
    for name, what in bad_couplings(m):
        yield Obstacle("joint", name, what, "remove an equality constraint", True)
    follows = {m.joint(j).name: j for j in couplings(m)}
    for name, j in follows.items():
        kinds = (mujoco.mjtJoint(m.jnt_type[k]) for k in (j, couplings(m)[j].driver) if k >= 0)
        if not {*kinds} <= {mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE}:
            what = "is coupled by an equality, but not of hinges and slides"
            yield Obstacle("joint", name, what, "remove it", True)
    for i in range(m.nu):
        on = mujoco.mjtTrn(m.actuator_trntype[i])
        on_joint = on in (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
        if on_joint and int(m.actuator_trnid[i, 0]) in follows.values():
            what = "acts on a joint that follows another by an equality constraint"
            yield Obstacle("actuator", m.actuator(i).name, what, "let it act on the joint that is followed", True)
    active = not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EQUALITY
    for e in range(m.neq):
        if active and m.eq_active0[e] and not is_coupling(m, e):
            name = m.equality(e).name or str(e)
            fix = "remove it or replace the coupled joint by sites and wraps"
            yield Obstacle("equality constraint", name, "needs a constraint solver", fix, True)
