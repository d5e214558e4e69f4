"""What came of many people: who was identified, who was not and why, and what of it goes into a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.knowledge.comparable_people import comparable
from mjx_msm.knowledge.judged_errors import measure, pooled, rival, unseen
from mjx_msm.knowledge.population import FEWEST, Population, learned, left_out
from mjx_msm.knowledge.records import Estimate, Fit, Unknown
from mjx_msm.knowledge.reliance import Reliance, reliance
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.wording import called
from mjx_msm.person.expectation import Expectation
from mjx_msm.person.kinds import kind_of

TABLE, TURNS = "study.csv", "turns"


@dataclass(frozen=True)
class Member:
    """One of the people of a study."""

    name: str
    folder: str
    """Of the result, relative to the study's."""
    result: Identification | None = None
    fault: str = ""
    """Why there is no result: one line."""
    traits: Mapping[str, float | str] = field(default_factory=dict)
    """Height [m], mass [kg], age [years], sex, as far as they are known."""
    truth: Mapping[str, float] = field(default_factory=dict)
    """By path, the parameters of somebody who is made up."""


@dataclass(frozen=True)
class Made:
    """How the people of a study were identified, for whoever wants to make it again."""

    command: str
    hashes: Mapping[str, str]
    """SHA-256 of the study's own files; those of a person's are in the person's result."""
    asked: Mapping[str, bool | int]
    """What the study file asks for of everybody besides what subject files do."""
    code: str
    """Digest of the package."""


@dataclass(frozen=True)
class Told:
    """What somebody's recordings tell of a parameter."""

    who: str
    index: int
    """Of the estimate in their result."""
    estimate: Estimate
    unknown: Unknown | None
    """None in a file of version 0.1.0."""
    standing: Standing

    @property
    def determined(self) -> bool:
        return self.standing is Standing.DETERMINED


