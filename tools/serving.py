"""Serve a recorded stream as the gateway would: the real relay, without sockets."""

from typing import NamedTuple

from penstock.core.errors import ErrorInfo
from penstock.gateway.record import Record
from penstock.gateway.relay import Passthrough, Relay, Translation, Writer
from penstock.protocols.base import EXTENSIONS, Encoder
from penstock.protocols.registry import PROTOCOLS
from tools.replay import ORIGIN, REPLY, TOKEN


class Served(NamedTuple):
    """The HTTP answer a client gets."""

    status: int
    content_type: str
    body: bytes


def translated(body: bytes, upstream: str, client: str) -> Served:
    """Return what a client gets whose protocol is another one, or whose own is normalised."""
    return _served(body, upstream, client, passthrough=False)


def passed_through(body: bytes, protocol: str) -> Served:
    """Return what a client gets whose protocol is the provider's own."""
    return _served(body, protocol, protocol, passthrough=True)


def _served(body: bytes, upstream: str, client: str, *, passthrough: bool) -> Served:
    record = Record()
    options = frozenset({EXTENSIONS}) if upstream == client and not passthrough else frozenset[str]()

    def encoder() -> Encoder:
        return PROTOCOLS[client].encoder(REPLY)

    def translation() -> Writer:
        return Translation(encoder(), record, REPLY.input_estimate)

    writer = Passthrough(encoder, None) if passthrough else translation()
    decoder = PROTOCOLS[upstream].decoder(ORIGIN, TOKEN, options)
    relay = Relay(decoder, writer, record, _as_it_is, translation)
    sent = relay.feed(body)
    sent += b"" if relay.ended else relay.close()
    if record.error is not None and not record.begun:  # the point of no return was not reached
        status, error = PROTOCOLS[client].write_error(record.error, "request-id")
        return Served(status, "application/json", error)
    return Served(200, "text/event-stream", sent)


def _as_it_is(info: ErrorInfo) -> ErrorInfo:
    return info
