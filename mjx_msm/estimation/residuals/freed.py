"""Moments and accelerations with muscles that nobody measured, whose course is at its best for the parameters.

What drives these muscles is no parameter and no recording: at every instant residuals are r(z) + C u, with u their
forces or activations and C what these do through the moment arms. u is eliminated (`mjx_msm.estimation.
unknown_courses`), so that the loss sees what the measured muscles and the bones have to explain themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError, suggest
from mjx_msm.dynamics.geometry import Geometry
from mjx_msm.dynamics.sensitivities import (
    NOTHING,
    Factors,
    Pairs,
    acceleration_columns,
    by_entry,
    factors,
    joint_columns,
    muscle_columns,
)
from mjx_msm.dynamics.simulation import (
    free_response,
    generalised_force,
    mechanics,
    muscle_tension,
    passive_force,
    solve_acceleration,
)
from mjx_msm.estimation.residuals.acceleration import AccelerationTerm
from mjx_msm.estimation.residuals.instants import INSTANTS, InstantTerm
from mjx_msm.estimation.residuals.moment import MomentTerm
from mjx_msm.estimation.residuals.pieces import filled
from mjx_msm.estimation.residuals.term import AbstractExpansion, AbstractTerm, Quadratic
from mjx_msm.estimation.unknown_courses import Courses, ForceCourses, courses_of
from mjx_msm.person.model import Model, refuse_memory
from mjx_msm.person.space import ParameterSpace

Term = TypeVar("Term", bound=AbstractTerm)

TURNS, SETTLED = 20, 1e-6
"""Linearisations in activations nobody measured, at most, and a change of these that is none [-]."""


@dataclass(frozen=True)
class Rows:
    """A term about one z and one course of the unmeasured muscles."""

    residual: Float[np.ndarray, "instant coordinate"]
    push: Float[np.ndarray, "instant coordinate unmeasured"]
    """What a course of 1 adds: of its strength to forces, of 1 to activations."""
    slope: Float[np.ndarray, "instant coordinate free"]
    """∂residual/∂z with the course as it is; zeros unless asked for."""


@dataclass(frozen=True, eq=False)
class FreedTerm(InstantTerm):
    """A residual at instants with the courses of some muscles unknown."""

    unmeasured: tuple[int, ...]
    """Numbers of these muscles."""
    courses: Courses

    @property
    def of_forces(self) -> bool:
        """Whether courses are of forces; else of activations."""
        return isinstance(self.courses, ForceCourses)

    @property
    def of_prior(self) -> bool:
        """Whether what is unknown has a prior, a part of what it costs."""
        return not self.of_forces

    def about(
        self, z: Float[np.ndarray, "free"], unknown: Float[np.ndarray, "unknown muscle"], *, derivatives: bool
    ) -> Rows:
        """Residuals about z with the courses that `unknown` stands for."""
        z = np.asarray(z, dtype=float)
        return self._about(z, self._drive(z), unknown, derivatives=derivatives)

    def _about(
        self, z: np.ndarray, drive: tuple[np.ndarray, np.ndarray], unknown: np.ndarray, *, derivatives: bool
    ) -> Rows:
        course = self.courses.at_instants(unknown)
        own = np.array([m not in self.unmeasured for m, _ in self.pairs], float)
        parts, (activation, by_pair) = [], drive
        with float64():
            at = factors(self.space, z)
            for part, *fixed in self._chunks:
                moving = (filled(x, INSTANTS) for x in (activation[part], by_pair[part] * own, course[part]))
                lead: Any = (self.model, self.space, self.law, self.of_forces, derivatives)
                which: Any = (self.unmeasured, self.pairs, at)
                found = _rows(*lead, *which, *(jax.device_put(x) for x in moving), *fixed)
                parts.append([np.asarray(x)[: len(course[part])] for x in found])
        return Rows(*(np.concatenate(x) for x in zip(*parts, strict=True)))

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> FreedExpansion:
        z = np.asarray(z, dtype=float)
        drive = self._drive(z)
        if nuisance is None:
            rows = self._about(z, drive, self.courses.none, derivatives=False)
            spread = np.maximum(np.sqrt(np.mean(rows.residual**2, axis=0)), 1e-9)
            nuisance = self.courses.best(rows.residual, rows.push, spread)
        return FreedExpansion(self, self._about(z, drive, nuisance, derivatives=True), nuisance)

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        rows, change = self.settled(z, scale)[:2]
        return rows.residual + _pushed(self.courses, rows.push, change)

    def settled(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> tuple[Rows, Float[np.ndarray, "unknown muscle"], Float[np.ndarray, "unknown muscle"]]:
        """Unknowns at their best for residuals weighted by 1/scale.

        Forces enter linearly. Activations do not in every law (fibers of Thelen's shorten faster the more active they
        are): there each turn is about what the last one came to, as in the solver.

        **Returns:** rows about those of the last turn, by how much the best differ from these, and the best.
        """
        z = np.asarray(z, dtype=float)
        drive = self._drive(z)
        rows = self._about(z, drive, self.courses.none, derivatives=False)
        best = change = self.courses.best(rows.residual, rows.push, scale)
        for _ in range(TURNS if self.of_prior else 0):
            if np.abs(change).max(initial=0.0) < SETTLED:
                break
            rows, last = self._about(z, drive, best, derivatives=False), best
            best = self.courses.best(rows.residual - _pushed(self.courses, rows.push, last), rows.push, scale, last)
            change = best - last
        return rows, change, best

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        return iter(())


@dataclass(frozen=True)
class FreedExpansion(AbstractExpansion):
    term: FreedTerm
    rows: Rows
    unknown: Float[np.ndarray, "unknown muscle"]
    """About which `rows` are."""
    weighed: list[Float[np.ndarray, "coordinate"]] = field(default_factory=list)
    """Scales of the last reduction."""

    @property
    def about(self) -> Any:
        return self.unknown

    @property
    def settled(self) -> bool:
        return True  # what is left is linear in the unknowns, or nearly so

    def _without(self) -> Float[np.ndarray, "instant coordinate"]:
        """Residuals if the muscles did not pull."""
        return self.rows.residual - _pushed(self.term.courses, self.rows.push, self.unknown)

    def best(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "unknown muscle"]:
        """Unknowns at their best."""
        return self.term.courses.best(self._without(), self.rows.push, scale, self.unknown)

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        self.weighed[:] = [scale]
        courses, best = self.term.courses, self.best(scale)
        residual = self._without() + _pushed(courses, self.rows.push, best)
        following, prior = courses.following(best, self.rows.push, self.rows.slope, scale), courses.prior(best)
        nuisance = None
        if len(prior):
            own = following.of_prior
            nuisance = Quadratic(np.array([prior @ prior]), (own.T @ prior)[None], (own.T @ own)[None])
        slope = np.swapaxes(following.slope, 0, 1)  # products by BLAS, coordinate by coordinate
        return Quadratic(
            np.sum(residual**2, axis=0),
            np.einsum("ctp,tc->cp", slope, residual),
            np.swapaxes(slope, 1, 2) @ slope,
            nuisance,
        )

    def follow(self, change: Float[np.ndarray, "free"]) -> Any:
        scale = self.weighed[0] if self.weighed else np.ones(self.rows.residual.shape[1])
        residual = self._without() + self.rows.slope @ change
        return self.term.courses.best(residual, self.rows.push, scale, self.unknown)

    def absorbed(self, scale: Float[np.ndarray, "coordinate"]) -> Float[np.ndarray, "coordinate"]:
        return self.term.courses.used(self.best(scale), self.rows.push, scale)


def _pushed(courses: Courses, push: np.ndarray, unknown: np.ndarray) -> Float[np.ndarray, "instant coordinate"]:
    return np.einsum("tcd,td->tc", push, courses.at_instants(unknown))


# Physics at one instant ------------------------------------------------------------------------------------


class _Here(NamedTuple):
    """An instant, with the unmeasured muscles' course in it."""

    shape: Geometry
    position: Array
    velocity: Array
    recorded: Array
    """q̈ [rad/s²]."""
    activation: Array
    by_pair: Array
    more: Array
    """What forces of unmeasured muscles add to the moments [N·m]."""
    push: Array
    """What a course of 1 adds to them."""

    def muscles(self, model: Model, space: ParameterSpace, at: Factors, pairs: Pairs) -> Any:
        """Derivatives of the muscles' moments."""
        speed = -self.shape.moment_arm @ self.velocity
        return muscle_columns(model, space, at.parameters, pairs, self.shape, self.activation, self.by_pair, speed)


