"""Mechanics of the exoskeleton: straps, skin and motor, against C MuJoCo's forces, statics and energy."""

import mujoco
import numpy as np
import pytest
from prescribed_motion import PrescribedMotion, constraint_reason

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.envs.engines.c_engine import CEngine
from mjx_msm.envs.engines.kinetics import Kinetics
from mjx_msm.envs.engines.world import World
from mjx_msm.envs.human.leg import JOINTS
from mjx_msm.envs.robots.exoskeleton import CUFFS, Exoskeleton
from mjx_msm.envs.tasks.knee_exo import KneeExo
from mjx_msm.envs.worlds.cuffs import Coupling
from mjx_msm.envs.worlds.worn_exoskeleton import SLEEVE_MASS, wear


def bare_leg() -> mujoco.MjSpec:
    """The generic leg without its muscles' pull: what is left is mechanics."""
    spec = mujoco.MjSpec.from_file(str(assets.path("knee")))
    for actuator in spec.actuators:
        actuator.gainprm[2] = actuator.biasprm[2] = 1e-9
    return spec


class Worn:
    """An exoskeleton on a leg, in C; `device`: numbers to replace."""

    def __init__(self, **device: float):
        self.device = Exoskeleton.of(device)
        self.world = World.of(wear(bare_leg(), self.device), JOINTS, tracked=Coupling.sites())
        self.coupling = Coupling.of(self.world, self.device)
        self.engine = CEngine(self.world)
        self.m, self.d = self.engine.model, self.engine.data
        self.stand()

    def stand(self, hip: float = 0.9, knee: float = 0.8) -> None:
        """Still, without strain."""
        position, velocity = self.coupling.aligned(np, np.array((hip, knee, 0.0)), np.zeros(3))
        self.engine.start(position, velocity, np.zeros(len(self.world.muscles)), np.zeros(1))

    def seen(self) -> Kinetics:
        """After a change of state."""
        mujoco.mj_step1(self.m, self.d)
        mujoco.mj_fwdActuation(self.m, self.d)
        return self.engine.kinetics()

    def dof(self, name: str) -> int:
        return self.world.coordinate(f"exo_{name}")


@pytest.fixture(scope="module")
def shared() -> Worn:
    return Worn()


@pytest.fixture
def worn(shared: Worn) -> Worn:
    shared.stand()
    return shared


def test_the_person_comes_first(worn: Worn) -> None:
    exo = ("shank_shear", "thigh_shear", "x", "z", "pitch", "knee")
    assert worn.world.coordinates == (*JOINTS, *(f"exo_{name}" for name in exo))
    assert worn.world.motors == ("exo_knee_motor",)
    assert constraint_reason(worn.m) is None
    mass = worn.m.body("exo_thigh").mass[0] + worn.m.body("exo_shank").mass[0]
    assert 1.5 < mass < 3.0
    # A file of it is an ordinary MJCF which steps the same.
    again = mujoco.MjModel.from_xml_string(worn.world.spec.to_xml())
    np.testing.assert_allclose(again.body_mass, worn.m.body_mass, rtol=1e-6)
    np.testing.assert_allclose(again.tendon_lengthspring, worn.m.tendon_lengthspring, rtol=1e-5)
    np.testing.assert_allclose(again.jnt_stiffness, worn.m.jnt_stiffness)


def test_straps_start_at_their_pretension_and_cancel(worn: Worn) -> None:
    for hip, knee in ((0.9, 0.8), (-0.3, 0.0), (1.4, 1.6)):
        worn.stand(hip, knee)
        load = worn.coupling.loads(worn.engine.kinetics())
        np.testing.assert_allclose(load.tension, 40.0, atol=1e-6)
        assert np.linalg.norm(load.force, axis=1).max() < 1e-6
        assert abs(load.moment) < 1e-6
        assert load.displacement.max() < 1e-9


