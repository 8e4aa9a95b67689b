"""A Replicate model's own description becomes a schema of ours, and our params become its input."""

from typing import Any

import jsonschema_rs
import pytest

from safelight.providers.errors import (
    ProviderBadInput,
    ProviderRefused,
    ProviderRejected,
    ProviderWorkFailed,
)
from safelight.providers.provider import Role
from safelight.providers.remote.replicate.fields import Sizing, fields_of
from safelight.providers.remote.replicate.params import arguments, params_schema
from safelight.providers.remote.replicate.prediction import Prediction, files_in
from safelight.providers.remote.replicate.reference import Reference
from safelight.providers.remote.replicate.refusal import failure
from safelight.providers.remote.replicate.schema import input_schema

LOOP = {"$ref": "#/components/schemas/loop"}
URI = {"type": "string", "format": "uri"}


def described(components: dict[str, Any] | None = None, **rules: Any) -> dict[str, Any]:
    """A model's description as Replicate gives it."""
    required = [name for name, rule in rules.items() if rule.pop("required", False)]
    schemas = {
        "Input": {"type": "object", "properties": rules, "required": required},
        **(components or {}),
    }
    return {"openapi": "3.0.2", "components": {"schemas": schemas}}


def schema(**rules: Any) -> dict[str, Any]:
    return input_schema(described(**rules))


# --- schemas ------------------------------------------------------------------------------------


def test_schema_when_an_enumeration_is_referred_to_holds_its_values() -> None:
    found = input_schema(
        described(
            {
                "ratio": {
                    "type": "string",
                    "enum": ["1:1"],
                    "description": "An enumeration.",
                }
            },
            aspect_ratio={
                "allOf": [{"$ref": "#/components/schemas/ratio"}],
                "default": "1:1",
                "description": "Of the picture",
                "x-order": 1,
            },
        )
    )
    rule = found["properties"]["aspect_ratio"]
    assert (rule["enum"], rule["default"]) == (["1:1"], "1:1")
    assert rule["description"] == "Of the picture"


def test_schema_when_fields_have_an_order_keeps_it_and_puts_the_others_behind() -> None:
    found = schema(
        b={"type": "string", "x-order": 2},
        c={"type": "string"},
        a={"type": "string", "x-order": 0},
    )
    assert list(found["properties"]) == ["a", "b", "c"]
    jsonschema_rs.validator_for(found)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
        ({"type": "number", "maximum": 2, "exclusiveMaximum": False}, {"maximum": 2}),
        ({"type": "integer", "minimum": True, "maxLength": -1}, {}),
        ({"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}, {"minimum": 3}),
        ({"type": "string", "x-cog-secret": True, "nullable": True}, {}),
        ({"type": "integer", "default": "seven"}, {}),
        ({"type": "number", "multipleOf": 0}, {}),
    ],
)
def test_schema_when_a_rule_is_odd_keeps_what_makes_sense(
    rule: dict[str, Any], kept: dict[str, Any]
) -> None:
    found = schema(field=rule)["properties"]["field"]
    assert {name: value for name, value in found.items() if name != "type"} == kept


@pytest.mark.parametrize(
    "openapi",
    [
        None,
        [],
        {"components": {"schemas": {}}},
        described({"loop": LOOP}, x=LOOP),
        described(**{f"field_{number}": {"type": "string"} for number in range(101)}),
        described(x={"type": "string", "enum": [str(number) for number in range(501)]}),
        described(x={"type": "string", "description": "x", "minLength": 5, "enum": ["y" * 70_000]}),
    ],
)
def test_schema_when_the_description_is_of_no_use_is_refused(openapi: object) -> None:
    with pytest.raises(ValueError, match=r"description|input|choices"):
        input_schema(openapi)


def test_schema_when_names_could_do_harm_leaves_them_out() -> None:
    found = input_schema(described(**{"good": {"type": "string"}, "a b": {"type": "string"}}))
    assert list(found["properties"]) == ["good"]


# --- fields and params --------------------------------------------------------------------------


def test_fields_when_the_names_are_usual_are_found() -> None:
    found = fields_of(
        schema(
            prompt={"type": "string"},
            image=URI,
            mask=URI,
            num_outputs={"type": "integer"},
            seed={"type": "integer"},
            output_format={"type": "string"},
            lora_weights=URI,
            width={"type": "integer"},
            height={"type": "integer"},
        ),
        {},
    )
    assert (found.prompt, found.pictures, found.mask) == ("prompt", ("image",), "mask")
    assert found.params == {"n": "num_outputs", "seed": "seed", "format": "output_format"}
    assert found.sizing is Sizing.SIDES


def test_fields_when_views_are_told_apart_by_name_take_them() -> None:
    found = fields_of(schema(front_image=URI, back_image=URI, left_image=URI, right_image=URI), {})
    assert set(found.views) == {Role.FRONT, Role.BACK, Role.LEFT, Role.RIGHT}
    assert found.pictures == ()


