"""What the server says of itself: abilities, description, health, numbers."""

from __future__ import annotations

import asyncio

import pytest

from server.ice import IceSettings
from server.rules import MotionRules
from streamgen import __version__
from streamgen.errors import ModelError

WEBRTC = ("whip", "whep")


async def at_once():
    return


async def not_at_all():
    raise ModelError("model 'x': its unet cannot be loaded")


def test_a_page_learns_all_that_it_needs(ask):
    body = ask("GET", "/v1/about").json()

    assert (body["version"], body["needs_token"]) == (__version__, False)
    assert body["model"] == "tiny" and "tiny" in body["models"]
    assert body["sizes"]["default"] == {"width": 256, "height": 256}
    assert {"width": 384, "height": 384} in body["sizes"]["allowed"]
    assert body["seats"] == {"all": 2, "free": 2, "waiting": 0}
    assert len(body["understands"]["styles"]) == 18
    strength = next(spec for spec in body["schema"] if spec["name"] == "strength")
    assert (strength["kind"], strength["minimum"], strength["maximum"]) == ("number", 0.0, 1.0)


def test_defaults_are_whole_so_that_a_page_need_not_know_them(ask):
    body = ask("GET", "/v1/about").json()

    prompts = next(spec for spec in body["schema"] if spec["name"] == "prompts")
    assert prompts["default"] == [{"text": "watercolor", "weight": 1.0}]


def test_without_its_token_a_server_tells_only_that_it_wants_one(ask, token):
    body = ask("GET", "/v1/about", settings={"token": token}).json()

    assert body == {"version": __version__, "needs_token": True}


def test_loras_are_told_at_first_and_afresh(serve, tmp_path):
    async def work(served):
        first = (await served.client.get("/v1/about")).json()
        (tmp_path / "rain.safetensors").write_bytes(b"nothing yet")
        return first, (await served.client.get("/v1/loras")).json()

    first, afresh = serve(work, loras=(tmp_path,))

    assert first["loras"] == []
    (rain,) = afresh["loras"]
    assert (rain["name"], rain["state"]) == ("rain", "broken")
    spec = next(spec for spec in first["schema"] if spec["name"] == "loras")
    assert (spec["kind"], spec["default"]) == ("loras", [])


def test_the_strength_of_motion_is_offered_where_there_is_an_adapter(ask, tmp_path):
    (tmp_path / "swing").mkdir()
    motion = MotionRules(adapter=str(tmp_path / "swing"))

    with_one = ask("GET", "/v1/about", settings={"motion": motion}).json()
    without = ask("GET", "/v1/about", settings={"motion": MotionRules(adapter="none")}).json()

    assert (with_one["motion"], without["motion"]) == ("swing", None)
    defaults = {spec["name"]: spec["default"] for spec in with_one["schema"]}
    assert defaults.pop("motion_strength") == 1.0
    assert [spec["name"] for spec in without["schema"]] == list(defaults)


def test_turn_passwords_are_made_for_each_visitor(serve):
    async def work(served):
        return [(await served.client.get("/v1/ice")).json()["iceServers"] for _ in range(2)]

    ice = IceSettings(stun=("stun:s:3478",), turn=("turn:t:3478",), turn_secret="north")
    first, second = serve(work, ice=ice)

    assert first[0] == {"urls": ["stun:s:3478"]}
    assert first[1]["urls"] == ["turn:t:3478"]
    assert first[1]["username"] != second[1]["username"]
    assert "north" not in str(first)


def readiness(serve, warm_up, **settings):
    async def work(served):
        for _ in range(5):
            await asyncio.sleep(0)
        return await served.client.get("/readyz"), await served.client.get("/healthz")

    return serve(work, warm_up=warm_up, **settings)


def test_a_server_is_ready_once_its_model_has_drawn(serve, is_refusal):
    waiting, alive = readiness(serve, None)
    ready, _ = readiness(serve, at_once)

    assert is_refusal(waiting, 503, "starting")
    assert alive.json() == {"status": "alive"}
    assert ready.json() == {"status": "ready"}


