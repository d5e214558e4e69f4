"""One person through one scenario: what is to be run, and how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.envs import task_of
from mjx_msm.envs.adapters.single import TaskEnv
from mjx_msm.envs.tasks.arguments import arguments_of as task_arguments
from mjx_msm.verification.crowd import Person
from mjx_msm.verification.scenarios import BEYOND, FAILED, Violation

POINT = -1
"""In the place of a person's number: the point estimate."""
JOINT = "joint/"
"""Before the name of a coordinate: its position, as a measure."""


class Episode(NamedTuple):
    """What is to be run."""

    number: int
    person: int
    """Which of the drawn, or `POINT`."""
    scenario: int
    seed: int
    """Of the environment's reset."""
    disturbance: Mapping[str, float]


class Course(NamedTuple):
    """How an episode went."""

    number: int
    periods: int
    margins: tuple[float, ...]
    """Of every violation, see `Violation`."""
    values: tuple[float, ...]
    violated: tuple[bool, ...]
    summary: Mapping[str, float]
    """The environment's own, over the whole episode."""

    def plain(self) -> dict[str, Any]:
        return {**self._asdict(), "margins": list(self.margins), "summary": dict(self.summary)}

    @staticmethod
    def restored(data: Mapping[str, Any]) -> Course:
        """From `plain`."""
        lists = {name: tuple(data[name]) for name in ("margins", "values", "violated")}
        return Course(int(data["number"]), int(data["periods"]), **lists, summary=data["summary"])


@dataclass(frozen=True)
class Stage:
    """All that another process needs to run episodes."""

    environment: str
    arguments: Mapping[str, Any]
    subject: str
    controller: str | Callable[[Any], Any]
    """Name of one of `mjx_msm.envs.controllers`, or what makes one for an environment."""
    violations: tuple[Violation, ...]
    seconds: float
    point: Person
    drawn: tuple[Person, ...]
    trust: bool = False
    """Whether a policy's file may be unpickled."""


Watcher = Callable[[Any, Mapping[str, float]], None]
"""Called with the environment and the measures of every period."""


class Rehearsal:
    """An environment and its controller, made once, for many episodes."""

    def __init__(self, stage: Stage, **picture: Any):
        self._stage = stage
        self.env = make_environment(stage.environment, stage.subject, stage.arguments, **picture)
        self._control = make_controller(stage.controller, self.env, stage.trust)
        self._joints = person_joints(self.env)
        self.longest = max(1, round(stage.seconds / self.env.task.period))
        """Control periods of the longest episode."""

    def run(self, episode: Episode, watch: Watcher | None = None) -> Course:
        """Run an episode to its end."""
        stage, env = self._stage, self.env
        person = stage.point if episode.person == POINT else stage.drawn[episode.person]
        options = {"person": person.body, "recorded": person.recorded, "disturbance": dict(episode.disturbance)}
        observation, _ = env.reset(seed=episode.seed, options=options)
        self._control.reset()
        wanted = {v.measure: [] for v in stage.violations}
        periods, over = 0, False
        while not over and periods < self.longest:
            observation, _, terminated, truncated, info = env.step(self._control(observation))
            periods, over = periods + 1, terminated or truncated
            measures = self._measures(info)
            for name, seen in wanted.items():
                if name in measures:
                    seen.append(measures[name])
            if watch is not None:
                watch(env, measures)
        found = [v.worst(_series(wanted[v.measure]), env.task.period) for v in stage.violations]
        margins, values, violated = zip(*found, strict=True)
        return Course(episode.number, periods, margins, values, violated, env.summary())

    def _measures(self, info: Mapping[str, Any]) -> dict[str, float]:
        if "failure" in info:  # a state that is not a number has no other measures
            return {FAILED: BEYOND}
        measures = {name: x for name, x in info.items() if isinstance(x, float)}
        measures[FAILED] = 0.0
        for name, address in self._joints.items():
            measures[name] = float(self.env.data.qpos[address])
        return measures


def rehearsed(stage: Stage) -> Callable[[Episode], Course]:
    """What runs the episodes of a stage: a worker of an executor makes it once."""
    return Rehearsal(stage).run


def _series(seen: list[float]) -> Float[np.ndarray, "period"]:
    """A measure that was never seen, because the first period failed, is not a number."""
    return np.array(seen or [np.nan])


def arguments_of(environment: str) -> dict[str, Any]:
    """What an environment can be told, and what it is if not told: of its task, and of its pictures."""
    every = {**task_arguments(TaskEnv), **task_arguments(task_of(environment))}
    return {name: x for name, x in every.items() if name not in ("subject", "sample_posterior", "render_mode")}


def make_environment(environment: str, subject: Any, arguments: Mapping[str, Any], **picture: Any) -> Any:
    """The environment itself, without Gymnasium's wrappers: an episode's length is ours."""
    import gymnasium

    return gymnasium.make(
        environment, disable_env_checker=True, max_episode_steps=-1, subject=subject, **arguments, **picture
    ).unwrapped


def make_controller(controller: str | Callable[[Any], Any], env: Any, trust: bool = False) -> Any:
    """A controller by name, or as somebody's own function makes it."""
    if callable(controller):
        return controller(env)
    from mjx_msm.envs.controllers import controller as named

    return named(controller, env, trust=trust)


def person_joints(env: Any) -> dict[str, int]:
    """The person's coordinates as measures, and where they are."""
    m = env.model
    return {f"{JOINT}{m.joint(j).name}": int(m.jnt_qposadr[j]) for j in range(env.task.world.person)}


def measures_of(env: Any) -> tuple[str, ...]:
    """What violations can be about."""
    _, info = env.reset(seed=0)
    return (*(name for name, x in info.items() if isinstance(x, float)), *person_joints(env), FAILED)
