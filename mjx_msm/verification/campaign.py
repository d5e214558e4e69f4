"""All people through all scenarios: what is to be run, checked before it is.

Everything random in an episode comes from its own child of the seed (`numpy.random.SeedSequence`), named by the
person's and the scenario's number: results depend neither on who computes them nor on the order. The point
estimate meets the same disturbances as every drawn person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mjx_msm.common.computed_by import code_digest, versions
from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.files import hash_of
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO
from mjx_msm.envs.motions.leg_motions import MOTIONS
from mjx_msm.envs.tasks.options import as_disturbance
from mjx_msm.verification.crowd import Crowd, gather
from mjx_msm.verification.episode import (
    JOINT,
    POINT,
    Episode,
    Stage,
    arguments_of,
    make_controller,
    make_environment,
    measures_of,
)
from mjx_msm.verification.scenario_file import load_plan
from mjx_msm.verification.scenarios import Plan, Violation

STOP_SCALE = 0.35
"""Excess over a joint's range that counts as much as reaching its end [rad]."""
PICTURE = ("camera", "width", "height")
SUBJECT_FILES = ("identification.json", "model.xml", "excitation.csv")


@dataclass(frozen=True, eq=False)
class Campaign:
    """What is to be run."""

    stage: Stage
    plan: Plan
    crowd: Crowd
    episodes: tuple[Episode, ...]
    seed: int
    setting: Mapping[str, Any]
    """Arguments of the environment, with what it takes where it is told nothing."""
    period: float
    """Of control [s]."""
    certain: tuple[bool, ...]
    """Of every scenario: whether the point estimate's episodes are all the same one; then there is one only."""
    configuration: Mapping[str, Any]
    """All that the results depend on, as the journal's first line."""


def environment_id(name: str) -> str:
    """The full name of one of our environments, which may be given without "mjx_msm/" and "-v0".

    **Raises:** `InputError` if there is none.
    """
    everything = (ARM_REACH, ARM_STRIKE, ARM_CO_TRANSPORT, KNEE_EXO)
    for known in everything:
        short = known.removeprefix("mjx_msm/")
        if name in (known, short, short.removesuffix("-v0")):
            return known
    raise InputError(f"environment '{name}' is not known{suggest(name, everything)}")


def prepare(
    environment: str,
    *,
    subject: str | Path,
    controller: str | Callable[[Any], Any],
    people: int = 200,
    scenarios: str | Path | None = None,
    seed: int = 0,
    trust: bool = False,
) -> Campaign:
    """Everything that a verification will run, checked; see `verify` for the arguments."""
    name = environment_id(environment)
    if people < 1:
        raise InputError(f"people = {people}; give one at least")
    if seed < 0:
        raise InputError(f"seed = {seed}; give 0 or a positive number")
    plan = load_plan(scenarios, name)
    known_arguments = arguments_of(name)
    for argument in plan.environment:
        if argument not in known_arguments:
            raise InputError(
                f"{scenarios} [environment]: {name} has no argument '{argument}'"
                f"{suggest(argument, known_arguments, limit=40)}"
            )
    env = make_environment(name, subject, plan.environment)
    found = env.task.people
    if found.result is None:
        raise InputError(
            f"{found.source} has no posterior to draw people from: only an identified subject has one; give a folder "
            "written by `mjx-msm identify`"
        )
    for scenario in plan.scenarios:
        try:
            as_disturbance({key: q.largest(key) for key, q in scenario.quantities.items()}, env.task)
        except InputError as error:
            raise InputError(f"{scenarios or name} [scenarios.{scenario.name}]: {error}") from None
    make_controller(controller, env, trust)
    known = measures_of(env)
    for violation in plan.violations:
        if violation.measure not in known:
            raise InputError(
                f"{scenarios} [violations.{violation.name}]: measure '{violation.measure}' is unknown"
                f"{suggest(violation.measure, known, limit=40)}"
            )
    crowd = gather(env.task.people, env.task, people, seed)
    violations = plan.violations + _ranges(env, plan)
    plan = Plan(plan.scenarios, violations, plan.environment, plan.seconds)
    steady = env.task.draws == 0 and not any(c.noise for c in env.task.observations)
    certain = tuple(steady and not s.random for s in plan.scenarios)
    stage = Stage(
        environment=name,
        arguments=plan.environment,
        subject=str(subject),
        controller=controller,
        violations=violations,
        seconds=plan.seconds,
        point=crowd.point,
        drawn=crowd.drawn,
        trust=trust,
    )
    configuration = {
        "environment": name,
        "controller": _named(controller),
        "people": people,
        "seed": seed,
        "subject": {file: _digest(found.folder, file) for file in dict.fromkeys((*SUBJECT_FILES, found.result.name))},
        "plan": plan.plain(),
        "code": code_digest(),
        "versions": versions(),
    }
    episodes = tuple(_episodes(plan, people, seed, certain))
    setting = _setting(env, known_arguments, plan.environment)
    return Campaign(stage, plan, crowd, episodes, seed, setting, env.task.period, certain, configuration)


