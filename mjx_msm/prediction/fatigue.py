"""Which muscle groups of an identified person are fatigued in a recording over minutes, by how much, how surely.

A muscle's force is its capacity times what its EMG says, so that EMG rises at the same moment; the capacity follows
from the effort by 3CC-r (`mjx_msm.dynamics.fatigue`). Of every group three numbers are unknown: how much of it is
fatigued at the start, and the rates F and R, whose priors are those of its joint. The person's own parameters are not
estimated again: they are as well known as the identification's posterior says, and no better.

A group counts as fatigued if it has lost more than `LOSS` of its strength with 95 % probability, and as not fatigued if
it has not with as much. It is left open where the recording holds less information on its capacity than the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.special import expit
from scipy.stats import chi2

from mjx_msm.common.arguments import of_kind, whole
from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.fatigue import JOINTS, SPREAD, Compartments, Fatigue, tiring
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model, refuse_memory
from mjx_msm.person.muscle import AnyArray
from mjx_msm.prediction.capacity_fit import Capacities, fit_capacities
from mjx_msm.prediction.fatigue_estimate import LOSS, FatigueEstimate, GroupFatigue, Value
from mjx_msm.prediction.muscle_course import estimate_first
from mjx_msm.prediction.muscle_groups import Group, muscle_groups
from mjx_msm.prediction.muscle_share import Shares, shares
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.trial import Trial

DRAWS = 60
"""People drawn from the posterior, unless told otherwise."""
SAMPLES = 400
"""Draws of what was found, for intervals."""
WIDER = 1.3
"""Standard deviation of what was found, of Laplace's: it knows neither the errors of the identification's own posterior
nor that the one about the mode is bent. Chosen on 30 recordings of five synthetic people, see docs, limits."""
TIRED = (-4.0, 1.8)
"""Mean and standard deviation of logit(fatigued part at the start) a priori: 2 %, and below 0.4 with 97.5 %."""
PACE = 0.1
"""Time over which effort is averaged [s]: 3CC-r's controller takes as long."""
SHOWN = 1.0
"""Between two instants of the curves [s]."""
BLOCKS = 8
"""Parts of the recording in which capacities are estimated without 3CC-r, to hold its curves against."""


@one_blas_thread
def estimate_fatigue(
    identification: Identification,
    trial: Trial,
    *,
    model: Model | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    draws: int = DRAWS,
) -> FatigueEstimate:
    """How tired each muscle group is over a recording of minutes, from EMG and joint moments, or else the motion.

    Without recorded moments they are those that the motion takes by the person's own inertia: nothing but what the
    model knows may then touch the person.

    **Arguments:** `model`: what the person was identified on, by default loaded. `groups`: name to muscles or
    patterns of them; by default by the joint that a muscle moves most, and the direction. `draws`: people drawn from
    the posterior, whose spread is in every interval.

    **Raises:** `InputError` if a channel or coordinate is missing, the recording is shorter than seconds, the muscles'
    force is no line in their activation, or the identification holds no draws.
    """
    of_kind("identification", identification, Identification, "identify makes one, Identification.load reads one")
    of_kind("trial", trial, Trial, "load_subject reads them from files")
    whole("draws", draws, 2)
    model = identification.model() if model is None else model
    model.host.only_tree("fatigue")
    refuse_memory(model, "finding fatigue")
    recording = record(model, identification.heard(trial), identification.emg_map)
    with float64():
        everyone = estimate_first(identification, model, draws)
    found = shares(model, everyone, recording, identification.levers, identification.emg_noise)
    strength = np.asarray(everyone.muscle.max_isometric_force)[0]
    named = muscle_groups(model, strength, found.arm, groups)
    tired = _Tiring(model, named, found, recording.first)
    fit = fit_capacities(found, tired.course, 3 * len(named))
    free = fit_capacities(found, _blockwise(tired, found), BLOCKS * len(named))
    return _estimate(identification, trial, model, tired, found, fit, free, strength, recording.start)


