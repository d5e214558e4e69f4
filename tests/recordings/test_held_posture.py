"""A posture that was held and not recorded, in the place of a motion."""

import math

import numpy as np
import pytest

from mjx_msm import InputError, load_subject
from mjx_msm.recordings.unknown_channels import filled_in

FILE = """
units = "deg"
[subject]
name = "one"
mass = 70.0
[model]
source = "knee"
free = ["knee_angle"]
prescribed = ["hip_flexion", "ankle_angle"]
[emg.muscles]
{muscles}
[[trials]]
name = "held"
{motion}
emg = "cell.csv"
moments = "cell.csv"
[trials.moment_columns]
knee_angle = {{ column = "force", units = "kgf", lever = 0.4 }}
[identify]
free = ["emg/*/gain"]
residuals = ["moment"]
"""
MUSCLES = ("recfem", "vasmed", "vasint", "vaslat", "bflh", "bfsh", "semimem", "semiten", "gasmed", "gaslat", "soleus",
           "tibant")  # fmt: skip
HELD = "posture = { knee_angle = 90.0, hip_flexion = 80.0, ankle_angle = 0.0 }"


@pytest.fixture
def subject(tmp_path):
    time = np.arange(0, 2, 0.01)
    rows = np.column_stack([time, 10 + time, 0.5 + 0.1 * np.sin(time), 0.5 + 0.1 * np.cos(3 * time)])
    np.savetxt(tmp_path / "cell.csv", rows, delimiter=",", header="time,force,quad,back", comments="", fmt="%.6f")

    def make(motion: str, *changes: tuple[str, str]):
        muscles = "\n".join(f'{m} = "quad"' if m[:3] in ("vas", "rec") else f"{m} = 0.0" for m in MUSCLES)
        path = tmp_path / "subject.toml"
        text = FILE.format(motion=motion, muscles=muscles)
        for change in changes:
            text = text.replace(*change)
        path.write_text(text)
        return load_subject(path)

    return make


def test_a_posture_lasts_as_long_as_the_moments(subject):
    (trial,) = subject(HELD).trials
    names = list(trial.coordinates)
    for name, degrees in (("knee_angle", 90.0), ("hip_flexion", 80.0), ("ankle_angle", 0.0)):
        np.testing.assert_allclose(trial.position[:, names.index(name)], math.radians(degrees))
    assert trial.time[-1] == pytest.approx(1.99, abs=0.02)
    np.testing.assert_allclose(trial.moment[:, 0], 0.4 * 9.80665 * (10 + trial.time), atol=1e-3)
    (radians,) = subject("posture = { knee_angle = 1.5, hip_flexion = 0.0, ankle_angle = 0.0 }\nunits = 'rad'").trials
    assert radians.position[0, names.index("knee_angle")] == 1.5


@pytest.mark.parametrize(
    ("motion", "change", "words"),
    [
        (HELD + '\nmotion = "cell.csv"', ("", ""), "both 'motion' and 'posture' are given"),
        ("posture = { knee_angle = 90.0 }", ("", ""), "'hip_flexion' is missing"),
        ("posture = { knee = 90.0 }", ("", ""), "unknown key 'knee'; did you mean 'knee_angle'"),
        (HELD, ('units = "deg"', 'units = "rad"'), 'knee_angle = 90 looks like degrees; set units = "deg"'),
        (HELD, ('moments = "cell.csv"\n', ""), "says nothing of when"),
    ],
)
def test_what_does_not_say_where_it_was_held_is_one_line(subject, motion, change, words):
    with pytest.raises(InputError, match=words):
        subject(motion, change)


def test_an_antagonist_is_silent_in_its_trial_and_is_not_taken_for_a_dead_channel(subject):
    other = '[[trials]]\nname = "other"\nposture = { knee_angle = 90.0, hip_flexion = 80.0, ankle_angle = 0.0 }\n'
    other += 'emg = "cell.csv"\nmoments = "cell.csv"\nchannels = { ham = "back" }\n[trials.moment_columns]\n'
    other += 'knee_angle = { column = "force", units = "kgf", lever = 0.4 }\n[identify]'
    study = subject(f"{HELD}\nchannels = {{ ham = 0.0 }}", ("bflh = 0.0", 'bflh = "ham"'), ("[identify]", other))
    held, moved = study.trials
    ham = held.channels.index("ham")  # its file has no column of that name
    np.testing.assert_array_equal(held.emg[:, ham], 0.0)
    assert np.ptp(moved.emg[:, ham]) > 0
    assert filled_in(study.trials, held.channels) == (study.trials, ())
    with pytest.raises(InputError, match="every channel is silent"):
        subject(f"{HELD}\nchannels = {{ quad = 0.0 }}")
