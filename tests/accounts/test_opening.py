"""What happens to pepper and keys when a gateway starts."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import digest_of, generate, id_of
from penstock.accounts.manage import KeyManager
from penstock.accounts.opening import import_keys, open_pepper
from penstock.accounts.terms import Terms
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.store.database import Database
from penstock.store.keyfile import KeyFile
from penstock.store.keys import KeyStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[KeyStore]:
    database = await Database.open(tmp_path / "penstock.db")
    yield KeyStore(database)
    await database.close()


def old_file(directory: Path) -> tuple[KeyFile, Secret]:
    """Write the files of the first versions."""
    file, key = KeyFile(directory), generate(secrets.randbelow)
    digest = digest_of(file.pepper(secrets.token_bytes), key.reveal())
    content = {"version": 1, "keys": [{"id": id_of(key), "name": "first", "digest": digest, "created": 1}]}
    (directory / "keys.json").write_bytes(msgspec.json.encode(content))
    return file, key


async def test_keys_of_the_file_are_brought_in_once_and_work_on(tmp_path: Path, store: KeyStore) -> None:
    file, key = old_file(tmp_path)
    pepper = await open_pepper(None, file, store)
    await import_keys(file, store, pepper)
    await import_keys(file, store, pepper)
    directory = KeyDirectory(pepper, store=store)
    await directory.start()
    assert directory.authenticate(key.reveal()).name == "first"
    await directory.close()
    assert not (tmp_path / "keys.json").exists()
    assert (tmp_path / "keys.json.imported").exists()


async def test_a_pepper_may_move_from_its_file_to_the_config(tmp_path: Path, store: KeyStore) -> None:
    file, _ = old_file(tmp_path)
    pepper = await open_pepper(None, file, store)
    await import_keys(file, store, pepper)
    assert await open_pepper(Secret(pepper.hex()), KeyFile(tmp_path / "elsewhere"), store) == pepper


async def test_a_pepper_that_is_not_that_of_the_keys_is_a_mistake(tmp_path: Path, store: KeyStore) -> None:
    file, _ = old_file(tmp_path)
    with pytest.raises(ConfigError, match=r"store\.pepper: not the one of keys\.json"):
        await import_keys(file, store, b"x" * 32)
    await KeyManager(store, await open_pepper(None, file, store)).create("ci", Terms())
    with pytest.raises(ConfigError, match=r"store\.pepper: .* another pepper"):
        await open_pepper(Secret("ab" * 32), file, store)
    (tmp_path / "pepper").write_bytes(b"y" * 32)
    with pytest.raises(ConfigError, match=r"pepper: .* another pepper"):
        await open_pepper(None, file, store)


async def test_a_missing_pepper_is_not_made_anew_beside_keys(tmp_path: Path, store: KeyStore) -> None:
    file = KeyFile(tmp_path)
    await KeyManager(store, await open_pepper(None, file, store)).create("ci", Terms())
    (tmp_path / "pepper").unlink()
    with pytest.raises(ConfigError, match="pepper: missing"):
        await open_pepper(None, file, store)
    assert not (tmp_path / "pepper").exists()
