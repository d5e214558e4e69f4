"""The muscles of MODEL as they were identified, for plain MuJoCo: laws that an MJCF file cannot hold, as callbacks.

It needs Python and `mujoco`, nothing else. The file beside it has MuJoCo's native muscles, fitted to these.

    law, model = load("MODEL")
    data = mujoco.MjData(model)
    with law:  # MuJoCo's callbacks belong to the whole process: one law at a time
        while data.time < 1.0:
            data.ctrl[:] = 0.2
            mujoco.mj_step(model, data)

What tendons that yield remember is in `data.userdata`, and so is copied with the data. Muscles begin where their
tension does not change: until a first step is taken, after `mujoco.mj_resetData`, and where `data.time` goes back.
Whoever moves the state of a running simulation says so by `data.userdata[:] = 0`.

Laws: De Groote et al. 2016, doi 10.1007/s10439-016-1591-9; Thelen 2003, doi 10.1115/1.1531112; Millard et al. 2013,
doi 10.1115/1.4023390; MuJoCo's own. Behind a tendon that yields, fibers move at a rate by the second backward
difference. Written by mjx_msm, whose documentation has the equations.
"""

import math
from pathlib import Path

import mujoco

MUSCLES: list = []
"""Of every muscle its name, law, and parameters in SI units."""

ACTIVE = (
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)
VELOCITY = (-0.3211346127989808, -8.149, -0.374, 0.8825327733249912)
KPE, C1, C3 = 4.0, 0.2, 0.2


class Law:
    """Callbacks for a model that `load` made."""

    def __init__(self, model):
        self.muscles = {model.actuator(m["name"]).id: _Muscle(m) for m in MUSCLES}
        self.count, self.yielding = model.nu, any(m.yields for m in self.muscles.values())

    def __enter__(self):
        self._before = mujoco.get_mjcb_act_dyn(), mujoco.get_mjcb_act_bias(), mujoco.get_mjcb_sensor()
        mujoco.set_mjcb_act_dyn(self.rate)
        mujoco.set_mjcb_act_bias(self.force)
        mujoco.set_mjcb_sensor(self.keep)
        return self

    def __exit__(self, *_):
        mujoco.set_mjcb_act_dyn(self._before[0])
        mujoco.set_mjcb_act_bias(self._before[1])
        mujoco.set_mjcb_sensor(self._before[2])

    def rate(self, model, data, i):
        """Time derivative of activation [1/s]."""
        return self.muscles[i].rate(data.ctrl[i], data.act[model.actuator_actadr[i]])

    def force(self, model, data, i):
        """Of an actuator [N]: minus the muscle's tension."""
        return -self._pull(model, data, i)[0]

    def keep(self, model, data, stage):
        """What fibers span is kept once a step: MuJoCo asks for sensors in its first stage only."""
        if stage != mujoco.mjtStage.mjSTAGE_ACC or not self.yielding:
            return
        pulled = {i: self._pull(model, data, i) for i, m in self.muscles.items() if m.yields}
        newest, spacing, elapsed = self._last(model, data)
        data.userdata[:4] = 1.0 if newest is None else 2.0, data.time, elapsed, spacing
        for i, (_, span, last) in pulled.items():
            data.userdata[4 + i :: self.count] = span, *last

    def _last(self, model, data):
        """Of the three kept samples, which is the last before this time, None where muscles begin; how far it is from
        the one before it [s], and how long ago [s]. The first is of this very time where that was looked at already."""
        begun, newest, elapsed, spacing = data.userdata[:4]
        ago = data.time - newest
        if begun == 0 or ago < -1e-9 or (ago < 1e-9 and begun == 1):
            return None, model.opt.timestep, model.opt.timestep
        return (1, spacing, elapsed) if ago < 1e-9 else (0, elapsed, ago)

    def _pull(self, model, data, i):
        """Tension [N], what the fibers span [m], and what they spanned at the two samples before."""
        m = self.muscles[i]
        a, length, speed = data.act[model.actuator_actadr[i]], data.actuator_length[i], data.actuator_velocity[i]
        if not m.yields:
            return m.fibers(a, length, speed), 0.0, (0.0, 0.0)
        newest, spacing, elapsed = self._last(model, data)
        if newest is None:
            last = m.begin(a, length, speed, spacing)
        else:
            last = tuple(data.userdata[4 + i :: self.count][newest : newest + 2])
        strain = m.advance(a, length, last, spacing, elapsed)
        return m.tendon(strain), length - m.slack * strain, last


