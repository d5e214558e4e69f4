"""Reads a binary file as a process of its own: damaged ones make libraries take gigabytes, hang or crash.

    python process.py PARSER FILE RESULT SECONDS BYTES

PARSER is a file beside this one, with the name of the `LIBRARY` that it needs and `parse(path)`, which returns arrays
by name. RESULT is a file for `numpy.load`, every name with a slash before it. Limits on processor time and memory are
set where the system has them. Once it has started it says so, since an end before that is not the file's fault:
"started", or "confined" where its own process has less than those limits. Nothing here imports this package, so it
starts at once.
"""

import contextlib
import importlib
import runpy
import sys

LARGEST = 2**31
"""Of a result [byte]."""


def limit(seconds: int, size: int) -> bool:
    """Let the system end this process at so much processor time [s] and memory [byte]; whether it did so earlier."""
    try:
        import resource
    except ImportError:  # Windows: the caller's clock has to do
        return False
    confined = False
    wanted = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: size,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: LARGEST,
    }
    for what, most in wanted.items():
        hard = resource.getrlimit(what)[1]  # nobody may raise it
        less = hard != resource.RLIM_INFINITY and hard < most
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (hard, hard) if less else (most, most))
        confined = confined or (less and what in (resource.RLIMIT_CPU, resource.RLIMIT_AS))
    return confined


def main(parser: str, path: str, result: str, confined: bool) -> None:
    import numpy as np

    module = runpy.run_path(parser)
    importlib.import_module(module["LIBRARY"])
    sys.stdout.write("confined\n" if confined else "started\n")
    sys.stdout.flush()
    arrays = module["parse"](path)
    np.savez(result, **{f"/{name}": value for name, value in arrays.items()})


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], sys.argv[3], limit(int(sys.argv[4]), int(sys.argv[5])))
    except Exception as error:
        sys.exit(" ".join(str(error).split())[:120] or type(error).__name__)
