"""The scenario file: what goes wrong in an episode, and what counts as a violation.

```toml
seconds = 6.0                 # longest episode [s]; default 6. It ends before where the recording or the task does

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
measure = "shank_force"       # of the environment's `info`, or "joint/<coordinate>", or "failed" (not 0: not finite)
above = 130.0                 # limit, in the measure's unit; or `below`, or both: outside of them
longer = 0.5                  # how long without a break [s]; default 0: at any instant
scale = 130.0                 # excess that counts as much as the limit; default the limit; needed where that is 0
unit = "N"                    # optional, for the report
```

The numbers of a scenario are those of `mjx_msm.envs.tasks.disturbance.Disturbance`: onset, duration, tremor,
tremor_frequency, emg_dropout, stall, delay, slip, payload; one that disturbs nothing in the environment is refused.
Every person goes through every scenario; where scenarios have a `probability` (then all have one, 1 together), every
person goes through one that is drawn. Without [scenarios] or [violations] the environment's own are taken; "failed" is
always there. Measures are seen once in a control period (20 ms as a rule); the contact force is the greatest in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.toml_tables import Section, is_number, read_toml, show
from mjx_msm.envs.tasks.disturbance import Disturbance
from mjx_msm.verification.scenarios import (
    FAILED,
    FAILURE,
    POSSIBLE,
    SECONDS,
    Plan,
    Quantity,
    Scenario,
    Violation,
)
from mjx_msm.verification.usual import usual_scenarios, usual_violations


def load_plan(path: str | Path | None, environment: str) -> Plan:
    """Read a scenario file; None: all of the environment's own.

    **Raises:** `InputError`, one line with file, key and the fix.
    """
    if path is None:
        return parse_plan({}, environment, "")
    document = read_toml(Path(path), "scenario file")
    return parse_plan(document, environment, str(path))


def parse_plan(document: Mapping[str, Any], environment: str, where: str) -> Plan:
    """Check keys, types and ranges of a scenario file."""
    top = Section(document, where, ("seconds", "environment", "scenarios", "violations"))
    seconds = top.number("seconds", SECONDS, low=0.02, high=600, unit="s")
    arguments = top.section("environment", None)
    for name in ("subject", "sample_posterior", "render_mode"):
        if name in arguments.data:
            raise InputError(f"{arguments.where}: '{name}' is given by the command; remove it")
    scenarios, violations = usual_scenarios(environment, arguments.data), usual_violations(environment)
    if "scenarios" in document:
        tables = top.section("scenarios", None)
        scenarios = tuple(_scenario(name, tables) for name in tables.data)
        if not scenarios:
            raise InputError(f"{tables.where}: is empty; add [scenarios.<name>], or remove it")
        _check_probabilities(scenarios, tables.where)
    if "violations" in document:
        tables = top.section("violations", None)
        violations = tuple(_violation(name, tables) for name in tables.data)
    if not any(v.measure == FAILED for v in violations):
        violations = (*violations, FAILURE)
    return Plan(scenarios, violations, arguments.data, seconds or SECONDS)


def _scenario(name: str, tables: Section) -> Scenario:
    _check_text(name, tables.where)
    table = tables.section(name, (*Disturbance._fields, "probability"))
    probability = table.number("probability", low=0, high=1)
    quantities = {key: _quantity(key, table) for key in table.data if key != "probability"}
    return Scenario(name, quantities, probability)


def _quantity(key: str, table: Section) -> Quantity:
    """A number of a disturbance."""
    wanted = "a number, two to draw between, or { log = [a, b] }, { normal = [mean, sd] } or { choice = [a, b, …] }"
    value, kind, where = table.data[key], "uniform", f"{table.where}: {key}"
    if is_number(value):
        kind, value = "fixed", [value]
    elif isinstance(value, Mapping):
        if len(value) != 1 or next(iter(value)) not in ("log", "normal", "choice"):
            raise InputError(f"{where} must be {wanted}, got {show(value)}")
        kind, value = next(iter(value.items()))
    two = kind in ("uniform", "log", "normal")
    if not isinstance(value, list | tuple) or not value or not all(map(is_number, value)) or (two and len(value) != 2):
        raise InputError(f"{where} must be {wanted}, got {show(table.data[key])}")
    numbers = tuple(float(x) for x in value)
    if kind in ("uniform", "log") and not numbers[0] <= numbers[1]:
        raise InputError(f"{where} = {list(numbers)} goes down; write the lower number first")
    if kind == "log" and numbers[0] <= 0:
        raise InputError(f"{where} is drawn on a logarithmic scale from {numbers[0]:g}; give a positive number")
    if kind == "normal" and numbers[1] < 0:
        raise InputError(f"{where} has a standard deviation of {numbers[1]:g}; give a positive number")
    low, high = POSSIBLE[key]
    for x in numbers[:1] if kind == "normal" else numbers:
        if not low <= x <= high:
            raise InputError(f"{where} = {x:g} is not possible; give {low:g} to {high:g}")
    return Quantity(kind, numbers)


def _check_text(name: str, where: str) -> None:
    """Names and units stand in tables, on a terminal, in Markdown."""
    if not name.isprintable():
        raise InputError(f"{where}: '{name}' has characters that are no text; leave them out")


def _violation(name: str, tables: Section) -> Violation:
    _check_text(name, tables.where)
    table = tables.section(name, ("measure", "above", "below", "longer", "scale", "unit"))
    measure = table.text("measure", required=True) or ""
    above, below, scale = table.number("above"), table.number("below"), table.number("scale", low=1e-12)
    longer = table.number("longer", 0.0, low=0, unit="s") or 0.0
    if above is None and below is None:
        raise InputError(f"{table.where}: no limit; give above = or below =")
    if scale is None and 0.0 in (above, below):
        raise InputError(f"{table.where}: the limit is 0; give scale = the excess that is as bad as a limit reached")
    if above is not None and below is not None and below >= above:
        raise InputError(f"{table.where}: below = {below:g} is not less than above = {above:g}; exchange them")
    unit = table.text("unit") or ""
    _check_text(unit, f"{table.where}: unit")
    return Violation(name, measure, above, below, longer, scale, unit)


def _check_probabilities(scenarios: Sequence[Scenario], where: str) -> None:
    given = [s.probability for s in scenarios if s.probability is not None]
    if not given:
        return
    without = [s.name for s in scenarios if s.probability is None]
    if without:
        raise InputError(f"{where}: '{without[0]}' has no probability, but others have; give all one, or none")
    if abs(sum(given) - 1.0) > 1e-6:
        raise InputError(f"{where}: probabilities sum to {sum(given):g}; make them sum to 1")