def test_it_is_put_on_a_leg_that_moves(worn: Worn) -> None:
    """Aligned velocities are those of aligned positions along a motion: the straps do not stretch."""

    def at(t: float) -> tuple[np.ndarray, np.ndarray]:
        return worn.coupling.aligned(np, np.array((0.3, 0.7, 0.1)) + t * speed, speed)

    speed, h = np.array((2.0, -3.0, 1.0)), 1e-6
    position, velocity = at(0.0)
    np.testing.assert_allclose((at(h)[0] - at(-h)[0]) / (2 * h), velocity, atol=1e-8)
    worn.engine.start(position, velocity, np.zeros(len(worn.world.muscles)), np.zeros(1))
    seen = worn.engine.kinetics()
    assert np.abs(seen.tendon_velocity[worn.coupling.straps]).max() < 1e-9
    assert np.abs(seen.tendon_velocity[worn.coupling.pads]).max() < 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_action_equals_reaction_and_straps_never_push(worn: Worn, seed: int) -> None:
    rng, m, d = np.random.default_rng(seed), worn.m, worn.d
    worn.stand(*rng.uniform(0.2, 1.5, 2))
    d.qpos[3:] += rng.normal(0, (0.005, 0.005, 0.015, 0.015, 0.1, 0.1))
    d.qvel[:] = rng.normal(0, (0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.05, 0.5, 0.5))
    loads = worn.coupling.loads(worn.seen())
    assert (loads.tension >= 0).all()
    assert loads.tension.min() == 0.0 or seed not in (0, 1, 4)  # some of these states have a slack strap
    # What MuJoCo applies to the exoskeleton's slides is the opposite of what we report on the leg.
    slides = [worn.dof("x"), worn.dof("z")]
    np.testing.assert_allclose(d.qfrc_passive[slides], -d.xaxis[slides] @ loads.force.sum(axis=0), atol=1e-9)
    # What it applies to the sleeves, besides their own springs and dampers, is each cuff's force along its limb.
    for i, shear in enumerate(worn.coupling.shear):
        own = -m.jnt_stiffness[shear] * d.qpos[shear] - m.dof_damping[shear] * d.qvel[shear]
        assert d.qfrc_passive[shear] - own == pytest.approx(d.xaxis[shear] @ loads.force[i], abs=1e-9)
    # What it applies to the human knee, besides the joint's own damping, is the shank cuff's moment.
    own = -m.dof_damping[1] * d.qvel[1]
    assert d.qfrc_passive[1] - own == pytest.approx(loads.moment, abs=1e-9)


@pytest.mark.parametrize("torque", [-15.0, -8.0, 8.0, 15.0])
def test_motor_torque_reaches_the_knee_through_the_straps(worn: Worn, torque: float) -> None:
    d, hold = worn.d, PrescribedMotion(worn.m, JOINTS)
    pose, holding, moments = d.qpos[:3].copy(), [], []
    for command in (0.0, torque):
        d.ctrl[-1] = command
        for _ in range(2500):
            force = hold.step(d, pose)
        loads = worn.coupling.loads(worn.seen())
        holding.append(force[1] - d.qfrc_bias[1])  # less the leg's own weight, with skin that shifts along it
        moments.append(loads.moment)
    assert np.abs(d.qvel).max() < 1e-5
    # Static: whoever holds the knee still bears the motor's torque less, and that is what the shank cuff brings.
    assert holding[1] - holding[0] == pytest.approx(moments[0] - moments[1], abs=1e-6)
    # It is not quite the motor's: the knees' axes drift apart as the straps give.
    assert moments[1] - moments[0] == pytest.approx(torque, rel=0.1)
    force = np.linalg.norm(loads.force, axis=1)
    assert (abs(torque) / 0.5 < force).all()
    assert (force < abs(torque) / 0.1 + 15).all()
    assert loads.tension.max() < 110
    assert loads.displacement.max() < 0.012


def test_only_the_straps_carry_the_exoskeleton(worn: Worn) -> None:
    d, hold = worn.d, PrescribedMotion(worn.m, JOINTS)
    worn.stand(0.0, 0.0)
    for _ in range(4000):
        hold.step(d, np.zeros(3))
    seen = worn.seen()
    loads = worn.coupling.loads(seen)
    mass = worn.m.body("exo_thigh").mass[0] + worn.m.body("exo_shank").mass[0]
    assert -loads.force[:, 2].sum() == pytest.approx(mass * 9.80665, rel=1e-4)
    assert -0.006 < d.qpos[worn.dof("z")] < 0  # it sags by millimetres
    # The skin bears it on: each sleeve's spring the cuff's force along the limb, and the sleeve's own weight.
    borne = worn.device.shear_stiffness * seen.position[worn.coupling.shear]
    np.testing.assert_allclose(borne, loads.force[:, 2] - SLEEVE_MASS * 9.80665, rtol=1e-3)


def test_energy_only_falls_when_nothing_drives(worn: Worn) -> None:
    fine = Worn()
    m, d = fine.m, fine.d
    m.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    m.opt.timestep = 1e-4  # the claim is about the mechanics, not the integrator
    hold, pose = PrescribedMotion(m, JOINTS), d.qpos[:3].copy()
    d.qpos[3:] += (0.001, -0.001, 0.01, -0.01, 0.1, -0.15)
    energy = []
    for _ in range(5000):
        hold.step(d, pose)
        fine.seen()
        mujoco.mj_energyPos(m, d)
        mujoco.mj_energyVel(m, d)
        energy.append(d.energy.sum())
    energy = np.array(energy)
    assert energy[0] - energy[-1] > 1.0
    assert np.diff(energy).max() < 2e-4 * (energy[0] - energy[-1])
    # At the environment's own timestep a rough start still comes to rest.
    worn.d.qpos[3:] += (0.003, -0.003, 0.03, -0.03, 0.3, -0.4)
    rest = PrescribedMotion(worn.m, JOINTS)
    for _ in range(3000):
        rest.step(worn.d, pose)
    assert np.abs(worn.d.qvel).max() < 1e-3


