"""Jobs side by side in this process, in lock-step: what all of them have to compute is computed in one call.

Every job is a thread. Where one comes to a compiled function that may be called for many (`abreast` of
`mjx_msm.common.compiled.jit`), it waits until all others have come to one or have ended. Calls of the same function
with the same shapes and the same static arguments then become one, vectorised over the jobs; what all of them share,
the model, is handed over once. So a device that computes a hundred people as fast as one is given the hundred, and
nothing between the calls, an outer solver say, has to know of the others.

What a job comes to is what it comes to alone, but for round-off: each sees its own values only. A group is filled up to
one size, so that a function is compiled for once more; small ones are called one by one.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from mjx_msm.common.compiled import as_compiled_for, called_by
from mjx_msm.common.errors import InputError

PEOPLE = 16
"""Jobs at a time."""
FEW = 4
"""Of a group, up to this part of a full one is called one by one: filled up, most of it would be for nothing."""


@dataclass(frozen=True)
class Abreast:
    """Jobs in threads of this process whose compiled calls are made as one."""

    most: int | None = None
    """Jobs at a time; None: `PEOPLE`."""

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 1:
            raise InputError(f"workers = {self.most}; give one at least")

    def run(
        self, prepare: Callable[[Any], Callable[[Any], Any]], shared: Any, jobs: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """As `mjx_msm.common.executors.executor.Executor` has it; nobody dies here."""
        if not jobs:
            return
        width = min(self.most or PEOPLE, len(jobs))
        meeting = _Meeting(width, prepare(shared), list(enumerate(jobs))[::-1])
        threads = [threading.Thread(target=meeting.work, args=(k,), name=f"job {k}", daemon=True) for k in range(width)]
        with warnings.catch_warnings():  # those of the threads leave the filters as whoever ends last found them
            for thread in threads:
                thread.start()
            try:
                yield from meeting.hold()
            finally:
                meeting.break_up()
                for thread in threads:
                    thread.join()


@dataclass(eq=False)
class _Call:
    """What a job waits for."""

    place: int
    """Of the job's thread: calls are stacked in this order, in whichever they come."""
    function: Any
    double: bool
    """Whether it is computed in double precision, which is of a thread."""
    structure: Any
    fixed: tuple[Any, ...]
    """Leaves that are no arrays, None in the place of those that are."""
    arrays: list[Any]
    answer: Any = None
    error: BaseException | None = None
    answered: bool = False

    @property
    def key(self) -> Hashable:
        """What calls that can be made as one have in common."""
        shapes = tuple((x.shape, x.dtype.str) for x in self.arrays)
        return self.function, self.double, self.structure, self.fixed, shapes


