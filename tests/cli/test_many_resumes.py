"""Many clients come back at once: nobody's first byte waits for another's whole log, and memory does not grow with it.

How long they wait is measured by `python -m chaos --only resume`, on a machine that does nothing else.
"""

from pathlib import Path

import pytest

from tests.cli.clients_at_once import all_at_once
from tests.cli.coming_back import READERS, SIZE, kept, resident

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.promise("1.5")
async def test_two_hundred_that_come_back_at_once_have_their_first_bytes_long_before_the_last_in_bounded_memory(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path) as (process, answers, upstream):
        before = resident(process)
        for way in answers[0].ways_back():
            requests = [answer.ways_back()[way] for answer in answers]
            # One after the other, all but a few would wait for nine tenths of the time that all of it takes. Of some
            # attempts the quickest counts: this process is not the only one, and may have to wait at any moment.
            shares: list[float] = []
            while not shares or (min(shares) > 0.5 and len(shares) < 5):
                seen = await all_at_once(process.address, process.process.pid, requests)
                assert min(seen.sizes) > SIZE, way
                shares.append(max(seen.first) / max(seen.last))
            assert min(shares) <= 0.5, way
        assert resident(process) - before <= 64 * 2**20
        assert len(upstream.requests) == READERS
