"""How close the estimate comes: a synthetic arm with known truth, and a recorded walk.

    python examples/benchmarks/accuracy.py [--quick] [--json FILE]

`--quick` takes 2 seeds instead of 10 and one starting point for the walk. The walk needs the recorded data (see
examples/knee_walk/subject.toml) and is left out, by name, where they are absent. Rows have the form
``{"name", "target", "measured", "unit", "met", "n"}``.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from rich.console import Console
from rich.table import Table

import mjx_msm as msm
from mjx_msm.study import settings, study_model
from mjx_msm.synthetic import muscle_and_bone

WALK = Path(__file__).resolve().parents[1] / "knee_walk" / "subject.toml"
INITIAL_ERROR = 0.1


def row(name: str, target: float, measured: float, unit: str, n: int, *, at_least: bool = False) -> dict[str, Any]:
    """One line of the table: what was wanted, what came out."""
    met = measured >= target if at_least else measured <= target
    return {"name": name, "target": target, "measured": measured, "unit": unit, "met": bool(met), "n": n}


def synthetic_arm(seeds: int) -> Iterator[dict[str, Any]]:
    """Muscle and bone parameters together, no noise, starting at N(truth, 10 % of truth)."""
    model = msm.load_model("arm")
    truth, free = model.nominal, muscle_and_bone(model)
    values = truth.to_dict()
    paths = [p for p in values if any(fnmatch.fnmatchcase(p, pattern) for pattern in free)]
    trials = msm.synthetic_trials(model, truth, count=4, duration=2.0, seed=0)
    errors, seconds = [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        start = truth.updated({p: values[p] * (1 + INITIAL_ERROR * rng.standard_normal()) for p in paths})
        began = time.perf_counter()
        result = msm.identify(
            eqx.tree_at(lambda m: m.nominal, model, start),
            trials,
            free=free,
            bounds={pattern: {"factor": [0.5, 1.8]} for pattern in free},
            priors=dict.fromkeys(free, "none"),
            horizons=(50, None),
        )
        seconds.append(time.perf_counter() - began)
        errors.append(100 * float(np.mean([abs(result[p].value / values[p] - 1) for p in paths])))
    name = f"arm, no noise, {100 * INITIAL_ERROR:.0f} % initial error, {len(paths)} unknowns"
    yield row(f"{name}: worst seed's mean error", 0.05, max(errors), "%", seeds)
    yield row(f"{name}: median time, warm", np.inf, float(np.median(seconds[1:])), "s", seeds - 1)


def recorded_walk(starts: int | None) -> Iterator[dict[str, Any]]:
    """EMG-driven knee moment of a recorded walk: in sample, and in blocked cross-validation over time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on the recording, printed by the command line
        study = msm.load_subject(WALK)
    model = study_model(study)
    arguments: dict[str, Any] = settings(study) | ({"starts": starts} if starts else {})
    fit = msm.identify(model, study.trials, **arguments).fits[0]
    cross = msm.cross_validate(model, study.trials, **arguments)[0]
    yield row("walk, knee moment: generic model", np.inf, fit.generic, "N·m", 1)
    yield row("walk, knee moment: in sample", np.inf, fit.identified, "N·m", 1)
    yield row("walk, knee moment: cross-validated", 9.0, cross.identified, "N·m", 5)
    yield row("walk, knee moment: cross-validated correlation", 0.95, cross.correlation, "-", 5, at_least=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 seeds, one starting point")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args()
    rows = list(synthetic_arm(2 if options.quick else 10))
    try:
        rows += recorded_walk(1 if options.quick else None)
    except msm.InputError as error:
        print(f"walk left out: {error}")
    table = Table("", "target", "measured", "unit", "met", "n", box=None)
    for r in rows:
        wanted = "" if np.isinf(r["target"]) else f"{r['target']:g}"
        met = "" if not wanted else "yes" if r["met"] else "no"
        table.add_row(r["name"], wanted, f"{r['measured']:.3g}", r["unit"], met, str(r["n"]))
    Console(width=118).print(table)
    if options.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        for r in rows:  # JSON has no infinity: a figure without a target
            r["target"] = None if np.isinf(r["target"]) else r["target"]
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
