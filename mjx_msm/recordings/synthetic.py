"""Synthetic subjects and trials whose truth is known: what an estimator has to recover.

A subject is the model's nominal one with every estimated parameter moved by up to a given fraction. A trial is
an open-loop simulation of that subject under smooth co-contraction which keeps off the joint stops, recorded with
or without noise. Without noise a rollout from the trial's first position and velocity under its EMG repeats it to
round-off.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt

from mjx_msm.common.arguments import number, of_kind, whole
from mjx_msm.common.compiled import float64, jit
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import Rollout, rollout_segments
from mjx_msm.person.couplings import spread, whole_position
from mjx_msm.person.inspection import coordinate_range, muscle_and_bone, path_slope
from mjx_msm.person.model import Model
from mjx_msm.person.parameters import Parameters, matching
from mjx_msm.recordings.trial import Trial

SETTLE = 1.5
"""Time under the first excitation before a trial begins, so that it starts near rest [s]."""
EXCITATION_BAND = 2.5
"""Excitations hold frequencies up to this [Hz]; EMG envelopes are commonly cut at 3 to 6 Hz."""
NOISE_BAND = 6.0
"""EMG noise is as smooth as an envelope [Hz]."""
PRESCRIBED_BAND = 0.8
"""Prescribed coordinates move up to this fast [Hz]."""
CANDIDATES = 16
"""Simulated side by side; those that stay in the comfortable range become trials."""


def synthetic_subject(model: Model, *, seed: int, spread: float = 0.1) -> Parameters:
    """A subject whose `muscle_and_bone` parameters are each off nominal by a factor of 1 ± `spread`, uniformly drawn.

    A tendon slack length that the file gives as negative has no scale, and stays.

    **Arguments:** `spread`: 0 to 0.15; beyond, tendons are slack or muscles overstretched in ordinary postures.
    """
    of_kind("model", model, Model, "load_model makes one")
    whole("seed", seed)
    if not 0 <= number("spread", spread) <= 0.15:
        raise InputError(f"spread {spread:g} of the true parameters must lie between 0 and 0.15; choose e.g. 0.1")
    rng, nominal = np.random.default_rng(seed), model.nominal.to_dict()
    factors = {}
    for path in matching(model.nominal, muscle_and_bone(model)):
        factor = 1 + spread * rng.uniform(-1, 1)
        if nominal[path] > 0 or not path.startswith("muscle/"):
            factors[path] = nominal[path] * factor
    return model.nominal.updated(factors)


def synthetic_trials(
    model: Model,
    truth: Parameters,
    *,
    count: int = 4,
    duration: float = 2.0,
    rate: float | None = None,
    seed: int = 0,
    angle_noise: float = 0.0,
    emg_noise: tuple[float, float] = (0.0, 0.0),
    prefix: str = "trial",
) -> tuple[Trial, ...]:
    """Record a subject in simulated trials.

    Every muscle's excitation is smooth and random around a co-contraction of its own; the model settles under the
    first one before the recording starts, so that activation begins at steady state, as `identify` assumes.
    Draws in which a coordinate comes near its stops are rejected. Prescribed coordinates move slowly about the
    middle of their range.

    **Arguments:**

    - `duration`: of a trial [s].
    - `rate`: of the recording [Hz], at most the model's clock's; None: that. Where it is no whole fraction of the
      clock, angles between two steps are those of a cubic spline.
    - `angle_noise`: standard deviation of white noise on the free coordinates [rad].
    - `emg_noise`: standard deviation of the EMG's error, relative and absolute (envelopes are 0..1);
      it is as smooth as an envelope.

    **Returns:** trials whose channels are the muscles; with the exact velocities where the angles have no noise.

    **Raises:** `InputError` if the clock does not fit or no excitation keeps the model off its stops.
    """
    of_kind("model", model, Model, "load_model makes one")
    of_kind("truth", truth, Parameters, "synthetic_subject makes one")
    model.host.only_tree("synthetic_trials")
    if not isinstance(emg_noise, list | tuple) or len(emg_noise) != 2:
        raise InputError(f"emg_noise must be two numbers, relative and absolute, got {emg_noise!r}")
    for what, value in (("angle_noise", angle_noise), ("emg_noise", emg_noise[0]), ("emg_noise", emg_noise[1])):
        number(what, value)
    if not 0 < number("duration", duration) < math.inf:
        raise InputError(f"duration {duration:g} s must be positive")
    whole("count", count, 1)
    whole("seed", seed)
    model = model.by_rk4
    h = model.timestep
    rate = 1 / h if rate is None else number("rate", rate)
    if not 0 < rate * h < 1 + 1e-9:
        raise InputError(f"rate {rate:g} Hz is not between 0 and the model's clock, {1 / h:g} Hz; choose one that is")
    samples = int(round(duration * rate, 6))
    if samples < 20:
        raise InputError(f"duration {duration:g} s is {samples} samples at {rate:g} Hz; at least 20 are needed")
    if min(angle_noise, *emg_noise) < 0:
        raise InputError("noise must not be negative; 0 is none")
    rng = np.random.default_rng(seed)
    stride = round(1 / (rate * h))
    on_clock = abs(stride * rate * h - 1) < 1e-9
    recorded = h * stride * np.arange(samples + 1) if on_clock else np.arange(samples + 1) / rate
    clock = h * np.arange(math.ceil(recorded[-1] / h - 1e-6) + 1)
    accepted: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    level = 1.0
    for _ in range(20):
        posture, centre = _balanced(model, truth, rng)
        envelope = np.stack([_excitations(rng, c, samples + 1, rate, level) for c in centre])
        drive = np.stack([[np.interp(clock, recorded, c) for c in d.T] for d in envelope]).swapaxes(1, 2)
        held = np.stack([_prescribed(model, rng, q, len(clock)) for q in posture])
        motion = _simulated(model, truth, posture, drive, held)
        good = [i for i in range(CANDIDATES) if _comfortable(model, motion, i)]
        q, v = np.asarray(motion.position), np.asarray(motion.velocity)
        if on_clock:
            accepted += [(drive[i, ::stride], q[i, ::stride], v[i, ::stride]) for i in good]
        else:
            accepted += [
                (envelope[i], CubicSpline(clock, q[i])(recorded), CubicSpline(clock, v[i])(recorded)) for i in good
            ]
        if len(accepted) >= count:
            break
        level *= 1.0 if 2 * len(good) > count else 0.8
    else:
        raise InputError(
            f"no excitation found that keeps {', '.join(model.free)} off their stops for {duration:g} s; "
            "choose a shorter duration, or prescribe more coordinates"
        )
    trials = []
    for k, (drive, position, velocity) in enumerate(accepted[:count]):
        free = model.host.free_index
        noisy = position.copy()
        noisy[:, free] += angle_noise * rng.standard_normal((len(recorded), len(free)))
        relative, absolute = (
            sd * smooth_noise(rng, len(recorded), drive.shape[1], rate, NOISE_BAND) if sd else np.zeros_like(drive)
            for sd in emg_noise
        )
        used = [c for c in range(len(model.coordinates)) if model.coordinates[c] not in model.host.locked]
        trials.append(
            Trial(
                name=f"{prefix}{k + 1}",
                time=recorded,
                coordinates=tuple(model.coordinates[c] for c in used),
                position=noisy[:, used],
                channels=model.muscles,
                emg=np.clip(drive * (1 + relative) + absolute, 0.0, 1.0),
                velocity=velocity[:, used] if angle_noise == 0 else None,
                metadata={"synthetic": True, "seed": seed, "angle_noise": angle_noise, "emg_noise": emg_noise},
            )
        )
    return tuple(trials)


def smooth_noise(
    rng: np.random.Generator, samples: int, columns: int, rate: float, band: float
) -> Float[np.ndarray, "time column"]:
    """Gaussian noise up to `band` [Hz], of unit variance over its ensemble."""
    margin = int(np.ceil(2 * rate / band))
    sos = butter(2, min(band, 0.45 * rate), fs=rate, output="sos")
    impulse = np.zeros(2 * margin + 1)
    impulse[margin] = 1.0
    gain = np.sqrt(np.sum(sosfiltfilt(sos, impulse) ** 2))
    white = rng.standard_normal((samples + 2 * margin, columns))
    return sosfiltfilt(sos, white, axis=0)[margin : margin + samples] / gain


def _balanced(
    model: Model, truth: Parameters, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "candidate coordinate"], Float[np.ndarray, "candidate muscle"]]:
    """Comfortable postures, and for each the most balanced of many random co-contractions."""
    m = model.host.mj_model
    d = mujoco.MjData(m)
    postures = np.array([[_comfort(model, i, rng) for i in range(len(model.coordinates))] for _ in range(CANDIDATES)])
    levels = np.exp(rng.uniform(np.log(0.03), np.log(0.35), (400, m.nu)))
    free, centres = model.host.free_index, []
    for q in postures:
        d.qpos[:], d.qvel[:] = whole_position(m, q), 0.0
        mujoco.mj_forward(m, d)
        length, rest = d.actuator_length.copy(), (spread(m, q).T @ (d.qfrc_passive - d.qfrc_bias))[free]
        arms = np.stack([-path_slope(m, d, q, int(c)) for c in free], -1)
        with float64():
            tension = np.asarray(
                model.muscle.tension(truth.muscle, *map(jnp.asarray, (levels, length, np.zeros(m.nu))))
            )
        centres.append(levels[np.argmin(np.sum((tension @ arms + rest) ** 2, axis=1))])
    return postures, np.array(centres)


def _comfort(model: Model, i: int, rng: np.random.Generator) -> float:
    """A value in the middle half of a coordinate's range."""
    name = model.coordinates[i]
    if name in model.host.locked:
        return model.host.locked[name]
    low, high = coordinate_range(model, name)
    if not math.isfinite(high - low):
        low, high = model.host.reference[i] + np.array([-0.5, 0.5])
    return float(low + (high - low) * rng.uniform(0.25, 0.75))


