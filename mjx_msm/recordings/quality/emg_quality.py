"""Channels of EMG judged one by one: figures, and a verdict by rule.

Frequencies and thresholds follow the field's advice (De Luca et al. 2010, doi 10.1016/j.jbiomech.2010.01.027, on
movement artefacts below 20 Hz; Merletti & Farina 2016, doi 10.1002/9781119082934, on the spectrum and on cross-talk).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import signal

from mjx_msm.recordings.emg import zero_phase
from mjx_msm.recordings.quality import emg_faults

WINDOW = 0.1
"""Of a root mean square [s]."""
MAINS = (50.0, 60.0)
ENOUGH_FOR_SPECTRUM = 2.0
"""Seconds."""
HUM, HUM_OVER_NEIGHBOURS = 0.3, 8.0
"""Share of a quiet tenth of a second's root mean square, and times the spectrum next to the line, that is hum."""
ARTEFACT = 1.0
"""Power from 2 to 15 Hz over that from 20 to 400 Hz which is movement of electrodes or cables."""
WHITE = 2.0
"""Spectral density of 40 to 150 Hz over that of 300 Hz and above; below, what is seen is an amplifier's noise."""
STEADY = 4.0
"""Loudest over quietest tenth [dB], below which nothing seems to contract or relax."""
SHARED = 0.7
"""Correlation of two raw channels, at some lag up to 10 ms, from which they hear the same muscle."""
SAME = 0.99999
"""Correlation from which one channel is a copy of another."""
CUT_OFF, CUT_OFF_ENVELOPE = 0.001, 0.05
"""Share of samples at the end of the range that makes a channel saturated."""
IN_VOLTS = 0.01
"""Greatest value of all envelopes that is taken for volts; they are nominally 0 to 1."""


@dataclass(frozen=True)
class ChannelQuality:
    """What one channel is like. Figures that its kind or length does not allow are NaN."""

    channel: str
    raw: bool
    peak: float
    """Greatest absolute value without spikes, in the file's unit."""
    flat: bool
    signal_to_noise: float
    """Root mean square of the loudest tenth over that of the quietest tenth [dB]; with a rest in it, over noise."""
    clipped: float
    """Share of samples at the end of the converter's range."""
    dropped: float
    """Share of samples in lost packets."""
    spikes: int
    """Isolated events that no muscle makes."""
    mains: float
    """Frequency of the hum [Hz]; 0 where there is none."""
    hum: float
    """Its share of the root mean square of a quiet tenth of a second."""
    artefact: float
    """Power below 15 Hz over that of EMG."""
    colour: float
    """Spectral density of 40 to 150 Hz over that above 300 Hz: about 1 for white noise, 10 and more for EMG."""
    faults: tuple[str, ...] = ()
    """What is wrong, by rule, each with the figure and what to do; empty where nothing is."""
    masked: Bool[np.ndarray, "time"] | None = None
    """Samples that no muscle made."""

    @property
    def line(self) -> str:
        """Figures and verdict in one line."""
        said = [f"peak {self.peak:.3g}"]
        if np.isfinite(self.signal_to_noise):
            said.append(f"loud/quiet {self.signal_to_noise:.0f} dB")
        if self.spikes:
            said.append(f"{self.spikes} spike{'s' if self.spikes > 1 else ''}")
        for name, share in (("dropped", self.dropped), ("clipped", self.clipped), (f"{self.mains:g} Hz", self.hum)):
            if share > 0.001:
                said.append(f"{name} {100 * share:.1f} %")
        if np.isfinite(self.artefact) and self.artefact > 0.1:
            said.append(f"below 15 Hz {100 * self.artefact:.0f} %")
        return f"{', '.join(said)}: {'; '.join(self.faults) or 'fine'}"


