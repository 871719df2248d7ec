"""The clouds that the measured handlers call, plain and behind TLS.

They are the emulated providers, the stand-ins of AWS's and Huawei's STS, and Secrets Manager.
"""

import contextlib
import datetime as dt
import ipaddress
import json
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import certifi
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.server import ThreadedMotoServer

from local.aws.cloud import LOCAL_AWS_IDENTITY, PROJECT_ID, aws_client, store_secrets
from local.aws.keyless import ACCOUNT, PARAMETERS
from local.emulators import Emulators
from local.stories import seeds
from task_cleanup.providers.huawei_sts import EXCHANGE

KEYLESS: Mapping[str, str] = json.loads(PARAMETERS[f"{EXCHANGE.provider.title()}Federation"])[ACCOUNT]
ROLE = "arn:aws:iam::123456789012:role/task-cleanup-bench"
CHUNK = 65536
_REQUEST_LINE = re.compile(rb"[A-Z]+ /\S* HTTP/1")
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Servers:
    """All servers, in a ``with`` block. ``urls`` and ``secure_urls`` are by service, ``secretsmanager`` included."""

    def __init__(self, scratch: Path) -> None:
        """``scratch`` takes the test CA and a layer with the CA bundle that trusts it."""
        self._scratch = scratch
        self._closing = ExitStack()
        self.emulators = Emulators()
        self.urls: dict[str, str] = {}
        self.secure_urls: dict[str, str] = {}
        self._fronts: list[TlsFront] = []

    def __enter__(self) -> Self:
        """Start the servers, and store the secrets."""
        for chatty in ("werkzeug", "botocore"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        self._closing.enter_context(self.emulators)
        aws = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        aws.start()
        self._closing.callback(aws.stop)
        aws_url = f"http://127.0.0.1:{aws.get_host_and_port()[1]}"
        self.urls = {**self.emulators.urls, **self.emulators.identity.urls, "secretsmanager": aws_url}
        requests.post(f"{aws_url}/moto-api/reset", timeout=30).raise_for_status()
        store_secrets(aws_client("secretsmanager", aws_url), self.emulators)
        self._trust_role()
        context = server_context(self._scratch)
        for name, url in self.urls.items():
            front = self._closing.enter_context(TlsFront(url, context))
            self.secure_urls[name] = front.url
            self._fronts.append(front)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all servers."""
        self._closing.close()

    def _trust_role(self) -> None:
        """Register the role of all handlers, and its trust at Huawei."""
        identity = self.emulators.identity
        key = (LOCAL_AWS_IDENTITY[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        identity.aws.add_role(ROLE, *key)
        known = {name: KEYLESS[name] for name in ("agency_urn", "provider_urn", "project_id")}
        identity.huawei.trust(**known, audience=EXCHANGE.audience, subjects=[ROLE])
        identity.issuer.issue(ROLE, EXCHANGE.audience)  # makes its key, which must not happen while one is measured

    @property
    def trust(self) -> Path:
        """The layer whose certifi trusts the test CA as well as all usual ones."""
        return self._scratch / "trust"

    def reset(self) -> None:
        """Reset the emulators and the counts, and add the finished task of each sample event."""
        self.emulators.journal.clear()
        for front in self._fronts:
            front.connections = front.requests = 0
        self.emulators.alibaba_elasticsearch.add_task(seeds.ES_INSTANCE, seeds.ES_TASKS[0], status="SUCCESS")
        self.emulators.huawei_oms.add_task(PROJECT_ID, seeds.OMS_RUNNING, status=5)
        self.emulators.otc_dms.add_task(PROJECT_ID, seeds.DMS_INSTANCE, next(iter(seeds.DMS_TASKS)), status="SUCCESS")

    def traffic(self) -> tuple[int, int]:
        """Connections and requests over TLS since the last reset."""
        return sum(front.connections for front in self._fronts), sum(front.requests for front in self._fronts)


class TlsFront:
    """Takes TLS connections, passes their bytes on to a plain server on loopback, counts them and their requests."""

    def __init__(self, target: str, context: ssl.SSLContext) -> None:
        """``target`` is the plain server's base URL."""
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.requests = 0
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Accept connections in the background."""
        threading.Thread(target=self._accept, name="tls-front", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Accept no more; the connections end with the processes that made them."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(raw,), name="tls-front", daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        """Pass on one request after the other, each until it has been answered."""
        with contextlib.suppress(OSError), raw, socket.create_connection(self._target) as far:
            for end in (raw, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._context.wrap_socket(raw, server_side=True) as near:
                back = threading.Thread(target=_forward, args=(far, near), name="tls-front", daemon=True)
                back.start()
                _forward(near, far, self._count)
                back.join()

    def _count(self, data: bytes) -> None:
        """Count a request by its first line: clients send the head of a request in one piece."""
        if _REQUEST_LINE.match(data):
            self.requests += 1


def _forward(source: socket.socket, sink: socket.socket, look: Callable[[bytes], None] = lambda _: None) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            look(data)
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def server_context(scratch: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 from a CA of our own, and the bundle of all other CAs with this one at its end."""
    scratch.mkdir(parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA of make bench")])
    validity = (now - dt.timedelta(hours=1), now + dt.timedelta(days=1))
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key(), validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        _certificate(server_name, authority_name, key.public_key(), validity)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (scratch / "server.pem").write_bytes(private + certificate.public_bytes(pem))
    package = scratch / "trust" / "python" / "certifi"
    package.mkdir(parents=True, exist_ok=True)
    for source in Path(certifi.where()).parent.glob("*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    (package / "cacert.pem").write_bytes(Path(certifi.where()).read_bytes() + b"\n" + authority.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(scratch / "server.pem")
    return context


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    validity: tuple[dt.datetime, dt.datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
