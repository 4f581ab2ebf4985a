"""What is kept of responses: by key, for a time, within a limit. On real SQLite files and a real PostgreSQL."""

import asyncio
from pathlib import Path

import pytest

from penstock.protocols.keeping import KeptTurn
from penstock.store import responses
from penstock.store.database import Database
from penstock.store.responses import MissingTurnError, ResponseStore, TooLargeError

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
DAY = 86_400


@pytest.fixture
def store(database: Database) -> ResponseStore:
    return ResponseStore(database, lifetime=DAY, limit=10_000)


def turn(id_: str, previous: str | None = None, size: int = 20) -> KeptTurn:
    return KeptTurn(id_, previous, b"[]", b"x" * (size - 2))


async def test_a_response_can_be_read_again(store: ResponseStore) -> None:
    assert await store.put("team-a", turn("resp_1"), NOW)

    assert await store.get("team-a", "resp_1", NOW) == turn("resp_1")


async def test_another_key_does_not_find_it(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1"), NOW)

    with pytest.raises(MissingTurnError):
        await store.get("team-b", "resp_1", NOW)
    with pytest.raises(MissingTurnError):
        await store.history("team-b", "resp_1", NOW)
    with pytest.raises(MissingTurnError):
        await store.delete("team-b", "resp_1", NOW)
    await store.get("team-a", "resp_1", NOW)


async def test_two_keys_may_have_the_same_id(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1", size=30), NOW)
    await store.put("team-b", turn("resp_1", size=40), NOW)

    assert (await store.get("team-a", "resp_1", NOW)).size == 30
    assert (await store.get("team-b", "resp_1", NOW)).size == 40


async def test_an_id_that_is_taken_keeps_its_first_content(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1", size=30), NOW)
    await store.put("team-a", turn("resp_1", size=40), NOW)

    assert (await store.get("team-a", "resp_1", NOW)).size == 30


async def test_it_expires(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1"), NOW)

    await store.get("team-a", "resp_1", NOW + DAY - 1)
    with pytest.raises(MissingTurnError):
        await store.get("team-a", "resp_1", NOW + DAY)


async def test_a_deleted_one_is_gone(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1"), NOW)
    await store.delete("team-a", "resp_1", NOW)

    with pytest.raises(MissingTurnError):
        await store.get("team-a", "resp_1", NOW)


async def test_the_history_goes_back_to_the_first_turn(store: ResponseStore) -> None:
    for number in range(1, 6):
        await store.put("team-a", turn(f"resp_{number}", f"resp_{number - 1}" if number > 1 else None), NOW)

    history = await store.history("team-a", "resp_4", NOW)

    assert [stored.id for stored in history] == ["resp_1", "resp_2", "resp_3", "resp_4"]


async def test_two_turns_may_follow_the_same_one(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1"), NOW)
    await store.put("team-a", turn("resp_2", "resp_1"), NOW)
    await store.put("team-a", turn("resp_3", "resp_1"), NOW)

    assert [stored.id for stored in await store.history("team-a", "resp_3", NOW)] == ["resp_1", "resp_3"]


async def test_a_history_with_a_hole_is_none_and_names_the_hole(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1"), NOW)
    await store.put("team-a", turn("resp_2", "resp_1"), NOW)
    await store.delete("team-a", "resp_1", NOW)

    with pytest.raises(MissingTurnError, match="resp_1"):
        await store.history("team-a", "resp_2", NOW)


async def test_whoever_continues_renews_the_life_of_every_turn(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1"), NOW)
    await store.put("team-a", turn("resp_2", "resp_1"), NOW)

    await store.history("team-a", "resp_2", NOW + DAY - 1)

    assert len(await store.history("team-a", "resp_2", NOW + DAY + 1)) == 2


async def test_a_response_is_found_by_its_items_and_only_by_its_key(store: ResponseStore) -> None:
    stored = KeptTurn("resp_1", None, b"[]", b"{}", item_ids=("msg_1", "fc_1"))
    await store.put("team-a", stored, NOW)

    assert [found.id for found in await store.having("team-a", ["fc_1", "fc_2"], NOW)] == ["resp_1"]
    assert await store.having("team-b", ["fc_1"], NOW) == []
    assert await store.having("team-a", ["fc_1"], NOW + DAY) == []


async def test_any_number_of_items_can_be_asked_for(store: ResponseStore) -> None:
    await store.put("team-a", KeptTurn("resp_1", None, b"[]", b"{}", item_ids=("msg_1",)), NOW)

    many = [f"msg_{number}" for number in range(300_000)]

    assert [found.id for found in await store.having("team-a", many, NOW)] == ["resp_1"]


async def test_more_than_a_request_may_have_is_not_put_together(
    store: ResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MAX_BYTES", 100)
    await store.put("team-a", KeptTurn("resp_1", None, b"[]", b"x" * 60, item_ids=("msg_1",)), NOW)
    await store.put("team-a", KeptTurn("resp_2", "resp_1", b"[]", b"x" * 60, item_ids=("msg_2",)), NOW)

    assert len(await store.history("team-a", "resp_1", NOW)) == 1
    assert len(await store.having("team-a", ["msg_2"], NOW)) == 1
    with pytest.raises(TooLargeError):
        await store.history("team-a", "resp_2", NOW)
    with pytest.raises(TooLargeError):
        await store.having("team-a", ["msg_1", "msg_2"], NOW)


async def test_the_items_go_with_their_response(store: ResponseStore, database: Database) -> None:
    await store.put("team-a", KeptTurn("resp_1", None, b"[]", b"{}", item_ids=("msg_1",)), NOW)
    await store.delete("team-a", "resp_1", NOW)

    async with database.reading() as connection:
        assert (await connection.exec_driver_sql("select item from response_items")).all() == []


async def test_what_expired_leaves_the_database(store: ResponseStore, database: Database) -> None:
    await store.put("team-a", turn("resp_1"), NOW)
    await store.put("team-a", turn("resp_2"), NOW + 2 * DAY)

    async with database.reading() as connection:
        rows = (await connection.exec_driver_sql("select id from responses")).all()
    assert rows == [("resp_2",)]


async def test_the_oldest_make_way_when_there_are_too_many_bytes(store: ResponseStore) -> None:
    for number in range(4):
        await store.put("team-a", turn(f"resp_{number}", size=4_000), NOW + 100 * number)

    await store.get("team-a", "resp_2", NOW + 400)
    await store.get("team-a", "resp_3", NOW + 400)
    for gone in ("resp_0", "resp_1"):
        with pytest.raises(MissingTurnError):
            await store.get("team-a", gone, NOW + 400)


async def test_many_make_way_a_few_at_a_time_for_others_cannot_write_meanwhile(
    store: ResponseStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "PRUNE_ROWS", 3)
    for number in range(5):
        await store.put("team-a", turn(f"resp_{number}"), NOW)

    left: list[int] = []
    for number in range(5, 8):
        await store.put("team-a", turn(f"resp_{number}"), NOW + DAY)
        async with database.reading() as connection:
            left.append((await connection.exec_driver_sql("select count(*) from responses")).scalar_one())
    assert left == [3, 2, 3]


async def test_one_that_exceeds_the_limit_by_itself_is_not_kept(store: ResponseStore) -> None:
    assert not await store.put("team-a", turn("resp_1", size=10_001), NOW)

    with pytest.raises(MissingTurnError):
        await store.get("team-a", "resp_1", NOW)


async def test_those_who_write_at_once_do_not_disturb_each_other(store: ResponseStore) -> None:
    async def fails() -> None:
        with pytest.raises(MissingTurnError):
            await store.history("team-a", "unknown", NOW)

    async def succeeds(id_: str) -> None:
        await store.put("team-a", KeptTurn(id_, None, b"[]", b"{}", item_ids=(f"msg_{id_}",)), NOW)

    ids = [f"resp_{number}" for number in range(20)]
    await asyncio.gather(*[work for id_ in ids for work in (succeeds(id_), fails())])

    for id_ in ids:
        await store.get("team-a", id_, NOW)


async def test_who_leaves_while_it_is_written_takes_nothing_along(store: ResponseStore) -> None:
    await store.put("team-a", turn("resp_1"), NOW)
    for steps in range(40):
        writing = asyncio.create_task(store.put("team-a", turn(f"resp_{steps}_cancelled"), NOW))
        await asyncio.sleep(steps / 10_000)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    await store.get("team-a", "resp_1", NOW)


async def test_an_id_that_the_database_cannot_hold_is_not_found_and_not_kept(store: ResponseStore) -> None:
    assert not await store.put("team-a", turn("resp_\0"), NOW)
    assert await store.put("team-a", KeptTurn("resp_1", None, b"[]", b"{}", item_ids=("msg_\0", "msg_1")), NOW)

    assert [found.id for found in await store.having("team-a", ["msg_\0", "msg_1"], NOW)] == ["resp_1"]
    for look in (store.get, store.history, store.delete):
        with pytest.raises(MissingTurnError):
            await look("team-a", "resp_\0", NOW)


async def test_pruning_does_not_read_the_contents(tmp_path: Path) -> None:
    opened = await Database.open(tmp_path / "penstock.db")
    query = responses._superfluous(10_000, NOW).compile(dialect=opened.dialect, compile_kwargs={"literal_binds": True})
    async with opened.reading() as connection:
        plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")).all()
    await opened.close()

    assert [row.detail for row in plan if "responses" in row.detail] == [
        "SCAN responses USING COVERING INDEX ix_responses_expires"
    ]
