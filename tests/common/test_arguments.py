"""Arguments of the wrong kind: one line that names the argument, from every public function of these rooms."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mjx_msm as msm
from mjx_msm.common import arguments
from mjx_msm.knowledge.design.comfort import Comfort
from mjx_msm.person.anthropometry import segment_priors
from mjx_msm.person.payload import find_grip, with_payload
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.emg import EmgNoise, EmgProcessing


def space(arm):
    return parameter_space(arm.nominal, ["muscle/BRA/max_isometric_force"])


CALLS: list[tuple[str, Callable[[Any], Any]]] = [
    ("load free str", lambda arm: msm.load_model("arm", free="elbow_flex")),
    ("load free 3", lambda arm: msm.load_model("arm", free=3)),
    ("load locked list", lambda arm: msm.load_model("arm", locked=["elbow_flex"])),
    ("load locked word", lambda arm: msm.load_model("arm", locked={"elbow_flex": "x"})),
    ("load locked nan", lambda arm: msm.load_model("arm", locked={"elbow_flex": math.nan})),
    ("load timestep word", lambda arm: msm.load_model("arm", timestep="x")),
    ("load muscle 3", lambda arm: msm.load_model("arm", muscle=3)),
    ("load muscle list", lambda arm: msm.load_model("arm", muscle=["mujoco"])),
    ("load None", lambda arm: msm.load_model(None)),
    ("ps nominal", lambda arm: parameter_space("arm", ["muscle/*/max_isometric_force"])),
    ("ps free 3", lambda arm: parameter_space(arm.nominal, 3)),
    ("ps free [3]", lambda arm: parameter_space(arm.nominal, [3])),
    ("ps tied 3", lambda arm: parameter_space(arm.nominal, ["muscle/*/max_isometric_force"], tied=3)),
    ("ps bounds list", lambda arm: parameter_space(arm.nominal, ["muscle/*/max_isometric_force"], bounds=[1])),
    (
        "ps bounds pair",
        lambda arm: parameter_space(
            arm.nominal, ["muscle/*/max_isometric_force"], bounds={"muscle/*/max_isometric_force": (1, 2)}
        ),
    ),
    (
        "ps bounds num",
        lambda arm: parameter_space(
            arm.nominal, ["muscle/*/max_isometric_force"], bounds={"muscle/*/max_isometric_force": 3}
        ),
    ),
    (
        "ps bounds key",
        lambda arm: parameter_space(arm.nominal, ["muscle/*/max_isometric_force"], bounds={3: {"range": [1, 2]}}),
    ),
    ("ps priors list", lambda arm: parameter_space(arm.nominal, ["muscle/*/max_isometric_force"], priors=["x"])),
    (
        "ps priors num",
        lambda arm: parameter_space(
            arm.nominal, ["muscle/*/max_isometric_force"], priors={"muscle/*/max_isometric_force": 3}
        ),
    ),
    (
        "ps priors nan",
        lambda arm: parameter_space(
            arm.nominal, ["muscle/*/max_isometric_force"], priors={"muscle/*/max_isometric_force": {"mean": math.nan}}
        ),
    ),
    (
        "ps priors inf sd",
        lambda arm: parameter_space(
            arm.nominal, ["muscle/*/max_isometric_force"], priors={"muscle/*/max_isometric_force": {"sd": math.nan}}
        ),
    ),
    ("updated word", lambda arm: arm.nominal.updated({"body/forearm/mass": "x"})),
    ("updated list", lambda arm: arm.nominal.updated(["x"])),
    ("updated 3", lambda arm: arm.nominal.updated({3: 1.0})),
    ("payload word", lambda arm: with_payload(arm, "x")),
    ("payload model", lambda arm: with_payload("arm", 1.0)),
    ("payload grip", lambda arm: with_payload(arm, 1.0, "hand")),
    ("find_grip 3", lambda arm: find_grip(arm, 3)),
    ("payload None", lambda arm: with_payload(arm, None)),
    ("EmgNoise", lambda arm: EmgNoise("a")),
    ("EmgNoise band", lambda arm: EmgNoise(0.1, 0.1, "x")),
    ("EmgNoise list", lambda arm: EmgNoise([0.1])),
    ("EmgProcessing", lambda arm: EmgProcessing(low_pass="x")),
    ("EmgProcessing order", lambda arm: EmgProcessing(order="x")),
    ("EmgProcessing order2", lambda arm: EmgProcessing(order=2.5)),
    ("EmgProcessing notch", lambda arm: EmgProcessing(notch=50)),
    ("EmgProcessing norm", lambda arm: EmgProcessing(normalise=[1])),
    ("Comfort", lambda arm: Comfort(margin="x")),
    ("Comfort exc", lambda arm: Comfort(excitation=3)),
    ("Comfort speed", lambda arm: Comfort(speed=None)),
    ("synth count", lambda arm: msm.synthetic_trials(arm, arm.nominal, count="x")),
    ("synth count f", lambda arm: msm.synthetic_trials(arm, arm.nominal, count=1.5, duration=0.5)),
    ("synth model", lambda arm: msm.synthetic_trials("arm", None)),
    ("synth truth", lambda arm: msm.synthetic_trials(arm, {"a": 1}, count=1, duration=0.5)),
    ("synth dur", lambda arm: msm.synthetic_trials(arm, arm.nominal, duration="x")),
    ("synth dur nan", lambda arm: msm.synthetic_trials(arm, arm.nominal, duration=math.nan)),
    ("synth rate", lambda arm: msm.synthetic_trials(arm, arm.nominal, rate="x")),
    ("synth rate0", lambda arm: msm.synthetic_trials(arm, arm.nominal, rate=0)),
    ("synth noise", lambda arm: msm.synthetic_trials(arm, arm.nominal, emg_noise=3)),
    ("synth anoise", lambda arm: msm.synthetic_trials(arm, arm.nominal, angle_noise="x")),
    ("synth seed", lambda arm: msm.synthetic_trials(arm, arm.nominal, seed="x")),
    ("subj seed", lambda arm: msm.synthetic_subject(arm, seed="x")),
    ("subj seed-", lambda arm: msm.synthetic_subject(arm, seed=-1)),
    ("subj model", lambda arm: msm.synthetic_subject("arm", seed=1)),
    ("subj spread", lambda arm: msm.synthetic_subject(arm, seed=1, spread="x")),
    ("design trials", lambda arm: msm.design_experiment(arm, space(arm), trials="x")),
    ("design budget", lambda arm: msm.design_experiment(arm, space(arm), budget=None)),
    ("design model", lambda arm: msm.design_experiment("arm", space(arm))),
    ("design space", lambda arm: msm.design_experiment(arm, ["x"])),
    ("design dur", lambda arm: msm.design_experiment(arm, space(arm), duration="x")),
    ("design rate", lambda arm: msm.design_experiment(arm, space(arm), rate="x")),
    ("design payloads", lambda arm: msm.design_experiment(arm, space(arm), payloads=3)),
    ("design payloads w", lambda arm: msm.design_experiment(arm, space(arm), payloads=["x"])),
    ("design crit", lambda arm: msm.design_experiment(arm, space(arm), criterion=3)),
    ("design noise", lambda arm: msm.design_experiment(arm, space(arm), angle_noise="x")),
    ("design comfort", lambda arm: msm.design_experiment(arm, space(arm), comfort=3)),
    ("design seed", lambda arm: msm.design_experiment(arm, space(arm), seed="x")),
    ("design z", lambda arm: msm.design_experiment(arm, space(arm), z="x")),
    ("design known", lambda arm: msm.design_experiment(arm, space(arm), known="x")),
    ("design grip", lambda arm: msm.design_experiment(arm, space(arm), payloads=(1,), grip="hand")),
    ("subject 3", lambda arm: msm.load_subject(3)),
    ("Ident.load 3", lambda arm: msm.Identification.load(3)),
    ("segpri", lambda arm: segment_priors(arm, mass="x", height=1.7, sex="male")),
    ("segpri sex", lambda arm: segment_priors(arm, mass=70, height=1.7, sex=3)),
    ("segpri nan", lambda arm: segment_priors(arm, mass=math.nan, height=1.7, sex="male")),
    ("export", lambda arm: msm.export(arm, 3, "x.xml")),
    ("export m", lambda arm: msm.export("arm", arm.nominal, "x.xml")),
    ("personalise", lambda arm: msm.personalise("arm", arm.nominal)),
    ("personalise p", lambda arm: msm.personalise(arm, {"a": 1})),
]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_an_argument_of_the_wrong_kind_is_refused_in_one_line(arm, name, call):
    with pytest.raises(msm.InputError) as error:
        call(arm)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_numbers_of_numpy_are_numbers():
    for value in (1, 1.0, np.float32(1), np.int64(1), np.array(1.0)):
        assert arguments.number("x", value) == 1.0
    assert arguments.whole("x", np.int32(3)) == 3
    assert arguments.words("x", ("a", "b")) == ("a", "b")
    for bad in (True, "1", None, np.array([1.0]), math.nan, np.array(True)):
        with pytest.raises(msm.InputError, match="x must be a number"):
            arguments.number("x", bad)
