"""All people through all scenarios, on every core; each finished episode goes into a journal.

Everything random in an episode comes from its own child of the seed (`numpy.random.SeedSequence`), named by the
person's and the scenario's number: results depend neither on who computes them nor on the order. The point
estimate meets the same disturbances as every drawn person.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, Any

import numpy as np

from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, KNEE_EXO
from mjx_msm.envs.people import find_people
from mjx_msm.errors import InputError
from mjx_msm.readers import suggest
from mjx_msm.verification.crowd import Crowd, gather
from mjx_msm.verification.episode import (
    JOINT,
    POINT,
    Course,
    Episode,
    Rehearsal,
    Stage,
    make_controller,
    make_environment,
    measures_of,
)
from mjx_msm.verification.findings import Verification
from mjx_msm.verification.scenarios import Plan, Violation, load_plan

JOURNAL = "journal.jsonl"
AT_A_TIME = 4
"""Episodes that a process is given at once."""
STOP_SCALE = 0.35
"""Excess over a joint's range that counts as much as reaching its end [rad]."""
SUBJECT_FILES = ("identification.json", "model.xml", "excitation.csv")

Listener = Callable[[int, int], None]
"""Told how many episodes are done, of how many."""


@dataclass(frozen=True, eq=False)
class Campaign:
    """What is to be run."""

    stage: Stage
    plan: Plan
    crowd: Crowd
    episodes: tuple[Episode, ...]
    seed: int
    certain: tuple[bool, ...]
    """Of every scenario: whether the point estimate's episodes are all the same one; then there is one only."""
    configuration: Mapping[str, Any]
    """All that the results depend on, as the journal's first line."""


def environment_id(name: str) -> str:
    """The full name of one of our environments, which may be given without "mjx_msm/" and "-v0".

    **Raises:** `InputError` if there is none.
    """
    everything = (ARM_REACH, ARM_CO_TRANSPORT, KNEE_EXO)
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
) -> Campaign:
    """Everything that a verification will run, checked; see `verify` for the arguments."""
    name = environment_id(environment)
    if people < 1:
        raise InputError(f"people = {people}; give one at least")
    if seed < 0:
        raise InputError(f"seed = {seed}; give 0 or a positive number")
    plan = load_plan(scenarios, name)
    found = find_people(subject, "knee")  # of a subject that exists, the asset does not matter
    if found.result is None:
        raise InputError(
            f"{found.source} has no posterior to draw people from: only an identified subject has one; give a folder "
            "written by `mjx-msm identify`"
        )
    try:
        env = make_environment(name, subject, plan.environment)
    except TypeError as error:
        raise InputError(f"{scenarios} [environment]: {str(error).split('() ')[-1]}; correct it") from None
    make_controller(controller, env)
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
    )
    configuration = {
        "environment": name,
        "controller": _named(controller),
        "people": people,
        "seed": seed,
        "subject": {file: _digest(found.folder, file) for file in SUBJECT_FILES},
        "plan": plan.plain(),
        "versions": {package: version(package) for package in ("mjx-msm", "mujoco", "numpy")},
    }
    episodes = tuple(_episodes(plan, people, seed, certain))
    return Campaign(stage, plan, crowd, episodes, seed, certain, configuration)


def verify(
    environment: str,
    *,
    subject: str | Path,
    controller: str | Callable[[Any], Any],
    out: str | Path,
    people: int = 200,
    scenarios: str | Path | None = None,
    seed: int = 0,
    workers: int | None = None,
    resume: bool = False,
    listener: Listener | None = None,
) -> Verification:
    """What can go wrong between a robot and a person who is known only so well.

    Draws from the subject's posterior meet every scenario's disturbance, and so does the point estimate.

    **Arguments:**

    - `environment`: one of ours, e.g. "KneeExo-v0".
    - `subject`: a folder written by ``mjx-msm identify``.
    - `controller`: the name of one, see `mjx_msm.envs.controllers`, or a function of the environment that makes one
      (of a module, so that other processes find it).
    - `out`: a folder for the journal; what is in it is kept, `resume` goes on from it.
    - `people`: how many to draw.
    - `scenarios`: a scenario file, see `mjx_msm.verification.scenarios`; by default the environment's own.
    - `seed`: of everything random.
    - `workers`: processes; by default one for every core. With 1 it is this one.
    - `listener`: told of every finished episode.

    **Raises:** `InputError` for anything that cannot be used; `KeyboardInterrupt` after an interrupt, with every
    finished episode in the journal.
    """
    campaign = prepare(
        environment, subject=subject, controller=controller, people=people, scenarios=scenarios, seed=seed
    )
    return run(campaign, out, workers=workers, resume=resume, listener=listener)


