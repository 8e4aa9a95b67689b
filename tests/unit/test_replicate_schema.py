"""Any input schema of a Replicate model becomes a bounded and usable one."""

from typing import Any

import jsonschema_rs
import pytest

from safelight.jobs.params import complete_params
from safelight.providers.provider import Kind, Role
from safelight.providers.remote.replicate import ReplicateModel
from safelight.providers.remote.replicate.fields import Sizing, fields_of
from safelight.providers.remote.replicate.params import arguments, params_schema
from safelight.providers.remote.replicate.schema import input_schema

URI = {"type": "string", "format": "uri"}


def schema(components: dict[str, Any] | None = None, **rules: Any) -> dict[str, Any]:
    """Return what becomes of a description with these fields."""
    schemas = {"Input": {"type": "object", "properties": rules}, **(components or {})}
    return input_schema({"components": {"schemas": schemas}})


def model(**rules: Any) -> ReplicateModel:
    return ReplicateModel("me/paint", "Paint", input_schema=schema(**rules))


# --- descriptions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"type": {"of": "nothing"}}, {}),
        ({"type": [["string"], {}]}, {}),
        ({"type": []}, {}),
        ({"type": ["string", "null"]}, {"type": "string"}),
        ({"type": "file"}, {}),
        ({"title": "_"}, {}),
        ({"title": " __ "}, {}),
        ({"title": 7, "description": []}, {}),
        ({"title": "num_outputs"}, {"title": "Num outputs"}),
        ({"enum": "red"}, {}),
        ({"enum": [{}, None, "red"]}, {"enum": ["red"]}),
        ({"type": "string", "format": "made up", "pattern": "("}, {"type": "string"}),
        ({"type": "integer", "maximum": 4, "default": 5}, {"type": "integer", "maximum": 4}),
        ({"$ref": "#/components/schemas/nowhere"}, {}),
        ({"$ref": 7, "allOf": "x", "anyOf": {}}, {}),
    ],
)
def test_schema_when_a_rule_is_odd_keeps_what_forms_can_use(
    rule: dict[str, Any], kept: dict[str, Any]
) -> None:
    found = schema(field=rule)
    assert found["properties"]["field"] == kept
    jsonschema_rs.validator_for(found)


def test_schema_when_a_text_is_long_is_cut() -> None:
    rule = schema(field={"title": "x" * 5000, "description": "y" * 5000})["properties"]["field"]
    assert (len(rule["title"]), len(rule["description"])) == (100, 1000)


def test_schema_when_rules_lie_within_rules_goes_down_six_times() -> None:
    rule: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        rule = {"type": "array", "items": rule}
    found, depth = schema(field=rule)["properties"]["field"], 0
    while "items" in found:
        found, depth = found["items"], depth + 1
    assert depth == 6


def test_schema_when_an_object_lies_within_takes_nothing_but_its_fields() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x", "gone"]}
    rule = schema(box=inner)["properties"]["box"]
    assert rule["required"] == ["x"]
    assert not jsonschema_rs.is_valid(rule, {"x": 1, "y": 2})


def test_schema_when_there_are_choices_keeps_them_without_null() -> None:
    choices = [{"type": "string"}, {"type": "integer"}, {"type": "null"}]
    rule = schema(field={"anyOf": choices})["properties"]["field"]
    assert rule == {"anyOf": [{"type": "string"}, {"type": "integer"}]}


@pytest.mark.parametrize(
    "components",
    [
        {"loop": {"allOf": [{"$ref": "#/components/schemas/loop"}]}},
        {"loop": {"allOf": [{"$ref": "#/components/schemas/loop"}] * 50}},
        {"loop": {"allOf": [{"allOf": [{"allOf": [{}] * 20}] * 20}] * 20}},
        {"loop": {"type": "object", "properties": {f"f{n}": {"type": "object", "properties": {
            f"g{m}": {"type": "string"} for m in range(50)}} for n in range(50)}}},
    ],
)  # fmt: skip
def test_schema_when_it_would_grow_without_bound_is_refused(components: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"description|rules"):
        schema(components, field={"$ref": "#/components/schemas/loop"})


# --- what a model is taken for ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "pictures"),
    [
        ({"image": URI, "mask": URI}, ("image",)),
        ({"image_1": URI, "image_2": URI}, ("image_1", "image_2")),
        ({"input_image": URI, "input_image_2": URI}, ("input_image", "input_image_2")),
        ({"thing": URI}, ("thing",)),
        ({"thing": URI, "other": URI}, ()),
        ({"lora_weights": URI}, ()),
        ({"audio": URI, "thing": URI}, ("thing",)),
        ({"image": {"type": "string"}}, ()),
    ],
)
def test_fields_when_pictures_are_taken_are_those_that_can_be_no_other(
    rules: dict[str, Any], pictures: tuple[str, ...]
) -> None:
    assert fields_of(schema(**rules), {}).pictures == pictures


