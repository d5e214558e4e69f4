"""`gym.make_vec(id, num_envs=N)`: N people stepped at once in JAX, on whatever device JAX computes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Bool, Float, Int, Key

from mjx_msm.common.compiled import COMPILER_OPTIONS
from mjx_msm.common.errors import InputError
from mjx_msm.envs.adapters.single import NOT_FINITE
from mjx_msm.envs.adapters.twin import Twin, TwinState
from mjx_msm.envs.tasks.disturbance import NOTHING, Disturbance
from mjx_msm.envs.tasks.options import as_disturbance, as_draws, as_options
from mjx_msm.envs.tasks.task import CONTROL_RATE, Task


class _KeyData(NamedTuple):
    """A key of JAX's generator, by value."""

    numbers: np.ndarray


class CrowdState(NamedTuple):
    """All episodes between two control periods, by value: NumPy arrays, which may be kept and pickled."""

    episodes: TwinState
    over: Any
    who: Any
    keys: Any
    """Of later resets."""


class TaskVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many episodes of one task side by side.

    An episode that ended starts anew in the step after (Gymnasium's `AutoresetMode.NEXT_STEP`), as by a reset without
    options; its action is ignored then, its reward 0. What `info` holds of a single environment comes as arrays of N,
    with ``_<name>`` saying who has it: ``person`` those whose episode just began with a draw of the posterior,
    ``summary`` those whose episode just ended, ``failure`` those whose state is not finite, and who then has no
    measures.

    **Arguments:**

    - `task`: see `mjx_msm.envs.tasks.task`.
    - `num_envs`: how many.
    - `max_episode_steps`: control periods until an episode is truncated; None: never.
    - `sample_posterior`: everybody is drawn from the subject's posterior, again at every reset; otherwise everybody is
      the nominal person.
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
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise InputError(f"num_envs = {num_envs!r}; give a whole number, one environment at least")
        self.num_envs, self.render_mode = num_envs, None
        self.task, self.twin = task, Twin(task)
        self.metadata = {**type(self).metadata, "render_fps": round(1.0 / task.period)}
        low, high = task.bounds(task.actions)
        self.single_action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        low, high = task.bounds(task.observations)
        self.single_observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._limit = max_episode_steps
        self._made_with = {"max_episode_steps": max_episode_steps, "sample_posterior": bool(sample_posterior)}
        self._crowd = self.twin.people if sample_posterior else None
        self._state: TwinState | None = None
        self._who: Any = None
        self._over = jnp.zeros(num_envs, bool)
        self._keys = self._seeded(int(np.random.default_rng().integers(2**31)))
        self._chance = jax.jit(self._chances, compiler_options=COMPILER_OPTIONS)
        self._reset = jax.jit(self._start_all, compiler_options=COMPILER_OPTIONS)
        self._step = jax.jit(self._step_all, compiler_options=COMPILER_OPTIONS)
        self._begin_anew = jax.jit(self._anew, compiler_options=COMPILER_OPTIONS)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "env observation"], dict[str, Any]]:
        """Start every episode.

        **Arguments:** `seed`: of everything random from here on; or one for every environment, whose episodes then
        depend on it alone. `options`, for the first episodes: ``"person"``: which of the posterior's draws, one or one
        for every environment, or `Parameters`, of one or with a leading axis; ``"disturbance"``: as in the single
        environment; ``"draws"`` (env, draw). Or, alone, ``"reset_mask"`` (env,): only those who are True there start
        anew, as after their episode's end; the others' episodes go on.
        """
        chosen = as_options(options)
        if "reset_mask" in chosen:
            return self._start_some(chosen, seed)
        person, draws = chosen.pop("person", None), chosen.pop("draws", None)
        disturbance = as_disturbance(chosen.pop("disturbance", None), self.task)
        if chosen:
            names = "draws, person, disturbance, reset_mask"
            raise InputError(f"reset option '{next(iter(chosen))}' is not known; there are {names}")
        if draws is not None:
            draws = jnp.asarray(self._rows(draws))
        people, who = (None, None) if person is None else self._chosen(person)
        if seed is not None:
            self._keys = self._seeded(seed)
        self._keys, keys, random_draws, random_who = self._chance(self._keys)
        draws = random_draws if draws is None else draws
        if who is None:
            people, who = self._people(random_who), random_who
        replayed = None if self._crowd is None and (np.asarray(who) < 0).all() else self._replayed(who)
        state: TwinState = self._reset(keys, people, disturbance, draws, replayed)
        self._state, self._over, self._who = state, jnp.zeros(self.num_envs, bool), who
        return np.asarray(state.observation, np.float32), self._infos(state, began=np.ones(self.num_envs, bool))

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
            raise ResetNeeded("step was called before reset; call reset first")
        actions = np.asarray(actions, np.float32)
        shape = (self.num_envs, *(self.single_action_space.shape or ()))
        if actions.shape != shape:
            raise InputError(f"actions have shape {actions.shape}; give shape {shape}")
        if not np.isfinite(actions).all():
            env, entry = np.argwhere(~np.isfinite(actions))[0]
            name = self.task.actions[entry].name
            raise InputError(f"action '{name}' of environment {env} is {actions[env, entry]}; give finite numbers")
        state: TwinState
        began = np.asarray(self._over)
        state, truncated, self._who = self._step(self._state, jnp.asarray(actions), self._over, self._who)
        self._state = state
        self._over = state.terminated | truncated
        infos = self._infos(state, began, np.asarray(self._over))
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

    # Copies ------------------------------------------------------------------------------------------------

    def get_state(self) -> CrowdState:
        """All episodes as they are now, to go back to with `set_state`, here or in an environment made alike.

        **Raises:** Gymnasium's `ResetNeeded` before the first reset.
        """
        if self._state is None:
            raise ResetNeeded("get_state was called before reset; call reset first")
        return CrowdState(*jax.tree.map(_by_value, (self._state, self._over, self._who, self._keys)))

    def set_state(self, state: CrowdState) -> None:
        """Go back to where `get_state` was called; what comes then is the same to the bit.

        **Raises:** `InputError` for what is no state of such an environment.
        """
        if not isinstance(state, CrowdState):
            raise InputError(f"set_state takes what get_state returned, not {type(state).__name__}")
        shape = (self.num_envs, len(self.task.observations))
        if state.episodes.observation.shape != shape:
            raise InputError("the state is of another environment; make this one with the same arguments")
        restored = jax.tree.map(_on_device, tuple(state), is_leaf=lambda x: isinstance(x, _KeyData))
        self._state, self._over, self._who, self._keys = restored

    def __deepcopy__(self, memo: Any) -> Self:
        """At the same instant; what is compiled is shared, and arrays of JAX do not change."""
        twin = copy.copy(self)
        for name in ("single_action_space", "action_space", "single_observation_space", "observation_space"):
            setattr(twin, name, copy.deepcopy(getattr(self, name), memo))  # each draws numbers of its own
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        """What it was made with, and the episodes."""
        made_with = (type(self), self.task, self.num_envs, self._made_with)
        return _remade, made_with, (self.spec, _by_value(self._keys), None if self._state is None else self.get_state())

    def __setstate__(self, state: tuple[Any, Any, CrowdState | None]) -> None:
        self.spec, self._keys = state[0], _on_device(state[1])
        if state[2] is not None:
            self.set_state(state[2])

    # Parts -------------------------------------------------------------------------------------------------

    def _start_some(
        self, options: Mapping[str, Any], seed: Any
    ) -> tuple[Float[np.ndarray, "env observation"], dict[str, Any]]:
        """What the option "reset_mask" does."""
        if len(options) > 1 or seed is not None:
            other = next((name for name in options if name != "reset_mask"), "seed")
            raise InputError(f"reset option reset_mask does not go with {other}; reset all, or give the mask alone")
        if self._state is None:
            raise ResetNeeded("reset option reset_mask: no episode has begun; reset all first")
        mask = np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise InputError(f"reset option reset_mask: give {self.num_envs} of True or False")
        which = jnp.asarray(mask)
        state: TwinState
        state, self._who = self._begin_anew(which, self._state, self._who)
        self._state, self._over = state, self._over & ~which
        return np.asarray(state.observation, np.float32), self._infos(state, began=mask)

    def _seeded(self, seed: int | Sequence[int]) -> Key[Array, "env"]:
        if isinstance(seed, int | np.integer):
            return jax.random.split(jax.random.key(seed), self.num_envs)
        several = isinstance(seed, Sequence | np.ndarray) and len(seed) == self.num_envs
        if not several or not all(isinstance(s, int | np.integer) for s in seed):
            raise InputError(f"seed = {seed!r}; give a whole number, or a list of {self.num_envs}")
        return jnp.stack([jax.random.key(s) for s in seed])

    def _chances(
        self, keys: Key[Array, "env"]
    ) -> tuple[Key[Array, "env"], Key[Array, "env"], Float[Array, "env draw"], Int[Array, "env"]]:
        """Keys for later, and of an episode: its key, its plan's draws, its person (-1: the nominal one)."""
        pairs = jax.vmap(jax.random.split)(keys)
        later, keys = pairs[:, 0], pairs[:, 1]
        draws = jax.vmap(lambda k: jax.random.uniform(jax.random.fold_in(k, 1), (self.task.draws,)))(keys)
        if self._crowd is None:
            return later, keys, draws, jnp.full(self.num_envs, -1)
        count = len(self._crowd.joint.damping)
        return later, keys, draws, jax.vmap(lambda k: jax.random.randint(jax.random.fold_in(k, 2), (), 0, count))(keys)

    def _people(self, who: Int[Array, "env"]) -> Any:
        if self._crowd is None:
            return self._everybody(self.twin.person)
        return jax.tree.map(lambda x: jnp.asarray(x)[who], self._crowd)

    @cached_property
    def _recorded(self) -> Float[np.ndarray, "person period muscle"] | None:
        """Recorded excitation of everybody drawn, the nominal person's last; None where all replay the same."""
        task = self.task
        if task.recorded is None or task.recording is None:
            return None
        return np.concatenate([task.recorded, task.recording.table(task.world.muscles, task.period)[None]])

    def _replayed(self, who: Int[Array, "env"]) -> Float[Array, "env period muscle"] | None:
        return None if self._recorded is None else jnp.asarray(self._recorded)[who]

    def _everybody(self, person: Any) -> Any:
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (self.num_envs, *np.shape(x))), person)

    def _chosen(self, person: Any) -> tuple[Any, Int[Array, "env"]]:
        """People from the option "person", and which of the draws they are."""
        if hasattr(person, "names"):
            batch = np.shape(person.joint.damping)[:-1]
            if batch not in ((), (self.num_envs,)):
                raise InputError(f"person has leading axes {batch}; give Parameters of one, or of {self.num_envs}")
            people = jax.tree.map(jnp.asarray, self.task.world.person_in(person))
            return people if batch else self._everybody(people), jnp.full(self.num_envs, -1)
        who = np.asarray(person)
        if not np.issubdtype(who.dtype, np.integer) or who.shape not in ((), (self.num_envs,)):
            words = f"give Parameters, or which of the posterior's draws, one or {self.num_envs}"
            raise InputError(f"person {person!r}: {words}")
        who = np.broadcast_to(who, self.num_envs)
        nobody = who[(who < 0) | (who >= self.task.people.count)]
        if len(nobody):
            self.task.people.draw(int(nobody[0]))  # says who there is
        return jax.tree.map(lambda x: jnp.asarray(x[who]), self.twin.people), jnp.asarray(who, int)

    def _rows(self, draws: Any) -> Float[np.ndarray, "env draw"]:
        if not hasattr(draws, "__len__") or isinstance(draws, str) or len(draws) != self.num_envs:
            raise InputError(f"reset option draws: give {self.num_envs} rows of {self.task.draws} numbers, 0 to 1")
        return np.stack([as_draws(row, self.task.draws) for row in draws])

    def _start_all(self, keys: Any, people: Any, disturbance: Disturbance, draws: Array, replayed: Any) -> TwinState:
        return jax.vmap(lambda k, p, u, e: self.twin.reset(k, p, disturbance, u, e))(keys, people, draws, replayed)

    def _step_all(
        self, state: TwinState, actions: Array, over: Array, who: Array
    ) -> tuple[TwinState, Array, Int[Array, "env"]]:
        new = jax.vmap(self.twin.step)(state, actions)
        truncated = new.truncated
        if self._limit is not None:
            truncated = truncated | (new.steps >= self._limit) & ~new.terminated

        def on(_: Any) -> tuple[TwinState, Array]:
            return new, who

        def anew(_: Any) -> tuple[TwinState, Array]:
            return self._anew(over, new, who, state.key)

        final, who = jax.lax.cond(jnp.any(over), anew, on, None)
        return final, truncated & ~over, who

    def _anew(
        self, which: Bool[Array, "env"], state: TwinState, who: Array, keys: Key[Array, "env"] | None = None
    ) -> tuple[TwinState, Array]:
        """New episodes for some, by chance as at a reset without options, and who is in everyone's."""
        _, keys, draws, others = self._chances(state.key if keys is None else keys)
        replayed = None if state.plan.recorded is None else self._replayed(others)
        fresh = self._start_all(keys, self._people(others), NOTHING, draws, replayed)
        return jax.tree.map(lambda a, b: _where(which, a, b), (fresh, others), (state, who))

    def _infos(
        self, state: TwinState, began: Bool[np.ndarray, "env"], over: Bool[np.ndarray, "env"] | None = None
    ) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        failed = np.asarray(state.failed)
        for name, value in state.measures.items():
            infos[name], infos[f"_{name}"] = np.asarray(value), ~failed
        if failed.any():
            infos["failure"], infos["_failure"] = np.array([NOT_FINITE if x else None for x in failed], object), failed
        who = np.asarray(self._who)
        if (drawn := began & (who >= 0)).any():
            infos["person"], infos["_person"] = who, drawn
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


def _by_value(leaf: Any) -> Any:
    key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return _KeyData(np.asarray(jax.random.key_data(leaf))) if key else np.asarray(leaf)


def _on_device(leaf: Any) -> Any:
    return jax.random.wrap_key_data(jnp.asarray(leaf.numbers)) if isinstance(leaf, _KeyData) else jnp.asarray(leaf)


def _remade(kind: type[TaskVectorEnv], task: Task, num_envs: int, made_with: Mapping[str, Any]) -> TaskVectorEnv:
    return kind(task, num_envs, **made_with)
