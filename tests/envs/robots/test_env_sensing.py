"""What a robot senses and what goes wrong: noise, delays and disturbances, each with its size and at its time."""

import gymnasium
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO, make_task
from mjx_msm.envs.robots.sensing import MAX_EXTRA_DELAY, Commands, Sensing
from mjx_msm.envs.tasks.disturbance import Disturbance
from mjx_msm.envs.tasks.options import as_disturbance
from mjx_msm.person.space import parameter_space
from mjx_msm.verification.campaign import prepare
from mjx_msm.verification.usual import usual_scenarios

PERIOD = 0.02


def played(id: str, disturbance: dict | None = None, actions: np.ndarray | None = None, count: int = 60, **arguments):
    """Observations by name and measures of an episode, one row a period from the reset on; and the environment."""
    env = gymnasium.make(id, **arguments).unwrapped
    draws = np.full(env.task.draws, 0.5)
    observation, info = env.reset(seed=0, options={"draws": draws, "disturbance": disturbance})
    rows, infos = [observation], [info]
    for k in range(count):
        action = np.zeros(env.action_space.shape) if actions is None else actions[k]
        observation, _, terminated, _, info = env.step(action)
        assert not terminated
        rows.append(observation)
        infos.append(info)
    seen = dict(zip(env.observation_names, np.array(rows).T.astype(float), strict=True))
    measures = {name: np.array([row[name] for row in infos]) for name in info if name != "summary"}
    return seen, measures, env


# Sensors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [KNEE_EXO, ARM_REACH])
def test_noise_has_its_standard_deviation(id: str) -> None:
    """Noise changes what is seen and not what happens, so that the difference of two episodes is the noise."""
    clean, _, env = played(id, count=150)
    noisy, _, loud = played(id, count=150, sensing={"noise": 2.0})
    bounds = {c.name: (c.low, c.high, c.noise) for c in loud.task.observations}
    checked = 0
    for name, (low, high, sd) in bounds.items():
        inside = (noisy[name] > low) & (noisy[name] < high)  # at a bound noise is cut off
        if not sd:
            np.testing.assert_array_equal(noisy[name], clean[name])
        elif inside.all():
            assert np.std(noisy[name] - clean[name]) == pytest.approx(sd, rel=0.25)  # ±4.3 standard errors of 151
            assert np.mean(noisy[name] - clean[name]) == pytest.approx(0.0, abs=0.36 * sd)
            checked += 1
    assert checked >= 6
    assert all(c.noise == 0 for c in env.task.observations)


@pytest.mark.parametrize(("delay", "periods"), [(0.0, 0), (0.02, 1), (0.06, 3), (0.107, 5)])
def test_observations_arrive_late_by_whole_periods(delay: float, periods: int) -> None:
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (60, 1))
    now, *_ = played(KNEE_EXO, actions=actions)
    late, *_ = played(KNEE_EXO, actions=actions, sensing={"delay": delay})
    for name in now:
        np.testing.assert_array_equal(late[name][periods:], now[name][: len(now[name]) - periods])
        np.testing.assert_array_equal(late[name][:periods], now[name][0])  # until then, what was first seen
    assert np.ptp(now["knee_angle"]) > 0.05


@pytest.mark.parametrize(("id", "count", "nothing"), [(KNEE_EXO, 1, 0.0), (ARM_REACH, 6, -1.0)])
def test_commands_arrive_late_by_whole_periods(id: str, count: int, nothing: float) -> None:
    """The same as giving the same commands later, and asking for nothing before."""
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (60, count))
    later = np.concatenate([np.full((3, count), nothing), actions[:-3]])
    late, *_ = played(id, actions=actions, sensing={"command_delay": 0.06})
    prompt, *_ = played(id, actions=later)
    disturbed, *_ = played(id, {"delay": 0.06}, actions=actions)
    for name in prompt:
        np.testing.assert_array_equal(late[name], prompt[name])
        np.testing.assert_array_equal(disturbed[name], prompt[name])


@pytest.mark.parametrize("robot", ["admittance", "torque"])
def test_what_the_cobot_senses_and_commands_late_it_controls_late(robot: str) -> None:
    """Its own controller sees no more than the observation, and its joint commands pass through the delay."""
    prompt, well, _ = played(ARM_CO_TRANSPORT, robot=robot, count=100)
    late, behind, _ = played(ARM_CO_TRANSPORT, {"delay": 0.1}, robot=robot, count=100)
    again, same, _ = played(ARM_CO_TRANSPORT, robot=robot, count=100, sensing={"command_delay": 0.1})
    _, shaken, _ = played(ARM_CO_TRANSPORT, robot=robot, count=100, sensing={"noise": 1.0, "delay": 0.04})
    for name in prompt:
        np.testing.assert_array_equal(late[name], again[name])
    np.testing.assert_array_equal(behind["path_error"], same["path_error"])
    assert not np.array_equal(shaken["path_error"], well["path_error"])
    if robot == "admittance":  # the robot follows, 0.1 s behind
        assert behind["path_error"].max() > 2 * well["path_error"].max()
        assert behind["path_error"].max() < 0.05


