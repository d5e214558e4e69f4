"""One edit, two interpreters: random subjects on the device against their exported files in plain MuJoCo."""

import os
import re
from importlib.metadata import version

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.common.files import write_text
from mjx_msm.dynamics.simulation import State, initial_state, rollout
from mjx_msm.person import personalisation
from mjx_msm.person.inertia import inertia_matrix
from mjx_msm.person.model import load_model
from mjx_msm.person.native_fit import FIBERS
from mjx_msm.person.personalisation import export, personalise, personalised_spec
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.replay import Replay

pytestmark = pytest.mark.usefixtures("x64")

SECOND = {"arm": 500, "knee": 1000}
SUBJECTS = 3


@pytest.fixture(scope="session")
def models(arm):
    return {"arm": arm, "knee": load_model("knee", passive=["knee_angle"])}


def random_subject(model, seed):
    """Every parameter anywhere within its bounds: full inertias, centres of mass off every axis."""
    space = parameter_space(model.nominal, ["*"])
    z = np.random.default_rng(seed).uniform(space.lower, space.upper)
    return jax.tree.map(np.asarray, space.unpack(jnp.asarray(z)))


def assert_same_parameters(got, expected, rtol=1e-9):
    a, b = got.to_dict(), expected.to_dict()
    for group in (got.body.inertia, expected.body.inertia):
        assert np.abs(group[:, 3:]).max() > 1e-4, "products of inertia are part of the test"
    for path, value in b.items():
        scale = abs(value)
        if "/inertia/" in path:  # the eigendecomposition in between is exact to the largest moment
            scale = np.abs(expected.body.inertia[expected.names.body.index(path.split("/")[1])]).max()
        assert abs(a[path] - value) <= rtol * scale, path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arm", "knee"])
def test_exported_subject_steps_to_the_same_trajectory(name, models, tmp_path, step_in_c, smooth_excitation):
    rng = np.random.default_rng(7)
    moved = []
    for seed in range(SUBJECTS):
        model, steps = models[name], SECOND[name]
        parameters = random_subject(model, seed)
        mj = mujoco.MjModel.from_xml_path(str(export(model, parameters, tmp_path / f"{seed}.xml")))
        if mj.opt.timestep != model.timestep:  # RK4 does not hold at the model's own
            model = load_model(name, timestep=mj.opt.timestep, passive=["knee_angle"] if name == "knee" else [])
        for j, body in enumerate(parameters.names.body):
            b = mj.body(body).id
            full = np.asarray(inertia_matrix(jnp.asarray(parameters.body.inertia[j])))
            np.testing.assert_allclose(mj.body_inertia[b], np.linalg.eigvalsh(full)[::-1], rtol=1e-9)
        u = smooth_excitation(seed, model.timestep, steps, len(model.muscles))
        q0, v0 = rng.uniform(0, 0.8, len(model.coordinates)), rng.normal(size=len(model.coordinates))
        a0 = rng.uniform(0, 1, len(model.muscles))
        start = State(jnp.asarray(q0), jnp.asarray(v0), jnp.asarray(a0))
        result = rollout(model, parameters, start, jnp.asarray(u))
        q, v, a = step_in_c(mj, q0, v0, a0, u)
        assert result.ok
        np.testing.assert_allclose(result.position, q, rtol=0, atol=1e-9)
        np.testing.assert_allclose(result.velocity, v, rtol=0, atol=1e-7)
        np.testing.assert_allclose(result.activation, a, rtol=0, atol=1e-11)
        other = rollout(model, model.nominal, start, jnp.asarray(u))
        moved.append(np.abs(other.position - result.position).max())
    assert min(moved) > 0.05, "the parameters have to matter"


