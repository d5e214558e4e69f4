"""Each rule on synthetic EMG with its fault and without, and on recordings."""

import gzip

import numpy as np
import pytest
from scipy import signal

from mjx_msm.recordings.emg import EmgProcessing, envelope
from mjx_msm.recordings.quality import emg_faults
from mjx_msm.recordings.quality.emg_quality import channel_quality, qualities
from mjx_msm.recordings.readers.c3d import read_c3d

RATE = 2000.0
SEEDS = range(20)


def emg(seed: int, seconds: float = 6.0, *, noise: float = 0.02, bits: int = 16) -> np.ndarray:
    """Bursts of band-limited noise over an amplifier's noise, as a converter of `bits` writes them [mV]."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    sos = signal.butter(2, [30, 180], "bandpass", fs=RATE, output="sos")
    carrier = signal.sosfilt(sos, rng.normal(size=n))
    carrier /= carrier.std()
    period, width = rng.uniform(0.7, 2.5), rng.uniform(0.06, 0.3)
    centre = np.arange(rng.uniform(0.2, 0.6), seconds, period)
    strength = rng.uniform(0.4, 1.0, len(centre))
    drive = (strength * np.exp(-0.5 * ((t[:, None] - centre) / width) ** 2)).sum(axis=1)
    x = drive * carrier + noise * rng.normal(size=n)
    step = 16.0 / 2**bits
    return np.round(x / step) * step


def faults(x: np.ndarray, *, raw: bool = True, rate: float = RATE) -> str:
    return "; ".join(channel_quality("a", x, rate, raw=raw).faults)


def test_no_alarm_without_a_fault():
    # 60 channels of different rests, noise and converters; one alarm would be 1.7 %
    alarms = [
        f
        for s in SEEDS
        for noise, bits in ((0.005, 16), (0.02, 12), (0.05, 10))
        if (f := faults(emg(s, noise=noise, bits=bits)))
    ]
    assert alarms == []


def test_no_alarm_in_envelopes_and_short_recordings():
    for s in SEEDS:
        smooth = envelope(emg(s)[:, None], RATE)[:, 0]
        assert faults(smooth, raw=False) == ""
        assert faults(smooth[::20], raw=False, rate=100.0) == ""
        assert faults(emg(s, 0.9)) == ""


@pytest.mark.parametrize("height", [3.0, 10.0, 1000.0])
def test_spikes_are_found_masked_and_counted(height):
    missed = 0
    for s in SEEDS:
        rng = np.random.default_rng(1000 + s)
        x = emg(s)
        at = rng.choice(np.arange(500, len(x) - 500, 900), 3, replace=False)
        top = np.abs(x).max()
        for k in at:
            x[k : k + 3] += height * top * np.array([0.5, 1.0, -0.4])
        q = channel_quality("a", x, RATE, raw=True)
        missed += 3 - sum(q.masked[k + 1] for k in at)
        assert q.masked.mean() < 0.02
        if q.spikes:
            assert "spike" in q.line
    assert missed <= 0.02 * 3 * len(SEEDS)


@pytest.mark.parametrize("height", [2.5, 5.0, 50.0, 1e4])
def test_one_spike_does_not_lower_the_mean_excitation(height):
    """The fault the rule is for: normalised to the maximum, one bad sample took three quarters of the excitation."""
    for s in range(12):
        x = emg(s)
        bad = x.copy()
        bad[5000 + 37 * s] += height * np.abs(x).max()
        mean = [_mean_excitation(x, False), _mean_excitation(bad, True)]
        assert mean[1] == pytest.approx(mean[0], rel=0.05)
    if height == 1e4:
        assert _mean_excitation(bad, False) < 0.25 * mean[0]


def _mean_excitation(x: np.ndarray, masked: bool) -> float:
    if masked:
        x = emg_faults.filled(x, emg_faults.spikes(x, RATE) | emg_faults.dropouts(x, RATE))
    smooth = envelope(x[:, None], RATE, EmgProcessing())[:, 0]
    return float(np.mean(smooth / smooth.max()))


def test_one_spike_in_an_envelope_is_found():
    for s in SEEDS:
        smooth = envelope(emg(s)[:, None], RATE)[::20, 0]
        at = 100 + 5 * s
        smooth[at] = 4 * smooth.max()
        q = channel_quality("a", smooth, 100.0, raw=False)
        assert q.masked[at]
        assert q.masked.sum() <= 9


def _lone(seed: int, seconds: float, length: float) -> np.ndarray:
    """One contraction of full strength in a recording of rest."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    sos = signal.butter(2, [30, 180], "bandpass", fs=RATE, output="sos")
    carrier = signal.sosfilt(sos, rng.normal(size=len(t)))
    begin = 0.4 * seconds + 0.1 * seed
    burst = (t >= begin) & (t < begin + length)
    return burst * carrier / carrier.std() + 0.02 * rng.normal(size=len(t))


