"""What is known and what is not: kinds of direction, their words, draws inside the bounds, a sound file."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import truncnorm

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.posterior import SAMPLES
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.uncertainty import Knowledge, truncated_normal, uncertainty
from mjx_msm.knowledge.wording import direction_words, global_scale, number
from mjx_msm.person.space import parameter_space

BRA = [f"muscle/BRA/{f}" for f in ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length")]
FREE = [*BRA, "muscle/BIClong/max_isometric_force", "body/forearm/mass"]


def precision(space, **sd):
    """Information of data that determine single entries of z to a standard deviation, by the end of their path."""
    return np.diag([sum(s**-2.0 for name, s in sd.items() if p.endswith(name)) for p in space.paths])


@pytest.fixture(scope="module")
def space(arm):
    return parameter_space(arm.nominal, FREE)


@pytest.fixture(scope="module")
def result(space, result_of):
    return result_of(space, precision(space, force=0.01, mass=0.02, fiber_length=0.1))


# Draws -----------------------------------------------------------------------------------------------------


def test_without_bounds_near_draws_have_mean_and_covariance():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4, 4))
    covariance, mean = a @ a.T * np.outer([1e-3, 1, 5, 1], [1e-3, 1, 5, 1]), rng.standard_normal(4)
    draws = truncated_normal(mean, covariance, np.full(4, -1e3), np.full(4, 1e3), 40_000, 1)
    sd = np.sqrt(np.diag(covariance))
    whitened = (draws - mean) / sd
    assert np.abs(whitened.mean(axis=0)).max() < 5 / np.sqrt(40_000)
    np.testing.assert_allclose(np.cov(whitened.T), covariance / np.outer(sd, sd), atol=0.04)
    np.testing.assert_array_equal(draws[:7], truncated_normal(mean, covariance, mean - 1e3, mean + 1e3, 40_000, 1)[:7])


@pytest.mark.parametrize(("low", "high"), [(-0.5, 2.0), (0.0, 0.1), (-40.0, 0.0), (0.0, 1e6)])
def test_one_bounded_parameter_is_a_truncated_normal(low, high):
    draws = truncated_normal(np.zeros(1), np.eye(1), np.array([low]), np.array([high]), 20_000, 0)[:, 0]
    exact = truncnorm(low, high)
    assert low <= draws.min() < draws.max() <= high
    assert draws.mean() == pytest.approx(exact.mean(), abs=5 * exact.std() / np.sqrt(20_000))
    assert draws.std() == pytest.approx(exact.std(), rel=0.04)


def test_correlated_bounded_parameters_are_what_rejection_leaves():
    covariance = np.array([[1.0, 0.9, 0.2], [0.9, 1.0, -0.1], [0.2, -0.1, 0.5]])
    mean, lower, upper = np.array([0.2, 0.0, 0.4]), np.array([-0.3, -1.0, 0.4]), np.array([2.0, 0.5, 3.0])
    free = np.random.default_rng(0).multivariate_normal(mean, covariance, 400_000)
    kept = free[np.all((free >= lower) & (free <= upper), axis=1)]
    draws = truncated_normal(mean, covariance, lower, upper, 30_000, 0)
    assert np.all((draws >= lower) & (draws <= upper))
    np.testing.assert_allclose(draws.mean(axis=0), kept.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(kept.T), atol=0.02)


def test_a_direction_nothing_determines_is_spread_over_the_bounds():
    """The data see the sum of two parameters without priors, the box leaves their difference ±1."""
    width, precise = np.full(2, 1.0), 1e-4
    known = uncertainty(np.ones((2, 2)) / precise**2, np.full(2, np.inf), width=width)
    draws = truncated_normal(np.full(2, 0.5), known.spread, np.zeros(2), width, 20_000, 0)
    assert np.std(draws.sum(axis=1)) == pytest.approx(precise, rel=0.05)
    difference = draws[:, 0] - draws[:, 1]
    assert np.std(difference) == pytest.approx(2 / np.sqrt(12), rel=0.03)  # a uniform on -1 … 1
    assert np.abs(difference).max() > 0.99
    assert [m.knowledge for m in known.modes] == [Knowledge.UNDETERMINED, Knowledge.DETERMINED]


def test_a_direction_left_to_the_prior_spreads_as_the_prior(space, result_of):
    loose = result_of(space, precision(space, force=0.01, mass=0.02, fiber_length=0.001))
    k = space.paths.index(BRA[2])
    draws = loose.sample(20_000, 0)[:, k]
    prior = truncnorm(-(space.prior_mean - space.lower)[k] / 0.05, (space.upper - space.prior_mean)[k] / 0.05)
    assert draws.std() == pytest.approx(0.05 * prior.std(), rel=0.03)
    assert draws.mean() == pytest.approx(space.prior_mean[k] + 0.05 * prior.mean(), abs=2e-3)


def test_at_a_bound_draws_stay_inside_and_do_not_pile_up(space, result_of):
    z = space.prior_mean.copy()
    z[0] = space.lower[0]
    edge = result_of(space, precision(space, force=0.05, mass=0.02, length=0.05), z)
    draws = edge.sample(2000, 0)
    assert np.all((draws >= space.lower) & (draws <= space.upper))
    assert len(np.unique(draws[:, 0])) == 2000
    assert np.mean(draws[:, 0] - space.lower[0]) == pytest.approx(0.05 * np.sqrt(2 / np.pi), rel=0.1)


def test_no_information_at_all_draws_the_priors_and_the_bounds(arm, result_of):
    space = parameter_space(arm.nominal, FREE, priors={"body/*/mass": "none"})
    draws = result_of(space, np.zeros((space.size, space.size))).sample(5000, 0)
    u = (draws - space.lower) / (space.upper - space.lower)
    assert 0 <= u.min() < u.max() <= 1
    mass = u[:, space.paths.index("body/forearm/mass")]
    assert np.std(mass) == pytest.approx(1 / np.sqrt(12), rel=0.05)
    assert mass.min() < 0.01 < 0.99 < mass.max()


def test_draws_are_saved_and_become_a_population(result, space, tmp_path):
    loaded = Identification.load(result.save(tmp_path / "identification.json"))
    assert loaded == result
    assert np.shape(loaded.samples) == (SAMPLES, space.size)
    np.testing.assert_allclose(loaded.samples, result.sample(SAMPLES, result.seed), rtol=1e-6, atol=1e-6)
    people = loaded.population()
    assert people.muscle.max_isometric_force.shape == (SAMPLES, 6)
    assert people.body.inertia.shape == (SAMPLES, 2, 6)
    with float64():
        for k in (0, 17):
            one = space.unpack(np.array(loaded.samples[k])).to_dict()
            drawn = {p: float(getattr(getattr(people, s.group), s.field)[(k, *s.index)]) for p, s in named(space)}
            assert drawn == pytest.approx({p: one[p] for p in drawn}, rel=1e-12)
    assert loaded.population(3, seed=1).body.mass.shape == (3, 2)
    with pytest.raises(InputError, match="at least 1"):
        loaded.sample(0, 0)
    with pytest.raises(InputError, match="no draws"):
        replace(loaded, samples=()).population()


def named(space):
    return [(s.path, s) for s in space.scalars]


def test_the_space_of_a_result_is_that_of_the_identification(arm, result_of):
    nominal = arm.nominal.with_channels(("a", "b"))
    space = parameter_space(
        nominal,
        [*FREE, "body/forearm/inertia", "emg/*/delay", "muscle/TRI*/max_isometric_force", "joint/*/damping"],
        tied=["emg/*/delay", "muscle/TRI*/max_isometric_force"],
    )
    z = space.clip(space.prior_mean + 0.3 * np.where(np.isfinite(space.prior_scale), space.prior_scale, 0))
    made = replace(result_of(space, np.eye(space.size) * 1e4, z), channels=("a", "b"))
    back = made.space(arm)
    assert (back.paths, back.owner, back.scalars) == (space.paths, space.owner, space.scalars)
    for name in ("lower", "upper", "prior_mean", "prior_scale"):
        np.testing.assert_array_equal(getattr(back, name), getattr(space, name))
    np.testing.assert_allclose(back.offset, space.offset, atol=1e-12)
    with float64():
        assert back.unpack(z).to_dict() == pytest.approx(space.unpack(z).to_dict(), rel=1e-12)


# Words -----------------------------------------------------------------------------------------------------


def direction(space, **weights):
    out = np.zeros(space.size)
    for name, w in weights.items():
        out[[p.replace("/", "_").endswith(name) for p in space.paths]] = w
    return out / np.linalg.norm(out)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"BRA_tendon_slack_length": 1}, "tendon slack length of BRA"),
        (
            {"BRA_optimal_fiber_length": 1, "BRA_tendon_slack_length": -0.9},
            "optimal fiber length and tendon slack length of BRA move together (opposed)",
        ),
        (
            {"BRA_optimal_fiber_length": 1, "BRA_tendon_slack_length": 0.9},
            "optimal fiber length and tendon slack length of BRA move together",
        ),
        (
            {"BRA_max_isometric_force": 1, "BIClong_max_isometric_force": -0.8},
            "maximal isometric force of BRA and BIClong move together (opposed)",
        ),
        (
            {"BRA_max_isometric_force": 1, "BIClong_max_isometric_force": 0.9, "forearm_mass": -0.8},
            "maximal isometric force of BRA and BIClong against mass of forearm move together",
        ),
    ],
)
def test_a_direction_in_words(space, weights, words):
    assert direction_words(direction(space, **weights), space.prior_scale, space, space.prior_mean) == words


def test_the_global_scale_has_a_name(arm):
    free = ["muscle/*/max_isometric_force", "body/*/mass", "body/*/inertia", "joint/*/damping", "muscle/*/*_length"]
    space = parameter_space(arm.nominal, free)
    z = space.prior_mean
    scale = global_scale(space, z)
    with float64():  # it is what a common factor of every force and inertia does to z
        before = space.unpack(z)
        after = space.unpack(z + 1e-6 * scale)
    for group, field in [s.split("/") for s in ("muscle/max_isometric_force", "body/mass", "joint/damping")]:
        a, b = (np.asarray(getattr(getattr(p, group), field)) for p in (before, after))
        np.testing.assert_allclose(b, a * (1 + 1e-6), rtol=1e-9)
    np.testing.assert_allclose(after.body.inertia, np.asarray(before.body.inertia) * (1 + 1e-6), rtol=1e-9)
    weights = scale / space.prior_scale
    words = direction_words(weights / np.linalg.norm(weights), space.prior_scale, space, z)
    assert words == "all strengths, masses, inertias and dampings scale together"


def test_one_held_strength_is_not_the_global_scale(arm):
    space = parameter_space(arm.nominal, ["muscle/*/max_isometric_force"], priors={BRA[0]: {"relative_sd": 1e-5}})
    weights = direction(space, BRA_max_isometric_force=1)
    assert direction_words(weights, space.prior_scale, space, space.prior_mean) == "maximal isometric force of BRA"


def test_few_members_are_named_and_every_muscle_is_all(arm):
    space = parameter_space(arm.nominal, ["muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length"])
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(space.size) + 3
    words = direction_words(weights / np.linalg.norm(weights), space.prior_scale, space, space.prior_mean)
    assert words.endswith("among others")
    lengths = direction(space, optimal_fiber_length=1)
    words = direction_words(lengths, space.prior_scale, space, space.prior_mean)
    assert words == "optimal fiber length of all muscles move together"


def test_three_kinds_of_knowledge_in_the_result(arm, result_of):
    space = parameter_space(arm.nominal, FREE, priors={"body/*/mass": "none"})
    made = result_of(space, precision(space, force=0.01, fiber_length=0.01))
    kinds = dict(zip(space.paths, made.knowledge, strict=True))
    assert kinds[BRA[0]] is Knowledge.DETERMINED
    assert kinds[BRA[2]] is Knowledge.PRIOR
    assert kinds["body/forearm/mass"] is Knowledge.UNDETERMINED
    order = [d.knowledge for d in made.directions]
    assert set(order[:2]) == {Knowledge.PRIOR, Knowledge.UNDETERMINED}
    assert order[2:] == [Knowledge.DETERMINED] * 3
    assert sorted(made.undetermined) == ["mass of forearm", "tendon slack length of BRA"]
    assert [d.share for d in made.directions] == sorted(d.share for d in made.directions)
    assert made["body/forearm/mass"].sd == math.inf
    text = str(made)
    rows = {p: next(line for line in text.splitlines() if line.startswith(f"{p} ")) for p in space.paths}
    assert f"{made[BRA[0]].value:.4g}" in rows[BRA[0]]
    assert "not determined" in rows[BRA[2]]
    assert "prior-dominated" in rows[BRA[2]]
    assert "…" in rows[BRA[2]]
    assert "not determined" in rows["body/forearm/mass"]
    assert "undetermined" in rows["body/forearm/mass"]
    assert "…" not in rows["body/forearm/mass"]
    assert "mass of forearm: neither data nor prior" in text
    assert "tendon slack length of BRA: left to the prior" in text
    (words,) = [d.weights for d in made.directions if d.text == "mass of forearm"]
    assert words == {"body/forearm/mass": 1.0}


def test_data_that_are_flat_where_they_drove_a_parameter_are_not_called_its_prior(arm, result_of):
    """An estimate 2.5 prior deviations off its prior, with next to no information about it left."""
    space = parameter_space(arm.nominal, FREE)
    at_prior = result_of(space, precision(space, force=0.01, fiber_length=0.01))
    z = np.array(space.prior_mean)
    k = space.paths.index(BRA[2])
    z[k] -= 2.5 * space.prior_scale[k]
    wide = replace(space, lower=space.lower - 10.0, upper=space.upper + 10.0)
    driven = result_of(wide, precision(space, force=0.01, fiber_length=0.01), z)
    assert driven.knowledge[k] is Knowledge.PRIOR
    assert [p for p, off in zip(space.paths, driven.off_prior, strict=True) if off] == [BRA[2]]
    assert not any(at_prior.off_prior)
    row = next(line for line in str(driven).splitlines() if line.startswith(f"{BRA[2]} "))
    assert "off its prior" in row
    assert "prior-dominated" not in row
    assert "mjx-msm profile" in str(driven)
    assert "mjx-msm profile" not in str(at_prior)


# The file --------------------------------------------------------------------------------------------------


def test_the_file_is_short_and_its_rows_are_lines(result, tmp_path):
    path = result.save(tmp_path / "identification.json")
    lines = path.read_text().splitlines()
    assert len(lines) < 600
    assert path.stat().st_size < 60_000
    assert json.loads(path.read_text())["schema"] == 2


def change(**values):
    return lambda data: {**data, **{k: v(data[k]) if callable(v) else v for k, v in values.items()}}


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (change(z=lambda z: z[:-1]), "z holds 4 numbers for 5 estimates"),
        (change(z=lambda z: [*z[:-1], "nan"]), "not finite"),
        (change(z=lambda z: [*z[:-1], "inf"]), "not finite"),
        (change(z=lambda z: [*z[:-1], True]), "not a number"),
        (change(z=lambda z: [*z[:-1], "1.0"]), "not a number"),
        (change(z=lambda z: [*z[:-1], 99.0]), "outside the bounds"),
        (change(covariance=lambda c: c[:-1]), "covariance holds 4"),
        (change(covariance=lambda c: [r[:-1] for r in c]), "covariance holds 4"),
        (change(covariance=lambda c: [[-x for x in r] for r in c]), "covariance"),
        (change(covariance=lambda c: [[9.0, *c[0][1:4], 7.0], *c[1:]]), "covariance"),
        (change(estimates=lambda e: e[:-1]), "for 4 estimates"),
        (change(unknowns=lambda u: u[:-1]), "unknowns holds 4"),
        (change(unknowns=lambda u: [{**u[0], "lower": u[0]["upper"]}, *u[1:]]), "bounds or priors"),
        (change(unknowns=lambda u: [{**u[0], "members": ["muscle/none/mass"]}, *u[1:]]), "lack muscle/none"),
        (change(directions=lambda d: [{**d[0], "knowledge": "GUESSED"}, *d[1:]]), "GUESSED"),
        (change(samples=lambda s: [r[:-1] for r in s]), "samples holds 4"),
        (change(samples=lambda s: [[99.0] * 5, *s]), "outside the bounds"),
        (change(parameters=lambda p: {k: "nan" for k in p}), "not finite"),
        (change(seed="x"), "seed"),
        (lambda data: {k: v for k, v in data.items() if k != "samples"}, "samples"),
        (change(schema=1), "schema 1 is not 2"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(result, tmp_path, damage, match):
    path = result.save(tmp_path / "identification.json")
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(InputError, match=match) as error:
        Identification.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_draws_at_bounds_stay_finite_where_axes_have_next_to_no_entry():
    """Blocks that are all but independent, estimates on bounds: rounding error over such an entry was a step without
    end, and every draw NaN. Seed 249 of these was one; so was a recorded treadmill walk."""
    for seed in range(240, 255):
        rng, n = np.random.default_rng(seed), 6
        sd, tiny = 10.0 ** rng.uniform(-1.5, 1, n), 10.0 ** rng.uniform(-11, -6)
        coupling = tiny * rng.normal(size=(n, n))
        correlation = np.eye(n) + coupling + coupling.T
        np.fill_diagonal(correlation, 1.0)
        correlation[0, 1] = correlation[1, 0] = 1 - 10.0 ** rng.uniform(-6, -2)
        lower, upper, mean = -rng.uniform(0, 0.3, n), rng.uniform(0, 0.3, n), np.zeros(n)
        on = rng.random(n) < 0.5
        mean[on] = np.where(rng.random(on.sum()) < 0.5, lower[on], upper[on])
        draws = truncated_normal(mean, correlation * np.outer(sd, sd), lower, upper, 50, 0)
        assert np.isfinite(draws).all()
        assert (draws >= lower).all()
        assert (draws <= upper).all()
        assert (draws.std(axis=0) > 0.02 * np.minimum(sd, upper - lower)).all()


def test_next_to_nothing_is_written_as_nothing():
    assert number(2e-23, 0.0, 0.5) == "0"
    assert number(2e-23) == "2e-23"
    assert number(0.0) == number(0.0, 0.0) == "0"
    assert number(0.12345, math.inf) == "0.1235"
