"""Films of a result folder's trials."""

import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.views.replay import Replay
from mjx_msm.views.trial_film import trial_frames


def test_a_limb_with_joints_that_follow_is_drawn(tmp_path, coupled_file, opengl):
    """A trial knows coordinates only; joints that follow are where their couplings put them."""
    opengl()
    (tmp_path / "model.xml").write_text(coupled_file.read_text())
    time = np.linspace(0, 1, 50)
    position, activation = np.sin(3 * time)[:, None], np.full((50, 1), 0.5)
    trial = Replay("t", time, ("bend",), ("bend",), ("m",), position, activation, {"identified": position + 0.1})
    frames = list(trial_frames(tmp_path, trial, size=(160, 120), fps=20))
    assert len(frames) == 20
    assert np.abs(frames[0].astype(int) - frames[10].astype(int)).max() > 50  # it moves
    joints = Replay("t", time, ("bend", "turn"), ("bend",), ("m",), np.zeros((50, 2)), activation, {})
    with pytest.raises(InputError, match=r"does not fit trials/t\.csv"):
        trial_frames(tmp_path, joints, size=(160, 120), fps=20)
    with pytest.raises(InputError, match="no camera 'above'"):
        trial_frames(tmp_path, trial, size=(160, 120), fps=20, camera="above")
