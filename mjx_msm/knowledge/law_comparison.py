"""Results of the same recordings under different muscle laws, side by side: which one do the recordings prefer?

Two answers, which need not agree. The error on what a result has not seen says what its predictions are worth. The
marginal likelihood (`mjx_msm.identification.evidence`) says how probable the recordings are under a model with all that
its prior leaves open: a model that could have fitted anything is not thought probable for having fitted this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from rich.markup import escape
from rich.table import Table

from mjx_msm.common.errors import InputError
from mjx_msm.common.printable import printable
from mjx_msm.knowledge.judged_errors import pooled
from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.shared_recordings import same_spread

STRONG = 3.0
"""Difference of log marginal likelihoods that is strong evidence; less is not called a preference (Kass and Raftery
1995, doi 10.1080/01621459.1995.10476572)."""
CLEARLY = 0.97
"""Of another model's error, what one must be below to be called better."""
ROLES = ("identify", "cross-validated", "held-out")


@dataclass(frozen=True)
class Candidate:
    """One of the results that are compared."""

    name: str
    muscle_model: str
    unknowns: int
    outcome: str
    """How its solver ended, in words."""
    errors: Mapping[tuple[str, str], float]
    """Root mean square error of all trials by role and kind of residual, in the unit of the kind."""
    log_marginal_likelihood: float
    """Up to a constant that all have; NaN where it is not known."""


@dataclass(frozen=True)
class LawComparison:
    """Results of the same recordings side by side; prints as a table."""

    candidates: tuple[Candidate, ...]
    units: Mapping[str, str]
    """By kind of residual."""
    repeated: float
    """Samples that count as one in the marginal likelihoods; NaN where these are not known."""

    @property
    def preferred(self) -> Candidate | None:
        """Of the greatest marginal likelihood, if the next one's is less by `STRONG` or more."""
        known = sorted(self.candidates, key=lambda c: -c.log_marginal_likelihood)
        if any(math.isnan(c.log_marginal_likelihood) for c in known):
            return None
        lead = known[0].log_marginal_likelihood - known[1].log_marginal_likelihood
        return known[0] if lead >= STRONG else None

    def best(self, role: str, kind: str) -> Candidate | None:
        """Of the least error, if it is clearly less than the next one's."""
        known = sorted((c for c in self.candidates if (role, kind) in c.errors), key=lambda c: c.errors[role, kind])
        if len(known) < 2 or known[0].errors[role, kind] >= CLEARLY * known[1].errors[role, kind]:
            return None
        return known[0]

    def __rich_console__(self, console: Any, options: Any) -> Any:
        columns = [(r, k) for r in ROLES for k in self.units if any((r, k) in c.errors for c in self.candidates)]
        heads = [f"{role} [{'°' if self.units[kind] == 'rad' else self.units[kind]}]" for role, kind in columns]
        table = Table("result", "muscle law", "unknowns", *heads, "ln p(recordings)", "", box=None, pad_edge=False)
        for column in table.columns[2:-1]:
            column.justify = "right"
        most = max((c.log_marginal_likelihood for c in self.candidates), default=math.nan)
        for c in self.candidates:
            errors = [_shown(c.errors.get(column), self.units[column[1]]) for column in columns]
            evidence = "" if math.isnan(c.log_marginal_likelihood) else f"{c.log_marginal_likelihood - most:+.1f}"
            said = "" if c.outcome == "converged" else f"[yellow]{escape(c.outcome)}[/yellow]"
            table.add_row(escape(c.name), escape(c.muscle_model), str(c.unknowns), *errors, evidence, said)
        yield table
        yield from self._words(columns)

    def _words(self, columns: Sequence[tuple[str, str]]) -> Any:
        """What the table says."""
        for role, kind in columns:
            if role != "identify":
                best = self.best(role, kind)
                said = "no one clearly less than another" if best is None else f"least with {escape(best.name)}"
                yield f"error of {kind}s, {role}: {said}"
        if math.isnan(self.repeated):
            yield "ln p(recordings) is known of results from moments under the normal loss only"
            return
        first = self.preferred
        said = "none is preferred" if first is None else f"{escape(first.name)} is preferred"
        yield (
            f"ln p(recordings): {said} (a lead of {STRONG:g} is strong evidence); what is left repeats itself, and "
            f"{self.repeated:.1f} samples count as one"
        )

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=StringIO(), width=118)
        console.print(self)
        return printable(console.file.getvalue())  # type: ignore[attr-defined]


