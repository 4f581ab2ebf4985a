"""What a Responses client asks (section 4.1 of docs/protocols.md).

The rule: what the middle model has no place for is refused where it would change the answer, and named in
`Ask.dropped` where it is a hint. Earlier answers are looked up before a request comes here: one that still refers to
something stored is refused. Whether an answer is stored is not this module's business either.
"""

from collections.abc import Mapping

from penstock.core.errors import bad_request
from penstock.core.request import Ask, OutputFormat, ReasoningAsk, Text, Turn
from penstock.protocols.base import Inbound, PathTarget
from penstock.protocols.conversation import settle
from penstock.protocols.dropped import Dropped, unread
from penstock.protocols.openai_refused import Refused, refuse
from penstock.protocols.openai_responses import request_wire as wire
from penstock.protocols.openai_responses.read_items import read_input
from penstock.protocols.openai_responses.read_tools import read_choice, read_tools
from penstock.protocols.tools import settle_choice
from penstock.wire.payload import client_decoder, parse_object

_opening = client_decoder(wire.Opening)
_request = client_decoder(wire.Request)

_LOGPROBS = "message.output_text.logprobs"
_GIVEN = frozenset({"reasoning.encrypted_content", _LOGPROBS})
"""What `include` may ask for, and gets."""

_REFUSED: Refused = {
    "previous_response_id": (frozenset(), "send the whole conversation as `input`"),
    "conversation": (frozenset(), "send the whole conversation as `input`"),
    "prompt": (frozenset(), "send its text as `instructions`"),
    "background": (frozenset({b"false"}), "leave it out and read the stream"),
    "moderation": (frozenset(), "leave it out"),
}
_READ = frozenset({*wire.Opening.__struct_fields__, *wire.Request.__struct_fields__, *_REFUSED})


def open_request(body: bytes, target: PathTarget | None, headers: Mapping[str, str]) -> Inbound:
    """Open the envelope of a request; the path says nothing that the body does not say.

    Raises:
        ClientFault: the body is not an acceptable JSON object, or `model` or `stream` is not what it should be.
    """
    del target
    fields = parse_object(body)
    if "model" not in fields:
        raise bad_request("`model` is missing: name the model to ask, as `provider/model`.", param="model")
    opening = _opening.decode(body)
    return Inbound(body, fields, opening.model, bool(opening.stream), headers=headers)


def read_request(inbound: Inbound) -> Ask:
    """Return what the client means.

    Raises:
        ClientFault: the request is malformed, or asks for what cannot be expressed in another protocol.
    """
    refuse(inbound.fields, _REFUSED)
    if "input" not in inbound.fields:
        raise bad_request("`input` is missing: a text or a list of items is needed.", param="input")
    request = _request.decode(inbound.body)
    dropped = Dropped()
    dropped.add(*unread(inbound.fields, _READ))
    _drop_hints(request, dropped)
    tools = read_tools(request.tools or (), dropped)
    choice = read_choice(request.tool_choice, tools, dropped)
    spec = request.text or wire.TextSpec()
    return Ask(
        model=inbound.model,
        turns=_turns(request, dropped),
        stream=inbound.stream,
        tools=tools,
        tool_choice=settle_choice(choice, tools, "tool_choice", dropped),
        parallel_tool_calls=request.parallel_tool_calls if tools else None,
        max_output=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        reasoning=_reasoning(request.reasoning),
        output_format=_output_format(spec),
        verbosity=spec.verbosity,
        user=request.safety_identifier or request.user,
        logprobs=(request.top_logprobs or 0) if _LOGPROBS in (request.include or ()) else None,
        service_tier=request.service_tier,
        cache_key=request.prompt_cache_key,
        metadata=request.metadata or {},
        dropped=dropped.names,
    )


def _drop_hints(request: wire.Request, dropped: Dropped) -> None:
    """Note the hints inside of fields that are read."""
    include = request.include or ()
    dropped.add(*(f"include[{wanted}]" for wanted in include if wanted not in _GIVEN))
    if request.top_logprobs and _LOGPROBS not in include:
        dropped.add("top_logprobs")
    if request.truncation == "auto":
        dropped.add("truncation")
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        dropped.add("stream_options.include_obfuscation")
    if request.reasoning is not None:
        dropped.add_given({f"reasoning.{name}": getattr(request.reasoning, name) for name in ("context", "mode")})


def _turns(request: wire.Request, dropped: Dropped) -> tuple[Turn, ...]:
    instructions = [Turn("system", (Text(request.instructions),))] if request.instructions else []
    return settle(read_input(request.input, dropped), "input", instructions)


def _reasoning(spec: wire.ReasoningSpec | None) -> ReasoningAsk | None:
    """Return how to think. Whoever names a kind of summary wants to see the thoughts; nobody can ask not to."""
    if spec is None:
        return None
    show = True if spec.summary or spec.generate_summary else None
    return None if spec.effort is None and show is None else ReasoningAsk(spec.effort, show=show)


def _output_format(spec: wire.TextSpec) -> OutputFormat | None:
    match spec.format:
        case wire.JsonFormat():
            return OutputFormat()
        case wire.SchemaFormat(name=name, schema=schema, description=description, strict=strict):
            return OutputFormat(schema, name, description, strict)
        case _:
            return None
