"""EMG to envelope one sample at a time, in agreement with the offline chain on what a causal filter can agree on.

Offline, filters run forwards and backwards (`mjx_msm.recordings.emg`): no delay, squared magnitude. Live, high-pass and
notches run forwards twice, with the same magnitude, hence as strong a signal, and next to no delay where EMG is; the
low-pass runs forwards once, with the same gain at rest, and the envelope comes late by its group delay there,

    τ = Σ n h[n] / Σ h[n] samples with h its impulse response, 0.07 s for order 4 at 6 Hz.

The muscle is late, too: its electromechanical delay was identified against envelopes without delay. What the filter
has used up of it is taken off, and only what is left over is waited for; `lag` beyond it is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.emg import EmgProcessing, butterworth, notch


@dataclass(frozen=True)
class CausalFilter:
    """Second-order sections of the two stages, and what they cost in time."""

    before: Float[np.ndarray, "section 6"]
    """High-pass and notches."""
    after: Float[np.ndarray, "section 6"]
    """Low-pass of the rectified signal."""
    rectify: bool
    lag: float
    """Group delay of the low-pass at rest [s]."""


NONE = CausalFilter(np.zeros((0, 6)), np.zeros((0, 6)), False, 0.0)
"""Envelopes come as they are."""


def causal_filter(processing: EmgProcessing, rate: float) -> CausalFilter:
    """The causal form of offline processing, for samples at `rate` [Hz].

    **Raises:** `InputError` if a cut-off does not fit the rate.
    """
    for name, value in (("high_pass", processing.high_pass), ("low_pass", processing.low_pass)):
        if value is not None and value >= rate / 2:
            raise InputError(f"EMG processing: {name} = {value:g} Hz needs more than {2 * value:g} samples a second")
    before, after, lag = [np.zeros((0, 6))], np.zeros((0, 6)), 0.0
    if processing.high_pass is not None:
        before.append(butterworth(processing.order, processing.high_pass, "highpass", rate))
    for frequency in processing.notch:
        before.append(notch(frequency, rate))
    if processing.low_pass is not None:
        after = butterworth(processing.order, processing.low_pass, "lowpass", rate)
        lag = float(_group_delay_at_rest(after)) / rate
    return CausalFilter(np.concatenate([*before, *before]), after, processing.rectify, lag)


def _group_delay_at_rest(sections: Float[np.ndarray, "section 6"]) -> float:
    """Samples: Σ n h[n] / Σ h[n], from the sections' polynomials at z = 1."""
    k = np.arange(3)
    return float(sum((k @ s[:3]) / s[:3].sum() - (k @ s[3:]) / s[3:].sum() for s in sections))
