"""What to estimate from recordings, and how: the settings that Python, the subject file and the command line share."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.common.toml_tables import show
from mjx_msm.person.expectation import Expectation
from mjx_msm.recordings.emg import EmgNoise
from mjx_msm.recordings.synergies import Synergies

RESIDUALS = ("acceleration", "moment", "motion")
"""Kinds of residual."""
LOSSES = ("normal", "student")
"""How what is left of moments is distributed."""
UNMEASURED_BY = ("projected", "effort")
"""How muscles without EMG are accounted for, beside synergies, which are channels like others."""
HELD = ("uncertain", "exact")
"""How well what is not estimated is known."""
Function = TypeVar("Function", bound=Callable[..., Any])


class Options(TypedDict, total=False):
    """The fields of `Settings` as keyword arguments: what each may be given as. `Settings` says what they mean.

    Editors complete the keywords of `mjx_msm.identify` and its kin from here, and type checkers check them.
    """

    free: Iterable[str]
    emg_map: Mapping[str, Mapping[str, float]] | None
    unmeasured: Mapping[str, str]
    synergies: Synergies | None
    residuals: Sequence[str]
    tied: Iterable[str]
    bounds: Mapping[str, Mapping[str, Any] | Sequence[float]] | None
    priors: Mapping[str, Mapping[str, Any] | str] | None
    rate: float
    horizon: int | None
    emg_noise: EmgNoise | None
    loss: str
    held: str
    starts: int
    seed: int
    prior: Expectation | str | Path | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to estimate from recordings, and how.

    **Raises:** `InputError`, one line that names the field and the fix. What depends on the model, e.g. a pattern that
    matches nothing, is found where the two meet.
    """

    free: tuple[str, ...]
    """Parameter patterns to estimate, see `mjx_msm.person.space.parameter_space`."""
    emg_map: Mapping[str, Mapping[str, float]] | None = None
    """Muscle to {channel: weight}, empty for a silent muscle; None: every muscle has a channel of its own name."""
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    """Muscle to the method by which it does without EMG, the same for all: "projected", any tension at any instant, or
    "effort", a smooth activation that is not without a reason (`mjx_msm.estimation.unknown_courses`). Their `emg_map`
    is empty. For one residual, of moments or accelerations. Synergies are channels:
    `mjx_msm.recordings.synergies.extended` makes them."""
    synergies: Synergies | None = None
    """By which channels of `emg_map` were made of others. The result keeps it, so that new recordings and streams get
    theirs, which have the measured channels alone."""
    residuals: tuple[str, ...] = ("motion",)
    """Any of "acceleration", "moment" (needs recorded moments), "motion"."""
    tied: tuple[str, ...] = ()
    """Patterns whose members share one unknown, e.g. one electromechanical delay ``["emg/*/delay"]``."""
    bounds: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    """Pattern to ``{"factor": [lo, hi]}`` or ``{"range": [lo, hi]}``; a bare ``[lo, hi]`` is a range."""
    priors: Mapping[str, Mapping[str, Any] | str] = field(default_factory=dict)
    """Pattern to ``{"mean": m, "sd": s}``, ``{"relative_sd": s}`` or ``"none"``."""
    rate: float = 200.0
    """Samples per second at which acceleration and moment residuals are formed [Hz]."""
    horizon: int | None = None
    """Steps of motion that are simulated from one initial state; None is the whole trial. Shorter where a model cannot
    follow for long, e.g. without ground contact."""
    emg_noise: EmgNoise | None = None
    """How far the envelopes may be from what drove the muscles. Without it they count as exact, and their errors bend
    the estimate; with it they are unknowns beside the initial states. For the motion residual alone."""
    loss: str = "normal"
    """"student": a moment that nothing explains, such as one beside a missed foot strike, is told from the others and
    hardly counts (`mjx_msm.estimation.robust`). For moments; other residuals stay "normal"."""
    held: str = "uncertain"
    """What is not estimated, and where muscles attach: "uncertain", and intervals allow for what it may be in this
    person (`mjx_msm.identification.allowance`); "exact" where it is known, as of a synthetic person."""
    starts: int = 1
    """Most starting points. The first is the model itself (or its priors' mean); the best by the first stage goes on.
    The search ends early once nothing is left to explain."""
    seed: int = 0
    """Of the random starting points and of the draws from the posterior."""
    prior: Expectation | str | Path | None = None
    """What people of a population lead to expect, in the place of the usual priors and of `priors`, where it knows the
    parameter: `mjx_msm.knowledge.population.Population.expected`, or the file of one, for a person whose traits are not
    known."""

    def __post_init__(self) -> None:
        lists = {"free": "muscle/*/max_isometric_force", "residuals": "motion", "tied": "emg/*/delay"}
        for name, example in lists.items():
            value = getattr(self, name)
            values = None if isinstance(value, str | Mapping) or not isinstance(value, Iterable) else tuple(value)
            if values is None or not all(isinstance(v, str) for v in values):
                raise InputError(f"{name} must be a list of texts, e.g. ['{example}'], got {show(value)}")
            self._set(name, values)
        if not self.free:
            raise InputError("nothing to estimate: free is empty; give patterns, e.g. 'muscle/*/max_isometric_force'")
        for name in self.residuals:
            if name not in RESIDUALS:
                raise InputError(f"residuals = '{name}' is unknown{suggest(name, RESIDUALS)}")
        if not self.residuals:
            raise InputError(f"residuals are empty; choose from: {', '.join(RESIDUALS)}")
        self._set("bounds", {pattern: _bounds(pattern, value) for pattern, value in _table("bounds", self.bounds)})
        self._set("priors", {pattern: _prior(pattern, value) for pattern, value in _table("priors", self.priors)})
        if not _is_number(self.rate) or not self.rate > 0:
            raise InputError(f"rate = {show(self.rate)} must be a positive number of samples per second")
        if self.loss not in LOSSES:
            raise InputError(f"loss = {self.loss!r} is unknown{suggest(str(self.loss), LOSSES, limit=len(LOSSES))}")
        if self.loss != "normal" and "moment" not in self.residuals:
            raise InputError(f'loss = {show(self.loss)} is for moments; add "moment" to residuals, or leave it out')
        if self.held not in HELD:
            raise InputError(f"held = {self.held!r} is unknown{suggest(str(self.held), HELD, limit=len(HELD))}")
        if self.horizon is not None:
            self._set("horizon", _whole("horizon", self.horizon, 1, " of steps, or None for the whole trial"))
        self._set("starts", _whole("starts", self.starts, 1, " of starting points"))
        self._set("seed", _whole("seed", self.seed, 0))
        if not isinstance(self.prior, Expectation | str | Path | None):
            raise InputError(f"prior must be the file of a population or what it expects, got {show(self.prior)}")
        if self.emg_map is not None:
            for muscle, mix in _table("emg_map", self.emg_map):
                if not isinstance(mix, Mapping) or not all(map(_is_number, mix.values())):
                    raise InputError(f"emg_map of '{muscle}' must be {{channel: weight}}, got {show(mix)}")
        self._check_unmeasured()
        if self.synergies is not None and not isinstance(self.synergies, Synergies):
            raise InputError(
                f"synergies must be Synergies, or None, got {show(self.synergies)}; "
                "mjx_msm.recordings.synergies.extended makes them"
            )
        if self.emg_noise is not None and not isinstance(self.emg_noise, EmgNoise):
            raise InputError(f"emg_noise must be an EmgNoise, or None for exact envelopes, got {show(self.emg_noise)}")
        if self.emg_noise is not None and self.residuals != ("motion",):
            raise InputError(
                f"EMG noise is modelled in the motion residual alone, not with {', '.join(self.residuals)}; leave it "
                'out, or choose residuals = ["motion"]'
            )

    def _check_unmeasured(self) -> None:
        table = dict(_table("unmeasured", self.unmeasured))
        self._set("unmeasured", table)
        if not table:
            return
        for muscle, by in table.items():
            if by not in UNMEASURED_BY:
                raise InputError(
                    f"unmeasured: '{muscle}' by {show(by)} is unknown"
                    f"{suggest(str(by), UNMEASURED_BY, limit=len(UNMEASURED_BY))}; synergies are channels of "
                    "mjx_msm.recordings.synergies.extended"
                )
        method, *others = dict.fromkeys(table.values())
        if others:
            raise InputError(f"unmeasured: {' and '.join((method, *others))} for different muscles; choose one for all")
        for muscle in table:
            if self.emg_map is None or self.emg_map.get(muscle):
                raise InputError(
                    f"unmeasured: '{muscle}' has EMG in emg_map; give it {{}} there, or leave it out of unmeasured"
                )
        if self.residuals not in (("moment",), ("acceleration",)):
            raise InputError(
                f"unmeasured muscles by '{method}' need residuals = ['moment'] or ['acceleration'], not "
                f"{', '.join(self.residuals)}: a motion is simulated, with forces that are known; or choose synergies"
            )
        if self.loss != "normal":
            raise InputError(f"unmeasured muscles by '{method}' need loss = \"normal\"; or choose synergies")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @staticmethod
    def of(settings: Settings | None, options: Mapping[str, Any]) -> Settings:
        """Settings, but for what `options` say otherwise; without settings, the options and the defaults.

        **Raises:** `InputError` if an option is unknown or cannot be used, or nothing says what is free.
        """
        names = [f.name for f in fields(Settings)]
        for name in options:
            if name not in names:
                raise InputError(f"there is no option '{name}'{suggest(name, names, limit=len(names))}")
        if type(settings) is Settings:
            return replace(settings, **options)
        if settings is not None:
            hint = "mjx_msm.study.settings.settings(study) makes them of a subject file"
            raise InputError(f"settings must be Settings, got {type(settings).__name__}; {hint}")
        if "free" not in options:
            raise InputError("nothing to estimate: give free, patterns of parameters, or settings")
        return Settings(**options)


