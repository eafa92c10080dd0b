-- The order row is the state of its saga. `next_try_at` stays set until the last obligation has answered;
-- workers claim what is due by it, so a crash at any line leaves a row that somebody finds.
create table orders (
  id integer generated always as identity primary key,
  user_id integer not null,
  state text not null check (state in
    ('INTENT', 'ABANDONED', 'CREATED', 'APPROVED', 'PAID', 'PAYMENT_FAILED', 'ITEMS_REJECTED')),
  -- Why it failed; empty otherwise.
  reason text not null default '',
  payment_method text not null,
  expected_total_minor bigint,
  -- [{ "productId", "quantity", "unitPriceMinor" }]; the prices come with the reservation.
  lines jsonb not null default '[]',
  total_minor bigint,
  currency_code text,
  -- Every log line that the order causes, in any service, has it.
  trace_id text not null,
  approved_at timestamptz,
  tries integer not null default 0,
  next_try_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 60);

create index orders_due on orders (next_try_at) where next_try_at is not null;
create index orders_by_user on orders (user_id, id);

-- The first answer to a key, for 24 hours: an order, or a failure.
create table idempotency_keys (
  user_id integer not null,
  key text not null,
  -- What the key came with; with anything else it is refused.
  arguments text not null,
  order_id integer,
  -- { "code", "reason", "message", "metadata" } of a first answer that was a failure.
  failure jsonb,
  created_at timestamptz not null default now(),
  primary key (user_id, key)
);

create index idempotency_keys_by_order on idempotency_keys (order_id);
create index idempotency_keys_by_age on idempotency_keys (created_at);
