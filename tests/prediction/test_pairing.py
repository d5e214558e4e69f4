"""Two streams with delays of their own, played on a simulated clock."""

from itertools import pairwise

import numpy as np
import pytest

from mjx_msm.prediction.pairing import HELD, SILENT, Pairing


def played(*, late=0.0, emg_rate=500.0, encoder_rate=500.0, nominal=None, seconds=2.0, emg_ends=9.0, encoder_ends=9.0):
    """A sample's only channel and angle are its own time; angles arrive `late`. Of every sample what came, and when."""
    pairing = Pairing(1, 1, emg_rate, encoder_rate if nominal is None else nominal)
    e, q = (
        np.arange(0, min(seconds, emg_ends), 1 / emg_rate),
        np.arange(0, min(seconds, encoder_ends), 1 / encoder_rate),
    )
    out, waiting = [], 0
    clock = np.arange(0, seconds, 0.001)
    for before, now in pairwise(clock):
        came = [
            [(t, np.array([t])) for t in times[slice(*np.searchsorted(times + delay, (before, now)))]]
            for times, delay in ((e, 0.0), (q, late))
        ]
        out += [(now, s) for s in pairing.came(now, *came)]
        waiting = max(waiting, pairing.held)
    return out, waiting


def ages(out):
    return np.array([s.time - s.angle[0] for _, s in out if np.isfinite(s.angle[0])])


@pytest.mark.parametrize("encoder_rate", [500.0, 100.0, 1000.0])
@pytest.mark.parametrize("late", [0.0, 0.05])
def test_an_angle_goes_with_the_emg_of_its_own_time(late, encoder_rate):
    """Forecasts come later where angles do; no angle is taken for later than it is."""
    out, _ = played(late=late, encoder_rate=encoder_rate)
    settled = [(now, s) for now, s in out if now > 0.3]
    assert np.abs(ages(settled)).max() < 0.25 / encoder_rate + 1.01e-3
    expected = min(1.0, encoder_rate / 500)
    assert np.mean([np.isfinite(s.angle[0]) for _, s in settled]) == pytest.approx(expected, abs=0.02)
    assert max(now - s.time for now, s in settled) < late + 0.004
    times = [s.time for _, s in out]
    assert (np.diff(times) > 0).all()
    said = {f.split(" ")[0] for _, s in settled for f in s.faults}
    assert said == ({"EMG"} if late else set())  # "EMG waits 50 ms for angles"


def test_angles_that_are_too_late_are_left_out_and_said_and_emg_no_longer_waits():
    out, waiting = played(late=3 * HELD)
    settled = [(now, s) for now, s in out if now > 0.6]
    assert not len(ages(settled))
    said = [f for _, s in settled for f in s.faults]
    assert len(said) > 500
    assert all(f in {f"angles {n} ms old are left out" for n in range(290, 305)} for f in said)
    assert max(now - s.time for now, s in settled) < 0.004
    assert waiting < 600 * HELD


def test_without_a_nominal_rate_the_interval_is_found():
    out, _ = played(late=0.05, encoder_rate=250.0, nominal=0.0)
    settled = [s for now, s in out if now > 0.5]
    assert np.abs(ages([(0, s) for s in settled])).max() < 2.1e-3
    assert np.mean([np.isfinite(s.angle[0]) for s in settled]) > 0.45


def test_encoders_that_stop_hold_nothing_up_for_longer_than_the_wait():
    out, waiting = played(encoder_ends=1.0)
    assert max(now - s.time for now, s in out) < HELD + 0.003
    assert [now - s.time for now, s in out if now > 1.2][-1] < 0.003
    assert waiting < 600 * HELD


def test_without_emg_angles_go_on_alone_and_nothing_grows():
    out, waiting = played(emg_ends=1.0, seconds=4.0)
    alone = [s for _, s in out if s.time > 1.0]
    assert len(alone) == pytest.approx(1500, abs=5)
    assert all(np.isnan(s.emg).all() and np.isfinite(s.angle).all() for s in alone)
    assert all(s.faults[0].startswith("no EMG for") for s in alone)
    assert waiting < 600 * SILENT


def test_silence_of_both_is_said():
    pairing = Pairing(1, 1, 500.0, 500.0)
    pairing.came(0.0, [(0.0, np.zeros(1))], [(0.0, np.zeros(1))])
    assert pairing.came(1.0, [], []) == []
    assert pairing.silence(0.1) == ()
    assert pairing.silence(1.0) == ("no EMG for 1 s",)
