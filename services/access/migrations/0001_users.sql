-- Who the shop knows. A deleted user stays as a tombstone without personal data: ids are never used
-- again.
create table users (
  id integer generated always as identity primary key,
  -- Lower case and in Unicode's composed form, so that the key finds what a person means.
  email text constraint users_email_taken unique,
  password_hash text,
  role text not null default 'customer' check (role in ('customer', 'staff')),
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint users_tombstone check (
    (deleted_at is null) = (email is not null) and (deleted_at is null) = (password_hash is not null)
  )
);

-- One sign-in. It ends once; what was signed for it is worth nothing from then on.
create table sessions (
  id uuid primary key default gen_random_uuid(),
  user_id integer not null references users,
  created_at timestamptz not null default now(),
  -- When the last of its refresh tokens expires.
  expires_at timestamptz not null,
  ended_at timestamptz
);

create index sessions_open_by_user on sessions (user_id) where ended_at is null;
-- What the watchers of revocations are told.
create index sessions_by_end on sessions (ended_at) where ended_at is not null;
create index sessions_by_expiry on sessions (expires_at);

-- The tokens themselves are known to their owners only.
create table refresh_tokens (
  -- SHA-256 of the token.
  token_hash bytea primary key,
  session_id uuid not null references sessions on delete cascade,
  issued_at timestamptz not null default now(),
  expires_at timestamptz not null,
  -- Kept until the token expires: a spent token that is played again gives a thief away.
  spent_at timestamptz
);

create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_by_expiry on refresh_tokens (expires_at);

-- Deleted users whose carts are still to be erased.
create table erasures (
  user_id integer primary key references users,
  tries integer not null default 0,
  -- Also the lease of the instance that is at it.
  next_try_at timestamptz not null
);

create index erasures_due on erasures (next_try_at);
