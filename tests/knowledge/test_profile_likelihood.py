"""Profile likelihood: closed forms of linear problems, open ends, bounds; on the arm it agrees with Laplace."""

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from mjx_msm.cli.app import run
from mjx_msm.common.errors import InputError
from mjx_msm.estimation.least_squares import freedom, minimise, noise
from mjx_msm.estimation.residuals.instants import PlainExpansion
from mjx_msm.estimation.residuals.term import AbstractTerm, Quadratic
from mjx_msm.identification.identify import identify
from mjx_msm.knowledge import profile_likelihood as module
from mjx_msm.knowledge.log_posterior import Posterior, posterior_of
from mjx_msm.knowledge.posterior_draws import completed_draws
from mjx_msm.knowledge.profile_likelihood import DROP, profile
from mjx_msm.knowledge.uncertainty import uncertainty
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.subject_file.identify import IdentifySpec
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.subject_file.model import ModelSpec
from mjx_msm.recordings.subject_file.person import Person
from mjx_msm.recordings.synthetic import synthetic_trials
from mjx_msm.study import identification as of_studies
from mjx_msm.views.figures import profile_figure

STRENGTH, FIBER, TENDON = (
    f"muscle/BRA/{f}" for f in ("max_isometric_force", "optimal_fiber_length", "tendon_slack_length")
)
FREE = ["muscle/BIClong/max_isometric_force", STRENGTH, FIBER, TENDON, "body/forearm/mass"]
"""In the order of z."""


class Linear(AbstractTerm):
    """r = X (z − z0) − y with a scalar coordinate."""

    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"

    def __init__(self, space, rows, y):
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "seen", [])

    @property
    def weight(self):
        return np.ones((len(self.y), 1))

    @property
    def trial(self):
        return np.zeros(len(self.y), dtype=int)

    def signal(self):
        return self.y[:, None]

    def expand(self, z, nuisance=None):
        self.seen.append(z)
        r = self.rows @ (z - self.space.prior_mean) - self.y
        return PlainExpansion(Quadratic(np.array([r @ r]), (self.rows.T @ r)[None], (self.rows.T @ self.rows)[None]))

    def evaluate(self, z, scale):
        return (self.rows @ (z - self.space.prior_mean) - self.y)[:, None]


@pytest.fixture
def linear(arm, monkeypatch, result_of):
    """Profile of a linear problem: (sensitivity per parameter, samples, priors) to result, profile and term."""

    def make(path, sensitivity, *, samples=4000, priors=None, shift=None, mixing=0.3, seed=0, **more):
        space = parameter_space(arm.nominal, FREE, priors=priors)
        assert space.paths == tuple(FREE)
        rng = np.random.default_rng(seed)
        mix = np.eye(space.size) + mixing * rng.standard_normal((space.size, space.size))
        mix[:, np.asarray(sensitivity) == 0] = mix[np.asarray(sensitivity) == 0] = 0.0
        rows = rng.standard_normal((samples, space.size)) @ mix * sensitivity
        y = rng.standard_normal(samples) + (rows @ shift if shift is not None else 0.0)
        term = Linear(space, rows, y)
        z = minimise([term], space, space.prior_mean, limit=100).z
        squares = np.array([np.sum(np.square(rows @ (z - space.prior_mean) - y))])
        posterior = Posterior([term], space, z)
        scale = np.sqrt(squares / posterior.freedom[0])
        result = result_of(space, rows.T @ rows / scale**2, z)
        monkeypatch.setattr(module, "posterior_of", lambda *_, **__: posterior)
        return result, profile(arm, (), result, path, **more), posterior, rows

    return make


STRONG = np.array([3.0, 3.0, 4.0, 10.0, 3.0])


