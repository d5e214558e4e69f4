"""An interrupted identification goes on where it was, and ends where it would have ended."""

import signal
import threading
from dataclasses import replace

import numpy as np
import pytest

from mjx_msm import Identification, InputError, Outcome, identify, synthetic_subject, synthetic_trials
from mjx_msm.estimation.residuals.acceleration import AccelerationTerm
from mjx_msm.estimation.residuals.motion import MotionTerm
from mjx_msm.identification import ahead, assembly
from mjx_msm.identification.problem import Problem, deciding
from mjx_msm.identification.resume import resumed
from mjx_msm.recordings.settings import Settings

FREE = ["muscle/*/max_isometric_force", "muscle/BRA/optimal_fiber_length", "body/forearm/mass"]


@pytest.fixture(scope="module")
def trials(arm):
    return synthetic_trials(
        arm, synthetic_subject(arm, seed=3), count=1, duration=1.0, rate=250, seed=3, angle_noise=0.004
    )


@pytest.fixture(scope="module")
def whole(arm, trials):
    return identify(arm, trials, free=FREE)


def interrupt_in(stage, iteration):
    def listener(progress):
        if progress.index == stage and progress.iteration == iteration:
            raise KeyboardInterrupt

    return listener


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "iteration"), [(0, 2), (1, 1)])
def test_it_ends_where_it_would_have(arm, trials, whole, tmp_path, stage, iteration):
    broken = identify(arm, trials, free=FREE, listener=interrupt_in(stage, iteration))
    assert broken.outcome is Outcome.INTERRUPTED
    assert len(broken.stages) == stage + 1
    seen = []
    saved = Identification.load(broken.save(tmp_path / "identification.json"))
    resumed = identify(arm, trials, free=FREE, resume=saved, listener=lambda p: seen.append(p.index))
    assert resumed.outcome is Outcome.CONVERGED
    assert min(seen) == stage  # what was done is not done again
    assert [s.name for s in resumed.stages] == [s.name for s in whole.stages]
    sd = np.sqrt(np.diag(whole.covariance))
    np.testing.assert_array_less(np.abs(np.subtract(resumed.z, whole.z)), 0.02 * sd)


@pytest.mark.slow
def test_the_starts_that_were_not_tried_are_tried(arm, trials):
    """Interrupted in the second of four starting points, the others follow, and begin where they would have begun."""
    settings = {"free": FREE, "residuals": ("acceleration",), "starts": 4, "seed": 5}
    told, again = [], []
    searched = identify(arm, trials, listener=told.append, **settings)
    assert searched.stages[0].starts == 4
    begins = [k for k in range(1, len(told)) if told[k].cost > told[k - 1].cost]  # it falls within one

    def interrupt(progress):
        if progress.iteration == told[begins[0]].iteration:
            raise KeyboardInterrupt

    broken = identify(arm, trials, listener=interrupt, **settings)
    assert broken.stages[0].starts == 1
    resumed = identify(arm, trials, resume=broken, listener=lambda p: again.append(p.z), **settings)
    assert resumed.stages[0].starts == 4
    for k in begins[:3]:
        assert min(np.abs(z - told[k].z).max() for z in again) < 1e-12
    sd = np.sqrt(np.diag(searched.covariance))
    np.testing.assert_array_less(np.abs(np.subtract(resumed.z, searched.z)), 0.02 * sd)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 100.0}, r"another rate \(200.0, now 100.0\)"),
        ({"horizon": 100}, r"another horizon \(500, now 100\)"),
        ({"residuals": ("acceleration",)}, "other residuals"),
        ({"bounds": {"body/forearm/mass": {"factor": [0.5, 1.5]}}}, "other bounds of body/forearm/mass"),
        ({"priors": {"body/forearm/mass": {"relative_sd": 0.2}}}, "other priors of body/forearm/mass"),
        ({"priors": {"muscle/BRA/*length": "none"}}, "other priors of muscle/BRA/optimal_fiber_length"),
        ({"emg_map": None}, "another EMG map"),
    ],
)
def test_another_problem_is_refused(arm, trials, whole, changes, words):
    if "emg_map" in changes:
        changes = {"emg_map": {m: {m: 0.9 if m == "BRA" else 1.0} for m in arm.muscles}}
    with pytest.raises(InputError, match=words) as error:
        identify(arm, trials, free=FREE, resume=whole, **changes)
    assert "\n" not in str(error.value)


