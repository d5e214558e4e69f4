"""What goes wrong in an episode, and what counts as a violation: the scenario file.

```toml
seconds = 6.0                 # longest episode [s]; default: to the recording's end, else 6

[environment]                 # arguments of the environment, as in gymnasium.make
task = "walk"

[scenarios.stall]             # any name; every number is drawn anew for every episode
stall = 1.0                   # a fixed number
onset = [0.2, 1.0]            # evenly between two
duration = { log = [0.05, 0.5] }      # evenly on a logarithmic scale
payload = { normal = [2.0, 0.5] }     # mean and standard deviation; beyond what is possible: the nearest possible
slip = { choice = [0.0, 0.5, 1.0] }   # one of them
probability = 0.2             # see below

[violations.shank]            # any name
measure = "shank_force"       # one of the environment's `info`, "joint/<coordinate>", or "failed" (1: not finite)
above = 130.0                 # limit, in the measure's unit; or `below`, or both: outside of them
longer = 0.5                  # how long without a break [s]; default 0: at any instant
scale = 130.0                 # excess that counts as much as the limit; default the limit; needed where that is 0
unit = "N"                    # optional, for the report
```

The numbers of a scenario are those of `mjx_msm.envs.task.Disturbance`: onset, duration, tremor, tremor_frequency,
emg_dropout, stall, delay, slip, payload. Every person goes through every scenario; where scenarios have a `probability`
(then all have one, 1 together), every person goes through one that is drawn. Without [scenarios] or [violations] the
environment's own are taken; "failed" is always there. Measures are seen once in a control period (20 ms).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO
from mjx_msm.envs.co_transport import HAND_FORCE_LIMIT
from mjx_msm.envs.knee_exo import FORCE_LIMITS
from mjx_msm.envs.sensing import MAX_EXTRA_DELAY
from mjx_msm.envs.task import Disturbance
from mjx_msm.errors import InputError
from mjx_msm.readers import suggest

SECONDS = 6.0
"""Longest episode, where a scenario file does not say."""
POSSIBLE: Mapping[str, tuple[float, float]] = {
    "onset": (0.0, math.inf),
    "duration": (0.0, math.inf),
    "tremor": (0.0, 1.0),
    "tremor_frequency": (0.1, 25.0),
    "emg_dropout": (0.0, 1.0),
    "stall": (0.0, 1.0),
    "delay": (0.0, MAX_EXTRA_DELAY),
    "slip": (0.0, 1.0),
    "payload": (0.0, 100.0),
}
"""What a number of a disturbance can be; 25 Hz is half the control rate."""
FAILED = "failed"
BEYOND = 1e9
"""Margin of what is not a number."""


@dataclass(frozen=True)
class Quantity:
    """A number, or how it is drawn."""

    kind: str
    """"fixed", "uniform", "log", "normal" or "choice"."""
    numbers: tuple[float, ...]

    def draw(self, random: np.random.Generator) -> float:
        first, last = self.numbers[0], self.numbers[-1]
        if self.kind == "uniform":
            return float(random.uniform(first, last))
        if self.kind == "log":
            return math.exp(random.uniform(math.log(first), math.log(last)))
        if self.kind == "normal":
            return float(random.normal(first, last))
        if self.kind == "choice":
            return float(random.choice(self.numbers))
        return first

    def plain(self) -> Any:
        """As a scenario file writes it."""
        if self.kind == "fixed":
            return self.numbers[0]
        return list(self.numbers) if self.kind == "uniform" else {self.kind: list(self.numbers)}


@dataclass(frozen=True)
class Scenario:
    """A disturbance whose numbers are drawn for every episode."""

    name: str
    quantities: Mapping[str, Quantity]
    probability: float | None = None

    @property
    def random(self) -> bool:
        """Whether two episodes can differ in it."""
        return any(q.kind != "fixed" for q in self.quantities.values())

    def draw(self, random: np.random.Generator) -> dict[str, float]:
        """The fields of a `Disturbance` that it sets."""
        order = [name for name in Disturbance._fields if name in self.quantities]
        return {name: float(np.clip(self.quantities[name].draw(random), *POSSIBLE[name])) for name in order}

    def plain(self) -> dict[str, Any]:
        out = {name: q.plain() for name, q in self.quantities.items()}
        return out if self.probability is None else {**out, "probability": self.probability}


@dataclass(frozen=True)
class Violation:
    """A limit on a measure. Its *margin* is 1 at the limit and grows by 1 with every `scale` beyond."""

    name: str
    measure: str
    above: float | None = None
    below: float | None = None
    longer: float = 0.0
    """How long without a break [s]."""
    scale: float | None = None
    """By default the limit itself: the margin is then measure over limit."""
    unit: str = ""

    @property
    def text(self) -> str:
        """In words."""
        limits = [f"{sign} {x:g}" for sign, x in ((">", self.above), ("<", self.below)) if x is not None]
        unit = f" {self.unit}" if self.unit else ""
        time = f" for {1000 * self.longer:g} ms" if self.longer else ""
        return f"{self.measure} {' or '.join(limits)}{unit}{time}"

    def worst(self, values: Float[np.ndarray, "period"], period: float) -> tuple[float, float, bool]:
        """Largest margin, the value it belongs to, and whether the limit was exceeded.

        A value counts if it was held: for `longer` = T, the lowest of those samples that span T.
        """
        samples = math.ceil(self.longer / period - 1e-9) + 1 if self.longer > 0 else 1
        short = len(values) < samples
        x = np.where(np.isnan(values), math.inf, values)
        found = []
        for limit, sign in ((self.above, 1.0), (self.below, -1.0)):
            if limit is None:
                continue
            held = sign * np.lib.stride_tricks.sliding_window_view(sign * x, min(samples, len(x))).min(axis=1)
            value = float(sign * np.max(sign * held))
            scale = abs(limit) if self.scale is None else self.scale
            margin = float(np.clip(1.0 + sign * (value - limit) / scale, -BEYOND, BEYOND))
            # An episode shorter than that cannot have held it.
            found.append((min(margin, 1.0) if short else margin, value, not short and sign * (value - limit) > 0))
        return max(found)

    def plain(self) -> dict[str, Any]:
        given = {"measure": self.measure, "above": self.above, "below": self.below, "scale": self.scale}
        given |= {"longer": self.longer or None, "unit": self.unit or None}
        return {k: v for k, v in given.items() if v is not None}


FAILURE = Violation("state not finite", FAILED, above=0.5, scale=1e-3)


@dataclass(frozen=True)
class Plan:
    """A scenario file."""

    scenarios: tuple[Scenario, ...]
    violations: tuple[Violation, ...]
    environment: Mapping[str, Any]
    """Arguments of the environment."""
    seconds: float = SECONDS

    @property
    def mixed(self) -> bool:
        """Whether every person goes through one scenario, which is drawn."""
        return self.scenarios[0].probability is not None

    def plain(self) -> dict[str, Any]:
        """As a scenario file would say it."""
        return {
            "seconds": self.seconds,
            "environment": dict(self.environment),
            "scenarios": {s.name: s.plain() for s in self.scenarios},
            "violations": {v.name: v.plain() for v in self.violations},
        }


# Of each environment ---------------------------------------------------------------------------------------

QUASI_STATIC = 0.5
"""How long a force acts that ISO/TS 15066 calls quasi-static [s]; a shorter one is transient."""
TRANSIENT = 2.0
"""Transient limit over the quasi-static one, of every region of the body but the head (ISO/TS 15066, table A.2)."""


def _pressed(name: str, measure: str, limit: float) -> list[Violation]:
    return [
        Violation(f"{name}, quasi-static", measure, above=limit, longer=QUASI_STATIC, unit="N"),
        Violation(f"{name}, transient", measure, above=TRANSIENT * limit, unit="N"),
    ]


def usual_violations(environment: str) -> tuple[Violation, ...]:
    """What counts as one where a scenario file does not say; the joints' ranges are not among them."""
    if environment == KNEE_EXO:
        forces = [v for cuff, limit in FORCE_LIMITS.items() for v in _pressed(f"{cuff} force", f"{cuff}_force", limit)]
        return (
            *forces,
            Violation("off the motion", "tracking_error", above=0.35, longer=0.02, unit="rad"),
            Violation("far off the motion", "tracking_error", above=0.7, longer=0.02, unit="rad"),
            Violation("cuff slipped", "slip", above=0.02, unit="m"),
        )
    if environment == ARM_CO_TRANSPORT:
        return (
            *_pressed("hand force", "hand_force", HAND_FORCE_LIMIT),
            Violation("beam touches the bar", "contact_force", above=0.0, scale=10.0, unit="N"),
            Violation("beam tilted", "tilt", above=0.26, below=-0.26, unit="rad"),
            Violation("off the path", "path_error", above=0.1, unit="m"),
            Violation("grip lost", "grip_lost", above=0.5),
            Violation("robot at its torque limit", "torque_limit_violation", above=0.5, longer=0.1),
        )
    return (Violation("hand too fast", "hand_speed", above=3.0, unit="m/s"),)


