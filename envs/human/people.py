"""Whose body an environment takes: a file's, an identified person's, or somebody drawn from what is known of them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from mjx_msm import assets
from mjx_msm.common.errors import InputError, in_one_line
from mjx_msm.common.file_kinds import MJCF, PERSON, RESULT, refuse_other

MISSES = (
    "people drawn from its posterior miss the recorded moments; `mjx-msm identify --resume` takes them through, or "
    "mjx_msm.completed_draws"
)
"""Said of a result whose draws were not completed."""


@dataclass(frozen=True, eq=False)
class People:
    """The people an environment can be about."""

    source: str
    """As the user named it."""
    spec: mujoco.MjSpec
    """The nominal person; not to be changed."""
    folder: Path | None = None
    """Where the subject's recorded files are; None for a model file alone."""
    result: Path | None = None
    """The identification they come from."""

    @cached_property
    def identification(self) -> Any:
        """The `Identification` that the posterior is drawn from.

        **Raises:** `InputError` if there is none.
        """
        from mjx_msm.knowledge.result import Identification

        if self.result is None:
            raise InputError(
                f"{self.source} has no identification to draw people from (sample_posterior, option person); "
                "give subject= a folder written by `mjx-msm identify`"
            )
        return Identification.load(self.result)

    @cached_property
    def drawn(self) -> Any:
        """Draws from the posterior, saved with the result, as `Parameters` of the native muscle with a leading axis."""
        result = self.identification
        if result.misses_recording:
            warnings.warn(f"{self.source}: {MISSES}", stacklevel=2)
        model = result.model()
        return with_native_muscles(model, result.population(model=model), result.personalised(model))

    @property
    def count(self) -> int:
        """How many draws there are."""
        return len(self.drawn.joint.damping)

    def draw(self, index: int) -> Any:
        """One of the drawn people, as `Parameters`.

        **Raises:** `InputError` if there are not so many.
        """
        import jax

        if not 0 <= index < self.count:
            raise InputError(f"person {index}: {self.source} has draws 0 to {self.count - 1}")
        return jax.tree.map(lambda x: x[index], self.drawn)


def with_native_muscles(model: Any, everyone: Any, estimate: Any) -> Any:
    """`Parameters` with a leading axis, in NumPy, their muscles as MuJoCo's native ones.

    **Arguments:** `estimate`: whose native muscles are those of the exported file; under another muscle law they are
    fitted, and everyone's are then off their own as these are.
    """
    import equinox as eqx
    import jax

    from mjx_msm.common.compiled import float64
    from mjx_msm.person.model import refuse_memory
    from mjx_msm.person.muscle import MujocoMuscle
    from mjx_msm.person.native_fit import fitted_native, in_proportion
    from mjx_msm.person.personalisation import native_muscles

    refuse_memory(model, "drawing people for an environment, whose muscles are MuJoCo's native ones,")
    with float64():
        muscle = jax.vmap(lambda p: native_muscles(model, p))(everyone.muscle)
        if not isinstance(model.muscle, MujocoMuscle):
            own = native_muscles(model, estimate.muscle)
            muscle = in_proportion(fitted_native(model, estimate), own, muscle)
    return jax.tree.map(np.asarray, eqx.tree_at(lambda p: p.muscle, everyone, muscle))


def find_people(subject: Any, asset: str, check: Callable[[mujoco.MjModel], None]) -> People:
    """The people behind the argument `subject` of an environment.

    **Arguments:** `subject`: a folder written by ``mjx-msm identify``, its ``identification.json``, an exported MJCF
    file, or None for the generic person. `asset`: the bundled model that the generic person is. `check`: refuses a
    model of something else.

    **Raises:** `InputError` if there is no such file, or it is not a person's model.
    """
    if subject is None:
        return People(f"the generic {asset}", mujoco.MjSpec.from_file(str(assets.path(asset))))
    try:
        path = Path(subject)
    except TypeError:
        raise InputError(f"subject {subject!r} is not a path; give a folder written by `mjx-msm identify`") from None
    if not path.exists():
        raise InputError(
            f"subject '{path}' does not exist; give a folder written by `mjx-msm identify`, "
            "its identification.json, or an exported .xml"
        )
    refuse_other(path, RESULT, MJCF, PERSON)
    source, result = f"subject '{path}'", path
    if path.suffix.lower() == ".xml":
        people = People(source, _read_mjcf(path))
    elif path.is_dir() and (path / "model.xml").is_file():
        result = path / "identification.json"
        people = People(source, _read_mjcf(path / "model.xml"), path, result if result.is_file() else None)
    else:
        folder, result = (path, path / "identification.json") if path.is_dir() else (path.parent, path)
        people = People(source, _from_identification(result), folder, result)
    try:
        check(people.spec.copy().compile())
    except ValueError as e:
        raise InputError(f"{source}: {in_one_line(e)}") from None
    return people


def _read_mjcf(path: Path) -> mujoco.MjSpec:
    try:
        return mujoco.MjSpec.from_file(str(path))
    except ValueError as e:
        raise InputError(f"{path}: is not an MJCF model ({in_one_line(e)}); export it again") from None


def _from_identification(path: Path) -> mujoco.MjSpec:
    from mjx_msm.knowledge.result import Identification

    result = Identification.load(path)
    with tempfile.TemporaryDirectory() as folder:
        return _read_mjcf(result.export(Path(folder) / "model.xml"))
