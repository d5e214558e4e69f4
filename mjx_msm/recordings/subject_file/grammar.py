"""The grammar of ``subject.toml`` as a whole; a section's is in the file of its name. No file is opened.

`mjx_msm.recordings.subject_file` says what the keys mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import Faults, InputError
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.emg import EmgProcessing
from mjx_msm.recordings.subject_file.columns import TIMING
from mjx_msm.recordings.subject_file.emg import parse_emg
from mjx_msm.recordings.subject_file.identify import IdentifySpec, parse_identify
from mjx_msm.recordings.subject_file.model import UNITS, ModelSpec, parse_model
from mjx_msm.recordings.subject_file.person import Person, parse_person
from mjx_msm.recordings.subject_file.places import data_folder, folder_of
from mjx_msm.recordings.subject_file.trials import NORMALISE, TrialEntry, parse_trial


@dataclass(frozen=True)
class Document:
    """A subject file that has been checked but not followed."""

    path: Path
    subject: Person
    model: ModelSpec
    kind: str
    processing: EmgProcessing
    aliases: Mapping[str, str]
    sampling: Mapping[str, float]
    trials: tuple[TrialEntry, ...]
    identify: IdentifySpec

    @property
    def emg_map(self) -> Mapping[str, Mapping[str, float]]:
        """Muscle → {channel: weight}; empty for a muscle taken as silent."""
        return self.identify.emg_map or {}


def parse_subject(document: Mapping[str, Any], path: str | Path) -> Document:
    """Check keys, types and ranges of a subject file, without opening any file it names."""
    path = Path(path)
    top = Section(
        document,
        str(path),
        (
            "data",
            "units",
            *TIMING,
            "gravity",
            "columns",
            "moment_columns",
            "subject",
            "model",
            "emg",
            "sampling",
            "trials",
            "identify",
        ),
    )
    faults = Faults()
    for key in ("subject", "model", "trials", "identify"):
        with faults.gathered():
            if key not in document:
                raise InputError(
                    f"{path}: section [{key}] is missing; add it"
                    if key != "trials"
                    else f"{path}: no [[trials]]; add at least one"
                )
    faults.raise_any()
    folder = folder_of(path)
    units, data, given = "auto", folder, Parts()
    with faults.gathered():
        units = top.text("units", "auto", options=UNITS) or "auto"
    with faults.gathered():
        data = data_folder(folder, top.text("data", ".") or ".", f"{path}: data")
    with faults.gathered():
        given.subject = parse_person(top, data)
    with faults.gathered():
        given.model = parse_model(top, folder, units)
    with faults.gathered():
        given.emg = parse_emg(top)
    sampling: dict[str, float] = {}
    with faults.gathered():
        sampling = _sampling(top)
    with faults.gathered():
        # where others are missing, what does not depend on them is checked all the same
        emg_map = given.emg[3] if given.emg else {}
        given.identify = parse_identify(top, given.subject or Person("", 70.0, 1.7, "female"), emg_map)
    entries = document["trials"]
    trials: list[TrialEntry] = []
    with faults.gathered():
        if not isinstance(entries, list | tuple) or not entries:
            raise InputError(f"{path}: trials must be a list of tables; write [[trials]] in double brackets")
        if given.model and given.emg and given.identify:
            for i, entry in enumerate(entries):
                with faults.gathered():
                    trials.append(parse_trial(top, entry, i, data, units, given.model, given.emg[3], given.identify))
    for name in dict.fromkeys(t.name for t in trials):
        with faults.gathered():
            if sum(t.name == name for t in trials) > 1:
                raise InputError(f"{path} [[trials]]: the name '{name}' appears twice; rename one")
    faults.raise_any()
    rule = given.emg[1].normalise if given.emg else None
    if any(t.role == NORMALISE for t in trials) and rule not in (None, "max"):
        raise InputError(
            f'{path} [emg.processing]: normalise gives numbers, and a trial has the role "{NORMALISE}"; keep one of '
            "them"
        )
    if all(t.role != "identify" for t in trials):
        raise InputError(f'{path} [[trials]]: every trial is held out; give at least one the role "identify"')
    assert given.subject is not None
    assert given.model is not None
    assert given.emg is not None
    assert given.identify is not None
    kind, processing, aliases, _ = given.emg
    identify = _with_levers(given.identify, trials)
    return Document(path, given.subject, given.model, kind, processing, aliases, sampling, tuple(trials), identify)


def _with_levers(identify: IdentifySpec, trials: Sequence[TrialEntry]) -> IdentifySpec:
    """Levers that are not well known are estimated, with what is known of them as prior."""
    free, priors = list(identify.free), {}
    for trial in trials:
        for name, column in trial.moment_columns.items():
            if column.lever_sd is not None:
                path = f"strap/{name}/lever"
                priors[path] = {"mean": column.lever, "sd": column.lever_sd}
                free += [] if path in free else [path]
    return replace(identify, free=tuple(free), priors={**priors, **identify.priors}) if priors else identify


@dataclass
class Parts:
    """Sections that have been read; None where one is wrong."""

    subject: Person | None = None
    model: ModelSpec | None = None
    emg: tuple[str, EmgProcessing, dict[str, str], dict[str, dict[str, float]]] | None = None
    identify: IdentifySpec | None = None


def _sampling(top: Section) -> dict[str, float]:
    section = top.section("sampling", ("lead_in", "max_gap", "motion_cutoff"))
    found = {
        "lead_in": section.number("lead_in", 0.3, low=0, high=5, unit="s"),
        "max_gap": section.number("max_gap", 0.05, low=0, high=1, unit="s"),
        "motion_cutoff": section.number("motion_cutoff", low=0.5, high=500, unit="Hz"),
    }
    return {k: v for k, v in found.items() if v is not None}
