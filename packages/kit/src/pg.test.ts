import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, it } from "node:test";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { until } from "@piata/testkit/until";
import { Secret } from "./config.js";
import { isFailure } from "./errors.js";
import { Database, type Queries, statement, violates } from "./pg.js";
import { gate } from "./trial.js";

const AWAY = { code: "UNAVAILABLE", reason: "DATABASE_UNREACHABLE" };
const PROGRAM = "kit-test";

const one = statement("one", "select 1 as n");
const sleep = statement("sleep", "select pg_sleep(20)");
const backend = statement("backend", "select pg_backend_pid() as pid");
const insert = statement("insert", "insert into things (id, n) values ($1, $2)");
const add = statement("add", "update things set n = n + 1 where id = $1");
const addReturning = statement(
  "add_returning",
  "update things set n = n + 1 where id = $1 returning n",
);
const list = statement("list", "select id, n from things order by id");
const terminate = statement("terminate", "select pg_terminate_backend($1)");
const busyWith = statement(
  "busy_with",
  `select pid from pg_stat_activity
    where datname = current_database() and state = 'active' and query = $1`,
);
const waiting = statement(
  "waiting",
  `select pid from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`,
);

let testDatabase: TestDatabase;
let db: Database;
before(async () => {
  testDatabase = await createTestDatabase({ template: "kit_empty" });
  db = open();
  await db.rows(
    statement(
      "create",
      "create table things (id integer primary key, n bigint not null check (n >= 0))",
    ),
  );
});
after(async () => {
  await db.close();
  await testDatabase.drop();
});

const open = (connectionsMax = 4, url = testDatabase.url) =>
  new Database(new Secret(url), { program: PROGRAM, connectionsMax });

const things = () => db.rows<{ id: number; n: number }>(list);
const pidOf = async (queries: Queries) =>
  (await queries.rows<{ pid: number }>(backend))[0]?.pid as number;

async function killWhenBusyWith(text: string): Promise<void> {
  const pid = await until(async () => (await db.rows<{ pid: number }>(busyWith, [text]))[0]?.pid);
  await db.rows(terminate, [pid]);
}

