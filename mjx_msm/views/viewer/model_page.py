"""A model in the browser, to move by hand: a slider a coordinate, and how active the muscles are."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.person.model import Model
from mjx_msm.views.posed_scene import PosedScene
from mjx_msm.views.viewer.browser_scene import BrowserScene
from mjx_msm.views.viewer.poses import poses_of

if TYPE_CHECKING:
    from viser import ViserServer

FRAMES = 20.0
"""A second, at most."""
WIDEST = np.pi
"""Of a slider where the file has no range [rad, m]."""


class ModelPage:
    """Shows the model as its sliders stand.

    Sliders call from other threads, and MuJoCo's scene bears one at a time: they only mark what `play` draws.
    """

    def __init__(self, server: ViserServer, model: Model):
        m = model.host.mj_model
        self._whole = poses_of(m)
        self._posed, self._browser = PosedScene(m), BrowserScene(server, m)
        self._level = server.gui.add_slider("activation", 0.0, 1.0, 0.01, 0.1)
        self._moved = Event()
        self._level.on_update(lambda _: self._moved.set())
        self._sliders: list[Any] = []
        for name, value in zip(model.coordinates, model.host.reference, strict=True):
            joint = m.joint(name)
            low, high = map(float, joint.range if joint.limited[0] else (-WIDEST, WIDEST))
            low, high = min(low, float(value)), max(high, float(value))
            slider = server.gui.add_slider(name, low, high, (high - low) / 500, float(value), hint="rad (slides: m)")
            slider.on_update(lambda _: self._moved.set())
            self._sliders.append(slider)
        self.show()

    def show(self) -> None:
        """The pose that the sliders say; from one thread at a time."""
        pose = self._whole(np.array([[s.value for s in self._sliders]]))[0]
        self._browser.show(self._posed(pose, np.full(self._posed.muscle_count, self._level.value)))

    def play(self, stopped: Callable[[], bool]) -> None:
        """Draw what is moved, until told to stop."""
        while not stopped():
            if self._moved.wait(1.0 / FRAMES):
                self._moved.clear()  # first: what moves from here on is drawn the next time
                self.show()
