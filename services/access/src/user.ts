/** What a user may be called by and keep a secret with: the rules for e-mails and passwords. */
import { type Failure, invalidArgument, notFound } from "@piata/kit/errors";

// RFC 5321: 64 octets before the @, 254 in all.
const EMAIL_BYTES_MAX = 254;
const EMAIL = /^[^\s\p{C}@]{1,64}@(?:[\p{L}\p{M}\p{N}-]+\.)+[\p{L}\p{M}\p{N}-]{2,}$/u;

const PASSWORD_LENGTH_MIN = 8;
/** In code points. What is longer is never hashed. */
const PASSWORD_LENGTH_MAX = 128;

// The commonest passwords of eight characters or more in published leaks, in lower case.
const COMMONEST = new Set(
  `12345678 123456789 1234567890 0123456789 87654321 987654321 0987654321 123123123 1234512345
   12341234 11223344 1122334455 112233445566 147258369 123654789 789456123 1q2w3e4r 1q2w3e4r5t
   1qaz2wsx 1qazxsw2 q1w2e3r4 q1w2e3r4t5 qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234
   qwerty12345 qwer1234 asdfghjk asdfghjkl asdf1234 zxcvbnm1 zxcvbnm123 abcdefgh abcd1234
   abc12345 abc123456
   a1234567 a12345678 a123456789 aa123456 aa12345678 password password1 password12 password123
   password1234 password! passw0rd p@ssw0rd p@ssword pass1234 passport iloveyou iloveyou1 sunshine
   princess princess1 football football1 baseball baseball1 superman superman1 starwars trustno1
   whatever computer internet michelle jennifer jordan23 butterfly liverpool chocolate welcome1
   welcome123 admin123 admin1234 administrator letmein1 letmein123 changeme changeme1 changeme123
   default1 secret123 test1234 testtest dragon123 monkey123 master123 shadow123 charlie1 samsung1
   google123 facebook1 pokemon1 parola123 parola1234 bunica123`.split(/\s+/),
);

/** An e-mail as the key of a user, or undefined when it cannot be one. */
export function findEmail(text: string): string | undefined {
  if (text.length > EMAIL_BYTES_MAX) return undefined;
  const email = text.normalize("NFC").toLowerCase().normalize("NFC");
  const fits = Buffer.byteLength(email) <= EMAIL_BYTES_MAX && EMAIL.test(email);
  return fits ? email : undefined;
}

/** An e-mail as the key of a user. Throws INVALID_ARGUMENT / EMAIL_INVALID. */
export function checkedEmail(text: string): string {
  const email = findEmail(text);
  if (email !== undefined) return email;
  throw invalidArgument("EMAIL_INVALID", "email must be an address such as ana@example.com.", {
    field: "email",
  });
}

/** A password as it is hashed, or undefined when it is longer than any that was accepted. */
export function findPassword(text: string): string | undefined {
  // A code point takes at most two units: megabytes are not taken apart to be counted.
  if (text.length > 2 * PASSWORD_LENGTH_MAX) return undefined;
  if ([...text].length > PASSWORD_LENGTH_MAX) return undefined;
  // Keyboards differ in how they compose an accent.
  return text.normalize("NFC");
}

/**
 * A new password of a user; `field` is what the failure names. Throws INVALID_ARGUMENT /
 * PASSWORD_TOO_LONG, PASSWORD_WEAK.
 */
export function checkedPassword(text: string, email: string, field = "password"): string {
  const password = findPassword(text);
  if (password === undefined) {
    throw invalidArgument(
      "PASSWORD_TOO_LONG",
      `${field} must have at most ${PASSWORD_LENGTH_MAX} characters.`,
      { field },
    );
  }
  const characters = [...password];
  const guess = password.toLowerCase();
  const isGuessable =
    new Set(characters).size === 1 ||
    COMMONEST.has(guess) ||
    guess === email ||
    guess === email.slice(0, email.indexOf("@"));
  if (characters.length < PASSWORD_LENGTH_MIN || isGuessable) {
    throw invalidArgument(
      "PASSWORD_WEAK",
      `${field} must have at least ${PASSWORD_LENGTH_MIN} characters and not be easy to guess.`,
      { field },
    );
  }
  return password;
}

export const userNotFound = (): Failure => notFound("USER_NOT_FOUND", "There is no such user.");
