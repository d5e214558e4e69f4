"""A session to perform: its trials, what it is expected to tell, and its file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
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
                files["velocity"] = f"{trial.name}_velocity.csv"
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
        write_text(folder / "design.json", json.dumps(_finite(data), indent=1, ensure_ascii=False) + "\n")
        return folder / "design.json"

    @staticmethod
    def load(path: str | Path) -> Design:
        """Read what `save` wrote: its folder, or the JSON file in it.

        **Raises:** `InputError` if it is not one.
        """
        path = Path(path)
        path = path / "design.json" if path.is_dir() else path
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); give the folder that a design was saved in"
            ) from None
        except ValueError as error:
            raise InputError(f"{path}: is not valid JSON ({error}); save the design again") from None
        try:
            return _restored(data, path.parent)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is not a design, or is damaged ({error}); save it again") from None

    def __str__(self) -> str:
        """The table, as plain text."""
        from io import StringIO

        from rich.console import Console

        console = Console(file=StringIO(), width=118)
        console.print(self)
        return console.file.getvalue()  # type: ignore[attr-defined]

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


def _restored(data: Mapping[str, Any], folder: Path) -> Design:
    trials, tasks = [], []
    for entry in data["trials"]:
        motion, emg = (read_csv(folder / entry[what]) for what in ("motion", "emg"))
        payload = float(entry["payload"])
        velocity = read_csv(folder / entry["velocity"]).values if "velocity" in entry else None
        metadata = {"designed": True, **({"payload": payload} if payload else {})}
        trials.append(
            Trial(
                entry["name"], motion.time, motion.columns, motion.values, emg.columns, emg.values, velocity=velocity,
                metadata=metadata,
            )
        )  # fmt: skip
        tasks.append(Task(entry["name"], entry["posture"], payload, emg.columns, emg.time, emg.values))
    numbers = ("value", "size", "before", "after", "data_share")
    return Design(
        trials=tuple(trials),
        tasks=tuple(tasks),
        grip=Grip(data["grip"]["body"], tuple(data["grip"]["position"])) if data["grip"] else None,
        forecast=Forecast(
            information=np.array(data["total_information"], dtype=float),
            covariance=np.array(data["covariance"], dtype=float),
            expectations=tuple(
                Expectation(row["path"], row["unit"], *(float(row[n]) for n in numbers)) for row in data["parameters"]
            ),
            undetermined=tuple(data["undetermined"]),
        ),
        informations=np.array(data["information"], dtype=float),
        judged=tuple(data["judged"]),
        criterion=data["criterion"],
        history=tuple((int(count), float(score)) for count, score in data["history"]),
        angle_noise=float(data["angle_noise"]),
        rate=float(data["rate"]),
        interrupted=bool(data["interrupted"]),
    )


def _finite(value: Any) -> Any:
    """JSON has no infinity; it is written as a string."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
