"""TLS: one CA bundle for all hosts, and nobody without a certificate that it vouches for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.bench.servers import TlsFront, server_context
from tests.unit.scripted_server import ScriptedServer, reply

ROOT = Path(__file__).resolve().parents[2]

CALLS = """
import json, ssl, sys
loads, load = [], ssl.SSLContext.load_verify_locations
def counting(context, *arguments, **named):
    loads.append(context)
    return load(context, *arguments, **named)
ssl.SSLContext.load_verify_locations = counting
from task_cleanup.providers.service import SignedRequest
from task_cleanup.system import Deadline, System
from task_cleanup.transport import NoAnswerError, exchange, new_session
said = []
for urls in json.loads(sys.argv[1]):
    with new_session(["https://127.0.0.1:1"]) as session:
        for url in urls:
            try:
                reply = exchange(session, SignedRequest("GET", url + "/", {}), Deadline.after(5, System().monotonic))
                said.append(reply.status)
            except NoAnswerError as error:
                said.append([error.category, error.sent])
print(json.dumps({"said": said, "loads": len(loads)}))
"""


def call(sessions: list[list[str]], trust: Path | None) -> dict[str, object]:
    """What a process of its own gets that makes these calls."""
    path = [*([str(trust / "trust" / "python")] if trust else []), str(ROOT / "layers" / "task_cleanup" / "python")]
    done = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(sessions)],
        env={"PYTHONPATH": ":".join(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_ca_bundle_is_read_once_for_all_hosts_and_sessions(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    with (
        ScriptedServer(reply(200)) as one,
        ScriptedServer(reply(204)) as other,
        TlsFront(one.url, context) as first,
        TlsFront(other.url, context) as second,
    ):
        told = call([[first.url, second.url, first.url], [second.url]], tmp_path)
    assert told == {"said": [200, 204, 200, 204], "loads": 1}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificate_must_be_vouched_for_and_name_the_host(tmp_path: Path, host: str) -> None:
    """Of an unknown CA, or for another host: nothing is sent."""
    context = server_context(tmp_path)
    with ScriptedServer(reply(200)) as server, TlsFront(server.url, context) as front:
        url = front.url.replace("127.0.0.1", host)
        told = call([[url]], tmp_path if host == "localhost" else None)
        assert told["said"] == [["unavailable", False]]
        assert server.arrived == []
