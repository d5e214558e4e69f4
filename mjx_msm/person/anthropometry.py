"""What to expect of a person's limb segments before any recording: from body mass, height and sex.

**Means** are those of de Leva 1996 (*J Biomech* 29:1223–1230, doi 10.1016/0021-9290(95)00178-6, table 4), who referred
Zatsiorsky and Seluyanov's gamma-ray scans of young Caucasian women and men to the joint centres. The numbers were taken
from three transcriptions: the tables ``BSP*_ZdeLeva.txt`` of github.com/BMClab/BMC (without lengths), those in
``data/zats-tables`` and ``data/zatz-tables`` of github.com/wspr/body-segment-param (without masses), and R. Gurchiek's
``deleva.m``, complete. They agree but for one slip, 423.3 for 432.3 mm from the female knee to the malleolus in the
second. A fourth, Visual3D's page, differs in one number, 63.1 for 53.1 of the female hand's first radius of gyration.
Both slips show in millimetres, where the table's alternative endpoints of a segment have to give the same distances.

**Spreads** are ours, rounded from what others found; the transcriptions hold none.

- Mass, 15 % (`MASS_SD`): 12.5, 20, 13, 7 and 10 % of the mean for upper arm, forearm, thigh, shank and foot of Chinese
  adults by magnetic resonance (Cheng et al. 2000, *Clinical Biomechanics*); and means of fifty young Chinese men that
  are 20, −16, −5, 7 and 7 % off de Leva's (Ho et al. 2013, *Med Sci Sports Exerc* 45:1759–1766).
- Centre of mass, 4 % of the segment's length (`COM_SD`): 5.6, 7, 3.5, 1.2 and 3.8 % for the same segments (Cheng).
- Moment of inertia, 20 %: the standard error of regressions for limb segments is 13 to 21 % even with
  measurements of the segment (Yeadon and Morlock 1989, *J Biomech* 22:683–689). A moment goes with the square of the
  factor an inertia is estimated through, hence 10 % of that (`INERTIA_SD`).

They suit adults of ordinary build, and are too narrow for children, very heavy people and amputees.

**Axes.** A segment's *longitudinal* axis runs from its proximal to its distal end, its *transverse* axis is
mediolateral (about it turn the hinges of the sagittal plane), its *sagittal* axis is perpendicular to both:
anteroposterior for a hanging limb, vertical for a foot on the floor. Radii of gyration are about these axes through
the centre of mass. The thigh holds all flesh below a plane through the iliac spine: it is heavier, and its centre of
mass higher, than that of models which cut at the hip.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import number
from mjx_msm.common.errors import InputError
from mjx_msm.common.patterns import matches
from mjx_msm.person.kinds import KINDS
from mjx_msm.person.model import Model

# De Leva's table ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Segment:
    """Mean proportions of one segment."""

    length: float
    """Of stature [-]."""
    mass: float
    """Of body mass [-]."""
    com: float
    """Of the segment's length, from its proximal end [-]."""
    gyration: tuple[float, float, float]
    """Radii of gyration about the sagittal, transverse and longitudinal axis, of the segment's length [-]."""


STATURE: Mapping[str, float] = {"female": 1.735, "male": 1.741}
"""Mean of the scanned people [m]; lengths are relative to it."""

