"""Muscle and inertia parameters of an OpenSim model or a CEINMS subject, by name onto a model that is there.

Names match as they are, without the side (``recfem`` and ``recfem_r``), and between the two families of leg models
(`ALIASES`). Force and fiber length are taken along the tendon (times the cosine of the pennation). A tendon slack
length belongs to its path: what our path is longer than the other one's is added, known from the import of the model
(`mjx_msm.person.from_osim`) or measured in the posture of all zeros, which conventions of sign share.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import equinox as eqx
import mujoco
import numpy as np

from mjx_msm.common.arguments import of_kind, path_of, table
from mjx_msm.common.errors import InputError, in_one_line, suggest
from mjx_msm.person.from_osim.importing import OFFSETS
from mjx_msm.person.from_osim.opened import OpenedModel
from mjx_msm.person.from_osim.skeleton import skeleton_of
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import BodyParameters
from mjx_msm.person.scaling import described_by

ALIASES: Mapping[str, str] = {
    "recfem": "rect_fem", "vasmed": "vas_med", "vasint": "vas_int", "vaslat": "vas_lat", "bflh": "bifemlh",
    "bfsh": "bifemsh", "gasmed": "med_gas", "gaslat": "lat_gas", "tibant": "tib_ant", "tibpost": "tib_post",
    "sart": "sar", "perlong": "per_long", "perbrev": "per_brev", "edl": "ext_dig", "ehl": "ext_hal", "fdl": "flex_dig",
    "fhl": "flex_hal", "addlong": "add_long", "addbrev": "add_brev", "piri": "peri", "glmed1": "glut_med1",
    "glmed2": "glut_med2", "glmed3": "glut_med3", "glmin1": "glut_min1", "glmin2": "glut_min2", "glmin3": "glut_min3",
    "glmax1": "glut_max1", "glmax2": "glut_max2", "glmax3": "glut_max3",
}  # fmt: skip
"""Rajagopal's names and gait2392's."""


@dataclass(frozen=True)
class Muscle:
    """As another program's file states it."""

    max_isometric_force: float
    """[N]."""
    optimal_fiber_length: float
    """[m]."""
    tendon_slack_length: float
    """[m]."""
    pennation: float = 0.0
    """[rad]."""


@dataclass(frozen=True)
class Applied:
    """The model with what matched, and a table of it: ``print(applied)``."""

    model: Model
    source: Path
    muscles: Mapping[str, str]
    """Muscle of the model → of the file."""
    bodies: Mapping[str, str]
    """Body of the model → of the file, and what was taken over."""
    without: tuple[str, ...]
    """Muscles of the model that the file does not have; they keep their parameters."""
    unused: tuple[str, ...]
    """Muscles of the file that the model does not have."""
    changes: Mapping[str, tuple[float, float, float]]
    """Muscle → new over old F0, l_opt and l_slack."""

    def __str__(self) -> str:
        width = max([6, *map(len, self.muscles)])
        lines = [f"{'muscle':{width}}  F0 ×    l_opt ×  l_slack ×  from {self.source.name}"]
        for name, other in self.muscles.items():
            force, fiber, slack = self.changes[name]
            lines.append(f"{name:{width}}  {force:5.3f}   {fiber:5.3f}    {slack:5.3f}      {other}")
        lines += [f"body {name}: {what}" for name, what in self.bodies.items()]
        for what, names in (("not in the file, kept", self.without), ("not in the model", self.unused)):
            if names:
                more = f" and {len(names) - 8} more" if len(names) > 8 else ""
                lines.append(f"{what}: {', '.join(names[:8])}{more}")
        return "\n".join(lines)


