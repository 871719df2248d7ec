"""``task-cleanup stack doctor`` of a stack that answers as it is told; as a process: test_cli_stack.py."""

import io
import json
from collections.abc import Mapping
from typing import Any

from task_cleanup.sweep.services import SERVICES
from task_cleanup_cli import doctor, function_checks
from task_cleanup_cli.stack import RefusedError, Stack
from tests.support.federation import FEDERATIONS


class Described(Stack):
    """Has these parameters, and no secret."""

    def __init__(self, **parameters: str) -> None:
        told = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        self.description = {"StackStatus": "CREATE_COMPLETE", "Parameters": told, "Outputs": []}
        self.name = "x"

    def call(self, service: Any, operation: str, **_: Any) -> Any:
        raise RefusedError(service, operation, doctor.NOT_THERE)


class Swept(Described):
    """Its sweep checks every service for every account that it is asked for."""

    outputs: Mapping[str, str] = {f"{name}FunctionArn": "arn:x" for name in ("Sweep", "SweepResults", "NewThing")}

    def call(self, service: Any, operation: str, **arguments: Any) -> Any:
        step = {"step": "secret", "state": "ok", "message": json.loads(arguments["Payload"])["account"]}
        told = [
            {"provider": it.provider, "service": it.name, "ok": True, "steps": [step]} for it in SERVICES.values()
        ]
        return {"Payload": io.BytesIO(json.dumps({"check": "credentials", "services": told}).encode())}


def test_the_sweep_is_told_of_each_account_at_its_own_provider_only() -> None:
    """An account of one provider has no secret at the others, and nobody has asked for one."""
    stack = Swept(HuaweiFederation=json.dumps({"prod": FEDERATIONS["huawei"]["default"]}))

    found = {it.what: it.state for it in function_checks.look((), ())(stack)}

    none = "calls: 0 answered, 0 failed, 4 not tried: name a region of "
    assert found == {
        "Sweep (Huawei Cloud OMS), account prod: secret ok": "skipped",
        "Sweep (Huawei Cloud DMS), account prod: secret ok": "skipped",
        "Sweep (Alibaba Cloud Elasticsearch), account default: secret ok": "skipped",
        "Sweep (Open Telekom Cloud DMS), account default: secret ok": "skipped",
        f"{none}Alibaba Cloud, Huawei Cloud, Open Telekom Cloud": "skipped",
        "NewThing is not asked: this command line does not know it": "unknown",
    }


def test_an_account_without_a_stored_key_needs_no_secret() -> None:
    stack = Described(
        HuaweiFederation=json.dumps(FEDERATIONS["huawei"]), OtcFederation='{"default": {"region": "x"}}'
    )

    found = {it.what: it.state for it in doctor.examined(stack)}

    assert found["HuaweiFederation is well-formed: no stored key for default"] == "ok"
    refused = [what for what in found if what.startswith("OtcFederation is refused")]
    assert [(what.rpartition(": ")[2], found[what]) for what in refused] == [
        ("the account default has no provider_id", "wrong")
    ]
    secrets = [what for what in found if what.startswith("the secret")]
    assert secrets == [f"the secret task-cleanup/{it}/default does not exist" for it in ("alibaba", "otc")]
