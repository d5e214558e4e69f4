"""Which controllers an environment has, by name.

KneeExo           `zero`, `emg_proportional`, `gravity_compensation`, `tracking`, `predictive`
ArmCoTransport    `zero`; `admittance` where the robot is one, else `impedance`
ArmReach          `zero`, `reaching`
ArmStrike         `zero`, `striking`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium

from mjx_msm.common.errors import InputError
from mjx_msm.envs.controllers.arm_reach import Reaching
from mjx_msm.envs.controllers.arm_strike import Striking
from mjx_msm.envs.controllers.backpropagation import NetworkController
from mjx_msm.envs.controllers.baseline import Controller, Zero
from mjx_msm.envs.controllers.co_transport import ImpedanceTorque
from mjx_msm.envs.controllers.knee_exo import EmgProportional, GravityCompensation, TrackingTorque
from mjx_msm.envs.controllers.knee_prediction import Predictive
from mjx_msm.envs.controllers.trained import Trained
from mjx_msm.envs.tasks.arm_reach import ArmReach
from mjx_msm.envs.tasks.arm_strike import ArmStrike
from mjx_msm.envs.tasks.co_transport import ArmCoTransport
from mjx_msm.envs.tasks.task import Task


def controller(name: str | Path, env: gymnasium.Env, *, trust: bool = False) -> Controller:
    """A controller for an environment.

    **Arguments:** `name`: one of `names(env)`, or the path of a policy: one that stable-baselines3's PPO saved
    (``.zip``), or a `Network` of `mjx_msm.envs.controllers.backpropagation` (``.npz``). `trust`: PPO's is unpickled,
    which runs whatever code its file holds; say that you trust whoever made it.

    **Raises:** `InputError` for a name that is not known, a policy that is not trusted, cannot be read or does not fit,
    and for a policy without stable-baselines3.
    """
    if str(name).endswith(".zip"):
        return Trained(name, env, trust=trust)
    if str(name).endswith(".npz"):
        return NetworkController(name, env)
    task = _task(env)
    known = _known(task)
    if name not in known:
        raise InputError(
            f"controller '{name}': here choose one of {', '.join(known)}, a policy of stable-baselines3 (.zip), "
            "or as a network (.npz)"
        )
    return known[str(name)](task)


def names(env: gymnasium.Env) -> tuple[str, ...]:
    """The baselines an environment has, as it was made."""
    return tuple(_known(_task(env)))


def _task(env: gymnasium.Env) -> Task:
    task = getattr(env.unwrapped, "task", None)
    if not isinstance(task, Task):
        raise InputError(f"{env.unwrapped} is not an environment of mjx_msm; its controllers are elsewhere")
    return task


def _known(task: Any) -> Mapping[str, Callable[[Any], Controller]]:
    """Baselines of a task, by what can be acted on in it."""
    acted = task.actions[0].name
    if acted == "motor_torque":
        return {
            "zero": Zero,
            "emg_proportional": EmgProportional,
            "gravity_compensation": GravityCompensation,
            "tracking": TrackingTorque,
            "predictive": Predictive,
        }
    if acted == "set_point_x":  # the admittance controller is in the environment, and zero leaves it alone
        return {"zero": Zero, "admittance": Zero}
    if isinstance(task, ArmCoTransport) and acted.startswith("torque"):
        return {"zero": Zero, "impedance": ImpedanceTorque}
    if isinstance(task, ArmReach):
        return {"zero": Zero, "reaching": Reaching}
    if isinstance(task, ArmStrike):
        return {"zero": Zero, "striking": Striking}
    return {"zero": Zero}
