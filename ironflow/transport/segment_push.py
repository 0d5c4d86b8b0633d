"""Calls the endpoints of published SDKs: one signed request executes one segment.

An endpoint that fails again and again is left alone for a while (`policy.breaker`): its
runs wait, and no attempt is counted for the time.

A connection is for one call. What an endpoint sends behind its answer would be taken for the
answer to the next call on that connection, which is of another run.
"""

from collections.abc import Callable
from typing import Final, final

import httpx
import trio

from ironflow import limits
from ironflow.engine.alarms import Alarms
from ironflow.engine.clock import Clock
from ironflow.errors import ConfigurationError, ValueRejected
from ironflow.interpreter import failures
from ironflow.interpreter.segments_news import News, Segment
from ironflow.policy.breaker import Admission
from ironflow.records import ErrorInfo
from ironflow.transport.circuits import Breaker, Circuits
from ironflow.transport.push_client import Answered, CallFailed, Patience, exchange
from ironflow.transport.push_dial import NewClient
from ironflow.wire import documents, segments
from ironflow.wire.functions import FunctionConfig
from ironflow.wire.segments import Report
from ironflow.wire.segments_jobs import push_body
from ironflow.wire.signing import HEADER, signature

TIMEOUT_S: Final = 10.0
_OK: Final = 200
_CLOSE_S: Final = 5.0


@final
class PushCaller:
    """Calls the endpoints of functions, each with a circuit of its own in `circuits`.

    `changed` is called with the id of a function whose circuit opened or closed, or whose
    time to be tried again has come.
    """

    def __init__(
        self,
        clock: Clock,
        alarms: Alarms,
        circuits: Circuits,
        *,
        signing_key: str = "",
        client: NewClient,
    ) -> None:
        self._clock = clock
        self._alarms = alarms
        self._make_client = client  # it reads certificates, which takes a while
        self._client: httpx.AsyncClient | None = None
        self._key = signing_key
        self._room = trio.CapacityLimiter(limits.SEGMENT_CALLS_MAX)
        self._circuits: Final = circuits
        self.changed: Callable[[str], None] = lambda function_id: None

    async def run(self) -> None:
        """Keep connections to endpoints, until this is cancelled."""
        try:
            await trio.sleep_forever()
        finally:
            if self._client is not None:
                with trio.CancelScope(
                    shield=True, deadline=trio.current_time() + _CLOSE_S
                ):
                    await self._client.aclose()

    def know(self, config: FunctionConfig) -> None:
        """Take on a function; forget one that is not to be called any more."""
        if config.mode == "push":
            self._breaker(config)
        else:
            self._circuits.remove(config.id)

    def is_closed_to(self, function_id: str) -> bool:
        """Say whether no request can be sent for a function before some time is over."""
        found = self._circuits.get(function_id)
        return found is not None and found.state(self._clock.now()) == "open"

    async def execute(self, segment: Segment, config: FunctionConfig) -> Report:
        """Let an endpoint execute a segment; what goes wrong is a failed report."""
        breaker = self._breaker(config)
        admission = await self._admitted(breaker)
        told = False
        try:
            report, fault = await self._call(segment, config)
            told = True
            if fault:
                self._failed(breaker, report, probe=admission.probe)
            else:
                breaker.succeeded()
        finally:
            if not told:  # it was cancelled: that says nothing of the endpoint
                breaker.given_up(probe=admission.probe)
        return report

    def _breaker(self, config: FunctionConfig) -> Breaker:
        function_id = config.id
        return self._circuits.add(
            Breaker(
                function_id,
                config.endpoint_url,
                config.circuit_breaker.policy,
                frozenset({function_id}),
                lambda: self.changed(function_id),
            )
        )

    async def _admitted(self, breaker: Breaker) -> Admission:
        """Return when the endpoint may be called."""
        while True:
            admission = breaker.admit(self._clock.now())
            if admission.wait_us == 0:
                return admission
            news = breaker.news
            if admission.wait_us < 0:
                await news.wait()
                continue
            alarm = self._alarms.set(breaker.circuit.open_until, breaker.tell)
            try:
                await news.wait()
            finally:
                alarm.cancel()

    def _failed(self, breaker: Breaker, report: Report, *, probe: bool) -> None:
        error = report.news.error
        assert error is not None
        before = breaker.circuit.open_until
        breaker.failed(self._clock.now(), probe=probe, error=error.message)
        if breaker.circuit.open_until > before:
            function_id = breaker.key
            self._alarms.set(
                breaker.circuit.open_until, lambda: self.changed(function_id)
            )

    async def _call(
        self, segment: Segment, config: FunctionConfig
    ) -> tuple[Report, bool]:
        """Return what came of a call, and whether that is the endpoint's fault."""
        body = push_body(segment, {})
        headers = {"content-type": "application/json", "connection": "close"}
        patience = Patience(
            seconds=config.timeout_ms / 1_000 or TIMEOUT_S,
            answer_bytes_max=limits.HTTP_BODY_BYTES_DEFAULT,
        )
        try:
            # Time that is spent here says nothing of the endpoint.
            async with self._room:
                if self._key:
                    now_s = self._clock.now() // 1_000_000
                    headers[HEADER] = signature(self._key, body, now_s=now_s)
                if self._client is None:
                    self._client = self._make_client()
                answer = await exchange(
                    self._client, config.endpoint_url, body, headers, patience=patience
                )
        except CallFailed as error:
            return _fault(error.code, str(error)), True
        if answer.status != _OK:
            return _fault("ENDPOINT_ERROR", _refusal(answer)), True
        return _read(answer.body, segment.run_id)


def _read(answer: bytes, run_id: str) -> tuple[Report, bool]:
    try:
        found = segments.parsed(answer)
    except ConfigurationError as error:
        return _fault("ENDPOINT_ERROR", f"its answer cannot be read: {error}"), True
    try:
        report = segments.report_of(found, run_id)
        if report.is_last:
            return report, False
        raise ConfigurationError('status="progress" is no answer of an endpoint')
    except (ConfigurationError, ValueRejected) as error:
        # The same call would give the same answer.
        info = failures.describe(error, with_traceback=False)
        return Report(News(error=info), retryable=False), False


def _fault(code: str, what: str) -> Report:
    error = ErrorInfo(
        type="EndpointFailed", message=f"the endpoint failed: {what}", code=code
    )
    return Report(News(error=error))


def _refusal(answer: Answered) -> str:
    """Return what an answer that is not 200 says."""
    try:
        source = documents.inner(segments.parsed(answer.body), "error")
        told = f"{documents.text(source, 'code')}: {documents.text(source, 'message')}"
    except ConfigurationError:
        told = answer.body[:200].decode(errors="replace")
    return f"it answered {answer.status} {told}".rstrip()
