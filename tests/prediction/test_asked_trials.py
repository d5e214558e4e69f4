"""Trials to predict as a user names them, and the command that predicts them."""

import numpy as np
import pytest
from results import fit, result

import mjx_msm as msm
from mjx_msm.cli.app import run
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.common.toml_tables import read_toml
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.shared_recordings import made_from, was_seen
from mjx_msm.person.space import parameter_space
from mjx_msm.prediction.asked_trials import asked_trials
from mjx_msm.recordings.readers.delimited import read_csv
from mjx_msm.recordings.readers.storage import read_storage, write_storage
from mjx_msm.recordings.subject_file.loading import load_subject, write_subject


@pytest.fixture(scope="module")
def folder(arm, tmp_path_factory):
    """A subject file with a trial to identify from and one to predict, and the files of a third."""
    place = tmp_path_factory.mktemp("study")
    trials = msm.synthetic_trials(arm, arm.nominal, count=3, duration=0.5, rate=200, seed=1)
    entries = [t.save(place) for t in trials]
    document = {
        "subject": {"name": "one", "mass": 70.0},
        "model": {"source": "arm", "free": list(arm.free)},
        "emg": {"muscles": {m: m for m in arm.muscles}},
        "trials": [entries[0], entries[1] | {"role": "predict"}],
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["acceleration"]},
    }
    write_subject(place / "subject.toml", document)
    return place, [t.name for t in trials], entries[2]


def files_of(place, entry):
    return f"{place / entry['motion']},{place / entry['emg']}"


def test_names_files_or_all(folder):
    place, names, third = folder
    subject = place / "subject.toml"
    assert [t.name for t in asked_trials(subject).trials] == names[:2]
    asked = asked_trials(subject, [names[1], files_of(place, third)])
    assert asked.trials[0].name == names[1]
    assert [t.name for t in asked.study.trials] == names[:1]
    assert asked.trials[1].emg.shape[1] == len(asked.study.channels)
    assert asked.trials[1].moment is None


def test_what_a_person_was_identified_from_is_told_by_what_files_hold(folder, tmp_path):
    """Not by names: of files named anew, of another person's trial of that name, and of another part of one file."""
    place, names, third = folder
    study = load_subject(place / "subject.toml")
    found = result(fit("identify", trial=names[0]), hashes=study.hashes, recordings=study.recordings)
    first, other = study.trials[0], study.to_predict[0]
    assert was_seen(found, first, study.trials)
    assert not was_seen(found, other, study.trials)
    entry = read_toml(place / "subject.toml", "subject file")["trials"][0]
    asked = asked_trials(place / "subject.toml", [files_of(place, entry), files_of(place, third)])
    assert asked.trials[0].name != names[0]
    assert [was_seen(found, t, made_from(found, asked.study.trials)) for t in asked.trials] == [True, False]

    document = dict(read_toml(place / "subject.toml", "subject file"))
    write_subject(place / "stranger.toml", document | {"trials": [third | {"name": names[0]}]})
    stranger = load_subject(place / "stranger.toml").trials
    assert stranger[0].name == names[0]
    assert made_from(found, stranger) == ()
    assert was_seen(found, stranger[0], ()) is False

    parts = [entry | {"start": 0.0, "stop": 0.25}, entry | {"name": "late", "role": "predict", "start": 0.25}]
    write_subject(place / "halves.toml", document | {"trials": parts})
    halves = load_subject(place / "halves.toml")
    found = result(fit("identify", trial=names[0]), hashes=halves.hashes, recordings=halves.recordings)
    assert was_seen(found, halves.trials[0], halves.trials)
    assert was_seen(found, halves.to_predict[0], halves.trials) is False
    assert was_seen(found, halves.to_predict[0], ())  # which part it was made from is not known


def test_of_recordings_without_files_it_is_not_known_whether_they_were_seen(folder, arm):
    study = load_subject(folder[0] / "subject.toml")
    (made,) = msm.synthetic_trials(arm, arm.nominal, count=1, duration=0.5, rate=200, seed=1)
    assert was_seen(result(hashes=study.hashes, recordings=study.recordings), made, ()) is None
    assert was_seen(result(), study.trials[0], ()) is None
    assert made_from(result(), (made, *study.trials)) == (made, *study.trials)