def usual_scenarios(environment: str) -> tuple[Scenario, ...]:
    """Those of an environment where a scenario file does not say."""
    onset = Quantity("uniform", (0.2, 0.8))
    briefly = Quantity("uniform", (0.1, 0.5))

    def fixed(value: float) -> Quantity:
        return Quantity("fixed", (value,))

    def between(low: float, high: float) -> Quantity:
        return Quantity("uniform", (low, high))

    tremor = {"onset": onset, "tremor": between(0.05, 0.2), "tremor_frequency": between(4.0, 8.0)}
    load = {"onset": onset, "payload": between(0.5, 3.0)}
    made: dict[str, dict[str, Quantity]] = {"undisturbed": {}, "tremor": tremor, "payload": load}
    if environment != ARM_REACH:
        made["delay"] = {"onset": onset, "delay": between(0.02, 0.1)}
        made["robot stalls"] = {"onset": onset, "duration": briefly, "stall": fixed(1.0)}
    if environment == KNEE_EXO:
        made["strap slips"] = {"onset": onset, "slip": between(0.5, 1.0)}
        made["EMG drops out"] = {"onset": onset, "emg_dropout": fixed(1.0)}
    return tuple(Scenario(name, quantities) for name, quantities in made.items())


# The file --------------------------------------------------------------------------------------------------


