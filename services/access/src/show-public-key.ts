/** `node dist/show-public-key.js KEY.pem`: what stands for a signing key among the public keys. */
import { openSigningKey, publicJwk } from "./signing-key.js";

const [file = ""] = process.argv.slice(2);
try {
  console.log(JSON.stringify(publicJwk(await openSigningKey(file))));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
