"""People and their population at once: everybody identified anew with what all of them lead to expect, in turns.

What a person's recordings say is taken as normal about their estimate (`Identification.likelihood`). Where a model
bends, that holds near the estimate only, and the first ones, made with the usual priors, may be far from where the
population puts them. So estimates and population take turns, as in the alternating algorithms of nonlinear mixed
effects (Lindstrom and Bates 1990, doi 10.2307/2532087).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from mjx_msm.common.errors import InputError
from mjx_msm.common.executors.executor import Executor
from mjx_msm.identification.cohort import identify_many
from mjx_msm.knowledge.population import Population, learned
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.trial import Trial

ROUNDS = 2
"""How often everybody is identified anew."""


@with_options()
def identify_population(
    model: Model,
    cohort: Mapping[str, Trial | Sequence[Trial]],
    traits: Mapping[str, Mapping[str, float | str]] | None = None,
    *,
    name: str = "population",
    rounds: int = ROUNDS,
    workers: int | None = None,
    executor: str | Executor | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> tuple[Population, dict[str, Identification]]:
    """`mjx_msm.identify_many`, and the population that the people make.

    **Arguments:** `traits`: by subject, any of height [m], mass [kg], age [years] and sex. `name`: of the population.
    `rounds`: how often everybody is identified anew. The others as in `identify_many`.

    **Returns:** the population, and everybody as their own recordings and it see them; who could not be identified is
    left out.

    **Raises:** `InputError` if too few can be identified, or an option cannot be used.
    """
    asked, known = Settings.of(settings, options), traits or {}
    if rounds < 0:
        raise InputError(f"rounds = {rounds}; give 0, or how often everybody is to be identified anew")

    def turn(each: Mapping[str, Options]) -> tuple[Population, dict[str, Identification]]:
        found = identify_many(model, cohort, workers=workers, executor=executor, each=each, settings=asked)
        results = {who: r for who, r in found.items() if isinstance(r, Identification)}
        return learned(results, known, name=name), results

    population, results = turn({})
    for _ in range(rounds):
        expected = {who: population.expected(**known.get(who, {})) for who in results}
        population, results = turn({who: {"prior": e} for who, e in expected.items()})
    return population, {who: population.shrunk(r, **known.get(who, {})) for who, r in results.items()}
