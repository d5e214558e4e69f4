"""Live prediction: against offline prediction and later truth, and what bad streams do to it.

Each promise about a stream is played: the same two seconds of a synthetic arm, with the fault in them.
"""

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.signal import sosfilt

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space
from mjx_msm.prediction.causal_filter import causal_filter
from mjx_msm.prediction.live_state import Input, blank
from mjx_msm.prediction.made_channels import MadeChannels
from mjx_msm.prediction.own_errors import OwnErrors
from mjx_msm.prediction.predictor import Predictor
from mjx_msm.recordings.emg import EmgProcessing, envelope
from mjx_msm.recordings.synergies import UNMEASURED, Synergies, extended, synergies
from mjx_msm.recordings.trial import reordered

RATE, HORIZON = 500.0, 0.1


@pytest.fixture(scope="module")
def stream(arm, result_of):
    """A result, and a trial of its person as samples."""
    truth = msm.synthetic_subject(arm, seed=2)
    parameters = truth.with_channels(arm.muscles).updated({"emg/*/delay": 0.04})
    space = parameter_space(parameters, ["muscle/*/max_isometric_force"])
    with float64():
        z = np.asarray(space.pack(parameters))
    emg_map = {m: {m: 1.0} for m in arm.muscles}
    result = result_of(space, np.eye(space.size) / 0.05**2, z, channels=arm.muscles, emg_map=emg_map, rate=100.0)
    (trial,) = msm.synthetic_trials(arm, truth, count=1, duration=2.0, rate=500, seed=4)
    return result, trial


@pytest.fixture(scope="module")
def predictor(arm, stream):
    return Predictor(stream[0], HORIZON, rate=RATE, model=arm)


@pytest.fixture(scope="module")
def samples(stream, predictor):
    """Time, EMG and angles; EMG 40 ms early, as the electromechanical delay has it."""
    _, trial = stream
    inside = np.isfinite(trial.position).all(axis=1)
    time = trial.time[inside]
    emg = np.stack([np.interp(time + 0.04, trial.time, e) for e in trial.emg.T], axis=1)
    columns = [trial.coordinates.index(c) for c in predictor.coordinates]
    return time, emg, trial.position[inside][:, columns]


def played(predictor, time, emg, encoder):
    predictor.reset()
    return [predictor.push(e, q, t) for t, e, q in zip(time, emg, encoder, strict=True)]


def column(forecasts, name):
    return np.array([getattr(f, name) for f in forecasts])


@pytest.fixture(scope="module")
def good(predictor, samples):
    return played(predictor, *samples)


pytestmark = pytest.mark.slow


def test_torque_now_is_that_of_offline_prediction(good, samples, stream, arm):
    result, trial = stream
    early = np.stack([np.interp(trial.time + 0.04, trial.time, e) for e in trial.emg.T], axis=1)
    offline = msm.predict(result, replace(trial, emg=early), model=arm, draws=2)
    live = CubicSpline(samples[0], column(good, "torque"))(offline.time)
    settled = offline.time > offline.time[0] + 0.3
    error = (live - offline["moment"].value)[settled]
    assert np.sqrt((error**2).mean()) < 0.03 * offline["moment"].value.std()


def test_what_comes_next_is_better_known_than_by_standing_still_or_going_on(good, samples):
    time, _, angle = samples
    ahead = round(HORIZON * RATE)
    rows = slice(150, len(time) - ahead)
    truth = angle[ahead:][rows]
    said = column(good, "angle_ahead")[rows]
    speed = np.gradient(angle, time, axis=0)[rows]
    error, still, on = (np.sqrt(np.mean((x - truth) ** 2)) for x in (said, angle[rows], angle[rows] + HORIZON * speed))
    assert error < 0.5 * still
    assert error < 0.7 * on
    inside = np.abs(said - truth) < 1.96 * column(good, "angle_ahead_sd")[rows]
    assert inside.mean() > 0.8


def test_what_is_taught_is_understood(arm, stream, samples, good):
    """Two thirds of a trial are taught; on them forecasts miss less than with EMG that stays as it is."""
    result, trial = stream
    time, emg, angle = samples
    half = len(trial.time) * 2 // 3
    parts = {f: getattr(trial, f)[:half] for f in ("time", "position", "emg")}
    early = np.stack([np.interp(parts["time"] + 0.04, trial.time, e) for e in trial.emg.T], axis=1)
    first = replace(trial, **{**parts, "emg": early}, velocity=None, moment=None, moment_coordinates=())
    taught = Predictor(result, HORIZON, rate=RATE, model=arm, extrapolation="learned", trials=(first,))
    out = played(taught, time, emg, angle)
    ahead = round(HORIZON * RATE)
    rows = slice(150, round(0.6 * len(time)))  # of what it was taught: it has understood
    truth = angle[ahead:][rows]
    plain, learnt = (column(f, "angle_ahead")[rows] - truth for f in (good, out))
    assert np.sqrt((learnt**2).mean()) < 0.8 * np.sqrt((plain**2).mean())
    assert np.isfinite(column(out, "torque_ahead")).all()