class _Muscle:
    def __init__(self, m):
        self.p, self.law, self.yields = m, m["fibers"], bool(m["yields"])
        self.f0, self.opt, self.slack = m["max_isometric_force"], m["optimal_fiber_length"], m["tendon_slack_length"]
        self.vmax, self.scale = self.opt * m["max_contraction_velocity"], m["passive_force_scale"]
        self.stiffness = math.log((1 + C3) / C1) / m["tendon_strain"]
        self.lowest = math.log((C3 - 0.19) / C1) / self.stiffness
        if m["tendon"] == "thelen":
            self.toe = 99 * math.exp(3) / (166 * math.exp(3) - 67) * m["tendon_strain"]
            self.lowest = self.toe / 3 * math.log1p(-0.016 * math.expm1(3) / 0.33)
        if m["tendon"] == "millard":
            self.bent = _millard_tendon(m["tendon_strain"])
            self.lowest = 4 * m["tendon_strain"] * math.log1p(-0.19 / 0.2)
        if self.law == "millard":
            self.active, self.passive = _millard_active(m["least_active"]), _millard_passive(m["passive_fiber_strain"])

    def rate(self, u, a):
        p, u, b = self.p, min(max(u, 0.0), 1.0), min(max(a, 0.0), 1.0)
        z, rise, fall = 0.5 + 1.5 * b, p["activation_time_constant"], p["deactivation_time_constant"]
        if self.law != "degroote":
            if p.get("tausmooth", 0.0) < 1e-15:
                return (u - a) / (rise * z if u > a else fall / z)
            x = min(max((u - a) / p["tausmooth"] + 0.5, 0.0), 1.0)
            return (u - a) / (fall / z + (rise * z - fall / z) * x**3 * (3 * x * (2 * x - 5) + 10))
        share = 0.5 + 0.5 * math.tanh(p["activation_smoothing"] * (u - a))
        return (share / (rise * z) + (1 - share) * z / fall) * (u - a)

    def fibers(self, a, length, speed):
        """Tension of the fibers' law on a path, its tendon rigid [N]."""
        x, v = (length - self.slack) / self.opt, speed / self.vmax
        if self.law == "mujoco":
            p = self.p
            active = _native_length(x, p["lmin"], p["lmax"]) * _native_velocity(v, p["fvmax"])
            return self.f0 * (a * active + self.scale * _native_passive(x, p["lmax"]))
        slope = 1.0
        if x < 0.2:
            s = (0.2 - x) / 0.1
            x, slope = 0.1 + 0.1 / (1 + s + s * s), (1 + 2 * s) / (1 + s + s * s) ** 2
        fiber = math.hypot(x, math.sin(self.p["pennation_angle"]))
        cos, v = x / fiber, slope * v * x / fiber
        if self.law == "thelen":
            p, steep = self.p, self.p["passive_stiffness"]
            passive = math.expm1(steep / p["passive_fiber_strain"] * max(fiber - 1, 0.0)) / math.expm1(steep)
            active = math.exp(-((fiber - 1) ** 2) / p["active_width"])
            active *= _thelen_velocity(v / (0.25 + 0.75 * a), p["curvature"], p["lengthening"])
            return self.f0 * (a * active + self.scale * passive) * cos
        if self.law == "millard":
            active, passive = self.active(fiber), self.passive(fiber)
            return (
                self.f0 * (a * active * _MILLARD_VELOCITY(v) + self.scale * passive + self.p["fiber_damping"] * v) * cos
            )
        d1, d2, d3, d4 = VELOCITY
        active = sum(b1 * math.exp(-0.5 * ((fiber - b2) / (b3 + b4 * fiber or 1e-9)) ** 2) for b1, b2, b3, b4 in ACTIVE)
        steep = KPE / self.p["passive_fiber_strain"]
        low = math.exp(-0.8 * steep)
        passive = (math.exp(steep * (fiber - 1)) - low) / (math.exp(KPE) - low)
        force = a * active * (d1 * math.asinh(d2 * v + d3) + d4) + self.scale * passive + self.p["fiber_damping"] * v
        return self.f0 * force * cos

    def tendon(self, strain):
        """Tension of the tendon [N]."""
        if self.p["tendon"] == "thelen":
            e0, toe = self.p["tendon_strain"], self.toe
            bent = 0.33 * math.expm1(3 * min(strain, toe) / toe) / math.expm1(3)
            return self.f0 * (bent + 0.67 / (e0 - toe) * max(strain - toe, 0.0))
        if self.p["tendon"] == "millard":
            push = 0.2 * math.expm1(0.25 * strain / self.p["tendon_strain"])
            return self.f0 * (self.bent(strain) if strain > 0 else push)
        return self.f0 * (C1 * math.exp(self.stiffness * strain) - C3)

    def begin(self, a, length, speed, h):
        """What the fibers spanned in two steps before, had tension not changed in them."""
        speed = min(max(speed, -self.vmax), self.vmax)
        strain = self.balance(a, length, 0.0, speed, self.lowest)
        span = length - self.slack * strain
        return span - h * speed, span - 2 * h * speed

    def advance(self, a, length, last, h, elapsed):
        """Strain of the tendon, `elapsed` after the last sample."""
        w = elapsed / h
        now, before, earlier = (1 + 2 * w) / (1 + w) / elapsed, -(1 + w) / elapsed, w * w / (1 + w) / elapsed
        offset = before * last[0] + earlier * last[1]
        still = (length + offset / now) / self.slack
        return self.balance(a, length, now, offset, min(still, 0.0) - 1e-3)

    def balance(self, a, length, slope, offset, low):
        """Strain at which the tendon carries what fibers pull with, their rate slope · span + offset."""
        a = max(a, 0.0)

        def gap(strain):
            span = length - self.slack * strain
            return (self.tendon(strain) - self.fibers(a, span, slope * span + offset)) / self.f0

        high = low + 1e-3
        while gap(high) < 0:
            low, high = high, high + 2 * (high - low)
            if high > 10:
                raise ValueError(f"muscle {self.p['name']}: no balance of tendon and fibers at length {length:g} m")
        return _root(gap, low, high)


