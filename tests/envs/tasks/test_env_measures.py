"""Measures in `info`: against closed forms, balances and what the engine's own arrays say."""

import gymnasium
import mujoco
import numpy as np
import pytest

from mjx_msm.dynamics.metabolics import MINIMAL_HEAT, Bhargava2004, Umberger2010
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO, make_task
from mjx_msm.envs.engines.c_engine import CEngine
from mjx_msm.envs.engines.kinetics import Drive
from mjx_msm.envs.robots.exoskeleton import CUFFS
from mjx_msm.envs.tasks.knee_exo import FORCE_LIMITS

CASES = (
    (KNEE_EXO, {"exoskeleton": {"torque_limit": 90.0, "no_load_speed": 40.0}}, 1.0, 150),
    (KNEE_EXO, {"action_mode": "both", "metabolics": "umberger2010"}, 1.0, 100),
    (ARM_REACH, {}, 1.0, 225),
    (ARM_CO_TRANSPORT, {"transport": {"obstacle_height": 0.94}}, 1.0, 212),
    (ARM_CO_TRANSPORT, {"robot": "torque", "action_mode": "both"}, 0.1, 60),
)


class Play:
    """Random actions, held for a fifth of a second; measures with a row for every step."""

    def __init__(self, id: str, arguments: dict, size: float, periods: int):
        self.env = gymnasium.make(id, **arguments).unwrapped
        rng = np.random.default_rng(1)
        self.env.reset(seed=1)
        rows, self.reward, self.terminated = [], [], False
        self.position, self.velocity = [], [self.env.data.qvel.copy()]
        for k in range(periods):
            if k % 10 == 0:
                action = size * rng.uniform(-1, 1, self.env.action_space.shape)
            _, reward, self.terminated, _, self.info = self.env.step(action)
            rows.append(self.info)
            self.reward.append(reward)
            self.position.append(self.env.data.qpos.copy())
            self.velocity.append(self.env.data.qvel.copy())
            if self.terminated:
                break
        self.measures = {n: np.array([row[n] for row in rows]) for n in rows[0]}
        self.position, self.velocity, self.reward = map(np.array, (self.position, self.velocity, self.reward))


@pytest.fixture(scope="module")
def plays() -> list[Play]:
    return [Play(*case) for case in CASES]


@pytest.mark.slow
@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_holds_of_every_step(plays: list[Play], case: int) -> None:
    play = plays[case]
    m = play.measures
    np.testing.assert_allclose(m["time"], 0.02 * np.arange(1, len(m["time"]) + 1))
    assert ((m["activation"] >= 0) & (m["activation"] <= 1)).all()
    np.testing.assert_allclose(m["effort"], (m["activation"] ** 2).sum(axis=1))
    muscles = play.env._engine.muscles
    assert (m["metabolic_power"] > -0.5 * MINIMAL_HEAT * muscles.mass.sum()).all()
    assert m["metabolic_power"].mean() > MINIMAL_HEAT * muscles.mass.sum()
    terms = [m[name] for name in m if name.startswith("reward_")]
    np.testing.assert_allclose(play.reward, sum(terms))
    assert (sum(terms) <= 0).all()
    if "robot_share" in m:
        assert ((m["robot_share"] >= 0) & (m["robot_share"] <= 1)).all()
        assert np.ptp(m["robot_share"]) > 0.1


@pytest.mark.parametrize("case", range(len(CASES)))
def test_the_summary_is_of_the_steps(plays: list[Play], case: int) -> None:
    play = plays[case]
    summary, names = play.env.summary(), play.env.task.summarised
    assert set(summary) == {f"{name}_{what}" for name in names for what in ("peak", "rms", "integral")}
    for name in names:
        values = play.measures[name]
        assert summary[f"{name}_peak"] == pytest.approx(np.abs(values).max())
        assert summary[f"{name}_rms"] == pytest.approx(np.sqrt(np.mean(values**2)))
        assert summary[f"{name}_integral"] == pytest.approx(0.02 * values.sum())


