"""Metabolic power against OpenSim's own muscles and against figures of the papers."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import opensim
import pytest

from mjx_msm.dynamics.metabolics import (
    MINIMAL_HEAT,
    SLOW_TWITCH,
    UCHIDA_2016,
    UMBERGER_2003,
    Bhargava2004,
    Contraction,
    Muscles,
    Umberger2010,
    muscle_mass,
    slow_twitch,
)

opensim.Logger.removeFileSink()
opensim.Logger.setLevelString("error")

ANDERSON_1999 = Bhargava2004(isometric=0.0, shortening=0.25, lengthening=0.0)
MODELS = {
    "bhargava": Bhargava2004(),
    "anderson": ANDERSON_1999,
    "umberger 2003": UMBERGER_2003,
    "umberger 2010": Umberger2010(),
    "uchida 2016": UCHIDA_2016,
}
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


class OpenSimMuscles:
    """Muscles of OpenSim's between the ground and a slider, with all its metabolic models looking at them."""

    def __init__(self, count: int = 4):
        rng = np.random.default_rng(0)
        self.model = model = opensim.Model()
        body = opensim.Body("body", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
        joint = opensim.SliderJoint(
            "joint", model.getGround(), opensim.Vec3(0), opensim.Vec3(0), body, opensim.Vec3(0), opensim.Vec3(0)
        )
        joint.updCoordinate().setName("x")
        model.addBody(body)
        model.addJoint(joint)
        self.slow = np.array([1.0, *rng.uniform(0.2, 0.8, count - 1)])
        self.muscles = []
        for i in range(count):
            muscle = opensim.DeGrooteFregly2016Muscle()
            muscle.setName(f"m{i}")
            muscle.set_max_isometric_force(float(rng.uniform(300, 3000)))
            muscle.set_optimal_fiber_length(float(rng.uniform(0.08, 0.12)))
            muscle.set_tendon_slack_length(0.2)
            muscle.set_max_contraction_velocity(float(rng.uniform(8, 12)))
            muscle.set_ignore_tendon_compliance(True)
            muscle.addNewPathPoint("a", model.updGround(), opensim.Vec3(0))
            muscle.addNewPathPoint("b", body, opensim.Vec3(0))
            model.addForce(muscle)
            self.muscles.append(muscle)
        self.probes = {
            "bhargava": self._bhargava(True),
            "anderson": self._bhargava(False),
            "umberger 2003": self._umberger(False, True),
            "umberger 2010": self._umberger(False, False),
            "uchida 2016": self._umberger(True, True),
        }
        self.smoothed = [self._component(i) for i in range(count)]
        self.state = model.initSystem()

    def _add(self, probe, *coefficients):
        probe.set_report_total_metabolics_only(False)
        self.model.addProbe(probe)
        for muscle, slow in zip(self.muscles, self.slow, strict=True):
            probe.addMuscle(muscle.getName(), float(slow), *coefficients)
        return probe

    def _bhargava(self, force_dependent: bool):
        probe = opensim.Bhargava2004MuscleMetabolicsProbe()
        probe.setName(f"bhargava{force_dependent}")
        probe.set_use_force_dependent_shortening_prop_constant(force_dependent)
        return self._add(probe, 40.0, 133.0, 74.0, 111.0)

    def _umberger(self, orderly: bool, negative_work: bool):
        probe = opensim.Umberger2010MuscleMetabolicsProbe()
        probe.setName(f"umberger{orderly}{negative_work}")
        probe.set_use_Bhargava_recruitment_model(orderly)
        probe.set_include_negative_mechanical_work(negative_work)
        return self._add(probe)

    def _component(self, i: int):
        component = opensim.Bhargava2004SmoothedMuscleMetabolics()
        component.setName(f"smoothed{i}")
        component.set_use_force_dependent_shortening_prop_constant(True)
        component.addMuscle(f"m{i}", self.muscles[i], float(self.slow[i]), 0.25e6)
        self.model.addComponent(component)
        return component

    def constants(self) -> Muscles:
        """What our models take."""
        force, length, fastest = (
            np.array([getattr(m, f"get_{name}")() for m in self.muscles])
            for name in ("max_isometric_force", "optimal_fiber_length", "max_contraction_velocity")
        )
        return Muscles(force, length, fastest, self.slow, muscle_mass(force, length))

    def at(self, length, velocity, activation, excitation) -> tuple[Contraction, dict[str, np.ndarray]]:
        """The contraction when the path moves so [m, m/s], and the power of every muscle by every model."""
        s, coordinate = self.state, self.model.updCoordinateSet().get("x")
        coordinate.setValue(s, float(length), False)
        coordinate.setSpeedValue(s, float(velocity))
        for muscle, a in zip(self.muscles, activation, strict=True):
            muscle.setActivation(s, float(a))
        self.model.realizeVelocity(s)
        controls = opensim.Vector(len(self.muscles), 0.0)
        for i, u in enumerate(excitation):
            controls.set(i, float(u))
        self.model.setControls(s, controls)
        self.model.realizeReport(s)

        def each(quantity):
            return np.array([getattr(m, quantity)(s) for m in self.muscles])

        optimal = np.array([m.get_optimal_fiber_length() for m in self.muscles])
        contraction = Contraction(
            excitation=np.asarray(excitation),
            activation=each("getActivation"),
            fiber_length=each("getNormalizedFiberLength"),
            fiber_velocity=each("getFiberVelocity") / optimal,
            active_force_length=each("getActiveForceLengthMultiplier"),
            active_force=each("getActiveFiberForce"),
            passive_force=each("getPassiveFiberForce"),
        )
        power = {}
        for name, probe in self.probes.items():
            outputs = probe.getProbeOutputs(s)
            power[name] = np.array([outputs[2 + i] for i in range(len(self.muscles))])
        pairs = zip(self.smoothed, self.muscles, strict=True)
        power["smoothed"] = np.array([c.getMuscleMetabolicRate(s, m.getAbsolutePathString()) for c, m in pairs])
        return contraction, power


@pytest.fixture(scope="module")
def states():
    """Constants, contractions (state, muscle) and OpenSim's power of each model (state, muscle)."""
    theirs = OpenSimMuscles()
    rng = np.random.default_rng(1)
    found = []
    for _ in range(150):
        activation, excitation = rng.uniform(0.01, 1, (2, len(theirs.muscles)))
        found.append(theirs.at(rng.uniform(0.24, 0.36), rng.uniform(-0.9, 0.5), activation, excitation))
    contractions, powers = zip(*found, strict=True)
    stacked = Contraction(*(np.stack(values) for values in zip(*contractions, strict=True)))
    return theirs.constants(), stacked, {name: np.stack([p[name] for p in powers]) for name in powers[0]}


@pytest.mark.parametrize("name", MODELS)
def test_power_equals_opensims(states, name):
    muscles, contraction, theirs = states
    ours = MODELS[name].power(muscles, contraction)
    lengthens = contraction.fiber_velocity > 0
    assert lengthens.any()
    assert (~lengthens).any()
    assert np.ptp(contraction.fiber_length) > 0.8  # both sides of the optimum
    assert theirs[name].max() > 100
    np.testing.assert_allclose(ours, theirs[name], rtol=1e-9, atol=1e-9)


def test_bhargava_equals_opensims_component_for_optimisation(states):
    muscles, contraction, theirs = states
    np.testing.assert_allclose(Bhargava2004().power(muscles, contraction), theirs["smoothed"], rtol=1e-9, atol=1e-9)


@each_model
def test_jax_gives_the_same_numbers_with_finite_slopes(states, model, x64):
    muscles, contraction, _ = states
    ours = jax.jit(model.power)(jax.tree.map(jnp.asarray, muscles), jax.tree.map(jnp.asarray, contraction))
    np.testing.assert_allclose(ours, model.power(muscles, contraction), rtol=1e-12)
    # at rest and at full effort, where roots and angles have their ends
    for effort in (0.0, 1.0):
        state = Contraction(*(jnp.full(4, x) for x in (effort, effort, 1.0, 0.0, 1.0, 0.0, 0.0)))
        slopes = jax.grad(lambda state: model.power(muscles, state).sum())(state)
        assert all(np.isfinite(slope).all() for slope in slopes)


@each_model
def test_a_slope_is_a_finite_difference(states, model, x64):
    muscles, contraction, _ = states
    state = jax.tree.map(lambda x: jnp.asarray(x[:20]), contraction)
    slopes = jax.grad(lambda s: model.power(muscles, s).sum())(state)
    for i, slope in enumerate(slopes):
        step = 1e-6 * np.maximum(1.0, np.abs(state[i]))
        higher, lower = (
            model.power(muscles, state._replace(**{state._fields[i]: state[i] + d})) for d in (step, -step)
        )
        smooth = np.abs(slope - (higher - lower) / (2 * step)) < 1e-4 * (1 + np.abs(slope))
        assert smooth.mean() > 0.98  # a kink may lie within the step


def still(excitation: float, slow: float, length: float = 1.0, force_length: float = 1.0):
    """One muscle of 1 kg that holds its length."""
    one = np.ones(1)
    muscles = Muscles(1000.0 * one, 0.1 * one, 12.0 * one, slow * one, one)
    contraction = Contraction(
        *(x * one for x in (excitation, excitation, length, 0.0, force_length, 1000.0 * force_length * excitation, 0.0))
    )
    return muscles, contraction


def test_heat_of_a_held_contraction():
    """Full effort at optimal length, the papers' own coefficients [W/kg]."""
    for slow, bhargava, umberger in ((1.0, 40 + 74, 25), (0.0, 133 + 111, 25 + 128), (0.5, 179, 89)):
        if slow > 0:
            assert Bhargava2004().power(*still(1.0, slow)) == pytest.approx(bhargava)
        assert Umberger2010(aerobic=1.0).power(*still(1.0, slow)) == pytest.approx(umberger)
        assert Umberger2010().power(*still(1.0, slow)) == pytest.approx(1.5 * umberger)
    # Maintenance, 60 % of the heat, follows the isometric force beyond the optimal length; activation does not.
    assert Umberger2010(aerobic=1.0).power(*still(1.0, 0.5, 1.3, 0.5)) == pytest.approx(89 * (0.4 + 0.6 * 0.5))


def test_shortening_heat_of_slow_fibers_is_capped():
    """Umberger et al. 2003: 100 W/kg at the slow fibers' largest velocity, vmax/2.5, and no more beyond."""
    muscles, contraction = still(1.0, 1.0)
    for velocity, heat in ((-12 / 2.5, 100.0), (-12 / 5, 50.0), (-12.0, 100.0)):
        moving = contraction._replace(fiber_velocity=np.full(1, velocity), active_force=np.zeros(1))
        assert Umberger2010(aerobic=1.0).power(muscles, moving) == pytest.approx(25.0 + heat)


@each_model
def test_efficiency_has_its_best_velocity(model):
    """With Hill's force: no work comes from nothing, and neither the slowest nor the fastest shortening is the best.

    The soleus of Umberger et al. 2003: F0 3127 N, l_opt 55 mm, a fifth of its fibers fast, a/F0 = 0.1 + 0.4 · 0.2.
    """
    one, length = np.ones(1), 0.055
    muscles = Muscles(3127 * one, length * one, 12 * one, 0.8 * one, muscle_mass(3127 * one, length * one))
    assert muscles.mass == pytest.approx(0.729, abs=5e-4)
    relative = np.linspace(0.02, 0.98, 49)[:, None]
    force = 3127 * (1 - relative) / (1 + relative / 0.18)
    ones = np.ones_like(relative)
    power = model.power(muscles, Contraction(ones, ones, ones, -12 * relative, ones, force, 0 * ones))
    efficiency = force * (12 * length * relative) / power
    assert (efficiency < 1).all()
    assert 0.05 < relative[efficiency.argmax()] < 0.5
    assert efficiency.max() > 0.3


@each_model
def test_a_resting_muscle_gives_the_least_heat(model):
    muscles, contraction = still(0.0, 0.5)
    assert model.power(muscles, contraction) == pytest.approx(MINIMAL_HEAT)


def test_slow_twitch_by_name():
    np.testing.assert_array_equal(slow_twitch(["soleus", "TRIlat", "no such muscle"]), [0.803, 0.326, 0.5])


def test_every_muscle_of_the_bundled_models_is_in_the_table(arm, knee):
    for model in (arm, knee):
        assert set(model.muscles) <= set(SLOW_TWITCH)


def test_numpy_needs_no_jax():
    code = (
        "import sys, numpy as np\n"
        "from mjx_msm.dynamics import metabolics as m\n"
        "one = np.ones(2)\n"
        "m.Umberger2010().power(m.Muscles(*[one] * 5), m.Contraction(*[one] * 7))\n"
        "assert 'jax' not in sys.modules and 'mujoco' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
