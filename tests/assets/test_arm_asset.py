"""The arm asset against OpenSim's Arm26, and the properties every asset of ours has to have."""

import importlib.util
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import opensim
import pytest
from mujoco import mjx
from scipy.interpolate import make_interp_spline
from scipy.signal import butter, filtfilt

ROOT = Path(__file__).resolve().parents[2]
ARM = ROOT / "assets" / "arm" / "arm.xml"
DATA = Path(os.environ.get("MJX_MSM_DATA") or ROOT / ".." / "shared" / "data").resolve()
REFERENCE = DATA.parent / "reference"
MUSCLES = ("TRIlong", "TRIlat", "TRImed", "BIClong", "BICshort", "BRA")
JOINTS = {"shoulder_elev": "r_shoulder_elev", "elbow_flex": "r_elbow_flex"}
BODIES = {"humerus": "r_humerus", "forearm": "r_ulna_radius_hand"}
CROSSES = {
    "shoulder_elev": ("TRIlong", "BIClong", "BICshort"),
    "elbow_flex": MUSCLES,
}
SHOULDER, ELBOW = (-30, 100), (0, 130)  # degrees, where we claim to be OpenSim's arm
TO_MUJOCO = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # OpenSim's x, y up, z right -> x, y left, z up


def _needs(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"the reference data are absent: no {path.name} beside MJX_MSM_DATA (= {DATA})")
    return path


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(ARM))


@pytest.fixture(scope="module")
def reference():
    osim = _needs(REFERENCE / "arm26.osim")
    source = ROOT / "examples" / "assets" / "opensim_reference.py"
    spec = importlib.util.spec_from_file_location("opensim_reference", source)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.OpenSimReference(osim)


def evaluate(model: mujoco.MjModel, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (n, 6) and moment arms -dL/dq (n, 6, 2), in the order of MUSCLES and JOINTS."""
    data = mujoco.MjData(model)
    order = [model.actuator(m).id for m in MUSCLES]
    lengths, arms = np.empty((len(poses), 6)), np.empty((len(poses), 6, 2))
    moment = np.zeros((model.nu, model.nv))
    for i, pose in enumerate(poses):
        data.qpos[:] = pose
        mujoco.mj_fwdPosition(model, data)
        mujoco.mju_sparse2dense(
            moment, data.actuator_moment, data.moment_rownnz, data.moment_rowadr, data.moment_colind
        )
        lengths[i], arms[i] = data.actuator_length[order], -moment[order]
    return lengths, arms


@pytest.fixture(scope="module")
def compared(model, reference):
    """(ours, OpenSim's) lengths and moment arms [mm] over the range of motion, every 5 and 10 degrees."""
    s, e = np.arange(SHOULDER[0], SHOULDER[1] + 1, 5), np.arange(ELBOW[0], ELBOW[1] + 1, 10)
    poses = np.radians(np.stack(np.meshgrid(s, e, indexing="ij"), -1).reshape(-1, 2))
    values = dict(zip(JOINTS.values(), poses.T, strict=True))
    lengths, arms = evaluate(model, poses)
    theirs = np.stack([reference.moment_arms(MUSCLES, values, j, step=None) for j in JOINTS.values()], -1)
    return (lengths * 1e3, arms * 1e3), (reference.lengths(MUSCLES, values) * 1e3, theirs * 1e3)


# --- against OpenSim --------------------------------------------------------------------------------------


@pytest.mark.parametrize("joint", JOINTS)
def test_moment_arms_are_opensims_within_3_mm(compared, joint):
    (_, ours), (_, theirs) = compared
    error = (ours - theirs)[:, :, list(JOINTS).index(joint)]
    assert np.sqrt(np.mean(error**2, axis=0)).max() < 2.0  # the bar is 3
    assert np.abs(error).max() < 3.0
    crossing = np.isin(MUSCLES, CROSSES[joint])
    assert np.abs(ours[:, ~crossing, list(JOINTS).index(joint)]).max(initial=0.0) < 1e-6


def test_lengths_are_opensims_within_5_mm(compared):
    (ours, _), (theirs, _) = compared
    error = ours - theirs
    assert np.abs(error.mean(axis=0)).max() < 0.5  # so that OpenSim's tendon slack lengths hold
    assert error.std(axis=0).max() < 2.5  # the bar is 5
    assert np.abs(error).max() < 6.0  # OpenSim's own TRIlong jumps by 2 and by 3 mm as its wraps engage


def test_masses_and_muscles_are_opensims(model, reference):
    for ours, theirs in BODIES.items():
        mass, com, inertia = reference.body(theirs)
        body = model.body(ours)
        assert body.mass[0] == pytest.approx(mass, rel=1e-6)
        np.testing.assert_allclose(body.ipos, TO_MUJOCO @ com, atol=1e-6)
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, body.iquat)
        rotation = rotation.reshape(3, 3)
        np.testing.assert_allclose(
            rotation @ np.diag(body.inertia) @ rotation.T, TO_MUJOCO @ inertia @ TO_MUJOCO.T, atol=1e-8
        )
    for muscle in MUSCLES:
        constants, actuator = reference.constants(muscle), model.actuator(muscle)
        r0, r1, force = actuator.gainprm[:3]
        low, high = model.actuator_lengthrange[actuator.id]
        optimal = (high - low) / (r1 - r0)
        assert force == pytest.approx(constants.max_isometric_force * np.cos(constants.pennation_angle), rel=1e-5)
        assert optimal == pytest.approx(constants.optimal_fiber_length, rel=1e-5)
        assert low - r0 * optimal == pytest.approx(constants.tendon_slack_length, abs=1e-6)


def _sto(path: Path) -> tuple[list[str], np.ndarray]:
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "endheader") + 1
    rows = [line.split() for line in lines[start:] if line.strip()]
    return rows[0], np.array(rows[1:], float)


