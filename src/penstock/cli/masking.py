"""What keeps secrets out of the log: by their text those that the process knows, and by its shape what looks like one.

mask = Masking()
mask.learn(secrets_of(config, environ))
mask.words(text)      what others said: also what looks like a credential
mask.line(rendered)   a line as it is written: exactly the secrets that are known, wherever they stand
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import structlog
from msgspec import Struct

from penstock.config import Config
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.upstreams.redact import MIN_SECRET, mask_keys, spellings

_MASK = "[key]"

_log = structlog.get_logger("penstock.config")

_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@\"']*):[^/\s@\"']+@")


class Masking:
    """State: the secrets that were learned so far. None is forgotten: one that was replaced may still be used."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._spellings: tuple[tuple[str, bytes], ...] = ()

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these from now on; a text of fewer than eight characters is in too many words. Threads may call it."""
        known = self._known.union(secrets)
        if known != self._known:
            self._known = known
            self._spellings = tuple((spelling, spelling.encode()) for spelling in spellings(known))

    def line(self, rendered: str | bytes) -> str | bytes:
        """Return a line without the secrets that are known, in whatever spelling of JSON or URLs they stand in it."""
        if isinstance(rendered, bytes):
            for _, spelling in self._spellings:
                if spelling in rendered:
                    rendered = rendered.replace(spelling, _MASK.encode())
            return rendered
        for spelling, _ in self._spellings:
            rendered = rendered.replace(spelling, _MASK)
        return rendered

    def words(self, text: str) -> str:
        """Return what others said without secrets that are known, and without what looks like a credential."""
        known = cast("str", self.line(text))
        masked = mask_keys(known.encode("utf-8", "backslashreplace")).decode()
        return _URL_PASSWORD.sub(rf"\1:{_MASK}@", masked)


def masked_by(mask: Masking, config: Config, environ: Mapping[str, str]) -> Config:
    """Return a configuration whose secrets no line of the log will show, but for those too short for that."""
    mask.learn(secrets_of(config, environ))
    return config


def tell_short_secrets(config: Config, environ: Mapping[str, str]) -> None:
    """Say in the log which secrets are too short to be masked there."""
    for where in short_secrets(config, environ):
        _log.warning("secret_too_short", where=where, says=f"fewer than {MIN_SECRET} characters are not masked in logs")


def short_secrets(config: Config, environ: Mapping[str, str]) -> list[str]:
    """Return where secrets stand that are too short to be looked for by their text, each once."""
    found: dict[str, str] = {}
    for where, secret in _held_by(_holding(config, environ), ""):
        text = secret.reveal()
        for short in (text, *_passwords(text)):
            if 0 < len(short) < MIN_SECRET:
                found.setdefault(short, where.lstrip("."))
    return list(dict.fromkeys(found.values()))


def secrets_of(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield every secret that a configuration and the environment give the gateway, and the passwords in its URLs."""
    for _, secret in _held_by(_holding(config, environ), ""):
        text = secret.reveal()
        yield text
        yield from _passwords(text)


def _holding(config: Config, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what holds secrets, by what it is called where one is told of."""
    held: dict[str, Any] = {"": config}
    with contextlib.suppress(ConfigError):  # whoever uses it says what is wrong with it
        held["providers"] = config.catalog(environ, "http://127.0.0.1:1").providers
    return held


def _held_by(value: object, where: str) -> Iterator[tuple[str, Secret]]:
    """Yield all secrets in a value, however deep, and where: no field has to be named here to be masked."""
    match value:
        case Secret():
            yield where, value
        case Struct():
            for field in value.__struct_fields__:
                yield from _held_by(getattr(value, field), f"{where}.{field}")
        case Mapping():
            for name, entry in cast("Mapping[object, object]", value).items():
                yield from _held_by(entry, f"{where}.{name}" if name else where)
        case Sequence() if not isinstance(value, str | bytes):
            for entry in cast("Sequence[object]", value):
                yield from _held_by(entry, f"{where}.{getattr(entry, 'name', '')}".rstrip("."))
        case _:
            pass


def _passwords(text: str) -> Iterator[str]:
    """Yield the password in a URL, as it stands there and as it is meant."""
    with contextlib.suppress(ValueError):
        password = urlsplit(text).password if "://" in text else None
        if password:
            yield password
            yield unquote(password)
