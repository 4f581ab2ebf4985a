"""The OpenAPI description: complete, and true of the API that runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from penstock.server.admin.openapi import describe
from penstock.server.admin.routes import ROUTES
from tests.server.admin.administering import BASE, TOKEN, Admin, administering

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    missing_required_header,
    ignored_auth,
]

SETTINGS = hypothesis.settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)

OPERATIONS = {(route.method, route.path) for route in ROUTES}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with anyio.from_thread.start_blocking_portal("asyncio") as portal:
        with portal.wrap_async_context_manager(administering(tmp_path_factory.mktemp("admin"))) as admin:
            portal.call(fill, admin)
            yield admin.address


async def fill(admin: Admin) -> None:
    await admin.ask("POST", "/keys", {"name": "ci", "budget": {"usd": "1", "per": "day"}, "expires": "2099-01-01"})
    await admin.ask("POST", "/keys", {"name": "batch", "budget": {"tokens": 1000, "per": "total"}})


@pytest.fixture(scope="module")
def schema(address: str) -> Any:
    return schemathesis.openapi.from_url(
        f"{address}{BASE}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}, wait_for_schema=5
    )


def test_every_operation_is_described(schema: Any) -> None:
    described = {(method.upper(), path) for path, methods in schema.raw_schema["paths"].items() for method in methods}
    assert described == OPERATIONS


@pytest.mark.parametrize(("method", "path"), sorted(OPERATIONS))
def test_whatever_is_sent_the_answer_is_as_described(schema: Any, method: str, path: str) -> None:
    operation = schema[path][method]

    for strategy in (
        operation.as_strategy(),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    ):

        @SETTINGS
        @hypothesis.given(case=strategy)
        def check(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {TOKEN}"})

        check()


def test_everything_in_the_description_is_explained() -> None:
    described = describe(ROUTES)
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert operation["summary"].endswith("."), path
            assert all(parameter["description"] for parameter in operation["parameters"]), path
    for name, schema in described["components"]["schemas"].items():
        assert schema["description"], name
        assert "Attributes" not in schema["description"]


def test_the_description_uses_every_schema_that_it_has() -> None:
    described = str(describe(ROUTES))
    for name in describe(ROUTES)["components"]["schemas"]:
        assert f"'#/components/schemas/{name}'" in described, name


def test_the_documentation_has_every_operation_and_says_of_it_what_the_description_does() -> None:
    page = Path(__file__).parents[3].joinpath("docs/admin.md").read_text("utf-8")
    told = re.findall(r"^\| `(\w+) (/\S+)` \| (.*) \|$", page, re.MULTILINE)
    described = [
        (method.upper(), path, operation["summary"])
        for path, methods in describe(ROUTES)["paths"].items()
        for method, operation in methods.items()
    ]
    assert sorted(told) == sorted(described)
