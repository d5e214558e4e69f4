"""A result folder's trial in the viewer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mujoco

from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.couplings import independent
from mjx_msm.study.result_folder import load_result
from mjx_msm.views.replay import Replay
from mjx_msm.views.viewer.moments import ADJUSTABLE, RecordedMotion
from mjx_msm.views.viewer.poses import poses_of
from mjx_msm.views.viewer.trial_page import TrialPage

if TYPE_CHECKING:
    from viser import ViserServer


def trial_page(server: ViserServer, folder: Path, trial: str | None = None) -> TrialPage:
    """The page of one trial, by default the first.

    **Raises:** `InputError` if the folder is no result, or has no such trial.
    """
    result, trials = load_result(folder)
    chosen = next((t for t in trials if trial in (None, t.name)), None)
    if chosen is None:
        raise InputError(f"--trial '{trial}': {folder} has {', '.join(t.name for t in trials)}")
    path = folder / "model.xml"
    try:
        scene = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        raise InputError(f"{path}: cannot be loaded ({str(error).splitlines()[0]}); identify again") from None
    if len(independent(scene)) != len(chosen.coordinates):
        raise InputError(f"{path}: does not fit trials/{chosen.name}.csv; identify again")
    motion = _motion(result, chosen)
    movable = [e for e in result.estimates if motion is not None and e.path.split("/")[0] in ADJUSTABLE]
    return TrialPage(server, scene, chosen, poses_of(scene), movable, motion)


def _motion(result: Identification, trial: Replay) -> RecordedMotion | None:
    """Where moments were recorded, the motion is the recording's, and muscles do not remember what was before."""
    model = result.model()
    if trial.moment is None or trial.simulated or model.muscle.remembers:
        return None
    return RecordedMotion(model, result.personalised(model), trial)
