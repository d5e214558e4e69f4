"""What is printed neither steers a terminal nor fails on an encoding."""

import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.common.printable import PLAIN, printable, register_plain


def test_what_steers_a_terminal_is_written_out():
    assert printable("a\x1b[31mb\x07\x9b2J\r\x7f") == r"a\x1b[31mb\x07\x9b2J\r\x7f"
    assert printable("two\nlines\tand 12.5° → π, 日本語") == "two\nlines\tand 12.5° → π, 日本語"
    assert printable("left\u202eright \udcff") == r"left\u202eright \udcff"
    assert str(InputError("no column '\x1b]0;owned\x07'")) == r"no column '\x1b]0;owned\x07'"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-8"])
def test_every_encoding_takes_what_we_print(encoding):
    register_plain()
    text = "12.5° → ≤ 3 N·m, ±2 …, kg·m², é, 日本, \udc80"
    made = text.encode(encoding, PLAIN).decode(encoding)
    assert "12.5" in made
    if encoding == "ascii":
        assert made == "12.5deg -> <= 3 N*m, +-2 ..., kg*m^2, e, ??, ?"
    if encoding == "utf-8":
        assert made == text.replace("\udc80", "?")
