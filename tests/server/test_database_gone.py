"""A database whose file is deleted or replaced under a running gateway is noticed, and nothing is done without it."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from tests.serving import CALLS, new_database, replaying, serving, whole

pytestmark = pytest.mark.anyio

ANSWER = whole(b'{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}')


def deleted(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    shutil.copyfile(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("lose", [deleted, replaced])
async def test_no_provider_is_called_whose_call_nobody_could_read_of(
    lose: Callable[[Path], None], tmp_path: Path
) -> None:
    path, (ask, body) = new_database(tmp_path), CALLS["openai-chat"]
    async with replaying(ANSWER) as upstream, serving(database=path, lab=upstream.openai) as gateway:
        with structlog.testing.capture_logs() as lines:
            lose(path)
            for _ in range(2):
                async with gateway.post(ask, body) as response:
                    assert response.status == 503
                    assert (await response.json())["error"]["code"] == "ledger_unavailable"
        assert upstream.requests == []
        (told,) = [line for line in lines if line["event"] == "database_gone"]
        assert str(path) in told["why"]
        async with gateway.get("/readyz") as response:
            assert (response.status, await response.json()) == (503, {"status": "database_gone"})
        async with gateway.get("/healthz") as response:
            assert response.status == 200
        assert path.exists() is (lose is replaced)  # no empty one was made in its place


async def test_it_is_noticed_while_nobody_writes_and_over_when_the_file_is_back(tmp_path: Path) -> None:
    path, aside, (ask, body) = new_database(tmp_path), tmp_path / "aside", CALLS["openai-chat"]
    async with replaying(ANSWER) as upstream, serving(database=path, lab=upstream.openai) as gateway:
        path.rename(aside)
        async with asyncio.timeout(10):
            while await _status(gateway) != 503:
                await asyncio.sleep(0.05)
        aside.rename(path)
        async with asyncio.timeout(10):
            while await _status(gateway) != 200:
                await asyncio.sleep(0.05)
        async with gateway.post(ask, body | {"stream": False}) as response:
            assert response.status == 200


async def _status(gateway: object) -> int:
    async with gateway.get("/readyz") as response:  # type: ignore[attr-defined]
        return response.status