def channel_quality(channel: str, x: Float[np.ndarray, "time"], rate: float, *, raw: bool) -> ChannelQuality:
    """Judge one channel.

    **Arguments:** `x`: as recorded, NaN where missing, on an even clock; `rate` [Hz]; `raw`: raw EMG, else an envelope.
    """
    good = x[np.isfinite(x)]
    size = float(np.max(np.abs(good), initial=0.0))
    if len(good) < 10 or np.ptp(good) <= 1e-12 * max(1e-12, size):
        nan, level = float("nan"), float(good[0]) if len(good) else float("nan")
        fault = f"is flat (constant {level:g}); was the sensor on?" if len(good) >= 10 else "has no samples"
        return ChannelQuality(channel, raw, size, True, nan, 0.0, 0.0, 0, 0.0, 0.0, nan, nan, (fault,))
    spike = emg_faults.spikes(x, rate) if raw else emg_faults.envelope_spikes(x, rate)
    lost = emg_faults.dropouts(x, rate) if raw else np.zeros(len(x), dtype=bool)
    masked = spike | lost
    clean = np.where(masked, np.nan, x)
    kept = clean[np.isfinite(clean)]
    if len(kept) < 10:
        kept = good
    clip = emg_faults.clipped(kept) if raw else _plateau(kept)
    centre = float(np.median(kept)) if raw else 0.0
    peak = float(np.max(np.abs(kept - centre)))
    whole = emg_faults.filled(x, masked) if raw else x
    whole = np.where(np.isfinite(whole), whole, centre)
    ratio = _loud_over_quiet(whole, rate) if raw else float("nan")
    mains, hum, artefact, colour = _spectrum(whole, rate) if raw else (0.0, 0.0, float("nan"), float("nan"))
    found = ChannelQuality(
        channel, raw, peak, False, ratio, clip, float(np.mean(lost)), _events(spike), mains, hum, artefact, colour,
        (), masked,
    )  # fmt: skip
    return _judged(found)


def _judged(q: ChannelQuality) -> ChannelQuality:
    faults = []
    if q.clipped > (CUT_OFF if q.raw else CUT_OFF_ENVELOPE):
        faults.append(
            f"looks saturated ({100 * q.clipped:.1f} % of the samples sit on its limit); check the amplifier's range"
        )
    if q.spikes:
        faults.append(
            f"has {q.spikes} spike{'s' if q.spikes > 1 else ''} that no muscle makes; masked (an electrode or a cable?)"
        )
    if q.dropped > 0:
        faults.append(f"stands still for {100 * q.dropped:.2g} % of the samples (lost packets?); masked")
    if q.mains:
        harmonics = ", ".join(f"{k * q.mains:g}" for k in (1, 2, 3))
        faults.append(
            f"hums at {q.mains:g} Hz ({100 * q.hum:.0f} % of what is there at rest); set notch = [{harmonics}] in "
            "[emg.processing]"
        )
    if q.artefact > ARTEFACT:
        faults.append(
            f"has {q.artefact:.1f} times the power of EMG below 15 Hz (movement of an electrode or a cable); high_pass "
            "of 20 Hz or more takes it away"
        )
    if q.colour < WHITE and q.signal_to_noise < STEADY:
        faults.append(
            "looks like an amplifier's noise (an even spectrum, as loud all the time); was the electrode on the skin?"
        )
    return _with(q, tuple(faults))


def _with(q: ChannelQuality, faults: tuple[str, ...]) -> ChannelQuality:
    return ChannelQuality(**{**vars(q), "faults": faults})


def qualities(
    channels: Sequence[str], values: Float[np.ndarray, "time channel"], rate: float, *, raw: bool
) -> tuple[ChannelQuality, ...]:
    """Judge the channels of a recording, each by itself and against the others: copies, and cross-talk of raw ones."""
    each = [channel_quality(c, x, rate, raw=raw) for c, x in zip(channels, values.T, strict=True)]
    alive = [i for i, q in enumerate(each) if not q.flat]
    out = list(each)
    ready = {i: _ready(values[:, i], each[i], rate) for i in alive}
    for a, i in enumerate(alive):
        for j in alive[:a]:
            lag = round(0.01 * rate) if raw else 0
            r = _shared(ready[i], ready[j], lag)
            other, fault = channels[j], ""
            if r > SAME:
                fault = f"is a copy of '{other}' (r = {r:.5f}); is one column exported twice?"
            elif raw and r > SHARED:
                fault = (
                    f"shares {100 * r**2:.0f} % of its signal with '{other}' (cross-talk, or electrodes side by side): "
                    "they count as one"
                )
            if fault:
                out[i] = _with(out[i], (*out[i].faults, fault))
    return tuple(out)