@pytest.fixture(scope="module")
def unmeasured(arm, result_of):
    """A result whose person has two muscles without EMG, driven by synergies; a trial with all channels, and it with
    those that are made."""
    truth = msm.synthetic_subject(arm, seed=2)
    (trial,) = msm.synthetic_trials(arm, truth, count=1, duration=2.0, rate=500, seed=4)
    mixes = {m: UNMEASURED if m in ("BRA", "TRImed") else {m: 1.0} for m in arm.muscles}
    longer = extended([trial], [[trial]], mixes, 3)
    channels = tuple(dict.fromkeys(c for mix in longer.emg_map.values() for c in mix))
    parameters = truth.with_channels(channels).updated({"emg/*~*/gain": 0.4})
    space = parameter_space(parameters, ["muscle/*/max_isometric_force"])
    with float64():
        z = np.asarray(space.pack(parameters))
    about = {"channels": channels, "emg_map": longer.emg_map, "rate": 100.0, "synergies": longer.synergies}
    result = result_of(space, np.eye(space.size) / 0.05**2, z, **about)
    return result, trial, reordered(longer.trials[0][0], channels)


def test_muscles_without_emg_are_driven_by_synergies_of_what_a_stream_has(arm, unmeasured, tmp_path):
    """Live and offline, the measured channels alone say what they say beside the channels that are made of them."""
    result, trial, whole = unmeasured
    assert msm.Identification.load(result.save(tmp_path / "r.json")).synergies == result.synergies
    live = Predictor(result, HORIZON, rate=RATE, model=arm)
    assert set(live.channels) == set(arm.muscles) - {"BRA", "TRImed"}
    plain = reordered(trial, live.channels)
    angle = trial.position[:, [trial.coordinates.index(c) for c in live.coordinates]]
    good = played(live, trial.time, plain.emg, angle)
    given = replace(result, synergies=None)
    beside = played(Predictor(given, HORIZON, rate=RATE, model=arm), trial.time, whole.emg, angle)
    for name in ("torque", "torque_sd", "torque_ahead", "angle_ahead"):
        np.testing.assert_allclose(column(good, name), column(beside, name), rtol=1e-6, atol=1e-6)
    own, other = (msm.predict(who, t, model=arm, draws=2) for who, t in ((result, plain), (given, whole)))
    np.testing.assert_array_equal(own["tendon_force"].value, other["tendon_force"].value)
    with pytest.raises(msm.InputError, match=f"has no channel '{live.channels[0]}', of whose synergies"):
        msm.predict(result, reordered(plain, live.channels[1:]), model=arm, draws=2)


def test_a_lost_channel_leaves_open_what_it_and_all_that_is_made_of_it_do_together(arm, unmeasured):
    """By perturbing its sample. A channel that came once has a standard deviation of 0.1; the arm is at rest, and all
    are as the synergies have them, so that none of these is about to fall silent."""
    result, trial, _ = unmeasured
    live = Predictor(result, HORIZON, rate=RATE, model=arm)
    place = [result.synergies.channels.index(c) for c in live.channels]
    level = 0.1 * np.sum(result.synergies.matrix, axis=0)[place]
    time, count = np.arange(0.0, 1.2, 1 / RATE), round(1.2 * RATE)
    angle = np.tile(np.median(trial.position[:, [trial.coordinates.index(c) for c in live.coordinates]], 0), (count, 1))
    wiggle = 1e-6 * (np.arange(count) % 2)[:, None]  # what stands still counts as dead
    there = played(live, time, level + wiggle, angle)[-1]
    for lost, name in enumerate(live.channels):

        def last(change, lost=lost):
            emg = level + wiggle
            emg[1:, lost] += change
            return played(live, time, emg, angle)[-1]

        more, gone = last(0.002), last(np.nan)
        assert f"EMG channel {name} is missing" in gone.faults
        effect = 0.1 * np.abs(more.torque - there.torque) / 0.002
        left_open = np.sqrt(np.maximum(gone.torque_sd**2 - there.torque_sd**2, 0.0))
        np.testing.assert_allclose(left_open, effect, atol=0.03 * effect.max(), err_msg=name)