def test_a_model_that_cannot_be_had_is_told_and_ends_the_server(serve, is_refusal):
    async def work(served):
        await served.edge.ended.wait()
        return await served.client.get("/readyz"), served.edge.failure

    ready, failure = serve(work, warm_up=not_at_all)

    assert is_refusal(ready, 503, "failed")
    assert str(failure) == "model 'x': its unet cannot be loaded"


def test_a_server_whose_model_is_being_replaced_is_not_ready(serve, is_refusal):
    async def work(served):
        served.edge.be_ready()
        served.edge.is_model_alive = False
        return await served.client.get("/readyz")

    assert is_refusal(serve(work), 503, "restarting")


def test_the_metrics_count_by_route_and_name_no_session(serve):
    async def work(served):
        address = (await served.offer()).headers["location"]
        await served.client.get(address)
        await served.client.get("/nobody/knows/this")
        await served.client.get("/v1/about", headers={"Host": "evil.example"})
        served.edge.metrics.stage("model", 21.0)
        return address, await served.client.get("/metrics")

    address, response = serve(work)
    text = response.text

    assert response.headers["content-type"].startswith("text/plain")
    assert 'route="/v1/sessions/{id}",status="200"} 1.0' in text
    assert 'route="none",status="404"} 1.0' in text
    assert 'streamgen_refused_total{reason="unknown-host"} 1.0' in text
    assert 'streamgen_sessions{state="running"} 1.0' in text
    assert 'streamgen_seats{kind="free"} 1.0' in text
    assert 'streamgen_stage_seconds_bucket{le="0.035",stage="model"} 1.0' in text
    assert address.rpartition("/")[2] not in text
    assert "nobody" not in text


@pytest.fixture
def description(ask):
    return ask("GET", "/v1/openapi.json").json()


def routes(description):
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            yield f"{method} {path}", route


def test_the_description_names_every_route(description):
    assert {name for name, _ in routes(description)} == {
        "get /v1/about",
        "get /v1/thumbnails/{name}.webp",
        "get /v1/ice",
        "get /v1/loras",
        "post /v1/sessions",
        "get /v1/sessions/{id}",
        "patch /v1/sessions/{id}",
        "delete /v1/sessions/{id}",
        "get /v1/queue/{ticket}",
        "delete /v1/queue/{ticket}",
        "get /v1/streams",
        "post /v1/tokens",
        "get /v1/streams/{stream}",
        "patch /v1/streams/{stream}",
        "post /v1/streams/{stream}/guests",
        "delete /v1/streams/{stream}/guests/{id}",
        "post /v1/streams/{stream}/recording",
        "delete /v1/streams/{stream}/recording",
        "get /v1/streams/{stream}/recording",
        *(f"{method} /{folder}/{{stream}}" for folder in WEBRTC for method in ("post", "get")),
        *(
            f"{method} /{folder}/{{stream}}/{{id}}"
            for folder in WEBRTC
            for method in ("patch", "delete", "get")
        ),
        "get /healthz",
        "get /readyz",
        "get /metrics",
    }


def test_every_route_says_what_it_does_and_what_may_go_wrong(description):
    for name, route in routes(description):
        assert route["summary"] and route["tags"], name
        failures = {status: each for status, each in route["responses"].items() if status >= "400"}
        assert {"403", "429"} <= failures.keys(), name
        for each in failures.values():
            schema = each["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, name
        if "requestBody" in route:
            assert {"400", "413", "415", "422"} <= failures.keys(), name
        for parameter in route.get("parameters", ()):
            assert parameter["description"], name


def test_every_field_says_what_it_is_and_objects_take_no_others(description):
    schemas = description["components"]["schemas"]
    ours = {name: schema for name, schema in schemas.items() if name.endswith("Body")}

    assert {"OfferBody", "OpenedBody", "PatchBody", "AboutBody", "ErrorBody"} <= ours.keys()
    for name, schema in ours.items():
        assert schema["additionalProperties"] is False, name
        for field, described in schema["properties"].items():
            assert described.get("description"), f"{name}.{field}"


def test_what_needs_the_token_says_so(description):
    closed = {name for name, route in routes(description) if route.get("security")}

    assert {"post /v1/sessions", "patch /v1/sessions/{id}", "get /metrics"} <= closed
    assert "get /v1/loras" in closed
    assert {"get /v1/about", "get /healthz", "get /readyz"} & closed == set()
