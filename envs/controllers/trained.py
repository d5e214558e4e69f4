"""Policies that stable-baselines3 trained."""

from __future__ import annotations

import zipfile
from pathlib import Path

import gymnasium
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError


class Trained:
    """A policy of stable-baselines3's PPO, without its exploration."""

    def __init__(self, path: str | Path, env: gymnasium.Env, *, trust: bool = False):
        if not Path(path).is_file():
            raise InputError(f"policy '{path}' does not exist; train one, see examples/05_train_robot.py")
        if not trust:
            raise InputError(
                f"policy '{path}' is unpickled, which runs whatever code is in it; if you trust whoever made it, say "
                "--trust (in Python trust=True)"
            )
        try:
            from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise InputError(f"policy '{path}' needs stable-baselines3; run pip install 'mjx-msm[rl]'") from None
        try:
            self._model = PPO.load(path, device="cpu")
        except (zipfile.BadZipFile, ValueError, KeyError, AttributeError, RuntimeError) as e:
            raise InputError(
                f"policy '{path}' cannot be read ({str(e).splitlines()[0]}); save it with PPO.save"
            ) from None
        for kind in ("observation_space", "action_space"):
            theirs, ours = getattr(self._model, kind), getattr(env, kind)
            if theirs.shape != ours.shape:
                raise InputError(
                    f"policy '{path}' was trained with an {kind} of shape {theirs.shape}, this environment has "
                    f"{ours.shape}; make the environment as for its training"
                )

    def reset(self) -> None:
        """It remembers nothing."""

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        return np.asarray(self._model.predict(observation, deterministic=True)[0], np.float32)
