"""Fuzzing: every request is answered, with a sentence, soon, and without much memory."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from graphql import GraphQLInputObjectType, GraphQLInputType, GraphQLList, get_named_type, get_nullable_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.field_args import FIELDS, SCHEMA
from tests.support.field_paths import WAYS, Way, query_along, reached, sane
from tests.support.fuzz import Values
from tests.support.isolation import Isolation, ask, selection, setting
from tests.support.long_tests import is_long
from tests.support.server import RefusedByServer, RunningServer
from tests.support.tenant import Tenant
from tests.support.waiting import patience

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

SHORT_EXAMPLES, LONG_EXAMPLES = 5, 100
"""Examples per field."""
SECONDS = 5.0
"""The longest that a request may take, while there is a processor for each process that wants one."""
MEGABYTE = 1024 * 1024
MOST_MEMORY = 400 * MEGABYTE
"""Peak memory of the server process, beyond its initial memory."""
SCALARS_OF_TEXT = ("String", "ID")


@pytest.fixture(scope="module")
def isolation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolation]:
    with setting(tmp_path_factory.mktemp("server")) as made:
        yield made


@pytest.fixture(scope="module")
def stranger(isolation: Isolation) -> Tenant:
    tenant = Tenant(isolation.accounts)
    tenant.build()
    return tenant


def kinds_of(field: str) -> dict[str, GraphQLInputType]:
    kind, _, name = field.partition(".")
    root = SCHEMA.query_type if kind == "Query" else SCHEMA.mutation_type
    assert root is not None
    return {argument: told.type for argument, told in root.fields[name].args.items()}


@pytest.fixture(scope="module")
def fuzzing(request: pytest.FixtureRequest) -> settings:
    """How often: always the same examples, as nobody could tell otherwise what failed where."""
    examples = LONG_EXAMPLES if is_long(request.config) else SHORT_EXAMPLES
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )


def check(answer: str, started: float, victim: Tenant) -> None:
    assert time.monotonic() - started < patience(SECONDS)
    assert victim.hidden not in answer
    errors = json.loads(answer).get("errors", [])
    assert all(error["message"] and "Traceback" not in error["message"] for error in errors)


@pytest.mark.parametrize("field", FIELDS)
def test_no_argument_breaks_a_field(isolation: Isolation, stranger: Tenant, fuzzing: settings, field: str) -> None:
    before = isolation.snapshot()

    @fuzzing
    @given(arguments=Values(isolation.victim, stranger).arguments(kinds_of(field)))
    def answered(arguments: dict[str, object]) -> None:
        started = time.monotonic()
        check(ask(stranger.api, field, arguments), started, isolation.victim)

    answered()
    assert isolation.snapshot().changes_of(isolation.theirs, before) == []


@pytest.mark.parametrize("field", WAYS)
def test_a_way_leads_to_a_field_below_the_root(isolation: Isolation, field: str) -> None:
    """Guards the test below, which might otherwise reach nothing."""
    assert any(leads_there(way, isolation.victim) for way in WAYS[field])


def leads_there(way: Way, tenant: Tenant) -> bool:
    answer = tenant.api.post(query_along(way, sane(way, tenant), selection_of(way, 1))).json()
    return "errors" not in answer and reached(answer["data"], way) != []


def selection_of(way: Way, depth: int) -> str:
    assert way[-1].field is not None
    return selection(get_named_type(way[-1].field.type), depth)


@pytest.mark.parametrize("field", WAYS)
def test_no_argument_breaks_a_field_below_the_root(
    isolation: Isolation, stranger: Tenant, fuzzing: settings, field: str
) -> None:
    before = isolation.snapshot()

    @fuzzing
    @given(
        asked=Values(isolation.victim, stranger).along(WAYS[field], stranger, isolation.victim), depth=st.integers(1, 3)
    )
    def answered(asked: tuple[Way, list[dict[str, object]]], depth: int) -> None:
        way, arguments = asked
        started = time.monotonic()
        response = stranger.api.post(query_along(way, arguments, selection_of(way, depth)))
        assert response.status_code < 500, response.text
        check(response.text, started, isolation.victim)

    answered()
    assert isolation.snapshot().changes_of(isolation.theirs, before) == []


def nested(opening: str, inside: str, closing: str, times: int) -> str:
    return opening * times + inside + closing * times


def listed(pattern: str, times: int) -> str:
    return " ".join(pattern.format(number) for number in range(times))


PAGES = "project(name: $p) { runQueues { runQueueItems(first: 1000) { edges { node { id state status priority } } } } }"
FLOODS = {
    "deep": f"{{ viewer {nested('{ teams { edges { node ', '{ id }', '} } }', 300)} }}",
    "very deep": nested("{ viewer ", "{ id }", "}", 4000),
    "aliases": f"{{ {listed('a{}: viewer {{ id }}', 400)} }}",
    "aliases below": f"{{ viewer {{ {listed('a{}: id', 2100)} }} }}",
    "one field again and again": f"{{ viewer {{ {'id ' * 4900} }} }}",
    "one object again and again": f"{{ viewer {{ {'teams { edges { node { id } } } ' * 100} }} }}",
    "fragments": f"{{ viewer {{ {listed('...F{}', 500)} }} }} {listed('fragment F{} on User {{ id }}', 500)}",
    "one fragment again and again": f"{{ viewer {{ {'...F ' * 900} }} }} fragment F on User {{ id }}",
    "fragments of the same": f"{{ viewer {{ {listed('...F{}', 21)} }} }} "
    + listed("fragment F{} on User {{ a: teams {{ edges {{ node {{ id }} }} }} }}", 21),
    "fragments that double": "{ viewer { ...F0 } } "
    + listed("fragment F{0} on User {{ ...G{0} ...G{0} }} fragment G{0} on User {{ a{0}: id }}", 100)
    + " ".join(f"fragment H{n} on User {{ ...H{n + 1} ...H{n + 1} }}" for n in range(50)),
    "a fragment in itself": "{ viewer { ...F } } fragment F on User { id ...F }",
    "operations": listed("query Q{} {{ viewer {{ id }} }}", 900),
    "directives": "{ viewer { id " + "@include(if: true) " * 900 + "} }",
    "an object in an object": f"{{ project(name: {nested('{a: ', '1', '}', 1500)}) {{ id }} }}",
    "a list in a list": f"query($a: {nested('[', 'Int', ']', 1500)}) {{ viewer {{ id }} }}",
    "a string": f'{{ project(name: "{"x" * 300_000}") {{ id }} }}',
    "a NUL": '{ project(name: "a\\u0000b") { id } }',
    "pages in pages": f"query($p: String) {{ {listed('a{}: ' + PAGES.replace('{', '{{').replace('}', '}}'), 40)} }}",
    "introspection": nested("{ __schema { types { fields { type ", "{ name }", "} } } }", 1).replace(
        "{ name }", nested("{ fields { type ", "{ name }", "} }", 7)
    ),
    "comments": "#" * MEGABYTE,
    "names": f"{{ {'x' * MEGABYTE} }}",
    "commas": "{ viewer { id } }" + "," * MEGABYTE + "x",
}


def peak_memory(server: RunningServer) -> int:
    """Peak memory of the server process in bytes."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_refused_soon(isolation: Isolation, stranger: Tenant, flood: str) -> None:
    before, started = peak_memory(isolation.server), time.monotonic()
    response = stranger.api.post({"query": FLOODS[flood]})
    assert time.monotonic() - started < patience(SECONDS)
    assert response.status_code == 400
    assert all(error["message"] for error in response.json()["errors"])
    assert peak_memory(isolation.server) - before < MOST_MEMORY


