"""Starts all emulated services in this process, and gives tests access to them."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from .admin import Admin
from .clock import Clock
from .faults import Faults
from .identity import Identity
from .journal import Journal
from .keys import AccessKey, KeyRing
from .messages import Delivery, Request
from .server import LoopbackServer, Responder
from .service import Platform
from .services import make_services
from .store import Store
from .switches import Switches

ADMIN = "admin"


class Emulators:
    """All clouds on loopback. Use it in a `with` block, or call `start` and `stop`."""

    def __init__(self, seed: int = 0, port_base: int = 0) -> None:
        """Take ports from this one on: one a service, one for the admin API, one a stand-in; 0 takes free ones."""
        self._platform = Platform(seed)
        self.services = make_services(self._platform)
        self.responders = {name: self._responder(name) for name in sorted({s.name for s in self.services.values()})}
        self.identity = Identity(self._platform)
        stand_ins = {name: stand_in.respond for name, stand_in in self.identity.stand_ins.items()}
        responders = {**self.responders, ADMIN: Admin(self).respond, **stand_ins}
        self._servers = {
            name: LoopbackServer(port_base and port_base + place, respond, self._platform.stopping)
            for place, (name, respond) in enumerate(responders.items())
        }
        self.identity.urls.update({name: self._servers[name].url for name in stand_ins})
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
                with ThreadPoolExecutor(len(self._servers)) as pool:  # each waits for its threads
                    list(pool.map(LoopbackServer.stop, self._servers.values()))

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def reset(self, seed: int | None = None, *, keys: bool = False) -> None:
        """Forget tasks, journal, faults, switches, lock-outs, changed identity tokens and the shifted clock.

        If asked, forget the keys too, and whatever was registered with the stand-ins for identity.
        """
        self._platform.reset(seed)
        self.identity.reset(registrations=keys)
        for service in self.services.values():
            service.clear()
        if keys:
            self.keys.clear()

    def _responder(self, name: str) -> Responder:
        """Make the function that answers on a service's port, with the kind of tasks that the call is about."""
        first, *others = (service for service in self.services.values() if service.name == name)

        def respond(request: Request) -> Delivery:
            return next((other for other in others if other.identify(request)), first).respond(request)

        return respond

    # -- where -----------------------------------------------------------------------------------------------

    @property
    def urls(self) -> dict[str, str]:
        """Base URL of each service."""
        return {name: self._servers[name].url for name in self.responders}

    @property
    def admin_url(self) -> str:
        """Base URL of the admin API."""
        return self._servers[ADMIN].url

    # -- state -----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Store[Any]:
        """The store of a service's tasks, by the service's id: `cloud.huawei_oms.add_task(...)`."""
        services = self.__dict__.get("services", {})
        if name not in services:
            raise AttributeError(f"{name}: there are {', '.join(services)}")
        store: Store[Any] = services[name].store
        return store

    def seed(self, record: Mapping[str, Any]) -> None:
        """Add one task or place; the record names its `service`."""
        values = dict(record)
        self.services[values.pop("service")].store.seed(values)

    def tasks(self) -> dict[str, list[dict[str, Any]]]:
        """Return all places by service, each with its `tasks`."""
        return {name: service.store.snapshot() for name, service in self.services.items()}

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
        """Add an access key; more fields: `disabled`, `token_expired`, `denied` (operations)."""
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
        """The access keys that the services accept."""
        return self._platform.keys

    @property
    def journal(self) -> Journal:
        """Every request that arrived."""
        return self._platform.journal

    @property
    def switches(self) -> Switches:
        """The switches for behaviour that no source documents."""
        return self._platform.switches

    @property
    def faults(self) -> Faults:
        """The faults that are set."""
        return self._platform.faults

    @property
    def clock(self) -> Clock:
        """The clock of all services."""
        return self._platform.clock
