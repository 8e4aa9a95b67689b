"""How many deliveries a receiver may have under way, and who is told of what."""

from datetime import UTC, datetime

import pytest

from safelight.events import Event
from safelight.webhooks import fanout
from safelight.webhooks.endpoint import Endpoint
from safelight.webhooks.shares import Shares


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def endpoint(**changes: object) -> Endpoint:
    fields: dict[str, object] = {
        "id": "whe_1",
        "account_id": "acc_1",
        "url": "https://hooks.example",
        "events": ["job.*"],
        "thin": False,
        "secret": "whsec_new",
        "old_secret": "whsec_old",
        "old_secret_until": NOON,
        "seq": 0,
        "created_at": NOON,
        "failing_since": None,
        "disabled_at": None,
        "disabled_reason": "",
    }
    return Endpoint(**fields | changes)  # pyright: ignore[reportArgumentType]


def event(kind: str = "job.succeeded", subject: str = "job_1") -> Event:
    return Event("evt_1", "acc_1", subject, None, 3, kind, {}, NOON)


def test_shares_when_a_delivery_ends_have_room_again() -> None:
    shares = Shares(each=2, most=9)
    for receiver in ("one", "one", "other"):
        shares.begin(receiver)
    assert shares.taken().receivers == {"one": 2, "other": 1}
    shares.end("one", well=True)
    assert shares.taken().receivers == {"one": 1, "other": 1}


def test_shares_when_a_receiver_failed_give_it_one_at_a_time_until_it_is_well() -> None:
    shares = Shares(each=4, most=9)
    shares.begin("one")
    shares.end("one", well=False)
    assert shares.taken().receivers == {"one": 3}
    shares.begin("one")
    assert shares.taken().receivers == {"one": 4}
    shares.end("one", well=True)
    assert shares.taken().receivers == {}


def test_shares_when_very_many_failed_remember_the_latest() -> None:
    shares = Shares(each=4, most=9)
    for number in range(2_100):
        shares.begin(str(number))
        shares.end(str(number), well=False)
    assert len(shares.taken().receivers) == 2_000
    assert "0" not in shares.taken().receivers


def test_deliveries_when_an_endpoint_is_disabled_or_another_s_are_none() -> None:
    others = [endpoint(account_id="acc_2"), endpoint(disabled_at=NOON)]
    assert fanout.deliveries_of([event()], others, {}) == []
    assert len(fanout.deliveries_of([event()], [endpoint()], {})) == 1


def test_deliveries_when_a_job_named_an_address_go_there_at_its_end() -> None:
    default = endpoint(url="", events=[])
    urls = {"job_1": "https://me.example/x"}
    found = [event(), event("job.started"), event(subject="job_2")]
    (row,) = fanout.deliveries_of(found, [default], urls)
    assert (row["url"], row["event"]["type"]) == (urls["job_1"], "job.succeeded")


def test_shares_when_counted_add_up_per_endpoint() -> None:
    shares = Shares(each=4, most=9)
    for receiver in ("whe_1/a", "whe_1/b", "whe_1/b", "whe_2"):
        shares.begin(receiver)
    assert shares.taken().endpoints == {"whe_1": 3, "whe_2": 1}


def test_shares_when_a_receiver_hangs_pause_it_ever_longer_until_it_is_well() -> None:
    clock = Clock()
    shares = Shares(each=4, most=9, clock=clock)

    def hang() -> None:
        shares.begin("one")
        shares.end("one", well=False, hung=True)

    hang()
    hang()
    assert shares.taken().receivers == {"one": 3}  # one at a time
    for pause_s in (15, 30, 60, 120, 240, 300, 300):
        hang()
        clock.now += pause_s - 0.1
        assert shares.taken().receivers == {"one": 4}
        clock.now += 0.1
        assert shares.taken().receivers == {"one": 3}
    shares.begin("one")
    shares.end("one", well=False)  # it answers again, though with an error
    hang()
    assert shares.taken().receivers == {"one": 3}
    shares.begin("one")
    shares.end("one", well=True)
    assert shares.taken().receivers == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://A.example/1", "https://a.example/2", True),
        ("https://a.example/hook?job=x", "https://a.example/hook?job=y", True),
        ("https://a.example/jobs/42/done", "https://a.example/jobs/43/done", True),
        (
            "https://a.example/job_01jabcdefghjkmnpqrstvwxyz0",
            "https://a.example/job_01jzzzzzzzhjkmnpqrstvwxyz0",
            True,
        ),
        ("https://a.example/good", "https://a.example/bad", False),
        ("https://a.example/x", "https://b.example/x", False),
        ("https://a.example/x", "https://a.example:8443/x", False),
    ],
)
def test_receivers_when_urls_differ_in_ids_alone_are_one(one: str, other: str, same: bool) -> None:
    default = endpoint(url="", events=[])
    urls = {"job_1": one, "job_2": other}
    rows = fanout.deliveries_of([event(subject=job) for job in urls], [default], urls)
    assert (len({row["receiver"] for row in rows}) == 1) is same
    assert {row["receiver"].partition("/")[0] for row in rows} == {default.id}


def test_trial_when_made_has_a_receiver_of_its_own() -> None:
    assert fanout.trial_of(endpoint())["receiver"] == "whe_1/test"


def test_secrets_when_the_old_one_has_run_out_are_one() -> None:
    made = endpoint()
    assert made.secrets_at(datetime(2030, 1, 1, 11, tzinfo=UTC)) == ["whsec_new", "whsec_old"]
    assert made.secrets_at(NOON) == ["whsec_new"]
