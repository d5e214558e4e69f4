"""A draft and the files beside it on disk: all of them, once the subject file reads back; else none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.subject_file.loading import Study, load_subject
from mjx_msm.recordings.subject_file.model_check import check_against_model
from mjx_msm.recordings.survey.draft_text import Draft


def written(d: Draft, check: Callable[[Study], object] = lambda study: None) -> Study:
    """Write a draft, after it was read back and held against its model.

    **Arguments:** `check`: what else it has to pass, by an `InputError` that it raises.

    **Raises:** `InputError` if it does not read back or pass; then no file is left, and those there were stay.
    """
    text = "\n".join(d.lines) + "\n"
    made = not d.out.parent.exists()
    d.out.parent.mkdir(parents=True, exist_ok=True)
    kept = {path: path.read_bytes() for path in d.beside if path.exists()}
    handle, name = tempfile.mkstemp(prefix=f".{d.out.stem}-", suffix=".toml", dir=d.out.parent)
    os.close(handle)
    trial = Path(name)
    try:
        for path, (time, columns) in d.beside.items():
            write_csv(path, time, dict(columns))
        trial.write_text(text, encoding="utf-8")
        study = load_subject(trial)
        check_against_model(study, d.model.muscles, d.model.coordinates)
        check(study)
        write_text(d.out, text)
    except BaseException as error:
        for path in d.beside:
            if path in kept:
                path.write_bytes(kept[path])
            else:
                path.unlink(missing_ok=True)
        trial.unlink()
        if made:
            d.out.parent.rmdir()
        if isinstance(error, InputError):
            said = str(error)
            for own, meant in ((trial, d.out), (trial.resolve(), d.out.resolve())):
                said = said.replace(str(own), str(meant))
            said = said.replace(trial.name, d.out.name)
            raise InputError(f"no draft is written, since it does not pass its own check: {said}") from None
        raise
    trial.unlink()
    return load_subject(d.out)
