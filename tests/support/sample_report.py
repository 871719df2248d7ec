"""Reports as the sweep writes them, for tests: built from tasks, so that their numbers agree."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

LISTED = datetime(2026, 11, 22, 3, 0, 41, tzinfo=UTC)
DAY = 86_400.0
DECISIONS = ("selected", "protected", "not_deletable", "other_status", "other_name", "too_young", "age_unknown")
COUNTS = ("found", *DECISIONS, "requested", "failed")

# What strangers may call a task, and what a page must not make of it.
HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '</td></tr></table></details><a href="https://example.invalid/">here</a>',
    "<!-- ",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;&#60;",
    "tmp-\u202egpj.exe\u202c-right to left",
    "\u05d2\u05d9\u05d1\u05d5\u05d9 \u0646\u0633\u062e",
    "\U0001f469\u200d\U0001f4bb build \U0001f1e9\U0001f1f0 \U0001f680",
    "two\nlines\tand\x00nothing\x1b[31m",
    "half a pair \ud83d",
    "x" * 500,
    "\u79fb\u884c\u30bf\u30b9\u30af\u3000\u4e00\u6642" * 6,
    "",
    "   blanks   ",
)

_NAMES = (
    "tmp-copy-invoices",
    "tmp-migrate-archive",
    "nightly-prod-sync",
    "adhoc-restore",
    "tmp-rehearsal-of-the-cutover",
)
_STATUSES = {"selected": "succeeded", "not_deletable": "running", "other_status": "paused"}
_PROVIDER_STATUS = {"waiting": "1", "running": "2", "paused": "3", "failed": "4", "succeeded": "5", "cancelled": "6"}
# How often what is not selected is kept for what: so many in a hundred.
_WEIGHTS = {
    "other_name": 44,
    "too_young": 27,
    "other_status": 13,
    "protected": 9,
    "not_deletable": 6,
    "age_unknown": 1,
}
_WHY = {
    "protected": "its name matches *prod*",
    "not_deletable": "the provider refuses while it is running",
    "other_status": "paused is not one of succeeded, failed",
    "other_name": "its name matches none of tmp-*",
    "too_young": "not older than 7 days",
    "age_unknown": "no usable time to count its age from",
}


def stamp(moment: datetime) -> str:
    """A time as reports write it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def task(number: int, decision: str = "selected", *, age_days: float | None = None, **members: Any) -> Json:
    """One decided task. ``age_days`` None is an age that suits the decision."""
    if age_days is None and decision != "age_unknown":
        age_days = 0.3 + number % 6 if decision == "too_young" else 7.4 + (number * number * 13) % 140
    seconds = None if age_days is None else age_days * DAY
    status = members.get("status", _STATUSES.get(decision, ("succeeded", "failed")[number % 3 == 0]))
    ended = None if seconds is None else stamp(LISTED - timedelta(seconds=seconds))
    return {
        "task_id": str(7_300_000_000_000_000 + number),
        "name": f"{_NAMES[number % len(_NAMES)]}-{number:05d}",
        "status": status,
        "provider_status": _PROVIDER_STATUS.get(status, "42"),
        "created_at": None,
        "started_at": None if seconds is None else stamp(LISTED - timedelta(seconds=seconds + 5400)),
        "ended_at": None,
        "inferred_end_at": ended,
        "stoppable": status == "running",
        "billed": None,
        "kind": None,
        "age_basis": None if seconds is None else "inferred",
        "group_id": None,
        "deletable": decision != "not_deletable",
        "why_not": _WHY["not_deletable"] if decision == "not_deletable" else None,
        "provider_detail": {},
        "decision": decision,
        "why": _WHY.get(decision, f"{status}, ended {age_days or 0:.1f} days ago"),
        "age_seconds": seconds,
        "stop_running": False,
    } | members


def tasks(total: int, *, selected: int | None = None, first: int = 0) -> list[Json]:
    """So many tasks, of which so many (else a quarter) are selected; the rest of every decision."""
    chosen = total // 4 if selected is None else selected
    rest = [name for name, weight in _WEIGHTS.items() for _ in range(weight)]
    return [
        task(first + index, "selected" if index < chosen else rest[index * 7 % len(rest)]) for index in range(total)
    ]


def target(
    found: Sequence[Json] = (), *, requested: int = 0, failed: int = 0, error: Json | None = None, **members: Any
) -> Json:
    """One target, whose counts are those of its tasks. An error makes it incomplete."""
    decided = Counter(one["decision"] for one in found)
    counts = {key: decided[key] for key in DECISIONS}
    return {
        "provider": "huawei",
        "service": "oms",
        "account": "default",
        "region": "cn-north-4",
        "project_id": "0fa4e5f1a2b3c4d5e6f7a8b9c0d1e2f3",
        "instance_id": None,
        "complete": error is None,
        "error": error,
        "counts": {"found": len(found), **counts, "requested": requested, "failed": failed},
        "tasks": list(found),
    } | members


