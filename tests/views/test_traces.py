"""Curves below frames."""

import itertools

import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.views.captions import captioned, side_by_side
from mjx_msm.views.traces import with_traces


def test_traces_below_with_a_cursor_that_moves(moving):
    time = np.linspace(0, 1, 50)
    series = {"measured": np.sin(6 * time), "simulated": np.cos(6 * time)}
    plain = list(moving(9, width=320, height=240))
    at = [0.1 * k + 0.1 for k in range(9)]
    frames = list(with_traces(plain, time, series, at=at, ylabel="moment [N·m]"))
    panels = [f[240:] for f in frames]
    assert frames[0].shape == (240 + 96, 320, 3)
    np.testing.assert_array_equal(frames[4][:240], plain[4])
    centres = [np.mean(np.nonzero((p != panels[-1]).any(axis=-1).sum(axis=0) > 20)[0][0]) for p in panels[:-1]]
    np.testing.assert_allclose(np.diff(centres), np.diff(centres).mean(), atol=1.5)
    assert np.diff(centres).mean() > 15
    # Away from the two cursors nothing changes: the curves are drawn once.
    assert (panels[0] == panels[-1]).mean() > 0.9
    again = next(with_traces(plain, time, series, at=at, ylabel="moment [N·m]"))
    np.testing.assert_array_equal(again, frames[0])
    wide = list(moving(1, width=900, height=200))
    assert next(with_traces(wide, time, series, at=at)).shape == (280, 900, 3)
    assert next(with_traces(wide, time, series, at=at, height=300)).shape == (500, 900, 3)
    with pytest.raises(InputError, match="'b' has shape"):
        with_traces(plain, time, {"b": [1.0]}, at=at)
    with pytest.raises(InputError, match="at least one"):
        with_traces(plain, time, {}, at=at)


def test_frames_stream():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros((40, 60, 3), np.uint8)

    pipeline = with_traces(
        captioned(side_by_side(endless(), endless()), "both"),
        [0.0, 1.0],
        {"a": [0.0, 1.0]},
        at=itertools.count(),
        height=40,
    )
    assert next(pipeline).shape == (80, 120, 3)
    assert taken == 2
