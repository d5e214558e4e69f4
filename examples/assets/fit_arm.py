"""Builds ``assets/arm/arm.xml`` from OpenSim's Arm26: reads it, fits the wraps MuJoCo lacks, writes MJCF.

    python examples/assets/fit_arm.py ARM26.osim [--out assets/arm/arm.xml] [--report] [--no-fit]

Bodies, joints, inertias, attachments and muscle constants are read from the file. What MuJoCo cannot
express (ellipsoid wraps, wraps over several segments of a path) is replaced by one sphere or cylinder a
muscle, whose place and radius, together with small shifts of the attachments next to it, are fitted to
OpenSim's muscle-tendon lengths and moment arms over the range of motion.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np
import opensim
from fit_paths import Free, Targets, TendonPath, fit_path
from opensim_reference import OpenSimReference, grid

MUSCLES = ("TRIlong", "TRIlat", "TRImed", "BIClong", "BICshort", "BRA")
BODIES = {"base": "thorax", "r_humerus": "humerus", "r_ulna_radius_hand": "forearm"}
JOINTS = {"shoulder_elev": "r_shoulder_elev", "elbow_flex": "r_elbow_flex"}
SHOULDER_LIMIT, ELBOW_LIMIT = (-70.0, 150.0), (0.0, 135.0)  # degrees: springs outside
SHOULDER_FIT, ELBOW_FIT = (-30.0, 100.0), (0.0, 130.0)  # degrees: compared with OpenSim

# Shape of the native curves: least squares to DeGroote and Fregly 2016 (doi 10.1007/s10439-016-1591-9),
# force-length over 0.35..1.6 and passive (half weight) over 1..1.6 together, force-velocity over -1..1.
LMIN, LMAX, FPMAX, FVMAX = 0.33, 1.72, 0.60, 1.71

# OpenSim: x forward, y up, z right.  MuJoCo: x forward, y left, z up.
TO_MUJOCO = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


def text(values, digits: int = 5) -> str:
    """Numbers as MJCF text: at most `digits` decimals, no trailing zeros."""
    return " ".join(f"{round(float(v), digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".") for v in np.ravel(values))


@dataclass
class Wrap:
    """A wrapping sphere, or a cylinder along `axis`; all in the body's frame, MuJoCo axes, metres."""

    body: str
    center: np.ndarray
    radius: float
    axis: np.ndarray | None = None
    half_length: float = 0.02


@dataclass
class Geometry:
    """Every path: `points` by site name (body, place), `wraps` by geom name, `paths` as lists of names."""

    points: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    wraps: dict[str, Wrap] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)


def read_geometry(reference: OpenSimReference) -> Geometry:
    """Attachments as in the file, and a first guess for each wrap."""
    geometry = Geometry()
    for muscle in MUSCLES:
        names = []
        for i, (body, place) in enumerate(reference.path_points(muscle)):
            name = f"{muscle}-P{i + 1}"
            geometry.points[name] = (BODIES[body], TO_MUJOCO @ place)
            names.append(name)
        geometry.paths[muscle] = names
    elbow = _axis(reference, "r_elbow")
    geometry.wraps = {
        "TRI_elbow": Wrap("humerus", TO_MUJOCO @ [0.0028, -0.2919, -0.0069], 0.016, elbow, 0.025),
        "BRA_elbow": Wrap("humerus", TO_MUJOCO @ [-0.0010, -0.2904, -0.0069], 0.020, elbow, 0.025),
        "TRIlong_head": Wrap("thorax", TO_MUJOCO @ [-0.0320, 0.0060, 0.1580], 0.028),
        "BIClong_head": Wrap("humerus", TO_MUJOCO @ [0.0033, 0.0073, 0.0003], 0.021),
    }
    for muscle in ("TRIlong", "TRIlat", "TRImed"):
        geometry.paths[muscle].insert(-1, "TRI_elbow")
    geometry.paths["TRIlong"].insert(1, "TRIlong_head")
    geometry.paths["BIClong"].insert(2, "BIClong_head")
    geometry.paths["BRA"].insert(1, "BRA_elbow")
    return geometry