def test_inverse_dynamics_is_opensims_golden(model):
    """Arm26's own run: 6 Hz low-pass (third-order Butterworth, both ways), then splines; no muscle force."""
    folder = _needs(REFERENCE / "arm26_golden")
    names, motion = _sto(folder / "arm26_InverseKinematics.mot")
    assert names[:3] == ["time", *JOINTS.values()]
    header, golden = _sto(folder / "std_arm26_InverseDynamics.sto")
    assert header[1:] == [f"{j}_moment" for j in JOINTS.values()]
    time, q = motion[:, 0], np.radians(motion[:, 1:3])  # no inDegrees line: the old form, degrees
    b, a = butter(3, 6.0, fs=(len(time) - 1) / (time[-1] - time[0]))
    spline = make_interp_spline(time, filtfilt(b, a, q, axis=0, padlen=100), k=5)

    spec = mujoco.MjSpec.from_file(str(ARM))
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    bare = spec.compile()
    bare.dof_damping[:] = 0.0
    bare.tendon_stiffness[:] = 0.0
    data = mujoco.MjData(bare)
    moments = np.empty((len(golden), 2))
    for i, t in enumerate(golden[:, 0]):
        data.qpos[:], data.qvel[:], data.qacc[:] = spline(t), spline(t, 1), spline(t, 2)
        mujoco.mj_inverse(bare, data)
        moments[i] = data.qfrc_inverse
    error = np.abs(moments - golden[:, 1:]).max(axis=0) / np.abs(golden[:, 1:]).max(axis=0)
    assert error.max() < 2e-3  # the bar is 2e-2


def test_inverse_dynamics_is_opensims_solver(model, reference):
    """The equations of motion alone, at random states: no filter between us."""
    tool = opensim.InverseDynamicsSolver(reference.model)
    state = reference.state
    muscles = reference.model.getMuscles()
    for i in range(muscles.getSize()):
        muscles.get(i).setAppliesForce(state, False)
    data = mujoco.MjData(model)
    random = np.random.default_rng(0)
    for _ in range(20):
        q = random.uniform(np.radians([-60, 5]), np.radians([140, 130]))
        v, acceleration = random.normal(0, 4, 2), random.normal(0, 30, 2)
        for k, name in enumerate(JOINTS.values()):
            coordinate = reference.model.getCoordinateSet().get(name)
            coordinate.setValue(state, q[k], False)
            coordinate.setSpeedValue(state, v[k])
        udot = opensim.Vector(2, 0.0)
        for k in range(2):
            udot[k] = acceleration[k]
        theirs = tool.solve(state, udot)
        data.qpos[:], data.qvel[:], data.qacc[:] = q, v, acceleration
        mujoco.mj_inverse(model, data)
        ours = data.qfrc_inverse + data.qfrc_passive  # joint friction is ours alone
        np.testing.assert_allclose(ours, [theirs[0], theirs[1]], atol=1e-3)


