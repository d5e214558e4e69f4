"""``participants.tsv`` of a BIDS data set: which of its columns are what of a subject file, and in which unit.

Of these BIDS recommends age (in years, "89+" for whoever is older) and sex; height and weight are columns that labs
add, in a unit that ``participants.json`` may say (bids-specification.readthedocs.io, modality-agnostic files).
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.common.json_files import read_json

COLUMNS = {"subject.mass": "weight", "subject.height": "height", "subject.age": "age", "subject.sex": "sex"}
"""By the key of the subject file that they are."""
TALLEST = 3.0
"""Above it, a height without a unit is in centimetres [m]."""
_SPELT = {
    "subject.mass": {1.0: "kg kilogram kilograms", 1e-3: "g gram grams", 0.45359237: "lb lbs pound pounds"},
    "subject.height": {
        1.0: "m meter meters metre metres", 0.01: "cm centimeter centimeters centimetre centimetres",
        1e-3: "mm millimeter millimeters millimetre millimetres", 0.0254: "in inch inches",
    },
    "subject.age": {1.0: "y yr yrs year years", 1 / 12: "month months"},
}  # fmt: skip


def columns_of(
    folder: Path, rows: Sequence[Mapping[str, str]], given: Collection[str]
) -> dict[str, tuple[str, float, str]]:
    """Key of the subject file to itself, what its column is multiplied by, and the column; without `given` keys.

    **Warns:** `InputWarning` of what is converted.

    **Raises:** `InputError` for a unit that is not known.
    """
    there = {key: column for key, column in COLUMNS.items() if key not in given and column in rows[0]}
    file = folder / "participants.json"
    said = read_json(file, "BIDS file", "write it as BIDS has it") if there and file.is_file() else {}
    return {key: (key, _factor(key, column, rows, said, file), column) for key, column in there.items()}


def _factor(key: str, column: str, rows: Sequence[Mapping[str, str]], said: object, file: Path) -> float:
    about = said.get(column) if isinstance(said, Mapping) else None
    unit = about.get("Units") if isinstance(about, Mapping) else None
    if isinstance(unit, str) and key in _SPELT and unit.strip().casefold() not in ("", "n/a"):
        for factor, names in _SPELT[key].items():
            if unit.strip().casefold() in names.split():
                if factor != 1.0:
                    warnings.warn(f"{file}: {column} is in {unit}, and is converted", InputWarning, stacklevel=2)
                return factor
        raise InputError(
            f"{file}: {column} is in '{unit}', which is not known; say what it is multiplied by in the study file: "
            f'[columns] "{key}" = {{ column = "{column}", factor = … }}'
        )
    if key == "subject.height" and max(map(_size, (row[column] for row in rows))) > TALLEST:
        warnings.warn(
            f"{file.with_suffix('.tsv')}: {column} is taken for centimetres, by its size", InputWarning, stacklevel=2
        )
        return 0.01
    return 1.0


def _size(text: str) -> float:
    with suppress(ValueError):
        return float(text)
    return 0.0