DERIVED = (
    "body_mass", "body_ipos", "body_inertia", "body_subtreemass", "body_invweight0", "dof_M0", "dof_invweight0",
    "dof_damping", "jnt_stiffness", "tendon_invweight0", "tendon_length0", "tendon_stiffness", "tendon_lengthspring",
    "actuator_acc0", "actuator_lengthrange", "actuator_gainprm", "actuator_biasprm", "actuator_dynprm",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arm", "knee"])
def test_derived_constants_and_reloaded_parameters(name, models, tmp_path):
    model = models[name]
    on_device = jit(personalise)
    for seed in range(SUBJECTS):
        parameters = random_subject(model, 10 + seed)
        path = export(model, parameters, tmp_path / "subject.xml")
        mj = mujoco.MjModel.from_xml_path(str(path))
        device = on_device(model, parameters)
        for field in DERIVED:
            got, expected = np.asarray(getattr(device, field)), getattr(mj, field)
            atol = 1e-12 * max(np.abs(expected).max(), 1e-300)
            np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-9, atol=atol, err_msg=field)
        np.testing.assert_allclose(device.stat.meaninertia, mj.stat.meaninertia, rtol=1e-9)
        for b in model.host.body_ids:  # principal axes have no sign; the inertia they make has
            full = []
            for m in (device, mj):
                turn = np.zeros(9)
                mujoco.mju_quat2Mat(turn, np.asarray(m.body_iquat[b], dtype=float))
                turn = turn.reshape(3, 3)
                full.append(turn @ np.diag(m.body_inertia[b]) @ turn.T)
            np.testing.assert_allclose(full[0], full[1], rtol=0, atol=1e-12 * np.abs(full[1]).max())
        again = load_model(path)
        assert again.host.notes == ()
        assert again.nominal.names == model.nominal.names
        usual = model.nominal.to_dict()
        lacks = ("pennation_angle", "passive_fiber_strain", "tendon_strain")  # the native muscle's are fixed
        native = parameters.updated({path: usual[path] for path in usual if path.endswith(lacks)})
        assert_same_parameters(again.nominal, native)


def test_nominal_export_is_the_model_itself(arm, tmp_path):
    path = export(arm, arm.nominal, tmp_path / "arm.xml")
    got, expected = mujoco.MjModel.from_xml_path(str(path)), arm.host.mj_model
    for field in (*DERIVED, "geom_size", "geom_pos", "geom_rgba", "site_pos", "jnt_axis", "mat_rgba", "tendon_rgba"):
        a, b = getattr(got, field), getattr(expected, field)
        if field == "body_inertia":  # a full inertia is diagonalised in descending order
            a, b = np.sort(a), np.sort(b)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(b).max(), err_msg=field)
    assert got.opt.timestep == expected.opt.timestep


def test_numbers_read_back_bit_for_bit(arm, tmp_path):
    """Also numbers that single precision could hold, as a float32 identification gives them."""
    single = jax.tree.map(lambda x: np.asarray(x, np.float32).astype(float), random_subject(arm, 5))
    for parameters in (random_subject(arm, 4), single):
        mj = mujoco.MjModel.from_xml_path(str(export(arm, parameters, tmp_path / "a.xml")))
        bodies = arm.host.body_ids
        np.testing.assert_array_equal(mj.body_mass[bodies], parameters.body.mass)
        np.testing.assert_array_equal(mj.body_ipos[bodies], parameters.body.com)
        np.testing.assert_array_equal(mj.dof_damping, parameters.joint.damping)
        np.testing.assert_array_equal(mj.jnt_stiffness, parameters.joint.stiffness)
        np.testing.assert_array_equal(mj.actuator_gainprm[:, 2], parameters.muscle.max_isometric_force)
        np.testing.assert_array_equal(mj.actuator_dynprm[:, 0], parameters.muscle.activation_time_constant)