# Length [mm], then in percent: mass, centre of mass, radii of gyration (sagittal, transverse, longitudinal). Ends are
# joint centres, but: the hand ends at its third metacarpale, the foot reaches from heel to toe tip.
_PRINTED: Mapping[str, Mapping[str, tuple[float, float, float, float, float, float]]] = {
    "female": {
        "upper_arm": (275.1, 2.55, 57.54, 27.8, 26.0, 14.8),
        "forearm": (264.3, 1.38, 45.59, 26.1, 25.7, 9.4),
        "hand": (78.0, 0.56, 74.74, 53.1, 45.4, 33.5),
        "thigh": (368.5, 14.78, 36.12, 36.9, 36.4, 16.2),
        "shank": (438.6, 4.81, 43.52, 26.7, 26.3, 9.2),
        "foot": (228.3, 1.29, 40.14, 29.9, 27.9, 13.9),
    },
    "male": {
        "upper_arm": (281.7, 2.71, 57.72, 28.5, 26.9, 15.8),
        "forearm": (268.9, 1.62, 45.74, 27.6, 26.5, 12.1),
        "hand": (86.2, 0.61, 79.00, 62.8, 51.3, 40.1),
        "thigh": (422.2, 14.16, 40.95, 32.9, 32.9, 14.9),
        "shank": (440.3, 4.33, 43.95, 25.1, 24.6, 10.2),
        "foot": (258.1, 1.37, 44.15, 25.7, 24.5, 12.4),
    },
}

SEGMENTS: Mapping[str, Mapping[str, Segment]] = {
    sex: {
        name: Segment(
            length=length / 1000 / STATURE[sex],
            mass=mass / 100,
            com=com / 100,
            gyration=(sagittal / 100, transverse / 100, longitudinal / 100),
        )
        for name, (length, mass, com, sagittal, transverse, longitudinal) in table.items()
    }
    for sex, table in _PRINTED.items()
}
"""Segments by sex and name."""

# Segments that continue one another along one axis. A foot is at an angle to its shank: no chain holds both.
CHAINS = (("upper_arm", "forearm", "hand"), ("thigh", "shank"), ("foot",))

MASS_SD = 0.15
"""Standard deviation of a segment's mass [-, of the mean]."""
COM_SD = 0.04
"""Standard deviation of the place of its centre of mass [-, of the segment's length]."""
INERTIA_SD = 0.10
"""Standard deviation of the factor of its inertia [-]; twice that for a moment of inertia."""

BUNDLED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "arm": {"humerus": ("upper_arm",), "forearm": ("forearm", "hand")},
    "knee": {"femur": ("thigh",), "tibia": ("shank",), "foot": ("foot",)},
}
"""What the bodies of the bundled models stand for."""

USUAL: Mapping[str, tuple[str, ...]] = {
    "femur": ("thigh",),
    "tibia": ("shank",),
    "talus": ("foot",),
    "humerus": ("upper_arm",),
    "ulna_radius_hand": ("forearm", "hand"),
}
"""What OpenSim's bodies stand for, without the side."""

# A body this much shorter or longer than the segment it is said to be is another one (or the file is in millimetres).
_PLAUSIBLE = (0.4, 2.5)
# With a least moment above this part of the next one a body has no long axis.
_ROUND = 0.8


@dataclass(frozen=True)
class Limb:
    """One or more segments in line, stiff as one body."""

    mass: float
    """[kg]."""
    length: float
    """[m]."""
    com: float
    """Distance of the centre of mass from the proximal end [m]."""
    moments: tuple[float, float, float]
    """Of inertia about the sagittal, transverse and longitudinal axis through the centre of mass [kg·m²]."""


def limb(segments: str | Sequence[str], *, mass: float, height: float, sex: str, length: float | None = None) -> Limb:
    """The mean segment, or straight run of segments, of people of this body mass, height and sex.

    **Arguments:**

    - `segments`: names of `SEGMENTS`, from proximal to distal, e.g. ``("forearm", "hand")``.
    - `mass`: of the whole body [kg].
    - `height`: [m].
    - `sex`: ``"female"`` or ``"male"``.
    - `length`: of the whole run [m]; None: its mean share of the height. A run divides it as the average person.

    **Raises:** `InputError` naming what is not known or implausible.
    """
    names = _run(segments)
    _check_person(mass, height, sex)
    table = [SEGMENTS[sex][name] for name in names]
    ratio = sum(s.length for s in table)
    total = height * ratio if length is None else length
    lengths = np.array([total * s.length / ratio for s in table])
    masses = mass * np.array([s.mass for s in table])
    places = np.cumsum(lengths) - lengths + lengths * [s.com for s in table]
    com = float(masses @ places / masses.sum())
    moments = masses[:, None] * (lengths[:, None] * [s.gyration for s in table]) ** 2
    moments[:, :2] += (masses * (places - com) ** 2)[:, None]  # parallel axes, off the common long one
    sagittal, transverse, longitudinal = map(float, moments.sum(axis=0))
    return Limb(float(masses.sum()), float(total), com, (sagittal, transverse, longitudinal))


