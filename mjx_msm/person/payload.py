"""A known mass in the hand: the same person, the same unknowns, one more body.

A payload is a ball that is welded to a body of the model. Its inertia is known and adds to the body's own through the
parallel-axis theorem, which the equations of motion do by themselves once it is a body of its own. What is unknown of
the person keeps its meaning and its place in z, so that recordings with different payloads add up.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import number, of_kind
from mjx_msm.common.errors import InputError
from mjx_msm.person.mjcf import muscles_only, skeleton_of
from mjx_msm.person.model import Host, Model
from mjx_msm.person.parameters import BodyParameters, Parameters
from mjx_msm.person.space import ParameterSpace

NAME = "payload"
"""Of the body that is added."""
DENSITY = 7850.0
"""Of steel, which free weights are made of [kg/m³]: it sets the ball's small inertia about its own centre."""


@dataclass(frozen=True)
class Grip:
    """Where a payload is held."""

    body: str
    position: tuple[float, float, float]
    """Of the payload's centre of mass in the body's frame [m]."""


def find_grip(model: Model, site: str = "hand") -> Grip:
    """The place of a site of the model's file.

    **Raises:** `InputError` if there is no such site on a moving body.
    """
    m = model.host.mj_model
    moving = {m.site(s).name: s for s in range(m.nsite) if m.site_bodyid[s] in model.host.body_ids and m.site(s).name}
    if site not in moving:
        raise InputError(
            f"site '{site}' to hold a payload at is not on a moving body of the model; add it to the MJCF file, or "
            "pass grip=Grip(body, position)"
        )
    position = tuple(float(x) for x in m.site_pos[moving[site]])
    return Grip(m.body(int(m.site_bodyid[moving[site]])).name, position)  # type: ignore[arg-type]


def with_payload(model: Model, mass: float, grip: Grip | None = None) -> Model:
    """The model with a ball of steel held at a point.

    **Arguments:** `mass`: [kg]. `grip`: by default the model's site ``hand``.

    **Raises:** `InputError` if the body does not move, or the model holds a payload already.
    """
    of_kind("model", model, Model, "load_model makes one")
    mass = number("payload mass", mass)
    grip = find_grip(model) if grip is None else of_kind("grip", grip, Grip, "find_grip makes one")
    names = model.nominal.names
    if NAME in names.body:
        raise InputError("the model holds a payload already; start from the one without")
    if grip.body not in names.body:
        raise InputError(f"grip: body '{grip.body}' does not move; choose one of {', '.join(names.body)}")
    if not 0 < mass < np.inf:
        raise InputError(f"payload mass {mass:g} kg must be positive; without a payload the model is itself")
    host = _loaded(model.host, grip, float(mass))
    return Model(_with_ball(model.nominal, _bodies(host), mass), model.muscle, host)


# What is compiled for a model is found again by its host's identity: the same payload has to be the same host.
@lru_cache(maxsize=16)
def _loaded(host: Host, grip: Grip, mass: float) -> Host:
    """A model's host with one more body."""
    spec = host.spec.copy()
    spec.body(grip.body).add_body(
        name=NAME, pos=grip.position, mass=mass, ipos=np.zeros(3), inertia=_ball(mass)[:3], explicitinertial=True
    )
    m = spec.compile()
    own = muscles_only(spec, m)
    m = own.compile()
    moving = np.array([b for b in range(m.nbody) if m.body_weldid[b] != 0 and m.body_mass[b] > 0], dtype=int)
    return replace(host, spec=spec, mj_model=m, skeleton=skeleton_of(own, m), body_ids=moving)


def _bodies(host: Host) -> tuple[str, ...]:
    return tuple(host.mj_model.body(int(b)).name for b in host.body_ids)


def space_with_payload(space: ParameterSpace, model: Model, mass: float) -> ParameterSpace:
    """The same unknowns on a model `with_payload`, for a payload of `mass` [kg]; 0 is the person alone, exactly.

    Every function of the space is compiled once for all masses.
    """
    order = model.nominal.names.body
    scalars = tuple(
        replace(s, index=(order.index(s.path.split("/")[1]), *s.index[1:])) if s.group == "body" else s
        for s in space.scalars
    )
    values = {f.name: getattr(space, f.name) for f in fields(space)}
    nominal = parameters_with_payload(space.nominal, model, mass)
    return ParameterSpace(**{**values, "nominal": nominal, "scalars": scalars})


def parameters_with_payload(parameters: Parameters, model: Model, mass: float) -> Parameters:
    """The same person on a model `with_payload`, holding `mass` [kg]."""
    return _with_ball(parameters, model.nominal.names.body, mass)


def _with_ball(parameters: Parameters, order: tuple[str, ...], mass: float) -> Parameters:
    """Bodies in the order of the model that has the payload."""
    old = parameters.names.body
    ball = BodyParameters(np.array(float(mass)), np.zeros(3), _ball(mass))

    def rows(values: Any, own: Float[np.ndarray, "*entry"]) -> np.ndarray:
        return np.stack([own if b == NAME else np.asarray(values, dtype=float)[old.index(b)] for b in order])

    body = jax.tree.map(rows, parameters.body, ball)
    return eqx.tree_at(
        lambda p: p.body,
        Parameters(
            parameters.muscle,
            parameters.body,
            parameters.joint,
            parameters.emg,
            replace(parameters.names, body=order),
            parameters.strap,
        ),
        body,
    )


def _ball(mass: float) -> Float[np.ndarray, "6"]:
    """Inertia about the centre: ⅖ m r² [kg·m²]."""
    radius = (3 * mass / (4 * np.pi * DENSITY)) ** (1 / 3)
    return 0.4 * mass * radius**2 * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
