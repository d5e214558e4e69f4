"""The sizes that a C3D file announces, against the file, before a parser trusts them.

A corrupt rate or count makes a parser ask for gigabytes and minutes. The layout is that of the C3D User Guide
(https://www.c3d.org/docs/C3D_User_Guide.pdf): a header of one block, a section of parameters, then the data, frame by
frame: x, y, z and residual of every point, then the samples of every analog channel.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mjx_msm.common.errors import InputError

BLOCK = 512
INTEL, DEC, MIPS = 84, 85, 86
ITEM = {-1: "s", 1: "b", 2: "h", 4: "f"}
"""Kind of number by its size in bytes; texts are -1."""
SATURATED = 0xFFFF
"""The header's word for a last frame that it cannot hold."""
MOST_SAMPLES = 10_000
"""Of an analog channel in a frame; force plates and EMG have at most a few hundred."""

Parameters = dict[tuple[str, str], tuple[Any, ...]]


@dataclass(frozen=True)
class Sizes:
    """What the file says it holds."""

    points: int
    channels: int
    samples: int
    """Of a channel in a frame."""
    frames: int | None
    """None where the file does not say."""
    start: int
    """Of the data, in the file [byte]."""
    item: int
    """Size of a number in the data [byte]."""

    @property
    def frame(self) -> int:
        """Size of a frame [byte]."""
        return self.item * (4 * self.points + self.channels * self.samples)


def check_sizes(path: Path, content: bytes) -> None:
    """Whether a C3D file can hold what it announces.

    **Raises:** `InputError` if it cannot: it is damaged, or cut off.
    """
    try:
        sizes = _announced(content)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: cannot be read as C3D ({error}); export it again") from None
    if not sizes.frame:
        raise InputError(f"{path}: holds neither markers nor analog channels; export it again")
    room = len(content) - sizes.start
    held = max(room, 0) // sizes.frame
    what = f"{sizes.points} markers and {sizes.channels} analog channels"
    if room <= 0 or held < 1:
        raise InputError(
            f"{path}: announces {what}, more than the file has room for; it is damaged or cut off, export it again"
        )
    if sizes.frames is not None and held < sizes.frames:
        raise InputError(
            f"{path}: is cut off: it announces {sizes.frames} frames of {what} and holds {held}; copy it again"
        )


def _announced(content: bytes) -> Sizes:
    """**Raises:** `ValueError`, `struct.error`, `IndexError` or `OverflowError` if it is no such file."""
    parameters, order, floats = _parameters(content)
    header = struct.unpack_from(order + "10H", content)

    def value(group: str, name: str, otherwise: float) -> float:
        found = parameters.get((group, name), ())
        return float(found[0]) if found and not isinstance(found[0], bytes) else otherwise

    def count(group: str, name: str, otherwise: int) -> int:
        x = value(group, name, otherwise)
        if not math.isfinite(x):
            raise ValueError(f"{group}:{name} is {x:g}")
        return int(x) & 0xFFFF  # words without a sign that are written as words with one

    points = count("POINT", "USED", header[1])
    channels = count("ANALOG", "USED", 0)
    first, last = header[3], header[4]
    (header_rate,) = floats(content[20:24])
    point_rate = value("POINT", "RATE", header_rate)
    samples = header[9]
    if channels:
        rate = value("ANALOG", "RATE", samples * point_rate)
        ratio = rate / point_rate if point_rate > 0 else math.nan
        if not 0.5 <= ratio <= MOST_SAMPLES:
            raise ValueError(f"ANALOG:RATE {rate:g} Hz does not go with POINT:RATE {point_rate:g} Hz")
        samples = round(ratio)
    frames = last - first + 1
    if last == SATURATED or frames < 1:
        frames = count("POINT", "FRAMES", 0)
    (header_scale,) = floats(content[12:16])
    scale = value("POINT", "SCALE", header_scale)
    start = (count("POINT", "DATA_START", header[8]) - 1) * BLOCK
    return Sizes(points, channels, samples, frames if 0 < frames < SATURATED else None, start, 4 if scale < 0 else 2)


def _parameters(content: bytes) -> tuple[Parameters, str, Any]:
    """The parameters by group and name, the order of bytes, and how floats are read."""
    begin = (content[0] - 1) * BLOCK
    if begin < BLOCK or begin + 4 > len(content):
        raise ValueError("its parameters are not in the file")
    processor = content[begin + 3]
    if processor not in (INTEL, DEC, MIPS):
        raise ValueError(f"processor type {processor} is unknown")
    order = ">" if processor == MIPS else "<"

    def floats(data: bytes) -> tuple[float, ...]:
        if processor != DEC:
            return struct.unpack(f"{order}{len(data) // 4}f", data)
        words = struct.unpack(f"<{len(data) // 2}H", data)  # a VAX float: words exchanged, four times as large
        swapped = struct.pack(
            f"<{len(words)}H", *(w for pair in zip(words[1::2], words[::2], strict=True) for w in pair)
        )
        return tuple(x / 4 for x in struct.unpack(f"<{len(data) // 4}f", swapped))

    groups: dict[int, str] = {}
    entries: list[tuple[int, str, tuple[Any, ...]]] = []
    at = begin + 4
    while True:
        length, number = struct.unpack_from("bb", content, at)
        length = abs(length)  # negative: locked
        if not length or not number:
            break
        name = content[at + 2 : at + 2 + length].decode("latin-1").strip().upper()
        jump = at + 2 + length
        (offset,) = struct.unpack_from(order + "h", content, jump)
        if number < 0:
            groups[-number] = name
        else:
            entries.append((number, name, _entry(content, jump + 2, order, floats)))
        if not offset:
            break
        if offset < 2 or jump + offset > len(content):
            raise ValueError(f"its parameter {name[:20]!r} leads out of the file")
        at = jump + offset
    return {(groups.get(number, ""), name): values for number, name, values in entries}, order, floats


def _entry(content: bytes, at: int, order: str, floats: Any) -> tuple[Any, ...]:
    """The values of a parameter, texts as one."""
    kind, dimensions = struct.unpack_from("bB", content, at)
    if kind not in ITEM or dimensions > 7:
        raise ValueError("a parameter is of a kind that there is not")
    shape = content[at + 2 : at + 2 + dimensions]
    count = math.prod(shape)
    data = content[at + 2 + dimensions : at + 2 + dimensions + count * abs(kind)]
    if len(data) < count * abs(kind) or len(shape) < dimensions:
        raise ValueError("a parameter is longer than the file")
    if kind == -1:
        return (data,)
    return floats(data) if kind == 4 else struct.unpack(f"{order}{count}{ITEM[kind]}", data)
