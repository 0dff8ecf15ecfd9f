"""Clients of Unreal's Remote Control, other people's too, drive the embedded engine's server over real sockets."""

from __future__ import annotations

import http.client
import json
import random
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from conftest import wait_for
from remote_level import CHAIR, CUBE, Set, part_of, path_of
from upyrc import upyrc
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket

from agents.engine.agent import END_SECONDS
from agents.engine.remote import websocket as module
from agents.engine.remote.server import Addresses, RemoteServer
from agents.parts.http.door import BadDoor
from agents.parts.remote_control import ACTORS, BODY_LIMIT, SYSTEM

PATIENCE = 10.0
PASSPHRASE = "correct horse".replace(" ", "-") + "-battery"
MALFORMED = 10_000


@contextmanager
def serving(stage: Set, passphrase: str | None = None) -> Iterator[Addresses]:
    server = RemoteServer(stage.remote, "127.0.0.1", 0, 0, passphrase)
    try:
        yield server.start()
    finally:
        server.stop(PATIENCE)


@pytest.fixture
def stage() -> Set:
    return Set()


@pytest.fixture
def served(stage: Set) -> Iterator[Addresses]:
    with serving(stage) as addresses:
        yield addresses


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.fixture
def unreal(served: Addresses) -> upyrc.URConnection:
    """upyrc's connection, which takes us for Unreal."""
    return upyrc.URConnection(host="127.0.0.1", port=port_of(served.http), timeout=PATIENCE)


@pytest.fixture
def client(served: Addresses) -> Iterator[ClientConnection]:
    with connect_websocket(served.websocket, open_timeout=PATIENCE, max_size=None) as connected:
        yield connected


def request(number: int, route: str, **body: Any) -> str:  # Any: JSON
    asked = {"RequestId": number, "Url": f"/remote/{route}", "Verb": "PUT", "Body": body}
    return json.dumps({"MessageName": "http", "Parameters": asked})


def answer(client: ClientConnection) -> Any:  # as above
    return json.loads(client.recv(PATIENCE))


def test_upyrc_reads_and_writes_properties_by_their_names(unreal: upyrc.URConnection, stage: Set) -> None:
    mesh = unreal.get_ruobject(part_of(stage.cube, "StaticMeshComponent0"))

    mesh.RelativeLocation = {"X": 1.0, "Y": 2.0, "Z": 3.0}

    assert stage.cube.transform.position == (1.0, 2.0, 3.0)
    assert mesh.RelativeLocation == {"X": 1.0, "Y": 2.0, "Z": 3.0}
    assert mesh.get_uclass() == "/Script/Engine.StaticMeshComponent"
    assert mesh.get_property("NoSuchProperty", default="none") == "none"


def test_upyrc_runs_functions_of_actors_and_libraries(unreal: upyrc.URConnection, stage: Set) -> None:
    level = unreal.get_editor_actor_library()

    spawned = unreal.get_ruobject(level.run_function("SpawnActorFromObject", ObjectToUse=CUBE, Location={"X": 10, "Y": 0, "Z": 0}))

    spawned.run_function("SetActorLocation", NewLocation={"X": 20, "Y": 0, "Z": 0}, bSweep=False)
    assert spawned.run_function("GetActorLocation") == {"X": 20.0, "Y": 0.0, "Z": 0.0}
    assert "SetActorLocation" in spawned.get_all_functions()
    assert spawned.get_path() in level.run_function("GetAllLevelActors")


def test_upyrc_sees_an_error_where_unreal_has_one(unreal: upyrc.URConnection, stage: Set) -> None:
    assert unreal.get_ruobject("/Game/No.No") is None

    with pytest.raises(upyrc.URConnectionInvalidRequestError, match="Function: Jump does not exist on object"):
        unreal.get_ruobject(path_of(stage.cube)).run_function("Jump")


def test_upyrc_finds_assets_and_no_presets_or_thumbnails(unreal: upyrc.URConnection) -> None:
    assert [asset["Name"] for asset in unreal.query("cu", package_paths=["/Engine"], recursive_path=True)] == ["Cube"]

    assert unreal.get_all_presets() == []
    assert unreal.get_preset("Mine") is None
    assert unreal.get_thumbnail(CHAIR) is None
    assert unreal.ping() is not None


def test_upyrc_writes_many_properties_in_one_batch(unreal: upyrc.URConnection, stage: Set) -> None:
    lamp, camera = (unreal.get_ruobject(part_of(*each)) for each in ((stage.lamp, "LightComponent0"), (stage.camera, "CameraComponent")))

    with unreal.batch_context() as batch:  # of properties only: upyrc's run_function has no answer to read here, and fails
        lamp.set_property("Intensity", 2.5)
        camera.set_property("FieldOfView", 45)
        camera.get_property("FieldOfView")
    results = batch.execute()

    assert [result.response_code for result in results] == [200, 200, 200]
    assert results[2].response_body == {"FieldOfView": 45.0}
    assert stage.lamp.looks.shine is not None
    assert stage.lamp.looks.shine.intensity == 2.5


