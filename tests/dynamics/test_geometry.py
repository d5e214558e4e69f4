"""Geometry and equations of motion against C MuJoCo, in random trees, and at the edges of every wrap."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.compiled import COMPILER_OPTIONS
from mjx_msm.dynamics.geometry import geometry
from mjx_msm.dynamics.kinematics import Screw
from mjx_msm.dynamics.paths import paths
from mjx_msm.dynamics.simulation import mechanics, momentum, spatial_inertia, wrench
from mjx_msm.dynamics.vectors import Rotation, Vector, add, at_least, multiply, select, square_root, subtract, total
from mjx_msm.person.model import load_model

pytestmark = pytest.mark.usefixtures("x64")

QUICK = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 0}  # compiles in half the time, runs long enough once
TREES = (0, 1)
STATES = 60
NAMES = ("path_length", "moment_arm", "mass_matrix", "force")


def text(values) -> str:
    return " ".join(f"{v:.6g}" for v in np.atleast_1d(values))


def tree(seed: int) -> str:
    """Three bodies with six joints, askew in every way that MJCF offers, and tendons of every kind."""
    rng = np.random.default_rng(seed)

    def direction():
        v = rng.normal(size=3)
        return v / np.linalg.norm(v)

    def wrap(name, kind):
        """A wrap object and its side site, outside it."""
        axis, radius = direction(), rng.uniform(0.04, 0.07)
        side = np.cross(axis, direction())
        at, out = rng.uniform(-0.05, 0.05, 3), side / np.linalg.norm(side) * 1.5 * radius
        frame = f'zaxis="{text(axis)}"'
        return (
            f'<geom name="{name}" type="{kind}" size="{radius:.4g} 0.1" pos="{text(at)}" {frame} contype="0"'
            f' conaffinity="0" mass="0"/><site name="{name}_side" pos="{text(at + out)}"/>'
        )

    kinds = [("hinge", "hinge"), ("slide", "hinge"), ("hinge", "slide")]
    bodies = []
    for b, joints in enumerate(kinds):
        inner = ""
        for j, kind in enumerate(joints):
            inner += (
                f'<joint name="j{b}{j}" type="{kind}" axis="{text(direction())}"'
                f' pos="{text(rng.uniform(-0.1, 0.1, 3))}"'
                f' ref="{rng.uniform(-0.3, 0.3):.4g}" springref="{rng.uniform(-0.3, 0.3):.4g}"'
                f' stiffness="{rng.uniform(0, 3):.4g}" damping="{rng.uniform(0, 2):.4g}"'
                f' armature="{rng.uniform(0, 0.2):.4g}"/>'
            )
        size = rng.uniform(0.05, 0.3, 3) ** 2
        inner += (
            f'<inertial mass="{rng.uniform(0.3, 2):.4g}" pos="{text(rng.uniform(-0.1, 0.1, 3))}"'
            f' quat="{text(rng.normal(size=4))}" diaginertia="{text(size.sum() - size)}"/>'
        )
        inner += wrap(f"g{b}", "sphere" if b == 1 else "cylinder")
        inner += "".join(f'<site name="s{b}{k}" pos="{text(0.2 * direction())}"/>' for k in range(3))
        attributes = f'pos="{text(0.2 * direction())}" quat="{text(rng.normal(size=4))}" gravcomp="{0.4 * b:.4g}"'
        bodies.append((f'<body name="b{b}" {attributes}>{inner}', "</body>"))
    nested = bodies[0][0] + bodies[1][0] + (bodies[2][0] + "</body></body>" if seed % 2 else "</body>" + bodies[2][0])
    nested += "</body></body>" if not seed % 2 else "</body>"
    springs, extra = 'stiffness="30" damping="4"', 'stiffness="30" damping="4" armature="0.7"'
    return f"""<mujoco>
  <option gravity="{text(9.81 * direction())}"/>
  <worldbody>
    <site name="w0" pos="{text(0.4 * direction())}"/><site name="w1" pos="{text(0.4 * direction())}"/>
    {wrap("ground", "sphere")}
    {nested}
  </worldbody>
  <tendon>
    <spatial name="around"><site site="w0"/><geom geom="g0"/><site site="s10"/><site site="s11"/></spatial>
    <spatial name="beside"><site site="s00"/><geom geom="g1" sidesite="g1_side"/><site site="s20"/></spatial>
    <spatial name="pulley"><site site="w1"/><site site="s12"/><pulley divisor="2"/><site site="s12"/>
      <geom geom="g2" sidesite="g2_side"/><site site="s21"/><pulley divisor="3"/><site site="s00"/><geom geom="ground"/>
      <site site="s22"/></spatial>
    <fixed name="fixed" springlength="-0.1 0.2" {extra}><joint joint="j00" coef="0.4"/><joint joint="j20" coef="-1.2"/>
    </fixed>
    <spatial name="elastic" springlength="0.3" {springs}><site site="w0"/><geom geom="g1"/><site site="s22"/></spatial>
    <spatial name="heavy" springlength="0.1 0.4" {extra}><site site="w1"/><site site="s00"/><site site="s10"/></spatial>
  </tendon>
  <actuator>
    <muscle name="m0" tendon="around" lengthrange="0.1 1" force="10"/>
    <muscle name="m1" tendon="beside" lengthrange="0.1 1" force="10" gear="-0.7"/>
    <muscle name="m2" tendon="pulley" lengthrange="0.1 1" force="10"/>
    <muscle name="m3" tendon="fixed" lengthrange="0.1 1" force="10"/>
    <muscle name="m4" joint="j11" lengthrange="-1 1" force="10" gear="1.7"/>
    <muscle name="m5" joint="j10" lengthrange="-1 1" force="10"/>
  </actuator>
