"""How activations depend on EMG parameters and time constants: closed forms, and one recursion a muscle.

Delay, gain, clip and shape act on every channel and instant by themselves, a step of activation dynamics

    aₖ₊₁ = f(uₖ, aₖ; τ),      uₖ: what a step sees of the excitation, τ: the muscle's own time constants

on every muscle. All their derivatives are therefore elementwise, one tangent for a field of all channels or muscles
together, and what a parameter does to an activation follows from the linear recursion

    δaₖ₊₁ = keepₖ δaₖ + Σ gainₖ δuₖ + pushₖ δτ,      keep = ∂f/∂a, gain = ∂f/∂u, push = ∂f/∂τ.

Second derivatives are in `mjx_msm.dynamics.activation_expansion`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.excitation import channel_signal, mixed
from mjx_msm.dynamics.simulation import activate, activation_step
from mjx_msm.dynamics.taylor import slopes
from mjx_msm.person.kinds import KINDS
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray, MuscleParameters
from mjx_msm.person.parameters import EmgParameters, Parameters
from mjx_msm.person.space import ParameterSpace

TIME_CONSTANTS = ("activation_time_constant", "deactivation_time_constant")
EMG_FIELDS = ("gain", "delay", "shape")

Pairs = tuple[tuple[int, int], ...]
"""Which entries of z the activation of which muscle depends on: (muscle, entry)."""


def activation_pairs(space: ParameterSpace, mixing: Float[np.ndarray, "muscle channel"]) -> Pairs:
    """A muscle's activation depends on its own time constants and on the EMG channels it is driven by."""
    pairs = set()
    for s, entry in zip(space.scalars, space.owner, strict=True):
        if s.group == "emg":
            pairs |= {(int(m), entry) for m in np.flatnonzero(mixing[:, s.index[0]])}
        elif s.field in TIME_CONSTANTS:
            pairs.add((s.index[0], entry))
    return tuple(sorted(pairs))


# Elementwise derivatives ------------------------------------------------------------------------------------


def displaced(values: Any, group: str, change: Mapping[str, Array]) -> Any:
    """Parameters of a group after a change of z, given by field for every muscle or channel.

    Its derivatives at no change are those by the entries of z, transformed as `KINDS` says.
    """
    fields = list(change)
    moved = [
        getattr(values, f) * jnp.exp(d) if KINDS[group, f].transform == "log" else getattr(values, f) + d
        for f, d in change.items()
    ]
    return eqx.tree_at(lambda v: [getattr(v, f) for f in fields], values, moved) if fields else values


def tension_fields(space: ParameterSpace) -> list[str]:
    """Fields of muscles with a free one that their tension depends on at an activation that is known."""
    return list(dict.fromkeys(s.field for s in space.scalars if s.group == "muscle" and s.field not in TIME_CONSTANTS))


def owners(space: ParameterSpace, group: str, field: str) -> dict[int, int]:
    """Entry of z behind a field of every muscle or channel that has a free one."""
    rows = zip(space.scalars, space.owner, strict=True)
    return {s.index[0]: entry for s, entry in rows if (s.group, s.field) == (group, field)}


def meeting(
    space: ParameterSpace, group: str, field: str, other: str, value: Float[Array, "one"]
) -> Float[Array, "entry entry"]:
    """Second derivatives, one for every muscle or channel, where two of its fields are free."""
    first, second = owners(space, group, field), owners(space, group, other)
    both = [k for k in first if k in second]
    i, j, k = np.array([(first[k], second[k], k) for k in both], int).reshape(-1, 3).T
    out = jnp.zeros((space.size, space.size)).at[i, j].add(value[k])
    return out if field == other else out.at[j, i].add(value[k])


def _fields(space: ParameterSpace, group: str, among: Sequence[str]) -> list[str]:
    """Those that hold a free parameter."""
    return [f for f in among if owners(space, group, f)]


def _none(count: int, fields: Sequence[str]) -> dict[str, Array]:
    return {f: jnp.zeros(count) for f in fields}


# Excitation ------------------------------------------------------------------------------------------------