def run(
    campaign: Campaign,
    out: str | Path,
    *,
    workers: int | None = None,
    resume: bool = False,
    listener: Listener | None = None,
) -> Verification:
    """Run what is left of a campaign, and say what came of all of it."""
    count = workers if workers is not None else _cores()
    if count < 1:
        raise InputError(f"workers = {count}; give one at least")
    with _journal(Path(out), campaign.configuration, resume) as (done, file):
        left = [e for e in campaign.episodes if e.number not in done]
        total = len(campaign.episodes)
        if listener is not None:
            listener(len(done), total)
        for course in _courses(campaign.stage, left, min(count, max(1, len(left)))):
            done[course.number] = course
            file.write(json.dumps(course.plain()) + "\n")
            file.flush()
            os.fsync(file.fileno())
            if listener is not None:
                listener(len(done), total)
    return Verification.of(campaign, [done[e.number] for e in campaign.episodes])


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


def _ranges(env: Any, plan: Plan) -> tuple[Violation, ...]:
    """Leaving the range of a joint that is free to move, unless the plan has its own word on that joint."""
    from mjx_msm.synthetic import coordinate_range

    model = env.task.people.identification.model()
    led = {env.model.joint(int(j)).name for j in getattr(env.task, "_led", ())}
    said = {v.measure for v in plan.violations}
    out = []
    for name in model.coordinates:
        low, high = coordinate_range(model, name)
        if np.isfinite(high - low) and name not in led and f"{JOINT}{name}" not in said:
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
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


# The journal -----------------------------------------------------------------------------------------------


@contextmanager
def _journal(
    folder: Path, configuration: Mapping[str, Any], resume: bool
) -> Iterator[tuple[dict[int, Course], IO[str]]]:
    """What is already done, and the file to go on with."""
    path = folder / JOURNAL
    wanted = json.loads(json.dumps(configuration))
    done: dict[int, Course] = {}
    try:
        if path.is_file():
            if not resume:
                raise InputError(f"{folder} holds a verification; --resume goes on with it, or choose another folder")
            done, size = _read(path, wanted)
            os.truncate(path, size)  # a line that was cut off by the interruption
        else:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    with file:
        yield done, file


def _read(path: Path, wanted: Mapping[str, Any]) -> tuple[dict[int, Course], int]:
    """Finished episodes of a journal, and the length of its whole lines [bytes]."""
    content = path.read_bytes()
    size = content.rfind(b"\n") + 1
    lines = content[:size].decode("utf-8").splitlines()
    try:
        first, *rest = (json.loads(line) for line in lines)
        courses = [Course.restored(data) for data in rest]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is damaged; choose another folder") from None
    for key, value in wanted.items():
        if first.get(key) != value:
            raise InputError(
                f"{path} is of another verification: {_difference(key, first.get(key), value)}; choose another folder"
            )
    return {c.number: c for c in courses}, size


def _difference(key: str, before: Any, now: Any) -> str:
    """Where two configurations part, by name."""
    if isinstance(before, dict) and isinstance(now, dict):
        for inner in dict.fromkeys((*before, *now)):
            if before.get(inner) != now.get(inner):
                return _difference(f"{key}.{inner}", before.get(inner), now.get(inner))
    return f"{key} was {_short(before)}, now {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


# Processes -------------------------------------------------------------------------------------------------


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _courses(stage: Stage, episodes: Sequence[Episode], workers: int) -> Iterator[Course]:
    """Every episode's course, in the order they end."""
    if not episodes:
        return
    if workers == 1:
        rehearsal = Rehearsal(stage)
        for episode in episodes:
            yield rehearsal.run(episode)
        return
    # "spawn": a fork of a process in which JAX has threads may hang
    context = multiprocessing.get_context("spawn")
    queue = [list(episodes[i : i + AT_A_TIME]) for i in range(0, len(episodes), AT_A_TIME)][::-1]
    processes: dict[Any, Any] = {}
    try:
        for _ in range(min(workers, len(queue))):
            ours, theirs = context.Pipe()
            processes[ours] = context.Process(target=_work, args=(stage, theirs), daemon=True)
            processes[ours].start()
            theirs.close()
        busy = set(processes)
        for connection in processes:
            connection.send(queue.pop())
        while busy:
            for connection in wait(list(busy)):
                message = _received(connection, processes[connection])
                if message is not None:
                    yield message
                elif queue:
                    connection.send(queue.pop())  # type: ignore[attr-defined]
                else:
                    busy.remove(connection)
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.join()


def _received(connection: Any, process: Any) -> Course | None:
    """What a process sends: a course, or None at the end of its batch."""
    try:
        message = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise RuntimeError(f"a process that ran episodes ended by itself (exit code {process.exitcode})") from None
    if isinstance(message, BaseException):
        raise message
    return message


def _work(stage: Stage, connection: Connection) -> None:
    """Of another process: batches of episodes come in, their courses go out, None after each batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    warnings.simplefilter("ignore")  # what they would say, they say once in the parent's preparation
    try:
        rehearsal = Rehearsal(stage)
        while True:
            batch = connection.recv()
            for episode in batch:
                connection.send(rehearsal.run(episode))
            connection.send(None)
    except (EOFError, BrokenPipeError):  # the parent has gone
        pass
    except Exception as error:
        connection.send(error)
