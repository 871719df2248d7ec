"""The HTTP API under attack: schemathesis drives it from its own document, and by hand come the tricks that no
generator knows. Whatever is sent: the answer is a documented one, and no provider hears of a request that is refused.

What should happen is judged here from the bytes that went out, by a reading of the contract that shares nothing with
the functions but their schemas.
"""

import base64
import bisect
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from itertools import cycle
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks

from local.api import openapi, routes, schemas
from local.aws.cloud import PROJECT_ID, LocalCloud
from local.aws.runner import MAX_BODY, HttpApi, http_event
from local.emulators.journal import Entry
from local.stories import seeds
from local.stories.tour import QUIET
from tests.support.cases import case
from tests.support.functions import operation_name, representative_folders

MAX_EXAMPLES = 6  # per operation and kind of data, on top of the boundary cases that the schemas yield
OMS = f"/huawei/oms/cn-north-4/tasks/{seeds.OMS_FINISHED}"
DATA_TASK = f"/alibaba/elasticsearch/cn-hangzhou/instances/{seeds.ES_INSTANCE}/data-tasks/{seeds.ES_TASKS[0]}"
CANCEL = f"/alibaba/elasticsearch/cn-hangzhou/instances/{seeds.ES_MIGRATING}/cancel-task"
RECORD = f"/otc/dms/eu-de/instances/{seeds.DMS_INSTANCE}/tasks/{next(iter(seeds.DMS_TASKS))}"
ANSWER_HEADERS = {"server", "date", "content-type", "content-length", "cache-control", "retry-after"}
MAX_ANSWER = 32 * 1024  # characters; whatever was sent, the answer to it is short

# Without the sweep's two routes: what is judged below are results and calls at a provider, and those answer with
# neither. What they do answer is held in tests/sweep.
OPERATIONS = routes.operations()
_REPRESENTATIVE = {operation_name(folder) for folder in representative_folders()}
REPRESENTATIVE = [operation for operation in OPERATIONS if operation.name in _REPRESENTATIVE]
DOCUMENT = openapi.document(OPERATIONS)
SAMPLES = {  # one valid call of every operation there is
    operation.name: (operation.method.upper(), operation.path.format(**operation.sample)) for operation in OPERATIONS
}
# What is about the envelope and not about fields needs one of either kind: with and without a client token.
two_operations = pytest.mark.parametrize(
    ("method", "path"), [("DELETE", OMS), ("POST", CANCEL)], ids=["OMS", "cancel"]
)
every_operation = pytest.mark.parametrize(("method", "path"), SAMPLES.values(), ids=SAMPLES.keys())

Fields = dict[str, Any]
Case = Any  # schemathesis's own, which is generic in what it does not export


# -- the API, and everything that can be seen of what it does ------------------------------------------------


@dataclass(frozen=True)
class Api:
    """A running API with its stand-ins."""

    cloud: LocalCloud
    url: str

    def calls(self) -> list[Entry]:
        """What has reached a provider."""
        return self.cloud.emulators.journal.entries()


@pytest.fixture(scope="module")
def running() -> Iterator[Api]:
    with LocalCloud(variables=QUIET) as cloud, HttpApi(cloud) as api:
        yield Api(cloud, api.url)


