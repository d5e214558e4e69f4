"""One trial as recorded and as simulated, side by side: what figures and films of it are drawn from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.cycle_error import in_words, mean_errors
from mjx_msm.knowledge.judged_errors import banded
from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.recordings.cycles import LEAST, cycle_count
from mjx_msm.recordings.readers.delimited import read_csv, write_csv


@dataclass(frozen=True)
class Replay:
    """One trial on one clock, recorded and simulated side by side; NaN where a recording has nothing."""

    name: str
    time: Float[np.ndarray, "time"]
    """[s], the recording's own."""
    coordinates: tuple[str, ...]
    """All of the model's."""
    free: tuple[str, ...]
    muscles: tuple[str, ...]
    position: Float[np.ndarray, "time coordinate"]
    """Recorded [rad]; of prescribed and locked coordinates, as the simulation holds them."""
    activation: Float[np.ndarray, "time muscle"]
    """Of the identified subject, 0..1."""
    simulated: Mapping[str, Float[np.ndarray, "time free"]]
    """"generic" and "identified" to free-running positions [rad]; empty if the motion was not simulated."""
    moment: Float[np.ndarray, "time free"] | None = None
    """Recorded net moments [N·m]."""
    predicted: Mapping[str, Float[np.ndarray, "time free"]] | None = None
    """"generic" and "identified" to moments of muscles and passive joint along the recorded motion [N·m]."""
    band: tuple[Float[np.ndarray, "time free"], Float[np.ndarray, "time free"]] | None = None
    """Ends of the 95 % band of the identified moment [N·m]: what parameters and noise leave open."""

    def band_holds(self, k: int) -> float:
        """Part of the recorded moment of a free coordinate that lies in its band; NaN without."""
        if self.band is None or self.moment is None:
            return float("nan")
        seen = np.isfinite(self.moment[:, k])
        inside = (self.moment[:, k] >= self.band[0][:, k]) & (self.moment[:, k] <= self.band[1][:, k])
        return float(np.mean(inside[seen])) if seen.any() else float("nan")

    def pose(self, version: str | None = None) -> Float[np.ndarray, "time coordinate"]:
        """Every coordinate, the free ones as recorded (None) or as the "generic" or "identified" model moves."""
        q = self.position.copy()
        if version is not None and version in self.simulated:
            q[:, [self.coordinates.index(c) for c in self.free]] = self.simulated[version]
        return q

    def save(self, path: Path) -> None:
        """Write as CSV; a name that is not the file's goes into a comment before the table."""
        columns: dict[str, np.ndarray] = {}
        columns |= {f"position/{c}": self.position[:, i] for i, c in enumerate(self.coordinates)}
        for version, values in self.simulated.items():
            columns |= {f"position/{c}/{version}": values[:, k] for k, c in enumerate(self.free)}
        if self.moment is not None:
            columns |= {f"moment/{c}": self.moment[:, k] for k, c in enumerate(self.free)}
        for version, values in (self.predicted or {}).items():
            columns |= {f"moment/{c}/{version}": values[:, k] for k, c in enumerate(self.free)}
        for end, values in zip(("low", "high"), self.band or (), strict=False):
            columns |= {f"moment/{c}/{end}": values[:, k] for k, c in enumerate(self.free)}
        columns |= {f"activation/{m}": self.activation[:, i] for i, m in enumerate(self.muscles)}
        write_csv(path, self.time, columns)
        if self.name != path.stem:
            path.write_text(f"{_NAME}{json.dumps(self.name)}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")

    @staticmethod
    def load(path: Path, free: Sequence[str]) -> Replay:
        """Read what `save` wrote."""
        table = read_csv(path)
        names = [c.split("/") for c in table.columns]

        def block(kind: str, *rest: str) -> tuple[tuple[str, ...], np.ndarray]:
            chosen = [n for n in names if n[0] == kind and tuple(n[2:]) == rest]
            return tuple(n[1] for n in chosen), np.stack([table["/".join(n)] for n in chosen], -1)

        versions = {kind: [v for v in ("generic", "identified") if any(n[0] == kind and n[2:] == [v] for n in names)]
                    for kind in ("position", "moment")}  # fmt: skip
        coordinates, position = block("position")
        muscles, activation = block("activation")
        banded = any(n[0] == "moment" and n[2:] == ["low"] for n in names)
        has_moment = any(n[0] == "moment" for n in names)
        return Replay(
            _name(path),
            table.time,
            coordinates,
            tuple(free),
            muscles,
            position,
            activation,
            {v: block("position", v)[1] for v in versions["position"]},
            block("moment")[1] if has_moment else None,
            {v: block("moment", v)[1] for v in versions["moment"]} if has_moment else None,
            (block("moment", "low")[1], block("moment", "high")[1]) if banded else None,
        )


