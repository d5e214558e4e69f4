"""Text on frames, and two videos as one."""

import itertools

import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.views.captions import captioned, side_by_side


def test_captions(moving):
    plain = list(moving(3))
    one = list(captioned(moving(3), "measured"))
    each = list(captioned(moving(3), (f"t = {k}" for k in itertools.count())))
    assert (one[0] != plain[0]).any(axis=-1)[:20, :40].sum() > 20
    np.testing.assert_array_equal(one[0][30:], plain[0][30:])
    assert (each[1][:, 40:] == plain[1][:, 40:]).all()
    assert (each[0] != each[1]).any()


def test_side_by_side(moving):
    frames = list(side_by_side(moving(4), moving(2, width=30)))
    assert [f.shape for f in frames] == [(48, 94, 3)] * 4
    np.testing.assert_array_equal(frames[3][:, :64], list(moving(4))[3])
    np.testing.assert_array_equal(frames[3][:, 64:], list(moving(2, width=30))[1])
    labelled = next(side_by_side(moving(1), moving(1), ("A", "B")))
    assert (labelled != np.hstack([next(moving(1))] * 2)).any()
    with pytest.raises(InputError, match="48 and 40"):
        next(side_by_side(moving(1), moving(1, height=40)))
    with pytest.raises(InputError, match="no frames"):
        next(side_by_side(moving(1), moving(0)))
