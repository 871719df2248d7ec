"""Alibaba Elasticsearch, Huawei OMS and DMS (Open Telekom Cloud and Huawei Cloud) on loopback, in memory."""

from .emulators import SERVICES, Emulators
from .faults import Dialect, Fault, FaultKind, Variant
from .journal import Entry
from .keys import AccessKey, Provider
from .switches import Switches

__all__ = [
    "SERVICES",
    "AccessKey",
    "Dialect",
    "Emulators",
    "Entry",
    "Fault",
    "FaultKind",
    "Provider",
    "Switches",
    "Variant",
]
