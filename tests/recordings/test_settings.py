"""Settings: one definition of every option, and one line for what cannot be used."""

import inspect
from dataclasses import MISSING, fields

import numpy as np
import pytest

from mjx_msm import EmgNoise, InputError, Settings, cross_validate, identify, identify_many
from mjx_msm.recordings.settings import Options
from mjx_msm.study.identification import identify_study

FREE = ["muscle/*/max_isometric_force"]


def test_options_are_the_fields():
    assert list(Options.__annotations__) == [f.name for f in fields(Settings)]


@pytest.mark.parametrize("function", [identify, identify_many, cross_validate, identify_study])
def test_a_session_sees_every_option_with_its_default(function):
    shown = inspect.signature(function).parameters
    for f in fields(Settings):
        default = inspect.Parameter.empty if f.default is MISSING else f.default
        if f.default_factory is not MISSING:
            default = f.default_factory()
        if (function, f.name) == (cross_validate, "residuals"):
            default = ("moment",)
        assert shown[f.name].default == default
        assert shown[f.name].kind is inspect.Parameter.KEYWORD_ONLY
    assert "options" not in shown


def test_options_override_settings():
    settings = Settings(free=FREE, starts=4, seed=3)
    assert Settings.of(settings, {}) is not None
    assert Settings.of(settings, {"starts": 2}) == Settings(free=FREE, starts=2, seed=3)
    assert Settings.of(None, {"free": FREE}) == Settings(free=FREE)


def test_what_is_given_is_kept_in_one_form():
    settings = Settings(
        free=(f for f in FREE),
        residuals=["motion"],
        tied=[],
        bounds={"emg/*/gain": (0.1, np.float32(2)), "emg/*/delay": {"range": np.array([0, 1])}, "joint/*": [1, 2]},
        priors={"body/*/inertia": {"mean": np.ones(6), "relative_sd": 1}, "emg/*/gain": "none"},
        starts=np.int64(3),
        horizon=np.int32(50),
        emg_noise=EmgNoise(relative=0.1),
    )
    assert settings.free == tuple(FREE)
    assert settings.residuals == ("motion",)
    assert settings.bounds == {
        "emg/*/gain": {"range": [0.1, 2.0]},
        "emg/*/delay": {"range": [0.0, 1.0]},
        "joint/*": {"range": [1.0, 2.0]},
    }
    assert settings.priors == {"body/*/inertia": {"mean": [1.0] * 6, "relative_sd": 1.0}, "emg/*/gain": "none"}
    assert (type(settings.starts), type(settings.horizon)) == (int, int)
    assert Settings(free=FREE, bounds=None, priors=None) == Settings(free=FREE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"free": "muscle/*"}, "free must be a list of texts, e.g."),
        ({"free": []}, "nothing to estimate: free is empty"),
        ({"free": [3]}, "free must be a list of texts"),
        ({"residuals": "moment"}, "residuals must be a list of texts"),
        ({"residuals": ("angles",)}, "residuals = 'angles' is unknown; choose from: acceleration, moment, motion"),
        ({"residuals": ()}, "residuals are empty; choose from"),
        ({"tied": None}, "tied must be a list of texts"),
        ({"bounds": (0.5, 2.0)}, "bounds must be {pattern: [lo, hi]}, got [0.5, 2.0]"),
        ({"bounds": {"emg/*/gain": 3}}, "bounds: 'emg/*/gain' must be { factor = [lo, hi] }"),
        ({"bounds": {"emg/*/gain": (1.0, float("nan"))}}, "bounds: 'emg/*/gain' must be"),
        ({"bounds": {"emg/*/gain": {"factor": [2, 1]}}}, "bounds: 'emg/*/gain' is empty (2 to 1)"),
        ({"bounds": {"emg/*/gain": {"factor": [1, 2], "range": [1, 2]}}}, "must be { factor"),
        ({"priors": {"emg/*/gain": 0.5}}, "priors: 'emg/*/gain' must have mean, sd or relative_sd"),
        ({"priors": {"emg/*/gain": {"mean": [1, 2]}}}, "priors: 'emg/*/gain' must have"),
        ({"priors": {"emg/*/gain": {}}}, "priors: 'emg/*/gain' must have"),
        ({"priors": "none"}, "priors must be {pattern: prior}"),
        ({"rate": 0}, "rate = 0 must be a positive number"),
        ({"rate": "fast"}, "must be a positive number"),
        ({"rate": float("inf")}, "must be a positive number"),
        ({"horizon": 0}, "horizon = 0 must be a whole number of steps, or None for the whole trial, at least 1"),
        ({"horizon": 0.5}, "horizon = 0.5 must be a whole number"),
        ({"starts": 0}, "starts = 0 must be a whole number of starting points, at least 1"),
        ({"starts": True}, "starts = true must be a whole number"),
        ({"seed": -1}, "seed = -1 must be a whole number, at least 0"),
        ({"emg_map": {"BRA": "biceps"}}, "emg_map of 'BRA' must be {channel: weight}, got the text"),
        ({"emg_map": ["BRA"]}, "emg_map must be {muscle: {channel: weight}}"),
        ({"emg_noise": 0.05}, "emg_noise must be an EmgNoise"),
        ({"emg_noise": EmgNoise(relative=0.1), "residuals": ("moment",)}, "EMG noise is modelled in the motion"),
        ({"stars": 4}, "there is no option 'stars'; did you mean 'starts'?"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(options, words):
    with pytest.raises(InputError) as error:
        Settings.of(None, {"free": FREE} | options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("settings", "words"), [(None, "give free"), ({"free": FREE}, "got dict")])
def test_settings_are_settings(settings, words):
    with pytest.raises(InputError, match=words):
        Settings.of(settings, {})
