"""Who the episodes happen to: the point estimate of an identified subject, and draws from its posterior.

A drawn person is a body and the excitation that goes with it, as in the environments: see `mjx_msm.envs.human.own_emg`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.own_emg import OwnExcitation, own_excitation
from mjx_msm.envs.human.people import MISSES, People, with_native_muscles
from mjx_msm.envs.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody, in plain NumPy: another process takes it without importing JAX."""

    body: Any
    """Like `Parameters`, for the option "person" of an environment's reset."""
    recorded: Float[np.ndarray, "period muscle"] | None = None
    """For the option "recorded", where a recording is replayed that is not the nominal person's."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """Everybody that is to be tried."""

    point: Person
    drawn: tuple[Person, ...]
    parameters: tuple[str, ...]
    """Paths of the estimated parameters."""
    values: Float[np.ndarray, "person parameter"]
    """Of everybody drawn."""
    notes: tuple[str, ...] = ()


def gather(people: People, task: Task, count: int, seed: int) -> Crowd:
    """The point estimate and `count` draws of the people behind a task.

    The draws saved with the result are taken in their order, so that a person's number is that of the environment's
    own option "person"; where more are wanted than there are, all are drawn anew with `seed`.

    **Raises:** `InputError` if there is no posterior to draw from, or more are wanted than go through the recording.
    """
    import jax

    if people.result is None:
        raise InputError(
            f"{people.source} has no posterior to draw people from: only an identified subject has one; give --subject "
            "a folder written by `mjx-msm identify`"
        )
    result = people.identification
    model = result.model()
    if result.completed and count > len(result.samples):
        raise InputError(
            f"people = {count}: {len(result.samples)} people drawn from {people.source} go through its recording; ask "
            "for no more"
        )
    saved = np.array(result.samples)[:count] if count <= len(result.samples) else result.sample(count, seed)
    space = result.space(model)
    everyone = with_native_muscles(
        model, _unpacked(space, np.concatenate([[result.z], saved])), result.personalised(model)
    )
    bodies = [_plain(jax.tree.map(lambda x, i=i: x[i], everyone)) for i in range(count + 1)]
    own = OwnExcitation(None)
    if task.recording is not None:
        own = own_excitation(result, saved, task.recording, task.world.muscles, task.period)
    recorded = [None] * count if own.table is None else own.table
    drawn = tuple(Person(body, x) for body, x in zip(bodies[1:], recorded, strict=True))
    values = np.array([space.physical(z) for z in saved])
    notes = (MISSES if result.misses_recording else None, own.note)
    return Crowd(Person(bodies[0]), drawn, tuple(space.paths), values, tuple(n for n in notes if n))


def _unpacked(space: Any, draws: Float[np.ndarray, "person free"]) -> Any:
    import jax

    from mjx_msm.common.compiled import float64

    with float64():
        return jax.tree.map(np.asarray, jax.vmap(space.unpack)(draws))


def _plain(person: Any) -> SimpleNamespace:
    groups = {name: SimpleNamespace(**vars(getattr(person, name))) for name in ("muscle", "body", "joint")}
    names = person.names
    return SimpleNamespace(
        names=SimpleNamespace(muscle=tuple(names.muscle), body=tuple(names.body), joint=tuple(names.joint)), **groups
    )
