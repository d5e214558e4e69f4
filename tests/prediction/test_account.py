"""What a live run is said to have come to, of reports whose truth is known."""

import numpy as np

from mjx_msm.prediction.account import Account
from mjx_msm.prediction.predictor import Forecast
from mjx_msm.prediction.streams import Report

NOTHING = np.zeros(1)


def forecast(time, faults=(), angle=NOTHING, ahead=NOTHING):
    n = NOTHING
    return Forecast(time, n, n, n, n, angle, n, ahead, n, faults)


def told(count, *, faults=lambda k: (), off=0.0):
    """An angle that turns evenly, forecast `off` too far; 1 ms after its sample but for every fiftieth, which is 7."""
    account = Account(("elbow",), 0.1)
    for k in range(count):
        time, late = 0.01 * k, 0.007 if k % 50 == 49 else 0.001
        angle, ahead = np.array([time]), np.array([time + 0.1 + off])
        account(Report(forecast(time, faults(k), angle, ahead), NOTHING, k + 1, late))
    return account


def test_errors_and_lateness_are_those_of_the_reports():
    first, angle, last = told(200, off=np.deg2rad(3.0)).sentences()
    assert first == "200 samples; forecasts 1.0 ms after their sample, 99 of 100 within 7.0 ms"
    assert angle == "angle 100 ms ahead was off by elbow 3° (RMS)"
    assert last == "no faults"


def test_what_cannot_keep_up_is_said_to_be_too_slow():
    account = Account(("elbow",), 0.1)
    account(Report(forecast(0.0), NOTHING, 1, 3.0))
    assert "200 ms or more (too slow for the rate)" in account.sentences()[0]


def test_faults_are_counted_by_kind_whatever_they_say_of_how_much():
    def faults(k):
        jitter = ("the clock jitters",) if k % 2 else ()
        return (*jitter, f"EMG waits {20 + k} ms for angles", "EMG channel emg 2 is missing") if k < 50 else ()

    account = told(100, faults=faults)
    assert account.sentences()[-1] == (
        "faults in 50 % of them: EMG waits … ms for angles (50 %); EMG channel emg 2 is missing (50 %); "
        "the clock jitters (25 %)"
    )


def test_silence_is_no_sample_and_is_said_if_it_lasts():
    account = told(30)
    account(Report(forecast(0.3, ("no EMG for 2 s",)), NOTHING, 30, 2.0))
    assert account.sentences()[0].startswith("30 samples")
    assert account.sentences()[-1].endswith("at the end no EMG for 2 s")
    assert Account(("elbow",), 0.1).sentences() == ["no samples"]
