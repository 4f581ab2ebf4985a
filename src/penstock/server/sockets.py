"""What event loops do not offer: to reset a connection, and to ask the system whether it was reset."""

import asyncio
import contextlib
import socket
import struct
from typing import cast

RESET_DELAY = 0.25
"""Seconds for an HTTP/1.0 client to take the last bytes of a broken stream before the reset overtakes them."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close a connection at once, so that the other side is told that what it got is not all."""
    with contextlib.suppress(OSError, AttributeError):  # it is closed already
        _socket(transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def was_reset(transport: asyncio.Transport) -> bool:
    """Whether the other side has reset a connection: a loop that no longer reads it learns that when it writes."""
    try:
        return bool(_socket(transport).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    except (OSError, AttributeError):  # it is closed already
        return True


def _socket(transport: asyncio.Transport) -> socket.socket:
    return cast("socket.socket", transport.get_extra_info("socket"))
