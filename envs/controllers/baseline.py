"""What a controller is, and what baselines have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from mjx_msm.common.remade import Remade
from mjx_msm.envs.tasks.task import Task


class Controller(Protocol):
    """What decides on actions, an episode at a time."""

    def reset(self) -> None:
        """Forget the last episode."""
        ...

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        """The action, float32 and within the action space."""
        ...


class Baseline(Remade, ABC):
    """Keeps muscles that are acted on at rest and reads observations by name."""

    def __init__(self, task: Task):
        self._rest = np.array([-1.0 if c.name.startswith("excitation") else 0.0 for c in task.actions], np.float32)
        self._where = {c.name: i for i, c in enumerate(task.observations)}

    def reset(self) -> None:
        """Forget the last episode."""
        return

    def _channels(self, *names: str) -> np.ndarray:
        return np.array([self._where[name] for name in names])

    def _action(self, first: Any) -> Float[np.ndarray, "action"]:
        """Of its first numbers, cut to −1..1, the rest at rest."""
        action = self._rest.copy()
        action[: len(first)] = np.clip(first, -1.0, 1.0)
        return action

    @abstractmethod
    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]: ...


class Zero(Baseline):
    """Motors give nothing of their own, muscles rest."""

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        return self._rest.copy()
