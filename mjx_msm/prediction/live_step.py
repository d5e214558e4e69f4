"""One sample of a live prediction, as one function to be compiled: from a state and an input to a state and an output.

The state of the joints is filtered by an extended Kalman filter whose model is the person's own: x = (q, v, e), with e
the moment that acts on a free coordinate from outside the model, and the acceleration of every other coordinate, both
first-order Markov processes (Singer 1970, doi 10.1109/TAES.1970.310128). Between samples

    q⁺ = q + v h + ½ a h²,   v⁺ = v + a h,   e⁺ = e exp(−h/τ),      M a = moments of muscles and joint + e,

with the derivative of a by q, v and e from the equations of motion; encoders then correct it one by one. What that
leaves open of the state leaves the moments open, too, by their derivative. Activations are driven by the EMG alone, of
the estimate and of people drawn from the posterior side by side. The same equations run on to the horizon, under
excitations that are known as far as the electromechanical delay reaches, and extrapolated beyond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.dynamics.excitation import shaped
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.simulation import (
    free_response,
    generalised_force,
    mechanics,
    passive_force,
    solve_acceleration,
    spatial_inertia,
)
from mjx_msm.prediction.extrapolation import EARLIER, FADE, TREND
from mjx_msm.prediction.live_state import Input, Memory, Output, Setup

MEAN_TIME = 5.0
"""Over which a channel's mean and variance are taken [s]."""
RENEWED = 0.005
"""How old derivatives of the equations of motion may be [s]."""
GATE = 8.0
"""Encoder samples further off are not believed [standard deviations]."""


def _filtered(sections: np.ndarray, state: Array, x: Array) -> tuple[Array, Array]:
    """One sample through second-order sections, transposed direct form II."""
    kept = []
    for s, z in zip(sections, state, strict=True):
        y = s[0] * x + z[0]
        kept.append(jnp.stack([s[1] * x - s[4] * y + z[1], s[2] * x - s[5] * y]))
        x = y
    return x, jnp.stack(kept) if kept else state


