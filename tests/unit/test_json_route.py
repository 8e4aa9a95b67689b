"""JSON bodies are read strictly by every route, and compared by value."""

import sys

import pytest
from fastapi.routing import APIRouter

from safelight.web import server
from safelight.web.json_route import JsonRoute, canonical


def test_routes_when_listed_then_all_read_json_strictly() -> None:
    package = server.__name__.replace("server", "api.")
    modules = [module for name, module in sys.modules.items() if name.startswith(package)]
    routers = [each for module in modules for each in vars(module).values()]
    routes = [
        route for router in routers if isinstance(router, APIRouter) for route in router.routes
    ]
    assert len(routes) > 50
    assert [route for route in routes if not isinstance(route, JsonRoute)] == []


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ({"a": None}, {}, False),
        ({"a": "\u00e9"}, {"a": "e"}, False),
    ],
)
def test_canonical_when_values_are_equal_then_bytes_are(
    one: object, other: object, equal: bool
) -> None:
    assert (canonical(one) == canonical(other)) is equal
