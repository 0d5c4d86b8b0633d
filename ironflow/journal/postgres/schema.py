"""The tables, and how a database gets from one version of them to the next.

A migration is SQL that runs once, in the transaction that raises the number in
`schema_version`, under a lock: engines that start at once find it done. Migrations
are never edited after a release; another one is added.
"""

from typing import Final

from psycopg import sql

from ironflow.errors import ConfigurationError, JournalForeign, JournalNewer
from ironflow.journal.postgres._psycopg import Database

_TABLES_1: Final = """
CREATE TABLE environments (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE environments IS 'Each has its own functions, events and runs.';

CREATE TABLE nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment integer NOT NULL REFERENCES environments,
    name text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    seen bigint NOT NULL
);
COMMENT ON TABLE nodes IS 'Engines at work. One whose lease has run out may be removed'
    ' by any other, which ends its hold on every run.';
COMMENT ON COLUMN nodes.name IS 'Host and process.';
COMMENT ON COLUMN nodes.until IS 'When the lease ends, by the clock of the database.';
COMMENT ON COLUMN nodes.seen IS 'The last commit whose hint it has read.';

CREATE TABLE commits (
    environment integer NOT NULL,
    number bigint NOT NULL,
    batch uuid NOT NULL,
    node bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    events bigint NOT NULL,
    registry bigint NOT NULL,
    delivery bytea NOT NULL,
    hint bytea NOT NULL,
    PRIMARY KEY (environment, number)
);
COMMENT ON TABLE commits IS 'The last commits, in order; older ones are removed.';
COMMENT ON COLUMN commits.batch IS 'By which a writer that lost its connection finds'
    ' out whether its commit was made.';
COMMENT ON COLUMN commits.events IS 'How many events there are after this commit.';
COMMENT ON COLUMN commits.registry IS 'The last commit that changed a function.';
COMMENT ON COLUMN commits.delivery IS 'MessagePack: where a delivery of events to waits'
    ' has stopped; empty if none is unfinished.';
COMMENT ON COLUMN commits.hint IS 'MessagePack: what the other nodes may look at.';

CREATE TABLE functions (
    environment integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    concurrency bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (environment, id)
);
COMMENT ON TABLE functions IS 'What engines have registered.';
COMMENT ON COLUMN functions.concurrency IS 'How many of its runs of one lane may be'
    ' held at once; 0 for any number.';
COMMENT ON COLUMN functions.data IS 'MessagePack: the whole row.';

CREATE TABLE events (
    environment integer NOT NULL,
    position bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    key uuid,
    data bytea NOT NULL,
    PRIMARY KEY (environment, position)
);
CREATE INDEX events_by_name ON events (environment, name, position);
CREATE UNIQUE INDEX events_by_key ON events (environment, key) WHERE key IS NOT NULL;
COMMENT ON TABLE events IS 'The event log, without gaps, in the order of commits.';
COMMENT ON COLUMN events.key IS 'Digest of name and idempotency key, if it has one.';
COMMENT ON COLUMN events.data IS 'MessagePack: [event, ids of the runs it started].';

CREATE TABLE runs (
    environment integer NOT NULL,
    run uuid NOT NULL,
    function text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    attempt bigint NOT NULL,
    event_name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    parent uuid,
    pause_reason text COLLATE "C",
    data bytea NOT NULL,
    PRIMARY KEY (environment, run)
);
CREATE INDEX runs_by_status ON runs (environment, status, run);
CREATE INDEX runs_by_function ON runs (environment, function, run);
CREATE INDEX runs_by_parent ON runs (environment, parent, run)
    WHERE parent IS NOT NULL;
COMMENT ON TABLE runs IS 'What of a run is not in its history: written when it starts,'
    ' pauses and ends.';
COMMENT ON COLUMN runs.run IS 'The run id without "run_".';
COMMENT ON COLUMN runs.status IS 'open, paused, completed, failed, cancelled or'
    ' continued.';
COMMENT ON COLUMN runs.data IS 'MessagePack: the whole row.';

CREATE TABLE records (
    environment integer NOT NULL,
    run uuid NOT NULL,
    sequence bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    recorded_at timestamptz NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (environment, run, sequence)
);
COMMENT ON TABLE records IS 'The histories of runs; rows are never changed.';
COMMENT ON COLUMN records.step IS 'The step id; empty where it is about the run.';
COMMENT ON COLUMN records.data IS 'MessagePack: [format, header, digest, payload].';

CREATE TABLE blobs (
    environment integer NOT NULL,
    digest bytea NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (environment, digest)
);
COMMENT ON TABLE blobs IS 'Payloads too large for a record, by digest: MessagePack.';

CREATE TABLE ready (
    environment integer NOT NULL,
    run uuid NOT NULL,
    function text COLLATE "C" NOT NULL,
    lane bytea NOT NULL,
    place bigint NOT NULL,
    node bigint,
    epoch bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (environment, run)
) WITH (fillfactor = 70);
CREATE INDEX ready_free ON ready (environment, function, lane, place)
    WHERE node IS NULL;
CREATE INDEX ready_held ON ready (environment, function, lane) WHERE node IS NOT NULL;
CREATE INDEX ready_by_node ON ready (environment, node, epoch) WHERE node IS NOT NULL;
COMMENT ON TABLE ready IS 'Runs that have something to do, in the order of place.';
COMMENT ON COLUMN ready.lane IS 'Runs of one lane count against one limit.';
COMMENT ON COLUMN ready.node IS 'Who holds the run.';
COMMENT ON COLUMN ready.epoch IS 'The number that the holder names in every append.';

CREATE TABLE inbox (
    environment integer NOT NULL,
    run uuid NOT NULL,
    number bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (environment, run, number)
);
COMMENT ON TABLE inbox IS 'Records on their way into a history: its holder moves them.';
COMMENT ON COLUMN inbox.data IS 'MessagePack: [event position, draft].';

CREATE TABLE timers (
    environment integer NOT NULL,
    run uuid NOT NULL,
    step_key uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    due timestamptz NOT NULL,
    PRIMARY KEY (environment, run, step_key, kind)
);
CREATE INDEX timers_by_due ON timers (environment, due);
COMMENT ON TABLE timers IS 'What is due and when; any engine lets it act.';
COMMENT ON COLUMN timers.step_key IS 'Digest of the step id, which may be long.';

CREATE TABLE waits (
    environment integer NOT NULL,
    run uuid NOT NULL,
    step_key uuid NOT NULL,
    sequence bigint NOT NULL,
    event text COLLATE "C" NOT NULL,
    path_key uuid NOT NULL,
    match_key bytea NOT NULL,
    path text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    seeks bigint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (environment, run, step_key)
);
CREATE INDEX waits_seeking ON waits (environment, run, sequence) WHERE seeks = 1;
CREATE INDEX waits_by_event
    ON waits (environment, event, path_key, match_key, run, sequence);
COMMENT ON TABLE waits IS 'Which run waits for which event.';
COMMENT ON COLUMN waits.path IS 'The path whose value the event must have; may be empty.';
COMMENT ON COLUMN waits.match_key IS 'What stands for that value.';
COMMENT ON COLUMN waits.seeks IS '1 while it still looks at earlier events, else 0.';
COMMENT ON COLUMN waits.data IS 'MessagePack: the whole row.';

CREATE TABLE match_paths (
    environment integer NOT NULL,
    event text COLLATE "C" NOT NULL,
    path_key uuid NOT NULL,
    path text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (environment, event, path_key)
);
COMMENT ON TABLE match_paths IS 'By which paths waits look back at events of a name.';
COMMENT ON COLUMN match_paths.data IS 'MessagePack: how far events are indexed.';

CREATE TABLE matches (
    environment integer NOT NULL,
    event text COLLATE "C" NOT NULL,
    path_key uuid NOT NULL,
    match_key bytea NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (environment, event, path_key, match_key, position)
);
COMMENT ON TABLE matches IS 'Which events have which value at such a path.';
COMMENT ON COLUMN matches.match_key IS 'What stands for that value.';

CREATE TABLE consumed (
    environment integer NOT NULL,
    run uuid NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (environment, run, position)
);
COMMENT ON TABLE consumed IS 'Which events a run that has not ended has taken.';
"""

