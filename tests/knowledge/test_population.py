"""A population learned from what each person's recordings alone say: a known one is found again, and helps."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from made_cohort import FREE, made_cohort
from made_result import made_result
from scipy.optimize import minimize
from scipy.special import ndtr

from mjx_msm import Identification, InputError, identify, synthetic_trials
from mjx_msm.common.file_kinds import HEAD
from mjx_msm.knowledge import hierarchy as hierarchy_module
from mjx_msm.knowledge.cohort import Cohort, Member
from mjx_msm.knowledge.cohort_details import cohort_details
from mjx_msm.knowledge.cohort_verdict import cohort_verdict
from mjx_msm.knowledge.hierarchy import PSEUDO_PEOPLE, SLOPE, Hierarchy, hierarchy
from mjx_msm.knowledge.one_sided import FAULT, Factors, OneSided, censored
from mjx_msm.knowledge.population import Population, _kind, errors_of, heard, in_z, learned, left_out, stopped
from mjx_msm.knowledge.posterior import likelihood_of
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.uncertainty import uncertainty
from mjx_msm.person.expectation import Expectation
from mjx_msm.person.space import parameter_space, with_expectation


def all_said(cohort):
    """All that a study says, in short and besides."""
    return " ".join((*cohort_verdict(cohort), *cohort_details(cohort)))


@pytest.fixture(scope="module")
def space(arm):
    return parameter_space(arm.nominal, FREE)


@pytest.fixture(scope="module")
def cohort(space):
    """People weaker than the model, the heavier the stronger, each of whom tells of half of the parameters."""
    return made_cohort(space, 24, seed=0)


def test_the_likelihood_is_the_posterior_without_its_prior(space):
    rng = np.random.default_rng(1)
    jacobian = rng.normal(size=(4, space.size)) / space.prior_scale
    jacobian[:, 0] = 0.0  # of which nothing is said
    seen = jacobian @ space.prior_mean + rng.normal(size=4)
    fisher, prior = jacobian.T @ jacobian, np.diag(space.prior_scale**-2)
    z = np.linalg.solve(fisher + prior, jacobian.T @ seen + prior @ space.prior_mean)
    for repeats in (1.0, 3.0):  # residuals that repeat each other say so much less
        known = uncertainty(fisher, space.prior_scale, score=repeats * fisher, width=space.upper - space.lower)
        told = likelihood_of(space.prior_mean, space.prior_scale, z, known)
        np.testing.assert_allclose(told.precision, fisher / repeats, atol=1e-8 * fisher.max())
        np.testing.assert_allclose(told.pull, jacobian.T @ seen / repeats, rtol=1e-6, atol=1e-6)


def test_a_solver_that_stopped_short_along_what_data_hardly_tell_makes_nobody_sure(space):
    """The prior's slope is not the data's there: their own gives the likelihood wherever it is looked at from."""
    rng = np.random.default_rng(1)
    jacobian = rng.normal(size=(space.size, space.size)) / space.prior_scale
    jacobian[0] *= 1e-3
    fisher, best = jacobian.T @ jacobian, space.prior_mean + 0.5 * space.prior_scale * rng.normal(size=space.size)
    z = space.prior_mean + 0.2 * space.prior_scale  # no estimate
    known = uncertainty(fisher, space.prior_scale, width=space.upper - space.lower)
    told = likelihood_of(space.prior_mean, space.prior_scale, z, known, fisher @ (z - best))
    np.testing.assert_allclose(told.pull, fisher @ best, rtol=1e-6, atol=1e-6)
    balanced = likelihood_of(space.prior_mean, space.prior_scale, z, known)
    assert np.abs(np.linalg.solve(fisher, balanced.pull) - best).max() > 100 * space.prior_scale.max()


def test_a_known_population_is_found_again():
    """Weights, their certainty and the spread, from people who each tell of one parameter in three."""
    rng = np.random.default_rng(2)
    people, size = 400, 3
    weights = np.array([[-1.0, 0.5, 0.0], [0.4, 0.0, -0.3]])
    spread = np.array([[0.20, 0.12, 0.0], [0.12, 0.20, 0.0], [0.0, 0.0, 0.05]])
    traits = rng.normal(size=(people, 1))
    z = np.c_[np.ones(people), traits] @ weights + rng.multivariate_normal(np.zeros(size), spread, people)
    precision = np.zeros((people, size, size))
    for k in range(people):
        chosen = rng.permutation(size)[:2]
        precision[k][chosen, chosen] = 25.0
    pull = np.einsum("nij,nj->ni", precision, z) + rng.normal(size=z.shape) * np.sqrt(np.einsum("nii->ni", precision))
    found = hierarchy(precision, pull, traits)
    np.testing.assert_allclose(found.weights, weights, atol=0.08)
    np.testing.assert_allclose(found.spread, spread, atol=0.04)
    sd = np.sqrt(np.einsum("aiai->ai", found.weights_covariance))
    assert np.mean(np.abs(found.weights - weights) < 2.5 * sd) >= 5 / 6
    none = hierarchy(precision, pull, rng.normal(size=(people, 1)))
    assert np.all(np.abs(none.weights[1]) < 0.07), "a trait that says nothing is given up"


@pytest.mark.parametrize("people", [8, 60])
def test_spread_and_slope_are_where_the_marginal_likelihood_is_greatest(people):
    """Of one parameter, whose truths and recordings are normal, so that everything but the two is integrated in closed
    form: seen m_i is N(x_i·w, s + 1/Λ_i), with w ~ N(0, diag(1, A)), and `PSEUDO_PEOPLE` and `SLOPE` beside it."""
    rng = np.random.default_rng(people)
    x = np.c_[np.ones(people), rng.normal(size=people)]
    precision = np.exp(rng.normal(1.5, 1.0, people))  # some tell much less of themselves than people differ
    z = x @ [-0.8, 0.4] + 0.3 * rng.normal(size=people)
    seen = z + rng.normal(size=people) / np.sqrt(precision)

    def covariance(s, a):
        return np.diag(s + 1 / precision) + x @ np.diag([1.0, a]) @ x.T

    def surprise(log):
        s, a = np.exp(log)
        total = covariance(s, a)
        fit = np.linalg.slogdet(total)[1] + seen @ np.linalg.solve(total, seen)
        return 0.5 * (fit + PSEUDO_PEOPLE * (np.log(s) + 1 / s) + np.log(a) + SLOPE**2 / a)

    s, a = np.exp(minimize(surprise, np.log([0.1, 0.1]), method="Nelder-Mead", options={"xatol": 1e-8}).x)
    found = hierarchy(precision[:, None, None], (precision * seen)[:, None], x[:, 1:])
    assert found.settled
    assert found.spread[0, 0] == pytest.approx(s, rel=5e-3)
    weights = np.diag([1.0, a]) @ x.T @ np.linalg.solve(covariance(s, a), seen)
    np.testing.assert_allclose(found.weights[:, 0], weights, atol=2e-3)
    least = np.linalg.inv(np.diag([1.0, 1 / a]) + x.T @ (x / (s + 1 / precision)[:, None]))
    np.testing.assert_allclose(found.weights_covariance[:, 0, :, 0], least, rtol=1e-2, atol=1e-5)


def test_nobody_tells_nothing_changes():
    found = hierarchy(np.zeros((6, 2, 2)), np.zeros((6, 2)), np.zeros((6, 0)))
    np.testing.assert_allclose(found.weights, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.spread, np.eye(2), atol=1e-6)
    mean, covariance = found.expected(np.zeros(0))
    np.testing.assert_allclose(mean, 0.0, atol=1e-12)
    np.testing.assert_allclose(covariance, 2 * np.eye(2), atol=1e-3)  # a person, and the average that nobody knows


def drawn(rng, alike, people=24, kinds=2, members=6):
    """Truths of people, what five numbers of each say, and traits; `alike`: whether a kind's members have all in
    common, or nothing."""
    size = kinds * members

    def of_kind(scale):
        count = kinds if alike else size
        return np.repeat(scale * rng.normal(size=count), size // count)

    traits = rng.normal(size=(people, 1))
    sd = 0.4 * np.exp(of_kind(0.5))
    z = of_kind(0.8) + traits * of_kind(0.3) + sd * rng.normal(size=(people, size))
    told = (rng.random((people, 5, size)) < 0.4) * 2.0 * rng.normal(size=(people, 5, size))
    seen = np.einsum("nij,nj->ni", told, z) + rng.normal(size=(people, 5))
    precision, pull = np.einsum("nki,nkj->nij", told, told), np.einsum("nki,nk->ni", told, seen)
    return z, precision, pull, traits


def shrunk_errors(found, z, precision, pull, traits):
    """Errors and whether 95 % intervals hold the truth, of everybody's posterior."""
    off, inside = [], []
    for k, x in enumerate(traits):
        mean, covariance = found.expected(x)
        inverse = np.linalg.inv(covariance)
        both = np.linalg.inv(precision[k] + inverse)
        off.append(both @ (pull[k] + inverse @ mean) - z[k])
        inside.append(np.abs(off[-1]) < 1.96 * np.sqrt(np.diag(both)))
    return np.sqrt(np.mean(np.square(off))), np.mean(inside)