def test_courses_of_a_sample_are_the_non_negative_least_squares_ones():
    rng = np.random.default_rng(0)
    found = synergies(("a", "b", "c", "d", "e"), [rng.uniform(0, 1, (200, 5))], 3)
    made = MadeChannels.of(("b", "deep~2", "a", "e", "deep~3", "d", "c"), found)
    for _ in range(20):
        sample = rng.uniform(0, 1, 5)  # of b, a, e, d, c
        (course,) = found.courses(sample[None, [1, 0, 4, 3, 2]])
        both, slope = made(sample)
        np.testing.assert_allclose(both[[1, 4]], course[[1, 2]], atol=1e-9)
        np.testing.assert_array_equal(both[[0, 2, 3, 5, 6]], sample)
        np.testing.assert_allclose(slope @ sample, course[[1, 2]], atol=1e-9)


def test_more_synergies_than_a_stream_can_have_are_refused():
    many = Synergies(tuple("abcdefghij"), tuple((1.0,) * 10 for _ in range(9)), 1.0)
    with pytest.raises(msm.InputError, match="8 synergies at most, not 9"):
        MadeChannels.of((*many.channels, "deep~1"), many)


def test_a_good_stream_has_no_faults(good):
    assert not any(f.faults for f in good)


def test_a_channel_that_drops_out_is_named_and_widens_the_band(predictor, samples, good):
    time, emg, angle = samples
    torn = emg.copy()
    torn[400:700, 5] = np.nan
    out = played(predictor, time, torn, angle)
    name = f"EMG channel {predictor.channels[5]} is missing"
    assert all(name in f.faults for f in out[400:700])
    assert not out[399].faults
    assert not out[701].faults
    wide, usual = column(out, "torque_sd")[690], column(good, "torque_sd")[690]
    assert (wide > 1.5 * usual).any()
    assert np.isfinite(column(out, "torque_ahead")).all()
    assert np.abs(column(out, "torque")[-1] - column(good, "torque")[-1]).max() < 0.05 * column(good, "torque").std()


def test_a_dead_channel_is_named_and_widens_the_band(predictor, samples, good):
    time, emg, angle = samples
    dead = emg.copy()
    dead[400:, 0] = 0.0
    out = played(predictor, time, dead, angle)
    assert f"EMG channel {predictor.channels[0]} is missing" in out[-1].faults
    assert not out[410].faults  # a muscle may rest for a moment
    assert (column(out, "torque_sd")[-1] > column(good, "torque_sd")[-1]).any()


def test_a_blind_encoder_is_named_and_widens_the_band(predictor, samples, good):
    time, emg, angle = samples
    blind = angle.copy()
    blind[400:500] = np.nan
    out = played(predictor, time, emg, blind)
    assert all(f"encoder {c} is missing" in out[450].faults for c in predictor.coordinates)
    assert (column(out, "angle_sd")[499] > 3 * column(good, "angle_sd")[499]).all()
    assert np.isfinite(column(out, "angle_ahead")).all()
    assert np.abs(column(out, "angle")[520] - angle[520]).max() < 0.02
    assert not out[501].faults


def test_a_wild_encoder_sample_is_not_believed(predictor, samples):
    time, emg, angle = samples
    wild = angle.copy()
    wild[500] += 2.0
    out = played(predictor, time, emg, wild)
    assert any("encoder" in fault for fault in out[500].faults)
    assert np.abs(column(out, "angle")[500] - angle[500]).max() < 0.02


def test_samples_that_come_twice_or_late_are_left_out(predictor, samples, good):
    time, emg, angle = samples
    order = np.concatenate([np.arange(600), [599, 300], np.arange(600, len(time))])
    out = played(predictor, time[order], emg[order], angle[order])
    assert out[600].faults == ("a sample came twice and is left out",)
    assert out[601].faults == ("a sample came late and is left out",)
    kept = np.delete(np.arange(len(order)), [600, 601])
    np.testing.assert_array_equal(column(out, "torque")[kept], column(good, "torque"))


def test_a_clock_that_jitters_is_said_and_followed(predictor, samples, good):
    time, emg, angle = samples
    rng = np.random.default_rng(0)
    shaken = time + rng.uniform(-0.8e-3, 0.8e-3, len(time))
    e = np.stack([np.interp(shaken, time, x) for x in emg.T], axis=1)
    q = CubicSpline(time, angle)(shaken)
    out = played(predictor, shaken, e, q)
    assert any("the clock jitters" in f.faults for f in out)
    off = column(out, "torque") - column(good, "torque")
    assert np.sqrt((off[150:] ** 2).mean()) < 0.03 * column(good, "torque").std()