def _ready(x: np.ndarray, q: ChannelQuality, rate: float) -> np.ndarray:
    """A channel as it is compared with another: spikes, hum and slow artefacts are not muscle."""
    masked = q.masked if q.masked is not None else np.zeros(len(x), dtype=bool)
    x = np.where(np.isfinite(x) & ~masked, x, np.nanmedian(x))
    if q.raw and rate > 80:
        x = zero_phase(x, rate, 30.0, 2, "highpass")
        if q.mains and q.mains < rate / 2 - 5:
            for k in range(1, int((rate / 2 - 5) // q.mains) + 1):
                if k <= 5:
                    b, a = signal.iirnotch(k * q.mains, 15.0, fs=rate)
                    x = signal.filtfilt(b, a, x)
    x = x - x.mean() if q.raw else x  # an envelope that is another one stretched and lifted is not that one
    return x / (np.linalg.norm(x) or 1.0)


def _shared(a: np.ndarray, b: np.ndarray, lag: int) -> float:
    """Greatest correlation of two prepared channels, over lags to either side [samples]."""
    if lag == 0:
        return abs(float(a @ b))
    middle = len(a) - 1
    return float(np.abs(signal.correlate(a, b, method="fft")[middle - lag : middle + lag + 1]).max())


def _events(mask: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(np.concatenate([[0], mask.astype(np.int8)])) == 1))


def _plateau(x: np.ndarray) -> float:
    """Share of samples in runs of at least three at the maximum."""
    edge = np.diff(np.concatenate([[0], (x == x.max()).astype(np.int8), [0]]))
    runs = np.flatnonzero(edge == -1) - np.flatnonzero(edge == 1)
    return float(runs[runs >= 3].sum()) / len(x)


def _loud_over_quiet(x: np.ndarray, rate: float) -> float:
    """Of the root mean square in windows, the 95th over the 5th percentile [dB]."""
    width = max(2, round(WINDOW * rate))
    count = len(x) // width
    if count < 10:
        return float("nan")
    if rate > 80:
        x = zero_phase(x, rate, 20.0, 2, "highpass")
    level = np.sqrt(np.mean(x[: count * width].reshape(count, width) ** 2, axis=1))
    quiet, loud = np.quantile(level, [0.05, 0.95])
    return float(20 * np.log10(max(loud, 1e-300) / max(quiet, 1e-12 * max(loud, 1e-300))))


def _spectrum(x: np.ndarray, rate: float) -> tuple[float, float, float, float]:
    """Frequency and share of the hum, power of artefacts over that of EMG, colour; see `ChannelQuality`."""
    nothing = 0.0, 0.0, float("nan"), float("nan")
    if len(x) < ENOUGH_FOR_SPECTRUM * rate or rate < 100:
        return nothing
    x = signal.detrend(x)
    segment = round(rate)  # lines of 1 Hz
    f, _, pieces = signal.spectrogram(
        x, rate, "hann", segment, segment - segment // 4, detrend="linear", scaling="density", mode="psd"
    )
    mean = pieces.mean(axis=1)
    mains, hum = _hum(x, rate)
    band = float(mean[(f >= 20) & (f <= 400)].sum())
    artefact = float(mean[(f >= 2) & (f <= 15)].sum()) / band if band > 0 else float("nan")
    colour = float("nan")
    if rate >= 800:
        lines = np.zeros(len(f), dtype=bool)
        for k in range(1, 20):
            lines |= np.abs(f - k * (mains or 50.0)) <= 2
        low, high = (f >= 40) & (f <= 150) & ~lines, (f >= 300) & (f <= min(500, 0.45 * rate)) & ~lines
        colour = float(np.mean(mean[low]) / max(np.mean(mean[high]), 1e-300))
    return mains, hum, artefact, colour


def _hum(x: np.ndarray, rate: float) -> tuple[float, float]:
    """Frequency of the mains' hum and its share of the root mean square of a quiet tenth of a second; 0 where none is.

    Hum is always there, contractions are not: the fifth of the short pieces that is quietest, line by line, shows it.
    """
    segment = 2 * round(rate / 4)  # half a second: lines of 2 Hz, of which 50 and 60 are two
    f, _, pieces = signal.spectrogram(x, rate, "hann", segment, segment - segment // 8, detrend="linear", mode="psd")
    usual = np.quantile(pieces, 0.2, axis=1)
    width = max(2, round(WINDOW * rate))
    fast = zero_phase(x, rate, 15.0, 2, "highpass")
    windows = fast[: len(x) // width * width].reshape(-1, width)
    quiet = float(np.quantile(np.sqrt(np.mean(windows**2, axis=1)), 0.25))
    found = 0.0, 0.0
    for line in MAINS:
        if line > rate / 2 - 20 or quiet == 0:
            continue
        away = np.abs(f - line)
        on, near = away < 3, (away > 5) & (away < 16)
        floor = float(np.median(usual[near]))
        excess = float((usual[on] - floor).sum()) * float(f[1] - f[0])
        share = float(np.sqrt(max(excess, 0.0))) / quiet
        if usual[on].max() > HUM_OVER_NEIGHBOURS * floor and share > max(HUM, found[1]):
            found = line, min(share, 1.0)
    return found