# --- MJCF ---------------------------------------------------------------------------------------------

HEADER = """\
<!-- Right arm, sagittal plane: shoulder elevation and elbow flexion, six muscles.

     Adapted from OpenSim's Arm26 ("arm26.osim"), CC-BY 3.0, http://creativecommons.org/licenses/by/3.0/
     The OpenSim Development Team (Reinbolt, J; Seth, A; Habib, A; Hamner, S), adapted from a model by
     Kate Holzbaur: Holzbaur, Murray, Delp, "A Model of the Upper Extremity for Simulating Musculoskeletal
     Surgery and Analyzing Neuromuscular Control", Annals of Biomedical Engineering 33:829-840, 2005.
     Changed: converted to MJCF, muscle wrapping refitted, MuJoCo's native muscle, bones drawn by hand.

     Written by examples/assets/fit_arm.py for MuJoCo {mujoco}; errors against OpenSim are in README.md.
     x forward, y left, z up.  Both joints at 0: the arm hangs straight down; flexion is positive. -->
"""
CREDIT = (
    "Adapted from OpenSim Arm26, CC-BY 3.0 (http://creativecommons.org/licenses/by/3.0/): the OpenSim "
    "Development Team (Reinbolt, J; Seth, A; Habib, A; Hamner, S), adapted from a model by Kate Holzbaur "
    "(Holzbaur, Murray, Delp, Ann Biomed Eng 33:829-840, 2005). "
    "Changed: MJCF, refitted wrapping, native muscles."
)


def _capsule(a, b, radius, kind="bone") -> str:
    ends = text(np.r_[TO_MUJOCO @ np.array(a), TO_MUJOCO @ np.array(b)], 4)
    return f'<geom class="{kind}" type="capsule" fromto="{ends}" size="{text(radius, 4)}"/>'


def _ellipsoid(center, radii, kind="bone", pitch=0.0, roll=0.0) -> str:
    """`radii` along x, y (up), z (right) of OpenSim; `pitch` about z, `roll` about x, degrees."""
    place, size = TO_MUJOCO @ np.array(center), np.abs(TO_MUJOCO @ np.array(radii))
    turn = f' euler="{text([roll, -pitch, 0], 1)}"' if pitch or roll else ""
    return f'<geom class="{kind}" type="ellipsoid" pos="{text(place, 4)}" size="{text(size, 4)}"{turn}/>'


