"""Accounts without a stored key on the command line: an identity token of a file is exchanged for temporary keys."""

import json
from pathlib import Path

import pytest

from local.stories.seeds import DMS_INSTANCE, ES_INSTANCE
from task_cleanup.errors import Category, CleanupError, Code
from task_cleanup.system import Deadline, System
from task_cleanup_cli.exits import EndedError, Exit
from task_cleanup_cli.keys import EXCHANGES, EnvironmentKeys
from task_cleanup_cli.token_files import MOST, TokenFileError, TokenFiles
from tests.support.cli import OMS, Laptop
from tests.support.federation import AUDIENCES, FEDERATIONS, PROVIDERS

CI = "https://ci.example.com"
JOB = "repo:example/migrations:ref:refs/heads/main"
PLACES: dict[str, tuple[str, ...]] = {
    "alibaba": ("alibaba.elasticsearch", "region=cn-hangzhou", f"instance_id={ES_INSTANCE}"),
    "huawei": ("huawei.oms", "region=cn-north-4"),
    "otc": ("otc.dms", "region=eu-de", f"instance_id={DMS_INSTANCE}"),
}
DELETE = ("call", "huawei.oms.DeleteTask", "region=cn-north-4")


@pytest.fixture
def job(laptop: Laptop) -> Laptop:
    """A job of a CI system that all providers trust. It has no key at all."""
    identity = laptop.cloud.identity
    issuer = identity.add_issuer(CI)
    for provider, stand_in in (("alibaba", identity.alibaba), ("huawei", identity.huawei), ("otc", identity.otc)):
        members = {**FEDERATIONS[provider]["default"], "audience": AUDIENCES[provider]}
        places = {name: it for name, it in members.items() if name not in ("sts_region", "region")}
        stand_in.trust(**places, subjects=[JOB], issuer=CI)
        (laptop.home / f"{provider}.jwt").write_text(issuer.issue(JOB, AUDIENCES[provider]) + "\n")
        laptop.more[f"{provider.upper()}_FEDERATION"] = json.dumps(FEDERATIONS[provider])
    keys = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "HUAWEICLOUD_SDK_AK", "OS_ACCESS_KEY")
    urls = {f"{name.upper()}_ENDPOINT": url for name, url in identity.urls.items() if name != "aws_sts"}
    laptop.more |= {**urls, **dict.fromkeys(keys, "")}
    return laptop


def own(job: Laptop, *providers: str) -> list[str]:
    """The options for the token of each of these providers."""
    return [word for it in providers for word in ("--oidc-token-file", f"{it}={job.home / it}.jwt")]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_list_with_an_exchanged_key_at_each_provider(job: Laptop, provider: str) -> None:
    service, *where = PLACES[provider]
    ids = job.seed(1, service.replace(".", "_"))

    listed = job.run("list", service, *where, *own(job, *PROVIDERS), "--json")

    assert (listed.code, [it["task_id"] for it in listed.json["tasks"]]) == (0, ids), listed
    (first, *_) = job.cloud.journal.entries(f"{provider}_{EXCHANGES[provider].name}")
    assert first.ids.get("session", "task-cleanup-cli") == "task-cleanup-cli"


def test_sweep_and_apply_with_exchanged_keys_beside_an_account_with_a_stored_one(job: Laptop) -> None:
    """The stored key of the account `old` is in its variables as ever."""
    other, key_id, secret = "f" * 32, "AKFAKEOLD0001", "testSecretFakeOld0001"
    job.cloud.add_key("huawei", access_key_id=key_id, secret_access_key=secret, project_id=other)
    job.more |= {"OLD_HUAWEICLOUD_SDK_AK": key_id, "OLD_HUAWEICLOUD_SDK_SK": secret}
    job.more |= {"OLD_HUAWEICLOUD_SDK_PROJECT_ID": other}
    ids = job.seed(2)
    policy = job.policy(OMS, {**OMS, "account": "old"})

    report = job.swept(*own(job, "huawei"), policy=policy)
    applied = job.run("apply", report, "--yes", "--max", "2", *own(job, "huawei"), "--json")

    assert (applied.code, applied.json["results"]["succeeded"], job.left()) == (0, len(ids), []), applied
    assert key_id in {it.access_key_id for it in job.cloud.journal.entries("huawei_oms")}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), "account default is in HUAWEI_FEDERATION, and no token is given: --oidc-token-file huawei=PATH"),
        (("huawei=gone.jwt",), "--oidc-token-file: gone.jwt is not there, or no file"),
        (("huawei=key.txt",), "--oidc-token-file: key.txt is not one line with a JWT"),
        (("otc=otc.jwt",), "no token is given: --oidc-token-file huawei=PATH"),
        (("huawei=huawei.jwt", "huawei=otc.jwt"), "--oidc-token-file is there twice for huawei"),
        (("huawei.jwt", "otc.jwt"), "--oidc-token-file is there twice for all providers"),
        (("aws=huawei.jwt",), "there is no provider 'aws': there are alibaba, huawei, otc"),
    ],
)
def test_a_token_that_is_wanting_is_told_before_anything_is_listed(
    job: Laptop, files: tuple[str, ...], words: str
) -> None:
    (job.home / "key.txt").write_text("testSecretFake.two parts\n")
    options = [word for it in files for word in ("--oidc-token-file", it)]

    ended = [job.run("sweep", job.policy(), *options), job.run("list", *PLACES["huawei"], *options)]

    assert [(it.code, words in it.err) for it in ended] == [(64, True)] * 2, ended
    assert not any("testSecretFake" in it.err for it in ended)
    assert job.cloud.journal.entries() == []