@pytest.mark.parametrize(("alike", "most"), [(True, 0.95), (False, 1.02)])
def test_a_kind_tells_of_its_members(alike, most):
    """Where they are alike errors fall; where they have nothing in common none is made of it."""
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(4):
        made = drawn(rng, alike)
        both = [shrunk_errors(hierarchy(*made[1:], kinds), *made) for kinds in ([0] * 6 + [1] * 6, None)]
        errors.append([e for e, _ in both])
        assert both[0][1] > 0.9
    new, old = np.sqrt(np.mean(np.square(errors), axis=0))
    assert new < most * old


def test_places_in_frames_of_their_own_are_of_no_kind():
    """Forwards in a thigh says nothing of what is forwards in a foot."""
    kinds = [_kind(f"body/{b}/{f}") for b in ("tibia", "talus") for f in ("com/z", "inertia/xy", "mass")]
    assert len(set(kinds)) == 5
    assert _kind("muscle/BRA/tendon_slack_length") == _kind("muscle/BIC*/tendon_slack_length")


def test_the_average_person_is_in_the_verdict(space, cohort):
    """The people were made exp(SHIFT) times as strong as the model; an average is said of what is determined in half of
    them at least."""
    results, traits, _ = cohort
    some = list(results)[:12]
    found = Cohort("weak", tuple(Member(n, n, results[n], traits=traits[n]) for n in some)).with_population()
    strengths = [e.path for e in results["p0"].estimates if e.path.startswith("muscle/")]

    def said_where_known(*counts):
        """Of every strength, in how many people."""

        def told(k, e):
            sure = e.path in strengths and k < counts[strengths.index(e.path)]
            return replace(e, data_share=0.9 if sure else 0.1, low=e.value / 1.2, high=e.value * 1.2)

        people = [replace(m.result, estimates=tuple(told(k, e) for e in m.result.estimates))
                  for k, m in enumerate(found.members)]  # fmt: skip
        members = tuple(replace(m, result=r) for m, r in zip(found.members, people, strict=True))
        return all_said(replace(found, members=members))

    said = said_where_known(*[5] * 6)
    assert "Their average person" not in said
    assert "No average is given of what the recordings determine in fewer than half of the people: " in said
    assert f"{strengths[0]} (5 of 12), " in said
    said = said_where_known(12, *[5] * 5)
    assert f"in {strengths[0]}, determined in 12 of 12 people. Each person's prior draws it towards" in said
    assert f"fewer than half of the people: {strengths[1]} (5 of 12), " in said
    said = said_where_known(12, *[7] * 5)
    assert "No average" not in said
    assert "each determined in 7 to 12 of 12 people. Each person's prior draws it towards the model" in said
    pattern = r"maximal isometric force (\S+) times \(95 % (\S+) to (\S+)\) in the middle of 6 muscles"
    times, low, high = map(float, re.search(pattern, said).groups())
    assert times == pytest.approx(np.exp(-0.3), abs=0.06)
    assert low < np.exp(-0.3) < high
    assert "Strengths are no measure of weakness yet" in said
    assert "had they been half, strengths would be twice" in said


