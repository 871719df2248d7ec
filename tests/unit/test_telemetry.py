"""What one result's metrics leave to the next: nothing."""

import contextlib
import io
import json
from datetime import UTC, datetime

import pytest

from task_cleanup.observability import Observability
from task_cleanup.results import Outcome, Result, Target
from task_cleanup.settings import Settings
from task_cleanup.triggers import Trigger

ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKFAKEAWS0000001",
    "AWS_SECRET_ACCESS_KEY": "testSecretFakeAws0000001",
    "POWERTOOLS_SERVICE_NAME": "metrics-of-a-test",
}


class Broken(io.StringIO):
    def write(self, _text: str, /) -> int:
        raise OSError("nobody reads it")


def result(outcome: Outcome, attempts: int) -> Result:
    return Result("huawei.oms.DeleteTask", outcome, Target("huawei", "oms"), datetime.now(UTC), "c", 1.0, attempts)


def test_metrics_that_could_not_be_written_are_not_part_of_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    observability = Observability(Settings.from_env(["huawei_oms"], ENVIRONMENT))
    with contextlib.redirect_stdout(Broken()), pytest.raises(OSError, match="nobody reads it"):
        observability.record(result(Outcome.CONFLICT, 7), Trigger.DIRECT)
    observability.record(result(Outcome.SUCCEEDED, 1), Trigger.DIRECT)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    [metrics] = [line for line in lines if "_aws" in line]

    assert (metrics["outcome"], metrics["Results"], metrics["Attempts"]) == ("succeeded", [1.0], [1.0])
