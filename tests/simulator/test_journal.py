"""The log of calls that a gateway's books are compared with."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.simulator import start
from penstock.simulator.calls import Journal
from tests.simulator.talking import NAMES, Talker

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
async def talker(path: Path) -> AsyncIterator[Talker]:
    journal = Journal(path)
    running = await start(journal=journal)
    async with Talker(f"http://127.0.0.1:{running.port}") as talker:
        yield talker
    await running.close()
    journal.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("protocol", NAMES)
async def test_a_call_is_a_line_when_it_comes_and_one_when_it_is_over(path: Path, talker: Talker, protocol: str):
    await talker.ask(protocol, "poet@length=10,tag=one")
    came, over = lines(path)
    assert (came["model"], came["protocol"], came["ended"]) == ("poet@length=10,tag=one", protocol, "running")
    assert (over["id"], over["ended"], over["usage"]["output"]) == (came["id"], "complete", 10)
    assert over["at"] >= came["at"]


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize("how", ["streamed", "whole"])
async def test_it_says_how_much_output_was_sent_and_that_the_usage_was(
    path: Path, talker: Talker, protocol: str, how: str
):
    await talker.ask(protocol, "poet@length=10", how=how)
    over = lines(path)[-1]
    assert 36 < over["output_bytes"] <= 40
    assert over["counted"]


async def test_of_an_answer_that_breaks_it_says_how_far_it_came(path: Path, talker: Talker):
    await talker.ask("openai-chat", "poet@fault=cut,fault_at=2")
    over = lines(path)[-1]
    assert (over["ended"], over["chunks"], over["counted"]) == ("fault", 2, False)
    assert 0 < over["output_bytes"] < 40


@pytest.mark.parametrize("how", ["streamed", "whole"])
async def test_usage_that_was_kept_back_was_not_sent(path: Path, talker: Talker, how: str):
    await talker.ask("openai-chat", "poet@fault=no-usage", how=how)
    assert lines(path)[-1]["counted"] is False


async def test_a_refused_call_has_a_line(path: Path, talker: Talker):
    await talker.ask("anthropic", "nobody")
    assert [line["ended"] for line in lines(path)] == ["running", "refused"]


async def test_a_file_is_gone_on_with(path: Path):
    path.write_bytes(b"{}\n")
    Journal(path).close()
    assert path.read_bytes() == b"{}\n"
