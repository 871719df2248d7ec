"""The providers' keys: from the variables of the official SDKs, or from Secrets Manager by the user's AWS profile.

A key is never an argument of a command, and is written nowhere. The account ``prod`` reads the same variables with
``PROD_`` before their names. An account of ``ALIBABA_FEDERATION`` and its siblings has no key: an identity token from
a file is exchanged for temporary ones.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from task_cleanup.aws import AwsCalls, AwsError
from task_cleanup.credentials import DEFAULT_ACCOUNT
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.providers.model import PRINTABLE, PROJECT_ID, PROVIDERS
from task_cleanup.settings import Accounts
from task_cleanup.sweep.services import SERVICES
from task_cleanup.system import Deadline
from task_cleanup_cli.exits import usage
from task_cleanup_cli.token_files import OPTION, TokenFileError, TokenFiles

_PROJECT = "project_id"

EXCHANGES = {service.provider: service.exchange for service in SERVICES.values()}


@dataclass(frozen=True)
class Variable:
    """One variable, and the member of a secret that it is in the place of."""

    name: str
    member: str
    required: bool = True


# By provider. Of Alibaba and Huawei, as their SDKs for Python read them; of OTC, as its Terraform provider does.
VARIABLES: Mapping[str, tuple[Variable, ...]] = {
    "alibaba": (
        Variable("ALIBABA_CLOUD_ACCESS_KEY_ID", "access_key_id"),
        Variable("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret_access_key"),
        Variable("ALIBABA_CLOUD_SECURITY_TOKEN", "security_token", required=False),
    ),
    "huawei": (
        Variable("HUAWEICLOUD_SDK_AK", "access_key_id"),
        Variable("HUAWEICLOUD_SDK_SK", "secret_access_key"),
        Variable("HUAWEICLOUD_SDK_SECURITY_TOKEN", "security_token", required=False),
        Variable("HUAWEICLOUD_SDK_PROJECT_ID", "project_id", required=False),
    ),
    "otc": (
        Variable("OS_ACCESS_KEY", "access_key_id"),
        Variable("OS_SECRET_KEY", "secret_access_key"),
        Variable("OS_SECURITY_TOKEN", "security_token", required=False),
        Variable("OS_PROJECT_ID", "project_id", required=False),
    ),
}


def variable_name(account: str, name: str) -> str:
    """``PROD_EU_OS_ACCESS_KEY`` for the account ``prod-eu``; the SDK's own name for the default account."""
    return name if account == DEFAULT_ACCOUNT else f"{account.upper().replace('-', '_')}_{name}"


def explained() -> str:
    """The variables by provider, for ``--help``."""
    lines = []
    for provider, variables in VARIABLES.items():
        names = ", ".join(it.name if it.required else f"[{it.name}]" for it in variables)
        lines.append(f"{PROVIDERS[provider]}: {names}")
    return "\n\n".join(lines)


class EnvironmentKeys:
    """The keys in these environment variables, as the secrets that the core asks for.

    ``federated`` are the accounts without a stored key, by provider; ``files`` have their identity tokens.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        federated: Mapping[str, Accounts] | None = None,
        files: TokenFiles | None = None,
    ) -> None:
        """Check that a token that is given is for somebody.

        Raises
        ------
        EndedError
            If no account of its provider is exchanged: it would not be used, and a stored key would.
        """
        self._environment = environment
        self._federated = federated or {}
        self._files = files or TokenFiles()
        for provider, path in self._files.paths:
            named = [EXCHANGES[it].variable for it in EXCHANGES if provider in (None, it)]
            if not any(self._federated.get(it) for it in EXCHANGES if provider in (None, it)):
                raise usage(f"{OPTION} {path}: no account is in {' or '.join(named)}, so it would not be used")

    def wrong(self, accounts: Iterable[tuple[str, str]]) -> list[str]:
        """A sentence for each variable or file of these (provider, account) that is missing or malformed."""
        federated, stored = self._divided(accounts)
        found = []
        for provider, account in federated:
            try:
                self._files.read(provider)
            except TokenFileError as error:
                found.append(f"account {account} is in {EXCHANGES[provider].variable}, and {error}")
        return found + self._wrong_stored(stored)

    def _wrong_stored(self, accounts: Iterable[tuple[str, str]]) -> list[str]:
        found = []
        for provider, account in accounts:
            for variable in VARIABLES[provider]:
                name = variable_name(account, variable.name)
                value = self._environment.get(name, "")
                if not value and variable.required:
                    found.append(f"{name} is not set (key of account {account} at {PROVIDERS[provider]})")
                if value and not PRINTABLE.fullmatch(value):
                    found.append(f"{name} is not one line of printable ASCII without blanks")
                elif value and variable.member == _PROJECT and not PROJECT_ID.fullmatch(value):
                    found.append(f"{name} is not 32 hex digits in small letters")
        return found

    def without_project(self, accounts: Iterable[tuple[str, str]]) -> list[str]:
        """A sentence for each of these accounts for which no project is named. Nothing else names one for them."""
        federated, stored = self._divided(accounts)
        found = [
            f"{EXCHANGES[provider].variable}: the account {account} has no project_id, and none is given"
            for provider, account in federated
            if _PROJECT not in self._federated[provider][account]
        ]
        return found + self._stored_without_project(stored)

    def _stored_without_project(self, accounts: Iterable[tuple[str, str]]) -> list[str]:
        names = [
            variable_name(account, variable.name)
            for provider, account in accounts
            for variable in VARIABLES[provider]
            if variable.member == _PROJECT
        ]
        return [f"{name} is not set, and no project_id is given" for name in names if not self._environment.get(name)]

    def _divided(self, accounts: Iterable[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Those that are exchanged, and those whose key is stored; each once."""
        found = sorted(set(accounts))
        federated = [
            (provider, account) for provider, account in found if account in self._federated.get(provider, {})
        ]
        return federated, [each for each in found if each not in federated]

    def get_secret_value(self, secret_id: str, deadline: Deadline) -> str:  # noqa: ARG002 - see AwsCalls
        """See ``AwsCalls``: the account's variables, as JSON of a secret."""
        provider, account = secret_id.split("/")[-2:]
        value = {
            variable.member: self._environment[name]
            for variable in VARIABLES[provider]
            if self._environment.get(name := variable_name(account, variable.name))
        }
        if not all(variable.member in value for variable in VARIABLES[provider] if variable.required):
            raise AwsError("ResourceNotFoundException")
        return json.dumps(value)

    def identity_token(self, audience: str, deadline: Deadline) -> str:  # noqa: ARG002 - see IdentityTokens
        """The token that the file of the provider with this audience has now.

        Raises
        ------
        CleanupError
            ``unavailable`` if there is none. There was one when the command began: it may be being renewed.
        """
        provider = next(name for name, exchange in EXCHANGES.items() if exchange.audience == audience)
        try:
            return self._files.read(provider)
        except TokenFileError as error:
            raise CleanupError(Category.UNAVAILABLE, Code.IDENTITY_TOKEN_UNAVAILABLE, str(error)) from None

    def put_event(self, entry: Mapping[str, str], deadline: Deadline) -> None:
        """Not for the command line: it has no event bus."""
        raise NotImplementedError

    def send_message(self, queue_url: str, body: str, attributes: Mapping[str, str], deadline: Deadline) -> None:
        """Not for the command line: it has no queue."""
        raise NotImplementedError