def _moment(
    model: Model, space: ParameterSpace, at: Factors, pairs: Pairs, here: _Here, *, derivatives: bool
) -> tuple[Array, Array, Array]:
    """Moment of muscles and passive joint [N·m], what more moments do to it, and its derivatives by z."""
    free, shape, velocity = model.host.free_index, here.shape, here.velocity
    speed = -shape.moment_arm @ velocity
    tension = model.muscle.tension(at.parameters.muscle, here.activation, shape.path_length, speed)
    passive = passive_force(model, at.parameters, shape, here.position, velocity)
    value = (passive + shape.moment_arm.T @ tension)[free] + here.more
    if not derivatives:
        return value, here.push, jnp.zeros((len(free), space.size))
    joints = joint_columns(model, space, at.parameters.joint, here.position, velocity)
    columns = by_entry(model, space, (here.muscles(model, space, at, pairs), joints), NOTHING)
    return value, here.push, columns


def _acceleration(
    model: Model, space: ParameterSpace, at: Factors, pairs: Pairs, here: _Here, *, derivatives: bool
) -> tuple[Array, Array, Array]:
    """q̈ [rad/s²], what more moments do to it, and its derivatives by z."""
    free, held = model.host.free_index, model.host.held_index
    terms = mechanics(model, at.parameters, at.inertia, here.shape, here.position, here.velocity)
    force = generalised_force(terms, muscle_tension(model, at.parameters, terms, here.velocity, here.activation))
    value = solve_acceleration(model, at.parameters, terms, force.at[free].add(here.more), here.recorded[held])
    pushed = free_response(model, at.parameters, terms, here.push)
    if not derivatives:
        return value, pushed, jnp.zeros((len(free), space.size))
    everything, muscles = here.recorded.at[free].set(value), here.muscles(model, space, at, pairs)
    columns = acceleration_columns(
        model, space, at, muscles, here.shape, here.position, here.velocity, everything
    )  # fmt: skip
    return value, pushed, free_response(model, at.parameters, terms, columns)


