"""The exoskeleton's mechanics, motion prescribed in C, and the environment as a Gymnasium citizen."""

import pickle
import subprocess
import sys
import warnings

import gymnasium
import jax
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo

import mjx_msm.envs
from mjx_msm import assets
from mjx_msm._mjx import import_mjx
from mjx_msm.compiled import COMPILER_OPTIONS
from mjx_msm.envs.exoskeleton import CUFFS, JOINTS, Coupling, Exoskeleton, wear
from mjx_msm.envs.human import Recorded, Seated
from mjx_msm.envs.knee_exo import KneeExoEnv
from mjx_msm.errors import InputError
from mjx_msm.model import load_model
from mjx_msm.personalisation import export
from mjx_msm.prescribed import PrescribedMotion, constraint_reason
from mjx_msm.readers import write_csv
from mjx_msm.simulation import initial_state, rollout

ENV = mjx_msm.envs.KNEE_EXO
HELD = ("hip_flexion", "ankle_angle")


def bare_leg() -> mujoco.MjSpec:
    """The generic leg without its muscles' pull: what is left is mechanics."""
    spec = mujoco.MjSpec.from_file(str(assets.path("knee")))
    for actuator in spec.actuators:
        actuator.gainprm[2] = actuator.biasprm[2] = 1e-9
    return spec


@pytest.fixture(scope="module")
def worn() -> mujoco.MjModel:
    return wear(bare_leg()).compile()


def stands(m: mujoco.MjModel, hip: float = 0.9, knee: float = 0.8) -> mujoco.MjData:
    """The leg still, the exoskeleton on it without strain."""
    d = mujoco.MjData(m)
    d.qpos[:3] = hip, knee, 0.0
    Coupling(m).align(d)
    return d


def refresh(m: mujoco.MjModel, d: mujoco.MjData) -> None:
    mujoco.mj_fwdPosition(m, d)
    mujoco.mj_fwdVelocity(m, d)
    mujoco.mj_fwdActuation(m, d)


# Prescribed motion -----------------------------------------------------------------------------------------


def test_prescribed_motion_is_the_rollout_of_the_device() -> None:
    with jax.enable_x64(True):
        model = load_model("knee", prescribed=HELD)
        h, steps, count = model.timestep, 1000, len(model.muscles)
        t, rng = h * np.arange(steps + 1), np.random.default_rng(0)
        held = np.stack([0.6 + 0.5 * np.sin(7 * t), 0.15 * np.sin(12 * t + 1)], axis=-1)
        phase, rate = rng.uniform(0, 6, count), rng.uniform(3, 12, count)
        excitation = rng.uniform(0, 0.3, count) * (0.5 + 0.5 * np.sin(np.outer(t[:-1], rate) + phase))
        start = initial_state(model, {HELD[0]: held[0, 0], HELD[1]: held[0, 1], "knee_angle": 0.7}, activation=0.05)
        device = rollout(model, model.nominal, start, excitation, prescribed=held)
        assert device.ok
        expected = np.asarray(device.position)

    m = model.host.mj_model
    d, motion = mujoco.MjData(m), PrescribedMotion(m, HELD)
    d.qpos[:], d.act[:] = np.asarray(start.position), np.asarray(start.activation)
    d.qvel[[0, 2]] = (held[1] - held[0]) / h  # the rollout, too, starts at the speed of the held motion
    position = [d.qpos.copy()]
    for k in range(steps):
        d.ctrl[:] = excitation[k]
        motion.step(d, held[k + 1])
        position.append(d.qpos.copy())
    assert np.abs(np.array(position) - expected).max() < 1e-9
    assert np.ptp(expected[:, 1]) > 0.3  # the knee did move
    assert np.abs(np.array(position)[:, [0, 2]] - held).max() < 1e-12


