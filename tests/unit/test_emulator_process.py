"""`python -m local.emulators` as a process of its own."""

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.emulators import SERVICES

ROOT = Path(__file__).parents[2]
STATE = {
    "keys": [{"provider": "huawei", "access_key_id": "AKFAKE1", "secret_access_key": "testSecretFake1"}],
    "identity": [{"stand_in": "otc_iam", "provider_id": "aws", "audience": "fake", "subjects": ["fake"]}],
    "tasks": [{"service": "huawei_oms", "project_id": "f" * 32, "task_id": 5}],
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_urls_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps(STATE), encoding="utf-8")
    command = [sys.executable, "-m", "local.emulators", "--seed", "3", "--state", str(state)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "layers" / "task_cleanup" / "python")}

    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = json.loads(process.stdout.readline())
        assert list(printed["urls"]) == list(SERVICES)
        assert list(printed["identity_urls"]) == ["aws_sts", "alibaba_sts", "huawei_sts", "otc_iam"]
        connection = http.client.HTTPConnection(urlsplit(printed["admin_url"]).netloc, timeout=5)
        connection.request("GET", "/_emulator/tasks")
        seeded = json.loads(connection.getresponse().read())
        connection.close()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0

    assert [task["task_id"] for task in seeded["huawei_oms"][0]["tasks"]] == ["5"]
