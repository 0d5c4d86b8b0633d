"""Every bound in the system, and how they relate.

Units are in the names: `_BYTES`, `_US` (microseconds), `_CHARS`; counts have
none. What a user can exceed is refused with a sentence that names the bound.
"""

from typing import Final

# Values and names
VALUE_BYTES_MAX: Final = 16 * 1024 * 1024
VALUE_DEPTH_MAX: Final = 200  # lists and objects inside each other
BLOB_BYTES_MIN: Final = 8 * 1024  # a larger value is stored once, by digest
NAME_CHARS_MAX: Final = 200
PATH_CHARS_MAX: Final = 500
PATTERN_SEGMENTS_MAX: Final = 32
IDEMPOTENCY_KEY_CHARS_MAX: Final = 255
REASON_CHARS_MAX: Final = 2_000
ERROR_MESSAGE_CHARS_MAX: Final = 8_000
ERROR_TRACEBACK_CHARS_MAX: Final = 16_000
ERROR_CAUSES_MAX: Final = 5
METADATA_ENTRIES_MAX: Final = 64

# Time
DURATION_US_MAX: Final = 100 * 366 * 24 * 3600 * 1_000_000
WAIT_TIMEOUT_US_DEFAULT: Final = 7 * 24 * 3600 * 1_000_000
EMIT_SYNC_TIMEOUT_US_DEFAULT: Final = 30 * 1_000_000

# Runs
RETRY_ATTEMPTS_MAX: Final = 1_000
HISTORY_RECORDS_DEFAULT: Final = 100_000
HISTORY_RECORDS_MAX: Final = 10_000_000
BRANCHES_MAX: Final = 100_000  # of one parallel or map
SCOPE_DEPTH_MAX: Final = 50  # nested parallels and maps
ASKS_PER_TURN_MAX: Final = 1_000  # then the turn is committed and goes on
CLOSE_OPERATIONS_MAX: Final = 100  # asked by `finally` blocks of a dropped run
DECODERS_CACHED_MAX: Final = 64  # step functions of a run whose result type is known
LOG_LINES_PER_TURN_MAX: Final = 1_000
CONTINUATIONS_FOLLOWED_MAX: Final = 100_000
RUN_ATTRIBUTES_MAX: Final = 32
ATTRIBUTE_NAME_CHARS_MAX: Final = 64
ATTRIBUTE_TEXT_BYTES_MAX: Final = 256  # with what stands around it, it is a key of LMDB
ATTRIBUTE_FILTERS_MAX: Final = 10  # of one list