# Lists by function and status, and counts of both.
_TABLES_2: Final = """
CREATE INDEX runs_by_function_and_status ON runs (environment, function, status, run);
"""

# What is past its retention.
_TABLES_3: Final = """
CREATE TABLE blob_runs (
    environment integer NOT NULL,
    digest bytea NOT NULL,
    run uuid NOT NULL,
    PRIMARY KEY (environment, digest, run)
);
CREATE INDEX blob_runs_by_run ON blob_runs (environment, run);
COMMENT ON TABLE blob_runs IS 'Which runs have a payload: it goes with the last.';
INSERT INTO blob_runs SELECT environment, digest, '00000000-0000-0000-0000-000000000000'
    FROM blobs;

CREATE TABLE gone (
    environment integer NOT NULL,
    run uuid NOT NULL,
    PRIMARY KEY (environment, run)
);
COMMENT ON TABLE gone IS 'Runs past their retention: their rows were deleted, and their'
    ' records are being deleted.';
"""

# Documents.
_TABLES_4: Final = """
CREATE TABLE documents (
    environment integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (environment, kind, id)
);
COMMENT ON TABLE documents IS 'Small named values, such as API keys.';
COMMENT ON COLUMN documents.id IS 'Empty in the row of a kind that keeps the highest'
    ' revision of its documents that were deleted.';
COMMENT ON COLUMN documents.revision IS 'It grows with every change and is not used'
    ' again.';
"""

# Events by id, and by the times in ids.
_TABLES_5: Final = """
CREATE INDEX events_by_id ON events (environment, id);
"""

