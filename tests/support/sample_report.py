"""Reports as the sweep writes them, for tests: built from tasks, so that their numbers agree."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

LISTED = datetime(2026, 11, 22, 3, 0, 41, tzinfo=UTC)
DAY = 86_400.0
DECISIONS = (
    *("selected", "protected", "not_deletable", "other_status", "other_name", "too_young", "age_unknown"),
    *("gone", "changed", "not_in_plan", "requested_before"),
)
COUNTS = ("found", *DECISIONS, "requested", "failed")
RUN = "nightly-2026-11-22"
SHA256 = "5f" * 32
BUCKET = "task-cleanup-reports-123456789012"

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
    "age_unknown": "no age: none of ended, seen is known",
    "gone": "it is not listed any more",
    "changed": "it is not as it was when the report was made: provider_status, started_at",
    "not_in_plan": "the report did not select it",
    "requested_before": "the run apply-2026-11-21 has asked for it, and its request may still wait",
}
# What has no age: nobody knows it, or it was not asked for.
_AGELESS = frozenset({"age_unknown", "gone"})


def stamp(moment: datetime) -> str:
    """A time as reports write it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def task(number: int, decision: str = "selected", *, age_days: float | None = None, **members: Any) -> Json:
    """One decided task. ``age_days`` None is an age that suits the decision."""
    if age_days is None and decision not in _AGELESS:
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
        "age_from": None if seconds is None else "inferred",
        "stop_running": False,
        "vouched": False,
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
        "policy_target": 0,
        "complete": error is None,
        "error": error,
        "ages_begin_anew": False,
        "counts": {"found": len(found) - decided["gone"], **counts, "requested": requested, "failed": failed},
        "tasks": list(found),
    } | members


SELECT = {"statuses": ["succeeded", "failed"], "older_than": "P7D", "age_from": ["ended", "seen", "inferred"]}


def policy(**members: Any) -> Json:
    """The nightly policy."""
    return {
        "name": "nightly",
        "mode": "report",
        "targets": [{"provider": "huawei", "service": "oms", "region": "cn-north-4"}],
        "select": SELECT | {"names": ["tmp-*"]},
        "protect": {"task_ids": ["7300000000000003"], "names": ["*prod*"]},
        "limits": {"max_tasks": 500, "max_fraction": 0.5, "allow_incomplete": False},
        "stop_running": False,
    } | members


def guards(protect: Json, mixed_scripts: int = 0, **matched: int) -> Json:
    """Every entry of ``protect`` matched three tasks, or as many as ``matched`` says for its member."""
    each = {member: dict.fromkeys(protect[member], matched.get(member, 3)) for member in ("task_ids", "names")}
    return {**each, "mixed_scripts": mixed_scripts}


def wanting(tasks: int = 0, **would: int) -> Json:
    """So many tasks lack an age; so many would be selected by a basis, or by ``started`` for those to be stopped."""
    return {
        "tasks": tasks,
        "age_from": {basis: would.get(basis, 0) for basis in ("ended", "seen", "inferred", "created")},
        "running_since": {"started": would.get("started", 0), "created": 0, "seen": 0},
    }


def saved(report: Json) -> dict[str, str]:
    """Where the report is stored, and its digest."""
    folder = f"reports/{report['run_id']}"
    return {"bucket": BUCKET, "json": f"{folder}/report.json", "html": f"{folder}/index.html", "sha256": SHA256}


def report(targets: Sequence[Json] = (), **members: Any) -> Json:
    """A report over these targets with its run's end, whose totals are the targets' sums."""
    return {
        "schema_version": "2.0",
        "run_id": RUN,
        "name": "nightly",
        "mode": "report",
        "dry_run": False,
        "outcome": "reported",
        "refusals": [],
        "error": None,
        "plan_of": None,
        "plan_sha256": None,
        "requested_by": "arn:aws:iam::123456789012:role/task-cleanup-scheduler",
        "started_at": stamp(LISTED - timedelta(seconds=41)),
        "listed_at": stamp(LISTED),
        "completed_at": stamp(LISTED + timedelta(seconds=32)),
        "policy": policy(),
        "guards": guards(members.get("policy", policy())["protect"]),
        "ages_wanting": wanting(),
        "totals": {key: sum(one["counts"][key] for one in targets) for key in COUNTS},
        "targets": list(targets),
        "instances": [],
    } | members


