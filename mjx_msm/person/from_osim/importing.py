"""`import_osim`: an .osim file as an `MjSpec`, and the report of how far it is from OpenSim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from mjx_msm.common.arguments import words
from mjx_msm.common.errors import InputError, one_of
from mjx_msm.common.patterns import named
from mjx_msm.person.from_osim.fitting import STEP, Targets, fit_path
from mjx_msm.person.from_osim.laws import own_laws
from mjx_msm.person.from_osim.moments import MomentError, moment_errors
from mjx_msm.person.from_osim.opened import OpenedModel, working_range
from mjx_msm.person.from_osim.paths import candidates, read_paths
from mjx_msm.person.from_osim.skeleton import GROUND, Skeleton, skeleton_of
from mjx_msm.person.from_osim.writing import (
    add_looks,
    add_markers,
    add_muscle,
    add_path,
    add_stops,
    add_words,
    compiled,
    set_coordinates,
    tree_spec,
)
from mjx_msm.person.kept_law import keep_law

OFFSETS = "path_offsets"
"""Of every muscle in order, in the MJCF: our path's mean length less OpenSim's [m], which its slack length holds."""
ROLLING = ("hinge", "coupled")
BAR = 2e-3
"""[m]: a path with a larger RMS error of length or moment arm is listed by name."""
_SCAN, _RANDOM, _CHECKED = 9, 48, 128


@dataclass(frozen=True)
class PathError:
    """How far one muscle's path is from OpenSim's, RMS over poses that the fit did not see."""

    muscle: str
    length: float
    """Less its mean [m]."""
    arms: Mapping[str, float]
    """By coordinate that it crosses [m]."""
    offset: float
    """Mean of our length less OpenSim's [m]; it is in the tendon slack length."""

    @property
    def worst(self) -> float:
        return max([self.length, *self.arms.values()])


@dataclass(frozen=True)
class ImportReport:
    source: Path
    coordinates: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    """Over which paths were fitted [rad or m]."""
    hinges: Mapping[str, float]
    """Coordinate of a joint that rolls → RMS distance [m] of the nearest hinge."""
    paths: tuple[PathError, ...]
    moments: tuple[MomentError, ...]
    """Of inverse dynamics without muscles, coordinate by coordinate."""
    notes: tuple[str, ...]

    @property
    def beyond(self) -> tuple[PathError, ...]:
        """Paths with an error above `BAR`, the worst first."""
        return tuple(sorted((p for p in self.paths if p.worst > BAR), key=lambda p: -p.worst))


@dataclass(frozen=True)
class Imported:
    spec: mujoco.MjSpec
    report: ImportReport