def _thelen_velocity(w, curvature, most):
    if w <= 0:
        w = max(w, -1.0)
        return (1 + w) / (1 - w / curvature)
    c, k = most - 1, 2 + 2 / curvature
    end = c * (0.95 * most - 1) / (k * most * 0.05)
    on, slope = min(w, end), c * k * c / (c + k * end) ** 2
    return (c + k * on * most) / (c + k * on) + slope * (w - on)


class _BentLine:
    """A curve through points (x, y, slope): quintic Bézier curves round the corners of the lines through them."""

    def __init__(self, points, curviness):
        self.first, self.last, self.pieces = points[0], points[-1], []
        for (x0, y0, s0), (x1, y1, s1), c in zip(points, points[1:], curviness, strict=False):
            x = (y1 - y0 - x1 * s1 + x0 * s0) / (s0 - s1)
            y = y1 + s1 * (x - x1)
            self.pieces.append([(p, p + c * (q - p), r + c * (q - r), r) for p, q, r in ((x0, x, x1), (y0, y, y1))])

    def __call__(self, x):
        if x <= self.first[0] or x >= self.last[0]:
            end, y, slope = self.first if x <= self.first[0] else self.last
            return y + slope * (x - end)
        across, up = next(p for p in reversed(self.pieces) if x >= p[0][0])
        return _bezier(up, _root(lambda u: _bezier(across, u) - x, 0.0, 1.0))


def _bezier(control, u):
    p, q, r, s = control
    v = 1 - u
    return p * v**5 + q * (5 * v**4 * u + 10 * v**3 * u**2) + r * (10 * v**2 * u**3 + 5 * v * u**4) + s * u**5


