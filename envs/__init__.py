"""Gymnasium environments over personalised models. Importing this registers them and loads nothing heavy."""

from __future__ import annotations

KNEE_EXO = "mjx_msm/KneeExo-v0"


def register() -> None:
    """Make the environments known to Gymnasium; a second call does nothing."""
    import gymnasium

    if KNEE_EXO not in gymnasium.registry:
        gymnasium.register(id=KNEE_EXO, entry_point="mjx_msm.envs.knee_exo:KneeExoEnv", max_episode_steps=1000)


register()
