"""A model in the browser, to move by hand: a slider a coordinate, and how active the muscles are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.person.model import Model
from mjx_msm.views.posed_scene import PosedScene
from mjx_msm.views.viewer.browser_scene import BrowserScene
from mjx_msm.views.viewer.poses import poses_of

if TYPE_CHECKING:
    from viser import ViserServer

WIDEST = np.pi
"""Of a slider where the file has no range [rad, m]."""


class ModelPage:
    """Shows the model as its sliders stand."""

    def __init__(self, server: ViserServer, model: Model):
        m = model.host.mj_model
        self._whole = poses_of(m)
        self._posed, self._browser = PosedScene(m), BrowserScene(server, m)
        self._level = server.gui.add_slider("activation", 0.0, 1.0, 0.01, 0.1)
        self._level.on_update(lambda _: self.show())
        self._sliders: list[Any] = []
        for name, value in zip(model.coordinates, model.host.reference, strict=True):
            joint = m.joint(name)
            low, high = map(float, joint.range if joint.limited[0] else (-WIDEST, WIDEST))
            low, high = min(low, float(value)), max(high, float(value))
            slider = server.gui.add_slider(name, low, high, (high - low) / 500, float(value), hint="rad (slides: m)")
            slider.on_update(lambda _: self.show())
            self._sliders.append(slider)
        self.show()

    def show(self) -> None:
        """The pose that the sliders say."""
        pose = self._whole(np.array([[s.value for s in self._sliders]]))[0]
        self._browser.show(self._posed(pose, np.full(self._posed.muscle_count, self._level.value)))

    def play(self, stopped: Callable[[], bool]) -> None:
        """Stay until told to stop."""
        while not stopped():
            time.sleep(0.05)