describe("a statement", () => {
  it("reads a bigint as an exact number and refuses one that is not", async () => {
    const bigint = statement("bigint", "select $1::bigint as n");
    for (const n of [0, -1, 2 ** 31, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      assert.deepEqual(await db.rows(bigint, [n]), [{ n }]);
    }
    await assert.rejects(db.rows(bigint, ["9007199254740993"]), RangeError);
    assert.deepEqual(await db.rows(bigint, [null]), [{ n: null }]);
  });

  it("carries its program's name, and a limit of time", async () => {
    const settings = statement(
      "settings",
      "select current_setting('application_name') as name, current_setting('statement_timeout') as ms",
    );
    assert.deepEqual(await db.rows(settings), [{ name: PROGRAM, ms: "10s" }]);
  });

  it("that breaks a constraint says which, and keeps its connection", async () => {
    const lone = open(1);
    const pid = await pidOf(lone);
    await lone.rows(insert, [1, 1]);
    await assert.rejects(lone.rows(insert, [1, 1]), (error) => {
      assert.ok(violates(error, "things_pkey"));
      assert.ok(!violates(error, "things_n_check"));
      return true;
    });
    await assert.rejects(lone.rows(insert, [2, -1]), (error) => violates(error, "things_n_check"));
    assert.ok(!violates(new Error("no"), "things_pkey"));
    assert.equal(await pidOf(lone), pid);
    await lone.close();
  });
});

describe("a transaction", () => {
  it("commits what it did, and answers with what the work answered", async () => {
    const answer = await db.transaction(async (tx) => {
      await Promise.all([tx.rows(insert, [10, 1]), tx.rows(add, [10]), tx.rows(add, [10])]);
      return "done";
    });
    assert.equal(answer, "done");
    assert.deepEqual(
      (await things()).find(({ id }) => id === 10),
      { id: 10, n: 3 },
    );
  });

  it("does nothing when the work throws, at once or later, or a statement fails", async () => {
    const before = await things();
    const works: ((tx: Queries) => Promise<unknown>)[] = [
      () => {
        throw new RangeError("at once");
      },
      async (tx) => {
        await tx.rows(insert, [20, 1]);
        throw new RangeError("later");
      },
    ];
    for (const work of works) await assert.rejects(db.transaction(work), RangeError);
    await assert.rejects(
      db.transaction((tx) =>
        Promise.all([tx.rows(insert, [21, 1]), tx.rows(insert, [21, 1]), tx.rows(insert, [22, 1])]),
      ),
      (error) => violates(error, "things_pkey"),
    );
    assert.deepEqual(await things(), before);
  });

  it("is an error when the work goes on after a statement that failed", async () => {
    const work = async (tx: Queries) => {
      await tx.rows(insert, [30, 1]);
      await tx.rows(insert, [30, 1]).catch(() => undefined);
    };
    await assert.rejects(db.transaction(work), /nothing was committed/);
    assert.ok((await things()).every(({ id }) => id !== 30));
  });

  it("lets no statement through after its end", async () => {
    const lone = open(1);
    const later = gate();
    let late: Promise<unknown> | undefined;
    const work = (tx: Queries) => {
      late = later.promise.then(() => tx.rows(insert, [40, 1]));
      return Promise.all([late, Promise.reject(new RangeError("no"))]);
    };
    await assert.rejects(lone.transaction(work), RangeError);
    later.resolve();
    await assert.rejects(late as Promise<unknown>, /insert came after the end/);
    assert.ok((await things()).every(({ id }) => id !== 40));
    await lone.close();
  });

  it("is committed with its last statement, and by that alone", async () => {
    const inserted = await db.transaction(async (tx) => {
      await tx.rows(insert, [45, 0]);
      const rows = await tx.lastRows<{ n: number }>(addReturning, [45]);
      assert.ok(
        (await things()).some(({ id }) => id === 45),
        "it is there for others by now",
      );
      return rows;
    });
    assert.deepEqual(inserted, [{ n: 1 }]);
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.rows(insert, [46, 0]);
        await tx.lastRows(insert, [45, 0]);
      }),
      (error) => violates(error, "things_pkey"),
    );
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.lastRows(insert, [47, 0]);
        await tx.rows(insert, [48, 0]);
      }),
      /insert came after the end/,
    );
    const ids = (await things()).map(({ id }) => id);
    assert.deepEqual(
      [45, 46, 47, 48].map((id) => ids.includes(id)),
      [true, false, true, false],
    );
  });

  it("that lost a deadlock is run again", async () => {
    await db.rows(insert, [50, 0]);
    await db.rows(insert, [51, 0]);
    const [bothHold, oneWon, tries] = [gate(), gate(), [0, 0]];
    let holding = 0;
    const addBoth = (which: 0 | 1) =>
      db.transaction(async (tx) => {
        tries[which] = (tries[which] ?? 0) + 1;
        if (tries[which] > 1) await oneWon.promise;
        await tx.rows(add, [50 + which]);
        holding += 1;
        if (holding === 2) bothHold.resolve();
        await bothHold.promise;
        await tx.rows(add, [51 - which]);
      });
    await Promise.all([addBoth(0), addBoth(1)].map((both) => both.then(() => oneWon.resolve())));
    assert.deepEqual(
      (await things()).filter(({ id }) => id >= 50),
      [
        { id: 50, n: 2 },
        { id: 51, n: 2 },
      ],
    );
    assert.deepEqual([...tries].sort(), [1, 2], "one lost, once");
  });

  it("and a statement wait for each other's locks, and both are kept", async () => {
    const [locked, free] = [gate(), gate()];
    await db.rows(insert, [60, 0]);
    const holder = db.transaction(async (tx) => {
      await tx.rows(add, [60]);
      locked.resolve();
      await free.promise;
    });
    await locked.promise;
    const second = db.rows(add, [60]);
    await until(async () => (await db.rows(waiting)).length === 1);
    free.resolve();
    await Promise.all([holder, second]);
    assert.deepEqual(
      (await things()).filter(({ id }) => id === 60),
      [{ id: 60, n: 2 }],
    );
  });

  it("loses its locks when its process hangs, and has done nothing", async () => {
    const [locked, goOn] = [gate(), gate()];
    await db.rows(insert, [70, 0]);
    const hung = db.transaction(async (tx) => {
      await tx.rows(add, [70]);
      locked.resolve();
      await goOn.promise;
    });
    const lost = assert.rejects(hung, AWAY);
    await locked.promise;
    await db.rows(add, [70]);
    goOn.resolve();
    await lost;
    assert.deepEqual(
      (await things()).filter(({ id }) => id === 70),
      [{ id: 70, n: 1 }],
    );
  });
});