@pytest.fixture
def api(running: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The API with its tasks as they were in the beginning, and nothing in the journal."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    running.cloud.emulators.reset(seed=0)
    seeds.seed(running.cloud.emulators)
    return running


# -- the contract, read once more ------------------------------------------------


def _rfc3339(text: object) -> bool:
    if not isinstance(text, str):
        return True
    shape = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
    if not re.fullmatch(shape, text):
        return False
    datetime.fromisoformat(text.upper()).astimezone(UTC)  # OverflowError where UTC does not have it
    return True


_FORMATS = FormatChecker(formats=())
_FORMATS.checks("date-time", raises=(ValueError, OverflowError))(_rfc3339)


def _validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resources(
        [(item["$id"], Resource.from_contents(item)) for item in schemas.published().values()]
    )
    return Draft202012Validator(schema, format_checker=_FORMATS, registry=registry)


RESULT, PROBLEM = map(_validator, schemas.published().values())


@dataclass(frozen=True)
class Sent:
    """A request as it went out."""

    method: str
    target: str
    body: bytes
    headers: Mapping[str, str]

    @classmethod
    def of(cls, request: requests.PreparedRequest) -> "Sent":
        """What ``requests`` sent."""
        body = request.body or b""
        return cls(
            str(request.method),
            request.path_url,
            body if isinstance(body, bytes) else str(body).encode(),
            {name.lower(): str(value) for name, value in request.headers.items()},
        )

    def route(self) -> tuple[routes.HttpOperation, Fields] | None:
        """The operation whose route this is, and its path parameters."""
        path = self.target.partition("?")[0]
        for operation in OPERATIONS:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path)
            match = re.fullmatch(pattern, path)
            if match and operation.method.upper() == self.method:
                return operation, {name: unquote(value) for name, value in match.groupdict().items()}
        return None

    def fields(self, operation: routes.HttpOperation, path: Fields) -> Fields | None:
        """The request that this means, or None if it must be refused."""
        query = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        try:
            body = json.loads(self.body.decode(), object_pairs_hook=list) if self.body else []
        except (ValueError, RecursionError):
            return None
        if not isinstance(body, list) or not all(isinstance(item, tuple) for item in body):
            return None
        if self.body and not self.body.lstrip().startswith(b"{"):
            return None
        token = self.headers.get("idempotency-key")
        header = [("client_token", token)] if token is not None and "client_token" in operation.other_fields else []
        pairs = [*path.items(), *(_typed(operation, *pair) for pair in query), *body, *header]
        try:
            merged = {name: _nested(value) for name, value in pairs}
            is_valid = len(merged) == len(pairs) and _validator(operation.schema).is_valid(merged)
            is_valid = is_valid and merged["region"] in regions_of(operation) and says_what_it_vouches_for(merged)
        except (RecursionError, RepeatedNameError):  # one field is nested, once
            return None
        return merged if is_valid else None


class RepeatedNameError(ValueError):
    """An object inside the body has the same name twice."""


def _nested(value: Any) -> Any:
    """Objects inside the body were read as lists of pairs, so that none is lost."""
    if not isinstance(value, list) or not all(isinstance(item, tuple) for item in value):
        return value
    members = {name: _nested(member) for name, member in value}
    if len(members) < len(value):
        raise RepeatedNameError
    return members


def says_what_it_vouches_for(fields: Fields) -> bool:
    """As the description of ``vouched`` says, and no schema."""
    return not fields.get("vouched") or bool((fields.get("expected") or {}).get("provider_status"))


def regions_of(operation: routes.HttpOperation) -> Sequence[str]:
    """Those that the document tells of the operation's service. This stack has no other."""
    told: str = operation.schema["properties"]["region"]["description"]
    return told.rpartition(": ")[2].removesuffix(".").split(", ")


def _typed(operation: routes.HttpOperation, name: str, text: str) -> tuple[str, str | bool | int]:
    """A value of the query: ``true``, ``false`` and digits are what the schema wants them to be, else text."""
    kind = operation.other_fields.get(name, {}).get("type")
    if kind == "boolean":
        return name, {"true": True, "false": False}.get(text, text)
    return name, int(text) if kind == "integer" and re.fullmatch("[0-9]{1,9}", text) else text


# -- what holds for every answer ------------------------------------------------


def check_answer(api: Api, sent: Sent, status: int, content_type: str, body: str) -> None:
    """The answer is what the contract says of this request, and so is what reached a provider."""
    arrived = api.calls()
    route = sent.route()
    if route is None:
        message = "" if sent.method == "HEAD" else '{"message": "Not Found"}'
        assert (status, content_type, body) == (404, "application/json", message)
        assert arrived == []
        return
    operation, path = route
    answer = json.loads(body)
    result = check_shape(status, content_type, answer)
    assert result["operation"] == operation.name
    fields = sent.fields(operation, path)
    code = (result["error"] or {}).get("code")
    if fields is None:
        assert status == 400, answer
        assert code in {"SchemaViolation", "UnreadableRequest"}
        assert result["target"].keys() == {"provider", "service"}
        assert arrived == []
        return
    assert code not in {"SchemaViolation", "UnreadableRequest", "InternalError"}, answer
    check_target(fields, result, arrived)


def check_shape(status: int, content_type: str, answer: Any) -> Fields:
    """A result, or problem details that hold one; the result."""
    if status == 200:
        assert content_type == "application/json"
        RESULT.validate(answer)
        assert answer["outcome"] in {"succeeded", "unchanged", "planned"}
        result: Fields = answer
        return result
    assert content_type == "application/problem+json", answer
    PROBLEM.validate(answer)
    assert answer["status"] == status
    result = answer["result"]
    assert result["error"]["category"] != "internal", "no caller can ask for our own failures"
    if result["error"]["code"] == "SecretNotFound":
        assert result["target"]["account"] != "default"
    return result


