"""A task as pure functions in JAX: `reset(key, person) -> state`, `step(state, action) -> state`."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines import jax_engine
from mjx_msm.envs.engines.kinetics import Dynamics, Kinetics
from mjx_msm.envs.tasks.disturbance import NOTHING, Disturbance
from mjx_msm.envs.tasks.summary import Summary
from mjx_msm.envs.tasks.task import Task
from mjx_msm.person.parameters import Parameters


class TwinState(eqx.Module):
    """An episode at one instant."""

    engine: jax_engine.State
    person: Parameters
    """Of the whole world."""
    plan: Any
    memory: Any
    kinetics: Kinetics
    dynamics: Dynamics
    summary: Summary
    key: Key[Array, ""]
    steps: Int[Array, ""]
    observation: Float[Array, "observation"]
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    """Whether the plan is at its end."""
    failed: Bool[Array, ""]
    """Whether the state is not finite; measures and summary are then those before."""
    measures: dict[str, Float[Array, "*shape"]]
    """What the single environment gives as `info`."""


class Twin:
    """Pure functions of a task."""

    def __init__(self, task: Task):
        self.task = task

    @cached_property
    def person(self) -> Parameters:
        """The nominal person, as parameters of the whole world."""
        return self.task.world.twin.nominal

    @cached_property
    def people(self) -> Parameters:
        """Everybody drawn from the subject's posterior, with a leading axis.

        **Raises:** `InputError` if the subject has no posterior.
        """
        return self.task.world.person_in(self.task.people.drawn)

    def reset(
        self,
        key: Key[Array, ""],
        person: Parameters,
        disturbance: Disturbance = NOTHING,
        draws: Float[Array, "draw"] | None = None,
        recorded: Float[Array, "period muscle"] | None = None,
    ) -> TwinState:
        """Start an episode.

        **Arguments:** `person`: parameters of the whole world, see `World.person_in`. `draws`: the numbers between 0
        and 1 that the plan is made from, in place of random ones. `recorded`: the excitation recorded of this person,
        of those drawn `task.recorded`; without it the nominal person's.
        """
        task = self.task
        key, drawing, sensing = jax.random.split(key, 3)
        uniform = jax.random.uniform(drawing, (task.draws,)) if draws is None else draws
        plan = _arrays(task.plan(jnp, uniform, disturbance, recorded))
        person = _arrays(person)
        engine = jax_engine.start(task.world, *task.initial(jnp, plan))
        kinetics, dynamics = jax_engine.see(task.world, person, engine)
        memory = _arrays(task.begin(jnp, plan, kinetics))
        low, high = task.bounds(task.actions)
        idle = jnp.clip(jnp.zeros(len(low)), low, high)
        outcome, memory = task.observe(jnp, plan, memory, kinetics, idle, self._sensor_noise(sensing))
        return TwinState(
            engine=engine,
            person=person,
            plan=plan,
            memory=_arrays(memory),
            kinetics=kinetics,
            dynamics=dynamics,
            summary=_arrays(Summary.empty(jnp, len(task.summarised))),
            key=key,
            steps=_arrays(0),
            observation=self._seen(outcome.observation),
            reward=jnp.zeros(()),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
            failed=jnp.asarray(False),
            measures=_arrays(dict(outcome.measures)),
        )

    def step(self, state: TwinState, action: Float[Array, "action"]) -> TwinState:
        """One control period. An action outside its bounds is taken to them; one that is no number fails the episode.

        **Raises:** `InputError` for an action of another shape.
        """
        task = self.task
        low, high = task.bounds(task.actions)
        if jnp.shape(action) != low.shape:
            names = ", ".join(c.name for c in task.actions)
            raise InputError(f"action has shape {jnp.shape(action)}; give shape {low.shape}: {names}")
        action = jnp.clip(action, low, high)
        key, sensing = jax.random.split(state.key)
        drive, memory = task.drive(jnp, state.plan, state.memory, state.kinetics, lambda: state.dynamics, action)
        engine = jax_engine.advance(task.world, state.person, state.engine, drive, task.substeps)
        kinetics, dynamics = jax_engine.see(task.world, state.person, engine)
        outcome, memory = task.observe(jnp, state.plan, memory, kinetics, action, self._sensor_noise(sensing))
        moving = (engine.position, engine.velocity, engine.activation, engine.motor, action)  # which may act later
        failed = ~jnp.all(jnp.isfinite(jnp.concatenate(moving)))
        measures, summary = dict(outcome.measures), state.summary
        if task.summarised:
            summary = summary.add(jnp, jnp.stack([jnp.asarray(measures[n], float) for n in task.summarised]))
        # Of a state that is not finite nothing is measured: what was before stays.
        measures, summary = jax.tree.map(
            lambda old, x: jnp.where(failed, old, x), (state.measures, state.summary), (measures, summary)
        )
        steps = state.steps + 1
        ended = jnp.asarray(False) if task.length is None else steps >= task.length
        new = TwinState(
            engine=engine,
            person=state.person,
            plan=state.plan,
            memory=memory,
            kinetics=kinetics,
            dynamics=dynamics,
            summary=summary,
            key=key,
            steps=steps,
            observation=jnp.where(failed, 0.0, self._seen(outcome.observation)),
            reward=jnp.where(failed, task.failure_reward(steps), outcome.reward),
            terminated=failed | jnp.asarray(outcome.terminated, bool),
            truncated=ended & ~failed,
            failed=failed,
            measures=measures,
        )
        return jax.tree.map(lambda old, x: jnp.asarray(x, jnp.asarray(old).dtype) if _plain(old) else x, state, new)

    def _sensor_noise(self, key: Any) -> Array | float:
        noise = np.array([c.noise for c in self.task.observations])
        return jnp.asarray(noise) * jax.random.normal(key, noise.shape) if noise.any() else 0.0

    def _seen(self, observation: Array) -> Array:
        low, high = self.task.bounds(self.task.observations)
        return jnp.clip(observation, low, high)


def _plain(leaf: Any) -> bool:
    return not jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key) if hasattr(leaf, "dtype") else True


def _arrays(tree: Any) -> Any:
    """Numbers as arrays of the caller's precision, so that a state has one type from the first step on.

    `astype` also makes a Python number's weak type a definite one; a step would be compiled again for the other.
    """

    def convert(leaf: Any) -> Any:
        array = jnp.asarray(leaf)
        return array.astype(float if jnp.issubdtype(array.dtype, jnp.floating) else array.dtype)

    return jax.tree.map(convert, tree)
