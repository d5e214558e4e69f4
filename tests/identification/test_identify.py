"""The estimator: recovers what it should, says what it cannot, and ends in words however it ends."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.estimation.checkpoint import Descents
from mjx_msm.estimation.least_squares import NOISE_FLOOR
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.motion import motion_term
from mjx_msm.identification.cohort import identify_many
from mjx_msm.identification.cross_validation import cross_validate, cross_validation, groups_of
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge.design.experiment import design_experiment
from mjx_msm.knowledge.design.information import information
from mjx_msm.knowledge.posterior_draws import completed_draws
from mjx_msm.knowledge.profile_likelihood import profile
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.parameters import matching
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.settings import Settings
from mjx_msm.recordings.synthetic import synthetic_trials

FREE = ("muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "body/forearm/mass")
STRENGTH = FREE[:2]
MOMENTS = Settings(free=STRENGTH, residuals=("moment",))
NOISE = np.deg2rad(0.3)


@pytest.fixture(scope="module")
def truth(arm):
    """Every free parameter up to 10 % off."""
    rng, nominal = np.random.default_rng(1), arm.nominal.to_dict()
    return arm.nominal.updated({p: nominal[p] * (1 + 0.1 * rng.uniform(-1, 1)) for p in matching(arm.nominal, FREE)})


@pytest.fixture(scope="module")
def exact(arm, truth):
    return synthetic_trials(arm, truth, count=3, duration=0.8, seed=3)


@pytest.fixture(scope="module")
def noisy(arm, truth):
    return synthetic_trials(arm, truth, count=2, duration=0.8, seed=3, angle_noise=NOISE)


@pytest.fixture(scope="module")
def told():
    """What the listener of `recovered` was told."""
    return []


@pytest.fixture(scope="module")
def recovered(arm, exact, told):
    return identify(arm, exact[:2], free=FREE, held="exact", held_out=exact[2:], listener=told.append)


@pytest.fixture(scope="module")
def estimated(arm, noisy):
    return identify(arm, noisy, free=FREE, held="exact")


def relative_errors(result, truth):
    true = truth.to_dict()
    return np.array([abs(e.value / true[e.path] - 1) for e in result.estimates])


# Without noise ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_exact_data_give_the_exact_parameters(recovered, truth, arm):
    assert recovered.outcome is Outcome.CONVERGED
    nominal = arm.nominal.to_dict()
    assert max(abs(e.start / truth.to_dict()[e.path] - 1) for e in recovered.estimates) > 0.08
    assert [e.start for e in recovered.estimates] == pytest.approx([nominal[e.path] for e in recovered.estimates])
    assert relative_errors(recovered, truth).max() < 1e-6


def test_the_prior_fades_where_the_data_speak(recovered):
    """Every default prior is centred a few per cent off the truth, and has no say."""
    assert all(e.data_share > 0.999999 for e in recovered.estimates)
    assert all(e.sd < 1e-4 * e.value for e in recovered.estimates)
    assert recovered.undetermined == ()
    assert not any(e.bound for e in recovered.estimates)


def test_a_held_out_trial_judges_only(recovered, exact):
    roles = {(f.trial, f.role) for f in recovered.fits}
    assert roles == {("trial1", "identify"), ("trial2", "identify"), ("trial3", "held-out")}
    for f in recovered.fits:
        assert f.kind == "motion"
        assert f.generic > 0.01
        assert f.identified < (2e-8 if f.role == "held-out" else 1e-8)  # the solver's floor is that of what it saw
        assert f.correlation == pytest.approx(1)
    held = next(f for f in recovered.fits if f.role == "held-out")
    column = exact[2].coordinates.index(held.coordinate)
    assert held.spread == pytest.approx(np.std(exact[2].position[:, column]), rel=1e-6)


def test_a_held_out_trial_is_judged_over_the_same_horizon(arm, noisy):
    """A trial that was identified from, held out as well, has the same error, window by window."""
    twin = replace(noisy[0], name="twin")
    result = identify(arm, noisy[:1], free=FREE, held_out=[twin], horizon=100)
    seen, held = ([f for f in result.fits if f.role == role] for role in ("identify", "held-out"))
    assert len(seen) == len(held) == 2
    for a, b in zip(seen, held, strict=True):
        assert b.identified == pytest.approx(a.identified, rel=1e-6)
        assert b.generic == pytest.approx(a.generic, rel=1e-6)
    assert "over 0.2 s at a time" in str(result)


def test_the_listener_hears_every_iteration(recovered, told):
    assert [s.name for s in recovered.stages] == list(dict.fromkeys(i.stage for i in told))
    assert [s.name for s in recovered.stages] == ["acceleration", "motion over 0.8 s"]
    for i in told:
        assert i.stages == 2
        assert recovered.stages[i.index].name == i.stage
        assert np.isfinite(i.cost)
        assert len(i.z) == len(recovered.estimates)
    assert dict(told[0].noise).keys() == {"acceleration"}
    assert told[-1].noise["motion"][1] == "rad"
    assert told[-1].noise["motion"][0] <= NOISE_FLOOR["motion"] * (1 + 1e-12)  # round-off, not noise
    assert all(s.evaluations > 0 and s.seconds > 0 for s in recovered.stages)


def test_the_result_is_reproducible_to_the_bit(arm, exact, recovered):
    again = identify(arm, exact[:2], free=FREE, held="exact", held_out=exact[2:])
    assert again.z == recovered.z
    assert again.covariance == recovered.covariance
    assert again.fits == recovered.fits


# With noise ------------------------------------------------------------------------------------------------


def test_noise_is_estimated_along(estimated, arm):
    noise = estimated.stages[-1].noise
    assert set(noise) == {f"motion/{c}" for c in arm.free}
    for value in noise.values():
        assert value == pytest.approx(NOISE, rel=0.15)


def test_intervals_cover_the_truth(estimated, truth):
    """13 intervals of 95 %: 10 or more hold the truth with a probability above 0.99."""
    true = truth.to_dict()
    inside = [e.low <= true[e.path] <= e.high for e in estimated.estimates]
    assert sum(inside) >= 10
    for e in estimated.estimates:
        assert e.low < e.value < e.high
        assert e.sd > 1e-5 * e.value


def test_the_estimate_is_as_likely_as_statistics_allow(arm, noisy, estimated, truth):
    """Twice the gain in log likelihood over the truth is χ² of 13 unknowns: below 34.5 with probability 0.999."""
    own = {m: {m: 1.0} for m in arm.muscles}
    space = parameter_space(arm.nominal.with_channels(arm.muscles), FREE)
    term = motion_term(arm, space, [record(arm, t, own) for t in noisy], len(noisy[0].time) - 1)
    with float64():
        z = np.asarray(space.pack(truth.with_channels(arm.muscles)))
    scale = np.full(2, NOISE)
    of_truth, of_estimate = (np.sum((term.evaluate(x, scale) / NOISE) ** 2) for x in (z, np.array(estimated.z)))
    assert 0 < of_truth - of_estimate < 34.5


def test_more_noise_less_certainty(estimated, recovered):
    for e, r in zip(estimated.estimates, recovered.estimates, strict=True):
        assert e.data_share < r.data_share
        assert e.sd > 100 * r.sd


# Bounds ----------------------------------------------------------------------------------------------------


def test_bounds_hold_and_are_reported(arm, exact, truth, estimated):
    """Bounds that exclude the truth: the estimate stays inside, and the table says where it sits."""
    path = "muscle/BIClong/optimal_fiber_length"
    true, nominal = truth.to_dict()[path], arm.nominal.to_dict()[path]
    lower = true < nominal
    factor = [0.97, 1.2] if lower else [0.8, 1.03]
    assert not factor[0] <= true / nominal <= factor[1]
    result = identify(arm, exact[:2], free=FREE, bounds={path: {"factor": factor}}, residuals=("acceleration",))
    e = result[path]
    assert e.bound == ("lower" if lower else "upper")
    assert e.value == pytest.approx(nominal * (factor[0] if lower else factor[1]), rel=1e-3)
    assert nominal * factor[0] <= e.value <= nominal * factor[1]
    assert nominal * factor[0] * (1 - 1e-9) <= e.low <= e.high <= nominal * factor[1] * (1 + 1e-9)
    assert f"at {e.bound} bound" in str(result)
    assert sum(bool(x.bound) for x in result.estimates) < len(result.estimates)


# Interruption, starts --------------------------------------------------------------------------------------


def interrupt_after(count, told):
    def listen(iteration):
        told.append(iteration)
        if len(told) >= count:
            raise KeyboardInterrupt

    return listen


@pytest.mark.parametrize("count", [2, 5])
def test_an_interruption_keeps_the_last_iterate(arm, exact, count, tmp_path):
    told = []
    result = identify(
        arm, exact[:2], free=FREE, residuals=("acceleration",), listener=interrupt_after(count, told)
    )  # fmt: skip
    assert result.outcome is Outcome.INTERRUPTED
    assert result.z == tuple(told[-1].z)
    assert len(result.stages) == 1
    assert "interrupted" in str(result)
    loaded = Identification.load(result.save(tmp_path / "identification.json"))
    assert loaded.outcome is Outcome.INTERRUPTED
    assert loaded.z == result.z


@pytest.mark.slow
def test_several_starts(arm, noisy, truth):
    """The answer does not depend on where the others started; the search is the seed's alone, and can be stopped."""
    told, again = [], []
    settings = {"free": FREE, "residuals": ("acceleration",)}
    alone = identify(arm, noisy, **settings)
    result = identify(arm, noisy, seed=5, starts=3, listener=told.append, **settings)
    assert result.outcome is Outcome.CONVERGED
    assert result.seed == 5
    assert result.stages[0].cost <= alone.stages[0].cost + 1e-2
    assert result.stages[0].evaluations > alone.stages[0].evaluations
    sd = np.sqrt(np.diag(alone.covariance))
    np.testing.assert_array_less(np.abs(np.array(result.z) - np.array(alone.z)), 0.2 * sd)
    assert [i.iteration for i in told] == list(range(1, len(told) + 1))
    assert max(np.abs(i.z - np.array(result.z)).max() for i in told) > 0.25  # others began far away
    result = identify(arm, noisy, seed=5, starts=3, listener=interrupt_after(10, again), **settings)
    assert result.outcome is Outcome.INTERRUPTED
    assert [tuple(i.z) for i in again] == [tuple(i.z) for i in told[:10]]
    assert result.z in [tuple(i.z) for i in again]


