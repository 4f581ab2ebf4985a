"""Which item of an answer an event belongs to.

Items are known by their place in the output and by their id together. There are servers that give all items one place,
others that give them all one id, and some whose ids change from one event to the next.
"""

from collections.abc import Iterable
from typing import TypeVar, cast

from msgspec import Raw

from penstock.core.assembly import Assembler
from penstock.protocols.openai_responses import stream_wire as wire
from penstock.protocols.openai_responses.decode_items import Call, CallIds, CallKind, Message, Thoughts
from penstock.wire import payload

_Item = Message | Thoughts | Call
_ItemType = TypeVar("_ItemType", bound=_Item)

_CLASSES: dict[str, type[_Item]] = {
    "message": Message,
    "reasoning": Thoughts,
    "function_call": Call,
    "custom_tool_call": Call,
}
_NOWHERE = -1

_head = payload.ProviderDecoder(wire.ItemHead)
_item = payload.ProviderDecoder(wire.Item)


class _Entry:
    """An item that began, with the id that the server gave it first."""

    __slots__ = ("id", "item")

    def __init__(self, id_: str, item: _Item) -> None:
        self.id = id_
        self.item = item


class Output:
    """The items of one answer. All that belong to tools that the provider runs itself are left out."""

    __slots__ = ("_assembler", "_by_call_id", "_call_ids", "_entries", "_named", "_origin", "_searched")

    def __init__(self, assembler: Assembler, origin: str, token: str) -> None:
        self._assembler = assembler
        self._origin = origin
        self._call_ids = CallIds(token)
        self._entries: list[_Entry] = []
        self._named: dict[tuple[int, str], _Entry] = {}  # place and id, either may be unknown -> the latest of them
        self._by_call_id: dict[str, _Entry] = {}
        self._searched: set[str | int] = set()  # places or ids

    @property
    def empty(self) -> bool:
        """Whether no item began yet."""
        return not self._entries

    @property
    def refused(self) -> bool:
        """Whether the model declined. If it called a tool as well, it waits for the result."""
        items = [entry.item for entry in self._entries]
        called = any(isinstance(item, Call) for item in items)
        return not called and any(isinstance(item, Message) and item.refused for item in items)

    def message(self, event: wire.StreamEvent) -> Message:
        """Return the message that an event belongs to, a new one if it was never announced."""
        place, id_ = _place(event), event.item_id or ""
        return self._begun(Message, place, id_) or self._add(place, id_, Message(self._assembler))

    def thoughts(self, event: wire.StreamEvent) -> Thoughts:
        """Return the reasoning that an event belongs to, likewise."""
        place, id_ = _place(event), event.item_id or ""
        return self._begun(Thoughts, place, id_) or self._add(place, id_, Thoughts(self._assembler, self._origin))

    def call(self, event: wire.StreamEvent, kind: CallKind) -> Call:
        """Return the call that an event belongs to, likewise."""
        place, id_ = _place(event), event.item_id or ""
        return self._begun(Call, place, id_) or self._add(place, id_, Call(self._assembler, kind, self._call_ids))

    def added(self, event: wire.StreamEvent) -> bool:
        """Take the beginning of an item; return whether it is of a type that is read."""
        head = _head.decode(event.item)
        class_ = _CLASSES.get(head.type)
        if class_ is None:
            return False
        place, id_ = _place(event), head.id or ""
        entry = self._named.get((place, id_))
        again = entry is not None and id_ and not entry.item.over and isinstance(entry.item, class_)
        item = entry.item if entry is not None and again else self._new(head, place)
        if isinstance(item, Call):
            item.begin(_item.decode(event.item))
        return True

    def done(self, event: wire.StreamEvent) -> bool:
        """Take an item that is complete; return whether it is of a type that is read."""
        head = _head.decode(event.item)
        class_ = _CLASSES.get(head.type)
        if class_ is None:
            if _is_search(head):
                self._searched.add(head.id or _place(event))
            return False
        place = _place(event)
        item = self._begun(class_, place, head.id or "") or self._new(head, place)
        self._complete(item, _item.decode(event.item))
        return True

    def searches(self, output: Iterable[Raw]) -> int | None:
        """Return how often the provider searched the web, with the whole output if it is there; None: never."""
        return max(len(self._searched), sum(_is_search(_head.decode(raw)) for raw in output)) or None

    def all(self, output: Iterable[Raw]) -> None:
        """Take the whole output at the end of an answer: what was not said before, and the end of what was."""
        spoken = {type(entry.item) for entry in self._entries}
        for place, raw in enumerate(output):
            head = _head.decode(raw)
            class_ = _CLASSES.get(head.type)
            if class_ is None:
                continue
            item = self._seen(class_, head, place)
            # Where neither id nor place is the one that was streamed, texts are taken for those that were.
            if item is None and (class_ is Call or class_ not in spoken):
                item = self._new(head, place)
            if item is not None:
                self._complete(item, _item.decode(raw))
        for entry in self._entries:
            self._complete(entry.item, wire.Item())

    def _complete(self, item: _Item, said: wire.Item) -> None:
        if not item.over:
            item.complete(said)

    def _begun(self, class_: type[_ItemType], place: int, id_: str) -> _ItemType | None:
        """Return the item of that class that began at a place or with an id."""
        named = self._named
        entry = named.get((place, id_)) or named.get((_NOWHERE, id_)) or named.get((place, ""))
        if entry is None or not isinstance(entry.item, class_):
            return None
        another = entry.item.over and id_ and entry.id and id_ != entry.id
        return None if another else entry.item

    def _seen(self, class_: type[_Item], head: wire.ItemHead, place: int) -> _Item | None:
        """Return the item that an item of the whole output repeats."""
        names = ((place, head.id or ""), (_NOWHERE, head.id or ""), (place, ""))
        entries = [self._by_call_id.get(head.call_id or ""), *(self._named.get(name) for name in names)]
        return next((entry.item for entry in entries if entry is not None and isinstance(entry.item, class_)), None)

    def _new(self, head: wire.ItemHead, place: int) -> _Item:
        id_ = head.id or ""
        match head.type:
            case "message":
                return self._add(place, id_, Message(self._assembler))
            case "reasoning":
                return self._add(place, id_, Thoughts(self._assembler, self._origin))
            case _:
                kind: CallKind = "custom_call" if head.type == "custom_tool_call" else "tool_call"
                call = self._add(place, id_, Call(self._assembler, kind, self._call_ids))
                if head.call_id:
                    self._by_call_id.setdefault(head.call_id, self._entries[-1])
                return call

    def _add(self, place: int, id_: str, item: _ItemType) -> _ItemType:
        entry = _Entry(id_, item)
        self._entries.append(entry)
        self._named[place, id_] = self._named[place, ""] = entry
        if id_:
            self._named[_NOWHERE, id_] = entry
        return item


def _is_search(head: wire.ItemHead) -> bool:
    """Whether an item is a search of the web. To open a page, or to look for something in it, is none."""
    if head.type != "web_search_call":
        return False
    action = cast("dict[str, object]", head.action) if isinstance(head.action, dict) else {}
    return action.get("type", "search") == "search"


def _place(event: wire.StreamEvent) -> int:
    return _NOWHERE if event.output_index is None else event.output_index
