"""Buckets on a clock of the test's own, and the cap on bodies that come slowly."""

from __future__ import annotations

import asyncio

import pytest

from server.limits import BodyCap, Bucket, Rate, Turnstile, network_of


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = Bucket(Rate(per_minute=60, burst=3), 0.0)

    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1.0), bucket.take(1.5), bucket.take(2.0)] == [True, False, True]


def test_a_bucket_that_rests_holds_no_more_than_its_burst():
    bucket = Bucket(Rate(per_minute=60, burst=2), 0.0)

    assert [bucket.take(1e6) for _ in range(3)] == [True, True, False]


def test_addresses_do_not_share_a_bucket(clock):
    stile = Turnstile(Rate(per_minute=1, burst=1), clock=clock)

    assert [stile.admits(who) for who in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == [
        True,
        False,
        True,
    ]
    clock.now_s += stile.retry_s
    assert stile.admits("192.0.2.1")


def test_the_table_of_addresses_does_not_grow_without_end(clock):
    stile = Turnstile(Rate(per_minute=1, burst=1), clock=clock, max_keys=100)

    for number in range(1000):
        stile.admits(f"10.0.{number // 250}.{number % 250}")

    assert len(stile) == 100


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_client_is_told_by_the_network_that_it_cannot_choose(address, network):
    assert network_of(address) == network


def test_a_body_that_never_comes_is_given_up():
    sent = []

    async def app(scope, receive, send):
        raise AssertionError("it was let through")

    async def never():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    cap = BodyCap(app, patience_s=0.0)
    asyncio.run(cap({"type": "http", "method": "POST", "headers": []}, never, send))

    assert sent[0]["status"] == 408


def test_a_client_that_hangs_up_is_not_answered():
    async def app(scope, receive, send):
        raise AssertionError("it was let through")

    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        raise AssertionError("it was answered")

    asyncio.run(BodyCap(app)({"type": "http", "method": "PATCH", "headers": []}, gone, send))
