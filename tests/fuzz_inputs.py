"""Mutated inputs against the promise that every file ends in a correct reading or in one clear line.

    python tests/fuzz_inputs.py            # 2 000 inputs, fixed seed
    python tests/fuzz_inputs.py 300 --seed 5 --kind c3d

Good inputs of every kind are written, then damaged: bytes, numbers, words, structure. Each is read in a process with
limits on time and memory. What comes back is an *error* (an `InputError` of one line), a *reading* (whose invariants
hold, and which can be used, printed and written again), or *other*: another exception, a broken invariant, a crash, a
hang. There must be none of these. Where MJX_MSM_DATA is set, real recordings are among the good inputs.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from lab_inputs import binaries, exports

SECONDS = 10.0
"""Of a processor, its own and that of the processes that it starts: longest reading of one input. The clock would tell
what else the machine does."""
WAIT = 30
"""Seconds on the clock for each of those, after which nothing more is waited for."""
MEMORY = 3 * 2**30
"""Most that readings may add to the address space of a process [byte]."""
KINDS = ("csv", "export", "storage", "c3d", "binary", "subject", "identification", "mjcf", "design", "scenario")

# Good inputs -----------------------------------------------------------------------------------------------


def good_inputs(folder: Path, kind: str) -> list[bytes]:
    """Good inputs of a kind; what they refer to is written into `folder`."""
    return [p.read_bytes() for p in _GOOD[kind](folder)]


def _data(*parts: str) -> list[Path]:
    root = os.environ.get("MJX_MSM_DATA")
    path = Path(root, *parts) if root else None
    return [path] if path is not None and path.is_file() else []


def _tables(folder: Path) -> dict[str, np.ndarray]:
    t = np.arange(101) / 100
    return {"time": t, "knee": 0.6 + 0.5 * np.sin(6 * t), "hip": 0.2 * np.cos(t), "vas": 0.5 + 0.4 * np.sin(7 * t)}


def _csv(folder: Path) -> list[Path]:
    from mjx_msm.recordings.readers.delimited import write_csv

    columns = _tables(folder)
    write_csv(folder / "good.csv", columns.pop("time"), columns)
    (folder / "german.csv").write_text("# a comment\nTime;a;b\n0;1,5;2\n0,5;NaN;4,0\n1;2;\n")
    (folder / "quoted.csv").write_text('"time","a, b","c"\n0,"1",\n0.5,"",4\n1,2,3\n')
    (folder / "wide.txt").write_bytes("time\tä\n0\t1\n1\t2\n2\t3\n".encode("utf-16"))
    return [folder / name for name in ("good.csv", "german.csv", "quoted.csv", "wide.txt")]


def _storage(folder: Path) -> list[Path]:
    rows = "".join(f"{i / 100:.2f}\t{i}\t{-i * 0.5}\n" for i in range(30))
    text = "Coordinates\nversion=1\nnRows=30\nnColumns=3\ninDegrees=yes\nendheader\ntime\ta\tb\n" + rows
    (folder / "good.sto").write_text(text)
    (folder / "simm.mot").write_text("motion\nname m\ndatacolumns 3\ndatarows 30\nendheader\ntime a b\n" + rows)
    return [folder / "good.sto", folder / "simm.mot", *_data("arm_lift", "inverse_kin.mot")]


def _c3d(folder: Path) -> list[Path]:
    import ezc3d

    file = ezc3d.c3d()
    for group, name, value in (
        ("POINT", "RATE", [50.0]),
        ("POINT", "UNITS", ["mm"]),
        ("POINT", "LABELS", ("knee", "hip")),
        ("ANALOG", "RATE", [200.0]),
        ("ANALOG", "LABELS", ("vastus", "biceps")),
        ("ANALOG", "UNITS", ("V", "V")),
    ):
        file["parameters"][group][name]["value"] = value
    file["data"]["points"] = np.full((4, 2, 30), 250.0)
    file["data"]["analogs"] = np.random.default_rng(1).normal(size=(1, 2, 120)).astype(np.float32)
    file.write(str(folder / "good.c3d"))
    return [folder / "good.c3d", *_data("arm_lift", "markers_analogs.c3d")]


def _subject(folder: Path) -> list[Path]:
    from mjx_msm.recordings.readers.delimited import write_csv

    columns = _tables(folder)
    time = columns.pop("time")
    write_csv(folder / "motion.csv", time, {k: columns[k] for k in ("knee", "hip")})
    write_csv(folder / "emg.csv", time, {"vastus": columns["vas"], "bf": columns["vas"]})
    write_csv(folder / "id.csv", time, {"knee_moment": 30 * columns["knee"]})
    (folder / "good.toml").write_text("""