def test_the_search_ends_once_nothing_is_left_to_explain(arm, exact, truth):
    told, alone = [], []
    settings = {"free": FREE, "residuals": ("acceleration",)}
    identify(arm, exact[:2], listener=alone.append, **settings)
    result = identify(arm, exact[:2], starts=9, seed=5, listener=told.append, **settings)
    assert result.outcome is Outcome.CONVERGED
    assert relative_errors(result, truth).max() < 0.02  # as near as accelerations come
    assert [tuple(i.z) for i in told[:4]] == [tuple(i.z) for i in alone[:4]]  # the first start is the model
    assert len(told) <= len(alone) + 3


# Refusals --------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused(arm, exact):
    def refuse(match, trials=exact[:1], **changes):
        with pytest.raises(InputError, match=match):
            identify(arm, trials, **({"free": FREE} | changes))

    refuse("no trials", trials=())
    refuse("residuals = 'angles' is unknown; choose from: acceleration, moment, motion", residuals=("angles",))
    refuse("are empty", residuals=())
    refuse("needs recorded moments of shoulder_elev, elbow_flex", residuals=("moment",))
    refuse("matches nothing; did you mean", free=["muscle/BIClon/max_isometric_force"])
    refuse("nothing to estimate", free=[])
    refuse("has no EMG channel 'left'", emg_map={m: {"left": 1.0} for m in arm.muscles})
    refuse("muscle 'BRA' has no EMG channel", emg_map={m: {m: 1.0} for m in arm.muscles if m != "BRA"})
    stripped = replace(exact[0], channels=exact[0].channels[1:], emg=exact[0].emg[:, 1:])
    refuse(f"trial 'trial1' has no EMG channel '{exact[0].channels[0]}'", trials=(stripped,))
    with pytest.raises(InputError, match="hold out whole trials instead"):
        cross_validate(arm, exact[:1], free=FREE, residuals=("motion",))
    with pytest.raises(InputError, match="needs recorded moments"):
        cross_validate(arm, exact[:1], free=FREE)