def test_of_a_linear_problem_it_has_a_closed_form(linear):
    """Without priors: ν/2 ln(1 + δ²/(ν s²)), s the sampling sd of the parameter."""
    none = dict.fromkeys(("muscle/*", "body/*"), "none")
    result, made, posterior, rows = linear(FIBER, STRONG, priors=none)
    k, nu = 2, float(posterior.freedom[0][0])
    (term,), five = posterior.terms, np.array([5.0])
    scale = noise(term, np.sum(term.evaluate(result.z, 1.0) ** 2, axis=0), freedom(term, five))[0]
    s = scale * math.sqrt(np.linalg.inv(rows.T @ rows)[k, k])
    away = np.log(made.values / made.estimate)
    np.testing.assert_allclose(made.drop, nu / 2 * np.log1p(away**2 / (nu * s**2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.data_drop, made.drop, atol=1e-12)
    end = s * math.sqrt(nu * math.expm1(2 * DROP / nu))
    np.testing.assert_allclose(np.log([made.low / made.estimate, made.high / made.estimate]), [-end, end], rtol=1e-4)
    assert (made.low_open, made.high_open, made.better, made.interrupted) == (False,) * 4
    assert np.all(np.diff(made.values) > 0)
    assert made.drop.max() > DROP


def test_with_priors_and_many_samples_it_is_the_laplace_interval(linear):
    result, made, _, _ = linear(TENDON, STRONG / 10, samples=20_000)
    k = 3
    sd = math.sqrt(result.covariance[k][k])
    away = np.log(made.values / made.estimate)
    np.testing.assert_allclose(made.drop, 0.5 * (away / sd) ** 2, rtol=2e-3, atol=1e-6)
    ends = np.log([made.low / made.estimate, made.high / made.estimate]) / sd
    np.testing.assert_allclose(ends, [-1.96, 1.96], rtol=1e-3)
    held = made.z[:, k] - np.log(made.values)
    np.testing.assert_allclose(held, 0, atol=1e-9)
    slope = np.array(result.covariance)[k] / sd**2  # where the others go: along the covariance
    np.testing.assert_allclose(made.z - np.array(result.z), away[:, None] * slope, atol=2e-3 * sd)
    assert 0 < made.data_drop.max() < made.drop.max()


def test_repeated_residuals_widen_it_as_they_widen_the_result(linear, arm):
    result, made, _, _ = linear(STRENGTH, STRONG)
    wider = tuple(tuple(4 * x for x in row) for row in result.covariance)
    again = profile(arm, (), replace(result, covariance=wider), STRENGTH)
    ratio = np.log(again.high / again.low) / np.log(made.high / made.low)
    assert ratio == pytest.approx(2, rel=5e-3)


def test_where_nothing_is_known_it_is_open_to_both_sides(linear):
    _, made, posterior, _ = linear(FIBER, STRONG * [1, 1, 0, 1, 1], priors={FIBER: "none"})
    assert (made.low_open, made.high_open) == (True, True)
    np.testing.assert_allclose(made.drop, 0, atol=1e-6)
    bounds = np.exp([posterior.space.lower[2], posterior.space.upper[2]])
    np.testing.assert_allclose([made.low, made.high], bounds, rtol=1e-9)
    assert "open below and above" in str(made)


def test_what_only_the_prior_knows_is_the_priors(linear):
    _, made, _, _ = linear(TENDON, STRONG * [1, 1, 1, 0, 1])
    np.testing.assert_allclose(np.log([made.low, made.high]) - math.log(made.estimate), [-0.098, 0.098], rtol=2e-3)
    np.testing.assert_allclose(made.data_drop, 0, atol=1e-6)
    assert made.drop.max() > DROP


def test_an_estimate_on_its_bound_is_open_there(linear):
    shift = np.array([0, 0, -2.0, 0, 0])  # far below the lower bound
    _, made, posterior, _ = linear(FIBER, STRONG, shift=shift, priors={FIBER: "none"}, mixing=0.0)
    assert made.low_open
    assert made.values[0] == pytest.approx(math.exp(posterior.space.lower[2]), rel=1e-6)
    assert not made.high_open
    assert made.low < made.high


def test_an_interrupt_keeps_what_there_is(linear):
    seen = []

    def listener(value, drop):
        seen.append((value, drop))
        if len(seen) == 4:
            raise KeyboardInterrupt

    _, made, _, _ = linear(FIBER, STRONG, listener=listener)
    assert made.interrupted
    assert len(made.values) == 4
    assert made.high_open
    assert "interrupted" in str(made)


def test_a_better_value_than_the_estimate_is_said(linear, monkeypatch):
    _, made, _, _ = linear(FIBER, STRONG)
    assert "identify again, with more starts" in str(replace(made, better=True))


def test_the_posteriors_gradient(arm):
    space = parameter_space(arm.nominal, FREE)
    rng = np.random.default_rng(0)
    rows, y = rng.standard_normal((50, 5)) * STRONG, rng.standard_normal(50)
    posterior = Posterior([Linear(space, rows, y)], space, space.prior_mean)
    z = space.prior_mean + 0.05 * rng.standard_normal(5)
    gradient = posterior(z)[1]
    for k, e in enumerate(1e-6 * np.eye(5)):
        assert (posterior(z + e)[0] - posterior(z - e)[0]) / 2e-6 == pytest.approx(gradient[k], rel=1e-6, abs=1e-6)


def test_a_held_parameter_stays(arm):
    space = parameter_space(arm.nominal, FREE)
    held = space.held(1, space.prior_mean[1] + 0.1)
    rng = np.random.default_rng(0)
    rows, y = rng.standard_normal((4000, 5)) * STRONG, rng.standard_normal(4000)
    solution = minimise([Linear(space, rows, y)], held, space.prior_mean, limit=100)
    assert solution.converged
    assert solution.z[1] == pytest.approx(space.prior_mean[1] + 0.1, abs=1e-8)
    scale = solution.scales[0][0]
    known = uncertainty(rows.T @ rows / scale**2, space.prior_scale)
    gradient = Posterior([Linear(space, rows, y)], space, solution.z)(solution.z)[1]
    step = np.abs(gradient) * np.sqrt(np.diag(known.covariance))  # how far from the mode, in sd
    assert np.delete(step, 1).max() < 5e-3 < step[1]


# The arm ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(arm):
    trials = synthetic_trials(arm, arm.nominal, count=2, duration=0.8, seed=3, angle_noise=0.0005)
    return trials, identify(
        arm, trials, free=FREE, residuals=("acceleration",), held="exact", hashes={"walk.csv": "00"}
    )


@pytest.mark.slow
def test_on_the_arm_it_agrees_with_laplace_where_data_are_many(arm, recorded):
    trials, result = recorded
    made = profile(arm, trials, result, FREE[0])
    ratio = np.log(made.high / made.low) / np.log(result[FREE[0]].high / result[FREE[0]].low)
    assert ratio == pytest.approx(1, abs=0.1)
    assert made.estimate == pytest.approx(result[FREE[0]].value, rel=1e-3)
    assert not made.better


def test_the_gradient_on_the_arm(arm, recorded):
    trials, result = recorded
    posterior = posterior_of(arm, trials, result)
    z = np.array(result.z) + 0.02
    gradient = posterior(z)[1]
    for k, e in enumerate(1e-5 * np.eye(len(z))):
        assert (posterior(z + e)[0] - posterior(z - e)[0]) / 2e-5 == pytest.approx(gradient[k], rel=1e-3, abs=1e-2)


def test_a_parameter_that_was_not_estimated_is_refused(arm, recorded):
    trials, result = recorded
    with pytest.raises(InputError, match=r"muscle/BRA/max_force was not estimated; did you mean .*BRA"):
        profile(arm, trials, result, "muscle/BRA/max_force")


def test_a_result_of_another_integrator_is_refused(arm, recorded):
    """One of version 0.1.0, which was Euler's, is not the mode of a posterior over motion by RK4; nor are its draws."""
    trials, result = recorded
    assert result.integrator == "RK4"
    old = replace(result, integrator="Euler")
    assert old.misses_recording
    for ask in (lambda: profile(arm, trials, old, FREE[0]), lambda: completed_draws(arm, trials, old)):
        with pytest.raises(InputError, match=r"another integrator \(Euler, now RK4\); identify again"):
            ask()
    euler = load_model("arm", integrator="Euler")  # what people are identified by does not hang on the file
    z = np.array(result.z)
    assert posterior_of(euler, trials, result)(z)[0] == pytest.approx(posterior_of(arm, trials, result)(z)[0], rel=1e-9)


def test_a_result_is_profiled_under_its_own_law(arm, recorded, monkeypatch):
    """Of `mjx-msm identify --muscle`, whatever the subject file says."""
    trials, result = recorded
    with pytest.raises(InputError, match=r"another muscle law \(degroote, now mujoco\)"):
        profile(arm, trials, replace(result, muscle_model="degroote"), FREE[0])
    asked = []
    monkeypatch.setattr(of_studies, "study_model", lambda study: asked.append(study.model.muscle))
    monkeypatch.setattr(of_studies, "profile", lambda *_, **__: None)
    model = ModelSpec("arm", "mujoco", arm.free, (), {})
    asks = IdentifySpec(free=tuple(FREE), residuals=("acceleration",))
    study = Study(Person("one", 70.0), model, trials, (), asks, Path("a.toml"), {"walk.csv": "00"})
    of_studies.profile_study(study, replace(result, muscle_model="degroote"), FREE[0])
    assert asked == ["degroote"]
    changed = replace(study, hashes={"walk.csv": "01"})
    with pytest.raises(InputError, match="identify again with --muscle degroote"):
        of_studies.profile_study(changed, replace(result, muscle_model="degroote"), FREE[0])


def test_table_and_figure(linear, tmp_path):
    _, made, _, _ = linear(FIBER, STRONG)
    with (made.save(tmp_path / "profile.csv")).open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["muscle/BRA/optimal_fiber_length [m]", "drop", "data_drop"]
    np.testing.assert_allclose(np.array(rows[1:], dtype=float)[:, 0], made.values, rtol=1e-9)
    profile_figure(made).savefig(tmp_path / "profile.png")
    assert (tmp_path / "profile.png").stat().st_size > 5000
    assert f"{made.low:.4g} … {made.high:.4g} by profile likelihood" in str(made)


def test_the_command_refuses_what_is_not_a_result(tmp_path, capsys):
    code = run(["profile", str(tmp_path / "subject.toml"), str(tmp_path), "--parameter", FREE[0]])
    assert code == 2
    assert (
        "is an empty folder, and the folder of a result (of mjx-msm identify) is wanted here" in capsys.readouterr().err
    )
