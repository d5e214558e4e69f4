"""A result in words: tables of estimates and errors, and what the data left open."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from mjx_msm.knowledge.records import Direction, Estimate, Fit, Unknown
from mjx_msm.knowledge.standing import Standing, remark, width_text
from mjx_msm.knowledge.uncertainty import Knowledge
from mjx_msm.knowledge.wording import number

CLEARLY = 0.97
"""Of our error, what another prediction's must be below to be called better."""
LISTED = 12
"""Most directions that are named."""


def estimates_table(
    estimates: Sequence[Estimate], unknowns: Sequence[Unknown], standing: Sequence[Standing], off_prior: Sequence[bool]
) -> Table:
    """Every estimate; a number with no identifiability behind it is not printed as one. "Of prior": width of the
    interval over that of what was thought possible before.

    **Arguments:** as `Identification` has them; `unknowns` may be empty.
    """
    table = Table("parameter", "unit", "start", "estimate", "95 % interval", "of prior", "", box=None, pad_edge=False)
    for column in table.columns[2:6]:
        column.justify = "right"
    every = zip(estimates, unknowns or (None,) * len(estimates), standing, off_prior, strict=True)
    for e, u, stands, off in every:
        value, start, low, high = (number(x, e.start, e.low, e.high) for x in (e.value, e.start, e.low, e.high))
        if stands in (Standing.PRIOR, Standing.UNDETERMINED):
            value = "not determined"
        interval = f"{low} … {high}" if math.isfinite(e.sd) and stands is not Standing.UNDETERMINED else ""
        style = "" if stands is Standing.DETERMINED else "dim"
        look = "dim" if stands in (Standing.PRIOR, Standing.UNDETERMINED) and not off else "yellow"
        said, why = (_in(style, x) for x in (value, interval)), _in(look, remark(e, u, stands, off_prior=off))
        table.add_row(escape(e.path), e.unit, start, *said, width_text(e, u), why)
    table.columns[0].overflow = "fold"  # a name that is cut is none
    return table


def _in(style: str, text: str) -> str:
    return f"[{style}]{text}[/{style}]" if style and text else text


def moved_off_priors(estimates: Sequence[Estimate], off_prior: Sequence[bool]) -> Iterator[str]:
    """What "off its prior" means, where it is said."""
    moved = [e.path for e, off in zip(estimates, off_prior, strict=True) if off and not e.bound]
    if moved:
        yield (
            f"[yellow]off its prior[/yellow]: the data moved {escape(', '.join(moved))} to where they are flatter than "
            "the prior; the interval is that neighbourhood's (`mjx-msm profile` tells what else could be)"
        )


def open_directions(directions: Sequence[Direction]) -> Iterator[str]:
    """Combinations of parameters that the data do not determine."""
    left_open = [d for d in directions if d.knowledge is not Knowledge.DETERMINED]
    if left_open:
        yield "\n[bold]Not determined by these data[/bold]:"
    for d in left_open[:LISTED]:
        left = "left to the prior" if d.knowledge is Knowledge.PRIOR else "neither data nor prior"
        share = f" (data {100 * d.share:.0f} %)" if d.share >= 0.005 else ""
        yield f"  {escape(d.text)}: [dim]{left}{share}[/dim]"
    if len(left_open) > LISTED:
        yield f"  … and {len(left_open) - LISTED} more"


def fits_table(fits: Sequence[Fit]) -> Table:
    """Errors of every coordinate in every trial."""
    headings = ("trial", "role", "coordinate", "error in", "generic", "identified", "r", "spread of data")
    others = _others(fits)
    table = Table(*headings, *others, box=None, pad_edge=False)
    for column in table.columns[4:]:
        column.justify = "right"
    for f in fits:
        unit, factor = ("°", 180 / math.pi) if f.unit == "rad" else (f.unit, 1.0)
        table.add_row(
            escape(f.trial),
            f.role,
            escape(f.coordinate),
            f.kind,
            f"{f.generic * factor:.3g} {unit}",
            f"{f.identified * factor:.3g} {unit}",
            f"{f.correlation:.3f}" if math.isfinite(f.correlation) else "",
            f"{f.spread * factor:.3g} {unit}",
            *(f"{f.beside[name] * factor:.3g} {unit}" if name in f.beside else "" for name in others),
        )
    return table


def what_was_held(held: str, contradicted: Sequence[str]) -> Iterator[str]:
    """What intervals allow for, and what was held that the recordings speak against."""
    yield from (f"[yellow]{escape(line)}[/yellow]" for line in contradicted)
    if held != "exact":
        yield (
            "[dim]intervals allow for what was not estimated: muscles, joints and masses as their default priors have "
            "them, moment arms 5 % off; EMG counts as it was said to be[/dim]"
        )


STILL = {"motion": math.radians(1.0), "moment": 1.0}
"""Spread of a signal [rad, N·m] up to which it hardly changes: then a constant is as good as any model."""


def doubted_samples(fits: Sequence[Fit]) -> Iterator[str]:
    """What a robust loss made of a trial's samples."""
    parts = [f"{escape(f.trial)} {100 * f.doubted:.1f} %" for f in fits if f.doubted]
    if parts:
        yield (
            "robust loss: samples that nothing explains count for less than half, errors above hold them all: "
            f"{', '.join(parts)}"
        )


def against_the_model(fits: Sequence[Fit]) -> Iterator[str]:
    """Tests of fit, in words."""
    tested = [f for f in fits if f.role == "identify" and f.kind != "acceleration"]
    for f in tested:
        if f.objections:
            whose = escape(f"{f.trial}, {f.coordinate} ({f.kind})")
            yield f"[yellow]residuals of {whose}[/yellow]: {escape('; '.join(f.objections))}"
    if any(f.objections for f in tested):
        yield "[dim]intervals allow for residuals that repeat themselves, not for other errors of the model[/dim]"
    elif tested:
        yield "[dim]no test of fit finds anything against the model; what errs alike in all trials none can see[/dim]"


def better_predictions(fits: Sequence[Fit]) -> Iterator[str]:
    """Where something else predicts better than the identified model."""
    for name in _others(fits):
        beaten = dict.fromkeys(f.trial for f in fits if f.beside.get(name, math.inf) < CLEARLY * f.identified)
        if beaten:
            where = ", ".join(map(escape, beaten))
            yield f"[yellow]{name} predicts better than the identified model: {where}.[/yellow]"
    if any(f.identified > f.spread > STILL.get(f.kind, 0.0) for f in fits):
        yield "[yellow]The identified model predicts worse than a constant: check units and signs.[/yellow]"


def _others(fits: Sequence[Fit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for f in fits for name in f.beside))