@pytest.mark.parametrize("low_pass", [3.0, 6.0, 20.0])
@pytest.mark.parametrize("length", [0.02, 0.04, 0.1, 0.15, 0.2])
def test_a_lone_short_contraction_is_no_spike_of_an_envelope(low_pass, length):
    for s in range(5):
        smooth = envelope(_lone(s, 30.0, length)[:, None], RATE, EmgProcessing(low_pass=low_pass))[:, 0]
        for step in (2, 20, 40):  # 1000, 100 and 50 Hz
            assert not emg_faults.envelope_spikes(smooth[::step], RATE / step).any(), (s, step)


@pytest.mark.parametrize("length", [0.02, 0.03, 0.05, 0.2])
def test_a_lone_burst_is_no_spike(length):
    assert not any(emg_faults.spikes(_lone(s, 8.0, length), RATE).any() for s in range(20))


@pytest.mark.parametrize("length", [0.01, 0.015, 0.02])
def test_an_m_wave_is_no_spike(length):
    t = np.arange(int(8 * RATE)) / RATE
    wave = 5 * np.sin(2 * np.pi * (t - 4) / length) * ((t >= 4) & (t < 4 + length))  # its two phases
    assert not any(emg_faults.spikes(wave + emg(s, 8.0), RATE).any() for s in range(10))


def test_a_single_sample_beside_a_lone_contraction_is_a_spike():
    """In raw EMG, and in envelopes of every rate; the contraction keeps its height."""
    for s in range(5):
        x = _lone(s, 8.0, 0.15)
        x[2000] = 3 * np.abs(x).max()
        assert np.flatnonzero(emg_faults.spikes(x, RATE)).tolist() == list(range(1976, 2025))
        smooth = envelope(_lone(s, 30.0, 0.15)[:, None], RATE)[:, 0]
        for step in (2, 20):
            y = smooth[::step].copy()
            y[200] = 3 * y.max()
            found = np.flatnonzero(emg_faults.envelope_spikes(y, RATE / step))
            assert 200 in found
            assert np.abs(found - 200).max() * step / RATE <= 0.01


@pytest.mark.parametrize("held", [False, True])
def test_lost_packets_are_found(held):
    found = total = 0
    for s in SEEDS:
        rng = np.random.default_rng(s)
        x = emg(s)
        for k in rng.choice(np.arange(500, len(x) - 500, 700), 4, replace=False):
            lost = slice(k, k + 27)  # 13.5 ms, a Trigno packet
            x[lost] = x[k - 1] if held else 0.0
            found += bool(emg_faults.dropouts(x, RATE)[k + 5 : k + 25].all())
            total += 1
        assert "lost packets" in faults(x)
    assert found >= 0.99 * total


def test_a_filled_dropout_leaves_no_dip():
    holed, filled = [], []
    for s in SEEDS:
        x = emg(s, noise=0.0)
        k = int(np.clip(np.argmax(np.abs(x)), 100, len(x) - 100))
        lost = np.zeros(len(x), dtype=bool)
        lost[k - 40 : k + 40] = True
        whole = envelope(x[:, None], RATE)[k, 0]
        zeros = np.where(lost, 0.0, x)
        holed.append(envelope(zeros[:, None], RATE)[k, 0] / whole)
        filled.append(envelope(emg_faults.filled(zeros, lost)[:, None], RATE)[k, 0] / whole)
    assert np.mean(holed) < 0.75
    # the peak was chosen by its height, so that its neighbours are a little lower
    assert 0.85 < np.mean(filled) < 1.05


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_clipping_is_found_with_a_converter_behind_the_amplifier_too(noise):
    for s in SEEDS:
        x = emg(s)
        limit = 0.4 * np.abs(x).max()
        x = np.clip(x, -limit, limit) + noise * limit * np.random.default_rng(s).normal(size=len(x))
        assert "saturated" in faults(x), s


