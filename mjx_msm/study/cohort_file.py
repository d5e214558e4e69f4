"""``study.toml``: many people, each by a subject file of their own or by a row of a table.

```toml
name = "older people"
subjects = ["*/subject.toml"]     # either: subject files, paths or patterns; or one pattern

template = "subject.toml"         # or: a subject file in which {column} stands for what the person's row holds,
table = "people.csv"              # {column:02d} as in Python, where the value is a number; .csv, or .tsv
# bids = "dataset"                # or, for a table: a BIDS data set, whose participants.tsv it is; {participant_id},
#                                 # "data" of the template is the participant's folder, and age, sex, height and weight
#                                 # go where they belong, in the units of participants.json
# only = { person = ["1", "2"] }  # rows with one of these in a column

[columns]                         # what a column is, as key of the subject file; a column may be called so itself
"subject.mass" = "Weight"         # ("subject.height", "identify.starts"), and an empty cell leaves the template's value
"subject.height" = { column = "Height", factor = 0.01 }   # cm
"trials.*.moment_columns.knee_angle.lever.mean" = { column = "Height", factor = 0.0022 }  # of every trial; or by name

[run]                             # of every person; these are the defaults
cross_validation = true           # where moments are fitted: see `mjx_msm.cross_validate`
draws = true                      # take the posterior's draws through the recording
turns = 4                         # of five people or more: how often, at most, everybody is identified anew with what
seed = 0                          # all of them lead to expect, for the population (`mjx_msm.study.cohort_turns`)
```

Paths of a template are relative to it, as in any subject file. What is asked of one person stands in
``OUT/subjects/NAME.toml``, which `mjx-msm identify` takes.
"""

from __future__ import annotations

import csv
import glob
import io
import os
import re
import string
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mjx_msm.common.arguments import path_of
from mjx_msm.common.errors import InputError, InputWarning, suggest
from mjx_msm.common.files import hashes_of, read_text
from mjx_msm.common.toml_tables import Section, read_toml, show
from mjx_msm.knowledge.hierarchy import TURNS
from mjx_msm.recordings.subject_file.grammar import KEYS as SUBJECT_KEYS
from mjx_msm.recordings.subject_file.model import BUNDLED, PREFIX
from mjx_msm.recordings.subject_file.person import traits_of
from mjx_msm.recordings.subject_file.places import expanded
from mjx_msm.study.participants import columns_of

KEYS = ("name", "subjects", "template", "table", "bids", "only", "columns", "run")
SEXES = {"m": "male", "male": "male", "f": "female", "female": "female", "w": "female"}
MISSING = ("", "n/a", "na", "nan")


@dataclass(frozen=True)
class Someone:
    """One of the people, before anything of theirs is read."""

    name: str
    path: Path | None
    """Their subject file; None where a template makes it."""
    document: Mapping[str, Any] | None = None
    """What a template makes of their row; paths in it are absolute."""
    fault: str = ""
    """Why there is nothing to identify."""
    traits: Mapping[str, float | str] = field(default_factory=dict)
    """What is known of them besides recordings, when the study file was read."""


