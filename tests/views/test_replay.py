"""Recorded and simulated side by side, to a file and back."""

import numpy as np

from mjx_msm.views.replay import Replay


def test_a_replay_survives_its_file(tmp_path):
    rng = np.random.default_rng(0)
    time = np.arange(30) * 0.01
    values = {k: rng.normal(size=(30, 1)) for k in ("generic", "identified")}
    moment = rng.normal(size=(30, 1))
    moment[:5] = np.nan
    replay = Replay("walk", time, ("hip", "knee"), ("knee",), ("vas", "ham"), rng.normal(size=(30, 2)),
                    rng.uniform(size=(30, 2)), values, moment, values,
                    (values["identified"] - 1.0, values["identified"] + 1.0))  # fmt: skip
    replay.save(tmp_path / "walk.csv")
    back = Replay.load(tmp_path / "walk.csv", ("knee",))
    for name in ("time", "position", "activation", "moment"):
        np.testing.assert_array_equal(getattr(back, name), getattr(replay, name))
    assert (back.name, back.coordinates, back.muscles) == (replay.name, replay.coordinates, replay.muscles)
    assert back.band is not None
    for end, sign in zip(back.band, (-1.0, 1.0), strict=True):
        np.testing.assert_allclose(end, values["identified"] + sign, atol=1e-9)
    expected = np.mean(np.abs(moment[5:] - values["identified"][5:]) <= 1.0)
    assert 0.2 < back.band_holds(0) == expected
    np.testing.assert_array_equal(back.simulated["generic"], values["generic"])
    np.testing.assert_array_equal(back.pose("identified")[:, 1], values["identified"][:, 0])
    np.testing.assert_array_equal(back.pose()[:, 0], replay.position[:, 0])
