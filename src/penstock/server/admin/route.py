"""One row of the table that the admin API is made of: both its routing and its OpenAPI description."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from penstock.server.admin.desk import Desk
from penstock.server.admin.shapes import Nothing
from penstock.server.http import Response

Q = TypeVar("Q", bound=Struct)
B = TypeVar("B", bound=Struct)

Method = Literal["GET", "POST", "PATCH"]


class Asked(Struct, Generic[Q, B], frozen=True):
    """What somebody asks.

    Attributes:
        which: the name in the path, decoded; empty if the path has none.
        query: what the query says.
        body: what the body says.
        accept: the Accept header.
    """

    which: str
    query: Q
    body: B
    accept: str


class Route(Struct, Generic[Q, B], frozen=True):
    """An operation.

    Attributes:
        path: in which `{...}` stands for one part; at most one.
        handler: does it. What it returns is an `answer`, or a Response for what is not JSON.
        answer: the Struct that is answered; None for what is not JSON.
        other: the content type of another form of the answer.
        query: what the query may say.
        body: what the body may say; None if there is none.
        conflicts: whether it may be refused for what is there already.
        status: of the answer.
    """

    method: Method
    path: str
    handler: Callable[[Desk, Asked[Q, B]], Coroutine[Any, Any, Struct | Response]]
    answer: type[Struct] | None
    other: str = ""
    query: type[Q] = Nothing  # pyright: ignore[reportAssignmentType]
    body: type[B] | None = None
    conflicts: bool = False
    status: int = 200