def _looks() -> dict[str, list[str]]:
    """Bones and body shapes, drawn by eye; no mass, no contact."""
    thorax = [
        _ellipsoid([-0.050, -0.150, 0.0], [0.098, 0.205, 0.132], "body"),
        _ellipsoid([-0.052, -0.020, 0.0], [0.060, 0.060, 0.130], "body"),
        _ellipsoid([-0.050, -0.360, 0.0], [0.088, 0.180, 0.118], "body"),
        _ellipsoid([-0.055, -0.520, 0.0], [0.098, 0.110, 0.142], "body"),
        _capsule([-0.060, 0.020, 0.0], [-0.045, 0.110, 0.0], 0.050, "body"),
        _ellipsoid([-0.022, 0.225, 0.0], [0.092, 0.118, 0.074], "body"),
        _ellipsoid([0.010, 0.175, 0.0], [0.058, 0.062, 0.055], "body"),
        *(_capsule([-0.055, -0.570, z], [-0.045, -0.930, z], 0.068, "body") for z in (-0.080, 0.080)),
        *(_capsule([-0.045, -0.930, z], [-0.070, -1.300, z], 0.047, "body") for z in (-0.078, 0.078)),
        *(_ellipsoid([-0.015, -1.362, z], [0.125, 0.036, 0.044], "body") for z in (-0.078, 0.078)),
        _capsule([-0.030, -0.010, -0.165], [-0.030, -0.290, -0.190], 0.043, "body"),
        _capsule([-0.030, -0.290, -0.190], [0.015, -0.530, -0.200], 0.033, "body"),
        _ellipsoid([0.030, -0.620, -0.203], [0.034, 0.075, 0.020], "body"),
        _capsule([0.022, 0.004, 0.020], [0.006, 0.026, 0.090], 0.0080),
        _capsule([0.006, 0.026, 0.090], [-0.025, 0.026, 0.155], 0.0065),
        _capsule([-0.120, -0.002, 0.075], [-0.030, 0.028, 0.165], 0.0070),
        _ellipsoid([-0.122, -0.062, 0.092], [0.007, 0.078, 0.045], "bone", -14.0),
        _ellipsoid([-0.042, -0.006, 0.146], [0.012, 0.019, 0.008]),
        _capsule([-0.035, 0.012, 0.130], [0.002, -0.010, 0.138], 0.0060),
    ]
    humerus = [
        _ellipsoid([-0.001, 0.001, -0.004], [0.022, 0.022, 0.021]),
        _capsule([0.0, -0.012, 0.006], [0.0, -0.055, 0.001], 0.0155),
        _capsule([0.0, -0.050, 0.001], [0.001, -0.130, -0.003], 0.0128),
        _capsule([0.001, -0.130, -0.003], [0.003, -0.250, -0.008], 0.0108),
        _ellipsoid([0.003, -0.262, -0.009], [0.0095, 0.032, 0.021]),
        _capsule([0.0055, -0.2905, -0.030], [0.0055, -0.2905, 0.010], 0.0112),
        _ellipsoid([0.002, -0.286, -0.040], [0.008, 0.010, 0.009]),
    ]
    forearm = [
        _ellipsoid([-0.0135, 0.006, -0.002], [0.0085, 0.019, 0.0105]),
        _capsule([-0.009, -0.010, -0.002], [-0.009, -0.090, 0.010], 0.0100),
        _capsule([-0.009, -0.090, 0.010], [-0.012, -0.232, 0.046], 0.0070),
        _ellipsoid([0.002, -0.012, 0.020], [0.0105, 0.009, 0.0105]),
        _capsule([0.001, -0.018, 0.020], [0.001, -0.110, 0.040], 0.0075),
        _capsule([0.001, -0.110, 0.040], [-0.003, -0.220, 0.073], 0.0095),
        _ellipsoid([-0.004, -0.228, 0.075], [0.0115, 0.016, 0.016]),
        _ellipsoid([-0.006, -0.252, 0.070], [0.013, 0.017, 0.026], "bone", 0, 0),
    ]
    for i, (root, knuckle, tip) in enumerate(
        [  # metacarpal and finger, index to little
            ([-0.004, -0.262, 0.088], [-0.003, -0.325, 0.112], [0.014, -0.404, 0.134]),
            ([-0.005, -0.264, 0.077], [-0.004, -0.330, 0.093], [0.014, -0.416, 0.111]),
            ([-0.006, -0.263, 0.066], [-0.005, -0.326, 0.075], [0.014, -0.408, 0.088]),
            ([-0.007, -0.260, 0.056], [-0.006, -0.316, 0.058], [0.012, -0.380, 0.065]),
        ]
    ):
        forearm.append(_capsule(root, knuckle, 0.0085 - 0.0006 * i, "hand"))
        forearm.append(_capsule(knuckle, tip, 0.0075 - 0.0006 * i, "hand"))
    forearm.append(_capsule([-0.002, -0.262, 0.092], [0.014, -0.300, 0.122], 0.0090, "hand"))
    forearm.append(_capsule([0.014, -0.300, 0.122], [0.028, -0.336, 0.134], 0.0080, "hand"))
    forearm.append(_ellipsoid([-0.002, -0.292, 0.080], [0.0115, 0.040, 0.030], "hand", 0, 15.0))
    return {"thorax": thorax, "humerus": humerus, "forearm": forearm}


