"""The daily refresh of an issuer's signing keys at Open Telekom Cloud, whose IAM cannot fetch them itself.

Sources: "OpenID Connect configuration of an identity provider" of OTC's IAM API reference (2026-01-26). UNCONFIRMED:
that a key needs its ``alg`` there; it is added, since the documented examples have it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from task_cleanup import transport
from task_cleanup.providers.huawei_gateway import read_error
from task_cleanup.providers.model import Credentials, Reply, SignedRequest
from task_cleanup.redaction import redact
from task_cleanup.settings import SettingsError, base_url
from task_cleanup.signing import sdk_hmac_sha256
from task_cleanup.system import Deadline, System
from task_cleanup.transport import NoAnswerError, ReplyTooLargeError
from task_cleanup_cli.exits import EndedError, Exit, usage

SECONDS = 30.0  # for everything
MOST_BYTES = 256 * 1024  # of a document
MOST_TEXT = 30_000  # characters of keys that IAM takes

_TITLE = "Open Telekom Cloud IAM"
_ALGORITHM = "RS256"  # of the functions' tokens
_PUBLIC = ("kty", "kid", "use", "alg", "n", "e")
_NUMBER = re.compile(r"[\w-]+", re.ASCII)
_KEY_ID = re.compile(r"[!-~]{1,255}")
# What a change must leave as it is: what is not sent may be taken for empty.
_LEFT = ("access_mode", "idp_url", "client_id", "authorization_endpoint", "scope", "response_type", "response_mode")

Json = dict[str, Any]
Key = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """The keys that the configuration has, and those that it is to have."""

    present: Sequence[Key]
    wanted: Sequence[Key]

    @classmethod
    def of(cls, present: Sequence[Key], published: Sequence[Key], *, keep_old: bool) -> "Plan":
        """``keep_old``: keys that are no longer published stay, unless a published one has their id."""
        ids = {key["kid"] for key in published}
        old = [_usable(key) for key in present if keep_old and _is_whole(key) and key["kid"] not in ids]
        return cls(present, [*published, *old])

    @property
    def is_new(self) -> bool:
        """Whether there is something to change."""
        return _identities(self.present) != _identities(self.wanted)

    def to_dict(self) -> dict[str, list[str]]:
        """The keys' ids: a key that comes again under the same id is both added and dropped."""
        present, wanted = _identities(self.present), _identities(self.wanted)
        return {
            "keys": _names(wanted),
            "added": _names(wanted - present),
            "dropped": _names(present - wanted),
        }


def _identities(keys: Iterable[Key]) -> set[tuple[str, str, str, str]]:
    return {tuple(str(key.get(name)) for name in ("kid", "n", "e", "alg")) for key in keys}  # type: ignore[misc]


def _names(identities: Iterable[tuple[str, ...]]) -> list[str]:
    return sorted(identity[0] for identity in identities)


def _is_whole(key: Key) -> bool:
    numbers = all(isinstance(key.get(name), str) and _NUMBER.fullmatch(key[name]) for name in ("n", "e"))
    return (
        numbers
        and key.get("kty") == "RSA"
        and isinstance(key.get("kid"), str)
        and bool(_KEY_ID.fullmatch(key["kid"]))
    )


def _usable(key: Key) -> Key:
    """Its public members, with ``alg``: AWS's keys have none."""
    return {"alg": _ALGORITHM, **{name: key[name] for name in _PUBLIC if name in key}}


def signing_keys(document: Mapping[str, Any]) -> list[Key]:
    """The keys of a JWKS by which tokens are signed with RS256.

    Raises
    ------
    EndedError
        If there is none, or one is not whole: no token would be accepted any more.
    """
    keys = document.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise _failed("the issuer's keys cannot be read")
    found = [key for key in keys if key.get("kty") == "RSA" and key.get("use", "sig") == "sig"]
    found = [key for key in found if key.get("alg", _ALGORITHM) == _ALGORITHM]
    if not found:
        raise _failed("the issuer publishes no RSA key for signatures: nothing was changed")
    if not all(_is_whole(key) for key in found):
        raise _failed("an RSA key of the issuer has no kid, n or e: nothing was changed")
    return [_usable(key) for key in found]


