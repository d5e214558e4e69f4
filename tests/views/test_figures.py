"""Figures of results."""

import numpy as np

from mjx_msm.person.space import parameter_space
from mjx_msm.views.figures import motion_figure
from mjx_msm.views.replay import Replay


def test_a_wild_generic_model_does_not_flatten_the_figure(arm, result_of):
    found = result_of(parameter_space(arm.nominal, ("muscle/BRA/max_isometric_force",)), np.eye(1))
    time = np.linspace(0, 2, 100)
    recorded = np.stack([0.3 * np.sin(time), 1 + 0.4 * np.cos(time)], -1)
    wild = Replay("swing", time, found.free, found.free, arm.muscles, recorded, np.zeros((100, 6)),
                  {"generic": 1e3 + recorded, "identified": recorded})  # fmt: skip
    low, high = motion_figure([wild], found).axes[0].get_ylim()
    assert high - low < 3 * np.ptp(np.rad2deg(recorded[:, 0]))
