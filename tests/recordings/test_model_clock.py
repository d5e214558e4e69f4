"""A trial on the model's clock: derivatives of closed forms, what counts as measured, what is refused."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline
from scipy.optimize import minimize_scalar

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.estimation.residuals.motion import motion_term
from mjx_msm.person.couplings import whole_position
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import _Smoother, mixing_matrix, record, smoothing, weight_moment
from mjx_msm.recordings.trial import Trial

FREQUENCY, AMPLITUDE = 2 * np.pi * 1.3, 0.4


def wave(t):
    """Position, velocity and acceleration of both coordinates."""
    s, c = np.sin(FREQUENCY * t), np.cos(FREQUENCY * t)
    q = np.stack([0.3 + AMPLITUDE * s, 1.0 + 0.5 * AMPLITUDE * c], -1)
    v = FREQUENCY * AMPLITUDE * np.stack([c, -0.5 * s], -1)
    return q, v, -(FREQUENCY**2) * (q - [0.3, 1.0])


def make(arm, rate=100.0, start=0.0, duration=1.2, noise=0.0, **changes):
    time = start + np.arange(round(duration * rate) + 1) / rate
    q = wave(time)[0] + noise * np.random.default_rng(0).standard_normal((len(time), 2))
    emg = np.tile(0.1 + 0.05 * np.arange(len(arm.muscles)), (len(time), 1))
    return replace(Trial("wave", time, arm.coordinates, q, arm.muscles, emg), **changes)


@pytest.fixture(scope="module")
def own(arm):
    return {m: {m: 1.0} for m in arm.muscles}


def clock(arm, recording):
    return recording.start + arm.timestep * np.arange(len(recording.position))


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def test_derivatives_of_a_closed_form(arm, own):
    r = record(arm, make(arm), own)
    q, v, a = wave(clock(arm, r))
    inner = slice(50, -50)  # a smoothing spline ends straight: its second derivative at the ends is not data
    assert np.max(np.abs(r.smooth_position - q)[inner]) < 2e-4
    assert np.max(np.abs(r.smooth_position - q)) < 0.01 * AMPLITUDE
    assert np.max(np.abs(r.smooth_velocity - v)[inner]) < 1e-3 * np.max(np.abs(v))
    assert np.max(np.abs(r.smooth_acceleration - a)[inner]) < 0.01 * np.max(np.abs(a))


def test_derivatives_through_noise(arm, own):
    """0.3° at 500 Hz: differences of the samples are useless, the spline is not."""
    noise = np.deg2rad(0.3)
    trial = make(arm, rate=500.0, noise=noise)
    r = record(arm, trial, own)
    q, v, a = wave(clock(arm, r))
    inner = slice(100, -100)
    assert rms(r.position - q) == pytest.approx(noise, rel=0.1)  # the data are left as they are
    assert rms((r.smooth_position - q)[inner]) < 0.3 * noise
    assert rms((r.smooth_velocity - v)[inner]) < 0.03 * rms(v)
    assert rms((r.smooth_acceleration - a)[inner]) < 0.15 * rms(a)
    crude = np.gradient(np.gradient(trial.position, trial.timestep, axis=0), trial.timestep, axis=0)
    assert rms((crude - a)[inner]) > 10 * rms(a)


def test_a_measured_velocity_is_used(arm, own):
    trial = make(arm)
    shifted = wave(trial.time)[1] + 1.0  # no derivative of the position, so that its origin shows
    r = record(arm, replace(trial, velocity=shifted), own)
    _, v, a = wave(clock(arm, r))
    assert np.max(np.abs(r.smooth_velocity - v - 1.0)[50:-50]) < 2e-3
    error = np.max(np.abs(r.smooth_acceleration - a)[50:-50])
    assert error < 0.1 * np.max(np.abs(record(arm, trial, own).smooth_acceleration - a)[50:-50])


def test_where_no_velocity_was_measured_the_angles_derivatives_stand(arm, own):
    """A velocity that begins late, pauses and ends early takes nothing from the acceleration elsewhere."""
    trial = make(arm)
    velocity = wave(trial.time)[1]
    velocity[:30] = velocity[50:80] = velocity[-20:] = np.nan
    plain, r = record(arm, trial, own), record(arm, replace(trial, velocity=velocity), own)
    at = clock(arm, r)
    away = (at < 0.28) | ((at > 0.52) & (at < 0.77)) | (at > at[-1] - 0.18)
    np.testing.assert_array_equal(r.smooth_velocity[away], plain.smooth_velocity[away])
    np.testing.assert_array_equal(r.smooth_acceleration[away], plain.smooth_acceleration[away])
    assert not np.array_equal(r.smooth_acceleration[~away], plain.smooth_acceleration[~away])


@pytest.mark.parametrize(("rate", "start"), [(100.0, 0.0), (120.0, 3.217), (500.0, -0.4)])
def test_the_clock_and_what_counts_as_measured(arm, own, rate, start):
    """Every measured sample has one sample of the clock, the nearest; upsampling adds none."""
    trial = make(arm, rate=rate, start=start)
    r = record(arm, trial, own)
    time = clock(arm, r)
    assert r.start == start
    assert time[-1] <= trial.time[-1] + 1e-9 < time[-1] + arm.timestep + 2e-9
    assert r.weight.sum(axis=0) == pytest.approx(len(trial.time))
    for k in np.flatnonzero(r.weight[:, 0]):
        assert np.min(np.abs(trial.time - time[k])) <= 0.5 * arm.timestep + 1e-9
    np.testing.assert_allclose(r.position, wave(time)[0], atol=1e-3)
    on_both = np.isclose(np.min(np.abs(trial.time[None] - time[:, None]), axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(r.position[on_both], wave(time[on_both])[0], atol=1e-9)
    assert r.known.all()
    assert r.first == 0
    assert r.last == len(time) - 1


def test_missing_samples_have_no_weight(arm, own):
    trial = make(arm)
    q = trial.position.copy()
    q[40:50, 0] = np.nan
    r = record(arm, replace(trial, position=q), own)
    assert r.weight.sum(axis=0) == pytest.approx([len(q) - 10, len(q)])
    assert not r.weight[40 * 5 : 49 * 5 + 1, 0].any()
    assert np.isfinite(r.position).all()
    assert np.isfinite(r.smooth_acceleration).all()
    assert r.known.all()  # the other coordinate was recorded


def test_emg_may_precede_the_motion(arm, own):
    trial = make(arm)
    q = trial.position.copy()
    q[:30] = q[-20:] = np.nan
    r = record(arm, replace(trial, position=q), own)
    assert (r.first, r.last) == (30 * 5, (len(q) - 21) * 5)
    assert not r.known[: r.first].any()
    assert not r.known[r.last + 1 :].any()
    assert r.known[r.first : r.last + 1].all()
    assert np.allclose(r.smooth_velocity[: r.first], 0)
    assert np.allclose(r.smooth_acceleration[: r.first], 0)
    assert len(r.envelope) == len(r.position)


@pytest.fixture(scope="module")
def following():
    """The arm whose shoulder follows the recording."""
    return load_model("arm", free=["elbow_flex"], prescribed=["shoulder_elev"])


def gone(trial, coordinate, rows):
    q = trial.position.copy()
    q[rows, trial.coordinates.index(coordinate)] = np.nan
    return replace(trial, position=q)


def test_the_motion_is_known_as_far_as_prescribed_coordinates_are(arm, own, following):
    late = gone(gone(make(arm), "shoulder_elev", slice(0, 30)), "shoulder_elev", slice(100, None))
    r = record(following, late, own)
    assert (r.first, r.last) == (30 * 5, 99 * 5)
    assert r.weight[:150].any()  # what the elbow did before is data, but nothing to simulate
    np.testing.assert_array_equal(np.flatnonzero(r.complete), np.arange(150, 496))


def test_a_prescribed_coordinate_may_not_pause(arm, own, following):
    record(following, gone(make(arm), "shoulder_elev", slice(40, 49)), own)  # 0.1 s are bridged
    with pytest.raises(InputError, match=r"prescribed coordinate 'shoulder_elev' has a gap from 0\.39\d* to 0\.6\d* s"):
        record(following, gone(make(arm), "shoulder_elev", slice(40, 60)), own)
    record(following, gone(gone(make(arm), "shoulder_elev", slice(20, 40)), "elbow_flex", slice(0, 45)), own)  # before
    apart = gone(gone(make(arm), "shoulder_elev", slice(0, 60)), "elbow_flex", slice(60, None))
    with pytest.raises(InputError, match="'shoulder_elev' was not recorded while elbow_flex was"):
        record(following, apart, own)


@pytest.mark.slow
def test_a_prescribed_coordinate_moves_from_the_first_sample_on(arm, own, following):
    """The state at the start is the recording's: from there the model arrives where a rollout did."""
    drive = np.full((33, len(arm.muscles)), 0.1)
    held = 0.3 + 2.0 * arm.timestep * np.arange(34)[:, None]
    with float64():
        start = State(np.array([0.3, 1.0]), np.array([2.0, 0.5]), drive[0])
        out = rollout(following, following.nominal, start, drive, prescribed=held)
        q, v = np.asarray(out.position), np.asarray(out.velocity)
    trial = Trial(
        "steady", arm.timestep * np.arange(34), arm.coordinates, q, arm.muscles, np.vstack([drive, drive[:1]])
    )
    r = record(following, trial, own)
    assert r.smooth_velocity[0, 0] == pytest.approx(2.0, rel=1e-3)
    nominal = following.nominal.with_channels(arm.muscles)
    space = parameter_space(nominal, ["muscle/BRA/max_isometric_force"])
    term = motion_term(following, space, [r], 33)
    with float64():
        moved, _ = term.intervals(np.asarray(space.pack(nominal)), np.array([[1.0, 0.5], [q[32, 1], v[32, 1]]]))
    np.testing.assert_allclose(moved[0, :, 1], q[:33, 1], atol=2e-5)


