"""The baselines at work in C MuJoCo, a stand-in for the person at the other end of the beam."""

from collections import deque

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.envs.motions.transport_path import TransportPath, point_of_beam
from mjx_msm.envs.robots.cobot import Cobot, PositionDrive, TorqueDrive
from mjx_msm.envs.robots.cobot_controllers import Admittance, AdmittanceState, Impedance, Sensed
from mjx_msm.envs.robots.cobot_kinematics import TOOL_ANGLE, CobotKinematics
from mjx_msm.envs.worlds.beam_at_rest import assemble
from mjx_msm.envs.worlds.beam_scene import couple
from mjx_msm.envs.worlds.handles import Handle, contact_force
from mjx_msm.envs.worlds.transport import HANDLES, Transport

GRAVITY = 9.80665
RATE = 50  # commands a second
DRIVES = (TorqueDrive(), PositionDrive())


class Carrying:
    """Person and robot carry a beam; what is recorded of every step lies in arrays after `run`.

    The person is a spring and a damper in shoulder and elbow towards where the path wants them, with the moment that
    bears arm and beam, in place of the muscles.
    """

    def __init__(self, drive: TorqueDrive | PositionDrive, transport: Transport, path: TransportPath, late: int = 0):
        """**Arguments:** `late`: how many commands ago the robot's sensors saw what they tell."""
        self.path, self.transport = path, transport
        self.seen: deque[Sensed] = deque(maxlen=late + 1)
        spec = couple(mujoco.MjSpec.from_file(str(assets.path("arm"))), Cobot(drive=drive), transport)
        for muscle in spec.actuators[:6]:
            muscle.gainprm[2] = muscle.biasprm[2] = 1e-9
        m = self.m = spec.compile()
        d = self.d = mujoco.MjData(m)
        self.handles = {name: Handle.of(m, name) for name in HANDLES}
        robot, load = CobotKinematics.of(m), transport.borne("tool")
        self.controller = Impedance(robot, load) if isinstance(drive, TorqueDrive) else Admittance(robot, drive, load)
        knots = np.linspace(0, path.duration, 31)
        angles = [assemble(m, pose)[:2] for pose in path.at(knots).position]
        self.person = lambda t: np.array([np.interp(t, knots, column) for column in np.transpose(angles)])
        d.qpos[:] = assemble(m, path.at(np.float64(0.0)).position)
        mujoco.mj_forward(m, d)
        self.state = self.controller.start(self.goal(0.0)) if isinstance(self.controller, Admittance) else None

    def goal(self, time: float):
        return point_of_beam(self.path.at(np.float64(time)), self.transport.offset("tool"))

    def force(self, name: str) -> np.ndarray:
        return self.handles[name].force(self.d.site_xpos, self.d.ten_length, self.d.ten_velocity)[[0, 2]]

    def command(self, time: float) -> np.ndarray:
        d = self.d
        self.seen.append(Sensed(d.qpos[2:5].copy(), d.qvel[2:5].copy(), self.force("tool")))
        sensed = self.seen[0]
        if isinstance(self.controller, Impedance):
            return self.controller.torque(sensed, self.goal(time))
        assert self.state is not None
        self.state, angles = self.controller.step(self.state, sensed, self.goal(time), 1 / RATE)
        return angles

    def run(self, seconds: float, push: float = 0.0) -> "Carrying":
        """**Arguments:** `push`: on the beam, forwards [N]."""
        m, d = self.m, self.d
        steps, jacobian, hand = round(seconds / m.opt.timestep), np.zeros((3, m.nv)), self.handles["hand"].hub
        beam, hands, tools, contacts, count, depth = [], [], [], [], [], []
        for k in range(steps):
            time = k * m.opt.timestep
            if k % round(1 / RATE / m.opt.timestep) == 0:
                mujoco.mj_fwdPosition(m, d)
                mujoco.mj_fwdVelocity(m, d)
                d.ctrl[6:] = self.command(time)
                if k == 0:
                    d.act[6:] = d.ctrl[6:]
            mujoco.mj_jacSite(m, d, jacobian, None, hand)
            bearing = d.qfrc_bias[:2] + jacobian[2, :2] * self.transport.borne("hand") * GRAVITY
            speed = (self.person(time + 0.01) - self.person(time)) / 0.01
            d.qfrc_applied[:2] = (60, 40) * (self.person(time) - d.qpos[:2]) + (4, 2.5) * (speed - d.qvel[:2]) + bearing
            d.qfrc_applied[5] = push
            mujoco.mj_step(m, d)
            beam.append(d.qpos[5:].copy())
            hands.append(self.force("hand"))
            tools.append(self.force("tool"))
            contacts.append(contact_force(m, d)[[0, 2]])
            count.append(d.ncon)
            depth.append(-d.contact[0].dist if d.ncon else 0.0)
        time = (1 + np.arange(steps)) * m.opt.timestep
        self.error = np.array(beam) - self.path.at(time).position
        self.hand, self.tool, self.contact = np.array(hands), np.array(tools), np.array(contacts)
        self.touching, self.depth = np.array(count), np.array(depth)
        return self


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize("drive", DRIVES, ids=("impedance", "admittance"))
def test_the_beam_goes_over_the_obstacle(drive: TorqueDrive | PositionDrive, late: int) -> None:
    carrying = Carrying(drive, Transport(), TransportPath(), late).run(3.4)
    assert not carrying.touching.any()
    assert np.abs(carrying.error[:, :2]).max() < 0.006  # m
    assert np.abs(carrying.error[:, 2]).max() < np.radians(1)
    assert np.abs(carrying.error[-1, :2]).max() < 0.001
    share = np.array((0.0, Transport().borne("hand") * GRAVITY))
    assert np.abs(carrying.hand + share).max() < 5.0  # N beyond what the person bears at rest
    limit = carrying.m.actuator_forcerange[6:, 1]
    assert (np.abs(carrying.d.actuator_force[6:]) < 0.5 * limit).all()


