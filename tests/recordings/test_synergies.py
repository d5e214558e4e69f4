"""Synergies of EMG: factors that are known come back, and unmeasured muscles get them as channels."""

import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.errors import InputError
from mjx_msm.recordings.subject_file.loading import load_subject, write_subject
from mjx_msm.recordings.synergies import channel_of, extended, synergies


def courses(seed=0, samples=400):
    """Three bursts that overlap little, as in a stride."""
    t, rng = np.linspace(0, 4, samples), np.random.default_rng(seed)
    return np.stack([np.exp(3 * (np.cos(2 * np.pi * (t - p)) - 1)) for p in rng.permutation([0.1, 0.45, 0.8])], axis=1)


MIX = np.array([[1.0, 0.6, 0.0, 0.1, 0.0], [0.0, 0.2, 0.9, 0.0, 0.4], [0.2, 0.0, 0.0, 0.8, 0.7]])
CHANNELS = ("a", "b", "c", "d", "e")


def trial(name="one", seed=0):
    emg = courses(seed) @ MIX / 1.2
    time = np.arange(len(emg)) / 100
    return msm.Trial(name, time, ("q",), np.zeros((len(emg), 1)), CHANNELS, emg)


def test_factors_that_made_the_emg_come_back():
    found = synergies(CHANNELS, [trial().emg], 3)
    assert found.explained > 0.999
    made = MIX / np.linalg.norm(MIX, axis=1, keepdims=True)
    ours = found.weights / np.linalg.norm(found.weights, axis=1, keepdims=True)
    assert (np.abs(made @ ours.T).max(axis=1) > 0.99).all()
    again = found.courses(trial().emg)
    np.testing.assert_allclose(again @ found.weights, trial().emg, atol=0.02)
    np.testing.assert_allclose(again.max(axis=0), 1.0, atol=0.1)
    torn = trial().emg.copy()
    torn[:, 1] = np.nan
    np.testing.assert_allclose(found.courses(torn), again, atol=0.05)


def test_unmeasured_muscles_are_mixes_of_the_courses():
    """Muscles of any non-negative mix lie in the span of their channels, in a trial that was not learnt from, too."""
    emg_map = {"A": {"a": 1.0}, "B": {c: 0.2 for c in CHANNELS}, "deep": "unmeasured", "deeper": "unmeasured"}
    got = extended([trial()], [[trial()], [trial("other", 1)]], emg_map, 3)
    assert got.emg_map["A"] == {"a": 1.0}
    assert set(got.emg_map["deep"]) == {channel_of("deep", k) for k in (1, 2, 3)}
    assert got.free == tuple(f"emg/{channel_of(m, k)}/gain" for m in ("deep", "deeper") for k in (1, 2, 3))
    (new,) = got.trials[1]
    hidden = courses(1) @ np.array([0.3, 0.5, 0.1])
    span = new.emg[:, [new.channels.index(channel_of("deep", k)) for k in (1, 2, 3)]]
    weights, *_ = np.linalg.lstsq(span, hidden, rcond=None)
    assert weights.min() > -0.02
    np.testing.assert_allclose(span @ weights, hidden, atol=0.02)


def test_whether_channels_foretell_each_other_is_said():
    """Mixes of three courses do; channels at random do not, and then another method is named."""
    emg_map = {**{c.upper(): {c: 1.0} for c in CHANNELS}, "deep": "unmeasured"}
    alike = extended([trial()], [[trial()]], emg_map, 3)
    assert set(alike.foretold) == set(CHANNELS)
    assert min(alike.foretold.values()) > 0.9
    assert "deep: without EMG; driven by 3 synergies" in alike.note
    assert "projected" not in alike.note
    rng = np.random.default_rng(0)
    noise = msm.Trial("noise", trial().time, ("q",), np.zeros((400, 1)), CHANNELS, rng.uniform(0, 1, (400, 5)))
    unlike = extended([noise], [[noise]], emg_map, 3)
    assert max(unlike.foretold.values()) < 0.2
    assert "not driven alike" in unlike.note
    assert 'unmeasured = "projected"' in unlike.note
    few = {"A": {"a": 1.0}, "B": {"b": 1.0}, "deep": "unmeasured"}
    assert extended([noise], [[noise]], few, 1).foretold == {}  # none can be left out


@pytest.mark.parametrize("count", [0, 5])
def test_more_synergies_than_channels_are_refused(count):
    with pytest.raises(InputError, match="5 EMG channels"):
        synergies(CHANNELS, [trial().emg], count)


def test_nothing_to_learn_from_is_said():
    with pytest.raises(InputError, match="nothing to learn of deep from"):
        extended([trial()], [], {"deep": "unmeasured"}, 2)
    silent = trial().emg * 0
    with pytest.raises(InputError, match="silent"):
        synergies(CHANNELS, [silent], 2)


def test_a_subject_file_says_unmeasured(arm, tmp_path):
    trials = msm.synthetic_trials(arm, arm.nominal, count=2, duration=0.5, rate=200, seed=1)
    muscles = {m: "unmeasured" if m in ("BRA", "TRImed") else m for m in arm.muscles}
    entries = [t.save(tmp_path) for t in trials]
    document = {
        "subject": {"name": "one", "mass": 70.0},
        "model": {"source": "arm", "free": list(arm.free)},
        "emg": {"muscles": muscles, "synergies": 2},
        "trials": [entries[0], entries[1] | {"role": "held-out"}],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["acceleration"]},
    }
    write_subject(tmp_path / "subject.toml", document)
    study = load_subject(tmp_path / "subject.toml")
    measured = {m for m in arm.muscles if m not in ("BRA", "TRImed")}
    assert set(study.channels) == measured | {channel_of(m, k) for m in ("BRA", "TRImed") for k in (1, 2)}
    assert all(set(study.channels) <= set(t.channels) for t in (*study.trials, *study.held_out))
    assert "emg/BRA~1/gain" in study.identify.free
    assert any("without EMG" in note for note in study.notes)
    document["emg"] = {"muscles": muscles, "unmeasured": "effort"}
    document["identify"]["residuals"] = ["acceleration"]
    write_subject(tmp_path / "effort.toml", document)
    study = load_subject(tmp_path / "effort.toml")
    assert study.identify.unmeasured == {"BRA": "effort", "TRImed": "effort"}
    assert set(study.channels) == measured
    for emg, words in (
        ({"muscles": {m: m for m in arm.muscles}, "synergies": 2}, "synergies is for muscles .* none is"),
        ({"muscles": {m: m for m in arm.muscles}, "unmeasured": "effort"}, "unmeasured is for muscles .* none is"),
        ({"muscles": muscles, "unmeasured": "effort", "synergies": 2}, '"effort" has no synergies'),
        ({"muscles": muscles, "unmeasured": "guess"}, "synergies, projected, effort"),
    ):
        with pytest.raises(InputError, match=words):
            write_subject(tmp_path / "other.toml", document | {"emg": emg})
    document["identify"]["residuals"] = ["motion"]
    with pytest.raises(InputError, match=r"need residuals = \['moment'\]"):
        write_subject(tmp_path / "other.toml", document)
