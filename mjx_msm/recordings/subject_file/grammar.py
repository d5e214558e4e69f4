"""The grammar of ``subject.toml`` as a whole; a section's is in the file of its name. No file is opened.

`mjx_msm.recordings.subject_file` says what the keys mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import Faults, InputError
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.emg import EmgProcessing
from mjx_msm.recordings.subject_file.columns import KINDS, TIMING
from mjx_msm.recordings.subject_file.emg import parse_emg
from mjx_msm.recordings.subject_file.identify import IdentifySpec, parse_identify
from mjx_msm.recordings.subject_file.model import UNITS, ModelSpec, parse_model
from mjx_msm.recordings.subject_file.person import Person, parse_person
from mjx_msm.recordings.subject_file.places import data_folder, folder_of
from mjx_msm.recordings.subject_file.trials import NORMALISE, TrialEntry, parse_trial

KEYS = (
    "data", "units", *TIMING, "gravity", "spikes", "other_foot", "columns", "moment_columns", "subject", "model", "emg",
    "sampling", "trials", "identify",
)  # fmt: skip
"""Of the file's top level."""
OF_NO_FILE = ("name", "role", "task", "start", "stop", "time_offset")
"""Keys of a trial that do not say how its files are read."""


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

    def column_of(self, trial: TrialEntry, channel: str) -> str:
        """What a channel of EMG is called in a trial's file."""
        return trial.channels.get(channel, self.aliases.get(channel, channel))


def parse_subject(document: Mapping[str, Any], path: str | Path) -> Document:
    """Check keys, types and ranges of a subject file, without opening any file it names.

    **Raises:** `InputError`; `InputErrors` with all that is wrong, in the file's order.
    """
    faults = Faults()
    parsed = parse_parts(document, path, faults)
    faults.raise_any(document)
    return parsed.document()


@dataclass
class Parts:
    """Sections of a subject file; None where one is missing or wrong."""

    path: Path
    data: Path | None
    """Folder of the recordings."""
    subject: Person | None = None
    model: ModelSpec | None = None
    emg: tuple[str, EmgProcessing, dict[str, str], dict[str, dict[str, float]]] | None = None
    sampling: dict[str, float] | None = None
    identify: IdentifySpec | None = None
    trials: tuple[TrialEntry, ...] = ()
    """All that could be read."""
    unclear: tuple[frozenset[str], ...] = ()
    """Of each of them, the kinds of file of which something is said that is wrong."""

    def document(self) -> Document:
        """All of it, once nothing is wrong."""
        assert self.subject is not None
        assert self.model is not None
        assert self.emg is not None
        assert self.identify is not None
        assert self.sampling is not None
        kind, processing, aliases, _ = self.emg
        identify = _with_levers(self.identify, self.trials)
        return Document(
            self.path, self.subject, self.model, kind, processing, aliases, self.sampling, self.trials, identify
        )


def parse_parts(document: Mapping[str, Any], path: str | Path, faults: Faults) -> Parts:
    """The sections of a subject file, as far as they are right; what is wrong is added to `faults`."""
    path = Path(path)
    top = Section(document, str(path), KEYS, faults=faults)
    for key in ("subject", "model", "trials", "identify"):
        if key not in top.data:
            missing = f"section [{key}] is missing; add it" if key != "trials" else "no [[trials]]; add at least one"
            top.refuse(InputError(f"{path}: {missing}"), key)
    folder = folder_of(path)
    units = top.text("units", "auto", options=UNITS) or "auto"
    data: Path | None = None
    with faults.gathered(("data",)):
        data = data_folder(folder, top.text("data", ".") or ".", f"{path}: data")

    def part(key: str, parse: Callable[[], Any]) -> Any:
        before, found = len(faults), None
        if key in top.data or key in ("emg", "sampling"):
            with faults.gathered((key,)):
                found = parse()
        return found if len(faults) == before else None

    given = Parts(path, data)
    data = data or folder
    given.subject = part("subject", lambda: parse_person(top, data))
    given.model = part("model", lambda: parse_model(top, folder, units))
    given.emg = part("emg", lambda: parse_emg(top))
    given.sampling = part("sampling", lambda: _sampling(top))
    emg_map = given.emg[3] if given.emg else {}
    someone = Person("", 70.0, 1.7, "female")
    given.identify = part("identify", lambda: parse_identify(top, given.subject or someone, emg_map, folder))
    entries = top.data.get("trials")
    if "trials" in top.data and (not isinstance(entries, list | tuple) or not entries):
        what = f"{path}: trials must be a list of tables; write [[trials]] in double brackets"
        top.refuse(InputError(what), "trials")
        entries = None
    trials: list[TrialEntry] = []
    unclear: list[frozenset[str]] = []
    for i, entry in enumerate(entries or ()):
        before = len(faults)
        with faults.gathered(("trials", i)):
            trials.append(parse_trial(top, entry, i, data, units, given.model, emg_map, given.identify))
            unclear.append(frozenset(k for at, _ in faults.found[before:] for k in _concerned(at)))
    given.trials, given.unclear = tuple(trials), tuple(unclear)
    for i, trial in enumerate(trials):
        if trial.name and trial.name in [t.name for t in trials[:i]]:
            what = f"{path} [[trials]]: the name '{trial.name}' appears twice; rename one"
            top.refuse(InputError(what), "trials")
    rule = given.emg[1].normalise if given.emg else None
    if any(t.role == NORMALISE for t in trials) and rule not in (None, "max"):
        what = f'normalise gives numbers, and a trial has the role "{NORMALISE}"; keep one of them'
        top.refuse(InputError(f"{path} [emg.processing]: {what}"), "emg", "processing")
    if trials and len(trials) == len(entries or ()) and all(t.role != "identify" for t in trials):
        what = f'{path} [[trials]]: every trial is held out; give at least one the role "identify"'
        top.refuse(InputError(what), "trials")
    return given


def _concerned(at: tuple[str | int, ...]) -> Sequence[str]:
    """Kinds of file whose reading a key decides, at the top or in a trial."""
    key = at[2] if len(at) > 2 and at[0] == "trials" else "".join(map(str, at[:1]))
    own = {
        "columns": ("motion",),
        "channels": ("emg",),
        "moment_columns": ("moments",),
        **{kind: (kind,) for kind in KINDS},
    }
    return own.get(str(key), () if key in OF_NO_FILE else KINDS)


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


def _sampling(top: Section) -> dict[str, float]:
    section = top.section("sampling", ("lead_in", "max_gap", "motion_cutoff"))
    found = {
        "lead_in": section.number("lead_in", 0.3, low=0, high=5, unit="s"),
        "max_gap": section.number("max_gap", 0.05, low=0, high=1, unit="s"),
        "motion_cutoff": section.number("motion_cutoff", low=0.5, high=500, unit="Hz"),
    }
    return {k: v for k, v in found.items() if v is not None}
