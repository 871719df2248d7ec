"""What can be wrong with the secret store, and with a secret, and what comes of it."""

import json

from tests.support.aws import Trouble
from tests.support.functions import provider_of
from tests.support.handler_world import HandlerWorld

SECRET_STORE = {
    "denied": ("internal", "SecretDenied"),
    "missing": ("internal", "SecretNotFound"),
    "malformed": ("internal", "SecretMalformed"),
    "incomplete": ("internal", "SecretMalformed"),
    "no text": ("internal", "SecretMalformed"),
    "throttled": ("unavailable", None),
    "down": ("unavailable", None),
    "stale": ("unavailable", "SecretStoreUnavailable"),
    "slow": ("unavailable", None),
    "reset": ("unavailable", None),
    "garbage": ("unavailable", None),
}


def break_secret_store(world: HandlerWorld, folder: str, trouble: str) -> None:
    name = f"task-cleanup/{provider_of(folder)}/default"
    contents = {
        "malformed": "testSecretFake-not-json",
        "incomplete": json.dumps({"access_key_id": "AKFAKE0001"}),
        "no text": "",
    }
    if trouble == "missing":
        del world.aws.secrets[name]
    elif trouble in contents:
        world.aws.secrets[name] = contents[trouble]
    else:
        world.aws.troubles["secretsmanager"] = Trouble(trouble)


MALFORMED = {
    "not JSON": "access_key_id=AKFAKE0001 secret_access_key=testSecretFakeMalformed",
    "a list": '["AKFAKE0001", "testSecretFakeMalformed"]',
    "with a line break": '{"access_key_id": "AKFAKE0001", "secret_access_key": "testSecretFakeMalformed\\n"}',
    "with a blank": '{"access_key_id": "AKFAKE 0001", "secret_access_key": "testSecretFakeMalformed"}',
    "with a number": '{"access_key_id": 1, "secret_access_key": "testSecretFakeMalformed"}',
    "bad token": '{"access_key_id": "A", "secret_access_key": "B", "security_token": "testSecretFakeMalformedé"}',
    "with a bad project": '{"access_key_id": "A", "secret_access_key": "B", "project_id": "testSecretFakeMalformed"}',
}
