"""What can go wrong, and whose fault it is.

    Fault                       carries an ErrorInfo; every protocol knows how to spell it
    ├── ClientFault             ours to refuse: the request as it stands can never succeed; never retried
    └── UpstreamFault           theirs: a provider failed; another attempt may succeed
    ConfigError                 the operator's to mend; the gateway does not start

An `ErrorKind` is the protocol-neutral name of a condition. Each protocol's `errors.py` has the table from kind to
status and wording (section 7.1 of docs/protocols.md); nothing else in the gateway knows a status by heart.
"""

from typing import Literal

from msgspec import Struct

ErrorKind = Literal[
    "invalid_request",  # malformed, unsupported or untranslatable
    "unauthenticated",  # no key, or one that we did not issue
    "billing",  # no credit left
    "forbidden",  # this key may not do this
    "not_found",  # no such path or object
    "model_not_found",  # no such model
    "method_not_allowed",
    "conflict",  # it contradicts a request before it
    "gone",  # it was there, and is no more
    "too_large",  # the body exceeds the limit
    "unsupported_media",  # the body is encoded or typed in a way we do not read
    "rate_limited",
    "upstream_error",  # the provider failed, or answered something that cannot be understood
    "overloaded",  # the provider has no capacity at the moment
    "timeout",  # the provider took too long
    "stream_incomplete",  # the stream ended before the answer did
    "internal",  # a defect of the gateway
]


class ErrorInfo(Struct, frozen=True):
    """An error as every protocol can express it.

    Attributes:
        kind: the condition.
        message: one line for a person: what, where, and the next step. Safe to show to the caller.
        param: the request field at fault, as a path in the client's own body (`messages[0].role`).
        code: a machine-readable code that the provider gave; protocols that have codes prefer it to their own.
        retry_after: seconds after which a retry makes sense.
        should_retry: what the provider said about retrying, if it did.
    """

    kind: ErrorKind
    message: str
    param: str | None = None
    code: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None


MAX_RETRY_AFTER = 60.0
"""Seconds; the longest wait that a client is told: one SDK sleeps as long as it is told, weeks if need be."""


class Fault(Exception):  # noqa: N818 - a fault is somebody's; "error" is the wire's word
    """Base of both families. `info` is what the caller is told."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message)
        self.info = info


class ClientFault(Fault):
    """The request cannot be served as it stands. Answered with a 4xx; never retried, never failed over."""


class MalformedRequest(ClientFault):
    """A value in the body is missing or of the wrong type: no provider could make anything of it."""


class UpstreamFault(Fault):
    """A provider failed. May be retried elsewhere as long as nothing has reached the client."""


class ConfigError(Exception):
    """What the operator gave cannot be used. One line: the file or variable, the path in it, and what to do."""


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ClientFault:
    """Return the fault of a request that is malformed or cannot be expressed; `param` says where."""
    return ClientFault(ErrorInfo("invalid_request", message, param=param, code=code))


def upstream_error(message: str, code: str | None = None) -> UpstreamFault:
    """Return the fault of a provider whose answer cannot be understood."""
    return UpstreamFault(ErrorInfo("upstream_error", message, code=code))