def live_step(setup: Setup) -> Callable[[Memory, Input], tuple[Memory, Output]]:
    """The function of one sample."""
    model, law = setup.model, setup.model.muscle
    me = jax.tree.map(lambda x: x[0], setup.everyone)
    muscles, emg = setup.everyone.muscle, setup.everyone.emg
    n, free, held = len(model.coordinates), model.host.free_index, model.host.held_index
    # products with columns of the identity: writing into an array by an index is a loop on a CPU
    onto_free, onto_held = jnp.asarray(np.eye(n)[:, free]), jnp.asarray(np.eye(n)[:, held])
    inertia = spatial_inertia(me.body)
    noise, h, made = setup.noise, setup.horizon / setup.steps, setup.made
    outer_sd, outer_time = setup.outer_spread, np.full(n, noise.acceleration_time)
    outer_time[free] = noise.outer_time
    gain, shape = jnp.asarray(emg.gain), jnp.asarray(emg.shape)
    later = setup.waiting - setup.waiting[0]

    def excited(now: Any, rate: Any) -> Array:
        """Excitation of all people from the estimate's delayed envelopes and their rates."""
        envelope = now - later * rate
        signal = shaped(jnp.clip(gain * envelope, 0.0, 1.0), shape)
        return jnp.clip(signal @ setup.mixing.T, 0.0, 1.0)

    def activated(a: Array, u: Array, dt: Any) -> Array:
        """Exact where the time constant keeps its value during the step."""
        left = u - a
        safe = jnp.where(jnp.abs(left) < 1e-9, 1e-9, left)
        speed = law.activation_rate(muscles, a + safe, a) / safe
        return u - left * jnp.exp(-speed * dt)

    def equations(q: Array, v: Array) -> tuple[Any, Any]:
        shape_ = geometry(model, q, v)
        return mechanics(model, me, inertia, shape_, q, v), shape_

    def moments(terms: Any, shape_: Any, q: Array, v: Array, a: Array) -> Array:
        """Of muscles and passive joint, of all people, about the free coordinates."""
        arm = terms.moment_arm[:, free]
        pull = law.tension(muscles, a, terms.path_length, -terms.moment_arm @ v)
        passive = jax.vmap(lambda p: passive_force(model, p, shape_, q, v))(setup.everyone)
        return pull @ arm + passive[:, free]

    def accelerated(x: Array, a: Array) -> tuple[Array, tuple[Any, Any, Array]]:
        q, v, e = x[:n], x[n : 2 * n], x[2 * n :]
        terms, shape_ = equations(q, v)
        pull = law.tension(me.muscle, a, terms.path_length, -terms.moment_arm @ v)
        force = generalised_force(terms, pull) + onto_free @ e[free]
        moved = solve_acceleration(model, me, terms, force, e[held])
        return onto_free @ moved + onto_held @ e[held], (terms, shape_, pull)

    def both(x: Array, a: Array) -> Array:
        """Accelerations, then the estimate's moments."""
        acceleration, (terms, shape_, pull) = accelerated(x, a)
        moment = pull @ terms.moment_arm + passive_force(model, me, shape_, x[:n], x[n : 2 * n])
        return jnp.concatenate([acceleration, moment[free]])

    def transition(slope: Array, dt: Any) -> tuple[Array, Array]:
        eye = jnp.eye(n)
        fade = jnp.exp(-dt / outer_time)
        by_q, by_v, by_e = slope[:, :n], slope[:, n : 2 * n], slope[:, 2 * n :]
        half = 0.5 * dt * dt
        rows = [
            jnp.concatenate([eye + half * by_q, dt * eye + half * by_v, half * by_e], 1),
            jnp.concatenate([dt * by_q, eye + dt * by_v, dt * by_e], 1),
            jnp.concatenate([jnp.zeros((n, 2 * n)), jnp.diag(fade)], 1),
        ]
        return jnp.concatenate(rows), jnp.diag(jnp.concatenate([jnp.zeros(2 * n), outer_sd**2 * (1 - fade**2)]))

    def moved(x: Array, acceleration: Array, dt: Any) -> Array:
        q, v, e = x[:n], x[n : 2 * n], x[2 * n :]
        q = q + v * dt + 0.5 * acceleration * dt * dt
        return jnp.concatenate([q, v + acceleration * dt, e * jnp.exp(-dt / outer_time)])

    def step(memory: Memory, sample: Input) -> tuple[Memory, Output]:
        dt = jnp.maximum(sample.time - memory.clock[-1], 1e-6)
        # EMG: what is missing keeps its last value, then goes to its running mean
        came = jnp.isfinite(sample.emg)
        raw = jnp.where(came, sample.emg, memory.seen)
        same = jnp.where(raw == memory.seen, memory.same + dt, 0.0)
        age = jnp.where(came, 0.0, memory.age + dt)
        missing = jnp.maximum(age, jnp.where((same > setup.dead_after) & came, same, 0.0))
        filtered, before = _filtered(setup.filters.before, memory.before, raw)
        filtered = jnp.abs(filtered) if setup.filters.rectify else filtered
        filtered, after = _filtered(setup.filters.after, memory.after, filtered)
        envelope = jnp.maximum(filtered, 0.0) / setup.reference
        fading, usual = jnp.exp(-missing / FADE), memory.mean[made.measured]
        envelope, by_measured = made(jnp.where(missing > 0, usual + (envelope - usual) * fading, envelope))
        gone = made.all_of(missing, jnp.max(missing, initial=0.0))
        keep = jnp.where(gone > 0, 1.0, jnp.exp(-dt / MEAN_TIME))
        mean = keep * memory.mean + (1 - keep) * envelope
        square = keep * memory.square + (1 - keep) * envelope**2
        clock = jnp.concatenate([memory.clock[1:], sample.time[None]])
        history = jnp.concatenate([memory.history[1:], envelope[None]])

        def looked_up(times: Array) -> tuple[Array, Array]:
            """Envelopes at (..., channel) times not after now, and their rates."""
            i = jnp.clip(jnp.searchsorted(clock, times, method="compare_all"), 1, setup.past - 1)
            channel = jnp.arange(times.shape[-1])
            low, high, gap = history[i - 1, channel], history[i, channel], clock[i] - clock[i - 1]
            part = jnp.clip((times - clock[i - 1]) / gap, 0.0, 1.0)
            return (1 - part) * low + part * high, (high - low) / gap

        # envelopes as the muscles see them: now, and at every step ahead
        due = jnp.concatenate([jnp.zeros(1), jnp.asarray(setup.ahead)])[:, None] - setup.waiting[0]
        known, rate = looked_up(sample.time + jnp.minimum(due, 0.0))
        beyond = jnp.maximum(due, 0.0)
        if setup.rule == "decay":
            known = mean + (known - mean) * jnp.exp(-beyond / FADE)
        if setup.rule == "trend":
            before_now, _ = looked_up(jnp.broadcast_to(sample.time - TREND, (made.count,)))
            rises = (envelope - before_now) / TREND * FADE
            known = jnp.maximum(known + rises * (1 - jnp.exp(-beyond / FADE)), 0.0)
        outer_ahead, seen = None, jnp.zeros(0)
        # joints: predict with the last equations, then correct
        forward, grows = transition(memory.slope, dt)
        x = moved(memory.state, memory.acceleration, dt)
        covariance = forward @ memory.covariance @ forward.T + grows
        blind = memory.blind + dt
        for k in range(n):
            there = jnp.isfinite(sample.encoder[k])
            off = jnp.where(there, sample.encoder[k] - x[k], 0.0)
            variance = covariance[k, k] + noise.encoder**2
            believed = there & ((off * off < GATE**2 * variance) | (blind[k] > 0.1))
            weight = jnp.where(believed, covariance[:, k] / variance, 0.0)
            x = x + weight * off
            covariance = covariance - jnp.outer(weight, covariance[k])
            blind = blind.at[k].set(jnp.where(believed, 0.0, blind[k]))
        covariance = 0.5 * (covariance + covariance.T)
        q, v = x[:n], x[n : 2 * n]

        if setup.learned is not None:
            ago, _ = looked_up(sample.time - jnp.asarray(EARLIER)[:, None] + jnp.zeros((1, made.count)))
            seen = jnp.concatenate([ago.ravel(), q, v, jnp.ones(1)])
            guess = jnp.clip(jnp.asarray(setup.learned.envelope) @ seen, 0.0, None)
            known = known.at[1:].set(jnp.where(beyond[1:] > 0, guess, known[1:]))
            outer_ahead = jnp.asarray(setup.learned.outer) @ seen
        drives = excited(known[:, None, :], jnp.where(beyond > 0, 0.0, rate)[:, None, :])  # (step, person, muscle)
        drive = jnp.where(jnp.isnan(memory.drive), drives[0], memory.drive)
        a = jnp.where(jnp.isnan(memory.activation), drives[0], memory.activation)
        a = activated(a, 0.5 * (drive + drives[0]), dt)

        acceleration, (terms, shape_, _) = accelerated(x, a[0])
        old = memory.since + dt >= RENEWED

        def renewed() -> Array:
            return _by_motion(lambda y: both(y, a[0]), x, free, n)

        slopes = jax.lax.cond(old, renewed, lambda: jnp.concatenate([memory.slope, memory.moment_slope]))
        slope, moment_slope = slopes[:n], slopes[n:]
        by_outer = free_response(model, me, terms, jnp.eye(len(free))) @ onto_free.T
        if len(held):
            coupled = terms.mass_matrix[np.ix_(free, held)]
            by_outer = by_outer - free_response(model, me, terms, coupled) @ onto_held.T
        by_outer = onto_free @ by_outer + onto_held @ onto_held.T
        slope = jnp.concatenate([slope[:, : 2 * n], by_outer], 1)
        torques = moments(terms, shape_, q, v, a)

        # what a missing channel leaves open: how far its muscles' moments would go with its usual spread
        unsure = jnp.sqrt(jnp.maximum(square - mean**2, 1e-4))[made.measured] * (1 - fading)
        path = terms.path_length, -terms.moment_arm @ v
        none, full = (law.tension(me.muscle, jnp.full_like(a[0], x), *path) for x in (0.0, 1.0))
        reach = jnp.einsum("mf,m,mc->fc", terms.moment_arm[:, free], full - none, jnp.asarray(setup.mixing)) * gain[0]
        whole = reach[:, made.measured] + reach[:, made.made] @ by_measured  # what is made of a channel goes with it
        open_variance = jnp.sum((whole * unsure) ** 2, -1)

        inputs = drives[:-1], drives[1:], jnp.zeros((setup.steps, n)) if outer_ahead is None else outer_ahead
        f_ahead, q_ahead = transition(slope, h)

        def onward(carry: Any, given: Any) -> tuple[Any, None]:
            y, c, act, acc, _ = carry
            begin, end, outer = given
            y = moved(y, acc, h)
            if setup.learned is not None:
                y = y.at[2 * n :].set(outer)
            act = activated(act, 0.5 * (begin + end), h)
            c = f_ahead @ c @ f_ahead.T + q_ahead
            new, (terms, shape_, _) = accelerated(y, act[0])
            y = y.at[n : 2 * n].add(0.5 * h * (new - acc))  # the mean of both ends moves it
            return (y, c, act, new, moments(terms, shape_, y[:n], y[n : 2 * n], act)), None

        (y, c, _, _, torques_later), _ = jax.lax.scan(onward, (x, covariance, a, acceleration, torques), inputs)

        def of_state(covariance: Array) -> Array:
            """Variance of the moments, by the joints' state."""
            return jnp.maximum(jnp.einsum("fi,ij,fj->f", moment_slope, covariance, moment_slope), 0.0)

        base = jnp.asarray(setup.torque_noise) ** 2 + open_variance + of_state(covariance)

        def spread(every: Array) -> Array:
            """Of the people, of what the sensors leave open, and of the joints' state now."""
            return jnp.sqrt(jnp.mean((every[1:] - every[0]) ** 2, 0) + base)

        out = Output(
            torque=torques[0],
            torque_sd=spread(torques),
            torque_ahead=torques_later[0],
            torque_ahead_sd=spread(torques_later),
            torque_open_sd=jnp.sqrt(of_state(c)),
            angle=q[free],
            angle_sd=jnp.sqrt(jnp.diag(covariance)[free]),
            angle_ahead=y[free],
            angle_ahead_sd=jnp.sqrt(jnp.maximum(jnp.diag(c)[free], 0.0)),
            missing=missing,
            blind=blind,
            motion=x[: 2 * n],
            motion_ahead=y[: 2 * n],
            features=seen,
        )
        later_memory = Memory(
            clock, history, before, after, raw, age, same, mean, square, drives[0], a, x, covariance, acceleration,
            slope, moment_slope, jnp.where(old, 0.0, memory.since + dt), blind,
        )  # fmt: skip
        return later_memory, out

    return step


def _by_motion(
    function: Callable[[Array], Array], x: Array, free: np.ndarray, n: int
) -> Float[Array, "coordinate state"]:
    """Derivative by position and velocity of the free coordinates; 0 elsewhere."""
    columns = np.concatenate([free, n + free])
    _, push = jax.linearize(function, x)
    onto = np.eye(3 * n)[columns]
    return jax.vmap(push)(jnp.asarray(onto)).T @ onto