def test_moments_of_unknown_postures_are_left_out(arm, own):
    trial = gone(gone(make(arm), "elbow_flex", slice(0, 20)), "shoulder_elev", slice(50, 80))
    trial = replace(trial, moment_coordinates=arm.coordinates, moment=np.ones_like(trial.position))
    r = record(arm, trial, own)
    assert r.first == 0
    space = parameter_space(arm.nominal.with_channels(arm.muscles), ["muscle/BRA/max_isometric_force"])
    term = moment_term(arm, space, [r], 100.0)
    seen = term.sample[term.weight.all(axis=1)] // 5
    np.testing.assert_array_equal(seen, [*range(20, 50), *range(80, 121)])


def test_envelopes_are_interpolated_and_bridged(arm, own):
    trial = make(arm)
    ramp = np.tile(np.linspace(0, 1, len(trial.time))[:, None], (1, len(arm.muscles)))
    holes = ramp.copy()
    holes[20:30, 1] = np.nan
    r = record(arm, replace(trial, emg=holes), own)
    exact = np.linspace(0, 1, len(r.envelope))
    np.testing.assert_allclose(r.envelope, np.tile(exact[:, None], (1, len(arm.muscles))), atol=1e-12)


def test_moments_weigh_where_they_were_measured(arm, own):
    trial = make(arm)
    moment = 3.0 * wave(trial.time)[0][:, 1:]
    moment[:25] = np.nan
    r = record(arm, replace(trial, moment_coordinates=(arm.coordinates[1],), moment=moment), own)
    assert not r.moment_weight[:, 0].any()
    assert not r.moment[:, 0].any()
    assert r.moment_weight[:, 1].sum() == len(moment) - 25
    measured = r.moment_weight[:, 1] > 0
    np.testing.assert_allclose(r.moment[measured, 1], moment[25:, 0], atol=1e-12)


