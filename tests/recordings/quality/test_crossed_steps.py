"""Steps across the middle of two force plates: found, masked and told; squats, jumps and proper steps left alone."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mjx_msm import load_subject
from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.recordings.quality.crossed_steps import OtherFoot, crossed_steps, spans, step_line
from mjx_msm.recordings.readers.reading import read_table
from mjx_msm.recordings.readers.table import Table
from mjx_msm.recordings.subject_file.joints import _crossed

RATE = 100.0
TIME = np.arange(0, 20, 1 / RATE)


def pushes(phase: float) -> np.ndarray:
    """An ankle of gait at 1.25 strides a second: it pushes for 35 % of a stride."""
    into = (1.25 * TIME + phase) % 1
    return np.where(into < 0.35, 130 * np.sin(np.pi * into / 0.35), -5 * np.sin(np.pi * (into - 0.35) / 0.65))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_steps_that_load_the_other_leg_are_found(sign):
    right, left = pushes(0.0), pushes(0.5)
    assert not crossed_steps(sign * right, sign * left, RATE).any()
    steps = (TIME > 8) & (TIME < 12)  # in which half of the left foot's force is on the right leg's plate
    right, left = right + 0.5 * steps * np.maximum(left, 0), np.where(steps, 0.5, 1.0) * left
    found = crossed_steps(sign * right, sign * left, RATE)
    shared = steps & (pushes(0.5) > 40)
    assert found[shared].all()
    assert not found[~steps & ~np.roll(steps, 10) & ~np.roll(steps, -10)].any()
    said = step_line(TIME, found, masked=False)
    assert said.startswith("may have the other foot's force in them 5 times, first from 8.")
    assert 'other_foot = "masked" leaves that out; not if' in said
    assert step_line(TIME, found, masked=True).endswith("; masked")


def test_both_legs_of_a_squat_push():
    squat = 60 + 30 * np.sin(3 * TIME)
    assert not crossed_steps(squat, squat + 5, RATE).any()
    assert not crossed_steps(np.full(len(TIME), np.nan), squat, RATE).any()


def test_the_recorded_run_and_walks(data_dir):
    """In the run, moments of 60 N·m and more about the knee of a leg in the air come with pushes of both ankles."""
    share = {}
    for name in ("walk36", "walk45", "run81"):
        table = read_table(data_dir / "treadmill" / name / "id.sto")
        crossed = crossed_steps(table["ankle_angle_r_moment"], table["ankle_angle_l_moment"], table.rate)
        share[name] = float(np.mean(crossed))
        if name == "run81":
            knee = table["knee_angle_r_moment"]
            swing = (
                np.abs(table["knee_angle_r_moment"]) > 60
            )  # 60 N·m and more towards flexion: no knee of a leg in air
            assert crossed[swing & (knee < 0)].mean() > 0.9
    assert share["walk36"] < 0.01
    assert share["walk45"] == 0.0
    assert share["run81"] == pytest.approx(0.16, abs=0.01)


FILE = """
[columns]
knee_angle = "knee"
[moment_columns]
knee_angle = "knee_angle_r_moment"
[subject]
name = "one"
mass = 70.0
[model]
source = "knee"
free = ["knee_angle"]
locked = { hip_flexion = 0.0, ankle_angle = 0.0 }
[emg.muscles]
MUSCLES
[[trials]]
name = "run"
motion = "all.csv"
emg = "all.csv"
moments = "all.csv"
[identify]
free = ["emg/*/gain"]
residuals = ["moment"]
rate = 100.0
"""
MUSCLES = "recfem vasmed vasint vaslat bflh bfsh semimem semiten gasmed gaslat soleus tibant"


def written(folder, right, left):
    """A subject file of these ankles and a knee."""
    columns = {"time": TIME, "knee_angle_r_moment": 20 * np.sin(8 * TIME), "knee": 0.5 + 0.1 * np.sin(3 * TIME)}
    columns |= {"ankle_angle_r_moment": -right, "ankle_angle_l_moment": -left, "quad": 0.5 + 0.1 * np.cos(TIME)}
    rows = np.column_stack(list(columns.values()))
    np.savetxt(folder / "all.csv", rows, delimiter=",", header=",".join(columns), comments="", fmt="%.6f")
    path, text = folder / "subject.toml", FILE.replace("MUSCLES", "\n".join(f'{m} = "quad"' for m in MUSCLES.split()))
    path.write_text(text)
    return path


def test_who_walks_on_the_toes_pushes_with_both_and_keeps_their_moments(tmp_path):
    """Double support of a fifth of the stride, in which the leading ankle pushes at once: told, and nothing is lost."""

    def toes(phase):
        into = (TIME / 1.1 + phase) % 1
        return 80 * np.sqrt(np.clip(np.sin(np.pi * into / 0.62), 0.0, None)) * (into < 0.62)

    assert crossed_steps(toes(0.0), toes(0.5), RATE).mean() > 0.05
    path = written(tmp_path, toes(0.0), toes(0.5))
    with pytest.warns(InputWarning, match="both ankles push at once"):
        (trial,) = load_subject(path).trials
    assert trial.moment is not None
    assert np.isfinite(trial.moment).all()


def test_a_subject_file_leaves_them_out_where_it_says_so(tmp_path):
    right, left = pushes(0.0), pushes(0.5)
    right = right + 0.5 * (TIME > 18) * np.maximum(left, 0)
    path = written(tmp_path, right, left)
    with pytest.warns(InputWarning, match="may have the other foot's force in them 3 times, first from 17.99"):
        (kept,) = load_subject(path).trials
    assert kept.moment is not None
    assert np.isfinite(kept.moment).all()
    path.write_text('other_foot = "masked"\n' + path.read_text())
    with pytest.warns(InputWarning, match="; masked"):
        (trial,) = load_subject(path).trials
    crossed = crossed_steps(right, left, RATE)
    assert trial.moment is not None
    gone = np.isnan(trial.moment[:, 0])
    assert crossed[gone[-len(crossed) :]].mean() > 0.9  # the clock has a lead-in
    assert gone.sum() >= crossed.sum()


@pytest.mark.parametrize("names", [("RAnkleMoment", "LAnkleMoment"), ("Right ankle moment", "Left ankle moment")])
def test_ankles_are_known_by_what_laboratories_call_them(names, tmp_path):
    right, left = pushes(0.0), pushes(0.5)
    right = right + 0.5 * (TIME > 18) * np.maximum(left, 0)
    path, file = written(tmp_path, right, left), tmp_path / "all.csv"
    text = file.read_text()
    for old, new in zip(("ankle_angle_r_moment", "ankle_angle_l_moment"), names, strict=True):
        text = text.replace(old, new)
    file.write_text(text.replace("knee_angle_r_moment", "RKneeMoment"))
    path.write_text(path.read_text().replace("knee_angle_r_moment", "RKneeMoment"))
    with pytest.warns(InputWarning, match="RKneeMoment .* may have the other foot's force in them 3 times"):
        load_subject(path)


def test_ankles_on_another_clock_tell_as_well():
    """Half as many samples a second: the same stretches are found on the knee's clock."""
    right, left = pushes(0.0), pushes(0.5)
    right = right + 0.5 * (TIME > 18) * np.maximum(left, 0)
    contents = SimpleNamespace(columns=("RAnkleMoment", "LAnkleMoment"))
    slow = Table(TIME[::2], ("right", "left"), np.column_stack([right, left])[::2], None, Path("all.csv"))
    knee = Table(TIME, ("knee_angle",), np.zeros((len(TIME), 1)), None, Path("all.csv"))
    trial = SimpleNamespace(name="run", moments=Path("all.csv"), timing={"moments": None})
    files, notes = SimpleNamespace(contents=lambda path: contents, table=lambda *_: slow), []
    found = _crossed(trial, files, knee, notes)
    np.testing.assert_array_less(np.mean(found != crossed_steps(right, left, RATE)), 0.005)

    def broken(*_):
        raise InputError("all.csv: no time column")

    files.table = broken
    assert _crossed(trial, files, knee, notes) is None
    assert notes == [
        "trial 'run': that the other foot's force is in no leg's moments is not known: all.csv: no time column"
    ]


def test_where_they_are_is_kept_on_the_trial_s_clock(data_dir):
    """Of a recorded run 25 steps, the first as its note says it; and none of a walk without."""
    crossed = np.isin(np.arange(6), [1, 2, 5])
    assert spans(np.arange(6.0), crossed) == ((1.0, 2.0), (5.0, 5.0))
    assert OtherFoot("run", ("knee",), ((1.0, 2.0),), 0.1).shifted(0.5).spans == ((1.5, 2.5),)
    with pytest.warns(InputWarning):
        study = load_subject(Path(__file__).parents[3] / "examples" / "treadmill" / "subject.toml")
    found = {t.name: t.metadata["other_foot"] for t in (*study.trials, *study.held_out)}
    run = found["run81"]
    assert found["walk45"] is None
    assert isinstance(run, OtherFoot)
    assert (run.coordinates, len(run.spans)) == (("knee_angle",), 25)
    assert run.spans[0] == pytest.approx((0.61, 0.83), abs=0.006)
    assert run.share == pytest.approx(0.16, abs=0.005)
