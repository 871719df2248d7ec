"""Makes the folders to measure: our functions as ``sam build`` leaves them, and the peers.

A peer's packages are those of this environment, which were checked against the hashes of ``requirements-dev.txt``.
They are copied as ``sam build`` would install them, without compiled files (``bare``), and once more with
(``compiled``).
"""

import compileall
import io
import json
import os
import platform
import py_compile
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from local.aws.artifact import Package, copy_distributions, copy_runtime_client, packages
from local.aws.stack import ROOT
from task_cleanup.validation import load_schema

HANDLERS = Path(__file__).with_name("handlers")
COMPARABLE = ("aws-lambda-powertools", "jsonschema")  # what a peer needs for our features; boto3 is in the runtime
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


FORMS = ("ours", "bare", "compiled", "ours-tls", "tls")


@dataclass(frozen=True)
class Peer:
    """A handler around somebody's SDK. ``distributions`` are the names of its packages.

    ``forms`` are those in which it is measured: ``bare`` is as ``sam build`` leaves it, ``compiled`` and ``tls`` have
    ``.pyc`` files; ``ours`` and ``ours-tls`` are our function beside it.
    """

    name: str
    distributions: tuple[str, ...]
    function: str = ""  # ours, whose schema it validates with
    forms: tuple[str, ...] = FORMS


ALIBABA = Peer(
    "alibaba", ("alibabacloud-elasticsearch20170613", *COMPARABLE), "alibaba_elasticsearch_delete_data_task"
)
HUAWEI_OMS = Peer("huawei_oms", ("huaweicloudsdkoms", *COMPARABLE), "huawei_oms_delete_task")
HUAWEI_KAFKA = Peer("huawei_kafka", ("huaweicloudsdkkafka", *COMPARABLE), "otc_dms_delete_background_task")
# Not bare: its packages are those of HUAWEI_OMS.
HUAWEI_KEYLESS = Peer(
    "huawei_keyless", HUAWEI_OMS.distributions, HUAWEI_OMS.function, ("ours", "compiled", "ours-tls", "tls")
)
FLOOR = Peer("floor", ("requests",), forms=("compiled", "tls"))
PEERS = (ALIBABA, HUAWEI_OMS, HUAWEI_KAFKA, HUAWEI_KEYLESS, FLOOR)


def build_ours(folder: Path) -> Path:
    """Run ``sam build`` for this machine's processor; the build folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_"))}
    subprocess.run(
        [
            *(Path(sys.executable).with_name("sam"), "build", "--build-dir", folder, "--no-cached", "--parallel"),
            *("--parameter-overrides", f"Architecture={ARCHITECTURE}"),
        ],
        cwd=ROOT,
        env={
            **environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "SAM_CLI_TELEMETRY": "0",
        },
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder


def our_packages(build: Path) -> Mapping[str, Package]:
    """Our functions by the name of their folder."""
    return {_folder_name(name): package for name, package in packages(build).items()}


def _folder_name(logical_id: str) -> str:
    """``HuaweiOmsDeleteTaskFunction`` → ``huawei_oms_delete_task``."""
    name = logical_id.removesuffix("Function")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def build_peer(peer: Peer, folder: Path, *, compiled: bool) -> Package:
    """A peer as it would be deployed: its packages as a layer, its handler as the function."""
    form = "compiled" if compiled else "bare"
    layer, task_root = folder / form / peer.distributions[0] / "layer", folder / form / peer.name / "function"
    if not layer.exists():
        copy_distributions(peer.distributions, layer / "python")
        if compiled:
            compile_folder(layer)
    shutil.rmtree(task_root, ignore_errors=True)
    task_root.mkdir(parents=True)
    shutil.copy(HANDLERS / f"{peer.name}.py", task_root / "app.py")
    if peer.function:
        schema = load_schema(ROOT / "functions" / peer.function / "schema.json")
        (task_root / "schema.json").write_text(json.dumps(schema))
    if compiled:
        compile_folder(task_root)
    return Package(name=f"{peer.name}-{form}", task_root=task_root, layers=(layer,))


def compile_folder(folder: Path) -> None:
    """Compile a folder as our build does. Files that do not compile (a package's templates) are left as they are."""
    compileall.compile_dir(
        folder, quiet=2, force=True, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )


def build_runtime(folder: Path) -> Path:
    """The packages of Lambda's own Python: the runtime client and boto3, compiled."""
    if not folder.exists():
        copy_distributions(["boto3"], folder)
        copy_runtime_client(folder)
    return folder


def zipped_bytes(package: Package) -> int:
    """Size of a function and its layers as they are uploaded (deflated as the SAM command line does it)."""
    return sum(_zipped(folder) for folder in (package.task_root, *package.layers))


def zipped_parts(ours: Sequence[Package]) -> dict[str, int]:
    """Zipped size of each of our layers, and of the largest function."""
    layers = {layer for package in ours for layer in package.layers}
    sizes = {layer.name: _zipped(layer) for layer in sorted(layers)}
    return {**sizes, "largest function": max(_zipped(package.task_root) for package in ours)}


def _zipped(folder: Path) -> int:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return len(buffer.getvalue())


def versions(names: Sequence[str]) -> dict[str, str]:
    """The installed versions of these distributions."""
    return {name: version(name) for name in names}