def test_a_line_of_commands() -> None:
    line = Commands(0.04, 1, PERIOD)
    past = line.begin(np)
    out = []
    for k in range(30):
        extra = MAX_EXTRA_DELAY if k >= 20 else 0.0
        command, past = line.pass_on(np, past, np.array([float(k + 1)]), extra)
        out.append(command[0])
    np.testing.assert_array_equal(out[:20], [0, 0, *range(1, 19)])
    np.testing.assert_array_equal(out[20:], np.arange(21, 31) - 12)


def test_sensing_that_cannot_be() -> None:
    with pytest.raises(InputError, match="no 'nois'"):
        Sensing.of({"nois": 1.0})
    for bad in (-1.0, float("nan"), "loud"):
        with pytest.raises(InputError, match="sensing noise"):
            Sensing.of({"noise": bad})


# Disturbances ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [KNEE_EXO, ARM_REACH, ARM_CO_TRANSPORT])
def test_what_goes_wrong_goes_wrong_between_onset_and_end(id: str) -> None:
    """Before the onset nothing differs; with no strength nothing ever does."""
    still, _, env = played(id)
    actions = np.zeros((60, env.action_space.shape[0]))
    wrong = {"tremor": 0.3, "payload": 2.0, "onset": 0.4, "duration": 0.2}
    upset, *_ = played(id, wrong, actions)
    never, *_ = played(id, {"onset": 0.4, "duration": 0.2, "tremor_frequency": 9.0}, actions)
    first = round(0.4 / PERIOD) + 1  # the period that begins at the onset is seen at its end
    for name in still:
        np.testing.assert_array_equal(upset[name][:first], still[name][:first])
        np.testing.assert_array_equal(never[name], still[name])
    assert any(not np.array_equal(upset[name][first:], still[name][first:]) for name in still)


@pytest.mark.parametrize("frequency", [4.0, 8.0])
def test_tremor_shakes_antagonists_in_turn_at_its_frequency(frequency: float) -> None:
    """On top of what is wanted, half of full excitation; the elbow's extensors against its flexors."""
    actions = np.zeros((100, 6))
    env = gymnasium.make(ARM_REACH).unwrapped
    env.reset(seed=0, options={"disturbance": {"tremor": 0.2, "tremor_frequency": frequency}})
    excitation = []
    for action in actions:
        env.step(action)
        excitation.append(env.data.ctrl.copy())
    shake = np.array(excitation) - 0.5
    t = PERIOD * np.arange(100)
    names = env.task.world.muscles
    flexors = [i for i, name in enumerate(names) if name.startswith(("BIC", "BRA"))]
    extensors = [i for i, name in enumerate(names) if name.startswith("TRI")]
    assert len(flexors) == len(extensors) == 3
    wave = 0.2 * np.sin(2 * np.pi * frequency * t)[:, None]
    np.testing.assert_allclose(shake[:, flexors], np.repeat(wave, 3, 1), atol=1e-12)
    np.testing.assert_allclose(shake[:, extensors], -np.repeat(wave, 3, 1), atol=1e-12)
    spectrum = np.abs(np.fft.rfft(shake[:, 3]))
    assert np.fft.rfftfreq(100, PERIOD)[spectrum.argmax()] == pytest.approx(frequency)


@pytest.mark.parametrize(("id", "arguments"), [(KNEE_EXO, {}), (ARM_CO_TRANSPORT, {"emg": True})])
def test_dropped_electrodes_read_nothing_and_change_nothing_else(id: str, arguments: dict) -> None:
    well, measured, env = played(id, **arguments)
    dropped, same, _ = played(id, {"emg_dropout": 1.0, "onset": 0.5, "duration": 0.3}, **arguments)
    half, *_ = played(id, {"emg_dropout": 0.5, "onset": 0.5, "duration": 0.3}, **arguments)
    off = (measured["time"] >= 0.5) & (measured["time"] < 0.8)
    emg = [name for name in env.observation_names if name.startswith("emg_")]
    assert emg
    for name in env.observation_names:
        if name in emg:
            assert not dropped[name][off].any()
            np.testing.assert_array_equal(dropped[name][~off], well[name][~off])
            np.testing.assert_allclose(half[name][off], 0.5 * well[name][off], rtol=1e-6)
        else:
            np.testing.assert_array_equal(dropped[name], well[name])
    assert max(well[name][off].max() for name in emg) > 0.02
    for name in measured:
        np.testing.assert_array_equal(same[name], measured[name])


