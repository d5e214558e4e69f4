"""`Predictor`: fed one sample of EMG and encoders at a time, it says the joint torque now and what comes next.

    predictor = Predictor(identification, horizon=0.1)
    forecast = predictor.push(emg, encoder, time)     # a sample at a time, as it comes
    forecast.torque, forecast.torque_ahead, forecast.angle_ahead, forecast.faults

Everything of one sample is one compiled function (`mjx_msm.prediction.live_step`), called with buffers that are used
again. What a stream does wrong is named in `faults`, and what is then not known widens the band: a missing or dead
channel by what its muscles could do, a missing encoder by what the person could do meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import number, of_kind, whole
from mjx_msm.common.compiled import COMPILER_OPTIONS, float64
from mjx_msm.common.errors import InputError, one_of
from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model, refuse_memory
from mjx_msm.prediction import causal_filter, extrapolation
from mjx_msm.prediction.known_person import KnownPerson
from mjx_msm.prediction.live_state import STEP, Input, Memory, Noise, Output, Setup, blank, outer_spread
from mjx_msm.prediction.live_step import live_step
from mjx_msm.prediction.made_channels import MadeChannels
from mjx_msm.prediction.own_errors import OwnErrors
from mjx_msm.prediction.teaching import Correction, correction, taught
from mjx_msm.recordings.emg import EmgProcessing
from mjx_msm.recordings.model_clock import mixing_matrix
from mjx_msm.recordings.trial import Trial, trials_of
from mjx_msm.recordings.unknown_channels import filled_in

DRAWS = 8
LONGEST_GAP = 0.5
"""Beyond it a stream begins anew [s]."""
OUT_OF_ORDER = 10.0
"""Usual steps by which samples of one clock may come before each other: in chunks, twice, with jitter."""
FORGET = 3.0
"""Time over which its own errors ahead are remembered [s]."""
EAGER, FIRST = 4.0, 20.0
"""At first it remembers a quarter of what it has seen: what it expects without having seen anything is soon forgotten,
and the first of many looks is not believed for all."""
CHECKED = 0.01
"""Between two looks at them [s]."""


class _Said(NamedTuple):
    """What was said of a moment that has not come yet."""

    due: float
    angle: Float[np.ndarray, "free"]
    claimed: Float[np.ndarray, "free"]
    torque: Float[np.ndarray, "free"]
    beside: tuple[Float[np.ndarray, "free feature"], Float[np.ndarray, "free feature"]]
    """What tells of the errors of torque and angle."""
    corrected: tuple[Float[np.ndarray, "free"], Float[np.ndarray, "free"]]
    """What of both was said for the sake of errors before."""
    seen: bool
    """Whether everything had come that it was said from."""


class _Now(NamedTuple):
    """What was known at one sample."""

    time: float
    angle: Float[np.ndarray, "free"]
    torque: Float[np.ndarray, "free"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known at one sample; a standard deviation beside every value.

    What is ahead is what the model says, and what its forecasts that have come true teach of their errors.
    """

    time: float
    """Of the sample that it stands on [s]."""
    torque: Float[np.ndarray, "free"]
    """Of muscles and passive joint, now [N·m]."""
    torque_sd: Float[np.ndarray, "free"]
    """Of the person, of what sensors leave open, of the joints' state, and of what moments were missed by when the
    person was identified."""
    torque_ahead: Float[np.ndarray, "free"]
    """`horizon` later [N·m]."""
    torque_ahead_sd: Float[np.ndarray, "free"]
    angle: Float[np.ndarray, "free"]
    """Of the free coordinates, now [rad]."""
    angle_sd: Float[np.ndarray, "free"]
    angle_ahead: Float[np.ndarray, "free"]
    """`horizon` later [rad]."""
    angle_ahead_sd: Float[np.ndarray, "free"]
    faults: tuple[str, ...] = ()
    """What is wrong with the stream, in words; empty if nothing is."""


