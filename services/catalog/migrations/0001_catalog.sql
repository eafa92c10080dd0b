-- What is for sale. Ids are never used again.
create table categories (
  id integer generated always as identity primary key,
  name text not null constraint categories_name_taken unique,
  description text not null,
  created_by integer not null,
  created_at timestamptz not null default now()
);

create table products (
  id integer generated always as identity primary key,
  name text not null,
  price_minor bigint not null check (price_minor >= 0),
  image_url text not null,
  seller_id integer not null,
  created_at timestamptz not null default now()
);

create table product_categories (
  product_id integer not null references products,
  category_id integer not null constraint product_categories_category references categories,
  primary key (product_id, category_id)
);

create index product_categories_by_category on product_categories (category_id, product_id);

-- A user's writes of the last day are counted against the quota.
create index categories_by_creator on categories (created_by, created_at);
create index products_by_seller on products (seller_id, created_at);

-- Every unit is in one of three places; start stock = available + held + sold. The checks are the last
-- line of defence: no bug above them can oversell.
create table stock (
  product_id integer primary key references products,
  available integer not null check (available >= 0),
  held integer not null default 0 check (held >= 0),
  sold integer not null default 0 check (sold >= 0)
) with (fillfactor = 50);

-- One row per order, which only moves forward: HELD -> SOLD | RELEASED. An order that was refused, or
-- released before it reserved, is RELEASED from the start, so that a late Reserve changes nothing.
create table reservations (
  order_id integer primary key,
  state text not null check (state in ('HELD', 'SOLD', 'RELEASED')),
  -- [{ "productId", "quantity", "unitPriceMinor" }]: what was held, at the prices found then.
  lines jsonb not null default '[]',
  total_minor bigint not null default 0,
  -- Why nothing was held, and what there was not enough of.
  refusal_reason text not null default '',
  shortages jsonb not null default '[]',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
) with (fillfactor = 70);

-- The one row of what holds for the whole shop.
create table shop (
  only_row boolean primary key default true check (only_row),
  currency_code text not null
);