def test_what_intervals_allow_for_is_no_other_problem(arm, trials, whole):
    now = Problem.build(arm, trials, Settings(free=FREE, held="exact"))
    assert now.record()["held"] != whole.held
    np.testing.assert_allclose(resumed(whole, now, {})[0], whole.z, rtol=1e-8)
    assert deciding(now.settings) == deciding(Settings(free=FREE))
    assert deciding(now.settings) != deciding(Settings(free=FREE, held="exact", rate=100.0))


def test_other_parameters_and_other_files_are_refused(arm, trials, whole):
    with pytest.raises(InputError, match="other parameters"):
        identify(arm, trials, free=FREE[:1], resume=whole)
    with pytest.raises(InputError, match=r"another integrator \(Euler, now RK4\)"):  # as one of version 0.1.0
        identify(arm, trials, free=FREE, resume=replace(whole, integrator="Euler"))
    with pytest.raises(InputError, match=r"walk\.csv has changed"):
        identify(arm, trials, free=FREE, resume=replace(whole, hashes={"walk.csv": "a"}), hashes={"walk.csv": "b"})


# Wherever it strikes -----------------------------------------------------------------------------------------


def press():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def test_an_interrupt_during_the_report_waits_for_it(arm, trials, whole, monkeypatch):
    def fits(*arguments):
        press()
        yield from real_fits(*arguments)

    real_fits = assembly.fits_of
    monkeypatch.setattr(assembly, "fits_of", fits)
    result = identify(arm, trials, free=FREE)
    assert result.outcome is Outcome.INTERRUPTED
    assert replace(result, outcome=whole.outcome, stages=whole.stages) == whole


def test_an_interrupt_while_waiting_for_the_compiler_keeps_the_first_stage(arm, trials, monkeypatch):
    last, asked, waited = [], [], threading.Event()

    def wait(jobs):
        asked.append(jobs)
        if len(asked) > 1:  # the first is for what the first stage needs
            waited.set()
        return real_wait(jobs)

    def slow():
        waited.wait(120)
        press()

    real_wait = ahead.wait
    monkeypatch.setattr(ahead, "wait", wait)
    monkeypatch.setattr(MotionTerm, "compile_jobs", lambda term, z: [slow])
    result = identify(arm, trials, free=FREE, listener=lambda progress: last.__setitem__(slice(None), [progress]))
    assert result.outcome is Outcome.INTERRUPTED
    assert [s.name for s in result.stages] == ["acceleration"]
    assert result.z == tuple(last[0].z)


def test_an_interrupt_before_the_first_iterate_of_a_stage_keeps_the_stage_before(arm, trials, monkeypatch):
    told = []

    def expand(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(MotionTerm, "expand", expand)
    result = identify(arm, trials, free=FREE, listener=told.append)
    assert result.outcome is Outcome.INTERRUPTED
    assert {p.stage for p in told} == {"acceleration"}
    assert result.z == tuple(told[-1].z)
    assert result.residuals == ("acceleration",)
    assert all(e.sd < 0.5 * e.value for e in result.estimates)


def test_an_interrupt_before_anything_was_iterated_is_passed_on(arm, trials, monkeypatch):
    def expand(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(AccelerationTerm, "expand", expand)
    for starts in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            identify(arm, trials, free=FREE, starts=starts)


@pytest.mark.slow
def test_a_seed_repeats_bit_for_bit(arm, trials, whole):
    np.testing.assert_array_equal(identify(arm, trials, free=FREE).z, whole.z)
    many = [identify(arm, trials, free=FREE, starts=2, seed=5) for _ in range(2)]
    np.testing.assert_array_equal(many[0].z, many[1].z)