class FreedMomentTerm(FreedTerm):
    """Of recorded moments [N·m]."""

    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"
    law = staticmethod(_moment)


class FreedAccelerationTerm(FreedTerm):
    """Of accelerations [rad/s²]."""

    kind: ClassVar[str] = "acceleration"
    unit: ClassVar[str] = "rad/s²"
    law = staticmethod(_acceleration)


def with_unknown_courses(model: Model, term: Term, unmeasured: Mapping[str, str]) -> Term | FreedTerm:
    """The term with the courses of some muscles unknown; itself if there are none.

    **Arguments:** `unmeasured`: muscle to method, the same for all: "projected" (forces) or "effort" (activations), see
    `mjx_msm.estimation.unknown_courses`.

    **Raises:** `InputError` if the model has no such muscle, or a force was measured at a strap whose lever is unknown.
    """
    for muscle in unmeasured:
        if muscle not in model.muscles:
            raise InputError(f"unmeasured: there is no muscle '{muscle}'{suggest(muscle, model.muscles)}")
    numbers = tuple(i for i, m in enumerate(model.muscles) if m in unmeasured)
    if numbers:
        refuse_memory(model, "a muscle without EMG by an unknown course")
    return _freed(term, numbers, next(iter(unmeasured.values()))) if numbers else term


def _freed(term: AbstractTerm, unmeasured: tuple[int, ...], method: str) -> FreedTerm:
    if not isinstance(term, MomentTerm | AccelerationTerm):
        raise InputError(f'muscles without EMG by "{method}" need residuals at instants, not of the {term.kind}')
    if isinstance(term, MomentTerm) and term.space.nominal.names.strap:
        raise InputError(
            f'muscles without EMG by "{method}" need moments, or forces at known levers; leave lever_sd out, or choose '
            'unmeasured = "synergies"'
        )
    about = {f.name: getattr(term, f.name) for f in fields(InstantTerm)}
    time = term.model.timestep * term.sample
    courses = courses_of(method, term.recording, time, len(unmeasured))
    own = FreedMomentTerm if isinstance(term, MomentTerm) else FreedAccelerationTerm
    return own(**about, unmeasured=unmeasured, courses=courses)


@jit
def _rows(
    model: Model,
    space: ParameterSpace,
    law: Any,
    forces: bool,
    derivatives: bool,
    unmeasured: tuple[int, ...],
    pairs: Pairs,
    at: Factors,
    activation: Float[Array, "instant muscle"],
    by_pair: Float[Array, "instant pair"],
    course: Float[Array, "instant unmeasured"],
    shape: Geometry,
    position: Float[Array, "instant coordinate"],
    velocity: Float[Array, "instant coordinate"],
    acceleration: Float[Array, "instant coordinate"],
    target: Float[Array, "instant free"],
    mask: Float[Array, "instant free"],
) -> tuple[Array, Array, Array]:
    """`Rows` of some instants; `forces`: whether courses are of forces, over strengths."""
    free, deep = model.host.free_index, np.array(unmeasured)

    def one(shape: Geometry, *state: Array) -> tuple[Array, Array, Array]:
        position, velocity, recorded, activation, by_pair, u = state
        arm, more = shape.moment_arm[deep][:, free], jnp.zeros(len(free))
        if forces:  # whatever these muscles are like
            strength = jnp.asarray(model.nominal.muscle.max_isometric_force)[deep]
            shape = eqx.tree_at(lambda s: s.moment_arm, shape, shape.moment_arm.at[deep].set(0.0))
            more = (strength * u) @ arm
        else:
            activation = activation.at[deep].set(u)
            speed = -shape.moment_arm @ velocity
            strength = jax.jvp(
                lambda a: model.muscle.tension(at.parameters.muscle, a, shape.path_length, speed),
                (activation,),
                (jnp.ones_like(activation),),
            )[1][deep]
        push = (arm * strength[:, None]).T
        here = _Here(shape, position, velocity, recorded, activation, by_pair, more, push)
        return law(model, space, at, pairs, here, derivatives=derivatives)

    value, push, slope = jax.vmap(one)(shape, position, velocity, acceleration, activation, by_pair, course)
    return (value - target) * mask, push * mask[..., None], slope * mask[..., None]
