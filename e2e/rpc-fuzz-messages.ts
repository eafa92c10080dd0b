// Messages for the RPCs, made from the protos: well-typed ones with values from the edges of their
// types, the same with damaged bytes, and bytes that never were a message.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import fc, { type Arbitrary } from "fast-check";

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

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  while (left > 127n) {
    bytes.push(Number(left & 127n) | 128);
    left >>= 7n;
  }
  bytes.push(Number(left));
  return Buffer.from(bytes);
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;

const tagged = (number: number, wireType: number, payload: Buffer): Buffer =>
  Buffer.concat([varint(BigInt(number * 8 + wireType)), payload]);

const delimited = (bytes: Buffer): Buffer => Buffer.concat([varint(BigInt(bytes.length)), bytes]);

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

const text = (known: readonly string[]): Arbitrary<Buffer> => {
  const utf8 = (value: string) => Buffer.from(value, "utf8");
  return fc.oneof(
    { weight: known.length > 0 ? 150 : 0, arbitrary: fc.constantFrom(...known, "").map(utf8) },
    { weight: 20, arbitrary: fc.constantFrom(...HOSTILE_TEXTS).map(utf8) },
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

function int32(known: readonly number[], isOnly: boolean): Arbitrary<Buffer> {
  const likely = known.length > 0 ? 8 : 0;
  return fc
    .oneof(
      { weight: likely, arbitrary: fc.constantFrom(...known, 0) },
      { weight: 2, arbitrary: fc.constantFrom(...INT32_EDGES) },
      { weight: isOnly ? 0 : 3, arbitrary: fc.integer({ min: 1, max: 40 }) },
      { weight: isOnly ? 0 : 1, arbitrary: fc.integer() },
    )
    .map((value) => varint(BigInt(value)));
}

/** Requests of any type, as bytes. */
export class Messages {
  readonly #fields: Fields;
  readonly #hints: Hints;

  constructor(fields: Fields, hints: Hints) {
    this.#fields = fields;
    this.#hints = hints;
  }

  /** Fourteen of twenty are well-typed, five were and are damaged, one never was a message. */
  request(type: string): Arbitrary<Buffer> {
    return fc.oneof(
      { weight: 14, arbitrary: this.wellTyped(type) },
      { weight: 5, arbitrary: damaged(this.wellTyped(type)) },
      { weight: 1, arbitrary: bytes(300) },
    );
  }

  wellTyped(type: string): Arbitrary<Buffer> {
    const fields = this.#fields.get(type);
    if (!fields) throw new Error(`The protos have no ${type}.`);
    const parts = fields.map((field) => this.#field(field));
    return fc.tuple(...parts).map((encoded) => Buffer.concat(encoded));
  }

  #field(field: Field): Arbitrary<Buffer> {
    const one = this.#value(field);
    if (field.label !== "LABEL_REPEATED") {
      return fc.oneof(
        { weight: 1, arbitrary: fc.constant(Buffer.alloc(0)) },
        { weight: 19, arbitrary: one },
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

  #value({ name, number, type, typeName }: Field): Arbitrary<Buffer> {
    const { texts, numbers, onlyNumbers } = this.#hints;
    const inWireType = (wireType: number) => (payload: Buffer) => tagged(number, wireType, payload);
    switch (type) {
      case "TYPE_STRING":
        return text(texts[name] ?? [])
          .map(delimited)
          .map(inWireType(LENGTH_DELIMITED));
      case "TYPE_INT32":
        return int32(numbers[name] ?? [], onlyNumbers.has(name)).map(inWireType(VARINT));
      case "TYPE_ENUM":
        return int32([1, 2], false).map(inWireType(VARINT));
      case "TYPE_BOOL":
        return fc.constantFrom(0n, 1n, 2n).map(varint).map(inWireType(VARINT));
      case "TYPE_INT64":
        return fc
          .oneof(
            { weight: 4, arbitrary: fc.bigInt({ min: -1n, max: 5_000n }) },
            { weight: 3, arbitrary: fc.constantFrom(...SAFE_EDGES) },
            // Whole messages are refused for it.
            { weight: 1, arbitrary: fc.constantFrom(...UNSAFE_EDGES) },
          )
          .map(varint)
          .map(inWireType(VARINT));
      case "TYPE_DOUBLE":
        return fc
          .oneof(fc.constantFrom(...DOUBLE_EDGES), fc.constantFrom(...NOT_FINITE), fc.double())
          .map(fixed64)
          .map(inWireType(FIXED64));
      case "TYPE_MESSAGE":
        return this.wellTyped(typeName as string)
          .map(delimited)
          .map(inWireType(LENGTH_DELIMITED));
      default:
        throw new Error(`${name} is a ${type}, of which no values are made.`);
    }
  }
}

function fixed64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleLE(value);
  return buffer;
}

const bytes = (maxLength: number): Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

// Unknown fields of every wire type, groups that are not closed, tags of no field, lengths that lie.
const FRAGMENTS = [
  tagged(1_000, VARINT, varint(2n ** 64n - 1n)),
  tagged(1_000, LENGTH_DELIMITED, delimited(Buffer.from("unknown"))),
  tagged(1_000, FIXED64, Buffer.alloc(8)),
  tagged(1_000, 5, Buffer.alloc(4)),
  tagged(1, 3, Buffer.alloc(0)),
  tagged(1, 4, Buffer.alloc(0)),
  tagged(1, VARINT, varint(7n)),
  tagged(1, FIXED64, Buffer.alloc(8)),
  tagged(2, LENGTH_DELIMITED, varint(2n ** 31n)),
  tagged(1, LENGTH_DELIMITED, varint(2n ** 32n + 5n)),
  tagged(1, LENGTH_DELIMITED, varint(2n ** 63n)),
  Buffer.from([0]),
  Buffer.from([7]),
  Buffer.alloc(11, 0xff),
  // Messages within messages, ever deeper.
  nested(200),
];

function nested(depth: number): Buffer {
  let buffer: Buffer = Buffer.alloc(0);
  for (let level = 0; level < depth; level += 1) {
    buffer = tagged(1, LENGTH_DELIMITED, delimited(buffer));
  }
  return buffer;
}

function damaged(valid: Arbitrary<Buffer>): Arbitrary<Buffer> {
  const place = fc.nat(1_000_000);
  const flip = fc.tuple(place, fc.nat(7)).map(([at, bit]) => (from: Buffer) => {
    if (from.length === 0) return from;
    const to = Buffer.from(from);
    to.writeUInt8(to.readUInt8(at % to.length) ^ (1 << bit), at % to.length);
    return to;
  });
  const truncate = place.map((at) => (from: Buffer) => from.subarray(0, at % (from.length + 1)));
  const insert = fc
    .tuple(place, fc.oneof(fc.constantFrom(...FRAGMENTS), bytes(12)))
    .map(([at, fragment]) => (from: Buffer) => {
      const where = at % (from.length + 1);
      return Buffer.concat([from.subarray(0, where), fragment, from.subarray(where)]);
    });
  const repeat = fc.constantFrom(2, 3).map((times) => (from: Buffer) => {
    return Buffer.concat(new Array<Buffer>(times).fill(from));
  });
  return fc
    .tuple(
      valid,
      fc.array(fc.oneof(flip, truncate, insert, repeat), { minLength: 1, maxLength: 4 }),
    )
    .map(([from, changes]) => changes.reduce((sofar, change) => change(sofar), from));
}
