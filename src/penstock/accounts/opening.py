"""What is seen to before keys can be used: the pepper, the file of keys of old, the first key."""

import secrets
from collections.abc import Callable

from penstock.accounts.keys import FIRST_KEY_NAME, Key, digest_of, fingerprint, generate, id_of
from penstock.accounts.manage import stored_key
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.store.keyfile import KeyFile
from penstock.store.keys import ForeignPepperError, KeyStore, StoredKey, StoredSecret


async def open_pepper(configured: Secret | None, file: KeyFile, store: KeyStore) -> bytes:
    """Return what secrets are hashed with: as the config says, or what stands in the file, which is made if need be.

    Raises:
        ConfigError: the keys in the store were hashed with another one, or it cannot be read.
        StoreUnavailableError: the store cannot be read.
    """
    claimed = await store.pepper()
    if configured is not None:
        pepper, where = bytes.fromhex(configured.reveal()), "store.pepper"
        how = "set it to the one that they were made with"
    else:
        if claimed is not None and not file.pepper_path.exists():
            raise ConfigError(
                f"{file.pepper_path}: missing; restore it, or copy it from the machine where the keys were made"
            )
        pepper, where = file.pepper(secrets.token_bytes), str(file.pepper_path)
        how = "copy that file from the machine where they were made, or set [store] pepper on both"
    if claimed not in (None, fingerprint(pepper)):
        raise ConfigError(f"{where}: the keys in the database were made with another pepper; {how}")
    return pepper


async def import_keys(file: KeyFile, store: KeyStore, pepper: bytes) -> None:
    """Bring the keys that stand in the file into the store, once, and put the file aside.

    Raises:
        ConfigError: the file cannot be used, or its keys were hashed with another pepper.
        StoreUnavailableError: the store cannot be reached.
    """
    records = file.load()
    if not records:
        return
    if file.pepper(secrets.token_bytes) != pepper:
        raise ConfigError(
            "store.pepper: not the one of keys.json; set it to what `xxd -p -c 32 pepper` prints in the data directory"
        )
    keys = [
        StoredKey(one.id, one.name, one.created, secrets=(StoredSecret(one.digest, one.created),)) for one in records
    ]
    try:
        await store.insert_missing(keys, fingerprint(pepper))
    except ForeignPepperError:
        raise ConfigError(f"{file.pepper_path}: not the pepper of the keys in the database; restore it") from None
    file.put_aside()


async def make_first_key(store: KeyStore, pepper: bytes, clock: Callable[[], float]) -> Secret | None:
    """Make the first key, if there has never been one. Of several gateways that start at once, one does.

    Raises:
        ConfigError: there is one, made with another pepper.
        StoreUnavailableError: the store cannot be reached.
    """
    secret, now = generate(secrets.randbelow), int(clock())
    key = stored_key(Key(id_of(secret), FIRST_KEY_NAME), now, StoredSecret(digest_of(pepper, secret.reveal()), now))
    return secret if await store.insert_first(key, fingerprint(pepper)) else None
