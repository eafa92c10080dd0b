-- From where somebody signed in: shown to them, and what tells their usual places from strangers'.
-- Erased when the session is revoked, when the password changes and with the user.
alter table sessions
  add column address text,
  -- The address, or for IPv6 its /64: what one household or machine has.
  add column network text,
  add column user_agent text,
  -- For sessions from before this column: when it came.
  add column last_used_at timestamptz not null default now();

create index sessions_by_place on sessions (user_id, network, expires_at);

-- Password checks that failed or are under way, counted under what they have in common.
create table password_guesses (
  -- SHA-256 of what is counted: an account (whether there is one or not), or an address.
  key bytea primary key,
  -- When: never more than its limit within the window.
  failed_at timestamptz[] not null default '{}',
  -- A row is of no use once this is older than the window.
  newest_at timestamptz not null default clock_timestamp()
);

create index password_guesses_by_age on password_guesses (newest_at);