def load_plan(path: str | Path | None, environment: str) -> Plan:
    """Read a scenario file; None: all of the environment's own.

    **Raises:** `InputError`, one line with file, key and the fix.
    """
    if path is None:
        return parse_plan({}, environment, "")
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such scenario file; correct the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text file ({error}); give a scenario file in TOML") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None
    return parse_plan(document, environment, str(path))


def parse_plan(document: Mapping[str, Any], environment: str, where: str) -> Plan:
    """Check keys, types and ranges of a scenario file."""
    _check_keys(document, ("seconds", "environment", "scenarios", "violations"), where)
    seconds = _number(document, "seconds", where, SECONDS)
    if not 0 < seconds <= 600:
        raise InputError(f"{where}: seconds = {seconds:g}; give a time between 0 and 600 s")
    arguments = _table(document.get("environment", {}), f"{where} [environment]")
    for name in ("subject", "sample_posterior", "render_mode"):
        if name in arguments:
            raise InputError(f"{where} [environment]: '{name}' is given by the command; remove it")
    scenarios, violations = usual_scenarios(environment), usual_violations(environment)
    if "scenarios" in document:
        tables = _table(document["scenarios"], f"{where} [scenarios]")
        scenarios = tuple(_scenario(name, x, f"{where} [scenarios.{name}]") for name, x in tables.items())
        if not scenarios:
            raise InputError(f"{where}: [scenarios] is empty; add [scenarios.<name>], or remove it")
        _check_probabilities(scenarios, where)
    if "violations" in document:
        tables = _table(document["violations"], f"{where} [violations]")
        violations = tuple(_violation(name, x, f"{where} [violations.{name}]") for name, x in tables.items())
    if not any(v.measure == FAILED for v in violations):
        violations = (*violations, FAILURE)
    return Plan(scenarios, violations, arguments, seconds)


def _scenario(name: str, data: Any, where: str) -> Scenario:
    table = dict(_table(data, where))
    _check_keys(table, (*Disturbance._fields, "probability"), where)
    probability = _number(table, "probability", where, None)
    if probability is not None and not 0 <= probability <= 1:
        raise InputError(f"{where}: probability = {probability:g}; give a number between 0 and 1")
    table.pop("probability", None)
    return Scenario(name, {key: _quantity(key, x, where) for key, x in table.items()}, probability)


