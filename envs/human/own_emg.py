"""The excitation that goes with a drawn body: one recorded envelope through everybody's own EMG channels.

The posterior of the EMG's gain, shape and delay is correlated with that of the muscles. Where a recording is replayed,
a drawn person gets not the point estimate's excitation in another body, but the envelope behind it through their own
EMG model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mjx_msm.envs.human.recording import Recording

SHARED = "muscles share EMG channels in a way that cannot be undone: everybody replays the point estimate's EMG"


class OwnExcitation(NamedTuple):
    """What drawn people's muscles get."""

    table: Float[np.ndarray, "person period muscle"] | None
    """In the middle of every control period; None where everybody gets what the point estimate gets."""
    note: str = ""
    """Why, where their EMG differs all the same."""


def own_excitation(
    result: Any,
    draws: Float[np.ndarray, "person free"],
    recording: Recording,
    muscles: tuple[str, ...],
    period: float,
) -> OwnExcitation:
    """Everybody's excitation, from that of the point estimate.

    **Arguments:** `result`: the `Identification` behind the draws. `draws`: from its posterior. `recording`: of the
    point estimate's excitation. `muscles`: the table's, by name. `period`: of control [s].
    """
    from mjx_msm.common.compiled import float64
    from mjx_msm.recordings.model_clock import mixing_matrix

    model = result.model()
    space = result.space(model)
    if not any(path.startswith("emg/") for path in space.paths):
        return OwnExcitation(None)
    mixing = mixing_matrix(model, result.channels, result.emg_map)
    if np.linalg.matrix_rank(mixing) < mixing.shape[1]:
        return OwnExcitation(None, SHARED)
    import jax

    with float64():
        emg = jax.vmap(lambda z: space.unpack(z).emg)(np.concatenate([[result.z], draws]))
    columns = [recording.muscles.index(name) for name in model.muscles]
    excitation = _through(recording.time, recording.excitation[:, columns], mixing, emg)
    tables = [
        Recording(recording.time, model.muscles, x, recording.position, recording.source).table(muscles, period)
        for x in excitation[1:]
    ]
    return OwnExcitation(np.stack(tables))


def _through(
    time: Float[np.ndarray, "time"],
    excitation: Float[np.ndarray, "time muscle"],
    mixing: Float[np.ndarray, "muscle channel"],
    emg: Any,
) -> Float[np.ndarray, "person time muscle"]:
    """What everybody's muscles get from the envelope behind the excitation of the first.

    The first one's EMG model is undone: muscles to channels by least squares, then shape and gain; then each applies
    their own. Where the first one's signal is full, the envelope is taken to be just that high.
    """
    import jax

    from mjx_msm.common.compiled import float64
    from mjx_msm.dynamics.excitation import excitation as through
    from mjx_msm.person.parameters import EmgParameters

    gain, delay, shape = (np.asarray(getattr(emg, name)) for name in ("gain", "delay", "shape"))
    step = float(np.mean(np.diff(time)))
    signal = np.clip(excitation @ np.linalg.pinv(mixing).T, 0.0, 1.0)
    bent = np.abs(shape[0]) > 1e-3
    safe = np.where(bent, shape[0], 1.0)
    signal = np.where(bent, np.log1p(signal * np.expm1(safe)) / safe, signal)
    envelope = signal / gain[0]
    with float64():
        own = jax.vmap(lambda g, d, a: through(EmgParameters(g, d, a), envelope, mixing, step))
        return np.asarray(own(gain, delay - delay[0], shape))
