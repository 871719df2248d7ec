"""``{"check": "credentials"}``: says step by step whether a function gets credentials, and whether they are accepted.

Any function that calls a provider answers it, when it is invoked directly. Nothing is changed anywhere, and no
secret, token or key is in the answer.
"""

from collections.abc import Mapping
from typing import Any

from task_cleanup.calls import Answers, Caller, Dependencies
from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.federation import claims_of
from task_cleanup.providers.model import PROVIDERS, Reply, Request, Service
from task_cleanup.results import Error
from task_cleanup.system import Deadline
from task_cleanup.times import rfc3339
from task_cleanup.validation import RequestValidator, Violation, filled_in, pointer, reference

_Step = dict[str, Any]
_Services = Mapping[Service, Dependencies]

_SCHEMA = {
    "type": "object",
    "properties": {
        "check": {"const": "credentials"},
        "account": reference("account"),
        "region": reference("region"),
    },
    "required": ["check"],
    "additionalProperties": False,
}


def check(event: Mapping[str, Any], services: _Services, deadline: Deadline) -> dict[str, Any]:
    """Check the account's credentials for each service.

    Returns
    -------
    dict
        ``{"check", "account", "ok", "services": [{"provider", "service", "source", "ok", "steps"}]}``. ``source`` is
        ``secret`` or ``exchange``. A step is ``{"step", "state", "message"}`` with ``code`` and ``detail`` where it
        has failed; its ``state`` is ``ok``, ``failed`` or ``skipped``. A request that is not valid, or names a region
        that none of the services has, is answered with ``ok`` false, ``error`` as in results, and no services.
    """
    try:
        asked = RequestValidator(filled_in(_SCHEMA)).validate(
            event, lambda request: _unknown_region(request, services)
        )
    except CleanupError as error:
        return {"check": "credentials", "ok": False, "error": Error.of(error).to_dict(), "services": []}
    request: Request = {
        "account": DEFAULT_ACCOUNT,
        **{name: asked[name] for name in ("account", "region") if name in asked},
    }
    checked = [_of_service(service, dependencies, request, deadline) for service, dependencies in services.items()]
    ok = all(each["ok"] for each in checked)
    return {"check": "credentials", "account": request["account"], "ok": ok, "services": checked}


def _unknown_region(request: Mapping[str, Any], services: _Services) -> list[Violation]:
    """A violation if a region is asked for that no service has: nothing would be tried there."""
    region = request.get("region")
    if region is None or any(_has_region(service, services[service], region) for service in services):
        return []
    known = (f"{PROVIDERS[service.provider]} {service.title}" for service in services)
    return [Violation(pointer("region"), "enum", f"must be a region of {' or '.join(known)}")]


def _has_region(service: Service, dependencies: Dependencies, region: object) -> bool:
    return not service.region_violations(region, dependencies.extra_regions)


def _of_service(service: Service, dependencies: Dependencies, request: Request, deadline: Deadline) -> dict[str, Any]:
    is_federated = dependencies.credentials.is_federated(request["account"])
    steps = [_token(dependencies, deadline)] if is_federated else []
    if _all_ok(steps):
        steps.append(_keys(dependencies, request["account"], deadline))
    if _all_ok(steps):
        steps.append(_call(service, dependencies, request, deadline))
    else:
        steps.append(_step("call", "skipped", "there are no credentials to call with"))
    return {
        "provider": service.provider,
        "service": service.name,
        "source": "exchange" if is_federated else "secret",
        "ok": all(step["state"] != "failed" for step in steps),
        "steps": steps,
    }


def _all_ok(steps: list[_Step]) -> bool:
    return all(step["state"] == "ok" for step in steps)


def _step(name: str, state: str, message: str, **more: Any) -> _Step:  # noqa: ANN401 - JSON values
    return {"step": name, "state": state, "message": message, **more}


def _failed(name: str, error: Error) -> _Step:
    detail = {} if error.detail is None else {"detail": dict(error.detail)}
    return _step(name, "failed", error.message, code=str(error.code), **detail)


def _token(dependencies: Dependencies, deadline: Deadline) -> _Step:
    try:
        token = dependencies.credentials.identity_token(deadline)
    except CleanupError as error:
        return _failed("identity token", Error.of(error))
    message = "AWS STS gives this function an identity token: trust policies must name these claims"
    return _step("identity token", "ok", message, detail={"claims": dict(claims_of(token))})


def _keys(dependencies: Dependencies, account: str, deadline: Deadline) -> _Step:
    """Read or exchange anew: keys that are kept would hide what is wrong since."""
    store = dependencies.credentials
    name = "exchange" if store.is_federated(account) else "secret"
    try:
        store.refetch(account, deadline)
    except CleanupError as error:
        return _failed(name, Error.of(error))
    ends_at = store.ends_at(account)
    if ends_at is None:
        return _step(name, "ok", "the secret is there and well-formed")
    return _step(name, "ok", f"the provider gives keys for the token, until {rfc3339(ends_at)}")


def _call(service: Service, dependencies: Dependencies, request: Request, deadline: Deadline) -> _Step:
    probe = service.probe
    if "region" not in request:
        return _step("call", "skipped", f"name a region, and {probe.operation} is tried there")
    if not _has_region(service, dependencies, request["region"]):
        return _step("call", "skipped", f"{PROVIDERS[service.provider]} {service.title} has no such region")
    try:
        caller = Caller(service, request, dependencies, deadline)
        verdict = caller.send(probe.call(caller.request), Answers(_is_answer, is_read=True)).verdict
    except CleanupError as error:
        if error.code == Code.PROJECT_ID_MISSING:
            return _step("call", "skipped", f"the credentials name no project_id, which {probe.operation} needs")
        return _failed("call", Error.of(error))
    if verdict.error is None:
        return _step("call", "ok", f"{probe.operation} was answered")
    failed = _failed("call", verdict.error)
    if verdict.category is Category.FORBIDDEN:
        project = "compare the account's project_id: each region has a project of its own. " * service.needs_project
        failed["hint"] = f"{project}{probe.operation} needs the right {probe.right}, and hardly anything else does"
    return failed


def _is_answer(reply: Reply) -> Error | None:
    if reply.json_object() is not None:
        return None
    return Error(Category.PROVIDER_ERROR, Code.UNEXPECTED_REPLY, f"HTTP {reply.status} without a JSON object")
