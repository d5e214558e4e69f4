"""Pieces that stand for long recordings: the same residuals, of a part of the instants, for a part of the work."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.estimation.checkpoint import Descents
from mjx_msm.estimation.least_squares import CAREFUL, TOLERANCE, minimise
from mjx_msm.estimation.residuals import moment
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification.coarse_start import descend, pieces_of
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge import posterior_draws
from mjx_msm.knowledge.posterior_draws import completed_draws
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.trial import Trial

FREE = ("muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "muscle/*/tendon_slack_length", "emg/*/delay")
TIED = ("emg/*/delay",)
SECONDS, RATE, COUNT, NOISE, DRAWS = 20.0, 20.0, 6, 4.0, 24


@pytest.fixture(scope="module")
def recorded(arm):
    """Two motions that never quite repeat, with the moments of another arm and noise on them."""
    t = np.arange(0, SECONDS, 0.01)
    space = parameter_space(arm.nominal.with_channels(arm.muscles), FREE, tied=TIED)
    rng, trials = np.random.default_rng(3), []
    for name in ("first", "second"):
        phase = rng.uniform(0, 6, (2, len(arm.muscles)))
        position = np.stack([0.4 + 0.5 * np.sin(5.1 * t + 0.4 * np.sin(0.3 * t)), 1.1 + 0.6 * np.sin(3.7 * t)], 1)
        emg = 0.45 + 0.3 * np.sin(5.1 * t[:, None] + phase[0]) + 0.2 * np.sin(2.3 * t[:, None] + phase[1])
        still = np.zeros_like(position)
        trials.append(Trial(name, t, arm.coordinates, position, arm.muscles, emg, arm.coordinates, still))
    own = {m: {m: 1.0} for m in arm.muscles}
    term = moment_term(arm, space, [record(arm, trial, own) for trial in trials], 100.0)
    truth = space.clip(space.prior_mean + 0.7 * space.prior_scale * rng.normal(size=space.size))
    made = term.evaluate(truth, np.ones(2)) + NOISE * rng.normal(size=term.target.shape)
    return tuple(replace(trial, moment=made[term.trial == k]) for k, trial in enumerate(trials))


@pytest.fixture(scope="module")
def term(arm, recorded):
    space = parameter_space(arm.nominal.with_channels(arm.muscles), FREE, tied=TIED)
    own = {m: {m: 1.0} for m in arm.muscles}
    return moment_term(arm, space, [record(arm, trial, own) for trial in recorded], RATE)


def test_a_piece_is_what_it_is_in_the_whole(term):
    some, z = term.in_pieces(COUNT), term.space.prior_mean
    rows = np.flatnonzero(np.isin(term.recording * 10**6 + term.sample, some.recording * 10**6 + some.sample))
    assert len(rows) == len(some.sample)
    assert abs(len(rows) - COUNT * RATE) <= 1.5 * RATE  # the first second of a recording is longer
    np.testing.assert_array_equal(np.unique(some.trial), [0, 1])
    assert np.ptp(some.sample) > 0.4 * np.ptp(term.sample)
    np.testing.assert_array_equal(some.target, term.target[rows])
    one = np.ones(2)
    whole, part = term.evaluate(z, one)[rows], some.evaluate(z, one)
    assert np.abs(part - whole).max() < 1e-3 < 1e-3 * np.std(term.target)
    sums = some.expand(z).reduce(one)
    np.testing.assert_allclose(sums.squares, (part**2).sum(axis=0), rtol=1e-9)
    work = [sum(s.envelope.shape[0] * s.envelope.shape[1] for s in t.shares) for t in (some, term)]
    assert work[0] < 0.35 * work[1]


def test_short_recordings_stand_for_themselves(arm, term, recorded):
    own = {m: {m: 1.0} for m in arm.muscles}
    cut = [replace(t, time=t.time[:200], position=t.position[:200], emg=t.emg[:200], moment=t.moment[:200])
           for t in recorded]  # fmt: skip
    short = moment_term(arm, term.space, [record(arm, t, own) for t in cut], RATE)
    assert short.in_pieces(COUNT) is short
    assert pieces_of([short]) is None


def test_pieces_are_of_what_was_measured(term):
    """What is held out is in none of them, and weights stay with their instants."""
    held = (np.arange(len(term.sample)) // 40) % 2 == 0
    rest = replace(term, mask=term.mask * ~held[:, None])
    trust = np.random.default_rng(0).uniform(size=term.target.shape)
    some = rest.trusting(trust).in_pieces(COUNT)
    rows = np.flatnonzero(np.isin(term.recording * 10**6 + term.sample, some.recording * 10**6 + some.sample))
    assert not held[rows].any()
    np.testing.assert_array_equal(some.trust, trust[rows])


def test_a_short_recording_is_among_them_and_weighs_what_it_did(term):
    """One of three seconds beside one of twenty."""
    short = replace(term, mask=term.mask * ((term.recording == 0) | (term.sample * term.model.timestep < 3))[:, None])
    some = short.in_pieces(COUNT)
    seconds = [len(some.sample[some.recording == k]) / RATE for k in (0, 1)]
    assert seconds[1] >= 1.9
    assert seconds[0] > 3.9
    weight = np.array([np.sum(some.relative[some.recording == k, 0] ** -2.0) for k in (0, 1)])
    whole = np.array([np.sum(short.mask[short.recording == k, 0]) for k in (0, 1)])
    np.testing.assert_allclose(weight[1] / weight[0], whole[1] / whole[0], rtol=0.3)  # the first second is longer


def test_a_trial_without_moments_keeps_its_place(arm, term, recorded):
    """At the end, too: scales of the pieces' trials are those of the whole's."""
    blank = replace(recorded[1], name="none", moment=np.full_like(recorded[1].moment, np.nan))
    own = {m: {m: 1.0} for m in arm.muscles}
    whole = moment_term(arm, term.space, [record(arm, trial, own) for trial in (*recorded, blank)], RATE)
    some = whole.in_pieces(COUNT)
    assert some is not whole
    assert set(some.recording) == {0, 1}
    for each in (whole, some):
        np.testing.assert_array_equal(each.counted.any(axis=1), [True, True, False])
        assert {share.trials.window.shape[1] for share in each.shares} == {3}
    scales = np.array([[1.0, 2.0], [3.0, 4.0], [1.0, 1.0]])
    np.testing.assert_array_equal(whole.at_scales(scales).relative, scales[whole.recording])


def test_an_interrupt_during_pieces_leaves_what_is_of_everything(term, monkeypatch):
    monkeypatch.setattr(moment, "PIECES", COUNT)

    class Interrupted(Descents):
        def minimise(self, terms, space, z, **settings):
            assert terms[0] is not term
            return replace(super().minimise(terms, space, z, **settings | {"limit": 2}), interrupted=True)

    settings = {"limit": 300, "tolerance": TOLERANCE, "report": lambda solution: None}
    found = descend([term], term.space, term.space.prior_mean, Interrupted(), **settings)
    there = minimise([term], term.space, found.z, limit=1)
    assert found.interrupted
    assert found.cost == there.cost
    np.testing.assert_array_equal(found.scales[0], there.scales[0])


@pytest.mark.slow
def test_through_pieces_the_solution_takes_few_evaluations_of_the_whole(term, monkeypatch):
    monkeypatch.setattr(moment, "PIECES", COUNT)
    costs = {"whole": 0, "pieces": 0}

    class Counted(Descents):
        def minimise(self, terms, space, z, **settings):
            found = super().minimise(terms, space, z, **settings)
            costs["whole" if terms[0] is term else "pieces"] += found.evaluations
            return found

    space, start = term.space, term.space.prior_mean
    settings = {"limit": 300, "tolerance": TOLERANCE, "report": lambda solution: None}
    direct = minimise([term], space, start, damping=CAREFUL, **settings)
    through = descend([term], space, start, Counted(), **settings)
    assert direct.converged
    assert through.converged
    assert through.cost < direct.cost + 1e-3
    assert 0 < costs["whole"] <= direct.evaluations
    assert costs["whole"] <= 8
    assert through.evaluations == sum(costs.values())


@pytest.mark.slow
def test_draws_along_pieces_are_those_along_everything(arm, term, recorded, monkeypatch):
    """Twice as far out as the posterior's own, the same draws taken both ways miss what is promised at all instants
    alike, and their quantiles agree within what their count leaves to chance."""
    monkeypatch.setattr(moment, "PIECES", COUNT)
    result = identify(arm, recorded, free=FREE, tied=TIED, residuals=("moment",), rate=RATE)
    z, space, one = np.array(result.z), term.space, np.ones(2)
    far = np.array([space.clip(z + 2.0 * (np.array(draw) - z), 1e-3) for draw in result.samples[:DRAWS]])
    result = replace(result, samples=tuple(map(tuple, far)))
    some = np.array(completed_draws(arm, recorded, result).samples)
    monkeypatch.setattr(posterior_draws, "_standing_for", lambda terms, scales: (list(terms), list(scales)))
    every = np.array(completed_draws(arm, recorded, result).samples)

    def missed(draws):
        out, at = [], term.evaluate(z, one)
        for draw, here in zip(far, draws, strict=True):
            step = 1e-4 * (draw - z)
            promised = (term.evaluate(z + step, one) - term.evaluate(z - step, one)) / 2e-4
            out.append(np.mean((term.evaluate(here, one) - at - promised) ** 2))
        return np.sqrt(np.mean(out))

    before, short, long = map(missed, (far, some, every))
    sd = 2.0 * np.sqrt(np.diag(result.covariance))
    assert long < 0.5 * before
    assert short < 1.5 * long
    for q in (0.1, 0.5, 0.9):  # the standard error of a tenth
        one_way, other = (np.quantile(draws / sd, q, axis=0) for draws in (some, every))
        np.testing.assert_allclose(one_way, other, atol=1.7 / np.sqrt(DRAWS))
