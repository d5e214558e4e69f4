"""A scene without OpenGL: the outlines of its shapes, drawn with matplotlib."""

from __future__ import annotations

import itertools

import mujoco
import numpy as np
from numpy.typing import NDArray

from mjx_msm.views.canvas import Frame


class SchematicCanvas:
    """The outlines of the same scene in the same perspective, with matplotlib; muscles lie on top."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int]):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.collections import PolyCollection
        from matplotlib.figure import Figure

        self._model, self._size = model, size
        width, height = size
        figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(6, height - 6, "schematic: no OpenGL", fontsize=7, color="0.45", zorder=3)
        self._polygons = PolyCollection([], linewidths=0.8, zorder=2)
        axes.add_collection(self._polygons, autolim=False)
        self._canvas = FigureCanvasAgg(figure)

    def draw(self, scene: mujoco.MjvScene) -> Frame:
        shapes = []
        for geom in scene.geoms[: scene.ngeom]:
            points = self._surface(geom)
            outline = None if points is None or geom.rgba[3] == 0 else self._outline(scene, points)
            if outline is not None:
                is_plane = geom.type == mujoco.mjtGeom.mjGEOM_PLANE
                is_tendon = geom.objtype == mujoco.mjtObj.mjOBJ_TENDON
                layer = 0 if is_plane else 2 if is_tendon else 1
                rgba = np.array((0.93, 0.93, 0.91, 1) if is_plane else geom.rgba, float)
                edge = np.append(rgba[:3] * (1 if is_tendon else 0.55), rgba[3])
                shapes.append((layer, -geom.camdist, outline, rgba, edge))
        shapes.sort(key=lambda shape: shape[:2])
        self._polygons.set_verts([shape[2] for shape in shapes])
        self._polygons.set_facecolor([tuple(shape[3]) for shape in shapes])
        self._polygons.set_edgecolor([tuple(shape[4]) for shape in shapes])
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def _surface(self, geom: mujoco.MjvGeom) -> NDArray[np.float64] | None:
        """Points (n, 3) of the geom in the world [m] whose convex hull is its shape."""
        kinds, size = mujoco.mjtGeom, np.asarray(geom.size, float)
        turn = 2 * np.pi * np.arange(16) / 16
        ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(16)], axis=-1)
        ball = np.concatenate(
            [ring * (np.cos(a), np.cos(a), 0) + (0, 0, np.sin(a)) for a in np.linspace(-np.pi / 2, np.pi / 2, 7)]
        )
        ends = np.array([[[0, 0, -1.0]], [[0, 0, 1.0]]])
        if geom.type == kinds.mjGEOM_PLANE:
            half = np.where(size[:2] > 0, size[:2], 10 * self._model.stat.extent)
            steps = np.linspace(-1, 1, 41)
            points = np.array([(x * half[0], y * half[1], 0) for x in steps for y in steps])
        elif geom.type in (kinds.mjGEOM_SPHERE, kinds.mjGEOM_ELLIPSOID):
            points = ball * size
        elif geom.type == kinds.mjGEOM_CAPSULE:
            points = (ball * size[0] + ends * size[2]).reshape(-1, 3)
        elif geom.type == kinds.mjGEOM_CYLINDER:
            points = (ring * size[0] + ends * size[2]).reshape(-1, 3)
        elif geom.type == kinds.mjGEOM_BOX:
            points = np.array(list(itertools.product((-1, 1), repeat=3))) * size
        elif geom.type == kinds.mjGEOM_MESH and geom.dataid >= 0:
            mesh = geom.dataid // 2
            first, count = self._model.mesh_vertadr[mesh], self._model.mesh_vertnum[mesh]
            points = np.asarray(self._model.mesh_vert[first : first + count], float)[:: 1 + count // 500]
        else:
            return None
        return points @ np.asarray(geom.mat, float).reshape(3, 3).T + np.asarray(geom.pos, float)

    def _outline(self, scene: mujoco.MjvScene, points: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The hull of the points in the picture [pixels], or None if they are behind the camera."""
        from scipy.spatial import ConvexHull

        left, right = scene.camera[0], scene.camera[1]
        forward, up = np.asarray(left.forward, float), np.asarray(left.up, float)
        offset = points - (np.asarray(left.pos, float) + np.asarray(right.pos, float)) / 2
        depth = offset @ forward
        near = left.frustum_near
        offset, depth = offset[depth > near], depth[depth > near]
        if len(offset) < 3:
            return None
        scale = np.ones_like(depth) if left.orthographic else near / depth
        plane = np.stack([offset @ np.cross(forward, up), offset @ up], -1) * scale[:, None]
        width, height = self._size
        per_metre = height / (left.frustum_top - left.frustum_bottom)
        middle = (left.frustum_top + left.frustum_bottom) / 2
        pixels = np.array((width / 2, height / 2)) + per_metre * (plane - (0, middle)) * (1, -1)
        # Joggled input: a plane seen edge-on is a line.
        return pixels[ConvexHull(pixels, qhull_options="QJ").vertices]

    def covered(self, scene: mujoco.MjvScene) -> NDArray[np.bool_]:
        """What is not as white as the paper."""
        return np.asarray((self.draw(scene) < 250).any(axis=2))

    def close(self) -> None:
        self._canvas.figure.clear()
