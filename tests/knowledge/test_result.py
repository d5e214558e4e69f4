"""The result: a file that survives, a table that does not pretend, a subject that plain MuJoCo steps alike."""

import json
import math
from dataclasses import replace

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import load_model, muscle_constants
from mjx_msm.person.parameters import matching
from mjx_msm.recordings.synthetic import synthetic_trials

FREE = ("muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "body/forearm/mass")
HELD = "muscle/BRA/max_isometric_force"
"""Its prior is far narrower than what the data could say."""


@pytest.fixture(scope="module")
def result(arm):
    rng, nominal = np.random.default_rng(1), arm.nominal.to_dict()
    factors = {p: nominal[p] * (1 + 0.1 * rng.uniform(-1, 1)) for p in matching(arm.nominal, FREE)}
    trials = synthetic_trials(arm, arm.nominal.updated(factors), count=2, duration=0.8, seed=3)
    return identify(
        arm,
        trials,
        free=FREE,
        residuals=("acceleration",),
        priors={HELD: {"relative_sd": 1e-5}},
        subject="Änna",
        hashes={"walk.csv": "00ff"},
        seed=7,
    )


@pytest.fixture
def saved(result, tmp_path):
    return result.save(tmp_path / "identification.json")


# Files -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_saved_is_what_is_read(result, saved):
    assert Identification.load(saved) == result
    assert Identification.load(saved.parent) == result  # the folder does as well
    assert Identification.load(saved).save(saved).read_bytes() == saved.read_bytes()
    assert saved.read_text(encoding="utf-8").count("Änna") == 1


def test_infinite_and_missing_numbers_survive(result, tmp_path):
    first = replace(result.estimates[0], sd=math.inf, low=-math.inf, high=math.inf, data_share=0.0)
    fit = replace(result.fits[0], correlation=math.nan)
    covariance = ((math.inf, *result.covariance[0][1:]), *result.covariance[1:])
    odd = replace(result, estimates=(first, *result.estimates[1:]), fits=(fit,), covariance=covariance)
    path = odd.save(tmp_path / "odd.json")
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    loaded = Identification.load(path)
    assert loaded.estimates == odd.estimates
    assert loaded.covariance == odd.covariance
    assert math.isnan(loaded.fits[0].correlation)
    assert not loaded.estimates[0].determined


def test_other_predictions_stand_beside_and_are_said_to_be_better_where_they_are(result, tmp_path):
    ours = result.fits[0].identified
    worse, better = (
        replace(result.fits[0], trial=name, beside={"ridge": k * ours}) for name, k in (("a", 2), ("b", 0.5))
    )
    odd = replace(result, fits=(worse, better))
    assert Identification.load(odd.save(tmp_path / "odd.json")).fits == odd.fits
    text = str(odd)
    assert f"{0.5 * ours:.3g} {better.unit}" in text
    assert "ridge predicts better than the identified model: b." in text
    assert "predicts better" not in str(replace(result, fits=(worse,)))


def test_numbers_keep_every_bit(result, saved):
    loaded = Identification.load(saved)
    assert loaded.z == result.z
    assert loaded.parameters == result.parameters


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda text: text[: len(text) // 2], "not valid JSON"),
        (lambda text: "", "is an empty file"),
        (lambda text: "[1, 2]", "schema None is not 2"),
        (lambda text: text.replace('"schema": 2', '"schema": 99'), "schema 99 is not 2"),
        (lambda text: text.replace('"CONVERGED"', '"BROKEN"').replace('"MAX_EVALUATIONS"', '"BROKEN"'), "damaged"),
        (lambda text: text.replace('"covariance"', '"other"'), "damaged"),
        (lambda text: text.replace('"data_share"', '"share"'), "damaged"),
        (lambda text: text.replace('"z": [', '"z": ["one",'), "damaged"),
        (lambda text: text.replace('"estimates": [', '"estimates": [3,'), "damaged"),
        (lambda text: text.replace('"parameters": {', '"parameters": [], "p": {'), "damaged"),
    ],
)
def test_a_damaged_file_is_refused(saved, damage, match):
    saved.write_text(damage(saved.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError, match=match) as error:
        Identification.load(saved)
    assert str(saved) in str(error.value)


def test_a_file_of_other_bytes_or_none_is_refused(saved, tmp_path):
    saved.write_bytes(b"\xff\xfe\x00 not text")
    with pytest.raises(InputError, match="not text in UTF-8"):
        Identification.load(saved)
    with pytest.raises(InputError, match="no such result"):
        Identification.load(tmp_path / "nowhere")


def test_an_interrupted_write_leaves_the_old_file(result, saved, monkeypatch):
    before = saved.read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mjx_msm.common.files.os.replace", fails)
    with pytest.raises(InputError, match="No space left"):
        replace(result, subject="other").save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]  # nothing half-written stays


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write"):
        write_text(tmp_path / "file" / "identification.json", "{}")


