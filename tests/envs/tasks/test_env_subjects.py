"""Whose body an environment takes: files that can and cannot be used, and people in place of the nominal one."""

import subprocess
import sys

import equinox as eqx
import gymnasium
import jax
import mujoco
import numpy as np
import pytest

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO, make_task
from mjx_msm.envs.engines.c_engine import CEngine
from mjx_msm.envs.human.intent import Replay, Tracking
from mjx_msm.envs.human.leg import JOINTS
from mjx_msm.envs.human.people import with_native_muscles
from mjx_msm.person.model import load_model
from mjx_msm.person.muscle import FPMAX, MujocoMuscle
from mjx_msm.person.personalisation import export, native_muscles, native_range
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.readers.delimited import write_csv

VASLAT = "muscle/vaslat/max_isometric_force"
LED = ("hip_flexion", "ankle_angle")


def vaslat(env: gymnasium.Env) -> float:
    return env.unwrapped.model.actuator("vaslat").gainprm[2]


# Files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [KNEE_EXO, ARM_REACH, ARM_CO_TRANSPORT])
def test_subjects_that_cannot_be_used(tmp_path, id: str) -> None:
    def refused(words: str, subject, **kwargs) -> None:
        with pytest.raises(InputError, match=words) as caught:
            gymnasium.make(id, subject=subject, **kwargs)
        assert "\n" not in str(caught.value)

    refused("does not exist", tmp_path / "nobody")
    refused("identify", tmp_path)  # an empty folder
    (tmp_path / "broken.json").write_text("{")
    refused("not valid JSON", tmp_path / "broken.json")
    (tmp_path / "broken.xml").write_text("<mujoco><no/></mujoco>")
    refused("not an MJCF", tmp_path / "broken.xml")
    refused("is not a path", 3)
    other = "arm" if id == KNEE_EXO else "knee"
    refused("no body 'femur'" if id == KNEE_EXO else "no joint 'shoulder_elev'|joints", assets.path(other))
    own = load_model("knee" if id == KNEE_EXO else "arm").host.spec.copy()
    for actuator in list(own.actuators):
        own.delete(actuator)
    own.compile()
    (tmp_path / "weak.xml").write_text(own.to_xml())
    refused("no muscles", tmp_path / "weak.xml")
    refused("no identification to draw people from", None, sample_posterior=True)


def result_folder(folder, seconds: float = 0.5):
    """What `mjx-msm identify` leaves of a weaker person who walked."""
    model = load_model("knee", prescribed=LED)
    export(model, model.nominal.updated({VASLAT: 1234.5}), folder / "model.xml", subject="weaker")
    t = np.arange(-0.1, seconds, 0.005)
    columns = {f"excitation/{name}": 0.1 + 0.05 * np.sin(5 * t + i) for i, name in enumerate(model.muscles)}
    for joint, rate in zip(JOINTS, (4.0, 6.0, 5.0), strict=True):
        columns[f"position/{joint}"] = np.where(t < -1e-9, np.nan, 0.4 + 0.2 * np.sin(rate * t))
    columns["position/ankle_angle"] -= 0.4
    write_csv(folder / "excitation.csv", t, columns)
    return t, columns