UNAVAILABLE = {
    "category": "unavailable",
    "code": "ConnectionFailed",
    "message": "no answer from the provider within 10 seconds",
    "detail": None,
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
        plan_of=f"reports/{RUN}/report.json",
        plan_sha256="a3" * 32,
    )


def overtaken() -> Json:
    """An apply of a report on tasks of which some have changed since: one was started again, one is gone."""
    restarted = task(71, "changed", name="tmp-rehearsal-started-again", status="running", age_days=0, age_from="seen")
    vouched = task(72, status="failed", age_days=9.0, age_from="ended", vouched=True, provider_status="9")
    vouched |= {"why": "failed, 9.0 days since it ended, the policy vouches for its status", "deletable": False}
    others = [task(73, "gone"), task(74, "not_in_plan"), task(75, "requested_before")]
    found = [*tasks(40, selected=12), restarted, vouched, *others]
    return report(
        [target(found, requested=13), target(tasks(9, selected=2, first=900), requested=2, region="cn-south-1")],
        mode="apply",
        outcome="requested",
        run_id="apply-2026-11-22",
        plan_of=f"reports/{RUN}/report.json",
        plan_sha256="a3" * 32,
    )


def unguarded() -> Json:
    """A report whose policy protects by patterns of another tool: they match nothing."""
    own = policy(protect={"task_ids": ["7300000000000003", "01010"], "names": [".*prod.*", "*prod*"]})
    counted = {"task_ids": {"01010": 0, "7300000000000003": 1}, "names": {".*prod.*": 0, "*prod*": 214}}
    return typical(policy=own, guards={**counted, "mixed_scripts": 0})


SEEN = "since it was first seen as it is now"


def ageless() -> Json:
    """A report in which tasks wait for an age, most of all running ones; one target's ages begin anew."""
    own = policy(
        select=SELECT
        | {"statuses": ["succeeded", "running"], "age_from": ["ended", "seen"], "running_since": "seen"},
        stop_running=True,
    )
    running = task(81, status="running", stop_running=True, age_days=12.0, age_from="seen", deletable=False)
    running |= {"why_not": _WHY["not_deletable"], "why": f"running, 12.0 days {SEEN}, is stopped first"}
    waiting = [task(100 + number, "age_unknown") for number in range(60)]
    young = [task(200 + number, "too_young", age_days=0.0, age_from="seen") for number in range(20)]
    found = [running, *waiting, *young, *tasks(30, selected=9)]
    listed = [target(found, ages_begin_anew=True), target(tasks(20, selected=4, first=900), region="cn-south-1")]
    return report(listed, policy=own, ages_wanting=wanting(81, inferred=57, created=71, started=3))


def mixed() -> Json:
    """A report on names that look like others: they are kept, since the policy protects names."""
    why = "its name mixes letters of Cyrillic and Latin, so protect.names cannot be judged"
    names = ("tmp-c\u043epy-invoices", "pr\u043ed-orders", "tmp-migr\u0430te")
    found = [task(300 + number, "protected", name=name, why=why) for number, name in enumerate(names)]
    own = policy()
    return report([target([*found, *tasks(60, selected=21)])], policy=own, guards=guards(own["protect"], len(names)))


def hostile() -> Json:
    """Every hostile name in every place where a stranger's text may stand."""
    named = [
        task(index, DECISIONS[index % len(DECISIONS)], name=name, why=f"its name is {name}", provider_status=name)
        | {"vouched": True}
        for index, name in enumerate(HOSTILE_NAMES)
    ]
    bad = HOSTILE_NAMES[1]
    hidden = {"task_ids": [bad], "names": list(HOSTILE_NAMES)}
    found = target(
        named,
        error={"category": bad, "code": bad, "message": bad},
        account=bad,
        instance_id=bad,
        ages_begin_anew=True,
    )
    return report(
        [found],
        name=bad,
        requested_by=bad,
        refusals=[{"code": bad, "message": bad, "target": 0}],
        policy=policy(
            targets=[{"provider": "huawei", "service": "oms", "region": bad, "account": bad, "instance_ids": "all"}],
            select=SELECT | {"statuses": [bad], "names": [HOSTILE_NAMES[0]], "provider_statuses": [bad]},
            protect=hidden,
        ),
        guards=guards(hidden, len(named), names=0),
        ages_wanting=wanting(len(named), created=len(named)),
        instances=[{"policy_target": 0, "found": None}],
        plan_of=bad,
        plan_sha256=bad,
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
