"""What the sandboxes of all providers share: HTTP in, faults, notices out, and the control API for tests.

Control API, JSON in and out, below `/_sandbox/`:

    POST   faults       {"fault": …, "times": 1|null, "only": part of an operation, "seconds": …}
    DELETE faults
    POST   pay          {"client_params": what the phone was given} or {"out_trade_no": …, "merchant_no": …?};
                        {"at": ISO time?, "amount": …?, "force": true?, "notify": …}
    POST   refunds      {"out_refund_no": …, "status": …, "at": …?, "notify": …}
    POST   announce     {"out_trade_no": …, "notify": …}   the payment's notice once more
    POST   settings     {name: value}
    GET    state        orders, refunds, notices sent
    POST   reset        forget orders, refunds, faults, settings; keep keys and merchants

`notify` is "wait" (the default: the answer comes after the notice's), "later" (repeated until accepted) or "no".
"""

from __future__ import annotations

import json
import pickle
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

BEIJING = timezone(timedelta(hours=8))
FAULTS = (
    "timeout_after_accept",  # does it, and never answers
    "http_500",  # does nothing
    "bad_signature",  # of an answer, or of a notice with only="notice"
    "duplicate_callback",
    "callback_out_of_order",  # keeps a notice back until the next one was sent
    "slow",
    "rate_limited",
    "unknown_field",  # in answers and notices
)
BODY_LIMIT = 1 << 20
NOTICE_TIMEOUT_S = 5
NOTICE_GAPS_S = (0, 1, 3, 10, 30)


def now() -> datetime:
    """The provider's clock."""
    return datetime.now(BEIJING)


@dataclass(frozen=True)
class Request:
    """A request as it came; `target` is path and query, byte for byte what the client sent (and signed)."""

    method: str
    target: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_reply(status: int, data: object) -> Reply:
    """A reply with a JSON body."""
    body = json.dumps(data, ensure_ascii=False, default=str).encode()
    return Reply(status, body, {"Content-Type": "application/json; charset=utf-8"})


@dataclass
class Fault:
    name: str
    times: int | None
    only: str
    seconds: float


@dataclass
class Delivery:
    """One notice that was sent, and what came back: status 0 when nobody answered."""

    number: str
    event_id: str
    status: int
    answer: str
    accepted: bool


@dataclass(frozen=True)
class Announcement:
    """A notice to send. `render` signs it anew for every delivery: (bad signature?, unknown field?)."""

    number: str
    event_id: str
    url: str
    render: Callable[[bool, bool], tuple[dict[str, str], bytes]]


class ControlError(Exception):
    """The control API was asked for something that there is not."""