def test_pipelined_messages_are_answered_in_their_order(client: ClientConnection, stage: Set) -> None:
    for number in range(200):
        moved = {"NewLocation": {"X": number}}
        client.send(request(number, "object/call", objectPath=path_of(stage.cube), functionName="K2_SetActorLocation", parameters=moved))

    answers = [answer(client) for _ in range(200)]

    assert [each["RequestId"] for each in answers] == list(range(200))
    assert stage.cube.transform.position == (199.0, 0.0, 0.0)


def test_an_answer_is_a_binary_frame_as_unreals_is(client: ClientConnection) -> None:
    client.send(request(1, "object/call", objectPath=SYSTEM, functionName="GetFrameCount").encode())

    assert isinstance(client.recv(PATIENCE), bytes)


def test_a_message_in_parts_is_one_message(client: ClientConnection) -> None:
    whole = request(5, "object/call", objectPath=SYSTEM, functionName="GetFrameCount")

    client.send([whole[:10], whole[10:40], whole[40:]])

    assert answer(client)["RequestId"] == 5


@pytest.mark.parametrize(
    "cut", [lambda sent: sent, lambda sent: [sent[: BODY_LIMIT // 2], sent[BODY_LIMIT // 2 :]]], ids=["whole", "in parts"]
)
def test_a_message_that_is_too_long_ends_only_its_own_connection(
    client: ClientConnection, served: Addresses, cut: Callable[[bytes], bytes | list[bytes]]
) -> None:
    with connect_websocket(served.websocket) as other, pytest.raises(ConnectionClosed):
        other.send(cut(bytes(BODY_LIMIT + 1)))
        other.recv(PATIENCE)

    client.send(request(1, "search/assets"))
    assert answer(client)["ResponseCode"] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "http://evil.example"}, 403), ({"Host": "evil.example"}, 421), ({"Sec-Fetch-Site": "cross-site"}, 403)],
    ids=["origin", "host", "site"],
)
def test_pages_of_others_reach_neither_door(served: Addresses, headers: dict[str, str], status: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(served.http), timeout=PATIENCE)) as connection:
        connection.request("GET", "/remote/info", headers=headers)
        refused = connection.getresponse()
        assert (refused.status, "errorMessage" in json.loads(refused.read())) == (status, True)

    assert upgrade(served, headers) == status


def upgrade(served: Addresses, headers: dict[str, str]) -> int:
    """The status by which a WebSocket is opened or refused."""
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(served.websocket), timeout=PATIENCE)) as connection:
        key = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        }
        connection.request("GET", "/", headers={**key, **headers})
        return connection.getresponse().status


def test_no_page_from_elsewhere_is_allowed_to_ask(served: Addresses) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(served.http), timeout=PATIENCE)) as connection:
        connection.request("OPTIONS", "/remote/object/call", headers={"Origin": "http://evil.example"})
        refused = connection.getresponse()

    assert (refused.status, refused.getheader("Access-Control-Allow-Origin")) == (403, None)


def test_a_body_must_say_that_it_is_json(served: Addresses) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(served.http), timeout=PATIENCE)) as connection:
        connection.request("PUT", "/remote/search/assets", b"{}", {"Content-Type": "text/plain"})
        refused = connection.getresponse()

        assert (refused.status, "application/json" in json.loads(refused.read())["errorMessage"]) == (400, True)


def test_who_does_not_know_the_passphrase_reaches_neither_door(stage: Set) -> None:
    with serving(stage, PASSPHRASE) as served, closing(http.client.HTTPConnection("127.0.0.1", port_of(served.http))) as connection:
        connection.request("GET", "/remote/info")
        assert connection.getresponse().status == 401
        connection.request("GET", "/remote/info", headers={"Passphrase": PASSPHRASE})
        assert connection.getresponse().status == 200
        assert upgrade(served, {"Passphrase": "a guess"}) == 401
        assert upgrade(served, {"Passphrase": PASSPHRASE}) == 101


@pytest.mark.parametrize(("host", "passphrase"), [("0.0.0.0", None), ("127.0.0.1", "short"), ("localhost.example", None)])
def test_no_server_starts_where_strangers_could_come_in(stage: Set, host: str, passphrase: str | None) -> None:
    with pytest.raises(BadDoor):
        RemoteServer(stage.remote, host, 0, 0, passphrase).start()


def test_taken_ports_yield_other_ones(stage: Set, served: Addresses) -> None:
    second = RemoteServer(stage.remote, "127.0.0.1", port_of(served.http), port_of(served.websocket))

    addresses = second.start()
    second.stop(PATIENCE)

    assert addresses.http != served.http
    assert addresses.websocket != served.websocket


def test_one_connection_more_than_there_may_be_is_refused(served: Addresses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 1)

    with connect_websocket(served.websocket), pytest.raises(InvalidStatus, match="503"):
        connect_websocket(served.websocket)


def test_connections_that_ask_for_nothing_are_bounded_too(stage: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 2)

    with serving(stage) as addresses, ExitStack() as opened:
        port = port_of(addresses.websocket)
        silent = [opened.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)) for _ in range(5)]
        assert silent[4].recv(1) == b""
        for connection in silent:
            connection.close()
        wait_for(lambda: is_welcome(addresses.websocket), "room for another one")


