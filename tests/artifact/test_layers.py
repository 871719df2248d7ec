"""What is inside of the built layers and functions: compiled, lean, and the same bytes every time."""

import importlib.util
import io
import marshal
import os
import shutil
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.build import HERE, make_layer
from tests.support.functions import ROOT
from tests.support.tools import BARE_PATH, run

pytestmark = pytest.mark.timeout(240)

MAGIC = (3571).to_bytes(2, "little") + b"\r\n"  # of every CPython 3.13
UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: by hash of the source, which nobody looks at
PLACES = dict.fromkeys(("DependenciesLayer", "ReportLayer", "TaskCleanupLayer"), "/opt/")  # functions: /var/task/
MEGABYTE = 10**6
BOUNDS = {
    "DependenciesLayer": 2.2 * MEGABYTE,
    "ReportLayer": 1.4 * MEGABYTE,  # 0.8 of it are what regex knows of the scripts of letters
    "TaskCleanupLayer": 0.68 * MEGABYTE,  # half of it is the sweep
}  # zipped
FUNCTION_BOUND = 0.02 * MEGABYTE

PACKAGES = {
    *("attr", "attrs", "aws_lambda_powertools", "certifi", "idna", "jmespath", "jsonschema", "requests", "rpds"),
    *("jsonschema_specifications", "referencing", "requests_aws4auth", "typing_extensions", "urllib3"),
}
KINDS = {"", ".c", ".css", ".j2", ".json", ".md", ".pem", ".py", ".pyc", ".rst", ".so", ".txt", ".typed"}
UNWANTED = {"bin", "benchmarks", "boto3", "botocore", "aws_xray_sdk", "charset_normalizer", "event_handler", "pip"}
UNWANTED |= {"parameters", "pydantic", "test", "tests", "RECORD", "INSTALLER", "REQUESTED"}


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def parts(built: Path) -> list[Path]:
    """All layers and every function."""
    return sorted(path for path in built.iterdir() if path.is_dir())


def compiled(source: Path) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"


def content(folder: Path) -> dict[str, tuple[bytes, int, float]]:
    """What a deployment package is made of: bytes, permissions and times."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime)
        for path in files(folder)
    }


def zipped(folder: Path) -> int:
    """Bytes of a deployment package, packed as the SAM command line packs it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(folder):
            archive.write(path, path.relative_to(folder))
    return len(buffer.getvalue())


def test_every_module_is_compiled_for_the_runtime_and_never_checked(built: Path) -> None:
    for part in parts(built):
        sources = [path for path in files(part) if path.suffix == ".py"]
        assert {compiled(path) for path in sources} == {path for path in files(part) if path.suffix == ".pyc"}
        assert sources
        for source in sources:
            data = compiled(source).read_bytes()
            assert (data[:4], data[4:8]) == (MAGIC, UNCHECKED_HASH), source
            if sys.version_info[:2] == (3, 13):
                assert data[8:16] == importlib.util.source_hash(source.read_bytes()), source
                code = marshal.loads(data[16:])
                place = PLACES.get(part.name, "/var/task/")
                assert code.co_filename == place + str(source.relative_to(part)), "what tracebacks say"


def test_layers_hold_what_is_wanted_and_nothing_else(built: Path) -> None:
    packages = built / "DependenciesLayer" / "python"

    names = {path.stem for path in packages.iterdir() if path.suffix != ".dist-info" and path.name != "__pycache__"}

    assert names == PACKAGES
    for part in parts(built):
        for path in part.rglob("*"):
            assert path.name not in UNWANTED, path
            assert path.is_dir() or path.suffix in KINDS, path


def test_licences_of_all_packages_are_kept(built: Path) -> None:
    for folder in (built / "DependenciesLayer" / "python").glob("*.dist-info"):
        assert [path for path in files(folder) if "LICEN" in path.name.upper() or "COPYING" in path.name], folder.name


def test_packages_are_small(built: Path) -> None:
    for part in parts(built):
        assert zipped(part) < BOUNDS.get(part.name, FUNCTION_BOUND), part.name


def test_nothing_tells_where_it_was_built(built: Path) -> None:
    places = [str(built.parents[1]).encode(), str(ROOT).encode(), str(Path.home()).encode() + b"/"]
    for part in parts(built):
        for path in files(part):
            if path.suffix == ".pyc" or path.name == "direct_url.json":
                data = path.read_bytes()
                assert not [place for place in places if place in data], path


@pytest.mark.parametrize("architecture", [HERE], indirect=True)
def test_second_build_has_the_same_bytes(built: Path, runtime_python: str, tmp_path: Path) -> None:
    """In another folder, at another time, by somebody with another mask and another seed."""
    targets = {
        "DependenciesLayer": (ROOT / "layers" / "dependencies", "Makefile"),
        "ReportLayer": (ROOT / "layers" / "dependencies", "Makefile"),
        "TaskCleanupLayer": (ROOT / "layers" / "task_cleanup", "Makefile"),
        "HuaweiOmsDeleteTaskFunction": (ROOT / "functions" / "huawei_oms_delete_task", "../Makefile"),
    }
    shutil.copytree(ROOT / "functions", tmp_path / "functions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "layers", tmp_path / "layers", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (source, makefile) in targets.items():
        artifacts = tmp_path / "elsewhere" / name
        folder = tmp_path / source.relative_to(ROOT)
        for path in files(folder):
            os.utime(path, (1, 1))
        done = run(
            *("sh", "-c", 'umask 077; exec make "$@"', "make"),
            *("-f", makefile, f"build-{name}", f"ARTIFACTS_DIR={artifacts}"),
            cwd=folder,
            state=tmp_path,
            ARCHITECTURE=HERE,
            PYTHONHASHSEED="7",
            RUNTIME_PYTHON=runtime_python,
        )
        assert done.returncode == 0, done.stdout
        assert content(artifacts) == content(built / name), name


@pytest.mark.parametrize("where", ["layers/dependencies", "layers/task_cleanup", "functions"])
def test_build_refuses_to_compile_with_another_python(where: str, tmp_path: Path) -> None:
    target = {"functions": "build-X", "layers/task_cleanup": "build-TaskCleanupLayer"}.get(
        where, "build-DependenciesLayer"
    )
    for name in ("layers", "functions"):
        shutil.copytree(ROOT / name, tmp_path / "project" / name)
    stubs = (tmp_path / "project" / ".venv" / "bin", tmp_path / "bin")
    for stub in [folder / name for folder in stubs for name in ("python3.13", "python3", "python")]:
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text("#!/bin/sh\nexit 1\n")  # the answer of any other version
        stub.chmod(0o755)

    done = run(
        *("make", target, f"ARTIFACTS_DIR={tmp_path / 'artifacts'}"),
        cwd=tmp_path / "project" / where,
        state=tmp_path,
        PATH=f"{tmp_path / 'bin'}{os.pathsep}{BARE_PATH}",
    )

    assert done.returncode != 0
    assert "CPython 3.13 was found neither in .venv nor on the PATH" in done.stdout
    assert not (tmp_path / "artifacts").exists()


def test_build_fails_when_something_listed_is_not_there(tmp_path: Path, runtime_python: str) -> None:
    folder = tmp_path / "layers" / "dependencies"
    shutil.copytree(ROOT / "layers" / "dependencies", folder)
    with (folder / "left_out-report.txt").open("a") as listed:  # of the two layers, the one that is built sooner
        listed.write("jinja2/no_such_module.py  # gone since the last release\n")

    done = make_layer(tmp_path, "ReportLayer", runtime_python, "Makefile")

    assert done.returncode != 0
    assert "no_such_module.py" in done.stdout
