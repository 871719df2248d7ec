"""The official SDKs' own ways to exchange an identity token, unchanged, against the stand-ins for identity."""

import datetime as dt
import ipaddress
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulators import Emulators
from local.emulators.server import LoopbackServer
from tests.support.identities import PROJECT
from tests.support.sdk import Build
from tests.support.stand_ins import (
    ALIBABA_AUDIENCE,
    ALIBABA_PROVIDER,
    ALIBABA_ROLE,
    AWS_KEY,
    HUAWEI_AGENCY,
    HUAWEI_AUDIENCE,
    HUAWEI_PROVIDER,
    OTC_AUDIENCE,
    OTC_PROVIDER,
    OTHER_ROLE,
    ROLE,
    SESSION,
    register_all,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:datetime.datetime.utcnow:DeprecationWarning",  # the SDKs sign with it
)

INSTANCE = "es-cn-fake00000001"
DMS_INSTANCE = "11111111-2222-3333-4444-555555555555"
TokenFile = Callable[..., str]


@pytest.fixture
def identity(cloud: Emulators) -> Any:
    """Stand-ins that know one role and trust it everywhere."""
    register_all(cloud)
    return cloud.identity


@pytest.fixture
def token_file(identity: Any, tmp_path: Path) -> TokenFile:
    """Writes a token to a file, as the SDKs want it."""

    def write(audience: str, subject: str = ROLE) -> str:
        path = tmp_path / "token"
        path.write_text(identity.issuer.issue(subject, audience), encoding="utf-8")
        return str(path)

    return write


def last_answers(cloud: Emulators, count: int) -> list[tuple[str, str | None, int | None]]:
    return [(entry.service, entry.operation, entry.status) for entry in cloud.journal.entries()[-count:]]


# -- AWS -------------------------------------------------------------------------------------------------------


def sts(identity: Any, key: tuple[str, str, str] = AWS_KEY) -> Any:
    """botocore's client, without retries."""
    import botocore.config
    import botocore.session

    return botocore.session.Session().create_client(
        "sts",
        region_name="eu-central-1",
        endpoint_url=identity.urls["aws_sts"],
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        aws_session_token=key[2],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def ask(client: Any, **changes: Any) -> Any:
    wanted = {"Audience": [HUAWEI_AUDIENCE], "SigningAlgorithm": "RS256", "DurationSeconds": 300}
    return client.get_web_identity_token(**{**wanted, **changes})


def refusal(client: Any, **changes: Any) -> tuple[int, str]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        ask(client, **changes)
    response: Any = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_botocore_gets_a_token(cloud: Emulators, identity: Any) -> None:
    from joserfc import jwk, jwt

    answer = ask(sts(identity))

    keys = jwk.KeySet.import_key_set(identity.issuer.jwks())
    token = jwt.decode(answer["WebIdentityToken"], keys, algorithms=["RS256"])
    assert token.header == {"alg": "RS256", "kid": "RSA_0", "typ": "JWT"}
    assert token.claims["iss"] == identity.issuer.url
    assert (token.claims["aud"], token.claims["sub"]) == (HUAWEI_AUDIENCE, ROLE)
    assert token.claims["exp"] - token.claims["iat"] == 300
    assert "nbf" not in token.claims
    own = token.claims["https://sts.amazonaws.com/"]
    assert own == {"aws_account": "123456789012", "source_region": "eu-central-1", "principal_id": ROLE}
    assert abs(answer["Expiration"].timestamp() - token.claims["exp"]) <= 1
    entry = cloud.journal[-1]
    assert (entry.service, entry.operation, entry.signature_ok) == ("aws_sts", "GetWebIdentityToken", True)
    assert entry.ids == {"role_arn": ROLE, "audience": HUAWEI_AUDIENCE}


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"Audience": ["one", "two"]}, AWS_KEY, (400, "ValidationError")),
        ({"SigningAlgorithm": "ES384"}, AWS_KEY, (400, "ValidationError")),
        ({"Tags": [{"Key": "k", "Value": "v w"}]}, AWS_KEY, (400, "ValidationError")),
        ({}, (AWS_KEY[0], "testSecretFakeWrong", AWS_KEY[2]), (403, "SignatureDoesNotMatch")),
        ({}, ("AKIAFAKENOBODY", *AWS_KEY[1:]), (403, "InvalidClientTokenId")),
        ({}, (*AWS_KEY[:2], "testSessionTokenFakeOther"), (403, "InvalidClientTokenId")),
    ],
)
def test_botocore_is_refused(
    identity: Any, changes: dict[str, Any], key: tuple[str, str, str], expected: tuple[int, str]
) -> None:
    assert refusal(sts(identity, key), **changes) == expected


