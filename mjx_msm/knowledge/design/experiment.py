"""A session designed: `design_experiment`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import array, number, of_kind, whole
from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputError, one_of
from mjx_msm.knowledge.design.bench import Bench
from mjx_msm.knowledge.design.comfort import Comfort
from mjx_msm.knowledge.design.criterion import CRITERIA
from mjx_msm.knowledge.design.forecast import forecast
from mjx_msm.knowledge.design.information import ANGLE_NOISE, BATCH
from mjx_msm.knowledge.design.search import Listener, Search
from mjx_msm.knowledge.design.session import Design
from mjx_msm.person.model import Model, check_model
from mjx_msm.person.payload import Grip
from mjx_msm.person.space import ParameterSpace


@one_blas_thread
def design_experiment(
    model: Model,
    space: ParameterSpace,
    budget: int = 1000,
    *,
    trials: int = 4,
    duration: float = 2.0,
    criterion: str = "worst",
    angle_noise: float = ANGLE_NOISE,
    rate: float = 100.0,
    payloads: Sequence[float] = (0.0,),
    grip: Grip | None = None,
    comfort: Comfort | None = None,
    emg_map: Mapping[str, Mapping[str, float]] | None = None,
    z: Float[np.ndarray, "free"] | None = None,
    known: Float[np.ndarray, "free free"] | None = None,
    seed: int = 0,
    listener: Listener | None = None,
) -> Design:
    """Choose excitations, starting postures and payloads whose recording tells most about the unknowns.

    **Arguments:**

    - `space`: the unknowns and what is known of them before: its priors.
    - `budget`: candidate trials to simulate.
    - `trials`, `duration`: how many, and how long each [s].
    - `criterion`: ``"worst"``: the widest relative 95 % interval; ``"D"``: the information gained over all unknowns.
    - `angle_noise`: assumed standard deviation of a measured angle [rad]. `rate`: of the recording [Hz].
    - `payloads`: masses to choose from [kg]. `grip`: where they are held, by default at the model's site ``hand``.
    - `comfort`: what may be asked of the person.
    - `emg_map`: muscle to {channel: weight}; by default every muscle can be excited by itself.
    - `z`: the subject to design for, by default the prior mean.
    - `known`: information at hand, of recordings made already (see `information`).
    - `listener`: told after every batch. A `KeyboardInterrupt` keeps the best so far.

    **Returns:** a `Design`. The same seed gives the same design.

    **Raises:** `InputError` if an argument is out of range, or nothing that stays within `comfort` can be found.
    """
    check_model(model)
    one_of("criterion", criterion, CRITERIA)
    of_kind("space", space, ParameterSpace, "parameter_space makes one")
    whole("trials", trials, 1)
    for what, value in (("duration", duration), ("rate", rate), ("angle_noise", angle_noise)):
        number(what, value)
    if not isinstance(payloads, Sequence) or isinstance(payloads, str):
        raise InputError(f"payloads must be a list of masses [kg], got {payloads!r}")
    payloads = [number("payloads", mass) for mass in payloads]
    comfort = Comfort() if comfort is None else of_kind("comfort", comfort, Comfort, "see mjx_msm.knowledge.design")
    if whole("budget", budget) < 4 * BATCH:
        raise InputError(f"budget = {budget} candidates is too small to choose from; give at least {4 * BATCH}")
    bench = Bench(
        model.by_rk4, space, z=z, duration=duration, rate=rate, angle_noise=angle_noise, payloads=tuple(payloads),
        grip=grip, comfort=comfort, emg_map=emg_map,
    )  # fmt: skip
    start = np.zeros((space.size, space.size))
    if known is not None:
        start = array("known", known, start.shape, "one row an unknown")
    rng = np.random.default_rng(whole("seed", seed))
    search = Search(bench, criterion, trials, start, budget, rng, listener or (lambda p: None))
    search.run()
    runs = search.chosen
    each = np.array([r.information for r in runs])
    made = [bench.trial(f"design{k + 1}", r) for k, r in enumerate(runs)]
    return Design(
        trials=tuple(made),
        tasks=tuple(bench.task(t, r) for t, r in zip(made, runs, strict=True)),
        grip=bench.grip,
        forecast=forecast(space, start + each.sum(0), bench.z),
        informations=each,
        judged=tuple(p for p, known in zip(space.paths, search.score.judged, strict=True) if known),
        criterion=criterion,
        history=tuple(search.history),
        angle_noise=angle_noise,
        rate=rate,
        interrupted=search.interrupted,
    )