def _axis(reference: OpenSimReference, joint: str) -> np.ndarray:
    custom = opensim.CustomJoint.safeDownCast(reference.model.getJointSet().get(joint))
    axis = custom.getSpatialTransform().get_rotation1().getAxis()
    return TO_MUJOCO @ np.array([axis.get(i) for i in range(3)])


def _origin(reference: OpenSimReference, body: str, parent: str) -> np.ndarray:
    reference.pose({c: 0.0 for c in JOINTS.values()})
    rotation, origin = reference.frame(body, parent)
    assert np.allclose(rotation, np.eye(3), atol=1e-9), "Arm26's frames are parallel at zero"
    return TO_MUJOCO @ origin


def mjcf(reference: OpenSimReference, geometry: Geometry, length_range: Mapping[str, tuple[float, float]]) -> str:
    """The whole file as text. `length_range` [m]: the tendon's length over the joints' range."""
    looks = _looks()

    def inertial(body: str) -> str:
        mass, com, inertia = reference.body(body)
        assert np.allclose(inertia, np.diag(np.diag(inertia)))
        diagonal = np.abs(TO_MUJOCO @ np.diag(inertia))
        place = text(TO_MUJOCO @ com, 6)
        return f'<inertial mass="{text(mass, 6)}" pos="{place}" diaginertia="{text(diagonal, 6)}"/>'

    def contents(body: str, indent: int) -> str:
        lines = ["<!-- looks -->", *looks[body]]
        wraps = [(n, w) for n, w in geometry.wraps.items() if w.body == body]
        if wraps:
            lines.append("<!-- what the muscles wrap over -->")
        for name, w in wraps:
            if w.axis is None:
                shape = f'type="sphere" pos="{text(w.center)}" size="{text(w.radius)}"'
            else:
                half = w.half_length * w.axis / np.linalg.norm(w.axis)
                ends = np.r_[w.center - half, w.center + half]
                shape = f'type="cylinder" fromto="{text(ends)}" size="{text(w.radius)}"'
            lines.append(f'<geom name="{name}" class="wrap" {shape}/>')
        lines.append("<!-- where the muscles pass -->")
        for name, (where, place) in geometry.points.items():
            if where == body:
                lines.append(f'<site name="{name}" class="path" pos="{text(place)}"/>')
        return ("\n" + " " * indent).join(lines)

    tendons, actuators = [], []
    for muscle in MUSCLES:
        tendons.append(f'    <spatial name="{muscle}" class="{muscle[:3]}">')
        for item in geometry.paths[muscle]:
            kind = "geom geom" if item in geometry.wraps else "site site"
            tendons.append(f'      <{kind}="{item}"/>')
        tendons.append("    </spatial>")
        c = reference.constants(muscle)
        low, high = length_range[muscle]
        r0, r1 = ((x - c.tendon_slack_length) / c.optimal_fiber_length for x in (low, high))
        force = c.max_isometric_force * np.cos(c.pennation_angle)
        numbers = f"{r0:.6g} {r1:.6g} {force:.6g} 200 {LMIN} {LMAX} {c.max_contraction_velocity:g} {FPMAX} {FVMAX}"
        actuators.append(
            f'    <general name="{muscle}" class="muscle" tendon="{muscle}"\n'
            f'             lengthrange="{low:.4f} {high:.4f}"\n'
            f'             gainprm="{numbers}"\n'
            f'             biasprm="{numbers}"/>'
        )
    shoulder, elbow = _axis(reference, "r_shoulder"), _axis(reference, "r_elbow")
    limits = [text(np.radians(x), 4) for x in (SHOULDER_LIMIT, ELBOW_LIMIT)]
    nl = "\n"
    return (
        HEADER.format(mujoco=".".join(mujoco.__version__.split(".")[:2]))
        + f"""\
<mujoco model="arm">
  <compiler angle="degree" autolimits="false"/>
  <!-- No contacts, equalities or joint limits: nothing here needs a constraint solver. -->
  <option timestep="0.002" gravity="0 0 -9.80665" integrator="RK4"/>

  <custom>
    <text name="credit" data="{CREDIT}"/>
  </custom>

  <visual>
    <global offwidth="1920" offheight="1080"/>
    <quality shadowsize="4096" offsamples="8"/>
    <headlight ambient="0.40 0.40 0.40" diffuse="0.40 0.40 0.40" specular="0.1 0.1 0.1"/>
    <map znear="0.02"/>
  </visual>

  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.93 0.95 0.97" rgb2="0.68 0.75 0.82"
             width="256" height="1536"/>
    <texture name="floor" type="2d" builtin="checker" rgb1="0.92 0.93 0.94" rgb2="0.86 0.88 0.90"
             width="256" height="256"/>
    <material name="floor" texture="floor" texrepeat="8 8" reflectance="0"/>
    <material name="bone" rgba="0.93 0.89 0.80 1" specular="0.25" shininess="0.3"/>
    <material name="hand" rgba="0.93 0.86 0.76 1" specular="0.2" shininess="0.3"/>
    <material name="body" rgba="0.60 0.67 0.74 1" specular="0.1" shininess="0.1"/>
  </asset>

  <default>
    <!-- Passive viscosity of the joints: see README.md. -->
    <joint type="hinge" damping="0.05" armature="0" limited="false"/>
    <geom contype="0" conaffinity="0" mass="0" group="1"/>
    <default class="bone"><geom material="bone"/></default>
    <default class="hand">
      <geom material="hand"/>
      <site size="0.006" rgba="0.2 0.5 0.9 1" group="4"/>
    </default>
    <default class="body"><geom material="body" group="0"/></default>
    <default class="wrap"><geom rgba="0.2 0.6 0.9 0.3" group="3"/></default>
    <default class="path"><site size="0.003" rgba="0.9 0.7 0.2 1" group="3"/></default>
    <default class="TRI"><tendon width="0.008" rgba="0.75 0.25 0.22 1"/></default>
    <default class="BIC"><tendon width="0.008" rgba="0.78 0.28 0.24 1"/></default>
    <default class="BRA"><tendon width="0.0095" rgba="0.70 0.24 0.24 1"/></default>
    <!-- Joint limits as springs with a dead band: passive forces, the same in C and MJX, differentiable. -->
    <default class="limit"><tendon limited="false" stiffness="200" damping="0"/></default>
    <!-- gainprm = biasprm = range[0] range[1] force scale lmin lmax vmax fpmax fvmax;
         range = (lengthrange - tendon slack length) / optimal fiber length;
         force = maximal isometric force x cos(pennation): the native muscle has no pennation.
         lmin, lmax, fpmax, fvmax: least squares to the curves of DeGroote and Fregly 2016. -->
    <default class="muscle">
      <general dyntype="muscle" gaintype="muscle" biastype="muscle" dynprm="0.01 0.04 0.02"
               ctrllimited="true" ctrlrange="0 1"/>
    </default>
  </default>

  <worldbody>
    <light name="key" pos="1.2 -2.2 3.4" dir="-0.4 0.65 -0.8" diffuse="0.55 0.55 0.52" castshadow="true"/>
    <light name="fill" pos="-1.5 -1.5 2.0" dir="0.6 0.6 -0.5" diffuse="0.2 0.2 0.23" castshadow="false"/>
    <camera name="sagittal" pos="0.16 -1.85 1.27" xyaxes="1 0 0 0 0.02 1" fovy="40"/>
    <camera name="oblique" pos="1.20 -1.45 1.62" xyaxes="0.78 0.63 0 -0.13 0.16 1" fovy="40"/>
    <geom name="floor" type="plane" size="2 2 0.05" material="floor" group="0"/>

    <body name="thorax" pos="0 0 1.4">
      {contents("thorax", 6)}

      <body name="humerus" pos="{text(_origin(reference, "r_humerus", "base"), 6)}">
        {inertial("r_humerus")}
        <joint name="shoulder_elev" axis="{text(shoulder, 6)}"/>
        {contents("humerus", 8)}

        <body name="forearm" pos="{text(_origin(reference, "r_ulna_radius_hand", "r_humerus"), 6)}">
          {inertial("r_ulna_radius_hand")}
          <joint name="elbow_flex" axis="{text(elbow, 6)}"/>
          {contents("forearm", 10)}
          <!-- the palm: payloads, targets -->
          <site name="hand" class="hand" pos="{text(TO_MUJOCO @ [0.010, -0.300, 0.084], 4)}"/>
        </body>
      </body>
    </body>
  </worldbody>

  <tendon>
{nl.join(tendons)}
    <!-- length = joint angle [rad], free between the two numbers -->
    <fixed name="shoulder_limit" class="limit" springlength="{limits[0]}">
      <joint joint="shoulder_elev" coef="1"/>
    </fixed>
    <fixed name="elbow_limit" class="limit" springlength="{limits[1]}">
      <joint joint="elbow_flex" coef="1"/>
    </fixed>
  </tendon>

  <actuator>
{nl.join(actuators)}
  </actuator>
</mujoco>
"""
    )