@pytest.mark.parametrize("name", ["arm", "knee"])
def test_credit_versions_and_subject_are_carried(name, models, tmp_path):
    model = models[name]
    subject = 'A. & "B" <c> -- d'
    path = export(model, model.nominal, tmp_path / "subject.xml", subject=subject)
    credit = next(t.data for t in model.host.spec.texts if t.name == "credit")
    assert "CC-BY" in credit
    for _ in range(2):  # a second generation carries them too
        spec = mujoco.MjSpec.from_file(str(path))
        texts = {t.name: t.data for t in spec.texts}
        assert texts["credit"] == credit
        assert texts["subject"] == subject
        assert f"mjx_msm {version('mjx-msm')}" in texts["mjx_msm"]
        assert mujoco.__version__ in texts["mjx_msm"]
        head = path.read_text(encoding="utf-8").split("-->")[0]
        assert credit.replace("--", "—") in head
        again = load_model(path)
        path = export(again, again.nominal, tmp_path / "again.xml", subject=subject)
    assert [t.name for t in model.host.spec.texts].count("subject") == 0, "the model itself is never edited"


def test_the_model_is_not_edited(arm, tmp_path):
    before = arm.host.spec.to_xml()
    export(arm, random_subject(arm, 1), tmp_path / "x.xml")
    personalised_spec(arm, random_subject(arm, 2))
    assert arm.host.spec.to_xml() == before


# Files -----------------------------------------------------------------------------------------------------


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "folder" / "a.xml"
    write_text(path, "first")
    assert path.read_text() == "first"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"cannot write .*a\.xml \(No space left on device\)"):
        write_text(path, "second")
    assert path.read_text() == "first"
    assert [p.name for p in path.parent.iterdir()] == ["a.xml"]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "third")
    assert [p.name for p in path.parent.iterdir()] == ["a.xml"]