describe("a database that goes away", () => {
  it("is DATABASE_UNREACHABLE when nobody listens", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    const away = open(1, `postgres://nobody:secret@127.0.0.1:${port}/nothing`);
    await assert.rejects(away.rows(one), AWAY);
    await assert.rejects(
      away.transaction(async () => assert.fail("there is no transaction")),
      (error) => isFailure(error, "DATABASE_UNREACHABLE") && !error.message.includes("secret"),
    );
    await away.close();
  });

  it("is DATABASE_UNREACHABLE for a name that cannot be resolved", async () => {
    const away = open(1, "postgres://nobody@no-such-host.invalid/nothing");
    await assert.rejects(away.rows(one), AWAY);
    await away.close();
  });

  it("fails the statement under way, and the next one has a new connection", async () => {
    const lone = open(1);
    const asleep = assert.rejects(lone.rows(sleep), AWAY);
    await killWhenBusyWith(sleep.text);
    await asleep;
    assert.deepEqual(await lone.rows(one), [{ n: 1 }]);
    await lone.close();
  });

  it("fails the transaction under way in every statement, and the next one works", async () => {
    const lone = open(1);
    const pipelined = assert.rejects(
      lone.transaction((tx) => Promise.all([tx.rows(sleep), tx.rows(one), tx.rows(one)])),
      AWAY,
    );
    await killWhenBusyWith(sleep.text);
    await pipelined;
    assert.deepEqual(await lone.transaction((tx) => tx.rows(one)), [{ n: 1 }]);
    await lone.close();
  });

  it("fails a transaction whose connection breaks between its statements", async () => {
    const lone = open(1);
    const work = async (tx: Queries) => {
      const pid = await pidOf(tx);
      await db.rows(terminate, [pid]);
      await until(async () => (await tx.rows(one).catch(() => "broken")) === "broken");
    };
    await assert.rejects(lone.transaction(work), AWAY);
    assert.deepEqual(await lone.rows(one), [{ n: 1 }]);
    await lone.close();
  });

  it("does not end the process while the work waits for something else", async () => {
    const lone = open(1);
    const broken = gate();
    const work = async (tx: Queries) => {
      const pid = await pidOf(tx);
      lone.pool.on("remove", () => broken.resolve());
      await db.rows(terminate, [pid]);
      await until(async () => (await db.rows(pidLives, [pid])).length === 0);
      return "answered";
    };
    await assert.rejects(lone.transaction(work), AWAY);
    await broken.promise;
    await lone.close();
  });

  it("replaces an idle connection that broke", async () => {
    const lone = open(1);
    const pid = await pidOf(lone);
    await db.rows(terminate, [pid]);
    await until(() => lone.pool.totalCount === 0);
    assert.notEqual(await pidOf(lone), pid);
    await lone.close();
  });
});

const pidLives = statement("pid_lives", "select pid from pg_stat_activity where pid = $1");