</mujoco>"""


POINT = """<mujoco>
  <worldbody>
    <site name="start" pos="-0.5 0 0"/>
    <geom name="ball" type="sphere" size="0.1" contype="0" conaffinity="0"/>
    <geom name="rod" type="cylinder" size="0.1 0.5" contype="0" conaffinity="0"/>
    <site name="side" pos="0 0.2 0"/>
    <body name="point">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <inertial mass="1" pos="0 0 0" diaginertia="0.1 0.1 0.1"/>
      <site name="end"/>
    </body>
  </worldbody>
  <tendon>
    <spatial name="line" armature="0.8" damping="3" stiffness="20" springlength="0.4 0.5">
      <site site="start"/><site site="end"/></spatial>
    <spatial name="ball"><site site="start"/><geom geom="ball"/><site site="end"/></spatial>
    <spatial name="ball beside"><site site="start"/><geom geom="ball" sidesite="side"/><site site="end"/></spatial>
    <spatial name="rod"><site site="start"/><geom geom="rod"/><site site="end"/></spatial>
    <spatial name="rod beside"><site site="start"/><geom geom="rod" sidesite="side"/><site site="end"/></spatial>
  </tendon>
  <actuator>
    <muscle name="m0" tendon="line" lengthrange="0.1 1" force="10"/>
    <muscle name="m1" tendon="ball" lengthrange="0.1 1" force="10"/>
    <muscle name="m2" tendon="ball beside" lengthrange="0.1 1" force="10"/>
    <muscle name="m3" tendon="rod" lengthrange="0.1 1" force="10"/>
    <muscle name="m4" tendon="rod beside" lengthrange="0.1 1" force="10"/>
  </actuator>
