"""Valid submissions, and refusals that name the field."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from safelight.errors import InvalidRequest
from safelight.jobs import bodies
from safelight.jobs.bodies import Generate, ImportImages, ImportItem, UploadBatch
from safelight.jobs.params import complete_params
from tests import factories

DEEP: dict[str, Any] = {}
for _ in range(300):
    DEEP = {"in": DEEP}


def faults(refused: pytest.ExceptionInfo[InvalidRequest]) -> set[str]:
    return {str(error["field"]) for error in refused.value.errors}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n\t "}, "prompt"),
        ({"prompt": "x" * 20_000}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "a\x00cat"}, "prompt"),
        ({"prompt": "a \ud800 cat"}, "prompt"),
        ({"prompt": "a", "colour": "red"}, "colour"),
        ({"prompt": "a", "name": "n" * 256}, "name"),
        ({"prompt": "a", "name": "\x00"}, "name"),
        ({"prompt": "a", "tags": ["t"] * 33}, "tags"),
        ({"prompt": "a", "tags": [" "]}, "tags.0"),
        ({"prompt": "a", "tags": ["t" * 65]}, "tags.0"),
        ({"prompt": "a", "tags": ["fine", "\udfff"]}, "tags.1"),
        ({"prompt": "a", "priority": 101}, "priority"),
        ({"prompt": "a", "priority": "high"}, "priority"),
        ({"prompt": "a", "seed": 2**63}, "seed"),
        ({"prompt": "a", "seed": -(2**63) - 1}, "seed"),
        ({"prompt": "a", "n": 10**30}, "n"),
        ({"prompt": "a", "n": 1.5}, "n"),
        ({"prompt": "a", "references": ["r"] * 17}, "references"),
        ({"prompt": "a", "references": [""]}, "references.0"),
        ({"prompt": "a", "references": ["u" * 5_000]}, "references.0"),
        ({"prompt": "a", "metadata": {"k": "\x00"}}, "metadata"),
        ({"prompt": "a", "metadata": {"k\x00": 1}}, "metadata"),
        ({"prompt": "a", "metadata": {"k": ["\ud800"]}}, "metadata"),
        ({"prompt": "a", "metadata": {"k": 2**64}}, "metadata"),
        ({"prompt": "a", "metadata": {"k": "v" * 20_000}}, "metadata"),
        ({"prompt": "a", "metadata": DEEP}, "metadata"),
        ({"prompt": "a", "metadata": [1]}, "metadata"),
        ({"prompt": "a", "params": {"k": 10**40}}, "params"),
        ({"prompt": "a", "start_by": "2030-01-01T00:00:00"}, "start_by"),
        ({"prompt": "a", "start_by": "soon"}, "start_by"),
        ({"prompt": "a", "start_by": "0001-01-01T00:00:00+14:00"}, "start_by"),
        ({"prompt": "a", "start_at": "9999-12-31T23:59:59-14:00"}, "start_at"),
        (
            {
                "prompt": "a",
                "start_at": "2030-01-02T00:00:00Z",
                "start_by": "2030-01-01T00:00:00Z",
            },
            "body",
        ),
        ([], "body"),
        (None, "body"),
        ("a cat", "body"),
    ],
)
def test_generate_when_a_field_is_at_fault_is_refused_with_its_name(
    body: object, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bodies.parse(Generate, body)
    assert faults(refused) == {field}


def test_refusal_when_shown_does_not_echo_what_was_sent() -> None:
    with pytest.raises(InvalidRequest) as refused:
        bodies.parse(Generate, {"prompt": "secret\x00word", "password": "hunter2"})
    shown = orjson.dumps(refused.value.problem()).decode()
    assert "secret" not in shown
    assert "hunter2" not in shown


def test_generate_when_all_is_well_keeps_every_word() -> None:
    body: dict[str, Any] = {
        "prompt": "  a 🐈 riding\nthe moon ",
        "model": "sketch",
        "references": ["ast_1", "https://example.com/a.png"],
        "n": 3,
        "seed": 2**63 - 1,
        "params": {"n": 9, "style": "flat"},
        "tags": [" one "],
        "metadata": {"order": 7, "path": "C:\\u0000", "nested": {"list": [1, None, "é"]}},
        "start_at": "2030-01-01T00:00:00+02:00",
    }
    made = bodies.parse(Generate, body)
    assert made.prompt == "a 🐈 riding\nthe moon"
    assert made.tags == ["one"]
    assert made.metadata == body["metadata"]
    assert made.start_at == datetime(2029, 12, 31, 22, tzinfo=UTC)
    assert made.all_params() == {"n": 3, "style": "flat", "seed": 2**63 - 1}


def test_generate_when_the_prompt_is_as_long_as_allowed_is_taken() -> None:
    assert len(bodies.parse(Generate, {"prompt": "x" * bodies.MAX_PROMPT}).prompt) == 10_000


def test_metadata_when_it_holds_no_number_becomes_null() -> None:
    made = bodies.parse(Generate, {"prompt": "a", "metadata": {"ratio": float("nan")}})
    assert made.metadata == {"ratio": None}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "http://a/", "urls": ["http://b/"]},
        {"urls": []},
        {"url": ""},
        {"url": "http://a/\x00"},
        {"url": "http://a/", "prompt": "a"},
        {"urls": "http://a/"},
        {"urls": ["http://a/"], "external_id": "mine"},
    ],
)
def test_import_when_not_exactly_one_of_url_and_urls_is_well_formed_is_refused(
    body: object,
) -> None:
    with pytest.raises(InvalidRequest):
        bodies.parse(ImportImages, body)


def test_import_items_when_some_are_bad_leave_the_others_what_holds_for_all() -> None:
    wanted = bodies.parse(
        ImportImages,
        {
            "urls": [
                "http://a/",
                7,
                {"url": "http://b/", "tags": ["own", "all"], "metadata": {"n": 2}},
                {"url": "http://c/", "color": "red"},
                "",
                {"external_id": "x"},
            ],
            "tags": ["all"],
            "metadata": {"n": 1, "m": 1},
        },
    )
    first, seven, second, extra, empty, lacking = wanted.items()
    assert first == ImportItem(url="http://a/", tags=["all"], metadata={"n": 1, "m": 1})
    assert second == ImportItem(url="http://b/", tags=["all", "own"], metadata={"n": 2, "m": 1})
    for refused, field in ((seven, "body"), (extra, "color"), (empty, "url"), (lacking, "url")):
        assert isinstance(refused, InvalidRequest)
        assert [error["field"] for error in refused.errors] == [field]


def test_upload_batch_when_a_field_is_unknown_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        bodies.parse(UploadBatch, {"n": 1})
    assert faults(refused) == {"n"}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"n": "two"}, "n"),
        ({"n": True}, "n"),
        ({"size": "huge"}, "size"),
        ({"seed": -1}, "seed"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_params_when_the_model_does_not_take_them_are_refused_with_their_name(
    given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        complete_params(factories.model(), given)
    assert faults(refused) == {field}


def test_params_when_several_are_at_fault_names_all() -> None:
    with pytest.raises(InvalidRequest) as refused:
        complete_params(factories.model(), {"n": 0, "size": 1})
    assert faults(refused) == {"n", "size"}


def test_params_when_left_out_have_the_model_s_defaults_and_a_drawn_seed() -> None:
    params = complete_params(factories.model(), {"n": 2})
    seed = params.pop("seed")
    assert params == {"n": 2, "size": "1024x1024"}
    assert 0 <= seed < 2**32
    drawn = {complete_params(factories.model(), {})["seed"] for _ in range(8)}
    assert len(drawn) > 1


def test_params_when_given_are_kept_as_they_are() -> None:
    given = {"n": 8, "size": "1x1", "seed": 0}
    assert complete_params(factories.model(), given) == given


def test_params_when_the_model_knows_no_seed_get_none() -> None:
    bare = factories.model(params_schema={"type": "object", "properties": {}})
    assert complete_params(bare, {}) == {}


def test_defaults_when_one_job_s_are_changed_stay_the_model_s() -> None:
    listing = factories.model(
        params_schema={"type": "object", "properties": {"tags": {"type": "array", "default": []}}}
    )
    complete_params(listing, {})["tags"].append("mine")
    assert complete_params(listing, {}) == {"tags": []}
