"""The other clouds on loopback, in memory: every service in `services/`."""

from .emulators import Emulators
from .faults import Dialect, Fault, FaultKind, Variant
from .journal import Entry
from .keys import AccessKey
from .service import Platform
from .services import make_services
from .switches import Switches

KINDS = {key: service.kind for key, service in make_services(Platform(0)).items()}
"""What is true of the tasks of each service, by its id: `huawei_oms`."""
SERVICES = tuple(KINDS)

__all__ = [
    "KINDS",
    "SERVICES",
    "AccessKey",
    "Dialect",
    "Emulators",
    "Entry",
    "Fault",
    "FaultKind",
    "Platform",
    "Switches",
    "Variant",
    "make_services",
]
