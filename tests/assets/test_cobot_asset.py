"""The cobot as a mechanism: its numbers against the arm it is modelled on, its kinematics against C MuJoCo."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.envs.robots.cobot import JOINTS, LINKS, Cobot, PositionDrive, TorqueDrive
from mjx_msm.envs.robots.cobot_kinematics import TOOL_ANGLE, CobotKinematics


def built(cobot: Cobot | None = None) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_file(str(assets.path("cobot")))  # for its options
    for body in spec.worldbody.bodies:
        spec.delete(body)
    for tendon in list(spec.tendons):
        spec.delete(tendon)
    (cobot or Cobot()).attach(spec, y=-0.2)
    return spec.compile()


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return built()


@pytest.fixture(scope="module")
def robot(model: mujoco.MjModel) -> CobotKinematics:
    return CobotKinematics.of(model)


def poses(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((-1.5, 0.2, -1.5), (1.5, 2.6, 2.0), (count, 3))


# The mechanism ---------------------------------------------------------------------------------------------


def test_needs_no_solver_and_touches_nothing(model: mujoco.MjModel) -> None:
    assert (model.neq, model.npair, model.njnt, model.nu, model.na) == (0, 0, 3, 3, 3)
    assert not model.geom_contype.any()
    assert not model.geom_conaffinity.any()
    assert not model.jnt_limited.any()
    assert not model.tendon_limited.any()
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_EULER
    assert [model.joint(j).name for j in range(3)] == [f"cobot_{joint}" for joint in JOINTS]
    np.testing.assert_allclose(model.jnt_axis, np.tile((0, -1, 0), (3, 1)), atol=1e-12)


def test_links_are_those_of_the_arm_it_is_modelled_on(model: mujoco.MjModel, robot: CobotKinematics) -> None:
    """Universal Robots' published UR5e: a2, a3, d5 + d6 [m]; mass and centre of upper arm and forearm [kg, m]."""
    np.testing.assert_allclose(robot.length, (0.425, 0.3922, 0.0997 + 0.0996), atol=2e-3)
    np.testing.assert_allclose(robot.mass[:2], (8.058, 2.846), rtol=5e-3)
    np.testing.assert_allclose(robot.com[:2], (0.2125, 0.150), atol=3e-3)
    for link in LINKS:
        inertia = model.body(f"cobot_{link}").inertia
        assert (inertia > 0).all()
        assert 2 * inertia.max() <= inertia.sum()  # a body of this kind exists


def test_stops_hold_against_full_torque() -> None:
    m = built()
    for sign in (-1.0, 1.0):
        for j in range(3):
            d = mujoco.MjData(m)
            d.qpos[:] = (0.0, 1.4, 0.3)
            hold = d.qpos.copy()
            low, high = m.tendon_lengthspring[j]
            for _ in range(3000):
                # the others are held by a PD
                d.ctrl[:] = np.array((800, 400, 30)) * (hold - d.qpos) - np.array((60, 30, 3)) * d.qvel
                d.ctrl[j] = sign * m.actuator_ctrlrange[j, 1]
                mujoco.mj_step(m, d)
                assert low - 0.4 < d.qpos[j] < high + 0.4
            assert np.abs(d.qvel).max() < 0.05


# Drives ----------------------------------------------------------------------------------------------------


def test_torque_drive_has_its_bandwidth_and_limit() -> None:
    m = built(Cobot(drive=TorqueDrive(bandwidth=20.0), torque_limit=(100.0, 50.0, 10.0)))
    d = mujoco.MjData(m)
    d.ctrl[:] = 500.0
    steps = round(1 / (2 * np.pi * 20.0) / m.opt.timestep)  # one time constant
    for _ in range(steps):
        mujoco.mj_step(m, d)
    expected = 1 - np.exp(-steps * m.opt.timestep * 2 * np.pi * 20.0)
    np.testing.assert_allclose(d.act / (100.0, 50.0, 10.0), expected, rtol=1e-9)
    for _ in range(200):
        mujoco.mj_step(m, d)
    np.testing.assert_allclose(d.actuator_force, (100.0, 50.0, 10.0), rtol=1e-6)


