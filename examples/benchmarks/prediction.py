"""How well a person's torque and angle are known ahead of time, live, and how long a sample takes.

    python examples/benchmarks/prediction.py [--quick] [--only walks|people|latency] [--json FILE]

Each treadmill walk is streamed sample by sample, 100 a second as recorded, to a person identified from the other walk
alone. Beside the predictor stand the generic model in the same predictor, a linear regression and a neural network
(two hidden layers of 64, Adam) on what the predictor reads: envelopes now, 20, 50 and 100 ms ago, angles and their
backward differences; and that nothing changes, or angles go on as they do. They learn from the walk that the person
is identified from. Synthetic people walk as was recorded, with moments of their own, which the same model makes: what
these rows say is how well a person is found and followed, not whether the model is right. Latency is of one sample at
1 kHz, on one core; CEINMS-RT's published figure is 0.30 ± 0.65 ms a frame of 13 muscles (Durandau 2018), which looks at
no moment but the present.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.common.compiled import float64
from mjx_msm.common.toml_tables import read_toml
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.prediction.extrapolation import EARLIER
from mjx_msm.prediction.known_person import KnownPerson
from mjx_msm.prediction.predictor import DRAWS
from mjx_msm.recordings.model_clock import record
from mjx_msm.recordings.subject_file.loading import Study, study_of
from mjx_msm.recordings.trial import reordered
from mjx_msm.study.settings import settings, study_model, study_space

FILE = Path(__file__).resolve().parents[1] / "treadmill" / "subject.toml"
HORIZONS = (0.05, 0.1, 0.2)
RATE = 100.0
SETTLE = 2.0
"""Of a stream, not judged [s]."""
PEOPLE, LEARNT = 20, 20.0
"""Synthetic ones, and how long they walk at either speed [s]."""
APART, NOISE = 0.3, 1.0
"""Of people, in standard deviations of the subject file's priors; of their recorded moments [N·m]."""


