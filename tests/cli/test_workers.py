"""Workers of one gateway: all serve the same configuration, and all come and go with their parent."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cli.test_several_processes import Process, free_port, serve, until
from tests.serving import KEY
from tests.watch import ADMIN_TOKENS

pytestmark = pytest.mark.anyio

TOKEN = ADMIN_TOKENS[1]
ALIAS = '[models.fast]\ntargets = ["demo/echo"]\n'
SOON = 2.0
"""Seconds in which every worker serves what was reloaded."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Gateway:
    """A gateway with two workers, its file, and its admin API."""

    def __init__(self, process: Process, file: Path, port: int) -> None:
        self.process = process
        self.admin = f"http://127.0.0.1:{port}/admin/api/v1"
        self._file = file

    def add(self, text: str) -> None:
        self._file.write_text(self._file.read_text() + text)

    async def ask_admin(self, method: str, path: str) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with self.process.session.request(method, self.admin + path, headers=headers) as answer:
            return answer.status, await answer.json()

    async def models(self) -> set[str]:
        """Return the models that a worker lists, whichever accepts the connection."""
        headers = {"authorization": f"Bearer {KEY}", "connection": "close"}
        async with self.process.session.get(f"{self.process.address}/v1/models", headers=headers) as answer:
            return {model["id"] for model in (await answer.json())["data"]}

    async def everywhere(self, model: str) -> bool:
        """Whether each worker lists a model: it is asked while the others are stopped."""
        listed: list[bool] = []
        workers = self.process.workers
        for asked in workers:
            others = [pid for pid in workers if pid != asked]
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            try:
                async with asyncio.timeout(10):
                    listed.append(model in await self.models())
            finally:
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
        return len(listed) == 2 and all(listed)

    def administrator(self) -> int:
        """Return the worker that serves the admin API."""
        port = int(self.admin.split(":")[2].partition("/")[0])
        [pid] = [pid for pid in self.process.workers if _listens(pid, port)]
        return pid


def _listens(pid: int, port: int) -> bool:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    links = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    return any(f"socket:[{inode}]" in links for inode in inodes)


@asynccontextmanager
async def two_workers(directory: Path) -> AsyncIterator[Gateway]:
    port = free_port()
    config = f'[admin]\nport = {port}\ntoken = "{TOKEN}"\n[[keys]]\nname = "k"\nkey = "{KEY}"\n'
    async with serve(directory, config, "--workers", "2") as process:
        yield Gateway(process, directory / "penstock.toml", port)


async def test_a_reload_by_the_admin_api_reaches_every_worker(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        workers = gateway.process.workers
        assert not await gateway.everywhere("fast")
        gateway.add(ALIAS)

        status, _ = await gateway.ask_admin("POST", "/reload")

        assert status == 200
        await _within(SOON, gateway, "fast")
        assert gateway.process.workers == workers


async def test_a_configuration_with_a_mistake_is_told_and_reaches_none(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        gateway.add('[models.fast]\ntargets = ["nowhere/echo"]\n')
        status, body = await gateway.ask_admin("POST", "/reload")
        assert (status, body["error"]["code"]) == (400, "invalid_configuration")
        assert not await gateway.everywhere("fast")


async def test_a_hangup_of_the_parent_reaches_every_worker(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        gateway.add(ALIAS)
        gateway.process.process.send_signal(signal.SIGHUP)
        await _within(SOON, gateway, "fast")


async def test_the_worker_with_the_admin_api_comes_back_with_it_and_with_the_file_as_it_is_now(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        killed = gateway.administrator()
        gateway.add(ALIAS)

        os.kill(killed, signal.SIGKILL)
        gateway.process.process.send_signal(signal.SIGHUP)  # which would end a worker that is only starting

        await until(lambda: len(gateway.process.workers) == 2 and killed not in gateway.process.workers)
        status = await _administered(gateway)
        assert status["ready"]
        assert gateway.administrator() != killed
        await _within(SOON, gateway, "fast")


async def test_a_second_signal_ends_all_workers_at_once(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        workers = gateway.process.workers
        slow = gateway.process.ask("demo/poet@ttft=0,gap=0.1,length=300", stream=True)
        async with slow as answer:
            await answer.content.readany()
            gateway.process.process.terminate()
            await asyncio.sleep(0.3)
            assert gateway.process.process.poll() is None
            began = time.monotonic()
            gateway.process.process.terminate()
            await asyncio.to_thread(gateway.process.process.wait, 10)
            await until(lambda: not any(Path(f"/proc/{pid}/fd").exists() and _lives(pid) for pid in workers))
            assert time.monotonic() - began < 1.5


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


async def _administered(gateway: Gateway) -> Any:
    async with asyncio.timeout(20):
        while True:
            try:
                return (await gateway.ask_admin("GET", "/status"))[1]
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def _within(seconds: float, gateway: Gateway, model: str) -> None:
    deadline = time.monotonic() + seconds
    while not await gateway.everywhere(model):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