def test_unwritable_places(arm, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*a\.xml"):
        export(arm, arm.nominal, tmp_path / "file" / "a.xml")
    with pytest.raises(InputError, match="cannot write"):
        export(arm, arm.nominal, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"body/forearm/mass": -1.0}, "mass and inertia of moving bodies must be larger"),
        ({"body/forearm/inertia/xx": 9.0}, r"inertia must satisfy .*'forearm'"),
        ({"joint/elbow_flex/damping": np.nan}, "joint/elbow_flex/damping is nan"),
        ({"muscle/BRA/optimal_fiber_length": np.inf}, "muscle/BRA/optimal_fiber_length is inf"),
    ],
)
def test_impossible_subjects_are_not_written(arm, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        export(arm, arm.nominal.updated(change), tmp_path / "a.xml")
    assert not list(tmp_path.iterdir())


def test_a_population_is_not_one_file(arm, tmp_path):
    population = jax.tree.map(lambda x: np.stack([x, x]), arm.nominal)
    with pytest.raises(InputError, match="population"):
        export(arm, population, tmp_path / "a.xml")


# Muscles that MJCF cannot hold -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def approximated(tmp_path_factory):
    """A model with another law, parameters of its own, and what is written of it."""
    model = load_model("arm", muscle="degroote-compliant", integrator="RK4")
    parameters = model.nominal.updated({"muscle/*/pennation_angle": 0.25, "muscle/BRA/tendon_strain": 0.08})
    path = tmp_path_factory.mktemp("law") / "anna.xml"
    for refused in (lambda: export(model, parameters, path), lambda: personalised_spec(model, parameters)):
        with pytest.raises(InputError, match="muscle model CompliantTendon cannot be written as MJCF"):
            refused()
    assert not path.exists()
    return model, parameters, export(model, parameters, path, allow_approximation=True)


def test_another_law_is_written_as_the_nearest_native_muscles(approximated):
    """The stated errors are those of the file: its own muscles in C against the model's law over the working range."""
    model, parameters, path = approximated
    stated = {t.name: t.data for t in mujoco.MjSpec.from_file(str(path)).texts}["approximation"]
    mj, p = mujoco.MjModel.from_xml_path(str(path)), parameters.muscle
    rng, fastest = np.random.default_rng(0), p.optimal_fiber_length * p.max_contraction_velocity
    along = p.optimal_fiber_length * np.cos(p.pennation_angle)
    ends = [np.clip(p.tendon_slack_length + x * along, *mj.actuator_lengthrange.T) for x in FIBERS]
    length = rng.uniform(*ends, (300, mj.nu))
    speed, activation = fastest * rng.uniform(-0.5, 0.5, length.shape), rng.uniform(0, 1, length.shape)
    with float64():
        ours = np.asarray(model.muscle.tension(p, *map(jnp.asarray, (activation, length, speed))))
    native = np.zeros_like(ours)
    for k, i in np.ndindex(*length.shape):
        curve = mj.actuator_lengthrange[i], mj.actuator_acc0[i], mj.actuator_gainprm[i, :9]
        native[k, i] = -activation[k, i] * mujoco.mju_muscleGain(length[k, i], speed[k, i], *curve)
        native[k, i] -= mujoco.mju_muscleBias(length[k, i], *curve)
    error = (native - ours) / p.max_isometric_force
    said = [float(x) for x in re.findall(r"([\d.]+) % of F0 \(RMS\), by ([\d.]+) %.* and by ([\d.]+) %", stated)[0]]
    assert 100 * np.sqrt(np.mean(error**2)) == pytest.approx(said[0], rel=0.25)  # other points of the same range
    assert 100 * np.sqrt(np.mean(error**2, 0)).max() == pytest.approx(said[1], rel=0.25)
    assert 100 * np.abs(error).max() < said[2] + 1
    assert said[0] < 4.0
    assert "approximation" not in {t.name for t in model.host.spec.texts}


def loaded_law(path):
    """What the file beside a model has, as Python loads it."""
    file = path.with_name(f"{path.stem}_muscles.py")
    space = {"__name__": file.stem, "__file__": str(file)}
    exec(compile(file.read_text(), file.name, "exec"), space)
    return space["load"](path.name)


@pytest.mark.parametrize(
    "law",
    [
        "degroote",
        "thelen",
        "millard",
        "degroote-compliant",
        "thelen-compliant",
        "millard-compliant",
        "mujoco-compliant",
    ],
)
def test_plain_mujoco_steps_the_law_itself(law, approximated, tmp_path):
    """With the file beside the model, and no other than `mujoco` and Python's own, C comes to our rollout."""
    if law == "degroote-compliant":
        model, parameters, path = approximated
    else:
        model = load_model("arm", muscle=law, integrator="RK4")
        parameters = model.nominal.updated({"muscle/*/pennation_angle": 0.25})
        path = export(model, parameters, tmp_path / "anna.xml", allow_approximation=True)
    text = path.with_name("anna_muscles.py").read_text()
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)) == {"math", "mujoco", "pathlib"}
    exact, compiled = loaded_law(path)
    steps, data = 50, mujoco.MjData(compiled)
    time = model.timestep * np.arange(steps + 1)
    drive = 0.4 + 0.3 * np.sin(40 * time[:-1, None] + np.arange(len(model.muscles)))
    with float64():
        start = initial_state(model, {"elbow_flex": 0.8}, 0.3)
        ours = np.asarray(rollout(model, parameters, start, jnp.asarray(drive)).position)
    data.qpos[:], data.act[:] = ours[0], 0.3
    found = [data.qpos.copy()]
    with exact, Replay(compiled, time, np.concatenate([drive, drive[-1:]])):
        for _ in range(steps):
            mujoco.mj_forward(compiled, data)  # looking changes nothing
            mujoco.mj_step(compiled, data)
            found.append(data.qpos.copy())
    assert np.ptp(ours, axis=0).max() > 0.05
    np.testing.assert_allclose(found, ours, atol=1e-11)


def forces(model, data):
    mujoco.mj_forward(model, data)
    return data.qfrc_actuator.copy()


