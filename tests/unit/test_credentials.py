"""Credentials from the secret store: cached for a while, named when they are wrong, never shown."""

import json
from dataclasses import replace
from typing import Any

import pytest

from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.providers.model import Credentials
from tests.support.builders import ROTATED, SECRET, Clock, FakeAws
from tests.support.identities import PROJECT

NAME = "team/huawei/default"
CACHE = 300.0


class Store:
    """A store with its secret and clock at hand."""

    def __init__(self, secret: object = SECRET) -> None:
        self.clock = Clock()
        self.aws = FakeAws({NAME: secret})
        self._store = CredentialStore(self.aws, "team", "huawei", self.clock.system)

    def get(self, account: str = "default") -> Credentials:
        return self._store.get(account, self.clock.deadline())

    def suspend(self, credentials: Credentials) -> None:
        self._store.suspend(credentials)

    def check(self, credentials: Credentials) -> None:
        self._store.refuse_if_suspended(credentials)

    def failure(self, account: str = "default") -> CleanupError:
        with pytest.raises(CleanupError) as caught:
            self.get(account)
        return caught.value


def test_the_secret_is_prefix_provider_account() -> None:
    store = Store()

    store.aws.secrets["team/huawei/acme-2"] = ROTATED

    assert store.get().access_key_id == SECRET["access_key_id"]
    assert store.get("acme-2").access_key_id == ROTATED["access_key_id"]
    assert store.aws.asked == [NAME, "team/huawei/acme-2"]


def test_all_members_are_read_and_two_are_optional() -> None:
    whole = Store({**SECRET, "security_token": "testTokenFake/+="}).get()
    assert whole == Credentials(
        SECRET["access_key_id"], SECRET["secret_access_key"], "testTokenFake/+=", SECRET["project_id"]
    )
    bare = Store({name: SECRET[name] for name in ("access_key_id", "secret_access_key")}).get()
    assert (bare.security_token, bare.project_id) == (None, None)

    null = Store({**SECRET, "security_token": None, "project_id": None}).get()

    assert (null.security_token, null.project_id) == (None, None)


def test_credentials_are_cached_with_a_time_limit() -> None:
    store = Store()
    store.get()
    store.aws.secrets[NAME] = ROTATED
    store.clock.pass_(CACHE - 1)
    assert store.get().access_key_id == SECRET["access_key_id"]
    assert len(store.aws.asked) == 1

    store.clock.pass_(2)

    assert store.get().access_key_id == ROTATED["access_key_id"]
    assert len(store.aws.asked) == 2


def test_a_failure_is_not_cached() -> None:
    store = Store()
    store.aws.error = "InternalServiceError"
    assert store.failure().category is Category.UNAVAILABLE

    store.aws.error = None

    assert store.get().access_key_id == SECRET["access_key_id"]


def test_each_account_has_its_own_entry() -> None:
    store = Store()

    store.get()

    assert store.failure("other").code == Code.SECRET_NOT_FOUND


@pytest.mark.parametrize(
    ("code", "category", "ours"),
    [
        ("ResourceNotFoundException", Category.INTERNAL, "SecretNotFound"),
        ("InvalidRequestException", Category.INTERNAL, "SecretNotFound"),  # it is marked for deletion
        ("AccessDeniedException", Category.INTERNAL, "SecretDenied"),
        ("DecryptionFailure", Category.INTERNAL, "SecretDenied"),
        ("UnrecognizedClientException", Category.INTERNAL, "SecretDenied"),
        # Another signature, or another environment, is good.
        ("InvalidSignatureException", Category.UNAVAILABLE, "SecretStoreUnavailable"),
        ("SignatureDoesNotMatch", Category.UNAVAILABLE, "SecretStoreUnavailable"),
        ("RequestExpired", Category.UNAVAILABLE, "SecretStoreUnavailable"),
        ("ExpiredTokenException", Category.UNAVAILABLE, "SecretStoreUnavailable"),
        ("ThrottlingException", Category.UNAVAILABLE, None),
        ("InternalServiceError", Category.UNAVAILABLE, None),
        ("Http503", Category.UNAVAILABLE, None),
        ("Timeout", Category.UNAVAILABLE, None),
        ("ConnectionFailed", Category.UNAVAILABLE, None),
    ],
)
def test_a_secret_that_cannot_be_read_is_named(code: str, category: Category, ours: str | None) -> None:
    store = Store()
    store.aws.error = code

    error = store.failure()

    assert error.category is category
    assert error.code == (ours or error.code)
    assert NAME in error.message


