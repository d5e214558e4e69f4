"""From raw EMG to an envelope, offline and without a phase shift.

What follows the envelope depends on the subject and is estimated, so it is part of the differentiable model
and not of this module: the channel's gain, electromechanical delay and the curve from EMG to excitation. The
convention which the whole package follows:

    e(t) = clip(gain · envelope(t - delay), 0, 1)
    u(t) = (exp(shape · e) - 1) / (exp(shape) - 1),   shape in -3 … 0, and u = e at shape = 0

(Lloyd & Besier 2003, doi 10.1016/S0021-9290(03)00010-1.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import signal

from mjx_msm.common.arguments import number, whole
from mjx_msm.common.errors import InputError
from mjx_msm.common.runs import runs
from mjx_msm.common.toml_tables import is_number, show


@dataclass(frozen=True)
class EmgProcessing:
    """Raw EMG → high-pass → notch → rectify → low-pass → normalise → clip.

    The filters are Butterworth, run forwards and backwards: no delay, and half the amplitude (-6 dB) at the
    cut-off frequency. The defaults are the ones in common use for EMG-driven models (Lloyd & Besier 2003).
    """

    high_pass: float | None = 30.0
    """Against movement artefacts and offset [Hz]; None: off."""
    low_pass: float | None = 6.0
    """Of the rectified signal [Hz]; None: off."""
    order: int = 4
    """Of each Butterworth filter, in one direction."""
    notch: tuple[float, ...] = ()
    """Frequencies to remove, e.g. the mains and its harmonics [Hz]."""
    rectify: bool = True
    normalise: Literal["max"] | float | Mapping[str, float] | None = "max"
    """Envelope that counts as 1: the channel's maximum, one number, or one a channel, in the file's unit."""
    clip: bool = True
    """Limit the normalised envelope to 0..1."""

    def __post_init__(self) -> None:
        for name in ("high_pass", "low_pass"):
            value = getattr(self, name)
            if value is not None and not number(f"EMG processing: {name}", value) > 0:
                raise InputError(
                    f"EMG processing: {name} is {value:g} Hz; give a positive frequency, or false to switch it off"
                )
        if not isinstance(self.notch, list | tuple):
            raise InputError(f"EMG processing: notch is {self.notch}; give a list of frequencies")
        for value in self.notch:
            if not number("EMG processing: notch", value) > 0:
                raise InputError(f"EMG processing: notch is {value:g} Hz; give positive frequencies")
        if not 1 <= whole("EMG processing: order", self.order) <= 10:
            raise InputError(f"EMG processing: order is {self.order}; give 1 to 10")
        references = self.normalise if isinstance(self.normalise, Mapping) else {"normalise": self.normalise}
        for name, value in references.items():
            if isinstance(value, str):
                if value != "max":
                    raise InputError(
                        f"EMG processing: normalise = '{value}' is unknown; give \"max\", a number, or a "
                        "number per channel"
                    )
            elif value is not None and not (is_number(value) and value > 0):
                raise InputError(f"EMG processing: reference of {name} is {show(value)}; give a positive number")


def correlation_time(band: float) -> float:
    """∫ρ(τ)dτ over all lags [s] of white noise through a Butterworth low-pass of second order, forwards and backwards;
    `band`: its cut-off frequency [Hz]."""
    return 1.0 / (2.0 * band * 3.0 * np.pi / (8.0 * np.sqrt(2.0)))


@dataclass(frozen=True)
class EmgNoise:
    """How far envelopes are from what drives the muscles.

    Their error is normally distributed, independent between channels, and as smooth as an envelope: white noise through
    a Butterworth low-pass of second order, forwards and backwards. Its standard deviation is
    √(absolute² + (relative · envelope)²).
    """

    relative: float = 0.0
    """Part that grows with the envelope [-]."""
    absolute: float = 0.0
    """Part that is always there, in the envelope's unit (1 is the channel's maximum)."""
    band: float = 6.0
    """Cut-off frequency of the error [Hz]; use that of the envelope."""

    def __post_init__(self) -> None:
        for name in ("relative", "absolute", "band"):
            number(f"EMG noise: {name}", getattr(self, name))
        for name in ("relative", "absolute"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"EMG noise: {name} is {getattr(self, name)}; give a standard deviation, 0 for none")
        if self.relative == self.absolute == 0:
            raise InputError("EMG noise: relative and absolute are both 0; leave the noise out where there is none")
        if not (np.isfinite(self.band) and self.band > 0):
            raise InputError(f"EMG noise: band is {self.band} Hz; give the low-pass frequency of the envelope")

    @property
    def correlation_time(self) -> float:
        """∫ρ(τ)dτ over all lags [s], the error's spectral density at rest over its variance."""
        return correlation_time(self.band)

    def deviation(self, envelope: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
        """Standard deviation of the error of an envelope."""
        return np.hypot(self.absolute, self.relative * envelope)


def envelope(
    raw: Float[np.ndarray, "time channel"], rate: float, processing: EmgProcessing | None = None
) -> Float[np.ndarray, "time channel"]:
    """Everything up to the low-pass: the envelope in the unit of `raw`, not yet normalised.

    Each run of samples without NaN is filtered by itself; runs too short to filter become NaN.

    **Arguments:** `raw`: as recorded; `rate` [Hz].

    **Raises:** `InputError` if a cut-off does not fit the rate, or nothing is long enough to filter.
    """
    processing = EmgProcessing() if processing is None else processing
    raw = np.asarray(raw, dtype=float)
    if raw.ndim != 2:
        raise InputError(f"EMG has shape {raw.shape}; expected (time, channel)")
    nyquist = rate / 2
    frequencies = {"high_pass": processing.high_pass, "low_pass": processing.low_pass}
    frequencies |= {f"notch {f:g}": f for f in processing.notch}
    for name, value in frequencies.items():
        if value is not None and value >= nyquist:
            raise InputError(
                f"EMG processing: {name} = {value:g} Hz needs more than {2 * value:g} samples a second, "
                f"the EMG has {rate:g}; "
                'lower it, or set kind = "envelope" if the EMG is one already'
            )
    out = np.full_like(raw, np.nan)
    shortest = 6 * processing.order + 4
    for channel in range(raw.shape[1]):
        for start, stop in finite_runs(raw[:, channel]):
            if stop - start >= shortest:
                out[start:stop, channel] = _envelope(raw[start:stop, channel], rate, processing)
    if raw.size and np.all(np.isnan(out)):
        raise InputError(
            f"EMG is shorter than the {shortest} samples without a gap which its filters need; give a longer recording"
        )
    return out


def _envelope(x: np.ndarray, rate: float, p: EmgProcessing) -> np.ndarray:
    if p.high_pass is not None:
        if np.ptp(x) == 0:  # a dead channel stays exactly zero instead of rounding error
            return np.zeros_like(x)
        x = zero_phase(x, rate, p.high_pass, p.order, "highpass")
    for frequency in p.notch:
        x = signal.sosfiltfilt(notch(frequency, rate), x, padlen=min(len(x) - 1, int(rate)))
    if p.rectify:
        x = np.abs(x)
    if p.low_pass is not None:
        x = zero_phase(x, rate, p.low_pass, p.order, ends="even" if p.rectify else "odd")
    return np.maximum(x, 0.0) if p.rectify else x


def zero_phase(
    x: Float[np.ndarray, "time"],
    rate: float,
    cutoff: float,
    order: int = 4,
    kind: Literal["lowpass", "highpass"] = "lowpass",
    *,
    ends: Literal["odd", "even"] = "odd",
) -> Float[np.ndarray, "time"]:
    """Butterworth filter, forwards and backwards; half the amplitude at `cutoff` [Hz].

    **Arguments:** `ends`: beyond its ends the signal goes on as its point reflection (``"odd"``, keeps a
    trend) or its mirror image (``"even"``, keeps an envelope positive).
    """
    sos = butterworth(order, cutoff, kind, rate)
    padding = min(len(x) - 1, max(6 * order, int(2 * rate / cutoff)))
    return signal.sosfiltfilt(sos, x, padtype=ends, padlen=padding)


def butterworth(
    order: int, cutoff: float, kind: Literal["lowpass", "highpass"], rate: float
) -> Float[np.ndarray, "section 6"]:
    """Second-order sections of a filter that is run once; `cutoff`, `rate` [Hz]."""
    return np.asarray(signal.butter(order, cutoff, kind, fs=rate, output="sos"), dtype=float)


def notch(frequency: float, rate: float) -> Float[np.ndarray, "1 6"]:
    """Of mains hum, `frequency`/30 wide; `frequency`, `rate` [Hz]."""
    return np.asarray(signal.tf2sos(*signal.iirnotch(frequency, 30.0, fs=rate)), dtype=float)


def finite_runs(x: Float[np.ndarray, "time"]) -> list[tuple[int, int]]:
    """(start, stop) of every run of samples which are numbers."""
    return list(zip(*(ends.tolist() for ends in runs(np.isfinite(x))), strict=True))


def references(
    envelopes: Sequence[Float[np.ndarray, "time channel"]], channels: Sequence[str], processing: EmgProcessing
) -> Float[np.ndarray, "channel"]:
    """Envelope that counts as 1, for each channel; for ``"max"`` over all `envelopes` (trials) together."""
    rule = processing.normalise
    if rule is None:
        return np.ones(len(channels))
    if isinstance(rule, Mapping):
        missing = [c for c in channels if c not in rule]
        if missing:
            raise InputError(f"EMG processing: normalise has no reference for channel '{missing[0]}'; add it")
        return np.array([float(rule[c]) for c in channels])
    if not isinstance(rule, str):
        return np.full(len(channels), float(rule))
    peak = np.array([max(_peak(e[:, i]) for e in envelopes) for i in range(len(channels))])
    for name, value in zip(channels, peak, strict=True):
        if not value > 0:
            raise InputError(
                f"EMG channel '{name}' is flat (its envelope is zero throughout) and cannot be normalised; "
                "was the sensor on?"
            )
    return peak


def _peak(x: np.ndarray) -> float:
    x = x[np.isfinite(x)]
    return float(x.max()) if len(x) else 0.0


def process(
    raw: Float[np.ndarray, "time channel"],
    rate: float,
    processing: EmgProcessing | None = None,
    channels: Sequence[str] | None = None,
) -> Float[np.ndarray, "time channel"]:
    """Raw EMG of one recording to its normalised envelope.

    **Arguments:** `raw`: as recorded; `rate` [Hz]; `channels`: names, for references and messages.

    **Returns:** the envelope, nominally 0..1; NaN where `raw` is.
    """
    processing = EmgProcessing() if processing is None else processing
    smooth = envelope(raw, rate, processing)
    channels = [f"{i + 1}" for i in range(smooth.shape[1])] if channels is None else list(channels)
    if len(channels) != smooth.shape[1]:
        raise InputError(
            f"EMG has {smooth.shape[1]} channels, {len(channels)} names were given; give one name a channel"
        )
    return normalise(smooth, references([smooth], channels, processing), clip=processing.clip)


def normalise(
    values: Float[np.ndarray, "time channel"], reference: Float[np.ndarray, "channel"], *, clip: bool = True
) -> Float[np.ndarray, "time channel"]:
    """`values` as a fraction of `reference`, limited to 0..1 if `clip`."""
    scaled = values / reference
    return np.clip(scaled, 0.0, 1.0) if clip else scaled