def test_a_stalled_exoskeleton_gives_no_torque() -> None:
    full = np.full((60, 1), 0.3)  # below what the motor can give at any speed it comes to
    _, works, env = played(KNEE_EXO, actions=full)
    _, stalls, _ = played(KNEE_EXO, {"stall": 1.0, "onset": 0.4, "duration": 0.3}, full)
    lag = 1.0 / (2 * np.pi * env.task.exoskeleton.bandwidth)
    first = round(0.4 / PERIOD)
    torque = stalls["robot_torque"]
    assert torque[first] == works["robot_torque"][first] > 5.0
    # It dies away as the motor's lag lets it.
    expected = torque[first] * np.exp(-PERIOD * np.arange(16) / lag)
    np.testing.assert_allclose(torque[first : first + 16], expected, rtol=1e-9, atol=1e-12)
    assert torque[round(0.7 / PERIOD) + 5] > 5.0  # and comes back


def test_a_stalled_torque_robot_gives_no_torque() -> None:
    _, works, env = played(ARM_CO_TRANSPORT, robot="torque", count=30)
    _, stalls, _ = played(ARM_CO_TRANSPORT, {"stall": 1.0, "onset": 0.2}, robot="torque", count=30)
    assert works["robot_torque"][10] == stalls["robot_torque"][10] > 10.0
    lag = 1.0 / (2 * np.pi * env.task.cobot.drive.bandwidth)
    expected = stalls["robot_torque"][10] * np.exp(-PERIOD * np.arange(15) / lag)
    np.testing.assert_allclose(stalls["robot_torque"][10:25], expected, rtol=1e-6)


def test_a_loose_strap_slips_and_the_rest_holds() -> None:
    pull = np.where(np.arange(100) % 20 < 10, 1.0, -1.0)[:, None]
    _, tight, _ = played(KNEE_EXO, actions=pull, count=100)
    _, loose, _ = played(KNEE_EXO, {"slip": 1.0, "onset": 0.5}, pull, count=100)
    before = loose["time"] <= 0.5
    np.testing.assert_array_equal(loose["slip"][before], tight["slip"][before])
    assert tight["slip"].max() < 1e-4
    assert loose["slip"].max() > 1e-3
    assert loose["thigh_displacement"][~before].max() > tight["thigh_displacement"][~before].max()


HONOURED = {
    "knee": (KNEE_EXO, {}, {"tremor", "emg_dropout", "stall", "delay", "slip", "payload"}),
    "knee, acted for": (KNEE_EXO, {"action_mode": "human"}, {"tremor", "emg_dropout", "slip", "payload"}),
    "reach": (ARM_REACH, {}, {"tremor", "delay", "payload"}),
    "strike": (ARM_STRIKE, {}, {"tremor", "delay", "payload"}),
    "carry": (ARM_CO_TRANSPORT, {}, {"tremor", "stall", "delay", "payload"}),
    "carry, EMG": (ARM_CO_TRANSPORT, {"emg": True}, {"tremor", "emg_dropout", "stall", "delay", "payload"}),
    "carry, acted for": (
        ARM_CO_TRANSPORT,
        {"action_mode": "human"},
        {"tremor", "emg_dropout", "stall", "delay", "payload"},
    ),
}


@pytest.mark.parametrize("case", HONOURED)
def test_a_disturbance_disturbs_or_is_refused(case: str) -> None:
    """Whatever is accepted makes a difference to what is seen; the rest is refused by name."""
    id, arguments, honoured = HONOURED[case]
    most = {"tremor": 0.3, "emg_dropout": 1.0, "stall": 1.0, "delay": 0.1, "slip": 1.0, "payload": 2.0}
    env = gymnasium.make(id, **arguments).unwrapped
    actions = np.random.default_rng(0).uniform(-0.9, 0.9, (40, env.action_space.shape[0]))

    def play(wrong: dict) -> np.ndarray:
        env.reset(seed=0, options={"draws": np.full(env.task.draws, 0.5), "disturbance": wrong})
        return np.array([env.step(action)[0] for action in actions])

    well = play({})
    np.testing.assert_array_equal(play({"tremor_frequency": 3.0}), well)
    for name, size in most.items():
        if name in honoured:
            assert not np.array_equal(play({name: size}), well), name
        else:
            with pytest.raises(InputError, match=f"disturbance {name} disturbs nothing here; there is tremor,"):
                play({name: size})
            with pytest.raises(InputError, match=name):
                play(Disturbance(**{name: size}))
            np.testing.assert_array_equal(play({name: 0.0}), well)


