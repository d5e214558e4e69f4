"""Two recorded people on their own skeletons, imported from OpenSim, beside the generic knee: knee moments unseen.

    python examples/benchmarks/own_geometry.py [--quick] [--only treadmill|walk] [--json FILE]

The treadmill's person is recorded in the coordinates of gait2392, the 3D walk's in those of a model that was scaled to
that person. Both are imported (`mjx_msm.import_osim`) with the same twelve muscles, and identified as their subject
files say; with two more hip angles prescribed, as the recordings have them, in a row of their own. MJX_MSM_DATA names
the folder that holds treadmill/ and knee_walk/; gait2392.osim is looked for in reference/ beside it.
"""

from __future__ import annotations

import fnmatch
import os
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from people import EXAMPLES, loaded, part
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.person.applied import matches
from mjx_msm.person.model import model_of
from mjx_msm.recordings.subject_file.loading import Study, write_subject
from mjx_msm.study.settings import settings, study_model

HIP = ("hip_adduction_r", "hip_rotation_r")


def on_own_geometry(example: str, osim: Path, *, hip: bool, folder: Path) -> Study:
    """A subject file's study, its model replaced by what is imported."""
    document = tomllib.loads((EXAMPLES / example / "subject.toml").read_text(encoding="utf-8"))
    generic = msm.load_model("knee")
    opened = msm.import_osim  # the heavy part
    names = matches(generic.muscles, _muscles_of(osim), {}, "r")
    coordinates = [f"{c}_r" for c in generic.coordinates] + list(HIP if hip else ())
    made = opened(osim, coordinates=coordinates, muscles=names.values())
    model = model_of(made.spec, str(osim))
    xml = msm.export(model, model.nominal, folder / f"{example}{'_hip' if hip else ''}.xml")
    spec = document["model"]
    spec |= {"source": str(xml), "free": ["knee_angle_r"]}
    spec["prescribed"] = [c for c in coordinates if c != "knee_angle_r"]
    document["columns"] = _columns(example, coordinates)
    sign = {"column": "knee_angle_r_moment"}
    document["moment_columns"] = {"knee_angle_r": sign}
    document["emg"]["muscles"] = {names[m]: mix for m, mix in document["emg"]["muscles"].items()}
    asked = document["identify"]
    asked["free"] = [renamed for pattern in asked["free"] for renamed in _renamed(pattern, names)]
    path = folder / f"{xml.stem}.toml"
    data = os.environ["MJX_MSM_DATA"]
    write_subject(
        path, {**document, "data": str(Path(data) / ("treadmill" if example == "treadmill" else "knee_walk"))}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on the recording, printed by the command line
        return msm.load_subject(path)


def _muscles_of(osim: Path) -> list[str]:
    from mjx_msm.person.from_osim.opened import OpenedModel

    return list(OpenedModel(osim).muscles)


def _columns(example: str, coordinates: list[str]) -> dict[str, Any]:
    if example == "treadmill":
        return {c: c for c in coordinates}
    joints = {"knee_angle_r": "walker_knee_r", "ankle_angle_r": "ankle_r"}
    return {c: f"/jointset/{joints.get(c, 'hip_r')}/{c}/value" for c in coordinates}


def _renamed(pattern: str, names: Mapping[str, str]) -> list[str]:
    """A pattern of the generic knee's names in those of the imported model."""
    group, name, field = (*pattern.split("/", 2), "")[:3]
    if group == "joint":
        return [f"joint/{name}_r/{field}"]
    if group != "muscle":
        return [pattern]
    return [f"muscle/{other}/{field}" for mine, other in names.items() if fnmatch.fnmatchcase(mine, name)]


def treadmill(study: Study, what: str, share: float) -> Iterator[Row]:
    model, asked = study_model(study), replace(settings(study), held="exact")  # intervals are not asked for
    walks, (running,) = [part(t, 0, share) for t in study.trials], [part(t, 0, share) for t in study.held_out]
    result = msm.identify(model, walks, held_out=[running], settings=asked)
    inside = [f.identified for f in result.fits if f.role == "identify" and f.kind == "moment"]
    (fit,) = [f for f in result.fits if f.role == "held-out"]
    yield row(f"treadmill, {what}: walks, in sample", sum(inside) / max(len(inside), 1), fit.unit)
    yield row(f"treadmill, {what}: walks to run", fit.identified, fit.unit)
    yield row(f"treadmill, {what}: its correlation", fit.correlation, "-")


def walk(study: Study, what: str, starts: int | None) -> Iterator[Row]:
    asked = settings(study) if starts is None else replace(settings(study), starts=starts)
    (fit,) = msm.cross_validate(study_model(study), study.trials, settings=asked)
    yield row(f"3D walk, {what}: in blocks", fit.identified, fit.unit)
    yield row(f"3D walk, {what}: its correlation", fit.correlation, "-")


def recording(example: str, osim: Path, quick: bool) -> Iterator[Row]:
    """On the generic knee, then on the person's own skeleton; a quarter of the treadmill and one start, if reduced."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            studies = {"generic knee": loaded(example)}
            for what, hip in (("own geometry", False), ("own geometry, hip in 3D", True)):
                studies[what] = on_own_geometry(example, osim, hip=hip, folder=Path(folder))
        except msm.InputError as error:
            print(f"left out: {error}", file=sys.stderr)
            return
        for what, study in studies.items():
            if example == "treadmill":
                yield from treadmill(study, what, 0.25 if quick else 1.0)
            else:
                yield from walk(study, what, 1 if quick else None)


DATA = Path(os.environ.get("MJX_MSM_DATA", ""))
RECORDINGS = {
    "treadmill": partial(recording, "treadmill", DATA.parent / "reference" / "gait2392.osim"),
    "walk": partial(recording, "knee_walk", DATA / "knee_walk" / "subject_walk_scaled.osim"),
}


def rows(quick: bool) -> Iterator[Row]:
    for some in RECORDINGS.values():
        yield from some(quick)


if __name__ == "__main__":
    run(__doc__, rows, RECORDINGS)
