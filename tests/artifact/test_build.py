"""``sam build`` makes, for each processor, layers that run there, from exactly the packages that are pinned.

What is in them in detail: ``test_layers.py``.
"""

import re
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.build import COMPILED_LAYERS, HERE, copy_project, make_layer
from tests.support.functions import ROOT
from tests.support.template import OPERATIONS, SWEEP, SWEEP_RESULTS, Operation
from tests.support.tools import run

ELF_MACHINE = {"arm64": 0xB7, "x86_64": 0x3E}
WHEEL_MACHINE = {"arm64": "aarch64", "x86_64": "x86_64"}
REQUIREMENTS = {"DependenciesLayer": "requirements.txt", "ReportLayer": "requirements-report.txt"}
LEFT_OUT = {"DependenciesLayer": "left_out.txt", "ReportLayer": "left_out-report.txt"}
ALWAYS_COMPILED = {"DependenciesLayer": "rpds.", "ReportLayer": "_speedups."}
IMPORTED = {
    "DependenciesLayer": (
        "task_cleanup, aws_lambda_powertools, jsonschema, requests, requests_aws4auth, rpds, urllib3"
    ),
    "ReportLayer": "jinja2, markupsafe._speedups, regex",
}

# What is the same for every processor is built for this machine's.
all_is_built = pytest.mark.parametrize("architecture", [HERE], indirect=True)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="session", params=REQUIREMENTS)
def layer(request: pytest.FixtureRequest) -> str:
    """Each layer of third-party packages."""
    return str(request.param)


