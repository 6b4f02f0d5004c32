"""Reading files below a URL, from servers that may be slow, broken or hostile: all of it has an end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import quote, urlsplit

import fsspec.asyn
import fsspec.core

from sen_bench.errors import DatasetError, MissingExtraError
from sen_bench.store.hub import TOKEN_VARIABLE, HubAddress, hub_token, is_hub
from sen_bench.system import shown

# Seconds in which a server has to send something, and bytes per second that it has to send on average in
# each such time. A telephone line is faster.
_PATIENCE = 60
_SLOWEST = 1024
# Seconds that any file may take, and bytes per second that a longer one has to come with on average. Several
# are fetched at once, and share the line.
_GRACE = 600
_SLOWEST_ON_AVERAGE = 8192
# What a URL may have that does not have to be quoted; "%" because it may be quoted already.
_SAFE = "!#$%&'()*+,/:;=?@[]~"
_HTTP = ("http", "https")


def is_http(url: str) -> bool:
    """Whether a URL is read over HTTP."""
    return url.partition("://")[0].lower() in _HTTP


def label(url: str) -> str:
    """A URL as messages show it: without what may be a secret, the password and the query of HTTP."""
    if not is_http(url):
        return shown(url)
    scheme, _, rest = url.partition("?")[0].partition("#")[0].partition("://")
    host, slash, path = rest.partition("/")
    return shown(f"{scheme}://{host.rpartition('@')[2]}{slash}{path}".rstrip("/"))


class Source:
    """Reads files below a URL.

    Args:
        url: The URL. The query of an HTTP one, such as a signature, goes along to every file; with one of the
            Hugging Face Hub goes the token of whoever is logged in there.

    Raises:
        DatasetError: Such URLs cannot be read here.
        MissingExtraError: They could, with the extra "remote".
    """

    def __init__(self, url: str) -> None:
        self._url = url
        protocol = url.partition("://")[0]
        address = HubAddress.parse(url).resolved if is_hub(url) else url
        self._is_http = is_http(address)
        # aiohttp does not pass it on to another host, such as the one where the hub keeps large files.
        token = hub_token() if is_hub(url) else None
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        options: dict[str, Any] = {}
        try:
            if self._is_http:
                import aiohttp  # noqa: PLC0415 — an optional package
                import yarl  # noqa: PLC0415 — comes with it

                # Its own limit is five minutes for a whole file, too little for a slow line; see `_get`.
                # What is decoded could have any size, so it is not. Proxies and passwords are those of the
                # environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY and .netrc.
                timeout = aiohttp.ClientTimeout(total=None)
                client = {"timeout": timeout, "auto_decompress": False, "trust_env": True}
                options = {"client_kwargs": client}
                parts = urlsplit(address)
                self._origin = yarl.URL(f"{parts.scheme}://{parts.netloc}/")
                self._path = quote(parts.path.rstrip("/"), safe=_SAFE)
                self._query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
            self._files, self._root = fsspec.core.url_to_fs(address, **options)
        except ImportError as error:
            if self._is_http:
                raise MissingExtraError(f"reading {protocol}:// URLs", "remote") from error
            # fsspec says which package.
            raise DatasetError(
                f"{shown(protocol)}:// needs a package that is not installed: {self._reason(error)}"
            ) from error
        # Each file system comes from another package, and refuses a URL it does not understand in its own
        # way.
        except Exception as error:
            raise DatasetError(f"{label(url)} cannot be read: {self._reason(error)}") from error

    def read(self, name: str, most: int) -> bytes:
        """The contents of one file, of which no more than one byte too many is read.

        Args:
            name: Its path below the URL.
            most: Bytes that it may have.

        Raises:
            FileNotFoundError: There is none.
            DatasetError: It cannot be reached, comes too slowly, or is larger.
        """
        try:
            if self._is_http:
                data = bytes(fsspec.asyn.sync(self._files.loop, self._get, name, most))
            else:
                data = bytes(self._files.cat_file(f"{self._root}/{name}", start=0, end=most + 1))
        except (FileNotFoundError, DatasetError):
            raise
        except Exception as error:
            raise DatasetError(
                f"{label(self._url)}/{shown(name)} cannot be reached ({self._reason(error)}); try again"
            ) from error
        if len(data) > most:
            raise self._too_large(name, most)
        return data

    async def _get(self, name: str, most: int) -> bytearray:
        """Reads a file over HTTP.

        Raises:
            DatasetError: It is larger, comes too slowly, or is encoded.
            FileNotFoundError: There is none.
            OSError: The server refuses it.
            aiohttp.ClientError: Anything else about HTTP.
        """
        import yarl  # noqa: PLC0415 — of an optional package

        path = f"{self._path}/{quote(name)}{self._query}"
        headers = {**self._files.kwargs.get("headers", {}), **self._headers, "Accept-Encoding": "identity"}
        request = {**self._files.kwargs, "headers": headers}
        session = await self._files.set_session()
        now = asyncio.get_running_loop().time
        began, longest = now(), _GRACE + most / _SLOWEST_ON_AVERAGE
        data = bytearray()
        try:
            async with (
                asyncio.timeout(_PATIENCE) as limit,
                session.get(self._origin.join(yarl.URL(path, encoded=True)), **request) as response,
            ):
                self._check_answer(name, most, response)
                counted = 0
                async for piece in response.content.iter_any():
                    data += piece
                    if len(data) > most:
                        raise self._too_large(name, most)
                    if len(data) - counted >= _PATIENCE * _SLOWEST:
                        counted = len(data)
                        limit.reschedule(min(now() + _PATIENCE, began + longest))
        except TimeoutError:
            if now() >= began + longest:
                raise DatasetError(
                    f"{label(self._url)}/{shown(name)} takes too long: {len(data)} bytes came in"
                    f" {longest:.0f} s, less than {_SLOWEST_ON_AVERAGE} a second; use a faster line"
                ) from None
            raise DatasetError(
                f"{label(self._url)}/{shown(name)} comes too slowly: {len(data)} bytes are here, and for"
                f" {_PATIENCE} s fewer than {_SLOWEST} a second came; try again"
            ) from None
        return data

    def _check_answer(self, name: str, most: int, response: Any) -> None:  # noqa: ANN401 — of an optional package
        """Makes sure, before the contents are read, that they are worth it.

        Raises:
            DatasetError: They are too large, or encoded.
            FileNotFoundError: There is no such file.
            OSError: The server refuses it.
        """
        if response.status in {404, 410}:
            raise FileNotFoundError(name)
        if response.status in {401, 403} and is_hub(self._url):
            raise OSError(
                f"the hub answers {response.status} {response.reason}: there is no such repository, or it is"
                f" private and {TOKEN_VARIABLE} is not the token of somebody who may read it"
            )
        if response.status != 200:
            raise OSError(f"the server answers {response.status} {response.reason}")
        if (encoding := response.headers.get("Content-Encoding", "identity")).lower() != "identity":
            raise DatasetError(
                f"{label(self._url)}/{shown(name)} is sent encoded as {shown(encoding)}, which was not asked"
                " for; have the server send files as they are"
            )
        if (response.content_length or 0) > most:
            raise self._too_large(name, most)

    def _too_large(self, name: str, most: int) -> DatasetError:
        return DatasetError(
            f"{label(self._url)}/{shown(name)} is not what it should be: it has more than {most} bytes;"
            " get the dataset elsewhere, or copy it there again"
        )

    def _reason(self, error: Exception) -> str:
        """What an error says, in one line and without the secrets of the URL."""
        text = " ".join(str(error).split()) or type(error).__name__
        with contextlib.suppress(ImportError):
            import aiohttp  # noqa: PLC0415 — an optional package

            if isinstance(error, aiohttp.TooManyRedirects):
                text = "too many redirects"
            # Its text has the URL, and may go on with what the server sent.
            elif isinstance(error, aiohttp.ClientResponseError):
                text = f"{error.status} {error.message.partition(chr(10))[0]}"
        return shown(text.replace(self._url, label(self._url)))