class Provider:
    """A WSGI application. Subclasses answer requests, render notices, and keep orders and refunds as dataclasses."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.orders: dict[tuple[str, str], Any] = {}
        self.refunds: dict[tuple[str, str], Any] = {}
        self.deliveries: list[Delivery] = []
        self.faults: list[Fault] = []
        self.settings: dict[str, Any] = {}
        self._held: list[Announcement] = []
        self._run = 0  # counts resets: notices of an earlier run are neither sent nor recorded

    # --- for subclasses -------------------------------------------------------------------------------------

    def operation(self, request: Request) -> str:
        """What faults are matched against."""
        raise NotImplementedError

    def answer(self, request: Request, *, bad_signature: bool, unknown_field: bool) -> Reply:
        """Verify, act, sign."""
        raise NotImplementedError

    def busy(self, fault: str) -> Reply:
        """The provider's own way to say http_500 and rate_limited."""
        raise NotImplementedError

    def accepted(self, status: int, body: bytes) -> bool:
        """Whether this answer to a notice ends its repetition."""
        raise NotImplementedError

    def order_of(self, client_params: dict[str, str]) -> Any:
        """The order that a phone may pay with these parameters. Raises ControlError."""
        raise NotImplementedError

    def pay(self, order: Any, at: datetime, options: dict[str, Any]) -> Announcement | None:
        """Pay an order as the phone would."""
        raise NotImplementedError

    def payment_notice(self, order: Any) -> Announcement | None:
        """The notice of a paid order."""
        raise NotImplementedError

    def finish_refund(self, refund: Any, status: str, at: datetime) -> Announcement | None:
        """Let a refund end."""
        raise NotImplementedError

    def is_open(self, order: Any) -> bool:
        """Whether a phone can pay this order now."""
        raise NotImplementedError

    def amount_of(self, order: Any) -> Decimal:
        """What an order is to be paid with, yuan."""
        raise NotImplementedError

    # --- memory -----------------------------------------------------------------------------------------------

    def remember(self) -> bytes:
        """Orders, refunds and settings, for `recall` in a later run."""
        with self.lock:
            return pickle.dumps((self.orders, self.refunds))

    def recall(self, kept: bytes) -> None:
        """Take the orders and refunds of an earlier run. `kept` must be a file of our own."""
        with self.lock:
            self.orders, self.refunds = pickle.loads(kept)  # noqa: S301

    # --- requests -------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = min(int(environ.get("CONTENT_LENGTH") or 0), BODY_LIMIT)
        request = Request(
            method=environ["REQUEST_METHOD"],
            target=environ["RAW_URI"],
            path=environ["PATH_INFO"],
            headers={
                name.removeprefix("HTTP_").replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}
            },
            body=environ["wsgi.input"].read(length) if length else b"",
        )
        reply = self._control(request) if request.path.startswith("/_sandbox/") else self._serve(request)
        headers = dict(reply.headers)
        if reply.status != 204:
            headers["Content-Length"] = str(len(reply.body))
        start_response(f"{reply.status} -", list(headers.items()))
        return [reply.body]

    def _serve(self, request: Request) -> Reply:
        operation = self.operation(request)
        for name in ("http_500", "rate_limited"):
            if self.take(name, operation):
                return self.busy(name)
        if slow := self.take("slow", operation):
            self.closing.wait(slow.seconds)
        reply = self.answer(
            request,
            bad_signature=bool(self.take("bad_signature", operation)),
            unknown_field=bool(self.take("unknown_field", operation)),
        )
        if silent := self.take("timeout_after_accept", operation):
            self.closing.wait(silent.seconds)
            return Reply(504)
        return reply

    def take(self, name: str, operation: str) -> Fault | None:
        """Use up one occurrence of a fault that is set for this operation."""
        with self.lock:
            for fault in self.faults:
                if fault.name == name and fault.only in operation and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    # --- notices --------------------------------------------------------------------------------------------

    def announce(self, notice: Announcement | None, how: str) -> None:
        """Send a notice: wait for its answer ("wait"), repeat it in the background ("later"), or do not ("no")."""
        if notice is None or how == "no":
            return
        queue = [notice]
        with self.lock:
            if self.take("callback_out_of_order", "notice"):
                self._held.append(notice)
                return
            if self.take("duplicate_callback", "notice"):
                queue.append(notice)
            queue += self._held
            self._held = []
        if how == "wait":
            for each in queue:
                self._deliver(each, self._run)
        else:
            threading.Thread(target=self._repeat, args=(queue, self._run), daemon=True).start()

    def _repeat(self, queue: list[Announcement], run: int) -> None:
        for notice in queue:
            for gap in NOTICE_GAPS_S:
                if self.closing.wait(gap) or self._deliver(notice, run):
                    break

    def _deliver(self, notice: Announcement, run: int) -> bool:
        with self.lock:
            if run != self._run:
                return True
            bad, extra = self.take("bad_signature", "notice"), self.take("unknown_field", "notice")
        headers, body = notice.render(bool(bad), bool(extra))
        request = urllib.request.Request(notice.url, data=body, headers=headers, method="POST")  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=NOTICE_TIMEOUT_S) as response:
                status, answer = response.status, response.read(1000)
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read(1000)
        except OSError as error:
            status, answer = 0, str(error).encode()
        accepted = self.accepted(status, answer)
        with self.lock:
            if run == self._run:
                self.deliveries.append(
                    Delivery(
                        notice.number, notice.event_id, status, answer.decode(errors="replace"), accepted
                    )
                )
        return accepted

    # --- control --------------------------------------------------------------------------------------------

    def _control(self, request: Request) -> Reply:
        action = f"{request.method} {request.path.removeprefix('/_sandbox/')}"
        try:
            options = json.loads(request.body) if request.body else {}
            return json_reply(200, self.control(action, options))
        except (ControlError, KeyError, ValueError) as error:
            return json_reply(400, {"error": f"{type(error).__name__}: {error}"})

    def control(self, action: str, options: dict[str, Any]) -> Any:
        """Do one action of the control API. Raises ControlError, KeyError, ValueError."""
        match action:
            case "POST faults":
                return self._set_fault(options)
            case "DELETE faults":
                self.faults.clear()
                return {}
            case "GET state":
                return self.state()
            case "POST settings":
                self.settings.update(options)
                return self.settings
            case "POST reset":
                return self._reset()
            case "POST pay":
                with self.lock:
                    if "client_params" in options:
                        order = self.order_of(options["client_params"])
                    else:
                        order = self._find(self.orders, "out_trade_no", options)
                    notice = self.pay(order, _moment(options), options)
                self.announce(notice, options.get("notify", "wait"))
                return asdict(order)
            case "POST announce":
                order = self._find(self.orders, "out_trade_no", options)
                self.announce(self.payment_notice(order), options.get("notify", "wait"))
                return asdict(order)
            case "POST refunds":
                refund = self._find(self.refunds, "out_refund_no", options)
                with self.lock:
                    notice = self.finish_refund(refund, options["status"], _moment(options))
                self.announce(notice, options.get("notify", "wait"))
                return asdict(refund)
        raise ControlError(f"no action {action}")

    def state(self) -> dict[str, Any]:
        """Everything that happened."""
        with self.lock:
            return {
                "orders": [asdict(order) for order in self.orders.values()],
                "refunds": [asdict(refund) for refund in self.refunds.values()],
                "deliveries": [asdict(delivery) for delivery in self.deliveries],
            }

    def _set_fault(self, options: dict[str, Any]) -> dict[str, Any]:
        if options.get("fault") not in FAULTS:
            raise ControlError(f"no fault {options.get('fault')}")
        times = options.get("times", 1)
        self.faults.append(
            Fault(
                options["fault"],
                None if times is None else int(times),
                options.get("only", ""),
                float(options.get("seconds", 30)),
            )
        )
        return {"faults": [asdict(fault) for fault in self.faults]}

    def _reset(self) -> dict[str, Any]:
        with self.lock:
            self._run += 1
            for kept in (self.orders, self.refunds, self.deliveries, self.faults, self.settings, self._held):
                kept.clear()
        return {}

    @staticmethod
    def _find(table: dict[tuple[str, str], Any], name: str, options: dict[str, Any]) -> Any:
        """The row with this number, of the named merchant or of the only one that has it."""
        number, merchant = options[name], options.get("merchant_no")
        found = [row for (owner, key), row in table.items() if key == number and merchant in {None, owner}]
        if len(found) != 1:
            raise ControlError(f"{len(found)} rows with {name} {number}")
        return found[0]


