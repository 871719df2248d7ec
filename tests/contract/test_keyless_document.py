"""docs/keyless.md beside the code: members, audiences, codes, hints, sizes and rights; what its commands write."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.aws.stack import ROOT
from task_cleanup.aws import AwsError
from task_cleanup.errors import CleanupError, Code
from task_cleanup.federation import _TOKEN_HINTS, Federation
from task_cleanup.providers.token_exchange import TokenExchange
from task_cleanup.sweep.services import SERVICES
from task_cleanup.system import Deadline, System
from tests.support.documents import blocks
from tests.support.federation import FEDERATIONS, parameter_of
from tests.support.shell import Shell
from tests.support.template import template

PAGE = (ROOT / "docs" / "keyless.md").read_text()
EXCHANGES = {service.provider: service.exchange for service in SERVICES.values()}
HINTS = {code: exchange for exchange in EXCHANGES.values() for code in exchange.hints}
CODES = [
    *(Code.IDENTITY_TOKEN_DENIED, Code.IDENTITY_TOKEN_UNAVAILABLE),
    *(Code.EXCHANGE_REFUSED, Code.EXCHANGE_UNAVAILABLE, Code.UNEXPECTED_REPLY),
]
RIGHT = re.compile(r"\b(?:elasticsearch:[A-Z]|oms:task:|dms:instance:)\w+")

every_exchange = pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)


def fenced(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, flags=re.M | re.S)


def table_under(text: str) -> set[str]:
    """What is quoted in the first column of the table behind this line."""
    rows = PAGE.partition(f"\n{text}\n\n")[2].partition("\n\n")[0].splitlines()[2:]
    return {code.rstrip("…") for row in rows for code in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


# -- what the page tells of the code ------------------------------------------------


@every_exchange
def test_every_member_and_the_audience_are_explained(exchange: TokenExchange) -> None:
    assert [name for name in (*exchange.members, exchange.audience) if f"`{name}`" not in PAGE] == []


def test_every_code_with_a_hint_says_what_to_do_and_no_other_one() -> None:
    assert table_under("Of the providers:") == HINTS.keys()
    assert table_under("Of AWS:") == _TOKEN_HINTS.keys()


def test_every_code_of_ours_is_explained_and_so_is_what_passes() -> None:
    told = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.M)
    assert [code for code in CODES if code not in told] == []
    assert [code for it in EXCHANGES.values() for code in it.temporary if f"`{code}`" not in PAGE] == []


def test_hints_come_with_the_codes_of_the_page() -> None:
    def denied(audience: str, deadline: Deadline) -> str:
        raise AwsError(f"{code}Exception", "sts", 403)

    for code in table_under("Of AWS:"):
        federation = Federation(EXCHANGES["huawei"], {}, denied, System())
        with pytest.raises(CleanupError, match=rf"{code}Exception\): \w+") as refused:
            federation.identity_token(Deadline.after(5, System().monotonic))
        assert refused.value.code == Code.IDENTITY_TOKEN_DENIED


def test_rights_are_those_of_the_table() -> None:
    policies = [text for text in fenced("json") if '"Effect"' in text]
    security = (ROOT / "SECURITY.md").read_text()

    assert len(policies) == len([*EXCHANGES, "the daily job of Open Telekom Cloud"])
    assert set(RIGHT.findall(" ".join(policies))) == set(RIGHT.findall(security))
    assert [it.probe.right for it in SERVICES.values() if it.probe.right not in " ".join(policies)] == []


# -- the configuration that it shows ------------------------------------------------


# The provider and the text of each parameter and variable that is shown.
CONFIGURATIONS = [
    (name.lower(), " ".join(text.split()))
    for name, text in re.findall(r"^ *(\w+?)_?federation: >-\n((?: +[{\"].*\n)+)", PAGE, flags=re.M | re.I)
]


def test_there_is_a_configuration_of_each_provider() -> None:
    assert {provider for provider, _ in CONFIGURATIONS} == EXCHANGES.keys()


@pytest.mark.parametrize(("provider", "text"), CONFIGURATIONS)
def test_configuration_is_taken_by_function_and_template(provider: str, text: str) -> None:
    assert accepted(provider, text)


def accepted(provider: str, text: str) -> bool:
    """Whether template and function take it as the accounts of this provider. Raises ``SettingsError``."""
    parameter = template()["Parameters"][parameter_of(provider)]
    Federation(EXCHANGES[provider], json.loads(text), lambda *_: "", System())
    return re.fullmatch(parameter["AllowedPattern"], text) is not None and len(text) <= parameter["MaxLength"]


@every_exchange
def test_how_long_a_parameter_may_be(exchange: TokenExchange) -> None:
    limit = template()["Parameters"][parameter_of(exchange.provider)]["MaxLength"]
    assert re.search(rf"\b{limit}\b", PAGE)


@pytest.mark.parametrize("text", fenced("json"))
def test_json_is_json(text: str) -> None:
    json.loads(text)


@pytest.mark.parametrize("text", fenced("yaml"))
def test_yaml_is_yaml(text: str) -> None:
    assert isinstance(yaml.safe_load(text), dict)


# -- its commands ------------------------------------------------

ARNS = [f"arn:aws:iam::123456789012:role/task-cleanup-{name}Role-1A2B3C4D5E6F" for name in ("Sweep", "ListTasks")]
ISSUER = "https://11111111-2222-3333-4444-555555555555.tokens.sts.global.api.aws"
JWKS = {"keys": [{"kty": "RSA", "kid": "RSA_0", "n": "fake", "e": "AQAB"}, {"kty": "EC", "kid": "EC384_0"}]}
# In the place of every program that would leave this machine. An unknown call fails, so that it is noticed.
STAND_INS = f"""
aws() {{
  case "$*" in
    *"OutputKey=='"*RoleArns*) echo '{",".join(ARNS)}' ;;
    *"OutputKey=='"*FunctionArn*) echo arn:aws:lambda:fake ;;
    *get-outbound-web-identity-federation-info*) echo '{ISSUER}' ;;
    iam\\ enable-*|sts\\ get-web-identity-token\\ *) echo fake ;;
    lambda\\ invoke\\ *) jq . check.json > answer.json ;;
    *) return 1 ;;
  esac
}}
curl() {{
  case "$*" in
    *jwks.json*) echo '{json.dumps(JWKS)}' ;;
    *"--data-binary @otc-"*.json | *" PUT https://iam.eu-de.otc.t-systems.com/v3/projects/…/groups/…/roles/… "*) ;;
    *) return 1 ;;
  esac
}}
aliyun() {{ [ -n "$2" ]; }}
task-cleanup() {{ case "$1 $2" in 'keyless otc-keys'|'keyless check'|'stack doctor') ;; *) return 1 ;; esac; }}
mkdir -p .venv/bin; echo 'cat > /dev/null; [ "$1 $2" != "- " ]' > .venv/bin/python; cp .venv/bin/python .venv/bin/sam
chmod 700 .venv/bin/*; echo '{{"HuaweiFederation": "{{\\"default\\": {{}}}}"}}' > parameters.yaml
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of all commands of the page, run one block after the other."""
    folder = tmp_path_factory.mktemp("keyless")
    for name, text in zip(("alibaba", "huawei", "otc"), fenced("json"), strict=False):
        (folder / f"{name}-policy.json").write_text(text)
    with Shell(folder, {}) as shell:
        assert not shell.run(STAND_INS).failures
        failed = {block.line: said for block in blocks(PAGE) if (said := shell.run(block.script)).failures}
    assert failed == {}
    return folder


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("provider", ["alibaba", "huawei"])
def test_trust_policy_names_issuer_audience_and_subjects(written: Path, provider: str) -> None:
    (statement,) = read(written, f"{provider}-trust.json")["Statement"]

    assert statement["Effect"] == "Allow"
    assert statement["Condition"] == {
        "StringEquals": {"oidc:iss": [ISSUER], "oidc:aud": [EXCHANGES[provider].audience], "oidc:sub": ARNS}
    }
    (trusted,) = statement["Principal"]["Federated"]
    members = EXCHANGES[provider].members
    assert members["provider_arn" if provider == "alibaba" else "provider_urn"].pattern.fullmatch(trusted)


def test_bodies_for_huawei_have_the_documents_as_texts(written: Path) -> None:
    provider, agency, rights = (read(written, f"huawei-{name}.json") for name in ("provider", "agency", "rights"))

    assert (provider["url"], provider["client_ids"]) == (ISSUER, [EXCHANGES["huawei"].audience])
    assert "thumbprints" not in provider
    assert json.loads(agency["trust_policy"]) == read(written, "huawei-trust.json")
    assert json.loads(rights["policy_document"]) == read(written, "huawei-policy.json")


def test_otc_knows_issuer_audience_subjects_and_keys(written: Path) -> None:
    config = read(written, "otc-config.json")["openid_connect_config"]
    (rule,) = read(written, "otc-mapping.json")["mapping"]["rules"]

    assert (config["idp_url"], config["client_id"]) == (ISSUER, EXCHANGES["otc"].audience)
    assert json.loads(config["signing_key"]) == {"keys": [{**JWKS["keys"][0], "alg": "RS256"}]}
    assert rule["remote"] == [{"type": "sub", "any_one_of": ARNS}]
    assert read(written, "otc-provider.json")["identity_provider"]["enabled"] is True


@pytest.mark.parametrize("before", [None, "", json.dumps(FEDERATIONS["huawei"])], ids=["missing", "empty", "one"])
def test_one_alias_is_added_and_another_one_taken_out(tmp_path: Path, before: str | None) -> None:
    """Every other alias and parameter stays. The last alias leaves the empty text: ``{}`` is refused."""
    file = tmp_path / "parameters.yaml"
    others = {"DryRun": "true"} if before is None else {"DryRun": "true", "HuaweiFederation": before}
    file.write_text(json.dumps(others))
    add, take_out = (it.script for it in blocks(PAGE) if it.script.startswith("jq '.HuaweiFederation |="))

    with Shell(tmp_path, {}) as shell:
        added = (shell.run(add).failures, read(tmp_path, file.name))
        left = (shell.run(take_out).failures, read(tmp_path, file.name))
        emptied = (shell.run(take_out.replace("default", "trial")).failures, read(tmp_path, file.name))

    assert [(failures, told["DryRun"]) for failures, told in (added, left, emptied)] == [((), "true")] * 3
    texts = [told["HuaweiFederation"] for _, told in (added, left, emptied)]
    assert [list(json.loads(text)) for text in texts[:2]] == [[*(["default"] if before else []), "trial"], ["trial"]]
    assert all(accepted("huawei", text) for text in texts[:2])
    assert texts[2] == ""


def test_nothing_is_written_without_an_issuer_and_roles(tmp_path: Path) -> None:
    """With empty ones a trust policy would be written all the same, and be of no use, or of too much."""
    trusts = [it.script for it in blocks(PAGE) if "oidc:sub" in it.script]
    roles = next(it.script for it in blocks(PAGE) if "roles()" in it.script)

    assert len(trusts) == 2
    for script in trusts:
        (first,) = re.findall(r"^jq -n .*?> \w+-trust\.json(?= &&$|$)", script, flags=re.M | re.S)
        for ready in (f"{roles}\naws() {{ :; }}\nISSUER=x", f"{roles}\naws() {{ echo arn:x; }}"):
            with Shell(tmp_path, {}) as shell:
                assert shell.run(f"({ready}\n{first})").failures, ready
            shutil.rmtree(tmp_path / "bin")
            assert [it.name for it in tmp_path.glob("*-trust.json") if it.read_text()] == []