def test_an_alias_that_nobody_stored_is_the_callers_mistake_and_one_marked_for_deletion_is_not() -> None:
    """Whoever marked the secret for deletion had stored it: the alias is right, and our set-up is not."""
    store = Store()
    missing = store.failure("acme")
    assert (missing.category, missing.code) == (Category.INVALID_REQUEST, Code.SECRET_NOT_FOUND)
    assert "team/huawei/acme" in missing.message
    store.aws.error = "InvalidRequestException"

    marked = store.failure("acme")

    assert (marked.category, marked.code) == (Category.INTERNAL, Code.SECRET_NOT_FOUND)
    assert "is marked for deletion" in marked.message


MARK = "MARK-testSecretFake"
MALFORMED: list[Any] = [
    "",
    MARK,
    "{",
    "[]",
    "null",
    json.dumps(MARK),
    "[" * 100_000,
    {},
    {"access_key_id": MARK},
    {"secret_access_key": MARK},
    {**SECRET, "access_key_id": ""},
    {**SECRET, "access_key_id": 7},
    {**SECRET, "access_key_id": None},
    {**SECRET, "access_key_id": f"{MARK}\r\nX-Evil: 1"},
    {**SECRET, "secret_access_key": f"{MARK} "},
    {**SECRET, "secret_access_key": f"{MARK}é"},
    {**SECRET, "secret_access_key": [MARK]},
    {**SECRET, "security_token": f"{MARK}\n"},
    {**SECRET, "security_token": ""},
    {**SECRET, "project_id": MARK},
    {**SECRET, "project_id": PROJECT[:-1] + "g"},
    {**SECRET, "project_id": PROJECT[:-1] + "z"},
    {**SECRET, "project_id": PROJECT.upper()},
    {**SECRET, "project_id": PROJECT[:-1]},
    {**SECRET, "project_id": PROJECT + "0"},
    {**SECRET, "project_id": PROJECT + "\n"},
    {**SECRET, "project_id": "../" + PROJECT[3:]},
    {**SECRET, "project_id": "\u0660" * 32},
    {**SECRET, "project_id": 7},
]


@pytest.mark.parametrize("secret", MALFORMED, ids=lambda secret: f"{secret!r:.50}")
def test_a_malformed_secret_is_named_never_shown(secret: object) -> None:
    error = Store(secret).failure()

    assert (error.category, error.code) == (Category.INTERNAL, "SecretMalformed")
    assert NAME in error.message
    assert MARK not in f"{error} {error.message} {error.detail}"


def test_credentials_do_not_show_their_secrets() -> None:
    shown = repr(Store({**SECRET, "security_token": "testTokenFake"}).get())

    assert SECRET["secret_access_key"] not in shown
    assert "testTokenFake" not in shown


# -- suspension ------------------------------------------------


def test_suspended_credentials_are_refused_for_the_cache_s_time() -> None:
    store = Store()
    credentials = store.get()
    store.check(credentials)
    store.suspend(credentials)
    store.clock.pass_(CACHE - 1)
    with pytest.raises(CleanupError) as caught:
        store.check(credentials)
    assert (caught.value.category, caught.value.code) == (Category.UNAUTHENTICATED, "CredentialSuspended")
    assert SECRET["secret_access_key"] not in str(caught.value)

    store.clock.pass_(2)

    store.check(credentials)


@pytest.mark.parametrize(
    "change",
    [
        {"access_key_id": "AKFAKE0000000009"},
        {"secret_access_key": "testSecretFake0000000009"},
        {"security_token": "testTokenFake0000000009"},
    ],
)
def test_a_suspension_is_by_id_and_digest(change: dict[str, str]) -> None:
    """Whatever part of the credentials was put right, they are other credentials, while the old ones are refused."""
    store = Store()
    rejected = store.get()
    store.clock.pass_(CACHE - 1)
    store.suspend(rejected)
    store.aws.secrets[NAME] = {**SECRET, **change}

    store.clock.pass_(2)  # the cache is over, the suspension is not

    store.check(store.get())
    with pytest.raises(CleanupError):
        store.check(rejected)


def test_the_same_key_under_another_alias_is_suspended_too() -> None:
    """It is the key that the provider locks, not our name for it."""
    store = Store()
    store.aws.secrets["team/huawei/other"] = dict(SECRET)
    store.suspend(store.get())

    with pytest.raises(CleanupError):
        store.check(store.get("other"))


def test_two_threads_may_meet_the_end_of_a_suspension() -> None:
    """A sweep's threads share the store. Here one of them looks at the clock, and meanwhile another one asks."""
    clock = Clock()
    credentials = Credentials("AKFAKE0000000001", "testSecretFake0000000001")
    others: list[str] = []

    def monotonic() -> float:
        if others:
            others.pop()
            store.refuse_if_suspended(credentials)
        return clock.seconds

    store = CredentialStore(FakeAws(), "team", "huawei", replace(clock.system, monotonic=monotonic))
    store.suspend(credentials)
    clock.pass_(CACHE + 1)
    others.append("another thread")
    store.refuse_if_suspended(credentials)
    assert others == []