def _moment(options: dict[str, Any]) -> datetime:
    text = options.get("at")
    moment = datetime.fromisoformat(text) if text else now()
    if moment.tzinfo is None:
        raise ValueError("at: needs an offset")
    return moment.astimezone(BEIJING).replace(microsecond=0)


# --- HTTP ---------------------------------------------------------------------------------------------------


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news: `timeout_after_accept` sends it away on purpose."""


class _Handler(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        return super().get_environ() | {"RAW_URI": self.path}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


class Server:
    """A provider, or several below prefixes, on a port of this machine; port 0 takes a free one.

    `otherwise` is a WSGI application for the paths / and /pay.
    """

    def __init__(
        self,
        mounts: dict[str, Provider] | Provider,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        otherwise: Callable[..., Iterable[bytes]] | None = None,
    ) -> None:
        self._otherwise = otherwise
        self._mounts = {"": mounts} if isinstance(mounts, Provider) else mounts
        self._http = _Server((host, port), _Handler)
        self._http.set_app(self._route)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://{host}:{self._http.server_port}"

    def _route(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        for prefix, provider in self._mounts.items():
            if path.startswith(f"{prefix}/"):
                return provider(environ | {"PATH_INFO": path[len(prefix) :]}, start_response)
        if self._otherwise is not None and path in {"/", "/pay"}:
            return self._otherwise(environ, start_response)
        start_response("404 -", [("Content-Length", "0")])
        return [b""]

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for provider in self._mounts.values():
            provider.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
