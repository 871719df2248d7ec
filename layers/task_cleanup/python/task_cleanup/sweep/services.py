"""The services that a sweep knows: how each is listed, and which operation deletes a task of it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from task_cleanup.listing import Pages, confirmed_by
from task_cleanup.operation import Operation, Request
from task_cleanup.providers import alibaba_elasticsearch, dms, huawei_oms
from task_cleanup.providers.service import Call, Service
from task_cleanup.validation import Violation, pointer


@dataclass(frozen=True)
class SweptService:
    """``can_stop``: its delete takes ``stop_running``. ``takes_token``: its delete takes a ``client_token``."""

    service: Service
    list_name: str
    delete_name: str
    first_call: Callable[[Request], Call]
    pages: Pages
    can_stop: bool = False
    takes_token: bool = False

    def list_operation(self, schema: Mapping[str, Any]) -> Operation:
        """The operation that lists a target; ``schema`` is the target's own part of the sweep's."""
        return Operation(
            name=self.list_name,
            service=self.service,
            schema=schema,
            call=self.first_call,
            confirmed=confirmed_by(self.pages.read),
            pages=self.pages,
        )


def _alibaba_call(request: Request) -> Call:
    return alibaba_elasticsearch.instance_call("ListDataTasks", "GET", request["instance_id"], "data-task")


def _oms_call(request: Request) -> Call:
    return huawei_oms.list_call(request, 0)


def _dms_call(request: Request) -> Call:
    return dms.list_call(request, 0)


_DMS_PAGES = Pages(read=dms.read_page, call=dms.list_call, past_end=dms.PAST_END)

SERVICES: Mapping[str, SweptService] = {
    swept.service.id: swept
    for swept in (
        SweptService(
            service=alibaba_elasticsearch.SERVICE,
            list_name="alibaba.elasticsearch.ListDataTasks",
            delete_name="alibaba.elasticsearch.DeleteDataTask",
            first_call=_alibaba_call,
            pages=Pages(read=alibaba_elasticsearch.read_page),
            takes_token=True,
        ),
        SweptService(
            service=huawei_oms.SERVICE,
            list_name="huawei.oms.ListTasks",
            delete_name="huawei.oms.DeleteTask",
            first_call=_oms_call,
            pages=Pages(read=huawei_oms.read_page, call=huawei_oms.list_call),
            can_stop=True,
        ),
        SweptService(
            service=dms.HUAWEI,
            list_name="huawei.dms.ListBackgroundTasks",
            delete_name="huawei.dms.DeleteBackgroundTask",
            first_call=_dms_call,
            pages=_DMS_PAGES,
        ),
        SweptService(
            service=dms.OTC,
            list_name="otc.dms.ListBackgroundTasks",
            delete_name="otc.dms.DeleteBackgroundTask",
            first_call=_dms_call,
            pages=_DMS_PAGES,
        ),
    )
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
            service = SERVICES[service_id].service
            yield from service.region_violations(target.get("region"), extra.get(service_id, ()), place)
