"""Gymnasium environments over personalised models. Importing this registers them and loads nothing heavy.

Bottom up, each importing those above it in this list:
motions        what is asked for: of a leg's joints, of a beam
engines        what steps a world, in C and in JAX, and what it shows of it
human          the person: whose body, what they want, what arrives at their muscles
robots         devices, their own controllers, their sensors
worlds         person and robot in one scene, and what passes between them
tasks          a file a task: what is asked of both, observed and rewarded
adapters       ways to step any task: one person, many at once, pure functions
controllers    by name: baselines, a file a task, and trained policies
environments   what `gymnasium.make` and `make_vec` make; `functional` makes pure functions
"""

from __future__ import annotations

from typing import Any

ARM_REACH = "mjx_msm/ArmReach-v0"
ARM_STRIKE = "mjx_msm/ArmStrike-v0"
ARM_CO_TRANSPORT = "mjx_msm/ArmCoTransport-v0"
KNEE_EXO = "mjx_msm/KneeExo-v0"

# File in `tasks` and class of an environment's task; `environments` has what Gymnasium makes of it.
_ENVIRONMENTS = {
    ARM_REACH: ("arm_reach", "ArmReach"),
    ARM_STRIKE: ("arm_strike", "ArmStrike"),
    ARM_CO_TRANSPORT: ("co_transport", "ArmCoTransport"),
    KNEE_EXO: ("knee_exo", "KneeExo"),
}


def register() -> None:
    """Make the environments known to Gymnasium; a second call does nothing."""
    import gymnasium

    for name, (module, task) in _ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                id=name,
                entry_point=f"mjx_msm.envs.environments:{task}Env",
                vector_entry_point=f"mjx_msm.envs.environments:{module}",
            )


def task_of(id: str) -> Any:
    """The class of an environment's task.

    **Raises:** `InputError` if it is not one of ours.
    """
    from importlib import import_module

    from mjx_msm.common.errors import InputError

    if id not in _ENVIRONMENTS:
        raise InputError(f"environment '{id}' is not one of {', '.join(_ENVIRONMENTS)}")
    module, task = _ENVIRONMENTS[id]
    return getattr(import_module(f"mjx_msm.envs.tasks.{module}"), task)


def make_task(id: str, **arguments: Any) -> Any:
    """The task of an environment, which all engines share; arguments as in ``gymnasium.make``.

    **Raises:** `InputError` if it is not one of ours, or has no such argument.
    """
    from mjx_msm.envs.tasks.arguments import check_arguments

    kind = task_of(id)
    check_arguments(id, kind, arguments, {})
    return kind(**arguments)


register()
