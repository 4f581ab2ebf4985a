"""Managing keys."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.accounts.keys import Budget, Limits, id_of, well_formed
from penstock.accounts.manage import KeyManager, described
from penstock.accounts.terms import BudgetTerms, Terms
from penstock.core.errors import ClientFault, Fault
from penstock.store.database import Database
from penstock.store.keys import KeyStore

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "penstock.db")
    yield opened
    await opened.close()


@pytest.fixture
def keys(database: Database) -> KeyManager:
    return KeyManager(KeyStore(database), b"p" * 32, lambda: NOW)


async def test_a_key_is_made_with_its_terms(keys: KeyManager) -> None:
    issued = await keys.create("ci", Terms(streams=3, budget=BudgetTerms("day", tokens=5)))
    assert well_formed(issued.secret.reveal())
    assert issued.info.key.id == id_of(issued.secret)
    assert (issued.info.key.limits, issued.info.key.budget) == (Limits(streams=3), Budget(5, "tokens", "day"))
    assert await keys.show("ci") == await keys.show(issued.info.key.id) == issued.info
    assert await keys.list() == (issued.info,)


async def test_a_key_keeps_its_id_when_its_secret_is_replaced(keys: KeyManager) -> None:
    first = await keys.create("ci", Terms())
    second = await keys.rotate("ci")
    assert id_of(second.secret) == id_of(first.secret)
    assert second.secret != first.secret
    assert second.info.replaced_until == NOW + 24 * 60 * 60
    assert (await keys.rotate("ci", grace=0)).info.replaced_until is None


async def test_what_is_not_said_is_not_changed(keys: KeyManager) -> None:
    await keys.create("ci", Terms(models=("demo/*",), streams=3, labels={"a": "b"}))
    changed = await keys.limit("ci", Terms(streams=None, requests_per_minute=7))
    assert changed.key.limits == Limits(requests_per_minute=7)
    assert (changed.key.models, changed.key.labels) == (("demo/*",), {"a": "b"})


async def test_a_revoked_key_is_shown_by_its_id_and_frees_its_name(keys: KeyManager) -> None:
    first = await keys.create("ci", Terms())
    assert (await keys.revoke("ci")).revoked == NOW
    second = await keys.create("ci", Terms())
    assert (await keys.show("ci")).key.id == second.info.key.id
    assert described(await keys.show(first.info.key.id))["revoked"] == "2027-01-15T08:00:00Z"


async def test_mistakes_are_told_in_one_line(keys: KeyManager) -> None:
    await keys.create("ci", Terms())
    for mistake, kind, told in (
        (keys.create("ci", Terms()), "invalid_request", 'name: "ci" is already'),
        (keys.create("", Terms()), "invalid_request", "name: expected"),
        (keys.create("a\nb", Terms()), "invalid_request", "name: expected"),
        (keys.create("config:a", Terms()), "invalid_request", "name: expected"),
        (keys.create("b", Terms(expires="2020-01-01")), "invalid_request", "expires: that is over"),
        (keys.limit("ci", Terms(networks=("x",))), "invalid_request", r"networks\[0\]: "),
        (keys.rotate("ci", grace=10**9), "invalid_request", "grace: "),
        (keys.show("nope"), "not_found", "There is no key 'nope'"),
        (keys.revoke("nope"), "not_found", "There is no key 'nope'"),
        (keys.revoke("config:a"), "invalid_request", "config:a stands in the configuration"),
    ):
        with pytest.raises(ClientFault, match=f"^{told}.*$") as caught:
            await mistake
        assert caught.value.info.kind == kind


async def test_a_database_that_does_not_answer_is_told_as_such(database: Database, keys: KeyManager) -> None:
    async with database.changing() as connection:
        await connection.exec_driver_sql("DROP TABLE key_secrets")
    with pytest.raises(Fault) as caught:
        await keys.list()
    assert caught.value.info.kind == "overloaded"
