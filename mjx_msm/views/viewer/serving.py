"""A page served to the browser: from this machine alone, unless another address is asked for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from mjx_msm.common.errors import InputError
from mjx_msm.common.optional import optional

if TYPE_CHECKING:
    from viser import ViserServer

LOOPBACK, PORT = "127.0.0.1", 8080
EVERYWHERE = ("0.0.0.0", "")
"""Not addresses of anything, but all of a machine's."""


@contextmanager
def serving(label: str, host: str = LOOPBACK, port: int = PORT) -> Iterator[ViserServer]:
    """A server; if the port is taken, at the next free one (`server.get_port()`).

    **Raises:** `InputError` if viser is not installed, or the address is not this machine's.
    """
    viser = optional("viser", "view", "the viewer")
    _check_address(host)
    with redirect_stdout(StringIO()):  # where it is served is for us to say
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    server.scene.set_up_direction("+z")
    server.scene.add_grid("/floor", 6.0, 6.0, cell_size=0.25, cell_color=(225, 225, 225), section_color=(190, 190, 190))
    server.gui.configure_theme(show_share_button=False)
    server.gui.main_panel.dock_right()
    try:
        yield server
    finally:
        server.stop()


def address(host: str, port: int) -> str:
    """Where a browser of this machine finds what is served, and whether others do."""
    if host in EVERYWHERE:
        return f"http://{LOOPBACK}:{port}, and at all addresses of this machine"
    return f"http://{host}:{port}"


def _check_address(host: str) -> None:
    """viser would wait for ever for an address that is not this machine's."""
    try:
        with socket.socket() as probe:
            probe.bind((host, 0))
    except OSError as error:
        raise InputError(f"nothing can be served at {host} ({error.strerror or error}); give another --host") from None
