"""The task of `mjx_msm/ArmCoTransport-v0`: an arm and a robot carry a beam along a path, over an obstacle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import one_of
from mjx_msm.envs.engines.kinetics import Drive, Dynamics, Kinetics
from mjx_msm.envs.engines.world import GRAVITY
from mjx_msm.envs.human.arm import JOINTS as ARM_JOINTS
from mjx_msm.envs.human.arm import SAGITTAL, ArmKinematics, check_arm
from mjx_msm.envs.human.drive import Human, HumanMemory, as_human
from mjx_msm.envs.human.effort import METABOLIC_MODELS, metabolic_power
from mjx_msm.envs.human.intent import Intent, Policy, Sight, Tracking, not_yet
from mjx_msm.envs.human.people import People, find_people
from mjx_msm.envs.motions.goal import Goal
from mjx_msm.envs.motions.transport_path import TransportPath
from mjx_msm.envs.robots.cobot import JOINTS as COBOT_JOINTS
from mjx_msm.envs.robots.cobot import PREFIX as COBOT
from mjx_msm.envs.robots.cobot import Cobot, PositionDrive, TorqueDrive
from mjx_msm.envs.robots.cobot_controllers import Admittance, AdmittanceState, Sensed
from mjx_msm.envs.robots.cobot_kinematics import CobotKinematics
from mjx_msm.envs.robots.sensing import Commands, Sensing
from mjx_msm.envs.tasks.disturbance import TREMOR, Disturbance
from mjx_msm.envs.tasks.task import ACTION_MODES, CONTROL_RATE, Channel, Outcome, Task
from mjx_msm.envs.worlds.beam_at_rest import assemble
from mjx_msm.envs.worlds.beam_scene import beam_scene
from mjx_msm.envs.worlds.beam_way import BeamWay
from mjx_msm.envs.worlds.handles import Handles
from mjx_msm.envs.worlds.transport import BEAM, BEAM_JOINTS, Transport

PACE = (0.8, 1.2)
"""Range that an episode's speed along the path is drawn from, as a factor."""
REST = 0.5
"""How long an episode goes on at the goal [s]."""
SET_POINT_REACH = 0.05
"""How far an action moves the admittance's set-point off the path [m]."""
HAND_FORCE_LIMIT = 140.0
"""Quasi-static limit of ISO/TS 15066 for the hand [N]."""
PATH_SCALE, TILT_SCALE = 0.05, 0.15
"""Distance of the beam from its path [m] and tilt [rad] beyond which their cost grows more slowly."""
HUMAN_WEIGHT, ROBOT_WEIGHT, CONTACT_COST = 0.1, 0.05, 1.0
LOST_COST = 16.0
"""Of every period without the beam: more than any with it, so that it never pays to let go. A beam that is 2 m off its
path and upside down costs ln(1 + 40²) + ln(1 + 21²) + 0.6 + 0.15 + 1 = 15.2."""
MAX_ANGLE, MAX_SPEED, MAX_PLACE, MAX_FORCE = np.pi, 30.0, 3.0, 1000.0


class Plan(NamedTuple):
    """What varies between episodes."""

    pace: Any
    """Speed along the path, over the path's own [-]."""
    disturbance: Disturbance
    recorded: Float[Any, "period muscle"] | None
    """Excitation recorded of this person, where it is not the nominal one's."""


class Memory(NamedTuple):
    """What is remembered within one."""

    step: Any
    human: HumanMemory
    commands: Any
    sensors: Any
    admittance: AdmittanceState
    sensed: Sensed
    """What the robot knows of itself and its handle: as late and noisy as what is observed."""
    control: Float[Any, "3"]
    """What the drives were last told [rad, or N·m]."""
    velocity: Float[Any, "3"]
    """Of the beam at the last period's end [m/s, rad/s]."""
    acceleration: Float[Any, "2"]
    """Of the beam's middle during the last period, on average [m/s²]."""