units = "rad"
[columns]
hip = { column = "hip", scale = 1.0 }
[subject]
name = "s"
mass = 70
height = 1.7
sex = "female"
[model]
source = "knee"
free = ["knee"]
prescribed = ["hip"]
locked = { ankle = 0.1 }
[emg]
kind = "envelope"
[emg.processing]
normalise = "max"
[emg.muscles]
vas = "vastus"
ham = { bf = 0.5, vastus = 0.5 }
gas = 0.0
[sampling]
lead_in = 0.2
max_gap = 0.05
motion_cutoff = 6.0
[[trials]]
name = "one"
motion = "motion.csv"
emg = "emg.csv"
moments = "id.csv"
start = 0.1
time_offset = { emg = 0.02 }
[identify]
free = ["muscle/*/max_isometric_force", "emg/*/gain"]
residuals = ["moment"]
tied = ["emg/*/gain"]
starts = 2
rate = 100.0
bounds = { "muscle/*/max_isometric_force" = { factor = [0.5, 2.0] } }
priors = { "emg/*/gain" = { mean = 0.5, sd = 0.2 } }
""")
    return [folder / "good.toml"]


def _identification(folder: Path) -> list[Path]:
    from dataclasses import replace

    from made_result import made_result

    from mjx_msm.knowledge.records import Fit, Stage
    from mjx_msm.person.model import load_model
    from mjx_msm.person.space import parameter_space

    model = load_model("arm")
    space = parameter_space(
        model.nominal, ["muscle/*/max_isometric_force", "muscle/BRA/tendon_slack_length", "body/forearm/inertia"]
    )
    one = made_result(
        space,
        np.diag(np.linspace(0.0, 900.0, space.size)),
        fits=(Fit("t", "identify", "motion", "elbow_flex", "rad", 0.1, 0.05, 0.9, 0.4),),
        stages=(Stage("motion", 3.0, 12, 1.5, {"elbow_flex": 0.01}, 1),),
        hashes={"a.csv": "00ff"},
    )
    one = replace(one, samples=one.samples[:4], muscle_constants={"fvmax": 1.3})
    return [one.save(folder / "good.json")]


def _mjcf(folder: Path) -> list[Path]:
    from mjx_msm import assets

    small = """<mujoco model="finger"><compiler angle="radian"/><option timestep="0.002"/>
<worldbody><geom name="wrap" type="cylinder" size="0.02 0.05" pos="0 0 0"/><site name="a" pos="0.1 0 0.2"/>
<body name="bone" pos="0 0 0"><joint name="bend" type="hinge" axis="0 1 0" range="-1 2" limited="true" damping="0.1"/>
<inertial pos="0 0 -0.1" mass="1" diaginertia="0.01 0.01 0.001"/><geom type="capsule" size="0.02 0.1" pos="0 0 -0.1"/>
<site name="b" pos="0.02 0 -0.1"/><body name="tip" pos="0 0 -0.2"><joint name="curl" axis="0 1 0"/>
<geom type="sphere" size="0.03" mass="0.2"/><site name="c" pos="0.01 0 -0.02"/></body></body></worldbody>
<tendon><spatial name="path"><site site="a"/><geom geom="wrap"/><site site="b"/><site site="c"/></spatial></tendon>
<actuator><muscle name="flexor" tendon="path" force="300" lengthrange="0.2 0.5" range="0.7 1.1"/></actuator></mujoco>"""
    (folder / "good.xml").write_text(small)
    return [folder / "good.xml", Path(str(assets.path("arm"))), folder / "good.xml"]


def _design(folder: Path) -> list[Path]:
    from mjx_msm.knowledge.design.forecast import forecast
    from mjx_msm.knowledge.design.session import Design
    from mjx_msm.knowledge.design.task import Task
    from mjx_msm.person.model import load_model
    from mjx_msm.person.payload import Grip
    from mjx_msm.person.space import parameter_space
    from mjx_msm.recordings.trial import Trial

    model = load_model("arm")
    space = parameter_space(model.nominal, ["muscle/BRA/max_isometric_force", "body/forearm/mass"])
    time = np.arange(21) / 100
    emg, position = np.full((21, 1), 0.2), np.column_stack([np.sin(time), np.cos(time)])
    trial = Trial("design1", time, model.coordinates, position, ("BRA",), emg, velocity=position)
    task = Task("design1", dict.fromkeys(model.coordinates, 0.1), 1.0, ("BRA",), time, emg)
    information = np.diag([100.0, 400.0])
    design = Design(
        (trial,), (task,), Grip("forearm", (0.0, 0.0, -0.3)), forecast(space, information), information[None],
        space.paths, "worst", ((64, 0.5), (128, 0.7)), 0.005, 100.0,
    )  # fmt: skip
    return [design.save(folder)]


def _scenario(folder: Path) -> list[Path]:
    (folder / "scenario.toml").write_text("""
