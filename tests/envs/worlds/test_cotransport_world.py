"""A person and a robot carry a beam: the mechanics of the handles and of the one contact, in C and in our own step."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.optimize import linprog

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.simulation import State, rollout
from mjx_msm.envs.engines.world import TIMESTEP
from mjx_msm.envs.motions.transport_path import TransportPath, point_of_beam
from mjx_msm.envs.robots.cobot import Cobot, PositionDrive
from mjx_msm.envs.robots.cobot_kinematics import TOOL_ANGLE, CobotKinematics
from mjx_msm.envs.worlds.beam_at_rest import assemble
from mjx_msm.envs.worlds.beam_scene import couple
from mjx_msm.envs.worlds.handles import Clamp, Handle, contact_force
from mjx_msm.envs.worlds.transport import BAR_RADIUS, BEAM_RADIUS, HANDLES, RING_RADIUS, Transport
from mjx_msm.person.model import load_model

GRAVITY = 9.80665
CLAMPED = Transport(turning_stiffness=200.0, turning_damping=4.0)


def arm() -> mujoco.MjSpec:
    return mujoco.MjSpec.from_file(str(assets.path("arm")))


def world(transport: Transport | None = None, cobot: Cobot | None = None) -> mujoco.MjModel:
    """Without the muscles' pull: what is left is mechanics."""
    spec = couple(arm(), cobot, transport)
    for muscle in spec.actuators[:6]:
        muscle.gainprm[2] = muscle.biasprm[2] = 1e-9
    return spec.compile()


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return world()


@pytest.fixture(scope="module")
def clamped() -> mujoco.MjModel:
    return world(CLAMPED)


def at_rest(m: mujoco.MjModel, time: float = 0.0) -> mujoco.MjData:
    d = mujoco.MjData(m)
    d.qpos[:] = assemble(m, TransportPath().at(np.float64(time)).position)
    mujoco.mj_forward(m, d)
    return d


def forces(m: mujoco.MjModel, d: mujoco.MjData) -> dict[str, np.ndarray]:
    return {name: Handle.of(m, name).force(d.site_xpos, d.ten_length, d.ten_velocity) for name in HANDLES}


def disturbed(m: mujoco.MjModel, seed: int) -> mujoco.MjData:
    """A random state with centimetres of displacement in the handles, moving."""
    rng = np.random.default_rng(seed)
    d = at_rest(m, rng.uniform(0, 3))
    d.qpos[:] += rng.normal(0, (0.03, 0.03, 0.02, 0.02, 0.1, 0.01, 0.01, 0.03))
    d.qvel[:] = rng.normal(0, (0.5, 0.5, 0.3, 0.3, 0.5, 0.3, 0.3, 0.5))
    mujoco.mj_forward(m, d)
    return d


# What is built ---------------------------------------------------------------------------------------------


def test_the_human_comes_first_and_is_unchanged(model: mujoco.MjModel) -> None:
    alone, spec = arm().compile(), arm()
    m = couple(spec).compile()
    for kind, count in (
        ("joint", alone.njnt),
        ("body", alone.nbody),
        ("actuator", alone.nu),
        ("tendon", alone.ntendon),
    ):
        assert [getattr(m, kind)(i).name for i in range(count)] == [getattr(alone, kind)(i).name for i in range(count)]
    np.testing.assert_array_equal(m.body_mass[: alone.nbody], alone.body_mass)
    np.testing.assert_array_equal(m.body_inertia[: alone.nbody], alone.body_inertia)
    np.testing.assert_array_equal(m.actuator_gainprm[: alone.nu], alone.actuator_gainprm)
    np.testing.assert_array_equal(m.actuator_lengthrange[: alone.nu], alone.actuator_lengthrange)
    added = [m.joint(j).name for j in range(alone.njnt, m.njnt)]
    assert added == ["cobot_shoulder", "cobot_elbow", "cobot_wrist", "beam_x", "beam_z", "beam_pitch"]
    assert all(m.body(b).name for b in range(m.nbody))
    assert len(spec.joints) == alone.njnt  # what was given is as it was
    assert (m.neq, m.npair, m.jnt_limited.any(), m.tendon_limited.any()) == (0, 1, False, False)
    assert not m.geom_contype.any()
    assert not m.geom_conaffinity.any()
    assert m.opt.timestep == TIMESTEP


