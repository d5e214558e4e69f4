"""People and their population in turns: real identifications of a small cohort that is weaker than the model."""

from dataclasses import replace

import numpy as np
import pytest
from made_cohort import FREE as MADE
from made_cohort import made_cohort

from mjx_msm import Identification, InputError, identify_many, identify_population, parameter_space, synthetic_trials
from mjx_msm.common.compiled import float64
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.identification import hierarchical
from mjx_msm.knowledge.hierarchy import TURNS
from mjx_msm.knowledge.records import Outcome
from mjx_msm.recordings.model_clock import record

FREE = ["muscle/*/max_isometric_force"]
ASKED = {"free": FREE, "residuals": ["moment"], "rate": 100.0}
PEOPLE, NOISE = 10, 2.0


@pytest.fixture(scope="module")
def cohort(arm):
    """Half a second each, with moments too noisy to tell the heads of a muscle group apart; and the truths."""
    return weaker(arm, FREE, PEOPLE, shift=-1.0, spread=0.2)


def weaker(arm, free, people, *, shift, spread):
    """People off the model by a shift and a spread, in usual priors' standard deviations."""
    rng, space = np.random.default_rng(5), parameter_space(arm.nominal, free)
    fine = parameter_space(arm.nominal.with_channels(arm.muscles), free)
    own = {m: {m: 1.0} for m in arm.muscles}
    trials, truths = {}, {}
    for k in range(people):
        z = space.clip(space.prior_mean + space.prior_scale * (shift + spread * rng.normal(size=space.size)))
        with float64():
            truth = space.unpack(z)
        (trial,) = synthetic_trials(arm, truth, count=1, duration=0.5, rate=250, seed=k)
        blank = replace(trial, moment_coordinates=arm.coordinates, moment=np.zeros_like(trial.position))
        term = moment_term(arm, fine, [record(arm, blank, own)], 250.0)
        moment = term.evaluate(z, np.ones(2))
        trials[f"p{k}"] = (replace(blank, moment=moment + NOISE * rng.standard_normal(moment.shape)),)
        truths[f"p{k}"] = z
    return space, trials, truths


@pytest.fixture
def made(arm, monkeypatch):
    """Made-up results in the place of identifications; `made(what)` changes those of a turn, counted from 0."""
    results, traits, _ = made_cohort(parameter_space(arm.nominal, MADE), 6, seed=0)

    def make(what):
        turns: list[dict] = []

        def many(model, cohort, *, each, **_):
            turns.append(each)
            return what(len(turns) - 1, dict(results))

        monkeypatch.setattr(hierarchical, "identify_many", many)
        return lambda: identify_population(arm, dict.fromkeys(results, ()), traits, rounds=1, free=MADE), turns

    return make


def test_an_interruption_goes_through(made):
    """Whoever is missing or half done: nothing is learned of the others alone."""
    for what in (
        lambda turn, r: {n: r[n] for n in list(r)[:5]},
        lambda turn, r: r | ({"p2": replace(r["p2"], outcome=Outcome.INTERRUPTED)} if turn else {}),
    ):
        ask, _ = made(what)
        with pytest.raises(KeyboardInterrupt):
            ask()


def test_who_fails_in_a_later_turn_is_told(made):
    broken = InputError("subject 'p1': does not converge")
    odd = {"likelihood": None, "outcome": Outcome.NOT_FINITE}
    ask, turns = made(lambda turn, r: r | ({"p1": broken, "p2": replace(r["p2"], **odd)} if turn else {"p3": broken}))
    population, found = ask()
    assert list(found) == ["p0", "p1", "p2", "p3", "p4", "p5"]
    assert found["p1"] is broken
    assert "subject 'p2': the simulation of some segments is not finite" in str(found["p2"])
    assert isinstance(found["p3"], Identification), "with the others' help"
    assert population.people == 4
    assert set(turns[1]) == set(found), "everybody is tried again with what is expected of them"


@pytest.mark.slow
def test_people_and_population_take_turns(arm, cohort):
    space, trials, truths = cohort
    usual = identify_many(arm, trials, **ASKED)
    population, ours = identify_population(arm, trials, rounds=1, name="weak", **ASKED)
    assert population.people == len(ours) == PEOPLE
    errors = {}
    for name, found in (("usual", usual), ("ours", ours)):
        assert all(isinstance(r, Identification) for r in found.values())
        errors[name] = np.array([(np.array(found[who].z) - z) / space.prior_scale for who, z in truths.items()])
    open_ = np.array([[not e.determined for e in usual[who].estimates] for who in truths])
    assert open_.sum() >= 6, "half a second of noise leaves something open"
    assert np.sqrt(np.mean(errors["ours"][open_] ** 2)) < 0.65 * np.sqrt(np.mean(errors["usual"][open_] ** 2))
    sd = np.array([np.sqrt(np.diag(ours[who].covariance)) for who in truths]) / space.prior_scale
    assert np.mean(np.abs(errors["ours"]) < 1.96 * sd) >= 0.85
    for who in truths:  # identified anew with the population's prior, which does not count as seen
        assert ours[who].unknowns[0].reference == (
            usual[who].unknowns[0].prior_mean,
            usual[who].unknowns[0].prior_scale,
        )
        assert "shrunk towards the population 'weak' of 10 people" in ours[who].notes


@pytest.mark.slow
def test_turns_find_the_average_that_lies_between_model_and_people_without_them(arm):
    """Strength and fiber length bend the moment: what the first estimates say of it is said near the model. Turns end
    where the average person stands."""
    free = [*FREE, "muscle/*/optimal_fiber_length"]
    space, trials, truths = weaker(arm, free, 24, shift=-0.8, spread=0.3)
    average = (np.mean(list(truths.values()), axis=0) - space.prior_mean) / space.prior_scale
    off = []
    for rounds in (0, TURNS):
        population, _ = identify_population(arm, trials, rounds=rounds, **ASKED | {"free": free, "held": "exact"})
        off.append(np.array(population.weights[0]) - average)
    sd = np.sqrt(np.diag(np.array(population.weights_covariance)))
    one_by_one, in_turns = (np.mean(x) for x in off)
    assert one_by_one > 0.25
    assert abs(in_turns) < 0.3 * one_by_one
    assert np.mean(np.abs(off[1]) < 2 * sd) >= 0.9