# --- the fit ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One wrap to fit: over `follow` [deg] of `joint` to OpenSim's own curve; over the rest of `cover` to a
    length whose moment arm keeps its last value. There OpenSim's path leaves its wrap or slips to its other
    side, and a simulation that overshoots a joint limit must not meet a jump."""

    muscle: str
    joint: str
    wrap: str
    sites: tuple[str, ...]
    follow: tuple[float, float]
    cover: tuple[float, float]
    reach: tuple[float, float, float] = (0.020, 0.012, 0.012)  # of centre, radius, sites [m]
    same: tuple[str, ...] = ()  # muscles that share wrap and sites


TASKS = (
    Task("TRIlong", "shoulder_elev", "TRIlong_head", ("TRIlong-P1", "TRIlong-P2"), (-70, 100), (-90, 165)),
    Task("BIClong", "shoulder_elev", "BIClong_head", ("BIClong-P2", "BIClong-P3"), (-70, 130), (-90, 165)),
    Task("BRA", "elbow_flex", "BRA_elbow", ("BRA-P1", "BRA-P2"), (0, 140), (-20, 155), (0.014, 0.010, 0.008)),
    Task(
        "TRIlat",
        "elbow_flex",
        "TRI_elbow",
        ("TRIlat-P4", "TRIlat-P5"),
        (0, 140),
        (-20, 160),
        (0.010, 0.006, 0.005),
        same=("TRIlong", "TRImed"),
    ),
)


def targets(reference: OpenSimReference, task: Task) -> Targets:
    angles = np.radians(np.arange(task.cover[0], task.cover[1] + 1, 5.0))
    low, high = np.radians(task.follow)
    inside = (angles > low - 1e-9) & (angles < high + 1e-9)
    poses = {c: np.zeros(len(angles)) for c in JOINTS.values()}
    poses[JOINTS[task.joint]] = angles
    arm = reference.moment_arms([task.muscle], poses, JOINTS[task.joint], step=None)[:, 0]
    length = reference.lengths([task.muscle], poses)[:, 0]
    arm = np.interp(angles, angles[inside], arm[inside])
    first, last = np.flatnonzero(inside)[[0, -1]]
    length = np.where(angles > angles[last], length[last] - arm * (angles - angles[last]), length)
    length = np.where(angles < angles[first], length[first] - arm * (angles - angles[first]), length)
    qpos = np.stack([poses[c] for c in JOINTS.values()], -1)
    return Targets(qpos, length, {task.joint: arm}, np.where(inside, 1.0, 0.2))


def fit(reference: OpenSimReference, geometry: Geometry) -> None:
    """Move wraps and the attachments next to them until lengths and moment arms are OpenSim's."""
    model = mujoco.MjModel.from_xml_string(mjcf(reference, geometry, {m: (0.1, 0.2) for m in MUSCLES}))
    for task in TASKS:
        free = [Free("geom", task.wrap, reach=task.reach[0]), Free("radius", task.wrap, reach=task.reach[1])]
        free += [Free("site", name, reach=task.reach[2]) for name in task.sites]
        found = fit_path(model, task.muscle, free, targets(reference, task), starts=6)
        wrap = geometry.wraps[task.wrap]
        wrap.center = np.asarray(found.values[task.wrap])
        wrap.radius = float(found.values[f"radius/{task.wrap}"])
        for name in task.sites:
            for muscle in (task.muscle, *task.same):
                twin = name.replace(task.muscle, muscle)
                geometry.points[twin] = (geometry.points[twin][0], np.asarray(found.values[name]))
                model.site(twin).pos = found.values[name]
        print(
            f"{task.muscle:8s} moment arm {found.arm_rms[task.joint] * 1e3:.2f} mm RMS, length "
            f"{found.length_rms * 1e3:.2f} mm RMS over {task.cover} deg; barrier {found.barrier * 1e3:.2f} mm"
        )
    # What is left is a constant. Slide the origin along the path, so that l_slack may stay OpenSim's;
    # TRIlong's origin is bound to its wrap and stays.
    for muscle in MUSCLES:
        offset = slide_origin(reference, geometry, muscle, move=muscle != "TRIlong")
        print(f"{muscle:8s} length {offset * 1e3:+.2f} mm before its origin was moved along the path")


