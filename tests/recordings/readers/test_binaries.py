"""Binary files that laboratories keep recordings in, written by the libraries that write them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers import confined
from mjx_msm.recordings.readers.reading import read_contents, read_table, read_tables
from mjx_msm.recordings.readers.timing import Timing, tables_of

EMG = np.random.default_rng(0).normal(size=(400, 3))
KNEE = np.sin(np.arange(40) / 20)
LABELS = ("RF [mV]", "BF", "TA")


def write_matlab(path: Path) -> None:
    from scipy.io import savemat

    labels = np.empty((1, 3), object)
    labels[0] = LABELS
    structure = {"emg": EMG, "fs": 1000.0, "labels": labels}
    savemat(path, {"data": structure, "kin": {"time": np.arange(40) / 100, "knee": KNEE}, "name": "Anna"})


def write_matlab_73(path: Path) -> None:
    """As MATLAB does: transposed, texts as numbers, cells as references, with a block of its own before HDF5's."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:

        def put(name, value, kind):
            made = file.create_dataset(name, data=value)
            made.attrs["MATLAB_class"] = np.bytes_(kind)
            return made

        put("data/emg", EMG.T, "double")
        put("data/fs", [[1000.0]], "double")
        for i, name in enumerate(LABELS):
            put(f"#refs#/{i}", np.array([[ord(c)] for c in name], dtype="u2"), "char")
        references = [[file[f"#refs#/{i}"].ref] for i in range(3)]
        put("data/labels", np.array(references, dtype=h5py.ref_dtype), "cell")
        put("kin/time", (np.arange(40) / 100)[None], "double")
        put("kin/knee", KNEE[None], "double")
        put("name", np.array([[ord(c)] for c in "Anna"], dtype="u2"), "char")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64, Created on: Mon".ljust(124) + b"\0\2IM")


def write_npz(path: Path) -> None:
    np.savez(path, emg=EMG, labels=np.array(LABELS), fs=1000.0, knee=KNEE, knee_fs=100.0)


@pytest.mark.parametrize("write", [write_matlab, write_matlab_73])
def test_matlab(tmp_path, write):
    write(tmp_path / "x.mat")
    contents = read_contents(tmp_path / "x.mat")
    assert contents.reason == "because it begins with 'MATLAB'"
    emg, knee = read_tables(tmp_path / "x.mat")
    assert emg.columns == ("emg/RF [mV]", "emg/BF", "emg/TA")
    np.testing.assert_array_equal(emg.values, EMG)
    np.testing.assert_array_equal(emg["RF [mV]"], EMG[:, 0])
    np.testing.assert_allclose(emg.time, np.arange(400) / 1000)
    np.testing.assert_array_equal(knee["knee"], KNEE)
    np.testing.assert_allclose(knee.time, np.arange(40) / 100)


def test_matlab_matrix_without_time_names_or_rate(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "x.mat", {"X": EMG.T})  # channels × samples
    (table,) = read_tables(tmp_path / "x.mat", Timing(rate=2000.0))
    assert table.columns == ("X/1", "X/2", "X/3")
    np.testing.assert_array_equal(table.values, EMG)
    assert table.rate == pytest.approx(2000)


def test_numpy(tmp_path):
    write_npz(tmp_path / "x.npz")
    emg, knee = read_tables(tmp_path / "x.npz")
    assert emg.columns == ("emg/RF [mV]", "emg/BF", "emg/TA")
    assert (emg.rate, knee.rate) == pytest.approx((1000, 100))
    np.save(tmp_path / "x.npy", EMG)
    np.testing.assert_array_equal(read_tables(tmp_path / "x.npy", Timing(rate=1000.0))[0].values, EMG)


def test_rates_around_a_structure_and_with_its_name(tmp_path):
    """`data.fs` is of all in it that has no other; `data.fs_angles` of `data.angles`."""
    from scipy.io import savemat

    angles, moments = {"knee": KNEE, "hip": KNEE}, {"knee": KNEE}
    savemat(tmp_path / "x.mat", {"data": {"fs": 1000.0, "fs_angles": 100.0, "emg": EMG, "angles": angles}})
    rates = {t.columns[0]: t.rate for t in read_tables(tmp_path / "x.mat")}
    assert rates == pytest.approx({"emg/1": 1000, "knee": 100})
    savemat(tmp_path / "x.mat", {"fs": 1000.0, "moments": {"inside": moments, "rate": 50.0}})
    (table,) = read_tables(tmp_path / "x.mat")
    assert table.rate == pytest.approx(50)


