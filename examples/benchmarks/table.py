"""The form all benchmarks share: rows of target and measured, printed as a table and written as JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
"""``{"name", "target", "measured", "unit", "met", "n"}``; a figure without a target has None for both."""


def row(
    name: str,
    measured: float,
    unit: str = "",
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    n: int = 1,
) -> Row:
    """One line: what was wanted, what came out, of how many."""
    target = at_most if at_most is not None else at_least
    met = None if target is None else bool(measured <= target if at_most is not None else measured >= target)
    return {"name": name, "target": target, "measured": float(measured), "unit": unit, "met": met, "n": n}


def machine() -> str:
    """What the figures were measured on."""
    import jax

    kinds = ", ".join(sorted({d.device_kind for d in jax.devices()}))
    packages = ", ".join(f"{p} {version(p)}" for p in ("mjx-msm", "mujoco", "jax"))
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, jax on {kinds}; Python {platform.python_version()}, {packages}"
    )


Rows = Callable[[bool], Iterator[Row]]


def run(description: str | None, rows: Rows, parts: Mapping[str, Rows] | None = None) -> None:
    """Command line of a benchmark: ``--quick`` and ``--json FILE``; rows that are done outlive an interruption.

    **Arguments:** `parts`: what ``--only NAME`` does in place of all rows.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a reduced form, some minutes on two cores")
    parser.add_argument("--json", type=Path, help="write the rows here")
    if parts:
        parser.add_argument("--only", choices=tuple(parts), help="this part alone")
    options = parser.parse_args()
    chosen = parts[options.only] if parts and options.only else rows
    found: list[Row] = []
    try:
        for line in chosen(options.quick):
            found.append(line)
            print(f"{line['name']}: {line['measured']:.3g} {line['unit']}", file=sys.stderr, flush=True)
            if options.json:
                write(options.json, found, options.quick)
    except KeyboardInterrupt:
        print("interrupted; these rows are done:", file=sys.stderr)
    table = Table("", "target", "measured", "unit", "met", "n", box=None)
    for line in found:
        target = "" if line["target"] is None else f"{line['target']:g}"
        met = {None: "", True: "yes", False: "no"}[line["met"]]
        table.add_row(line["name"], target, f"{line['measured']:.3g}", line["unit"], met, str(line["n"]))
    Console(width=130).print(table)


def write(path: Path, found: list[Row], quick: bool) -> None:
    """The rows so far as JSON, whole or not at all: a run of an hour that is killed has left what it found."""
    clean = [{k: (v if not isinstance(v, float) or math.isfinite(v) else None) for k, v in r.items()} for r in found]
    part = path.with_name(f"{path.name}.part")
    text = json.dumps({"machine": machine(), "quick": quick, "rows": clean}, indent=1) + "\n"
    part.write_text(text, encoding="utf-8")
    part.replace(path)
