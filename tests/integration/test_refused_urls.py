"""The URLs of a list that are refused: named in the batch, without their secrets."""

from safelight.accounts.scopes import Scope
from tests.household import Household


async def test_item_when_its_url_has_a_secret_is_named_without_it(home: Household) -> None:
    urls = [
        "https://mary:hunter2hunter2@shop.example/1.png",
        "ftp://shop.example/2.png?token=hunter2hunter2",
        "https://shop.example/3.png",
    ]
    async with home.client(home.owner, Scope.JOBS_READ, Scope.JOBS_WRITE) as owner:
        answer = await owner.post("/v1/images", json={"urls": urls})
        assert answer.status_code == 202, answer.text
        shown = await owner.get(f"/v1/batches/{answer.json()['batch_id']}")
    assert "hunter2" not in answer.text + shown.text
    names = [item["name"] for item in shown.json()["items"] if item["problem"]]
    assert names == ["https://mary:…@shop.example/1.png", "ftp://shop.example/2.png?token=…"]
