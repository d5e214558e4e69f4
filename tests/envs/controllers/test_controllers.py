"""Baseline controllers: within their spaces, from observation alone, better than doing nothing; and how they fail."""

import sys

import gymnasium
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO
from mjx_msm.envs.controllers import controller, names
from mjx_msm.envs.controllers.co_transport import ImpedanceTorque
from mjx_msm.envs.controllers.knee_exo import EmgProportional, GravityCompensation
from mjx_msm.envs.environments import ArmCoTransportEnv, KneeExoEnv
from mjx_msm.verification.episode import make_controller

KNEE = ("zero", "emg_proportional", "gravity_compensation", "tracking", "predictive")
MADE = (
    (KNEE_EXO, {}, KNEE),
    (KNEE_EXO, {"action_mode": "both"}, KNEE),
    (KNEE_EXO, {"action_mode": "human"}, ("zero",)),
    (ARM_CO_TRANSPORT, {}, ("zero", "admittance")),
    (ARM_CO_TRANSPORT, {"robot": "torque"}, ("zero", "impedance")),
    (ARM_CO_TRANSPORT, {"robot": "torque", "action_mode": "both"}, ("zero", "impedance")),
    (ARM_CO_TRANSPORT, {"action_mode": "human"}, ("zero",)),
    (ARM_REACH, {}, ("zero", "reaching")),
    (ARM_STRIKE, {}, ("zero", "striking")),
)


def episode(env: gymnasium.Env, name: str, seed: int) -> tuple[float, list[np.ndarray], dict[str, float]]:
    """Return, actions, summary."""
    act, total, actions = controller(name, env), 0.0, []
    act.reset()
    observation, _ = env.reset(seed=seed)
    while True:
        actions.append(act(observation))
        observation, reward, terminated, truncated, info = env.step(actions[-1])
        total += float(reward)
        if terminated or truncated:
            return total, actions, info.get("summary") or env.unwrapped.summary()


@pytest.mark.parametrize(("id", "arguments", "expected"), MADE)
def test_every_baseline_acts_within_the_space(id: str, arguments: dict, expected: tuple[str, ...]) -> None:
    env = gymnasium.make(id, **arguments)
    assert names(env) == expected
    for name in expected:
        if name == "predictive":  # which compiles; it has its own tests
            continue
        act = controller(name, env)
        runs = []
        for _ in range(2):
            act.reset()
            observation, _ = env.reset(seed=3)
            actions = []
            for _ in range(8):
                actions.append(act(observation))
                assert actions[-1] in env.action_space
                observation = env.step(actions[-1])[0]
            runs.append(actions)
        np.testing.assert_array_equal(*runs)  # reset forgets
        actions[-1][:] = 9.0  # an action is the caller's own
        assert act(observation) in env.action_space


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "arguments", "name", "part"),
    [
        (KNEE_EXO, {"task": "seated"}, "emg_proportional", 0.5),
        (KNEE_EXO, {"task": "seated"}, "gravity_compensation", 0.95),
        (KNEE_EXO, {"task": "seated"}, "tracking", 0.3),
        (KNEE_EXO, {"task": "swing"}, "tracking", 0.7),
        (ARM_CO_TRANSPORT, {"robot": "torque"}, "impedance", 0.1),
        (ARM_REACH, {}, "reaching", 0.6),
        (ARM_STRIKE, {}, "striking", 0.6),
    ],
)
def test_a_baseline_beats_doing_nothing(id: str, arguments: dict, name: str, part: float) -> None:
    """**Arguments:** `part`: of the cost without it that may remain."""
    env = gymnasium.make(id, **arguments)
    for seed in (0, 1):
        assert episode(env, name, seed)[0] > part * episode(env, "zero", seed)[0]


@pytest.mark.parametrize("robot", ["admittance", "impedance"])
def test_the_cobot_carries_over_the_bar(robot: str) -> None:
    env = gymnasium.make(ARM_CO_TRANSPORT, robot={"impedance": "torque"}.get(robot, robot))
    for seed in (0, 1):
        _, _, summary = episode(env, robot, seed)
        assert summary["contact_force_peak"] == 0.0
        assert summary["path_error_peak"] < 0.012  # m
        assert summary["tilt_peak"] < np.radians(2)