def is_welcome(address: str) -> bool:
    try:
        with connect_websocket(address):
            return True
    except (InvalidStatus, InvalidMessage, ConnectionClosed, ConnectionError, EOFError):
        return False


def test_a_client_that_reads_nothing_is_cut_and_the_others_go_on(
    stage: Set, served: Addresses, client: ClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    asked = long_question(stage)

    with connect_websocket(served.websocket, max_queue=1, close_timeout=0.1) as deaf:
        wait_for(lambda: is_cut(deaf, asked), "the end of a connection whose answers nobody reads")

    client.send(request(2, "search/assets"))
    assert answer(client)["RequestId"] == 2


def test_a_client_that_asks_much_more_than_it_reads_is_not_waited_for(
    stage: Set, served: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_LIMIT", module.WRITE_HIGH)
    monkeypatch.setattr(module, "READ_SECONDS", 600)
    asked = long_question(stage)

    with connect_websocket(served.websocket, max_queue=1, close_timeout=0.1) as greedy:
        wait_for(lambda: is_cut(greedy, asked), "the end of a connection that has asked too much")


def long_question(stage: Set) -> str:
    """A short request with an answer of about 400 KB."""
    for _ in range(5000):
        stage.world.spawn("Actor", stage.cube.transform, stage.cube.looks)
    return request(1, "object/call", objectPath=ACTORS, functionName="GetAllLevelActors")


def is_cut(client: ClientConnection, asked: str) -> bool:
    try:
        client.send(asked)
    except ConnectionClosed:
        return True
    return False


def test_stopping_ends_connections_and_frees_the_ports(stage: Set) -> None:
    server = RemoteServer(stage.remote, "127.0.0.1", 0, 0)
    addresses = server.start()
    with connect_websocket(addresses.websocket) as client:
        server.stop(PATIENCE)

        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(addresses.http)), PATIENCE)


def test_neither_a_deaf_client_nor_a_slow_one_keeps_it_from_ending_in_time(stage: Set) -> None:
    server = RemoteServer(stage.remote, "127.0.0.1", 0, 0)
    addresses = server.start()
    asked = long_question(stage)
    with (
        connect_websocket(addresses.websocket, max_queue=1, close_timeout=0.1) as deaf,
        socket.create_connection(("127.0.0.1", port_of(addresses.http)), PATIENCE) as slow,
    ):
        for _ in range(25):
            deaf.send(asked)
        slow.sendall(b"PUT /remote/object/call HTTP/1.1\r\nHost: %b\r\nContent-Length: 99\r\n\r\n{" % addresses.http[7:].encode())
        server.stop(END_SECONDS)

        assert not server.is_answering


def test_ten_thousand_malformed_requests_over_http_are_each_refused_and_the_engine_goes_on(served: Addresses, stage: Set) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(served.http), timeout=PATIENCE)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    for verb, route, body in malformed(stage):
        connection.request(verb, f"/remote/{route}", body, {"Content-Type": "application/json"})
        refused = connection.getresponse()
        assert (400 <= refused.status < 500, "errorMessage" in json.loads(refused.read())) == (True, True), (route, body)

    connection.request("GET", "/remote/info")
    assert connection.getresponse().status == 200


def test_ten_thousand_malformed_messages_are_each_refused_and_the_engine_goes_on(client: ClientConnection, stage: Set) -> None:
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(lambda: [answer(client) for _ in range(MALFORMED)])
        for _, route, body in malformed(stage):
            client.send(b'{"MessageName":"http","Parameters":{"Url":"/remote/%b","Verb":"PUT","Body":%b}}' % (route.encode(), body))
        answers = refused.result(60)

    assert {400 <= each["ResponseCode"] < 500 and "errorMessage" in each["ResponseBody"] for each in answers} == {True}
    client.send(request(9, "search/assets"))
    assert answer(client)["ResponseCode"] == 200


def malformed(stage: Set) -> Iterator[tuple[str, str, bytes]]:
    """The same ones every time: bodies torn, typed wrongly and nested too deeply, and objects, functions and routes that are not there."""
    chance = random.Random(8)
    whole = json.dumps({"objectPath": path_of(stage.cube), "functionName": "K2_SetActorLocation"}).encode()
    kinds: list[Callable[[], tuple[str, bytes]]] = [
        lambda: ("object/call", whole[: chance.randrange(1, len(whole))]),
        lambda: ("object/call", whole.replace(b"Set", chance.randbytes(2).hex().encode())),
        lambda: ("object/property", whole.replace(b"Level.", chance.randbytes(2).hex().encode())),
        lambda: ("object/call", whole[:-1] + b',"parameters":{"NewLocation":{"X":"%d"}}}' % chance.randrange(100)),
        lambda: ("batch", b"[" * chance.randrange(1, 5000)),
        lambda: ("object/describe", json.dumps(chance.choice([None, 1, "x", [], {}, {"objectPath": []}])).encode()),
        lambda: (f"object/{chance.randrange(1000)}", b"{}"),
    ]
    for number in range(MALFORMED):
        yield "PUT", *kinds[number % len(kinds)]()
