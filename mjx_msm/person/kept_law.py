"""What muscles of another program's model have that an MJCF muscle has no place for: pennation, strains, their law.

An imported file (`mjx_msm.person.from_osim`) has native muscles, F0 and l_opt along the tendon. What these leave out is
kept beside them, as `user` data of the actuators; the text ``muscle_law`` says which law they had and what the columns
are. A model loaded with a law of pennate fibers takes them from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.muscle import AbstractMuscle, AnyArray
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.pennation import PennateMuscle

TEXT = "muscle_law"
PARAMETERS = ("pennation_angle", "passive_fiber_strain", "tendon_strain")
"""Fields of `MuscleParameters`; other columns are constants of the law."""
NONE = "none"
"""In the text, where no law of this package stands for theirs."""


class KeptLaw(NamedTuple):
    """The law that an imported model's muscles had."""

    name: str
    """Of `mjx_msm.person.model.MUSCLES`, or `NONE`."""
    columns: Mapping[str, Float[np.ndarray, "muscle"]]
    """`PARAMETERS`, and constants of the law."""


def keep_law(spec: mujoco.MjSpec, name: str, muscles: Mapping[str, Mapping[str, float]]) -> None:
    """Write it into a model's file: of every muscle the same columns."""
    columns = list(next(iter(muscles.values())))
    spec.add_text(name=TEXT, data=" ".join([name, *columns]))
    for muscle, values in muscles.items():
        spec.actuator(muscle).userdata = [values[c] for c in columns]


def kept_law(spec: mujoco.MjSpec, m: mujoco.MjModel) -> KeptLaw | None:
    """What `keep_law` wrote, of the muscles of `m`."""
    text = next((t.data for t in spec.texts if t.name == TEXT), None)
    if text is None:
        return None
    name, *columns = text.split()
    if m.nuser_actuator < len(columns):
        return None
    return KeptLaw(name, {c: m.actuator_user[:, k].copy() for k, c in enumerate(columns)})


def forget_law(spec: mujoco.MjSpec) -> None:
    """Of a file whose native muscles are no longer those that it was written for."""
    for text in [t for t in spec.texts if t.name == TEXT]:
        spec.delete(text)
        for actuator in spec.actuators:
            actuator.userdata = []


def with_kept_constants(law: AbstractMuscle, name: str, kept: KeptLaw | None) -> AbstractMuscle:
    """The fibers' law `name` with its constants in the file, where it is the law that the muscles had."""
    if kept is None or kept.name.partition("-")[0] != name.partition("-")[0]:
        return law
    own = {f.name: kept.columns[f.name] for f in dataclasses.fields(law) if f.name in kept.columns}
    return dataclasses.replace(law, **own)


def with_kept_parameters(nominal: Parameters, law: AbstractMuscle, kept: KeptLaw | None) -> Parameters:
    """A file's native muscles as those of a law: F0 and l_opt along its fibers, where it has pennation; strains."""
    if kept is None:
        return nominal
    fibers, columns = nominal.muscle, kept.columns
    own: dict[str, AnyArray] = {}
    if isinstance(law.fibers if isinstance(law, CompliantTendon) else law, PennateMuscle):
        along = np.cos(columns["pennation_angle"])
        own = {f: columns[f] for f in ("pennation_angle", "passive_fiber_strain")}
        own["max_isometric_force"] = fibers.max_isometric_force / along
        own["optimal_fiber_length"] = fibers.optimal_fiber_length / along
    if isinstance(law, CompliantTendon):
        own["tendon_strain"] = columns["tendon_strain"]
    return eqx.tree_at(lambda p: p.muscle, nominal, dataclasses.replace(fibers, **own))
