"""The files of a study: each read once, the columns in use on one clock, and captures that were trimmed put in time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Contents, ends_in, place_of
from mjx_msm.recordings.readers.joining import joined
from mjx_msm.recordings.readers.reading import read_contents
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.readers.timing import Timing, tables_of
from mjx_msm.recordings.subject_file.trials import TrialEntry

FRAMES = 2.0
"""Samples of the slower file by which two that are of the same capture may differ in length."""


class Files:
    """Contents of files, every one read once."""

    def __init__(self) -> None:
        self._read: dict[Path, Contents | InputError] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self._read)

    def contents(self, path: Path) -> Contents:
        """**Raises:** `InputError` if it cannot be read."""
        path = Path(os.path.normpath(path))
        if path not in self._read:
            try:
                self._read[path] = read_contents(path)
            except InputError as error:
                self._read[path] = error
        found = self._read[path]
        if isinstance(found, InputError):
            raise found
        return found

    def tables(self, path: Path, timing: Timing, columns: Mapping[str, str]) -> tuple[Table, ...]:
        """Some columns of a file, renamed, as a table for every clock.

        **Arguments:** `columns`: new name to the file's.

        **Raises:** `InputError` if the file cannot be read, a column is not in it, or its time cannot be told.
        """
        contents = self.contents(path)
        tables = tables_of(contents, timing, columns=columns.values(), full_names=True)
        names = [name for table in tables for name in table.columns]
        owners = [table for table in tables for _ in table.columns]
        places = {new: place_of(contents.path, old, names) for new, old in columns.items()}
        return tuple(
            table.select({new: names[i] for new, i in places.items() if owners[i] is table})
            for table in tables
            if any(owners[i] is table for i in places.values())
        )

    def table(self, path: Path, timing: Timing, columns: Mapping[str, str]) -> Table:
        """Some columns of a file, renamed, on one clock."""
        return joined(self.tables(path, timing, columns), tuple(columns))


Kinds = Mapping[str, Sequence[Table]]


def trimmed_in_time(trial: TrialEntry, tables: Kinds, notes: list[str]) -> dict[str, float]:
    """What to add to the time of files of a capture that was trimmed, where others of the trial begin at 0 [s].

    A capture that is cut in its software keeps counting from its first frame; what is computed from it often begins at
    0. Where both last equally long they begin together, which is noted; where not, only the user can know.

    **Raises:** `InputError` in the latter case, with the line to add.
    """
    offsets = {kind: 0.0 for kind in tables}
    cut = {k: t for k, t in tables.items() if t and t[0].trimmed > 0 and k not in trial.offsets}
    whole = {k: t for k, t in tables.items() if t and t[0].trimmed == 0 and k not in trial.offsets}
    for kind, (table, *_) in cut.items():
        for reference, *_ in whole.values():
            step = max(1 / table.rate, 1 / reference.rate)
            if abs(reference.time[0]) > step or table.trimmed <= 2 * step:
                continue
            lasts = [float(t.time[-1] - t.time[0]) for t in (table, reference)]
            frame = table.header.get("first frame", "")
            begins = f"{table.path}: begins at frame {frame} of its capture ({table.trimmed:.4g} s)"
            if abs(lasts[0] - lasts[1]) > FRAMES * step:
                together = f"{{ {kind} = {-table.trimmed:.6g} }} in {trial.where}"
                raise InputError(
                    f"{begins} and lasts {lasts[0]:.4g} s, {reference.path.name} begins at 0 and lasts {lasts[1]:.4g} "
                    f"s; set time_offset = {together} if they begin together, {{ {kind} = 0.0 }} if not"
                )
            notes.append(
                f"{begins}, {reference.path.name} at 0, and both last {lasts[1]:.4g} s; taken to begin together. If "
                f"they do not, set time_offset = {{ {kind} = 0.0 }} in {trial.where}"
            )
            offsets[kind] = float(reference.time[0]) - table.trimmed
            break
    return offsets


def found(contents: Contents, coordinate: str, names: Sequence[str], hint: Callable[[], str]) -> str:
    """The column of a coordinate that was not mapped: its own name, also as the end of a path.

    **Arguments:** `names`: those it may have; `hint`: ends the message.

    **Raises:** `InputError` if there is none, or more than one.
    """
    columns = contents.columns
    for name in names:
        hits = [c for c in columns if ends_in(c, name) or c.endswith(f"/{name}/value")]
        if len(hits) == 1 or name in hits:
            return name if name in hits else hits[0]
    raise InputError(f"{contents.path}: no column for coordinate '{coordinate}'{hint()}")