def test_fields_when_named_by_the_operator_are_those() -> None:
    rules = schema(text={"type": "string"}, style=URI, batch={"type": "integer"})
    found = fields_of(rules, {"picture": "style", "n": "batch", "prompt": "text"})
    assert (found.pictures, found.params["n"], found.prompt) == (("style",), "batch", "text")
    for wrong in ({"picture": "nothing"}, {"strange": "style"}):
        with pytest.raises(ValueError, match="cannot take"):
            fields_of(rules, wrong)


def test_params_when_shown_leave_out_what_prompt_and_inputs_say_and_secrets() -> None:
    rules = schema(
        prompt={"type": "string", "required": True},
        image=URI,
        hf_token={"type": "string", "format": "password"},
        num_outputs={"type": "integer", "default": 1},
        output_format={"type": "string", "enum": ["jpg", "png"], "default": "jpg"},
        aspect_ratio={"type": "string", "enum": ["1:1", "16:9"]},
    )
    shown = params_schema(rules, fields_of(rules, {}))
    assert set(shown["properties"]) == {"n", "format", "aspect_ratio", "size"}
    assert shown["properties"]["format"]["enum"] == ["jpeg", "png"]
    assert shown["properties"]["format"]["default"] == "jpeg"
    assert shown["required"] == []


@pytest.mark.parametrize(
    ("size", "ratio"), [("1000x1000", "1:1"), ("1920x1080", "16:9"), ("700x1000", "2:3")]
)
def test_arguments_when_only_ratios_are_taken_choose_the_nearest(size: str, ratio: str) -> None:
    rules = schema(aspect_ratio={"type": "string", "enum": ["1:1", "16:9", "2:3", "match"]})
    fields = fields_of(rules, {})
    assert arguments(rules, fields, "", {"size": size}) == {"aspect_ratio": ratio}
    with pytest.raises(ProviderBadInput):
        arguments(rules, fields, "", {"size": "0x5"})


def test_arguments_when_a_size_is_given_beside_a_custom_ratio_say_both() -> None:
    rules = schema(
        width={"type": "integer"},
        height={"type": "integer"},
        aspect_ratio={"type": "string", "enum": ["1:1", "custom"]},
    )
    found = arguments(rules, fields_of(rules, {}), "", {"size": "64x32", "aspect_ratio": "1:1"})
    assert found == {"width": 64, "height": 32, "aspect_ratio": "custom"}


@pytest.mark.parametrize(("seed", "sent"), [(7, 7), (100, 100), (101, 0), (2**32 - 1, 16)])
def test_arguments_when_a_seed_is_too_large_for_the_model_fold_it(seed: int, sent: int) -> None:
    rules = schema(seed={"type": "integer", "minimum": 0, "maximum": 100})
    found = arguments(rules, fields_of(rules, {}), "", {"seed": seed})
    assert found == {"seed": sent if seed != 2**32 - 1 else (2**32 - 1) % 101}


# --- names, words, outputs ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("me/paint", "/models/me/paint/predictions"),
        (f"me/paint:{'a' * 64}", "/predictions"),
        ("b" * 64, "/predictions"),
        ("deployments/me/paint", "/deployments/me/paint/predictions"),
    ],
)
def test_reference_when_read_knows_where_work_begins(text: str, path: str) -> None:
    assert Reference.read(text).predictions_path == path


@pytest.mark.parametrize("text", ["", "me", "me/", "../a/b", "me/paint:1", "me/paint?x", "a/b/c"])
def test_reference_when_it_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Replicate"):
        Reference.read(text)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("Your content was flagged as potentially sensitive", ProviderRefused),
        ("This violates our content policy", ProviderRefused),
        ("Safety checker triggered", ProviderRefused),
        ("could not load the safety checker", ProviderRejected),
        ("Director: unexpected error handling prediction (E8765)", ProviderWorkFailed),
        ("health check failed", ProviderWorkFailed),
        ("list index out of range", ProviderRejected),
        ("", ProviderRejected),
        ("\x00" * 10_000, ProviderRejected),
    ],
)
def test_failure_when_a_model_says_why_is_named(words: str, error: type[Exception]) -> None:
    assert type(failure(words)) is error


def test_prediction_when_it_ended_in_a_new_word_says_what_went_wrong_in_its_own() -> None:
    told = {"id": "p1", "status": "exploded", "completed_at": "now", "error": "NSFW"}
    found = Prediction.read(told)
    assert found is not None
    assert found.has_ended
    assert isinstance(found.verdict(), ProviderRefused)


def test_files_when_an_output_is_endless_are_bounded() -> None:
    address = "https://example.com/a.png"
    assert len(files_in([address] * 1000)) == 64
    deep: Any = address
    for _ in range(20_000):
        deep = [deep]
    assert files_in(deep) == []
    assert files_in([{"b": address}, "no", None, 7, {"x": ["ftp://x/y"]}]) == [address]