seconds = 3.0
[environment]
task = "walk"
[scenarios.stall]
stall = 1.0
onset = [0.2, 1.0]
duration = { log = [0.05, 0.5] }
payload = { normal = [2.0, 0.5] }
slip = { choice = [0.0, 0.5, 1.0] }
probability = 0.4
[scenarios.other]
tremor = 0.2
probability = 0.6
[violations.shank]
measure = "shank_force"
above = 130.0
longer = 0.5
scale = 130.0
unit = "N"
""")
    return [folder / "scenario.toml"]


_GOOD: dict[str, Callable[[Path], list[Path]]] = {
    "csv": _csv,
    "export": exports,
    "binary": binaries,
    "storage": _storage,
    "c3d": _c3d,
    "subject": _subject,
    "identification": _identification,
    "mjcf": _mjcf,
    "design": _design,
    "scenario": _scenario,
}

# Damage ----------------------------------------------------------------------------------------------------

NUMBERS = (
    "0", "-1", "1", "nan", "inf", "-inf", "1e308", "-1e308", "1e-308", "1e999", "3.5", "2147483648", "9" * 400,
    "0x10", "1_0", "0.1.2", "--1", "²", "٣", "1e", "",
)  # fmt: skip
WORDS = ("", "a", "nan", "../x", "a\0b", "a" * 5000, "\x1b[31m", "é", "*", "[", "true", "${X}", "/", "muscle/*/*")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, -0.5, 1e308, 10**30, 10**400, "word", "", "nan", "inf", "-inf", "a\0b", [], {}, [1],
    [[]], {"a": 1}, ["word"], [None], "\ud800", 3,
)  # fmt: skip
DEEP = 100_000


def damaged(kind: str, content: bytes, rng: random.Random) -> bytes:
    """A mutated input."""
    structured = {"identification": _json, "design": _json, "mjcf": _xml, "subject": _toml, "scenario": _toml}
    choices: list[Callable[[bytes, random.Random], bytes]] = [_bytes, _text]
    if kind == "c3d":
        choices = [_bytes, _c3d_header, _c3d_header, _c3d_parameter, _c3d_parameter, _cut]
    elif kind == "binary":
        choices = [_bytes, _cut, _words, _words, *([_member] * 6 if content.startswith(b"PK") else [])]
    elif kind in structured:
        choices = [_bytes, _text, _text, *[structured[kind]] * 6]
    return rng.choice(choices)(content, rng)


def _bytes(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at:at] = rng.choice([b"\0", b"\xff\xfe", b"\n", b'"', b",", b"\r", b"[", b"\t", b"\x1a", b"#"])
        elif kind == 2:
            del data[at : at + rng.choice([1, 10, 200])]
        elif kind == 3:
            end = at + rng.choice([1, 10, 200])
            data[at:at] = data[at:end]
        elif kind == 4 and rng.random() < 0.3:
            del data[at:]
        elif at < len(data):
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _words(content: bytes, rng: random.Random) -> bytes:
    """Numbers of a binary file exchanged: counts, sizes, places."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at, size = rng.randrange(len(data)), rng.choice([1, 2, 4, 8])
        word = rng.choice([0, 1, 2, 127, 255, 2**15, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1, rng.getrandbits(64)])
        data[at : at + size] = (word % 2 ** (8 * size)).to_bytes(size, rng.choice(["little", "big"]))[: len(data) - at]
    return bytes(data)


