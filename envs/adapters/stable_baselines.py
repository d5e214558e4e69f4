"""Many people at once for stable-baselines3: its `VecEnv` over what `gymnasium.make_vec` makes. Extra [rl].

    people = gymnasium.make_vec("mjx_msm/ArmReach-v0", num_envs=64)
    PPO("MlpPolicy", VecMonitor(StableBaselinesVecEnv(people))).learn(1_000_000)

stable-baselines3 wants an episode that ended to start anew within the same step, and one dictionary a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from jaxtyping import Bool, Float

from mjx_msm.common.errors import InputError
from mjx_msm.envs.adapters.vector import TaskVectorEnv

try:
    from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]
except ImportError:
    raise ImportError(
        "mjx_msm.envs.adapters.stable_baselines needs stable-baselines3; run pip install 'mjx-msm[rl]'"
    ) from None


class StableBaselinesVecEnv(VecEnv):
    """`TaskVectorEnv` in stable-baselines3's words.

    **Arguments:** `people`: what ``gymnasium.make_vec`` returned, unwrapped.

    Its environments share one task: attributes can be read but not set, and there are no methods of a single one.
    """

    def __init__(self, people: TaskVectorEnv):
        if not isinstance(people, TaskVectorEnv):
            raise InputError(
                f"StableBaselinesVecEnv takes what gymnasium.make_vec makes of an environment of mjx_msm, not {people}"
            )
        self.people = people
        self._actions: np.ndarray | None = None
        super().__init__(people.num_envs, people.single_observation_space, people.single_action_space)

    def reset(self) -> Float[np.ndarray, "env observation"]:
        """Start every episode, with what `seed` and `set_options` said before."""
        if any(options != self._options[0] for options in self._options):
            raise InputError("set_options: all environments start at once; give the same options to all")
        seeded = [seed for seed in self._seeds if seed is not None]
        observation, infos = self.people.reset(seed=seeded or None, options=self._options[0])
        self.reset_infos = rows(infos, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: Float[np.ndarray, "env action"]) -> None:
        """What `step_wait` will do."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[
        Float[np.ndarray, "env observation"], Float[np.ndarray, "env"], Bool[np.ndarray, "env"], list[dict[str, Any]]
    ]:
        """One control period; who ended is at the start of the next episode, ``terminal_observation`` in `info`."""
        if self._actions is None:
            raise ResetNeeded("step_wait was called before step_async; call step")
        observation, rewards, terminated, truncated, infos = self.people.step(self._actions)
        done, said = terminated | truncated, rows(infos, self.num_envs)
        for row, cut in zip(said, (truncated & ~terminated).tolist(), strict=True):
            row["TimeLimit.truncated"] = cut
        if done.any():
            last = observation
            observation, infos = self.people.reset(options={"reset_mask": done})
            began = rows(infos, self.num_envs)
            for i in np.flatnonzero(done):
                said[i]["terminal_observation"], self.reset_infos[i] = last[i], began[i]
        return observation, rewards.astype(np.float32), done, said

    def close(self) -> None:
        """Let the arrays go."""
        self.people.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Of all, the same."""
        return [getattr(self.people, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """**Raises:** `InputError`: they have none of their own."""
        raise InputError(f"attribute '{attr_name}' cannot be set: all environments share one task; make it with it")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """**Raises:** `InputError`: they have none of their own."""
        raise InputError(f"method '{method_name}' cannot be called: all environments are stepped as one; see .people")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """None is."""
        return [False] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[None]:
        """There are no pictures."""
        return [None] * self.num_envs


def rows(infos: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """`info` of every environment, from Gymnasium's of all, in which ``_<name>`` says who has a name's value."""
    out: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, values in infos.items():
        if name.startswith("_"):
            continue
        own = rows(values, count) if isinstance(values, Mapping) else values if values.ndim > 1 else values.tolist()
        for i in np.flatnonzero(infos[f"_{name}"]):
            out[i][name] = own[i]
    return out
