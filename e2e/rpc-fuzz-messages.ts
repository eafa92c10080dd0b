// Messages for the RPCs, made from the protos: well-typed ones with values from the edges of their
// types, the same with damaged bytes, and bytes that never were a message.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import fc, { type Arbitrary } from "fast-check";
import {
  bytes,
  damaged,
  delimited,
  FIXED64,
  fixed64,
  LENGTH_DELIMITED,
  tagged,
  VARINT,
  varint,
} from "./rpc-fuzz-wire.ts";

interface Field {
  name: string;
  number: number;
  type: string;
  typeName?: string;
  label: string;
}

interface MessageType {
  name: string;
  field?: Field[];
  nestedType?: MessageType[];
}

interface ProtoFile {
  package: string;
  messageType?: MessageType[];
  service?: { name: string; method: { name: string; inputType: string }[] }[];
}

/** An RPC, by its path: "/piata.cart.v1.CartService/BatchTake". */
export interface Rpc {
  path: string;
  /** Of its request: ".piata.cart.v1.BatchTakeRequest". */
  requestType: string;
}

/** The fields of each message, by its full name with a dot before it. */
export type Fields = ReadonlyMap<string, Field[]>;

/** What makes a field's value likely to mean something; by the field's name. */
export interface Hints {
  texts: Readonly<Record<string, readonly string[]>>;
  numbers: Readonly<Record<string, readonly number[]>>;
  /** Only these and what is out of range, where another number would be somebody's. */
  onlyNumbers: ReadonlySet<string>;
}

const REPEATED_BYTES_MAX = 1_000_000;
const PROTO_DIR = join(import.meta.dirname, "../proto");

/** The RPCs of all services, and the fields of their messages. */
export function readProtos(): { rpcs: Rpc[]; fields: Fields } {
  const image = execFileSync("buf", ["build", "-o", "-#format=json"], { cwd: PROTO_DIR });
  const { file: files } = JSON.parse(image.toString("utf8")) as { file: ProtoFile[] };
  const fields = new Map<string, Field[]>();
  const add = (prefix: string, { name, field = [], nestedType = [] }: MessageType) => {
    fields.set(`${prefix}.${name}`, field);
    for (const nested of nestedType) add(`${prefix}.${name}`, nested);
  };
  for (const { package: name, messageType = [] } of files) {
    for (const type of messageType) add(`.${name}`, type);
  }
  const rpcs = files.flatMap(({ package: name, service: services = [] }) =>
    services.flatMap((service) =>
      service.method.map(({ name: method, inputType }) => ({
        path: `/${name}.${service.name}/${method}`,
        requestType: inputType,
      })),
    ),
  );
  return { rpcs, fields };
}

const INT32_EDGES = [0, -1, 2 ** 31 - 1, -(2 ** 31)];
const SAFE_EDGES = [2n ** 31n, 2n ** 53n - 1n, -(2n ** 53n) + 1n];
const UNSAFE_EDGES = [2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)];
const DOUBLE_EDGES = [0, -0, 19.99, 1e308, 5e-324, Number.MAX_SAFE_INTEGER];
const NOT_FINITE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
/** What breaks SQL, paths, logs, regular expressions, MongoDB's operators and prototypes. */
const HOSTILE_TEXTS = [
  "",
  " ",
  "\0",
  "a\0b",
  "\n{}",
  "\u001b[31m",
  "'; --",
  '"',
  "\\",
  "%00",
  "%s%n",
  "../../..",
  "$where",
  "$gt",
  "a.b",
  "__proto__",
  "constructor",
  "toString",
  "\u202e\ufeff",
  "e\u0301",
  "\u{10ffff}",
  "null",
  "NaN",
  "-1",
  "1e9",
];
/** A lone surrogate as a careless encoder writes it, overlong forms, and the bytes of no text. */
const BROKEN_UTF8 = ["eda080", "edbfbf", "c080", "f8888080", "ff", "e282", "80"].map((hex) =>
  Buffer.from(hex, "hex"),
);

/** How many times likelier than otherwise what is known is, where most fields should be good. */
const TAME = 15;
const WILD = 1;

const text = (known: readonly string[], tameness: number): Arbitrary<Buffer> => {
  const utf8 = (value: string) => Buffer.from(value, "utf8");
  return fc.oneof(
    {
      weight: known.length > 0 ? 150 * tameness : 0,
      arbitrary: fc.constantFrom(...known, "").map(utf8),
    },
    // What is good but for its end.
    {
      weight: known.length > 0 ? 15 : 0,
      arbitrary: fc
        .tuple(fc.constantFrom(...known, ""), fc.constantFrom(...HOSTILE_TEXTS))
        .map((parts) => utf8(parts.join(""))),
    },
    { weight: 15, arbitrary: fc.constantFrom(...HOSTILE_TEXTS).map(utf8) },
    { weight: 20, arbitrary: fc.string({ unit: "binary", maxLength: 40 }).map(utf8) },
    // Whole messages are refused for it.
    { weight: 1, arbitrary: fc.constantFrom(...BROKEN_UTF8) },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.constantFrom("a", "\0", "é", "👍", "(a"), fc.constantFrom(101, 300, 5_000))
        .map(([unit, times]) => utf8(unit.repeat(times))),
    },
  );
};

