-- Asked for by the customer while the order was not paid; the saga voids the payment first.
alter table orders add column cancel_requested_at timestamptz;

-- What was given back, and what is being given back.
alter table orders add column refunded_minor bigint not null default 0;
alter table orders add constraint orders_refunded
  check (refunded_minor = 0 or refunded_minor between 0 and total_minor);

-- Why nobody works on the order any more: a step of it fails for a reason that waiting does not mend.
alter table orders add column set_aside_reason text not null default '';
create index orders_set_aside on orders (id) where set_aside_reason <> '';

-- A refund is promised here, and kept at the payment service: REQUESTED -> REFUNDED | REFUSED. Its amount is in
-- the order's refunded_minor from the start, and leaves it when the refund is refused.
create table refunds (
  order_id integer not null references orders,
  refund_key text not null,
  amount_minor bigint not null check (amount_minor > 0),
  state text not null check (state in ('REQUESTED', 'REFUNDED', 'REFUSED')),
  -- Why it was refused; empty otherwise.
  reason text not null default '',
  trace_id text not null,
  tries integer not null default 0,
  next_try_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (order_id, refund_key)
);

create index refunds_due on refunds (next_try_at) where next_try_at is not null;