@dataclass(frozen=True)
class CohortFile:
    """What a study file asks for."""

    name: str
    path: Path
    people: tuple[Someone, ...]
    cross_validation: bool = True
    draws: bool = True
    turns: int = TURNS
    seed: int = 0
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the study file, the template and the table, by path relative to the study file."""


def load_cohort(path: str | Path) -> CohortFile:
    """Read a study file, its table, and who is in its subject files; no recording.

    **Warns:** `InputWarning` of columns that look like keys and are none, and of what a BIDS table has converted.

    **Raises:** `InputError` naming the key, column or row that cannot be used. A subject file that cannot be read is
    that person's own fault (`Someone.fault`).
    """
    path = path_of("the study file", path)
    top = Section(read_toml(path, "study file"), str(path), KEYS)
    given = [key for key in ("subjects", "template") if key in top.data]
    if len(given) != 1:
        raise InputError(f'{path}: give either subjects = ["*/subject.toml"], or a template with a table')
    people = _files(top, path) if given == ["subjects"] else _rows(top, path)
    names = [p.name for p in people]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{path}: {names.count(name)} people are called '{name}'; give each their own subject.name"
            )
    if not people:
        raise InputError(f"{path}: nobody to identify; give subjects, or rows of a table")
    run = top.section("run", ("cross_validation", "draws", "turns", "seed"))
    flags = {key: run.data.get(key, True) for key in ("cross_validation", "draws")}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise run.fail(key, "true or false")
    seed, turns = (run.number(key, usual, low=0, high=2**31) or 0.0 for key, usual in (("seed", 0.0), ("turns", TURNS)))
    read = (path,) if given == ["subjects"] else (path, *_template_and_table(top, path)[:2])
    return CohortFile(
        top.text("name", path.stem) or "", path, tuple(people), **flags, turns=int(turns), seed=int(seed),
        hashes=hashes_of(path, read),
    )  # fmt: skip


def _files(top: Section, path: Path) -> list[Someone]:
    value = top.data["subjects"]
    patterns = [value] if isinstance(value, str) else list(top.names("subjects", required=True))
    found: list[Path] = []
    for pattern in patterns:
        text = expanded(pattern, f"{path}: subjects")
        hits = sorted(glob.glob(text, root_dir=path.parent, recursive=True)) if glob.has_magic(text) else [text]
        if not hits:
            raise InputError(f"{path}: subjects: no file fits '{pattern}'; correct it")
        found += [path.parent / hit for hit in hits]
    return [_by_file(file) for file in dict.fromkeys(found)]


def _by_file(file: Path) -> Someone:
    try:
        who = read_toml(file, "subject file").get("subject", {})
        name = who.get("name") if isinstance(who, Mapping) else None
        if not isinstance(name, str) or not name:
            raise InputError(f"{file} [subject]: 'name' is missing; give a text in quotes")
        return Someone(name, file, traits=traits_of(who))
    except InputError as error:
        return Someone(file.parent.name if file.stem == "subject" else file.stem, file, fault=str(error))


def _rows(top: Section, path: Path) -> list[Someone]:
    """The people of a table."""
    template, file, folder = _template_and_table(top, path)
    document = read_toml(template, "subject file")
    rows = _table(file)
    if folder is not None:
        _check_column("participant_id", rows, str(file))
    columns = _columns(top, rows, file, folder)
    only = top.section("only", None)
    for column in only.data:
        _check_column(column, rows, only.where)
        only.names(column, required=True)
    out = []
    for number, row in enumerate(rows, start=2):
        if any(row[column] not in only.data[column] for column in only.data):
            continue
        where = f"{file} row {number}"
        filled = _filled(document, row, where)
        for key, factor, column in columns:
            text = row[column]
            if text.lower() not in MISSING:
                _put(filled, key, _value(key, text, factor, where, column), where)
        if folder is not None and "data" not in document:
            filled["data"] = str(folder / row["participant_id"])
        if folder is not None and filled.get("subject", {}).get("name") in (None, ""):
            _put(filled, "subject.name", row["participant_id"], where)
        _check_whole(filled, where)
        who = filled["subject"]
        out.append(Someone(who["name"], None, _anchored(filled, template), traits=traits_of(who)))
    return out


def _template_and_table(top: Section, path: Path) -> tuple[Path, Path, Path | None]:
    """Also the folder of a BIDS data set, whose table it is; None of another."""
    template, bids = path.parent / (top.text("template", required=True) or ""), top.text("bids")
    if (bids is None) == ("table" not in top.data):
        raise InputError(f"{path}: a template needs a table, or bids; give one of them")
    if bids is None:
        return template, path.parent / expanded(top.text("table", required=True) or "", f"{path}: table"), None
    folder = path.parent / expanded(bids, f"{path}: bids")
    return template, folder / "participants.tsv", folder


def _table(file: Path) -> list[dict[str, str]]:
    text = read_text(file, "table of people")
    reader = csv.DictReader(io.StringIO(text), delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
    names = reader.fieldnames or []
    rows = []
    for number, row in enumerate(reader, start=2):
        if None in row or None in row.values():
            raise InputError(
                f"{file} row {number}: has not as many cells as there are columns ({len(names)}); correct it"
            )
        rows.append({key.strip(): value.strip() for key, value in row.items()})
    if not rows:
        raise InputError(f"{file}: holds no row; give a header and a row for every person")
    return rows


def _columns(
    top: Section, rows: Sequence[Mapping[str, str]], file: Path, bids: Path | None
) -> list[tuple[str, float, str]]:
    """Keys of the subject file, with the column each comes from and what it is multiplied by."""
    section = top.section("columns", None)
    dotted = {name: name.partition(".")[0] for name in rows[0] if "." in name}
    out = {name: (name, 1.0, name) for name, first in dotted.items() if first in SUBJECT_KEYS}
    for name, first in dotted.items():
        if first not in SUBJECT_KEYS:
            warnings.warn(
                f"{file}: column '{name}' is no key of a subject file, which has no [{first}], and fills {{{name}}} "
                f"alone{suggest(first, SUBJECT_KEYS)}",
                InputWarning,
                stacklevel=2,
            )
    if bids is not None:
        out |= columns_of(bids, rows, section.data)
    for key, entry in section.data.items():
        if isinstance(entry, str):
            column, factor = entry, 1.0
        else:
            inside = section.section(key, ("column", "factor"))
            column, factor = inside.text("column", required=True) or "", inside.number("factor", 1.0) or 1.0
        _check_column(column, rows, f"{section.where} {key}")
        out[key] = (key, factor, column)
    return list(out.values())


def _check_column(column: str, rows: Sequence[Mapping[str, str]], where: str) -> None:
    if column not in rows[0]:
        raise InputError(f"{where}: the table has no column '{column}'{suggest(column, rows[0], limit=20)}")


def _value(key: str, text: str, factor: float, where: str, column: str) -> Any:
    if key == "subject.sex":
        return SEXES.get(text.lower(), text)
    if key == "subject.name":
        return text
    if key == "subject.age" and re.fullmatch(r"\d+\+", text):  # BIDS: who could be told by their age
        warnings.warn(f"{where}: {column} {text} is taken as {text[:-1]}", InputWarning, stacklevel=2)
        text = text[:-1]
    number = _number(text)
    if number is None:
        if factor != 1.0:
            raise InputError(f"{where}: column '{column}' is '{text}', which is not a number; correct it")
        return text
    return number if factor == 1.0 else number * factor


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if abs(value) < float("inf") else None
    return None


def _filled(value: Any, row: Mapping[str, str], where: str) -> Any:
    """A template with the row's values in the place of ``{column}``."""
    if isinstance(value, Mapping):
        return {_filled(key, row, where): _filled(x, row, where) for key, x in value.items()}
    if isinstance(value, list):
        return [_filled(x, row, where) for x in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    out = []
    try:
        parts = list(string.Formatter().parse(value))
        for before, name, spec, conversion in parts:
            out.append(before)
            if name is None:
                continue
            if out and before.endswith("$"):  # an environment variable's: ${NAME}
                out.append("{" + name + (f":{spec}" if spec else "") + "}")
                continue
            if conversion or name not in row:
                raise InputError(f"{where}: '{value}': there is no column '{name}'{suggest(name, row, limit=20)}")
            number = _number(row[name])
            out.append(format(row[name] if number is None or not spec else number, spec or ""))
    except (ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: '{value}' cannot be filled in ({error}); write {{column}}") from None
    return "".join(out)


def _put(document: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a value by its dotted key; in a list, of the entry of a name, or of every one ("*")."""
    *tables, last = key.split(".")
    places: list[Any] = [document]
    for name in tables:
        inside: list[Any] = []
        for place in places:
            if isinstance(place, dict):
                inside.append(place.setdefault(name, {}))
            elif isinstance(place, list):
                inside += [entry for entry in place if name == "*" or dict(entry).get("name") == name]
        places = inside
    if not places or not all(isinstance(place, dict) for place in places):
        raise InputError(f"{where}: '{key}' is no key of a subject file; write section.key, or trials.NAME.key")
    for place in places:
        place[last] = value


def _check_whole(document: Mapping[str, Any], where: str) -> None:
    who = document.get("subject")
    name = who.get("name") if isinstance(who, Mapping) else None
    if not isinstance(name, str) or not name:
        raise InputError(
            f'{where}: has no subject.name; give the template one, like name = "person {{id}}", got {show(name)}'
        )


def _anchored(document: dict[str, Any], template: Path) -> dict[str, Any]:
    """With paths that hold wherever the document is written."""
    folder = template.resolve().parent

    def absolute(text: str) -> str:
        return os.path.normpath(folder / expanded(text, f"{template}: {text}"))

    out: dict[str, Any] = {**document, "data": absolute(str(document.get("data", ".")))}
    model: dict[str, Any] = dict(out.get("model") or {})
    source = model.get("source")
    if isinstance(source, str) and source not in BUNDLED and not source.startswith(PREFIX):
        out["model"] = model | {"source": absolute(source)}
    asked: dict[str, Any] = dict(out.get("identify") or {})
    if isinstance(asked.get("prior"), str):
        out["identify"] = asked | {"prior": absolute(asked["prior"])}
    return out