def test_a_result_folder_is_replayed(tmp_path) -> None:
    t, _ = result_folder(tmp_path)
    env = gymnasium.make(KNEE_EXO, subject=str(tmp_path), strength=1.0)
    task = env.unwrapped.task
    assert isinstance(task.human.intent, Replay)
    assert vaslat(env) == pytest.approx(1234.5)
    env.reset(seed=0)
    start = env.unwrapped.data.qvel.copy()
    assert start[0] == pytest.approx(0.8, rel=0.01)
    assert start[task.world.coordinate("exo_pitch")] == pytest.approx(0.8, rel=0.01)  # the exoskeleton moves along
    truncated, steps = False, 0
    while not truncated:
        _, _, terminated, truncated, info = env.step(np.zeros(1, np.float32))
        assert not terminated
        steps += 1
        now = info["time"]
        hip, ankle = env.unwrapped.data.qpos[[0, 2]]
        assert hip == pytest.approx(0.4 + 0.2 * np.sin(4.0 * now), abs=1e-3)
        assert ankle == pytest.approx(0.2 * np.sin(5.0 * now), abs=1e-3)
        assert info["reference"] == pytest.approx(0.4 + 0.2 * np.sin(6.0 * now), abs=1e-5)
        # The excitation of the middle of the period, to the muscle.
        emg = dict(zip(env.unwrapped.observation_names, env.unwrapped._memory.sensors, strict=False))
        assert not emg  # no delayed sensors here: what is observed is now
        expected = 0.1 + 0.05 * np.sin(5 * (now - 0.01) + np.arange(12))
        np.testing.assert_allclose(env.unwrapped.data.ctrl[:12], expected, atol=1e-4)
    assert steps == pytest.approx(t[-1] * 50, abs=1)
    assert "summary" in info


def test_excitation_files_that_cannot_be_used(tmp_path) -> None:
    t, columns = result_folder(tmp_path)

    def refused(words: str, change: dict) -> None:
        kept = {k: v for k, v in {**columns, **change}.items() if v is not None}
        write_csv(tmp_path / "excitation.csv", t, kept)
        with pytest.raises(InputError, match=words):
            gymnasium.make(KNEE_EXO, subject=tmp_path).reset(seed=0)

    refused("no column position/knee_angle", {"position/knee_angle": None})
    refused("no excitation of vaslat", {"excitation/vaslat": None})
    hole = columns["excitation/soleus"].copy()
    hole[50] = np.nan
    refused("excitation at .* not finite", {"excitation/soleus": hole})
    refused("nowhere recorded", {"position/hip_flexion": np.full(len(t), np.nan)})


def test_an_identification_json_is_enough(tmp_path, knee, result_of) -> None:
    space = parameter_space(knee.nominal, [VASLAT])
    z = space.prior_mean + 0.1
    result = result_of(space, np.eye(1) * 1e4, z, source="knee", free=JOINTS)
    result.save(tmp_path / "identification.json")
    expected = float(space.physical(z)[0])
    assert expected != pytest.approx(float(knee.nominal.to_dict()[VASLAT]), rel=0.01)
    for subject in (tmp_path, tmp_path / "identification.json"):
        env = gymnasium.make(KNEE_EXO, subject=subject)
        assert vaslat(env) == pytest.approx(expected)
        assert isinstance(env.unwrapped.task.human.intent, Tracking)  # there is no recording


# People ----------------------------------------------------------------------------------------------------

FREE = [
    "muscle/*/max_isometric_force",
    "muscle/*/*_length",
    "muscle/*/*_time_constant",
    "muscle/*/max_contraction_velocity",
    "body/*/mass",
    "body/*/com/x",
    "body/*/com/z",
    "body/*/inertia/*",
    "joint/*/damping",
    "joint/*/stiffness",
]


def changed(model, seed: int):
    """A person who is different in everything there is, within the solver's bounds."""
    from mjx_msm.common.compiled import float64

    free = [pattern for pattern in FREE if _matches(model.nominal, pattern)]
    space = parameter_space(model.nominal, free)
    rng = np.random.default_rng(seed)
    with float64():
        z = space.clip(space.prior_mean + 0.03 * rng.uniform(-1, 1, space.size))
        return space.unpack(z)


def _matches(nominal, pattern: str) -> bool:
    try:
        parameter_space(nominal, [pattern])
    except InputError:
        return False
    return True