def test_channels_mix_into_muscles(arm):
    muscles = arm.muscles
    emg_map = {m: {} for m in muscles} | {muscles[0]: {"b": 1.0}, muscles[1]: {"a": 0.3, "b": 0.7}}
    mixing = mixing_matrix(arm, ("a", "b"), emg_map)
    np.testing.assert_array_equal(mixing[:2], [[0, 1], [0.3, 0.7]])
    assert not mixing[2:].any()  # silent muscles


def test_a_locked_coordinate_needs_no_column(arm, own):
    model = load_model("arm", free=["elbow_flex"], locked={"shoulder_elev": 0.2})
    trial = make(arm)
    trial = replace(trial, coordinates=("elbow_flex",), position=trial.position[:, 1:])
    r = record(model, trial, own)
    assert r.position.shape[1] == 1
    column = model.coordinates.index("shoulder_elev")
    assert np.all(r.smooth_position[:, column] == 0.2)
    assert not r.smooth_velocity[:, column].any()


def test_what_does_not_fit_is_named(arm, own):
    trial = make(arm)
    with pytest.raises(InputError, match=f"'wave' has no coordinate '{arm.coordinates[1]}'"):
        record(arm, replace(trial, coordinates=arm.coordinates[:1], position=trial.position[:, :1]), own)
    with pytest.raises(InputError, match=f"muscle '{arm.muscles[0]}' has no EMG channel"):
        record(arm, trial, {m: v for m, v in own.items() if m != arm.muscles[0]})
    with pytest.raises(InputError, match="EMG channel 'left' of muscle"):
        record(arm, trial, own | {arm.muscles[0]: {"left": 1.0}})
    q = trial.position.copy()
    q[4:, 1] = np.nan
    with pytest.raises(InputError, match=f"'{arm.coordinates[1]}' of trial 'wave' has only 4 samples"):
        record(arm, replace(trial, position=q), own)


