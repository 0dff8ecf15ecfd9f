"""The site without a server: which paths there are, what browsers are told about them, and who gets what where it must be paired."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from asgi import HOST, Reply, ask
from prometheus_client.parser import text_string_to_metric_families

from agents.parts.http.asgi import App
from agents.parts.http.gate import Gate
from agents.xr.door import pictures
from agents.xr.door.admission import Admission
from agents.xr.door.answers import guarded
from agents.xr.door.files import FOLDER
from agents.xr.door.metrics import Metric, Metrics
from agents.xr.door.pairing import WRONG_TOKENS, Pairing
from agents.xr.door.pictures import Pictures
from agents.xr.door.site import Site
from agents.xr.door.stream import Streams
from agents.xr.door.visitor import Visitor
from agents.xr.wire.messages import Hello

GATE = Gate(address=ip_address("127.0.0.1"), port=8000)
PAIRED = Gate(address=ip_address("127.0.0.1"), port=8000, scheme="https")
MEASURED = [
    Metric(name="xr_motion_to_photon_seconds", documentation="Of a head", values={("0.5",): 0.012, ("0.99",): 0.02}, labels=("quantile",)),
    Metric(name="xr_overlay_error_pixels", documentation="Of a marker", values={(): 0.7}),
]


async def two_pictures() -> AsyncIterator[tuple[int, bytes]]:
    yield 4, b"four"
    yield 9, b"nine"


def nobody(hello: Hello) -> Visitor:
    raise AssertionError("no page comes")


@pytest.fixture
def site() -> Site:
    return Site(Streams(nobody), Pictures(two_pictures), Metrics(lambda: MEASURED))


@pytest.fixture
def loopback(site: Site) -> App:
    return guarded(site.application(), GATE)


@pytest.fixture
def pairing() -> Pairing:
    return Pairing(b"k" * 32)


@pytest.fixture
def paired(site: Site, pairing: Pairing) -> App:
    return guarded(Admission(site, pairing, 8000), PAIRED)


def get(app: App, path: str, **headers: str) -> Reply:
    return ask(app, path=path, headers=(("Host", HOST), *headers.items()))


def post(app: App, body: bytes) -> Reply:
    return ask(app, {"parts": [body]}, method="POST", path="/pair", headers=(("Host", HOST), ("Origin", f"https://{HOST}")))


def hand_in(app: App, token: str) -> Reply:
    return post(app, json.dumps({"token": token}).encode())


@pytest.mark.parametrize(
    ("path", "file", "media_type"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/overlay", "overlay.html", "text/html; charset=utf-8"),
        ("/page/main.js", "main.js", "text/javascript; charset=utf-8"),
        ("/page/style.css", "style.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "icon.svg", "image/svg+xml"),
    ],
)
def test_the_page_is_served_as_it_lies_in_its_folder(loopback: App, path: str, file: str, media_type: str) -> None:
    reply = get(loopback, path)

    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, (FOLDER / file).read_bytes(), media_type)


@pytest.mark.parametrize("name", ["none.js", "..", "../__init__.py", "%2e%2e", "main.js/", ".hidden.js", "main", "main.py", "", "a\x00.js"])
def test_no_other_file_is(loopback: App, name: str) -> None:
    assert get(loopback, f"/page/{name}").status in (404, 307)


@pytest.mark.parametrize("path", ["/", "/none", "/metrics"])
def test_browsers_are_told_to_run_nothing_of_others(loopback: App, path: str) -> None:
    headers = get(loopback, path).headers

    assert "default-src 'self'" in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["permissions-policy"] == "xr-spatial-tracking=(self)"


def test_who_is_refused_is_told_so_in_the_same_words(loopback: App) -> None:
    reply = ask(loopback, headers=(("Host", "evil.example"),))

    assert (reply.status, reply.headers["x-content-type-options"]) == (421, "nosniff")
    assert "no server of" in json.loads(reply.body)["error"]


def test_who_asks_for_a_stream_as_for_a_page_is_told_what_it_is(loopback: App) -> None:
    reply = get(loopback, "/stream")

    assert (reply.status, reply.headers["upgrade"]) == (426, "websocket")
    assert "WebSocket" in json.loads(reply.body)["error"]


def test_prometheus_reads_the_metrics(loopback: App) -> None:
    families = {family.name: family for family in text_string_to_metric_families(get(loopback, "/metrics").body.decode())}

    assert {sample.labels["quantile"]: sample.value for sample in families["xr_motion_to_photon_seconds"].samples} == {
        "0.5": 0.012,
        "0.99": 0.02,
    }
    assert families["xr_overlay_error_pixels"].samples[0].value == 0.7


def test_each_picture_is_whole_and_says_which_it_is(loopback: App) -> None:
    reply = get(loopback, "/overlay.mjpeg")
    parts = reply.body.split(b"--picture\r\n")

    assert reply.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [b"four\r\n", b"nine\r\n"]
    assert parts[1].startswith(b"Content-Type: image/jpeg\r\nContent-Length: 4\r\nX-Sequence: 4\r\n")
    assert parts[0] == parts[-1] == b"", "a browser shows a picture when it sees the boundary behind it"


def test_so_many_look_at_the_pictures_and_no_more(loopback: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "VIEWERS", 0)
    assert get(loopback, "/overlay.mjpeg").status == 503

    monkeypatch.setattr(pictures, "VIEWERS", 1)
    assert [get(loopback, "/overlay.mjpeg").status for _ in range(3)] == [200] * 3


def test_a_viewer_that_leaves_makes_room(loopback: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "VIEWERS", 1)

    ask(loopback, {"leaves_after": 3, "stalls": True}, path="/overlay.mjpeg")

    assert get(loopback, "/overlay.mjpeg").status == 200


@pytest.mark.parametrize("path", ["/overlay", "/metrics", "/overlay.mjpeg", "/stream", "/none", "/page"])
def test_who_is_not_paired_gets_nothing(paired: App, path: str) -> None:
    assert get(paired, path).status == 401
    assert get(paired, path, Cookie="__Host-xr-8000=1.abc; __Host-xr-8001=x").status == 401


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_but_the_page_that_pairs(paired: App, path: str) -> None:
    assert get(paired, path).status == 200


def test_a_token_is_exchanged_for_a_cookie_that_lets_in(paired: App, pairing: Pairing) -> None:
    reply = hand_in(paired, pairing.invite().token)
    cookie, *attributes = reply.headers["set-cookie"].split("; ")

    assert reply.status == 204
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=2592000"} == set(attributes)
    assert get(paired, "/metrics", Cookie=f"other=1; {cookie}").status == 200


def test_a_token_is_of_use_once(paired: App, pairing: Pairing) -> None:
    token = pairing.invite().token

    assert [hand_in(paired, token).status for _ in range(2)] == [204, 403]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"token": 1}', b'{"token": "' + b"a" * 129 + b'"}', b"\xff", b'{"token": "\\ud800"}']
)
def test_what_is_no_token_is_a_bad_request(paired: App, body: bytes) -> None:
    assert post(paired, body).status == 400


@pytest.mark.parametrize("path", ["/pair", "/metrics"])
def test_a_long_body_is_not_read(paired: App, path: str) -> None:
    said_to_be_long = (("Host", HOST), ("Content-Length", "1025"))

    assert ask(paired, {"parts": ()}, method="POST", path=path, headers=said_to_be_long).status == 413
    assert ask(paired, {"parts": [b" " * 1025], "whole": False}, method="POST", path=path).status == 413


def test_who_guesses_is_told_to_wait(paired: App) -> None:
    replies = [hand_in(paired, f"wrong {number}") for number in range(WRONG_TOKENS + 1)]

    assert [reply.status for reply in replies] == [403] * WRONG_TOKENS + [429]
    assert replies[-1].headers["retry-after"] == "60"


def test_nobody_pairs_on_loopback(loopback: App) -> None:
    assert ask(loopback, method="POST", path="/pair").status == 404