def check_target(fields: Fields, result: Fields, arrived: list[Entry]) -> None:
    """The accepted request's own ids are in the result and in every call that arrived, and nowhere other ones."""
    code = (result["error"] or {}).get("code")
    if code == "Expired":
        assert "not_after" in fields
        assert arrived == []
        return
    for name in ("region", "instance_id", "task_id", "project_id"):
        if name in fields:
            assert result["target"][name] == str(fields[name])
    assert result["target"]["account"] == fields.get("account", "default")
    looks = [] if ".List" in result["operation"] else [entry for entry in arrived if entry.method == "GET"]
    changes = [entry for entry in arrived if entry not in looks]
    if fields.get("dry_run") or code == "SecretNotFound":
        assert changes == []
        assert looks == [] or "expected" in fields
        return
    # Further calls can only be another page, another attempt, a look, or the stop that the request asks for.
    name_of_call = [result["operation"].rpartition(".")[2]]
    assert [entry.operation for entry in changes[:1]] == (name_of_call if result["attempts"] else [])
    assert bool(looks) is bool(result["looks"])
    for entry in arrived:
        assert f"{result['target']['provider']}_{result['target']['service']}" == entry.service
        assert entry.signature_ok
        for name in ("instance_id", "task_id"):
            if name in entry.ids or entry in changes:
                assert entry.ids.get(name) == (str(fields[name]) if name in fields else None)
        if "project_id" in entry.ids:
            assert entry.ids["project_id"] == fields.get("project_id", PROJECT_ID)
        if "client_token" in fields and entry in changes:
            assert entry.client_token == fields["client_token"] == result["client_token"]


Headers = Sequence[tuple[str, str]]


def send(api: Api, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Fields:
    """Send exactly this (nothing tidies the target), check the answer, and return its body."""
    connection = HTTPConnection("127.0.0.1", urlsplit(api.url).port or 0, timeout=30)
    with closing(connection):
        connection.putrequest(method, target)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        text = reply.read().decode()
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name.lower()] = f"{joined[name.lower()]},{value}" if name.lower() in joined else value
    sent = Sent(method, target, body, joined)
    check_answer(api, sent, reply.status, reply.headers["Content-Type"], text)
    assert {name.lower() for name in reply.headers} <= ANSWER_HEADERS
    answer: Fields = json.loads(text) if text else {}
    return answer