# --- of itself --------------------------------------------------------------------------------------------


def test_needs_no_solver_and_no_guess(model):
    assert (model.neq, model.npair, model.njnt, model.nu) == (0, 0, 2, 6)
    assert not model.geom_contype.any()
    assert not model.geom_conaffinity.any()
    assert not model.jnt_limited.any()
    assert not model.tendon_limited.any()
    assert not (model.wrap_prm[np.isin(model.wrap_type, (4, 5))] >= 0).any()  # no side sites
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    np.testing.assert_array_equal(model.actuator_gainprm, model.actuator_biasprm)
    assert (model.actuator_gainprm[:, 2] > 0).all()
    assert (model.actuator_lengthrange[:, 1] > model.actuator_lengthrange[:, 0]).all()
    assert (model.actuator_dynprm[:, 2] >= 0.01).all()
    assert [model.actuator(i).name for i in range(6)] == list(MUSCLES)
    assert model.site("hand").bodyid[0] == model.body("forearm").id
    assert model.camera("sagittal").id >= 0


def test_credit_survives_export():
    text = mujoco.MjSpec.from_file(str(ARM)).to_xml()
    for part in ("CC-BY 3.0", "Holzbaur", "Reinbolt"):
        assert part in text
        assert part in ARM.read_text().split("<mujoco", 1)[0]


@pytest.mark.parametrize("joint", JOINTS)
def test_paths_are_smooth_well_past_the_limits(model, joint):
    """No wrap flips to its other side: the moment arm is -dL/dq and moves by little in a quarter degree."""
    j = list(JOINTS).index(joint)
    angles = np.radians(np.arange(*((-90, 165) if j == 0 else (-22, 160)), 0.25))
    for other in np.radians([-60, 20, 90] if j == 0 else [-60, 60]):
        poses = np.full((len(angles), 2), other)
        poses[:, j] = angles
        lengths, arms = evaluate(model, poses)
        difference = -(lengths[2:] - lengths[:-2]) / (angles[2:] - angles[:-2])[:, None]
        assert np.abs(difference - arms[1:-1, :, j]).max() < 5e-5
        assert np.abs(np.diff(arms[:, :, j], axis=0)).max() < 6e-4


def test_limits_hold_under_full_activation(model):
    """Every muscle fully on, alone and by groups, stays where the paths were checked to be smooth."""
    data = mujoco.MjData(model)
    for active in [[i] for i in range(6)] + [[0, 1, 2], [3, 4, 5], [0, 3, 4, 5], list(range(6))]:
        mujoco.mj_resetData(model, data)
        data.ctrl[active] = 1.0
        for _ in range(750):
            mujoco.mj_step(model, data)
            assert (np.degrees(data.qpos) > [-90, -22]).all()
            assert (np.degrees(data.qpos) < [165, 160]).all()


@pytest.mark.slow
def test_lengths_and_their_derivatives_are_finite_in_mjx(model):
    """Lengths and moment arms are C MuJoCo's; their derivatives are finite, past both limits too."""
    spec = mujoco.MjSpec.from_file(str(ARM))
    for geom in list(spec.geoms):
        if geom.classname.name != "wrap":  # only for looks, and they cost compile time
            spec.delete(geom)
    axes = np.radians(np.arange(-75, 156, 7.0)), np.radians(np.arange(-10, 141, 7.5))
    poses = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    expected, arms = evaluate(model, poses)
    with jax.enable_x64(True):
        device = mjx.put_model(spec.compile())
        start = mjx.make_data(device)
        order = jnp.array([model.tendon(m).id for m in MUSCLES])

        def paths(q):
            data = mjx.com_pos(device, mjx.kinematics(device, start.replace(qpos=q)))
            data = mjx.tendon(device, data)
            return data.ten_length[order], data._impl.ten_J[order]

        def with_derivative(q):
            (length, jacobian), pull = jax.vjp(paths, q)
            return length, jacobian, pull((jnp.ones_like(length), jnp.ones_like(jacobian)))[0]

        run = jax.jit(jax.vmap(with_derivative), compiler_options={"xla_cpu_use_fusion_emitters": False})
        lengths, jacobian, gradient = run(jnp.asarray(poses))
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(lengths, expected, atol=1e-12)
    np.testing.assert_allclose(-np.asarray(jacobian), arms, atol=1e-10)
