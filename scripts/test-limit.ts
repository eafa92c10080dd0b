// Loaded before each test file. A file whose tests are over ends by itself, unless something was
// left open (a pool, a socket, a program): then it would hang for ever without a word.
const LIMIT_MS =
  process.env.PIATA_TEST_LONG === "1"
    ? 7_200_000
    : // Images are built there.
      process.argv[1]?.endsWith("docker.test.ts")
      ? 1_800_000
      : 300_000;

setTimeout(() => {
  const open = process.getActiveResourcesInfo().join(", ");
  console.error(`${process.argv[1]} did not end within ${LIMIT_MS / 1000} s. Open: ${open}`);
  process.exit(1);
}, LIMIT_MS).unref();