@pytest.mark.parametrize("frequency", [50.0, 60.0])
def test_hum_is_found_and_its_frequency_said(frequency):
    t = np.arange(int(6 * RATE)) / RATE
    for s in SEEDS:
        x = emg(s)
        quieter = np.quantile([np.std(part) for part in np.split(x, 60)], 0.25)
        hum = np.sqrt(2) * quieter * np.sin(2 * np.pi * frequency * t + s)
        assert f"hums at {frequency:g} Hz" in faults(x + hum), s
        assert f"notch = [{frequency:g}, " in faults(x + hum)


def test_movement_artefacts_are_found():
    t = np.arange(int(6 * RATE)) / RATE
    for s in SEEDS:
        sway = 1.5 * np.sin(2 * np.pi * 3 * t + s) + 0.8 * np.sin(2 * np.pi * 7 * t)
        assert "below 15 Hz" in faults(emg(s) + sway), s


def test_noise_alone_is_not_emg():
    for s in SEEDS:
        assert "amplifier's noise" in faults(np.random.default_rng(s).normal(size=int(6 * RATE)))
        # a steady contraction is as loud all the time, too, but not as even
        sos = signal.butter(2, [30, 180], "bandpass", fs=RATE, output="sos")
        steady = signal.sosfilt(sos, np.random.default_rng(s).normal(size=int(6 * RATE)))
        assert faults(steady) == ""


def test_flat_channels_and_copies():
    assert "is flat" in faults(np.full(5000, 0.3))
    a, b = emg(1), emg(2)
    found = qualities(("a", "b", "c"), np.stack([a, b, a], axis=1), RATE, raw=True)
    assert [bool(q.faults) for q in found] == [False, False, True]
    assert "copy of 'a'" in found[2].line


def test_cross_talk_is_found_and_co_contraction_is_not():
    for s in range(6):
        a, own = emg(s), emg(100 + s)
        drive = np.sqrt(signal.sosfiltfilt(signal.butter(2, 4, fs=RATE, output="sos"), a**2).clip(0))
        rng = np.random.default_rng(5000 + s)
        sos = signal.butter(2, [30, 180], "bandpass", fs=RATE, output="sos")
        together = drive * signal.sosfilt(sos, rng.normal(size=len(a))) + 0.02 * rng.normal(size=len(a))
        leaked = 0.8 * np.roll(a, 4) + 0.2 * own
        found = qualities(("a", "together", "leaked"), np.stack([a, together, leaked], axis=1), RATE, raw=True)
        assert found[1].faults == ()
        assert "cross-talk" in found[2].line


def test_recorded_lift(data_dir):
    """A person who lifts a box: EMG is fine, and channels without a sensor are flat."""
    table = read_c3d(data_dir / "arm_lift" / "markers_analogs.c3d").analogs
    assert table is not None
    muscles = ["Delt_ant.EMG1", "Delt_med.EMG2", "Delt_post.EMG3", "Biceps.EMG4", "Triceps.EMG5"]
    found = qualities(muscles, np.stack([table[m] for m in muscles], axis=1), table.rate, raw=True)
    assert [q.faults for q in found] == [()] * 5
    assert channel_quality("x", table["Sensor 12.EMG12"], table.rate, raw=True).flat


def test_recorded_dynamometry(data_dir):
    """The gastrocnemius of this cohort is white noise in every file (one sensor?); the thigh's channels are EMG."""
    alarms = []
    for person in ("01", "03", "09", "20"):
        for task in ("extension", "flexion"):
            path = data_dir / "elderly_dynamometry" / f"person{person}_knee_{task}.csv.gz"
            with gzip.open(path, "rt") as file:
                names = file.readline().strip().split(",")[1:5]
                values = np.loadtxt(file, delimiter=",", usecols=range(1, 5))
            for q in qualities(names, values, RATE, raw=True):
                if q.channel == "gastrocnemius_lateralis":
                    assert "amplifier's noise" in q.line, (person, task)
                else:
                    alarms += [(person, task, q.channel, f) for f in q.faults if "spike" not in f]
    assert alarms == []
