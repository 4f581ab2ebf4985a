"""From a provider's events to those the client asked for.

What a provider could not be told as the client said it was told otherwise (`Outbound`), and is undone here, once, for
streamed and whole answers: free-text tools that became functions, names of tools, stop sequences. On the way, what
stands before calls of tools is remembered. An answer that needs none of this does not come through here.
"""

from collections.abc import Callable

from penstock.core.custom_calls import CustomCalls
from penstock.core.events import Event, PartStart
from penstock.core.stop_sequences import StopSequences
from penstock.gateway.attempt import Attempt
from penstock.gateway.call import Call
from penstock.gateway.record import Record
from penstock.gateway.seals import SealCache
from penstock.protocols.base import Decoder, Outbound
from penstock.wire.sse import Frame

Step = Callable[[list[Event]], list[Event]]


class Adaptation:
    """State of one answer: the steps that its events go through, in their order."""

    def __init__(self, outbound: Outbound, watch: Step | None = None, stops: StopSequences | None = None) -> None:
        """Make the steps that a request needs.

        Args:
            outbound: as the provider was asked.
            watch: a further step, before all others.
            stops: what looks for stop sequences, where somebody does so already.
        """
        self._steps: list[Step] = [] if watch is None else [watch]
        if outbound.custom_tools:
            self._steps.append(CustomCalls(outbound.custom_tools).feed)
        if outbound.tool_names:
            self._steps.append(_Names(outbound.tool_names).feed)
        self.stops = stops
        if stops is None and outbound.stop and (sequences := tuple(one for one in outbound.stop if one)):
            self.stops = StopSequences(sequences)
        if self.stops is not None:
            self._steps.append(self.stops.feed)

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._steps)

    def feed(self, events: list[Event]) -> list[Event]:
        """Return the events as the client asked for them."""
        for step in self._steps:
            events = step(events)
        return events


def adaptation(call: Call, attempt: Attempt, seals: SealCache, stops: StopSequences | None = None) -> Adaptation:
    """Return what the answer to an attempt goes through; `stops` looks for stop sequences where somebody does so."""
    watch = seals.watch(call.key.id, attempt.provider.name).feed if attempt.may_call else None
    return Adaptation(attempt.outbound, watch, stops)


class AdaptedDecoder:
    """A provider's decoder whose events are adapted. It ends the answer itself where a stop sequence comes."""

    def __init__(self, decoder: Decoder, adaptation: Adaptation, record: Record, choices: int) -> None:
        """Adapt what `decoder` says; `choices` is how many answers there are to be, one behind the other."""
        self._decoder = decoder
        self._feed = adaptation.feed
        self._record = record
        self._stops = adaptation.stops if choices == 1 else None  # other choices come behind the first

    @property
    def ended(self) -> bool:
        """Whether the answer is over, or cut."""
        return self._decoder.ended or self._record.cut

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings.

        Raises:
            UpstreamFault: the payload cannot be understood.
        """
        return [] if self._record.cut else self._adapted(self._decoder.decode(frame))

    def close(self) -> list[Event]:
        """Return the last events at the end of the body."""
        return [] if self._record.cut else self._adapted(self._decoder.close())

    def _adapted(self, brought: list[Event]) -> list[Event]:
        events = self._feed(brought) if brought else brought
        stops = self._stops
        if stops is not None and stops.cut and not self._decoder.ended:
            events.append(stops.finish)
            self._record.cut = True
        return events


class _Names:
    """Names of tools that had to be changed for the provider, and what the client calls them."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def feed(self, events: list[Event]) -> list[Event]:
        return [self._renamed(event) for event in events]

    def _renamed(self, event: Event) -> Event:
        if isinstance(event, PartStart) and event.name in self._names:
            return PartStart(event.index, event.kind, event.id, self._names[event.name])
        return event
