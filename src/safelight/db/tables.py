"""All tables, with the constraints that the database enforces."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    TextClause,
    UniqueConstraint,
    text,
)

from safelight.db.types import Instant, Json

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# The conditions of partial indexes. Queries must repeat them literally: SQLite uses a partial index
# only if the query contains its condition, without bound values.
LIMITED = text("max_in_flight IS NOT NULL")
SUSPENDED = text("suspended_at IS NOT NULL")
DELETED = text("deleted_at IS NOT NULL")
READY = text("ready")  # queued and due
DELAYED = text("status = 'queued' AND NOT ready")
WAITING = text("status = 'waiting'")
LEASED = text("status = 'running'")
TO_START_BY = text("status = 'queued' AND start_by IS NOT NULL")
IN_FLIGHT = text("status IN ('running', 'waiting')")
DEAD = text("status = 'failed'")
SUCCEEDED = text("status = 'succeeded'")
ENDED = text("finished_at IS NOT NULL")
OPEN = text("state <> 'closed'")
TICKETED = text("ticket IS NOT NULL")
RECONCILED = text("state <> 'closed' AND look_at IS NOT NULL")
PENDING = text("state = 'pending'")
DEFAULT = text("url = ''")  # the endpoint for URLs named by jobs and batches
UNTOLD = text("NOT told")
HEARING = text("confirmed_at IS NOT NULL AND stopped_at IS NULL")
HELD = text("held_until IS NOT NULL")
REVOKED = text("revoked_at IS NOT NULL")
OF_A_PERSON = text("user_id IS NOT NULL")
OPERATORS = text("is_operator")
EXPIRES = text("expires_at IS NOT NULL")
BOUND_TO_FAIL = text("status = 'queued' AND error IS NOT NULL")  # at its run_at
MOVABLE = text("status = 'queued' AND fallbacks <> '[]'")


def _where(condition: TextClause) -> dict[str, Any]:
    return {"postgresql_where": condition, "sqlite_where": condition}


accounts = Table(
    "accounts",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("name", sa.Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("max_in_flight", sa.Integer),  # NULL: as in the settings
    Column("visibility", sa.Text, nullable=False, server_default="public"),  # of its jobs' outputs
    # How long its jobs' outputs are kept, in seconds; NULL: as in the settings.
    Column("keep_image_s", sa.Float),
    Column("keep_model_3d_s", sa.Float),
    Column(
        "hold", sa.Text, nullable=False, server_default=""
    ),  # the reason of a legal hold on everything it has
    Column("suspended_at", Instant),
    Column("suspended_for", sa.Text, nullable=False, server_default=""),  # the reason
    Column("deleted_at", Instant),  # its rows and files are being removed since
    Index("ix_accounts_limited", "id", **_where(LIMITED)),
    Index("ix_accounts_suspended", "id", **_where(SUSPENDED)),
    Index("ix_accounts_deleted", "id", **_where(DELETED)),
)

users = Table(
    "users",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("email", sa.Text, nullable=False),  # as typed
    Column("email_key", sa.Text, nullable=False, unique=True),  # case-folded
    Column("password", sa.Text, nullable=False, server_default=""),  # an argon2id hash; empty: none
    Column("is_operator", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("created_at", Instant, nullable=False),
    Column("verified_at", Instant),  # the address, by a link in a mail
    Column("disabled_at", Instant),
    Column("totp_secret", sa.Text, nullable=False, server_default=""),  # base 32
    Column("totp_since", Instant),  # NULL: not confirmed by a code yet
    Column("totp_step", sa.BigInteger, nullable=False, server_default="0"),  # of the last code used
    Index("ix_users_operators", "id", **_where(OPERATORS)),
)

members = Table(
    "members",
    metadata,
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", sa.Text, ForeignKey("users.id"), nullable=False),
    Column("role", sa.Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    sa.PrimaryKeyConstraint("account_id", "user_id"),
    CheckConstraint("role IN ('viewer','member','admin')", name="role"),
    Index("ix_members_user", "user_id", "created_at"),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("email", sa.Text, nullable=False),
    Column("role", sa.Text, nullable=False),
    Column("hash", sa.LargeBinary, nullable=False, unique=True),  # of the token in the link
    Column("mailed", sa.Boolean, nullable=False),  # the token went to the address and nowhere else
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("accepted_at", Instant),
    Column("revoked_at", Instant),
    CheckConstraint("role IN ('viewer','member','admin')", name="role"),
    Index("ix_invitations_account", "account_id", "id"),
    Index("ix_invitations_expires_at", "expires_at"),
)

# Single-use secrets of a person: links in mails, and the way from the password to the second step.
user_tokens = Table(
    "user_tokens",
    metadata,
    Column("hash", sa.LargeBinary, primary_key=True),
    Column("user_id", sa.Text, ForeignKey("users.id"), nullable=False),
    Column("purpose", sa.Text, nullable=False),
    Column("data", sa.Text, nullable=False, server_default=""),  # the address to confirm
    Column("expires_at", Instant, nullable=False),
    CheckConstraint("purpose IN ('reset','email','second_step')", name="purpose"),
    Index("ix_user_tokens_user", "user_id", "purpose"),
    Index("ix_user_tokens_expires_at", "expires_at"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", sa.Text, ForeignKey("users.id"), nullable=False),
    Column("hash", sa.LargeBinary, nullable=False),
    sa.PrimaryKeyConstraint("user_id", "hash"),
)

# Persons as login providers know them. Only issuer and subject together say who somebody is.
identities = Table(
    "identities",
    metadata,
    Column("issuer", sa.Text, nullable=False),
    Column("subject", sa.Text, nullable=False),
    Column("user_id", sa.Text, ForeignKey("users.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    sa.PrimaryKeyConstraint("issuer", "subject"),
    Index("ix_identities_user", "user_id"),
)

# A signed-in person is on the way to a provider, to connect an identity.
identity_requests = Table(
    "identity_requests",
    metadata,
    Column("hash", sa.LargeBinary, primary_key=True),  # SHA-256 of a 256-bit secret
    Column("user_id", sa.Text, ForeignKey("users.id"), nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_identity_requests_user", "user_id"),
    Index("ix_identity_requests_expires_at", "expires_at"),
)

# Counters of guesses and mails, each within a window of time.
throttles = Table(
    "throttles",
    metadata,
    Column("name", sa.Text, primary_key=True),
    Column("count", sa.Integer, nullable=False),
    Column("until", Instant, nullable=False),
    Index("ix_throttles_until", "until"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    # The person whose role grants the scopes. SQLite adds no foreign key to a table.
    Column("user_id", sa.Text),
    Column("kind", sa.Text, nullable=False, server_default="key"),
    Column("name", sa.Text, nullable=False),
    Column("hint", sa.Text, nullable=False),  # the first characters, for display
    Column("hash", sa.LargeBinary, nullable=False, unique=True),  # SHA-256 of a 160-bit secret
    Column("scopes", Json, nullable=False),
    Column("rate_per_s", sa.Float),  # requests per second; NULL: unlimited
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),  # to the minute
    Column("last_used_from", sa.Text, nullable=False, server_default=""),
    Column("parent_id", sa.Text),  # the API key with which a session or login link ends
    CheckConstraint("kind IN ('key','session','login')", name="kind"),
    Index("ix_keys_account", "account_id", "kind", "id"),
    Index("ix_keys_expires_at", "expires_at", **_where(EXPIRES)),
    Index("ix_keys_revoked_at", "revoked_at", **_where(REVOKED)),
    Index("ix_keys_user", "user_id", "id", **_where(OF_A_PERSON)),
)

batches = Table(
    "batches",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("kind", sa.Text, nullable=False),
    Column("name", sa.Text, nullable=False, server_default=""),
    Column("problems", Json, nullable=False),  # [{index, name, problem}] rejected at submit
    Column("tags", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("webhook_url", sa.Text, nullable=False, server_default=""),  # notified of its end
    Column("notify", Json),  # contacts notified of its end; NULL: as they choose
    Column("seq", sa.Integer, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Index("ix_batches_account", "account_id", "id"),
)

_BEST_FIRST: sa.UnaryExpression[int] = sa.desc("priority")

jobs = Table(
    "jobs",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("kind", sa.Text, nullable=False),
    Column("status", sa.Text, nullable=False),
    Column("stage", sa.Text),
    Column("progress", sa.Float, nullable=False, server_default="0"),
    # the request
    Column("prompt", sa.Text, nullable=False, server_default=""),
    Column("model", sa.Text, nullable=False),
    Column("provider", sa.Text, nullable=False),
    Column("params", Json, nullable=False),
    # fallbacks, in order: [{model, provider, lane, params, timeout_s, …}]
    Column("fallbacks", Json, nullable=False, server_default="[]"),
    Column(
        "first_plan", Json
    ),  # the plan before the first fallback: {model, provider, …, fallbacks}
    Column("inputs", Json, nullable=False),  # asset ids and URLs, in order
    Column("source_url", sa.Text, nullable=False, server_default=""),
    Column("name", sa.Text, nullable=False, server_default=""),
    Column("external_id", sa.Text, nullable=False, server_default=""),  # the caller's own
    Column("batch_id", sa.Text, ForeignKey("batches.id")),
    Column("batch_index", sa.Integer),
    Column("tags", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("webhook_url", sa.Text, nullable=False, server_default=""),  # notified of its end
    Column("notify", Json),  # contacts notified of its end; NULL: as they choose
    # scheduling
    Column("lane", sa.Text, nullable=False),
    Column("priority", sa.Integer, nullable=False, server_default="0"),
    Column("ready", sa.Boolean, nullable=False),  # queued and due; see the claim
    Column("run_at", Instant, nullable=False),
    Column("start_by", Instant),
    Column("timeout_s", sa.Float, nullable=False),
    Column("visibility", sa.Text, nullable=False, server_default="public"),  # of its outputs
    Column("keep_s", sa.Float),  # how long its outputs are kept; NULL: as in the settings
    Column("repeatable", sa.Boolean, nullable=False),
    Column("max_attempts", sa.Integer, nullable=False),
    Column("attempts", sa.Integer, nullable=False, server_default="0"),  # sent to a provider
    Column("crashes", sa.Integer, nullable=False, server_default="0"),
    Column("wakes", sa.Integer, nullable=False, server_default="0"),
    Column(
        "fence", sa.BigInteger, nullable=False, server_default="0"
    ),  # fencing token: random, per claim
    Column("leased_by", sa.Text),
    Column("leased_until", Instant),
    Column("seq", sa.Integer, nullable=False, server_default="0"),
    # the result
    Column("error", Json),  # on a queued job: its failure, due at `run_at`
    Column("cost_micros", sa.BigInteger),  # of all attempts; NULL: partly unknown
    Column("cost_known_micros", sa.BigInteger),  # the known part
    Column("estimate_micros", sa.BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    CheckConstraint(
        "status IN ('queued','running','waiting','succeeded','failed','canceled')", name="status"
    ),
    CheckConstraint(
        "(status IN ('succeeded','failed','canceled')) = (finished_at IS NOT NULL)",
        name="finished_iff_final",
    ),
    CheckConstraint(
        "(status = 'running') = (leased_until IS NOT NULL)"
        " AND (leased_until IS NULL) = (leased_by IS NULL)",
        name="leased_iff_running",
    ),
    CheckConstraint("status <> 'failed' OR error IS NOT NULL", name="failed_has_error"),
    CheckConstraint("status <> 'succeeded' OR error IS NULL", name="succeeded_has_no_error"),
    CheckConstraint("NOT ready OR status = 'queued'", name="ready_only_queued"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="progress_is_percent"),
    CheckConstraint("(batch_id IS NULL) = (batch_index IS NULL)", name="batch_has_index"),
    UniqueConstraint("batch_id", "batch_index"),
    # claims: lane and provider, then account by account, best first
    Index(
        "ix_jobs_ready",
        "lane",
        "provider",
        "account_id",
        _BEST_FIRST,
        "run_at",
        **_where(READY),
    ),
    # a lane's jobs in order, across accounts
    Index("ix_jobs_line", "lane", _BEST_FIRST, "run_at", **_where(READY)),
    Index(
        "ix_jobs_delayed",
        "lane",
        "run_at",
        **_where(DELAYED),
    ),
    Index(
        "ix_jobs_waiting",
        "lane",
        "run_at",
        **_where(WAITING),
    ),
    Index(
        "ix_jobs_leased",
        "leased_until",
        **_where(LEASED),
    ),
    Index(
        "ix_jobs_start_by",
        "start_by",
        **_where(TO_START_BY),
    ),
    # counted by the limits
    Index("ix_jobs_provider_in_flight", "provider", **_where(IN_FLIGHT)),
    Index("ix_jobs_dead", "finished_at", "id", **_where(DEAD)),
    Index("ix_jobs_finished_at", "finished_at", **_where(ENDED)),
    # lists by status, merged from six for all; and the count for an account's limit
    Index("ix_jobs_account", "account_id", "status", "id"),
    # an account's dead letters, and its digests
    Index("ix_jobs_ended", "account_id", "status", "finished_at", **_where(ENDED)),
    Index("ix_jobs_movable", "provider", "run_at", **_where(MOVABLE)),
    Index("ix_jobs_bound_to_fail", "run_at", **_where(BOUND_TO_FAIL)),
    Index("ix_jobs_succeeded", "model", "finished_at", **_where(SUCCEEDED)),
)

# A row is a lane that starts no jobs; its running and waiting jobs continue.
paused_lanes = Table(
    "paused_lanes",
    metadata,
    Column("name", sa.Text, primary_key=True),
    Column("paused_at", Instant, nullable=False),
)

# Processes that do the work; each renews its row, and counts as gone after `due_at`.
processes = Table(
    "processes",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("host", sa.Text, nullable=False),
    Column("pid", sa.Integer, nullable=False),
    Column("roles", Json, nullable=False),
    Column("lanes", Json, nullable=False),
    Column("version", sa.Text, nullable=False),
    Column("running", sa.Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
)

# Token buckets of providers with a limit on starts per minute.
start_rates = Table(
    "start_rates",
    metadata,
    Column("provider", sa.Text, primary_key=True),
    Column("tokens", sa.Float, nullable=False),
    Column("filled_at", Instant, nullable=False),
)

# Providers that failed or asked for a pause, and slowed-down start rates after that.
breakers = Table(
    "breakers",
    metadata,
    Column("provider", sa.Text, primary_key=True),
    Column("faults", sa.Integer, nullable=False),  # in a row
    Column("shut_until", Instant),
    Column("reason", sa.Text, nullable=False),
    Column("refused_look", sa.Text),  # the error code of its refused lookups
    Column("degraded_at", Instant),  # when the operator was notified
    Column("pace", sa.Float),  # starts per minute it sustained at `paced_at`
    Column("paced_at", Instant),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("job_id", sa.Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", sa.Integer, nullable=False),
    Column("provider", sa.Text, nullable=False),
    Column("state", sa.Text, nullable=False),
    # why it was closed: 'none' while it is open, 'earlier' if closed before this column existed
    Column("ground", sa.Text, nullable=False, server_default="earlier"),
    Column("outcome", sa.Text),
    Column("ticket", sa.Text),
    Column("error", Json),
    Column("cost_micros", sa.BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("ticketed_at", Instant),
    Column("unknown_at", Instant),  # when its response was lost
    Column("closed_at", Instant),
    # for the janitor, after the job is final
    Column("look_at", Instant),  # NULL: at once
    Column("cancels", sa.Integer, nullable=False, server_default="0"),  # requested, unconfirmed
    CheckConstraint("state IN ('sent','ticketed','unknown','closed')", name="state"),
    CheckConstraint(
        "(state = 'closed') = (outcome IS NOT NULL)"
        " AND (state = 'closed') = (closed_at IS NOT NULL)",
        name="closed_has_outcome",
    ),
    CheckConstraint("state <> 'closed' OR ground <> 'none'", name="closed_has_ground"),
    CheckConstraint("outcome IN ('succeeded','failed','canceled','lost')", name="outcome"),
    CheckConstraint("state <> 'ticketed' OR ticket IS NOT NULL", name="ticketed_has_ticket"),
    UniqueConstraint("job_id", "number"),
    # At most one attempt of a job can be open: the database rejects a second one.
    Index(
        "uq_attempts_open",
        "job_id",
        unique=True,
        **_where(OPEN),
    ),
    Index("ix_attempts_ticket", "provider", "ticket", **_where(TICKETED)),
    Index("ix_attempts_look_at", "look_at", **_where(RECONCILED)),
    Index("ix_attempts_lately", "provider", "created_at"),
)

# A provider's last verified callback for an open attempt; read when the attempt is looked up.
callbacks = Table(
    "callbacks",
    metadata,
    Column("attempt_id", sa.Text, ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True),
    Column("body", sa.LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
)

# Numbers assets in order of creation, for cursors and the search index. SQLite has no sequences and
# computes the next number on insert.
asset_numbers = sa.Sequence("asset_numbers", metadata=metadata)

assets = Table(
    "assets",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("number", sa.BigInteger),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("job_id", sa.Text, ForeignKey("jobs.id")),
    Column("position", sa.Integer, nullable=False, server_default="0"),
    Column("kind", sa.Text, nullable=False),
    Column("name", sa.Text, nullable=False, server_default=""),
    Column("caption", sa.Text, nullable=False, server_default=""),
    Column("external_id", sa.Text, nullable=False, server_default=""),  # the caller's own
    Column("tags", Json, nullable=False, server_default="[]"),
    Column("metadata", Json, nullable=False, server_default="{}"),
    Column("key", sa.Text, unique=True),  # the public copy
    Column("original_key", sa.Text, nullable=False),  # private, shared by equal bytes
    Column("media_type", sa.Text, nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("width", sa.Integer),
    Column("height", sa.Integer),
    Column("sha256", sa.Text, nullable=False),  # of the file as it came
    Column("served_sha256", sa.Text),  # of the object under `key`; NULL before 0018
    Column("placeholder", sa.Text),
    Column("perceptual_hash", sa.Text),
    Column("facts", Json, nullable=False),
    Column("renditions", Json, nullable=False),  # {name: Rendition}
    Column("source_url", sa.Text, nullable=False, server_default=""),
    Column("source_host", sa.Text, nullable=False, server_default=""),
    Column("prompt", sa.Text, nullable=False, server_default=""),
    Column("model", sa.Text, nullable=False, server_default=""),
    Column("provider", sa.Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),  # NULL: never
    Column("hold", sa.Text, nullable=False, server_default=""),  # the reason of a legal hold
    Column("seq", sa.Integer, nullable=False, server_default="1"),  # of its last event
    CheckConstraint("kind IN ('image','model_3d')", name="kind"),
    UniqueConstraint("job_id", "position"),
    Index("uq_assets_number", "number", unique=True),
    Index("ix_assets_account", "account_id", "number"),
    Index("ix_assets_original", "original_key"),
    Index("ix_assets_created_at", "created_at"),
    Index("ix_assets_expires_at", "expires_at", **_where(EXPIRES)),
)

# Deleted assets that can be restored: tombstone rows, with their objects under keys never served.
trash = Table(
    "trash",
    metadata,
    Column("asset_id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("original_key", sa.Text, nullable=False),
    Column("row", Json, nullable=False),
    Column("deleted_at", Instant, nullable=False),
    Column("purge_at", Instant, nullable=False),
    Index("ix_trash_account", "account_id", "asset_id"),
    Index("ix_trash_original", "original_key"),
    Index("ix_trash_purge_at", "purge_at"),
)

# The audit log: append-only; rows outlive their subjects.
# Recipients of mail, SMS or a topic. `code` authorizes confirmation, `token` to unsubscribe.
contacts = Table(
    "contacts",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("channel", sa.Text, nullable=False),
    Column("address", sa.Text, nullable=False),
    Column("events", Json, nullable=False),
    Column("digest", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("code", sa.Text, nullable=False, server_default=""),
    Column("code_until", Instant),
    Column("codes", sa.Integer, nullable=False, server_default="0"),
    Column("guesses", sa.Integer, nullable=False, server_default="0"),
    Column("token", sa.Text, nullable=False),
    Column("digested_on", sa.Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("stopped_at", Instant),
    Column("stopped_reason", sa.Text, nullable=False, server_default=""),
    CheckConstraint("channel IN ('email','sms','sns')", name="channel"),
    UniqueConstraint("account_id", "channel", "address"),
    Index("ix_contacts_digest", "digested_on", **_where(text("digest"))),
)

# One event on its way to one contact.
notices = Table(
    "notices",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("contact_id", sa.Text, ForeignKey("contacts.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", sa.Text, nullable=False),
    Column("event", Json, nullable=False),
    Column("state", sa.Text, nullable=False),
    Column("tries", sa.Integer, nullable=False, server_default="0"),
    Column("claim_no", sa.Integer, nullable=False, server_default="0"),  # the fencing token
    Column(
        "due_at", Instant, nullable=False
    ),  # a sender that claims it sets this to the lease's end
    Column("error", sa.Text, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    CheckConstraint("state IN ('pending','delivered','failed')", name="state"),
    CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name="finished_iff_final"),
    UniqueConstraint("contact_id", "event_id"),
    Index("ix_notices_contact", "contact_id", "created_at"),
    Index("ix_notices_newest", "contact_id", "id"),
    Index("ix_notices_due", "due_at", **_where(PENDING)),
    Index("ix_notices_finished_at", "finished_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", sa.Text, nullable=False),
    Column("action", sa.Text, nullable=False),
    Column("subject", sa.Text, nullable=False),
    Column("data", Json, nullable=False),
    Index("ix_audit_account", "account_id", "id"),
    Index("ix_audit_subject", "subject", "account_id", "id"),
)

# Private originals, stored once per account and content. Until `held_until`, an asset that uses it
# is about to be inserted.
originals = Table(
    "originals",
    metadata,
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False),
    Column("sha256", sa.Text, nullable=False),
    Column("key", sa.Text, nullable=False, unique=True),
    Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
    Column("held_until", Instant),
    sa.PrimaryKeyConstraint("account_id", "sha256"),
    Index("ix_originals_held", "held_until", **_where(HELD)),
)

# Stored objects that no asset names, not yet or no longer: recorded before they are stored and
# before they are removed, so that a crash leaves no orphans.
loose_objects = Table(
    "loose_objects",
    metadata,
    Column("id", sa.Text, primary_key=True),  # the asset they will belong to, or did
    Column("object_keys", Json, nullable=False),
    Column("until", Instant, nullable=False),  # then the janitor removes them
    Index("ix_loose_objects_until", "until"),
)

# Derived pictures in other sizes and formats, created on first request.
variants = Table(
    "variants",
    metadata,
    Column("asset_id", sa.Text, ForeignKey("assets.id", ondelete="CASCADE"), nullable=False),
    Column("spec", sa.Text, nullable=False),  # the parameters, in canonical form
    Column("key", sa.Text, nullable=False, unique=True),
    Column("media_type", sa.Text, nullable=False),
    Column("width", sa.Integer, nullable=False),
    Column("height", sa.Integer, nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("sha256", sa.Text),  # NULL before 0018
    Column("created_at", Instant, nullable=False),
    sa.PrimaryKeyConstraint("asset_id", "spec"),
)

# This installation's secrets, created on first use.
secrets = Table(
    "secrets",
    metadata,
    Column("name", sa.Text, primary_key=True),
    Column("value", sa.LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, nullable=False),
    Column("subject", sa.Text, nullable=False),
    Column("batch_id", sa.Text),
    Column("seq", sa.Integer, nullable=False),
    Column("type", sa.Text, nullable=False),
    Column("data", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    # False until its deliveries and notices are created; true at once if there are none.
    Column("told", sa.Boolean, nullable=False, server_default=sa.true()),
    UniqueConstraint("subject", "seq"),
    Index(
        "ix_events_batch",
        "batch_id",
        "id",
        **_where(text("batch_id IS NOT NULL")),
    ),
    Index("ix_events_created_at", "created_at"),
    Index("ix_events_untold", "created_at", **_where(UNTOLD)),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", sa.Text, nullable=False),
    Column("key", sa.Text, nullable=False),
    Column("fingerprint", sa.Text, nullable=False),  # of method, route and body
    Column("subject", sa.Text, nullable=False),  # the job or batch it created
    Column("created_at", Instant, nullable=False),
    sa.PrimaryKeyConstraint("account_id", "key"),
    Index("ix_idempotency_created_at", "created_at"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("account_id", sa.Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("url", sa.Text, nullable=False),
    Column("events", Json, nullable=False),  # event types; a trailing `*` matches a prefix
    Column("thin", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("secret", sa.Text, nullable=False),  # signs messages, so it cannot be hashed
    Column("old_secret", sa.Text),  # signs too until then
    Column("old_secret_until", Instant),
    Column("seq", sa.Integer, nullable=False, server_default="0"),
    Column("created_at", Instant, nullable=False),
    Column("failing_since", Instant),  # the first failure after the last success
    Column("disabled_at", Instant),
    Column("disabled_reason", sa.Text, nullable=False, server_default=""),
    Index("uq_endpoints_default", "account_id", unique=True, **_where(DEFAULT)),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", sa.Text, primary_key=True),
    Column("endpoint_id", sa.Text, ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("event_id", sa.Text, nullable=False),
    Column("event", Json, nullable=False),
    Column("url", sa.Text, nullable=False, server_default=""),  # empty: the endpoint's URL
    Column("receiver", sa.Text, nullable=False, server_default=""),  # the unit of fair sharing
    Column("state", sa.Text, nullable=False),
    Column("tries", sa.Integer, nullable=False, server_default="0"),
    Column("claim_no", sa.Integer, nullable=False, server_default="0"),  # the fencing token
    Column(
        "due_at", Instant, nullable=False
    ),  # a sender that claims it sets this to the lease's end
    Column("status", sa.Integer),  # of the last response
    Column("error", sa.Text, nullable=False, server_default=""),
    Column("answer", sa.Text, nullable=False, server_default=""),  # the start of it
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    CheckConstraint("state IN ('pending','delivered','failed')", name="state"),
    CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name="finished_iff_final"),
    UniqueConstraint("endpoint_id", "event_id"),
    Index("ix_deliveries_due", "due_at", **_where(PENDING)),
    # lists by state, merged from three for all
    Index("ix_deliveries_endpoint", "endpoint_id", "state", "id"),
    Index("ix_deliveries_finished_at", "finished_at"),
)

# The log of a delivery's newest tries.
delivery_tries = Table(
    "delivery_tries",
    metadata,
    Column("delivery_id", sa.Text, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("number", sa.Integer, nullable=False),  # the delivery's claim_no
    Column("at", Instant, nullable=False),
    Column("took_ms", sa.Integer, nullable=False),
    Column("status", sa.Integer),
    Column("error", sa.Text, nullable=False),
    Column("request", Json, nullable=False),  # {headers, body}, with only the start of the body
    Column("answer", Json),  # the same
    sa.PrimaryKeyConstraint("delivery_id", "number"),
)
