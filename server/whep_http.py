"""The requests of a WHEP client: one at a time, bounded, without redirects; knows no WebRTC.

On the event loop, so that stopping never waits for a server that does not answer.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import h11

from streamgen import __version__
from streamgen.errors import ConfigError, StreamgenError

REQUEST_S = 10.0
CLOSE_S = 1.0
MAX_BODY = 256 * 1024
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
#: Errors of the client that pass by themselves: not there yet, too slow, gone, too often.
_PASSING = (404, 408, 409, 410, 425, 429)


class Unavailable(StreamgenError):
    """There is nothing to be seen now; later there may be. retry_s: as the server asks for it."""

    def __init__(self, says: str, *, retry_s: float = 0.0) -> None:
        super().__init__(says)
        self.retry_s = retry_s


class Refused(StreamgenError):
    """The server does not let this be seen, however often it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server answered; the names of headers are lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: str

    def refused(self) -> StreamgenError:
        """Return what an answer that is none means: Unavailable or Refused."""
        says = f"{self.url} answers {self.status}{self._reason()}"
        if self.status in (401, 403):
            return Refused(f"{says}: give a token that may view it, --token or STREAMGEN_TOKEN")
        if 300 <= self.status < 400 and "location" in self.headers:
            return Refused(f"{says}: it is at {self.headers['location']}, give that address")
        if self.status >= 500 or self.status in _PASSING:
            retry = self.headers.get("retry-after", "")
            return Unavailable(says, retry_s=float(retry) if retry.isdecimal() else 0.0)
        return Refused(says)

    def _reason(self) -> str:
        try:
            told = json.loads(self.body)
        except ValueError:
            return ""
        says = told.get("says") if isinstance(told, dict) else None
        return f" ({says.rstrip('.')[:200]})" if isinstance(says, str) else ""


def check_url(url: str, option: str) -> SplitResult:
    """Return the parts of an address; ConfigError, naming the option, for what is none."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_one = is_one and (parts.port or 1) > 0 and "@" not in parts.netloc
    except ValueError:
        is_one = False
    if not (is_one and url.isascii() and url.isprintable() and " " not in url):
        raise ConfigError(f"{option} {url!r}: write http://HOST:PORT/… or https://…")
    return parts


class Http:
    """Asks with a token; certificate: of the server or of whoever signed it, where it is not known.

    A certificate of the server itself is good whatever name the server is reached by.
    """

    def __init__(self, *, token: str | None = None, certificate: Path | None = None) -> None:
        self._token = token
        self._certificate = certificate

    def check(self) -> None:
        """Raise ConfigError for a file without a certificate, and for a token that is none."""
        if self._token is not None and not re.fullmatch(r"[!-~]+", self._token):
            raise ConfigError("--token: give letters, digits and signs without spaces")
        self._pinned()

    async def ask(self, method: str, url: str, *, body: str = "", kind: str = "") -> Reply:
        """Return what a server answers, whatever it is; Unavailable where nothing came of it.

        kind: the media type of the body.
        """
        parts = urlsplit(url)
        try:
            async with asyncio.timeout(REQUEST_S):
                reader, writer = await self._connect(parts)
                try:
                    return await self._exchange(
                        (reader, writer), self._request(method, parts, kind, body), body, url
                    )
                finally:
                    await _hang_up(writer)
        except TimeoutError as error:
            says = f"{parts.netloc} does not answer in {REQUEST_S:g} s"
            raise Unavailable(says) from error
        except ssl.SSLCertVerificationError as error:
            raise Refused(
                f"the certificate of {parts.netloc} is not trusted"
                f" ({error.verify_message.rstrip('.')}):"
                " give it, or that of its authority, with --certificate FILE"
            ) from error
        except (OSError, h11.RemoteProtocolError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unavailable(f"{parts.netloc} cannot be reached: {reason}") from error

    def _request(self, method: str, parts: SplitResult, kind: str, body: str) -> h11.Request:
        headers = [
            ("Host", parts.netloc),
            ("User-Agent", f"streamgen/{__version__}"),
            ("Accept", "application/sdp, application/json"),
            ("Connection", "close"),
            ("Content-Length", str(len(body.encode()))),
        ]
        if self._token is not None:
            headers.append(("Authorization", f"Bearer {self._token}"))
        if kind:
            headers.append(("Content-Type", kind))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return h11.Request(method=method, target=target, headers=headers)

    async def _exchange(
        self,
        line: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        request: h11.Request,
        body: str,
        url: str,
    ) -> Reply:
        reader, writer = line
        connection = h11.Connection(h11.CLIENT)
        for part in (request, h11.Data(data=body.encode()), h11.EndOfMessage()):
            writer.write(connection.send(part) or b"")
        response, content = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                content += event.data
                if len(content) > MAX_BODY:
                    raise Unavailable(f"{url} answers with more than {MAX_BODY} bytes")
            elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                break
        assert response is not None, "h11 ends no message that has not begun"
        return Reply(
            url=url,
            status=response.status_code,
            headers={name.decode(): value.decode("latin-1") for name, value in response.headers},
            body=content.decode("utf-8", "replace"),
        )

    async def _connect(
        self, parts: SplitResult
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = str(parts.hostname)
        if parts.scheme == "http":
            return await asyncio.open_connection(host, parts.port or 80)
        port, pinned = parts.port or 443, self._pinned()
        if not pinned:
            return await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
        # Nothing is sent before it is clear that this is the very certificate.
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(host, port, ssl=unchecked)
        if writer.get_extra_info("ssl_object").getpeercert(binary_form=True) in pinned:
            return reader, writer
        await _hang_up(writer)
        context = ssl.create_default_context(cafile=str(self._certificate))
        return await asyncio.open_connection(host, port, ssl=context)

    def _pinned(self) -> list[bytes]:
        """Return the certificates that were given, as they are on the line."""
        if self._certificate is None:
            return []
        try:
            text = self._certificate.read_text(encoding="utf-8")
            pinned = [ssl.PEM_cert_to_DER_cert(each) for each in _PEM.findall(text)]
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no PEM"
            says = f"--certificate '{self._certificate}' cannot be read: {reason}"
            raise ConfigError(says) from error
        if not pinned:
            raise ConfigError(f"--certificate '{self._certificate}': there is none in it, in PEM")
        return pinned


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await writer.wait_closed()