def put_long(kind: object, text: str) -> object:
    """An argument of this type whose names and notes are all this long."""
    named = str(kind).strip("[]!")
    if named in SCALARS_OF_TEXT:
        return text
    fields = getattr(SCHEMA.get_type(named), "fields", None)
    if fields is None:
        return {"JSONString": "{}", "Boolean": True}.get(named, 1)
    return {name: put_long(field.type, text) for name, field in fields.items()}


WITH_TEXT = [field for field in FIELDS if "x" in json.dumps([put_long(kind, "x") for kind in kinds_of(field).values()])]


@pytest.mark.parametrize("field", WITH_TEXT)
def test_long_strings_are_refused(stranger: Tenant, field: str) -> None:
    arguments = {name: put_long(kind, "x" * 300_000) for name, kind in kinds_of(field).items()}
    answer = json.loads(ask(stranger.api, field, arguments))
    assert "300000 characters; at most" in answer["errors"][0]["message"]


def put_many(kind: GraphQLInputType) -> object:
    """An argument of this type whose lists are all too long."""
    named = get_nullable_type(kind)
    if isinstance(named, GraphQLList):
        return [None] * 10_001
    if isinstance(named, GraphQLInputObjectType):
        return {name: put_many(field.type) for name, field in named.fields.items() if "[" in str(field.type)} or None
    return None