def apply_osim(model: Model, path: str | Path, *, names: Mapping[str, str] | None = None, side: str = "r") -> Applied:
    """An OpenSim model's forces, fiber and slack lengths, masses and inertias.

    Centres of mass and inertias need the same body frames: those of an imported model. Elsewhere a body's mass is taken
    over and its inertia goes with it.

    **Arguments:** `names`: muscle of the model to that of the file, where they do not match; `side`: ``"r"`` or
    ``"l"``, preferred where the model's names have none.

    **Raises:** `InputError` if the file is no OpenSim model, or nothing matches.
    """
    of_kind("model", model, Model, "load_model makes one")
    opened = OpenedModel(path)
    opened.pose(dict.fromkeys((c.name for c in opened.coordinates.values() if c.rotational), 0.0))
    there = {name: m.getLength(opened.state) for name, m in opened.muscles.items()}
    found = {
        name: Muscle(
            m.get_max_isometric_force(),
            m.get_optimal_fiber_length(),
            m.get_tendon_slack_length(),
            m.get_pennation_angle_at_optimal(),
        )
        for name, m in opened.muscles.items()
    }
    applied = _with_muscles(model, opened.path, found, names or {}, side, there)
    body, told = _bodies(applied.model, opened, side)
    nominal = eqx.tree_at(lambda p: p.body, applied.model.nominal, body)
    return replace(applied, model=described_by(applied.model, nominal, []), bodies=told)


def apply_ceinms(
    model: Model,
    path: str | Path,
    *,
    names: Mapping[str, str] | None = None,
    side: str = "r",
    geometry: str | Path | None = None,
) -> Applied:
    """A CEINMS subject's muscles: F0 times the strength coefficient, fiber and tendon slack lengths.

    Its activation filter and EMG shape are not taken over: here they belong to channels, not to muscles.

    **Arguments:** `geometry`: the .osim file the subject was calibrated on, by which our paths' offsets are known where
    the model was not imported; the rest as in `apply_osim`.

    **Raises:** `InputError` if the file is no CEINMS subject, a number is missing, or nothing matches.
    """
    of_kind("model", model, Model, "load_model makes one")
    path = path_of("the CEINMS subject", path)
    found = read_ceinms(path)
    there = {}
    if geometry is not None:
        opened = OpenedModel(geometry)
        opened.pose(dict.fromkeys((c.name for c in opened.coordinates.values() if c.rotational), 0.0))
        there = {name: m.getLength(opened.state) for name, m in opened.muscles.items()}
    return _with_muscles(model, path, found, names or {}, side, there)


