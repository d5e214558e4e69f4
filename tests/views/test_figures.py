"""Figures of results."""

from dataclasses import replace

import numpy as np
import pytest

from mjx_msm.knowledge.records import Fit
from mjx_msm.person.space import parameter_space
from mjx_msm.views.figures import RELATIVE, moment_figure, motion_figure, parameter_figure, save_figures
from mjx_msm.views.replay import Replay
from mjx_msm.views.traces import _TracePanel


def test_a_wild_generic_model_does_not_flatten_the_figure(arm, result_of):
    found = result_of(parameter_space(arm.nominal, ("muscle/BRA/max_isometric_force",)), np.eye(1))
    time = np.linspace(0, 2, 100)
    recorded = np.stack([0.3 * np.sin(time), 1 + 0.4 * np.cos(time)], -1)
    wild = Replay("swing", time, found.free, found.free, arm.muscles, recorded, np.zeros((100, 6)),
                  {"generic": 1e3 + recorded, "identified": recorded})  # fmt: skip
    low, high = motion_figure([wild], found).axes[0].get_ylim()
    assert high - low < 3 * np.ptp(np.rad2deg(recorded[:, 0]))


def test_a_held_out_moment_has_its_band_and_what_it_holds(arm, result_of):
    found = result_of(parameter_space(arm.nominal, ("muscle/BRA/max_isometric_force",)), np.eye(1))
    elbow = arm.free[1]
    row = Fit("lift", "held-out", "moment", elbow, "N·m", 9.0, 2.0, 0.9, 10.0)
    time = np.linspace(0, 2, 100)
    moment = np.stack([np.sin(time), 10 * np.cos(time)], -1)
    band = moment - 1.0, np.where(np.arange(100)[:, None] < 80, moment + 1.0, moment - 0.5)
    trial = Replay("lift", time, found.free, found.free, arm.muscles, moment, np.zeros((100, 6)), {}, moment,
                   {"identified": moment}, band)  # fmt: skip
    lower = moment_figure([trial], replace(found, fits=(row,))).axes[1]
    assert "band holds 80 %" in lower.get_title(loc="left")
    (drawn,) = lower.collections
    corners = drawn.get_paths()[0].vertices[:, 1]
    assert corners.max() == pytest.approx(band[1][:, 1].max())
    assert corners.min() == pytest.approx(band[0][:, 1].min())


def test_every_axis_has_one_unit(arm, result_of):
    """Seconds, N·m/rad, metres and factors do not share an axis."""
    patterns = (
        "muscle/B*/max_isometric_force",
        "emg/BRA/delay",
        "joint/*/stiffness",
        "joint/*/damping",
        "body/*/com/z",
    )
    nominal = arm.nominal.with_channels(arm.muscles)
    space = parameter_space(nominal, patterns)
    found = result_of(space, np.eye(space.size), channels=arm.muscles)
    axes = parameter_figure(found).axes
    shown = {ax.get_xlabel(): [label.get_text().split("  (")[0] for label in ax.get_yticklabels()] for ax in axes}
    assert sum(map(len, shown.values())) == space.size
    units = {e.path: e.unit for e in found.estimates}
    for label, paths in shown.items():
        if label != RELATIVE:
            assert {f"[{units[p]}]" for p in paths} == {label}, paths
    assert next(iter(shown)) == RELATIVE
    assert len(shown) == 5


@pytest.mark.parametrize("name", [r"50$\percent$", "a $ b $ c", "x_$^$"])
def test_a_name_is_no_formula(arm, result_of, tmp_path, name):
    found = result_of(parameter_space(arm.nominal, ("muscle/BRA/max_isometric_force",)), np.eye(1), subject=name)
    time, position = np.linspace(0, 2, 10), np.zeros((10, 2))
    trial = Replay(name, time, found.free, found.free, arm.muscles, position, np.zeros((10, 6)),
                   {"identified": position}, moment=position)  # fmt: skip
    assert len(save_figures(tmp_path, [trial], found)) == 3
    assert _TracePanel((320, 100), time, {name: position[:, 0]}, name).draw(0.5).shape == (100, 320, 3)
