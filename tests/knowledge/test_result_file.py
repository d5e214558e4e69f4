"""The file of a result: whatever is changed in it, it is refused in one line or is still a result."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_result import made_result

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.records import Fit, Moved, MuscleUse, Stage, Unseen
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_file import NEWER
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.quality.crossed_steps import OtherFoot


@pytest.fixture(scope="module")
def content(arm, tmp_path_factory) -> dict[str, Any]:
    """A small result with something in every field."""
    space = parameter_space(arm.nominal, ["muscle/BRA/tendon_slack_length", "body/forearm/inertia"])
    result = made_result(
        space,
        np.diag(np.linspace(0.0, 900.0, space.size)),
        channels=("arm",),
        emg_map={"BRA": {"arm": 0.5}},
        fits=(
            Fit(
                "t",
                "identify",
                "motion",
                "elbow_flex",
                "rad",
                0.1,
                0.05,
                0.9,
                0.4,
                {"mean": 0.2},
                band=0.9,
                apart=0.04,
                without=Moved("joint/elbow_flex/damping", 4.5, 0.02),
            ),
        ),
        unseen=(Unseen("t", "elbow_flex", (0.1, 0.2), (1.0, 2.0), (1.5, 2.5), (1.0, 2.0), (2.0, 3.0)),),
        stages=(Stage("motion", 3.0, 12, 1.5, {"elbow_flex": 0.01}, 1),),
        hashes={"a.csv": "00ff"},
        versions={"jax": "0"},
        muscle_constants={"fvmax": 1.3},
        locked={"x": 0.1},
        processing="rectified",
        silenced={"t": ("arm",)},
        peaks={"arm": 0.9},
        other_foot=(OtherFoot("t", ("elbow_flex",), ((0.1, 0.2),), 0.1),),
        use=(MuscleUse("t", "BRA", 0.9, 0.5, 0.0, 0.3),),
        folds="task",
    )
    path = result.save(tmp_path_factory.mktemp("result") / "identification.json")
    assert Identification.load(path) == result
    data = json.loads(path.read_text(encoding="utf-8"))
    data["samples"] = data["samples"][:2]
    data["parameters"] = {p: v for p, v in data["parameters"].items() if "BRA" in p or "forearm" in p}
    return data


def refused(folder: Path, data: Any, match: str = "") -> None:
    path = folder / "identification.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(InputError, match=match) as error:
        Identification.load(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_folds_are_known_ones(content, tmp_path):
    refused(tmp_path, {**content, "folds": "tasks"}, "folds 'tasks' is none of block, trial, task")


@pytest.mark.parametrize(("trials", "within"), [(("t",), True), (("t", "u"), None)])
def test_of_a_cross_validation_in_an_older_file_is_said_only_what_must_be(content, trials, within, tmp_path):
    row = content["fits"][0]
    data = copy.deepcopy(content)
    data["fits"] = [{**row, "trial": t} for t in trials] + [{**row, "role": "cross-validated"}]
    for fit in data["fits"]:
        fit.pop("within")
    path = tmp_path / "identification.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    read = Identification.load(path)
    assert [f.within for f in read.fits] == [False] * len(trials) + [within]
    assert Identification.load(read.save(path)) == read
    data["fits"][-1]["within"] = False
    path.write_text(json.dumps(data), encoding="utf-8")
    assert Identification.load(path).fits[-1].within is False


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (("samples", 0, 0), "nan", "not finite"),
        (("parameters", "muscle/BRA/tendon_slack_length"), -0.2, "tendon_slack_length is -0.2; it must be positive"),
        (("parameters", "muscle/BRA/max_isometric_force"), 0.0, "must be positive"),
        (("parameters", "body/forearm/inertia/xx"), 9.0, "inertia is not one that a body can have"),
        (("parameters", "body/forearm/com/q"), 0.0, "unknown"),
        (("subject",), 3, "subject: 3 is not a text"),
        (("source",), None, "source: nothing is not a text"),
        (("muscle_model",), ["mujoco"], "muscle_model: .* is not a text"),
        (("free",), "elbow_flex", "free: .* is not a list"),
        (("free", 0), 7, "free: 7 is not a text"),
        (("channels",), [1], "channels: 1 is not a text"),
        (("estimates", 0, "path"), 1.5, "path: 1.5 is not a text"),
        (("estimates", 0, "unit"), 2, "unit: 2 is not a text"),
        (("estimates", 0, "bound"), "left", "at the left bound"),
        (("estimates", 0, "sd"), -1.0, "not a number and its deviation"),
        (("estimates", 0, "data_share"), 1.5, "share of the data"),
        (("directions", 0, "text"), 5, "text: 5 is not a text"),
        (("fits", 0, "trial"), 4, "trial: 4 is not a text"),
        (("fits", 0, "band"), 1.2, "band of t holds 1.2 of it"),
        (("unseen", 0, "low"), [1.0], "elbow_flex in t has curves of different lengths"),
        (("unseen", 0, "recorded", 1), "inf", "elbow_flex in t is not finite"),
        (("stages", 0, "evaluations"), 1.5, "evaluations: 1.5 is not a whole number"),
        (("versions", "jax"), 10, "versions: jax: 10 is not a text"),
        (("hashes", "a.csv"), 10, "not a text"),
        (("timestep",), 0, "timestep, rate or horizon"),
        (("timestep",), "inf", "timestep is inf"),
        (("seed",), 10**40, "too large a number"),
        (("z", 0), 10**400, "too large a number"),
        (("emg_map", "BRA", "arm"), "half", "arm: .* is not a number"),
        (("emg_map", "BRA"), {"leg": 1.0}, "emg_map and channels do not agree"),
        (("completed",), "yes", "completed: .* is not true or false"),
        (("subject",), "\ud800", "half a character"),
        (("outcome",), "GOOD", "is none of CONVERGED"),
        (("integrator",), "rk45", "integrator 'rk45' is none of Euler, RK4"),
    ],
)
def test_a_wrong_field_is_named(content, tmp_path, place, value, match):
    data = copy.deepcopy(content)
    holder = data
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    refused(tmp_path, data, match)


def test_a_file_of_version_0_1_0_was_stepped_by_euler(content, tmp_path):
    """Its like has no `integrator`; a model made of it is stepped as it was, and saved again it says so."""
    data = {k: v for k, v in content.items() if k not in ("integrator", "muscle_constants")} | {"locked": {}}
    path = tmp_path / "identification.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    old = Identification.load(path)
    assert old.integrator == old.model().integrator == "Euler"
    assert json.loads(old.save(path).read_text(encoding="utf-8"))["integrator"] == "Euler"
    path.write_text(json.dumps(data | {"integrator": "RK4"}), encoding="utf-8")
    assert Identification.load(path).model().integrator == "RK4"


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        yield (*place, key)
        yield from leaves(inside, (*place, key))


@pytest.mark.slow
def test_nothing_of_another_kind_is_believed(content, tmp_path):
    """In every place: a number for a word, a word for a number, a table, a list, nothing, true."""
    path = tmp_path / "identification.json"
    kinds = {str: "word", int: "number", float: "number", bool: "flag", list: "list", dict: "table", type(None): "none"}
    tried = 0
    for place in leaves(content):
        for value in ("a word", 3.5, [1], {"a": 1}, None, True):
            data = copy.deepcopy(content)
            holder = data
            for key in place[:-1]:
                holder = holder[key]
            old = holder[place[-1]]
            if kinds[type(old)] == kinds[type(value)] or place == ("emg_noise",):
                continue
            if isinstance(old, str) and old in ("inf", "-inf", "nan") and value == 3.5:
                continue
            if place[0] == "muscle_constants" and value == [1]:
                continue  # one a muscle
            holder[place[-1]] = value
            path.write_text(json.dumps(data), encoding="utf-8")
            try:
                Identification.load(path)
            except InputError:
                tried += 1
            else:
                pytest.fail(f"{place} = {value!r} is believed")
    assert tried > 500


def test_what_is_missing_or_more_is_named(content, tmp_path):
    for key in content:
        if key in NEWER:
            continue
        data = {k: v for k, v in content.items() if k != key}
        refused(tmp_path, data, "schema None" if key == "schema" else f"'{key}' is missing")
    refused(tmp_path, {**content, "smaples": []}, "'smaples' is unknown")


def test_a_slack_length_below_zero_that_was_not_estimated_is_the_file_s(content, tmp_path):
    path = tmp_path / "identification.json"
    parameters = content["parameters"] | {"muscle/TRIlong/tendon_slack_length": -0.2}
    path.write_text(json.dumps({**content, "parameters": parameters}))
    assert Identification.load(path).parameters["muscle/TRIlong/tendon_slack_length"] == -0.2


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have(content, tmp_path, text):
    path = tmp_path / "identification.json"
    path.write_text(json.dumps({**content, "rate": "MARK"}).replace('"MARK"', text), encoding="utf-8")
    with pytest.raises(InputError, match=r"is not JSON|too large a number"):
        Identification.load(path)
