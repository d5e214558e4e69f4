"""Problems from recorded treadmill walks: a person's knee moments from nine EMG envelopes, as a subject file has them.

The recordings (walking at 3.6 and 4.5 km/h, running at 8.1 km/h, 40 s each; doi 10.5281/zenodo.6457662, Apache-2.0) are
not part of this repository: MJX_MSM_DATA names the folder that holds treadmill/.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.subject_file.loading import Study, load_subject, write_subject

CHANNELS = {
    "recfem": "rect_fem_r",
    "vasmed": "vas_med_r",
    "vaslat": "vas_lat_r",
    "biceps": "bifemlh_r",
    "medial": "semimem_r",
    "gasmed": "med_gas_r",
    "gaslat": "lat_gas_r",
    "soleus": "soleus_r",
    "tibant": "tib_ant_r",
}
MUSCLES: dict[str, Any] = {
    "recfem": "recfem",
    "vasmed": "vasmed",
    "vasint": {"vasmed": 0.5, "vaslat": 0.5},
    "vaslat": "vaslat",
    "bflh": "biceps",
    "bfsh": "biceps",
    "semimem": "medial",
    "semiten": "medial",
    "gasmed": "gasmed",
    "gaslat": "gaslat",
    "soleus": "soleus",
    "tibant": "tibant",
}
ACROSS_THE_KNEE = ("recfem", "vas*", "bf?h", "semi*", "gas*")
FREE = [
    *(f"muscle/{m}/{f}" for m in ACROSS_THE_KNEE for f in ("optimal_fiber_length", "tendon_slack_length")),
    "emg/*/gain", "emg/*/shape", "emg/*/delay", "joint/knee_angle/damping", "joint/knee_angle/stiffness",
]  # fmt: skip
STRENGTHS = [f"muscle/{m}/max_isometric_force" for m in ACROSS_THE_KNEE]
STRIDE = 1.1
"""[s]."""


def folder() -> Path:
    """Of all recordings."""
    data = Path(os.environ.get("MJX_MSM_DATA", ""))
    if not os.environ.get("MJX_MSM_DATA") or not (data / "treadmill").is_dir():
        raise InputError("set MJX_MSM_DATA to the folder that holds treadmill/ and knee_walk/")
    return data


def strides() -> Study:
    """Eight strides of both walks at 50 Hz, 41 unknowns; eight later ones are held out."""
    early = [(walk, start) for walk in ("walk36", "walk45") for start in (2.0, 6.0, 10.0, 14.0)]
    late = [(walk, start + 20.0) for walk, start in early]
    trials = [*(_trial(*at, STRIDE) for at in early), *(_trial(*at, STRIDE, "held-out") for at in late)]
    return _study(trials, FREE, rate=50.0)


def whole() -> Study:
    """Both walks and the run, 40 s at 100 Hz each, 50 unknowns: strengths, too, one of the medial muscles."""
    trials = [_trial(name) for name in ("walk36", "walk45", "run81")]
    return _study(trials, [*FREE, *STRENGTHS], tied=("muscle/semi*/max_isometric_force",), rate=100.0)


def _trial(name: str, start: float | None = None, seconds: float = 0.0, role: str = "identify") -> dict[str, Any]:
    files = {"motion": f"{name}/ik.sto", "emg": f"{name}/emg.sto", "moments": f"{name}/id.sto", "role": role}
    if start is None:
        return {"name": name, **files}
    return {"name": f"{name} from {start:g} s", **files, "start": start, "stop": start + seconds - 0.01}


def _study(trials: Sequence[dict[str, Any]], free: Sequence[str], tied: Sequence[str] = (), *, rate: float) -> Study:
    document = {
        "data": str(folder() / "treadmill"),
        "columns": {
            "hip_flexion": "hip_flexion_r",
            "knee_angle": {"column": "knee_angle_r", "scale": -1.0},  # of gait2392, which counts extension
            "ankle_angle": "ankle_angle_r",
        },
        "moment_columns": {"knee_angle": {"column": "knee_angle_r_moment", "scale": -1.0}},
        "subject": {"name": "treadmill", "mass": 75.0},  # not known; nothing here depends on it
        "model": {"source": "knee", "free": ["knee_angle"], "prescribed": ["hip_flexion", "ankle_angle"]},
        "emg": {"kind": "envelope", "channels": CHANNELS, "muscles": MUSCLES},
        "trials": list(trials),
        "identify": {
            "residuals": ["moment"],
            "rate": rate,
            "free": list(free),
            "tied": ["emg/*/delay", *tied],
            # delays as they were by default when the figures of this problem were taken
            "bounds": {"emg/*/gain": {"range": [0.005, 5.0]}, "emg/*/delay": {"range": [0.0, 0.07]}},
            "priors": {
                "emg/*/gain": {"mean": 0.4, "sd": 0.4},
                "emg/*/shape": {"mean": -1.0, "sd": 1.0},
                "emg/*/delay": {"sd": 0.02},
            },
        },
    }
    with tempfile.TemporaryDirectory() as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes on the files
        path = Path(made) / "subject.toml"
        write_subject(path, document)
        return load_subject(path)
