"""What an MJCF file may hold, what is changed so that it steps without a constraint solver, and whom it describes."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.person.muscle import FPMAX, MuscleParameters
from mjx_msm.person.parameters import BodyParameters, EmgParameters, JointParameters, Names, Parameters

# Ligament-like stop that replaces a joint limit: firm enough to hold a limb, soft enough for a 2 ms step.
LIMIT_STIFFNESS = 200.0  # N·m/rad, of a hinge
SLIDE_LIMIT_STIFFNESS = 20e3  # N/m
INTEGRATORS = {"Euler": mujoco.mjtIntegrator.mjINT_EULER, "RK4": mujoco.mjtIntegrator.mjINT_RK4}
"""Those of MuJoCo's that are followed here."""


def refuse_unsupported(m: mujoco.MjModel, source: str) -> None:
    """Raise for everything that MJX would ignore silently, differentiate wrongly, or needs a constraint solver for."""

    def refuse(what: str, fix: str) -> None:
        raise InputError(f"model '{source}': {what}; {fix}")

    flags = mujoco.mjtDisableBit
    for bit, name in (
        (flags.mjDSBL_ACTUATION, "actuation"),
        (flags.mjDSBL_SPRING, "spring"),
        (flags.mjDSBL_DAMPER, "damper"),
        (flags.mjDSBL_EULERDAMP, "eulerdamp"),
    ):
        if m.opt.disableflags & bit:
            refuse(f'its option flag {name}="disable" is not followed here', "remove the flag")
    if m.opt.disableactuator:
        refuse("it disables actuator groups", "remove actuatorgroupdisable")
    if m.opt.density or m.opt.viscosity:
        refuse(
            "it moves in a fluid, whose forces use inertias that are not personalised", "set density and viscosity 0"
        )
    for b in range(1, m.nbody):
        if m.body_weldid[b] and m.body_mass[b] > 0 and not m.body(b).name:
            refuse(f"body {b} has no name", "name every body")
    if m.nu == 0:
        refuse("it has no actuators", "a musculoskeletal model needs muscle actuators (<muscle tendon=...>)")
    for j in range(m.njnt):
        name = m.joint(j).name
        if not name:
            refuse(f"joint {j} has no name", "name every joint")
        if mujoco.mjtJoint(m.jnt_type[j]) not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            refuse(f"joint '{name}' is a free or ball joint", "use hinges and slides")
        if np.any(m.jnt_stiffnesspoly[j]) or np.any(m.dof_dampingpoly[m.jnt_dofadr[j]]):
            refuse(f"joint '{name}' has polynomial stiffness or damping, which MJX ignores", "use linear ones")
        if m.dof_frictionloss[m.jnt_dofadr[j]]:
            refuse(
                f"joint '{name}' has dry friction, which needs a constraint solver",
                "use damping instead of frictionloss",
            )
        if m.jnt_actfrclimited[j]:
            refuse(f"joint '{name}' limits its actuator force", "remove actuatorfrcrange")
        if m.jnt_actgravcomp[j]:
            refuse(f"joint '{name}' compensates gravity by its actuators", "remove actuatorgravcomp")
    for i in range(m.nu):
        name = m.actuator(i).name
        muscle = tuple(
            int(t) for t in (mujoco.mjtGain.mjGAIN_MUSCLE, mujoco.mjtBias.mjBIAS_MUSCLE, mujoco.mjtDyn.mjDYN_MUSCLE)
        )
        if not name:
            refuse(f"actuator {i} has no name", "name every muscle")
        if (m.actuator_gaintype[i], m.actuator_biastype[i], m.actuator_dyntype[i]) != muscle:
            refuse(f"actuator '{name}' is not a muscle", "remove it here; robots are attached in mjx_msm.envs")
        on = mujoco.mjtTrn(m.actuator_trntype[i])
        if on not in (mujoco.mjtTrn.mjTRN_TENDON, mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT):
            refuse(f"muscle '{name}' acts neither on a tendon nor on a joint", "give it a spatial tendon")
        if not np.array_equal(m.actuator_gainprm[i, :9], m.actuator_biasprm[i, :9]):
            refuse(f"muscle '{name}' has different gainprm and biasprm", "write the same numbers into both")
        if m.actuator_actearly[i] or m.actuator_damping[i].any() or m.actuator_armature[i].any() or m.actuator_delay[i]:
            refuse(f"muscle '{name}' uses actearly, damping, armature or delay, which MJX ignores", "remove them")
        if m.actuator_forcelimited[i] or m.actuator_actlimited[i]:
            refuse(f"muscle '{name}' limits its force or activation", "remove forcerange and actrange")
        clamps = not m.opt.disableflags & flags.mjDSBL_CLAMPCTRL and m.actuator_ctrllimited[i]
        if clamps and (m.actuator_ctrlrange[i, 0] > 0 or m.actuator_ctrlrange[i, 1] < 1):
            refuse(f"muscle '{name}' clamps its excitation to less than 0..1", 'write ctrlrange="0 1"')
        if m.actuator_lengthrange[i, 1] <= m.actuator_lengthrange[i, 0]:
            refuse(f"muscle '{name}' has no length range", 'write lengthrange="lo hi" [m]')
    for t in range(m.ntendon):
        name = m.tendon(t).name
        if m.tendon_limited[t] or m.tendon_frictionloss[t]:
            refuse(
                f"tendon '{name}' has a limit or dry friction, which need a constraint solver",
                "use a springlength deadband with stiffness",
            )
        if np.any(m.tendon_stiffnesspoly[t]) or np.any(m.tendon_dampingpoly[t]):
            refuse(f"tendon '{name}' has polynomial stiffness or damping, which MJX ignores", "use linear ones")
        for w in range(m.tendon_adr[t], m.tendon_adr[t] + m.tendon_num[t]):
            side = round(float(m.wrap_prm[w]))
            if (
                mujoco.mjtWrap(m.wrap_type[w]) in (mujoco.mjtWrap.mjWRAP_SPHERE, mujoco.mjtWrap.mjWRAP_CYLINDER)
                and side >= 0
            ):
                geom = m.wrap_objid[w]
                if np.linalg.norm(m.site_pos[side] - m.geom_pos[geom]) < m.geom_size[geom, 0]:
                    refuse(
                        f"tendon '{name}' wraps inside geom '{m.geom(geom).name}', whose gradients are NaN in MJX",
                        "replace the inside wrap by via sites",
                    )
    for e in range(m.neq):
        if m.eq_active0[e]:
            refuse(
                f"equality constraint '{m.equality(e).name or e}' needs a constraint solver",
                "remove it or replace the coupled joint by sites and wraps",
            )
    if m.nplugin or m.nflex:
        refuse("it uses plugins or flexes", "remove them")