def test_a_trial_of_greatest_effort_is_not_predicted_nor_a_template(folder):
    """It has no motion, and here it stands first."""
    place, names, third = folder
    document = dict(read_toml(place / "subject.toml", "subject file"))
    emg = document["emg"] | {"processing": {"normalise": "max"}}
    effort = {"name": "mvc", "role": "normalise", "emg": third["emg"], "time_offset": {"emg": 5.0}}
    write_subject(place / "mvc.toml", document | {"emg": emg, "trials": [effort, *document["trials"]]})
    assert [t.name for t in asked_trials(place / "mvc.toml").trials] == names[:2]
    new = asked_trials(place / "mvc.toml", [files_of(place, third)]).trials[0]
    assert np.isfinite(new.emg).all()
    with pytest.raises(InputError, match='role "normalise"'):
        asked_trials(place / "mvc.toml", ["mvc"])


def test_new_files_are_read_as_the_first_trial_is(folder):
    """Their time is in ms, and their EMG's clock is late; what is of the first trial alone stays there."""
    place, names, _ = folder
    document = dict(read_toml(place / "subject.toml", "subject file"))
    like = {"time_unit": {"motion": "ms", "emg": "ms"}, "time_offset": {"emg": 0.01}, "gravity": "corrected"}
    entries = []
    for name, entry in zip(names, document["trials"], strict=False):
        own = {}
        for kind in ("motion", "emg"):
            table = read_csv(place / entry[kind])
            own[kind] = f"{name}_{kind}_ms.sto"
            columns = dict(zip(table.columns, table.values.T, strict=True))
            write_storage(place / own[kind], 1000 * table.time, columns, "in ms")
        entries.append({k: v for k, v in entry.items() if k != "moments"} | own | like | {"name": name})
    entries[0] |= {"start": 0.1, "stop": 0.3, "task": "first"}
    write_subject(place / "ms.toml", document | {"trials": entries})
    old = asked_trials(place / "ms.toml", [names[1]]).trials[0]
    new = asked_trials(place / "ms.toml", [f"{place / entries[1]['motion']},{place / entries[1]['emg']}"]).trials[0]
    np.testing.assert_array_equal(new.time, old.time)
    np.testing.assert_array_equal(new.emg, old.emg)
    assert new.metadata["gravity"] == "corrected"
    assert new.task == ""


@pytest.mark.parametrize(
    ("asked", "says"),
    [("trail", "neither a trial"), ("no.csv,such.csv", "no file no.csv"), ("a,b,c,d", "one recording's files")],
)
def test_what_is_not_there_is_named(folder, asked, says):
    with pytest.raises(InputError, match=says):
        asked_trials(folder[0] / "subject.toml", [asked])


@pytest.mark.slow
def test_the_command_writes_files_figure_and_film(folder, arm, result_of, tmp_path, capsys, monkeypatch):
    place, names, third = folder
    nominal = arm.nominal.with_channels(arm.muscles)
    space = parameter_space(nominal, ["muscle/*/max_isometric_force"])
    with float64():
        z = np.asarray(space.pack(nominal))
    emg_map = {m: {m: 1.0} for m in arm.muscles}
    known = {"channels": arm.muscles, "emg_map": emg_map, "residuals": ("acceleration",)}
    result_of(space, np.eye(space.size) / 0.05**2, z, **known).save(tmp_path / "result" / "identification.json")
    out = tmp_path / "out"
    lead = ["predict", str(tmp_path / "result"), str(place / "subject.toml")]
    assert run([*lead, names[1], files_of(place, third), "--out", str(out), "--draws", "4"]) == 0
    assert "written to" in capsys.readouterr().out
    assert len(list(out.iterdir())) == 2
    for own in out.iterdir():
        assert (own / "prediction.png").stat().st_size > 10_000
        assert (own / "prediction.mp4").stat().st_size > 1_000
        assert read_storage(own / "moment.sto").columns == ("shoulder_elev_moment", "elbow_flex_moment")

    def refused(*_):
        raise InputError("BRA is none that MJCF can hold")

    with monkeypatch.context() as patch:
        patch.setattr(Identification, "export", refused)
        assert run([*lead, names[1], "--out", str(tmp_path / "still"), "--draws", "4"]) == 0
    assert "no film: BRA is none" in capsys.readouterr().out
    assert not list((tmp_path / "still").rglob("*.mp4"))
    assert run([*lead, "nobody", "--out", str(out)]) == 2
    assert "nobody" in capsys.readouterr().err