# Slip ------------------------------------------------------------------------------------------------------


def shear_and_grip(worn: Worn, loads, slipped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Force of each cuff's skin along its limb, and the largest that friction bears [N]."""
    shear = worn.device.shear_stiffness * (worn.d.qpos[worn.coupling.shear] - slipped)
    return shear, worn.device.friction * 2.0 * loads.tension.sum(axis=1)


def pulled(worn: Worn, force: float, seconds: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slip of both cuffs when the shell is pulled along a straight leg, step by step; and shear and grip at the end."""
    d, hold = worn.d, PrescribedMotion(worn.m, JOINTS)
    worn.stand(0.0, 0.0)
    slipped, history = np.zeros(2), []
    spring = worn.device.shear_stiffness
    for k in range(round(seconds / worn.world.timestep)):
        d.qfrc_applied[worn.dof("z")] = -force * min(1.0, 0.002 * k)
        d.qfrc_applied[worn.coupling.shear] = spring * slipped
        hold.step(d, np.zeros(3))
        seen = worn.seen()
        loads = worn.coupling.loads(seen)
        slipped = worn.coupling.slip(seen, loads, slipped, 1.0)
        shear, grip = shear_and_grip(worn, loads, slipped)
        assert (np.abs(shear) <= grip * (1 + 1e-9)).all()
        history.append(slipped)
    return np.array(history), shear, grip


def test_a_cuff_holds_what_friction_gives_and_no_more() -> None:
    held, shear, grip = pulled(Worn(), 150.0)
    assert not held.any()  # 160 N of tension at half of friction hold more than that on either side
    assert (np.abs(shear) < grip).all()
    slips, shear, grip = pulled(Worn(friction=0.1), 150.0)
    assert (slips[-1] < -0.002).all()
    assert (np.diff(slips, axis=0) <= 1e-12).all()  # pulled down, it slips down and does not come back
    np.testing.assert_allclose(np.abs(shear), grip, rtol=1e-3)  # it is still sliding


def test_without_friction_skin_bears_nothing() -> None:
    worn = Worn(friction=0.0)
    worn.d.qpos[worn.coupling.shear] = 0.004, -0.003
    seen = worn.seen()
    slipped = worn.coupling.slip(seen, worn.coupling.loads(seen), np.zeros(2), 1.0)
    np.testing.assert_array_equal(slipped, (0.004, -0.003))


def test_slip_is_not_undone_by_letting_go(worn: Worn) -> None:
    """Return mapping: inside the limit nothing gives way, whatever slipped before."""
    seen = worn.engine.kinetics()
    loads = worn.coupling.loads(seen)
    before = np.array((0.002, -0.001))
    np.testing.assert_array_equal(worn.coupling.slip(seen, loads, before, 1.0), before)
    give = worn.device.friction * 2 * 160.0 / worn.device.shear_stiffness
    np.testing.assert_allclose(worn.coupling.slip(seen, loads, np.array((0.05, -0.05)), 1.0), (give, -give))
    np.testing.assert_allclose(worn.coupling.slip(seen, loads, np.array((0.05, -0.05)), 0.25), (give / 4, -give / 4))


# Motor -----------------------------------------------------------------------------------------------------


def test_motor() -> None:
    device = Exoskeleton()
    task = KneeExo()
    limit = device.torque_limit
    for speed, low, high in ((0.0, -1.0, 1.0), (6.0, -1.0, 0.5), (-6.0, -0.5, 1.0), (20.0, -1.0, 0.0)):
        able = task.world.torque_range(np.array([speed]))
        np.testing.assert_allclose(able, limit * np.array([[low, high]]), atol=1e-12)
    worn = Worn(bandwidth=10.0)
    hold = PrescribedMotion(worn.m, JOINTS)
    worn.d.ctrl[-1] = 10.0
    for _ in range(16):  # one time constant of 10 Hz
        hold.step(worn.d, worn.d.qpos[:3].copy())
    assert worn.d.act[-1] == pytest.approx(10 * (1 - np.exp(-1)), rel=0.01)


def test_device_numbers_are_checked() -> None:
    with pytest.raises(InputError, match="no 'torque'"):
        Exoskeleton.of({"torque": 3.0})
    with pytest.raises(InputError, match="torque_limit = -1"):
        Exoskeleton(torque_limit=-1)
    with pytest.raises(InputError, match="strap_pretension"):
        wear(bare_leg(), Exoskeleton(strap_pretension=5000.0))
    with pytest.raises(InputError, match=r"tracked=Coupling\.sites"):
        Coupling.of(World.of(wear(bare_leg()), JOINTS), Exoskeleton())


def test_every_cuff_is_on_its_limb() -> None:
    world = World.of(wear(bare_leg()), JOINTS, tracked=Coupling.sites())
    m = world.model
    for cuff, (body, _) in CUFFS.items():
        sleeve = m.body(f"exo_{cuff}_sleeve")
        assert m.body(int(sleeve.parentid[0])).name == body
