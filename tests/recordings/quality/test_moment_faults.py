"""Spikes of recorded moments: found, masked and told; what joints make is left alone."""

import numpy as np
import pytest

from mjx_msm.recordings.quality.moment_faults import moment_spikes, spike_lines
from mjx_msm.recordings.readers.reading import read_table

TIME = np.arange(0, 10, 0.01)
WALK = 25 * np.sin(6 * TIME) + 8 * np.sin(19 * TIME) + np.random.default_rng(0).normal(0, 0.5, len(TIME))


@pytest.mark.parametrize("rate", [100, 1000])
@pytest.mark.parametrize("height", [80.0, -147.0])
def test_a_spike_is_found_to_the_sample(rate, height):
    time = np.arange(0, 10, 1 / rate)
    x = np.interp(time, TIME, WALK)
    spikes = np.zeros(len(x), bool)
    for second in (2, 7):
        spikes[second * rate : second * rate + rate // 50] = True
    np.testing.assert_array_equal(moment_spikes(x + height * spikes, rate), spikes)
    said = spike_lines(time, x + height * spikes, spikes)
    assert said.startswith("has 2 spikes that no joint makes, the greatest ")
    assert float(said.split("greatest ")[1].split(" ")[0]) == pytest.approx(height, abs=35)
    assert said.split(" at ")[1].split(" s")[0][0] in "27"


@pytest.mark.parametrize("width", [0.06, 0.1, 0.3])
def test_a_landing_is_no_spike(width):
    """A knee's moment in a landing rises within 50 ms or more, on top of quiet stance."""
    landing = 150 * np.maximum(0, 1 - np.abs(TIME - 5) / width)
    assert not moment_spikes(5 + np.random.default_rng(1).normal(0, 0.3, len(TIME)) + landing, 100).any()


def test_steps_gaps_and_slow_recordings_have_none():
    assert not moment_spikes(np.where(TIME < 5, 0.0, 50.0), 100).any()  # a dynamometer's onset
    assert not moment_spikes(np.zeros(500), 100).any()
    gone = np.where((TIME > 3) & (TIME < 4), np.nan, WALK)
    assert not moment_spikes(gone, 100).any()
    assert not moment_spikes(WALK + 200 * (np.arange(len(WALK)) == 300), 25).any()


def test_what_a_resting_channel_is_rounded_to_is_no_spike():
    rounded = 1.3558 * ((TIME > 5) & (TIME < 5.02))
    assert not moment_spikes(rounded, 100).any()
    assert moment_spikes(3 * rounded, 100).sum() == np.count_nonzero(rounded)


def test_recorded_moments(data_dir):
    """The knee's have none in any set; the hip's of walk36 do: -321 N·m between -302 and 40 around it."""
    treadmill = data_dir / "treadmill"
    for name in ("walk36", "walk45", "run81"):
        table = read_table(treadmill / name / "id.sto")
        assert not moment_spikes(table["knee_angle_r_moment"], table.rate).any()
    table = read_table(treadmill / "walk36" / "id.sto")
    hip = table["hip_flexion_r_moment"]
    said = spike_lines(table.time, hip, moment_spikes(hip, table.rate))
    assert "has 3 spikes that no joint makes, the greatest -321 N·m at 22.59 s (all else lies between -54" in said
    walk = read_table(data_dir / "knee_walk" / "id_walk.sto")
    assert not moment_spikes(walk["knee_angle_r_moment"], walk.rate).any()
    lift = read_table(data_dir / "arm_lift" / "inverse_dyn.sto")
    assert not moment_spikes(lift["elbow_flexion_moment"], lift.rate).any()
    for path in sorted((data_dir / "elderly_dynamometry").glob("*.gz"))[::6]:
        force = read_table(path)
        assert not moment_spikes(force["force"], force.rate).any()
