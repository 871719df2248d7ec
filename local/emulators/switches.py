"""What no public source settles, as switches. The defaults are the best guess of the provider sheets.

Every field can be changed while the emulators run: `cloud.switches.update(oms_delete_unknown="OMS.0054")`, plain
assignment, or `POST /_emulator/switches`.
"""

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from .records import converted


class AlibabaUnknownTask(StrEnum):
    """DeleteDataTask for a task that does not exist (Alibaba sheet, section 1.2)."""

    RESULT_FALSE = "result_false"
    ERROR = "error"
    RESULT_TRUE = "result_true"


class AlibabaRunningTask(StrEnum):
    """DeleteDataTask for a task that runs (section 1.2)."""

    ALLOW = "allow"
    REFUSE = "refuse"


class AlibabaIdleCancel(StrEnum):
    """CancelTask when nothing runs (section 1.3)."""

    RESULT_FALSE = "result_false"
    ERROR = "error"


class AlibabaTokenScope(StrEnum):
    """How far a client token is compared (section 4)."""

    OPERATION = "operation"
    ACCOUNT = "account"


class OmsUnknownTask(StrEnum):
    """DeleteTask for a task that does not exist (OMS sheet, section 9)."""

    RESOURCE_NOT_FOUND = "OMS.1009"
    HTTP_404 = "404"
    BAD_ID = "OMS.0054"


class OmsFinishedStop(StrEnum):
    """StopTask for a finished task (OMS sheet, section 11)."""

    FINISHED = "OMS.0070"
    NOT_RUNNING = "OMS.0066"


class DmsRunningTask(StrEnum):
    """DeleteBackgroundTask for a task that is not final (DMS sheet, section 5)."""

    JOB_RUNNING = "DMS.00400017"
    WRONG_STATE = "DMS.00400026"
    ALLOW = "allow"


class DmsUnknownDelete(StrEnum):
    """DeleteBackgroundTask for a task that does not exist (DMS sheet, section 5)."""

    BAD_ID = "DMS.00400070"
    HTTP_404 = "404"
    NO_CONTENT = "204"


class DmsUnknownShow(StrEnum):
    """ShowBackgroundTask for a task that does not exist or no more (DMS sheet, section 5)."""

    BAD_ID = "DMS.00400070"
    HTTP_404 = "404"
    EMPTY_LIST = "empty"
    DELETED_RECORD = "deleted_record"


class DmsPastEnd(StrEnum):
    """ListBackgroundTasks with a start past the last record (DMS sheet, section 2)."""

    EMPTY_PAGE = "empty"
    BAD_PARAMETER = "DMS.00400062"


class ListCount(StrEnum):
    """What the count of a list counts: by the sheets all records, but a client of Huawei's own does not trust it."""

    ALL = "all"
    PAGE = "page"


class DmsStartZero(StrEnum):
    """ListBackgroundTasks with start=0 (DMS sheet, section 2)."""

    BAD_PARAMETER = "DMS.00400062"
    FROM_FIRST = "first"


class DmsThrottle(StrEnum):
    """Who throttles DMS calls: the service, hidden under 404, or the gateway (DMS sheet, section 6)."""

    SERVICE_404 = "DMS.10240407"
    GATEWAY_429 = "APIGW.0308"


class GatewayExpiredToken(StrEnum):
    """Code for an expired temporary key at the Huawei gateway (Huawei signing sheet, section 4)."""

    RENEW = "0307"
    WRONG_AUTHENTICATION = "0301"


class GatewayPrefix(StrEnum):
    """First part of gateway codes (Huawei signing sheet, section 4)."""

    APIGW = "APIGW"
    APIG = "APIG"


@dataclass
class Switches:
    """All switches. Tuples hold numbers of states; the rest is explained at the enums and in the docs."""

    alibaba_delete_unknown: AlibabaUnknownTask = AlibabaUnknownTask.RESULT_FALSE
    alibaba_delete_running: AlibabaRunningTask = AlibabaRunningTask.ALLOW
    alibaba_cancel_idle: AlibabaIdleCancel = AlibabaIdleCancel.RESULT_FALSE
    alibaba_throttle_status: int = 400
    alibaba_retry_after_sent: bool = True
    alibaba_security_token_status: int = 400
    alibaba_signature_status: int = 400
    alibaba_client_token_scope: AlibabaTokenScope = AlibabaTokenScope.OPERATION
    alibaba_client_token_seconds: float = 86400.0

    oms_delete_unknown: OmsUnknownTask = OmsUnknownTask.RESOURCE_NOT_FOUND
    oms_delete_refused_states: tuple[int, ...] = (1, 6)
    oms_stop_finished: OmsFinishedStop = OmsFinishedStop.FINISHED
    oms_running_again: int = 0
    oms_stop_polls: int = 1
    oms_stop_ms: int | None = None
    oms_count: ListCount = ListCount.ALL

    dms_delete_running: DmsRunningTask = DmsRunningTask.JOB_RUNNING
    dms_delete_unknown: DmsUnknownDelete = DmsUnknownDelete.BAD_ID
    dms_show_unknown: DmsUnknownShow = DmsUnknownShow.BAD_ID
    dms_start_past_end: DmsPastEnd = DmsPastEnd.EMPTY_PAGE
    dms_start_zero: DmsStartZero = DmsStartZero.BAD_PARAMETER
    dms_default_limit: int = 10
    dms_count: ListCount = ListCount.ALL
    dms_throttle: DmsThrottle = DmsThrottle.SERVICE_404

    gateway_retry_after_sent: bool = True
    gateway_expired_token: GatewayExpiredToken = GatewayExpiredToken.RENEW
    gateway_unsigned_token_accepted: bool = False
    gateway_lock_after: int = 5
    otc_gateway_prefix: GatewayPrefix = GatewayPrefix.APIGW

    def update(self, **values: object) -> None:
        """Change some switches; enum members may be given by value. All or nothing."""
        for name, value in converted(Switches, values).items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Back to the defaults."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def as_json(self) -> dict[str, Any]:
        """Return all switches by name."""
        return asdict(self)
