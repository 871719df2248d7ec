"""The services that a sweep knows, from their modules, and the schema of a target of each."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from task_cleanup.providers import alibaba_elasticsearch, dms, huawei_oms
from task_cleanup.providers.model import PROVIDERS, Service
from task_cleanup.validation import Violation, load_schema, pointer, reference

SERVICES: Mapping[str, Service] = {
    service.id: service for service in (alibaba_elasticsearch.SERVICE, huawei_oms.SERVICE, dms.HUAWEI, dms.OTC)
}

# The ids whose ``<ID>_ENDPOINT`` may be set, and whose providers' ``<PROVIDER>_FEDERATION`` is read.
CALLED: Collection[str] = tuple(dict.fromkeys([*SERVICES, *(service.exchange_id for service in SERVICES.values())]))


def region_violations(request: Mapping[str, Any], extra: Mapping[str, Collection[str]]) -> Iterator[Violation]:
    """A violation for every target whose region its service does not have.

    ``request`` need not be valid: a target that is malformed or of an unknown service is skipped, since the schema
    refuses it. ``extra`` are the regions of ``EXTRA_REGIONS``, by service id.
    """
    targets = request.get("targets")
    for number, target in enumerate(targets if isinstance(targets, list) else ()):
        if not isinstance(target, dict):
            continue
        service_id = f"{target.get('provider')}_{target.get('service')}"
        if service_id in SERVICES:
            place = pointer("targets", str(number), "region")
            yield from SERVICES[service_id].region_violations(target.get("region"), extra.get(service_id, ()), place)


def vouching_violations(request: Mapping[str, Any]) -> Iterator[Violation]:
    """A violation for each of ``select.provider_statuses`` that a service of the targets does not allow to vouch for.

    ``request`` need not be valid, as for ``region_violations``.
    """
    select, targets = request.get("select"), request.get("targets")
    words = select.get("provider_statuses") if isinstance(select, dict) else None
    services = _services_of(targets if isinstance(targets, list) else ())
    for number, word in enumerate(words if isinstance(words, list) else ()):
        refusing = [service for service in services if isinstance(word, str) and not service.can_be_vouched(word)]
        if refusing:
            yield Violation(
                pointer("select", "provider_statuses", str(number)), "not", _must_not_be_vouched(refusing[0])
            )


def _services_of(targets: Iterable[object]) -> list[Service]:
    named = (f"{it.get('provider')}_{it.get('service')}" for it in targets if isinstance(it, dict))
    return [SERVICES[service_id] for service_id in dict.fromkeys(named) if service_id in SERVICES]


def _must_not_be_vouched(service: Service) -> str:
    title = f"{PROVIDERS[service.provider]} {service.title}"
    if service.has_money:
        return f"must not be there beside targets of {title}: a delete there releases what is paid for"
    return f"must not be a status in which a task of {title} waits, runs or is being deleted"


def load_sweep_schema(path: Path) -> dict[str, Any]:
    """Load the schema of the sweep's requests, with ``target_definitions`` as its ``$defs``.

    Raises
    ------
    ValueError
        As ``load_schema``; also if a service's fields name a shared rule that does not exist.
    """
    return load_schema(path, target_definitions())


def target_definitions() -> dict[str, Any]:
    """The schema of a target for each service id, and as ``target`` the one for a target of any service."""
    return {"target": _any_target(), **{key: _target(service) for key, service in SERVICES.items()}}


def _target(service: Service) -> dict[str, Any]:
    fields = {"region": "region", "account": "account", **service.target.fields, "limit": "target_limit"}
    choice = {}
    if service.instances:
        fields["instance_ids"] = "instance_ids"
        choice = {"oneOf": [{"required": ["instance_id"]}, {"required": ["instance_ids"]}]}
    required = [field for field in service.target.required if not (choice and field == "instance_id")]
    return {
        "title": service.target.title,
        "type": "object",
        "properties": {
            **_named(provider=service.provider, service=service.name),
            **{field: reference(rule) for field, rule in fields.items()},
        },
        "required": ["provider", "service", "region", *required],
        "additionalProperties": False,
        **choice,
    }


def _any_target() -> dict[str, Any]:
    """Refuses unknown services, and applies the definition of the service that the target names."""
    names: dict[str, list[str]] = {}
    for service in SERVICES.values():
        names.setdefault(service.provider, []).append(service.name)
    of_service = [
        _when({"$ref": f"#/$defs/{key}"}, provider=it.provider, service=it.name) for key, it in SERVICES.items()
    ]
    of_provider = [
        _when({"properties": {"service": {"const": own[0]} if len(own) == 1 else {"enum": own}}}, provider=provider)
        for provider, own in names.items()
    ]
    return {
        "type": "object",
        "properties": {
            "provider": {"enum": list(names)},
            "service": {"enum": list(dict.fromkeys(service.name for service in SERVICES.values()))},
        },
        "required": ["provider", "service"],
        "allOf": [*of_service, *of_provider],
    }


def _when(then: Mapping[str, Any], **values: str) -> dict[str, Any]:
    return {"if": {"required": list(values), "properties": _named(**values)}, "then": then}


def _named(**values: str) -> dict[str, dict[str, str]]:
    return {name: {"const": value} for name, value in values.items()}
