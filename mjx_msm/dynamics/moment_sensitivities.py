"""Muscle and passive joint moments at recorded instants, with first and second derivatives by the parameters.

At a recorded motion the paths are constants, and what is left is arithmetic:

    m = Σ R F(a, L, L̇; θ) − k (q − q₀) − d q̇ + p + stops,  R: moment arms, F: tension of a muscle, a: its activation,

p: passive curves (`mjx_msm.person.passive_curves`).

Where a force was measured at a strap, m λ₀/λ is compared: the recorded moment is force times λ₀, and λ the lever.
Each muscle's tension depends on its own parameters and activation only: all derivatives of F are elementwise, and
∂²m is made of blocks, one a muscle. Together they give the sums that a solver asks for: of squared residuals, of their
gradient, Σ JᵀJ and Σ r ∂²m.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.activation_expansion import Lanes, expansion, lane_activations
from mjx_msm.dynamics.activation_sensitivities import (
    Pairs,
    displaced,
    entry_matrix,
    meeting,
    owners,
    tension_fields,
)
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.taylor import curvatures, slopes
from mjx_msm.dynamics.tendon_course import Acting, Course, tension_derivatives, tensions
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.parameters import JointParameters, Parameters
from mjx_msm.person.passive_curves import PassiveCurve, fields_of
from mjx_msm.person.space import ParameterSpace


class OfTrials(eqx.Module):
    """Which trial instants and windows are of."""

    window: Float[AnyArray, "window trial"]
    """1 where a window is of a trial, else 0."""
    instant: Int[AnyArray, "block row"]
    """Instants in blocks that are of one trial each; one past the last instant where a block has none left."""
    block: Float[AnyArray, "block trial"]
    """1 where a block is of a trial, else 0."""

    def total(self, rows: Float[Array, "instant *columns"]) -> Float[Array, "trial *columns"]:
        """Sums over the instants of every trial."""
        return jnp.tensordot(self.block.T, self._blocks(rows).sum(1), 1)

    def products(
        self, left: Float[Array, "instant column"], right: Float[Array, "instant other"]
    ) -> Float[Array, "trial column other"]:
        """leftᵀ right over the instants of every trial."""
        return jnp.tensordot(self.block.T, jnp.einsum("kri,krj->kij", self._blocks(left), self._blocks(right)), 1)

    def _blocks(self, rows: Array) -> Array:
        return jnp.concatenate([rows, jnp.zeros((1, *rows.shape[1:]))])[self.instant]


class Instants(eqx.Module):
    """What no parameter changes at the instants of some recordings."""

    sample: Int[AnyArray, "instant"]
    recording: Int[AnyArray, "instant"]
    path_length: Float[AnyArray, "instant muscle"]
    """[m]."""
    path_velocity: Float[AnyArray, "instant muscle"]
    """[m/s]."""
    moment_arm: Float[AnyArray, "instant free muscle"]
    """[m]."""
    stops: Float[AnyArray, "instant free"]
    """Moments of springs and dampers along tendons [N·m]."""
    stretch: Float[AnyArray, "instant free"]
    """Of joint springs [rad]."""
    velocity: Float[AnyArray, "instant free"]
    """[rad/s]."""
    passive: Float[AnyArray, "instant spring"]
    """Stretches of the springs of all passive curves [rad]."""


@partial(jit, abreast=True)
def instants(
    model: Model,
    sample: Int[AnyArray, "instant"],
    recording: Int[AnyArray, "instant"],
    position: Float[AnyArray, "instant coordinate"],
    velocity: Float[AnyArray, "instant coordinate"],
) -> Instants:
    """Geometry along a recorded motion."""
    free, q, v = model.host.free_index, jnp.asarray(position), jnp.asarray(velocity)
    shape = jax.vmap(lambda *at: geometry(model, *at))(q, v, paths(model, q))
    return Instants(
        sample=jnp.asarray(sample),
        recording=jnp.asarray(recording),
        path_length=shape.path_length,
        path_velocity=-jnp.sum(shape.moment_arm * v[:, None], -1),
        moment_arm=jnp.swapaxes(shape.moment_arm[..., free], 1, 2),
        stops=shape.stops[:, free],
        stretch=(q - jnp.asarray(model.host.spring_position))[:, free],
        velocity=v[:, free],
        passive=jnp.concatenate([jnp.zeros((len(q), 0)), *(c.stretches(q, jnp) for c in model.host.passive)], -1),
    )


def net_moment(
    model: Model, parameters: Parameters, at: Instants, tension: Float[Array, "instant muscle"]
) -> Float[Array, "instant free"]:
    """Of muscles that pull by `tension` [N] and of the passive joint [N·m]."""
    free, joint = model.host.free_index, parameters.joint
    passive = jnp.asarray(joint.stiffness)[free] * at.stretch + jnp.asarray(joint.damping)[free] * at.velocity
    curves = jnp.zeros_like(passive)
    for curve, stretch in _curves(model, at):
        curves = curves - (stretch @ curve.of(joint, jnp))[:, None] * curve.along[free]
    return jnp.sum(at.moment_arm * tension[:, None], -1) + at.stops - passive + curves


def _curves(model: Model, at: Instants) -> Iterator[tuple[PassiveCurve, Array]]:
    """Passive curves and the stretches of their springs."""
    first = 0
    for curve in model.host.passive:
        yield curve, jnp.asarray(at.passive)[:, first : first + len(curve.tendons)]
        first += len(curve.tendons)


def springs_of(curve: PassiveCurve, joint: JointParameters) -> Callable[[Array], Array]:
    """Stiffness of a curve's springs by changes of the logarithms of its moment and steepness."""
    at = [jnp.asarray(getattr(joint, f))[curve.joint] for f in fields_of(curve.side)]
    return lambda change: curve.stiffness(at[0] * jnp.exp(change[0]), at[1] * jnp.exp(change[1]), jnp)


