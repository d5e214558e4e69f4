"""What is changed in an MJCF file so that it steps without a constraint solver, and whom it describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.person.couplings import couplings
from mjx_msm.person.degroote import PASSIVE_STRAIN, TENDON_STRAIN
from mjx_msm.person.inputs import is_muscle
from mjx_msm.person.muscle import FPMAX, MuscleParameters
from mjx_msm.person.obstacles import muscle_force, passive_difference, passive_share
from mjx_msm.person.parameters import BodyParameters, EmgParameters, JointParameters, Names, Parameters
from mjx_msm.person.passive_curves import SIDES, fields_of, nominal_curve, passive_curves

# Ligament-like stop that replaces a joint limit: firm enough to hold a limb, soft enough for a 2 ms step.
LIMIT_STIFFNESS = 200.0  # N·m/rad, of a hinge
SLIDE_LIMIT_STIFFNESS = 20e3  # N/m
INTEGRATORS = {"Euler": mujoco.mjtIntegrator.mjINT_EULER, "RK4": mujoco.mjtIntegrator.mjINT_RK4}
"""Those of MuJoCo's that are followed here."""


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


def named(spec: mujoco.MjSpec, m: mujoco.MjModel) -> list[str]:
    """Name what parameters and messages are named after; `m` is `spec` compiled. Returns what was done."""
    notes = []
    bodies = [b for b in spec.bodies[1:] if m.body_weldid[b.id] and m.body_mass[b.id] > 0]
    groups = (("joint", spec.joints), ("body", bodies), ("actuator", spec.actuators))
    for kind, elements in groups:
        taken, given = {e.name for e in (spec.bodies if kind == "body" else elements)}, []
        for element in elements:
            if not element.name:
                name = f"{kind}_{element.id}"
                while name in taken:
                    name += "_"
                element.name = name
                taken.add(name)
                given.append(name)
        if given:
            plural = {"body": "bodies"}.get(kind, f"{kind}s")
            notes.append(f"unnamed {plural} named {', '.join(given)}")
    return notes


def without_constraints(spec: mujoco.MjSpec, m: mujoco.MjModel) -> list[str]:
    """Edit `spec` so that it steps without a constraint solver, natively in C and in MJX; returns what was done."""
    notes = []
    if m.opt.integrator not in INTEGRATORS.values():
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
        notes.append("integrator set to Euler: MJX drops the muscle velocity term of the implicit ones")
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON  # nothing is left to solve; MJX does not know them all
    notes += _tendon_stops(spec, m)
    notes += _stops(spec, m)
    contacts = not (m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT) and bool(
        np.any(m.geom_contype) or m.npair
    )
    if contacts:
        spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        notes.append("contacts disabled")
    notes += _written_out(spec, m)
    return notes