class Drive(NamedTuple):
    """Excitations of the muscles, and their derivatives by pair."""

    value: Float[Array, "time *recording muscle"]
    by_pair: Float[Array, "time *recording pair"]


def _signal(
    emg: EmgParameters, envelope: Array, timestep: float, error: Array | None
) -> Callable[[dict[str, Array]], Array]:
    return lambda change: channel_signal(displaced(emg, "emg", change), envelope, timestep, error)


def drive(
    space: ParameterSpace,
    emg: EmgParameters,
    envelope: Float[Array, "time *recording channel"],
    mixing: Float[Any, "muscle channel"],
    timestep: float,
    pairs: Pairs,
    error: Float[Array, "time *recording channel"] | None = None,
) -> Drive:
    """One elementwise tangent a field of all channels, mixed as the channels are."""
    fields = _fields(space, "emg", EMG_FIELDS)
    signal, none = _signal(emg, envelope, timestep, error), _none(envelope.shape[-1], fields)
    value, clip = mixed(signal({}), mixing)
    by_pair, share = jnp.zeros((*value.shape[:-1], len(pairs))), jnp.asarray(mixing)[_muscles(pairs)].T
    for field, slope in slopes(signal, none, fields).items():
        own = owners(space, "emg", field)
        mine = np.array([[own.get(c) == entry for _, entry in pairs] for c in range(envelope.shape[-1])])
        by_pair = by_pair + slope @ (share * mine)
    return Drive(value, clip[..., _muscles(pairs)] * by_pair)


def _muscles(pairs: Pairs) -> np.ndarray:
    return np.array([m for m, _ in pairs], int)


# Steps -----------------------------------------------------------------------------------------------------

Advance = Callable[[MuscleParameters, Sequence[Array], Array], Array]
"""Activation after a step: from the muscles, what the step sees of the excitation, and the activation before."""


class Steps:
    """Activation dynamics linearised at every step.

    **Arguments:** `advance`: one step. `seen`: of every step, what it sees of the excitation, in order. `activation`:
    before every step.
    """

    def __init__(
        self,
        advance: Advance,
        space: ParameterSpace,
        law: MuscleParameters,
        seen: Sequence[Drive],
        activation: Float[Array, "step *recording muscle"],
        pairs: Pairs,
    ):
        self.space, self.seen, self.pairs = space, tuple(seen), pairs
        self.fields = _fields(space, "muscle", TIME_CONSTANTS)
        self._inputs = [f"seen {k}" for k in range(len(seen))]
        self._at = {"activation": activation, **dict(zip(self._inputs, (d.value for d in seen), strict=True))}
        self._at |= _none(activation.shape[-1], self.fields)

        def step(at: dict[str, Array]) -> Array:
            moved = displaced(law, "muscle", {f: at[f] for f in self.fields})
            return advance(moved, [at[k] for k in self._inputs], at["activation"])

        self._step = step
        self._slopes = slopes(step, self._at, list(self._at))

    @property
    def keep(self) -> Float[Array, "step *recording muscle"]:
        """∂f/∂a."""
        return self._slopes["activation"]

    @property
    def gain(self) -> list[Float[Array, "step *recording muscle"]]:
        """∂f/∂u, one of everything seen."""
        return [self._slopes[k] for k in self._inputs]

    def _own(self) -> dict[str, Float[np.ndarray, "pair"]]:
        """Which time constant is a pair's."""
        entry = {f: owners(self.space, "muscle", f) for f in self.fields}
        return {f: np.array([float(entry[f].get(m) == k) for m, k in self.pairs]) for f in self.fields}

    def follow(self, first: Float[Array, "*recording pair"]) -> Float[Array, "time *recording pair"]:
        """Derivative of the activations by pair, from that of the first one."""
        muscle, own = _muscles(self.pairs), self._own()
        slope = {k: v for k, v in self._slopes.items() if k != "activation"}

        def step(d: Array, at: Any) -> tuple[Array, Array]:
            keep, slope, seen = at  # of muscles: spread over the pairs here, not for all steps at once
            change = own | dict(zip(self._inputs, seen, strict=True))
            d = keep[..., muscle] * d + sum(slope[k][..., muscle] * change[k] for k in slope)
            return d, d

        _, later = jax.lax.scan(step, first, (self.keep, slope, tuple(d.by_pair for d in self.seen)))
        return jnp.concatenate([first[None], later])