def _member(content: bytes, rng: random.Random) -> bytes:
    """A member of an archive damaged, and the archive put together again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    members[name] = rng.choice([_bytes, _cut, _text])(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return out.getvalue()


def _text(content: bytes, rng: random.Random) -> bytes:
    """Numbers, words and lines of a text exchanged."""
    text = content.decode("utf-8", "replace")
    for _ in range(rng.choice([1, 1, 2, 4])):
        kind = rng.randrange(5)
        found = list(re.finditer(r"-?\d+\.?\d*(?:e-?\d+)?" if kind < 2 else r"[A-Za-z_]+", text))
        lines = text.splitlines(keepends=True)
        if kind < 2 and found:
            m = rng.choice(found)
            text = text[: m.start()] + rng.choice(NUMBERS) + text[m.end() :]
        elif kind == 2 and found:
            m, other = rng.choice(found), rng.choice(found)
            text = text[: m.start()] + rng.choice([*WORDS, other[0]]) + text[m.end() :]
        elif kind == 3 and lines:
            del lines[rng.randrange(len(lines))]
            text = "".join(lines)
        elif lines:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            text = "".join(lines)
    if rng.random() < 0.02:
        text += rng.choice(["\nx = " + "[" * DEEP, "[" * DEEP, '{"a":' * DEEP])
    return text.encode("utf-8", "surrogatepass")


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a document."""
    out = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        out.append((value, key))
        out += _places(inside)
    return out


def _tree(document: Any, rng: random.Random) -> Any:
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = _places(document)
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice([*WORDS, str(key) + "x"])] = holder.pop(key)
        elif kind == 2 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == 3 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = rng.choice([-holder[key], holder[key] * 1e6, 0, holder[key] * 1.1])
        elif kind == 4:
            other, place = rng.choice(places)
            holder[key] = copy.deepcopy(other[place]) if place in other or isinstance(other, list) else None
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return document


def _json(content: bytes, rng: random.Random) -> bytes:
    text = json.dumps(_tree(json.loads(content), rng))
    if rng.random() < 0.05:
        text = re.sub(r"-?\d+\.\d+", lambda m: rng.choice(["NaN", "Infinity", "1e999"]), text, count=1)
    return text.encode()


def _toml(content: bytes, rng: random.Random) -> bytes:
    from mjx_msm.common.toml_tables import to_toml

    try:
        return to_toml(_tree(tomllib.loads(content.decode()), rng)).encode("utf-8", "surrogatepass")
    except (ValueError, AttributeError, TypeError):  # what no TOML can hold
        return _text(content, rng)


def _xml(content: bytes, rng: random.Random) -> bytes:
    root = ElementTree.fromstring(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        holders = [e for e in root.iter() if len(e)]
        element = rng.choice(list(root.iter()))
        kind = rng.randrange(8)
        if kind == 0 and holders:
            holder = rng.choice(holders)
            holder.remove(rng.choice(list(holder)))
        elif kind == 1 and holders:
            holder = rng.choice(holders)
            holder.insert(0, copy.deepcopy(rng.choice(list(holder))))
        elif kind == 2:
            element.tag = rng.choice(["body", "joint", "geom", "site", "x", "freejoint", "composite", "frame"])
        elif kind == 3 and holders:
            rng.choice(holders).append(copy.deepcopy(element))
        elif element.attrib:
            key = rng.choice(list(element.attrib))
            old = element.attrib[key].split()
            if kind == 4:
                element.attrib[rng.choice(["name", "class", "size", "pos", "range", "x"])] = element.attrib.pop(key)
            elif old:
                numeric = all(re.fullmatch(r"[-+.\deE]+", x) for x in old)
                old[rng.randrange(len(old))] = rng.choice(NUMBERS if numeric else WORDS)
                element.attrib[key] = " ".join(old)
    text = ElementTree.tostring(root, encoding="unicode")
    if rng.random() < 0.03:
        text = text.replace("<worldbody>", "<worldbody>" + "<body>" * 3000 + "</body>" * 3000, 1)
    return text.encode("utf-8", "surrogatepass")


def _c3d_header(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2])):
        at = rng.randrange(24)
        data[at] = rng.choice([0, 1, 2, 127, 128, 255, rng.randrange(256)])
    return bytes(data)


