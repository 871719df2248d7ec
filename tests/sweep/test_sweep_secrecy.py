"""What the sweep and the AWS library below it write into the log: no secret, no signed request, at no level."""

import json

from tests.support.aws import Trouble
from tests.support.identities import AWS_VARIABLES, fake_secret
from tests.support.runtime_log import runtime_log
from tests.support.sweep_world import Failure, SweepWorld, http_get, http_post, policy, queued

SECRETS = [
    AWS_VARIABLES["AWS_SECRET_ACCESS_KEY"],
    AWS_VARIABLES["AWS_SESSION_TOKEN"],
    *(
        fake_secret(provider)[name]
        for provider in ("alibaba", "huawei", "otc")
        for name in ("secret_access_key", "security_token")
    ),
]
SIGNED = ("CanonicalRequest", "StringToSign", "Signature=", "Authorization", "x-amz-security-token")


def test_no_library_writes_into_the_log_at_debug(sweep_world: SweepWorld) -> None:
    """As Lambda's runtime sets up logging with ``LogLevel=DEBUG`` (the profile ``dev``); every library at DEBUG."""
    sweep_world.seed()
    with runtime_log() as log:
        worker = sweep_world.worker(POWERTOOLS_LOG_LEVEL="DEBUG", AWS_LAMBDA_LOG_LEVEL="DEBUG")
        report = worker(policy(mode="report", run_id="look"))
        plan = {"apply_report": report["report"]["json"], "sha256": report["report"]["sha256"]}
        worker(queued({**plan, "run_id": "apply"}))
        worker(http_post(policy(run_id="asked")))
        worker(http_get("look"))
        sweep_world.aws.failures["GET claim.json"] = Failure((503, "SlowDown"), times=1)
        sweep_world.aws.failures["PUT report.json"] = Failure(Trouble.RESET, times=1)
        worker(queued(policy(run_id="troubled")))
        sweep_world.rotate_key("huawei")
        sweep_world.worker()(policy(run_id="rejected"))
    assert report["outcome"] == "reported"
    assert sweep_world.requests()
    assert log.lines == []

    said = "\n".join(json.dumps(line) for line in sweep_world.log_lines())

    assert [text for text in (*SECRETS, *SIGNED) if text in said] == []
