"""The human half in its environments: it follows what is asked, tires, answers stretch, and can be acted for."""

import gymnasium
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.fatigue import JOINTS as FATIGUE
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO, make_task
from mjx_msm.envs.human.drive import LIMB_REFLEX, RESETTING, Human
from mjx_msm.envs.human.intent import Tracking

SHOULDER_ELBOW = ("shoulder_elev", "elbow_flex")


def idle(env: gymnasium.Env) -> np.ndarray:
    return np.zeros(env.action_space.shape)


# Following -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disturbance", [{}, {"payload": 3.0, "onset": 0.5}])
def test_led_joints_follow_the_reference_whatever_pulls_on_them(disturbance: dict) -> None:
    """The fastest and largest swing, the motor at full torque to and fro."""
    env = gymnasium.make(KNEE_EXO, task="swing").unwrapped
    env.reset(options={"draws": [1.0, 1.0, 1.0], "disturbance": disturbance})
    plan, task = env._plan, env.task
    error, speed = [], []
    for k in range(120):
        _, _, _, _, info = env.step(np.array([1.0 if k % 20 < 10 else -1.0]))
        goal = task.reference.at(np, plan.motion, np.array([info["time"]]))
        led = [0, 2]
        error.append(np.abs(env.data.qpos[led] - goal.position[0, led]).max())
        speed.append(np.abs(goal.velocity[0, led]).max())
    assert max(error) < 1e-3
    assert max(speed) > 2.0


@pytest.mark.parametrize(("task", "degrees"), [("seated", 3.5), ("swing", 5.5)])
def test_a_healthy_leg_follows_without_help(task: str, degrees: float) -> None:
    errors = {}
    for strength in (1.0, 0.4):
        env = gymnasium.make(KNEE_EXO, task=task, strength=strength).unwrapped
        env.reset(options={"draws": [0.5, 0.5, 0.5]})
        rows = [env.step(idle(env))[4]["tracking_error"] for _ in range(200)]
        errors[strength] = np.degrees(np.sqrt(np.mean(np.square(rows[25:]))))
    assert errors[1.0] < degrees
    assert errors[0.4] > 2.0 * errors[1.0]  # what follows is muscle


def test_help_makes_up_for_weakness() -> None:
    error = {}
    for gain in (0.0, 80.0):
        env = gymnasium.make(KNEE_EXO, strength=0.4).unwrapped
        see = {name: env.observation_names.index(name) for name in ("knee_angle", "knee_velocity", "reference_50ms")}
        observation, info = env.reset(options={"draws": [0.5, 0.5, 0.5]})
        assert info["tracking_error"] < 1e-9
        errors = []
        for _ in range(300):
            miss = observation[see["reference_50ms"]] - observation[see["knee_angle"]]
            torque = gain * miss - 0.05 * gain * observation[see["knee_velocity"]]
            limit = env.task.exoskeleton.torque_limit
            observation, _, terminated, _, info = env.step(np.clip([torque / limit], -1, 1))
            assert not terminated
            assert abs(info["robot_torque"]) <= limit
            assert max(info["thigh_strap"], info["shank_strap"]) < 180
            assert max(info["thigh_displacement"], info["shank_displacement"]) < 0.03
            errors.append(info["tracking_error"])
        error[gain] = np.sqrt(np.mean(np.square(errors)))
    assert error[80.0] < 0.5 * error[0.0]


def test_two_carry_a_beam_along_its_path() -> None:
    """With the admittance baseline alone and a healthy arm."""
    for draw in (0.0, 1.0):
        env = gymnasium.make(ARM_CO_TRANSPORT).unwrapped
        env.reset(options={"draws": [draw]})
        truncated, path, tilt, contact = False, [], [], []
        while not truncated:
            _, _, terminated, truncated, info = env.step(idle(env))
            assert not terminated
            path.append(info["path_error"])
            tilt.append(abs(info["tilt"]))
            contact.append(info["contact_force"])
        assert np.sqrt(np.mean(np.square(path))) < 0.003
        assert max(path) < 0.006
        assert max(tilt) < 0.04
        assert not any(contact)


def test_a_person_who_tracks_reaches_targets() -> None:
    """In place of the policy; what the action says is then ignored."""
    task = make_task(ARM_REACH)
    human = Human(Tracking.of(task.world, SHOULDER_ELBOW, task.period))
    ends = []
    for action in (0.0, 1.0):
        env = gymnasium.make(ARM_REACH, human=human).unwrapped
        env.reset(options={"draws": np.linspace(0.3, 0.7, env.task.draws)})
        info, distances = {}, []
        for k in range(225):
            *_, info = env.step(np.full(6, action))
            if k % 75 == 73:  # just before the next one
                distances.append(info["distance"])
        ends.append(distances)
    assert ends[0] == ends[1]
    assert max(ends[0]) < 0.01


# What nerves and muscles add -------------------------------------------------------------------------------


def test_tired_muscles_follow_less() -> None:
    """Full excitation for 10 s, against the differential equations of 3CC-r."""
    env = gymnasium.make(ARM_REACH, targets=7, human={"fatigue": True}).unwrapped
    env.reset(seed=0)
    arrived = []
    for _ in range(500):
        env.step(np.ones(6))
        arrived.append(env.data.ctrl.copy())
    tire, recover, _ = FATIGUE["elbow"]

    def rates(_: float, parts: np.ndarray) -> np.ndarray:
        active, fatigued = parts
        drive = 10.0 * min(1.0 - active, 1.0 - active - fatigued)
        return np.array([drive - tire * active, tire * active - recover * fatigued])

    t = 0.02 * np.arange(1, 501)
    parts = solve_ivp(rates, (0, 10), [0.0, 0.0], t_eval=t, rtol=1e-8).y
    np.testing.assert_allclose(np.array(arrived), np.repeat(1.0 - parts[1][:, None], 6, axis=1), atol=1e-3)
    assert arrived[-1].max() < 0.93