@pytest.mark.parametrize("drive", DRIVES, ids=("impedance", "admittance"))
def test_without_the_lift_the_beam_meets_the_bar(drive: TorqueDrive | PositionDrive) -> None:
    """Its round end slips under the bar, which holds it down: no tunnelling, and forces balance at the end."""
    flat = TransportPath(lift=0.0, lower=0.0, start_z=0.885)
    carrying = Carrying(drive, Transport(), flat).run(3.4)
    assert carrying.touching.max() == 1
    assert carrying.depth.max() < 0.002  # m
    assert -150 < carrying.contact[:, 0].min() < -20  # first the bar pushes it back,
    assert carrying.error[-1, 1] < -0.01  # then down
    assert carrying.contact[-1, 1] < -5
    total = carrying.contact[-1] - carrying.hand[-1] - carrying.tool[-1]
    np.testing.assert_allclose(total, (0.0, 3.0 * GRAVITY), atol=1.0)


@pytest.mark.parametrize("drive", DRIVES, ids=("impedance", "admittance"))
def test_the_robot_gives_way_as_its_stiffness_says(drive: TorqueDrive | PositionDrive) -> None:
    still = TransportPath(lift=0.0, carry=0.0, lower=0.0, start_z=1.0)
    carrying = Carrying(drive, Transport(), still).run(3.0, push=15.0)
    controller, d = carrying.controller, carrying.d
    excess = carrying.tool[-1] + (0.0, controller.load * GRAVITY)
    assert excess[0] > 2.0
    moved = controller.robot.tool(d.qpos[2:5])[:2] - carrying.goal(0.0).position
    np.testing.assert_allclose(moved, excess / controller.stiffness, atol=1.5e-3)
    assert np.abs(d.qvel).max() < 0.01