def _episodes(plan: Plan, people: int, seed: int, certain: Sequence[bool]) -> Iterator[Episode]:
    chances = np.array([s.probability or 0.0 for s in plan.scenarios])
    number = 0
    for person in range(people):
        which: Sequence[int] = range(len(plan.scenarios))
        if plan.mixed:
            lot = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(person,)))
            which = [int(lot.choice(len(chances), p=chances / chances.sum()))]
        for scenario in which:
            child = np.random.SeedSequence(seed, spawn_key=(person, scenario))
            disturbance = plan.scenarios[scenario].draw(np.random.default_rng(child))
            of_env = int(child.generate_state(1)[0])
            yield Episode(number, person, scenario, of_env, disturbance)
            if person == 0 or not certain[scenario] or plan.mixed:
                yield Episode(number + 1, POINT, scenario, of_env, disturbance)
            number += 2


def _setting(env: Any, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What holds in an environment by its arguments, given or not; pictures have no part in it."""
    out = {name: given.get(name, value) for name, value in defaults.items() if name not in PICTURE}
    for name, value in out.items():
        made = getattr(env.task, name, None)
        if (value is None or isinstance(value, Mapping)) and is_dataclass(made):  # completed by the task
            out[name] = {f.name: _word(getattr(made, f.name)) for f in fields(made)}
    if "task" in out:
        out["task"] = next((name for name, motion in MOTIONS.items() if motion is env.task.reference), "walk")
    if "strength" in out and out["strength"] is None:
        out["strength"] = env.task.human.strength
    return out


def _word(value: Any) -> Any:
    """A number or word as it is, and of anything larger what it is."""
    return value if value is None or isinstance(value, bool | int | float | str) else type(value).__name__


def _ranges(env: Any, plan: Plan) -> tuple[Violation, ...]:
    """Leaving the range of a joint that is free to move, unless the plan has its own word on that joint."""
    from mjx_msm.person.inspection import coordinate_range

    model = env.task.people.identification.model()
    said = {v.measure for v in plan.violations}
    out = []
    for name in model.coordinates:
        low, high = coordinate_range(model, name)
        if np.isfinite(high - low) and name not in env.task.led and f"{JOINT}{name}" not in said:
            out.append(Violation(f"{name} out of range", f"{JOINT}{name}", high, low, scale=STOP_SCALE, unit="rad"))
    return tuple(out)


def _named(controller: str | Callable[[Any], Any]) -> str:
    """A controller in words that change when it does, as far as can be told."""
    if callable(controller):
        return f"{controller.__module__}.{controller.__qualname__}"
    path = Path(controller)
    return f"{path.name} {_digest(path.parent, path.name)}" if path.is_file() else str(controller)


def _digest(folder: Path | None, name: str) -> str:
    path = (folder or Path()) / name
    return hash_of(path) if path.is_file() else ""
