"""A study of a person who is made up, as files that are read like anybody's, and the truth about them."""

from __future__ import annotations

import json
import math
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.common.json_files import finite, read_json, table_of
from mjx_msm.person.inspection import muscle_and_bone
from mjx_msm.person.model import load_model
from mjx_msm.person.parameters import matching
from mjx_msm.recordings.subject_file.loading import write_subject
from mjx_msm.recordings.synthetic import synthetic_subject, synthetic_trials
from mjx_msm.recordings.trial import Trial
from mjx_msm.study.result_folder import RESULT

SUBJECT, TRUTH = "subject.toml", "truth.json"
EMG_NOISE = (0.05, 0.02)
"""Of a noisy study: relative, and of the largest excitation."""


def check_study_folder(folder: str | Path, *, overwrite: bool = False) -> None:
    """Whether a synthetic study may go there.

    **Raises:** `InputError` if the folder holds a subject file that somebody wrote, or a result, and not `overwrite`.
    """
    folder = Path(folder)
    if not overwrite and (folder / RESULT).exists():
        raise InputError(
            f"{folder}: holds the result of an identification, not a study; choose another folder, or write into it "
            "with --overwrite"
        )
    if not overwrite and (folder / SUBJECT).exists() and not (folder / TRUTH).exists():
        raise InputError(
            f"{folder}: holds a {SUBJECT} that is not of a synthetic study; choose another folder, or replace it with "
            "--overwrite"
        )


def simulate_study(
    folder: Path,
    source: str,
    *,
    trials: int,
    held_out: int = 1,
    duration: float,
    rate: float,
    noise_angle: float,
    noise_emg: bool,
    spread: float,
    free: list[str] | None,
    seed: int,
) -> tuple[Trial, ...]:
    """Fill a folder with a synthetic study."""
    everything = load_model(source)
    if not free:
        free = ["knee_angle"] if source == "knee" else list(everything.free)
    for name in free:
        if name not in everything.coordinates:
            raise InputError(
                f"{source} has no coordinate '{name}' to simulate; it has {', '.join(everything.coordinates)}"
            )
    prescribed = [c for c in everything.coordinates if c not in free]
    model = load_model(source, free=free, prescribed=prescribed)
    truth = synthetic_subject(model, seed=seed, spread=spread)
    recorded = synthetic_trials(
        model, truth, count=trials + held_out, duration=duration, rate=rate, seed=seed,
        angle_noise=math.radians(noise_angle), emg_noise=EMG_NOISE if noise_emg else (0.0, 0.0),
    )  # fmt: skip
    entries: list[dict[str, object]] = [t.save(folder) for t in recorded]
    for entry in entries[trials:]:
        entry["role"] = "held-out"
    bundled = source in ("arm", "knee")
    mass = float(sum(everything.nominal.body.mass))
    patterns = muscle_and_bone(model)
    write_subject(
        folder / SUBJECT,
        {
            "units": "rad",
            "subject": {"name": f"synthetic {source if bundled else Path(source).stem}", "mass": max(2.0, mass)},
            "model": {
                "source": source if bundled else str(Path(source).resolve()),
                "muscle": "mujoco",
                "free": free,
                "prescribed": prescribed,
            },
            "emg": {"kind": "envelope", "muscles": {m: m for m in model.muscles}},
            "trials": entries,
            "identify": {"free": patterns, "residuals": ["motion"], "rate": rate},
        },
    )
    values = truth.to_dict()
    note = {
        "parameters": {path: values[path] for path in matching(truth, patterns)},
        "seed": seed,
        "spread": spread,
        "noise": {"angle_deg": noise_angle, "emg": EMG_NOISE if noise_emg else [0.0, 0.0]},
    }
    write_text(folder / TRUTH, json.dumps(note, indent=1) + "\n")
    return recorded


def load_truth(subject: Path) -> dict[str, float] | None:
    """The true parameters of a synthetic subject: `truth.json` next to its subject file, if there is one."""
    path = subject.parent / TRUTH
    if not path.is_file():
        return None
    fix = "remove it, or simulate again"
    data = read_json(path, "truth file of `mjx-msm simulate`", fix)
    try:
        return table_of(finite)(data["parameters"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a truth file of `mjx-msm simulate` ({error}); {fix}") from None
