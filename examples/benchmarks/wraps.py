"""Lengths and slopes of the arm's, the knee's and a zoo's paths at millions of postures, in both precisions, against C.

    python examples/benchmarks/wraps.py [--quick] [--json FILE]

Half of the postures are drawn at random. The others are near those where a path begins to touch a wrap in C or leaves
it, at distances from 10⁻² down to 10⁻⁸, or, in the zoo, also near what else rounding may decide: ends close to the
surface, paths along tangents, through the axis, from two ends on one ray.

An answer is right if it is C's (in float64) to the tolerance, at the posture or at one that rounding cannot tell from
it: C's rule jumps in places (an end enters a wrap, a side site changes its mind), where both answers are its own.
Every other answer is a flip. Postures are rounded to float32 before they are given to anyone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Float
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.common.compiled import COMPILER_OPTIONS
from mjx_msm.dynamics.paths import paths
from mjx_msm.person.model import Model

POSTURES = 10_000_000
QUICK = 200_000
CHUNK = 50_000
PRECISIONS = ("float32", "float64")
LENGTH = {"float32": 5e-6, "float64": 1e-9}
"""Tolerance [m]."""
SLOPE = {"float32": 5e-5, "float64": 1e-8}
"""Tolerance [m per rad or m]."""
NEAR = {"float32": 4e-6, "float64": 1e-12}
"""Postures so close are one to rounding [rad or m]."""
NEARBY = (20, 1000)
"""So many of them are asked about, and if none has the answer, so many more."""

Postures = Float[np.ndarray, "posture coordinate"]


# The zoo ---------------------------------------------------------------------------------------------------

RADIUS = 0.05


def zoo() -> str:
    """Two ends that go anywhere, and what tendons between them may meet: MJCF.

    Ball and rod sit at the origin, and again, smaller, on a link that turns in two ways.
    """
    wraps = {"ball": ("sphere", RADIUS), "rod": ("cylinder", RADIUS)}
    small = {"little_ball": ("sphere", 0.4 * RADIUS), "little_rod": ("cylinder", 0.3 * RADIUS)}

    def geoms(those: dict[str, tuple[str, float]], where: str = "") -> str:
        return "".join(
            f'<geom name="{name}" type="{kind}" size="{radius:.6g} 0.3" {where} contype="0" conaffinity="0" mass="0"/>'
            for name, (kind, radius) in those.items()
        )

    def free(name: str) -> str:
        joints = "".join(
            f'<joint name="{name}_{c}" type="slide" axis="{a}"/>'
            for c, a in zip("xyz", ("1 0 0", "0 1 0", "0 0 1"), strict=True)
        )
        inner = f'{joints}<inertial mass="1" pos="0 0 0" diaginertia="1 1 1"/><site name="{name}"/>'
        return f'<body name="{name}">{inner}</body>'

    ways = {
        "around the ball": "start ball end",
        "beside the ball": "start ball:side end",
        "around the rod": "start rod end",
        "beside the rod": "start rod:side end",
        "beside the rod, askew": "start rod:aslant end",
        "around the little ball": "start little_ball end",
        "beside the little rod": "start little_rod:little_side end",
        "three in a row": "start rod over little_ball tip little_rod end",
        "over pulleys": "start ball over /2 over little_rod:little_side tip /3 tip rod end",
        "on the link itself": "knob little_rod end",
    }

    def element(name: str) -> str:
        if name.startswith("/"):
            return f'<pulley divisor="{name[1:]}"/>'
        geom, _, side = name.partition(":")
        if geom in {**wraps, **small}:
            return f'<geom geom="{geom}"' + (f' sidesite="{side}"/>' if side else "/>")
        return f'<site site="{name}"/>'

    tendons = "".join(f'<spatial name="{n}">{"".join(map(element, way.split()))}</spatial>' for n, way in ways.items())
    muscles = "".join(f'<muscle name="m {n}" tendon="{n}" lengthrange="0.1 1" force="10"/>' for n in ways)
    return f"""<mujoco>
  <worldbody>
    {geoms(wraps)}
    <site name="side" pos="0 {2 * RADIUS} 0"/><site name="aslant" pos="0.06 -0.05 0.02"/>
    <site name="over" pos="0.09 0.05 -0.03"/>
    <body name="link" pos="0.15 0 0">
      <joint name="turn" axis="0 0 1"/><joint name="tilt" axis="0.6 0.8 0" pos="0.01 0 0"/>
      <inertial mass="1" pos="0 0 0" diaginertia="1 1 1"/>
      {geoms(small, 'pos="0.05 0.01 0" zaxis="0.1 0.2 1"')}
      <site name="little_side" pos="0.05 -0.05 0"/><site name="tip" pos="0.1 0 0.01"/>
      <site name="knob" pos="0.05 0.04 0.02"/>
    </body>
    {free("start")}{free("end")}
  </worldbody>
  <tendon>{tendons}</tendon>
  <actuator>{muscles}</actuator>