def _shares(model: Model, space: ParameterSpace, parameters: Parameters) -> dict[int, Array]:
    """λ₀/λ by free coordinate, of those with a strap."""
    said = jnp.asarray(space.nominal.strap.lever) / jnp.asarray(parameters.strap.lever)
    return {model.free.index(name): said[k] for k, name in enumerate(parameters.names.strap) if name in model.free}


Curved = list[tuple[PassiveCurve, Array, list[int | None]]]
"""Passive curves with an unknown, the stretches of their springs, the entries of their moment and steepness."""


def _curved(model: Model, space: ParameterSpace, at: Instants) -> Curved:
    out: Curved = []
    for curve, stretch in _curves(model, at):
        entry = [owners(space, "joint", f).get(curve.joint) for f in fields_of(curve.side)]
        if any(e is not None for e in entry):
            out.append((curve, stretch, entry))
    return out


def _shared(
    model: Model, space: ParameterSpace, parameters: Parameters, moment: Float[Array, "instant free"]
) -> tuple[Float[Array, "instant free"], dict[int, int]]:
    """Moments as they are compared, and the entry of every free coordinate's lever that is unknown."""
    levers: dict[int, int] = {}
    for c, share in _shares(model, space, parameters).items():
        moment = moment.at[:, c].multiply(share)
        entry = owners(space, "strap", "lever").get(parameters.names.strap.index(model.free[c]))
        levers |= {} if entry is None else {c: entry}
    return moment, levers


def _joint_columns(
    model: Model,
    space: ParameterSpace,
    parameters: Parameters,
    at: Instants,
    c: int,
    predicted: Float[Array, "instant free"],
    levers: dict[int, int],
    curved: Curved,
) -> Iterator[tuple[int, Float[AnyArray, "instant 1"]]]:
    """Derivatives of a free coordinate's moment by what is not a muscle's: entry of z, and column."""
    j, share = int(model.host.free_index[c]), _shares(model, space, parameters).get(c, 1.0)
    for field, effect in (("damping", at.velocity), ("stiffness", at.stretch)):
        entry = owners(space, "joint", field).get(j)
        if entry is not None:
            yield entry, -share * effect[:, c : c + 1]
    for curve, stretch, entries in curved:
        if curve.along[j]:
            by_logarithms = jax.jacfwd(springs_of(curve, parameters.joint))(jnp.zeros(2))
            for e, by in zip(entries, by_logarithms.T, strict=True):
                if e is not None:
                    yield e, -share * curve.along[j] * (stretch @ by)[:, None]
    if c in levers:  # λ₀/λ of all there is
        yield levers[c], -predicted[:, c : c + 1]


