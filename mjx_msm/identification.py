"""`Identification`: what was estimated, how well, and what the data left open. One value, one JSON file."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.errors import InputError
from mjx_msm.files import write_text
from mjx_msm.model import MUSCLES, Model, load_model
from mjx_msm.parameters import Parameters
from mjx_msm.personalisation import export

SCHEMA = 1


class Outcome(enum.Enum):
    """How the solver ended."""

    CONVERGED = "converged"
    MAX_EVALUATIONS = "ran out of evaluations"
    NOT_FINITE = "the simulation of some segments is not finite at the estimate: do not use it"
    INTERRUPTED = "interrupted; the last completed iteration is kept"


@dataclass(frozen=True)
class Estimate:
    """One estimated parameter. Numbers are in `unit`; of an inertia, log-Cholesky coordinates."""

    path: str
    unit: str
    start: float
    value: float
    sd: float
    """Standard deviation of the posterior; infinite if nothing determines the parameter."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    data_share: float
    """Part of the estimate that comes from the data, 0 (all prior) to 1."""
    bound: str = ""
    """"lower" or "upper" where the estimate sits on a bound."""

    @property
    def determined(self) -> bool:
        """Whether the data hold at least as much information on it as the prior."""
        return self.data_share >= 0.5 and math.isfinite(self.sd)


@dataclass(frozen=True)
class Fit:
    """Error of one coordinate in one trial, before and after."""

    trial: str
    role: str
    """"identify", "held-out" or "cross-validated"."""
    kind: str
    coordinate: str
    unit: str
    generic: float
    """Root mean square error of the starting model."""
    identified: float
    correlation: float
    """Pearson correlation of identified and recorded signal."""
    spread: float
    """Standard deviation of the recorded signal."""


@dataclass(frozen=True)
class Stage:
    """One stage of the estimator."""

    name: str
    cost: float
    evaluations: int
    seconds: float
    noise: Mapping[str, float]
    """Estimated noise scale per kind and coordinate."""


