"""Turns that a client comes back to: by `previous_response_id`, by references to items, or to read them again.

https://platform.openai.com/docs/guides/conversation-state. Instructions are not part of a turn: a client that goes on
says them anew.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.core.errors import bad_request
from penstock.protocols.base import Inbound
from penstock.protocols.keeping import Keeping, KeptTurn, Wish
from penstock.wire.payload import client_decoder, encode, items_of
from penstock.wire.sse import SseReader

DEFAULT_PAGE = 20
MAX_PAGE = 100
"""Items in a page of input items, as upstream."""

_TERMINAL = frozenset({"response.completed", "response.incomplete"})
_KEPT_STATUS = frozenset({"completed", "incomplete"})


class _Asked(Struct):
    store: bool | None = None
    previous_response_id: str | None = None


class _Item(Struct):
    type: str = "message"
    id: str | None = None


class _Response(Struct):
    id: str = ""
    status: str = ""
    output: list[msgspec.Raw] = []


class _StreamEnd(Struct):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw(b"null")


_asked = client_decoder(_Asked)
_text = client_decoder(str)
_items = client_decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(_Item).decode
_members = msgspec.json.Decoder(dict[str, Any]).decode
_response = msgspec.json.Decoder(_Response).decode
_stream_end = msgspec.json.Decoder(_StreamEnd).decode


def wish(inbound: Inbound) -> Wish:
    """Return what a request wants of what is kept. Upstream keeps what nobody forbids to keep.

    Raises:
        ClientFault: `store` or `previous_response_id` is of the wrong type.
    """
    fields = inbound.fields
    asked = _asked.decode(encode({name: fields[name] for name in ("store", "previous_response_id") if name in fields}))
    items = fields.get("input", msgspec.Raw(b"null"))
    named = tuple(_references(_own_items(inbound))) if b'"item_reference"' in bytes(items) else ()
    return Wish(asked.store is not False, asked.previous_response_id or None, named)


def continued(inbound: Inbound, earlier: Sequence[KeptTurn], others: Sequence[KeptTurn]) -> Inbound:
    """Return the request with all that came before it in `input`.

    Raises:
        ClientFault: it names an item that is in none of the turns.
    """
    before = [item for turn in earlier for item in _items_of(turn)]
    present = {id_ for item in before if (id_ := _id_of(item))}
    known = {id_: item for turn in others for item in _items_of(turn) if (id_ := _id_of(item))}
    items: list[msgspec.Raw] = []
    for index, item in enumerate(_own_items(inbound)):
        id_ = _reference(item)
        if id_ is None:
            items.append(item)
        elif id_ not in present:  # one that is in the history already is not said twice
            if id_ not in known:
                raise bad_request(f"Item with id '{id_[:100]}' not found.", param=f"input[{index}].id")
            items.append(known[id_])
    fields = {name: value for name, value in inbound.fields.items() if name != "previous_response_id"}
    fields["input"] = msgspec.Raw(encode(before + items))
    return msgspec.structs.replace(inbound, fields=fields, body=encode(fields))


def turn(inbound: Inbound, wished: Wish, last: bytes) -> KeptTurn | None:
    """Return the turn that a request and the last bytes of its answer make; None if the answer is not complete."""
    body = last if last.startswith(b"{") else _streamed(last)
    if body is None:
        return None
    response = _response(body)
    if response.status not in _KEPT_STATUS or not response.id:
        return None
    own = [item for item in _own_items(inbound) if _reference(item) is None]
    ids = tuple(dict.fromkeys(id_ for item in (*own, *response.output) if (id_ := _id_of(item))))
    return KeptTurn(response.id, wished.previous, encode(own), bytes(body), ids)


def write_input(turns: Sequence[KeptTurn], query: Mapping[str, str]) -> bytes:
    """Return the page of input items that `after`, `limit` and `order` ask for; the newest come first by default.

    The input of a turn is everything that the model was given: also the turns before it, with their answers.

    Raises:
        ClientFault: a parameter cannot be used.
    """
    *earlier, last = turns
    items = [item for turn_ in earlier for item in _items_of(turn_)] + items_of(last.input)
    listed = [_listed(item, last.id, index) for index, item in enumerate(items)]
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise bad_request("`order` must be asc or desc.", param="order")
    if order == "desc":
        listed.reverse()
    if after := query.get("after"):
        positions = [index for index, item in enumerate(listed) if item["id"] == after]
        if not positions:
            raise bad_request(f"There is no input item '{after[:100]}'.", param="after")
        listed = listed[positions[0] + 1 :]
    limit = _limit(query.get("limit", str(DEFAULT_PAGE)))
    page = listed[:limit]
    return encode(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(listed) > limit,
        }
    )


def write_deleted(id_: str) -> bytes:
    """Return the confirmation that a response is gone."""
    return encode({"id": id_, "object": "response", "deleted": True})


def _streamed(data: bytes) -> msgspec.Raw | None:
    """Return the response object in the terminal event of the last bytes of a stream."""
    reader = SseReader()
    for frame in (*reader.feed(data), *reader.close()):
        if frame.event in _TERMINAL or (not frame.event and frame.data and b'"response.' in frame.data):
            end = _stream_end(frame.data or b"{}")
            if end.type in _TERMINAL:
                return end.response
    return None


def _own_items(inbound: Inbound) -> list[msgspec.Raw]:
    raw = inbound.fields.get("input")
    if raw is None or bytes(raw) == b"null":
        return []
    if bytes(raw).startswith(b'"'):
        text = _text.decode(raw, at="input")
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        return [msgspec.Raw(encode(message))]
    return _items.decode(raw, at="input")


def _items_of(turn_: KeptTurn) -> Iterator[msgspec.Raw]:
    yield from items_of(turn_.input)
    yield from _response(turn_.response).output


def _references(items: Iterable[msgspec.Raw]) -> Iterator[str]:
    return (id_ for item in items if (id_ := _reference(item)))


def _reference(item: msgspec.Raw) -> str | None:
    """Return the id that an item names if it is a mere reference."""
    if b"item_reference" not in bytes(item):
        return None
    try:
        read = _item(item)
    except msgspec.DecodeError:
        return None
    return read.id if read.type == "item_reference" else None


def _id_of(item: msgspec.Raw) -> str | None:
    try:
        return _item(item).id or None
    except msgspec.DecodeError:
        return None


def _listed(item: msgspec.Raw, response_id: str, index: int) -> dict[str, Any]:
    """Return an item as lists show it: with a type, an id, and its content in parts."""
    try:
        members = _members(item)
    except msgspec.DecodeError:  # not an object: upstream has said what it thinks of that
        members = {"type": "unknown"}
    listed: dict[str, Any] = {"type": "message", "id": f"item_{response_id.removeprefix('resp_')}_{index}", **members}
    if isinstance(listed.get("content"), str):
        kind = "output_text" if listed.get("role") == "assistant" else "input_text"
        listed["content"] = [{"type": kind, "text": listed["content"]}]
    return listed


def _limit(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(MAX_PAGE)) or not 1 <= int(text) <= MAX_PAGE:
        raise bad_request(f"`limit` must be a number from 1 to {MAX_PAGE}.", param="limit")
    return int(text)


KEEPING = Keeping(wish=wish, continued=continued, turn=turn, write_input=write_input, write_deleted=write_deleted)
