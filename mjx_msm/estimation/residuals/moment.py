"""Muscle and passive joint moment against the recorded one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from mjx_msm.common.compiled import compile_job, float64, is_abreast
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.activation_expansion import Lanes, lanes_of
from mjx_msm.dynamics.moment_sensitivities import (
    Instants,
    OfTrials,
    activations,
    instants,
    moment_sums,
    moment_sums_of_courses,
    moments_by,
    moments_of_courses,
)
from mjx_msm.dynamics.tendon_course import Course
from mjx_msm.estimation.noise_by_trial import Spread, scales_of, spread_of
from mjx_msm.estimation.residuals.forgetting import forgotten
from mjx_msm.estimation.residuals.instants import INSTANTS, InstantTerm, acting_muscles, picked
from mjx_msm.estimation.residuals.path_courses import course_of
from mjx_msm.estimation.residuals.pieces import filled, parts, windows
from mjx_msm.estimation.residuals.term import AbstractExpansion, AbstractTerm, Quadratic
from mjx_msm.person.model import Model
from mjx_msm.person.muscle import AnyArray
from mjx_msm.person.space import ParameterSpace
from mjx_msm.recordings.model_clock import Recording

PIECES = 16
"""Of a second each, that stand for whole recordings."""
FAINT = 1e-2
"""The same where pieces stand for whole recordings."""
LESS = 2.0
"""How many times less than the whole there is to compute in pieces that are taken for it."""
ALIKE = 512
"""Instants of pieces are filled up to a multiple of it, so that what is compiled for some serves others."""
BLOCK = 64
"""Instants of a trial whose products are summed at a time."""
OF_INSTANTS = "recording", "sample", "position", "velocity", "acceleration", "target", "mask"
WEIGHTS = "trust", "relative"
ABREAST = 50_000
"""Samples of all windows from which a core more is worth its while."""


class Share(NamedTuple):
    """Some of the windows, for a core of their own; shares have one shape, which is compiled for once."""

    rows: Int[np.ndarray, "instant"]
    """Their instants, the last one repeated where others have more."""
    real: Float[np.ndarray, "instant 1"]
    """0 for what is repeated."""
    envelope: Float[AnyArray, "time window channel"]
    course: Course | None
    """Of muscles that remember."""
    at: Instants
    trials: OfTrials


@dataclass(frozen=True)
class MomentExpansion(AbstractExpansion):
    """Sums of every trial, which weigh by its noise."""

    term: MomentTerm
    by_trial: Quadratic
    """Of every (trial, coordinate), as the term weighs them, but for the curvature."""
    curvature: Float[np.ndarray, "trial free entry entry"] | None
    """Σ r ∂²r of them, where it is known."""
    residual: Float[np.ndarray, "instant free"]
    """[N·m]."""
    relative: Float[np.ndarray, "trial free"]
    """Noise of every trial over that of all."""
    moving: Float[np.ndarray, "free entry entry"] | None = None
    """What the scales' going with the parameters adds to the curvature; None: they are held."""

    def reduce(self, scale: Float[np.ndarray, "coordinate"]) -> Quadratic:
        weight, q = self.relative**-2.0, self.by_trial
        curvature = None if self.curvature is None else np.einsum("tc,tcij->cij", weight, self.curvature)
        return Quadratic(
            np.einsum("tc,tc->c", weight, q.squares),
            np.einsum("tc,tci->ci", weight, q.gradient),
            np.einsum("tc,tcij->cij", weight, q.hessian),
            curvature=curvature if self.moving is None or curvature is None else curvature + self.moving,
        )

    def follow(self, change: Float[np.ndarray, "free"]) -> None:
        return None

    def spread(self) -> Spread:
        return spread_of(self.residual, self.term.counts > 0, self.term.trial, len(self.relative))

    def at_own_noise(self, spread: Spread) -> tuple[MomentExpansion, Float[np.ndarray, "coordinate"]]:
        between, repeats = spread
        relative, moving, cost = np.ones_like(self.relative), [], []
        for c in range(self.relative.shape[1]):
            squares, count = self.by_trial.squares[:, c], self.term.counted[:, c]
            own = scales_of(squares, count, float(between[c]), repeats[:, c])
            pushes = self.by_trial.gradient[:, c] / own.relative[:, None] ** 2
            moving.append(-4 * count.sum() / max(squares.sum(), 1e-300) * pushes.T @ own.inverse @ pushes)
            relative[:, c] = own.relative
            cost.append(own.cost)
        return replace(self, relative=relative, moving=np.array(moving)), np.array(cost)


