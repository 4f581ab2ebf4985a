"""Several processes hold one budget, one rate and one ledger between them: workers of one gateway, and two gateways."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from penstock.store.database import Database
from tests.accounts.books import Books
from tests.cli import processes
from tests.serving import HANG, KEY, STREAM_HEAD, Upstream, chunk, replaying, whole
from tests.store.servers import PostgresServer, RedisServer
from tests.watch import ADMIN_TOKENS

pytestmark = pytest.mark.anyio

COST = 20_000
"""Nano-dollars that an answer costs: ten tokens of input and ten of output, at a dollar per million."""

ANSWER = whole(
    json.dumps(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
        }
    ).encode()
)

FIRST_WORD = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":null}]}\n\n'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Process:
    """`penstock serve`, and a client of it."""

    def __init__(self, running: processes.Running, session: aiohttp.ClientSession) -> None:
        self.process = running.process
        self.address = running.address
        self.session = session

    @property
    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def ask(self, model: str = "lab/m", **more: Any) -> Any:
        body = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], **more}
        return self.session.post(
            f"{self.address}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
        )

    async def told(self, model: str = "lab/m") -> str:
        """Ask; return `answered`, or the code of the error."""
        async with self.ask(model) as response:
            body = await response.json()
            return "answered" if response.status == 200 else body["error"]["code"] or str(response.status)


@contextlib.asynccontextmanager
async def serve(directory: Path, config: str, *options: str) -> AsyncIterator[Process]:
    path = directory / "penstock.toml"
    path.write_text(config)
    command = ("serve", "--config", str(path), "--port", "0", *options)
    process = processes.Process(directory / "data", *command)
    try:
        gateway = await asyncio.to_thread(processes.Running, process, "curl")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Process(gateway, session)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


def configuration(upstream: Upstream, terms: str = "", rest: str = "") -> str:
    return f"""