def entry_matrix(space: ParameterSpace, entries: Sequence[int]) -> Float[np.ndarray, "column entry"]:
    """Which entry of z every column belongs to."""
    return np.eye(space.size)[np.array(entries, int)]


# Activation ------------------------------------------------------------------------------------------------


class Slopes(NamedTuple):
    """Derivatives of what an activation step gives, muscle by muscle."""

    keep: Float[Array, "*lead muscle"]
    """By the activation before it."""
    start: Float[Array, "*lead muscle"]
    """By the excitation at its start."""
    end: Float[Array, "*lead muscle"]
    """By the excitation at its end."""


def activation_slopes(
    model: Model, parameters: Parameters, excitation: Float[Array, "time muscle"]
) -> tuple[Slopes, Slopes]:
    """Slopes of the activation at the stages of every step (step, stage, muscle) and after it (step, muscle)."""
    before = activate(model, parameters, excitation[0], excitation)[0][:-1]
    at = before, excitation[:-1], excitation[1:]

    def slope(k: int) -> tuple[Array, Array]:
        tangent = [jnp.ones_like(x) if i == k else jnp.zeros_like(x) for i, x in enumerate(at)]
        return jax.jvp(lambda a, u, w: activation_step(model, parameters.muscle, a, u, w), at, tuple(tangent))[1]

    stages, after = zip(*(slope(k) for k in range(3)), strict=True)
    return Slopes(*stages), Slopes(*after)


def one_step(model: Model) -> Advance:
    """MuJoCo's step of activation dynamics, which sees the excitation at its start and at its end."""
    return lambda law, seen, a: activation_step(model, law, a, *seen)[1]


class ActivationDerivatives:
    """Activations, starting at rest with respect to the first excitation, and their derivatives."""

    def __init__(
        self,
        model: Model,
        space: ParameterSpace,
        parameters: Parameters,
        envelope: Float[Array, "time *recording channel"],
        mixing: Float[Any, "muscle channel"],
        pairs: Pairs,
        error: Float[Array, "time *recording channel"] | None = None,
    ):
        self._drive = space, parameters.emg, envelope, mixing, model.timestep
        self._error = error
        of_all = drive(*self._drive, pairs, error)
        self.value, self.stages = activate(model, parameters, of_all.value[0], of_all.value)
        """(time, *recording, muscle) and (step, *recording, stage, muscle)."""
        seen = [Drive(*(x[part] for x in of_all)) for part in (slice(0, -1), slice(1, None))]
        self.steps = Steps(one_step(model), space, parameters.muscle, seen, self.value[:-1], pairs)
        self.by_pair = self.steps.follow(of_all.by_pair[0])
        """(time, *recording, pair)."""


@jit
def activation_derivatives(
    model: Model,
    space: ParameterSpace,
    z: Float[AnyArray, "free"],
    envelope: Float[AnyArray, "recording time channel"],
    mixing: Float[Any, "muscle channel"],
    pairs: Pairs,
    error: Float[AnyArray, "recording time channel"] | None = None,
) -> tuple[
    Float[Array, "recording time muscle"],
    Float[Array, "recording step stage muscle"],
    Float[Array, "recording time pair"],
]:
    """Activations of all recordings at the samples and at the stages of the steps; the derivatives of those at the
    samples, one column a pair.

    **Arguments:** `error`: of the envelopes, see `mjx_msm.excitation.excitation`.
    """
    parameters, rows = space.unpack(jnp.asarray(z)), (envelope, error)
    first, own = (None if x is None else jnp.swapaxes(jnp.asarray(x), 0, 1) for x in rows)
    found = ActivationDerivatives(model, space, parameters, jnp.asarray(first), mixing, pairs, own)
    value, stages, by_pair = (jnp.swapaxes(x, 0, 1) for x in (found.value, found.stages, found.by_pair))
    return value, stages, by_pair
