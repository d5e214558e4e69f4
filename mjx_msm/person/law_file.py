"""A person's muscle law as a file of plain Python, with which MuJoCo alone steps it: `mjx_msm.person.exact_law`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import write_text
from mjx_msm.person import exact_law
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.degroote import DeGrooteFregly2016, DeGrooteTendon
from mjx_msm.person.millard import Millard2012, MillardTendon
from mjx_msm.person.model import Model, muscle_name
from mjx_msm.person.muscle import MujocoMuscle
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.thelen import Thelen2003, ThelenTendon

FIELDS = (
    "max_isometric_force", "optimal_fiber_length", "tendon_slack_length", "max_contraction_velocity",
    "passive_force_scale", "pennation_angle", "activation_time_constant", "deactivation_time_constant",
    "passive_fiber_strain", "tendon_strain",
)  # fmt: skip
CONSTANTS: dict[type, tuple[str, tuple[str, ...]]] = {
    MujocoMuscle: ("mujoco", ("lmin", "lmax", "fvmax", "tausmooth")),
    DeGrooteFregly2016: ("degroote", ("fiber_damping", "activation_smoothing")),
    Thelen2003: ("thelen", ("active_width", "passive_stiffness", "curvature", "lengthening")),
    Millard2012: ("millard", ("fiber_damping", "least_active")),
}
"""Fibers' laws that the file knows, and their constants."""
TENDONS: dict[type, str] = {DeGrooteTendon: "degroote", ThelenTendon: "thelen", MillardTendon: "millard"}
"""Tendons that it knows."""
SIGNATURE = "Written by mjx_msm, whose documentation has"
"""What the file says of itself."""


def law_path(model_file: Path) -> Path:
    """Of the file of muscles beside an exported model."""
    return model_file.with_name(f"{model_file.stem}_muscles.py")


def remove_law(model_file: Path) -> None:
    """Take away the file of muscles beside a model that is written without one, unless somebody else wrote it."""
    path = law_path(model_file)
    if path.is_file() and SIGNATURE in path.read_text(encoding="utf-8", errors="replace"):
        path.unlink()


def is_writable(model: Model) -> bool:
    """Whether the file can hold the model's law."""
    law = model.muscle
    return type(law.fibers if isinstance(law, CompliantTendon) else law) in CONSTANTS


def write_law(model: Model, parameters: Parameters, model_file: Path) -> Path:
    """Write the file of muscles beside an exported model, which it loads.

    **Raises:** `InputError` if the law is one of your own, or the folder cannot be written.
    """
    if not is_writable(model):
        raise InputError(
            f"muscle model '{muscle_name(model)}' is your own, and no file of plain Python is written for it; write "
            "one after that of a model with muscle='degroote'"
        )
    law = model.muscle
    tendon = law.tendon if isinstance(law, CompliantTendon) else None
    fibers = law.fibers if isinstance(law, CompliantTendon) else law
    name, constants = CONSTANTS[type(fibers)]
    rows = []
    for i, muscle in enumerate(model.muscles):
        row: dict[str, Any] = {"name": muscle, "fibers": name, "yields": tendon is not None}
        row["tendon"] = TENDONS[type(tendon)] if tendon is not None else ""
        row |= {f: float(np.asarray(getattr(parameters.muscle, f))[i]) for f in FIELDS}
        row |= {c: float(np.broadcast_to(np.asarray(getattr(fibers, c)), len(model.muscles))[i]) for c in constants}
        rows.append(row)
    listed = ",\n".join(f"    {json.dumps(row)}" for row in rows).replace("true", "True").replace("false", "False")
    text = Path(exact_law.__file__).read_text(encoding="utf-8")
    text = text.replace("MUSCLES: list = []", f"MUSCLES: list = [\n{listed},\n]").replace("MODEL", model_file.name)
    path = law_path(model_file)
    write_text(path, text)
    return path
