"""A synthetic recording over minutes, of a person whose muscles tire: what an estimate of fatigue has to recover.

A wanted effort wanders about, muscle by muscle. On a dynamometer that is all: its moment is what the muscles make of
it. In free motion the joints follow a course, and the person does what it takes: the activations nearest to the wanted
ones, in relative entropy, whose muscles at their capacity bring up the moment that the equations of motion ask for.
So a tired muscle is driven harder for the same motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.special import expit, logit

from mjx_msm.common.arguments import number, whole
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.fatigue import Compartments, Fatigue, tiring
from mjx_msm.dynamics.inverse_dynamics import inertial
from mjx_msm.dynamics.moment_sensitivities import instants, net_moment
from mjx_msm.person.inspection import coordinate_range
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters
from mjx_msm.recordings.synthetic import NOISE_BAND, smooth_noise
from mjx_msm.recordings.trial import Trial

MOTION_BAND, EFFORT_BAND = 0.4, 0.4
"""Joints and efforts change up to this fast [Hz]."""
EXCURSION = 0.25
"""Largest of a joint about its posture [rad or m]."""
CALMER = (1.0, 0.7, 0.5, 0.35, 0.25)
"""Parts of a motion that are tried, until the muscles can do it."""
USUAL, WANDERING = 0.2, (0.0, 0.7)
"""Median of a wanted effort, and the standard deviations of its logit: of all muscles together, of each by itself."""


class Effort(NamedTuple):
    """A recording, and the truth behind it."""

    trial: Trial
    capacity: Float[np.ndarray, "time muscle"]
    activation: Float[np.ndarray, "time muscle"]


def synthetic_effort(
    model: Model,
    truth: Parameters,
    fatigue: Fatigue,
    *,
    start: Compartments | None = None,
    posture: Mapping[str, float] | None = None,
    usual: float = USUAL,
    wandering: tuple[float, float] = WANDERING,
    duration: float = 120.0,
    rate: float = 100.0,
    seed: int = 0,
    dynamometer: bool = False,
    angle_noise: float = 0.0,
    emg_noise: tuple[float, float] = (0.0, 0.0),
    moment_noise: float = 0.0,
    name: str = "effort",
) -> Effort:
    """A recording of a person who tires.

    **Arguments:** `fatigue`, `start`: of every muscle; None: rested. `posture`: what coordinates move about [rad], by
    default the middle of their range. `usual`: median of a wanted effort. `wandering`: standard deviations of its logit
    over time, of all muscles together and of each by itself; (0, 0): muscles do what the motion takes, and no more, so
    that two of one action are driven alike. `duration` [s], `rate` [Hz]. `dynamometer`: whether joint moments are
    recorded, and efforts free; else the motion asks for them. `angle_noise` [rad], white; `emg_noise`: relative and
    absolute, as smooth as an envelope; `moment_noise` [N·m], white.

    **Raises:** `InputError` if the muscles cannot bring up what a motion asks for.
    """
    whole("seed", seed)
    for what, value in (("duration", duration), ("rate", rate)):
        if not number(what, value) > 0:
            raise InputError(f"{what} {value:g} must be positive")
    model.host.only_tree("synthetic_effort")
    rng = np.random.default_rng(seed)
    time = np.arange(int(duration * rate) + 1) / rate
    wander = smooth_noise(rng, len(time), len(model.muscles), rate, EFFORT_BAND)
    common = smooth_noise(rng, len(time), 1, rate, EFFORT_BAND) if wandering[0] else 0.0
    wanted = expit(logit(usual) + wandering[0] * common + wandering[1] * wander)
    about, course = _course(model, rng, time, rate, posture or {})
    start = Compartments.fresh(len(model.muscles)) if start is None else start
    with float64():
        for calmer in CALMER:
            spline = CubicSpline(time, about + calmer * course)
            position, velocity, acceleration = (spline(time, k) for k in range(3))
            at = instants(model, np.arange(len(time)), np.zeros(len(time), int), position, velocity)
            path = jnp.asarray(at.path_length), jnp.asarray(at.path_velocity)
            zero = jnp.zeros_like(path[0])
            passive = model.muscle.tension(truth.muscle, zero, *path)
            strongest = model.muscle.tension(truth.muscle, zero + 1.0, *path)
            arms = np.asarray(at.moment_arm * (strongest - passive)[:, None])
            rest = np.asarray(net_moment(model, truth, at, passive))
            if dynamometer:
                done = wanted, _capacity(fatigue, start, wanted, rate)
            else:
                asked = np.asarray(inertial(model, position, velocity, acceleration).force(truth)) - rest
                done = _striven(asked, arms, wanted, fatigue, start, rate)
            excitation = None if done is None else _excitation(model, truth, done[0], time)
            if done is not None and excitation is not None:
                activation, capacity = done
                break
        else:
            raise InputError(
                "the muscles cannot bring up what the motion asks for; choose another posture, a shorter duration or "
                "slower fatigue"
            )
    moment = np.einsum("tfm,tm->tf", arms, capacity * activation) + rest
    relative, absolute = (s * smooth_noise(rng, len(time), len(model.muscles), rate, NOISE_BAND) for s in emg_noise)
    free, noisy = model.host.free_index, position.copy()
    noisy[:, free] += angle_noise * rng.standard_normal((len(time), len(free)))
    used = [i for i, c in enumerate(model.coordinates) if c not in model.host.locked]
    trial = Trial(
        name=name,
        time=time,
        coordinates=tuple(model.coordinates[i] for i in used),
        position=noisy[:, used],
        channels=model.muscles,
        emg=np.clip(excitation * (1 + relative) + absolute, 0.0, 1.0),
        moment_coordinates=model.free if dynamometer else (),
        moment=moment + moment_noise * rng.standard_normal(moment.shape) if dynamometer else None,
        metadata={"synthetic": True, "seed": seed},
    )
    return Effort(trial, capacity, activation)


def _course(
    model: Model, rng: np.random.Generator, time: np.ndarray, rate: float, posture: Mapping[str, float]
) -> tuple[np.ndarray, ...]:
    """A posture of all coordinates, and how they move about it."""
    missing = [c for c in posture if c not in model.coordinates]
    if missing:
        raise InputError(f"coordinate '{missing[0]}' is not in the model; it has {', '.join(model.coordinates)}")
    about, out = np.zeros(len(model.coordinates)), np.zeros((len(time), len(model.coordinates)))
    for i, name in enumerate(model.coordinates):
        low, high = coordinate_range(model, name)
        if not np.isfinite(high - low):
            low, high = model.host.reference[i] + np.array([-0.5, 0.5])
        about[i] = model.host.locked.get(name, posture.get(name, 0.5 * (low + high)))
        if name in model.free:
            out[:, i] = EXCURSION * np.tanh(smooth_noise(rng, len(time), 1, rate, MOTION_BAND)[:, 0])
    return about, out


def _capacity(fatigue: Fatigue, start: Compartments, activation: np.ndarray, rate: float) -> np.ndarray:
    return np.asarray(tiring(fatigue, start, activation, 1.0 / rate)[0])[:-1]


def _striven(
    asked: Float[np.ndarray, "time free"],
    arms: Float[np.ndarray, "time free muscle"],
    wanted: Float[np.ndarray, "time muscle"],
    fatigue: Fatigue,
    start: Compartments,
    rate: float,
) -> tuple[Float[np.ndarray, "time muscle"], Float[np.ndarray, "time muscle"]] | None:
    """Activations and the capacities that they lead to, for which they have to be more; None: there are none."""
    capacity = _capacity(fatigue, start, wanted, rate)
    for _ in range(60):
        activation = _nearest(asked, arms * capacity[:, None], wanted)
        if activation is None:
            return None
        before, capacity = capacity, _capacity(fatigue, start, activation, rate)
        if np.abs(capacity - before).max() < 1e-10:
            return activation, capacity
    return None


def _nearest(asked: np.ndarray, arms: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Activations a = σ(logit(wanted) + armsᵀ λ) with arms a = asked, all instants at once, by Newton's method."""
    size = np.abs(arms).max()
    arms, asked = arms / size, asked / size
    base, force = logit(wanted), np.zeros_like(asked)

    def off(force: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a = expit(base + np.einsum("tfm,tf->tm", arms, force))
        return a, np.einsum("tfm,tm->tf", arms, a) - asked

    a, miss = off(force)
    tried, missed = a, miss
    for _ in range(100):
        if np.abs(miss).max() < 1e-12:
            return a
        slope = np.einsum("tfm,tm,tgm->tfg", arms, a * (1 - a), arms) + 1e-15 * np.eye(asked.shape[1])
        step = -np.linalg.solve(slope, miss[..., None])[..., 0]
        part = np.ones(len(asked))
        for _ in range(30):  # each instant by itself goes as far as it gets nearer
            tried, missed = off(force + part[:, None] * step)
            worse = (missed**2).sum(1) > (miss**2).sum(1)
            if not worse.any():
                break
            part = np.where(worse, 0.5 * part, part)
        force, a, miss = force + part[:, None] * step, tried, missed
    return None


def _excitation(model: Model, truth: Parameters, activation: np.ndarray, time: np.ndarray) -> np.ndarray | None:
    """That which moves the activation as it goes, by bisection; None: it cannot go so fast."""
    low, high, rate = np.zeros_like(activation), np.ones_like(activation), CubicSpline(time, activation)(time, 1)

    def climbs(u: Any) -> np.ndarray:
        return np.asarray(model.muscle.activation_rate(truth.muscle, jnp.asarray(u), jnp.asarray(activation)))

    if (climbs(high) < rate).any() or (climbs(low) > rate).any():
        return None
    for _ in range(50):
        middle = 0.5 * (low + high)
        slow = climbs(middle) < rate
        low, high = np.where(slow, middle, low), np.where(slow, high, middle)
    return 0.5 * (low + high)
