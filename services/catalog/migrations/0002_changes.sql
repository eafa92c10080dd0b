-- What has changed of what readers keep: one row per statement that changed something, in the same
-- commit, whoever wrote it: any version of the program, or a person. Each instance looks here for the
-- rows of transactions that it has not seen yet, and tells its watchers. Rows go after a minute or two.
create table changes (
  -- Which transaction wrote it: a snapshot says exactly whose rows it sees, in whatever order they
  -- were committed. No sequence and no clock does.
  tx xid8 not null default pg_current_xact_id(),
  product_ids integer[] not null default '{}',
  -- The list of categories is another one.
  categories boolean not null default false,
  created_at timestamptz not null default now()
);

create index changes_by_transaction on changes (tx);

-- A sale moves units that were held already, which no reader sees: it writes nothing.
create function tell_moved_stock() returns trigger language plpgsql as $$
begin
  insert into changes (product_ids)
  select array_agg(product_id)
    from after_it join before_it using (product_id)
   where after_it.available <> before_it.available
  having count(*) > 0;
  return null;
end $$;

create trigger stock_moved after update on stock
  referencing old table as before_it new table as after_it
  for each statement execute function tell_moved_stock();

-- The rest is rare: prices, names and pictures that are changed by hand, and what is new.
create function tell_products() returns trigger language plpgsql as $$
begin
  insert into changes (product_ids) select array_agg(id) from changed having count(*) > 0;
  return null;
end $$;

create trigger products_changed after update on products
  referencing new table as changed for each statement execute function tell_products();

create function tell_product_ids() returns trigger language plpgsql as $$
begin
  insert into changes (product_ids) select array_agg(product_id) from changed having count(*) > 0;
  return null;
end $$;

create trigger stock_gone after delete on stock
  referencing old table as changed for each statement execute function tell_product_ids();
create trigger products_shelved after insert on product_categories
  referencing new table as changed for each statement execute function tell_product_ids();
create trigger products_moved after update on product_categories
  referencing new table as changed for each statement execute function tell_product_ids();
create trigger products_unshelved after delete on product_categories
  referencing old table as changed for each statement execute function tell_product_ids();

-- Products are shown with the names of their categories.
create function tell_categories() returns trigger language plpgsql as $$
begin
  insert into changes (product_ids, categories)
  select coalesce(array_agg(product_id) filter (where product_id is not null), '{}'), true
    from changed left join product_categories on category_id = changed.id
  having count(*) > 0;
  return null;
end $$;

create trigger categories_new after insert on categories
  referencing new table as changed for each statement execute function tell_categories();
create trigger categories_changed after update on categories
  referencing new table as changed for each statement execute function tell_categories();
create trigger categories_gone after delete on categories
  referencing old table as changed for each statement execute function tell_categories();
