"""Streams in and out by the Lab Streaming Layer, on one machine."""

import os
from dataclasses import replace

import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.cli.app import run
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.person.space import parameter_space
from mjx_msm.prediction.predictor import Forecast
from mjx_msm.prediction.streams import FIELDS, Source, forecast_labels, published, replayed, run_live
from mjx_msm.recordings.subject_file.loading import write_subject

pylsl = pytest.importorskip("pylsl", reason="needs the extra [live]")


class Echo:
    """In a predictor's place: says of torque what the first channel was, of angle what the first encoder was."""

    channels, coordinates, free, patience = ("biceps", "triceps"), ("elbow", "shoulder"), ("elbow",), 0.0

    def __init__(self):
        self.seen = []

    def push(self, emg, encoder, time):
        self.seen.append((time, *emg, *encoder))
        zero, e, q = np.zeros(1), np.array([emg[0]]), np.array([encoder[0]])
        return Forecast(time, e, zero, e, zero, q, zero, q, zero)


def trial():
    time = np.arange(0, 5, 0.01)
    emg = np.stack([np.sin(time) ** 2, time / 5], axis=1)
    return msm.Trial("one", time, ("shoulder", "elbow"), np.stack([time, 2 * time], axis=1), ("triceps", "biceps"), emg)


def test_a_trial_plays_through_to_a_stream_of_forecasts():
    """Channels are found by their labels, samples keep their pairs and times, the rate is that asked for."""
    names = tuple(f"mjx_msm test {os.getpid()} {part}" for part in ("emg", "encoder", "out"))
    echo, reports = Echo(), []
    with replayed(trial(), echo.channels, echo.coordinates, names[:2], 200.0):
        out = published(names[2], "Prediction", forecast_labels(echo), 200.0)
        listening = Source(names[2], forecast_labels(echo))
        sources = Source(names[0], echo.channels), Source(names[1], echo.coordinates)
        count = run_live(echo, *sources, out, seconds=1.5, listener=reports.append)
        heard = listening.read()
        for source in (*sources, listening):
            source.close()
    assert count == len(echo.seen) == len(reports)
    assert 150 < count < 400
    seen = np.array(echo.seen)[20:]
    both = np.isfinite(seen).all(axis=1)
    assert both.mean() > 0.9
    apart = np.abs(seen[both, 3] - 10 * seen[both, 1])  # elbow 2 t, biceps t/5: of one instant, seldom of the next
    assert np.mean(apart < 1e-9) > 0.9
    assert apart.max() < 0.05
    np.testing.assert_allclose(np.diff(seen[:, 0]), 0.005, atol=1e-3)
    assert len(heard) > 100
    assert len(FIELDS) == 8
    times = {round(t, 3): row for t, *row in echo.seen}
    for t, values in heard[:50]:
        assert values[forecast_labels(echo).index("elbow/torque_ahead")] == times[round(t, 3)][0]


def test_a_stream_that_is_not_there_or_not_the_one_is_named():
    with pytest.raises(InputError, match="no stream 'mjx_msm nowhere'"):
        Source("mjx_msm nowhere", ("a",), wait=0.2)
    name = f"mjx_msm test {os.getpid()} other"
    outlet = published(name, "EMG", ("a", "b"), 100.0)
    with pytest.raises(InputError, match="no channel 'c'"):
        Source(name, ("a", "c"))
    del outlet


@pytest.mark.parametrize(
    ("given", "says"),
    [(("--emg", "x"), "--encoder"), (("--replay", "walk"), "--subject"), ((), "--replay")],
)
def test_the_command_says_what_it_needs(given, says, capsys):
    assert run(["live", "nowhere", *given]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_replays_a_trial(arm, result_of, tmp_path, capsys):
    nominal = arm.nominal.with_channels(arm.muscles)
    space = parameter_space(nominal, ["muscle/*/max_isometric_force"])
    with float64():
        z = np.asarray(space.pack(nominal))
    emg_map = {m: {m: 1.0} for m in arm.muscles}
    result = result_of(space, np.eye(space.size) / 0.05**2, z, channels=arm.muscles, emg_map=emg_map)
    replace(result, subject="one").save(tmp_path / "result" / "identification.json")
    (recorded,) = msm.synthetic_trials(arm, arm.nominal, count=1, duration=1.0, rate=200, seed=1)
    document = {
        "subject": {"name": "one", "mass": 70.0},
        "model": {"source": "arm", "free": list(arm.free)},
        "emg": {"muscles": {m: m for m in arm.muscles}},
        "trials": [recorded.save(tmp_path)],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["acceleration"]},
    }
    write_subject(tmp_path / "subject.toml", document)
    lead = ["live", str(tmp_path / "result"), "--subject", str(tmp_path / "subject.toml"), "--seconds", "2"]
    assert run([*lead, "--replay", recorded.name, "--rate", "200", "--name", f"mjx_msm {os.getpid()}"]) == 0
    said = capsys.readouterr().out
    assert int(said.split(" samples")[0].split()[-1]) > 100