class Issuer:
    """Publishes its keys. Raises ``EndedError`` (usage) for a URL that is not one of an issuer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.origin = _origin("--issuer", url)

    def keys(self, web: "Web") -> list[Key]:
        """Its signing keys now. Raises ``EndedError`` if they cannot be had."""
        what = "the issuer's discovery document"
        found = web.document(f"{self.url}/.well-known/openid-configuration", what)
        if found.get("issuer") != self.url:
            raise _failed(f"{what} is of another issuer, {found.get('issuer')}: give that one's URL as it is written")
        address = found.get("jwks_uri")
        try:
            is_here = isinstance(address, str) and _origin("jwks_uri", address) == self.origin
        except EndedError:
            is_here = False
        if not isinstance(address, str) or not is_here:
            raise _failed(f"{what} has its keys (jwks_uri) on another host: they are not fetched")
        return signing_keys(web.document(address, "the issuer's keys"))


def _origin(name: str, url: str) -> str:
    """Scheme and host of a URL, which is https, or http on loopback, and has neither query nor user."""
    try:
        parts = urlsplit(url)
        origin = base_url(name, f"{parts.scheme}://{parts.netloc}")
    except (ValueError, SettingsError) as error:
        raise usage(str(error) if isinstance(error, SettingsError) else f"{name} is not a URL") from None
    if parts.query or parts.fragment:
        raise usage(f"{name} must have neither query nor fragment")
    return origin


class Web:
    """Calls within one time limit, without redirects; repeated where the connection or the server fails.

    Every method raises ``EndedError``.
    """

    def __init__(self, system: System, *origins: str) -> None:
        # Everything here is safe to repeat: reads, and a change to what is told in whole.
        self._session = transport.new_session(system, origins)
        self._deadline = Deadline.after(SECONDS, system.monotonic)

    def send(self, request: SignedRequest, what: str) -> Reply:
        """Any reply."""
        try:
            return transport.exchange(self._session, request, self._deadline, MOST_BYTES)
        except NoAnswerError as error:
            raise _failed(f"{what}: {error}") from None
        except ReplyTooLargeError:
            raise _failed(f"{what}: more than {MOST_BYTES // 1024} KB, which are not read") from None
        except ValueError:
            raise _failed(f"{what}: its address is not one that can be sent") from None

    def document(self, url: str, what: str) -> Json:
        """A JSON object at this address."""
        reply = self.send(SignedRequest("GET", url, {}), what)
        found = reply.json_object() if reply.status == 200 else None
        if found is None:
            raise _failed(f"{what}: HTTP {reply.status}, and no JSON object at {url}")
        return found


@dataclass(frozen=True)
class Configuration:
    """The OpenID Connect configuration of one identity provider. Every method raises ``EndedError``."""

    web: Web
    base: str
    provider_id: str
    credentials: Credentials
    system: System

    def read(self) -> Json:
        """As it is now."""
        reply = self._send("GET")
        found = (reply.json_object() or {}).get("openid_connect_config")
        texts = ("idp_url", "client_id", "access_mode")
        if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in texts):
            raise _failed(f"{_TITLE}: HTTP {reply.status} without a configuration that can be read")
        return found

    def write(self, present: Json, keys: Sequence[Key]) -> None:
        """Change the keys, leave the rest, and see that the keys are there."""
        text = json.dumps({"keys": [dict(key) for key in keys]}, separators=(",", ":"))
        if len(text) > MOST_TEXT:
            raise _failed(f"the keys have {len(text):,} characters, and {_TITLE} takes {MOST_TEXT:,}")
        config = {name: present[name] for name in _LEFT if present.get(name)} | {"signing_key": text}
        self._send("PUT", json.dumps({"openid_connect_config": config}).encode())
        if _identities(keys_in(self.read())) != _identities(keys):
            raise _failed(f"{_TITLE} took the change, and does not show the keys")

    def _send(self, method: str, body: bytes = b"") -> Reply:
        path = f"/v3.0/OS-FEDERATION/identity-providers/{self.provider_id}/openid-connect-config"
        headers = sdk_hmac_sha256.sign(
            method=method,
            host=urlsplit(self.base).netloc,
            path=path,
            query=(),
            project_id="",
            access_key_id=self.credentials.access_key_id,
            secret_access_key=self.credentials.secret_access_key,
            security_token=self.credentials.security_token,
            now=self.system.now(),
            body=body,
        )
        reply = self.web.send(SignedRequest(method, f"{self.base}{path}", headers, body or None), _TITLE)
        if reply.status not in (200, 201):
            raise self._refused(method, reply)
        return reply

    def _refused(self, method: str, reply: Reply) -> EndedError:
        told = read_error(reply)
        words = redact(f"{told.code}: {told.message}", self.credentials.secrets) if told else "no readable error"
        lines = [f"{_TITLE}: {method}: HTTP {reply.status}, {words}"]
        if reply.status == 404:
            lines.append(
                f"there is no identity provider {self.provider_id}, or it has no OpenID Connect configuration: make "
                "it first (docs/keyless.md). This command only changes the keys of one that is there"
            )
        elif reply.status in (401, 403):
            right = "getOpenIDConnectConfig" if method == "GET" else "updateOpenIDConnectConfig"
            lines.append(
                f"the key in OS_ACCESS_KEY needs the right iam:identityProviders:{right}, in the whole domain"
            )
        return _failed(*lines)


def keys_in(config: Mapping[str, Any]) -> list[Key]:
    """The keys of a configuration; none where they cannot be read, so that they are written anew."""
    try:
        document = json.loads(config.get("signing_key") or "")
    except (ValueError, TypeError, RecursionError):
        return []
    keys = document.get("keys") if isinstance(document, dict) else None
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _failed(*lines: str) -> EndedError:
    return EndedError(Exit.FAILED, *lines)
