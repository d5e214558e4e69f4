"""What draws a scene: the form that OpenGL and the schematic share, and the frame they give."""

from __future__ import annotations

from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""`(height, width, 3)`, RGB."""


class Canvas(Protocol):
    """Draws what MuJoCo has laid out in a scene, until it is closed."""

    def draw(self, scene: mujoco.MjvScene) -> Frame: ...
    def covered(self, scene: mujoco.MjvScene) -> NDArray[np.bool_]:
        """Pixels (height, width) where there is anything of the scene."""
        ...

    def close(self) -> None: ...