def test_nothing_prescribed_is_a_plain_step(worn: mujoco.MjModel) -> None:
    ours, theirs = stands(worn), stands(worn)
    motion = PrescribedMotion(worn, [])
    for k in range(200):
        ours.ctrl[-1] = theirs.ctrl[-1] = 5 * np.sin(0.1 * k)
        motion.step(ours, [])
        mujoco.mj_step(worn, theirs)
    assert np.array_equal(ours.qpos, theirs.qpos)


def test_holding_force_is_what_inverse_dynamics_asks_for(worn: mujoco.MjModel) -> None:
    d, motion = stands(worn), PrescribedMotion(worn, HELD)
    d.qvel[:] = np.random.default_rng(1).normal(0, 0.3, worn.nv)
    before, velocity = d.qpos.copy(), d.qvel.copy()
    force = motion.step(d, before[[0, 2]] + 0.001)
    check = mujoco.MjData(worn)
    check.qpos[:], check.qvel[:], check.qacc[:] = before, velocity, (d.qvel - velocity) / worn.opt.timestep
    mujoco.mj_inverse(worn, check)
    implicit = worn.opt.timestep * worn.dof_damping * check.qacc
    np.testing.assert_allclose((check.qfrc_inverse + implicit)[[0, 2]], force, rtol=1e-9)


def test_prescribing_what_cannot_be_is_refused(worn: mujoco.MjModel) -> None:
    with pytest.raises(InputError, match="'hip' is not in the model"):
        PrescribedMotion(worn, ["hip"])
    with pytest.raises(InputError, match="twice"):
        PrescribedMotion(worn, ["exo_x", "exo_x"])
    limited = mujoco.MjModel.from_xml_string(
        "<mujoco><option integrator='Euler'/><worldbody><body><joint name='a' range='-1 1' limited='true'/>"
        "<geom size='.1' contype='0' conaffinity='0'/></body></worldbody></mujoco>"
    )
    with pytest.raises(InputError, match="joint or tendon limit"):
        PrescribedMotion(limited, ["a"])


# Mechanics -------------------------------------------------------------------------------------------------


def test_worn_model(worn: mujoco.MjModel) -> None:
    names = [worn.joint(j).name for j in range(worn.njnt)]
    assert names == [*JOINTS, "exo_x", "exo_z", "exo_pitch", "exo_knee"]
    assert constraint_reason(worn) is None
    assert assets.names() == ("arm", "knee")
    mass = worn.body("exo_thigh").mass[0] + worn.body("exo_shank").mass[0]
    assert 1.5 < mass < 3.0
    # A file of it is an ordinary MJCF which steps the same.
    again = mujoco.MjModel.from_xml_string(wear(bare_leg()).to_xml())
    np.testing.assert_allclose(again.body_mass, worn.body_mass, rtol=1e-6)
    np.testing.assert_allclose(again.tendon_lengthspring, worn.tendon_lengthspring, rtol=1e-5)


def test_mjx_steps_the_same_model(worn: mujoco.MjModel) -> None:
    d, motion = stands(worn), PrescribedMotion(worn, [])
    d.ctrl[:-1], d.ctrl[-1] = 0.1, -10.0
    with jax.enable_x64(True):
        mjx = import_mjx()
        device = mjx.put_model(worn)
        x = mjx.make_data(worn).replace(qpos=d.qpos.copy(), qvel=d.qvel.copy(), ctrl=jax.numpy.array(d.ctrl))
        step = jax.jit(lambda x: mjx.step(device, x), compiler_options=COMPILER_OPTIONS)
        for _ in range(100):
            x = step(x)
            motion.step(d, [])
        assert np.abs(np.asarray(x.qpos) - d.qpos).max() < 1e-12