@pytest.mark.parametrize("case", HONOURED)
def test_the_usual_scenarios_are_of_what_there_is(case: str) -> None:
    id, arguments, _ = HONOURED[case]
    task = make_task(id, **arguments)
    scenarios = usual_scenarios(id, arguments)
    assert len(scenarios) >= 3
    for scenario in scenarios:
        as_disturbance({name: q.largest(name) for name, q in scenario.quantities.items()}, task)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("slip = 0.5", "disturbance slip disturbs nothing here; there is tremor"),
        ("stall = { choice = [0.0, 1.0] }", "disturbance stall disturbs nothing here"),
        ("tremor_frequency = [2.0, 12.5]", "12.5; give less than 12.5 Hz"),
    ],
)
def test_a_verification_refuses_them_before_it_begins(scenario, words, tmp_path, arm, result_of) -> None:
    space = parameter_space(arm.nominal, ["body/forearm/mass"])
    result_of(space, np.eye(1) / 0.1**2).save(tmp_path / "identification.json")
    file = tmp_path / "s.toml"
    file.write_text(f"[environment]\nrate = 25\n[scenarios.bad]\n{scenario}\n")
    with pytest.raises(InputError, match=r"s.toml \[scenarios.bad\]: ") as caught:
        prepare("ArmReach", subject=tmp_path, controller="zero", people=1, scenarios=file)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# A payload is a weight -------------------------------------------------------------------------------------


def test_a_payload_in_the_hand_is_a_balls_weight(arm) -> None:
    """Force of the disturbance on shoulder and elbow, against gravity of a ball that C MuJoCo weighs."""
    env, loaded = (gymnasium.make(ARM_REACH, payload=mass).unwrapped for mass in (0.0, 1.7))
    for seed in range(3):
        env.reset(seed=seed, options={"disturbance": {"payload": 1.7}})
        before = mujoco.MjData(env.model), mujoco.MjData(loaded.model)
        for d, m in zip(before, (env.model, loaded.model), strict=True):
            d.qpos[:] = env.data.qpos
            mujoco.mj_forward(m, d)
        env.step(-np.ones(6))
        np.testing.assert_allclose(env.data.qfrc_applied, before[0].qfrc_bias - before[1].qfrc_bias, atol=1e-6)


def test_a_payload_on_the_shank_is_a_weight_at_the_ankle() -> None:
    env = gymnasium.make(KNEE_EXO).unwrapped
    env.reset(seed=0, options={"disturbance": {"payload": 2.0}})
    m, d = env.model, env.data
    jacobian = np.zeros((3, m.nv))
    mujoco.mj_jac(m, d, jacobian, None, d.body("foot").xpos, m.body("tibia").id)
    expected = -2.0 * 9.80665 * jacobian[2, 1]
    before = d.qfrc_applied[1]
    env.step(np.zeros(1))
    assert env.data.qfrc_applied[1] - before == pytest.approx(expected, rel=1e-9)
    assert abs(expected) > 1.0


def test_a_payload_on_the_beam_is_borne_by_both() -> None:
    """At rest, what the handles bear is more by the payload's weight."""
    still = {"path": {"lift": 0.0, "carry": 0.0, "lower": 0.0, "duration": 6.0}, "count": 250}
    _, plain, env = played(ARM_CO_TRANSPORT, **still)
    force = []
    for payload in (0.0, 1.0):
        env.reset(options={"draws": [0.5], "disturbance": {"payload": payload}})
        for _ in range(250):
            env.step(np.zeros(2))
        force.append(sum(f[1] for f in env.task._handles.force(env._kinetics)))
        assert np.abs(env.data.qvel).max() < 0.02
    assert -force[0] == pytest.approx(3.0 * 9.80665, rel=0.02)
    assert force[0] - force[1] == pytest.approx(1.0 * 9.80665, rel=0.05)
    assert plain["contact_force"].max() == 0.0


def test_a_stalled_position_robot_holds_its_pose() -> None:
    env = gymnasium.make(ARM_CO_TRANSPORT).unwrapped
    env.reset(seed=0, options={"disturbance": {"stall": 1.0, "onset": 0.6}})
    joints = env.task.world.coordinates.index("cobot_shoulder")
    for k in range(70):
        env.step(np.zeros(2, np.float32))
        if k == 45:
            there = env.data.qpos[joints : joints + 3].copy()
    assert np.abs(env.data.qpos[joints : joints + 3] - there).max() < 0.02
    assert np.linalg.norm(env.data.actuator_force[-3:]) > 10.0
