"""Fixtures for the whole suite."""

import ctypes
import gc
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Seldom garbage collection, linear algebra on one thread, and one folder of compiled functions for all workers of
    a run and every process its tests start.

    With MJX_MSM_TEST_CACHE=FOLDER it is kept, and a second run is fast; else it goes with the run. JAX's own
    JAX_COMPILATION_CACHE_DIR is respected.
    """
    # What is traced lives long and is many objects: by default a third of the time goes into looking for cycles in it.
    gc.set_threshold(50_000, 10, 10)
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist: the environment is there already
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of workers side by side: see mjx_msm.common.blas_threads
    kept = os.environ.get("MJX_MSM_TEST_CACHE") or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not kept:
        own = tempfile.TemporaryDirectory(prefix="mjx_msm_tests_", ignore_cleanup_errors=True)
        config.add_cleanup(own.cleanup)
        kept = own.name
    os.environ["JAX_COMPILATION_CACHE_DIR"] = kept
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    if "jax" in sys.modules:
        raise RuntimeError("JAX was imported before the tests' compile cache was set")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers side by side begin with the files that take long, lest one of them ends with one alone."""
    if hasattr(config, "workerinput"):
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])  # stable: a file stays together, in its order


MOST = 4 * 2**30
"""Memory of a worker after a file of tests, above which it gives back what was compiled [bytes]."""


@pytest.fixture(scope="module", autouse=True)
def compiled_functions_are_given_back():
    """Two workers that keep all they compile, some thousand functions, come to 21 GiB. What a later file needs again is
    in the folder of compiled functions."""
    yield
    statistics = Path("/proc/self/statm")  # Linux
    if "jax" in sys.modules and statistics.exists():
        pages = int(statistics.read_text().split()[1])
        if pages * os.sysconf("SC_PAGE_SIZE") > MOST:
            import jax

            jax.clear_caches()
            gc.collect()
            if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc
                trim(0)


@pytest.fixture(scope="module")
def hardly_optimised():
    """What a file compiles is run once or twice: most of LLVM's optimisation costs more than it saves.

    Not of long simulations, nor of large gradients and contacts by MJX: those take up to 60 % longer with it.
    """
    import jax

    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    jax.config.update(name, True)
    yield
    jax.config.update(name, before)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The recorded data sets, which are not part of the repository."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("MJX_MSM_DATA") or default).resolve()
    if not (folder / "knee_walk").is_dir():
        pytest.skip(f"recorded data not found in {folder}; set MJX_MSM_DATA to the folder with knee_walk/")
    return folder


@pytest.fixture(scope="session")
def browser() -> str:
    """The program that opens a report as a person would."""
    from browser import command

    found = command()
    if found is None:
        pytest.skip("no Chromium here: `apt-get install chromium`, or Google Chrome, and the reports are opened in it")
    return found


@pytest.fixture
def x64():
    """JAX in float64 during one test."""
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def arm():
    """The bundled arm; one object for the session, so that what is compiled for it is compiled once."""
    from mjx_msm.person.model import load_model

    return load_model("arm")


@pytest.fixture(scope="session")
def knee():
    """The bundled knee; one object for the session."""
    from mjx_msm.person.model import load_model

    return load_model("knee")


@pytest.fixture(scope="session")
def step_in_c():
    """MuJoCo's own trajectory: (mj_model, position, velocity, activation, excitation) to qpos, qvel and act.

    At the stages of an RK4 step the excitation is that of the clock: linear to the next step's, in the last constant.
    """
    import mujoco

    def run(mj_model, position, velocity, activation, excitation, applied=None):
        d, excitation = mujoco.MjData(mj_model), np.asarray(excitation)
        d.qpos[:], d.qvel[:], d.act[:] = position, velocity, activation
        q, v, a = [d.qpos.copy()], [d.qvel.copy()], [d.act.copy()]
        clock = mj_model.opt.timestep * np.arange(len(excitation))

        def control(_, data):
            data.ctrl[:] = [np.interp(data.time, clock, u) for u in excitation.T]

        try:
            mujoco.set_mjcb_control(control)
            for k in range(len(excitation)):
                if applied is not None:
                    d.qfrc_applied[:] = applied[k]
                mujoco.mj_step(mj_model, d)
                q.append(d.qpos.copy())
                v.append(d.qvel.copy())
                a.append(d.act.copy())
        finally:
            mujoco.set_mjcb_control(None)
        return np.array(q), np.array(v), np.array(a)

    return run


@pytest.fixture(scope="session")
def smooth_excitation():
    """Random smooth excitations (steps, muscles) that also leave 0..1, where every muscle clips them."""

    def draw(seed, timestep, steps, muscles):
        rng = np.random.default_rng(seed)
        t = timestep * np.arange(steps)[:, None]
        waves = [rng.uniform(0, 0.5, muscles) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6, muscles)) for f in (1, 3)]
        return rng.uniform(0, 0.7, muscles) + sum(waves)

    return draw


@pytest.fixture(scope="session")
def result_of():
    """A result about z, as the estimator would write it for this information: (space, fisher, z) to Identification."""
    from made_result import made_result

    return made_result


class Disk:
    """A folder whose file system fails as it is told, in what Python does; nothing else notices."""

    def __init__(self) -> None:
        self.broken: dict[str, int] = {}

    def fail(self, folder: Path, number: int) -> None:
        """From now on nothing can be made, written or moved below `folder`; `number` says why (`errno`)."""
        self.broken[str(folder)] = number

    def audit(self, event: str, arguments: tuple) -> None:
        if not self.broken:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = any(c in (mode or "") for c in "wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR)
            paths = [path] if writes else []
        elif event in ("os.mkdir", "os.rename"):
            paths = arguments[:2] if event == "os.rename" else arguments[:1]
        else:
            return
        for path in paths:
            for folder, number in self.broken.items():
                if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(folder):
                    raise OSError(number, os.strerror(number), str(path))


DISK = Disk()


@pytest.fixture(scope="session")
def _audited_disk() -> Disk:
    sys.addaudithook(DISK.audit)  # for good: it cannot be taken away
    return DISK


@pytest.fixture
def disk(_audited_disk):
    """`disk.fail(folder, errno.ENOSPC)`: a full disk, or another fault, until the test ends."""
    yield _audited_disk
    _audited_disk.broken.clear()


COUPLED = """<mujoco><compiler angle="radian"/><worldbody><site name="s" pos="0 0 0.1"/>
<body><joint name="bend" axis="0 1 0" ref="0.1" range="-1 2"/><geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.04"/>
  <body pos="0 0 -0.4"><joint name="slide" type="slide" axis="1 0 0"/><joint name="turn" axis="0 1 0"/>
  <geom type="capsule" fromto="0 0 0 0.1 0 -0.3" size="0.03"/><site name="e" pos="0 0 -0.1"/></body></body></worldbody>
<tendon><spatial name="t"><site site="s"/><site site="e"/></spatial></tendon>
<actuator><muscle name="m" tendon="t" force="400" lengthrange="0.2 0.9" range="0.4 1.3"/></actuator>
<equality><joint joint1="slide" joint2="bend" polycoef="0.01 0.03 0.02 0 0"/>
<joint joint1="turn" joint2="bend" polycoef="0 0.8 -0.2 0 0"/></equality></mujoco>"""


@pytest.fixture(scope="session")
def coupled_file(tmp_path_factory) -> Path:
    """The MJCF of a limb with one coordinate, "bend", which two more joints follow; and one muscle, "m"."""
    path = tmp_path_factory.mktemp("coupled") / "model.xml"
    path.write_text(COUPLED)
    return path
