"""How far a long command is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from mjx_msm.identification.identify import Iteration


def _noise_text(noise: Mapping[str, tuple[float, str]]) -> str:
    degrees = {"rad": "°", "rad/s²": "°/s²"}
    parts = [(math.degrees(v), degrees[u]) if u in degrees else (v, u) for v, u in noise.values()]
    return ", ".join(f"{value:.3g} {unit}" for value, unit in parts)


class Progress:
    """Shows stage, iteration, cost and error: a bar on a terminal, a line per stage elsewhere."""

    def __init__(self, console: Console, quiet: bool = False):
        self._console, self._quiet, self._bar, self._last = console, quiet, None, None
        self._began, self._task = time.perf_counter(), None

    def __enter__(self) -> Progress:
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        if self._console.is_terminal and not self._quiet:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn(),
                       TextColumn("{task.fields[state]}"))  # fmt: skip
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("compiling", total=1.0, state="")
        return self

    def __call__(self, it: Iteration) -> None:
        if self._last is not None and it.stage != self._last.stage:
            self._line()
        self._last = it
        if self._bar is not None and self._task is not None:
            done = 0.99 * (it.index + 1 - 0.5 ** (it.iteration / 20)) / it.stages
            state = f"iteration {it.iteration}  cost {it.cost:.4g}  noise {_noise_text(it.noise)}"
            self._bar.update(self._task, description=_stage(it), completed=done, state=state)

    def _line(self) -> None:
        it = self._last
        if it is not None and not self._quiet:
            seconds = time.perf_counter() - self._began
            self._console.print(
                f"{seconds:6.1f} s  {_stage(it)}: {it.iteration} iterations, "
                f"cost {it.cost:.4g}, noise {_noise_text(it.noise)}"
            )
        self._last = None

    def ahead(self, what: str, times: int, seconds: float) -> None:
        """Before a long part: it does `times` over what took `seconds`, mostly without compiling again."""
        self._line()
        if not self._quiet:
            minutes = math.ceil(times * seconds / 60)
            span = "less than a minute" if minutes <= 1 else f"up to {minutes} minutes"
            self._console.print(f"{what}: {times} more identifications, {span}", style="dim")

    def drawn(self, done: int, count: int) -> None:
        """Another of the posterior's draws goes through the recording."""
        if done == 1:
            self._line()
            if self._bar is None and not self._quiet:
                self._console.print(f"posterior draws: taking {count} through the recording", style="dim")
        if self._bar is not None and self._task is not None:
            part = 0.99 * done / count  # a bar that is full stops its clock
            self._bar.update(self._task, description="posterior draws", completed=part, state=f"{done}/{count}")
        if done == count and not self._quiet:
            seconds = time.perf_counter() - self._began
            self._console.print(f"{seconds:6.1f} s  posterior draws: {count} taken through the recording")

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._line()


def _stage(it: Iteration) -> str:
    return it.stage if it.stage.startswith("cross") else f"stage {it.index + 1}/{it.stages} {it.stage}"


class Count:
    """Shows how many of a number of things are done: a bar on a terminal, a line every tenth elsewhere."""

    def __init__(self, console: Console, what: str, quiet: bool = False):
        self._console, self._what, self._quiet, self._bar, self._task = console, what, quiet, None, None
        self.done = self.total = self.turn = 0
        self._began = time.perf_counter()

    def __enter__(self) -> Count:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        if self._console.is_terminal and not self._quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                       TextColumn("left"), TimeRemainingColumn())  # fmt: skip
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=None)
        return self

    def __call__(self, done: int, total: int, turn: int = 0) -> None:
        """**Arguments:** `turn`: through all of them; 0: the first time."""
        before = self.done if turn == self.turn else 0
        tenth = total > 0 and (10 * done) // total > (10 * before) // total
        self.done, self.total, self.turn = done, total, turn
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=self.what, completed=done, total=total)
        elif tenth:
            seconds = time.perf_counter() - self._began
            self._console.print(f"{seconds:6.1f} s  {done} of {total} {self.what}", style="dim", markup=False)

    @property
    def what(self) -> str:
        """That is counted."""
        return f"{self._what} once more, turn {self.turn}" if self.turn else self._what

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
