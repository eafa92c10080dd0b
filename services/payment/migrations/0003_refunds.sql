-- What is given back of a payment: the refunds that are under way or done, never the refused ones. Raised
-- by the commit that records a refund, so that refunds that race can never be more than the charge.
alter table payments
  add column refunded_minor bigint not null default 0,
  add constraint payments_refunded check (refunded_minor between 0 and amount_minor),
  add constraint payments_refunded_charged check (state = 'CHARGED' or refunded_minor = 0);

-- One row per order and refund key, which only moves forward: none -> REFUNDING -> REFUNDED | REFUSED.
create table refunds (
  order_id integer not null references payments,
  refund_key text not null,
  amount_minor bigint not null check (amount_minor > 0),
  state text not null check (state in ('REFUNDING', 'REFUNDED', 'REFUSED')),
  refusal_reason text not null default '' check ((state = 'REFUSED') = (refusal_reason <> '')),
  -- Set until the provider's verdict is recorded: then any instance may take the refund up.
  next_try_at timestamptz check ((state = 'REFUNDING') = (next_try_at is not null)),
  tries integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (order_id, refund_key)
) with (fillfactor = 70);

create index refunds_due on refunds (next_try_at) where next_try_at is not null;
