"""EMG without the samples that no muscle made, and a line for every channel that had any or that is at fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.common.runs import runs
from mjx_msm.recordings.quality.emg_faults import filled
from mjx_msm.recordings.quality.emg_quality import qualities
from mjx_msm.recordings.readers.table import Table

MOST_MASKED = 0.3
"""Of a channel's samples; a channel with more faults is refused."""


def cleaned(table: Table, channels: Sequence[str], *, raw: bool, max_gap: float) -> tuple[Table, list[str]]:
    """The channels with masked samples filled up to `max_gap` [s], NaN beyond; and what is to be said of them.

    **Arguments:** `table`: on an even clock where `raw`.

    **Raises:** `InputError` if a channel holds no numbers, or more faults than signal.
    """
    for channel, values in zip(channels, table.values.T, strict=True):
        if not np.any(np.isfinite(values)):
            raise InputError(
                f"{table.path}: EMG channel '{channel}' holds no numbers (all NaN or empty); map another "
                "one, or set its muscles to 0.0"
            )
    judged = qualities(channels, table.values, table.rate, raw=raw)
    values = table.values.copy()
    for i, q in enumerate(judged):
        if q.masked is None or not q.masked.any():
            continue
        if q.masked.mean() > MOST_MASKED:
            raise InputError(
                f"{table.path}: EMG channel '{q.channel}' {'; '.join(q.faults)}: {100 * q.masked.mean():.0f} % of its "
                "samples are no EMG; map another one, or set its muscles to 0.0"
            )
        if raw:
            values[:, i] = filled(values[:, i], q.masked)
        else:
            known = np.flatnonzero(np.isfinite(values[:, i]) & ~q.masked)
            values[q.masked, i] = np.interp(np.flatnonzero(q.masked), known, values[known, i])
        for start, stop in zip(*runs(q.masked), strict=True):
            if (stop - start) / table.rate > max_gap:
                values[start:stop, i] = np.nan
    flat = [q.channel for q in judged if q.flat]
    lines = []
    if len(flat) > 1:
        names = "all EMG channels" if len(flat) == len(channels) else f"EMG channels {', '.join(flat)}"
        lines.append(f"{table.path}: {names} are flat; is it a static trial, or were the sensors off?")
        judged = tuple(q for q in judged if not q.flat)
    lines += [f"{table.path}: EMG channel '{q.channel}' {fault}" for q in judged for fault in q.faults]
    return replace(table, values=values), lines