# Journal
COMMIT_COMMANDS_MAX: Final = 1_000  # commands in one transaction of a store
DELIVERIES_PER_COMMIT_MAX: Final = 1_000
LOOK_BACK_EVENTS_PER_COMMIT_MAX: Final = 1_000
LOOK_BACK_SCAN_EVENTS_MAX: Final = 32  # a wait looks at so few without an index
MATCH_PATHS_MAX: Final = 16  # by which the events of one name are indexed
PAGE_RECORDS_MAX: Final = 10_000
REPLAY_RECORDS_MAX: Final = 2_500  # that a run's code runs over in one go
PAGE_RUNS_MAX: Final = 1_000
RUNS_SEARCHED_MAX: Final = 5_000  # for one page of a list, or its count
PAGE_EVENTS_MAX: Final = 1_000
EVENTS_SEARCHED_MAX: Final = 5_000  # for one page of a list
EVENTS_SEARCHED_BYTES_MAX: Final = 16 * 1024 * 1024  # of their data, for one page
EVENT_NAMES_SEARCHED_MAX: Final = 10_000  # events whose names are counted at once
EVENTS_SOUGHT_MAX: Final = 3_000  # on either side of where one should be by its id
EVENTS_OUT_OF_ORDER_MAX: Final = 500  # places in the log, by the times in ids
PAGE_DOCUMENTS_MAX: Final = 100
DOCUMENT_BYTES_MAX: Final = 1024 * 1024  # one is read and written whole
FUNCTION_VERSIONS_MAX: Final = 200  # that are kept of one
FUNCTION_CONFIG_BYTES_MAX: Final = 256 * 1024  # of what one says of itself
PAGE_FUNCTION_VERSIONS_DEFAULT: Final = 50
DOCUMENT_KIND_BYTES_MAX: Final = 100
DOCUMENT_ID_BYTES_MAX: Final = 400  # with what is before it, it is a key of LMDB
CLAIM_RUNS_MAX: Final = 1_000
POISON_CLAIMS_MAX: Final = 5  # that end with their process and bring no record
DUE_TIMERS_MAX: Final = 1_000
RETENTION_RECORDS_PER_COMMIT_MAX: Final = 1_000  # of such runs
RETENTION_EVENTS_PER_COMMIT_MAX: Final = 100
REDACTED_RECORDS_PER_COMMIT_MAX: Final = 200  # but for those with one large payload
REDACTION_CLOCKS_APART_US_MAX: Final = 24 * 3600 * 1_000_000  # of machines, at most
PACKED_RUNS_PER_ROUND_MAX: Final = 50_000  # found before the first of them is packed
PACKED_RUNS_PER_COMMIT_MAX: Final = 100  # in PostgreSQL
PACKED_RECORDS_PER_COMMIT_MAX: Final = 500  # in PostgreSQL
PACKED_ROWS_PER_COMMIT_MAX: Final = 200  # of pages that go and places that come
PACKED_BYTES_PER_COMMIT_MAX: Final = 512 * 1024  # of pages that go
PACKED_PAYLOADS_PER_COMMIT_MAX: Final = 100  # of a page that goes; others stay
PACKED_PAYLOAD_BYTES_MAX: Final = 1024 * 1024  # a larger one stays where it is
PACKED_BYTES_MIN: Final = 128 * 1024  # with so many a value of a segment is full
SEGMENT_SYNC_BYTES_MAX: Final = 256 * 1024  # flushed at once: commits wait beside it
SEGMENT_BYTES_MAX: Final = 32 * 1024 * 1024  # with so many it is full
SEGMENT_VALUES_MAX: Final = 10_000
SEGMENT_RECORDS_MIN: Final = 20_000  # else it waits until its day is over

# Bundles and backups
BUNDLE_RUN_BYTES_MAX: Final = 1024 * 1024 * 1024  # records and payloads of one run
BUNDLE_PART_BYTES_MAX: Final = 64 * 1024 * 1024
BACKUP_PIECE_BYTES_MAX: Final = 64 * 1024 * 1024
APART_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024  # of a process that reads damage
APART_SILENCE_S_MAX: Final = 60

# Engine
EMIT_BATCH_EVENTS_MAX: Final = 1_000  # stored in one commit
EVENT_NAMES_KNOWN_MAX: Final = 1_024  # that need not be checked again
RUNS_ACTIVE_MAX: Final = 1_000  # runs with code in memory and work to do
RUNS_CACHED_MAX: Final = 1_000  # parked runs whose coroutine is kept
STEP_FUNCTIONS_KNOWN_MAX: Final = 1_024  # whose annotation and kind are remembered
STEP_THREADS_MAX: Final = 40
RETRY_IN_MEMORY_US_MAX: Final = 5 * 1_000_000  # a longer backoff lets the run park
RETENTION_FIRST_US_DEFAULT: Final = 60 * 1_000_000  # after the start
RETENTION_PAUSE_US_DEFAULT: Final = 3600 * 1_000_000  # from the end of one to the next
RETENTION_RUNS_PER_COMMIT_MAX: Final = 100  # looked at, and deleted if they are past it
LOOP_BLOCKED_US_MIN: Final = 100_000  # a step that blocks so long is named
SHUTDOWN_US_DEFAULT: Final = 10 * 1_000_000