@pytest.mark.parametrize("name", ["arm", "knee"])
def test_becoming_somebody_is_loading_their_file(tmp_path, name: str, request) -> None:
    """The engine puts a person's numbers into the compiled model: it then moves as the file exported of them."""
    model = request.getfixturevalue(name)
    person = changed(model, 0)
    export(model, person, tmp_path / "model.xml")
    id = {"arm": ARM_REACH, "knee": KNEE_EXO}[name]
    other = make_task(id, subject=tmp_path / "model.xml")
    engines = CEngine(make_task(id).world), CEngine(other.world)
    engines[0].become(person)
    rng = np.random.default_rng(0)
    position = rng.uniform(0.2, 0.6, engines[0].model.nq) * (np.arange(engines[0].model.nq) < 3)
    muscles = len(other.world.muscles)
    for engine in engines:
        engine.start(position, np.zeros_like(position), np.full(muscles, 0.2), np.zeros(engine.model.nu - muscles))
    for _ in range(200):
        u = rng.uniform(0, 0.5, muscles)
        for engine in engines:
            engine.data.ctrl[:muscles] = u
            engine.data.qpos[3:] = 0.0  # the device hangs where it is
            _step(engine)
        np.testing.assert_allclose(engines[0].data.qpos, engines[1].data.qpos, atol=1e-11)
    for a, b in zip(engines[0].kinetics(), engines[1].kinetics(), strict=True):
        for x, y in zip(*(v if isinstance(v, tuple) else (v,) for v in (a, b)), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-8, atol=1e-8)
    nominal = CEngine(make_task(id).world)
    assert np.abs(engines[0].model.body_mass - nominal.model.body_mass).max() > 1e-3
    # And back.
    engines[0].become(None)
    for field in ("body_mass", "body_inertia", "body_iquat", "actuator_gainprm", "actuator_biasprm", "dof_damping"):
        np.testing.assert_array_equal(getattr(engines[0].model, field), getattr(nominal.model, field))


def _step(engine: CEngine) -> None:
    import mujoco

    mujoco.mj_step(engine.model, engine.data)
    mujoco.mj_step1(engine.model, engine.data)
    mujoco.mj_fwdActuation(engine.model, engine.data)


def test_a_person_is_put_into_the_world_by_name(arm) -> None:
    world = make_task(ARM_CO_TRANSPORT).world
    person = changed(arm, 1)
    whole = world.person_in(person)
    before, after, theirs = world.twin.nominal.to_dict(), whole.to_dict(), person.to_dict()
    assert any(path.startswith("body/beam") for path in after)
    for path, value in after.items():
        assert value == pytest.approx(theirs.get(path, before[path]), rel=1e-12)


def test_a_person_is_for_one_episode(arm) -> None:
    env = gymnasium.make(ARM_REACH).unwrapped
    plain, _ = env.reset(seed=0)
    after = [env.step(np.zeros(6))[0] for _ in range(20)][-1]
    env.reset(seed=0, options={"person": changed(arm, 2)})
    other = [env.step(np.zeros(6))[0] for _ in range(20)][-1]
    assert np.abs(other - after).max() > 1e-3
    again, _ = env.reset(seed=0)
    np.testing.assert_array_equal(again, plain)
    np.testing.assert_array_equal([env.step(np.zeros(6))[0] for _ in range(20)][-1], after)


@pytest.fixture
def cohort(tmp_path, arm, result_of):
    """A folder about somebody of whom two muscles and a mass are known to some 10 %."""
    free = ["muscle/BRA/max_isometric_force", "muscle/TRIlong/max_isometric_force", "body/forearm/mass"]
    space = parameter_space(arm.nominal, free)
    result = result_of(space, np.eye(3) / 0.1**2)
    result.save(tmp_path / "identification.json")
    result.export(tmp_path / "model.xml")
    return tmp_path