def _quantity(key: str, value: Any, where: str) -> Quantity:
    """A number of a disturbance."""
    wanted = (
        (
            f"{where}: {key} = {value!r}; give a number, two to draw between, "
            "or one of {{ log = [a, b] }}, {{ normal = [mean, sd] }}, {{ choice = [a, b, …] }}"
        )
        .replace("{{", "{")
        .replace("}}", "}")
    )
    kind: str = "uniform"
    if _is_number(value):
        kind, value = "fixed", [value]
    elif isinstance(value, Mapping):
        if len(value) != 1 or next(iter(value)) not in ("log", "normal", "choice"):
            raise InputError(wanted)
        kind, value = next(iter(value.items()))
    if not isinstance(value, Sequence) or isinstance(value, str) or not value or not all(map(_is_number, value)):
        raise InputError(wanted)
    numbers = tuple(float(x) for x in value)
    if kind in ("uniform", "log", "normal") and len(numbers) != 2:
        raise InputError(wanted)
    if kind in ("uniform", "log") and not numbers[0] <= numbers[1]:
        raise InputError(f"{where}: {key} = {list(numbers)} goes down; write the lower number first")
    if kind == "log" and numbers[0] <= 0:
        raise InputError(f"{where}: {key} is drawn on a logarithmic scale from {numbers[0]:g}; give a positive number")
    if kind == "normal" and numbers[1] < 0:
        raise InputError(f"{where}: {key} has a standard deviation of {numbers[1]:g}; give a positive number")
    low, high = POSSIBLE[key]
    for x in numbers[:1] if kind == "normal" else numbers:
        if not low <= x <= high:
            raise InputError(f"{where}: {key} = {x:g} is not possible; give {low:g} to {high:g}")
    return Quantity(kind, numbers)


def _violation(name: str, data: Any, where: str) -> Violation:
    table = _table(data, where)
    _check_keys(table, ("measure", "above", "below", "longer", "scale", "unit"), where)
    for key in ("measure", "unit"):
        if not isinstance(table.get(key, ""), str):
            raise InputError(f"{where}: {key} = {table[key]!r}; give a text in quotes")
    if not table.get("measure"):
        raise InputError(f"{where}: 'measure' is missing; name one of the environment's info")
    above, below = (_number(table, key, where, None) for key in ("above", "below"))
    scale, longer = _number(table, "scale", where, None), _number(table, "longer", where, 0.0)
    if above is None and below is None:
        raise InputError(f"{where}: no limit; give above = or below =")
    if scale is None and 0.0 in (above, below):
        raise InputError(f"{where}: the limit is 0; give scale = the excess that counts as bad as a limit reached")
    if scale is not None and scale <= 0:
        raise InputError(f"{where}: scale = {scale:g}; give a positive number")
    if longer < 0:
        raise InputError(f"{where}: longer = {longer:g}; give a time, 0 or more")
    if above is not None and below is not None and below >= above:
        raise InputError(f"{where}: below = {below:g} is not less than above = {above:g}; exchange them")
    return Violation(name, table["measure"], above, below, longer, scale, table.get("unit", ""))


def _check_probabilities(scenarios: tuple[Scenario, ...], where: str) -> None:
    given = [s.probability for s in scenarios if s.probability is not None]
    if not given:
        return
    without = [s.name for s in scenarios if s.probability is None]
    if without:
        raise InputError(
            f"{where} [scenarios.{without[0]}]: has no probability, but others have; give all one, or none"
        )
    if abs(sum(given) - 1.0) > 1e-6:
        raise InputError(f"{where}: the scenarios' probabilities sum to {sum(given):g}; make them sum to 1")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: {value!r} is not a table of key = value; write one")
    return value


def _check_keys(table: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise InputError(f"{where}: unknown key '{key}'{suggest(key, allowed, limit=20)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(table: Mapping[str, Any], key: str, where: str, default: Any) -> Any:
    if key not in table:
        return default
    if not _is_number(table[key]):
        raise InputError(f"{where}: {key} = {table[key]!r}; give a number")
    return float(table[key])