def test_one_trial_is_as_good_as_a_list_of_it(arm, exact):
    alone, listed = (identify(arm, t, free=FREE, residuals=("acceleration",)) for t in (exact[0], exact[:1]))
    assert (alone.z, alone.fits) == (listed.z, listed.fits)


def test_other_things_than_models_and_trials_are_refused_in_a_line(arm, knee, exact, recovered):
    study = SimpleNamespace(trials=exact)
    space = parameter_space(arm.nominal, FREE)
    calls = {
        "identify": lambda model, trials: identify(model, trials, free=FREE),
        "identify_many": lambda model, trials: _raised(identify_many(model, {"a": trials}, free=FREE)["a"]),
        "cross_validate": lambda model, trials: cross_validate(model, trials, free=FREE),
        "profile": lambda model, trials: profile(model, trials, recovered, recovered.estimates[0].path),
        "completed_draws": lambda model, trials: completed_draws(
            model, trials, replace(recovered, residuals=("moment",), completed=False)
        ),
        "information": lambda model, trials: information(model, space, trials),
    }
    for name, call in calls.items():
        for trials, words in (
            (study, "got SimpleNamespace; give its .trials"),
            ("walk.csv", "got str; load_subject reads them"),
            ([exact[0], 3], "got int"),
        ):
            with pytest.raises(InputError, match=words):
                call(arm, trials)
        for model in ("arm", Path("arm")):
            with pytest.raises(InputError, match=r"got 'arm'; give load_model\('arm'\)"):
                call(model, exact[:1])
        with pytest.raises(InputError, match="got int; load_model makes one") as error:
            call(3, exact[:1])
        assert "\n" not in str(error.value), name
    with pytest.raises(InputError, match=r"give load_model\('arm'\)"):
        design_experiment("arm", space)