</mujoco>"""


def all_terms(model, x):
    """What the equations of motion need at one state (q, q̇)."""
    q, v = jnp.split(x, 2)
    terms = mechanics(model, model.nominal, spatial_inertia(model.nominal.body), geometry(model, q, v), q, v)
    return terms.path_length, terms.moment_arm, terms.mass_matrix, terms.passive - terms.bias


def values(model, x):
    """Operation by operation: a compiler takes ten times as long over a tree, which runs once."""
    return jax.vmap(lambda x: all_terms(model, x))(x)


@partial(eqx.filter_jit, compiler_options=QUICK)
def values_and_tangents(model, x):
    """Also the derivatives by (q, q̇), last axis."""

    def one(x):
        return jax.vmap(lambda t: jax.jvp(lambda x: all_terms(model, x), (x,), (t,)), out_axes=(None, -1))(
            jnp.eye(len(x))
        )

    return jax.vmap(one)(x)


class Case:
    """A model at random states: the functions under test, and the model in C."""

    def __init__(self, model, q, v, *, smooth):
        self.model, self.q, self.v, self.m = model, q, v, model.host.mj_model
        with jax.enable_x64(True):
            if smooth:
                self.value, self.tangent = self.run(q, v)
            else:
                state = jnp.asarray(np.concatenate([q, v], -1))
                self.value = dict(zip(NAMES, map(np.asarray, values(model, state)), strict=True))

    def run(self, q, v):
        both = values_and_tangents(self.model, jnp.asarray(np.concatenate([q, v], -1)))
        return (dict(zip(NAMES, map(np.asarray, x), strict=True)) for x in both)

    def in_c(self):
        """The same terms by C, and how many points every tendon's path has."""
        m, d = self.m, mujoco.MjData(self.m)
        out, points = {name: [] for name in NAMES}, []
        for q, v in zip(self.q, self.v, strict=True):
            d.qpos[:], d.qvel[:] = q, v
            mujoco.mj_forward(m, d)
            arm, mass = np.zeros((m.nu, m.nv)), np.zeros((m.nv, m.nv))
            mujoco.mju_sparse2dense(arm, d.actuator_moment, d.moment_rownnz, d.moment_rowadr, d.moment_colind)
            mujoco.mj_fullM(m, d, mass)
            values = (d.actuator_length, -arm, mass, d.qfrc_passive - d.qfrc_bias)
            for name, value in zip(NAMES, values, strict=True):
                out[name].append(value.copy())
            points.append(d.ten_wrapnum.copy())
        return {name: np.array(values) for name, values in out.items()}, np.array(points)


def ends(model):
    """Lower and upper end of every coordinate's free range."""
    m = model.host.mj_model
    out = np.full((len(model.coordinates), 2), np.nan)
    for t in range(m.ntendon):
        if m.wrap_type[m.tendon_adr[t]] == mujoco.mjtWrap.mjWRAP_JOINT:
            out[m.wrap_objid[m.tendon_adr[t]]] = m.tendon_lengthspring[t]
    return out


def make(request, folder, name):
    rng = np.random.default_rng(11)
    if name in ("arm", "knee"):
        model = request.getfixturevalue(name)
        stops = ends(model)
        q = rng.uniform(stops[:, 0] - 0.1, stops[:, 1] + 0.1, (STATES - 3, len(stops)))
        q = np.concatenate([q, np.zeros((1, len(stops))), stops.T])
        return Case(model, q, rng.normal(size=q.shape), smooth=True)
    path = folder / f"{name}.xml"
    path.write_text(POINT if name == "point" else tree(name))
    model = load_model(path)
    shape = STATES, len(model.coordinates)
    reach = 0.6 if name == "point" else 1.5
    return Case(model, rng.uniform(-reach, reach, shape), rng.normal(size=shape), smooth=name == "point")


