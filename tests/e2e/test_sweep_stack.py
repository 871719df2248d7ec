"""The sweep's part of the stack, deployed locally: its bucket, its queue, its schedule, who hears of its results."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.aws.cloud import RESULTS, SWEEP_RESULTS, LocalCloud
from local.aws.runner import fire_schedule
from local.aws.stack import STACK_NAME
from tests.support.functions import sample_event

SWEEP = "sweep"
POLICY = {"name": "nightly", "targets": [{"provider": "otc"}], "select": {"names": ['$x "quoted" é\\', "<b>"]}}


KEY = "arn:aws:kms:eu-central-1:123456789012:key/fake"


@pytest.fixture(scope="module")
def cloud(request: pytest.FixtureRequest) -> Iterator[LocalCloud]:
    """With a policy, so that the schedule is on, or with other parameters. There can be one at a time."""
    with LocalCloud(parameters=getattr(request, "param", {"SweepPolicy": json.dumps(POLICY)})) as running:
        yield running


def received(cloud: LocalCloud) -> list[dict[str, Any]]:
    """What waits in the sweep's queue, taken out of it."""
    return [json.loads(message.body) for message in cloud.take(cloud.stack.mapping_of(SWEEP).queue_url)]


def test_bucket_is_there_under_the_name_that_the_function_knows(cloud: LocalCloud) -> None:
    (name,) = cloud.stack.buckets.values()
    assert cloud.stack.buckets == {"ReportBucket": name}
    variables = cloud.environment_of("SweepFunction")
    assert variables["REPORT_BUCKET"] == name
    s3 = cloud.client("s3")
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [name]

    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]

    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_bucket_keeps_the_first_of_two_conditional_writes(cloud: LocalCloud) -> None:
    """What the sweep's claims rest on: local S3 must refuse the second, as the real one does."""
    s3, bucket = cloud.client("s3"), cloud.stack.buckets["ReportBucket"]

    s3.put_object(Bucket=bucket, Key="reports/a/claim.json", Body=b"1", IfNoneMatch="*")

    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="reports/a/claim.json", Body=b"2", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="reports/a/claim.json")["Body"].read() == b"1"


def test_function_calls_local_aws_only(cloud: LocalCloud) -> None:
    variables = cloud.environment_of("SweepFunction")

    endpoints = {name: value for name, value in variables.items() if name.startswith("AWS_ENDPOINT_URL")}

    stand_in = {"AWS_ENDPOINT_URL_STS": cloud.emulators.identity.urls["aws_sts"]}
    assert endpoints == dict.fromkeys(endpoints, cloud.aws_url) | stand_in
    assert "AWS_ENDPOINT_URL_S3" in endpoints
    assert variables["DEAD_LETTER_QUEUE_URL"] == cloud.stack.queue_urls["SweepDeadLetterQueue"]
    assert variables["MAX_RECEIVES"] == "3"
    assert variables["POWERTOOLS_SERVICE_NAME"] == STACK_NAME


def test_mapping_takes_one_message_at_a_time(cloud: LocalCloud) -> None:
    mapping = cloud.stack.mapping_of(SWEEP)

    assert (mapping.batch_size, mapping.concurrency, mapping.partial_failures) == (1, 2, True)
    assert mapping.queue_url == cloud.stack.queue_urls["SweepQueue"]
    assert cloud.stack.functions[mapping.function].timeout == 900


def test_routes_lead_to_the_function(cloud: LocalCloud) -> None:
    own = {(route.method, route.path) for route in cloud.stack.routes if route.function == "SweepFunction"}

    assert own == {("POST", "/sweeps"), ("GET", "/sweeps/{run_id}")}


def test_schedule_sends_the_policy_and_says_which_night_it_is(cloud: LocalCloud) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    fire_schedule(cloud, "SweepSchedule")
    fire_schedule(cloud, "SweepSchedule")

    first, second = received(cloud)

    assert first.keys() == sample_event(SWEEP, "schedule").keys()
    assert first["detail"] == POLICY
    for sent in (first, second):
        assert sent["id"] == f"{sent['resources'][0]}@{sent['time']}"
    assert "<" not in first["id"] + first["time"] + first["resources"][0]
    assert datetime.fromisoformat(first["time"]) >= before
    assert first["resources"] == second["resources"]
    assert first["resources"][0].endswith(f":schedule/{STACK_NAME}/SweepSchedule")


def test_schedule_is_on_with_a_policy(cloud: LocalCloud) -> None:
    assert {schedule.name: schedule.enabled for schedule in cloud.stack.schedules} == {
        "SampleSchedule": False,
        "SweepSchedule": True,
    }


def test_request_on_the_bus_reaches_the_queue_whole(cloud: LocalCloud) -> None:
    event_id = cloud.put_event(POLICY, detail_type="Sweep Requested")

    (event,) = received(cloud)

    assert (event["id"], event["detail-type"], event["detail"]) == (event_id, "Sweep Requested", POLICY)
    assert cloud.take(cloud.stack.queue_urls["UnroutedRequestsQueue"]) == []


@pytest.mark.parametrize("detail_type", SWEEP_RESULTS)
def test_sweeps_results_are_heard_apart_from_the_operations(cloud: LocalCloud, detail_type: str) -> None:
    cloud.put_event({"run_id": "a"}, detail_type=detail_type)

    (event,) = cloud.sweep_results()

    assert (event["detail-type"], event["detail"]) == (detail_type, {"run_id": "a"})
    assert cloud.results() == []
    assert received(cloud) == []
    assert cloud.take(cloud.stack.queue_urls["UnroutedRequestsQueue"]) == []


@pytest.mark.parametrize("detail_type", RESULTS)
def test_operations_results_are_none_of_a_sweep(cloud: LocalCloud, detail_type: str) -> None:
    cloud.put_event({"outcome": "x"}, detail_type=detail_type)

    assert cloud.sweep_results() == []
    assert cloud.results() == [{"outcome": "x"}]


@pytest.mark.parametrize("cloud", [{"KmsKeyArn": KEY}], indirect=True, ids=["other parameters"])
def test_without_a_policy_the_schedule_is_off_and_what_it_would_send_only_reports(cloud: LocalCloud) -> None:
    (schedule,) = [it for it in cloud.stack.schedules if it.name == "SweepSchedule"]
    assert not schedule.enabled
    fire_schedule(cloud, schedule.name)

    (event,) = received(cloud)

    assert event["detail"]["mode"] == "report"


@pytest.mark.parametrize("cloud", [{"KmsKeyArn": KEY}], indirect=True, ids=["other parameters"])
def test_bucket_takes_the_stacks_key(cloud: LocalCloud) -> None:
    encryption = cloud.client("s3").get_bucket_encryption(Bucket=cloud.stack.buckets["ReportBucket"])

    (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]

    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
