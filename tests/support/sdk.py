"""The keys that the official SDKs sign with, and how a test builds one of their clients."""

from collections.abc import Callable
from typing import Any

# Key id and secret key, and a token for a temporary key.
ALIBABA_KEY = ("AKFAKEALIBABA0001", "testSecretFakeAlibaba0001")
HUAWEI_KEY = ("AKFAKEHUAWEI0001", "testSecretFakeHuawei0001")
OTC_KEY = ("AKFAKEOTC0001", "testSecretFakeOtc0001")
TOKEN = "testSecurityTokenFake/ABC+def=="

# Builds a client; tests/contract/conftest.py has one for each SDK. Key, token, project or service can be others.
Build = Callable[..., Any]
