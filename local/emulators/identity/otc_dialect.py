"""Refusals, times and documents of OTC's IAM (sheet, section 4)."""

from datetime import UTC, datetime
from typing import Any

from local.emulators.service import Refusal

TOKEN_SECONDS = 24 * 3600
TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
_DOMAIN = {"id": "063bb260a48000000000000000000000", "name": "OTC-EU-DE-00000000001000000000"}
_GROUP = {"name": "task-cleanup", "id": "45a8c8f0000000000000000000000000"}
_REFUSALS = {
    "IAM.0001": (401, "The request you have made requires authentication."),
    "IAM.0003": (403, "Policy doesn't allow the action to be performed."),
    "IAM.0004": (404, "Could not find identity provider or its configuration."),
    "IAM.0011": (400, "Request body is invalid."),
}


def refuse(code: str) -> Refusal:
    """Make the refusal with this code."""
    status, text = _REFUSALS[code]
    return Refusal(status, code, text)


def bad_parameter(name: str) -> Refusal:
    """Refuse because of a member of the body."""
    return Refusal(400, "IAM.0011", f"Request parameter {name} is invalid.")


def member(content: object, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read a member that must be an object; it may be missing only where there is a default."""
    value = content.get(name, default) if isinstance(content, dict) else None
    if not isinstance(value, dict):
        raise bad_parameter(name)
    return value


def microseconds(seconds: float) -> str:
    """UTC, always with six digits after the point."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def token_document(provider_id: str, project_id: str | None, now: float) -> dict[str, Any]:
    """Describe a token that lives for a day from now on."""
    federation = {
        "identity_provider": {"id": provider_id},
        "protocol": {"id": "oidc"},
        "groups": [_GROUP],
    }
    token: dict[str, Any] = {
        "expires_at": microseconds(now + TOKEN_SECONDS),
        "methods": ["mapped"],
        "issued_at": microseconds(now),
        "user": {"OS-FEDERATION": federation, "domain": _DOMAIN, "name": "task-cleanup", "id": "suvmgvUZc4PaCOEc"},
    }
    if project_id is not None:
        token["project"] = {"id": project_id, "name": "eu-de", "domain": _DOMAIN}
        token |= {"roles": [], "catalog": []}
    return token
