"""Which recordings to predict, as a user names them: trials of a subject file, or files like those it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.file_kinds import SUBJECT, refuse_other
from mjx_msm.common.toml_tables import read_toml
from mjx_msm.recordings.subject_file.loading import Study, study_of
from mjx_msm.recordings.subject_file.trials import NORMALISE
from mjx_msm.recordings.trial import Trial

FILES = ("motion", "emg", "moments")
OWN = ("name", "role", "task", "start", "stop", *FILES)
"""What is of one recording alone. All else is how a laboratory writes its files, and holds for new ones."""


@dataclass(frozen=True)
class Asked:
    """Trials to predict, and the study whose columns, units and processing they have."""

    study: Study
    trials: tuple[Trial, ...]


def asked_trials(subject: str | Path, names: Sequence[str] = ()) -> Asked:
    """Read them.

    **Arguments:** `subject`: the subject file. `names`: each the name of a trial in it, or new files joined by commas,
    ``motion.sto,emg.sto`` and perhaps ``,moments.sto``, read as its first trial is (columns, units, rates, offsets);
    none: all its trials, but those of greatest effort, which have no motion.

    **Raises:** `InputError` if there is no such trial or file.
    """
    path = Path(subject)
    refuse_other(path, SUBJECT)
    document = dict(read_toml(path, "subject file"))
    entries = document.get("trials")
    entries = list(entries) if isinstance(entries, list | tuple) else []
    moving = [e for e in entries if isinstance(e, dict) and e.get("role") != NORMALISE]
    known = [e.get("name") for e in moving]
    efforts = [e.get("name") for e in entries if isinstance(e, dict) and e.get("role") == NORMALISE]
    wanted = list(names) or [n for n in known if isinstance(n, str)]
    chosen: list[str] = []
    for name in wanted:
        if name in known:
            chosen.append(name)
            continue
        if name in efforts:
            raise InputError(f"trial '{name}' of {path} has the role \"{NORMALISE}\": it is EMG alone; name another")
        files = [f.strip() for f in name.split(",")]
        if len(files) == 1 and not Path(name).is_file():
            raise InputError(f"'{name}' is neither a trial of {path} nor a file{suggest(name, map(str, known))}")
        entries.append(_entry(files, moving[0] if moving else {}, name, [*known, *efforts]))
        chosen.append(entries[-1]["name"])
        known.append(chosen[-1])
    study = study_of(document | {"trials": entries}, path)
    every = {t.name: t for t in (*study.trials, *study.held_out, *study.to_predict)}
    return Asked(study, tuple(every[n] for n in chosen))


def _entry(files: Sequence[str], like: Any, asked: str, known: Sequence[Any]) -> dict[str, Any]:
    """An entry of ``[[trials]]`` for new files."""
    if not 1 <= len(files) <= len(FILES):
        raise InputError(f"'{asked}': give motion.sto,emg.sto or motion.sto,emg.sto,moments.sto, one recording's files")
    for file in files:
        if not Path(file).is_file():
            raise InputError(f"'{asked}': no file {file}; correct the path")
    first = Path(files[0])
    name = first.stem if first.parent.name == "" else f"{first.parent.name}/{first.stem}"
    while name in known:
        name += "'"
    kept = {k: v for k, v in dict(like).items() if k not in OWN}
    given = {kind: str(Path(f).resolve()) for kind, f in zip(FILES, files, strict=False)}
    return {**kept, "name": name, "role": "predict", **given}
