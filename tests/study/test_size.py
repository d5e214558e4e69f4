"""A subject file that says how large the person is: identification starts from the model at that size."""

import ezc3d
import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.common.toml_tables import to_toml
from mjx_msm.person.anthropometry import SEGMENTS, segment_length
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.static_trial import segment_lengths, static_trial
from mjx_msm.study.settings import study_model

PLACES = {"RHJC": (0, 0, 0.9), "RLM": (0, -0.03, 0.1), "RMM": (0, 0.03, 0.1), "RKJC": (0.01, 0, 0.51)}


def write_c3d(path, places, moving=0.0):
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [100]
    file["parameters"]["POINT"]["LABELS"]["value"] = [f"someone:{name}" for name in places]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    points = np.ones((4, len(places), 20))
    points[:3] = 1e3 * np.array(list(places.values())).T[:, :, None]
    points[0] += 1e3 * moving * np.sin(np.arange(20))
    file["data"]["points"] = points
    file.write(str(path))


@pytest.fixture
def study_of(tmp_path):
    t = np.arange(101) / 100
    angles = {"hip_flexion": 0.1 * t, "knee_angle": 0.3 + 0.2 * np.sin(6 * t), "ankle_angle": 0 * t}
    write_csv(tmp_path / "motion.csv", t, angles)
    write_csv(tmp_path / "emg.csv", t, {"vasti": 0.3 + 0.1 * np.sin(3 * t)})
    write_csv(tmp_path / "id.csv", t, {"knee_angle_moment": 5 * np.sin(6 * t)})

    def load(**subject):
        muscles = dict.fromkeys(msm.load_model("knee").muscles, 0.0) | {"vasint": "vasti"}
        document = {
            "subject": {"name": "s", "mass": 60.0, **subject},
            "model": {"source": "knee", "free": ["knee_angle"], "prescribed": ["hip_flexion", "ankle_angle"]},
            "emg": {"muscles": muscles},
            "trials": [{"name": "one", "motion": "motion.csv", "emg": "emg.csv", "moments": "id.csv"}],
            "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["moment"], "rate": 100},
        }
        (tmp_path / "subject.toml").write_text(to_toml(document))
        return msm.load_subject(tmp_path / "subject.toml")

    return load


def test_height_and_sex_are_enough(study_of):
    model = study_model(study_of(height=1.6, sex="female"))
    wanted = 1.6 * SEGMENTS["female"]["shank"].length
    assert segment_length(model, "tibia", {}) == pytest.approx(wanted)
    assert model.host.scaling["tibia"][0] < 1
    assert (model.free, model.integrator) == (("knee_angle",), "RK4")


@pytest.mark.parametrize("subject", [{}, {"height": 1.6}, {"height": 1.6, "sex": "female", "scale": False}])
def test_otherwise_the_model_is_the_files(study_of, subject):
    assert not study_model(study_of(**subject)).host.scaling


def test_a_static_trial_is_enough(study_of, tmp_path):
    write_c3d(tmp_path / "static.c3d", PLACES)
    study = study_of(static={"file": "static.c3d", "shank": ["RKJC", ["RLM", "RMM"]], "thigh": ["RHJC", "RKJC"]})
    model = study_model(study)
    assert segment_length(model, "tibia", {}) == pytest.approx(np.hypot(0.01, 0.41), rel=1e-6)
    assert segment_length(model, "femur", {}) == pytest.approx(np.hypot(0.01, 0.39), rel=1e-6)
    assert "static.c3d" in study.hashes


def test_distances_are_those_of_every_frame_and_a_segment_that_is_none_is_said(tmp_path):
    write_c3d(tmp_path / "walk.c3d", PLACES, moving=0.1)
    found = static_trial(tmp_path / "walk.c3d")
    assert set(found) == set(PLACES)
    lengths = segment_lengths(found, {"thigh": ("RHJC", "RKJC")})
    assert lengths["thigh"] == pytest.approx(np.hypot(0.01, 0.39), rel=1e-6)
    found["RKJC"] = found["RKJC"] + 0.1 * np.sin(np.arange(20))[:, None]
    with pytest.warns(InputWarning, match="thigh changes its length"):
        segment_lengths(found, {"thigh": ("RHJC", "RKJC")})
    found["RKJC"][:] = np.nan
    with pytest.raises(InputError, match="thigh are never seen together"):
        segment_lengths(found, {"thigh": ("RHJC", "RKJC")})


def test_a_recorded_arms_length_is_an_arms(data_dir):
    markers = static_trial(data_dir / "arm_lift" / "markers_analogs.c3d")
    lengths = segment_lengths(markers, {"forearm": (("EPICl", "EPICm"), ("STYLr", "STYLu"))})
    assert 0.2 < lengths["forearm"] < 0.3


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ({"static": "gone.c3d"}, "no file .*gone.c3d"),
        ({"static": "static.trc"}, "is not a .c3d file"),
        ({"static": {"file": "static.c3d", "shank": ["RKJC"]}}, "shank .* two points"),
        ({"static": {"file": "static.c3d", "shank": ["RKJC", "RAJC"]}}, "no marker 'RAJC'"),
        ({"static": {"file": "static.c3d", "shnk": ["RKJC", "RLM"]}}, "no segment 'shnk'"),
        ({"static": "static.c3d", "scale": True}, "no site named as any of them"),
        ({"scale": "yes"}, "true or false"),
    ],
)
def test_a_size_that_is_not_known_is_one_line(study_of, tmp_path, subject, words):
    write_c3d(tmp_path / "static.c3d", PLACES)
    with pytest.raises(InputError, match=words):
        study_model(study_of(**subject))