def study() -> Study:
    """The subject file's, on the recordings' own clock."""
    document = dict(read_toml(FILE, "subject file"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study_of({**document, "identify": {**document["identify"], "rate": RATE}}, FILE)


class Stream:
    """A trial as samples, with what regressions read of it."""

    def __init__(self, trial: msm.Trial, coordinates: tuple[str, ...], channels: tuple[str, ...]):
        known = np.isfinite(trial.position).all(axis=1) & np.isfinite(trial.emg).all(axis=1)
        self.time = trial.time[known]
        self.emg = trial.emg[known][:, [trial.channels.index(c) for c in channels]]
        self.angle = trial.position[known][:, [trial.coordinates.index(c) for c in coordinates]]
        assert trial.moment is not None
        self.moment = trial.moment[known, 0]
        at, step = np.arange(len(self.time)), trial.timestep
        past = [self.emg[np.maximum(at - round(ago / step), 0)] for ago in EARLIER]
        rate = np.diff(self.angle, axis=0, prepend=self.angle[:1]) / step
        self.features = np.concatenate([*past, self.angle, rate], axis=1)
        self.rate = rate

    def targets(self, knee: int, steps: int) -> np.ndarray:
        """Moment and knee angle `steps` later; the last ones are missing."""
        both = np.stack([self.moment, self.angle[:, knee]], axis=1)
        return both[steps:]


def linear(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    a = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    w = np.linalg.solve(a.T @ a + 1e-3 * len(a) * np.eye(a.shape[1]), a.T @ y)
    return np.column_stack([(asked - mean) / spread, np.ones(len(asked))]) @ w


def network(x: np.ndarray, y: np.ndarray, asked: np.ndarray, epochs: int = 200) -> np.ndarray:
    """The mean of three, the last fifth of the walk telling when to stop."""
    mean, spread, offset, scale = x.mean(axis=0), x.std(axis=0) + 1e-9, y.mean(axis=0), y.std(axis=0)
    z, t, last = (x - mean) / spread, (y - offset) / scale, len(x) * 4 // 5
    said = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        sizes = (z.shape[1], 64, 64, t.shape[1])
        weights = [(rng.normal(size=(a, b)) / np.sqrt(a), np.zeros(b)) for a, b in pairwise(sizes)]
        orders = np.stack([rng.permutation(last)[: last // 64 * 64].reshape(-1, 64) for _ in range(epochs)])
        kept = _trained(weights, orders, z[:last], t[:last], z[last:], t[last:])
        said.append(np.asarray(_forward(kept, (asked - mean) / spread)))
    return offset + scale * np.mean(said, axis=0)


def _forward(weights: Any, inputs: Any) -> jax.Array:
    for w, b in weights[:-1]:
        inputs = jnp.tanh(inputs @ w + b)
    return inputs @ weights[-1][0] + weights[-1][1]


@jax.jit
def _trained(weights: Any, orders: Any, z: Any, t: Any, z_kept: Any, t_kept: Any) -> Any:
    """Weights of the epoch that missed least of what was kept back."""

    def loss(p: Any, inputs: Any, wanted: Any) -> jax.Array:
        return jnp.mean((_forward(p, inputs) - wanted) ** 2) + 1e-4 * sum(jnp.sum(w**2) for w, _ in p) / len(p)

    optimiser = optax.adam(2e-3)

    def step(carry: Any, rows: Any) -> tuple[Any, None]:
        p, state = carry
        change, state = optimiser.update(jax.grad(loss)(p, z[rows], t[rows]), state)
        return (optax.apply_updates(p, change), state), None

    def epoch(carry: Any, order: Any) -> tuple[Any, None]:
        p, state, best, kept = carry
        p, state = jax.lax.scan(step, (p, state), order)[0]
        missed = jnp.mean((_forward(p, z_kept) - t_kept) ** 2)
        kept = jax.tree.map(lambda new, old: jnp.where(missed < best, new, old), p, kept)
        return (p, state, jnp.minimum(missed, best), kept), None

    weights = jax.tree.map(lambda w: jnp.asarray(w, z.dtype), weights)
    return jax.lax.scan(epoch, (weights, optimiser.init(weights), jnp.asarray(jnp.inf, z.dtype), weights), orders)[0][3]


def streamed(predictor: msm.Predictor, stream: Stream) -> dict[str, np.ndarray]:
    predictor.reset()
    out = [predictor.push(e, q, t) for e, q, t in zip(stream.emg, stream.angle, stream.time, strict=True)]
    names = ("torque", "torque_sd", "torque_ahead", "torque_ahead_sd", "angle", "angle_ahead", "angle_ahead_sd")
    return {n: np.array([getattr(f, n)[0] for f in out]) for n in names}


def held(said: np.ndarray, sd: np.ndarray, truth: np.ndarray) -> float:
    """The share of truth within 1.96 standard deviations."""
    return float(np.mean(np.abs(said - truth) < 1.96 * sd))


def errors(what: str, said: np.ndarray, truth: np.ndarray) -> Iterator[Row]:
    """Of moment and angle."""
    for k, (kind, unit, factor) in enumerate((("torque", "N·m", 1.0), ("angle", "°", 180 / np.pi))):
        yield row(f"{what}: {kind}", factor * float(np.sqrt(np.mean((said[:, k] - truth[:, k]) ** 2))), unit)
        yield row(f"{what}: {kind}, correlation", float(np.corrcoef(said[:, k], truth[:, k])[0, 1]), "-")


def walk(
    whole: Study, known: msm.Trial, trial: msm.Trial, horizons: Sequence[float], rules: Sequence[str]
) -> Iterator[Row]:
    """One walk, from another of the same person."""
    model, asked = study_model(whole), replace(settings(whole), rate=50.0)
    result = msm.identify(model, known, settings=asked)
    nominal = {
        p: v for p, v in model.nominal.with_channels(result.channels).to_dict().items() if p in result.parameters
    }
    generic = replace(result, parameters=nominal)
    coordinates = tuple(c for c in model.coordinates if c not in model.host.locked)
    train, test = (Stream(t, coordinates, result.channels) for t in (known, trial))
    knee = coordinates.index(model.free[0])

    def beside(what: str, steps: int, rows: slice, truth: np.ndarray) -> Iterator[Row]:
        """Of regressions, which learn from the walk that the person is identified from."""
        x, y = train.features[: len(train.features) - steps], train.targets(knee, steps)
        yield from errors(f"{what}, linear regression", linear(x, y, test.features[rows]), truth)
        yield from errors(f"{what}, neural network", network(x, y, test.features[rows]), truth)

    for horizon in horizons:
        steps = round(horizon * RATE)
        truth, rows = test.targets(knee, steps), slice(round(SETTLE * RATE), -steps)
        truth = truth[rows.start :]
        what = f"{trial.name}, {1000 * horizon:.0f} ms ahead"
        people = {f"identified, {rule}": (result, rule) for rule in rules}
        if horizon == 0.1:
            people[f"generic, {rules[0]}"] = (generic, rules[0])
        for name, (person, rule) in people.items():
            p = msm.Predictor(person, horizon, model=model, rate=RATE, extrapolation=rule, trials=(known,))
            said = streamed(p, test)
            ahead = np.stack([said["torque_ahead"], said["angle_ahead"]], axis=1)[rows]
            yield from errors(f"{what}, {name}", ahead, truth)
            for kind, column in (("torque", 0), ("angle", 1)):
                inside = held(ahead[:, column], said[f"{kind}_ahead_sd"][rows], truth[:, column])
                yield row(f"{what}, {name}: {kind} in its 95 % band", inside, "-", at_least=0.8)
            if horizon == 0.1:
                now = np.stack([said["torque"], said["angle"]], axis=1)[rows]
                truth_now = test.targets(knee, 0)[rows]
                yield from errors(f"{trial.name}, now, {name}", now, truth_now)
                inside = held(now[:, 0], said["torque_sd"][rows], truth_now[:, 0])
                yield row(f"{trial.name}, now, {name}: torque in its 95 % band", inside, "-", at_least=0.8)
        yield from beside(what, steps, rows, truth)
        on = np.stack([test.moment, test.angle[:, knee] + horizon * test.rate[:, knee]], axis=1)[rows]
        yield from errors(f"{what}, recorded moment stays, angle goes on", on, truth)
    rows = slice(round(SETTLE * RATE), None)
    yield from beside(f"{trial.name}, now", 0, rows, test.targets(knee, 0)[rows])


def made_up(whole: Study, seed: int) -> tuple[msm.Trial, msm.Trial]:
    """Both walks, their first part, with the moments of a person drawn about what is expected of anybody."""
    model, rng = study_model(whole), np.random.default_rng(seed)
    space, out = study_space(model, whole), []
    with float64():
        truth = space.clip(space.prior_mean + APART * space.prior_scale * rng.normal(size=space.size))
    for walk, name in zip(whole.trials, ("known", "synthetic people"), strict=True):
        rows = walk.time < walk.time[0] + LEARNT
        part = {f: getattr(walk, f)[rows] for f in ("time", "position", "emg")}
        blank = replace(walk, **part, name=name, moment=np.zeros((rows.sum(), 1)), moment_coordinates=model.free)
        term = moment_term(model, space, (record(model, reordered(blank, whole.channels), whole.emg_map),), RATE)
        said = term.evaluate(truth, np.ones(1))[:, 0]
        time = walk.time[0] + model.timestep * term.sample
        moment = np.interp(blank.time, time, said + NOISE * rng.normal(size=len(said)), left=np.nan, right=np.nan)
        out.append(replace(blank, moment=moment[:, None]))
    return out[0], out[1]


def people(whole: Study, count: int, horizons: Sequence[float]) -> Iterator[Row]:
    """Means over synthetic people; over those that are done, where it is interrupted."""
    found: dict[str, list[Row]] = {}
    with suppress(KeyboardInterrupt):
        for seed in range(count):
            own = list(walk(whole, *made_up(whole, seed), horizons, ("learned",)))
            print(f"  person {seed + 1} of {count}", file=sys.stderr, flush=True)
            for line in own:
                found.setdefault(line["name"], []).append(line)
    for name, lines in found.items():
        mean = float(np.mean([line["measured"] for line in lines]))
        yield row(name, mean, lines[0]["unit"], at_least=lines[0]["target"], n=len(lines))


def latency(whole: Study, samples: int) -> Iterator[Row]:
    """Of `push`, at 1 kHz, on one core, for the estimate and those beside it; and what it leaves in memory."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    model, part = study_model(whole), whole.trials[0]
    channels = tuple(dict.fromkeys(c for mix in whole.emg_map.values() for c in mix))
    nominal, rng = model.nominal.with_channels(channels), np.random.default_rng(0)
    space = msm.parameter_space(nominal, ["muscle/*/max_isometric_force", "muscle/*/*_length"])
    with float64():
        z = np.asarray(space.pack(nominal))
        about = [space.unpack(z + 0.02 * k * rng.standard_normal(len(z))) for k in (0, *DRAWS * (1,))]
    everyone = jax.tree.map(lambda *x: np.stack([np.asarray(y) for y in x]), *about)
    predictor = msm.Predictor(KnownPerson(channels, whole.emg_map, everyone), 0.1, model=model)
    stream = Stream(part, predictor.coordinates, channels)
    emg, angle = ([*x] for x in (stream.emg.repeat(10, axis=0), stream.angle.repeat(10, axis=0)))
    took, began, busy = np.full(samples, np.nan), 0, time.process_time()  # all of it there from the beginning
    for k in range(samples):
        before = time.perf_counter_ns()
        predictor.push(emg[k % len(emg)], angle[k % len(angle)], 1e-3 * k)
        took[k] = 1e-6 * (time.perf_counter_ns() - before)
        if k == samples // 10:
            gc.collect()
            began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began) / 1024
    busy = 1000 * (time.process_time() - busy) / samples
    took = took[100:]
    edges = np.array([0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 2.0, 5.0, np.inf])
    for low, high, count in zip(edges[:-1], edges[1:], np.histogram(took, edges)[0], strict=True):
        share = count / len(took)
        print(f"  {low:5.2f} to {high:5.2f} ms  {100 * share:6.2f} %  {'#' * round(60 * share)}", file=sys.stderr)
    yield row("one sample of the knee, median", float(np.median(took)), "ms", at_most=0.3, n=len(took))
    yield row("one sample of the knee, 99 of 100", float(np.quantile(took, 0.99)), "ms", at_most=1.0, n=len(took))
    yield row("one sample of the knee, time of the processor", busy, "ms", n=len(took))
    yield row("one sample of the knee, quickest", float(took.min()), "ms", n=len(took))
    yield row("memory that it took since a tenth of them", grown, "MiB", at_most=1.0, n=len(took))


def walks(quick: bool) -> Iterator[Row]:
    """One from the other; both ways, unless in the reduced form."""
    whole = study()
    first, second = whole.trials
    horizons, rules = (HORIZONS[1:2], ("learned",)) if quick else (HORIZONS, ("learned", "hold"))
    yield from walk(whole, first, second, horizons, rules)
    if not quick:
        yield from walk(whole, second, first, horizons, rules)


def all_people(quick: bool) -> Iterator[Row]:
    """Twenty, two in the reduced form."""
    return people(study(), 2 if quick else PEOPLE, HORIZONS[1:2] if quick else HORIZONS)


def all_samples(quick: bool) -> Iterator[Row]:
    """Ten minutes, twenty seconds in the reduced form."""
    return latency(study(), 20_000 if quick else 600_000)


PARTS = {"walks": walks, "people": all_people, "latency": all_samples}


def rows(quick: bool) -> Iterator[Row]:
    """Everything."""
    return chain.from_iterable(part(quick) for part in PARTS.values())


if __name__ == "__main__":
    run(__doc__, rows, PARTS)
