"""What the code says: variables, results, codes, metrics. Texts: ``descriptions``."""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

import task_cleanup
from local.api import schemas
from local.api.reference import descriptions as told
from local.api.reference.markdown import Json, Page, code, listed, section, table, yes
from local.api.reference.of_template import variables
from task_cleanup.errors import RETRY_LATER, RETRY_WITHIN_CALL, Category, Code, SweepCode
from task_cleanup.observability import Observability, Telemetry
from task_cleanup.providers import huawei_gateway
from task_cleanup.providers.model import PROVIDERS, ErrorTable, category_of_unknown
from task_cleanup.results import Error, Outcome, Result, Target
from task_cleanup.settings import Settings
from task_cleanup.sweep.gatherer import GATHERER, GathererObservability
from task_cleanup.sweep.observability import EndTelemetry, SweepObservability
from task_cleanup.sweep.report import SweepOutcome
from task_cleanup.sweep.selection import Decision
from task_cleanup.sweep.services import CALLED, SERVICES
from task_cleanup.tasks import Status
from task_cleanup.triggers import HTTP_STATUS, Trigger

LAYER = Path(task_cleanup.__file__).parent
REFUSAL = "refusal"  # of a sweep: it has no category

# -- settings ------------------------------------------------


class _Recorder(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.asked: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        self.asked.append(name)
        return super().get(name, default)


def variables_read() -> list[str]:
    """Every variable that the settings read, in that order: with as few set as possible, they read them all."""
    given = _Recorder(
        AWS_DEFAULT_REGION="eu-central-1", AWS_ACCESS_KEY_ID="testKey", AWS_SECRET_ACCESS_KEY="testFake"
    )
    Settings.from_env(CALLED, given)
    return list(dict.fromkeys(given.asked))


def settings(template: Json) -> Page:
    """The environment variables: what each is for, and where its value in the stack comes from."""
    stack = variables(template)
    names = sorted({*variables_read(), *stack}, key=lambda name: (name.startswith(("AWS_", "POWERTOOLS_")), name))
    rows = ((code(name), told.text_of_variable(name), " or ".join(sorted(stack.get(name, ())))) for name in names)
    intro = (
        "The environment variables of a function. The stack sets them; you need this page only if you run a function "
        "elsewhere. A value that cannot be understood stops the function at its start, with an error that names the "
        "variable."
    )
    return Page("Settings", intro, table(("variable", "meaning", "in the stack"), rows))


# -- requests ------------------------------------------------


def requests(template: Json) -> Page:
    """The operations, with their routes and the fields of their requests, and the regions of the services."""
    known = schemas.requests()
    limits = template["Resources"]["HttpApi"]["Properties"]["DefaultRouteSettings"]
    rows = [_request(of, known[of["Name"]]) for of in template["Mappings"]["Operations"].values()]
    sweep = f"[`{schemas.SWEEP}`](../schemas/{schemas.SWEEP}.json)"
    rows.append((sweep, "lists, judges and asks for deletes", "`POST /sweeps`", "[the policy](../sweep.md)"))
    texts: dict[str, set[str]] = {}
    for name, schema in known.items():
        for field, rule in schema["properties"].items() if name != schemas.SWEEP else ():
            texts.setdefault(field, set()).add(rule["description"].partition(" The service's: ")[0])
    fields = (
        (code(field), next(iter(told_)) if len(told_) == 1 else "Each operation's own: see its schema.")
        for field, told_ in sorted(texts.items())
    )
    regions = ((code(it.replace("_", ".")), listed(service.regions)) for it, service in sorted(SERVICES.items()))
    parts = [
        table(("operation", "does", "HTTP", "takes beside what is in the path"), rows),
        section("Fields", table(("field", "meaning"), fields)),
        section(
            "Regions",
            "The parameter [`ExtraRegions`](parameters.md#providers) adds to these.",
            table(("service", "regions"), regions),
        ),
    ]
    intro = (
        "What you can ask for. Over HTTP, fields that are not in the path are query parameters, or members of a JSON "
        "body (`expected`: body only). Events and direct calls have all fields in one object, with `operation`. "
        f"The HTTP API takes {limits['ThrottlingRateLimit']} calls a second, and answers within 30 seconds."
    )
    return Page("Operations and their requests", intro, "\n\n".join(parts))


def _request(operation: Json, schema: Json) -> tuple[str, ...]:
    name, route = operation["Name"], f"{operation['Method']} {operation['Path']}"
    takes = sorted(it for it in schema["properties"] if it != "operation" and f"{{{it}}}" not in route)
    does = operation["Description"].removeprefix(f"{name}: ")
    return f"[`{name}`](../schemas/{name}.json)", does, code(route), listed(takes)


# -- results ------------------------------------------------


def results() -> Page:
    """Outcomes and categories of single operations, and the words of sweeps and lists."""
    http = {Outcome.CONFLICT: str(HTTP_STATUS[Category.CONFLICT]), Outcome.FAILED: "by its category"}
    outcomes = table(
        ("outcome", "HTTP", "meaning"),
        ((code(it.value), http.get(it, "200"), told.text_of(told.OUTCOMES, it)) for it in Outcome),
    )
    categories = table(
        ("category", "HTTP", "tried again in the call", "retryable", "meaning", "what to do"),
        (
            (
                code(it.value),
                HTTP_STATUS[it],
                yes(it in RETRY_WITHIN_CALL),
                yes(it in RETRY_LATER),
                *told.text_of(told.CATEGORIES, it),
            )
            for it in Category
        ),
    )
    retryable = (
        "`retryable: true` says that the same request may succeed later; `CredentialSuspended` is retryable as well. "
        "[Our own codes](error-codes.md), [those of the providers](provider-codes.md)."
    )
    parts = [
        section("Outcomes", outcomes),
        section("Categories of errors", categories, retryable),
        section("Outcomes of a sweep", _words(told.SWEEP_OUTCOMES, SweepOutcome, "outcome")),
        section("Decisions of a sweep", "In a report.", _words(told.DECISIONS, Decision, "decision")),
        section("Statuses of a listed task", _words(told.STATUSES, Status, "status")),
        section(
            "Bases of an age",
            table(("`age_basis`", "counts from"), ((code(it.value), text) for it, text in told.AGES.items())),
        ),
    ]
    intro = (
        "What a result says. Branch on `outcome`; look at `error` only to tell people why. The shape of a result: "
        "[result.schema.json](../../layers/task_cleanup/python/task_cleanup/result.schema.json)."
    )
    return Page("Results", intro, "\n\n".join(parts))


def _words(texts: Mapping[Any, str], kind: type[StrEnum], name: str) -> str:
    return table((name, "meaning"), ((code(it.value), told.text_of(texts, it)) for it in kind))


# -- codes ------------------------------------------------


def error_codes() -> Page:
    """Our own codes, with the categories that the code gives them."""
    found = categories_of_codes()
    parts = [
        section(title, table(("code", "category", "meaning"), _rows(kind, texts, found)))
        for title, kind, texts in (("Operations", Code, told.CODES), ("Sweeps", SweepCode, told.SWEEP_CODES))
    ]
    intro = (
        "Our own codes, for failures without a code of the provider. A *refusal* is in a sweep's `refusals`, and has "
        "no category. Without a category: the code is in logs, in messages and in counts only."
    )
    return Page("Error codes", intro, "\n\n".join(parts))


def _rows(kind: type[StrEnum], texts: Mapping[Any, str], found: Mapping[str, set[str]]) -> Iterator[Sequence[str]]:
    for member in sorted(kind, key=lambda it: it.value):
        groups = sorted(found.get(f"{kind.__name__}.{member.name}", ()))
        yield (
            code(member.value),
            ", ".join(it if it == REFUSAL else code(it) for it in groups),
            told.text_of(texts, member),
        )


# Where the category and the code are not arguments of one call.
_ELSEWHERE: Mapping[str, Category] = {
    "Code.SCHEMA_VIOLATION": Category.INVALID_REQUEST,
    "SweepCode.BUS_ERROR": Category.UNAVAILABLE,
    "SweepCode.STORE_ERROR": Category.UNAVAILABLE,
}
_REFUSING = {"refused", "Refusal", "_of_target"}


def categories_of_codes(folder: Path = LAYER) -> dict[str, set[str]]:
    """By ``Code.NAME``: the categories with which the code is used in a call, or ``refusal``."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = list(_members(node)) if isinstance(node, ast.Call) else []
            codes = [name for name in names if name.startswith(("Code.", "SweepCode."))]
            groups = {
                Category[name.removeprefix("Category.")].value for name in names if name.startswith("Category.")
            }
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                groups |= {Category.INVALID_REQUEST.value} if node.func.id == "invalid_request" else set()
                groups |= {REFUSAL} if node.func.id in _REFUSING else set()
            for name in codes:
                found.setdefault(name, set()).update(groups)
    for name, category in _ELSEWHERE.items():
        found.setdefault(name, set()).add(category.value)
    return found


def _members(call: ast.Call) -> Iterator[str]:
    """The members of enums among a call's own arguments: ``Category.TIMEOUT``."""
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        if isinstance(argument, ast.Attribute) and isinstance(argument.value, ast.Name):
            yield f"{argument.value.id}.{argument.attr}"


def provider_codes() -> Page:
    """The providers' codes, by service and category, and what an unknown one becomes."""
    gateway = ErrorTable(huawei_gateway.CODES, huawei_gateway.BY_STATUS)
    alike: dict[str, list[str]] = {}  # services of one product share their codes
    for id_, service in sorted(SERVICES.items()):
        text = "\n\n".join([_by_category(service.errors, without=gateway.codes), _look(service.look)])
        alike.setdefault(text, []).append(
            f"{PROVIDERS[service.provider]} {service.title} (`{id_.replace('_', '.')}`)"
        )
    parts = [section(" and ".join(names), text) for text, names in alike.items()]
    parts.append(section("The gateway of Huawei Cloud and Open Telekom Cloud", _by_category(gateway)))
    statuses = table(
        ("HTTP status", "category"),
        (
            (status, code(category_of_unknown("", status).value))
            for status in (400, 401, 403, 404, 408, 409, 429, 500, 501, 502, 503, 504)
        ),
    )
    unknown = (
        "A code that is in no table, or none at all, never becomes a success. One with `Throttl` in it is "
        "`throttled`; for any other the HTTP status decides:"
    )
    parts.append(section("Unknown codes", unknown, statuses))
    intro = (
        "The category that each code of a provider counts as, whatever its HTTP status; exceptions are marked. "
        "What a category means: [results.md](results.md#categories-of-errors)."
    )
    return Page("Codes of the providers", intro, "\n\n".join(parts))


def _by_category(errors: ErrorTable, without: Iterable[str] = ()) -> str:
    own = {name: category for name, category in errors.codes.items() if name not in set(without)}
    rows = [
        (
            code(category.value),
            yes(category in RETRY_LATER),
            listed(sorted(name for name, it in own.items() if it is category)),
        )
        for category in Category
        if category in own.values()
    ]
    exceptions = [
        f"{code(name)} with HTTP {status} is `{category.value}`"
        for (name, status), category in sorted(errors.by_status.items())
        if name in own
    ]
    return table(("category", "retryable", "codes"), rows) + (f"\n\n{'; '.join(exceptions)}." if exceptions else "")


def _look(look: Any) -> str:  # noqa: ANN401 - model.Look
    sentences = [
        ("A look that is answered with {} proves that the task is gone.", look.gone_codes),
        ("A record with the status {} is that of a deleted task.", look.gone_statuses),
        ("{} as the answer to a change can mean a missing task, too: one look decides.", look.doubtful_codes),
    ]
    return " ".join(text.format(listed(sorted(map(str, names)))) for text, names in sentences if names)


# -- metrics ------------------------------------------------

Emitted = dict[tuple[tuple[str, str], ...], dict[str, str]]  # dimensions -> metric -> unit

_NOBODY = Target("huawei", "oms")
_SUMMARY = {
    "outcome": "reported", "final": True, "refusals": [], "targets": [],
    "totals": {"found": 0, "selected": 0, "requested": 0, "failed": 0},
}  # fmt: skip


def _gathered(it: GathererObservability) -> None:
    it.counted(ResultsGathered=0, ResultsIgnored=0, ResultsDeferred=0)


def _recorded(it: Observability) -> None:
    changed = Error(Category.PRECONDITION_FAILED, Code.TASK_CHANGED, "")
    result = Result("<operation>", Outcome.FAILED, _NOBODY, datetime.now(UTC), "", 0.0, error=changed)
    it.ran(0.0)
    it.record(result, Trigger.DIRECT)


# The classes that write metrics, and what makes each write all of its own.
EMITTERS: Mapping[type[Telemetry], Callable[[Any], None]] = {
    Observability: _recorded,
    SweepObservability: lambda it: it.record(_SUMMARY, "direct"),
    EndTelemetry: lambda it: it.finished({}),
    GathererObservability: _gathered,
}


class _Silent:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def metrics_written() -> Emitted:
    """The metrics that the functions write, by their dimensions beside ``service``."""
    found: Emitted = {}
    for kind, drive in EMITTERS.items():
        it: Any = kind.__new__(kind)
        it._logger = _Silent()

        def measure(dimensions: Mapping[str, str], *metrics: tuple[str, MetricUnit, float]) -> None:
            place = tuple(sorted(dimensions.items()))
            found.setdefault(place, {}).update({name: unit.value for name, unit, _ in metrics})

        it._measure = measure
        drive(it)
    return found


def metrics() -> Page:
    """The metrics, by what they have as dimensions."""
    titles = {
        (): ("Of an invocation", "Dimension: `service`."),
        ("operation", "outcome"): ("Of a result", "Dimensions: `service`, `operation` (its name), `outcome`."),
    }
    parts = []
    for place, written in metrics_written().items():
        names, values = tuple(name for name, _ in place), dict(place)
        title, dimensions = titles.get(names) or (
            {GATHERER: "Of the gathering of results"}.get(values["operation"], "Of a sweep"),
            f"Dimensions: `service`, `operation` (`{values['operation']}`).",
        )
        rows = ((code(name), unit, told.text_of(told.METRICS, name)) for name, unit in written.items())
        parts.append(section(title, dimensions, table(("metric", "unit", "meaning"), rows)))
    intro = (
        "What the functions write beside the metrics of AWS's own services. Namespace: `TaskCleanup`. The dimension "
        "`service` is the stack's name."
    )
    return Page("Metrics", intro, "\n\n".join(parts))
