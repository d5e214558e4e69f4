"""From a study to what is drawn and written: simulated beside recorded, at the same instants."""

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from mjx_msm.common.compiled import float64
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.readers.delimited import read_csv
from mjx_msm.recordings.subject_file.identify import IdentifySpec
from mjx_msm.recordings.subject_file.loading import Study
from mjx_msm.recordings.subject_file.model import ModelSpec
from mjx_msm.recordings.subject_file.person import Person
from mjx_msm.recordings.synthetic import synthetic_trials
from mjx_msm.study.muscle_use import muscle_use
from mjx_msm.study.replays import replays
from mjx_msm.study.result_folder import save_excitation

FREE = ("muscle/BRA/max_isometric_force",)


@pytest.fixture(scope="module")
def study(arm):
    """Exact recordings of the arm itself, one of them held out and longer."""
    trials = synthetic_trials(arm, arm.nominal, count=1, duration=0.8, seed=3)
    held_out = synthetic_trials(arm, arm.nominal, count=1, duration=1.0, seed=4, prefix="held")
    return Study(
        Person("one", 70.0),
        ModelSpec("arm", "mujoco", arm.free, (), {}),
        trials,
        held_out,
        IdentifySpec(free=FREE, emg_map={m: {m: 1.0} for m in arm.muscles}, rate=100.0),
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


def test_recorded_moments_are_handed_on(arm, study, result_of, tmp_path):
    """Those there are, on the model's clock, blank in a gap; without any, no column."""
    space = parameter_space(arm.nominal.with_channels(study.channels), FREE)
    result = result_of(space, np.eye(1), channels=study.channels, emg_map=study.emg_map)
    (trial,) = study.trials
    moment = 3.0 + np.sin(4.0 * trial.time[:, None])
    moment[100:150] = np.nan
    recorded = replace(study, trials=(replace(trial, moment_coordinates=("elbow_flex",), moment=moment),))
    for name, one in (("with", recorded), ("without", study)):
        save_excitation(tmp_path / f"{name}.csv", one, arm, result)
    table, plain = read_csv(tmp_path / "with.csv"), read_csv(tmp_path / "without.csv")
    assert table.columns == (*plain.columns, "moment/elbow_flex")
    seen = np.interp(table.time, trial.time, np.isfinite(moment[:, 0])) == 1.0
    assert 0.8 < seen.mean() < 0.9
    np.testing.assert_array_equal(np.isfinite(table["moment/elbow_flex"]), seen)
    np.testing.assert_allclose(table["moment/elbow_flex"][seen], 3.0 + np.sin(4.0 * table.time[seen]), atol=1e-5)


def test_what_muscles_do_is_what_mujoco_makes_of_their_activation(arm, study, result_of):
    """The greatest tension by its own engine, at every instant of the trials."""
    space = parameter_space(arm.nominal.with_channels(study.channels), FREE)
    result = result_of(space, np.eye(1), channels=study.channels, emg_map=study.emg_map)
    made = replays(arm, result, study)
    active = made[0].activation.copy()
    active[:, 0] = np.where(np.arange(len(active)) < len(active) // 4, 1.0, 0.2)
    made = (replace(made[0], activation=active), made[1])
    used = {(u.trial, u.muscle): u for u in muscle_use(arm, result, study, made)}
    assert set(used) == {(t.name, m) for t in made for m in arm.muscles}
    first = used["trial1", arm.muscles[0]]
    assert (first.activation, first.full) == (1.0, pytest.approx(0.25, abs=0.02))
    assert first.envelope == pytest.approx(study.trials[0].emg[:, 0].max())
    model = arm.host.mj_model
    data = mujoco.MjData(model)
    order = [model.actuator(m).id for m in arm.muscles]
    for trial in made:
        speed, forces = np.gradient(trial.position, trial.time, axis=0), []
        for q, v, a in zip(trial.position, speed, trial.activation, strict=True):
            data.qpos[:], data.qvel[:] = q, v
            data.act[order] = a
            mujoco.mj_forward(model, data)
            forces.append(-data.actuator_force[order].copy())
        share = np.max(forces, axis=0) / arm.nominal.muscle.max_isometric_force
        np.testing.assert_allclose([used[trial.name, m].pull for m in arm.muscles], share, rtol=1e-6)
