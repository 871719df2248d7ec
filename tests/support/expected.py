"""What the template must say of the operations and of the sweep alike: alarms, rights, environment, routes."""

import re
from typing import Any, NamedTuple

from tests.support.template import BUS, of_type, properties

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


NETWORK = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}


SECRET = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${CredentialsSecretPrefix}/"


COMMON_ENVIRONMENT: dict[str, Any] = {
    "CREDENTIALS_SECRET_PREFIX": {"Ref": "CredentialsSecretPrefix"},
    "DRY_RUN": {"Ref": "DryRun"},
    "EXTRA_REGIONS": {"Ref": "ExtraRegions"},
    "EVENT_BUS_NAME": BUS,
    "AWS_ENDPOINT_URL_SECRETS_MANAGER": {"Fn::Sub": "https://secretsmanager.${AWS::Region}.${AWS::URLSuffix}"},
    "AWS_ENDPOINT_URL_EVENTBRIDGE": {"Fn::Sub": "https://events.${AWS::Region}.${AWS::URLSuffix}"},
    "AWS_ENDPOINT_URL_SQS": {"Fn::Sub": "https://sqs.${AWS::Region}.${AWS::URLSuffix}"},
    "AWS_ENDPOINT_URL_STS": {"Fn::Sub": "https://sts.${AWS::Region}.${AWS::URLSuffix}"},
    "POWERTOOLS_SERVICE_NAME": {"Fn::Sub": "${AWS::StackName}"},
    "POWERTOOLS_METRICS_NAMESPACE": "TaskCleanup",
    "POWERTOOLS_LOG_LEVEL": {"Ref": "LogLevel"},
    "POWERTOOLS_LOGGER_LOG_EVENT": "false",
}


ALARMS = of_type("AWS::CloudWatch::Alarm")


class Watch(NamedTuple):
    """A metric of one kind of resource, and the most that is still well."""

    namespace: str
    metric: str
    statistic: str
    watched: str
    most: int


# Whether a queue has got a message that was not there before; tests/template/test_new_messages.py says when.
ARRIVED = "IF(FILL(sent, 0) > 0 OR DIFF(FILL(FILL(visible + hidden, REPEAT), 0)) > 0, 1, 0)"
COUNTED = {
    "sent": ("NumberOfMessagesSent", "Sum"),
    "visible": ("ApproximateNumberOfMessagesVisible", "Maximum"),
    "hidden": ("ApproximateNumberOfMessagesNotVisible", "Maximum"),
}
WATCHED = {
    "DeadLetterAlarm": Watch("AWS/SQS", ARRIVED, "", "DeadLetterQueue", 0),
    "QueueAgeAlarm": Watch("AWS/SQS", "ApproximateAgeOfOldestMessage", "Maximum", "Queue", 3600),
    "ErrorsAlarm": Watch("AWS/Lambda", "Errors", "Sum", "Function", 0),
}


UNDELIVERED = Watch("AWS/Events", "InvocationsFailedToBeSentToDlq", "Sum", "Rule", 0)


def dimensions(resource: str) -> list[dict[str, Any]]:
    if resource.endswith("Function"):
        return [{"Name": "FunctionName", "Value": {"Ref": resource}}]
    if resource.endswith("Queue"):
        return [{"Name": "QueueName", "Value": {"Fn::GetAtt": [resource, "QueueName"]}}]
    rule = properties(resource)["Name"]
    return [{"Name": "EventBusName", "Value": BUS}, {"Name": "RuleName", "Value": rule}]


def check(alarm: dict[str, Any], watch: Watch, resource: str) -> None:
    if watch.metric == ARRIVED:
        assert alarm["Metrics"] == arrivals(resource)
    else:
        assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == watch[:3]
        assert alarm["Dimensions"] == dimensions(resource)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", watch.most)


def arrivals(queue: str) -> list[dict[str, Any]]:
    """The metrics of an alarm on new messages."""
    counted = [
        {
            "Id": name,
            "ReturnData": False,
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SQS", "MetricName": metric, "Dimensions": dimensions(queue)},
                "Stat": statistic,
                "Period": 60,
            },
        }
        for name, (metric, statistic) in COUNTED.items()
    ]
    return [{"Id": "arrived", "Expression": ARRIVED}, *counted]


def routes() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Function, method, path and definition of every route of the translated API."""
    found = []
    for path, methods in properties("HttpApi")["Body"]["paths"].items():
        for method, route in methods.items():
            uri = route["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            (function,) = re.findall(r"functions/\$\{(\w+)\.Arn\}", uri)
            found.append((function, method, path, route))
    return found