def import_osim(
    path: str | Path,
    *,
    coordinates: Iterable[str] | None = None,
    muscles: Iterable[str] | None = None,
    rolling: str = "hinge",
    progress: Callable[[str, int, int], None] | None = None,
) -> Imported:
    """An OpenSim model as MJCF: a tree of hinges and slides with native muscles.

    Body frames, coordinates (name, zero, sign), masses, centres and inertias are OpenSim's. Coordinates that are not
    kept are held at the file's default posture and their bodies fused. Knees that roll become the nearest hinge.
    Paths of fixed points are exact; others are fitted to OpenSim's lengths and moment arms, muscle by muscle, and what
    is left is in the report. Native muscles have no pennation: F0 and l_opt are taken along the tendon; what this
    leaves out is kept for the law that the muscles had (`mjx_msm.person.kept_law`), which the notes name.

    **Arguments:**

    - `coordinates`: names or patterns of those to keep; None: all that are neither locked nor coupled to another.
    - `muscles`: likewise; None: all whose length a kept coordinate changes.
    - `rolling`: what a joint becomes that rolls and glides (a knee): ``"hinge"``, the nearest one; or ``"coupled"``,
      slides and turns that follow the coordinate by polynomials, patella included. Nearer to OpenSim, and slower.
    - `progress`: called with a muscle's name, how many are done and how many there are.

    **Raises:** `InputError` if the file is no OpenSim model, a name is not in it, or a joint cannot be kept.
    """
    opened = OpenedModel(path)
    kept = _coordinates(opened, coordinates)
    skeleton = skeleton_of(opened, kept, coupled=one_of("rolling", rolling, ROLLING) == "coupled")
    kept = skeleton.coordinates
    chosen, crossed = _muscles(opened, kept, muscles)
    spec = tree_spec(opened, skeleton)
    tree = compiled(spec, opened)
    fits, errors, spans, together = {}, {}, {}, {}
    for name in chosen:
        together.setdefault(crossed[name], []).append(name)
    done = 0
    for names, members in together.items():
        poses = _poses(opened, names, _SCAN, _RANDOM, seed=1)
        lengths, arms = opened.lengths_and_arms(members, names, poses)
        bodies = _bodies(tree, skeleton, names, poses, opened)
        paths = read_paths(opened, skeleton, members, names, poses)
        for k, name in enumerate(members):
            targets = Targets(bodies, lengths[:, k], arms[:, k])
            fits[name] = fit_path(candidates(paths[name], skeleton), targets)
            done += 1
            if progress is not None:
                progress(name, done, len(chosen))
    for name in chosen:
        add_path(spec, name, fits[name].path)
    add_looks(spec, skeleton)
    stops = add_stops(spec, [opened.coordinates[c] for c in kept])
    drawn = compiled(spec, opened)
    for names, members in together.items():
        poses = _poses(opened, names, 2 * _SCAN + 1, _CHECKED, seed=2)
        lengths, arms = opened.lengths_and_arms(members, names, poses)
        ours, our_arms = lengths_in_c(drawn, members, names, poses, _default(opened, kept))
        for k, name in enumerate(members):
            offset = float((ours[:, k] - lengths[:, k]).mean())
            errors[name] = PathError(
                name,
                _rms(ours[:, k] - lengths[:, k] - offset),
                {c: _rms(our_arms[:, k, i] - arms[:, k, i]) for i, c in enumerate(names)},
                offset,
            )
            margin = 0.02 * (ours[:, k].max() - ours[:, k].min()) + 1e-4
            spans[name] = float(ours[:, k].min() - margin), float(ours[:, k].max() + margin)
    for name in chosen:
        add_muscle(spec, opened, name, errors[name].offset, spans[name])
    law, values, said = own_laws(opened, {name: errors[name].offset for name in chosen})
    keep_law(spec, law, values)
    report = ImportReport(
        source=opened.path,
        coordinates=kept,
        ranges={c: working_range(opened.coordinates[c]) for c in kept},
        hinges=dict(skeleton.rolling),
        paths=tuple(errors[name] for name in chosen),
        moments=moment_errors(OpenedModel(path), skeleton),
        notes=(*skeleton.notes, *stops, *said, *_left_out(opened, kept, chosen)),
    )
    add_markers(spec, opened, skeleton)
    add_words(spec, opened, chosen, report.notes)
    spec.add_numeric(name=OFFSETS, data=[errors[name].offset for name in chosen])
    _posture(spec, opened, kept)
    compiled(spec, opened)
    return Imported(spec, report)


def _coordinates(opened: OpenedModel, wanted: Iterable[str] | None) -> tuple[str, ...]:
    if wanted is None:
        return tuple(c.name for c in opened.coordinates.values() if not c.locked and not c.dependent)
    kept = named(words("coordinates", wanted), opened.coordinates, f"{opened.path} has no coordinate", limit=40)
    for name in kept:
        if opened.coordinates[name].dependent:
            raise InputError(f"{opened.path}: coordinate '{name}' follows another one; leave it out of coordinates")
    if not kept:
        raise InputError("coordinates is empty; name at least one, or leave it out for all")
    return kept