def _squares(
    space: ParameterSpace,
    columns: Sequence[AnyArray],
    entries: Sequence[int],
    residual: Float[Array, "instant 1"],
    mask: Float[Array, "instant 1"],
    trials: OfTrials,
) -> Float[Array, "trial entry_plus_1 entry_plus_1"]:
    """Sums of products of the derivatives by every entry, and of the residual, which comes last, over every trial."""
    rows = jnp.concatenate([*columns, residual], 1) * mask
    to = np.pad(entry_matrix(space, entries), ((0, 1), (0, 1)))
    to[-1, -1] = 1.0
    return jnp.asarray(to.T @ trials.products(rows, rows) @ to)


def _tension(model: Model, parameters: Parameters, at: Instants, activation: Array) -> Float[Array, "instant muscle"]:
    path = jnp.asarray(at.path_length), jnp.asarray(at.path_velocity)
    return model.muscle.tension(parameters.muscle, activation, *path)


@partial(jit, abreast=True)
def activations(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    lanes: Lanes,
    at: Instants,
) -> Float[Array, "instant lane"]:
    """What takes nearly all of a moment's time: a recursion over every sample."""
    value = lane_activations(model, space.unpack(jnp.asarray(z)), jnp.asarray(envelope), mixing, lanes)
    return value[at.sample, at.recording]


@partial(jit, abreast=True)
def moments_by(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    activation: Float[AnyArray, "instant lane"],
    lanes: Lanes,
    at: Instants,
) -> Float[Array, "instant free"]:
    """Moments of the free coordinates [N·m] at activations that are known."""
    parameters = space.unpack(jnp.asarray(z))
    a = jnp.asarray(activation)[:, np.array(lanes.of, int)]
    return _shared(model, space, parameters, net_moment(model, parameters, at, _tension(model, parameters, at, a)))[0]


@partial(jit, barriers=True, abreast=True)
def moment_sums(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    lanes: Lanes,
    at: Instants,
    trials: OfTrials,
    target: Float[AnyArray, "instant free"],
    mask: Float[AnyArray, "instant free"],
) -> tuple[Array, Array, Array, Array, Array]:
    """Σ r², Σ r J, Σ JᵀJ and Σ r ∂²m of every trial and free coordinate, and residuals r.

    **Arguments:** `mask`: what residuals are multiplied by in the sums, the root of their weights.
    """
    parameters, mask = space.unpack(jnp.asarray(z)), jnp.asarray(mask)
    trials = jax.tree.map(jnp.asarray, trials)
    recorded = jnp.asarray(envelope), mixing, lanes
    value = lane_activations(model, parameters, *recorded)
    fields = tension_fields(space)

    def tension(x: dict[str, Array]) -> Array:
        moved = displaced(parameters.muscle, "muscle", {f: x[f] for f in fields})
        return _tension(model, eqx.tree_at(lambda p: p.muscle, parameters, moved), at, x["activation"])

    of = np.array(lanes.of, int)
    point = {f: jnp.zeros(len(model.muscles)) for f in fields}
    point["activation"] = value[at.sample, at.recording][:, of]
    slope, bend = slopes(tension, point, list(point)), curvatures(tension, point, list(point))
    predicted, levers = _shared(model, space, parameters, net_moment(model, parameters, at, tension(point)))
    shares = _shares(model, space, parameters)
    residual = predicted - jnp.asarray(target)
    by_lane = (of == np.arange(len(lanes.each))[:, None]).astype(float).T  # sums over the muscles of a lane
    curved = _curved(model, space, at)

    sums, second = [], []
    for c, j in enumerate(model.host.free_index):
        share = shares.get(c, 1.0)
        arm = share * at.moment_arm[:, c]
        weight = (residual * mask**2)[:, c : c + 1] * arm
        onto = jnp.zeros_like(value).at[at.sample, at.recording].add((weight * slope["activation"]) @ by_lane)
        moving = expansion(model, space, parameters, *recorded, value, onto, jnp.asarray(trials.window))
        lane, own = np.array(lanes.pairs, int).reshape(-1, 2).T
        by_pair, entries = moving.by_pair[at.sample, at.recording], list(own)
        columns = [((arm * slope["activation"]) @ by_lane)[:, lane] * by_pair]
        for field in fields:
            entry = owners(space, "muscle", field)
            columns.append((arm * slope[field])[:, np.array(list(entry), int)])
            entries += entry.values()
        for entry, column in _joint_columns(model, space, parameters, at, c, predicted, levers, curved):
            columns.append(column)
            entries.append(entry)
        sums.append(_squares(space, columns, entries, residual[:, c : c + 1], mask[:, c : c + 1], trials))

        turned = ((weight * bend["activation", "activation"]) @ by_lane)[:, lane] * by_pair
        same = entry_matrix(space, list(own)).T @ (trials.products(by_pair, turned) * (lane[:, None] == lane))
        total = moving.curvature + same @ entry_matrix(space, list(own))
        for i, field in enumerate(fields):
            entry = owners(space, "muscle", field)
            both = [(m, p) for m in entry for p, k in enumerate(lane) if k == of[m]]
            muscle, pair = np.array(both, int).reshape(-1, 2).T
            cross = trials.total((weight * bend[field, "activation"])[:, muscle] * by_pair[:, pair])
            its, theirs = np.array([entry[m] for m, _ in both], int), own[pair]
            total = total.at[:, its, theirs].add(cross).at[:, theirs, its].add(cross)
            for other in fields[i:]:
                of_muscles = trials.total(weight * bend[field, other])
                total = total + jax.vmap(partial(meeting, space, "muscle", field, other))(of_muscles)
        for curve, stretch, entry in curved:
            if curve.along[j]:
                twice = jax.jacfwd(jax.jacfwd(springs_of(curve, parameters.joint)))(jnp.zeros(2))
                pull = -share * curve.along[j] * (residual * mask**2)[:, c : c + 1] * stretch
                bent = trials.total(jnp.asarray(pull)) @ twice.reshape(len(twice), -1)
                bent = bent.reshape(-1, *twice.shape[1:])
                for a, first in enumerate(entry):
                    for b, other in enumerate(entry):
                        if first is not None and other is not None:
                            total = total.at[:, first, other].add(bent[:, a, b])
        if c in levers:
            slope_of_all = sums[-1][:, :-1, -1]  # Σ r J, whose own derivative by the lever is its negative
            total = total.at[:, levers[c], :].add(-slope_of_all).at[:, :, levers[c]].add(-slope_of_all)
            total = total.at[:, levers[c], levers[c]].add(slope_of_all[:, levers[c]])
        second.append(total)
    found = jnp.stack(sums, 1)
    return found[..., -1, -1], found[..., :-1, -1], found[..., :-1, :-1], jnp.stack(second, 1), residual


