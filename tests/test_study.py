"""From a study to what is drawn and written: simulated beside recorded, at the same instants."""

from pathlib import Path

import numpy as np
import pytest

from mjx_msm.compiled import float64
from mjx_msm.parameters import parameter_space
from mjx_msm.study import replays
from mjx_msm.subject import IdentifySpec, ModelSpec, Person, Study
from mjx_msm.synthetic import synthetic_trials

FREE = ("muscle/BRA/max_isometric_force",)


@pytest.fixture(scope="module")
def study(arm):
    """Exact recordings of the arm itself, one of them held out and longer."""
    trials = synthetic_trials(arm, arm.nominal, count=1, duration=0.8, seed=3)
    held_out = synthetic_trials(arm, arm.nominal, count=1, duration=1.0, seed=4, prefix="held")
    return Study(
        Person("one", 70.0),
        ModelSpec("arm", "mujoco", arm.free, (), {}),
        {m: {m: 1.0} for m in arm.muscles},
        trials,
        held_out,
        IdentifySpec(FREE, ("motion",), (), 1, 100.0, {}, {}),
        Path("subject.toml"),
        {},
    )


@pytest.mark.parametrize("horizon", [400, 100])
def test_what_is_simulated_lies_on_what_was_recorded(arm, study, result_of, horizon):
    space = parameter_space(arm.nominal.with_channels(study.channels), FREE)
    with float64():
        truth = np.asarray(space.pack(arm.nominal.with_channels(study.channels)))
    result = result_of(space, np.eye(1), truth, channels=study.channels, emg_map=study.emg_map, horizon=horizon)
    made = replays(arm, result, study)
    assert [r.name for r in made] == ["trial1", "held1"]
    for replay in made:
        np.testing.assert_allclose(replay.simulated["identified"], replay.position, atol=1e-5)