@pytest.mark.parametrize(
    ("federation", "words"),
    [
        ("", "no account is in HUAWEI_FEDERATION, so it would not be used"),
        ('{"default": {"agency_urn": "x"}}', "HUAWEI_FEDERATION: the account default"),
        ("[]", "HUAWEI_FEDERATION must be a JSON object"),
    ],
)
def test_accounts_that_are_not_configured_as_the_exchange_needs_them(
    job: Laptop, federation: str, words: str
) -> None:
    """With a stored key at hand, a token would be passed over in silence."""
    del job.more["HUAWEICLOUD_SDK_AK"]
    job.more["HUAWEI_FEDERATION"] = federation

    ended = job.run("sweep", job.policy(), *own(job, "huawei"))

    assert (ended.code, words in ended.err, job.cloud.journal.entries()) == (64, True, []), ended


def test_a_federated_account_without_a_project_is_told(job: Laptop) -> None:
    members = {name: it for name, it in FEDERATIONS["huawei"]["default"].items() if name != "project_id"}
    job.more["HUAWEI_FEDERATION"] = json.dumps({"default": members})
    job.more["HUAWEICLOUD_SDK_PROJECT_ID"] = "0" * 32

    ended = job.run(*DELETE, "task_id=200477729979132", *own(job, "huawei"))

    assert (ended.code, "HUAWEI_FEDERATION: the account default has no project_id" in ended.err) == (64, True), ended


def test_a_refused_exchange_tells_what_to_compare_and_no_token(job: Laptop) -> None:
    (task_id,) = job.seed(1)
    token = job.cloud.identity.add_issuer(CI).issue("repo:example/other", AUDIENCES["huawei"])
    (job.home / "huawei.jwt").write_text(token)

    called = job.run(*DELETE, f"task_id={task_id}", "--oidc-token-file", "huawei.jwt")
    swept = job.run("sweep", job.policy(), "--oidc-token-file", "huawei.jwt")

    for ended in (called, swept):
        assert (ended.code, "ExchangeRefused" in ended.err, "STS5.1001" in ended.err) == (1, True, True), ended
        assert f"the token's claims: iss {CI}, aud {AUDIENCES['huawei']}, sub repo:example/other" in ended.err
        assert "function's role" not in ended.err
        assert token.rpartition(".")[2] not in ended.out + ended.err
    assert job.left() == [task_id]


# -- the file ------------------------------------------------


def keys(*files: str) -> EnvironmentKeys:
    return EnvironmentKeys({}, FEDERATIONS, TokenFiles.of(files))


def test_the_file_is_read_anew_at_every_exchange(tmp_path: Path) -> None:
    """CI systems renew it. That it is not whole for a moment is no failure that stays."""
    path, deadline = tmp_path / "token", Deadline.after(1, System().monotonic)
    found = keys(str(path))
    for token in ("a.b.c", "d.e.f"):
        path.write_text(token)
        assert found.identity_token(AUDIENCES["otc"], deadline) == token
    path.write_text("")

    with pytest.raises(CleanupError) as raised:
        found.identity_token(AUDIENCES["otc"], deadline)
    assert (raised.value.category, raised.value.code) == (Category.UNAVAILABLE, Code.IDENTITY_TOKEN_UNAVAILABLE)


def test_a_file_of_its_own_comes_before_the_one_for_all() -> None:
    files = TokenFiles.of(["all", "otc=own", "alibaba=a=b"])
    assert [str(files.path(it)) for it in PROVIDERS] == ["a=b", "all", "own"]
    assert TokenFiles.of(["./a=b"]).path("otc") == Path("a=b")


@pytest.mark.parametrize("content", ["", "a.b", "a.b.c\na.b.c", "a.b.c ", " a.b.c", "a.b.é", "a.b." + "c" * MOST])
def test_what_is_no_token(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)

    with pytest.raises(TokenFileError, match="is not one line with a JWT"):
        TokenFiles.of([str(tmp_path / "token")]).read("otc")


def test_a_file_for_nobody_is_refused() -> None:
    with pytest.raises(EndedError) as ended:
        EnvironmentKeys({}, {"otc": FEDERATIONS["otc"]}, TokenFiles.of(["huawei=x"]))
    assert ended.value.code == Exit.USAGE
