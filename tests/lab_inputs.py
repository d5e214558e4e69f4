"""Small files of every format that laboratories keep recordings in, as their programs write them; for the fuzz."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

SIGNAL = np.random.default_rng(0).normal(size=(60, 3)).round(4)


def exports(folder: Path) -> list[Path]:
    """Text: Vicon, Delsys twice, Motive, Qualisys, Visual3D, TRC, Noraxon, Biodex, Humac, named in a comment, BIDS."""
    rows = [",".join(map(str, row)) for row in SIGNAL]
    vicon = "Devices\n1000\n,,Trigno - EMG,,\nFrame,Sub Frame,VL,BF,TA\n,,V,V,V\n"
    vicon += "".join(f"{353 + i // 10},{i % 10},{row}\n" for i, row in enumerate(rows))
    vicon += "\nModel Outputs\n100\n,,A:LKneeAngles,,\nFrame,Sub Frame,X,Y,Z\n,,deg,deg,deg\n"
    vicon += "".join(f"{353 + i},0,{row}\n" for i, row in enumerate(rows[:6]))
    delsys = "X[s],RF: EMG 1 [V],X[s],BF: EMG 2 [V]\n"
    delsys += "".join(f"{i / 2000},{i},{i / 1000},{-i}\n" if i < 30 else f"{i / 2000},{i},,\n" for i in range(60))
    discover = "Application:,Trigno Discover\nVL (81),,BF (82),\nsensor mode: 40,,sensor mode: 40,\n"
    discover += "EMG 1 Time Series (s),EMG 1 (mV),EMG 1 Time Series (s),EMG 1 (mV)\n,2000 Hz,,1000 Hz\n"
    discover += "".join(f"{i / 2000},{i},{i / 1000},{-i}\n" for i in range(30))
    motive = "Format Version,1.23,Take Name,t,Capture Frame Rate,120.0,Rotation Type,XYZ,Length Units,Meters\n\n"
    motive += ",Type,Marker,Marker,Marker\n,Name,A,A,A\n,ID,1,1,1\n,,Position,Position,Position\n"
    motive += "Frame,Time (Seconds),X,Y,Z\n" + "".join(f"{i},{i / 120:.6f},{row}\n" for i, row in enumerate(rows))
    qualisys = "NO_OF_FRAMES\t60\nFREQUENCY\t200\nMARKER_NAMES\tknee\nFrame\tTime\tknee X\tknee Y\tknee Z\n"
    qualisys += "".join(f"{i + 1}\t{i / 200}\t" + row.replace(",", "\t") + "\n" for i, row in enumerate(rows))
    visual = "\ta.c3d\ta.c3d\tb.c3d\n\tKNEE\tKNEE\tKNEE\n" + "\tLINK\tLINK\tLINK\n" * 2 + "ITEM\tX\tY\tX\n"
    visual += "".join(f"{i + 1}\t" + row.replace(",", "\t") + "\n" for i, row in enumerate(rows))
    trc = "PathFileType\t4\t(X/Y/Z)\tm.trc\nDataRate\tNumFrames\tUnits\n100\t60\tmm\nFrame#\tTime\tK\t\t\n"
    trc += "\t\tX1\tY1\tZ1\n\n" + "".join(
        f"{i + 1}\t{i / 100}\t" + row.replace(",", "\t") + "\n" for i, row in enumerate(rows)
    )
    noraxon = 'Name,walk\nFrequency,1500\n\n"time","VLO","BIC","Event"\n"s","uV","uV",""\n'
    noraxon += "".join(f"{i / 1500:.6f},{i},{-i},go\n" for i in range(30))
    biodex = "BIODEX\n" + "note: x\n" * 50 + "  mSec   TORQUE   POS (ANAT)\n         FT-LBS   DEGREES\n\n"
    biodex += "".join(f"  {10 * i}   {i}.5   {90 - i}\n" for i in range(30))
    humac = "sep=;\nTime (msec);Torque (Nm);Position (deg)\n" + "".join(f"{10 * i};{i},5;{90 - i}\n" for i in range(30))
    named = "# RF BF VM\n" + "".join(row.replace(",", " ") + "\n" for row in rows)
    rounded = "time,a\n" + "".join(f"{i / 1926:.3f},{i}\n" for i in range(60))
    texts = (vicon, delsys, discover, motive, qualisys, visual, trc, noraxon, biodex, named, rounded)
    files = []
    for i, text in enumerate(texts):
        files.append(folder / f"export{i}.csv")
        files[-1].write_text(text)
    files += [folder / "humac.txt", folder / "x_emg.tsv"]
    files[-2].write_bytes(humac.encode("utf-16"))
    files[-1].write_text("".join(row.replace(",", "\t") + "\n" for row in rows))
    files[-1].with_suffix(".json").write_text(json.dumps({"SamplingFrequency": 100, "Columns": ["a", "b", "c"]}))
    return files


def binaries(folder: Path) -> list[Path]:
    """MATLAB of both kinds, NumPy, HDF5, Parquet, EDF, a workbook."""
    import h5py
    import openpyxl
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyedflib
    from scipy.io import savemat

    time = np.arange(60) / 100
    labels = np.empty((1, 3), object)
    labels[0] = ["RF [mV]", "BF", "TA"]
    structure = {"emg": SIGNAL, "fs": 100.0, "labels": labels, "inside": {"time": time, "knee": SIGNAL[:, 0]}}
    savemat(folder / "five.mat", {"data": structure, "name": "Anna"})
    savemat(folder / "packed.mat", {"data": structure}, do_compression=True)
    with h5py.File(folder / "seven.mat", "w", userblock_size=512) as file:
        for name, value in (("data/emg", SIGNAL.T), ("data/fs", [[100.0]])):
            file.create_dataset(name, data=value).attrs["MATLAB_class"] = np.bytes_("double")
        text = file.create_dataset("#refs#/a", data=np.array([[82], [70]], dtype="u2"))
        text.attrs["MATLAB_class"] = np.bytes_("char")
        cell = file.create_dataset("data/labels", data=np.array([[text.ref]] * 3, dtype=h5py.ref_dtype))
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
    with (folder / "seven.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    np.savez(folder / "a.npz", emg=SIGNAL, time=time, labels=np.array(["a", "b", "c"]))
    np.savez_compressed(folder / "b.npz", emg=SIGNAL, fs=100.0)
    with h5py.File(folder / "c.h5", "w") as file:
        file.create_dataset("emg", data=SIGNAL, chunks=True, compression="gzip")
        file.create_dataset("fs", data=100.0)
    pq.write_table(pa.table({"time": time, "a": SIGNAL[:, 0], "label": ["x"] * 60}), folder / "d.parquet")
    writer = pyedflib.EdfWriter(str(folder / "e.edf"), 2, pyedflib.FILETYPE_EDFPLUS)
    for i, rate in enumerate((30, 3)):
        limits = {"physical_min": -9.0, "physical_max": 9.0, "digital_min": -32768, "digital_max": 32767}
        writer.setSignalHeader(i, {"label": f"c{i}", "dimension": "uV", "sample_frequency": rate, **limits})
    for second in range(2):
        writer.writePhysicalSamples(np.ascontiguousarray(SIGNAL[30 * second : 30 * (second + 1), 0]))
        writer.writePhysicalSamples(np.ascontiguousarray(SIGNAL[3 * second : 3 * (second + 1), 1]))
    writer.close()
    book = openpyxl.Workbook()
    book.active.append(["time", "knee", "label"])
    for t, row in zip(time, SIGNAL, strict=True):
        book.active.append([float(t), float(row[0]), "walk"])
    for row in SIGNAL:
        book.create_sheet("EMG").append([float(row[0])]) if "EMG" not in book else book["EMG"].append([float(row[0])])
    book.save(folder / "f.xlsx")
    names = ("five.mat", "packed.mat", "seven.mat", "a.npz", "b.npz", "c.h5", "d.parquet", "e.edf", "f.xlsx")
    return [folder / name for name in names]
