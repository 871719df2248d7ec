"""The evidence of a small torture in which all is as it should be, made by hand, and ways to doctor it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench.torture.evidence import DeadLetter, Ending, Evidence, Receive, Result, Sent
from bench.torture.messages import OPERATIONS, Copy, Kind, Message
from bench.torture.tasks import Target
from local.emulators.journal import Entry

Change = Callable[[Evidence], Evidence]

ALIBABA, CANCEL, OMS, DMS = OPERATIONS
KEY = "AKFAKEWORKER0001"
TIMES = {
    name: f"2026-11-21T08:{minute}.000Z"
    for name, minute in (
        ("sent", "29:00"),
        ("call", "30:00"),
        ("look", "30:30"),
        ("end", "31:00"),
        ("redrive", "40:00"),
    )
}


def make_message(number: int, operation: Any, kind: Kind, copy: Copy = Copy.FIRST, **more: Any) -> Message:
    names = {
        ALIBABA: ("es-cn-fake1", f"et_cn_fake{number}"),
        CANCEL: (f"es-cn-fake{number}", ""),
        OMS: ("", str(number)),
        DMS: ("b9f1c1de-5b1a-4f0c-9e0e-000000000001", f"{number:032x}"),
    }
    target = Target(operation.service, *names[operation])
    return Message(number, number, kind, copy, operation, target, "{}", over_bus=False, **more)


def make_result(message: Message, origin: str, outcome: str, **changes: Any) -> Result:
    provider, _, service = message.operation.service.partition("_")
    target = message.target
    ids = {"instance_id": target.instance, "task_id": target.task}
    token = f"token-{origin}" if provider == "alibaba" else None
    return {
        "operation": message.operation.name,
        "outcome": outcome,
        "target": {"provider": provider, "service": service, **{name: value for name, value in ids.items() if value}},
        "request_id": f"request-{origin}",
        "client_token": token,
        "error": None,
        "looks": [],
        "attempts": 1,
        "duration_ms": 60000.0,
        "completed_at": TIMES["end"],
        "correlation_id": origin,
        **changes,
    }


def make_error(code: str, note: str | None = None) -> dict[str, Any]:
    return {"category": "provider_error", "code": code, "message": "", "detail": {"note": note} if note else None}


def make_entry(message: Message, origin: str, effect: str | None, **changes: Any) -> Entry:
    target = message.target
    values: dict[str, Any] = {
        "time": TIMES["call"],
        "service": target.service,
        "operation": "DeleteTask",
        "method": "DELETE",
        "path": "/",
        "ids": {"instance_id": target.instance, "task_id": target.task},
        "client_token": make_result(message, origin, "failed")["client_token"],
        "access_key_id": KEY,
        "signature_ok": True,
        "nonce": None,
        "status": 200,
        "code": None,
        "effect": effect,
        "faults": (),
        "request_id": f"request-{origin}",
    }
    return Entry(**{**values, **changes})


DELETED = make_message(1, ALIBABA, Kind.PRESENT)
CANCELLED = make_message(2, CANCEL, Kind.PRESENT)
GONE = make_message(3, OMS, Kind.ABSENT)
DRY = make_message(4, DMS, Kind.DRY_RUN)
INVALID_ONE = make_message(5, OMS, Kind.VIOLATION)
DOUBTFUL = make_message(6, OMS, Kind.PRESENT)  # changed by a call that got no answer; told after the redrive
RUNNING = make_message(7, OMS, Kind.RUNS_ON)
STRAY = make_message(8, OMS, Kind.UNKNOWN_OPERATION)
AGELESS = make_message(9, CANCEL, Kind.AGELESS, doomed=True)  # moved by SQS, and sent back under another id
ENDS = {
    DELETED: ("succeeded", None),
    CANCELLED: ("succeeded", None),
    GONE: ("unchanged", make_error("OMS.1009")),
    DRY: ("planned", None),
    INVALID_ONE: ("failed", make_error("SchemaViolation")),
    DOUBTFUL: ("failed", make_error("ConnectionFailed", "the change may have been made")),
    RUNNING: ("conflict", make_error("OMS.0063")),
}
REDRIVEN = {
    INVALID_ONE: ("failed", make_error("SchemaViolation")),
    DOUBTFUL: ("unchanged", make_error("OMS.1009")),
    RUNNING: ("conflict", make_error("OMS.0063")),
}
BYSTANDER = Target("huawei_oms", "", "999")


def origin(message: Message) -> str:
    return f"origin-{message.number}"


def honest() -> Evidence:
    """Nine messages, each with an end of its own, all as it should be."""
    first = {message: make_result(message, origin(message), *end[:1], error=end[1]) for message, end in ENDS.items()}
    again = {
        message: make_result(message, origin(message), end[0], error=end[1], completed_at=TIMES["redrive"])
        for message, end in REDRIVEN.items()
    }
    receives = [
        Receive(f"id-{message.number}", origin(message), 1, KEY, Ending.DONE, result)
        for message, result in first.items()
    ]
    receives.append(Receive("id-1", origin(DELETED), 1, KEY, Ending.KILLED, None))
    receives += [
        Receive(f"new-{message.number}", origin(message), 1, KEY, Ending.DONE, result)
        for message, result in again.items()
    ]
    receives += [Receive("id-9", origin(AGELESS), number, "", Ending.KILLED, None) for number in range(1, 9)]
    unknown = make_result(
        AGELESS, "new-9", "failed", error=make_error("SentTimeUnknown"), completed_at=TIMES["redrive"]
    )
    receives.append(Receive("new-9", "new-9", 1, KEY, Ending.DONE, unknown))
    before = {message.target for message in (*ENDS, STRAY, AGELESS) if message is not GONE} | {BYSTANDER}
    return Evidence(
        sent=(
            *(Sent(message, origin(message), f"id-{message.number}", TIMES["sent"]) for message in ENDS),
            Sent(STRAY, origin(STRAY), None),
            Sent(AGELESS, origin(AGELESS), "id-9"),
        ),
        unsent=0,
        receives=tuple(receives),
        crashes=(),
        published=(*first.values(), *again.values(), unknown),
        dead_letters=(
            *(DeadLetter(origin(message), f"moved-{message.number}", first[message]) for message in REDRIVEN),
            DeadLetter(origin(AGELESS), "id-9", None),
        ),
        redriven={f"new-{message.number}": origin(message) for message in (*REDRIVEN, AGELESS)},
        left=(
            *(
                DeadLetter(origin(message), f"left-{message.number}", again[message])
                for message in (INVALID_ONE, RUNNING)
            ),
            DeadLetter("new-9", "left-9", unknown),
        ),
        unrouted=(origin(STRAY),),
        waiting=0,
        journal=(
            make_entry(DELETED, origin(DELETED), "deleted"),
            make_entry(CANCELLED, origin(CANCELLED), "cancelled"),
            make_entry(DOUBTFUL, origin(DOUBTFUL), "deleted", status=None, faults=("reset_after",)),
            make_entry(
                DOUBTFUL,
                origin(DOUBTFUL),
                None,
                method="GET",
                time=TIMES["look"],
                status=None,
                faults=("reset_before",),
                request_id="look",
            ),
            make_entry(RUNNING, origin(RUNNING), None, status=400, code="OMS.0063"),
        ),
        before=frozenset(before),
        after=frozenset(before - {DELETED.target, CANCELLED.target, DOUBTFUL.target}),
    )


# -- what may be otherwise ------------------------------------------------


def change_result(message: Message, **changes: Any) -> Change:
    """Another first result, everywhere that it stands."""

    def changed(result: Result | None) -> Result | None:
        if result is None or result["correlation_id"] != origin(message) or result["completed_at"] != TIMES["end"]:
            return result
        return {**result, **changes}

    def doctor(evidence: Evidence) -> Evidence:
        return replace(
            evidence,
            receives=tuple(replace(item, result=changed(item.result)) for item in evidence.receives),
            published=tuple(changed(item) or item for item in evidence.published),
            dead_letters=tuple(replace(item, result=changed(item.result)) for item in evidence.dead_letters),
        )

    return doctor


def change_receive(received_id: str, **changes: Any) -> Change:
    return lambda evidence: replace(
        evidence,
        receives=tuple(
            replace(item, **changes) if item.message_id == received_id else item for item in evidence.receives
        ),
    )


def without(collection: str, message: Message) -> Change:
    """The evidence without what names this message in one of its collections."""

    def names(item: Any) -> bool:
        found = item["correlation_id"] if isinstance(item, dict) else getattr(item, "origin", item)
        return bool(found == origin(message))

    def doctor(evidence: Evidence) -> Evidence:
        changes: dict[str, Any] = {collection: tuple(x for x in getattr(evidence, collection) if not names(x))}
        return replace(evidence, **changes)

    return doctor


def with_entry(entry: Entry) -> Change:
    return lambda evidence: replace(evidence, journal=(*evidence.journal, entry))


def change_entry(message: Message, **changes: Any) -> Change:
    return lambda evidence: replace(
        evidence,
        journal=tuple(
            replace(entry, **changes) if entry.request_id == f"request-{origin(message)}" else entry
            for entry in evidence.journal
        ),
    )


def change_sent(message: Message, **changes: Any) -> Change:
    return lambda evidence: replace(
        evidence,
        sent=tuple(replace(sent, **changes) if sent.message is message else sent for sent in evidence.sent),
    )


def fields(**changes: Any) -> Change:
    return lambda evidence: replace(evidence, **changes)


def still_there(message: Message) -> Change:
    return lambda evidence: replace(evidence, after=evidence.after | {message.target})


def no_longer_there(target: Target) -> Change:
    return lambda evidence: replace(evidence, after=evidence.after - {target})


def moved_by_sqs(ending: Ending) -> Change:
    """The running task's message, as if no worker had finished it by its eighth receive."""

    def doctor(evidence: Evidence) -> Evidence:
        receives = tuple(
            Receive("id-7", origin(RUNNING), number, KEY, Ending.AGAIN if number < 5 else ending, None)
            for number in range(1, 9)
        )
        others = tuple(item for item in evidence.receives if item.message_id != "id-7")
        dead_letters = tuple(item for item in evidence.dead_letters if item.origin != origin(RUNNING))
        published = tuple(
            item
            for item in evidence.published
            if (item["correlation_id"], item["completed_at"]) != (origin(RUNNING), TIMES["end"])
        )
        dead = DeadLetter(origin(RUNNING), "id-7", None)
        return replace(evidence, receives=others + receives, published=published, dead_letters=(*dead_letters, dead))

    return doctor
