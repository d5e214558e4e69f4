"""Columns that a subject file names and a recording does not have, said with the place that names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mjx_msm.common.errors import Faults, InputError
from mjx_msm.recordings.readers.contents import Contents, place_of
from mjx_msm.recordings.subject_file.grammar import Document
from mjx_msm.recordings.subject_file.trials import TrialEntry

LISTED = 4
"""Columns that a file lacks which are told one by one, each with what it may be."""


def check_columns(contents: Contents, columns: Mapping[str, str], place: Callable[[str], str]) -> None:
    """Whether a file has the columns that it should.

    **Arguments:** `columns`: what is read, to the name of its column. `place`: where a subject file names that column.

    **Raises:** `InputError` with all that are missing, or may be several, and who named them.
    """
    faults: list[tuple[str, str]] = []
    for name, column in columns.items():
        try:
            place_of(contents.path, column, contents.columns)
        except InputError as error:
            faults.append((name, str(error)))
    if len(faults) == len(columns) > LISTED:
        wanted, there = (", ".join([*n[:LISTED], "…"]) for n in (tuple(columns.values()), contents.columns))
        raise InputError(
            f"{contents.path}: has none of the {len(columns)} columns {wanted} ({place(faults[0][0])} and so on), but "
            f"{there}; is it another file's name?"
        )
    said = Faults()
    for name, message in faults:
        said.add(InputError(f"{message} ({place(name)})"))
    said.raise_any()


def coordinate_place(document: Document, trial: TrialEntry, section: str) -> Callable[[str], str]:
    """Where the column of a coordinate is named in a subject file; `section`: columns, or moment_columns."""

    def place(name: str) -> str:
        column = getattr(trial, section).get(name)
        own = f"{section} of {trial.where}"
        return f"{name} in {own if column is None or column.of_trial else f'[{section}] of {document.path.name}'}"

    return place


def channel_place(document: Document, trial: TrialEntry) -> Callable[[str], str]:
    """Where the column of a channel of EMG is named."""

    def place(channel: str) -> str:
        if channel in trial.channels:
            return f"{channel} in channels of {trial.where}"
        if channel in document.aliases:
            return f"{channel} in [emg.channels] of {document.path.name}"
        muscles = [m for m, mix in document.emg_map.items() if channel in mix]
        more = " and others" if len(muscles) > 1 else ""
        return f"{muscles[0]}{more} in [emg.muscles] of {document.path.name}"

    return place
