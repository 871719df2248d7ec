"""Reads policies in YAML 1.2 or JSON, says where they are wrong, and writes new ones with comments."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from task_cleanup.errors import CleanupError
from task_cleanup.providers.model import PROVIDERS, Service
from task_cleanup.sweep.policy import Policy
from task_cleanup.sweep.services import SERVICES, region_violations, vouching_violations
from task_cleanup.validation import NotJsonError, RequestValidator, strict_json
from task_cleanup_cli import yaml12
from task_cleanup_cli.exits import usage
from task_cleanup_cli.operations import sweep_schema

MAX_BYTES = 1_000_000
_PACKAGE = Path(__file__).parent
SCHEMA = next(
    it for it in (_PACKAGE / "sweep.schema.json", _PACKAGE.parents[1] / "docs/schemas/sweep.json") if it.is_file()
)
SCHEMA_COPY = "task-cleanup.schema.json"  # beside a new policy, for editors

# What users of Cloud Custodian and of the nukes write, and how it is said here.
HABITS: Mapping[str, str] = {
    "policies": "a file is one policy: `name`, `targets`, `select`, `limits` are at the top",
    "resource": "what is listed is said by `targets`: provider, service, region",
    "resources": "what is listed is said by `targets`: provider, service, region",
    "filters": "what may go is said by `select` (statuses, older_than, names), what stays by `protect`",
    "actions": "there is one action, to delete: `sweep` shows what would go, and `apply` deletes it",
    "max-resources": "write `limits: {max_tasks: …, max_fraction: …}`",
    "max-resources-percent": "write `limits: {max_fraction: 0.5}`",
    "regions": "each target has its own `region`",
    "accounts": "each target has its own `account`, an alias of its keys",
    "account-blocklist": "an account that no target names is not touched; single tasks are kept by `protect`",
    "exclude": "write `protect: {task_ids: […], names: […]}`",
    "excludes": "write `protect: {task_ids: […], names: […]}`",
    "older-than": "write `select: {older_than: P7D}`",
    "vars": "there are no variables: write the values out",
}


def load(path: Path, extra_regions: Mapping[str, Sequence[str]]) -> tuple[dict[str, Any], list[str]]:
    """The policy in this file as the request of a report, and what the user should know about it.

    Raises
    ------
    EndedError
        If it cannot be read, or is not valid: with a line for each mistake, and what is meant.
    """
    value, lines = _read(path)
    if not isinstance(value, dict):
        raise usage(f"{path}: a policy is an object with name, targets and select")
    habits = [f"{path}{_at(lines, f'/{name}')}: {name}: {HABITS[name]}" for name in value if name in HABITS]
    if habits:
        raise usage(*habits, "`task-cleanup policy new` writes a policy for you")
    notes = []
    wanted = value.pop("mode", "report")
    if wanted not in ("report", "apply"):
        raise usage(f"{path}{_at(lines, '/mode')}: mode must be one of report, apply")
    if wanted == "apply":
        notes.append("mode: apply is for the deployed stack: here a sweep only reports, and `apply` deletes")
    for name in ("apply_report", "sha256", "run_id"):
        if name in value:
            raise usage(f"{path}{_at(lines, f'/{name}')}: {name} is no part of a policy")
    _refuse_numbers(path, value, lines)
    _validate(path, value, lines, extra_regions)
    return value, notes


def doubts(policy: Mapping[str, Any]) -> list[str]:
    """What is valid, and may not be what is meant: patterns of names that look like regular expressions."""
    return [
        f"/{part}/names: {name!r} looks like a regular expression: only * and ? are wildcards here"
        for part in ("select", "protect")
        for name in policy.get(part, {}).get("names", ())
        if ".*" in name or name.startswith("^") or name.endswith("$")
    ]


def _read(path: Path) -> tuple[Any, Mapping[str, int]]:
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise usage(f"{path}: cannot be read ({error.strerror})") from None
    if len(body) > MAX_BYTES:  # bytes: what is read of a longer file would be a policy without its end
        raise usage(f"{path}: is larger than a policy can be")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise usage(f"{path}: is not UTF-8") from None
    try:
        if path.suffix.lower() == ".json" or text.lstrip().startswith("{"):
            return strict_json(text), {}
        read = yaml12.read(text)
    except NotJsonError as error:
        raise usage(f"{path}: not JSON: {error}") from None
    except yaml12.NotYamlError as error:
        raise usage(f"{path}: {error}") from None
    return read.value, read.lines


def _at(lines: Mapping[str, int], place: str) -> str:
    """``:12``, the line of a part or of what it is in."""
    while place and place not in lines:
        place = place.rpartition("/")[0]
    return f":{lines[place]}" if place else ""


def _refuse_numbers(path: Path, value: Mapping[str, Any], lines: Mapping[str, int]) -> None:
    """An id without quotes is a number in YAML, and loses its zeros: it would protect another task, or none."""
    protect = value.get("protect")
    ids = protect.get("task_ids") if lines and isinstance(protect, dict) else None
    wrong = [
        f"{path}{_at(lines, place)}: {place} is a number: put the id in quotes"
        for number, task_id in enumerate(ids if isinstance(ids, list) else ())
        if not isinstance(task_id, str) and (place := f"/protect/task_ids/{number}")
    ]
    if wrong:
        raise usage(*wrong)


def validate(value: object, extra: Mapping[str, Sequence[str]]) -> None:
    """Refuse what is no policy. ``extra`` are the regions of ``EXTRA_REGIONS``.

    Raises
    ------
    CleanupError
        With all violations.
    """
    request = RequestValidator(sweep_schema()).validate(
        value, lambda asked: [*region_violations(asked, extra), *vouching_violations(asked)]
    )
    Policy.read(request)


def _validate(
    path: Path, value: dict[str, Any], lines: Mapping[str, int], extra: Mapping[str, Sequence[str]]
) -> None:
    try:
        validate(value, extra)
    except CleanupError as error:
        violations = (error.detail or {}).get("violations", [])
        places = [(it["pointer"], it["allowed"]) for it in violations]
        told = [f"{path}{_at(lines, place)}: {place or 'the policy'} {allowed}" for place, allowed in places]
        raise usage(*(told or [f"{path}: {error.message}"])) from None


# -- a new one ------------------------------------------------


def target_lines(service: Service, answers: Mapping[str, str]) -> list[str]:
    """A target in YAML. ``answers``: region and account, and, where the service has them, project and instance."""
    lines = [f"  - provider: {service.provider}", f"    service: {service.name}"]
    for name, value in answers.items():
        lines.append(f"    {name}: {json.dumps(value, ensure_ascii=False)}")
    return lines


def new_text(name: str, service: Service, answers: Mapping[str, str], older_than: str, protect: str) -> str:
    """A commented policy."""
    money = "  # a delete here releases what is paid for" if service.has_money else ""
    return "\n".join(
        [
            f"# yaml-language-server: $schema={SCHEMA_COPY}",
            f"# What `task-cleanup sweep` lists at {PROVIDERS[service.provider]}, and which of the tasks may go.",
            f"name: {json.dumps(name)}",
            "",
            f"# Where to look. Each target is listed completely.{money}",
            "targets:",
            *target_lines(service, answers),
            "",
            "# What may be deleted: all of these must hold.",
            "select:",
            f"  older_than: {json.dumps(older_than)}  # P7D: days; PT12H: hours",
            "  statuses: [succeeded, failed, cancelled]",
            "  # What an age is counted from; the first that is known counts. `seen`: since sweeps see the task as",
            "  # it is. `inferred` and `created` are known at once, and may be earlier than the task's end.",
            "  age_from: [ended, seen]",
            '  # names: ["tmp-*"]  # only these; * and ? are wildcards',
            "",
            "# What is never deleted, whatever `select` says. Ids are in quotes.",
            "protect:",
            f"  names: [{json.dumps(protect, ensure_ascii=False)}]",
            "  task_ids: []",
            "",
            "# If more is selected, nothing at all is deleted.",
            "limits:",
            "  max_tasks: 500",
            "  max_fraction: 0.5  # of the tasks that were found, in each target and in all",
            "",
        ]
    )


def write_new(path: Path, text: str) -> None:
    """Write the policy, and beside it the schema that its first line names.

    Raises
    ------
    EndedError
        If the file is there already, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        shutil.copyfile(SCHEMA, path.with_name(SCHEMA_COPY))
    except FileExistsError:
        raise usage(f"{path} is there already: give another name") from None
    except OSError as error:
        raise usage(f"{path}: cannot be written ({error.strerror})") from None


def service_named(name: str) -> Service:
    """The service that people call ``huawei.oms``.

    Raises
    ------
    EndedError
        If there is none.
    """
    found = SERVICES.get(name.replace(".", "_"))
    if found is None or "_" in name:
        known = ", ".join(f"{it.provider}.{it.name}" for it in SERVICES.values())
        raise usage(f"there is no service {name!r}: there are {known}")
    return found