def compare_laws(results: Mapping[str, Identification] | Sequence[Identification]) -> LawComparison:
    """Results of the same recordings under different models, side by side.

    **Arguments:** `results`: by the names they are to be called by; of a sequence, by their muscle laws.

    **Raises:** `InputError` if there are fewer than two, or they are not of the same recordings.
    """
    named = dict(results) if isinstance(results, Mapping) else _named(results)
    if len(named) < 2:
        raise InputError(f"a comparison needs two results or more, got {len(named)}")
    first, *others = named.items()
    for other in others:
        _check_alike(first, other)
    known = [r.evidence for r in named.values() if r.evidence is not None]
    repeated = max(e.repeated for e in known) if len(known) == len(named) else math.nan
    candidates = tuple(
        Candidate(
            name,
            r.muscle_model,
            len(r.z),
            r.outcome.value,
            _errors(r.fits),
            math.nan if r.evidence is None or math.isnan(repeated) else r.evidence.log_marginal_likelihood(repeated),
        )
        for name, r in named.items()
    )
    units = {f.kind: f.unit for r in named.values() for f in r.fits}
    return LawComparison(candidates, units, repeated)


def _named(results: Sequence[Identification]) -> dict[str, Identification]:
    names = [r.muscle_model for r in results]
    if len(set(names)) < len(names):
        raise InputError("results under one muscle law need names: compare_laws({'name': result, …})")
    return dict(zip(names, results, strict=True))


def _check_alike(one: tuple[str, Identification], other: tuple[str, Identification]) -> None:
    """
    **Raises:** `InputError` if what two results were made from, or are judged by, is not the same.
    """
    (name, a), (another, b) = one, other

    def judged(r: Identification) -> set[tuple[str, str, str, str]]:
        return {f.row for f in r.fits if f.role != "cross-validated"}

    apart = sorted(judged(a) ^ judged(b))
    if apart:
        trial, role, kind, coordinate = apart[0]
        raise InputError(
            f"results '{name}' and '{another}' are not of the same recordings: only one has {kind} of '{coordinate}' "
            f"in trial '{trial}' ({role}); identify both from the same subject file"
        )
    different = [f for f in a.hashes if f in b.hashes and a.hashes[f] != b.hashes[f] and not f.endswith(".toml")]
    if different or a.residuals != b.residuals or a.rate != b.rate:
        what = f"'{different[0]}' has changed" if different else "their residuals or rates differ"
        raise InputError(f"results '{name}' and '{another}' are not of the same recordings: {what}; identify again")
    known = {f.row: f for f in a.fits if f.role != "cross-validated"}
    for f in b.fits:
        if not same_spread(known.get(f.row, f), f):
            raise InputError(
                f"results '{name}' and '{another}' are not of the same recordings: {f.kind} of '{f.coordinate}' in "
                f"trial '{f.trial}' differs; identify both from the same files"
            )


def _errors(fits: Sequence[Fit]) -> dict[tuple[str, str], float]:
    found = dict.fromkeys((f.role, f.kind) for f in fits)
    return {(role, kind): pooled([f for f in fits if f.role == role], kind=kind) for role, kind in found}


def _shown(error: float | None, unit: str) -> str:
    if error is None:
        return ""
    return f"{math.degrees(error) if unit == 'rad' else error:.3g}"
