"""An EDF or BDF file, by pyEDFlib: every signal with its rate, and the unit that it is in."""

from typing import Any

LIBRARY = "pyedflib"


def parse(path: str) -> dict[str, Any]:
    import numpy as np
    import pyedflib

    out: dict[str, Any] = {}
    file = pyedflib.EdfReader(path, pyedflib.DO_NOT_READ_ANNOTATIONS, pyedflib.DO_NOT_CHECK_FILE_SIZE)
    try:
        count = file.signals_in_file
        out["labels"] = np.array([file.getLabel(i).strip() for i in range(count)], dtype=str)
        out["units"] = np.array([file.getPhysicalDimension(i).strip() for i in range(count)], dtype=str)
        out["rates"] = np.array([file.getSampleFrequency(i) for i in range(count)], dtype=float)
        for i in range(count):
            out[f"{i}"] = np.asarray(file.readSignal(i), dtype=float)
    finally:
        file.close()
    return out
