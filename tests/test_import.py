"""Importing the package and asking the command for help are quick, because they load nothing heavy.

Measured on two cores, in CPU time: `import mjx_msm` 0.19 s, of which 0.11 s are numpy's and most of the rest
gymnasium's, which the registration of the environments needs; `mjx-msm --help` 0.30 s, the rest typer's and rich's.
"""

import subprocess
import sys

import pytest

HEAVY = ("jax", "jaxlib", "equinox", "mujoco", "matplotlib", "scipy", "pandas", "ezc3d", "imageio", "PIL")


def after(code: str) -> list[str]:
    """Which heavy libraries a new interpreter has loaded after this, and what it printed as the last line."""
    look = f"\nimport sys\nprint('\\n' + ' '.join(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + look], capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    "code",
    [
        "import mjx_msm",
        "import mjx_msm; dir(mjx_msm); mjx_msm.InputError; mjx_msm.assets.names(); mjx_msm.__version__",
        "from mjx_msm.cli.app import run; run(['--help'])",
        "from mjx_msm.cli.app import run; run(['identify', '--help'])",
    ],
)
def test_nothing_heavy_is_loaded(code: str):
    assert after(code) == []


@pytest.mark.parametrize(
    "code",
    [
        "import mjx_msm, gymnasium; gymnasium.make('mjx_msm/KneeExo-v0').close()",
        "import gymnasium, mjx_msm; gymnasium.make('mjx_msm/KneeExo-v0').close()",
        "import gymnasium; gymnasium.make('mjx_msm:mjx_msm/KneeExo-v0').close()",
    ],
)
def test_the_environments_are_there_either_way(code: str):
    assert "jax" not in after(code)