WITH_LISTS = [field for field in FIELDS if any(put_many(kind) for kind in kinds_of(field).values())]


@pytest.mark.parametrize("field", WITH_LISTS)
def test_long_lists_are_refused(stranger: Tenant, field: str) -> None:
    answer = json.loads(ask(stranger.api, field, {name: put_many(kind) for name, kind in kinds_of(field).items()}))
    assert answer["errors"][0]["message"] == "A list of 10001 values is too long; at most 10000 are taken at once."


def test_many_reports_at_once_are_refused(stranger: Tenant) -> None:
    acks = [{"runQueueItemId": stranger.item, "runName": "x"}] * 1001
    with pytest.raises(RefusedByServer, match="At most 1000 items"):
        stranger.api.mutate("ackRunQueueItems", "results { success }", launchAgentId=stranger.agent, acks=acks)


def test_what_is_given_again_and_again_counts_each_time(stranger: Tenant) -> None:
    filters = json.dumps({"state": {"$in": ["x" * 90] * 2500}})
    counts = listed("a{}: runCount(filters: $f)", 150)
    query = f"query($p: String, $e: String, $f: JSONString) {{ project(name: $p, entityName: $e) {{ {counts} }} }}"
    with pytest.raises(RefusedByServer, match="The query may read"):
        stranger.api.run(query, {"p": stranger.project, "e": stranger.entity, "f": filters})


BODIES = {
    "numbers": b'{"query": "{ viewer { id } }", "variables": {"x": [' + b"1," * (4 * MEGABYTE) + b"1]}}",
    "lists": b'{"query": "{ viewer { id } }", "variables": {"x": [' + b"[]," * (3 * MEGABYTE) + b"[]]}}",
    "nested lists": b'{"query": "", "variables": ' + b"[" * (8 * MEGABYTE),
    "a string": json.dumps({"query": "{ viewer { id } }", "variables": {"x": "x" * 9 * MEGABYTE}}).encode(),
    "escapes": b'{"query": "' + b"\\u00e9" * MEGABYTE + b'"}',
    "a surrogate": b'{"query": "{ viewer { id } }", "variables": {"x": "\\ud800"}}',
    "a NUL": b'{"query": "{ viewer\x00 { id } }"}',
    "another encoding": json.dumps({"query": "{ viewer { id } }"}).encode("utf-16"),
    "keys": json.dumps({"query": "{ viewer { id } }", "variables": {f"k{n}": n for n in range(100_000)}}).encode(),
}


@pytest.mark.parametrize("body", BODIES)
def test_big_and_odd_bodies_four_at_a_time(isolation: Isolation, stranger: Tenant, body: str) -> None:
    before, started = peak_memory(isolation.server), time.monotonic()

    def send(_: int) -> requests.Response:
        return requests.post(
            f"{isolation.server.url}/graphql", BODIES[body], auth=("api", stranger.api.key), timeout=30
        )

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert time.monotonic() - started < patience(4 * SECONDS)
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert all("errors" in answer.json() or "data" in answer.json() for answer in answers)
    assert peak_memory(isolation.server) - before < MOST_MEMORY


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x" * 5000]
)
def test_the_content_type_does_not_matter(isolation: Isolation, stranger: Tenant, kind: str) -> None:
    sent = {"Content-Type": kind, "Content-Encoding": kind[:20] or "gzip"}
    body = json.dumps({"query": "{ viewer { username } }"})
    answer = requests.post(
        f"{isolation.server.url}/graphql", body, headers=sent, auth=("api", stranger.api.key), timeout=10
    )
    assert answer.json() == {"data": {"viewer": {"username": stranger.owner}}}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "path", ["/graphql", "/files/a/b/c/file_stream", "/storage/upload/x", "/%00", "/" + "x" * 9000, "//"]
)
def test_odd_methods_and_paths(isolation: Isolation, stranger: Tenant, method: str, path: str) -> None:
    answer = requests.request(method, f"{isolation.server.url}{path}", auth=("api", stranger.api.key), timeout=60)
    # Browsers ask so before they use a link of another origin.
    asks_before = method == "OPTIONS" and path.startswith("/storage/")
    assert answer.status_code == 204 if asks_before else 400 <= answer.status_code < 500
