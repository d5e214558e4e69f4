"""Who the episodes happen to: the point estimate of an identified subject, and draws from its posterior.

A drawn person is a body and the excitation that goes with it. Where an environment replays a recording, the posterior
of the EMG's gain, shape and delay is correlated with that of the muscles: what is replayed is the recorded envelope
through the drawn person's own channels, not the point estimate's excitation in another body.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.human import Replay
from mjx_msm.envs.people import People, with_native_muscles
from mjx_msm.envs.references import EXCITATION_FILE, Recording
from mjx_msm.envs.task import Task
from mjx_msm.errors import InputError


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody, in plain NumPy: another process takes it without importing JAX."""

    body: Any
    """Like `Parameters`, for the option "person" of an environment's reset."""
    table: Float[np.ndarray, "period muscle"] | None
    """Excitation in every control period, where the environment replays a recording."""


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

    **Raises:** `InputError` if there is no posterior to draw from.
    """
    import jax

    if people.result is None:
        raise InputError(
            f"{people.source} has no posterior to draw people from: only an identified subject has one; give --subject "
            "a folder written by `mjx-msm identify`"
        )
    result = people.identification
    model = result.model()
    saved = np.array(result.samples)[:count] if count <= len(result.samples) else result.sample(count, seed)
    space = result.space(model)
    everyone = with_native_muscles(model, _unpacked(space, np.concatenate([[result.z], saved])))
    tables, notes = _tables(people, task, result, model, everyone)
    persons = [
        Person(_plain(jax.tree.map(lambda x, i=i: x[i], everyone)), None if tables is None else tables[i])
        for i in range(count + 1)
    ]
    values = np.array([space.physical(z) for z in saved])
    return Crowd(persons[0], tuple(persons[1:]), tuple(space.paths), values, notes)


def _unpacked(space: Any, draws: Float[np.ndarray, "person free"]) -> Any:
    import jax

    from mjx_msm.compiled import float64

    with float64():
        return jax.tree.map(np.asarray, jax.vmap(space.unpack)(draws))


def _plain(person: Any) -> SimpleNamespace:
    groups = {name: SimpleNamespace(**vars(getattr(person, name))) for name in ("muscle", "body", "joint")}
    names = person.names
    return SimpleNamespace(
        names=SimpleNamespace(muscle=tuple(names.muscle), body=tuple(names.body), joint=tuple(names.joint)), **groups
    )


def _tables(
    people: People, task: Task, result: Any, model: Any, everyone: Any
) -> tuple[list[Float[np.ndarray, "period muscle"]] | None, tuple[str, ...]]:
    """Everybody's excitation, the point estimate's first, if the task replays a recording; and what to say of it."""
    human = getattr(task, "human", None)
    if human is None or not isinstance(human.intent, Replay) or people.folder is None:
        return None, ()
    from mjx_msm.recording import mixing_matrix

    recording = Recording.read(Path(people.folder) / EXCITATION_FILE)
    mixing = mixing_matrix(model, result.channels, result.emg_map)
    own = recording.table(task.world.muscles, task.period)
    if not result.channels or np.linalg.matrix_rank(mixing) < mixing.shape[1]:
        note = "muscles share EMG channels in a way that cannot be undone: everybody replays the point estimate's EMG"
        return [own] * len(everyone.joint.damping), ((note,) if result.channels else ())
    columns = [recording.muscles.index(name) for name in model.muscles]
    drawn = _excitations(recording.time, recording.excitation[:, columns], mixing, everyone.emg)
    tables = [
        Recording(recording.time, model.muscles, x, recording.position, recording.source).table(
            task.world.muscles, task.period
        )
        for x in drawn
    ]
    return tables, ()


def _excitations(
    time: Float[np.ndarray, "time"],
    excitation: Float[np.ndarray, "time muscle"],
    mixing: Float[np.ndarray, "muscle channel"],
    emg: Any,
) -> Float[np.ndarray, "person time muscle"]:
    """What everybody's muscles get from the envelope behind the excitation of the first.

    The first one's EMG model is undone: muscles to channels by least squares, then shape and gain; then each applies
    his own. Where the first one's signal is full, the envelope is taken to be just that high.
    """
    import jax

    from mjx_msm.compiled import float64
    from mjx_msm.excitation import excitation as through
    from mjx_msm.parameters import EmgParameters

    gain, delay, shape = (np.asarray(getattr(emg, name)) for name in ("gain", "delay", "shape"))
    step = float(np.mean(np.diff(time)))
    signal = np.clip(excitation @ np.linalg.pinv(mixing).T, 0.0, 1.0)
    bent = np.abs(shape[0]) > 1e-3
    safe = np.where(bent, shape[0], 1.0)
    signal = np.where(bent, np.log1p(signal * np.expm1(safe)) / safe, signal)
    envelope = signal / gain[0]
    with float64():
        own = jax.vmap(lambda g, d, a: through(EmgParameters(g, d, a), envelope, mixing, step))
        return np.asarray(own(gain, delay - delay[0], shape))
