"""Where alerts end: what stands for Slack, a pager, mail and a dead man's switch, and keeps all that it is told."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "pager-token"
PASSWORD = "mail-password"


class AlertSink:
    """`refuses` are paths that are answered with 500. Where `answers` is clear, what is taken is not answered yet."""

    def __init__(self) -> None:
        self.slack: list[dict[str, Any]] = []
        self.webhook: list[dict[str, Any]] = []
        self.alive: list[dict[str, Any]] = []
        self.mails: list[str] = []
        self.refuses: set[str] = set()
        self.answers = threading.Event()
        self.answers.set()
        sink = self

        class Http(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                allowed = self.path in ("/slack", "/alive") or self.headers["authorization"] == f"Bearer {TOKEN}"
                taken = allowed and self.path not in sink.refuses
                if taken:
                    {"/slack": sink.slack, "/webhook": sink.webhook, "/alive": sink.alive}[self.path].append(body)
                sink.answers.wait(60)
                self.send_response(200 if taken else 500)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        class Smtp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                sink._mail(self)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Http)
        self._smtp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp)
        self._smtp.daemon_threads = True
        for server in (self._http, self._smtp):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.smarthost = f"127.0.0.1:{self._smtp.server_address[1]}"

    def stop(self) -> None:
        for server in (self._http, self._smtp):
            server.shutdown()
            server.server_close()

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that the pager was told of."""
        return [alert for message in self.webhook for alert in message["alerts"]]

    def _mail(self, session: socketserver.StreamRequestHandler) -> None:
        """As much of SMTP (RFC 5321, AUTH PLAIN of RFC 4954) as Alertmanager speaks."""

        def say(*lines: str) -> None:
            session.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

        say("220 sink ESMTP")
        while line := session.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                say("250-sink", "250 AUTH PLAIN")
            elif word == "AUTH":
                import base64

                user, password = base64.b64decode(line.split()[2]).decode().split("\0")[1:]
                say("235 known" if (user, password) == ("nexus-alerts", PASSWORD) else "535 unknown")
            elif word == "DATA":
                say("354 go on")
                text = []
                while (part := session.rfile.readline().decode()) != ".\r\n":
                    text.append(part)
                self.mails.append("".join(text))
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")