def _raised(error):
    raise error


# Moments and cross-validation ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_moments(arm, truth, exact):
    """Moments that the true parameters produce on the model's own account of the recorded motion."""
    own = {m: {m: 1.0} for m in arm.muscles}
    blank = [
        replace(t, moment_coordinates=arm.coordinates, moment=np.zeros_like(t.position)) for t in exact[:2]
    ]  # fmt: skip
    space = parameter_space(arm.nominal.with_channels(arm.muscles), STRENGTH)
    term = moment_term(arm, space, [record(arm, t, own) for t in blank], 500.0)
    with float64():
        z = np.asarray(space.pack(truth.with_channels(arm.muscles)))
    moment = term.evaluate(z, np.ones(2))
    return tuple(replace(t, moment=moment[term.trial == i]) for i, t in enumerate(blank))


@pytest.fixture(scope="module")
def cross_validated(arm):
    """A cross-validation over four blocks in two folds, and the last iterate of every fold."""

    def run(trials):
        last = {}

        def listen(iteration):
            last[iteration.stage] = tuple(iteration.z)

        return cross_validation(arm, trials, MOMENTS, blocks=4, folds=2, listener=listen), last

    return run


@pytest.fixture(scope="module")
def clean(cross_validated, with_moments):
    return cross_validated(with_moments)


@pytest.mark.slow
def test_cross_validation_predicts_exact_moments(with_moments, clean):
    found, last = clean
    fits = found.fits
    assert {(f.trial, f.role, f.kind) for f in fits} == {(t.name, "cross-validated", "moment") for t in with_moments}
    for f in fits:
        assert f.identified < 1e-6 * f.spread
        assert f.generic > 0.01
        assert f.identified < f.beside["ridge"]
        assert f.correlation == pytest.approx(1)
    assert list(last) == ["cross-validation 1/2", "cross-validation 2/2"]
    assert [(u.trial, u.coordinate) for u in found.unseen] == [(f.trial, f.coordinate) for f in fits]
    for u, f in zip(found.unseen, fits, strict=True):
        np.testing.assert_allclose(u.predicted, u.recorded, atol=1e-5 * f.spread)
        assert np.max(np.array(u.high) - u.low) < 1e-3 * f.spread, "nothing is left open"