def test_what_the_exoskeletons_measures_are(plays: list[Play]) -> None:
    strong, both = plays[:2]
    for play in (strong, both):
        m = play.measures
        np.testing.assert_allclose(m["knee_angle"], play.position[:, 1])
        np.testing.assert_allclose(m["tracking_error"], np.abs(m["knee_angle"] - m["reference"]))
        np.testing.assert_allclose(m["reward_tracking"], -((m["tracking_error"] / 0.1) ** 2))
        assert (np.abs(m["robot_torque"]) <= play.env.task.exoskeleton.torque_limit + 1e-9).all()
        human, robot = np.abs(m["human_torque"]), np.abs(m["robot_torque"])
        np.testing.assert_allclose(m["robot_share"], robot / (robot + human + 1e-9))
        beyond = [m[f"{cuff}_force"] > FORCE_LIMITS[cuff] for cuff in CUFFS]
        np.testing.assert_array_equal(m["force_limit_violation"], np.any(beyond, axis=0))
        for cuff in CUFFS:  # no strap alone pulls more than all of them and their pads together let it
            assert (m[f"{cuff}_strap"] >= 0).all()
    # A motor of 90 N·m hurts, one of 24 does not.
    assert 0 < strong.measures["force_limit_violation"].mean() < 1
    assert strong.env.summary()["force_limit_violation_integral"] > 0


def test_human_torque_is_tension_times_moment_arm(plays: list[Play]) -> None:
    for play in plays[:2]:
        env = play.env
        seen, known = env._kinetics, env._engine.dynamics()
        assert play.info["human_torque"] == pytest.approx(seen.tension @ known.moment_arm[:, 1], rel=1e-9)


