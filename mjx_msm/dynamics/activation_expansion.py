"""Activations of recordings, and what a weighted sum of them is as a quadratic of z: closed forms in time blocks.

Delay, gain, clip and shape act on every channel and instant by themselves, a step of activation dynamics on every
muscle. So a step's derivatives by the activation before it, the excitation at its start and end and its muscle's time
constants are elementwise (`mjx_msm.dynamics.taylor`), and what the unknowns do to an activation follows from

    δaₖ₊₁ = Σ fᵢ δxᵢ,      δ²aₖ₊₁ = Σ fᵢ δ²xᵢ + Σ fᵢⱼ δxᵢ δxⱼ,      x: activation, excitations, time constants.

What that takes in memory is much more than what goes in and comes out. So time goes by in blocks that stay in a core's
cache, and of second derivatives nothing is kept but their weighted sum.

Muscles that the same channels drive in the same way have the same activation, computed once: a *lane*.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.dynamics.activation_sensitivities import EMG_FIELDS, TIME_CONSTANTS, displaced, owners
from mjx_msm.dynamics.excitation import channel_signal, delayed, filled, mixed, shape_derivatives, spacing
from mjx_msm.dynamics.integrator import integrator_of
from mjx_msm.dynamics.simulation import activate
from mjx_msm.dynamics.taylor import Taylor, chained, curvatures, kept, slopes
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import MuscleParameters, _clip_unit
from mjx_msm.person.parameters import EmgParameters, Parameters
from mjx_msm.person.space import ParameterSpace

BLOCK = 8192
"""Activations handled at a time: their some hundred derivatives and products are a few MB."""


class Column(NamedTuple):
    """An unknown that moves a lane."""

    entry: int
    """Of z."""
    moves: tuple[tuple[str, int], ...]
    """Fields that it is behind: of EMG with the channel, of time constants with the muscle."""


class Lane(NamedTuple):
    """An activation that differs from others."""

    muscle: int
    """Whose time constants it has, and whose mix of channels."""
    channels: tuple[int, ...]
    columns: tuple[Column, ...]


class Lanes(NamedTuple):
    each: tuple[Lane, ...]
    """Those with as many columns side by side."""
    of: tuple[int, ...]
    """Of every muscle; the first one for muscles that do not matter."""
    constants: tuple[float | None, ...]
    """Of the muscle model's own, leaf by leaf, those that all lanes share: what they switch off is not compiled."""

    @property
    def groups(self) -> list[tuple[slice, tuple[Lane, ...]]]:
        """Lanes with as many columns, and where they are."""
        out, start = [], 0
        for _, some in groupby(self.each, lambda lane: len(lane.columns)):
            lanes = tuple(some)
            out.append((slice(start, start + len(lanes)), lanes))
            start += len(lanes)
        return out

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Lane and entry of z of every column, in the order of `Expansion.by_pair`."""
        out = []
        for where, lanes in self.groups:
            for k in range(len(lanes[0].columns)):
                out += [(where.start + i, lane.columns[k].entry) for i, lane in enumerate(lanes)]
        return out


def lanes_of(
    model: Model, space: ParameterSpace, mixing: Float[np.ndarray, "muscle channel"], acting: Sequence[bool]
) -> Lanes:
    """The activations that differ, and what moves them.

    **Arguments:** `acting`: whether a muscle's activation matters.
    """
    law, count = space.nominal.muscle, len(model.muscles)
    leaves = [np.asarray(x) for x in jax.tree.leaves(model.muscle)]
    own = [np.broadcast_to(x, count) for x in leaves] + [
        np.broadcast_to(np.asarray(getattr(law, f)), count) for f in TIME_CONSTANTS
    ]
    rows = list(zip(space.scalars, space.owner, space.offset, strict=True))
    found: dict[Any, tuple[Lane, list[int]]] = {}
    for m in np.flatnonzero(acting):
        mine = [(s, o, off) for s, o, off in rows if s.field in TIME_CONSTANTS and s.group == "muscle"]
        constants = tuple((s.field, o, float(off)) for s, o, off in mine if s.index[0] == m)
        key = mixing[m].tobytes(), constants, tuple(float(x[m]) for x in own)
        if key in found:
            found[key][1].append(int(m))
            continue
        channels = tuple(map(int, np.flatnonzero(mixing[m])))
        moves: dict[int, list[tuple[str, int]]] = {}
        for s, entry, _ in rows:
            if s.group == "emg" and s.index[0] in channels:
                moves.setdefault(entry, []).append((s.field, s.index[0]))
            elif s.group == "muscle" and s.field in TIME_CONSTANTS and s.index[0] == m:
                moves.setdefault(entry, []).append((s.field, int(m)))
        columns = tuple(Column(entry, tuple(moves[entry])) for entry in sorted(moves))
        found[key] = Lane(int(m), channels, columns), [int(m)]
    order = sorted(found.values(), key=lambda lane: len(lane[0].columns))
    of = [0] * count
    for k, (_, muscles) in enumerate(order):
        for m in muscles:
            of[m] = k
    which = [lane.muscle for lane, _ in order]
    return Lanes(tuple(lane for lane, _ in order), tuple(of), tuple(map(partial(_shared, which), leaves)))


def _shared(which: Sequence[int], leaf: np.ndarray) -> float | None:
    values = {float(x) for x in np.ravel(leaf[which] if leaf.ndim else leaf)}
    return values.pop() if len(values) == 1 else None


def _at_lanes(model: Model, law: MuscleParameters, lanes: Lanes, *, last: bool) -> tuple[Model, MuscleParameters]:
    """A model and muscles of the lanes, these along the last axis or the one before it."""
    which = np.array([lane.muscle for lane in lanes.each], int)

    def pick(x: Any) -> Any:
        x = jnp.asarray(x)
        return x if not x.ndim else x[which] if last else x[which, None]

    leaves, kind = jax.tree.flatten(model.muscle)
    leaves = [pick(x) if c is None else c for x, c in zip(leaves, lanes.constants, strict=True)]
    muscle, law = jax.tree.unflatten(kind, leaves), jax.tree.map(pick, law)
    return eqx.tree_at(lambda m: m.muscle, model, muscle), law


def lane_activations(
    model: Model,
    parameters: Parameters,
    envelope: Float[Array, "time window channel"],
    mixing: Float[Any, "muscle channel"],
    lanes: Lanes,
) -> Float[Array, "time window lane"]:
    """Activations, starting at rest with respect to the first excitation."""
    of_lanes = jnp.asarray(mixing)[np.array([lane.muscle for lane in lanes.each], int)]
    u = mixed(channel_signal(parameters.emg, envelope, model.timestep), of_lanes)[0]
    own, law = _at_lanes(model, parameters.muscle, lanes, last=True)
    return activate(own, eqx.tree_at(lambda p: p.muscle, parameters, law), u[0], u)[0]


class Expansion(NamedTuple):
    """Derivatives of the activations, and second ones of their weighted sum."""

    by_pair: Float[Array, "time window pair"]
    """In the order of `Lanes.pairs`."""
    curvature: Float[Array, "trial entry entry"]


def expansion(
    model: Model,
    space: ParameterSpace,
    parameters: Parameters,
    envelope: Float[Array, "time window channel"],
    mixing: Float[Any, "muscle channel"],
    lanes: Lanes,
    value: Float[Array, "time window lane"],
    weight: Float[Array, "time window lane"],
    member: Float[Array, "window trial"],
) -> Expansion:
    """About activations that `lane_activations` gave; `curvature` is Σ weight · ∂²a over the windows of every trial.

    **Arguments:** `member`: 1 where a window is of a trial, else 0.
    """
    total = jnp.zeros((member.shape[1], space.size, space.size))
    if not lanes.pairs:
        return Expansion(jnp.zeros((*value.shape[:2], 0)), total)
    block = _Block(model, space, parameters, mixing, lanes)
    steps, first, (recorded, value, weight) = _recorded(block, envelope, value, weight)
    last, begin = block.drive(first), []
    for (where, _), d, s in zip(lanes.groups, *last[1:], strict=True):
        begin.append((d[0], s[0], weight[0, where] * s[0]))
    ahead = steps.blocks(recorded[1:], recorded[-1:]), steps.blocks(value[:-1], value[-1:])
    (_, ends), found = jax.lax.scan(block, (last, begin), (*ahead, steps.blocks(weight[1:], jnp.zeros(()))))
    for (_, some), (_, _, own) in zip(lanes.groups, ends, strict=True):
        if not some[0].columns:
            continue
        entry = np.array([[c.entry for c in lane.columns] for lane in some], int).T
        total = total.at[:, entry[:, None], entry[None]].add(jnp.moveaxis(own @ member, -1, 0))
    return Expansion(steps.by_pair([d for d, *_ in begin], found), total)


def lane_slopes(
    model: Model,
    space: ParameterSpace,
    parameters: Parameters,
    envelope: Float[Array, "time window channel"],
    mixing: Float[Any, "muscle channel"],
    lanes: Lanes,
    value: Float[Array, "time window lane"],
) -> Float[Array, "time window pair"]:
    """`Expansion.by_pair` alone."""
    if not lanes.pairs:
        return jnp.zeros((*value.shape[:2], 0))
    block = _FirstBlock(model, space, parameters, mixing, lanes)
    steps, first, (recorded, value) = _recorded(block, envelope, value)
    last = block.drive(first)[:2]
    begin = [d[0] for d in last[1]]
    ahead = steps.blocks(recorded[1:], recorded[-1:]), steps.blocks(value[:-1], value[-1:])
    return steps.by_pair(begin, jax.lax.scan(block, (last, begin), ahead)[1])


class _InBlocks(NamedTuple):
    """Steps of time, in blocks of one length."""

    steps: int
    length: int
    windows: int

    def blocks(self, x: Float[Array, "step *rest"], end: Array) -> Float[Array, "block length *rest"]:
        """Filled up with `end`."""
        whole = jnp.concatenate([x, jnp.broadcast_to(end, (-self.steps % self.length, *x.shape[1:]))])
        return whole.reshape(-1, self.length, *x.shape[1:])

    def by_pair(self, begin: Sequence[Array], found: Sequence[Array]) -> Float[Array, "time window pair"]:
        """Derivatives of every group, at the first sample and after the steps of every block, side by side."""
        out = []
        for start, later in zip(begin, found, strict=True):
            after = later.reshape(later.shape[0] * later.shape[1], *later.shape[2:])[: self.steps]
            d = jnp.concatenate([start[None], after])
            out.append(jnp.moveaxis(d.reshape(d.shape[0], d.shape[1] * d.shape[2], self.windows), 1, 2))
        return jnp.concatenate(out, -1)


def _recorded(
    block: _Block, envelope: Float[Array, "time window channel"], *of_lanes: Float[Array, "time window lane"]
) -> tuple[_InBlocks, Array, list[Array]]:
    """How time is cut, the recording at the first sample, and all of it and of what lanes have, windows last."""
    steps, windows = envelope.shape[0] - 1, envelope.shape[1]
    length = min(max(BLOCK // (windows * len(block.lanes.each)), 16), steps)
    signals = _delayed(envelope, jnp.asarray(block.emg.delay), jnp.asarray(block.emg.gain), block.timestep)
    turned = [kept(jnp.swapaxes(x, -1, -2)) for x in (jnp.stack(signals, 1), *of_lanes)]
    return _InBlocks(steps, length, windows), turned[0][:1], turned


Drive = tuple[Array, list[Array], list[Array]]
"""Excitations of the lanes, and of every group their derivatives by column and by two columns."""
Carry = tuple[Drive, list[tuple[Array, Array, Array]]]


class _Block:
    """A block of steps: called with what came before it and its own recording."""

    def __init__(self, model: Model, space: ParameterSpace, parameters: Parameters, mixing: Any, lanes: Lanes):
        self.lanes, self.emg, self.timestep = lanes, parameters.emg, model.timestep
        self.fields = [f for f in EMG_FIELDS if owners(space, "emg", f)]
        self.constants = [f for f in TIME_CONSTANTS if owners(space, "muscle", f)]
        self.model, self.law = _at_lanes(model, parameters.muscle, lanes, last=False)
        self.integrator, self.mixing = integrator_of(model), jnp.asarray(mixing)

    def drive(self, recorded: Float[Array, "time part channel window"]) -> Drive:
        """From what `_delayed` gives, its parts stacked."""
        signal = _signal(self.emg, recorded, self.fields)
        mix = [[(self.mixing[lane.muscle, c], c) for c in lane.channels] for lane in self.lanes.each]
        nothing = jnp.zeros_like(recorded[:, 0, 0])
        mixes = jnp.stack([sum((w * signal.value[:, c] for w, c in own), nothing) for own in mix], 1)
        value, clip = jax.jvp(_clip_unit, (mixes,), (jnp.ones_like(mixes),))

        def first(lane: Lane, column: Column) -> Array:
            parts = (self.mixing[lane.muscle, c] * signal.first[f][:, c] for f, c in column.moves if f in self.fields)
            return sum(parts, nothing)

        def second(lane: Lane, one: Column, other: Column) -> Array:
            meet = [(signal.bend(f, g), c) for f, c in one.moves for g, at in other.moves if c == at]
            parts = (self.mixing[lane.muscle, c] * bend[:, c] for bend, c in meet if bend is not None)
            return sum(parts, nothing)

        firsts, seconds = [], []
        for where, some in self.lanes.groups:
            count, own = range(len(some[0].columns)), clip[:, where]
            if not count:  # nothing unknown moves them
                firsts.append(jnp.zeros((own.shape[0], 0, *own.shape[1:])))
                seconds.append(jnp.zeros((own.shape[0], 0, 0, *own.shape[1:])))
                continue
            rows = [jnp.stack([first(lane, lane.columns[k]) for lane in some], 1) for k in count]
            firsts.append(kept(own[:, None] * jnp.stack(rows, 1)))
            pairs = [
                jnp.stack([second(lane, lane.columns[i], lane.columns[j]) for lane in some], 1)
                for i in count
                for j in count
            ]
            stacked = jnp.stack(pairs, 1)
            stacked = stacked.reshape(stacked.shape[0], len(count), len(count), *stacked.shape[2:])
            seconds.append(kept(own[:, None, None] * stacked))
        return value, firsts, seconds

    def step(self, before: Array, start: Array, end: Array) -> Taylor:
        """Activation after steps, elementwise, by "activation", "start", "end" and time constants."""
        none = {f: jnp.zeros_like(getattr(self.law, f)) for f in self.constants}
        own = {f: Taylor.variable(none[f], f) for f in self.constants}

        def rate(drive: Taylor, activation: Taylor) -> Taylor:
            def of(at: dict[str, Array]) -> Array:
                law = displaced(self.law, "muscle", {f: at[f] for f in self.constants})
                return self.model.muscle.activation_rate(law, at["drive"], at["activation"])

            at = {"drive": drive.value, "activation": activation.value, **none}
            inputs = {"drive": drive, "activation": activation, **own}
            names = list(at)
            return chained(kept(of(at)), slopes(of, at, names), curvatures(of, at, names), inputs, second=True)

        at = (Taylor.variable(x, n) for x, n in ((before, "activation"), (start, "start"), (end, "end")))
        after = self.integrator.activation(cast(Any, rate), self.timestep, *cast(Any, at))[1]
        return cast(Taylor, after)

    def followed(
        self,
        some: tuple[Lane, ...],
        slope: dict[str, Array],
        of_drive: Float[Array, "time column lane window"],
        first: Float[Array, "column lane window"],
    ) -> tuple[dict[str, Any], Array, Array]:
        """What unknowns do to what steps of a group see, to its last activations, and to all after the steps."""
        tangent: dict[str, Any] = {"start": of_drive[:-1], "end": of_drive[1:]}
        for f in self.constants:
            moves = [[float(any(f == field for field, _ in c.moves)) for c in lane.columns] for lane in some]
            tangent[f] = np.array(moves).T[:, :, None]
        push = sum((slope[n][:, None] * x for n, x in tangent.items()), jnp.zeros(()))

        def follow(d: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
            d = at[0] * d + at[1]
            return d, d

        return tangent, *jax.lax.scan(follow, first, (slope["activation"], push))

    def __call__(self, carry: Carry, recording: tuple[Array, Array, Array]) -> tuple[Carry, list[Array]]:
        (last, last_firsts, last_seconds), states = carry
        recorded, before, weight = recording
        value, firsts, seconds = self.drive(recorded)

        def both(one: Array, more: Array) -> Array:
            return jnp.concatenate([one, more])

        u = both(last, value)
        step = self.step(before, u[:-1], u[1:])
        slope = {n: kept(x) for n, x in step.first.items()}
        bend = {k: kept(x) for k, x in step.second.items()}
        after, out = [], []
        for g, (where, some) in enumerate(self.lanes.groups):
            ddu = both(last_seconds[g], seconds[g])
            d, s, total = states[g]
            own = {n: x[:, where] for n, x in slope.items()}
            tangent, d_end, later = self.followed(some, own, both(last_firsts[g], firsts[g]), d)
            tangent["activation"] = both(d[None], later[:-1])
            turned: dict[str, Any] = {}
            for (a, b), c in bend.items():
                c = c[:, None, where]
                turned[a] = turned.get(a, 0.0) + c * tangent[b]
                if a != b:
                    turned[b] = turned.get(b, 0.0) + c * tangent[a]
            bends = own["start"][:, None, None] * ddu[:-1] + own["end"][:, None, None] * ddu[1:]
            for n, x in turned.items():
                x = kept(x)
                left = tangent[n][:, :, None] if tangent[n].ndim == x.ndim else tangent[n][:, None]
                bends = bends + left * x[:, None]

            def add(at: tuple[Array, Array], x: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
                keep, bend, weight = x
                s = keep * at[0] + bend
                return (s, at[1] + weight * s), None

            (s, total), _ = jax.lax.scan(add, (s, total), (own["activation"], kept(bends), weight[:, where]))
            after.append((d_end, s, total))
            out.append(later)
        return ((value[-1:], [x[-1:] for x in firsts], [x[-1:] for x in seconds]), after), out


class _FirstBlock(_Block):
    """Without second derivatives: those of the drive and of a step are asked for by nobody, and not compiled."""

    def __call__(self, carry: Any, recording: Any) -> tuple[Any, list[Array]]:
        (last, last_firsts), states = carry
        recorded, before = recording
        value, firsts, _ = self.drive(recorded)
        u = jnp.concatenate([last, value])
        slope = {n: kept(x) for n, x in self.step(before, u[:-1], u[1:]).first.items()}
        after, out = [], []
        for g, (where, some) in enumerate(self.lanes.groups):
            of_drive, own = jnp.concatenate([last_firsts[g], firsts[g]]), {n: x[:, where] for n, x in slope.items()}
            _, end, later = self.followed(some, own, of_drive, states[g])
            after.append(end)
            out.append(later)
        return ((value[-1:], [x[-1:] for x in firsts]), after), out


def _delayed(envelope: Float[Array, "time window channel"], delay: Array, gain: Array, timestep: float) -> list[Array]:
    """Delayed envelopes, their first and second derivatives by the delay, and how far apart samples are amplified."""

    def late(delay: Array) -> tuple[Array, Array]:
        return jax.jvp(lambda d: delayed(envelope, d, timestep), (delay,), (jnp.ones_like(delay),))

    (recorded, first), (_, second) = jax.jvp(late, (delay,), (jnp.ones_like(delay),))
    return [recorded, first, second, spacing(gain * recorded)]


def _signal(emg: EmgParameters, recorded: Float[Array, "time part channel window"], fields: Sequence[str]) -> Taylor:
    """Every channel amplified, clipped and shaped, by its fields."""
    at, late, turn, apart = (recorded[:, k] for k in range(4))
    emg = jax.tree.map(lambda x: jnp.asarray(x)[:, None], emg)
    none = {f: jnp.zeros_like(emg.gain) for f in fields}

    def clipped(change: dict[str, Array]) -> Array:
        moved = displaced(emg, "emg", {f: change[f] for f in fields if f != "shape"})
        by = moved.delay - emg.delay
        return filled(moved.gain * (at + by * (late + 0.5 * turn * by)), apart)

    def amplified() -> Taylor:
        names = [f for f in fields if f != "shape"]
        return Taylor(kept(clipped(none)), slopes(clipped, none, names), curvatures(clipped, none, names))

    inputs = {"signal": amplified()}
    value, slope, bend = shape_derivatives(inputs["signal"].value, jnp.asarray(emg.shape))
    if "shape" in fields:
        inputs["shape"] = Taylor.variable(emg.shape, "shape")
    slope = {k: kept(x) for k, x in slope.items() if k in inputs}
    bend = {k: kept(x) for k, x in bend.items() if set(k) <= set(inputs)}
    return chained(kept(value), slope, bend, inputs, second=True)