def slide_origin(reference: OpenSimReference, geometry: Geometry, muscle: str, move: bool) -> float:
    """Move the first site away from (or towards) the second, until the mean length is OpenSim's.

    Returns by how much it was too long [m], over the range of the comparison."""
    excesses = []
    axes = (np.radians(np.arange(low, high + 1, 10)) for low, high in (SHOULDER_FIT, ELBOW_FIT))
    poses = grid(dict(zip(JOINTS.values(), axes, strict=True)))
    qpos = np.stack(list(poses.values()), -1)
    length = reference.lengths([muscle], poses)[:, 0]
    first, second = [n for n in geometry.paths[muscle] if n in geometry.points][:2]
    for _ in range(3):
        model = mujoco.MjModel.from_xml_string(mjcf(reference, geometry, {m: (0.1, 0.2) for m in MUSCLES}))
        path = TendonPath(model, muscle)
        excess = np.mean(path.evaluate(qpos)[0] - length)
        excesses.append(float(excess))
        if not move:
            break
        path.evaluate(np.radians([[30.0, 60.0]]))
        away = path.data.site(first).xpos - path.data.site(second).xpos
        body, place = geometry.points[first]
        away = path.data.body(body).xmat.reshape(3, 3).T @ away
        geometry.points[first] = (body, place - excess * away / np.linalg.norm(away))
    return excesses[0]


