"""Reads a C3D file by ezc3d, as a process of its own: damaged files make that library take gigabytes, hang or crash.

    python c3d_process.py FILE RESULT SECONDS BYTES

RESULT is a file for `numpy.load`. Limits on processor time and memory are set where the system has them. Once it has
started it says so, since an end before that is not the file's fault: "started", or "confined" where its own process has
less than those limits. It imports nothing of this package, so that it starts at once.
"""

import contextlib
import sys


def limit(seconds: int, size: int) -> bool:
    """Let the system end this process at so much processor time [s] and memory [byte]; whether it did so earlier."""
    try:
        import resource
    except ImportError:  # Windows: the caller's clock has to do
        return False
    confined = False
    for what, wanted in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, size), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]  # nobody may raise it
        less = hard != resource.RLIM_INFINITY and hard < wanted
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (hard, hard) if less else (wanted, wanted))
        confined = confined or less
    return confined


def main(path: str, result: str, confined: bool) -> None:
    import ezc3d
    import numpy as np

    sys.stdout.write("confined\n" if confined else "started\n")
    sys.stdout.flush()
    file = ezc3d.c3d(path)

    def texts(group: str, name: str) -> list[str]:
        """Also those that did not fit: LABELS2, LABELS3 …"""
        entries = file["parameters"].get(group, {})
        names = [name, *(f"{name}{k}" for k in range(2, 20))]
        return [str(x).strip() for n in names if n in entries for x in entries[n]["value"]]

    kinds = {}
    for group in ("ANGLE", "MOMENT", "FORCE", "POWER", "SCALAR"):
        unit = next(iter(texts("POINT", f"{group}_UNITS")), "")
        for label in texts("POINT", f"{group}S"):
            kinds[label] = unit
    np.savez(
        result,
        points=np.asarray(file["data"]["points"], dtype=float)[:3],
        residuals=np.asarray(file["data"]["meta_points"]["residuals"], dtype=float)[0],
        analogs=np.asarray(file["data"]["analogs"], dtype=float)[0],
        clock=np.array(
            [
                file["header"]["points"]["frame_rate"],
                file["header"]["points"]["first_frame"],
                file["header"]["analogs"]["frame_rate"],
            ],
            dtype=float,
        ),
        point_labels=np.array(texts("POINT", "LABELS"), dtype=str),
        kind_labels=np.array(list(kinds), dtype=str),
        kind_units=np.array(list(kinds.values()), dtype=str),
        point_units=np.array(texts("POINT", "UNITS"), dtype=str),
        analog_labels=np.array(texts("ANALOG", "LABELS"), dtype=str),
        analog_units=np.array(texts("ANALOG", "UNITS"), dtype=str),
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], limit(int(sys.argv[3]), int(sys.argv[4])))
    except Exception as error:
        sys.exit(" ".join(str(error).split())[:120] or type(error).__name__)
