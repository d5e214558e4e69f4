"""Envelopes as fractions of what counts as 1: the greatest in trials of greatest effort, else in those to identify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.recordings import emg as emg_signals
from mjx_msm.recordings.quality.emg_quality import IN_VOLTS
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.subject_file.grammar import Document


def normalised(
    document: Document,
    signals: Mapping[str, Table],
    greatest: Sequence[Table],
    channels: Sequence[str],
    notes: list[str],
) -> dict[str, Table]:
    """Envelopes over their reference.

    **Arguments:** `signals`: envelopes by trial. `greatest`: those of trials of the role "normalise", each with the
    channels that it has; a channel's reference is its greatest value over them.

    **Raises:** `InputError` if a channel's reference is zero.
    """
    reference = _reference(document, signals, greatest, channels, notes)
    if reference is None:
        return dict(signals)
    out = {}
    for name, table in signals.items():
        values = emg_signals.normalise(table.values, reference, clip=False)
        peak = np.nanmax(values, axis=0)
        if document.processing.clip:
            for channel, top in zip(channels, peak, strict=True):
                if top > 1.05:
                    notes.append(
                        f"trial '{name}': EMG channel '{channel}' exceeds its reference by "
                        f"{100 * (top - 1):.0f} %; cut off at 1"
                    )
            values = np.clip(values, 0.0, 1.0)
        elif np.max(peak) > 3:
            channel = channels[int(np.argmax(peak))]
            notes.append(
                f"{table.path}: EMG channel '{channel}' reaches {np.max(peak):.3g}, an envelope is "
                'nominally 0 to 1; in percent? Set normalise = 100 in [emg.processing], or "max"'
            )
        elif document.processing.normalise is None and not greatest and 0 < np.max(peak) < IN_VOLTS:
            channel = channels[int(np.argmax(peak))]
            notes.append(
                f"{table.path}: no EMG channel reaches more than {np.max(peak):.2g} ('{channel}'), an envelope is "
                'nominally 0 to 1; in volts? Set normalise = "max" in [emg.processing]'
            )
        out[name] = replace(table, values=values)
    return out


def _reference(
    document: Document,
    signals: Mapping[str, Table],
    greatest: Sequence[Table],
    channels: Sequence[str],
    notes: list[str],
) -> Float[np.ndarray, "channel"] | None:
    """Envelope that counts as 1, for each channel; None if there is nothing to take it from."""
    training = [signals[t.name].values for t in document.trials if t.role == "identify" and t.name in signals]
    if not training:
        return None
    processing = document.processing
    if greatest:
        processing = replace(processing, normalise="max")
        has = {c for table in greatest for c in table.columns}
        rows = [
            np.stack([t[c] if c in t.columns else np.full(len(t.time), np.nan) for c in channels], axis=1)
            for t in greatest
        ]
        lacking = [c for c in channels if c not in has]
        if lacking:
            notes.append(
                f"{document.path}: no trial of the role \"normalise\" has EMG channel '{lacking[0]}'"
                f"{f' (and {len(lacking) - 1} more)' if len(lacking) > 1 else ''}; the trials to identify from say "
                "what counts as 1"
            )
            rows += [np.where(np.isin(channels, lacking), x, np.nan) for x in training]
        training = rows
    try:
        return emg_signals.references(training, channels, processing)
    except InputError as error:
        raise InputError(f"{document.path} [emg]: {error}") from None
