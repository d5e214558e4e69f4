"""Help that looks ahead comes when the muscles pull, and what a copy of it knows is what it knew."""

import pickle

import gymnasium
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.envs import KNEE_EXO
from mjx_msm.envs.controllers.knee_prediction import Predictive, lateness

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def env():
    return gymnasium.make(KNEE_EXO, task="swing", sensing={"delay": 0.02, "command_delay": 0.04}).unwrapped


@pytest.fixture(scope="module")
def act(env):
    return Predictive(env.task)


def played(env, act, steps):
    """What muscles pull more than at rest, and what the motor gives besides its own weight [N·m]."""
    own = env.task.world.coordinate("exo_knee")
    act.reset()
    observation, _ = env.reset(seed=1)
    found = []
    for _ in range(steps):
        action = act(observation)
        assert action in env.action_space
        observation, *_, info = env.step(action)
        known, seen = env._engine.dynamics(), env._engine.kinetics()
        contraction = (seen.tension - seen.passive_tension) @ known.moment_arm[:, 1]
        found.append((contraction, info["robot_torque"] - known.bias[own]))
    return np.array(found)[50:].T


def follows(given, wanted):
    """By how many control periods `given` is later than `wanted`, at the greatest correlation."""
    clock, shifts = np.arange(len(given)), np.arange(-9, 9, 0.1)
    at = clock[10:-10]
    alike = [np.corrcoef(np.interp(at + s, clock, given), wanted[at])[0, 1] for s in shifts]
    return shifts[np.argmax(alike)]


def test_help_comes_when_the_muscles_pull(env, act):
    assert act.horizon == pytest.approx(lateness(env.task)) == pytest.approx(0.08, abs=0.001)
    human, robot = played(env, act, 300)
    act.horizon, ahead = 0.0, act.horizon
    try:
        human_now, robot_now = played(env, act, 300)
    finally:
        act.horizon = ahead
    late = follows(robot_now, human_now)
    assert 3.5 <= late <= 5.5  # of 20 ms: senses 1, commands 2, motor a half, what is held another
    assert follows(robot, human) < 0.5 * late


def test_what_is_now_is_the_moment_of_the_contracted_muscles(env, act):
    """Against MuJoCo: what the activations add to the moment about the knee, at rest with steady EMG."""
    act.reset()
    seen = np.zeros(len(env.observation_names))
    names = list(env.observation_names)
    seen[[names.index(n) for n in ("hip_angle", "knee_angle", "ankle_angle")]] = 0.3, 0.6, 0.1
    seen[act._emg] = np.linspace(0.02, 0.2, len(act._emg))
    act.horizon, ahead = 0.0, act.horizon
    try:
        moment, place = [act.coming(seen) for _ in range(40)][-1]
    finally:
        act.horizon = ahead
    m = env.task.people.spec.copy().compile()
    data, pulls = mujoco.MjData(m), []
    data.qpos[:] = 0.3, 0.6, 0.1
    for on in (0.0, 1.0):
        data.act[:] = on * seen[act._emg]
        mujoco.mj_forward(m, data)
        pulls.append(data.qfrc_actuator[1])
    np.testing.assert_allclose(place, [0.3, 0.6, 0.1], atol=1e-3)
    assert moment == pytest.approx(pulls[1] - pulls[0], rel=0.02, abs=0.05)


def test_a_copy_goes_on_with_what_was_seen(env, act):
    act.reset()
    observation, _ = env.reset(seed=2)
    for _ in range(10):
        observation = env.step(act(observation))[0]
    other = pickle.loads(pickle.dumps(act))
    for _ in range(3):
        action = act(observation)
        np.testing.assert_allclose(other(observation), action, atol=1e-6)
        observation = env.step(action)[0]


def test_a_horizon_that_cannot_be_is_refused(env):
    with pytest.raises(InputError, match=r"horizon = 0.5 s must lie between 0 and 0.3"):
        Predictive(env.task, horizon=0.5)
