"""The MJCF of an imported model: bodies, joints with stops, paths, muscles, groups, markers, credit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.person.couplings import couplings
from mjx_msm.person.from_osim.opened import Coordinate, OpenedModel, pose_of, working_range
from mjx_msm.person.from_osim.paths import Candidate, Geom
from mjx_msm.person.from_osim.skeleton import GROUND, Skeleton
from mjx_msm.person.mjcf import LIMIT_STIFFNESS, SLIDE_LIMIT_STIFFNESS

CURVES = {"lmin": 0.33, "lmax": 1.72, "fpmax": 0.60, "fvmax": 1.71}
"""Of the native muscle: least squares to the curves of De Groote and Fregly 2016, as in the bundled models."""
DAMPING = 0.1
"""Of every hinge [N·m·s/rad]; .osim files have none."""
UPRIGHT = Rotation.from_euler("x", 90, degrees=True).as_matrix()
"""OpenSim's axes (x forward, y up, z right) in MuJoCo's world (z up)."""
_ENDLESS = {True: 2 * math.pi + 2e-6, False: 1e3}
"""A range that is wider has no stops: of what turns [rad], and of what slides [m]."""


def tree_spec(opened: OpenedModel, skeleton: Skeleton) -> mujoco.MjSpec:
    """Bodies and joints alone."""
    spec = mujoco.MjSpec()
    spec.modelname = opened.model.getName()
    spec.compiler.degree = False
    spec.compiler.autolimits = False
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    spec.option.timestep = 0.001
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_RK4
    gravity = opened.model.get_gravity().to_numpy()
    spec.option.gravity = UPRIGHT @ gravity
    ground = spec.worldbody.add_body(name=GROUND, quat=_quaternion(UPRIGHT))
    made = {GROUND: ground}
    for name, body in skeleton.bodies.items():
        mass, com, inertia = body.inertia()
        made[name] = made[body.parent].add_body(
            name=name,
            pos=body.pose[:3, 3],
            quat=_quaternion(body.pose[:3, :3]),
            mass=mass,
            ipos=com,
            fullinertia=inertia[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]],
            explicitinertial=True,
        )
        for joint in body.joints:
            hinge = joint.turns if joint.follower else joint.coordinate.rotational
            made[name].add_joint(
                name=joint.follower or joint.coordinate.name,
                type=mujoco.mjtJoint.mjJNT_HINGE if hinge else mujoco.mjtJoint.mjJNT_SLIDE,
                axis=joint.axis,
                pos=joint.anchor,
                damping=[DAMPING if hinge and not joint.follower else 0.0, 0, 0],
            )
            if joint.follower:
                spec.add_equality(
                    name=joint.follower,
                    type=mujoco.mjtEq.mjEQ_JOINT,
                    objtype=mujoco.mjtObj.mjOBJ_JOINT,
                    name1=joint.follower,
                    name2=joint.coordinate.name,
                    data=[*joint.powers, *([0.0] * (12 - len(joint.powers)))],
                    solref=[2 * spec.option.timestep, 1.0],  # as hard as C holds it
                )
    return spec


def set_coordinates(m: mujoco.MjModel, d: mujoco.MjData, values: Mapping[str, float]) -> None:
    """Put coordinates into `qpos`, and what follows them."""
    for name, value in values.items():
        d.qpos[m.joint(name).qposadr[0]] = value
    for joint, law in couplings(m).items():
        travel = d.qpos[m.jnt_qposadr[law.driver]] if law.driver >= 0 else 0.0
        d.qpos[m.jnt_qposadr[joint]] = sum(c * travel**n for n, c in enumerate(law.powers))


def add_looks(spec: mujoco.MjSpec, skeleton: Skeleton) -> None:
    """Bones: from each body's joint to the next ones, or to its centre of mass; massless."""
    for name, body in skeleton.bodies.items():
        start = body.joints[0].anchor
        ends = [
            b.pose[:3, :3] @ b.joints[0].anchor + b.pose[:3, 3] for b in skeleton.bodies.values() if b.parent == name
        ]
        ends = [e for e in ends if np.linalg.norm(e - start) > 0.02]
        com = body.inertia()[1]
        ends = ends or [start + 2 * (com - start)]
        for end in ends:
            if np.linalg.norm(end - start) > 1e-3:
                spec.body(name).add_geom(
                    type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                    fromto=[*start, *end],
                    size=[0.012, 0, 0],
                    rgba=[0.93, 0.89, 0.80, 1],
                    group=1,
                    contype=0,
                    conaffinity=0,
                    mass=0,
                )