class SecretsManagerKeys(EnvironmentKeys):
    """The secrets of the deployed stack, read with the user's own AWS identity (profile, region)."""

    def __init__(self, federated: Mapping[str, Accounts], files: TokenFiles) -> None:
        super().__init__({}, federated, files)
        self._client = _client()

    def _wrong_stored(self, accounts: Iterable[tuple[str, str]]) -> list[str]:  # noqa: ARG002 - as its parent
        """Nothing is known before a secret is read: the list then fails with the secret's name."""
        return []

    def _stored_without_project(self, accounts: Iterable[tuple[str, str]]) -> list[str]:  # noqa: ARG002
        """See ``_wrong_stored``."""
        return []

    def get_secret_value(self, secret_id: str, deadline: Deadline) -> str:  # noqa: ARG002
        """See ``AwsCalls``."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see _client

        try:
            value = self._client.get_secret_value(SecretId=secret_id).get("SecretString")
        except ClientError as error:
            raise AwsError(str(error.response.get("Error", {}).get("Code", "ClientError"))) from None
        except BotoCoreError as error:
            raise AwsError(type(error).__name__) from None
        return value if isinstance(value, str) else ""


class NoBotoError(Exception):
    """boto3 is not installed, or is not set up; the text says what to do."""


def session(what: str) -> Any:  # noqa: ANN401 - boto3 is not always installed
    """A session of boto3 by the user's profile, in the region of ``AWS_REGION``, which boto3 does not read itself.

    Raises
    ------
    NoBotoError
        If boto3 is missing, or there is no such profile.
    """
    try:
        import boto3  # noqa: PLC0415 - takes long, and only `stack` and `--secrets` need it
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError:
        raise NoBotoError(f"{what} needs boto3: install `task-cleanup[aws]`, or boto3 beside it") from None
    try:
        return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    except (BotoCoreError, ValueError) as error:
        raise not_set_up(error) from None


def not_set_up(error: Exception) -> NoBotoError:
    """What to set, for what boto3 raises before it asks AWS."""
    if type(error).__name__ == "NoRegionError":
        return NoBotoError("there is no AWS region: set AWS_REGION")
    return NoBotoError(f"{' '.join(str(error).split())} (look at AWS_PROFILE, AWS_REGION and ~/.aws)")


def _client() -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    own = session("--secrets")
    from botocore.config import Config  # noqa: PLC0415 - see session
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    try:
        return own.client("secretsmanager", config=config)
    except (BotoCoreError, ValueError) as error:
        raise not_set_up(error) from None


def keys(
    environment: Mapping[str, str], federated: Mapping[str, Accounts], token_files: Iterable[str], *, secrets: bool
) -> EnvironmentKeys:
    """Where this command reads its keys. ``token_files`` are what ``--oidc-token-file`` gives."""
    files = TokenFiles.of(token_files)
    return SecretsManagerKeys(federated, files) if secrets else EnvironmentKeys(environment, federated, files)


_: type[AwsCalls] = EnvironmentKeys
