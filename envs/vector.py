"""`gym.make_vec(id, num_envs=N)`: N people stepped at once in JAX, on whatever device JAX computes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Bool, Float

from mjx_msm.compiled import COMPILER_OPTIONS
from mjx_msm.envs.functional import Twin, TwinState
from mjx_msm.envs.single import as_disturbance
from mjx_msm.envs.task import CONTROL_RATE, Disturbance, Task
from mjx_msm.errors import InputError


class TaskVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many episodes of one task side by side.

    An episode that ended starts anew in the step after (Gymnasium's `AutoresetMode.NEXT_STEP`); its action is ignored
    then, its reward 0. What `info` holds of a single environment comes as arrays of N, with ``_<name>`` saying who has
    it; ``summary`` belongs to those whose episode just ended.

    **Arguments:**

    - `task`: see `mjx_msm.envs.task`.
    - `num_envs`: how many.
    - `max_episode_steps`: control periods until an episode is truncated; None: never.
    - `sample_posterior`: every lane draws a person from the subject's posterior, again at every reset; otherwise
      everybody is the nominal person, or who `reset(options={"people": ...})` says: `Parameters` of the twin's world
      with a leading axis of N.
    """

    metadata = {  # noqa: RUF012 (Gymnasium's name and type)
        "render_modes": [],
        "render_fps": CONTROL_RATE,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        task: Task,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        sample_posterior: bool = False,
    ):
        if num_envs < 1:
            raise InputError(f"num_envs = {num_envs}; give one environment at least")
        self.num_envs, self.render_mode = num_envs, None
        self.task, self.twin = task, Twin(task)
        low, high = task.bounds(task.actions)
        self.single_action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        low, high = task.bounds(task.observations)
        self.single_observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._limit = max_episode_steps
        self._crowd = self.twin.people if sample_posterior else None
        self._state: TwinState | None = None
        self._over = jnp.zeros(num_envs, bool)
        self._key = jax.random.key(np.random.default_rng().integers(2**31))
        self._reset = jax.jit(self._start_all, compiler_options=COMPILER_OPTIONS)
        self._step = jax.jit(self._step_all, compiler_options=COMPILER_OPTIONS)

    def reset(
        self, *, seed: int | list[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "env observation"], dict[str, Any]]:
        """Start every episode.

        **Arguments:** `seed`: of everything random from here on; a list is taken by its first. `options`:
        ``"people"``, ``"disturbance"`` and ``"draws"`` (env, draw), as in the single environment.
        """
        chosen = dict(options or {})
        people, draws = chosen.pop("people", None), chosen.pop("draws", None)
        disturbance = as_disturbance(chosen.pop("disturbance", None))
        if chosen:
            raise InputError(f"reset option '{next(iter(chosen))}' is not known; there are disturbance, draws, people")
        if seed is not None:
            self._key = jax.random.key(seed if isinstance(seed, int | np.integer) else seed[0])
        self._key, key = jax.random.split(self._key)
        if draws is None:
            draws = jax.random.uniform(jax.random.fold_in(key, 1), (self.num_envs, self.task.draws))
        if people is None:
            people = self._people(jax.random.fold_in(key, 2))
        keys = jax.random.split(key, self.num_envs)
        state: TwinState = self._reset(keys, people, disturbance, jnp.asarray(draws))
        self._state, self._over = state, jnp.zeros(self.num_envs, bool)
        return np.asarray(state.observation, np.float32), self._infos(state)

    def step(
        self, actions: Float[np.ndarray, "env action"]
    ) -> tuple[
        Float[np.ndarray, "env observation"],
        Float[np.ndarray, "env"],
        Bool[np.ndarray, "env"],
        Bool[np.ndarray, "env"],
        dict[str, Any],
    ]:
        """One control period of everybody."""
        if self._state is None:
            raise InputError("step was called before reset; call reset first")
        actions = np.asarray(actions, np.float32)
        shape = (self.num_envs, *(self.single_action_space.shape or ()))
        if actions.shape != shape:
            raise InputError(f"actions have shape {actions.shape}; give shape {shape}")
        if not np.isfinite(actions).all():
            env, entry = np.argwhere(~np.isfinite(actions))[0]
            name = self.task.actions[entry].name
            raise InputError(f"action '{name}' of environment {env} is {actions[env, entry]}; give finite numbers")
        state: TwinState
        state, truncated = self._step(self._state, jnp.asarray(actions), self._over)
        self._state = state
        self._over = state.terminated | truncated
        infos = self._infos(state, np.asarray(self._over))
        return (
            np.asarray(state.observation, np.float32),
            np.asarray(state.reward, float),
            np.asarray(state.terminated),
            np.asarray(truncated),
            infos,
        )

    def close_extras(self, **_: Any) -> None:
        """Let the arrays go."""
        self._state = None

    # Parts -------------------------------------------------------------------------------------------------

    def _people(self, key: Any) -> Any:
        if self._crowd is None:
            return jax.tree.map(lambda x: jnp.broadcast_to(x, (self.num_envs, *np.shape(x))), self.twin.person)
        count = len(self._crowd.joint.damping)
        who = jax.random.randint(key, (self.num_envs,), 0, count)
        return jax.tree.map(lambda x: jnp.asarray(x)[who], self._crowd)

    def _start_all(self, keys: Any, people: Any, disturbance: Disturbance, draws: Array) -> TwinState:
        return jax.vmap(lambda k, p, u: self.twin.reset(k, p, disturbance, u))(keys, people, draws)

    def _step_all(self, state: TwinState, actions: Array, over: Array) -> tuple[TwinState, Array]:
        new = jax.vmap(self.twin.step)(state, actions)
        truncated = new.truncated
        if self._limit is not None:
            truncated = truncated | (new.steps >= self._limit) & ~new.terminated

        def anew(_: None) -> TwinState:
            keys = jax.vmap(lambda k: jax.random.fold_in(k, 7))(state.key)
            people = state.person if self._crowd is None else self._people(keys[0])
            disturbance = state.plan.disturbance
            draws = jax.vmap(lambda k: jax.random.uniform(jax.random.fold_in(k, 1), (self.task.draws,)))(keys)
            fresh = jax.vmap(self.twin.reset)(keys, people, disturbance, draws)
            return jax.tree.map(lambda a, b: _where(over, a, b), fresh, new)

        final = jax.lax.cond(jnp.any(over), anew, lambda _: new, None)
        return final, truncated & ~over

    def _infos(self, state: TwinState, over: Any = None) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        everyone = np.ones(self.num_envs, bool)
        for name, value in state.measures.items():
            infos[name], infos[f"_{name}"] = np.asarray(value), everyone
        if over is not None and over.any() and self.task.summarised:
            names, period = self.task.summarised, self.task.period
            summary = jax.tree.map(np.asarray, state.summary)
            rows = {i: jax.tree.map(lambda x, i=i: x[i], summary).report(names, period) for i in np.flatnonzero(over)}
            gathered: dict[str, Any] = {}
            for name in next(iter(rows.values())):
                column = np.zeros(self.num_envs)
                for i, row in rows.items():
                    column[i] = row[name]
                gathered[name], gathered[f"_{name}"] = column, over
            infos["summary"], infos["_summary"] = gathered, over
        return infos


def _where(mask: Array, a: Any, b: Any) -> Any:
    if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
        data = _where(mask, jax.random.key_data(a), jax.random.key_data(b))
        return jax.random.wrap_key_data(data)
    return jnp.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)


def _make(id: str, num_envs: int = 1, **arguments: Any) -> TaskVectorEnv:
    """What ``gymnasium.make_vec`` calls."""
    from mjx_msm.envs import make_task

    own = {name: arguments.pop(name) for name in ("max_episode_steps", "sample_posterior") if name in arguments}
    return TaskVectorEnv(make_task(id, **arguments), num_envs, **own)


arm_reach = partial(_make, "mjx_msm/ArmReach-v0")
co_transport = partial(_make, "mjx_msm/ArmCoTransport-v0")
knee_exo = partial(_make, "mjx_msm/KneeExo-v0")