def read_ceinms(path: Path) -> dict[str, Muscle]:
    """The muscles of a CEINMS subject file, by name.

    **Raises:** `InputError` naming the muscle and the number.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the path of a CEINMS subject")
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as e:
        raise InputError(f"{path}: is not XML ({in_one_line(e)}); export it again") from e
    elements = root.findall("./muscles/muscle") or root.findall("./mtuSet/mtu")
    if root.tag != "subject" or not elements:
        raise InputError(
            f"{path}: is no CEINMS subject, which holds <subject><muscles>; give the calibrated subject's XML"
        )
    out = {}
    for element in elements:
        name = (element.findtext("name") or "").strip()

        def number(key: str, otherwise: float | None = None, element=element, name: str = name) -> float:
            text = element.findtext(key)
            try:
                value = otherwise if text is None else float(text)
            except ValueError:
                value = None
            if value is None or not math.isfinite(value):
                raise InputError(f"{path}: muscle '{name}': {key} is {text!r}, expected a number; correct it")
            return value

        angle = number("pennationAngle", 0.0)
        if root.find("./mtuSet") is None:
            angle = math.radians(angle)  # CEINMS itself counts in radians, CEINMS-RT in degrees
        out[name] = Muscle(
            number("maxIsometricForce") * number("strengthCoefficient", 1.0),
            number("optimalFiberLength"),
            number("tendonSlackLength"),
            angle,
        )
    return out


def _with_muscles(
    model: Model,
    path: Path,
    found: Mapping[str, Muscle],
    names: Mapping[str, str],
    side: str,
    there: Mapping[str, float],
) -> Applied:
    if side not in ("r", "l"):
        raise InputError(f"side '{side}' is unknown; give 'r' or 'l'")
    matched = matches(model.muscles, found, table("names", names), side)
    if not matched:
        raise InputError(
            f"{path}: none of its muscles is called like one of the model's ({', '.join(model.muscles[:4])}, …); give "
            "names"
        )
    force, fiber, slack = (
        np.array(a, float)
        for a in (
            model.nominal.muscle.max_isometric_force,
            model.nominal.muscle.optimal_fiber_length,
            model.nominal.muscle.tendon_slack_length,
        )
    )
    before, own = np.stack([force, fiber, slack]), np.asarray(model.nominal.muscle.pennation_angle, float)
    offsets = _offsets(model, matched, there)
    for name, other in matched.items():
        k, muscle = model.muscles.index(name), found[other]
        along = math.cos(muscle.pennation) / math.cos(own[k])  # of fibers that have pennation here, too
        force[k], fiber[k] = muscle.max_isometric_force * along, muscle.optimal_fiber_length * along
        slack[k] = muscle.tendon_slack_length + offsets[name]
    nominal = eqx.tree_at(
        lambda p: (p.muscle.max_isometric_force, p.muscle.optimal_fiber_length, p.muscle.tendon_slack_length),
        model.nominal,
        (force, fiber, slack),
    )
    ratio = np.stack([force, fiber, slack]) / before
    return Applied(
        described_by(model, nominal, [f"muscles of {path.name}: {', '.join(matched)}"]),
        path,
        matched,
        {},
        tuple(m for m in model.muscles if m not in matched),
        tuple(m for m in found if m not in matched.values()),
        {name: tuple(float(x) for x in ratio[:, model.muscles.index(name)]) for name in matched},  # type: ignore[misc]
    )


def matches(ours: Iterable[str], theirs: Iterable[str], names: Mapping[str, str], side: str) -> dict[str, str]:
    """Ours → theirs, where they are the same muscle.

    **Raises:** `InputError` for a name that is not there.
    """
    ours, theirs = list(ours), list(theirs)
    for mine, other in names.items():
        if mine not in ours:
            raise InputError(f"names: the model has no muscle '{mine}'{suggest(mine, ours, limit=20)}")
        if other not in theirs:
            raise InputError(f"names: the file has no muscle '{other}'{suggest(other, theirs, limit=20)}")
    folded = {t.casefold(): t for t in theirs}
    out = {}
    for mine in ours:
        bone = re.sub(r"_[rl]$", "", mine.casefold())
        end = mine.casefold()[len(bone) :] or f"_{side}"
        other = {**ALIASES, **{v: k for k, v in ALIASES.items()}}.get(bone, bone)
        options = [mine.casefold(), bone + end, bone, other + end, other]
        hit = names.get(mine) or next((folded[o] for o in options if o in folded), None)
        if hit is not None:
            out[mine] = hit
    return out


def _offsets(model: Model, matched: Mapping[str, str], there: Mapping[str, float]) -> dict[str, float]:
    """What our paths are longer than the file's [m]."""
    kept = next((np.array(n.data) for n in model.host.spec.numerics if n.name == OFFSETS), None)
    if kept is not None and len(kept) == len(model.muscles):
        return {name: float(kept[model.muscles.index(name)]) for name in matched}
    m = model.host.mj_model
    d = mujoco.MjData(m)
    mujoco.mj_forward(m, d)
    here = {m.actuator(i).name: float(d.actuator_length[i]) for i in range(m.nu)}
    return {name: here[name] - there[other] if other in there else 0.0 for name, other in matched.items()}


def _bodies(model: Model, opened: OpenedModel, side: str) -> tuple[BodyParameters, dict[str, str]]:
    body, names = model.nominal.body, model.nominal.names.body
    mass, com, inertia = (np.array(a, float) for a in (body.mass, body.com, body.inertia))
    told = {}
    imported = any(n.name == OFFSETS for n in model.host.spec.numerics)
    if imported and set(model.coordinates) <= set(opened.coordinates):
        for name, fused in skeleton_of(opened, model.coordinates).bodies.items():
            if name in names:
                k = names.index(name)
                mass[k], com[k], full = fused.inertia()
                inertia[k] = full[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
                told[name] = "mass, centre and inertia"
        return BodyParameters(mass, com, inertia), told
    for name, other in matches(names, opened.bodies, {}, side).items():
        k = names.index(name)
        new = opened.bodies[other].getMass()
        if new > 0:
            inertia[k] *= new / mass[k]
            mass[k] = new
            told[name] = f"mass of {other}; its frame is another, so that centre and inertia per mass are kept"
    return BodyParameters(mass, com, inertia), told