def test_people_help_each_other(space, cohort):
    """Errors of what a person's own recordings leave open, at most half; nine in ten truths in the intervals."""
    results, traits, truths = cohort
    population = learned(results, traits, name="weak")
    assert population.people == 24
    assert [t.name for t in population.traits] == ["mass"]
    before, after, inside = [], [], []
    for who, result in results.items():
        shrunk = population.shrunk(result, **traits[who])
        open_ = np.array([not e.determined for e in result.estimates])
        before += list((np.array(result.z) - truths[who])[open_])
        after += list((np.array(shrunk.z) - truths[who])[open_])
        sd = np.sqrt(np.diag(shrunk.covariance))
        inside += list(np.abs(np.array(shrunk.z) - truths[who]) < 1.96 * sd)
    assert np.sqrt(np.mean(np.square(after))) <= 0.5 * np.sqrt(np.mean(np.square(before)))
    assert 0.90 <= np.mean(inside) <= 0.98


def test_one_who_was_left_out_is_expected_by_traits(space, cohort):
    results, traits, truths = cohort
    some = {n: results[n] for n in list(results)[:12]}
    expected = left_out(some, traits)
    ours, usual = [], []
    for who, result in some.items():
        mean, covariance = in_z(result, expected[who])
        ours.append(mean - truths[who])
        usual.append(space.prior_mean - truths[who])
        assert np.all(np.linalg.eigvalsh(covariance) > 0)
    assert np.sqrt(np.mean(np.square(ours))) <= 0.5 * np.sqrt(np.mean(np.square(usual)))


