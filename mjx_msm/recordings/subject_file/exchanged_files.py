"""Files of a trial that stand for each other: the motion's where the EMG's should be, and the like."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import ends_in
from mjx_msm.recordings.subject_file.columns import KINDS
from mjx_msm.recordings.subject_file.emg import channels_of
from mjx_msm.recordings.subject_file.grammar import Document
from mjx_msm.recordings.subject_file.sources import Files
from mjx_msm.recordings.subject_file.trials import TrialEntry


def refuse_exchanged(document: Document, trial: TrialEntry, files: Files) -> None:
    """Whether each of a trial's files has the columns of another: then they are exchanged.

    **Raises:** `InputError` with the lines as they should be.
    """
    paths = {kind: path for kind in KINDS if (path := getattr(trial, kind)) is not None}
    if len(set(paths.values())) < 2:
        return
    wanted = _wanted(document, trial)
    columns: dict[Path, tuple[str, ...]] = {}
    for path in set(paths.values()):
        try:
            columns[path] = files.contents(path).columns
        except InputError:
            return

    def share(kind: str, path: Path) -> float:
        """Of the columns of a kind that a file has."""
        names = wanted.get(kind, ())
        own = [any(ends_in(c, n) or c.endswith(f"/{n}/value") for n in some for c in columns[path]) for some in names]
        return sum(own) / len(own) if own else 1.0

    now = {kind: share(kind, path) for kind, path in paths.items()}
    if min(now.values()) > 0:
        return
    found: list[tuple[int, dict[str, Path]]] = []
    for order in permutations(paths.values()):
        moved = {k: new for (k, old), new in zip(paths.items(), order, strict=True) if new != old}
        if all(share(k, new) == 1.0 for k, new in moved.items()) and any(now[k] == 0 for k in moved):
            found.append((len(moved), moved))
    if not found:
        return
    _, moved = min(found, key=lambda f: f[0])
    right = ", ".join(f'{k} = "{_as_said(trial, paths, new)}"' for k, new in moved.items())
    raise InputError(
        f"{trial.where}: the files of {' and '.join(moved)} look exchanged: each has the columns of the other; write "
        f"{right}"
    )


def _as_said(trial: TrialEntry, paths: Mapping[str, Path], path: Path) -> str:
    """A file as the trial says it."""
    return next(trial.said[k] for k, p in paths.items() if p == path)


def _wanted(document: Document, trial: TrialEntry) -> dict[str, list[tuple[str, ...]]]:
    """Columns of every kind of file, each with the names that it may have."""
    moving = (*document.model.free, *document.model.prescribed)
    moments = trial.moment_columns or dict.fromkeys(document.model.free)
    return {
        "motion": [(c.column,) if (c := trial.columns.get(n)) is not None else (n,) for n in moving],
        "moments": [(c.column,) if c is not None else (f"{n}_moment", n) for n, c in moments.items()],
        "emg": [(document.column_of(trial, c),) for c in channels_of(document.emg_map)],
    }
