"""Columns on several clocks as one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mjx_msm.recordings.readers.table import Table


def joined(tables: Sequence[Table], columns: Sequence[str]) -> Table:
    """Columns of tables that cover the same time, on the clock of the one with most samples a second.

    Those on other clocks are interpolated by cubic splines between their own samples, and are NaN outside and where
    theirs are missing; raw EMG is to be made envelopes before.

    **Arguments:** `columns`: their order in the result; each is in one of the tables.
    """
    if len(tables) == 1 and tables[0].columns == tuple(columns):
        return tables[0]
    fastest = max(tables, key=lambda t: t.rate)
    values, units = [], []
    for column in columns:
        table = next(t for t in tables if column in t.columns)
        own = table.values[:, table.columns.index(column)]
        values.append(own if table is fastest else _onto(fastest.time, table.time, own))
        units.append(table.units[table.columns.index(column)] if table.units else "")
    notes = tuple(dict.fromkeys(n for t in tables for n in t.notes))
    return Table(
        fastest.time,
        tuple(columns),
        np.column_stack(values),
        fastest.in_degrees,
        fastest.path,
        tuple(units) if any(units) else (),
        fastest.header,
        notes,
        fastest.trimmed,
    )


def _onto(
    clock: Float[np.ndarray, "time"], time: Float[np.ndarray, "own"], values: Float[np.ndarray, "own"]
) -> Float[np.ndarray, "time"]:
    from scipy.interpolate import CubicSpline

    known = np.isfinite(values)
    if known.sum() < 4:
        return np.full(len(clock), np.nan)
    at, step = time[known], float(np.median(np.diff(time)))
    out = CubicSpline(at, values[known])(clock)
    before = np.clip(np.searchsorted(at, clock, side="right") - 1, 0, len(at) - 2)
    gone = (at[before + 1] - at[before] > 1.5 * step) & (clock > at[before]) & (clock < at[before + 1])
    out[gone | (clock < at[0] - 1e-9) | (clock > at[-1] + 1e-9)] = np.nan
    return out