@pytest.mark.parametrize("emg", [EMG, {"RF": EMG[:, 0], "BF": EMG[:, 1]}])
def test_a_rate_around_structures_of_several_lengths_may_be_of_one_alone(tmp_path, emg):
    """400 samples of EMG and 40 of angles, one rate: the angles' is asked for."""
    from scipy.io import savemat

    savemat(tmp_path / "x.mat", {"fs": 1000.0, "emg": emg, "kin": {"knee": KNEE, "hip": KNEE}})
    contents = read_contents(tmp_path / "x.mat")
    rates = {b.name: b.rate for b in contents.blocks}
    assert rates == ({"": 1000.0, "kin": None} if emg is EMG else {"emg": None, "kin": None})
    assert "'fs' = 1000 stands around series of several lengths" in contents.notes[0]
    assert "'kin' 40 samples" in contents.notes[0]
    with pytest.raises(InputError, match=r"in 'kin'.*set sampling_rate"):
        tables_of(contents, columns=["kin/knee"])
    (table,) = tables_of(contents, Timing(rate=100.0), columns=["kin/knee"])
    assert table.rate == pytest.approx(100)


def test_a_rate_around_structures_that_last_as_long_or_are_trials(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "x.mat", {"fs": 100.0, "angles": {"knee": KNEE}, "moments": {"knee_moment": KNEE[:-1]}})
    contents = read_contents(tmp_path / "x.mat")
    assert [b.rate for b in contents.blocks] == [100.0, 100.0]
    assert "'fs' = 100 is taken for the samples a second of 'angles', 'moments'" in contents.notes[0]
    savemat(tmp_path / "x.mat", {"fs": 1000.0, "one": {"emg": EMG}, "two": {"emg": EMG[:300]}})
    assert [b.rate for b in read_contents(tmp_path / "x.mat").blocks] == [1000.0, 1000.0]


def test_an_archive_that_would_run_code_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="cannot be read as a NumPy file"):
        read_contents(tmp_path / "x.npz")


def test_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"time": np.arange(400) / 1000, "RF": EMG[:, 0], "label": ["walk"] * 400, "BF": EMG[:, 1]})
    field = pa.field("RF", pa.float64(), metadata={"unit": "mV"})
    pq.write_table(table.cast(table.schema.set(1, field)), tmp_path / "x.parquet")
    found = read_table(tmp_path / "x.parquet")
    assert found.columns == ("RF", "BF")
    assert found.units == ("mV", "")
    np.testing.assert_array_equal(found.values, EMG[:, :2])
    assert "'label' hold no plain numbers" in found.notes[0]


@pytest.mark.parametrize(("suffix", "bits"), [("edf", 16), ("bdf", 24), ("emg", 16)])
def test_edf_and_bdf(tmp_path, suffix, bits):
    import pyedflib

    path = tmp_path / f"x.{suffix}"
    kind = pyedflib.FILETYPE_BDFPLUS if bits == 24 else pyedflib.FILETYPE_EDFPLUS
    file = pyedflib.EdfWriter(str(path), 2, kind)
    top = 2 ** (bits - 1)
    for i, (label, rate, unit) in enumerate([("RF", 200, "uV"), ("angle", 20, "deg")]):
        limits = {"physical_min": -10.0, "physical_max": 10.0, "digital_min": -top, "digital_max": top - 1}
        file.setSignalHeader(i, {"label": label, "dimension": unit, "sample_frequency": rate, **limits})
    for second in range(2):
        file.writePhysicalSamples(np.ascontiguousarray(EMG[200 * second : 200 * (second + 1), 0]))
        file.writePhysicalSamples(np.ascontiguousarray(KNEE[20 * second : 20 * (second + 1)]))
    file.close()
    rf, angle = read_tables(path)
    assert (rf.columns, rf.units, angle.units) == (("RF",), ("uV",), ("deg",))
    assert (rf.rate, angle.rate) == pytest.approx((200, 20))
    np.testing.assert_allclose(rf["RF"], EMG[:, 0], atol=20 / 2**bits)
    np.testing.assert_allclose(angle["angle"], KNEE, atol=20 / 2**bits)


