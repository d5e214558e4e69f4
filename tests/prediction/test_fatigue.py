"""Fatigue of muscle groups from EMG and moments or motion: the fit against closed forms, the whole against a truth."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.fatigue import Compartments, Fatigue
from mjx_msm.dynamics.simulation import activate
from mjx_msm.person.space import parameter_space
from mjx_msm.prediction.capacity_fit import fit_capacities
from mjx_msm.prediction.fatigue import estimate_fatigue
from mjx_msm.prediction.fatigue_estimate import GroupFatigue, Value
from mjx_msm.prediction.muscle_groups import muscle_groups
from mjx_msm.prediction.muscle_share import Share, Shares, _activation_and_rise, _drawn_errors
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.synthetic import smooth_noise
from mjx_msm.recordings.synthetic_effort import synthetic_effort
from mjx_msm.views.fatigue import fatigue_figure

POSTURE = {"shoulder_elev": -0.4, "elbow_flex": 1.0}
FLEXORS = ("BIClong", "BICshort", "BRA")


def constant(count, muscles):
    """Capacities 1 + x that do not change."""
    slope = np.repeat(np.eye(muscles)[None], count, axis=0)
    return lambda x: (1.0 + np.repeat(x[None], count, axis=0), slope)


def made_shares(active, demand, others=(), error=0.0):
    """Of one coordinate; `others`: factors of all active moments, people that the recording could be of."""
    n = len(active)
    people = tuple(Share(demand[:, None], k * active[:, None], np.zeros((0, 0))) for k in (1.0, *others))
    return Shares(
        np.arange(n) / 8.0, np.ones((n, 1)), people, np.ones((1, active.shape[1])), np.full(active.shape, error), True
    )


def test_a_line_is_regularised_least_squares():
    """Capacities 1 + x, x ~ N(0, 1), of a known person: x = (AᵀA/σ² + 1)⁻¹ Aᵀ(demand − A·1)/σ², σ from the rest."""
    rng = np.random.default_rng(0)
    active = rng.uniform(0.0, 10.0, (800, 3))
    demand = active @ [0.6, 0.9, 1.1] + 0.5 * rng.standard_normal(800)
    found = fit_capacities(made_shares(active, demand, others=(1.0, 1.0)), constant(800, 3), 3)
    information = active.T @ active / found.noise[0] ** 2 + np.eye(3)
    expected = np.linalg.solve(information, active.T @ (demand - active.sum(1)) / found.noise[0] ** 2)
    np.testing.assert_allclose(found.x, expected, atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(information), rtol=1e-3)
    assert found.noise[0] == pytest.approx(0.5, rel=0.1)
    assert found.independent == pytest.approx(800, rel=0.05)


def test_a_person_known_to_a_tenth_leaves_capacity_known_to_a_tenth():
    """Moments tell strength times capacity; what the posterior leaves open of strength is open of capacity."""
    rng = np.random.default_rng(0)
    active = rng.uniform(0.0, 10.0, (800, 1))
    demand = 0.7 * active[:, 0] + 0.1 * rng.standard_normal(800)
    others = 1.0 + 0.1 * rng.standard_normal(200)
    found = fit_capacities(made_shares(active, demand, others), constant(800, 1), 1)
    assert 1.0 + found.x[0] == pytest.approx(0.7, abs=0.01)
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(0.07, rel=0.15)


def test_errors_of_the_emg_do_not_make_muscles_weak():
    """Two antagonists whose moments nearly cancel: least squares alone takes both for half as strong."""
    rng = np.random.default_rng(0)
    true = 10.0 * np.stack([1.0 + 0.2 * rng.standard_normal(4000), -1.0 - 0.2 * rng.standard_normal(4000)], 1)
    true[:, 1] = -true[:, 0] + 0.5 * rng.standard_normal(4000)
    demand = true @ [0.8, 0.8]
    active = true * (1.0 + 0.05 * rng.standard_normal(true.shape))
    plain = np.linalg.lstsq(active, demand, rcond=None)[0]
    assert plain.max() < 0.5
    found = fit_capacities(made_shares(active, demand, (1.0, 1.0), error=0.05), constant(4000, 2), 2)
    np.testing.assert_allclose(1.0 + found.x, 0.8, atol=0.05)


@pytest.mark.parametrize("gain", [1.0, 1.8])
def test_errors_of_the_emg_do_not_make_muscles_more_active(gain, arm):
    """They go both ways, activation follows upwards faster: most of the mean of that is taken off, of a person in whom
    the same envelopes are more of an effort, too."""
    rng, noise = np.random.default_rng(0), EmgNoise(0.05)
    parameters = arm.nominal.with_channels(arm.muscles).updated({"emg/*/gain": gain})
    size, mixing = (int(60.0 / arm.timestep), 6, 1.0 / arm.timestep), np.eye(6)
    true = 0.25 + 0.05 * np.tanh(smooth_noise(rng, *size, 0.4))
    heard = true * (1.0 + 0.05 * smooth_noise(rng, *size, noise.band))
    with float64():
        errors = _drawn_errors(noise, arm, heard)
        every = jnp.concatenate([jnp.stack([true, heard]), heard + errors, heard - errors])
        each = (excitation(parameters.emg, e, mixing, arm.timestep) for e in every)
        asked, *others = (np.asarray(activate(arm, parameters, u[0], u)[0]) for u in each)
        shown, rise = map(np.asarray, _activation_and_rise(arm, parameters, heard, mixing, errors))
    np.testing.assert_allclose(shown, others[0], atol=1e-12)
    np.testing.assert_allclose(rise, np.mean(others[1:], axis=0) - shown, atol=1e-12)
    more = (shown - asked).mean() / asked.mean()
    assert more > 0.005
    assert abs((shown - rise - asked).mean() / asked.mean()) < 0.5 * more


def test_a_fit_of_what_is_no_number_has_not_converged():
    rng = np.random.default_rng(0)
    active = rng.uniform(0.0, 10.0, (80, 1))
    active[7] = np.nan
    assert not fit_capacities(made_shares(active, np.ones(80), (1.0, 1.0)), constant(80, 1), 1).converged


def test_muscles_are_grouped_by_what_they_move(arm, knee):
    strength, arms = np.ones(6), np.array([[0.02, 0.0, 0.0, 0.01, 0.01, 0.0], [-0.01, -0.02, -0.02, 0.03, 0.03, 0.02]])
    groups = {g.name: g for g in muscle_groups(arm, strength, arms)}
    assert groups["elbow_flex +"].muscles == FLEXORS
    assert groups["elbow_flex -"].muscles == ("TRIlat", "TRImed")
    assert groups["shoulder_elev +"].muscles == ("TRIlong",)
    assert {g.joint for g in groups.values()} == {"elbow"}
    (asked,) = muscle_groups(arm, strength, arms, {"triceps": ["TRI*"]})
    assert asked.muscles == ("TRIlong", "TRIlat", "TRImed")
    for wrong, word in (
        ({"a": ["TRI*"], "b": ["TRIlong"]}, "groups 'a' and 'b'"),
        ({"a": ["soleus"]}, "no muscle 'soleus'"),
        ({}, "no muscle group"),
    ):
        with pytest.raises(InputError, match=word):
            muscle_groups(arm, strength, arms, wrong)
    still = np.array([[0.0] * 6, [0.0, *arms[1, 1:]]])
    with pytest.raises(InputError, match="TRIlong moves none of shoulder_elev, elbow_flex"):
        muscle_groups(arm, strength, still, {"a": ["TRI*"]})


@pytest.mark.parametrize(
    ("probability", "told", "effort", "verdict", "word"),
    [
        (0.99, 0.9, 0.3, "fatigued", "fatigued, 70 % of its strength is left (60 to 80 %)"),
        (0.01, 0.9, 0.3, "not fatigued", "not fatigued"),
        (0.60, 0.9, 0.3, "open", "perhaps fatigued (60 % probable)"),
        (0.30, 0.9, 0.3, "open", "probably not fatigued (30 % probable)"),
        (0.99, 0.2, 0.3, "open", "the recording cannot tell, what it does is lost among"),
        (0.99, 0.2, 0.01, "open", "the recording cannot tell, it hardly works"),
    ],
)
def test_verdicts_in_words(probability, told, effort, verdict, word):
    value = Value(0.7, 0.6, 0.8)
    group = GroupFatigue(
        "calf", ("soleus",), "ankle", (value,), value, value, value, probability, told, (), (), effort, 1.0
    )
    assert group.verdict == verdict
    assert word in group.words


def test_strength_that_lacks_from_the_first_second_on_is_not_called_tiredness():
    value, low, rate = Value(0.83, 0.73, 0.89), Value(0.66, 0.5, 0.8), Value(0.01, 0.005, 0.02)
    group = GroupFatigue(
        "calf", ("soleus",), "ankle", (low, value), low, rate, rate, 0.99, 0.9, (), (), 0.3, 1.0
    )  # fmt: skip
    assert "66 % at the first second already" in group.words
    assert "their strength was identified too high" in group.words
    falls = GroupFatigue(
        "calf", ("soleus",), "ankle", (value, low), value, rate, rate, 0.99, 0.9, (), (), 0.3, 1.0
    )  # fmt: skip
    assert "identified too high" not in falls.words


def test_the_shortest_interval_reaches_the_edge_that_draws_pile_up_at():
    """Of an exponential below 1: from its mode, 1, down to 1 − log 20; a normal one is symmetric."""
    rng = np.random.default_rng(0)
    piled = 1.0 - rng.exponential(size=20_001)
    found = Value.shortest(np.concatenate([[0.9], piled]))
    assert (found.low, found.high) == pytest.approx((1.0 - np.log(20.0), 1.0), abs=0.1)
    assert np.mean((piled >= found.low) & (piled <= found.high)) == pytest.approx(0.95, abs=1e-3)
    usual = Value.shortest(np.concatenate([[0.0], rng.standard_normal(20_001)]))
    assert (usual.low, usual.high) == pytest.approx((-1.96, 1.96), abs=0.15)


@pytest.fixture(scope="module")
def person(arm, result_of):
    """A synthetic subject, and a result that knows their strength and masses to 4 %."""
    truth = msm.synthetic_subject(arm, seed=2)
    space = parameter_space(truth.with_channels(arm.muscles), ["muscle/*/max_isometric_force", "body/*/mass"])
    with float64():
        z = np.asarray(space.pack(truth))
    rng = np.random.default_rng(5)
    z = z + 0.04 * rng.standard_normal(space.size) / np.sqrt(2)  # an estimate is off by what it says
    emg_map = {m: {m: 1.0} for m in arm.muscles}
    known = {"channels": arm.muscles, "emg_map": emg_map, "rate": 100.0, "horizon": 100}
    return truth, result_of(space, np.eye(space.size) / 0.04**2, z, **known)


def tiring_arm(arm, flexors: bool, left: float):
    """Of one of the two groups that move the elbow: tired to begin with, and tiring fast; the others slowly."""
    mine = np.array([(m in FLEXORS) == flexors for m in arm.muscles])
    usual = Fatigue.of(arm.muscles)
    fatigue = Fatigue(np.where(mine, 1.5 * usual.fatigue, 0.5 * usual.fatigue), usual.recovery, usual.rest_multiplier)
    return mine, fatigue, Compartments(np.zeros(6), np.where(mine, 1.0 - left, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("flexors", [True, False])
@pytest.mark.parametrize("dynamometer", [True, False])
def test_the_tired_group_is_found(arm, person, flexors, dynamometer, tmp_path):
    """0.3° of noise on the angles and 5 % on the EMG: capacity within 5 points of the truth, and in the interval."""
    truth, result = person
    mine, fatigue, start = tiring_arm(arm, flexors, 0.8)
    made = synthetic_effort(
        arm, truth, fatigue, start=start, posture=POSTURE, duration=40.0, rate=50.0, seed=3, dynamometer=dynamometer,
        angle_noise=np.radians(0.3), emg_noise=(0.05, 0.0), moment_noise=0.3,
    )  # fmt: skip
    groups = {"flexors": FLEXORS, "extensors": ("TRI*",)}
    found = estimate_fatigue(result, made.trial, model=arm, groups=groups, draws=40)
    strength = np.asarray(truth.muscle.max_isometric_force)
    tired, rested = (found[n] for n in (("flexors", "extensors") if flexors else ("extensors", "flexors")))
    for group, own, widest in ((tired, mine, 0.2), (rested, ~mine, 0.35)):
        expected = made.capacity[-1, own] @ strength[own] / strength[own].sum()
        assert abs(group.now.value - expected) < 0.05
        assert group.now.low < expected < group.now.high
        assert group.now.high - group.now.low < widest
    assert tired.verdict == "fatigued"
    assert rested.verdict != "fatigued"
    assert found.converged
    fatigue_figure(found).savefig(tmp_path / "fatigue.png")
    written = found.save(tmp_path)
    kept = json.loads(written[0].read_text(encoding="utf-8"))
    assert {g["name"]: g["verdict"] for g in kept["groups"]}[tired.name] == "fatigued"
    assert len(written[1].read_text(encoding="utf-8").splitlines()) == len(found.time) + 1


@pytest.mark.slow
def test_what_a_muscle_that_rests_could_do_is_left_open(arm, person):
    """Extensors that are hardly driven: the recording says nothing of them, whatever the prior does."""
    truth, result = person
    _, fatigue, start = tiring_arm(arm, True, 0.9)
    made = synthetic_effort(
        arm, truth, fatigue, start=start, posture=POSTURE, duration=40.0, rate=50.0, seed=3, dynamometer=True
    )
    silent = made.trial.emg.copy()
    extensors = [k for k, m in enumerate(arm.muscles) if m.startswith("TRI")]
    silent[:, extensors] = 1e-3
    trial = msm.Trial(**{**made.trial.__dict__, "emg": silent})
    found = estimate_fatigue(result, trial, model=arm, groups={"extensors": ["TRI*"]}, draws=20)
    assert found["extensors"].data_share < 0.5
    assert "the recording cannot tell, it hardly works" in found["extensors"].words


@pytest.mark.slow
def test_what_is_too_short_is_said(arm, person):
    truth, result = person
    (trial,) = msm.synthetic_trials(arm, truth, count=1, duration=1.0, rate=100, seed=4)
    with pytest.raises(InputError, match="has 1 s of motion; fatigue takes minutes"):
        estimate_fatigue(result, trial, model=arm)
