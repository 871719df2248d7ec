"""A sweep over accounts without a stored key: one exchange for each provider, and the doctor for all of them."""

import pytest

from tests.support.stand_ins import ACCOUNTS, EXCHANGE, OTHER_ROLE, federated, register_all
from tests.support.sweep_world import SweepWorld, policy


@pytest.fixture
def keyless(sweep_world: SweepWorld) -> SweepWorld:
    sweep_world.seed()
    register_all(sweep_world.cloud)
    sweep_world.aws.secrets.clear()
    return sweep_world


def variables(world: SweepWorld) -> dict[str, str]:
    return federated(world.cloud, **{provider: {"default": account} for provider, account in ACCOUNTS.items()})


def test_a_sweep_lists_with_keys_that_it_exchanges(keyless: SweepWorld) -> None:
    summary = keyless.worker(**variables(keyless))(policy())

    assert summary["outcome"] == "requested"
    given = [len(keyless.cloud.journal.entries(service=name)) for name in EXCHANGE.values()]
    assert given == [1, 1, 2]  # OTC's takes two calls


def test_a_provider_that_gives_no_keys_refuses_the_whole_run(keyless: SweepWorld) -> None:
    huawei = keyless.cloud.identity.huawei
    huawei.trust(**{**vars(huawei.trusts.all()[0]), "subjects": [OTHER_ROLE]})

    summary = keyless.worker(**variables(keyless))(policy())

    assert (summary["outcome"], keyless.requested()) == ("refused", [])
    errors = {target["error"]["code"] for target in summary["targets"] if target["error"]}
    assert errors == {"ExchangeRefused"}


def test_the_sweep_checks_the_credentials_of_every_service(keyless: SweepWorld) -> None:
    answer = keyless.worker(**variables(keyless))({"check": "credentials", "region": "eu-de"})

    calls = {f"{it['provider']}.{it['service']}": it["steps"][-1]["state"] for it in answer["services"]}
    assert answer["ok"]
    assert calls == {
        "alibaba.elasticsearch": "skipped",  # it has no region of that name
        "huawei.oms": "skipped",
        "huawei.dms": "skipped",
        "otc.dms": "ok",
    }
    assert keyless.aws.objects == {}


def test_one_provider_without_keys_makes_the_check_of_a_sweep_not_ok(keyless: SweepWorld) -> None:
    huawei = keyless.cloud.identity.huawei
    huawei.trust(**{**vars(huawei.trusts.all()[0]), "subjects": [OTHER_ROLE]})

    answer = keyless.worker(**variables(keyless))({"check": "credentials"})

    checked = {f"{it['provider']}.{it['service']}": it["ok"] for it in answer["services"]}
    assert not answer["ok"]
    assert checked == {
        "alibaba.elasticsearch": True,
        "huawei.oms": False,
        "huawei.dms": False,
        "otc.dms": True,
    }
