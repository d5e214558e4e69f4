"""The task of `mjx_msm/ArmReach-v0`: muscle excitation moves the hand to targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.human.arm import SAGITTAL, check_arm
from mjx_msm.envs.human.drive import Human
from mjx_msm.envs.human.people import find_people
from mjx_msm.envs.robots.sensing import Sensing
from mjx_msm.envs.tasks.arm_task import ArmTask, Memory
from mjx_msm.envs.tasks.disturbance import Disturbance
from mjx_msm.envs.tasks.task import CONTROL_RATE, Outcome
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
MAX_PLACE = 2.0


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


class ArmReach(ArmTask):
    """An arm that moves its hand to targets by muscle excitation: the plain control of a personalised model.

    **Action**, 50 a second, (muscle,), every entry −1..1: excitation, −1 none and 1 full.

    **Observation** (float32; `observation_names`): angle and velocity of shoulder and elbow, place of hand and target
    in the sagittal plane (x forward, z up), activation of every muscle. SI units.

    **Reward**: −d/0.1 m − 0.05·Σa², d the hand's distance from the target, a activation.

    **Episode**: `targets` targets, one after the other, each for 1.5 s; then truncated. Terminates when the state is
    not finite.

    **Info**, of every step: `distance` [m], `reached` (1 within 3 cm), `hand_speed` [m/s], `hand`, `target` [m],
    `effort` (Σa²), `metabolic_power` [W], `joint_limit_violation`, `activation` (muscle,), `reward_distance`,
    `reward_effort`, `time` [s]. At an episode's end, `summary`: peak, root mean square and integral of these.

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
        people = find_people(subject, "arm", check_arm)
        places = [(f"{what}_{axis}", MAX_PLACE, 0.002) for what in ("hand", "target") for axis in "xz"]
        self._set_up(people, arm_scene(people, payload), human, sensing, metabolics, places)
        self._targets, self._periods = targets, round(TARGET_SECONDS / self.period)
        self.draws = 2 * (targets + 1)
        self.length = targets * self._periods

    def plan(
        self,
        xp: Any,
        uniform: Float[Any, "draw"],
        disturbance: Disturbance,
        recorded: Float[Any, "period muscle"] | None = None,
    ) -> Plan:
        angles = REACH[:, 0] + (REACH[:, 1] - REACH[:, 0]) * uniform.reshape(-1, 2)
        return Plan(angles[0], angles[1:], self.arm.hand(angles[1:]), disturbance, recorded)

    def _aim(self, xp: Any, plan: Plan, step: Any) -> Float[Any, "2"]:
        return plan.angles[self._which(xp, step)]

    def initial(self, xp: Any, plan: Plan) -> tuple[Any, Any, Any, Any]:
        """The arm at rest."""
        return plan.start, xp.zeros(2), xp.full(self._muscles, 0.02), xp.zeros(0)

    def observe(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        action: Float[Any, "action"],
        noise: Float[Any, "observation"] | float,
    ) -> tuple[Outcome, Memory]:
        target = plan.targets[self._which(xp, memory.step)][SAGITTAL]
        place = kinetics.point[0][SAGITTAL]
        observation, sensors = self._seen(xp, memory, kinetics, xp.concatenate([place, target]), noise)
        usual, jacobian = self._usual_measures(xp, memory, kinetics)
        miss = place - target
        distance = xp.sqrt(miss @ miss + 1e-12)
        near = -distance / DISTANCE_SCALE
        measures = {
            **usual,
            "distance": distance,
            "reached": 1.0 * (distance < CLOSE),
            "target": target,
            "reward_distance": near,
        }
        memory = memory._replace(sensors=sensors, jacobian=jacobian)
        return Outcome(observation, near + usual["reward_effort"], False, measures), memory

    def spots(self, plan: Plan, step: int) -> Float[np.ndarray, "spot 3"]:
        """The present target."""
        return plan.targets[None, self._which(np, step)]

    def _which(self, xp: Any, step: Any) -> Any:
        return xp.minimum(step // self._periods, self._targets - 1)
