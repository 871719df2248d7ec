"""The services that a sweep knows. What is true of each is in its own module."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from task_cleanup.providers import alibaba_elasticsearch, dms, huawei_oms
from task_cleanup.providers.model import Service
from task_cleanup.validation import Violation, pointer

SERVICES: Mapping[str, Service] = {
    service.id: service for service in (alibaba_elasticsearch.SERVICE, huawei_oms.SERVICE, dms.HUAWEI, dms.OTC)
}


def region_violations(request: Mapping[str, Any], extra: Mapping[str, Collection[str]]) -> Iterator[Violation]:
    """Every target whose region its service does not have.

    ``request`` need not be valid: what has not the shape of a target of a known service is left to the schema.
    ``extra`` are the regions of ``EXTRA_REGIONS``, by service id.
    """
    targets = request.get("targets")
    for number, target in enumerate(targets if isinstance(targets, list) else ()):
        if not isinstance(target, dict):
            continue
        service_id = f"{target.get('provider')}_{target.get('service')}"
        if service_id in SERVICES:
            place = pointer("targets", str(number), "region")
            yield from SERVICES[service_id].region_violations(target.get("region"), extra.get(service_id, ()), place)
