"""Steps across the middle of two force plates: found, masked and told; squats, jumps and proper steps left alone."""

import numpy as np
import pytest

from mjx_msm import load_subject
from mjx_msm.common.errors import InputWarning
from mjx_msm.recordings.quality.crossed_steps import crossed_steps, step_line
from mjx_msm.recordings.readers.reading import read_table

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
    assert step_line(TIME, found).startswith("has the other foot's force in it 5 times, first from 8.")


def test_both_legs_of_a_squat_push():
    squat = 60 + 30 * np.sin(3 * TIME)
    assert not crossed_steps(squat, squat + 5, RATE).any()
    assert not crossed_steps(np.full(len(TIME), np.nan), squat, RATE).any()


def test_the_recorded_run_and_walks(data_dir):
    """A third of the run's steps are shared; what is left repeats itself from stride to stride."""
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


def test_a_subject_file_leaves_them_out_unless_told(tmp_path):
    right, left = pushes(0.0), pushes(0.5)
    right = right + 0.5 * (TIME > 18) * np.maximum(left, 0)
    columns = {"time": TIME, "knee_angle_r_moment": 20 * np.sin(8 * TIME), "knee": 0.5 + 0.1 * np.sin(3 * TIME)}
    columns |= {"ankle_angle_r_moment": -right, "ankle_angle_l_moment": -left, "quad": 0.5 + 0.1 * np.cos(TIME)}
    rows = np.column_stack(list(columns.values()))
    np.savetxt(tmp_path / "all.csv", rows, delimiter=",", header=",".join(columns), comments="", fmt="%.6f")
    path, text = tmp_path / "subject.toml", FILE.replace("MUSCLES", "\n".join(f'{m} = "quad"' for m in MUSCLES.split()))
    path.write_text(text)
    with pytest.warns(InputWarning, match="has the other foot's force in it 3 times, first from 17.99"):
        (trial,) = load_subject(path).trials
    crossed = crossed_steps(right, left, RATE)
    assert trial.moment is not None
    gone = np.isnan(trial.moment[:, 0])
    assert crossed[gone[-len(crossed) :]].mean() > 0.9  # the clock has a lead-in
    assert gone.sum() >= crossed.sum()
    path.write_text('spikes = "kept"\n' + text)
    (kept,) = load_subject(path).trials
    assert kept.moment is not None
    assert np.isfinite(kept.moment).all()