@pytest.mark.slow
def test_a_held_out_block_has_no_say_in_its_own_prediction(with_moments, cross_validated, clean):
    """Block 1 of 0..3 is wrong: the fit that predicts it, of fold 2, is the same to the bit; the other is not."""
    trial = with_moments[0]
    block = np.arange(len(trial.time)) * 4 // len(trial.time)
    wrong = replace(trial, moment=np.where((block == 1)[:, None], trial.moment + 5.0, trial.moment))
    found, last = cross_validated([wrong, with_moments[1]])
    assert [last[k] == clean[1][k] for k in last] == [False, True]
    for f in found.fits[: len(wrong.coordinates)]:  # its own prediction misses by the whole error
        assert f.identified > 5.0 * np.sqrt(np.mean(block == 1)) * 0.99
    for u in found.unseen[: len(wrong.coordinates)]:
        inside = np.interp(u.time, trial.time, block == 1) == 1.0
        np.testing.assert_allclose((np.array(u.recorded) - u.predicted)[inside], 5.0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["trial", "task"])
def test_whole_trials_and_tasks_are_predicted_from_the_others(arm, with_moments, by):
    """Two trials, or three of two tasks; the one whose moments are wrong is missed by what they are wrong by."""
    first, second = with_moments
    wrong = replace(second, name="wrong", task="lift", moment=second.moment + 5.0)
    stages = []
    trials = [replace(first, task="lift"), wrong]
    if by == "task":
        trials.append(replace(second, task=""))
    found = cross_validation(arm, trials, MOMENTS, by=by, listener=lambda i: stages.append(i.stage))
    fits = found.fits
    assert list(dict.fromkeys(stages)) == ["cross-validation 1/2", "cross-validation 2/2"]
    assert [f.trial for f in fits] == [t.name for t in trials for _ in arm.free]
    assert {(f.role, f.kind) for f in fits} == {("cross-validated", "moment")}
    assert all(set(f.beside) == {"ridge", "kernel ridge", "with discrepancy"} for f in fits)
    for f in fits[2:4]:  # predicted from right ones alone
        assert f.identified == pytest.approx(5.0, rel=1e-3)
    for u, f in zip(found.unseen, fits, strict=True):
        assert (u.trial, u.coordinate, u.holds) == (f.trial, f.coordinate, f.band)
        assert np.sqrt(np.mean(np.square(np.array(u.predicted) - u.recorded))) == pytest.approx(
            f.identified, rel=1e-4, abs=1e-5
        )
        assert np.all(np.array(u.low) <= u.predicted)
        assert np.all(np.array(u.predicted) <= u.high)
    assert fits[2].band == 0.0, "of 5 N·m it had no idea"


def test_a_trial_that_is_called_as_a_task_is_not_of_it(with_moments):
    first, second = with_moments
    trials = [replace(first, name="walk"), replace(second, name="other", task="walk"), replace(first, name="run")]
    trials += [replace(second, name="third", task="walk")]
    assert [groups_of(trials, "task").index(g) for g in groups_of(trials, "task")] == [0, 1, 2, 1]
    assert len(set(groups_of(trials, "trial"))) == 4


def test_one_trial_is_not_predicted_from_the_others(arm, with_moments):
    with pytest.raises(InputError, match=r'by trial needs two trials or more.*by = "block"'):
        cross_validate(arm, with_moments[:1], free=STRENGTH, by="trial")
    with pytest.raises(InputError, match="by 'day' is unknown; choose one of block, trial, task"):
        cross_validate(arm, with_moments, free=STRENGTH, by="day")


def test_cross_validation_passes_an_interruption_on(arm, with_moments):
    with pytest.raises(KeyboardInterrupt):
        cross_validate(arm, with_moments, free=STRENGTH, blocks=4, folds=2, listener=interrupt_after(2, []))