def length_ranges(reference: OpenSimReference, geometry: Geometry) -> dict[str, tuple[float, float]]:
    """Shortest and longest path between the joint limits, rounded outwards to 0.1 mm."""
    model = mujoco.MjModel.from_xml_string(mjcf(reference, geometry, {m: (0.1, 0.2) for m in MUSCLES}))
    axes = {
        "shoulder": np.radians(np.linspace(*SHOULDER_LIMIT, 45)),
        "elbow": np.radians(np.linspace(*ELBOW_LIMIT, 28)),
    }
    poses = np.stack(list(grid(axes).values()), -1)
    out = {}
    for muscle in MUSCLES:
        lengths, _ = TendonPath(model, muscle).evaluate(poses)
        out[muscle] = (np.floor(lengths.min() * 1e4) / 1e4, np.ceil(lengths.max() * 1e4) / 1e4)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="build assets/arm/arm.xml from Arm26")
    parser.add_argument("osim", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "assets" / "arm" / "arm.xml")
    parser.add_argument("--no-fit", action="store_true", help="write the first guess")
    args = parser.parse_args()
    reference = OpenSimReference(args.osim)
    geometry = read_geometry(reference)
    if not args.no_fit:
        fit(reference, geometry)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(mjcf(reference, geometry, length_ranges(reference, geometry)))


if __name__ == "__main__":
    main()