</mujoco>"""


def near_the_wraps(rng: np.random.Generator, count: int) -> Postures:
    """Postures of the zoo at what rounding may decide about the ball and the rod at its origin."""
    radius = RADIUS

    def directions() -> np.ndarray:
        out = rng.normal(size=(count, 3))
        out[:, 2] *= flat
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    flat = rng.integers(2, size=count)  # in the plane z = 0 ball and rod are the same
    small = (10.0 ** rng.uniform(-9, -1, (count, 1))) * rng.choice([-1, 1], (count, 1))
    out = directions()
    start = out * radius * rng.choice([1, 1.2, 2, 5], (count, 1)) * (1 + 3 * rng.random((count, 1)) ** 3)
    close = rng.random(count) < 0.3
    start[close] = (out * radius * (1 + np.abs(small)))[close]  # close to the surface
    distance = np.linalg.norm(start, axis=1, keepdims=True)
    sideways = np.cross(out, directions())
    sideways /= np.maximum(np.linalg.norm(sideways, axis=1, keepdims=True), 1e-9)
    tilt = radius / distance
    to_touch = -np.sqrt(1 - tilt**2) * out + tilt * sideways  # along a line that touches the ball
    kinds = rng.integers(5, size=count)[:, None]
    length = radius * rng.uniform(0.1, 8, (count, 1))
    nudge = np.abs(small) * radius * directions()
    end = np.select(
        [kinds == k for k in range(5)],
        [
            start + length * to_touch,
            -out * length * (1 + rng.random((count, 1))),  # through the middle
            out * length,  # on the same ray
            directions() * radius * (1 + small),  # at the surface
            start + length * to_touch * 0.2 + rng.normal(size=(count, 3)) * radius,
        ],
    )
    return np.concatenate([rng.uniform(-np.pi, np.pi, (count, 2)), start, end + nudge], axis=1)


# Postures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A model, and where its postures are."""

    name: str
    model: Model
    low: Float[np.ndarray, "coordinate"]
    high: Float[np.ndarray, "coordinate"]
    special: Callable[[np.random.Generator, int], Postures] | None = None

    @property
    def m(self) -> mujoco.MjModel:
        return self.model.host.mj_model

    def anywhere(self, rng: np.random.Generator, count: int) -> Postures:
        return rng.uniform(self.low, self.high, (count, len(self.low)))

    def grazing(self, rng: np.random.Generator, count: int, *, around: int = 100) -> Postures:
        """Postures near the ones at which some path comes to touch a wrap, or leaves it."""
        pairs = count // around + 1
        a, b = self.anywhere(rng, pairs), self.anywhere(rng, pairs)
        points = InC(self.m)
        at_a, at_b = points(a)[2], points(b)[2]
        differ = at_a != at_b
        pick = differ.any(1)  # one of the tendons that change
        a, b, at_a, differ = a[pick], b[pick], at_a[pick], differ[pick]
        which = np.argmax(differ * rng.random(differ.shape), axis=1)
        rows = np.arange(len(a))
        for _ in range(40):
            middle = 0.5 * (a + b)
            same = points(middle)[2][rows, which] == at_a[rows, which]
            a[same], b[~same] = middle[same], middle[~same]
        found = a[rng.integers(len(a), size=count)]
        return found + 10.0 ** rng.uniform(-8, -2, (count, 1)) * rng.uniform(-1, 1, found.shape)

    def postures(self, rng: np.random.Generator, count: int) -> Postures:
        """As described above, as float32 holds them."""
        ways = [self.grazing, *([self.special] if self.special else [])]
        each = count // 2 // len(ways)
        drawn = [way(rng, each) for way in ways]
        drawn.append(self.anywhere(rng, count - each * len(ways)))
        return np.concatenate(drawn).astype(np.float32).astype(float)


