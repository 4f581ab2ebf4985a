"""Workers, as their parent looks after them: what they do is played by a line of Python."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.server.metrics import DIRECTORY
from penstock.server.workers import Workers, bind

pytestmark = pytest.mark.anyio

DIES = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).send(b'.')"
LIVES = f"{DIES}; import time; time.sleep(60)"


async def test_a_worker_that_the_system_cannot_start_again_is_tried_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    python = (sys.executable, "-S", "-c")
    played: Iterator[tuple[str, ...]] = iter([(*python, DIES), (str(tmp_path / "nothing"),), (*python, LIVES)])
    begun = 0

    def command(place: int, listening: int, link: int) -> tuple[str, ...]:
        nonlocal begun
        begun += 1
        return (*next(played), str(link))

    with bind("127.0.0.1", 0) as listening:
        workers = Workers(1, command, listening)
        await workers.start()
        try:
            async with asyncio.timeout(20):
                while begun < 3:
                    await asyncio.sleep(0.01)
        finally:
            await workers.stop()
