"""People and their population at once: everybody identified anew with what all of them lead to expect, in turns.

What a person's recordings say is taken as normal about their estimate (`Identification.likelihood`). Where a model
bends, that holds near the estimate only, and the first ones, made with the usual priors, may be far from where the
population puts them. So estimates and population take turns, as in the alternating algorithms of nonlinear mixed
effects (Lindstrom and Bates 1990, doi 10.2307/2532087).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

from mjx_msm.common.blas_threads import one_blas_thread
from mjx_msm.common.errors import InputError
from mjx_msm.common.executors.executor import Executor
from mjx_msm.identification.cohort import identify_many
from mjx_msm.knowledge.hierarchy import TURNS
from mjx_msm.knowledge.population import Population, learned
from mjx_msm.knowledge.records import Outcome
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.turns import in_turns
from mjx_msm.person.model import Model
from mjx_msm.recordings.settings import Options, Settings, with_options
from mjx_msm.recordings.trial import Trial

_People = tuple[Population, dict[str, Identification | InputError]]


@with_options()
@one_blas_thread
def identify_population(
    model: Model,
    cohort: Mapping[str, Trial | Sequence[Trial]],
    traits: Mapping[str, Mapping[str, float | str]] | None = None,
    *,
    name: str = "population",
    rounds: int = TURNS,
    workers: int | None = None,
    executor: str | Executor | None = None,
    settings: Settings | None = None,
    **options: Unpack[Options],
) -> tuple[Population, dict[str, Identification | InputError]]:
    """`mjx_msm.identify_many`, and the population that the people make.

    **Arguments:** `traits`: by subject, any of height [m], mass [kg], age [years] and sex. `name`: of the population.
    `rounds`: how often everybody is identified anew, unless the average person stands before
    (`mjx_msm.knowledge.hierarchy.STANDS`). The others as in `identify_many`.

    **Returns:** the population, and everybody as their own recordings and it see them, in the order given; where a
    subject's recordings cannot be used, in whichever turn that was, the error.

    **Raises:** `InputError` if too few can be identified, or an option cannot be used. `KeyboardInterrupt` goes
    through: half of the people are another population.
    """
    asked, known = Settings.of(settings, options), traits or {}
    if rounds < 0:
        raise InputError(f"rounds = {rounds}; give 0, or how often everybody is to be identified anew")

    def found_with(each: Mapping[str, Options]) -> _People:
        found = identify_many(model, cohort, workers=workers, executor=executor, each=each, settings=asked)
        if len(found) < len(cohort) or any(_ended(r, Outcome.INTERRUPTED) for r in found.values()):
            raise KeyboardInterrupt
        return learned({who: r for who, r in found.items() if isinstance(r, Identification)}, known, name=name), found

    def turn(people: _People, population: Population, number: int) -> _People:
        return found_with({who: {"prior": population.expected(**known.get(who, {}))} for who in cohort})

    population, found = in_turns(found_with({}), lambda people: people[0], turn, rounds)
    return population, {who: _seen(population, who, r, known.get(who, {})) for who, r in found.items()}


def _ended(result: Identification | InputError, outcome: Outcome) -> bool:
    return isinstance(result, Identification) and result.outcome is outcome


def _seen(
    population: Population, who: str, result: Identification | InputError, traits: Mapping[str, float | str]
) -> Identification | InputError:
    if isinstance(result, InputError):
        return result
    if not result.outcome.usable:
        return InputError(f"subject '{who}': {result.outcome.value}")
    return population.shrunk(result, **traits)
