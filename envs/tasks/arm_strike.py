"""The task of `mjx_msm/ArmStrike-v0`: muscle excitation strikes a ball, which is to stop at a target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.human.arm import SAGITTAL, check_arm
from mjx_msm.envs.human.drive import Human
from mjx_msm.envs.human.people import find_people
from mjx_msm.envs.robots.sensing import Sensing
from mjx_msm.envs.tasks.arm_task import MAX_SPEED, ArmTask, Memory
from mjx_msm.envs.tasks.disturbance import Disturbance
from mjx_msm.envs.tasks.task import CONTROL_RATE, Outcome
from mjx_msm.envs.worlds.strike_scene import BALL, BALL_RADIUS, HAND_RADIUS, PLACE, SLOWING, STIFFNESS, strike_scene

START = np.array([[-0.6, -0.4], [0.4, 0.7]])
"""Shoulder and elbow angles that an episode starts with [rad]: the hand is behind the ball."""
THROUGH = np.array([0.0, 0.9])
"""Angles of a hand that has gone through where the ball was [rad]: what a person who tracks goes for."""
WAYS = np.array([0.3, 0.9])
"""How far the ball is to roll [m]."""
SECONDS = 2.0
"""Of an episode [s]."""
SCORED = 0.05
"""How far from the target a ball that stops has hit it [m]."""
SCALE = 0.1
"""Distance, of the ball's stop from the target or of the hand from the ball, that costs 1 [m]."""
ROUNDED = 0.01
"""Distances are √(d² + this²) in the reward [m], which has a slope at its end, too."""
MAX_PLACE = 4.0


class Plan(NamedTuple):
    """What varies between episodes."""

    start: Float[Any, "2"]
    """Joint angles [rad]."""
    way: Float[Any, ""]
    """How far the ball is to roll [m]."""
    disturbance: Disturbance
    recorded: Float[Any, "period muscle"] | None
    """Excitation recorded of this person, where it is not the nominal one's."""