def raw(api: Api, *lines: str, body: bytes = b"") -> tuple[int, Fields]:
    """Send these lines as they are; status and body of the first answer. The connection must end after it."""
    with socket.create_connection(("127.0.0.1", urlsplit(api.url).port or 0), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        reply = HTTPResponse(connection)
        reply.begin()
        answer: Fields = json.loads(reply.read())
        connection.settimeout(30)
        assert connection.recv(1) == b"", "a second answer, or a connection that stays open"
    return reply.status, answer


def violations(answer: Fields) -> list[tuple[str, str]]:
    """Pointer and rule of everything that a refused request does wrong."""
    assert answer["status"] == 400
    return [(item["pointer"], item["rule"]) for item in answer["result"]["error"]["detail"]["violations"]]


def code(answer: Fields) -> str:
    """The error's code, of a refused request."""
    assert answer["status"] == 400
    found: str = answer["result"]["error"]["code"]
    return found


# -- by machine ------------------------------------------------


def generated(mode: GenerationMode) -> Any:
    """The document as schemathesis reads it, making this kind of data only, the same in every run."""
    load_all_checks()
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.config.generation.update(modes=[mode], deterministic=True, database="none")
    schema.config.phases.update(phases=["examples", "coverage", "fuzzing"])
    return schema


BOUNDED = settings(
    max_examples=MAX_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DOCUMENTED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def promising(case: Case) -> None:
    """Leave each field in one place only, let no time be past and most regions be known: else few data do it."""
    known = regions_of(next(it for it in OPERATIONS if it.name == case.operation.definition.raw["operationId"]))
    region = case.path_parameters["region"]
    if len(region) % 4:  # one in four stays: what fits the pattern and is no region must be refused
        case.path_parameters["region"] = known[len(region) % len(known)]
    body = _in_time(case.body) if isinstance(case.body, dict) else {}
    if body:
        case.body = body
    given = set(body) | ({"client_token"} if openapi.TOKEN_HEADER in case.headers else set())
    case.query = _in_time({name: value for name, value in case.query.items() if name not in given})
    if "client_token" in body:
        case.headers.pop(openapi.TOKEN_HEADER, None)


def _in_time(fields: Fields) -> Fields:
    return {name: _promising_value(name, value) for name, value in fields.items()}


def _promising_value(name: str, value: Any) -> Any:
    """JSON Schema takes 1.0 for an integer; the functions do not, on purpose."""
    if name == "not_after":
        return f"2999{value[4:]}"
    return int(value) if isinstance(value, float) and value.is_integer() else value


def drive(api: Api, case: Case) -> None:
    """Send a generated case; the answer is documented, and it is the right one."""
    api.cloud.emulators.journal.clear()
    reply = case.call(base_url=api.url, timeout=30)
    sent = Sent.of(reply.request)
    if sent.route() is not None:
        case.validate_response(reply, checks=DOCUMENTED)
    check_answer(api, sent, reply.status_code, reply.headers["content-type"][0], reply.text)


def attacks(
    mode: GenerationMode, prepare: Callable[[Case], None], operations: Sequence[routes.HttpOperation]
) -> dict[str, Any]:
    """A test for each of these operations, by its name: schemathesis itself would call them all the same."""
    schema = generated(mode)

    def attack_on(operation: routes.HttpOperation) -> Any:
        @schema.include(path=operation.path, method=operation.method).parametrize()  # type: ignore[untyped-decorator]
        @BOUNDED
        def attack(api: Api, case: Case) -> None:
            prepare(case)
            drive(api, case)

        return attack

    name = f"test_{mode.name.lower()}_data_get_documented_answers"
    return {f"{name}_{operation.name.replace('.', '_')}": attack_on(operation) for operation in operations}


globals().update(attacks(GenerationMode.POSITIVE, promising, OPERATIONS))
globals().update(attacks(GenerationMode.NEGATIVE, lambda _case: None, REPRESENTATIVE))


# -- by hand ------------------------------------------------


@every_operation
def test_plain_call_arrives(api: Api, method: str, path: str) -> None:
    """The attacks below change one thing of these calls, which do arrive as they are."""
    assert "outcome" in send(api, method, path) or api.calls()
    assert len(api.calls()) == 1


@two_operations
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("dry_run=true&dry_run=true", "/dry_run"),
        ("dry_run=true&dry_run=false", "/dry_run"),
        ("dry_run=true&dry%5Frun=true", "/dry_run"),
        ("account=default&x=1&account=default", "/account"),
        ("region=cn-hangzhou", "/region"),
        ("%72egion=cn-hangzhou", "/region"),
    ],
)
def test_name_that_comes_twice_is_refused(api: Api, method: str, path: str, query: str, pointer: str) -> None:
    assert (pointer, "repeated") in violations(send(api, method, f"{path}?{query}"))


@two_operations
@pytest.mark.parametrize(
    ("addition", "pointer"),
    [
        (("?dry_run=true", b'{"dry_run": true}'), "/dry_run"),
        (("?account=default", b'{"account": "default"}'), "/account"),
        (("", b'{"region": "cn-north-4"}'), "/region"),
    ],
)
def test_name_in_two_places_is_refused(
    api: Api, method: str, path: str, addition: tuple[str, bytes], pointer: str
) -> None:
    query, body = addition

    assert violations(send(api, method, path + query, body=body)) == [(pointer, "repeated")]


@pytest.mark.parametrize(("query", "body"), [("?client_token=a", b""), ("", b'{"client_token": "a"}')])
def test_token_in_header_and_elsewhere_is_refused(api: Api, query: str, body: bytes) -> None:
    answer = send(api, "DELETE", DATA_TASK + query, [("Idempotency-Key", "a")], body)

    assert violations(answer) == [("/client_token", "repeated")]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("a/b=1&a/b=2", [("/a~1b", "repeated")]),
        ("a~b=1&a~b=2", [("/a~0b", "repeated")]),
        ("&".join(["x" * 200] * 2), [("/" + "x" * 64, "repeated")]),
        ("&".join(["x"] * 1000), [("/x", "repeated")]),
    ],
)
def test_repeated_name_is_a_short_json_pointer(api: Api, query: str, wanted: list[tuple[str, str]]) -> None:
    assert violations(send(api, "DELETE", f"{OMS}?{query}")) == wanted


