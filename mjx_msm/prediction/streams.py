"""Live prediction over the Lab Streaming Layer: EMG and encoders in, forecasts out, and a recorded trial as streams.

Streams have names and their channels labels (`desc/channels/channel/label`, the layer's convention). Where a stream has
labels, its channels are found by them, in whatever order they come; without, they are taken in the person's order.
Every EMG sample is a sample of the predictor, with the angle of its time where there is one; what is late or silent is
told among the forecast's faults (`mjx_msm.prediction.pairing`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.prediction.pairing import Pairing
from mjx_msm.prediction.played import played
from mjx_msm.prediction.predictor import Forecast, Predictor
from mjx_msm.recordings.trial import Trial

WAIT = 10.0
"""For a stream to appear [s]."""
SAID = 0.2
"""Between two words on silent streams [s]."""
FIELDS = (
    "torque",
    "torque_sd",
    "torque_ahead",
    "torque_ahead_sd",
    "angle",
    "angle_sd",
    "angle_ahead",
    "angle_ahead_sd",
)


def _layer() -> Any:
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:
        raise InputError(f"live streams need pylsl ({error}); run pip install 'mjx-msm[live]'") from None
    if hasattr(pylsl, "set_config_content"):
        pylsl.set_config_content("[log]\nlevel=-2\n")  # warnings and errors; else it tells of every network interface
    return pylsl


def published(name: str, kind: str, labels: Sequence[str], rate: float) -> Any:
    """An outlet with labelled channels; `rate` in samples a second, 0 for an uneven one."""
    layer = _layer()
    info = layer.StreamInfo(name, kind, len(labels), rate, "double64", f"mjx_msm {name}")
    channels = info.desc().append_child("channels")
    for label in labels:
        channels.append_child("channel").append_child_value("label", label)
    return layer.StreamOutlet(info)


class Source:
    """A stream that is read: its samples in the order of `wanted`, on this machine's clock.

    **Raises:** `InputError` if no such stream appears, or it lacks a channel.
    """

    def __init__(self, name: str, wanted: Sequence[str], wait: float = WAIT):
        layer = _layer()
        found = layer.resolve_byprop("name", name, 1, wait)
        if not found:
            there = [s.name() for s in layer.resolve_streams(1.0)]
            raise InputError(f"no stream '{name}' within {wait:g} s{suggest(name, there)}")
        self._inlet = layer.StreamInlet(found[0], processing_flags=layer.proc_clocksync)
        labels = self._labels()
        if labels:
            missing = [w for w in wanted if w not in labels]
            if missing:
                raise InputError(f"stream '{name}' has no channel '{missing[0]}'{suggest(missing[0], labels)}")
            self._order = [labels.index(w) for w in wanted]
        else:
            count = self._inlet.channel_count
            if count != len(wanted):
                raise InputError(
                    f"stream '{name}' has {count} channels without labels, expected {len(wanted)}: {', '.join(wanted)}"
                )
            self._order = list(range(count))
        self.rate = float(found[0].nominal_srate())
        self._inlet.open_stream(timeout=wait)

    def _labels(self) -> list[str]:
        channel, out = self._inlet.info().desc().child("channels").child("channel"), []
        while not channel.empty():
            out.append(channel.child_value("label"))
            channel = channel.next_sibling()
        return out if all(out) else []

    def read(self) -> list[tuple[float, Float[np.ndarray, "channel"]]]:
        """Samples that have come since, with their times [s]."""
        samples, times = self._inlet.pull_chunk(timeout=0.0, max_samples=4096)
        return [(t, np.asarray(s, dtype=float)[self._order]) for t, s in zip(times, samples, strict=True)]

    def close(self) -> None:
        """Let go of it."""
        self._inlet.close_stream()


@dataclass(frozen=True)
class Report:
    """What a display is shown."""

    forecast: Forecast
    emg: Float[np.ndarray, "channel"]
    samples: int
    late: float
    """From a sample's time to its forecast [s]."""


def run_live(
    predictor: Predictor,
    emg: Source,
    encoder: Source,
    out: Any,
    *,
    seconds: float | None = None,
    listener: Callable[[Report], None] = lambda report: None,
) -> int:
    """Predict until `seconds` are over, or an interrupt; every forecast goes out with the time of its sample.

    EMG comes as the envelopes that the person was identified with, 0 to 1; see `Predictor` for raw EMG.

    **Returns:** how many samples came.
    """
    layer, count, said = _layer(), 0, -np.inf
    last: Forecast | None = None
    predictor.patience = max(predictor.patience, 2.5 / encoder.rate if encoder.rate else 0.0)
    pairing = Pairing(len(predictor.channels), len(predictor.coordinates), emg.rate, encoder.rate)
    _await((emg, encoder))
    began = monotonic()
    while seconds is None or monotonic() - began < seconds:
        came = emg.read()
        now, angles = layer.local_clock(), encoder.read()  # after the EMG, so that what is of the same instant has come
        ready = pairing.came(now, came, angles)
        for sample in ready:
            forecast = predictor.push(sample.emg, sample.angle, sample.time)
            last = replace(forecast, faults=(*forecast.faults, *sample.faults)) if sample.faults else forecast
            count += 1
            out.push_sample(np.concatenate([getattr(last, f) for f in FIELDS]).tolist(), sample.time)
            listener(Report(last, sample.emg, count, layer.local_clock() - sample.time))
        silent = () if ready else pairing.silence(now)
        if silent and last is not None and now - said > SAID:  # of both streams: a display must not stand still
            said = now
            nothing = np.full(len(predictor.channels), np.nan)
            listener(Report(replace(last, faults=silent), nothing, count, now - last.time))
        if not ready:
            sleep(0.0005)
    return count


def _await(sources: Sequence[Source]) -> None:
    """Until all of them send; what came before is past. After `WAIT` it begins with those that do."""
    missing, began = list(sources), monotonic()
    while missing and monotonic() - began < WAIT:
        missing = [s for s in missing if not s.read()]
        sleep(0.002)
    for source in sources:
        source.read()


def forecast_labels(predictor: Predictor) -> list[str]:
    """Of the stream that goes out."""
    return [f"{c}/{f}" for f in FIELDS for c in predictor.free]


@contextmanager
def replayed(
    trial: Trial, channels: Sequence[str], coordinates: Sequence[str], names: tuple[str, str], rate: float
) -> Iterator[None]:
    """Inside, a recorded trial plays as two streams, over and over, in real time.

    **Arguments:** `names`: of the EMG's and the encoders' stream; `rate` [Hz].
    """
    layer = _layer()
    _, emg, angle = played(trial, channels, coordinates, 1.0 / rate)
    signals, angles = emg.tolist(), angle.tolist()
    outlets = published(names[0], "EMG", channels, rate), published(names[1], "MoCap", coordinates, rate)
    stop = threading.Event()

    def play() -> None:
        began, k = layer.local_clock(), 0
        while not stop.is_set():
            due = began + k / rate
            ahead = due - layer.local_clock()
            if ahead > 0:
                stop.wait(min(ahead, 0.002))
                continue
            outlets[1].push_sample(angles[k % len(angles)], due)
            outlets[0].push_sample(signals[k % len(signals)], due)
            k += 1

    player = threading.Thread(target=play, name="replayed trial", daemon=True)
    player.start()
    try:
        yield
    finally:
        stop.set()
        player.join()