def add_stops(spec: mujoco.MjSpec, coordinates: Sequence[Coordinate]) -> list[str]:
    """Limits as springs with a dead band: passive forces, the same in C and MJX. Wide ones are none.

    They are at the ends of the range over which paths were fitted, beyond which a muscle's path may be anywhere.

    **Returns:** in words, where that is less than the file's.
    """
    narrower = []
    for c in coordinates:
        low, high = working_range(c)
        if not 0 < high - low <= _ENDLESS[c.rotational]:
            continue
        if (low, high) != (c.low, c.high):
            inner, outer = (
                f"{math.degrees(a):.0f} … {math.degrees(b):.0f}°" for a, b in ((low, high), (c.low, c.high))
            )
            narrower.append(f"{c.name} {inner} (the file says {outer})")
        stop = spec.add_tendon(
            name=f"{c.name}_stop",
            springlength=[low, high],
            stiffness=[LIMIT_STIFFNESS if c.rotational else SLIDE_LIMIT_STIFFNESS, 0, 0],
            rgba=[0, 0, 0, 0],
            limited=mujoco.mjtLimited.mjLIMITED_FALSE,
        )
        stop.wrap_joint(c.name, 1.0)
    return [f"stops are where people end, over which paths are fitted: {', '.join(narrower)}"] if narrower else []


def add_path(spec: mujoco.MjSpec, muscle: str, path: Candidate) -> None:
    """Sites, wraps and the tendon of one muscle."""
    tendon = spec.add_tendon(
        name=muscle, width=0.006, rgba=[0.75, 0.25, 0.22, 1], limited=mujoco.mjtLimited.mjLIMITED_FALSE
    )
    sites = geoms = 0
    for item in path:
        if isinstance(item, Geom):
            geoms += 1
            name = f"{muscle}_wrap{geoms}"
            round_one = item.shape == "sphere"
            spec.body(item.body).add_geom(
                name=name,
                type=mujoco.mjtGeom.mjGEOM_SPHERE if round_one else mujoco.mjtGeom.mjGEOM_CYLINDER,
                pos=item.pose[:3, 3],
                quat=_quaternion(item.pose[:3, :3]),
                size=[item.radius, 0, 0] if round_one else [item.radius, 0.03, 0],
                rgba=[0.2, 0.6, 0.9, 0.3],
                group=3,
                contype=0,
                conaffinity=0,
                mass=0,
            )
            tendon.wrap_geom(name, "")
        else:
            sites += 1
            name = f"{muscle}_P{sites}"
            spec.body(item.body).add_site(name=name, pos=item.place, size=[0.003, 0, 0], group=3)
            tendon.wrap_site(name)


