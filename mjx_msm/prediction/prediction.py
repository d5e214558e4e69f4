"""`Prediction`: what an identified person's muscles and joints do in a recording, and its files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mjx_msm.knowledge.records import Fit
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.storage import write_storage


@dataclass(frozen=True)
class Curves:
    """One quantity over time: best values, and the band that holds it with 95 % probability as far as is known."""

    unit: str
    names: tuple[str, ...]
    value: Float[np.ndarray, "time name"]
    """Of the estimate."""
    low: Float[np.ndarray, "time name"]
    high: Float[np.ndarray, "time name"]
    about: tuple[str, ...] = ()
    """What a reader of numbers alone would not know, such as the axes they are in; lines of the file's header."""

    def __getitem__(self, name: str) -> Float[np.ndarray, "time"]:
        """The best values of one column."""
        return self.value[:, self.names.index(name)]


@dataclass(frozen=True)
class Prediction:
    """A recording as an identified person's model explains it, at instants of the recorded motion."""

    subject: str
    trial: str
    time: Float[np.ndarray, "time"]
    """[s], the recording's own."""
    muscles: tuple[str, ...]
    coordinates: tuple[str, ...]
    """All of the model's."""
    free: tuple[str, ...]
    position: Float[np.ndarray, "time coordinate"]
    """Recorded, smoothed [rad]."""
    curves: Mapping[str, Curves]
    """By quantity, see `mjx_msm.predict`."""
    strength: Float[np.ndarray, "muscle"]
    """F0 [N]."""
    recorded_moment: Float[np.ndarray, "time free"] | None = None
    """[N·m]; NaN where none was recorded."""
    fits: tuple[Fit, ...] = ()
    """Errors against recorded moments, with those of baselines beside."""
    seen: bool | None = None
    """Whether the person was identified from this very recording; None where the files of either are not known."""

    def held(self, coordinate: str) -> float:
        """Share of the recorded moments of a free coordinate that lie in the band, 0 to 1; NaN where none was.

        The band is of the parameters and of the noise that the person was identified with: a task unlike those it was
        identified from is missed by more.
        """
        if self.recorded_moment is None:
            return math.nan
        made, k = self["moment"], self.free.index(coordinate)
        recorded = self.recorded_moment[:, k]
        seen = np.isfinite(recorded)
        inside = (recorded >= made.low[:, k]) & (recorded <= made.high[:, k])
        return float(inside[seen].mean()) if seen.any() else math.nan

    def __getitem__(self, quantity: str) -> Curves:
        return self.curves[quantity]

    def save(self, folder: str | Path) -> list[Path]:
        """Write into a folder: a `.sto` a quantity (best values) and one CSV of everything, bands included.

        The CSV's columns are ``quantity/name``, ``quantity/name/low`` and ``.../high``; units are SI.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written, columns = [], {}
        for quantity, c in self.curves.items():
            written.append(folder / f"{quantity}.sto")
            titles = [f"{n}_moment" if quantity == "moment" else n for n in c.names]
            write_storage(
                written[-1],
                self.time,
                dict(zip(titles, c.value.T, strict=True)),
                f"{quantity} [{c.unit}] of {self.trial}",
                c.about,
            )
            for k, name in enumerate(c.names):
                columns[f"{quantity}/{name}"] = c.value[:, k]
                columns[f"{quantity}/{name}/low"], columns[f"{quantity}/{name}/high"] = c.low[:, k], c.high[:, k]
        if self.recorded_moment is not None:
            columns |= {f"recorded_moment/{n}": x for n, x in zip(self.free, self.recorded_moment.T, strict=True)}
        written.append(folder / "prediction.csv")
        write_csv(written[-1], self.time, columns)
        return written