# Words -----------------------------------------------------------------------------------------------------


def line(text, path):
    (found,) = [row for row in text.splitlines() if row.startswith(f"{path} ")]
    return found


def test_the_table_has_every_estimate_and_error(result):
    text = str(result)
    assert text.startswith("Änna on model arm: ")
    for e in result.estimates:
        row = line(text, e.path)
        assert f"{e.start:.4g}" in row
        assert e.unit in row
        if e.determined:
            assert f"{e.value:.4g}" in row
            assert f"{e.low:.4g} … {e.high:.4g}" in row
    for f in result.fits:
        assert f"{f.identified:.3g} {f.unit}" in text
    assert "\x1b" not in text


def test_a_number_without_data_behind_it_is_not_printed(result):
    e = result[HELD]
    assert e.data_share < 0.5
    assert not e.determined
    assert "not determined" in line(str(result), HELD)
    assert f" {e.value:.4g} " not in line(str(result), HELD).replace(f"{e.start:.4g}", "", 1).split("…")[0]
    assert "maximal isometric force of BRA" in result.undetermined
    assert "Not determined by these data" in str(result)
    determined = [x for x in result.estimates if x.determined]
    assert len(determined) == len(result.estimates) - 1
    assert all("not determined" not in line(str(result), x.path) for x in determined)


def test_an_infinite_sd_has_no_interval_in_the_table(result):
    odd = replace(result.estimates[0], sd=math.inf, low=1.0, high=2.0, data_share=0.0)
    row = line(str(replace(result, estimates=(odd, *result.estimates[1:]))), odd.path)
    assert "not determined" in row
    assert "…" not in row


def test_estimates_by_path(result):
    assert result[HELD].path == HELD
    with pytest.raises(KeyError, match="body/humerus/mass was not estimated"):
        result["body/humerus/mass"]


def test_what_went_in_is_kept(result):
    assert result.seed == 7
    assert result.hashes == {"walk.csv": "00ff"}
    assert {"mujoco", "mujoco-mjx", "jax", "scipy", "numpy"} <= set(result.versions)
    assert result.channels == tuple(result.emg_map)


# The posterior ---------------------------------------------------------------------------------------------


def test_samples_have_the_posteriors_mean_and_covariance(result):
    draws = result.sample(20_000, seed=0)
    covariance = np.array(result.covariance)
    sd = np.sqrt(np.diag(covariance))
    whitened = (draws - np.array(result.z)) / sd
    assert np.abs(whitened.mean(axis=0)).max() < 5 / np.sqrt(20_000)
    np.testing.assert_allclose(whitened.T @ whitened / 20_000, covariance / np.outer(sd, sd), atol=0.05)
    np.testing.assert_array_equal(draws[:5], result.sample(20_000, seed=0)[:5])
    assert not np.array_equal(draws[:5], result.sample(5, seed=1))