_DESCRIBING = ("body_", "jnt_", "dof_", "geom_", "site_", "tendon_", "wrap_", "actuator_")
"""How the names of the compiled model's arrays begin that describe a person."""
_DERIVED = ("0", "aabb", "rbound", "subtreemass", "lengthrange")
"""How those end that the compiler works out from others."""


def refuse_infinite(m: mujoco.MjModel, source: str) -> None:
    """Whether all numbers are finite, and so what follows from them in the reference posture.

    **Raises:** `InputError` naming the first that is not, as far as it can be told.
    """
    fields = [f for start in _DESCRIBING for f in dir(m) if f.startswith(start)]
    for field in sorted(fields, key=lambda f: f.endswith(_DERIVED)):  # what was written is named before what follows
        values = getattr(m, field)
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
            kind, _, what = field.partition("_")
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            named: Any = getattr(m, {"jnt": "joint"}.get(kind, kind), None)
            name = (named(row).name if named is not None else "") or row
            raise InputError(f"model '{source}': {what} of {kind} '{name}' is not a finite number; correct it")
    d = mujoco.MjData(m)
    mujoco.mj_forward(m, d)
    if not np.isfinite(np.concatenate([d.xpos.ravel(), d.actuator_length, d.actuator_force, d.qacc])).all():
        raise InputError(
            f"model '{source}': its reference posture leads to numbers that are not finite; check positions, masses, "
            "inertias and muscle lengths"
        )


def without_constraints(spec: mujoco.MjSpec, m: mujoco.MjModel) -> list[str]:
    """Edit `spec` so that it steps without a constraint solver, natively in C and in MJX; returns what was done."""
    notes = []
    if m.opt.integrator not in INTEGRATORS.values():
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
        notes.append("integrator set to Euler: MJX drops the muscle velocity term of the implicit ones")
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON  # nothing is left to solve; MJX does not know them all
    limited = []
    for joint in spec.joints:
        j = m.joint(joint.name).id
        if m.jnt_limited[j] and not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_LIMIT:
            lo, hi = m.jnt_range[j]
            hinge = mujoco.mjtJoint(m.jnt_type[j]) == mujoco.mjtJoint.mjJNT_HINGE
            stop = spec.add_tendon(
                name=f"{joint.name}_stop",
                springlength=[lo, hi],
                rgba=[0, 0, 0, 0],
                stiffness=[LIMIT_STIFFNESS if hinge else SLIDE_LIMIT_STIFFNESS, 0, 0],
                damping=[0, 0, 0],  # this and the rest may be set by the file's defaults
                armature=0,
                frictionloss=0,
                limited=mujoco.mjtLimited.mjLIMITED_FALSE,
            )
            stop.wrap_joint(joint.name, 1.0)
            joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
            limited.append(joint.name)
    if limited:
        notes.append(
            f"limits of {', '.join(limited)} turned into stops of {LIMIT_STIFFNESS:g} N·m/rad "
            f"(slides {SLIDE_LIMIT_STIFFNESS:g} N/m), which need no constraint solver"
        )
    contacts = not (m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT) and bool(
        np.any(m.geom_contype) or m.npair
    )
    if contacts:
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        notes.append("contacts disabled")
    for actuator in spec.actuators:
        i = m.actuator(actuator.name).id
        force = m.actuator_gainprm[i, 2]
        if force < 0:  # automatic force: scale / acc0, whose gradient is zero; write it out
            force = m.actuator_gainprm[i, 3] / m.actuator_acc0[i]
            notes.append(f"automatic force of {actuator.name} written out: {force:.1f} N")
        actuator.gainprm[2] = actuator.biasprm[2] = force
        actuator.lengthrange = m.actuator_lengthrange[i]
    spec.compiler.LRopt.useexisting = 1
    # An export writes inertias out; nothing may recompute, scale or clamp them afterwards.
    from_geoms = spec.compiler.inertiafromgeom == mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE
    if from_geoms or spec.compiler.settotalmass > 0 or spec.compiler.boundmass > 0 or spec.compiler.boundinertia > 0:
        for body in spec.bodies[1:]:
            b = body.id  # of the compilation that made `m`
            body.mass, body.ipos, body.iquat, body.inertia = (
                m.body_mass[b],
                m.body_ipos[b],
                m.body_iquat[b],
                m.body_inertia[b],
            )
            body.explicitinertial = True
        spec.compiler.settotalmass, spec.compiler.boundmass, spec.compiler.boundinertia = -1, 0, 0
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO
    return notes


