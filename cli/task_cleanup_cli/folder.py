"""A folder as the store of sweeps: the keys are paths below it, and conditional puts hold between processes.

A document is written to a temporary file, which is then linked or renamed to its place: whoever reads sees the old
document or the new one, also after a kill or a power cut. The folder is one machine's: its locks do not hold on a
network drive.
"""

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from task_cleanup.aws import AwsError
from task_cleanup.errors import Code
from task_cleanup.sweep.store import Document, Stored, encoded, sha256_of

_SERVICE = "folder"  # in the errors


class BusyError(Exception):
    """Another process works on the same run."""


class FolderStore:
    """Documents in the folder ``root``, which is made when something is written. See ``Store`` for the methods."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.place = str(self.root)

    def path(self, name: str) -> Path:
        """The file of a key."""
        parts = name.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise ValueError("a key is a path below the folder")
        return self.root.joinpath(*parts)

    # -- Store ------------------------------------------------

    def get(self, name: str) -> Stored | None:
        """See ``Store``: the tag is the digest of the bytes."""
        with _told():
            try:
                with self.path(name).open("rb") as file:
                    body, modified = file.read(), os.fstat(file.fileno()).st_mtime
            except (FileNotFoundError, NotADirectoryError):
                return None
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise AwsError(Code.NOT_JSON, _SERVICE)
        digest = sha256_of(body)
        return Stored(document, digest, datetime.fromtimestamp(modified, UTC), digest)

    def version(self, name: str) -> str | None:
        """See ``Store``."""
        with _told():
            return self._digest(self.path(name))

    def put_json(self, name: str, document: Mapping[str, Any]) -> None:
        """See ``Store``."""
        self._write(name, encoded(document))

    def put_page(self, name: str, page: str) -> None:
        """See ``Store``."""
        self._write(name, page.encode())

    def put_new(self, name: str, document: Document) -> bool:
        """See ``Store``: a link is made only where there is no file of that name."""
        with _told(), self._temporary(name, encoded(document)) as made:
            try:
                made.hardlink_to_place()
            except FileExistsError:
                return False
        return True

    def replace(self, name: str, document: Document, etag: str) -> bool:
        """See ``Store``: nobody else overwrites a document of this folder between the look and the rename."""
        with _told(), self._temporary(name, encoded(document)) as made, self._writing():
            if self._digest(self.path(name)) != etag:
                return False
            made.rename_to_place()
        return True

    # -- files ------------------------------------------------

    def _write(self, name: str, body: bytes) -> None:
        with _told(), self._temporary(name, body) as made, self._writing():
            made.rename_to_place()

    @staticmethod
    def _digest(path: Path) -> str | None:
        try:
            return sha256_of(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextmanager
    def _temporary(self, name: str, body: bytes) -> Iterator["_Made"]:
        place = self.path(name)
        _make_folder(place.parent)
        number, temporary = tempfile.mkstemp(prefix=".new-", dir=place.parent)
        try:
            with open(number, "wb") as file:  # noqa: PTH123 - of the open file that mkstemp has made
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            yield _Made(Path(temporary), place)
        finally:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the folder's lock, which the system takes back from a process that dies."""
        with (self.root / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def alone(self, run_id: str) -> Iterator[None]:
        """Work on a run alone: as long as this block lasts, no other process on this machine does.

        Raises
        ------
        BusyError
            If another process does.
        """
        place = self.path(f"locks/{run_id}")
        _make_folder(place.parent)
        with place.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError from None
            yield


class _Made:
    """A whole document in a temporary file, and where it belongs."""

    def __init__(self, temporary: Path, place: Path) -> None:
        self._temporary = temporary
        self._place = place

    def hardlink_to_place(self) -> None:
        self._place.hardlink_to(self._temporary)
        _sync(self._place.parent)

    def rename_to_place(self) -> None:
        self._temporary.replace(self._place)
        _sync(self._place.parent)


def _make_folder(path: Path) -> None:
    """Reports name tasks and accounts, so that only their owner may read them."""
    missing = [path, *path.parents]
    for folder in reversed([it for it in missing if not it.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)


def _sync(folder: Path) -> None:
    """Make sure that a file's name outlives a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _told() -> Iterator[None]:
    """A failure of the file system as the core knows failures, with the system's name for it (``ENOSPC``)."""
    try:
        yield
    except OSError as error:
        raise AwsError(errno.errorcode.get(error.errno or 0, "OSError"), _SERVICE) from None
