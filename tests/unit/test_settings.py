"""The environment contract: what is read, what the defaults are, and that a bad value is named and not guessed."""

import json
from dataclasses import FrozenInstanceError

import pytest

from task_cleanup.settings import Settings, SettingsError
from tests.support.builders import NO_REGIONS
from tests.support.cases import case

BASE = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKFAKEAWS0000001",
    "AWS_SECRET_ACCESS_KEY": "testSecretFakeAws0000001",
}
SERVICES = ["alibaba_elasticsearch", "huawei_oms", "otc_dms"]
ENDPOINTS = ["ALIBABA_ELASTICSEARCH_ENDPOINT", "HUAWEI_OMS_ENDPOINT", "OTC_DMS_ENDPOINT"]
AWS_ENDPOINTS = {
    "AWS_ENDPOINT_URL_STS": "sts",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER": "secretsmanager",
    "AWS_ENDPOINT_URL_EVENTBRIDGE": "events",
    "AWS_ENDPOINT_URL_SQS": "sqs",
    "AWS_ENDPOINT_URL_S3": "s3",
}


def read(**env: str) -> Settings:
    return Settings.from_env(SERVICES, {**BASE, **env})


def test_the_defaults() -> None:
    settings = read()

    assert settings.secret_prefix == "task-cleanup"
    assert settings.dry_run is False
    assert settings.event_bus_name is None
    assert settings.dead_letter_queue_url is None
    assert settings.max_receives is None
    assert settings.provider_endpoints == {}
    assert settings.extra_regions == {}
    assert settings.aws_endpoints == {
        service: f"https://{service}.eu-central-1.amazonaws.com" for service in AWS_ENDPOINTS.values()
    }


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        read().dry_run = True  # type: ignore[misc]


def test_empty_means_nowhere() -> None:
    settings = read(
        EVENT_BUS_NAME="", DEAD_LETTER_QUEUE_URL="", MAX_RECEIVES="", CREDENTIALS_SECRET_PREFIX="", EXTRA_REGIONS=""
    )

    assert settings.extra_regions == {}
    assert (settings.event_bus_name, settings.dead_letter_queue_url, settings.max_receives) == (None, None, None)
    assert settings.secret_prefix == "task-cleanup"


def test_every_value_is_read() -> None:
    settings = read(
        CREDENTIALS_SECRET_PREFIX="team/cleanup",
        DRY_RUN="true",
        EVENT_BUS_NAME="bus",
        DEAD_LETTER_QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/1/dead",
        MAX_RECEIVES="5",
    )

    assert settings.secret_prefix == "team/cleanup"
    assert settings.dry_run is True
    assert (settings.event_bus_name, settings.max_receives) == ("bus", 5)
    assert settings.dead_letter_queue_url == "https://sqs.eu-central-1.amazonaws.com/1/dead"


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("TRUE", True), ("false", False), ("", False)])
def test_dry_run_is_a_boolean(value: str, expected: bool) -> None:
    assert read(DRY_RUN=value).dry_run is expected


