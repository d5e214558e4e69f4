"""Gymnasium environments over personalised models. Importing this registers them and loads nothing heavy."""

from __future__ import annotations

from typing import Any

KNEE_EXO = "mjx_msm/KneeExo-v0"

# Where an environment's task and its Gymnasium class are, and its longest episode in control periods.
_ENVIRONMENTS = {
    KNEE_EXO: ("mjx_msm.envs.knee_exo", "KneeExo", 500),
}


def register() -> None:
    """Make the environments known to Gymnasium; a second call does nothing."""
    import gymnasium

    for name, (module, task, steps) in _ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point=f"{module}:{task}Env",
                vector_entry_point=f"{module}:{task}VectorEnv",
                max_episode_steps=steps,
            )


def make_task(id: str, **arguments: Any) -> Any:
    """The task of an environment, which all engines share; arguments as in ``gymnasium.make``.

    **Raises:** `InputError` if it is not one of ours.
    """
    from importlib import import_module

    from mjx_msm.errors import InputError

    if id not in _ENVIRONMENTS:
        raise InputError(f"environment '{id}' is not one of {', '.join(_ENVIRONMENTS)}")
    module, task, _ = _ENVIRONMENTS[id]
    return getattr(import_module(module), task)(**arguments)


register()
