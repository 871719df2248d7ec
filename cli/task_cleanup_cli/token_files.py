"""Identity tokens at hand, as CI systems give them: which file has the token for which provider."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from task_cleanup.providers.model import PROVIDERS
from task_cleanup_cli.exits import usage

OPTION = "--oidc-token-file"
MOST = 20_000  # characters of a token that the providers take

_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class TokenFileError(Exception):
    """The file has no token; the text names the file, and nothing of its content."""


@dataclass(frozen=True)
class TokenFiles:
    """The file of each provider. That of ``None`` is for those that have none of their own."""

    paths: tuple[tuple[str | None, Path], ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> "TokenFiles":
        """The files of ``PATH`` and ``PROVIDER=PATH``.

        Raises
        ------
        EndedError
            For a name that is no provider, and for two files of one provider.
        """
        found: dict[str | None, Path] = {}
        for text in texts:
            name, equals, path = text.partition("=")
            provider = name if equals and "/" not in name else None
            if provider is not None and provider not in PROVIDERS:
                known = ", ".join(PROVIDERS)
                raise usage(f"{OPTION}: there is no provider {provider!r}: there are {known} (of a path, write ./)")
            if provider in found:
                whom = "all providers" if provider is None else provider
                raise usage(f"{OPTION} is there twice for {whom}: a token has one file")
            found[provider] = Path(text if provider is None else path)
        return cls(tuple(found.items()))

    def path(self, provider: str) -> Path | None:
        """The provider's file; None without one."""
        paths = dict(self.paths)
        return paths.get(provider) or paths.get(None)

    def read(self, provider: str) -> str:
        """The provider's token, as the file has it now: CI systems renew it.

        Raises
        ------
        TokenFileError
            If no file is given for the provider, it cannot be read, or it has no token.
        """
        path = self.path(provider)
        if path is None:
            raise TokenFileError(f"no token is given: {OPTION} {provider}=PATH")
        try:
            if not path.is_file():  # a pipe has its token once, and is read at every exchange
                raise TokenFileError(f"{OPTION}: {path} is not there, or no file")
            with path.open(encoding="ascii", errors="replace") as file:
                text = file.read(MOST + 2)
        except OSError as error:
            raise TokenFileError(f"{OPTION}: {path} cannot be read ({error.strerror})") from None
        token = text.removesuffix("\n").removesuffix("\r")
        if len(token) > MOST or not _TOKEN.fullmatch(token):
            raise TokenFileError(f"{OPTION}: {path} is not one line with a JWT (three parts with dots between them)")
        return token
