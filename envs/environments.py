"""What `gymnasium.make` and `gymnasium.make_vec` make: every task in an adapter."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO, make_task, task_of
from mjx_msm.envs.adapters.single import TaskEnv
from mjx_msm.envs.tasks.arguments import arguments_of, check_arguments
from mjx_msm.envs.tasks.arm_reach import ArmReach
from mjx_msm.envs.tasks.arm_strike import ArmStrike
from mjx_msm.envs.tasks.co_transport import ArmCoTransport
from mjx_msm.envs.tasks.knee_exo import KneeExo

if TYPE_CHECKING:
    from mjx_msm.envs.adapters.vector import TaskVectorEnv

# What an environment is and takes is written at its task.


class ArmReachEnv(TaskEnv):
    __doc__ = ArmReach.__doc__
    kind = ArmReach


class ArmStrikeEnv(TaskEnv):
    __doc__ = ArmStrike.__doc__
    kind = ArmStrike


class ArmCoTransportEnv(TaskEnv):
    __doc__ = ArmCoTransport.__doc__
    kind = ArmCoTransport


class KneeExoEnv(TaskEnv):
    __doc__ = KneeExo.__doc__
    kind = KneeExo


def _many(id: str, num_envs: int = 1, **arguments: Any) -> TaskVectorEnv:
    """What ``gymnasium.make_vec`` calls."""
    from mjx_msm.envs.adapters.vector import TaskVectorEnv  # JAX, which one environment does without

    if arguments.pop("render_mode", None) is not None:
        raise InputError(f"make_vec draws no pictures: make one environment of '{id}' with a render_mode for that")
    adapter = {name: value for name, value in arguments_of(TaskVectorEnv).items() if name not in ("task", "num_envs")}
    check_arguments(id, task_of(id), arguments, adapter)
    own = {name: arguments.pop(name) for name in adapter if name in arguments}
    return TaskVectorEnv(make_task(id, **arguments), num_envs, **own)


arm_reach = partial(_many, ARM_REACH)
arm_strike = partial(_many, ARM_STRIKE)
co_transport = partial(_many, ARM_CO_TRANSPORT)
knee_exo = partial(_many, KNEE_EXO)