def test_straps_start_at_their_pretension_and_cancel(worn: mujoco.MjModel) -> None:
    d, coupling = stands(worn), Coupling(worn)
    refresh(worn, d)
    for cuff in CUFFS:
        load = coupling.load(d, cuff)
        np.testing.assert_allclose(load.tension, 40.0, atol=1e-6)
        assert np.linalg.norm(load.force) < 1e-6
        assert abs(load.moment) < 1e-6
        assert load.displacement < 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_action_equals_reaction_and_straps_never_push(worn: mujoco.MjModel, seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, coupling = stands(worn, *rng.uniform(0.2, 1.5, 2)), Coupling(worn)
    d.qpos[3:] += rng.normal(0, (0.015, 0.015, 0.1, 0.1))
    d.qvel[:] = rng.normal(0, (0.5, 0.5, 0.5, 0.05, 0.05, 0.5, 0.5))
    refresh(worn, d)
    loads = {cuff: coupling.load(d, cuff) for cuff in CUFFS}
    assert all((load.tension >= 0).all() for load in loads.values())
    assert min(load.tension.min() for load in loads.values()) == 0.0 or seed  # at least one state has a slack strap
    # What MuJoCo applies to the exoskeleton's slides is the opposite of what we report on the leg.
    axes = d.xaxis[3:5]
    total = sum(load.force for load in loads.values())
    np.testing.assert_allclose(d.qfrc_passive[3:5], -axes @ total, atol=1e-9)
    # What it applies to the human knee, besides the joint's own damping, is the shank cuff's moment.
    own = -worn.dof_damping[1] * d.qvel[1]
    assert d.qfrc_passive[1] - own == pytest.approx(loads["shank"].moment, abs=1e-9)


@pytest.mark.parametrize("torque", [-15.0, -8.0, 8.0, 15.0])
def test_motor_torque_reaches_the_knee_through_the_straps(worn: mujoco.MjModel, torque: float) -> None:
    d, coupling, hold = stands(worn), Coupling(worn), PrescribedMotion(worn, JOINTS)
    pose, holding, moments = d.qpos[:3].copy(), [], []
    for command in (0.0, torque):
        d.ctrl[-1] = command
        for _ in range(1500):
            force = hold.step(d, pose)
        refresh(worn, d)
        holding.append(force[1])
        moments.append(coupling.load(d, "shank").moment)
    assert np.abs(d.qvel).max() < 1e-5
    # Static: whoever holds the knee still bears the motor's torque less, and that is what the shank cuff brings.
    assert holding[1] - holding[0] == pytest.approx(moments[0] - moments[1], abs=1e-6)
    # It is not quite the motor's: the knees' axes drift apart as the straps give.
    assert moments[1] - moments[0] == pytest.approx(torque, rel=0.04 if abs(torque) < 10 else 0.08)
    for cuff in CUFFS:
        load = coupling.load(d, cuff)
        assert abs(torque) / 0.35 < np.linalg.norm(load.force) < abs(torque) / 0.1 + 15
        assert load.tension.max() < 110
        assert load.displacement < 0.01


def test_only_the_straps_carry_the_exoskeleton(worn: mujoco.MjModel) -> None:
    d, coupling, hold = stands(worn, 0.0, 0.0), Coupling(worn), PrescribedMotion(worn, JOINTS)
    for _ in range(2000):
        hold.step(d, np.zeros(3))
    refresh(worn, d)
    mass = worn.body("exo_thigh").mass[0] + worn.body("exo_shank").mass[0]
    weight = -sum(coupling.load(d, cuff).force[2] for cuff in CUFFS)
    assert weight == pytest.approx(mass * 9.80665, rel=1e-4)
    assert -0.005 < d.qpos[4] < 0  # it sags by millimetres


def test_energy_only_falls_when_nothing_drives(worn: mujoco.MjModel) -> None:
    m = wear(bare_leg()).compile()
    m.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    m.opt.timestep = 1e-4  # the claim is about the mechanics, not the integrator
    d, hold = stands(m), PrescribedMotion(m, JOINTS)
    pose = d.qpos[:3].copy()
    d.qpos[3:] += (0.01, -0.01, 0.1, -0.15)
    energy = []
    for _ in range(5000):
        hold.step(d, pose)
        refresh(m, d)
        mujoco.mj_energyPos(m, d)
        mujoco.mj_energyVel(m, d)
        energy.append(d.energy.sum())
    energy = np.array(energy)
    assert energy[0] - energy[-1] > 1.0
    assert np.diff(energy).max() < 2e-4 * (energy[0] - energy[-1])
    # At the environment's own timestep a rough start still comes to rest.
    d = stands(worn)
    d.qpos[3:] += (0.03, -0.03, 0.3, -0.4)
    rest = PrescribedMotion(worn, JOINTS)
    for _ in range(2000):
        rest.step(d, pose)
    assert np.abs(d.qvel).max() < 1e-3


def test_motor() -> None:
    device = Exoskeleton()
    assert device.available_torque(100, 0.0) == device.torque_limit
    assert device.available_torque(-100, 6.0) == -device.torque_limit  # braking
    assert device.available_torque(100, 6.0) == pytest.approx(device.torque_limit / 2)
    assert device.available_torque(100, 20.0) == 0.0
    assert device.available_torque(3.0, 6.0) == 3.0
    m = wear(bare_leg(), Exoskeleton(bandwidth=10.0)).compile()
    d, hold = stands(m), PrescribedMotion(m, JOINTS)
    d.ctrl[-1] = 10.0
    for _ in range(16):  # one time constant of 10 Hz
        hold.step(d, d.qpos[:3].copy())
    assert d.act[-1] == pytest.approx(10 * (1 - np.exp(-1)), rel=0.01)


def test_device_numbers_are_checked() -> None:
    with pytest.raises(InputError, match="no 'torque'"):
        Exoskeleton.of({"torque": 3.0})
    with pytest.raises(InputError, match="torque_limit = -1"):
        Exoskeleton(torque_limit=-1)
    with pytest.raises(InputError, match="strap_pretension"):
        wear(bare_leg(), Exoskeleton(strap_pretension=5000.0))


# The environment -------------------------------------------------------------------------------------------


def test_registering_loads_nothing_heavy() -> None:
    code = "import sys, mjx_msm.envs; print([m for m in ('jax', 'mujoco', 'matplotlib', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_gymnasium_has_no_complaint() -> None:
    env = gymnasium.make(f"mjx_msm.envs:{ENV}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def play(env: gymnasium.Env, seed: int, steps: int = 60) -> list:
    observation, info = env.reset(seed=seed)
    rng, out = np.random.default_rng(7), [observation]
    for _ in range(steps):
        observation, reward, terminated, _, info = env.step(rng.uniform(-1, 1, 1).astype(np.float32))
        assert env.observation_space.contains(observation)
        assert not terminated
        out += [observation, reward, info["thigh_force"], info["tracking_error"]]
    return out


def test_seeds_reproduce_to_the_bit() -> None:
    env = gymnasium.make(ENV)
    first, second, other = play(env, 3), play(env, 3), play(gymnasium.make(ENV), 4)
    again = play(pickle.loads(pickle.dumps(env.unwrapped)), 3)
    for a, b, c in zip(first, second, again, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)
    assert not np.array_equal(first[0], other[0])
    assert env.spec is not None
    assert env.spec.make().observation_space == env.observation_space


def test_a_whole_episode_with_and_without_help() -> None:
    error = {}
    for gain in (0.0, 80.0):
        env = gymnasium.make(ENV)
        unwrapped = env.unwrapped
        names = unwrapped.observation_names
        see = {name: names.index(name) for name in ("knee_angle", "knee_velocity", "reference_50ms")}
        observation, info = env.reset(seed=0)
        assert info["tracking_error"] < 1e-9
        errors, steps, truncated = [], 0, False
        while not truncated:
            miss = observation[see["reference_50ms"]] - observation[see["knee_angle"]]
            torque = gain * miss - 0.05 * gain * observation[see["knee_velocity"]]
            action = np.clip([torque / unwrapped.exoskeleton.torque_limit], -1, 1).astype(np.float32)
            observation, _, terminated, truncated, info = env.step(action)
            assert not terminated
            assert env.observation_space.contains(observation)
            assert abs(info["robot_torque"]) <= unwrapped.exoskeleton.torque_limit
            assert max(info["thigh_strap"], info["shank_strap"]) < 150
            assert max(info["thigh_displacement"], info["shank_displacement"]) < 0.02
            # Hip and ankle are led exactly.
            assert abs(unwrapped.data.qpos[0] - unwrapped.human.hip) < 1e-12
            errors.append(info["tracking_error"])
            steps += 1
        assert steps == 1000
        error[gain] = np.sqrt(np.mean(np.square(errors)))
    assert error[80.0] < 0.5 * error[0.0]


def test_the_muscles_matter() -> None:
    def reach(strength: float) -> float:
        env = gymnasium.make(ENV, strength=strength)
        env.reset(seed=0)
        return float(np.mean([env.step(np.zeros(1, np.float32))[4]["tracking_error"] for _ in range(300)]))

    assert reach(1.0) < 0.06
    assert reach(0.4) > 0.15


def test_video(tmp_path) -> None:
    env = gymnasium.make(ENV, render_mode="rgb_array", width=160, height=120)
    env.reset(seed=0)
    assert env.render().shape == (120, 160, 3)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        video = RecordVideo(env, str(tmp_path / "video"), video_length=10, disable_logger=True)
        video.reset(seed=0)
        for _ in range(12):
            video.step(video.action_space.sample())
        video.close()
    assert [p for p in tmp_path.glob("video/*.mp4") if p.stat().st_size > 1000]
    env.close()


@pytest.mark.parametrize(
    ("action", "words"),
    [(np.array([np.nan]), "finite"), (np.zeros(2), r"shape \(2,\)"), (0.5, r"shape \(\)"), (["a"], "not a number")],
)
def test_bad_actions(action, words: str) -> None:
    env = gymnasium.make(ENV, disable_env_checker=True).unwrapped
    with pytest.raises(InputError, match="before reset"):
        env.step(np.zeros(1))
    env.reset(seed=0)
    with pytest.raises(InputError, match=words):
        env.step(action)


def test_a_state_that_is_not_finite_terminates() -> None:
    env = gymnasium.make(ENV).unwrapped
    env.reset(seed=0)
    env.data.qvel[1] = np.nan
    observation, reward, terminated, truncated, _ = env.step(np.zeros(1, np.float32))
    assert terminated
    assert not truncated
    assert np.isfinite(reward)
    assert env.observation_space.contains(observation)
    observation, _ = env.reset(seed=0)
    assert np.isfinite(observation).all()


# Subjects --------------------------------------------------------------------------------------------------


def test_subjects_that_cannot_be_used(tmp_path) -> None:
    def refused(words: str, subject, **kwargs) -> None:
        with pytest.raises(InputError, match=words):
            gymnasium.make(ENV, subject=subject, **kwargs)

    refused("does not exist", tmp_path / "nobody")
    refused("identify", tmp_path)  # an empty folder
    (tmp_path / "broken.json").write_text("{")
    refused("not valid JSON", tmp_path / "broken.json")
    (tmp_path / "broken.xml").write_text("<mujoco><no/></mujoco>")
    refused("not an MJCF", tmp_path / "broken.xml")
    refused("is not a path", 3)
    refused("no body 'femur'", assets.path("arm"))
    refused("strength", None, strength=-1.0)
    with pytest.raises(InputError, match="render_mode"):
        KneeExoEnv(render_mode="ascii")


def result_folder(folder, seconds: float = 0.5):
    """What `mjx-msm identify` leaves of a weaker person who walked."""
    model = load_model("knee", prescribed=HELD)
    path = "muscle/vaslat/max_isometric_force"
    weaker = model.nominal.updated({path: 1234.5})
    export(model, weaker, folder / "model.xml", subject="weaker")
    t = np.arange(-0.1, seconds, 0.005)
    columns = {f"excitation/{name}": 0.1 + 0.05 * np.sin(5 * t + i) for i, name in enumerate(model.muscles)}
    for joint, rate in zip(JOINTS, (4.0, 6.0, 5.0), strict=True):
        columns[f"position/{joint}"] = np.where(t < -1e-9, np.nan, 0.4 + 0.2 * np.sin(rate * t))
    columns["position/ankle_angle"] -= 0.4
    write_csv(folder / "excitation.csv", t, columns)
    return t, columns


def test_a_result_folder_is_replayed(tmp_path) -> None:
    t, _ = result_folder(tmp_path)
    env = gymnasium.make(ENV, subject=str(tmp_path), strength=1.0)
    unwrapped = env.unwrapped
    assert isinstance(unwrapped.human, Recorded)
    assert unwrapped.leg.actuator("vaslat").gainprm[2] == pytest.approx(1234.5)
    env.reset(seed=0)
    velocity = 0.2 * 4.0
    assert unwrapped.data.qvel[0] == pytest.approx(velocity, rel=0.01)
    assert unwrapped.data.qvel[5] == pytest.approx(velocity, rel=0.01)  # the exoskeleton moves along
    truncated, steps = False, 0
    while not truncated:
        _, _, terminated, truncated, info = env.step(np.zeros(1, np.float32))
        assert not terminated
        steps += 1
        now = info["time"]
        assert unwrapped.data.qpos[0] == pytest.approx(0.4 + 0.2 * np.sin(4.0 * now), abs=1e-5)
        assert unwrapped.data.qpos[2] == pytest.approx(0.2 * np.sin(5.0 * now), abs=1e-5)
        assert info["reference"] == pytest.approx(0.4 + 0.2 * np.sin(6.0 * now), abs=1e-5)
        assert info["thigh_displacement"] < 0.01
    assert steps == pytest.approx((t[-1]) * 100, abs=1)


def test_excitation_files_that_cannot_be_used(tmp_path) -> None:
    t, columns = result_folder(tmp_path)

    def refused(words: str, change: dict) -> None:
        kept = {k: v for k, v in {**columns, **change}.items() if v is not None}
        write_csv(tmp_path / "excitation.csv", t, kept)
        with pytest.raises(InputError, match=words):
            gymnasium.make(ENV, subject=tmp_path).reset(seed=0)

    refused("no column position/knee_angle", {"position/knee_angle": None})
    refused("no excitation of vaslat", {"excitation/vaslat": None})
    hole = columns["excitation/soleus"].copy()
    hole[50] = np.nan
    refused("excitation at .* not finite", {"excitation/soleus": hole})
    refused("nowhere recorded", {"position/hip_flexion": np.full(len(t), np.nan)})


def test_an_identification_json_is_enough(tmp_path) -> None:
    from mjx_msm.identification import Identification, Outcome

    Identification(
        subject="weaker",
        source="knee",
        muscle_model="mujoco",
        timestep=0.001,
        free=("knee_angle",),
        prescribed=HELD,
        locked={},
        channels=(),
        emg_map={},
        outcome=Outcome.CONVERGED,
        parameters={"muscle/vaslat/max_isometric_force": 1234.5},
        estimates=(),
        z=(),
        covariance=(),
        fits=(),
        stages=(),
        seed=0,
        versions={},
    ).save(tmp_path / "identification.json")
    for subject in (tmp_path, tmp_path / "identification.json"):
        env = gymnasium.make(ENV, subject=subject).unwrapped
        assert env.leg.actuator("vaslat").gainprm[2] == pytest.approx(1234.5)
        assert isinstance(env.human, Seated)
