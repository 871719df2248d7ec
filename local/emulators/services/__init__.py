"""One module per emulated service. Every module in this folder is served; no list names them."""

import importlib
import pkgutil
from typing import Any

from local.emulators.service import Platform, Service


def make_services(platform: Platform) -> dict[str, Service[Any, Any]]:
    """Make every kind of tasks of every service, by its key (`huawei_oms`), in the order of the keys."""
    made: list[Service[Any, Any]] = []
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Service) and kind.__module__ == module.__name__:
                made += [kind(platform, provided) for provided in kind.emulates]
    platform.keys.providers = {service.provided.provider for service in made}
    return {service.key: service for service in sorted(made, key=lambda service: service.key)}
