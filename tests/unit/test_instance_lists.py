"""Reading a service's lists of instances: the calls of the providers' pages, and never a part taken for the whole."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_cleanup.paging import READINGS, walk
from task_cleanup.providers.model import Call, ListCall, Reply
from task_cleanup.results import Outcome, TaskList
from task_cleanup.retries import Verdict
from task_cleanup.sweep.services import SERVICES
from task_cleanup.transport import FinishedCall
from tests.support.identities import PROJECT

LISTS = [
    pytest.param(key, number, id=f"{key}-{number}")
    for key, service in SERVICES.items()
    for number in range(len(service.instances))
]
each_list = pytest.mark.parametrize(("key", "number"), LISTS)
REQUEST = {"project_id": PROJECT, "limit": 100_000}
ES = SERVICES["alibaba_elasticsearch"].instances[0]


def list_of(key: str, number: int) -> ListCall:
    return SERVICES[key].instances[number]


def body(key: str, ids: list[str], total: object) -> dict[str, Any]:
    """A page, as the provider's page shows it."""
    if key == "alibaba_elasticsearch":
        records = [{"instanceId": name, "status": "active"} for name in ids]
        return {"Result": records, "Headers": {"X-Total-Count": total}, "RequestId": "fake"}
    return {"instances": [{"instance_id": name, "status": "RUNNING"} for name in ids], "instance_num": total}


def records_of(page: dict[str, Any]) -> list[Any]:
    """The instances of a page."""
    records: list[Any] = page["Result"] if "Result" in page else page["instances"]
    return records


def reply(content: object) -> Reply:
    return Reply(200, {}, json.dumps(content).encode())