# Workers
WORKERS_MAX: Final = 1_000  # that are connected at once
WORKER_FUNCTIONS_MAX: Final = 1_000
WORKER_CREDIT_DEFAULT: Final = 100  # runs that a worker carries on at once
WORKER_CREDIT_MAX: Final = 1_000
WORKER_COMMITS_MAX: Final = 16  # of one worker that are under way
WORKER_PING_US_DEFAULT: Final = 1_000_000
WORKER_SILENCE_US_MAX: Final = 5 * 1_000_000  # then it is lost
PUSH_RUNS_MAX: Final = 100  # of one endpoint, at once
PUSH_POLL_US_DEFAULT: Final = 10 * 1_000_000  # that an endpoint lets a server wait
ENDPOINT_URL_CHARS_MAX: Final = 2_000
ENDPOINT_ADDRESSES_MAX: Final = 4  # of one host, that are tried
PUSH_EXCHANGE_US_MAX: Final = 60 * 1_000_000  # of one POST, to the end of its answer
PUSH_ERROR_BYTES_MAX: Final = 16 * 1024  # of an answer that is not 200
PUSH_TRIES_MAX: Final = 4  # of one POST
PUSH_SIGNATURE_US_MAX: Final = 300 * 1_000_000  # from now
PUSH_IDLE_US_MAX: Final = 900 * 1_000_000  # without a word about a run
PUSH_PROCESSES_MAX: Final = 64  # of one endpoint that are known
MOVED_RUNS_MAX: Final = 10_000  # that a worker lost and nobody carries on yet
CLAIM_HISTORY_RECORDS_MAX: Final = 200  # of a longer history it asks for pages
WIRE_TEXT_CHARS_MAX: Final = 25_000  # of an id, a name, a place in code
WIRE_PAGE_BYTES_MAX: Final = 4 * 1024 * 1024  # but at least one record
WIRE_MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024

# Transport
SOCKET_IDLE_US_MAX: Final = 2 * 1_000_000  # then a peer's machine is asked
SOCKET_SILENCE_US_MAX: Final = 5 * 1_000_000  # then it has vanished
HTTP_CONNECTIONS_MAX: Final = 4_096
HTTP_HEADER_BYTES_MAX: Final = 64 * 1024  # request line and headers
HTTP_HEADERS_MAX: Final = 128
HTTP_BODY_BYTES_DEFAULT: Final = 32 * 1024 * 1024  # a handler may say otherwise
HTTP_BODY_UNREAD_BYTES_MAX: Final = 256 * 1024  # of one request
HTTP_BODY_DISCARDED_BYTES_MAX: Final = 1024 * 1024  # that a handler did not want
HTTP_CHUNK_OVERHEAD_BYTES_MAX: Final = 16 * 1024  # beside the chunks themselves
HTTP_BODY_BYTES_PER_SECOND_MIN: Final = 1_024
HTTP_HEADERS_US_MAX: Final = 10 * 1_000_000  # until they are whole, with TLS
HTTP_BODY_STALL_US_MAX: Final = 20 * 1_000_000  # without a byte of the body
HTTP_WRITE_STALL_US_MAX: Final = 30 * 1_000_000  # until 64 KiB are taken
HTTP_IDLE_US_MAX: Final = 75 * 1_000_000
HTTP_LINGER_US_MAX: Final = 2 * 1_000_000  # so that the last answer is read
HTTP_SILENCE_US_MAX: Final = 30 * 1_000_000  # then a peer is pinged, once
HTTP_DRAIN_US_DEFAULT: Final = 10 * 1_000_000
HTTP2_STREAMS_MAX: Final = 256  # of one connection, at once
HTTP2_UNREAD_BYTES_MAX: Final = 1024 * 1024  # of all streams of a connection
HTTP2_UNSENT_BYTES_MAX: Final = 256 * 1024  # then streams wait for the socket
HTTP2_RESETS_MAX: Final = 200  # by the client, in a window
HTTP2_CONTROLS_MAX: Final = 1_000  # pings, settings and the like, in a window
HTTP2_WINDOW_US_MAX: Final = 10 * 1_000_000  # in which they are counted
HTTP_WEBSOCKET_MESSAGE_BYTES_DEFAULT: Final = 32 * 1024 * 1024
HTTP_WEBSOCKET_UNREAD_MESSAGES_MAX: Final = 64  # then the client has to wait
HTTP_WEBSOCKET_CLOSE_US_MAX: Final = 5 * 1_000_000
DELETED_RUNS_MAX: Final = 10_000  # by one request
HTTP_QUERY_PARAMETERS_MAX: Final = 50
METRICS_FUNCTIONS_MAX: Final = 100  # with lines of their own
SEGMENT_SILENCE_US_MAX: Final = (
    90 * 1_000_000
)  # published workers say every 30 s what they do
SEGMENT_ACK_US_MAX: Final = (
    15 * 1_000_000
)  # from the assignment of a job to its first word
SEGMENT_POLL_US_MAX: Final = 25 * 1_000_000
SEGMENT_ANSWER_US_MAX: Final = 20 * 1_000_000  # until what a worker reports is durable
SEGMENT_STEP_ID_CHARS_MAX: Final = 4_000
SEGMENT_WORKERS_MAX: Final = 10_000
SEGMENT_CALLS_MAX: Final = 256  # of endpoints, at once; each has a connection
SEGMENT_RUNS_AHEAD_MAX: Final = 200  # held without a worker's place, or by endpoints
FOLDED_RECORDS_MAX: Final = 100_000  # of a run whose operations a server shows
RESULT_WAIT_US_MAX: Final = 300 * 1_000_000  # of one request for the result of runs
DEV_FILES_MAX: Final = 20_000  # that `ironflow dev` watches
CLIENT_WAIT_US_MAX: Final = 20 * 1_000_000  # of one request of ours: proxies cut longer
CLIENT_RETRY_AFTER_US_MAX: Final = 60 * 1_000_000
CLIENT_URLS_KNOWN_MAX: Final = 64  # that are not parsed again
CLIENT_ANSWER_BYTES_MAX: Final = 128 * 1024 * 1024  # that a client reads
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024  # of records or runs, if they are several