def _millard_active(least):
    low, shoulder, high, slope = 0.4441, 0.73, 1.8123, 0.8616
    knee = 1 - slope * (0.95 - shoulder)
    points = [(low, least, 0), (0.5 * (low + shoulder), 0.5 * knee, 1.25 * knee / (shoulder - low))]
    points += [(0.5 * (shoulder + 0.95), 0.5 * (1 + knee), slope), (1, 1, 0)]
    points += [(0.5 * (1.05 + high), 0.5, -1 / (high - 1.1)), (high, least, 0)]
    return _BentLine(points, [0.9] * 5)


_MILLARD_VELOCITY = _BentLine(
    [(-1, 0, 0), (-0.9, 0.0125, 0.25), (0, 1, 5), (0.9, 1.3925, 0.15), (1, 1.4, 0)], [0.58, 0.58, 0.82, 0.82]
)


def _millard_passive(strain):
    toe = 0.05 * strain
    return _BentLine([(1, 0, 0), (1 + toe, 0.1 * toe, 0.2), (1 + strain, 1, 2 / strain)], [0.7, 0.7])


def _millard_tendon(strain):
    stiffness = 1.375 / strain
    toe = strain - 1 / 3 / stiffness
    foot, middle = 0.1 * toe, strain - 2 / 3 / stiffness
    slope, bend = 1 / 3 / (middle - foot), 0.5 * (middle - foot)
    return _BentLine([(0, 0, 0), (foot + bend, slope * bend, slope), (toe, 2 / 3, stiffness)], [0.5, 0.5])


def _native_length(x, lmin, lmax):
    low, high = 0.5 * (lmin + 1), 0.5 * (1 + lmax)
    if not lmin <= x <= lmax:
        return 0.0
    if x <= low:
        return 0.5 * ((x - lmin) / (low - lmin)) ** 2
    if x <= 1:
        return 1 - 0.5 * ((1 - x) / (1 - low)) ** 2
    if x <= high:
        return 1 - 0.5 * ((x - 1) / (high - 1)) ** 2
    return 0.5 * ((lmax - x) / (lmax - high)) ** 2


def _native_velocity(v, fvmax):
    y = fvmax - 1
    if v <= 0:
        return (1 + v) ** 2 if v > -1 else 0.0
    return fvmax - (y - v) ** 2 / y if v <= y else fvmax


def _native_passive(x, lmax):
    high = 0.5 * (1 + lmax)
    if x <= 1:
        return 0.0
    toe = (x - 1) / (high - 1)
    return 1.3 * (0.5 * toe**2 if x <= high else 0.5 + (x - high) / (high - 1))


def _root(f, low, high):
    """Where a rising function is zero: Chandrupatla's method (1997, doi 10.1016/S0965-9978(96)00051-8)."""
    a, b, fa, fb = high, low, f(high), f(low)
    best = a
    c, fc, t = a, fa, 0.5
    for _ in range(200):
        x = a + t * (b - a)
        fx = f(x)
        if (fx > 0) == (fa > 0):
            c, fc = a, fa
        else:
            c, b, fc, fb = b, a, fb, fa
        a, fa = x, fx
        best, value = (a, fa) if abs(fa) < abs(fb) else (b, fb)
        close = 1e-15 / max(abs(b - a), 1e-300)
        if value == 0 or close > 0.5:
            return best
        t = 0.5
        if fc in (fa, fb) or fa == fb:
            continue
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        if phi**2 < xi and (1 - phi) ** 2 < 1 - xi:
            t = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        t = min(max(t, close), 1 - close)
    return best


def load(path):
    """The file's model with its muscles left to callbacks, and these."""
    spec = mujoco.MjSpec.from_file(str(Path(__file__).parent / path))
    for m in MUSCLES:
        actuator = spec.actuator(m["name"])
        actuator.dyntype, actuator.gaintype = mujoco.mjtDyn.mjDYN_USER, mujoco.mjtGain.mjGAIN_FIXED
        actuator.biastype, actuator.gainprm[0], actuator.actdim = mujoco.mjtBias.mjBIAS_USER, 0.0, 1
    spec.nuserdata = 4 + 3 * len(spec.actuators)
    spec.add_sensor(type=mujoco.mjtSensor.mjSENS_USER, dim=1, needstage=mujoco.mjtStage.mjSTAGE_ACC, name="kept spans")
    model = spec.compile()
    return Law(model), model
