"""Stand-ins for identity and its exchange: AWS STS, Alibaba STS, Huawei STS and OTC's IAM.

They are no services with tasks: `Emulators.services` and `Emulators.urls` do not have them. `Emulators.identity` has.
"""

from .identity import Identity
from .issuer import AWS_ISSUER, Issuer, TokenFaults
from .trust import AlibabaTrust, AwsRole, HuaweiTrust, OtcTrust

__all__ = [
    "AWS_ISSUER",
    "AlibabaTrust",
    "AwsRole",
    "HuaweiTrust",
    "Identity",
    "Issuer",
    "OtcTrust",
    "TokenFaults",
]