class ArmCoTransport(Task):
    """A person's arm and a robot arm carry a beam together along a path, over an obstacle.

    **Mechanics.** The subject's arm with its muscles, a robot with three actuated joints, and a beam that both grip
    through compliant handles; beam and obstacle can touch (`mjx_msm.envs.cotransport_world`). 1 kHz in C MuJoCo.

    **Action**, 50 a second, every entry −1..1. With `robot` ``"admittance"`` (x, z): by how much, of 5 cm, the
    set-point of the robot's admittance controller is moved off the path; zero is the controller alone. With
    ``"torque"``, three: torque of every joint as part of its limit, on top of what bears the robot's own weight.
    `action_mode` ``"human"``: excitation of every muscle instead, −1 none and 1 full; ``"both"``: robot first.

    **Observation** (float32; `observation_names`): what a cobot senses: angle, velocity and torque of its joints, force
    of its handle (x, z), distance of its tool from the path, and the path's velocity and acceleration; with `emg` or
    where the human is acted for, EMG (excitation); in the latter case also the arm's angles and velocities and
    the hand's distance from its path. SI units.

    **Reward**: −ln(1 + (e/5 cm)²) − ln(1 + (tilt/0.15 rad)²) − 0.1·Σa² − 0.05·|robot's action|² − 1 while beam and
    obstacle touch, e the distance of the beam's middle from the path. Losing a grip costs 16 for this period and every
    one that was to come, which is more than any of them could; so does a state that is not finite.

    **Episode.** Terminates when a grip is lost or the state is not finite; truncated half a second after the slowest
    path has ended. The pace is drawn at every reset, 0.8 to 1.2 of the path's.

    **Info**, of every step: `path_error` [m], `tilt` [rad], `jerk` (of the beam's middle, between control periods)
    [m/s³]; `hand_force`, `tool_force`, `contact_force` (the greatest since the last step) [N]; `robot_share` (of
    the beam's weight, 0..1); `human_torque`, `robot_torque` (norm over joints) [N·m]; `effort` (Σa²),
    `metabolic_power` [W]; `force_limit_violation` (1: the hand's force is beyond ISO/TS 15066's quasi-static
    limit), `torque_limit_violation`, `joint_limit_violation`, `grip_lost`; `activation` (muscle,); the terms of the
    reward, `reward_path`, `reward_tilt`, `reward_effort`, `reward_robot`, `reward_contact`, `reward_lost`; `time`
    [s]. At an episode's end, `summary`: peak, root mean square and integral of these.

    **Arguments:**

    - `subject`: a folder written by ``mjx-msm identify``, its ``identification.json``, an MJCF file exported from
      the arm model, or None for the generic arm.
    - `sample_posterior`: another person from the subject's posterior at every reset.
    - `robot`: how the robot is acted on.
    - `human`: the human half, see `mjx_msm.envs.human.drive`; by default a tracking controller with `strength` of
      what is needed. A mapping changes it: ``{"nerve_delay": 0.06, "reflex": True, "fatigue": True}``.
    - `action_mode`: who is acted for. `rate`: actions a second.
    - `transport`, `path`: numbers of beam, handles and obstacle, and of the path, to replace.
    - `sensing`: noise and delays, see `mjx_msm.envs.robots.sensing.Sensing`.
    - `emg`: whether the robot sees the person's EMG.
    - `metabolics`: ``"bhargava2004"``, ``"umberger2003"``, ``"umberger2010"`` or ``"uchida2016"``.
    - `render_mode`: None, ``"rgb_array"`` or ``"human"``, then `camera`, `width` and `height` say of what.
    """

    camera = "transport"

    summarised = (
        "path_error",
        "tilt",
        "jerk",
        "hand_force",
        "tool_force",
        "robot_share",
        "human_torque",
        "robot_torque",
        "effort",
        "metabolic_power",
        "contact_force",
        "grip_lost",
        "torque_limit_violation",
        "force_limit_violation",
        "joint_limit_violation",
    )

    def __init__(
        self,
        subject: str | Path | None = None,
        *,
        robot: str = "admittance",
        human: Human | Mapping[str, Any] | None = None,
        strength: float = 1.0,
        action_mode: str = "robot",
        rate: int = CONTROL_RATE,
        transport: Mapping[str, float] | Transport | None = None,
        path: Mapping[str, float] | TransportPath | None = None,
        sensing: Mapping[str, float] | Sensing | None = None,
        emg: bool = False,
        metabolics: str = "bhargava2004",
    ):
        one_of("robot", robot, ("admittance", "torque"))
        one_of("action_mode", action_mode, ACTION_MODES)
        self._act_at(rate)
        self.people: People = find_people(subject, "arm", check_arm)
        self.transport, self.sensing = Transport.of(transport), Sensing.of(sensing)
        self.path = TransportPath.of(path)
        self.cobot = Cobot(drive=PositionDrive() if robot == "admittance" else TorqueDrive())
        self.world = beam_scene(self.people, self.cobot, self.transport, self.path)
        m = self.world.model
        self.arm, self.robot = ArmKinematics.of(m), CobotKinematics.of(m)
        self.metabolics = METABOLIC_MODELS[one_of("metabolics", metabolics, METABOLIC_MODELS)]
        self.commands = Commands(self.sensing.command_delay, len(COBOT_JOINTS), self.period)
        self.draws = 1
        self.length = round((self.path.duration / PACE[0] + REST) / self.period)
        self._torque, self._emg = robot == "torque", emg
        self._acts, self._muscles = action_mode != "human", len(self.world.muscles)
        self._policy = action_mode != "robot"
        self.disturbances = (*TREMOR, "stall", "delay", "payload")
        self.disturbances += ("emg_dropout",) if emg or self._policy else ()
        arrives = 1.0 if self._policy else strength  # a policy says itself how much it excites
        self.human = as_human(human, self._intent, self.world.muscles, arrives)
        self.baseline = Admittance(
            self.robot,
            self.cobot.drive if isinstance(self.cobot.drive, PositionDrive) else PositionDrive(),
            self.transport.borne("tool"),
        )
        robot_actions = COBOT_JOINTS if self._torque else ("x", "z")
        self._robot_actions = len(robot_actions)
        kind = "torque" if self._torque else "set_point"
        self.actions = tuple(Channel(f"{kind}_{n}", -1.0, 1.0) for n in robot_actions) if self._acts else ()
        if self._policy:
            self.actions += tuple(Channel(f"excitation_{name}", -1.0, 1.0) for name in self.world.muscles)
        self.observations = self._channels()

        # The path in time, and the places of hand and tool that belong to it: as far from where they start.
        self._start = start = assemble(m, self.path.at(np.zeros(())).position)
        self._way = BeamWay.of(self.path, self.arm, start[:2], self.transport.borne("hand"), self.period)
        self._cobot = self.world.among([f"{COBOT}{name}" for name in COBOT_JOINTS])
        self._beam = self.world.among([f"{BEAM}{name}" for name in BEAM_JOINTS])
        self._tool = self.robot.tool(start[self._cobot])[:2]
        self._handles = Handles.of(self.world)
        self._limit = np.array(self.cobot.torque_limit)
        self._everyone = np.ones(self._muscles)
        self._antagonists = self.world.antagonists(ARM_JOINTS[1])
        self._pull = np.zeros(len(self.world.coordinates))
        self._pull[self._beam[1]] = -GRAVITY

    def _intent(self, nerve_delay: float, tracking: bool) -> Intent:
        """What the person wants, unless it was given: the policy's, or to go with the beam."""
        return (
            Policy() if self._policy and not tracking else Tracking.of(self.world, ARM_JOINTS, self.period, nerve_delay)
        )

    def _channels(self) -> tuple[Channel, ...]:
        noise = self.sensing.noise
        rows = [(f"{name}_angle", MAX_ANGLE, 0.001) for name in COBOT_JOINTS]
        rows += [(f"{name}_velocity", MAX_SPEED, 0.01) for name in COBOT_JOINTS]
        rows += [
            (f"{name}_torque", limit, 0.5) for name, limit in zip(COBOT_JOINTS, self.cobot.torque_limit, strict=True)
        ]
        rows += [(f"handle_force_{axis}", MAX_FORCE, 1.0) for axis in "xz"]
        rows += [(f"tool_error_{axis}", MAX_PLACE, 0.0) for axis in "xz"]
        rows += [(f"goal_velocity_{axis}", MAX_PLACE, 0.0) for axis in "xz"]
        rows += [(f"goal_acceleration_{axis}", 100.0, 0.0) for axis in "xz"]
        if self._policy:
            rows += [(f"{name}_angle", MAX_ANGLE, 0.005) for name in ARM_JOINTS]
            rows += [(f"{name}_velocity", MAX_SPEED, 0.05) for name in ARM_JOINTS]
            rows += [(f"hand_error_{axis}", MAX_PLACE, 0.002) for axis in "xz"]
        channels = [Channel(name, -bound, bound, noise * sd) for name, bound, sd in rows]
        if self._emg or self._policy:
            channels += [Channel(f"emg_{name}", 0.0, 1.0, noise * 0.02) for name in self.world.muscles]
        return tuple(channels)

    # A control period ----------------------------------------------------------------------------------------

    def plan(
        self,
        xp: Any,
        uniform: Float[Any, "draw"],
        disturbance: Disturbance,
        recorded: Float[Any, "period muscle"] | None = None,
    ) -> Plan:
        return Plan(PACE[0] + (PACE[1] - PACE[0]) * uniform[0], disturbance, recorded)

    def initial(self, xp: Any, plan: Plan) -> tuple[Any, Any, Any, Any]:
        """At rest in the handles, the muscles ready, the robot holding its pose."""
        held = xp.asarray(self._start)
        motors = xp.zeros(3) if self._torque else held[self._cobot] + self._bearing(held[self._cobot])
        return held, xp.zeros(len(self._start)), xp.full(self._muscles, 0.02), motors

    def begin(self, xp: Any, plan: Plan, kinetics: Kinetics) -> Memory:
        still = xp.zeros(2)
        goal = Goal(xp.asarray(self._start[:2]), still, still)
        sight = Sight(0, goal, kinetics, not_yet, xp.zeros(self._muscles), plan.recorded)
        held = self.initial(xp, plan)[3]
        nothing = AdmittanceState(xp.zeros(2), xp.zeros(2))
        return Memory(
            0,
            self.human.begin(sight, self.period),
            self.commands.begin(xp, held),
            self.sensing.begin(xp, len(self.observations), self.period),
            nothing,
            self._sensed(kinetics),
            held,
            xp.zeros(3),
            xp.zeros(2),
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
        wrong, h = plan.disturbance, self.period
        on = wrong.active(memory.step * h)
        way = self._way.motion(xp, plan.pace, memory.step + 1)
        excitation, human = self._moved(xp, plan, memory, kinetics, dynamics, action)

        # The robot's own controllers know no more than it senses, and what they command is late like any command.
        sensed, admittance = memory.sensed, memory.admittance
        chosen = action[: self._robot_actions] if self._acts else xp.zeros(self._robot_actions)
        if self._torque:
            command = chosen * self._limit + self.robot.gravity_torque(sensed.position)
        else:
            goal = Goal(
                self._tool + way.position[:2] - self._way.beam.position[0, :2] + SET_POINT_REACH * chosen,
                way.velocity[:2],
                way.acceleration[:2],
            )
            admittance, command = self.baseline.step(memory.admittance, sensed, goal, h)
        command, commands = self.commands.pass_on(xp, memory.commands, command, on * wrong.delay)
        alive = 1.0 - on * wrong.stall
        control = alive * command if self._torque else alive * command + (1.0 - alive) * memory.control
        applied = on * wrong.payload * self._pull
        memory = memory._replace(
            step=memory.step + 1, human=human, commands=commands, admittance=admittance, control=control
        )
        return Drive(excitation, control, applied), memory

    def _moved(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        dynamics: Callable[[], Dynamics],
        action: Float[Any, "action"],
    ) -> tuple[Any, HumanMemory]:
        """What the person does: the hand goes with its end of the beam, and bears its share."""
        wrong = plan.disturbance
        goal, bearing = self._way.of_arm(xp, plan.pace, memory.step + 1)

        def loaded() -> Dynamics:
            own = dynamics()
            return own._replace(bias=own.bias + xp.concatenate([bearing, xp.zeros(own.bias.shape[0] - 2)]))

        wanted = 0.5 * (action[-self._muscles :] + 1.0) if self._policy else xp.zeros(self._muscles)
        sight = Sight(memory.step, goal, kinetics, loaded, wanted, plan.recorded)
        tremor = wrong.active(memory.step * self.period) * wrong.tremor
        return self.human.excite(memory.human, sight, self.period, tremor, wrong.tremor_frequency, self._antagonists)

    def observe(
        self,
        xp: Any,
        plan: Plan,
        memory: Memory,
        kinetics: Kinetics,
        action: Float[Any, "action"],
        noise: Float[Any, "observation"] | float,
    ) -> tuple[Outcome, Memory]:
        time, h = memory.step * self.period, self.period
        on = plan.disturbance.active(time)
        way = self._way.motion(xp, plan.pace, memory.step)
        moved = way.position[:2] - self._way.beam.position[0, :2]
        q, v = kinetics.position, kinetics.velocity
        hand_force, tool_force = self._handles.force(kinetics)
        robot, beam = q[self._cobot], q[self._beam]
        tool = self.robot.tool(robot)[:2]
        excitation, activation = memory.human.excitation, kinetics.activation
        parts = [robot, v[self._cobot], kinetics.motor, tool_force, self._tool + moved - tool]
        parts += [way.velocity[:2], way.acceleration[:2]]
        if self._policy:
            parts += [q[:2], v[:2], self._way.hand + moved - kinetics.point[0][SAGITTAL]]
        if self._emg or self._policy:
            parts += [excitation * (1.0 - on * plan.disturbance.emg_dropout)]
        observation, sensors = self.sensing.delayed(xp, memory.sensors, xp.concatenate(parts), memory.step)
        observation = observation + noise
        robot_sense = Sensed(observation[:3], observation[3:6], observation[9:11])

        miss = beam[:2] - way.position[:2]
        path_error, tilt = xp.sqrt(miss @ miss + 1e-12), beam[2]
        velocity = v[self._beam]
        acceleration = (velocity[:2] - memory.velocity[:2]) / h
        jerk = (acceleration - memory.acceleration) / h
        # Nothing came before the first two periods.
        jerk = xp.where(memory.step > 2, xp.sqrt(jerk @ jerk + 1e-12), 0.0)
        hand, grip = (xp.sqrt(f @ f + 1e-12) for f in (hand_force, tool_force))
        effort = activation @ activation
        torque = kinetics.actuation[:2]
        lost = self._handles.lost(kinetics)
        touching = 1.0 * (kinetics.contact > 0.0)
        command = action[: self._robot_actions] if self._acts else xp.zeros(1)
        rewards = {
            "reward_path": -xp.log1p((path_error / PATH_SCALE) ** 2),
            "reward_tilt": -xp.log1p((tilt / TILT_SCALE) ** 2),
            "reward_effort": -HUMAN_WEIGHT * effort,
            "reward_robot": -ROBOT_WEIGHT * (command @ command),
            "reward_contact": -CONTACT_COST * touching,
            "reward_lost": self.failure_reward(memory.step) * lost,
        }
        measures: dict[str, Any] = {
            "time": time,
            "path_error": path_error,
            "tilt": tilt,
            "jerk": jerk,
            "hand_force": hand,
            "tool_force": grip,
            "robot_share": xp.clip(-tool_force[1] / (-tool_force[1] - hand_force[1] + 1e-9), 0.0, 1.0),
            "human_torque": xp.sqrt(torque @ torque),
            "robot_torque": xp.sqrt(kinetics.motor @ kinetics.motor),
            # A drive's lag comes only so near to its limit.
            "torque_limit_violation": 1.0 * xp.any(abs(kinetics.motor) > 0.999 * self._limit),
            "contact_force": kinetics.contact,
            "force_limit_violation": 1.0 * (hand > HAND_FORCE_LIMIT),
            "joint_limit_violation": self.world.beyond_limits(kinetics.tendon_length),
            "grip_lost": 1.0 * lost,
            "effort": effort,
            "metabolic_power": metabolic_power(self.metabolics, excitation, kinetics) @ self._everyone,
            "activation": activation,
            **rewards,
        }
        memory = memory._replace(sensors=sensors, sensed=robot_sense, velocity=velocity, acceleration=acceleration)
        return Outcome(observation, sum(rewards.values()), lost, measures), memory

    def failure_reward(self, step: Any) -> Any:
        """The beam is lost for this period and all that were to come."""
        return -LOST_COST * (self.length - step + 1)

    def spots(self, plan: Plan, step: int) -> Float[np.ndarray, "spot 3"]:
        """Where the middle of the beam is to end."""
        x, z, _ = self._way.beam.position[-1]
        return np.array([[x, self.world.model.body("beam").pos[1], z]])

    # Parts -------------------------------------------------------------------------------------------------

    def _sensed(self, seen: Kinetics) -> Sensed:
        """What the robot's sensors measure now."""
        return Sensed(seen.position[self._cobot], seen.velocity[self._cobot], self._handles.force(seen)[1])

    def _bearing(self, q: Float[Any, "3"]) -> Float[Any, "3"]:
        """By how much position drives are to lead, so that their servos bear robot and beam [rad]."""
        drive = self.cobot.drive
        assert isinstance(drive, PositionDrive)
        push = np.array([0.0, self.transport.borne("tool") * GRAVITY])
        return (self.robot.gravity_torque(q) + push @ self.robot.jacobian(q)[:2]) / np.array(drive.stiffness)
