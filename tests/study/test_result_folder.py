"""Result folders appear whole or not at all, and what only shows a result does not cost it."""

from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputWarning
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.space import parameter_space
from mjx_msm.study import result_folder as result_folders
from mjx_msm.study.identification import can_cross_validate
from mjx_msm.study.result_folder import Kept, result_folder, save_result


def test_a_failure_leaves_no_folder(tmp_path):
    def fail() -> None:
        with result_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_figure_or_trial_that_cannot_be_made_does_not_cost_the_result(arm, result_of, tmp_path, monkeypatch):
    found = result_of(parameter_space(arm.nominal, ("muscle/BRA/max_isometric_force",)), np.eye(1))

    def bad(*_, **__):
        raise ValueError("Unknown symbol:\n\\percent")

    for name in ("save_excitation", "replays", "save_figures"):
        monkeypatch.setattr(result_folders, name, bad)
    with pytest.warns(InputWarning) as warned:
        kept = save_result(tmp_path / "out", None, arm, found)  # type: ignore[arg-type]
    assert kept == Kept(tmp_path / "out")
    parts = "excitation.csv", "trials", "figures"
    assert [str(w.message) for w in warned] == [
        rf"the result is written without its {part} (Unknown symbol: \percent)" for part in parts
    ]
    assert Identification.load(tmp_path / "out") == found
    assert mujoco.MjModel.from_xml_path(str(tmp_path / "out" / "model.xml")).nu == len(arm.muscles)


def test_nothing_made_from_an_earlier_result_outlives_it(tmp_path):
    """A file of the user's does; so does everything where only a profile is added."""
    for written in (("model.xml", "model_muscles.py", "trials/a.csv"), ("report.html", "trials/b.csv")):
        with result_folder(tmp_path / "out") as folder:
            (folder / "trials").mkdir()
            for name in ("identification.json", *written):
                (folder / name).write_text("x")
        (tmp_path / "out" / "notes.txt").write_text("x")
        with result_folder(tmp_path / "out") as folder:
            (folder / "profile.html").write_text("x")
    kept = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert kept == {"identification.json", "report.html", "profile.html", "trials/b.csv", "notes.txt"}


@pytest.mark.parametrize(
    ("by", "moments", "applies"),
    [
        ("trial", "xx", True),
        ("trial", "x-", False),  # nothing to identify from without the first
        ("trial", "xx-", True),
        ("trial", "x", False),
        ("block", "xx", True),
        ("block", "x-", False),
        ("block", "x?", False),
    ],
)
def test_it_is_cross_validated_where_every_fold_leaves_something(by, moments, applies):
    made = {"x": np.ones((3, 1)), "-": None, "?": np.full((3, 1), np.nan)}
    trials = tuple(SimpleNamespace(name=str(k), task="", moment=made[m]) for k, m in enumerate(moments))
    study: Any = SimpleNamespace(trials=trials, identify=SimpleNamespace(residuals=("moment",)))
    assert can_cross_validate(study, by) is applies