def test_impedance_is_a_spring_and_a_damper_at_the_tool() -> None:
    m = couple(mujoco.MjSpec.from_file(str(assets.path("arm")))).compile()
    robot = CobotKinematics.of(m)
    controller = Impedance(robot, load=2.0, stiffness=700.0, damping=90.0)
    goal = point_of_beam(TransportPath().at(np.float64(1.0)), Transport().offset("tool"))
    pose = np.array((*goal.position, TOOL_ANGLE)) + np.array((0.01, -0.02, -0.1))
    q, velocity = robot.inverse(pose), np.array((0.2, -0.1, 0.3))
    torque = controller.torque(Sensed(q, velocity, np.zeros(2)), goal)
    jacobian = robot.jacobian(q)
    wrench = np.linalg.solve(jacobian.T, torque - robot.gravity_torque(q))
    rate, up = jacobian @ velocity, np.array((0.0, GRAVITY))
    expected = 700 * np.array((-0.01, 0.02)) + 90 * (goal.velocity - rate[:2]) + 2.0 * (goal.acceleration + up)
    np.testing.assert_allclose(wrench[:2], expected, rtol=1e-9)
    assert wrench[2] == pytest.approx(30 * 0.1 - 3 * rate[2])


def test_admittance_is_a_mass_and_a_damper_off_the_path() -> None:
    """Against the closed form: under a step of force the rate is f/D (1 − exp(−D t/M)) where no spring pulls back."""
    m = couple(mujoco.MjSpec.from_file(str(assets.path("arm")))).compile()
    controller = Admittance(CobotKinematics.of(m), PositionDrive(), load=0.0, mass=5.0, damping=50.0, stiffness=0.0)
    goal = point_of_beam(TransportPath().at(np.float64(0.0)), (0.2, 0.085))
    state, interval = controller.start(goal), 1e-4
    sensed = Sensed(np.array((0.8, 1.3, 1.0)), np.zeros(3), np.array((10.0, -5.0)))
    for _ in range(1000):
        state, _ = controller.step(state, sensed, goal, interval)
    np.testing.assert_allclose(state.rate, np.array((10.0, -5.0)) / 50 * (1 - np.exp(-0.1 * 50 / 5)), rtol=1e-3)


def test_jax_agrees_lane_by_lane() -> None:
    m = couple(mujoco.MjSpec.from_file(str(assets.path("arm")))).compile()
    robot, rng = CobotKinematics.of(m), np.random.default_rng(0)
    goal = point_of_beam(TransportPath().at(np.linspace(0, 3, 5)), Transport().offset("tool"))
    sensed = Sensed(
        rng.uniform((0.3, 1.0, 0.5), (0.9, 2.0, 1.5), (5, 3)), rng.normal(0, 0.3, (5, 3)), rng.normal(0, 10, (5, 2))
    )
    impedance, admittance = Impedance(robot, 2.0), Admittance(robot, PositionDrive(), 2.0)
    state = AdmittanceState(rng.normal(0, 0.01, (5, 2)), rng.normal(0, 0.1, (5, 2)))
    with jax.enable_x64(True):
        on_device = jax.tree.map(jnp.asarray, (state, sensed, goal))
        torque = jax.jit(jax.vmap(impedance.torque))(*on_device[1:])
        np.testing.assert_allclose(torque, impedance.torque(sensed, goal), rtol=1e-10)
        stepped = jax.jit(jax.vmap(lambda *x: admittance.step(*x, 0.02)))(*on_device)
        for ours, theirs in zip(
            jax.tree.leaves(stepped), jax.tree.leaves(admittance.step(state, sensed, goal, 0.02)), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_numbers_are_checked() -> None:
    m = couple(mujoco.MjSpec.from_file(str(assets.path("arm")))).compile()
    robot = CobotKinematics.of(m)
    with pytest.raises(InputError, match="Impedance stiffness = -1"):
        Impedance(robot, 2.0, stiffness=-1.0)
    with pytest.raises(InputError, match="Admittance mass = 0"):
        Admittance(robot, PositionDrive(), 2.0, mass=0.0)