def test_emg_becomes_the_moment_of_the_nominal_muscles() -> None:
    """Against MuJoCo: what these activations add to the moment about the knee of the whole world."""
    env = KneeExoEnv(task="seated", strength=1.0)
    observation, _ = env.reset(seed=1)
    for _ in range(30):
        observation = env.step(np.zeros(1, np.float32))[0]
    m, d = env.model, mujoco.MjData(env.model)
    seen = dict(zip(env.observation_names, observation.tolist(), strict=True))
    moments = []
    for on in (0.0, 1.0):
        d.qpos[:3] = seen["hip_angle"], seen["knee_angle"], seen["ankle_angle"]
        d.qvel[1] = seen["knee_velocity"]
        d.act[:12] = [on * seen[f"emg_{name}"] for name in env.task.world.muscles]
        mujoco.mj_fwdPosition(m, d)
        mujoco.mj_fwdVelocity(m, d)
        mujoco.mj_fwdActuation(m, d)
        moments.append(d.qfrc_actuator[1])
    added = moments[1] - moments[0]
    assert abs(added) > 1.0  # N·m
    assert EmgProportional(env.task, gain=1.0).torque(observation) == pytest.approx(added, rel=1e-6)


def test_gravity_is_compensated(tmp_path) -> None:
    """A leg without muscles stays where it is; half compensated, half of its fall is left at first."""
    leg = mujoco.MjSpec.from_file(str(assets.path("knee")))
    for muscle in leg.actuators:
        muscle.gainprm[2] = muscle.biasprm[2] = 1e-9
    leg.compile()
    (tmp_path / "limp.xml").write_text(leg.to_xml())
    env = KneeExoEnv(tmp_path / "limp.xml", task="seated", load=1.0)
    moved = {}
    for share in (0.0, 0.5, 1.0):
        act = GravityCompensation(env.task, share=share)
        observation, info = env.reset(seed=2, options={"draws": [0.0, 0.0, 0.0]})
        start = info["knee_angle"]
        for _ in range(15):
            observation, *_, info = env.step(act(observation))
        moved[share] = info["knee_angle"] - start
    assert moved[0.0] > 0.15  # rad
    assert moved[0.5] == pytest.approx(0.5 * moved[0.0], rel=0.15)
    assert abs(moved[1.0]) < 0.15 * moved[0.0]  # the straps give first


def test_impedance_leaves_the_robots_own_weight_to_the_environment() -> None:
    """At rest on its path, what is left is the share of the beam: J^T (0, m g)."""
    env = ArmCoTransportEnv(robot="torque")
    observation, _ = env.reset(seed=0)
    task = env.task
    action = ImpedanceTorque(task)(observation)
    q = env.data.qpos[[task.world.coordinate(f"cobot_{n}") for n in ("shoulder", "elbow", "wrist")]]
    bearing = task.robot.jacobian(q)[1] * task.transport.borne("tool") * 9.80665
    np.testing.assert_allclose(action * task.cobot.torque_limit, bearing, atol=0.2)


def test_the_controllers_name_is_checked() -> None:
    env = gymnasium.make(KNEE_EXO)
    with pytest.raises(InputError, match="choose one of zero, emg_proportional, gravity_compensation, tracking"):
        controller("pid", env)
    with pytest.raises(InputError, match="here choose one of zero, admittance, a policy"):
        controller("impedance", gymnasium.make(ARM_CO_TRANSPORT))
    with pytest.raises(InputError, match="does not exist"):
        controller("nowhere.zip", env)
    with pytest.raises(InputError, match="not an environment of mjx_msm"):
        controller("zero", gymnasium.make("CartPole-v1"))


def test_a_policy_without_its_library(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    path = tmp_path / "policy.zip"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"mjx-msm\[rl\]"):
        controller(path, gymnasium.make(KNEE_EXO), trust=True)


def test_a_policys_code_does_not_run_before_it_is_trusted(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even stable-baselines3 is asked; in Python and for `verify`, whose refusal comes before anything is run."""
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    path = tmp_path / "policy.zip"
    path.write_bytes(b"")
    env = gymnasium.make(KNEE_EXO)
    for ask in (lambda: controller(path, env), lambda: make_controller(str(path), env)):
        with pytest.raises(
            InputError, match=r"policy\.zip' is unpickled, .* say --trust \(in Python trust=True\)$"
        ) as e:
            ask()
        assert "\n" not in str(e.value)
    with pytest.raises(InputError, match=r"mjx-msm\[rl\]"):
        make_controller(str(path), env, trust=True)
