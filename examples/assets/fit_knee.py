# ruff: noqa: E501 - lines of the MJCF it writes
"""Build ``assets/knee/knee.xml`` from an OpenSim leg: segments and hinges averaged over the motion, muscle paths fitted.

    python examples/assets/fit_knee.py subject_walk_scaled.osim [--coordinates coordinates.sto] [--out knee.xml]

OpenSim's knee rolls, glides and carries a patella; ours is three hinges. So:

1. *Hinges.* The knee axis is where one fixed hinge comes nearest to the tibia's recorded motion; what is fixed to the
   tibia (or foot) goes where it is on average over the range of motion.
2. *Paths.* Each muscle keeps its topology as a few points and at most one cylinder. Points, cylinder centre and
   radius are fitted (``fit_paths.py``) to lengths and moment arms over the joints' ranges. The quadriceps runs over a
   femur-fixed point at the patella's place, around the trochlea, to the tibial tuberosity.
3. *Muscle constants.* ``optimal_fiber_length`` and force are the reference's along the tendon (times the cosine of the
   pennation); the mean difference between both models' path lengths goes into the tendon slack length.

Prints the table of remaining errors that ``assets/knee/README.md`` holds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np
from fit_paths import MM, Free, PathFit, Targets, TendonPath, fit_path, roughness
from opensim_reference import OpenSimReference
from scipy.optimize import least_squares

ROOT = Path(__file__).resolve().parents[2]
JOINTS = {
    "hip_flexion": 1.0,
    "knee_angle": -1.0,
    "ankle_angle": 1.0,
}  # sign of the rotation about OpenSim's +z
LIMITS = {"hip_flexion": (-30.0, 120.0), "knee_angle": (-5.0, 130.0), "ankle_angle": (-45.0, 30.0)}  # degrees
TO_MUJOCO = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # OpenSim x forward, y up, z right -> z up
PELVIS_HEIGHT = 1.05  # [m] above the floor: the hanging leg clears it
# Shape of the native curves, as in assets/arm: least squares to DeGroote-Fregly 2016.
LMIN, LMAX, VMAX, FPMAX, FVMAX = 0.33, 1.72, 10.0, 0.60, 1.71

# --- muscle paths -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A path point [m] in its MuJoCo body's frame; ``reach`` [m] is how far the fit may move it in the sagittal plane."""

    body: str
    pos: np.ndarray
    reach: float = 0.02


@dataclass(frozen=True)
class Cylinder:
    """A mediolateral wrap cylinder [m] in a body's frame."""

    body: str
    pos: np.ndarray
    radius: float
    reach: float = 0.02


MusclePath = Sequence[Point | Cylinder]


@dataclass(frozen=True)
class Leg:
    """The reference leg as three hinges: body poses, inertias, and OpenSim points carried into MuJoCo bodies."""

    reference: OpenSimReference
    knee_in_femur: np.ndarray  # (3,) OpenSim axes
    tibia: tuple[np.ndarray, np.ndarray]  # mean pose of OpenSim's tibia in our tibia (OpenSim axes)
    foot: tuple[np.ndarray, np.ndarray]  # mean pose of OpenSim's talus in our foot
    ankle_in_tibia: np.ndarray
    hinge_rms: float  # [m]: what one hinge leaves of the tibia's translation

    def place(self, body: str, location: np.ndarray) -> tuple[str, np.ndarray]:
        """An OpenSim body-fixed point -> (our body, position in MuJoCo axes)."""
        if body in ("talus_r", "calcn_r", "toes_r"):
            rotation, origin = self.reference.frame(body, "talus_r")
            p = self.foot[0] @ (rotation @ location + origin) + self.foot[1]
            return "foot", TO_MUJOCO @ p
        if body == "tibia_r":
            return "tibia", TO_MUJOCO @ (self.tibia[0] @ location + self.tibia[1])
        if body == "patella_r":  # at its place in extension
            rotation, origin = self.reference.frame(body, "femur_r")
            return "femur", TO_MUJOCO @ (rotation @ location + origin)
        return body.removesuffix("_r"), TO_MUJOCO @ location


