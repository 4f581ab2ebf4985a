"""Keys in the database, and the numbers that tell of their changes."""

import asyncio
import traceback

import pytest

from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.keys import (
    ForeignPepperError,
    KeyStore,
    MissingKeyError,
    NameTakenError,
    StoredKey,
    StoredSecret,
)

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
PEPPER = 2**62 - 1


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database)


def key(id_: str = "AAAAAAAA", name: str = "ci") -> StoredKey:
    return StoredKey(id_, name, NOW, secrets=(StoredSecret(f"{id_}-1", NOW),))


async def test_a_key_comes_back_as_it_was_put(store: KeyStore) -> None:
    put = StoredKey(
        "AAAAAAAA", "ci", NOW, NOW + 5, None, ("demo/*", "*/poet"), 60, 10_000, 4, 10**18, "usd", "month",
        ("10.0.0.0/8", "fd00::/8"), {"team": "搜索"}, (StoredSecret("d1", NOW, NOW + 9),),
    )  # fmt: skip
    await store.insert(put, PEPPER)
    assert await store.find("AAAAAAAA") == put
    assert await store.find("ci") == put
    assert await store.all() == [put]


async def test_every_change_raises_the_version_and_nothing_else_does(store: KeyStore) -> None:
    versions = [await store.version()]
    for change in (
        store.insert(key(), PEPPER),
        store.update(StoredKey("AAAAAAAA", "ci", NOW, streams=1)),
        store.replace_secret("AAAAAAAA", StoredSecret("AAAAAAAA-2", NOW), NOW + 60, PEPPER),
        store.revoke("AAAAAAAA", NOW),
    ):
        await change
        versions.append(await store.version())
    await store.all()
    with pytest.raises(MissingKeyError):
        await store.revoke("AAAAAAAA", NOW)
    assert versions == [0, 1, 2, 3, 4]
    assert await store.version() == 4


async def test_a_name_is_taken_until_its_key_is_revoked(store: KeyStore) -> None:
    await store.insert(key(), PEPPER)
    with pytest.raises(NameTakenError):
        await store.insert(key("BBBBBBBB"), PEPPER)
    await store.revoke("AAAAAAAA", NOW)
    await store.insert(key("BBBBBBBB"), PEPPER)
    assert (await store.find("ci")).id == "BBBBBBBB"
    assert (await store.find("AAAAAAAA")).revoked == NOW


async def test_of_many_keys_of_one_name_made_at_once_there_is_one(store: KeyStore) -> None:
    made = await asyncio.gather(*(store.insert(key(f"{n:08}"), PEPPER) for n in range(8)), return_exceptions=True)
    assert sum(one is None for one in made) == 1
    assert all(one is None or isinstance(one, NameTakenError) for one in made)
    assert len(await store.all()) == 1


async def test_of_two_gateways_that_start_for_the_first_time_one_makes_a_key(database: Database) -> None:
    stores = [KeyStore(database), KeyStore(database)]
    made = await asyncio.gather(
        *(store.insert_first(key(f"{n:08}", "first"), PEPPER) for n, store in enumerate(stores))
    )
    assert sorted(made) == [False, True]
    assert len(await stores[0].all()) == 1


async def test_a_revoked_key_has_no_secret_and_cannot_be_changed(store: KeyStore) -> None:
    await store.insert(key(), PEPPER)
    await store.revoke("AAAAAAAA", NOW)
    assert (await store.find("AAAAAAAA")).secrets == ()
    for change in (
        store.update(key()),
        store.revoke("AAAAAAAA", NOW),
        store.replace_secret("AAAAAAAA", StoredSecret("x", NOW), NOW, PEPPER),
    ):
        with pytest.raises(MissingKeyError):
            await change


async def test_no_more_than_two_secrets_live(store: KeyStore) -> None:
    await store.insert(key(), PEPPER)
    await store.replace_secret("AAAAAAAA", StoredSecret("AAAAAAAA-2", NOW), NOW + 60, PEPPER)
    assert [(one.digest, one.expires) for one in (await store.find("ci")).secrets] == [
        ("AAAAAAAA-2", None),
        ("AAAAAAAA-1", NOW + 60),
    ]
    await store.replace_secret("AAAAAAAA", StoredSecret("AAAAAAAA-3", NOW), NOW + 90, PEPPER)
    assert [(one.digest, one.expires) for one in (await store.find("ci")).secrets] == [
        ("AAAAAAAA-3", None),
        ("AAAAAAAA-2", NOW + 90),
    ]


async def test_secrets_of_two_peppers_do_not_come_together(store: KeyStore) -> None:
    assert await store.pepper() is None
    await store.insert(key(), PEPPER)
    assert await store.pepper() == PEPPER
    for change in (
        store.insert(key("BBBBBBBB", "b"), 1),
        store.insert_missing([key("BBBBBBBB", "b")], 1),
        store.replace_secret("AAAAAAAA", StoredSecret("x", NOW), NOW, 1),
    ):
        with pytest.raises(ForeignPepperError):
            await change
    assert [len(one.secrets) for one in await store.all()] == [1]


async def test_keys_that_are_brought_in_twice_are_there_once_and_stay_revoked(store: KeyStore) -> None:
    both = [key(), key("BBBBBBBB", "ci")]
    await store.insert_missing(both, PEPPER)
    await store.revoke("AAAAAAAA", NOW)
    await store.insert_missing(both, PEPPER)
    assert [(one.name, one.revoked) for one in await store.all()] == [("ci", NOW), ("ci-BBBBBBBB", None)]


async def test_a_database_that_does_not_answer_is_told_as_such(database: Database, store: KeyStore) -> None:
    async with database.changing() as connection:
        await connection.exec_driver_sql("DROP TABLE key_secrets")
        await connection.exec_driver_sql("DROP TABLE versions")
    with pytest.raises(StoreUnavailableError):
        await store.version()
    with pytest.raises(StoreUnavailableError):
        await store.insert(key(), PEPPER)


async def test_an_error_does_not_tell_what_was_to_be_written(database: Database, store: KeyStore) -> None:
    """Neither itself nor what it is caused by, which a traceback in the log shows."""
    async with database.changing() as connection:
        await connection.exec_driver_sql("DROP TABLE key_secrets")
    with pytest.raises(StoreUnavailableError) as refused:
        await store.insert(key(), PEPPER)
    assert key().secrets[0].digest not in "".join(traceback.format_exception(refused.value))
