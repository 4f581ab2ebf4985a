"""What a protocol says of answers that a client may come back to, instead of sending the conversation again.

Of the four protocols only Responses has this. The gateway keeps the turns itself, for every provider, and puts them
back into the request before anything else looks at it: what is sent upstream is a whole conversation again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from penstock.core.errors import ErrorInfo

if TYPE_CHECKING:
    from penstock.protocols.base import Inbound, Reply


class KeptTurn(Struct, frozen=True):
    """One question and its answer.

    Attributes:
        id: of the answer, as the client knows it.
        previous: id of the turn before it.
        input: what the client put in, as a JSON array of items, without what came in with earlier turns.
        response: the response object, as JSON.
        item_ids: ids of items in `input` and `response` by which clients may name them later.
    """

    id: str
    previous: str | None
    input: bytes
    response: bytes
    item_ids: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that count for limits."""
        return len(self.input) + len(self.response)


class Wish(Struct, frozen=True):
    """What a request wants of what is kept.

    Attributes:
        keep: whether its own turn is to be kept.
        previous: id of the turn that it continues.
        items: ids of earlier items that it names without sending them.
    """

    keep: bool
    previous: str | None = None
    items: tuple[str, ...] = ()


class Keeping(Struct, frozen=True):
    """How a protocol's turns are kept and put back. Pure functions.

    Attributes:
        wish: what a request wants. Raises ClientFault.
        continued: the request with the turns before it, the oldest first, and with the items that it names, found in
            the further turns. Raises ClientFault for an item that is in none of them.
        turn: the turn that a request and the last bytes of its answer, streamed or whole, make; None if they hold no
            complete answer.
        write_input: the JSON page of all items that went into the last of some turns; takes the query parameters too.
            Raises ClientFault.
        write_deleted: the JSON that confirms that an answer is gone.
    """

    wish: Callable[["Inbound"], Wish]
    continued: Callable[["Inbound", Sequence[KeptTurn], Sequence[KeptTurn]], "Inbound"]
    turn: Callable[["Inbound", Wish, bytes], KeptTurn | None]
    write_input: Callable[[Sequence[KeptTurn], Mapping[str, str]], bytes]
    write_deleted: Callable[[str], bytes]


class Background(Struct, frozen=True):
    """How a protocol has answers that nobody waits for. Pure functions.

    Attributes:
        wish: the request as it is served, streamed, if it asks for that; else None. Raises ClientFault.
        id_of: the id of the answer, made of a random token.
        unfinished: the JSON of an answer that has no content, for a status and the error that it may have.
        outcome: the JSON of the answer that the last bytes of a stream hold, if they do.
        given_id: the id that a provider gave to its answer, if the first bytes of a stream tell.
        sequence: the number that an event says it has, if it does.
    """

    wish: Callable[["Inbound"], "Inbound | None"]
    id_of: Callable[[str], str]
    unfinished: Callable[["Reply", str, ErrorInfo | None], bytes]
    outcome: Callable[[bytes], bytes | None]
    given_id: Callable[[bytes], str | None]
    sequence: Callable[[bytes], int | None]
