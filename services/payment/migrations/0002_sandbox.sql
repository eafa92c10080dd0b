-- What the sandbox provider believes. It stands for a system that is not ours: nothing but
-- src/sandbox.ts reads or writes it, on connections of its own.
create schema sandbox;

-- One row per idempotency key, never changed: who writes it first decides. VOID takes no money, ever.
create table sandbox.ledger (
  key text primary key,
  state text not null check (state in ('CHARGED', 'DECLINED', 'VOID')),
  amount_minor bigint not null,
  currency_code text not null,
  decline_reason text not null,
  created_at timestamptz not null default now()
);

-- The keys of which the sandbox has lost one call, so that it loses no second one.
create table sandbox.lost_calls (
  key text primary key,
  created_at timestamptz not null default now()
);