@dataclass(frozen=True)
class Identification:
    """The result of `identify`. Immutable; prints as a table, saves to JSON, reloads, exports."""

    subject: str
    source: str
    """Model name or MJCF path it was identified on."""
    muscle_model: str
    timestep: float
    """Of the model [s]."""
    free: tuple[str, ...]
    prescribed: tuple[str, ...]
    locked: Mapping[str, float]
    channels: tuple[str, ...]
    emg_map: Mapping[str, Mapping[str, float]]
    outcome: Outcome
    parameters: Mapping[str, float]
    """Every scalar parameter of the personalised model by path, estimated or not."""
    estimates: tuple[Estimate, ...]
    undetermined: tuple[str, ...]
    """Combinations of parameters the data do not determine, in words."""
    z: tuple[float, ...]
    """The estimate in the solver's coordinates."""
    covariance: tuple[tuple[float, ...], ...]
    """Of z."""
    fits: tuple[Fit, ...]
    stages: tuple[Stage, ...]
    seed: int
    versions: Mapping[str, str]
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the input files."""
    schema: int = SCHEMA

    def __getitem__(self, path: str) -> Estimate:
        """The estimate of one parameter."""
        for e in self.estimates:
            if e.path == path:
                return e
        raise KeyError(f"{path} was not estimated")

    # Files -------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all."""
        path = Path(path)
        data = asdict(self) | {"outcome": self.outcome.name}
        write_text(path, json.dumps(_finite(data), indent=1, ensure_ascii=False) + "\n")
        return path

    @staticmethod
    def load(path: str | Path) -> Identification:
        """Read a saved result: the JSON file, or the folder it was saved in.

        **Raises:** `InputError` if it is not one.
        """
        path = Path(path)
        if path.is_dir():
            path = path / "identification.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as e:
            raise InputError(
                f"{path}: cannot be read ({e.strerror}); give a folder that `mjx-msm identify` wrote"
            ) from None
        except ValueError as e:
            raise InputError(
                f"{path}: is not valid JSON ({e}); it was not written by `mjx-msm identify`, or it was edited"
            ) from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else None
            raise InputError(f"{path}: schema {found} is not {SCHEMA}; identify again with this version")
        try:
            return _restore(data)
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            raise InputError(f"{path}: is damaged ({e}); identify again") from None

    # Use ---------------------------------------------------------------------------------------------------

    def model(self) -> Model:
        """The model it was identified on, with the same coordinates free, prescribed and locked.

        **Raises:** `InputError` if its muscle model is a class of your own, which a file cannot name.
        """
        if self.muscle_model not in MUSCLES:
            raise InputError(
                f"muscle model '{self.muscle_model}' is not one of {', '.join(MUSCLES)}; pass the model it was "
                "identified on"
            )
        return load_model(
            self.source,
            timestep=self.timestep,
            muscle=self.muscle_model,
            free=self.free,
            prescribed=self.prescribed,
            locked=self.locked,
        )

    def personalised(self, model: Model | None = None) -> Parameters:
        """The subject's parameters."""
        model = self.model() if model is None else model
        return model.nominal.with_channels(self.channels).updated(self.parameters)

    def export(self, path: str | Path, model: Model | None = None) -> Path:
        """Write the subject as an ordinary MJCF file.

        **Arguments:** `model`: what it was identified on; needed where that had muscle constants or a class of
        your own, by default loaded from `source`.

        A muscle model that MJCF cannot hold is approximated by MuJoCo's native muscle; its force error is
        written into the file.
        """
        model = self.model() if model is None else model
        return export(model, self.personalised(model), path, subject=self.subject, allow_approximation=True)

    def sample(self, count: int, seed: int) -> Float[np.ndarray, "count free"]:
        """Draws of z from the Laplace posterior; directions nothing determines stay at the estimate."""
        covariance = np.array(self.covariance)
        known = np.isfinite(np.diag(covariance))
        covariance = np.where(known[:, None] & known[None, :], covariance, 0.0)
        value, vector = np.linalg.eigh(covariance)
        root = vector * np.sqrt(np.maximum(value, 0.0))
        draws = np.random.default_rng(seed).standard_normal((count, len(self.z))) @ root.T
        return np.array(self.z) + np.where(known, draws, 0.0)

    # Words -------------------------------------------------------------------------------------------------

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

        name = escape(self.subject or "subject")
        yield f"[bold]{name}[/bold] on model {escape(Path(self.source).name)}: {self.outcome.value}"
        table = Table("parameter", "unit", "start", "estimate", "95 % interval", "data", "", box=None, pad_edge=False)
        for column in table.columns[2:6]:
            column.justify = "right"
        for e in self.estimates:
            if e.determined:
                row = (f"{e.value:.4g}", f"{e.low:.4g} … {e.high:.4g}", f"{100 * e.data_share:.0f} %")
            else:  # a number with no identifiability behind it is not printed as one
                row = (
                    "[dim]not determined[/dim]",
                    f"[dim]{e.low:.4g} … {e.high:.4g}[/dim]" if math.isfinite(e.sd) else "",
                    f"{100 * e.data_share:.0f} %",
                )
            table.add_row(
                escape(e.path),
                e.unit,
                f"{e.start:.4g}",
                *row,
                f"[yellow]at {e.bound} bound[/yellow]" if e.bound else "",
            )
        yield table
        if self.undetermined:
            yield "\n[bold]Not determined by these data[/bold] (the prior decides):"
            for line in self.undetermined[:12]:
                yield f"  {escape(line)}"
            if len(self.undetermined) > 12:
                yield f"  … and {len(self.undetermined) - 12} more"
        if self.fits:
            errors = Table(
                "trial",
                "role",
                "coordinate",
                "error in",
                "generic",
                "identified",
                "r",
                "spread of data",
                box=None,
                pad_edge=False,
            )
            for column in errors.columns[4:]:
                column.justify = "right"
            for f in self.fits:
                unit, factor = ("°", 180 / math.pi) if f.unit == "rad" else (f.unit, 1.0)
                errors.add_row(
                    escape(f.trial),
                    f.role,
                    escape(f.coordinate),
                    f.kind,
                    f"{f.generic * factor:.3g} {unit}",
                    f"{f.identified * factor:.3g} {unit}",
                    f"{f.correlation:.3f}" if math.isfinite(f.correlation) else "",
                    f"{f.spread * factor:.3g} {unit}",
                )
            yield ""
            yield errors
            if any(f.identified > f.spread > 0 for f in self.fits):
                yield "[yellow]The identified model predicts worse than a constant: check units and signs.[/yellow]"

    def with_fits(self, fits: tuple[Fit, ...]) -> Identification:
        """A copy with further error rows, e.g. of a cross-validation."""
        return replace(self, fits=self.fits + fits)


def _finite(value: Any) -> Any:
    """JSON has no infinity; it is written as a string and read back as a number."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def _restore(data: Mapping[str, Any]) -> Identification:
    def number(x: Any) -> float:
        return float(x)

    def record(cls: Any, row: Mapping[str, Any]) -> Any:
        return cls(**{k: (number(v) if cls.__dataclass_fields__[k].type == "float" else v) for k, v in row.items()})

    names = ("subject", "source", "muscle_model", "timestep", "emg_map", "seed", "versions", "hashes", "schema")
    return Identification(
        **{k: data[k] for k in names},
        free=tuple(data["free"]),
        prescribed=tuple(data["prescribed"]),
        locked={k: number(v) for k, v in data["locked"].items()},
        channels=tuple(data["channels"]),
        outcome=Outcome[data["outcome"]],
        parameters={k: number(v) for k, v in data["parameters"].items()},
        estimates=tuple(record(Estimate, r) for r in data["estimates"]),
        undetermined=tuple(data["undetermined"]),
        z=tuple(map(number, data["z"])),
        covariance=tuple(tuple(map(number, row)) for row in data["covariance"]),
        fits=tuple(record(Fit, r) for r in data["fits"]),
        stages=tuple(record(Stage, r) for r in data["stages"]),
    )
