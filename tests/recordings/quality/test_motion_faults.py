"""Faults of angles, put into motion and not; recordings have none of them, but for what was looked at."""

import numpy as np
import pytest

from mjx_msm.recordings.quality.motion_faults import motion_faults
from mjx_msm.recordings.readers.reading import read_table


def motion(seed: int, rate: float = 100.0, digits: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    t = np.arange(0, 6, 1 / rate)
    x = 0.5 + sum(rng.uniform(0.05, 0.5) / f * np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (0.7, 1.4, 3.0))
    return t, np.round(x + rng.normal(0, 0.002, len(t)), digits)


def test_no_alarm_without_a_fault():
    for seed in range(60):
        for rate, digits in ((100.0, 8), (250.0, 4), (50.0, 3), (1000.0, 3)):
            assert motion_faults(*motion(seed, rate, digits)) == [], (seed, rate, digits)
    t = np.arange(0, 5, 0.01)
    assert motion_faults(t, np.full(len(t), 0.3)) == []
    assert motion_faults(t, np.where(t < 2, 0.0, np.where(t < 3, t - 2, 1.0))) == []  # rest, a ramp, rest


@pytest.mark.parametrize("seed", range(5))
def test_faults_are_found(seed):
    t, x = motion(seed)
    (fault,) = motion_faults(t, x + np.where((t > 2) & (t < 3), 2 * np.pi, 0))
    assert fault.startswith("jumps by a full turn 2 times, first at 2")
    bad = x.copy()
    bad[300] += 0.4
    bad[450] -= 0.3
    (fault,) = motion_faults(t, bad)
    assert fault.startswith("has 2 outliers, the greatest 2")
    assert "at 3 s" in fault
    gap = x.copy()
    gap[100:104] = np.nan
    assert motion_faults(t, gap) == []
    fast = 0.5 * np.sin(2 * np.pi * t)
    held = fast.copy()
    held[200:212] = held[200]
    (fault,) = motion_faults(t, held)
    assert fault.startswith("stands still 1 time while the joint moves, first at 2 s")


def test_recordings(data_dir):
    """No alarm in any angle of the legs and arms; degrees as their files say."""
    files = [*(data_dir / "treadmill").glob("*/ik.sto"), data_dir / "knee_walk" / "coordinates.sto",
             data_dir / "arm_lift" / "inverse_kin.mot"]  # fmt: skip
    for path in files:
        table = read_table(path)
        factor = np.pi / 180 if table.in_degrees else 1.0
        names = [c for c in table.columns if any(w in c for w in ("hip", "knee_angle", "ankle", "elbow", "shoulder"))]
        for name in names:
            if "force" not in name:
                assert motion_faults(table.time, factor * table[name]) == [], (path.parent.name, name)
