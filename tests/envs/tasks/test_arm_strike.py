"""A ball that is struck: its contact and its rolling against closed forms, derivatives through the contact, a score."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.envs import ARM_STRIKE, make_task
from mjx_msm.envs.controllers import controller
from mjx_msm.envs.environments import ArmStrikeEnv
from mjx_msm.envs.functional import make
from mjx_msm.envs.worlds.strike_scene import BALL_RADIUS, HAND_RADIUS, MASS, PLACE, SLOWING, STIFFNESS


def test_hand_and_ball_push_each_other_by_a_spring() -> None:
    """C MuJoCo's passive force: k times the penetration, along the rail on the ball; nothing while they are apart."""
    task = make_task(ARM_STRIKE)
    m, d, touch = task.world.model, mujoco.MjData(task.world.model), HAND_RADIUS + BALL_RADIUS
    for angles, touching in (((-0.5, 0.5), False), ((-0.15, 0.8), True)):
        d.qpos[:2], d.qpos[2] = angles, 0.02
        mujoco.mj_forward(m, d)
        apart = d.site("ball").xpos - d.site("hand").xpos
        length = np.linalg.norm(apart)
        assert (length < touch) == touching
        expected = STIFFNESS * max(touch - length, 0.0) * apart[0] / length
        assert d.qfrc_passive[2] == pytest.approx(expected, abs=1e-9)
        assert (expected > 10.0) == touching


def test_a_ball_rolls_to_where_it_is_said_to_stop() -> None:
    task = make_task(ARM_STRIKE)
    m, d = task.world.model, mujoco.MjData(task.world.model)
    d.qpos[:3], d.qvel[2] = (-0.5, 0.3, 0.0), 0.9
    for _ in range(8000):
        d.qpos[:2], d.qvel[:2] = (-0.5, 0.3), 0.0  # the arm stays behind
        mujoco.mj_step(m, d)
    assert d.qpos[2] == pytest.approx(0.9 / SLOWING, rel=2e-3)  # Euler's steps


def test_a_cushion_sends_the_ball_back() -> None:
    task = make_task(ARM_STRIKE)
    m, d = task.world.model, mujoco.MjData(task.world.model)
    d.qpos[:3], d.qvel[2] = (-0.5, 0.3, 0.1), -1.0
    least = 0.0
    for _ in range(1000):
        d.qpos[:2], d.qvel[:2] = (-0.5, 0.3), 0.0
        mujoco.mj_step(m, d)
        least = min(least, d.qpos[2])
    assert least > -1.0 * np.sqrt(MASS / STIFFNESS) - 1e-3
    assert d.qpos[2] > 0.05


@pytest.mark.slow
def test_striking_scores() -> None:
    """From observation alone: most balls stop within 5 cm of the target, and the measures say so."""
    env = ArmStrikeEnv()
    act, scored = controller("striking", env), []
    for seed in range(6):
        act.reset()
        observation, info = env.reset(seed=seed)
        assert info["scored"] == info["struck"] == 0.0
        truncated = False
        while not truncated:
            observation, _, _, truncated, info = env.step(act(observation))
        stops = info["ball"] + info["ball_speed"] / SLOWING
        assert info["miss"] == pytest.approx(abs(stops - info["target"]))
        assert info["scored"] == (info["miss"] < 0.05)
        assert env.task.spots(env._plan, 0)[0, 0] == pytest.approx(PLACE[0] + info["target"])
        scored.append(info["scored"])
    assert np.mean(scored) >= 0.8


@pytest.mark.slow
def test_derivatives_go_through_the_contact() -> None:
    """Where the ball will stop by one excitation that is held before the strike, against central differences."""
    with jax.enable_x64(True):
        twin = make(ARM_STRIKE)
        triceps = twin.task.world.muscles.index("TRIlong")

        @jax.jit
        def stops(level):
            action = jnp.full(6, -1.0).at[triceps].set(level)
            state = twin.reset(jax.random.key(0), twin.person, draws=jnp.array([0.5, 0.5, 0.5]))

            def step(state, _):
                return twin.step(state, action), None

            end = jax.lax.scan(step, state, None, length=20)[0]
            return end.measures["ball"] + end.measures["ball_speed"] / SLOWING, end.measures["struck"]

        (value, struck), (slope, _) = jax.jvp(stops, (-0.95,), (1.0,))
        h = 1e-4  # actions are cut to bounds in single precision
        expected = float(stops(-0.95 + h)[0] - stops(-0.95 - h)[0]) / (2 * h)
    assert struck == 1.0
    assert value > 0.1
    assert abs(expected) > 0.05
    assert float(slope) == pytest.approx(expected, rel=2e-3)