def skeleton_of(spec: mujoco.MjSpec, m: mujoco.MjModel) -> mujoco.MjModel:
    """The model without sensors, lights, cameras, and geoms and sites that no tendon passes.

    A drawn arm has ten times the geoms it needs, and MJX computes the pose of every one at every step.
    """
    spec = spec.copy()
    spec.compile()  # gives every element its id
    on_path = {kind: set() for kind in ("site", "geom")}
    for kind, objid, prm in zip(m.wrap_type, m.wrap_objid, m.wrap_prm, strict=True):
        if mujoco.mjtWrap(kind) == mujoco.mjtWrap.mjWRAP_SITE:
            on_path["site"].add(int(objid))
        elif mujoco.mjtWrap(kind) in (mujoco.mjtWrap.mjWRAP_SPHERE, mujoco.mjtWrap.mjWRAP_CYLINDER):
            on_path["geom"].add(int(objid))
            on_path["site"].add(round(float(prm)))  # the side site, -1 if none
    for body in spec.bodies[1:]:
        b = m.body(body.id)
        body.mass, body.ipos, body.iquat, body.inertia = b.mass[0], b.ipos, b.iquat, b.inertia
        body.fullinertia = np.full(6, np.nan)
        body.explicitinertial = True
    unused = [*spec.sensors, *spec.lights, *spec.cameras, *spec.pairs, *spec.excludes]
    unused += [g for g in spec.geoms if g.id not in on_path["geom"]]
    unused += [s for s in spec.sites if s.id not in on_path["site"]]
    for element in unused:
        spec.delete(element)
    return spec.compile()


def nominal_parameters(mj_model: mujoco.MjModel, names: Names, body_ids: np.ndarray) -> Parameters:
    """Physical parameters of a compiled model; the inverse of `mjx_msm.person.personalisation.export`."""
    gain, lengthrange = mj_model.actuator_gainprm, mj_model.actuator_lengthrange
    optimal = (lengthrange[:, 1] - lengthrange[:, 0]) / (gain[:, 1] - gain[:, 0])
    muscle = MuscleParameters(
        max_isometric_force=gain[:, 2].copy(),
        optimal_fiber_length=optimal,
        tendon_slack_length=lengthrange[:, 0] - gain[:, 0] * optimal,
        max_contraction_velocity=gain[:, 6].copy(),
        passive_force_scale=gain[:, 7] / FPMAX,
        pennation_angle=np.zeros(mj_model.nu),
        activation_time_constant=mj_model.actuator_dynprm[:, 0].copy(),
        deactivation_time_constant=mj_model.actuator_dynprm[:, 1].copy(),
    )
    inertia = np.zeros((len(body_ids), 6))
    for k, b in enumerate(body_ids):
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, mj_model.body_iquat[b])
        rotation = rotation.reshape(3, 3)
        full = rotation @ np.diag(mj_model.body_inertia[b]) @ rotation.T
        inertia[k] = full[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    body = BodyParameters(
        mass=mj_model.body_mass[body_ids].copy(), com=mj_model.body_ipos[body_ids].copy(), inertia=inertia
    )
    joint = JointParameters(damping=mj_model.dof_damping.copy(), stiffness=mj_model.jnt_stiffness.copy())
    emg = EmgParameters(gain=np.zeros(0), delay=np.zeros(0), shape=np.zeros(0))
    return Parameters(muscle, body, joint, emg, names)