# Smoothing -------------------------------------------------------------------------------------------------


def noisy_wave(noise, seed, dropped):
    """Samples of a closed form; about a sixth of them lost, and a pause."""
    rng = np.random.default_rng(seed)
    time = np.arange(200) * 0.005
    if dropped:
        keep = rng.random(len(time)) > 0.15
        keep[90:105] = False
        time = time[keep]
    exact = [x[:, 0] for x in wave(time)]
    return time, exact, exact[0] + noise * rng.standard_normal(len(time))


def cross_validation(time, value):
    """ln GCV as a function of log10 λ, with the exact trace of the influence matrix."""

    def score(exponent):
        influence = make_smoothing_spline(time, np.eye(len(time)), lam=10.0**exponent)(time)
        left = len(time) - np.trace(influence)
        return float(np.log(np.sum((value - influence @ value) ** 2)) - 2 * np.log(left))

    return score


def errors_of(time, value, exact, penalty):
    spline, inner = make_smoothing_spline(time, value, lam=penalty), slice(15, -15)
    return np.array([rms((spline.derivative(k)(time) - exact[k])[inner]) for k in range(3)])


@pytest.mark.parametrize(
    ("dropped", "excess", "worse"), [(False, 2e-3, [1.03, 1.03, 1.1]), (True, 0.02, [1.05, 1.1, 1.25])]
)
@pytest.mark.parametrize("noise", [1e-4, 5e-3, 0.05])
def test_smoothing_is_generalised_cross_validation(noise, dropped, excess, worse):
    """Against the minimum with the exact trace; of samples that are not uniform the trace is an approximation."""
    found = []
    for seed in range(3):
        time, exact, value = noisy_wave(noise, seed, dropped)
        penalty, score = smoothing(time, value), cross_validation(time, value)
        grid = np.arange(-9.0, 0.0, 0.5)
        near = grid[int(np.argmin([score(e) for e in grid]))]
        best = minimize_scalar(score, bounds=(near - 0.5, near + 0.5), method="bounded", options={"xatol": 0.02})
        assert score(np.log10(penalty)) < best.fun + excess
        found.append([errors_of(time, value, exact, p) ** 2 for p in (penalty, 10.0**best.x)])
    own, oracle = np.sqrt(np.mean(found, axis=0))
    assert (own < np.array(worse) * oracle).all(), own / oracle


@pytest.mark.parametrize("noise", [5e-3, 0.05])
def test_smoothing_is_as_accurate_as_that_of_scipy(noise):
    found = []
    for seed in range(4):
        time, exact, value = noisy_wave(noise, seed, dropped=False)
        found.append([errors_of(time, value, exact, p) ** 2 for p in (smoothing(time, value), None)])
    own, scipy = np.sqrt(np.mean(found, axis=0))
    assert (own < 1.05 * scipy).all(), own / scipy


def test_smoothing_does_not_depend_on_units():
    time = np.arange(200) * 0.01
    value = wave(time)[0][:, 0] + 0.01 * np.random.default_rng(0).standard_normal(200)
    penalty = smoothing(time, value)
    assert smoothing(time, 1e3 * value) == pytest.approx(penalty, rel=1e-6)
    assert smoothing(10 * time, value) == pytest.approx(1e3 * penalty, rel=1e-3)  # λ has the unit of time cubed


