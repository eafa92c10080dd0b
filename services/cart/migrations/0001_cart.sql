-- One row per user, kept for good: the documents of a MongoDB store, as columns.
create table carts (
  user_id integer primary key,
  -- { "<productId>": quantity }; null until a change creates the cart.
  lines jsonb,
  -- { "<orderId>": { "<productId>": quantity } }: what is aside for the orders under way.
  checkouts jsonb not null default '{}',
  -- { "<orderId>": 1 }: the checkouts that ended last. Those up to `floor` have ended too.
  ended jsonb not null default '{}',
  floor integer not null default 0,
  -- The user was deleted: nothing else is kept, and nothing is ever written again.
  erased boolean not null default false,
  updated_at timestamptz not null default now()
) with (fillfactor = 70);