@dataclass(frozen=True, eq=False)
class MomentTerm(InstantTerm):
    """Muscle and passive joint moment against the recorded net moment of the free coordinates [N·m].

    No parameter changes the geometry at its instants, so all of it is arithmetic on what is computed once; and it knows
    its second derivatives, but for muscles whose tendons yield.
    """

    at: Instants
    """All of them; their samples and recordings are those of windows."""
    shares: tuple[Share, ...]
    lanes: Lanes
    trust: Float[np.ndarray, "instant free"] | None = None
    """Weight of every squared residual; None: all count alike."""
    relative: Float[np.ndarray, "instant free"] | None = None
    """Noise of every instant over that of the term; None: all have the same."""
    called: set[Any] = field(default_factory=set, repr=False)
    """What has been compiled for the shares, of this term and of those that replace parts of it."""
    kind: ClassVar[str] = "moment"
    unit: ClassVar[str] = "N·m"

    def trusting(self, trust: Float[np.ndarray, "instant free"]) -> MomentTerm:
        """The same with every squared residual weighed; errors, and what was measured, stay as they are."""
        return replace(self, trust=trust)

    def at_scales(self, relative: Float[np.ndarray, "trial free"]) -> MomentTerm:
        """The same with noise that differs between trials; errors, and what was measured, stay as they are."""
        return replace(self, relative=relative[self.recording])

    def at_own_scales(self, z: Float[np.ndarray, "free"]) -> MomentTerm:
        """The same with every trial's moments at the scale of what is left of them at z."""
        return self.at_scales(_weighed_anew(self.expand(z)).relative)

    @cached_property
    def counts(self) -> Float[np.ndarray, "instant free"]:
        """Weight of every squared residual."""
        counts = self.mask**2 if self.trust is None else self.mask**2 * self.trust
        return counts if self.relative is None else counts / self.relative**2

    @cached_property
    def counted(self) -> Float[np.ndarray, "trial free"]:
        """Weights of every trial's samples."""
        out = np.zeros((len(self.envelope), self.mask.shape[1]))
        np.add.at(out, self.recording, self.counts)
        return out

    def in_pieces(self, count: int | None = None, seconds: float = 1.0) -> MomentTerm:
        """About `count` pieces of the recordings (None: `PIECES`), at least two of each: one from each of as many equal
        spans of it, by chance, so that no rhythm is met in step. A recording weighs as much among them as in the whole.
        Itself where that is not much less to compute."""
        lead, own = forgotten(self.model, self.space, FAINT), max(round(seconds / self.model.timestep), 1)
        measured = np.flatnonzero(self.mask.any(axis=1))
        part = np.stack([self.recording, np.maximum(self.sample - lead - 1, 0) // own], 1)[measured]
        every, which = np.unique(part, axis=0, return_inverse=True)
        whole = sum(s.envelope.shape[0] * s.envelope.shape[1] for s in self.shares)
        count = PIECES if count is None else count
        owner, begins, there = np.unique(every[:, 0], return_index=True, return_counts=True)
        taken = np.maximum(np.round(count * there / len(every)).astype(int), np.minimum(2, there))
        if len(every) < count or LESS * taken.sum() * (lead + own) > whole:
            return self
        rng, chosen = np.random.default_rng(0), []
        for begin, n, some in zip(begins, there, taken, strict=True):
            chosen += [rng.choice(span) for span in np.array_split(np.arange(begin, begin + n), some)]
        rows = measured[np.isin(which.reshape(-1), chosen)]
        about = {name: getattr(self, name)[rows] for name in OF_INSTANTS}
        recorded = self._recorded
        recorded, window, sample = windows(recorded, about["recording"], about["sample"], lead, own)
        at = replace(jax.tree.map(lambda x: x[rows], self.at), sample=sample, recording=window)
        about |= {name: None if getattr(self, name) is None else getattr(self, name)[rows] for name in WEIGHTS}
        share = (taken / there) / (taken.sum() / there.sum())
        if np.ptp(share) > 0:
            known = 1.0 if about["relative"] is None else about["relative"]
            more = share[np.searchsorted(owner, about["recording"])] ** 0.5
            about["relative"] = known * more[:, None] * np.ones_like(about["target"])
        shares = _shares(recorded, self.envelope, at, about["recording"], ALIKE)
        return replace(self, **about, at=at, shares=tuple(shares))

    @property
    def _recorded(self) -> Float[np.ndarray, "recording time more"]:
        """What is cut into windows: EMG, and the paths of muscles that remember."""
        return self.envelope if self.course is None else np.concatenate([self.envelope, self.course], -1)

    @cached_property
    def acting(self) -> tuple[int, ...]:
        """Muscles that pull at a free coordinate."""
        return acting_muscles(self.at.moment_arm)

    def _lead(self, z: Float[np.ndarray, "free"], share: Share) -> tuple[Any, ...]:
        return self.model, self.space, np.asarray(z, dtype=float), share.envelope, np.asarray(self.mixing)

    def _sums(self, z: Float[np.ndarray, "free"], share: Share) -> tuple[Any, ...]:
        """A function of a share and its arguments."""
        counts = np.sqrt(self.counts[share.rows]) * share.real
        compared = share.at, share.trials, self.target[share.rows], counts
        if share.course is None:
            return moment_sums, *self._lead(z, share), self.lanes, *compared
        own = self.acting, self.pairs, share.course
        return moment_sums_of_courses, *self._lead(z, share), *own, *compared

    def compile_jobs(self, z: Float[np.ndarray, "free"]) -> Iterator[Callable[[], None]]:
        with float64():
            yield compile_job(*self._sums(z, self.shares[0]))

    def expand(self, z: Float[np.ndarray, "free"], nuisance: Any = None) -> MomentExpansion:
        found = self._abreast([self._sums(z, share) for share in self.shares])
        *sums, _ = ([x[k] for x in found] for k in range(len(found[0])))
        squares, gradient, hessian, *curvature = (np.sum(x, axis=0) for x in sums)
        residual = np.zeros_like(self.target)
        for share, (*_, own) in zip(self.shares, found, strict=True):
            residual[share.rows] = own
        by_trial = Quadratic(squares, gradient, hessian)
        bends = curvature[0] if curvature else None
        return MomentExpansion(self, by_trial, bends, residual, np.ones_like(squares))

    def evaluate(
        self, z: Float[np.ndarray, "free"], scale: Float[np.ndarray, "coordinate"]
    ) -> Float[np.ndarray, "sample coordinate"]:
        if self.course is None:
            return self.evaluate_by(z, self.activations_of(z))
        own = ((*self._lead(z, share), self.acting, share.course, share.at) for share in self.shares)
        return self._missed(self._abreast([(moments_of_courses, *arguments) for arguments in own]))

    def activations_of(self, z: Float[np.ndarray, "free"]) -> list[Float[np.ndarray, "instant lane"]]:
        """Activations at the instants of every share; of muscles that do not remember."""
        return self._abreast([(activations, *self._lead(z, share), self.lanes, share.at) for share in self.shares])

    def evaluate_by(
        self, z: Float[np.ndarray, "free"], activation: Sequence[Float[np.ndarray, "instant lane"]]
    ) -> Float[np.ndarray, "sample coordinate"]:
        """`evaluate` at activations that are known, in no time: parameters of EMG and time constants move no others."""
        lead, pairs = (self.model, self.space, np.asarray(z, dtype=float)), zip(self.shares, activation, strict=True)
        return self._missed(self._abreast([(moments_by, *lead, a, self.lanes, share.at) for share, a in pairs]))

    def _missed(self, found: Sequence[Float[np.ndarray, "instant free"]]) -> Float[np.ndarray, "sample coordinate"]:
        """What moments of every share are off by."""
        out = np.zeros_like(self.target)
        for share, value in zip(self.shares, found, strict=True):
            out[share.rows] = value
        return (out - self.target) * self.mask

    def _abreast(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """A compiled function of every share with its arguments, a thread each: it leaves Python's lock alone."""

        def call(own: tuple[Any, ...]) -> Any:
            function, *arguments = own
            with float64():  # which is of a thread
                return jax.tree.map(np.asarray, function(*arguments))

        what = calls[0][0], *(share.envelope.shape for share in self.shares)
        if len(calls) == 1 or what not in self.called or is_abreast():  # threads would all compile
            self.called.add(what)
            return [call(own) for own in calls]
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(call, calls))


def at_their_scales(
    terms: Sequence[AbstractTerm], relative: Sequence[Float[np.ndarray, "trial free"] | None] | None
) -> list[AbstractTerm]:
    """Terms with every trial's moments at its own noise, as a solution has it (`Solution.relative`)."""
    if relative is None:
        return list(terms)
    pairs = zip(terms, relative, strict=True)
    return [t.at_scales(r) if isinstance(t, MomentTerm) and r is not None and np.any(r != 1.0) else t for t, r in pairs]


def _weighed_anew(about: MomentExpansion) -> MomentExpansion:
    return about.at_own_noise(about.spread())[0]


def _instants(model: Model, window: np.ndarray, sample: np.ndarray, picked: dict[str, Any]) -> Instants:
    """In pieces of one shape, which are compiled for once."""
    found = []
    with float64():
        for part in parts(len(sample), INSTANTS):
            own = (x[part] for x in (sample, window, picked["position"], picked["velocity"]))
            piece = instants(model, *(filled(x, INSTANTS) for x in own))
            count = len(sample[part])
            found.append(jax.tree.map(lambda x, n=count: np.asarray(x)[:n], piece))
    return jax.tree.map(lambda *x: np.concatenate(x), *found)


def moment_term(model: Model, space: ParameterSpace, recordings: Sequence[Recording], rate: float) -> MomentTerm:
    """Moment residual at the samples of the trials' own clocks, thinned to about `rate` a second."""
    picks, seen = [], []
    for r in recordings:
        own = r.clock[(r.clock >= r.first) & (r.clock <= r.last)]
        if len(own) < 2:
            raise InputError(f"trial '{r.name}' has {len(own)} samples with recorded motion; a moment needs more")
        spacing = float(np.median(np.diff(own))) * model.timestep
        picks.append(own[:: max(1, round(1.0 / (rate * spacing)))])
        seen.append((r.moment_weight * r.complete[:, None])[picks[-1]])  # a posture is needed to predict a moment in
    target = np.concatenate([r.moment[p] for r, p in zip(recordings, picks, strict=True)])
    about = picked(model, recordings, picks)
    envelope, course = about["envelope"], about["course"]
    recorded = envelope if course is None else np.concatenate([envelope, course], -1)
    lead = forgotten(model, space)
    recorded, window, sample = windows(recorded, about["recording"], about["sample"], lead)
    at, mixing = _instants(model, window, sample, about), np.asarray(about["mixing"])
    acting = np.isin(np.arange(len(model.muscles)), acting_muscles(at.moment_arm))
    lanes = lanes_of(model, space, mixing, acting.tolist())
    mask, shares = np.concatenate(seen), tuple(_shares(recorded, envelope, at, about["recording"]))
    about |= {"target": target, "mask": mask, "at": at, "shares": shares, "lanes": lanes}
    return MomentTerm(model, space, **about)


def _shares(
    recorded: Float[np.ndarray, "window time more"],
    envelope: Float[np.ndarray, "recording all_time channel"],
    at: Instants,
    trial: Int[np.ndarray, "instant"],
    unit: int = 1,
) -> Iterator[Share]:
    """In which a multiple of `unit` instants is.

    **Arguments:** `recorded`: EMG, and then path lengths and velocities of muscles that remember, in windows.
    `envelope`: EMG of all recordings, those without a moment too. `trial`: of every instant.
    """
    count, samples = recorded.shape[:2]
    some = np.array_split(np.arange(count), 2 if count > 1 and count * samples >= ABREAST else 1)
    own = [np.flatnonzero(np.isin(at.recording, mine)) for mine in some]
    most, (trials, _, channels) = -(-max(map(len, own)) // unit) * unit, envelope.shape
    blocks = most // BLOCK + trials
    for mine, rows in zip(some, own, strict=True):
        real = (np.arange(most) < len(rows)).astype(float)[:, None]
        member = np.zeros((len(some[0]), trials))
        member[at.recording[rows] - mine[0], trial[rows]] = 1.0
        instant, block = np.full((blocks, BLOCK), most, dtype=np.int32), np.zeros((blocks, trials))
        parts_of = [(i, part) for i in range(trials) for part in _cut(np.flatnonzero(trial[rows] == i))]
        for k, (i, part) in enumerate(parts_of):
            instant[k, : len(part)], block[k, i] = part, 1.0
        rows = filled(rows, most)
        cut = np.swapaxes(recorded[filled(mine, len(some[0]))], 0, 1).copy()
        signals, course = cut[..., :channels].copy(), course_of(cut[..., channels:])
        there = jax.tree.map(lambda x, rows=rows: x[rows], at)
        there = replace(there, recording=there.recording - mine[0])
        of = OfTrials(member, instant, block)
        with float64():
            yield Share(rows, real, *jax.tree.map(jax.device_put, (signals, course, there, of)))


def _cut(rows: Int[np.ndarray, "row"]) -> Iterator[np.ndarray]:
    return (rows[part] for part in parts(len(rows), BLOCK))
