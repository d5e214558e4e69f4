"""Residuals with unmeasured muscles: as the plain ones with the true course, and their gradient by differences."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.estimation.residuals.acceleration import acceleration_term
from mjx_msm.estimation.residuals.freed import FreedTerm, with_unknown_courses
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.synthetic import synthetic_trials

DEEP = ("BRA", "TRImed")
FREE = ["muscle/BIC*/*_length", "muscle/TRIlong/max_isometric_force", "muscle/BRA/max_isometric_force",
        "body/forearm/mass", "emg/BIClong/gain", "joint/elbow_flex/damping"]  # fmt: skip
SCALE = np.array([3.0, 2.0])


@pytest.fixture(scope="module")
def terms(arm):
    """Of moments and accelerations: plain with all EMG, and without that of two muscles."""
    (trial,) = synthetic_trials(arm, arm.nominal, count=1, duration=0.5, rate=250, seed=4)
    trial = replace(trial, moment=np.ones_like(trial.position), moment_coordinates=arm.free)
    space = parameter_space(arm.nominal.with_channels(arm.muscles), FREE)
    own = {m: {m: 1.0} for m in arm.muscles}
    silent = own | {m: {} for m in DEEP}
    made = []
    for make in (moment_term, acceleration_term):
        whole, less = (make(arm, space, [record(arm, trial, mixes)], 100.0) for mixes in (own, silent))
        made.append((whole, less))
    return made


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("method", ["projected", "effort"])
def test_the_course_enters_as_the_muscle_does_and_the_gradient_is_right(arm, terms, which, method):
    whole, less = terms[which]
    freed = with_unknown_courses(arm, less, dict.fromkeys(DEEP, method))
    z = whole.space.clip(whole.space.prior_mean) + 0.03
    if method == "effort":
        # along lines through knots, the residuals are the plain ones of muscles with these activations
        rows = freed.about(z, freed.courses.none, derivatives=False)
        with float64():
            activation = whole.activations(z)[0][whole.recording, whole.sample]
        course = activation[:, [arm.muscles.index(m) for m in arm.muscles if m in DEEP]]
        made = rows.residual + np.einsum("tcd,td->tc", rows.push, course)
        np.testing.assert_allclose(made, whole.evaluate(z, SCALE), atol=1e-9 * np.abs(made).max() + 1e-9)

    def cost(z):
        q = freed.expand(z).reduce(SCALE)
        return 0.5 * np.sum(q.squares / SCALE**2) + (0.5 * float(q.nuisance.squares[0]) if q.nuisance else 0.0)

    expansion = freed.expand(z)
    for _ in range(2):
        expansion.reduce(SCALE)
        expansion = freed.expand(z, expansion.follow(np.zeros_like(z)))
    q = expansion.reduce(SCALE)
    gradient = (q.gradient / SCALE[:, None] ** 2).sum(0) + (q.nuisance.gradient[0] if q.nuisance else 0.0)
    for k in range(len(z)):
        h = 1e-6 * (np.arange(len(z)) == k)
        difference = (cost(z + h) - cost(z - h)) / 2e-6
        assert gradient[k] == pytest.approx(difference, rel=2e-4, abs=2e-4 * np.abs(gradient).max())
    if method == "projected":
        assert gradient[whole.space.paths.index("muscle/BRA/max_isometric_force")] == 0.0


@pytest.mark.slow
def test_activations_that_enter_otherwise_than_linearly_settle():
    """Fibers of Thelen's law are slower the less active they are: about no activation they seem to do more, or less."""
    arm = load_model("arm", muscle="thelen")
    (trial,) = synthetic_trials(arm, arm.nominal, count=1, duration=0.5, rate=250, seed=4)
    trial = replace(trial, moment=np.ones_like(trial.position), moment_coordinates=arm.free)
    space = parameter_space(arm.nominal.with_channels(arm.muscles), FREE)
    silent = {m: {} if m in DEEP else {m: 1.0} for m in arm.muscles}
    term = with_unknown_courses(
        arm, moment_term(arm, space, [record(arm, trial, silent)], 100.0), dict.fromkeys(DEEP, "effort")
    )
    assert isinstance(term, FreedTerm)
    z, courses = space.prior_mean, term.courses

    def cost(unknown):
        left = term.about(z, unknown, derivatives=False).residual
        return 0.5 * np.sum((left / SCALE) ** 2) + 0.5 * np.sum(courses.prior(unknown) ** 2)

    _, change, best = term.settled(z, SCALE)
    assert np.abs(change).max() < 1e-6
    exact = term.about(z, best, derivatives=False).residual
    np.testing.assert_allclose(term.evaluate(z, SCALE), exact, atol=1e-4 * np.abs(exact).max())
    rows = term.about(z, courses.none, derivatives=False)
    once = courses.best(rows.residual, rows.push, SCALE)
    assert cost(best) < 0.99 * cost(once)
    for k in np.flatnonzero(best.max(axis=1) > 0.02)[:5]:
        for by in (-0.01, 0.01):
            assert cost(np.maximum(best + by * (np.arange(len(best)) == k)[:, None], 0)) > cost(best)


def test_what_cannot_be_is_refused(arm, terms):
    _, less = terms[0]
    with pytest.raises(InputError, match=r"no muscle 'BRAX'; did you mean.*BRA"):
        with_unknown_courses(arm, less, {"BRAX": "effort"})
    strap = arm.nominal.with_channels(arm.muscles).with_levers({"elbow_flex": 0.3})
    pushed = replace(less, space=parameter_space(strap, FREE))
    with pytest.raises(InputError, match="leave lever_sd out"):
        with_unknown_courses(arm, pushed, {"BRA": "effort"})