def test_chunks_and_jitter_do_not_hide_that_a_clock_was_set_back(predictor, samples):
    """Two samples with one time each, and the time shaken by a step either way."""
    time, emg, angle = samples
    half, rng = len(time) // 2, np.random.default_rng(1)
    for late in (np.repeat(time[::2], 2)[: len(time)], time + rng.uniform(-1.0, 1.0, len(time)) / RATE):
        out = played(predictor, np.where(np.arange(len(time)) < half, time + 100.0, late), emg, angle)
        assert any(
            "begun anew" in fault
            for f in out[half + round(0.4 * RATE) : half + round(0.6 * RATE)]
            for fault in f.faults
        )


def test_own_errors_do_no_harm_where_samples_do_not_meet_what_is_due(predictor, samples, monkeypatch):
    """Looks 12 ms apart, forecasts due 100 ms ahead: each is due between two samples, and is held against that time."""
    time, emg, angle = (x[::3] for x in samples)
    with_them = column(played(predictor, time, emg, angle), "angle_ahead")
    monkeypatch.setattr(OwnErrors, "expected", lambda self, feature: np.zeros(len(feature)))
    without = column(played(predictor, time, emg, angle), "angle_ahead")
    rows = (time > time[0] + 1.0) & (time < time[-1] - HORIZON)
    truth = CubicSpline(samples[0], samples[2])(time[rows] + HORIZON)
    one, other = (np.sqrt(np.mean((x[rows] - truth) ** 2)) for x in (with_them, without))
    assert one < 1.2 * other  # of two seconds a part goes into learning
    assert np.abs(with_them - without).max() > 0.0


def test_a_gap_is_crossed_and_a_long_one_begins_anew(predictor, samples):
    time, emg, angle = samples
    there = np.concatenate([np.arange(400), np.arange(450, 700)])  # 0.1 s
    out = played(predictor, time[there], emg[there], angle[there])
    assert any("nothing came for" in fault for fault in out[400].faults)
    assert np.isfinite(column(out, "angle_ahead")).all()
    later = predictor.push(emg[900], angle[900], time[699] + 5.0)
    assert any("begun anew" in fault for fault in later.faults)
    np.testing.assert_allclose(later.angle, angle[900], atol=0.02)


def test_a_clock_that_is_set_back_is_followed_anew(predictor, samples, good):
    """A device that begins again, and one whose clock once said what could not be: half a second is late, no more."""
    time, emg, angle = samples
    half = len(time) // 2
    wild = np.where(np.arange(len(time)) == half - 1, time + 1e4, time)
    for clock in (np.where(np.arange(len(time)) < half, time + 100.0, time), wild):
        out = played(predictor, clock, emg, angle)
        late = ["a sample came late and is left out" in f.faults for f in out[half:]]
        again = late.index(False)
        assert 0.4 < again / RATE < 0.6
        assert "begun anew" in out[half + again].faults[0]
        assert not any(late[again:])
        np.testing.assert_allclose(column(out, "angle")[-1], column(good, "angle")[-1], atol=0.02)
        off = column(out, "torque")[-1] - column(good, "torque")[-1]
        assert np.abs(off).max() < 0.05 * column(good, "torque").std()


def test_encoders_may_come_more_seldom_than_emg(predictor, samples, good):
    """Every fifth sample has angles: without patience that is said, with it it is not; torque is nearly the same."""
    time, emg, angle = samples
    seldom = np.where((np.arange(len(time)) % 5 == 0)[:, None], angle, np.nan)
    assert any(f.faults for f in played(predictor, time, emg, seldom))
    predictor.patience = 2.5 * 5 / RATE
    try:
        out = played(predictor, time, emg, seldom)
    finally:
        predictor.patience = 0.0
    assert not any(f.faults for f in out)
    off = column(out, "torque") - column(good, "torque")
    assert np.sqrt((off[150:] ** 2).mean()) < 0.05 * column(good, "torque").std()