def test_stretch_is_answered_after_the_nerves_delay() -> None:
    """No intent: all excitation is the reflex of a falling arm, on fiber lengths that the engine shows."""
    env = gymnasium.make(ARM_REACH, human={"reflex": True, "nerve_delay": 0.06}).unwrapped
    env.reset(options={"draws": np.full(env.task.draws, 0.9)})
    expected = env._kinetics.fiber_length.copy()
    felt, arrived = [], []
    for _ in range(60):
        seen = env._kinetics
        stretch = np.maximum(seen.fiber_length - expected, 0.0)
        speed = np.maximum(seen.fiber_velocity - LIMB_REFLEX["velocity_threshold"], 0.0)
        felt.append(LIMB_REFLEX["length_gain"] * stretch + LIMB_REFLEX["velocity_gain"] * speed)
        expected = expected + (seen.fiber_length - expected) * (1.0 - np.exp(-0.02 / RESETTING))
        env.step(-np.ones(6))
        arrived.append(env.data.ctrl.copy())
    felt = np.clip(felt, 0.0, 1.0)
    np.testing.assert_allclose(arrived[3:], felt[:-3], atol=1e-12)
    assert not np.any(arrived[:3])
    assert felt.max() > 0.005


def test_human_options_that_cannot_be() -> None:
    for human, words in (
        ({"reflexes": True}, "no 'reflexes'"),
        ({"reflex": 1.0}, "reflex = 1.0"),
        ({"nerve_delay": 2.0}, "nerve_delay = 2.0"),
        ({"nerve_delay": float("nan")}, "nerve_delay = nan"),
    ):
        with pytest.raises(InputError, match=words):
            gymnasium.make(ARM_REACH, human=human)


# Who is acted for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [KNEE_EXO, ARM_CO_TRANSPORT])
def test_actions_for_the_human_are_excitations(id: str) -> None:
    env = gymnasium.make(id, action_mode="human").unwrapped
    count = len(env.task.world.muscles)
    assert env.action_names == tuple(f"excitation_{name}" for name in env.task.world.muscles)
    env.reset(seed=0)
    action = np.linspace(-1, 1, count)
    env.step(action)
    np.testing.assert_allclose(env.data.ctrl[:count], (action + 1) / 2)
    if id == KNEE_EXO:
        for _ in range(20):
            *_, info = env.step(action)
        assert info["robot_torque"] == 0.0


@pytest.mark.parametrize(("id", "arguments"), [(KNEE_EXO, {}), (ARM_CO_TRANSPORT, {"robot": "torque"})])
def test_actions_for_both_are_the_robots_and_then_the_humans(id: str, arguments: dict) -> None:
    """The same as each of them alone gets."""
    both = gymnasium.make(id, action_mode="both", **arguments).unwrapped
    human = gymnasium.make(id, action_mode="human", **arguments).unwrapped
    robot = gymnasium.make(id, action_mode="robot", **arguments).unwrapped
    muscles = len(both.task.world.muscles)
    assert both.action_names == robot.action_names + human.action_names
    rng = np.random.default_rng(0)
    action = 0.3 * rng.uniform(-1, 1, both.action_space.shape)
    for env in (both, human, robot):
        env.reset(seed=0)
    both.step(action)
    human.step(action[-muscles:])
    robot.step(action[:-muscles])
    np.testing.assert_array_equal(both.data.ctrl[:muscles], human.data.ctrl[:muscles])
    np.testing.assert_array_equal(both.data.ctrl[muscles:], robot.data.ctrl[muscles:])
    assert np.abs(robot.data.ctrl[muscles:]).max() > 0.5


# Rate ------------------------------------------------------------------------------------------------------


def test_acting_twice_as_often_moves_the_same() -> None:
    """Excitation held for 20 ms is the same as for 10 ms twice; both are whole steps of the engine."""
    slow, fast = (gymnasium.make(ARM_REACH, rate=rate).unwrapped for rate in (50, 100))
    draws = np.full(slow.task.draws, 0.4)
    slow.reset(options={"draws": draws})
    fast.reset(options={"draws": draws})
    rng = np.random.default_rng(0)
    for _ in range(50):
        action = rng.uniform(-1, 1, 6)
        slow.step(action)
        fast.step(action)
        fast.step(action)
        np.testing.assert_array_equal(slow.data.qpos, fast.data.qpos)
    assert fast.task.length == 2 * slow.task.length
    assert fast.metadata["render_fps"] == 100
    for rate in (7, 0, -50, 2000, 33.3):
        with pytest.raises(InputError, match="rate = "):
            gymnasium.make(ARM_REACH, rate=rate)


@pytest.mark.parametrize("task", ["seated", "swing"])
def test_a_reflex_does_not_stop_who_moves_on_purpose(task: str) -> None:
    """With reflex, fatigue and slow nerves the knee strays further, but neither sticks nor shakes."""
    error = {}
    for name, human in (("plain", {}), ("all", {"nerve_delay": 0.06, "reflex": True, "fatigue": True})):
        env = gymnasium.make(KNEE_EXO, task=task, strength=1.0, human=human)
        env.reset(seed=0)
        error[name] = np.sqrt(np.mean([env.step(np.zeros(1))[4]["tracking_error"] ** 2 for _ in range(250)]))
    assert error["all"] < 0.3
    assert error["all"] < 4 * error["plain"]
