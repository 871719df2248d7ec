"""The admin API, on a port of its own. JSON in and out; unknown names are refused with 400."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from .clock import http_date, rfc3339
from .messages import Delivery, Request
from .service import json_reply

if TYPE_CHECKING:
    from .emulators import Emulators

PREFIX = "/_emulator/"
Action = Callable[[dict[str, Any], Request], object]


class Admin:
    """Reads and changes the state of running emulators."""

    def __init__(self, cloud: "Emulators") -> None:
        """Take the emulators that it reads and changes."""
        self._cloud = cloud
        self._actions: dict[tuple[str, str], Action] = {
            ("GET", "health"): self._health,
            ("GET", "journal"): self._journal,
            ("GET", "tasks"): lambda _, __: self._cloud.tasks(),
            ("POST", "tasks"): self._seed,
            ("POST", "keys"): self._add_key,
            ("POST", "identity"): self._register,
            ("GET", "switches"): lambda _, __: self._cloud.switches.as_json(),
            ("POST", "switches"): self._switch,
            ("GET", "faults"): lambda _, __: self._cloud.faults.as_json(),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._remove_faults,
            ("GET", "clock"): lambda _, __: self._time(),
            ("POST", "clock"): self._set_clock,
            ("POST", "reset"): self._reset,
        }

    def respond(self, request: Request) -> Delivery:
        """Answer one admin request."""
        status, content = self._decide(request)
        return Delivery(json_reply(status, content, (("Date", http_date(self._cloud.clock.now())),)))

    def _decide(self, request: Request) -> tuple[int, object]:
        action = self._actions.get((request.method, request.path.removeprefix(PREFIX)))
        if action is None or not request.path.startswith(PREFIX):
            return 404, {"error": "no such admin call", "calls": [" ".join(call) for call in self._actions]}
        try:
            body = json.loads(request.body or b"{}")
            if not isinstance(body, dict):
                return 400, {"error": "the body must be a JSON object"}
            return 200, action(body, request)
        except (ValueError, TypeError, KeyError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}

    def _health(self, _body: dict[str, Any], _request: Request) -> object:
        return {"status": "ok", "services": self._cloud.urls}

    def _journal(self, _body: dict[str, Any], request: Request) -> object:
        since = parse_qs(request.query).get("since", ["0"])[0]
        return self._cloud.journal.as_json(int(since))

    def _seed(self, body: dict[str, Any], _request: Request) -> object:
        for record in body.get("tasks", [body]):
            self._cloud.seed(record)
        return self._cloud.tasks()

    def _add_key(self, body: dict[str, Any], _request: Request) -> object:
        key = self._cloud.add_key(**body)
        return {"provider": key.provider, "access_key_id": key.access_key_id}

    def _register(self, body: dict[str, Any], _request: Request) -> object:
        self._cloud.identity.register(body)
        return {"urls": self._cloud.identity.urls}

    def _switch(self, body: dict[str, Any], _request: Request) -> object:
        self._cloud.switches.update(**body)
        return self._cloud.switches.as_json()

    def _add_fault(self, body: dict[str, Any], _request: Request) -> object:
        parameters = body.pop("parameters", {})
        return {"number": self._cloud.faults.add(**{**parameters, **body})}

    def _remove_faults(self, _body: dict[str, Any], request: Request) -> object:
        numbers = parse_qs(request.query).get("number")
        if numbers is None:
            self._cloud.faults.clear()
        for number in numbers or []:
            self._cloud.faults.remove(int(number))
        return self._cloud.faults.as_json()

    def _set_clock(self, body: dict[str, Any], _request: Request) -> object:
        unknown = set(body) - {"shift_seconds", "advance_seconds", "reset"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        if body.get("reset"):
            self._cloud.clock.reset()
        self._cloud.clock.shift(float(body.get("shift_seconds", 0)))
        self._cloud.clock.advance(float(body.get("advance_seconds", 0)))
        return self._time()

    def _time(self) -> object:
        return {"now": rfc3339(self._cloud.clock.now()), "offset_seconds": self._cloud.clock.offset}

    def _reset(self, body: dict[str, Any], _request: Request) -> object:
        self._cloud.reset(**body)
        return {"status": "ok"}