def test_errors_are_beside_what_the_recordings_alone_say(space):
    """Of parameters that have nothing to do with each other the prior's pull is known; where little else is, nothing
    is judged."""
    rng = np.random.default_rng(0)
    best = space.prior_mean + 0.5 * space.prior_scale * rng.normal(size=space.size)
    times = np.array([4.0, 0.5, *[9.0] * (space.size - 2)])  # information over the prior's
    z = (space.prior_mean + times * best) / (1 + times)
    made = made_result(space, np.diag(times / space.prior_scale**2), z)
    nothing = Expectation("usual", tuple(space.paths), (0.0,) * space.size, tuple(map(tuple, np.diag(
        space.prior_scale**2
    ).tolist())))  # fmt: skip
    kept = [k for k in range(space.size) if k != 1 and space.kinds[k].transform == "log"]
    ours, usual = errors_of(made, nothing)
    np.testing.assert_allclose(ours, (best - space.prior_mean)[kept], rtol=1e-6)
    np.testing.assert_allclose(usual, ours)
    other = replace(made, z=tuple(z + 0.1 * space.prior_scale))  # by which it is judged then
    assert errors_of(made, nothing, other)[0][0] == pytest.approx(ours[0] + 0.1 * space.prior_scale[0] * 5 / 4)
    held = replace(other, estimates=(replace(other.estimates[0], bound="upper"), *other.estimates[1:]))
    assert errors_of(made, nothing, held)[0] == errors_of(made, nothing, other)[0][1:]