@pytest.fixture(scope="module")
def made(request, tmp_path_factory):
    """Every case by its name, made once."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = make(request, tmp_path_factory.mktemp("model"), name)
        return known[name]

    return get


@pytest.fixture
def case(made, request):
    return made(request.param)


SMOOTH = ("arm", "knee", "point")
every_case = pytest.mark.parametrize("case", [*SMOOTH, *TREES], indirect=True)
smooth_case = pytest.mark.parametrize("case", SMOOTH, indirect=True)


@pytest.mark.slow
@every_case
def test_the_terms_are_those_of_c(case):
    expected, points = case.in_c()
    for name in NAMES:
        scale = max(1.0, np.abs(expected[name]).max())
        np.testing.assert_allclose(case.value[name], expected[name], rtol=0, atol=1e-12 * scale, err_msg=name)
    if case.model.host.source not in ("arm", "knee"):  # paths over wraps touch them in some states and not in others
        assert np.count_nonzero(np.ptp(points, axis=0)) >= 3


@smooth_case
def test_moment_arms_are_slopes_of_the_lengths(case):
    count = case.q.shape[1]
    np.testing.assert_allclose(case.value["moment_arm"], -case.tangent["path_length"][..., :count], rtol=0, atol=1e-11)
    for name in ("path_length", "moment_arm", "mass_matrix"):
        assert not case.tangent[name][..., count:].any(), "velocity moves no path"


@smooth_case
def test_derivatives_equal_differences_all_over_the_range_of_motion(case):
    """The stops and the zero pose included: one of the two sides at a kink."""
    h, count = 1e-6, case.q.shape[1]
    for name in NAMES:
        assert np.isfinite(case.tangent[name]).all(), name
    for k in range(2 * count):
        step = h * np.eye(2 * count)[k]
        (plus, _), (minus, _) = (case.run(case.q + s * step[:count], case.v + s * step[count:]) for s in (1, -1))
        for name in NAMES:
            value, tangent = case.value[name], case.tangent[name][..., k]
            sides = (plus[name] - minus[name]) / (2 * h), (plus[name] - value) / h, (value - minus[name]) / h
            error = np.min([np.abs(tangent - side) for side in sides], axis=0)
            limit = 1e-5 * np.abs(tangent) + 2e-6 * np.abs(case.tangent[name]).max()
            assert (error <= limit).all(), f"{name} by {k}: {error.max():.3g}"


@every_case
def test_the_skeleton_has_the_geometry_of_the_model(case):
    """Geometry reads the model without what only draws; bodies and joints have to be the same ones."""
    a, b = case.m, case.model.host.skeleton
    assert (a.nbody, a.nv, a.ntendon, a.nu) == (b.nbody, b.nv, b.ntendon, b.nu)
    for name in ("body_pos", "body_quat", "body_parentid", "body_gravcomp", "jnt_axis", "jnt_pos", "qpos0"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


# Edges of wraps --------------------------------------------------------------------------------------------

TOUCH = 0.1 / np.sqrt(0.5**2 - 0.1**2)
"""Slope of the line from the start that touches the wraps."""
EDGES = {
    "at the start": (-0.5, 0, 0),
    "straight through the middle": (0.5, 0, 0),
    "above it": (0.5, 0, 0.3),
    "on the same ray": (-0.3, 0, 0),
    "on the surface": (0, -0.1, 0),
    "inside": (0.02, 0.03, 0.01),
    "at the centre": (0, 0, 0),
    "on the axis of the rod": (0, 0, 0.4),
    "touching": (0.5, TOUCH, 0),
    "touching, short": (0.0, 0.5 * TOUCH, 0),
    "behind the wrap": (0.1, 0, 0),
    "beyond it on the side's side": (0.3, 0.02, 0.05),
    "beyond it on the other side": (0.3, -0.02, 0.05),
    "over the side site": (0, 0.2, 0),
}
TIES = ("straight through the middle", "above it", "behind the wrap")
"""Both ways around are equally long."""


@pytest.fixture(scope="module")
def edges(tmp_path_factory):
    path = tmp_path_factory.mktemp("point") / "point.xml"
    path.write_text(POINT)
    with jax.enable_x64(True):
        model = load_model(path)
        nudge = np.array([[0, 0, 0], *np.eye(3), *-np.eye(3)])
        q = np.array(list(EDGES.values()))[:, None] + 1e-9 * nudge  # on the edge, and a little to all sides

        @partial(jax.jit, compiler_options=QUICK)
        def run(q):
            def slopes(x):
                return paths(model, x).slope

            def one(x):
                along = paths(model, x)
                by_position = jax.jacfwd(slopes)(x)
                back = jax.jacrev(lambda y: paths(model, y).length)(x)
                twice = jax.grad(lambda y: (paths(model, y).slope ** 2).sum())(x)
                return along.length, along.slope, by_position, back, twice

            return jax.vmap(jax.vmap(one))(q)

        return model, q, [np.asarray(x) for x in run(jnp.asarray(q))]


@pytest.mark.slow
def test_every_derivative_is_finite_where_a_wrap_begins_and_ends(edges):
    *_, found = edges
    for values, what in zip(found, ("length", "slope", "its derivative", "reverse mode", "its slope"), strict=True):
        bad = {
            (point, t)
            for i, point in enumerate(EDGES)
            for t in range(5)
            if not np.isfinite(values[i] if what == "its slope" else values[i][:, t]).all()
        }
        assert not bad, f"{what} at {bad}"


AWAY = (1, 2, 4, 5)
"""Those nudges that leave the line that touches. Upon it, round-off decides whether C winds once more around."""


def test_paths_at_the_edges_are_those_of_c(edges):
    model, q, (length, slope, *_) = edges
    m, d = model.host.mj_model, mujoco.MjData(model.host.mj_model)
    for i, point in enumerate(EDGES):
        for k in AWAY if "touching" in point else range(q.shape[1]):
            d.qpos[:] = q[i, k]
            mujoco.mj_forward(m, d)
            dense = np.zeros((m.ntendon, m.nv))
            mujoco.mju_sparse2dense(dense, d.ten_J, m.ten_J_rownnz, m.ten_J_rowadr, m.ten_J_colind)
            np.testing.assert_allclose(length[i, k], d.ten_length, rtol=0, atol=2e-8, err_msg=f"{point} {k}")
            upon = point == "on the surface" and k not in (2, 5)
            if point not in (*TIES, "at the start", "on the same ray") and not upon:
                np.testing.assert_allclose(slope[i, k], dense, rtol=0, atol=1e-4, err_msg=f"{point} {k}")


def test_wraps_are_continuous_where_they_begin(edges):
    """From beneath the touching line to above it, length and slope go on without a jump."""
    *_, (length, slope, *_) = edges
    for point in ("touching", "touching, short", "at the start", "straight through the middle"):
        i = list(EDGES).index(point)
        assert np.ptp(length[i], axis=0)[[0, 1, 3]].max() < 1e-8, point
    i = list(EDGES).index("touching")
    assert np.ptp(slope[i], axis=0)[[0, 1, 3]].max() < 1e-3


def test_what_a_wrap_does_at_its_edges(edges):
    """Closed forms: around a ball half an arc and two tangents."""
    *_, (length, *_) = edges
    at = {point: length[i, 0] for i, point in enumerate(EDGES)}
    tangent, angle = np.sqrt(0.5**2 - 0.1**2), np.arccos(0.1 / 0.5)
    around = 2 * tangent + 0.1 * (np.pi - 2 * angle)
    np.testing.assert_allclose(at["straight through the middle"], [1, around, around, around, around], rtol=1e-12)
    np.testing.assert_allclose(at["at the start"], 0, atol=1e-12)
    np.testing.assert_allclose(at["on the same ray"], 0.2, rtol=1e-12)
    np.testing.assert_allclose(at["inside"], np.linalg.norm([0.52, 0.03, 0.01]), rtol=1e-12)  # no wrap from within
    line = np.hypot(0.5 + 0.5, TOUCH)
    np.testing.assert_allclose(length[list(EDGES).index("touching")][:, [0, 1, 3]], line, rtol=1e-8)


# Bodies ----------------------------------------------------------------------------------------------------


def test_newton_and_euler_of_one_body():
    """About the centre of mass and moved to the origin: m (a + α × c + ω × (ω × c)) and I α + ω × I ω."""
    rng = np.random.default_rng(3)
    mass, com, root = 1.7, rng.normal(size=3), rng.normal(size=(3, 3))
    inertia = root @ root.T
    six = inertia[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    body = type("Body", (), {"mass": np.array([mass]), "com": com[None], "inertia": six[None]})
    spatial = spatial_inertia(body)[0]
    alpha, a, omega, v = rng.normal(size=(4, 3))
    turn, push = np.array(momentum(spatial, Screw(Vector.of(omega), Vector.of(v))))
    np.testing.assert_allclose(push, mass * (v + np.cross(omega, com)), rtol=1e-12)
    np.testing.assert_allclose(turn, inertia @ omega + np.cross(com, push), rtol=1e-12)
    # the body's axes turn with it: the acceleration of its origin is a + ω × v
    twists = (Screw(Vector(*jnp.asarray(turn)), Vector(*jnp.asarray(move))) for turn, move in ((alpha, a), (omega, v)))
    found = np.array(wrench(spatial, *twists)).ravel()
    lift = a + np.cross(omega, v) + np.cross(alpha, com) + np.cross(omega, np.cross(omega, com))
    np.testing.assert_allclose(found[3:], mass * lift, rtol=1e-12)
    moment = inertia @ alpha + np.cross(omega, inertia @ omega) + np.cross(com, mass * lift)
    np.testing.assert_allclose(found[:3], moment, rtol=1e-12)


# Vectors ---------------------------------------------------------------------------------------------------


def count(function, *arguments) -> int:
    """Operations in the trace of a function."""
    return len(jax.make_jaxpr(function)(*arguments).jaxpr.eqns)


def test_constants_are_folded():
    x = jnp.arange(3.0)
    assert add(x, 0.0) is x
    assert add(0, x) is x
    assert subtract(x, 0.0) is x
    assert multiply(1.0, x) is x
    assert multiply(x, 1) is x
    assert multiply(x, 0.0) == 0.0
    assert isinstance(multiply(x, 0.0), float)
    assert total([]) == 0.0
    assert total([0.0, x, 0.0]) is x
    assert add(2.0, 3.0) == 5.0
    np.testing.assert_array_equal(multiply(-1.0, x), -x)
    np.testing.assert_array_equal(subtract(0.0, x), -x)
    assert count(lambda x: multiply(-1.0, x), x) == 1
    assert Vector.of([1, 2, 2]).norm() == 3.0


def test_products_of_constants_and_arrays():
    rng = np.random.default_rng(0)
    a, b, turn = rng.normal(size=3), rng.normal(size=3), np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for u, w in ((Vector.of(a), Vector(*jnp.asarray(b))), (Vector.of(a), Vector.of(b))):
        r = Rotation.of(turn)
        np.testing.assert_allclose(u.dot(w), a @ b, rtol=1e-14)
        np.testing.assert_allclose(np.array([*u.cross(w)]), np.cross(a, b), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(np.array([*u.plus(w)]), a + b, rtol=1e-14)
        np.testing.assert_allclose(np.array([*u.minus(w)]), a - b, rtol=1e-14)
        np.testing.assert_allclose(np.array([*w.times(3.0)]), 3 * b, rtol=1e-14)
        np.testing.assert_allclose(np.array([*r.turn(w)]), turn @ b, rtol=1e-13)
        np.testing.assert_allclose(np.array([*r.turn_back(w)]), turn.T @ b, rtol=1e-13)
    np.testing.assert_allclose(np.array([[*row] for row in r.after(r)]), turn @ turn, rtol=1e-12, atol=1e-15)


def test_a_root_has_no_infinite_slope():
    assert jax.grad(square_root)(0.0) == 0.0
    assert jax.grad(square_root)(4.0) == 0.25
    assert jax.grad(lambda x: square_root(x * x))(0.0) == 0.0
    assert jax.grad(lambda x: at_least(x, 1e-3))(1e-9) == 0.0
    assert jax.grad(lambda x: select(x > 0, x, 2.0))(3.0) == 1.0
    assert jax.grad(lambda x: Vector(x, 0.0, 0.0).norm())(0.0) == 0.0


def test_a_planar_model_costs_what_it_should(tmp_path):
    """The same pendulum about an axis and askew: nothing is computed out of the plane."""
    text = """<mujoco><worldbody><site name="a" pos="0.1 0 0"/><body name="rod">
      <joint name="swing" axis="{}"/><inertial mass="1" pos="0 0 -0.5" diaginertia="0.3 0.3 0.1"/>
      <site name="b" pos="0.1 0 -0.2"/></body></worldbody>
      <tendon><spatial name="t"><site site="a"/><site site="b"/></spatial></tendon>
      <actuator><muscle name="m" tendon="t" force="1" lengthrange="0.1 0.4"/></actuator></mujoco>"""
    costs = []
    for axis in ("0 1 0", "0.3 0.8 0.2"):
        path = tmp_path / "pendulum.xml"
        path.write_text(text.format(axis))
        model = load_model(path)
        costs.append(count(lambda q, model=model: paths(model, q).slope, jnp.zeros(1)))
    assert costs[0] < 0.5 * costs[1]