@dataclass(frozen=True)
class Cohort:
    """Everybody of a study."""

    name: str
    members: tuple[Member, ...]
    anew: int = 0
    """How many were identified in this run; the others were there already."""
    population: Population | None = None
    """What they lead to expect of others; None of too few people."""
    foretold: Mapping[str, Expectation] = field(default_factory=dict)
    """What the others lead to expect of each."""
    apart: Mapping[str, str] = field(default_factory=dict)
    """Of whom the population was not learned although they were identified, and why."""
    no_population: str = ""
    """Why so many people lead to expect nothing."""
    made: Made | None = None
    """None where the people were not identified as a study."""
    turns: int = 0
    """How often everybody was identified anew with what all of them lead to expect, for the population."""
    seen: Mapping[str, Identification] = field(default_factory=dict)
    """What came of that, the last time."""

    def with_population(self, seen: Mapping[str, Identification | str] | None = None) -> Cohort:
        """What they lead to expect, learned; without it, and with the reason, where that cannot be.

        **Arguments:** `seen`: of everybody, the estimate of another turn that it is to be learned from in the place of
        their own, or why there is none.
        """
        if len(self.results) <= FEWEST:
            return self
        told = self.results if seen is None else {n: r for n, r in seen.items() if isinstance(r, Identification)}
        usable, apart = comparable(told)
        apart |= {name: reason for name, reason in (seen or {}).items() if isinstance(reason, str)}
        turns = 0 if seen is None else self.turns + 1
        seen_last = {} if seen is None else told
        cohort = replace(self, apart=apart, population=None, foretold={}, turns=turns, seen=seen_last)
        if len(usable) <= FEWEST:
            return replace(cohort, no_population=f"{len(usable)} of them are too few, {FEWEST + 1} at least are needed")
        traits = {m.name: m.traits for m in self.members}
        try:
            return replace(
                cohort, population=learned(usable, traits, name=self.name), foretold=left_out(usable, traits)
            )
        except (InputError, np.linalg.LinAlgError) as error:
            return replace(cohort, no_population=str(error))

    @property
    def identified(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.result is not None)

    @property
    def failed(self) -> tuple[Member, ...]:
        return tuple(m for m in self.members if m.result is None)

    @property
    def results(self) -> dict[str, Identification]:
        return {m.name: m.result for m in self.members if m.result is not None}

    @property
    def learned_from(self) -> dict[str, Identification]:
        """By person, the estimate that the population was learned from; empty without one."""
        told = self.seen or self.results
        return {} if self.population is None else {n: r for n, r in told.items() if n not in self.apart}

    @cached_property
    def told(self) -> Mapping[str, tuple[Told, ...]]:
        """By parameter of anybody, in the order in which they come, what everybody's recordings tell of it."""
        out: dict[str, list[Told]] = {}
        for who, r in self.results.items():
            each = zip(r.estimates, r.unknowns or (None,) * len(r.estimates), r.standing, strict=True)
            for k, (e, u, stands) in enumerate(each):
                out.setdefault(e.path, []).append(Told(who, k, e, u, stands))
        return {path: tuple(found) for path, found in out.items()}

    def paths(self) -> tuple[str, ...]:
        """Of the parameters of anybody, in the order in which they come."""
        return tuple(self.told)

    def called(self, path: str) -> str:
        """What readers are told that a parameter is."""
        return called(path, self.members_of(path))

    def positive(self, path: str) -> bool:
        """Whether a parameter has no sign and no zero, so that people can be compared by factors."""
        return kind_of(self.members_of(path)[0]).transform == "log"

    def units(self) -> dict[str, str]:
        """Of every parameter."""
        return {e.path: e.unit for r in reversed(self.results.values()) for e in r.estimates}

    def members_of(self, path: str) -> tuple[str, ...]:
        """Paths of the parameters behind one that stands for several."""
        return next((t.unknown.members for t in self.told[path] if t.unknown is not None), (path,))

    @cached_property
    def rely(self) -> Mapping[str, Reliance]:
        """By person, whether the prediction may be relied on."""
        return {name: reliance(r.fits) for name, r in self.results.items()}

    @cached_property
    def rely_seen(self) -> Mapping[str, Reliance]:
        """The same of the estimates with what all of them lead to expect."""
        return {name: reliance(r.fits) for name, r in self.seen.items()}

    def turn_folder(self, name: str = "NAME") -> str:
        """Of a person's estimate with what all of them lead to expect, relative to the study's."""
        folder = next((PurePosixPath(m.folder).name for m in self.members if m.name == name), name)
        return f"{TURNS}/{self.turns}/{folder}"

    def unseen_error(self, member: Member) -> dict[str, float | str]:
        """Error on what a person's result was not made from, beside the recording's spread and the best regression; and
        with what all of them lead to expect, where something was held out."""
        if member.result is None:
            return {}
        rows, other = unseen(member.result.fits), self.seen.get(member.name)
        again = [] if other is None else [f for f in unseen(other.fits) if f.role == "held-out"]
        out = _error(rows)
        if out and again and all(f.role == "held-out" for f in rows):
            out["error_with_others"] = pooled(again, kind=measure(rows))
        return out

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and a row for every person, as `TABLE` has them; numbers in the unit of the header."""
        traits = [t for t in ("sex", "age", "height", "mass") if any(t in m.traits for m in self.members)]
        every = self.units()
        units = {path: every[path] for path in self.paths()}
        head = ["person", "outcome", "fault", "folder", *traits, "rely", "unseen_error", "unseen_spread",
                "best_regression", "best_regression_error", "error_unit"]  # fmt: skip
        for path, unit in units.items():
            named = f"{path} [{unit}]"
            head += [named, f"{named} low", f"{named} high", f"{named} from the data"]
        if self.seen:
            head += ["folder with others", "rely with others", "unseen_error with others"]
            for path, unit in units.items():
                named = f"{path} [{unit}]"
                head += [f"{named} with others", f"{named} low with others", f"{named} high with others"]
        return head, [self._row(m, traits, list(units)) for m in self.members]

    def _row(self, m: Member, traits: list[str], paths: list[str]) -> list[str]:
        error = self.unseen_error(m)
        row = [m.name, "failed" if m.result is None else m.result.outcome.value, m.fault, m.folder]
        row += [_cell(m.traits.get(t, "")) for t in traits]
        row += [self.rely[m.name].words if m.name in self.rely else ""]
        row += [_cell(error.get(key, "")) for key in ("error", "spread", "rival", "rival_error", "unit")]
        row += _cells(m.result, paths, ("value", "low", "high", "data_share"))
        if self.seen:
            other = self.seen.get(m.name)
            row += ["", "", ""] if other is None else [
                self.turn_folder(m.name), self.rely_seen[m.name].words, _cell(error.get("error_with_others", ""))
            ]  # fmt: skip
            row += _cells(other, paths, ("value", "low", "high"))
        return row

    def save_table(self, path: str | Path) -> Path:
        """Write the table as CSV, whole or not at all."""
        out = io.StringIO()
        head, rows = self.table()
        csv.writer(out, lineterminator="\n").writerows([head, *rows])
        write_text(Path(path), out.getvalue())
        return Path(path)


def _error(rows: Sequence[Fit]) -> dict[str, float | str]:
    """Of some rows, pooled, beside their spread and the best regression."""
    if not rows:
        return {}
    kind = measure(rows)
    other = rival(rows, kind)
    out: dict[str, float | str] = {
        "kind": kind, "error": pooled(rows, kind=kind), "spread": pooled(rows, "spread", kind=kind),
        "unit": next(f.unit for f in rows if f.kind == kind),
    }  # fmt: skip
    return out | ({} if other is None else {"rival": other[0], "rival_error": other[1]})


def _cells(result: Identification | None, paths: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Of every parameter; empty where there is no estimate."""
    known = {} if result is None else {e.path: e for e in result.estimates}
    return [_cell(getattr(known[path], field)) if path in known else "" for path in paths for field in fields]


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"