# What stands in a path parameter's place, or behind it, and must never become a part of the provider's path.
INSTEAD = ("..", ".", "%2e%2e", "%2E", "%252e%252e", "%2F", "%5C", "%00", "%0A", "%20", "-", "%2A", "%7Bregion%7D")
BEHIND = (
    *("%2F..", "%2f%2e%2e%2f", "%00", "%0A", "%0D%0A", "%0a%0dHost:%20x", "%20", "%09", "%C2%A0", "%E2%80%A8"),
    *("%3Fdry_run=true", "%23", ";v=1", "%3Bv=1", "#x", "%ff", "%C0%AE", "%D9%A1", "%EF%BC%91", "%E2%91%A0"),
    *("%", "%2", "%zz", "+", "@evil.invalid", ":1", "%25", "*", "A" * 5000),
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_trick_in_a_path_parameter_is_refused(api: Api, operation: routes.HttpOperation) -> None:
    """Every trick once, in one of the operation's parameters after the other."""
    tricks = [*(("", it) for it in INSTEAD), *(("{}", it) for it in BEHIND)]

    for (before, behind), (name, value) in zip(tricks, cycle(operation.sample.items()), strict=False):
        changed = {**operation.sample, name: before.format(value) + behind}
        with case(name, changed[name]):
            answer = send(api, operation.method.upper(), operation.path.format(**changed))
            assert violations(answer) == [(f"/{name}", "pattern")]

    assert api.calls() == []


@pytest.mark.parametrize(
    "digits", ["%D9%A1%D9%A2%D9%A3", "%EF%BC%91%EF%BC%92", "1_000", "1e3", "-1", "1.0", "0x1f", "1" * 20]
)
def test_id_of_other_digits_is_refused(api: Api, digits: str) -> None:
    answer = send(api, "DELETE", f"/huawei/oms/cn-north-4/tasks/{digits}")

    assert violations(answer) == [("/task_id", "pattern")]


@two_operations
@pytest.mark.parametrize(
    "change", ["{}/", "/{}", "{}/..", "{}/%2e%2e/1", "http://other.invalid{}", "{}//", "/x/..{}"]
)
def test_other_path_is_not_found(api: Api, method: str, path: str, change: str) -> None:
    # The library below the local gateway takes leading slashes for one: that is the plain call again.
    target = change.format(path) if change != "/{}" else f"/.{path}"

    assert send(api, method, target) == {"message": "Not Found"}


@every_operation
def test_other_method_is_not_found(api: Api, path: str, method: str) -> None:
    override = [("X-HTTP-Method-Override", "DELETE"), ("X-HTTP-Method", "POST"), ("X-Method-Override", "DELETE")]
    for verb in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
        other = verb.lower() if verb == method else verb  # methods are case-sensitive (RFC 9110, section 9.1)
        with case(other):
            send(api, other, f"{path}?_method=DELETE", override)
            assert api.calls() == []


UNREADABLE = {
    "null": b"null",
    "array": b"[]",
    "pairs": b'[["dry_run", true]]',
    "string": b'"x"',
    "number": b"1",
    "blank": b" ",
    "cut off": b'{"dry_run": true',
    "two values": b"{}{}",
    "trailing comma": b'{"dry_run": true,}',
    "comment": b'{"dry_run": true} // yes',
    "single quotes": b"{'dry_run': true}",
    "NaN": b'{"dry_run": NaN}',
    "Infinity": b'{"account": Infinity}',
    "repeated name": b'{"dry_run": true, "dry_run": true}',
    "repeated name, escaped": b'{"dry_run": true, "dry\\u005frun": false}',
    "repeated name, deep": b'{"account": {"a": 1, "a": 1}}',
    "byte order mark": b'\xef\xbb\xbf{"dry_run": true}',
    "UTF-16": '{"dry_run": true}'.encode("utf-16"),
    "not UTF-8": b'{"account": "\xff"}',
    "number of 5000 digits": b'{"account": ' + b"1" * 5000 + b"}",
    "form": b"dry_run=true",
    "XML": b"<dry_run>true</dry_run>",
    "very deep": b'{"account":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}
INVALID = {
    "1 for true": b'{"dry_run": 1}',
    "text for true": b'{"dry_run": "true"}',
    "null for false": b'{"dry_run": null}',
    "infinite": b'{"account": 1e999}',
    "unknown name": b'{"dryrun": true}',
    "other case": b'{"Dry_Run": true}',
    "blank behind": b'{"dry_run ": true}',
    "prototype": b'{"__proto__": {"dry_run": true}}',
    "host": b'{"endpoint": "https://evil.invalid"}',
    "empty name": b'{"": 1}',
    "control in a name": b'{"a\\u0000\\r\\nb": 1}',
    "half a character": b'{"\\ud800": 1}',
    "newline behind": b'{"account": "default\\n"}',
    "path in an account": b'{"account": "../huawei/default"}',
    "other digits": '{"account": "\u0661"}'.encode(),
    "deep": b'{"account":' + b"[" * 500 + b"]" * 500 + b"}",
    "deeper": b'{"account":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    "too long": b'{"correlation_id": "' + b"x" * 129 + b'"}',
    "huge value": b'{"account": "' + b"x" * 1_000_000 + b'"}',
    "huge name": b'{"' + b"x" * 1_000_000 + b'": 1}',
    "many names": json.dumps({f"{number:x}": 1 for number in range(20_000)}).encode(),
}


@two_operations
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_body_is_refused(api: Api, method: str, path: str, body: bytes) -> None:
    assert code(send(api, method, path, body=body)) == "UnreadableRequest"


def test_body_of_any_depth_is_refused(api: Api) -> None:
    """Reader and validator give up at different depths; between the two lies the interesting one."""
    for opening, closing_ in (("[", "]"), ('{"a":', "}")):
        deepest = bisect.bisect(range(200_000), False, key=lambda depth: not _readable(opening, depth, closing_))
        for depth in range(deepest - 12, deepest + 3):
            body = f'{{"account":{opening * depth}1{closing_ * depth}}}'
            status, _ = invoke(api, body=body)
            assert status == 400, depth

    assert api.calls() == []


def _readable(opening: str, depth: int, closing_: str) -> bool:
    try:
        json.loads(opening * depth + "1" + closing_ * depth)
    except RecursionError:
        return False
    return True


@two_operations
@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
def test_invalid_body_is_refused_in_few_words(api: Api, method: str, path: str, body: bytes) -> None:
    # Some Pythons give up reading at a depth that others still read: both are refusals.
    answer = send(api, method, path, body=body)

    assert code(answer) in {"SchemaViolation", "UnreadableRequest"}
    assert len(json.dumps(answer)) < MAX_ANSWER


@two_operations
@pytest.mark.parametrize(
    "query",
    [
        *("dry_run", "dry_run=", "dry_run=TRUE", "dry_run=True", "dry_run=1", "dry_run=yes", "dry_run=true%20"),
        *("dry_run=true%0A", "dry-run=true", "DRY_RUN=true", "dry_run%20=true", "dry_run[]=true", "dry_run%00=true"),
        *("dry_run=true;account=default", "=", "=true", "%00", "account=", "account=default%0A", "account=Default"),
        *("not_after=tomorrow", "not_after=2999-01-01", "not_after=2999-01-01T00:00:00", "not_after=32503680000"),
        *(
            "not_after=2999-01-01T00:00:00%20Z",
            "not_after=2999-02-30T00:00:00Z",
            "not_after=2999-01-01T00:00:00%2B24:00",
        ),
        *("correlation_id=", "correlation_id=a%0D%0ASet-Cookie:%20a=b", "correlation_id=%C3%A9", "operation=x"),
    ],
)
def test_query_that_is_not_quite_right_is_refused(api: Api, method: str, path: str, query: str) -> None:
    """A filter that is ignored, or a dry run that is none, would be the worst of all answers."""
    assert violations(send(api, method, f"{path}?{query}"))


@two_operations
@pytest.mark.parametrize(
    "moment", ["1970-01-01T00:00:00Z", "0001-01-02T00:00:00%2B23:59", "2026-01-01t00:00:00.123456789z"]
)
def test_late_request_is_refused(api: Api, method: str, path: str, moment: str) -> None:
    assert code(send(api, method, f"{path}?not_after={moment}")) == "Expired"
    assert api.calls() == []


@two_operations
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"])
def test_time_that_utc_does_not_have_is_refused(api: Api, method: str, path: str, moment: str) -> None:
    assert code(send(api, method, f"{path}?not_after={moment}&dry_run=true")) == "SchemaViolation"


@every_operation
def test_last_time_there_is_is_in_time(api: Api, method: str, path: str) -> None:
    assert send(api, method, f"{path}?not_after=9999-12-31T23:59:59Z&dry_run=true")["outcome"] == "planned"


@two_operations
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", ""],
)
def test_body_counts_whatever_its_content_type_says(api: Api, method: str, path: str, content_type: str) -> None:
    """Not looked at: a body that is ignored for its content type would lose a ``dry_run``."""
    headers = [("Content-Type", content_type)] if content_type else []

    assert send(api, method, path, headers, b'{"dry_run": true}')["outcome"] == "planned"
    assert code(send(api, method, path, headers, b"dry_run=true")) == "UnreadableRequest"


@pytest.mark.parametrize(
    "value",
    ["", "x" * 65, "a\tb", "\u00e9", "a\r\n b", "a\r\n\tb"],
    ids=["empty", "long", "tab", "other", "folded", "folded 2"],
)
def test_token_that_is_no_line_of_printable_ascii_is_refused(api: Api, value: str) -> None:
    status, answer = raw(
        api, f"DELETE {DATA_TASK} HTTP/1.1", "Host: x", "Connection: close", f"Idempotency-Key: {value}"
    )

    assert status == 400
    assert violations(answer) == [("/client_token", "pattern")]
    assert api.calls() == []


@pytest.mark.parametrize("names", [["Idempotency-Key"] * 2, ["Idempotency-Key", "idempotency-key"]])
def test_two_tokens_are_one_with_a_comma(api: Api, names: list[str]) -> None:
    """As the gateway joins them: neither is dropped, and the same two make the same token again."""
    answer = send(api, "DELETE", DATA_TASK, [(names[0], "first"), (names[1], "second")])

    assert answer["client_token"] == "first,second"
    assert [call.client_token for call in api.calls()] == ["first,second"]


def test_token_is_ignored_where_the_operation_has_none(api: Api) -> None:
    answer = send(api, "DELETE", f"{OMS}?dry_run=true", [("Idempotency-Key", "x" * 65)])

    assert (answer["outcome"], answer["client_token"]) == ("planned", None)


@two_operations
@pytest.mark.parametrize(
    "header", ["Host: evil.invalid", "X-Forwarded-Host: evil.invalid", "Authorization: x\\r\\nX: y"]
)
def test_headers_do_not_move_the_call(api: Api, method: str, path: str, header: str) -> None:
    name, _, value = header.partition(": ")

    plan = send(api, method, f"{path}?dry_run=true", [(name, value)])["plan"]

    assert "evil" not in plan["url"]
    assert "\n" not in plan["url"]


@pytest.mark.parametrize(
    "text",
    ["a%22%7D%0A", 'a"}]', "a\\b", "<script>alert(1)</script>", "%25s%25n", "${jndi:ldap://x.invalid}", "a" * 128],
)
def test_correlation_id_comes_back_as_it_was_or_not_at_all(api: Api, text: str) -> None:
    answer = send(api, "DELETE", f"{OMS}?dry_run=true&correlation_id={text}")
    if "%0A" in text:
        assert violations(answer) == [("/correlation_id", "pattern")]
    else:
        assert answer["correlation_id"] == unquote(text)


@two_operations
def test_very_long_query_is_refused_in_few_words(api: Api, method: str, path: str) -> None:
    answer = send(api, method, f"{path}?account={'a' * 60_000}")

    assert violations(answer) == [("/account", "pattern")]
    assert len(json.dumps(answer)) < MAX_ANSWER


LINE = f"DELETE {OMS} HTTP/1.1"
SMUGGLED = f"{LINE}\r\nHost: x\r\n\r\n".encode()
FRAMING = {
    "length twice": (["Content-Length: 0", f"Content-Length: {len(SMUGGLED)}"], 400),
    "negative length": (["Content-Length: -1"], 400),
    "signed length": (["Content-Length: +1"], 400),
    "length of other digits": (["Content-Length: \u00b2"], 400),
    "no number": (["Content-Length: many"], 400),
    "chunked": (["Transfer-Encoding: chunked"], 400),
    "chunked with length": (["Content-Length: 0", "Transfer-Encoding: chunked"], 400),
    "chunked in disguise": (["Transfer-Encoding: xchunked"], 400),
    "too large": ([f"Content-Length: {MAX_BODY + 1}"], 413),
}


@pytest.mark.parametrize(("headers", "status"), FRAMING.values(), ids=FRAMING.keys())
def test_body_of_doubtful_length_is_not_read_and_ends_the_connection(
    api: Api, headers: list[str], status: int
) -> None:
    found, answer = raw(api, LINE, "Host: x", *headers, body=SMUGGLED)

    assert (found, list(answer)) == (status, ["message"])
    assert api.calls() == []


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (f"DELETE {OMS} extra HTTP/1.1", 400),
        (f"DELETE {OMS}?account={'a' * 70_000} HTTP/1.1", 414),
    ],
    ids=["blank", "long"],
)
def test_bad_request_line_gets_the_gateways_message(api: Api, line: str, status: int) -> None:
    found, answer = raw(api, line, "Host: x")

    assert (found, list(answer)) == (status, ["message"])
    assert api.calls() == []