def test_beam_is_a_uniform_rod(model: mujoco.MjModel) -> None:
    beam, transport = model.body("beam"), Transport()
    assert beam.mass[0] == pytest.approx(transport.beam_mass)
    # between the rod without and with its round ends
    assert 0.9 < 12 * beam.inertia.max() / (transport.beam_mass * transport.beam_length**2) < 1.0


def test_a_file_of_it_steps_the_same() -> None:
    spec = couple(arm())
    m = spec.compile()
    again = mujoco.MjModel.from_xml_string(spec.to_xml())
    start = assemble(m, np.array((0.5, 1.0, 0.0)))
    end = []
    for each in (m, again):
        d = mujoco.MjData(each)
        d.qpos[:] = start
        for _ in range(200):
            mujoco.mj_step(each, d)
        end.append(d.qpos.copy())
    np.testing.assert_allclose(end[0], end[1], atol=1e-5)


def test_numbers_are_checked() -> None:
    with pytest.raises(InputError, match="no 'mass'"):
        Transport.of({"mass": 3.0})
    for wrong in ({"beam_mass": 0.0}, {"hand_damping": -1.0}, {"tool_stiffness": np.nan}, {"obstacle_height": 0.01}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Transport.of(wrong)
    with pytest.raises(InputError, match="past the end"):
        Transport(tool_reach=0.5)
    with pytest.raises(InputError, match="an arm has shoulder_elev, elbow_flex"):
        couple(mujoco.MjSpec.from_file(str(assets.path("knee"))))
    with pytest.raises(InputError, match="hand cannot reach"):
        couple(arm(), path=TransportPath(carry=0.6))
    with pytest.raises(InputError, match="robot cannot reach"):
        couple(arm(), Cobot(x=2.0))
    with pytest.raises(InputError, match="duration = 0"):
        TransportPath(duration=0)
    one_muscle = arm()
    one_muscle.actuators[0].dyntype = mujoco.mjtDyn.mjDYN_NONE
    with pytest.raises(InputError, match="not a muscle"):
        couple(one_muscle)
    no_hand = arm()
    no_hand.delete(no_hand.site("hand"))
    with pytest.raises(InputError, match="no site 'hand'"):
        couple(no_hand)


# Handles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_action_equals_reaction_and_is_what_c_applies(clamped: mujoco.MjModel, seed: int) -> None:
    m, d = clamped, disturbed(clamped, seed)
    force = forces(m, d)
    moment = Clamp.of(m).moment(d.ten_length, d.ten_velocity)
    assert max(np.abs(f).max() for f in force.values()) > 20
    jacobian = np.zeros((3, m.nv))
    expected = np.zeros(m.nv)
    for name, site in HANDLES.items():
        s = m.site(site).id
        mujoco.mj_jacSite(m, d, jacobian, None, s)
        expected += jacobian.T @ force[name]
        # the opposite force on the beam, at the same point
        mujoco.mj_jac(m, d, jacobian, None, d.site_xpos[s], m.body("beam").id)
        expected -= jacobian.T @ force[name]
    expected[2:5] += moment
    expected[7] -= moment
    expected -= m.dof_damping * d.qvel
    limits = np.zeros(m.nv)  # the arm's stops, which these states may reach
    for j, tendon in enumerate(("shoulder_limit", "elbow_limit")):
        t = m.tendon(tendon).id
        limits[j] = np.ravel(m.tendon_stiffness[t])[0] * (np.clip(d.qpos[j], *m.tendon_lengthspring[t]) - d.qpos[j])
    np.testing.assert_allclose(d.qfrc_passive, expected + limits, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_beam_obeys_newton(clamped: mujoco.MjModel, seed: int) -> None:
    """m a = Σ F + m g, and the moment about its middle, from accelerations and from what we read."""
    m, d = clamped, disturbed(clamped, seed)
    assert d.ncon == 0
    force, beam = forces(m, d), m.body("beam")
    total = -sum(force.values())[[0, 2]] - (0.0, beam.mass[0] * GRAVITY)
    np.testing.assert_allclose(beam.mass[0] * d.qacc[5:7], total, atol=1e-8)
    moment = -Clamp.of(m).moment(d.ten_length, d.ten_velocity)
    for name, site in HANDLES.items():
        lever = d.site_xpos[m.site(site).id] - d.xpos[beam.id]
        moment += lever[0] * -force[name][2] - lever[2] * -force[name][0]
    assert beam.inertia.max() * d.qacc[7] == pytest.approx(moment, abs=1e-8)


@pytest.mark.parametrize("handle", HANDLES)
def test_a_handle_is_as_stiff_and_as_damped_as_designed_in_every_direction(handle: str) -> None:
    m, transport = world(), Transport()
    stiffness, damping = getattr(transport, f"{handle}_stiffness"), getattr(transport, f"{handle}_damping")
    d, reader = mujoco.MjData(m), Handle.of(m, handle)
    d.qpos[:] = assemble(m, TransportPath().at(np.float64(1.5)).position)  # where the hand is in the plane
    mujoco.mj_forward(m, d)
    # put the ring's middle on what is held
    d.qpos[5:7] += (d.site_xpos[reader.hub] - d.site_xpos[reader.rim].mean(axis=0))[[0, 2]]
    middle = d.qpos.copy()

    def force(shift: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        d.qpos[:], d.qvel[:] = middle, 0.0
        d.qpos[5:7] += shift
        d.qvel[5:7] = velocity
        mujoco.mj_forward(m, d)
        return reader.force(d.site_xpos, d.ten_length, d.ten_velocity)[[0, 2]]

    still = np.zeros(2)
    rest = force(still, still)
    np.testing.assert_allclose(rest, 0.0, atol=1e-6 * stiffness)
    for turn in np.radians((0, 30, 45, 75, 90, 200)):
        way = np.array((np.cos(turn), np.sin(turn)))
        near = force(1e-4 * way, still) - rest
        np.testing.assert_allclose(near, stiffness * 1e-4 * way, atol=0.01 * stiffness * 1e-4)
        np.testing.assert_allclose(force(still, way) - rest, damping * way, atol=0.01 * damping)
        far = force(RING_RADIUS / 3 * way, still)
        np.testing.assert_allclose(far @ way, stiffness * RING_RADIUS / 3, rtol=0.08)
        assert np.abs(far - (far @ way) * way).max() < 0.08 * stiffness * RING_RADIUS / 3


def test_a_handle_lets_the_beam_turn_and_a_clamp_does_not(model: mujoco.MjModel, clamped: mujoco.MjModel) -> None:
    for m, stiffness in ((model, 0.0), (clamped, CLAMPED.turning_stiffness)):
        d = at_rest(m)
        before = Clamp.of(m).moment(d.ten_length, d.ten_velocity)
        d.qpos[4] += 0.1  # the gripper turns about its own pin
        tool = d.site_xpos[m.site(HANDLES["tool"]).id].copy()
        robot = CobotKinematics.of(m)
        d.qpos[2:5] = robot.inverse(np.array((tool[0], tool[2], TOOL_ANGLE + 0.1)))
        mujoco.mj_forward(m, d)
        moment = Clamp.of(m).moment(d.ten_length, d.ten_velocity)
        assert before == pytest.approx(0.0, abs=1e-9)
        assert moment == pytest.approx(-0.1 * stiffness, abs=1e-9)
        assert d.qfrc_passive[7] == pytest.approx(-moment, abs=1e-6)


def test_sideways_the_spokes_are_slack_over_the_path(model: mujoco.MjModel) -> None:
    """The arm leaves the plane by its oblique joints; what that does to the hand is nothing beside the load."""
    sideways = []
    for time in np.linspace(0, 3, 13):
        d = at_rest(model, time)
        handle = Handle.of(model, "hand")
        sideways.append(d.site_xpos[handle.hub][1] - d.site_xpos[handle.rim].mean(axis=0)[1])
        assert abs(forces(model, d)["hand"][1]) < 1.0  # N
    assert 0.005 < np.ptp(sideways) < 0.03
    assert abs(np.mean(sideways)) < 0.005


@pytest.mark.parametrize("pose", [(0.45, 0.895, 0.0), (0.52, 1.0, 0.12), (0.50, 1.0, -0.08)])
def test_assembled_the_beam_is_at_rest(clamped: mujoco.MjModel, pose: tuple[float, float, float]) -> None:
    d = mujoco.MjData(clamped)
    d.qpos[:] = assemble(clamped, np.array(pose))
    mujoco.mj_forward(clamped, d)
    np.testing.assert_allclose(d.qpos[5:], pose)
    np.testing.assert_allclose(d.qacc[5:], 0.0, atol=1e-6)
    force = forces(clamped, d)
    assert force["hand"][2] + force["tool"][2] == pytest.approx(-3.0 * GRAVITY)
    if pose[2] == 0:
        for name in HANDLES:
            assert force[name][2] == pytest.approx(-Transport().borne(name) * GRAVITY)
            assert force[name][0] == pytest.approx(0.0, abs=1e-6)


def test_energy_only_falls_when_nothing_drives() -> None:
    spec = couple(arm(), transport=CLAMPED)
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    m = spec.compile()
    m.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    m.opt.timestep = 5e-5  # the claim is about the mechanics, not the integrator
    d = disturbed(m, 1)
    energy = []
    for _ in range(4000):
        mujoco.mj_step(m, d)
        energy.append(d.energy.sum())
    energy = np.array(energy)
    assert energy[0] - energy[-1] > 1.0
    assert np.diff(energy).max() < 2e-4 * (energy[0] - energy[-1])


def test_fast_motions_are_slow_beside_the_step() -> None:
    """Of the linear system along the path, both drives: many steps a radian, and nothing explodes."""
    for cobot in (Cobot(), Cobot(drive=PositionDrive())):
        m = world(CLAMPED, cobot)
        for time in (0.0, 1.5, 3.0):
            d = at_rest(m, time)
            d.ctrl[6:] = d.act[6:] = d.qpos[2:5]
            n = 2 * m.nv + m.na
            jacobian = np.zeros((n, n))
            mujoco.mjd_transitionFD(m, d, 1e-7, True, jacobian, None, None, None)
            discrete = np.linalg.eigvals(jacobian)
            assert np.abs(discrete).max() < 1.01  # the unsupported arm falls, slowly
            rates = np.log(discrete[np.abs(discrete) > 1e-6]) / m.opt.timestep
            assert np.abs(rates).max() * m.opt.timestep < 0.3


# The obstacle ----------------------------------------------------------------------------------------------


def gap(transport: Transport, pose: np.ndarray) -> float:
    """Distance between beam and bar from the geometry of two capsules at right angles [m]."""
    half = transport.beam_length / 2 - BEAM_RADIUS
    axis = np.array((np.cos(pose[2]), np.sin(pose[2])))
    bar = np.array((transport.obstacle_x, transport.obstacle_height - BAR_RADIUS)) - pose[:2]
    nearest = np.clip(bar @ axis, -half, half) * axis
    return float(np.linalg.norm(bar - nearest)) - BEAM_RADIUS - BAR_RADIUS


def test_at_most_one_contact_and_where_geometry_says(model: mujoco.MjModel) -> None:
    d, transport, rng = mujoco.MjData(model), Transport(), np.random.default_rng(0)
    touched = 0
    for _ in range(400):
        pose = rng.uniform((0.4, 0.83, -0.4), (0.95, 1.0, 0.4))
        d.qpos[5:] = pose
        mujoco.mj_forward(model, d)
        distance = gap(transport, pose)
        assert d.ncon == (distance < 0)
        if d.ncon:
            touched += 1
            assert d.contact[0].dist == pytest.approx(distance, abs=1e-9)
            assert d.contact[0].dim == 1
            assert d.nefc == 1
    assert 50 < touched < 350


def test_the_path_clears_the_obstacle_and_needs_the_lift() -> None:
    transport, path = Transport(), TransportPath()
    clear = [gap(transport, pose) for pose in path.samples(301).position]
    assert min(clear) > 0.01
    flat = TransportPath(lift=0.0, lower=0.0)
    assert min(gap(transport, pose) for pose in flat.samples(301).position) < 0


def test_a_beam_on_the_bar_bears_on_it(model: mujoco.MjModel) -> None:
    """Let go by the robot, the beam comes to lie on bar and hand: statics gives the force of the bar."""
    m = world(Transport(tool_stiffness=1e-6, tool_damping=0.0))
    d = mujoco.MjData(m)
    d.qpos[:] = assemble(world(), np.array((0.60, 0.92, 0.0)))
    d.ctrl[6:] = 0
    person, held = d.qpos[:2].copy(), d.qpos[2:5].copy()
    robot = CobotKinematics.of(m)
    for _ in range(3000):
        d.qfrc_applied[:2] = 400 * (person - d.qpos[:2]) - 8 * d.qvel[:2] + d.qfrc_bias[:2]
        d.ctrl[6:] = robot.gravity_torque(d.qpos[2:5]) + 500 * (held - d.qpos[2:5]) - 30 * d.qvel[2:5]
        mujoco.mj_step(m, d)
    mujoco.mj_forward(m, d)
    assert d.ncon == 1
    push, hand = contact_force(m, d), forces(m, d)["hand"]
    weight = 3.0 * GRAVITY
    assert push[1] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose((push - hand)[[0, 2]], (0.0, weight), atol=0.05)
    # moments about the hand
    grip = d.site_xpos[Handle.of(m, "hand").hub]
    lever = d.contact[0].pos - grip
    moment = lever[0] * push[2] - lever[2] * push[0] - (d.qpos[5] - grip[0]) * weight
    assert moment == pytest.approx(0.0, abs=0.02)
    assert 10 < push[2] < weight


# Person and robot ------------------------------------------------------------------------------------------


def test_the_robot_reaches_the_path_far_from_its_stops_and_from_singularity(model: mujoco.MjModel) -> None:
    robot = CobotKinematics.of(model)
    tool = point_of_beam(TransportPath().samples(), Transport().offset("tool")).position
    q = robot.inverse(np.column_stack([tool, np.full(len(tool), TOOL_ANGLE)]))
    for j, joint in enumerate(("shoulder", "elbow", "wrist")):
        low, high = model.tendon_lengthspring[model.tendon(f"cobot_{joint}_stop").id]
        assert low + 0.3 < q[:, j].min()
        assert q[:, j].max() < high - 0.3
    wrist = tool + np.array((0.0, robot.length[2])) - robot.base
    assert np.linalg.norm(wrist, axis=1).max() < 0.9 * robot.length[:2].sum()
    bearing = robot.jacobian(q)[:, 1, :] * Transport().borne("tool") * GRAVITY
    assert (np.abs(robot.gravity_torque(q) + bearing) < 0.5 * np.array((150, 150, 28))).all()


def test_the_person_can_hold_the_beam_over_the_path_by_muscles() -> None:
    """Static: the least largest activation whose moments balance weight and beam, by linear programming."""
    m = couple(arm()).compile()
    d = mujoco.MjData(m)
    worst = 0.0
    for pose in TransportPath().samples(9).position:
        d.qpos[:] = assemble(m, pose)

        def moment(activation: np.ndarray) -> np.ndarray:
            d.act[:6] = activation
            mujoco.mj_forward(m, d)
            return d.qfrc_actuator[:2].copy()

        passive = moment(np.zeros(6))
        need = (d.qfrc_bias - d.qfrc_passive)[:2] - passive
        active = np.column_stack([moment(one) - passive for one in np.eye(6)])
        best = linprog(
            np.array([0.0] * 6 + [1.0]),
            A_ub=np.column_stack([np.eye(6), -np.ones(6)]),
            b_ub=np.zeros(6),
            A_eq=np.column_stack([active, np.zeros(2)]),
            b_eq=need,
            bounds=[(0, 1)] * 7,
        )
        assert best.success
        worst = max(worst, best.x[-1])
    assert worst < 0.5


# JAX -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_our_step_is_cs(tmp_path) -> None:
    """The world without the robot's drives, forces on every coordinate, 0.2 s."""
    spec = couple(arm(), transport=CLAMPED)
    for actuator in spec.actuators[6:]:
        spec.delete(actuator)
    built = spec.compile()
    file = tmp_path / "world.xml"
    file.write_text(spec.to_xml())
    rng, steps = np.random.default_rng(0), 200
    applied = rng.normal(0, (3, 3, 20, 20, 5, 10, 10, 1), (steps, 8))
    excitation = np.full((steps, 6), 0.2)
    start = assemble(built, np.array((0.5, 1.0, 0.0)))
    with jax.enable_x64(True):
        loaded = load_model(file)
        state = State(jnp.asarray(start), jnp.zeros(8), jnp.full(6, 0.1))
        ours = rollout(loaded, loaded.nominal, state, jnp.asarray(excitation), applied=jnp.asarray(applied))
        assert ours.ok
        position = np.asarray(ours.position)
    m = loaded.host.mj_model
    d = mujoco.MjData(m)
    d.qpos[:], d.act[:] = start, 0.1
    theirs = [start]
    for k in range(steps):
        d.ctrl[:], d.qfrc_applied[:] = excitation[k], applied[k]
        mujoco.mj_step(m, d)
        theirs.append(d.qpos.copy())
    assert np.abs(np.array(theirs) - position).max() < 1e-9
    assert np.ptp(position, axis=0).min() > 0.01


def test_reading_forces_is_the_same_in_jax_and_in_batches(clamped: mujoco.MjModel) -> None:
    states = [disturbed(clamped, seed) for seed in range(3)]
    handle, clamp = Handle.of(clamped, "hand"), Clamp.of(clamped)
    arrays = [np.stack([getattr(d, name) for d in states]) for name in ("site_xpos", "ten_length", "ten_velocity")]
    each = np.stack([forces(clamped, d)["hand"] for d in states])
    np.testing.assert_allclose(handle.force(*arrays), each)
    with jax.enable_x64(True):
        device = [jnp.asarray(x) for x in arrays]
        np.testing.assert_allclose(jax.jit(handle.force)(*device), each, rtol=1e-12)
        np.testing.assert_allclose(clamp.moment(*device[1:]), clamp.moment(*arrays[1:]), rtol=1e-12)


# The path --------------------------------------------------------------------------------------------------


def test_path_starts_and_ends_at_rest_and_is_smooth() -> None:
    path = TransportPath()
    t = np.linspace(-0.2, path.duration + 0.2, 4001)
    motion = path.at(t)
    rest = (t <= 0) | (t >= path.duration)
    assert not motion.velocity[rest].any()
    assert not motion.acceleration[rest].any()
    np.testing.assert_allclose(motion.position[0], (0.45, 0.895, 0.0))
    np.testing.assert_allclose(motion.position[-1], (0.45 + 0.15, 0.895 + 0.11 - 0.05, 0.0))
    np.testing.assert_allclose(np.gradient(motion.position, t, axis=0), motion.velocity, atol=2e-4)
    np.testing.assert_allclose(np.gradient(motion.velocity, t, axis=0), motion.acceleration, atol=1e-2)
    with jax.enable_x64(True):
        for ours, theirs in zip(jax.jit(path.at)(jnp.asarray(t)), motion, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)
        speed = jax.vmap(jax.jacfwd(lambda s: path.at(s).position))(jnp.asarray(t))
        np.testing.assert_allclose(speed, motion.velocity, atol=1e-12)


def test_a_point_of_the_beam_moves_as_a_rigid_body(model: mujoco.MjModel) -> None:
    rng, offset = np.random.default_rng(0), Transport().offset("tool")
    motion = (
        TransportPath()
        .at(np.float64(1.0))
        ._replace(position=np.array((0.5, 1.0, 0.2)), velocity=rng.normal(0, 1, 3), acceleration=rng.normal(0, 1, 3))
    )
    point = point_of_beam(motion, offset)
    h = 1e-4

    def later(t: float) -> np.ndarray:
        moved = motion._replace(position=motion.position + motion.velocity * t + motion.acceleration * t**2 / 2)
        return point_of_beam(moved, offset).position

    np.testing.assert_allclose((later(h) - later(-h)) / (2 * h), point.velocity, atol=1e-6)
    np.testing.assert_allclose((later(h) - 2 * later(0) + later(-h)) / h**2, point.acceleration, atol=1e-5)
    d = mujoco.MjData(model)
    d.qpos[5:] = motion.position
    mujoco.mj_kinematics(model, d)
    middle = d.site_xpos[Handle.of(model, "tool").rim].mean(axis=0)
    np.testing.assert_allclose(point.position, middle[[0, 2]], atol=1e-12)