def test_botocore_reads_the_errors_by_their_classes(cloud: Emulators, identity: Any) -> None:
    client = sts(identity)
    identity.aws.enabled = False
    with pytest.raises(client.exceptions.OutboundWebIdentityFederationDisabledException):
        ask(client)
    identity.aws.enabled = True
    cloud.faults.add("throttle", service="aws_sts", count=1)

    assert refusal(client) == (400, "Throttling")
    assert ask(client)["WebIdentityToken"]


# -- Alibaba ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that vouches for itself: its file, and the server's side of it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake authority")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path_factory.mktemp("authority") / "fake.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return str(pem), context


@pytest.fixture
def https_sts(identity: Any, authority: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Alibaba's STS over TLS, for a client that cannot be told to leave it out."""
    stopping = threading.Event()
    server = LoopbackServer(0, identity.alibaba.respond, stopping)
    server.socket = authority[1].wrap_socket(server.socket, server_side=True)
    server.start()
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", authority[0])
    yield server.url.removeprefix("http://")
    stopping.set()
    server.stop()


def test_alibaba_credentials_over_https(
    cloud: Emulators, https_sts: str, token_file: TokenFile, elasticsearch: Build
) -> None:
    from alibabacloud_credentials.provider import OIDCRoleArnCredentialsProvider

    cloud.alibaba_elasticsearch.add_place(INSTANCE)
    provider = OIDCRoleArnCredentialsProvider(
        role_arn=ALIBABA_ROLE,
        oidc_provider_arn=ALIBABA_PROVIDER,
        oidc_token_file_path=token_file(ALIBABA_AUDIENCE),
        role_session_name=SESSION,
        duration_seconds=900,
        sts_endpoint=https_sts,
    )
    found = provider.get_credentials()
    key = (found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token())

    assert key[0].startswith("STS.")
    assert elasticsearch(*key).list_data_tasks(INSTANCE).status_code == 200
    assert last_answers(cloud, 2) == [
        ("alibaba_sts", "AssumeRoleWithOIDC", 200),
        ("alibaba_elasticsearch", "ListDataTasks", 200),
    ]


def test_alibaba_credentials_refused(https_sts: str, token_file: TokenFile) -> None:
    from alibabacloud_credentials.exceptions import CredentialException
    from alibabacloud_credentials.provider import OIDCRoleArnCredentialsProvider

    provider = OIDCRoleArnCredentialsProvider(
        role_arn=ALIBABA_ROLE,
        oidc_provider_arn=ALIBABA_PROVIDER,
        oidc_token_file_path=token_file(HUAWEI_AUDIENCE),
        role_session_name=SESSION,
        sts_endpoint=https_sts,
    )

    with pytest.raises(CredentialException, match=r"http_code: 401.*AudienceNotMatch"):
        provider.get_credentials()


def assume_by_sts_sdk(identity: Any, token: str) -> Any:
    from alibabacloud_sts20150401.client import Client
    from alibabacloud_sts20150401.models import AssumeRoleWithOIDCRequest
    from alibabacloud_tea_openapi.utils_models import Config

    endpoint = identity.urls["alibaba_sts"].removeprefix("http://")
    client = Client(Config(endpoint=endpoint, protocol="http", connect_timeout=2000, read_timeout=2000))
    request = AssumeRoleWithOIDCRequest(
        duration_seconds=900,
        oidcprovider_arn=ALIBABA_PROVIDER,
        oidctoken=token,
        role_arn=ALIBABA_ROLE,
        role_session_name=SESSION,
    )
    return client.assume_role_with_oidc(request).body


def test_alibaba_sts_sdk(cloud: Emulators, identity: Any, elasticsearch: Build) -> None:
    cloud.alibaba_elasticsearch.add_place(INSTANCE)

    body = assume_by_sts_sdk(identity, identity.issuer.issue(ROLE, ALIBABA_AUDIENCE))

    assert body.oidctoken_info.subject == ROLE
    assert body.assumed_role_user.arn == f"{ALIBABA_ROLE}/{SESSION}"
    found = body.credentials
    client = elasticsearch(found.access_key_id, found.access_key_secret, found.security_token)
    assert client.list_data_tasks(INSTANCE).status_code == 200


def test_alibaba_sts_sdk_refused(identity: Any) -> None:
    from alibabacloud_tea_openapi.exceptions import ClientException

    with pytest.raises(ClientException) as caught:
        assume_by_sts_sdk(identity, identity.issuer.issue(OTHER_ROLE, ALIBABA_AUDIENCE))

    assert (caught.value.status_code, caught.value.code) == (401, "AuthenticationFail.NoPermission")


# -- Huawei ----------------------------------------------------------------------------------------------------


def service_client(kind: Any, url: str, credentials: Any) -> Any:
    from huaweicloudsdkcore.http.http_config import HttpConfig

    builder = kind.new_builder().with_http_config(HttpConfig(timeout=(2, 2), retry_times=0))
    return builder.with_credentials(credentials).with_endpoint(url).build()


@pytest.fixture
def huawei_environment(identity: Any, token_file: TokenFile, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the variables that the SDK's providers read."""

    def put(audience: str = HUAWEI_AUDIENCE, subject: str = ROLE) -> None:
        path = token_file(audience, subject)
        for name, value in {
            "HUAWEICLOUD_SDK_STS_ENDPOINT": identity.urls["huawei_sts"],
            "HUAWEICLOUD_OIDC_PROVIDER_URN": HUAWEI_PROVIDER,
            "HUAWEICLOUD_OIDC_AGENCY_URN": HUAWEI_AGENCY,
            "HUAWEICLOUD_OIDC_TOKEN_FILE": path,
            "HUAWEICLOUD_OIDC_SESSION_NAME": SESSION,
            "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT,
            "HUAWEICLOUD_SDK_IAM_ENDPOINT": identity.urls["otc_iam"],
            "HUAWEICLOUD_SDK_IDP_ID": OTC_PROVIDER,
            "HUAWEICLOUD_SDK_ID_TOKEN_FILE": path,
        }.items():
            monkeypatch.setitem(os.environ, name, value)

    return put


def list_oms(cloud: Emulators, credentials: Any) -> Any:
    from huaweicloudsdkoms.v2 import ListTasksRequest, OmsClient

    return service_client(OmsClient, cloud.urls["huawei_oms"], credentials).list_tasks(ListTasksRequest())


def test_huawei_core_exchanges_then_calls_oms(cloud: Emulators, huawei_environment: Callable[..., None]) -> None:
    from huaweicloudsdkcore.auth.provider import OidcStsCredentialProvider

    huawei_environment()

    assert list_oms(cloud, OidcStsCredentialProvider.get_basic().get_credentials()).count == 0

    assert last_answers(cloud, 2) == [
        ("huawei_sts", "AssumeAgencyWithOIDC", 200),
        ("huawei_oms", "ListTasks", 200),
    ]
    entry = cloud.journal[-1]
    assert (entry.signature_ok, entry.access_key_id is not None and entry.access_key_id[:3]) == (True, "HST")


def test_huawei_core_refused(cloud: Emulators, huawei_environment: Callable[..., None]) -> None:
    from huaweicloudsdkcore.auth.provider import OidcStsCredentialProvider
    from huaweicloudsdkcore.exceptions.exceptions import SdkException

    huawei_environment(subject=OTHER_ROLE)

    with pytest.raises(SdkException, match=r"STS5\.1001"):
        list_oms(cloud, OidcStsCredentialProvider.get_basic().get_credentials())


def test_huawei_sts_sdk(cloud: Emulators, identity: Any) -> None:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
    from huaweicloudsdksts.v1 import AssumeAgencyWithOIDCReqBody, AssumeAgencyWithOIDCRequest, StsClient

    client = service_client(StsClient, identity.urls["huawei_sts"], BasicCredentials("AKFAKE", "skFake", PROJECT))

    def assume(audience: str) -> Any:
        body = AssumeAgencyWithOIDCReqBody(
            provider_urn=HUAWEI_PROVIDER,
            agency_urn=HUAWEI_AGENCY,
            agency_session_name=SESSION,
            id_token=identity.issuer.issue(ROLE, audience),
            duration_seconds=900,
        )
        return client.assume_agency_with_oidc(AssumeAgencyWithOIDCRequest(body=body))

    answer = assume(HUAWEI_AUDIENCE)
    assert answer.subject_from_id_token == ROLE
    found = answer.credentials
    key = BasicCredentials(found.access_key_id, found.secret_access_key, PROJECT)
    assert list_oms(cloud, key.with_security_token(found.security_token)).count == 0

    with pytest.raises(ClientRequestException) as caught:
        assume(ALIBABA_AUDIENCE)
    assert (caught.value.status_code, caught.value.error_code) == (400, "STS5.2001")


# -- Open Telekom Cloud ----------------------------------------------------------------------------------------


def list_dms(cloud: Emulators, credentials: Any) -> Any:
    from huaweicloudsdkkafka.v2 import KafkaClient, ListBackgroundTasksRequest

    cloud.otc_dms.add_place(PROJECT, DMS_INSTANCE)
    client = service_client(KafkaClient, cloud.urls["otc_dms"], credentials)
    return client.list_background_tasks(ListBackgroundTasksRequest(DMS_INSTANCE))


def test_huawei_core_exchanges_at_iam(cloud: Emulators, huawei_environment: Callable[..., None]) -> None:
    from huaweicloudsdkcore.auth.provider import EnvCredentialProvider

    huawei_environment(OTC_AUDIENCE)

    assert list_dms(cloud, EnvCredentialProvider.get_basic().get_credentials()).tasks == []

    assert last_answers(cloud, 3) == [
        ("otc_iam", "CreateTokenWithIdToken", 201),
        ("otc_iam", "CreateTemporaryAccessKey", 201),
        ("otc_dms", "ListBackgroundTasks", 200),
    ]


def test_iam_sdk(cloud: Emulators, identity: Any) -> None:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
    from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
    from huaweicloudsdkiam import v3

    client = service_client(
        v3.IamClient, identity.urls["otc_iam"], GlobalCredentials("AKFAKE", "skFake", "fakeDomain")
    )

    def token(audience: str) -> Any:
        auth = v3.GetIdTokenAuthParams(
            id_token=v3.GetIdTokenIdTokenBody(id=identity.issuer.issue(ROLE, audience)),
            scope=v3.GetIdTokenIdScopeBody(project=v3.GetIdTokenScopeDomainOrProjectBody(id=PROJECT)),
        )
        body = v3.GetIdTokenRequestBody(auth=auth)
        return client.create_token_with_id_token(v3.CreateTokenWithIdTokenRequest(x_idp_id=OTC_PROVIDER, body=body))

    scoped = token(OTC_AUDIENCE)
    assert scoped.token.project.id == PROJECT
    wanted = v3.IdentityToken(id=scoped.x_subject_token, duration_seconds=900)
    by_token = v3.TokenAuthIdentity(methods=["token"], token=wanted)
    body = v3.CreateTemporaryAccessKeyByTokenRequestBody(auth=v3.TokenAuth(identity=by_token))
    request = v3.CreateTemporaryAccessKeyByTokenRequest(body=body)
    found = client.create_temporary_access_key_by_token(request).credential
    key = BasicCredentials(found.access, found.secret, PROJECT).with_security_token(found.securitytoken)
    assert list_dms(cloud, key).tasks == []

    with pytest.raises(ClientRequestException) as caught:
        token(HUAWEI_AUDIENCE)
    assert (caught.value.status_code, caught.value.error_code) == (401, "IAM.0001")


def test_keystone_gets_a_scoped_token(cloud: Emulators, identity: Any) -> None:
    from keystoneauth1.exceptions import Unauthorized
    from keystoneauth1.identity.v3 import OidcAccessToken
    from keystoneauth1.session import Session

    def plugin(subject: str) -> Any:
        return OidcAccessToken(
            auth_url=f"{identity.urls['otc_iam']}/v3",
            identity_provider=OTC_PROVIDER,
            protocol="oidc",
            access_token=identity.issuer.issue(subject, OTC_AUDIENCE),
            project_id=PROJECT,
        )

    token = Session(auth=plugin(ROLE)).get_token()

    assert last_answers(cloud, 2) == [
        ("otc_iam", "CreateUnscopedToken", 201),
        ("otc_iam", "CreateScopedToken", 201),
    ]
    assert cloud.keys.bearers.recall(token)
    with pytest.raises(Unauthorized):
        Session(auth=plugin(OTHER_ROLE)).get_token()
