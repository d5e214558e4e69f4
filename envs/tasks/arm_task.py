"""What tasks of an arm have in common whose muscle excitation is chosen: the person, what is sensed, what is driven."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import one_of
from mjx_msm.envs.engines.kinetics import Drive, Dynamics, Kinetics
from mjx_msm.envs.engines.world import GRAVITY, World
from mjx_msm.envs.human.arm import JOINTS, ArmKinematics
from mjx_msm.envs.human.drive import Human, HumanMemory, as_human
from mjx_msm.envs.human.effort import METABOLIC_MODELS, metabolic_power
from mjx_msm.envs.human.intent import Intent, Policy, Sight, Tracking, not_yet
from mjx_msm.envs.human.people import People
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.robots.sensing import Commands, Sensing
from mjx_msm.envs.tasks.disturbance import TREMOR
from mjx_msm.envs.tasks.task import Channel, Task

EFFORT_WEIGHT = 0.05
"""What the sum of squared activations costs, as part of it."""
MAX_ANGLE, MAX_SPEED = np.pi, 30.0


class Memory(NamedTuple):
    """What is remembered within an episode."""

    step: Any
    human: HumanMemory
    commands: Any
    sensors: Any
    jacobian: Float[Any, "3 2"]
    """Of the hand, at the end of the last period [m]."""
    struck: Float[Any, ""] | float = 0.0
    """1 once hand and ball have touched, where there is a ball."""


class ArmTask(Task):
    """An arm that is moved by muscle excitation. A subclass says what for: goals, reward, what else there is."""

    def _set_up(
        self,
        people: People,
        world: World,
        human: Human | Mapping[str, Any] | None,
        sensing: Mapping[str, float] | Sensing | None,
        metabolics: str,
        places: Sequence[tuple[str, float, float]],
    ) -> None:
        """What every such task has.

        **Arguments:** `places`: name, bound and standard deviation of the noise of what is observed between the
        joints and the muscles.
        """
        self.people, self.world = people, world
        self.arm = ArmKinematics.of(world.model)
        self.human = as_human(human, self._intent, world.muscles)
        self.sensing = Sensing.of(sensing)
        self.metabolics = METABOLIC_MODELS[one_of("metabolics", metabolics, METABOLIC_MODELS)]
        self._muscles = len(world.muscles)
        self.commands = Commands(self.sensing.command_delay, self._muscles, self.period)
        self.disturbances = (*TREMOR, "payload")
        if isinstance(self.human.intent, Policy):
            self.disturbances += ("delay",)
        self.actions = tuple(Channel(f"excitation_{name}", -1.0, 1.0) for name in world.muscles)
        rows = [(f"{name}_angle", MAX_ANGLE, 0.005) for name in JOINTS]
        rows += [(f"{name}_velocity", MAX_SPEED, 0.05) for name in JOINTS]
        channels = [Channel(name, -bound, bound, self.sensing.noise * noise) for name, bound, noise in (*rows, *places)]
        channels += [Channel(f"activation_{n}", 0.0, 1.0, self.sensing.noise * 0.02) for n in world.muscles]
        self.observations = tuple(channels)
        self._none = np.zeros(0)
        self._everyone = np.ones(self._muscles)
        self._antagonists = world.antagonists(JOINTS[1])
        self._joints = world.among(JOINTS)

    def _intent(self, nerve_delay: float, tracking: bool) -> Intent:
        """What the person wants, unless it was given: the policy's, or to go where the task says."""
        return Tracking.of(self.world, JOINTS, self.period, nerve_delay) if tracking else Policy()

    @abstractmethod
    def _aim(self, xp: Any, plan: Any, step: Any) -> Float[Any, "2"]:
        """Joint angles that somebody who tracks goes for [rad]."""

    def begin(self, xp: Any, plan: Any, kinetics: Kinetics) -> Memory:
        still = xp.zeros(2)
        sight = Sight(0, Goal(plan.start, still, still), kinetics, not_yet, xp.zeros(self._muscles), plan.recorded)
        human = self.human.begin(sight, self.period)
        sensors = self.sensing.begin(xp, len(self.observations), self.period)
        return Memory(0, human, self.commands.begin(xp), sensors, self._jacobian(kinetics), xp.zeros(()))

    def drive(
        self,
        xp: Any,
        plan: Any,
        memory: Memory,
        kinetics: Kinetics,
        dynamics: Callable[[], Dynamics],
        action: Float[Any, "action"],
    ) -> tuple[Drive, Memory]:
        wrong = plan.disturbance
        on = wrong.active(memory.step * self.period)
        still = xp.zeros(2)
        goal = Goal(self._aim(xp, plan, memory.step), still, still)
        wanted, commands = self.commands.pass_on(xp, memory.commands, 0.5 * (action + 1.0), on * wrong.delay)
        sight = Sight(memory.step, goal, kinetics, dynamics, wanted, plan.recorded)
        excitation, human = self.human.excite(
            memory.human, sight, self.period, on * wrong.tremor, wrong.tremor_frequency, self._antagonists
        )
        others = xp.zeros(len(self.world.coordinates) - len(JOINTS))
        weight = xp.concatenate([on * wrong.payload * -GRAVITY * memory.jacobian[2], others])
        memory = memory._replace(step=memory.step + 1, human=human, commands=commands)
        return Drive(excitation, self._none, weight), memory

    def _seen(self, xp: Any, memory: Memory, kinetics: Kinetics, places: Any, noise: Any) -> tuple[Any, Any]:
        """The observation of joints, places and muscles, late and noisy; the sensors' memory."""
        angles, rates = kinetics.position[self._joints], kinetics.velocity[self._joints]
        observation = xp.concatenate([angles, rates, places, kinetics.activation])
        observation, sensors = self.sensing.delayed(xp, memory.sensors, observation, memory.step)
        return observation + noise, sensors

    def _usual_measures(self, xp: Any, memory: Memory, kinetics: Kinetics) -> tuple[dict[str, Any], Any]:
        """What `info` says of every arm, the cost of its effort among it; the hand's Jacobian [m]."""
        jacobian, activation = self._jacobian(kinetics), kinetics.activation
        velocity = jacobian @ kinetics.velocity[self._joints]
        effort = activation @ activation
        return {
            "time": memory.step * self.period,
            "hand_speed": xp.sqrt(velocity @ velocity + 1e-12),
            "hand": kinetics.point[0],
            "joint_limit_violation": self.world.beyond_limits(kinetics.tendon_length),
            "effort": effort,
            "metabolic_power": metabolic_power(self.metabolics, memory.human.excitation, kinetics) @ self._everyone,
            "activation": activation,
            "reward_effort": -EFFORT_WEIGHT * effort,
        }, jacobian

    def _jacobian(self, kinetics: Kinetics) -> Float[Any, "3 2"]:
        """Of the hand by shoulder and elbow [m]."""
        return self.arm.jacobian(kinetics.position[self._joints])
