"""How one step is taken: MuJoCo's semi-implicit Euler, and its RK4, each as a value.

Excitation and prescribed motion are curves through samples on the model's clock, linear in between and a cubic spline;
an integrator evaluates them at its stages. C MuJoCo takes the same steps where a control callback gives it the same
curves (`mjx_msm.recordings.replay`).

*Euler*, the order of whose error is 1, evaluates at the start of a step, and takes joint damping implicitly:

    (M + h·D) q̈ = f(t, q, q̇, a),   q̇ ← q̇ + h q̈,   q ← q + h q̇,   a ← a + h ȧ(u, a).

*RK4* (Kutta 1901), of order 4, evaluates y' = g(t, y), y = (q, q̇, a), at the start, twice in the middle, and at the
end:

    g₁ = g(t, y),  g₂ = g(t + h/2, y + h/2 g₁),  g₃ = g(t + h/2, y + h/2 g₂),  g₄ = g(t + h, y + h g₃),
    y ← y + h/6 (g₁ + 2 g₂ + 2 g₃ + g₄).

A held coordinate is a state whose acceleration is known. RK4 integrates a cubic spline without error, so that it is on
the curve at every sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Int

from mjx_msm.person.model import Model

Rate = Callable[[Array, Array], Array]
"""Time derivative of activation from (excitation, activation)."""
Accelerate = Callable[[Array, Array], tuple[Array, Any]]
"""Accelerations of all coordinates from (position, velocity) at a stage, and what else is to be known of it."""


@dataclass(frozen=True)
class AbstractIntegrator(ABC):
    """One way to take a step."""

    order: ClassVar[int]
    """Power of the timestep that the error of a motion goes with."""
    stages: ClassVar[int]
    """Evaluations of the equations of motion in a step."""
    reach: ClassVar[tuple[float, ...]]
    """How far into the step every stage is."""

    @abstractmethod
    def damped_ahead(self, timestep: float) -> float:
        """How far ahead joint damping looks [s]: the h in (M + h·D) q̈ = f."""

    @abstractmethod
    def activation(
        self,
        rate: Rate,
        timestep: float,
        before: Float[Array, "*batch muscle"],
        start: Float[Array, "*batch muscle"],
        end: Float[Array, "*batch muscle"],
    ) -> tuple[list[Float[Array, "*batch muscle"]], Float[Array, "*batch muscle"]]:
        """Activation at every stage and after a step that excitation crosses from `start` to `end`; elementwise."""

    @abstractmethod
    def held(
        self, position: Float[Array, "*lane step_plus_1 held"], timestep: float
    ) -> tuple[Float[Array, "*lane step_plus_1 held"], Float[Array, "*lane step stage held"]]:
        """Velocities at the samples and accelerations at every stage of coordinates that are held on a curve."""

    @abstractmethod
    def begin(
        self, position: Float[Array, "*lane coordinate"], velocity: Float[Array, "*lane coordinate"]
    ) -> tuple[Array, ...]:
        """What goes on from stage to stage; position and velocity at the step's start come first."""

    @abstractmethod
    def stage(
        self, accelerate: Accelerate, timestep: float, at: tuple[Array, ...], which: Int[Array, ""]
    ) -> tuple[tuple[Array, ...], Any]:
        """The next stage, and what else `accelerate` gave; after the last stage, position and velocity are those at
        the step's end."""


class Euler(AbstractIntegrator):
    """Semi-implicit, with joint damping implicit; a held coordinate's velocity is the difference of its samples."""

    order = 1
    stages = 1
    reach = (0.0,)

    def damped_ahead(self, timestep: float) -> float:
        return timestep

    def activation(
        self, rate: Rate, timestep: float, before: Array, start: Array, end: Array
    ) -> tuple[list[Array], Array]:
        return [before], before + timestep * rate(start, before)

    def held(self, position: Array, timestep: float) -> tuple[Array, Array]:
        if position.shape[-2] == 1:
            return jnp.zeros_like(position), jnp.zeros_like(position)[..., :0, None, :]
        difference = jnp.diff(position, axis=-2) / timestep
        velocity = jnp.concatenate([difference[..., :1, :], difference], -2)  # as the step before it arrives
        return velocity, (jnp.diff(velocity, axis=-2) / timestep)[..., None, :]

    def begin(self, position: Array, velocity: Array) -> tuple[Array, ...]:
        return position, velocity

    def stage(
        self, accelerate: Accelerate, timestep: float, at: tuple[Array, ...], which: Array
    ) -> tuple[tuple[Array, ...], Any]:
        position, velocity = at
        acceleration, more = accelerate(position, velocity)
        velocity = velocity + timestep * acceleration
        return (position + timestep * velocity, velocity), more