def _excitations(
    rng: np.random.Generator, centre: Float[np.ndarray, "muscle"], samples: int, rate: float, level: float
) -> Float[np.ndarray, "time muscle"]:
    """Smooth excitations about `centre`, whose deviations `level` scales; between 0.01 and 0.9."""
    wave = smooth_noise(rng, samples, len(centre), rate, EXCITATION_BAND)
    logit = np.log(centre / (1 - centre)) + 0.8 * level * wave
    return np.clip(1 / (1 + np.exp(-logit)), 0.01, 0.9)


def _prescribed(
    model: Model, rng: np.random.Generator, posture: np.ndarray, samples: int
) -> Float[np.ndarray, "time prescribed"]:
    """Slow motion about a posture, from rest."""
    columns = []
    ramp = np.clip(np.arange(samples) * model.timestep / 0.4, 0, 1)
    ramp = ramp**3 * (10 - 15 * ramp + 6 * ramp**2)
    for name, centre in zip(model.prescribed, posture[model.host.prescribed_index], strict=True):
        low, high = coordinate_range(model, name)
        amplitude = 0.15 * (high - low) if math.isfinite(high - low) else 0.2
        wave = np.tanh(smooth_noise(rng, samples, 1, 1 / model.timestep, PRESCRIBED_BAND)[:, 0])
        columns.append(centre + amplitude * ramp * (wave - wave[0]))
    return np.stack(columns, -1) if columns else np.zeros((samples, 0))