@dataclass
class Served:
    """A provider that serves ``ids``, page by page. ``moves`` happens to them before the call of that number."""

    key: str
    number: int
    ids: list[str]
    moves: Mapping[int, Callable[[list[str]], object]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def send(self, call: Call) -> FinishedCall:
        query = dict(call.query)
        size = int(query.get("size", query.get("limit", "")))
        begin = int(query["offset"]) if "offset" in query else (int(query["page"]) - 1) * size
        self.asked.append(begin)
        if move := self.moves.get(len(self.asked)):
            move(self.ids)
        page = reply(body(self.key, self.ids[begin : begin + size], len(self.ids)))
        return FinishedCall(Verdict(Outcome.SUCCEEDED, None, 200, reply=page), 1)

    def walk(self) -> TaskList:
        _, found = walk(list_of(self.key, self.number), REQUEST, self.send)
        assert found is not None
        return found


def found_ids(found: TaskList) -> list[str]:
    return [record.task_id for record in found.tasks]


def names(number: int) -> list[str]:
    return [f"i-{each:04d}" for each in range(number)]


@pytest.mark.parametrize(
    ("key", "queries"),
    [
        ("alibaba_elasticsearch", ["/openapi/instances?page=1&size=100"]),
        (
            "huawei_dms",
            [
                f"/v2/{PROJECT}/instances?engine={engine}&limit=50&offset=0"
                for engine in ("kafka", "rabbitmq", "reliability")
            ],
        ),
        ("otc_dms", [f"/v2/{PROJECT}/instances?engine=kafka&limit=50&offset=0"]),
    ],
)
def test_the_calls_are_those_of_the_providers_pages(key: str, queries: list[str]) -> None:
    calls = [each.call(REQUEST, 0) for each in SERVICES[key].instances]

    assert [call.url("") for call in calls] == queries
    assert {call.method for call in calls} == {"GET"}
    assert {call.action for call in calls} == {"ListInstance" if key == "alibaba_elasticsearch" else ""}


@pytest.mark.parametrize("number_of_them", [0, 1, 49, 50, 51, 99, 100, 101, 200, 250])
@each_list
def test_all_pages_are_read(key: str, number: int, number_of_them: int) -> None:
    served = Served(key, number, names(number_of_them))

    found = served.walk()

    assert (found_ids(found), found.complete) == (names(number_of_them), True)


def test_pages_with_numbers_are_asked_for_by_them_and_a_second_time() -> None:
    served = Served("alibaba_elasticsearch", 0, names(250))

    served.walk()

    assert served.asked == [0, 100, 200, 0, 100, 200]


_NEW = count(1)


def one_comes_first(ids: list[str]) -> None:
    ids.insert(0, f"i-new-{next(_NEW)}")


def one_comes_last(ids: list[str]) -> None:
    ids.append(f"i-new-{next(_NEW)}")


def the_first_goes_and_one_comes(ids: list[str]) -> None:
    """The number of them stays the same, and one of them shifts to a page that has been read."""
    del ids[0]
    ids.append(f"i-new-{next(_NEW)}")


def one_comes_and_the_last_goes(ids: list[str]) -> None:
    del ids[-1]
    ids.insert(0, f"i-new-{next(_NEW)}")


def one_amid_goes_and_one_comes_last(ids: list[str]) -> None:
    """The first page stays as it was."""
    del ids[150]
    one_comes_last(ids)


MOVES = [
    one_amid_goes_and_one_comes_last,
    one_comes_first,
    one_comes_last,
    the_first_goes_and_one_comes,
    one_comes_and_the_last_goes,
]


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("when", [2, 3])
@each_list
def test_instances_that_come_between_two_pages_are_not_missed(
    key: str, number: int, when: int, move: Callable[[list[str]], object]
) -> None:
    served = Served(key, number, names(250), {when: move})

    found = served.walk()

    assert (found_ids(found), found.complete) == (served.ids, True)
    assert any(name.startswith("i-new") for name in served.ids)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("when", [4, 5, 6])
def test_the_second_time_shows_what_moved_behind_the_first(when: int, move: Callable[[list[str]], object]) -> None:
    served = Served("alibaba_elasticsearch", 0, names(250), {when: move})

    found = served.walk()

    assert found.complete
    assert found_ids(found) == served.ids or set(found_ids(found)) == set(names(250))


@each_list
def test_a_list_that_never_rests_is_not_whole(key: str, number: int) -> None:
    served = Served(key, number, names(250), dict.fromkeys(range(2, 99), the_first_goes_and_one_comes))

    found = served.walk()

    assert found.complete is False
    assert served.asked.count(0) == READINGS * (2 if list_of(key, number).by_number else 1)


@given(st.data(), st.integers(min_value=0, max_value=320))
def test_what_was_there_all_the_time_is_found_or_the_list_is_not_whole(data: st.DataObject, number: int) -> None:
    """Instances come and go anywhere, between any two calls; the others keep their order."""
    served = Served("alibaba_elasticsearch", 0, names(number))
    always = set(served.ids)

    def move(ids: list[str]) -> None:
        for _ in range(data.draw(st.integers(min_value=0, max_value=2))):
            ids.insert(data.draw(st.integers(min_value=0, max_value=len(ids))), f"i-new-{next(_NEW)}")
        for _ in range(min(data.draw(st.integers(min_value=0, max_value=2)), len(ids))):
            always.discard(ids.pop(data.draw(st.integers(min_value=0, max_value=len(ids) - 1))))

    served.moves = dict.fromkeys(data.draw(st.sets(st.integers(min_value=2, max_value=14), max_size=5)), move)

    found = served.walk()

    assert not found.complete or always <= set(found_ids(found))
    assert found.complete or served.moves


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    "no list": lambda page: page.pop("Result", page.pop("instances", None)),
    "no count": lambda page: page.pop("Headers", page.pop("instance_num", None)),
    "a count that is none": lambda page: page.update(Headers={"X-Total-Count": "many"}, instance_num="many"),
    "a negative count": lambda page: page.update(Headers={"X-Total-Count": -1}, instance_num=-1),
    "headers that are none": lambda page: page.update(Headers=[], instance_num=None),
    "an instance without an id": lambda page: records_of(page).append({"status": "active"}),
    "an id that is no text": lambda page: records_of(page).append({"instanceId": 7, "instance_id": 7}),
    "an instance that is none": lambda page: records_of(page).append("es-cn-x"),
}


@pytest.mark.parametrize("odd", ODD)
@each_list
def test_a_page_that_cannot_be_read_is_none(key: str, number: int, odd: str) -> None:
    content = body(key, ["i-1"], 2)
    assert list_of(key, number).read(reply(content)) is not None

    ODD[odd](content)

    assert list_of(key, number).read(reply(content)) is None


def test_instances_of_every_status_are_read_and_none_can_be_deleted() -> None:
    page = ES.read(reply({"Result": [{"instanceId": "i-1", "status": "invalid"}], "Headers": {"X-Total-Count": 1}}))
    assert page is not None

    (record,) = page.tasks

    assert (record.task_id, record.provider_status, record.deletable) == ("i-1", "invalid", False)