def policy(**members: Any) -> Json:
    """The nightly policy."""
    return {
        "name": "nightly",
        "mode": "report",
        "targets": [{"provider": "huawei", "service": "oms", "region": "cn-north-4"}],
        "select": {"statuses": ["succeeded", "failed"], "older_than": "P7D", "names": ["tmp-*"]},
        "protect": {"task_ids": ["7300000000000003"], "names": ["*prod*"]},
        "limits": {"max_tasks": 500, "max_fraction": 0.5, "allow_incomplete": False},
        "stop_running": False,
    } | members


def report(targets: Sequence[Json] = (), **members: Any) -> Json:
    """A report over these targets, whose totals are the targets' sums."""
    return {
        "schema_version": "1.0",
        "run_id": "nightly-2026-11-22",
        "name": "nightly",
        "mode": "report",
        "dry_run": False,
        "outcome": "reported",
        "refusals": [],
        "error": None,
        "plan_of": None,
        "requested_by": "arn:aws:iam::123456789012:role/task-cleanup-scheduler",
        "started_at": stamp(LISTED - timedelta(seconds=41)),
        "listed_at": stamp(LISTED),
        "completed_at": stamp(LISTED + timedelta(seconds=32)),
        "policy": policy(),
        "totals": {key: sum(one["counts"][key] for one in targets) for key in COUNTS},
        "targets": list(targets),
    } | members


UNAVAILABLE = {
    "category": "unavailable",
    "code": "ConnectionFailed",
    "message": "no answer from the provider within 10 seconds",
}


def typical_targets() -> list[Json]:
    """A few targets of each provider, all listed whole."""
    return [
        target(tasks(1234, selected=312)),
        target(tasks(86, first=2000), region="cn-south-1"),
        target(tasks(0), region="ap-southeast-3", account="rehearsal"),
        target(
            tasks(41, selected=9, first=3000),
            provider="otc",
            service="dms",
            region="eu-de",
            instance_id="3c7d1f0a-5b1e-4c55-9d3a-0f5a5a000001",
        ),
        target(
            tasks(12, selected=0, first=4000),
            provider="alibaba",
            service="elasticsearch",
            region="cn-hangzhou",
            project_id=None,
            instance_id="es-cn-oew1oxiro000f0001",
        ),
    ]


def typical(**members: Any) -> Json:
    """A report in which all went well."""
    return report(typical_targets(), **members)


def refused() -> Json:
    """An apply that was refused: too many, and a list that is not whole."""
    found = [
        *typical_targets(),
        target((), error=UNAVAILABLE, region="eu-west-101"),
        target(tasks(30, first=5000), complete=False, region="la-south-2"),
    ]
    return report(
        found,
        mode="apply",
        outcome="refused",
        policy=policy(mode="apply", limits={"max_tasks": 300, "max_fraction": 0.2, "allow_incomplete": False}),
        refusals=[
            {"code": "TooManyTasks", "message": "349 tasks are selected, max_tasks is 300", "target": None},
            {"code": "IncompleteList", "message": "its list failed, and allow_incomplete is false", "target": 5},
        ],
    )


def requested(*, failed: int = 0) -> Json:
    """An apply of an earlier report; so many of its requests were not taken."""
    found = typical_targets()
    for one in found:
        one["counts"]["requested"] = one["counts"]["selected"]
    found[0]["counts"]["requested"] -= failed
    found[0]["counts"]["failed"] = failed
    return report(
        found,
        mode="apply",
        outcome="requested",
        run_id="apply-2026-11-22",
        plan_of="reports/nightly-2026-11-22/report.json",
    )


def hostile() -> Json:
    """Every hostile name in every place where a stranger's text may stand."""
    named = [
        task(index, DECISIONS[index % len(DECISIONS)], name=name, why=f"its name is {name}", provider_status=name)
        for index, name in enumerate(HOSTILE_NAMES)
    ]
    bad = HOSTILE_NAMES[1]
    return report(
        [target(named, error={"category": bad, "code": bad, "message": bad}, account=bad, instance_id=bad)],
        name=bad,
        requested_by=bad,
        refusals=[{"code": bad, "message": bad, "target": 0}],
        policy=policy(
            select={"statuses": [bad], "older_than": "P7D", "names": [HOSTILE_NAMES[0]]},
            protect={"task_ids": [bad], "names": [bad]},
        ),
    )


_SERVICES = (
    {"provider": "huawei", "service": "oms"},
    {"provider": "otc", "service": "dms"},
    {"provider": "alibaba", "service": "elasticsearch"},
)


def many(targets: int = 200, each: int = 25) -> Json:
    """Many targets, one in forty of which failed; the policy puts up with that."""

    def one(index: int) -> Json:
        members: Json = {"region": f"region-{index:03d}", **_SERVICES[index * len(_SERVICES) // targets]}
        error = UNAVAILABLE if index % 40 == 7 else None
        return target(tasks(each, first=index * each), error=error, **members)

    limits = {"max_tasks": 100_000, "max_fraction": 0.5, "allow_incomplete": True}
    return report([one(index) for index in range(targets)], policy=policy(limits=limits))