@pytest.fixture(scope="session")
def packages(built: Path, layer: str) -> Path:
    return built / layer / "python"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(layer: str) -> dict[str, str]:
    """Name and version of every package that is pinned for a layer."""
    text = (ROOT / "layers" / "dependencies" / REQUIREMENTS[layer]).read_text()
    return {canonical(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def left_out(layer: str) -> set[str]:
    """The pinned packages that no function imports, and that the layer therefore lacks."""
    text = (ROOT / "layers" / "dependencies" / LEFT_OUT[layer]).read_text()
    return {canonical(name) for name in re.findall(r"^([\w.-]+)-\*\.dist-info(?:\s|$)", text, re.MULTILINE)}


def check_function(built: Path, source: Path) -> None:
    found = sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file())
    own = sorted(path.name for path in source.iterdir() if path.is_file())
    assert own in (["app.py", "schema.json"], ["app.py"])
    assert found == ["__pycache__/app.cpython-313.pyc", *own]
    for name in own:
        assert (built / name).read_bytes() == (source / name).read_bytes()


@all_is_built
@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
def test_function_holds_its_handler_and_its_schema_only(built: Path, operation: Operation) -> None:
    check_function(built / operation.id("Function"), ROOT / "functions" / operation.folder)


@all_is_built
def test_sweep_holds_its_handler_and_its_schema_only(built: Path) -> None:
    check_function(built / "SweepFunction", ROOT / "functions" / SWEEP)


@all_is_built
def test_gatherer_holds_its_handler_only(built: Path) -> None:
    assert not (ROOT / "functions" / SWEEP_RESULTS / "schema.json").exists()
    check_function(built / "SweepResultsFunction", ROOT / "functions" / SWEEP_RESULTS)


@all_is_built
def test_nothing_else_is_built(built: Path) -> None:
    functions = {operation.id("Function") for operation in OPERATIONS} | {"SweepFunction", "SweepResultsFunction"}

    folders = {path.name for path in built.iterdir() if path.is_dir()}

    assert folders == functions | {*COMPILED_LAYERS, "TaskCleanupLayer"}


def test_every_extension_is_for_this_processor_and_this_python(packages: Path, layer: str, architecture: str) -> None:
    extensions = list(packages.rglob("*.so*"))
    assert [path for path in extensions if path.name.startswith(ALWAYS_COMPILED[layer])]
    for path in extensions:
        header = path.read_bytes()[:20]
        assert header[:4] == b"\x7fELF", path.name
        (machine,) = struct.unpack_from("<H", header, 18)
        assert machine == ELF_MACHINE[architecture], path.name
        assert ".cpython-313-" in path.name or ".abi3." in path.name, path.name


def test_every_wheel_fits(packages: Path, layer: str, architecture: str) -> None:
    wheels = list(packages.glob("*.dist-info/WHEEL"))
    assert len(wheels) == len(pins(layer).keys() - left_out(layer))
    for wheel in wheels:
        tags = re.findall(r"^Tag: (\S+)$", wheel.read_text(), re.MULTILINE)
        assert tags, wheel.parent.name
        for tag in tags:
            python, abi, where = tag.rsplit("-", 2)
            if where == "any":
                assert (abi, python) in {("none", "py3"), ("none", "py2"), ("none", "py2.py3")}, tag
            else:
                assert (python, abi) == ("cp313", "cp313") or abi == "abi3", tag
                assert re.fullmatch(rf"manylinux\w*_{WHEEL_MACHINE[architecture]}", where), tag


def test_packages_are_the_pinned_ones(packages: Path, layer: str) -> None:
    found = {}

    for folder in packages.glob("*.dist-info"):
        name, version = folder.name.removesuffix(".dist-info").rsplit("-", 1)
        found[canonical(name)] = version

    assert left_out(layer) <= pins(layer).keys()
    assert found == {name: version for name, version in pins(layer).items() if name not in left_out(layer)}


def test_no_package_is_in_two_layers() -> None:
    shared, own = pins("DependenciesLayer"), pins("ReportLayer")

    assert own.keys() == {"jinja2", "markupsafe", "regex"}
    assert not shared.keys() & own.keys(), "the later layer would hide the other's"


@all_is_built
def test_shared_package_is_copied_whole_and_clean(built: Path) -> None:
    source = ROOT / "layers" / "task_cleanup" / "python"
    shared = built / "TaskCleanupLayer"
    assert [path.name for path in shared.iterdir()] == ["python"]
    copied = {path.relative_to(shared / "python") for path in shared.rglob("*") if path.is_file()}
    written = {path.relative_to(source) for path in source.rglob("*.py")} | {Path("task_cleanup/py.typed")}

    compiled = {
        path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in written if path.suffix == ".py"
    }

    assert written | compiled <= copied
    assert {path.suffix for path in copied - written - compiled} <= {".css", ".json", ".j2"}


@all_is_built
def test_dependencies_import_on_this_machines_processor(
    packages: Path, layer: str, built: Path, runtime_python: str
) -> None:
    code = (
        "import sys; sys.path = [*sys.argv[1:], *[path for path in sys.path if 'site-packages' not in path]]; "
        f"import {IMPORTED[layer]}"
    )

    done = subprocess.run(
        [runtime_python, "-I", "-S", "-B", "-c", code, str(packages), str(built / "TaskCleanupLayer" / "python")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), "nor does one of them miss anything aloud"


@pytest.mark.parametrize(("wrong_in", "package"), [("DependenciesLayer", "certifi"), ("ReportLayer", "jinja2")])
def test_build_fails_when_a_hash_does_not_match(
    wrong_in: str, package: str, tmp_path: Path, runtime_python: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    requirements = copy_project(project) / "layers" / "dependencies" / REQUIREMENTS[wrong_in]
    before = requirements.read_text()
    first = re.search(rf"^{package}==.*(?:\n .*)+", before, re.MULTILINE)
    assert first
    wrong = re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", first[0])
    requirements.write_text(before.replace(first[0], wrong))

    done = make_layer(project, wrong_in, runtime_python, "Makefile")

    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stdout
    assert not list((project / ".aws-sam").rglob(package))


def test_build_fails_when_the_environment_asks_for_another_processor(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    copy_project(project)

    done = run("sam", "build", "DependenciesLayer", cwd=project, state=tmp_path / "state", ARCHITECTURE="x86_64")

    assert done.returncode != 0
    assert "the template builds for arm64" in done.stdout


@pytest.mark.parametrize("wrong", ["amd64", "arm", "", "arm64 x86_64"])
def test_makefile_refuses_an_unknown_processor(wrong: str, layer: str, tmp_path: Path) -> None:
    folder = ROOT / "layers" / "dependencies"
    target = (f"build-{layer}", f"ARTIFACTS_DIR={tmp_path / 'artifacts'}")

    done = run("make", "--dry-run", *target, cwd=folder, state=tmp_path, ARCHITECTURE=wrong)

    assert done.returncode != 0
    assert "must be arm64 or x86_64" in done.stdout


@pytest.mark.parametrize(("given", "platform_tag"), [({}, "aarch64"), ({"ARCHITECTURE": "x86_64"}, "x86_64")])
def test_makefile_takes_the_processor_from_the_environment(
    given: dict[str, str], platform_tag: str, layer: str, tmp_path: Path
) -> None:
    folder = ROOT / "layers" / "dependencies"
    target = (f"build-{layer}", f"ARTIFACTS_DIR={tmp_path / 'artifacts'}")

    done = run("make", "--dry-run", *target, cwd=folder, state=tmp_path, **given)

    assert done.returncode == 0
    assert f"--platform manylinux2014_{platform_tag} " in done.stdout
    assert f" -r {REQUIREMENTS[layer]}\n" in done.stdout