class ArmStrike(ArmTask):
    """An arm that strikes a ball, which is to roll to a target and stop there.

    **Action**, 50 a second, (muscle,), every entry −1..1: excitation, −1 none and 1 full.

    **Observation** (float32; `observation_names`): angle and velocity of shoulder and elbow, place of the hand in the
    sagittal plane (x forward, z up), the ball's way and velocity along x, the way it is to go, activation of every
    muscle. SI units.

    **Reward**: −m/0.1 m − 0.05·Σa², and −d/0.1 m until hand and ball have touched; m how far from the target the ball
    will stop if nothing touches it again, d the gap between hand and ball, a activation.

    **Episode**: 2 s, then truncated. Terminates when the state is not finite.

    **Info**, of every step: `miss` (m) [m], `scored` (1 for a ball that was struck and will stop within 5 cm of the
    target), `struck` (0 or 1), `distance` (d) [m], `ball`, `ball_speed`, `target` [m, m/s], `contact_force` [N] at
    the period's end, `hand_speed` [m/s], `hand` [m], `effort` (Σa²), `metabolic_power` [W],
    `joint_limit_violation`, `activation` (muscle,), `reward_miss`, `reward_distance`, `reward_effort`, `time` [s].
    At an episode's end, `summary`: peak, root mean square and integral of these.

    Hand and ball touch by a spring (`mjx_msm.envs.worlds.strike_scene`), so that the twin has derivatives through it.

    **Arguments:**

    - `subject`: a folder written by ``mjx-msm identify``, its ``identification.json``, an MJCF file exported from
      the arm model, or None for the generic arm.
    - `sample_posterior`: another person from the subject's posterior at every reset.
    - `human`: in place of the policy, see `mjx_msm.envs.human.drive`; the action is then ignored. A mapping changes
      what happens to the policy's excitation: ``{"reflex": True, "fatigue": True}``; with ``{"tracking": True}`` a
      tracking controller takes the policy's place, and goes through the ball.
    - `rate`: actions a second.
    - `sensing`: noise and delays, see `mjx_msm.envs.robots.sensing.Sensing`.
    - `metabolics`: ``"bhargava2004"``, ``"umberger2003"``, ``"umberger2010"`` or ``"uchida2016"``.
    - `render_mode`: None, ``"rgb_array"`` or ``"human"``, then `camera`, `width` and `height` say of what.
    """

    summarised = ("miss", "scored", "struck", "effort", "metabolic_power", "hand_speed", "joint_limit_violation")
    camera = "strike"

    def __init__(
        self,
        subject: str | Path | None = None,
        *,
        human: Human | Mapping[str, Any] | None = None,
        rate: int = CONTROL_RATE,
        sensing: Mapping[str, float] | Sensing | None = None,
        metabolics: str = "bhargava2004",
    ):
        self._act_at(rate)
        people = find_people(subject, "arm", check_arm)
        places = [(f"hand_{axis}", MAX_PLACE, 0.002) for axis in "xz"]
        places += [("ball_way", MAX_PLACE, 0.002), ("ball_velocity", MAX_SPEED, 0.02), ("target_way", MAX_PLACE, 0.002)]
        self._set_up(people, strike_scene(people), human, sensing, metabolics, places)
        self.draws = 3
        self.length = round(SECONDS / self.period)
        self._ball = self.world.coordinate(BALL)
        self._gap = int(self.world.tendons([BALL])[0])

    def plan(
        self,
        xp: Any,
        uniform: Float[Any, "draw"],
        disturbance: Disturbance,
        recorded: Float[Any, "period muscle"] | None = None,
    ) -> Plan:
        start = START[:, 0] + (START[:, 1] - START[:, 0]) * uniform[:2]
        return Plan(start, WAYS[0] + (WAYS[1] - WAYS[0]) * uniform[2], disturbance, recorded)

    def _aim(self, xp: Any, plan: Plan, step: Any) -> Float[Any, "2"]:
        return xp.asarray(THROUGH)

    def initial(self, xp: Any, plan: Plan) -> tuple[Any, Any, Any, Any]:
        """Arm and ball at rest."""
        return xp.concatenate([plan.start, xp.zeros(1)]), xp.zeros(3), xp.full(self._muscles, 0.02), xp.zeros(0)

    def observe(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        action: Float[Any, "action"],
        noise: Float[Any, "observation"] | float,
    ) -> tuple[Outcome, Memory]:
        way, speed = kinetics.position[self._ball], kinetics.velocity[self._ball]
        target = plan.way + 0.0 * way
        places = xp.concatenate([kinetics.point[0][SAGITTAL], xp.stack([way, speed, target])])
        observation, sensors = self._seen(xp, memory, kinetics, places, noise)
        usual, jacobian = self._usual_measures(xp, memory, kinetics)
        gap = kinetics.tendon_length[self._gap] - (HAND_RADIUS + BALL_RADIUS)
        # A touch that ends within a period leaves a ball that has moved.
        struck = xp.maximum(memory.struck, 1.0 * ((gap < 0) | (xp.abs(speed) > 1e-3)))
        distance = xp.maximum(gap, 0.0)
        off = way + speed / SLOWING - plan.way
        missed, near = -xp.sqrt(off * off + ROUNDED**2) / SCALE, -(1.0 - struck) * distance / SCALE
        measures = {
            **usual,
            "miss": xp.abs(off),
            "scored": struck * (xp.abs(off) < SCORED),
            "struck": struck,
            "distance": distance,
            "ball": way,
            "ball_speed": speed,
            "target": target,
            "contact_force": STIFFNESS * xp.maximum(-gap, 0.0),
            "reward_miss": missed,
            "reward_distance": near,
        }
        memory = memory._replace(sensors=sensors, struck=struck, jacobian=jacobian)
        return Outcome(observation, missed + near + usual["reward_effort"], False, measures), memory

    def spots(self, plan: Plan, step: int) -> Float[np.ndarray, "spot 3"]:
        """Where the ball is to stop."""
        return np.array([[PLACE[0] + float(plan.way), PLACE[1], PLACE[2]]])
