"""How many deliveries a receiver may have under way, and who is told of what."""

from datetime import UTC, datetime

from safelight.events import Event
from safelight.webhooks import fanout
from safelight.webhooks.endpoint import Endpoint
from safelight.webhooks.shares import Shares

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
    shares = Shares(each=2)
    for receiver in ("one", "one", "other"):
        shares.begin(receiver)
    assert shares.taken() == {"one": 2, "other": 1}
    shares.end("one", well=True)
    assert shares.taken() == {"one": 1, "other": 1}


def test_shares_when_a_receiver_failed_give_it_one_at_a_time_until_it_is_well() -> None:
    shares = Shares(each=4)
    shares.begin("one")
    shares.end("one", well=False)
    assert shares.taken() == {"one": 3}
    shares.begin("one")
    assert shares.taken() == {"one": 4}
    shares.end("one", well=True)
    assert shares.taken() == {}


def test_shares_when_very_many_failed_remember_the_latest() -> None:
    shares = Shares(each=4)
    for number in range(2_100):
        shares.begin(str(number))
        shares.end(str(number), well=False)
    assert len(shares.taken()) == 2_000
    assert "0" not in shares.taken()


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


def test_receivers_when_jobs_name_any_number_of_hosts_are_few() -> None:
    default = endpoint(url="", events=[])
    urls = {f"job_{n}": f"https://host{n}.example/{n}" for n in range(200)}
    rows = fanout.deliveries_of([event(subject=job) for job in urls], [default], urls)
    assert 8 < len({row["receiver"] for row in rows}) <= 16
    same = {"job_1": "https://A.example/1", "job_2": "https://a.example/2"}
    rows = fanout.deliveries_of([event(subject=job) for job in same], [default], same)
    assert len({row["receiver"] for row in rows}) == 1


def test_secrets_when_the_old_one_has_run_out_are_one() -> None:
    made = endpoint()
    assert made.secrets_at(datetime(2030, 1, 1, 11, tzinfo=UTC)) == ["whsec_new", "whsec_old"]
    assert made.secrets_at(NOON) == ["whsec_new"]
