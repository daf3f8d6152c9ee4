"""What stands before an installation that is live: a domain of its own, with HTTPS. The domain is known only here, to
the browser (`HttpsFront.browser_arguments`) and to a simulator that was started with `simulator_environment`."""

import http.client
import json
import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.listener import Listener

DOMAIN = "tuzo-journey.co.ke"
_OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_KNOWN_AT = "TUZO_TEST_DOMAIN_AT"  # {"port": …}, for processes that have to find the domain


class HttpsFront:
    """`https://tuzo-journey.co.ke` and its sub-domains, for a web server at a port of this machine."""

    def __init__(self, folder: Path, *, web_port: int) -> None:
        self._certificate = folder / "https.pem"
        _make_certificate(self._certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        self._server = Listener(("127.0.0.1", 0), _handler(web_port))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def browser_arguments(self) -> list[str]:
        where = f"127.0.0.1:{self._port}"
        return [
            f"--host-resolver-rules=MAP {DOMAIN}:443 {where}, MAP *.{DOMAIN}:443 {where}",
            "--ignore-certificate-errors",
        ]

    @property
    def simulator_environment(self) -> dict[str, str]:
        return {_KNOWN_AT: json.dumps({"port": self._port}), "SSL_CERT_FILE": str(self._certificate)}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def find_domain() -> None:
    """Let this process reach the domain, as the internet's names would."""
    port = json.loads(os.environ[_KNOWN_AT])["port"]
    ask = socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **options: Any) -> Any:
        if not str(host).endswith(DOMAIN):
            return ask(host, *arguments, **options)
        return ask("127.0.0.1", port, *arguments[1:], **options)

    socket.getaddrinfo = answer  # type: ignore[assignment]


def _handler(web_port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
            headers |= {"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}
            web = http.client.HTTPConnection("127.0.0.1", web_port, timeout=60)
            try:
                web.request(self.command, self.path, body, headers)
                answer = web.getresponse()
                content = answer.read()
            finally:
                web.close()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_ONE_CONNECTION:
                    self.send_header(name, value)
            if answer.status not in {204, 304}:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_HEAD = _pass_on  # noqa: N815  # http.server finds them by these names

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _make_certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN), x509.DNSName(f"*.{DOMAIN}")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
