"""Which tool call a fragment belongs to. Servers number calls in many ways (section 10 of docs/protocols.md).

- No index: the call with this id, else a new one where a name arrives, else the last.
- A known index with another id and a name: a new call. Some servers number all calls 0.
- A name or id that is said again with every fragment is the same call, as long as its arguments are incomplete.
"""

from penstock.core.assembly import Assembler
from penstock.core.events import PartKind
from penstock.protocols.openai_chat import wire
from penstock.wire import payload


class _Call:
    """One call: `id` and `name` as the server gave them so far."""

    __slots__ = ("held", "id", "key", "name")

    def __init__(self, key: int, id: str) -> None:  # noqa: A002
        self.key = key
        self.id = id
        self.name = ""
        self.held: list[str] = []  # arguments that came before the name


class ToolCalls:
    """The tool calls of one answer, reported to its assembler."""

    __slots__ = ("_assembler", "_by_id", "_by_index", "_count", "_ids", "_last", "_origin", "_token")

    def __init__(self, assembler: Assembler, origin: str, token: str) -> None:
        self._assembler = assembler
        self._origin = origin
        self._token = token
        self._by_index: dict[int, _Call] = {}  # the latest with that index
        self._by_id: dict[tuple[int | None, str], _Call] = {}
        self._last: _Call | None = None
        self._ids: set[str] = set()
        self._count = 0

    def read(self, fragment: wire.ToolCallDelta) -> bool:
        """Report one fragment; return whether it begins a call."""
        id, (name, arguments) = fragment.id or "", _content(fragment)  # noqa: A001
        call = self._find(fragment.index, id, name) or self._new(fragment.index, id)
        self._last = call
        begins = bool(name and not call.name)
        if begins:
            self._begin(call, name, fragment)
        if arguments and call.name:
            self._assembler.arguments(call.key, arguments)
        elif arguments:
            call.held.append(arguments)
        return begins

    def _find(self, index: int | None, id: str, name: str) -> _Call | None:  # noqa: A002
        if id and (index, id) in self._by_id:
            return self._by_id[index, id]
        call = self._last if index is None else self._by_index.get(index)
        if call is None or not name or not call.name:
            return call
        if id and call.id:
            return None
        repeated = name == call.name and not self._assembler.complete(call.key)
        return call if repeated else None

    def _new(self, index: int | None, id: str) -> _Call:  # noqa: A002
        call = _Call(self._count, id)
        self._count += 1
        if index is not None:
            self._by_index[index] = call
        if id:
            self._by_id[index, id] = call
            self._by_id.setdefault((None, id), call)
        return call

    def _begin(self, call: _Call, name: str, fragment: wire.ToolCallDelta) -> None:
        call.name = name
        call.id = call.id or fragment.id or ""
        public = call.id
        if not public or public in self._ids:  # ids must tell calls apart, whatever the server thinks
            public = f"call_{self._token}_{call.key}"
        self._ids.add(public)
        if fragment.extra_content:
            self._assembler.seal_beside(self._origin, payload.json_text(fragment.extra_content), "tool_call")
        kind: PartKind = "tool_call" if fragment.custom is None else "custom_call"
        self._assembler.tool(call.key, public, name, kind)
        for arguments in call.held:
            self._assembler.arguments(call.key, arguments)


def _content(fragment: wire.ToolCallDelta) -> tuple[str, str]:
    """Return what a fragment says of the name and of the arguments, or of the text that a custom tool is given."""
    if fragment.custom is not None:
        return fragment.custom.name or "", fragment.custom.input or ""
    function = fragment.function
    if function is None:
        return "", ""
    arguments = function.arguments or ""
    if isinstance(arguments, dict):
        arguments = payload.json_text(arguments)
    return function.name or "", arguments
