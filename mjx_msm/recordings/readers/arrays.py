"""Arrays by name, as MATLAB, NumPy and HDF5 keep them, as blocks of columns.

Arrays of one structure with as many samples share a block; a vector called time is their time, a number called ``fs``
or the like, in the structure or around it, their rate, a list of as many texts as there are columns their names. Of a
matrix, samples go along the longer side.

A rate around structures may be that of one of them alone: it is theirs only where all that is under it lasts about as
long, or is called the same, as that of several trials is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.contents import Block, Contents

_RATE = re.compile(
    r"fs|sf|sr|srate|rate|freq|frequency|samp(?:ling|le)?_?(?:rate|freq(?:uency)?)|frame_?rate|hz", re.IGNORECASE
)
_RATE_OF = re.compile(rf"(?:(?:{_RATE.pattern})_(?P<after>\w+)|(?P<before>\w+)_(?:{_RATE.pattern}))", re.IGNORECASE)
_LABELS = re.compile(r"labels?|names?|channels?|channel_?names?|chan_?names?|muscles?|columns?|headers?", re.IGNORECASE)
AS_LONG = 0.05
"""How far lengths of what is sampled together differ, of the longer."""
UNREAD = "?"
"""Ends the name of what a parser could not read, and says why."""


@dataclass(frozen=True)
class _Rate:
    """A number that is a rate [Hz], and where it stands."""

    value: float
    structure: str
    name: str
    plain: bool
    """Whether its name says no more than that it is one."""

    def __str__(self) -> str:
        return f"'{self.structure}/{self.name}'" if self.structure else f"'{self.name}'"


def contents_of_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Contents:
    """The arrays of a file.

    **Raises:** `InputError` if none of them can be a recording.
    """
    notes = [f"{path}: '{n.removesuffix(UNREAD)}' is {a}; left out" for n, a in arrays.items() if n.endswith(UNREAD)]
    parents = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
    blocks: list[tuple[Block, _Rate | None]] = []
    rates = {parent: _rates(_inside(arrays, parent)) for parent in parents}
    for parent in parents:
        around = {p: rates[p] for p in _outwards(parent) if p in rates}
        blocks += _blocks(path, parent, _inside(arrays, parent), around, notes)
    if not blocks:
        held = ", ".join(f"'{n}'" for n in list(arrays)[:6]) or "nothing"
        more = f"; {notes[0].partition(': ')[2]}" if notes else ""
        raise InputError(f"{path}: holds no series of numbers (but {held}{more}); save vectors or matrices of samples")
    return Contents(path, tuple(_sampled_together(path, blocks, notes)), notes=tuple(notes))


def _sampled_together(path: Path, found: Sequence[tuple[Block, _Rate | None]], notes: list[str]) -> list[Block]:
    """Blocks, less the rates from around that need not be theirs; with a note of each that is taken, or not."""
    out = [block for block, _ in found]
    for rate in dict.fromkeys(r for _, r in found if r is not None and r.plain):
        under = [i for i, (_, own) in enumerate(found) if own == rate]
        inside = [i for i in under if out[i].name != rate.structure]
        if not inside:
            continue
        if all(_alike(out[i], out[k]) for i in inside for k in under):
            held = ", ".join(f"'{out[i].name}'" for i in inside[:6])
            notes.append(f"{path}: {rate} = {rate.value:g} is taken for the samples a second of {held}")
            continue
        lengths = ", ".join(f"'{out[i].name or out[i].columns[0]}' {len(out[i].values)}" for i in under[:6])
        notes.append(
            f"{path}: {rate} = {rate.value:g} stands around series of several lengths ({lengths} samples), and may be "
            "of one of them alone; save a rate in each structure, or set sampling_rate for each kind"
        )
        for i in inside:
            out[i] = replace(out[i], rate=None)
    return out


def _alike(a: Block, b: Block) -> bool:
    """Whether two blocks may well be of one rate."""
    m, n = len(a.values), len(b.values)
    return a.columns == b.columns or abs(m - n) <= AS_LONG * max(m, n)


def _inside(arrays: Mapping[str, np.ndarray], parent: str) -> dict[str, np.ndarray]:
    return {n.rpartition("/")[2]: a for n, a in arrays.items() if n.rpartition("/")[0] == parent}


def _outwards(parent: str) -> Iterator[str]:
    """A structure, and those that it is in."""
    while parent:
        yield parent
        parent = parent.rpartition("/")[0]
    yield ""


def _rates(inside: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Numbers that may be a rate."""
    single = {n: float(a.ravel()[0]) for n, a in inside.items() if a.dtype.kind in "biuf" and a.size == 1}
    return {n: x for n, x in single.items() if 0 < x < 1e6 and not n.endswith(UNREAD)}