def _rz(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _planar_mean(poses: Sequence[tuple[np.ndarray, np.ndarray]], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sagittal pose (rotation about z, translation) that carries ``points`` nearest to where ``poses`` do."""
    turn = _rz(float(np.mean([np.arctan2(r[1, 0] - r[0, 1], r[0, 0] + r[1, 1]) for r, _ in poses])))
    shift = np.mean([(points @ r.T + p - points @ turn.T).mean(axis=0) for r, p in poses], axis=0)
    return turn, np.array([shift[0], shift[1], poses[0][1][2]])


def measure_leg(reference: OpenSimReference) -> Leg:
    """Fit the knee's hinge, average what it carries."""
    angles = np.radians(np.arange(0.0, 101.0, 5.0))
    poses = []
    for angle in angles:
        reference.pose({"hip_flexion_r": 0.0, "knee_angle_r": angle, "ankle_angle_r": 0.0})
        poses.append(reference.frame("tibia_r", "femur_r"))
    landmarks = np.array([[0.037, -0.073, 0.0], [-0.035, -0.05, 0.0], [-0.012, -0.465, 0.0]])

    def carried(centre: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(_rz(a) @ r, _rz(a) @ (p - [*centre, 0.0])) for a, (r, p) in zip(angles, poses, strict=True)]

    def spread(centre: np.ndarray) -> np.ndarray:
        points = np.array([landmarks @ r.T + p for r, p in carried(centre)])[..., :2]
        return (points - points.mean(axis=0)).ravel()

    fit = least_squares(spread, [0.0, -0.4])
    tibia = _planar_mean(carried(fit.x), landmarks)
    knee = np.array([*fit.x, 0.0])
    turned, p = [], np.zeros(3)
    for angle in np.radians(np.arange(-25.0, 26.0, 5.0)):
        reference.pose({"knee_angle_r": 0.0, "ankle_angle_r": angle})
        r, p = reference.frame("talus_r", "tibia_r")
        turned.append((_rz(-angle) @ tibia[0] @ r, np.zeros(3)))
    ankle_in_tibia = tibia[0] @ p + tibia[1]
    foot = _planar_mean(turned, np.array([[-0.055, -0.022, 0.003], [0.12, -0.058, 0.011]]))
    reference.pose({"knee_angle_r": 0.0, "ankle_angle_r": 0.0})
    return Leg(reference, knee, tibia, foot, ankle_in_tibia, float(np.sqrt(np.mean(fit.fun**2))))


def initial_paths(leg: Leg) -> dict[str, MusclePath]:
    """Each muscle's topology, at OpenSim's own attachment points."""

    def points(muscle: str, keep: Sequence[int], reach: Sequence[float]) -> list[Point]:
        own = leg.reference.path_points(f"{muscle}_r")
        return [Point(*leg.place(*own[k]), r) for k, r in zip(keep, reach, strict=True)]

    knee = TO_MUJOCO @ leg.knee_in_femur
    behind, front = np.array([0.004, 0.0, 0.0]), np.array([0.012, 0.0, 0.002])
    paths: dict[str, MusclePath] = {}
    for name, keep in {
        "recfem": (0, 3, 4),
        "vasmed": (0, 1, 3, 4),
        "vasint": (0, 1, 3, 4),
        "vaslat": (0, 1, 3, 4),
    }.items():
        p = points(name, keep, [0.01 if name == "recfem" else 0.0, *([0.0] * (len(keep) - 3)), 0.025, 0.008])
        paths[name] = [*p[:-1], Cylinder("femur", knee + front, 0.018, 0.02), p[-1]]
    for name, keep in {"bflh": (0, 1), "semimem": (0, 1)}.items():
        p = points(name, keep, [0.015, 0.025])
        paths[name] = [p[0], Cylinder("femur", knee + behind, 0.025, 0.02), p[1]]
    p = points("semiten", (0, 1, 2), [0.015, 0.025, 0.0])
    paths["semiten"] = [p[0], Cylinder("femur", knee + behind, 0.044, 0.02), p[1], p[2]]
    p = points("bfsh", (0, 1), [0.02, 0.025])
    paths["bfsh"] = [p[0], Cylinder("femur", knee + behind, 0.018, 0.02), p[1]]
    for name in ("gasmed", "gaslat"):
        p = points(name, (0, 1), [0.02, 0.015])
        paths[name] = [p[0], Cylinder("femur", knee + behind, 0.018, 0.02), p[1]]
    paths["soleus"] = points("soleus", (0, 1), [0.01, 0.015])
    paths["tibant"] = points("tibant", (0, 2, 3), [0.0, 0.015, 0.015])
    return paths


def crossed(path: MusclePath) -> list[str]:
    order = ["pelvis", "femur", "tibia", "foot"]
    first, last = order.index(path[0].body), order.index(path[-1].body)
    return list(JOINTS)[first:last]


# --- reference --------------------------------------------------------------------------------------------------------


def reference_arms(reference: OpenSimReference, muscle: str, poses: Mapping[str, np.ndarray], joint: str) -> np.ndarray:
    """OpenSim's moment arm [m]: the mean of its two definitions, ``-dL/dq`` and its force-based ``computeMomentArm``.

    They agree within 0.2 mm except for gaslat short of 35 degrees of flexion, whose two wraps OpenSim does not solve as
    one shortest path: there its length says 13 mm, its force 25 mm."""
    by_length = reference.moment_arms([muscle], poses, joint)
    by_force = reference.moment_arms([muscle], poses, joint, step=None)
    return 0.5 * (by_length + by_force)[:, 0]


def target_poses(joints: Sequence[str], walk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses (n, 3) [deg] a path is fitted to, and their weights: scans of each joint, a coarse grid, the walk."""
    knee = np.arange(0.0, 101.0, 5.0)
    beyond = np.array([-5.0, 110.0, 120.0])
    rows, weights = [], []

    def add(hip, angle, ankle, weight: float) -> None:
        h, k, a = (x.ravel() for x in np.meshgrid(hip, angle, ankle, indexing="ij"))
        rows.append(np.stack([h, k, a], axis=1))
        weights.append(np.full(len(h), weight))

    add(0.0, knee, 0.0, 1.0)
    add(0.0, beyond, 0.0, 0.3)
    if "hip_flexion" in joints:
        add(np.arange(-20.0, 61.0, 10.0), 0.0, 0.0, 1.0)
        add(np.arange(-20.0, 61.0, 40.0), np.arange(20.0, 81.0, 30.0), 0.0, 0.7)
    if "ankle_angle" in joints:
        add(0.0, 0.0, np.arange(-25.0, 26.0, 5.0), 1.0)
        add(0.0, np.arange(20.0, 81.0, 30.0), (-15.0, 15.0), 0.7)
    if walk.size:
        rows.append(np.degrees(walk))
        weights.append(np.full(len(walk), 0.7))
    return np.vstack(rows), np.concatenate(weights)


def as_poses(qpos: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}_r": qpos[:, i] for i, name in enumerate(JOINTS)}


def read_walk(path: Path | None, every: int = 1) -> np.ndarray:
    """(n, 3) hip flexion, knee angle, ankle angle [rad] of the right leg from an OpenSim .sto in radians."""
    if path is None:
        return np.empty((0, 3))
    lines = path.read_text().splitlines()
    end = next(i for i, line in enumerate(lines) if line.strip() == "endheader")
    names = [c.split("/")[-2] if "/" in c else c for c in lines[end + 1].split("\t")]
    columns = [names.index(f"{joint}_r") for joint in JOINTS]
    return np.array([[float(line.split("\t")[c]) for c in columns] for line in lines[end + 2 :: every]])


def looks(muscle: str) -> str:
    """The default class (width, colour) of a muscle's tendon."""
    if muscle in ("recfem", "vasmed", "vasint", "vaslat"):
        return "quadriceps"
    return "hamstrings" if muscle in ("bflh", "bfsh", "semimem", "semiten") else "shank"


def path_xml(name: str, path: MusclePath) -> tuple[dict[str, list[str]], str]:
    """Sites and wrap geoms by body, and the tendon's element, for one muscle."""
    by_body: dict[str, list[str]] = {}
    tendon = [f'<spatial name="{name}" class="{looks(name)}">']
    counter = 0
    for item in path:
        if isinstance(item, Point):
            counter += 1
            label = f"{name}_P{counter}"
            by_body.setdefault(item.body, []).append(f'<site name="{label}" pos="{text(item.pos)}"/>')
            tendon.append(f'<site site="{label}"/>')
        else:
            label = f"{name}_wrap"
            by_body.setdefault(item.body, []).append(
                f'<geom name="{label}" class="wrap" pos="{text(item.pos)}" size="{text([item.radius, 0.04])}"/>'
            )
            tendon.append(f'<geom geom="{label}"/>')
    return by_body, "".join([*tendon, "</spatial>"])


def text(values, digits: int = 5) -> str:
    return " ".join(f"{round(float(v), digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".") for v in np.ravel(values))


def skeleton(leg: Leg, paths: Mapping[str, MusclePath]) -> str:
    """A bare model, for fitting: bodies, hinges, paths."""
    sites: dict[str, list[str]] = {}
    tendons = []
    for name, path in paths.items():
        by_body, tendon = path_xml(name, path)
        tendons.append(tendon)
        for body, items in by_body.items():
            sites.setdefault(body, []).extend(items)

    def inside(body: str) -> str:
        return "".join(sites.get(body, []))

    classes = "".join(f'<default class="{c}"/>' for c in sorted({looks(n) for n in paths}))
    mass = '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'
    hip, knee, ankle = hip_in_pelvis(leg), TO_MUJOCO @ leg.knee_in_femur, TO_MUJOCO @ leg.ankle_in_tibia
    return f"""<mujoco><compiler inertiafromgeom="false" angle="radian"/>
<default>{classes}<default class="wrap"><geom type="cylinder" euler="1.5707963 0 0" mass="0" contype="0" conaffinity="0"/></default></default>
<worldbody><body name="pelvis">{inside("pelvis")}
<body name="femur" pos="{text(hip, 6)}">{mass}<joint name="hip_flexion" axis="0 -1 0"/>{inside("femur")}
<body name="tibia" pos="{text(knee, 6)}">{mass}<joint name="knee_angle" axis="0 1 0"/>{inside("tibia")}
<body name="foot" pos="{text(ankle, 6)}">{mass}<joint name="ankle_angle" axis="0 -1 0"/>{inside("foot")}
</body></body></body></body></worldbody><tendon>{"".join(tendons)}</tendon></mujoco>"""


def hip_in_pelvis(leg: Leg) -> np.ndarray:
    return TO_MUJOCO @ leg.reference.frame("femur_r", "pelvis")[1]


def fit_muscle(
    leg: Leg, name: str, path: MusclePath, walk: np.ndarray, starts: int = 4
) -> tuple[list[Point | Cylinder], PathFit]:
    joints = crossed(path)
    degrees, weights = target_poses(joints, walk)
    qpos = np.radians(degrees)
    poses = as_poses(qpos)
    targets = Targets(
        qpos,
        leg.reference.lengths([f"{name}_r"], poses)[:, 0],
        {j: reference_arms(leg.reference, f"{name}_r", poses, f"{j}_r") for j in joints},
        weights,
    )
    free, labels, counter = [], [], 0
    for item in path:
        if isinstance(item, Point):
            counter += 1
            label = f"{name}_P{counter}"
            if item.reach > 0:
                free.append(Free("site", label, "xz", item.reach))
        else:
            label = f"{name}_wrap"
            free += [Free("geom", label, "xz", item.reach), Free("radius", label, reach=0.02)]
        labels.append(label)
    model = mujoco.MjModel.from_xml_string(skeleton(leg, {name: path}))
    ends = [np.radians(v) for j, v in LIMITS.items()]
    guard = np.stack(np.meshgrid(ends[0], np.radians(np.linspace(-10.0, 140.0, 11)), ends[2], indexing="ij"), -1)
    fit = fit_path(model, name, free, targets, guard_qpos=guard.reshape(-1, 3), starts=starts)
    out: list[Point | Cylinder] = []
    for item, label in zip(path, labels, strict=True):
        moved = replace(item, pos=np.asarray(fit.values.get(label, item.pos)))
        if isinstance(moved, Cylinder):
            moved = replace(moved, radius=float(fit.values[f"radius/{label}"]))
        out.append(moved)
    return out, fit


# --- the file ---------------------------------------------------------------------------------------------------------

CREDIT = (
    "Geometry, inertias and muscle constants adapted from the OpenSim model of Rajagopal et al. 2016 (IEEE Trans Biomed "
    "Eng 63:2068-2079) with the changes of Lai et al. 2017 (Ann Biomed Eng 45:2762-2774) and Uhlrich et al. 2022 (Sci Rep 12:9842), "
    "scaled to the subject of opensim-core's Moco example3DWalking; Rajagopal, A., Dembia, C.L., DeMers, M.S., Delp, "
    "D.D., Hicks, J.L., Delp, S.L.; CC-BY 3.0 (http://creativecommons.org/licenses/by/3.0/), example files Apache-2.0. "
    "Changed: one leg in the sagittal plane, three hinges, refitted muscle paths, native MuJoCo muscles."
)

HEADER = """\
<!-- Right leg in the sagittal plane: hip, knee and ankle flexion, twelve muscles.

     Adapted from the full-body model of Rajagopal, Dembia, DeMers, Delp, Hicks and Delp (2016), with the changes of
     Lai et al. (2017) and Uhlrich et al. (2022), scaled to the subject of opensim-core's Moco example3DWalking.
     Reference geometry: CC-BY 3.0, http://creativecommons.org/licenses/by/3.0/ ; example files: Apache-2.0.
     Changed: one leg, three hinges, muscle paths fitted anew, MuJoCo's native muscle, bones drawn with primitives.

     Written by examples/assets/fit_knee.py for MuJoCo {mujoco}; errors against OpenSim are in README.md.
     x forward, y left, z up; pelvis fixed to the world. All joints at 0: the leg hangs straight.
     Positive: hip flexion, knee flexion, ankle dorsiflexion [rad]; each equals OpenSim's coordinate. -->
"""

DRAWING = {
    "pelvis": """
      <!-- ilium: a fan from the acetabulum to the crest -->
      <geom class="bone" type="capsule" fromto="0.004 -0.118 -0.004 -0.024 -0.128 0.052" size="0.0095"/>
      <geom class="bone" type="capsule" fromto="-0.024 -0.128 0.052 -0.062 -0.118 0.078" size="0.0100"/>
      <geom class="bone" type="capsule" fromto="-0.062 -0.118 0.078 -0.104 -0.086 0.074" size="0.0105"/>
      <geom class="bone" type="capsule" fromto="-0.104 -0.086 0.074 -0.138 -0.050 0.040" size="0.0110"/>
      <geom class="bone" type="capsule" fromto="0.002 -0.117 -0.006 -0.056 -0.092 -0.072" size="0.0140"/>
      <geom class="bone" type="capsule" fromto="-0.010 -0.121 0.022 -0.060 -0.092 -0.060" size="0.0135"/>
      <geom class="bone" type="capsule" fromto="-0.024 -0.126 0.050 -0.064 -0.092 -0.060" size="0.0135"/>
      <geom class="bone" type="capsule" fromto="-0.044 -0.121 0.064 -0.066 -0.090 -0.060" size="0.0135"/>
      <geom class="bone" type="capsule" fromto="-0.064 -0.115 0.074 -0.068 -0.090 -0.060" size="0.0135"/>
      <geom class="bone" type="capsule" fromto="-0.085 -0.100 0.074 -0.070 -0.088 -0.060" size="0.0135"/>
      <geom class="bone" type="capsule" fromto="-0.104 -0.085 0.070 -0.072 -0.086 -0.060" size="0.0135"/>
      <geom class="bone" type="capsule" fromto="-0.122 -0.066 0.054 -0.074 -0.086 -0.060" size="0.0130"/>
      <geom class="bone" type="capsule" fromto="-0.134 -0.054 0.032 -0.076 -0.086 -0.066" size="0.0150"/>
      <geom class="bone" type="ellipsoid" pos="-0.067 -0.086 -0.086" size="0.033 0.020 0.033"/>
      <!-- ischium and pubis -->
      <geom class="bone" type="capsule" fromto="-0.078 -0.080 -0.098 -0.110 -0.062 -0.132" size="0.0165"/>
      <geom class="bone" type="capsule" fromto="-0.110 -0.062 -0.132 -0.100 -0.054 -0.152" size="0.0130"/>
      <geom class="bone" type="capsule" fromto="-0.100 -0.054 -0.152 -0.040 -0.020 -0.135" size="0.0085"/>
      <geom class="bone" type="capsule" fromto="-0.052 -0.074 -0.082 -0.012 -0.014 -0.098" size="0.0105"/>
      <geom class="bone" type="capsule" fromto="-0.012 -0.014 -0.098 -0.040 -0.020 -0.135" size="0.0100"/>
      <!-- sacrum, coccyx -->
      <geom class="bone" type="ellipsoid" pos="-0.130 0 0.025" size="0.026 0.050 0.060" euler="0 20 0"/>
      <geom class="bone" type="capsule" fromto="-0.150 0 -0.028 -0.136 0 -0.068" size="0.0105"/>""",
    "femur": """
      <geom class="bone" type="sphere" size="0.0235"/>
      <geom class="bone" type="capsule" fromto="0 0 0 -0.006 -0.038 -0.026" size="0.0135"/>
      <geom class="bone" type="ellipsoid" pos="-0.012 -0.056 -0.014" size="0.018 0.014 0.030"/>
      <geom class="bone" type="ellipsoid" pos="-0.004 -0.047 -0.066" size="0.0190 0.0190 0.075" euler="-4 0 0"/>
      <geom class="bone" type="capsule" fromto="-0.004 -0.045 -0.050 0.010 -0.030 -0.190" size="0.0155"/>
      <geom class="bone" type="capsule" fromto="0.010 -0.030 -0.190 0.001 -0.010 -0.350" size="0.0150"/>
      <geom class="bone" type="ellipsoid" pos="0.000 -0.007 -0.345" size="0.0205 0.0310 0.075" euler="-5 0 0"/>
      <geom class="bone" type="ellipsoid" pos="-0.0055 0.022 -0.3935" size="0.0285 0.0150 0.0245"/>
      <geom class="bone" type="ellipsoid" pos="-0.0055 -0.024 -0.3930" size="0.0285 0.0150 0.0245"/>
      <geom class="bone" type="ellipsoid" pos="0.0085 -0.001 -0.3870" size="0.0190 0.0240 0.0210"/>
      <!-- The patella, for the eye only: fixed where the quadriceps turns over the femur. -->
      <geom class="patella" type="ellipsoid" pos="0.0405 -0.001 -0.4020" size="0.0125 0.0200 0.0225" euler="0 -6 0"/>""",
    "tibia": """
      <geom class="cartilage" type="ellipsoid" pos="-0.002 0.020 -0.0195" size="0.025 0.017 0.0050"/>
      <geom class="cartilage" type="ellipsoid" pos="-0.002 -0.022 -0.0195" size="0.025 0.016 0.0050"/>
      <geom class="bone" type="ellipsoid" pos="0.001 -0.001 -0.0320" size="0.0290 0.0390 0.0125"/>
      <geom class="bone" type="ellipsoid" pos="0.010 0.000 -0.0600" size="0.0265 0.0300 0.0600"/>
      <geom class="bone" type="ellipsoid" pos="0.0345 0.000 -0.0640" size="0.0140 0.0115 0.0320" euler="0 10 0"/>
      <geom class="bone" type="capsule" fromto="0.016 0.000 -0.070 0.011 0.003 -0.230" size="0.0140"/>
      <geom class="bone" type="capsule" fromto="0.011 0.003 -0.230 0.000 0.003 -0.420" size="0.0120"/>
      <geom class="bone" type="ellipsoid" pos="-0.002 0.003 -0.415" size="0.0170 0.0185 0.0440"/>
      <geom class="bone" type="ellipsoid" pos="-0.001 0.021 -0.447" size="0.0105 0.0060 0.0190"/>
      <!-- fibula -->
      <geom class="bone" type="ellipsoid" pos="-0.019 -0.034 -0.0480" size="0.0105 0.0095 0.0140"/>
      <geom class="bone" type="capsule" fromto="-0.019 -0.034 -0.050 -0.013 -0.031 -0.240" size="0.0062"/>
      <geom class="bone" type="capsule" fromto="-0.013 -0.031 -0.240 -0.008 -0.023 -0.430" size="0.0060"/>
      <geom class="bone" type="ellipsoid" pos="-0.007 -0.023 -0.452" size="0.0095 0.0065 0.0240"/>""",
    "foot": """
      <geom class="bone" type="ellipsoid" pos="0.004 0 -0.010" size="0.0260 0.0190 0.0170"/>
      <geom class="bone" type="ellipsoid" pos="-0.034 -0.004 -0.036" size="0.0340 0.0165 0.0200" euler="0 -14 0"/>
      <geom class="bone" type="ellipsoid" pos="-0.050 -0.005 -0.043" size="0.0165 0.0170 0.0220"/>
      <geom class="bone" type="ellipsoid" pos="0.038 0.002 -0.024" size="0.0270 0.0250 0.0150" euler="0 18 0"/>
      <geom class="bone" type="capsule" fromto="0.052 0.020 -0.030 0.122 0.026 -0.055" size="0.0090"/>
      <geom class="bone" type="capsule" fromto="0.054 0.008 -0.030 0.126 0.009 -0.057" size="0.0075"/>
      <geom class="bone" type="capsule" fromto="0.052 -0.003 -0.031 0.122 -0.006 -0.058" size="0.0072"/>
      <geom class="bone" type="capsule" fromto="0.046 -0.013 -0.034 0.114 -0.020 -0.059" size="0.0070"/>
      <geom class="bone" type="capsule" fromto="0.036 -0.020 -0.040 0.104 -0.034 -0.060" size="0.0068"/>
      <!-- toes -->
      <geom class="bone" type="capsule" fromto="0.133 0.027 -0.058 0.172 0.026 -0.062" size="0.0085"/>
      <geom class="bone" type="capsule" fromto="0.137 0.009 -0.060 0.167 0.008 -0.063" size="0.0064"/>
      <geom class="bone" type="capsule" fromto="0.133 -0.007 -0.060 0.160 -0.009 -0.063" size="0.0060"/>
      <geom class="bone" type="capsule" fromto="0.125 -0.021 -0.061 0.149 -0.024 -0.063" size="0.0057"/>
      <geom class="bone" type="capsule" fromto="0.114 -0.036 -0.062 0.135 -0.039 -0.063" size="0.0055"/>""",
}


@dataclass(frozen=True)
class Inertia:
    """Mass [kg], centre of mass (3,) [m], inertia (3, 3) [kg m^2] about it."""

    mass: float
    com: np.ndarray
    matrix: np.ndarray

    @staticmethod
    def combine(parts: Sequence[Inertia]) -> Inertia:
        """Several rigidly joined bodies as one (parallel axes)."""
        mass = sum(p.mass for p in parts)
        com = np.sum([p.mass * p.com for p in parts], axis=0) / mass
        total = np.zeros((3, 3))
        for p in parts:
            d = p.com - com
            total += p.matrix + p.mass * (d @ d * np.eye(3) - np.outer(d, d))
        return Inertia(mass, com, total)

    def moved(self, rotation: np.ndarray, origin: np.ndarray) -> Inertia:
        return Inertia(self.mass, rotation @ self.com + origin, rotation @ self.matrix @ rotation.T)


def segment_inertias(leg: Leg) -> dict[str, Inertia]:
    """OpenSim's segments in our bodies, MuJoCo axes. The patella (0.07 kg) rides on the femur, where it is on average
    over 0 to 100 degrees of knee flexion; talus, calcaneus and toes are one foot."""
    reference = leg.reference

    def own(name: str) -> Inertia:
        return Inertia(*reference.body(name))

    patella = []
    for angle in np.radians(np.arange(0.0, 101.0, 10.0)):
        reference.pose({"knee_angle_r": angle})
        rotation, origin = reference.frame("patella_r", "femur_r")
        moved = own("patella_r").moved(rotation, origin)
        patella.append(moved)
    reference.pose({"knee_angle_r": 0.0})
    mean = Inertia(patella[0].mass, np.mean([p.com for p in patella], axis=0), patella[0].matrix)
    foot = [own(n).moved(*reference.frame(n, "talus_r")) for n in ("talus_r", "calcn_r", "toes_r")]
    bodies = {
        "pelvis": own("pelvis"),
        "femur": Inertia.combine([own("femur_r"), mean]),
        "tibia": own("tibia_r").moved(*leg.tibia),
        "foot": Inertia.combine(foot).moved(*leg.foot),
    }
    return {name: b.moved(TO_MUJOCO, np.zeros(3)) for name, b in bodies.items()}


def length_range(model: mujoco.MjModel, muscle: str) -> tuple[float, float]:
    """Shortest and longest path [m] between the joint limits, rounded outwards to 0.1 mm."""
    axes = [np.radians(np.linspace(low, high, 16)) for low, high in LIMITS.values()]
    poses = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths, _ = TendonPath(model, muscle).evaluate(poses)
    return float(np.floor(lengths.min() * 1e4) / 1e4), float(np.ceil(lengths.max() * 1e4) / 1e4)


def mjcf(leg: Leg, paths: Mapping[str, MusclePath], offsets: Mapping[str, float]) -> str:
    """The whole file as text."""
    model = mujoco.MjModel.from_xml_string(skeleton(leg, paths))
    by_body: dict[str, list[str]] = {}
    tendons, actuators = [], []
    for name, path in paths.items():
        items, tendon = path_xml(name, path)
        for body, elements in items.items():
            by_body.setdefault(body, []).extend(elements)
        tendon = tendon.replace("><", ">\n      <").replace("\n      </spatial>", "\n    </spatial>")
        tendons.append("    " + tendon)
        c = leg.reference.constants(f"{name}_r")
        along = np.cos(c.pennation_angle)
        slack = c.tendon_slack_length + offsets[name]
        low, high = length_range(model, name)
        ends = [(x - slack) / (c.optimal_fiber_length * along) for x in (low, high)]
        force = c.max_isometric_force * along
        numbers = f"{ends[0]:.7g} {ends[1]:.7g} {force:.6g} 200 {LMIN} {LMAX} {VMAX:g} {FPMAX} {FVMAX}"
        actuators.append(
            f'    <general name="{name}" class="muscle" tendon="{name}" lengthrange="{low:.4f} {high:.4f}"\n'
            f'             gainprm="{numbers}"\n             biasprm="{numbers}"/>'
        )
    inertias = segment_inertias(leg)

    def contents(body: str, indent: int) -> str:
        pad = "\n" + " " * indent
        i = inertias[body]
        m = i.matrix
        full = [m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2]]
        numbers = " ".join(f"{x + 0.0:.6g}" if abs(x) > 1e-9 else "0" for x in full)
        out = f'<inertial mass="{i.mass:.6g}" pos="{text(i.com, 6)}"{pad}          fullinertia="{numbers}"/>'
        out += DRAWING[body].replace("\n      ", pad)
        if body in by_body:
            out += pad + "<!-- muscle paths -->" + "".join(pad + e for e in by_body[body])
        return out

    limits = {j: text(np.radians(v), 4) for j, v in LIMITS.items()}
    hip, knee, ankle = hip_in_pelvis(leg), TO_MUJOCO @ leg.knee_in_femur, TO_MUJOCO @ leg.ankle_in_tibia
    nl = "\n"
    return f"""{HEADER.format(mujoco=".".join(mujoco.__version__.split(".")[:2]))}<mujoco model="knee">
  <compiler angle="degree" autolimits="false" inertiafromgeom="false"/>
  <!-- No contacts, equalities or joint limits: nothing here needs a constraint solver. -->
  <option timestep="0.001" gravity="0 0 -9.80665" integrator="RK4"/>

  <custom>
    <text name="credit" data="{CREDIT}"/>
  </custom>

  <visual>
    <global offwidth="1920" offheight="1080"/>
    <quality shadowsize="4096" offsamples="8"/>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.35 0.35 0.35" specular="0.1 0.1 0.1"/>
    <map znear="0.02"/>
  </visual>

  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1="0.93 0.95 0.97" rgb2="0.68 0.75 0.82"
             width="256" height="1536"/>
    <texture name="floor" type="2d" builtin="checker" rgb1="0.80 0.82 0.84" rgb2="0.75 0.77 0.80"
             width="256" height="256"/>
    <material name="floor" texture="floor" texrepeat="8 8" texuniform="false" reflectance="0.05"/>
    <material name="bone" rgba="0.93 0.89 0.80 1" specular="0.25" shininess="0.3"/>
    <material name="cartilage" rgba="0.72 0.80 0.86 1" specular="0.4" shininess="0.5"/>
  </asset>

  <default>
    <!-- Passive viscosity of the joints: see README.md. -->
    <joint type="hinge" armature="0" limited="false"/>
    <geom contype="0" conaffinity="0" mass="0" group="1"/>
    <site size="0.003" rgba="0.9 0.7 0.2 1" group="3"/>
    <default class="bone"><geom material="bone"/></default>
    <default class="patella"><geom material="bone"/></default>
    <default class="cartilage"><geom material="cartilage"/></default>
    <!-- Wraps: mediolateral cylinders; paths take the shorter way around, there are no side sites. -->
    <default class="wrap"><geom type="cylinder" euler="90 0 0" rgba="0.2 0.6 0.9 0.3" group="3"/></default>
    <default class="quadriceps"><tendon width="0.0085" rgba="0.75 0.25 0.22 1"/></default>
    <default class="hamstrings"><tendon width="0.0075" rgba="0.70 0.24 0.24 1"/></default>
    <default class="shank"><tendon width="0.0075" rgba="0.78 0.28 0.24 1"/></default>
    <!-- Joint limits as springs with a dead band: passive forces, the same in C and MJX, differentiable. -->
    <default class="limit"><tendon limited="false" stiffness="500" damping="0"/></default>
    <!-- gainprm = biasprm = range[0] range[1] force scale lmin lmax vmax fpmax fvmax;
         range = (lengthrange - tendon slack length) / optimal fiber length;
         force and optimal fiber length are the reference's times cos(pennation at optimal length): the native
         muscle has no pennation. The tendon slack length holds the constant offset of our path from OpenSim's.
         lmin, lmax, fpmax, fvmax: least squares to the curves of DeGroote and Fregly 2016. -->
    <default class="muscle">
      <general dyntype="muscle" gaintype="muscle" biastype="muscle" dynprm="0.01 0.04 0.02"
               ctrllimited="true" ctrlrange="0 1"/>
    </default>
  </default>

  <worldbody>
    <light name="key" pos="1.5 -2.0 3.0" dir="-0.5 0.6 -0.8" diffuse="0.55 0.55 0.52" castshadow="true"/>
    <light name="fill" pos="-1.5 -1.5 2.0" dir="0.6 0.6 -0.5" diffuse="0.2 0.2 0.23" castshadow="false"/>
    <camera name="sagittal" pos="0.05 -2.15 0.64" xyaxes="1 0 0 0 0.02 1" fovy="36"/>
    <camera name="oblique" pos="1.25 -1.45 0.90" xyaxes="0.74 0.67 0 -0.10 0.11 1" fovy="36"/>
    <geom name="floor" type="plane" size="2 2 0.05" material="floor" group="0"/>

    <body name="pelvis" pos="0 0 {PELVIS_HEIGHT}">
      {contents("pelvis", 6)}

      <body name="femur" pos="{text(hip)}">
        <joint name="hip_flexion" axis="0 -1 0" damping="1.0"/>
        {contents("femur", 8)}

        <body name="tibia" pos="{text(knee)}">
          <joint name="knee_angle" axis="0 1 0" damping="0.5"/>
          {contents("tibia", 10)}

          <body name="foot" pos="{text(ankle)}">
            <joint name="ankle_angle" axis="0 -1 0" damping="0.2"/>
            {contents("foot", 12)}
          </body>
        </body>
      </body>
    </body>
  </worldbody>

  <tendon>
{nl.join(tendons)}
    <!-- length = joint angle [rad], free between the two numbers; stiffness [N m/rad] -->
    <fixed name="hip_limit" class="limit" springlength="{limits["hip_flexion"]}">
      <joint joint="hip_flexion" coef="1"/>
    </fixed>
    <fixed name="knee_limit" class="limit" stiffness="1000" springlength="{limits["knee_angle"]}">
      <joint joint="knee_angle" coef="1"/>
    </fixed>
    <fixed name="ankle_limit" class="limit" stiffness="200" springlength="{limits["ankle_angle"]}">
      <joint joint="ankle_angle" coef="1"/>
    </fixed>
  </tendon>

  <actuator>
{nl.join(actuators)}
  </actuator>
</mujoco>
"""


# --- how good is it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Errors:
    """RMS errors [m] of one muscle against OpenSim at one joint; each scan with the other joints at 0."""

    muscle: str
    joint: str
    arm_by_length: float
    arm_by_force: float
    length: float


SCANS = {"hip_flexion": (-20.0, 60.0), "knee_angle": (0.0, 100.0), "ankle_angle": (-25.0, 25.0)}  # degrees


def errors(
    model: mujoco.MjModel, reference: OpenSimReference, muscles: Sequence[str], step: float = 2.5
) -> list[Errors]:
    """Scan each joint each muscle crosses; both of OpenSim's moment arms (see ``reference_arms``)."""

    def rms(x: np.ndarray) -> float:
        return float(np.sqrt(np.mean(x**2)))

    out = []
    for i, (joint, (low, high)) in enumerate(SCANS.items()):
        qpos = np.zeros((round((high - low) / step) + 1, 3))
        qpos[:, i] = np.radians(np.linspace(low, high, len(qpos)))
        poses = as_poses(qpos)
        names = [f"{m}_r" for m in muscles]
        ref_length = reference.lengths(names, poses)
        by_length = reference.moment_arms(names, poses, f"{joint}_r")
        by_force = reference.moment_arms(names, poses, f"{joint}_r", step=None)
        for k, muscle in enumerate(muscles):
            if np.ptp(ref_length[:, k]) < 1e-6:  # does not cross this joint
                continue
            lengths, arms = TendonPath(model, muscle).evaluate(qpos)
            change = lengths - ref_length[:, k]
            out.append(
                Errors(
                    muscle,
                    joint,
                    rms(arms[:, i] - by_length[:, k]),
                    rms(arms[:, i] - by_force[:, k]),
                    rms(change - change.mean()),
                )
            )
    return out


def fiber_length_errors(
    model: mujoco.MjModel, reference: OpenSimReference, muscles: Sequence[str], walk: np.ndarray
) -> dict[str, float]:
    """RMS over the walk of the difference in normalised fiber length (rigid tendon, along the tendon)."""
    names = [f"{m}_r" for m in muscles]
    lengths = reference.lengths(names, as_poses(walk))
    out = {}
    for k, muscle in enumerate(muscles):
        c = reference.constants(names[k])
        theirs = (lengths[:, k] - c.tendon_slack_length) / (c.optimal_fiber_length * np.cos(c.pennation_angle))
        actuator = model.actuator(muscle)
        r0, r1 = actuator.gainprm[:2]
        lr0, lr1 = actuator.lengthrange
        ours = r0 + (TendonPath(model, muscle).evaluate(walk)[0] - lr0) * (r1 - r0) / (lr1 - lr0)
        out[muscle] = float(np.sqrt(np.mean((ours - theirs) ** 2)))
    return out


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="fit assets/knee/knee.xml to an OpenSim leg")
    parser.add_argument("model", type=Path, help="subject_walk_scaled.osim")
    parser.add_argument("--coordinates", type=Path, help="a walk (.sto, radians) whose poses are fitted too")
    parser.add_argument("--out", type=Path, default=ROOT / "assets" / "knee" / "knee.xml")
    parser.add_argument("--starts", type=int, default=4, help="random restarts a muscle")
    args = parser.parse_args(argv)
    leg = measure_leg(OpenSimReference(args.model))
    walk = read_walk(args.coordinates)
    paths, offsets = {}, {}
    for name, path in initial_paths(leg).items():
        paths[name], fit = fit_muscle(leg, name, path, walk[::45], args.starts)
        offsets[name] = fit.offset
        print(
            f"{name}: length {fit.length_rms / MM:.2f} mm, offset {fit.offset / MM:+.1f} mm, barrier {fit.barrier / MM:.2f} mm"
        )
    args.out.write_text(mjcf(leg, paths, offsets))
    report(args.out, leg.reference, walk)
    return 0


def report(xml: Path, reference: OpenSimReference, walk: np.ndarray) -> None:
    """Print the README's table for a finished file."""
    model = mujoco.MjModel.from_xml_path(str(xml))
    muscles = [model.actuator(i).name for i in range(model.nu)]
    fibers = fiber_length_errors(model, reference, muscles, walk) if walk.size else {}
    print(
        "| muscle | joint | moment arm, -dL/dq | moment arm, OpenSim's | length change | fiber length, walk | largest arm step, 0.25 deg |"
    )
    print("|---|---|---|---|---|---|---|")
    for e in errors(model, reference, muscles):
        low, high = LIMITS[e.joint]
        _, jump = roughness(model, e.muscle, e.joint, np.zeros(3), np.radians(np.arange(low, high + 0.1, 0.25)))
        fiber = f"{fibers[e.muscle]:.4f}" if e.muscle in fibers else ""
        numbers = " | ".join(f"{x / MM:.2f}" for x in (e.arm_by_length, e.arm_by_force, e.length))
        print(f"| {e.muscle} | {e.joint} | {numbers} | {fiber} | {jump / MM:.2f} |")


if __name__ == "__main__":
    raise SystemExit(main())
