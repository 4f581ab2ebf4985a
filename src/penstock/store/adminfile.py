"""The file in the data directory that knows the admin token: its keyed hash, readable by its owner only."""

from pathlib import Path

import msgspec
from msgspec import Struct

from penstock.core.errors import ConfigError
from penstock.store import files


class AdminRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """`digest` is the hexadecimal keyed hash of the token, `created` Unix time in seconds."""

    digest: str
    created: int


class AdminFile:
    """The file. The directory is made when the file is."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "admin.json"

    def load(self) -> AdminRecord | None:
        """Return what is known of the token; None if there has never been one.

        Raises:
            ConfigError: the file is damaged or cannot be read.
        """
        stored = files.read(self._path)
        if stored is None:
            return None
        try:
            return msgspec.json.decode(stored, type=AdminRecord)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            told = f"{self._path}: damaged ({error}); make a new token with `penstock admin token`"
            raise ConfigError(told) from None

    def claim(self, record: AdminRecord) -> bool:
        """Write the first record; return False if there is one. Of several processes that try at once, one does.

        Raises:
            ConfigError: the file cannot be written.
        """
        return files.claim(self._path, msgspec.json.encode(record))

    def replace(self, record: AdminRecord) -> None:
        """Write a record in place of the one there was.

        Raises:
            ConfigError: the file cannot be written.
        """
        with files.written(self._path, msgspec.json.encode(record)) as fresh:
            fresh.replace(self._path)
