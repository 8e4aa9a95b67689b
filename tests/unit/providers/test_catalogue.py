"""A catalogue's file: what it may say, what it changes about models, and how mistakes are told."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from safelight.errors import InvalidRequest
from safelight.jobs.params import complete_params
from safelight.providers.catalogue import Catalogue, changed, read_catalogue
from safelight.providers.errors import CatalogueInvalid, UnknownModel
from safelight.providers.local.diffusers import Lora
from safelight.providers.local.fake import FakeProvider
from safelight.providers.price import Amount, Price
from safelight.providers.provider import Kind, Lane
from safelight.providers.registry import Registry, all_models
from safelight.providers.remote.http_service import Later, Signing

DOCS = Path(__file__).parents[3] / "docs" / "catalogue.md"
SECRET = "whsec_" + "c2VjcmV0" * 4
FAKES = all_models([FakeProvider()])


SERVICE = """[http.x]
url = "http://x/"
models = [{ id = "a", title = "A", params = { seed = { type = "integer" } } }]
"""


def read(tmp_path: Path, text: str, **environment: str) -> Catalogue:
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    return read_catalogue(path, environment)


def test_read_when_the_file_is_empty_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == Catalogue()


def test_read_when_the_documented_example_is_taken_as_it_is_holds_all_of_it(
    tmp_path: Path,
) -> None:
    example = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    found = read(tmp_path, "\n".join(example), UPSCALER_KEY="s3cret")
    assert found.aliases["best"].models == ["openai/gpt-image-1.5", "sketch"]
    assert found.limits["openai"].in_flight == 50
    priced = found.models["openai/gpt-image-1.5"].price
    assert priced is not None
    assert priced.outputs[0] == Amount(0.01, {"size": "1024x1024", "quality": "low"})
    (service,) = found.http
    assert service.headers == {"Authorization": "Bearer s3cret"}
    assert service.models[0].lane is Lane.REMOTE
    assert found.diffusers is not None
    assert found.diffusers.devices == ("cuda:0", "cuda:1")
    assert found.diffusers.models[0].source == Path("/srv/models/sdxl")
    assert found.diffusers.models[0].price == Price(second=0.0004)


def test_read_when_models_for_a_gpu_are_described_as_documented_pins_them(tmp_path: Path) -> None:
    page = DOCS.parent / "providers" / "diffusers.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    found = read(tmp_path, example).diffusers
    assert found is not None
    flux, sdxl = found.models
    assert (flux.source, flux.schedulers) == (Path("/srv/models/flux-schnell"), ())
    assert sdxl.loras == (Lora("ink", Path("/srv/loras/ink.safetensors"), 0.8),)
    loose = re.sub(r"\nrevision.*", "", example)
    with pytest.raises(CatalogueInvalid, match="full commit hash"):
        read(tmp_path, loose)
    with pytest.raises(CatalogueInvalid, match=r"diffusers\.models\.0\.step:"):
        read(tmp_path, example.replace("steps", "step"))


def test_read_when_a_service_is_described_makes_its_plug_whole(tmp_path: Path) -> None:
    text = """
    [http.forge]
    url = "http://forge.internal:8000/jobs"
    body = { text = "$prompt", seed = "$params.seed", hook = "$callback_url" }
    media = "files.*.url"
    later = { ticket = "id", status_url = "http://forge.internal:8000/jobs/$ticket", pace = 5 }
    signing = { secret = "${FORGE_SECRET}" }

    [[http.forge.models]]
    id = "forge/mesh"
    title = "Mesh"
    kinds = ["image_to_3d"]
    max_inputs = 1
    timeout_s = 900
    repeatable = true
    price = { job = 0.02 }
    params.seed = { type = "integer", default = 1 }
    """
    (service,) = read(tmp_path, text, FORGE_SECRET=SECRET).http
    assert service.later == Later(
        "id", "http://forge.internal:8000/jobs/$ticket", pace=timedelta(seconds=5)
    )
    assert service.signing == Signing(SECRET)
    (model,) = service.models
    assert (model.provider, model.kinds, model.repeatable) == ("forge", {Kind.IMAGE_TO_3D}, True)
    assert (model.timeout, model.price) == (timedelta(minutes=15), Price(job=0.02))
    assert complete_params(model, {}) == {"seed": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = 3", "models"),
        ("nonsense = 3", "nonsense"),
        ("[aliases.best]\nmodels = []", "aliases.best.models"),
        ("[models.fake]\npricing = {}", "models.fake.pricing"),
        ("[models.fake.price]\nouput = 1", "models.fake.price.ouput"),
        ("[models.fake.price]\noutput = -1", "A price must be"),
        ("[limits.openai]\nin_flight = 0", "limits.openai.in_flight"),
        ('currency = "dollars"', "currency"),
        ("[defaults]\ntext_to_song = 'fake'", "defaults.text_to_song"),
        ("http = 3", "http"),
        ("[http.x]\nmodels = []", "http.x.url"),
        ("[http.x]\nurl = 'ftp://x/'\nmodels = []", "http.x: ftp://x/ is not an http"),
        ("[http.x]\nurl = 'http://x/'\nmodels = [{id = 'a'}]", "http.x.models.0.title"),
        ("[http.x]\nurl = 'http://x/${GONE}'\nmodels = []", "GONE"),
        ("not toml", "not valid TOML"),
        ("[http.x]\nurl = 'http://x/'\nheaders = {K = 'a ${GONE}'}", "http.x.headers.K: ${GONE}"),
        ("[modles.fake]\ntitle = 'x'", "modles: unknown; did you mean models? Allowed: aliases,"),
        ("[models.fake]\ntitel = 'x'", "models.fake.titel: unknown; did you mean title? Allowed:"),
        ("[models.fake.price]\nouput = 1", "models.fake.price.ouput: unknown; did you mean output"),
        ("[http.x]\nurl = 'http://x/'\nbdy = 1", "http.x.bdy: unknown; did you mean body?"),
        (
            "[http.x]\nurl='http://x/'\nmodels=[{id='a',titel='b'}]",
            "http.x.models.0.titel: unknown",
        ),
        ('currency = "dollars"', "three capital letters"),
        ("[aliases.'a b']\nmodels = ['x']", "letters, digits and the characters"),
        (f"{SERVICE}body = {{ a = ['$params.sead'] }}", "body.a.0: no model here has the param"),
        (f"{SERVICE}body = {{ a = '$params.sead' }}", "of $params.sead: $params.seed."),
        (f"{SERVICE}query = {{ a = '$promt' }}", "query.a: $promt is unknown. Allowed: $prompt,"),
    ],
)
def test_read_when_something_is_wrong_names_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CatalogueInvalid, match=re.escape(said)) as refused:
        read(tmp_path, text)
    assert refused.value.detail.startswith(str(tmp_path))
    assert "pattern" not in refused.value.detail


def test_read_when_a_mistake_is_beside_a_secret_does_not_repeat_it(tmp_path: Path) -> None:
    text = "[http.x]\nurl = 'http://x/'\nmodels = []\nheaders = { Key = '${KEY}' }\nbody_x = 3"
    with pytest.raises(CatalogueInvalid) as refused:
        read(tmp_path, text, KEY="hunter2")
    assert "hunter2" not in str(refused.value.problem())


def test_read_when_there_is_no_such_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogueInvalid, match="cannot be read: No such file"):
        read_catalogue(tmp_path / "none.toml", {})


def test_changed_when_a_model_is_narrowed_holds_jobs_to_it(tmp_path: Path) -> None:
    text = """
    [models.fake]
    title = "Ours"
    timeout_s = 60
    params.outputs.maximum = 2
    defaults.outputs = 2
    fixed.pending = false
    accounts = ["acc_1"]

    [models.fake-paid]
    enabled = false
    """
    (model,) = changed(FAKES, read(tmp_path, text).models)
    assert (model.id, model.title, model.timeout) == ("fake", "Ours", timedelta(seconds=60))
    assert complete_params(model, {})["outputs"] == 2
    for params in ({"outputs": 3}, {"pending": True}):
        with pytest.raises(InvalidRequest):
            complete_params(model, params)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.gone]\nenabled = false", "models.gone"),
        ("[models.fake]\ndefaults.color = 3", "no param 'color'"),
        ("[models.fake]\ndefaults.outputs = 'many'", "'many' is not a valid default of outputs"),
        ("[models.fake]\nparams.outputs.type = 'whole'", "models.fake.params.outputs"),
    ],
)
def test_changed_when_an_entry_does_not_fit_says_which(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(CatalogueInvalid, match=re.escape(said)):
        changed(FAKES, read(tmp_path, text).models)


def test_registry_when_a_model_is_for_some_hides_it_from_others(tmp_path: Path) -> None:
    text = "[models.fake]\naccounts = ['acc_1']\n[aliases.best]\nmodels = ['fake']"
    catalogue = read(tmp_path, text)
    registry = Registry(
        [FakeProvider()],
        {name: alias.models for name, alias in catalogue.aliases.items()},
        models=changed(FAKES, catalogue.models),
    )
    assert [model.id for model in registry.models("acc_1")] == ["fake", "fake-paid"]
    assert [model.id for model in registry.models("acc_2")] == ["fake-paid"]
    assert (registry.aliases("acc_1"), registry.aliases("acc_2")) == ({"best": ["fake"]}, {})
    for name in ("fake", "best"):
        assert registry.candidates(Kind.TEXT_TO_IMAGE, name, "acc_1")
        with pytest.raises(UnknownModel) as refused:
            registry.candidates(Kind.TEXT_TO_IMAGE, name, "acc_2")
        assert refused.value.errors[0]["choices"] == ["fake-paid"]


def test_registry_when_a_default_is_set_uses_it_for_jobs_that_name_no_model() -> None:
    kind = Kind.TEXT_TO_IMAGE
    registry = Registry([FakeProvider()], {"best": ["fake-paid", "fake"]}, defaults={kind: "best"})
    found = registry.candidates(kind, None, "acc_1")
    assert [model.id for model in found] == ["fake-paid", "fake"]
    with pytest.raises(UnknownModel, match="'gone'"):
        Registry([FakeProvider()], defaults={kind: "gone"})