# -- events that the gateway would never send ------------------------------------------------


def invoke(api: Api, **changes: object) -> tuple[int, Fields]:
    """Hand the OMS function an HTTP event with these members changed; status and body of its answer."""
    function = next(route for route in api.cloud.stack.routes if route.path == "/huawei/oms/{region}/tasks/{task_id}")
    parameters = {"region": "cn-north-4", "task_id": str(seeds.OMS_FINISHED)}
    event = {**http_event(function, OMS, parameters, {}, b""), **changes}
    reply = api.cloud.function(function.function).invoke(event)
    answer: Fields = json.loads(reply["body"])
    check_shape(reply["statusCode"], reply["headers"]["Content-Type"], answer)
    return reply["statusCode"], answer


def test_base64_body_counts(api: Api) -> None:
    body = base64.b64encode(b'{"dry_run": true}').decode()

    assert invoke(api, body=body, isBase64Encoded=True)[1]["outcome"] == "planned"


@pytest.mark.parametrize(
    "body",
    [
        "@@@",
        "e30",
        "e30=\n",
        "e3 0=",
        "e30=e30=",
        "\u00e9",
        "_w==",
        "/w==",
        "eyJkcnlfcnVuIjogdHJ1ZX0",
        '{"dry_run": true}',
    ],
)
def test_body_that_is_no_base64_is_refused(api: Api, body: str) -> None:
    status, answer = invoke(api, body=body, isBase64Encoded=True)

    assert (status, code(answer)) == (400, "UnreadableRequest")
    assert api.calls() == []


