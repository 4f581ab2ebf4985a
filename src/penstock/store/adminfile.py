"""The file in the data directory that knows the admin token: its keyed hash, readable by its owner only."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import msgspec
from msgspec import Struct

from penstock.core.errors import ConfigError


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
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=AdminRecord)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            told = f"{self._path}: damaged ({error}); make a new token with `penstock admin token`"
            raise ConfigError(told) from None
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from None

    def claim(self, record: AdminRecord) -> bool:
        """Write the first record; return False if there is one. Of several processes that try at once, one does.

        Raises:
            ConfigError: the file cannot be written.
        """
        with self._written(record) as fresh:
            try:
                os.link(fresh, self._path)
            except FileExistsError:
                return False
            return True

    def replace(self, record: AdminRecord) -> None:
        """Write a record in place of the one there was.

        Raises:
            ConfigError: the file cannot be written.
        """
        with self._written(record) as fresh:
            fresh.replace(self._path)

    @contextlib.contextmanager
    def _written(self, record: AdminRecord) -> Generator[Path]:
        """Write a whole file beside the path, for the caller to put it there."""
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(record))
                file.flush()
                os.fsync(file.fileno())
            yield fresh
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink()
