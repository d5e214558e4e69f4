"""Descents that survive the end of a process: each one's solution, and its latest iterate, go to a file as they come.

An estimate is a sequence of descents (`minimise`), and what happens between them follows from what they came to. So a
run that goes on repeats the sequence: a descent that had ended is read, one that was under way goes on from the iterate
it had reached, and both to the bit, because numbers are kept as they are in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from mjx_msm.common.changed_files import changed_file
from mjx_msm.common.computed_by import code_digest, versions
from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.common.journal import Journal, difference, read_journal
from mjx_msm.estimation.least_squares import Place, Solution, minimise
from mjx_msm.estimation.residuals.term import AbstractTerm
from mjx_msm.person.model import Model
from mjx_msm.person.space import ParameterSpace
from mjx_msm.person.xml_text import xml_of
from mjx_msm.recordings.trial import Trial

EVERY = 1.0
"""How often an iterate is kept [s]: so much of a descent is repeated at most."""


class Descents:
    """`minimise`, remembering what was reached before and keeping what is reached now, if there is a file for it."""

    def __init__(self, known: Sequence[Mapping[str, Any]] = (), keep: Callable[[Any], None] | None = None):
        self._done = {line["descent"]: line for line in known if "solution" in line}
        self._places = {line["descent"]: line for line in known if "place" in line}
        self._keep, self._count, self.earlier = keep, 0, 0.0
        """Seconds that what was read took when it was done."""

    def known(self, z: Float[np.ndarray, "free"]) -> Solution | None:
        """What the next descent came to, which begins at z, if it is known already; it is not next any more then."""
        line = self._done.get(self._count)
        if line is None or line["begin"] != _digest(z):
            return None
        self._count += 1
        self.earlier += line["seconds"]
        return Solution(**_restored(line["solution"]))

    def minimise(
        self,
        terms: Sequence[AbstractTerm],
        space: ParameterSpace,
        z: Float[np.ndarray, "free"],
        *,
        report: Callable[[Solution], None] = lambda solution: None,
        **settings: Any,
    ) -> Solution:
        """As `mjx_msm.estimation.least_squares.minimise`."""
        known = self.known(z)
        if known is not None:
            report(known)
            return known
        number, began, begin, place, earlier = self._count, time.perf_counter(), _digest(z), None, 0.0
        self._count += 1
        line = self._places.get(number)
        if line is not None and line["begin"] == begin:
            place, earlier = Place(**_restored(line["place"])), line["seconds"]
            self.earlier += earlier
        if self._keep is None:
            return minimise(terms, space, z, report=report, place=place, **settings)
        last = began

        def seconds() -> float:
            return earlier + time.perf_counter() - began

        def kept(solution: Solution) -> None:
            nonlocal last
            if time.perf_counter() >= last + EVERY and solution.place is not None:
                last = time.perf_counter()
                held = {f.name: getattr(solution.place, f.name) for f in fields(Place)}
                self._write({"descent": number, "begin": begin, "seconds": seconds(), "place": _plain(held)})
            report(solution)

        solution = minimise(terms, space, z, report=kept, place=place, **settings)
        if not solution.interrupted:
            held = {f.name: getattr(solution, f.name) for f in fields(Solution) if f.name != "place"}
            self._write({"descent": number, "begin": begin, "seconds": seconds(), "solution": _plain(held)})
        return solution

    def _write(self, line: Mapping[str, Any]) -> None:
        if self._keep is not None:
            self._keep(line)


@contextmanager
def kept_descents(path: str | Path | None, configuration: Callable[[], Mapping[str, Any]]) -> Iterator[Descents]:
    """Descents with a file to survive in; without a path, without.

    **Arguments:** `configuration`: all that what is computed depends on, as plain values; asked for where there is a
    path.

    What of the file is damaged counts as not done, and a warning says so. A file that cannot be written any more costs
    the checkpoint, not the run.

    **Raises:** `InputError` if the file is of another computation, another process is at work with it, or it cannot be
    written.
    """
    if path is None:
        yield Descents()
        return
    path = Path(path)
    computed = {**configuration(), "versions": versions(), "code": code_digest()}
    wanted = json.loads(json.dumps(computed, default=_plain))
    there = path.exists()
    with ExitStack() as opened:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            journal = opened.enter_context(Journal(path, synced=EVERY))
            first, known, size = _read(path) if there else (None, [], 0)
            if first is not None:
                _refuse_other(path, first, wanted)
            journal.cut(size)
            if first is None:
                journal.add(wanted)
        except OSError as error:
            if not there:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
        yield Descents(known, _keeper(journal, path))


def _keeper(journal: Journal, path: Path) -> Callable[[Any], None]:
    broken = False

    def keep(line: Any) -> None:
        nonlocal broken
        if not broken:
            try:
                journal.add(line)
            except OSError as error:
                broken = True
                note = f"{path}: the checkpoint cannot be written ({error.strerror}); the run goes on without it"
                warnings.warn(note, InputWarning, stacklevel=2)

    return keep


def _read(path: Path) -> tuple[dict[str, Any] | None, list[Any], int]:
    """Of what a checkpoint is, None if that cannot be read; its descents; and the length of what is whole [bytes]."""
    held, size, length = read_journal(path)
    first, *known = held or [None]
    if not isinstance(first, dict) or not all(_is_descent(line) for line in known):
        first, known, size = None, [], 0
    if first is None or size < length:
        what = "is damaged; all of it is" if first is None else "ends in the middle of a line; what it held is"
        warnings.warn(f"checkpoint {path} {what} computed again", InputWarning, stacklevel=4)
    return first, known, size


def _is_descent(line: Any) -> bool:
    if not isinstance(line, dict) or not {"descent", "begin", "seconds"} <= set(line):
        return False
    names = {f.name for f in fields(Place)} if "place" in line else {f.name for f in fields(Solution)} - {"place"}
    return set(line.get("place", line.get("solution", ()))) == names


def _refuse_other(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """**Raises:** `InputError` if a checkpoint is of something else."""
    changed = changed_file(before.get("hashes") or {}, now.get("hashes") or {})
    if changed:
        raise InputError(f"{changed} since the checkpoint {path}; remove it to begin anew")
    other = difference(before, now)
    if other is not None:
        raise InputError(f"checkpoint {path} is of something else: {other}; remove it, or choose another file")


def computed_from(model: Model, trials: Sequence[Trial]) -> dict[str, str]:
    """What tells model and recordings from others."""
    recorded = [
        digest(
            *(t.name, *t.coordinates, *t.channels, *t.moment_coordinates, t.time, t.position, t.emg),
            *(np.zeros(0) if x is None else x for x in (t.moment, t.velocity)),
        )
        for t in trials
    ]
    leaves = [np.asarray(x) for x in jax.tree.leaves(model)]
    return {"model": digest(xml_of(model.host.spec), *leaves), "trials": digest(*recorded)}


def digest(*arrays: Any) -> str:
    """SHA-256 of arrays and texts, to tell whether they are the same."""
    out = hashlib.sha256()
    for array in arrays:
        out.update(array.encode() if isinstance(array, str) else np.ascontiguousarray(array).tobytes())
    return out.hexdigest()


def _digest(z: Float[np.ndarray, "free"]) -> str:
    return digest(np.asarray(z, dtype=float))[:16]


def _plain(value: Any) -> Any:
    """What JSON holds: arrays as their bytes, so that they come back to the bit."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, dtype=float)
        return {"shape": array.shape, "float64": base64.b64encode(array.tobytes()).decode()}
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"shape", "float64"}:
        return np.frombuffer(base64.b64decode(value["float64"]), dtype=float).reshape(value["shape"]).copy()
    if isinstance(value, dict):
        return {key: _restored(v) for key, v in value.items()}
    return [_restored(v) for v in value] if isinstance(value, list) else value