# Redactions: an older ironflow would not know them.
_TABLES_6: Final = """
COMMENT ON TABLE records IS 'The histories of runs; a row is changed only when its'
    ' payload is taken away.';
COMMENT ON COLUMN records.data IS 'MessagePack: [1, header, digest, payload]; with a'
    ' payload that was taken away [2, header, digest, marker, redaction].';
COMMENT ON COLUMN events.data IS 'MessagePack: [event, ids of the runs it started];'
    ' behind them a redaction if its data was taken away.';
"""

# Runs by attributes. No run has any yet.
_TABLES_7: Final = """
CREATE TABLE run_attributes (
    environment integer NOT NULL,
    run uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (environment, run, name)
);
CREATE INDEX run_attributes_by_value ON run_attributes (environment, name, value, run);
COMMENT ON TABLE run_attributes IS 'The attributes of runs, as lists find runs by them.';
COMMENT ON COLUMN run_attributes.value IS 'Bytes in the order of the values of a type.';
"""

# Packed histories.
_TABLES_8: Final = """
ALTER TABLE runs ADD COLUMN packed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN runs.packed IS 'Whether it has ended and its records are in packed.';
CREATE INDEX runs_to_pack ON runs (environment, ended_at)
    WHERE ended_at IS NOT NULL AND NOT packed;
CREATE TABLE packed (
    environment integer NOT NULL,
    run uuid NOT NULL,
    last bigint NOT NULL,
    first bigint NOT NULL,
    kinds text[] COLLATE "C" NOT NULL,
    steps text[] COLLATE "C" NOT NULL,
    recorded_at timestamptz[] NOT NULL,
    data bytea[] NOT NULL,
    PRIMARY KEY (environment, run, last),
    CHECK (last - first + 1 = cardinality(data))
);
COMMENT ON TABLE packed IS 'Histories of runs that ended long ago: some records of one'
    ' run in a row. The view histories shows them one by one.';
COMMENT ON COLUMN packed.last IS 'The sequence of the last record in it.';
CREATE VIEW histories AS
    SELECT environment, run, sequence, kind, step, recorded_at, data FROM records
    UNION ALL
    SELECT p.environment, p.run, p.first + u.place - 1, u.kind, u.step, u.recorded_at,
        u.data
    FROM packed p
    CROSS JOIN LATERAL unnest(p.kinds, p.steps, p.recorded_at, p.data)
        WITH ORDINALITY AS u (kind, step, recorded_at, data, place);
COMMENT ON VIEW histories IS 'All records, packed or not, for people.';
"""

MIGRATIONS: Final[tuple[str, ...]] = (
    _TABLES_1,
    _TABLES_2,
    _TABLES_3,
    _TABLES_4,
    _TABLES_5,
    _TABLES_6,
    _TABLES_7,
    _TABLES_8,
)
VERSION: Final = len(MIGRATIONS)

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_TABLE_NAMES: Final = (
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v')"
)


def migrate(connection: Database, schema: str) -> None:
    """Bring the tables to this version; nothing happens if they are there.

    Raises:
        JournalNewer: they are of a newer ironflow.
        JournalForeign: the schema holds tables of something else.
        ConfigurationError: the database does not store Unicode.
    """
    _check_encoding(connection)
    if found_version(connection, schema) == VERSION:
        return
    with connection.transaction():
        connection.execute(_LOCK, (f"ironflow schema {schema}",))
        version = found_version(connection, schema)
        if version == VERSION:
            return
        if version == 0:
            connection.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            )
            connection.execute(
                "CREATE TABLE schema_version ("
                " version integer PRIMARY KEY,"
                " installed_at timestamptz NOT NULL DEFAULT now());"
                "COMMENT ON TABLE schema_version IS 'Which tables of ironflow are here.'"
            )
        for number, tables in enumerate(MIGRATIONS[version:], version + 1):
            connection.execute(tables.encode())
            connection.execute("INSERT INTO schema_version VALUES (%s)", (number,))


def found_version(connection: Database, schema: str) -> int:
    """Return the version of the tables in a schema; 0 if there are none.

    Raises:
        JournalNewer: they are of a newer ironflow.
        JournalForeign: the schema holds tables of something else.
    """
    tables = {name for (name,) in connection.execute(_TABLE_NAMES, (schema,))}
    if not tables:
        return 0
    if "schema_version" not in tables:
        raise JournalForeign(
            f"the schema {schema!r} holds tables that are no ironflow journal, such as"
            f" {min(tables)!r}; name another one in the URL: ...?schema=ironflow"
        )
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    version = int(row[0]) if row and row[0] is not None else 0
    if version > VERSION:
        raise JournalNewer(
            f"the tables in the schema {schema!r} have version {version}; this ironflow"
            f" knows version {VERSION}: upgrade ironflow to open this journal"
        )
    return version


def _check_encoding(connection: Database) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database has the encoding {encoding}, which cannot store every text;"
            " create one with ENCODING 'UTF8'"
        )
