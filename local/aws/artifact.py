"""The packages that ``sam build`` made, unpacked as Lambda does, and Lambda's runtime client."""

import compileall
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from local.aws.stack import translate

RUNTIME_CLIENT = "awslambdaric"


@dataclass(frozen=True)
class Package:
    """A function as it is deployed: its unpacked code and layers, and its settings in the built template.

    ``task_root`` is ``/var/task`` in Lambda. Each of ``layers``, in the function's order, holds a folder ``python``
    and is laid over ``/opt``. ``timeout`` is in seconds, ``memory_size`` in MB.
    """

    name: str
    task_root: Path
    layers: tuple[Path, ...] = ()
    handler: str = "app.lambda_handler"
    runtime: str = "python3.13"
    timeout: float = 29.0
    memory_size: int = 512
    log_format: str = "JSON"
    log_level: str = "INFO"


def packages(build: Path) -> dict[str, Package]:
    """Every function in a build folder (``.aws-sam/build``), by logical id, as the built template describes it."""
    translated = translate(build / "template.yaml", {})
    resources, parameters = translated["Resources"], translated["Parameters"]
    found = {}
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Function":
            properties = resource["Properties"]
            logging = properties["LoggingConfig"]
            found[name] = Package(
                name=name,
                task_root=build / properties["Code"]["S3Key"],
                layers=tuple(
                    build / resources[layer["Ref"]]["Properties"]["Content"]["S3Key"]
                    for layer in properties["Layers"]
                ),
                handler=properties["Handler"],
                runtime=properties["Runtime"],
                timeout=float(properties["Timeout"]),
                memory_size=int(_resolved(properties["MemorySize"], parameters)),
                log_format=logging["LogFormat"],
                log_level=_resolved(logging["ApplicationLogLevel"], parameters),
            )
    return found


def _resolved(value: Any, parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a template's value
    """A plain value, or the default of the parameter that it refers to."""
    return parameters[value["Ref"]]["Default"] if isinstance(value, dict) else value


def copy_runtime_client(target: Path) -> Path:
    """A folder with awslambdaric and what it requires, and nothing else of this environment: ``/var/runtime``.

    Copied from the installed distributions, which pip checked against the hashes of ``requirements-dev.txt``: no
    network, and the same files. Putting this environment's own ``site-packages`` on the function's path instead
    would let it import everything that Lambda does not have. Compiled, as in Lambda's image.

    Raises
    ------
    PackageNotFoundError
        If awslambdaric is not installed.
    """
    copy_distributions([RUNTIME_CLIENT], target)
    compileall.compile_dir(target, quiet=1)
    return target


def copy_distributions(names: Iterable[str], target: Path) -> None:
    """Put installed distributions and what they require into a folder, as ``pip install --target`` would.

    Raises
    ------
    PackageNotFoundError
        If one is not installed.
    """
    seen: set[str] = set()
    for item in [item for name in names for item in _closure(name, seen)]:
        for file in item.files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue  # scripts, which are outside of site-packages; compiled files name other paths
            copy = target / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(item.locate_file(file)), copy)


def _closure(name: str, seen: set[str]) -> Iterator[Distribution]:
    """A distribution and, through all levels, those it requires (extras left out)."""
    if name in seen:
        return
    seen.add(name)
    found = distribution(name)
    yield found
    for requirement in map(Requirement, found.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from _closure(requirement.name, seen)