class Predictor:
    """Joint torque now, joint angle and torque `horizon` ahead, a sample at a time.

    **Arguments:**

    - `identification`: the person; or a `KnownPerson`, whose `model` is to be given, too.
    - `horizon`: how far ahead [s], 0 to 0.5.
    - `extrapolation`: of EMG beyond now, see `mjx_msm.prediction.extrapolation`: ``"hold"``, ``"decay"``,
      ``"trend"``, or ``"learned"`` from `trials`, recorded trials of the person.
    - `processing`, `reference`: of raw EMG: how it becomes an envelope (the filters run forwards only,
      `mjx_msm.prediction.causal_filter`), and the envelope that counts as 1, one a channel. Without them, envelopes
      come, nominally 0 to 1. An identification does not hold `reference`: it is what the subject file's
      `normalise` found, with the same processing. ``"learned"`` is fitted on zero-phase envelopes, which are earlier
      than those of the causal filters (`mjx_msm.prediction.extrapolation.features`).
    - `rate`: samples a second, nominal; each sample says its own time.
    - `dead_after`: a channel that is the same to the bit for as long is dead [s]; infinity: never, since simulated
      EMG rests.
    - `draws`: people of the posterior beside the estimate, for the band. `noise`: what the filter expects.
    - `model`: what it was identified on, by default loaded.

    **Raises:** `InputError` naming what does not fit. It compiles when it is made, which takes some seconds.
    """

    def __init__(
        self,
        identification: Identification | KnownPerson,
        horizon: float = 0.1,
        *,
        extrapolation: str = "hold",
        trials: Trial | Sequence[Trial] = (),
        processing: EmgProcessing | None = None,
        reference: Sequence[float] | None = None,
        rate: float = 1000.0,
        dead_after: float = 0.3,
        draws: int = DRAWS,
        noise: Noise | None = None,
        model: Model | None = None,
    ):
        if not 0 < number("horizon", horizon) <= 0.5:
            raise InputError(f"horizon = {horizon:g} s must lie between 0 and 0.5")
        if not 20 <= number("rate", rate) <= 1e5:
            raise InputError(f"rate = {rate:g} Hz must lie between 20 and 100 000 samples a second")
        if not isinstance(dead_after, int | float) or not dead_after > 0:
            raise InputError(f"dead_after = {dead_after!r} must be a time above 0 s, or infinity")
        one_of("extrapolation", extrapolation, _rules())
        whole("draws", draws, 2)
        if isinstance(identification, KnownPerson):
            model, person = of_kind("model", model, Model, "a KnownPerson needs the model"), identification
        else:
            source = "identify makes one, Identification.load reads one"
            of_kind("identification", identification, Identification, source)
            model = identification.model() if model is None else model
            person = KnownPerson.identified(identification, model, draws)
        made = MadeChannels.of(person.channels, person.synergies)
        self.channels = tuple(person.channels[k] for k in made.measured)
        """That a sample holds: of muscles without EMG there is none."""
        self.coordinates = _moving(model)
        self.free, self.horizon = model.free, float(horizon)
        self.patience = 0.0
        """How long a channel or an encoder may be without a sample before it is called missing [s]: encoders may come
        more seldom than EMG."""
        self._names = (*(f"EMG channel {c}" for c in self.channels), *(f"encoder {c}" for c in self.coordinates))
        self._setup = _setup(
            person, made, model, horizon, extrapolation, processing, reference, rate, dead_after, noise
        )
        known, _ = filled_in(trials_of(trials), self.channels, instants=True)  # what identify says of them, it said
        if extrapolation == "learned":
            self._setup = taught(self._setup, person, known)
        self.rate, self._usual = float(rate), 1.0 / rate
        delay = np.asarray(self._setup.everyone.emg.delay)[0]
        self._lag = np.maximum(self._setup.filters.lag - delay[made.measured], 0.0)
        self._columns = [model.coordinates.index(c) for c in self.coordinates]
        self._input = np.full(1 + len(self.channels) + len(model.coordinates), np.nan)
        for name, value in model.host.locked.items():
            self._input[1 + len(self.channels) + model.coordinates.index(name)] = value
        self._encoders = 1 + len(self.channels) + np.array(self._columns, dtype=int)
        self._speeds = len(model.coordinates) + model.host.free_index
        self._call, self._slices = _compiled(self._setup)
        self._troubles = slice(self._slices["missing"].start, self._slices["blind"].stop)
        self._correction: Correction | None = None
        self.reset()
        if extrapolation == "learned":
            self._correction = correction(self, model, known)
            self.reset()

    @property
    def lag(self) -> Float[np.ndarray, "channel"]:
        """How much later than the muscles an envelope is [s]: the filter's lag beyond the electromechanical delay."""
        return self._lag

    def motion(self, ahead: bool) -> tuple[Float[np.ndarray, "coordinate"], Float[np.ndarray, "coordinate"]]:
        """Angles [rad] and their rates [rad/s] of all coordinates of the model at the last sample, or `horizon` later.

        Without what a learned rule corrects. Before the first sample there are none.
        """
        both = self._out[self._slices["motion_ahead" if ahead else "motion"]].copy()
        return both[: len(both) // 2], both[len(both) // 2 :]

    def reset(self) -> None:
        """Forget the stream."""
        self._memory: jax.Array | None = None
        self._last: Forecast | None = None
        self._time = -np.inf
        self._earlier: tuple[float, float] | None = None
        self._checked = -np.inf
        self._due: deque[_Said] = deque()
        self._before: _Now | None = None
        self._torque_errors = OwnErrors(len(self.free), 5, CHECKED)
        self._angle_errors = OwnErrors(len(self.free), 4, CHECKED)
        self._learnt = 0
        self._angle_scale = np.ones(len(self.free))
        self._torque_error = np.zeros(len(self.free))

    def push(self, emg: Sequence[float] | np.ndarray, encoder: Sequence[float] | np.ndarray, time: float) -> Forecast:
        """One sample.

        **Arguments:** `emg`: of `channels`, in their order; NaN where one is missing. `encoder`: angles of
        `coordinates`, in their order [rad]; NaN likewise. `time` [s].

        A sample that is not later than the one before is not used: the forecast of before comes again and says so.
        Where all that comes for half a second is earlier, and in order, the clock was set back: it begins anew.

        **Raises:** `InputError` if it has another number of channels or coordinates.
        """
        faults: tuple[str, ...] = ()
        channels = len(self.channels)
        if len(emg) != channels or len(encoder) != len(self._columns):
            raise InputError(
                f"a sample has {len(emg)} EMG channels and {len(encoder)} angles, expected {channels} "
                f"({', '.join(self.channels)}) and {len(self._columns)} ({', '.join(self.coordinates)})"
            )
        time = float(time)
        if not isfinite(time):
            return self._again("a sample came without a time and is left out")
        if time <= self._time:
            if not self._set_back(time):
                return self._again(f"a sample came {'twice' if time == self._time else 'late'} and is left out")
            faults = (f"the clock went back by {self._time - time:.3g} s; begun anew",)
            self.reset()
        self._earlier = None
        step = time - self._time
        if self._memory is not None and step > LONGEST_GAP:
            self.reset()
            faults = (f"nothing came for {step:.3g} s; begun anew",)
        elif self._memory is not None and step > max(5 * self._usual, 2 * STEP):
            faults = (f"nothing came for {step:.3g} s",)
            self._cross(self._time, time)
        elif self._memory is not None and abs(step - self._usual) > 0.5 * self._usual:
            faults = ("the clock jitters",)
        self._input[0] = time
        self._input[1 : 1 + channels] = emg
        self._input[self._encoders] = encoder
        self._out = out = self._advance()
        self._time = time
        seen = not (out[self._troubles] > self.patience).any()
        if not seen:
            troubled = np.concatenate([out[self._slices["missing"]], out[self._slices["blind"]][self._columns]])
            faults = (*faults, *(f"{self._names[k]} is missing" for k in np.flatnonzero(troubled > self.patience)))
        self._last = self._forecast(out, faults, seen=seen)
        return self._last

    def _set_back(self, time: float) -> bool:
        """Whether what comes late is not some samples but the stream, by a clock that was set back: or, once, forward.

        One after another without one that is in time, in order but for some, for as long as a gap is crossed.
        """
        first, last = self._earlier or (inf, -inf)
        anew = time < last - OUT_OF_ORDER * self._usual or first == inf
        self._earlier = (time, time) if anew else (first, max(last, time))
        return self._earlier[1] - self._earlier[0] > LONGEST_GAP

    def explained(
        self, emg: Sequence[float] | np.ndarray, encoder: Sequence[float] | np.ndarray, time: float
    ) -> tuple[Forecast, Float[np.ndarray, "feature"]]:
        """`push`, and what a correction reads of the sample: features of the learned rule, torques, angles."""
        forecast, at = self.push(emg, encoder, time), self._slices
        fields = ("features", "torque", "torque_ahead", "angle", "angle_ahead")
        return forecast, np.concatenate([self._out[at[f]] for f in fields])

    def _again(self, fault: str) -> Forecast:
        if self._last is None:
            nothing = np.full(len(self.free), np.nan)
            endless = np.full(len(self.free), np.inf)
            return Forecast(
                np.nan, nothing, endless, nothing, endless, nothing, endless, nothing, endless, (fault,)
            )  # fmt: skip
        kept = {f: getattr(self._last, f) for f in Forecast.__dataclass_fields__}
        return Forecast(**{**kept, "faults": (*self._last.faults, fault)})

    def _cross(self, start: float, stop: float) -> None:
        """A gap, in steps of the simulation and without samples."""
        count = int(np.ceil((stop - start) / STEP))
        self._input[1 : 1 + len(self.channels)] = np.nan
        self._input[self._encoders] = np.nan
        for k in range(1, count):
            self._input[0] = start + k * (stop - start) / count
            self._advance()

    def _advance(self) -> np.ndarray:
        with float64():
            if self._memory is None:
                self._memory = _in_one(blank(self._setup, _input_of(self._input, len(self.channels))))
            self._memory, out = self._call(self._memory, self._input)
            return np.asarray(out)

    def _forecast(self, out: np.ndarray, faults: tuple[str, ...], *, seen: bool) -> Forecast:
        """**Arguments:** `seen`: whether every channel and encoder came."""
        at, time = self._slices, float(self._input[0])
        angle, torque = out[at["angle"]], out[at["torque"]]
        angle_ahead, torque_ahead = out[at["angle_ahead"]], out[at["torque_ahead"]]
        claimed = out[at["angle_ahead_sd"]]
        if self._correction is not None:
            more = self._correction(np.concatenate([out[at["features"]], torque, torque_ahead, angle, angle_ahead]))
            torque, torque_ahead, angle_ahead = torque + more[0], torque_ahead + more[1], angle_ahead + more[2]
        speed = out[at["motion"]][self._speeds]
        beside = self._beside(torque, torque_ahead, angle, speed), self._beside(angle, angle_ahead, speed)
        corrected = self._torque_errors.expected(beside[0]), self._angle_errors.expected(beside[1])
        torque_ahead, angle_ahead = torque_ahead + corrected[0], angle_ahead + corrected[1]
        if self._checked == -inf:
            self._torque_error = out[at["torque_open_sd"]] ** 2
        now = _Now(time, angle, torque)
        if self._before is not None:
            self._learn_from_errors(self._before, now, seen=seen)
        self._before = now
        if time >= self._checked + CHECKED:
            self._due.append(_Said(time + self.horizon, angle_ahead, claimed, torque_ahead, beside, corrected, seen))
            self._checked = time
        return Forecast(
            time, torque, out[at["torque_sd"]], torque_ahead,
            np.sqrt(out[at["torque_ahead_sd"]] ** 2 + self._torque_error),
            angle, out[at["angle_sd"]], angle_ahead, claimed * np.sqrt(self._angle_scale), faults,
        )  # fmt: skip

    def _beside(self, *values: Float[np.ndarray, "free"]) -> Float[np.ndarray, "free feature"]:
        """A constant and what else tells of errors. (`np.stack` takes five times as long.)"""
        out = np.empty((len(self.free), 1 + len(values)))
        out[:, 0] = 1.0
        for k, x in enumerate(values, 1):
            out[:, k] = x
        return out

    def _learn_from_errors(self, before: _Now, now: _Now, *, seen: bool) -> None:
        """What it said, a horizon ago, of a time between two samples, against what it says of it now: its forecasts
        and their band follow its errors.

        Of that very time: samples come after it on average, and a forecast that learns to be right of a later time is
        wrong of its own. Over a gap there is no telling.

        **Arguments:** `seen`: whether everything came that says what is now; only then forecasts learn.
        """
        step = now.time - before.time
        gap = step > max(CHECKED, 2.0 * self._usual)
        while self._due and self._due[0].due <= now.time:
            said = self._due.popleft()
            if gap or said.due < before.time:
                continue
            part = (said.due - before.time) / step
            angle, torque = (a + part * (b - a) for a, b in zip(before[1:], now[1:], strict=True))
            self._learnt += 1
            share = max(CHECKED / FORGET, EAGER / (self._learnt + FIRST))
            self._angle_scale = self._angle_scale + share * (
                ((angle - said.angle) / said.claimed) ** 2 - self._angle_scale
            )
            self._torque_error = self._torque_error + share * ((torque - said.torque) ** 2 - self._torque_error)
            if seen and said.seen:
                self._torque_errors.teach(said.beside[0], torque - said.torque + said.corrected[0])
                self._angle_errors.teach(said.beside[1], angle - said.angle + said.corrected[1])


def _rules() -> tuple[str, ...]:
    return extrapolation.NAMES


def _moving(model: Model) -> tuple[str, ...]:
    """Coordinates whose angle a sample holds."""
    return tuple(c for c in model.coordinates if c not in model.host.locked)


def _setup(
    person: KnownPerson,
    made: MadeChannels,
    model: Model,
    horizon: float,
    rule: str,
    processing: EmgProcessing | None,
    reference: Sequence[float] | None,
    rate: float,
    dead_after: float,
    noise: Noise | None,
) -> Setup:
    refuse_memory(model, "prediction a sample at a time")
    channels = tuple(person.channels[k] for k in made.measured)
    if (processing is None) != (reference is None):
        raise InputError("raw EMG needs both processing and reference, the envelope that counts as 1; give both")
    one = np.ones(len(channels)) if reference is None else np.asarray(reference, dtype=float)
    if one.shape != (len(channels),) or not (one > 0).all():
        raise InputError(f"reference must be {len(channels)} positive numbers, of {', '.join(channels)}")
    noise = Noise() if noise is None else noise
    filters = causal_filter.NONE if processing is None else causal_filter.causal_filter(processing, rate)
    delay = np.asarray(person.everyone.emg.delay)
    waiting = np.maximum(delay - filters.lag, 0.0)
    past = int(np.ceil(rate * (max(waiting[0].max(initial=0.0), max(extrapolation.EARLIER)) + 0.02))) + 4
    return Setup(
        model=model,
        everyone=person.everyone,
        mixing=mixing_matrix(model, person.channels, person.emg_map),
        made=made,
        horizon=float(horizon),
        past=past,
        filters=filters,
        waiting=waiting,
        reference=one,
        rule=rule,
        learned=None,
        dead_after=dead_after,
        noise=noise,
        outer_spread=outer_spread(model, noise),
        torque_noise=np.array([person.moment_spread.get(c, 0.0) for c in model.free]),
    )


def packed_step(setup: Setup, sizes: list[int]) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """The function of one sample, from memory and sample to memory and output, each of them one array: a call spends
    much of its time on arrays.

    **Arguments:** `sizes`: becomes those of the output's fields, when the function is traced.
    """
    step, channels = live_step(setup), len(setup.reference)
    shapes = [np.shape(x) for x in _blank(setup)]

    def packed(memory: jax.Array, sample: jax.Array) -> tuple[jax.Array, jax.Array]:
        ends = np.cumsum([int(np.prod(s)) for s in shapes])
        pieces = jnp.split(memory, ends[:-1])
        before = Memory(*(x.reshape(s) for x, s in zip(pieces, shapes, strict=True)))
        kept, out = step(before, _input_of(sample, channels))
        sizes[:] = [x.shape[0] for x in out]
        return _in_one(kept), jnp.concatenate(out)

    return packed


def _blank(setup: Setup) -> Memory:
    channels = len(setup.reference)
    return blank(setup, Input(*_parts(np.zeros(1 + channels + len(setup.model.coordinates)), channels)))


def _compiled(setup: Setup) -> tuple[Any, dict[str, slice]]:
    """The function of one sample, ready to be called, and where the fields of its output are."""
    sizes: list[int] = []
    with float64():
        memory, sample = _in_one(_blank(setup)), jnp.zeros(1 + len(setup.reference) + len(setup.model.coordinates))
        made = jax.jit(packed_step(setup, sizes), donate_argnums=0, compiler_options=COMPILER_OPTIONS)
        call = made.lower(memory, sample).compile()
    return call, slices_of(sizes)


def slices_of(sizes: Sequence[int]) -> dict[str, slice]:
    """Where the fields of an output are."""
    edges = np.cumsum([0, *sizes])
    return {f: slice(a, b) for f, a, b in zip(Output._fields, edges[:-1], edges[1:], strict=True)}


def _in_one(memory: Memory) -> jax.Array:
    return jnp.concatenate([jnp.ravel(jnp.asarray(x, dtype=float)) for x in memory])


def _input_of(sample: Any, channels: int) -> Input:
    return Input(*_parts(sample, channels))


def _parts(sample: Any, channels: int) -> tuple[Any, Any, Any]:
    return sample[0], sample[1 : 1 + channels], sample[1 + channels :]
