"""A model at a person's size: geometry, inertias, muscles.

Every body has a factor. Where it comes from, the first that applies: `factors`, `segments`, `markers`, `height`; a body
that none of them reaches takes the mean of the others. Then

- *geometry* (joints, path points, wraps, bones, markers) goes with the body's factor, in the body's axes; so does the
  world, ``"world"``, where bodies that are held are one with it;
- *slides* (a knee's rolling, a patella) go as far as their parent is large, in what they follow, too;
- *inertias* are de Leva's where the body stands for a segment and mass, sex and height are known
  (`mjx_msm.person.anthropometry`); of other bodies mass goes with the person's mass, or with volume where it is not
  given, and the inertia with both;
- *l_opt* and *l_slack* of a muscle go with its path's length in the reference posture, as in OpenSim's ScaleTool;
- *F0* goes with the muscle's volume over its fiber length. Volume goes with that of the lower limb's muscles in 24
  people, 47 cm³/(kg·m)·mass·height + 1285 cm³ (Handsfield et al. 2014, *J Biomech* 47:631–638, doi
  10.1016/j.jbiomech.2013.12.002), over that of the person the model describes, whose mass and height are read off its
  segments by the same tables. For arms the same proportion is assumed. Without `mass`, F0 stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from mjx_msm.common.arguments import number, of_kind, table
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError, one_of, suggest
from mjx_msm.person.anthropometry import SEGMENTS, segment_bodies, segment_length, segment_priors
from mjx_msm.person.inertia import inertia_matrix
from mjx_msm.person.model import Model, model_of
from mjx_msm.person.muscle import MujocoMuscle
from mjx_msm.person.parameters import BodyParameters
from mjx_msm.person.personalisation import native_muscles, personalised_spec
from mjx_msm.person.scaled_geometry import WORLD, holds_paths, scale_geometry
from mjx_msm.person.scaled_joints import scale_joints, scale_lengths, tendon_lengths

SMALLEST, LARGEST = 0.3, 3.0
"""A body's factor beyond these is a mistake of units or names."""
_FLAT = 1e-9
Factors = Mapping[str, float | Sequence[float]]


def muscle_volume(mass: float, height: float) -> float:
    """Of all muscles of one lower limb [cm³], from mass [kg] and height [m] (Handsfield et al. 2014)."""
    return 47.0 * mass * height + 1285.0


@dataclass(frozen=True)
class Described:
    """The person a model describes, as far as its segments tell."""

    mass: float
    """[kg]."""
    height: float
    """[m]."""


def described(model: Model, sex: str | None = None, bodies: Mapping[str, Any] | None = None) -> Described | None:
    """Whose segments these would be by de Leva's means; None where no body stands for a segment.

    **Arguments:** `sex`: None: the mean of both.
    """
    known = segment_bodies(model, bodies or {})
    heights, masses, shares = [], 0.0, 0.0
    for body, names in known.items():
        length = segment_length(model, body, bodies or {})
        if length is not None:
            heights.append(length / _share(sex, names, "length"))
        masses += float(np.asarray(model.nominal.body.mass)[model.nominal.names.body.index(body)])
        shares += _share(sex, names, "mass")
    if not heights or not shares:
        return None
    return Described(masses / shares, float(np.exp(np.mean(np.log(heights)))))


