"""The grammar of ``subject.toml`` as a whole; a section's is in the file of its name. No file is opened.

`mjx_msm.recordings.subject_file` says what the keys mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.common.toml_tables import Section
from mjx_msm.recordings.emg import EmgProcessing
from mjx_msm.recordings.subject_file.emg import parse_emg
from mjx_msm.recordings.subject_file.identify import IdentifySpec, parse_identify
from mjx_msm.recordings.subject_file.model import UNITS, ModelSpec, parse_model
from mjx_msm.recordings.subject_file.person import Person, parse_person
from mjx_msm.recordings.subject_file.places import data_folder, folder_of
from mjx_msm.recordings.subject_file.trials import TrialEntry, parse_trial


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
            "time_column",
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
    for key in ("subject", "model", "trials", "identify"):
        if key not in document:
            raise InputError(
                f"{path}: section [{key}] is missing; add it"
                if key != "trials"
                else f"{path}: no [[trials]]; add at least one"
            )
    units = top.text("units", "auto", options=UNITS) or "auto"
    folder = folder_of(path)
    data = data_folder(folder, top.text("data", ".") or ".", f"{path}: data")

    subject = parse_person(top)
    model = parse_model(top, folder, units)
    kind, processing, aliases, emg_map = parse_emg(top)

    sampling_section = top.section("sampling", ("lead_in", "max_gap", "motion_cutoff"))
    sampling = {
        "lead_in": sampling_section.number("lead_in", 0.3, low=0, high=5, unit="s"),
        "max_gap": sampling_section.number("max_gap", 0.05, low=0, high=1, unit="s"),
        "motion_cutoff": sampling_section.number("motion_cutoff", low=0.5, high=500, unit="Hz"),
    }
    sampling = {k: v for k, v in sampling.items() if v is not None}

    identify = parse_identify(top, subject, emg_map)
    entries = document["trials"]
    if not isinstance(entries, list | tuple) or not entries:
        raise InputError(f"{path}: trials must be a list of tables; write [[trials]] in double brackets")
    trials = tuple(parse_trial(top, entry, i, data, units, model, emg_map, identify) for i, entry in enumerate(entries))
    for trial in trials:
        if sum(t.name == trial.name for t in trials) > 1:
            raise InputError(f"{path} [[trials]]: the name '{trial.name}' appears twice; rename one")
    if all(t.role != "identify" for t in trials):
        raise InputError(f'{path} [[trials]]: every trial is held out; give at least one the role "identify"')
    return Document(path, subject, model, kind, processing, aliases, sampling, trials, identify)
