"""Who is who in the tests. All keys are fake, and look it."""

AWS_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "AKFAKEAWSROLE0001",
    "AWS_SECRET_ACCESS_KEY": "testSecretFakeAwsRole0001",
    "AWS_SESSION_TOKEN": "testTokenFakeAwsRole0001",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
PROJECT = "0123456789abcdef0123456789abcdef"


def fake_secret(provider: str) -> dict[str, str]:
    """The default account's secret: a temporary key, so that there is a token to lose."""
    secret = {
        "access_key_id": f"AKFAKE{provider.upper()}0001",
        "secret_access_key": f"testSecretFake/{provider}+0001==",
        "security_token": f"testTokenFake/{provider}+{'0123456789' * 4}==",
    }
    return secret if provider == "alibaba" else {**secret, "project_id": PROJECT}
