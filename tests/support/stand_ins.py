"""What tests register with the stand-ins for identity: one role of AWS, and its trust at each provider."""

from local.emulators import Emulators
from tests.support.identities import AWS_VARIABLES, PROJECT

ROLE = "arn:aws:iam::123456789012:role/fake-stack/task-cleanup-fake-delete"
OTHER_ROLE = "arn:aws:iam::123456789012:role/fake-stack/somebody-else"
AWS_KEY = (
    AWS_VARIABLES["AWS_ACCESS_KEY_ID"],
    AWS_VARIABLES["AWS_SECRET_ACCESS_KEY"],
    AWS_VARIABLES["AWS_SESSION_TOKEN"],
)
ACCOUNT = "0123456789abcdef0123456789abcdef"

ALIBABA_AUDIENCE, HUAWEI_AUDIENCE = "sts.aliyuncs.com", "sts.huaweicloud.com"
OTC_AUDIENCE = "iam.otc.t-systems.com"
ALIBABA_ROLE = "acs:ram::1234567890123456:role/task-cleanup"
ALIBABA_PROVIDER = "acs:ram::1234567890123456:oidc-provider/aws"
HUAWEI_AGENCY = f"iam::{ACCOUNT}:agency:task-cleanup"
HUAWEI_PROVIDER = f"iam::{ACCOUNT}:oidcProvider:aws"
OTC_PROVIDER = "aws"
SESSION = "task-cleanup"


def register_all(cloud: Emulators) -> None:
    """Register the role, and let every provider trust it."""
    identity = cloud.identity
    identity.aws.add_role(ROLE, *AWS_KEY)
    identity.alibaba.trust(
        role_arn=ALIBABA_ROLE, provider_arn=ALIBABA_PROVIDER, audience=ALIBABA_AUDIENCE, subjects=[ROLE]
    )
    identity.huawei.trust(
        agency_urn=HUAWEI_AGENCY, provider_urn=HUAWEI_PROVIDER, audience=HUAWEI_AUDIENCE, subjects=[ROLE]
    )
    identity.otc.trust(provider_id=OTC_PROVIDER, project_id=PROJECT, audience=OTC_AUDIENCE, subjects=[ROLE])