class _Tiring:
    """Capacities of all muscles by the groups' unknowns: fatigued part at the start, F and R of one after another."""

    def __init__(self, model: Model, groups: Sequence[Group], found: Shares, first: int):
        self.groups = tuple(groups)
        of = {m: g for g, group in enumerate(groups) for m in group.muscles}
        self.of = np.array([of.get(m, -1) for m in model.muscles])
        rates = np.array([JOINTS[g.joint] for g in groups])
        self.usual = np.where(self.of[:, None] >= 0, rates[self.of], (0.0, 1e-3, 1.0))
        activation = found.everyone[0].activation[first:]
        pace = max(1, round(PACE / model.timestep))
        count = -(-len(activation) // pace)
        padded = np.concatenate([activation, np.repeat(activation[-1:], count * pace - len(activation), axis=0)])
        self.effort = padded.reshape(count, pace, -1).mean(axis=1)
        self.dt = pace * model.timestep
        start = first * model.timestep
        self.time = found.time
        self.place = np.clip((found.time - start) / self.dt, 0, count)
        self.shown = np.arange(0.0, found.time[-1] - found.time[0] + 1e-9, SHOWN) + found.time[0]
        self.shown_place = np.clip((self.shown - start) / self.dt, 0, count)

    def course(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with float64():
            c, slope = _course_and_slope(x, self.of, self.usual, self.effort, self.dt, self.place)
            return np.asarray(c), np.asarray(slope)

    def many(self, x: Float[np.ndarray, "draw unknown"]) -> Float[np.ndarray, "draw shown muscle"]:
        """At the instants of the curves."""
        with float64():
            return np.asarray(_courses(x, self.of, self.usual, self.effort, self.dt, self.shown_place))


def _course(
    x: Any, of: Int[Any, "muscle"], usual: Float[Any, "muscle 3"], effort: Any, dt: float, place: Any
) -> Float[Array, "instant muscle"]:
    own = jnp.concatenate([jnp.asarray(x).reshape(-1, 3), jnp.zeros((1, 3))])[of]  # the last row is of no group
    member = jnp.asarray(of) >= 0
    usual = jnp.asarray(usual)
    start = jnp.where(member, jax.nn.sigmoid(TIRED[0] + TIRED[1] * own[:, 0]), 0.0)
    fatigue = Fatigue(
        usual[:, 0] * jnp.exp(SPREAD[0] * own[:, 1]), usual[:, 1] * jnp.exp(SPREAD[1] * own[:, 2]), usual[:, 2]
    )
    capacity, _ = tiring(fatigue, Compartments(jnp.zeros_like(start), start), effort, dt)
    below = jnp.clip(jnp.floor(place).astype(int), 0, len(capacity) - 2)
    part = (place - below)[:, None]
    return (1 - part) * capacity[below] + part * capacity[below + 1]


@jit
def _course_and_slope(
    x: AnyArray, of: AnyArray, usual: AnyArray, effort: AnyArray, dt: float, place: AnyArray
) -> tuple[Array, Array]:
    def at(x: Array) -> Array:
        return _course(x, of, usual, effort, dt, place)

    return at(jnp.asarray(x)), jax.jacfwd(at)(jnp.asarray(x))


@jit
def _courses(
    x: AnyArray, of: AnyArray, usual: AnyArray, effort: AnyArray, dt: float, place: AnyArray
) -> Float[Array, "draw instant muscle"]:
    return jax.vmap(lambda one: _course(one, of, usual, effort, dt, place))(jnp.asarray(x))


def _blockwise(tired: _Tiring, found: Shares) -> Any:
    """A capacity a group and part of the recording, 1 ± 1 a priori."""
    time = found.time - found.time[0]
    block = np.minimum((BLOCKS * time / (time[-1] + 1e-9)).astype(int), BLOCKS - 1)
    groups, muscles = len(tired.groups), len(tired.of)
    slope = np.zeros((len(time), muscles, BLOCKS * groups))
    for m, g in enumerate(tired.of):
        if g >= 0:
            slope[np.arange(len(time)), m, g * BLOCKS + block] = 1.0

    def course(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 1.0 + slope @ x, slope

    return course


def _estimate(
    identification: Identification,
    trial: Trial,
    model: Model,
    tired: _Tiring,
    found: Shares,
    fit: Capacities,
    free: Capacities,
    strength: np.ndarray,
    start: float,
) -> FatigueEstimate:
    rng = np.random.default_rng(identification.seed)
    unknowns = len(fit.x)
    about = rng.multivariate_normal(fit.x, WIDER**2 * fit.covariance, SAMPLES, method="eigh")
    draws = np.concatenate([fit.x[None], about])
    before = rng.standard_normal((SAMPLES, unknowns))
    after, prior = tired.many(draws), tired.many(before)
    ends = found.time[0] + (np.arange(BLOCKS + 1) * (found.time[-1] - found.time[0]) / BLOCKS)
    out = []
    for g, group in enumerate(tired.groups):
        mine = tired.of == g
        share = strength[mine] / strength[mine].sum()
        capacity, expected = after[..., mine] @ share, prior[..., mine] @ share
        told = 1.0 - capacity[1:, -1].var() / expected[:, -1].var()
        rates = [Value.of(JOINTS[group.joint][k] * np.exp(SPREAD[k] * draws[:, 3 * g + 1 + k])) for k in range(2)]
        own = slice(g * BLOCKS, (g + 1) * BLOCKS)
        out.append(
            GroupFatigue(
                name=group.name,
                muscles=group.muscles,
                joint=group.joint,
                capacity=tuple(Value.shortest(c) for c in capacity.T),
                fatigued_at_start=Value.of(expit(TIRED[0] + TIRED[1] * draws[:, 3 * g])),
                fatigue_rate=rates[0],
                recovery_rate=rates[1],
                probability=float(np.mean(capacity[1:, -1] < 1.0 - LOSS)),
                data_share=float(np.clip(told, 0.0, 1.0)),
                blocks=tuple(map(float, 1.0 + free.x[own])),
                blocks_sd=tuple(map(float, np.sqrt(np.diag(free.covariance)[own]))),
                effort=float((tired.effort[:, mine] @ share).mean()),
                contradiction=_contradiction(capacity[0], tired.shown, ends, free, own),
            )
        )
    return FatigueEstimate(
        subject=identification.subject,
        trial=trial.name,
        groups=tuple(out),
        time=tuple(map(float, start + tired.shown)),
        blocks_time=tuple(map(float, start + 0.5 * (ends[1:] + ends[:-1]))),
        recorded=found.recorded,
        free=model.free,
        noise=tuple(map(float, fit.noise)),
        independent=fit.independent,
        converged=fit.converged and free.converged,
        instants=start + found.time,
        demand=np.where(found.seen > 0, fit.demand, np.nan),
        explained=fit.predicted,
    )


def _contradiction(capacity: np.ndarray, shown: np.ndarray, ends: np.ndarray, free: Capacities, own: slice) -> float:
    """Probability that capacities by parts differ as much from 3CC-r's curve by chance; the level is not compared."""
    of = np.clip(np.searchsorted(ends, shown, side="right") - 1, 0, BLOCKS - 1)
    curve = np.array([capacity[of == b].mean() for b in range(BLOCKS)])
    off, covariance = 1.0 + free.x[own] - curve, free.covariance[own, own]
    contrast = np.diff(np.eye(BLOCKS), axis=0)
    d = contrast @ off
    return float(chi2.sf(d @ np.linalg.solve(contrast @ covariance @ contrast.T, d), BLOCKS - 1))
