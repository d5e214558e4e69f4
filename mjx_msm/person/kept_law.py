"""What muscles of another program's model have that an MJCF muscle has no place for: pennation, strains, their law.

An imported file (`mjx_msm.person.from_osim`) has native muscles, F0 and l_opt along the tendon. What these leave out is
kept beside them, as `user` data of the actuators; the text ``muscle_law`` says which law they had and what the columns
are. A model loaded with a law of pennate fibers takes them from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.degroote import DeGrooteFregly2016
from mjx_msm.person.millard import Millard2012
from mjx_msm.person.muscle import AbstractMuscle, AnyArray
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.pennation import PennateMuscle
from mjx_msm.person.thelen import Thelen2003

TEXT = "muscle_law"
PARAMETERS = ("pennation_angle", "passive_fiber_strain", "tendon_strain")
"""Fields of `MuscleParameters`; other columns are constants of the law."""
NONE = "none"
"""In the text, where no law of this package stands for theirs."""
FIBERS = {"degroote": DeGrooteFregly2016, "thelen": Thelen2003, "millard": Millard2012}
"""Laws that have a name in the text, whether their tendons yield or not."""
_LEAST = 1e-6
"""Strain [-] that a curve can be divided by."""
_WITHOUT = f"delete the text '{TEXT}', and muscles have a law's own pennation, strains and constants"


class KeptLaw(NamedTuple):
    """The law that an imported model's muscles had."""

    name: str
    """Of `mjx_msm.person.model.MUSCLES`, or `NONE`."""
    columns: Mapping[str, Float[np.ndarray, "muscle"]]
    """`PARAMETERS`, and constants of the law."""
    source: str
    """What messages call the file."""


def keep_law(spec: mujoco.MjSpec, name: str, muscles: Mapping[str, Mapping[str, float]]) -> None:
    """Write it into a model's file: of every muscle the same columns."""
    columns = list(next(iter(muscles.values())))
    spec.add_text(name=TEXT, data=" ".join([name, *columns]))
    for muscle, values in muscles.items():
        spec.actuator(muscle).userdata = [values[c] for c in columns]


def kept_law(spec: mujoco.MjSpec, m: mujoco.MjModel, source: str) -> KeptLaw | None:
    """What `keep_law` wrote, of the muscles of `m`; `source`: what messages call the file.

    **Raises:** `InputError` if the columns are not those of the law, or a muscle has no values: they would be read as
    zeros, and curves are divided by strains.
    """
    text = next((t.data for t in spec.texts if t.name == TEXT), None)
    if text is None:
        return None
    name, *columns = text.split()
    _check_columns(name, columns, source)
    for i in range(m.nu):
        muscle = m.actuator(i).name
        given = spec.actuator(muscle).userdata  # as written: compiled, all are as long as the longest
        if len(given) < len(columns) or not np.any(given):
            raise InputError(
                f"model '{source}': muscle '{muscle}' lacks values of the law that text '{TEXT}' keeps; give its "
                f'actuator user="…", the values of {" ".join(columns)}; or {_WITHOUT}'
            )
    return KeptLaw(name, {c: m.actuator_user[:, k].copy() for k, c in enumerate(columns)}, source)


def _check_columns(name: str, columns: Sequence[str], source: str) -> None:
    fibers = FIBERS.get(name.partition("-")[0])
    known = [*PARAMETERS, *(f.name for f in dataclasses.fields(fibers))] if fibers else [*PARAMETERS]
    wrong = [f"has no column '{c}'" for c in PARAMETERS if c not in columns]
    wrong += [f"has column '{c}'" for c in columns if c not in known]
    wrong += [f"has column '{c}' twice" for c in known if columns.count(c) > 1]
    if wrong:
        raise InputError(
            f"model '{source}': text '{TEXT}' {wrong[0]}; muscles of law '{name}' have {', '.join(known)}: import the "
            f"OpenSim model anew, or {_WITHOUT}"
        )


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
    try:
        return dataclasses.replace(law, **own)
    except ValueError as e:
        raise InputError(f"model '{kept.source}': user data of its muscles: {in_one_line(e)}") from e


def with_kept_parameters(nominal: Parameters, law: AbstractMuscle, kept: KeptLaw | None) -> Parameters:
    """A file's native muscles as those of a law: F0 and l_opt along its fibers, where it has pennation; strains.

    **Raises:** `InputError` if an angle or a strain that the law takes is none.
    """
    if kept is None:
        return nominal
    fibers = nominal.muscle
    own: dict[str, AnyArray] = {}
    if isinstance(law.fibers if isinstance(law, CompliantTendon) else law, PennateMuscle):
        own["pennation_angle"] = _within(kept, nominal, "pennation_angle", 0.0, 0.5 * np.pi)
        own["passive_fiber_strain"] = _within(kept, nominal, "passive_fiber_strain", _LEAST, np.inf)
        along = np.cos(own["pennation_angle"])
        own["max_isometric_force"] = fibers.max_isometric_force / along
        own["optimal_fiber_length"] = fibers.optimal_fiber_length / along
    if isinstance(law, CompliantTendon):
        own["tendon_strain"] = _within(kept, nominal, "tendon_strain", _LEAST, np.inf)
    return eqx.tree_at(lambda p: p.muscle, nominal, dataclasses.replace(fibers, **own))


def _within(kept: KeptLaw, nominal: Parameters, column: str, least: float, below: float) -> Float[np.ndarray, "muscle"]:
    """A column, none of which is outside."""
    values = kept.columns[column]
    outside = np.flatnonzero(~((values >= least) & (values < below)))
    if len(outside):
        k = int(outside[0])
        bar = "an angle from 0 to 90° [rad]" if least == 0 else "above 0"
        raise InputError(
            f"model '{kept.source}': muscle '{nominal.names.muscle[k]}' has {column} = {values[k]:.4g} in its user "
            f"data; it must be {bar}: mend it (column {list(kept.columns).index(column) + 1} of user), or {_WITHOUT}"
        )
    return values