def _run(segments: str | Sequence[str]) -> tuple[str, ...]:
    names = (segments,) if isinstance(segments, str) else tuple(segments)
    known = [name for chain in CHAINS for name in chain]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(known)}"
            raise InputError(f"segment '{name}' is unknown; {hint}")
    if not any(names and names == chain[i : i + len(names)] for chain in CHAINS for i in range(len(chain))):
        raise InputError(
            f"segments {', '.join(names) or '(none)'} are no straight limb; name neighbours from proximal to distal, "
            "e.g. forearm, hand"
        )
    return names


def _check_person(mass: float, height: float, sex: str) -> None:
    if sex not in SEGMENTS:
        raise InputError(f"sex '{sex}' is unknown; give 'female' or 'male'")
    if not 2 <= number("body mass", mass) <= 400:
        raise InputError(f"body mass {mass:g} kg is implausible, expected 2 to 400 kg; correct it")
    if not 0.4 <= number("height", height) <= 2.6:
        hint = f"give metres, {height / 100:g}" if 40 <= height <= 260 else "correct it"
        raise InputError(f"height {height:g} m is implausible, expected 0.4 to 2.6 m; {hint}")


# On a model -----------------------------------------------------------------------------------------------


def segment_priors(
    model: Model,
    *,
    mass: float,
    height: float,
    sex: str,
    segments: Mapping[str, str | Sequence[str]] | None = None,
    free: Iterable[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Priors of body masses, centres of mass and inertias of this person, for `parameter_space` and `identify`.

    The person's size enters through masses. Lengths are the *model's*: from a body's first joint to the next one.
    Motion and moments are referred to that skeleton, and a centre of mass has to lie on it as it lies on the person's.
    Where the model has no next joint (forearm with hand, foot) the length is the person's height times de Leva's ratio,
    and the long axis the one of least inertia.

    - *Mass*: mean and relative spread.
    - *Centre of mass*: its place along the long axis is de Leva's; across it the model's own is kept, with the
      default spread. A foot gets none: its length is counted from the heel, which is no joint.
    - *Inertia*: principal along the segment's axes. The transverse one is that of the body's hinge; where there is
      not exactly one hinge, across the limb, sagittal and transverse moments are both their mean.

    **Arguments:**

    - `mass`: of the whole body [kg].
    - `height`: [m].
    - `sex`: ``"female"`` or ``"male"``.
    - `segments`: body to the segment it stands for, or to those of a straight limb stiff as one, e.g.
      ``{"ulna": ("forearm", "hand")}``; ``()`` for none. The bodies of ``"arm"`` and ``"knee"`` are known (`BUNDLED`),
      any other body that is not named gets no prior. A body stands for one limb, so a left and a right leg are named
      apart, and a segment made of several bodies cannot be named.
    - `free`: only what these patterns free, as `identify` takes them; it refuses a prior of anything else.

    **Returns:** path to prior, e.g. ``{"body/tibia/mass": {"mean": 3.7, "relative_sd": 0.15}}``.

    **Raises:** `InputError` naming the body, segment or number that cannot be.
    """
    _check_person(mass, height, sex)
    known = _known(model, segments or {})
    out: dict[str, dict[str, Any]] = {}
    for body, names in known.items():
        k = model.nominal.names.body.index(body)
        frame = _frame(model, k, names, known)
        if frame.length is not None:
            usual = height * sum(SEGMENTS[sex][name].length for name in names)
            if not _PLAUSIBLE[0] <= frame.length / usual <= _PLAUSIBLE[1]:
                raise InputError(
                    f"body '{body}' is {frame.length:.3g} m long to its next joint, {' with '.join(names)} of this "
                    f"person about {usual:.2g} m; name another body in segments"
                )
        expected = limb(names, mass=mass, height=height, sex=sex, length=frame.length)
        out[f"body/{body}/mass"] = {"mean": expected.mass, "relative_sd": MASS_SD}
        if frame.axis is None:
            continue
        if names[0] != "foot":
            own = np.asarray(model.nominal.body.com)[k]
            place = own + (expected.com - (own - frame.origin) @ frame.axis) * frame.axis
            along, across = COM_SD * expected.length, KINDS["body", "com"].prior_scale
            spread = np.sqrt((along * frame.axis) ** 2 + across**2 * (1 - frame.axis**2))
            for c, m, s in zip("xyz", place, spread, strict=True):
                out[f"body/{body}/com/{c}"] = {"mean": float(m), "sd": float(s)}
        inertia = _inertia(expected.moments, frame)
        out[f"body/{body}/inertia"] = {"mean": inertia.tolist(), "relative_sd": INERTIA_SD}
    return out if free is None else _freed(out, model, free)


def segment_bodies(model: Model, segments: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Which bodies stand for which segments: as given, else as the bundled models and OpenSim's names say.

    **Raises:** `InputError` naming a body or segment that is not known.
    """
    bundled = model.host.source in BUNDLED
    return _known(model, ({} if bundled else usual_bodies(model)) | dict(segments))


def usual_bodies(model: Model) -> dict[str, tuple[str, ...]]:
    """What bodies called as in OpenSim's models stand for."""
    bodies, out = model.nominal.names.body, {}
    parents = {b.name: b.parent.name for b in model.host.spec.bodies[1:]}
    for body in bodies:
        bone = re.sub(r"^[rl]_|_[rl]$", "", body)
        below = [b for b in bodies if parents[b] == body]
        if bone in USUAL and not (USUAL[bone] == ("foot",) and below):  # a foot of several bodies is no segment
            out[body] = USUAL[bone]
    return out


def segment_length(model: Model, body: str, segments: Mapping[str, str | Sequence[str]]) -> float | None:
    """From a body's first joint to the next segment's [m]; None where the model has none."""
    known = segment_bodies(model, segments)
    return _frame(model, model.nominal.names.body.index(body), known[body], known).length


def _known(model: Model, segments: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    bodies = model.nominal.names.body
    out = dict(BUNDLED.get(model.host.source, {}))
    for body, names in segments.items():
        if body not in bodies:
            close = difflib.get_close_matches(body, bodies, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(bodies)}"
            raise InputError(f"model '{model.host.source}' has no moving body '{body}' with mass; {hint}")
        out.pop(body, None)
        if names:
            try:
                out[body] = _run(names)
            except InputError as error:
                raise InputError(f"body '{body}': {error}") from None
    return out


def _freed(priors: Mapping[str, Any], model: Model, free: Iterable[str]) -> dict[str, Any]:
    """The priors of what is freed; a pattern that matches nothing is for `parameter_space` to name."""
    patterns = tuple(free)
    paths = [p for p in model.nominal.to_dict() if p.startswith("body/")]
    freed = {
        p for p in paths for f in patterns if p == f or p.startswith(f"{f}/") or matches(p, f) or matches(p, f"{f}/*")
    }
    freed |= {p.rsplit("/", 1)[0] for p in freed if p.split("/")[-2] == "inertia"}  # freed whole
    return {path: prior for path, prior in priors.items() if path in freed}


@dataclass(frozen=True)
class _Frame:
    """Where a limb lies in its body's frame."""

    origin: Float[np.ndarray, "3"]
    """Its proximal joint [m]."""
    axis: Float[np.ndarray, "3"] | None
    """Unit vector to its distal end; None where nothing tells."""
    hinge: Float[np.ndarray, "3"] | None
    """Unit vector of its transverse axis, perpendicular to `axis`."""
    length: float | None
    """[m]; None where the model has no distal joint."""


def _frame(model: Model, k: int, names: tuple[str, ...], known: Mapping[str, tuple[str, ...]]) -> _Frame:
    m, b = model.host.mj_model, int(model.host.body_ids[k])
    joints = range(m.body_jntadr[b], m.body_jntadr[b] + m.body_jntnum[b])
    origin = m.jnt_pos[joints[0]].copy() if joints else np.zeros(3)
    distal = _distal_joint(model, b, names, known)
    axis = length = None
    if distal is not None:
        length = float(np.linalg.norm(distal - origin))
        axis = (distal - origin) / max(length, 1e-9)
    else:
        xx, yy, zz, xy, xz, yz = np.asarray(model.nominal.body.inertia)[k]
        values, vectors = np.linalg.eigh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        if values[0] < _ROUND * values[1]:
            towards = (np.asarray(model.nominal.body.com)[k] - origin) @ vectors[:, 0]
            axis = vectors[:, 0] * (1.0 if towards >= 0 else -1.0)
    hinge = None
    if axis is not None and len(joints) == 1 and m.jnt_type[joints[0]] == mujoco.mjtJoint.mjJNT_HINGE:
        across = m.jnt_axis[joints[0]] - (m.jnt_axis[joints[0]] @ axis) * axis
        if np.linalg.norm(across) > np.sqrt(0.5):  # otherwise it turns the limb about its own axis
            hinge = across / np.linalg.norm(across)
    return _Frame(origin, axis, hinge, length)


def _distal_joint(
    model: Model, body: int, names: tuple[str, ...], known: Mapping[str, tuple[str, ...]]
) -> Float[np.ndarray, "3"] | None:
    """Where the next segment's joint lies in a body's frame [m]; None if there is none, or no telling which."""
    chain = next(c for c in CHAINS if names[0] in c)
    following = chain[chain.index(names[-1]) + 1 :]
    if names[-1] in ("hand", "foot"):  # fingers and toes begin before these segments end
        return None
    if names[-1] == "shank":
        following = ("foot",)
    m = model.host.mj_model
    found: list[tuple[bool, np.ndarray]] = []

    def search(parent: int, place: np.ndarray, turn: np.ndarray) -> None:
        for child in np.flatnonzero(m.body_parentid == parent):
            if child == 0:  # the world is its own parent
                continue
            rotation = np.zeros(9)
            mujoco.mju_quat2Mat(rotation, m.body_quat[child])
            at, turned = place + turn @ m.body_pos[child], turn @ rotation.reshape(3, 3)
            if m.body_jntnum[child]:
                segment = known.get(m.body(int(child)).name, ("",))[0]
                found.append((segment in following[:1], at + turned @ m.jnt_pos[m.body_jntadr[child]]))
            else:  # welded on: what hangs on it hangs on the limb
                search(int(child), at, turned)

    search(body, np.zeros(3), np.eye(3))
    named = [place for is_next, place in found if is_next]
    places = named or [place for _, place in found]
    return places[0] if len(places) == 1 else None


def _inertia(moments: tuple[float, float, float], frame: _Frame) -> Float[np.ndarray, "6"]:
    """(xx, yy, zz, xy, xz, yz) in the body's axes [kg·m²]."""
    sagittal, transverse, longitudinal = moments
    assert frame.axis is not None
    along = np.outer(frame.axis, frame.axis)
    if frame.hinge is None:
        full = 0.5 * (sagittal + transverse) * (np.eye(3) - along) + longitudinal * along
    else:
        third = np.cross(frame.axis, frame.hinge)
        hinge = np.outer(frame.hinge, frame.hinge)
        full = sagittal * np.outer(third, third) + transverse * hinge + longitudinal * along
    return full[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
