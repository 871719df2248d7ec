"""The AWS CLI for a test with many commands: imported once, and then a fork of that process runs each command.

Called as a program, with the number of a listening socket, it waits for commands; the ``aws`` that ``command`` writes
sends them there.
Version 1 of the CLI, which is on PyPI, takes no endpoint for SQS from the environment: each command is given it.
"""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_AWS = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({path!r})
    socket.send_fds(connection, [json.dumps([os.getcwd(), sys.argv[1:]]).encode()], [0, 1, 2])
    connection.shutdown(socket.SHUT_WR)
    sys.exit((connection.recv(1) or b"\\x01")[0])
"""


@contextmanager
def command(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Put an ``aws`` into the folder, which works until the ``with`` block ends. It has this environment."""
    path = folder / "aws.socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        script = folder / "aws"
        script.write_text(_AWS.format(python=sys.executable, path=str(path)))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        with subprocess.Popen(
            [sys.executable, __file__, str(listening.fileno())],
            env=dict(environment),
            pass_fds=[listening.fileno()],
        ) as process:
            listening.close()  # if that process ends, commands are refused, and do not wait for it
            try:
                yield
            finally:
                process.kill()


def serve(listening: socket.socket) -> None:
    """Run each command in a fork that has the caller's folder, input and output."""
    from awscli.clidriver import create_clidriver

    driver = create_clidriver()
    for service in ("cloudformation", "sqs", "s3"):  # most commands are theirs; a fork has what is loaded before
        driver.session.create_client(service, region_name=os.environ["AWS_REGION"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listening.accept()
        with connection:
            asked, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
            while more := connection.recv(1 << 16):
                asked += more
            if os.fork() == 0:
                folder, arguments = json.loads(asked)
                os.chdir(folder)
                for number, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, number)
                status = driver.main(["--endpoint-url", os.environ["AWS_ENDPOINT_URL"], *arguments])
                sys.stdout.flush()
                sys.stderr.flush()
                connection.send(bytes([status]))
                os._exit(status)
            for descriptor in descriptors:
                os.close(descriptor)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
