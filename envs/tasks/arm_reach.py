"""The task of `mjx_msm/ArmReach-v0`: muscle excitation moves the hand to targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, one_of
from mjx_msm.envs.engines.kinetics import Drive, Dynamics, Kinetics
from mjx_msm.envs.engines.world import GRAVITY
from mjx_msm.envs.human.arm import JOINTS, SAGITTAL, ArmKinematics, check_arm
from mjx_msm.envs.human.drive import Human, HumanMemory, as_human
from mjx_msm.envs.human.effort import METABOLIC_MODELS, metabolic_power
from mjx_msm.envs.human.intent import Intent, Policy, Sight, Tracking, not_yet
from mjx_msm.envs.human.people import People, find_people
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.robots.sensing import Commands, Sensing
from mjx_msm.envs.tasks.disturbance import TREMOR, Disturbance
from mjx_msm.envs.tasks.task import CONTROL_RATE, Channel, Outcome, Task
from mjx_msm.envs.worlds.arm_scene import arm_scene

REACH = np.array([[-0.6, 0.3], [0.5, 1.9]])
"""Shoulder and elbow angles that targets are drawn from [rad]; of the arm's muscles only the biceps lifts the shoulder,
and not beyond 0.4 rad."""
TARGET_SECONDS = 1.5
"""How long a target is there [s]; then comes the next."""
CLOSE = 0.03
"""Distance at which a target counts as reached [m]."""
DISTANCE_SCALE = 0.1
"""Distance that costs 1 [m]."""
EFFORT_WEIGHT = 0.05
MAX_ANGLE, MAX_SPEED, MAX_PLACE = np.pi, 30.0, 2.0


class Plan(NamedTuple):
    """What varies between episodes."""

    start: Float[Any, "2"]
    """Joint angles [rad]."""
    angles: Float[Any, "target 2"]
    """Joint angles that reach the targets [rad]."""
    targets: Float[Any, "target 3"]
    """Where the hand should be [m]; what counts is the sagittal plane, x and z."""
    disturbance: Disturbance
    recorded: Float[Any, "period muscle"] | None
    """Excitation recorded of this person, where it is not the nominal one's."""


class Memory(NamedTuple):
    """What is remembered within one."""

    step: Any
    human: HumanMemory
    commands: Any
    sensors: Any
    jacobian: Float[Any, "3 2"]
    """Of the hand, at the end of the last period [m]."""


