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
from ironflow.policy import breaker
from ironflow.policy.breaker import CLOSED, Admission, Circuit
from ironflow.records import ErrorInfo
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
    """Calls endpoints, each with a circuit of its own.

    `changed` is called with the URL of an endpoint whose circuit opened, or whose time
    to be tried again has come.
    """

    def __init__(
        self,
        clock: Clock,
        alarms: Alarms,
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
        self._circuits: dict[str, Circuit] = {}
        self._probes: dict[str, trio.Event] = {}
        self.changed: Callable[[str], None] = lambda url: None

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

    def is_closed_to(self, url: str) -> bool:
        """Say whether no request can be sent to an endpoint before some time is over."""
        circuit = self._circuits.get(url, CLOSED)
        return breaker.admit(circuit, self._clock.now()).wait_us > 0

    async def execute(self, segment: Segment, config: FunctionConfig) -> Report:
        """Let an endpoint execute a segment; what goes wrong is a failed report."""
        url = config.endpoint_url
        admission = await self._admitted(url)
        told = False
        try:
            report, fault = await self._call(segment, config)
            told = True
            self._note(config, admission, is_fault=fault)
        finally:
            if not told:  # it was cancelled: that says nothing of the endpoint
                circuit = self._circuits.get(url, CLOSED)
                circuit = breaker.given_up(circuit, probe=admission.probe)
                self._set(url, circuit)
        return report

    async def _admitted(self, url: str) -> Admission:
        """Return when the endpoint may be called."""
        while True:
            circuit = self._circuits.get(url, CLOSED)
            admission = breaker.admit(circuit, self._clock.now())
            if admission.wait_us == 0:
                self._circuits[url] = admission.circuit
                return admission
            probed = self._probes.setdefault(url, trio.Event())
            if admission.wait_us < 0:
                await probed.wait()
                continue
            alarm = self._alarms.set(circuit.open_until, probed.set)
            try:
                await probed.wait()
            finally:
                alarm.cancel()
                if self._probes.get(url) is probed:
                    del self._probes[url]

    def _note(
        self, config: FunctionConfig, admission: Admission, *, is_fault: bool
    ) -> None:
        url, now = config.endpoint_url, self._clock.now()
        circuit = self._circuits.get(url, CLOSED)
        if not is_fault:
            self._set(url, breaker.succeeded())
            return
        policy = config.circuit_breaker.policy
        after = breaker.failed(policy, circuit, now, probe=admission.probe)
        self._set(url, after)
        if after.open_until > circuit.open_until:
            self._alarms.set(after.open_until, lambda: self.changed(url))

    def _set(self, url: str, circuit: Circuit) -> None:
        before = self._circuits.get(url, CLOSED)
        if circuit == CLOSED:
            self._circuits.pop(url, None)
        else:
            self._circuits[url] = circuit
        probed = self._probes.pop(url, None)
        if probed is not None:
            probed.set()  # who waits looks again
        if before.open_until != circuit.open_until:
            self.changed(url)

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
