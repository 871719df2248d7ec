"""Reads and checks the environment variables, once, at start-up. No other module reads any."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

from task_cleanup.errors import TaskCleanupError
from task_cleanup.startup import wired
from task_cleanup.validation import NotJsonError, shared_pattern, strict_json

# One label of a host name, as in every schema. A region with a dot could name somebody else's host.
REGION = re.compile("[a-z][a-z0-9-]{0,61}[a-z0-9]")
_SERVICE = re.compile(r"[a-z][a-z0-9]*\.[a-z][a-z0-9]*")

_AWS_SERVICES = {
    # signing name: suffix of the AWS SDKs' own variable AWS_ENDPOINT_URL_<suffix>
    "secretsmanager": "SECRETS_MANAGER",
    "events": "EVENTBRIDGE",
    "sqs": "SQS",
    "s3": "S3",
    "sts": "STS",
}

Accounts = Mapping[str, Mapping[str, str]]  # alias -> the members that its provider asks for


class SettingsError(TaskCleanupError):
    """A variable is missing or wrong. The text names the variable, never its value."""


@wired
class AwsIdentity:
    """The function role's own credentials, as Lambda puts them in the environment."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    region: str


@wired
class Settings:
    """Everything a function takes from its environment (table: docs/reference/settings.md)."""

    secret_prefix: str
    dry_run: bool
    event_bus_name: str | None
    dead_letter_queue_url: str | None
    max_receives: int | None
    report_bucket: str | None
    provider_endpoints: Mapping[str, str]  # service id ("huawei_oms") -> base URL
    extra_regions: Mapping[str, tuple[str, ...]]  # service id -> regions beside the service's own
    federation: Mapping[str, Accounts]  # provider -> accounts without a stored key
    aws_endpoints: Mapping[str, str]  # signing name ("sqs") -> base URL
    aws: AwsIdentity
    metrics_namespace: str
    service_name: str
    function_name: str

    @classmethod
    def from_env(cls, services: Iterable[str] = (), env: Mapping[str, str] = os.environ) -> Self:
        """Read and check all variables.

        ``services`` are the ids (``huawei_oms``, ``huawei_sts``) whose ``<ID>_ENDPOINT`` may be set, and whose
        providers' ``<PROVIDER>_FEDERATION`` is read.

        Raises
        ------
        SettingsError
            If one is missing or malformed. A mistyped ``DRY_RUN`` must not mean false.
        """
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or ""
        if not region:
            raise SettingsError("AWS_REGION is not set")
        services = tuple(services)
        providers = dict.fromkeys(service.partition("_")[0] for service in services)
        return cls(
            secret_prefix=env.get("CREDENTIALS_SECRET_PREFIX") or "task-cleanup",
            dry_run=_boolean(env, "DRY_RUN"),
            event_bus_name=env.get("EVENT_BUS_NAME") or None,
            dead_letter_queue_url=env.get("DEAD_LETTER_QUEUE_URL") or None,
            max_receives=_positive(env, "MAX_RECEIVES"),
            report_bucket=env.get("REPORT_BUCKET") or None,
            provider_endpoints=_provider_endpoints(env, services),
            extra_regions=_extra_regions(env, "EXTRA_REGIONS"),
            federation={name: _federation(env, f"{name.upper()}_FEDERATION") for name in providers},
            aws_endpoints={name: _aws_endpoint(env, name, region) for name in _AWS_SERVICES},
            aws=AwsIdentity(
                access_key_id=_required(env, "AWS_ACCESS_KEY_ID"),
                secret_access_key=_required(env, "AWS_SECRET_ACCESS_KEY"),
                session_token=env.get("AWS_SESSION_TOKEN") or None,
                region=region,
            ),
            metrics_namespace=env.get("POWERTOOLS_METRICS_NAMESPACE") or "TaskCleanup",
            service_name=env.get("POWERTOOLS_SERVICE_NAME") or "task-cleanup",
            function_name=env.get("AWS_LAMBDA_FUNCTION_NAME") or "task-cleanup",
        )


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name)
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _boolean(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "").lower()
    if value not in ("", "true", "false"):
        raise SettingsError(f"{name} must be true or false")
    return value == "true"


def _positive(env: Mapping[str, str], name: str) -> int | None:
    value = env.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise SettingsError(f"{name} must be a whole number above 0")
    return int(value)


def _provider_endpoints(env: Mapping[str, str], services: Iterable[str]) -> dict[str, str]:
    """The base URLs from the ``<ID>_ENDPOINT`` variables of these services; those of others are not read."""
    variables = {service: f"{service.upper()}_ENDPOINT" for service in services}
    return {service: base_url(name, env[name]) for service, name in variables.items() if env.get(name)}


def _extra_regions(env: Mapping[str, str], name: str) -> dict[str, tuple[str, ...]]:
    """Parse ``{"huawei.oms": ["xx-name-1"]}``, which has all services: the functions of a stack share one value.

    Only the sweep checks that the services exist: it imports them all, which would make every other function's cold
    start longer. In the other functions, an unknown service has no effect.
    """
    value = _object(env, name, "of lists of regions")
    if not all(_SERVICE.fullmatch(service) for service in value):
        raise SettingsError(f"{name}: a service is written like huawei.oms")
    return {service.replace(".", "_"): _regions(name, regions) for service, regions in value.items()}


def _object(env: Mapping[str, str], name: str, of_what: str) -> dict[str, Any]:
    """The variable's JSON object; an empty one if the variable is not set."""
    if not env.get(name):
        return {}
    try:
        value = strict_json(env[name])
    except NotJsonError as error:
        raise SettingsError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict) or not value:
        raise SettingsError(f"{name} must be a JSON object {of_what}")
    return value


def _federation(env: Mapping[str, str], name: str) -> Accounts:
    """Parse ``{"default": {"role_arn": …}}``. Which members there must be, the provider's exchange knows."""
    accounts = _object(env, name, "of accounts by alias")
    for alias, members in accounts.items():
        if not shared_pattern("account").fullmatch(alias):
            raise SettingsError(f"{name}: an alias is 1 to 63 lower-case letters, digits and hyphens")
        if not isinstance(members, dict) or not all(isinstance(value, str) for value in members.values()):
            raise SettingsError(f"{name}: the account {alias} must be an object of strings")
    return accounts


def _regions(name: str, regions: object) -> tuple[str, ...]:
    """Check one service's list. It may repeat regions of the service's own: a later release may have added them."""
    if not isinstance(regions, list) or not regions:
        raise SettingsError(f"{name}: a service has a list of regions")
    if not all(isinstance(region, str) and REGION.fullmatch(region) for region in regions):
        raise SettingsError(f"{name}: a region is 2 to 63 lower-case letters, digits and hyphens")
    if len(set(regions)) != len(regions):
        raise SettingsError(f"{name}: a region is repeated")
    return tuple(regions)


def _aws_endpoint(env: Mapping[str, str], service: str, region: str) -> str:
    for name in (f"AWS_ENDPOINT_URL_{_AWS_SERVICES[service]}", "AWS_ENDPOINT_URL"):
        if value := env.get(name):
            return base_url(name, value)
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}.{region}.{suffix}"


def base_url(name: str, value: str) -> str:
    """Check that the value is a scheme and a host only, and that ``http`` is used for a loopback host only.

    Raises
    ------
    SettingsError
        If it is not; the text has the variable's ``name``.
    """
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{name} is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(f"{name} must be an http or https URL")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise SettingsError(f"{name} must hold a scheme and a host only")
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(f"{name}: plain http is for loopback only")
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