def _stops(spec: mujoco.MjSpec, m: mujoco.MjModel) -> list[str]:
    """Limits of joints as springs with a dead band."""
    limited, taken, follows = [], {t.name for t in spec.tendons}, couplings(m)
    followed = [joint for joint in spec.joints if m.joint(joint.name).id in follows]
    for joint in followed:  # the limits of what it follows are its own
        joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
    for joint in (joint for joint in spec.joints if joint not in followed):
        j = m.joint(joint.name).id
        if m.jnt_limited[j] and not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_LIMIT:
            lo, hi = m.jnt_range[j]
            hinge = mujoco.mjtJoint(m.jnt_type[j]) == mujoco.mjtJoint.mjJNT_HINGE
            name = f"{joint.name}_stop"
            while name in taken:
                name += "_"
            stop = spec.add_tendon(
                name=name,
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
    notes = []
    if followed:
        names = ", ".join(j.name for j in followed)
        notes.append(f"joints that follow others by a polynomial, exactly, without limits of their own: {names}")
    if not limited:
        return notes
    of_limits = (mujoco.mjtSensor.mjSENS_JOINTLIMITPOS, mujoco.mjtSensor.mjSENS_JOINTLIMITVEL)
    gone = [s for s in spec.sensors if s.type in (*of_limits, mujoco.mjtSensor.mjSENS_JOINTLIMITFRC)]
    for sensor in gone:
        spec.delete(sensor)
    return [
        *notes,
        f"limits of {', '.join(limited)} turned into stops of {LIMIT_STIFFNESS:g} N·m/rad "
        f"(slides {SLIDE_LIMIT_STIFFNESS:g} N/m), which need no constraint solver"
        + (f"; {len(gone)} sensors of limits removed" if gone else ""),
    ]


def with_constraints(spec: mujoco.MjSpec, m: mujoco.MjModel) -> list[str]:
    """Edit `spec` for MJX, which keeps limits, contacts and equalities; returns what was done."""
    notes = []
    if m.opt.integrator not in INTEGRATORS.values():
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
        notes.append("integrator set to Euler: MJX drops the muscle velocity term of the implicit ones")
    if m.opt.solver == mujoco.mjtSolver.mjSOL_PGS:
        spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
        notes.append("solver set to Newton: MJX has no PGS")
    return [*notes, *_written_out(spec, m)]


def _tendon_stops(spec: mujoco.MjSpec, m: mujoco.MjModel) -> list[str]:
    """Limits of tendons that have no spring of their own, as one with a dead band."""
    limited = []
    for tendon in spec.tendons:
        t = m.tendon(tendon.name).id if tendon.name else -1
        if t >= 0 and m.tendon_limited[t]:
            if not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_LIMIT:
                tendon.stiffness[0], tendon.springlength = SLIDE_LIMIT_STIFFNESS, m.tendon_range[t]
                limited.append(tendon.name)
            tendon.limited = mujoco.mjtLimited.mjLIMITED_FALSE
    if not limited:
        return []
    return [f"limits of tendons {', '.join(limited)} turned into stops of {SLIDE_LIMIT_STIFFNESS:g} N/m"]


def _written_out(spec: mujoco.MjSpec, m: mujoco.MjModel) -> list[str]:
    """What the compiler works out from masses, as the numbers it came to: an export changes the masses."""
    notes, widened, merged = [], [], []
    for actuator in spec.actuators:
        i = m.actuator(actuator.name).id
        if not is_muscle(m, i):  # a servo's damping ratio and inherited range
            actuator.gainprm, actuator.biasprm = m.actuator_gainprm[i], m.actuator_biasprm[i]
            if m.actuator_ctrllimited[i]:
                actuator.ctrlrange, actuator.inheritrange = m.actuator_ctrlrange[i], 0
            continue
        gain = m.actuator_gainprm[i].copy()
        if gain[2] < 0:  # automatic force: scale / acc0, whose gradient is zero
            gain[2] = muscle_force(m, i, gain)
            notes.append(f"automatic force of {actuator.name} written out: {gain[2]:.1f} N")
        share = passive_share(m, i)
        if share is None:
            notes.append(
                f"passive force of {actuator.name} has a range of its own in biasprm; gainprm's is taken, which "
                f"changes it by up to {passive_difference(m, i):.1f} N over its length range"
            )
        elif not np.array_equal(m.actuator_gainprm[i, :9], m.actuator_biasprm[i, :9]):
            gain[7] = share
            merged.append(actuator.name)
        actuator.gainprm, actuator.biasprm = gain, gain
        actuator.lengthrange = m.actuator_lengthrange[i]
        clamps = not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CLAMPCTRL and m.actuator_ctrllimited[i]
        if clamps and (m.actuator_ctrlrange[i, 0] > 0 or m.actuator_ctrlrange[i, 1] < 1):
            actuator.ctrlrange = [0.0, 1.0]
            widened.append(actuator.name)
    if widened:
        notes.append(f"excitation range of {', '.join(widened)} widened to 0..1")
    if merged:
        notes.append(f"passive strength of {', '.join(merged)}, given in biasprm, written as gainprm's fpmax")
    spec.compiler.LRopt.useexisting = 1
    for joint in spec.joints:
        if np.any(np.asarray(joint.springdamper) > 0):  # made from the joint's inertia
            j = m.joint(joint.name).id
            joint.stiffness[0], joint.damping[0] = m.jnt_stiffness[j], m.dof_damping[m.jnt_dofadr[j]]
            joint.springdamper = [0.0, 0.0]
    # An export writes inertias out; nothing may recompute, scale, clamp or balance them afterwards.
    compiler = spec.compiler
    from_geoms = compiler.inertiafromgeom == mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE
    bounds = compiler.boundmass > 0 or compiler.boundinertia > 0 or compiler.balanceinertia
    if from_geoms or compiler.settotalmass > 0 or bounds:
        for body in spec.bodies[1:]:
            write_inertia(body, m, body.id)  # of the compilation that made `m`
        compiler.settotalmass, compiler.boundmass, compiler.boundinertia, compiler.balanceinertia = -1, 0, 0, 0
    compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO
    return notes


def write_inertia(body: Any, m: mujoco.MjModel, b: int) -> None:
    """A compiled body's inertia, written into its specification in principal axes whatever form it had."""
    body.fullinertia = np.full(6, np.nan)
    body.ialt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    body.mass, body.ipos, body.iquat, body.inertia = m.body_mass[b], m.body_ipos[b], m.body_iquat[b], m.body_inertia[b]
    body.explicitinertial = True


def muscles_only(spec: mujoco.MjSpec, m: mujoco.MjModel) -> mujoco.MjSpec:
    """The same without its known inputs, and without what may speak of them."""
    others = [m.actuator(i).name for i in range(m.nu) if not is_muscle(m, i)]
    if not others:
        return spec
    spec = spec.copy()
    for element in (*spec.sensors, *spec.keys, *(spec.actuator(name) for name in others)):
        spec.delete(element)
    return spec


def skeleton_of(spec: mujoco.MjSpec, m: mujoco.MjModel, touching: bool = False) -> mujoco.MjModel:
    """The model without sensors, lights, cameras, and geoms and sites that no tendon passes.

    A drawn arm has ten times the geoms it needs, and MJX computes the pose of every one at every step.

    **Arguments:** `touching`: whether geoms that may touch others stay.
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
        write_inertia(body, m, body.id)
    unused = [*spec.sensors, *spec.lights, *spec.cameras, *spec.keys]
    if touching:
        on_path["geom"] |= {*np.flatnonzero(m.geom_contype | m.geom_conaffinity), *m.pair_geom1, *m.pair_geom2}
    else:
        unused += [*spec.pairs, *spec.excludes]
    unused += [g for g in spec.geoms if g.id not in on_path["geom"]]
    unused += [s for s in spec.sites if s.id not in on_path["site"]]
    for element in unused:
        spec.delete(element)
    return spec.compile()


def nominal_parameters(
    mj_model: mujoco.MjModel, names: Names, body_ids: np.ndarray, joints: Sequence[int]
) -> Parameters:
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
        passive_fiber_strain=np.full(mj_model.nu, PASSIVE_STRAIN),
        tendon_strain=np.full(mj_model.nu, TENDON_STRAIN),
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
    dofs = mj_model.jnt_dofadr[joints]
    ends = {field: np.zeros(len(joints)) for side in SIDES for field in fields_of(side)}
    for curve in passive_curves(mj_model):
        for field, value in zip(fields_of(curve.side), nominal_curve(mj_model, curve), strict=True):
            ends[field][curve.joint] = value
    damping, stiffness = mj_model.dof_damping[dofs].copy(), mj_model.jnt_stiffness[joints].copy()
    joint = JointParameters(damping=damping, stiffness=stiffness, **ends)
    emg = EmgParameters(gain=np.zeros(0), delay=np.zeros(0), shape=np.zeros(0))
    return Parameters(muscle, body, joint, emg, names)