admin.enabled = false
[[keys]]
name = "k"
key = "{KEY}"
{terms}
[providers.lab]
protocol = "openai-chat"
base_url = "{upstream.address}/v1"
[prices."lab/m"]
input = "1"
output = "1"
{rest}
"""


def budget(requests: int) -> str:
    return f'budget = {{ usd = "{requests * COST / 1e9:.9f}", per = "total" }}'


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.promise("3.3")
async def test_a_cap_worth_fifty_requests_lets_fifty_of_five_hundred_through_four_workers(
    tmp_path: Path, postgres_url: str, postgres: PostgresServer
) -> None:
    """And whose price is not known none; and none while the store is down."""
    database = await Database.open(postgres_url)
    books, samples = Books(database), list[tuple[int, int]]()

    async def sample() -> None:
        while True:
            samples.append(await books.budget())
            await asyncio.sleep(0.02)

    async with replaying(ANSWER) as upstream:
        config = configuration(upstream, budget(50), f'[store]\nurl = "{postgres_url}"')
        async with serve(tmp_path, config, "--workers", "4") as gateway:
            samples.append(await books.budget())  # it has its connection before the crowd comes
            sampling = asyncio.create_task(sample())
            told = Counter(await asyncio.gather(*(gateway.told() for _ in range(500))))
            unknown = await gateway.told("lab/unknown")
            sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampling
            reached = len(upstream.requests)
            spent, held = await books.budget()
            await database.close()
            with postgres.outage(postgres_url):
                down = {await gateway.told() for _ in range(3)}

            assert set(told) == {"answered", "budget_exceeded"}
            assert 0 < told["answered"] == reached <= 50
            assert (spent, held) == (reached * COST, 0)
            assert max(spent + held for spent, held in samples) <= 50 * COST
            assert unknown == "price_unknown"
            assert down == {"ledger_unavailable"}
            assert len(upstream.requests) == reached


async def test_what_a_worker_has_open_when_it_is_killed_is_settled_and_it_is_started_again(tmp_path: Path) -> None:
    async with replaying((STREAM_HEAD, chunk(FIRST_WORD), HANG)) as upstream, contextlib.AsyncExitStack() as parts:
        gateway = await parts.enter_async_context(serve(tmp_path, configuration(upstream), "--workers", "2"))
        database = await Database.open(tmp_path / "data" / "penstock.db")
        parts.push_async_callback(database.close)
        books = Books(database)
        for _ in range(8):
            response = await parts.enter_async_context(gateway.ask(stream=True))
            assert await response.content.readline()
        attempts = await books.attempts()
        assert {row.state for row in attempts} == {"open"}
        owner = attempts[0].process
        [killed] = [pid for pid in gateway.workers if _holds(pid, f"{owner}.lock")]

        os.kill(killed, signal.SIGKILL)

        await until(lambda: len(gateway.workers) == 2 and killed not in gateway.workers)
        async with asyncio.timeout(30):
            while any(row.state == "open" for row in await books.attempts() if row.process == owner):
                await asyncio.sleep(0.05)
        assert {row.end for row in await books.attempts() if row.process == owner} == {"crashed"}
        assert all(row.state == "open" for row in await books.attempts() if row.process != owner)


def _holds(pid: int, name: str) -> bool:
    return any(os.readlink(file).endswith(name) for file in Path(f"/proc/{pid}/fd").iterdir())


async def test_workers_end_with_their_parent_however_it_ends(tmp_path: Path) -> None:
    async with replaying(ANSWER) as upstream, serve(tmp_path, configuration(upstream), "--workers", "2") as gateway:
        workers = gateway.workers
        assert len(workers) == 2

        gateway.process.kill()

        await until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and _lives(pid) for pid in workers))


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


async def test_two_gateways_on_one_postgresql_and_one_redis_hold_one_rate_and_one_budget(
    tmp_path: Path, postgres_url: str, redis_url: str, redis_server: RedisServer
) -> None:
    stores = f'[store]\nurl = "{postgres_url}"\npepper = "{"ab" * 32}"\n[shared]\nurl = "{redis_url}"'
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with replaying(ANSWER) as upstream:
        terms = f"requests_per_minute = 20\n{budget(12)}"
        config = configuration(upstream, terms, stores)
        async with serve(tmp_path / "one", config) as one, serve(tmp_path / "two", config) as two:
            told = Counter(await asyncio.gather(*((one, two)[n % 2].told() for n in range(60))))
            assert 0 < told["answered"] == len(upstream.requests) <= 12
            assert set(told) <= {"answered", "budget_exceeded", "rate_limit_exceeded"}

            redis_server.stop()
            assert {await one.told(), await two.told()} == {"ledger_unavailable"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


UNLIMITED = "unlimited-key-0123456789"


async def test_while_redis_is_down_keys_without_limits_go_on_and_others_are_refused(
    tmp_path: Path, redis_url: str, redis_server: RedisServer
) -> None:
    async with replaying(ANSWER) as upstream:
        keys = f'[[keys]]\nname = "unlimited"\nkey = "{UNLIMITED}"\n[shared]\nurl = "{redis_url}"'
        async with serve(tmp_path, configuration(upstream, "requests_per_minute = 20", keys)) as gateway:
            redis_server.stop()
            unlimited = {"headers": {"authorization": f"Bearer {UNLIMITED}"}}
            body = {"model": "lab/m", "messages": [{"role": "user", "content": "hi"}]}
            for _ in range(3):
                async with gateway.session.post(
                    f"{gateway.address}/v1/chat/completions", json=body, **unlimited
                ) as response:
                    assert response.status == 200
            async with gateway.ask() as response:
                assert response.status == 503
            assert len(upstream.requests) == 3


async def test_a_key_that_is_revoked_at_one_gateway_is_refused_by_another_within_a_second(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    stores = f'[store]\nurl = "{postgres_url}"\npepper = "{"ab" * 32}"\n[shared]\nurl = "{redis_url}"'
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with replaying(ANSWER) as upstream:
        port = free_port()
        config = configuration(upstream, "", stores)
        admin = f'[admin]\nport = {port}\ntoken = "{ADMIN_TOKENS[0]}"\n'
        administered = config.replace("admin.enabled = false", "") + admin
        async with serve(tmp_path / "one", administered) as one, serve(tmp_path / "two", config) as two:
            base, as_admin = (
                f"http://127.0.0.1:{port}/admin/api/v1/keys",
                {"authorization": f"Bearer {ADMIN_TOKENS[0]}"},
            )
            async with one.session.post(base, json={"name": "leaver"}, headers=as_admin) as response:
                made = await response.json()

            async def status() -> int:
                headers = {"authorization": f"Bearer {made['secret']}"}
                async with two.session.get(f"{two.address}/v1/models", headers=headers) as response:
                    return response.status

            async with asyncio.timeout(10):
                while await status() != 200:
                    await asyncio.sleep(0.02)
            async with one.session.post(f"{base}/{made['id']}/revoke", headers=as_admin) as response:
                assert response.status == 200
            await asyncio.sleep(1.0)
            assert await status() == 401
