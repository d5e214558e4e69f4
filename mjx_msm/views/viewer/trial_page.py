"""A trial of a result in the browser: scrub through it, see muscles work, move parameters and watch the moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from jaxtyping import Float

from mjx_msm.knowledge.records import Estimate
from mjx_msm.views.posed_scene import PosedScene
from mjx_msm.views.replay import Replay, bridged
from mjx_msm.views.viewer.browser_scene import BrowserScene

if TYPE_CHECKING:
    from viser import ViserServer

    from mjx_msm.views.viewer.moments import RecordedMotion

MOST_SLIDERS = 24
FRAMES = 30.0
"""A second, while it plays."""
POINTS = 500
"""Of a curve, at most; more are not seen."""
MOVED = "as the sliders stand"
NOW = "now"
COLOURS = {"measured": "#111111", "generic": "#9aa0a6", "identified": "#c8374d", MOVED: "#1a73e8", NOW: "#e8710a"}


class TrialPage:
    """**Arguments:**

    - `scene`: the person's model, coordinates as in the trial (all of MuJoCo's positions are filled in by `whole`).
    - `motion`: for sliders of parameters; None where the trial has no moments.
    - `estimates`: what sliders may move.

    Sliders call from other threads, and MuJoCo's scene bears one at a time: they only mark what `play` draws.
    """

    def __init__(
        self,
        server: ViserServer,
        scene: mujoco.MjModel,
        trial: Replay,
        whole: Callable[[Float[np.ndarray, "time coordinate"]], Float[np.ndarray, "time position"]],
        estimates: Sequence[Estimate],
        motion: RecordedMotion | None,
    ):
        self._server, self._trial, self._motion = server, trial, motion
        self._posed, self._browser = PosedScene(scene), BrowserScene(server, scene)
        measured = trial.pose()
        self._pose = whole(bridged(trial.pose("identified") if trial.simulated else measured))
        self._ghost = whole(measured) if trial.simulated else None
        self._index = 0
        self._moved = Event()
        self._shown = np.unique(np.linspace(0, len(trial.time) - 1, POINTS).round().astype(int))
        gui = server.gui
        gui.add_markdown(f"**{trial.name}**  \nMuscles from blue (slack) to red (full activation).")
        self._at = gui.add_slider("time [s]", 0.0, float(trial.time[-1] - trial.time[0]), 0.005, 0.0)
        self._speed = gui.add_slider("speed", 0.05, 2.0, 0.05, 0.5)
        self._playing = gui.add_checkbox("play", False)
        if self._ghost is not None:
            gui.add_markdown("Translucent: as measured.")
        self._at.on_update(lambda _: self._moved.set())
        self._sliders: dict[str, Any] = {}
        self._plots = [self._plot(k) for k in range(len(trial.free))]
        if motion is not None:
            with gui.add_folder("parameters, over their 95 % intervals", expand_by_default=False):
                self._add_sliders(estimates)
        self.show(0.0)

    @property
    def adjusted(self) -> dict[str, float]:
        """Parameters as the sliders stand."""
        return {path: float(slider.value) for path, slider in self._sliders.items()}

    def show(self, since: float) -> None:
        """The trial so long after its start [s], moments as the sliders stand; from one thread at a time."""
        self._index = int(np.argmin(np.abs(self._trial.time - self._trial.time[0] - since)))
        ghost = None if self._ghost is None else self._ghost[self._index]
        scene = self._posed(self._pose[self._index], self._trial.activation[self._index], ghost)
        self._browser.show(scene)
        for k, plot in enumerate(self._plots):
            if plot is not None:
                plot.data = self._drawn(self._curves(k))

    def play(self, stopped: Callable[[], bool]) -> None:
        """Move on as time does while "play" is ticked, and draw what is moved, until it is told to stop."""
        last, length = time.monotonic(), float(self._at.max)
        while not stopped():
            time.sleep(1.0 / FRAMES)
            now = time.monotonic()
            if self._playing.value and length > 0:
                self._at.value = (float(self._at.value) + (now - last) * float(self._speed.value)) % length
            last = now
            if self._moved.is_set():
                self._moved.clear()  # first: what moves from here on is drawn the next time
                self.show(float(self._at.value))

    # ------------------------------------------------------------------------------------------ plots

    def _plot(self, k: int) -> Any:
        from viser import uplot

        curves = self._curves(k)
        if not curves:
            return None
        what, unit = ("angle", "°") if self._trial.simulated else ("moment", "N·m")
        series = [uplot.Series(label="time [s]")]
        series += [uplot.Series(label=name, stroke=COLOURS[name], width=2) for name in curves]
        series += [
            uplot.Series(label=NOW, stroke=COLOURS[NOW], points={"show": True, "size": 10, "fill": COLOURS[NOW]})
        ]
        return self._server.gui.add_uplot(
            self._drawn(curves), tuple(series), aspect=1.6, title=f"{what} of {self._trial.free[k]} [{unit}]",
            scales={"x": uplot.Scale(time=False)},
        )  # fmt: skip

    def _curves(self, k: int) -> dict[str, Float[np.ndarray, "time"]]:
        trial = self._trial
        if trial.simulated:
            measured = trial.pose()[:, trial.coordinates.index(trial.free[k])]
            made = {"measured": measured, **{v: x[:, k] for v, x in trial.simulated.items()}}
            return {name: np.degrees(x) for name, x in made.items()}
        if trial.moment is None:
            return {}
        made = {"measured": trial.moment[:, k], **{v: x[:, k] for v, x in (trial.predicted or {}).items()}}
        if self._motion is not None:
            made[MOVED] = self._motion.moment(self.adjusted)[:, k]
        return made

    def _drawn(self, curves: dict[str, Float[np.ndarray, "time"]]) -> tuple[Float[np.ndarray, "point"], ...]:
        """Time, the curves, and a point on the last of them where the scene is."""
        rows = self._shown
        here = np.full(len(rows), np.nan)
        at = int(np.argmin(np.abs(rows - self._index)))
        here[at] = list(curves.values())[-1][rows[at]]
        return (self._trial.time[rows], *(x[rows] for x in curves.values()), here)

    # ------------------------------------------------------------------------------------------ sliders

    def _add_sliders(self, estimates: Sequence[Estimate]) -> None:
        shown = sorted(estimates, key=lambda e: -e.data_share)[:MOST_SLIDERS]
        for e in shown:
            low, high = min(e.low, e.value), max(e.high, e.value)
            if not (np.isfinite([low, high]).all() and high > low):
                continue
            known = f"{e.value:.4g} {e.unit} (95 %: {e.low:.4g} … {e.high:.4g})"
            slider = self._server.gui.add_slider(
                e.path.split("/", 1)[1],
                low,
                high,
                (high - low) / 200,
                e.value,
                hint=known,
            )
            slider.on_update(lambda _: self._moved.set())
            self._sliders[e.path] = slider
        back = self._server.gui.add_button("back to the estimate")
        values = {e.path: e.value for e in shown}

        @back.on_click
        def _(_: Any) -> None:
            for path, slider in self._sliders.items():
                slider.value = values[path]