class RK4(AbstractIntegrator):
    """The classical Runge–Kutta method; a held coordinate is on the cubic spline through its samples."""

    order = 4
    stages = 4
    # Plain numbers: of an array that lives on, JAX keeps a copy in the precision of its first use.
    reach = (0.0, 0.5, 0.5, 1.0)
    weight: ClassVar = (1.0 / 6.0, 2.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0)

    def damped_ahead(self, timestep: float) -> float:
        return 0.0

    def activation(
        self, rate: Rate, timestep: float, before: Array, start: Array, end: Array
    ) -> tuple[list[Array], Array]:
        stages, rates = [], []
        for k, drive in enumerate((start, 0.5 * (start + end), 0.5 * (start + end), end)):
            stages.append(before + self.reach[k] * timestep * rates[-1] if k else before)
            rates.append(rate(drive, stages[-1]))
        change = sum(w * r for w, r in zip(self.weight, rates, strict=True))
        return stages, before + timestep * change

    def held(self, position: Array, timestep: float) -> tuple[Array, Array]:
        velocity, acceleration = spline(position, timestep)
        start, end = acceleration[..., :-1, :], acceleration[..., 1:, :]
        middle = 0.5 * (start + end)
        return velocity, jnp.stack([start, middle, middle, end], -2)

    def begin(self, position: Array, velocity: Array) -> tuple[Array, ...]:
        return position, velocity, *(jnp.zeros_like(position) for _ in range(4))

    def stage(
        self, accelerate: Accelerate, timestep: float, at: tuple[Array, ...], which: Array
    ) -> tuple[tuple[Array, ...], Any]:
        position, velocity, speed, acceleration, total_speed, total_acceleration = at
        reach, weight = (jnp.asarray(x)[which] for x in (self.reach, self.weight))
        place = position + reach * timestep * speed
        speed = velocity + reach * timestep * acceleration
        acceleration, more = accelerate(place, speed)
        total_speed, total_acceleration = total_speed + weight * speed, total_acceleration + weight * acceleration
        last = which == self.stages - 1
        after = (
            jnp.where(last, position + timestep * total_speed, position),
            jnp.where(last, velocity + timestep * total_acceleration, velocity),
            speed,
            acceleration,
            jnp.where(last, 0.0, total_speed),
            jnp.where(last, 0.0, total_acceleration),
        )
        return after, more


def integrator_of(model: Model) -> AbstractIntegrator:
    """The one that the model's MJCF names."""
    return RK4() if model.host.mj_model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4 else Euler()


def spline(
    position: Float[Array, "*lane sample column"], timestep: float
) -> tuple[Float[Array, "*lane sample column"], Float[Array, "*lane sample column"]]:
    """Velocity and acceleration at the samples of the cubic spline through them, not-a-knot at both ends.

    Fewer than four samples are on one polynomial. With c the accelerations, continuous slopes ask for
    cₖ₋₁ + 4 cₖ + cₖ₊₁ = 6 (xₖ₋₁ − 2 xₖ + xₖ₊₁)/h² (de Boor 1978, doi 10.1007/978-1-4612-6333-3); that the third
    derivative goes on across the second sample is c₀ = 2 c₁ − c₂, so that 6 c₁ is the right-hand side there.
    """
    count = position.shape[-2]
    if position.shape[-1] == 0:
        return position, position
    if count < 4:
        powers = np.linalg.inv(np.vander(np.arange(float(count)), increasing=True))
        at, order = np.arange(count)[:, None], np.arange(count)
        first = order * at ** np.maximum(order - 1, 0)
        second = order * (order - 1) * at ** np.maximum(order - 2, 0)
        first, second = (jnp.asarray(x @ powers) for x in (first / timestep, second / timestep**2))
        return first @ position, second @ position
    bend = jnp.diff(position, n=2, axis=-2) / timestep**2
    inner = bend.shape[-2]
    diagonal = np.full(inner, 4.0)
    below, above = np.ones((2, inner))
    diagonal[[0, -1]], above[0], below[-1] = 6.0, 0.0, 0.0
    factor = np.zeros(inner)  # elimination depends on the number of samples only
    for k in range(inner):
        factor[k] = 1.0 / (diagonal[k] - (below[k] * factor[k - 1] * above[k - 1] if k else 0.0))

    def forward(last: Array, inputs: Any) -> tuple[Array, Array]:
        right, scale, lower = inputs
        last = scale * (right - lower * last)
        return last, last

    def backward(last: Array, inputs: Any) -> tuple[Array, Array]:
        right, scale, upper = inputs
        last = right - scale * upper * last
        return last, last

    right = jnp.moveaxis(6.0 * bend, -2, 0)
    nothing = jnp.zeros_like(right[0])
    swept = jax.lax.scan(forward, nothing, (right, jnp.asarray(factor), jnp.asarray(below)))[1]
    solved = jax.lax.scan(backward, nothing, (swept, jnp.asarray(factor), jnp.asarray(above)), reverse=True)[1]
    c = jnp.concatenate([2 * solved[:1] - solved[1:2], solved, 2 * solved[-1:] - solved[-2:-1]])
    c = jnp.moveaxis(c, 0, -2)
    slope = jnp.diff(position, axis=-2) / timestep
    start = slope - timestep * (2 * c[..., :-1, :] + c[..., 1:, :]) / 6
    last = slope[..., -1:, :] + timestep * (c[..., -2:-1, :] + 2 * c[..., -1:, :]) / 6
    return jnp.concatenate([start, last], -2), c