def write_workbook(path: Path, sheets: dict[str, list]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_a_sheet_a_signal_without_header_or_time(tmp_path):
    path = tmp_path / "ID 6.xlsx"
    force = [[12.0 + i] for i in range(401)]
    half = [[float(x)] for x in EMG[:201, 0]]
    write_workbook(path, {"DNM": force, "EMG_VL": half, "EMB_TA": force, "empty": []})
    fast, slow = read_tables(path, Timing(rate=2000.0))
    assert (fast.columns, slow.columns) == (("DNM", "EMB_TA"), ("EMG_VL",))
    np.testing.assert_allclose(slow["EMG_VL"], EMG[:201, 0], rtol=1e-15)
    assert (fast.rate, slow.rate) == pytest.approx((2000, 1000))
    assert fast.time[-1] == pytest.approx(slow.time[-1])
    assert "'EMG_VL' has 201 samples, 1/2 of others' 401; taken as 1000 Hz over the same time" in fast.notes[0]
    with pytest.raises(InputError, match=r"no time column 'time' in 'DNM'.*set sampling_rate"):
        read_tables(path)


def test_a_rate_of_a_whole_file_is_that_of_its_longest_sheet(tmp_path):
    """Also where only columns of slower sheets are wanted; a rate of one kind of columns is theirs."""
    path = tmp_path / "ID 6.xlsx"
    sheets = {"DNM": 401, "EMG_VL": 201, "notes": 333}
    write_workbook(path, {name: [[float(i)] for i in range(n)] for name, n in sheets.items()})
    contents = read_contents(path)
    (slow,) = tables_of(contents, Timing(rate=2000.0, of_file=True), columns=["EMG_VL"])
    assert slow.rate == pytest.approx(1000)
    assert "'EMG_VL' has 201 samples, 1/2 of others' 401" in slow.notes[-1]
    (own,) = tables_of(contents, Timing(rate=2000.0), columns=["EMG_VL"])
    (odd,) = tables_of(contents, Timing(rate=2000.0, of_file=True), columns=["notes"])  # no fraction of the longest
    assert (own.rate, odd.rate, len(own.notes), len(odd.notes)) == pytest.approx((2000, 2000, 0, 0))


def test_a_sheet_like_a_table_of_text(tmp_path):
    rows = [["Subject", "Anna"], [], ["Time", "knee", "note"], ["s", "deg", None]]
    rows += [[i / 100, 30.0 + i, "walk"] for i in range(10)]
    write_workbook(tmp_path / "x.xlsx", {"Sheet1": rows})
    table = read_table(tmp_path / "x.xlsx")
    assert (table.columns, table.units) == (("knee",), ("deg",))
    np.testing.assert_allclose(table["knee"], 30 + np.arange(10))
    assert table.header["Subject"] == "Anna"
    rows[6][1] = "#DIV/0!"
    write_workbook(tmp_path / "x.xlsx", {"Sheet1": rows})
    with pytest.raises(InputError, match=r"x.xlsx, sheet 'Sheet1': line 7, column 'knee': '#DIV/0!' is not a number"):
        read_table(tmp_path / "x.xlsx")


def test_columns_of_half_the_samples_beside_whole_ones(tmp_path):
    """One attempt was sampled at half the rate; another was stopped early, which is something else."""
    rows = [[float(i), 2.0 * i if i < 201 else None, 3.0 * i if i < 300 else None] for i in range(401)]
    write_workbook(tmp_path / "x.xlsx", {"DNM": rows})
    fast, slow = read_tables(tmp_path / "x.xlsx", Timing(rate=200.0))
    assert (fast.rate, slow.rate) == pytest.approx((200, 100))
    assert slow.time[-1] == pytest.approx(fast.time[-1])
    np.testing.assert_allclose(slow["column 2"], 2.0 * np.arange(201))
    assert fast.columns == ("DNM/column 1", "DNM/column 3") or fast.columns == ("column 1", "column 3")
    assert np.isnan(fast.values[300:, 1]).all()


def test_recorded_workbooks(data_dir):
    """Columns are attempts; the sheets of ID 6 differ in their samples, and one is misspelt."""
    path = data_dir / "elderly_dynamometry" / "ID 6.xlsx"
    fast, slow = read_tables(path, Timing(rate=2000.0))
    assert slow.values.shape == (10001, 10)  # two sheets, and two columns of the forces
    assert (fast.rate, slow.rate) == pytest.approx((2000, 1000))
    assert np.isfinite(slow["DNM/column 1"]).all()
    assert any("'DNM/column 1, DNM/column 2' has 10001 samples, 1/2 of others' 20001" in note for note in slow.notes)
    assert fast.time[-1] == pytest.approx(slow.time[-1])
    assert np.isfinite(fast["EMB_TA/column 1"]).all()
    with pytest.raises(InputError, match="'EMG_VL' may be 'EMG_VL/column 1'"):
        slow["EMG_VL"]


@pytest.mark.parametrize(
    ("name", "library", "content"),
    [
        ("x.xlsx", "openpyxl", b"PK\3\4[Content_Types].xml"),
        ("x.parquet", "pyarrow", b"PAR1"),
        ("x.edf", "pyedflib", b"0       "),
        ("x.h5", "h5py", b"\x89HDF\r\n\x1a\n"),
    ],
)
def test_a_library_that_is_not_there_is_named_with_its_extra(tmp_path, monkeypatch, name, library, content):
    (tmp_path / name).write_bytes(content)
    there = importlib.util.find_spec
    monkeypatch.setattr(confined.importlib.util, "find_spec", lambda n: None if n == library else there(n))
    with pytest.raises(InputError, match=rf'needs {library}; pip install "mjx-msm\[files\]", or save it as .csv'):
        read_contents(tmp_path / name)


@pytest.mark.parametrize("name", ["x.mat", "y.mat", "x.npz", "x.parquet", "x.edf", "x.h5", "x.xlsx"])
def test_a_file_that_is_cut_off_is_one_line(tmp_path, name):
    made = {"x.mat": write_matlab, "y.mat": write_matlab_73, "x.npz": write_npz, "x.h5": write_matlab_73}
    path = tmp_path / name
    if name in made:
        made[name](path)
    elif name == "x.xlsx":
        write_workbook(path, {"a": [["time", "b"], [0, 1], [1, 2]]})
    else:
        path.write_bytes({"x.parquet": b"PAR1" + bytes(100), "x.edf": b"0       " + b" " * 300}[name])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match=r"(cannot be read as|holds no)") as caught:
        read_contents(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