def test_a_population_is_a_file(space, cohort, tmp_path):
    results, traits, _ = cohort
    population = learned(results, traits, name="weak")
    path = population.save(tmp_path / "population.json")
    again = Population.load(path)
    assert again.expected(mass=80.0) == population.expected(mass=80.0)
    heavy, light = (again.expected(mass=m) for m in (90.0, 55.0))
    assert heavy.shift[0] > light.shift[0]
    anybody = again.expected()
    assert anybody.covariance[0][0] > again.expected(mass=70.0).covariance[0][0], "not to know the mass is to know less"
    with pytest.raises(InputError, match="trait 'weight' is unknown"):
        again.expected(weight=70.0)
    data = json.loads(path.read_text())
    for change, words in (
        ({"kind": "other"}, "is not a population"),
        ({"scale": [1.0]}, "its parts do not agree"),
        ({"people": "many"}, "is damaged"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps(data | change))
        with pytest.raises(InputError, match=words):
            Population.load(tmp_path / "bad.json")


def test_a_large_population_is_told_by_its_beginning(cohort, tmp_path):
    """The rows of weights come before the person with the result's "schema"."""
    results, traits, _ = cohort
    population = learned(results, traits, name="weak")
    path = population.save(tmp_path / "population.json")
    data = json.loads(path.read_text())
    data["notes"] = ["x" * HEAD]
    data["person"] = data.pop("person")  # after it
    path.write_text(json.dumps(data))
    assert path.read_bytes().find(b'"schema"') > HEAD
    assert Population.load(path).expected() == population.expected()
    assert Identification.load(path).z == population.person.z


def test_a_trait_that_may_be_anybodys_widens_by_its_slope_and_the_doubt_of_it():
    """Against draws of slope, trait and person."""
    rng = np.random.default_rng(3)
    weights = np.array([[0.2, -0.1], [0.3, 0.5]])
    doubt = np.diag([0.04, 0.02, 0.09, 0.01]).reshape(2, 2, 2, 2)
    spread = np.array([[0.3, 0.1], [0.1, 0.2]])
    mean, covariance = Hierarchy(weights, doubt, spread).expected(np.array([np.nan]))
    count = 200_000
    w = weights + rng.normal(size=(count, 2, 2)) * np.sqrt([[0.04, 0.02], [0.09, 0.01]])
    z = w[:, 0] + rng.normal(size=(count, 1)) * w[:, 1] + rng.multivariate_normal(np.zeros(2), spread, count)
    np.testing.assert_allclose(mean, z.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(covariance, np.cov(z.T), atol=0.01)


def test_what_has_not_settled_is_said(cohort, monkeypatch, tmp_path):
    results, traits, _ = cohort
    assert learned(results, traits).notes == ()
    monkeypatch.setattr(hierarchy_module, "ITERATIONS", 1)
    hasty = learned(results, traits, name="weak")
    assert "has not settled" in hasty.notes[0]
    assert hasty.notes[0] in hasty.shrunk(results["p0"]).notes
    assert Population.load(hasty.save(tmp_path / "population.json")).notes == hasty.notes


def test_somebodys_body_is_of_whoever_is_nearest_to_the_average(cohort):
    results, traits, _ = cohort
    marked = {who: replace(r, rate=float(100 + k)) for k, (who, r) in enumerate(results.items())}
    population = learned(marked, traits, name="weak")
    chosen = next(who for who, r in marked.items() if r.rate == population.person.rate)
    (mass,) = population.traits
    off = {who: abs(np.log(t["mass"]) - mass.centre) / mass.spread for who, t in traits.items()}
    assert off[chosen] < np.median(list(off.values()))
    first = {chosen: marked[chosen]} | marked
    assert learned(first, traits).person.rate == marked[chosen].rate, "whatever the order"
    scaled = replace(population, person=replace(population.person, scaling={"ulna": (1.1, 1.1, 1.1)}))
    assert scaled.somebody(age=40.0).subject == "somebody of weak"
    with pytest.raises(InputError, match="has the body of an average person, not one of another height and mass"):
        scaled.somebody(height=1.9, mass=95.0)


def test_who_cannot_be_compared_is_named_and_costs_nobody(cohort):
    """Of nine, one did not come to an end, one is of another model, one has other unknowns, one is of old."""
    results, traits, _ = cohort
    some = {n: results[n] for n in list(results)[:9]}
    some["p1"] = replace(some["p1"], outcome=Outcome.NOT_FINITE, likelihood=None)
    some["p2"] = replace(some["p2"], source="wrist")
    p3 = some["p3"]
    some["p3"] = replace(p3, estimates=tuple(replace(e, path=f"other/{e.path}") for e in p3.estimates))
    some["p4"] = replace(some["p4"], likelihood=None)
    found = Cohort("few", tuple(Member(n, n, r, traits=traits[n]) for n, r in some.items())).with_population()
    assert set(found.foretold) == {"p0", "p5", "p6", "p7", "p8"}
    assert list(found.apart) == ["p1", "p2", "p3", "p4"]
    said = all_said(found)
    assert "p1 (the simulation of some segments is not finite" in said
    assert "p2 (another model: wrist, mujoco); p3 (other unknowns); p4 (identified by a version" in said
    fewer = Cohort("few", found.members[:8]).with_population()
    assert fewer.population is None
    assert "There is no population: 4 of them are too few" in all_said(fewer)
    assert "population.json" not in cohort_verdict(fewer)[-1]


def test_a_population_that_fails_costs_no_report(cohort):
    results, traits, _ = cohort
    members = tuple(Member(n, n, results[n], traits=traits[n]) for n in list(results)[:6])
    odd = (*members[:5], replace(members[5], traits={"mass": -1.0}))
    found = Cohort("few", odd).with_population()
    assert found.population is None
    assert "There is no population: mass = -1.0 must be a positive number." in all_said(found)


def test_too_few_or_too_old_results_make_no_population(cohort):
    results, traits, _ = cohort
    with pytest.raises(InputError, match="3 people make no population"):
        learned({n: results[n] for n in list(results)[:3]}, traits)
    old = {n: replace(r, likelihood=None) for n, r in results.items()}
    with pytest.raises(InputError, match="identify again with this version"):
        learned(old, traits)


def test_somebody_whom_nobody_recorded(arm, space, cohort, tmp_path):
    """The file stands for a person: their draws spread as people do, and environments take it."""
    results, traits, truths = cohort
    population = learned(results, traits, name="weak")
    path = population.save(tmp_path / "population.json")
    anybody = Identification.load(path)
    draws = np.array(anybody.samples)
    every = np.array(list(truths.values()))
    np.testing.assert_allclose(draws.mean(axis=0)[:6], every.mean(axis=0)[:6], atol=0.12)
    assert np.all(draws.std(axis=0)[:6] > 0.5 * every.std(axis=0)[:6])
    assert np.all(draws.std(axis=0)[:6] < 2.5 * every.std(axis=0)[:6])
    assert anybody.residuals == ()
    assert anybody.likelihood is None
    assert Identification.load(anybody.save(tmp_path / "identification.json")) == anybody
    assert not anybody.misses_recording
    force = anybody["muscle/BRA/max_isometric_force"]
    assert anybody.parameters["muscle/BRA/max_isometric_force"] == pytest.approx(force.value)
    heavy = population.somebody(mass=95.0)
    assert heavy["muscle/BRA/max_isometric_force"].value > force.value
    people = anybody.population(5, model=arm)
    assert people.muscle.max_isometric_force.shape == (5, 6)


def test_shrunk_is_a_result_like_any_other(cohort, tmp_path):
    results, traits, _ = cohort
    population = learned(results, traits, name="weak")
    shrunk = population.shrunk(results["p3"], **traits["p3"])
    again = Identification.load(shrunk.save(tmp_path / "identification.json"))
    assert again.z == shrunk.z
    assert "shrunk towards the population 'weak' of 24 people" in again.notes
    # who was shrunk already says of themselves what they said before: nobody counts twice
    every = {n: population.shrunk(r, **traits[n]) for n, r in results.items()}
    twice = {n: r for n, r in every.items() if not any(e.bound for e in r.estimates)}
    once = learned({n: results[n] for n in twice}, traits, name="weak")
    assert len(twice) > 12
    assert learned(twice, traits, name="weak").expected(mass=70.0).shift == pytest.approx(
        once.expected(mass=70.0).shift, abs=1e-6
    )


def test_of_what_rests_on_a_bound_only_a_side_is_told(space):
    """Of one strength a recording tells by itself, of two others the sum. A bound that holds the first leaves its side;
    one that holds either of the two leaves the sum, as before."""
    rows = np.zeros((2, space.size))
    rows[0, :2], rows[1, 2] = 10.0, 5.0
    rows /= space.prior_scale
    made = made_result(space, rows.T @ rows)

    def at(k, bound):
        each = [replace(e, bound=bound if i == k else "") for i, e in enumerate(made.estimates)]
        return heard(replace(made, estimates=tuple(each)))

    precision, pull, side = heard(made)
    assert not len(side.offset)
    for bound, sign in (("upper", 1.0), ("lower", -1.0)):
        known, push, side = at(2, bound)
        np.testing.assert_allclose(known[2], 0.0, atol=1e-8 * precision.max())
        assert push[2] == pytest.approx(0.0, abs=1e-8 * np.abs(pull).max())
        np.testing.assert_allclose(side.direction[0], sign * rows[1], atol=1e-8)
        assert side.offset[0] == pytest.approx(side.direction[0] @ np.array(made.z))
        np.testing.assert_allclose(known[:2, :2], precision[:2, :2])
    known, push, side = at(0, "upper")
    np.testing.assert_allclose(known, precision, atol=1e-8 * precision.max())
    np.testing.assert_allclose(push, pull, atol=1e-8 * np.abs(pull).max())
    assert not len(side.offset)


def test_a_gain_that_is_full_is_told_no_more_than_one_at_a_bound(arm):
    """The greatest EMG is 1, and with a gain of 1 full: beyond it that sample gives no more. With half of it, 0.5, the
    same gain is told of."""
    space = parameter_space(arm.nominal.with_channels(("biceps",)), ["muscle/BRA/max_isometric_force", "emg/*/gain"])
    (gain,) = (k for k, path in enumerate(space.paths) if path.endswith("/gain"))
    made = made_result(space, np.diag(400.0 / space.prior_scale**2), channels=("biceps",))
    peak = 1.0 / made.estimates[gain].value
    full, half = replace(made, peaks={"biceps": peak}), replace(made, peaks={"biceps": 0.5 * peak})
    assert stopped(full)[gain]
    assert heard(full)[0][gain, gain] == 0.0
    assert heard(full)[2].direction[0, gain] == pytest.approx(20.0 / space.prior_scale[gain])
    other = 1 - gain
    assert heard(full)[0][other, other] == pytest.approx(heard(made)[0][other, other])
    assert not stopped(half).any()
    assert heard(half)[0][gain, gain] > 0.0


def beyond_a_bound(rng, exchanged, people=60):
    """People whose first parameter a bound stops in a third, of two that recordings can exchange for each other: what
    they tell, what a bound is all that is known of them left out, and all as if it had not been there.

    **Arguments:** `exchanged`: correlation of what they tell of the two.
    """
    told = 25.0 * np.array([[1.0, exchanged], [exchanged, 1.0]])
    z = 0.3 + 0.4 * rng.normal(size=(people, 2))
    pull = z @ told + rng.normal(size=(people, 2)) @ np.linalg.cholesky(told).T
    best = np.linalg.solve(told, pull.T).T
    bound = np.quantile(best[:, 0], 2 / 3)
    precision, push, beyond = np.zeros((people, 2, 2)), np.zeros((people, 2)), []
    for k, x in enumerate(best):
        out = x[0] > bound
        at = np.array([bound, (pull[k, 1] - told[1, 0] * bound) / told[1, 1]]) if out else x
        heard = np.array([1e3, pull[k, 1]]) if out else pull[k]  # how hard it pulls is not known
        precision[k], push[k], side = censored(told, heard, at, np.array([float(out), 0.0]))
        beyond.append(side)
    inside = best[:, 0] <= bound
    none = np.where(inside[:, None, None], precision, 0.0), np.where(inside[:, None], push, 0.0)
    return (precision, push, beyond), none, (np.broadcast_to(told, precision.shape), pull)


@pytest.mark.parametrize("exchanged", [0.0, 0.9])
def test_the_third_beyond_a_bound_do_not_pull_the_average_off(exchanged):
    """Where they are left out it is by half of how people differ; told on which side they are, by a tenth, and people
    differ as they do."""
    rng, off = np.random.default_rng(5), []
    for _ in range(12):
        (precision, pull, beyond), none, every = beyond_a_bound(rng, exchanged)
        traits = np.zeros((len(pull), 0))
        found = [hierarchy(precision, pull, traits, None, beyond), *(hierarchy(*x, traits) for x in (none, every))]
        assert found[0].settled
        off.append([(h.weights[0, 0] - 0.3, np.sqrt(h.spread[0, 0]) - 0.4) for h in found])
    with_side, left_out, unbounded = np.mean(off, axis=0) / 0.4
    assert left_out[0] < -0.45
    assert abs(with_side[0] - unbounded[0]) < 0.15
    assert left_out[1] < -0.25
    assert abs(with_side[1] - unbounded[1]) < 0.1


def test_one_side_is_the_integral_it_stands_for():
    """Of one person whose z the others lead to expect at 0.2 ± 0.5: mean and variance by quadrature."""
    side = OneSided(np.array([[4.0]]), np.array([3.0]))
    factors = Factors.of([side], 1)
    z = np.linspace(-6, 6, 200_001)
    weight = np.exp(-0.5 * ((z - 0.2) / 0.5) ** 2) * (FAULT + (1 - FAULT) * ndtr(4.0 * z - 3.0))
    mean = np.sum(weight * z) / np.sum(weight)
    variance = np.sum(weight * (z - mean) ** 2) / np.sum(weight)
    for _ in range(60):
        precision, pull = factors.beside(np.full((1, 1, 1), 4.0), np.full((1, 1), 0.8))
        now = pull[:, 0] / precision[:, 0, 0]
        factors, change = factors.nearer(now[:, None], 1.0 / precision)
    assert change < 1e-6
    assert now[0] == pytest.approx(mean, rel=1e-6)
    assert 1.0 / precision[0, 0, 0] == pytest.approx(variance, rel=1e-6)


def test_people_at_a_bound_do_not_put_a_population_there(space):
    """Twelve people are as the model; of a third of them a channel clips, and a bound ends that estimate far off."""
    rng, results = np.random.default_rng(4), {}
    upper = space.upper - 1e-9
    for k in range(12):
        clips = k % 3 == 0
        z = space.prior_mean + 0.1 * space.prior_scale * rng.normal(size=space.size)
        z[0] = upper[0] if clips else z[0]
        made = made_result(space, np.diag(25.0 / space.prior_scale**2), z, subject=f"p{k}")
        first = replace(made.estimates[0], bound="upper" if clips else "")
        results[f"p{k}"] = replace(made, estimates=(first, *made.estimates[1:]))
    found = learned(results)
    inside = learned({n: r for n, r in results.items() if not r.estimates[0].bound})
    assert found.expected().shift[0] == pytest.approx(inside.expected().shift[0], abs=0.03 * space.prior_scale[0])
    unmarked = tuple(replace(e, bound="") for e in made.estimates)
    blind = learned({n: replace(r, estimates=unmarked) for n, r in results.items()})
    assert blind.expected().shift[0] > 0.05 * space.prior_scale[0]
    assert blind.spread[0][0] > 1.0, "people seemed to differ by as much as the bound is off"
    assert found.spread[0][0] < 0.3**2
    assert found.told[0] < 8.0 < blind.told[0]
    members = tuple(Member(n, n, r) for n, r in results.items())
    said = all_said(Cohort("some", members).with_population())
    path = space.paths[0]
    assert (
        "Of what rests on a bound, or is held where the EMG is full, the population is told only on which side it is: "
        f"as much as that at least, or at most: {path} of p0, p3, p6 and p9. So the average does not lean away"
    ) in said


def test_an_expectation_is_a_prior(space):
    path = space.paths[0]
    expected = Expectation("few", (path, "muscle/none/max_isometric_force"), (-0.2, 0.0), ((0.04, 0.0), (0.0, 1.0)))
    other = with_expectation(space, expected)
    assert other.prior_mean[0] == pytest.approx(space.prior_mean[0] - 0.2)
    assert other.prior_scale[0] == pytest.approx(0.2)
    np.testing.assert_array_equal(other.prior_mean[1:], space.prior_mean[1:])
    far = with_expectation(space, replace(expected, shift=(-50.0, 0.0)))
    assert space.lower[0] < far.prior_mean[0] < space.lower[0] + 1e-6
    with pytest.raises(InputError, match="knows none of the free parameters"):
        with_expectation(space, replace(expected, paths=("a/b/c", "d/e/f")))


@pytest.mark.slow
def test_environments_take_people_whom_nobody_recorded(cohort, tmp_path):
    import gymnasium

    from mjx_msm.verification.campaign import prepare

    results, traits, _ = cohort
    path = learned(results, traits, name="weak").save(tmp_path / "population.json")
    env = gymnasium.make("mjx_msm/ArmReach-v0", subject=str(path), sample_posterior=True)
    forces = []
    for seed in range(3):
        env.reset(seed=seed)
        forces.append(env.unwrapped.model.actuator_gainprm[:, 2].copy())
        env.step(env.action_space.sample())
    assert len({f.tobytes() for f in forces}) == 3
    campaign = prepare("ArmReach-v0", subject=path, controller="zero", people=5)
    assert len(campaign.crowd.drawn) == 5
    assert "population.json" in campaign.configuration["subject"]


@pytest.mark.slow
def test_identify_takes_a_population(arm, cohort, tmp_path):
    """The estimate with its prior is, where data are few, what shrinking says; and the file can be named."""
    results, traits, _ = cohort
    population = learned(results, traits, name="weak")
    path = population.save(tmp_path / "population.json")
    truth = Identification.load(path).personalised(arm)
    trials = synthetic_trials(arm, truth, count=1, duration=0.6, rate=250, seed=3, angle_noise=0.02)
    usual = identify(arm, trials, free=FREE)
    ours = identify(arm, trials, free=FREE, prior=path)
    of_it = identify(arm, trials, free=FREE, prior=population.expected(mass=70.0))
    assert ours.unknowns[0].prior_mean == pytest.approx(usual.unknowns[0].prior_mean + population.expected().shift[0])
    assert ours.unknowns[0].reference == (usual.unknowns[0].prior_mean, usual.unknowns[0].prior_scale)
    assert of_it.unknowns[0].prior_scale < ours.unknowns[0].prior_scale
    shrunk = population.shrunk(usual)
    sd = np.sqrt(np.diag(shrunk.covariance))
    assert np.all(np.abs(np.array(shrunk.z) - np.array(ours.z)) < 1.5 * sd)
    with pytest.raises(InputError, match="prior must be the file of a population"):
        identify(arm, trials, free=FREE, prior=3)
    with pytest.raises(InputError, match="no such population"):
        identify(arm, trials, free=FREE, prior=tmp_path / "none.json")