def scale(
    model: Model,
    *,
    height: float | None = None,
    mass: float | None = None,
    sex: str | None = None,
    segments: Mapping[str, float] | None = None,
    markers: Mapping[str, Any] | None = None,
    factors: Factors | None = None,
    bodies: Mapping[str, str | Sequence[str]] | None = None,
) -> Model:
    """The model at a person's size; what was done is in its ``host.notes``.

    **Arguments:**

    - `height`: [m]; every body that stands for a segment gets de Leva's mean length.
    - `mass`: of the whole body [kg].
    - `sex`: ``"female"`` or ``"male"``; None: lengths are the mean of both, and inertias are not de Leva's.
    - `segments`: measured lengths between joint centres [m], by segment (``"shank"``) or body.
    - `markers`: places [m] of markers, (3,) or (frame, 3), by the name of the model's site; two or more on a body give
      it the ratio of their distances. See `mjx_msm.recordings.static_trial`.
    - `factors`: of bodies, one number or three, along the body's axes.
    - `bodies`: body to the segment it stands for, where the name does not tell, as in `segment_priors`.

    **Raises:** `InputError` naming the number, segment, marker or body that cannot be.
    """
    of_kind("model", model, Model, "load_model makes one")
    if height is not None and not 0.4 <= number("height", height) <= 2.6:
        raise InputError(f"height {height:g} m is implausible, expected 0.4 to 2.6 m; give metres")
    if mass is not None and not 2 <= number("mass", mass) <= 400:
        raise InputError(f"mass {mass:g} kg is implausible, expected 2 to 400 kg; correct it")
    if sex is not None:
        one_of("sex", sex, SEGMENTS)
    if height is None and mass is None and not (segments or markers or factors):
        raise InputError("there is nothing to scale by; give height, mass, segments, markers or factors")
    bodies = dict(bodies or {})
    known = segment_bodies(model, bodies)
    found = _factors(model, known, bodies, height, sex, segments or {}, markers or {}, factors or {})
    before = described(model, None, bodies)  # whose sex nobody knows
    scaled = with_factors(model, found)
    notes = [f"scaled: {', '.join(f'{b} × {_told(f)}' for b, f in found.items() if b)}"]
    nominal = scaled.nominal
    ratio = None if mass is None else _mass_ratio(model, mass, before)
    if ratio is not None:
        volume = np.prod([found.get(b, found[""]) for b in nominal.names.body], axis=1)
        nominal = eqx.tree_at(
            lambda p: (p.body.mass, p.body.inertia),
            nominal,
            (
                nominal.body.mass * ratio / volume,
                nominal.body.inertia * (ratio / volume)[:, None],
            ),
        )
    if mass is not None and sex is not None:
        of = described(scaled, sex, bodies)
        stature = height if height is not None else of.height if of is not None else None
        if stature is not None and known:
            nominal = nominal.updated(_de_leva(scaled, mass, stature, sex, bodies))
            notes.append(f"inertias of {', '.join(known)} are de Leva's for {mass:g} kg, {stature:.2f} m, {sex}")
    if mass is not None and before is not None:
        after = described(scaled, None, bodies)
        tall = height if height is not None else after.height if after is not None else before.height
        grown = muscle_volume(mass, tall) / muscle_volume(before.mass, before.height)
        fibers = np.asarray(nominal.muscle.optimal_fiber_length) / np.asarray(model.nominal.muscle.optimal_fiber_length)
        nominal = eqx.tree_at(
            lambda p: p.muscle.max_isometric_force, nominal, nominal.muscle.max_isometric_force * grown / fibers
        )
        notes.append(
            f"muscle volumes × {grown:.3f} (Handsfield 2014), from {before.mass:.0f} kg, {before.height:.2f} m"
        )
    elif mass is not None:
        notes.append("F0 kept: no body stands for a segment, so that whose strength it is cannot be told")
    return described_by(scaled, nominal, notes)


def with_factors(model: Model, factors: Mapping[str, Sequence[float]]) -> Model:
    """Geometry, masses by volume, fibers and tendons scaled by bodies' factors (three each); ``""``: all others."""
    base = _native(model)
    spec, m = base.host.spec.copy(), base.host.mj_model
    spec.compile()
    every = {name: np.asarray(factors.get(name, factors.get("", (1.0,) * 3)), float) for name in _names(model)}
    before = tendon_lengths(m)
    scale_joints(spec, m, every, model.host.locked)
    scale_geometry(spec, m, every)
    scale_lengths(spec, m, before, every)
    scaled = _like(model, model_of(spec, model.host.source, **_roles(model)), factors)
    body = [_scaled_inertia(model.nominal.body, k, every[name]) for k, name in enumerate(scaled.nominal.names.body)]
    mass, com, inertia = (np.array([b[i] for b in body]) for i in range(3))
    return described_by(scaled, eqx.tree_at(lambda p: p.body, scaled.nominal, BodyParameters(mass, com, inertia)), [])


