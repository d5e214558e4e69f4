"""The task of `mjx_msm/KneeExo-v0`: a leg in a knee exoskeleton that helps it follow a motion."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, one_of
from mjx_msm.envs.engines.kinetics import Drive, Dynamics, Kinetics
from mjx_msm.envs.engines.world import GRAVITY
from mjx_msm.envs.human.drive import Human, HumanMemory, as_human
from mjx_msm.envs.human.effort import METABOLIC_MODELS, metabolic_power
from mjx_msm.envs.human.intent import Intent, Policy, Replay, Sight, Tracking, not_yet
from mjx_msm.envs.human.leg import JOINTS, check_leg
from mjx_msm.envs.human.leg import KNEE as KNEE_JOINT
from mjx_msm.envs.human.people import People, find_people
from mjx_msm.envs.human.recording import EXCITATION_FILE, Recording
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.motions.leg_motions import MOTIONS, Reference
from mjx_msm.envs.robots.exoskeleton import CUFFS, PREFIX, Exoskeleton
from mjx_msm.envs.robots.sensing import Commands, Sensing
from mjx_msm.envs.tasks.disturbance import TREMOR, Disturbance
from mjx_msm.envs.tasks.task import ACTION_MODES, CONTROL_RATE, Channel, Outcome, Task
from mjx_msm.envs.worlds.cuffs import Coupling, CuffLoads
from mjx_msm.envs.worlds.ground import external_moment
from mjx_msm.envs.worlds.led_joints import LedJoints
from mjx_msm.envs.worlds.leg_scene import LED, leg_scene

KNEE = JOINTS.index(KNEE_JOINT)
PREVIEW = (0.0, 0.05, 0.1, 0.2)
"""How far ahead the reference is observed [s]."""
MAX_ANGLE, MAX_SPEED, MAX_SHIFT, MAX_FORCE = np.pi, 30.0, 0.1, 1000.0
TRACKING_SCALE = 0.1
"""Tracking error that costs 1 [rad]."""
EFFORT_WEIGHT = 0.1
FORCE_LIMITS = {"thigh": 220.0, "shank": 130.0}
"""Quasi-static limits of ISO/TS 15066 for thigh and knee, and for the lower leg [N]."""
REPEATING_SECONDS = 10.0
"""How long an episode of a motion that repeats is [s]."""
GENERATED_STRENGTH = 0.6
"""Strength of a person who follows a generated motion: somebody who needs help."""


class Plan(NamedTuple):
    """What varies between episodes."""

    motion: Any
    disturbance: Disturbance
    recorded: Float[Any, "period muscle"] | None
    """Excitation recorded of this person, where it is not the nominal one's."""


class Memory(NamedTuple):
    """What is remembered within one."""

    step: Any
    human: HumanMemory
    commands: Any
    slipped: Float[Any, "cuff"]
    sensors: Any
    loads: CuffLoads
    """At the end of the last period."""
    goal: Goal
    """At the end of the next one."""


