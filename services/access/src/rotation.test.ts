import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fromStatus } from "@piata/kit/errors";
import {
  type Account,
  createKeyPair,
  type Instance,
  type KeyPair,
  newAccount,
  Trial,
  within,
  writeKeySet,
} from "./trial.js";

// The procedure of README.md, step by step, with two instances that are started anew one by one.
describe("a new signing key", () => {
  let trial: Trial;
  let old: KeyPair;
  let next: KeyPair;

  before(async () => {
    [trial, old, next] = [await Trial.open(), await createKeyPair(), await createKeyPair()];
  });
  after(async () => {
    await trial.close();
    for (const key of [old, next]) await key.remove();
  });

  /** Starts an instance that signs with one key and believes some. */
  async function start(signs: KeyPair, ...believes: KeyPair[]): Promise<Instance> {
    await writeKeySet(signs.publicKeysFile, ...believes);
    return trial.start({
      ACCESS_SIGNING_KEY_FILE: signs.file,
      PIATA_PUBLIC_KEYS_FILE: signs.publicKeysFile,
    });
  }

  /** Starts one in the place of another. */
  async function replace(instance: Instance, signs: KeyPair, ...believes: KeyPair[]) {
    await instance.service.stop();
    return start(signs, ...believes);
  }

  async function authenticate({ access }: Instance, { tokens }: Account) {
    const items = [{ accessToken: tokens.accessToken }];
    const { results } = await access.batchAuthenticate({ items }, within());
    const [{ identity, failure } = {}] = results;
    return failure ? fromStatus(failure).reason : identity?.userId;
  }

  it("signs nobody out, and what the removed key signed is refused in the end", async () => {
    const everywhere = async (instances: Instance[], accounts: Account[]) => {
      for (const instance of instances) {
        for (const account of accounts) {
          assert.equal(await authenticate(instance, account), account.user.id);
        }
      }
    };
    let [one, other] = [await start(old, old), await start(old, old)];
    const before = await newAccount(one);
    await everywhere([one, other], [before]);

    // 1. The new public key is known everywhere before anything is signed with it.
    one = await replace(one, old, old, next);
    await everywhere([one, other], [before, await newAccount(one)]);
    other = await replace(other, old, old, next);

    // 2. One after the other signs with it.
    one = await replace(one, next, old, next);
    const during = await newAccount(one);
    await everywhere([one, other], [before, during, await newAccount(other)]);
    other = await replace(other, next, old, next);
    await everywhere([one, other], [before, during]);

    // 3. When the last access token of the old key is over, it is taken out.
    one = await replace(one, next, next);
    await everywhere([one, other], [during]);
    other = await replace(other, next, next);
    await everywhere([one, other], [during]);
    for (const instance of [one, other]) {
      assert.equal(await authenticate(instance, before), "TOKEN_INVALID");
    }
    // Its session goes on all the same.
    const { refreshToken } = before.tokens;
    const { tokens } = await other.access.refresh({ refreshToken }, within());
    const refreshed = { ...before, tokens: tokens as Account["tokens"] };
    await everywhere([one, other], [refreshed]);
  });

  it("is refused at the start while nobody would believe it, with what to do", async () => {
    await assert.rejects(start(next, old), (error: Error) => {
      assert.match(
        error.message,
        /ACCESS_SIGNING_KEY_FILE: add its public key to PIATA_PUBLIC_KEYS/,
      );
      return error.message.includes(next.keyId);
    });
  });

  it("makes the passports too", async () => {
    const instance = await start(next, next, old);
    const { tokens, user } = await newAccount(instance);
    const items = [{ accessToken: tokens.accessToken }];
    const { results } = await instance.access.batchAuthenticate({ items }, within());
    const passport = results[0]?.identity?.passport ?? "";
    const { user: found } = await instance.user.getUser({}, { ...within(), passport });
    assert.equal(found?.id, user.id);
    const stranger = await start(old, old);
    const refused = { code: "UNAUTHENTICATED", reason: "SIGN_IN_REQUIRED" };
    await assert.rejects(stranger.user.getUser({}, { ...within(), passport }), refused);
    await assert.rejects(
      instance.user.getUser({}, { ...within(), passport: tokens.accessToken }),
      refused,
    );
    const asAccessToken = await instance.access.batchAuthenticate(
      { items: [{ accessToken: passport }] },
      within(),
    );
    assert.ok(asAccessToken.results[0]?.failure);
  });
});