def _muscles(
    opened: OpenedModel, kept: Sequence[str], wanted: Iterable[str] | None
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    names = list(opened.muscles)
    if not names:
        raise InputError(f"{opened.path}: has no muscles (coordinates and bodies alone); give a model that has them")
    if wanted is not None:
        names = list(named(words("muscles", wanted), opened.muscles, f"{opened.path} has no muscle", limit=40))
    crossed = opened.crossed_by(names, kept)
    still = [n for n in names if not crossed[n]]
    if wanted is not None and still:
        raise InputError(
            f"{opened.path}: muscle '{still[0]}' crosses none of {', '.join(kept)}; leave it out, or keep one it does"
        )
    chosen = [n for n in names if crossed[n]]
    if not chosen:
        raise InputError(f"{opened.path}: no muscle crosses {', '.join(kept)}; keep other coordinates")
    return chosen, crossed


def _poses(
    opened: OpenedModel, names: Sequence[str], scan: int, random: int, seed: int
) -> Float[np.ndarray, "n coordinate"]:
    """Each coordinate over its range, the others at their default, and all at once at random."""
    boxes = np.array([working_range(opened.coordinates[c]) for c in names])
    default = np.clip([opened.coordinates[c].default for c in names], *boxes.T)
    rows = []
    for i, (low, high) in enumerate(boxes):
        along = np.tile(default, (scan, 1))
        along[:, i] = np.linspace(low, high, scan)
        rows.append(along)
    if len(names) > 1:
        draws = qmc.Halton(len(names), rng=seed).random(random)
        rows.append(boxes[:, 0] + draws * (boxes[:, 1] - boxes[:, 0]))
    return np.vstack(rows)


def _default(opened: OpenedModel, kept: Sequence[str]) -> dict[str, float]:
    return {c: opened.coordinates[c].default for c in kept}


def _bodies(
    tree: mujoco.MjModel, skeleton: Skeleton, names: Sequence[str], poses: np.ndarray, opened: OpenedModel
) -> dict[str, np.ndarray]:
    """Poses (n, 1 + 2 coordinates, 4, 4) of the skeleton's bodies in the ground, for `Targets`."""
    d, kept = mujoco.MjData(tree), _default(opened, skeleton.coordinates)
    out = {b: np.tile(np.eye(4), (len(poses), 1 + 2 * len(names), 1, 1)) for b in (GROUND, *skeleton.bodies)}
    for i, row in enumerate(poses):
        for k in range(1 + 2 * len(names)):
            at = {**kept, **dict(zip(names, row, strict=True))}
            if k:
                at[names[(k - 1) // 2]] += STEP if k % 2 else -STEP
            set_coordinates(tree, d, at)
            mujoco.mj_kinematics(tree, d)
            for b, held in out.items():
                index = tree.body(b).id
                held[i, k, :3, :3] = d.xmat[index].reshape(3, 3)
                held[i, k, :3, 3] = d.xpos[index]
    return out


def lengths_in_c(
    m: mujoco.MjModel,
    muscles: Sequence[str],
    coordinates: Sequence[str],
    poses: Float[np.ndarray, "n coordinate"],
    default: Mapping[str, float],
) -> tuple[Float[np.ndarray, "n muscle"], Float[np.ndarray, "n muscle coordinate"]]:
    """Tendon lengths [m] and ``-dL/dq`` [m] of plain MuJoCo, other coordinates at their default."""
    d = mujoco.MjData(m)
    tendons = [m.tendon(name).id for name in muscles]

    def measure(row: np.ndarray) -> np.ndarray:
        set_coordinates(m, d, {**default, **dict(zip(coordinates, row, strict=True))})
        mujoco.mj_kinematics(m, d)
        mujoco.mj_comPos(m, d)
        mujoco.mj_tendon(m, d)
        return d.ten_length[tendons].copy()

    lengths = np.array([measure(row) for row in poses])
    arms = np.empty((len(poses), len(muscles), len(coordinates)))
    for c in range(len(coordinates)):
        shift = STEP * np.eye(len(coordinates))[c]
        arms[:, :, c] = [-(measure(row + shift) - measure(row - shift)) / (2 * STEP) for row in poses]
    return lengths, arms


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _left_out(opened: OpenedModel, kept: Sequence[str], muscles: Sequence[str]) -> list[str]:
    """What the file holds that is not imported, in words."""
    notes = []
    held = [c for c in opened.coordinates if c not in kept and not opened.coordinates[c].dependent]
    if held:
        notes.append(f"held at their default: {', '.join(held)}")
    others = [m for m in opened.muscles if m not in muscles]
    if others:
        notes.append(f"{len(others)} of {len(opened.muscles)} muscles left out")
    forces, kinds = opened.model.getForceSet(), {}
    for i in range(forces.getSize()):
        force = forces.get(i)
        if force.getName() not in opened.muscles:
            kinds[force.getConcreteClassName()] = kinds.get(force.getConcreteClassName(), 0) + 1
    if kinds:
        notes.append("not taken over: " + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))
    return notes


def _posture(spec: mujoco.MjSpec, opened: OpenedModel, kept: Sequence[str]) -> None:
    """The file's default posture as the keyframe "default"."""
    m = spec.compile()
    d = mujoco.MjData(m)
    set_coordinates(m, d, _default(opened, kept))
    spec.add_key(name="default", qpos=d.qpos)