def test_position_drive_follows_with_its_lag_and_sags_as_a_spring_does() -> None:
    drive = PositionDrive()
    m = built(Cobot(drive=drive))
    robot, d = CobotKinematics.of(m), mujoco.MjData(m)
    start, speed = np.array((0.4, 1.3, 1.2)), np.array((0.1, -0.1, 0.05))
    d.qpos[:] = d.act[:] = d.ctrl[:] = start
    for _ in range(1500):
        mujoco.mj_step(m, d)
    sag = d.qpos - start
    np.testing.assert_allclose(sag, -robot.gravity_torque(d.qpos) / drive.stiffness, rtol=1e-3, atol=1e-6)
    for k in range(2000):
        d.ctrl[:] = start + speed * k * m.opt.timestep
        mujoco.mj_step(m, d)
    friction = m.dof_damping * speed
    behind = d.ctrl - d.qpos - (robot.gravity_torque(d.qpos) + friction) / drive.stiffness
    np.testing.assert_allclose(behind, drive.lag * speed, atol=3e-4)
    assert np.abs(behind).min() > 2e-3


def test_a_position_drive_gives_no_more_than_its_torque() -> None:
    m = built(Cobot(drive=PositionDrive(), torque_limit=(40.0, 30.0, 5.0)))
    d = mujoco.MjData(m)
    d.ctrl[:] = (-1.0, 2.0, -1.0)
    worst = np.zeros(3)
    for _ in range(300):
        mujoco.mj_step(m, d)
        worst = np.maximum(worst, np.abs(d.actuator_force))
    np.testing.assert_allclose(worst, (40.0, 30.0, 5.0))


def test_numbers_are_checked() -> None:
    with pytest.raises(InputError, match="bandwidth = 0"):
        TorqueDrive(bandwidth=0)
    with pytest.raises(InputError, match="stiffness"):
        PositionDrive(stiffness=(1.0, 2.0))  # pyright: ignore
    with pytest.raises(InputError, match="torque_limit"):
        Cobot(torque_limit=(150.0, -1.0, 28.0))
    with pytest.raises(InputError, match="TorqueDrive or a PositionDrive"):
        Cobot(drive="torque")  # pyright: ignore


# Kinematics ------------------------------------------------------------------------------------------------


def test_tool_jacobian_and_weight_are_those_of_c(model: mujoco.MjModel, robot: CobotKinematics) -> None:
    d, site = mujoco.MjData(model), model.site("cobot_tool").id
    jacp, jacr = np.zeros((3, 3)), np.zeros((3, 3))
    for q in poses(20):
        d.qpos[:] = q
        mujoco.mj_forward(model, d)
        mujoco.mj_jacSite(model, d, jacp, jacr, site)
        np.testing.assert_allclose(robot.tool(q)[:2], d.site_xpos[site][[0, 2]], atol=1e-12)
        np.testing.assert_allclose(robot.tool(q)[2], q.sum())
        np.testing.assert_allclose(robot.jacobian(q), [jacp[0], jacp[2], -jacr[1]], atol=1e-12)
        np.testing.assert_allclose(robot.gravity_torque(q), d.qfrc_bias, atol=1e-9)


def test_inverse_inverts(robot: CobotKinematics) -> None:
    q = poses(200, seed=1)
    np.testing.assert_allclose(robot.inverse(robot.tool(q)), q, atol=1e-6)  # arccos near a straight elbow
    far = robot.inverse(np.array((-3.0, 1.1, TOOL_ANGLE)))
    assert np.isfinite(far).all()
    assert far[1] == pytest.approx(0.0, abs=1e-6)  # stretched towards it
    assert robot.tool(far)[0] < robot.base[0] - 0.6


def test_jax_agrees(robot: CobotKinematics) -> None:
    q = poses(10, seed=2)
    with jax.enable_x64(True):
        for function in (robot.tool, robot.jacobian, robot.gravity_torque):
            np.testing.assert_allclose(jax.jit(function)(jnp.asarray(q)), function(q), atol=1e-12)
        pose = robot.tool(q)
        np.testing.assert_allclose(jax.jit(robot.inverse)(jnp.asarray(pose)), robot.inverse(pose), atol=1e-9)
        derivative = jax.vmap(jax.jacfwd(robot.tool))(jnp.asarray(q))
        np.testing.assert_allclose(derivative, robot.jacobian(q), atol=1e-12)