# Real data -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_recorded_walk_gains_from_identification(data_dir, monkeypatch):
    """The walk of the example, one start: a personalised knee explains the moment better than the generic one."""
    from mjx_msm.recordings.subject_file.loading import load_subject
    from mjx_msm.study.settings import settings, study_model

    monkeypatch.setenv("MJX_MSM_DATA", str(data_dir))
    study = load_subject(Path(__file__).resolve().parents[2] / "examples" / "knee_walk" / "subject.toml")
    model = study_model(study)
    result = identify(model, study.trials, settings=settings(study), starts=1)
    (fit,) = result.fits
    assert (fit.role, fit.kind, fit.coordinate) == ("identify", "moment", "knee_angle")
    assert fit.generic > 5 * fit.identified
    assert fit.correlation > 0.95
    assert result.undetermined  # one walk does not tell twelve muscles apart
    assert any(not e.determined for e in result.estimates)


@pytest.mark.slow
def test_a_person_on_a_treadmill_is_judged_by_what_comes_later_and_by_a_run(data_dir, monkeypatch):
    """Five seconds of every gait tell of the next six; what the model lacks depends on the state, so that its
    discrepancy helps in gaits it has learnt from."""
    from mjx_msm.recordings.subject_file.loading import load_subject
    from mjx_msm.study.settings import settings, study_model

    monkeypatch.setenv("MJX_MSM_DATA", str(data_dir))
    study = load_subject(Path(__file__).resolve().parents[2] / "examples" / "treadmill" / "subject.toml")
    everything = [*study.trials, *study.held_out]

    def part(trial, first, last, name):
        rows = slice(round(first / trial.timestep), round(last / trial.timestep))
        return replace(
            trial, name=name, task=trial.name, time=trial.time[rows], position=trial.position[rows],
            emg=trial.emg[rows], moment=trial.moment[rows],
        )  # fmt: skip

    firsts = [part(t, 0, 5, t.name) for t in everything]
    later = [part(t, 5, 11, f"{t.name}, later") for t in everything]
    result = identify(study_model(study), firsts, held_out=later, settings=settings(study), starts=1)
    held = [f for f in result.fits if f.role == "held-out"]
    assert [f.trial for f in held] == [t.name for t in later]
    for f in held:
        assert set(f.beside) == {"with discrepancy", "ridge", "kernel ridge", "mean cycle"}
        assert f.identified < 0.5 * f.generic
        assert f.beside["with discrepancy"] < f.identified < f.spread
    assert held[2].correlation > 0.85


@pytest.mark.slow
def test_folds_around_a_result_search_less_and_say_the_same(arm, with_moments, monkeypatch):
    """The result's own solution is one of few starts, and each fold still goes to the least of its own moments."""
    rng = np.random.default_rng(1)  # exact moments would end a search at its first start
    noisy = [
        replace(t, moment=t.moment + 0.2 * t.moment.std(axis=0) * rng.standard_normal(t.moment.shape))
        for t in with_moments
    ]  # fmt: skip
    settings = {"free": STRENGTH, "starts": 8, "blocks": 4, "folds": 2}
    spent, minimise = [], Descents.minimise

    def counted(self, *arguments, **options):
        solution = minimise(self, *arguments, **options)
        spent.append(solution.evaluations)
        return solution

    result = identify(arm, noisy, free=STRENGTH, residuals=("moment",))
    monkeypatch.setattr(Descents, "minimise", counted)
    near = cross_validation(arm, noisy, replace(MOMENTS, starts=8), around=result, blocks=4, folds=2)
    around = sum(spent)
    full = cross_validate(arm, noisy, **settings)
    for u, f in zip(near.unseen, near.fits, strict=True):  # of 99 to 199 samples with white noise
        assert u.holds == f.band
        assert 0.88 < u.holds <= 1.0
    for a, b in zip(near.fits, full, strict=True):
        assert (a.trial, a.coordinate) == (b.trial, b.coordinate)
        assert a.identified == pytest.approx(b.identified, rel=1e-3)
    assert around < 0.75 * (sum(spent) - around)
    other = replace(result, estimates=result.estimates[:1])
    with pytest.raises(InputError, match="estimates other parameters; give that of these trials"):
        cross_validate(arm, noisy, around=other, **settings)