class _Meeting:
    """Where jobs wait for each other."""

    def __init__(self, width: int, do: Callable[[Any], Any], left: list[tuple[int, Any]]):
        self._changed, self._width, self._do, self._left = threading.Condition(), width, do, left
        self._at_work, self._waiting, self._broken = width, [], False
        self._ended: list[tuple[int, Any, BaseException | None]] = []
        self._stacks: dict[Hashable, tuple[Sequence[Any], Any]] = {}

    def work(self, place: int) -> None:
        """One job after the other."""
        with called_by(partial(self._call, place)):
            while True:
                with self._changed:
                    if self._broken or not self._left:
                        self._at_work -= 1
                        self._changed.notify_all()
                        return
                    index, job = self._left.pop()
                result, error = None, None
                try:
                    result = self._do(job)
                except BaseException as raised:
                    error = raised
                with self._changed:
                    self._ended.append((index, result, error))
                    self._changed.notify_all()

    def _call(self, place: int, function: Any, arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(as_compiled_for(arguments))
        arrays = [x for x in leaves if _is_array(x)]
        fixed = tuple(None if _is_array(x) else x for x in leaves)
        double = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
        call = _Call(place, function, double, structure, fixed, arrays)
        with self._changed:
            self._waiting.append(call)
            self._changed.notify_all()
            while not call.answered and not self._broken:
                self._changed.wait()
        if not call.answered:
            raise KeyboardInterrupt
        if call.error is not None:
            raise call.error
        return call.answer

    def hold(self) -> Iterator[tuple[int, Any]]:
        """Answer calls until all jobs have ended, whose results come as they do."""
        while True:
            with self._changed:
                while not self._ended and self._at_work > len(self._waiting):
                    self._changed.wait()
                ended, self._ended = self._ended, []
                all_here = self._at_work == len(self._waiting)
                calls, at_work = self._waiting if all_here else [], self._at_work
            for index, result, error in ended:
                if error is not None:
                    raise error
                yield index, result
            if ended:
                continue
            if not at_work:
                return
            self._answer(calls)
            with self._changed:
                self._waiting = []
                for call in calls:
                    call.answered = True
                self._changed.notify_all()

    def break_up(self) -> None:
        """Whoever waits is interrupted, nobody begins another job."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    def _answer(self, calls: Sequence[_Call]) -> None:
        groups: dict[Hashable, list[_Call]] = {}
        for call in sorted(calls, key=lambda c: c.place):
            groups.setdefault(call.key, []).append(call)
        for key, group in groups.items():
            with jax.enable_x64(group[0].double):
                if FEW * len(group) <= self._width or len(group) == 1:
                    for call in group:
                        _alone(call)
                else:
                    self._as_one(key, group)

    def _as_one(self, key: Hashable, group: Sequence[_Call]) -> None:
        """Answer calls of one kind, of which the last one fills up what lacks."""
        first, rows = group[0], [c.arrays for c in group] + [group[-1].arrays] * (self._width - len(group))
        columns = list(zip(*rows, strict=True))
        own = tuple(k for k, column in enumerate(columns) if any(x is not column[0] for x in column))
        shared = [column[0] for k, column in enumerate(columns) if k not in own]
        stacked = [self._stacked((key, k), columns[k]) for k in own]
        try:
            found = first.function.for_many(shared, stacked, _Arguments(first.structure, first.fixed, own))
            found = jax.tree.map(lambda x: np.asarray(x) if _is_array(x) else x, found)
        except Exception as error:
            for call in group:
                call.error = error
            return
        for i, call in enumerate(group):
            call.answer = jax.tree.map(lambda x, i=i: x[i, ...] if _is_array(x) else x, found)

    def _stacked(self, place: Hashable, column: Sequence[Any]) -> Any:
        """Arrays along a new first axis; JAX's that are those of the last time are not stacked again. NumPy's are: the
        same one may hold other values now."""
        before = self._stacks.get(place)
        if before is not None and all(x is y for x, y in zip(before[0], column, strict=True)):
            return before[1]
        stacked = jax.device_put(np.stack([np.asarray(x) for x in column]))
        if all(isinstance(x, jax.Array) for x in column):
            self._stacks[place] = column, stacked
        return stacked


def _alone(call: _Call) -> None:
    try:
        args, kwargs = jax.tree.unflatten(call.structure, _leaves(call.fixed, iter(call.arrays)))
        call.answer = call.function(*args, **kwargs)
    except Exception as error:
        call.error = error


@dataclass(frozen=True)
class _Arguments:
    """What makes the arguments of one call of the arrays that all share and of its own."""

    structure: Any
    fixed: tuple[Any, ...]
    own: tuple[int, ...]
    """Which of the arrays are."""

    def __call__(self, shared: Sequence[Any], mine: Sequence[Any]) -> Any:
        rest, its = iter(shared), dict(zip(self.own, mine, strict=True))
        count = len(shared) + len(mine)
        arrays = iter([its[k] if k in its else next(rest) for k in range(count)])
        return jax.tree.unflatten(self.structure, _leaves(self.fixed, arrays))


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray)


def _leaves(fixed: Sequence[Any], arrays: Iterator[Any]) -> list[Any]:
    return [next(arrays) if x is None else x for x in fixed]
