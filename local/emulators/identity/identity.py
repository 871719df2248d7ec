"""All stand-ins of a process, and what tests, stories and the local cloud register with them."""

from collections.abc import Mapping
from typing import Any

from local.emulators.records import InvalidRecordError
from local.emulators.service import Platform

from .alibaba_sts import AlibabaSts
from .aws_sts import AwsSts
from .huawei_sts import HuaweiSts
from .issuer import AWS_ISSUER, Issuer
from .otc_iam import OtcIam
from .stand_in import Issuers, StandIn


class Identity:
    """AWS's issuer and STS, and the exchange at each provider."""

    def __init__(self, platform: Platform) -> None:
        """Start without registrations."""
        self._clock = platform.clock
        self.issuer = Issuer(AWS_ISSUER, platform.clock)
        """AWS's. It signs tokens for tests, too: `issuer.issue(subject, audience)`."""
        self._issuers = Issuers(self.issuer)
        self.aws = AwsSts(platform, self._issuers)
        self.alibaba = AlibabaSts(platform, self._issuers)
        self.huawei = HuaweiSts(platform, self._issuers)
        self.otc = OtcIam(platform, self._issuers)
        made: tuple[StandIn[Any], ...] = (self.aws, self.alibaba, self.huawei, self.otc)
        self.stand_ins = {stand_in.name: stand_in for stand_in in made}
        self.urls: dict[str, str] = {}
        """Base URL of each stand-in: `aws_sts`, `alibaba_sts`, `huawei_sts`, `otc_iam`."""

    def add_issuer(self, url: str) -> Issuer:
        """Add an issuer beside AWS's, such as that of a CI system; a trust names it by its URL."""
        issuer = self._issuers.others[url] = Issuer(url, self._clock)
        return issuer

    def register(self, record: Mapping[str, object]) -> None:
        """Register from JSON: `stand_in` (as in `urls`), and the fields of an `AwsRole` or of a trust there."""
        values = dict(record)
        name = values.pop("stand_in", None)
        stand_in = self.stand_ins.get(name) if isinstance(name, str) else None
        if stand_in is None:
            raise InvalidRecordError(f"stand_in must be one of {', '.join(self.stand_ins)}")
        stand_in.registries[0].add(values)

    def reset(self, *, registrations: bool) -> None:
        """Undo rotated keys, token faults, uploads and tokens; forget registrations only if asked."""
        for issuer in (self.issuer, *self._issuers.others.values()):
            issuer.forget() if registrations else issuer.reset()
        for stand_in in self.stand_ins.values():
            stand_in.clear() if registrations else stand_in.reset()
        if registrations:
            self._issuers.others.clear()