function int32(known: readonly number[], tameness: number, isOnly = false): Arbitrary<Buffer> {
  const likely = known.length > 0 ? 8 * tameness : 0;
  return fc
    .oneof(
      { weight: likely, arbitrary: fc.constantFrom(...known, 0) },
      { weight: 2, arbitrary: fc.constantFrom(...INT32_EDGES) },
      { weight: isOnly ? 0 : 3, arbitrary: fc.integer({ min: 1, max: 40 }) },
      { weight: isOnly ? 0 : 1, arbitrary: fc.integer() },
    )
    .map((value) => varint(BigInt(value)));
}

function int64(tameness: number): Arbitrary<Buffer> {
  return fc
    .oneof(
      { weight: 4 * tameness, arbitrary: fc.bigInt({ min: 0n, max: 5_000n }) },
      { weight: 3, arbitrary: fc.constantFrom(-1n, ...SAFE_EDGES) },
      // Whole messages are refused for it.
      { weight: 1, arbitrary: fc.constantFrom(...UNSAFE_EDGES) },
    )
    .map(varint);
}

function double(tameness: number): Arbitrary<Buffer> {
  return fc
    .oneof(
      { weight: tameness, arbitrary: fc.constantFrom(0, 0.5, 19.99) },
      { weight: 1, arbitrary: fc.constantFrom(...DOUBLE_EDGES) },
      { weight: 1, arbitrary: fc.constantFrom(...NOT_FINITE) },
      { weight: 1, arbitrary: fc.double() },
    )
    .map(fixed64);
}

/** Requests of any type, as bytes. */
export class Messages {
  readonly #fields: Fields;
  readonly #hints: Hints;

  constructor(fields: Fields, hints: Hints) {
    this.#fields = fields;
    this.#hints = hints;
  }

  /**
   * Of twenty, nine are well-typed and mostly sensible, five well-typed and mostly not, five damaged,
   * and one never was a message.
   */
  request(type: string): Arbitrary<Buffer> {
    const sensible = this.#wellTyped(type, TAME);
    return fc.oneof(
      { weight: 9, arbitrary: sensible },
      { weight: 5, arbitrary: this.#wellTyped(type, WILD) },
      { weight: 5, arbitrary: damaged(sensible) },
      { weight: 1, arbitrary: bytes(300) },
    );
  }

  #wellTyped(type: string, tameness: number): Arbitrary<Buffer> {
    const fields = this.#fields.get(type);
    if (!fields) throw new Error(`The protos have no ${type}.`);
    const parts = fields.map((field) => this.#field(field, tameness));
    return fc.tuple(...parts).map((encoded) => Buffer.concat(encoded));
  }

  #field(field: Field, tameness: number): Arbitrary<Buffer> {
    const one = this.#value(field, tameness);
    if (field.label !== "LABEL_REPEATED") {
      return fc.oneof(
        { weight: 1, arbitrary: fc.constant(Buffer.alloc(0)) },
        { weight: 19 * tameness, arbitrary: one },
      );
    }
    // Many are the same few over and over: made fast, and duplicates are what breaks batches.
    const times = fc.oneof(
      { weight: 90, arbitrary: fc.constant(1) },
      { weight: 9, arbitrary: fc.integer({ min: 2, max: 30 }) },
      { weight: 1, arbitrary: fc.constantFrom(200, 300, 400) },
    );
    return fc.tuple(fc.array(one, { maxLength: 5 }), times).map(([few, repeats]) => {
      const all = Buffer.concat(few);
      // What is too large for gRPC is another test's.
      const fitting = Math.floor(REPEATED_BYTES_MAX / (all.length + 1));
      return Buffer.concat(new Array<Buffer>(Math.min(repeats, fitting)).fill(all));
    });
  }

  #value({ name, number, type, typeName }: Field, tameness: number): Arbitrary<Buffer> {
    const { texts, numbers, onlyNumbers } = this.#hints;
    const inWireType = (wireType: number) => (payload: Buffer) => tagged(number, wireType, payload);
    switch (type) {
      case "TYPE_STRING":
        return text(texts[name] ?? [], tameness)
          .map(delimited)
          .map(inWireType(LENGTH_DELIMITED));
      case "TYPE_INT32":
        return int32(numbers[name] ?? [], tameness, onlyNumbers.has(name)).map(inWireType(VARINT));
      case "TYPE_ENUM":
        return int32([1, 2], tameness).map(inWireType(VARINT));
      case "TYPE_BOOL":
        return fc.constantFrom(0n, 1n, 2n).map(varint).map(inWireType(VARINT));
      case "TYPE_INT64":
        return int64(tameness).map(inWireType(VARINT));
      case "TYPE_DOUBLE":
        return double(tameness).map(inWireType(FIXED64));
      case "TYPE_MESSAGE":
        return this.#wellTyped(typeName as string, tameness)
          .map(delimited)
          .map(inWireType(LENGTH_DELIMITED));
      default:
        throw new Error(`${name} is a ${type}, of which no values are made.`);
    }
  }
}
