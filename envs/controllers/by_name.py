"""Controllers by name: baselines that act on what their environment lets them observe, and trained policies.

What they know besides is the nominal person: the generic one, or the one that was identified; never the person drawn
from the posterior who is in the environment.

KneeExo           `zero`, `emg_proportional`, `gravity_compensation`, `tracking`
ArmCoTransport    `zero`; `admittance` where the robot is one, else `impedance`
ArmReach          `zero`, `reaching`
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.c_engine import CEngine
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.drive import Sight
from mjx_msm.envs.human.intent import Tracking
from mjx_msm.envs.human.recording import Goal
from mjx_msm.envs.motions.transport_path import BeamMotion
from mjx_msm.envs.robots.cobot import JOINTS as COBOT_JOINTS
from mjx_msm.envs.robots.cobot_controllers import Impedance, Sensed
from mjx_msm.envs.tasks.arm_reach import REACH, ArmReach
from mjx_msm.envs.tasks.co_transport import ArmCoTransport
from mjx_msm.envs.tasks.knee_exo import PREVIEW, KneeExo
from mjx_msm.envs.tasks.task import Task
from mjx_msm.envs.worlds.beam_scene import ARM_JOINTS
from mjx_msm.envs.worlds.worn_exoskeleton import JOINTS as LEG_JOINTS


class Controller(Protocol):
    """What decides on actions, an episode at a time."""

    def reset(self) -> None:
        """Forget the last episode."""
        ...

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        """The action, float32 and within the action space."""
        ...


def controller(name: str | Path, env: gymnasium.Env) -> Controller:
    """A controller for an environment.

    **Arguments:** `name`: one of `names(env)`, or the path of a policy that stable-baselines3's PPO saved (``.zip``).

    **Raises:** `InputError` for a name that is not known, a policy that cannot be read or does not fit, and for a
    policy without stable-baselines3.
    """
    if str(name).endswith(".zip"):
        return Trained(name, env)
    task = _task(env)
    known = _known(task)
    if name not in known:
        raise InputError(
            f"controller '{name}': here choose one of {', '.join(known)}, or a policy saved by stable-baselines3 (.zip)"
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
        }
    if acted == "set_point_x":  # the admittance controller is in the environment, and zero leaves it alone
        return {"zero": Zero, "admittance": Zero}
    if isinstance(task, ArmCoTransport) and acted.startswith("torque"):
        return {"zero": Zero, "impedance": ImpedanceTorque}
    if isinstance(task, ArmReach):
        return {"zero": Zero, "reaching": Reaching}
    return {"zero": Zero}


class Baseline(ABC):
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


# The exoskeleton -----------------------------------------------------------------------------------------------


class KneeTorque(Baseline):
    """A torque of the exoskeleton's motor."""

    def __init__(self, task: KneeExo):
        super().__init__(task)
        self._limit = task.exoskeleton.torque_limit

    @abstractmethod
    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        """What is asked of the motor [N·m], positive in flexion."""

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        return self._action([self.torque(observation) / self._limit])


class EmgProportional(KneeTorque):
    """A part of the moment that the person's muscles seem to want, from their EMG.

    τ = gain · Σ u F(l, v) r(q) with u the excitation, F the tension of the nominal muscle at full activation and r its
    moment arm about the knee, at the sensed angles.
    """

    def __init__(self, task: KneeExo, gain: float = 0.5):
        super().__init__(task)
        self.gain = gain
        self._leg = CEngine(World.of(task.people.spec, LEG_JOINTS))
        self._angles = self._channels("hip_angle", "knee_angle", "ankle_angle")
        self._speed = self._channels("knee_velocity")
        self._emg = self._channels(*(f"emg_{name}" for name in task.world.muscles))

    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        emg = observation[self._emg].astype(float)
        velocity = np.zeros(3)
        velocity[1] = observation[self._speed[0]]  # hip's and ankle's are not sensed
        self._leg.start(observation[self._angles].astype(float), velocity, emg, np.zeros(0))
        known = self._leg.dynamics()
        return self.gain * float((emg * known.capacity) @ known.moment_arm[:, 1])


class GravityCompensation(KneeTorque):
    """Bears a part of the weight of shank, foot, load and of its own link about the knee.

    A small part by default: the passive tissue of a seated leg already extends the knee, and more help drives it off.
    """

    def __init__(self, task: KneeExo, share: float = 0.3):
        super().__init__(task)
        self.share = share
        self._worn, self._coupling = CEngine(task.world), task.coupling
        self._knees = task.world.among(("knee_angle", "exo_knee"))
        self._angles = self._channels("hip_angle", "exo_knee_angle", "ankle_angle")
        self._none = np.zeros(len(task.world.muscles)), np.zeros(1)

    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        place, still = self._coupling.aligned(np, observation[self._angles].astype(float), np.zeros(3))
        self._worn.start(place, still, *self._none)
        return self.share * float(self._worn.dynamics().bias[self._knees].sum())