def test_everything_that_can_go_wrong_at_once_is_got_through(predictor, samples, good):
    """Channels that come and go, infinities, spikes, blind and wild encoders, a jittering clock, samples that are lost,
    late or twice: every forecast is finite and says what is wrong, and the band is wider; then all is well again."""
    time, emg, angle = (x.copy() for x in samples)
    rng, bad = np.random.default_rng(3), np.arange(300, 600)
    emg[bad] = np.where(rng.random(emg[bad].shape) < 0.3, np.nan, emg[bad])
    for value in (np.inf, -np.inf, 1e6):
        emg[rng.choice(bad, 10), rng.integers(0, emg.shape[1], 10)] = value
    angle[rng.choice(bad, 60)] = np.nan
    angle[rng.choice(bad, 5)] += 3.0
    time[bad] += rng.uniform(-0.4e-3, 0.4e-3, len(bad))
    kept = rng.permuted(bad.reshape(-1, 5), axis=1).ravel()[rng.random(len(bad)) > 0.1]  # late ones, and lost ones
    order = np.concatenate(
        [np.arange(300), np.repeat(kept, 1 + (rng.random(len(kept)) < 0.1)), np.arange(600, len(time))]
    )
    out = played(predictor, time[order], emg[order], angle[order])
    for name in ("torque", "torque_sd", "torque_ahead", "torque_ahead_sd", "angle", "angle_sd", "angle_ahead"):
        assert np.isfinite(column(out, name)).all(), name
    end = int(np.flatnonzero(order == 600)[0])
    assert np.mean([bool(f.faults) for f in out[320:end]]) > 0.9
    assert np.median(column(out, "torque_sd")[320:end]) > np.median(column(good, "torque_sd")[320:600])
    after = -(len(time) - 800)
    assert not any(f.faults for f in out[after:])
    off = column(out, "torque")[after:] - column(good, "torque")[after:]
    assert np.abs(off).max() < 0.05 * column(good, "torque").std()


@pytest.mark.filterwarnings("ignore:.*slack length below zero")
def test_a_blind_start_is_at_the_reference_of_the_coordinates(predictor, coupled_file):
    """Of joints that follow others the state has none."""
    coupled = load_model(coupled_file)
    setup = replace(predictor._setup, model=coupled)
    first = Input(np.zeros(()), np.zeros(len(predictor.channels)), np.array([np.nan]))
    np.testing.assert_allclose(blank(setup, first).state, [0.1, 0, 0])


def test_no_time_is_no_sample(predictor, samples):
    time, emg, angle = samples
    predictor.reset()
    for none in (np.nan, np.inf, -np.inf):
        assert predictor.push(emg[0], angle[0], none).faults == ("a sample came without a time and is left out",)
    assert np.isfinite(predictor.push(emg[0], angle[0], time[0]).torque).all()
    with pytest.raises(msm.InputError, match="expected 6"):
        predictor.push(emg[0][:3], angle[0], time[1])


def test_memory_does_not_grow(predictor, samples):
    """Ten thousand samples leave no more than a few small objects."""
    _, emg, angle = samples
    predictor.reset()
    count = iter(range(10**6))

    def go(samples):
        for _ in range(samples):
            k = next(count)
            predictor.push(emg[k % 1000], angle[k % 1000], 0.002 * k)

    go(2000)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        go(10_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000


def test_causal_filters_agree_with_the_offline_chain_on_what_they_can():
    """A steady contraction comes to the same envelope; a slow change to the same, later by the lag that is said."""
    rate, processing = 1000.0, EmgProcessing(high_pass=30.0, low_pass=6.0)
    t = np.arange(0, 6, 1 / rate)
    strength = 0.5 + 0.3 * np.sin(2 * np.pi * 0.5 * t)
    raw = (strength * np.sin(2 * np.pi * 110 * t))[:, None]
    offline = envelope(raw, rate, processing)[:, 0]
    filters = causal_filter(processing, rate)
    live = sosfilt(filters.after, np.abs(sosfilt(filters.before, raw[:, 0])))
    late = round(filters.lag * rate)
    inner = slice(1000, 5000)
    error = live[late:][inner] - offline[: len(t) - late][inner]
    assert 0.05 < filters.lag < 0.09
    assert np.abs(error).max() < 0.02 * offline.max()
    noise = np.random.default_rng(0).normal(size=(20_000, 1))
    live = sosfilt(filters.after, np.abs(sosfilt(filters.before, noise[:, 0])))
    assert live[1000:].mean() == pytest.approx(envelope(noise, rate, processing)[1000:].mean(), rel=0.01)


def test_settings_that_cannot_be_are_refused(stream, arm):
    result, _ = stream
    for wrong, says in (
        ({"horizon": 0.0}, "horizon"),
        ({"extrapolation": "magic"}, "extrapolation 'magic'"),
        ({"extrapolation": "learned"}, "needs trials"),
        ({"processing": EmgProcessing()}, "both processing and reference"),
        ({"rate": 5.0}, "rate"),
        ({"dead_after": 0.0}, "dead_after"),
    ):
        with pytest.raises(msm.InputError, match=says):
            Predictor(result, **{"model": arm, **wrong})