def _factors(
    model: Model,
    known: Mapping[str, Sequence[str]],
    bodies: Mapping[str, Any],
    height: float | None,
    sex: str | None,
    segments: Mapping[str, float],
    markers: Mapping[str, Any],
    factors: Factors,
) -> dict[str, tuple[float, ...]]:
    """Three a body; under ``""`` that of all others."""
    names = _names(model)
    out: dict[str, tuple[float, ...]] = {}
    lengths = {b: segment_length(model, b, bodies) for b in known}
    if height is not None:
        for body, length in lengths.items():
            if length is not None:
                out[body] = (height * _share(sex, known[body], "length") / length,) * 3
    for body, ratio in _marker_ratios(model, table("markers", markers)).items():
        out[body] = (ratio,) * 3
    for name, wanted in table("segments", segments).items():
        mine = [b for b in known if name in (b, *known[b])]
        if not mine:
            options = [*known, *(s for run in known.values() for s in run)]
            raise InputError(f"segments: the model has no segment '{name}'{suggest(name, options, limit=20)}")
        for body in mine:
            length = lengths[body]
            if length is None:
                raise InputError(
                    f"segments: {name} has no joint at its end in this model; give factors = {{'{body}': …}}"
                )
            out[body] = (number(f"length of {name}", wanted) / length,) * 3
    for name, value in table("factors", factors).items():
        if name not in names:
            raise InputError(f"factors: the model has no body '{name}'{suggest(name, names, limit=20)}")
        three = np.broadcast_to(np.asarray(value, float), 3) if np.size(value) in (1, 3) else np.full(3, np.nan)
        out[name] = (float(three[0]), float(three[1]), float(three[2]))
    for body, three in out.items():
        if not all(SMALLEST <= f <= LARGEST for f in three):
            raise InputError(
                f"body '{body}' would be scaled by {_told(three)}, expected {SMALLEST:g} to {LARGEST:g}; check the "
                "units [m] and which body stands for which segment"
            )
    mean = np.exp(np.mean([np.log(t) for t in out.values()], axis=0)) if out else np.ones(3)
    out[""] = (float(np.exp(np.log(mean).mean())),) * 3
    return out


def _names(model: Model) -> list[str]:
    """Of what has a size: the bodies, and the world where held ones are part of it."""
    bodies = [b.name for b in model.host.spec.bodies[1:]]
    return [*bodies, WORLD] if holds_paths(model.host.mj_model) else bodies


def _marker_ratios(model: Model, markers: Mapping[str, Any]) -> dict[str, float]:
    """Measured distances over the model's, of the markers on each body."""
    m = model.host.mj_model
    sites = {m.site(i).name: i for i in range(m.nsite)}
    known = {name: np.asarray(place, float) for name, place in markers.items() if name in sites}
    for name, place in known.items():
        if place.ndim not in (1, 2) or place.shape[-1] != 3:
            raise InputError(f"markers: {name} has shape {place.shape}, expected (3,) or (frame, 3)")
    if markers and not known:
        raise InputError(f"markers: the model has no site named as any of them{suggest(next(iter(markers)), sites)}")
    by_body: dict[str, list[str]] = {}
    for name in known:
        by_body.setdefault(m.body(int(m.site_bodyid[sites[name]])).name, []).append(name)
    out = {}
    for body, names in by_body.items():
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        here = [float(np.linalg.norm(m.site_pos[sites[a]] - m.site_pos[sites[b]])) for a, b in pairs]
        there = [float(np.nanmedian(np.linalg.norm(known[a] - known[b], axis=-1))) for a, b in pairs]
        if pairs and sum(here) > 0.03:  # nearer ones measure the skin
            out[body] = sum(there) / sum(here)
    if markers and not out:
        raise InputError("markers: no body of the model has two of them, 3 cm apart or more; give segments or factors")
    return out


def _share(sex: str | None, names: Sequence[str], what: str) -> float:
    """Of height or mass, by de Leva's means."""
    sexes = SEGMENTS if sex is None else (sex,)
    return float(np.mean([sum(getattr(SEGMENTS[s][n], what) for n in names) for s in sexes]))