def with_options(**defaults: Any) -> Callable[[Function], Function]:
    """Show the fields of `Settings`, with their defaults, where a function takes ``**options``: for `help` and for
    completion in a running session. What reads the source has `Options`.

    **Arguments:** `defaults`: of this function, where they are not those of `Settings`.
    """
    usual = {f.name: {} if f.default_factory is not MISSING else f.default for f in fields(Settings)} | defaults

    def shown(function: Function) -> Function:
        signature = inspect.signature(function)
        *others, rest = signature.parameters.values()
        assert rest.kind is rest.VAR_KEYWORD
        asked = [
            rest.replace(
                name=name,
                kind=rest.KEYWORD_ONLY,
                default=rest.empty if default is MISSING else default,
                annotation=Options.__annotations__[name],
            )
            for name, default in usual.items()
        ]
        function.__signature__ = signature.replace(parameters=[*others, *asked])  # type: ignore[attr-defined]
        return function

    return shown


def _table(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Entries of a mapping from texts, none of None."""
    if value is None:
        return ()
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        forms = {"bounds": "{pattern: [lo, hi]}", "emg_map": "{muscle: {channel: weight}}"}
        form = {**forms, "unmeasured": "{muscle: method}"}.get(name, "{pattern: prior}")
        raise InputError(f"{name} must be {form}, got {show(value)}")
    return value.items()


def _bounds(pattern: str, value: Any) -> Mapping[str, Sequence[float]]:
    given = value if isinstance(value, Mapping) else {"range": value}
    pair = next(iter(given.values()), None) if len(given) == 1 else None
    numbers = _numbers(pair)
    if not set(given) <= {"factor", "range"} or numbers is None or len(numbers) != 2:
        raise InputError(
            f"bounds: '{pattern}' must be {{ factor = [lo, hi] }} or {{ range = [lo, hi] }}, got {show(value)}"
        )
    if not numbers[0] < numbers[1]:
        low, high = numbers
        raise InputError(f"bounds: '{pattern}' is empty ({low:g} to {high:g}); put the lower bound first")
    return {key: numbers for key in given}


def _prior(pattern: str, value: Any) -> Mapping[str, Any] | str:
    if isinstance(value, str) and value == "none":
        return value
    if isinstance(value, Mapping) and value and set(value) <= {"mean", "sd", "relative_sd"}:
        read = {key: float(x) if _is_number(x) else _numbers(x) if key == "mean" else None for key, x in value.items()}
        if not any(x is None or (isinstance(x, list) and len(x) != 6) for x in read.values()):
            return read
    raise InputError(
        f"priors: '{pattern}' must have mean, sd or relative_sd, or be \"none\", got {show(value)}"
    )  # the mean of an inertia is six numbers


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _numbers(values: Any) -> list[float] | None:
    """A list of finite numbers, None if it is not one."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        return None
    listed = list(values)
    return [float(x) for x in listed] if all(map(_is_number, listed)) else None


def _whole(name: str, value: Any, least: int, of: str = "") -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        raise InputError(f"{name} = {show(value)} must be a whole number{of}, at least {least}")
    return int(value)