@cache
def subject(name: str) -> Subject:
    """Arm, knee or zoo."""
    if name == "zoo":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "zoo.xml"
            file.write_text(zoo(), encoding="utf-8")
            model = msm.load_model(file)
        high = np.array([np.pi] * 2 + [4 * RADIUS] * 6)
        return Subject(name, model, -high, high, near_the_wraps)
    model = msm.load_model(name)
    low, high = (np.array(x) for x in zip(*(_range(model, j) for j in range(len(model.coordinates))), strict=True))
    margin = 0.1
    return Subject(name, model, low - margin, high + margin)


def _range(model: Model, j: int) -> tuple[float, float]:
    """Free range of a coordinate [rad]: the deadband of its stop."""
    m = model.host.mj_model
    for t in range(m.ntendon):
        first = m.tendon_adr[t]
        if m.wrap_type[first] == mujoco.mjtWrap.mjWRAP_JOINT and m.wrap_objid[first] == j:
            return float(m.tendon_lengthspring[t, 0]), float(m.tendon_lengthspring[t, 1])
    return -1.5, 1.5


# Answers ---------------------------------------------------------------------------------------------------


class InC:
    """Lengths, slopes and numbers of path points by C MuJoCo."""

    def __init__(self, m: mujoco.MjModel):
        self.m, self.d = m, mujoco.MjData(m)
        self.row = np.repeat(np.arange(m.ntendon), m.ten_J_rownnz)

    def __call__(self, q: Postures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        m, d = self.m, self.d
        length, points = np.empty((len(q), m.ntendon)), np.empty((len(q), m.ntendon), np.int32)
        sparse = np.empty((len(q), m.nJten))
        position, its_length, its_sparse, its_points = d.qpos, d.ten_length, d.ten_J, d.ten_wrapnum
        for k, posture in enumerate(q):
            position[:] = posture
            mujoco.mj_kinematics(m, d)
            mujoco.mj_comPos(m, d)
            mujoco.mj_tendon(m, d)
            length[k], sparse[k], points[k] = its_length, its_sparse, its_points
        slope = np.zeros((len(q), m.ntendon, m.nv))
        slope[:, self.row, m.ten_J_colind] = sparse
        return length, slope, points


def ours(model: Model, precision: str) -> Callable[[Postures], tuple[np.ndarray, np.ndarray]]:
    """Lengths and slopes by this package."""

    def run(q: Any) -> tuple[jax.Array, jax.Array]:
        along = paths(model, q)
        return along.length, along.slope

    compiled = jax.jit(run, compiler_options=COMPILER_OPTIONS)

    def answer(q: Postures) -> tuple[np.ndarray, np.ndarray]:
        with jax.enable_x64(precision == "float64"):
            length, slope = compiled(jnp.asarray(q, dtype=precision))
            return np.asarray(length, dtype=float), np.asarray(slope, dtype=float)

    return answer


@dataclass
class Count:
    """Of one precision."""

    postures: int = 0
    on_a_jump: int = 0
    """C's answer only at a posture that rounding does not tell from this one: a jump, or a slope as steep as √ at 0."""
    flips: int = 0
    worst: float = 0.0
    """Difference of a length where there is a flip [m]."""
    where: tuple[str, Any] | None = None
    """A tendon and a posture, of the worst flip."""


def count(who: Subject, q: Postures, precision: str, answer: Any, known: Any) -> Count:
    """Compare answers at some postures."""
    in_c, (length, slope, _), (found, bend) = InC(who.m), known, answer
    off = wrong(found, bend, length, slope, precision)
    out = Count(len(q))
    rng = np.random.default_rng(0)
    for k in np.flatnonzero(off.any(1)):
        open_: list[int] = np.flatnonzero(off[k]).tolist()
        for number in NEARBY:
            shape = number, q.shape[1]
            step = NEAR[precision] * 10.0 ** rng.uniform(-5, 0, (number, 1)) * rng.choice([-1.0, 0.0, 1.0], shape)
            its_length, its_slope, _ = in_c(q[k] + step * rng.random(shape))
            open_ = [
                t for t in open_ if not _near(found[k, t], bend[k, t], its_length[:, t], its_slope[:, t], precision)
            ]
            if not open_:
                break
        out.on_a_jump += int(off[k].sum()) - len(open_)
        out.flips += len(open_)
        for t in open_:
            error = float(abs(found[k, t] - length[k, t]))
            if error >= out.worst:
                out.worst, out.where = error, (who.m.tendon(t).name, q[k].tolist())
    return out


def _near(found: float, bend: np.ndarray, length: np.ndarray, slope: np.ndarray, precision: str) -> bool:
    """Whether C has such an answer among those of near postures. Slopes may be steep there, as a root is at 0."""
    as_long = np.abs(length - found) <= LENGTH[precision]
    if not as_long.any():
        return False
    low, high = slope[as_long].min(0), slope[as_long].max(0)
    slack = SLOPE[precision] * (1 + np.abs(bend)) + (high - low)
    return bool(((low - slack <= bend) & (bend <= high + slack)).all())


def wrong(found: Any, bend: Any, length: Any, slope: Any, precision: str) -> np.ndarray:
    """Which tendons differ in length or slope."""
    by_slope = (np.abs(bend - slope) > SLOPE[precision] * (1 + np.abs(slope))).any(-1)
    return (np.abs(found - length) > LENGTH[precision]) | by_slope


def counts(who: Subject, postures: int, seed: int) -> dict[str, Count]:
    """Compare both precisions."""
    rng = np.random.default_rng(seed)
    in_c, answers = InC(who.m), {p: ours(who.model, p) for p in PRECISIONS}
    total = {p: Count() for p in PRECISIONS}
    for start in range(0, postures, CHUNK):
        q = who.postures(rng, min(CHUNK, postures - start))
        known = in_c(q)
        for p in PRECISIONS:
            one, sum_ = count(who, q, p, answers[p](q), known), total[p]
            sum_.postures += one.postures
            sum_.on_a_jump += one.on_a_jump
            sum_.flips += one.flips
            if one.where is not None and one.worst >= sum_.worst:
                sum_.worst, sum_.where = one.worst, one.where
    return total


def rows(quick: bool) -> Iterator[Row]:
    for k, name in enumerate(("arm", "knee", "zoo")):
        for precision, found in counts(subject(name), QUICK if quick else POSTURES, k).items():
            what = f"{name}, {precision}"
            yield row(f"{what}: flips", found.flips, at_most=0, n=found.postures)
            yield row(f"{what}: C's answers at a posture next to it", found.on_a_jump, n=found.postures)
            if found.where:
                yield row(f"{what}: worst, {found.where[0]} at {found.where[1]}", found.worst, "m")


if __name__ == "__main__":
    run(__doc__, rows)
