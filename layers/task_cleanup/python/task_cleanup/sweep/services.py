"""The services that a sweep knows, from their modules, and the schema of a target of each."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from task_cleanup.providers import alibaba_elasticsearch, dms, huawei_oms
from task_cleanup.providers.model import Service
from task_cleanup.validation import Violation, load_schema, pointer, reference

SERVICES: Mapping[str, Service] = {
    service.id: service for service in (alibaba_elasticsearch.SERVICE, huawei_oms.SERVICE, dms.HUAWEI, dms.OTC)
}


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
    return {
        "title": service.target.title,
        "type": "object",
        "properties": {
            **_named(provider=service.provider, service=service.name),
            **{field: reference(rule) for field, rule in fields.items()},
        },
        "required": ["provider", "service", "region", *service.target.required],
        "additionalProperties": False,
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
