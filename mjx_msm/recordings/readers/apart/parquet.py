"""A Parquet file, by pyarrow: its columns of numbers, times in seconds, and units that its fields' metadata give."""

from typing import Any

LIBRARY = "pyarrow.parquet"


def parse(path: str) -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    table = pq.ParquetFile(path, memory_map=False).read(use_threads=False)
    names, values, units, words = [], [], [], []
    for field in table.schema:
        column, kind = table.column(field.name), field.type
        if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
            ticks = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
            whole = np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy())
            value = (whole - (whole[0] if len(whole) and pa.types.is_timestamp(kind) else 0)) / ticks
            unit = "s"
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            value = np.asarray(column.cast(pa.float64()).to_numpy(), dtype=float)
            metadata = field.metadata or {}
            unit = next((metadata[k].decode("utf-8", "replace") for k in (b"unit", b"units") if k in metadata), "")
        else:
            words.append(field.name)
            continue
        names.append(field.name)
        values.append(value)
        units.append(unit)
    return {
        "columns": np.array(names, dtype=str),
        "units": np.array(units, dtype=str),
        "values": np.column_stack(values) if values else np.zeros((table.num_rows, 0)),
        "words": np.array(words, dtype=str),
    }