def add_muscle(spec: mujoco.MjSpec, opened: OpenedModel, name: str, offset: float, span: tuple[float, float]) -> None:
    """The native muscle: force and fiber along the tendon, the path's offset in the tendon slack length.

    **Arguments:** `offset`: our path's length less OpenSim's [m]; `span`: the path's shortest and longest length [m].
    """
    m = opened.muscles[name]
    along = math.cos(m.get_pennation_angle_at_optimal())
    optimal, slack = m.get_optimal_fiber_length() * along, m.get_tendon_slack_length() + offset
    low, high = ((length - slack) / optimal for length in span)
    gain = [low, high, m.get_max_isometric_force() * along, 200.0, CURVES["lmin"], CURVES["lmax"]]
    gain += [m.get_max_contraction_velocity(), CURVES["fpmax"], CURVES["fvmax"], 0.0]
    rise, fall = time_constants(opened, name)
    spec.add_actuator(
        name=name,
        trntype=mujoco.mjtTrn.mjTRN_TENDON,
        target=name,
        dyntype=mujoco.mjtDyn.mjDYN_MUSCLE,
        gaintype=mujoco.mjtGain.mjGAIN_MUSCLE,
        biastype=mujoco.mjtBias.mjBIAS_MUSCLE,
        dynprm=[rise, fall, 0.02] + [0.0] * 7,
        gainprm=gain,
        biasprm=gain,
        ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
        ctrlrange=[0, 1],
        lengthrange=list(span),
    )


def time_constants(opened: OpenedModel, name: str) -> tuple[float, float]:
    """Activation and deactivation [s]; OpenSim's own defaults where its class has none."""
    for kind in ("Thelen2003Muscle", "Millard2012EquilibriumMuscle", "DeGrooteFregly2016Muscle"):
        muscle = getattr(opened.opensim, kind).safeDownCast(opened.muscles[name])
        if muscle is not None:
            return muscle.get_activation_time_constant(), muscle.get_deactivation_time_constant()
    return 0.01, 0.04


def add_markers(spec: mujoco.MjSpec, opened: OpenedModel, skeleton: Skeleton) -> None:
    """Markers as sites of group 4, named as in the .osim."""
    markers = opened.model.getMarkerSet()
    for i in range(markers.getSize()):
        marker = markers.get(i)
        frame = marker.getParentFrame()
        inside = pose_of(frame.findTransformInBaseFrame())
        carried = skeleton.carried[frame.findBaseFrame().getName()]
        place = (carried.pose @ inside @ np.append(marker.get_location().to_numpy(), 1.0))[:3]
        spec.body(carried.body).add_site(
            name=marker.getName(), pos=place, size=[0.005, 0, 0], rgba=[0.9, 0.4, 0.6, 1], group=4
        )


def groups_of(opened: OpenedModel, muscles: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Groups of the force set, by name, of muscles that are kept."""
    forces = opened.model.getForceSet()
    names, out = opened.opensim.ArrayStr(), {}
    forces.getGroupNames(names)
    for i in range(names.getSize()):
        members = forces.getGroup(names.get(i)).getMembers()
        inside = tuple(members.get(k).getName() for k in range(members.getSize()))
        kept = tuple(m for m in inside if m in muscles)
        if kept:
            out[names.get(i)] = kept
    return out


def add_words(spec: mujoco.MjSpec, opened: OpenedModel, muscles: Sequence[str], changed: Sequence[str]) -> None:
    """Credit, what was changed, and the muscle groups."""
    credit = in_one_line(f"{opened.model.getCredits()} {opened.model.getPublications()}")
    spec.add_text(name="credit", data=f"From {opened.path.name}: {credit or 'the file names no authors'}".strip())
    if changed:
        spec.add_text(name="changed", data=in_one_line("; ".join(changed)))
    for group, members in groups_of(opened, muscles).items():
        row = spec.add_tuple(name=group)
        row.objtype = [mujoco.mjtObj.mjOBJ_ACTUATOR] * len(members)
        row.objname = list(members)
        row.objprm = [0.0] * len(members)


def compiled(spec: mujoco.MjSpec, opened: OpenedModel) -> mujoco.MjModel:
    """**Raises:** `InputError` if MuJoCo refuses, with its reason."""
    try:
        return spec.compile()
    except ValueError as e:
        raise InputError(f"{opened.path}: MuJoCo does not take what was imported: {in_one_line(e)}") from e


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(rotation).as_quat(scalar_first=True)
