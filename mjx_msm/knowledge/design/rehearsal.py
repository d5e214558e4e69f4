"""A person who does exactly what a session asks, simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError
from mjx_msm.knowledge.design.physics import moved
from mjx_msm.knowledge.design.task import Task
from mjx_msm.person.model import Model, check_model
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.payload import Grip, parameters_with_payload, with_payload
from mjx_msm.recordings.model_clock import mixing_matrix
from mjx_msm.recordings.trial import Trial


def perform(
    model: Model,
    person: Parameters,
    tasks: Sequence[Task],
    *,
    angle_noise: float = 0.0,
    seed: int = 0,
    emg_map: Mapping[str, Mapping[str, float]] | None = None,
    grip: Grip | None = None,
) -> tuple[Trial, ...]:
    """Simulate a person who does exactly what is asked: to rehearse a session, or to compare it with one made by hand.

    **Arguments:** `angle_noise`: standard deviation of white noise on the free coordinates [rad]; without it trials
    hold the exact velocities. `emg_map`, `grip`: as of `design_experiment`.

    **Returns:** trials on the clocks of the tasks.

    **Raises:** `InputError` if the person's motion does not stay finite, or a task does not fit the model.
    """
    check_model(model)
    model = model.by_rk4
    mapping = emg_map or {m: {m: 1.0} for m in model.muscles}
    rng, free, out = np.random.default_rng(seed), model.host.free_index, []
    loaded = with_payload(model, 1.0, grip) if any(t.payload for t in tasks) else model
    used = [c for c in range(len(model.coordinates)) if model.coordinates[c] not in model.host.locked]
    for task in tasks:
        if not set(task.posture) <= set(model.coordinates):
            raise InputError(f"task '{task.name}': its posture names coordinates the model does not have; rename them")
        values = {**model.host.locked, **task.posture}
        start = [values.get(c, q) for c, q in zip(model.coordinates, model.host.reference, strict=True)]
        steps = (task.time - task.time[0]) / model.timestep
        index = np.rint(steps).astype(int)
        if np.abs(steps - index).max() > 1e-6:
            raise InputError(f"task '{task.name}': its samples are not on the model's clock of {model.timestep:g} s")
        clock = task.time[0] + model.timestep * np.arange(index[-1] + 1)
        envelope = np.stack([np.interp(clock, task.time, u) for u in task.excitation.T], -1)
        own = person if person.names.emg else person.with_channels(task.channels)
        own = parameters_with_payload(own, loaded, task.payload) if loaded is not model else own
        with float64():
            motion = moved(
                loaded, own, envelope[None], mixing_matrix(model, task.channels, mapping), np.array([start])
            )  # fmt: skip
        q, v, failed = (np.asarray(x)[0] for x in motion)
        if failed >= 0:
            raise InputError(f"task '{task.name}': the motion is not finite after {failed * model.timestep:.3g} s")
        q = q.copy()
        q[:, free] += angle_noise * rng.standard_normal((len(q), len(free)))
        out.append(
            Trial(
                name=task.name,
                time=task.time,
                coordinates=tuple(model.coordinates[c] for c in used),
                position=q[index][:, used],
                velocity=v[index][:, used] if angle_noise == 0 else None,
                channels=task.channels,
                emg=task.excitation,
                metadata={"payload": task.payload} if task.payload else {},
            )
        )
    return tuple(out)
