"""EMG processing against closed forms, and on a recorded biceps."""

import numpy as np
import pytest
from scipy import signal

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.emg import EmgProcessing, envelope, process, references, zero_phase
from mjx_msm.recordings.readers.c3d import read_c3d

RATE = 2000.0
TIME = np.arange(0, 4, 1 / RATE)
INSIDE = slice(1000, -1000)


def test_rectified_sine_has_mean_two_over_pi():
    # At 103.7 Hz the samples fall on every phase; the offset is removed by the high-pass
    raw = 0.003 * np.sin(2 * np.pi * 103.7 * TIME)[:, None] + 0.5
    smooth = envelope(raw, RATE)
    np.testing.assert_allclose(smooth[INSIDE], 0.003 * 2 / np.pi, rtol=1e-3)


def test_recovers_amplitude_modulation_of_noise():
    rng = np.random.default_rng(0)
    modulation = 0.5 - 0.5 * np.cos(2 * np.pi * 0.5 * TIME)
    errors = []
    for _ in range(20):
        noise = zero_phase(rng.normal(size=len(TIME)), RATE, 60, kind="highpass")
        noise /= noise.std()
        smooth = envelope((modulation * noise)[:, None], RATE, EmgProcessing(low_pass=3))[:, 0]
        errors.append(smooth * np.sqrt(np.pi / 2) - modulation)  # E|x| = sqrt(2/pi) std of Gaussian noise
    # The mean over realisations is the modulation; a single one scatters as √(2·3 Hz/1000 Hz·0.57)
    assert np.sqrt(np.mean(np.mean(errors, axis=0)[INSIDE] ** 2)) < 0.02
    assert np.sqrt(np.mean(np.square(errors))) < 0.06


def test_no_phase_shift():
    burst = np.exp(-0.5 * ((TIME - 2) / 0.1) ** 2)
    smooth = envelope((burst * np.sin(2 * np.pi * 150 * TIME))[:, None], RATE)[:, 0]
    assert TIME[np.argmax(smooth)] == pytest.approx(2, abs=0.002)
    np.testing.assert_allclose(smooth[1:4000], smooth[:4000:-1], atol=1e-3)
    backwards = envelope((burst * np.sin(2 * np.pi * 150 * TIME))[::-1, None], RATE)[::-1, 0]
    np.testing.assert_allclose(backwards, smooth, atol=1e-9)


def test_cutoff_is_half_amplitude():
    x = np.sin(2 * np.pi * 6 * TIME)
    gain = np.std(zero_phase(x, RATE, 6)[INSIDE]) / np.std(x[INSIDE])
    assert gain == pytest.approx(0.5, rel=1e-3)


def test_notch_removes_the_mains():
    mains = np.sin(2 * np.pi * 50 * TIME)
    signal_ = np.sin(2 * np.pi * 120 * TIME)
    p = EmgProcessing(notch=(50,), rectify=False, low_pass=None)
    out = envelope(np.column_stack([mains, signal_]), RATE, p)[2000:-2000]
    assert np.std(out[:, 0]) < 0.01
    assert np.std(out[:, 1]) == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_steps_equal_scipy_by_hand():
    raw = np.random.default_rng(1).normal(size=(4000, 1))
    p = EmgProcessing(order=2, high_pass=20, low_pass=5)
    high = signal.sosfiltfilt(signal.butter(2, 20, "high", fs=RATE, output="sos"), raw[:, 0])
    low = signal.sosfiltfilt(signal.butter(2, 5, fs=RATE, output="sos"), np.abs(high))
    np.testing.assert_allclose(envelope(raw, RATE, p)[1500:-1500, 0], low[1500:-1500], rtol=1e-3)


def test_normalise():
    rng = np.random.default_rng(2)
    raw = rng.normal(size=(4000, 2)) * [1, 5]
    smooth = envelope(raw, RATE)
    by_max = process(raw, RATE)
    np.testing.assert_allclose(by_max.max(axis=0), 1)
    assert by_max.min() >= 0
    np.testing.assert_allclose(process(raw, RATE, EmgProcessing(normalise=10.0)), smooth / 10)
    each = EmgProcessing(normalise={"a": 1.0, "b": 0.5}, clip=False)
    np.testing.assert_allclose(process(raw, RATE, each, ["a", "b"]), smooth / [1, 0.5])
    np.testing.assert_allclose(process(raw, RATE, EmgProcessing(normalise=None, clip=False)), smooth)
    assert process(raw, RATE, EmgProcessing(normalise=1e-3)).max() == 1
    # Over several trials it is one reference
    np.testing.assert_allclose(references([smooth, 2 * smooth], "ab", EmgProcessing()), 2 * smooth.max(axis=0))
    with pytest.raises(InputError, match="no reference for channel 'b'"):
        references([smooth], "ab", EmgProcessing(normalise={"a": 1.0}))


def test_gap_stays_a_gap_and_does_not_spread():
    raw = np.random.default_rng(3).normal(size=(4000, 2))
    whole = envelope(raw, RATE)
    raw[2000:2100, 0] = np.nan
    out = envelope(raw, RATE)
    assert np.array_equal(np.isnan(out[:, 0]), np.isnan(raw[:, 0]))
    np.testing.assert_array_equal(out[:, 1], whole[:, 1])
    np.testing.assert_allclose(out[:1000, 0], whole[:1000, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"high_pass": -1.0}, "high_pass is -1 Hz"),
        ({"low_pass": 0.0}, "low_pass is 0 Hz"),
        ({"notch": (-50.0,)}, "notch is -50 Hz"),
        ({"order": 0}, "order is 0"),
        ({"normalise": "mvc"}, "normalise = 'mvc' is unknown"),
        ({"normalise": -2.0}, "reference of normalise is -2"),
        ({"normalise": {"a": 0.0}}, "reference of a is 0"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(InputError, match=message):
        EmgProcessing(**settings)


def test_signals_that_cannot_be_processed():
    with pytest.raises(InputError, match=r"high_pass = 30 Hz needs more than 60 samples a second, the EMG has 50"):
        envelope(np.ones((100, 1)), 50)
    with pytest.raises(InputError, match="shorter than the 28 samples"):
        envelope(np.ones((20, 1)), RATE)
    with pytest.raises(InputError, match="channel 'dead' is flat"):
        process(np.full((4000, 1), 0.3), RATE, channels=["dead"])
    with pytest.raises(InputError, match="2 channels, 1 names"):
        process(np.random.default_rng(0).normal(size=(4000, 2)), RATE, channels=["a"])


def test_recorded_biceps(data_dir):
    analogs = read_c3d(data_dir / "arm_lift" / "markers_analogs.c3d").analogs
    assert analogs is not None
    raw = analogs["Biceps.EMG4"]
    smooth = process(raw[:, None], analogs.rate)[:, 0]
    assert smooth.shape == raw.shape
    assert (smooth.min(), smooth.max()) == (pytest.approx(0, abs=0.05), 1)
    # It follows the windowed root mean square, up to a factor
    windows = raw[: len(raw) // 200 * 200].reshape(-1, 200)
    rms = np.sqrt(np.mean((windows - raw.mean()) ** 2, axis=1))
    ours = smooth[: len(raw) // 200 * 200].reshape(-1, 200).mean(axis=1)
    assert np.corrcoef(rms, ours)[0, 1] > 0.95
    # The arm works while it lifts, between 1 and 2.5 s, and rests at the end
    assert smooth[-2000:].mean() < 0.2 * smooth[2000:5000].mean()
