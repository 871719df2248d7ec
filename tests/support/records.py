"""An event of a rule and a record of a queue, as unit tests send them."""

import json
from typing import Any

REQUEST = {"region": "cn-north-4", "task_id": "191297407830872"}
RULE_EVENT: dict[str, Any] = {
    "version": "0",
    "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
    "detail-type": "Task Cleanup Requested",
    "source": "migration-platform",
    "account": "111122223333",
    "time": "2026-11-21T08:00:00Z",
    "region": "eu-central-1",
    "resources": [],
    "detail": REQUEST,
}


def record(body: object, attributes: dict[str, str] | None = None, **moved: str) -> dict[str, Any]:
    """An SQS record; ``moved`` are message attributes."""
    return {
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1795248000000",  # 2026-11-21T08:00:00Z
            "SenderId": "AROAFAKE:queue-sender",
            **(attributes or {}),
        },
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String", "stringListValues": [], "binaryListValues": []}
            for name, value in moved.items()
        },
        "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:111122223333:requests",
        "awsRegion": "eu-central-1",
    }
