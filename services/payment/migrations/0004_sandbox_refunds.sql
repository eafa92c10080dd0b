-- The sandbox's side of refunds. The method steers them; `refunded_minor` is all that ever changes in a
-- row of its ledger, and never exceeds what was charged.
alter table sandbox.ledger
  add column payment_method text not null default '',
  add column refunded_minor bigint not null default 0,
  add constraint ledger_refunded check (refunded_minor between 0 and amount_minor),
  add constraint ledger_refunded_charged check (state = 'CHARGED' or refunded_minor = 0);

-- One row per charge and refund key, never changed: who writes it first decides.
create table sandbox.refunds (
  key text not null,
  refund_key text not null,
  amount_minor bigint not null check (amount_minor > 0),
  state text not null check (state in ('REFUNDED', 'REFUSED')),
  refusal_reason text not null,
  created_at timestamptz not null default now(),
  primary key (key, refund_key)
);