def test_samples_spread_over_the_bounds_where_nothing_is_known(result):
    covariance = np.array(result.covariance)
    covariance[3, :] = covariance[:, 3] = 0.0
    covariance[3, 3] = np.inf
    odd = replace(result, covariance=tuple(map(tuple, covariance.tolist())))
    draws = odd.sample(500, seed=0)
    assert np.isfinite(draws).all()
    unknown = result.unknowns[3]
    assert np.std(draws[:, 3]) == pytest.approx((unknown.upper - unknown.lower) / np.sqrt(12), rel=0.1)
    assert np.all(np.std(np.delete(draws, 3, axis=1), axis=0) > 0)


# Use -------------------------------------------------------------------------------------------------------


def test_the_model_and_the_subject_come_back(result, saved, arm):
    loaded = Identification.load(saved)
    model = loaded.model()
    assert (model.free, model.prescribed, model.muscles) == (arm.free, arm.prescribed, arm.muscles)
    subject = loaded.personalised(model)
    assert subject.to_dict() == dict(result.parameters)
    assert subject.to_dict() == result.personalised(arm).to_dict()
    for e in result.estimates:
        assert subject.to_dict()[e.path] == pytest.approx(e.value, rel=1e-12)


@pytest.mark.slow
def test_constants_of_the_muscle_model_come_back(arm, tmp_path):
    """Those that are not the file's own are stored; a file that says nothing of them means the usual ones."""
    stronger = load_model("arm", muscle=replace(arm.muscle, fvmax=np.full(6, 1.4), tausmooth=0.05))
    trials = synthetic_trials(stronger, stronger.nominal, count=1, duration=0.8, seed=3)
    made = identify(stronger, trials, free=FREE, residuals=("acceleration",))
    assert made.muscle_constants == {"fvmax": (1.4,) * 6, "tausmooth": 0.05}
    saved = made.save(tmp_path / "identification.json")
    loaded = Identification.load(saved)
    assert loaded == made
    assert muscle_constants(loaded.model()) == made.muscle_constants
    exported = mujoco.MjModel.from_xml_path(str(loaded.export(tmp_path / "model.xml")))
    np.testing.assert_allclose(exported.actuator_gainprm[:, 8], 1.4)
    np.testing.assert_allclose(exported.actuator_dynprm[:, 2], 0.05)
    data = json.loads(saved.read_text())
    data["muscle_constants"] = {"fv": 1.0}
    saved.write_text(json.dumps(data))
    with pytest.raises(InputError, match="muscle model 'mujoco' has no constant 'fv'"):
        Identification.load(saved)
    del data["muscle_constants"]
    saved.write_text(json.dumps(data))
    assert muscle_constants(Identification.load(saved).model()) == {}


@pytest.mark.slow
def test_the_exported_subject_steps_in_c_as_the_rollout_does(result, arm, tmp_path, step_in_c, smooth_excitation, x64):
    path = result.export(tmp_path / "model.xml")
    assert "Änna" in path.read_text(encoding="utf-8")
    m = mujoco.MjModel.from_xml_path(str(path))
    u = smooth_excitation(0, arm.timestep, 400, len(arm.muscles))
    q0, v0, a0 = np.array([0.2, 0.9]), np.array([0.5, -1.0]), np.full(len(arm.muscles), 0.1)
    start = State(jnp.asarray(q0), jnp.asarray(v0), jnp.asarray(a0))
    simulated = rollout(arm, result.personalised(arm), start, jnp.asarray(u))
    q, v, a = step_in_c(m, q0, v0, a0, u)
    assert np.ptp(q, axis=0).min() > 0.1
    np.testing.assert_allclose(np.asarray(simulated.position), q, atol=1e-9)
    np.testing.assert_allclose(np.asarray(simulated.velocity), v, atol=1e-7)
    np.testing.assert_allclose(np.asarray(simulated.activation), a, atol=1e-12)
    generic = rollout(arm, arm.nominal, start, jnp.asarray(u))
    assert np.abs(np.asarray(generic.position) - q).max() > 1e-2  # the subject is somebody else