def _simulated(model: Model, truth: Parameters, posture: np.ndarray, drive: np.ndarray, held: np.ndarray) -> Rollout:
    """Every candidate from rest, after settling under its first excitation."""
    q, v, failed = posture, np.zeros_like(posture), False
    # runs as long as the recording itself, so that one function is compiled
    settling = math.ceil(SETTLE / (model.timestep * (drive.shape[1] - 1)))
    at_first = [np.repeat(x[:, :1], x.shape[1], axis=1) for x in (drive, held)]
    with float64():
        for _ in range(settling):
            settled = _motions(model, truth, *map(jnp.asarray, (q, v, drive[:, 0], *at_first)))
            q, v = np.asarray(settled.position)[:, -1], np.asarray(settled.velocity)[:, -1]
            failed = failed | (np.asarray(settled.failed_step) >= 0)
        motion = _motions(model, truth, *map(jnp.asarray, (q, v, drive[:, 0], drive, held)))
        motion = jax.tree.map(np.asarray, motion)
    failed = failed | (motion.failed_step >= 0)
    return eqx.tree_at(lambda m: m.failed_step, motion, np.where(failed, 0, -1))


@jit
def _motions(
    model: Model, truth: Parameters, position: Array, velocity: Array, activation: Array, drive: Array, held: Array
) -> Rollout:
    return rollout_segments(model, truth, position, velocity, activation, drive, prescribed=held)


def _comfortable(model: Model, motion: Rollout, i: int) -> bool:
    """Simulated to the end, moving, and off the stops by 5 % of the range."""
    if motion.failed_step[i] >= 0:
        return False
    for c in model.host.free_index:
        q = motion.position[i, :, c]
        low, high = coordinate_range(model, model.coordinates[c])
        margin = 0.05 * (high - low) if math.isfinite(high - low) else 0.0
        if q.min() < low + margin or q.max() > high - margin or np.ptp(q) < 0.1:
            return False
    return True
