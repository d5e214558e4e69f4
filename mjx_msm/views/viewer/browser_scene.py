"""MuJoCo's abstract scene in a browser, through viser: every kind of shape is one batch of instances."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from mjx_msm.common.optional import optional

if TYPE_CHECKING:
    from viser import ViserServer

_KIND = mujoco.mjtGeom
ROUND, BAR, BLOCK = "round", "bar", "block"
"""Unit shapes: a sphere and a cylinder of radius and half length 1, a cube of half length 1."""


CAMERA = "sagittal"
FROM = (0.5, -1.6, 0.4)
"""Where the view begins without such a camera, from the model's middle, in sizes of the model."""


class Instances:
    """Shapes of one kind: where they are, how they are turned and stretched, and their colours."""

    def __init__(self) -> None:
        self._rows: list[tuple[np.ndarray, ...]] = []

    def add(self, place: np.ndarray, turn: np.ndarray, stretch: Any, rgba: np.ndarray) -> None:
        self._rows.append((place, turn, np.asarray(stretch, float), rgba))

    @cached_property
    def position(self) -> Float[np.ndarray, "instance 3"]:
        """[m]."""
        return np.array([place for place, *_ in self._rows]).reshape(-1, 3)

    @cached_property
    def quaternion(self) -> Float[np.ndarray, "instance 4"]:
        """w, x, y, z."""
        out = np.zeros((len(self._rows), 4))
        for row, (_, turn, *_) in zip(out, self._rows, strict=True):
            mujoco.mju_mat2Quat(row, turn.ravel())
        return out

    @cached_property
    def scale(self) -> Float[np.ndarray, "instance 3"]:
        """Of the unit shape [m]."""
        return np.array([stretch for _, _, stretch, _ in self._rows]).reshape(-1, 3)

    @cached_property
    def colour(self) -> UInt8[np.ndarray, "instance 3"]:
        return np.array([np.round(255 * rgba[:3]) for *_, rgba in self._rows], np.uint8).reshape(-1, 3)

    @cached_property
    def opacity(self) -> Float[np.ndarray, "instance"]:
        return np.array([rgba[3] for *_, rgba in self._rows])


def instances_of(scene: mujoco.MjvScene) -> Mapping[str, Instances]:
    """What a scene holds, by unit shape; the name of a mesh is "mesh/<number in the model>". Planes are left out."""
    out: dict[str, Instances] = {}

    def add(shape: str, place: np.ndarray, turn: np.ndarray, stretch: Any, rgba: np.ndarray) -> None:
        out.setdefault(shape, Instances()).add(place, turn, stretch, rgba)

    for geom in scene.geoms[: scene.ngeom]:
        rgba = np.array(geom.rgba, float)
        if rgba[3] == 0:
            continue
        place, turn, size = np.array(geom.pos, float), np.array(geom.mat, float).reshape(3, 3), np.array(geom.size)
        if geom.type in (_KIND.mjGEOM_SPHERE, _KIND.mjGEOM_ELLIPSOID):
            add(ROUND, place, turn, size, rgba)
        elif geom.type in (_KIND.mjGEOM_CAPSULE, _KIND.mjGEOM_CYLINDER):
            add(BAR, place, turn, (size[0], size[0], size[2]), rgba)
            if geom.type == _KIND.mjGEOM_CAPSULE:
                for end in (-size[2], size[2]):
                    add(ROUND, place + end * turn[:, 2], turn, np.full(3, size[0]), rgba)
        elif geom.type == _KIND.mjGEOM_BOX:
            add(BLOCK, place, turn, size, rgba)
        elif geom.type == _KIND.mjGEOM_MESH and geom.dataid >= 0:
            add(f"mesh/{geom.dataid // 2}", place, turn, np.ones(3), rgba)
    return out


def _viewpoint(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """Where the camera begins and where it looks [m]: as the model's own camera does, else at the whole of it."""
    middle = np.array(model.stat.center)
    if CAMERA not in [model.camera(i).name for i in range(model.ncam)]:
        return middle + float(model.stat.extent) * np.array(FROM), middle
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    camera = data.camera(CAMERA)
    place, ahead = np.array(camera.xpos), -np.array(camera.xmat).reshape(3, 3)[:, 2]
    return place, place + ahead * max(float((middle - place) @ ahead), 0.1)


class BrowserScene:
    """Shows scenes of one model, the latest at a time."""

    def __init__(self, server: ViserServer, model: mujoco.MjModel):
        self._server, self._model = server, model
        self._shown: dict[str, Any] = {}
        server.initial_camera.position, server.initial_camera.look_at = _viewpoint(model)

    def show(self, scene: mujoco.MjvScene) -> None:
        """Replace what was shown before."""
        found = instances_of(scene)
        with self._server.atomic():
            for shape in set(self._shown) - set(found):
                self._shown.pop(shape).remove()
            for shape, which in found.items():
                self._update(shape, which)

    def _update(self, shape: str, which: Instances) -> None:
        shown = self._shown.get(shape)
        if shown is None or len(shown.batched_positions) != len(which.position):
            vertices, faces = self._mesh(shape)
            self._shown[shape] = self._server.scene.add_batched_meshes_simple(
                f"/scene/{shape}", vertices, faces, which.quaternion, which.position,
                batched_scales=which.scale, batched_colors=which.colour, batched_opacities=which.opacity, lod="off",
            )  # fmt: skip
            return
        shown.batched_positions, shown.batched_wxyzs = which.position, which.quaternion
        shown.batched_scales, shown.batched_colors = which.scale, which.colour
        shown.batched_opacities = which.opacity

    def _mesh(self, shape: str) -> tuple[np.ndarray, np.ndarray]:
        if shape.startswith("mesh/"):
            m, k = self._model, int(shape.removeprefix("mesh/"))
            vertices = m.mesh_vert[m.mesh_vertadr[k] : m.mesh_vertadr[k] + m.mesh_vertnum[k]]
            return vertices, m.mesh_face[m.mesh_faceadr[k] : m.mesh_faceadr[k] + m.mesh_facenum[k]]
        create = optional("trimesh", "view", "the viewer").creation
        make = {
            ROUND: lambda: create.icosphere(subdivisions=3, radius=1.0),
            BAR: lambda: create.cylinder(radius=1.0, height=2.0, sections=24),
            BLOCK: lambda: create.box(extents=(2.0, 2.0, 2.0)),
        }
        mesh = make[shape]()
        return np.asarray(mesh.vertices), np.asarray(mesh.faces)