class KneeExo(Task):
    """A leg, its hip and ankle led, in an exoskeleton that can help its knee.

    **Mechanics.** The subject's leg with its muscles, and a two-link exoskeleton joined to it only by straps, on skin
    that gives and slips (`mjx_msm.envs.robots.exoskeleton`), at 1 kHz in C MuJoCo. Hip and ankle follow the reference;
    the knee is free.

    **Action**, 50 a second, every entry −1..1: torque of the motor as part of its limit, positive in flexion, with
    `action_mode` ``"robot"``; excitation of every muscle, −1 none and 1 full, with ``"human"``; both, motor first,
    with ``"both"``. The torque reaches the knee through the motor's bandwidth and torque–speed limit, and the straps.

    **Observation** (float32; `observation_names`): angle and velocity of the exoskeleton's and of the human knee,
    hip, ankle, the knee's reference now and 50, 100, 200 ms ahead, the motor's torque, net force, largest strap
    tension and displacement of each cuff, EMG (excitation) of every muscle. SI units; clipped to the space's bounds.

    **Reward**: −(e/0.1 rad)² − 0.1·a², e the human knee's distance from the reference, a the motor's action (Σ of
    squared activation where there is none).

    **Episode.** Terminates when the state is not finite; truncated at the end of a recording, else after 10 s.

    **Info**, of every step: `tracking_error`, `knee_angle`, `reference` [rad]; `human_torque` (of the muscles about
    the knee), `robot_torque` (of the motor), `interaction_torque` (of the shank cuff about the human knee) [N·m],
    positive in flexion, `robot_share`; of either cuff `thigh_force`, `shank_force`, `thigh_strap`, `shank_strap`
    (largest tension) [N], `thigh_displacement`, `shank_displacement` [m]; `slip` [m]; `effort` (Σa²),
    `metabolic_power` [W]; `force_limit_violation` (1: a cuff's force is beyond ISO/TS 15066's quasi-static limit),
    `joint_limit_violation`; `activation` (muscle,); `reward_tracking`, `reward_effort`; `time` [s]. At an episode's
    end, `summary`: peak, root mean square and integral of most of these.

    **A recorded walk.** The pelvis stands still, and nothing touches the foot. What ground and moving pelvis did to the
    recorded knee is applied to it as a moment over time (`mjx_msm.envs.worlds.ground`): the leg's inverse dynamics less
    the recorded moment, of the nominal person, whoever is in the episode. It does not change with how the leg then
    moves. Excitation is replayed without feedback, so that errors of the identified moment add up to a drift; it has
    the person's reflexes in it, and `reflex` adds to them. Somebody who tracks expects the ground.

    Where no moment was recorded there is no ground: a warning says so, the excitation of stance meets a leg that hangs,
    and how far it then strays says little about the person.

    **Arguments:**

    - `subject`: a folder written by ``mjx-msm identify``, its ``identification.json``, an MJCF file exported from
      the knee model, or None for the generic leg.
    - `sample_posterior`: another person from the subject's posterior at every reset.
    - `task`: ``"walk"`` replays the folder's recording (with moments, its longest stretch that has them), ``"seated"``
      extends the knee on a bench, ``"swing"`` swings the leg as in walking. By default the recording where there is
      one, else seated.
    - `human`: the human half, see `mjx_msm.envs.human.drive`; by default the recording's excitation or a tracking
      controller, with `strength` of what is needed (by default 1 of what was recorded, 0.6 of what a generated motion
      needs: somebody who needs help). A mapping changes it: ``{"nerve_delay": 0.06, "reflex": True, "fatigue": True}``,
      a nerve's delay being a whole number of control periods; ``{"tracking": True}`` follows a recorded walk instead
      of replaying it.
    - `action_mode`: who is acted for. `rate`: actions a second.
    - `exoskeleton`: numbers of the device to replace, as in `Exoskeleton`, e.g. ``{"torque_limit": 15.0}``.
    - `load`: mass fixed to the shank above the ankle [kg].
    - `sensing`: noise and delays, see `mjx_msm.envs.robots.sensing.Sensing`.
    - `metabolics`: ``"bhargava2004"``, ``"umberger2003"``, ``"umberger2010"`` or ``"uchida2016"``.
    - `render_mode`: None, ``"rgb_array"`` or ``"human"``, then `camera`, `width` and `height` say of what.
    """

    led = LED
    summarised = (
        "tracking_error",
        "human_torque",
        "robot_torque",
        "interaction_torque",
        "robot_share",
        "thigh_force",
        "shank_force",
        "thigh_strap",
        "shank_strap",
        "effort",
        "metabolic_power",
        "slip",
        "force_limit_violation",
        "joint_limit_violation",
    )

    def __init__(
        self,
        subject: str | Path | None = None,
        *,
        task: str | None = None,
        human: Human | Mapping[str, Any] | None = None,
        strength: float | None = None,
        action_mode: str = "robot",
        rate: int = CONTROL_RATE,
        exoskeleton: Mapping[str, float] | Exoskeleton | None = None,
        load: float = 0.0,
        sensing: Mapping[str, float] | Sensing | None = None,
        metabolics: str = "bhargava2004",
    ):
        self._act_at(rate)
        self.people: People = find_people(subject, "knee", check_leg)
        recording = self._recording(self.people)
        task = ("walk" if recording is not None else "seated") if task is None else task
        one_of("task", task, (*MOTIONS, "walk"))
        if task == "walk" and recording is None:
            raise InputError(
                f"task 'walk' needs a recording, but {self.people.source} has no {EXCITATION_FILE}; give subject= a "
                "folder written by `mjx-msm identify`"
            )
        one_of("action_mode", action_mode, ACTION_MODES)
        self.exoskeleton, self.sensing = Exoskeleton.of(exoskeleton), Sensing.of(sensing)
        self.world = leg_scene(self.people, self.exoskeleton, task == "seated", load)
        self.coupling = Coupling.of(self.world, self.exoskeleton)
        self.commands = Commands(self.sensing.command_delay, 1, self.period)
        self.metabolics = METABOLIC_MODELS[one_of("metabolics", metabolics, METABOLIC_MODELS)]
        if task != "walk":
            recording = None
        self.reference: Reference = MOTIONS[task] if recording is None else recording.motion()
        if strength is None:
            strength = GENERATED_STRENGTH if recording is None else 1.0
        arrives = strength if action_mode == "robot" else 1.0  # a policy says itself how much it excites
        self.human = as_human(human, partial(self._intent, recording, action_mode), self.world.muscles, arrives)
        self.draws = self.reference.draws
        seconds = self.reference.seconds or REPEATING_SECONDS
        self.length = int(seconds / self.period + 1e-6)
        self._robot, self._muscles = action_mode != "human", len(self.world.muscles)
        self.disturbances = (*TREMOR, "emg_dropout", "slip", "payload", *(("stall", "delay") if self._robot else ()))
        policy = [Channel(f"excitation_{name}", -1.0, 1.0) for name in self.world.muscles]
        self.actions = (Channel("motor_torque", -1.0, 1.0),) if self._robot else ()
        self.actions += tuple(policy) if action_mode != "robot" else ()
        self.observations = self._channels()
        self._lead = LedJoints.of(self.world, LED)
        self._hold = np.zeros((len(CUFFS), len(self.world.coordinates)))
        self._hold[[0, 1], self.coupling.shear] = self.exoskeleton.shear_stiffness
        self._about_knee = np.zeros(len(self.world.coordinates))
        self._about_knee[KNEE] = 1.0
        self._exo_knee = self.world.coordinate(f"{PREFIX}knee")
        self._limits = np.array([FORCE_LIMITS[cuff] for cuff in CUFFS])
        self._ahead = np.array([*PREVIEW, self.period])
        self._everyone = np.ones(self._muscles)
        self._ground, self._activation = np.zeros(1), np.full(self._muscles, 0.02)
        if recording is not None:  # which was under way when its motion begins
            self._activation = self.human.strength * recording.table(self.world.muscles, self.period)[0]
            self._ground = self._external(recording)
        self._antagonists = self.world.antagonists(KNEE_JOINT)

    @staticmethod
    def _recording(people: People) -> Recording | None:
        if people.folder is None:
            return None
        path = people.folder / EXCITATION_FILE
        return Recording.read(path) if path.is_file() else None

    def _external(self, recording: Recording) -> Float[np.ndarray, "period"]:
        """Moment of ground and moving pelvis about the recorded knee in every control period [N·m]."""
        if recording.moment is None:
            warnings.warn(
                f"{self.people.source}: {EXCITATION_FILE} has no moment/{KNEE_JOINT}; the walk has no ground, and "
                "drifts from the recording in stance; identify again, with moment_columns in the subject file",
                stacklevel=2,
            )
            return np.zeros(1)
        return external_moment(recording, self.people.spec.copy().compile(), self.period)

    def _intent(self, recording: Recording | None, action_mode: str, nerve_delay: float, tracking: bool) -> Intent:
        """What the person wants, unless it was given: the policy's, the recorded, or to follow the reference."""
        if action_mode != "robot" and not tracking:
            return Policy()
        if recording is not None and not tracking:
            self.recording = recording
            return Replay(recording.table(self.world.muscles, self.period))
        return Tracking.of(self.world, (KNEE_JOINT,), self.period, nerve_delay)

    def _channels(self) -> tuple[Channel, ...]:
        rows: list[tuple[str, float, float, float]] = []
        for name, angle, speed in (("exo_knee", 0.002, 0.02), ("knee", 0.01, 0.05)):
            rows += [
                (f"{name}_angle", -MAX_ANGLE, MAX_ANGLE, angle),
                (f"{name}_velocity", -MAX_SPEED, MAX_SPEED, speed),
            ]
        rows += [(name, -MAX_ANGLE, MAX_ANGLE, 0.01) for name in ("hip_angle", "ankle_angle")]
        rows += [(f"reference_{1000 * ahead:.0f}ms", -MAX_ANGLE, MAX_ANGLE, 0.0) for ahead in PREVIEW]
        limit = self.exoskeleton.torque_limit
        rows += [("motor_torque", -limit, limit, 0.1)]
        for cuff in CUFFS:
            rows += [(f"{cuff}_force", 0.0, MAX_FORCE, 2.0), (f"{cuff}_strap", 0.0, MAX_FORCE, 2.0)]
            rows += [(f"{cuff}_displacement", 0.0, MAX_SHIFT, 0.001)]
        rows += [(f"emg_{name}", 0.0, 1.0, 0.02) for name in self.world.muscles]
        return tuple(Channel(name, low, high, self.sensing.noise * noise) for name, low, high, noise in rows)

    # A control period ----------------------------------------------------------------------------------------

    def plan(
        self,
        xp: Any,
        uniform: Float[Any, "draw"],
        disturbance: Disturbance,
        recorded: Float[Any, "period muscle"] | None = None,
    ) -> Plan:
        return Plan(self.reference.plan(xp, uniform), disturbance, recorded)

    def initial(self, xp: Any, plan: Plan) -> tuple[Any, Any, Any, Any]:
        """The leg at the start of the motion and at its speed, the exoskeleton on it without strain."""
        goal = self._goal(xp, plan, 0, np.zeros(1))
        position, velocity = self.coupling.aligned(xp, goal.position[0], goal.velocity[0])
        activation = self._activation
        if plan.recorded is not None and isinstance(self.human.intent, Replay):
            activation = self.human.strength * plan.recorded[0]
        return position, velocity, xp.minimum(xp.asarray(activation), 1.0), xp.zeros(1)

    def begin(self, xp: Any, plan: Plan, kinetics: Kinetics) -> Memory:
        now, goal = (Goal(*(x[0] for x in self._goal(xp, plan, step, np.zeros(1)))) for step in (0, 1))
        sight = Sight(0, now, kinetics, not_yet, xp.zeros(self._muscles), plan.recorded)
        human = self.human.begin(sight, self.period)
        sensors = self.sensing.begin(xp, len(self.observations), self.period)
        return Memory(
            0,
            human,
            self.commands.begin(xp),
            xp.zeros(len(CUFFS)),
            sensors,
            self.coupling.loads(kinetics),
            goal,
        )

    def drive(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        dynamics: Callable[[], Dynamics],
        action: Float[Any, "action"],
    ) -> tuple[Drive, Memory]:
        wrong, time = plan.disturbance, memory.step * self.period
        on = wrong.active(time)
        goal = memory.goal
        wanted = 0.5 * (action[-self._muscles :] + 1.0) if len(self.actions) > 1 else xp.zeros(self._muscles)
        ground = xp.take(xp.asarray(self._ground), xp.minimum(memory.step, len(self._ground) - 1))
        ground = ground * self._about_knee

        def known() -> Dynamics:  # who walks expects the ground
            own = dynamics()
            return own._replace(bias=own.bias - ground)

        sight = Sight(memory.step, goal, kinetics, known, wanted, plan.recorded)
        excitation, human = self.human.excite(
            memory.human, sight, self.period, on * wrong.tremor, wrong.tremor_frequency, self._antagonists
        )

        share = action[:1] if self._robot else xp.zeros(1)
        share, commands = self.commands.pass_on(xp, memory.commands, share, on * wrong.delay)
        torque = share * self.exoskeleton.torque_limit * (1.0 - on * wrong.stall)

        slipped = self.coupling.slip(kinetics, memory.loads, memory.slipped, 1.0 - on * wrong.slip)
        applied = self._lead.force(goal, kinetics, self.period) + slipped @ self._hold + ground
        lever = kinetics.point[-2, 0] - kinetics.point[-1, 0]  # from knee to ankle, forwards: flexion is backwards
        applied = applied + on * wrong.payload * GRAVITY * lever * self._about_knee
        return (
            Drive(excitation, torque, applied),
            Memory(memory.step + 1, human, commands, slipped, memory.sensors, memory.loads, goal),
        )

    def observe(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        action: Float[Any, "action"],
        noise: Float[Any, "observation"] | float,
    ) -> tuple[Outcome, Memory]:
        q, v, exo = kinetics.position, kinetics.velocity, self._exo_knee
        loads = self.coupling.loads(kinetics)
        force = xp.sqrt(xp.einsum("ij,ij->i", loads.force, loads.force))
        strap = xp.max(loads.tension, axis=1)
        time = memory.step * self.period
        goals = self._goal(xp, plan, memory.step, self._ahead)
        ahead = goals.position[:-1, KNEE]
        on = plan.disturbance.active(time)
        excitation, activation = memory.human.excitation, kinetics.activation
        observation = xp.concatenate([
            xp.array([q[exo], v[exo], q[KNEE], v[KNEE], q[0], q[2]]),
            ahead,
            kinetics.motor,
            xp.array([force[0], strap[0], loads.displacement[0], force[1], strap[1], loads.displacement[1]]),
            excitation * (1.0 - on * plan.disturbance.emg_dropout),
        ])  # fmt: skip
        observation, sensors = self.sensing.delayed(xp, memory.sensors, observation, memory.step)
        observation = observation + noise

        error = abs(q[KNEE] - ahead[0])
        human, robot = kinetics.actuation[KNEE], kinetics.motor[0]
        effort = activation @ activation
        tracking = -((error / TRACKING_SCALE) ** 2)
        cost = -EFFORT_WEIGHT * (action[0] ** 2 if self._robot else effort)
        measures: dict[str, Any] = {
            "time": time,
            "knee_angle": q[KNEE],
            "reference": ahead[0],
            "tracking_error": error,
            "human_torque": human,
            "robot_torque": robot,
            "robot_share": abs(robot) / (abs(robot) + abs(human) + 1e-9),
            "interaction_torque": loads.moment,
            "effort": effort,
            "metabolic_power": metabolic_power(self.metabolics, excitation, kinetics) @ self._everyone,
            "slip": xp.max(abs(memory.slipped)),
            "force_limit_violation": 1.0 * xp.any(force > self._limits),
            "joint_limit_violation": self.world.beyond_limits(kinetics.tendon_length),
            "activation": activation,
            "reward_tracking": tracking,
            "reward_effort": cost,
        }
        for i, cuff in enumerate(CUFFS):
            measures[f"{cuff}_force"], measures[f"{cuff}_strap"] = force[i], strap[i]
            measures[f"{cuff}_displacement"] = loads.displacement[i]
        goal = Goal(goals.position[-1], goals.velocity[-1], goals.acceleration[-1])
        memory = Memory(memory.step, memory.human, memory.commands, memory.slipped, sensors, loads, goal)
        return Outcome(observation, tracking + cost, False, measures), memory

    def _goal(self, xp: Any, plan: Plan, step: Any, ahead: Float[np.ndarray, "time"]) -> Goal:
        return self.reference.at(xp, plan.motion, step * self.period + ahead)
