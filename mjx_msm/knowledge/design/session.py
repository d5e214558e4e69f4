"""A session to perform: its trials, what it is expected to tell, and its file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import file_name, write_text
from mjx_msm.common.json_files import finite, list_of, plain_json, read_json, record_of, table_of
from mjx_msm.common.printable import printable
from mjx_msm.knowledge.design.forecast import Expectation, Forecast
from mjx_msm.knowledge.design.task import Task
from mjx_msm.person.payload import Grip
from mjx_msm.recordings.readers.delimited import read_csv, write_csv
from mjx_msm.recordings.trial import Trial


@dataclass(frozen=True)
class Design:
    """A session to perform and what it is expected to tell. Immutable; prints as a table, saves to a folder."""

    trials: tuple[Trial, ...]
    """Excitations as EMG, the predicted motion; payload [kg] in the metadata."""
    tasks: tuple[Task, ...]
    grip: Grip | None
    """Where payloads are held."""
    forecast: Forecast
    informations: Float[np.ndarray, "trial free free"]
    """Of every trial; with what was known before they add up to that of the forecast."""
    judged: tuple[str, ...]
    """Parameters that all candidates together determine, among which the criterion "worst" looks for the widest."""
    criterion: str
    history: tuple[tuple[int, float], ...]
    """Candidates simulated and the criterion of the best set: expected gain of information [nat] for "D", minus the
    logarithm of the widest relative interval for "worst"."""
    angle_noise: float
    """[rad]."""
    rate: float
    """Of the recording [Hz]."""
    interrupted: bool = False

    @property
    def worst(self) -> Expectation:
        """The parameter whose relative interval will be the widest, among those judged."""
        return max((self.forecast[path] for path in self.judged), key=lambda e: e.after)

    def save(self, folder: str | Path) -> Path:
        """Write ``design.json`` and, for every trial, its excitations and predicted motion as CSV; see `load`.

        **Returns:** the JSON file.
        """
        folder = Path(folder)
        tasks = []
        for trial, task in zip(self.trials, self.tasks, strict=True):
            files = trial.save(folder)
            if trial.velocity is not None:
                files["velocity"] = f"{file_name(trial.name)}_velocity.csv"
                columns = dict(zip(trial.coordinates, trial.velocity.T, strict=True))
                write_csv(folder / str(files["velocity"]), trial.time, columns)
            tasks.append({**files, "posture": dict(task.posture), "payload": task.payload})
        data = {
            "criterion": self.criterion,
            "angle_noise": self.angle_noise,
            "rate": self.rate,
            "grip": asdict(self.grip) if self.grip else None,
            "trials": tasks,
            "parameters": [asdict(e) for e in self.forecast.expectations],
            "judged": list(self.judged),
            "undetermined": list(self.forecast.undetermined),
            "information": self.informations.tolist(),
            "total_information": self.forecast.information.tolist(),
            "covariance": self.forecast.covariance.tolist(),
            "history": [list(h) for h in self.history],
            "interrupted": self.interrupted,
        }
        write_text(folder / "design.json", json.dumps(plain_json(data), indent=1, ensure_ascii=False) + "\n")
        return folder / "design.json"

    @staticmethod
    def load(path: str | Path) -> Design:
        """Read what `save` wrote: its folder, or the JSON file in it.

        **Raises:** `InputError` if it is not one.
        """
        path = Path(path)
        path = path / "design.json" if os.path.isdir(path) else path
        data = read_json(path, "design", "save the design again")
        try:
            return _restored(data, path.parent)
        except ValueError as error:
            if isinstance(error, InputError):  # of one of its recordings
                raise
            raise InputError(f"{path}: is not a design, or is damaged ({error}); save it again") from None

    def __str__(self) -> str:
        """The table, as plain text."""
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), width=118, force_jupyter=False)
        console.print(self)
        return printable(console.file.getvalue())  # type: ignore[attr-defined]

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.markup import escape
        from rich.table import Table

        noise = f"angles at {self.rate:g} Hz ± {math.degrees(self.angle_noise):.2g}°"
        yield f"[bold]{len(self.tasks)} trials[/bold], {noise}"
        for task in self.tasks:
            yield f"  {escape(str(task))}"
        table = Table("parameter", "unit", "value", "± before", "± after", "data", "", box=None, pad_edge=False)
        for column in table.columns[2:6]:
            column.justify = "right"
        for e in self.forecast.expectations:
            known = f"{100 * e.before:.3g} %" if math.isfinite(e.before) else ""
            after = f"{100 * e.after:.3g} %" if e.determined else "[dim]not determined[/dim]"
            mark = "[yellow]worst[/yellow]" if e is self.worst else ""
            table.add_row(escape(e.path), e.unit, f"{e.value:.4g}", known, after, f"{100 * e.data_share:.0f} %", mark)
        yield ""
        yield table
        if self.forecast.undetermined:
            yield "\n[bold]Not determined by this session[/bold] (the prior decides):"
            for line in self.forecast.undetermined[:12]:
                yield f"  {escape(line)}"


@dataclass(frozen=True)
class _Entry:
    """A trial as the file has it."""

    name: str
    motion: str
    emg: str
    posture: Mapping[str, float]
    payload: float
    velocity: str = ""


@dataclass(frozen=True)
class _File:
    """What the file holds."""

    criterion: str
    angle_noise: float
    rate: float
    grip: Grip | None
    trials: tuple[_Entry, ...]
    parameters: tuple[Expectation, ...]
    judged: tuple[str, ...]
    undetermined: tuple[str, ...]
    information: tuple[tuple[tuple[float, ...], ...], ...]
    total_information: tuple[tuple[float, ...], ...]
    covariance: tuple[tuple[float, ...], ...]
    history: tuple[tuple[float, ...], ...]
    interrupted: bool


_READ = record_of(
    _File,
    {
        "grip": lambda value: None if value is None else record_of(Grip, {"position": list_of(finite)})(value),
        "trials": list_of(record_of(_Entry, {"posture": table_of(finite), "payload": finite}, optional=("velocity",))),
        "parameters": list_of(record_of(Expectation)),
        "information": list_of(list_of(list_of(finite))),
        "total_information": list_of(list_of(finite)),
    },
)


def _restored(data: Any, folder: Path) -> Design:
    """**Raises:** `ValueError` naming what in the file is not as it was saved."""
    held: _File = _READ(data)
    _check(held)
    trials, tasks = [], []
    for entry in held.trials:
        motion, emg = (read_csv(folder / name) for name in (entry.motion, entry.emg))
        velocity = read_csv(folder / entry.velocity).values if entry.velocity else None
        metadata = {"designed": True, **({"payload": entry.payload} if entry.payload else {})}
        trials.append(
            Trial(
                entry.name, motion.time, motion.columns, motion.values, emg.columns, emg.values, velocity=velocity,
                metadata=metadata,
            )
        )  # fmt: skip
        tasks.append(Task(entry.name, entry.posture, entry.payload, emg.columns, emg.time, emg.values))
    return Design(
        trials=tuple(trials),
        tasks=tuple(tasks),
        grip=held.grip,
        forecast=Forecast(
            information=np.array(held.total_information),
            covariance=np.array(held.covariance),
            expectations=held.parameters,
            undetermined=held.undetermined,
        ),
        informations=np.array(held.information),
        judged=held.judged,
        criterion=held.criterion,
        history=tuple((int(count), score) for count, score in held.history),
        angle_noise=held.angle_noise,
        rate=held.rate,
        interrupted=held.interrupted,
    )


def _check(held: _File) -> None:
    """Whether the parts of a file agree with each other.

    **Raises:** `ValueError` naming the part that does not.
    """
    paths = [e.path for e in held.parameters]
    square = [len(paths)] * len(paths)
    for name, matrix in (("total_information", held.total_information), ("covariance", held.covariance)):
        if [len(row) for row in matrix] != square:
            raise ValueError(f"{name} is not one row and column a parameter")
    if len(held.information) != len(held.trials) or any([len(r) for r in m] != square for m in held.information):
        raise ValueError("information is not one matrix a trial")
    if not held.trials or not held.judged or not set(held.judged) <= set(paths):
        raise ValueError("it has no trial, or judges a parameter that it does not have")
    if any(len(h) != 2 or not math.isfinite(h[0]) for h in held.history):
        raise ValueError("history is not made of pairs")
    if not (0 < held.rate < math.inf and 0 < held.angle_noise < math.inf) or any(t.payload < 0 for t in held.trials):
        raise ValueError("rate, angle_noise or a payload is not positive")
    if held.grip is not None and len(held.grip.position) != 3:
        raise ValueError("the position of the grip is not three numbers")
    for e in held.parameters:
        if not (math.isfinite(e.value) and 0 < e.size < math.inf and e.before >= 0 and e.after >= 0):
            raise ValueError(f"parameter {e.path} has a value, size or interval that is none")
        if not 0 <= e.data_share <= 1:
            raise ValueError(f"parameter {e.path} has a share of the data of {e.data_share:g}")
