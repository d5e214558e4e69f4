"""The robust loss: Student's own maximum likelihood, blind to what is absurd, and nearly free where nothing is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mjx_msm import InputError, Settings, identify
from mjx_msm.estimation.robust import FREEDOM, student_weights
from mjx_msm.knowledge.result import Identification
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.study.settings import settings, study_model


def test_weights_are_those_of_students_maximum_likelihood():
    residual = stats.t.rvs(FREEDOM, scale=3.0, size=4000, random_state=1)
    _, _, scale = stats.t.fit(residual, fix_df=FREEDOM, floc=0.0)
    expected = (FREEDOM + 1) / (FREEDOM + (residual / scale) ** 2)
    weight, own = student_weights(residual)
    np.testing.assert_allclose(weight, expected, rtol=1e-3)
    assert own == pytest.approx(scale, rel=1e-3)
    assert scale == pytest.approx(np.sqrt(np.mean(expected * residual**2)), rel=1e-3)


@pytest.fixture(scope="module")
def walk(data_dir):
    """Five seconds of a walk, and the five after, whose moments are right."""
    if not (data_dir / "treadmill").is_dir():
        pytest.skip(f"no treadmill/ in {data_dir}: the recorded walks are not there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MJX_MSM_DATA", str(data_dir))
        study = load_subject(Path(__file__).resolve().parents[2] / "examples" / "treadmill" / "subject.toml")
    first = study.trials[0]

    def part(start, stop, name):
        rows = slice(round(start / first.timestep), round(stop / first.timestep))
        return replace(
            first, name=name, time=first.time[rows], position=first.position[rows], emg=first.emg[rows],
            moment=first.moment[rows],
        )  # fmt: skip

    return study_model(study), settings(study), part(0, 5, "walk"), part(5, 10, "later")


@pytest.fixture(scope="module")
def spoilt(walk):
    """The walk with 100 N·m more in two samples of every hundred: the normal and the robust result."""
    model, asked, trial, later = walk
    wrong = np.zeros(len(trial.time), bool)
    wrong[np.random.default_rng(3).choice(np.arange(0, len(wrong), 2), 10, replace=False)] = True
    bad = replace(trial, moment=trial.moment + 100.0 * wrong[:, None])
    found = [identify(model, bad, held_out=later, settings=asked, loss=loss) for loss in ("normal", "student")]
    return found


@pytest.mark.slow
def test_absurd_moments_hardly_count(walk, spoilt, tmp_path):
    model, asked, trial, later = walk
    clean = identify(model, trial, held_out=later, settings=asked)
    normal, student = spoilt
    errors = [next(f.identified for f in r.fits if f.role == "held-out") for r in (clean, normal, student)]
    assert errors[1] > 1.15 * errors[0]
    assert errors[2] < 0.5 * (errors[0] + errors[1])
    (fit,) = [f for f in student.fits if f.role == "identify"]
    assert 10 / 250 <= fit.doubted < 0.25
    assert fit.identified > 15.0  # the error row holds every sample
    assert "robust loss: samples that nothing explains" in str(student)
    assert "robust loss" not in str(normal)
    assert Identification.load(student.save(tmp_path / "r.json")) == student


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "cauchy", "residuals": ("moment",)}, "'cauchy' is unknown"),
        ({"loss": "student"}, 'is for moments; add "moment" to residuals'),
    ],
)
def test_a_loss_that_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Settings(free=("muscle/*/max_isometric_force",), **options)