def with_bands(result: Identification, trials: Sequence[Replay]) -> Identification:
    """The result with what curves tell of its errors, as far as `trials` hold them: what the bands of held-out moments
    hold, errors without what may be the other foot's force, and where in the cycle the unseen is off every time."""
    held = {(t.name, c): t.band_holds(k) for t in trials for k, c in enumerate(t.free)}
    fits = banded(result.fits, "held-out", held)
    return replace(result, fits=tuple(_told(f, result, trials) for f in fits))


def _told(fit: Fit, result: Identification, trials: Sequence[Replay]) -> Fit:
    trial = next((t for t in trials if t.name == fit.trial), None)
    if trial is None or fit.kind != "moment" or fit.coordinate not in trial.free:
        return fit
    unseen = next((u for u in result.unseen if (u.trial, u.coordinate) == (fit.trial, fit.coordinate)), None)
    if fit.role == "cross-validated":
        if unseen is None:
            return fit
        time, error = np.array(unseen.time), np.subtract(unseen.predicted, unseen.recorded)
    elif trial.moment is None or "identified" not in (trial.predicted or {}):
        return fit
    else:
        k = trial.free.index(fit.coordinate)
        time, error = trial.time, (trial.predicted or {})["identified"][:, k] - trial.moment[:, k]
    apart, crossed = None, np.zeros(len(time), dtype=bool)
    for own in result.other_foot:
        if own.trial == fit.trial and fit.coordinate in own.coordinates:
            for first, last in own.spans:
                crossed |= (time >= first - 1e-9) & (time <= last + 1e-9)
    rest = error[~crossed & np.isfinite(error)]
    if crossed.any() and len(rest):
        apart = float(np.sqrt(np.mean(np.square(rest))))
    deviates, count = "", cycles_of(trial)
    if fit.role != "identify" and count is not None:
        deviates = in_words(mean_errors(np.interp(time, trial.time, count), error), "N·m")
    return replace(fit, apart=apart, deviates=deviates)


def cycles_of(trial: Replay) -> Float[np.ndarray, "time"] | None:
    """Cycles of the first free coordinate that have passed; None of fewer than `LEAST` whole ones."""
    angle = bridged(trial.position)[:, trial.coordinates.index(trial.free[0])]
    if len(trial.time) < 3 or not np.isfinite(angle).all():
        return None
    count = cycle_count(trial.time, angle)
    return count if count is not None and np.floor(count[-1]) - np.ceil(count[0]) >= LEAST else None


def bridged(values: Float[np.ndarray, "time coordinate"]) -> Float[np.ndarray, "time coordinate"]:
    """Gaps of a recording bridged, so that there is a pose to draw at every instant."""
    out = values.copy()
    for column in out.T:
        good = np.isfinite(column)
        if good.any() and not good.all():
            column[~good] = np.interp(np.flatnonzero(~good), np.flatnonzero(good), column[good])
    return out


_NAME = "# trial: "
"""Begins the first line of a file that is not called as its trial."""


def _name(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    if not first.startswith(_NAME):
        return path.stem
    try:
        return str(json.loads(first.removeprefix(_NAME)))
    except ValueError:
        raise InputError(f"{path}: its first line is damaged; identify again") from None
