"""All emulated services in one process: the Python side of it."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from .admin import Admin
from .alibaba_elasticsearch import AlibabaElasticsearch
from .clock import Clock
from .dms import Dms
from .dms_state import DmsStore
from .elasticsearch_state import ElasticsearchStore
from .faults import Faults
from .huawei_oms import HuaweiOms
from .journal import Journal
from .keys import AccessKey, KeyRing, LockOut, Provider
from .oms_state import OmsStore
from .server import LoopbackServer
from .service import Platform, Service
from .switches import Switches

ADMIN = "admin"
SERVICES = ("alibaba_elasticsearch", "huawei_oms", "otc_dms", "huawei_dms")


class Emulators:
    """Three providers on loopback. Use it in a `with` block, or call `start` and `stop`."""

    def __init__(self, seed: int = 0, ports: Mapping[str, int] | None = None) -> None:
        """Take a free port for each service and for `admin`, unless one is named."""
        self._platform = Platform(seed)
        huawei, otc = LockOut(self.clock), LockOut(self.clock)
        self._elasticsearch = AlibabaElasticsearch(self._platform)
        self._oms = HuaweiOms(self._platform, huawei)
        self._otc_dms = Dms("otc_dms", Provider.OTC, self._platform, otc)
        self._huawei_dms = Dms("huawei_dms", Provider.HUAWEI, self._platform, huawei)
        services: tuple[Service, ...] = (self._elasticsearch, self._oms, self._otc_dms, self._huawei_dms)
        self.services = {service.name: service for service in services}
        wanted = ports or {}
        stopping = self._platform.stopping
        self._servers = {
            name: LoopbackServer(wanted.get(name, 0), service.respond, stopping)
            for name, service in self.services.items()
        }
        self._servers[ADMIN] = LoopbackServer(wanted.get(ADMIN, 0), Admin(self).respond, stopping)
        self._stop_once = threading.Lock()

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Serve in the background."""
        for server in self._servers.values():
            server.start()
        return self

    def stop(self) -> None:
        """End all connections and threads; a second call does nothing."""
        with self._stop_once:
            if not self._platform.stopping.is_set():
                self._platform.stopping.set()
                for server in self._servers.values():
                    server.stop()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def reset(self, seed: int | None = None, *, keys: bool = False) -> None:
        """Forget tasks, journal, faults, switches, lock-outs and the shifted clock; the keys too if asked."""
        platform = self._platform
        platform.seed = platform.seed if seed is None else seed
        platform.faults.reset(platform.seed)
        platform.ids.seed(platform.seed)
        platform.switches.reset()
        platform.clock.reset()
        for service in self.services.values():
            service.clear()
        platform.journal.clear()
        if keys:
            platform.keys.clear()

    # -- where -----------------------------------------------------------------------------------------------

    @property
    def urls(self) -> dict[str, str]:
        """Base URL of each service."""
        return {name: server.url for name, server in self._servers.items() if name != ADMIN}

    @property
    def admin_url(self) -> str:
        """Base URL of the admin API."""
        return self._servers[ADMIN].url

    # -- state -----------------------------------------------------------------------------------------------

    @property
    def alibaba_elasticsearch(self) -> ElasticsearchStore:
        """Instances and data tasks: `add_instance`, `add_data_task`."""
        return self._elasticsearch.store

    @property
    def huawei_oms(self) -> OmsStore:
        """Migration tasks: `add_task`."""
        return self._oms.store

    @property
    def otc_dms(self) -> DmsStore:
        """Instances and background tasks of Open Telekom Cloud: `add_instance`, `add_task`."""
        return self._otc_dms.store

    @property
    def huawei_dms(self) -> DmsStore:
        """Instances and background tasks of Huawei Cloud: `add_instance`, `add_task`."""
        return self._huawei_dms.store

    def seed(self, record: Mapping[str, Any]) -> None:
        """Put one task or instance in place; the record names its `service`."""
        values = dict(record)
        self.services[values.pop("service")].seed(values)

    def tasks(self) -> dict[str, list[dict[str, Any]]]:
        """Return all tasks by service."""
        return {name: service.snapshot() for name, service in self.services.items()}

    # -- behaviour -------------------------------------------------------------------------------------------

    def add_key(
        self,
        provider: str,
        access_key_id: str,
        secret_access_key: str,
        security_token: str | None = None,
        project_id: str | None = None,
        **more: object,
    ) -> AccessKey:
        """Let a key in; more fields: `disabled`, `token_expired`, `denied` (operations)."""
        return self.keys.add(
            provider=provider,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            security_token=security_token,
            project_id=project_id,
            **more,
        )

    @property
    def keys(self) -> KeyRing:
        """The access keys that the services know."""
        return self._platform.keys

    @property
    def journal(self) -> Journal:
        """Every request that arrived."""
        return self._platform.journal

    @property
    def switches(self) -> Switches:
        """What no source settles."""
        return self._platform.switches

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self._platform.faults

    @property
    def clock(self) -> Clock:
        """The emulators' time."""
        return self._platform.clock
