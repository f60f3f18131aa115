"""An OpenAI-compatible server on loopback that fails as it is told, and counts what it gets."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, NamedTuple, Self

PROMPT_TOKENS, REPLY_TOKENS = 100, 2
MODEL = "gpt-4-0613"


@dataclass
class Answer:
    """What one request gets."""

    text: str | None = "1.0"
    status: int = 200
    message: dict[str, object] | None = None
    """What the model says, instead of `text` alone."""
    choice: dict[str, object] = field(default_factory=dict)
    """More of the choice, such as its `finish_reason`."""
    body: object = None
    """Instead of a completion that says `text`; bytes as they are, else as JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    model: object = MODEL
    usage: object = field(
        default_factory=lambda: {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": REPLY_TOKENS,
        }
    )
    cut: Literal["", "at once", "half way"] = ""
    """Where the connection breaks."""
    wait: threading.Event | None = None
    """Answer only once it is set."""

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        message = self.message or {"role": "assistant", "content": self.text}
        choices = [{"message": message, **self.choice}]
        completion = {"choices": choices, "model": self.model, "usage": self.usage}
        return json.dumps(completion if self.body is None else self.body).encode()


class Asked(NamedTuple):
    """One request as it came."""

    number: int
    """Counted from 0."""
    path: str
    headers: dict[str, str]
    body: dict[str, object]

    @property
    def message(self) -> str:
        (message,) = self.body["messages"]  # type: ignore[misc]
        assert message.keys() == {"role", "content"}  # type: ignore[has-type]
        assert message["role"] == "user"  # type: ignore[has-type]
        return str(message["content"])  # type: ignore[has-type]


class JudgeServer:
    """Use as a context; `answer` says what each request gets."""

    def __init__(
        self,
        answer: Callable[[Asked], Answer] | None = None,
        lists: dict[str, object] | None = None,
    ) -> None:
        self.answer = answer or (lambda asked: Answer())
        self.lists = lists or {}
        """What is got by path, such as `/v1/models`."""
        self.asked: list[Asked] = []
        self.got: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                with suppress(ConnectionError):  # the client has gone
                    outer.handle(self)

            def do_GET(self) -> None:
                outer.got.append(self.path)
                found = outer.lists.get(self.path)
                content = json.dumps(found).encode()
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["content-length"])))
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._lock:
            asked = Asked(len(self.asked), request.path, headers, body)
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self.answer(asked)
            if answer.wait:
                answer.wait.wait(20)
        finally:
            with self._lock:
                self._at_once -= 1
        content = answer.content()
        if answer.cut == "at once":
            request.close_connection = True
            return
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2] if answer.cut else content)
        request.close_connection = request.close_connection or bool(answer.cut)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """Give these answers one after another, and the last one from then on."""
    return lambda asked: answers[min(asked.number, len(answers) - 1)]
