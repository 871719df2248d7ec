"""Credentials from the secret store: cached for a while, named when they are wrong, never shown."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any

import pytest

from task_cleanup.credentials import CredentialStore
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.providers import huawei_sts
from task_cleanup.providers.model import Credentials
from task_cleanup.providers.token_exchange import KEY_LIFETIME, TemporaryKeys
from task_cleanup.system import Deadline, System
from tests.support.builders import ROTATED, SECRET, Clock, FakeAws
from tests.support.identities import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

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


# -- without a stored key ------------------------------------------------


class Exchange:
    """In place of a ``Federation`` of two accounts: each exchange gives another key, or fails."""

    exchange = huawei_sts.EXCHANGE

    def __init__(self, clock: Clock, lifetime: timedelta = KEY_LIFETIME) -> None:
        self.asked: list[str] = []
        self.failing = False
        self.before: Callable[[], None] = lambda: None
        self._clock = clock
        self._lifetime = lifetime

    def __contains__(self, alias: str) -> bool:
        return alias in ("default", "team-b")

    def keys(self, alias: str, deadline: Deadline) -> TemporaryKeys:
        del deadline
        self.asked.append(alias)
        self.before()
        if self.failing:
            raise CleanupError(Category.INTERNAL, Code.EXCHANGE_REFUSED, "no", {"hint": "look"})
        key = Credentials(f"AKFAKE-{alias}-{len(self.asked)}", "testSecretFake", "testTokenFake")
        return TemporaryKeys(key, self._clock.moment + self._lifetime)


def keyless(exchange: Exchange, clock: Clock, system: System | None = None) -> CredentialStore:
    federation: Any = exchange
    return CredentialStore(FakeAws({NAME: SECRET}), "team", "huawei", system or clock.system, federation)


def test_temporary_keys_are_kept_until_the_margin_before_their_end_by_the_wall_clock() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    store = keyless(exchange, clock)

    given = []
    for seconds in (0, 599, 1, 599, 1):
        clock.moment += timedelta(seconds=seconds)  # the monotonic clock stands still, as while Lambda freezes
        given.append(store.get("default", clock.deadline()).access_key_id[-1])

    assert given == ["1", "1", "2", "2", "3"]


def test_all_parts_of_credentials_are_secrets_and_only_the_keys_id_is_shown() -> None:
    whole = Credentials("AKFAKE", "testSecretFake", "testTokenFake", PROJECT, "testAuthTokenFake")

    assert whole.secrets == ("AKFAKE", "testSecretFake", "testTokenFake", "testAuthTokenFake")
    assert not any(secret in repr(whole) for secret in whole.secrets[1:])


def test_tokens_that_are_sent_as_they_are_are_told_apart() -> None:
    """They have no key: what is suspended for one must not stop the others."""
    one, other = (Credentials("", "", auth_token=token) for token in ("testTokenFake1", "testTokenFake2"))
    store = Store()

    store.suspend(one)
    store.check(other)

    with pytest.raises(CleanupError, match="CredentialSuspended"):
        store.check(one)


def test_each_account_has_keys_of_its_own_and_no_secret_is_read_for_it() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    store = keyless(exchange, clock)

    ids = [store.get(alias, clock.deadline()).access_key_id for alias in ("default", "team-b", "default")]

    assert ids == ["AKFAKE-default-1", "AKFAKE-team-b-2", "AKFAKE-default-1"]
    with pytest.raises(CleanupError, match="SecretNotFound"):
        store.get("team-c", clock.deadline())


def test_callers_that_wait_for_an_exchange_share_its_failure() -> None:
    """Else each would wait for another one: a sweep's targets, of a provider that is slow to refuse."""
    callers, clock, times = 4, Clock(), iter(range(1000))
    waiting = Semaphore(0)

    def monotonic() -> float:
        waiting.release()
        return next(times)

    def until_all_wait() -> None:
        for _ in range(callers):
            assert waiting.acquire(timeout=5)

    exchange = Exchange(clock)
    exchange.failing, exchange.before = True, until_all_wait
    store = keyless(exchange, clock, replace(clock.system, monotonic=monotonic))

    def refused(_: int) -> tuple[str, object]:
        with pytest.raises(CleanupError) as raised:
            store.get("default", clock.deadline())
        return raised.value.code, raised.value.detail

    with ThreadPoolExecutor(callers) as pool:
        together = list(pool.map(refused, range(callers)))
    assert (together, exchange.asked) == ([(Code.EXCHANGE_REFUSED, {"hint": "look"})] * callers, ["default"])

    exchange.failing, exchange.before = False, lambda: None
    assert store.get("default", clock.deadline()).access_key_id == "AKFAKE-default-2"


def test_another_accounts_exchange_is_not_waited_for() -> None:
    clock = Clock()
    exchange = Exchange(clock)
    store = keyless(exchange, clock)

    def get_the_other() -> None:
        exchange.before = lambda: None
        other = Thread(target=store.get, args=("team-b", clock.deadline()), daemon=True)
        other.start()
        other.join(5)

    exchange.before = get_the_other
    store.get("default", clock.deadline())

    assert exchange.asked == ["default", "team-b"]
