// Protobuf's wire format by one's own hands, and ways to damage it.
import fc, { type Arbitrary } from "fast-check";

export function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  while (left > 127n) {
    bytes.push(Number(left & 127n) | 128);
    left >>= 7n;
  }
  bytes.push(Number(left));
  return Buffer.from(bytes);
}

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;

export const tagged = (number: number, wireType: number, payload: Buffer): Buffer =>
  Buffer.concat([varint(BigInt(number * 8 + wireType)), payload]);

export const delimited = (bytes: Buffer): Buffer =>
  Buffer.concat([varint(BigInt(bytes.length)), bytes]);

export function fixed64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleLE(value);
  return buffer;
}

export const bytes = (maxLength: number): Arbitrary<Buffer> =>
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

export function damaged(valid: Arbitrary<Buffer>): Arbitrary<Buffer> {
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