# Muscles whose tendons yield -------------------------------------------------------------------------------------


@partial(jit, abreast=True)
def moments_of_courses(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    acting: Acting,
    course: Course,
    at: Instants,
) -> Float[Array, "instant free"]:
    """As `moments_by`, of muscles that remember."""
    parameters = space.unpack(jnp.asarray(z))
    drive = jnp.asarray(envelope), mixing, acting
    pull = tensions(model, parameters, *drive, course, at.sample, at.recording)
    return _shared(model, space, parameters, net_moment(model, parameters, at, pull))[0]


@partial(jit, barriers=True, abreast=True)
def moment_sums_of_courses(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "time recording channel"],
    mixing: Float[Any, "muscle channel"],
    acting: Acting,
    pairs: Pairs,
    course: Course,
    at: Instants,
    trials: OfTrials,
    target: Float[AnyArray, "instant free"],
    mask: Float[AnyArray, "instant free"],
) -> tuple[Array, Array, Array, Array]:
    """As `moment_sums`, of muscles that remember: Σ r², Σ r J and Σ JᵀJ, and residuals."""
    parameters, mask = space.unpack(jnp.asarray(z)), jnp.asarray(mask)
    trials = jax.tree.map(jnp.asarray, trials)
    drive = jnp.asarray(envelope), mixing, acting, pairs
    pull = tension_derivatives(model, space, parameters, *drive, course, at.sample, at.recording)
    predicted, levers = _shared(model, space, parameters, net_moment(model, parameters, at, pull.value))
    shares, curved = _shares(model, space, parameters), _curved(model, space, at)
    residual = predicted - jnp.asarray(target)
    muscle, own = (np.array(x, int) for x in zip(*pairs, strict=True)) if pairs else (np.zeros(0, int),) * 2
    sums = []
    for c in range(len(model.free)):
        columns: list[AnyArray] = [shares.get(c, 1.0) * at.moment_arm[:, c][:, muscle] * pull.by_pair]
        entries = list(own)
        for entry, column in _joint_columns(model, space, parameters, at, c, predicted, levers, curved):
            columns.append(column)
            entries.append(entry)
        sums.append(_squares(space, columns, entries, residual[:, c : c + 1], mask[:, c : c + 1], trials))
    found = jnp.stack(sums, 1)
    return found[..., -1, -1], found[..., :-1, -1], found[..., :-1, :-1], residual