BAD = {
    "EXTRA_REGIONS": [
        "huawei.oms",
        "{",
        "[]",
        "{}",
        "null",
        '"cn-x-1"',
        "[" * 100_000,
        '{"huawei.oms": "cn-x-1"}',
        '{"huawei.oms": ["cn-x-1"]} ,',
        '{"huawei.oms": []}',
        '{"huawei.oms": {"cn-x-1": 1}}',
        '{"huawei.oms": null}',
        '{"huawei.oms": [1]}',
        '{"huawei.oms": ["cn-x-1", null]}',
        '{"huawei.oms": ["cn-x-1", ["cn-x-2"]]}',
        '{"huawei.oms": ["cn-x-1", "cn-x-1"]}',
        '{"huawei.oms": ["cn-x-1"], "huawei.oms": ["cn-x-2"]}',
        '{"huawei_oms": ["cn-x-1"]}',
        '{"huawei": ["cn-x-1"]}',
        '{"huawei.oms.tasks": ["cn-x-1"]}',
        '{"Huawei.oms": ["cn-x-1"]}',
        '{"huawei.oms\\n": ["cn-x-1"]}',
        '{"huawei.oms ": ["cn-x-1"]}',
        '{"": ["cn-x-1"]}',
        *(f'{{"huawei.oms": [{json.dumps(region)}]}}' for region in NO_REGIONS),
    ],
    "DRY_RUN": ["yes", "1", "0", "on", " true", "tru", "wahr"],
    "MAX_RECEIVES": ["0", "-1", "5.0", "five", "\u0665", " 5", "1e2"],
    **{
        name: [
            "example.com",
            "ftp://example.com",
            "https://",
            "https://example.com/path",
            "https://example.com?a=b",
            "https://user:pass@example.com",
            "http://example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://example.com:port",
            "https://[::1",
            "http://169.254.169.254",
            "http://0.0.0.0:1",
        ]
        for name in [*ENDPOINTS, *AWS_ENDPOINTS, "AWS_ENDPOINT_URL"]
    },
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_refused_by_its_variable_s_name(name: str) -> None:
    """A guard that cannot be read must not be taken as off."""
    for value in BAD[name]:
        with case(value):
            with pytest.raises(SettingsError) as caught:
                read(**{name: value})
            assert name in str(caught.value)
            assert len(value) < 8 or value not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"])
@pytest.mark.parametrize("present", [True, False])
def test_what_is_missing_is_named(name: str, present: bool) -> None:
    env = {**BASE, name: ""} if present else {key: value for key, value in BASE.items() if key != name}

    with pytest.raises(SettingsError, match=name):
        Settings.from_env(SERVICES, env)


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:9", "http://127.9.9.9"]
)
@pytest.mark.parametrize(("name", "service"), list(zip(ENDPOINTS, SERVICES, strict=True)))
def test_plain_http_is_for_loopback(name: str, service: str, value: str) -> None:
    assert read(**{name: value}).provider_endpoints == {service: value}


@pytest.mark.parametrize("value", ["https://proxy.example.com", "https://proxy.example.com:8443/"])
def test_an_https_endpoint_is_a_base_url(value: str) -> None:
    assert read(OTC_DMS_ENDPOINT=value).provider_endpoints == {"otc_dms": value.rstrip("/")}


def test_only_the_function_s_own_endpoint_variable_is_judged() -> None:
    env = {**BASE, "HUAWEI_OMS_ENDPOINT": "http://127.0.0.1:1", "SOMEBODYS_ENDPOINT": "nonsense"}

    assert Settings.from_env(["otc_dms"], env).provider_endpoints == {}


@pytest.mark.parametrize(("name", "service"), AWS_ENDPOINTS.items())
def test_the_standard_aws_overrides_are_honoured(name: str, service: str) -> None:
    """A service's own variable wins over the general one."""
    settings = read(AWS_ENDPOINT_URL="http://127.0.0.1:5000", **{name: "http://127.0.0.1:6000"})

    expected = dict.fromkeys(AWS_ENDPOINTS.values(), "http://127.0.0.1:5000") | {service: "http://127.0.0.1:6000"}

    assert settings.aws_endpoints == expected


def test_china_has_another_suffix() -> None:
    endpoints = read(AWS_REGION="cn-north-1").aws_endpoints.values()

    assert all(endpoint.endswith(".cn-north-1.amazonaws.com.cn") for endpoint in endpoints)


def test_extra_regions_are_every_service_s() -> None:
    """All functions of a stack have the same variable: that it names others' services is no mistake."""
    value = '{"huawei.oms": ["xx-name-1", "yy-name-2"], "else.where": ["xx-name-1"]}'

    expected = {"huawei_oms": ("xx-name-1", "yy-name-2"), "else_where": ("xx-name-1",)}

    assert read(EXTRA_REGIONS=value).extra_regions == expected
    assert Settings.from_env(["otc_dms"], {**BASE, "EXTRA_REGIONS": value}).extra_regions == expected


def test_region_of_the_service_s_own_list_may_be_an_extra_one() -> None:
    """What a stack added, a later release may know: that must not stop the stack."""
    assert read(EXTRA_REGIONS='{"otc.dms": ["eu-de"]}').extra_regions == {"otc_dms": ("eu-de",)}


def test_no_secret_is_in_the_representation() -> None:
    assert "testSecretFake" not in repr(read(AWS_SESSION_TOKEN="testSecretFakeToken"))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('{"default": {"role_arn": "x",}}', "line 1, column .*comma"),
        ('{"default": {}, "default": {}}', 'the name "default" comes twice'),
    ],
)
def test_json_that_cannot_be_read_is_told_with_its_place(value: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"ALIBABA_FEDERATION is not JSON: {why}"):
        Settings.from_env(["alibaba_sts"], {**BASE, "ALIBABA_FEDERATION": value})
