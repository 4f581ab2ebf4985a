"""Keys at a running gateway: one verdict whatever carries a key, restrictions, and the end of a revoked one."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import Key, StaticKey
from penstock.accounts.manage import KeyManager
from penstock.accounts.terms import Terms
from penstock.config import Config, ServerSettings
from penstock.core.secret import Secret
from penstock.server.app import open_directory
from penstock.server.door import client_address
from penstock.store.database import Database
from penstock.store.keyfile import KeyFile
from penstock.store.keys import KeyStore
from tests import serving

pytestmark = pytest.mark.anyio

MODEL = "demo/poet@ttft=0,gap=0"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}

GRANTS: dict[str, Key] = {
    "unrestricted": Key("config:a", "a"),
    "expired": Key("config:b", "b", expires=1),
    "elsewhere": Key("config:c", "c", networks=("10.0.0.0/8",)),
    "here": Key("config:d", "d", networks=("10.0.0.0/8", "127.0.0.0/8", "::1/128")),
    "other-model": Key("config:e", "e", models=("openai/*",)),
    "this-model": Key("config:f", "f", models=("openai/*", "demo/po*")),
}
VERDICTS = {
    "unrestricted": (200, None),
    "expired": (401, "key_expired"),
    "elsewhere": (403, "network_not_allowed"),
    "here": (200, None),
    "other-model": (403, "model_not_allowed"),
    "this-model": (200, None),
    "unknown": (401, "invalid_api_key"),
}


@contextlib.asynccontextmanager
async def running(keys: KeyDirectory, proxies: tuple[str, ...] = ()) -> AsyncIterator[aiohttp.ClientSession]:
    config = Config(server=ServerSettings(port=0, trusted_proxies=proxies))
    async with serving.running(config, keys) as service, aiohttp.ClientSession(service.address) as session:
        yield session


def directory() -> KeyDirectory:
    return KeyDirectory(bytes(32), [StaticKey(name, Secret(f"key-{name}"), key) for name, key in GRANTS.items()])


def carried(secret: str) -> list[tuple[str, dict[str, str]]]:
    return [
        ("", {"authorization": f"Bearer {secret}"}),
        ("", {"x-api-key": secret}),
        ("", {"x-goog-api-key": secret}),
        (f"?key={secret}", {}),
    ]


@pytest.mark.promise("5.2")
async def test_every_carrier_of_a_key_gets_the_same_verdict_on_every_path() -> None:
    async with running(directory()) as session:
        for name, (status, code) in VERDICTS.items():
            for query, headers in carried(f"key-{name}"):
                async with session.post(f"/v1/chat/completions{query}", json=BODY, headers=headers) as answer:
                    told = await answer.json()
                    assert (answer.status, told.get("error", {}).get("code")) == (status, code), (name, query, headers)
                for path in ("/anthropic/v1/messages", "/anthropic/v1/messages/count_tokens"):
                    async with session.post(f"{path}{query}", json=BODY, headers=headers) as answer:
                        assert answer.status == status, (name, path)
                for verb in ("generateContent", "streamGenerateContent", "countTokens"):
                    content = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
                    target = f"/v1beta/models/{MODEL}:{verb}{query}"
                    async with session.post(target, json=content, headers=headers) as answer:
                        assert answer.status == status, (name, verb)
                async with session.post(
                    f"/v1/responses{query}", json={"model": MODEL, "input": "hi"}, headers=headers
                ) as answer:
                    assert answer.status == status, name


async def test_the_list_of_models_shows_only_those_that_a_key_may_use() -> None:
    async with running(directory()) as session:
        for name, found in (("this-model", {"demo/poet"}), ("other-model", set[str]())):
            async with session.get("/v1/models", headers={"x-api-key": f"key-{name}"}) as answer:
                assert {model["id"] for model in (await answer.json())["data"]} == found
        async with session.get("/v1/models/demo/echo", headers={"x-api-key": "key-this-model"}) as answer:
            assert answer.status == 403
        async with session.get("/v1/models/demo/poet", headers={"x-api-key": "key-this-model"}) as answer:
            assert answer.status == 200


async def test_whoever_may_not_use_a_model_is_not_told_whether_there_is_one() -> None:
    async with running(directory()) as session:
        for model in ("demo/poet", "demo/nothing", "nobody/nothing"):
            async with session.get(f"/v1/models/{model}", headers={"x-api-key": "key-other-model"}) as answer:
                body = await answer.json()
            assert (answer.status, body["error"]["code"]) == (403, "model_not_allowed")


async def test_an_address_that_a_client_makes_up_counts_only_from_a_trusted_proxy() -> None:
    headers = {"x-api-key": "key-elsewhere", "x-forwarded-for": "203.0.113.9, 10.1.2.3"}
    for proxies, status in (((), 403), (("192.0.2.0/24",), 403), (("127.0.0.0/8",), 200)):
        async with running(directory(), proxies) as session:
            async with session.post("/v1/chat/completions", json=BODY, headers=headers) as answer:
                assert answer.status == status, proxies


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("198.51.100.7", "10.0.0.1", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.2, nonsense", "nonsense"),
        (None, "10.0.0.2", None),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(peer: str | None, told: str, client: str | None) -> None:
    assert client_address(peer, told, ("10.0.0.0/8",)) == client


@pytest.mark.promise("5.1")
async def test_a_revoked_key_is_refused_within_a_second_by_every_gateway(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "penstock.db")
    store, file = KeyStore(database), KeyFile(tmp_path)
    directories = [(await open_directory(Config(), file, store))[0] for _ in range(2)]
    manager = KeyManager(store, file.pepper(secrets.token_bytes))
    issued = await manager.create("ci", Terms())
    headers = {"x-api-key": issued.secret.reveal()}
    async with running(directories[0]) as one, running(directories[1]) as other:
        for session in (one, other):
            assert (await _status(session, headers)) == 200
        await manager.revoke("ci")
        revoked = time.monotonic()
        for session in (one, other):
            while await _status(session, headers) == 200:
                assert time.monotonic() - revoked < 1.0
                await asyncio.sleep(0.02)
    await database.close()


@pytest.mark.promise("5.1")
async def test_no_secret_is_in_any_file(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "penstock.db")
    keys, first = await open_directory(Config(), KeyFile(tmp_path), KeyStore(database))
    assert first is not None
    manager = KeyManager(KeyStore(database), KeyFile(tmp_path).pepper(secrets.token_bytes))
    made = [first, (await manager.create("ci", Terms())).secret, (await manager.rotate("ci")).secret]
    await keys.close()
    await database.close()
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        for secret in made:
            assert secret.reveal().encode() not in content
            assert secret.reveal()[12:-6].encode() not in content


async def test_of_two_gateways_that_start_for_the_first_time_one_shows_a_key(tmp_path: Path) -> None:
    databases = [await Database.open(tmp_path / "penstock.db") for _ in range(2)]
    opened = await asyncio.gather(*(open_directory(Config(), KeyFile(tmp_path), KeyStore(one)) for one in databases))
    shown = [first for _, first in opened if first is not None]
    assert len(shown) == 1
    for keys, _ in opened:
        await keys.start()
        assert keys.authenticate(shown[0].reveal()).name == "first"
        await keys.close()
    for database in databases:
        await database.close()


async def _status(session: aiohttp.ClientSession, headers: dict[str, str]) -> int:
    async with session.get("/v1/models", headers=headers) as answer:
        return answer.status
