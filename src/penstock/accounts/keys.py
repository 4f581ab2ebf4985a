"""Keys: what they look like, how they are made and how one is recognised.

    pen_ a1B2c3D4 ................................ 00xY9z
         id       secret, 32 characters            CRC-32 of what stands before it

The prefix lets secret scanners find a key, the checksum tells a mistyped key from a revoked one without asking
anybody; both as GitHub does it (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/).
Only a keyed hash (BLAKE2b with a pepper) of a key is kept, so looking it up leaks nothing by its timing, and what is
stored is of no use without the pepper. 32 characters are 190 random bits: no slow hash is needed.
"""

import hashlib
import string
import zlib
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from penstock.core.errors import ClientFault, ErrorInfo
from penstock.core.secret import Secret

PREFIX = "pen_"
ID_LENGTH = 8
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6
"""62**6 is the first power of 62 above 2**32."""

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase

FIRST_KEY_NAME = "first"

STATIC = "config:"
"""What the ids of keys from the config begin with."""


class Budget(Struct, frozen=True):
    """How much a key may use up.

    Attributes:
        limit: nano-dollars or tokens.
        unit: which of the two.
        period: how long it has to last; days and months are those of UTC.
    """

    limit: int
    unit: Literal["usd", "tokens"]
    period: Literal["day", "month", "total"]


class Limits(Struct, frozen=True):
    """How fast a key may use things up. None: as fast as it likes.

    Attributes:
        requests_per_minute: requests begun.
        tokens_per_minute: tokens of requests and answers together.
        streams: requests under way at once, streamed or not.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    streams: int | None = None


class Key(Struct, frozen=True):
    """A key that was recognised, and what it may do.

    Attributes:
        id: stands in a generated key itself, `config:<name>` for one of the config; may be shown and logged.
        name: for people.
        models: globs of the model names that it may ask for.
        limits: how fast.
        budget: how much; None is without end.
        expires: Unix time in seconds from which on it is refused; None is never.
        networks: in CIDR notation, where it may be used from; none means anywhere.
        labels: what its owner says about it.
    """

    id: str
    name: str
    models: tuple[str, ...] = ("*",)
    limits: Limits = Limits()
    budget: Budget | None = None
    expires: int | None = None
    networks: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}


class StaticKey(Struct, frozen=True):
    """A key from the config; any text will do. `grants` is what it may do: everything, if nothing is said."""

    name: str
    key: Secret
    grants: Key | None = None

    def granted(self) -> Key:
        """Return what it is recognised as."""
        return self.grants or Key(f"{STATIC}{self.name}", self.name)


def generate(randbelow: Callable[[int], int], id_: str = "") -> Secret:
    """Return a new key, or a new secret for the key with an id.

    `randbelow(n)` returns a random number below n, such as `secrets.randbelow`.
    """
    missing = ID_LENGTH + SECRET_LENGTH - len(id_)
    body = id_ + "".join(ALPHABET[randbelow(len(ALPHABET))] for _ in range(missing))
    return Secret(f"{PREFIX}{body}{_checksum(body)}")


def id_of(key: Secret) -> str:
    """Return the part of a generated key that may be shown."""
    return key.reveal()[len(PREFIX) : len(PREFIX) + ID_LENGTH]


def well_formed(text: str) -> bool:
    """Whether `text` has the form of a generated key and its checksum is right."""
    if not text.isascii():
        return False
    body = text[len(PREFIX) : -CHECKSUM_LENGTH]
    return text.startswith(PREFIX) and len(body) == ID_LENGTH + SECRET_LENGTH and text.endswith(_checksum(body))


def digest_of(pepper: bytes, secret: str) -> str:
    """Return the hexadecimal keyed hash of a key."""
    # RFC 7693. As strong a MAC as HMAC-SHA-256 is, and a quarter of its cost, which every request pays.
    return hashlib.blake2b(secret.encode("utf-8", "surrogateescape"), key=pepper, digest_size=32).hexdigest()


def fingerprint(pepper: bytes) -> int:
    """Return a number of 62 bits by which two peppers can be told apart, and which tells nothing else about them."""
    return int.from_bytes(hashlib.blake2b(b"fingerprint", key=pepper, digest_size=8).digest()) >> 2


def unknown_key(secret: str) -> ClientFault:
    """Return the fault of a key that is none of ours. It depends on its form only, not on what else we know."""
    if not secret.startswith(PREFIX):
        message = "This key was not issued by this gateway; its own keys begin with pen_ or stand in its configuration."
    elif not well_formed(secret):
        message = "The key is incomplete or mistyped: its checksum is wrong."
    else:
        message = "This key is not known to this gateway, or was revoked."
    return ClientFault(ErrorInfo("unauthenticated", message, code="invalid_api_key"))


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits: list[str] = []
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