@pytest.mark.parametrize("flag", ["true", 1, None])
def test_only_true_means_base64(api: Api, flag: object) -> None:
    status, answer = invoke(api, body=base64.b64encode(b"{}").decode(), isBase64Encoded=flag)

    assert (status, code(answer)) == (400, "UnreadableRequest")


@pytest.mark.parametrize("body", [1, True, {"dry_run": True}, ["e30="]])
def test_body_that_is_no_text_is_refused(api: Api, body: object) -> None:
    status, answer = invoke(api, body=body, isBase64Encoded=True)

    assert (status, code(answer)) == (400, "UnreadableRequest")


@pytest.mark.parametrize(
    "changes",
    [
        {"pathParameters": None},
        {"pathParameters": []},
        {"pathParameters": {"region": "cn-north-4", "task_id": {"a": 1}}},
        {"pathParameters": {"region": "cn-north-4", "task_id": True}},
        {"rawPath": OMS, "routeKey": "DELETE /huawei", "pathParameters": {"region": "cn-north-4"}},
        {"queryStringParameters": {"dry_run": "true,false"}, "rawQueryString": ""},
        {"queryStringParameters": {"task_id": "1"}},
        {"queryStringParameters": {"dry_run": None}},
        {"rawQueryString": 5},
    ],
    ids=repr,
)
def test_event_of_another_shape_is_refused(api: Api, changes: Fields) -> None:
    status, answer = invoke(api, **changes)

    assert (status, answer["result"]["error"]["category"]) == (400, "invalid_request")
    assert api.calls() == []


def test_every_refusal_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """Half a character in a name must not cost the line that says who was refused."""
    # A service name of its own: loggers are kept by name, and with them the output of the test that made them.
    loud = {"POWERTOOLS_LOG_LEVEL": "INFO", "POWERTOOLS_SERVICE_NAME": "every-refusal-is-logged"}
    with LocalCloud(variables=loud) as cloud, HttpApi(cloud) as http:
        send(Api(cloud, http.url), "DELETE", OMS, body=b'{"\\ud800": 1}')

    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    assert [line["result"]["outcome"] for line in lines if "level" in line] == ["failed"]