@pytest.mark.parametrize(
    ("rules", "sizing"),
    [
        ({"size": {"type": "string"}, "width": {}, "height": {}}, Sizing.NONE),
        ({"width": {"type": "integer"}}, Sizing.NONE),
        ({"aspect_ratio": {"type": "string", "enum": ["match", "0:1", "1:0"]}}, Sizing.NONE),
        ({"aspect_ratio": {"type": "string", "enum": ["match", "3:2"]}}, Sizing.RATIO),
    ],
)
def test_fields_when_asked_for_a_size_know_what_becomes_of_it(
    rules: dict[str, Any], sizing: Sizing
) -> None:
    assert fields_of(schema(**rules), {}).sizing is sizing


def test_offer_when_a_list_takes_pictures_counts_them_within_bounds() -> None:
    listed = {"type": "array", "items": URI}
    assert model(images=listed).offer.max_inputs == 16
    assert model(images={**listed, "maxItems": 3}).offer.max_inputs == 3
    assert model(images={**listed, "maxItems": 1000}).offer.max_inputs == 16
    assert model(prompt={"type": "string"}).offer.max_inputs == 0


def test_offer_when_only_a_mask_is_taken_makes_pictures_from_text_alone() -> None:
    offer = model(prompt={"type": "string"}, mask=URI).offer
    assert offer.kinds == {Kind.TEXT_TO_IMAGE}
    assert offer.roles == {Role.REFERENCE, Role.MASK}
    assert not offer.repeatable


# --- what a job says ----------------------------------------------------------------------------


@pytest.mark.parametrize("usual", [0, -1, 1.5, 100_000, "wide"])
def test_params_when_a_side_is_no_size_by_default_leave_it_to_the_model(usual: object) -> None:
    offered = model(prompt={"type": "string"}, width={"default": usual}, height={"default": usual})
    params = complete_params(offered.offer, {})
    assert params == {}
    assert arguments(offered.open_schema, offered.fields, "cat", params) == {"prompt": "cat"}


def test_params_when_sides_have_defaults_and_bounds_show_both_as_a_size() -> None:
    side = {"type": "integer", "minimum": 64, "maximum": 2048}
    offered = model(width={**side, "default": 1024}, height={**side, "default": 768})
    rule = offered.offer.params_schema["properties"]["size"]
    assert (rule["default"], rule["description"]) == (
        "1024x768",
        "WIDTHxHEIGHT in pixels, each 64 to 2048.",
    )
    sent = arguments(offered.open_schema, offered.fields, "", complete_params(offered.offer, {}))
    assert sent == {"width": 1024, "height": 768}


def test_params_when_a_ratio_is_the_usual_let_no_default_size_speak_over_it() -> None:
    ratio = {"type": "string", "enum": ["1:1", "custom"], "default": "1:1"}
    side = {"type": "integer", "default": 512}
    offered = model(aspect_ratio=ratio, width=side, height=side)
    assert complete_params(offered.offer, {}) == {"aspect_ratio": "1:1"}


@pytest.mark.parametrize(
    ("known", "shown", "sent"),
    [
        (["jpg", "png"], ["jpeg", "png"], "jpg"),
        (["jpeg", "png"], ["jpeg", "png"], "jpeg"),
        (["jpg", "jpeg"], ["jpeg"], "jpg"),
    ],
)
def test_arguments_when_a_jpeg_is_wanted_call_it_as_the_model_does(
    known: list[str], shown: list[str], sent: str
) -> None:
    offered = model(output_format={"type": "string", "enum": known})
    assert offered.offer.params_schema["properties"]["format"]["enum"] == shown
    told = arguments(offered.open_schema, offered.fields, "", {"format": "jpeg"})
    assert told == {"output_format": sent}


def test_arguments_when_our_names_differ_become_those_of_the_model() -> None:
    offered = model(
        text={"type": "string"},
        num_images={"type": "integer", "default": 1},
        negative={"type": "string"},
        steps={"type": "integer"},
    )
    given = {"n": 2, "negative_prompt": "dogs", "steps": 4}
    assert arguments(offered.open_schema, offered.fields, "cat", given) == {
        "text": "cat",
        "num_images": 2,
        "negative": "dogs",
        "steps": 4,
    }


def test_arguments_when_there_is_no_prompt_say_nothing_of_one() -> None:
    offered = model(prompt={"type": "string"})
    assert arguments(offered.open_schema, offered.fields, "", {}) == {}
    assert arguments(schema(), fields_of(schema(), {}), "cat", {}) == {}


@pytest.mark.parametrize(
    ("size", "ratio"), [("500x1000", "2:3"), ("1000x500", "3:2"), ("1200x1000", "1:1")]
)
def test_arguments_when_a_ratio_is_chosen_measure_tall_like_wide(size: str, ratio: str) -> None:
    offered = model(aspect_ratio={"type": "string", "enum": ["2:3", "1:1", "3:2"]})
    told = arguments(offered.open_schema, offered.fields, "", {"size": size})
    assert told == {"aspect_ratio": ratio}


def test_params_when_a_field_is_secret_or_taken_by_inputs_are_not_asked_for_it() -> None:
    rules = schema(image=URI, token={"type": "string", "format": "password"}, seed={})
    assert set(params_schema(rules, fields_of(rules, {}))["properties"]) == {"seed"}