def test_muscles_begin_anew_until_a_step_is_taken_and_where_time_goes_back(approximated):
    """Whoever looks before the first step, and then moves the arm, has the forces of the arm where it is."""
    exact, model = loaded_law(approximated[2])
    elsewhere, fresh = mujoco.MjData(model), mujoco.MjData(model)
    fresh.qpos[:], fresh.act[:] = 0.9, 0.4
    elsewhere.qpos[:], elsewhere.act[:] = 0.3, 0.1
    with exact:
        expected, before = forces(model, fresh), forces(model, elsewhere)
        elsewhere.qpos[:], elsewhere.act[:] = 0.9, 0.4
        np.testing.assert_array_equal(forces(model, elsewhere), expected)
        assert np.abs(before - expected).max() > 0.1
        for _ in range(3):
            mujoco.mj_step(model, elsewhere)
        stepped = forces(model, elsewhere)
        np.testing.assert_array_equal(forces(model, elsewhere), stepped)  # looking changes nothing
        elsewhere.qvel[:] = 0.0
        assert np.abs(forces(model, elsewhere) - stepped).max() < 1e-9, "the fibers are where they were"
        elsewhere.qpos[:], elsewhere.qvel[:], elsewhere.act[:], elsewhere.time = 0.9, 0.0, 0.4, 0.0
        np.testing.assert_allclose(forces(model, elsewhere), expected, rtol=1e-12)
        mujoco.mj_resetData(model, elsewhere)
        elsewhere.qpos[:], elsewhere.act[:] = 0.9, 0.4
        np.testing.assert_array_equal(forces(model, elsewhere), expected)


def test_the_timestep_is_that_which_was_taken(approximated):
    """In steps of other lengths, and of two, the motion stays the same; with a wrong one it is 0.1 rad/s off."""
    exact, model = loaded_law(approximated[2])
    usual, ends = model.opt.timestep, []
    for lengths in ((0.25, 0.25), (1.0, 1.0), (1.0, 0.25), (0.25, 1.0)):
        data = mujoco.MjData(model)
        data.qpos[:], data.act[:], data.ctrl[:] = 0.8, 0.3, 0.4
        with exact:
            for length in lengths:
                model.opt.timestep = length * usual
                for _ in range(round(10 / length)):
                    mujoco.mj_step(model, data)
        ends.append([*data.qpos, *data.qvel])
    assert np.abs(data.qvel).min() > 1.0
    np.testing.assert_allclose(ends[1:], ends[:1] * 3, rtol=0, atol=5e-3)


def test_muscles_that_native_ones_miss_are_written_with_a_warning_and_their_law(tmp_path, monkeypatch):
    """Nothing is lost: the exact law is beside the model. A law of one's own, without such a file, is refused."""
    model = load_model("arm", muscle="degroote")
    monkeypatch.setattr(personalisation, "FORCE_ERROR", 0.01)
    said = r"is none that MJCF can hold: .* misses its force by [2-9] % of F0"
    with pytest.warns(InputWarning, match=rf"a\.xml: .*{said}.*step it with a_muscles\.py beside it, which is exact"):
        path = export(model, model.nominal, tmp_path / "a.xml", allow_approximation=True)
    loaded_law(path)
    monkeypatch.setattr(personalisation, "is_writable", lambda model: False)
    with pytest.raises(InputError, match=rf"{said}.*; identify with muscle = 'mujoco'"):
        export(model, model.nominal, tmp_path / "b.xml", allow_approximation=True)
    assert not (tmp_path / "b.xml").exists()


def test_no_law_of_somebody_else_is_left_beside_a_model(arm, approximated, tmp_path):
    """Who is written with native muscles where another was with a law of its own; what a user wrote there stays."""
    law = tmp_path / "anna_muscles.py"
    law.write_text(approximated[2].with_name("anna_muscles.py").read_text())
    path = export(arm, arm.nominal, tmp_path / "anna.xml")
    assert [p.name for p in tmp_path.iterdir()] == ["anna.xml"]
    law.write_text("MUSCLES = ['BIC']\n")
    export(arm, arm.nominal, path)
    assert law.read_text() == "MUSCLES = ['BIC']\n"