def test_what_the_beams_measures_are(plays: list[Play]) -> None:
    for play in plays[3:]:
        m, task = play.measures, play.env.task
        beam = play.position[:, task._beam]
        np.testing.assert_allclose(m["tilt"], beam[:, 2])
        plan = play.env._plan
        way = task.path.at(np.minimum(m["time"] * plan.pace, task.path.duration)).position
        miss = np.linalg.norm(beam[:, :2] - way[:, :2], axis=1)
        np.testing.assert_allclose(m["path_error"], miss, atol=5e-4)  # the path is looked up at milliseconds
        velocity = play.velocity[:, task._beam[:2]]
        jerk = np.linalg.norm(velocity[3:] - 2 * velocity[2:-1] + velocity[1:-2], axis=1) / 0.02**2
        np.testing.assert_allclose(m["jerk"][2:], jerk, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(m["force_limit_violation"], m["hand_force"] > 140.0)
        np.testing.assert_array_equal(m["reward_contact"], -1.0 * (m["contact_force"] > 0))
        np.testing.assert_allclose(m["reward_path"], -np.log1p((miss / 0.05) ** 2), atol=0.03)
        np.testing.assert_allclose(m["reward_tilt"], -np.log1p((beam[:, 2] / 0.15) ** 2))
    assert plays[3].measures["contact_force"].max() > 1.0
    assert (plays[3].measures["contact_force"] >= 0).all()
    assert plays[4].measures["robot_torque"].max() > 10.0


def test_jerk_of_a_motion_with_constant_jerk() -> None:
    """v = J t²/2 along a slanted line: the measure is J from the third period on."""
    env = gymnasium.make(ARM_CO_TRANSPORT).unwrapped
    env.reset(seed=0)
    task, memory, jerk = env.task, env._memory, np.array((30.0, -40.0))
    for k in range(1, 8):
        velocity = np.zeros(8)
        velocity[task._beam[:2]] = 0.5 * jerk * (0.02 * k) ** 2
        kinetics = env._kinetics._replace(velocity=velocity)
        outcome, memory = task.observe(np, env._plan, memory._replace(step=k), kinetics, np.zeros(2), 0.0)
        assert outcome.measures["jerk"] == pytest.approx(0.0 if k <= 2 else 50.0, rel=1e-6)


def test_motors_at_their_limit_are_told() -> None:
    env = gymnasium.make(ARM_CO_TRANSPORT, robot="torque").unwrapped
    env.reset(seed=0)
    *_, info = env.step(np.zeros(3))
    assert info["torque_limit_violation"] == 0.0
    for _ in range(4):
        *_, info = env.step(np.array((0.0, 0.0, 1.0)))
    limit = env.task.cobot.torque_limit[2]
    assert env._kinetics.motor[2] == pytest.approx(limit, rel=1e-3)
    assert info["torque_limit_violation"] == 1.0


def test_a_joint_beyond_its_limits_is_told() -> None:
    """Full flexion of the elbow, and the arm hanging; limits as the model's dead bands give them."""
    seen = set()
    for flexors in (1.0, -1.0):
        env = gymnasium.make(ARM_REACH).unwrapped
        env.reset(seed=0)
        limits = {j: env.model.tendon_lengthspring[env.model.tendon(f"{j}_limit").id] for j in ("shoulder", "elbow")}
        for _ in range(100):
            *_, info = env.step(np.array([-flexors] * 3 + [flexors] * 3))
            q = env.data.qpos
            beyond = any(not low <= x <= high for x, (low, high) in zip(q, limits.values(), strict=True))
            assert info["joint_limit_violation"] == beyond
            seen.add(beyond)
    assert seen == {True, False}


# Energy ----------------------------------------------------------------------------------------------------


def energy(env: gymnasium.Env) -> float:
    """Kinetic, of gravity, and of springs."""
    m, d = env.model, env.data
    mujoco.mj_energyPos(m, d)
    mujoco.mj_energyVel(m, d)
    return d.energy.sum()


@pytest.mark.parametrize(
    ("id", "arguments", "size"),
    [(ARM_REACH, {}, 0.6), (KNEE_EXO, {"task": "swing"}, 0.3), (ARM_CO_TRANSPORT, {"robot": "torque"}, 0.02)],
)
def test_power_balance(id: str, arguments: dict, size: float) -> None:
    """Energy grows by what muscles, motors and applied forces do, less what dampers take, step by step."""
    env = gymnasium.make(id, rate=1000, **arguments).unwrapped
    env.reset(seed=0)
    env.model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    d, h = env.data, 0.001
    rng, start, work, passed = np.random.default_rng(0), energy(env), 0.0, 0.0
    for k in range(400):
        if k % 50 == 0:
            action = size * rng.uniform(-1, 1, env.action_space.shape)
        before, actuation, damping = d.qvel.copy(), d.qfrc_actuator.copy(), d.qfrc_damper.copy()
        env.step(action)
        speed = 0.5 * (before + d.qvel)
        force = 0.5 * (actuation + d.qfrc_actuator + damping + d.qfrc_damper) + d.qfrc_applied
        work += h * force @ speed
        passed += h * np.abs(force * speed).sum()
    assert passed > 0.5
    assert energy(env) - start == pytest.approx(work, abs=0.01 * passed)


def test_a_resting_person_uses_next_to_nothing() -> None:
    """An arm that hangs where gravity and its joints leave it, with no excitation, after a while."""
    for model in ("bhargava2004", "umberger2010"):
        env = gymnasium.make(ARM_REACH, targets=4, metabolics=model).unwrapped
        env.reset(seed=0)
        info = {}
        for _ in range(300):
            *_, info = env.step(-np.ones(6))
        mass = env._engine.muscles.mass.sum()
        assert info["hand_speed"] < 0.15
        assert info["metabolic_power"] == pytest.approx(MINIMAL_HEAT * mass, rel=0.2)
        for _ in range(20):
            *_, busy = env.step(np.ones(6))
        assert busy["metabolic_power"] > 50 * info["metabolic_power"]


@pytest.mark.parametrize(("name", "model"), [("bhargava2004", Bhargava2004()), ("umberger2010", Umberger2010())])
def test_metabolic_power_is_the_chosen_models(name: str, model) -> None:
    """From MuJoCo's own arrays, isometric force from its curve, not through the engine's view of them."""
    env = gymnasium.make(ARM_REACH, metabolics=name).unwrapped
    env.reset(seed=3)
    for _ in range(20):
        *_, info = env.step(np.linspace(-0.5, 0.7, 6))
    m, d = env.model, env.data
    from mjx_msm.dynamics.metabolics import Contraction

    gain, length = m.actuator_gainprm, m.actuator_lengthrange
    optimal = (length[:, 1] - length[:, 0]) / (gain[:, 1] - gain[:, 0])
    fiber = gain[:, 0] + (d.actuator_length - length[:, 0]) / optimal
    passive = np.array([
        -mujoco.mju_muscleBias(d.actuator_length[i], length[i], m.actuator_acc0[i], gain[i, :9]) for i in range(6)
    ])  # fmt: skip
    isometric = np.array([
        -mujoco.mju_muscleGain(d.actuator_length[i], 0.0, length[i], m.actuator_acc0[i], gain[i, :9]) for i in range(6)
    ])  # fmt: skip
    state = Contraction(
        excitation=d.ctrl,
        activation=d.act,
        fiber_length=fiber,
        fiber_velocity=d.actuator_velocity / optimal,
        active_force_length=isometric / gain[:, 2],
        active_force=-d.actuator_force - passive,
        passive_force=passive,
    )
    assert info["metabolic_power"] == pytest.approx(model.power(env._engine.muscles, state).sum(), rel=1e-9)


# Path ------------------------------------------------------------------------------------------------------


def test_an_episode_of_carrying_holds_the_slowest_path() -> None:
    task = make_task(ARM_CO_TRANSPORT)
    assert task.length * task.period == pytest.approx(3.0 / 0.8 + 0.5, abs=0.02)
    env = gymnasium.make(ARM_CO_TRANSPORT).unwrapped
    for draw, pace in ((0.0, 0.8), (1.0, 1.2)):
        env.reset(options={"draws": [draw]})
        assert env._plan.pace == pytest.approx(pace)


def test_letting_go_costs_more_than_carrying_on_could() -> None:
    """No period of carrying costs 16: where an arm's length, half the beam and a handle's give can take its middle."""
    env = gymnasium.make(ARM_CO_TRANSPORT, robot="torque", action_mode="both").unwrapped
    env.reset(seed=0)
    task, length, still = env.task, 0.0, np.zeros(2)
    for elbow in np.linspace(0.0, np.pi, 50):
        hand, shoulder = (task.arm.hand(np.array([x, elbow])) for x in (0.0, np.pi))
        length = max(length, 0.5 * np.linalg.norm(hand - shoulder))
    shoulder = 0.5 * (task.arm.hand(still) + task.arm.hand(np.array([np.pi, 0.0])))
    way = task._way.beam.position[:, :2]
    reach = length + 0.5 * task.transport.beam_length + 2 * 0.1
    path_error = np.linalg.norm(way - shoulder[[0, 2]], axis=1).max() + reach
    costs = np.log1p((path_error / 0.05) ** 2) + np.log1p((np.pi / 0.15) ** 2) + 0.1 * 6 + 0.05 * 3 + 1.0
    assert costs < 16.0
    env = gymnasium.make(ARM_CO_TRANSPORT, robot="torque").unwrapped
    env.reset(seed=0)
    rewards, terminated = [], False
    while not terminated:
        _, reward, terminated, truncated, info = env.step(np.ones(3, np.float32))
        assert not truncated
        rewards.append(reward)
    left = env.task.length - len(rewards)
    assert left > 50
    assert info["grip_lost"] == 1.0
    assert min(rewards[:-1]) > -costs
    assert info["reward_lost"] == -16.0 * (left + 1)
    assert env.task.failure_reward(len(rewards)) == info["reward_lost"]


def test_the_contact_force_is_the_greatest_of_a_period() -> None:
    """The bar, high in the beam's way, against the same period step by step."""
    env = gymnasium.make(ARM_CO_TRANSPORT, transport={"obstacle_height": 0.94}).unwrapped
    env.reset(seed=0)
    peaks, ends = [], []
    for _ in range(150):
        d, slow = env.data, CEngine(env.task.world)
        slow.start(d.qpos, d.qvel, d.act[:6], d.act[6:])
        _, _, over, _, info = env.step(np.zeros(2, np.float32))
        forces = []
        for _ in range(20):
            slow.advance(Drive(d.ctrl[:6], d.ctrl[6:], d.qfrc_applied), 1)
            forces.append(slow.kinetics().contact)
        np.testing.assert_allclose(slow.data.qpos, d.qpos, atol=1e-12)
        assert info["contact_force"] == pytest.approx(max(forces), abs=1e-9)
        peaks.append(max(forces))
        ends.append(forces[-1])
        assert not over
    assert sum(peaks) > 1.05 * sum(ends) > 0.0
