"""Responses that an engine keeps: who asks for them later, by the client that people have, gets them from the one
engine that has them; and nobody gets another's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from nexus_gateway.kept_responses.memory import MemoryPlaces
from nexus_gateway.kept_responses.place import NOBODYS, Place
from nexus_gateway.keys import digest

from ..support.decision_log import PATH, Repository, replay
from ..support.gateway import PLAIN, RELEASE, Gateway, code, until, write_routes
from ..support.keeper import Keeper, events, text_of
from ..support.page_blocks import BLOCKS
from ..support.redis_server import RedisServer, patient_bin

OTHER = "the-key-of-another-tenant"
NARROW = "the-key-of-a-tenant-with-few-requests"
KEYS = {"GATEWAY_API_KEYS": f"dev-key,{OTHER},{NARROW}"}
COUNT = 6


@pytest.fixture(scope="module")
def keepers() -> Iterator[list[Keeper]]:
    """Two as vLLM is, and one that has the whole of the API."""
    made = [Keeper(), Keeper(), Keeper(whole=True)]
    yield made
    for keeper in made:
        keeper.stop()


def routes(keepers: list[Keeper], **more: Any) -> dict[str, Any]:
    one, other, whole = (keeper.url for keeper in keepers)
    return {
        "upstreams": {
            "fleet": {"endpoints": [one, other], "release": RELEASE},
            "whole": {"url": whole},
            "chat-only": {"url": one, "apis": ["chat"]},
        },
        "routes": {
            "m": {"strategy": "direct", "upstream": "fleet"},
            "whole": {"strategy": "direct", "upstream": "whole"},
            "masked": {"strategy": "direct", "upstream": "fleet", "masking": {"answers": True, "restore": False}},
            "copied": {"strategy": "direct", "upstream": "fleet", "shadow": {"upstream": "whole", "percent": 100}},
            "stands-in": {"strategy": "direct", "upstream": "chat-only", "fallbacks": ["whole"]},
        },
        "policies": {f"env-{digest(NARROW.encode()).hex()[:8]}": {"requests_per_minute": 2}},
        **more,
    }


@pytest.fixture(scope="module")
def keeping(keepers: list[Keeper], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("keeping")
    files = write_routes(folder / "routes", {"all": routes(keepers)})
    running = Gateway(folder, "--routes", str(files), env=KEYS).wait()
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(keeping: Gateway) -> Iterator[OpenAI]:
    with client_of(keeping) as made:
        yield made


def client_of(gateway: Gateway, key: str = "dev-key") -> OpenAI:
    return OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def ask(gateway: Gateway, method: str, target: str, key: str = "dev-key") -> httpx.Response:
    return httpx.request(
        method, f"{gateway.url}/v1/responses/{target}", headers={"x-api-key": key}, timeout=30, verify=PLAIN
    )


def create(gateway: Gateway, key: str = "dev-key", **body: Any) -> httpx.Response:
    asked = {"model": "m", "input": "hello", **body}
    return httpx.post(f"{gateway.url}/v1/responses", json=asked, headers={"x-api-key": key}, timeout=30, verify=PLAIN)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_of_several_engines_the_one_that_has_a_response_is_asked(
    client: OpenAI, keepers: list[Keeper], stream: bool
) -> None:
    def made(number: int) -> str:
        if not stream:
            return client.responses.create(model="m", input=f"number {number}").id
        with client.responses.stream(model="m", input=f"number {number}") as told:
            return told.get_final_response().id

    ids = [made(number) for number in range(COUNT)]
    for number, response in enumerate(ids):
        assert client.responses.retrieve(response).output_text == f"number {number}"
    for keeper in keepers[:2]:
        assert {target for method, target in keeper.asked if method == "GET"} <= {
            f"/v1/responses/{response}" for response in keeper.kept
        }


def test_the_engine_is_told_by_whom_and_nothing_of_the_clients_own(keeping: Gateway, keepers: list[Keeper]) -> None:
    response = create(keeping, model="whole").json()["id"]
    found = ask(keeping, "GET", f"{response}?include[]=x&after=a%2Fb")
    assert found.content == json.dumps(keepers[2].kept[response]).encode(), "its bytes are the engine's"
    assert keepers[2].asked[-1] == ("GET", f"/v1/responses/{response}?include[]=x&after=a%2Fb")
    assert not keepers[2].heads[-1].keys() & {"x-api-key", "authorization", "content-length"}
    assert {"x-nexus-revision", "x-nexus-route", "x-request-id"} <= found.headers.keys()


def test_a_conversation_goes_on_where_it_is_kept(client: OpenAI, keepers: list[Keeper]) -> None:
    before, said = None, []
    for number in range(COUNT):
        answer = client.responses.create(model="m", input=str(number), previous_response_id=before)
        before, said = answer.id, [*said, str(number)]
        assert answer.output_text == " ".join(said)


def test_the_program_of_the_page_goes_on_and_looks(keeping: Gateway) -> None:
    page = "docs/how-to/go-on-from-responses.md"
    (program,) = (block.text for block in BLOCKS if (block.page, block.language) == (page, "python"))
    typed = program.replace("http://127.0.0.1:8000", keeping.url).replace('model="chat"', 'model="m"')
    done = subprocess.run([sys.executable, "-c", typed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_went_on_is_answered_again_by_its_idempotency_key_when_its_beginning_is_gone(keeping: Gateway) -> None:
    first = create(keeping, model="whole").json()["id"]
    with client_of(keeping) as client:

        def go_on() -> Any:
            return client.responses.with_raw_response.create(
                model="whole", input="x", previous_response_id=first, extra_headers={"idempotency-key": first}
            )

        once = go_on()
        assert ask(keeping, "DELETE", first).status_code == 200
        again = go_on()
    assert (again.headers["idempotency-replayed"], again.content) == ("true", once.content)


@pytest.mark.parametrize(
    ("method", "target"), [("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")]
)
def test_another_tenant_finds_nothing_and_no_engine_is_asked(
    keeping: Gateway, keepers: list[Keeper], method: str, target: str
) -> None:
    response = create(keeping, model="whole").json()["id"]
    asked = len(keepers[2].asked)
    theirs = ask(keeping, method, f"{response}{target}", OTHER)
    nobodys = ask(keeping, method, f"resp_{'0' * 32}{target}")
    assert (theirs.status_code, code(theirs)) == (nobodys.status_code, code(nobodys)) == (404, "response_not_found")
    assert len(keepers[2].asked) == asked
    assert ask(keeping, "GET", response).status_code == 200


def test_another_tenants_response_is_not_gone_on_from(keeping: Gateway, keepers: list[Keeper]) -> None:
    response = create(keeping, model="whole", input="a secret").json()["id"]
    asked = len(keepers[2].asked)
    theirs = create(keeping, OTHER, model="whole", previous_response_id=response)
    assert (theirs.status_code, code(theirs)) == (400, "previous_response_not_found")
    with pytest.raises(openai.BadRequestError) as none, client_of(keeping) as client:
        client.responses.create(model="whole", input="x", previous_response_id="resp_none")
    assert none.value.code == "previous_response_not_found"
    assert len(keepers[2].asked) == asked


def test_an_id_that_two_tenants_have_chosen_is_nobodys(keeping: Gateway) -> None:
    """vLLM takes `request_id` for the response's own: who chooses another's would put his own in its place."""
    for key, text in (("dev-key", "mine"), (OTHER, "yours")):
        assert create(keeping, key, model="whole", request_id="resp_chosen", input=text).status_code == 200
    for key in ("dev-key", OTHER):
        assert code(ask(keeping, "GET", "resp_chosen", key)) == "response_not_found"


def test_an_events_number_to_start_after_is_the_engines_to_read(client: OpenAI, keepers: list[Keeper]) -> None:
    response = client.responses.create(model="whole", input="hello").id
    told = list(client.responses.retrieve(response, stream=True, starting_after=2))
    assert [event.type for event in told] == ["response.output_text.delta", "response.completed"]
    everything = client.responses.with_raw_response.retrieve(response, stream=True).http_response.read()
    data = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events(keepers[2].kept[response])]
    assert everything.decode() == "".join(data)


def test_what_runs_in_the_background_is_cancelled(client: OpenAI) -> None:
    running = client.responses.create(model="m", input="hello", background=True)
    assert (running.status, client.responses.cancel(running.id).status) == ("queued", "cancelled")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel"):
        client.responses.cancel(client.responses.create(model="m", input="hello").id)


def test_what_is_deleted_is_gone_and_what_the_engine_lists_is_listed(client: OpenAI) -> None:
    response = client.responses.create(model="whole", input="hello").id
    assert list(client.responses.input_items.list(response)) == []
    client.responses.delete(response)
    with pytest.raises(openai.NotFoundError) as gone:
        client.responses.retrieve(response)
    assert gone.value.code == "response_not_found"


@pytest.mark.parametrize(("method", "target"), [("DELETE", ""), ("GET", "/input_items")])
def test_what_an_engine_does_not_speak_is_told(keeping: Gateway, method: str, target: str) -> None:
    told = ask(keeping, method, create(keeping).json()["id"] + target)
    assert (told.status_code, code(told)) == (404, "api_not_served")


def test_a_query_of_get_does_not_make_a_stream_of_what_is_deleted(keeping: Gateway, keepers: list[Keeper]) -> None:
    response = create(keeping, model="whole").json()["id"]
    told = ask(keeping, "DELETE", f"{response}?stream=true")
    assert (told.status_code, told.json()) == (200, {"id": response, "object": "response", "deleted": True})
    assert code(ask(keeping, "GET", response)) == "response_not_found"


def test_what_is_not_to_be_stored_is_not_found(keeping: Gateway) -> None:
    assert code(ask(keeping, "GET", create(keeping, store=False).json()["id"])) == "response_not_found"


def test_a_fallbacks_response_is_found_by_the_model_that_was_asked_for(keeping: Gateway, keepers: list[Keeper]) -> None:
    made = create(keeping, model="stands-in")
    assert made.headers["x-fallback-model"] == "whole"
    assert ask(keeping, "GET", made.json()["id"]).content == made.content
    gone_on = create(keeping, model="stands-in", previous_response_id=made.json()["id"])
    assert text_of(gone_on.json()) == "hello hello"


def test_a_model_of_other_engines_cannot_go_on(keeping: Gateway) -> None:
    told = create(keeping, model="whole", previous_response_id=create(keeping).json()["id"])
    assert (told.status_code, code(told)) == (400, "previous_response_not_found")
    assert "does not answer for whole" in told.json()["error"]["message"]


def test_an_answer_that_is_masked_is_masked_later_too(keeping: Gateway, keepers: list[Keeper]) -> None:
    """The engine has got the placeholder alone; what it says of its own is masked whenever it says it."""
    made = create(keeping, model="masked", input="mail kim@example.org").json()
    assert text_of(made) == "mail <EMAIL_1>"
    (keeper,) = [keeper for keeper in keepers if made["id"] in keeper.kept]
    keeper.kept[made["id"]]["output"][0]["content"][0]["text"] = "or lee@example.org"
    for target in (made["id"], f"{made['id']}?stream=true"):
        assert "lee@example.org" not in ask(keeping, "GET", target).text


def test_what_goes_on_from_a_response_is_not_copied(keeping: Gateway, keepers: list[Keeper]) -> None:
    before = len(keepers[2].asked)
    first = create(keeping, model="copied").json()["id"]
    assert text_of(create(keeping, model="copied", previous_response_id=first).json()) == "hello hello"
    create(keeping, model="copied")
    until(lambda: len(keepers[2].asked) == before + 2, "the other two have been")


def test_to_ask_for_responses_counts_as_requests(keeping: Gateway) -> None:
    response = create(keeping, NARROW).json()["id"]
    assert [ask(keeping, "GET", response, NARROW).status_code for _ in range(2)] == [200, 429]


def test_a_look_has_no_tokens_of_its_own_and_tells_what_was_masked_in_it(keepers: list[Keeper], tmp_path: Path) -> None:
    files = write_routes(tmp_path / "routes", {"all": routes(keepers)})
    running = Gateway(tmp_path, "--routes", str(files), env=KEYS).wait()

    def metrics() -> str:
        return running.get("/metrics").text

    response = create(running, model="masked").json()["id"]
    (keeper,) = [keeper for keeper in keepers if response in keeper.kept]
    keeper.kept[response]["output"][0]["content"][0]["text"] = "or lee@example.org"
    for target in (response, f"{response}?stream=true"):
        assert ask(running, "GET", target).status_code == 200
    until(lambda: 'method="GET",path="/v1/responses/{response_id}",status="200"} 2.0' in metrics(), "both are counted")
    firsts = [line for line in metrics().splitlines() if line.startswith("gateway_time_to_first_byte_seconds_count{")]
    assert [line.split()[-1] for line in firsts] == ["1.0"], "how fast an engine answers is not told by its memory"
    assert running.stop() == 0
    told = [line for line in running.lines() if line.get("path", "").startswith("/v1/responses")]
    assert [(line["prompt_tokens"], line["completion_tokens"]) for line in told] == [(7, 3), (0, 0), (0, 0)]
    assert [line.get("masked_values", 0) for line in told] == [0, 1, 1]


@pytest.mark.parametrize("target", ["%2e%2e%2fmodels", "a%00b", "x" * 256, "a%20b"])
def test_a_name_that_means_something_in_a_path_is_no_response(keeping: Gateway, target: str) -> None:
    told = ask(keeping, "GET", target)
    assert (told.status_code, code(told)) in {(404, "response_not_found"), (404, "page_not_found")}


def test_other_methods_are_told_which_there_are(keeping: Gateway) -> None:
    for method, target in (("HEAD", "resp_1"), ("POST", "resp_1"), ("GET", "resp_1/cancel")):
        told = ask(keeping, method, target)
        assert told.status_code == 405
        assert set(told.headers["allow"].split(", ")) <= {"GET", "DELETE", "POST"}


def test_traffic_that_moves_takes_no_response_along(keepers: list[Keeper], tmp_path: Path) -> None:
    """And decisions that were held to an engine are made again as they were."""
    upstreams = {"old": {"url": keepers[0].url}, "new": {"url": keepers[1].url}}

    def split(percent: int) -> dict[str, Any]:
        route = {"strategy": "canary", "primary": "old", "canary": "new", "percent": percent}
        return {"m": {"upstreams": upstreams, "routes": {"m": route}}}

    def moved(files: dict[str, Any]) -> None:
        before = running.config()["revision"]
        repository.commit(files)
        until(lambda: running.config()["revision"] != before, "the new routes are served")

    repository, log = Repository(tmp_path / "repository"), tmp_path / "log"
    repository.commit(split(0))
    running = Gateway(tmp_path, "--routes", str(repository.folder), "--decisions", str(log)).wait()
    first = create(running).json()["id"]
    moved(split(100))
    second = create(running, previous_response_id=first).json()
    assert (second["id"] in keepers[0].kept, text_of(second)) == (True, "hello hello")
    assert create(running).json()["id"] in keepers[1].kept
    moved({"m": {"upstreams": {"new": upstreams["new"]}, "routes": {"m": {"strategy": "direct", "upstream": "new"}}}})
    assert code(ask(running, "GET", first)) == "response_not_found"
    assert code(create(running, previous_response_id=first)) == "previous_response_not_found"
    assert running.stop() == 0
    told = replay(log, "--repository", repository.root, "--path", PATH)
    assert told.status == 0, told.err


def test_a_model_that_one_may_no_longer_use_gives_its_responses_no_more(keepers: list[Keeper], tmp_path: Path) -> None:
    files = write_routes(tmp_path / "routes", {"all": routes(keepers)})
    running = Gateway(tmp_path, "--routes", str(files), env=KEYS).wait()
    response = create(running, OTHER).json()["id"]
    owner = f"env-{digest(OTHER.encode()).hex()[:8]}"
    write_routes(files, {"all": routes(keepers, policies={owner: {"models": ["whole"]}})})
    until(lambda: create(running, OTHER).status_code == 403, "the new policy holds")
    assert code(ask(running, "GET", response, OTHER)) == "model_not_allowed"
    assert running.stop() == 0


@pytest.mark.services
def test_another_gateway_finds_it_by_redis_and_says_so_while_it_cannot(keepers: list[Keeper], tmp_path: Path) -> None:
    redis = RedisServer(tmp_path).start()
    files = write_routes(tmp_path / "routes", {"all": routes(keepers)})
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    env = {**KEYS, "GATEWAY_REDIS_URL": redis.url}
    bin_folder = patient_bin(tmp_path)
    one, other = (Gateway(folder, "--routes", str(files), env=env, bin_folder=bin_folder) for folder in folders)
    one.wait(), other.wait()
    ids = [create(one).json()["id"] for _ in range(COUNT)]
    assert {ask(other, "GET", response).status_code for response in ids} == {200}
    assert text_of(create(other, previous_response_id=ids[0]).json()) == "hello hello"
    assert code(ask(other, "GET", ids[0], OTHER)) == "response_not_found"
    assert create(other, OTHER, request_id=ids[1]).status_code == 200
    assert [code(ask(gateway, "GET", ids[1])) for gateway in (one, other)] == ["response_not_found"] * 2
    redis.kill()
    assert ask(one, "GET", ids[0]).status_code == 200, "the one that made it knows by itself"
    told = ask(other, "GET", ids[0])
    assert (told.status_code, code(told), told.headers["retry-after"]) == (503, "responses_unavailable", "1")
    assert create(other).status_code == 200, "answers go out"
    assert [gateway.stop() for gateway in (one, other)] == [0, 0]


@pytest.mark.services
def test_an_id_that_two_have_chosen_is_nobodys_though_redis_takes_no_note_of_the_second(
    keepers: list[Keeper], tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path).start()
    files = write_routes(tmp_path / "routes", {"all": routes(keepers)})
    env = {**KEYS, "GATEWAY_REDIS_URL": redis.url}
    running = Gateway(tmp_path, "--routes", str(files), env=env, bin_folder=patient_bin(tmp_path)).wait()
    assert create(running, model="whole", request_id="resp_full", input="mine").status_code == 200
    redis.fill()
    assert create(running, OTHER, model="whole", request_id="resp_full", input="yours").status_code == 200
    for key in ("dev-key", OTHER):
        assert code(ask(running, "GET", "resp_full", key)) == "response_not_found"
    assert running.stop() == 0
    redis.kill()


def test_what_is_remembered_is_bounded_by_number_and_by_time() -> None:
    now = [0.0]
    places = MemoryPlaces(10, lambda: now[0], most=2)
    for number in range(3):
        places.note(f"r{number}", Place("a", "m", "e"))
    assert [places.find(f"r{number}").value is None for number in range(3)] == [True, False, False]
    places.note("r1", Place("b", "m", "e"))
    assert places.find("r1").value == NOBODYS
    now[0] = 10.0
    assert places.find("r2").value is None
    places.note("r1", Place("b", "m", "e"))
    assert places.find("r1").value == Place("b", "m", "e"), "what is over says nothing of who comes later"