# Keys
KEYS_MAX: Final = 1_000  # all are remembered
KEYS_KNOWN_US_MAX: Final = 5 * 1_000_000

# Wire
WIRE_DEPTH_MAX: Final = 100  # messages and values inside each other
CONNECT_MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024
PROTOBUF_PARTS_MAX: Final = (
    250_000  # of one message: they are read by Python, in one go
)

assert BLOB_BYTES_MIN < VALUE_BYTES_MAX
assert 2 * VALUE_BYTES_MAX < BUNDLE_PART_BYTES_MAX < BUNDLE_RUN_BYTES_MAX
assert DOCUMENT_BYTES_MAX <= VALUE_BYTES_MAX
assert FUNCTION_CONFIG_BYTES_MAX < DOCUMENT_BYTES_MAX
assert RUNS_ACTIVE_MAX <= CLAIM_RUNS_MAX
assert HISTORY_RECORDS_DEFAULT <= HISTORY_RECORDS_MAX
assert LOOK_BACK_SCAN_EVENTS_MAX < LOOK_BACK_EVENTS_PER_COMMIT_MAX <= PAGE_EVENTS_MAX
assert RETENTION_RUNS_PER_COMMIT_MAX <= PAGE_RUNS_MAX
assert PACKED_BYTES_MIN < PACKED_BYTES_PER_COMMIT_MAX < SEGMENT_BYTES_MAX
assert DELIVERIES_PER_COMMIT_MAX <= PAGE_EVENTS_MAX
assert WORKER_CREDIT_DEFAULT <= WORKER_CREDIT_MAX <= RUNS_ACTIVE_MAX
assert 2 * PUSH_POLL_US_DEFAULT < PUSH_EXCHANGE_US_MAX
assert WORKER_PING_US_DEFAULT * 3 < WORKER_SILENCE_US_MAX  # two may come late
assert WIRE_PAGE_BYTES_MAX + VALUE_BYTES_MAX < WIRE_MESSAGE_BYTES_MAX
assert SOCKET_IDLE_US_MAX + 3 * 1_000_000 <= SOCKET_SILENCE_US_MAX  # two may be lost
assert VALUE_BYTES_MAX < HTTP_BODY_BYTES_DEFAULT  # as JSON it is longer
assert HTTP_BODY_UNREAD_BYTES_MAX < HTTP2_UNREAD_BYTES_MAX