def _blocks(
    path: Path,
    parent: str,
    inside: Mapping[str, np.ndarray],
    rates: Mapping[str, Mapping[str, float]],
    notes: list[str],
) -> list[tuple[Block, _Rate | None]]:
    """**Arguments:** `rates`: numbers of the structure that may be one, then of those around it.

    **Returns:** blocks, each with where its rate comes from.
    """
    numeric = {n: a for n, a in inside.items() if a.dtype.kind in "biuf" and not n.endswith(UNREAD)}
    words = {n: a for n, a in inside.items() if a.dtype.kind == "U" and not n.endswith(UNREAD)}
    groups: dict[tuple[int, _Rate | None], tuple[list[str], list[np.ndarray]]] = {}
    for name, array in numeric.items():
        array = np.squeeze(array) if array.ndim > 2 else array
        whole = f"{parent}/{name}" if parent else name
        if array.size < 2:
            continue
        if array.ndim > 2:
            notes.append(f"{path}: '{whole}' has {array.ndim} dimensions; left out")
            continue
        columns = array[:, None] if array.ndim == 1 else array
        if columns.shape[0] < columns.shape[1]:
            columns = columns.T
        if len(columns) < 2:
            continue
        width = columns.shape[1]
        labels = _labels(words, name, width)
        names = [name] if width == 1 else [f"{name}/{label}" for label in labels]
        of = (name, parent.rpartition("/")[2])
        rate = next((r for where, own in rates.items() if (r := _rate_of(where, own, of)) is not None), None)
        found = groups.setdefault((len(columns), rate), ([], []))
        found[0].extend(names)
        found[1].append(np.where(np.isfinite(columns), columns, np.nan))
    return [
        (Block(tuple(names), np.column_stack(parts), name=parent, rate=rate and rate.value), rate)
        for (_, rate), (names, parts) in groups.items()
    ]


def _rate_of(structure: str, rates: Mapping[str, float], names: Sequence[str]) -> _Rate | None:
    """The rate that goes with an array: that which has its name or its structure's, or the only one that has none."""
    called = {name.casefold() for name in names if name}
    for key, value in rates.items():
        found = _RATE_OF.fullmatch(key)
        if found and called & {(found["after"] or "").casefold(), (found["before"] or "").casefold()}:
            return _Rate(value, structure, key, plain=False)
    plain = [_Rate(value, structure, key, plain=True) for key, value in rates.items() if _RATE.fullmatch(key)]
    return plain[0] if len(plain) == 1 else None


def _labels(words: Mapping[str, np.ndarray], name: str, width: int) -> list[str]:
    """Names of the columns of a matrix: of a list of as many texts, else their numbers."""
    fitting = {key: a for key, a in words.items() if a.size == width}
    own = [key for key in fitting if name.casefold() in key.casefold() and key.casefold() != name.casefold()]
    usual = [key for key in fitting if _LABELS.fullmatch(key)]
    for key in own + usual:
        labels = [str(x).strip() for x in fitting[key].ravel()]
        if len(set(labels)) == width:
            return labels
    return [str(i + 1) for i in range(width)]
