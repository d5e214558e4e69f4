"""A channel that one of two recorded walks lacks: said, and the estimates stay where they are."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mjx_msm import identify
from mjx_msm.common.errors import InputWarning
from mjx_msm.recordings.subject_file.loading import load_subject
from mjx_msm.study.settings import settings, study_model

CHANNEL = "vas_lat_r"


@pytest.fixture(scope="module")
def walks(data_dir):
    """Six seconds of each of two walks."""
    if not (data_dir / "treadmill").is_dir():
        pytest.skip(f"no treadmill/ in {data_dir}: the recorded walks are not there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MJX_MSM_DATA", str(data_dir))
        study = load_subject(Path(__file__).resolve().parents[2] / "examples" / "treadmill" / "subject.toml")

    def part(trial):
        rows = slice(round(2 / trial.timestep), round(8 / trial.timestep))
        cut = {f: getattr(trial, f)[rows] for f in ("time", "position", "emg", "moment")}
        return replace(trial, velocity=None, **cut)

    return study_model(study), settings(study), tuple(part(t) for t in study.trials[:2])


@pytest.fixture(scope="module")
def clean(walks):
    model, asked, trials = walks
    return identify(model, trials, settings=asked)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["missing", "cut off"])
def test_estimates_stay_where_they_are(walks, clean, how):
    model, asked, trials = walks
    emg = trials[0].emg.copy()
    channel = trials[0].channels.index(CHANNEL)
    top = 0.4 * emg[:, channel].max()
    emg[:, channel] = np.nan if how == "missing" else np.minimum(emg[:, channel], top)
    bad = replace(trials[0], emg=emg)
    with pytest.warns(InputWarning, match=rf"trial '{bad.name}': EMG channel '{CHANNEL}'"):
        result = identify(model, (bad, trials[1]), settings=asked)
    (said,) = [n for n in result.notes if n.startswith(f"trial '{bad.name}': EMG channel '{CHANNEL}'")]
    assert "what drove its muscles is unknown there, and" in said
    others = [e for e in clean.estimates if CHANNEL not in e.path]
    inside = [e.low <= result[e.path].value <= e.high for e in others]
    assert np.mean(inside) >= 0.95
    before, after = (_error(r) for r in (clean, result))
    assert after < 1.25 * before


def _error(result):
    """Of the walk that lacks nothing [N·m]."""
    (fit,) = [f for f in result.fits if f.trial != result.fits[0].trial and f.role == "identify"]
    assert math.isfinite(fit.identified)
    return fit.identified