class ArmReach(Task):
    """An arm that moves its hand to targets by muscle excitation: the plain control of a personalised model.

    **Action**, 50 a second, (muscle,), every entry −1..1: excitation, −1 none and 1 full.

    **Observation** (float32; `observation_names`): angle and velocity of shoulder and elbow, place of hand and target
    in the sagittal plane (x forward, z up), activation of every muscle. SI units.

    **Reward**: −d/0.1 m − 0.05·Σa², d the hand's distance from the target, a activation.

    **Episode**: `targets` targets, one after the other, each for 1.5 s; then truncated. Terminates when the state is
    not finite.

    **Info**, of every step: `distance` [m], `reached` (1 within 3 cm), `hand_speed` [m/s], `hand`, `target` [m],
    `effort` (Σa²), `metabolic_power` [W], `activation` (muscle,), `reward_distance`, `reward_effort`, `time` [s]. At an
    episode's end, `summary`: peak, root mean square and integral of these.

    **Arguments:**

    - `subject`: a folder written by ``mjx-msm identify``, its ``identification.json``, an MJCF file exported from
      the arm model, or None for the generic arm.
    - `sample_posterior`: another person from the subject's posterior at every reset.
    - `payload`: mass in the hand [kg].
    - `targets`: how many an episode has.
    - `human`: in place of the policy, see `mjx_msm.envs.human.drive`; the action is then ignored. A mapping changes
      what happens to the policy's excitation: ``{"reflex": True, "fatigue": True}``; with ``{"tracking": True}`` a
      tracking controller takes the policy's place.
    - `rate`: actions a second.
    - `sensing`: noise and delays, see `mjx_msm.envs.robots.sensing.Sensing`.
    - `metabolics`: ``"bhargava2004"``, ``"umberger2003"``, ``"umberger2010"`` or ``"uchida2016"``.
    - `render_mode`: None, ``"rgb_array"`` or ``"human"``, then `camera`, `width` and `height` say of what.
    """

    summarised = ("distance", "reached", "effort", "metabolic_power", "hand_speed", "joint_limit_violation")

    def __init__(
        self,
        subject: str | Path | None = None,
        *,
        human: Human | Mapping[str, Any] | None = None,
        rate: int = CONTROL_RATE,
        payload: float = 0.0,
        targets: int = 3,
        sensing: Mapping[str, float] | Sensing | None = None,
        metabolics: str = "bhargava2004",
    ):
        if isinstance(targets, bool) or not isinstance(targets, int) or targets < 1:
            raise InputError(f"targets = {targets!r}; give a whole number, 1 or more")
        self._act_at(rate)
        self.people: People = find_people(subject, "arm", check_arm)
        self.world = arm_scene(self.people, payload)
        self.arm = ArmKinematics.of(self.world.model)
        self.human = as_human(human, self._intent, self.world.muscles)
        self.sensing = Sensing.of(sensing)
        self.metabolics = METABOLIC_MODELS[one_of("metabolics", metabolics, METABOLIC_MODELS)]
        self._targets, self._muscles = targets, len(self.world.muscles)
        self.commands = Commands(self.sensing.command_delay, self._muscles, self.period)
        self.disturbances = (*TREMOR, "payload")
        if isinstance(self.human.intent, Policy):
            self.disturbances += ("delay",)
        self._periods = round(TARGET_SECONDS / self.period)
        self.draws = 2 * (targets + 1)
        self.length = targets * self._periods
        self.actions = tuple(Channel(f"excitation_{name}", -1.0, 1.0) for name in self.world.muscles)
        rows = [(f"{name}_angle", MAX_ANGLE, 0.005) for name in JOINTS]
        rows += [(f"{name}_velocity", MAX_SPEED, 0.05) for name in JOINTS]
        rows += [(f"{what}_{axis}", MAX_PLACE, 0.002) for what in ("hand", "target") for axis in "xz"]
        channels = [Channel(name, -bound, bound, self.sensing.noise * noise) for name, bound, noise in rows]
        channels += [Channel(f"activation_{n}", 0.0, 1.0, self.sensing.noise * 0.02) for n in self.world.muscles]
        self.observations = tuple(channels)
        self._none = np.zeros(0)
        self._everyone = np.ones(self._muscles)
        self._antagonists = self.world.antagonists(JOINTS[1])

    def plan(
        self,
        xp: Any,
        uniform: Float[Any, "draw"],
        disturbance: Disturbance,
        recorded: Float[Any, "period muscle"] | None = None,
    ) -> Plan:
        angles = REACH[:, 0] + (REACH[:, 1] - REACH[:, 0]) * uniform.reshape(-1, 2)
        return Plan(angles[0], angles[1:], self.arm.hand(angles[1:]), disturbance, recorded)

    def _intent(self, nerve_delay: float, tracking: bool) -> Intent:
        """What the person wants, unless it was given: the policy's, or to go to the target."""
        return Tracking.of(self.world, JOINTS, self.period, nerve_delay) if tracking else Policy()

    def initial(self, xp: Any, plan: Plan) -> tuple[Any, Any, Any, Any]:
        """The arm at rest."""
        return plan.start, xp.zeros(2), xp.full(self._muscles, 0.02), xp.zeros(0)

    def begin(self, xp: Any, plan: Plan, kinetics: Kinetics) -> Memory:
        still = xp.zeros(2)
        sight = Sight(0, Goal(plan.start, still, still), kinetics, not_yet, xp.zeros(self._muscles), plan.recorded)
        human = self.human.begin(sight, self.period)
        sensors = self.sensing.begin(xp, len(self.observations), self.period)
        return Memory(0, human, self.commands.begin(xp), sensors, self.arm.jacobian(kinetics.position))

    def drive(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        dynamics: Callable[[], Dynamics],
        action: Float[Any, "action"],
    ) -> tuple[Drive, Memory]:
        wrong = plan.disturbance
        on = wrong.active(memory.step * self.period)
        still = xp.zeros(2)
        goal = Goal(plan.angles[self._which(xp, memory.step)], still, still)
        wanted, commands = self.commands.pass_on(xp, memory.commands, 0.5 * (action + 1.0), on * wrong.delay)
        sight = Sight(memory.step, goal, kinetics, dynamics, wanted, plan.recorded)
        excitation, human = self.human.excite(
            memory.human, sight, self.period, on * wrong.tremor, wrong.tremor_frequency, self._antagonists
        )
        weight = on * wrong.payload * -GRAVITY * memory.jacobian[2]
        memory = memory._replace(step=memory.step + 1, human=human, commands=commands)
        return Drive(excitation, self._none, weight), memory

    def observe(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        action: Float[Any, "action"],
        noise: Float[Any, "observation"] | float,
    ) -> tuple[Outcome, Memory]:
        time = memory.step * self.period
        target = plan.targets[self._which(xp, memory.step)][SAGITTAL]
        hand = kinetics.point[0]
        place = hand[SAGITTAL]
        activation = kinetics.activation
        observation = xp.concatenate([kinetics.position, kinetics.velocity, place, target, activation])
        observation, sensors = self.sensing.delayed(xp, memory.sensors, observation, memory.step)
        observation = observation + noise
        miss = place - target
        distance = xp.sqrt(miss @ miss + 1e-12)
        jacobian = self.arm.jacobian(kinetics.position)
        velocity = jacobian @ kinetics.velocity
        effort = activation @ activation
        near, cost = -distance / DISTANCE_SCALE, -EFFORT_WEIGHT * effort
        measures: dict[str, Any] = {
            "time": time,
            "distance": distance,
            "reached": 1.0 * (distance < CLOSE),
            "hand_speed": xp.sqrt(velocity @ velocity + 1e-12),
            "hand": hand,
            "target": target,
            "joint_limit_violation": self.world.beyond_limits(kinetics.tendon_length),
            "effort": effort,
            "metabolic_power": metabolic_power(self.metabolics, memory.human.excitation, kinetics) @ self._everyone,
            "activation": activation,
            "reward_distance": near,
            "reward_effort": cost,
        }
        return Outcome(observation, near + cost, False, measures), memory._replace(sensors=sensors, jacobian=jacobian)

    def spots(self, plan: Plan, step: int) -> Float[np.ndarray, "spot 3"]:
        """The present target."""
        return plan.targets[None, self._which(np, step)]

    def _which(self, xp: Any, step: Any) -> Any:
        return xp.minimum(step // self._periods, self._targets - 1)