class TrackingTorque(KneeTorque):
    """A spring and a damper from the person's knee to where it should be a moment ahead.

    τ = k (q* + q̇* t − q) + d (q̇* − q̇), with a lead t for what motor and straps are late; a longer one flexes a walking
    knee before its time. The gains are stable with senses 40 ms and commands 20 ms late; a stiffness of 60 N·m/rad is
    not.
    """

    def __init__(self, task: KneeExo, stiffness: float = 40.0, damping: float = 4.0, lead: float = 0.02):
        super().__init__(task)
        self.stiffness, self.damping, self.lead = stiffness, damping, lead
        self._knee = self._channels("knee_angle", "knee_velocity")
        self._ahead = self._channels(*(f"reference_{1000 * ahead:.0f}ms" for ahead in PREVIEW[:2]))

    def torque(self, observation: Float[np.ndarray, "observation"]) -> float:
        (angle, speed), (now, soon) = observation[self._knee], observation[self._ahead]
        wanted = (soon - now) / (PREVIEW[1] - PREVIEW[0])
        return float(self.stiffness * (now + self.lead * wanted - angle) + self.damping * (wanted - speed))


# The cobot -----------------------------------------------------------------------------------------------------


class ImpedanceTorque(Baseline):
    """The cobot's impedance controller, less the robot's own weight, which the environment bears."""

    def __init__(self, task: ArmCoTransport):
        super().__init__(task)
        self.impedance = Impedance(task.robot, task.transport.borne("tool"))
        self._limit = np.array(task.cobot.torque_limit)
        self._angles = self._channels(*(f"{name}_angle" for name in COBOT_JOINTS))
        self._speeds = self._channels(*(f"{name}_velocity" for name in COBOT_JOINTS))
        self._force, self._miss, self._velocity, self._acceleration = (
            self._channels(f"{name}_x", f"{name}_z")
            for name in ("handle_force", "tool_error", "goal_velocity", "goal_acceleration")
        )

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        seen, robot = observation.astype(float), self.impedance.robot
        sensed = Sensed(seen[self._angles], seen[self._speeds], seen[self._force])
        place = robot.tool(sensed.position)[:2] + seen[self._miss]
        goal = BeamMotion(place, seen[self._velocity], seen[self._acceleration])
        torque = self.impedance.torque(sensed, goal) - robot.gravity_torque(sensed.position)
        return self._action(torque / self._limit)


# The arm -------------------------------------------------------------------------------------------------------


class Reaching(Baseline):
    """Brings the hand to the target as people do, by a minimum-jerk motion of the joints, and holds it there.

    Muscles by computed muscle control (`mjx_msm.envs.human.computed_muscle_control`) of the nominal arm, on what is observed. Flash and
    Hogan 1985, doi 10.1523/JNEUROSCI.05-07-01688.1985.
    """

    def __init__(self, task: ArmReach, seconds: float = 0.6):
        super().__init__(task)
        self.seconds, self._period, self._arm = seconds, task.period, task.arm
        self._body = CEngine(task.world)
        self._intent = Tracking.of(task.world, ARM_JOINTS, task.period, delay=0.0)
        self._angles = self._channels(*(f"{name}_angle" for name in ARM_JOINTS))
        self._speeds = self._channels(*(f"{name}_velocity" for name in ARM_JOINTS))
        self._target = self._channels("target_x", "target_z")
        self._activation = self._channels(*(f"activation_{name}" for name in task.world.muscles))
        self._idle = np.zeros(len(task.world.muscles))
        self._middle = REACH.mean(axis=1)  # Newton's method finds every target from there
        self.reset()

    def reset(self) -> None:
        """No target was seen."""
        self._memory: Any = None
        self._wanted = np.full(2, np.nan)
        self._begin = self._end = np.zeros(2)
        self._step = 0

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        seen = observation.astype(float)
        angles, target = seen[self._angles], seen[self._target]
        if self._memory is None or np.abs(target - self._wanted).max() > 0.02:
            self._begin = angles if self._memory is None else self._goal(self._step).position
            self._end, self._wanted, self._step = self._arm.angles(target, self._middle, iterations=8), target, 0
        self._body.start(angles, seen[self._speeds], seen[self._activation], np.zeros(0))
        self._step += 1
        sight = Sight(0, self._goal(self._step), self._body.kinetics(), self._body.dynamics, self._idle)
        if self._memory is None:
            self._memory = self._intent.begin(sight._replace(goal=self._goal(0)), self._period)
        excitation, self._memory = self._intent.excitation(self._memory, sight, self._period)
        return self._action(2.0 * excitation - 1.0)

    def _goal(self, step: int) -> Goal:
        """Of the joints, at the end of a control period since the target appeared."""
        t = min(step * self._period / self.seconds, 1.0)
        way, h = self._end - self._begin, self.seconds
        return Goal(
            self._begin + way * t**3 * (10 - 15 * t + 6 * t**2),
            way * 30 * t**2 * (1 - t) ** 2 / h,
            way * 60 * t * (1 - t) * (1 - 2 * t) / h**2,
        )


# Trained policies ----------------------------------------------------------------------------------------------


class Trained:
    """A policy of stable-baselines3's PPO, without its exploration."""

    def __init__(self, path: str | Path, env: gymnasium.Env):
        if not Path(path).is_file():
            raise InputError(f"policy '{path}' does not exist; train one, see examples/05_train_robot.py")
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