def test_everybody_is_drawn_from_the_posterior(cohort) -> None:
    env = gymnasium.make(ARM_REACH, subject=str(cohort), sample_posterior=True).unwrapped
    people = env.task.people
    seen, forces = [], []
    for seed in range(40):
        _, info = env.reset(seed=seed)
        seen.append(info["person"])
        bra = env.model.actuator("BRA").gainprm[2]
        drawn = people.draw(info["person"])
        assert bra == pytest.approx(float(drawn.muscle.max_isometric_force[drawn.names.muscle.index("BRA")]))
        forces.append(bra)
    assert len(set(seen)) > 20
    nominal = env.task.world.model.actuator("BRA").gainprm[2]
    assert 0.03 < np.std(forces) / nominal < 0.3
    # One of them by number; the same seed draws the same one.
    _, info = env.reset(seed=0, options={"person": 7})
    assert info["person"] == 7
    assert env.reset(seed=3)[1]["person"] == seen[3]
    with pytest.raises(InputError, match="person 100000"):
        env.reset(options={"person": 100000})


def test_people_of_another_law_are_drawn_by_the_fit_of_the_file(tmp_path) -> None:
    """The estimate has the muscles of its file; somebody else some that pull as theirs do under the law."""
    model = load_model("arm", muscle="degroote")
    who = model.nominal
    other = eqx.tree_at(
        lambda p: (p.muscle.max_isometric_force, p.muscle.optimal_fiber_length),
        who,
        (1.3 * who.muscle.max_isometric_force, 1.03 * who.muscle.optimal_fiber_length),
    )
    drawn = with_native_muscles(model, jax.tree.map(lambda x, y: np.stack([x, y]), who, other), who).muscle
    file = mujoco.MjModel.from_xml_path(str(export(model, who, tmp_path / "model.xml", allow_approximation=True)))
    gain = file.actuator_gainprm
    low, high = native_range(jax.tree.map(lambda x: x[0], drawn), file.actuator_lengthrange)
    found = [low, high, drawn.max_isometric_force[0], drawn.max_contraction_velocity[0]]
    np.testing.assert_allclose(np.transpose(found), gain[:, [0, 1, 2, 6]], rtol=1e-5)
    np.testing.assert_allclose(drawn.passive_force_scale[0] * FPMAX, gain[:, 7], rtol=1e-5, atol=1e-9)
    p, rng = other.muscle, np.random.default_rng(0)
    along, fastest = p.optimal_fiber_length * np.cos(p.pennation_angle), p.optimal_fiber_length * 10
    length = p.tendon_slack_length + rng.uniform(0.6, 1.4, (300, len(along))) * along
    at = (
        rng.uniform(0, 1, length.shape),
        np.clip(length, *file.actuator_lengthrange.T),
        fastest * rng.uniform(-0.3, 0.3),
    )
    curves = MujocoMuscle(lmin=gain[:, 4], lmax=gain[:, 5], fvmax=gain[:, 8])

    def missed(muscle):
        error = curves.tension(muscle, *at) - model.muscle.tension(p, *at)
        return float(np.sqrt(np.mean((error / p.max_isometric_force) ** 2)))

    found = missed(jax.tree.map(lambda x: x[1], drawn))
    assert found < 0.04  # 3 % of F0, as the fits themselves
    assert found < 0.7 * missed(native_muscles(model, p))  # as they were, beside the curves of the file


@pytest.mark.slow
@pytest.mark.parametrize("model", [True, False])
def test_drawn_people_in_processes_do_not_hang(cohort, model: bool) -> None:
    """The workers of `AsyncVectorEnv` are forked and use JAX, which the parent may have used too."""
    if not model:
        (cohort / "model.xml").unlink()
    code = (
        "import gymnasium, numpy as np, mjx_msm.envs\n"
        f"make = lambda: gymnasium.make('{ARM_REACH}', subject={str(cohort)!r}, sample_posterior=True)\n"
        "vector = gymnasium.vector.AsyncVectorEnv([make, make])\n"
        "_, info = vector.reset(seed=[1, 2])\n"
        "vector.step(vector.action_space.sample())\n"
        "print(info['person'])\n"
        "vector.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    one, two = done.stdout.strip().strip("[]").split()
    assert one != two