def _mass_ratio(model: Model, mass: float, before: Described | None) -> float:
    if before is not None:
        return mass / before.mass
    return mass / float(np.sum(model.nominal.body.mass))


def _de_leva(model: Model, mass: float, height: float, sex: str, bodies: Mapping[str, Any]) -> dict[str, float]:
    """Masses, centres and inertias of the bodies that stand for segments."""
    means: dict[str, float] = {}
    for path, prior in segment_priors(model, mass=mass, height=height, sex=sex, segments=bodies).items():
        mean = prior["mean"]
        if path.endswith("/inertia"):
            means |= {f"{path}/{c}": v for c, v in zip(("xx", "yy", "zz", "xy", "xz", "yz"), mean, strict=True)}
        else:
            means[path] = mean
    return means


def _scaled_inertia(body: BodyParameters, k: int, factors: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre and inertia of a body of the same density, stretched along its axes."""
    full = np.asarray(inertia_matrix(np.asarray(body.inertia)[k]))
    second = 0.5 * np.trace(full) * np.eye(3) - full
    volume = float(np.prod(factors))
    second = volume * factors[:, None] * second * factors[None, :]
    spread, axes = np.linalg.eigh(second)
    if spread[0] < _FLAT * spread[-1]:  # a body without thickness, which rounding would make impossible
        second = (axes * np.maximum(spread, _FLAT * spread[-1])) @ axes.T
    full = np.trace(second) * np.eye(3) - second
    six = full[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    return float(np.asarray(body.mass)[k]) * volume, factors * np.asarray(body.com)[k], six


# The same model with another body ---------------------------------------------------------------------------


def _native(model: Model) -> Model:
    """The model with MuJoCo's muscle, whose parameters a file holds."""
    if isinstance(model.muscle, MujocoMuscle):
        return model
    return model_of(model.host.spec.copy(), model.host.source, **_roles(model))


def _roles(model: Model) -> dict[str, Any]:
    return {"free": model.free, "prescribed": model.prescribed, "locked": model.host.locked}


def _like(model: Model, native: Model, factors: Mapping[str, Sequence[float]]) -> Model:
    """A native model with what `model` has beside its file: its muscle, its notes, and how it was scaled."""
    before, bodies = dict(model.host.scaling), _names(model)
    one = (1.0, 1.0, 1.0)
    scaling = {}
    for b in bodies:
        old, new = before.get(b, one), factors.get(b, factors.get("", one))
        scaling[b] = tuple(float(x * y) for x, y in zip(old, new, strict=True))
    host = replace(native.host, notes=model.host.notes, scaling=scaling)
    if isinstance(model.muscle, MujocoMuscle):
        return Model(native.nominal, model.muscle, host)
    made = model_of(native.host.spec.copy(), native.host.source, muscle=model.muscle, **_roles(model))
    return Model(made.nominal, model.muscle, replace(made.host, notes=model.host.notes, scaling=scaling))


def described_by(model: Model, nominal: Any, notes: Sequence[str]) -> Model:
    """The model whose file describes these forces, lengths and bodies."""
    base = _native(model)

    def chosen(p: Any) -> tuple[Any, ...]:
        return (p.muscle.max_isometric_force, p.muscle.optimal_fiber_length, p.muscle.tendon_slack_length, p.body)

    with float64():
        along = jax.tree.map(np.asarray, replace(nominal, muscle=native_muscles(model, nominal.muscle)))
    native = eqx.tree_at(chosen, base.nominal, chosen(along))
    made = model_of(personalised_spec(base, native), model.host.source, **_roles(model))
    out = _like(model, made, {})
    host = replace(out.host, notes=(*model.host.notes, *notes), scaling=model.host.scaling)
    return Model(out.nominal, out.muscle, host)


def _told(factors: Sequence[float]) -> str:
    same = max(factors) - min(factors) < 1e-9
    return f"{factors[0]:.3f}" if same else "(" + ", ".join(f"{f:.3f}" for f in factors) + ")"