def _c3d_parameter(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    end = min(len(data), 512 + 40 * 512)
    names = list(re.finditer(rb"USED|RATE|FRAMES|DATA_START|SCALE|LABELS|UNITS|OFFSET", bytes(data[512:end])))
    for _ in range(rng.choice([1, 1, 2, 6])):
        if names and rng.random() < 0.7:
            at = 512 + rng.choice(names).end() + rng.randrange(9)
        else:
            at = rng.randrange(512, end)
        if at < len(data):
            data[at] = rng.choice([0, 1, 2, 4, 127, 128, 254, 255, rng.randrange(256)])
    return bytes(data)


# Reading ---------------------------------------------------------------------------------------------------

SUFFIX = {
    "csv": ".csv",
    "export": ".csv",
    "binary": ".dat",
    "storage": ".sto",
    "c3d": ".c3d",
    "subject": ".toml",
    "scenario": ".toml",
    "mjcf": ".xml",
}


def read(kind: str, path: Path) -> None:
    """Read an input and use it as its users do; assertions are the invariants of a correct reading."""
    if kind in ("csv", "storage"):
        _use_table(path)
    elif kind in ("export", "binary"):
        _use_contents(path)
    elif kind == "c3d":
        from mjx_msm.recordings.readers.c3d import read_c3d

        file = read_c3d(path)
        if file.analogs is not None:
            assert file.analogs.values.shape == (len(file.analogs.time), len(file.analogs.columns))
        if file.markers is not None:
            assert file.markers.position.shape == (len(file.markers.time), len(file.markers.labels), 3)
    elif kind == "subject":
        from mjx_msm.recordings.subject_file.loading import load_subject

        study = load_subject(path)
        assert study.trials
        for trial in (*study.trials, *study.held_out):
            assert np.isfinite(trial.time).all()
            assert np.isfinite(trial.emg).all()
            assert not np.isinf(trial.position).any()
    elif kind == "identification":
        _use_result(path)
    elif kind == "mjcf":
        _use_model(path)
    elif kind == "design":
        from mjx_msm.knowledge.design.session import Design

        design = Design.load(path)
        str(design)
        with tempfile.TemporaryDirectory() as folder:
            assert str(Design.load(design.save(folder))) == str(design)
    elif kind == "scenario":
        from mjx_msm.envs import KNEE_EXO
        from mjx_msm.verification.scenario_file import load_plan, parse_plan

        plan = load_plan(path, KNEE_EXO)
        for scenario in plan.scenarios:
            assert np.isfinite(list(scenario.draw(np.random.default_rng(0)).values())).all()
            assert isinstance(scenario.text, str)
        assert all(np.isfinite(v.worst(np.ones(50), 0.02)[0]) for v in plan.violations)
        assert parse_plan(plan.plain(), KNEE_EXO, "again").scenarios == plan.scenarios


def _use_contents(path: Path) -> None:
    from mjx_msm.recordings.readers.reading import read_contents
    from mjx_msm.recordings.readers.timing import Timing, tables_of

    contents = read_contents(path)
    assert contents.blocks
    for block in contents.blocks:
        assert not np.isinf(block.values).any()
        assert block.time is None or (np.diff(block.time) > 0).all()
    for table in tables_of(contents, Timing(rate=100.0)):
        assert np.isfinite(table.time).all()
        assert (np.diff(table.time) > 0).all()
        assert table.values.shape == (len(table.time), len(table.columns))
        assert len(table.units) in (0, len(table.columns))


def _use_table(path: Path) -> None:
    from mjx_msm.recordings.readers.reading import read_table

    table = read_table(path)
    assert np.isfinite(table.time).all()
    assert np.all(np.diff(table.time) > 0)
    assert table.values.shape == (len(table.time), len(table.columns))
    assert not np.isinf(table.values).any()


def _use_result(path: Path) -> None:
    from mjx_msm.knowledge.result import Identification

    result = Identification.load(path)
    str(result)
    draws = result.sample(2, 0)
    assert np.isfinite(draws).all()
    with tempfile.TemporaryDirectory() as folder:
        again = Identification.load(result.save(Path(folder, "again.json")))
    assert str(again) == str(result)
    model = result.model()
    assert np.isfinite(list(result.personalised(model).to_dict().values())).all()


def _use_model(path: Path) -> None:
    import mujoco

    from mjx_msm.person.model import load_model

    model = load_model(path)
    assert np.isfinite(list(model.nominal.to_dict().values())).all()
    m = model.host.mj_model
    d = mujoco.MjData(m)
    mujoco.mj_forward(m, d)
    assert np.isfinite([*d.qacc, *d.actuator_length, *d.xpos.ravel()]).all()


def outcome(kind: str, path: Path) -> str:
    """ "error", "reading", or what else happened."""
    from mjx_msm.common.errors import InputError

    def late(*_: Any) -> None:
        raise TimeoutError(f"longer than {SECONDS:g} s of a processor, or {WAIT} times that on the clock")

    for timer, number, most in (
        (signal.ITIMER_PROF, signal.SIGPROF, SECONDS),
        (signal.ITIMER_REAL, signal.SIGALRM, WAIT * SECONDS),
    ):
        signal.signal(number, late)
        signal.setitimer(timer, most)
    began = spent()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(kind, path)
        found = "reading"
    except InputError as error:
        message = str(error)
        if "\n" in message or len(message) > 2000 or not message.strip():
            return f"other: the message is not one line of reasonable length: {message[:200]!r}"
        found = "error"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        own = [f for f in traceback.extract_tb(error.__traceback__) if "mjx_msm" in f.filename]
        last = own[-1] if own else where
        return f"other: {type(error).__name__}: {str(error)[:150]} ({Path(last.filename).name}:{last.lineno})"
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
    took = spent() - began
    return found if took <= SECONDS else f"other: took {took:.1f} s of a processor, and ended in: {found}"


def spent() -> float:
    """Of a processor, by this process and those it has waited for [s]."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


# Processes -------------------------------------------------------------------------------------------------


def input_of(folder: Path, kind: str, seed: int, index: int, good: list[bytes]) -> bytes:
    rng = random.Random(f"{seed} {kind} {index}")
    return damaged(kind, rng.choice(good), rng)


def work(kind: str, seed: int, indices: list[int]) -> None:
    """Read inputs one after the other; told to the parent line by line."""
    sys.setrecursionlimit(1000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        good = good_inputs(folder, kind)
        for i, content in enumerate(good):
            path = folder / f"fine{i}{SUFFIX.get(kind, '.json')}"
            path.write_bytes(content)
            found = outcome(kind, path)
            assert found == "reading", f"a good {kind} is not read: {found}"
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _LINUX else 0
        if used:
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        for index in indices:
            print(json.dumps([index, "began"]), flush=True)
            path = folder / f"input{SUFFIX.get(kind, '.json')}"
            path.write_bytes(input_of(folder, kind, seed, index, good))
            began = spent()
            print(json.dumps([index, outcome(kind, path), spent() - began]), flush=True)


_LINUX = sys.platform.startswith("linux")


def run(kind: str, count: int, seed: int) -> tuple[dict[int, str], float]:
    """What became of every input of a kind, and the longest that one took of a processor [s]."""
    found: dict[int, str] = {}
    longest = 0.0
    while left := [i for i in range(count) if i not in found]:
        command = [sys.executable, __file__, "--work", kind, "--seed", str(seed), "--indices", *map(str, left)]
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        )
        assert child.stdout is not None
        assert child.stderr is not None
        current: int | None = None
        deadline = time.monotonic() + 600
        while True:
            ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
            line = child.stdout.readline() if ready else ""
            if not line:
                break
            index, said, *took = json.loads(line)
            current = index if said == "began" else None
            deadline = time.monotonic() + 2 * WAIT * SECONDS
            if said != "began":
                found[index] = said
                longest = max(longest, *took)
        hung = child.poll() is None and current is not None
        child.kill()
        _, errors = child.communicate()
        if current is not None:
            found[current] = "other: hang" if hung else f"other: crash ({child.returncode}) {errors[-300:]}"
        elif len(found) < count:
            raise RuntimeError(f"{kind}: the process ended early: {errors[-2000:]}")
    return found, longest


def counts(
    total: int, seed: int, kinds: tuple[str, ...] = KINDS
) -> tuple[dict[str, Counter[str]], dict[str, float], list[str]]:
    """Counts by kind, the longest reading [s], and every other outcome in words."""
    by_kind: dict[str, Counter[str]] = {}
    longest: dict[str, float] = {}
    others = []
    for k, kind in enumerate(kinds):
        share = total // len(kinds) + (k < total % len(kinds))
        found, longest[kind] = run(kind, share, seed)
        by_kind[kind] = Counter(said.split(":")[0] for said in found.values())
        others += [f"{kind} {i}: {said}" for i, said in sorted(found.items()) if said.startswith("other")]
    return by_kind, longest, others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--work", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--indices", type=int, nargs="*", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.work, chosen.seed, chosen.indices)
        return
    by_kind, longest, others = counts(chosen.count, chosen.seed, (chosen.kind,) if chosen.kind else KINDS)
    for line in others:
        print(line)
    longest["together"] = max(longest.values())
    for kind, found in {**by_kind, "together": sum(by_kind.values(), Counter())}.items():
        told = f"{found['error']:5} errors {found['reading']:5} readings {found['other']:5} other"
        print(f"{kind:15} {told} {longest[kind]:6.2f} s of a processor at most")
    sys.exit(bool(others))


if __name__ == "__main__":
    main()