def test_smoothing_of_nothing_to_smooth():
    """A straight line fits with any penalty; five samples are enough."""
    time = np.arange(40) * 0.01
    for value in (np.zeros(40), 0.3 + 2.0 * time):
        penalty = smoothing(time, value)
        assert penalty > 0
        np.testing.assert_allclose(make_smoothing_spline(time, value, lam=penalty)(time), value, atol=1e-9)
    assert smoothing(time[:5], np.sin(time[:5])) > 0


def test_splines_are_those_of_scipy():
    """At and between samples, uneven ones too, for penalties from interpolation to almost a straight line."""
    rng = np.random.default_rng(4)
    for time in (0.01 * np.arange(200), np.sort(rng.uniform(0, 2, 60))):
        value = np.sin(5 * time) + 0.1 * rng.standard_normal(len(time))
        at = np.concatenate([time, rng.uniform(time[0], time[-1], 100)])
        for penalty in (1e-12, 1e-6, 1e-2, 1.0):
            theirs = make_smoothing_spline(time, value, lam=penalty)
            for order, own in enumerate(_Smoother.of(time, value)(penalty, at)):
                expected = theirs.derivative(order)(at) if order else theirs(at)
                np.testing.assert_allclose(own, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


def test_the_weight_of_a_limb_is_the_slope_of_its_energy(arm, own):
    """Against C MuJoCo's potential energy, by central differences."""
    m = arm.host.mj_model
    d = mujoco.MjData(m)
    q = np.array([[0.2, 0.4], [0.9, 1.7], [-0.3, 0.1]])

    def energy(position):
        d.qpos[:] = position
        mujoco.mj_fwdPosition(m, d)
        mujoco.mj_energyPos(m, d)
        return d.energy[0]

    slopes = [[(energy(x + s) - energy(x - s)) / 2e-5 for s in 1e-5 * np.eye(2)] for x in q]
    found = weight_moment(arm, q, np.array([True, True, False]))
    np.testing.assert_allclose(found, np.array(slopes) * [[1], [1], [0]], atol=1e-6)
    trial = make(arm, moment_coordinates=arm.coordinates, moment=np.zeros((121, 2)))
    weighed = record(arm, replace(trial, metadata={"gravity": "included"}), own)
    plain = record(arm, replace(trial, metadata={"gravity": "corrected"}), own)
    np.testing.assert_array_equal(plain.moment, 0)
    np.testing.assert_allclose(
        weighed.moment, weight_moment(arm, weighed.smooth_position, weighed.moment_weight.any(axis=1))
    )
    assert np.abs(weighed.moment).max() > 5


@pytest.mark.filterwarnings("ignore:.*slack length below zero")
def test_the_weight_of_a_limb_with_joints_that_follow(coupled_file):
    """Against C's potential energy along the motion that the coupling leaves; and `record` adds it."""
    coupled = load_model(coupled_file)
    m = coupled.host.mj_model
    d = mujoco.MjData(m)
    q = np.array([[0.2], [1.1], [-0.4]])

    def energy(position):
        d.qpos[:] = whole_position(m, position)
        mujoco.mj_fwdPosition(m, d)
        mujoco.mj_energyPos(m, d)
        return d.energy[0]

    slopes = [[(energy(x + 1e-5) - energy(x - 1e-5)) / 2e-5] for x in q]
    np.testing.assert_allclose(weight_moment(coupled, q, np.ones(3, bool)), slopes, atol=1e-6)
    time = np.arange(0, 1, 0.01)
    trial = Trial(
        "t", time, ("bend",), 0.3 + 0.2 * np.sin(4 * time)[:, None], ("m",), np.zeros((100, 1)),
        moment_coordinates=("bend",), moment=np.zeros((100, 1)), metadata={"gravity": "included"},
    )  # fmt: skip
    r = record(coupled, trial, {"m": {"m": 1.0}})
    at = r.smooth_position[200]
    assert r.moment[200, 0] == pytest.approx((energy(at + 1e-5) - energy(at - 1e-5)) / 2e-5, abs=1e-6)
