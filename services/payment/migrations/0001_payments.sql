-- One row per order, which only moves forward: none -> CHARGING -> CHARGED | DECLINED | VOID. An order
-- that was voided before it was charged is VOID from the start, so that a late Charge changes nothing.
create table payments (
  order_id integer primary key,
  state text not null check (state in ('CHARGING', 'CHARGED', 'DECLINED', 'VOID')),
  -- What was asked for, and stays so; without a currency in a row that is VOID from the start.
  amount_minor bigint not null check (amount_minor >= 0),
  currency_code text not null check (state = 'VOID' or currency_code <> ''),
  -- The provider's token, never a card.
  payment_method text not null,
  decline_reason text not null default '' check ((state = 'DECLINED') = (decline_reason <> '')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 70);
